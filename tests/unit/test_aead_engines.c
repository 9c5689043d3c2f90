/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/aead_engine.h"
#include "securememory/random.h"
#include "securememory/scratch.h"
#include "tests/support/soak.h"
#include "tests/support/suite.h"

#include <string.h>

/* The engines against each other: same bytes, same verdicts, in place too. */

enum { MAX_LEN = 5000, AROUND = AEL_AEAD_OVERHEAD_BYTES + 64 };

static uint8_t g_plain[MAX_LEN + AROUND];
static uint8_t g_ours[MAX_LEN + AROUND];
static uint8_t g_theirs[MAX_LEN + AROUND];
static uint8_t g_key[AEL_AEAD_KEY_BYTES];
static uint8_t g_nonce[AEL_AEAD_NONCE_BYTES];
static struct ael_scratch g_scratch;

static void new_inputs(size_t len) {
    CU_ASSERT_EQUAL_FATAL(ael_random_fill(g_key, sizeof g_key), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_random_fill(g_nonce, sizeof g_nonce), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_random_fill(g_plain, len + 64), AEL_OK);
}

static const struct ael_aead_engine *g_engines[AEL_AEAD_ENGINES_MAX];
static size_t g_count;

static enum ael_status
seal_by(const struct ael_aead_engine *engine, const uint8_t *in, size_t len, uint8_t *out) {
    uint8_t *state = g_scratch.bytes + AEL_AEAD_SCHEDULE_BYTES;
    enum ael_status status = engine->expand(g_scratch.bytes, g_key);
    return status == AEL_OK ? engine->seal(g_scratch.bytes, state, g_nonce, in, len, out, out + len) : status;
}

static enum ael_status
open_by(const struct ael_aead_engine *engine, const uint8_t *in, size_t len, uint8_t *out) {
    uint8_t *state = g_scratch.bytes + AEL_AEAD_SCHEDULE_BYTES;
    enum ael_status status = engine->expand(g_scratch.bytes, g_key);
    return status == AEL_OK ? engine->open(g_scratch.bytes, state, g_nonce, in, len, in + len, out) : status;
}

/* Sealed by one, opened by the other; then each byte of interest turned. */
static void check_pair(
    const struct ael_aead_engine *seals, const struct ael_aead_engine *opens, size_t len, size_t shift) {
    const uint8_t *plain = g_plain + shift;
    uint8_t *sealed = g_ours + shift;
    CU_ASSERT_EQUAL(seal_by(seals, plain, len, sealed), AEL_OK);
    CU_ASSERT_EQUAL(open_by(opens, sealed, len, g_theirs + shift), AEL_OK);
    CU_ASSERT_EQUAL(memcmp(g_theirs + shift, plain, len), 0);
    sealed[len + shift % AEL_AEAD_TAG_BYTES] ^= 1;
    CU_ASSERT_EQUAL(open_by(opens, sealed, len, g_theirs), AEL_E_AUTHENTICATION);
    sealed[len + shift % AEL_AEAD_TAG_BYTES] ^= 1;
    if (len > 0) {
        sealed[len / 2] ^= 0x80;
        CU_ASSERT_EQUAL(open_by(opens, sealed, len, g_theirs), AEL_E_AUTHENTICATION);
    }
}

/* Those of EVP, apart and in place. */
static void check_same_bytes(const struct ael_aead_engine *engine, size_t len, size_t shift) {
    CU_ASSERT_EQUAL(seal_by(&ael_aead_evp, g_plain + shift, len, g_ours), AEL_OK);
    CU_ASSERT_EQUAL(seal_by(engine, g_plain + shift, len, g_theirs), AEL_OK);
    CU_ASSERT_EQUAL(memcmp(g_ours, g_theirs, len + AEL_AEAD_TAG_BYTES), 0);
    memcpy(g_theirs, g_plain + shift, len);
    CU_ASSERT_EQUAL(seal_by(engine, g_theirs, len, g_theirs), AEL_OK); /* in place */
    CU_ASSERT_EQUAL(memcmp(g_ours, g_theirs, len + AEL_AEAD_TAG_BYTES), 0);
    CU_ASSERT_EQUAL(open_by(engine, g_theirs, len, g_theirs), AEL_OK);
    CU_ASSERT_EQUAL(memcmp(g_theirs, g_plain + shift, len), 0);
}

static void check_len(size_t len) {
    for (size_t shift = 0; shift < 64; shift += 21) {
        new_inputs(len);
        for (size_t i = 0; i < g_count; i++) {
            check_same_bytes(g_engines[i], len, shift);
            check_pair(g_engines[i], g_engines[(i + 1) % g_count], len, shift);
        }
    }
}

static void test_engines__agree_at_every_length(void) {
    g_count = ael_aead_engines(g_engines);
    printf("\n ");
    for (size_t i = 0; i < g_count; i++) {
        printf(" %s", g_engines[i]->name);
    }
    CU_ASSERT_EQUAL_FATAL(ael_scratch_begin(&g_scratch, NULL), AEL_OK);
    for (size_t len = 0; len <= MAX_LEN; len += len < 300 ? 1 : (size_t)soak_count(97, 1)) {
        check_len(len);
    }
    CU_ASSERT_EQUAL(ael_scratch_end(&g_scratch), AEL_OK);
}

