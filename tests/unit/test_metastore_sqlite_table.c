/*
 * test_metastore_sqlite_table.c - tables that this library makes, takes and refuses, and rows that it would not write.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "metastore/sqlite/table.h"

#include "tests/support/sqlite_place.h"
#include "tests/support/suite.h"

#include <ael/record.h>
#include <ael/sys/metastore_backend.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { CREATED = 1795255320 };

static struct ael_bytes text(const char *id) {
    return ael_bytes_from_text(id);
}

static enum ael_status store_key(
    struct ael_metastore *store, const char *id, int64_t created_s, bool *stored, struct ael_error *err) {
    const struct ael_key_record record = {.created_s = created_s, .key = ael_bytes_from_text("key")};
    *stored = false;
    return ael_metastore_store(store, NULL, text(id), &record, stored, err);
}

static enum ael_status load_key(struct ael_metastore *store, const char *id, int64_t created_s) {
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    enum ael_status status = ael_metastore_load(store, NULL, text(id), created_s, &out, NULL);
    ael_key_record_buf_clear(&out);
    return status;
}

static enum ael_status latest_key(struct ael_metastore *store, const char *id, int64_t *created_s) {
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    enum ael_status status = ael_metastore_load_latest(store, NULL, text(id), &out, NULL);
    *created_s = status == AEL_OK ? out.record.created_s : 0;
    ael_key_record_buf_clear(&out);
    return status;
}

static void expect_stored(struct ael_metastore *store, const char *id, int64_t created_s) {
    bool stored = false;
    CU_ASSERT_EQUAL(store_key(store, id, created_s, &stored, NULL), AEL_OK);
    CU_ASSERT_TRUE(stored);
    CU_ASSERT_EQUAL(load_key(store, id, created_s), AEL_OK);
}

/* ---- tables ---- */

