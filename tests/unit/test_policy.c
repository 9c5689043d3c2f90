/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/policy.h"
#include "tests/support/suite.h"

#include <string.h>

static void expect_refused(const struct ael_policy *policy, const char *field) {
    struct ael_error err = {0};
    struct ael_rules rules;
    CU_ASSERT_EQUAL(ael_policy_check(policy, &err), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(err.status, AEL_E_ARGUMENT);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, field));
    CU_ASSERT_EQUAL(ael_policy_check(policy, NULL), AEL_E_ARGUMENT);
    if (policy != NULL) {
        CU_ASSERT_EQUAL(ael_rules_from_policy(policy, &rules, NULL), AEL_E_ARGUMENT);
    }
}

static void test_policy_check__takes_the_defaults(void) {
    struct ael_policy policy = AEL_POLICY_INIT;
    CU_ASSERT_EQUAL(ael_policy_check(&policy, NULL), AEL_OK);
}

static void test_policy_check__names_the_field_it_refuses(void) {
    const struct ael_policy good = AEL_POLICY_INIT;
    struct ael_policy policy = good;
    expect_refused(NULL, "policy");
    policy.size = 4;
    expect_refused(&policy, "size");
    policy = good;
    policy.revoke_check_interval_s = -1;
    expect_refused(&policy, "revoke_check_interval_s");
    policy.revoke_check_interval_s = INT64_MAX;
    expect_refused(&policy, "revoke_check_interval_s");
    policy = good;
    policy.max_stale_s = -1;
    expect_refused(&policy, "max_stale_s");
    policy.max_stale_s = good.revoke_check_interval_s - 1;
    expect_refused(&policy, "max_stale_s");
    policy = good;
    policy.session_cache_duration_s = -1;
    expect_refused(&policy, "session_cache_duration_s");
    policy = good;
    policy.max_payload = 0;
    expect_refused(&policy, "max_payload");
    policy.max_payload = (size_t)INT32_MAX + 1;
    expect_refused(&policy, "max_payload");
}

static void test_policy_check__refuses_unknown_evictions(void) {
    const struct ael_policy good = AEL_POLICY_INIT;
    struct ael_policy policy = good;
    policy.system_key_cache_eviction = (enum ael_eviction)9;
    expect_refused(&policy, "system_key_cache_eviction");
    policy = good;
    policy.intermediate_key_cache_eviction = (enum ael_eviction)6;
    expect_refused(&policy, "intermediate_key_cache_eviction");
    policy = good;
    policy.session_cache_eviction = (enum ael_eviction)6;
    expect_refused(&policy, "session_cache_eviction");
}

static void test_eviction_from_text__knows_five_names(void) {
    enum ael_eviction eviction = AEL_EVICTION_DEFAULT;
    CU_ASSERT_EQUAL(ael_eviction_from_text("simple", &eviction), AEL_OK);
    CU_ASSERT_EQUAL(eviction, AEL_EVICTION_SIMPLE);
    CU_ASSERT_EQUAL(ael_eviction_from_text("lru", &eviction), AEL_OK);
    CU_ASSERT_EQUAL(eviction, AEL_EVICTION_LRU);
    CU_ASSERT_EQUAL(ael_eviction_from_text("slru", &eviction), AEL_OK);
    CU_ASSERT_EQUAL(eviction, AEL_EVICTION_SLRU);
    CU_ASSERT_EQUAL(ael_eviction_from_text("lfu", &eviction), AEL_OK);
    CU_ASSERT_EQUAL(eviction, AEL_EVICTION_LFU);
    CU_ASSERT_EQUAL(ael_eviction_from_text("tinylfu", &eviction), AEL_OK);
    CU_ASSERT_EQUAL(eviction, AEL_EVICTION_TINYLFU);
    CU_ASSERT_EQUAL(ael_eviction_from_text("slru", &eviction), AEL_OK);
    CU_ASSERT_EQUAL(ael_eviction_from_text("LRU", &eviction), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_eviction_from_text("", &eviction), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_eviction_from_text(NULL, &eviction), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_eviction_from_text("lru", NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(eviction, AEL_EVICTION_SLRU);
}

static void test_rules__fill_in_what_the_policy_leaves_open(void) {
    struct ael_rules rules;
    CU_ASSERT_EQUAL(ael_rules_from_policy(NULL, &rules, NULL), AEL_OK);
    CU_ASSERT_EQUAL(rules.expire_s, 90 * 86400);
    CU_ASSERT_EQUAL(rules.interval_ns, 3600000000000);
    CU_ASSERT_EQUAL(rules.max_stale_ns, 7200000000000);
    CU_ASSERT_EQUAL(rules.precision_s, 60);
    CU_ASSERT_EQUAL(rules.max_payload, 64u << 20);
    CU_ASSERT_TRUE(rules.system_keys.by_bytes);
    CU_ASSERT_EQUAL(rules.system_keys.capacity, 8u << 20);
    CU_ASSERT_EQUAL(rules.intermediate_keys.capacity, 40u << 20);
    CU_ASSERT_EQUAL(rules.sessions.capacity, 16u << 20);
    CU_ASSERT_EQUAL(rules.sessions.eviction, AEL_EVICTION_SLRU);
}

static void test_rules__take_what_the_policy_says(void) {
    struct ael_rules rules;
    struct ael_policy policy = AEL_POLICY_INIT;
    policy.max_stale_s = 3600;
    policy.intermediate_key_cache_max = 7;
    policy.intermediate_key_cache_eviction = AEL_EVICTION_LRU;
    policy.create_date_precision_s = 60;
    policy.expire_key_after_s = 30;
    CU_ASSERT_EQUAL(ael_rules_from_policy(&policy, &rules, NULL), AEL_OK);
    CU_ASSERT_EQUAL(rules.max_stale_ns, 3600000000000);
    CU_ASSERT_FALSE(rules.intermediate_keys.by_bytes);
    CU_ASSERT_EQUAL(rules.intermediate_keys.capacity, 7);
    CU_ASSERT_EQUAL(rules.intermediate_keys.eviction, AEL_EVICTION_LRU);
    CU_ASSERT_EQUAL(rules.precision_s, 30);
    CU_ASSERT_EQUAL(rules.expire_s, 30);
    for (int64_t none = -5; none <= 0; none += 5) { /* no life: one precision */
        policy.expire_key_after_s = none;
        CU_ASSERT_EQUAL(ael_rules_from_policy(&policy, &rules, NULL), AEL_OK);
        CU_ASSERT_EQUAL(rules.expire_s, 60);
        CU_ASSERT_EQUAL(rules.precision_s, 60);
    }
    policy.create_date_precision_s = -3;
    CU_ASSERT_EQUAL(ael_rules_from_policy(&policy, &rules, NULL), AEL_OK);
    CU_ASSERT_EQUAL(rules.precision_s, 1);
    CU_ASSERT_EQUAL(rules.expire_s, 1);
}

static const struct test_case k_cases[] = {
    {"the defaults are accepted", test_policy_check__takes_the_defaults},
    {"a refusal names its field", test_policy_check__names_the_field_it_refuses},
    {"unknown evictions are refused", test_policy_check__refuses_unknown_evictions},
    {"evictions have five names", test_eviction_from_text__knows_five_names},
    {"rules fill in defaults", test_rules__fill_in_what_the_policy_leaves_open},
    {"rules take the policy's values", test_rules__take_what_the_policy_says},
};

TEST_SUITE_MAIN("policy", k_cases)
