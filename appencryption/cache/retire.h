/*
 * appencryption/cache/retire.h - what left a cache while a thread may still look at it: let go once no thread pins it.
 *
 *     looker:   pin the thing ; light barrier ; is it still where I found it?
 *     retirer:  take it away from there ; retire it ; ... ; heavy barrier ; does a thread pin it?
 *
 * So either the looker finds that it is gone, or the sweep sees the pin and leaves the thing for a later one. A heavy
 * barrier is a system call, so a sweep comes once for AEL_RETIRE_BATCH things; what waits for it is that much and what
 * is pinned, AEL_THREAD_PINS a thread at most. Nobody ever waits for a looker.
 * Layer: appencryption. Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_APPENCRYPTION_CACHE_RETIRE_H
#define AEL_APPENCRYPTION_CACHE_RETIRE_H

#include "base/sync.h"

#include <stddef.h>
#include <stdint.h>

enum { AEL_RETIRE_BATCH = 32 };

/* In the thing; of this module, but for who chains things that he is about to retire. */
struct ael_retiree {
    struct ael_retiree *next; /* the last one's is itself; NULL = it is not retired */
};

/* All things of a kind. */
struct ael_retirees {
    struct ael_mutex lock; /* guards what follows, and the things' retirees; taken under a key cache's lock */
    struct ael_retiree *first;
    size_t count, sweep_at;
    const size_t offset;                /* of the retiree in a thing; pins have the thing's address */
    void (*const release)(void *thing); /* drops one reference; called without the lock */
};

#define AEL_RETIREES_INIT(type, member, release_fn)                                                          \
    {                                                                                                        \
        .lock = AEL_MUTEX_INIT, .sweep_at = AEL_RETIRE_BATCH, .offset = offsetof(type, member),              \
        .release = (release_fn)                                                                              \
    }

/**
 * Takes over one reference of a thing that cannot be found any more where it was held. Several of one thing may come: the
 * first one waits, and while it does the others are dropped at once, for the sweep that ends it comes after them.
 */
void ael_retire(struct ael_retirees *retirees, struct ael_retiree *retiree);

/** Drops the references of what no thread pins. */
void ael_retirees_sweep(struct ael_retirees *retirees);

#endif /* AEL_APPENCRYPTION_CACHE_RETIRE_H */
