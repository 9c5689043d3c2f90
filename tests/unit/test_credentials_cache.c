/*
 * tests/unit/test_credentials_cache.c - net/credentials/cache.h with a source of the test's and a clock that it sets.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/credentials/cache.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "tests/support/child.h"
#include "tests/support/suite.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { NOW_S = 1000000 };

/* A source that counts, and stops in a fetch when it is told to. */
struct source {
    atomic_int fetches;
    atomic_int inside;
    atomic_bool hold;
    atomic_int life_s; /* 0 = for ever; less than 0: over already */
    _Atomic(enum ael_status) fail;
    atomic_bool fails_once;
    atomic_bool has_given; /* somebody has credentials */
};

static enum ael_status
fetch(void *self, const struct ael_call *call, struct ael_credentials **out, struct ael_error *err) {
    struct source *source = self;
    int number = atomic_fetch_add(&source->fetches, 1) + 1;
    *out = NULL;
    atomic_fetch_add(&source->inside, 1);
    while (atomic_load(&source->hold)) {
        enum ael_status over = ael_call_check(call);
        if (over != AEL_OK) {
            atomic_fetch_sub(&source->inside, 1);
            return ael_error_set(err, over, 0, "test", "over");
        }
        (void)sched_yield();
    }
    atomic_fetch_sub(&source->inside, 1);
    if (atomic_load(&source->fail) != AEL_OK) {
        return ael_error_set(err, atomic_load(&source->fail), number, "test", "failure %d", number);
    }
    if (number == 1 && atomic_load(&source->fails_once)) {
        return ael_error_set(err, AEL_E_UNREACHABLE, number, "test", "failure %d", number);
    }
    char id[16];
    uint8_t secret[] = "secret";
    (void)snprintf(id, sizeof id, "AKID%d", number);
    int life_s = atomic_load(&source->life_s);
    struct ael_credentials_parts parts = {
        .access_key_id = ael_bytes_from_text(id),
        .secret = secret,
        .secret_len = 6,
        .expires_s = life_s == 0 ? AEL_CREDENTIALS_NEVER : ael_clock_wall_s() + life_s,
        .source = "test",
    };
    return ael_credentials_new(&parts, out, err);
}

struct world {
    struct source source;
    struct ael_credentials_cache *cache;
    struct ael_error err;
};

static void begin(struct world *world, int life_s) {
    memset(world, 0, sizeof *world);
    atomic_store(&world->source.life_s, life_s);
    ael_clock_set_for_test(NOW_S, 1000000000);
    CU_ASSERT_FATAL(ael_credentials_cache_new(fetch, &world->source, &world->cache) == AEL_OK);
}

static void end(struct world *world) {
    ael_credentials_cache_free(world->cache);
    ael_clock_reset_for_test();
}

/* The number of the fetch that gave what a call gets; less than 0: its status. */
static int number_of(struct world *world, const struct ael_call *call) {
    struct ael_credentials *credentials = NULL;
    enum ael_status status = ael_credentials_cache_get(world->cache, call, &credentials, &world->err);
    if (status != AEL_OK) {
        CU_ASSERT_PTR_NULL(credentials);
        return -(int)status;
    }
    struct ael_bytes id = ael_credentials_access_key_id(credentials);
    char text[16] = {0};
    memcpy(text, id.data, id.len);
    ael_credentials_release(credentials);
    return (int)strtol(text + 4, NULL, 10);
}

static int get(struct world *world) {
    return number_of(world, NULL);
}

static void test_cache_get__fetches_once_and_keeps(void) {
    struct world world;
    begin(&world, 0);
    for (int i = 0; i < 5; i++) {
        CU_ASSERT_EQUAL(get(&world), 1);
        ael_clock_advance_for_test(1000000);
    }
    CU_ASSERT_EQUAL(atomic_load(&world.source.fetches), 1);
    end(&world);
}

