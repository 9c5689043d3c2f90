/*
 * tests/unit/test_crypto_key.c - a sealed key, its nonces and its holders.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "crypto/crypto_key.h"

#include "base/alloc.h"
#include "crypto/aead.h"
#include "tests/support/suite.h"

#include <pthread.h>
#include <ael/memory.h>

#include <string.h>

enum { WRAPPED_BYTES = AEL_KEY_BYTES + AEL_AEAD_OVERHEAD_BYTES };

static const int64_t k_created_s = 1795255080;

static struct ael_crypto_key *new_key(uint8_t fill) {
    struct ael_scratch scratch;
    struct ael_crypto_key *key = NULL;
    CU_ASSERT_EQUAL_FATAL(ael_scratch_begin(&scratch, NULL), AEL_OK);
    memset(scratch.bytes, fill, AEL_KEY_BYTES);
    CU_ASSERT_EQUAL_FATAL(
        ael_crypto_key_new(
            AEL_KEY_KIND_INTERMEDIATE, ael_bytes_from_text("_IK_p_s_p"), k_created_s, false, scratch.bytes,
            &key),
        AEL_OK);
    CU_ASSERT_EQUAL(scratch.bytes[0], fill); /* not wiped: the scratch's end does that */
    CU_ASSERT_EQUAL(ael_scratch_end(&scratch), AEL_OK);
    return key;
}

/* Wraps 32 bytes of fill under key, which is opened for it. */
static enum ael_status wrap(struct ael_crypto_key *key, uint8_t fill, uint8_t sealed[static WRAPPED_BYTES]) {
    struct ael_scratch scratch;
    CU_ASSERT_EQUAL_FATAL(ael_scratch_begin(&scratch, NULL), AEL_OK);
    uint8_t *plain = scratch.bytes + AEL_KEY_BYTES;
    memset(plain, fill, AEL_KEY_BYTES);
    enum ael_status status = ael_crypto_key_open(key, scratch.bytes);
    if (status == AEL_OK) {
        status = ael_crypto_key_wrap(key, NULL, scratch.bytes, (struct ael_bytes){plain, AEL_KEY_BYTES}, sealed);
    }
    CU_ASSERT_EQUAL(ael_scratch_end(&scratch), AEL_OK);
    return status;
}

static const uint8_t *nonce_of(const uint8_t sealed[static WRAPPED_BYTES]) {
    return sealed + WRAPPED_BYTES - AEL_AEAD_NONCE_BYTES;
}

/* b - a as numbers of 96 bits, when it fits 64. */
static uint64_t nonce_distance(const uint8_t *a, const uint8_t *b) {
    uint64_t distance = 0;
    int borrow = 0;
    for (size_t i = 0; i < AEL_AEAD_NONCE_BYTES; i++) {
        size_t at = AEL_AEAD_NONCE_BYTES - 1 - i;
        int digit = b[at] - a[at] - borrow;
        borrow = digit < 0;
        digit += borrow * 256;
        CU_ASSERT(i < 8 || digit == 0);
        distance |= i < 8 ? (uint64_t)digit << (8 * i) : 0;
    }
    return distance;
}

static void test_crypto_key_open__gives_the_key_back(void) {
    struct ael_crypto_key *key = new_key(0x41);
    struct ael_scratch scratch;
    uint8_t wanted[AEL_KEY_BYTES];
    memset(wanted, 0x41, sizeof wanted);
    CU_ASSERT_EQUAL_FATAL(ael_scratch_begin(&scratch, NULL), AEL_OK);
    CU_ASSERT_EQUAL(ael_crypto_key_open(key, scratch.bytes), AEL_OK);
    CU_ASSERT(memcmp(scratch.bytes, wanted, sizeof wanted) == 0);
    CU_ASSERT_EQUAL(ael_scratch_end(&scratch), AEL_OK);
    CU_ASSERT_EQUAL(ael_crypto_key_created_s(key), k_created_s);
    ael_crypto_key_release(key);
}

static void test_crypto_key_wrap__seals_in_the_wire_layout(void) {
    struct ael_crypto_key *key = new_key(0x42);
    struct ael_scratch scratch;
    uint8_t sealed[WRAPPED_BYTES], wanted[AEL_KEY_BYTES];
    memset(wanted, 0x99, sizeof wanted);
    CU_ASSERT_EQUAL(wrap(key, 0x99, sealed), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_scratch_begin(&scratch, NULL), AEL_OK);
    memset(scratch.bytes, 0x42, AEL_KEY_BYTES);
    uint8_t *plain = scratch.bytes + AEL_KEY_BYTES;
    CU_ASSERT_EQUAL(ael_aead_open(NULL, scratch.bytes, (struct ael_bytes){sealed, sizeof sealed}, plain), AEL_OK);
    CU_ASSERT(memcmp(plain, wanted, sizeof wanted) == 0);
    CU_ASSERT_EQUAL(ael_scratch_end(&scratch), AEL_OK);
    ael_crypto_key_release(key);
}

