/*
 * test_faults.c - each allocation of the program (the library's and its dependencies'), and each call of an edge,
 * fails in turn: no abort, no AEL_OK that is not right, outputs as documented, nothing leaked, no record lost.
 *
 * The allocation half needs malloc to be replaceable and is left out under sanitizers and valgrind
 * (tests/support/interpose_malloc.h); tests/unit/test_fault_sweep.c sweeps the library's own allocations there.
 *
 * Needs: libael, libael-sqlite, CUnit, tests/support/fault_scenario.c, tests/support/interpose_malloc.c.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ael/ael.h>
#include <ael/metastore_sqlite.h>
#include <ael/sys/kms_backend.h>
#include <ael/sys/metastore_backend.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/fault_scenario.h"
#include "tests/support/interpose_malloc.h"
#include "tests/support/suite.h"

enum { SWEEP_MAX = 20000, CALLS_MAX = 64, SETTLING_WALKS = 20 };

static bool verdict(struct fault_run *run, const char *what, size_t n) {
    enum ael_status status = run->status;
    const char *step = run->step;
    bool good = fault_scenario_check(run);
    if (!good) {
        printf("\n  %s %zu failed: %s (%s in %s)\n", what, n, run->violation, ael_status_name(status), step);
    }
    CU_ASSERT_TRUE(good);
    return good;
}

/* --- allocations --- */

static char g_folder[] = "/tmp/ael-faults-XXXXXX";

static void sqlite_path(const char *ending, char path[64]) {
    snprintf(path, 64, "%s/keys.db%s", g_folder, ending);
}

static void sqlite_remove(void) {
    static const char *const endings[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        char path[64];
        sqlite_path(endings[i], path);
        unlink(path);
    }
}

static enum ael_status open_sqlite(void *context, struct ael_metastore **metastore, struct ael_error *err) {
    (void)context;
    struct ael_metastore_sqlite_options options = AEL_METASTORE_SQLITE_OPTIONS_INIT;
    char path[64];
    sqlite_path("", path);
    options.path = path;
    return ael_metastore_sqlite_new(&options, metastore, err);
}

/* One walk from a process without protected memory, with the n-th allocation failing. Tells whether it came to it. */
static bool
walk_with_failure(const struct fault_edges *edges, size_t n, bool all_later, struct fault_run *run) {
    CU_ASSERT_EQUAL(ael_shutdown(1000), AEL_OK);
    sqlite_remove();
    interpose_malloc_arm(n, all_later);
    fault_scenario_walk(edges, run);
    return interpose_malloc_disarm();
}

static size_t live_after(const struct fault_edges *edges, size_t n, bool all_later, bool *fired, bool *good) {
    struct fault_run run;
    *fired = walk_with_failure(edges, n, all_later, &run);
    if (!*fired) {
        CU_ASSERT_EQUAL(run.status, AEL_OK);
    }
    *good = verdict(&run, "allocation", n);
    CU_ASSERT_EQUAL(ael_shutdown(1000), AEL_OK);
    return interpose_malloc_live();
}

/*
 * Dependencies keep what they made once, and OpenSSL keeps a thread's last 16 errors with their texts; a failure may
 * only have made them do so. So growth must end: the second half of the repetitions adds nothing.
 */
static bool leaks_again(const struct fault_edges *edges, size_t n, bool all_later) {
    size_t halfway = 0;
    size_t live = 0;
    for (size_t i = 0; i < 2 * SETTLING_WALKS; i++) {
        bool fired = false;
        bool good = false;
        live = live_after(edges, n, all_later, &fired, &good);
        halfway = i + 1 == SETTLING_WALKS ? live : halfway;
    }
    return live > halfway;
}

static void sweep_allocations(const char *name, const struct fault_edges *edges, bool all_later) {
    bool fired = true;
    bool good = true;
    size_t n = 0;
    if (!interpose_malloc_works()) {
        printf("left out: malloc is not ours here ");
        return;
    }
    size_t live = live_after(edges, SIZE_MAX, false, &fired, &good);
    CU_ASSERT_FALSE(fired);
    for (fired = true; fired && good && n < SWEEP_MAX;) {
        size_t now = live_after(edges, ++n, all_later, &fired, &good);
        bool leaked = now > live && leaks_again(edges, n, all_later);
        if (leaked) {
            printf("\n  %s: allocation %zu failed: a leak\n", name, n);
        }
        CU_ASSERT_FALSE(leaked);
        live = interpose_malloc_live();
    }
    printf(
        "\n  %s: %zu allocations failed in turn%s ", name, n - 1, all_later ? ", with all later ones" : "");
    CU_ASSERT_TRUE(n > 10);
}

