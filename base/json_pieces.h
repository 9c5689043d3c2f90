/*
 * base/json_pieces.h - JSON in a layout that is known, taken piece by piece without a reader: what is not
 * laid out so is left to the reader (base/json.h), which also tells what is wrong with it.
 * Layer: base. Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_BASE_JSON_PIECES_H
#define AEL_BASE_JSON_PIECES_H

#include "base/json.h"

#include <string.h>

/* Fewer than int64_t has, so that no number is out of range. */
enum { AEL_JSON_DIGITS_MAX = 18 };

/* The text that is left. */
struct ael_json_rest {
    const uint8_t *at;
    const uint8_t *end;
};

/* Inlined, so that the length is known where the bytes are compared. */
__attribute__((always_inline)) static inline bool
ael_json_take(struct ael_json_rest *rest, const char *piece, size_t len) {
    if ((size_t)(rest->end - rest->at) < len || memcmp(rest->at, piece, len) != 0) {
        return false;
    }
    rest->at += len;
    return true;
}

#define AEL_JSON_TAKE(rest, piece) ael_json_take(rest, piece, sizeof(piece) - 1)

/* Is each of the word's bytes a digit's? */
static inline bool ael_json_are_digits(uint64_t word) {
    const uint64_t high = UINT64_C(0xf0f0f0f0f0f0f0f0);
    const uint64_t zeros = UINT64_C(0x3030303030303030);
    return (word & high) == zeros && ((word + UINT64_C(0x0606060606060606)) & high) == zeros;
}

/* Their value, the first one in the lowest byte: of pairs, of fours, of all eight. */
static inline int64_t ael_json_eight_digits(uint64_t word) {
    word -= UINT64_C(0x3030303030303030);
    word = (word * 10 + (word >> 8)) & UINT64_C(0x00ff00ff00ff00ff);
    word = (word * 100 + (word >> 16)) & UINT64_C(0x0000ffff0000ffff);
    return (int64_t)((word * 10000 + (word >> 32)) & UINT32_MAX);
}

/* Takes eight digits where there are as many; a date has ten. */
static inline int64_t ael_json_take_eight(struct ael_json_rest *rest) {
    uint64_t word = 0;
    if (rest->end - rest->at < 8) {
        return 0;
    }
    memcpy(&word, rest->at, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    if (!ael_json_are_digits(word)) {
        return 0;
    }
    rest->at += 8;
    return ael_json_eight_digits(word);
}

/* A whole number without a sign and without zeros at its front. */
static inline bool ael_json_take_number(struct ael_json_rest *rest, int64_t *value) {
    const uint8_t *start = rest->at;
    int64_t sum = ael_json_take_eight(rest);
    while (rest->at < rest->end && *rest->at >= '0' && *rest->at <= '9' &&
           rest->at - start < AEL_JSON_DIGITS_MAX) {
        sum = sum * 10 + (*rest->at++ - '0');
    }
    *value = sum;
    return rest->at - start == 1 || (rest->at - start > 1 && *start != '0');
}

/* What means itself up to the next quote, which is left; false when something else stops it. */
static inline bool ael_json_take_plain(struct ael_json_rest *rest, struct ael_bytes *text) {
    struct ael_bytes left = {rest->at, (size_t)(rest->end - rest->at)};
    *text = (struct ael_bytes){rest->at, ael_json_plain_len(left)};
    rest->at += text->len;
    return rest->at < rest->end && *rest->at == '"';
}

/*
 * The digits of base64 up to the next quote, which is left; false when there is none. What is none of them
 * is found where they are decoded: a backslash, too.
 */
static inline bool ael_json_take_digits(struct ael_json_rest *rest, struct ael_bytes *text) {
    const uint8_t *quote = memchr(rest->at, '"', (size_t)(rest->end - rest->at));
    if (quote == NULL) {
        return false;
    }
    *text = (struct ael_bytes){rest->at, (size_t)(quote - rest->at)};
    rest->at = quote;
    return true;
}

#endif /* AEL_BASE_JSON_PIECES_H */
