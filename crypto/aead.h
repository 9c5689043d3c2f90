/*
 * crypto/aead.h - AES-256-GCM over whole messages, in Asherah's wire layout:
 *
 *     sealed = ciphertext (as long as the plaintext) || tag (16) || nonce (12)
 *
 * By the engine that is fastest for the message's length of those that this build and this CPU have
 * (crypto/aead_engine.h), with the key's schedule in the caller's protected memory; in FIPS mode by OpenSSL 3 EVP alone, of
 * which no context holds a key between calls. What the engines leave on the stack and in registers goes with the caller's
 * scratch (securememory/scratch.h).
 * Layer: crypto.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_CRYPTO_AEAD_H
#define AEL_CRYPTO_AEAD_H

#include <ael/bytes.h>

enum {
    AEL_AEAD_KEY_BYTES = 32,
    AEL_AEAD_TAG_BYTES = 16,
    AEL_AEAD_NONCE_BYTES = 12,
    AEL_AEAD_OVERHEAD_BYTES = AEL_AEAD_TAG_BYTES + AEL_AEAD_NONCE_BYTES,
};

/* Of protected memory: the expanded key of any engine (ipsec-mb's has 48 powers of the hash key), and what one call keeps
 * beside it. */
#if defined(__x86_64__)
enum { AEL_AEAD_SCHEDULE_BYTES = 1008 };
#else
enum { AEL_AEAD_SCHEDULE_BYTES = 512 };
#endif
enum { AEL_AEAD_STATE_BYTES = 112, AEL_AEAD_WORK_BYTES = AEL_AEAD_SCHEDULE_BYTES + AEL_AEAD_STATE_BYTES };

/**
 * Seals a message under a key with a nonce that the caller never uses twice with this key.
 *
 * @param work    AEL_AEAD_WORK_BYTES of protected memory, aligned to 16, for the key's schedule, which stays in it; NULL
 *                = by OpenSSL, whatever the length.
 * @param key     32 bytes in protected memory, readable for the length of the call.
 * @param plain   0 .. 2^31-1 bytes; may start where sealed starts (in place), must not overlap otherwise.
 * @param sealed  receives plain.len + AEL_AEAD_OVERHEAD_BYTES bytes.
 * @return AEL_OK; AEL_E_TOO_LARGE (untouched); AEL_E_CRYPTO (also when no engine gives the right known answers; sealed
 *         zeroed); AEL_E_NO_MEMORY (the same).
 * Threads: any.
 */
AEL_MUST_CHECK enum ael_status ael_aead_seal(
    uint8_t *work, const uint8_t key[static AEL_AEAD_KEY_BYTES], const uint8_t nonce[static AEL_AEAD_NONCE_BYTES],
    struct ael_bytes plain, uint8_t *sealed);

/**
 * Opens a sealed message.
 *
 * @param work    as in ael_aead_seal.
 * @param sealed  AEL_AEAD_OVERHEAD_BYTES or more.
 * @param plain   receives sealed.len - AEL_AEAD_OVERHEAD_BYTES bytes; may be where sealed starts (in place).
 * @return AEL_OK; AEL_E_AUTHENTICATION (too short, or the tag does not match: plain zeroed); AEL_E_TOO_LARGE;
 *         AEL_E_CRYPTO or AEL_E_NO_MEMORY (plain zeroed).
 * Threads: any.
 */
AEL_MUST_CHECK enum ael_status ael_aead_open(
    uint8_t *work, const uint8_t key[static AEL_AEAD_KEY_BYTES], struct ael_bytes sealed, uint8_t *plain);

/**
 * Makes the engines ready, which the first message would do else: asks the CPU, and has each that is chosen for some
 * length give its known answers. Some milliseconds the first time. Threads: any.
 */
void ael_aead_prepare(void);

/**
 * Returns the name of the engine for a message of len bytes: "ipsec-mb/avx512", "ipsec-mb/avx2", "libsodium", "evp";
 * "none" when there is none. Static string. Threads: any.
 */
const char *ael_aead_engine_name(size_t len);

#endif /* AEL_CRYPTO_AEAD_H */
