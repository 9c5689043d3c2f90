/*
 * test_metastore_sqlite_turn.c - the turn to write: one at a time, given back in every case, and in nobody's way when
 * it is not to be had. That it makes writers wait for each other evenly: tests/integration/test_sqlite_processes.c.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "metastore/sqlite/turn.h"

#include "tests/support/sqlite_place.h"
#include "tests/support/suite.h"

#include <ael/sys/metastore_backend.h>

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { CREATED = 1795255320 };

static struct ael_sqlite_turn open_turn(const struct sqlite_place *place) {
    struct ael_sqlite_turn turn = AEL_SQLITE_TURN_INIT;
    ael_sqlite_turn_open(&turn, place->path);
    CU_ASSERT(turn.fd >= 0);
    return turn;
}

static enum ael_status
store_key(struct ael_metastore *store, const struct ael_call *call, const char *id, bool *stored) {
    const struct ael_key_record record = {.created_s = CREATED, .key = ael_bytes_from_text("key")};
    return ael_metastore_store(store, call, ael_bytes_from_text(id), &record, stored, NULL);
}

static void test_sqlite_turn__is_one_at_a_time(void) {
    struct sqlite_place place = sqlite_place_new();
    struct ael_metastore *store = sqlite_place_open(&place);
    struct ael_sqlite_turn one = open_turn(&place);
    struct ael_sqlite_turn other = open_turn(&place);
    CU_ASSERT_TRUE(ael_sqlite_turn_try(&one));
    CU_ASSERT_TRUE(ael_sqlite_turn_try(&one)); /* it has it */
    CU_ASSERT_FALSE(ael_sqlite_turn_try(&other));
    ael_sqlite_turn_give(&one);
    ael_sqlite_turn_give(&one);
    CU_ASSERT_TRUE(ael_sqlite_turn_try(&other));
    CU_ASSERT_FALSE(ael_sqlite_turn_try(&one));
    ael_sqlite_turn_close(&other); /* gives it, too */
    CU_ASSERT_TRUE(ael_sqlite_turn_try(&one));
    ael_sqlite_turn_close(&one);
    ael_metastore_release(store);
    sqlite_place_remove(&place);
}

static void test_sqlite_turn__is_not_waited_for_where_there_is_none(void) {
    struct sqlite_place place = sqlite_place_new();
    struct ael_sqlite_turn turn = AEL_SQLITE_TURN_INIT;
    ael_sqlite_turn_open(&turn, place.path); /* no store, no WAL */
    CU_ASSERT_EQUAL(turn.fd, -1);
    CU_ASSERT_TRUE(ael_sqlite_turn_try(&turn));
    ael_sqlite_turn_give(&turn);
    ael_sqlite_turn_close(&turn);
    sqlite_place_remove(&place);
}

/* After stores, replacements and questions of health nobody has it. */
static void test_sqlite_turn__is_given_back(void) {
    struct sqlite_place place = sqlite_place_new();
    struct ael_metastore *store = sqlite_place_open(&place);
    struct ael_sqlite_turn turn = open_turn(&place);
    const struct ael_key_record none = {.created_s = CREATED + 1, .key = ael_bytes_from_text("key")};
    bool done = false;
    for (int i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL(store_key(store, NULL, "id", &done), AEL_OK);
        CU_ASSERT_EQUAL(done, i == 0);
        CU_ASSERT_EQUAL(
            ael_metastore_mark_revoked(store, ael_bytes_from_text("id"), CREATED, NULL, NULL), AEL_OK);
        CU_ASSERT_EQUAL(
            ael_metastore_replace(store, NULL, ael_bytes_from_text("id"), &none, &none, &done, NULL),
            AEL_E_KEY_NOT_FOUND);
        CU_ASSERT_EQUAL(ael_metastore_health(store, NULL, NULL), AEL_OK);
        CU_ASSERT_TRUE(ael_sqlite_turn_try(&turn));
        ael_sqlite_turn_give(&turn);
    }
    ael_sqlite_turn_close(&turn);
    ael_metastore_release(store);
    sqlite_place_remove(&place);
}

/* As a process would that was stopped in its turn. */
static void test_sqlite_turn__that_is_never_given_stops_nobody(void) {
    struct sqlite_place place = sqlite_place_new();
    struct ael_metastore *store = sqlite_place_open_patient(&place, 40);
    struct ael_sqlite_turn turn = open_turn(&place);
    struct ael_call call = AEL_CALL_INIT;
    struct ael_cancel *cancel = NULL;
    bool stored = false;
    CU_ASSERT_TRUE(ael_sqlite_turn_try(&turn));
    CU_ASSERT_EQUAL(store_key(store, NULL, "id", &stored), AEL_OK);
    CU_ASSERT_TRUE(stored);
    CU_ASSERT_EQUAL(
        ael_metastore_mark_revoked(store, ael_bytes_from_text("id"), CREATED, NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(ael_metastore_health(store, NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_cancel_new(&cancel), AEL_OK);
    ael_cancel_trigger(cancel);
    call.cancel = cancel;
    CU_ASSERT_EQUAL(store_key(store, &call, "cancelled", &stored), AEL_E_CANCELLED);
    ael_cancel_free(cancel);
    ael_sqlite_turn_close(&turn);
    ael_metastore_release(store);
    sqlite_place_expect(&place, "SELECT count(*) FROM encryption_key", "1");
    sqlite_place_remove(&place);
}

static const struct test_case k_cases[] = {
    {"one at a time", test_sqlite_turn__is_one_at_a_time},
    {"none is to be had", test_sqlite_turn__is_not_waited_for_where_there_is_none},
    {"given back", test_sqlite_turn__is_given_back},
    {"never given", test_sqlite_turn__that_is_never_given_stops_nobody},
};

TEST_SUITE_MAIN("metastore_sqlite_turn", k_cases)
