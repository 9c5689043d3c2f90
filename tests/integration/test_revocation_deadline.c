/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The deadline of revocation: no key encrypts later than revoke_check_interval, plus one load, after it was revoked in the
 * store. Two processes of eight threads each over one SQLite file, with clocks that the test sets.
 */
#include "base/clock.h"
#include "tests/support/child.h"
#include "tests/support/service.h"
#include "tests/support/suite.h"
#include "tests/support/under.h"

#include <ael/memory.h>
#include <ael/metastore_sqlite.h>

#include <pthread.h>
#include <semaphore.h>

enum {
    PROCESSES = 2,
    THREADS = 8,
    INTERVAL_S = 600,
    MOST_STEPS = 16,
    WALL_S = 1800000040,
};

static const int64_t k_boot_ns = INT64_C(1000000000000);
static const int64_t k_s = 1000000000;

static const struct ael_call k_call = {sizeof k_call, INT64_MAX, NULL, AEL_CONSISTENCY_ANY, NULL};

/* Of each thread in each step. */
static int operations(void) {
    return under_valgrind() ? 2 : 20;
}

/* What happens before a step. */
enum act { ACT_NONE, ACT_REVOKE, ACT_CUT_AND_REVOKE, ACT_MEND };

struct step {
    int tenths; /* of the interval since the keys were made: where the clocks stand */
    enum act act;
};

struct plan {
    const char *revoked; /* the id whose latest key is revoked */
    bool late;           /* the first step is other partitions': the key of "p" is made in the second one */
    int count;
    struct step steps[MOST_STEPS];
};

/* What the encrypts of one step came to. */
struct came_to {
    atomic_int old_key; /* the one that all used at first */
    atomic_int new_key;
    atomic_int stale; /* AEL_E_KEY_STALE */
    atomic_int else_;
};

/* Shared by all processes. */
struct world {
    struct service_store store;
    pthread_barrier_t barrier;
    struct plan plan;
    atomic_bool cut;
    _Atomic int64_t first_key_s;
    struct came_to steps[MOST_STEPS];
    atomic_int failures;  /* of what prepares a step, and of decrypts */
    atomic_int late;      /* encrypts under the old key that began past the deadline */
    atomic_llong old_key; /* encrypts under the old key and under others, with running clocks */
    atomic_llong new_key;
};

/* One process of it. */
struct process {
    struct world *world;
    struct service service;
    struct ael_session *session; /* in use */
    struct ael_session *own;     /* of "p" */
    struct ael_session *other;   /* of "q" or "r": no other process makes its key, so this one knows the latest system key */
    atomic_bool wanted;          /* the next encrypt is to be told */
    sem_t worked;                /* it has been done */
    atomic_bool over;
};

static struct ael_policy policy_of_test(void) {
    struct ael_policy policy = AEL_POLICY_INIT;
    policy.revoke_check_interval_s = INTERVAL_S;
    return policy;
}

static struct world *world_new(const struct plan *plan) {
    struct world *world = service_share(sizeof *world);
    pthread_barrierattr_t attributes;
    world->plan = *plan;
    service_store_begin(&world->store);
    pthread_barrierattr_init(&attributes);
    pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&world->barrier, &attributes, PROCESSES * (THREADS + 1));
    pthread_barrierattr_destroy(&attributes);
    return world;
}

static void world_free(struct world *world) {
    pthread_barrier_destroy(&world->barrier);
    service_store_end(&world->store);
    service_unshare(world, sizeof *world);
}

static void fail_unless(struct world *world, bool right) {
    atomic_fetch_add(&world->failures, right ? 0 : 1);
}

/* ---- encrypts ---- */

/* The status of an encrypt, and under which key it was. */
static enum ael_status encrypt(struct process *process, int64_t *key_s) {
    struct ael_record_buf record = AEL_RECORD_BUF_INIT;
    struct ael_bytes plain = ael_bytes_from_text("attack at dawn");
    enum ael_status status = ael_session_encrypt(process->session, plain, &record, &k_call, NULL);
    *key_s = status == AEL_OK ? record.record.parent_created_s : 0;
    ael_record_buf_clear(&record);
    return status;
}

/* The first key that anybody uses is the old one. */
static bool is_old_key(struct world *world, int64_t key_s) {
    int64_t first_s = 0;
    return atomic_compare_exchange_strong(&world->first_key_s, &first_s, key_s) || first_s == key_s;
}

static void encrypt_in_step(struct process *process, struct came_to *came_to) {
    int64_t key_s = 0;
    enum ael_status status = encrypt(process, &key_s);
    if (status == AEL_OK) {
        bool is_old = is_old_key(process->world, key_s);
        atomic_fetch_add(is_old ? &came_to->old_key : &came_to->new_key, 1);
        return;
    }
    atomic_fetch_add(status == AEL_E_KEY_STALE ? &came_to->stale : &came_to->else_, 1);
}

