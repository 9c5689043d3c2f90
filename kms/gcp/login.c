/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/gcp/login.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/hooks.h"
#include "kms/gcp/refusal.h"
#include "kms/rest/rest_given.h"
#include "kms/rest/token_answer.h"
#include "net/url.h"

#include <stdio.h>
#include <string.h>

static const char k_component[] = "kms/gcp";

enum { URL_BYTES = 512 };

static const struct ael_rest_kind k_kind = {
    .component = k_component,
    .asleep =
        "who gives tokens is not asked, because that failed again and again; it is tried every some seconds",
    .retry = "ael.kms.gcp.token_retry",
    .breaker =
        {"ael.kms.gcp.token_breaker_opened", "ael.kms.gcp.token_breaker_half_opened",
         "ael.kms.gcp.token_breaker_closed"},
    .refusal = ael_kms_gcp_token_refusal,
};

static enum ael_status refuse(struct ael_error *err, const char *why) {
    return ael_error_set(err, AEL_E_ARGUMENT, 0, k_component, "%s", why);
}

/* ---- where to ask ---- */

/* Only to Google's own names and addresses of it, and to this machine, does a token's request go in the
 * clear. */
static bool is_near(const char *host) {
    static const char *const k_hosts[] = {"169.254.169.254", "metadata.google.internal", "[fd20:ce::254]"};
    for (size_t i = 0; i < sizeof k_hosts / sizeof k_hosts[0]; i++) {
        if (strcmp(host, k_hosts[i]) == 0) {
            return true;
        }
    }
    return ael_url_host_is_loopback(host);
}

static enum ael_status use_metadata(
    struct ael_kms_gcp_login *login, const struct ael_kms_gcp_options *options, struct ael_error *err) {
    char url[URL_BYTES];
    char host[AEL_URL_HOST_BYTES];
    const char *given = ael_rest_given_or_env(options->metadata_host, "GCE_METADATA_HOST");
    given = given == NULL ? "169.254.169.254" : given;
    int len = snprintf(
        url, sizeof url, "http://%s/computeMetadata/v1/instance/service-accounts/default/token", given);
    if (len < 0 || len >= URL_BYTES || strpbrk(given, "/?#@ \r\n\t") != NULL || !ael_url_host(url, host) ||
        !is_near(host)) {
        return refuse(
            err, "metadata_host (or GCE_METADATA_HOST) is neither the metadata server's name or address nor "
                 "of this "
                 "machine");
    }
    return ael_rest_copy(k_component, url, &login->url, err);
}

static enum ael_status use_account(
    struct ael_kms_gcp_login *login, const struct ael_kms_gcp_options *options, struct ael_error *err) {
    const char *file = ael_rest_given_or_env(options->credentials_file, "GOOGLE_APPLICATION_CREDENTIALS");
    if (file == NULL) {
        return refuse(
            err, "no service account: give credentials_file, or set GOOGLE_APPLICATION_CREDENTIALS");
    }
    return ael_kms_gcp_account_init(&login->account, file, err);
}

static enum ael_kms_gcp_auth choose(const struct ael_kms_gcp_options *options) {
    if (options->auth != AEL_KMS_GCP_DEFAULT) {
        return options->auth;
    }
    return ael_rest_given_or_env(options->credentials_file, "GOOGLE_APPLICATION_CREDENTIALS") != NULL
               ? AEL_KMS_GCP_SERVICE_ACCOUNT
               : AEL_KMS_GCP_METADATA;
}

/* see kms/gcp/login.h */
enum ael_status ael_kms_gcp_login_init(
    struct ael_kms_gcp_login *login,
    const struct ael_kms_gcp_options *options,
    const struct ael_rest_options *rest,
    struct ael_error *err) {
    login->how = choose(options);
    switch (login->how) {
    case AEL_KMS_GCP_METADATA:
        AEL_TRY(use_metadata(login, options, err));
        return ael_token_rest_init(&login->rest, &k_kind, rest, err);
    case AEL_KMS_GCP_SERVICE_ACCOUNT:
        AEL_TRY(use_account(login, options, err));
        return ael_token_rest_init(&login->rest, &k_kind, rest, err);
    case AEL_KMS_GCP_CALLBACK:
        login->token = options->token;
        login->context = options->token_context;
        return login->token != NULL ? AEL_OK : refuse(err, "AEL_KMS_GCP_CALLBACK needs the callback token");
    case AEL_KMS_GCP_DEFAULT:
        break;
    }
    return refuse(err, "auth is none of the ways to come by a token");
}

