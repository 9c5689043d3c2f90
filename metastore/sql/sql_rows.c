/* SPDX-License-Identifier: Apache-2.0 */
#include "metastore/sql/sql_rows.h"

#include <ael/record.h>

#include <stdio.h>

/* see metastore/sql/sql_rows.h */
enum ael_status ael_sql_not_a_key(const char *why, const char *component, struct ael_error *err) {
    return ael_error_set(err, AEL_E_BACKEND_DATA, 0, component, "a row is not a key record: %s", why);
}

/* see metastore/sql/sql_rows.h */
enum ael_status ael_sql_record_read(
    struct ael_bytes json, struct ael_key_record_buf *out, const char *component, struct ael_error *err) {
    struct ael_error problem = {0};
    enum ael_status status = ael_key_record_from_json(json, out, &problem);
    if (status == AEL_E_NO_MEMORY) {
        return ael_error_set(err, status, 0, component, "no memory for a key record");
    }
    return status == AEL_OK ? AEL_OK : ael_sql_not_a_key(problem.detail, component, err);
}

/* see metastore/sql/sql_rows.h */
enum ael_status ael_sql_id_check(
    struct ael_bytes id, int max_chars, const char *remedy, const char *component, struct ael_error *err) {
    size_t chars = 0;
    for (size_t i = 0; i < id.len; i++) {
        chars += (id.data[i] & 0xc0) != 0x80; /* the first byte of each character */
    }
    if (max_chars != 0 && chars > (size_t)max_chars) {
        return ael_error_set(
            err, AEL_E_TOO_LARGE, 0, component, "the column id holds %d characters; %s", max_chars, remedy);
    }
    return AEL_OK;
}

/* see metastore/sql/sql_rows.h */
enum ael_status ael_sql_write_failed(
    struct ael_sql_conn *conn, enum ael_status status, const char *component, struct ael_error *err) {
    char why[sizeof(err->detail)] = "";
    if (!conn->sent) {
        return status;
    }
    conn->retry = false;
    if (err != NULL) {
        (void)snprintf(why, sizeof(why), "%s", err->detail);
    }
    return ael_error_set(err, AEL_E_OUTCOME_UNKNOWN, 0, component, "while storing: %s", why);
}

/* see metastore/sql/sql_rows.h */
bool ael_sql_listing_goes_on(struct ael_sql_listing *listing) {
    listing->status = ael_call_check(listing->conn->call);
    return listing->status == AEL_OK;
}

/* see metastore/sql/sql_rows.h */
bool ael_sql_listing_hand_on(
    struct ael_sql_listing *listing,
    enum ael_status status,
    struct ael_bytes id,
    struct ael_key_record_buf *record) {
    bool more = true;
    if (status == AEL_OK) {
        more = listing->visit(listing->context, id, record->record.created_s, &record->record);
    }
    listing->conn->look.is_new = false; /* the visitor took its time */
    ael_key_record_buf_clear(record);
    listing->status = status == AEL_E_BACKEND_DATA ? AEL_OK : status;
    if (ael_sql_conn_is_lost(listing->conn)) {
        listing->status = AEL_E_FORKED;
    }
    return more && listing->status == AEL_OK;
}
