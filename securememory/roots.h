/*
 * securememory/roots.h - the root keys under which everything at rest is sealed, in a region of their own that is
 * open only while something is sealed or opened.
 *
 * One of them, the current one, seals; the others open what was sealed before a fork. Every seal names its root by
 * number; numbers are never used twice in a process or its descendants.
 *
 * Fork hand-over: the pages are lent to the child (ael_roots_lend), which copies them into pages of its own, lets go of
 * the parent's (ael_roots_inherit) and, when it needs them, adds a current key of its own (ael_roots_adopt). So no
 * nonce is shared, and no page.
 * Layer: securememory.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_SECUREMEMORY_ROOTS_H
#define AEL_SECUREMEMORY_ROOTS_H

#include "securememory/region.h"
#include "securememory/seal.h"

enum {
    AEL_ROOTS_MAX = 7, /* what fits into 4 KiB; the oldest goes when a child needs another */
    AEL_ROOTS_ALL_BYTES = AEL_ROOTS_MAX * (int)sizeof(struct ael_seal_key),
    AEL_ROOTS_CANARY_BYTES = 64, /* behind the keys, in the same page */
};

/* Which keys lie in the pages, by place; 0 = none. */
struct ael_root_names {
    enum ael_seal_engine engine;
    uint32_t numbers[AEL_ROOTS_MAX];
};

struct ael_roots {
    struct ael_region region; /* holds AEL_ROOTS_MAX struct ael_seal_key and the canary */
    struct ael_root_names names;
    uint32_t current;                 /* a place */
    atomic_uint_least64_t next_nonce; /* 64 bits are never used up; relaxed: only uniqueness matters */
    bool has_canary;
    uint8_t canary[AEL_ROOTS_CANARY_BYTES]; /* looked at when a seal does not open, and at the end */
};

/* What a child has of its parent's roots until it adopts them: closed pages of its own. */
struct ael_inherited_roots {
    struct ael_pages pages; /* bytes NULL = nothing */
    struct ael_root_names names;
};

/** Draws a root key. @return AEL_OK; as ael_region_init; AEL_E_RANDOM. Nothing to clear after a failure. */
AEL_MUST_CHECK enum ael_status
ael_roots_init(struct ael_roots *roots, const struct ael_region_policy *policy, struct ael_error *err);

/** Wipes the root keys; a zeroed struct is accepted. */
void ael_roots_clear(struct ael_roots *roots);

/** Copies the keys in lent pages into pages of this child's, and lets go of the lent ones. @return AEL_OK; as
 * ael_pages_map; AEL_E_SYSTEM. There is nothing inherited after a failure. */
AEL_MUST_CHECK enum ael_status ael_roots_inherit(
    struct ael_pages *lent,
    const struct ael_root_names *names,
    const struct ael_pages_policy *policy,
    struct ael_inherited_roots *inherited);

/** Makes inherited keys the roots, with a current key drawn anew; inherited is empty then. @return AEL_OK;
 * AEL_E_RANDOM; AEL_E_SYSTEM; AEL_E_NO_MEMORY. After a failure they are inherited still. */
AEL_MUST_CHECK enum ael_status ael_roots_adopt(
    struct ael_roots *roots, struct ael_inherited_roots *inherited, const struct ael_region_policy *policy);

/** Undoes ael_roots_adopt, before anything was sealed. */
void ael_roots_give_back(struct ael_roots *roots, struct ael_inherited_roots *inherited);

/** Wipes and unmaps what was inherited; nothing is accepted. */
void ael_inherited_roots_clear(struct ael_inherited_roots *inherited);

/**
 * Seals bytes under the current root.
 *
 * @param sealed  receives plain.len + AEL_SEAL_TAG_BYTES bytes; zeroed on failure.
 * @return AEL_OK; AEL_E_SYSTEM; AEL_E_NO_MEMORY. Threads: any.
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
 * @return AEL_OK; AEL_E_CORRUPTED (also when its root is gone: nothing opens it any more); AEL_E_SYSTEM;
 *         AEL_E_NO_MEMORY. Threads: any.
 */
AEL_MUST_CHECK enum ael_status ael_roots_open(
    struct ael_roots *roots,
    uint32_t root,
    uint64_t nonce,
    const struct ael_key_binding *binding,
    struct ael_bytes sealed,
    uint8_t *plain);

#endif /* AEL_SECUREMEMORY_ROOTS_H */
