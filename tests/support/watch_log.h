/*
 * tests/support/watch_log.h - keeps what the library logs, so that a test can ask for it.
 *
 * Layer: tests, in a CUnit case. Threads: lines may come from any; asked by one, when none works.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_WATCH_LOG_H
#define TESTS_SUPPORT_WATCH_LOG_H

#include <stdbool.h>

/* Keeps lines from now on, in place of those before, by the library's hooks; ael_hooks_set(NULL) ends it. */
void watch_log(void);

/* Tells whether a line with this piece in it came. */
bool was_logged(const char *piece);

/* All lines, each with its end of line; as many as fit into 4 KiB. */
const char *logged_lines(void);

#endif /* TESTS_SUPPORT_WATCH_LOG_H */
