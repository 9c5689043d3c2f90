/*
 * tests/support/base64.h - standard padded base64 for tests, independent of the library's own codec.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_BASE64_H
#define TESTS_SUPPORT_BASE64_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char k_test_base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Returns a NUL-terminated text that the caller frees, or NULL. */
static inline char *test_base64_encode(const uint8_t *bytes, size_t len) {
    char *text = malloc((len + 2) / 3 * 4 + 1);
    char *out = text;
    for (size_t i = 0; text != NULL && i < len; i += 3) {
        uint32_t word = (uint32_t)bytes[i] << 16;
        word |= i + 1 < len ? (uint32_t)bytes[i + 1] << 8 : 0;
        word |= i + 2 < len ? bytes[i + 2] : 0;
        *out++ = k_test_base64[word >> 18];
        *out++ = k_test_base64[(word >> 12) & 63];
        *out++ = i + 1 < len ? k_test_base64[(word >> 6) & 63] : '=';
        *out++ = i + 2 < len ? k_test_base64[word & 63] : '=';
    }
    if (text != NULL) {
        *out = '\0';
    }
    return text;
}

/* Returns bytes that the caller frees (never NULL for a good text), or NULL for a bad one. */
static inline uint8_t *test_base64_decode(const char *text, size_t *len) {
    size_t text_len = strlen(text);
    uint8_t *bytes = text_len % 4 == 0 ? malloc(text_len / 4 * 3 + 1) : NULL;
    uint32_t word = 0;
    *len = 0;
    for (size_t i = 0; bytes != NULL && i < text_len && text[i] != '='; i++) {
        const char *digit = strchr(k_test_base64, text[i]);
        if (digit == NULL) {
            free(bytes);
            return NULL;
        }
        word = word << 6 | (uint32_t)(digit - k_test_base64);
        if (i % 4 != 0) {
            bytes[(*len)++] = (uint8_t)(word >> (6 - 2 * (i % 4)));
        }
    }
    return bytes;
}

#endif /* TESTS_SUPPORT_BASE64_H */
