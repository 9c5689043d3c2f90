/* SPDX-License-Identifier: Apache-2.0 */
#include "metastore/mysql/rows.h"

#include "base/civil_time.h"
#include "metastore/mysql/prepared.h"
#include "metastore/mysql/table.h"
#include "metastore/sql/sql_rows.h"

#include <ael/record.h>

#include <inttypes.h>
#include <mysqld_error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The last second of a TIMESTAMP, whose first one is 1. */
static const int64_t k_timestamp_max_s = 2147483647;

enum { DATE_BYTES = 48, PIECE_BYTES = 64 };

enum { COLUMN_RECORD, COLUMN_MICROSECONDS, COLUMN_ID };

enum { US_A_SECOND = 1000000 };

/* ---- SQL ---- */

/*
 * Texts stand in statements as hexadecimal digits: nothing in an id has a meaning in SQL, whatever the
 * session's modes and characters. A literal of utf8mb4 is compared in the column's own characters, so that
 * its index serves.
 *
 *   %I the comparison with id: by the column's collation, for its index, and by bytes if that is not enough
 *   %i id as text   %b id as bytes   %n its length   %c created   %j json as text   %p present as bytes
 */
struct values {
    struct ael_bytes id;
    int64_t created_s;
    struct ael_bytes json;
    struct ael_bytes present;
};

static enum ael_status add_text(struct ael_buf *sql, const char *text) {
    return ael_buf_append(sql, ael_bytes_from_text(text));
}

static enum ael_status add_digits(struct ael_buf *sql, struct ael_bytes bytes) {
    static const char k_digits[] = "0123456789abcdef";
    enum ael_status status = add_text(sql, "X'");
    for (size_t at = 0; at < bytes.len && status == AEL_OK; at += PIECE_BYTES) {
        uint8_t piece[2 * PIECE_BYTES];
        size_t len = bytes.len - at < PIECE_BYTES ? bytes.len - at : PIECE_BYTES;
        for (size_t i = 0; i < len; i++) {
            piece[2 * i] = (uint8_t)k_digits[bytes.data[at + i] >> 4];
            piece[2 * i + 1] = (uint8_t)k_digits[bytes.data[at + i] & 15];
        }
        status = ael_buf_append(sql, (struct ael_bytes){piece, 2 * len});
    }
    return status == AEL_OK ? add_text(sql, "'") : status;
}

static enum ael_status add_literal(struct ael_buf *sql, struct ael_bytes text) {
    enum ael_status status = add_text(sql, "_utf8mb4 ");
    return status == AEL_OK ? add_digits(sql, text) : status;
}

/* 0 .. AEL_MY_CREATED_MAX_S */
static enum ael_status add_date(struct ael_buf *sql, int64_t created_s) {
    char text[DATE_BYTES] = "";
    const struct ael_civil_time date = ael_civil_time_of(created_s);
    (void)snprintf(
        text, sizeof text, "'%04u-%02u-%02u %02u:%02u:%02u'", date.year, date.month, date.day, date.hour,
        date.minute, date.second);
    return add_text(sql, text);
}

static enum ael_status
add_comparison(struct ael_buf *sql, const struct ael_my_table *table, struct ael_bytes id) {
    enum ael_status status = add_text(sql, "id = ");
    if (status == AEL_OK) {
        status = add_literal(sql, id);
    }
    if (status == AEL_OK && !table->compares_bytes) {
        status = add_text(sql, " AND " AEL_MY_ID_BYTES " = ");
        status = status == AEL_OK ? add_digits(sql, id) : status;
    }
    return status;
}

static enum ael_status
add_value(struct ael_buf *sql, const struct ael_my_table *table, char which, const struct values *values) {
    char number[24];
    switch (which) {
    case 'I':
        return add_comparison(sql, table, values->id);
    case 'i':
        return add_literal(sql, values->id);
    case 'b':
        return add_digits(sql, values->id);
    case 'n':
        (void)snprintf(number, sizeof number, "%zu", values->id.len);
        return add_text(sql, number);
    case 'c':
        return add_date(sql, values->created_s);
    case 'j':
        return add_literal(sql, values->json);
    default: /* 'p' */
        return add_digits(sql, values->present);
    }
}

/* Fills the format's %-letters in; see add_value. */
static enum ael_status write_sql(
    struct ael_buf *sql,
    const struct ael_my_table *table,
    const char *format,
    const struct values *values,
    struct ael_error *err) {
    enum ael_status status = AEL_OK;
    while (*format != '\0' && status == AEL_OK) {
        size_t len = strcspn(format, "%");
        status = ael_buf_append(sql, (struct ael_bytes){(const uint8_t *)format, len});
        format += len;
        if (*format == '%' && status == AEL_OK) {
            status = add_value(sql, table, format[1], values);
            format += 2;
        }
    }
    return status == AEL_OK ? AEL_OK
                            : ael_error_set(err, status, 0, AEL_MY_COMPONENT, "no memory for a statement");
}

