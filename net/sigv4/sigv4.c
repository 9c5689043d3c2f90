/* SPDX-License-Identifier: Apache-2.0 */
#include "net/sigv4/sigv4.h"

#include "base/check.h"
#include "base/wipe.h"
#include "net/sigv4/canonical.h"
#include "securememory/scratch.h"
#include "securememory/sealed_key.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

static const char k_component[] = "net/sigv4";

enum {
    HASH_BYTES = 32,
    DAY_BYTES = 8, /* of the date */
    /* In the scratch slot: "AWS4" and the secret key, then two keys in turn. */
    PREFIX_BYTES = 4,
    KEYS_AT = 320,
};

_Static_assert(PREFIX_BYTES + AEL_CREDENTIALS_SECRET_MAX <= KEYS_AT, "the secret key and its prefix");
_Static_assert(KEYS_AT + 2 * HASH_BYTES <= AEL_SCRATCH_BYTES, "two keys behind it");

static enum ael_status failed(struct ael_error *err, enum ael_status status, const char *why) {
    return ael_error_set(err, status, 0, k_component, "%s", why);
}

static void to_hex(const uint8_t hash[static HASH_BYTES], char text[static AEL_SIGV4_HASH_TEXT_BYTES]) {
    static const char k_digits[] = "0123456789abcdef";
    for (size_t i = 0; i < HASH_BYTES; i++) {
        text[2 * i] = k_digits[hash[i] >> 4];
        text[2 * i + 1] = k_digits[hash[i] & 15];
    }
    text[(size_t)2 * HASH_BYTES] = '\0';
}

static enum ael_status hash_to_hex(struct ael_bytes bytes, char text[static AEL_SIGV4_HASH_TEXT_BYTES]) {
    uint8_t hash[HASH_BYTES];
    const void *data = bytes.data == NULL ? (const void *)"" : bytes.data;
    if (EVP_Digest(data, bytes.len, hash, NULL, EVP_sha256(), NULL) != 1) {
        return AEL_E_CRYPTO;
    }
    to_hex(hash, text);
    return AEL_OK;
}

static enum ael_status
body_hash_of(const struct ael_sigv4_request *request, char text[static AEL_SIGV4_HASH_TEXT_BYTES]) {
    if (request->body_hash == NULL) {
        return hash_to_hex(request->body, text);
    }
    size_t len = strnlen(request->body_hash, AEL_SIGV4_HASH_TEXT_BYTES);
    if (len != AEL_SIGV4_HASH_TEXT_BYTES - 1) {
        return AEL_E_ARGUMENT;
    }
    memcpy(text, request->body_hash, AEL_SIGV4_HASH_TEXT_BYTES);
    return AEL_OK;
}

/* ---- what is signed ---- */

static enum ael_status append_text(struct ael_buf *out, const char *text) {
    return ael_buf_append(out, ael_bytes_from_text(text));
}

/* "20150830/us-east-1/service/aws4_request" */
static enum ael_status
append_scope(struct ael_buf *out, const struct ael_sigv4_scope *scope, const char *date) {
    AEL_TRY(ael_buf_append(out, (struct ael_bytes){(const uint8_t *)date, DAY_BYTES}));
    AEL_TRY(append_text(out, "/"));
    AEL_TRY(append_text(out, scope->region));
    AEL_TRY(append_text(out, "/"));
    AEL_TRY(append_text(out, scope->service));
    return append_text(out, "/aws4_request");
}

static enum ael_status write_string_to_sign(
    struct ael_buf *out, const struct ael_sigv4_scope *scope, const char *date, struct ael_bytes canonical) {
    char hash[AEL_SIGV4_HASH_TEXT_BYTES];
    AEL_TRY(hash_to_hex(canonical, hash));
    AEL_TRY(append_text(out, "AWS4-HMAC-SHA256\n"));
    AEL_TRY(append_text(out, date));
    AEL_TRY(append_text(out, "\n"));
    AEL_TRY(append_scope(out, scope, date));
    AEL_TRY(append_text(out, "\n"));
    return append_text(out, hash);
}