/* ---- processes ---- */

static void *walk(void *context) {
    struct process *process = context;
    struct world *world = process->world;
    for (int i = 0; i < world->plan.count; i++) {
        pthread_barrier_wait(&world->barrier);
        for (int n = 0; n < operations(); n++) {
            encrypt_in_step(process, &world->steps[i]);
        }
        pthread_barrier_wait(&world->barrier);
    }
    return NULL;
}

static void prepare_step(struct process *process, const struct step *step, bool leads) {
    struct world *world = process->world;
    ael_clock_set_for_test(
        WALL_S + step->tenths * INTERVAL_S / 10, k_boot_ns + step->tenths * INTERVAL_S / 10 * k_s);
    if (leads && (step->act == ACT_REVOKE || step->act == ACT_CUT_AND_REVOKE)) {
        fail_unless(world, service_revoke_latest(&process->service, world->plan.revoked) == AEL_OK);
    }
    if (leads && (step->act == ACT_CUT_AND_REVOKE || step->act == ACT_MEND)) {
        atomic_store(&world->cut, step->act != ACT_MEND);
    }
}

static void lead_steps(struct process *process, bool leads) {
    struct world *world = process->world;
    for (int i = 0; i < world->plan.count; i++) {
        process->session = world->plan.late && i == 0 ? process->other : process->own;
        if (world->plan.late && i == 1 && leads) {
            atomic_store(&world->first_key_s, 0);
        }
        prepare_step(process, &world->plan.steps[i], leads);
        pthread_barrier_wait(&world->barrier);
        pthread_barrier_wait(&world->barrier);
    }
}

static void process_begin(struct process *process, struct world *world, const char *other) {
    struct ael_policy policy = policy_of_test();
    *process = (struct process){.world = world};
    sem_init(&process->worked, 0, 0);
    ael_clock_set_for_test(WALL_S, k_boot_ns);
    service_begin(&process->service, &world->store, &policy, &world->cut);
    process->own = service_session(&process->service, "p");
    process->other = service_session(&process->service, other);
    process->session = process->own;
}

static void process_end(struct process *process) {
    ael_session_release(process->own);
    ael_session_release(process->other);
    service_end(&process->service);
    sem_destroy(&process->worked);
}

/* One child's arguments. */
struct child {
    struct world *world;
    bool leads;
    void *(*body)(void *);
    void (*lead)(struct process *process, bool leads);
};

static int be_process(void *context) {
    const struct child *child = context;
    struct process process;
    pthread_t threads[THREADS];
    process_begin(&process, child->world, child->leads ? "q" : "r");
    for (int i = 0; i < THREADS; i++) {
        if (pthread_create(&threads[i], NULL, child->body, &process) != 0) {
            return 1;
        }
    }
    child->lead(&process, child->leads);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    process_end(&process);
    return 0;
}

static void
run_processes(struct world *world, void *(*body)(void *), void (*lead)(struct process *process, bool leads)) {
    pid_t children[PROCESSES];
    for (int i = 0; i < PROCESSES; i++) {
        struct child child = {world, i == 0, body, lead};
        children[i] = child_start(be_process, &child);
    }
    for (int i = 0; i < PROCESSES; i++) {
        CU_ASSERT_EQUAL(child_wait(children[i]), 0);
    }
    CU_ASSERT_EQUAL(atomic_load(&world->failures), 0);
}

/* ---- steps of time ---- */

/* All encrypts of the steps [from, to) came to that. */
enum all { ALL_OLD, ALL_NEW, ALL_STALE, OLD_OR_NEW };

static void check_steps(struct world *world, int from, int to, enum all all) {
    for (int i = from; i < to; i++) {
        struct came_to *step = &world->steps[i];
        int in_a_step = PROCESSES * THREADS * operations();
        int old_key = atomic_load(&step->old_key);
        int new_key = atomic_load(&step->new_key);
        CU_ASSERT_EQUAL(all == ALL_OLD ? old_key : in_a_step, in_a_step);
        CU_ASSERT_EQUAL(all == ALL_NEW ? new_key : in_a_step, in_a_step);
        CU_ASSERT_EQUAL(all == OLD_OR_NEW ? old_key + new_key : in_a_step, in_a_step);
        CU_ASSERT_EQUAL(all == ALL_STALE ? atomic_load(&step->stale) : in_a_step, in_a_step);
        CU_ASSERT_EQUAL(atomic_load(&step->else_), 0);
    }
}

