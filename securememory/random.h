/*
 * securememory/random.h - the generator of keys and nonces: fast key erasure over libsodium's ChaCha20 stream, state
 * in protected memory of its own, sharded by CPU, reseeded from the kernel every 1 MiB, every 60 s (with the next block
 * of 480 bytes), after fork and by ael_reseed. In FIPS mode OpenSSL's DRBG does it (securememory/fips.h).
 *
 * In this folder, below crypto/, because sealing secrets and filling random ones needs it.
 * Layer: securememory.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_SECUREMEMORY_RANDOM_H
#define AEL_SECUREMEMORY_RANDOM_H

#include "base/component_api.h"

#include <ael/status.h>

#include <stddef.h>

/**
 * Fills out with random bytes. For keys, out lies in protected memory.
 *
 * @return AEL_OK; AEL_E_RANDOM (the kernel gave no seed, or in FIPS mode OpenSSL no numbers: out zeroed); AEL_E_FORKED; AEL_E_SYSTEM; or the failure of
 *         setting up protected memory. Threads: any.
 */
AEL_COMPONENT_API AEL_MUST_CHECK enum ael_status ael_random_fill(uint8_t *out, size_t len);

/** As ael_random_fill, by an operation that holds a scratch slot, whose end wipes what the draw left behind. */
AEL_MUST_CHECK enum ael_status ael_random_fill_in_scratch(uint8_t *out, size_t len);

/**
 * Names what random numbers come from: another value after a fork and after ael_reseed. What was derived from random
 * numbers and must not be used twice (the start of a counted nonce) is drawn anew when this differs; 0 is no origin.
 * Threads: any.
 */
uint64_t ael_random_origin(void);

#endif /* AEL_SECUREMEMORY_RANDOM_H */
