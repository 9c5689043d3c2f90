/*
 * appencryption/cache/eviction.h - which entry of a full cache goes: simple (none), lru, lfu, slru, tinylfu. All steps are
 * O(1): no step looks at more entries than it moves, and each move down follows a move up.
 *
 * Entries carry a node; the cache adds, touches and removes it and asks for victims. Nodes lie in lists, the least
 * recently moved first:
 *
 *     lru      one list
 *     lfu      a list for each count of uses, up to 15; the oldest of the least count goes
 *     slru     what was used once on probation, what was used again protected, up to 80 % of the capacity, whose
 *              oldest goes back on probation; the oldest on probation goes first
 *     tinylfu  new entries pass a window of 1 % of the capacity; out of it comes onto an slru only what was asked for
 *              more often lately (frequency_sketch.h) than what would have to go for it
 *
 * Layer: appencryption. Threads: one at a time (the cache's lock).
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_APPENCRYPTION_CACHE_EVICTION_H
#define AEL_APPENCRYPTION_CACHE_EVICTION_H

#include "appencryption/cache/frequency_sketch.h"
#include "appencryption/policy.h"

#include <stdatomic.h>

enum {
    AEL_EVICTION_LISTS = 15,
    AEL_EVICTION_USES_MAX = 15,
    AEL_EVICTION_COST_MAX = UINT16_MAX,
    /* So many entries that were used behind the evictor's back are passed over for one that goes. Each was used since
     * the evictor looked last, so on the average there is no more passing over than there are hits; with the number at
     * its end one that was used goes all the same, in a warm cache the first time one in so many. */
    AEL_EVICTION_CHANCES = 256,
};

struct ael_eviction_node {
    struct ael_eviction_node *older;
    struct ael_eviction_node *newer;
    uint32_t mark; /* four bits: the list that it is in; the rest: of the entry's hash */
    uint16_t cost;
    atomic_uchar uses; /* since the evictor looked last; by ael_eviction_note_use */
    atomic_uchar own;  /* the entry's: nothing here touches it */
};

struct ael_eviction_list {
    struct ael_eviction_node *oldest;
    struct ael_eviction_node *newest;
    size_t cost;
};

struct ael_evictor {
    enum ael_eviction eviction;
    size_t capacity;
    size_t cost, count; /* of all nodes */
    uint32_t filled;    /* a bit a list that is not empty */
    struct ael_eviction_list lists[AEL_EVICTION_LISTS];
    struct ael_frequency_sketch sketch; /* tinylfu */
    uint64_t moves;                     /* so often a node came into a list; for tests */
};

void ael_evictor_init(struct ael_evictor *evictor, const struct ael_cache_bound *bound);
/** Frees what it has itself; nodes are not touched. */
void ael_evictor_clear(struct ael_evictor *evictor);

/** Adds an entry of a cost of 1 .. AEL_EVICTION_COST_MAX; more counts as that. @param hash  of what it is found by. */
void ael_evictor_add(struct ael_evictor *evictor, struct ael_eviction_node *node, size_t cost, uint64_t hash);

/** Notes that an entry was used. */
void ael_evictor_touch(struct ael_evictor *evictor, struct ael_eviction_node *node);

/** Takes an entry out. */
void ael_evictor_remove(struct ael_evictor *evictor, struct ael_eviction_node *node);

/** Puts a node in the place of another, which is out then; uses that were noted of it stay behind. */
void ael_evictor_replace(
    struct ael_evictor *evictor, struct ael_eviction_node *old, struct ael_eviction_node *node);

/**
 * Notes a use without the lock that guards the evictor, in a count of the entry's. Relaxed, and may be lost. It is
 * written for the first use after the evictor looked, and for sampled ones up to AEL_EVICTION_USES_MAX: the line of an
 * entry that is hot is left alone by all who read it.
 *
 * @param sampled  one of so many uses of the thread's, whatever they were of. Threads: any.
 */
static inline void ael_eviction_note_use(struct ael_eviction_node *node, bool sampled) {
    atomic_uchar *uses = &node->uses;
    unsigned char count = atomic_load_explicit(uses, memory_order_relaxed);
    if (count == 0 || (sampled && count < AEL_EVICTION_USES_MAX)) {
        atomic_store_explicit(uses, (unsigned char)(count + 1), memory_order_relaxed);
    }
}

/** Touches an entry as often as uses of it were noted since the last time. @return whether there were any. */
bool ael_evictor_take_uses(struct ael_evictor *evictor, struct ael_eviction_node *node);

/** Returns the entry to evict now, still in the lists; NULL when the cache is within its capacity. */
struct ael_eviction_node *ael_evictor_victim(struct ael_evictor *evictor);

#endif /* AEL_APPENCRYPTION_CACHE_EVICTION_H */
