/*
 * base/check.h - the one control-flow macro, and arithmetic that tells when it overflows.
 * Layer: base.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_BASE_CHECK_H
#define AEL_BASE_CHECK_H

#include <ael/status.h>

#include <stdbool.h>
#include <stddef.h>

/* Hands a failure on to the caller; only where nothing is held. */
#define AEL_TRY(call)                                                                                        \
    do {                                                                                                     \
        enum ael_status ael_try_status = (call);                                                             \
        if (ael_try_status != AEL_OK) {                                                                      \
            return ael_try_status;                                                                           \
        }                                                                                                    \
    } while (0)

/** Adds two sizes; false on overflow. */
static inline bool ael_add_size(size_t a, size_t b, size_t *sum) {
    return !__builtin_add_overflow(a, b, sum);
}

/** Multiplies two sizes; false on overflow. */
static inline bool ael_mul_size(size_t a, size_t b, size_t *product) {
    return !__builtin_mul_overflow(a, b, product);
}

#endif /* AEL_BASE_CHECK_H */
