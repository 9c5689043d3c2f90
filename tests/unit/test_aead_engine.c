/*
 * tests/unit/test_aead_engine.c - which engine is chosen, and what happens when engines are broken: others do the work,
 * the log says so once, and with none left every message is refused and nothing of it stays.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "crypto/aead_engine.h"
#include "securememory/scratch.h"
#include "tests/support/child.h"
#include "tests/support/fixture.h"
#include "tests/support/suite.h"
#include "tests/support/under.h"

#include <ael/hooks.h>

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const k_names[] = {"evp", "libsodium", "ipsec-mb/avx2", "ipsec-mb/avx512"};
enum { NAMES = sizeof k_names / sizeof k_names[0] };

static bool is_there(const char *name) {
    const struct ael_aead_engine *engines[AEL_AEAD_ENGINES_MAX];
    size_t count = ael_aead_engines(engines);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(engines[i]->name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- broken engines ---- */

static unsigned g_asked; /* broken engines, for a key */
static enum ael_status g_answer = AEL_OK;

static bool is_available(void) {
    return true;
}

static enum ael_status expand(uint8_t *schedule, const uint8_t *key) {
    (void)schedule;
    (void)key;
    g_asked++;
    return g_answer;
}

static enum ael_status seal(
    const uint8_t *schedule, uint8_t *state, const uint8_t *nonce, const uint8_t *in, size_t len, uint8_t *out,
    uint8_t *tag) {
    (void)schedule;
    (void)state;
    (void)nonce;
    memmove(out, in, len); /* the worst of wrong answers */
    memset(tag, 0, AEL_AEAD_TAG_BYTES);
    return AEL_OK;
}

static enum ael_status open_message(
    const uint8_t *schedule, uint8_t *state, const uint8_t *nonce, const uint8_t *in, size_t len, const uint8_t *tag,
    uint8_t *out) {
    (void)tag;
    return seal(schedule, state, nonce, in, len, out, out);
}

static const struct ael_aead_engine k_broken[NAMES] = {
    {"evp", 0, is_available, expand, seal, open_message},
    {"libsodium", 0, is_available, expand, seal, open_message},
    {"ipsec-mb/avx2", 0, is_available, expand, seal, open_message},
    {"ipsec-mb/avx512", 0, is_available, expand, seal, open_message},
};

static void break_engine(size_t number) {
    CU_ASSERT_TRUE(ael_aead_replace_for_test(k_names[number], &k_broken[number]));
}

static void repair_all(void) {
    for (size_t i = 0; i < NAMES; i++) {
        CU_ASSERT_TRUE(ael_aead_replace_for_test(k_names[i], NULL));
    }
    g_answer = AEL_OK;
}

/* ---- ipsec-mb's manager, which is the only thing that is allocated so ---- */

static bool g_no_manager;

int posix_memalign(void **out, size_t alignment, size_t len) {
    *out = g_no_manager ? NULL : aligned_alloc(alignment, (len + alignment - 1) / alignment * alignment);
    return *out != NULL ? 0 : ENOMEM;
}

/* ---- the log ---- */

static unsigned g_lines;
static char g_line[256];

static void
count_line(void *context, enum ael_log_level level, const char *component, const char *message) {
    (void)context;
    if (level == AEL_LOG_ERROR && strcmp(component, "crypto") == 0) {
        g_lines++;
        (void)snprintf(g_line, sizeof g_line, "%s", message);
    }
}

static void listen_to_log(void) {
    struct ael_hooks hooks = AEL_HOOKS_INIT;
    hooks.log = count_line;
    CU_ASSERT_EQUAL(ael_hooks_set(&hooks), AEL_OK);
    g_lines = 0;
    g_line[0] = '\0';
}

/* ---- choice ---- */

static const char *expected(size_t len) {
    if (is_there("ipsec-mb/avx512") && len > 256) {
        return "ipsec-mb/avx512";
    }
    if (is_there("ipsec-mb/avx2")) {
        return "ipsec-mb/avx2";
    }
    return is_there("libsodium") && len <= 1536 ? "libsodium" : "evp";
}

static void test_choose__goes_by_what_is_there_and_by_length(void) {
    static const size_t k_lens[] = {0, 1, 64, 256, 257, 1536, 1537, 1 << 20};
    ael_aead_prepare();
    for (size_t i = 0; i < sizeof k_lens / sizeof k_lens[0]; i++) {
        CU_ASSERT_STRING_EQUAL(ael_aead_engine_name(k_lens[i]), expected(k_lens[i]));
    }
}