static void test_cache_get__refreshes_ahead_of_the_end(void) {
    struct world world;
    begin(&world, 3600);
    CU_ASSERT_EQUAL(get(&world), 1);
    ael_clock_advance_for_test(3600 - 301);
    CU_ASSERT_EQUAL(get(&world), 1);
    ael_clock_advance_for_test(1);
    CU_ASSERT_EQUAL(get(&world), 2);
    CU_ASSERT_EQUAL(get(&world), 2);
    end(&world);
    begin(&world, 8); /* short ones: a quarter */
    CU_ASSERT_EQUAL(get(&world), 1);
    ael_clock_advance_for_test(5);
    CU_ASSERT_EQUAL(get(&world), 1);
    ael_clock_advance_for_test(1);
    CU_ASSERT_EQUAL(get(&world), 2);
    end(&world);
}

static void test_cache_get__survives_failed_refreshes_until_the_end(void) {
    struct world world;
    begin(&world, 3600);
    CU_ASSERT_EQUAL(get(&world), 1);
    atomic_store(&world.source.fail, AEL_E_UNREACHABLE);
    ael_clock_advance_for_test(3300);
    CU_ASSERT_EQUAL(get(&world), 1);
    CU_ASSERT_EQUAL(get(&world), 1); /* and does not ask again at once */
    CU_ASSERT_EQUAL(atomic_load(&world.source.fetches), 2);
    ael_clock_advance_for_test(31);
    CU_ASSERT_EQUAL(get(&world), 1);
    CU_ASSERT_EQUAL(atomic_load(&world.source.fetches), 3);
    ael_clock_advance_for_test(269); /* the end */
    CU_ASSERT_EQUAL(get(&world), -(int)AEL_E_UNREACHABLE);
    CU_ASSERT_STRING_EQUAL(world.err.detail, "failure 4");
    atomic_store(&world.source.fail, AEL_OK);
    CU_ASSERT_EQUAL(get(&world), 5);
    end(&world);
}

static void test_cache_get__refuses_what_has_ended_already(void) {
    struct world world;
    begin(&world, -1);
    CU_ASSERT_EQUAL(get(&world), -(int)AEL_E_BACKEND);
    CU_ASSERT_PTR_NOT_NULL(strstr(world.err.detail, "ended already"));
    end(&world);
}

static void test_cache_refused__makes_the_next_caller_fetch(void) {
    struct world world;
    struct ael_credentials *first = NULL;
    begin(&world, 0);
    CU_ASSERT_FATAL(ael_credentials_cache_get(world.cache, NULL, &first, NULL) == AEL_OK);
    ael_credentials_cache_refused(world.cache, first);
    CU_ASSERT_EQUAL(get(&world), 2);
    ael_credentials_cache_refused(
        world.cache, first); /* told again by a late request: not the present ones */
    CU_ASSERT_EQUAL(get(&world), 2);
    CU_ASSERT_EQUAL(ael_credentials_access_key_id(first).len, 5); /* a holder goes on with its own */
    ael_credentials_release(first);
    end(&world);
}

static int get_other(struct world *world, const struct ael_credentials *refused) {
    struct ael_credentials *credentials = NULL;
    enum ael_status status =
        ael_credentials_cache_get_other(world->cache, NULL, refused, &credentials, &world->err);
    if (status != AEL_OK) {
        return -(int)status;
    }
    struct ael_bytes id = ael_credentials_access_key_id(credentials);
    int number = id.data[4] - '0';
    ael_credentials_release(credentials);
    return number;
}

/* One of several services refused them: the others go on with them while there are no others. */
static void test_cache_get_other__gives_what_another_service_refused_until_the_end(void) {
    struct world world;
    struct ael_credentials *first = NULL;
    begin(&world, 3600);
    CU_ASSERT_FATAL(ael_credentials_cache_get(world.cache, NULL, &first, NULL) == AEL_OK);
    atomic_store(&world.source.fail, AEL_E_UNREACHABLE);
    ael_credentials_cache_refused(world.cache, first);
    CU_ASSERT_EQUAL(get_other(&world, first), -(int)AEL_E_UNREACHABLE);
    CU_ASSERT_STRING_EQUAL(world.err.detail, "failure 2");
    CU_ASSERT_EQUAL(get_other(&world, NULL), 1);
    CU_ASSERT_EQUAL(get_other(&world, NULL), 1);
    CU_ASSERT_EQUAL(atomic_load(&world.source.fetches), 2); /* not for each call */
    CU_ASSERT_EQUAL(get(&world), -(int)AEL_E_UNREACHABLE);
    ael_clock_advance_for_test(31);
    CU_ASSERT_EQUAL(get_other(&world, NULL), 1);
    CU_ASSERT_EQUAL(atomic_load(&world.source.fetches), 4);
    ael_clock_advance_for_test(3600);
    CU_ASSERT_EQUAL(get_other(&world, NULL), -(int)AEL_E_UNREACHABLE);
    atomic_store(&world.source.fail, AEL_OK);
    CU_ASSERT_EQUAL(get_other(&world, first), 6);
    CU_ASSERT_EQUAL(get_other(&world, NULL), 6);
    ael_credentials_release(first);
    end(&world);
}

