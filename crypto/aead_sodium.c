/* SPDX-License-Identifier: Apache-2.0 */
#include "base/wipe.h"
#include "crypto/aead_engine.h"

#include <sodium.h>

enum { STATE_BYTES = sizeof(crypto_aead_aes256gcm_state) };

_Static_assert((int)STATE_BYTES <= (int)AEL_AEAD_SCHEDULE_BYTES, "libsodium's state fits");
_Static_assert(crypto_aead_aes256gcm_ABYTES == AEL_AEAD_TAG_BYTES, "the tag");
_Static_assert(crypto_aead_aes256gcm_NPUBBYTES == AEL_AEAD_NONCE_BYTES, "the nonce");

static bool sodium_is_available(void) {
    return sodium_init() >= 0 && crypto_aead_aes256gcm_is_available() != 0;
}

/* libsodium leaves half of its state as it was. By a call, for memset of a known size becomes a repeated store, which
 * takes longer to begin than this takes (docs/benchmarks.md). */
static enum ael_status sodium_expand(uint8_t *schedule, const uint8_t *key) {
    ael_wipe(schedule, STATE_BYTES);
    int failed = crypto_aead_aes256gcm_beforenm((crypto_aead_aes256gcm_state *)(void *)schedule, key);
    return failed == 0 ? AEL_OK : AEL_E_CRYPTO;
}

static const crypto_aead_aes256gcm_state *state_of(const uint8_t *schedule) {
    return (const crypto_aead_aes256gcm_state *)(const void *)schedule;
}

static enum ael_status sodium_seal(
    const uint8_t *schedule,
    uint8_t *state,
    const uint8_t *nonce,
    const uint8_t *in,
    size_t len,
    uint8_t *out,
    uint8_t *tag) {
    (void)state;
    int failed = crypto_aead_aes256gcm_encrypt_detached_afternm(
        out, tag, NULL, in, len, NULL, 0, NULL, nonce, state_of(schedule));
    return failed == 0 ? AEL_OK : AEL_E_CRYPTO;
}

static enum ael_status sodium_open(
    const uint8_t *schedule,
    uint8_t *state,
    const uint8_t *nonce,
    const uint8_t *in,
    size_t len,
    const uint8_t *tag,
    uint8_t *out) {
    (void)state;
    int failed = crypto_aead_aes256gcm_decrypt_detached_afternm(
        out, NULL, in, len, tag, NULL, 0, nonce, state_of(schedule));
    return failed == 0 ? AEL_OK : AEL_E_AUTHENTICATION;
}

const struct ael_aead_engine ael_aead_sodium = {
    "libsodium", STATE_BYTES, sodium_is_available, sodium_expand, sodium_seal, sodium_open};
