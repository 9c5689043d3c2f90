/* SPDX-License-Identifier: Apache-2.0 */
#include "securememory/generator.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/wipe.h"
#include "securememory/sys_seam.h"

#include <sodium.h>
#include <string.h>

/* A shard's part of the protected page. */
struct shard_state {
    uint8_t key[AEL_GENERATOR_SEED_BYTES];
    uint8_t block[AEL_GENERATOR_BLOCK_BYTES];
};

_Static_assert(sizeof(struct shard_state) * AEL_GENERATOR_SHARDS == AEL_GENERATOR_ALL_BYTES, "no padding");
_Static_assert(AEL_GENERATOR_SEED_BYTES == crypto_stream_chacha20_KEYBYTES, "the seed is a key");

static const int64_t k_reseed_ns = (int64_t)AEL_GENERATOR_RESEED_S * 1000000000;
static const uint8_t k_nonce[crypto_stream_chacha20_NONCEBYTES] = {0}; /* each key makes one stream */

static struct shard_state *state_of(const struct ael_generator *generator, uint32_t shard) {
    return (struct shard_state *)(void *)generator->region.pages.bytes + shard;
}

static void clear_locks(struct ael_generator *generator, size_t count) {
    for (size_t i = 0; i < count; i++) {
        ael_mutex_clear(&generator->shards[i].lock);
    }
}

/* see securememory/generator.h */
enum ael_status ael_generator_init(
    struct ael_generator *generator, const struct ael_region_policy *policy, struct ael_error *err) {
    enum ael_status status = AEL_OK;
    size_t ready = 0;

    memset(generator, 0, sizeof *generator);
    for (; ready < AEL_GENERATOR_SHARDS && status == AEL_OK; ready += status == AEL_OK) {
        status = ael_mutex_init(&generator->shards[ready].lock);
    }
    if (status == AEL_OK) {
        status = ael_region_init(
        &generator->region, AEL_LEASE_OF_GENERATOR, AEL_GENERATOR_ALL_BYTES, policy, err);
    }
    if (status != AEL_OK) {
        clear_locks(generator, ready);
    }
    return status;
}

/* see securememory/generator.h */
void ael_generator_clear(struct ael_generator *generator) {
    if (generator->region.pages.bytes != NULL) {
        ael_region_clear(&generator->region);
        clear_locks(generator, AEL_GENERATOR_SHARDS);
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

static void refill(struct ael_generator_shard *shard, struct shard_state *state) {
    (void)crypto_stream_chacha20(state->block, sizeof state->block, k_nonce, state->key);
    memcpy(state->key, state->block, sizeof state->key);
    ael_wipe(state->block, sizeof state->key);
    shard->available = sizeof state->block - sizeof state->key;
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
    if (len <= sizeof state->block - sizeof state->key) {
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

/* see securememory/generator.h */
enum ael_status
ael_generator_fill(
    struct ael_generator *generator, uint32_t shard_index, uint64_t origin, uint8_t *out, size_t len) {
    struct ael_generator_shard *shard = &generator->shards[shard_index];
    struct shard_state *state = state_of(generator, shard_index);
    enum ael_status status = ael_region_begin(&generator->region, AEL_PAGES_WRITE);
    if (status != AEL_OK) {
        ael_wipe(out, len);
        return status;
    }
    ael_mutex_lock(&shard->lock);
    if (needs_seed(shard, origin, len)) {
        status = reseed(shard, state, origin);
    }
    if (status == AEL_OK) {
        draw(shard, state, out, len);
    }
    ael_mutex_unlock(&shard->lock);
    enum ael_status end = ael_region_end(&generator->region);
    status = status != AEL_OK ? status : end;
    if (status != AEL_OK) {
        ael_wipe(out, len);
    }
    return status;
}
