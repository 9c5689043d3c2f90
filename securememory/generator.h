/*
 * securememory/generator.h - the random generator behind securememory/random.h: eight shards in one protected
 * page.
 *
 * Fast key erasure: a shard's key makes a block of ChaCha20 output; its first 32 bytes become the next key,
 * the rest is handed out and wiped as it goes. So nothing that was handed out can be computed from what is
 * there.
 * A draw takes a shard by one exchange. One that is busy is passed over, so a thread waits only where eight others were
 * interrupted in the middle of a draw. Nothing of it is needed after a fork, where all is drawn anew.
 * Layer: securememory.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_SECUREMEMORY_GENERATOR_H
#define AEL_SECUREMEMORY_GENERATOR_H

#include "securememory/region.h"

#include <stdatomic.h>
#include <stdbool.h>

enum {
    AEL_GENERATOR_SHARDS = 8,
    AEL_GENERATOR_SEED_BYTES = 32,
    AEL_GENERATOR_BLOCK_BYTES = 480,
    AEL_GENERATOR_ALL_BYTES = AEL_GENERATOR_SHARDS * (AEL_GENERATOR_SEED_BYTES + AEL_GENERATOR_BLOCK_BYTES),
    AEL_GENERATOR_RESEED_BYTES = 1 << 20,
    AEL_GENERATOR_RESEED_S = 60,
};

/* In ordinary memory: nothing here tells anything about the output. */
struct ael_generator_shard {
    atomic_bool busy; /* a thread draws: the shard and its part of the page are its. Acquire and release */
    uint64_t origin; /* of the last seed; 0 = never seeded */
    size_t available; /* unused bytes at the end of the block */
    size_t drawn;     /* bytes since the last seed */
    int64_t seeded_ns;
    uint8_t padding[128]; /* shards are used by different CPUs */
};

struct ael_generator {
    struct ael_region region;
    struct ael_generator_shard shards[AEL_GENERATOR_SHARDS];
    struct ael_mutex crowd; /* held by the first of those who find all shards busy */
};

/** Maps the page; seeds are drawn when a shard is first used. @return as ael_region_init. */
AEL_MUST_CHECK enum ael_status ael_generator_init(
    struct ael_generator *generator, const struct ael_region_policy *policy, struct ael_error *err);

/** Wipes and unmaps. A zeroed struct is accepted. */
void ael_generator_clear(struct ael_generator *generator);

/**
 * Fills out from this shard, or the next that nobody draws from, seeded anew when origin is not that of its seed.
 *
 * @return AEL_OK; AEL_E_RANDOM or AEL_E_SYSTEM (out zeroed). Threads: any.
 */
AEL_MUST_CHECK enum ael_status
ael_generator_fill(
    struct ael_generator *generator, uint32_t wanted, uint64_t origin, uint8_t *out, size_t len);

#endif /* AEL_SECUREMEMORY_GENERATOR_H */
