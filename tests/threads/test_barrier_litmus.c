/* SPDX-License-Identifier: Apache-2.0 */
#include "base/barrier.h"
#include "tests/support/soak.h"
#include "tests/support/suite.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>

/*
 * Store buffering, on the processor that this runs on:
 *
 *     many, often:  x = i; light barrier; seen_y[i] = y
 *     one, rarely:  y = j; heavy barrier; seen_x[j] = x
 *
 * Of any two rounds, i and j, at least one sees the other. x and y only grow, so it is enough to look, for each j, at
 * the first i that it did not see: that one must have seen j.
 */
enum { ROUNDS_OF_A_RUN = 1 << 20, RUNS_AT_ONCE = 4, LEAST_MET = 100, LEAST_CONTROLS = 3, MOST_RUNS = 4000 };

enum barrier { BARRIER, NO_BARRIER };

static struct {
    _Alignas(128) atomic_uint x;
    _Alignas(128) atomic_uint y;
    _Alignas(128) atomic_bool through; /* the many's run */
    pthread_barrier_t both;
    enum barrier barrier;
    unsigned last; /* j of the run */
    unsigned seen_y[ROUNDS_OF_A_RUN + 1];
    unsigned seen_x[ROUNDS_OF_A_RUN + 1];
} g;

static int g_runs;
static atomic_bool g_refused;

static void meet(void) {
    (void)pthread_barrier_wait(&g.both);
}

/* The compiler keeps the order in any case: what is tried is the processor. */
static void light(void) {
    if (g.barrier == BARRIER) {
        ael_barrier_light();
    } else {
        atomic_signal_fence(memory_order_seq_cst);
    }
}

static void heavy(void) {
    if (g.barrier == NO_BARRIER) {
        atomic_signal_fence(memory_order_seq_cst);
    } else if (!ael_barrier_heavy()) {
        atomic_store(&g_refused, true);
    }
}

/* Begins when the other side is there. */
static void run_often(void) {
    while (atomic_load(&g.y) == 0) {
        (void)sched_yield();
    }
    for (unsigned i = 1; i <= ROUNDS_OF_A_RUN; i++) {
        atomic_store_explicit(&g.x, i, memory_order_relaxed);
        light();
        g.seen_y[i] = atomic_load_explicit(&g.y, memory_order_relaxed);
    }
    atomic_store(&g.through, true);
}

static void run_rarely(void) {
    unsigned j = 0;
    while (j < ROUNDS_OF_A_RUN && !atomic_load(&g.through)) {
        j++;
        atomic_store_explicit(&g.y, j, memory_order_relaxed);
        heavy();
        g.seen_x[j] = atomic_load_explicit(&g.x, memory_order_relaxed);
    }
    g.last = j;
}

static void *rare_side(void *context) {
    (void)context;
    for (int run = 0; run < g_runs; run++) {
        meet();
        run_rarely();
        meet();
    }
    return NULL;
}

/* How many pairs of rounds did not see each other; *met counts those that lay in the middle of the other side's. */
static unsigned count_unseen(unsigned *met) {
    unsigned unseen = 0;
    for (unsigned j = 1; j <= g.last; j++) {
        unsigned first = g.seen_x[j] + 1;
        if (first <= ROUNDS_OF_A_RUN) {
            *met += first > 1;
            unseen += g.seen_y[first] < j;
        }
    }
    return unseen;
}

static unsigned run_once(unsigned *met) {
    atomic_store(&g.x, 0);
    atomic_store(&g.y, 0);
    atomic_store(&g.through, false);
    meet();
    run_often();
    meet();
    return count_unseen(met);
}

/* Returns pairs that did not see each other. */
static unsigned run_all(enum barrier barrier, int runs, unsigned *met) {
    pthread_t other;
    unsigned unseen = 0;
    g.barrier = barrier;
    g_runs = runs;
    CU_ASSERT_EQUAL_FATAL(pthread_barrier_init(&g.both, NULL, 2), 0);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&other, NULL, rare_side, NULL), 0);
    for (int run = 0; run < runs; run++) {
        unseen += run_once(met);
    }
    (void)pthread_join(other, NULL);
    (void)pthread_barrier_destroy(&g.both);
    return unseen;
}

/* The control, in turns with what is tried: without the barrier this processor shows what the barrier is there to
 * prevent, if both sides are at it at the same time. Not in ThreadSanitizer's build, whose own work between the two steps
 * gives the store the time to arrive. @return whether it was shown. */
static bool control(void) {
#ifdef AEL_BARRIER_BY_WORD
    return true;
#else
    unsigned met = 0;
    return run_all(NO_BARRIER, RUNS_AT_ONCE, &met) > 0;
#endif
}

/* At least so many rounds; more, until the control has shown often enough that a missing barrier would be seen. */
static void expect_all_seen(int rounds) {
    unsigned met = 0;
    unsigned unseen = 0;
    int runs = 0;
    int controls = 0;
    ael_barrier_prepare();
    while (runs < rounds / ROUNDS_OF_A_RUN + 1 ||
           ((met < LEAST_MET || controls < LEAST_CONTROLS) && runs < MOST_RUNS)) {
        unseen += run_all(BARRIER, RUNS_AT_ONCE, &met);
        controls += control();
        runs += RUNS_AT_ONCE;
    }
    printf(
        "\n  %d runs of %d rounds against %u; %u unseen; without the barrier some in %d of %d ", runs,
        ROUNDS_OF_A_RUN, met, unseen, controls, runs / RUNS_AT_ONCE);
    CU_ASSERT_EQUAL(unseen, 0);
    CU_ASSERT_TRUE(met >= LEAST_MET);
    CU_ASSERT_TRUE(controls >= LEAST_CONTROLS);
    CU_ASSERT_FALSE(atomic_load(&g_refused));
}

static void test_barrier__one_of_two_sees_the_other_as_without_it_they_do_not(void) {
    expect_all_seen(soak_count(1000000, 1000000000));
}

static void test_barrier__one_of_two_sees_the_other_with_fences(void) {
    ael_barrier_prepare();
    ael_barrier_use_fences_for_test(true);
    expect_all_seen(soak_count(1000000, 100000000));
    ael_barrier_use_fences_for_test(false);
}

static const struct test_case k_cases[] = {
    {"one of two sees the other, as without it they do not",
     test_barrier__one_of_two_sees_the_other_as_without_it_they_do_not},
    {"one of two sees the other with fences", test_barrier__one_of_two_sees_the_other_with_fences},
};

TEST_SUITE_MAIN("barrier_litmus", k_cases)
