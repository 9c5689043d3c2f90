/* SPDX-License-Identifier: Apache-2.0 */
#include "metastore/postgres/rows.h"

#include "metastore/postgres/table.h"
#include "metastore/sql/sql_rows.h"

#include <ael/record.h>

#include <stdio.h>
#include <string.h>

/* 9999-12-31 23:59:59: as the other backends. */
static const int64_t k_created_max_s = 253402300799;

enum { LOAD, LATEST, LOAD_CUT, LATEST_CUT, LIST, STORE, UPDATE, STATEMENTS };

enum { SQL_BYTES = 512, DATE_BYTES = 8 };

/* Dates travel as the server keeps them: microseconds since 2000, in network order. */
static const int64_t k_2000_s = 946684800;
enum { SECOND_US = 1000000 };

/* What differs between tables. A TIMESTAMP is taken for UTC, whatever the session's time zone. */
static const char *const k_created[] = {
    [AEL_PG_TIMESTAMP] = "$2::timestamp",
    [AEL_PG_TIMESTAMPTZ] = "$2::timestamptz",
};
static const char *const k_json[] = {
    [AEL_PG_TEXT] = "$3::text",
    [AEL_PG_JSON] = "$3::text::json",
    [AEL_PG_JSONB] = "$3::text::jsonb",
};

/*
 * As they are read: whole, until a record was met that is too long for that; from then on, and in listings,
 * only what ael_key_record_from_json reads, and a byte or two that tell of a longer one. What the server
 * would send is cut, which takes no copy as a text and no count of characters, but a twentieth of the time
 * that it takes to find a row. The names differ with the type: where a column has another one than it had, a
 * statement that was prepared fails, and its text is another one for proxies, which keep statements by it.
 */
#define CUT(send) "substring(" send "(key_record), 1, 65538)"
#define JSONB     "jsonb"
static const struct {
    const char *whole;
    const char *cut;
} k_record[] = {
    [AEL_PG_TEXT] = {"key_record AS text", CUT("textsend") " AS text"},
    [AEL_PG_JSON] = {"key_record AS json", CUT("json_send") " AS json"},
    [AEL_PG_JSONB] = {"key_record AS " JSONB, CUT("jsonb_send") " AS " JSONB},
};
static const char *const k_date[] = {
    [AEL_PG_TIMESTAMP] = "created AS timestamp",
    [AEL_PG_TIMESTAMPTZ] = "created AS timestamptz",
};

/*
 * @ stands for the parameter created, # for key_record, ~ and % for the two as they are read, ! for the latter
 * cut. Ids are ordered by bytes in listings, whatever the database's collation. A replacement compares the
 * text that was read, so that nobody can have come in between.
 */
static const struct {
    const char *name;
    int count;
    const char *sql;
} k_statements[STATEMENTS] = {
    [LOAD] = {"ael_load", 2, "SELECT % FROM encryption_key WHERE id = $1::text AND created = @"},
    [LATEST] =
        {"ael_latest", 1,
         "SELECT %, ~ FROM encryption_key WHERE id = $1::text ORDER BY created DESC LIMIT 1"},
    [LOAD_CUT] = {"ael_load_cut", 2, "SELECT ! FROM encryption_key WHERE id = $1::text AND created = @"},
    [LATEST_CUT] =
        {"ael_latest_cut", 1,
         "SELECT !, ~ FROM encryption_key WHERE id = $1::text ORDER BY created DESC LIMIT 1"},
    [LIST] =
        {"ael_list", 1,
         "SELECT !, ~, id::text FROM encryption_key"
         " WHERE left(id, char_length($1::text)) = $1::text ORDER BY id COLLATE \"C\", created"},
    [STORE] =
        {"ael_store", 3,
         "INSERT INTO encryption_key (id, created, key_record) VALUES ($1::text, @, #)"
         " ON CONFLICT (id, created) DO NOTHING"},
    [UPDATE] =
        {"ael_update", 4,
         "UPDATE encryption_key SET key_record = # WHERE id = $1::text AND created = @"
         " AND key_record::text = $4::text"},
};

enum { COLUMN_RECORD, COLUMN_DATE, COLUMN_ID };
enum { JSONB_VERSION = 1 };

/* Of PostgreSQL's types. */
enum { BYTEA_OID = 17, JSONB_OID = 3802 };

/* ---- statements ---- */

static void expand(const char *format, const struct ael_pg_table *table, char sql[SQL_BYTES]) {
    size_t len = 0;
    sql[0] = '\0';
    for (; *format != '\0' && len + 1 < SQL_BYTES; format++) {
        char itself[2] = {*format, '\0'};
        const char *text = *format == '@' ? k_created[table->created] : itself;
        text = *format == '#' ? k_json[table->key_record] : text;
        text = *format == '~' ? k_date[table->created] : text;
        text = *format == '%' ? k_record[table->key_record].whole : text;
        text = *format == '!' ? k_record[table->key_record].cut : text;
        int written = snprintf(sql + len, SQL_BYTES - len, "%s", text);
        len += written > 0 ? (size_t)written : 0;
    }
}

