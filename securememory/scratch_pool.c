/* SPDX-License-Identifier: Apache-2.0 */
#include "securememory/scratch_pool.h"

#include "base/barrier.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/corruption.h"
#include "base/system.h"
#include "base/thread_entry.h"
#include "base/wipe.h"
#include "securememory/sys_seam.h"

#include <string.h>

enum {
    DEFAULT_TIMEOUT_MS = 30000,
    APART =
        5, /* slots between those of threads that came one after the other: they have no canary in common */
};

_Static_assert(AEL_SCRATCH_STRIDE % 64 == 0, "every slot is aligned");
_Static_assert(AEL_SCRATCH_LEAST_BYTES % 4096 == 0, "the slots fill pages of 4 KiB");

/* The slots end at the rear guard, also where they do not fill the pages. */
static uint8_t *canary_of(const struct ael_scratch_pool *pool, uint32_t slot) {
    const struct ael_pages *pages = &pool->region.pages;
    return pages->bytes + pages->len - (size_t)(pool->slots - slot) * AEL_SCRATCH_STRIDE;
}

/* see securememory/scratch_pool.h */
uint8_t *ael_scratch_pool_bytes(const struct ael_scratch_pool *pool, uint32_t slot) {
    return canary_of(pool, slot) + AEL_SCRATCH_CANARY_BYTES;
}

static enum ael_status write_canaries(struct ael_scratch_pool *pool) {
    AEL_TRY(ael_sys_seed(pool->canary, sizeof pool->canary));
    AEL_TRY(ael_region_begin(&pool->region, AEL_PAGES_WRITE));
    for (uint32_t slot = 0; slot < pool->slots; slot++) {
        memcpy(canary_of(pool, slot), pool->canary, sizeof pool->canary);
    }
    return ael_region_end(&pool->region);
}

/* see securememory/scratch_pool.h */
enum ael_status ael_scratch_pool_init(
    struct ael_scratch_pool *pool,
    uint32_t slots,
    const struct ael_region_policy *policy,
    struct ael_error *err) {
    memset(pool, 0, sizeof *pool);
    pool->slots = slots;
    AEL_TRY(ael_mutex_init(&pool->lock));
    enum ael_status status =
        ael_region_init(&pool->region, AEL_LEASE_OF_SCRATCH, (size_t)slots * AEL_SCRATCH_STRIDE, policy, err);
    if (status == AEL_OK) {
        status = write_canaries(pool);
    }
    if (status != AEL_OK) {
        ael_region_clear(&pool->region);
        ael_mutex_clear(&pool->lock);
        return status;
    }
    atomic_init(&pool->has_waiters, false);
    return AEL_OK;
}

/* see securememory/scratch_pool.h */
void ael_scratch_pool_clear(struct ael_scratch_pool *pool) {
    if (pool->region.pages.bytes != NULL) {
        ael_region_clear(&pool->region);
        ael_mutex_clear(&pool->lock);
    }
}

/* Under the lock. */
static enum ael_status
wait_for_slot(struct ael_scratch_pool *pool, const struct ael_call *call, uint32_t *slot) {
    struct ael_call bounded = AEL_CALL_INIT;
    if (call != NULL) {
        bounded.deadline_ns = call->deadline_ns;
        bounded.cancel = call->cancel;
    }
    if (bounded.deadline_ns == 0) {
        bounded.deadline_ns = ael_deadline_in_ms(DEFAULT_TIMEOUT_MS);
    }
    return ael_waiters_wait(&pool->waiters, &pool->lock, &bounded, slot);
}

static bool take_if_free(struct ael_scratch_mark *mark) {
    return !atomic_load(&mark->taken) && !atomic_exchange(&mark->taken, true);
}

/* The thread's own before the others. */
static bool take_free(struct ael_scratch_pool *pool, uint32_t *slot) {
    uint32_t last = pool->slots - 1;
    uint32_t own = (uint32_t)(ael_thread_number() * APART);
    for (uint32_t i = 0; i < pool->slots; i++) {
        *slot = (own + i) & last;
        if (take_if_free(&pool->marks[*slot])) {
            return true;
        }
    }
    return false;
}

/* Either this thread sees a slot that is given back meanwhile, or the giver sees that somebody waits: the heavy barrier is
 * between the two here, the light one there. */
static enum ael_status
take_or_wait(struct ael_scratch_pool *pool, const struct ael_call *call, uint32_t *slot) {
    enum ael_status status = AEL_OK;
    ael_mutex_lock(&pool->lock);
    atomic_store(&pool->has_waiters, true);
    ael_barrier_heavy_surely();
    if (pool->waiters.first != NULL || !take_free(pool, slot)) {
        status = wait_for_slot(pool, call, slot);
    }
    atomic_store(&pool->has_waiters, pool->waiters.first != NULL);
    ael_mutex_unlock(&pool->lock);
    return status;
}

