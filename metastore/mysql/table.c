/* SPDX-License-Identifier: Apache-2.0 */
#include "metastore/mysql/table.h"

#include <mysqld_error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { SQL_BYTES = 512 };

/*
 * What does not fit must be an error, never be cut off; ids are sorted in their whole length; no setting of
 * the server's changes characters or cuts a listing; what a client has given up does not go on for long.
 */
static const char k_settings[] =
    "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE', max_sort_length = 8192,"
    " character_set_client = utf8mb4, character_set_connection = utf8mb4, character_set_results = utf8mb4,"
    " sql_select_limit = 18446744073709551615,"
    " autocommit = 1, lock_wait_timeout = 10, innodb_lock_wait_timeout = 10, time_zone = '%s' /*M! , "
    "max_statement_time = 60 */";

/* In Galera, what is read or changed is what other nodes had acknowledged. Elsewhere it is unknown, or does
 * nothing. */
static const char k_settings_cluster[] = "SET SESSION wsrep_sync_wait = 3";

/* A node outside of the primary component takes connections all the same. SHOW it answers always. */
static const char k_is_clustered[] = "SHOW GLOBAL VARIABLES LIKE 'wsrep_on'";
static const char k_is_ready[] = "SHOW GLOBAL STATUS LIKE 'wsrep_ready'";

static const char k_server[] =
    "SELECT @@global.read_only OR @@global.innodb_read_only, @@global.innodb_flush_log_at_trx_commit <> 1"
    " OR (@@global.log_bin AND @@global.sync_binlog <> 1),"
    " TIMESTAMPDIFF(SECOND, UTC_TIMESTAMP(), CONVERT_TZ(UTC_TIMESTAMP(), '+00:00', @@global.time_zone)) <> 0";

enum { SERVER_READ_ONLY, SERVER_LAZY, SERVER_NOT_UTC };

static const char k_find[] =
    "SELECT MAX(IF(LOWER(COLUMN_NAME) = 'id', DATA_TYPE, NULL)),"
    " MAX(IF(LOWER(COLUMN_NAME) = 'id', CHARACTER_MAXIMUM_LENGTH, NULL)),"
    " MAX(IF(LOWER(COLUMN_NAME) = 'id', COLLATION_NAME, NULL)),"
    " MAX(IF(LOWER(COLUMN_NAME) = 'created', DATA_TYPE, NULL)),"
    " MAX(IF(LOWER(COLUMN_NAME) = 'key_record', DATA_TYPE, NULL)),"
    " (SELECT COUNT(*) FROM (SELECT 1 FROM information_schema.STATISTICS"
    " WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'encryption_key' AND NON_UNIQUE = 0"
    " GROUP BY INDEX_NAME"
    " HAVING COUNT(*) = 2 AND SUM(LOWER(COLUMN_NAME) IN ('id', 'created')) = 2) AS u),"
    " (SELECT ENGINE FROM information_schema.TABLES"
    " WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'encryption_key')"
    " FROM information_schema.COLUMNS"
    " WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'encryption_key'";

static const char k_open[] = "SELECT id, created, key_record FROM encryption_key LIMIT 0";

enum {
    FOUND_ID,
    FOUND_ID_CHARS,
    FOUND_COLLATION,
    FOUND_CREATED,
    FOUND_KEY_RECORD,
    FOUND_UNIQUE,
    FOUND_ENGINE
};

/*
 * Installed as metastore/schema/mysql.sql, too. DATETIME, which no session's time zone moves and which does
 * not end in 2038; a collation by which ids are the same when their bytes are: each server knows one, by
 * another name.
 */
static const char k_create[] = "CREATE TABLE IF NOT EXISTS encryption_key ("
                               "id VARCHAR(255) CHARACTER SET utf8mb4 /*M! COLLATE utf8mb4_nopad_bin */ "
                               "/*!80017 COLLATE utf8mb4_0900_bin */"
                               " NOT NULL, "
                               "created DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP, "
                               "key_record TEXT CHARACTER SET utf8mb4 NOT NULL, "
                               "PRIMARY KEY (id, created), "
                               "KEY created (created)) ENGINE=InnoDB";

/* ---- sessions ---- */

static enum ael_status
run_text(struct ael_my_conn *conn, const char *sql, MYSQL_RES **rows, struct ael_error *err) {
    return ael_my_run(conn, ael_bytes_from_text(sql), rows, err);
}

