/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/azure_stub.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

enum { KEY = 32, BYTES = 1024, URL64 = sodium_base64_VARIANT_URLSAFE_NO_PADDING };

#define RESOURCE "https%3A%2F%2Fvault.azure.net"

static bool header_is(const struct http_server_request *request, const char *name, const char *wanted) {
    char value[4096];
    return strcmp(http_server_header(request, name, value), wanted) == 0;
}

static void complain(struct azure_stub *stub, const char *what) {
    (void)snprintf(stub->complaint, sizeof stub->complaint, "%s", what);
}

/* ---- tokens ---- */

/* Random, so that none of its parts is anywhere else. */
static void make_text(char *text, size_t len) {
    static const char k_letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (size_t i = 0; i < len; i++) {
        text[i] = k_letters[randombytes_uniform(sizeof k_letters - 1)];
    }
    text[len] = '\0';
}

static void make_credentials(struct azure_stub *stub) {
    make_text(stub->secret, 40);
    memcpy(stub->secret + 17, "~./+=&%", 7);
    make_text(stub->assertion, sizeof stub->assertion - 1);
    stub->assertion[40] = '.';
    stub->assertion[900] = '.';
}

enum lifetime { NUMBER, TEXTS, TIME_ALONE };

/* Each of the three writes lifetimes in another way. */
static void grant(struct azure_stub *stub, struct http_server_reply *reply, enum lifetime lifetime) {
    char times[256];
    long long ends = (long long)time(NULL) + stub->expires_in;
    make_text(stub->token, stub->token_len < sizeof stub->token ? stub->token_len : sizeof stub->token - 1);
    switch (lifetime) {
    case NUMBER:
        (void)snprintf(times, sizeof times, "\"token_type\":\"Bearer\",\"expires_in\":%d,", stub->expires_in);
        break;
    case TEXTS:
        (void)snprintf(
            times, sizeof times, "\"expires_in\":\"%d\",\"expires_on\":\"%lld\",\"resource\":\"r\",",
            stub->expires_in, ends);
        break;
    case TIME_ALONE:
        (void)snprintf(times, sizeof times, "\"expires_on\":\"%lld\",\"token_type\":\"Bearer\",", ends);
        break;
    }
    (void)snprintf(reply->body, sizeof reply->body, "{%s\"access_token\":\"%s\"}", times, stub->token);
}

static bool
target_is(const struct azure_stub *stub, const struct http_server_request *request, const char *before) {
    char wanted[512];
    (void)snprintf(
        wanted, sizeof wanted, "%s&resource=%s%s%s", before, RESOURCE,
        stub->client != NULL ? "&client_id=" : "", stub->client != NULL ? stub->client : "");
    return strcmp(request->target, wanted) == 0 && strcmp(request->method, "GET") == 0 &&
           request->body_len == 0;
}

static void refuse_token(
    struct azure_stub *stub,
    struct http_server_reply *reply,
    int status,
    const char *error,
    const char *what) {
    complain(stub, what);
    reply->status = status;
    (void)snprintf(
        reply->body, sizeof reply->body, "{\"error\":\"%s\",\"error_description\":\"%s\"}", error, what);
}

static void answer_instance(
    struct azure_stub *stub, const struct http_server_request *request, struct http_server_reply *reply) {
    stub->instance++;
    if (!header_is(request, "Metadata", "true")) {
        refuse_token(stub, reply, 400, "bad_request_102", "Required metadata header not specified");
    } else if (!target_is(stub, request, "/metadata/identity/oauth2/token?api-version=2018-02-01")) {
        refuse_token(stub, reply, 400, "invalid_request", "Identity not found");
    } else {
        grant(stub, reply, TEXTS);
    }
}

static void answer_app_service(
    struct azure_stub *stub, const struct http_server_request *request, struct http_server_reply *reply) {
    stub->app_service++;
    if (!header_is(request, "X-IDENTITY-HEADER", AZURE_STUB_HEADER) || !header_is(request, "Metadata", "") ||
        !target_is(stub, request, "/msi/token?api-version=2019-08-01")) {
        complain(stub, "App Service's request");
        reply->status = 401;
        return;
    }
    grant(stub, reply, TIME_ALONE);
}

