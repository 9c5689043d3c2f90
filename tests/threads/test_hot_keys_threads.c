/*
 * tests/threads/test_hot_keys_threads.c - schedules used by some threads while others evict, wipe and replace them: what is
 * sealed must open, by another thread and by the key itself.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "crypto/crypto_key.h"
#include "crypto/key_schedule.h"
#include "securememory/protected.h"
#include "tests/support/soak.h"
#include "tests/support/suite.h"

#include <ael/memory.h>

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum { USERS = 4, KEYS = AEL_HOT_KEYS_MAX + 4, WRAPPED_BYTES = AEL_KEY_BYTES + AEL_AEAD_OVERHEAD_BYTES };

static struct ael_crypto_key *g_keys[KEYS];
static atomic_uint g_wrong;
static atomic_uint g_running;
static int g_rounds;

static void expect(bool good) {
    if (!good) {
        atomic_fetch_add(&g_wrong, 1);
    }
}

static struct ael_crypto_key *new_key(uint8_t fill) {
    struct ael_scratch scratch;
    struct ael_crypto_key *key = NULL;
    CU_ASSERT_EQUAL_FATAL(ael_scratch_begin(&scratch, NULL), AEL_OK);
    memset(scratch.bytes, fill, AEL_KEY_BYTES);
    CU_ASSERT_EQUAL_FATAL(
        ael_crypto_key_new(
            AEL_KEY_KIND_INTERMEDIATE, ael_bytes_from_text("_IK_p_s_p"), 1800000000, false, scratch.bytes,
            &key),
        AEL_OK);
    CU_ASSERT_EQUAL(ael_scratch_end(&scratch), AEL_OK);
    return key;
}

/* Sealed by what is hot, perhaps, and opened by the key itself; then the other way round. */
static void round_trip(unsigned key, uint8_t fill) {
    struct ael_scratch scratch;
    uint8_t sealed[WRAPPED_BYTES];
    if (ael_scratch_begin(&scratch, NULL) != AEL_OK) {
        expect(false);
        return;
    }
    uint8_t *plain = scratch.bytes;
    struct ael_bytes whole = {sealed, sizeof sealed};
    memset(plain, fill, AEL_KEY_BYTES);
    expect(ael_crypto_key_seal(g_keys[key], scratch.bytes + 64, plain, sealed) == AEL_OK);
    memset(plain, (int)key + 1, AEL_KEY_BYTES);
    expect(ael_aead_open(scratch.bytes + 64, plain, whole, plain + AEL_KEY_BYTES) == AEL_OK);
    expect(plain[AEL_KEY_BYTES] == fill);
    expect(ael_crypto_key_unseal(g_keys[key], scratch.bytes + 64, whole, plain) == AEL_OK);
    expect(plain[0] == fill && plain[AEL_KEY_BYTES - 1] == fill);
    expect(ael_scratch_end(&scratch) == AEL_OK);
}

static void *use_keys(void *context) {
    unsigned number = *(const unsigned *)context;
    for (int i = 0; i < g_rounds; i++) {
        unsigned favourite = (unsigned)i / 50 % KEYS;
        round_trip(i % 5 == 0 ? ((unsigned)i * 7 + number) % KEYS : favourite, (uint8_t)(i + 1));
    }
    atomic_fetch_sub(&g_running, 1);
    return NULL;
}

/* Evicts keys and has all be idle, as fast as it can. */
static void disturb(void) {
    struct ael_hot_keys *hot = &ael_protected()->hot;
    int64_t now_ns = INT64_MAX / 2;
    for (unsigned i = 0; atomic_load(&g_running) != 0; i++) {
        uint64_t owner = atomic_load(&hot->places[i % AEL_HOT_KEYS_MAX].owner);
        if (i % 3 == 0 && owner != 0) {
            ael_hot_keys_evict(hot, owner);
        } else if (i % 64 == 0) {
            ael_hot_keys_tend(hot, now_ns += INT64_C(1) << 40);
        }
        expect(ael_hot_keys_filled(hot) <= hot->count);
    }
}

static void run_at(enum ael_protection_level level) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    pthread_t threads[USERS];
    unsigned numbers[USERS];
    CU_ASSERT_EQUAL_FATAL(ael_shutdown(1000), AEL_OK);
    options.key_level = level;
    options.lease_us = 50;
    CU_ASSERT_EQUAL_FATAL(ael_memory_configure(&options, NULL), AEL_OK);
    for (unsigned i = 0; i < KEYS; i++) {
        g_keys[i] = new_key((uint8_t)(i + 1));
    }
    atomic_store(&g_running, USERS);
    for (unsigned i = 0; i < USERS; i++) {
        numbers[i] = i;
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, use_keys, &numbers[i]), 0);
    }
    disturb();
    for (unsigned i = 0; i < USERS; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    for (unsigned i = 0; i < KEYS; i++) {
        ael_crypto_key_release(g_keys[i]);
    }
    struct ael_memory_stats stats = AEL_MEMORY_STATS_INIT;
    CU_ASSERT_EQUAL(ael_memory_stats(&stats), AEL_OK);
    CU_ASSERT_EQUAL(stats.hot_keys_filled, 0);
    CU_ASSERT_EQUAL(atomic_load(&g_wrong), 0);
    CU_ASSERT_EQUAL(ael_shutdown(1000), AEL_OK);
}

static void test_hot_keys__are_right_while_they_are_evicted(void) {
    g_rounds = soak_count(40000, 2000000);
    run_at(AEL_PROTECTION_LEASED);
}

static void test_hot_keys__are_right_in_memory_that_is_never_closed(void) {
    g_rounds = soak_count(20000, 400000);
    run_at(AEL_PROTECTION_OPEN);
}

static const struct test_case k_cases[] = {
    {"evicted meanwhile", test_hot_keys__are_right_while_they_are_evicted},
    {"never closed", test_hot_keys__are_right_in_memory_that_is_never_closed},
};

TEST_SUITE_MAIN("hot_keys_threads", k_cases)
