/* SPDX-License-Identifier: Apache-2.0 */
#include "base/barrier.h"
#include "securememory/warden.h"
#include "tests/support/soak.h"
#include "tests/support/suite.h"

#include <ael/memory.h>
#include <ael/secret.h>

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

/* As test_lease_threads.c, of secrets: leases so short that pages are shut all the time, under the threads' feet as it
 * were. More secrets than slots, so that leases are also taken away from those who pin; and one with pages of its own. */

enum {
    THREADS = 4,
    LEASE_US = 20,
    SECRETS = 6,
    SLOTS = 4, /* a thread has two open at most, and two of them at once never want the last one */
    LARGE = 5000,
    ACCESSES_OF_A_RUN = 500,
    LONG_EVERY = 64,
    LONG_NS = 4000,
    LEAST_LEASES = 10,
};

#if defined(__SANITIZE_THREAD__)
enum { CI_ACCESSES = 100000 };
#else
enum { CI_ACCESSES = 10000000 };
#endif

static struct ael_secret *g_secrets[SECRETS];
static atomic_uint g_wrong;

static int accesses_of_a_thread(void) {
    return soak_count(CI_ACCESSES, 1000000000) / THREADS;
}

static size_t len_of(size_t which) {
    return which == 0 ? LARGE : 32;
}

static void pause_for(int64_t ns) {
    int64_t until = ael_warden_now_ns() + ns;
    while (ael_warden_now_ns() < until) {
    }
}

/* The first and the last byte: a page that is shut is SIGSEGV, one of another secret has another letter. */
static bool look(const struct ael_secret_access *access, size_t which) {
    const volatile uint8_t *bytes = access->bytes.data;
    return bytes[0] == which && bytes[access->bytes.len - 1] == which;
}

static bool read_two(size_t which, size_t other) {
    struct ael_secret_access outer;
    struct ael_secret_access inner;
    bool good = ael_secret_access_begin(g_secrets[which], &outer) == AEL_OK && look(&outer, which);
    good = good && ael_secret_access_begin(g_secrets[other], &inner) == AEL_OK && look(&inner, other);
    good = good && look(&outer, which);
    good = good && ael_secret_access_end(&outer) == AEL_OK && look(&inner, other);
    return good && ael_secret_access_end(&inner) == AEL_OK;
}

/* Some stay for long enough that a page which is shut wrongly is found shut. */
static bool read_one(size_t which, int64_t ns) {
    struct ael_secret_access access;
    bool good = ael_secret_access_begin(g_secrets[which], &access) == AEL_OK && look(&access, which);
    for (int64_t until = ns == 0 ? 0 : ael_warden_now_ns() + ns;
         good && until != 0 && ael_warden_now_ns() < until;) {
        good = look(&access, which);
    }
    return good && ael_secret_access_end(&access) == AEL_OK;
}

/* A run stays with one secret, which then is open on lease, and ends with two others; pauses of changing length let leases
 * run out, so that all states meet all others. */
static void *read_often(void *context) {
    size_t which = (size_t)(uintptr_t)context;
    for (int i = 0; i < accesses_of_a_thread(); i++) {
        bool good = i % ACCESSES_OF_A_RUN == 0 ? read_two(which, (which + 3) % SECRETS)
                                               : read_one(which, i % LONG_EVERY == 0 ? LONG_NS : 0);
        if (!good) {
            atomic_fetch_add(&g_wrong, 1);
        }
        if (i % ACCESSES_OF_A_RUN == 0) {
            which = (which + 1) % SECRETS;
            pause_for(i / ACCESSES_OF_A_RUN % 4 * LEASE_US * 1000);
        }
    }
    return NULL;
}

static void run_threads(void) {
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++) {
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, read_often, (void *)i), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
    }
}

static void make_secrets(void) {
    for (size_t i = 0; i < SECRETS; i++) {
        uint8_t source[LARGE];
        memset(source, (int)i, sizeof source);
        CU_ASSERT_EQUAL_FATAL(ael_secret_new(source, len_of(i), &g_secrets[i]), AEL_OK);
    }
}

static void check_litmus(uint32_t max_open_us) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    options.level = AEL_PROTECTION_LEASED;
    options.lease_us = LEASE_US;
    options.max_open_us = max_open_us;
    options.secret_slots = SLOTS;
    options.key_level = AEL_PROTECTION_STRICT; /* so that what is counted are leases of secrets */
    CU_ASSERT_EQUAL(ael_shutdown(1000), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_memory_configure(&options, NULL), AEL_OK);
    make_secrets();
    run_threads();
    struct ael_memory_stats stats = AEL_MEMORY_STATS_INIT;
    CU_ASSERT_EQUAL(ael_memory_stats(&stats), AEL_OK);
    CU_ASSERT_TRUE(stats.lease_openings >= LEAST_LEASES);
    printf("\n  %llu leases ", (unsigned long long)stats.lease_openings);
    for (size_t i = 0; i < SECRETS; i++) {
        ael_secret_release(g_secrets[i]);
    }
    CU_ASSERT_EQUAL(atomic_load(&g_wrong), 0);
    CU_ASSERT_EQUAL(ael_shutdown(1000), AEL_OK);
}

static void test_lease__never_shuts_a_secret_under_a_thread(void) {
    check_litmus(0);
}

/* Here each beat ends leases, also of what is just being used. */
static void test_lease__never_shuts_a_secret_under_a_thread_although_it_is_open_for_long(void) {
    check_litmus(1);
}

static void test_lease__never_shuts_a_secret_under_a_thread_without_the_kernels_barrier(void) {
    ael_barrier_use_fences_for_test(true);
    check_litmus(0);
    ael_barrier_use_fences_for_test(false);
}

static const struct test_case k_cases[] = {
    {"no secret is shut under a thread", test_lease__never_shuts_a_secret_under_a_thread},
    {"with a bound", test_lease__never_shuts_a_secret_under_a_thread_although_it_is_open_for_long},
    {"with fences", test_lease__never_shuts_a_secret_under_a_thread_without_the_kernels_barrier},
};

TEST_SUITE_MAIN("secret_lease_threads", k_cases)