/* A schedule serves many calls, and none changes it. */
static void check_kept_schedule(const struct ael_aead_engine *engine) {
    uint8_t before[AEL_AEAD_SCHEDULE_BYTES];
    uint8_t *schedule = g_scratch.bytes;
    uint8_t *state = g_scratch.bytes + AEL_AEAD_SCHEDULE_BYTES;
    new_inputs(MAX_LEN);
    CU_ASSERT_EQUAL(engine->expand(schedule, g_key), AEL_OK);
    memcpy(before, schedule, engine->schedule_bytes);
    for (size_t len = 0; len < MAX_LEN; len += 1 + len / 2) {
        struct ael_bytes plain = {g_plain, len};
        struct ael_bytes sealed = {g_ours, len + AEL_AEAD_OVERHEAD_BYTES};
        CU_ASSERT_EQUAL(ael_aead_seal_expanded(engine, schedule, state, g_nonce, plain, g_ours), AEL_OK);
        CU_ASSERT_EQUAL(ael_aead_open(NULL, g_key, sealed, g_theirs), AEL_OK);
        CU_ASSERT_EQUAL(memcmp(g_theirs, g_plain, len), 0);
        CU_ASSERT_EQUAL(ael_aead_open_expanded(engine, schedule, state, sealed, g_ours), AEL_OK);
        CU_ASSERT_EQUAL(memcmp(g_ours, g_plain, len), 0);
    }
    CU_ASSERT_EQUAL(memcmp(before, schedule, engine->schedule_bytes), 0);
}

static void test_seal_expanded__leaves_the_schedule_as_it_is(void) {
    CU_ASSERT_EQUAL_FATAL(ael_scratch_begin(&g_scratch, NULL), AEL_OK);
    g_count = ael_aead_engines(g_engines);
    for (size_t i = 0; i < g_count; i++) {
        check_kept_schedule(g_engines[i]);
    }
    CU_ASSERT_EQUAL(ael_scratch_end(&g_scratch), AEL_OK);
}

/* What aead.h promises, whatever engine is chosen: the output is zero after a failure. */
static void check_what_is_left(void) {
    static const size_t k_lens[] = {0, 1, 32, 256, 257, 1000, 1536, 1537, 5000};
    static const uint8_t k_zero[MAX_LEN];
    for (size_t i = 0; i < sizeof k_lens / sizeof k_lens[0]; i++) {
        size_t len = k_lens[i];
        new_inputs(len);
        struct ael_bytes plain = {g_plain, len};
        CU_ASSERT_EQUAL(ael_aead_seal(g_scratch.bytes, g_key, g_nonce, plain, g_ours), AEL_OK);
        struct ael_bytes sealed = {g_ours, len + AEL_AEAD_OVERHEAD_BYTES};
        CU_ASSERT_EQUAL(ael_aead_open(g_scratch.bytes, g_key, sealed, g_theirs), AEL_OK);
        CU_ASSERT_EQUAL(memcmp(g_theirs, g_plain, len), 0);
        g_ours[len] ^= 1; /* the tag */
        CU_ASSERT_EQUAL(ael_aead_open(g_scratch.bytes, g_key, sealed, g_theirs), AEL_E_AUTHENTICATION);
        CU_ASSERT_EQUAL(memcmp(g_theirs, k_zero, len), 0);
        CU_ASSERT_EQUAL(ael_aead_open(g_scratch.bytes, g_key, sealed, g_ours), AEL_E_AUTHENTICATION); /* in place */
        CU_ASSERT_EQUAL(memcmp(g_ours, k_zero, len), 0);
    }
}

static void test_aead_open__wipes_the_output_with_each_engine(void) {
    g_count = ael_aead_engines(g_engines);
    CU_ASSERT_EQUAL_FATAL(ael_scratch_begin(&g_scratch, NULL), AEL_OK);
    check_what_is_left(); /* whatever is chosen */
    for (size_t i = 0; i < g_count; i++) {
        CU_ASSERT_TRUE(ael_aead_force_for_test(g_engines[i]->name));
        CU_ASSERT_STRING_EQUAL(ael_aead_engine_name(1), g_engines[i]->name);
        check_what_is_left();
    }
    CU_ASSERT_TRUE(ael_aead_force_for_test(NULL));
    CU_ASSERT_EQUAL(ael_scratch_end(&g_scratch), AEL_OK);
}

static const struct test_case k_cases[] = {
    {"the engines agree", test_engines__agree_at_every_length},
    {"a schedule is kept and used again", test_seal_expanded__leaves_the_schedule_as_it_is},
    {"nothing is left of what was refused", test_aead_open__wipes_the_output_with_each_engine},
};

TEST_SUITE_MAIN("aead_engines", k_cases)
