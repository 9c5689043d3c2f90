/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/aead_engine.h"

#include <sodium.h>

_Static_assert(sizeof(crypto_aead_aes256gcm_state) <= AEL_AEAD_WORK_BYTES, "libsodium's state fits");
_Static_assert(crypto_aead_aes256gcm_ABYTES == AEL_AEAD_TAG_BYTES, "the tag");
_Static_assert(crypto_aead_aes256gcm_NPUBBYTES == AEL_AEAD_NONCE_BYTES, "the nonce");

/* see crypto/aead_engine.h */
bool ael_aead_sodium_is_available(void) {
    return sodium_init() >= 0 && crypto_aead_aes256gcm_is_available() != 0;
}

static crypto_aead_aes256gcm_state *expand(uint8_t *work, const uint8_t *key) {
    crypto_aead_aes256gcm_state *state = (crypto_aead_aes256gcm_state *)(void *)work;
    (void)crypto_aead_aes256gcm_beforenm(state, key);
    return state;
}

static enum ael_status sodium_seal(
    uint8_t *work,
    const uint8_t *key,
    const uint8_t *nonce,
    const uint8_t *in,
    size_t len,
    uint8_t *out,
    uint8_t *tag) {
    int failed = crypto_aead_aes256gcm_encrypt_detached_afternm(
        out, tag, NULL, in, len, NULL, 0, NULL, nonce, expand(work, key));
    return failed == 0 ? AEL_OK : AEL_E_CRYPTO;
}

static enum ael_status sodium_open(
    uint8_t *work,
    const uint8_t *key,
    const uint8_t *nonce,
    const uint8_t *in,
    size_t len,
    const uint8_t *tag,
    uint8_t *out) {
    int failed = crypto_aead_aes256gcm_decrypt_detached_afternm(
        out, NULL, in, len, tag, NULL, 0, nonce, expand(work, key));
    return failed == 0 ? AEL_OK : AEL_E_AUTHENTICATION;
}

const struct ael_aead_engine ael_aead_sodium = {"libsodium", sodium_seal, sodium_open};
