/* SPDX-License-Identifier: Apache-2.0 */
#include "securememory/seal.h"

#include "base/wipe.h"
#include "securememory/signals.h"

#include <sodium.h>
#include <string.h>

_Static_assert(sizeof(crypto_aead_aes256gcm_state) <= AEL_SEAL_STATE_BYTES, "libsodium's state fits");
_Static_assert(
    crypto_aead_aes256gcm_NPUBBYTES == crypto_aead_chacha20poly1305_ietf_NPUBBYTES, "one nonce form");

enum { NONCE_BYTES = crypto_aead_aes256gcm_NPUBBYTES };

/* libsodium's own type asks for the alignment that struct ael_seal_key has. */
static const crypto_aead_aes256gcm_state *gcm_state(const struct ael_seal_key *key) {
    return (const crypto_aead_aes256gcm_state *)(const void *)key->state;
}

static void write_nonce(uint64_t counter, uint8_t nonce[static NONCE_BYTES]) {
    memset(nonce, 0, NONCE_BYTES);
    for (size_t i = 0; i < sizeof counter; i++) {
        nonce[i] = (uint8_t)(counter >> (8 * i));
    }
}

/* see securememory/seal.h */
enum ael_seal_engine ael_seal_choose(void) {
    return sodium_init() >= 0 && crypto_aead_aes256gcm_is_available() ? AEL_SEAL_AES256GCM
                                                                      : AEL_SEAL_CHACHA20POLY1305;
}

/* see securememory/seal.h */
void ael_seal_key_prepare(struct ael_seal_key *key, enum ael_seal_engine engine) {
    if (engine == AEL_SEAL_CHACHA20POLY1305) {
        return;
    }
    ael_signals_hold();
    (void)crypto_aead_aes256gcm_beforenm((crypto_aead_aes256gcm_state *)(void *)key->state, key->raw);
    ael_wipe(key->raw, sizeof key->raw);
    ael_signals_release();
}

/* see securememory/seal.h */
void ael_seal_make(
    const struct ael_seal_key *key,
    enum ael_seal_engine engine,
    uint64_t nonce,
    const struct ael_key_binding *binding,
    struct ael_bytes plain,
    uint8_t *sealed) {
    uint8_t bytes[NONCE_BYTES];
    const uint8_t *ad = (const uint8_t *)binding;

    write_nonce(nonce, bytes);
    ael_signals_hold();
    if (engine == AEL_SEAL_AES256GCM) {
        (void)crypto_aead_aes256gcm_encrypt_afternm(
            sealed, NULL, plain.data, plain.len, ad, AEL_KEY_BINDING_BYTES, NULL, bytes, gcm_state(key));
    } else {
        (void)crypto_aead_chacha20poly1305_ietf_encrypt(
            sealed, NULL, plain.data, plain.len, ad, AEL_KEY_BINDING_BYTES, NULL, bytes, key->raw);
    }
    ael_signals_release();
}

/* see securememory/seal.h */
enum ael_status ael_seal_open(
    const struct ael_seal_key *key,
    enum ael_seal_engine engine,
    uint64_t nonce,
    const struct ael_key_binding *binding,
    struct ael_bytes sealed,
    uint8_t *plain) {
    uint8_t bytes[NONCE_BYTES];
    const uint8_t *ad = (const uint8_t *)binding;
    int failed = 0;

    write_nonce(nonce, bytes);
    ael_signals_hold();
    if (engine == AEL_SEAL_AES256GCM) {
        failed = crypto_aead_aes256gcm_decrypt_afternm(
            plain, NULL, NULL, sealed.data, sealed.len, ad, AEL_KEY_BINDING_BYTES, bytes, gcm_state(key));
    } else {
        failed = crypto_aead_chacha20poly1305_ietf_decrypt(
            plain, NULL, NULL, sealed.data, sealed.len, ad, AEL_KEY_BINDING_BYTES, bytes, key->raw);
    }
    ael_signals_release();
    if (failed != 0) {
        ael_wipe(plain, sealed.len - AEL_SEAL_TAG_BYTES);
        return AEL_E_CORRUPTED;
    }
    return AEL_OK;
}
