/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include "base/utf8.h"

#include <string.h>

/* see base/json.h */
void ael_json_reader_init(struct ael_json_reader *reader, struct ael_bytes text) {
    if (text.data == NULL) {
        text = (struct ael_bytes){(const uint8_t *)"", 0};
    }
    *reader = (struct ael_json_reader){.text = text, .status = AEL_OK};
    if (!ael_utf8_is_valid(text)) {
        (void)ael_json_fail(reader, AEL_E_FORMAT, "the text is not valid UTF-8");
    }
}

/* see base/json.h */
enum ael_status ael_json_fail(struct ael_json_reader *reader, enum ael_status status, const char *problem) {
    if (reader->status == AEL_OK) {
        reader->status = status;
        reader->problem = problem;
    }
    return reader->status;
}

/* see base/json.h */
enum ael_status ael_json_fail_at(
    struct ael_json_reader *reader, const uint8_t *part, enum ael_status status, const char *problem) {
    if (reader->status == AEL_OK) {
        reader->at = (size_t)(part - reader->text.data);
    }
    return ael_json_fail(reader, status, problem);
}

static void expected(struct ael_json_reader *reader, const char *problem) {
    (void)ael_json_fail(reader, AEL_E_FORMAT, problem);
}

static bool is_space(uint8_t byte) {
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

/* Returns the next byte after white space without consuming it; -1 at the end and after a failure. */
static int peek(struct ael_json_reader *reader) {
    if (reader->status != AEL_OK) {
        return -1;
    }
    while (reader->at < reader->text.len && is_space(reader->text.data[reader->at])) {
        reader->at++;
    }
    return reader->at < reader->text.len ? reader->text.data[reader->at] : -1;
}

/* Consumes the byte when it comes next. */
static bool try_byte(struct ael_json_reader *reader, int byte) {
    if (peek(reader) != byte) {
        return false;
    }
    reader->at++;
    return true;
}

/* Consumes the word when it comes next. */
static bool try_word(struct ael_json_reader *reader, const char *word) {
    size_t len = strlen(word);
    if (peek(reader) != word[0] || reader->text.len - reader->at < len ||
        memcmp(reader->text.data + reader->at, word, len) != 0) {
        return false;
    }
    reader->at += len;
    return true;
}

static void enter(struct ael_json_reader *reader, int brace, const char *problem) {
    if (!try_byte(reader, brace)) {
        expected(reader, problem);
    } else if (reader->depth == AEL_JSON_MAX_DEPTH) {
        expected(reader, "nested too deeply");
    } else {
        reader->depth++;
    }
}

/* Steps over the comma before an element, or the closing brace; true at an element. */
static bool next_element(struct ael_json_reader *reader, size_t *index, int brace) {
    if (try_byte(reader, brace)) {
        reader->depth--;
        return false;
    }
    if (*index > 0 && !try_byte(reader, ',')) {
        expected(reader, "expected a comma or the end of an object or array");
    }
    (*index)++;
    return reader->status == AEL_OK;
}

/* see base/json.h */
void ael_json_enter_object(struct ael_json_reader *reader) {
    enter(reader, '{', "expected an object");
}

static int find_name(struct ael_bytes raw, const char *const *names, size_t name_count) {
    for (size_t i = 0; i < name_count; i++) {
        if (ael_json_raw_is(raw, names[i])) {
            return (int)i;
        }
    }
    return -1;
}

/* see base/json.h */
bool ael_json_next_member(
    struct ael_json_reader *reader,
    size_t *index,
    const char *const *names,
    size_t name_count,
    unsigned *seen,
    int *which) {
    *which = -1;
    if (!next_element(reader, index, '}')) {
        return false;
    }
    struct ael_bytes raw = ael_json_read_raw_string(reader);
    if (!try_byte(reader, ':')) {
        expected(reader, "expected a colon");
    }
    if (reader->status != AEL_OK) {
        return false;
    }
    *which = find_name(raw, names, name_count);
    unsigned bit = *which < 0 ? 0 : 1u << *which;
    if ((*seen & bit) != 0) {
        expected(reader, "a name comes twice");
    }
    *seen |= bit;
    return reader->status == AEL_OK;
}

/* see base/json.h */
void ael_json_members_begin(
    struct ael_json_members *members,
    struct ael_json_reader *reader,
    const char *const *names,
    size_t name_count) {
    *members = (struct ael_json_members){.names = names, .name_count = name_count, .which = -1};
    ael_json_enter_object(reader);
}

/* see base/json.h */
bool ael_json_members_next(struct ael_json_members *members, struct ael_json_reader *reader) {
    while (ael_json_next_member(
        reader, &members->index, members->names, members->name_count, &members->seen, &members->which)) {
        if (members->which >= 0) {
            return true;
        }
        ael_json_skip_value(reader);
    }
    return false;
}

/* see base/json.h */
void ael_json_enter_array(struct ael_json_reader *reader) {
    enter(reader, '[', "expected an array");
}

/* see base/json.h */
bool ael_json_next_element(struct ael_json_reader *reader, size_t *index) {
    return next_element(reader, index, ']');
}

/* see base/json.h */
bool ael_json_try_null(struct ael_json_reader *reader) {
    return try_word(reader, "null");
}

/* see base/json.h */
bool ael_json_read_bool(struct ael_json_reader *reader) {
    if (try_word(reader, "true")) {
        return true;
    }
    if (!try_word(reader, "false")) {
        expected(reader, "expected true or false");
    }
    return false;
}

/* The next two hold nothing after a failure, so that its place stays. */
static bool is_byte_at(const struct ael_json_reader *reader, uint8_t byte) {
    return reader->status == AEL_OK && reader->at < reader->text.len && reader->text.data[reader->at] == byte;
}

static bool is_digit_at(const struct ael_json_reader *reader) {
    return reader->status == AEL_OK && reader->at < reader->text.len &&
           reader->text.data[reader->at] >= '0' && reader->text.data[reader->at] <= '9';
}

static void skip_digits(struct ael_json_reader *reader) {
    if (!is_digit_at(reader)) {
        expected(reader, "expected a digit");
    }
    while (is_digit_at(reader)) {
        reader->at++;
    }
}

/* Passes a sign and a whole number without leading zeros; returns where its digits begin. */
static size_t skip_whole_number(struct ael_json_reader *reader, bool *negative) {
    *negative = try_byte(reader, '-');
    size_t start = reader->at;
    skip_digits(reader);
    if (reader->status == AEL_OK && reader->at - start > 1 && reader->text.data[start] == '0') {
        expected(reader, "a number starts with 0");
    }
    return start;
}

/* Counts down from 0, because the range of int64_t reaches one further there. */
static bool add_digit(int64_t *value, uint8_t digit) {
    return !__builtin_mul_overflow(*value, 10, value) && !__builtin_sub_overflow(*value, digit - '0', value);
}

/* see base/json.h */
int64_t ael_json_read_int64(struct ael_json_reader *reader) {
    bool negative = false;
    size_t start = skip_whole_number(reader, &negative);
    int64_t value = 0;
    bool fits = true;
    for (size_t i = start; fits && i < reader->at && reader->status == AEL_OK; i++) {
        fits = add_digit(&value, reader->text.data[i]);
    }
    if (!fits || (!negative && value == INT64_MIN)) {
        expected(reader, "a number out of range");
    }
    if (is_byte_at(reader, '.') || is_byte_at(reader, 'e') || is_byte_at(reader, 'E')) {
        expected(reader, "expected a whole number");
    }
    if (reader->status != AEL_OK) {
        return 0;
    }
    return negative ? value : -value;
}

static void skip_number(struct ael_json_reader *reader) {
    bool negative = false;
    (void)skip_whole_number(reader, &negative);
    if (is_byte_at(reader, '.')) {
        reader->at++;
        skip_digits(reader);
    }
    if (is_byte_at(reader, 'e') || is_byte_at(reader, 'E')) {
        reader->at++;
        reader->at += is_byte_at(reader, '+') || is_byte_at(reader, '-');
        skip_digits(reader);
    }
}

/* Bytes that are looked at together; what the compiler makes of them is the processor's own vectors. */
typedef uint8_t block __attribute__((vector_size(16)));

/* Which of eight bytes in memory is the first that is not 0; there is one. */
static size_t first_byte_in(uint64_t word) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return (size_t)__builtin_clzll(word) / 8;
#else
    return (size_t)__builtin_ctzll(word) / 8;
#endif
}

