/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads borrow a memo's key while others replace it, and sessions' keys are evicted under them. A key that went too
 * early is a use after free (AddressSanitizer, valgrind), a race (ThreadSanitizer), or shows a wrong date.
 */
#include "appencryption/cache/key_memo.h"
#include "base/barrier.h"
#include "tests/support/soak.h"
#include "tests/support/suite.h"

#include <ael/ael.h>
#include <pthread.h>
#include <stdio.h>

enum { BORROWERS = 6, REPLACERS = 2, SESSIONS = 8 };

struct world {
    struct ael_key_memo memo;
    atomic_bool over;
    atomic_int wrong;
    atomic_llong borrowed;
};

/* Its date and its last check agree in every key of this test, and in no freed one. */
static struct ael_cached_key *make_key(int64_t number) {
    static const uint8_t k_bytes[AEL_KEY_BYTES] = {3};
    struct ael_crypto_key *key = NULL;
    struct ael_cached_key *cached = NULL;
    if (ael_crypto_key_new(
            AEL_KEY_KIND_INTERMEDIATE, ael_bytes_from_text("id"), number, false, k_bytes, &key) != AEL_OK
        || ael_cached_key_new(key, NULL, number, &cached) != AEL_OK) {
        return NULL;
    }
    return cached;
}

static bool is_sound(const struct ael_cached_key *key) {
    int64_t number = ael_cached_key_checked_ns(key);
    return number > 0 && ael_crypto_key_created_s(key->key) == number;
}

static void *borrow_all_along(void *world_) {
    struct world *world = world_;
    long long count = 0;
    while (!atomic_load_explicit(&world->over, memory_order_relaxed)) {
        uint32_t place = 0;
        const struct ael_cached_key *key = ael_key_memo_borrow(&world->memo, &place);
        if (key == NULL) {
            continue;
        }
        for (int looks = 0; looks < 20; looks++) {
            if (!is_sound(key)) {
                atomic_fetch_add(&world->wrong, 1);
            }
        }
        ael_key_memo_give_back(place);
        count++;
    }
    atomic_fetch_add(&world->borrowed, count);
    return NULL;
}

static void *replace_so_often(void *world_) {
    struct world *world = world_;
    for (int i = 1; i <= soak_count(10000, 1000000); i++) {
        struct ael_cached_key *key = make_key(i);
        if (key == NULL) {
            atomic_fetch_add(&world->wrong, 1);
            break;
        }
        ael_key_memo_set(&world->memo, key);
        ael_cached_key_release(key); /* from here on only the memo holds it */
    }
    return NULL;
}

static void run_against_replacements(void) {
    static struct world world;
    pthread_t threads[BORROWERS + REPLACERS];
    atomic_store(&world.over, false);
    atomic_store(&world.borrowed, 0);
    for (int i = 0; i < BORROWERS; i++) {
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, borrow_all_along, &world), 0);
    }
    for (int i = BORROWERS; i < BORROWERS + REPLACERS; i++) {
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, replace_so_often, &world), 0);
    }
    for (int i = BORROWERS; i < BORROWERS + REPLACERS; i++) {
        pthread_join(threads[i], NULL);
    }
    atomic_store(&world.over, true);
    for (int i = 0; i < BORROWERS; i++) {
        pthread_join(threads[i], NULL);
    }
    ael_key_memo_clear(&world.memo);
    ael_cached_key_sweep();
    CU_ASSERT_EQUAL(atomic_load(&world.wrong), 0);
    CU_ASSERT_TRUE(atomic_load(&world.borrowed) > 0);
}

static void test_borrow__against_replacements(void) {
    run_against_replacements();
}

static void test_borrow__against_replacements_with_fences(void) {
    ael_barrier_use_fences_for_test(true);
    run_against_replacements();
    ael_barrier_use_fences_for_test(false);
}

/* ---- sessions ---- */