static int only_evp_in_fips_mode(void) {
    const struct ael_aead_engine *engine = NULL;
    if (ael_aead_choose_evp(&engine) != AEL_OK || EVP_default_properties_enable_fips(NULL, 1) != 1) {
        return 1;
    }
    return ael_aead_force_for_test(NULL) && strcmp(ael_aead_engine_name(1), "evp") == 0 &&
                   strcmp(ael_aead_engine_name(1 << 20), "evp") == 0
               ? 0
               : 2;
}

static void test_choose__takes_evp_alone_in_fips_mode(void) {
    CU_ASSERT_EQUAL(child_run(only_evp_in_fips_mode), 0);
}

static void test_force_for_test__refuses_what_is_not_there(void) {
    CU_ASSERT_FALSE(ael_aead_force_for_test("rot13"));
    CU_ASSERT_FALSE(ael_aead_replace_for_test("rot13", NULL));
    for (size_t i = 0; i < NAMES; i++) {
        CU_ASSERT_EQUAL(ael_aead_force_for_test(k_names[i]), is_there(k_names[i]));
        CU_ASSERT_TRUE(!is_there(k_names[i]) || strcmp(ael_aead_engine_name(9), k_names[i]) == 0);
    }
    CU_ASSERT_TRUE(ael_aead_force_for_test(NULL));
    CU_ASSERT_STRING_EQUAL(ael_aead_engine_name(64), expected(64));
}

/* ---- health ---- */

/* Seals and opens one message; the first status that is not AEL_OK. */
static enum ael_status round_trip(uint8_t *work, size_t len) {
    static uint8_t plain[5000], sealed[5000 + AEL_AEAD_OVERHEAD_BYTES], back[5000];
    static const uint8_t k_key[AEL_AEAD_KEY_BYTES] = {1}, k_nonce[AEL_AEAD_NONCE_BYTES] = {2};
    memset(plain, 'p', len);
    enum ael_status status = ael_aead_seal(work, k_key, k_nonce, (struct ael_bytes){plain, len}, sealed);
    if (status == AEL_OK) {
        status = ael_aead_open(work, k_key, (struct ael_bytes){sealed, len + AEL_AEAD_OVERHEAD_BYTES}, back);
    }
    CU_ASSERT_TRUE(status != AEL_OK || (memcmp(plain, back, len) == 0 && memcmp(plain, sealed, len) != 0));
    return status;
}

static void check_all_lengths(enum ael_status wanted) {
    struct ael_scratch scratch;
    CU_ASSERT_EQUAL_FATAL(ael_scratch_begin(&scratch, NULL), AEL_OK);
    CU_ASSERT_EQUAL(round_trip(scratch.bytes, 64), wanted);
    CU_ASSERT_EQUAL(round_trip(scratch.bytes, 1000), wanted);
    CU_ASSERT_EQUAL(round_trip(scratch.bytes, 5000), wanted);
    CU_ASSERT_EQUAL(ael_scratch_end(&scratch), AEL_OK);
}

static void test_choose__goes_on_without_a_broken_engine_and_says_so_once(void) {
    for (size_t i = 0; i < NAMES; i++) {
        listen_to_log();
        break_engine(i);
        ael_aead_prepare();
        enum ael_status wanted = i > 0 || is_there("libsodium") ? AEL_OK : AEL_E_CRYPTO; /* of EVP alone none is left */
        check_all_lengths(wanted);
        check_all_lengths(wanted);
        CU_ASSERT_STRING_NOT_EQUAL(ael_aead_engine_name(64), k_names[i]);
        CU_ASSERT_STRING_NOT_EQUAL(ael_aead_engine_name(5000), k_names[i]);
        if (g_lines > 0) { /* where faster ones are there, it is never asked */
            CU_ASSERT_EQUAL(g_lines, 1);
            CU_ASSERT_PTR_NOT_NULL(strstr(g_line, k_names[i]));
        }
        repair_all();
    }
}

static void test_choose__asks_a_broken_engine_never_again(void) {
    break_engine(0);
    g_asked = 0;
    CU_ASSERT_TRUE(ael_aead_force_for_test("evp"));
    CU_ASSERT_STRING_EQUAL(ael_aead_engine_name(64), "none");
    CU_ASSERT_EQUAL(g_asked, 1); /* the first message was wrong already */
    check_all_lengths(AEL_E_CRYPTO);
    CU_ASSERT_EQUAL(g_asked, 1);
    repair_all();
    CU_ASSERT_STRING_EQUAL(ael_aead_engine_name(64), "evp");
    CU_ASSERT_TRUE(ael_aead_force_for_test(NULL));
}

