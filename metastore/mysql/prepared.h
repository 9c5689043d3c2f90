/*
 * metastore/mysql/prepared.h - the two reading statements and the one that stores, kept prepared by the
 * server: it parses them once a connection, and values travel beside them.
 *
 * They are a faster way to the same rows, never the only one. Where a connection cannot have them (a server
 * or a user at its limit of statements, a proxy that keeps none or hands them to another server), where the
 * column id has other characters than the parameters (what a server compares then is its own affair) and
 * where a record (of a store: with its id) is longer than AEL_MY_KEPT_RECORD_BYTES, the answer is
 * AEL_E_UNSUPPORTED, and the caller sends the statement's text.
 *
 * The server forgets them with the connection, at the latest. A child of fork leaves them with its parent's
 * connection.
 * Layer: metastore (libael-mysql). Threads: one at a time per connection.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_METASTORE_MYSQL_PREPARED_H
#define AEL_METASTORE_MYSQL_PREPARED_H

#include "metastore/mysql/conn.h"

/*
 * Columns of reading statements that are sent as text: of a record that is too long just enough to be
 * refused. Of one that is kept, both columns come as they are, which takes the server less; a record that is
 * longer than the place for it is let go, and read as text. It may be as long as the server's
 * max_allowed_packet lets it: after one that is longer than any key, all of the store's are read as text.
 */
#define AEL_MY_RECORD   "LEFT(CONVERT(key_record USING utf8mb4), 65537)"
#define AEL_MY_DATE     "TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', created)"
#define AEL_MY_ID_BYTES "CAST(CONVERT(id USING utf8mb4) AS BINARY)"

/* What one reads, until it is run again or the connection closed. */
struct ael_my_prepared_row {
    bool is_there;
    struct ael_bytes record;   /* data = NULL: it is NULL */
    const MYSQL_TIME *created; /* of the latest, as the column has it; NULL: it is NULL */
};

/**
 * Runs one, on a table that was found.
 *
 * @param created_s  of the row; ignored by AEL_MY_LATEST.
 * @param row        receives what was read.
 * @return AEL_OK; AEL_E_UNSUPPORTED (send its text; err is as it was); or as ael_my_run.
 */
AEL_MUST_CHECK enum ael_status ael_my_prepared_read(
    struct ael_my_conn *conn,
    enum ael_my_statement which,
    struct ael_bytes id,
    int64_t created_s,
    struct ael_my_prepared_row *row,
    struct ael_error *err);

/**
 * Runs the one that stores, on a table that was found and can hold the row. It is short enough to be sent
 * without waiting.
 *
 * @param stored  receives whether the row was added; it was not where a row is in its way (AEL_E_BACKEND,
 *                ER_DUP_ENTRY).
 * @return AEL_OK; AEL_E_UNSUPPORTED (send its text; nothing was done, and err is as it was); or as ael_my_run.
 */
AEL_MUST_CHECK enum ael_status ael_my_prepared_store(
    struct ael_my_conn *conn,
    struct ael_bytes id,
    int64_t created_s,
    struct ael_bytes json,
    bool *stored,
    struct ael_error *err);

/** Tells whether a date is that of a second, from 1970 to 9999: zero dates and fractions are none. */
bool ael_my_date_is(const MYSQL_TIME *date, int64_t created_s);

#endif /* AEL_METASTORE_MYSQL_PREPARED_H */
