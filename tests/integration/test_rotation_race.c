/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many processes of many threads over one SQLite file, encrypting while keys expire, are revoked and wear out under them:
 * one system key and one intermediate key a window, and every record decrypts in every process.
 */
#include "appencryption/session/session_parts.h"
#include "base/clock.h"
#include "tests/support/child.h"
#include "tests/support/service.h"
#include "tests/support/soak.h"
#include "tests/support/suite.h"

#include <ael/memory.h>
#include <ael/metastore_sqlite.h>

#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

enum {
    MOST_PROCESSES = 16,
    MOST_THREADS = 64,
    KEPT = 4,     /* records that each thread keeps of each window */
    RESTLESS = 2, /* threads of each process that encrypt while the clock moves and the keys change */
    SLOT_BYTES = 512,
    INTERVAL_S = 600,
    EXPIRE_S = 86400,
    WALL_S = 1800000040,
};

/* What ends a window and begins the next one. */
enum event {
    EVENT_START,   /* nobody has a key */
    EVENT_EXPIRED, /* both keys are too old */
    EVENT_INTERMEDIATE_REVOKED,
    EVENT_SYSTEM_REVOKED,
    EVENT_WORN, /* one process has wrapped under the intermediate key too often */
};

static const struct {
    enum event event;
    int system_rows, intermediate_rows; /* that it adds */
} k_windows[] = {
    {EVENT_START, 1, 1},   {EVENT_EXPIRED, 1, 1},        {EVENT_INTERMEDIATE_REVOKED, 0, 1},
    {EVENT_EXPIRED, 1, 1}, {EVENT_SYSTEM_REVOKED, 1, 1}, {EVENT_WORN, 0, 1},
    {EVENT_EXPIRED, 1, 1},
};

enum { WINDOWS = sizeof k_windows / sizeof k_windows[0] };

static const int64_t k_boot_ns = INT64_C(1000000000000);
static const int64_t k_s = 1000000000;

static const struct ael_call k_call = {sizeof k_call, INT64_MAX, NULL, AEL_CONSISTENCY_ANY, NULL};

/* A record as JSON; its text tells where it is from. */
struct slot {
    int16_t len;
    char json[SLOT_BYTES];
};

/* Shared by all processes. */
struct world {
    struct service_store store;
    pthread_barrier_t start; /* all threads */
    pthread_barrier_t turn;  /* one thread of each process */
    int processes, threads;
    atomic_int failures;
    atomic_int filled[WINDOWS]; /* threads that have kept all their records of it */
    sem_t all_filled;           /* once a process, when all threads have */
    struct slot slots[MOST_PROCESSES][MOST_THREADS][WINDOWS][KEPT];
};

/* One process of it. */
struct process {
    struct world *world;
    int number;
    struct service service;
    struct ael_session *session;
    atomic_int window; /* that its clock is in */
    pthread_mutex_t lock;
    pthread_cond_t moved_on; /* to another window */
};

struct worker {
    struct process *process;
    int number;
};

static void fail_unless(struct world *world, bool right) {
    atomic_fetch_add(&world->failures, right ? 0 : 1);
}

static struct ael_policy policy_of_test(void) {
    struct ael_policy policy = AEL_POLICY_INIT;
    policy.expire_key_after_s = EXPIRE_S;
    policy.revoke_check_interval_s = INTERVAL_S;
    return policy;
}

static int text_of(char *text, size_t size, int process, int thread, int window) {
    return snprintf(text, size, "process %d, thread %d, window %d", process, thread, window);
}

/* ---- encrypting ---- */

static void keep_record(struct worker *worker, int window, int k, bool keep) {
    struct process *process = worker->process;
    struct world *world = process->world;
    struct slot *slot = &world->slots[process->number][worker->number][window][k];
    struct ael_buf json;
    char text[64];
    uint8_t room[SLOT_BYTES];
    ael_buf_init_fixed(&json, room, sizeof room);
    int len = text_of(text, sizeof text, process->number, worker->number, window);
    struct ael_bytes plain = {(const uint8_t *)text, (size_t)len};
    enum ael_status status = ael_session_encrypt_json(process->session, plain, &json, &k_call, NULL);
    fail_unless(world, status == AEL_OK);
    if (keep && status == AEL_OK) {
        memcpy(slot->json, json.data, json.len);
        slot->len = (int16_t)json.len;
    }
}

/* One more thread has its records of the window. */
static void note_filled(struct world *world, int window) {
    if (atomic_fetch_add(&world->filled[window], 1) + 1 == world->processes * world->threads) {
        for (int i = 0; i < world->processes; i++) {
            (void)sem_post(&world->all_filled);
        }
    }
}

