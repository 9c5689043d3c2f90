/*
 * tests/unit/test_aead_self_test.c - each engine gives the known answers, and each kind of wrong engine is found out.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "crypto/aead_self_test.h"
#include "tests/support/suite.h"

#include <string.h>

static void test_self_test__passes_for_each_engine_that_is_there(void) {
    const struct ael_aead_engine *engines[AEL_AEAD_ENGINES_MAX];
    size_t count = ael_aead_engines(engines);
    CU_ASSERT_TRUE(count >= 1);
    for (size_t i = 0; i < count; i++) {
        CU_ASSERT_EQUAL(ael_aead_self_test(engines[i]), AEL_OK);
    }
}

/* ---- EVP, with one thing wrong ---- */

enum fault {
    NOTHING,
    WRONG_CIPHERTEXT,
    WRONG_TAG,
    WRONG_PLAIN,
    WRONG_LONG, /* in messages of more than 768 bytes alone */
    REFUSES_ALL,
    REFUSES_NONE,
    WRITES_BEHIND_SCHEDULE,
    WRITES_BEHIND_STATE,
    FAILS,
    HAS_NO_MEMORY,
};

static enum fault g_fault;

static bool is_available(void) {
    return true;
}

static enum ael_status expand(uint8_t *schedule, const uint8_t *key) {
    if (g_fault == WRITES_BEHIND_SCHEDULE) {
        schedule[AEL_AEAD_KEY_BYTES] = 1;
    }
    return g_fault == FAILS           ? AEL_E_CRYPTO
           : g_fault == HAS_NO_MEMORY ? AEL_E_NO_MEMORY
                                      : ael_aead_evp.expand(schedule, key);
}

static enum ael_status seal(
    const uint8_t *schedule, uint8_t *state, const uint8_t *nonce, const uint8_t *in, size_t len, uint8_t *out,
    uint8_t *tag) {
    enum ael_status status = ael_aead_evp.seal(schedule, state, nonce, in, len, out, tag);
    out[0] ^= g_fault == WRONG_CIPHERTEXT;
    tag[15] ^= g_fault == WRONG_TAG || (g_fault == WRONG_LONG && len > 768);
    if (g_fault == WRITES_BEHIND_STATE) {
        state[AEL_AEAD_STATE_BYTES] = 1;
    }
    return status;
}

static enum ael_status open_message(
    const uint8_t *schedule, uint8_t *state, const uint8_t *nonce, const uint8_t *in, size_t len, const uint8_t *tag,
    uint8_t *out) {
    enum ael_status status = ael_aead_evp.open(schedule, state, nonce, in, len, tag, out);
    out[len - 1] ^= g_fault == WRONG_PLAIN;
    return g_fault == REFUSES_ALL ? AEL_E_AUTHENTICATION : g_fault == REFUSES_NONE ? AEL_OK : status;
}

static const struct ael_aead_engine k_wrong = {"evp", AEL_AEAD_KEY_BYTES, is_available, expand, seal, open_message};

static void test_self_test__finds_each_wrong_answer(void) {
    g_fault = NOTHING;
    CU_ASSERT_EQUAL(ael_aead_self_test(&k_wrong), AEL_OK);
    for (unsigned fault = WRONG_CIPHERTEXT; fault <= WRITES_BEHIND_STATE; fault++) {
        g_fault = (enum fault)fault;
        CU_ASSERT_EQUAL(ael_aead_self_test(&k_wrong), AEL_E_CORRUPTED);
    }
}

static void test_self_test__hands_on_why_there_was_no_answer(void) {
    g_fault = FAILS;
    CU_ASSERT_EQUAL(ael_aead_self_test(&k_wrong), AEL_E_CRYPTO);
    g_fault = HAS_NO_MEMORY;
    CU_ASSERT_EQUAL(ael_aead_self_test(&k_wrong), AEL_E_NO_MEMORY);
}

static void test_self_test__finds_a_schedule_that_is_too_long(void) {
    struct ael_aead_engine greedy = k_wrong;
    g_fault = NOTHING;
    greedy.schedule_bytes = AEL_AEAD_SCHEDULE_BYTES + 1;
    CU_ASSERT_EQUAL(ael_aead_self_test(&greedy), AEL_E_CORRUPTED);
}

/* Who keeps the schedule would keep what was there before. */
static void test_self_test__finds_a_schedule_that_is_written_in_part(void) {
    struct ael_aead_engine careless = k_wrong;
    g_fault = NOTHING;
    careless.schedule_bytes = AEL_AEAD_KEY_BYTES + 1;
    CU_ASSERT_EQUAL(ael_aead_self_test(&careless), AEL_E_CORRUPTED);
}

static const struct test_case k_cases[] = {
    {"each engine passes", test_self_test__passes_for_each_engine_that_is_there},
    {"each wrong answer is found", test_self_test__finds_each_wrong_answer},
    {"no answer is not a wrong one", test_self_test__hands_on_why_there_was_no_answer},
    {"a schedule that is written in part", test_self_test__finds_a_schedule_that_is_written_in_part},
    {"a schedule that is too long", test_self_test__finds_a_schedule_that_is_too_long},
};

TEST_SUITE_MAIN("aead_self_test", k_cases)
