/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/suite.h"

#include <ael/sys/error.h>
#include <ael/version.h>

#include <string.h>

static const enum ael_status k_all[] = {
#define AEL_X(name, value, text) name,
    AEL_STATUS_MAP(AEL_X)
#undef AEL_X
};

enum { ALL_COUNT = sizeof(k_all) / sizeof(k_all[0]) };

static void test_ael_status_name__is_the_constant(void) {
    CU_ASSERT_STRING_EQUAL(ael_status_name(AEL_OK), "AEL_OK");
    CU_ASSERT_STRING_EQUAL(ael_status_name(AEL_E_PROTECTION), "AEL_E_PROTECTION");
    CU_ASSERT_STRING_EQUAL(ael_status_name((enum ael_status)0x7777), "AEL_E_UNKNOWN");
}

static void test_ael_status_text__is_a_sentence_of_its_own(void) {
    for (size_t i = 0; i < ALL_COUNT; i++) {
        CU_ASSERT(strlen(ael_status_text(k_all[i])) > 5);
        for (size_t j = 0; j < i; j++) {
            CU_ASSERT_NOT_EQUAL(k_all[i], k_all[j]);
            CU_ASSERT_STRING_NOT_EQUAL(ael_status_name(k_all[i]), ael_status_name(k_all[j]));
            CU_ASSERT_STRING_NOT_EQUAL(ael_status_text(k_all[i]), ael_status_text(k_all[j]));
        }
    }
    CU_ASSERT_STRING_EQUAL(ael_status_text((enum ael_status) - 1), "unknown status");
}

static void test_ael_status__numbers_stay(void) {
    CU_ASSERT_EQUAL(AEL_OK, 0);
    CU_ASSERT_EQUAL(AEL_E_ARGUMENT, 0x0101);
    CU_ASSERT_EQUAL(AEL_E_FORMAT, 0x0202);
    CU_ASSERT_EQUAL(AEL_E_KEY_NOT_FOUND, 0x0301);
    CU_ASSERT_EQUAL(AEL_E_BACKEND, 0x0401);
    CU_ASSERT_EQUAL(AEL_E_WOULD_BLOCK, 0x0408);
    CU_ASSERT_EQUAL(AEL_E_PROTECTION, 0x0507);
}

static void test_ael_error_set__fills_every_member(void) {
    struct ael_error error = {0};
    CU_ASSERT_EQUAL(
        ael_error_set(&error, AEL_E_BACKEND, 5, "metastore/x", "row %d of %s", 7, "a"), AEL_E_BACKEND);
    CU_ASSERT_EQUAL(error.status, AEL_E_BACKEND);
    CU_ASSERT_EQUAL(error.native_code, 5);
    CU_ASSERT_STRING_EQUAL(error.component, "metastore/x");
    CU_ASSERT_STRING_EQUAL(error.detail, "row 7 of a");
    CU_ASSERT_EQUAL(ael_error_set(NULL, AEL_E_KMS, 0, "x", "%s", "nobody reads this"), AEL_E_KMS);
}

static void fill(char *text, size_t len, const char *tail) {
    memset(text, 'a', len);
    memcpy(text + len, tail, strlen(tail) + 1);
}

static void test_ael_error_set__cuts_between_characters(void) {
    struct ael_error error = {0};
    enum { ROOM = sizeof(error.detail) - 1 };
    char text[ROOM + 64];
    fill(text, ROOM + 10, "");
    (void)ael_error_set(&error, AEL_E_KMS, 0, "x", "%s", text);
    CU_ASSERT_EQUAL(strlen(error.detail), ROOM);
    static const char *const k_characters[] = {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    for (size_t i = 0; i < 3; i++) {
        size_t len = strlen(k_characters[i]);
        for (size_t kept = 1; kept < len; kept++) {
            fill(text, ROOM - kept, k_characters[i]);
            (void)ael_error_set(&error, AEL_E_KMS, 0, "x", "%s", text);
            CU_ASSERT_EQUAL(strlen(error.detail), ROOM - kept);
        }
        fill(text, ROOM - len, k_characters[i]);
        memcpy(text + ROOM, "more", sizeof("more"));
        (void)ael_error_set(&error, AEL_E_KMS, 0, "x", "%s", text);
        CU_ASSERT_EQUAL(strlen(error.detail), ROOM);
    }
}

static void test_ael_error_set__cuts_bytes_that_are_no_text(void) {
    struct ael_error error = {0};
    char text[sizeof(error.detail) + 8];
    memset(text, 0x80, sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    (void)ael_error_set(&error, AEL_E_KMS, 0, "x", "%s", text);
    CU_ASSERT_EQUAL(strlen(error.detail), sizeof(error.detail) - 1);
}

static void test_ael_version__is_that_of_the_headers(void) {
    CU_ASSERT_STRING_EQUAL(ael_version(), AEL_VERSION_TEXT);
}

static const struct test_case k_cases[] = {
    {"a name is the constant", test_ael_status_name__is_the_constant},
    {"a text is a sentence of its own", test_ael_status_text__is_a_sentence_of_its_own},
    {"numbers stay", test_ael_status__numbers_stay},
    {"an error has every member", test_ael_error_set__fills_every_member},
    {"a detail is cut between characters", test_ael_error_set__cuts_between_characters},
    {"a detail that is no text is cut too", test_ael_error_set__cuts_bytes_that_are_no_text},
    {"the version is that of the headers", test_ael_version__is_that_of_the_headers},
};

TEST_SUITE_MAIN("status", k_cases)
