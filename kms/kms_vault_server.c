/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/kms_vault_server.h"

#include "base/alloc.h"
#include "base/check.h"
#include "net/url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char k_component[] = "kms/vault";

static const struct ael_rest_kind k_kind = {
    .component = k_component,
    .asleep = "Vault is not asked, because it failed again and again; it is tried every some seconds",
    .retry = "ael.kms.vault.retry",
    .breaker =
        {"ael.kms.vault.breaker_opened", "ael.kms.vault.breaker_half_opened", "ael.kms.vault.breaker_closed"},
    .refusal = ael_kms_vault_refusal,
};

enum { URL_BYTES = 1024 };

/* ---- where it is ---- */

/* What is given, else what the environment says; "" when neither does. */
static const char *given_or_env(const char *given, const char *variable) {
    const char *value = given != NULL ? given : getenv(variable);
    return value == NULL ? "" : value;
}

static char *copy(const char *text, size_t len) {
    char *copied = ael_alloc(len + 1);
    if (copied != NULL) {
        memcpy(copied, text, len);
        copied[len] = '\0';
    }
    return copied;
}

static bool is_clean(const char *text, size_t max) {
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        if (text[i] <= ' ' || text[i] >= 0x7f) {
            return false;
        }
    }
    return len <= max;
}

static enum ael_status
set_address(struct ael_kms_vault_server *server, const char *address, struct ael_error *err) {
    size_t len = strlen(address);
    bool is_url = strncmp(address, "https://", 8) == 0 || strncmp(address, "http://", 7) == 0;
    if (!is_url || !is_clean(address, URL_BYTES / 2) || strpbrk(address, "?#@") != NULL) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, k_component,
            "the address is missing or no URL; give https://host[:port], or set VAULT_ADDR");
    }
    while (len > 0 && address[len - 1] == '/') {
        len--;
    }
    if (!ael_url_keeps_secrets(address)) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, k_component,
            "keys and tokens do not go over http:// beyond this machine; give https://host[:port]");
    }
    server->address = copy(address, len);
    return server->address != NULL ? AEL_OK : AEL_E_NO_MEMORY;
}

static enum ael_status
set_namespace(struct ael_kms_vault_server *server, const char *name, struct ael_error *err) {
    if (!is_clean(name, URL_BYTES / 4)) {
        return ael_error_set(err, AEL_E_ARGUMENT, 0, k_component, "the namespace is no path such as team/a");
    }
    server->name_space = copy(name, strlen(name));
    return server->name_space != NULL ? AEL_OK : AEL_E_NO_MEMORY;
}

static enum ael_status init_rest(
    struct ael_kms_vault_server *server, const struct ael_kms_vault_options *options, struct ael_error *err) {
    struct ael_rest_options rest = {
        .http = AEL_HTTP_OPTIONS_INIT,
        .try_timeout_ms = options->try_timeout_ms,
        .max_tries = options->max_tries,
    };
    bool given = options->ca_file != NULL || options->ca_path != NULL;
    const char *ca_file = given ? options->ca_file : getenv("VAULT_CACERT");
    const char *ca_path = given ? options->ca_path : getenv("VAULT_CAPATH");
    rest.http.ca_file = ca_file == NULL || ca_file[0] == '\0' ? NULL : ca_file;
    rest.http.ca_path = ca_path == NULL || ca_path[0] == '\0' ? NULL : ca_path;
    rest.http.client_cert = options->client_cert;
    rest.http.client_key = options->client_key;
    rest.http.max_connections = options->max_connections;
    rest.http.connect_timeout_ms = options->connect_timeout_ms;
    return ael_rest_init(&server->rest, &k_kind, &rest, err);
}

/* see kms/kms_vault_server.h */
enum ael_status ael_kms_vault_server_init(
    struct ael_kms_vault_server *server, const struct ael_kms_vault_options *options, struct ael_error *err) {
    enum ael_status status = set_address(server, given_or_env(options->address, "VAULT_ADDR"), err);
    if (status == AEL_OK) {
        status = set_namespace(server, given_or_env(options->vault_namespace, "VAULT_NAMESPACE"), err);
    }
    if (status == AEL_E_NO_MEMORY) {
        (void)ael_error_set(err, status, 0, k_component, "no memory for a KMS");
    }
    if (status == AEL_OK) {
        status = init_rest(server, options, err);
    }
    if (status != AEL_OK) {
        ael_kms_vault_server_clear(server);
    }
    return status;
}

/* see kms/kms_vault_server.h */
void ael_kms_vault_server_clear(struct ael_kms_vault_server *server) {
    ael_rest_clear(&server->rest);
    ael_free(server->address);
    ael_free(server->name_space);
    server->address = NULL;
    server->name_space = NULL;
}

/* ---- a request ---- */

static bool set_url(
    const struct ael_kms_vault_server *server,
    const struct ael_kms_vault_request *request,
    char url[static URL_BYTES]) {
    int len = snprintf(url, URL_BYTES, "%s/v1/%s", server->address, request->path);
    return len > 0 && len < URL_BYTES;
}

/* see kms/kms_vault_server.h */
enum ael_status ael_kms_vault_ask(
    struct ael_kms_vault_server *server,
    const struct ael_call *call,
    const struct ael_kms_vault_request *request,
    struct ael_rest_answer *answer,
    struct ael_error *err) {
    char url[URL_BYTES];
    const struct ael_http_header headers[] = {
        {ael_bytes_from_text("Content-Type"), ael_bytes_from_text("application/json")},
        {ael_bytes_from_text("X-Vault-Request"), ael_bytes_from_text("true")},
        {ael_bytes_from_text("X-Vault-Namespace"), ael_bytes_from_text(server->name_space)},
    };
    struct ael_rest_request rest = {
        .method = "POST",
        .url = url,
        .what = request->path,
        .headers = headers,
        .header_count = server->name_space[0] == '\0' ? 2 : 3,
        .body = request->body,
        .secrets = request->secrets,
    };
    *answer = (struct ael_rest_answer){.body = AEL_BUF_INIT};
    if (!set_url(server, request, url)) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, k_component, "%.80s: the address is too long", request->path);
    }
    rest.secrets.bearer = request->token;
    rest.secrets.bearer_before = "X-Vault-Token: ";
    return ael_rest_ask(&server->rest, call, &rest, answer, err);
}