/* Decodes a form's value, in place. */
static void decode_form(char *text) {
    char *to = text;
    for (const char *from = text; *from != '\0'; from++) {
        unsigned byte = 0;
        if (*from == '%' && sscanf(from + 1, "%2x", &byte) == 1) {
            *to++ = (char)byte;
            from += 2;
        } else {
            *to++ = *from;
        }
    }
    *to = '\0';
}

static void answer_tenant(
    struct azure_stub *stub, const struct http_server_request *request, struct http_server_reply *reply) {
    static const char k_form[] =
        "client_id=" AZURE_STUB_CLIENT "&scope=" RESOURCE "%2F.default&grant_type=client_credentials&client_";
    static const char k_assertion[] =
        "assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion=";
    char body[4096];
    (void)snprintf(body, sizeof body, "%.4000s", request->body);
    char *rest = body + sizeof k_form - 1;
    if (strcmp(request->method, "POST") != 0 ||
        !header_is(request, "Content-Type", "application/x-www-form-urlencoded") ||
        strncmp(body, k_form, sizeof k_form - 1) != 0) {
        refuse_token(stub, reply, 400, "invalid_request", "AADSTS900144: the form");
        return;
    }
    if (strncmp(rest, k_assertion, sizeof k_assertion - 1) == 0) {
        stub->assertions++;
        if (strcmp(rest + sizeof k_assertion - 1, stub->assertion) != 0) {
            refuse_token(stub, reply, 401, "invalid_client", "AADSTS700213: no matching federated identity");
            return;
        }
    } else {
        stub->secrets++;
        bool plain = strncmp(rest, "secret=", 7) == 0 && strpbrk(rest + 7, "&+=/") == NULL;
        decode_form(rest);
        if (!plain || strcmp(rest + 7, stub->secret) != 0) {
            refuse_token(
                stub, reply, 401, "invalid_client", "AADSTS7000215: Invalid client secret provided.");
            return;
        }
    }
    grant(stub, reply, NUMBER);
}

/* ---- the vault ---- */

static void refuse(
    struct azure_stub *stub,
    struct http_server_reply *reply,
    int status,
    const char *code,
    const char *what) {
    complain(stub, what);
    reply->status = status;
    if (status == 401) {
        (void)snprintf(
            reply->headers, sizeof reply->headers,
            "WWW-Authenticate: Bearer authorization=\"https://login.microsoftonline.com/" AZURE_STUB_TENANT
            "\", resource=\"https://vault.azure.net\"\r\n");
    }
    (void)snprintf(
        reply->body, sizeof reply->body, "{\"error\":{\"code\":\"%s\",\"message\":\"%s\"}}", code, what);
}

/* What was asked for, taken apart. */
struct asked {
    char name[64];
    char version[40];
    bool is_wrap;
    bool is_rsa;
    uint8_t bytes[BYTES];
    size_t len;
};

/* /keys/<name>/<version>/wrapkey?api-version=7.4, and nothing else; the version may be empty. */
static bool read_target(const struct azure_stub *stub, const char *target, struct asked *asked) {
    char action[16] = "";
    char wanted[256];
    if (sscanf(target, "/keys/%63[^/]/%39[0-9a-z]/%15[a-z]", asked->name, asked->version, action) != 3) {
        asked->version[0] = '\0';
        if (sscanf(target, "/keys/%63[^/]//%15[a-z]", asked->name, action) != 2) {
            return false;
        }
    }
    asked->is_wrap = strcmp(action, "wrapkey") == 0;
    (void)snprintf(
        wanted, sizeof wanted, "/keys/%s/%s/%s?api-version=7.4", asked->name, asked->version,
        asked->is_wrap ? "wrapkey" : "unwrapkey");
    if (strcmp(target, wanted) != 0 || (asked->version[0] == '\0' && !asked->is_wrap)) {
        return false;
    }
    if (asked->version[0] == '\0') {
        (void)snprintf(asked->version, sizeof asked->version, "%s", stub->latest);
    }
    return true;
}

static bool is_there(const struct asked *asked) {
    return (strcmp(asked->name, "orders") == 0 || strcmp(asked->name, "other") == 0) &&
           (strcmp(asked->version, AZURE_STUB_OLD) == 0 || strcmp(asked->version, AZURE_STUB_NEW) == 0);
}

