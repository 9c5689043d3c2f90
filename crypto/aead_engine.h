/*
 * crypto/aead_engine.h - what does AES-256-GCM for crypto/aead.h, and which of them is chosen. Same bytes from each.
 *
 * evp              OpenSSL 3. Always there; keeps its schedule on its own heap between init and reset of one call. What it
 *                  is given as a schedule is the key.
 * sodium           libsodium, where the CPU has AES instructions. As the next two it takes no memory from the heap, and
 *                  its schedule lies in the caller's protected memory alone.
 * ipsec_mb_avx2    intel-ipsec-mb's code for AVX2, where the build has that library (CMake option AEL_IPSEC_MB).
 * ipsec_mb_avx512  the same library's for AVX-512 with VAES: slower to set a key up, faster with it.
 *
 * An engine is used when it has given the right known answers (crypto/aead_self_test.h), which it is asked for before its
 * first use. One that gives wrong ones is logged and not used in this process.
 * Layer: crypto. Threads: any; a schedule is only read by seal and open, so threads may share one.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_CRYPTO_AEAD_ENGINE_H
#define AEL_CRYPTO_AEAD_ENGINE_H

#include "crypto/aead.h"

/*
 * Each: key 32 bytes, nonce 12, tag 16. in and out may be the same, and len 0. schedule: schedule_bytes of protected
 * memory, aligned to 16; what expand made of a key, for as many calls as one likes; all of it is written. state: AEL_AEAD_STATE_BYTES of
 * protected memory, aligned to 16, of this call alone, left dirty.
 * expand, seal: AEL_OK; AEL_E_CRYPTO; AEL_E_NO_MEMORY. open: also AEL_E_AUTHENTICATION. After a failure out is undefined.
 */
struct ael_aead_engine {
    const char *name;
    size_t schedule_bytes; /* at most AEL_AEAD_SCHEDULE_BYTES */
    bool (*is_available)(void);
    enum ael_status (*expand)(uint8_t *schedule, const uint8_t *key);
    enum ael_status (*seal)(
        const uint8_t *schedule, uint8_t *state, const uint8_t *nonce, const uint8_t *in, size_t len, uint8_t *out,
        uint8_t *tag);
    enum ael_status (*open)(
        const uint8_t *schedule, uint8_t *state, const uint8_t *nonce, const uint8_t *in, size_t len,
        const uint8_t *tag, uint8_t *out);
};

extern const struct ael_aead_engine ael_aead_evp;
extern const struct ael_aead_engine ael_aead_sodium;
extern const struct ael_aead_engine ael_aead_ipsec_mb_avx2;
extern const struct ael_aead_engine ael_aead_ipsec_mb_avx512;

enum { AEL_AEAD_ENGINES_MAX = 4 };

/** Lists the engines that this build has and this CPU can run, chosen or not. @return how many. Threads: any. */
size_t ael_aead_engines(const struct ael_aead_engine *engines[static AEL_AEAD_ENGINES_MAX]);

/**
 * Chooses the engine for messages of len bytes.
 *
 * @param engine  static; NULL on failure.
 * @return AEL_OK; AEL_E_CRYPTO (none is left); AEL_E_NO_MEMORY (for known answers; to be tried again). Threads: any.
 */
AEL_MUST_CHECK enum ael_status ael_aead_choose(size_t len, const struct ael_aead_engine **engine);

/** EVP, whatever the length; as ael_aead_choose. */
AEL_MUST_CHECK enum ael_status ael_aead_choose_evp(const struct ael_aead_engine **engine);

/**
 * As ael_aead_seal, with a schedule that was expanded before by this engine, which need not be the one that is chosen for
 * this length.
 *
 * @param state  AEL_AEAD_STATE_BYTES of protected memory, aligned to 16.
 */
AEL_MUST_CHECK enum ael_status ael_aead_seal_expanded(
    const struct ael_aead_engine *engine, const uint8_t *schedule, uint8_t *state,
    const uint8_t nonce[static AEL_AEAD_NONCE_BYTES], struct ael_bytes plain, uint8_t *sealed);

/** As ael_aead_open, in the same way. */
AEL_MUST_CHECK enum ael_status ael_aead_open_expanded(
    const struct ael_aead_engine *engine, const uint8_t *schedule, uint8_t *state, struct ael_bytes sealed,
    uint8_t *plain);

/**
 * For tests and benchmarks: has all messages go through the engine of this name; NULL = as always. False, and nothing
 * changed, when this build or CPU has no such engine. Threads: none may use an engine meanwhile.
 */
bool ael_aead_force_for_test(const char *name);

/**
 * For tests: puts another in the place of the engine of this name, as if it were new; NULL = puts it back. Of static
 * duration. False: there is no such name. Threads: none may use an engine meanwhile.
 */
bool ael_aead_replace_for_test(const char *name, const struct ael_aead_engine *engine);

#endif /* AEL_CRYPTO_AEAD_ENGINE_H */