static void test_crypto_key_wrap__counts_its_nonces_up(void) {
    static const uint64_t k_steps[] = {0, 1, 2, 255, 256, 65535, 65536, (UINT64_C(1) << 30), UINT32_MAX - 200};
    struct ael_crypto_key *key = new_key(0x43);
    uint8_t first[WRAPPED_BYTES], sealed[WRAPPED_BYTES];
    CU_ASSERT_EQUAL(wrap(key, 1, first), AEL_OK);
    for (size_t i = 0; i < sizeof k_steps / sizeof k_steps[0]; i++) {
        ael_crypto_key_set_wraps_for_test(key, k_steps[i]);
        CU_ASSERT_EQUAL(wrap(key, 1, sealed), AEL_OK);
        CU_ASSERT_EQUAL(nonce_distance(nonce_of(first), nonce_of(sealed)), k_steps[i]);
    }
    ael_crypto_key_release(key);
}

static void test_crypto_key_new__starts_its_nonces_elsewhere(void) {
    struct ael_crypto_key *one = new_key(0x44);
    struct ael_crypto_key *two = new_key(0x44);
    uint8_t first[WRAPPED_BYTES], second[WRAPPED_BYTES];
    CU_ASSERT_EQUAL(wrap(one, 1, first), AEL_OK);
    CU_ASSERT_EQUAL(wrap(two, 1, second), AEL_OK);
    CU_ASSERT(memcmp(nonce_of(first), nonce_of(second), AEL_AEAD_NONCE_BYTES) != 0);
    ael_crypto_key_release(one);
    ael_crypto_key_release(two);
}

static void test_crypto_key_is_worn__after_2_to_30_wraps(void) {
    struct ael_crypto_key *key = new_key(0x45);
    uint8_t sealed[WRAPPED_BYTES];
    CU_ASSERT_FALSE(ael_crypto_key_is_worn(key));
    ael_crypto_key_set_wraps_for_test(key, (UINT64_C(1) << 30) - 1);
    CU_ASSERT_FALSE(ael_crypto_key_is_worn(key));
    CU_ASSERT_EQUAL(wrap(key, 1, sealed), AEL_OK);
    CU_ASSERT(ael_crypto_key_is_worn(key));
    CU_ASSERT_EQUAL(wrap(key, 1, sealed), AEL_OK); /* worn, not dead */
    ael_crypto_key_release(key);
}

static void test_crypto_key_wrap__refuses_before_2_to_32_wraps(void) {
    struct ael_crypto_key *key = new_key(0x46);
    uint8_t sealed[WRAPPED_BYTES], zeros[WRAPPED_BYTES] = {0};
    ael_crypto_key_set_wraps_for_test(key, UINT32_MAX - 129);
    CU_ASSERT_EQUAL(wrap(key, 1, sealed), AEL_OK);
    memset(sealed, 0xee, sizeof sealed);
    CU_ASSERT_EQUAL(wrap(key, 1, sealed), AEL_E_CRYPTO);
    CU_ASSERT(memcmp(sealed, zeros, sizeof sealed) == 0);
    for (int i = 0; i < 300; i++) { /* and goes on refusing: the count does not begin anew */
        CU_ASSERT_EQUAL(wrap(key, 1, sealed), AEL_E_CRYPTO);
    }
    ael_crypto_key_release(key);
}

static void test_crypto_key_mark_revoked__only_goes_up(void) {
    struct ael_crypto_key *key = new_key(0x47);
    struct ael_scratch scratch;
    struct ael_crypto_key *revoked = NULL;
    CU_ASSERT_FALSE(ael_crypto_key_is_revoked(key));
    ael_crypto_key_mark_revoked(key);
    CU_ASSERT(ael_crypto_key_is_revoked(key));
    ael_crypto_key_mark_revoked(key);
    CU_ASSERT(ael_crypto_key_is_revoked(key));
    CU_ASSERT_EQUAL_FATAL(ael_scratch_begin(&scratch, NULL), AEL_OK);
    CU_ASSERT_EQUAL(
        ael_crypto_key_new(
            AEL_KEY_KIND_SYSTEM, ael_bytes_from_text("_SK_s_p"), -1, true, scratch.bytes, &revoked),
        AEL_OK);
    CU_ASSERT_EQUAL(ael_scratch_end(&scratch), AEL_OK);
    CU_ASSERT(ael_crypto_key_is_revoked(revoked));
    CU_ASSERT_EQUAL(ael_crypto_key_created_s(revoked), -1);
    ael_crypto_key_release(key);
    ael_crypto_key_release(revoked);
}

