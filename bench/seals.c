/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/seals.h"

#include "base/alloc.h"
#include "base/check.h"
#include "bench/floor.h"
#include "securememory/scratch.h"
#include "securememory/sealed_key.h"

#include <string.h>

enum { SECRET_BYTES = 32, CYCLE_KEYS = 10000, LIVE_SECRETS = 1000000 };

/* Our seals are libsodium's; see securememory/seal.h. */
static const char k_engine[] = "libsodium";

static const char k_create[] = "secret/create_random";
static const char k_create_among_many[] = "secret/create_random/1000000";
static const char k_seal[] = "key/seal";
static const char k_cycle[] = "key/cycle";

/* ---- making ---- */

/* The same cost for each, however many there are already. */
static enum ael_status run_create_random(void *context, unsigned thread, uint64_t operations) {
    (void)context;
    (void)thread;
    for (uint64_t i = 0; i < operations; i++) {
        struct ael_secret *secret = NULL;
        AEL_TRY(ael_secret_new_random(SECRET_BYTES, &secret));
        enum ael_status status = ael_secret_close(secret);
        ael_secret_release(secret);
        AEL_TRY(status);
    }
    return AEL_OK;
}

/* ---- sealed keys ---- */

struct sealed_keys {
    struct ael_sealed_key *keys;
    struct ael_key_binding *bindings;
};

static void bind(struct ael_key_binding *binding, uint64_t number) {
    memset(binding, 0, sizeof *binding);
    binding->id_hash = number;
    binding->kind = AEL_KEY_KIND_INTERMEDIATE;
}

/* A key's whole way into rest: a scratch slot, the seal, the slot wiped; then the seal is dropped. */
static enum ael_status run_seal(void *context, unsigned thread, uint64_t operations) {
    struct ael_key_binding binding;
    (void)context;
    bind(&binding, thread);
    for (uint64_t i = 0; i < operations; i++) {
        struct ael_scratch scratch;
        struct ael_sealed_key sealed;
        AEL_TRY(ael_scratch_begin(&scratch, NULL));
        enum ael_status status = ael_sealed_key_make(scratch.bytes, &binding, &sealed);
        enum ael_status ended = ael_scratch_end(&scratch);
        bench_keep(&sealed);
        ael_sealed_key_drop(&sealed);
        AEL_TRY(status);
        AEL_TRY(ended);
    }
    return AEL_OK;
}

/* A key's way out of rest: a scratch slot, the key opened into it, the slot wiped. */
static enum ael_status open_one(const struct sealed_keys *keys, size_t number) {
    struct ael_scratch scratch;
    AEL_TRY(ael_scratch_begin(&scratch, NULL));
    enum ael_status status = ael_sealed_key_open(&keys->keys[number], &keys->bindings[number], scratch.bytes);
    bench_keep(scratch.bytes);
    enum ael_status ended = ael_scratch_end(&scratch);
    return status == AEL_OK ? ended : status;
}

/* Threads start at different keys and go round. */
static enum ael_status run_cycle(void *context, unsigned thread, uint64_t operations) {
    const struct sealed_keys *keys = context;
    size_t next = (size_t)thread * CYCLE_KEYS / BENCH_THREADS_MAX;
    for (uint64_t i = 0; i < operations; i++) {
        AEL_TRY(open_one(keys, next));
        next = next + 1 < CYCLE_KEYS ? next + 1 : 0;
    }
    return AEL_OK;
}

static enum ael_status make_one(struct sealed_keys *keys, size_t number) {
    struct ael_scratch scratch;
    AEL_TRY(ael_scratch_begin(&scratch, NULL));
    bind(&keys->bindings[number], number);
    memcpy(scratch.bytes, &number, sizeof number);
    enum ael_status status = ael_sealed_key_make(scratch.bytes, &keys->bindings[number], &keys->keys[number]);
    enum ael_status ended = ael_scratch_end(&scratch);
    return status == AEL_OK ? ended : status;
}

static struct sealed_keys g_keys;
static struct ael_secret **g_live;

static enum ael_status make_keys(struct sealed_keys *keys) {
    keys->keys = ael_alloc_array(CYCLE_KEYS, sizeof *keys->keys);
    keys->bindings = ael_alloc_array(CYCLE_KEYS, sizeof *keys->bindings);
    if (keys->keys == NULL || keys->bindings == NULL) {
        return AEL_E_NO_MEMORY;
    }
    for (size_t i = 0; i < CYCLE_KEYS; i++) {
        AEL_TRY(make_one(keys, i));
    }
    return AEL_OK;
}

static enum ael_status make_live(void) {
    g_live = ael_alloc_array(LIVE_SECRETS, sizeof(struct ael_secret *));
    if (g_live == NULL) {
        return AEL_E_NO_MEMORY;
    }
    for (size_t i = 0; i < LIVE_SECRETS; i++) {
        AEL_TRY(ael_secret_new_random(SECRET_BYTES, &g_live[i]));
    }
    return AEL_OK;
}

static void release_live(void) {
    for (size_t i = 0; g_live != NULL && i < LIVE_SECRETS; i++) {
        ael_secret_release(g_live[i]);
    }
    ael_free(g_live);
    g_live = NULL;
}

/* see bench/seals.h */
bool seals_are_wanted(const struct bench *bench) {
    return bench_wants(bench, k_create) || bench_wants(bench, k_seal) || bench_wants(bench, k_cycle);
}

/* see bench/seals.h */
enum ael_status seals_make(const struct bench *bench) {
    return bench_wants(bench, k_cycle) ? make_keys(&g_keys) : AEL_OK;
}

static void add(
    struct bench *bench, const char *name, unsigned threads, struct bench_work work,
    int (*add_floor)(struct bench *bench, unsigned threads)) {
    if (bench_wants(bench, name)) {
        (void)bench_add(bench, name, k_engine, threads, work, add_floor(bench, threads), -1);
    }
}

/* see bench/seals.h */
void seals_add(struct bench *bench, unsigned threads) {
    add(bench, k_create, threads, (struct bench_work){run_create_random, NULL, NULL}, floor_add_seal);
    add(bench, k_seal, threads, (struct bench_work){run_seal, NULL, NULL}, floor_add_seal);
    add(bench, k_cycle, threads, (struct bench_work){run_cycle, NULL, &g_keys}, floor_add_unseal);
}

/* see bench/seals.h */
bool seals_among_many_are_wanted(const struct bench *bench) {
    return bench_wants(bench, k_create_among_many);
}

/* see bench/seals.h */
int seals_run_among_many(struct bench *bench) {
    enum ael_status status = make_live();
    for (unsigned threads = 1; threads <= 2 && status == AEL_OK; threads++) {
        add(bench, k_create_among_many, threads, (struct bench_work){run_create_random, NULL, NULL},
            floor_add_seal);
    }
    int result = status == AEL_OK ? bench_run(bench) : bench_fail("set-up", status);
    release_live();
    return result;
}

/* see bench/seals.h */
void seals_clear(void) {
    for (size_t i = 0; g_keys.keys != NULL && i < CYCLE_KEYS; i++) {
        ael_sealed_key_drop(&g_keys.keys[i]);
    }
    ael_free(g_keys.keys);
    ael_free(g_keys.bindings);
    g_keys = (struct sealed_keys){NULL, NULL};
}
