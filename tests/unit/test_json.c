/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/suite.h"

#include "base/json.h"

#include <stdio.h>
#include <string.h>

static enum ael_status read_any(struct ael_bytes text, size_t *at) {
    struct ael_json_reader reader;
    ael_json_reader_init(&reader, text);
    ael_json_skip_value(&reader);
    enum ael_status status = ael_json_finish(&reader);
    *at = reader.at;
    return status;
}

static void test_ael_json_skip_value__accepts_rfc_8259(void) {
    static const char *const k_good[] = {
        "null",
        "true",
        "false",
        "0",
        "-0",
        "10",
        "-1.5",
        "1e5",
        "1E+05",
        "1.25e-7",
        "\"\"",
        "\"a\\n\\u00e9\\ud800\"",
        "[]",
        "[ 1 , [ ] , { } ]",
        "{}",
        "{ \"a\" : { \"b\" : [ null ] } , \"a\" : 1 }",
        " \t\r\n1 \t\r\n",
        "\"12345678 long run of plain text, then \\\\ and \xe2\x82\xac 12345678\"",
        "\"\x7f\""};
    for (size_t i = 0; i < sizeof(k_good) / sizeof(k_good[0]); i++) {
        size_t at = 0;
        CU_ASSERT_EQUAL(read_any(ael_bytes_from_text(k_good[i]), &at), AEL_OK);
        CU_ASSERT_EQUAL(at, strlen(k_good[i]));
    }
}

static void test_ael_json_skip_value__refuses_the_rest_where_it_fails(void) {
    static const struct {
        const char *text;
        size_t at;
    } k_bad[] = {
        {"", 0},
        {"  ", 2},
        {"nul", 0},
        {"nulll", 4},
        {"tru", 0},
        {"falsy", 0},
        {"True", 0},
        {"01", 2},
        {"-", 1},
        {"+1", 0},
        {".5", 0},
        {"1.", 2},
        {"1e", 2},
        {"1e+", 3},
        {"0x10", 1},
        {"- 1", 1},
        {"NaN", 0},
        {"'a'", 0},
        {"\"", 1},
        {"\"a", 2},
        {"\"\\\"", 3},
        {"\"\\", 1},
        {"\"\\x\"", 1},
        {"\"\\u12\"", 1},
        {"\"\\u12g4\"", 1},
        {"\"a\nb\"", 2},
        {"\"12345678\x1f"
         "12345678\"",
         9},
        {"[", 1},
        {"[1", 2},
        {"[1,]", 3},
        {"[,1]", 1},
        {"[1 2]", 3},
        {"]", 0},
        {"{", 1},
        {"{a:1}", 1},
        {"{\"a\"}", 4},
        {"{\"a\" 1}", 5},
        {"{\"a\":}", 5},
        {"{\"a\":1", 6},
        {"{\"a\":1,}", 7},
        {"{1:1}", 1},
        {"{\"a\":1 \"b\":2}", 7},
        {"[}", 1},
        {"{]", 1},
        {"1 2", 2},
        {"{}{}", 2},
        {"{} x", 3},
        {"\xef\xbb\xbf{}", 0},
        {"\"\xff\"", 0},
        {"/**/1", 0}};
    for (size_t i = 0; i < sizeof(k_bad) / sizeof(k_bad[0]); i++) {
        size_t at = 0;
        CU_ASSERT_EQUAL(read_any(ael_bytes_from_text(k_bad[i].text), &at), AEL_E_FORMAT);
        CU_ASSERT_EQUAL(at, k_bad[i].at);
        if (at != k_bad[i].at) {
            printf("[%s] at %zu\n", k_bad[i].text, at);
        }
    }
    struct ael_bytes with_nul = {(const uint8_t *)"\"\\\0\"", 4};
    size_t at = 0;
    CU_ASSERT_EQUAL(read_any(with_nul, &at), AEL_E_FORMAT);
}

static void test_ael_json_skip_value__stops_at_the_depth(void) {
    char text[2 * AEL_JSON_MAX_DEPTH + 2];
    size_t at = 0;
    memset(text, '[', AEL_JSON_MAX_DEPTH);
    memset(text + AEL_JSON_MAX_DEPTH, ']', AEL_JSON_MAX_DEPTH);
    struct ael_bytes view = {(const uint8_t *)text, 2 * AEL_JSON_MAX_DEPTH};
    CU_ASSERT_EQUAL(read_any(view, &at), AEL_OK);
    memset(text, '[', AEL_JSON_MAX_DEPTH + 1);
    memset(text + AEL_JSON_MAX_DEPTH + 1, ']', AEL_JSON_MAX_DEPTH + 1);
    view.len += 2;
    CU_ASSERT_EQUAL(read_any(view, &at), AEL_E_FORMAT);
    CU_ASSERT_EQUAL(at, AEL_JSON_MAX_DEPTH + 1);
}