static void test_choose__asks_again_after_a_want_of_memory(void) {
    const struct ael_aead_engine *engine = NULL;
    break_engine(0);
    listen_to_log();
    g_answer = AEL_E_NO_MEMORY;
    CU_ASSERT_EQUAL(ael_aead_choose_evp(&engine), AEL_E_NO_MEMORY);
    CU_ASSERT_PTR_NULL(engine);
    CU_ASSERT_EQUAL(g_lines, 0);
    g_answer = AEL_OK;
    CU_ASSERT_EQUAL(ael_aead_choose_evp(&engine), AEL_E_CRYPTO);
    CU_ASSERT_EQUAL(g_lines, 1);
    repair_all();
}

static void test_aead__refuses_everything_when_no_engine_is_left(void) {
    static const uint8_t k_key[AEL_AEAD_KEY_BYTES] = {1}, k_zero[64 + AEL_AEAD_OVERHEAD_BYTES];
    uint8_t out[64 + AEL_AEAD_OVERHEAD_BYTES];
    struct ael_bytes plain = {(const uint8_t *)"not to be seen", 14};
    for (size_t i = 0; i < NAMES; i++) {
        break_engine(i);
    }
    check_all_lengths(AEL_E_CRYPTO);
    memset(out, 0xee, sizeof out);
    CU_ASSERT_EQUAL(ael_aead_seal(NULL, k_key, k_zero, plain, out), AEL_E_CRYPTO);
    CU_ASSERT_EQUAL(memcmp(out, k_zero, plain.len + AEL_AEAD_OVERHEAD_BYTES), 0);
    memset(out, 0xee, sizeof out);
    CU_ASSERT_EQUAL(ael_aead_open(NULL, k_key, (struct ael_bytes){k_zero, 60}, out), AEL_E_CRYPTO);
    CU_ASSERT_EQUAL(memcmp(out, k_zero, 60 - AEL_AEAD_OVERHEAD_BYTES), 0);
    repair_all();
}

/* The same, as the host sees it. */
static void test_session__answers_crypto_without_an_engine_and_works_with_one(void) {
    struct fixture fix;
    fixture_begin(&fix);
    struct ael_session *session = fixture_session(&fix, "p");
    struct ael_record_buf record = fixture_record(session);
    for (size_t i = 0; i < NAMES; i++) {
        break_engine(i);
    }
    CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_E_CRYPTO);
    CU_ASSERT_EQUAL(fixture_decrypt(session, &record.record), AEL_E_CRYPTO);
    repair_all();
    CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_OK);
    CU_ASSERT_EQUAL(fixture_decrypt(session, &record.record), AEL_OK);
    ael_record_buf_clear(&record);
    ael_session_release(session);
    fixture_end(&fix);
}

/* The number of its name. */
static int engine_for(size_t len) {
    int number = 0;
    while (number < NAMES && strcmp(ael_aead_engine_name(len), k_names[number]) != 0) {
        number++;
    }
    return number;
}

static int engines_with_memory(void) {
    return engine_for(64) * 8 + engine_for(65536);
}

static int engines_after_a_want_of_memory(void) {
    g_no_manager = true;
    bool without = engine_for(64) < 2 && engine_for(65536) < 2;
    g_no_manager = false;
    return without ? engines_with_memory() : 99;
}

/* In children, before this process knows its engines. */
static void test_choose__asks_for_ipsec_mb_again_after_a_want_of_memory(void) {
    if (under_valgrind()) {
        CU_PASS("posix_memalign is valgrind's own there, and does not fail");
        return;
    }
    CU_ASSERT_EQUAL(child_run(engines_after_a_want_of_memory), child_run(engines_with_memory));
}

static const struct test_case k_cases[] = {
    {"memory for a manager later", test_choose__asks_for_ipsec_mb_again_after_a_want_of_memory},
    {"what is there, and lengths", test_choose__goes_by_what_is_there_and_by_length},
    {"FIPS mode", test_choose__takes_evp_alone_in_fips_mode},
    {"an engine that is not there", test_force_for_test__refuses_what_is_not_there},
    {"one that is broken", test_choose__goes_on_without_a_broken_engine_and_says_so_once},
    {"one that is broken is asked once", test_choose__asks_a_broken_engine_never_again},
    {"no memory for the self-test", test_choose__asks_again_after_a_want_of_memory},
    {"none is left", test_aead__refuses_everything_when_no_engine_is_left},
    {"none is left to a session", test_session__answers_crypto_without_an_engine_and_works_with_one},
};

TEST_SUITE_MAIN("aead_engine", k_cases)
