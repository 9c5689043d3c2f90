/*
 * tests/unit/test_kms_aws_hedge.c - two regions of which one is slow, and one that is down, on a clock that the test sets:
 * nothing passes but what the test lets pass.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/clock.h"
#include "tests/support/aws_kms_server.h"
#include "tests/support/suite.h"

#include <ael/hooks.h>
#include <ael/sys/kms_backend.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

enum { HEDGE_MS = 50, EAST_MS = 10, MS_NS = 1000000 };

/* ---- a world ---- */

static atomic_int s_hedges;
static atomic_int s_won;
static atomic_int s_opened;
static atomic_int s_half_opened;
static atomic_int s_closed;

static void hear(void *context, enum ael_metric_kind kind, const char *name, int64_t value) {
    static const struct {
        const char *name;
        atomic_int *count;
    } k_counts[] = {
        {"ael.kms.aws.hedge", &s_hedges},          {"ael.kms.aws.hedge_won", &s_won},
        {"ael.kms.aws.breaker_opened", &s_opened}, {"ael.kms.aws.breaker_half_opened", &s_half_opened},
        {"ael.kms.aws.breaker_closed", &s_closed},
    };
    (void)context;
    (void)kind;
    (void)value;
    for (size_t i = 0; i < sizeof k_counts / sizeof k_counts[0]; i++) {
        atomic_fetch_add(k_counts[i].count, strcmp(name, k_counts[i].name) == 0 ? 1 : 0);
    }
}

static struct ael_kms *s_kms;
static struct ael_buf s_sealed = AEL_BUF_INIT;
static _Atomic int64_t s_now_ns;

static void pass_ms(int64_t ms) {
    int64_t now_ns = atomic_fetch_add(&s_now_ns, ms * MS_NS) + ms * MS_NS;
    ael_clock_set_for_test(time(NULL), now_ns);
}

static void world_begin(size_t regions, void (*more)(struct ael_kms_aws_options *options)) {
    struct ael_hooks hooks = AEL_HOOKS_INIT;
    struct ael_secret *key = NULL;
    hooks.metric = hear;
    CU_ASSERT_FATAL(aws_kms_server(false) != NULL);
    aws_kms_server_reset();
    CU_ASSERT_FATAL(ael_hooks_set(&hooks) == AEL_OK);
    CU_ASSERT_FATAL(aws_kms_new(regions, more, &s_kms, NULL) == AEL_OK);
    CU_ASSERT_FATAL(ael_secret_new_random(32, &key) == AEL_OK);
    CU_ASSERT_FATAL(ael_kms_encrypt_key(s_kms, NULL, key, &s_sealed, NULL) == AEL_OK);
    ael_secret_release(key);
    atomic_store(&s_now_ns, ael_clock_boot_ns());
    pass_ms(0);
    atomic_store(&s_hedges, 0);
    atomic_store(&s_won, 0);
    atomic_store(&s_opened, 0);
    atomic_store(&s_half_opened, 0);
    atomic_store(&s_closed, 0);
}

static void world_end(void) {
    ael_clock_reset_for_test();
    aws_kms_server_reset();
    ael_buf_clear(&s_sealed);
    ael_kms_release(s_kms);
    CU_ASSERT_EQUAL(ael_hooks_set(NULL), AEL_OK);
}

static enum ael_status open_sealed(void) {
    struct ael_secret *back = NULL;
    enum ael_status status = ael_kms_decrypt_key(s_kms, NULL, ael_buf_view(&s_sealed), &back, NULL);
    ael_secret_release(back);
    return status;
}

static unsigned decrypts(int place) {
    return aws_kms_server_count(place, "Decrypt");
}

/* ---- hedging: west takes longer than anybody waits, east EAST_MS ---- */

/*
 * What happens while a call is under way; the caller leaves the server alone meanwhile. Whoever is asked has counted it before
 * anyone answers: a request that nobody waits for any more is not counted late, as one of the next call's.
 */
struct course {
    bool west;      /* is asked */
    bool west_wins; /* else east answers */
    int64_t until_hedge_ms;
    int64_t answer_ms;
    unsigned west_before;
    unsigned east_before;
};