/* ---- several callers ---- */

struct caller {
    pthread_t thread;
    struct world *world;
    const struct ael_call *call;
    int got;
};

static void *run_caller(void *context) {
    struct caller *caller = context;
    struct world own = {.cache = caller->world->cache};
    caller->got = number_of(&own, caller->call);
    return NULL;
}

static void start(struct caller *callers, size_t count, struct world *world) {
    for (size_t i = 0; i < count; i++) {
        callers[i] = (struct caller){.world = world};
        CU_ASSERT_FATAL(pthread_create(&callers[i].thread, NULL, run_caller, &callers[i]) == 0);
    }
}

static void join(struct caller *callers, size_t count) {
    for (size_t i = 0; i < count; i++) {
        (void)pthread_join(callers[i].thread, NULL);
    }
}

static void wait_inside(const struct world *world) {
    while (atomic_load(&world->source.inside) == 0) {
        (void)sched_yield();
    }
}

static void test_cache_get__lets_one_fetch_for_all(void) {
    struct world world;
    struct caller callers[16];
    begin(&world, 0);
    atomic_store(&world.source.hold, true);
    start(callers, 16, &world);
    wait_inside(&world);
    atomic_store(&world.source.hold, false);
    join(callers, 16);
    for (size_t i = 0; i < 16; i++) {
        CU_ASSERT_EQUAL(callers[i].got, 1);
    }
    CU_ASSERT_EQUAL(atomic_load(&world.source.fetches), 1);
    end(&world);
}

static void test_cache_get__goes_on_with_the_old_while_one_refreshes(void) {
    struct world world;
    struct caller refresher;
    begin(&world, 3600);
    CU_ASSERT_EQUAL(get(&world), 1);
    ael_clock_advance_for_test(3400);
    atomic_store(&world.source.hold, true);
    start(&refresher, 1, &world);
    wait_inside(&world);
    for (int i = 0; i < 100; i++) {
        CU_ASSERT_EQUAL(get(&world), 1); /* at once, though the source hangs */
    }
    atomic_store(&world.source.hold, false);
    join(&refresher, 1);
    CU_ASSERT_EQUAL(refresher.got, 2);
    CU_ASSERT_EQUAL(get(&world), 2);
    end(&world);
}

static void test_cache_get__leaves_its_call_time_while_there_are_old_ones(void) {
    struct world world;
    struct caller refresher;
    struct ael_call call = AEL_CALL_INIT;
    begin(&world, 3600);
    CU_ASSERT_EQUAL(get(&world), 1);
    ael_clock_advance_for_test(3400);
    atomic_store(&world.source.hold, true);
    call.deadline_ns = ael_deadline_in_ms(20000);
    refresher = (struct caller){.world = &world, .call = &call};
    CU_ASSERT_FATAL(pthread_create(&refresher.thread, NULL, run_caller, &refresher) == 0);
    wait_inside(&world);
    ael_clock_advance_for_test(11);
    for (int i = 0; i < 2000 && atomic_load(&world.source.inside) != 0; i++) {
        (void)poll(NULL, 0, 1);
    }
    CU_ASSERT_EQUAL(atomic_load(&world.source.inside), 0);
    atomic_store(&world.source.hold, false);
    join(&refresher, 1);
    CU_ASSERT_EQUAL(refresher.got, 1);
    CU_ASSERT_EQUAL(ael_call_check(&call), AEL_OK);
    end(&world);
}

