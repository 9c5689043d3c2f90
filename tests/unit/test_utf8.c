/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/suite.h"

#include "base/utf8.h"

#include <string.h>

static bool is_valid(const char *text) {
    return ael_utf8_is_valid(ael_bytes_from_text(text));
}

static void test_ael_utf8_is_valid__accepts_text(void) {
    static const char *const k_good[] = {
        "",
        "a",
        "plain text that is longer than a word",
        "\x7f",
        "\xc2\x80",
        "\xdf\xbf",
        "\xe0\xa0\x80",
        "\xed\x9f\xbf",
        "\xee\x80\x80",
        "\xef\xbf\xbf",
        "\xf0\x90\x80\x80",
        "\xf4\x8f\xbf\xbf",
        ("1234567\xc3\xa9"
         "12345678\xe2\x82\xac\xf0\x9f\x98\x80z")};
    for (size_t i = 0; i < sizeof(k_good) / sizeof(k_good[0]); i++) {
        CU_ASSERT(is_valid(k_good[i]));
    }
}

static void test_ael_utf8_is_valid__refuses_the_rest(void) {
    static const char *const k_bad[] = {
        "\x80",
        "\xbf",
        "\xc0\x80",
        "\xc1\xbf",
        "\xc2",
        "\xc2"
        "a",
        "\xc2\xc2\x80",
        "\xe0\x9f\xbf",
        "\xe0\xa0",
        "\xe1\x80"
        "a",
        "\xe1"
        "a\x80",
        "\xed\xa0\x80",
        "\xed\xbf\xbf",
        "\xf0\x8f\xbf\xbf",
        "\xf0\x90\x80",
        "\xf1\x80\x80"
        "a",
        "\xf1\x80"
        "a\x80",
        "\xf1"
        "a\x80\x80",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xff",
        "\xfe",
        "12345678\xff",
        "1234567\xff"
        "8"};
    for (size_t i = 0; i < sizeof(k_bad) / sizeof(k_bad[0]); i++) {
        CU_ASSERT(!is_valid(k_bad[i]));
    }
}

/* Every code point, encoded by hand: valid exactly when it is no surrogate and within Unicode. */
static void test_ael_utf8_is_valid__knows_every_code_point(void) {
    size_t wrong = 0;
    for (uint32_t code = 0x800; code < 0x120000; code++) {
        uint8_t bytes[4] = {
            (uint8_t)(0xf0 | code >> 18), (uint8_t)(0x80 | (code >> 12 & 63)),
            (uint8_t)(0x80 | (code >> 6 & 63)), (uint8_t)(0x80 | (code & 63))};
        struct ael_bytes view = {bytes, 4};
        if (code < 0x10000) {
            bytes[1] = (uint8_t)(0xe0 | code >> 12);
            view = (struct ael_bytes){bytes + 1, 3};
        }
        bool expected = code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
        wrong += ael_utf8_is_valid(view) != expected;
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

static void test_ael_id_is_text__refuses_nul(void) {
    struct ael_bytes with_nul = {(const uint8_t *)"a\0b", 3};
    struct ael_bytes nothing = {NULL, 0};
    CU_ASSERT(ael_utf8_is_valid(with_nul));
    CU_ASSERT(!ael_id_is_text(with_nul));
    CU_ASSERT(ael_id_is_text(nothing));
    CU_ASSERT(ael_id_is_text(ael_bytes_from_text("_IK_\xc3\xa9")));
    CU_ASSERT(!ael_id_is_text(ael_bytes_from_text("_IK_\xc3")));
}

static void test_ael_utf8_is_valid__sees_every_byte(void) {
    uint8_t text[100];
    unsigned bad = 0;
    for (size_t len = 1; len <= sizeof text; len++) {
        for (size_t place = 0; place < len; place++) {
            memset(text, 'x', sizeof text);
            struct ael_bytes view = {text, len};
            text[place] = (uint8_t)(0x80 + place);
            bad += ael_utf8_is_valid(view) ? 1 : 0;
            text[place] = 0x7f;
            bad += ael_utf8_is_valid(view) ? 0 : 1;
        }
    }
    CU_ASSERT_EQUAL(bad, 0);
}

static const struct test_case k_cases[] = {
    {"text is accepted", test_ael_utf8_is_valid__accepts_text},
    {"the rest is refused", test_ael_utf8_is_valid__refuses_the_rest},
    {"every code point", test_ael_utf8_is_valid__knows_every_code_point},
    {"an id has no NUL", test_ael_id_is_text__refuses_nul},
    {"every byte is seen", test_ael_utf8_is_valid__sees_every_byte},
};

TEST_SUITE_MAIN("utf8", k_cases)
