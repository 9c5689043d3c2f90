/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions acquired, used, evicted and closed by many threads at once. Meant for ThreadSanitizer as well. */
#include "base/clock.h"
#include "tests/support/fixture.h"
#include "tests/support/soak.h"
#include "tests/support/suite.h"

#include <stdatomic.h>
#include <stdio.h>

enum { THREADS = 16, PARTITIONS = 6, ROTATING_ROUNDS = 60 };

static int rounds(void) {
    return soak_count(60, 5000);
}

struct load_test {
    struct fixture fix;
    pthread_barrier_t start;
    atomic_int failures;
    atomic_int next;
};

static void fail_unless(struct load_test *test, bool right) {
    if (!right) {
        atomic_fetch_add(&test->failures, 1);
    }
}

static void run_threads(struct load_test *test, int count, void *(*body)(void *)) {
    pthread_t *threads = calloc((size_t)count, sizeof *threads);
    CU_ASSERT_PTR_NOT_NULL_FATAL(threads);
    atomic_init(&test->failures, 0);
    atomic_init(&test->next, 0);
    pthread_barrier_init(&test->start, NULL, (unsigned)count);
    for (int i = 0; i < count; i++) {
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, body, test), 0);
    }
    for (int i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
    }
    free(threads);
    pthread_barrier_destroy(&test->start);
    CU_ASSERT_EQUAL(atomic_load(&test->failures), 0);
}

static void *encrypt_once(void *context) {
    struct load_test *test = context;
    struct ael_session *session = NULL;
    pthread_barrier_wait(&test->start);
    fail_unless(test, ael_session_acquire(test->fix.factory, "p", &session, NULL) == AEL_OK);
    fail_unless(test, session != NULL && fixture_encrypt(session, NULL) == AEL_OK);
    ael_session_release(session);
    return NULL;
}

static void test_cold_start__makes_each_key_once_for_all_threads(void) {
    struct load_test test;
    fixture_begin(&test.fix);
    run_threads(&test, soak_count(THREADS * 4, 10000), encrypt_once);
    CU_ASSERT_EQUAL(test.fix.kms->encrypts, 1);
    CU_ASSERT_EQUAL(test.fix.kms->decrypts, 0);
    CU_ASSERT_EQUAL(fake_metastore_calls(test.fix.metastore), 4);
    fixture_end(&test.fix);
}

/* Encrypts in one session and decrypts in another one of the same partition. */
static void round_trip(struct load_test *test, int i) {
    struct ael_session *writer = NULL;
    struct ael_session *reader = NULL;
    char partition[16];
    (void)snprintf(partition, sizeof partition, "p%d", i % PARTITIONS);
    fail_unless(test, ael_session_acquire(test->fix.factory, partition, &writer, NULL) == AEL_OK);
    struct ael_record_buf record = fixture_record(writer);
    ael_session_release(writer);
    fail_unless(test, ael_session_acquire(test->fix.factory, partition, &reader, NULL) == AEL_OK);
    fail_unless(test, fixture_decrypt(reader, &record.record) == AEL_OK);
    ael_session_release(reader);
    ael_record_buf_clear(&record);
}

static void *round_trips(void *context) {
    struct load_test *test = context;
    pthread_barrier_wait(&test->start);
    int first = atomic_fetch_add(&test->next, 1);
    for (int i = 0; i < rounds(); i++) {
        round_trip(test, first + i);
    }
    return NULL;
}

static void test_sessions__come_and_go_in_small_caches(void) {
    struct load_test test;
    struct ael_policy policy = AEL_POLICY_INIT;
    policy.session_cache_max = 2;
    policy.intermediate_key_cache_max = 3;
    policy.system_key_cache_max = 1;
    fixture_begin_with(&test.fix, &policy, NULL);
    run_threads(&test, THREADS, round_trips);
    CU_ASSERT_TRUE(fixture_stats(test.fix.factory).session_evictions > 0);
    fixture_end(&test.fix);
}

static void test_sessions__with_key_caches_of_their_own(void) {
    struct load_test test;
    struct ael_policy policy = AEL_POLICY_INIT;
    policy.session_cache_max = 2;
    policy.shared_intermediate_key_cache = false;
    fixture_begin_with(&test.fix, &policy, NULL);
    run_threads(&test, THREADS, round_trips);
    fixture_end(&test.fix);
}

static void *rotate_and_round_trip(void *context) {
    struct load_test *test = context;
    pthread_barrier_wait(&test->start);
    int first = atomic_fetch_add(&test->next, 1);
    for (int i = 0; i < ROTATING_ROUNDS; i++) {
        if (i % 20 == 19) {
            (void)fake_metastore_revoke(test->fix.metastore, first % 2 == 0 ? FIXTURE_SK : "_IK_p1_svc_prod", -1);
            ael_clock_advance_for_test(400);
        }
        round_trip(test, first + i);
    }
    return NULL;
}

static void test_rotation__under_load_loses_no_record(void) {
    for (int i = 0; i < soak_count(1, 100); i++) {
        struct load_test test;
        fixture_begin(&test.fix);
        run_threads(&test, THREADS, rotate_and_round_trip);
        CU_ASSERT_TRUE(fake_metastore_count(test.fix.metastore, FIXTURE_SK) > 1);
        fixture_end(&test.fix);
    }
}

static void *encrypt_until_closed(void *context) {
    struct load_test *test = context;
    struct ael_session *session = NULL;
    fail_unless(test, ael_session_acquire(test->fix.factory, "p", &session, NULL) == AEL_OK);
    pthread_barrier_wait(&test->start); /* all have their session */
    if (atomic_fetch_add(&test->next, 1) == THREADS / 2) {
        ael_session_factory_free(test->fix.factory);
    }
    enum ael_status status = AEL_OK;
    while (status == AEL_OK) {
        status = fixture_encrypt(session, NULL);
    }
    fail_unless(test, status == AEL_E_CLOSED);
    ael_session_release(session);
    return NULL;
}

static void test_factory__closes_under_its_sessions(void) {
    struct load_test test;
    fixture_begin(&test.fix);
    run_threads(&test, THREADS, encrypt_until_closed);
    test.fix.factory = NULL;
    fixture_end(&test.fix);
}

static const struct test_case k_cases[] = {
    {"a cold start makes each key once", test_cold_start__makes_each_key_once_for_all_threads},
    {"sessions come and go", test_sessions__come_and_go_in_small_caches},
    {"key caches of sessions' own", test_sessions__with_key_caches_of_their_own},
    {"rotation under load", test_rotation__under_load_loses_no_record},
    {"a factory closes under its sessions", test_factory__closes_under_its_sessions},
};

TEST_SUITE_MAIN("session_threads", k_cases)
