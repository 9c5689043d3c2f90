/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/azure/login.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/hooks.h"
#include "kms/azure/cloud.h"
#include "kms/azure/refusal.h"
#include "kms/azure/secret.h"
#include "kms/azure/text.h"
#include "kms/rest/rest_given.h"
#include "kms/rest/token_answer.h"
#include "net/url.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static const char k_component[] = "kms/azure";
static const char k_instance[] = "http://169.254.169.254";

/* What the header promises: an identity in many groups has a long token. */
_Static_assert(
    (int)AEL_KMS_AZURE_MAX_TOKEN == AEL_HTTP_TEXT_PIECES * AEL_HTTP_TEXT_TAKEN_BYTES, "a token's length");
_Static_assert(
    (int)AEL_KMS_AZURE_MAX_GIVEN_TOKEN == AEL_HTTP_TEXT_PIECES * AEL_HTTP_TEXT_BYTES, "a callback's");

enum { URL_BYTES = 1024, FORM_BYTES = 1024, NAME_MAX_LEN = 128 };

static const struct ael_rest_kind k_kind = {
    .component = k_component,
    .asleep =
        "who gives tokens is not asked, because that failed again and again; it is tried every some seconds",
    .retry = "ael.kms.azure.token_retry",
    .breaker =
        {"ael.kms.azure.token_breaker_opened", "ael.kms.azure.token_breaker_half_opened",
         "ael.kms.azure.token_breaker_closed"},
    .refusal = ael_kms_azure_token_refusal,
};

static enum ael_status refuse(struct ael_error *err, const char *why) {
    return ael_error_set(err, AEL_E_ARGUMENT, 0, k_component, "%s", why);
}

/* ---- what is given ---- */

/* Options and environment, in one; NULL where there is nothing. */
struct given {
    const struct ael_kms_azure_options *options;
    const char *tenant;
    const char *client;
    const char *federated;
    const char *authority;             /* never NULL */
    char resource[AEL_URL_HOST_BYTES]; /* the host of what tokens are for */
};

static bool has_client_secret(const struct given *given) {
    const struct ael_kms_azure_options *options = given->options;
    return options->client_secret != NULL || options->client_secret_file != NULL ||
           ael_rest_given_or_env(NULL, "AZURE_CLIENT_SECRET") != NULL;
}

static enum ael_kms_azure_auth choose(const struct given *given) {
    if (given->options->auth != AEL_KMS_AZURE_DEFAULT) {
        return given->options->auth;
    }
    if (given->tenant != NULL && given->client != NULL && has_client_secret(given)) {
        return AEL_KMS_AZURE_CLIENT_SECRET;
    }
    return given->tenant != NULL && given->client != NULL && given->federated != NULL
               ? AEL_KMS_AZURE_WORKLOAD
               : AEL_KMS_AZURE_MANAGED_IDENTITY;
}

/* Of letters, digits, hyphens and dots, and not of dots alone: an id or a domain, nothing that makes a path
 * or a form. */
static bool is_id(const char *text) {
    size_t len = strlen(text);
    return len >= 1 && len < NAME_MAX_LEN && strspn(text, ".") != len &&
           strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.") == len;
}

static enum ael_status take_resource(struct given *given, const char *vault, struct ael_error *err) {
    const struct ael_kms_azure_cloud *cloud = NULL;
    char host[AEL_URL_HOST_BYTES];
    if (ael_url_host(vault, host)) {
        cloud = ael_kms_azure_cloud_of(host);
    }
    given->authority = ael_rest_given_or_env(given->options->authority, "AZURE_AUTHORITY_HOST");
    if (given->authority == NULL) {
        given->authority = cloud != NULL ? cloud->authority : "https://login.microsoftonline.com";
    }
    if (given->options->resource != NULL) {
        bool good = strncmp(given->options->resource, "https://", 8) == 0 &&
                    ael_url_host(given->options->resource, given->resource) &&
                    strcmp(given->options->resource + 8, given->resource) == 0 && is_id(given->resource);
        return good ? AEL_OK : refuse(err, "resource is https://host, and nothing behind that");
    }
    if (cloud == NULL && given->options->auth != AEL_KMS_AZURE_CALLBACK) {
        return refuse(
            err, "vault is at no domain of Azure's (NAME.vault.azure.net); if tokens are to go there, give "
                 "resource: https://vault.azure.net");
    }
    (void)snprintf(
        given->resource, sizeof given->resource, "%s", cloud != NULL ? cloud->domain : "vault.azure.net");
    return AEL_OK;
}