static enum ael_status read_int(const char *text, int64_t *value) {
    struct ael_json_reader reader;
    ael_json_reader_init(&reader, ael_bytes_from_text(text));
    *value = ael_json_read_int64(&reader);
    return ael_json_finish(&reader);
}

static void test_ael_json_read_int64__takes_whole_numbers_in_range(void) {
    static const struct {
        const char *text;
        int64_t value;
    } k_good[] = {
        {"0", 0},
        {"-0", 0},
        {" 7", 7},
        {"-7", -7},
        {"1795255094", 1795255094},
        {"9223372036854775807", INT64_MAX},
        {"-9223372036854775808", INT64_MIN},
        {"-9223372036854775807", -INT64_MAX}};
    static const char *const k_bad[] = {
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551616",
        "99999999999999999999999",
        "1.0",
        "1e3",
        "1E3",
        "00",
        "01",
        "-01",
        "-",
        "",
        "\"1\"",
        "null",
        "true",
        "+1",
        "0x1",
        "1 1"};
    int64_t value = 0;
    for (size_t i = 0; i < sizeof(k_good) / sizeof(k_good[0]); i++) {
        CU_ASSERT_EQUAL(read_int(k_good[i].text, &value), AEL_OK);
        CU_ASSERT_EQUAL(value, k_good[i].value);
    }
    for (size_t i = 0; i < sizeof(k_bad) / sizeof(k_bad[0]); i++) {
        CU_ASSERT_EQUAL(read_int(k_bad[i], &value), AEL_E_FORMAT);
    }
}

static void test_ael_json_next_member__finds_known_names(void) {
    static const char *const k_names[] = {"Key", "Data"};
    struct ael_json_reader reader;
    size_t index = 0;
    unsigned seen = 0;
    int which = 9;
    ael_json_reader_init(
        &reader, ael_bytes_from_text(
                     "{\"x\":1,\"D\\u0061ta\":2,\"key\":3,\"Key\":4,\"Keys\":5,\"Ke\":6,\"\":7,\"x\":8}"));
    ael_json_enter_object(&reader);
    static const int k_which[] = {-1, 1, -1, 0, -1, -1, -1, -1};
    for (int i = 0; i < 8; i++) {
        CU_ASSERT(ael_json_next_member(&reader, &index, k_names, 2, &seen, &which));
        CU_ASSERT_EQUAL(which, k_which[i]);
        CU_ASSERT_EQUAL(ael_json_read_int64(&reader), i + 1);
    }
    CU_ASSERT(!ael_json_next_member(&reader, &index, k_names, 2, &seen, &which));
    CU_ASSERT_EQUAL(seen, 3);
    CU_ASSERT_EQUAL(ael_json_finish(&reader), AEL_OK);
}

static enum ael_status read_members(const char *text) {
    static const char *const k_names[] = {"Key", "Data"};
    struct ael_json_reader reader;
    size_t index = 0;
    unsigned seen = 0;
    int which = -1;
    ael_json_reader_init(&reader, ael_bytes_from_text(text));
    ael_json_enter_object(&reader);
    while (ael_json_next_member(&reader, &index, k_names, 2, &seen, &which)) {
        ael_json_skip_value(&reader);
    }
    return ael_json_finish(&reader);
}

static void test_ael_json_next_member__refuses_a_known_name_twice(void) {
    CU_ASSERT_EQUAL(read_members("{\"Key\":1,\"Data\":2}"), AEL_OK);
    CU_ASSERT_EQUAL(read_members("{\"Key\":1,\"Key\":2}"), AEL_E_FORMAT);
    CU_ASSERT_EQUAL(read_members("{\"Key\":1,\"\\u004be\\u0079\":2}"), AEL_E_FORMAT);
    CU_ASSERT_EQUAL(read_members("{\"a\":1,\"\\ud800\":2,\"a\":3}"), AEL_OK);
    CU_ASSERT_EQUAL(read_members("[]"), AEL_E_FORMAT);
}

