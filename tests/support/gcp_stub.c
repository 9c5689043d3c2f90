/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/gcp_stub.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char k_email[] = "asherah@shop.iam.gserviceaccount.com";

enum {
    NONCE = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
    TAG = crypto_aead_xchacha20poly1305_ietf_ABYTES,
    BYTES = 512
};

/* ---- checksums, by division of polynomials: the library's does it otherwise ---- */

static uint32_t checksum(const uint8_t *bytes, size_t len) {
    uint64_t rest = 0;
    for (size_t bit = 0; bit < (len + 4) * 8; bit++) {
        size_t at = bit / 8;
        uint64_t in = at < len ? (bytes[at] >> (bit % 8)) & 1u : 0;
        in ^= bit < 32 ? 1u : 0; /* the register begins with ones */
        rest = rest << 1 | in;
        rest ^= rest >> 32 ? UINT64_C(0x11edc6f41) : 0;
    }
    uint32_t crc = 0;
    for (int bit = 0; bit < 32; bit++) {
        crc |= (uint32_t)((rest >> bit) & 1u) << (31 - bit);
    }
    return ~crc;
}

/* ---- answers ---- */

static void refuse(
    struct gcp_stub *stub, struct http_server_reply *reply, int status, const char *code, const char *why) {
    reply->status = status;
    (void)snprintf(stub->complaint, sizeof stub->complaint, "%s", why);
    (void)snprintf(
        reply->body, sizeof reply->body,
        "{\"error\": {\"code\": %d, \"message\": \"%s\", \"status\": \"%s\"}}", status, why, code);
}

/* Random, so that none of its parts is anywhere else. */
static void grant(struct gcp_stub *stub, struct http_server_reply *reply) {
    static const char k_letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    static unsigned s_number;
    int at = snprintf(stub->token, sizeof stub->token, "ya29.%u.", ++s_number);
    while ((size_t)at < stub->token_len) {
        stub->token[at++] = k_letters[randombytes_uniform(sizeof k_letters - 1)];
    }
    stub->token[at] = '\0';
    (void)snprintf(
        reply->body, sizeof reply->body,
        "{\"access_token\":\"%s\",\"expires_in\":%d,\"token_type\":\"Bearer\"}", stub->token,
        stub->expires_in);
}

/* ---- texts ---- */

/* Copies what stands between two texts. */
static bool between(const char *text, const char *before, const char *after, char *out, size_t size) {
    const char *from = strstr(text, before);
    const char *to = from == NULL ? NULL : strstr(from + strlen(before), after);
    if (to == NULL || (size_t)(to - from) - strlen(before) >= size) {
        return false;
    }
    (void)snprintf(out, size, "%.*s", (int)(to - from - (long)strlen(before)), from + strlen(before));
    return true;
}

static bool decode(const char *text, int variant, uint8_t *out, size_t size, size_t *len) {
    return sodium_base642bin(out, size, text, strlen(text), NULL, len, NULL, variant) == 0;
}

static bool header_is(const struct http_server_request *request, const char *name, const char *wanted) {
    char value[4096];
    return strcmp(http_server_header(request, name, value), wanted) == 0;
}

/* ---- the service account ---- */

static bool verify(const struct gcp_stub *stub, const char *text, size_t len, const char *signature) {
    uint8_t bytes[BYTES];
    size_t bytes_len = 0;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good =
        decode(signature, sodium_base64_VARIANT_URLSAFE_NO_PADDING, bytes, sizeof bytes, &bytes_len) &&
        EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, stub->key) == 1 &&
        EVP_DigestVerify(context, bytes, bytes_len, (const uint8_t *)text, len) == 1;
    EVP_MD_CTX_free(context);
    return good;
}

static bool claims_are_good(const struct gcp_stub *stub, const char *head, const char *claims) {
    char text[1024];
    char wanted[1024];
    size_t len = 0;
    long long iat = 0;
    if (!decode(head, sodium_base64_VARIANT_URLSAFE_NO_PADDING, (uint8_t *)text, sizeof text - 1, &len)) {
        return false;
    }
    text[len] = '\0';
    if (strcmp(text, "{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\"0123abcd\"}") != 0 ||
        !decode(claims, sodium_base64_VARIANT_URLSAFE_NO_PADDING, (uint8_t *)text, sizeof text - 1, &len)) {
        return false;
    }
    text[len] = '\0';
    const char *at = strstr(text, "\"iat\":");
    iat = at == NULL ? 0 : strtoll(at + 6, NULL, 10);
    (void)snprintf(
        wanted, sizeof wanted,
        "{\"iss\":\"%s\",\"scope\":\"https://www.googleapis.com/auth/cloudkms\",\"aud\":\"%s/"
        "token\",\"iat\":%lld,\"exp\":%lld}",
        k_email, stub->url, iat, iat + 3600);
    return strcmp(text, wanted) == 0 && llabs(iat - (long long)time(NULL)) < 300;
}

