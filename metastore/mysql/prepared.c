/* SPDX-License-Identifier: Apache-2.0 */
#include "metastore/mysql/prepared.h"

#include <ael/sys/alloc.h>

#include <time.h>

enum { COLUMN_RECORD, COLUMN_CREATED, COLUMNS = AEL_MY_KEPT_COLUMNS };

enum { PARAMETERS = 3 };

/* [1]: for a column id whose collation takes other ids for the same. The second parameter is the id's bytes
 * then. */
static const char *const k_sql[AEL_MY_STATEMENTS][2] = {
    [AEL_MY_LOAD] =
        {"SELECT " AEL_MY_RECORD " FROM encryption_key WHERE id = ? AND created = ?",
         "SELECT " AEL_MY_RECORD " FROM encryption_key WHERE id = ? AND " AEL_MY_ID_BYTES
         " = ? AND created = ?"},
    [AEL_MY_LATEST] =
        {"SELECT " AEL_MY_RECORD ", created FROM encryption_key WHERE id = ? ORDER BY created DESC LIMIT 1",
         "SELECT " AEL_MY_RECORD ", created FROM encryption_key WHERE id = ? AND " AEL_MY_ID_BYTES
         " = ? ORDER BY created DESC LIMIT 1"},
};

/* ---- preparing ---- */

static bool bind_row(struct ael_my_kept *kept) {
    MYSQL_BIND columns[COLUMNS] = {
        {.buffer_type = MYSQL_TYPE_STRING,
         .buffer = kept->record,
         .buffer_length = sizeof kept->record,
         .length = &kept->record_len,
         .is_null = &kept->is_null[COLUMN_RECORD]},
        {.buffer_type = MYSQL_TYPE_DATETIME,
         .buffer = &kept->created,
         .buffer_length = sizeof kept->created,
         .is_null = &kept->is_null[COLUMN_CREATED]},
    };
    return mysql_stmt_bind_result(kept->handle, columns) == 0;
}

static enum ael_status
prepare(struct ael_my_conn *conn, struct ael_my_kept *kept, const char *sql, struct ael_error *err) {
    kept->compares_bytes = conn->table.compares_bytes;
    kept->handle = mysql_stmt_init(conn->my);
    if (kept->handle == NULL) {
        return AEL_E_UNSUPPORTED;
    }
    enum ael_status status = ael_my_prepare(conn, kept->handle, ael_bytes_from_text(sql), err);
    return status != AEL_OK || bind_row(kept) ? status : AEL_E_UNSUPPORTED;
}

/* The statement, made where it is not there, or was made for a table that compared otherwise. */
static enum ael_status find(struct ael_my_conn *conn, enum ael_my_statement which, struct ael_error *err) {
    struct ael_my_kept *made = conn->statements[which];
    if (made != NULL && made->compares_bytes == conn->table.compares_bytes) {
        return AEL_OK;
    }
    ael_my_conn_forget(conn, which);
    made = ael_sys_alloc(sizeof(*made));
    if (made == NULL) {
        return AEL_E_UNSUPPORTED;
    }
    conn->statements[which] = made;
    enum ael_status status = prepare(conn, made, k_sql[which][conn->table.compares_bytes ? 0 : 1], err);
    if (status != AEL_OK) {
        ael_my_conn_forget(conn, which);
    }
    return status;
}

/* ---- running ---- */

static MYSQL_BIND value_of(struct ael_bytes bytes, enum enum_field_types type) {
    return (MYSQL_BIND){
        .buffer_type = type,
        .buffer = (void *)(uintptr_t)bytes.data,
        .buffer_length = (unsigned long)bytes.len};
}

static MYSQL_TIME date_of(int64_t created_s) {
    struct tm date = {0};
    time_t seconds = (time_t)created_s;
    (void)gmtime_r(&seconds, &date);
    return (MYSQL_TIME){
        .year = (unsigned)date.tm_year + 1900,
        .month = (unsigned)date.tm_mon + 1,
        .day = (unsigned)date.tm_mday,
        .hour = (unsigned)date.tm_hour,
        .minute = (unsigned)date.tm_min,
        .second = (unsigned)date.tm_sec,
        .time_type = MYSQL_TIMESTAMP_DATETIME,
    };
}

/* see metastore/mysql/prepared.h */
bool ael_my_date_is(const MYSQL_TIME *date, int64_t created_s) {
    if (created_s < 0 || created_s > AEL_MY_CREATED_MAX_S) {
        return false;
    }
    MYSQL_TIME expected = date_of(created_s);
    return date->year == expected.year && date->month == expected.month && date->day == expected.day &&
           date->hour == expected.hour && date->minute == expected.minute &&
           date->second == expected.second && date->second_part == 0 && !date->neg;
}

static enum ael_status execute(
    struct ael_my_conn *conn,
    const struct ael_my_kept *kept,
    struct ael_bytes id,
    int64_t created_s,
    struct ael_error *err) {
    MYSQL_BIND values[PARAMETERS] = {{0}};
    MYSQL_TIME date = date_of(created_s);
    int count = 0;
    values[count++] = value_of(id, MYSQL_TYPE_STRING);
    if (!kept->compares_bytes) {
        values[count++] = value_of(id, MYSQL_TYPE_BLOB);
    }
    values[count] =
        (MYSQL_BIND){.buffer_type = MYSQL_TYPE_DATETIME, .buffer = &date, .buffer_length = sizeof date};
    if (mysql_stmt_bind_param(kept->handle, values) != 0) {
        return AEL_E_UNSUPPORTED;
    }
    return ael_my_execute(conn, kept->handle, err);
}

/* What is cut off, or cannot be had, is read in another way. */
static enum ael_status fetch(struct ael_my_kept *kept, struct ael_my_prepared_row *row) {
    int outcome = mysql_stmt_fetch(kept->handle);
    if (outcome == MYSQL_NO_DATA) {
        return AEL_OK;
    }
    if (outcome != 0) {
        return AEL_E_UNSUPPORTED;
    }
    row->is_there = true;
    if (!kept->is_null[COLUMN_RECORD]) {
        row->record = (struct ael_bytes){(const uint8_t *)kept->record, kept->record_len};
    }
    row->created = kept->is_null[COLUMN_CREATED] ? NULL : &kept->created;
    return AEL_OK;
}

/* see metastore/mysql/prepared.h */
enum ael_status ael_my_prepared_read(
    struct ael_my_conn *conn,
    enum ael_my_statement which,
    struct ael_bytes id,
    int64_t created_s,
    struct ael_my_prepared_row *row,
    struct ael_error *err) {
    *row = (struct ael_my_prepared_row){.is_there = false};
    if (conn->keeps_none || !conn->table.has_our_characters) {
        return AEL_E_UNSUPPORTED;
    }
    enum ael_status status = find(conn, which, err);
    if (status != AEL_OK) {
        return status;
    }
    struct ael_my_kept *kept = conn->statements[which];
    status = execute(conn, kept, id, created_s, err);
    if (status == AEL_OK) {
        status = fetch(kept, row);
        (void)mysql_stmt_free_result(kept->handle);
    } else if (!conn->base.broken) {
        ael_my_conn_forget(conn, which); /* what state it is in is not worth knowing */
    }
    return status;
}
