/* SPDX-License-Identifier: Apache-2.0 */
/* Many threads on one cache: single flight, eviction of keys in use, refresh. Meant for ThreadSanitizer as well. */
#include "appencryption/cache/key_cache.h"
#include "base/clock.h"
#include "tests/support/soak.h"
#include "tests/support/suite.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

enum { THREADS = 32, NOW_S = 1800000000 };

static int rounds(void) {
    return soak_count(150, 20000);
}

static const int64_t k_s = 1000000000;

struct load_test {
    struct ael_rules rules;
    struct ael_cache_counters counters;
    struct ael_key_cache *cache;
    struct ael_key_source source;
    pthread_barrier_t start;
    atomic_int loads;
    atomic_int failures;
    atomic_llong latest_s;
};

static enum ael_status load(
    void *context, const struct ael_key_load *load, struct ael_cached_key **key, bool *metastore_unreachable,
    struct ael_error *err) {
    static const uint8_t bytes[AEL_KEY_BYTES] = {3};
    struct load_test *test = context;
    struct ael_crypto_key *made = NULL;
    (void)metastore_unreachable;
    (void)err;
    atomic_fetch_add(&test->loads, 1);
    int64_t created_s = load->latest ? atomic_load(&test->latest_s) : load->created_s;
    enum ael_status status =
        ael_crypto_key_new(AEL_KEY_KIND_SYSTEM, load->id, created_s, false, bytes, &made);
    return status != AEL_OK ? status : ael_cached_key_new(made, NULL, load->started_ns, key);
}

static void begin(struct load_test *test, size_t capacity, int64_t interval_s) {
    struct ael_cache_bound bound = {AEL_EVICTION_SLRU, capacity, false};
    ael_clock_set_for_test(NOW_S, 1000 * k_s);
    memset(test, 0, sizeof *test);
    test->rules = (struct ael_rules){.expire_s = 1000000, .precision_s = 60, .interval_ns = interval_s * k_s};
    test->rules.max_stale_ns = 2 * interval_s * k_s;
    test->counters.hit_name = test->counters.miss_name = "test";
    test->counters.stale_name = test->counters.evict_name = "test";
    test->source = (struct ael_key_source){load, test};
    atomic_store(&test->latest_s, NOW_S);
    CU_ASSERT_EQUAL_FATAL(ael_key_cache_new(&test->rules, &bound, true, &test->counters, &test->cache), AEL_OK);
}

static void end(struct load_test *test) {
    ael_key_cache_free(test->cache);
    ael_clock_reset_for_test();
    CU_ASSERT_EQUAL(atomic_load(&test->failures), 0);
    CU_ASSERT_EQUAL(atomic_load(&test->counters.cached), 0);
}

static void run(struct load_test *test, size_t capacity, int64_t interval_s, void *(*body)(void *)) {
    pthread_t threads[THREADS];
    begin(test, capacity, interval_s);
    pthread_barrier_init(&test->start, NULL, THREADS);
    for (int i = 0; i < THREADS; i++) {
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, body, test), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    pthread_barrier_destroy(&test->start);
    end(test);
}

static struct ael_call far_call(void) {
    struct ael_call call = AEL_CALL_INIT;
    call.deadline_ns = INT64_MAX;
    return call;
}

/* Uses a key for what it is there for, and gives it back. */
static void use(struct load_test *test, enum ael_status status, struct ael_cached_key *key) {
    uint8_t bytes[AEL_KEY_BYTES] = {0};
    if (status != AEL_OK || ael_crypto_key_open(key->key, bytes) != AEL_OK || bytes[0] != 3) {
        atomic_fetch_add(&test->failures, 1);
    }
    ael_cached_key_release(key);
}

static void get_latest(struct load_test *test) {
    struct ael_call call = far_call();
    struct ael_cached_key *key = NULL;
    enum ael_status status = ael_key_cache_get_or_load_latest(
        test->cache, &test->source, ael_bytes_from_text("one"), &call, &key, NULL);
    use(test, status, key);
}

static void *ask_for_one_key(void *context) {
    struct load_test *test = context;
    pthread_barrier_wait(&test->start);
    get_latest(test);
    return NULL;
}

static void test_get_latest__loads_once_for_all_threads(void) {
    struct load_test test;
    run(&test, 100, 1000, ask_for_one_key);
    CU_ASSERT_EQUAL(atomic_load(&test.loads), 1);
    CU_ASSERT_EQUAL(atomic_load(&test.counters.misses) + ael_cache_counters_hits(&test.counters), THREADS);
}

static void *ask_for_more_keys_than_fit(void *context) {
    struct load_test *test = context;
    struct ael_call call = far_call();
    pthread_barrier_wait(&test->start);
    for (int i = 0; i < rounds(); i++) {
        struct ael_cached_key *key = NULL;
        enum ael_status status = ael_key_cache_get_or_load(
            test->cache, &test->source, ael_bytes_from_text("many"), NOW_S + i % 13, &call, &key, NULL);
        use(test, status, key);
    }
    return NULL;
}