static void test_sqlite_schema_file__is_what_ensure_makes(void) {
    static const char k_shape[] =
        "SELECT group_concat(name || ' ' || type || ' ' || \"notnull\" || ' ' || pk)"
        " FROM pragma_table_info('encryption_key')";
    char path[512];
    char sql[2048];
    (void)snprintf(path, sizeof path, "%s/metastore/schema/sqlite.sql", AEL_TEST_SOURCE_DIR);
    FILE *file = fopen(path, "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    sql[fread(sql, 1, sizeof sql - 1, file)] = '\0';
    (void)fclose(file);
    for (int by_hand = 0; by_hand < 2; by_hand++) {
        struct sqlite_place place = sqlite_place_new();
        if (by_hand != 0) {
            sqlite_place_run(&place, sql);
            CU_ASSERT_EQUAL(chmod(place.path, 0600), 0);
        }
        struct ael_metastore *store = sqlite_place_open(&place);
        sqlite_place_expect(&place, k_shape, "id TEXT 1 1,created TIMESTAMP 1 2,key_record TEXT 1 0");
        expect_stored(store, "_SK_a_b", CREATED);
        ael_metastore_release(store);
        sqlite_place_remove(&place);
    }
}

static void expect_refused(const char *sql, const char *piece) {
    struct sqlite_place place = sqlite_place_new();
    struct ael_metastore_sqlite_options options = AEL_METASTORE_SQLITE_OPTIONS_INIT;
    struct ael_metastore *store = NULL;
    struct ael_error err = {0};
    sqlite_place_run(&place, sql);
    options.path = place.path;
    CU_ASSERT_EQUAL(ael_metastore_sqlite_new(&options, &store, &err), AEL_E_BACKEND);
    CU_ASSERT_PTR_NULL(store);
    if (strstr(err.detail, piece) == NULL) {
        printf("\n    %s: not in: %s\n", piece, err.detail);
        CU_FAIL("another sentence");
    }
    sqlite_place_remove(&place);
}

#define TABLE(id, rest) "CREATE TABLE encryption_key (id " id ", created TIMESTAMP, key_record TEXT" rest ")"
#define KEY             ", PRIMARY KEY (id, created)"

static void test_sqlite_table_check__refuses_what_takes_two_ids_for_one(void) {
    expect_refused(
        TABLE("TEXT COLLATE NOCASE", KEY), "TEXT COLLATE NOCASE, which takes different ids for one");
    expect_refused(TABLE("TEXT COLLATE RTRIM", KEY), "COLLATE RTRIM");
    expect_refused(TABLE("INTEGER", KEY), "INTEGER COLLATE BINARY");
    expect_refused(TABLE("NUMERIC", KEY), "make it TEXT, compared by bytes");
    expect_refused(TABLE("STRING", KEY), "make it TEXT"); /* a number to SQLite */
    expect_refused(TABLE("CHARINT", KEY), "make it TEXT");
}

static void test_sqlite_table__of_another_version_is_refused(void) {
    expect_refused(
        "CREATE TABLE encryption_key (id TEXT, key_record TEXT, PRIMARY KEY (id))", "must have id, created");
    expect_refused(
        "CREATE TABLE encryption_key (key_id TEXT, created TEXT, key_record TEXT)", "must have id, created");
    expect_refused(TABLE("TEXT", ""), "and the key (id, created)");
    expect_refused(TABLE("TEXT PRIMARY KEY", ""), "and the key (id, created)");
    expect_refused(
        TABLE("TEXT", "") "; CREATE UNIQUE INDEX i ON encryption_key (id, created) WHERE key_record <> ''",
        "and the key (id, created)");
    expect_refused(
        TABLE("TEXT", "") "; CREATE UNIQUE INDEX i ON encryption_key (id COLLATE NOCASE, created)",
        "the key");
}

static void test_sqlite_table__of_another_shape_is_taken_when_no_key_can_be_lost(void) {
    static const char *const k_tables[] = {
        TABLE("VARCHAR(255) NOT NULL", KEY),
        TABLE("", KEY),
        TABLE("BLOB", KEY),
        TABLE("TEXT", ", note TEXT, made_by TEXT NOT NULL DEFAULT 'me'" KEY),
        TABLE("TEXT NOT NULL", KEY) " WITHOUT ROWID",
        TABLE("TEXT", "") "; CREATE UNIQUE INDEX i ON encryption_key (id, created)",
    };
    for (size_t i = 0; i < sizeof k_tables / sizeof k_tables[0]; i++) {
        struct sqlite_place place = sqlite_place_new();
        sqlite_place_run(&place, k_tables[i]);
        CU_ASSERT_EQUAL(chmod(place.path, 0600), 0);
        struct ael_metastore *store = sqlite_place_open(&place);
        expect_stored(store, "1", CREATED);
        expect_stored(store, "01", CREATED);
        expect_stored(store, "a", CREATED);
        expect_stored(store, "A ", CREATED);
        ael_metastore_release(store);
        sqlite_place_remove(&place);
    }
}

/* A column or a constraint that this library knows nothing of: nothing is stored, and no other key goes for it. */
static void expect_not_stored(const char *sql, const char *first, int64_t first_created_s) {
    struct sqlite_place place = sqlite_place_new();
    struct ael_error err = {0};
    bool stored = true;
    sqlite_place_run(&place, sql);
    struct ael_metastore *store = sqlite_place_open(&place);
    if (first != NULL) {
        expect_stored(store, first, first_created_s);
    }
    CU_ASSERT_EQUAL(store_key(store, "id", CREATED, &stored, &err), AEL_E_BACKEND);
    CU_ASSERT_FALSE(stored);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, "conditions beyond the key (id, created); remove them"));
    CU_ASSERT_EQUAL(load_key(store, "id", CREATED), AEL_E_KEY_NOT_FOUND);
    CU_ASSERT(first == NULL || load_key(store, first, first_created_s) == AEL_OK);
    ael_metastore_release(store);
    sqlite_place_remove(&place);
}

static void test_sqlite_table__with_further_conditions_loses_no_key(void) {
    expect_not_stored(TABLE("TEXT", ", note TEXT NOT NULL" KEY), NULL, 0);
    expect_not_stored(TABLE("TEXT", ", CHECK (length(id) > 2)" KEY), "longer", CREATED);
    expect_not_stored(TABLE("TEXT", ", UNIQUE (id) ON CONFLICT REPLACE" KEY), "id", CREATED - 60);
    expect_not_stored(TABLE("TEXT", ", UNIQUE (id) ON CONFLICT IGNORE" KEY), "id", CREATED - 60);
}

/* ---- rows ---- */

#define ROW(id, created, record) "INSERT INTO encryption_key VALUES ('" id "', '" created "', " record ");"
#define RECORD(created)          "'{\"Created\":" created ",\"Key\":\"a2V5\"}'"

static void test_sqlite_rows__from_before_1970_are_no_keys(void) {
    struct sqlite_place place = sqlite_place_new();
    struct ael_metastore *store = sqlite_place_open(&place);
    int64_t created_s = 0;
    sqlite_place_run(
        &place,
        ROW("old", "1969-12-31 23:59:00", RECORD("-60")) ROW("older", "-4713-11-24 12:00:00", RECORD("1")));
    CU_ASSERT_EQUAL(latest_key(store, "old", &created_s), AEL_E_BACKEND_DATA);
    CU_ASSERT_EQUAL(latest_key(store, "older", &created_s), AEL_E_BACKEND_DATA);
    CU_ASSERT_NOT_EQUAL(load_key(store, "old", -60), AEL_OK);
    expect_stored(store, "old", CREATED); /* a key of our time goes before it */
    CU_ASSERT_EQUAL(latest_key(store, "old", &created_s), AEL_OK);
    CU_ASSERT_EQUAL(created_s, CREATED);
    ael_metastore_release(store);
    sqlite_place_remove(&place);
}

