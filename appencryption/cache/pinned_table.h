/*
 * appencryption/cache/pinned_table.h - a hash table of things that one changes at a time and all read without a lock.
 *
 * The owner's lock guards all changes. A reader needs no lock and writes nothing that others read, but for the pins in
 * its thread's own entry (base/thread_entry.h): it goes along a bucket's chain with a pin on the link that it stands on
 * and one on the next,
 *
 *     load the link ; pin what it points to ; light barrier ; does the link still point there?
 *
 * and each thing has one link that points to it. Whoever takes a thing out
 *
 *     points that link past it, marks its own link as gone ; retires the thing (appencryption/cache/retire.h)
 *
 * so a link of a thing that has gone points nowhere, what a living link points to is in the table, and the reader holds
 * what it found. Where anything changes under the reader's feet it finds nothing: a miss is no proof, the lock decides.
 *
 * Buckets are split one by one as things are added (linear hashing) and lie in segments that never move: no step is
 * longer than a chain, and nothing that a reader may stand on is freed before the table is. (docs/models/table.pml goes
 * through the orders in which readers and changes can meet; tests/threads/test_pinned_table_threads.c meets some.)
 * Layer: appencryption. Threads: as said; the last call is ael_pinned_table_clear, when nobody reads any more.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_APPENCRYPTION_CACHE_PINNED_TABLE_H
#define AEL_APPENCRYPTION_CACHE_PINNED_TABLE_H

#include <ael/status.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { AEL_PINNED_SEGMENTS = 28 };

/* In the thing. Zero is in no table. */
struct ael_pinned_link {
    /* Release on changing, acquire on following: who finds a thing sees it whole. */
    _Atomic(struct ael_pinned_link *) next;
    atomic_uint_least32_t hash; /* relaxed: it only says which things are to be looked at */
    uint32_t own;               /* the thing's: nothing here touches it */
};

typedef _Atomic(struct ael_pinned_link *) ael_pinned_bucket;

struct ael_pinned_table {
    size_t offset; /* of the link in a thing; constant */
    size_t count;  /* of the things; under the lock, as all changes */
    /* Release on growing, acquire on reading: who sees a number sees the segments for it. With an old one a reader goes
     * along the wrong chain, and finds nothing. */
    atomic_uint_least32_t buckets;
    /* The first of 16 buckets, each further one as long as all before it. */
    _Atomic(ael_pinned_bucket *) segments[AEL_PINNED_SEGMENTS];
};

/** Says whether a thing, whose hash is the one looked for, is the one. Reads only what is constant while it can be found. */
typedef bool (*ael_pinned_match_fn)(const void *thing, const void *wanted);

/** Makes an empty table. @param offset  of the ael_pinned_link in a thing. */
void ael_pinned_table_init(struct ael_pinned_table *table, size_t offset);
/** Frees the segments; of things that are still in it nothing is touched. */
void ael_pinned_table_clear(struct ael_pinned_table *table);

/** Adds a thing, also one that was in before, by another hash, and that readers may still stand on. @return false without memory for the very first segment; later chains just get longer. */
bool ael_pinned_table_add(struct ael_pinned_table *table, struct ael_pinned_link *link, uint64_t hash);
/** Takes a thing out; it must be in. Before it is freed or changed it is to be retired. */
void ael_pinned_table_remove(struct ael_pinned_table *table, struct ael_pinned_link *link);
/** Puts one thing in the place of another, which leaves as by ael_pinned_table_remove. */
void ael_pinned_table_replace(
    struct ael_pinned_table *table, struct ael_pinned_link *old, struct ael_pinned_link *link);

/** Finds a thing, under the lock. @return it, or NULL. */
void *ael_pinned_table_find(
    const struct ael_pinned_table *table, uint64_t hash, ael_pinned_match_fn match, const void *wanted);

/**
 * Finds a thing without the lock and pins it for the calling thread.
 *
 * @param place  receives where, for ael_pinned_table_give_back.
 * @return it; or NULL: it is not there, or something changed just now, or the thread has no two places for pins left.
 */
void *ael_pinned_table_borrow(
    const struct ael_pinned_table *table,
    uint64_t hash,
    ael_pinned_match_fn match,
    const void *wanted,
    uint32_t *place);

#endif /* AEL_APPENCRYPTION_CACHE_PINNED_TABLE_H */
