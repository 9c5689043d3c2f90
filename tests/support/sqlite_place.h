/*
 * tests/support/sqlite_place.h - a temporary folder with a file of the SQLite store, and SQL on it from outside.
 * Layer: tests; public headers of SQLite only.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_SQLITE_PLACE_H
#define TESTS_SUPPORT_SQLITE_PLACE_H

#include <ael/metastore_sqlite.h>

#include <sqlite3.h>
#include <stdbool.h>

struct sqlite_place {
    char folder[64];
    char path[96]; /* of the file, which is not made */
};

struct sqlite_place sqlite_place_new(void);

/** Removes the file, those of SQLite beside it, "<path>-moved", and the folder, in which nothing else may be left. */
void sqlite_place_remove(const struct sqlite_place *place);

/** Opens a store on it with the default options, or with a time-out for locks. The case ends when that fails. */
struct ael_metastore *sqlite_place_open(const struct sqlite_place *place);
struct ael_metastore *sqlite_place_open_patient(const struct sqlite_place *place, uint32_t busy_timeout_ms);

/** Runs SQL, which must work. */
void sqlite_place_run(const struct sqlite_place *place, const char *sql);

/** Expects that SQL gives this text first. */
void sqlite_place_expect(const struct sqlite_place *place, const char *sql, const char *wanted);

#endif /* TESTS_SUPPORT_SQLITE_PLACE_H */
