/* SPDX-License-Identifier: Apache-2.0 */
#include "metastore/postgres/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SERVER_LOOKS_FOR_CLIENT = 140000, TABLE_ATTEMPTS = 3 };

/*
 * A statement whose client is gone ends within half a second (from version 14 on), or at the latest after a
 * minute where the host did not say otherwise. Rows are compared and written in single statements at read
 * committed.
 *
 * Not behind a pooler, whose other clients would find these settings; $1 is the number of the server's
 * process as the log-in told it, and a pooler tells one of its own. TimeZone is set in any case: it is one of
 * the few that PgBouncer keeps for each client and takes from one connection to the next. In UTC, so that an
 * instant stays what it is also when the column's type is changed under the statements of a connection.
 */
#define IF_DIRECT "CASE WHEN pg_backend_pid() = $1::int THEN "
#define SETTINGS                                                                                             \
    "SELECT current_setting('synchronous_commit'), current_setting('fsync'), pg_backend_pid() = $1::int,"    \
    " set_config('TimeZone', 'UTC', false),"                                                                 \
    " " IF_DIRECT "set_config('default_transaction_isolation', 'read committed', false) END,"                \
    " " IF_DIRECT "CASE current_setting('statement_timeout') WHEN '0' THEN"                                  \
    " set_config('statement_timeout', '60s', false) END END"

static const char k_settings[] = SETTINGS;
static const char k_settings_14[] =
    SETTINGS ", " IF_DIRECT "set_config('client_connection_check_interval', '500ms', false) END";

enum { SET_COMMITS, SET_FLUSHES, SET_IS_DIRECT };
enum { PID_BYTES = 16 };

/* Numbers of pg_type, which never change. */
enum {
    TYPE_TEXT = 25,
    TYPE_JSON = 114,
    TYPE_VARCHAR = 1043,
    TYPE_TIMESTAMP = 1114,
    TYPE_TIMESTAMPTZ = 1184,
    TYPE_JSONB = 3802
};
enum { VARCHAR_HEADER = 4 };

enum { FOUND_ID, FOUND_ID_MOD, FOUND_CREATED, FOUND_KEY_RECORD, FOUND_UNIQUE, FOUND_BYTES };

/* One row when the table is there. A collation that is not deterministic calls different bytes equal. */
static const char k_find[] =
    "SELECT i.atttypid, i.atttypmod, c.atttypid, k.atttypid,"
    " EXISTS (SELECT FROM pg_catalog.pg_index x WHERE x.indrelid = i.attrelid AND x.indisunique AND "
    "x.indisvalid"
    "  AND x.indimmediate AND x.indpred IS NULL AND x.indnkeyatts = 2"
    "  AND ((x.indkey[0] = i.attnum AND x.indkey[1] = c.attnum) OR (x.indkey[0] = c.attnum AND x.indkey[1] = "
    "i.attnum))),"
    " coalesce((SELECT l.collisdeterministic FROM pg_catalog.pg_collation l WHERE l.oid = i.attcollation), "
    "true)"
    " FROM pg_catalog.pg_attribute i"
    " LEFT JOIN pg_catalog.pg_attribute c ON c.attrelid = i.attrelid AND c.attname = 'created' AND NOT "
    "c.attisdropped"
    " LEFT JOIN pg_catalog.pg_attribute k ON k.attrelid = i.attrelid AND k.attname = 'key_record' AND NOT "
    "k.attisdropped"
    " WHERE i.attrelid = to_regclass('encryption_key') AND i.attname = 'id' AND NOT i.attisdropped";

/*
 * Installed as metastore/schema/postgres.sql, too. JSON, so that the Rust SDK can write it and the Go SDK's
 * text is kept as it is; TIMESTAMPTZ, so that no writer's time zone matters.
 */
static const char k_create[] = "CREATE TABLE IF NOT EXISTS encryption_key ("
                               "id TEXT NOT NULL, "
                               "created TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP, "
                               "key_record JSON NOT NULL, "
                               "PRIMARY KEY (id, created))";

static bool is_true_at(const PGresult *result, int column) {
    return strcmp(PQgetvalue(result, 0, column), "t") == 0;
}

/* see metastore/postgres/table.h */
enum ael_status
ael_pg_session_init(struct ael_pg_conn *conn, struct ael_pg_durability *durability, struct ael_error *err) {
    bool looks = PQserverVersion(conn->pg) >= SERVER_LOOKS_FOR_CLIENT;
    char pid[PID_BYTES];
    const struct ael_pg_statement statement = {
        .sql = looks ? k_settings_14 : k_settings, .count = 1, .values = {pid}};
    PGresult *result = NULL;
    (void)snprintf(pid, sizeof(pid), "%d", PQbackendPID(conn->pg));
    enum ael_status status = ael_pg_run(conn, &statement, &result, err);
    if (status == AEL_OK && PQntuples(result) == 1) {
        durability->commits_lazily = strcmp(PQgetvalue(result, 0, SET_COMMITS), "off") == 0;
        durability->is_never_flushed = strcmp(PQgetvalue(result, 0, SET_FLUSHES), "off") == 0;
        conn->is_pooled = !is_true_at(result, SET_IS_DIRECT);
    }
    PQclear(result);
    return status;
}

