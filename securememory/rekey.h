/*
 * securememory/rekey.h - when another root key is drawn, and when old ones are wiped.
 *
 *     current for a period, or for so many seals --> old: opens only --> after half a period all is sealed anew
 *     (securememory/reseal.h) --> wiped after a whole one
 *
 * Earlier where the keys' page would fill up: one place stays free for a child's own key. The warden tends to it where it
 * runs for the library's own memory; elsewhere each operation on seals does a small step.
 * Layer: securememory.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_SECUREMEMORY_REKEY_H
#define AEL_SECUREMEMORY_REKEY_H

#include "base/sync.h"
#include "securememory/reseal.h"

#include <stdatomic.h>

struct ael_rekey_policy {
    int64_t period_ns;
    uint64_t seals;
    bool by_operations; /* there is no warden to do it */
};

struct ael_rekey_stats {
    uint64_t rekeys;   /* roots drawn while memory was in use */
    uint64_t reseals;
    uint64_t wiped;    /* old roots */
    uint32_t roots;    /* in the page now */
};

struct ael_rekey {
    struct ael_rekey_policy policy;
    struct ael_reseal_parts parts;
    struct ael_mutex lock; /* held by who tends; guards what follows, but for the atomics, which only it changes */
    struct ael_reseal sweep;
    atomic_int_least64_t since_ns;         /* the current root became it */
    atomic_int_least64_t not_before_ns;    /* after a failure */
    atomic_int_least64_t lent_until_ns;    /* a child may still be copying the keys: nothing is wiped */
    atomic_uint_least64_t seals_before;    /* made before that */
    atomic_uint_least32_t clean_below;     /* no seal names a smaller root; the others are to be swept */
    atomic_bool sweeping;
    atomic_bool crowded;                   /* old roots are swept and wiped as soon as may be */
    atomic_uint_least64_t rekeys;
    atomic_uint_least64_t reseals;
    atomic_uint_least64_t wiped;
};

/** The roots and the rest are there. @return AEL_OK; AEL_E_SYSTEM. Nothing to clear after a failure. */
AEL_MUST_CHECK enum ael_status ael_rekey_init(
    struct ael_rekey *rekey, const struct ael_rekey_policy *policy, const struct ael_reseal_parts *parts);

/** A zeroed struct is accepted. */
void ael_rekey_clear(struct ael_rekey *rekey);

/**
 * Does what is due, or a step of it. Inside the gate or by the warden, under no lock; returns at once when another thread
 * is at it.
 *
 * @param now_ns  of ael_clock_boot_ns. @param budget  seals to look at, at most.
 */
void ael_rekey_tend(struct ael_rekey *rekey, int64_t now_ns, size_t budget);

/** The same for an operation on seals, where there is no warden. */
void ael_rekey_operate(struct ael_rekey *rekey);

static inline void ael_rekey_by_operation(struct ael_rekey *rekey) {
    if (__builtin_expect(rekey->policy.by_operations, 0)) {
        ael_rekey_operate(rekey);
    }
}

/** After a child took over its parent's roots: makes a place free at once when there is none. */
void ael_rekey_make_room(struct ael_rekey *rekey);

/** In the parent after a fork that lent the keys' pages: a child that shares them copies them in its own time, which may
 * be late on a busy machine; so none is wiped for a while. */
void ael_rekey_lent(struct ael_rekey *rekey);

/** Returns when ael_rekey_tend is wanted next; INT64_MAX = not before something is sealed. Threads: any. */
int64_t ael_rekey_due_ns(const struct ael_rekey *rekey);

/** Threads: any. */
struct ael_rekey_stats ael_rekey_stats(const struct ael_rekey *rekey);

#endif /* AEL_SECUREMEMORY_REKEY_H */
