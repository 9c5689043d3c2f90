/*
 * test_web_store.c - what the stores that are asked over HTTP share: bounds of options, pauses, outcomes nobody knows.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "metastore/web/web_store.h"
#include "tests/support/suite.h"

#include <string.h>

#define EXPECT_REFUSED(member, value)                                                                        \
    do {                                                                                                     \
        struct ael_web_bounds bounds = k_good;                                                               \
        struct ael_error err = {0};                                                                          \
        bounds.member = (value);                                                                             \
        CU_ASSERT_EQUAL(ael_web_bounds_check(&bounds, "test", &err), AEL_E_ARGUMENT);                        \
        CU_ASSERT_EQUAL(err.status, AEL_E_ARGUMENT);                                                         \
        CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, #member));                                                 \
    } while (0)

static void test_web_bounds_check__names_what_is_out_of_bounds(void) {
    static const struct ael_web_bounds k_good = {1, 1, 86400000, 100};
    struct ael_web_bounds least = {1, 1, 1, 0};
    CU_ASSERT_EQUAL(ael_web_bounds_check(&k_good, "test", NULL), AEL_OK);
    CU_ASSERT_EQUAL(ael_web_bounds_check(&least, "test", NULL), AEL_OK);
    EXPECT_REFUSED(max_connections, 0);
    EXPECT_REFUSED(max_connections, UINT32_MAX);
    EXPECT_REFUSED(max_retries, 101);
    EXPECT_REFUSED(connect_timeout_ms, 0);
    EXPECT_REFUSED(connect_timeout_ms, 86400001);
    EXPECT_REFUSED(answer_timeout_ms, 0);
    EXPECT_REFUSED(answer_timeout_ms, 86400001);
}

static void test_web_pause_ms__is_a_part_of_a_bound_that_doubles(void) {
    static const uint32_t k_bounds[] = {50, 100, 200, 400, 800, 1600, 2000, 2000};
    for (uint32_t pauses = 0; pauses < sizeof k_bounds / sizeof k_bounds[0]; pauses++) {
        for (int i = 0; i < 100; i++) {
            uint32_t ms = ael_web_pause_ms(pauses);
            CU_ASSERT_TRUE(ms >= 1 && ms <= k_bounds[pauses]);
        }
    }
    CU_ASSERT_TRUE(ael_web_pause_ms(UINT32_MAX) <= 2000);
}

static void test_web_pause__ends_with_its_call(void) {
    struct ael_cancel *cancel = NULL;
    struct ael_call call = AEL_CALL_INIT;
    CU_ASSERT_EQUAL(ael_web_pause(&call, 0), AEL_OK);
    CU_ASSERT_EQUAL(ael_web_pause(&call, 1), AEL_OK);
    call.deadline_ns = ael_deadline_in_ms(1);
    CU_ASSERT_EQUAL(ael_web_pause(&call, UINT32_MAX), AEL_E_TIMEOUT);
    CU_ASSERT_EQUAL_FATAL(ael_cancel_new(&cancel), AEL_OK);
    call = (struct ael_call)AEL_CALL_INIT;
    call.cancel = cancel;
    ael_cancel_trigger(cancel);
    CU_ASSERT_EQUAL(ael_web_pause(&call, UINT32_MAX), AEL_E_CANCELLED);
    ael_cancel_free(cancel);
}

static void test_web_outcome_unknown__keeps_what_was_said(void) {
    struct ael_error err = {0};
    (void)ael_error_set(&err, AEL_E_UNREACHABLE, 503, "other", "it was lost");
    CU_ASSERT_EQUAL(ael_web_outcome_unknown("test", &err), AEL_E_OUTCOME_UNKNOWN);
    CU_ASSERT_EQUAL(err.status, AEL_E_OUTCOME_UNKNOWN);
    CU_ASSERT_EQUAL(err.native_code, 503);
    CU_ASSERT_STRING_EQUAL(err.detail, "while storing: it was lost");
    CU_ASSERT_EQUAL(ael_web_outcome_unknown("test", NULL), AEL_E_OUTCOME_UNKNOWN);
}

static const struct test_case k_cases[] = {
    {"what is out of bounds is named", test_web_bounds_check__names_what_is_out_of_bounds},
    {"a pause is a part of a bound that doubles", test_web_pause_ms__is_a_part_of_a_bound_that_doubles},
    {"a pause ends with its call", test_web_pause__ends_with_its_call},
    {"an outcome nobody knows keeps what was said", test_web_outcome_unknown__keeps_what_was_said},
};

TEST_SUITE_MAIN("web_store", k_cases)
