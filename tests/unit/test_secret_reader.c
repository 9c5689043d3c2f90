/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "securememory/secret_state.h"
#include "tests/support/child.h"
#include "tests/support/failing_sys.h"
#include "tests/support/memory_level.h"
#include "tests/support/suite.h"

#include <ael/secret.h>

#include <errno.h>
#include <string.h>

static struct ael_secret_reader *g_reader;

static struct ael_secret *digits(void) {
    uint8_t text[] = "0123456789";
    struct ael_secret *secret = NULL;
    CU_ASSERT_EQUAL(ael_secret_new(text, 10, &secret), AEL_OK);
    CU_ASSERT_EQUAL(ael_secret_reader_new(secret, &g_reader), AEL_OK);
    return secret;
}

static void check_read(size_t cap, const char *expected, enum ael_status status) {
    uint8_t out[16];
    size_t n = 99;
    memset(out, 0, sizeof out);
    CU_ASSERT_EQUAL(ael_secret_reader_read(g_reader, out, cap, &n), status);
    CU_ASSERT_EQUAL(n, strlen(expected));
    CU_ASSERT_EQUAL(memcmp(out, expected, strlen(expected)), 0);
}

static void drop(struct ael_secret *secret) {
    ael_secret_reader_free(g_reader);
    ael_secret_release(secret);
}

static void test_secret_reader_read__gives_the_end_with_the_last_bytes(void) {
    struct ael_secret *secret = digits();
    check_read(4, "0123", AEL_OK);
    check_read(4, "4567", AEL_OK);
    check_read(0, "", AEL_OK);
    check_read(1, "8", AEL_OK);
    check_read(4, "9", AEL_EOF);
    check_read(4, "", AEL_EOF);
    check_read(0, "", AEL_EOF);
    drop(secret);
}

static void test_secret_reader_read__ends_after_a_full_read(void) {
    struct ael_secret *secret = digits();
    check_read(10, "0123456789", AEL_EOF);
    check_read(1, "", AEL_EOF);
    drop(secret);
}

static void test_secret_reader__holds_the_secret(void) {
    struct ael_secret *secret = digits();
    ael_secret_release(secret);
    check_read(16, "0123456789", AEL_EOF);
    ael_secret_reader_free(g_reader);
}

static void test_secret_reader__is_independent_of_others(void) {
    struct ael_secret *secret = digits();
    struct ael_secret_reader *first = g_reader;
    CU_ASSERT_EQUAL(ael_secret_reader_new(secret, &g_reader), AEL_OK);
    check_read(4, "0123", AEL_OK);
    struct ael_secret_reader *second = g_reader;
    g_reader = first;
    check_read(2, "01", AEL_OK);
    ael_secret_reader_free(second);
    drop(secret);
}

static void test_secret_reader_read__answers_closed_after_close(void) {
    struct ael_secret *secret = digits();
    check_read(4, "0123", AEL_OK);
    CU_ASSERT_EQUAL(ael_secret_close(secret), AEL_OK);
    check_read(4, "", AEL_E_CLOSED);
    check_read(0, "", AEL_E_CLOSED);
    drop(secret);
}

static void test_secret_reader_read__stays_in_place_after_a_failure(void) {
    memory_at_level(AEL_PROTECTION_STRICT);
    struct ael_secret *secret = digits();
    failing_sys_install(FAIL_MPROTECT, 1, ENOMEM, false);
    check_read(4, "", AEL_E_SYSTEM);
    CU_ASSERT_TRUE(failing_sys_remove());
    check_read(4, "0123", AEL_OK);
    drop(secret);
}

/* A read that fails leaves neither bytes nor a changed place behind. */
static void check_read_leaves_nothing(enum ael_status status) {
    static const uint8_t k_zero[4];
    uint8_t out[4];
    size_t n = 99;
    memset(out, 0xee, sizeof out);
    CU_ASSERT_EQUAL(ael_secret_reader_read(g_reader, out, sizeof out, &n), status);
    CU_ASSERT_EQUAL(n, 0);
    CU_ASSERT_EQUAL(memcmp(out, k_zero, sizeof out), 0);
}

static void test_secret_reader_read__wipes_the_output_when_the_access_does_not_end(void) {
    memory_at_level(AEL_PROTECTION_STRICT);
    struct ael_secret *secret = digits();
    check_read(4, "0123", AEL_OK); /* now idle in a slot: one call opens it, the next one shuts it */
    failing_sys_install(FAIL_MPROTECT, 2, ENOMEM, false);
    check_read_leaves_nothing(AEL_E_SYSTEM);
    CU_ASSERT_TRUE(failing_sys_remove());
    check_read(4, "4567", AEL_OK);
    drop(secret);
}

