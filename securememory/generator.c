/* SPDX-License-Identifier: Apache-2.0 */
#include "securememory/generator.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/system.h"
#include "base/wipe.h"
#include "securememory/sys_seam.h"

#include <sodium.h>
#include <string.h>

/* A shard's part of the protected page: what one call of the cipher makes. */
struct shard_state {
    uint8_t key[AEL_GENERATOR_SEED_BYTES]; /* of the next call */
    uint8_t block[AEL_GENERATOR_BLOCK_BYTES];
};

_Static_assert(sizeof(struct shard_state) * AEL_GENERATOR_SHARDS == AEL_GENERATOR_ALL_BYTES, "no padding");
_Static_assert(AEL_GENERATOR_SEED_BYTES == crypto_stream_chacha20_KEYBYTES, "the seed is a key");

static const int64_t k_reseed_ns = (int64_t)AEL_GENERATOR_RESEED_S * 1000000000;
static const uint8_t k_nonce[crypto_stream_chacha20_NONCEBYTES] = {0}; /* each key makes one stream */

static struct shard_state *state_of(const struct ael_generator *generator, uint32_t shard) {
    return (struct shard_state *)(void *)generator->region.pages.bytes + shard;
}

/* see securememory/generator.h */
enum ael_status ael_generator_init(
    struct ael_generator *generator, const struct ael_region_policy *policy, struct ael_error *err) {
    memset(generator, 0, sizeof *generator);
    AEL_TRY(ael_mutex_init(&generator->crowd));
    enum ael_status status =
        ael_region_init(&generator->region, AEL_LEASE_OF_GENERATOR, AEL_GENERATOR_ALL_BYTES, policy, err);
    if (status != AEL_OK) {
        ael_mutex_clear(&generator->crowd);
    }
    return status;
}

/* see securememory/generator.h */
void ael_generator_clear(struct ael_generator *generator) {
    if (generator->region.pages.bytes != NULL) {
        ael_region_clear(&generator->region);
        ael_mutex_clear(&generator->crowd);
    }
}

/* The clock is looked at with each block, not with each draw. */
static bool needs_seed(const struct ael_generator_shard *shard, uint64_t origin, size_t len) {
    return shard->origin != origin || shard->drawn >= AEL_GENERATOR_RESEED_BYTES ||
           (shard->available < len && ael_clock_boot_ns() - shard->seeded_ns >= k_reseed_ns);
}

/* The seed is added to the key that is there: neither a bad seed nor a known state alone tells the next
 * output. */
static enum ael_status reseed(struct ael_generator_shard *shard, struct shard_state *state, uint64_t origin) {
    AEL_TRY(ael_sys_seed(state->block, sizeof state->key));
    for (size_t i = 0; i < sizeof state->key; i++) {
        state->key[i] ^= state->block[i];
    }
    ael_wipe(state->block, sizeof state->block);
    shard->available = 0;
    shard->drawn = 0;
    shard->seeded_ns = ael_clock_boot_ns();
    shard->origin = origin;
    return AEL_OK;
}

/* 512 bytes at once, of which the cipher's vector code makes eight blocks together: in less than half the time that it
 * takes for 480. The copy of the key is where the cipher's own is, and both go with the stack. */
static void refill(struct ael_generator_shard *shard, struct shard_state *state) {
    uint8_t key[AEL_GENERATOR_SEED_BYTES];
    memcpy(key, state->key, sizeof key);
    (void)crypto_stream_chacha20((uint8_t *)state, sizeof *state, k_nonce, key);
    ael_wipe(key, sizeof key);
    shard->available = sizeof state->block;
}

/* Returns the next len bytes of the block; the caller wipes them. */
static uint8_t *next_bytes(struct ael_generator_shard *shard, struct shard_state *state, size_t len) {
    if (shard->available < len) {
        refill(shard, state);
    }
    uint8_t *bytes = state->block + sizeof state->block - shard->available;
    shard->available -= len;
    return bytes;
}

static void draw(struct ael_generator_shard *shard, struct shard_state *state, uint8_t *out, size_t len) {
    if (len <= sizeof state->block) {
        uint8_t *bytes = next_bytes(shard, state, len);
        memcpy(out, bytes, len);
        ael_wipe(bytes, len);
    } else {
        uint8_t *key = next_bytes(shard, state, sizeof state->key);
        (void)crypto_stream_chacha20(out, len, k_nonce, key);
        ael_wipe(key, sizeof state->key);
    }
    shard->drawn += len;
}

/* The wanted one, or the next that nobody draws from; AEL_GENERATOR_SHARDS when all are busy. */
static uint32_t take_idle(struct ael_generator *generator, uint32_t wanted) {
    for (uint32_t i = 0; i < AEL_GENERATOR_SHARDS; i++) {
        uint32_t shard = (wanted + i) % AEL_GENERATOR_SHARDS;
        atomic_bool *busy = &generator->shards[shard].busy;
        if (!atomic_load_explicit(busy, memory_order_relaxed) &&
            !atomic_exchange_explicit(busy, true, memory_order_acquire)) {
            return shard;
        }
    }
    return AEL_GENERATOR_SHARDS;
}

/* As many threads as there are shards were interrupted in the middle of a draw. One looks for the end of one, the others
 * wait for it. */
static uint32_t take_when_idle(struct ael_generator *generator, uint32_t wanted) {
    static const struct timespec k_pause = {0, 20000};
    atomic_uint never_changes = 0;
    ael_mutex_lock(&generator->crowd);
    uint32_t shard = take_idle(generator, wanted);
    while (shard == AEL_GENERATOR_SHARDS) {
        ael_system_sleep_while(&never_changes, 0, &k_pause);
        shard = take_idle(generator, wanted);
    }
    ael_mutex_unlock(&generator->crowd);
    return shard;
}

static enum ael_status
draw_from(struct ael_generator *generator, uint32_t number, uint64_t origin, uint8_t *out, size_t len) {
    struct ael_generator_shard *shard = &generator->shards[number];
    struct shard_state *state = state_of(generator, number);
    if (needs_seed(shard, origin, len)) {
        AEL_TRY(reseed(shard, state, origin));
    }
    draw(shard, state, out, len);
    return AEL_OK;
}

/* see securememory/generator.h */
enum ael_status
ael_generator_fill(
    struct ael_generator *generator, uint32_t wanted, uint64_t origin, uint8_t *out, size_t len) {
    enum ael_status status = ael_region_begin(&generator->region, AEL_PAGES_WRITE);
    if (status != AEL_OK) {
        ael_wipe(out, len);
        return status;
    }
    uint32_t shard = take_idle(generator, wanted);
    if (shard == AEL_GENERATOR_SHARDS) {
        shard = take_when_idle(generator, wanted);
    }
    status = draw_from(generator, shard, origin, out, len);
    atomic_store_explicit(&generator->shards[shard].busy, false, memory_order_release);
    enum ael_status end = ael_region_end(&generator->region);
    status = status != AEL_OK ? status : end;
    if (status != AEL_OK) {
        ael_wipe(out, len);
    }
    return status;
}
