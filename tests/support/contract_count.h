/*
 * tests/support/contract_count.h - counts what a contract suite reports, and prints what failed.
 *
 *     struct contract_count count = {0, 0};
 *     options.report = contract_count;
 *     options.context = &count;
 *
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_CONTRACT_COUNT_H
#define TESTS_SUPPORT_CONTRACT_COUNT_H

#include <stdbool.h>
#include <stdio.h>

struct contract_count {
    unsigned passed;
    unsigned failed;
};

static inline void contract_count(void *context, const char *check, bool passed, const char *detail) {
    struct contract_count *count = context;
    if (passed) {
        count->passed++;
    } else {
        count->failed++;
        printf("\n    %s: %s", check, detail);
    }
}

#endif /* TESTS_SUPPORT_CONTRACT_COUNT_H */