static void test_sqlite_rows__from_the_future_are_read(void) {
    struct sqlite_place place = sqlite_place_new();
    struct ael_metastore *store = sqlite_place_open(&place);
    int64_t created_s = 0;
    sqlite_place_run(&place, ROW("id", "9999-12-31 23:59:00", RECORD("253402300740")));
    expect_stored(store, "id", CREATED);
    CU_ASSERT_EQUAL(latest_key(store, "id", &created_s), AEL_OK);
    CU_ASSERT_EQUAL(created_s, INT64_C(253402300740));
    CU_ASSERT_EQUAL(load_key(store, "id", INT64_C(253402300740)), AEL_OK);
    ael_metastore_release(store);
    sqlite_place_remove(&place);
}

static void test_sqlite_rows__of_a_mebibyte_are_no_keys(void) {
    static uint8_t key[1 << 20];
    struct sqlite_place place = sqlite_place_new();
    struct ael_metastore *store = sqlite_place_open(&place);
    const struct ael_key_record record = {.created_s = CREATED, .key = {key, sizeof key}};
    struct ael_error err = {0};
    int64_t created_s = 0;
    bool stored = true;
    sqlite_place_run(
        &place, ROW("id", "2026-11-21 10:02:00",
                    "'{\"Created\":1795255320,\"Key\":\"' || hex(zeroblob(524288)) || '\"}'"));
    CU_ASSERT_EQUAL(load_key(store, "id", CREATED), AEL_E_BACKEND_DATA);
    CU_ASSERT_EQUAL(latest_key(store, "id", &created_s), AEL_E_BACKEND_DATA);
    CU_ASSERT_EQUAL(ael_metastore_store(store, NULL, text("mine"), &record, &stored, &err), AEL_E_TOO_LARGE);
    CU_ASSERT_FALSE(stored);
    sqlite_place_expect(&place, "SELECT count(*) FROM encryption_key", "1");
    ael_metastore_release(store);
    sqlite_place_remove(&place);
}

/* What a VARCHAR(255) elsewhere would cut off; SQLite keeps it. */
static void test_sqlite_ids__of_255_and_256_characters_are_kept_apart(void) {
    struct sqlite_place place = sqlite_place_new();
    char id[257 * 4];
    sqlite_place_run(&place, TABLE("VARCHAR(255)", KEY));
    struct ael_metastore *store = sqlite_place_open(&place);
    for (int wide = 0; wide < 2; wide++) {
        size_t width = wide ? 4 : 1;
        for (size_t i = 0; i < 256; i++) {
            memcpy(id + i * width, wide ? "\xf0\x9f\x9a\x80" : "i", width);
        }
        id[256 * width] = '\0';
        expect_stored(store, id, CREATED);
        id[255 * width] = '\0';
        CU_ASSERT_EQUAL(load_key(store, id, CREATED), AEL_E_KEY_NOT_FOUND);
        expect_stored(store, id, CREATED);
    }
    sqlite_place_expect(&place, "SELECT count(*) FROM encryption_key", "4");
    ael_metastore_release(store);
    sqlite_place_remove(&place);
}

static const struct test_case k_cases[] = {
    {"the installed schema is the one that is made", test_sqlite_schema_file__is_what_ensure_makes},
    {"a table that takes two ids for one", test_sqlite_table_check__refuses_what_takes_two_ids_for_one},
    {"a table of another version", test_sqlite_table__of_another_version_is_refused},
    {"a table of another shape", test_sqlite_table__of_another_shape_is_taken_when_no_key_can_be_lost},
    {"a table with further conditions", test_sqlite_table__with_further_conditions_loses_no_key},
    {"rows from before 1970", test_sqlite_rows__from_before_1970_are_no_keys},
    {"rows from the future", test_sqlite_rows__from_the_future_are_read},
    {"rows of 1 MiB", test_sqlite_rows__of_a_mebibyte_are_no_keys},
    {"ids of 255 and 256 characters", test_sqlite_ids__of_255_and_256_characters_are_kept_apart},
};

TEST_SUITE_MAIN("metastore_sqlite_table", k_cases)
