/*
 * crypto/aead.c - AES-256-GCM through OpenSSL 3's EVP interface.
 *
 * Every call makes a context and frees it. Freeing resets it first, and a reset hands the provider's part,
 * where the key schedule and the GHASH table live, to OPENSSL_clear_free. A kept context would save one small
 * allocation of several; it is not worth a place where a schedule could be forgotten.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "crypto/aead.h"

#include "base/sync.h"
#include "base/wipe.h"

#include <limits.h>
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

static enum ael_status seal_in(
    EVP_CIPHER_CTX *ctx, const uint8_t *key, const uint8_t *nonce, struct ael_bytes plain, uint8_t *sealed) {
    uint8_t *tag = sealed + plain.len;
    int written = 0;
    bool done =
        EVP_EncryptInit_ex2(ctx, gcm_cipher(), key, nonce, NULL) == 1 &&
        (plain.len == 0 || EVP_EncryptUpdate(ctx, sealed, &written, plain.data, (int)plain.len) == 1) &&
        EVP_EncryptFinal_ex(ctx, tag, &written) == 1 &&
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, AEL_AEAD_TAG_BYTES, tag) == 1;
    return done ? AEL_OK : AEL_E_CRYPTO;
}

static enum ael_status
open_in(EVP_CIPHER_CTX *ctx, const uint8_t *key, struct ael_bytes sealed, uint8_t *plain) {
    size_t len = sealed.len - AEL_AEAD_OVERHEAD_BYTES;
    const uint8_t *nonce = sealed.data + len + AEL_AEAD_TAG_BYTES;
    uint8_t tag[AEL_AEAD_TAG_BYTES]; /* EVP wants it writable */
    uint8_t end[EVP_MAX_BLOCK_LENGTH];
    int written = 0;
    memcpy(tag, sealed.data + len, sizeof tag);
    bool ready = EVP_DecryptInit_ex2(ctx, gcm_cipher(), key, nonce, NULL) == 1 &&
                 EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, AEL_AEAD_TAG_BYTES, tag) == 1 &&
                 (len == 0 || EVP_DecryptUpdate(ctx, plain, &written, sealed.data, (int)len) == 1);
    if (!ready) {
        return AEL_E_CRYPTO;
    }
    return EVP_DecryptFinal_ex(ctx, end, &written) == 1 ? AEL_OK : AEL_E_AUTHENTICATION;
}

/* The host's queue of OpenSSL errors stays as it was: what was queued since the mark goes. */
static void leave(EVP_CIPHER_CTX *ctx) {
    EVP_CIPHER_CTX_free(ctx);
    ERR_pop_to_mark();
    ael_wipe_stack();
}

/* see crypto/aead.h */
enum ael_status ael_aead_seal(
    const uint8_t key[static AEL_AEAD_KEY_BYTES],
    const uint8_t nonce[static AEL_AEAD_NONCE_BYTES],
    struct ael_bytes plain,
    uint8_t *sealed) {
    if (plain.len > INT_MAX) {
        return AEL_E_TOO_LARGE;
    }
    enum ael_status status = AEL_E_NO_MEMORY;
    ERR_set_mark();
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (ctx != NULL) {
        status = seal_in(ctx, key, nonce, plain, sealed);
    }
    leave(ctx);
    if (status != AEL_OK) {
        ael_wipe(sealed, plain.len + AEL_AEAD_OVERHEAD_BYTES);
        return status;
    }
    memcpy(sealed + plain.len + AEL_AEAD_TAG_BYTES, nonce, AEL_AEAD_NONCE_BYTES);
    return AEL_OK;
}

/* see crypto/aead.h */
enum ael_status
ael_aead_open(const uint8_t key[static AEL_AEAD_KEY_BYTES], struct ael_bytes sealed, uint8_t *plain) {
    if (sealed.len < AEL_AEAD_OVERHEAD_BYTES) {
        return AEL_E_AUTHENTICATION;
    }
    if (sealed.len - AEL_AEAD_OVERHEAD_BYTES > INT_MAX) {
        return AEL_E_TOO_LARGE;
    }
    enum ael_status status = AEL_E_NO_MEMORY;
    ERR_set_mark();
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (ctx != NULL) {
        status = open_in(ctx, key, sealed, plain);
    }
    leave(ctx);
    if (status != AEL_OK) {
        ael_wipe(plain, sealed.len - AEL_AEAD_OVERHEAD_BYTES);
    }
    return status;
}