static bool assertion_is_good(struct gcp_stub *stub, const char *body) {
    static const char k_head[] =
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=";
    char head[512];
    char claims[1024];
    if (strncmp(body, k_head, sizeof k_head - 1) != 0) {
        return false;
    }
    const char *jwt = body + sizeof k_head - 1;
    const char *first = strchr(jwt, '.');
    const char *second = first == NULL ? NULL : strchr(first + 1, '.');
    if (second == NULL || first - jwt >= (long)sizeof head || second - first >= (long)sizeof claims) {
        return false;
    }
    (void)snprintf(stub->signature, sizeof stub->signature, "%s", second + 1);
    (void)snprintf(head, sizeof head, "%.*s", (int)(first - jwt), jwt);
    (void)snprintf(claims, sizeof claims, "%.*s", (int)(second - first - 1), first + 1);
    return claims_are_good(stub, head, claims) && verify(stub, jwt, (size_t)(second - jwt), second + 1);
}

static void answer_token_uri(
    struct gcp_stub *stub, const struct http_server_request *request, struct http_server_reply *reply) {
    stub->assertions++;
    if (strcmp(request->method, "POST") != 0 ||
        !header_is(request, "Content-Type", "application/x-www-form-urlencoded") ||
        !assertion_is_good(stub, request->body)) {
        reply->status = 400;
        (void)snprintf(stub->complaint, sizeof stub->complaint, "the assertion");
        (void)snprintf(reply->body, sizeof reply->body, "{\"error\":\"invalid_grant\"}");
        return;
    }
    grant(stub, reply);
}

static void answer_metadata(
    struct gcp_stub *stub, const struct http_server_request *request, struct http_server_reply *reply) {
    stub->metadata++;
    (void)snprintf(
        reply->headers, sizeof reply->headers, stub->no_flavor ? "" : "Metadata-Flavor: Google\r\n");
    if (strcmp(request->method, "GET") != 0 || request->body_len != 0 ||
        !header_is(request, "Metadata-Flavor", "Google")) {
        reply->status = 403;
        (void)snprintf(stub->complaint, sizeof stub->complaint, "the metadata request");
        return;
    }
    grant(stub, reply);
}

/* ---- KMS ---- */

/* What the body holds, or false: it must be exactly as the library writes it. */
struct asked {
    char name[256]; /* of the key */
    uint8_t bytes[BYTES];
    size_t len;
    uint8_t data[BYTES];
    size_t data_len;
};

static bool read_data(const char *body, struct asked *asked, char *members, size_t size) {
    char text[BYTES] = "";
    asked->data_len = 0;
    members[0] = '\0';
    if (!between(body, ",\"additionalAuthenticatedData\":\"", "\"", text, sizeof text)) {
        return true;
    }
    if (!decode(text, sodium_base64_VARIANT_ORIGINAL, asked->data, sizeof asked->data, &asked->data_len)) {
        return false;
    }
    (void)snprintf(
        members, size,
        ",\"additionalAuthenticatedData\":\"%s\",\"additionalAuthenticatedDataCrc32c\":\"%lu\"", text,
        (unsigned long)checksum(asked->data, asked->data_len));
    return true;
}

static bool read_body(const char *body, const char *member, struct asked *asked) {
    char before[64];
    char text[BYTES];
    char members[BYTES + 128];
    char wanted[4 * BYTES];
    (void)snprintf(before, sizeof before, "{\"%s\":\"", member);
    if (!between(body, before, "\"", text, sizeof text) ||
        !decode(text, sodium_base64_VARIANT_ORIGINAL, asked->bytes, sizeof asked->bytes, &asked->len) ||
        !read_data(body, asked, members, sizeof members)) {
        return false;
    }
    (void)snprintf(
        wanted, sizeof wanted, "{\"%s\":\"%s\",\"%sCrc32c\":\"%lu\"%s}", member, text, member,
        (unsigned long)checksum(asked->bytes, asked->len), members);
    return strcmp(body, wanted) == 0;
}