static void test_get__evicts_under_load(void) {
    struct load_test test;
    run(&test, 4, 1000, ask_for_more_keys_than_fit);
    CU_ASSERT_TRUE(atomic_load(&test.counters.evictions) > 0);
}

static void *ask_while_the_clock_runs(void *context) {
    struct load_test *test = context;
    pthread_barrier_wait(&test->start);
    for (int i = 0; i < rounds(); i++) {
        if (i % 10 == 0) {
            ael_clock_advance_for_test(3);
            atomic_fetch_add(&test->latest_s, 1);
        }
        get_latest(test);
    }
    return NULL;
}

static void test_get_latest__refreshes_and_rotates_under_load(void) {
    struct load_test test;
    run(&test, 50, 10, ask_while_the_clock_runs);
    CU_ASSERT_TRUE(atomic_load(&test.loads) > 1);
    CU_ASSERT_TRUE(atomic_load(&test.loads) < THREADS * rounds());
}

static void test_interval_of_none__loads_for_each_or_after_each(void) {
    struct load_test test;
    run(&test, 50, 0, ask_for_one_key);
    CU_ASSERT_EQUAL(atomic_load(&test.loads), THREADS); /* with a standing clock no load is newer than its askers */
}

/* ---- a check that finds a key revoked ---- */

enum { READERS = 2 };

struct revocation {
    struct load_test *test;
    struct ael_cached_key *key; /* past its interval */
    atomic_int round;
    atomic_int readers; /* that look at the round's key */
    atomic_int late;    /* times that it served */
};

static int revocations(void) {
    return soak_count(200, 20000);
}

static void *look_until_it_is_revoked(void *context) {
    struct revocation *revocation = context;
    (void)ael_thread_entry_mine();
    for (int round = 1; round <= revocations(); round++) {
        while (atomic_load(&revocation->round) != round) {
            sched_yield();
        }
        struct ael_cached_key *key = revocation->key;
        atomic_fetch_add(&revocation->readers, 1);
        do {
            bool serves = ael_key_cache_lets_serve(revocation->test->cache, key, true, 1000 * k_s, NOW_S);
            atomic_fetch_add(&revocation->late, serves);
        } while (!ael_crypto_key_is_revoked(key->key));
        atomic_fetch_sub(&revocation->readers, 1);
    }
    return NULL;
}

static void revoke_one(struct revocation *revocation, int round) {
    static const uint8_t bytes[AEL_KEY_BYTES] = {3};
    struct ael_crypto_key *made = NULL;
    struct ael_bytes id = ael_bytes_from_text("one");
    CU_ASSERT_EQUAL_FATAL(ael_crypto_key_new(AEL_KEY_KIND_SYSTEM, id, NOW_S, false, bytes, &made), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_cached_key_new(made, NULL, 1, &revocation->key), AEL_OK);
    ael_cached_key_set_standing(revocation->key, AEL_KEY_LATEST);
    atomic_store(&revocation->round, round);
    while (atomic_load(&revocation->readers) != READERS) {
        sched_yield();
    }
    ael_crypto_key_mark_revoked(made);
    ael_cached_key_note_check(revocation->key, 1000 * k_s);
    while (atomic_load(&revocation->readers) != 0) {
        sched_yield();
    }
    ael_cached_key_release(revocation->key);
}

static void *revoke(void *context) {
    for (int round = 1; round <= revocations(); round++) {
        revoke_one(context, round);
    }
    return NULL;
}

/* Neither before the check, for its age, nor afterwards. */
static void test_lets_serve__never_takes_a_check_for_good_that_found_the_key_revoked(void) {
    struct load_test test;
    struct revocation revocation = {.test = &test};
    pthread_t threads[READERS + 1];
    begin(&test, 1, 10);
    for (int i = 0; i <= READERS; i++) {
        CU_ASSERT_EQUAL_FATAL(
            pthread_create(&threads[i], NULL, i < READERS ? look_until_it_is_revoked : revoke, &revocation), 0);
    }
    for (int i = 0; i <= READERS; i++) {
        pthread_join(threads[i], NULL);
    }
    end(&test);
    CU_ASSERT_EQUAL(atomic_load(&revocation.late), 0);
}

static const struct test_case k_cases[] = {
    {"one load for all threads", test_get_latest__loads_once_for_all_threads},
    {"keys in use are evicted", test_get__evicts_under_load},
    {"refresh and rotation under load", test_get_latest__refreshes_and_rotates_under_load},
    {"interval 0 under load", test_interval_of_none__loads_for_each_or_after_each},
    {"a check that finds the key revoked", test_lets_serve__never_takes_a_check_for_good_that_found_the_key_revoked},
};

TEST_SUITE_MAIN("key_cache_threads", k_cases)