/* Waits for another window. The first threads of each process work on instead. */
static void rest(struct worker *worker, int window) {
    struct process *process = worker->process;
    pthread_mutex_lock(&process->lock);
    while (worker->number >= RESTLESS && atomic_load(&process->window) == window) {
        pthread_cond_wait(&process->moved_on, &process->lock);
    }
    pthread_mutex_unlock(&process->lock);
}

/* Works on, whatever happens to the clock and the keys meanwhile. A record counts for the window it was begun in. */
static void *work(void *context) {
    struct worker *worker = context;
    struct world *world = worker->process->world;
    int window = 0;
    int kept = 0;
    pthread_barrier_wait(&world->start);
    while (window < WINDOWS) {
        int now = atomic_load(&worker->process->window);
        kept = now == window ? kept : 0;
        window = now;
        if (window < WINDOWS) {
            keep_record(worker, window, kept < KEPT ? kept : 0, kept < KEPT);
            kept++;
        }
        if (kept == KEPT) {
            note_filled(world, window);
        }
        if (kept >= KEPT) {
            rest(worker, window);
        }
    }
    return NULL;
}

/* ---- windows ---- */

/* Keys that were revoked are learnt of at the next check, the others expire. */
static int64_t start_of(int window) {
    int64_t at_s = 0;
    for (int i = 1; i <= window; i++) {
        at_s += k_windows[i].event == EVENT_EXPIRED ? EXPIRE_S : INTERVAL_S;
    }
    return at_s;
}

static void go_on_to(struct process *process, int window) {
    pthread_mutex_lock(&process->lock);
    atomic_store(&process->window, window);
    pthread_cond_broadcast(&process->moved_on);
    pthread_mutex_unlock(&process->lock);
}

static void enter_window(struct process *process, int window) {
    int64_t at_s = start_of(window);
    ael_clock_set_for_test(WALL_S + at_s, k_boot_ns + at_s * k_s);
    go_on_to(process, window);
}

/* As if this process had wrapped 2^30 keys under the session's intermediate key. */
static void wear_out(struct process *process) {
    struct ael_session_call call;
    struct ael_key_loan loan;
    enum ael_status status = ael_session_begin_call(process->session, &k_call, &call, NULL);
    if (status == AEL_OK) {
        status = ael_session_latest_key(process->session, &call, &loan, NULL);
    }
    fail_unless(process->world, status == AEL_OK);
    if (status == AEL_OK) {
        ael_crypto_key_set_wraps_for_test(loan.key->key, UINT64_C(1) << 30);
        ael_session_end_loan(&loan, AEL_OK);
    }
}

/* What the first process does to the keys at the end of a window, while all work. */
static void bring_about(struct process *process, enum event event) {
    struct world *world = process->world;
    if (event == EVENT_INTERMEDIATE_REVOKED) {
        fail_unless(world, service_revoke_latest(&process->service, SERVICE_IK) == AEL_OK);
    } else if (event == EVENT_SYSTEM_REVOKED) {
        fail_unless(world, service_revoke_latest(&process->service, SERVICE_SK) == AEL_OK);
    } else if (event == EVENT_WORN) {
        wear_out(process);
    }
}

/* Leaves the window when all threads of all processes have their records of it; clocks are never the same at once. */
static void lead(struct process *process) {
    struct world *world = process->world;
    for (int window = 0; window < WINDOWS; window++) {
        while (sem_wait(&world->all_filled) != 0) {
        }
        if (process->number == 0 && window + 1 < WINDOWS) {
            bring_about(process, k_windows[window + 1].event);
        }
        pthread_barrier_wait(&world->turn);
        if (window + 1 < WINDOWS) {
            enter_window(process, window + 1);
        }
    }
    go_on_to(process, WINDOWS);
}

/* ---- reading ---- */

static bool reads(struct ael_session *session, const struct slot *slot, int process, int thread, int window) {
    struct ael_buf plain;
    char text[64];
    uint8_t room[SLOT_BYTES];
    ael_buf_init_fixed(&plain, room, sizeof room);
    int len = text_of(text, sizeof text, process, thread, window);
    struct ael_bytes json = {(const uint8_t *)slot->json, (size_t)slot->len};
    return slot->len > 0 && ael_session_decrypt_json(session, json, &plain, &k_call, NULL) == AEL_OK &&
           plain.len == (size_t)len && memcmp(plain.data, text, plain.len) == 0;
}

