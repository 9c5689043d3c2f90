/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "securememory/protected.h"
#include "securememory/secret_state.h"
#include "tests/support/child.h"
#include "tests/support/failing_sys.h"
#include "tests/support/suite.h"

#include <ael/memory.h>
#include <ael/secret.h>

#include <errno.h>
#include <sched.h>
#include <string.h>

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
    bool good = access.bytes.data[0] == (uint8_t)letter && access.bytes.data[access.bytes.len - 1] == (uint8_t)letter;
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

static const struct test_case k_cases[] = {
    {"no system call inside a lease", test_access__makes_no_system_call_inside_a_lease},
    {"the page is shut", test_lease__shuts_the_page},
    {"never under an access", test_lease__never_ends_under_an_access},
    {"close does not wait", test_close__does_not_wait_for_a_lease},
    {"slots are given up", test_slots__are_given_up_by_leases_when_others_want_them},
    {"shut-down", test_shutdown__ends_leases_at_once},
    {"fork", test_lease__is_not_inherited},
    {"canaries", test_lease__finds_overwritten_canaries_at_its_end},
};

TEST_SUITE_MAIN("secret_leased", k_cases)
