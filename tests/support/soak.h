/*
 * tests/support/soak.h - the counts of a test: small in every change's run, full in scripts/soak (AEL_SOAK=1).
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_TESTS_SUPPORT_SOAK_H
#define AEL_TESTS_SUPPORT_SOAK_H

#include <stdlib.h>
#include <string.h>

/** Returns full in a soak run, small otherwise. */
static inline int soak_count(int small, int full) {
    const char *soak = getenv("AEL_SOAK");
    return soak != NULL && strcmp(soak, "1") == 0 ? full : small;
}

#endif /* AEL_TESTS_SUPPORT_SOAK_H */
