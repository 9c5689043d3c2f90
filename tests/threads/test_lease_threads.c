/* SPDX-License-Identifier: Apache-2.0 */
#include "base/barrier.h"
#include "securememory/region.h"
#include "securememory/warden.h"
#include "tests/support/soak.h"
#include "tests/support/suite.h"

#include <pthread.h>
#include <stdatomic.h>

/* A lease so short that the pages are closed all the time, under the threads' feet as it were. */
enum { THREADS = 4, LEASE_NS = 20000, ROUNDS_OF_A_RUN = 500, LEAST_LEASES = 3, MOST_RUNS = 100 };

static struct ael_warden g_warden;
static struct ael_region g_region;
static atomic_uint g_wrong;

static int rounds(void) {
    return soak_count(100000, 250000000); /* of each thread: 10^9 in all */
}

static void pause_for(int64_t ns) {
    int64_t until = ael_warden_now_ns() + ns;
    while (ael_warden_now_ns() < until) {
    }
}

/* Each thread has a byte of its own; a page that is shut under it is SIGSEGV. Pauses of changing length let the lease run
 * out, so that all states meet all others. */
static void *access_often(void *context) {
    volatile uint8_t *mine = g_region.pages.bytes + (size_t)(uintptr_t)context * 64;
    bool begun = ael_region_begin(&g_region, AEL_PAGES_READ) == AEL_OK;
    uint8_t count = begun ? *mine : 0;
    bool ended = ael_region_end(&g_region) == AEL_OK;
    if (!begun || !ended) {
        atomic_fetch_add(&g_wrong, 1);
    }
    for (int i = 0; i < rounds(); i++) {
        bool good = ael_region_begin(&g_region, AEL_PAGES_WRITE) == AEL_OK;
        good = good && *mine == count;
        *mine = ++count;
        good = ael_region_end(&g_region) == AEL_OK && good;
        if (!good) {
            atomic_fetch_add(&g_wrong, 1);
        }
        if (i % ROUNDS_OF_A_RUN == 0) {
            pause_for(i / ROUNDS_OF_A_RUN % 4 * LEASE_NS);
        }
    }
    return NULL;
}

static void run_threads(void) {
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++) {
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, access_often, (void *)i), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
    }
}

static void test_lease__never_shuts_a_page_under_a_thread(void) {
    struct ael_region_policy policy = {{AEL_BACKING_ANONYMOUS, true}, AEL_PROTECTION_LEASED, &g_warden};
    ael_barrier_prepare();
    CU_ASSERT_EQUAL_FATAL(ael_warden_start(&g_warden, LEASE_NS, 3 * LEASE_NS), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_region_init(&g_region, AEL_LEASE_OF_SCRATCH, 1, &policy, NULL), AEL_OK);
    for (int i = 0; i < MOST_RUNS && ael_warden_stats(&g_warden).openings < LEAST_LEASES; i++) {
        run_threads();
    }
    CU_ASSERT_EQUAL(atomic_load(&g_wrong), 0);
    CU_ASSERT_TRUE(ael_warden_stats(&g_warden).openings >= LEAST_LEASES);
    printf("\n  %llu leases ", (unsigned long long)ael_warden_stats(&g_warden).openings);
    ael_warden_stop(&g_warden);
    ael_region_clear(&g_region);
}

static const struct test_case k_cases[] = {
    {"no page is shut under a thread", test_lease__never_shuts_a_page_under_a_thread},
};

TEST_SUITE_MAIN("lease_threads", k_cases)