/* The request's headers and those that are added and signed. */
static size_t collect_headers(
    const struct ael_sigv4_request *request,
    const struct ael_sigv4_scope *scope,
    const struct ael_sigv4_signed *added,
    struct ael_http_header *headers) {
    size_t count = request->header_count;
    if (count > 0) {
        memcpy(headers, request->headers, count * sizeof headers[0]);
    }
    headers[count++] =
        (struct ael_http_header){ael_bytes_from_text("x-amz-date"), ael_bytes_from_text(added->date)};
    if (added->token.len > 0 && !scope->leave_token_alone) {
        headers[count++] =
            (struct ael_http_header){ael_bytes_from_text("x-amz-security-token"), added->token};
    }
    if (added->body_hash[0] != '\0') {
        headers[count++] = (struct ael_http_header){
            ael_bytes_from_text("x-amz-content-sha256"), ael_bytes_from_text(added->body_hash)};
    }
    return count;
}

/* ---- the signature ---- */

static bool hmac(EVP_MAC_CTX *mac, const uint8_t *key, size_t key_len, struct ael_bytes text, uint8_t *out) {
    char digest[] = "SHA256";
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end()};
    size_t len = 0;
    return EVP_MAC_init(mac, key, key_len, parameters) == 1 &&
           EVP_MAC_update(mac, text.data, text.len) == 1 && EVP_MAC_final(mac, out, &len, HASH_BYTES) == 1 &&
           len == HASH_BYTES;
}

/* The chain of keys, each the HMAC of a part of the scope under the one before; then the signature. */
static bool sign_with(
    EVP_MAC_CTX *mac,
    uint8_t *bytes,
    size_t secret_len,
    const struct ael_sigv4_scope *scope,
    const char *date,
    struct ael_bytes text,
    uint8_t signature[static HASH_BYTES]) {
    uint8_t *one = bytes + KEYS_AT;
    uint8_t *two = one + HASH_BYTES;
    memcpy(bytes, "AWS4", PREFIX_BYTES);
    return hmac(
               mac, bytes, PREFIX_BYTES + secret_len, (struct ael_bytes){(const uint8_t *)date, DAY_BYTES},
               one) &&
           hmac(mac, one, HASH_BYTES, ael_bytes_from_text(scope->region), two) &&
           hmac(mac, two, HASH_BYTES, ael_bytes_from_text(scope->service), one) &&
           hmac(mac, one, HASH_BYTES, ael_bytes_from_text("aws4_request"), two) &&
           hmac(mac, two, HASH_BYTES, text, signature);
}

static enum ael_status sign_in_scratch(
    EVP_MAC_CTX *mac,
    const struct ael_credentials *credentials,
    const struct ael_call *call,
    const struct ael_sigv4_scope *scope,
    const char *date,
    struct ael_bytes text,
    uint8_t signature[static HASH_BYTES]) {
    struct ael_scratch scratch;
    struct ael_secret *secret = ael_credentials_secret(credentials);
    AEL_TRY(ael_scratch_begin(&scratch, call));
    enum ael_status status =
        ael_secret_open_into(secret, scratch.bytes + PREFIX_BYTES, AEL_CREDENTIALS_SECRET_MAX);
    if (status == AEL_OK &&
        !sign_with(mac, scratch.bytes, ael_secret_len(secret), scope, date, text, signature)) {
        status = AEL_E_CRYPTO;
    }
    enum ael_status ended = ael_scratch_end(&scratch);
    return status == AEL_OK ? ended : status;
}

static enum ael_status compute_signature(
    const struct ael_credentials *credentials,
    const struct ael_call *call,
    const struct ael_sigv4_scope *scope,
    const char *date,
    struct ael_bytes text,
    char hex[static AEL_SIGV4_HASH_TEXT_BYTES]) {
    uint8_t signature[HASH_BYTES] = {0};
    EVP_MAC *algorithm = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *mac = algorithm == NULL ? NULL : EVP_MAC_CTX_new(algorithm);
    enum ael_status status =
        mac == NULL ? AEL_E_CRYPTO : sign_in_scratch(mac, credentials, call, scope, date, text, signature);
    EVP_MAC_CTX_free(mac); /* it holds the last key */
    EVP_MAC_free(algorithm);
    ael_wipe_deep_stack();
    to_hex(signature, hex);
    return status;
}

