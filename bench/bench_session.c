/*
 * bench_session - the hot path: one partition, warm, memory metastore, static KMS, the caller's buffers.
 *
 * All threads use one session; each has buffers of its own. See docs/benchmarks.md.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/alloc.h"
#include "base/check.h"
#include "bench/bench.h"
#include "bench/floor.h"
#include "crypto/aead.h"

#include <stdio.h>
#include <string.h>

/* One thread's buffers for one payload size; record and json hold what was encrypted last. */
struct lane {
    _Alignas(64) struct ael_record_buf record;
    struct ael_buf json, plain;
    uint8_t *record_memory, *json_memory, *plain_memory, *payload;
};

_Static_assert((int)FLOOR_ENGINES == (int)BENCH_FLOORS, "a case has room for each engine's floor");

/* One payload size. */
struct fixture {
    struct ael_session *session;
    size_t payload;
    unsigned lanes_made;
    struct lane lanes[BENCH_THREADS_MAX];
};

static struct ael_bytes payload_of(const struct fixture *fixture, const struct lane *lane) {
    return (struct ael_bytes){lane->payload, fixture->payload};
}

static enum ael_status run_encrypt(void *context, unsigned thread, uint64_t operations) {
    struct fixture *fixture = context;
    struct lane *lane = &fixture->lanes[thread];
    for (uint64_t i = 0; i < operations; i++) {
        AEL_TRY(ael_session_encrypt(fixture->session, payload_of(fixture, lane), &lane->record, NULL, NULL));
        bench_keep(lane->record_memory);
    }
    return AEL_OK;
}

static enum ael_status run_decrypt(void *context, unsigned thread, uint64_t operations) {
    struct fixture *fixture = context;
    struct lane *lane = &fixture->lanes[thread];
    for (uint64_t i = 0; i < operations; i++) {
        AEL_TRY(ael_session_decrypt(fixture->session, &lane->record.record, &lane->plain, NULL, NULL));
        bench_keep(lane->plain_memory);
    }
    return lane->plain.len == fixture->payload ? AEL_OK : AEL_E_CORRUPTED;
}

static enum ael_status run_encrypt_json(void *context, unsigned thread, uint64_t operations) {
    struct fixture *fixture = context;
    struct lane *lane = &fixture->lanes[thread];
    for (uint64_t i = 0; i < operations; i++) {
        AEL_TRY(
            ael_session_encrypt_json(fixture->session, payload_of(fixture, lane), &lane->json, NULL, NULL));
        bench_keep(lane->json_memory);
    }
    return AEL_OK;
}

static enum ael_status run_decrypt_json(void *context, unsigned thread, uint64_t operations) {
    struct fixture *fixture = context;
    struct lane *lane = &fixture->lanes[thread];
    for (uint64_t i = 0; i < operations; i++) {
        AEL_TRY(
            ael_session_decrypt_json(fixture->session, ael_buf_view(&lane->json), &lane->plain, NULL, NULL));
        bench_keep(lane->plain_memory);
    }
    return lane->plain.len == fixture->payload ? AEL_OK : AEL_E_CORRUPTED;
}

/* ---- fixtures ---- */

static enum ael_status make_fixed(struct ael_buf *buf, uint8_t **memory, size_t cap) {
    *memory = ael_alloc(cap);
    if (*memory == NULL) {
        return AEL_E_NO_MEMORY;
    }
    ael_buf_init_fixed(buf, *memory, cap);
    return AEL_OK;
}

/* Makes a thread's buffers, and a record in both forms for the decrypts. */
static enum ael_status make_lane(struct fixture *fixture, struct lane *lane) {
    size_t payload = fixture->payload;
    lane->payload = ael_alloc(payload);
    if (lane->payload == NULL) {
        return AEL_E_NO_MEMORY;
    }
    memset(lane->payload, 'x', payload);
    AEL_TRY(make_fixed(
        &lane->record.storage, &lane->record_memory, ael_session_record_bound(fixture->session, payload)));
    AEL_TRY(make_fixed(&lane->json, &lane->json_memory, ael_session_json_bound(fixture->session, payload)));
    AEL_TRY(make_fixed(&lane->plain, &lane->plain_memory, payload));
    AEL_TRY(ael_session_encrypt(fixture->session, payload_of(fixture, lane), &lane->record, NULL, NULL));
    return ael_session_encrypt_json(fixture->session, payload_of(fixture, lane), &lane->json, NULL, NULL);
}

/* Lanes for so many threads; those that exist already stay. */
static enum ael_status make_lanes(struct fixture *fixture, unsigned threads) {
    for (; fixture->lanes_made < threads; fixture->lanes_made++) {
        AEL_TRY(make_lane(fixture, &fixture->lanes[fixture->lanes_made]));
    }
    return AEL_OK;
}

static void clear_fixture(struct fixture *fixture) {
    for (unsigned i = 0; i < BENCH_THREADS_MAX; i++) {
        ael_free(fixture->lanes[i].payload);
        ael_free(fixture->lanes[i].record_memory);
        ael_free(fixture->lanes[i].json_memory);
        ael_free(fixture->lanes[i].plain_memory);
    }
}

