/* SPDX-License-Identifier: Apache-2.0 */
#include "base/barrier.h"
#include "base/clock.h"
#include "base/thread_entry.h"
#include "securememory/protected.h"
#include "securememory/secret_state.h"
#include "tests/support/child.h"
#include "tests/support/failing_sys.h"
#include "tests/support/no_barrier.h"
#include "tests/support/suite.h"

#include <ael/memory.h>
#include <ael/secret.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Secrets at the level leased: what differs from strict, which test_secret.c has. */

enum { LEN = 32, FOR_EVER_US = AEL_LEASE_US_MAX };

static void set_up(uint32_t lease_us, size_t slots) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    options.level = AEL_PROTECTION_LEASED;
    options.key_level = AEL_PROTECTION_STRICT; /* so that the secrets' system calls can be counted */
    options.lease_us = lease_us;
    options.secret_slots = slots;
    CU_ASSERT_EQUAL_FATAL(ael_shutdown(0), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_memory_configure(&options, NULL), AEL_OK);
}

static struct ael_secret *secret_of(char letter, size_t len) {
    uint8_t source[8192];
    struct ael_secret *secret = NULL;
    memset(source, letter, len);
    CU_ASSERT_EQUAL(ael_secret_new(source, len, &secret), AEL_OK);
    return secret;
}

static bool holds(struct ael_secret *secret, char letter) {
    struct ael_secret_access access;
    if (ael_secret_access_begin(secret, &access) != AEL_OK) {
        return false;
    }
    bool good =
        access.bytes.data[0] == (uint8_t)letter && access.bytes.data[access.bytes.len - 1] == (uint8_t)letter;
    return ael_secret_access_end(&access) == AEL_OK && good;
}

static struct ael_memory_stats stats_now(void) {
    struct ael_memory_stats stats = AEL_MEMORY_STATS_INIT;
    CU_ASSERT_EQUAL(ael_memory_stats(&stats), AEL_OK);
    return stats;
}

/* The warden is another thread: in time, but no sooner than it pleases. */
static bool becomes_shut(void) {
    int64_t deadline_ns = ael_clock_boot_ns() + INT64_C(30) * 1000000000;
    while (stats_now().secret_slots_in_use != 0 && ael_clock_boot_ns() < deadline_ns) {
        (void)sched_yield();
    }
    return stats_now().secret_slots_in_use == 0;
}

static void check_one_call_a_lease(size_t len) {
    struct ael_secret *secret = secret_of('s', len);
    CU_ASSERT_TRUE(holds(secret, 's'));
    failing_sys_install(FAIL_MPROTECT, 0, 0, false);
    for (int i = 0; i < 10000; i++) {
        CU_ASSERT_TRUE(holds(secret, 's'));
    }
    CU_ASSERT_EQUAL(failing_sys_mprotect_calls(), 0);
    (void)failing_sys_remove();
    ael_secret_release(secret);
}

static void test_access__makes_no_system_call_inside_a_lease(void) {
    set_up(FOR_EVER_US, 0);
    CU_ASSERT_EQUAL(stats_now().level, AEL_PROTECTION_LEASED);
    check_one_call_a_lease(LEN);
    check_one_call_a_lease(5000);
}

static int read_after_lease(void) {
    struct ael_secret_access access;
    set_up(100, 0);
    struct ael_secret *secret = secret_of('s', LEN);
    CU_ASSERT_EQUAL(ael_secret_access_begin(secret, &access), AEL_OK);
    const volatile uint8_t *bytes = access.bytes.data;
    CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_OK);
    return becomes_shut() ? bytes[0] : 1;
}

static void test_lease__shuts_the_page(void) {
    CU_ASSERT_EQUAL(child_run(read_after_lease), CHILD_KILLED + 11);
    set_up(100, 0);
    struct ael_secret *secret = secret_of('s', LEN);
    for (int i = 0; i < 20; i++) {
        CU_ASSERT_TRUE(holds(secret, 's'));
        CU_ASSERT_TRUE(becomes_shut());
    }
    ael_secret_release(secret);
}

