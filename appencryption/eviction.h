/*
 * appencryption/eviction.h - which entry of a full cache goes: simple (none), lru, slru. All steps are O(1).
 *
 * Entries carry a node; the cache adds, touches and removes it and asks for victims. slru keeps what was used once
 * on probation and what was used again protected, up to 80 % of the capacity; the oldest on probation goes first.
 * Layer: appencryption. Threads: one at a time (the cache's lock).
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_APPENCRYPTION_EVICTION_H
#define AEL_APPENCRYPTION_EVICTION_H

#include "appencryption/policy.h"

struct ael_eviction_node {
    struct ael_eviction_node *older;
    struct ael_eviction_node *newer;
    size_t cost;
    bool is_protected;
};

struct ael_eviction_list {
    struct ael_eviction_node ends; /* ends.newer is the oldest entry, ends.older the newest */
    size_t cost;
};

/* Stays where it is once made: the lists point into themselves. */
struct ael_evictor {
    enum ael_eviction eviction;
    size_t capacity;
    struct ael_eviction_list probation; /* lru: everything */
    struct ael_eviction_list protected_entries;
};

void ael_evictor_init(struct ael_evictor *evictor, const struct ael_cache_bound *bound);

/** Adds an entry of a cost of 1 or more. */
void ael_evictor_add(struct ael_evictor *evictor, struct ael_eviction_node *node, size_t cost);

/** Notes that an entry was used. */
void ael_evictor_touch(struct ael_evictor *evictor, struct ael_eviction_node *node);

/** Takes an entry out. */
void ael_evictor_remove(struct ael_evictor *evictor, struct ael_eviction_node *node);

/** Returns the entry to evict now, still in the lists; NULL when the cache is within its capacity. */
struct ael_eviction_node *ael_evictor_victim(struct ael_evictor *evictor);

#endif /* AEL_APPENCRYPTION_EVICTION_H */