/* Finds the table, and prepares a statement where it will be there when it is to be run. */
static enum ael_status prepare(struct ael_pg_conn *conn, int which, struct ael_error *err) {
    enum ael_status status = ael_pg_table_find(conn, err);
    if (status != AEL_OK || conn->is_pooled || (conn->prepared & (1u << which)) != 0) {
        return status;
    }
    char sql[SQL_BYTES];
    expand(k_statements[which].sql, &conn->table, sql);
    const struct ael_pg_statement statement = {
        .name = k_statements[which].name, .sql = sql, .count = k_statements[which].count};
    status = ael_pg_prepare(conn, &statement, err);
    if (status == AEL_OK) {
        conn->prepared |= 1u << which;
    }
    return status;
}

/* The parameters of a statement: texts, but for the date. */
struct parameters {
    char id[AEL_ID_MAX_BYTES + 1];
    uint8_t created[DATE_BYTES];
    char sql[SQL_BYTES]; /* where it is not prepared */
    struct ael_pg_statement statement;
};

static void put_date(uint8_t out[DATE_BYTES], int64_t created_s) {
    uint64_t bits = (uint64_t)((created_s - k_2000_s) * SECOND_US);
    for (int i = DATE_BYTES - 1; i >= 0; i--) {
        out[i] = (uint8_t)bits;
        bits >>= 8;
    }
}

static void set_parameters(
    const struct ael_pg_conn *conn,
    struct parameters *out,
    int which,
    struct ael_bytes id,
    int64_t created_s) {
    if (conn->is_pooled) {
        expand(k_statements[which].sql, &conn->table, out->sql);
    }
    memcpy(out->id, id.data == NULL ? (const uint8_t *)"" : id.data, id.len);
    out->id[id.len] = '\0';
    put_date(out->created, created_s);
    out->statement = (struct ael_pg_statement){
        .name = conn->is_pooled ? NULL : k_statements[which].name,
        .sql = conn->is_pooled ? out->sql : NULL,
        .count = k_statements[which].count,
        .values = {out->id, (const char *)out->created},
        .lengths = {0, DATE_BYTES},
        .formats = {0, 1},
        .is_binary = true,
        .is_short = which == LOAD || which == LATEST,
    };
}

/* ---- reading ---- */

static bool is_date(const uint8_t date[DATE_BYTES], int64_t created_s) {
    uint64_t bits = 0;
    for (int i = 0; i < DATE_BYTES; i++) {
        bits = bits << 8 | date[i];
    }
    int64_t us = (int64_t)bits;
    return us % SECOND_US == 0 && us / SECOND_US + k_2000_s == created_s;
}

static bool is_date_at(const PGresult *result, int column, int64_t created_s) {
    return PQgetlength(result, 0, column) == DATE_BYTES &&
           is_date((const uint8_t *)PQgetvalue(result, 0, column), created_s);
}

/*
 * By what the server says that the column is: the table may have been looked at again since this was
 * prepared. Cut, it is bytes, and its name tells.
 */
static bool is_jsonb(const PGresult *result) {
    Oid type = PQftype(result, COLUMN_RECORD);
    return type == JSONB_OID || (type == BYTEA_OID && strcmp(PQfname(result, COLUMN_RECORD), JSONB) == 0);
}

/* The text ends with a NUL behind its length. JSONB comes as its text behind a byte, the form's version. */
static struct ael_bytes record_in(const PGresult *result) {
    struct ael_bytes text = {
        (const uint8_t *)PQgetvalue(result, 0, COLUMN_RECORD),
        (size_t)PQgetlength(result, 0, COLUMN_RECORD),
    };
    if (text.len > 0 && text.data[0] == JSONB_VERSION && is_jsonb(result)) {
        text.data++;
        text.len--;
    }
    return text;
}

/*
 * Reads a row. One that was asked for by its column created (asked_s, else NULL) is of that date, whatever
 * its JSON says: records name it so. As the latest of its id it is refused when the two differ, for by which
 * of them would others look for what is encrypted under it?
 */
