/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/gcp/account.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/json.h"
#include "kms/gcp/rsa.h"
#include "net/file.h"
#include "net/url.h"
#include "securememory/scratch.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

static const char k_component[] = "kms/gcp";
static const char k_scope[] = "https://www.googleapis.com/auth/cloudkms";

enum { FILE_MAX = 64 << 10, TEXT_MAX = 512, LIFE_S = 3600, CLAIMS_BYTES = 4 * TEXT_MAX };

/* What of the file is needed; wiped when cleared. */
struct content {
    struct ael_buf json;
    struct ael_buf type;
    struct ael_buf email;
    struct ael_buf key_id;
    struct ael_buf token_uri;
    struct ael_buf private_key; /* PEM */
};

#define CONTENT_INIT                                                                                         \
    { AEL_BUF_INIT, AEL_BUF_INIT, AEL_BUF_INIT, AEL_BUF_INIT, AEL_BUF_INIT, AEL_BUF_INIT }

static void content_clear(struct content *content) {
    ael_buf_clear(&content->json);
    ael_buf_clear(&content->type);
    ael_buf_clear(&content->email);
    ael_buf_clear(&content->key_id);
    ael_buf_clear(&content->token_uri);
    ael_buf_clear(&content->private_key);
}

static enum ael_status refuse(const char *file, const char *why, struct ael_error *err) {
    return ael_error_set(err, AEL_E_KEY_FILE, 0, k_component, "the credentials file %.100s %s", file, why);
}

/* ---- the file ---- */

static enum ael_status read_file(const char *file, struct ael_buf *json, struct ael_error *err) {
    enum ael_status status = ael_file_read(file, "the credentials file", FILE_MAX, json, err);
    if (status == AEL_OK || status == AEL_E_NO_MEMORY) {
        return status;
    }
    return refuse(
        file, "is missing, cannot be read, or is no file of credentials; check its path and mode", err);
}

static enum ael_status take_text(struct ael_json_reader *reader, struct ael_buf *out) {
    struct ael_bytes raw = ael_json_read_raw_string(reader);
    return reader->status != AEL_OK ? AEL_OK : ael_json_unescape(raw, out);
}

static enum ael_status read_members(struct content *content, bool *whole) {
    static const char *const k_names[] = {
        "type", "client_email", "private_key_id", "token_uri", "private_key"};
    struct ael_buf *const outs[] = {
        &content->type, &content->email, &content->key_id, &content->token_uri, &content->private_key};
    struct ael_json_reader reader;
    struct ael_json_members members;
    ael_json_reader_init(&reader, ael_buf_view(&content->json));
    ael_json_members_begin(&members, &reader, k_names, sizeof k_names / sizeof k_names[0]);
    while (ael_json_members_next(&members, &reader)) {
        AEL_TRY(take_text(&reader, outs[members.which]));
    }
    *whole = ael_json_finish(&reader) == AEL_OK;
    return AEL_OK;
}

static bool is_text(const struct ael_buf *text, const char *wanted) {
    return text->len == strlen(wanted) && memcmp(text->data, wanted, text->len) == 0;
}

/* Printable, and nothing that JSON or a sentence would stumble over. */
static bool is_clean(const struct ael_buf *text) {
    for (size_t i = 0; i < text->len; i++) {
        uint8_t byte = text->data[i];
        if (byte <= ' ' || byte >= 0x7f || byte == '"' || byte == '\\') {
            return false;
        }
    }
    return text->len > 0 && text->len <= TEXT_MAX;
}

static enum ael_status check_members(const char *file, const struct content *content, struct ael_error *err) {
    if (!is_text(&content->type, "service_account")) {
        return refuse(
            file,
            "is not of type service_account; others, as external_account, are not read: use the callback",
            err);
    }
    if (!is_clean(&content->email) || !is_clean(&content->key_id) || !is_clean(&content->token_uri)) {
        return refuse(file, "lacks client_email, private_key_id or token_uri; download it anew", err);
    }
    return AEL_OK;
}

static enum ael_status read_content(const char *file, struct content *content, struct ael_error *err) {
    bool whole = false;
    AEL_TRY(read_file(file, &content->json, err));
    enum ael_status status = read_members(content, &whole);
    if (status == AEL_E_NO_MEMORY) {
        return ael_error_set(err, status, 0, k_component, "no memory for credentials");
    }
    if (status != AEL_OK || !whole) {
        return refuse(file, "is no JSON; download it anew", err);
    }
    return check_members(file, content, err);
}

