/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http/secrets.h"

#include "base/check.h"
#include "securememory/scratch.h"
#include "securememory/sealed_key.h"

#include <sodium.h>

enum { HASH_STATE_AT = 256 }; /* in a slot, behind the key and its text */

/* see net/http/secrets.h */
int ael_http_secrets_variant(const struct ael_http_secrets *secrets) {
    return secrets->is_url64 ? sodium_base64_VARIANT_URLSAFE_NO_PADDING : sodium_base64_VARIANT_ORIGINAL;
}

/* see net/http/secrets.h */
size_t ael_http_secrets_key_len(const struct ael_secret *key, int variant) {
    return key == NULL ? 0 : sodium_base64_encoded_len(ael_secret_len(key), variant) - 1;
}

/* see net/http/secrets.h */
enum ael_status ael_http_secrets_put_key(struct ael_secret *key, int variant, uint8_t *out, size_t room) {
    uint8_t *plain = out + room - AEL_HTTP_SECRET_BYTES;
    size_t len = ael_secret_len(key);
    AEL_TRY(ael_secret_open_into(key, plain, AEL_HTTP_SECRET_BYTES));
    (void)sodium_bin2base64((char *)out, room - AEL_HTTP_SECRET_BYTES, plain, len, variant);
    return AEL_OK;
}

/* libsodium's, because its state lies where we say. */
static void hash_in_slot(
    uint8_t *slot,
    struct ael_bytes body,
    size_t at,
    size_t secret_len,
    char text[static AEL_HTTP_BODY_HASH_BYTES]) {
    uint8_t hash[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_state *state = (void *)(slot + HASH_STATE_AT);
    (void)crypto_hash_sha256_init(state);
    if (body.len > 0) {
        (void)crypto_hash_sha256_update(state, body.data, at);
    }
    (void)crypto_hash_sha256_update(state, slot, secret_len);
    if (body.len > at) {
        (void)crypto_hash_sha256_update(state, body.data + at, body.len - at);
    }
    (void)crypto_hash_sha256_final(state, hash);
    (void)sodium_bin2hex(text, AEL_HTTP_BODY_HASH_BYTES, hash, sizeof hash);
}

/* see net/http/secrets.h */
enum ael_status ael_http_secrets_hash(
    struct ael_bytes body,
    const struct ael_http_secrets *secrets,
    char hash[static AEL_HTTP_BODY_HASH_BYTES]) {
    struct ael_scratch scratch;
    int variant = ael_http_secrets_variant(secrets);
    size_t at = secrets->sent == NULL ? body.len : secrets->sent_at;
    if (at > body.len || ael_secret_len(secrets->sent) > AEL_HTTP_SECRET_BYTES) {
        return AEL_E_ARGUMENT;
    }
    AEL_TRY(ael_scratch_begin(&scratch, NULL));
    enum ael_status status =
        secrets->sent == NULL
            ? AEL_OK
            : ael_http_secrets_put_key(secrets->sent, variant, scratch.bytes, HASH_STATE_AT);
    if (status == AEL_OK) {
        hash_in_slot(scratch.bytes, body, at, ael_http_secrets_key_len(secrets->sent, variant), hash);
    }
    enum ael_status ended = ael_scratch_end(&scratch);
    return status == AEL_OK ? ended : status;
}