/* The four kinds of operation: the first part of the case's name, what it does, what it is held against. */
struct kind {
    const char *name;
    enum ael_status (*run)(void *context, unsigned thread, uint64_t operations);
    int (*add_floor)(struct bench *bench, enum floor_engine engine, size_t payload, unsigned threads);
};

static const struct kind k_encrypt = {"session/encrypt", run_encrypt, floor_add_encrypt};
static const struct kind k_decrypt = {"session/decrypt", run_decrypt, floor_add_decrypt};
static const struct kind k_encrypt_json = {"session/encrypt_json", run_encrypt_json, NULL};
static const struct kind k_decrypt_json = {"session/decrypt_json", run_decrypt_json, NULL};

enum { SIZES = 5, KINDS_PER_SIZE = 4 };

/* One payload size, and which kinds and how many threads it is measured with. */
static const struct size_row {
    size_t payload;
    unsigned threads_max; /* of 1, 2, 16, 64 */
    const struct kind *kinds[KINDS_PER_SIZE];
} k_rows[SIZES] = {
    {64, 64, {&k_encrypt, &k_decrypt, &k_encrypt_json, &k_decrypt_json}},
    {1024, 16, {&k_encrypt, &k_decrypt, &k_encrypt_json, &k_decrypt_json}},
    {8192, 2, {&k_encrypt, &k_encrypt_json, &k_decrypt_json, NULL}},
    {65536, 2, {&k_encrypt, &k_decrypt, NULL, NULL}},
    {1048576, 2, {&k_encrypt, NULL, NULL, NULL}},
};

static enum ael_status
add_case(struct bench *bench, struct fixture *fixture, const struct kind *kind, unsigned threads) {
    char name[BENCH_NAME_BYTES];
    int floors[FLOOR_ENGINES] = {-1, -1, -1, -1};
    (void)snprintf(name, sizeof name, "%s/%zu", kind->name, fixture->payload);
    if (!bench_wants(bench, name)) {
        return AEL_OK;
    }
    AEL_TRY(make_lanes(fixture, threads));
    if (kind->add_floor != NULL) {
        for (int engine = 0; engine < FLOOR_ENGINES; engine++) {
            floors[engine] = kind->add_floor(bench, (enum floor_engine)engine, fixture->payload, threads);
        }
    }
    struct bench_work work = {kind->run, NULL, fixture};
    struct bench_entry *entry =
        bench_add(bench, name, ael_aead_engine_name(fixture->payload), threads, work, -1, -1);
    if (entry != NULL) {
        memcpy(entry->floors, floors, sizeof floors);
    }
    return AEL_OK;
}

static enum ael_status add_row(struct bench *bench, struct fixture *fixture, const struct size_row *row) {
    static const unsigned k_threads[] = {1, 2, 16, 64};
    for (size_t i = 0; i < sizeof k_threads / sizeof k_threads[0]; i++) {
        for (size_t kind = 0; kind < KINDS_PER_SIZE && k_threads[i] <= row->threads_max; kind++) {
            if (row->kinds[kind] != NULL) {
                AEL_TRY(add_case(bench, fixture, row->kinds[kind], k_threads[i]));
            }
        }
    }
    return AEL_OK;
}

/* ---- the group ---- */

struct service {
    struct ael_kms *kms;
    struct ael_metastore *metastore;
    struct ael_session_factory *factory;
    struct ael_session *session;
};

static enum ael_status open_service(struct service *service) {
    uint8_t master_key[32] = "a master key for benchmarks only"; /* exactly 32, no NUL */
    AEL_TRY(ael_kms_static_from_bytes(master_key, sizeof master_key, &service->kms, NULL));
    AEL_TRY(ael_metastore_memory_new(&service->metastore));
    struct ael_session_factory_options options = AEL_SESSION_FACTORY_OPTIONS_INIT;
    options.service = "service";
    options.product = "product";
    options.kms = service->kms;
    options.metastore = service->metastore;
    AEL_TRY(ael_session_factory_new(&options, &service->factory, NULL));
    return ael_session_acquire(service->factory, "partition", &service->session, NULL);
}

static void close_service(struct service *service) {
    ael_session_release(service->session);
    ael_session_factory_free(service->factory);
    ael_metastore_release(service->metastore);
    ael_kms_release(service->kms);
}

static enum ael_status set_up(struct bench *bench, struct service *service, struct fixture *fixtures) {
    AEL_TRY(open_service(service));
    for (size_t i = 0; i < SIZES; i++) {
        fixtures[i].session = service->session;
        fixtures[i].payload = k_rows[i].payload;
        AEL_TRY(add_row(bench, &fixtures[i], &k_rows[i]));
    }
    return AEL_OK;
}

int main(int argc, char **argv) {
    static struct bench bench;
    static struct fixture fixtures[SIZES];
    struct service service = {NULL, NULL, NULL, NULL};

    int result = bench_init(&bench, argc, argv);
    if (result != 0 || bench.help) {
        return result;
    }
    enum ael_status status = set_up(&bench, &service, fixtures);
    result = status == AEL_OK ? bench_run(&bench) : bench_fail("set-up", status);
    for (size_t i = 0; i < SIZES; i++) {
        clear_fixture(&fixtures[i]);
    }
    close_service(&service);
    floor_clear();
    return result;
}
