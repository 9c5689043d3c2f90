/*
 * metastore/sqlite/table.h - the table encryption_key: made, or judged when somebody else made it.
 *
 * It knows SQLite's handle alone; whose connection that is makes a status of its result (conn.h).
 * Layer: metastore (libael-sqlite). Threads: one at a time per connection.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_METASTORE_SQLITE_TABLE_H
#define AEL_METASTORE_SQLITE_TABLE_H

#include <ael/status.h>

#include <sqlite3.h>

/** Makes the table when it is missing. @return SQLite's result. */
int ael_sqlite_table_ensure(sqlite3 *db);

/**
 * Refuses a table in which two ids could be taken for one: whose column id is compared otherwise than by its
 * bytes (NOCASE, RTRIM), or made a number of. Missing columns and a missing key are found when the statements
 * are prepared.
 *
 * @param verdict  AEL_OK or AEL_E_BACKEND, which err tells the reason of; untouched when SQLite failed.
 * @return SQLite's result.
 */
int ael_sqlite_table_check(sqlite3 *db, enum ael_status *verdict, struct ael_error *err);

#endif /* AEL_METASTORE_SQLITE_TABLE_H */