/* The body must be written exactly so. */
static bool read_body(const char *body, struct asked *asked) {
    char alg[16] = "";
    char value[2 * BYTES] = "";
    char wanted[2 * BYTES + 64];
    if (sscanf(body, "{\"alg\":\"%15[^\"]\",\"value\":\"%2047[^\"]\"}", alg, value) != 2) {
        return false;
    }
    (void)snprintf(wanted, sizeof wanted, "{\"alg\":\"%s\",\"value\":\"%s\"}", alg, value);
    asked->is_rsa = strcmp(alg, "RSA-OAEP-256") == 0;
    return strcmp(body, wanted) == 0 && (asked->is_rsa || strcmp(alg, "A256KW") == 0) &&
           sodium_base642bin(
               asked->bytes, sizeof asked->bytes, value, strlen(value), NULL, &asked->len, NULL, URL64) == 0;
}

static EVP_PKEY_CTX *new_oaep(const struct azure_stub *stub, const struct asked *asked) {
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(stub->key, NULL);
    char label[128];
    int len = snprintf(label, sizeof label, "%s/%s", asked->name, asked->version);
    (void)(asked->is_wrap ? EVP_PKEY_encrypt_init(context) : EVP_PKEY_decrypt_init(context));
    (void)EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_OAEP_PADDING);
    (void)EVP_PKEY_CTX_set_rsa_oaep_md(context, EVP_sha256());
    (void)EVP_PKEY_CTX_set_rsa_mgf1_md(context, EVP_sha256());
    (void)EVP_PKEY_CTX_set0_rsa_oaep_label(context, OPENSSL_strdup(label), len);
    return context;
}

static bool by_rsa(const struct azure_stub *stub, const struct asked *asked, uint8_t *out, size_t *len) {
    EVP_PKEY_CTX *context = new_oaep(stub, asked);
    *len = BYTES;
    bool good = (asked->is_wrap ? EVP_PKEY_encrypt(context, out, len, asked->bytes, asked->len)
                                : EVP_PKEY_decrypt(context, out, len, asked->bytes, asked->len)) == 1;
    EVP_PKEY_CTX_free(context);
    return good;
}

