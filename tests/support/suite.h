/*
 * tests/support/suite.h - one CUnit suite a file: a table of cases and a main that fails when a case failed or none
 * ran. Cases that cannot run where the tests run are left out by tests/support/left_out.h.
 *
 *     static const struct test_case k_cases[] = {
 *         {"an empty text decodes to nothing", test_base64_decode__gives_nothing_for_nothing},
 *     };
 *     TEST_SUITE_MAIN("base64", k_cases)
 *
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_SUITE_H
#define TESTS_SUPPORT_SUITE_H

#include "tests/support/left_out.h"

#include <CUnit/Basic.h>
#include <CUnit/CUnit.h>
#include <stddef.h>
#include <stdlib.h>

struct test_case {
    const char *name;
    void (*run)(void);
};

/* Runs all cases; EXIT_SUCCESS when every one ran and none failed. */
static inline int test_suite_run(const char *name, const struct test_case *cases, size_t count) {
    if (CU_initialize_registry() != CUE_SUCCESS) {
        return EXIT_FAILURE;
    }
    CU_pSuite suite = CU_add_suite(name, NULL, NULL);
    size_t left = 0;
    for (size_t i = 0; suite != NULL && i < count; i++) {
        if (left_out(name, cases[i].name)) {
            left++;
        } else if (CU_add_test(suite, cases[i].name, cases[i].run) == NULL) {
            suite = NULL;
        }
    }
    int result = EXIT_FAILURE;
    if (suite != NULL && left_out_lines(name) == (int)left) {
        CU_basic_set_mode(CU_BRM_VERBOSE);
        CU_ErrorCode ran = CU_basic_run_tests();
        if (ran == CUE_SUCCESS && count > 0 && CU_get_number_of_tests_run() == count - left &&
            CU_get_number_of_failure_records() == 0) {
            result = EXIT_SUCCESS;
        }
    }
    CU_cleanup_registry();
    return result;
}

#define TEST_SUITE_MAIN(suite_name, suite_cases)                                                             \
    int main(void) {                                                                                         \
        return test_suite_run(suite_name, suite_cases, sizeof(suite_cases) / sizeof((suite_cases)[0]));      \
    }

#endif /* TESTS_SUPPORT_SUITE_H */