/* How many bytes of a block come before one that ends a plain run: a quote, a backslash or a control
 * character. */
static size_t plain_in_block(const uint8_t *data) {
    block bytes;
    uint64_t halves[2];
    memcpy(&bytes, data, sizeof bytes);
    block special = (block)(bytes < 0x20) | (block)(bytes == '"') | (block)(bytes == '\\');
    memcpy(halves, &special, sizeof halves);
    if (halves[0] != 0) {
        return first_byte_in(halves[0]);
    }
    return halves[1] != 0 ? sizeof halves[0] + first_byte_in(halves[1]) : sizeof bytes;
}

static bool is_special(uint8_t byte) {
    return byte < 0x20 || byte == '"' || byte == '\\';
}

/* see base/json.h */
size_t ael_json_plain_len(struct ael_bytes text) {
    size_t at = 0;
    size_t plain = sizeof(block);
    while (plain == sizeof(block) && text.len - at >= sizeof(block)) {
        plain = plain_in_block(text.data + at);
        at += plain;
    }
    if (plain < sizeof(block)) {
        return at;
    }
    while (at < text.len && !is_special(text.data[at])) {
        at++;
    }
    return at;
}

static void skip_plain_run(struct ael_json_reader *reader) {
    const struct ael_bytes rest = {reader->text.data + reader->at, reader->text.len - reader->at};
    reader->at += ael_json_plain_len(rest);
}

