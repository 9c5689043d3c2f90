/*
 * tests/unit/test_aead_agreement.c - every engine against every other: same bytes at each length, alignment and in place,
 * nothing written beside the output, and no output for what is not authentic.
 *
 * Inputs come from a generator with a seed, which is printed; a soak run draws it, AEL_TEST_SEED sets it.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/clock.h"
#include "tests/support/engine.h"
#include "tests/support/soak.h"
#include "tests/support/suite.h"
#include "tests/support/under.h"

#include <stdio.h>
#include <string.h>

enum {
    MAX_LEN = 70000,
    EVERY_LEN = 300,
    ALIGNMENTS = 64,
    MARGIN = 64,
    ROOM = MARGIN + ALIGNMENTS + MAX_LEN + AEL_AEAD_OVERHEAD_BYTES + MARGIN,
    MARK = 0xa5,
};

static _Alignas(64) uint8_t s_plain[ROOM];
static _Alignas(64) uint8_t s_in[ROOM];
static _Alignas(64) uint8_t s_out[ROOM];
static uint8_t s_sealed[MAX_LEN + AEL_AEAD_OVERHEAD_BYTES]; /* of s_plain by the first engine; tag, nonce */
static uint8_t s_key[AEL_AEAD_KEY_BYTES];
static uint8_t s_nonce[AEL_AEAD_NONCE_BYTES];
static const struct ael_aead_engine *s_engines[AEL_AEAD_ENGINES_MAX];
static size_t s_count;
static struct test_engine s_keyed[AEL_AEAD_ENGINES_MAX];
static uint64_t s_random;

/* xorshift64*: to spread inputs, not to hide them. */
static uint64_t next_random(void) {
    s_random ^= s_random >> 12;
    s_random ^= s_random << 25;
    s_random ^= s_random >> 27;
    return s_random * 0x2545f4914f6cdd1du;
}

static void fill(uint8_t *bytes, size_t len) {
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)(next_random() >> 56);
    }
}

static void begin(void) {
    const char *seed = getenv("AEL_TEST_SEED");
    s_random = soak_count(0, 1) != 0 ? (uint64_t)ael_clock_boot_ns() | 1 : 20261121;
    s_random = seed != NULL ? strtoull(seed, NULL, 10) | 1 : s_random;
    s_count = ael_aead_engines(s_engines);
    printf("\n  seed %llu, engines:", (unsigned long long)s_random);
    for (size_t i = 0; i < s_count; i++) {
        printf(" %s", s_engines[i]->name);
    }
    printf(" ");
    CU_ASSERT_FATAL(s_count >= 1);
}

/* A new key, nonce and text, sealed by the first engine. */
static void new_text(size_t len) {
    fill(s_key, sizeof s_key);
    fill(s_nonce, sizeof s_nonce);
    fill(s_plain, len);
    for (size_t i = 0; i < s_count; i++) {
        CU_ASSERT_FATAL(test_engine_begin(&s_keyed[i], s_engines[i], s_key));
    }
    CU_ASSERT_EQUAL_FATAL(
        test_engine_seal(&s_keyed[0], s_nonce, s_plain, len, s_sealed, s_sealed + len), AEL_OK);
    memcpy(s_sealed + len + AEL_AEAD_TAG_BYTES, s_nonce, sizeof s_nonce);
}

/* Around a short text all of the buffer is looked at, around a long one its neighbourhood. */
static void mark(uint8_t *buffer, size_t at, size_t len) {
    memset(buffer + at - MARGIN, MARK, len + 2 * MARGIN);
}

static bool is_only(const uint8_t *buffer, size_t at, const void *bytes, size_t len) {
    static const uint8_t k_marks[MARGIN] = {
        MARK, MARK, MARK, MARK, MARK, MARK, MARK, MARK, MARK, MARK, MARK, MARK, MARK, MARK, MARK, MARK,
        MARK, MARK, MARK, MARK, MARK, MARK, MARK, MARK, MARK, MARK, MARK, MARK, MARK, MARK, MARK, MARK,
        MARK, MARK, MARK, MARK, MARK, MARK, MARK, MARK, MARK, MARK, MARK, MARK, MARK, MARK, MARK, MARK,
        MARK, MARK, MARK, MARK, MARK, MARK, MARK, MARK, MARK, MARK, MARK, MARK, MARK, MARK, MARK, MARK};
    return memcmp(buffer + at - MARGIN, k_marks, MARGIN) == 0 && memcmp(buffer + at, bytes, len) == 0 &&
           memcmp(buffer + at + len, k_marks, MARGIN) == 0;
}

