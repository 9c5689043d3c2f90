/*
 * test_sql_rows.c - what the SQL stores share of their rows: records, ids, listings, writes that failed.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "metastore/sql/sql_rows.h"
#include "tests/support/suite.h"

#include <ael/record.h>

#include <string.h>
#include <unistd.h>

static void test_sql_write_failed__is_unknown_once_it_was_sent(void) {
    struct ael_sql_conn conn = {.retry = true};
    struct ael_error err = {0};
    (void)ael_error_set(&err, AEL_E_UNREACHABLE, 0, "test", "it was lost");
    CU_ASSERT_EQUAL(ael_sql_write_failed(&conn, AEL_E_UNREACHABLE, "test", &err), AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(err.status, AEL_E_UNREACHABLE);
    CU_ASSERT_TRUE(conn.retry);
    conn.sent = true;
    CU_ASSERT_EQUAL(ael_sql_write_failed(&conn, AEL_E_UNREACHABLE, "test", &err), AEL_E_OUTCOME_UNKNOWN);
    CU_ASSERT_EQUAL(err.status, AEL_E_OUTCOME_UNKNOWN);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, "it was lost"));
    CU_ASSERT_FALSE(conn.retry);
    CU_ASSERT_EQUAL(ael_sql_write_failed(&conn, AEL_E_TIMEOUT, "test", NULL), AEL_E_OUTCOME_UNKNOWN);
}

static void test_sql_record_read__tells_what_is_no_record(void) {
    static const char k_good[] = "{\"Key\":\"a2V5\",\"Created\":1700000040}";
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    struct ael_error err = {0};
    CU_ASSERT_EQUAL(ael_sql_record_read(ael_bytes_from_text(k_good), &out, "test", &err), AEL_OK);
    CU_ASSERT_EQUAL(out.record.created_s, 1700000040);
    ael_key_record_buf_clear(&out);
    CU_ASSERT_EQUAL(ael_sql_record_read(ael_bytes_from_text("{}"), &out, "test", &err), AEL_E_BACKEND_DATA);
    CU_ASSERT_EQUAL(err.status, AEL_E_BACKEND_DATA);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, "a row is not a key record: "));
    CU_ASSERT_EQUAL(
        ael_sql_record_read(ael_bytes_from_text("no JSON"), &out, "test", NULL), AEL_E_BACKEND_DATA);
    ael_key_record_buf_clear(&out);
}

static void test_sql_id_check__counts_characters(void) {
    struct ael_bytes id = ael_bytes_from_text("\xc3\xa4\xf0\x9f\x9a\x80z"); /* three */
    struct ael_error err = {0};
    CU_ASSERT_EQUAL(ael_sql_id_check(id, 3, "make it longer", "test", &err), AEL_OK);
    CU_ASSERT_EQUAL(ael_sql_id_check(id, 0, "make it longer", "test", &err), AEL_OK);
    CU_ASSERT_EQUAL(ael_sql_id_check(id, 2, "make it longer", "test", &err), AEL_E_TOO_LARGE);
    CU_ASSERT_STRING_EQUAL(err.detail, "the column id holds 2 characters; make it longer");
}

/* ---- listings ---- */

struct visits {
    int count;
    int most;
    int64_t last_s;
};

static bool
visit(void *context, struct ael_bytes id, int64_t created_s, const struct ael_key_record *record) {
    struct visits *visits = context;
    CU_ASSERT_TRUE(id.len == 2 && memcmp(id.data, "id", 2) == 0);
    CU_ASSERT_EQUAL(record->created_s, created_s);
    visits->last_s = created_s;
    return ++visits->count < visits->most;
}

static bool hand_on(struct ael_sql_listing *listing, enum ael_status status, int64_t created_s) {
    struct ael_key_record_buf record = AEL_KEY_RECORD_BUF_INIT;
    record.record.created_s = created_s;
    bool more = ael_sql_listing_hand_on(listing, status, ael_bytes_from_text("id"), &record);
    CU_ASSERT_EQUAL(record.record.created_s, 0); /* cleared */
    return more;
}

