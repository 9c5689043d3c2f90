/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/sqlite_place.h"

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct sqlite_place sqlite_place_new(void) {
    struct sqlite_place place = {.folder = "/tmp/ael-sqlite-XXXXXX"};
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(place.folder));
    (void)snprintf(place.path, sizeof place.path, "%s/keys.db", place.folder);
    return place;
}

void sqlite_place_remove(const struct sqlite_place *place) {
    static const char *const k_ends[] = {"", "-wal", "-shm", "-moved"};
    char path[128];
    for (size_t i = 0; i < sizeof k_ends / sizeof k_ends[0]; i++) {
        (void)snprintf(path, sizeof path, "%s%s", place->path, k_ends[i]);
        (void)unlink(path);
    }
    CU_ASSERT_EQUAL(rmdir(place->folder), 0);
}

struct ael_metastore *sqlite_place_open_patient(const struct sqlite_place *place, uint32_t busy_timeout_ms) {
    struct ael_metastore *store = NULL;
    struct ael_error err = {0};
    struct ael_metastore_sqlite_options options = AEL_METASTORE_SQLITE_OPTIONS_INIT;
    options.path = place->path;
    options.busy_timeout_ms = busy_timeout_ms;
    enum ael_status status = ael_metastore_sqlite_new(&options, &store, &err);
    if (status != AEL_OK) {
        printf("\n    %s: %s\n", ael_status_name(status), err.detail);
    }
    CU_ASSERT_EQUAL_FATAL(status, AEL_OK);
    return store;
}

struct ael_metastore *sqlite_place_open(const struct sqlite_place *place) {
    const struct ael_metastore_sqlite_options options = AEL_METASTORE_SQLITE_OPTIONS_INIT;
    return sqlite_place_open_patient(place, options.busy_timeout_ms);
}

static sqlite3 *open_raw(const struct sqlite_place *place) {
    sqlite3 *db = NULL;
    CU_ASSERT_EQUAL_FATAL(sqlite3_open(place->path, &db), SQLITE_OK);
    return db;
}

void sqlite_place_run(const struct sqlite_place *place, const char *sql) {
    sqlite3 *db = open_raw(place);
    char *problem = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &problem) != SQLITE_OK) {
        printf("\n    %s: %s\n", sql, problem);
        CU_FAIL("SQL failed");
    }
    sqlite3_free(problem);
    CU_ASSERT_EQUAL(sqlite3_close(db), SQLITE_OK);
}

void sqlite_place_expect(const struct sqlite_place *place, const char *sql, const char *wanted) {
    sqlite3 *db = open_raw(place);
    sqlite3_stmt *statement = NULL;
    CU_ASSERT_EQUAL(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    CU_ASSERT_EQUAL(sqlite3_step(statement), SQLITE_ROW);
    const unsigned char *text = sqlite3_column_text(statement, 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    CU_ASSERT_STRING_EQUAL((const char *)text, wanted);
    CU_ASSERT_EQUAL(sqlite3_finalize(statement), SQLITE_OK);
    CU_ASSERT_EQUAL(sqlite3_close(db), SQLITE_OK);
}
