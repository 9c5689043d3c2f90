/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/chaos_load.h"

#include "tests/support/service_load.h"
#include "tests/support/soak.h"

#include <CUnit/CUnit.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    TRY_MS = 2,
    REST_MS = 10,
    WARM_REST_MS = 20,
    TRIES = 45000,
    RELEASE_TRIES = 1000,
    FLAT_OUT = 5,
    INTERVAL_S = 1,
    MAX_STALE_S = 600
};

static const char *const k_faults[CHAOS_FAULTS] = {
    [CHAOS_NONE] = "none",
    [CHAOS_CUT] = "connection cut",
    [CHAOS_SLOW] = "slow by 2 s",
    [CHAOS_RESET] = "reset at the answer",
    [CHAOS_TRUNCATED] = "answer truncated",
    [CHAOS_PAUSED] = "server paused",
    [CHAOS_KILLED] = "server killed",
    [CHAOS_POOL] = "pool exhausted",
    [CHAOS_CLOCK] = "server's clock skewed",
};

/* see tests/support/chaos_load.h */
unsigned chaos_load_keys(void) {
    return (unsigned)soak_count(20, 900);
}

/* ---- in a worker ---- */

struct job {
    struct ael_session_factory *factory;
    struct chaos_shared *shared;
    unsigned deadline_ms;
    struct fork_ledger made;
    int stop;
    pthread_t thread;
};

static struct chaos_counts *counts_of(struct chaos_shared *shared) {
    return &shared->counts[atomic_load(&shared->fault)];
}

static enum ael_status ask_for_key(struct job *job, const char *partition) {
    struct ael_call call = AEL_CALL_INIT;
    bool in_haste = job->deadline_ms != 0 && !atomic_load(&job->shared->gate.shut);
    call.deadline_ns = in_haste ? ael_deadline_in_ms(job->deadline_ms) : 0;
    return fork_encrypt_within(job->factory, partition, &call, &job->made);
}

/* The first record of a partition, however often it takes. False when it was told to stop meanwhile. */
static bool make_key(struct job *job, const char *partition) {
    while (!worker_is_told_to_stop(job->stop)) {
        enum ael_status status = ask_for_key(job, partition);
        if (status == AEL_OK) {
            (void)atomic_fetch_add(&job->shared->keys, 1);
            (void)atomic_fetch_add(&counts_of(job->shared)->keys, 1);
            (void)atomic_fetch_add(&counts_of(job->shared)->records, 1);
            return true;
        }
        if (!service_load_is_outage(status)) {
            FORK_STATUS(status, AEL_OK);
        }
        (void)atomic_fetch_add(&counts_of(job->shared)->refused, 1);
        (void)poll(NULL, 0, REST_MS);
    }
    return false;
}

/* With a key that is there nothing may fail. */
static void use_key(struct job *job, const char *partition) {
    for (int i = 1; i < CHAOS_RECORDS_A_KEY; i++) {
        FORK_STATUS(fork_encrypt(job->factory, partition, &job->made), AEL_OK);
        (void)atomic_fetch_add(&counts_of(job->shared)->records, 1);
    }
    FORK_STATUS(fork_decrypt(job->factory, &job->made.records[job->made.count - 1]), AEL_OK);
}

/* The partition's name tells what was done to the database when it was new. */
static void name_partition(const struct chaos_shared *shared, char name[FORK_NAME_BYTES]) {
    char unique[FORK_NAME_BYTES];
    fork_new_partition(unique);
    (void)snprintf(name, FORK_NAME_BYTES, "%d-%.40s", atomic_load(&shared->fault), unique);
}

static void *make_keys(void *context) {
    struct job *job = context;
    while (!worker_is_told_to_stop(job->stop)) {
        char partition[FORK_NAME_BYTES];
        if (atomic_load(&job->shared->keys) >= atomic_load(&job->shared->keys_wanted)) {
            (void)poll(NULL, 0, TRY_MS);
            continue;
        }
        name_partition(job->shared, partition);
        if (make_key(job, partition)) {
            use_key(job, partition);
        }
        (void)poll(NULL, 0, soak_count(REST_MS, 0)); /* in every change's run a few records will do */
    }
    return NULL;
}

