/*
 * securememory/hot_keys.h - the expanded schedules of the few keys that are used most, ready for use in protected memory.
 *
 *     free --admitted, by who just expanded it--> there --evicted--> going --no thread reads it--> wiped, free
 *
 * Evicted are: keys that nobody used for the idle time (where the warden runs), that are dropped or revoked, and those that
 * give way to others.
 * Who reads notes the place in its thread's entry (base/thread_entry.h) and then looks whether the key is still there:
 *
 *     reader:   note the place ; light barrier ; is the owner still mine?
 *     evictor:  the place has no owner, is dirty ; heavy barrier ; does a thread note it? else wipe it
 *     reader:   the note goes ; light barrier ; is the place dirty? then wipe it, unless another notes it
 *
 * So a use takes no lock and no shared write. The region is a part of its own, under its own lease, and while readers use
 * it not writable: it is made so for the moment of an admission or a wipe. There are hot keys at the levels `leased` and
 * `open` only, where somebody watches over idle ones or nothing is closed anyway.
 * Layer: securememory. Inside the gate (securememory/protected.h), but for ael_hot_keys_forget.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_SECUREMEMORY_HOT_KEYS_H
#define AEL_SECUREMEMORY_HOT_KEYS_H

#include "securememory/region.h"

enum {
    AEL_HOT_KEY_BYTES = 1024, /* the room of one; every engine's schedule fits */
    AEL_HOT_KEYS_MAX = 16,
    AEL_HOT_KEY_NOWHERE = AEL_HOT_KEYS_MAX, /* no place */
};

/* Read by all who use the key, changed under the lock, but for used. */
struct ael_hot_place {
    _Alignas(128)
        atomic_uint_least64_t owner; /* the key's number; 0 = none. Release when its bytes are there */
    const void *kind;                /* what made the schedule; set before the owner */
    atomic_bool
        used; /* since somebody looked last; set only where it is not, so that the line stays shared */
    atomic_bool dirty; /* there is no owner, and the bytes are still to be wiped */
    int64_t seen_ns;   /* when somebody looked last and found it used */
};

struct ael_hot_keys {
    struct ael_region region;
    uint32_t count; /* places; 0 = there are no hot keys */
    int64_t idle_ns;
    struct ael_warden *warden; /* evicts idle keys; where it does not run nobody does */
    struct ael_hot_place places[AEL_HOT_KEYS_MAX];
    struct ael_mutex lock; /* guards what follows, and changes of the places; before the warden's */
    uint32_t hand;         /* the place that is looked at next for one that may go */
    int64_t next_change_ns;
    atomic_int_least64_t due_ns; /* when a key goes that is not used again; INT64_MAX = never */
};

/**
 * Maps room for so many keys; 0, or another level: there are none. Who cannot have it does without: it is no part of what
 * must be there.
 */
void ael_hot_keys_init(
    struct ael_hot_keys *hot, size_t count, int64_t idle_ns, const struct ael_region_policy *policy);

/** Wipes and unmaps; a zeroed struct is accepted. */
void ael_hot_keys_clear(struct ael_hot_keys *hot);

/**
 * Begins a use of a schedule, until ael_hot_keys_end by the same thread.
 *
 * @param place  where it was admitted; AEL_HOT_KEY_NOWHERE is accepted. @param owner  the key's number (ael_unique_number).
 * @param kind   as it was admitted with.
 * @return the schedule, readable, aligned to 64; NULL when it is not there (any more), or the thread uses one already.
 * Threads: any.
 */
const uint8_t *ael_hot_keys_begin(struct ael_hot_keys *hot, uint32_t place, uint64_t owner, const void *kind);
void ael_hot_keys_end(struct ael_hot_keys *hot);

/**
 * Offers a schedule that the caller, who holds the key, has in protected memory. Never waits. Taken when there is a place,
 * or a key that was not used lately gives way, at most once a millisecond.
 *
 * @param len  at most AEL_HOT_KEY_BYTES. @param place  receives where it is, or AEL_HOT_KEY_NOWHERE.
 * @return true when it is there. Threads: any.
 */
bool ael_hot_keys_offer(
    struct ael_hot_keys *hot,
    uint64_t owner,
    const void *kind,
    const uint8_t *schedule,
    size_t len,
    uint32_t *place);

/** Evicts a key, if it is there; it may be offered again. Threads: any. */
void ael_hot_keys_evict(struct ael_hot_keys *hot, uint64_t owner);

/** As ael_hot_keys_evict, from anywhere: outside the gate, in a child of a fork, after a shut-down. Threads: any. */
void ael_hot_keys_forget(uint64_t owner);

/** Evicts what is idle and wipes what nobody reads any more: what the warden does when it is due. */
void ael_hot_keys_tend(struct ael_hot_keys *hot, int64_t now_ns);

/** Returns when that is due next, of ael_clock_boot_ns; INT64_MAX = never. Threads: any. */
int64_t ael_hot_keys_due_ns(const struct ael_hot_keys *hot);

/** Counts the places that hold bytes. Threads: any. */
uint32_t ael_hot_keys_filled(struct ael_hot_keys *hot);

#endif /* AEL_SECUREMEMORY_HOT_KEYS_H */
