/*
 * test_sql_wait.c - waits for a descriptor: what comes at once, calls that are over, servers that are silent.
 * The clock is set, so that it moves when a test moves it.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "metastore/sql/sql_wait.h"

#include "base/clock.h"
#include "tests/support/suite.h"

#include <poll.h>
#include <unistd.h>

enum { WALL_S = 1700000000, SECOND_MS = 1000 };

static const int64_t k_boot_ns = INT64_C(5000000000);

static int s_ends[2];

static void begin(void) {
    ael_clock_set_for_test(WALL_S, k_boot_ns);
    CU_ASSERT_EQUAL_FATAL(pipe(s_ends), 0);
}

static void end(void) {
    (void)close(s_ends[0]);
    (void)close(s_ends[1]);
    ael_clock_reset_for_test();
}

static void answer(void) {
    CU_ASSERT_EQUAL(write(s_ends[1], "x", 1), 1);
}

static enum ael_status wait_for(struct ael_sql_wait *wait) {
    return ael_sql_wait_for(wait, s_ends[0], POLLIN);
}

static void test_sql_wait_for__ends_with_the_event(void) {
    struct ael_call call = AEL_CALL_INIT;
    begin();
    call.deadline_ns = ael_deadline_in_ms(SECOND_MS);
    struct ael_sql_wait wait = ael_sql_wait_begin(&call, SECOND_MS, NULL);
    struct ael_sql_wait of_no_call = ael_sql_wait_begin(NULL, SECOND_MS, NULL);
    answer();
    CU_ASSERT_EQUAL(wait_for(&wait), AEL_OK);
    CU_ASSERT_EQUAL(wait_for(&wait), AEL_OK); /* for what comes later of the same answer */
    CU_ASSERT_EQUAL(wait_for(&of_no_call), AEL_OK);
    end();
}

static void test_sql_wait_for__is_over_with_the_call(void) {
    struct ael_call call = AEL_CALL_INIT;
    struct ael_cancel *cancel = NULL;
    begin();
    answer(); /* whoever is over is over, whatever has come */
    call.deadline_ns = ael_deadline_in_ms(0);
    struct ael_sql_wait wait = ael_sql_wait_begin(&call, SECOND_MS, NULL);
    CU_ASSERT_EQUAL(wait_for(&wait), AEL_E_TIMEOUT);
    call.deadline_ns = 0;
    CU_ASSERT_EQUAL_FATAL(ael_cancel_new(&cancel), AEL_OK);
    call.cancel = cancel;
    CU_ASSERT_EQUAL(wait_for(&wait), AEL_OK);
    ael_cancel_trigger(cancel);
    CU_ASSERT_EQUAL(wait_for(&wait), AEL_E_CANCELLED);
    ael_cancel_free(cancel);
    end();
}

static void test_sql_wait_for__calls_a_silent_server_unreachable(void) {
    begin();
    struct ael_sql_wait wait = ael_sql_wait_begin(NULL, 0, NULL);
    CU_ASSERT_EQUAL(wait_for(&wait), AEL_E_UNREACHABLE);
    wait = ael_sql_wait_until(NULL, k_boot_ns);
    CU_ASSERT_EQUAL(wait_for(&wait), AEL_E_UNREACHABLE);
    wait = ael_sql_wait_until(NULL, k_boot_ns + 1);
    answer();
    CU_ASSERT_EQUAL(wait_for(&wait), AEL_OK);
    end();
}

/* The instant that a wait began with serves until the thread slept, and not longer. */
static void test_sql_wait_for__looks_at_the_clock_again_after_it_slept(void) {
    struct ael_call call = AEL_CALL_INIT;
    begin();
    call.deadline_ns = ael_deadline_in_ms(SECOND_MS);
    struct ael_sql_wait of_call = ael_sql_wait_begin(&call, 10 * SECOND_MS, NULL);
    struct ael_sql_wait of_server = ael_sql_wait_begin(NULL, SECOND_MS, NULL);
    struct ael_sql_wait answered = ael_sql_wait_begin(&call, 10 * SECOND_MS, NULL);
    ael_clock_advance_for_test(2);
    CU_ASSERT_EQUAL(wait_for(&of_call), AEL_E_TIMEOUT);
    CU_ASSERT_EQUAL(wait_for(&of_server), AEL_E_UNREACHABLE);
    answer();
    CU_ASSERT_EQUAL(wait_for(&answered), AEL_OK); /* it was there in time, for all that is known */
    CU_ASSERT_EQUAL(wait_for(&answered), AEL_E_TIMEOUT);
    end();
}

/* What was waited for before counts from its own look; what the lender saw serves once. */
static void test_sql_wait_begin__begins_when_the_connection_was_lent(void) {
    begin();
    struct ael_sql_look look = {k_boot_ns, true};
    ael_clock_advance_for_test(2);
    struct ael_sql_wait first = ael_sql_wait_begin(NULL, SECOND_MS, &look);
    CU_ASSERT_EQUAL(first.until_ns, k_boot_ns + INT64_C(1000000000));
    CU_ASSERT_TRUE(look.ns == k_boot_ns && !look.is_new);
    struct ael_sql_wait second = ael_sql_wait_begin(NULL, SECOND_MS, &look);
    CU_ASSERT_EQUAL(second.until_ns, k_boot_ns + INT64_C(3000000000));
    CU_ASSERT_EQUAL(look.ns, k_boot_ns + INT64_C(2000000000));
    answer();
    CU_ASSERT_EQUAL(wait_for(&second), AEL_OK);
    ael_clock_advance_for_test(2);
    CU_ASSERT_EQUAL(wait_for(&second), AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(look.ns, k_boot_ns + INT64_C(4000000000));
    end();
}

static const struct test_case k_cases[] = {
    {"a wait ends with its event", test_sql_wait_for__ends_with_the_event},
    {"and is over with its call", test_sql_wait_for__is_over_with_the_call},
    {"a silent server is unreachable", test_sql_wait_for__calls_a_silent_server_unreachable},
    {"the first wait begins when it was lent", test_sql_wait_begin__begins_when_the_connection_was_lent},
    {"the clock is looked at after each sleep", test_sql_wait_for__looks_at_the_clock_again_after_it_slept},
};

TEST_SUITE_MAIN("sql_wait", k_cases)
