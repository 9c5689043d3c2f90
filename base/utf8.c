/* SPDX-License-Identifier: Apache-2.0 */
#include "base/utf8.h"

#include <string.h>

static const uint64_t k_high_bits = 0x8080808080808080u;

enum { WORD_BYTES = 8, BLOCK_BYTES = 32 };

static bool is_continuation(uint8_t byte) {
    return (byte & 0xc0) == 0x80;
}

/* Returns the length of the character of 2 to 4 bytes at data, 0 when there is none (RFC 3629 section 4). */
static size_t multibyte_len(const uint8_t *data, size_t len) {
    if (len >= 2 && data[0] >= 0xc2 && data[0] <= 0xdf) {
        return is_continuation(data[1]) ? 2 : 0;
    }
    if (len >= 3 && (data[0] & 0xf0) == 0xe0) {
        uint8_t low = data[0] == 0xe0 ? 0xa0 : 0x80;
        uint8_t high = data[0] == 0xed ? 0x9f : 0xbf;
        return data[1] >= low && data[1] <= high && is_continuation(data[2]) ? 3 : 0;
    }
    if (len >= 4 && data[0] >= 0xf0 && data[0] <= 0xf4) {
        uint8_t low = data[0] == 0xf0 ? 0x90 : 0x80;
        uint8_t high = data[0] == 0xf4 ? 0x8f : 0xbf;
        return data[1] >= low && data[1] <= high && is_continuation(data[2]) && is_continuation(data[3]) ? 4
                                                                                                         : 0;
    }
    return 0;
}

static bool is_ascii_word(const uint8_t *data) {
    uint64_t word = 0;
    memcpy(&word, data, sizeof word);
    return (word & k_high_bits) == 0;
}

static bool is_ascii_block(const uint8_t *data) {
    uint64_t words[4];
    memcpy(words, data, sizeof words);
    return ((words[0] | words[1] | words[2] | words[3]) & k_high_bits) == 0;
}

/* Returns how many bytes from the start are ASCII; base64 makes that nearly all of a record. */
static size_t ascii_len(const uint8_t *data, size_t len) {
    size_t at = 0;
    while (len - at >= BLOCK_BYTES && is_ascii_block(data + at)) {
        at += BLOCK_BYTES;
    }
    while (len - at >= WORD_BYTES && is_ascii_word(data + at)) {
        at += WORD_BYTES;
    }
    if (len - at < WORD_BYTES && len >= WORD_BYTES && is_ascii_word(data + len - WORD_BYTES)) {
        return len; /* the last word begins in what was looked at */
    }
    while (at < len && data[at] < 0x80) {
        at++;
    }
    return at;
}

/* see base/utf8.h */
bool ael_utf8_is_valid(struct ael_bytes text) {
    size_t at = 0;
    while (at < text.len) {
        at += ascii_len(text.data + at, text.len - at);
        if (at == text.len) {
            break;
        }
        size_t step = multibyte_len(text.data + at, text.len - at);
        if (step == 0) {
            return false;
        }
        at += step;
    }
    return true;
}

/* see base/utf8.h */
bool ael_id_is_text(struct ael_bytes id) {
    return (id.len == 0 || memchr(id.data, 0, id.len) == NULL) && ael_utf8_is_valid(id);
}