/* Reads the numbers of "b" and "a"; the others of the object are passed over. */
static enum ael_status read_known(const char *text, int64_t numbers[2], unsigned *seen) {
    static const char *const k_names[] = {"b", "a"};
    struct ael_json_reader reader;
    struct ael_json_members members;
    ael_json_reader_init(&reader, ael_bytes_from_text(text));
    ael_json_members_begin(&members, &reader, k_names, 2);
    while (ael_json_members_next(&members, &reader)) {
        numbers[members.which] = ael_json_read_int64(&reader);
    }
    *seen = members.seen;
    return ael_json_finish(&reader);
}

static void test_ael_json_members_next__passes_over_what_is_not_known(void) {
    static const char k_mixed[] = "{\"x\":{\"a\":7},\"a\":1,\"x\":[\"b\"],\"\\u0062\":-2,\"y\":null}";
    int64_t numbers[2] = {0, 0};
    unsigned seen = 0;
    CU_ASSERT_EQUAL(read_known(k_mixed, numbers, &seen), AEL_OK);
    CU_ASSERT_EQUAL(numbers[0], -2);
    CU_ASSERT_EQUAL(numbers[1], 1);
    CU_ASSERT_EQUAL(seen, 3);
    CU_ASSERT_EQUAL(read_known("{\"x\":1}", numbers, &seen), AEL_OK);
    CU_ASSERT_EQUAL(seen, 0);
    CU_ASSERT_EQUAL(read_known("{}", numbers, &seen), AEL_OK);
    CU_ASSERT_EQUAL(read_known("{\"b\":5}", numbers, &seen), AEL_OK);
    CU_ASSERT_EQUAL(seen, 1);
}

static void test_ael_json_members_next__ends_at_a_failure(void) {
    static const char *const k_bad[] = {
        "",
        "[]",
        "{\"x\":}",
        "{\"x\":1",
        "{\"x\":[1,]}",
        "{\"a\":1,\"a\":1}",
        "{\"a\":true}",
        "{\"a\":1 \"b\":1}",
        "{\"x\":tru,\"b\":1}",
        "{\"a\":1}}",
    };
    for (size_t i = 0; i < sizeof k_bad / sizeof k_bad[0]; i++) {
        int64_t numbers[2] = {0, 0};
        unsigned seen = 0;
        CU_ASSERT_EQUAL(read_known(k_bad[i], numbers, &seen), AEL_E_FORMAT);
        CU_ASSERT_EQUAL(numbers[0], 0);
    }
}

static void test_ael_json_fail__keeps_the_first(void) {
    struct ael_json_reader reader;
    ael_json_reader_init(&reader, ael_bytes_from_text("[1, true]"));
    CU_ASSERT_EQUAL(
        ael_json_fail_at(&reader, reader.text.data + 4, AEL_E_TOO_LARGE, "first"), AEL_E_TOO_LARGE);
    CU_ASSERT_EQUAL(ael_json_fail(&reader, AEL_E_FORMAT, "second"), AEL_E_TOO_LARGE);
    CU_ASSERT_EQUAL(ael_json_fail_at(&reader, reader.text.data, AEL_E_FORMAT, "third"), AEL_E_TOO_LARGE);
    CU_ASSERT_STRING_EQUAL(reader.problem, "first");
    CU_ASSERT_EQUAL(reader.at, 4);
    CU_ASSERT(!ael_json_read_bool(&reader));
    CU_ASSERT(!ael_json_try_null(&reader));
    CU_ASSERT_EQUAL(ael_json_read_int64(&reader), 0);
    CU_ASSERT_PTR_NULL(ael_json_read_raw_string(&reader).data);
    ael_json_skip_value(&reader);
    CU_ASSERT_EQUAL(reader.at, 4);
    CU_ASSERT_EQUAL(ael_json_finish(&reader), AEL_E_TOO_LARGE);
}

