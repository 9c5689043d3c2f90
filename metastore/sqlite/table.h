/*
 * metastore/sqlite/table.h - the table encryption_key: made, or judged when somebody else made it.
 *
 * Written against public headers only.
 * Layer: metastore (libael-sqlite). Threads: one at a time per connection.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_METASTORE_SQLITE_TABLE_H
#define AEL_METASTORE_SQLITE_TABLE_H

#include "metastore/sqlite/conn.h"

/** Makes the table when it is missing. @return AEL_OK; or as ael_sqlite_failed. */
AEL_MUST_CHECK enum ael_status ael_sqlite_table_ensure(struct ael_sqlite_conn *conn, struct ael_error *err);

/**
 * Refuses a table in which two ids could be taken for one: whose column id is compared otherwise than by its
 * bytes (NOCASE, RTRIM), or made a number of. Missing columns and a missing key are found when the statements
 * are prepared.
 *
 * @return AEL_OK; AEL_E_BACKEND; or as ael_sqlite_failed.
 */
AEL_MUST_CHECK enum ael_status ael_sqlite_table_check(struct ael_sqlite_conn *conn, struct ael_error *err);

#endif /* AEL_METASTORE_SQLITE_TABLE_H */