static void test_crypto_key_release__ends_with_the_last_holder(void) {
    struct ael_crypto_key *key = new_key(0x48);
    uint8_t sealed[WRAPPED_BYTES];
    CU_ASSERT_PTR_EQUAL(ael_crypto_key_acquire(key), key);
    ael_crypto_key_release(key);
    CU_ASSERT_EQUAL(wrap(key, 1, sealed), AEL_OK);
    ael_crypto_key_release(key);
    ael_crypto_key_release(NULL);
}

/* An allocation count down to the one that fails. */
static int fail_at(void *context) {
    int *left = context;
    return (*left)-- == 0;
}

static void test_crypto_key_new__fails_without_memory(void) {
    struct ael_scratch scratch;
    CU_ASSERT_EQUAL_FATAL(ael_scratch_begin(&scratch, NULL), AEL_OK);
    enum ael_status status = AEL_E_NO_MEMORY;
    for (int nth = 0; nth < 10 && status != AEL_OK; nth++) {
        struct ael_crypto_key *key = (struct ael_crypto_key *)(void *)&scratch;
        int left = nth;
        ael_alloc_set_fault(fail_at, &left);
        status = ael_crypto_key_new(
            AEL_KEY_KIND_SYSTEM, ael_bytes_from_text("_SK_s_p"), 60, false, scratch.bytes, &key);
        ael_alloc_set_fault(NULL, NULL);
        CU_ASSERT(status == AEL_OK || (status == AEL_E_NO_MEMORY && key == NULL));
        CU_ASSERT(nth > 0 || status == AEL_E_NO_MEMORY);
        if (status == AEL_OK) {
            ael_crypto_key_release(key);
        }
    }
    CU_ASSERT_EQUAL(status, AEL_OK);
    CU_ASSERT_EQUAL(ael_scratch_end(&scratch), AEL_OK);
}

/* ---- threads ---- */

enum { THREADS = 8, WRAPS = 200 };

struct wrapper {
    pthread_t thread;
    struct ael_crypto_key *key;
    unsigned bad;
    uint8_t nonces[WRAPS][AEL_AEAD_NONCE_BYTES];
};

static void *wrap_often(void *argument) {
    struct wrapper *wrapper = argument;
    uint8_t sealed[WRAPPED_BYTES];
    for (int i = 0; i < WRAPS; i++) {
        struct ael_scratch scratch;
        if (ael_scratch_begin(&scratch, NULL) != AEL_OK) {
            wrapper->bad++;
            continue;
        }
        struct ael_bytes plain = {scratch.bytes + AEL_KEY_BYTES, AEL_KEY_BYTES};
        if (ael_crypto_key_open(wrapper->key, scratch.bytes) != AEL_OK ||
            ael_crypto_key_wrap(wrapper->key, NULL, scratch.bytes, plain, sealed) != AEL_OK) {
            wrapper->bad++;
        }
        wrapper->bad += ael_scratch_end(&scratch) == AEL_OK ? 0 : 1;
        memcpy(wrapper->nonces[i], nonce_of(sealed), AEL_AEAD_NONCE_BYTES);
    }
    ael_crypto_key_release(wrapper->key);
    return NULL;
}

/* How far the nonce of one more wrap is from another's. */
static uint64_t distance_from(struct ael_crypto_key *key, const uint8_t *first) {
    uint8_t sealed[WRAPPED_BYTES];
    CU_ASSERT_EQUAL(wrap(key, 1, sealed), AEL_OK);
    return nonce_distance(nonce_of(first), nonce_of(sealed));
}

struct other_thread {
    struct ael_crypto_key *key;
    const uint8_t *first;
    uint64_t distance;
};

static void *wrap_once(void *other_) {
    struct other_thread *other = other_;
    other->distance = distance_from(other->key, other->first);
    return NULL;
}

/* Runs of 1, 2, 4: another thread's nonce comes behind all that this one has taken. */
static void test_crypto_key_wrap__takes_counts_in_runs(void) {
    struct ael_crypto_key *key = new_key(0x46);
    uint8_t first[WRAPPED_BYTES];
    struct other_thread other = {key, first, 0};
    pthread_t thread;
    CU_ASSERT_EQUAL(wrap(key, 1, first), AEL_OK);
    CU_ASSERT_EQUAL(distance_from(key, first), 1);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, wrap_once, &other), 0);
    pthread_join(thread, NULL);
    CU_ASSERT_EQUAL(other.distance, 3);
    CU_ASSERT_EQUAL(distance_from(key, first), 2);
    CU_ASSERT_EQUAL(distance_from(key, first), 4);
    ael_crypto_key_release(key);
}

