/* SPDX-License-Identifier: Apache-2.0 */
#include "metastore/sqlite/rows.h"

#include "base/civil_time.h"

#include <string.h>
#include <unistd.h>

/* 9999-12-31 23:59:59, the last instant whose text sorts as the instants do, and that SQLite's datetime()
 * writes. */
static const int64_t k_created_max_s = 253402300799;

enum { COLUMN_KEY_RECORD, COLUMN_CREATED, COLUMN_ID };

/* ---- dates ---- */

enum { DATE_LEN = 19 };

static void put_two(char *at, unsigned value) {
    at[0] = (char)('0' + value / 10);
    at[1] = (char)('0' + value % 10);
}

/*
 * Writes 'YYYY-MM-DD HH:MM:SS' in UTC, as SQLite's datetime() would, which takes longer than to find a row.
 * 0 .. k_created_max_s.
 */
static void write_date(char text[DATE_LEN], int64_t created_s) {
    const struct ael_civil_time date = ael_civil_time_of(created_s);
    memcpy(text, "YYYY-MM-DD HH:MM:SS", DATE_LEN);
    put_two(text, date.year / 100);
    put_two(text + 2, date.year % 100);
    put_two(text + 5, date.month);
    put_two(text + 8, date.day);
    put_two(text + 11, date.hour);
    put_two(text + 14, date.minute);
    put_two(text + 17, date.second);
}

static bool has_date(int64_t created_s) {
    return created_s >= 0 && created_s <= k_created_max_s;
}

/* ---- binding ---- */

/* Text of an explicit length, which outlives the statement's use: nothing is copied. */
static int bind_text(sqlite3_stmt *statement, int index, struct ael_bytes text) {
    const char *data = text.len == 0 ? "" : (const char *)text.data;
    return sqlite3_bind_text64(statement, index, data, text.len, SQLITE_STATIC, SQLITE_UTF8);
}

/* Ends a statement's use: locks are let go, and the pointers that were bound. */
static void end_statement(sqlite3_stmt *statement) {
    (void)sqlite3_reset(statement);
    (void)sqlite3_clear_bindings(statement);
}

/* The date outlives the statement's use, too. */
static int bind_key(sqlite3_stmt *statement, struct ael_bytes id, int64_t created_s, char date[DATE_LEN]) {
    int result = bind_text(statement, 1, id);
    write_date(date, created_s);
    return result != SQLITE_OK ? result
                               : bind_text(statement, 2, (struct ael_bytes){(uint8_t *)date, DATE_LEN});
}

static enum ael_status check_created(int64_t created_s, struct ael_error *err) {
    if (!has_date(created_s)) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, AEL_SQLITE_COMPONENT, "created lies before 1970 or after the year 9999");
    }
    return AEL_OK;
}

static enum ael_status no_such_row(struct ael_error *err) {
    return ael_error_set(err, AEL_E_KEY_NOT_FOUND, 0, AEL_SQLITE_COMPONENT, "no such row");
}

/* ---- reading ---- */

static struct ael_bytes column_text(sqlite3_stmt *statement, int column) {
    const unsigned char *data = sqlite3_column_text(statement, column);
    return (struct ael_bytes){data, (size_t)sqlite3_column_bytes(statement, column)};
}

/* Is the column created, to the byte, what this library and the Rust SDK write for the instant? */
static bool created_is(sqlite3_stmt *statement, int64_t created_s) {
    char date[DATE_LEN];
    if (!has_date(created_s) || sqlite3_column_type(statement, COLUMN_CREATED) != SQLITE_TEXT) {
        return false;
    }
    write_date(date, created_s);
    struct ael_bytes column = column_text(statement, COLUMN_CREATED);
    return column.data != NULL && column.len == DATE_LEN && memcmp(column.data, date, DATE_LEN) == 0;
}

static enum ael_status not_a_key(const char *why, struct ael_error *err) {
    return ael_error_set(
        err, AEL_E_BACKEND_DATA, 0, AEL_SQLITE_COMPONENT, "a row is not a key record: %s", why);
}

/*
 * Reads the row at which the statement stands. One that was asked for by its column created (asked_s, else
 * NULL) is of that date, whatever its JSON says: records name it so. As the latest of its id it is refused
 * when the two differ, for by which of them would others look for what is encrypted under it?
 */
