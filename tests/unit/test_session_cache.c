/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "tests/support/fixture.h"
#include "tests/support/suite.h"

#include <stdio.h>

/* Acquires and at once releases; the address tells sessions apart while something else holds them. */
static struct ael_session *peek(struct fixture *fix, const char *partition) {
    struct ael_session *session = fixture_session(fix, partition);
    ael_session_release(session);
    return session;
}

static void test_acquire__gives_the_same_session_again(void) {
    struct fixture fix;
    fixture_begin(&fix);
    struct ael_session *a = fixture_session(&fix, "p");
    struct ael_session *b = fixture_session(&fix, "p");
    struct ael_session *other = fixture_session(&fix, "q");
    CU_ASSERT_PTR_EQUAL(a, b);
    CU_ASSERT_PTR_NOT_EQUAL(a, other);
    CU_ASSERT_EQUAL(fixture_stats(fix.factory).session_hits, 1);
    CU_ASSERT_EQUAL(fixture_stats(fix.factory).session_misses, 2);
    CU_ASSERT_EQUAL(fixture_stats(fix.factory).sessions_cached, 2);
    ael_session_release(a);
    CU_ASSERT_EQUAL(fixture_encrypt(b, NULL), AEL_OK);
    ael_session_release(b);
    ael_session_release(other);
    fixture_end(&fix);
}

static void test_acquire__makes_a_new_session_after_the_duration(void) {
    struct fixture fix;
    fixture_begin(&fix);
    struct ael_session *old = fixture_session(&fix, "p");
    ael_clock_advance_for_test(7199);
    CU_ASSERT_PTR_EQUAL(peek(&fix, "p"), old);
    ael_clock_advance_for_test(1);
    CU_ASSERT_PTR_NOT_EQUAL(peek(&fix, "p"), old);
    CU_ASSERT_EQUAL(fixture_stats(fix.factory).session_evictions, 1);
    CU_ASSERT_EQUAL(fixture_encrypt(old, NULL), AEL_OK);
    ael_session_release(old);
    fixture_end(&fix);
}

static void test_acquire__evicts_sessions_that_go_on_working(void) {
    struct fixture fix;
    struct ael_policy policy = AEL_POLICY_INIT;
    policy.session_cache_max = 2;
    policy.session_cache_eviction = AEL_EVICTION_LRU;
    fixture_begin_with(&fix, &policy, NULL);
    struct ael_session *a = fixture_session(&fix, "a");
    struct ael_session *b = fixture_session(&fix, "b");
    CU_ASSERT_PTR_EQUAL(peek(&fix, "a"), a);
    (void)peek(&fix, "c");
    CU_ASSERT_EQUAL(fixture_stats(fix.factory).session_evictions, 1);
    CU_ASSERT_EQUAL(fixture_stats(fix.factory).sessions_cached, 2);
    CU_ASSERT_PTR_EQUAL(peek(&fix, "a"), a);
    CU_ASSERT_PTR_NOT_EQUAL(peek(&fix, "b"), b);
    CU_ASSERT_EQUAL(fixture_encrypt(b, NULL), AEL_OK);
    ael_session_release(a);
    ael_session_release(b);
    fixture_end(&fix);
}

static void test_acquire__is_bounded_by_bytes(void) {
    struct fixture fix;
    fixture_begin(&fix);
    for (int i = 0; i < 40000; i++) {
        char partition[24];
        (void)snprintf(partition, sizeof partition, "partition-%d", i);
        (void)peek(&fix, partition);
    }
    struct ael_session_factory_stats stats = fixture_stats(fix.factory);
    CU_ASSERT_TRUE(stats.session_evictions > 0);
    CU_ASSERT_TRUE(stats.sessions_cached > 10000);
    CU_ASSERT_EQUAL(stats.sessions_cached + stats.session_evictions, 40000);
    fixture_end(&fix);
}

static void test_acquire__makes_each_session_anew_without_a_cache(void) {
    struct fixture fix;
    struct ael_policy policy = AEL_POLICY_INIT;
    policy.cache_sessions = false;
    fixture_begin_with(&fix, &policy, NULL);
    struct ael_session *a = fixture_session(&fix, "p");
    struct ael_session *b = fixture_session(&fix, "p");
    CU_ASSERT_PTR_NOT_EQUAL(a, b);
    CU_ASSERT_EQUAL(fixture_encrypt(a, NULL), AEL_OK);
    CU_ASSERT_EQUAL(fixture_encrypt(b, NULL), AEL_OK);
    CU_ASSERT_EQUAL(fixture_stats(fix.factory).intermediate_key_misses, 1);
    ael_session_release(a);
    ael_session_release(b);
    fixture_end(&fix);
}

static void test_own_key_caches__end_with_their_session(void) {
    struct fixture fix;
    struct ael_policy policy = AEL_POLICY_INIT;
    policy.cache_sessions = false;
    policy.shared_intermediate_key_cache = false;
    fixture_begin_with(&fix, &policy, NULL);
    struct ael_session *a = fixture_session(&fix, "p");
    struct ael_session *b = fixture_session(&fix, "p");
    CU_ASSERT_EQUAL(fixture_encrypt(a, NULL), AEL_OK);
    CU_ASSERT_EQUAL(fixture_encrypt(b, NULL), AEL_OK);
    CU_ASSERT_EQUAL(fixture_stats(fix.factory).intermediate_key_misses, 2);
    CU_ASSERT_EQUAL(fixture_stats(fix.factory).intermediate_keys_cached, 2);
    ael_session_release(a);
    CU_ASSERT_EQUAL(fixture_stats(fix.factory).intermediate_keys_cached, 1);
    CU_ASSERT_EQUAL(fixture_encrypt(b, NULL), AEL_OK);
    ael_session_release(b);
    fixture_end(&fix);
}

static void test_duration_of_none__never_hits(void) {
    struct fixture fix;
    struct ael_policy policy = AEL_POLICY_INIT;
    policy.session_cache_duration_s = 0;
    fixture_begin_with(&fix, &policy, NULL);
    struct ael_session *a = fixture_session(&fix, "p");
    CU_ASSERT_PTR_NOT_EQUAL(peek(&fix, "p"), a);
    ael_session_release(a);
    fixture_end(&fix);
}

static const struct test_case k_cases[] = {
    {"a partition's session comes again", test_acquire__gives_the_same_session_again},
    {"sessions last for the duration", test_acquire__makes_a_new_session_after_the_duration},
    {"evicted sessions go on working", test_acquire__evicts_sessions_that_go_on_working},
    {"the default bound is in bytes", test_acquire__is_bounded_by_bytes},
    {"without a cache", test_acquire__makes_each_session_anew_without_a_cache},
    {"key caches of sessions' own", test_own_key_caches__end_with_their_session},
    {"a duration of none", test_duration_of_none__never_hits},
};

TEST_SUITE_MAIN("session_cache", k_cases)
