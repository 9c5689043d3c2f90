/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/vault/server.h"

#include "base/alloc.h"
#include "base/check.h"
#include "kms/rest/rest_given.h"
#include "net/url.h"

#include <stdio.h>
#include <string.h>

static const char k_component[] = "kms/vault";

enum { URL_BYTES = 1024 };

/* ---- where it is ---- */

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
    bool is_url = strncmp(address, "https://", 8) == 0 || strncmp(address, "http://", 7) == 0;
    if (!is_url || !is_clean(address, URL_BYTES / 2) || strpbrk(address, "?#@") != NULL) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, k_component,
            "the address is missing or no URL; give https://host[:port], or set VAULT_ADDR");
    }
    if (!ael_url_keeps_secrets(address)) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, k_component,
            "keys and tokens do not go over http:// beyond this machine; give https://host[:port]");
    }
    AEL_TRY(ael_rest_copy(k_component, address, &server->address, err));
    for (size_t len = strlen(address); len > 0 && address[len - 1] == '/'; len--) {
        server->address[len - 1] = '\0';
    }
    return AEL_OK;
}

static enum ael_status
set_namespace(struct ael_kms_vault_server *server, const char *name, struct ael_error *err) {
    if (!is_clean(name, URL_BYTES / 4)) {
        return ael_error_set(err, AEL_E_ARGUMENT, 0, k_component, "the namespace is no path such as team/a");
    }
    return ael_rest_copy(k_component, name, &server->name_space, err);
}

/* see kms/vault/server.h */
enum ael_status ael_kms_vault_server_init(
    struct ael_kms_vault_server *server,
    struct ael_rest *rest,
    const struct ael_kms_vault_options *options,
    struct ael_error *err) {
    const char *address = ael_rest_given_or_env(options->address, "VAULT_ADDR");
    const char *name = ael_rest_given_or_env(options->vault_namespace, "VAULT_NAMESPACE");
    server->rest = rest;
    AEL_TRY(set_address(server, address != NULL ? address : "", err));
    return set_namespace(server, name != NULL ? name : "", err);
}

/* see kms/vault/server.h */
void ael_kms_vault_server_clear(struct ael_kms_vault_server *server) {
    ael_free(server->address);
    ael_free(server->name_space);
    *server = (struct ael_kms_vault_server){.address = NULL};
}

/* ---- a request ---- */

static bool set_url(
    const struct ael_kms_vault_server *server,
    const struct ael_kms_vault_request *request,
    char url[static URL_BYTES]) {
    int len = snprintf(url, URL_BYTES, "%s/v1/%s", server->address, request->path);
    return len > 0 && len < URL_BYTES;
}

/* see kms/vault/server.h */
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
    rest.secrets.bearer_before = "X-Vault-Token: ";
    if (request->tokens != NULL) {
        return ael_rest_ask_with_token(server->rest, request->tokens, call, &rest, answer, err);
    }
    rest.secrets.bearer = request->token;
    return ael_rest_ask(server->rest, call, &rest, answer, err);
}
