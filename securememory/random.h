/*
 * securememory/random.h - the generator of keys and nonces: fast key erasure over libsodium's ChaCha20 stream, state
 * in protected memory of its own, sharded by CPU, reseeded from the kernel every 1 MiB, every 60 s (with the next block
 * of 448 bytes) and after fork.
 *
 * In this folder, below crypto/, because sealing secrets and filling random ones needs it.
 * Layer: securememory.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_SECUREMEMORY_RANDOM_H
#define AEL_SECUREMEMORY_RANDOM_H

#include <ael/status.h>

#include <stddef.h>

/**
 * Fills out with random bytes. For keys, out lies in protected memory.
 *
 * @return AEL_OK; AEL_E_RANDOM (the kernel gave no seed: out zeroed); AEL_E_FORKED; AEL_E_SYSTEM; or the failure of
 *         setting up protected memory. Threads: any.
 */
AEL_MUST_CHECK enum ael_status ael_random_fill(uint8_t *out, size_t len);

#endif /* AEL_SECUREMEMORY_RANDOM_H */
