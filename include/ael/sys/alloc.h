/*
 * ael/sys/alloc.h - ordinary memory from the library's allocator, for backend authors who want allocation failures
 * to be tested along with the library's own. Not for keys.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_SYS_ALLOC_H
#define AEL_SYS_ALLOC_H

#include <ael/export.h>

#include <stddef.h>

AEL_BEGIN_DECLS

/** Returns size zeroed bytes, or NULL. Threads: any. */
AEL_API AEL_MUST_CHECK void *ael_sys_alloc(size_t size);

/** Frees memory of ael_sys_alloc; NULL is accepted. Threads: any. */
AEL_API void ael_sys_free(void *memory);

AEL_END_DECLS

#endif /* AEL_SYS_ALLOC_H */
