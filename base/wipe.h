/*
 * base/wipe.h - erasing bytes so that the compiler cannot leave it out, and comparing without telling where.
 * Layer: base.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_BASE_WIPE_H
#define AEL_BASE_WIPE_H

#include "base/component_api.h"

#include <stdbool.h>
#include <stddef.h>

/** Sets len bytes to zero; bytes may be NULL when len is 0. */
AEL_COMPONENT_API void ael_wipe(void *bytes, size_t len);

/** Compares len bytes in a time that depends on len alone. */
AEL_COMPONENT_API bool ael_equal_constant_time(const void *a, const void *b, size_t len);

/** Overwrites, on x86-64, the vector registers, where ciphers leave round keys. Some nanoseconds. */
void ael_wipe_vectors(void);

/**
 * Overwrites what functions called before may have left behind: the stack below the caller's frame (6 KiB)
 * and, on x86-64, the vector registers.
 */
void ael_wipe_stack(void);

/**
 * As ael_wipe_stack, 12 KiB deep: after a call into another library whose frames lie deep, with a signal's
 * frame (3.2 KiB with AVX-512) below them.
 */
AEL_COMPONENT_API void ael_wipe_deep_stack(void);

#endif /* AEL_BASE_WIPE_H */
