/*
 * tests/support/under.h - what a test runs under, where that changes what it can see.
 *
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_UNDER_H
#define TESTS_SUPPORT_UNDER_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#if defined(__has_feature)
#define UNDER_HAS_FEATURE(feature) __has_feature(feature)
#else
#define UNDER_HAS_FEATURE(feature) 0
#endif

#if defined(__SANITIZE_THREAD__) || UNDER_HAS_FEATURE(thread_sanitizer)
#define UNDER_TSAN true
#else
#define UNDER_TSAN false
#endif

#if defined(__SANITIZE_ADDRESS__) || UNDER_HAS_FEATURE(address_sanitizer)
#define UNDER_ASAN true
#else
#define UNDER_ASAN false
#endif

static inline bool under_valgrind(void) {
    const char *preload = getenv("LD_PRELOAD");
    return preload != NULL && strstr(preload, "vgpreload") != NULL;
}

#endif /* TESTS_SUPPORT_UNDER_H */
