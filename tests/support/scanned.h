/*
 * tests/support/scanned.h - a process that is looked through for keys: the test's own program, started once more.
 *
 *     main: if (argc == 4 && strcmp(argv[1], "scanned") == 0) return be_scanned(argv + 2);
 *
 *     it                                      who looks
 *                                             scanned_start(&scanned, words, 2)
 *     ... scanned_stand_still("open") ...     reads scanned.from until "open"; looks; scanned_go_on(&scanned, "on")
 *     returns 0                               scanned_end(&scanned)
 *
 * Layer: tests, in a CUnit case.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_SCANNED_H
#define TESTS_SUPPORT_SCANNED_H

#include "tools/residency/scan.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

enum { SCANNED_WORDS_MAX = 8 };

struct scanned {
    pid_t pid;
    FILE *to;
    FILE *from;
    struct residency_needles needles; /* what is looked for: RESIDENCY_NEEDLES_INIT at first */
};

/* Starts this program with "scanned" and the words. */
bool scanned_start(struct scanned *scanned, char *const words[], size_t count);

/* Says where it stands, and waits for a word; false at the end. In the process that is scanned. */
bool scanned_stand_still(const char *where);

/* Says a word to the process, which goes on. */
void scanned_go_on(const struct scanned *scanned, const char *word);

/* Looks; what lies outside protected memory is printed on demand. */
struct residency_result scanned_look(struct scanned *scanned, bool print);

/* Looks again: what was planted under each of these labels must be found outside protected memory. */
void scanned_expect_planted(struct scanned *scanned, const char *const labels[], size_t count);

/* Waits for its end, which must be a good one, and clears the needles. */
void scanned_end(struct scanned *scanned);

#endif /* TESTS_SUPPORT_SCANNED_H */