static void test_lease__never_ends_under_an_access(void) {
    struct ael_secret_access access;
    set_up(100, 0);
    struct ael_secret *secret = secret_of('s', LEN);
    CU_ASSERT_EQUAL(ael_secret_access_begin(secret, &access), AEL_OK);
    ael_secret_end_unused_leases();
    ael_secret_end_unused_leases();
    ael_secret_end_all_leases();
    ael_secret_end_all_leases();
    CU_ASSERT_EQUAL(access.bytes.data[0], 's');
    CU_ASSERT_TRUE(holds(secret, 's'));
    CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_OK);
    CU_ASSERT_TRUE(becomes_shut());
    ael_secret_release(secret);
}

static void test_close__does_not_wait_for_a_lease(void) {
    set_up(FOR_EVER_US, 0);
    struct ael_secret *closed = secret_of('c', LEN);
    struct ael_secret *released = secret_of('r', LEN);
    CU_ASSERT_TRUE(holds(closed, 'c') && holds(released, 'r'));
    CU_ASSERT_EQUAL(stats_now().secret_slots_in_use, 2);
    CU_ASSERT_EQUAL(ael_secret_close(closed), AEL_OK);
    CU_ASSERT_EQUAL(stats_now().secret_slots_in_use, 1);
    ael_secret_release(released);
    CU_ASSERT_EQUAL(stats_now().secret_slots_in_use, 0);
    CU_ASSERT_EQUAL(stats_now().secret_slots_filled, 0);
    CU_ASSERT_FALSE(holds(closed, 'c'));
    ael_secret_release(closed);
}

static void test_slots__are_given_up_by_leases_when_others_want_them(void) {
    struct ael_secret *secrets[8];
    set_up(FOR_EVER_US, 2);
    for (int i = 0; i < 8; i++) {
        secrets[i] = secret_of((char)('a' + i), LEN);
    }
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 8; i++) {
            CU_ASSERT_TRUE(holds(secrets[i], (char)('a' + i)));
        }
    }
    for (int i = 0; i < 8; i++) {
        ael_secret_release(secrets[i]);
    }
}

static void test_shutdown__ends_leases_at_once(void) {
    set_up(FOR_EVER_US, 0);
    struct ael_secret *secret = secret_of('s', LEN);
    CU_ASSERT_TRUE(holds(secret, 's'));
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_OK);
    CU_ASSERT_TRUE(ael_secret_is_closed(secret));
    ael_secret_release(secret);
}

static struct ael_secret *g_secret;

static int use_inherited(void) {
    bool good = holds(g_secret, 's') && holds(g_secret, 's');
    ael_secret_release(g_secret);
    return good && ael_shutdown(0) == AEL_OK ? 0 : 1;
}

static void test_lease__is_not_inherited(void) {
    set_up(FOR_EVER_US, 0);
    g_secret = secret_of('s', LEN);
    CU_ASSERT_TRUE(holds(g_secret, 's'));
    CU_ASSERT_EQUAL(child_run(use_inherited), 0);
    CU_ASSERT_TRUE(holds(g_secret, 's'));
    ael_secret_release(g_secret);
}

static void test_lease__finds_overwritten_canaries_at_its_end(void) {
    set_up(FOR_EVER_US, 0);
    struct ael_secret *secret = secret_of('s', LEN);
    CU_ASSERT_TRUE(holds(secret, 's'));
    struct ael_pages *pages = &secret->slot->pages;
    CU_ASSERT_EQUAL(ael_pages_set_access(pages, AEL_PAGES_WRITE), AEL_OK);
    pages->bytes[pages->len - LEN - 1] ^= 1;
    CU_ASSERT_EQUAL(ael_secret_close(secret), AEL_E_CORRUPTED);
    CU_ASSERT_TRUE(ael_secret_is_closed(secret));
    ael_secret_release(secret);
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_OK);
}

