/*
 * securememory/sealed_key.h - a 32-byte key at rest, bound to what it is for, opened straight into scratch.
 *
 * This is the form in which caches keep system and intermediate keys: ciphertext in ordinary memory, under a root
 * key, with the binding as associated data, so that one key's seal put in another's place is refused.
 * Layer: securememory.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_SECUREMEMORY_SEALED_KEY_H
#define AEL_SECUREMEMORY_SEALED_KEY_H

#include "base/component_api.h"
#include "securememory/sealed.h"

#include <ael/secret.h>

enum { AEL_KEY_BYTES = 32 };

enum ael_key_kind {
    AEL_KEY_KIND_SECRET = 1,
    AEL_KEY_KIND_SYSTEM = 2,
    AEL_KEY_KIND_INTERMEDIATE = 3,
    AEL_KEY_KIND_MASTER = 4,
};

/* It is listed (securememory/sealed.h): not to be copied or moved, and to be dropped before its memory goes. */
struct ael_sealed_key {
    struct ael_sealed seal;
    uint8_t sealed[AEL_SEALED_ROOM(AEL_KEY_BYTES)]; /* of seal; right behind it */
};

/**
 * Seals a key. The source, which lies in protected memory, is not wiped: ending its scratch does that.
 *
 * @param binding  copied. @param sealed  uninitialised, or dropped.
 * @return AEL_OK; AEL_E_CRYPTO; AEL_E_FORKED; AEL_E_SYSTEM; AEL_E_CLOSED; or the failure of setting up protected memory.
 *         sealed is zeroed on failure.
 * Threads: any.
 */
AEL_MUST_CHECK enum ael_status ael_sealed_key_make(
    const uint8_t key[static AEL_KEY_BYTES], const struct ael_key_binding *binding, struct ael_sealed_key *sealed);

/**
 * Opens a key into protected memory (a scratch slot).
 *
 * @param key  receives 32 bytes; zeroed on failure.
 * @return AEL_OK; AEL_E_CORRUPTED (not authentic, or another binding); AEL_E_FORKED (of before a fork, and
 *         forgotten); AEL_E_CLOSED (of before a shut-down); AEL_E_SYSTEM.
 * Threads: any.
 */
AEL_MUST_CHECK enum ael_status ael_sealed_key_open(
    const struct ael_sealed_key *sealed, const struct ael_key_binding *binding, uint8_t key[static AEL_KEY_BYTES]);

/** Wipes a sealed key; a zeroed or dropped one is accepted. Threads: any, one; nobody else uses it. */
void ael_sealed_key_drop(struct ael_sealed_key *sealed);

/**
 * Opens a whole secret into scratch, without one of the slots for user accesses; counts as an access meanwhile.
 *
 * @param out  cap bytes of scratch; cap must be at least the secret's length.
 * @return AEL_OK; AEL_E_BUFFER_TOO_SMALL; AEL_E_CLOSED; AEL_E_CORRUPTED; AEL_E_FORKED; AEL_E_SYSTEM.
 */
AEL_COMPONENT_API AEL_MUST_CHECK enum ael_status ael_secret_open_into(struct ael_secret *secret, uint8_t *out, size_t cap);

#endif /* AEL_SECUREMEMORY_SEALED_KEY_H */
