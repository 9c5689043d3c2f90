/*
 * tests/support/left_out.h - cases that cannot run where the tests run, by a list that tells why.
 *
 * The environment's AEL_TEST_LEFT_OUT names the list. Its lines, but for those with a # in front:
 *
 *     suite | case | reason
 *
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_LEFT_OUT_H
#define TESTS_SUPPORT_LEFT_OUT_H

#include <stdbool.h>

/** Tells whether the list names the case; prints its reason then. */
bool left_out(const char *suite, const char *name);

/** Counts the list's lines for a suite; -1 when there is a list that cannot be read. */
int left_out_lines(const char *suite);

#endif /* TESTS_SUPPORT_LEFT_OUT_H */
