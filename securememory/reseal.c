/* SPDX-License-Identifier: Apache-2.0 */
#include "securememory/reseal.h"

#include "base/check.h"
#include "base/wipe.h"
#include "securememory/roots.h"
#include "securememory/scratch_pool.h"
#include "securememory/seal_shards.h"
#include "securememory/secret_slots.h"

enum { AT_ONCE = 8 }; /* seals renewed while a shard's lock is held */

static const int64_t k_long_past_ns = 1; /* a deadline with which nothing waits */

/* Where a seal is opened, to be sealed anew. */
struct room {
    uint8_t *bytes;
    size_t len;
};

/* see securememory/reseal.h */
void ael_reseal_begin(struct ael_reseal *sweep, uint32_t target) {
    sweep->target = target;
    sweep->shard = 0;
    sweep->entered = false;
    sweep->running = true;
}

static bool is_old(const struct ael_reseal *sweep, const struct ael_sealed *sealed) {
    return atomic_load_explicit(&sealed->root, memory_order_relaxed) < sweep->target;
}

/* Under the shard's lock. What does not open never will: it is passed over, and its owner finds out. */
static enum ael_status
renew(struct ael_reseal *sweep, struct ael_seal_shard *shard, const struct ael_roots *roots, const struct room *room) {
    struct ael_sealed *sealed = shard->next_swept;
    enum ael_status status = AEL_OK;
    if (is_old(sweep, sealed)) {
        status = ael_sealed_renew(sealed, roots, shard, room->bytes);
        ael_wipe(room->bytes, sealed->len);
        sweep->resealed += status == AEL_OK;
    }
    if (status == AEL_OK || status == AEL_E_CORRUPTED || status == AEL_E_STATE) {
        shard->next_swept = sealed->next;
        status = AEL_OK;
    }
    return status;
}

static bool fits(const struct ael_reseal *sweep, const struct ael_sealed *sealed, const struct room *room) {
    return sealed->len <= room->len || !is_old(sweep, sealed);
}

/* A few seals under one holding of the lock. @return AEL_OK; AEL_EOF (behind the last); AEL_E_BUFFER_TOO_SMALL (the next
 * one needs more room); AEL_E_NO_MEMORY. */
static enum ael_status sweep_some(
    struct ael_reseal *sweep, const struct ael_roots *roots, const struct room *room, size_t *budget) {
    struct ael_seal_shard *shard = ael_seal_shard(sweep->shard);
    enum ael_status status = AEL_OK;
    ael_mutex_lock(&shard->lock);
    if (!sweep->entered) {
        shard->next_swept = shard->first;
        sweep->entered = true;
    }
    for (int i = 0; i < AT_ONCE && status == AEL_OK && shard->next_swept != NULL && *budget > 0; i++) {
        if (!fits(sweep, shard->next_swept, room)) {
            status = AEL_E_BUFFER_TOO_SMALL;
        } else {
            status = renew(sweep, shard, roots, room);
            (*budget)--;
        }
    }
    status = status == AEL_OK && shard->next_swept == NULL ? AEL_EOF : status;
    ael_mutex_unlock(&shard->lock);
    return status;
}

/* One that needs a secret's slot; whoever waits for one comes first. */
static enum ael_status
sweep_long(struct ael_reseal *sweep, const struct ael_reseal_parts *parts, size_t *budget) {
    struct ael_secret_slot *slot = NULL;
    size_t one = 1;
    AEL_TRY(ael_secret_slots_take(parts->slots, k_long_past_ns, &slot));
    struct room room = {
        ael_secret_slots_place(parts->slots, slot, AEL_SECRET_SLOT_MAX_LEN), AEL_SECRET_SLOT_MAX_LEN};
    enum ael_status status = sweep_some(sweep, parts->roots, &room, &one);
    ael_secret_slots_discard(parts->slots, slot);
    *budget -= one == 0;
    return status;
}

static enum ael_status sweep_shards(
    struct ael_reseal *sweep, const struct ael_reseal_parts *parts, const struct room *room, size_t budget) {
    enum ael_status status = AEL_OK;
    while (status == AEL_OK && budget > 0 && sweep->shard < AEL_SEAL_SHARDS) {
        status = sweep_some(sweep, parts->roots, room, &budget);
        if (status == AEL_E_BUFFER_TOO_SMALL) {
            status = sweep_long(sweep, parts, &budget);
        }
        if (status == AEL_EOF) {
            sweep->shard++;
            sweep->entered = false;
            status = AEL_OK;
        }
    }
    sweep->running = sweep->shard < AEL_SEAL_SHARDS;
    return status;
}

/* The roots stay open over the step. */
static enum ael_status
step_in(struct ael_reseal *sweep, const struct ael_reseal_parts *parts, const struct room *room, size_t budget) {
    AEL_TRY(ael_roots_begin(parts->roots));
    enum ael_status status = sweep_shards(sweep, parts, room, budget);
    ael_wipe_stack();
    enum ael_status end = ael_roots_end(parts->roots);
    return status != AEL_OK ? status : end;
}

/* see securememory/reseal.h */
enum ael_status
ael_reseal_step(struct ael_reseal *sweep, const struct ael_reseal_parts *parts, size_t budget) {
    struct ael_call at_once = AEL_CALL_INIT;
    uint32_t slot = 0;
    at_once.deadline_ns = k_long_past_ns;
    AEL_TRY(ael_scratch_pool_take(parts->scratch, &at_once, &slot));
    struct room room = {ael_scratch_pool_bytes(parts->scratch, slot), AEL_SCRATCH_BYTES};
    enum ael_status status = step_in(sweep, parts, &room, budget);
    enum ael_status given = ael_scratch_pool_give(parts->scratch, slot);
    return status != AEL_OK ? status : given;
}
