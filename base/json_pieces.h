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

/* A whole number without a sign and without zeros at its front. */
static inline bool ael_json_take_number(struct ael_json_rest *rest, int64_t *value) {
    const uint8_t *start = rest->at;
    int64_t sum = 0;
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

#endif /* AEL_BASE_JSON_PIECES_H */
