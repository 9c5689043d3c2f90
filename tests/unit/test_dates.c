/* SPDX-License-Identifier: Apache-2.0 */
#include "net/dates.h"

#include "tests/support/suite.h"

#include <string.h>
#include <time.h>

static bool iso(const char *text, int64_t *time_s) {
    return ael_date_from_iso(ael_bytes_from_text(text), time_s);
}

static bool http(const char *text, int64_t *time_s) {
    return ael_date_from_http(ael_bytes_from_text(text), time_s);
}

static void test_date_from_iso__reads_what_services_write(void) {
    int64_t time_s = 0;
    CU_ASSERT(iso("2015-08-30T12:36:00Z", &time_s) && time_s == 1440938160);
    CU_ASSERT(iso("1970-01-01T00:00:00Z", &time_s) && time_s == 0);
    CU_ASSERT(iso("1969-12-31T23:59:59Z", &time_s) && time_s == -1);
    CU_ASSERT(iso("2000-02-29T00:00:00.123456Z", &time_s) && time_s == 951782400);
    CU_ASSERT(iso("2026-11-21T23:00:00+00:00", &time_s) && time_s == 1795302000);
    CU_ASSERT(iso("2026-11-22T01:30:00+02:30", &time_s) && time_s == 1795302000);
    CU_ASSERT(iso("2026-11-21T22:00:00-01:00", &time_s) && time_s == 1795302000);
}

static void test_date_from_iso__refuses_what_is_no_date(void) {
    static const char *const k_bad[] = {
        "",
        "2015-08-30",
        "2015-08-30T12:36:00",
        "2015-8-30T12:36:00Z",
        "2015-13-01T12:36:00Z",
        "2015-00-01T12:36:00Z",
        "2015-02-29T12:36:00Z",
        "2100-02-29T12:36:00Z",
        "2015-08-32T12:36:00Z",
        "2015-08-00T12:36:00Z",
        "2015-08-30T24:00:00Z",
        "2015-08-30T12:60:00Z",
        "2015-08-30T12:36:61Z",
        "2015-08-30T12:36:00.Z",
        "2015-08-30T12:36:00Zx",
        "2015-08-30T12:36:00+2:00",
        "2015-08-30T12:36:00+24:00",
        "2015-08-30 12:36:00Z",
        "0000-01-01T00:00:00Z",
        " 2015-08-30T12:36:00Z",
        "-015-08-30T12:36:00Z",
    };
    int64_t time_s = 77;
    for (size_t i = 0; i < sizeof k_bad / sizeof k_bad[0]; i++) {
        CU_ASSERT_FALSE(iso(k_bad[i], &time_s));
    }
    CU_ASSERT_FALSE(ael_date_from_iso((struct ael_bytes){NULL, 0}, &time_s));
    CU_ASSERT_EQUAL(time_s, 77);
}

static void test_date_from_http__reads_the_fixed_form_alone(void) {
    int64_t time_s = 0;
    CU_ASSERT(http("Tue, 15 Nov 1994 08:12:31 GMT", &time_s) && time_s == 784887151);
    CU_ASSERT(http("Sun, 06 Nov 1994 08:49:37 GMT", &time_s) && time_s == 784111777);
    CU_ASSERT_FALSE(http("Sunday, 06-Nov-94 08:49:37 GMT", &time_s));
    CU_ASSERT_FALSE(http("Sun Nov  6 08:49:37 1994", &time_s));
    CU_ASSERT_FALSE(http("Sun, 06 Nov 1994 08:49:37 CET", &time_s));
    CU_ASSERT_FALSE(http("Sun, 06 Nov 1994 08:49:37 GMT ", &time_s));
    CU_ASSERT_FALSE(http("Xxx, 06 Nov 1994 08:49:37 GMT", &time_s));
    CU_ASSERT_FALSE(http("Sun, 06 Xxx 1994 08:49:37 GMT", &time_s));
    CU_ASSERT_FALSE(http("Su", &time_s));
}

/* Against the C library's calendar, both ways, over 400 years. */
static void test_dates__agree_with_the_c_library(void) {
    int64_t bad = 0;
    for (int64_t time_s = -2208988800; time_s < 10413792000; time_s += 86400 * 13 + 4321) {
        char basic[AEL_DATE_BASIC_BYTES];
        char text[64];
        char expected[64];
        struct tm utc;
        time_t time = (time_t)time_s;
        int64_t back_s = 0;
        (void)gmtime_r(&time, &utc);
        (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
        (void)strftime(expected, sizeof expected, "%Y%m%dT%H%M%SZ", &utc);
        bad += iso(text, &back_s) && back_s == time_s ? 0 : 1;
        bad += ael_date_to_basic(time_s, basic) && strcmp(basic, expected) == 0 ? 0 : 1;
    }
    CU_ASSERT_EQUAL(bad, 0);
    char basic[AEL_DATE_BASIC_BYTES];
    CU_ASSERT_FALSE(ael_date_to_basic(INT64_MAX, basic));
    CU_ASSERT_FALSE(ael_date_to_basic(-2208988801, basic));  /* 1899 */
    CU_ASSERT_FALSE(ael_date_to_basic(253402300800, basic)); /* 10000 */
}

static const struct test_case k_cases[] = {
    {"dates of services are read", test_date_from_iso__reads_what_services_write},
    {"what is no date is refused", test_date_from_iso__refuses_what_is_no_date},
    {"a Date header is read in its fixed form", test_date_from_http__reads_the_fixed_form_alone},
    {"the calendar is that of the C library", test_dates__agree_with_the_c_library},
};
TEST_SUITE_MAIN("dates", k_cases)