/* Runs a statement on the table, which is looked at anew when it was dropped meanwhile. */
static enum ael_status
run(struct ael_my_conn *conn,
    const char *format,
    const struct values *values,
    MYSQL_RES **rows,
    struct ael_error *err) {
    struct ael_buf sql = AEL_BUF_INIT;
    *rows = NULL;
    enum ael_status status = ael_my_table_find(conn, err);
    if (status == AEL_OK) {
        status = write_sql(&sql, &conn->table, format, values, err);
    }
    if (status == AEL_OK) {
        status = ael_my_run(conn, ael_buf_view(&sql), rows, err);
        conn->table.is_known = status == AEL_OK || ael_my_error_number(conn) != ER_NO_SUCH_TABLE;
    }
    ael_buf_clear(&sql);
    return status;
}

/* ---- reading ---- */

static enum ael_status no_such_row(struct ael_error *err) {
    return ael_error_set(err, AEL_E_KEY_NOT_FOUND, 0, AEL_MY_COMPONENT, "no such row");
}

/* As texts: of a statement that is sent as one. */
static bool is_date(const MYSQL_ROW row, int64_t created_s) {
    return row[COLUMN_MICROSECONDS] != NULL && created_s >= 0 && created_s <= AEL_MY_CREATED_MAX_S &&
           strtoll(row[COLUMN_MICROSECONDS], NULL, 10) == created_s * US_A_SECOND;
}

static struct ael_bytes record_in(const MYSQL_ROW row, const unsigned long *lengths) {
    return (struct ael_bytes){(const uint8_t *)row[COLUMN_RECORD], lengths[COLUMN_RECORD]};
}

static enum ael_status
read_record(struct ael_bytes json, struct ael_key_record_buf *out, struct ael_error *err) {
    return json.data == NULL ? ael_sql_not_a_key("key_record is NULL", AEL_MY_COMPONENT, err)
                             : ael_sql_record_read(json, out, AEL_MY_COMPONENT, err);
}

static enum ael_status wrong_date(struct ael_key_record_buf *out, struct ael_error *err) {
    ael_key_record_buf_clear(out);
    return ael_sql_not_a_key(
        "the column created is not Created in key_record; are all writers' sessions in UTC?",
        AEL_MY_COMPONENT, err);
}

/*
 * Reads a row. One that was asked for by its column created (asked_s, else NULL) is of that date, whatever
 * its JSON says: records name it so. As the latest of its id it is refused when the two differ, for by which
 * of them would others look for what is encrypted under it?
 */
static enum ael_status read_row(
    const MYSQL_ROW row,
    const unsigned long *lengths,
    const int64_t *asked_s,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    enum ael_status status = read_record(record_in(row, lengths), out, err);
    if (status != AEL_OK) {
        return status;
    }
    if (asked_s == NULL) {
        return is_date(row, out->record.created_s) ? AEL_OK : wrong_date(out, err);
    }
    out->record.created_s = *asked_s;
    return AEL_OK;
}

/* The same with one of a statement that is kept. */
static enum ael_status read_prepared_row(
    const struct ael_my_prepared_row *row,
    const int64_t *asked_s,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    enum ael_status status = read_record(row->record, out, err);
    if (status != AEL_OK) {
        return status;
    }
    if (asked_s == NULL) {
        bool is_its = row->created != NULL && ael_my_date_is(row->created, out->record.created_s);
        return is_its ? AEL_OK : wrong_date(out, err);
    }
    out->record.created_s = *asked_s;
    return AEL_OK;
}

/* Runs a reading statement that gives one row at most; the rows are kept for who wants them. */
static enum ael_status read_one(
    struct ael_my_conn *conn,
    const char *format,
    const struct values *values,
    const int64_t *asked_s,
    struct ael_key_record_buf *out,
    MYSQL_RES **rows,
    struct ael_error *err) {
    enum ael_status status = run(conn, format, values, rows, err);
    if (status == AEL_E_BACKEND && ael_my_error_number(conn) == ER_CANT_AGGREGATE_2COLLATIONS) {
        return no_such_row(err); /* the id has characters that the column cannot hold */
    }
    if (status != AEL_OK) {
        return status;
    }
    MYSQL_ROW row = *rows == NULL ? NULL : mysql_fetch_row(*rows);
    return row == NULL ? no_such_row(err) : read_row(row, mysql_fetch_lengths(*rows), asked_s, out, err);
}

