/*
 * test_sql_pool.c - connections lent and taken back: bounds, limits of age, deadlines, threads, forks. The connections
 * are pipes, so that what a child closes can be seen.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "metastore/sql/sql_pool.h"
#include "tests/support/suite.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

struct conn {
    struct ael_sql_conn base;
    int ends[2];
};

struct backend {
    atomic_int opened;
    atomic_int closed;
    atomic_int most; /* open at once */
    enum ael_status fails_with;
    bool is_dead;
    atomic_int suspected;
};

static enum ael_status
open_pipe(void *self, struct ael_sql_conn *base, const struct ael_call *call, struct ael_error *err) {
    struct backend *backend = self;
    struct conn *conn = (struct conn *)base;
    (void)call;
    (void)err;
    if (backend->fails_with != AEL_OK) {
        return backend->fails_with;
    }
    CU_ASSERT_EQUAL(pipe(conn->ends), 0);
    int now = atomic_fetch_add(&backend->opened, 1) + 1 - atomic_load(&backend->closed);
    int most = atomic_load(&backend->most);
    while (now > most && !atomic_compare_exchange_weak(&backend->most, &most, now)) {
    }
    return AEL_OK;
}

static bool is_alive(void *self, struct ael_sql_conn *base, int64_t idle_ms, const struct ael_call *call) {
    struct backend *backend = self;
    (void)base;
    (void)call;
    CU_ASSERT_TRUE(idle_ms >= 0);
    if (idle_ms == INT64_MAX) {
        atomic_fetch_add(&backend->suspected, 1);
    }
    return !backend->is_dead;
}

static void drop_pipe(struct ael_sql_conn *base) {
    struct conn *conn = (struct conn *)base;
    (void)close(conn->ends[0]);
    (void)close(conn->ends[1]);
}

static void close_pipe(void *self, struct ael_sql_conn *base) {
    struct backend *backend = self;
    drop_pipe(base);
    atomic_fetch_add(&backend->closed, 1);
}

static const struct ael_sql_pool_ops k_ops = {
    .component = "test",
    .conn_size = sizeof(struct conn),
    .open = open_pipe,
    .is_alive = is_alive,
    .close = close_pipe,
    .drop = drop_pipe,
};

static struct ael_sql_pool *
pool_of(struct backend *backend, uint32_t most, uint32_t idle_limit_ms, uint32_t life_limit_ms) {
    const struct ael_sql_pool_options options = {most, idle_limit_ms, life_limit_ms};
    struct ael_sql_pool *pool = NULL;
    CU_ASSERT_EQUAL_FATAL(ael_sql_pool_new(&k_ops, backend, &options, &pool, NULL), AEL_OK);
    return pool;
}

static struct ael_sql_conn *borrow(struct ael_sql_pool *pool) {
    struct ael_call call = AEL_CALL_INIT;
    struct ael_sql_conn *conn = NULL;
    call.deadline_ns = ael_deadline_in_ms(20000);
    CU_ASSERT_EQUAL_FATAL(ael_sql_pool_borrow(pool, &call, &conn, NULL), AEL_OK);
    return conn;
}

static void test_sql_pool_borrow__lends_what_was_returned(void) {
    struct backend backend = {0};
    struct ael_sql_pool *pool = pool_of(&backend, 4, 0, 0);
    struct ael_sql_conn *first = borrow(pool);
    struct ael_sql_conn *second = borrow(pool);
    CU_ASSERT_PTR_NOT_EQUAL(first, second);
    ael_sql_pool_return(pool, first);
    ael_sql_pool_return(pool, second);
    CU_ASSERT_PTR_EQUAL(borrow(pool), second); /* the last one returned, so that the first gets old */
    ael_sql_pool_return(pool, second);
    CU_ASSERT_EQUAL(atomic_load(&backend.opened), 2);
    CU_ASSERT_EQUAL(ael_sql_pool_count(pool), 2);
    ael_sql_pool_free(pool);
    CU_ASSERT_EQUAL(atomic_load(&backend.closed), 2);
}

static void test_sql_pool_return__closes_the_broken(void) {
    struct backend backend = {0};
    struct ael_sql_pool *pool = pool_of(&backend, 1, 0, 0);
    struct ael_sql_conn *conn = borrow(pool);
    conn->broken = true;
    ael_sql_pool_return(pool, conn);
    CU_ASSERT_EQUAL(ael_sql_pool_count(pool), 0);
    ael_sql_pool_return(pool, borrow(pool));
    CU_ASSERT_EQUAL(atomic_load(&backend.opened), 2);
    ael_sql_pool_free(pool);
}

