/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <string.h>

/* A character of a checked raw string. */
struct character {
    uint32_t code; /* a code point, or an unpaired surrogate */
    size_t raw_len;
};

static uint32_t hex_value(const uint8_t *digits) {
    uint32_t value = 0;
    for (size_t i = 0; i < 4; i++) {
        uint32_t digit =
            digits[i] <= '9' ? (uint32_t)digits[i] - '0' : ((uint32_t)digits[i] | 0x20u) - 'a' + 10;
        value = value << 4 | digit;
    }
    return value;
}

/* Reads a \u escape at the start of raw, together with the low half of a pair where one follows (RFC 8259,
 * 7). */
static struct character read_unicode_escape(struct ael_bytes raw) {
    struct character character = {hex_value(raw.data + 2), 6};
    if (character.code < 0xd800 || character.code > 0xdbff || raw.len < 12 || raw.data[6] != '\\' ||
        raw.data[7] != 'u') {
        return character;
    }
    uint32_t low = hex_value(raw.data + 8);
    if (low >= 0xdc00 && low <= 0xdfff) {
        character.code = 0x10000 + ((character.code - 0xd800) << 10) + (low - 0xdc00);
        character.raw_len = 12;
    }
    return character;
}

/* Reads the escape at the start of raw. */
static struct character read_escape(struct ael_bytes raw) {
    static const char k_letters[] = "bfnrt";
    static const char k_controls[] = "\b\f\n\r\t";
    if (raw.data[1] == 'u') {
        return read_unicode_escape(raw);
    }
    struct character character = {raw.data[1], 2};
    const char *letter = strchr(k_letters, raw.data[1]);
    if (letter != NULL) {
        character.code = (uint32_t)k_controls[letter - k_letters];
    }
    return character;
}

static bool is_text(uint32_t code) {
    return code != 0 && (code < 0xd800 || code > 0xdfff);
}

/* Writes a code point as UTF-8 (RFC 3629 section 3); returns its length. */
static size_t put_utf8(uint32_t code, uint8_t out[4]) {
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (uint8_t)(0xc0 | code >> 6);
        out[1] = (uint8_t)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (uint8_t)(0xe0 | code >> 12);
        out[1] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | code >> 18);
    out[1] = (uint8_t)(0x80 | (code >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (code & 0x3f));
    return 4;
}

/* A piece of what a raw string means: a run without escapes, or one escaped character. */
struct piece {
    struct ael_bytes bytes; /* into the raw string, or into escaped */
    uint8_t escaped[4];
};

/* Takes the next piece off raw; AEL_E_FORMAT when it is no text. */
static enum ael_status take_piece(struct ael_bytes *raw, struct piece *piece) {
    const uint8_t *backslash = memchr(raw->data, '\\', raw->len);
    size_t raw_len = backslash != NULL ? (size_t)(backslash - raw->data) : raw->len;
    piece->bytes = (struct ael_bytes){raw->data, raw_len};
    if (raw_len == 0) {
        struct character character = read_escape(*raw);
        if (!is_text(character.code)) {
            return AEL_E_FORMAT;
        }
        piece->bytes.data = piece->escaped;
        piece->bytes.len = put_utf8(character.code, piece->escaped);
        raw_len = character.raw_len;
    }
    raw->data += raw_len;
    raw->len -= raw_len;
    return AEL_OK;
}

/* see base/json.h */
bool ael_json_raw_is(struct ael_bytes raw, const char *text) {
    struct piece piece;
    size_t left = strlen(text);
    while (raw.len > 0) {
        if (take_piece(&raw, &piece) != AEL_OK || piece.bytes.len > left ||
            memcmp(piece.bytes.data, text, piece.bytes.len) != 0) {
            return false;
        }
        text += piece.bytes.len;
        left -= piece.bytes.len;
    }
    return left == 0;
}

/* see base/json.h */
enum ael_status ael_json_unescaped_len(struct ael_bytes raw, size_t *len) {
    struct piece piece;
    *len = 0;
    while (raw.len > 0) {
        enum ael_status status = take_piece(&raw, &piece);
        if (status != AEL_OK) {
            return status;
        }
        *len += piece.bytes.len;
    }
    return AEL_OK;
}

/* see base/json.h */
enum ael_status ael_json_unescape(struct ael_bytes raw, struct ael_buf *out) {
    struct piece piece;
    while (raw.len > 0) {
        enum ael_status status = take_piece(&raw, &piece);
        if (status == AEL_OK) {
            status = ael_buf_append(out, piece.bytes);
        }
        if (status != AEL_OK) {
            return status;
        }
    }
    return AEL_OK;
}