static enum ael_status write_authorization(
    struct ael_buf *out,
    const struct ael_credentials *credentials,
    const struct ael_sigv4_scope *scope,
    const char *date,
    struct ael_bytes names,
    const char *signature) {
    AEL_TRY(append_text(out, "AWS4-HMAC-SHA256 Credential="));
    AEL_TRY(ael_buf_append(out, ael_credentials_access_key_id(credentials)));
    AEL_TRY(append_text(out, "/"));
    AEL_TRY(append_scope(out, scope, date));
    AEL_TRY(append_text(out, ", SignedHeaders="));
    AEL_TRY(ael_buf_append(out, names));
    AEL_TRY(append_text(out, ", Signature="));
    return append_text(out, signature);
}

/* Everything behind the date and the body's hash, which are in *out. */
static enum ael_status sign_texts(
    const struct ael_credentials *credentials,
    const struct ael_call *call,
    const struct ael_sigv4_request *request,
    const struct ael_sigv4_scope *scope,
    const char *body_hash,
    struct ael_sigv4_signed *out) {
    struct ael_http_header headers[AEL_SIGV4_MAX_HEADERS + AEL_SIGV4_ADDED_HEADERS];
    struct ael_buf canonical = AEL_BUF_INIT;
    struct ael_buf names = AEL_BUF_INIT;
    struct ael_buf text = AEL_BUF_INIT;
    char signature[AEL_SIGV4_HASH_TEXT_BYTES];
    size_t count = collect_headers(request, scope, out, headers);
    enum ael_status status =
        ael_sigv4_canonical_request(&canonical, &names, request, scope->keep_path, headers, count, body_hash);
    if (status == AEL_OK) {
        status = write_string_to_sign(&text, scope, out->date, ael_buf_view(&canonical));
    }
    if (status == AEL_OK) {
        status = compute_signature(credentials, call, scope, out->date, ael_buf_view(&text), signature);
    }
    if (status == AEL_OK) {
        status = write_authorization(
            &out->authorization, credentials, scope, out->date, ael_buf_view(&names), signature);
    }
    ael_buf_clear(&canonical);
    ael_buf_clear(&names);
    ael_buf_clear(&text);
    return status;
}

/* see net/sigv4/sigv4.h */
enum ael_status ael_sigv4_sign(
    const struct ael_credentials *credentials,
    const struct ael_call *call,
    const struct ael_sigv4_request *request,
    const struct ael_sigv4_scope *scope,
    struct ael_sigv4_signed *out,
    struct ael_error *err) {
    char body_hash[AEL_SIGV4_HASH_TEXT_BYTES];
    ael_sigv4_signed_clear(out);
    if (request->header_count > AEL_SIGV4_MAX_HEADERS || !ael_date_to_basic(scope->time_s, out->date)) {
        return failed(
            err, AEL_E_ARGUMENT, "too many headers to sign, or a clock without a date; set the clock");
    }
    enum ael_status status = body_hash_of(request, body_hash);
    if (status == AEL_OK) {
        out->token = ael_credentials_token(credentials);
        memcpy(out->body_hash, body_hash, scope->send_body_hash ? sizeof body_hash : 0);
        status = sign_texts(credentials, call, request, scope, body_hash, out);
    }
    if (status == AEL_OK) {
        return AEL_OK;
    }
    ael_sigv4_signed_clear(out);
    return failed(
        err, status,
        status == AEL_E_ARGUMENT ? "the Host header is not among the signed ones" : ael_status_text(status));
}

static struct ael_http_header header(const char *name, struct ael_bytes value) {
    return (struct ael_http_header){ael_bytes_from_text(name), value};
}

/* see net/sigv4/sigv4.h */
size_t ael_sigv4_headers(const struct ael_sigv4_signed *signed_request, struct ael_http_header *headers) {
    size_t count = 0;
    headers[count++] = header("X-Amz-Date", ael_bytes_from_text(signed_request->date));
    if (signed_request->token.len > 0) {
        headers[count++] = header("X-Amz-Security-Token", signed_request->token);
    }
    if (signed_request->body_hash[0] != '\0') {
        headers[count++] = header("X-Amz-Content-Sha256", ael_bytes_from_text(signed_request->body_hash));
    }
    headers[count++] = header("Authorization", ael_buf_view(&signed_request->authorization));
    return count;
}

/* see net/sigv4/sigv4.h */
void ael_sigv4_signed_clear(struct ael_sigv4_signed *signed_request) {
    ael_buf_clear(&signed_request->authorization);
    *signed_request = (struct ael_sigv4_signed){.authorization = AEL_BUF_INIT};
}
