/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/suite.h"

#include "base/civil_time.h"

#include <time.h>

static const int64_t k_last_s = 253402300799; /* of 9999 */

static bool is_as_the_c_library_says(int64_t seconds) {
    struct tm expected;
    time_t time = (time_t)seconds;
    CU_ASSERT_PTR_NOT_NULL_FATAL(gmtime_r(&time, &expected));
    const struct ael_civil_time date = ael_civil_time_of(seconds);
    return (int)date.year == expected.tm_year + 1900 && (int)date.month == expected.tm_mon + 1 &&
           (int)date.day == expected.tm_mday && (int)date.hour == expected.tm_hour &&
           (int)date.minute == expected.tm_min && (int)date.second == expected.tm_sec;
}

/* Each in more than 400 years, then each eleventh; the last one, too. */
static void test_ael_civil_time_of__each_day(void) {
    const int64_t last = k_last_s / 86400;
    int wrong = !is_as_the_c_library_says(k_last_s);
    for (int64_t day = 0; day <= last; day += day < 150000 ? 1 : 11) {
        wrong += !is_as_the_c_library_says(day * 86400);
        wrong += !is_as_the_c_library_says(day * 86400 + 86399);
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

static void test_ael_civil_time_of__each_second_of_a_day(void) {
    int wrong = 0;
    for (int64_t second = 0; second < 86400; second++) {
        wrong += !is_as_the_c_library_says(951782400 + second); /* 2000-02-29 */
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

static const struct test_case k_cases[] = {
    {"each day", test_ael_civil_time_of__each_day},
    {"each second of a day", test_ael_civil_time_of__each_second_of_a_day},
};

TEST_SUITE_MAIN("civil_time", k_cases)