static void *stay_warm(void *context) {
    struct job *job = context;
    char partition[FORK_NAME_BYTES];
    name_partition(job->shared, partition);
    FORK_STATUS(fork_encrypt(job->factory, partition, &job->made), AEL_OK);
    (void)atomic_fetch_add(&counts_of(job->shared)->records, 1);
    (void)atomic_fetch_add(&job->shared->warm, 1);
    while (!worker_is_told_to_stop(job->stop)) {
        size_t before = job->made.count;
        enum ael_status status = fork_encrypt(job->factory, partition, &job->made);
        struct chaos_counts *counts = counts_of(job->shared);
        bool good = status == AEL_OK && job->made.count == before + 1 &&
                    fork_decrypt(job->factory, &job->made.records[before]) == AEL_OK;
        FORK_STATUS(status, AEL_OK);
        (void)atomic_fetch_add(good ? &counts->warm : &counts->warm_failed, 1);
        (void)atomic_fetch_add(&counts->records, good ? 1 : 0);
        (void)poll(NULL, 0, WARM_REST_MS);
    }
    return NULL;
}

static struct ael_session_factory *patient_factory(const struct fork_edges *edges) {
    struct ael_policy policy = AEL_POLICY_INIT;
    struct ael_session_factory_options options = AEL_SESSION_FACTORY_OPTIONS_INIT;
    struct ael_session_factory *factory = NULL;
    policy.revoke_check_interval_s = INTERVAL_S;
    policy.max_stale_s = MAX_STALE_S;
    options.service = FORK_SERVICE;
    options.product = FORK_PRODUCT;
    options.metastore = edges->store;
    options.kms = edges->kms;
    options.policy = &policy;
    FORK_STATUS(ael_session_factory_new(&options, &factory, NULL), AEL_OK);
    return factory;
}

static void run_jobs(struct job *jobs, int count, int to) {
    for (int i = 0; i < count; i++) {
        FORK_EXPECT(pthread_create(&jobs[i].thread, NULL, i == 0 ? stay_warm : make_keys, &jobs[i]) == 0);
    }
    for (int i = 0; i < count; i++) {
        (void)pthread_join(jobs[i].thread, NULL);
    }
    for (int i = 0; i < count; i++) {
        FORK_EXPECT(fork_ledger_send(to, &jobs[i].made));
        fork_ledger_clear(&jobs[i].made);
    }
}

struct context {
    const struct chaos_load *load;
    const struct fork_world *world;
};

static const struct context *s_context; /* of this process */

static bool open_gated(struct ael_metastore **store) {
    return s_context->world->open_store(store) && store_gate_wrap(&s_context->load->shared->gate, store);
}

static void work(const void *given, int stop, int to) {
    const struct context *context = given;
    const struct chaos_load *load = context->load;
    struct fork_world gated = *context->world;
    struct fork_edges edges;
    struct job jobs[CHAOS_THREADS + 1];
    s_context = context;
    gated.open_store = open_gated;
    (void)alarm(service_load_watch_s());
    atomic_store(&fork_wrong, 0);
    FORK_EXPECT(fork_edges_open(&gated, &edges));
    worker_is_ready(to);
    struct ael_session_factory *patient = patient_factory(&edges);
    for (int i = 0; i <= CHAOS_THREADS; i++) {
        jobs[i] = (struct job){
            .factory = i == 0 ? patient : edges.factory,
            .shared = load->shared,
            .deadline_ms = load->options.deadline_ms,
            .stop = stop};
    }
    if (edges.factory != NULL && patient != NULL) {
        run_jobs(jobs, CHAOS_THREADS + 1, to);
    }
    ael_session_factory_free(patient);
    fork_edges_close(&edges);
    (void)close(to);
    fork_leave();
}

/* ---- in the test ---- */

static bool wait_for_keys(const struct chaos_load *load, unsigned wanted) {
    for (int i = 0; i < TRIES; i++) {
        if (atomic_load(&load->shared->keys) >= wanted && atomic_load(&load->shared->warm) == CHAOS_WORKERS) {
            return true;
        }
        (void)poll(NULL, 0, TRY_MS);
    }
    return false;
}

