/*
 * tests/unit/test_json_secret.c - net/json_secret.h: the secret is taken out wherever the pieces end.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/json_secret.h"

#include "tests/support/suite.h"

#include <string.h>

struct outcome {
    struct ael_json_secret json;
    uint8_t value[AEL_JSON_SECRET_MAX];
    struct ael_buf rest;
};

/* Feeds a text in two pieces, cut at `cut`, or byte by byte when that is beyond its end. */
static void feed(struct outcome *outcome, const char *text, size_t cut) {
    size_t len = strlen(text);
    size_t step = cut > len ? 1 : cut;
    *outcome =
        (struct outcome){.json = {.name = "Plaintext", .max = AEL_JSON_SECRET_MAX}, .rest = AEL_BUF_INIT};
    for (size_t at = 0; at<len; at += step, step = cut> len ? 1 : len - at) {
        struct ael_bytes piece = {(const uint8_t *)text + at, step};
        if (step == 0) {
            step = len;
            piece.len = len;
        }
        CU_ASSERT_EQUAL_FATAL(
            ael_json_secret_feed(&outcome->json, piece, outcome->value, &outcome->rest), AEL_OK);
    }
}

static void expect_at(const char *text, size_t cut, const char *secret, const char *rest) {
    struct outcome outcome;
    feed(&outcome, text, cut);
    CU_ASSERT_FALSE(outcome.json.bad);
    CU_ASSERT_EQUAL(outcome.json.len, strlen(secret));
    CU_ASSERT(memcmp(outcome.value, secret, strlen(secret)) == 0);
    CU_ASSERT_EQUAL(outcome.rest.len, strlen(rest));
    CU_ASSERT(outcome.rest.len == strlen(rest) && memcmp(outcome.rest.data, rest, strlen(rest)) == 0);
    ael_buf_clear(&outcome.rest);
}

static void expect(const char *text, const char *secret, const char *rest) {
    for (size_t cut = 1; cut <= strlen(text) + 1; cut++) {
        expect_at(text, cut, secret, rest);
    }
}

static void test_json_secret_feed__takes_the_secret_out_wherever_pieces_end(void) {
    expect(
        "{\"KeyId\":\"arn\",\"Plaintext\":\"c2VjcmV0\",\"More\":1}", "c2VjcmV0",
        "{\"KeyId\":\"arn\",\"Plaintext\":\"\",\"More\":1}");
    expect("{ \"Plaintext\" :\n \"abc=\" }", "abc=", "{ \"Plaintext\" :\n \"\" }");
    expect("{\"data\":{\"Plaintext\":\"a\\/b\"}}", "a/b", "{\"data\":{\"Plaintext\":\"\"}}");
}

static void test_json_secret_feed__leaves_what_only_looks_like_it(void) {
    static const char *const k_texts[] = {
        "{\"a\":\"Plaintext\",\"b\":\"x\"}",
        "{\"Plaintexts\":\"x\"}",
        "{\"Plain\":\"x\"}",
        "{\"\\\"Plaintext\":\"x\"}",
        "[\"Plaintext\",\"x\"]",
        "{\"Plaintext\":null}",
        "{\"Plaintext\":12}",
        "{\"a\":\"\\\\\",\"b\":\"x\"}",
        "{\"a\":\"\\\"Plaintext\\\":\\\"x\"}",
    };
    for (size_t i = 0; i < sizeof k_texts / sizeof k_texts[0]; i++) {
        expect(k_texts[i], "", k_texts[i]);
    }
}

static void test_json_secret_feed__refuses_what_no_key_has(void) {
    static const char *const k_texts[] = {
        "{\"Plaintext\":\"a\\nb\"}",
        "{\"Plaintext\":\"a\\u0041\"}",
        "{\"Plaintext\":\"a b\"}",
        "{\"Plaintext\":\"a\r\nX: b\"}",
        "{\"Plaintext\":\"\x7f\"}",
        "{\"Plaintext\":\"\xc3\xa4\"}",
        "{\"Plaintext\":\"a\",\"Plaintext\":\"b\"}",
    };
    struct outcome outcome;
    for (size_t i = 0; i < sizeof k_texts / sizeof k_texts[0]; i++) {
        feed(&outcome, k_texts[i], 1);
        CU_ASSERT(outcome.json.bad);
        ael_buf_clear(&outcome.rest);
    }
    char longest[256] = "{\"Plaintext\":\"";
    memset(longest + strlen(longest), 'A', AEL_JSON_SECRET_MAX);
    expect_at(longest, 7, longest + 14, "{\"Plaintext\":\"");
    memset(longest + strlen(longest), 'A', 1);
    feed(&outcome, longest, 7);
    CU_ASSERT(outcome.json.bad);
    CU_ASSERT_EQUAL(outcome.json.len, AEL_JSON_SECRET_MAX);
    ael_buf_clear(&outcome.rest);
}