/* -- pins -- */

/* Six secrets at once: more than a thread has places for. */
enum { MANY = 6 };

static void test_access__to_more_secrets_than_there_are_places(void) {
    struct ael_secret *secrets[MANY];
    struct ael_secret_access accesses[MANY];
    set_up(FOR_EVER_US, 0);
    for (int i = 0; i < MANY; i++) {
        secrets[i] = secret_of((char)('a' + i), LEN);
        CU_ASSERT_TRUE(holds(secrets[i], (char)('a' + i))); /* on lease from now on */
    }
    for (int i = 0; i < MANY; i++) {
        CU_ASSERT_EQUAL(ael_secret_access_begin(secrets[i], &accesses[i]), AEL_OK);
    }
    ael_secret_end_all_leases();
    for (int i = 0; i < MANY; i++) {
        int which = i * 5 % MANY; /* 0 5 4 3 2 1 */
        CU_ASSERT_EQUAL(accesses[which].bytes.data[0], 'a' + which);
        CU_ASSERT_EQUAL(ael_secret_close(secrets[which]), AEL_E_BUSY);
        CU_ASSERT_EQUAL(ael_secret_access_end(&accesses[which]), AEL_OK);
        CU_ASSERT_EQUAL(ael_secret_access_end(&accesses[which]), AEL_E_ARGUMENT);
    }
    CU_ASSERT_EQUAL(stats_now().secret_slots_in_use, 0);
    for (int i = 0; i < MANY; i++) {
        ael_secret_release(secrets[i]);
    }
}

/* The word counts the lease alone; who ends first hands on what it holds. */
static void check_nested(struct ael_secret *secret, uint64_t readers) {
    static const int k_orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    for (size_t order = 0; order < sizeof k_orders / sizeof k_orders[0]; order++) {
        struct ael_secret_access accesses[3];
        for (int i = 0; i < 3; i++) {
            CU_ASSERT_EQUAL(ael_secret_access_begin(secret, &accesses[i]), AEL_OK);
            CU_ASSERT_EQUAL(atomic_load(&secret->word) & AEL_SECRET_READERS, readers);
        }
        ael_secret_end_unused_leases();
        ael_secret_end_unused_leases();
        for (int i = 0; i < 3; i++) {
            struct ael_secret_access *ended = &accesses[k_orders[order][i]];
            CU_ASSERT_EQUAL(ended->bytes.data[0], 's');
            CU_ASSERT_EQUAL(atomic_load(&secret->word) & AEL_SECRET_READERS, readers);
            CU_ASSERT_EQUAL(ael_secret_access_end(ended), AEL_OK);
        }
        CU_ASSERT_FALSE(ael_threads_pin(secret));
    }
}

static void test_access__nested_is_not_counted(void) {
    set_up(FOR_EVER_US, 0);
    struct ael_secret *secret = secret_of('s', LEN);
    CU_ASSERT_TRUE(holds(secret, 's'));
    check_nested(secret, 1);
    ael_secret_release(secret);

    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    CU_ASSERT_EQUAL_FATAL(ael_shutdown(0), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_memory_configure(&options, NULL), AEL_OK);
    secret = secret_of('s', LEN);
    check_nested(secret, 1); /* at strict the reader is the access */
    CU_ASSERT_EQUAL(stats_now().secret_slots_in_use, 0);
    ael_secret_release(secret);
}