static bool by_aes(const struct asked *asked, uint8_t *out, size_t *len) {
    uint8_t key[KEY];
    char place[128];
    int part = 0;
    (void)snprintf(place, sizeof place, "%s/%s", asked->name, asked->version);
    (void)crypto_generichash(key, sizeof key, (const uint8_t *)place, strlen(place), NULL, 0);
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    EVP_CIPHER_CTX_set_flags(context, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    bool good = EVP_CipherInit_ex(context, EVP_aes_256_wrap(), NULL, key, NULL, asked->is_wrap) == 1 &&
                EVP_CipherUpdate(context, out, &part, asked->bytes, (int)asked->len) == 1;
    EVP_CIPHER_CTX_free(context);
    *len = (size_t)part;
    return good && part > 0;
}

static void
wrap_or_unwrap(struct azure_stub *stub, const struct asked *asked, struct http_server_reply *reply) {
    uint8_t out[BYTES];
    char text[2 * BYTES];
    size_t len = 0;
    if (asked->is_wrap && asked->len != KEY) {
        refuse(stub, reply, 400, "BadParameter", "the length of the key");
        return;
    }
    if (!(asked->is_rsa ? by_rsa(stub, asked, out, &len) : by_aes(asked, out, &len))) {
        refuse(stub, reply, 400, "BadParameter", "The parameter is incorrect.");
        return;
    }
    (void)sodium_bin2base64(text, sizeof text, out, len, URL64);
    (void)snprintf(
        reply->body, sizeof reply->body, "{\"kid\":\"%s/keys/%s/%s\",\"value\":\"%s\"}",
        stub->kid != NULL ? stub->kid : stub->url, asked->name, asked->version, text);
}

/* Not by http_server_header, which has no room for a long one. */
static bool is_authorized(const struct azure_stub *stub, const struct http_server_request *request) {
    char wanted[sizeof stub->token + 32];
    int len = snprintf(wanted, sizeof wanted, "\r\nAuthorization: Bearer %s\r\n", stub->token);
    bool first = strncmp(request->headers, wanted + 2, (size_t)len - 2) == 0;
    return stub->token[0] != '\0' && (first || strstr(request->headers, wanted) != NULL);
}

static void answer_vault(
    struct azure_stub *stub, const struct http_server_request *request, struct http_server_reply *reply) {
    struct asked asked = {.len = 0};
    *(strstr(request->target, "/wrapkey") != NULL ? &stub->wraps : &stub->unwraps) += 1;
    if (!is_authorized(stub, request)) {
        refuse(stub, reply, 401, "Unauthorized", "the token");
    } else if (
        strcmp(request->method, "POST") != 0 || !header_is(request, "Content-Type", "application/json") ||
        !read_target(stub, request->target, &asked)) {
        refuse(stub, reply, 400, "BadParameter", "method, type, path or query");
    } else if (!is_there(&asked)) {
        refuse(stub, reply, 404, "KeyNotFound", "A key with this name or version was not found");
    } else if (!read_body(request->body, &asked)) {
        refuse(stub, reply, 400, "BadParameter", "the body");
    } else {
        wrap_or_unwrap(stub, &asked, reply);
    }
    if (stub->spoil != NULL && stub->spoil_times > 0) {
        stub->spoil_times--;
        stub->spoil(stub, request, reply);
    }
}

static bool begins(const char *text, const char *with) {
    return strncmp(text, with, strlen(with)) == 0;
}

static void
answer(void *context, const struct http_server_request *request, struct http_server_reply *reply) {
    struct azure_stub *stub = context;
    if (begins(request->target, "/metadata/")) {
        answer_instance(stub, request, reply);
    } else if (begins(request->target, "/msi/")) {
        answer_app_service(stub, request, reply);
    } else if (strcmp(request->target, "/" AZURE_STUB_TENANT "/oauth2/v2.0/token") == 0) {
        answer_tenant(stub, request, reply);
    } else {
        answer_vault(stub, request, reply);
    }
    OPENSSL_thread_stop(); /* what OpenSSL keeps for a thread is nobody's in a child of fork */
    http_server_sync();
}

/* ---- starting and stopping ---- */

/* see tests/support/azure_stub.h */
const char *azure_stub_file(const struct azure_stub *stub, const char *text, const char *behind) {
    FILE *file = fopen(stub->file, "w");
    if (file != NULL) {
        (void)fputs(text, file);
        (void)fputs(behind, file);
        (void)fclose(file);
    }
    return stub->file;
}

/* see tests/support/azure_stub.h */
bool azure_stub_start(struct azure_stub *stub) {
    static EVP_PKEY *s_key;
    *stub = (struct azure_stub){.token_len = 1500, .expires_in = 3600, .latest = AZURE_STUB_OLD};
    (void)snprintf(stub->file, sizeof stub->file, "/tmp/ael-azure-stub-XXXXXX");
    int fd = mkstemp(stub->file);
    if (fd >= 0) {
        (void)close(fd);
    }
    s_key = s_key != NULL ? s_key : EVP_RSA_gen(2048);
    stub->key = s_key;
    make_credentials(stub);
    stub->server = http_server_start(answer, stub);
    if (fd < 0 || s_key == NULL || stub->server == NULL) {
        return false;
    }
    (void)snprintf(stub->url, sizeof stub->url, "%s", http_server_url(stub->server));
    (void)snprintf(stub->identity, sizeof stub->identity, "%s", stub->url);
    return true;
}

/* see tests/support/azure_stub.h */
bool azure_stub_start_tls(struct azure_stub *stub, const char *name) {
    if (!azure_stub_start(stub)) {
        return false;
    }
    stub->front = tls_front_start(name, stub->url);
    if (stub->front != NULL) {
        (void)snprintf(stub->url, sizeof stub->url, "%s", tls_front_url(stub->front));
    }
    return stub->front != NULL;
}

/* see tests/support/azure_stub.h */
void azure_stub_stop(struct azure_stub *stub) {
    tls_front_stop(stub->front);
    if (stub->server != NULL) {
        http_server_stop(stub->server);
    }
    (void)unlink(stub->file);
}

/* see tests/support/azure_stub.h */
void azure_stub_options(const struct azure_stub *stub, struct ael_kms_azure_options *options) {
    options->vault = stub->url;
    options->key = "orders";
    options->auth = AEL_KMS_AZURE_MANAGED_IDENTITY;
    options->identity_endpoint = stub->identity;
    options->authority = stub->url;
    options->resource = "https://vault.azure.net";
    options->ca_file = stub->front == NULL ? NULL : tls_front_ca_file(stub->front);
    options->try_timeout_ms = 20000;
}
