/*
 * tools/residency/key_forms.h - the blocks of 16 bytes that an AES-256-GCM key is turned into while it is used.
 *
 * Written from FIPS 197 and NIST SP 800-38D alone, with nothing of a cryptographic library, whose heap the scanner may
 * have to look at. For a scanner: not constant-time.
 * Layer: tools. Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_TOOLS_RESIDENCY_KEY_FORMS_H
#define AEL_TOOLS_RESIDENCY_KEY_FORMS_H

#include <stdint.h>

enum {
    RESIDENCY_KEY_BYTES = 32,
    RESIDENCY_BLOCK_BYTES = 16,
    RESIDENCY_ROUND_KEYS = 15,
    RESIDENCY_SCHEDULE_BYTES = RESIDENCY_ROUND_KEYS * RESIDENCY_BLOCK_BYTES,
};

/** Expands a key to its 15 round keys (FIPS 197, 5.2). */
void residency_expand(const uint8_t key[RESIDENCY_KEY_BYTES], uint8_t schedule[RESIDENCY_SCHEDULE_BYTES]);

/** The round keys of the equivalent inverse cipher (FIPS 197, 5.3.5), in the order of encryption. */
void residency_invert(
    const uint8_t schedule[RESIDENCY_SCHEDULE_BYTES], uint8_t inverse[RESIDENCY_SCHEDULE_BYTES]);

/** The key of GHASH: the block of zeros, encrypted. */
void residency_hash_key(
    const uint8_t schedule[RESIDENCY_SCHEDULE_BYTES], uint8_t hash_key[RESIDENCY_BLOCK_BYTES]);

/** product = a * b in the field of GHASH; product may be a or b. */
void residency_multiply(
    const uint8_t a[RESIDENCY_BLOCK_BYTES],
    const uint8_t b[RESIDENCY_BLOCK_BYTES],
    uint8_t product[RESIDENCY_BLOCK_BYTES]);

/** block = block * x, one bit to the right. */
void residency_times_x(uint8_t block[RESIDENCY_BLOCK_BYTES]);

/** block = block / x, one bit to the left: how carry-less multiplication wants its constant operand. */
void residency_over_x(uint8_t block[RESIDENCY_BLOCK_BYTES]);

#endif /* AEL_TOOLS_RESIDENCY_KEY_FORMS_H */
