/* SPDX-License-Identifier: Apache-2.0 */
/* A memo of a key: borrowing, replacing while borrowed; and a session's, which follows its cache. */
#include "appencryption/cache/key_memo.h"
#include "appencryption/session/session_parts.h"
#include "base/clock.h"
#include "tests/support/fixture.h"
#include "tests/support/suite.h"

#include <pthread.h>

/* ---- the memo alone ---- */

static struct ael_cached_key *make_key(int64_t created_s) {
    static const uint8_t k_bytes[AEL_KEY_BYTES] = {3};
    struct ael_crypto_key *key = NULL;
    struct ael_cached_key *cached = NULL;
    CU_ASSERT_EQUAL_FATAL(
        ael_crypto_key_new(
            AEL_KEY_KIND_INTERMEDIATE, ael_bytes_from_text("id"), created_s, false, k_bytes, &key),
        AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_cached_key_new(key, NULL, 1, &cached), AEL_OK);
    return cached;
}

static uint32_t holders(const struct ael_cached_key *key) {
    return atomic_load(&key->count.holders);
}

static void test_borrow__of_an_empty_memo_gives_nothing(void) {
    struct ael_key_memo memo = {NULL};
    uint32_t place = 0;
    CU_ASSERT_PTR_NULL(ael_key_memo_borrow(&memo, &place));
    ael_key_memo_clear(&memo);
}

static void test_set__holds_a_reference_of_its_own_and_only_one(void) {
    struct ael_key_memo memo = {NULL};
    struct ael_cached_key *key = make_key(1);
    uint32_t place = 0;
    ael_key_memo_set(&memo, key);
    ael_key_memo_set(&memo, key);
    CU_ASSERT_EQUAL(holders(key), 2);
    CU_ASSERT_PTR_EQUAL(ael_key_memo_borrow(&memo, &place), key);
    CU_ASSERT_EQUAL(holders(key), 2); /* a loan is not counted */
    ael_key_memo_give_back(place);
    ael_key_memo_clear(&memo);
    CU_ASSERT_EQUAL(holders(key), 1);
    ael_cached_key_release(key);
}

static void test_set__drops_a_key_that_nobody_borrows(void) {
    struct ael_key_memo memo = {NULL};
    struct ael_cached_key *first = make_key(1);
    struct ael_cached_key *second = make_key(2);
    uint32_t place = 0;
    ael_key_memo_set(&memo, first);
    ael_key_memo_set(&memo, second);
    ael_cached_key_sweep();
    CU_ASSERT_EQUAL(holders(first), 1);
    CU_ASSERT_PTR_EQUAL(ael_key_memo_borrow(&memo, &place), second);
    ael_key_memo_give_back(place);
    ael_key_memo_clear(&memo);
    ael_cached_key_release(first);
    ael_cached_key_release(second);
}

static void test_set__lets_a_borrowed_key_live(void) {
    struct ael_key_memo memo = {NULL};
    struct ael_key_memo other = {NULL};
    struct ael_cached_key *first = make_key(1);
    struct ael_cached_key *second = make_key(2);
    uint32_t place = 0;
    ael_key_memo_set(&memo, first);
    ael_key_memo_set(&other, first);
    CU_ASSERT_PTR_EQUAL(ael_key_memo_borrow(&memo, &place), first);
    ael_key_memo_set(&memo, second);
    ael_key_memo_set(&other, second);
    CU_ASSERT_EQUAL(holders(first), 2); /* one memo's reference was put off, and waits for the other, too */
    ael_cached_key_sweep();
    CU_ASSERT_EQUAL(holders(first), 2);
    ael_key_memo_give_back(place);
    ael_cached_key_sweep();
    CU_ASSERT_EQUAL(holders(first), 1);
    ael_key_memo_clear(&memo);
    ael_key_memo_clear(&other);
    ael_cached_key_release(first);
    ael_cached_key_release(second);
}

static void test_borrow__refuses_a_thread_that_pins_too_much(void) {
    struct ael_key_memo memo = {NULL};
    struct ael_cached_key *key = make_key(1);
    uint32_t places[AEL_THREAD_PINS];
    uint32_t place = 0;
    ael_key_memo_set(&memo, key);
    for (int i = 0; i < AEL_THREAD_PINS; i++) {
        CU_ASSERT_PTR_EQUAL(ael_key_memo_borrow(&memo, &places[i]), key);
    }
    CU_ASSERT_PTR_NULL(ael_key_memo_borrow(&memo, &place));
    for (int i = 0; i < AEL_THREAD_PINS; i++) {
        ael_key_memo_give_back(places[i]);
    }
    ael_key_memo_clear(&memo);
    ael_cached_key_release(key);
}