static bool is_hex_digit(uint8_t byte) {
    return (byte >= '0' && byte <= '9') || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'f');
}

/* Passes the escape whose backslash is at the present place; its place is kept when there is none. */
static void skip_escape(struct ael_json_reader *reader) {
    const uint8_t *data = reader->text.data + reader->at;
    size_t left = reader->text.len - reader->at;
    if (left >= 2 && data[1] != '\0' && strchr("\"\\/bfnrt", data[1]) != NULL) {
        reader->at += 2;
    } else if (
        left >= 6 && data[1] == 'u' && is_hex_digit(data[2]) && is_hex_digit(data[3]) &&
        is_hex_digit(data[4]) && is_hex_digit(data[5])) {
        reader->at += 6;
    } else {
        expected(reader, "an escape that is none");
    }
}

/* see base/json.h */
struct ael_bytes ael_json_read_raw_string(struct ael_json_reader *reader) {
    struct ael_bytes raw = {NULL, 0};
    if (!try_byte(reader, '"')) {
        expected(reader, "expected a text");
        return raw;
    }
    size_t start = reader->at;
    skip_plain_run(reader);
    while (reader->status == AEL_OK && is_byte_at(reader, '\\')) {
        skip_escape(reader);
        skip_plain_run(reader);
    }
    if (!is_byte_at(reader, '"')) {
        expected(reader, "a text without end, or with a control character");
    }
    if (reader->status == AEL_OK) {
        raw = (struct ael_bytes){reader->text.data + start, reader->at - start};
        reader->at++;
    }
    return raw;
}

static void skip_object(struct ael_json_reader *reader) {
    size_t index = 0;
    unsigned seen = 0;
    int which = -1;
    ael_json_enter_object(reader);
    while (ael_json_next_member(reader, &index, NULL, 0, &seen, &which)) {
        ael_json_skip_value(reader);
    }
}

static void skip_array(struct ael_json_reader *reader) {
    size_t index = 0;
    ael_json_enter_array(reader);
    while (ael_json_next_element(reader, &index)) {
        ael_json_skip_value(reader);
    }
}

/* see base/json.h. Calls itself AEL_JSON_MAX_DEPTH times at most. */
void ael_json_skip_value(struct ael_json_reader *reader) {
    switch (peek(reader)) {
    case '{':
        skip_object(reader);
        break;
    case '[':
        skip_array(reader);
        break;
    case '"':
        (void)ael_json_read_raw_string(reader);
        break;
    case 't':
    case 'f':
        (void)ael_json_read_bool(reader);
        break;
    case 'n':
        if (!ael_json_try_null(reader)) {
            expected(reader, "expected null");
        }
        break;
    default:
        skip_number(reader);
        break;
    }
}

/* see base/json.h */
enum ael_status ael_json_finish(struct ael_json_reader *reader) {
    if (peek(reader) != -1) {
        expected(reader, "something follows the end");
    }
    return reader->status;
}
