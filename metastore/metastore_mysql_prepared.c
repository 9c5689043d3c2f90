/* SPDX-License-Identifier: Apache-2.0 */
#include "metastore/metastore_mysql_prepared.h"

#include <ael/sys/alloc.h>

#include <time.h>

enum { RECORD_BYTES = 8192, NUMBER_BYTES = 24, COLUMNS = 2, PARAMETERS = 3 };

/* [1]: for a column id whose collation takes other ids for the same. The second parameter is the id's bytes then. */
static const char *const k_sql[AEL_MY_STATEMENTS][2] = {
    [AEL_MY_LOAD] =
        {"SELECT " AEL_MY_RECORD " FROM encryption_key WHERE id = ? AND created = ?",
         "SELECT " AEL_MY_RECORD " FROM encryption_key WHERE id = ? AND " AEL_MY_ID_BYTES
         " = ? AND created = ?"},
    [AEL_MY_LATEST] =
        {"SELECT " AEL_MY_RECORD ", " AEL_MY_DATE
         " FROM encryption_key WHERE id = ? ORDER BY created DESC LIMIT 1",
         "SELECT " AEL_MY_RECORD ", " AEL_MY_DATE " FROM encryption_key WHERE id = ? AND " AEL_MY_ID_BYTES
         " = ? ORDER BY created DESC LIMIT 1"},
};

/* A statement with the places that its row is read into. */
struct ael_my_prepared {
    MYSQL_STMT *handle;
    bool compares_bytes; /* as the table did when it was prepared */
    char *row[COLUMNS];
    unsigned long lengths[COLUMNS];
    my_bool is_null[COLUMNS];
    char microseconds[NUMBER_BYTES];
    char record[RECORD_BYTES];
};

/* see metastore/metastore_mysql_conn.h */
void ael_my_prepared_free(struct ael_my_prepared *prepared) {
    if (prepared != NULL) {
        (void)mysql_stmt_close(prepared->handle);
        ael_sys_free(prepared);
    }
}

/* ---- preparing ---- */

static bool bind_row(struct ael_my_prepared *prepared) {
    char *const places[COLUMNS] = {prepared->record, prepared->microseconds};
    const unsigned long sizes[COLUMNS] = {sizeof prepared->record, sizeof prepared->microseconds - 1};
    MYSQL_BIND columns[COLUMNS] = {{0}};
    for (int i = 0; i < COLUMNS; i++) {
        columns[i].buffer_type = MYSQL_TYPE_STRING;
        columns[i].buffer = places[i];
        columns[i].buffer_length = sizes[i];
        columns[i].length = &prepared->lengths[i];
        columns[i].is_null = &prepared->is_null[i];
    }
    return mysql_stmt_bind_result(prepared->handle, columns) == 0;
}

static enum ael_status
prepare(struct ael_my_conn *conn, struct ael_my_prepared *prepared, const char *sql, struct ael_error *err) {
    prepared->compares_bytes = conn->table.compares_bytes;
    prepared->handle = mysql_stmt_init(conn->my);
    if (prepared->handle == NULL) {
        return AEL_E_UNSUPPORTED;
    }
    enum ael_status status = ael_my_prepare(conn, prepared->handle, ael_bytes_from_text(sql), err);
    return status != AEL_OK || bind_row(prepared) ? status : AEL_E_UNSUPPORTED;
}

/* The statement, made where it is not there, or was made for a table that compared otherwise. */
static enum ael_status find(struct ael_my_conn *conn, enum ael_my_statement which, struct ael_error *err) {
    struct ael_my_prepared *made = conn->statements[which];
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

static enum ael_status execute(
    struct ael_my_conn *conn,
    const struct ael_my_prepared *prepared,
    struct ael_bytes id,
    int64_t created_s,
    struct ael_error *err) {
    MYSQL_BIND values[PARAMETERS] = {{0}};
    MYSQL_TIME date = date_of(created_s);
    int count = 0;
    values[count++] = value_of(id, MYSQL_TYPE_STRING);
    if (!prepared->compares_bytes) {
        values[count++] = value_of(id, MYSQL_TYPE_BLOB);
    }
    values[count] =
        (MYSQL_BIND){.buffer_type = MYSQL_TYPE_DATETIME, .buffer = &date, .buffer_length = sizeof date};
    if (mysql_stmt_bind_param(prepared->handle, values) != 0) {
        return AEL_E_UNSUPPORTED;
    }
    return ael_my_execute(conn, prepared->handle, err);
}

/* What is cut off, or cannot be had, is read in another way. */
static enum ael_status fetch(struct ael_my_prepared *prepared, MYSQL_ROW *row) {
    int outcome = mysql_stmt_fetch(prepared->handle);
    *row = NULL;
    if (outcome == MYSQL_NO_DATA) {
        return AEL_OK;
    }
    if (outcome != 0) {
        return AEL_E_UNSUPPORTED;
    }
    unsigned long len = prepared->lengths[COLUMNS - 1];
    prepared->microseconds[len < NUMBER_BYTES ? len : 0] = '\0';
    char *const places[COLUMNS] = {prepared->record, prepared->microseconds};
    for (int i = 0; i < COLUMNS; i++) {
        prepared->row[i] = prepared->is_null[i] ? NULL : places[i];
    }
    *row = prepared->row;
    return AEL_OK;
}

/* see metastore/metastore_mysql_prepared.h */
enum ael_status ael_my_prepared_read(
    struct ael_my_conn *conn,
    enum ael_my_statement which,
    struct ael_bytes id,
    int64_t created_s,
    MYSQL_ROW *row,
    const unsigned long **lengths,
    struct ael_error *err) {
    if (conn->keeps_none || !conn->table.has_our_characters) {
        return AEL_E_UNSUPPORTED;
    }
    enum ael_status status = find(conn, which, err);
    if (status != AEL_OK) {
        return status;
    }
    struct ael_my_prepared *prepared = conn->statements[which];
    status = execute(conn, prepared, id, created_s, err);
    if (status == AEL_OK) {
        status = fetch(prepared, row);
        *lengths = prepared->lengths;
        (void)mysql_stmt_free_result(prepared->handle);
    } else if (!conn->base.broken) {
        ael_my_conn_forget(conn, which); /* what state it is in is not worth knowing */
    }
    return status;
}
