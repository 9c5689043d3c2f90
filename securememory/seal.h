/*
 * securememory/seal.h - sealing bytes at rest under one root key: AEAD of libsodium with state in the
 * caller's protected memory.
 *
 * AES-256-GCM with its expanded key where the CPU has AES instructions, else ChaCha20-Poly1305 (RFC 8439).
 * Seals never leave the process, so the choice is no format. Nonce: a 64-bit counter, little-endian, then
 * four zero bytes.
 * Layer: securememory.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_SECUREMEMORY_SEAL_H
#define AEL_SECUREMEMORY_SEAL_H

#include "securememory/sealed_key.h"

enum {
    AEL_SEAL_KEY_BYTES = 32,
    AEL_SEAL_TAG_BYTES = 16,
    AEL_SEAL_STATE_BYTES = 512,
};

enum ael_seal_engine {
    AEL_SEAL_AES256GCM = 1,
    AEL_SEAL_CHACHA20POLY1305 = 2,
};

/* Lies in protected memory only, 16-byte aligned there. */
struct ael_seal_key {
    uint8_t raw[AEL_SEAL_KEY_BYTES]; /* the key; zero once it is expanded */
    _Alignas(16) uint8_t state[AEL_SEAL_STATE_BYTES];
};

/** Returns the faster engine of this CPU. Threads: any. */
enum ael_seal_engine ael_seal_choose(void);

/** Turns key->raw, filled with random bytes by the caller, into a key to seal with. */
void ael_seal_key_prepare(struct ael_seal_key *key, enum ael_seal_engine engine);

/**
 * Seals bytes.
 *
 * @param nonce   never used before with this key. @param sealed  receives plain.len + AEL_SEAL_TAG_BYTES
 *                bytes.
 * Threads: any. What stays on the stack and in registers is wiped by the caller (ael_wipe_stack).
 */
void ael_seal_make(
    const struct ael_seal_key *key,
    enum ael_seal_engine engine,
    uint64_t nonce,
    const struct ael_key_binding *binding,
    struct ael_bytes plain,
    uint8_t *sealed);

/**
 * Opens a seal.
 *
 * @param sealed  AEL_SEAL_TAG_BYTES or more. @param plain  receives sealed.len - AEL_SEAL_TAG_BYTES bytes.
 * @return AEL_OK; AEL_E_CORRUPTED (plain zeroed). Threads: any.
 */
AEL_MUST_CHECK enum ael_status ael_seal_open(
    const struct ael_seal_key *key,
    enum ael_seal_engine engine,
    uint64_t nonce,
    const struct ael_key_binding *binding,
    struct ael_bytes sealed,
    uint8_t *plain);

#endif /* AEL_SECUREMEMORY_SEAL_H */
