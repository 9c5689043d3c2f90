/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/suite.h"

#include "base/clock.h"

#include <time.h>

static void test_ael_clock_wall_s__is_the_system_time(void) {
    int64_t before = time(NULL);
    int64_t now = ael_clock_wall_s();
    int64_t after = time(NULL);
    CU_ASSERT(now >= before - 1 && now <= after + 1);
    CU_ASSERT(!ael_clock_is_set_for_test());
}

static void test_ael_clock_boot_ns__goes_on(void) {
    struct timespec boot;
    CU_ASSERT_EQUAL_FATAL(clock_gettime(CLOCK_BOOTTIME, &boot), 0);
    int64_t first = ael_clock_boot_ns();
    int64_t second = ael_clock_boot_ns();
    CU_ASSERT(first >= boot.tv_sec * INT64_C(1000000000) + boot.tv_nsec);
    CU_ASSERT(second >= first);
}

/* Never ahead of the clocks, but for the few looks at them; and behind them by less than a test's patience. */
static void test_ael_clock_last_tick__is_the_clocks_a_little_late(void) {
    for (int i = 0; i < 1000; i++) {
        int64_t wall_before = ael_clock_wall_s();
        int64_t before = ael_clock_boot_ns();
        struct ael_instant tick = ael_clock_last_tick();
        int64_t after = ael_clock_boot_ns();
        CU_ASSERT(tick.boot_ns <= after + 1000000);
        CU_ASSERT(tick.boot_ns >= before - 1000000000);
        CU_ASSERT(tick.wall_s >= wall_before - 1 && tick.wall_s <= ael_clock_wall_s());
    }
}

static void test_ael_clock_last_tick__follows_set_clocks(void) {
    ael_clock_set_for_test(2000, 7);
    struct ael_instant first = ael_clock_last_tick();
    ael_clock_advance_for_test(60);
    struct ael_instant second = ael_clock_last_tick();
    ael_clock_reset_for_test();
    CU_ASSERT(first.wall_s == 2000 && first.boot_ns == 7);
    CU_ASSERT(second.wall_s == 2060 && second.boot_ns == INT64_C(60000000007));
}

static void test_ael_clock_set_for_test__stands_still_until_moved(void) {
    ael_clock_set_for_test(1000, 5);
    CU_ASSERT(ael_clock_is_set_for_test());
    CU_ASSERT_EQUAL(ael_clock_wall_s(), 1000);
    CU_ASSERT_EQUAL(ael_clock_boot_ns(), 5);
    ael_clock_advance_for_test(60);
    CU_ASSERT_EQUAL(ael_clock_wall_s(), 1060);
    CU_ASSERT_EQUAL(ael_clock_boot_ns(), INT64_C(60000000005));
    ael_clock_reset_for_test();
    CU_ASSERT(ael_clock_wall_s() > 1060);
}

static const struct test_case k_cases[] = {
    {"the wall clock is the system time", test_ael_clock_wall_s__is_the_system_time},
    {"the boot clock goes on", test_ael_clock_boot_ns__goes_on},
    {"the last tick is a little late", test_ael_clock_last_tick__is_the_clocks_a_little_late},
    {"the last tick follows set clocks", test_ael_clock_last_tick__follows_set_clocks},
    {"a set clock stands still until moved", test_ael_clock_set_for_test__stands_still_until_moved},
};

TEST_SUITE_MAIN("clock", k_cases)
