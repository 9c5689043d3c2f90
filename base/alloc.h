/*
 * base/alloc.h - the only door to malloc, so that tests can fail each allocation in turn. Not for key bytes.
 * Layer: base.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_BASE_ALLOC_H
#define AEL_BASE_ALLOC_H

#include "base/component_api.h"

#include <ael/export.h>

#include <stddef.h>

/** Returns size zeroed bytes, or NULL; size 0 is NULL. Threads: any. */
AEL_COMPONENT_API AEL_MUST_CHECK void *ael_alloc(size_t size);

/** Returns count * size zeroed bytes, or NULL, also when the product overflows. Threads: any. */
AEL_COMPONENT_API AEL_MUST_CHECK void *ael_alloc_array(size_t count, size_t size);

/** Frees what ael_alloc gave; NULL is accepted. Wipe first whatever held plaintext. Threads: any. */
AEL_COMPONENT_API void ael_free(void *memory);

/** Wipes size bytes, then frees; NULL is accepted. Threads: any. */
AEL_COMPONENT_API void ael_free_wiped(void *memory, size_t size);

/**
 * For tests: asks fail(context) before each allocation and refuses it when that says true; NULL removes it.
 * Threads: set it while nothing else runs.
 */
void ael_alloc_set_fault(int (*fail)(void *context), void *context);

#endif /* AEL_BASE_ALLOC_H */