static enum ael_status read_row(
    const PGresult *result, const int64_t *asked_s, struct ael_key_record_buf *out, struct ael_error *err) {
    if (PQgetisnull(result, 0, COLUMN_RECORD)) {
        return ael_sql_not_a_key("key_record is NULL", AEL_PG_COMPONENT, err);
    }
    enum ael_status status = ael_sql_record_read(record_in(result), out, AEL_PG_COMPONENT, err);
    if (status != AEL_OK) {
        return status;
    }
    if (asked_s != NULL) {
        out->record.created_s = *asked_s;
    } else if (!is_date_at(result, COLUMN_DATE, out->record.created_s)) {
        ael_key_record_buf_clear(out);
        return ael_sql_not_a_key(
            "the column created is not Created in key_record; are all writers' clocks in UTC?",
            AEL_PG_COMPONENT, err);
    }
    return AEL_OK;
}

/* Runs a reading statement that gives one row at most; the result is kept for who wants it. */
static enum ael_status read_one(
    struct ael_pg_conn *conn,
    const struct ael_pg_statement *statement,
    const int64_t *asked_s,
    struct ael_key_record_buf *out,
    PGresult **result,
    struct ael_error *err) {
    enum ael_status status = ael_pg_run(conn, statement, result, err);
    if (status != AEL_OK) {
        return status;
    }
    if (PQntuples(*result) == 0) {
        return ael_error_set(err, AEL_E_KEY_NOT_FOUND, 0, AEL_PG_COMPONENT, "no such row");
    }
    return read_row(*result, asked_s, out, err);
}

/* Relaxed: what it guards is the memory of whoever reads it. */
static bool reads_cut(const struct ael_pg_conn *conn) {
    return atomic_load_explicit(conn->meets_long, memory_order_relaxed);
}

static enum ael_status load_row(
    struct ael_pg_conn *conn,
    struct ael_bytes id,
    int64_t created_s,
    struct ael_key_record_buf *out,
    PGresult **result,
    struct ael_error *err) {
    struct parameters parameters;
    *result = NULL;
    if (created_s > k_created_max_s) {
        return ael_error_set(err, AEL_E_KEY_NOT_FOUND, 0, AEL_PG_COMPONENT, "no such row");
    }
    int which = reads_cut(conn) ? LOAD_CUT : LOAD;
    enum ael_status status = prepare(conn, which, err);
    if (status != AEL_OK) {
        return status;
    }
    set_parameters(conn, &parameters, which, id, created_s);
    return read_one(conn, &parameters.statement, &created_s, out, result, err);
}

/* see metastore/postgres/rows.h */
enum ael_status ael_pg_row_load(
    struct ael_pg_conn *conn,
    struct ael_bytes id,
    int64_t created_s,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    PGresult *result = NULL;
    enum ael_status status = load_row(conn, id, created_s, out, &result, err);
    PQclear(result);
    return status;
}

/* see metastore/postgres/rows.h */
enum ael_status ael_pg_row_load_latest(
    struct ael_pg_conn *conn, struct ael_bytes id, struct ael_key_record_buf *out, struct ael_error *err) {
    struct parameters parameters;
    PGresult *result = NULL;
    int which = reads_cut(conn) ? LATEST_CUT : LATEST;
    enum ael_status status = prepare(conn, which, err);
    if (status != AEL_OK) {
        return status;
    }
    set_parameters(conn, &parameters, which, id, 0);
    status = read_one(conn, &parameters.statement, NULL, out, &result, err);
    PQclear(result);
    return status;
}

/* see metastore/postgres/rows.h */
enum ael_status ael_pg_rows_check(struct ael_pg_conn *conn, struct ael_error *err) {
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    enum ael_status status = ael_pg_row_load_latest(conn, ael_bytes_from_text("__ael_health__"), &out, err);
    ael_key_record_buf_clear(&out);
    if (status != AEL_E_KEY_NOT_FOUND) {
        return status;
    }
    const struct ael_pg_statement statement = {.sql = "SELECT current_setting('transaction_read_only')"};
    PGresult *result = NULL;
    status = ael_pg_run(conn, &statement, &result, err);
    if (status == AEL_OK && strcmp(PQgetvalue(result, 0, 0), "off") != 0) {
        status = ael_error_set(err, AEL_E_BACKEND, 0, AEL_PG_COMPONENT, "the database takes no writes");
    }
    PQclear(result);
    return status;
}

/* ---- listing ---- */

static bool list_row(void *context, const PGresult *row) {
    struct ael_sql_listing *listing = context;
    struct ael_key_record_buf record = AEL_KEY_RECORD_BUF_INIT;
    struct ael_bytes id = {
        (const uint8_t *)PQgetvalue(row, 0, COLUMN_ID), (size_t)PQgetlength(row, 0, COLUMN_ID)};
    if (!ael_sql_listing_goes_on(listing)) {
        return false;
    }
    enum ael_status status = read_row(row, NULL, &record, listing->err);
    return ael_sql_listing_hand_on(listing, status, id, &record);
}