static void test_ael_json_unescape__resolves_every_escape(void) {
    static const char k_raw[] = "a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20AC\\ud83d\\ude00\\uFFFFz";
    static const char k_plain[] = "a\"\\/\b\f\n\r\tA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xef\xbf\xbfz";
    struct ael_buf out = AEL_BUF_INIT;
    size_t len = 0;
    CU_ASSERT_EQUAL(ael_json_unescaped_len(ael_bytes_from_text(k_raw), &len), AEL_OK);
    CU_ASSERT_EQUAL(len, strlen(k_plain));
    CU_ASSERT_EQUAL(ael_json_unescape(ael_bytes_from_text(k_raw), &out), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(out.len, strlen(k_plain));
    CU_ASSERT_EQUAL(memcmp(out.data, k_plain, out.len), 0);
    CU_ASSERT(ael_json_raw_is(ael_bytes_from_text(k_raw), k_plain));
    CU_ASSERT(!ael_json_raw_is(ael_bytes_from_text(k_raw), "a\"\\/"));
    ael_buf_clear(&out);
}

static void test_ael_json_unescape__refuses_nul_and_half_pairs(void) {
    static const char *const k_bad[] = {
        "\\u0000",
        "a\\u0000b",
        "\\ud800",
        "\\udc00",
        "\\ud83dx",
        "\\ud83d\\u0041",
        "\\ud83d\\ud83d\\ude00",
        "\\ude00\\ud83d",
        "\\ud83d\\n12345"};
    struct ael_buf out = AEL_BUF_INIT;
    for (size_t i = 0; i < sizeof(k_bad) / sizeof(k_bad[0]); i++) {
        size_t len = 0;
        CU_ASSERT_EQUAL(ael_json_unescaped_len(ael_bytes_from_text(k_bad[i]), &len), AEL_E_FORMAT);
        CU_ASSERT_EQUAL(ael_json_unescape(ael_bytes_from_text(k_bad[i]), &out), AEL_E_FORMAT);
        CU_ASSERT(!ael_json_raw_is(ael_bytes_from_text(k_bad[i]), ""));
    }
    ael_buf_clear(&out);
    uint8_t storage[2];
    struct ael_buf small;
    ael_buf_init_fixed(&small, storage, sizeof(storage));
    CU_ASSERT_EQUAL(ael_json_unescape(ael_bytes_from_text("abc"), &small), AEL_E_BUFFER_TOO_SMALL);
}

/* As long as was told, and not a byte more. */
static bool writes(struct ael_bytes text, const char *expected) {
    uint8_t json[128];
    size_t len = ael_json_string_len(text);
    CU_ASSERT_FATAL(len < sizeof json);
    memset(json, '#', sizeof json);
    return ael_json_put_string(json, text) == json + len && len == strlen(expected) &&
           memcmp(json, expected, len) == 0 && json[len] == '#';
}

static void test_ael_json_put_string__writes_the_escapes_of_go(void) {
    CU_ASSERT(writes(ael_bytes_from_text(""), "\"\""));
    CU_ASSERT(writes(ael_bytes_from_text("a/b'"), "\"a/b'\""));
    CU_ASSERT(writes(ael_bytes_from_text("\"\\\b\f\n\r\t"), "\"\\\"\\\\\\b\\f\\n\\r\\t\""));
    CU_ASSERT(writes(ael_bytes_from_text("<a>&\x7f"), "\"\\u003ca\\u003e\\u0026\x7f\""));
    CU_ASSERT(writes(ael_bytes_from_text("\x01\x0b\x1f"), "\"\\u0001\\u000b\\u001f\""));
    CU_ASSERT(writes(
        ael_bytes_from_text(
            "\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa\xe2\x81\xa8\xc3\xa9\xf0\x9f\x98\x80"),
        "\"\xe2\x80\xa7\\u2028\\u2029\xe2\x80\xaa\xe2\x81\xa8\xc3\xa9\xf0\x9f\x98\x80\""));
    struct ael_bytes with_nul = {(const uint8_t *)"a\0", 2};
    CU_ASSERT(writes(with_nul, "\"a\\u0000\""));
}

/* What is written means the text again, with one byte of each value at each place, and as long as was told. */
static void test_ael_json_put_string__escapes_at_every_place(void) {
    static const char k_escaped[] = "\"\\<>&";
    uint8_t text[50];
    unsigned bad = 0;
    for (size_t len = 1; len <= sizeof text; len++) {
        for (size_t place = 0; place < len; place++) {
            for (unsigned value = 1; value < 0x80; value++) {
                uint8_t json[sizeof text + 8];
                memset(text, 'a', sizeof text);
                text[place] = (uint8_t)value;
                struct ael_bytes view = {text, len};
                uint8_t *end = ael_json_put_string(json, view);
                bool escaped = value < 0x20 || strchr(k_escaped, (int)value) != NULL;
                struct ael_bytes raw = {json + 1, (size_t)(end - json) - 2};
                bad += (raw.len > len) == escaped && raw.len + 2 == ael_json_string_len(view) ? 0 : 1;
                text[len < sizeof text ? len : 0] = '\0';
                bad += len == sizeof text || ael_json_raw_is(raw, (const char *)text) ? 0 : 1;
            }
        }
    }
    CU_ASSERT_EQUAL(bad, 0);
}

static void test_ael_json_put_base64__puts_quotes_around(void) {
    uint8_t json[16];
    memset(json, '#', sizeof json);
    CU_ASSERT(ael_json_put_base64(json, ael_bytes_from_text("fo")) == json + 6);
    CU_ASSERT_EQUAL(memcmp(json, "\"Zm8=\"#", 7), 0);
    CU_ASSERT(ael_json_put_base64(json, (struct ael_bytes){NULL, 0}) == json + 2);
    CU_ASSERT_EQUAL(memcmp(json, "\"\"", 2), 0);
}

static void test_ael_json_put_int64__writes_the_whole_range(void) {
    static const int64_t k_values[] = {0, 1, -1, 9, 10, -10, 1795255094, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof(k_values) / sizeof(k_values[0]); i++) {
        char expected[32];
        uint8_t json[32];
        int len = snprintf(expected, sizeof(expected), "%lld#", (long long)k_values[i]);
        memset(json, '#', sizeof json);
        CU_ASSERT(ael_json_put_int64(json, k_values[i]) == json + len - 1);
        CU_ASSERT_EQUAL(ael_json_int64_len(k_values[i]), (size_t)len - 1);
        CU_ASSERT_EQUAL(memcmp(json, expected, (size_t)len), 0);
    }
}

/* Around each power of ten. */
static void test_ael_json_int64_len__is_what_is_written(void) {
    int64_t power = 1;
    for (int digits = 1; digits <= 19; digits++) {
        for (int64_t value = power - 1; value <= power + 1; value++) {
            char expected[32];
            int len = snprintf(expected, sizeof(expected), "%lld", (long long)value);
            CU_ASSERT_EQUAL(ael_json_int64_len(value), (size_t)len);
            len = snprintf(expected, sizeof(expected), "%lld", (long long)-value);
            CU_ASSERT_EQUAL(ael_json_int64_len(-value), (size_t)len);
        }
        power *= digits < 19 ? 10 : 1;
    }
}

/* One byte of each value at each place, so that none of the bytes that are looked at together is overlooked. */
static void test_ael_json_plain_len__sees_every_byte(void) {
    uint8_t text[70];
    unsigned bad = 0;
    for (size_t len = 0; len <= sizeof text; len++) {
        for (size_t place = 0; place < len; place++) {
            for (unsigned value = 0; value < 256; value++) {
                memset(text, 'a' + (int)(place % 20), sizeof text);
                text[place] = (uint8_t)value;
                bool stops = value < 0x20 || value == '"' || value == '\\';
                struct ael_bytes view = {text, len};
                bad += ael_json_plain_len(view) == (stops ? place : len) ? 0 : 1;
            }
        }
    }
    CU_ASSERT_EQUAL(bad, 0);
    CU_ASSERT_EQUAL(ael_json_plain_len((struct ael_bytes){text, 0}), 0);
}

static const struct test_case k_cases[] = {
    {"RFC 8259 is accepted", test_ael_json_skip_value__accepts_rfc_8259},
    {"the rest is refused where it fails", test_ael_json_skip_value__refuses_the_rest_where_it_fails},
    {"nesting has a limit", test_ael_json_skip_value__stops_at_the_depth},
    {"whole numbers in range", test_ael_json_read_int64__takes_whole_numbers_in_range},
    {"known names are found", test_ael_json_next_member__finds_known_names},
    {"a known name twice is refused", test_ael_json_next_member__refuses_a_known_name_twice},
    {"unknown members are passed over", test_ael_json_members_next__passes_over_what_is_not_known},
    {"members end at a failure", test_ael_json_members_next__ends_at_a_failure},
    {"the first failure stays", test_ael_json_fail__keeps_the_first},
    {"every escape is resolved", test_ael_json_unescape__resolves_every_escape},
    {"a NUL and half a pair are refused", test_ael_json_unescape__refuses_nul_and_half_pairs},
    {"the escapes are those of Go", test_ael_json_put_string__writes_the_escapes_of_go},
    {"base64 is put between quotes", test_ael_json_put_base64__puts_quotes_around},
    {"numbers are written", test_ael_json_put_int64__writes_the_whole_range},
    {"the length of a number", test_ael_json_int64_len__is_what_is_written},
    {"where a plain run ends", test_ael_json_plain_len__sees_every_byte},
    {"escapes at every place", test_ael_json_put_string__escapes_at_every_place},
};

TEST_SUITE_MAIN("json", k_cases)
