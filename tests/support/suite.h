/*
 * tests/support/suite.h - one CUnit suite a file: a table of cases and a main that fails when a case failed or none
 * ran. Cases that cannot run where the tests run are left out by tests/support/left_out.h.
 *
 *     static const struct test_case k_cases[] = {
 *         {"an empty text decodes to nothing", test_base64_decode__gives_nothing_for_nothing},
 *     };
 *     TEST_SUITE_MAIN("base64", k_cases)
 *
 * The program's arguments, if any, name the cases that are to run.
 *
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_SUITE_H
#define TESTS_SUPPORT_SUITE_H

#include "tests/support/left_out.h"

#include <CUnit/Basic.h>
#include <CUnit/CUnit.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct test_case {
    const char *name;
    void (*run)(void);
};

static inline bool test_case_is_wanted(const char *name, char *const *wanted) {
    bool any = false;
    for (char *const *one = wanted; *one != NULL; one++) {
        any = any || strcmp(*one, name) == 0;
    }
    return any || *wanted == NULL;
}

/* How many names are given, each of which must be a case's; -1 when one is none's. */
static inline int test_cases_wanted(char *const *wanted, const struct test_case *cases, size_t count) {
    int number = 0;
    for (char *const *one = wanted; *one != NULL; one++, number++) {
        size_t at = 0;
        while (at < count && strcmp(*one, cases[at].name) != 0) {
            at++;
        }
        if (at == count) {
            (void)printf("no case is called \"%s\"\n", *one);
            return -1;
        }
    }
    return number;
}

/*
 * Runs all cases, or those that are wanted (a list of names with NULL at its end); EXIT_SUCCESS when every one of them ran
 * and none failed.
 */
static inline int
test_suite_run_some(const char *name, const struct test_case *cases, size_t count, char *const *wanted) {
    int number = test_cases_wanted(wanted, cases, count);
    if (number < 0 || CU_initialize_registry() != CUE_SUCCESS) {
        return EXIT_FAILURE;
    }
    CU_pSuite suite = CU_add_suite(name, NULL, NULL);
    size_t left = 0;
    unsigned added = 0;
    for (size_t i = 0; suite != NULL && i < count; i++) {
        if (left_out(name, cases[i].name)) {
            left++;
        } else if (test_case_is_wanted(cases[i].name, wanted)) {
            suite = CU_add_test(suite, cases[i].name, cases[i].run) == NULL ? NULL : suite;
            added++;
        }
    }
    int result = EXIT_FAILURE;
    if (suite != NULL && left_out_lines(name) == (int)left) {
        CU_basic_set_mode(CU_BRM_VERBOSE);
        CU_ErrorCode ran = CU_basic_run_tests();
        bool all =
            added == (number == 0 ? count - left : (size_t)number) && CU_get_number_of_tests_run() == added;
        if (ran == CUE_SUCCESS && count > 0 && all && CU_get_number_of_failure_records() == 0) {
            result = EXIT_SUCCESS;
        }
    }
    CU_cleanup_registry();
    return result;
}

static inline int test_suite_run(const char *name, const struct test_case *cases, size_t count) {
    static char *const k_all[] = {NULL};
    return test_suite_run_some(name, cases, count, k_all);
}

#define TEST_SUITE_MAIN(suite_name, suite_cases)                                                             \
    int main(int argc, char **argv) {                                                                        \
        size_t count = sizeof(suite_cases) / sizeof((suite_cases)[0]);                                       \
        return test_suite_run_some(suite_name, suite_cases, count, argc > 0 ? argv + 1 : argv);              \
    }

#endif /* TESTS_SUPPORT_SUITE_H */
