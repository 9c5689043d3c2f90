/*
 * tests/support/interpose_asan.h - keeps AddressSanitizer's allocator whole over a fork; nothing without that sanitizer.
 *
 * Its locks are not taken before a fork, so a child whose parent had another thread in the middle of an allocation waits
 * for that thread for ever. Here each call of the allocator counts as a reader, and a fork as the writer. Who includes
 * this is linked with it. What the dynamic linker allocates looks like the program's own then: a program that loads
 * libraries, as for pthread_cancel, is told of leaks.
 *
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_INTERPOSE_ASAN_H
#define TESTS_SUPPORT_INTERPOSE_ASAN_H

#endif /* TESTS_SUPPORT_INTERPOSE_ASAN_H */