/* Nobody looks between seven tenths and the deadline, so the load comes first when they do. */
static void check_idle_until_deadline(const char *revoked) {
    struct plan plan = {
        revoked,
        false,
        6,
        {{0, ACT_NONE}, {0, ACT_REVOKE}, {5, ACT_NONE}, {7, ACT_NONE}, {10, ACT_NONE}, {14, ACT_NONE}}};
    struct world *world = world_new(&plan);
    run_processes(world, walk, lead_steps);
    check_steps(world, 0, 4, ALL_OLD);
    check_steps(world, 4, 6, ALL_NEW);
    world_free(world);
}

/* Somebody looks at each tenth: from the eighth on the key is refreshed beside those who use it. */
static void check_busy_until_deadline(const char *revoked) {
    struct plan plan = {revoked, false, 14, {{0, ACT_NONE}, {0, ACT_REVOKE}}};
    for (int i = 2; i < plan.count; i++) {
        plan.steps[i].tenths = i - 1;
    }
    struct world *world = world_new(&plan);
    run_processes(world, walk, lead_steps);
    check_steps(world, 0, 9, ALL_OLD);     /* up to seven tenths */
    check_steps(world, 9, 11, OLD_OR_NEW); /* eight and nine */
    check_steps(world, 11, 14, ALL_NEW);
    world_free(world);
}

/* The key of "p" is made when its system key, checked seven tenths ago, is revoked already: it is no fresher than that. */
static void check_key_made_late(void) {
    struct plan plan = {
        SERVICE_SK, true, 4, {{0, ACT_NONE}, {7, ACT_REVOKE}, {10, ACT_NONE}, {14, ACT_NONE}}};
    struct world *world = world_new(&plan);
    run_processes(world, walk, lead_steps);
    check_steps(world, 0, 2, ALL_OLD);
    check_steps(world, 2, 4, ALL_NEW);
    world_free(world);
}

static void test_revoked_intermediate_key__encrypts_nothing_after_the_interval(void) {
    check_idle_until_deadline(SERVICE_IK);
    check_busy_until_deadline(SERVICE_IK);
}

static void test_revoked_system_key__stops_the_keys_under_it_after_the_interval(void) {
    check_idle_until_deadline(SERVICE_SK);
    check_busy_until_deadline(SERVICE_SK);
    check_key_made_late();
}

/* The store is cut off, and the key revoked in it: it serves until max_stale, then nothing does until the store is back. */
static void check_cut_off(const char *revoked) {
    struct plan plan = {
        revoked,
        false,
        9,
        {{0, ACT_NONE},
         {0, ACT_CUT_AND_REVOKE},
         {7, ACT_NONE},
         {10, ACT_NONE},
         {15, ACT_NONE},
         {19, ACT_NONE},
         {20, ACT_NONE},
         {30, ACT_NONE},
         {30, ACT_MEND}}};
    struct world *world = world_new(&plan);
    run_processes(world, walk, lead_steps);
    check_steps(world, 0, 6, ALL_OLD);
    check_steps(world, 6, 8, ALL_STALE);
    check_steps(world, 8, 9, ALL_NEW);
    world_free(world);
}

static void test_metastore_cut_off__fails_closed_at_max_stale_and_comes_back(void) {
    check_cut_off(SERVICE_IK);
    check_cut_off(SERVICE_SK);
}

/* ---- clocks that run ---- */

static void *run(void *context) {
    struct process *process = context;
    struct world *world = process->world;
    const int64_t deadline_ns = k_boot_ns + INTERVAL_S * k_s;
    pthread_barrier_wait(&world->barrier);
    pthread_barrier_wait(&world->barrier); /* revoked now */
    while (!atomic_load(&process->over)) {
        int64_t key_s = 0;
        int64_t began_ns = ael_clock_boot_ns();
        fail_unless(world, encrypt(process, &key_s) == AEL_OK);
        bool is_old = key_s == atomic_load(&world->first_key_s);
        atomic_fetch_add(is_old ? &world->old_key : &world->new_key, 1);
        atomic_fetch_add(&world->late, is_old && began_ns >= deadline_ns);
        if (atomic_exchange(&process->wanted, false)) {
            (void)sem_post(&process->worked);
        }
    }
    return NULL;
}

/* Large steps of time, but for seconds around the deadline. */
static int next_step_s(int now_s) {
    return now_s > INTERVAL_S - 10 && now_s < INTERVAL_S + 10 ? 1 : 10;
}

