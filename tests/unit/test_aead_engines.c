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

static enum ael_status
seal_by(const struct ael_aead_engine *engine, const uint8_t *in, size_t len, uint8_t *out) {
    return engine->seal(g_scratch.bytes, g_key, g_nonce, in, len, out, out + len);
}

static enum ael_status
open_by(const struct ael_aead_engine *engine, const uint8_t *in, size_t len, uint8_t *out) {
    return engine->open(g_scratch.bytes, g_key, g_nonce, in, len, in + len, out);
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

static void check_same_bytes(size_t len, size_t shift) {
    CU_ASSERT_EQUAL(seal_by(&ael_aead_evp, g_plain + shift, len, g_ours), AEL_OK);
    CU_ASSERT_EQUAL(seal_by(&ael_aead_sodium, g_plain + shift, len, g_theirs), AEL_OK);
    CU_ASSERT_EQUAL(memcmp(g_ours, g_theirs, len + AEL_AEAD_TAG_BYTES), 0);
    memcpy(g_theirs, g_plain + shift, len);
    CU_ASSERT_EQUAL(seal_by(&ael_aead_sodium, g_theirs, len, g_theirs), AEL_OK); /* in place */
    CU_ASSERT_EQUAL(memcmp(g_ours, g_theirs, len + AEL_AEAD_TAG_BYTES), 0);
    CU_ASSERT_EQUAL(open_by(&ael_aead_sodium, g_theirs, len, g_theirs), AEL_OK);
    CU_ASSERT_EQUAL(memcmp(g_theirs, g_plain + shift, len), 0);
}

static void check_len(size_t len) {
    for (size_t shift = 0; shift < 64; shift += 21) {
        new_inputs(len);
        check_same_bytes(len, shift);
        check_pair(&ael_aead_evp, &ael_aead_sodium, len, shift);
        check_pair(&ael_aead_sodium, &ael_aead_evp, len, shift);
    }
}

static void test_engines__agree_at_every_length(void) {
    if (!ael_aead_sodium_is_available()) {
        printf("\n  no AES instructions: one engine only ");
        return;
    }
    CU_ASSERT_EQUAL_FATAL(ael_scratch_begin(&g_scratch, NULL), AEL_OK);
    for (size_t len = 0; len <= MAX_LEN; len += len < 300 ? 1 : (size_t)soak_count(97, 1)) {
        check_len(len);
    }
    CU_ASSERT_EQUAL(ael_scratch_end(&g_scratch), AEL_OK);
}

/* What aead.h promises, whatever engine is chosen: the output is zero after a failure. */
static void test_aead_open__wipes_the_output_with_either_engine(void) {
    static const size_t k_lens[] = {0, 1, 32, 1000, 1536, 1537, 5000};
    static const uint8_t k_zero[MAX_LEN];
    CU_ASSERT_EQUAL_FATAL(ael_scratch_begin(&g_scratch, NULL), AEL_OK);
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
    CU_ASSERT_EQUAL(ael_scratch_end(&g_scratch), AEL_OK);
}

static void test_engine_name__follows_the_length(void) {
    CU_ASSERT_STRING_EQUAL(ael_aead_engine_name(1 << 20), "evp");
    if (ael_aead_sodium_is_available()) {
        CU_ASSERT_STRING_EQUAL(ael_aead_engine_name(64), "libsodium");
    }
}

static const struct test_case k_cases[] = {
    {"the engines agree", test_engines__agree_at_every_length},
    {"nothing is left of what was refused", test_aead_open__wipes_the_output_with_either_engine},
    {"the engine of a length", test_engine_name__follows_the_length},
};

TEST_SUITE_MAIN("aead_engines", k_cases)