static void test_sql_pool_borrow__looks_whether_idle_ones_are_alive(void) {
    struct backend backend = {0};
    struct ael_sql_pool *pool = pool_of(&backend, 3, 0, 0);
    struct ael_sql_conn *conns[3] = {borrow(pool), borrow(pool), borrow(pool)};
    for (int i = 0; i < 3; i++) {
        ael_sql_pool_return(pool, conns[i]);
    }
    backend.is_dead = true;
    ael_sql_pool_return(pool, borrow(pool));
    CU_ASSERT_EQUAL(atomic_load(&backend.closed), 3);
    CU_ASSERT_EQUAL(atomic_load(&backend.opened), 4);
    CU_ASSERT_EQUAL(ael_sql_pool_count(pool), 1);
    ael_sql_pool_free(pool);
}

static void test_sql_pool_return__has_the_idle_ones_looked_at_after_a_broken_one(void) {
    struct backend backend = {0};
    struct ael_sql_pool *pool = pool_of(&backend, 3, 0, 0);
    struct ael_sql_conn *conns[3] = {borrow(pool), borrow(pool), borrow(pool)};
    ael_sql_pool_return(pool, conns[0]);
    ael_sql_pool_return(pool, conns[1]);
    conns[2]->broken = true;
    ael_sql_pool_return(pool, conns[2]);
    for (int i = 0; i < 3; i++) { /* the first time each, and not again */
        conns[0] = borrow(pool);
        conns[1] = borrow(pool);
        CU_ASSERT_EQUAL(atomic_load(&backend.suspected), 2);
        ael_sql_pool_return(pool, conns[0]);
        ael_sql_pool_return(pool, conns[1]);
    }
    CU_ASSERT_EQUAL(atomic_load(&backend.opened), 3);
    ael_sql_pool_free(pool);
}

/* Each look may last as long as the server is silent. */
static void test_sql_pool_borrow__closes_all_suspects_when_one_is_dead(void) {
    enum { MANY = 6 };
    struct backend backend = {0};
    struct ael_sql_pool *pool = pool_of(&backend, MANY, 0, 0);
    struct ael_sql_conn *conns[MANY];
    for (int i = 0; i < MANY; i++) {
        conns[i] = borrow(pool);
    }
    conns[0]->broken = true;
    for (int i = MANY - 1; i >= 0; i--) {
        ael_sql_pool_return(pool, conns[i]);
    }
    backend.is_dead = true;
    ael_sql_pool_return(pool, borrow(pool));
    CU_ASSERT_EQUAL(atomic_load(&backend.suspected), 1);
    CU_ASSERT_EQUAL(atomic_load(&backend.closed), MANY);
    CU_ASSERT_EQUAL(ael_sql_pool_count(pool), 1);
    ael_sql_pool_free(pool);
}

static void wait_until_old(struct ael_sql_conn *conn) {
    conn->opened_ms -= 10000; /* as if it had been opened, and returned, ten seconds ago */
    conn->idle_since_ms -= 10000;
}

static void test_sql_pool__closes_what_idled_too_long(void) {
    struct backend backend = {0};
    struct ael_sql_pool *pool = pool_of(&backend, 4, 5000, 0);
    struct ael_sql_conn *first = borrow(pool);
    struct ael_sql_conn *second = borrow(pool);
    ael_sql_pool_return(pool, first);
    ael_sql_pool_return(pool, second);
    wait_until_old(first);
    CU_ASSERT_PTR_EQUAL(borrow(pool), second);
    CU_ASSERT_EQUAL(atomic_load(&backend.closed), 1);
    ael_sql_pool_return(pool, second);
    ael_sql_pool_free(pool);
}

/* Without another look at the clock when it is returned: it idles from the last one. */
static void test_sql_pool__counts_idling_from_the_last_look_at_the_clock(void) {
    struct backend backend = {0};
    struct ael_sql_pool *pool = pool_of(&backend, 4, 5000, 0);
    struct ael_sql_conn *conn = borrow(pool);
    CU_ASSERT_FALSE(conn->look.is_new); /* opening took its time */
    ael_sql_pool_return(pool, conn);
    CU_ASSERT_PTR_EQUAL(borrow(pool), conn);
    CU_ASSERT_TRUE(conn->look.is_new);
    conn->look.ns -= INT64_C(10000000000);
    ael_sql_pool_return(pool, conn);
    struct ael_sql_conn *other = borrow(pool);
    CU_ASSERT_EQUAL(atomic_load(&backend.closed), 1);
    ael_sql_pool_return(pool, other);
    ael_sql_pool_free(pool);
}