static bool take_unqueued(struct ael_scratch_pool *pool, uint32_t *slot) {
    return !atomic_load(&pool->has_waiters) && take_free(pool, slot);
}

/* False when the call ends before. */
static bool nap(const struct ael_call *call, long ns) {
    const struct timespec pause = {0, ns};
    atomic_uint never_changes = 0;
    bool has_time = call == NULL || call->deadline_ns == 0 || ael_clock_boot_ns() + ns < call->deadline_ns;
    if (!has_time || ael_call_check(call) != AEL_OK) {
        return false;
    }
    ael_system_sleep_while(&never_changes, 0, &pause);
    return true;
}

/*
 * A queue makes everybody queue: each operation then ends with a hand-over and begins with a wait, for a hundred times its
 * own time, and where there are more threads than processors it would not end before they do. So who finds no slot sleeps
 * a little and looks again, and queues when that was in vain for some 30 ms.
 */
static enum ael_status take_slot(struct ael_scratch_pool *pool, const struct ael_call *call, uint32_t *slot) {
    static const long k_naps_ns[] = {20000, 100000, 500000, 1000000, 2000000, 4000000, 8000000, 16000000};
    bool taken = take_unqueued(pool, slot);
    for (size_t i = 0; !taken && i < sizeof k_naps_ns / sizeof k_naps_ns[0] && nap(call, k_naps_ns[i]); i++) {
        taken = take_unqueued(pool, slot);
    }
    return taken ? AEL_OK : take_or_wait(pool, call, slot);
}

static void hand_out(struct ael_scratch_pool *pool) {
    uint32_t slot = 0;
    ael_mutex_lock(&pool->lock);
    while (pool->waiters.first != NULL && take_free(pool, &slot)) {
        (void)ael_waiters_give(&pool->waiters, slot);
    }
    atomic_store(&pool->has_waiters, pool->waiters.first != NULL);
    ael_mutex_unlock(&pool->lock);
}

static void give_slot(struct ael_scratch_pool *pool, uint32_t slot) {
    atomic_store_explicit(&pool->marks[slot].taken, false, memory_order_release);
    ael_barrier_light();
    if (atomic_load(&pool->has_waiters)) {
        hand_out(pool);
    }
}

/* see securememory/scratch_pool.h */
enum ael_status
ael_scratch_pool_take(struct ael_scratch_pool *pool, const struct ael_call *call, uint32_t *slot) {
    AEL_TRY(take_slot(pool, call, slot));
    enum ael_status status = ael_region_begin(&pool->region, AEL_PAGES_WRITE);
    if (status != AEL_OK) {
        give_slot(pool, *slot);
    }
    return status;
}

static bool is_intact(const struct ael_scratch_pool *pool, uint32_t slot) {
    return memcmp(canary_of(pool, slot), pool->canary, sizeof pool->canary) == 0;
}

/* A canary that is not intact is written anew, so that one stray write is reported once. */
static bool check_canary(struct ael_scratch_pool *pool, uint32_t slot) {
    if (slot == pool->slots || is_intact(pool, slot)) {
        return true; /* behind the last slot is the guard page */
    }
    ael_mutex_lock(&pool->lock);
    bool intact = is_intact(pool, slot); /* its other neighbour may have been first */
    memcpy(canary_of(pool, slot), pool->canary, sizeof pool->canary);
    ael_mutex_unlock(&pool->lock);
    return intact;
}

static bool canaries_around_are_intact(struct ael_scratch_pool *pool, uint32_t slot) {
    bool before = check_canary(pool, slot);
    bool behind = check_canary(pool, slot + 1);
    return before && behind;
}

/* see securememory/scratch_pool.h */
enum ael_status ael_scratch_pool_give(struct ael_scratch_pool *pool, uint32_t slot) {
    ael_wipe(ael_scratch_pool_bytes(pool, slot), AEL_SCRATCH_BYTES);
    bool intact = canaries_around_are_intact(pool, slot);
    give_slot(pool, slot);
    enum ael_status status = ael_region_end(&pool->region);
    if (!intact) {
        ael_corruption_found(AEL_CORRUPTION_SCRATCH);
        return AEL_E_CORRUPTED;
    }
    return status;
}

/* see securememory/scratch_pool.h */
uint32_t ael_scratch_pool_in_use(struct ael_scratch_pool *pool) {
    uint32_t count = 0;
    for (uint32_t slot = 0; slot < pool->slots; slot++) {
        count += atomic_load(&pool->marks[slot].taken);
    }
    return count;
}