/* see tests/support/chaos_load.h */
void chaos_load_start(
    struct chaos_load *load, const struct fork_world *world, const struct chaos_options *options) {
    memset(load, 0, sizeof *load);
    load->options = *options;
    load->shared =
        mmap(NULL, sizeof *load->shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_NOT_EQUAL_FATAL(load->shared, MAP_FAILED);
    atomic_store(&load->shared->keys_wanted, chaos_load_keys());
    workers_start(load->workers, CHAOS_WORKERS, work, &(struct context){load, world});
    CU_ASSERT_TRUE_FATAL(wait_for_keys(load, chaos_load_keys()));
}

/* What the number was at the last of so many looks at it, or the first that saw CHAOS_STORES or more. */
static int wait_for_stores(const atomic_int *number, int tries) {
    int seen = atomic_load(number);
    for (int i = 0; i < tries && seen < CHAOS_STORES; i++) {
        (void)poll(NULL, 0, 1);
        seen = atomic_load(number);
    }
    return seen;
}

/* see tests/support/chaos_load.h */
void chaos_load_gather(struct chaos_load *load, enum chaos_fault fault) {
    struct chaos_shared *shared = load->shared;
    atomic_store(&shared->gate.shut, true);
    atomic_store(&shared->fault, fault);
    atomic_store(&shared->keys_wanted, atomic_load(&shared->keys) + FLAT_OUT * chaos_load_keys());
    CU_ASSERT_TRUE(wait_for_stores(&shared->gate.waiting, TRIES) >= CHAOS_STORES);
}

/* see tests/support/chaos_load.h */
bool chaos_load_release(struct chaos_load *load) {
    struct chaos_shared *shared = load->shared;
    atomic_store(&shared->gate.shut, false);
    int seen = wait_for_stores(&shared->gate.in_flight, RELEASE_TRIES);
    atomic_store(&shared->counts[atomic_load(&shared->fault)].stores, (unsigned)seen);
    return seen >= CHAOS_STORES;
}

/* see tests/support/chaos_load.h */
void chaos_load_expect_recovery(struct chaos_load *load) {
    unsigned wanted = atomic_load(&load->shared->keys) + chaos_load_keys();
    atomic_store(&load->shared->keys_wanted, wanted);
    CU_ASSERT_TRUE(wait_for_keys(load, wanted));
}

/* see tests/support/chaos_load.h */
void chaos_load_stop(struct chaos_load *load, struct fork_ledger *ledger) {
    workers_stop(load->workers, CHAOS_WORKERS, ledger);
}

static void
count_lost(const struct fork_world *world, const struct fork_ledger *ledger, unsigned lost[CHAOS_FAULTS]) {
    struct fork_edges edges;
    CU_ASSERT_TRUE_FATAL(fork_edges_open(world, &edges));
    for (size_t i = 0; i < ledger->count; i++) {
        if (fork_decrypt(edges.factory, &ledger->records[i]) != AEL_OK) {
            lost[strtol(ledger->records[i].partition, NULL, 10) % CHAOS_FAULTS]++;
        }
    }
    fork_edges_close(&edges);
}

static unsigned
print_fault(const char *backend, int fault, const struct chaos_counts *counts, unsigned lost) {
    printf(
        "\n    %-22s %-10s %6u records %5u new keys %5u refused %3u stores under way %5u warm %u warm "
        "failed %u lost",
        k_faults[fault], backend, counts->records, counts->keys, counts->refused, counts->stores,
        counts->warm, counts->warm_failed, lost);
    CU_ASSERT_TRUE(fault == CHAOS_NONE || counts->stores >= CHAOS_STORES);
    CU_ASSERT_EQUAL(lost, 0);
    CU_ASSERT_EQUAL(counts->warm_failed, 0);
    return counts->records;
}

/* see tests/support/chaos_load.h */
void chaos_load_expect_nothing_lost(
    struct chaos_load *load,
    const struct fork_world *world,
    struct fork_ledger *ledger,
    const char *backend) {
    unsigned lost[CHAOS_FAULTS] = {0};
    size_t acknowledged = 0;
    count_lost(world, ledger, lost);
    for (int i = 0; i < CHAOS_FAULTS; i++) {
        if (load->shared->counts[i].records > 0) {
            acknowledged += print_fault(backend, i, &load->shared->counts[i], lost[i]);
        }
    }
    printf("\n    ");
    CU_ASSERT_EQUAL(acknowledged, ledger->count);
    CU_ASSERT_EQUAL(fork_shared_nonces(ledger), 0);
    fork_ledger_clear(ledger);
    (void)munmap(load->shared, sizeof *load->shared);
    load->shared = NULL;
}
