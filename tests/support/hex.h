/*
 * tests/support/hex.h - bytes written as hexadecimal digits in tests.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_HEX_H
#define TESTS_SUPPORT_HEX_H

#include <stddef.h>
#include <stdint.h>

static inline int test_hex_digit(char digit) {
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    if (digit >= 'a' && digit <= 'f') {
        return digit - 'a' + 10;
    }
    return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

/* Decodes pairs of digits until the text or out ends; returns the number of bytes, SIZE_MAX for a bad text. */
static inline size_t test_hex_decode(const char *text, uint8_t *out, size_t cap) {
    size_t len = 0;
    for (; text[0] != '\0'; text += 2) {
        int high = test_hex_digit(text[0]);
        int low = high < 0 ? -1 : test_hex_digit(text[1]);
        if (low < 0 || len == cap) {
            return SIZE_MAX;
        }
        out[len++] = (uint8_t)(high * 16 + low);
    }
    return len;
}

#endif /* TESTS_SUPPORT_HEX_H */