/* The number of all records that do not decrypt. */
static int unreadable(const struct world *world, struct ael_session *session) {
    int count = 0;
    for (int process = 0; process < world->processes; process++) {
        for (int i = 0; i < world->threads * WINDOWS * KEPT; i++) {
            int thread = i / (WINDOWS * KEPT);
            int window = i / KEPT % WINDOWS;
            const struct slot *slot = &world->slots[process][thread][window][i % KEPT];
            count += !reads(session, slot, process, thread, window);
        }
    }
    return count;
}

/* ---- processes ---- */

struct child {
    struct world *world;
    int number;
};

static bool run_threads(struct process *process) {
    struct world *world = process->world;
    pthread_t threads[MOST_THREADS];
    struct worker workers[MOST_THREADS];
    for (int i = 0; i < world->threads; i++) {
        workers[i] = (struct worker){process, i};
        if (pthread_create(&threads[i], NULL, work, &workers[i]) != 0) {
            return false;
        }
    }
    pthread_barrier_wait(&world->start);
    lead(process);
    for (int i = 0; i < world->threads; i++) {
        pthread_join(threads[i], NULL);
    }
    return true;
}

static int be_process(void *context) {
    const struct child *child = context;
    struct world *world = child->world;
    struct ael_policy policy = policy_of_test();
    struct process process = {
        .world = world,
        .number = child->number,
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .moved_on = PTHREAD_COND_INITIALIZER,
    };
    enter_window(&process, 0);
    service_begin(&process.service, &world->store, &policy, NULL);
    process.session = service_session(&process.service, "p");
    if (!run_threads(&process)) {
        return 1;
    }
    pthread_barrier_wait(&world->turn);
    fail_unless(world, unreadable(world, process.session) == 0);
    ael_session_release(process.session);
    service_end(&process.service);
    return 0;
}

static void make_barrier(pthread_barrier_t *barrier, int count) {
    pthread_barrierattr_t attributes;
    pthread_barrierattr_init(&attributes);
    pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(barrier, &attributes, (unsigned)count);
    pthread_barrierattr_destroy(&attributes);
}

static void run_processes(struct world *world) {
    pid_t children[MOST_PROCESSES];
    make_barrier(&world->start, world->processes * (world->threads + 1));
    make_barrier(&world->turn, world->processes);
    sem_init(&world->all_filled, 1, 0);
    for (int i = 0; i < world->processes; i++) {
        struct child child = {world, i};
        children[i] = child_start(be_process, &child);
    }
    for (int i = 0; i < world->processes; i++) {
        CU_ASSERT_EQUAL(child_wait(children[i]), 0);
    }
    pthread_barrier_destroy(&world->start);
    pthread_barrier_destroy(&world->turn);
    sem_destroy(&world->all_filled);
}

/* A process that comes afterwards reads everything, and counts the rows. */
static void check_what_is_left(struct world *world) {
    struct ael_policy policy = policy_of_test();
    struct service service;
    int system_rows = 0;
    int intermediate_rows = 0;
    for (int window = 0; window < WINDOWS; window++) {
        system_rows += k_windows[window].system_rows;
        intermediate_rows += k_windows[window].intermediate_rows;
    }
    ael_clock_set_for_test(WALL_S + start_of(WINDOWS - 1), k_boot_ns);
    service_begin(&service, &world->store, &policy, NULL);
    struct ael_session *session = service_session(&service, "p");
    CU_ASSERT_EQUAL(unreadable(world, session), 0);
    CU_ASSERT_EQUAL(service_rows(&service, SERVICE_SK), system_rows);
    CU_ASSERT_EQUAL(service_rows(&service, SERVICE_IK), intermediate_rows);
    ael_session_release(session);
    service_end(&service);
    ael_clock_reset_for_test();
    CU_ASSERT_EQUAL(ael_shutdown(1000), AEL_OK);
}

static void test_rotation__makes_one_key_a_window_and_loses_no_record(void) {
    struct world *world = service_share(sizeof *world);
    world->processes = soak_count(4, MOST_PROCESSES);
    world->threads = soak_count(8, MOST_THREADS);
    service_store_begin(&world->store);
    run_processes(world);
    CU_ASSERT_EQUAL(atomic_load(&world->failures), 0);
    check_what_is_left(world);
    service_store_end(&world->store);
    service_unshare(world, sizeof *world);
}

static const struct test_case k_cases[] = {
    {"rotation", test_rotation__makes_one_key_a_window_and_loses_no_record},
};

TEST_SUITE_MAIN("rotation_race", k_cases)
