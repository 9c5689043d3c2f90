/*
 * securememory/scratch_pool.h - the scratch slots themselves: 16 to 64, 20 to 80 KiB in one region (16 to 64 where slots
 * are smaller), each slot behind a canary.
 *
 *     guard | canary slot | canary slot | ... | canary slot | guard      (zeros before the first on large pages)
 *
 * Layer: securememory.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_SECUREMEMORY_SCRATCH_POOL_H
#define AEL_SECUREMEMORY_SCRATCH_POOL_H

#include "securememory/region.h"
#include "securememory/scratch.h"
#include "securememory/waiters.h"

enum {
    AEL_SCRATCH_SLOTS_LEAST = 16,
    AEL_SCRATCH_SLOTS_MOST = 64,
    AEL_SCRATCH_CANARY_BYTES = 64,
    AEL_SCRATCH_STRIDE = AEL_SCRATCH_CANARY_BYTES + AEL_SCRATCH_BYTES,
    AEL_SCRATCH_LEAST_BYTES = AEL_SCRATCH_SLOTS_LEAST * AEL_SCRATCH_STRIDE,
};

/* Whether a slot is out. In a line of its own: a thread comes back to the same slot, and waits for no other's stores.
 * Acquire on taking and release on giving: the next one finds the slot wiped. */
struct ael_scratch_mark {
    _Alignas(128) atomic_bool taken;
};

struct ael_scratch_pool {
    struct ael_region region;
    uint32_t slots; /* a power of two; constant */
    struct ael_scratch_mark marks[AEL_SCRATCH_SLOTS_MOST];
    atomic_bool has_waiters; /* who comes later queues up behind them; ordered with the marks by barriers */
    struct ael_mutex lock;   /* guards the waiters, and the writing of canaries */
    struct ael_waiters waiters;
    uint8_t canary[AEL_SCRATCH_CANARY_BYTES]; /* what every canary must be; constant */
};

/**
 * Maps the slots: a power of two of them, from AEL_SCRATCH_SLOTS_LEAST to AEL_SCRATCH_SLOTS_MOST.
 *
 * @return AEL_OK; as ael_region_init; AEL_E_RANDOM. Nothing to clear after a failure.
 */
AEL_MUST_CHECK enum ael_status ael_scratch_pool_init(
    struct ael_scratch_pool *pool, uint32_t slots, const struct ael_region_policy *policy, struct ael_error *err);

/** Wipes and unmaps; no slot is out. A zeroed struct is accepted. */
void ael_scratch_pool_clear(struct ael_scratch_pool *pool);

/** Takes a slot, opened and zero. @return AEL_OK; AEL_E_TIMEOUT; AEL_E_CANCELLED; AEL_E_SYSTEM. Threads: any.
 * */
AEL_MUST_CHECK enum ael_status
ael_scratch_pool_take(struct ael_scratch_pool *pool, const struct ael_call *call, uint32_t *slot);

/** Wipes and gives back. @return AEL_OK; AEL_E_CORRUPTED; AEL_E_SYSTEM. Threads: any. */
AEL_MUST_CHECK enum ael_status ael_scratch_pool_give(struct ael_scratch_pool *pool, uint32_t slot);

/** Returns where a slot's bytes are. */
uint8_t *ael_scratch_pool_bytes(const struct ael_scratch_pool *pool, uint32_t slot);

/** Returns how many slots are out. Threads: any. */
uint32_t ael_scratch_pool_in_use(struct ael_scratch_pool *pool);

#endif /* AEL_SECUREMEMORY_SCRATCH_POOL_H */