/* What a column cannot hold is not in it. */
static bool is_storable(const struct ael_my_table *table, int64_t created_s) {
    return table->is_timestamp ? created_s >= 1 && created_s <= k_timestamp_max_s
                               : created_s >= 0 && created_s <= AEL_MY_CREATED_MAX_S;
}

static enum ael_status load_row(
    struct ael_my_conn *conn,
    struct ael_bytes id,
    int64_t created_s,
    struct ael_key_record_buf *out,
    MYSQL_RES **rows,
    struct ael_error *err) {
    const struct values values = {.id = id, .created_s = created_s};
    return read_one(
        conn, "SELECT " AEL_MY_RECORD " FROM encryption_key WHERE %I AND created = %c", &values, &created_s,
        out, rows, err);
}

/* Finds the table; AEL_E_KEY_NOT_FOUND where it cannot hold a key of that date. */
static enum ael_status find_table_for(struct ael_my_conn *conn, int64_t created_s, struct ael_error *err) {
    enum ael_status status = ael_my_table_find(conn, err);
    return status != AEL_OK || is_storable(&conn->table, created_s) ? status : no_such_row(err);
}

/* The same row by the statement that the server keeps. AEL_E_UNSUPPORTED: only text will do. */
static enum ael_status read_prepared(
    struct ael_my_conn *conn,
    enum ael_my_statement which,
    struct ael_bytes id,
    const int64_t *asked_s,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    struct ael_my_prepared_row row;
    enum ael_status status =
        ael_my_prepared_read(conn, which, id, asked_s == NULL ? 0 : *asked_s, &row, err);
    conn->table.is_known = ael_my_error_number(conn) != ER_NO_SUCH_TABLE;
    if (status != AEL_OK) {
        return status;
    }
    return row.is_there ? read_prepared_row(&row, asked_s, out, err) : no_such_row(err);
}

/* see metastore/mysql/rows.h */
enum ael_status ael_my_row_load(
    struct ael_my_conn *conn,
    struct ael_bytes id,
    int64_t created_s,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    enum ael_status status = find_table_for(conn, created_s, err);
    if (status == AEL_OK) {
        status = read_prepared(conn, AEL_MY_LOAD, id, &created_s, out, err);
    }
    if (status != AEL_E_UNSUPPORTED) {
        return status;
    }
    MYSQL_RES *rows = NULL;
    status = load_row(conn, id, created_s, out, &rows, err);
    mysql_free_result(rows);
    return status;
}

/* see metastore/mysql/rows.h */
enum ael_status ael_my_row_load_latest(
    struct ael_my_conn *conn, struct ael_bytes id, struct ael_key_record_buf *out, struct ael_error *err) {
    enum ael_status status = ael_my_table_find(conn, err);
    if (status == AEL_OK) {
        status = read_prepared(conn, AEL_MY_LATEST, id, NULL, out, err);
    }
    if (status != AEL_E_UNSUPPORTED) {
        return status;
    }
    const struct values values = {.id = id};
    MYSQL_RES *rows = NULL;
    status = read_one(
        conn,
        "SELECT " AEL_MY_RECORD ", " AEL_MY_DATE
        " FROM encryption_key WHERE %I ORDER BY created DESC LIMIT 1",
        &values, NULL, out, &rows, err);
    mysql_free_result(rows);
    return status;
}

/* see metastore/mysql/rows.h */
enum ael_status ael_my_rows_check(struct ael_my_conn *conn, struct ael_error *err) {
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    enum ael_status status = ael_my_row_load_latest(conn, ael_bytes_from_text("__ael_health__"), &out, err);
    ael_key_record_buf_clear(&out);
    if (status != AEL_E_KEY_NOT_FOUND) {
        return status;
    }
    MYSQL_RES *rows = NULL;
    status = ael_my_run(conn, ael_bytes_from_text("SELECT @@global.read_only"), &rows, err);
    MYSQL_ROW row = rows == NULL ? NULL : mysql_fetch_row(rows);
    if (row != NULL && (row[0] == NULL || strcmp(row[0], "0") != 0)) {
        status = ael_error_set(err, AEL_E_BACKEND, 0, AEL_MY_COMPONENT, "the database takes no writes");
    }
    mysql_free_result(rows);
    return status;
}

/* ---- listing ---- */