static bool seals_at(struct test_engine *keyed, size_t len, size_t from, size_t to) {
    memcpy(s_in + from, s_plain, len);
    mark(s_out, to, len + AEL_AEAD_TAG_BYTES);
    return test_engine_seal(keyed, s_nonce, s_in + from, len, s_out + to, s_out + to + len) == AEL_OK &&
           is_only(s_out, to, s_sealed, len + AEL_AEAD_TAG_BYTES);
}

static bool opens_at(struct test_engine *keyed, size_t len, size_t from, size_t to) {
    memcpy(s_in + from, s_sealed, len + AEL_AEAD_OVERHEAD_BYTES);
    mark(s_out, to, len);
    return test_engine_open_sealed(keyed, s_in + from, len, s_out + to) == AEL_OK &&
           is_only(s_out, to, s_plain, len);
}

static bool works_in_place(struct test_engine *keyed, size_t len, size_t at) {
    mark(s_out, at, len + AEL_AEAD_OVERHEAD_BYTES);
    memcpy(s_out + at, s_plain, len);
    memcpy(s_out + at + len + AEL_AEAD_TAG_BYTES, s_nonce, sizeof s_nonce);
    bool sealed = test_engine_seal(keyed, s_nonce, s_out + at, len, s_out + at, s_out + at + len) == AEL_OK &&
                  is_only(s_out, at, s_sealed, len + AEL_AEAD_OVERHEAD_BYTES);
    return sealed && test_engine_open_sealed(keyed, s_out + at, len, s_out + at) == AEL_OK &&
           memcmp(s_out + at, s_plain, len) == 0 &&
           memcmp(s_out + at + len, s_sealed + len, AEL_AEAD_OVERHEAD_BYTES) == 0;
}

static bool is_zero(const uint8_t *bytes, size_t len) {
    return len == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0);
}

/* With one bit turned: refused apart and in place, and the output is zeros, between its marks. */
static bool refuses_at(struct test_engine *keyed, size_t len, size_t at, size_t byte, uint8_t bit) {
    memcpy(s_in + at, s_sealed, len + AEL_AEAD_OVERHEAD_BYTES);
    s_in[at + byte] ^= bit;
    mark(s_out, at, len);
    bool apart = test_engine_open_sealed(keyed, s_in + at, len, s_out + at) == AEL_E_AUTHENTICATION &&
                 is_zero(s_out + at, len) && s_out[at - 1] == MARK && s_out[at + len] == MARK;
    return apart && test_engine_open_sealed(keyed, s_in + at, len, s_in + at) == AEL_E_AUTHENTICATION &&
           is_zero(s_in + at, len);
}

/* All engines give the first one's bytes, so that each opens what any other sealed. */
static unsigned disagreements(size_t len, size_t from, size_t to) {
    unsigned bad = 0;
    for (size_t i = 0; i < s_count; i++) {
        bad += seals_at(&s_keyed[i], len, from, to) ? 0 : 1;
        bad += opens_at(&s_keyed[i], len, from, to) ? 0 : 1;
        bad += works_in_place(&s_keyed[i], len, from) ? 0 : 1;
    }
    return bad;
}

static size_t aligned(size_t shift) {
    return MARGIN + shift % ALIGNMENTS;
}

static void test_engines__agree_at_every_short_length(void) {
    begin();
    unsigned bad = 0;
    for (size_t len = 0; len <= EVERY_LEN; len++) {
        new_text(len);
        for (size_t shift = 0; shift < 4; shift++) {
            bad += disagreements(len, aligned(len + shift * 17), aligned(len * 5 + shift * 23));
        }
        for (size_t i = 0; i < s_count; i++) {
            bad += refuses_at(&s_keyed[i], len, aligned(len), len + len % AEL_AEAD_OVERHEAD_BYTES, 1) ? 0 : 1;
        }
    }
    CU_ASSERT_EQUAL(bad, 0);
}

