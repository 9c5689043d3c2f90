/*
 * securememory/waiters.h - threads that wait for one of a few things, served in the order they came.
 *
 * Part of a pool and guarded by the pool's mutex. What is given goes straight to the oldest waiter; it never
 * lies free for a late-comer to take.
 * Layer: securememory.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_SECUREMEMORY_WAITERS_H
#define AEL_SECUREMEMORY_WAITERS_H

#include "base/sync.h"

#include <ael/call.h>

struct ael_waiter;

struct ael_waiters {
    struct ael_waiter *first;
    struct ael_waiter *last;
};

/**
 * Waits, with the pool's mutex held (given up meanwhile), for a thing.
 *
 * @param call  its deadline and token; its deadline_ns is set.
 * @return AEL_OK (*thing is the caller's); AEL_E_TIMEOUT; AEL_E_CANCELLED; AEL_E_SYSTEM.
 */
AEL_MUST_CHECK enum ael_status ael_waiters_wait(
    struct ael_waiters *waiters, struct ael_mutex *mutex, const struct ael_call *call, uint32_t *thing);

/** Gives a thing to the oldest waiter, with the pool's mutex held; false when nobody waits. */
bool ael_waiters_give(struct ael_waiters *waiters, uint32_t thing);

#endif /* AEL_SECUREMEMORY_WAITERS_H */