static bool list_row(void *context, const MYSQL_ROW row, const unsigned long *lengths) {
    struct ael_sql_listing *listing = context;
    struct ael_key_record_buf record = AEL_KEY_RECORD_BUF_INIT;
    struct ael_bytes id = {(const uint8_t *)row[COLUMN_ID], lengths[COLUMN_ID]};
    if (!ael_sql_listing_goes_on(listing)) {
        return false;
    }
    enum ael_status status = row[COLUMN_ID] == NULL
                                 ? ael_sql_not_a_key("id is no UTF-8", AEL_MY_COMPONENT, listing->err)
                                 : read_row(row, lengths, NULL, &record, listing->err);
    return ael_sql_listing_hand_on(listing, status, id, &record);
}

/* A listing lasts as long as what is done with its rows: MariaDB's limits, ours of other statements too, are
 * the call's. */
static enum ael_status add_limits(struct ael_buf *sql, const struct ael_call *call) {
    char text[128];
    uint32_t seconds = ael_call_remaining_ms(call) / 1000 + 1;
    (void)snprintf(
        text, sizeof text,
        "/*M! SET STATEMENT max_statement_time = %" PRIu32 ", net_write_timeout = %" PRIu32 " FOR */ ",
        seconds, seconds);
    return add_text(sql, text);
}

/* see metastore/mysql/rows.h. By bytes, whatever the collation. */
enum ael_status ael_my_rows_list(
    struct ael_my_conn *conn,
    struct ael_bytes prefix,
    ael_metastore_visit_fn visit,
    void *context,
    struct ael_error *err) {
    static const char k_list[] =
        "SELECT " AEL_MY_RECORD ", " AEL_MY_DATE ", CONVERT(id USING utf8mb4) FROM encryption_key"
        " WHERE LEFT(" AEL_MY_ID_BYTES ", %n) = %b ORDER BY " AEL_MY_ID_BYTES ", created";
    const struct values values = {.id = prefix};
    struct ael_sql_listing listing = {&conn->base, visit, context, AEL_OK, err};
    struct ael_buf sql = AEL_BUF_INIT;
    enum ael_status status = ael_my_table_find(conn, err);
    if (status == AEL_OK && add_limits(&sql, conn->base.call) != AEL_OK) {
        status = ael_error_set(err, AEL_E_NO_MEMORY, 0, AEL_MY_COMPONENT, "no memory for a statement");
    }
    if (status == AEL_OK) {
        status = write_sql(&sql, &conn->table, k_list, &values, err);
    }
    if (status == AEL_OK) {
        status = ael_my_run_rows(conn, ael_buf_view(&sql), list_row, &listing, err);
    }
    ael_buf_clear(&sql);
    return status == AEL_OK ? listing.status : status;
}

/* ---- writing ---- */

static enum ael_status
check_created(const struct ael_my_table *table, int64_t created_s, struct ael_error *err) {
    if (is_storable(table, created_s)) {
        return AEL_OK;
    }
    return ael_error_set(
        err, AEL_E_ARGUMENT, 0, AEL_MY_COMPONENT, "created lies outside of what the column holds%s",
        table->is_timestamp ? ": a TIMESTAMP ends in January 2038; make it DATETIME" : "");
}

/* Runs a statement that writes; *written tells whether it changed a row. */
static enum ael_status write_row(
    struct ael_my_conn *conn,
    const char *format,
    const struct values *values,
    bool *written,
    struct ael_error *err) {
    MYSQL_RES *rows = NULL;
    conn->base.sent = false;
    enum ael_status status = run(conn, format, values, &rows, err);
    if (status == AEL_OK) {
        *written = ael_my_changed_rows(conn) == 1;
    } else {
        status = ael_sql_write_failed(&conn->base, status, AEL_MY_COMPONENT, err);
    }
    mysql_free_result(rows);
    return status;
}

/* A row is in the way. Is it the one with this id, or one that the key of the table takes for the same? */
static enum ael_status
lost_race(struct ael_my_conn *conn, const struct values *values, struct ael_error *err) {
    MYSQL_RES *rows = NULL;
    enum ael_status status =
        run(conn, "SELECT 1 FROM encryption_key WHERE %I AND created = %c", values, &rows, err);
    if (status == AEL_OK && (rows == NULL || mysql_num_rows(rows) == 0)) {
        status = ael_error_set(
            err, AEL_E_BACKEND, 0, AEL_MY_COMPONENT,
            "the table takes another id for this one: make the collation of the column id a binary one "
            "without "
            "padding, such as utf8mb4_nopad_bin (MariaDB) or utf8mb4_0900_bin (MySQL), and its key one over "
            "all of it");
    }
    mysql_free_result(rows);
    return status;
}