static enum ael_status read_row(
    sqlite3_stmt *statement, const int64_t *asked_s, struct ael_key_record_buf *out, struct ael_error *err) {
    if (sqlite3_column_type(statement, COLUMN_KEY_RECORD) != SQLITE_TEXT) {
        return not_a_key("key_record is not text", err);
    }
    struct ael_bytes json = column_text(statement, COLUMN_KEY_RECORD);
    if (json.data == NULL) {
        return ael_error_set(err, AEL_E_NO_MEMORY, 0, AEL_SQLITE_COMPONENT, "no memory for a row");
    }
    struct ael_error problem = {0};
    enum ael_status status = ael_key_record_from_json(json, out, &problem);
    if (status == AEL_E_NO_MEMORY) {
        return ael_error_set(err, status, 0, AEL_SQLITE_COMPONENT, "no memory for a key record");
    }
    if (status != AEL_OK) {
        return not_a_key(problem.detail, err);
    }
    if (asked_s != NULL) {
        out->record.created_s = *asked_s;
    } else if (!created_is(statement, out->record.created_s)) {
        ael_key_record_buf_clear(out);
        return not_a_key("the column created is not Created in key_record", err);
    }
    return AEL_OK;
}

/* Steps a statement that gives one row at most, and ends its use. */
static enum ael_status read_one(
    struct ael_sqlite_conn *conn,
    sqlite3_stmt *statement,
    int bound,
    const int64_t *asked_s,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    int result = bound == SQLITE_OK ? sqlite3_step(statement) : bound;
    enum ael_status status;
    if (result == SQLITE_ROW) {
        status = read_row(statement, asked_s, out, err);
    } else if (result == SQLITE_DONE) {
        status = no_such_row(err);
    } else {
        status = ael_sqlite_failed(conn, result, err);
    }
    end_statement(statement);
    return status;
}

/* see metastore/sqlite/rows.h */
enum ael_status ael_sqlite_row_load(
    struct ael_sqlite_conn *conn,
    struct ael_bytes id,
    int64_t created_s,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    sqlite3_stmt *statement = conn->statements[AEL_SQLITE_LOAD];
    char date[DATE_LEN];
    if (!has_date(created_s)) {
        return no_such_row(err);
    }
    return read_one(conn, statement, bind_key(statement, id, created_s, date), &created_s, out, err);
}

/* see metastore/sqlite/rows.h */
enum ael_status ael_sqlite_row_load_latest(
    struct ael_sqlite_conn *conn,
    struct ael_bytes id,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    sqlite3_stmt *statement = conn->statements[AEL_SQLITE_LATEST];
    return read_one(conn, statement, bind_text(statement, 1, id), NULL, out, err);
}

/* ---- listing ---- */

static bool starts_with(struct ael_bytes text, struct ael_bytes prefix) {
    return text.len >= prefix.len && (prefix.len == 0 || memcmp(text.data, prefix.data, prefix.len) == 0);
}

/*
 * Visits one row; *go_on tells whether another is wanted. Ids are in the order of their bytes, so that those
 * with the prefix come in one run; blobs come behind all text.
 */
static enum ael_status list_row(
    sqlite3_stmt *statement,
    struct ael_bytes prefix,
    ael_metastore_visit_fn visit,
    void *context,
    bool *go_on,
    struct ael_error *err) {
    bool is_text = sqlite3_column_type(statement, COLUMN_ID) == SQLITE_TEXT; /* before it is read as text */
    struct ael_bytes id = column_text(statement, COLUMN_ID);
    *go_on = is_text && id.data != NULL && starts_with(id, prefix);
    if (!*go_on) {
        return AEL_OK;
    }
    struct ael_key_record_buf record = AEL_KEY_RECORD_BUF_INIT;
    enum ael_status status = read_row(statement, NULL, &record, err);
    if (status == AEL_OK) {
        *go_on = visit(context, id, record.record.created_s, &record.record);
    }
    ael_key_record_buf_clear(&record);
    return status == AEL_E_BACKEND_DATA ? AEL_OK : status;
}

/* see metastore/sqlite/rows.h */
enum ael_status ael_sqlite_rows_list(
    struct ael_sqlite_conn *conn,
    struct ael_bytes prefix,
    ael_metastore_visit_fn visit,
    void *context,
    struct ael_error *err) {
    sqlite3_stmt *statement = conn->statements[AEL_SQLITE_LIST];
    enum ael_status status = AEL_OK;
    bool go_on = true;
    int result = bind_text(statement, 1, prefix);
    conn->calls_back = true;
    result = result == SQLITE_OK ? sqlite3_step(statement) : result;
    while (result == SQLITE_ROW) {
        status = ael_call_check(conn->call);
        if (status == AEL_OK) {
            status = list_row(statement, prefix, visit, context, &go_on, err);
        }
        if (conn->pid != getpid()) { /* the host forked: to read on would be on its parent's locks */
            status = ael_error_set(
                err, AEL_E_FORKED, 0, AEL_SQLITE_COMPONENT,
                "the connection is the parent's; open the store in the child");
        }
        if (status != AEL_OK || !go_on) {
            break;
        }
        result = sqlite3_step(statement);
    }
    if (status == AEL_E_FORKED) {
        return status; /* the statement is the parent's, and stays as it is */
    }
    if (result != SQLITE_ROW && result != SQLITE_DONE) {
        status = ael_sqlite_failed(conn, result, err);
    }
    end_statement(statement);
    return status;
}

