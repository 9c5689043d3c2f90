/*
 * bench/floor.h - the bare work under a case: direct calls of the kernel and the crypto libraries, nothing of
 * ours.
 *
 * Each adds one floor and returns its number (see bench_add), -1 where this machine cannot run it
 * (libsodium's AES and intel-ipsec-mb need the CPU's instructions). Each thread has its own memory and contexts. The floors do
 * not wipe.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_BENCH_FLOOR_H
#define AEL_BENCH_FLOOR_H

#include "bench/bench.h"

enum floor_engine { FLOOR_EVP, FLOOR_LIBSODIUM, FLOOR_IPSEC_MB_AVX2, FLOOR_IPSEC_MB_AVX512, FLOOR_ENGINES };

/** mprotect READ and NONE on a page with a VMA of its own, of the backing in force, and one read of it. */
int floor_add_mprotect_pair(struct bench *bench, unsigned threads);

/**
 * Opening 32 sealed bytes with libsodium's AES-256-GCM, the key expanded beforehand: the engine of our seals.
 */
int floor_add_unseal(struct bench *bench, unsigned threads);

/** Sealing 32 bytes with it, in the same way. */
int floor_add_seal(struct bench *bench, unsigned threads);

/** The pair and the opening together: the least that a lone access at strict can cost. */
int floor_add_strict_access(struct bench *bench, unsigned threads);

/**
 * An envelope encrypted: 56 random bytes drawn in bulk (ChaCha20, 4 KiB at a time), set-up of the data key,
 * the payload's AES-256-GCM, the data key's under an expanded intermediate key.
 */
int floor_add_encrypt(struct bench *bench, enum floor_engine engine, size_t payload, unsigned threads);

/** An envelope decrypted: the data key's AES-256-GCM under an expanded key, its set-up, the payload's. */
int floor_add_decrypt(struct bench *bench, enum floor_engine engine, size_t payload, unsigned threads);

/** Releases what the floors hold. */
void floor_clear(void);

#endif /* AEL_BENCH_FLOOR_H */