/* Without the warden, which would come in ten seconds. */
static void test_end__shuts_what_was_wanted_meanwhile(void) {
    struct ael_secret_access access;
    set_up(FOR_EVER_US, 0);
    struct ael_secret *secret = secret_of('s', LEN);
    CU_ASSERT_TRUE(holds(secret, 's'));
    CU_ASSERT_EQUAL(ael_secret_access_begin(secret, &access), AEL_OK);
    CU_ASSERT_TRUE(ael_threads_pin(secret));
    ael_secret_end_all_leases();
    CU_ASSERT_PTR_NULL(atomic_load(&secret->shared));
    CU_ASSERT_EQUAL(stats_now().secret_slots_in_use, 1);
    CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_OK);
    CU_ASSERT_EQUAL(stats_now().secret_slots_in_use, 0);
    CU_ASSERT_TRUE(holds(secret, 's'));
    CU_ASSERT_PTR_NOT_NULL(atomic_load(&secret->shared)); /* leased anew */
    ael_secret_release(secret);
}

static void test_end__of_another_access_keeps_what_is_pinned(void) {
    struct ael_secret_access outer;
    struct ael_secret_access inner;
    set_up(FOR_EVER_US, 0);
    struct ael_secret *first = secret_of('f', LEN);
    struct ael_secret *second = secret_of('s', LEN);
    CU_ASSERT_TRUE(holds(first, 'f') && holds(second, 's'));
    CU_ASSERT_EQUAL(ael_secret_access_begin(first, &outer), AEL_OK);
    CU_ASSERT_EQUAL(ael_secret_access_begin(second, &inner), AEL_OK);
    ael_secret_end_all_leases();
    CU_ASSERT_EQUAL(ael_secret_access_end(&outer), AEL_OK); /* takes the mark of both */
    CU_ASSERT_EQUAL(inner.bytes.data[0], 's');
    CU_ASSERT_EQUAL(stats_now().secret_slots_in_use, 1);
    CU_ASSERT_EQUAL(ael_secret_access_end(&inner), AEL_OK); /* and is told all the same */
    CU_ASSERT_EQUAL(stats_now().secret_slots_in_use, 0);
    ael_secret_release(first);
    ael_secret_release(second);
}

static void test_release__inside_an_access_frees_at_its_end(void) {
    struct ael_secret_access access;
    struct ael_secret_access inner;
    set_up(FOR_EVER_US, 0);
    struct ael_secret *secret = secret_of('s', LEN);
    CU_ASSERT_TRUE(holds(secret, 's'));
    uint64_t before = stats_now().secrets_in_use;
    CU_ASSERT_EQUAL(ael_secret_access_begin(secret, &access), AEL_OK);
    ael_secret_release(secret);
    CU_ASSERT_EQUAL(access.bytes.data[0], 's');
    CU_ASSERT_EQUAL(ael_secret_access_begin(secret, &inner), AEL_E_CLOSED);
    CU_ASSERT_EQUAL(stats_now().secrets_in_use, before);
    CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_OK);
    CU_ASSERT_EQUAL(stats_now().secrets_in_use, before - 1);
    CU_ASSERT_EQUAL(stats_now().secret_slots_filled, 0);
}

static struct ael_secret_access g_access;

static int end_inherited(void) {
    bool good = ael_secret_access_end(&g_access) == AEL_E_FORKED;
    good = good && !ael_threads_pin(g_secret) && holds(g_secret, 's') && holds(g_secret, 's');
    good = good && ael_secret_close(g_secret) == AEL_OK && ael_shutdown(0) == AEL_OK;
    ael_secret_release(g_secret);
    return good ? 0 : 1;
}

static void test_pin__is_not_inherited(void) {
    set_up(FOR_EVER_US, 0);
    g_secret = secret_of('s', LEN);
    CU_ASSERT_TRUE(holds(g_secret, 's'));
    CU_ASSERT_EQUAL(ael_secret_access_begin(g_secret, &g_access), AEL_OK);
    CU_ASSERT_EQUAL(child_run(end_inherited), 0);
    CU_ASSERT_EQUAL(g_access.bytes.data[0], 's');
    CU_ASSERT_EQUAL(ael_secret_access_end(&g_access), AEL_OK);
    ael_secret_release(g_secret);
}

/* A thread that keeps an access as long as it lives ends it in a destructor of the host's, of which some run before the
 * library's and some behind it. */
