/*
 * test_fault_sweep.c - each allocation of the library's own fails in turn, by the hook of base/alloc.h; runs under
 * the sanitizers too, whose leak check then sees what a failure left behind.
 *
 * Needs: the static library, CUnit, tests/support/fault_scenario.c.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/alloc.h"

#include <ael/ael.h>

#include <stdint.h>
#include <stdio.h>

#include "tests/support/fault_scenario.h"
#include "tests/support/suite.h"

enum { SWEEP_MAX = 5000 };

struct countdown {
    size_t failing; /* which allocation, from 1 */
    size_t seen;
    bool all_later;
};

static int fail_at(void *context) {
    struct countdown *countdown = context;
    countdown->seen++;
    return countdown->seen == countdown->failing ||
           (countdown->all_later && countdown->seen > countdown->failing);
}

/* Walks once; tells whether the failing allocation was reached. */
static bool walk(size_t failing, bool all_later, bool *good) {
    static const struct fault_edges edges = {NULL, fault_scenario_memory, fault_scenario_kms};
    struct countdown countdown = {failing, 0, all_later};
    struct fault_run run;
    CU_ASSERT_EQUAL(ael_shutdown(1000), AEL_OK);
    ael_alloc_set_fault(fail_at, &countdown);
    fault_scenario_walk(&edges, &run);
    ael_alloc_set_fault(NULL, NULL);
    bool reached = countdown.seen >= failing;
    enum ael_status status = run.status;
    *good = fault_scenario_check(&run) && (reached || status == AEL_OK);
    if (reached && !all_later) {
        /* AEL_E_CALLBACK: the allocation was the callback's. */
        *good = *good && (status == AEL_OK || status == AEL_E_NO_MEMORY || status == AEL_E_CALLBACK);
    }
    if (!*good) {
        printf(
            "\n  allocation %zu failed: %s in %s: %s\n", failing, ael_status_name(status), run.step,
            run.violation == NULL ? "another status than expected" : run.violation);
    }
    return reached;
}

static void sweep(bool all_later) {
    bool good = true;
    size_t failing = 1;
    while (good && failing < SWEEP_MAX && walk(failing, all_later, &good)) {
        failing++;
    }
    printf("\n  %zu allocations failed in turn ", failing - 1);
    CU_ASSERT_TRUE(good);
    CU_ASSERT_TRUE(failing > 10);
    CU_ASSERT_EQUAL(ael_shutdown(1000), AEL_OK);
}

static void test_walk__survives_each_failed_allocation(void) {
    sweep(false);
}

static void test_walk__survives_failed_allocations_from_any_point(void) {
    sweep(true);
}

static const struct test_case k_cases[] = {
    {"each allocation of ours fails once", test_walk__survives_each_failed_allocation},
    {"allocations of ours fail from any point on", test_walk__survives_failed_allocations_from_any_point},
};

TEST_SUITE_MAIN("fault_sweep", k_cases)
