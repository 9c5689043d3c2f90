/*
 * bench/floor_ipsec_mb.h - intel-ipsec-mb's AES-256-GCM for the floors, as directly as the library can be called.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_BENCH_FLOOR_IPSEC_MB_H
#define AEL_BENCH_FLOOR_IPSEC_MB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FLOOR_SCHEDULE_BYTES = 1024, FLOOR_STATE_BYTES = 128 };

enum floor_code { FLOOR_CODE_AVX2, FLOOR_CODE_AVX512, FLOOR_CODES };

/* A key expanded, and what a call keeps beside it. */
struct floor_keyed {
    _Alignas(64) uint8_t schedule[FLOOR_SCHEDULE_BYTES];
    uint8_t state[FLOOR_STATE_BYTES];
};

/** Tells whether this build and CPU have it; before anything else of it is called. */
bool floor_code_is_there(enum floor_code code);

void floor_code_expand(enum floor_code code, struct floor_keyed *keyed, const uint8_t *key);

/** out: ciphertext || tag. */
void floor_code_seal(
    enum floor_code code, struct floor_keyed *keyed, const uint8_t *nonce, const uint8_t *plain, size_t len,
    uint8_t *out);

/** sealed: ciphertext || tag. @return whether the tag is right. */
bool floor_code_open(
    enum floor_code code, struct floor_keyed *keyed, const uint8_t *nonce, const uint8_t *sealed, size_t len,
    uint8_t *plain);

#endif /* AEL_BENCH_FLOOR_IPSEC_MB_H */
