/*
 * tests/support/failing_sys.h - a table of system calls in which one chosen call fails.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_FAILING_SYS_H
#define TESTS_SUPPORT_FAILING_SYS_H

#include <stdbool.h>
#include <stddef.h>

enum failing_call {
    FAIL_ANY = 0, /* any but munmap, close and getrlimit, whose failures undo nothing */
    FAIL_MMAP,
    FAIL_MPROTECT,
    FAIL_MLOCK,
    FAIL_MADVISE, /* what children and dumps get of the pages */
    FAIL_MEMFD_SECRET,
    FAIL_FTRUNCATE,
    FAIL_GETRANDOM,
    FAIL_GETRLIMIT,
    FAIL_SETRLIMIT,
    FAIL_PRCTL,
    FAIL_PKEY_ALLOC,
    FAIL_PKEY_MPROTECT,
};

/** From now on, over the table that is in force, the nth call (1 = the next) of a kind fails with errno code; repeat: so do all after it. */
void failing_sys_install(enum failing_call kind, unsigned nth, int code, bool repeat);

/** No call fails from now on; counting goes on. Tells whether a call was failed. */
bool failing_sys_disarm(void);

/** Puts that table back; tells whether a call was failed. */
bool failing_sys_remove(void);

/** Tells whether the call that failed last was of the thread that installed the table, not of a warden. */
bool failing_sys_was_mine(void);

/** Counts the calls of mprotect since failing_sys_install. */
unsigned failing_sys_mprotect_calls(void);

/** Returns the bytes mapped and not unmapped again since failing_sys_install. */
size_t failing_sys_mapped_bytes(void);

#endif /* TESTS_SUPPORT_FAILING_SYS_H */