static pthread_key_t g_keys[2];

static void end_in_destructor(void *access) {
    CU_ASSERT_EQUAL(ael_secret_access_end(access), AEL_OK);
    free(access);
}

static void *begin_for_a_lifetime(void *secrets) {
    for (int i = 0; i < 2; i++) {
        struct ael_secret_access *access = malloc(sizeof *access);
        CU_ASSERT_EQUAL_FATAL(ael_secret_access_begin(((struct ael_secret **)secrets)[i], access), AEL_OK);
        CU_ASSERT_EQUAL(pthread_setspecific(g_keys[i], access), 0);
    }
    return NULL;
}

static void test_end__in_a_destructor_of_the_thread(void) {
    struct ael_secret *secrets[2];
    pthread_t thread;
    set_up(FOR_EVER_US, 0);
    for (int i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL(pthread_key_create(&g_keys[i], end_in_destructor), 0);
        secrets[i] = secret_of('s', LEN);
        CU_ASSERT_TRUE(holds(secrets[i], 's'));
    }
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, begin_for_a_lifetime, secrets), 0);
    (void)pthread_join(thread, NULL);
    for (int i = 0; i < 2; i++) {
        CU_ASSERT_FALSE(ael_threads_pin(secrets[i]));
        CU_ASSERT_EQUAL(ael_secret_close(secrets[i]), AEL_OK);
        ael_secret_release(secrets[i]);
        (void)pthread_key_delete(g_keys[i]);
    }
}

static void *leave_open(void *secret) {
    static struct ael_secret_access access; /* never ended: its thread's stack is gone */
    CU_ASSERT_EQUAL(ael_secret_access_begin(secret, &access), AEL_OK);
    return NULL;
}

static int keep_pin_of_lost_thread(void) {
    struct ael_secret_access access;
    pthread_t thread = 0;
    set_up(FOR_EVER_US, 0);
    struct ael_secret *secret = secret_of('s', LEN);
    bool good = holds(secret, 's') && pthread_create(&thread, NULL, leave_open, secret) == 0;
    (void)pthread_join(thread, NULL);
    good = good && ael_threads_pin(secret);
    good = good &&
           pthread_create(&thread, NULL, leave_open, secret_of('o', LEN)) == 0; /* gets no entry with pins */
    (void)pthread_join(thread, NULL);
    good = good && ael_threads_pin(secret) && ael_secret_access_begin(secret, &access) == AEL_OK;
    ael_secret_end_all_leases();
    good = good && access.bytes.data[0] == 's' && ael_secret_access_end(&access) == AEL_OK;
    return good && ael_shutdown(0) == AEL_E_TIMEOUT ? 0 : 1;
}

static void test_pin__of_a_thread_that_is_gone_stays(void) {
    CU_ASSERT_EQUAL(child_run(keep_pin_of_lost_thread), 0);
}

static void test_beat__shuts_what_is_open_too_long_although_used(void) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    options.level = AEL_PROTECTION_LEASED;
    options.lease_us = FOR_EVER_US;
    options.max_open_us = 1;
    CU_ASSERT_EQUAL_FATAL(ael_shutdown(0), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_memory_configure(&options, NULL), AEL_OK);
    struct ael_secret *secret = secret_of('s', LEN);
    CU_ASSERT_TRUE(holds(secret, 's'));
    int64_t until = ael_clock_boot_ns() + 2000;
    while (ael_clock_boot_ns() < until) {
    }
    CU_ASSERT_TRUE(holds(secret, 's'));
    ael_secret_end_unused_leases();
    CU_ASSERT_EQUAL(stats_now().secret_slots_in_use, 0);
    ael_secret_release(secret);
}

