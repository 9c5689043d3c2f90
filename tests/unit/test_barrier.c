/* SPDX-License-Identifier: Apache-2.0 */
/* The barrier, where the kernel refuses what it had agreed to. Each case in a child, because that is for good. */
#include "base/barrier.h"
#include "tests/support/child.h"
#include "tests/support/no_barrier.h"
#include "tests/support/suite.h"

#include <pthread.h>
#include <stdatomic.h>

enum { ROUNDS = 20, CANNOT = 99 };

static atomic_bool g_first_is_done;

static void *pass_surely(void *nothing) {
    ael_barrier_heavy_surely();
    atomic_store(&g_first_is_done, true);
    return nothing;
}

/* 1 when this thread passes while the first still waits for stores of before its light sides were fences. */
static int pass_behind_another(void) {
    pthread_t thread;
    if (!no_barrier_from_now_on() || pthread_create(&thread, NULL, pass_surely, NULL) != 0) {
        return CANNOT;
    }
    while (!atomic_load(&ael_barrier_light_is_fence)) {
    }
    bool passed = ael_barrier_heavy();
    bool early = passed && !atomic_load(&g_first_is_done);
    (void)pthread_join(thread, NULL);
    return early || !ael_barrier_heavy() ? 1 : 0;
}

/* The first may be just done: some rounds. */
static void test_heavy__refused_passes_nobody_before_the_first_has_waited(void) {
    for (int i = 0; i < ROUNDS && no_barrier_can_be_tested(); i++) {
        CU_ASSERT_EQUAL(child_run(pass_behind_another), 0);
    }
}

static const struct test_case k_cases[] = {
    {"refused: nobody passes early", test_heavy__refused_passes_nobody_before_the_first_has_waited},
};

TEST_SUITE_MAIN("barrier", k_cases)