/* The clock goes on whenever somebody has encrypted; each process's own as fast as it can. */
static void lead_running(struct process *process, bool leads) {
    struct world *world = process->world;
    int64_t key_s = 0;
    fail_unless(world, encrypt(process, &key_s) == AEL_OK && is_old_key(world, key_s));
    pthread_barrier_wait(&world->barrier); /* all processes have the key */
    if (leads) {
        fail_unless(world, service_revoke_latest(&process->service, world->plan.revoked) == AEL_OK);
    }
    pthread_barrier_wait(&world->barrier);
    for (int s = 0; s < INTERVAL_S * 3 / 2; s += next_step_s(s)) {
        atomic_store(&process->wanted, true);
        while (sem_wait(&process->worked) != 0) {
        }
        ael_clock_advance_for_test(next_step_s(s));
    }
    atomic_store(&process->over, true);
}

static void check_running(const char *revoked) {
    struct plan plan = {revoked, false, 0, {{0, ACT_NONE}}};
    struct world *world = world_new(&plan);
    run_processes(world, run, lead_running);
    CU_ASSERT_EQUAL(atomic_load(&world->late), 0);
    CU_ASSERT_TRUE(atomic_load(&world->old_key) > 0);
    CU_ASSERT_TRUE(atomic_load(&world->new_key) > 0);
    world_free(world);
}

static void test_running_clocks__see_no_encrypt_under_a_revoked_key_past_the_deadline(void) {
    if (under_valgrind()) {
        CU_PASS("one thread runs at a time there, and who leads gets no turn");
        return;
    }
    check_running(SERVICE_IK);
    check_running(SERVICE_SK);
}

/* ---- a session that slept ---- */

static uint64_t loads_of(const struct service *service) {
    struct ael_session_factory_stats stats = {.size = sizeof stats};
    CU_ASSERT_EQUAL(ael_session_factory_stats(service->factory, &stats), AEL_OK);
    return stats.metastore_loads + stats.metastore_loads_latest;
}

static void check_sleeper(const char *revoked) {
    struct plan plan = {revoked, false, 0, {{0, ACT_NONE}}};
    struct world *world = world_new(&plan);
    struct process process;
    int64_t before_s = 0;
    int64_t after_s = 0;
    process_begin(&process, world, "q");
    CU_ASSERT_EQUAL(encrypt(&process, &before_s), AEL_OK);
    CU_ASSERT_EQUAL(revoked != NULL ? service_revoke_latest(&process.service, revoked) : AEL_OK, AEL_OK);
    uint64_t loads = loads_of(&process.service);
    ael_clock_advance_for_test(24 * 3600);
    CU_ASSERT_EQUAL(encrypt(&process, &after_s), AEL_OK);
    CU_ASSERT_TRUE(loads_of(&process.service) > loads);
    CU_ASSERT_EQUAL(after_s == before_s, revoked == NULL);
    process_end(&process);
    ael_clock_reset_for_test();
    world_free(world);
}

static void test_idle_session__loads_first_when_it_wakes_after_a_day(void) {
    check_sleeper(NULL);
    check_sleeper(SERVICE_IK);
    check_sleeper(SERVICE_SK);
    CU_ASSERT_EQUAL(ael_shutdown(1000), AEL_OK); /* no thread of ours is there when the next test forks */
}

/* Cut off, the sleeper gets nothing: its key is older than max_stale. */
static void test_idle_session__gets_nothing_when_it_wakes_cut_off(void) {
    struct plan plan = {NULL, false, 0, {{0, ACT_NONE}}};
    struct world *world = world_new(&plan);
    struct process process;
    int64_t key_s = 0;
    process_begin(&process, world, "q");
    CU_ASSERT_EQUAL(encrypt(&process, &key_s), AEL_OK);
    atomic_store(&world->cut, true);
    ael_clock_advance_for_test(24 * 3600);
    CU_ASSERT_EQUAL(encrypt(&process, &key_s), AEL_E_KEY_STALE);
    atomic_store(&world->cut, false);
    CU_ASSERT_EQUAL(encrypt(&process, &key_s), AEL_OK);
    process_end(&process);
    ael_clock_reset_for_test();
    world_free(world);
    CU_ASSERT_EQUAL(ael_shutdown(1000), AEL_OK);
}

static const struct test_case k_cases[] = {
    {"a revoked intermediate key", test_revoked_intermediate_key__encrypts_nothing_after_the_interval},
    {"a revoked system key", test_revoked_system_key__stops_the_keys_under_it_after_the_interval},
    {"running clocks", test_running_clocks__see_no_encrypt_under_a_revoked_key_past_the_deadline},
    {"the metastore is cut off", test_metastore_cut_off__fails_closed_at_max_stale_and_comes_back},
    {"an idle session", test_idle_session__loads_first_when_it_wakes_after_a_day},
    {"an idle session, cut off", test_idle_session__gets_nothing_when_it_wakes_cut_off},
};

TEST_SUITE_MAIN("revocation_deadline", k_cases)
