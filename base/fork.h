/*
 * base/fork.h - what happens around fork(2).
 *
 *     before:  parts' before, the last added first | only the forking thread holds mutexes | parts' at_rest
 *     after:   parts' parent or child, the first added first | the others go on
 *
 * So in the child no mutex of ours is held by a thread that is not there, and what mutexes guard is whole.
 * Threads that want a mutex meanwhile wait until the fork is over. A part must not hold a mutex over the
 * fork. Children that are made without the handlers (_Fork, raw clone) are told by securememory/process.h.
 * Layer: base.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_BASE_FORK_H
#define AEL_BASE_FORK_H

#include "base/component_api.h"

#include <ael/status.h>

#include <stdbool.h>
#include <stdint.h>

/* A layer's part, or an edge's; each function may be NULL. Zero what is not used. */
struct ael_fork_part {
    void (*before)(void *self);  /* nothing is at rest yet: may wait for other threads, within bounds */
    void (*at_rest)(void *self); /* the last before the fork: takes no mutex and waits for nobody */
    void (*parent)(void *self);
    void (*child)(void *self);
    void *self;
    struct ael_fork_part *next; /* private, as the next */
    bool begun;
};

/**
 * Adds a part, which stays where it is until it is removed; one that was added is not added again. With the
 * first part the handlers are registered.
 *
 * @return AEL_OK; AEL_E_NO_MEMORY (not added). Threads: any, but not inside a part's function.
 */
AEL_COMPONENT_API AEL_MUST_CHECK enum ael_status ael_fork_add(struct ael_fork_part *part);

/** Removes a part; one that was not added is accepted. Waits for a fork that has begun with it; the caller
 * holds no mutex of the library. */
AEL_COMPONENT_API void ael_fork_remove(struct ael_fork_part *part);

/** Counts the forks that lie between the first process and this one. Threads: any. */
AEL_COMPONENT_API uint32_t ael_fork_count(void);

/** Returns the number (base/thread_entry.h) of the thread that forked this process; 0 in the first. Threads:
 * any. */
uint64_t ael_fork_thread(void);

/**
 * Sets what tells whether this process is known, which children made without the handlers are not: there,
 * what is inherited may be locked for ever, so that the handlers do nothing at further forks. Threads: any.
 */
void ael_fork_set_known(bool (*is_known)(void));

#endif /* AEL_BASE_FORK_H */