/* see metastore/postgres/rows.h */
enum ael_status ael_pg_rows_list(
    struct ael_pg_conn *conn,
    struct ael_bytes prefix,
    ael_metastore_visit_fn visit,
    void *context,
    struct ael_error *err) {
    struct parameters parameters;
    struct ael_sql_listing listing = {&conn->base, visit, context, AEL_OK, err};
    enum ael_status status = prepare(conn, LIST, err);
    if (status != AEL_OK) {
        return status;
    }
    set_parameters(conn, &parameters, LIST, prefix, 0);
    status = ael_pg_run_rows(conn, &parameters.statement, list_row, &listing, err);
    return status == AEL_OK ? listing.status : status;
}

/* ---- writing ---- */

static enum ael_status check_created(int64_t created_s, struct ael_error *err) {
    if (created_s > k_created_max_s) {
        return ael_error_set(err, AEL_E_ARGUMENT, 0, AEL_PG_COMPONENT, "created lies after the year 9999");
    }
    return AEL_OK;
}

static enum ael_status
json_text(const struct ael_key_record *record, struct ael_buf *json, struct ael_error *err) {
    static const uint8_t k_nul[1] = {0};
    enum ael_status status = ael_key_record_to_json(record, json);
    if (status == AEL_OK) {
        status = ael_buf_append(json, (struct ael_bytes){k_nul, 1});
    }
    return status == AEL_OK ? AEL_OK
                            : ael_error_set(err, status, 0, AEL_PG_COMPONENT, "the record has no JSON");
}

/* Runs a prepared statement that writes; *written tells whether it changed a row. */
static enum ael_status write_row(
    struct ael_pg_conn *conn,
    const struct ael_pg_statement *statement,
    bool *written,
    struct ael_error *err) {
    PGresult *result = NULL;
    enum ael_status status = ael_pg_run(conn, statement, &result, err);
    if (status == AEL_OK) {
        *written = strcmp(PQcmdTuples(result), "1") == 0;
    } else {
        status = ael_sql_write_failed(&conn->base, status, AEL_PG_COMPONENT, err);
    }
    PQclear(result);
    return status;
}

/* see metastore/postgres/rows.h */
enum ael_status ael_pg_row_store(
    struct ael_pg_conn *conn,
    struct ael_bytes id,
    const struct ael_key_record *record,
    bool *stored,
    struct ael_error *err) {
    struct parameters parameters;
    struct ael_buf json = AEL_BUF_INIT;
    enum ael_status status = check_created(record->created_s, err);
    if (status == AEL_OK) {
        status = prepare(conn, STORE, err);
    }
    if (status == AEL_OK) {
        /* a column would silently cut off blanks that are too many */
        status = ael_sql_id_check(id, conn->table.id_max_chars, "make it TEXT", AEL_PG_COMPONENT, err);
    }
    if (status == AEL_OK) {
        status = json_text(record, &json, err);
    }
    if (status == AEL_OK) {
        set_parameters(conn, &parameters, STORE, id, record->created_s);
        parameters.statement.values[2] = (const char *)json.data;
        status = write_row(conn, &parameters.statement, stored, err);
    }
    ael_buf_clear(&json);
    return status;
}

/* Writes desired where the text is still the one that was read. */
static enum ael_status update_row(
    struct ael_pg_conn *conn,
    struct ael_bytes id,
    const struct ael_key_record *desired,
    const char *present,
    bool *replaced,
    struct ael_error *err) {
    struct parameters parameters;
    struct ael_buf json = AEL_BUF_INIT;
    enum ael_status status = prepare(conn, UPDATE, err);
    if (status == AEL_OK) {
        status = json_text(desired, &json, err);
    }
    if (status == AEL_OK) {
        set_parameters(conn, &parameters, UPDATE, id, desired->created_s);
        parameters.statement.values[2] = (const char *)json.data;
        parameters.statement.values[3] = present;
        status = write_row(conn, &parameters.statement, replaced, err);
    }
    ael_buf_clear(&json);
    return status;
}

/* see metastore/postgres/rows.h */
enum ael_status ael_pg_row_replace(
    struct ael_pg_conn *conn,
    struct ael_bytes id,
    const struct ael_key_record *expected,
    const struct ael_key_record *desired,
    bool *replaced,
    struct ael_error *err) {
    struct ael_key_record_buf present = AEL_KEY_RECORD_BUF_INIT;
    PGresult *row = NULL;
    enum ael_status status = load_row(conn, id, expected->created_s, &present, &row, err);
    if (status == AEL_OK && ael_key_record_equal(&present.record, expected)) {
        status = update_row(conn, id, desired, (const char *)record_in(row).data, replaced, err);
    }
    PQclear(row);
    ael_key_record_buf_clear(&present);
    return status;
}
