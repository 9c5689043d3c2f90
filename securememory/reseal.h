/*
 * securememory/reseal.h - the sweep: everything that is sealed under old roots is sealed anew, in small steps.
 *
 *     begin(target) --step, step, ...--> done: no seal names a root below the target
 *
 * It walks the shards' lists. What is made meanwhile is sealed under the target or a newer root, because the target is
 * the current root when the sweep begins and each shard's lock is taken once after that; what is dropped meanwhile is
 * passed over. A step holds a shard's lock for a few seals at a time, takes a scratch slot only if one is free, and waits
 * for nobody.
 * Layer: securememory.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_SECUREMEMORY_RESEAL_H
#define AEL_SECUREMEMORY_RESEAL_H

#include <ael/status.h>

#include <stdbool.h>
#include <stddef.h>

struct ael_roots;
struct ael_scratch_pool;
struct ael_secret_slots;

/* What it works with. */
struct ael_reseal_parts {
    struct ael_roots *roots;
    struct ael_scratch_pool *scratch;
    struct ael_secret_slots *slots; /* for what is too long for scratch */
};

struct ael_reseal {
    uint32_t target;   /* a root's number */
    uint32_t shard;    /* where the sweep is */
    bool entered;      /* that shard's list was begun */
    bool running;
    uint64_t resealed; /* since the start */
};

/** Begins a sweep from the start; target is the current root. */
void ael_reseal_begin(struct ael_reseal *sweep, uint32_t target);

/**
 * Looks at some seals and renews those that are old. Inside the gate or by the warden; one thread at a time.
 *
 * @param budget  seals to look at.
 * @return AEL_OK (running is false when it is done); or why there was no more progress, to be tried again:
 *         AEL_E_TIMEOUT (no slot is free), AEL_E_SYSTEM, AEL_E_NO_MEMORY.
 */
AEL_MUST_CHECK enum ael_status
ael_reseal_step(struct ael_reseal *sweep, const struct ael_reseal_parts *parts, size_t budget);

#endif /* AEL_SECUREMEMORY_RESEAL_H */