static void test_sql_listing__passes_over_what_is_no_record(void) {
    struct ael_sql_conn conn = {.pid = getpid()};
    struct visits visits = {.most = 2};
    struct ael_sql_listing listing = {&conn, visit, &visits, AEL_OK, NULL};
    CU_ASSERT_TRUE(hand_on(&listing, AEL_OK, 1));
    CU_ASSERT_TRUE(hand_on(&listing, AEL_E_BACKEND_DATA, 2));
    CU_ASSERT_EQUAL(listing.status, AEL_OK);
    CU_ASSERT_TRUE(visits.count == 1 && visits.last_s == 1);
    CU_ASSERT_FALSE(hand_on(&listing, AEL_OK, 3)); /* no more are wanted */
    CU_ASSERT_EQUAL(listing.status, AEL_OK);
    CU_ASSERT_TRUE(visits.count == 2 && visits.last_s == 3);
}

static void test_sql_listing__ends_with_a_failure(void) {
    struct ael_sql_conn conn = {.pid = getpid()};
    struct visits visits = {.most = 9};
    struct ael_sql_listing listing = {&conn, visit, &visits, AEL_OK, NULL};
    CU_ASSERT_FALSE(hand_on(&listing, AEL_E_NO_MEMORY, 1));
    CU_ASSERT_EQUAL(listing.status, AEL_E_NO_MEMORY);
    CU_ASSERT_EQUAL(visits.count, 0);
}

static void test_sql_listing__ends_with_its_call(void) {
    struct ael_call call = AEL_CALL_INIT;
    struct ael_sql_conn conn = {.pid = getpid(), .call = &call};
    struct ael_sql_listing listing = {.conn = &conn, .visit = visit, .status = AEL_OK};
    CU_ASSERT_TRUE(ael_sql_listing_goes_on(&listing));
    CU_ASSERT_EQUAL(listing.status, AEL_OK);
    call.deadline_ns = 1; /* long ago */
    CU_ASSERT_FALSE(ael_sql_listing_goes_on(&listing));
    CU_ASSERT_EQUAL(listing.status, AEL_E_TIMEOUT);
}

/* As in a child that was made inside of visit: the connection is of another process. */
static void test_sql_listing__is_over_after_a_fork(void) {
    struct ael_sql_conn conn = {.pid = getppid()};
    struct visits visits = {.most = 9};
    struct ael_sql_listing listing = {&conn, visit, &visits, AEL_OK, NULL};
    CU_ASSERT_FALSE(hand_on(&listing, AEL_OK, 1));
    CU_ASSERT_EQUAL(listing.status, AEL_E_FORKED);
}

/* What is waited for behind a visit does not begin when the connection was lent: a visitor may take long. */
static void test_sql_listing__looks_at_the_clock_behind_a_visit(void) {
    struct ael_sql_conn conn = {.pid = getpid(), .look = {1, true}};
    struct visits visits = {.most = 9};
    struct ael_sql_listing listing = {&conn, visit, &visits, AEL_OK, NULL};
    CU_ASSERT_TRUE(hand_on(&listing, AEL_OK, 1));
    CU_ASSERT_FALSE(conn.look.is_new);
}

static const struct test_case k_cases[] = {
    {"a write that was sent is unknown", test_sql_write_failed__is_unknown_once_it_was_sent},
    {"what is no record is told", test_sql_record_read__tells_what_is_no_record},
    {"characters of ids are counted", test_sql_id_check__counts_characters},
    {"a listing passes over what is no record", test_sql_listing__passes_over_what_is_no_record},
    {"a listing ends with a failure", test_sql_listing__ends_with_a_failure},
    {"a listing ends with its call", test_sql_listing__ends_with_its_call},
    {"behind a visit the clock is looked at", test_sql_listing__looks_at_the_clock_behind_a_visit},
    {"a listing is over after a fork", test_sql_listing__is_over_after_a_fork},
};

TEST_SUITE_MAIN("sql_rows", k_cases)