/* Every alignment of the input with every one of the output, at two lengths; at the others each with one of the other. */
static void test_engines__agree_at_every_alignment(void) {
    static const size_t k_lens[] = {33, 257, 1, 15, 16, 64, 129, 1000};
    size_t step =
        under_valgrind() ? 7 : 1; /* which is slow, and sees no more at one alignment than at another */
    begin();
    unsigned bad = 0;
    for (size_t i = 0; i < sizeof k_lens / sizeof k_lens[0]; i++) {
        new_text(k_lens[i]);
        for (size_t from = 0; from < ALIGNMENTS; from += step) {
            for (size_t to = 0; to < (i < 2 ? ALIGNMENTS : 1); to += step) {
                bad += disagreements(k_lens[i], aligned(from), aligned(i < 2 ? to : from * 27 + i)) ? 1 : 0;
            }
        }
    }
    CU_ASSERT_EQUAL(bad, 0);
}

static void test_engines__agree_at_random_lengths(void) {
    begin();
    unsigned bad = 0;
    for (int round = soak_count(60, 5000); round > 0; round--) {
        size_t len = next_random() % (MAX_LEN + 1);
        new_text(len);
        bad += disagreements(len, aligned(next_random()), aligned(next_random()));
        for (size_t i = 0; i < s_count; i++) {
            size_t byte = next_random() % (len + AEL_AEAD_OVERHEAD_BYTES);
            bad +=
                refuses_at(&s_keyed[i], len, aligned(next_random()), byte, (uint8_t)(1u << byte % 8)) ? 0 : 1;
        }
    }
    new_text(MAX_LEN);
    bad += disagreements(MAX_LEN, aligned(1), aligned(2));
    CU_ASSERT_EQUAL(bad, 0);
}

/* Each bit of the tag and of the nonce; each byte of a ciphertext, at its place and in its bit. */
static void test_engines__wipe_what_they_refuse(void) {
    static const size_t k_lens[] = {0, 1, 16, 31, 64, 100, 255, 512, 1537};
    begin();
    unsigned bad = 0;
    for (size_t i = 0; i < sizeof k_lens / sizeof k_lens[0]; i++) {
        size_t len = k_lens[i];
        new_text(len);
        for (size_t engine = 0; engine < s_count; engine++) {
            for (size_t bit = 0; bit < AEL_AEAD_OVERHEAD_BYTES * 8; bit++) {
                bad +=
                    refuses_at(&s_keyed[engine], len, aligned(bit), len + bit / 8, (uint8_t)(1u << bit % 8))
                        ? 0
                        : 1;
            }
            for (size_t byte = 0; byte < len; byte++) {
                bad +=
                    refuses_at(&s_keyed[engine], len, aligned(byte), byte, (uint8_t)(1u << byte % 8)) ? 0 : 1;
            }
        }
    }
    CU_ASSERT_EQUAL(bad, 0);
}

/* A schedule serves for many calls, and is not changed by them; another key's opens nothing. */
static void test_engine_expand__makes_a_schedule_for_many_calls(void) {
    begin();
    for (size_t i = 0; i < s_count; i++) {
        new_text(EVERY_LEN);
        struct test_engine before = s_keyed[i];
        for (unsigned round = 0; round < 20; round++) {
            CU_ASSERT(opens_at(&s_keyed[i], EVERY_LEN, aligned(round), aligned(round * 3)));
            CU_ASSERT(refuses_at(&s_keyed[i], EVERY_LEN, aligned(round), round, 1));
        }
        CU_ASSERT_EQUAL(memcmp(before.schedule, s_keyed[i].schedule, s_engines[i]->schedule_bytes), 0);
        s_key[31] ^= 1;
        CU_ASSERT_FATAL(test_engine_begin(&s_keyed[i], s_engines[i], s_key));
        CU_ASSERT(refuses_at(&s_keyed[i], EVERY_LEN, MARGIN, 0, 0));
    }
}

static const struct test_case k_cases[] = {
    {"every length up to 300", test_engines__agree_at_every_short_length},
    {"every alignment of input and output", test_engines__agree_at_every_alignment},
    {"random lengths up to 70,000", test_engines__agree_at_random_lengths},
    {"what is refused is wiped, also in place", test_engines__wipe_what_they_refuse},
    {"a schedule for many calls", test_engine_expand__makes_a_schedule_for_many_calls},
};

TEST_SUITE_MAIN("aead_agreement", k_cases)
