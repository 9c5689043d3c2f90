/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/aead.h"

#include "base/check.h"
#include "base/wipe.h"
#include "crypto/aead_engine.h"

#include <limits.h>
#include <string.h>

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

/* An engine with a key set up in the caller's work, or EVP with the key itself. */
struct keyed {
    const struct ael_aead_engine *engine;
    const uint8_t *schedule;
    uint8_t *state;
};

static enum ael_status set_up(uint8_t *work, const uint8_t *key, size_t len, struct keyed *keyed) {
    if (work == NULL) {
        *keyed = (struct keyed){NULL, key, NULL};
        return ael_aead_choose_evp(&keyed->engine);
    }
    *keyed = (struct keyed){NULL, work, work + AEL_AEAD_SCHEDULE_BYTES};
    AEL_TRY(ael_aead_choose(len, &keyed->engine));
    return keyed->engine->expand(work, key);
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
