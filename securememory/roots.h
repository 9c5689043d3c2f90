/*
 * securememory/roots.h - the root key under which everything at rest is sealed, in a region of its own that
 * is open only while something is sealed or opened.
 *
 * Every seal names its root by number; numbers are never used twice in a process. The page has room for
 * several generations; there is one now.
 * Layer: securememory.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_SECUREMEMORY_ROOTS_H
#define AEL_SECUREMEMORY_ROOTS_H

#include "securememory/region.h"
#include "securememory/seal.h"

struct ael_roots {
    struct ael_region region; /* holds a struct ael_seal_key */
    enum ael_seal_engine engine;
    uint32_t number;
    atomic_uint_least64_t next_nonce; /* 64 bits are never used up; relaxed: only uniqueness matters */
};

/** Draws the root key. @return AEL_OK; as ael_region_init; AEL_E_RANDOM. Nothing to clear after a failure. */
AEL_MUST_CHECK enum ael_status ael_roots_init(
    struct ael_roots *roots, uint32_t number, const struct ael_region_policy *policy, struct ael_error *err);

/** Wipes the root key; a zeroed struct is accepted. */
void ael_roots_clear(struct ael_roots *roots);

/**
 * Seals bytes under the present root.
 *
 * @param sealed  receives plain.len + AEL_SEAL_TAG_BYTES bytes; zeroed on failure.
 * @return AEL_OK; AEL_E_SYSTEM. Threads: any.
 */
AEL_MUST_CHECK enum ael_status ael_roots_seal(
    struct ael_roots *roots,
    const struct ael_key_binding *binding,
    struct ael_bytes plain,
    uint8_t *sealed,
    uint32_t *root,
    uint64_t *nonce);

/**
 * Opens a seal.
 *
 * @param plain  receives sealed.len - AEL_SEAL_TAG_BYTES bytes; zeroed on failure.
 * @return AEL_OK; AEL_E_CORRUPTED; AEL_E_CLOSED (a root that is gone); AEL_E_SYSTEM. Threads: any.
 */
AEL_MUST_CHECK enum ael_status ael_roots_open(
    struct ael_roots *roots,
    uint32_t root,
    uint64_t nonce,
    const struct ael_key_binding *binding,
    struct ael_bytes sealed,
    uint8_t *plain);

#endif /* AEL_SECUREMEMORY_ROOTS_H */