/* Feeds byte by byte; either name will do, and blanks may be in the secret. */
static void feed_either(struct outcome *outcome, const char *text, size_t len) {
    *outcome = (struct outcome){
        .json =
            {.name = "SecretString",
             .other_name = "SecretBinary",
             .blanks = true,
             .max = AEL_JSON_SECRET_MAX},
        .rest = AEL_BUF_INIT};
    for (size_t at = 0; at < len; at++) {
        struct ael_bytes piece = {(const uint8_t *)text + at, 1};
        CU_ASSERT_EQUAL_FATAL(
            ael_json_secret_feed(&outcome->json, piece, outcome->value, &outcome->rest), AEL_OK);
    }
}

static void expect_either(const char *text, const char *secret, const char *rest) {
    struct outcome outcome;
    feed_either(&outcome, text, strlen(text));
    CU_ASSERT_FALSE(outcome.json.bad);
    CU_ASSERT(outcome.json.len == strlen(secret) && memcmp(outcome.value, secret, strlen(secret)) == 0);
    CU_ASSERT(outcome.rest.len == strlen(rest) && memcmp(outcome.rest.data, rest, strlen(rest)) == 0);
    ael_buf_clear(&outcome.rest);
}

static void test_json_secret_feed__takes_it_under_either_name(void) {
    expect_either("{\"SecretString\":\"a\\nb\\r\\t\"}", "a b  ", "{\"SecretString\":\"\"}");
    expect_either("{\"SecretBinary\":\"a\"}", "a", "{\"SecretBinary\":\"\"}");
    expect_either(
        "{\"SecretString\":null,\"SecretBinary\":\"a\"}", "a",
        "{\"SecretString\":null,\"SecretBinary\":\"\"}");
    expect_either("{\"Secret\":\"a\"}", "", "{\"Secret\":\"a\"}");
    expect_either("{\"SecretStrinary\":\"a\"}", "", "{\"SecretStrinary\":\"a\"}");
    expect_either("{\"SecretBinarys\":\"a\"}", "", "{\"SecretBinarys\":\"a\"}");
}

static void test_json_secret_feed__refuses_both_and_other_escapes(void) {
    static const char *const k_texts[] = {
        "{\"SecretString\":\"a\",\"SecretBinary\":\"b\"}", "{\"SecretString\":\"{\\\"a\\\":1}\"}",
        "{\"SecretString\":\"\\u0041\"}"};
    struct outcome outcome;
    for (size_t i = 0; i < sizeof k_texts / sizeof k_texts[0]; i++) {
        feed_either(&outcome, k_texts[i], strlen(k_texts[i]));
        CU_ASSERT(outcome.json.bad);
        ael_buf_clear(&outcome.rest);
    }
}

/* The name's end is no byte of it: what is behind it in memory is not looked at. */
static void test_json_secret_feed__leaves_a_name_that_goes_on_behind_a_nul(void) {
    static const char k_text[] = "{\"SecretString\0"; /* its own end is one more */
    struct outcome outcome;
    feed_either(&outcome, k_text, sizeof k_text - 1);
    CU_ASSERT_FALSE(outcome.json.is_name || outcome.json.is_other);
    CU_ASSERT_EQUAL(outcome.json.matched, strlen("SecretString"));
    CU_ASSERT_EQUAL(outcome.rest.len, sizeof k_text - 1);
    ael_buf_clear(&outcome.rest);
}

static const struct test_case k_cases[] = {
    {"the secret is taken out wherever pieces end",
     test_json_secret_feed__takes_the_secret_out_wherever_pieces_end},
    {"what only looks like it is left", test_json_secret_feed__leaves_what_only_looks_like_it},
    {"what no key has is refused", test_json_secret_feed__refuses_what_no_key_has},
    {"either name", test_json_secret_feed__takes_it_under_either_name},
    {"both names, other escapes", test_json_secret_feed__refuses_both_and_other_escapes},
    {"a name with a NUL in it", test_json_secret_feed__leaves_a_name_that_goes_on_behind_a_nul},
};

TEST_SUITE_MAIN("json secret", k_cases)
