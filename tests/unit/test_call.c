/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/suite.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <ael/call.h>

static int refuse(void *context) {
    (void)context;
    return 1;
}

static void test_ael_deadline_in_ms__lies_that_far_ahead(void) {
    ael_clock_set_for_test(0, 1000);
    CU_ASSERT_EQUAL(ael_deadline_in_ms(0), 1000);
    CU_ASSERT_EQUAL(ael_deadline_in_ms(7), 7001000);
    CU_ASSERT_EQUAL(ael_deadline_in_ms(UINT32_MAX), INT64_C(4294967295000000) + 1000);
    ael_clock_set_for_test(0, 0);
    struct ael_call call = AEL_CALL_INIT;
    call.deadline_ns = ael_deadline_in_ms(0);
    CU_ASSERT_EQUAL(ael_call_check(&call), AEL_E_TIMEOUT);
    ael_clock_reset_for_test();
}

static void test_ael_call_check__ends_at_the_deadline(void) {
    struct ael_call call = AEL_CALL_INIT;
    CU_ASSERT_EQUAL(ael_call_check(NULL), AEL_OK);
    CU_ASSERT_EQUAL(ael_call_check(&call), AEL_OK);
    ael_clock_set_for_test(0, 1);
    call.deadline_ns = ael_deadline_in_ms(1000);
    CU_ASSERT_EQUAL(ael_call_check(&call), AEL_OK);
    ael_clock_advance_for_test(1);
    CU_ASSERT_EQUAL(ael_call_check(&call), AEL_E_TIMEOUT);
    ael_clock_reset_for_test();
}

static void test_ael_call_remaining_ms__is_zero_only_when_over(void) {
    struct ael_call call = AEL_CALL_INIT;
    CU_ASSERT_EQUAL(ael_call_remaining_ms(NULL), 30000);
    CU_ASSERT_EQUAL(ael_call_remaining_ms(&call), 30000);
    ael_clock_set_for_test(0, 1000000000);
    call.deadline_ns = 1000000000;
    CU_ASSERT_EQUAL(ael_call_remaining_ms(&call), 0);
    call.deadline_ns = 1000000001;
    CU_ASSERT_EQUAL(ael_call_remaining_ms(&call), 1);
    call.deadline_ns = 1001000000;
    CU_ASSERT_EQUAL(ael_call_remaining_ms(&call), 1);
    call.deadline_ns = 1001000001;
    CU_ASSERT_EQUAL(ael_call_remaining_ms(&call), 2);
    call.deadline_ns = INT64_MAX;
    CU_ASSERT_EQUAL(ael_call_remaining_ms(&call), UINT32_MAX);
    call.deadline_ns = -5;
    CU_ASSERT_EQUAL(ael_call_remaining_ms(&call), 0);
    ael_clock_reset_for_test();
}

static void test_ael_cancel_trigger__cuts_calls_short(void) {
    struct ael_cancel *cancel = NULL;
    CU_ASSERT_EQUAL_FATAL(ael_cancel_new(&cancel), AEL_OK);
    struct ael_call call = AEL_CALL_INIT;
    call.cancel = cancel;
    CU_ASSERT_EQUAL(ael_call_check(&call), AEL_OK);
    ael_cancel_trigger(cancel);
    ael_cancel_trigger(cancel);
    CU_ASSERT_EQUAL(ael_call_check(&call), AEL_E_CANCELLED);
    call.deadline_ns = 1;
    CU_ASSERT_EQUAL(ael_call_check(&call), AEL_E_CANCELLED);
    ael_cancel_trigger(NULL);
    ael_cancel_free(cancel);
    ael_cancel_free(NULL);
}

static void test_ael_cancel_new__refuses_null_and_reports_no_memory(void) {
    struct ael_cancel *cancel = NULL;
    CU_ASSERT_EQUAL(ael_cancel_new(NULL), AEL_E_ARGUMENT);
    ael_alloc_set_fault(refuse, NULL);
    CU_ASSERT_EQUAL(ael_cancel_new(&cancel), AEL_E_NO_MEMORY);
    ael_alloc_set_fault(NULL, NULL);
    CU_ASSERT_PTR_NULL(cancel);
}

static const struct test_case k_cases[] = {
    {"a deadline lies that far ahead", test_ael_deadline_in_ms__lies_that_far_ahead},
    {"a call ends at its deadline", test_ael_call_check__ends_at_the_deadline},
    {"what remains is zero only when over", test_ael_call_remaining_ms__is_zero_only_when_over},
    {"a token cuts calls short", test_ael_cancel_trigger__cuts_calls_short},
    {"a token needs a place and memory", test_ael_cancel_new__refuses_null_and_reports_no_memory},
};

TEST_SUITE_MAIN("call", k_cases)
