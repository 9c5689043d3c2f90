/*
 * securememory/secret_slots.h - the pages into which secrets are opened for reading, one secret a page.
 *
 *     guard | zero ... canary data | guard        (data ends at the rear guard)
 *
 *     free --take, fill, bind--> in use --rest--> idle (bound, inaccessible) --reopen--> in use
 *     idle --take by another, close, or idle for idle_ns--> free (wiped)
 *
 * Some are kept for the library's edges, which would else stand in the queue of all who open secrets: a slot that an
 * encrypt needs is to be had however many the host's threads hold. A kept slot is given when all others are in use, and
 * goes back as soon as its use ends: it is never idle. An edge that has none open gets one only while the other is there,
 * too, which is for what it opens inside: so of several edges each one that has begun can go on, and ends.
 *
 * A bound slot is named by its owner's pointer, which the pool sets to NULL when it takes the slot away.
 * Layer: securememory.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_SECUREMEMORY_SECRET_SLOTS_H
#define AEL_SECUREMEMORY_SECRET_SLOTS_H

#include "base/sync.h"
#include "securememory/pages.h"
#include "securememory/waiters.h"

#include <stdatomic.h>

struct ael_warden;

enum {
    AEL_SECRET_SLOT_MAX_LEN = 4000,
    AEL_SECRET_CANARY_BYTES = 64,
    AEL_SECRET_SLOTS_MAX = 4096,
    AEL_SECRET_SLOTS_FOR_EDGES = 2, /* a key, and inside it the one that wraps it */
};

/*
 * Between "in use" and "idle" a bound slot goes without the pool's lock, by its hold: its owner takes it with a
 * compare-and-swap, and so does whoever takes an idle slot away, under the lock. Who waits for a slot is counted before it
 * looks for an idle one; who leaves one idle looks at the count behind that. Both are sequentially consistent, so that one
 * of the two sees the other.
 */
struct ael_secret_slot {
    struct ael_pages pages;
    uint32_t index;
    size_t len;                         /* bytes it holds; 0 = wiped. Whoever has the slot may change it */
    atomic_uintptr_t hold;              /* owner: idle; owner + 1: in use by it; 0: not bound */
    atomic_int_least64_t idle_since_ns; /* relaxed: written before hold is released as idle */
    struct ael_secret_slot **owner;     /* what follows is guarded by the pool's lock; NULL = not bound */
    struct ael_secret_slot *older;      /* in its list, when free or bound */
    struct ael_secret_slot *newer;
    bool is_free;
};

struct ael_secret_slot_list {
    struct ael_secret_slot *oldest;
    struct ael_secret_slot *newest;
};

struct ael_secret_slots {
    struct ael_mutex lock;
    struct ael_secret_slot *slots;
    size_t count;
    size_t kept; /* of these, for edges: the first ones */
    struct ael_secret_slot_list free;
    struct ael_secret_slot_list free_for_edges;
    struct ael_secret_slot_list bound; /* idle or in use */
    struct ael_waiters waiters;
    struct ael_waiters waiters_in_edges;        /* with nothing open */
    struct ael_waiters waiters_further_in_edges; /* that have a secret open: the others may have to wait for these */
    atomic_uint waiting;         /* threads in the three queues, or about to be */
    atomic_int_least64_t due_ns; /* no slot has been idle for too long before; INT64_MAX = none is idle */
    uint8_t canary[AEL_SECRET_CANARY_BYTES];
    int64_t idle_ns;
    struct ael_warden *warden;         /* wipes idle slots; where it does not run, later operations do */
    atomic_uint_least64_t idle_wiped; /* statistics: relaxed */
};

/* Who wipes idle slots, and when. */
struct ael_secret_slots_policy {
    int64_t idle_ns;
    struct ael_warden *warden;
};

struct ael_secret_slots_size {
    size_t for_edges;
    size_t least; /* others, without which it fails */
    size_t most;  /* others to try for */
};

/**
 * Maps slots.
 *
 * @return AEL_OK; as ael_pages_map; AEL_E_RANDOM. Nothing to clear after a failure.
 */
