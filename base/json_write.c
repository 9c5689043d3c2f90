/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base64.h"
#include "base/check.h"
#include "base/json.h"

#include <string.h>

enum { LONGEST_ESCAPE_BYTES = 6 }; /* of one byte: \u00xx; U+2028 and U+2029 take six for three */

static struct ael_bytes text_of(const char *text, size_t len) {
    return (struct ael_bytes){(const uint8_t *)text, len};
}

/* Writes \u00xx for a byte. */
static struct ael_bytes unicode_escape(uint8_t byte, char out[LONGEST_ESCAPE_BYTES]) {
    static const char k_hex[] = "0123456789abcdef";
    memcpy(out, "\\u00", 4);
    out[4] = k_hex[byte >> 4];
    out[5] = k_hex[byte & 15];
    return text_of(out, LONGEST_ESCAPE_BYTES);
}

/*
 * Returns what Go's encoding/json writes for the character at the start of text, when that is not the
 * character itself, and how many bytes it stands for (since Go 1.22 also \b and \f); an empty view when
 * nothing needs an escape.
 */
static struct ael_bytes escape_of(struct ael_bytes text, char out[LONGEST_ESCAPE_BYTES], size_t *taken) {
    static const char k_controls[] = "\"\\\b\f\n\r\t";
    static const char k_letters[] = "\"\\bfnrt";
    uint8_t byte = text.data[0];
    *taken = 1;
    const char *short_form = byte != 0 ? strchr(k_controls, byte) : NULL;
    if (short_form != NULL) {
        out[0] = '\\';
        out[1] = k_letters[short_form - k_controls];
        return text_of(out, 2);
    }
    if (byte < 0x20 || byte == '<' || byte == '>' || byte == '&') {
        return unicode_escape(byte, out);
    }
    if (byte == 0xe2 && text.len >= 3 && text.data[1] == 0x80 && (text.data[2] & 0xfe) == 0xa8) {
        *taken = 3;
        return text_of(text.data[2] == 0xa8 ? "\\u2028" : "\\u2029", 6);
    }
    return text_of(NULL, 0);
}

/* By byte, because nearly all of them do not, and each byte of an id is asked several times in a record's
 * life. */
static const bool k_may_need_escape[256] = {
    [0x00] = true, [0x01] = true, [0x02] = true, [0x03] = true, [0x04] = true, [0x05] = true, [0x06] = true,
    [0x07] = true, [0x08] = true, [0x09] = true, [0x0a] = true, [0x0b] = true, [0x0c] = true, [0x0d] = true,
    [0x0e] = true, [0x0f] = true, [0x10] = true, [0x11] = true, [0x12] = true, [0x13] = true, [0x14] = true,
    [0x15] = true, [0x16] = true, [0x17] = true, [0x18] = true, [0x19] = true, [0x1a] = true, [0x1b] = true,
    [0x1c] = true, [0x1d] = true, [0x1e] = true, [0x1f] = true, ['"'] = true,  ['\\'] = true, ['<'] = true,
    ['>'] = true,  ['&'] = true,  [0xe2] = true,
};

/* Bytes that are looked at together; what the compiler makes of them is the processor's own vectors. */
typedef uint8_t block __attribute__((vector_size(16)));

/* The same of so many bytes at once. */
static bool block_may_need_escape(const uint8_t *data) {
    block bytes;
    uint64_t halves[2];
    memcpy(&bytes, data, sizeof bytes);
    block found = (block)(bytes < 0x20) | (block)(bytes == '"') | (block)(bytes == '\\') |
                  (block)(bytes == '<') | (block)(bytes == '>') | (block)(bytes == '&') |
                  (block)(bytes == 0xe2);
    memcpy(halves, &found, sizeof halves);
    return (halves[0] | halves[1]) != 0;
}

/* Returns how many bytes from the start are written as they are. */
static size_t run_len(struct ael_bytes text) {
    size_t at = 0;
    while (text.len - at >= sizeof(block) && !block_may_need_escape(text.data + at)) {
        at += sizeof(block);
    }
    while (at < text.len && !k_may_need_escape[text.data[at]]) {
        at++;
    }
    return at;
}

/* Takes the next piece off text: a run as it is, or one character or its escape (in out). */
static struct ael_bytes take_piece(struct ael_bytes *text, char out[LONGEST_ESCAPE_BYTES]) {
    size_t taken = run_len(*text);
    struct ael_bytes piece = {text->data, taken};
    if (taken == 0) {
        piece = escape_of(*text, out, &taken);
    }
    if (piece.len == 0) {
        piece = (struct ael_bytes){text->data, taken};
    }
    text->data += taken;
    text->len -= taken;
    return piece;
}

/* see base/json.h */
size_t ael_json_string_len(struct ael_bytes text) {
    char escape[LONGEST_ESCAPE_BYTES];
    size_t total = 2;
    while (text.len > 0) {
        if (!ael_add_size(total, take_piece(&text, escape).len, &total)) {
            return SIZE_MAX;
        }
    }
    return total;
}

/* see base/json.h */
uint8_t *ael_json_put_string(uint8_t *at, struct ael_bytes text) {
    char escape[LONGEST_ESCAPE_BYTES];
    *at++ = '"';
    while (text.len > 0) {
        at = ael_json_put(at, take_piece(&text, escape));
    }
    *at++ = '"';
    return at;
}

static uint64_t magnitude(int64_t value) {
    return value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
}

/* see base/json.h */
size_t ael_json_int64_len(int64_t value) {
    uint64_t left = magnitude(value);
    size_t len = value < 0 ? 2 : 1;
    for (; left >= 10000; left /= 10000) {
        len += 4;
    }
    return len + (left >= 10) + (left >= 100) + (left >= 1000);
}

/* see base/json.h. From the last digit to the first. */
uint8_t *ael_json_put_int64(uint8_t *at, int64_t value) {
    uint8_t *end = at + ael_json_int64_len(value);
    uint8_t *digit = end;
    uint64_t left = magnitude(value);
    do {
        *--digit = (uint8_t)('0' + left % 10);
        left /= 10;
    } while (left != 0);
    if (value < 0) {
        *at = '-';
    }
    return end;
}

/* see base/json.h */
uint8_t *ael_json_put_base64(uint8_t *at, struct ael_bytes bytes) {
    *at++ = '"';
    ael_base64_encode(bytes.data, bytes.len, (char *)at);
    at += ael_base64_encoded_len(bytes.len);
    *at++ = '"';
    return at;
}