static void derive(const struct asked *asked, uint8_t key[crypto_aead_xchacha20poly1305_ietf_KEYBYTES]) {
    (void)crypto_generichash(
        key, crypto_aead_xchacha20poly1305_ietf_KEYBYTES, (const uint8_t *)asked->name, strlen(asked->name),
        NULL, 0);
}

static void encode(const uint8_t *bytes, size_t len, char *text, size_t size) {
    (void)sodium_bin2base64(text, size, bytes, len, sodium_base64_VARIANT_ORIGINAL);
}

static void encrypt(const struct asked *asked, struct http_server_reply *reply) {
    uint8_t key[crypto_aead_xchacha20poly1305_ietf_KEYBYTES];
    uint8_t out[NONCE + BYTES + TAG];
    char text[2 * BYTES];
    unsigned long long len = 0;
    derive(asked, key);
    randombytes_buf(out, NONCE);
    (void)crypto_aead_xchacha20poly1305_ietf_encrypt(
        out + NONCE, &len, asked->bytes, asked->len, asked->data, asked->data_len, NULL, out, key);
    encode(out, NONCE + (size_t)len, text, sizeof text);
    (void)snprintf(
        reply->body, sizeof reply->body,
        "{\n  \"name\": \"%s/cryptoKeyVersions/3\",\n  \"ciphertext\": \"%s\",\n  \"ciphertextCrc32c\": "
        "\"%lu\",\n"
        "  \"verifiedPlaintextCrc32c\": true,%s\n  \"protectionLevel\": \"SOFTWARE\"\n}\n",
        asked->name, text, (unsigned long)checksum(out, NONCE + (size_t)len),
        asked->data_len > 0 ? "\n  \"verifiedAdditionalAuthenticatedDataCrc32c\": true," : "");
}

static bool decrypt(const struct asked *asked, struct http_server_reply *reply) {
    uint8_t key[crypto_aead_xchacha20poly1305_ietf_KEYBYTES];
    uint8_t out[BYTES];
    char text[2 * BYTES];
    unsigned long long len = 0;
    derive(asked, key);
    if (asked->len < NONCE + TAG || crypto_aead_xchacha20poly1305_ietf_decrypt(
                                        out, &len, NULL, asked->bytes + NONCE, asked->len - NONCE,
                                        asked->data, asked->data_len, asked->bytes, key) != 0) {
        return false;
    }
    encode(out, (size_t)len, text, sizeof text);
    (void)snprintf(
        reply->body, sizeof reply->body,
        "{\n  \"plaintext\": \"%s\",\n  \"plaintextCrc32c\": \"%lu\",\n  \"usedPrimary\": true,\n"
        "  \"protectionLevel\": \"SOFTWARE\"\n}\n",
        text, (unsigned long)checksum(out, (size_t)len));
    return true;
}

static bool is_authorized(const struct gcp_stub *stub, const struct http_server_request *request) {
    char wanted[sizeof stub->token + 8];
    (void)snprintf(wanted, sizeof wanted, "Bearer %s", stub->token);
    return stub->token[0] != '\0' && header_is(request, "Authorization", wanted);
}

static void answer_kms(
    struct gcp_stub *stub, const struct http_server_request *request, struct http_server_reply *reply) {
    struct asked asked;
    bool encrypts = strstr(request->target, ":encrypt") != NULL;
    *(encrypts ? &stub->encrypts : &stub->decrypts) += 1;
    char place[sizeof asked.name] = "";
    if (strcmp(request->method, "POST") != 0 || !header_is(request, "Content-Type", "application/json")) {
        refuse(stub, reply, 404, "NOT_FOUND", "method or type");
    } else if (!is_authorized(stub, request)) {
        refuse(stub, reply, 401, "UNAUTHENTICATED", "the token");
    } else if (
        !between(
            request->target, "/v1/" GCP_STUB_RING, encrypts ? ":encrypt" : ":decrypt", place, sizeof place) ||
        strchr(place, '/') != NULL || strncmp(request->target, "/v1/", 4) != 0) {
        refuse(stub, reply, 404, "NOT_FOUND", "the path");
    } else if (!read_body(request->body, encrypts ? "plaintext" : "ciphertext", &asked)) {
        refuse(stub, reply, 400, "INVALID_ARGUMENT", "body or checksum");
    } else {
        (void)snprintf(asked.name, sizeof asked.name, "%s%.100s", GCP_STUB_RING, place);
        if (encrypts) {
            encrypt(&asked, reply);
        } else if (!decrypt(&asked, reply)) {
            refuse(stub, reply, 400, "INVALID_ARGUMENT", "Decryption failed: the ciphertext is invalid.");
        }
    }
    if (stub->spoil != NULL && stub->spoil_times > 0) {
        stub->spoil_times--;
        stub->spoil(stub, request, reply);
    }
}