AEL_MUST_CHECK enum ael_status ael_secret_slots_init(
    struct ael_secret_slots *slots,
    const struct ael_secret_slots_size *size,
    const struct ael_pages_policy *policy,
    const struct ael_secret_slots_policy *idle,
    struct ael_error *err);

/** Puts all slots, which are free, under a key (ael_pages_set_key): each reader then gives itself rights on it, and
 * `writable` and `readable` below are the calling thread's. @return AEL_OK; AEL_E_SYSTEM. */
AEL_MUST_CHECK enum ael_status ael_secret_slots_set_key(struct ael_secret_slots *slots, enum ael_pkey key);

/** Wipes and unmaps; no slot is in use. A zeroed struct is accepted. */
void ael_secret_slots_clear(struct ael_secret_slots *slots);

/**
 * Makes the slot that *owner names, if any, readable again: one system call.
 *
 * @return AEL_OK (*owner is in use); AEL_E_STATE (no slot is bound); AEL_E_SYSTEM. Threads: any.
 */
AEL_MUST_CHECK enum ael_status
ael_secret_slots_reopen(struct ael_secret_slots *slots, struct ael_secret_slot **owner);

/**
 * Takes a slot, writable and wiped, bound to nobody; waits for one until deadline_ns.
 *
 * @return AEL_OK; AEL_E_TIMEOUT; AEL_E_SYSTEM. Threads: any.
 */
AEL_MUST_CHECK enum ael_status
ael_secret_slots_take(struct ael_secret_slots *slots, int64_t deadline_ns, struct ael_secret_slot **slot);

/** Writes the canary and returns where len bytes of data go. The slot is writable. */
uint8_t *ael_secret_slots_place(struct ael_secret_slots *slots, struct ael_secret_slot *slot, size_t len);

/** Binds a filled slot to its owner and makes it read-only. @return AEL_OK; AEL_E_SYSTEM (given back). */
AEL_MUST_CHECK enum ael_status ael_secret_slots_bind(
    struct ael_secret_slots *slots, struct ael_secret_slot *slot, struct ael_secret_slot **owner);

/** Returns the data of a slot that is in use. */
const uint8_t *ael_secret_slots_data(const struct ael_secret_slot *slot);

/**
 * Ends the use of a bound slot: inaccessible from now on.
 *
 * @return AEL_OK; AEL_E_SYSTEM (still readable); AEL_E_CORRUPTED (canary overwritten: wiped, not bound any
 *         more).
 */
AEL_MUST_CHECK enum ael_status
ael_secret_slots_rest(struct ael_secret_slots *slots, struct ael_secret_slot *slot);

/** Gives back a slot that was taken and is not to be bound: wiped. */
void ael_secret_slots_discard(struct ael_secret_slots *slots, struct ael_secret_slot *slot);

/** Wipes the idle slot that *owner names, if any. @return AEL_OK; AEL_E_CORRUPTED (its canary was
 * overwritten). */
AEL_MUST_CHECK enum ael_status
ael_secret_slots_forget(struct ael_secret_slots *slots, struct ael_secret_slot **owner);

/**
 * Tells whether *owner names a slot; only the pool takes one away, so "no" stays so until the owner binds another, and the
 * pool is done with the owner then (acquire).
 */
static inline bool ael_secret_slots_is_bound(struct ael_secret_slot *const *owner) {
    return __atomic_load_n(owner, __ATOMIC_ACQUIRE) != NULL;
}

/** Wipes slots that have been idle for long, a few at a time. Threads: any, under no lock. */
void ael_secret_slots_wipe_idle(struct ael_secret_slots *slots, int64_t now_ns);

/** Returns when that is wanted next; INT64_MAX = none is idle. Threads: any. */
int64_t ael_secret_slots_idle_due_ns(struct ael_secret_slots *slots);

/**
 * Begins and ends a call to an edge on this thread, which may take the kept slots meanwhile.
 *
 * @param before  what enter returned.
 */
bool ael_secret_slots_enter_edge(void);
void ael_secret_slots_leave_edge(bool before);

/** Counts slots in use, and slots that hold a secret's bytes. Threads: any. */
void ael_secret_slots_count(struct ael_secret_slots *slots, size_t *in_use, size_t *filled);

#endif /* AEL_SECUREMEMORY_SECRET_SLOTS_H */
