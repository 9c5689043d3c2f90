/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "securememory/protected.h"
#include "securememory/seal_shards.h"
#include "securememory/secret_state.h"
#include "tests/support/child.h"
#include "tests/support/soak.h"
#include "tests/support/suite.h"

#include <ael/memory.h>
#include <ael/secret.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Root keys drawn anew, seals renewed and old roots wiped while threads seal, open, close and fork. */

enum {
    SEALERS = 2,
    LASTING = 50, /* keys and secrets that live through it all, a thread's */
    MOST_PAIRS = 1 << 22,
    LONG_LEN = 200, /* opened under a lock */
};

static const struct ael_key_binding k_binding = {1, 3, 4, AEL_KEY_KIND_INTERMEDIATE, 5};
static const uint8_t k_key[AEL_KEY_BYTES] = "thirty-two bytes of a key, here!";

static atomic_uint g_wrong;
static atomic_bool g_over;

static void expect(bool good) {
    if (!good) {
        atomic_fetch_add(&g_wrong, 1);
    }
}

/* Every seal that a test sees: a root's number and a nonce. */
struct pair {
    uint64_t nonce;
    uint32_t root;
};

struct sealer {
    pthread_t thread;
    struct pair *pairs;
    size_t count;
    atomic_size_t made; /* rounds that it is through with */
    struct ael_sealed_key keys[LASTING];
    struct ael_secret *secrets[LASTING];
};

static void set_up(enum ael_protection_level key_level, uint64_t seals) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    CU_ASSERT_EQUAL_FATAL(ael_shutdown(1000), AEL_OK);
    options.key_level = key_level;
    options.lease_us = 50;
    options.rekey_seals = seals;
    options.slot_idle_ms = 1;
    CU_ASSERT_EQUAL_FATAL(ael_memory_configure(&options, NULL), AEL_OK);
    atomic_store(&g_wrong, 0);
    atomic_store(&g_over, false);
}

static struct ael_memory_stats stats_now(void) {
    struct ael_memory_stats stats = AEL_MEMORY_STATS_INIT;
    expect(ael_memory_stats(&stats) == AEL_OK);
    return stats;
}

/* Only the thread that made it renews nothing; the sweep may, so the look is under the shard's lock. */
static void record(struct sealer *sealer, const struct ael_sealed *sealed) {
    struct ael_seal_shard *shard = ael_seal_shard(sealed->shard);
    struct pair pair;
    ael_mutex_lock(&shard->lock);
    pair = (struct pair){sealed->nonce, sealed->root};
    ael_mutex_unlock(&shard->lock);
    if (sealer->count < MOST_PAIRS) {
        sealer->pairs[sealer->count++] = pair;
    }
}

static bool key_opens(const struct ael_sealed_key *sealed) {
    uint8_t key[AEL_KEY_BYTES];
    return ael_sealed_key_open(sealed, &k_binding, key) == AEL_OK && memcmp(key, k_key, sizeof key) == 0;
}

static bool secret_opens(struct ael_secret *secret, uint8_t letter) {
    uint8_t copy[LONG_LEN];
    bool good = ael_secret_open_into(secret, copy, sizeof copy) == AEL_OK;
    for (size_t i = 0; i < ael_secret_len(secret); i++) {
        good = good && copy[i] == letter;
    }
    return good;
}

static struct ael_secret *secret_of(uint8_t letter, size_t len) {
    uint8_t source[LONG_LEN];
    struct ael_secret *secret = NULL;
    memset(source, letter, len);
    expect(ael_secret_new(source, len, &secret) == AEL_OK);
    return secret;
}

static void make_lasting(struct sealer *sealer) {
    sealer->pairs = ael_alloc_array(MOST_PAIRS, sizeof *sealer->pairs);
    CU_ASSERT_PTR_NOT_NULL_FATAL(sealer->pairs);
    for (size_t i = 0; i < LASTING; i++) {
        expect(ael_sealed_key_make(k_key, &k_binding, &sealer->keys[i]) == AEL_OK);
        sealer->secrets[i] = secret_of((uint8_t)i, i % 2 == 0 ? 32 : LONG_LEN);
    }
}

static void drop_lasting(struct sealer *sealer) {
    for (size_t i = 0; i < LASTING; i++) {
        expect(key_opens(&sealer->keys[i]));
        expect(secret_opens(sealer->secrets[i], (uint8_t)i));
        ael_sealed_key_drop(&sealer->keys[i]);
        expect(ael_secret_close(sealer->secrets[i]) == AEL_OK);
        ael_secret_release(sealer->secrets[i]);
    }
    ael_free(sealer->pairs);
}

/* Not where forks happen: a child leaks what another thread was just making. */
static atomic_bool g_makes_secrets;

static void make_and_close(struct sealer *sealer, size_t len) {
    struct ael_secret *secret = secret_of('s', len);
    record(sealer, &secret->seal);
    expect(secret_opens(secret, 's'));
    expect(ael_secret_close(secret) == AEL_OK);
    ael_secret_release(secret);
}

static void *seal_and_open(void *context) {
    struct sealer *sealer = context;
    for (size_t i = 0; !atomic_load(&g_over); i++) {
        struct ael_sealed_key sealed;
        if (atomic_load(&g_makes_secrets)) {
            make_and_close(sealer, i % 3 == 0 ? LONG_LEN : 16);
        }
        expect(ael_sealed_key_make(k_key, &k_binding, &sealed) == AEL_OK);
        record(sealer, &sealed.seal);
        expect(key_opens(&sealed));
        expect(key_opens(&sealer->keys[i % LASTING]));
        expect(secret_opens(sealer->secrets[i % LASTING], (uint8_t)(i % LASTING)));
        ael_sealed_key_drop(&sealed);
        atomic_fetch_add(&sealer->made, 1);
    }
    return NULL;
}