static enum ael_status take_given(struct given *given, const char *vault, struct ael_error *err) {
    const struct ael_kms_azure_options *options = given->options;
    given->tenant = ael_rest_given_or_env(options->tenant, "AZURE_TENANT_ID");
    given->client = ael_rest_given_or_env(options->client, "AZURE_CLIENT_ID");
    given->federated = ael_rest_given_or_env(options->federated_token_file, "AZURE_FEDERATED_TOKEN_FILE");
    if ((given->tenant != NULL && !is_id(given->tenant)) ||
        (given->client != NULL && !is_id(given->client))) {
        return refuse(err, "tenant or client (or AZURE_TENANT_ID, AZURE_CLIENT_ID) is no id");
    }
    return take_resource(given, vault, err);
}

/* ---- client secrets ---- */

static enum ael_status
take_client_secret(struct ael_kms_azure_login *login, const struct given *given, struct ael_error *err) {
    const struct ael_kms_azure_options *options = given->options;
    const char *from_env = ael_rest_given_or_env(NULL, "AZURE_CLIENT_SECRET");
    const struct ael_rest_text client_secret = {
        k_component, "the client secret (or AZURE_CLIENT_SECRET)", AEL_KMS_AZURE_MAX_CLIENT_SECRET};
    struct ael_secret *plain = NULL;
    if (options->client_secret == NULL && options->client_secret_file != NULL) {
        return ael_rest_copy(k_component, options->client_secret_file, &login->file, err);
    }
    if (options->client_secret == NULL && from_env == NULL) {
        return refuse(
            err, "no client secret: give client_secret or client_secret_file, or set AZURE_CLIENT_SECRET");
    }
    enum ael_status status =
        options->client_secret != NULL
            ? ael_rest_take_secret(&client_secret, options->client_secret, &plain, err)
            : ael_rest_copy_secret(&client_secret, from_env, &plain, err);
    if (status == AEL_OK) {
        status = ael_kms_azure_secret_encode(plain, &login->text, err);
    }
    ael_secret_release(plain);
    return status;
}

/* ---- where to ask, and what ---- */

/* Only to a link-local address and to this machine does a request for a token go in the clear. */
static bool is_near(const char *url) {
    struct in_addr address;
    char host[AEL_URL_HOST_BYTES];
    if (strncmp(url, "http://", 7) != 0 || !ael_url_host(url, host)) {
        return false;
    }
    bool is_link_local = inet_pton(AF_INET, host, &address) == 1 && ntohl(address.s_addr) >> 16 == 0xa9fe;
    return is_link_local || ael_url_host_is_loopback(host);
}

static enum ael_status set_identity_url(
    struct ael_kms_azure_login *login,
    const struct given *given,
    const char *before,
    const char *version,
    struct ael_error *err) {
    char url[URL_BYTES];
    int len = snprintf(
        url, sizeof url, "%s?api-version=%s&resource=https%%3A%%2F%%2F%s%s%s", before, version,
        given->resource, given->client != NULL ? "&client_id=" : "",
        given->client != NULL ? given->client : "");
    if (len < 0 || len >= URL_BYTES) {
        return refuse(err, "the address of the identity's endpoint is too long");
    }
    return ael_rest_copy(k_component, url, &login->url, err);
}

static enum ael_status
use_instance(struct ael_kms_azure_login *login, const struct given *given, struct ael_error *err) {
    char origin[AEL_KMS_AZURE_VAULT_MAX + 1];
    char before[URL_BYTES / 2];
    const char *endpoint =
        ael_rest_given_or_env(given->options->identity_endpoint, "AZURE_POD_IDENTITY_AUTHORITY_HOST");
    if (!ael_kms_azure_vault_read(endpoint != NULL ? endpoint : k_instance, origin) || !is_near(origin)) {
        return refuse(
            err, "identity_endpoint is http://host[:port] of a link-local address or of this machine");
    }
    (void)snprintf(before, sizeof before, "%s/metadata/identity/oauth2/token", origin);
    return set_identity_url(login, given, before, "2018-02-01", err);
}