/* A thread that turns from key to key takes no count that it does not use. */
static void test_crypto_key_wrap__loses_no_counts_between_keys(void) {
    struct ael_crypto_key *one = new_key(0x47);
    struct ael_crypto_key *two = new_key(0x48);
    uint8_t first[WRAPPED_BYTES];
    CU_ASSERT_EQUAL(wrap(one, 1, first), AEL_OK);
    for (uint64_t i = 1; i < 100; i++) {
        uint8_t sealed[WRAPPED_BYTES];
        CU_ASSERT_EQUAL(wrap(two, 1, sealed), AEL_OK);
        CU_ASSERT_EQUAL(distance_from(one, first), i);
    }
    ael_crypto_key_release(one);
    ael_crypto_key_release(two);
}

static int compare_nonces(const void *a, const void *b) {
    return memcmp(a, b, AEL_AEAD_NONCE_BYTES);
}

static void test_crypto_key_wrap__never_repeats_a_nonce_between_threads(void) {
    static struct wrapper wrappers[THREADS];
    static uint8_t all[THREADS * WRAPS][AEL_AEAD_NONCE_BYTES];
    struct ael_crypto_key *key = new_key(0x49);
    for (size_t i = 0; i < THREADS; i++) {
        wrappers[i].key = ael_crypto_key_acquire(key);
        CU_ASSERT_EQUAL_FATAL(pthread_create(&wrappers[i].thread, NULL, wrap_often, &wrappers[i]), 0);
    }
    ael_crypto_key_release(key);
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(wrappers[i].thread, NULL);
        CU_ASSERT_EQUAL(wrappers[i].bad, 0);
        memcpy(all[i * WRAPS], wrappers[i].nonces, sizeof wrappers[i].nonces);
    }
    qsort(all, THREADS * WRAPS, AEL_AEAD_NONCE_BYTES, compare_nonces);
    size_t repeated = 0;
    for (size_t i = 1; i < THREADS * WRAPS; i++) {
        repeated += compare_nonces(all[i - 1], all[i]) == 0 ? 1 : 0;
    }
    CU_ASSERT_EQUAL(repeated, 0);
}

/* A copy of this process may be running: the counted nonces go on from another start. */
static void test_crypto_key_wrap__counts_from_another_start_after_a_reseed(void) {
    uint8_t before[WRAPPED_BYTES];
    uint8_t after[WRAPPED_BYTES];
    uint8_t later[WRAPPED_BYTES];
    struct ael_crypto_key *key = new_key(0x45);
    CU_ASSERT_EQUAL(wrap(key, 1, before), AEL_OK);
    ael_reseed();
    CU_ASSERT_EQUAL(wrap(key, 1, after), AEL_OK);
    CU_ASSERT_EQUAL(wrap(key, 1, later), AEL_OK);
    /* Within one start nonces differ in their last bytes only. */
    CU_ASSERT_NOT_EQUAL(memcmp(nonce_of(before), nonce_of(after), 8), 0);
    CU_ASSERT_EQUAL(memcmp(nonce_of(after), nonce_of(later), 8), 0);
    ael_crypto_key_release(key);
}

static const struct test_case k_cases[] = {
    {"another start after a reseed", test_crypto_key_wrap__counts_from_another_start_after_a_reseed},
    {"a key comes back as it was given", test_crypto_key_open__gives_the_key_back},
    {"a wrap has the wire layout", test_crypto_key_wrap__seals_in_the_wire_layout},
    {"nonces count up, carries included", test_crypto_key_wrap__counts_its_nonces_up},
    {"two loads of one key start their nonces elsewhere", test_crypto_key_new__starts_its_nonces_elsewhere},
    {"a key is worn after 2^30 wraps", test_crypto_key_is_worn__after_2_to_30_wraps},
    {"a key refuses before 2^32 wraps", test_crypto_key_wrap__refuses_before_2_to_32_wraps},
    {"revocation only goes up", test_crypto_key_mark_revoked__only_goes_up},
    {"the last holder ends the key", test_crypto_key_release__ends_with_the_last_holder},
    {"no memory is a status", test_crypto_key_new__fails_without_memory},
    {"a thread takes counts in runs", test_crypto_key_wrap__takes_counts_in_runs},
    {"no counts are lost between keys", test_crypto_key_wrap__loses_no_counts_between_keys},
    {"threads never share a nonce", test_crypto_key_wrap__never_repeats_a_nonce_between_threads},
};

TEST_SUITE_MAIN("crypto_key", k_cases)
