/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/cache/expiry.h"
#include "tests/support/suite.h"

static const struct ael_rules k_rules = {.expire_s = 1000, .precision_s = 60};

static void test_is_over__begins_at_created_plus_expire(void) {
    CU_ASSERT_FALSE(ael_expiry_is_over(&k_rules, 500, 1499));
    CU_ASSERT_TRUE(ael_expiry_is_over(&k_rules, 500, 1500));
    CU_ASSERT_TRUE(ael_expiry_is_over(&k_rules, 500, 1501));
    CU_ASSERT_FALSE(ael_expiry_is_over(&k_rules, INT64_MAX, 1501));
    CU_ASSERT_TRUE(ael_expiry_is_over(&k_rules, INT64_MIN, 1501));
}

static void test_date_new_key__cuts_now_down_to_the_precision(void) {
    int64_t created = 0;
    CU_ASSERT_EQUAL(ael_expiry_date_new_key(&k_rules, 659, NULL, &created, NULL), AEL_OK);
    CU_ASSERT_EQUAL(created, 600);
    CU_ASSERT_EQUAL(ael_expiry_date_new_key(&k_rules, 660, NULL, &created, NULL), AEL_OK);
    CU_ASSERT_EQUAL(created, 660);
    CU_ASSERT_EQUAL(ael_expiry_date_new_key(&k_rules, -1, NULL, &created, NULL), AEL_OK);
    CU_ASSERT_EQUAL(created, -60);
}

static void test_date_new_key__comes_after_an_invalid_latest_key(void) {
    int64_t created = 0;
    int64_t latest = 600;
    CU_ASSERT_EQUAL(ael_expiry_date_new_key(&k_rules, 659, &latest, &created, NULL), AEL_OK);
    CU_ASSERT_EQUAL(created, 601);
    latest = 599;
    CU_ASSERT_EQUAL(ael_expiry_date_new_key(&k_rules, 659, &latest, &created, NULL), AEL_OK);
    CU_ASSERT_EQUAL(created, 600);
}

static void test_date_new_key__refuses_more_than_a_day_ahead(void) {
    int64_t created = 77;
    int64_t latest = 1000 + 86400 - 1;
    struct ael_error err = {0};
    CU_ASSERT_EQUAL(ael_expiry_date_new_key(&k_rules, 1000, &latest, &created, &err), AEL_OK);
    CU_ASSERT_EQUAL(created, 1000 + 86400);
    latest++;
    created = 77;
    CU_ASSERT_EQUAL(ael_expiry_date_new_key(&k_rules, 1000, &latest, &created, &err), AEL_E_CLOCK);
    CU_ASSERT_EQUAL(err.status, AEL_E_CLOCK);
    latest = INT64_MAX;
    CU_ASSERT_EQUAL(ael_expiry_date_new_key(&k_rules, 1000, &latest, &created, NULL), AEL_E_CLOCK);
    CU_ASSERT_EQUAL(created, 77);
}

static void test_is_recent__means_two_precisions(void) {
    CU_ASSERT_TRUE(ael_expiry_is_recent(&k_rules, 881, 1000));
    CU_ASSERT_FALSE(ael_expiry_is_recent(&k_rules, 880, 1000));
    CU_ASSERT_TRUE(ael_expiry_is_recent(&k_rules, INT64_MAX, 1000));
    CU_ASSERT_FALSE(ael_expiry_is_recent(&k_rules, INT64_MIN, 1000));
}

static const struct test_case k_cases[] = {
    {"a key is over at created + expire", test_is_over__begins_at_created_plus_expire},
    {"new keys are dated by precision", test_date_new_key__cuts_now_down_to_the_precision},
    {"new keys come after an invalid latest", test_date_new_key__comes_after_an_invalid_latest_key},
    {"more than a day ahead is a clock status", test_date_new_key__refuses_more_than_a_day_ahead},
    {"recent means two precisions", test_is_recent__means_two_precisions},
};

TEST_SUITE_MAIN("expiry", k_cases)