/* ---- its key ---- */

/* The base64 between the two lines of the PEM. */
static struct ael_bytes pem_text(struct ael_bytes pem) {
    static const char k_begin[] = "-----BEGIN PRIVATE KEY-----";
    static const char k_end[] = "-----END PRIVATE KEY-----";
    const uint8_t *begin = pem.len == 0 ? NULL : memmem(pem.data, pem.len, k_begin, sizeof k_begin - 1);
    if (begin == NULL) {
        return (struct ael_bytes){NULL, 0};
    }
    begin += sizeof k_begin - 1;
    size_t left = pem.len - (size_t)(begin - pem.data);
    const uint8_t *end = memmem(begin, left, k_end, sizeof k_end - 1);
    return end == NULL ? (struct ael_bytes){NULL, 0} : (struct ael_bytes){begin, (size_t)(end - begin)};
}

/* NULL: no RSA key, or no memory. OpenSSL's own readers would leave the key behind, in each form that it
 * passes through. */
static EVP_PKEY *parse_key(const struct content *content) {
    struct ael_bytes text = pem_text(ael_buf_view(&content->private_key));
    size_t len = 0;
    EVP_PKEY *key = NULL;
    uint8_t *der = text.len == 0 ? NULL : ael_alloc(text.len);
    if (der != NULL && sodium_base642bin(
                           der, text.len, (const char *)text.data, text.len, "\r\n", &len, NULL,
                           sodium_base64_VARIANT_ORIGINAL) == 0) {
        key = ael_kms_gcp_rsa_read(der, len);
    }
    ael_free_wiped(der, text.len);
    return key;
}

/* Signature and its text fit in one slot. */
static bool has_room(const EVP_PKEY *key) {
    int size = EVP_PKEY_get_size(key);
    return size > 0 &&
           (size_t)size + sodium_base64_ENCODED_LEN((size_t)size, sodium_base64_VARIANT_URLSAFE_NO_PADDING) <=
               AEL_SCRATCH_BYTES;
}

static enum ael_status
take_key(const char *file, const struct content *content, EVP_PKEY **key, struct ael_error *err) {
    *key = parse_key(content);
    if (*key == NULL) {
        return refuse(file, "holds no private key of RSA; download it anew", err);
    }
    if (!has_room(*key)) {
        EVP_PKEY_free(*key);
        *key = NULL;
        return refuse(file, "holds a private key that is too long; use one of 2048 bits", err);
    }
    return AEL_OK;
}

/* ---- signing ---- */