/* Not for ever: what is not asked for in a minute is missed by the test, which then fails. */
static void wait_for_more(int place, unsigned before) {
    time_t give_up = time(NULL) + 60;
    while (decrypts(place) == before && time(NULL) < give_up) {
        (void)sched_yield();
    }
}

static void *run_course(void *context) {
    const struct course *course = context;
    if (course->west) {
        wait_for_more(AWS_WEST, course->west_before);
    }
    pass_ms(course->until_hedge_ms);
    wait_for_more(AWS_EAST, course->east_before);
    bool east = decrypts(AWS_EAST) > course->east_before; /* if not, the test fails, but ends */
    pass_ms(course->answer_ms);
    aws_kms_server_set(east && !course->west_wins ? AWS_EAST : AWS_WEST, "open");
    return NULL;
}

/* Returns how long the call took, in milliseconds. */
static int64_t open_meanwhile(struct course course) {
    pthread_t thread;
    aws_kms_server_set(AWS_WEST, "hang");
    aws_kms_server_set(AWS_EAST, "hang");
    course.west_before = decrypts(AWS_WEST);
    course.east_before = decrypts(AWS_EAST);
    int64_t begun_ns = atomic_load(&s_now_ns);
    CU_ASSERT_FATAL(pthread_create(&thread, NULL, run_course, &course) == 0);
    CU_ASSERT_EQUAL(open_sealed(), AEL_OK);
    CU_ASSERT_EQUAL(pthread_join(thread, NULL), 0);
    CU_ASSERT_EQUAL(decrypts(AWS_EAST), course.east_before + 1);
    CU_ASSERT_EQUAL(decrypts(AWS_WEST), course.west_before + (course.west ? 1 : 0));
    return (atomic_load(&s_now_ns) - begun_ns) / MS_NS;
}

static void with_hedging(struct ael_kms_aws_options *options) {
    options->no_hedging = false;
    options->hedge_delay_ms = HEDGE_MS;
}

static void lose_three_times(void) {
    for (int i = 0; i < 3; i++) {
        int64_t took_ms =
            open_meanwhile((struct course){.west = true, .until_hedge_ms = HEDGE_MS, .answer_ms = EAST_MS});
        CU_ASSERT(took_ms * 10 <= HEDGE_MS * 10 + EAST_MS * 11);
        CU_ASSERT_EQUAL(atomic_load(&s_hedges), i + 1);
        CU_ASSERT_EQUAL(atomic_load(&s_won), i + 1);
    }
}

static void test_kms_aws_decrypt__costs_a_hedge_at_first_and_nothing_from_the_fifth_call_on(void) {
    world_begin(2, with_hedging);
    lose_three_times();
    /* East goes first now, and west has its chance beside it. */
    CU_ASSERT_EQUAL(open_meanwhile((struct course){.west = true, .answer_ms = EAST_MS - 1}), EAST_MS - 1);
    for (int i = 5; i < 9; i++) {
        int64_t took_ms = open_meanwhile((struct course){.answer_ms = EAST_MS - 1});
        CU_ASSERT(took_ms * 10 <= EAST_MS * 15);
    }
    CU_ASSERT_EQUAL(atomic_load(&s_hedges), 3);
    world_end();
}

static void test_kms_aws_decrypt__puts_a_region_first_again_when_a_probe_wins(void) {
    world_begin(2, with_hedging);
    lose_three_times();
    (void)open_meanwhile((struct course){.west = true, .west_wins = true});
    aws_kms_server_reset();
    unsigned west = decrypts(AWS_WEST);
    unsigned east = decrypts(AWS_EAST);
    CU_ASSERT_EQUAL(open_sealed(), AEL_OK);
    CU_ASSERT_EQUAL(decrypts(AWS_WEST), west + 1);
    CU_ASSERT_EQUAL(decrypts(AWS_EAST), east);
    CU_ASSERT_EQUAL(atomic_load(&s_won), 3); /* who is asked at the same time loses no hedge */
    world_end();
}

