/*
 * appencryption/cache/fingerprint.h - 128 bits that stand for bytes of any length, to tell whether two are equal.
 *
 * BLAKE2b without a key: for what anybody may know (ids, encrypted keys), never for keys or payloads.
 * Layer: appencryption.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_APPENCRYPTION_CACHE_FINGERPRINT_H
#define AEL_APPENCRYPTION_CACHE_FINGERPRINT_H

#include <ael/bytes.h>

struct ael_fingerprint {
    uint8_t bytes[16];
};

/** Returns the fingerprint of bytes; data may be NULL when there are none. Threads: any. */
struct ael_fingerprint ael_fingerprint_of(struct ael_bytes bytes);

/** Tells whether two fingerprints are equal. Threads: any. */
bool ael_fingerprint_equal(const struct ael_fingerprint *a, const struct ael_fingerprint *b);

#endif /* AEL_APPENCRYPTION_CACHE_FINGERPRINT_H */