static const struct fault_edges k_in_memory = {NULL, fault_scenario_memory, fault_scenario_kms, NULL};
static const struct fault_edges k_in_sqlite = {NULL, open_sqlite, fault_scenario_kms, NULL};

static void test_allocation__may_fail_once_over_memory(void) {
    sweep_allocations("memory", &k_in_memory, false);
}

static void test_allocation__may_fail_from_any_point_over_memory(void) {
    sweep_allocations("memory", &k_in_memory, true);
}

static void test_allocation__may_fail_over_sqlite(void) {
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(g_folder));
    sweep_allocations("SQLite", &k_in_sqlite, false);
    sweep_allocations("SQLite", &k_in_sqlite, true);
    sqlite_remove();
    rmdir(g_folder);
}

/* --- edge calls --- */

/* How a call fails; a store may fail before or after it was done. */
struct failure {
    enum ael_status status;
    bool done; /* the store happens all the same */
    bool lost; /* the store reports a lost race against a key that is there */
    bool all_later;
};

struct failing_edges {
    struct ael_metastore *metastore;
    struct ael_kms *kms;
    struct failure failure;
    size_t failing; /* which call, from 1; 0 = none */
    size_t calls;
};

static bool fails_now(struct failing_edges *edges) {
    edges->calls++;
    return edges->failing != 0 &&
           (edges->calls == edges->failing || (edges->failure.all_later && edges->calls > edges->failing));
}

static enum ael_status failing_load(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    int64_t created_s,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    struct failing_edges *edges = self;
    return fails_now(edges) ? ael_error_set(err, edges->failure.status, 7, "test", "load failed on demand")
                            : ael_metastore_load(edges->metastore, call, id, created_s, out, err);
}

static enum ael_status failing_load_latest(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    struct failing_edges *edges = self;
    return fails_now(edges)
               ? ael_error_set(err, edges->failure.status, 7, "test", "load_latest failed on demand")
               : ael_metastore_load_latest(edges->metastore, call, id, out, err);
}

static enum ael_status failing_store(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    const struct ael_key_record *record,
    bool *stored,
    struct ael_error *err) {
    struct failing_edges *edges = self;
    if (!fails_now(edges)) {
        return ael_metastore_store(edges->metastore, call, id, record, stored, err);
    }
    bool did = false;
    if (edges->failure.done) {
        enum ael_status status = ael_metastore_store(edges->metastore, call, id, record, &did, err);
        CU_ASSERT_EQUAL(status, AEL_OK);
    }
    if (edges->failure.lost) {
        *stored = false;
        return AEL_OK;
    }
    return ael_error_set(err, edges->failure.status, 7, "test", "store failed on demand");
}

static const struct ael_metastore_vtable k_failing_metastore = {
    .vt_size = sizeof(struct ael_metastore_vtable),
    .contract = AEL_METASTORE_CONTRACT,
    .name = "failing",
    .load = failing_load,
    .load_latest = failing_load_latest,
    .store = failing_store,
};

static enum ael_status failing_encrypt_key(
    void *self,
    const struct ael_call *call,
    struct ael_secret *key,
    struct ael_buf *out,
    struct ael_error *err) {
    struct failing_edges *edges = self;
    return fails_now(edges)
               ? ael_error_set(err, edges->failure.status, 7, "test", "encrypt_key failed on demand")
               : ael_kms_encrypt_key(edges->kms, call, key, out, err);
}

static enum ael_status failing_decrypt_key(
    void *self,
    const struct ael_call *call,
    struct ael_bytes encrypted,
    struct ael_secret **key,
    struct ael_error *err) {
    struct failing_edges *edges = self;
    return fails_now(edges)
               ? ael_error_set(err, edges->failure.status, 7, "test", "decrypt_key failed on demand")
               : ael_kms_decrypt_key(edges->kms, call, encrypted, key, err);
}