/* ---- a session's memo ---- */

static uint64_t loads(const struct fixture *fix) {
    return (uint64_t)(fix->metastore->calls[FAKE_LOAD] + fix->metastore->calls[FAKE_LOAD_LATEST]);
}

static void test_warm_calls__are_hits_and_load_nothing(void) {
    struct fixture fix;
    fixture_begin(&fix);
    struct ael_session *session = fixture_session(&fix, "p");
    struct ael_record_buf record = fixture_record(session);
    uint64_t loaded = loads(&fix);
    for (int i = 0; i < 5; i++) {
        CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_OK);
        CU_ASSERT_EQUAL(fixture_decrypt(session, &record.record), AEL_OK);
    }
    CU_ASSERT_EQUAL(fixture_stats(fix.factory).intermediate_key_hits, 10);
    CU_ASSERT_EQUAL(loads(&fix), loaded);
    CU_ASSERT_PTR_NOT_NULL(atomic_load(&session->memo.key));
    ael_record_buf_clear(&record);
    ael_session_release(session);
    fixture_end(&fix);
}

static void test_interval__is_kept_by_a_session_with_a_memo(void) {
    struct fixture fix;
    fixture_begin(&fix);
    struct ael_session *session = fixture_session(&fix, "p");
    CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_OK);
    CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_OK);
    uint64_t loaded = loads(&fix);
    ael_clock_advance_for_test(3600 / 5 * 4 - 1);
    CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_OK);
    CU_ASSERT_EQUAL(loads(&fix), loaded);
    ael_clock_advance_for_test(1);
    CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_OK);
    CU_ASSERT_TRUE(loads(&fix) > loaded);
    fake_metastore_fail_all(fix.metastore, AEL_E_UNREACHABLE);
    ael_clock_advance_for_test(2 * 3600);
    CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_E_KEY_STALE);
    ael_session_release(session);
    fixture_end(&fix);
}

/* A cache of so few keys, of which the sessions know one each. */
static void begin_small(struct fixture *fix, size_t keys, struct ael_session **sessions, size_t count) {
    static const char *const k_partitions[] = {"a", "b", "c"};
    struct ael_policy policy = AEL_POLICY_INIT;
    policy.intermediate_key_cache_max = keys;
    policy.intermediate_key_cache_eviction = AEL_EVICTION_LRU;
    fixture_begin_with(fix, &policy, NULL);
    for (size_t i = 0; i < count; i++) {
        sessions[i] = fixture_session(fix, k_partitions[i]);
    }
}

static void end_small(struct fixture *fix, struct ael_session **sessions, size_t count) {
    for (size_t i = 0; i < count; i++) {
        ael_session_release(sessions[i]);
    }
    fixture_end(fix);
}

static bool encrypt_loads(struct fixture *fix, struct ael_session *session) {
    uint64_t loaded = loads(fix);
    CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_OK);
    return loads(fix) > loaded;
}

static void test_evicted_key__is_not_used_from_the_memo(void) {
    struct fixture fix;
    struct ael_session *sessions[2];
    begin_small(&fix, 1, sessions, 2);
    struct ael_record_buf record = fixture_record(sessions[0]);
    CU_ASSERT_TRUE(encrypt_loads(&fix, sessions[1])); /* and the first goes */
    CU_ASSERT_TRUE(encrypt_loads(&fix, sessions[0]));
    CU_ASSERT_TRUE(encrypt_loads(&fix, sessions[1]));
    uint64_t loaded = loads(&fix);
    CU_ASSERT_EQUAL(fixture_decrypt(sessions[0], &record.record), AEL_OK);
    CU_ASSERT_TRUE(loads(&fix) > loaded);
    ael_record_buf_clear(&record);
    end_small(&fix, sessions, 2);
}

static void test_use_by_the_memo__counts_for_eviction(void) {
    struct fixture fix;
    struct ael_session *sessions[3];
    begin_small(&fix, 2, sessions, 3);
    CU_ASSERT_TRUE(encrypt_loads(&fix, sessions[0]));
    CU_ASSERT_TRUE(encrypt_loads(&fix, sessions[1]));
    CU_ASSERT_FALSE(encrypt_loads(&fix, sessions[0])); /* behind the cache's back */
    CU_ASSERT_TRUE(encrypt_loads(&fix, sessions[2]));
    CU_ASSERT_FALSE(encrypt_loads(&fix, sessions[0]));
    CU_ASSERT_TRUE(encrypt_loads(&fix, sessions[1]));
    end_small(&fix, sessions, 3);
}

