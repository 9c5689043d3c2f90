/* SPDX-License-Identifier: Apache-2.0 */
/* The barrier, where the kernel refuses what it had agreed to. Each case in a child, because that is for good. */
#include "appencryption/cache/key_memo.h"
#include "base/barrier.h"
#include "securememory/protected.h"
#include "tests/support/child.h"
#include "tests/support/no_barrier.h"
#include "tests/support/suite.h"

#include <ael/memory.h>
#include <ael/secret.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

enum { ROUNDS = 20, CANNOT = 99, SHUTDOWN_MS = 5000 };

static atomic_bool g_first_is_done;

static void *pass_surely(void *nothing) {
    ael_barrier_heavy_surely();
    atomic_store(&g_first_is_done, true);
    return nothing;
}

/* 1 when this thread passes while the first still waits for stores of before its light sides were fences. */
static int pass_behind_another(void) {
    pthread_t thread;
    if (!no_barrier_from_now_on() || pthread_create(&thread, NULL, pass_surely, NULL) != 0) {
        return CANNOT;
    }
    while (!atomic_load(&ael_barrier_light_is_fence)) {
    }
    bool passed = ael_barrier_heavy();
    bool early = passed && !atomic_load(&g_first_is_done);
    (void)pthread_join(thread, NULL);
    return early || !ael_barrier_heavy() ? 1 : 0;
}

/* The first may be just done: some rounds. */
static void test_heavy__refused_passes_nobody_before_the_first_has_waited(void) {
    for (int i = 0; i < ROUNDS && no_barrier_can_be_tested(); i++) {
        CU_ASSERT_EQUAL(child_run(pass_behind_another), 0);
    }
}

static struct ael_secret *set_up(enum ael_protection_level key_level) {
    uint8_t source[32] = {'s'};
    struct ael_secret *secret = NULL;
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    options.key_level = key_level;
    bool good = ael_memory_configure(&options, NULL) == AEL_OK &&
                ael_secret_new(source, sizeof source, &secret) == AEL_OK;
    return good && no_barrier_from_now_on() ? secret : NULL;
}

static bool use(struct ael_secret *secret) {
    struct ael_secret_access access;
    return ael_secret_access_begin(secret, &access) == AEL_OK && ael_secret_access_end(&access) == AEL_OK;
}

/* The page of the root keys, and all else that is leased. */
static bool is_shut_in_time(void) {
    struct ael_protected *memory = ael_protected();
    int64_t end_ns = ael_warden_now_ns() + INT64_C(20) * 1000000000;
    bool open = true;
    while (open && ael_warden_now_ns() < end_ns) {
        (void)sched_yield();
        open = ael_lease_is_open(&memory->roots.region.lease) ||
               ael_lease_is_open(&memory->scratch.region.lease);
    }
    return !open;
}

static int leased_is_shut_and_shuts_down(void) {
    struct ael_secret *secret = set_up(AEL_PROTECTION_LEASED);
    if (secret == NULL) {
        return CANNOT;
    }
    bool good = use(secret) && is_shut_in_time();
    ael_secret_release(secret);
    return good && ael_shutdown(SHUTDOWN_MS) == AEL_OK ? 0 : 1;
}

static void test_lease__is_shut_without_the_kernels_barrier(void) {
    if (no_barrier_can_be_tested()) {
        CU_ASSERT_EQUAL(child_run(leased_is_shut_and_shuts_down), 0);
    }
}

static int strict_shuts_down(void) {
    struct ael_secret *secret = set_up(AEL_PROTECTION_STRICT);
    if (secret == NULL) {
        return CANNOT;
    }
    bool good = use(secret);
    ael_secret_release(secret);
    return good && ael_shutdown(SHUTDOWN_MS) == AEL_OK ? 0 : 1;
}

static void test_shutdown__works_without_the_kernels_barrier(void) {
    if (no_barrier_can_be_tested()) {
        CU_ASSERT_EQUAL(child_run(strict_shuts_down), 0);
    }
}

static struct ael_cached_key *make_key(int64_t created_s) {
    static const uint8_t k_bytes[AEL_KEY_BYTES] = {3};
    struct ael_crypto_key *key = NULL;
    struct ael_cached_key *cached = NULL;
    enum ael_status status = ael_crypto_key_new(
        AEL_KEY_KIND_INTERMEDIATE, ael_bytes_from_text("id"), created_s, false, k_bytes, &key);
    return status == AEL_OK && ael_cached_key_new(key, NULL, 1, &cached) == AEL_OK ? cached : NULL;
}

/* Also while it is borrowed once, at first. */
static int memo_drops_keys(void) {
    struct ael_key_memo memo = {NULL};
    struct ael_cached_key *first = make_key(1);
    struct ael_cached_key *second = make_key(2);
    uint32_t place = 0;
    if (first == NULL || second == NULL || !no_barrier_from_now_on()) {
        return CANNOT;
    }
    ael_key_memo_set(&memo, first);
    bool good = ael_key_memo_borrow(&memo, &place) == first;
    ael_key_memo_set(&memo, second);
    good = good && atomic_load(&first->count.holders) == 2;
    ael_key_memo_give_back(place);
    ael_cached_key_sweep();
    return good && atomic_load(&first->count.holders) == 1 ? 0 : 1;
}

static void test_memo__drops_keys_without_the_kernels_barrier(void) {
    if (no_barrier_can_be_tested()) {
        CU_ASSERT_EQUAL(child_run(memo_drops_keys), 0);
    }
}

static const struct test_case k_cases[] = {
    {"refused: nobody passes early", test_heavy__refused_passes_nobody_before_the_first_has_waited},
    {"refused: a lease ends", test_lease__is_shut_without_the_kernels_barrier},
    {"refused: shut-down", test_shutdown__works_without_the_kernels_barrier},
    {"refused: a memo", test_memo__drops_keys_without_the_kernels_barrier},
};

TEST_SUITE_MAIN("barrier", k_cases)
