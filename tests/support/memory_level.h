/*
 * tests/support/memory_level.h - protected memory at a level of the test's choice.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_MEMORY_LEVEL_H
#define TESTS_SUPPORT_MEMORY_LEVEL_H

#include <ael/memory.h>

/**
 * Sets protected memory up anew, with the library's own regions at this level and secrets at `strict`; secrets made before are closed. For
 * tests that count or fail system calls: at `strict` there is no thread beside theirs that makes any.
 */
void memory_at_level(enum ael_protection_level key_level);

/** Sets protected memory up anew, with AEL_ON_FORK_FORGET. */
void memory_that_forgets(void);

#endif /* TESTS_SUPPORT_MEMORY_LEVEL_H */