/* ---- finding ---- */

static enum ael_status wrong_table(struct ael_error *err, const char *why) {
    return ael_error_set(err, AEL_E_BACKEND, 0, AEL_PG_COMPONENT, "%s", why);
}

/* 0 for NULL. */
static long number_at(const PGresult *result, int column) {
    return strtol(PQgetvalue(result, 0, column), NULL, 10);
}

static enum ael_status read_types(const PGresult *result, struct ael_pg_table *table, struct ael_error *err) {
    long id = number_at(result, FOUND_ID);
    if (id != TYPE_TEXT && id != TYPE_VARCHAR) {
        return wrong_table(err, "the column id of encryption_key is neither TEXT nor VARCHAR");
    }
    long id_mod = number_at(result, FOUND_ID_MOD);
    table->id_max_chars = id_mod > VARCHAR_HEADER ? (int)id_mod - VARCHAR_HEADER : 0;
    switch (number_at(result, FOUND_CREATED)) {
    case TYPE_TIMESTAMP:
        table->created = AEL_PG_TIMESTAMP;
        break;
    case TYPE_TIMESTAMPTZ:
        table->created = AEL_PG_TIMESTAMPTZ;
        break;
    default:
        return wrong_table(err, "the column created of encryption_key is neither TIMESTAMP nor TIMESTAMPTZ");
    }
    switch (number_at(result, FOUND_KEY_RECORD)) {
    case TYPE_TEXT:
    case TYPE_VARCHAR:
        table->key_record = AEL_PG_TEXT;
        return AEL_OK;
    case TYPE_JSON:
        table->key_record = AEL_PG_JSON;
        return AEL_OK;
    case TYPE_JSONB:
        table->key_record = AEL_PG_JSONB;
        return AEL_OK;
    default:
        return wrong_table(err, "the column key_record of encryption_key is neither TEXT nor JSON nor JSONB");
    }
}

static enum ael_status read_table(const PGresult *result, struct ael_pg_table *table, struct ael_error *err) {
    table->is_missing = PQntuples(result) == 0;
    if (table->is_missing) {
        return wrong_table(
            err,
            "there is no table encryption_key in the search path: run ael_metastore_ensure_schema, or the "
            "installed postgres.sql");
    }
    if (!is_true_at(result, FOUND_UNIQUE)) {
        return wrong_table(
            err,
            "encryption_key has no primary key (id, created): two writers could both store the same key");
    }
    if (!is_true_at(result, FOUND_BYTES)) {
        return wrong_table(
            err, "the collation of the column id is not deterministic: ids are compared by bytes");
    }
    return read_types(result, table, err);
}

/* see metastore/postgres/table.h */
enum ael_status ael_pg_table_find(struct ael_pg_conn *conn, struct ael_error *err) {
    if (conn->table.is_known) {
        return AEL_OK;
    }
    const struct ael_pg_statement statement = {.sql = k_find};
    PGresult *result = NULL;
    enum ael_status status = ael_pg_run(conn, &statement, &result, err);
    if (status == AEL_OK) {
        status = read_table(result, &conn->table, err);
        conn->table.is_known = status == AEL_OK;
    }
    PQclear(result);
    return status;
}

/* see metastore/postgres/table.h */
bool ael_pg_table_is_as_found(struct ael_pg_conn *conn) {
    const struct ael_pg_table found = conn->table;
    conn->table.is_known = false;
    return ael_pg_table_find(conn, NULL) == AEL_OK && conn->table.created == found.created &&
           conn->table.key_record == found.key_record;
}

/* see metastore/postgres/table.h. Of two that make it at once one may be told that it is there
 * already, and not by that name. */
enum ael_status ael_pg_table_ensure(struct ael_pg_conn *conn, struct ael_error *err) {
    const struct ael_pg_statement statement = {.sql = k_create};
    enum ael_status status = AEL_OK;
    for (int attempt = 0; attempt < TABLE_ATTEMPTS; attempt++) {
        PGresult *result = NULL;
        status = ael_pg_run(conn, &statement, &result, err);
        PQclear(result);
        if (status != AEL_E_BACKEND || conn->base.broken) {
            break;
        }
    }
    conn->table.is_known = false;
    return status == AEL_OK ? ael_pg_table_find(conn, err) : status;
}
