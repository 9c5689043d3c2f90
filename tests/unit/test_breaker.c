/*
 * tests/unit/test_breaker.c - kms/remote/breaker.h.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kms/remote/breaker.h"

#include "base/clock.h"
#include "tests/support/child.h"
#include "tests/support/suite.h"

#include <ael/hooks.h>
#include <string.h>

static const struct ael_breaker_names k_names = {"opened", "half_opened", "closed"};
static char s_events[64];

static void hear(void *context, enum ael_metric_kind kind, const char *name, int64_t value) {
    (void)context;
    if (kind == AEL_METRIC_COUNTER && value == 1 && strlen(s_events) + 2 < sizeof s_events) {
        strncat(s_events, name, 1);
    }
}

static void begin(struct ael_breaker *breaker) {
    struct ael_hooks hooks = AEL_HOOKS_INIT;
    hooks.metric = hear;
    s_events[0] = '\0';
    CU_ASSERT_EQUAL_FATAL(ael_hooks_set(&hooks), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_breaker_init(breaker, &k_names), AEL_OK);
    ael_clock_set_for_test(1700000000, INT64_C(1000000000000));
}

static void end(struct ael_breaker *breaker, const char *events) {
    CU_ASSERT_STRING_EQUAL(s_events, events);
    ael_clock_reset_for_test();
    ael_breaker_clear(breaker);
    CU_ASSERT_EQUAL(ael_hooks_set(NULL), AEL_OK);
}

static void call(struct ael_breaker *breaker, enum ael_breaker_end how) {
    uint32_t number = ael_breaker_begin(breaker);
    CU_ASSERT_NOT_EQUAL(number, 0);
    ael_breaker_end(breaker, number, how);
}

static void fail_until_open(struct ael_breaker *breaker) {
    for (int i = 0; i < AEL_BREAKER_FAILURES; i++) {
        CU_ASSERT_EQUAL(ael_breaker_state(breaker), AEL_BREAKER_CLOSED);
        call(breaker, AEL_BREAKER_BAD);
    }
    CU_ASSERT_EQUAL(ael_breaker_state(breaker), AEL_BREAKER_OPEN);
    CU_ASSERT_TRUE(ael_breaker_begin(breaker) == 0);
}

static void test_breaker__opens_after_failures_in_a_row_alone(void) {
    struct ael_breaker breaker;
    begin(&breaker);
    for (int i = 0; i < 3 * AEL_BREAKER_FAILURES; i++) {
        call(
            &breaker,
            i % AEL_BREAKER_FAILURES == AEL_BREAKER_FAILURES - 1 ? AEL_BREAKER_GOOD : AEL_BREAKER_BAD);
        call(&breaker, AEL_BREAKER_GIVEN_UP);
    }
    CU_ASSERT_EQUAL(ael_breaker_state(&breaker), AEL_BREAKER_CLOSED);
    fail_until_open(&breaker);
    end(&breaker, "o");
}

static void test_breaker__lets_one_try_and_closes_when_that_is_good(void) {
    struct ael_breaker breaker;
    begin(&breaker);
    fail_until_open(&breaker);
    ael_clock_advance_for_test(1);
    uint32_t number = ael_breaker_begin(&breaker);
    CU_ASSERT_NOT_EQUAL(number, 0);
    CU_ASSERT_EQUAL(ael_breaker_state(&breaker), AEL_BREAKER_HALF_OPEN);
    CU_ASSERT_TRUE(ael_breaker_begin(&breaker) == 0);
    ael_breaker_end(&breaker, number, AEL_BREAKER_GOOD);
    CU_ASSERT_EQUAL(ael_breaker_state(&breaker), AEL_BREAKER_CLOSED);
    fail_until_open(&breaker);
    end(&breaker, "ohco");
}

static void test_breaker__waits_longer_each_time_it_is_bad_again(void) {
    struct ael_breaker breaker;
    begin(&breaker);
    fail_until_open(&breaker);
    for (int wait_s = 1; wait_s <= 16; wait_s *= 2) {
        ael_clock_advance_for_test(wait_s - 1);
        CU_ASSERT(wait_s == 1 || ael_breaker_begin(&breaker) == 0);
        ael_clock_advance_for_test(1);
        call(&breaker, AEL_BREAKER_BAD);
    }
    ael_clock_advance_for_test(29);
    CU_ASSERT_TRUE(ael_breaker_begin(&breaker) == 0);
    ael_clock_advance_for_test(1);
    call(&breaker, AEL_BREAKER_BAD);
    ael_clock_advance_for_test(30);
    call(&breaker, AEL_BREAKER_GOOD);
    CU_ASSERT_EQUAL(ael_breaker_state(&breaker), AEL_BREAKER_CLOSED);
    end(&breaker, "ohohohohohohohc");
}

static void test_breaker__does_not_wait_for_a_trial_that_was_given_up(void) {
    struct ael_breaker breaker;
    begin(&breaker);
    fail_until_open(&breaker);
    ael_clock_advance_for_test(1);
    call(&breaker, AEL_BREAKER_GIVEN_UP);
    CU_ASSERT_TRUE(ael_breaker_begin(&breaker) != 0); /* and this one is never heard of */
    CU_ASSERT_TRUE(ael_breaker_begin(&breaker) == 0);
    ael_clock_advance_for_test(60);
    CU_ASSERT_TRUE(ael_breaker_begin(&breaker) != 0);
    end(&breaker, "ohhh");
}

