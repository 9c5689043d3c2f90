/*
 * bench_growth - many partitions: get a session of a random one, encrypt 1 KiB, give the session back.
 *
 * Memory metastore, static KMS, default policy. Every partition was used once before the first sample. See
 * docs/benchmarks.md.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/alloc.h"
#include "base/check.h"
#include "bench/bench.h"
#include "crypto/aead.h"

#include <stdio.h>
#include <string.h>

enum { PAYLOAD = 1024, NAME_BYTES = 32, RECORD_BYTES = 2048 };

struct lane {
    _Alignas(128) struct ael_record_buf record;
    uint8_t memory[RECORD_BYTES];
    uint64_t random;
};

struct world {
    struct ael_kms *kms;
    struct ael_metastore *metastore;
    struct ael_session_factory *factory;
    size_t partitions;
    char (*names)[NAME_BYTES];
    uint8_t payload[PAYLOAD];
    bool warm;
    struct ael_session *one; /* for what the look-ups are held against */
    struct lane lanes[BENCH_THREADS_MAX];
};

/* ---- the world ---- */

static enum ael_status open_factory(struct world *world) {
    struct ael_session_factory_options options = AEL_SESSION_FACTORY_OPTIONS_INIT;
    options.service = "service";
    options.product = "product";
    options.kms = world->kms;
    options.metastore = world->metastore;
    return ael_session_factory_new(&options, &world->factory, NULL);
}

static enum ael_status name_partitions(struct world *world) {
    world->names = ael_alloc(world->partitions * sizeof *world->names);
    if (world->names == NULL) {
        return AEL_E_NO_MEMORY;
    }
    for (size_t i = 0; i < world->partitions; i++) {
        (void)snprintf(world->names[i], sizeof world->names[i], "partition-%07zu", i);
    }
    return AEL_OK;
}

static void make_lanes(struct world *world) {
    for (size_t i = 0; i < BENCH_THREADS_MAX; i++) {
        struct lane *lane = &world->lanes[i];
        ael_buf_init_fixed(&lane->record.storage, lane->memory, sizeof lane->memory);
        lane->random = UINT64_C(0x9e3779b97f4a7c15) * (i + 1);
    }
}

static enum ael_status open_world(struct world *world, size_t partitions) {
    uint8_t master_key[32] = "a master key for benchmarks only"; /* exactly 32, no NUL */
    world->partitions = partitions;
    memset(world->payload, 'x', sizeof world->payload);
    make_lanes(world);
    AEL_TRY(ael_kms_static_from_bytes(master_key, sizeof master_key, &world->kms, NULL));
    AEL_TRY(ael_metastore_memory_new(&world->metastore));
    AEL_TRY(name_partitions(world));
    return open_factory(world);
}

static void close_world(struct world *world) {
    ael_session_release(world->one);
    ael_session_factory_free(world->factory);
    ael_metastore_release(world->metastore);
    ael_kms_release(world->kms);
    ael_free(world->names);
}

/* ---- operations ---- */

static enum ael_status encrypt_for(struct world *world, struct lane *lane, size_t partition) {
    struct ael_session *session = NULL;
    struct ael_bytes plain = {world->payload, PAYLOAD};
    AEL_TRY(ael_session_acquire(world->factory, world->names[partition], &session, NULL));
    enum ael_status status = ael_session_encrypt(session, plain, &lane->record, NULL, NULL);
    bench_keep(lane->memory);
    ael_session_release(session);
    return status;
}

/* Marsaglia's xorshift: which partition comes next is no part of what is measured. */
static size_t next_partition(struct lane *lane, size_t partitions) {
    uint64_t x = lane->random;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    lane->random = x;
    return (size_t)(((x >> 32) * partitions) >> 32);
}

static enum ael_status use_each_once(struct world *world) {
    for (size_t i = 0; i < world->partitions; i++) {
        AEL_TRY(encrypt_for(world, &world->lanes[0], i));
    }
    return AEL_OK;
}

static enum ael_status make_warm(void *context, unsigned threads, uint64_t operations) {
    struct world *world = context;
    (void)threads;
    (void)operations;
    if (world->warm) {
        return AEL_OK;
    }
    AEL_TRY(use_each_once(world));
    AEL_TRY(ael_session_acquire(world->factory, world->names[0], &world->one, NULL));
    world->warm = true;
    return AEL_OK;
}

static enum ael_status run_growth(void *context, unsigned thread, uint64_t operations) {
    struct world *world = context;
    struct lane *lane = &world->lanes[thread];
    for (uint64_t i = 0; i < operations; i++) {
        AEL_TRY(encrypt_for(world, lane, next_partition(lane, world->partitions)));
    }
    return AEL_OK;
}

/* What growth is held against: our own encrypt, of a session that is at hand. */
static enum ael_status run_encrypt(void *context, unsigned thread, uint64_t operations) {
    struct world *world = context;
    struct lane *lane = &world->lanes[thread];
    struct ael_bytes plain = {world->payload, PAYLOAD};
    for (uint64_t i = 0; i < operations; i++) {
        AEL_TRY(ael_session_encrypt(world->one, plain, &lane->record, NULL, NULL));
        bench_keep(lane->memory);
    }
    return AEL_OK;
}

/* ---- cases ---- */

static const struct row {
    size_t partitions;
    unsigned threads;
    bool quick; /* also with --quick */
} k_rows[] = {{1000, 1, true}, {10000, 1, true}, {10000, 16, true}, {1000000, 1, false}};

enum { ROWS = sizeof k_rows / sizeof k_rows[0] };

static enum ael_status add_case(struct bench *bench, struct world *world, const struct row *row) {
    char name[BENCH_NAME_BYTES];
    char floor[BENCH_NAME_BYTES];
    (void)snprintf(name, sizeof name, "growth/%zu/%u", row->partitions, row->threads);
    (void)snprintf(floor, sizeof floor, "floor/growth/%zu/%u", row->partitions, row->threads);
    if (!bench_wants(bench, name) || (bench->quick && !row->quick)) {
        return AEL_OK;
    }
    AEL_TRY(open_world(world, row->partitions));
    const char *engine = ael_aead_engine_name(PAYLOAD);
    int encrypt = bench_add_floor(
        bench, floor, engine, row->threads, (struct bench_work){run_encrypt, make_warm, world});
    (void)bench_add(
        bench, name, engine, row->threads, (struct bench_work){run_growth, make_warm, world}, encrypt, -1);
    return AEL_OK;
}

int main(int argc, char **argv) {
    static struct bench bench;
    static struct world worlds[ROWS];
    enum ael_status status = AEL_OK;
    int result = bench_init(&bench, argc, argv);
    if (result != 0 || bench.help) {
        return result;
    }
    for (size_t i = 0; i < ROWS && status == AEL_OK; i++) {
        status = add_case(&bench, &worlds[i], &k_rows[i]);
    }
    result = status == AEL_OK ? bench_run(&bench) : bench_fail("set-up", status);
    for (size_t i = 0; i < ROWS; i++) {
        close_world(&worlds[i]);
    }
    return result;
}