static const struct ael_kms_vtable k_failing_kms = {
    .vt_size = sizeof(struct ael_kms_vtable),
    .contract = AEL_KMS_CONTRACT,
    .name = "failing",
    .encrypt_key = failing_encrypt_key,
    .decrypt_key = failing_decrypt_key,
};

static enum ael_status
open_failing_metastore(void *context, struct ael_metastore **metastore, struct ael_error *err) {
    (void)err;
    return ael_metastore_new(&k_failing_metastore, context, metastore);
}

static enum ael_status open_failing_kms(void *context, struct ael_kms **kms, struct ael_error *err) {
    (void)err;
    return ael_kms_new(&k_failing_kms, context, kms);
}

/* Walks once with a failing call; tells how many calls there were. */
static size_t walk_with_failing_call(const struct failure *failure, size_t failing, bool *good) {
    struct failing_edges edges = {NULL, NULL, *failure, failing, 0};
    struct fault_edges doors = {&edges, open_failing_metastore, open_failing_kms, NULL};
    struct fault_run run;
    CU_ASSERT_EQUAL_FATAL(ael_metastore_memory_new(&edges.metastore), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(fault_scenario_kms(NULL, &edges.kms, NULL), AEL_OK);
    fault_scenario_walk(&doors, &run);
    size_t calls = edges.calls;
    edges.failing = 0;
    if (failing == 0) {
        CU_ASSERT_EQUAL(run.status, AEL_OK);
    }
    *good = verdict(&run, "edge call", failing);
    ael_kms_release(edges.kms);
    ael_metastore_release(edges.metastore);
    return calls;
}

static void sweep_calls(const struct failure *failure) {
    bool good = true;
    size_t calls = walk_with_failing_call(failure, 0, &good);
    CU_ASSERT_TRUE(calls > 4 && calls < CALLS_MAX);
    for (size_t n = 1; good && n <= calls; n++) {
        walk_with_failing_call(failure, n, &good);
    }
}

static const enum ael_status k_edge_failures[] = {
    AEL_E_UNREACHABLE,  AEL_E_TIMEOUT,   AEL_E_CANCELLED, AEL_E_BACKEND,
    AEL_E_BACKEND_DATA, AEL_E_NO_MEMORY, AEL_E_KMS,       AEL_E_OUTCOME_UNKNOWN,
};

static void sweep_statuses(bool done, bool all_later) {
    for (size_t i = 0; i < sizeof k_edge_failures / sizeof k_edge_failures[0]; i++) {
        struct failure failure = {k_edge_failures[i], done, false, all_later};
        sweep_calls(&failure);
    }
}

static void test_edge_call__may_fail_once(void) {
    sweep_statuses(false, false);
}

static void test_edge_call__may_fail_after_it_was_done(void) {
    sweep_statuses(true, false);
}

static void test_edge_call__may_fail_from_any_point(void) {
    sweep_statuses(false, true);
    sweep_statuses(true, true);
}

/* Not found where there is a key, and a lost race whose winner cannot be seen: nothing may come of it but a status. */
static void test_edge_call__may_say_that_nothing_is_there(void) {
    struct failure absent = {AEL_E_KEY_NOT_FOUND, false, true, false};
    sweep_calls(&absent);
    absent.all_later = true;
    sweep_calls(&absent);
    struct failure lost = {AEL_E_UNREACHABLE, true, true, false};
    sweep_calls(&lost);
}

static const struct test_case k_cases[] = {
    {"each edge call fails once", test_edge_call__may_fail_once},
    {"each edge call fails after it was done", test_edge_call__may_fail_after_it_was_done},
    {"the edges fail from any point on", test_edge_call__may_fail_from_any_point},
    {"each edge call finds nothing", test_edge_call__may_say_that_nothing_is_there},
    {"each allocation fails once, over memory", test_allocation__may_fail_once_over_memory},
    {"allocations fail from any point on, over memory", test_allocation__may_fail_from_any_point_over_memory},
    {"allocations fail over SQLite", test_allocation__may_fail_over_sqlite},
};

TEST_SUITE_MAIN("faults", k_cases)
