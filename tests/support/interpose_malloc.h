/*
 * tests/support/interpose_malloc.h - stands in for malloc, calloc and realloc of the whole program, dependencies
 * included, and fails the n-th call on demand. What is alive is counted, so that leaks show.
 *
 * Linked into the program, it replaces glibc's functions, to which it hands on. Under ASan, TSan and MSan, which bring
 * an allocator of their own, and under valgrind, which replaces ours, it is left out: interpose_malloc_works says so.
 * aligned allocations are not counted and never fail.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_INTERPOSE_MALLOC_H
#define TESTS_SUPPORT_INTERPOSE_MALLOC_H

#include <stdbool.h>
#include <stddef.h>

/* Tells whether allocations come by here. */
bool interpose_malloc_works(void);

/* From now on the n-th allocation (1 = the next) fails, and with all_later each one after it. One thread. */
void interpose_malloc_arm(size_t n, bool all_later);

/* No more failures; tells whether one was made. */
bool interpose_malloc_disarm(void);

/* Number of blocks that are allocated and not freed. */
size_t interpose_malloc_live(void);

#endif /* TESTS_SUPPORT_INTERPOSE_MALLOC_H */
