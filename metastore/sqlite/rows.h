/*
 * metastore/sqlite/rows.h - rows of encryption_key on one connection.
 *
 * A row is a key record when id and created are text, created is the instant of the record's Created as
 * 'YYYY-MM-DD HH:MM:SS' in UTC, and key_record is text that ael_key_record_from_json reads. Whatever else
 * stands there is AEL_E_BACKEND_DATA when it is asked for, and left out of listings; but a row that is asked
 * for by its date is found by the column, whatever date its JSON has.
 * Layer: metastore (libael-sqlite). Threads: one at a time per connection.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_METASTORE_SQLITE_ROWS_H
#define AEL_METASTORE_SQLITE_ROWS_H

#include "metastore/sqlite/conn.h"

#include <ael/sys/metastore_backend.h>

/* Statuses and outputs as those of the members of struct ael_metastore_vtable. */
AEL_MUST_CHECK enum ael_status ael_sqlite_row_load(
    struct ael_sqlite_conn *conn,
    struct ael_bytes id,
    int64_t created_s,
    struct ael_key_record_buf *out,
    struct ael_error *err);
AEL_MUST_CHECK enum ael_status ael_sqlite_row_load_latest(
    struct ael_sqlite_conn *conn, struct ael_bytes id, struct ael_key_record_buf *out, struct ael_error *err);
AEL_MUST_CHECK enum ael_status ael_sqlite_row_store(
    struct ael_sqlite_conn *conn,
    struct ael_bytes id,
    const struct ael_key_record *record,
    bool *stored,
    struct ael_error *err);
AEL_MUST_CHECK enum ael_status ael_sqlite_row_replace(
    struct ael_sqlite_conn *conn,
    struct ael_bytes id,
    const struct ael_key_record *expected,
    const struct ael_key_record *desired,
    bool *replaced,
    struct ael_error *err);
AEL_MUST_CHECK enum ael_status ael_sqlite_rows_list(
    struct ael_sqlite_conn *conn,
    struct ael_bytes prefix,
    ael_metastore_visit_fn visit,
    void *context,
    struct ael_error *err);

#endif /* AEL_METASTORE_SQLITE_ROWS_H */
