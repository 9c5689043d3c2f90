/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/service_load.h"

#include "tests/support/soak.h"

#include <CUnit/CUnit.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum { TRY_MS = 10, TRIES = 12000, WATCH_SECONDS = 250, WATCH_SOAK_SECONDS = 7200 };

/* see tests/support/service_load.h */
unsigned service_load_watch_s(void) {
    return (unsigned)soak_count(WATCH_SECONDS, WATCH_SOAK_SECONDS);
}

/* ---- in a worker ---- */

struct job {
    struct ael_session_factory *factory;
    struct service_load_count *shared;
    struct fork_ledger made;
    int stop;
    pthread_t thread;
};

/* see tests/support/service_load.h */
bool service_load_is_outage(enum ael_status status) {
    return status == AEL_E_UNREACHABLE || status == AEL_E_TIMEOUT || status == AEL_E_OUTCOME_UNKNOWN;
}

static void *make_records(void *context) {
    struct job *job = context;
    while (!worker_is_told_to_stop(job->stop)) {
        char partition[FORK_NAME_BYTES];
        fork_new_partition(partition);
        size_t before = job->made.count;
        enum ael_status status = fork_encrypt(job->factory, partition, &job->made);
        if (service_load_is_outage(status)) {
            (void)poll(NULL, 0, TRY_MS);
            continue;
        }
        FORK_STATUS(status, AEL_OK);
        (void)atomic_fetch_add(&job->shared->made, job->made.count - before);
        for (size_t i = before; i < job->made.count; i++) {
            FORK_STATUS(fork_decrypt(job->factory, &job->made.records[i]), AEL_OK);
        }
        (void)poll(NULL, 0, soak_count(TRY_MS, 0)); /* in every change's run a few records will do */
    }
    return NULL;
}

static void work(const void *context, int stop, int to) {
    const struct service_load *load = context;
    struct fork_edges edges;
    struct job jobs[SERVICE_LOAD_THREADS];
    (void)alarm(service_load_watch_s());
    atomic_store(&fork_wrong, 0);
    FORK_EXPECT(fork_edges_open(load->world, &edges));
    worker_is_ready(to);
    for (int i = 0; edges.factory != NULL && i < SERVICE_LOAD_THREADS; i++) {
        jobs[i] = (struct job){.factory = edges.factory, .shared = load->shared, .stop = stop};
        FORK_EXPECT(pthread_create(&jobs[i].thread, NULL, make_records, &jobs[i]) == 0);
    }
    for (int i = 0; edges.factory != NULL && i < SERVICE_LOAD_THREADS; i++) {
        (void)pthread_join(jobs[i].thread, NULL);
        FORK_EXPECT(fork_ledger_send(to, &jobs[i].made));
        fork_ledger_clear(&jobs[i].made);
    }
    fork_edges_close(&edges);
    (void)close(to);
    fork_leave();
}

/* ---- in the test ---- */

/* see tests/support/service_load.h */
void service_load_start(struct service_load *load, const struct fork_world *world) {
    void *shared =
        mmap(NULL, sizeof *load->shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_PTR_NOT_EQUAL_FATAL(shared, MAP_FAILED);
    load->shared = shared;
    load->world = world;
    workers_start(load->workers, SERVICE_LOAD_WORKERS, work, load);
}

/* see tests/support/service_load.h */
bool service_load_wait_for_records(const struct service_load *load, size_t more) {
    size_t wanted = atomic_load(&load->shared->made) + more;
    for (int i = 0; i < TRIES; i++) {
        if (atomic_load(&load->shared->made) >= wanted) {
            return true;
        }
        (void)poll(NULL, 0, TRY_MS);
    }
    return false;
}

/* see tests/support/service_load.h */
void service_load_stop(struct service_load *load, struct fork_ledger *ledger) {
    workers_stop(load->workers, SERVICE_LOAD_WORKERS, ledger);
    (void)munmap(load->shared, sizeof *load->shared);
}

/* see tests/support/service_load.h */
void service_load_expect_nothing_lost(
    const struct fork_world *world, struct fork_ledger *ledger, const char *what, int faults) {
    struct fork_edges edges;
    size_t lost = 0;
    CU_ASSERT_TRUE_FATAL(fork_edges_open(world, &edges));
    for (size_t i = 0; i < ledger->count; i++) {
        lost += fork_is_lost(edges.factory, &ledger->records[i]);
    }
    printf("%d %s, %zu records, %zu lost ", faults, what, ledger->count, lost);
    CU_ASSERT_EQUAL(lost, 0);
    CU_ASSERT_TRUE(ledger->count >= (size_t)faults * SERVICE_LOAD_ROWS / 2);
    CU_ASSERT_EQUAL(fork_shared_nonces(ledger), 0);
    fork_edges_close(&edges);
    fork_ledger_clear(ledger);
}