static enum ael_status set(struct ael_my_conn *conn, const char *sql, struct ael_error *err) {
    MYSQL_RES *rows = NULL;
    enum ael_status status = run_text(conn, sql, &rows, err);
    mysql_free_result(rows);
    return status;
}

/* *is_on tells whether there is a row with the value ON. */
static enum ael_status show(struct ael_my_conn *conn, const char *sql, bool *is_on, struct ael_error *err) {
    MYSQL_RES *rows = NULL;
    enum ael_status status = run_text(conn, sql, &rows, err);
    MYSQL_ROW row = rows == NULL ? NULL : mysql_fetch_row(rows);
    *is_on = row != NULL && row[1] != NULL && strcmp(row[1], "ON") == 0;
    mysql_free_result(rows);
    return status;
}

static enum ael_status look_at_cluster(struct ael_my_conn *conn, struct ael_error *err) {
    bool is_on = false;
    enum ael_status status = show(conn, k_is_clustered, &is_on, err);
    if (status != AEL_OK || !is_on) {
        return status;
    }
    status = show(conn, k_is_ready, &is_on, err);
    if (status == AEL_OK && !is_on) {
        return ael_error_set(
            err, AEL_E_UNREACHABLE, 0, AEL_MY_COMPONENT,
            "the node is in no primary component of its cluster");
    }
    return status;
}

static enum ael_status set_cluster(struct ael_my_conn *conn, struct ael_error *err) {
    enum ael_status status = set(conn, k_settings_cluster, err);
    if (status == AEL_E_BACKEND && ael_my_error_number(conn) == ER_UNKNOWN_SYSTEM_VARIABLE) {
        return AEL_OK;
    }
    return status == AEL_OK ? look_at_cluster(conn, err) : status;
}

static enum ael_status
set_consistency(struct ael_my_conn *conn, const char *consistency, struct ael_error *err) {
    char sql[SQL_BYTES];
    if (consistency == NULL) {
        return AEL_OK;
    }
    (void)snprintf(sql, sizeof sql, "SET SESSION aurora_replica_read_consistency = '%s'", consistency);
    enum ael_status status = set(conn, sql, err);
    if (status == AEL_E_BACKEND && ael_my_error_number(conn) == ER_UNKNOWN_SYSTEM_VARIABLE) {
        return ael_error_set(
            err, AEL_E_BACKEND, ER_UNKNOWN_SYSTEM_VARIABLE, AEL_MY_COMPONENT,
            "replica_read_consistency is for readers of Amazon Aurora, and this server is none");
    }
    return status;
}

static bool is_true(const char *value) {
    return value != NULL && strcmp(value, "0") != 0;
}

static enum ael_status
look_at_server(struct ael_my_conn *conn, struct ael_my_server *server, struct ael_error *err) {
    MYSQL_RES *rows = NULL;
    enum ael_status status = run_text(conn, k_server, &rows, err);
    MYSQL_ROW row = rows == NULL ? NULL : mysql_fetch_row(rows);
    if (row != NULL) {
        server->is_read_only = is_true(row[SERVER_READ_ONLY]);
        server->flushes_lazily = is_true(row[SERVER_LAZY]);
        server->is_not_utc = is_true(row[SERVER_NOT_UTC]);
    }
    mysql_free_result(rows);
    return status;
}

/* see metastore/mysql/table.h */
enum ael_status ael_my_session_init(
    struct ael_my_conn *conn,
    const char *time_zone,
    const char *consistency,
    struct ael_my_server *server,
    struct ael_error *err) {
    char sql[SQL_BYTES];
    (void)snprintf(sql, sizeof sql, k_settings, time_zone);
    enum ael_status status = set(conn, sql, err);
    if (status == AEL_OK) {
        status = set_cluster(conn, err);
    }
    if (status == AEL_OK) {
        status = set_consistency(conn, consistency, err);
    }
    return status == AEL_OK ? look_at_server(conn, server, err) : status;
}

/* ---- finding ---- */

static enum ael_status wrong_table(struct ael_error *err, const char *why) {
    return ael_error_set(err, AEL_E_BACKEND, 0, AEL_MY_COMPONENT, "%s", why);
}

static bool is_one_of(const char *text, const char *const *words) {
    for (; text != NULL && *words != NULL; words++) {
        if (strcasecmp(text, *words) == 0) {
            return true;
        }
    }
    return false;
}

