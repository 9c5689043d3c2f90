/*
 * tests/support/fake_clock.h - a server whose clock is wrong: libfaketime, for the wall clock alone.
 *
 * Where it is not installed that server does not start (scripts/install-needs test installs it).
 * Layer: tests. Threads: one at a time.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_FAKE_CLOCK_H
#define TESTS_SUPPORT_FAKE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { FAKE_CLOCK_ARGUMENTS = 4 };

/**
 * Adds what comes before a program in its command line.
 *
 * @param offset     as in "+400d"; NULL = the clock is right, and nothing is added.
 * @param arguments  room for FAKE_CLOCK_ARGUMENTS from *count on; the texts are good until the next call.
 * @return false, with a line on standard output, when there is no libfaketime.
 */
bool fake_clock_add(const char *offset, char **arguments, size_t *count);

/** Removes what such a server leaves behind in shared memory when it is killed. */
void fake_clock_clean(pid_t pid);

#endif /* TESTS_SUPPORT_FAKE_CLOCK_H */