static int compare_pairs(const void *a_, const void *b_) {
    const struct pair *a = a_;
    const struct pair *b = b_;
    if (a->root != b->root) {
        return a->root < b->root ? -1 : 1;
    }
    return (a->nonce > b->nonce) - (a->nonce < b->nonce);
}

static size_t repeated(const struct sealer *sealers) {
    size_t count = sealers[0].count + sealers[1].count;
    struct pair *all = ael_alloc_array(count + 1, sizeof *all);
    size_t same = 0;
    CU_ASSERT_PTR_NOT_NULL_FATAL(all);
    memcpy(all, sealers[0].pairs, sealers[0].count * sizeof *all);
    memcpy(all + sealers[0].count, sealers[1].pairs, sealers[1].count * sizeof *all);
    qsort(all, count, sizeof *all, compare_pairs);
    for (size_t i = 1; i < count; i++) {
        same += compare_pairs(&all[i - 1], &all[i]) == 0;
    }
    ael_free(all);
    return same;
}

static struct sealer g_sealers[SEALERS];

static void start(void) {
    memset(g_sealers, 0, sizeof g_sealers);
    for (size_t i = 0; i < SEALERS; i++) {
        make_lasting(&g_sealers[i]);
    }
    for (size_t i = 0; i < SEALERS; i++) {
        CU_ASSERT_EQUAL_FATAL(pthread_create(&g_sealers[i].thread, NULL, seal_and_open, &g_sealers[i]), 0);
    }
}

static void stop(void) {
    atomic_store(&g_over, true);
    for (size_t i = 0; i < SEALERS; i++) {
        (void)pthread_join(g_sealers[i].thread, NULL);
    }
}

/* A busy machine may be through with the re-keys before one of them has begun. */
static bool have_sealed(uint64_t rekeys) {
    return atomic_load(&g_sealers[0].made) > rekeys && atomic_load(&g_sealers[1].made) > 0;
}

/* This thread opens the others' keys meanwhile. */
static void run_through(uint64_t rekeys) {
    atomic_store(&g_makes_secrets, true);
    start();
    for (size_t i = 0; stats_now().rekeys < rekeys || !have_sealed(rekeys); i++) {
        struct sealer *other = &g_sealers[i % SEALERS];
        expect(key_opens(&other->keys[i % LASTING]));
        expect(secret_opens(other->secrets[i % LASTING], (uint8_t)(i % LASTING)));
    }
    stop();
    CU_ASSERT_EQUAL(repeated(g_sealers), 0);
    CU_ASSERT_TRUE(g_sealers[0].count > rekeys && g_sealers[1].count > 0);
    CU_ASSERT_TRUE(stats_now().reseals > 0);
    CU_ASSERT_TRUE(stats_now().roots_wiped + AEL_ROOTS_MAX >= rekeys);
    for (size_t i = 0; i < SEALERS; i++) {
        drop_lasting(&g_sealers[i]);
    }
    CU_ASSERT_EQUAL(stats_now().sealed, 0);
    CU_ASSERT_EQUAL(atomic_load(&g_wrong), 0);
}

static void test_rekey__many_times_under_two_sealing_threads(void) {
    set_up(AEL_PROTECTION_LEASED, 100);
    run_through((uint64_t)soak_count(200, 1000));
}

static void test_rekey__by_the_operations_of_two_threads(void) {
    set_up(AEL_PROTECTION_STRICT, 100);
    run_through((uint64_t)soak_count(20, 1000));
}

/* -- forks -- */

/* All that lasted, and something new; the child's threads are gone. */
static int everything_opens(void) {
    for (size_t i = 0; i < SEALERS; i++) {
        for (size_t j = 0; j < LASTING; j++) {
            if (!key_opens(&g_sealers[i].keys[j]) || !secret_opens(g_sealers[i].secrets[j], (uint8_t)j)) {
                return 1;
            }
        }
    }
    struct ael_sealed_key sealed;
    bool good = ael_sealed_key_make(k_key, &k_binding, &sealed) == AEL_OK && key_opens(&sealed);
    ael_sealed_key_drop(&sealed);
    return good ? 0 : 2;
}

static int everything_opens_two_generations_later(void) {
    int result = everything_opens();
    return result != 0 ? result : child_run(everything_opens);
}

static void test_rekey__while_forks_happen(void) {
    int forks = soak_count(20, 1000);
    set_up(AEL_PROTECTION_LEASED, 100);
    atomic_store(&g_makes_secrets, false);
    start();
    int wrong = 0;
    for (int i = 0; i < forks; i++) {
        wrong += child_run(i % 4 == 0 ? everything_opens_two_generations_later : everything_opens) != 0;
    }
    stop();
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_TRUE(stats_now().rekeys > 0);
    for (size_t i = 0; i < SEALERS; i++) {
        drop_lasting(&g_sealers[i]);
    }
    CU_ASSERT_EQUAL(atomic_load(&g_wrong), 0);
}

static const struct test_case k_cases[] = {
    {"many re-keys", test_rekey__many_times_under_two_sealing_threads},
    {"by operations", test_rekey__by_the_operations_of_two_threads},
    {"forks", test_rekey__while_forks_happen},
};

TEST_SUITE_MAIN("rekey_threads", k_cases)
