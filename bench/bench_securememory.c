/*
 * bench_securememory - secrets, readers and sealed keys. What each case holds is told in docs/benchmarks.md.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/alloc.h"
#include "base/check.h"
#include "base/wipe.h"
#include "bench/bench.h"
#include "bench/floor.h"
#include "securememory/scratch.h"
#include "securememory/sealed_key.h"

#include <stdio.h>
#include <string.h>

enum { SECRET_BYTES = 32, CYCLE_KEYS = 10000, READ_ALL_BYTES = 512 };

/* Our seals are libsodium's; see securememory/seal.h. */
static const char k_engine[] = "libsodium";

/* ---- accesses ---- */

/* What a caller would do at least: look at the bytes. */
static enum ael_status look(void *context, struct ael_bytes bytes) {
    (void)context;
    bench_keep(bytes.data);
    return bytes.len == SECRET_BYTES ? AEL_OK : AEL_E_CORRUPTED;
}

/* Also secret/strict/nested: there the whole sample runs inside an access. */
static enum ael_status run_with_bytes(void *secret, unsigned thread, uint64_t operations) {
    (void)thread;
    for (uint64_t i = 0; i < operations; i++) {
        AEL_TRY(ael_secret_with_bytes(secret, look, NULL));
    }
    return AEL_OK;
}

static enum ael_status run_nested(void *secret, unsigned thread, uint64_t operations) {
    struct ael_secret_access outer;
    AEL_TRY(ael_secret_access_begin(secret, &outer));
    enum ael_status status = run_with_bytes(secret, thread, operations);
    enum ael_status ended = ael_secret_access_end(&outer);
    return status == AEL_OK ? ended : status;
}

/* ---- readers: made, used, freed in each operation ---- */

/* One call with room for all. */
static enum ael_status read_once(struct ael_secret_reader *reader) {
    uint8_t out[SECRET_BYTES];
    size_t n = 0;
    enum ael_status status = ael_secret_reader_read(reader, out, sizeof out, &n);
    bench_keep(out);
    return n == sizeof out && (status == AEL_OK || status == AEL_EOF) ? AEL_OK : AEL_E_CORRUPTED;
}

/* Calls until all 32 bytes are there. */
static enum ael_status read_full(struct ael_secret_reader *reader) {
    uint8_t out[SECRET_BYTES];
    size_t len = 0;
    while (len < sizeof out) {
        size_t n = 0;
        enum ael_status status = ael_secret_reader_read(reader, out + len, sizeof out - len, &n);
        len += n;
        if (status != AEL_OK && (status != AEL_EOF || len < sizeof out)) {
            return AEL_E_CORRUPTED;
        }
    }
    bench_keep(out);
    return AEL_OK;
}

/* Calls until the end is reported, with a buffer of the usual first size. */
static enum ael_status read_all(struct ael_secret_reader *reader) {
    uint8_t out[READ_ALL_BYTES];
    size_t len = 0;
    enum ael_status status = AEL_OK;
    while (status == AEL_OK) {
        size_t n = 0;
        status = ael_secret_reader_read(reader, out + len, sizeof out - len, &n);
        len += n;
    }
    bench_keep(out);
    return status == AEL_EOF && len == SECRET_BYTES ? AEL_OK : AEL_E_CORRUPTED;
}

static enum ael_status run_reader(
    struct ael_secret *secret, uint64_t operations, enum ael_status (*use)(struct ael_secret_reader *)) {
    for (uint64_t i = 0; i < operations; i++) {
        struct ael_secret_reader *reader = NULL;
        AEL_TRY(ael_secret_reader_new(secret, &reader));
        enum ael_status status = use(reader);
        ael_secret_reader_free(reader);
        AEL_TRY(status);
    }
    return AEL_OK;
}

static enum ael_status run_read(void *secret, unsigned thread, uint64_t operations) {
    (void)thread;
    return run_reader(secret, operations, read_once);
}

static enum ael_status run_read_full(void *secret, unsigned thread, uint64_t operations) {
    (void)thread;
    return run_reader(secret, operations, read_full);
}

static enum ael_status run_read_all(void *secret, unsigned thread, uint64_t operations) {
    (void)thread;
    return run_reader(secret, operations, read_all);
}

/* ---- making ---- */

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
    binding->id_hash[0] = number;
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

/* ---- the group ---- */

/* The cases that open the secret; nested costs no system call and has no floor. */
static const struct access_case {
    const char *name;
    enum ael_status (*run)(void *secret, unsigned thread, uint64_t operations);
    bool has_floor;
} k_accesses[] = {
    {"secret/strict/lone", run_with_bytes, true},   {"secret/strict/nested", run_nested, false},
    {"secret/reader/read", run_read, true},         {"secret/reader/read_full", run_read_full, true},
    {"secret/reader/read_all", run_read_all, true},
};

enum { ACCESSES = sizeof k_accesses / sizeof k_accesses[0] };

