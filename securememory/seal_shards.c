/* SPDX-License-Identifier: Apache-2.0 */
#include "securememory/seal_shards.h"

#include "base/thread_entry.h"

#include <stddef.h>

enum { SHARD_SHIFT = 56 }; /* of a nonce: above it the shard's number, below its counter, which is never used up */

#define SHARD {.lock = AEL_MUTEX_INIT}
#define FOUR_SHARDS SHARD, SHARD, SHARD, SHARD

static struct ael_seal_shard g_shards[AEL_SEAL_SHARDS] = {FOUR_SHARDS, FOUR_SHARDS, FOUR_SHARDS, FOUR_SHARDS};

/* see securememory/seal_shards.h */
struct ael_seal_shard *ael_seal_shard(uint32_t number) {
    return &g_shards[number];
}

/* see securememory/seal_shards.h */
uint32_t ael_seal_shard_here(void) {
    return (uint32_t)(ael_thread_number() % AEL_SEAL_SHARDS);
}

static void count(atomic_uint_least64_t *counter, uint64_t by) {
    uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, value + by, memory_order_relaxed);
}

/* see securememory/seal_shards.h */
uint64_t ael_seal_shard_nonce(struct ael_seal_shard *shard) {
    count(&shard->seals, 1);
    return (uint64_t)(shard - g_shards) << SHARD_SHIFT | ++shard->last_nonce;
}

/* see securememory/seal_shards.h */
void ael_seal_shard_add(struct ael_seal_shard *shard, struct ael_sealed *sealed) {
    sealed->previous = NULL;
    sealed->next = shard->first;
    if (shard->first != NULL) {
        shard->first->previous = sealed;
    }
    shard->first = sealed;
    count(&shard->listed, 1);
}

/* see securememory/seal_shards.h */
void ael_seal_shard_remove(struct ael_seal_shard *shard, struct ael_sealed *sealed) {
    *(sealed->previous == NULL ? &shard->first : &sealed->previous->next) = sealed->next;
    if (sealed->next != NULL) {
        sealed->next->previous = sealed->previous;
    }
    if (shard->next_swept == sealed) {
        shard->next_swept = sealed->next;
    }
    count(&shard->listed, UINT64_MAX);
}

/* see securememory/seal_shards.h */
uint64_t ael_seal_shards_seals(void) {
    uint64_t sum = 0;
    for (size_t i = 0; i < AEL_SEAL_SHARDS; i++) {
        sum += atomic_load_explicit(&g_shards[i].seals, memory_order_relaxed);
    }
    return sum;
}

/* see securememory/seal_shards.h */
uint64_t ael_seal_shards_listed(void) {
    uint64_t sum = 0;
    for (size_t i = 0; i < AEL_SEAL_SHARDS; i++) {
        sum += atomic_load_explicit(&g_shards[i].listed, memory_order_relaxed);
    }
    return sum;
}
