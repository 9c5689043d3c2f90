/*
 * tests/support/no_barrier.h - a filter that comes late: the kernel agreed to its barrier, and refuses it from now on.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_NO_BARRIER_H
#define TESTS_SUPPORT_NO_BARRIER_H

#include <stdbool.h>

/** Tells whether this build asks the kernel for its barrier, and the kernel has one. */
bool no_barrier_can_be_tested(void);

/** Refuses membarrier(2) to all threads of this process, for good. @return false when that cannot be had. */
bool no_barrier_from_now_on(void);

#endif /* TESTS_SUPPORT_NO_BARRIER_H */
