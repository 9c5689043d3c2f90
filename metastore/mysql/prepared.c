/* SPDX-License-Identifier: Apache-2.0 */
#include "metastore/mysql/prepared.h"

#include "base/civil_time.h"

#include <ael/sys/alloc.h>

#include <mysqld_error.h>

enum { COLUMN_RECORD, COLUMN_CREATED, COLUMNS = AEL_MY_KEPT_COLUMNS };

enum { PARAMETERS = 3, RECORD_MAX_BYTES = 65536 };

struct statement {
    const char *sql;
    unsigned parameters;
    unsigned columns;
};

/* [1]: for a column id whose collation takes other ids for the same. The second parameter of a reading one is
 * the id's bytes then. */
static const struct statement k_statements[AEL_MY_STATEMENTS][2] = {
    [AEL_MY_LOAD] =
        {{"SELECT key_record FROM encryption_key WHERE id = ? AND created = ?", 2, 1},
         {"SELECT key_record FROM encryption_key WHERE id = ? AND " AEL_MY_ID_BYTES " = ? AND created = ?", 3,
          1}},
    [AEL_MY_LATEST] =
        {{"SELECT key_record, created FROM encryption_key WHERE id = ? ORDER BY created DESC LIMIT 1",
          1, 2},
         {"SELECT key_record, created FROM encryption_key WHERE id = ? AND " AEL_MY_ID_BYTES
          " = ? ORDER BY created DESC LIMIT 1",
          2, 2}},
    [AEL_MY_STORE] =
        {{"INSERT INTO encryption_key (id, created, key_record) VALUES (?, ?, ?)", 3, 0},
         {"INSERT INTO encryption_key (id, created, key_record) VALUES (?, ?, ?)", 3, 0}},
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

/* The library takes as many values and places as the server says. */
static bool is_as_written(MYSQL_STMT *handle, const struct statement *statement) {
    return mysql_stmt_param_count(handle) == statement->parameters &&
           mysql_stmt_field_count(handle) == statement->columns;
}

static enum ael_status prepare(
    struct ael_my_conn *conn,
    struct ael_my_kept *kept,
    const struct statement *statement,
    struct ael_error *err) {
    kept->compares_bytes = conn->table.compares_bytes;
    kept->handle = mysql_stmt_init(conn->my);
    if (kept->handle == NULL) {
        return AEL_E_UNSUPPORTED;
    }
    enum ael_status status = ael_my_prepare(conn, kept->handle, ael_bytes_from_text(statement->sql), err);
    if (status != AEL_OK) {
        return status;
    }
    bool is_ready = is_as_written(kept->handle, statement) && (statement->columns == 0 || bind_row(kept));
    return is_ready ? AEL_OK : AEL_E_UNSUPPORTED;
}

/* The statement, made where it is not there, or was made for a table that compared otherwise. */
static enum ael_status find(struct ael_my_conn *conn, enum ael_my_statement which, struct ael_error *err) {
    struct ael_my_kept *made = conn->statements[which];
    if (made != NULL && made->compares_bytes == conn->table.compares_bytes) {
        return AEL_OK;
    }
    if ((conn->refused & 1U << which) != 0) {
        return AEL_E_UNSUPPORTED;
    }
    ael_my_conn_forget(conn, which);
    made = ael_sys_alloc(sizeof(*made));
    if (made == NULL) {
        return AEL_E_UNSUPPORTED;
    }
    conn->statements[which] = made;
    enum ael_status status =
        prepare(conn, made, &k_statements[which][conn->table.compares_bytes ? 0 : 1], err);
    if (status != AEL_OK) {
        ael_my_conn_forget(conn, which);
    }
    if (status == AEL_E_UNSUPPORTED && ael_my_error_number(conn) != ER_NO_SUCH_TABLE) {
        conn->refused |= 1U << which;
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

/* 0 .. AEL_MY_CREATED_MAX_S */
static MYSQL_TIME date_of(int64_t created_s) {
    const struct ael_civil_time date = ael_civil_time_of(created_s);
    return (MYSQL_TIME){
        .year = date.year,
        .month = date.month,
        .day = date.day,
        .hour = date.hour,
        .minute = date.minute,
        .second = date.second,
        .time_type = MYSQL_TIMESTAMP_DATETIME,
    };
}

/* see metastore/mysql/prepared.h */
bool ael_my_date_is(const MYSQL_TIME *date, int64_t created_s) {
    if (created_s < 0 || created_s > AEL_MY_CREATED_MAX_S) {
        return false;
    }
    const struct ael_civil_time expected = ael_civil_time_of(created_s);
    return date->year == expected.year && date->month == expected.month && date->day == expected.day &&
           date->hour == expected.hour && date->minute == expected.minute &&
           date->second == expected.second && date->second_part == 0 && !date->neg;
}

static MYSQL_BIND moment_of(MYSQL_TIME *date) {
    return (MYSQL_BIND){
        .buffer_type = MYSQL_TYPE_DATETIME, .buffer = date, .buffer_length = sizeof(*date)};
}

/* One that failed is not run again: what state it is in is not worth knowing, but where its row is there. */
static enum ael_status execute(
    struct ael_my_conn *conn, enum ael_my_statement which, MYSQL_BIND *values, struct ael_error *err) {
    MYSQL_STMT *handle = conn->statements[which]->handle;
    enum ael_status status =
        mysql_stmt_bind_param(handle, values) == 0 ? ael_my_execute(conn, handle, err) : AEL_E_UNSUPPORTED;
    if (status != AEL_OK && !conn->base.broken && ael_my_error_number(conn) != ER_DUP_ENTRY) {
        ael_my_conn_forget(conn, which);
    }
    return status;
}

static enum ael_status execute_reading(
    struct ael_my_conn *conn,
    enum ael_my_statement which,
    struct ael_bytes id,
    int64_t created_s,
    struct ael_error *err) {
    MYSQL_BIND values[PARAMETERS] = {{0}};
    MYSQL_TIME date;
    int count = 0;
    values[count++] = value_of(id, MYSQL_TYPE_STRING);
    if (!conn->statements[which]->compares_bytes) {
        values[count++] = value_of(id, MYSQL_TYPE_BLOB);
    }
    if (which == AEL_MY_LOAD) {
        date = date_of(created_s);
        values[count] = moment_of(&date);
    }
    return execute(conn, which, values, err);
}

/*
 * The library has taken in a row of any length, and keeps as much memory for the next one: the connection is
 * ended, and no other one of the store reads so again. Relaxed: who misses it meets the row himself.
 */
static void note_long(struct ael_my_conn *conn) {
    atomic_store_explicit(conn->meets_long, true, memory_order_relaxed);
    conn->base.broken = true;
}

/* What is cut off, or cannot be had, is read in another way. */
static enum ael_status
fetch(struct ael_my_conn *conn, struct ael_my_kept *kept, struct ael_my_prepared_row *row) {
    int outcome = mysql_stmt_fetch(kept->handle);
    if (outcome == MYSQL_NO_DATA) {
        return AEL_OK;
    }
    if (outcome == MYSQL_DATA_TRUNCATED && kept->record_len > RECORD_MAX_BYTES) {
        note_long(conn);
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

static bool may_keep(const struct ael_my_conn *conn) {
    return !conn->keeps_none && conn->table.has_our_characters;
}

static bool may_read(const struct ael_my_conn *conn) {
    return may_keep(conn) && !atomic_load_explicit(conn->meets_long, memory_order_relaxed);
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
    enum ael_status status = may_read(conn) ? find(conn, which, err) : AEL_E_UNSUPPORTED;
    if (status == AEL_OK) {
        status = execute_reading(conn, which, id, created_s, err);
    }
    if (status == AEL_OK) {
        status = fetch(conn, conn->statements[which], row);
        (void)mysql_stmt_free_result(conn->statements[which]->handle);
    }
    return status;
}

static bool has_added_one(const struct ael_my_conn *conn) {
    MYSQL_STMT *handle = conn->statements[AEL_MY_STORE]->handle;
    return mysql_stmt_field_count(handle) == 0 && mysql_stmt_affected_rows(handle) == 1;
}

/* What an INSERT cannot end in: something between has handed the number to another server. */
static enum ael_status was_another(struct ael_my_conn *conn, struct ael_error *err) {
    conn->lost_preparing = true;
    conn->base.broken = true;
    return ael_error_set(
        err, AEL_E_UNREACHABLE, 0, AEL_MY_COMPONENT, "the server ran another statement than the one meant");
}

/* see metastore/mysql/prepared.h */
enum ael_status ael_my_prepared_store(
    struct ael_my_conn *conn,
    struct ael_bytes id,
    int64_t created_s,
    struct ael_bytes json,
    bool *stored,
    struct ael_error *err) {
    MYSQL_TIME date = date_of(created_s);
    MYSQL_BIND values[] = {
        value_of(id, MYSQL_TYPE_STRING), moment_of(&date), value_of(json, MYSQL_TYPE_STRING)};
    bool may = may_keep(conn) && id.len + json.len <= AEL_MY_KEPT_RECORD_BYTES;
    enum ael_status status = may ? find(conn, AEL_MY_STORE, err) : AEL_E_UNSUPPORTED;
    if (status == AEL_OK) {
        status = execute(conn, AEL_MY_STORE, values, err);
    }
    *stored = status == AEL_OK;
    return status == AEL_OK && !has_added_one(conn) ? was_another(conn, err) : status;
}
