/* SPDX-License-Identifier: Apache-2.0 */
/* The hash of ids: with the rounds that libsodium has it gives what libsodium gives. */
#include "appencryption/cache/id_hash.h"
#include "tests/support/suite.h"

#include <sodium.h>
#include <string.h>

enum { LONGEST = 100 };

static void fill(uint8_t *bytes, size_t len, uint32_t seed) {
    for (size_t i = 0; i < len; i++) {
        seed = seed * 1664525u + 1013904223u;
        bytes[i] = (uint8_t)(seed >> 24);
    }
}

static void test_hash__is_siphash(void) {
    struct ael_id_hash hash;
    uint8_t id[LONGEST];
    fill(hash.seed, sizeof hash.seed, 1);
    fill(id, sizeof id, 2);
    for (size_t len = 0; len <= LONGEST; len++) {
        uint8_t expected[crypto_shorthash_BYTES];
        (void)crypto_shorthash(expected, id, len, hash.seed);
        uint64_t got = ael_id_hash_with_rounds_for_test(&hash, (struct ael_bytes){id, len}, 2, 4);
        for (size_t i = 0; i < sizeof expected; i++) {
            CU_ASSERT_EQUAL((uint8_t)(got >> (8 * i)), expected[i]);
        }
    }
}

static void test_tag__depends_on_seed_length_and_each_byte(void) {
    struct ael_id_hash hash;
    uint8_t id[LONGEST];
    fill(hash.seed, sizeof hash.seed, 1);
    fill(id, sizeof id, 2);
    for (size_t len = 1; len <= LONGEST; len++) {
        struct ael_bytes whole = {id, len};
        struct ael_id_tag first = ael_id_hash_tag_of(&hash, whole);
        struct ael_id_tag shorter = ael_id_hash_tag_of(&hash, (struct ael_bytes){id, len - 1});
        CU_ASSERT_EQUAL(first.hash, ael_id_hash_of(&hash, whole));
        CU_ASSERT_TRUE(shorter.hash != first.hash && shorter.check != first.check && first.check != first.hash);
        for (size_t at = 0; at < len; at++) {
            id[at] ^= 1;
            struct ael_id_tag other = ael_id_hash_tag_of(&hash, whole);
            CU_ASSERT_TRUE(other.hash != first.hash && other.check != first.check);
            id[at] ^= 1;
        }
    }
}

static void test_hash__depends_on_seed_length_and_each_byte(void) {
    struct ael_id_hash hash;
    struct ael_id_hash other;
    uint8_t id[LONGEST];
    fill(hash.seed, sizeof hash.seed, 1);
    fill(other.seed, sizeof other.seed, 3);
    fill(id, sizeof id, 2);
    for (size_t len = 1; len <= LONGEST; len++) {
        struct ael_bytes whole = {id, len};
        uint64_t first = ael_id_hash_of(&hash, whole);
        CU_ASSERT_EQUAL(ael_id_hash_with_rounds_for_test(&hash, whole, 1, 3), first);
        CU_ASSERT_NOT_EQUAL(ael_id_hash_of(&other, whole), first);
        CU_ASSERT_NOT_EQUAL(ael_id_hash_of(&hash, (struct ael_bytes){id, len - 1}), first);
        for (size_t at = 0; at < len; at++) {
            id[at] ^= 1;
            CU_ASSERT_NOT_EQUAL(ael_id_hash_of(&hash, whole), first);
            id[at] ^= 1;
        }
    }
    CU_ASSERT_NOT_EQUAL(ael_id_hash_dated(1, 5), ael_id_hash_dated(1, 6));
    CU_ASSERT_NOT_EQUAL(ael_id_hash_dated(1, 5), ael_id_hash_dated(2, 5));
}

static const struct test_case k_cases[] = {
    {"it is SipHash", test_hash__is_siphash},
    {"seed, length and each byte of a tag", test_tag__depends_on_seed_length_and_each_byte},
    {"seed, length and each byte count", test_hash__depends_on_seed_length_and_each_byte},
};

TEST_SUITE_MAIN("id_hash", k_cases)