static void test_keys_all_in_use__do_not_keep_the_cache_from_its_bound(void) {
    struct fixture fix;
    struct ael_session *sessions[3];
    begin_small(&fix, 2, sessions, 3);
    for (int round = 0; round < 2; round++) {
        (void)encrypt_loads(&fix, sessions[0]);
        (void)encrypt_loads(&fix, sessions[1]);
    }
    (void)encrypt_loads(&fix, sessions[2]);
    CU_ASSERT_EQUAL(fixture_stats(fix.factory).intermediate_keys_cached, 2);
    end_small(&fix, sessions, 3);
}

/* A session decrypts with its memo's key, and keeps it while older records come between. */
static void test_older_records__do_not_push_the_key_out(void) {
    struct fixture fix;
    fixture_begin(&fix);
    struct ael_session *session = fixture_session(&fix, "p");
    struct ael_record_buf old = fixture_record(session);
    ael_clock_advance_for_test(91 * 86400); /* expired */
    struct ael_record_buf young = fixture_record(session);
    struct ael_cached_key *key = atomic_load(&session->memo.key);
    CU_ASSERT_NOT_EQUAL(old.record.parent_created_s, young.record.parent_created_s);
    CU_ASSERT_EQUAL(fixture_decrypt(session, &old.record), AEL_OK);
    CU_ASSERT_EQUAL(fixture_decrypt(session, &young.record), AEL_OK);
    CU_ASSERT_PTR_EQUAL(atomic_load(&session->memo.key), key);
    ael_record_buf_clear(&old);
    ael_record_buf_clear(&young);
    ael_session_release(session);
    fixture_end(&fix);
}

/* The key of a session that only ever decrypts is a dated one: to encrypt it asks for the latest. */
static void test_dated_key__does_not_encrypt(void) {
    struct fixture fix;
    fixture_begin(&fix);
    struct ael_session *session = fixture_session(&fix, "p");
    struct ael_record_buf record = fixture_record(session);
    struct ael_session_factory *factory = fixture_other_factory(&fix, NULL);
    struct ael_session *other = NULL;
    CU_ASSERT_EQUAL_FATAL(ael_session_acquire(factory, "p", &other, NULL), AEL_OK);
    CU_ASSERT_EQUAL(fixture_decrypt(other, &record.record), AEL_OK);
    CU_ASSERT_PTR_NOT_NULL(atomic_load(&other->memo.key));
    int latest = fix.metastore->calls[FAKE_LOAD_LATEST];
    CU_ASSERT_EQUAL(fixture_encrypt(other, NULL), AEL_OK);
    CU_ASSERT_TRUE(fix.metastore->calls[FAKE_LOAD_LATEST] > latest);
    ael_record_buf_clear(&record);
    ael_session_release(other);
    ael_session_factory_free(factory);
    ael_session_release(session);
    fixture_end(&fix);
}

static void test_no_cache__no_memo(void) {
    struct fixture fix;
    struct ael_policy policy = AEL_POLICY_INIT;
    policy.cache_intermediate_keys = false;
    fixture_begin_with(&fix, &policy, NULL);
    struct ael_session *session = fixture_session(&fix, "p");
    CU_ASSERT_TRUE(encrypt_loads(&fix, session));
    CU_ASSERT_TRUE(encrypt_loads(&fix, session));
    CU_ASSERT_PTR_NULL(atomic_load(&session->memo.key));
    ael_session_release(session);
    fixture_end(&fix);
}

static const struct test_case k_cases[] = {
    {"an empty memo", test_borrow__of_an_empty_memo_gives_nothing},
    {"a reference of its own", test_set__holds_a_reference_of_its_own_and_only_one},
    {"a key nobody borrows goes", test_set__drops_a_key_that_nobody_borrows},
    {"a borrowed key lives", test_set__lets_a_borrowed_key_live},
    {"too many pins", test_borrow__refuses_a_thread_that_pins_too_much},
    {"warm calls", test_warm_calls__are_hits_and_load_nothing},
    {"the interval", test_interval__is_kept_by_a_session_with_a_memo},
    {"an evicted key", test_evicted_key__is_not_used_from_the_memo},
    {"use counts for eviction", test_use_by_the_memo__counts_for_eviction},
    {"the bound holds", test_keys_all_in_use__do_not_keep_the_cache_from_its_bound},
    {"older records", test_older_records__do_not_push_the_key_out},
    {"a dated key", test_dated_key__does_not_encrypt},
    {"without a cache", test_no_cache__no_memo},
};

TEST_SUITE_MAIN("key_memo", k_cases)
