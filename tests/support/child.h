/*
 * tests/support/child.h - runs a function in a child process, with a limit on locked memory if asked.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_CHILD_H
#define TESTS_SUPPORT_CHILD_H

#include <stddef.h>
#include <sys/types.h>

enum { CHILD_KILLED = 1000 }; /* added to the signal's number */

/** Returns fn's result (0 .. 127), or CHILD_KILLED + the signal that ended the child. */
int child_run(int (*fn)(void));

/** As child_run, as a user without privileges, with bytes of locked memory allowed. */
int child_run_with_lock_limit(size_t bytes, int (*fn)(void));

/** Starts a child that ends with fn's result; -1 when there is none. For several children at a time. */
pid_t child_start(int (*fn)(void *), void *context);
/** Waits for it; returns as child_run. */
int child_wait(pid_t child);

#endif /* TESTS_SUPPORT_CHILD_H */