static void test_kms_aws_decrypt__probes_a_slow_region_every_ten_seconds_alone(void) {
    world_begin(2, with_hedging);
    lose_three_times();
    for (int i = 0; i < 3; i++) {
        (void)open_meanwhile((struct course){.west = true, .answer_ms = 1});
        (void)open_meanwhile((struct course){.answer_ms = 1});
        pass_ms(9000);
        (void)open_meanwhile((struct course){.answer_ms = 1});
        pass_ms(1000);
    }
    world_end();
}

/* The hedge comes after the smaller 95th percentile of what the regions took, once there are figures. */
static void test_kms_aws_decrypt__hedges_after_what_is_usual(void) {
    world_begin(2, with_hedging);
    aws_kms_server_set(AWS_EAST, "open");
    lose_three_times();
    (void)open_meanwhile((struct course){.west = true, .answer_ms = EAST_MS});
    pass_ms(10000);
    (void)open_meanwhile(
        (struct course){.west = true, .west_wins = true}); /* the probe: west goes first again */
    int64_t took_ms =
        open_meanwhile((struct course){.west = true, .until_hedge_ms = EAST_MS, .answer_ms = EAST_MS});
    CU_ASSERT_EQUAL(took_ms, 2 * EAST_MS);
    world_end();
}

/* West fails at once, and east is asked for that: no hedge was begun, and none is won. */
static void test_kms_aws_decrypt__counts_no_hedge_where_a_region_has_failed(void) {
    world_begin(2, with_hedging);
    aws_kms_server_say(AWS_WEST, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
    for (int i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(open_sealed(), AEL_OK);
    }
    CU_ASSERT_EQUAL(atomic_load(&s_hedges), 0);
    CU_ASSERT_EQUAL(atomic_load(&s_won), 0);
    world_end();
}

/* ---- the breaker ---- */

static void with_one_try(struct ael_kms_aws_options *options) {
    options->max_tries = 1;
}

static void test_kms_aws__tells_what_its_breaker_does(void) {
    world_begin(1, with_one_try);
    aws_kms_server_say(AWS_WEST, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
    unsigned before = decrypts(AWS_WEST);
    for (int i = 0; i < 10; i++) {
        CU_ASSERT_EQUAL(open_sealed(), AEL_E_UNREACHABLE);
        CU_ASSERT_EQUAL(atomic_load(&s_opened), i < 4 ? 0 : 1);
    }
    CU_ASSERT_EQUAL(decrypts(AWS_WEST), before + 5);
    pass_ms(1000);
    CU_ASSERT_EQUAL(open_sealed(), AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(decrypts(AWS_WEST), before + 6);
    CU_ASSERT_EQUAL(atomic_load(&s_half_opened), 1);
    CU_ASSERT_EQUAL(atomic_load(&s_opened), 2);
    aws_kms_server_set(AWS_WEST, "open");
    CU_ASSERT_EQUAL(open_sealed(), AEL_E_UNREACHABLE); /* nobody asks yet */
    pass_ms(2000);
    CU_ASSERT_EQUAL(open_sealed(), AEL_OK);
    CU_ASSERT_EQUAL(open_sealed(), AEL_OK);
    CU_ASSERT_EQUAL(atomic_load(&s_half_opened), 2);
    CU_ASSERT_EQUAL(atomic_load(&s_closed), 1);
    world_end();
}

static const struct test_case k_cases[] = {
    {"a slow region costs a hedge at first",
     test_kms_aws_decrypt__costs_a_hedge_at_first_and_nothing_from_the_fifth_call_on},
    {"a probe that wins", test_kms_aws_decrypt__puts_a_region_first_again_when_a_probe_wins},
    {"a probe every ten seconds", test_kms_aws_decrypt__probes_a_slow_region_every_ten_seconds_alone},
    {"a hedge after what is usual", test_kms_aws_decrypt__hedges_after_what_is_usual},
    {"a failure is no hedge", test_kms_aws_decrypt__counts_no_hedge_where_a_region_has_failed},
    {"the breaker tells what it does", test_kms_aws__tells_what_its_breaker_does},
};

TEST_SUITE_MAIN("kms aws hedge", k_cases)
