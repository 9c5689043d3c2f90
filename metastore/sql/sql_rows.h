/*
 * metastore/sql/sql_rows.h - rows of encryption_key, whatever the database: their records, listings of them,
 * ids that fit, and what is known of a write that failed.
 *
 * component names the backend in errors. Written against public headers only.
 * Layer: metastore (components). Threads: one at a time per connection.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_METASTORE_SQL_SQL_ROWS_H
#define AEL_METASTORE_SQL_SQL_ROWS_H

#include "metastore/sql/sql_pool.h"

#include <ael/sys/metastore_backend.h>

/** Tells why a row is no key record. Returns AEL_E_BACKEND_DATA. */
AEL_MUST_CHECK enum ael_status
ael_sql_not_a_key(const char *why, const char *component, struct ael_error *err);

/**
 * Reads the record that a row has as JSON.
 *
 * @param out  receives it, on AEL_OK alone.
 * @return AEL_OK; AEL_E_BACKEND_DATA; AEL_E_NO_MEMORY.
 */
AEL_MUST_CHECK enum ael_status ael_sql_record_read(
    struct ael_bytes json, struct ael_key_record_buf *out, const char *component, struct ael_error *err);

/**
 * Checks that a column holds an id, which is UTF-8.
 *
 * @param max_chars  0 = any number. @param remedy  what to make of the column.
 * @return AEL_OK; AEL_E_TOO_LARGE.
 */
AEL_MUST_CHECK enum ael_status ael_sql_id_check(
    struct ael_bytes id, int max_chars, const char *remedy, const char *component, struct ael_error *err);

/**
 * Ends a statement that writes, failed with status and is described by err: where it was sent and is not
 * known to have been undone its outcome is unknown, and it is not done again.
 *
 * @return AEL_E_OUTCOME_UNKNOWN, or status.
 */
AEL_MUST_CHECK enum ael_status ael_sql_write_failed(
    struct ael_sql_conn *conn, enum ael_status status, const char *component, struct ael_error *err);

/* A listing under way. */
struct ael_sql_listing {
    struct ael_sql_conn *conn;
    ael_metastore_visit_fn visit;
    void *context;
    enum ael_status status; /* why it is over; AEL_OK = it is not, or all was listed */
    struct ael_error *err;
};

/** Tells whether a row is to be read at all, or the call is over. */
bool ael_sql_listing_goes_on(struct ael_sql_listing *listing);

/**
 * Hands one row on, unless it is no key record, which is passed over.
 *
 * @param status  of reading it. @param record  as it was read; is cleared.
 * @return whether more are wanted. After a fork inside visit nothing is left to go on with.
 */
bool ael_sql_listing_hand_on(
    struct ael_sql_listing *listing,
    enum ael_status status,
    struct ael_bytes id,
    struct ael_key_record_buf *record);

#endif /* AEL_METASTORE_SQL_SQL_ROWS_H */