/* Its address has a path; nothing may stand behind that, for a query comes there. */
static bool is_address(const char *url) {
    size_t len = strlen(url);
    for (size_t i = 0; i < len; i++) {
        if (url[i] <= ' ' || url[i] >= 0x7f) {
            return false;
        }
    }
    return len < URL_BYTES / 2 && strpbrk(url, "?#@\\\"") == NULL;
}

static enum ael_status use_app_service(
    struct ael_kms_azure_login *login,
    const struct given *given,
    const char *endpoint,
    const char *header,
    struct ael_error *err) {
    if (!is_address(endpoint) || !is_near(endpoint)) {
        return refuse(err, "IDENTITY_ENDPOINT is no http:// address that is link-local or of this machine");
    }
    if (!ael_http_text_can_hold(ael_bytes_from_text(header))) {
        return refuse(err, "IDENTITY_HEADER holds characters that cannot be sent");
    }
    AEL_TRY(set_identity_url(login, given, endpoint, "2019-08-01", err));
    const struct ael_rest_text text = {k_component, "IDENTITY_HEADER", AEL_HTTP_TEXT_BYTES};
    return ael_rest_copy_secret(&text, header, &login->text, err);
}

static enum ael_status
use_identity(struct ael_kms_azure_login *login, const struct given *given, struct ael_error *err) {
    const char *endpoint = ael_rest_given_or_env(NULL, "IDENTITY_ENDPOINT");
    const char *header = ael_rest_given_or_env(NULL, "IDENTITY_HEADER");
    if (given->options->identity_endpoint != NULL || endpoint == NULL || header == NULL) {
        return use_instance(login, given, err);
    }
    return use_app_service(login, given, endpoint, header, err);
}

static enum ael_status set_form(
    struct ael_kms_azure_login *login, const struct given *given, const char *more, struct ael_error *err) {
    char form[FORM_BYTES];
    (void)snprintf(/* of ids, whose length is bounded */
                   form, sizeof form,
                   "client_id=%s&scope=https%%3A%%2F%%2F%s%%2F.default&grant_type=client_credentials&%s",
                   given->client, given->resource, more);
    return ael_rest_copy(k_component, form, &login->form, err);
}

static enum ael_status
use_tenant(struct ael_kms_azure_login *login, const struct given *given, struct ael_error *err) {
    char url[URL_BYTES];
    char authority[AEL_KMS_AZURE_VAULT_MAX + 1];
    if (given->tenant == NULL || given->client == NULL) {
        return refuse(err, "no tenant or no client: give them, or set AZURE_TENANT_ID and AZURE_CLIENT_ID");
    }
    if (!ael_kms_azure_vault_read(given->authority, authority) || !ael_url_keeps_secrets(authority)) {
        return refuse(
            err, "authority (or AZURE_AUTHORITY_HOST) is https://host[:port], and nothing behind that");
    }
    (void)snprintf(url, sizeof url, "%s/%s/oauth2/v2.0/token", authority, given->tenant);
    return ael_rest_copy(k_component, url, &login->url, err);
}

static enum ael_status
use_client_secret(struct ael_kms_azure_login *login, const struct given *given, struct ael_error *err) {
    AEL_TRY(use_tenant(login, given, err));
    AEL_TRY(take_client_secret(login, given, err));
    return set_form(login, given, "client_secret=", err);
}

static enum ael_status
use_workload(struct ael_kms_azure_login *login, const struct given *given, struct ael_error *err) {
    AEL_TRY(use_tenant(login, given, err));
    if (given->federated == NULL) {
        return refuse(
            err, "no federated token: give federated_token_file, or set AZURE_FEDERATED_TOKEN_FILE");
    }
    AEL_TRY(ael_rest_copy(k_component, given->federated, &login->file, err));
    return set_form(
        login, given,
        "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_"
        "assertion=",
        err);
}

static enum ael_status
use(struct ael_kms_azure_login *login, const struct given *given, struct ael_error *err) {
    switch (login->how) {
    case AEL_KMS_AZURE_MANAGED_IDENTITY:
        return use_identity(login, given, err);
    case AEL_KMS_AZURE_CLIENT_SECRET:
        return use_client_secret(login, given, err);
    case AEL_KMS_AZURE_WORKLOAD:
        return use_workload(login, given, err);
    case AEL_KMS_AZURE_CALLBACK:
        login->token = given->options->token;
        login->context = given->options->token_context;
        return login->token != NULL ? AEL_OK : refuse(err, "AEL_KMS_AZURE_CALLBACK needs the callback token");
    case AEL_KMS_AZURE_DEFAULT:
        break;
    }
    return refuse(err, "auth is none of the ways to come by a token");
}

