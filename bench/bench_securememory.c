/*
 * bench_securememory - secrets, readers and sealed keys. What each case holds is told in docs/benchmarks.md.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/check.h"
#include "bench/bench.h"
#include "bench/floor.h"
#include "bench/seals.h"

#include <stdio.h>
#include <string.h>

enum { SECRET_BYTES = 32, READ_ALL_BYTES = 512 };

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

/* The access itself, without a callback. */
static enum ael_status run_begin_and_end(void *secret, unsigned thread, uint64_t operations) {
    (void)thread;
    for (uint64_t i = 0; i < operations; i++) {
        struct ael_secret_access access;
        AEL_TRY(ael_secret_access_begin(secret, &access));
        bench_keep(access.bytes.data);
        AEL_TRY(ael_secret_access_end(&access));
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

/* At the level strict, which is the default. */
static int bench_strict(struct bench *bench) {
    struct ael_secret *secret = NULL;
    int lone_floor = -1;
    enum ael_status status = ael_secret_new_random(SECRET_BYTES, &secret);
    if (status == AEL_OK) {
        status = seals_make(bench);
    }
    for (unsigned threads = 1; threads <= 2 && status == AEL_OK; threads++) {
        add_accesses(bench, secret, threads, &lone_floor);
        seals_add(bench, threads);
    }
    int result = status == AEL_OK ? bench_run(bench) : bench_fail("set-up", status);
    ael_secret_release(secret);
    seals_clear();
    return result;
}

static const struct access_case k_leased[] = {
    {"secret/leased/hot", run_begin_and_end, false},     {"secret/leased/callback", run_with_bytes, false},
    {"secret/reader/read", run_read, false},             {"secret/reader/read_full", run_read_full, false},
    {"secret/reader/read_all", run_read_all, false},
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
    if (seals_are_wanted(bench)) {
        return true;
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
    bool others = wants_leased(&bench) || seals_among_many_are_wanted(&bench);
    if (wants_strict(&bench) || !others) { /* if neither, it says that there is no such case */
        result = bench_strict(&bench);
        if (bench.driven) {
            return result; /* who drives it has one list, and is told no other */
        }
    }
    if (result == 0 && seals_among_many_are_wanted(&bench)) {
        result = bench_init(&bench, argc, argv);
        result = result == 0 ? seals_run_among_many(&bench) : result;
    }
    if (result == 0 && wants_leased(&bench)) {
        result = bench_init(&bench, argc, argv);
        result = result == 0 ? bench_leased(&bench) : result;
    }
    floor_clear();
    return result;
}