static void overwrite(const struct ael_pages *pages, size_t before_end) {
    CU_ASSERT_EQUAL(ael_pages_set_access(pages, AEL_PAGES_WRITE), AEL_OK);
    ael_pkey_begin(pages->key, true);
    pages->bytes[pages->len - before_end] ^= 1;
    ael_pkey_end_writing(pages->key);
}

static void test_secret_reader_read__wipes_the_output_when_a_canary_was_overwritten(void) {
    struct ael_secret *secret = digits();
    check_read(4, "0123", AEL_OK);
    overwrite(&secret->slot->pages, 10 + 1);
    check_read_leaves_nothing(AEL_E_CORRUPTED);
    check_read(16, "456789", AEL_EOF); /* the seal is intact */
    drop(secret);
}

static void test_secret_reader_read__wipes_the_output_of_large_secrets_too(void) {
    uint8_t source[5000];
    struct ael_secret *secret = NULL;
    memset(source, 'l', sizeof source);
    CU_ASSERT_EQUAL(ael_secret_new(source, sizeof source, &secret), AEL_OK);
    CU_ASSERT_EQUAL(ael_secret_reader_new(secret, &g_reader), AEL_OK);
    check_read(4, "llll", AEL_OK);
    overwrite(&secret->own->pages, sizeof source + 1);
    check_read_leaves_nothing(AEL_E_CORRUPTED);
    drop(secret);
}

static void test_secret_reader_read__writes_nothing_when_closed(void) {
    struct ael_secret *secret = digits();
    uint8_t out[4];
    uint8_t expected[4];
    size_t n = 99;
    memset(out, 0xee, sizeof out);
    memset(expected, 0xee, sizeof expected);
    CU_ASSERT_EQUAL(ael_secret_close(secret), AEL_OK);
    CU_ASSERT_EQUAL(ael_secret_reader_read(g_reader, out, sizeof out, &n), AEL_E_CLOSED);
    CU_ASSERT_EQUAL(n, 0);
    CU_ASSERT_EQUAL(memcmp(out, expected, sizeof out), 0);
    drop(secret);
}

static int refuse(void *context) {
    (void)context;
    return 1;
}

static void test_secret_reader__refuses_bad_arguments(void) {
    struct ael_secret *secret = digits();
    struct ael_secret_reader *reader = g_reader;
    uint8_t out[1];
    size_t n = 1;
    CU_ASSERT_EQUAL(ael_secret_reader_new(NULL, &reader), AEL_E_ARGUMENT);
    CU_ASSERT_PTR_NULL(reader);
    CU_ASSERT_EQUAL(ael_secret_reader_new(secret, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_secret_reader_read(NULL, out, 1, &n), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(n, 0);
    CU_ASSERT_EQUAL(ael_secret_reader_read(g_reader, NULL, 1, &n), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_secret_reader_read(g_reader, out, 1, NULL), AEL_E_ARGUMENT);
    ael_alloc_set_fault(refuse, NULL);
    CU_ASSERT_EQUAL(ael_secret_reader_new(secret, &reader), AEL_E_NO_MEMORY);
    ael_alloc_set_fault(NULL, NULL);
    ael_secret_reader_free(NULL);
    drop(secret);
}

static int read_inherited(void) {
    uint8_t out[4];
    size_t n = 0;
    return ael_secret_reader_read(g_reader, out, 4, &n) == AEL_E_FORKED &&
                   ael_secret_reader_read(g_reader, out, 0, &n) == AEL_E_FORKED
               ? 0
               : 1;
}

static void test_secret_reader_read__refuses_after_fork(void) {
    memory_that_forgets();
    struct ael_secret *secret = digits();
    CU_ASSERT_EQUAL(child_run(read_inherited), 0);
    drop(secret);
}

static const struct test_case k_cases[] = {
    {"end with the last bytes", test_secret_reader_read__gives_the_end_with_the_last_bytes},
    {"end after a full read", test_secret_reader_read__ends_after_a_full_read},
    {"holds the secret", test_secret_reader__holds_the_secret},
    {"independent", test_secret_reader__is_independent_of_others},
    {"closed", test_secret_reader_read__answers_closed_after_close},
    {"place after failure", test_secret_reader_read__stays_in_place_after_a_failure},
    {"end of an access fails", test_secret_reader_read__wipes_the_output_when_the_access_does_not_end},
    {"canary overwritten", test_secret_reader_read__wipes_the_output_when_a_canary_was_overwritten},
    {"canary of a large secret", test_secret_reader_read__wipes_the_output_of_large_secrets_too},
    {"nothing when closed", test_secret_reader_read__writes_nothing_when_closed},
    {"bad arguments", test_secret_reader__refuses_bad_arguments},
    {"after fork", test_secret_reader_read__refuses_after_fork},
};

TEST_SUITE_MAIN("secret_reader", k_cases)