/* see kms/gcp/login.h */
void ael_kms_gcp_login_clear(struct ael_kms_gcp_login *login) {
    ael_rest_clear(&login->rest);
    ael_kms_gcp_account_clear(&login->account);
    ael_free(login->url);
    login->url = NULL;
}

/* ---- what comes ---- */

/* The metadata server says who it is: anybody may answer at that address in another network. */
static bool is_metadata(const struct ael_http_response *response) {
    struct ael_bytes value;
    return ael_http_response_header(response, "Metadata-Flavor", &value) && value.len == 6 &&
           memcmp(value.data, "Google", 6) == 0;
}

static enum ael_status check_metadata(
    void *context,
    const struct ael_http_response *response,
    struct ael_rest_answer *answer,
    struct ael_error *err) {
    (void)context;
    if (!is_metadata(response)) {
        return ael_error_set(
            err, AEL_E_BACKEND, 0, k_component,
            "what answers is not Google's metadata server; is this machine in Google Cloud?");
    }
    return ael_token_answer_check(k_component, answer, err);
}

/* ---- asking ---- */

static enum ael_status ask_metadata(
    struct ael_kms_gcp_login *login,
    const struct ael_call *call,
    struct ael_token_grant *grant,
    struct ael_error *err) {
    const struct ael_http_header flavor = {
        ael_bytes_from_text("Metadata-Flavor"), ael_bytes_from_text("Google")};
    struct ael_rest_request request = {
        .method = "GET",
        .url = login->url,
        .what = "the metadata server",
        .headers = &flavor,
        .header_count = 1,
        .no_proxy = true,
        .check = check_metadata,
    };
    return ael_token_answer_ask_near(
        &login->rest, call, &request,
        "no metadata server answers; off Google Cloud give credentials_file or set "
        "GOOGLE_APPLICATION_CREDENTIALS",
        grant, err);
}

static enum ael_status post_assertion(
    struct ael_kms_gcp_login *login,
    const struct ael_call *call,
    struct ael_bytes body,
    struct ael_secret *signature,
    struct ael_token_grant *grant,
    struct ael_error *err) {
    const struct ael_http_header type = {
        ael_bytes_from_text("Content-Type"), ael_bytes_from_text("application/x-www-form-urlencoded")};
    struct ael_rest_request request = {
        .method = "POST",
        .url = login->account.token_uri,
        .what = "token_uri",
        .headers = &type,
        .header_count = 1,
        .body = body,
        .secrets = {.sent_text = {{signature}}, .sent_at = body.len},
    };
    return ael_token_answer_ask(&login->rest, call, &request, grant, err);
}

static enum ael_status ask_token_uri(
    struct ael_kms_gcp_login *login,
    const struct ael_call *call,
    struct ael_token_grant *grant,
    struct ael_error *err) {
    static const char k_head[] =
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=";
    struct ael_buf body = AEL_BUF_INIT;
    struct ael_secret *signature = NULL;
    enum ael_status status = ael_buf_append(&body, ael_bytes_from_text(k_head));
    if (status != AEL_OK) {
        return ael_error_set(err, status, 0, k_component, "no memory for a request");
    }
    status = ael_kms_gcp_account_assert(&login->account, &body, &signature, err);
    if (status == AEL_OK) {
        status = post_assertion(login, call, ael_buf_view(&body), signature, grant, err);
    }
    ael_secret_release(signature);
    ael_buf_clear(&body);
    return status;
}

/* see kms/gcp/login.h */
enum ael_status ael_kms_gcp_login_run(
    struct ael_kms_gcp_login *login,
    const struct ael_call *call,
    struct ael_token_grant *grant,
    struct ael_error *err) {
    ael_metric_event("ael.kms.gcp.login");
    if (login->how == AEL_KMS_GCP_CALLBACK) {
        return ael_token_callback_run(
            k_component, login->token, login->context, AEL_HTTP_TEXT_USUAL_PIECES, call, grant, err);
    }
    return login->how == AEL_KMS_GCP_METADATA ? ask_metadata(login, call, grant, err)
                                              : ask_token_uri(login, call, grant, err);
}
