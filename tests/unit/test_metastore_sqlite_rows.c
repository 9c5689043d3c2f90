/*
 * test_metastore_sqlite_rows.c - the column created holds, to the byte, what SQLite's datetime() writes for the instant.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ael/metastore_sqlite.h>
#include <ael/sys/metastore_backend.h>

#include "tests/support/sqlite_place.h"
#include "tests/support/store_calls.h"
#include "tests/support/suite.h"

#include <stdio.h>

/* All rows at once: each is found by what SQLite makes of the date in its record. */
static void expect_dates(const struct sqlite_place *place, int rows) {
    char wanted[16];
    (void)snprintf(wanted, sizeof wanted, "%d", rows);
    sqlite_place_expect(
        place,
        "SELECT COUNT(*) FROM encryption_key"
        " WHERE created IS datetime(json_extract(key_record, '$.Created'), 'unixepoch')"
        " AND typeof(created) = 'text'",
        wanted);
}

/* Around each of the instants, of the year's ends and leap days above all. */
static void test_sqlite_rows__are_dated_as_sqlite_would(void) {
    static const int64_t k_dates[] = {
        INT64_C(68169600),     /* 29 February 1972 */
        INT64_C(951782400),    /* 29 February 2000 */
        INT64_C(946684800),    /* 2000 */
        INT64_C(1704067200),   /* 2024 */
        INT64_C(1709164800),   /* 29 February 2024 */
        INT64_C(1735689600),   /* 2025 */
        INT64_C(4107542400),   /* 1 March 2100, no leap year */
        INT64_C(13574563200),  /* 29 February 2400 */
        INT64_C(253402214400), /* the last day */
    };
    static const int64_t k_around[] = {-86400, -61, -1, 0, 1, 3599, 3600, 43200, 86399};
    struct sqlite_place place = sqlite_place_new();
    struct ael_metastore *store = sqlite_place_open(&place);
    int rows = 0;
    for (size_t i = 0; i < sizeof k_dates / sizeof k_dates[0]; i++) {
        for (size_t j = 0; j < sizeof k_around / sizeof k_around[0]; j++, rows++) {
            int64_t created_s = k_dates[i] + k_around[j];
            CU_ASSERT_EQUAL(store_in(store, "_IK_x", created_s, NULL), AEL_OK);
            CU_ASSERT_EQUAL(load_from(store, "_IK_x", created_s, NULL, NULL), AEL_OK);
            CU_ASSERT_EQUAL(latest_from(store, "_IK_x"), AEL_OK);
        }
    }
    expect_dates(&place, rows);
    ael_metastore_release(store);
    sqlite_place_remove(&place);
}

/* Days of four centuries, one in 400 of them and each at another time. */
static void test_sqlite_rows__are_dated_alike_in_each_year(void) {
    enum { STEPS = 366, STEP_S = 400 * 86400 + 4999 };
    struct sqlite_place place = sqlite_place_new();
    struct ael_metastore *store = sqlite_place_open(&place);
    for (int64_t i = 0; i < STEPS; i++) {
        CU_ASSERT_EQUAL(store_in(store, "_IK_x", 1 + i * STEP_S, NULL), AEL_OK);
    }
    expect_dates(&place, STEPS);
    ael_metastore_release(store);
    sqlite_place_remove(&place);
}

static void test_sqlite_rows__have_no_date_outside_of_four_digits(void) {
    struct sqlite_place place = sqlite_place_new();
    struct ael_metastore *store = sqlite_place_open(&place);
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", INT64_C(253402300800), NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(load_from(store, "_IK_x", INT64_C(253402300800), NULL, NULL), AEL_E_KEY_NOT_FOUND);
    CU_ASSERT_EQUAL(load_from(store, "_IK_x", INT64_MAX, NULL, NULL), AEL_E_KEY_NOT_FOUND);
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", INT64_C(253402300799), NULL), AEL_OK);
    CU_ASSERT_EQUAL(load_from(store, "_IK_x", INT64_C(253402300799), NULL, NULL), AEL_OK);
    expect_dates(&place, 1);
    ael_metastore_release(store);
    sqlite_place_remove(&place);
}

static const struct test_case k_cases[] = {
    {"dates are SQLite's", test_sqlite_rows__are_dated_as_sqlite_would},
    {"in each year", test_sqlite_rows__are_dated_alike_in_each_year},
    {"four digits of a year", test_sqlite_rows__have_no_date_outside_of_four_digits},
};

TEST_SUITE_MAIN("metastore_sqlite_rows", k_cases)