static void test_sql_pool__closes_what_lived_too_long(void) {
    struct backend backend = {0};
    struct ael_sql_pool *pool = pool_of(&backend, 1, 0, 5000);
    struct ael_sql_conn *conn = borrow(pool);
    ael_sql_pool_return(pool, conn);
    CU_ASSERT_PTR_EQUAL(borrow(pool), conn);
    wait_until_old(conn);
    ael_sql_pool_return(pool, conn); /* kept: it is looked at when it is idle */
    ael_sql_pool_return(pool, borrow(pool));
    CU_ASSERT_EQUAL(atomic_load(&backend.closed), 1);
    CU_ASSERT_EQUAL(atomic_load(&backend.opened), 2);
    ael_sql_pool_free(pool);
}

static void test_sql_pool_borrow__ends_with_its_call(void) {
    struct backend backend = {0};
    struct ael_sql_pool *pool = pool_of(&backend, 1, 0, 0);
    struct ael_sql_conn *lent = borrow(pool);
    struct ael_sql_conn *conn = lent;
    struct ael_error err = {0};
    struct ael_call call = AEL_CALL_INIT;
    call.deadline_ns = ael_deadline_in_ms(30);
    CU_ASSERT_EQUAL(ael_sql_pool_borrow(pool, &call, &conn, &err), AEL_E_TIMEOUT);
    CU_ASSERT_PTR_NULL(conn);
    CU_ASSERT_EQUAL(err.status, AEL_E_TIMEOUT);
    struct ael_cancel *cancel = NULL;
    CU_ASSERT_EQUAL_FATAL(ael_cancel_new(&cancel), AEL_OK);
    ael_cancel_trigger(cancel);
    call.deadline_ns = ael_deadline_in_ms(20000);
    call.cancel = cancel;
    CU_ASSERT_EQUAL(ael_sql_pool_borrow(pool, &call, &conn, &err), AEL_E_CANCELLED);
    ael_cancel_free(cancel);
    ael_sql_pool_return(pool, lent);
    ael_sql_pool_return(pool, borrow(pool)); /* no place was lost */
    ael_sql_pool_free(pool);
}

static void test_sql_pool_borrow__gives_the_place_back_when_opening_fails(void) {
    struct backend backend = {.fails_with = AEL_E_UNREACHABLE};
    struct ael_sql_pool *pool = pool_of(&backend, 1, 0, 0);
    struct ael_call call = AEL_CALL_INIT;
    struct ael_sql_conn *conn = NULL;
    call.deadline_ns = ael_deadline_in_ms(20000);
    for (int i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(ael_sql_pool_borrow(pool, &call, &conn, NULL), AEL_E_UNREACHABLE);
    }
    CU_ASSERT_EQUAL(ael_sql_pool_count(pool), 0);
    backend.fails_with = AEL_OK;
    ael_sql_pool_return(pool, borrow(pool));
    ael_sql_pool_free(pool);
}

enum { THREADS = 16, ROUNDS = 200 };

static void *borrow_and_return(void *context) {
    for (int i = 0; i < ROUNDS; i++) {
        struct ael_sql_conn *conn = borrow(context);
        conn->broken = i % 7 == 0;
        ael_sql_pool_return(context, conn);
    }
    return NULL;
}

static void test_sql_pool__keeps_its_bound_among_threads(void) {
    struct backend backend = {0};
    struct ael_sql_pool *pool = pool_of(&backend, 3, 0, 0);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, borrow_and_return, pool), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    CU_ASSERT_TRUE(atomic_load(&backend.most) <= 3);
    CU_ASSERT_TRUE(ael_sql_pool_count(pool) <= 3);
    int open = atomic_load(&backend.opened) - atomic_load(&backend.closed);
    CU_ASSERT_EQUAL(ael_sql_pool_count(pool), (uint32_t)open);
    ael_sql_pool_free(pool);
    CU_ASSERT_EQUAL(atomic_load(&backend.opened), atomic_load(&backend.closed));
}