/* A filter of the host's that comes late: the kernel agreed to its barrier, and refuses it to all threads from now on. */
static int close_without_barrier(void) {
    struct ael_secret_access access;
    set_up(FOR_EVER_US, 0);
    struct ael_secret *secret = secret_of('s', LEN);
    bool good = holds(secret, 's') && !atomic_load(&ael_barrier_light_is_fence) && no_barrier_from_now_on();
    good = good && ael_secret_access_begin(secret, &access) == AEL_OK;
    ael_secret_end_all_leases();
    good = good && atomic_load(&ael_barrier_light_is_fence) && access.bytes.data[0] == 's';
    good = good && ael_secret_access_end(&access) == AEL_OK && stats_now().secret_slots_in_use == 0;
    good = good && holds(secret, 's') && ael_secret_close(secret) == AEL_OK;
    ael_secret_release(secret);
    return good && ael_shutdown(0) == AEL_OK ? 0 : 1;
}

static void test_close__works_when_the_kernel_refuses_its_barrier(void) {
    if (no_barrier_can_be_tested()) {
        CU_ASSERT_EQUAL(child_run(close_without_barrier), 0);
    }
}

/* The library's own pages: leases end, old root keys go, and a shut-down finds nobody inside. */
static int shut_down_without_barrier(void) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    uint32_t wiped = 0;
    struct ael_roots *roots = &ael_protected()->roots;
    bool good = ael_shutdown(0) == AEL_OK && ael_memory_configure(&options, NULL) == AEL_OK;
    struct ael_secret *secret = secret_of('s', LEN);
    good = good && !atomic_load(&ael_barrier_light_is_fence) && no_barrier_from_now_on() && holds(secret, 's');
    int64_t end_ns = ael_warden_now_ns() + INT64_C(20) * 1000000000;
    bool shut = false; /* for good: the word alone is taken back while the warden asks for the barrier */
    while (!shut && ael_warden_now_ns() < end_ns) {
        (void)sched_yield();
        shut = atomic_load(&ael_barrier_light_is_fence) && !ael_lease_is_open(&roots->region.lease);
    }
    good = good && shut;
    ael_secret_release(secret);
    good = good && ael_roots_renew(roots) == AEL_OK;
    good = good && ael_roots_wipe_below(roots, ael_roots_current(roots), &wiped) == AEL_OK && wiped == 1;
    return good && ael_shutdown(0) == AEL_OK ? 0 : 1;
}

static void test_shutdown__works_when_the_kernel_refuses_its_barrier(void) {
    if (no_barrier_can_be_tested()) {
        CU_ASSERT_EQUAL(child_run(shut_down_without_barrier), 0);
    }
}

static const struct test_case k_cases[] = {
    {"no system call inside a lease", test_access__makes_no_system_call_inside_a_lease},
    {"the page is shut", test_lease__shuts_the_page},
    {"never under an access", test_lease__never_ends_under_an_access},
    {"close does not wait", test_close__does_not_wait_for_a_lease},
    {"slots are given up", test_slots__are_given_up_by_leases_when_others_want_them},
    {"shut-down", test_shutdown__ends_leases_at_once},
    {"fork", test_lease__is_not_inherited},
    {"more secrets than places", test_access__to_more_secrets_than_there_are_places},
    {"nested", test_access__nested_is_not_counted},
    {"wanted meanwhile", test_end__shuts_what_was_wanted_meanwhile},
    {"two pins", test_end__of_another_access_keeps_what_is_pinned},
    {"released inside", test_release__inside_an_access_frees_at_its_end},
    {"fork inside", test_pin__is_not_inherited},
    {"ended by a destructor", test_end__in_a_destructor_of_the_thread},
    {"a thread that is gone", test_pin__of_a_thread_that_is_gone_stays},
    {"a bound", test_beat__shuts_what_is_open_too_long_although_used},
    {"no barrier any more", test_close__works_when_the_kernel_refuses_its_barrier},
    {"shut-down without barrier", test_shutdown__works_when_the_kernel_refuses_its_barrier},
    {"canaries", test_lease__finds_overwritten_canaries_at_its_end},
};

TEST_SUITE_MAIN("secret_leased", k_cases)
