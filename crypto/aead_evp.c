/*
 * crypto/aead_evp.c - AES-256-GCM through OpenSSL 3's EVP interface.
 *
 * Every call makes a context and frees it. Freeing resets it first, and a reset hands the provider's part,
 * where the key schedule and the GHASH table live, to OPENSSL_clear_free. A kept context would save one small
 * allocation of several; it is not worth a place where a schedule could be forgotten.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/sync.h"
#include "base/tls.h"
#include "base/wipe.h"
#include "crypto/aead_engine.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdatomic.h>
#include <string.h>

/* Fetched once, for the life of the process. The exchange's release pairs with the load's acquire. */
static _Atomic(EVP_CIPHER *) s_cipher;

/* The first fetch reads OpenSSL's configuration: a thread cancelled there would keep our slot and locks. */
static EVP_CIPHER *fetch_cipher(void) {
    int cancel = ael_cancel_disable();
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    ael_cancel_restore(cancel);
    return cipher;
}

static const EVP_CIPHER *gcm_cipher(void) {
    EVP_CIPHER *known = atomic_load_explicit(&s_cipher, memory_order_acquire);
    if (known != NULL) {
        return known;
    }
    EVP_CIPHER *fetched = fetch_cipher();
    if (fetched == NULL) {
        return NULL;
    }
    if (!atomic_compare_exchange_strong_explicit(
            &s_cipher, &known, fetched, memory_order_acq_rel, memory_order_acquire)) {
        EVP_CIPHER_free(fetched); /* another thread was first */
        return known;
    }
    return fetched;
}

static struct ael_mutex s_first_lock = AEL_MUTEX_INIT;
static AEL_TLS bool t_has_state;

/* OpenSSL makes a thread's error queue at its first call, under a lock of its own; under one of ours as well, a fork
 * waits for it (base/fork.h), and the child does not find it held. */
static void make_state(void) {
    ael_mutex_lock(&s_first_lock);
    ERR_set_mark();
    ERR_pop_to_mark();
    ael_mutex_unlock(&s_first_lock);
    t_has_state = true;
}

static EVP_CIPHER_CTX *begin(void) {
    if (!t_has_state) {
        make_state();
    }
    ERR_set_mark();
    return EVP_CIPHER_CTX_new();
}

/* The host's queue of OpenSSL errors stays as it was: what was queued since the mark goes. A signal in the middle of the
 * cipher's call, deep in the stack, left its frame with round keys there. */
static enum ael_status end(EVP_CIPHER_CTX *ctx, enum ael_status status) {
    EVP_CIPHER_CTX_free(ctx);
    ERR_pop_to_mark();
    ael_wipe_deep_stack();
    return ctx == NULL ? AEL_E_NO_MEMORY : status;
}

static bool seal_with(
    EVP_CIPHER_CTX *ctx,
    const uint8_t *key,
    const uint8_t *nonce,
    const uint8_t *in,
    size_t len,
    uint8_t *out,
    uint8_t *tag) {
    int written = 0;
    return EVP_EncryptInit_ex2(ctx, gcm_cipher(), key, nonce, NULL) == 1 &&
           (len == 0 || EVP_EncryptUpdate(ctx, out, &written, in, (int)len) == 1) &&
           EVP_EncryptFinal_ex(ctx, tag, &written) == 1 &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, AEL_AEAD_TAG_BYTES, tag) == 1;
}

static bool evp_is_available(void) {
    return true;
}

/* The key alone is kept: a schedule would be on OpenSSL's heap. */
static enum ael_status evp_expand(uint8_t *schedule, const uint8_t *key) {
    memcpy(schedule, key, AEL_AEAD_KEY_BYTES);
    return AEL_OK;
}

static enum ael_status evp_seal(
    const uint8_t *schedule,
    uint8_t *state,
    const uint8_t *nonce,
    const uint8_t *in,
    size_t len,
    uint8_t *out,
    uint8_t *tag) {
    (void)state;
    EVP_CIPHER_CTX *ctx = begin();
    bool done = ctx != NULL && seal_with(ctx, schedule, nonce, in, len, out, tag);
    return end(ctx, done ? AEL_OK : AEL_E_CRYPTO);
}

static enum ael_status open_with(
    EVP_CIPHER_CTX *ctx,
    const uint8_t *key,
    const uint8_t *nonce,
    const uint8_t *in,
    size_t len,
    const uint8_t *tag,
    uint8_t *out) {
    uint8_t expected[AEL_AEAD_TAG_BYTES]; /* EVP wants it writable */
    uint8_t rest[EVP_MAX_BLOCK_LENGTH];
    int written = 0;
    memcpy(expected, tag, sizeof expected);
    bool ready = EVP_DecryptInit_ex2(ctx, gcm_cipher(), key, nonce, NULL) == 1 &&
                 EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, AEL_AEAD_TAG_BYTES, expected) == 1 &&
                 (len == 0 || EVP_DecryptUpdate(ctx, out, &written, in, (int)len) == 1);
    if (!ready) {
        return AEL_E_CRYPTO;
    }
    return EVP_DecryptFinal_ex(ctx, rest, &written) == 1 ? AEL_OK : AEL_E_AUTHENTICATION;
}

static enum ael_status evp_open(
    const uint8_t *schedule,
    uint8_t *state,
    const uint8_t *nonce,
    const uint8_t *in,
    size_t len,
    const uint8_t *tag,
    uint8_t *out) {
    (void)state;
    EVP_CIPHER_CTX *ctx = begin();
    enum ael_status status = ctx == NULL ? AEL_E_NO_MEMORY : open_with(ctx, schedule, nonce, in, len, tag, out);
    return end(ctx, status);
}

const struct ael_aead_engine ael_aead_evp = {
    "evp", AEL_AEAD_KEY_BYTES, evp_is_available, evp_expand, evp_seal, evp_open};