/* In the child: the parent's descriptors are closed, its connections never are, and others are opened. */
static int look_in_child(struct ael_sql_pool *pool, struct backend *backend, const struct conn *was) {
    int wrong = 0;
    ael_sql_pool_after_fork_child(pool);
    wrong += fcntl(was->ends[0], F_GETFD) != -1;
    wrong += atomic_load(&backend->closed) != 0;
    wrong += ael_sql_pool_count(pool) != 0;
    struct ael_sql_conn *own = borrow(pool);
    wrong += atomic_load(&backend->opened) != 3 || ael_sql_conn_is_lost(own);
    wrong += !ael_sql_conn_is_lost(&was->base);
    ael_sql_pool_return(pool, own);
    ael_sql_pool_free(pool);
    return wrong;
}

static void test_sql_pool__drops_the_parents_in_a_child(void) {
    struct backend backend = {0};
    struct ael_sql_pool *pool = pool_of(&backend, 2, 0, 0);
    struct conn *idle = (struct conn *)borrow(pool);
    struct ael_sql_conn *lent = borrow(pool);
    ael_sql_pool_return(pool, &idle->base);
    ael_sql_pool_before_fork(pool); /* with one lent: that is waited for, but not for ever */
    pid_t child = fork();
    if (child == 0) {
        _exit(look_in_child(pool, &backend, idle));
    }
    ael_sql_pool_after_fork_parent(pool);
    int status = -1;
    CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
    CU_ASSERT_EQUAL(status, 0);
    CU_ASSERT_TRUE(fcntl(idle->ends[0], F_GETFD) >= 0);
    ael_sql_pool_return(pool, lent);
    CU_ASSERT_PTR_EQUAL(borrow(pool), lent);
    ael_sql_pool_return(pool, lent);
    ael_sql_pool_free(pool);
}

/* A child that was not told: nothing is touched. (Calls do not come so far: the handle refuses them.) */
static int look_in_untold_child(
    struct ael_sql_pool *pool, struct backend *backend, const struct ael_sql_conn *lent) {
    int wrong = !ael_sql_conn_is_lost(lent);
    ael_sql_pool_before_fork(pool);
    ael_sql_pool_after_fork_parent(pool);
    ael_sql_pool_after_fork_child(pool);
    ael_sql_pool_free(pool);
    return wrong + (atomic_load(&backend->closed) != 0);
}

static void test_sql_pool__touches_nothing_in_a_child_that_was_not_told(void) {
    struct backend backend = {0};
    struct ael_sql_pool *pool = pool_of(&backend, 2, 0, 0);
    struct ael_sql_conn *lent = borrow(pool);
    ael_sql_pool_return(pool, borrow(pool));
    pid_t child = fork();
    if (child == 0) {
        _exit(look_in_untold_child(pool, &backend, lent));
    }
    int status = -1;
    CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
    CU_ASSERT_EQUAL(status, 0);
    ael_sql_pool_return(pool, lent);
    ael_sql_pool_free(pool);
}

static const struct test_case k_cases[] = {
    {"what was returned is lent again", test_sql_pool_borrow__lends_what_was_returned},
    {"a broken one is closed", test_sql_pool_return__closes_the_broken},
    {"after a broken one the idle ones are looked at",
     test_sql_pool_return__has_the_idle_ones_looked_at_after_a_broken_one},
    {"one dead suspect is the end of all", test_sql_pool_borrow__closes_all_suspects_when_one_is_dead},
    {"idle ones are looked at", test_sql_pool_borrow__looks_whether_idle_ones_are_alive},
    {"what idled too long is closed", test_sql_pool__closes_what_idled_too_long},
    {"idling counts from the last look", test_sql_pool__counts_idling_from_the_last_look_at_the_clock},
    {"what lived too long is closed", test_sql_pool__closes_what_lived_too_long},
    {"waiting ends with the call", test_sql_pool_borrow__ends_with_its_call},
    {"a failure to open costs no place", test_sql_pool_borrow__gives_the_place_back_when_opening_fails},
    {"the bound holds among threads", test_sql_pool__keeps_its_bound_among_threads},
    {"a child drops the parent's", test_sql_pool__drops_the_parents_in_a_child},
    {"an untold child touches nothing", test_sql_pool__touches_nothing_in_a_child_that_was_not_told},
};

TEST_SUITE_MAIN("sql_pool", k_cases)
