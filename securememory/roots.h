/*
 * securememory/roots.h - the root keys under which everything at rest is sealed, in a region of their own that is
 * open only while something is sealed or opened.
 *
 *     free place --drawn--> current: seals and opens --another is drawn--> old: opens --wiped--> free place
 *
 * Every seal names its root by number; numbers only grow, and are never used twice in a process or its descendants. When
 * another is drawn, and when an old one is wiped, is decided in securememory/rekey.h.
 *
 * A thread notes in its entry (base/thread_entry.h) which root it opens with, so that a root is never wiped under it.
 *
 * Fork hand-over: the pages are lent to the child, which copies them into pages of its own, lets go of the parent's
 * (ael_roots_inherit) and, when it needs them, adds a current key of its own (ael_roots_adopt). So no nonce is shared,
 * and no page.
 * Layer: securememory.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_SECUREMEMORY_ROOTS_H
#define AEL_SECUREMEMORY_ROOTS_H

#include "securememory/region.h"
#include "securememory/seal.h"

enum {
    AEL_ROOTS_MAX = 7, /* what fits into 4 KiB */
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
    enum ael_seal_engine engine;
    /* By place; 0 = none. Release when a key is there, acquire by who looks for it. */
    atomic_uint_least32_t numbers[AEL_ROOTS_MAX];
    atomic_uint_least32_t going[AEL_ROOTS_MAX]; /* taken out of numbers, to be wiped when no thread uses it; 0 = none */
    atomic_uint_least32_t current; /* a place; release and acquire as above */
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

/** Returns which keys there are. Threads: any, but not while one is drawn or wiped. */
struct ael_root_names ael_roots_names(const struct ael_roots *roots);

/** Copies the keys in lent pages into pages of this child's, and lets go of the lent ones. @return AEL_OK; as
 * ael_pages_map; AEL_E_SYSTEM. There is nothing inherited after a failure. */
AEL_MUST_CHECK enum ael_status ael_roots_inherit(
    struct ael_pages *lent,
    const struct ael_root_names *names,
    const struct ael_pages_policy *policy,
    struct ael_inherited_roots *inherited);

/** Makes inherited keys the roots, with a current key drawn anew; inherited is empty then. Where no place is free, which
 * securememory/rekey.h prevents, the oldest key goes. @return AEL_OK; AEL_E_RANDOM; AEL_E_SYSTEM; AEL_E_NO_MEMORY. After
 * a failure they are inherited still. */
AEL_MUST_CHECK enum ael_status ael_roots_adopt(
    struct ael_roots *roots, struct ael_inherited_roots *inherited, const struct ael_region_policy *policy);

/** Undoes ael_roots_adopt, before anything was sealed. */
void ael_roots_give_back(struct ael_roots *roots, struct ael_inherited_roots *inherited);

/** Wipes and unmaps what was inherited; nothing is accepted. */
void ael_inherited_roots_clear(struct ael_inherited_roots *inherited);

/* -- drawing and wiping: one thread at a time, at any time -- */

/** Draws another key and makes it the current one. @return AEL_OK; AEL_E_STATE (no place is free); AEL_E_RANDOM;
 * AEL_E_SYSTEM; AEL_E_NO_MEMORY. After a failure the current one stays. */
AEL_MUST_CHECK enum ael_status ael_roots_renew(struct ael_roots *roots);

/**
 * Wipes the keys with numbers below this one, with which nothing is sealed any more.
 *
 * @param wiped  receives how many.
 * @return AEL_OK (there are none left); AEL_E_BUSY (a thread still opens with one; ask again); AEL_E_SYSTEM;
 *         AEL_E_NO_MEMORY.
 */
AEL_MUST_CHECK enum ael_status ael_roots_wipe_below(struct ael_roots *roots, uint32_t number, uint32_t *wiped);

/** Counts the places that hold no key. Threads: any. */
uint32_t ael_roots_free_places(const struct ael_roots *roots);

/** Returns the current key's number. Threads: any. */
uint32_t ael_roots_current(const struct ael_roots *roots);

/* -- seals -- */

/** Opens the keys' pages to this thread, until the end. @return AEL_OK; AEL_E_SYSTEM; AEL_E_NO_MEMORY. Threads: any. */
AEL_MUST_CHECK enum ael_status ael_roots_begin(struct ael_roots *roots);

/** @return AEL_OK; AEL_E_SYSTEM. */
AEL_MUST_CHECK enum ael_status ael_roots_end(struct ael_roots *roots);

/** Tells whether the canary behind the keys was overwritten, between begin and end. Threads: any. */
bool ael_roots_are_overwritten(const struct ael_roots *roots);

/**
 * Seals bytes under the current root, between begin and end, under the lock of the shard (securememory/seal_shards.h)
 * that gave the nonce.
 *
 * @param sealed  receives plain.len + AEL_SEAL_TAG_BYTES bytes.
 * @return the root's number.
 */
uint32_t ael_roots_seal(
    const struct ael_roots *roots,
    uint64_t nonce,
    const struct ael_key_binding *binding,
    struct ael_bytes plain,
    uint8_t *sealed);

/**
 * Opens a seal, between begin and end.
 *
 * @param plain  receives sealed.len - AEL_SEAL_TAG_BYTES bytes; zeroed on failure.
 * @return AEL_OK; AEL_E_CORRUPTED; AEL_E_STATE (its root is gone); AEL_E_NO_MEMORY. Threads: any.
 */
AEL_MUST_CHECK enum ael_status ael_roots_open(
    const struct ael_roots *roots,
    uint32_t root,
    uint64_t nonce,
    const struct ael_key_binding *binding,
    struct ael_bytes sealed,
    uint8_t *plain);

#endif /* AEL_SECUREMEMORY_ROOTS_H */