static bool wants_a_floor(const struct bench *bench) {
    for (size_t i = 0; i < ACCESSES; i++) {
        if (k_accesses[i].has_floor && bench_wants(bench, k_accesses[i].name)) {
            return true;
        }
    }
    return false;
}

/*
 * lone_floor: of one thread. Several threads are held against it too, since mprotect calls of several threads
 * wait for each other: the floor is what is faster.
 */
static void add_accesses(struct bench *bench, struct ael_secret *secret, unsigned threads, int *lone_floor) {
    int floor = -1;
    if (wants_a_floor(bench)) {
        (void)floor_add_mprotect_pair(bench, threads);
        (void)floor_add_unseal(bench, threads);
        floor = floor_add_strict_access(bench, threads);
        *lone_floor = *lone_floor < 0 ? floor : *lone_floor;
    }
    for (size_t i = 0; i < ACCESSES; i++) {
        (void)bench_add(
            bench, k_accesses[i].name, k_engine, threads,
            (struct bench_work){k_accesses[i].run, NULL, secret}, k_accesses[i].has_floor ? floor : -1,
            k_accesses[i].has_floor ? *lone_floor : -1);
    }
}

static void add_making(struct bench *bench, struct sealed_keys *keys, unsigned threads) {
    (void)bench_add(
        bench, "secret/create_random", k_engine, threads, (struct bench_work){run_create_random, NULL, NULL},
        -1, -1);
    (void)bench_add(bench, "key/seal", k_engine, threads, (struct bench_work){run_seal, NULL, NULL}, -1, -1);
    (void)bench_add(
        bench, "key/cycle", k_engine, threads, (struct bench_work){run_cycle, NULL, keys}, -1, -1);
}

/* At the level strict, which is the default. */
static int bench_strict(struct bench *bench) {
    struct sealed_keys keys = {NULL, NULL};
    struct ael_secret *secret = NULL;
    int lone_floor = -1;
    enum ael_status status = ael_secret_new_random(SECRET_BYTES, &secret);
    if (status == AEL_OK) {
        status = make_keys(&keys);
    }
    for (unsigned threads = 1; threads <= 2 && status == AEL_OK; threads++) {
        add_accesses(bench, secret, threads, &lone_floor);
        add_making(bench, &keys, threads);
    }
    int result = status == AEL_OK ? bench_run(bench) : bench_fail("set-up", status);
    ael_secret_release(secret);
    ael_free(keys.keys);
    ael_free(keys.bindings);
    return result;
}

static const struct access_case k_leased[] = {
    {"secret/leased/hot", run_with_bytes, false},
    {"secret/leased/read", run_read, false},
};

enum { LEASED = sizeof k_leased / sizeof k_leased[0] };

static enum ael_status make_leased(struct ael_secret **secret) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    options.level = AEL_PROTECTION_LEASED;
    AEL_TRY(ael_shutdown(1000));
    AEL_TRY(ael_memory_configure(&options, NULL));
    return ael_secret_new_random(SECRET_BYTES, secret);
}

/* At the level leased, in memory set up anew. */
static int bench_leased(struct bench *bench) {
    struct ael_secret *secret = NULL;
    enum ael_status status = make_leased(&secret);
    for (unsigned threads = 1; threads <= 2 && status == AEL_OK; threads++) {
        for (size_t i = 0; i < LEASED; i++) {
            (void)bench_add(
                bench, k_leased[i].name, k_engine, threads, (struct bench_work){k_leased[i].run, NULL, secret},
                -1, -1);
        }
    }
    int result = status == AEL_OK ? bench_run(bench) : bench_fail("set-up", status);
    ael_secret_release(secret);
    return result;
}

static bool wants_leased(const struct bench *bench) {
    for (size_t i = 0; i < LEASED; i++) {
        if (bench_wants(bench, k_leased[i].name)) {
            return true;
        }
    }
    return false;
}

static bool wants_strict(const struct bench *bench) {
    static const char *const k_making[] = {"secret/create_random", "key/seal", "key/cycle"};
    for (size_t i = 0; i < sizeof k_making / sizeof k_making[0]; i++) {
        if (bench_wants(bench, k_making[i])) {
            return true;
        }
    }
    for (size_t i = 0; i < ACCESSES; i++) {
        if (bench_wants(bench, k_accesses[i].name)) {
            return true;
        }
    }
    return false;
}

int main(int argc, char **argv) {
    static struct bench bench;
    int result = bench_init(&bench, argc, argv);
    if (result != 0 || bench.help) {
        return result;
    }
    if (wants_strict(&bench) || !wants_leased(&bench)) { /* if neither, it says that there is no such case */
        result = bench_strict(&bench);
    }
    if (result == 0 && wants_leased(&bench)) {
        result = bench_init(&bench, argc, argv);
        result = result == 0 ? bench_leased(&bench) : result;
    }
    floor_clear();
    return result;
}
