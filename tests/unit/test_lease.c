/* SPDX-License-Identifier: Apache-2.0 */
#include "securememory/lease.h"
#include "base/barrier.h"
#include "securememory/region.h"
#include "securememory/warden.h"
#include "tests/support/failing_sys.h"
#include "tests/support/suite.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* So long that the warden of a test never beats by itself. */
static const int64_t k_for_ever_ns = INT64_C(3600) * 1000000000;

static struct ael_warden g_warden;
static struct ael_region g_region;
static struct ael_lease *g_lease = &g_region.lease;

static void set_up(int64_t lease_ns) {
    struct ael_region_policy policy = {{AEL_BACKING_ANONYMOUS, true}, AEL_PROTECTION_LEASED, &g_warden};
    ael_barrier_prepare();
    CU_ASSERT_EQUAL_FATAL(ael_warden_start(&g_warden, lease_ns, 0), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_region_init(&g_region, AEL_LEASE_OF_SCRATCH, 1, &policy, NULL), AEL_OK);
    failing_sys_install(FAIL_MPROTECT, 0, 0, false);
}

static void tear_down(void) {
    (void)failing_sys_remove();
    ael_warden_stop(&g_warden);
    ael_region_clear(&g_region);
}

static void use(enum ael_pages_access access) {
    CU_ASSERT_EQUAL(ael_region_begin(&g_region, access), AEL_OK);
    if (access == AEL_PAGES_WRITE) {
        g_region.pages.bytes[0] = 1;
    }
    CU_ASSERT_TRUE(g_region.pages.bytes[0] <= 1);
    CU_ASSERT_EQUAL(ael_region_end(&g_region), AEL_OK);
}

static bool beat(void) {
    return ael_lease_beat(g_lease, 0, 0);
}

/* The kernel's word: the first of "rwxp" for the mapping in which the address lies. */
static char protection_of(const void *address) {
    char line[512];
    char found = '?';
    FILE *maps = fopen("/proc/self/maps", "re");
    while (found == '?' && fgets(line, sizeof line, maps) != NULL) {
        uintptr_t start = 0;
        uintptr_t end = 0;
        char flags[8] = "";
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %7s", &start, &end, flags) == 3 &&
            start <= (uintptr_t)address && (uintptr_t)address < end) {
            found = flags[0];
        }
    }
    (void)fclose(maps);
    return found;
}

static void test_lease__costs_one_system_call_for_all_accesses_inside_it(void) {
    set_up(k_for_ever_ns);
    for (int i = 0; i < 1000; i++) {
        CU_ASSERT_EQUAL(ael_region_begin(&g_region, AEL_PAGES_READ), AEL_OK);
        use(AEL_PAGES_READ);
        CU_ASSERT_EQUAL(ael_region_end(&g_region), AEL_OK);
    }
    CU_ASSERT_EQUAL(failing_sys_mprotect_calls(), 1);
    CU_ASSERT_EQUAL(protection_of(g_region.pages.bytes), 'r');
    CU_ASSERT_EQUAL(ael_warden_stats(&g_warden).openings, 1);
    tear_down();
}

static void test_lease__opens_wider_for_a_writer(void) {
    set_up(k_for_ever_ns);
    use(AEL_PAGES_READ);
    use(AEL_PAGES_WRITE);
    use(AEL_PAGES_READ);
    CU_ASSERT_EQUAL(failing_sys_mprotect_calls(), 2);
    tear_down();
}

static void test_lease_beat__closes_after_a_beat_without_use(void) {
    set_up(k_for_ever_ns);
    use(AEL_PAGES_READ);
    CU_ASSERT_FALSE(beat()); /* used since the beat before */
    CU_ASSERT_EQUAL(protection_of(g_region.pages.bytes), 'r');
    CU_ASSERT_TRUE(beat());
    CU_ASSERT_EQUAL(protection_of(g_region.pages.bytes), '-');
    CU_ASSERT_FALSE(beat()); /* closed already */
    CU_ASSERT_EQUAL(failing_sys_mprotect_calls(), 2);
    use(AEL_PAGES_WRITE);
    CU_ASSERT_EQUAL(failing_sys_mprotect_calls(), 3);
    tear_down();
}

static void test_lease_beat__never_closes_under_an_access(void) {
    set_up(k_for_ever_ns);
    CU_ASSERT_EQUAL(ael_region_begin(&g_region, AEL_PAGES_READ), AEL_OK);
    use(AEL_PAGES_READ);
    for (int i = 0; i < 5; i++) {
        CU_ASSERT_FALSE(ael_lease_beat(g_lease, INT64_MAX, 1)); /* overdue as well */
    }
    CU_ASSERT_EQUAL(g_region.pages.bytes[0], 0);
    CU_ASSERT_EQUAL(ael_region_end(&g_region), AEL_OK);
    CU_ASSERT_TRUE(beat());
    tear_down();
}

static void test_lease_beat__closes_what_was_open_too_long_although_used(void) {
    set_up(k_for_ever_ns);
    use(AEL_PAGES_READ);
    int64_t opened = g_lease->opened_ns;
    CU_ASSERT_FALSE(ael_lease_beat(g_lease, opened + 4, 5));
    use(AEL_PAGES_READ);
    CU_ASSERT_TRUE(ael_lease_beat(g_lease, opened + 5, 5));
    tear_down();
}