/* see kms/azure/login.h */
enum ael_status ael_kms_azure_login_init(
    struct ael_kms_azure_login *login,
    const struct ael_kms_azure_options *options,
    const char *vault,
    const struct ael_rest_options *rest,
    struct ael_error *err) {
    struct given given = {.options = options};
    AEL_TRY(take_given(&given, vault, err));
    login->how = choose(&given);
    AEL_TRY(use(login, &given, err));
    return login->how == AEL_KMS_AZURE_CALLBACK ? AEL_OK
                                                : ael_token_rest_init(&login->rest, &k_kind, rest, err);
}

/* see kms/azure/login.h */
void ael_kms_azure_login_clear(struct ael_kms_azure_login *login) {
    ael_rest_clear(&login->rest);
    ael_free(login->url);
    ael_free(login->form);
    ael_free(login->file);
    ael_secret_release(login->text);
    login->url = NULL;
    login->form = NULL;
    login->file = NULL;
    login->text = NULL;
}

/* ---- asking ---- */

static enum ael_status ask_identity(
    struct ael_kms_azure_login *login,
    const struct ael_call *call,
    struct ael_token_grant *grant,
    struct ael_error *err) {
    const struct ael_http_header metadata = {ael_bytes_from_text("Metadata"), ael_bytes_from_text("true")};
    struct ael_rest_request request = {
        .method = "GET",
        .url = login->url,
        .what = "the identity's endpoint",
        .headers = &metadata,
        .header_count = login->text == NULL ? 1 : 0,
        .no_proxy = true,
    };
    request.secrets.bearer.pieces[0] = login->text; /* App Service's */
    request.secrets.taken_pieces = AEL_HTTP_TEXT_PIECES;
    request.secrets.bearer_before = "X-IDENTITY-HEADER: ";
    return ael_token_answer_ask_near(
        &login->rest, call, &request,
        "no endpoint of a managed identity answers; off Azure give a client secret or a federated token",
        grant, err);
}

/* What goes behind the form. */
static enum ael_status
read_secret(const struct ael_kms_azure_login *login, struct ael_http_text *text, struct ael_error *err) {
    if (login->file == NULL) {
        text->pieces[0] = ael_secret_acquire(login->text);
        return AEL_OK;
    }
    return login->how == AEL_KMS_AZURE_WORKLOAD ? ael_kms_azure_secret_read_federated(login->file, text, err)
                                                : ael_kms_azure_secret_read_client(login->file, text, err);
}

static enum ael_status ask_tenant(
    struct ael_kms_azure_login *login,
    const struct ael_call *call,
    struct ael_token_grant *grant,
    struct ael_error *err) {
    const struct ael_http_header type = {
        ael_bytes_from_text("Content-Type"), ael_bytes_from_text("application/x-www-form-urlencoded")};
    struct ael_http_text text = {{NULL}};
    enum ael_status status = read_secret(login, &text, err);
    if (status == AEL_OK) {
        struct ael_rest_request request = {
            .method = "POST",
            .url = login->url,
            .what = "the tenant's token endpoint",
            .headers = &type,
            .header_count = 1,
            .body = ael_bytes_from_text(login->form),
            .secrets =
                {.sent_text = text, .sent_at = strlen(login->form), .taken_pieces = AEL_HTTP_TEXT_PIECES},
        };
        status = ael_token_answer_ask(&login->rest, call, &request, grant, err);
    }
    ael_http_text_clear(&text);
    return status;
}

/* see kms/azure/login.h */
enum ael_status ael_kms_azure_login_run(
    struct ael_kms_azure_login *login,
    const struct ael_call *call,
    struct ael_token_grant *grant,
    struct ael_error *err) {
    ael_metric_event("ael.kms.azure.login");
    if (login->how == AEL_KMS_AZURE_CALLBACK) {
        return ael_token_callback_run(
            k_component, login->token, login->context, AEL_HTTP_TEXT_PIECES, call, grant, err);
    }
    return login->form != NULL ? ask_tenant(login, call, grant, err) : ask_identity(login, call, grant, err);
}
