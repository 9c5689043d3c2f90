/*
 * base/json.h - a strict reader of JSON in memory (RFC 8259), without a tree, and the pieces of a writer.
 *
 * The reader walks the text once. The caller asks for what must come next; the first failure sticks, with the
 * offset where it happened, and every later call fails too. It accepts nothing that Asherah's strictest
 * reader refuses: valid UTF-8 only, no duplicate names among those the caller knows, no trailing bytes,
 * nesting up to 32 levels (unknown members are skipped under the same grammar).
 * Layer: base.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_BASE_JSON_H
#define AEL_BASE_JSON_H

#include "base/component_api.h"

#include <ael/bytes.h>

#include <string.h>

struct ael_json_reader {
    struct ael_bytes text;
    size_t at;
    unsigned depth; /* objects and arrays that are open */
    enum ael_status status; /* AEL_OK until the first failure */
    const char *problem;    /* static sentence about it */
};

enum { AEL_JSON_MAX_DEPTH = 32 };

/** Starts at the beginning of text and checks that all of it is UTF-8. */
AEL_COMPONENT_API void ael_json_reader_init(struct ael_json_reader *reader, struct ael_bytes text);

/** Notes a failure at the present place, unless there is one already; returns the status that stands. */
AEL_COMPONENT_API enum ael_status
ael_json_fail(struct ael_json_reader *reader, enum ael_status status, const char *problem);

/** The same, at a place that the reader has passed: the offset of part, which lies inside the text. */
enum ael_status ael_json_fail_at(
    struct ael_json_reader *reader, const uint8_t *part, enum ael_status status, const char *problem);

/** Expects an object's opening brace. */
AEL_COMPONENT_API void ael_json_enter_object(struct ael_json_reader *reader);

/**
 * Steps to the next member of the object that was entered.
 * @param index  counts members; start with 0.
 * @param names  name_count texts that the caller knows. @param seen  one bit a name already met; start with
 *               0.
 * @param which  receives the index into names, or -1 for an unknown name (skip its value).
 * @return true at a member, its value comes next; false after the closing brace or a failure.
 *         A known name that comes twice is a failure.
 */
AEL_COMPONENT_API bool ael_json_next_member(
    struct ael_json_reader *reader,
    size_t *index,
    const char *const *names,
    size_t name_count,
    unsigned *seen,
    int *which);

/*
 * The members of an object that the caller knows, one after the other; the others are passed over.
 *
 *     struct ael_json_members members;
 *     ael_json_members_begin(&members, &reader, k_names, 2);
 *     while (ael_json_members_next(&members, &reader)) {
 *         *texts[members.which] = ael_json_read_raw_string(&reader);
 *     }
 */
struct ael_json_members {
    const char *const *names;
    size_t name_count;
    size_t index;
    unsigned seen; /* one bit a name that came */
    int which;     /* index into names of the member whose value comes next */
};

/** Expects an object's opening brace. @param names  name_count texts, at most 32; they outlive members. */
AEL_COMPONENT_API void ael_json_members_begin(
    struct ael_json_members *members,
    struct ael_json_reader *reader,
    const char *const *names,
    size_t name_count);

/** Steps to the next member of a known name: true, and its value is to be read. False as
 * ael_json_next_member. */
AEL_COMPONENT_API bool
ael_json_members_next(struct ael_json_members *members, struct ael_json_reader *reader);

/** Expects an array's opening bracket. */
AEL_COMPONENT_API void ael_json_enter_array(struct ael_json_reader *reader);

/** Steps to the next element of the array that was entered; index counts them, start with 0. False as for
 * members. */
AEL_COMPONENT_API bool ael_json_next_element(struct ael_json_reader *reader, size_t *index);

/** Expects null: true and consumed when it is there; false and nothing consumed when not. */
AEL_COMPONENT_API bool ael_json_try_null(struct ael_json_reader *reader);

/** Expects true or false. */
AEL_COMPONENT_API bool ael_json_read_bool(struct ael_json_reader *reader);

/** Expects a whole number without fraction or exponent, in the range of int64_t ("-0" is 0). */
AEL_COMPONENT_API int64_t ael_json_read_int64(struct ael_json_reader *reader);

/** Expects a text; returns what stands between the quotes, escapes and all, after checking them. */
AEL_COMPONENT_API struct ael_bytes ael_json_read_raw_string(struct ael_json_reader *reader);

/** Tells how many bytes from the start mean themselves in a text: no quote, no backslash, no control
 * character. */
size_t ael_json_plain_len(struct ael_bytes text);

/** Passes over any one value, checking its grammar. */
AEL_COMPONENT_API void ael_json_skip_value(struct ael_json_reader *reader);

/** Expects the end of the text; returns the status of the whole reading. */
AEL_COMPONENT_API AEL_MUST_CHECK enum ael_status ael_json_finish(struct ael_json_reader *reader);

/** Tells whether a checked raw string means this text, escapes resolved. */
AEL_COMPONENT_API bool ael_json_raw_is(struct ael_bytes raw, const char *text);

/**
 * Tells how long what ael_json_unescape appends will be.
 * @return AEL_OK; AEL_E_FORMAT (as ael_json_unescape).
 */
AEL_MUST_CHECK enum ael_status ael_json_unescaped_len(struct ael_bytes raw, size_t *len);

/**
 * Appends what a checked raw string means (escapes resolved).
 * @return AEL_OK; AEL_E_FORMAT (it contains a NUL or an unpaired surrogate); or as ael_buf_reserve.
 */
AEL_COMPONENT_API AEL_MUST_CHECK enum ael_status ael_json_unescape(struct ael_bytes raw, struct ael_buf *out);

/*
 * The writer: what it takes is measured first, room is made once, and the pieces are put there one behind the
 * other. Each put returns where the next one goes.
 */

/** Returns the length that ael_json_put_string writes, quotes included; SIZE_MAX on overflow. */
AEL_COMPONENT_API size_t ael_json_string_len(struct ael_bytes text);

/** Returns the length that ael_json_put_int64 writes. */
AEL_COMPONENT_API size_t ael_json_int64_len(int64_t value);

/** Puts a quoted text with Go's escapes; text is UTF-8. */
AEL_COMPONENT_API uint8_t *ael_json_put_string(uint8_t *at, struct ael_bytes text);

/** Puts a number. */
AEL_COMPONENT_API uint8_t *ael_json_put_int64(uint8_t *at, int64_t value);

/** Puts a quoted base64 text: ael_base64_encoded_len(bytes.len) characters and two quotes. */
AEL_COMPONENT_API uint8_t *ael_json_put_base64(uint8_t *at, struct ael_bytes bytes);

/** Puts bytes as they are. */
static inline uint8_t *ael_json_put(uint8_t *at, struct ael_bytes piece) {
    memcpy(at, piece.data, piece.len);
    return at + piece.len;
}

#endif /* AEL_BASE_JSON_H */
