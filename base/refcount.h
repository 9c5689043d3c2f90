/*
 * base/refcount.h - counting holders; the memory order is argued here once.
 *
 * Acquire may be relaxed: the caller holds a reference, so the object is reachable and its count above 0.
 * Release is release-ordered, so that all uses by this holder come before the free; the last holder's acquire
 * fence pairs with the releases of the others.
 * Layer: base.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_BASE_REFCOUNT_H
#define AEL_BASE_REFCOUNT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct ael_refcount {
    atomic_uint_least32_t holders;
};

static inline void ael_refcount_init(struct ael_refcount *count) {
    atomic_init(&count->holders, 1);
}

static inline void ael_refcount_acquire(struct ael_refcount *count) {
    atomic_fetch_add_explicit(&count->holders, 1, memory_order_relaxed);
}

/** Drops one holder; true for the last, which then owns the object alone. */
static inline bool ael_refcount_release(struct ael_refcount *count) {
    /* acq_rel instead of release + fence: ThreadSanitizer does not see fences. */
    return atomic_fetch_sub_explicit(&count->holders, 1, memory_order_acq_rel) == 1;
}

#endif /* AEL_BASE_REFCOUNT_H */
