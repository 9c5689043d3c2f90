/*
 * tests/support/left_stack.h - looks for a key of bytes 0x5a on the stack that functions have left.
 *
 *     use_stack();
 *     ... call what may leave a key behind ...
 *     CU_ASSERT(!is_left_on_the_stack());
 *
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_LEFT_STACK_H
#define TESTS_SUPPORT_LEFT_STACK_H

#include "tests/support/suite.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { LEFT_STACK_BYTES = 8192 };

/* So that there are pages to be read. */
__attribute__((noinline, no_sanitize("address"))) static void use_stack(void) {
    volatile uint8_t bytes[2 * LEFT_STACK_BYTES];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = 0;
    }
}

/* Read as a file: what was on the stack is nobody's any more. */
__attribute__((noinline)) static bool is_left_on_the_stack(void) {
    static uint8_t below[LEFT_STACK_BYTES];
    static uint8_t key[32];
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    ssize_t got = pread(memory, below, sizeof below, (off_t)(here - sizeof below));
    (void)close(memory);
    CU_ASSERT_EQUAL_FATAL(got, sizeof below);
    memset(key, 0x5a, sizeof key);
    return memmem(below, sizeof below, key, sizeof key) != NULL;
}

#endif /* TESTS_SUPPORT_LEFT_STACK_H */