static struct ael_breaker *s_breaker;

/* Whose call tries is not here: another one does, and one alone. */
static int try_in_child(void) {
    uint32_t number = ael_breaker_begin(s_breaker);
    if (number == 0 || ael_breaker_begin(s_breaker) != 0) {
        return 1;
    }
    ael_breaker_end(s_breaker, number, AEL_BREAKER_GOOD);
    return ael_breaker_state(s_breaker) == AEL_BREAKER_CLOSED ? 0 : 2;
}

static void test_breaker__does_not_wait_in_a_child_for_its_parents_trial(void) {
    struct ael_breaker breaker;
    begin(&breaker);
    fail_until_open(&breaker);
    ael_clock_advance_for_test(1);
    uint32_t trial = ael_breaker_begin(&breaker);
    CU_ASSERT_NOT_EQUAL(trial, 0);
    s_breaker = &breaker;
    CU_ASSERT_EQUAL(child_run(try_in_child), 0);
    CU_ASSERT_TRUE(ael_breaker_begin(&breaker) == 0); /* the parent's goes on */
    ael_breaker_end(&breaker, trial, AEL_BREAKER_GOOD);
    end(&breaker, "ohc");
}

/* Callers of before it opened end while the trial is under way. */
static void test_breaker__leaves_the_trial_alone_when_earlier_calls_end(void) {
    struct ael_breaker breaker;
    begin(&breaker);
    uint32_t earlier[3];
    for (int i = 0; i < 3; i++) {
        earlier[i] = ael_breaker_begin(&breaker);
    }
    fail_until_open(&breaker);
    ael_clock_advance_for_test(1);
    uint32_t trial = ael_breaker_begin(&breaker);
    CU_ASSERT_NOT_EQUAL(trial, 0);
    ael_breaker_end(&breaker, earlier[0], AEL_BREAKER_GIVEN_UP);
    CU_ASSERT_TRUE(ael_breaker_begin(&breaker) == 0);
    ael_breaker_end(&breaker, earlier[1], AEL_BREAKER_BAD);
    CU_ASSERT_EQUAL(ael_breaker_state(&breaker), AEL_BREAKER_HALF_OPEN);
    ael_breaker_end(&breaker, trial, AEL_BREAKER_BAD);
    CU_ASSERT_EQUAL(ael_breaker_state(&breaker), AEL_BREAKER_OPEN);
    ael_clock_advance_for_test(2);
    CU_ASSERT_TRUE(ael_breaker_begin(&breaker) != 0);
    ael_breaker_end(&breaker, trial, AEL_BREAKER_GIVEN_UP); /* an older trial is no other call's */
    CU_ASSERT_TRUE(ael_breaker_begin(&breaker) == 0);
    ael_breaker_end(&breaker, earlier[2], AEL_BREAKER_GOOD); /* it lives */
    CU_ASSERT_EQUAL(ael_breaker_state(&breaker), AEL_BREAKER_CLOSED);
    end(&breaker, "ohohc");
}

static const struct test_case k_cases[] = {
    {"it opens after failures in a row alone", test_breaker__opens_after_failures_in_a_row_alone},
    {"one call tries, and closes it", test_breaker__lets_one_try_and_closes_when_that_is_good},
    {"it waits longer each time", test_breaker__waits_longer_each_time_it_is_bad_again},
    {"earlier calls leave the trial alone", test_breaker__leaves_the_trial_alone_when_earlier_calls_end},
    {"a child does not wait for its parent's trial",
     test_breaker__does_not_wait_in_a_child_for_its_parents_trial},
    {"a trial that was given up", test_breaker__does_not_wait_for_a_trial_that_was_given_up},
};

TEST_SUITE_MAIN("breaker", k_cases)