static void
answer(void *context, const struct http_server_request *request, struct http_server_reply *reply) {
    struct gcp_stub *stub = context;
    if (strcmp(request->target, "/token") == 0) {
        answer_token_uri(stub, request, reply);
    } else if (strcmp(request->target, "/computeMetadata/v1/instance/service-accounts/default/token") == 0) {
        answer_metadata(stub, request, reply);
    } else {
        answer_kms(stub, request, reply);
    }
    http_server_sync();
}

/* ---- the file ---- */

static void write_escaped(FILE *file, const char *text) {
    for (; *text != '\0'; text++) {
        if (*text == '\n') {
            (void)fputs("\\n", file);
        } else {
            (void)fputc(*text, file);
        }
    }
}

static void write_key(const struct gcp_stub *stub, FILE *file) {
    char pem[4096];
    BIO *bio = BIO_new(BIO_s_mem());
    if (PEM_write_bio_PKCS8PrivateKey(bio, stub->key, NULL, NULL, 0, NULL, NULL) == 1) {
        int len = BIO_read(bio, pem, (int)sizeof pem - 1);
        pem[len < 0 ? 0 : len] = '\0';
        write_escaped(file, pem);
    }
    BIO_free(bio);
}

/* see tests/support/gcp_stub.h */
const char *gcp_stub_file(struct gcp_stub *stub, const char *type, const char *token_uri, bool with_key) {
    FILE *file = fopen(stub->file, "w");
    if (file == NULL) {
        return stub->file;
    }
    (void)fprintf(
        file, "{\n  \"type\": \"%s\",\n  \"project_id\": \"shop\",\n  \"private_key_id\": \"0123abcd\",\n",
        type);
    if (with_key) {
        (void)fputs("  \"private_key\": \"", file);
        write_key(stub, file);
        (void)fputs("\",\n", file);
    }
    if (token_uri != NULL) {
        (void)fprintf(file, "  \"token_uri\": \"%s%s\",\n", token_uri[0] == '/' ? stub->url : "", token_uri);
    }
    (void)fprintf(file, "  \"client_email\": \"%s\"\n}\n", k_email);
    (void)fclose(file);
    return stub->file;
}

/* ---- starting and stopping ---- */

/* see tests/support/gcp_stub.h */
bool gcp_stub_start(struct gcp_stub *stub) {
    static EVP_PKEY *s_key;
    *stub = (struct gcp_stub){.token_len = 1024, .expires_in = 3600};
    (void)snprintf(stub->file, sizeof stub->file, "/tmp/ael-gcp-stub-XXXXXX");
    int fd = mkstemp(stub->file);
    if (fd >= 0) {
        (void)close(fd);
    }
    s_key = s_key != NULL ? s_key : EVP_RSA_gen(2048);
    stub->key = s_key;
    stub->server = http_server_start(answer, stub);
    if (fd < 0 || s_key == NULL || stub->server == NULL) {
        return false;
    }
    (void)snprintf(stub->url, sizeof stub->url, "%s", http_server_url(stub->server));
    (void)snprintf(stub->metadata_host, sizeof stub->metadata_host, "%s", stub->url + strlen("http://"));
    return true;
}

/* see tests/support/gcp_stub.h */
bool gcp_stub_start_tls(struct gcp_stub *stub, const char *name) {
    if (!gcp_stub_start(stub)) {
        return false;
    }
    stub->front = tls_front_start(name, stub->url);
    if (stub->front != NULL) {
        (void)snprintf(stub->url, sizeof stub->url, "%s", tls_front_url(stub->front));
    }
    return stub->front != NULL;
}

/* see tests/support/gcp_stub.h */
void gcp_stub_stop(struct gcp_stub *stub) {
    tls_front_stop(stub->front);
    if (stub->server != NULL) {
        http_server_stop(stub->server);
    }
    (void)unlink(stub->file);
}

/* see tests/support/gcp_stub.h */
void gcp_stub_options(const struct gcp_stub *stub, struct ael_kms_gcp_options *options) {
    options->key = GCP_STUB_RING "orders";
    options->endpoint = stub->url;
    options->auth = AEL_KMS_GCP_METADATA;
    options->metadata_host = stub->metadata_host;
    options->ca_file = stub->front == NULL ? NULL : tls_front_ca_file(stub->front);
    options->try_timeout_ms = 20000;
}
