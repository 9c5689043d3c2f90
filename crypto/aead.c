/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/aead.h"

#include "base/wipe.h"
#include "crypto/aead_engine.h"

#include <limits.h>
#include <openssl/evp.h>
#include <stdatomic.h>
#include <string.h>

/* Interpolated, not measured: libsodium was faster at 1 KiB and OpenSSL at 8 KiB (docs/crypto.md). */
enum { SODIUM_MAX_BYTES = 1536 };

enum { NOT_ASKED = 0, SODIUM_MAY = 1, EVP_ONLY = 2 };

/* Relaxed: each thread that asks comes to the same answer. */
static atomic_int s_choice;

/* In FIPS mode OpenSSL's provider alone does cryptography. */
static int choose(void) {
    bool fips = EVP_default_properties_is_fips_enabled(NULL) == 1;
    int choice = !fips && ael_aead_sodium_is_available() ? SODIUM_MAY : EVP_ONLY;
    atomic_store_explicit(&s_choice, choice, memory_order_relaxed);
    return choice;
}

static const struct ael_aead_engine *engine_for(const uint8_t *work, size_t len) {
    int choice = atomic_load_explicit(&s_choice, memory_order_relaxed);
    if (choice == NOT_ASKED) {
        choice = choose();
    }
    return choice == SODIUM_MAY && work != NULL && len <= SODIUM_MAX_BYTES ? &ael_aead_sodium : &ael_aead_evp;
}

/* see crypto/aead.h */
const char *ael_aead_engine_name(size_t len) {
    static const uint8_t k_some_work;
    return engine_for(&k_some_work, len)->name;
}

/* see crypto/aead.h */
enum ael_status ael_aead_seal(
    uint8_t *work,
    const uint8_t key[static AEL_AEAD_KEY_BYTES],
    const uint8_t nonce[static AEL_AEAD_NONCE_BYTES],
    struct ael_bytes plain,
    uint8_t *sealed) {
    if (plain.len > INT_MAX) {
        return AEL_E_TOO_LARGE;
    }
    uint8_t *tag = sealed + plain.len;
    enum ael_status status =
        engine_for(work, plain.len)->seal(work, key, nonce, plain.data, plain.len, sealed, tag);
    if (status != AEL_OK) {
        ael_wipe(sealed, plain.len + AEL_AEAD_OVERHEAD_BYTES);
        return status;
    }
    memcpy(tag + AEL_AEAD_TAG_BYTES, nonce, AEL_AEAD_NONCE_BYTES);
    return AEL_OK;
}

/* see crypto/aead.h */
enum ael_status
ael_aead_open(uint8_t *work, const uint8_t key[static AEL_AEAD_KEY_BYTES], struct ael_bytes sealed, uint8_t *plain) {
    if (sealed.len < AEL_AEAD_OVERHEAD_BYTES) {
        return AEL_E_AUTHENTICATION;
    }
    size_t len = sealed.len - AEL_AEAD_OVERHEAD_BYTES;
    if (len > INT_MAX) {
        return AEL_E_TOO_LARGE;
    }
    const uint8_t *tag = sealed.data + len;
    enum ael_status status =
        engine_for(work, len)->open(work, key, tag + AEL_AEAD_TAG_BYTES, sealed.data, len, tag, plain);
    if (status != AEL_OK) {
        ael_wipe(plain, len);
    }
    return status;
}