static enum ael_status append_url64(struct ael_buf *out, const char *text) {
    char coded[sodium_base64_ENCODED_LEN(CLAIMS_BYTES, sodium_base64_VARIANT_URLSAFE_NO_PADDING)];
    (void)sodium_bin2base64(
        coded, sizeof coded, (const uint8_t *)text, strlen(text), sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    AEL_TRY(ael_buf_append(out, ael_bytes_from_text(coded)));
    return AEL_OK;
}

/* "<header>.<claims>" */
static enum ael_status write_claims(const struct content *content, struct ael_buf *out) {
    char text[CLAIMS_BYTES];
    int64_t now_s = ael_clock_wall_s();
    (void)snprintf(
        text, sizeof text, "{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\"%.*s\"}", (int)content->key_id.len,
        (const char *)content->key_id.data);
    AEL_TRY(append_url64(out, text));
    AEL_TRY(ael_buf_append(out, ael_bytes_from_text(".")));
    (void)snprintf(
        text, sizeof text, "{\"iss\":\"%.*s\",\"scope\":\"%s\",\"aud\":\"%.*s\",\"iat\":%lld,\"exp\":%lld}",
        (int)content->email.len, (const char *)content->email.data, k_scope, (int)content->token_uri.len,
        (const char *)content->token_uri.data, (long long)now_s, (long long)now_s + LIFE_S);
    return append_url64(out, text);
}

static bool sign_with(EVP_MD_CTX *context, EVP_PKEY *key, struct ael_bytes text, uint8_t *out, size_t *len) {
    (void)ERR_set_mark();
    bool done = context != NULL && EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
                EVP_DigestSign(context, out, len, text.data, text.len) == 1;
    (void)ERR_pop_to_mark();
    return done;
}

/* In the slot: the signature, and its text behind it, which becomes the secret. */
static enum ael_status
sign_in_slot(EVP_PKEY *key, struct ael_bytes text, uint8_t *slot, struct ael_secret **signature) {
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    size_t len = (size_t)EVP_PKEY_get_size(key);
    bool done = sign_with(context, key, text, slot, &len);
    EVP_MD_CTX_free(context);
    if (!done) {
        return AEL_E_CRYPTO;
    }
    char *coded = (char *)slot + len;
    (void)sodium_bin2base64(
        coded, AEL_SCRATCH_BYTES - len, slot, len, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    return ael_secret_new((uint8_t *)coded, strlen(coded), signature);
}

static enum ael_status sign(EVP_PKEY *key, struct ael_bytes text, struct ael_secret **signature) {
    struct ael_scratch scratch;
    AEL_TRY(ael_scratch_begin(&scratch, NULL));
    enum ael_status status = sign_in_slot(key, text, scratch.bytes, signature);
    enum ael_status ended = ael_scratch_end(&scratch);
    return status == AEL_OK ? ended : status;
}

static enum ael_status write_assertion(
    const struct content *content,
    EVP_PKEY *key,
    struct ael_buf *text,
    struct ael_secret **signature,
    struct ael_error *err) {
    size_t from = text->len;
    enum ael_status status = write_claims(content, text);
    if (status == AEL_OK) {
        status = sign(key, (struct ael_bytes){text->data + from, text->len - from}, signature);
    }
    if (status == AEL_OK) {
        status = ael_buf_append(text, ael_bytes_from_text("."));
    }
    return status == AEL_OK ? AEL_OK
                            : ael_error_set(
                                  err, status, 0, k_component, "signing with the service account's key: %s",
                                  ael_status_text(status));
}

/* see kms/gcp/account.h */
enum ael_status ael_kms_gcp_account_assert(
    const struct ael_kms_gcp_account *account,
    struct ael_buf *text,
    struct ael_secret **signature,
    struct ael_error *err) {
    struct content content = CONTENT_INIT;
    EVP_PKEY *key = NULL;
    *signature = NULL;
    enum ael_status status = read_content(account->file, &content, err);
    if (status == AEL_OK && !is_text(&content.token_uri, account->token_uri)) {
        status =
            refuse(account->file, "has another token_uri than when the KMS was made; make a new one", err);
    }
    if (status == AEL_OK) {
        status = take_key(account->file, &content, &key, err);
    }
    if (status == AEL_OK) {
        status = write_assertion(&content, key, text, signature, err);
    }
    if (status != AEL_OK) {
        ael_secret_release(*signature);
        *signature = NULL;
    }
    EVP_PKEY_free(key);
    content_clear(&content);
    return status;
}

/* ---- making and ending ---- */

static char *copy(const void *text, size_t len) {
    char *copied = ael_alloc(len + 1);
    if (copied != NULL) {
        memcpy(copied, text, len);
    }
    return copied;
}

static enum ael_status keep(
    struct ael_kms_gcp_account *account,
    const char *file,
    const struct content *content,
    struct ael_error *err) {
    account->file = copy(file, strlen(file));
    account->token_uri = copy(content->token_uri.data, content->token_uri.len);
    if (account->file == NULL || account->token_uri == NULL) {
        return ael_error_set(err, AEL_E_NO_MEMORY, 0, k_component, "no memory for credentials");
    }
    return ael_url_keeps_secrets(account->token_uri)
               ? AEL_OK
               : refuse(file, "has a token_uri that is no https:// address; is it Google's?", err);
}

/* see kms/gcp/account.h */
enum ael_status
ael_kms_gcp_account_init(struct ael_kms_gcp_account *account, const char *file, struct ael_error *err) {
    struct content content = CONTENT_INIT;
    EVP_PKEY *key = NULL;
    enum ael_status status = read_content(file, &content, err);
    if (status == AEL_OK) {
        status = take_key(file, &content, &key, err);
    }
    if (status == AEL_OK) {
        status = keep(account, file, &content, err);
    }
    EVP_PKEY_free(key);
    content_clear(&content);
    return status;
}

/* see kms/gcp/account.h */
void ael_kms_gcp_account_clear(struct ael_kms_gcp_account *account) {
    ael_free(account->file);
    ael_free(account->token_uri);
    *account = (struct ael_kms_gcp_account){NULL, NULL};
}
