/*
 * securememory/fips.h - whether OpenSSL is in FIPS mode, and its generator for that mode.
 *
 * In FIPS mode OpenSSL's provider alone makes keys and nonces and encrypts what leaves the process. Seals of the library's
 * own memory stay with libsodium: what they hide never leaves the process (docs/crypto.md).
 * Layer: securememory.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_SECUREMEMORY_FIPS_H
#define AEL_SECUREMEMORY_FIPS_H

#include <ael/status.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Asked of OpenSSL once in a process, at the first use: a mode that is turned on later is not noticed. Threads: any. */
bool ael_fips_is_on(void);

/** The next one who wants to know asks OpenSSL again. */
void ael_fips_ask_again_for_test(void);

/**
 * Fills out from the present thread's DRBG of OpenSSL for private numbers, which is reseeded from the kernel first when
 * origin (ael_random_origin) is another one than at the thread's last draw, and otherwise when OpenSSL thinks fit.
 *
 * @return AEL_OK; AEL_E_RANDOM (OpenSSL has no such generator or no seed for it: out zeroed). Threads: any, with signals
 *         held.
 */
AEL_MUST_CHECK enum ael_status ael_fips_random_fill(uint64_t origin, uint8_t *out, size_t len);

#endif /* AEL_SECUREMEMORY_FIPS_H */
