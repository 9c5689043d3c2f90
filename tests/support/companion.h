/*
 * tests/support/companion.h - a program beside the tests: started with a folder of its own, told lines, which it
 * answers with one each.
 *
 *     static struct companion s_companion;
 *     companion_folder("vault", folder, sizeof folder) && companion_start(&s_companion, folder, argv, keep)
 *     companion_tell(&s_companion, "count keys\n", answer, sizeof answer);
 *
 * It first writes lines "name value", the last of which is "ready" with any value. It ends with its standard input, when
 * the program of the tests exits; then its folder is removed. A child of a test's fork leaves it alone.
 *
 * Layer: tests. Threads: one at a time.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_COMPANION_H
#define TESTS_SUPPORT_COMPANION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

struct companion {
    const char *folder;
    pid_t pid; /* 0 until it was started */
    pid_t owner;
    FILE *to;
    FILE *from;
    struct companion *next;
};

/* The longest line, its end included. */
enum { COMPANION_LINE_BYTES = 8192 };

/* Makes a folder with that name in its name. */
bool companion_folder(const char *name, char *folder, size_t size);

/* Starts argv[0], which is looked for in PATH, and keeps what it says until it is ready. The folder stays the caller's. */
bool companion_start(
    struct companion *companion,
    const char *folder,
    char *const argv[],
    void (*keep)(const char *name, const char *value));

/* The answer to a line, which may be the same buffer; empty when there is none. */
void companion_tell(struct companion *companion, const char *line, char *answer, size_t size);

/* It does nothing, and its connections stay, until it may go on; or until the end. */
void companion_hold(const struct companion *companion);
void companion_go_on(const struct companion *companion);

/* Ends it at once; its connections break, and new ones are refused. */
void companion_kill(struct companion *companion);

#endif /* TESTS_SUPPORT_COMPANION_H */
