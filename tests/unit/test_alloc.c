/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/suite.h"

#include "base/alloc.h"

#include <ael/sys/alloc.h>

#include <stdint.h>
#include <string.h>

static int refuse_when_zero(void *context) {
    int *left = context;
    return (*left)-- == 0;
}

static void test_ael_alloc__gives_zeroed_memory(void) {
    static const uint8_t k_zeros[1000];
    uint8_t *memory = ael_alloc(sizeof(k_zeros));
    CU_ASSERT_PTR_NOT_NULL_FATAL(memory);
    CU_ASSERT_EQUAL(memcmp(memory, k_zeros, sizeof(k_zeros)), 0);
    memset(memory, 0xff, sizeof(k_zeros));
    ael_free_wiped(memory, sizeof(k_zeros));
    ael_free(NULL);
    ael_free_wiped(NULL, 10);
}

static void test_ael_alloc__gives_nothing_for_nothing(void) {
    CU_ASSERT_PTR_NULL(ael_alloc(0));
    CU_ASSERT_PTR_NULL(ael_alloc_array(0, 8));
    CU_ASSERT_PTR_NULL(ael_alloc_array(8, 0));
}

static void test_ael_alloc_array__refuses_overflow(void) {
    CU_ASSERT_PTR_NULL(ael_alloc_array(SIZE_MAX / 2, 3));
    uint64_t *memory = ael_alloc_array(4, sizeof(*memory));
    CU_ASSERT_PTR_NOT_NULL_FATAL(memory);
    CU_ASSERT_EQUAL(memory[3], 0);
    ael_free(memory);
}

static void test_ael_alloc_set_fault__refuses_the_chosen_one(void) {
    int left = 1;
    ael_alloc_set_fault(refuse_when_zero, &left);
    void *first = ael_alloc(1);
    void *second = ael_sys_alloc(1);
    void *third = ael_sys_alloc(1);
    ael_alloc_set_fault(NULL, NULL);
    CU_ASSERT_PTR_NOT_NULL(first);
    CU_ASSERT_PTR_NULL(second);
    CU_ASSERT_PTR_NOT_NULL(third);
    ael_free(first);
    ael_sys_free(third);
    ael_sys_free(NULL);
}

static const struct test_case k_cases[] = {
    {"memory is zeroed", test_ael_alloc__gives_zeroed_memory},
    {"nothing is given for nothing", test_ael_alloc__gives_nothing_for_nothing},
    {"an array that overflows is refused", test_ael_alloc_array__refuses_overflow},
    {"a fault refuses the chosen allocation", test_ael_alloc_set_fault__refuses_the_chosen_one},
};

TEST_SUITE_MAIN("alloc", k_cases)