struct service {
    struct ael_kms *kms;
    struct ael_metastore *metastore;
    struct ael_session_factory *factory;
    struct ael_session *sessions[SESSIONS];
    atomic_int failures;
};

/* Fewer keys than sessions: each load evicts the key that another session knows. */
static void open_service(struct service *service) {
    uint8_t master_key[32] = "a master key for tests, no more";
    struct ael_session_factory_options options = AEL_SESSION_FACTORY_OPTIONS_INIT;
    struct ael_policy policy = AEL_POLICY_INIT;
    char partition[16];
    CU_ASSERT_EQUAL_FATAL(ael_kms_static_from_bytes(master_key, sizeof master_key, &service->kms, NULL), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_metastore_memory_new(&service->metastore), AEL_OK);
    policy.intermediate_key_cache_max = SESSIONS / 2;
    options.service = "svc";
    options.product = "prod";
    options.kms = service->kms;
    options.metastore = service->metastore;
    options.policy = &policy;
    CU_ASSERT_EQUAL_FATAL(ael_session_factory_new(&options, &service->factory, NULL), AEL_OK);
    for (int i = 0; i < SESSIONS; i++) {
        (void)snprintf(partition, sizeof partition, "p%d", i);
        CU_ASSERT_EQUAL_FATAL(
            ael_session_acquire(service->factory, partition, &service->sessions[i], NULL), AEL_OK);
    }
    atomic_store(&service->failures, 0);
}

static void close_service(struct service *service) {
    for (int i = 0; i < SESSIONS; i++) {
        ael_session_release(service->sessions[i]);
    }
    ael_session_factory_free(service->factory);
    ael_metastore_release(service->metastore);
    ael_kms_release(service->kms);
}

static bool goes_round(struct ael_session *session, struct ael_record_buf *record, struct ael_buf *plain) {
    static const char k_text[] = "some text";
    struct ael_bytes text = ael_bytes_from_text(k_text);
    return ael_session_encrypt(session, text, record, NULL, NULL) == AEL_OK
           && ael_session_decrypt(session, &record->record, plain, NULL, NULL) == AEL_OK && plain->len == text.len;
}

static void *go_round(void *service_) {
    struct service *service = service_;
    struct ael_record_buf record = AEL_RECORD_BUF_INIT;
    struct ael_buf plain = AEL_BUF_INIT;
    uint32_t number = (uint32_t)(uintptr_t)pthread_self() >> 8;
    for (int i = 0; i < soak_count(500, 100000); i++) {
        number = number * 1664525u + 1013904223u;
        if (!goes_round(service->sessions[(number >> 16) % SESSIONS], &record, &plain)) {
            atomic_fetch_add(&service->failures, 1);
        }
    }
    ael_record_buf_clear(&record);
    ael_buf_clear(&plain);
    return NULL;
}

static void test_sessions__whose_keys_are_evicted_under_them(void) {
    static struct service service;
    pthread_t threads[BORROWERS];
    open_service(&service);
    for (int i = 0; i < BORROWERS; i++) {
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, go_round, &service), 0);
    }
    for (int i = 0; i < BORROWERS; i++) {
        pthread_join(threads[i], NULL);
    }
    struct ael_session_factory_stats stats = {.size = sizeof stats};
    CU_ASSERT_EQUAL(ael_session_factory_stats(service.factory, &stats), AEL_OK);
    CU_ASSERT_EQUAL(atomic_load(&service.failures), 0);
    CU_ASSERT_TRUE(stats.intermediate_key_evictions > 0);
    CU_ASSERT_TRUE(stats.intermediate_keys_cached <= SESSIONS / 2);
    close_service(&service);
}

static const struct test_case k_cases[] = {
    {"borrowing against replacements", test_borrow__against_replacements},
    {"the same with fences", test_borrow__against_replacements_with_fences},
    {"keys evicted under their sessions", test_sessions__whose_keys_are_evicted_under_them},
};

TEST_SUITE_MAIN("key_memo_threads", k_cases)