static bool ends_with(const char *text, const char *end) {
    size_t len = strlen(text);
    size_t end_len = strlen(end);
    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

/* NULL: a column of bytes. Most collations that compare code points still take trailing spaces for
 * nothing. */
static void read_collation(struct ael_my_table *table, const char *collation) {
    table->ignores_case =
        collation != NULL && strcmp(collation, "binary") != 0 && !ends_with(collation, "_bin");
    table->has_our_characters =
        collation == NULL || strcmp(collation, "binary") == 0 || strncmp(collation, "utf8mb4_", 8) == 0;
    table->compares_bytes = collation == NULL || strcmp(collation, "binary") == 0 ||
                            ends_with(collation, "_nopad_bin") || strcmp(collation, "utf8mb4_0900_bin") == 0;
}

static enum ael_status read_types(MYSQL_ROW row, struct ael_my_table *table, struct ael_error *err) {
    static const char *const k_id[] = {"varchar",    "varbinary", "text", "tinytext",
                                       "mediumtext", "longtext",  NULL};
    static const char *const k_created[] = {"timestamp", "datetime", NULL};
    static const char *const k_record[] = {"text", "mediumtext", "longtext", "varchar", "json", NULL};
    if (!is_one_of(row[FOUND_ID], k_id)) {
        return wrong_table(err, "the column id of encryption_key is neither VARCHAR nor TEXT nor VARBINARY");
    }
    if (!is_one_of(row[FOUND_CREATED], k_created)) {
        return wrong_table(err, "the column created of encryption_key is neither TIMESTAMP nor DATETIME");
    }
    if (!is_one_of(row[FOUND_KEY_RECORD], k_record)) {
        return wrong_table(err, "the column key_record of encryption_key is neither TEXT nor JSON");
    }
    unsigned long chars = row[FOUND_ID_CHARS] == NULL ? 0 : strtoul(row[FOUND_ID_CHARS], NULL, 10);
    table->id_max_chars = chars > 65535 ? 0 : (int)chars;
    table->is_timestamp = strcasecmp(row[FOUND_CREATED], "timestamp") == 0;
    read_collation(table, row[FOUND_COLLATION]);
    return AEL_OK;
}

static enum ael_status read_table(MYSQL_ROW row, struct ael_my_table *table, struct ael_error *err) {
    static const char *const k_volatile[] = {"MEMORY", "MyISAM", "CSV", "BLACKHOLE", NULL};
    table->is_missing = row == NULL || row[FOUND_ENGINE] == NULL;
    if (table->is_missing) {
        return wrong_table(
            err, "the database has no table encryption_key: run ael_metastore_ensure_schema, or the "
                 "installed mysql.sql");
    }
    if (!is_true(row[FOUND_UNIQUE])) {
        return wrong_table(
            err,
            "encryption_key has no primary key (id, created): two writers could both store the same key");
    }
    table->is_volatile = is_one_of(row[FOUND_ENGINE], k_volatile);
    return read_types(row, table, err);
}

static enum ael_status look_at_table(struct ael_my_conn *conn, struct ael_error *err) {
    MYSQL_RES *rows = NULL;
    enum ael_status status = run_text(conn, k_find, &rows, err);
    if (status == AEL_OK) {
        status = read_table(rows == NULL ? NULL : mysql_fetch_row(rows), &conn->table, err);
        conn->table.is_known = status == AEL_OK;
    }
    mysql_free_result(rows);
    return status;
}

/*
 * Of a table that it cannot open just now, a server that starts or goes down tells what it knows without it,
 * and calls that no error. So what it tells must be so with the table opened, or refused by a statement that
 * tells why.
 */
static enum ael_status look_once_more(struct ael_my_conn *conn, struct ael_error *err) {
    enum ael_status status = set(conn, k_open, err);
    unsigned number = status == AEL_OK ? 0 : ael_my_error_number(conn);
    bool is_its_shape = number == ER_NO_SUCH_TABLE || number == ER_BAD_FIELD_ERROR;
    return status == AEL_OK || is_its_shape ? look_at_table(conn, err) : status;
}

/* see metastore/mysql/table.h */
enum ael_status ael_my_table_find(struct ael_my_conn *conn, struct ael_error *err) {
    enum ael_status status = conn->table.is_known ? AEL_OK : look_at_table(conn, err);
    return status == AEL_E_BACKEND ? look_once_more(conn, err) : status;
}

/* see metastore/mysql/table.h */
enum ael_status ael_my_table_ensure(struct ael_my_conn *conn, struct ael_error *err) {
    enum ael_status status = set(conn, k_create, err);
    conn->table.is_known = false;
    return status == AEL_OK ? ael_my_table_find(conn, err) : status;
}