static void test_lease_begin__reports_failing_protection(void) {
    set_up(k_for_ever_ns);
    failing_sys_install(FAIL_MPROTECT, 1, ENOMEM, false);
    CU_ASSERT_EQUAL(ael_region_begin(&g_region, AEL_PAGES_READ), AEL_E_SYSTEM);
    CU_ASSERT_FALSE(ael_threads_are_inside(AEL_LEASE_OF_SCRATCH));
    CU_ASSERT_FALSE(ael_lease_is_open(g_lease));
    use(AEL_PAGES_READ);
    tear_down();
}

static void test_lease_beat__tries_again_when_the_system_does_not_close(void) {
    set_up(k_for_ever_ns);
    use(AEL_PAGES_READ);
    CU_ASSERT_FALSE(beat());
    failing_sys_install(FAIL_MPROTECT, 1, ENOMEM, false);
    CU_ASSERT_FALSE(beat());
    CU_ASSERT_EQUAL(ael_warden_stats(&g_warden).failures, 1);
    use(AEL_PAGES_READ); /* no lie: it is open still */
    CU_ASSERT_EQUAL(failing_sys_mprotect_calls(), 1);
    CU_ASSERT_FALSE(beat());
    CU_ASSERT_TRUE(beat());
    tear_down();
}

static void test_lease__works_with_fences_where_the_kernel_has_no_barrier(void) {
    ael_barrier_use_fences_for_test(true);
    struct ael_region_policy policy = {{AEL_BACKING_ANONYMOUS, true}, AEL_PROTECTION_LEASED, &g_warden};
    CU_ASSERT_EQUAL_FATAL(ael_warden_start(&g_warden, k_for_ever_ns, 0), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_region_init(&g_region, AEL_LEASE_OF_SCRATCH, 1, &policy, NULL), AEL_OK);
    use(AEL_PAGES_WRITE);
    CU_ASSERT_FALSE(beat());
    CU_ASSERT_TRUE(beat());
    tear_down();
    ael_barrier_use_fences_for_test(false);
}

/* -- the warden by itself -- */

static void wait_until_closed(void) {
    int64_t deadline = ael_warden_now_ns() + INT64_C(30) * 1000000000;
    while (ael_lease_is_open(g_lease) && ael_warden_now_ns() < deadline) {
        (void)sched_yield();
    }
    CU_ASSERT_FALSE(ael_lease_is_open(g_lease));
}

static void test_warden__closes_by_itself_and_sleeps(void) {
    set_up(100000);
    for (int i = 0; i < 20; i++) {
        use(AEL_PAGES_WRITE);
        wait_until_closed();
    }
    int64_t deadline = ael_warden_now_ns() + INT64_C(30) * 1000000000;
    while (!atomic_load(&g_warden.asleep) && ael_warden_now_ns() < deadline) {
        (void)sched_yield();
    }
    CU_ASSERT_TRUE(atomic_load(&g_warden.asleep));
    CU_ASSERT_EQUAL(failing_sys_mprotect_calls(), 2 * ael_warden_stats(&g_warden).openings);
    CU_ASSERT_EQUAL(protection_of(g_region.pages.bytes), '-');
    tear_down();
}

/* Reads the mask of blocked signals of a thread by its name; false when there is none of that name. */
static bool blocked_signals(const char *name, unsigned long long *mask) {
    DIR *tasks = opendir("/proc/self/task");
    bool found = false;
    for (struct dirent *task = readdir(tasks); task != NULL && !found; task = readdir(tasks)) {
        char path[300];
        char text[4096] = "";
        (void)snprintf(path, sizeof path, "/proc/self/task/%s/status", task->d_name);
        FILE *status = fopen(path, "re");
        size_t len = status == NULL ? 0 : fread(text, 1, sizeof text - 1, status);
        text[len] = '\0';
        if (status != NULL) {
            (void)fclose(status);
        }
        const char *line = strstr(text, "SigBlk:");
        found = strstr(text, name) != NULL && line != NULL;
        *mask = found ? strtoull(line + strlen("SigBlk:"), NULL, 16) : 0;
    }
    (void)closedir(tasks);
    return found;
}

static void test_warden__is_named_and_takes_no_signals(void) {
    static const int k_signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGPROF, SIGALRM, SIGCHLD};
    unsigned long long mask = 0;
    set_up(k_for_ever_ns);
    CU_ASSERT_TRUE(blocked_signals("Name:\tael-warden\n", &mask));
    for (size_t i = 0; i < sizeof k_signals / sizeof k_signals[0]; i++) {
        CU_ASSERT_TRUE((mask >> (k_signals[i] - 1) & 1) != 0);
    }
    tear_down();
    CU_ASSERT_FALSE(blocked_signals("Name:\tael-warden\n", &mask));
}

static const struct test_case k_cases[] = {
    {"one system call a lease", test_lease__costs_one_system_call_for_all_accesses_inside_it},
    {"opens wider", test_lease__opens_wider_for_a_writer},
    {"closes after a beat without use", test_lease_beat__closes_after_a_beat_without_use},
    {"never closes under an access", test_lease_beat__never_closes_under_an_access},
    {"longest time open", test_lease_beat__closes_what_was_open_too_long_although_used},
    {"failing to open", test_lease_begin__reports_failing_protection},
    {"failing to close", test_lease_beat__tries_again_when_the_system_does_not_close},
    {"without the kernel's barrier", test_lease__works_with_fences_where_the_kernel_has_no_barrier},
    {"closes by itself", test_warden__closes_by_itself_and_sleeps},
    {"named, without signals", test_warden__is_named_and_takes_no_signals},
};

TEST_SUITE_MAIN("lease", k_cases)