/* What there was ends while one fetches in half of its time: the other half is there to fetch in. */
static void test_cache_get__takes_its_whole_time_when_the_old_ones_end_meanwhile(void) {
    struct world world;
    struct caller refresher;
    struct ael_call call = AEL_CALL_INIT;
    begin(&world, 3600);
    CU_ASSERT_EQUAL(get(&world), 1);
    ael_clock_advance_for_test(3400);
    atomic_store(&world.source.hold, true);
    call.deadline_ns = ael_deadline_in_ms(600000);
    refresher = (struct caller){.world = &world, .call = &call};
    CU_ASSERT_FATAL(pthread_create(&refresher.thread, NULL, run_caller, &refresher) == 0);
    wait_inside(&world);
    ael_clock_advance_for_test(301);
    for (int i = 0; i < 2000 && atomic_load(&world.source.fetches) < 3; i++) {
        (void)poll(NULL, 0, 1);
    }
    atomic_store(&world.source.hold, false);
    join(&refresher, 1);
    CU_ASSERT_EQUAL(refresher.got, 3);
    end(&world);
}

static void test_cache_get__shares_a_failure_but_no_deadline(void) {
    struct world world;
    struct caller callers[8];
    begin(&world, 0);
    atomic_store(&world.source.hold, true);
    atomic_store(&world.source.fail, AEL_E_BACKEND);
    start(callers, 8, &world);
    wait_inside(&world);
    atomic_store(&world.source.hold, false);
    join(callers, 8);
    for (size_t i = 0; i < 8; i++) {
        CU_ASSERT_EQUAL(callers[i].got, -(int)AEL_E_BACKEND);
    }
    end(&world);

    begin(&world, 0);
    ael_clock_reset_for_test();
    struct ael_call call = AEL_CALL_INIT;
    struct caller waiter;
    atomic_store(&world.source.hold, true);
    start(&waiter, 1, &world); /* fetches */
    wait_inside(&world);
    call.deadline_ns = ael_deadline_in_ms(30);
    CU_ASSERT_EQUAL(number_of(&world, &call), -(int)AEL_E_TIMEOUT); /* who waits keeps to its own deadline */
    atomic_store(&world.source.hold, false);
    join(&waiter, 1);
    CU_ASSERT_EQUAL(waiter.got, 1);
    end(&world);
}

static void *ask_until_given(void *context) {
    struct caller *caller = context;
    struct world own = {.cache = caller->world->cache};
    while (caller->got <= 0) {
        caller->got = get(&own);
    }
    atomic_store(&caller->world->source.has_given, true);
    return NULL;
}

/* Tells by a negative number that it got a failure, and that others had credentials by then. */
static void *ask_beside_others(void *context) {
    struct caller *caller = context;
    struct world own = {.cache = caller->world->cache};
    int got = get(&own);
    caller->got = got > 0 || !atomic_load(&caller->world->source.has_given) ? 1 : got;
    return NULL;
}

static void test_cache_get__shares_no_failure_that_another_fetch_made_good(void) {
    enum { ROUNDS = 50, ASKERS = 6, PERSISTENT = 2 };
    int late = 0; /* a few: others may get credentials between a failure and the look whether they did */
    for (int i = 0; i < ROUNDS; i++) {
        struct world world;
        struct caller callers[ASKERS];
        begin(&world, 0);
        atomic_store(&world.source.hold, true);
        atomic_store(&world.source.fails_once, true);
        for (int k = 0; k < ASKERS; k++) {
            callers[k] = (struct caller){.world = &world};
            void *(*ask)(void *) = k < PERSISTENT ? ask_until_given : ask_beside_others;
            CU_ASSERT_FATAL(pthread_create(&callers[k].thread, NULL, ask, &callers[k]) == 0);
        }
        wait_inside(&world);
        (void)poll(NULL, 0, 2); /* the others come */
        atomic_store(&world.source.hold, false);
        join(callers, ASKERS);
        for (int k = 0; k < ASKERS; k++) {
            late += callers[k].got <= 0;
        }
        end(&world);
    }
    CU_ASSERT(late < ROUNDS);
}

