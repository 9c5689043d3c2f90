/*
 * crypto/aead_engine.h - what does AES-256-GCM for crypto/aead.h. Same bytes from each.
 *
 * evp        OpenSSL 3. Always there; keeps its schedule on its own heap between init and reset of one call.
 * sodium     libsodium, where the CPU has AES instructions. Its schedule lies in the caller's protected memory, and it
 *            takes no memory from the heap.
 * Layer: crypto.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_CRYPTO_AEAD_ENGINE_H
#define AEL_CRYPTO_AEAD_ENGINE_H

#include "crypto/aead.h"

/*
 * Each: key 32 bytes, nonce 12, tag 16. in and out may be the same, and len 0. work: AEL_AEAD_WORK_BYTES of protected
 * memory, aligned to 16, left dirty.
 * seal: AEL_OK; AEL_E_CRYPTO; AEL_E_NO_MEMORY. open: also AEL_E_AUTHENTICATION. After a failure out is undefined.
 */
struct ael_aead_engine {
    const char *name;
    enum ael_status (*seal)(
        uint8_t *work, const uint8_t *key, const uint8_t *nonce, const uint8_t *in, size_t len, uint8_t *out,
        uint8_t *tag);
    enum ael_status (*open)(
        uint8_t *work, const uint8_t *key, const uint8_t *nonce, const uint8_t *in, size_t len, const uint8_t *tag,
        uint8_t *out);
};

extern const struct ael_aead_engine ael_aead_evp;
extern const struct ael_aead_engine ael_aead_sodium;

/** Tells whether this CPU can do it. Threads: any. */
bool ael_aead_sodium_is_available(void);

#endif /* AEL_CRYPTO_AEAD_ENGINE_H */
