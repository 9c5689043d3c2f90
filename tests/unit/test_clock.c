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
    {"a set clock stands still until moved", test_ael_clock_set_for_test__stands_still_until_moved},
};

TEST_SUITE_MAIN("clock", k_cases)