static void test_cache_get__hands_a_cancelled_fetch_to_another(void) {
    struct world world;
    struct ael_call call = AEL_CALL_INIT;
    struct ael_cancel *cancel = NULL;
    struct caller other;
    CU_ASSERT_FATAL(ael_cancel_new(&cancel) == AEL_OK);
    begin(&world, 0);
    call.cancel = cancel;
    ael_cancel_trigger(cancel);
    atomic_store(&world.source.hold, true);
    CU_ASSERT_EQUAL(number_of(&world, &call), -(int)AEL_E_CANCELLED);
    start(&other, 1, &world);
    wait_inside(&world);
    atomic_store(&world.source.hold, false);
    join(&other, 1);
    CU_ASSERT_EQUAL(other.got, 2);
    end(&world);
    ael_cancel_free(cancel);
}

static struct world *s_world;

static int get_in_child(void) {
    atomic_store(&s_world->source.hold, false);
    return get(s_world) == 3 ? 0 : 1; /* the fetch of the thread that is not here is over: an own one */
}

static void test_cache_get__works_in_a_child_of_a_fork_in_a_fetch(void) {
    struct world world;
    struct caller refresher;
    begin(&world, 3600);
    s_world = &world;
    CU_ASSERT_EQUAL(get(&world), 1);
    ael_clock_advance_for_test(3600);
    atomic_store(&world.source.hold, true);
    start(&refresher, 1, &world);
    wait_inside(&world);
    CU_ASSERT_EQUAL(child_run(get_in_child), 0);
    atomic_store(&world.source.hold, false);
    join(&refresher, 1);
    CU_ASSERT_EQUAL(refresher.got, 2);
    end(&world);
}

static int fail_at(void *context) {
    int *left = context;
    return (*left)-- == 0;
}

static void test_cache__survives_failed_allocations(void) {
    for (int i = 0; i < 4; i++) {
        struct ael_credentials_cache *cache = NULL;
        struct source source;
        int left = i;
        memset(&source, 0, sizeof source);
        ael_alloc_set_fault(fail_at, &left);
        enum ael_status status = ael_credentials_cache_new(fetch, &source, &cache);
        ael_alloc_set_fault(NULL, NULL);
        CU_ASSERT(status == AEL_OK || (status == AEL_E_NO_MEMORY && cache == NULL));
        ael_credentials_cache_free(cache);
    }
}

static const struct test_case k_cases[] = {
    {"what has no end is fetched once", test_cache_get__fetches_once_and_keeps},
    {"a refresh comes ahead of the end", test_cache_get__refreshes_ahead_of_the_end},
    {"failed refreshes are survived until the end", test_cache_get__survives_failed_refreshes_until_the_end},
    {"what has ended already is refused", test_cache_get__refuses_what_has_ended_already},
    {"refused credentials are fetched anew", test_cache_refused__makes_the_next_caller_fetch},
    {"what another service refused",
     test_cache_get_other__gives_what_another_service_refused_until_the_end},
    {"one fetches for all", test_cache_get__lets_one_fetch_for_all},
    {"others go on with the old ones", test_cache_get__goes_on_with_the_old_while_one_refreshes},
    {"a refresh that hangs leaves its call time",
     test_cache_get__leaves_its_call_time_while_there_are_old_ones},
    {"old ones that end meanwhile", test_cache_get__takes_its_whole_time_when_the_old_ones_end_meanwhile},
    {"a failure is shared, a deadline is not", test_cache_get__shares_a_failure_but_no_deadline},
    {"a failure that was made good is not shared",
     test_cache_get__shares_no_failure_that_another_fetch_made_good},
    {"a cancelled fetch goes to another", test_cache_get__hands_a_cancelled_fetch_to_another},
    {"a child of a fork in a fetch fetches for itself",
     test_cache_get__works_in_a_child_of_a_fork_in_a_fetch},
    {"failed allocations are survived", test_cache__survives_failed_allocations},
};
TEST_SUITE_MAIN("credentials_cache", k_cases)
