/*
 * tests/support/same_key.h - whether what was decrypted is the key that was encrypted.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_SAME_KEY_H
#define TESTS_SUPPORT_SAME_KEY_H

#include <ael/secret.h>

#include <stdbool.h>
#include <string.h>

/* Compares two keys of 32 bytes; false when one is NULL or cannot be read. */
static inline bool same_key(struct ael_secret *a, struct ael_secret *b) {
    struct ael_secret_access one;
    struct ael_secret_access two;
    bool equal = a != NULL && b != NULL && ael_secret_access_begin(a, &one) == AEL_OK;
    if (equal) {
        equal = ael_secret_access_begin(b, &two) == AEL_OK && memcmp(one.bytes.data, two.bytes.data, 32) == 0;
        equal = ael_secret_access_end(&two) == AEL_OK && equal;
        equal = ael_secret_access_end(&one) == AEL_OK && equal;
    }
    return equal;
}

#endif /* TESTS_SUPPORT_SAME_KEY_H */
