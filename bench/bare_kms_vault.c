/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/bare_kms.h"
#include "tests/support/vault_server.h"

#include <sodium.h>
#include <stdio.h>

static const struct vault_server *s_server;
static char s_token[256];
static char s_token_header[300];

static const char *start(void) {
    s_server = vault_server();
    if (s_server == NULL || !vault_server_token("{\"policies\":[\"asherah\"],\"ttl\":\"1h\"}", s_token)) {
        return NULL;
    }
    (void)snprintf(s_token_header, sizeof s_token_header, "X-Vault-Token: %s", s_token);
    return s_server->ca_file;
}

static enum ael_status make(const char *url, const char *ca_file, struct ael_kms **kms) {
    struct ael_kms_vault_options options = AEL_KMS_VAULT_OPTIONS_INIT;
    char token[sizeof s_token];
    (void)snprintf(token, sizeof token, "%s", s_token);
    options.address = url == NULL ? s_server->url : url;
    options.key = "asherah";
    options.token = token;
    options.no_renewal = true;
    options.ca_file = ca_file;
    options.try_timeout_ms = 20000;
    options.connect_timeout_ms = 10000;
    return ael_kms_vault_new(&options, kms, NULL);
}

static bool request(struct ael_bytes sealed, struct bare_curl_request *request) {
    static char body[2048];
    static char url[128];
    bool decrypts = sealed.len > 0;
    if (decrypts) {
        (void)snprintf(
            body, sizeof body, "{\"ciphertext\":\"%.*s\"}", (int)sealed.len, (const char *)sealed.data);
    } else {
        uint8_t key[32] = {1};
        char text[48];
        (void)sodium_bin2base64(text, sizeof text, key, sizeof key, sodium_base64_VARIANT_ORIGINAL);
        (void)snprintf(body, sizeof body, "{\"plaintext\":\"%s\"}", text);
    }
    (void)snprintf(
        url, sizeof url, "%s/v1/transit/%s/asherah", s_server->url, decrypts ? "decrypt" : "encrypt");
    *request = (struct bare_curl_request){
        .url = url,
        .headers = {"Content-Type: application/json", "X-Vault-Request: true", s_token_header},
        .body = body,
    };
    return true;
}

const struct bare_kms g_bare_kms_vault = {"vault", start, make, request};