/* ---- writing ---- */

/* Runs a statement over (id, created, json), which it uses until end_statement; outside a transaction it
 * commits by itself. */
static int write_row(
    sqlite3_stmt *statement,
    struct ael_bytes id,
    const struct ael_key_record *record,
    struct ael_bytes json,
    char date[DATE_LEN]) {
    int result = bind_key(statement, id, record->created_s, date);
    result = result == SQLITE_OK ? bind_text(statement, 3, json) : result;
    return result == SQLITE_OK ? sqlite3_step(statement) : result;
}

/* see metastore/sqlite/rows.h */
enum ael_status ael_sqlite_row_store(
    struct ael_sqlite_conn *conn,
    struct ael_bytes id,
    const struct ael_key_record *record,
    bool *stored,
    struct ael_error *err) {
    struct ael_buf json = AEL_BUF_INIT;
    sqlite3_stmt *statement = conn->statements[AEL_SQLITE_STORE];
    enum ael_status status = check_created(record->created_s, err);
    if (status == AEL_OK) {
        status = ael_key_record_to_json(record, &json);
    }
    if (status == AEL_OK) {
        status = ael_sqlite_conn_take_turn(conn, err);
    }
    if (status == AEL_OK) {
        char date[DATE_LEN];
        int result = write_row(statement, id, record, ael_buf_view(&json), date);
        if (result == SQLITE_DONE) {
            *stored = sqlite3_changes(conn->db) == 1;
        } else {
            status = ael_sqlite_commit_failed(conn, result, err);
        }
        end_statement(statement);
    }
    ael_buf_clear(&json);
    return status;
}

/* Inside a transaction: *same tells whether the row is still the expected one. */
static enum ael_status compare_row(
    struct ael_sqlite_conn *conn,
    struct ael_bytes id,
    const struct ael_key_record *expected,
    bool *same,
    struct ael_error *err) {
    struct ael_key_record_buf present = AEL_KEY_RECORD_BUF_INIT;
    enum ael_status status = ael_sqlite_row_load(conn, id, expected->created_s, &present, err);
    *same = status == AEL_OK && ael_key_record_equal(&present.record, expected);
    ael_key_record_buf_clear(&present);
    return status;
}

static enum ael_status update_row(
    struct ael_sqlite_conn *conn,
    struct ael_bytes id,
    const struct ael_key_record *desired,
    struct ael_error *err) {
    struct ael_buf json = AEL_BUF_INIT;
    sqlite3_stmt *statement = conn->statements[AEL_SQLITE_UPDATE];
    enum ael_status status = ael_key_record_to_json(desired, &json);
    if (status == AEL_OK) {
        char date[DATE_LEN];
        int result = write_row(statement, id, desired, ael_buf_view(&json), date);
        if (result != SQLITE_DONE) {
            status = ael_sqlite_failed(conn, result, err);
        }
        end_statement(statement);
    }
    ael_buf_clear(&json);
    return status;
}

/* see metastore/sqlite/rows.h; whoever lent the connection rolls back what was not committed */
enum ael_status ael_sqlite_row_replace(
    struct ael_sqlite_conn *conn,
    struct ael_bytes id,
    const struct ael_key_record *expected,
    const struct ael_key_record *desired,
    bool *replaced,
    struct ael_error *err) {
    bool same = false;
    enum ael_status status = ael_sqlite_begin(conn, err);
    if (status == AEL_OK) {
        status = compare_row(conn, id, expected, &same, err);
    }
    if (status != AEL_OK || !same) {
        return status;
    }
    status = update_row(conn, id, desired, err);
    if (status != AEL_OK) {
        return status;
    }
    int result = sqlite3_exec(conn->db, "COMMIT", NULL, NULL, NULL);
    if (result != SQLITE_OK) {
        return ael_sqlite_commit_failed(conn, result, err);
    }
    *replaced = true;
    return AEL_OK;
}