/* By the statement that the server keeps. AEL_E_UNSUPPORTED: only text will do. */
static enum ael_status
insert_prepared(struct ael_my_conn *conn, const struct values *values, bool *stored, struct ael_error *err) {
    enum ael_status status =
        ael_my_prepared_store(conn, values->id, values->created_s, values->json, stored, err);
    conn->table.is_known = ael_my_error_number(conn) != ER_NO_SUCH_TABLE;
    return status == AEL_OK || status == AEL_E_UNSUPPORTED
               ? status
               : ael_sql_write_failed(&conn->base, status, AEL_MY_COMPONENT, err);
}

/* Keys are seldom stored: the first of a connection is sent as text, which takes one answer and not two. */
static enum ael_status
insert_row(struct ael_my_conn *conn, const struct values *values, bool *stored, struct ael_error *err) {
    enum ael_status status =
        conn->has_stored ? insert_prepared(conn, values, stored, err) : AEL_E_UNSUPPORTED;
    if (status == AEL_E_UNSUPPORTED) {
        status = write_row(
            conn, "INSERT INTO encryption_key (id, created, key_record) VALUES (%i, %c, %j)", values, stored,
            err);
    }
    conn->has_stored = conn->has_stored || status == AEL_OK;
    if (status == AEL_E_BACKEND && ael_my_error_number(conn) == ER_DUP_ENTRY) {
        *stored = false;
        return lost_race(conn, values, err);
    }
    return status;
}

static enum ael_status
json_of(const struct ael_key_record *record, struct ael_buf *json, struct ael_error *err) {
    enum ael_status status = ael_key_record_to_json(record, json);
    return status == AEL_OK ? AEL_OK
                            : ael_error_set(err, status, 0, AEL_MY_COMPONENT, "the record has no JSON");
}

/* see metastore/mysql/rows.h */
enum ael_status ael_my_row_store(
    struct ael_my_conn *conn,
    struct ael_bytes id,
    const struct ael_key_record *record,
    bool *stored,
    struct ael_error *err) {
    struct ael_buf json = AEL_BUF_INIT;
    enum ael_status status = ael_my_table_find(conn, err);
    if (status == AEL_OK) {
        status = check_created(&conn->table, record->created_s, err);
    }
    if (status == AEL_OK) {
        status = ael_sql_id_check(id, conn->table.id_max_chars, "make it longer", AEL_MY_COMPONENT, err);
    }
    if (status == AEL_OK) {
        status = json_of(record, &json, err);
    }
    if (status == AEL_OK) {
        const struct values values = {.id = id, .created_s = record->created_s, .json = ael_buf_view(&json)};
        status = insert_row(conn, &values, stored, err);
    }
    ael_buf_clear(&json);
    return status;
}

/* Writes desired where the text is still the one that was read. created would follow the clock where its
 * column does. */
static enum ael_status update_row(
    struct ael_my_conn *conn,
    struct ael_bytes id,
    const struct ael_key_record *desired,
    struct ael_bytes present,
    bool *replaced,
    struct ael_error *err) {
    struct ael_buf json = AEL_BUF_INIT;
    enum ael_status status = json_of(desired, &json, err);
    if (status == AEL_OK) {
        const struct values values = {
            .id = id, .created_s = desired->created_s, .json = ael_buf_view(&json), .present = present};
        status = write_row(
            conn,
            "UPDATE encryption_key SET key_record = %j, created = created WHERE %I AND created = %c"
            " AND CAST(CONVERT(key_record USING utf8mb4) AS BINARY) = %p",
            &values, replaced, err);
    }
    ael_buf_clear(&json);
    return status;
}

/* see metastore/mysql/rows.h */
enum ael_status ael_my_row_replace(
    struct ael_my_conn *conn,
    struct ael_bytes id,
    const struct ael_key_record *expected,
    const struct ael_key_record *desired,
    bool *replaced,
    struct ael_error *err) {
    struct ael_key_record_buf present = AEL_KEY_RECORD_BUF_INIT;
    MYSQL_RES *rows = NULL;
    enum ael_status status = find_table_for(conn, expected->created_s, err);
    if (status == AEL_OK) {
        status = load_row(conn, id, expected->created_s, &present, &rows, err);
    }
    if (status == AEL_OK && ael_key_record_equal(&present.record, expected)) {
        mysql_data_seek(rows, 0);
        MYSQL_ROW row = mysql_fetch_row(rows);
        struct ael_bytes text = {
            (const uint8_t *)row[COLUMN_RECORD], mysql_fetch_lengths(rows)[COLUMN_RECORD]};
        status = update_row(conn, id, desired, text, replaced, err);
    }
    mysql_free_result(rows);
    ael_key_record_buf_clear(&present);
    return status;
}
