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
    int choice = !fips && ael_aead_sodium.is_available() ? SODIUM_MAY : EVP_ONLY;
    atomic_store_explicit(&s_choice, choice, memory_order_relaxed);
    return choice;
}

/* see crypto/aead_engine.h */
const struct ael_aead_engine *ael_aead_engine_for(size_t len) {
    int choice = atomic_load_explicit(&s_choice, memory_order_relaxed);
    if (choice == NOT_ASKED) {
        choice = choose();
    }
    return choice == SODIUM_MAY && len <= SODIUM_MAX_BYTES ? &ael_aead_sodium : &ael_aead_evp;
}

/* see crypto/aead.h */
const char *ael_aead_engine_name(size_t len) {
    return ael_aead_engine_for(len)->name;
}

/* see crypto/aead_engine.h */
size_t ael_aead_engines(const struct ael_aead_engine *engines[static AEL_AEAD_ENGINES_MAX]) {
    static const struct ael_aead_engine *const k_all[] = {&ael_aead_evp, &ael_aead_sodium};
    size_t count = 0;
    for (size_t i = 0; i < sizeof k_all / sizeof k_all[0]; i++) {
        if (k_all[i]->is_available()) {
            engines[count++] = k_all[i];
        }
    }
    return count;
}

/* see crypto/aead_engine.h */
enum ael_status ael_aead_seal_expanded(
    const struct ael_aead_engine *engine,
    const uint8_t *schedule,
    uint8_t *state,
    const uint8_t nonce[static AEL_AEAD_NONCE_BYTES],
    struct ael_bytes plain,
    uint8_t *sealed) {
    if (plain.len > INT_MAX) {
        return AEL_E_TOO_LARGE;
    }
    uint8_t *tag = sealed + plain.len;
    enum ael_status status = engine->seal(schedule, state, nonce, plain.data, plain.len, sealed, tag);
    if (status != AEL_OK) {
        ael_wipe(sealed, plain.len + AEL_AEAD_OVERHEAD_BYTES);
        return status;
    }
    memcpy(tag + AEL_AEAD_TAG_BYTES, nonce, AEL_AEAD_NONCE_BYTES);
    return AEL_OK;
}

/* see crypto/aead_engine.h */
enum ael_status ael_aead_open_expanded(
    const struct ael_aead_engine *engine,
    const uint8_t *schedule,
    uint8_t *state,
    struct ael_bytes sealed,
    uint8_t *plain) {
    if (sealed.len < AEL_AEAD_OVERHEAD_BYTES) {
        return AEL_E_AUTHENTICATION;
    }
    size_t len = sealed.len - AEL_AEAD_OVERHEAD_BYTES;
    if (len > INT_MAX) {
        return AEL_E_TOO_LARGE;
    }
    const uint8_t *tag = sealed.data + len;
    enum ael_status status =
        engine->open(schedule, state, tag + AEL_AEAD_TAG_BYTES, sealed.data, len, tag, plain);
    if (status != AEL_OK) {
        ael_wipe(plain, len);
    }
    return status;
}

/* An engine with a key set up: by the caller's work, or the key itself. */
struct keyed {
    const struct ael_aead_engine *engine;
    const uint8_t *schedule;
    uint8_t *state;
};

static enum ael_status set_up(uint8_t *work, const uint8_t *key, size_t len, struct keyed *keyed) {
    if (work == NULL) {
        *keyed = (struct keyed){&ael_aead_evp, key, NULL};
        return AEL_OK;
    }
    *keyed = (struct keyed){ael_aead_engine_for(len), work, work + AEL_AEAD_SCHEDULE_BYTES};
    return keyed->engine == NULL ? AEL_E_CRYPTO : keyed->engine->expand(work, key);
}

/* see crypto/aead.h */
enum ael_status ael_aead_seal(
    uint8_t *work,
    const uint8_t key[static AEL_AEAD_KEY_BYTES],
    const uint8_t nonce[static AEL_AEAD_NONCE_BYTES],
    struct ael_bytes plain,
    uint8_t *sealed) {
    struct keyed keyed;
    if (plain.len > INT_MAX) {
        return AEL_E_TOO_LARGE;
    }
    enum ael_status status = set_up(work, key, plain.len, &keyed);
    if (status != AEL_OK) {
        ael_wipe(sealed, plain.len + AEL_AEAD_OVERHEAD_BYTES);
        return status;
    }
    return ael_aead_seal_expanded(keyed.engine, keyed.schedule, keyed.state, nonce, plain, sealed);
}

/* see crypto/aead.h */
enum ael_status
ael_aead_open(uint8_t *work, const uint8_t key[static AEL_AEAD_KEY_BYTES], struct ael_bytes sealed, uint8_t *plain) {
    struct keyed keyed;
    if (sealed.len < AEL_AEAD_OVERHEAD_BYTES) {
        return AEL_E_AUTHENTICATION;
    }
    size_t len = sealed.len - AEL_AEAD_OVERHEAD_BYTES;
    if (len > INT_MAX) {
        return AEL_E_TOO_LARGE;
    }
    enum ael_status status = set_up(work, key, len, &keyed);
    if (status != AEL_OK) {
        ael_wipe(plain, len);
        return status;
    }
    return ael_aead_open_expanded(keyed.engine, keyed.schedule, keyed.state, sealed, plain);
}
