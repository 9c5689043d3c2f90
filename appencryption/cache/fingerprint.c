/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/cache/fingerprint.h"

#include <sodium.h>
#include <string.h>

_Static_assert(sizeof(struct ael_fingerprint) >= crypto_generichash_BYTES_MIN, "a length that BLAKE2b has");

/* see appencryption/cache/fingerprint.h */
struct ael_fingerprint ael_fingerprint_of(struct ael_bytes bytes) {
    struct ael_fingerprint print;
    /* Cannot fail: the output length is one that BLAKE2b has, and there is no key. */
    (void)crypto_generichash(print.bytes, sizeof print.bytes, bytes.data, bytes.len, NULL, 0);
    return print;
}

/* see appencryption/cache/fingerprint.h */
bool ael_fingerprint_equal(const struct ael_fingerprint *a, const struct ael_fingerprint *b) {
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}
