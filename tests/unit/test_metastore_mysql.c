/*
 * test_metastore_mysql.c - what the MySQL store does beyond the contract, against a real server: TLS and log-in, tables
 * and rows that somebody else made, collations, bounds, deadlines, connections and hosts that end, forks.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ael/hooks.h>
#include <ael/metastore_mysql.h>
#include <ael/record.h>
#include <ael/sys/metastore_backend.h>

#include "tests/support/loopback.h"
#include "tests/support/mariadb_server.h"
#include "tests/support/store_calls.h"
#include "tests/support/suite.h"
#include "tests/support/watch_log.h"

#include <mysql.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TEXT_BYTES = 1024, TRIES = 3000, TRY_MS = 10 };

#define CREATED_TEXT "2023-11-14 22:14:00"

static struct mariadb_server g_server;

/* ---- stores ---- */

static enum ael_status open_at(const char *connection, struct ael_metastore **store, struct ael_error *err) {
    struct ael_metastore_mysql_options options = AEL_METASTORE_MYSQL_OPTIONS_INIT;
    options.connection = connection;
    options.max_connections = 4;
    options.connect_timeout_ms = PATIENT_MS;
    options.answer_timeout_ms = PATIENT_MS;
    return ael_metastore_mysql_new(&options, store, err);
}

static struct ael_metastore *open_with(const struct ael_metastore_mysql_options *wanted) {
    char text[TEXT_BYTES];
    struct ael_metastore *store = NULL;
    struct ael_error err = {0};
    struct ael_metastore_mysql_options options = *wanted;
    if (options.connection == NULL) {
        options.connection = mariadb_server_local(&g_server, text, sizeof text);
    }
    enum ael_status status = ael_metastore_mysql_new(&options, &store, &err);
    if (status != AEL_OK) {
        printf("\n    %s: %s", ael_status_name(status), err.detail);
    }
    CU_ASSERT_EQUAL_FATAL(status, AEL_OK);
    return store;
}

static struct ael_metastore *open_store(void) {
    struct ael_metastore_mysql_options options = AEL_METASTORE_MYSQL_OPTIONS_INIT;
    options.connect_timeout_ms = PATIENT_MS;
    options.answer_timeout_ms = PATIENT_MS;
    return open_with(&options);
}

static void sql(const char *text) {
    CU_ASSERT_TRUE(mariadb_server_sql(&g_server, text) >= 0);
}

/* As MySQL's documentation for the other SDKs has it, but for what is filled in. */
static void make_table(const char *id, const char *created, const char *key_record) {
    char text[TEXT_BYTES];
    sql("DROP TABLE IF EXISTS encryption_key");
    (void)snprintf(
        text, sizeof text,
        "CREATE TABLE encryption_key (id %s NOT NULL, created %s NOT NULL DEFAULT CURRENT_TIMESTAMP, "
        "key_record %s,"
        " PRIMARY KEY (id, created), INDEX (created))",
        id, created, key_record);
    sql(text);
}

static void make_go_table(void) {
    make_table("VARCHAR(255)", "TIMESTAMP", "TEXT");
}

/* A store on an empty table of its own make. */
static struct ael_metastore *open_fresh(void) {
    sql("DROP TABLE IF EXISTS encryption_key");
    struct ael_metastore *store = open_store();
    CU_ASSERT_EQUAL(ael_metastore_ensure_schema(store, NULL, NULL), AEL_OK);
    return store;
}

/* ---- the server ---- */

static void test_server__starts(void) {
    CU_ASSERT_TRUE_FATAL(mariadb_server_init(&g_server));
}

static void test_server__ends(void) {
    CU_ASSERT_EQUAL(ael_hooks_set(NULL), AEL_OK);
    mariadb_server_clear(&g_server);
}

static void restart(const char *options) {
    mariadb_server_end(&g_server, SIGTERM);
    CU_ASSERT_TRUE_FATAL(mariadb_server_start(&g_server, options));
}

/* ---- options ---- */

static void expect_refused(const struct ael_metastore_mysql_options *options) {
    struct ael_metastore *store = (struct ael_metastore *)&g_server;
    struct ael_error err = {0};
    CU_ASSERT_EQUAL(ael_metastore_mysql_new(options, &store, &err), AEL_E_ARGUMENT);
    CU_ASSERT_PTR_NULL(store);
    CU_ASSERT_EQUAL(err.status, AEL_E_ARGUMENT);
}

static void test_mysql_new__refuses_bad_options(void) {
    struct ael_metastore_mysql_options good = AEL_METASTORE_MYSQL_OPTIONS_INIT;
    good.connection = "/keys";
    struct ael_metastore_mysql_options bad = good;
    CU_ASSERT_EQUAL(ael_metastore_mysql_new(&good, NULL, NULL), AEL_E_ARGUMENT);
    expect_refused(NULL);
    bad.size--;
    expect_refused(&bad);
    bad = good;
    bad.max_connections = 0;
    expect_refused(&bad);
    bad.max_connections = 1025;
    expect_refused(&bad);
    bad = good;
    bad.connect_timeout_ms = 0;
    expect_refused(&bad);
    bad = good;
    bad.answer_timeout_ms = 0;
    expect_refused(&bad);
    bad = good;
    bad.connection = NULL;
    expect_refused(&bad);
    bad = good;
    bad.replica_read_consistency = "strong";
    expect_refused(&bad);
}

/* ---- TLS and log-in ---- */

/* Parameters with %s for the folder. */
static enum ael_status open_url(const char *format, struct ael_error *err) {
    char parameters[TEXT_BYTES];
    char url[2 * TEXT_BYTES];
    struct ael_metastore *store = NULL;
    size_t at = 0;
    parameters[0] = '\0';
    for (const char *piece = format; *piece != '\0' && at + sizeof g_server.folder < sizeof parameters;
         piece++) {
        if (piece[0] == '%' && piece[1] == 's') {
            at += (size_t)snprintf(parameters + at, sizeof parameters - at, "%s", g_server.folder);
            piece++;
        } else {
            at += (size_t)snprintf(parameters + at, sizeof parameters - at, "%c", *piece);
        }
    }
    enum ael_status status = open_at(mariadb_server_url(&g_server, parameters, url, sizeof url), &store, err);
    ael_metastore_release(store);
    CU_ASSERT_EQUAL(store != NULL, status == AEL_OK);
    CU_ASSERT_PTR_NULL(strstr(err->detail, MARIADB_SERVER_PASSWORD));
    return status;
}

static void test_mysql_tls__is_verified_unless_told_otherwise(void) {
    struct ael_error err = {0};
    watch_log();
    CU_ASSERT_EQUAL(open_url("ssl-ca=%s/ca.pem", &err), AEL_OK);
    CU_ASSERT_FALSE(was_logged("certificate"));
    CU_ASSERT_FALSE(was_logged("encrypted"));
    CU_ASSERT_EQUAL(open_url("", &err), AEL_E_UNREACHABLE); /* no authority of the system's */
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, "certificate"));
    CU_ASSERT_EQUAL(open_url("ssl-ca=%s/server.pem", &err), AEL_E_UNREACHABLE); /* not who signed it */
    CU_ASSERT_EQUAL(open_url("ssl-ca=%s/none.pem", &err), AEL_E_UNREACHABLE);
    CU_ASSERT_FALSE(was_logged("not verified"));
    CU_ASSERT_EQUAL(open_url("tls=skip-verify", &err), AEL_OK);
    CU_ASSERT_TRUE(was_logged("not verified"));
    CU_ASSERT_EQUAL(open_url("tls=false", &err), AEL_OK);
    CU_ASSERT_TRUE(was_logged("not encrypted"));
    sql("ALTER USER '" MARIADB_SERVER_USER "'@'%' REQUIRE SSL");
    CU_ASSERT_EQUAL(open_url("tls=false", &err), AEL_E_BACKEND);
    CU_ASSERT_EQUAL(open_url("tls=skip-verify", &err), AEL_OK);
    CU_ASSERT_EQUAL(open_url("ssl-ca=%s/ca.pem", &err), AEL_OK);
    sql("ALTER USER '" MARIADB_SERVER_USER "'@'%' REQUIRE NONE");
}

static void test_mysql_tls__gives_certificates_of_clients(void) {
    struct ael_error err = {0};
    sql("ALTER USER '" MARIADB_SERVER_USER "'@'%' REQUIRE SUBJECT '/CN=client'");
    CU_ASSERT_EQUAL(open_url("ssl-ca=%s/ca.pem", &err), AEL_E_BACKEND);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, "1045"));
    CU_ASSERT_EQUAL(
        open_url("ssl-ca=%s/ca.pem&ssl-cert=%s/other.pem&ssl-key=%s/other.key", &err), AEL_E_BACKEND);
    CU_ASSERT_EQUAL(
        open_url("ssl-ca=%s/ca.pem&ssl-cert=%s/client.pem&ssl-key=%s/other.key", &err), AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(open_url("ssl-ca=%s/ca.pem&ssl-cert=%s/client.pem&ssl-key=%s/client.key", &err), AEL_OK);
    sql("ALTER USER '" MARIADB_SERVER_USER "'@'%' REQUIRE NONE");
}

static void restart_with_certificate(const char *name) {
    char options[TEXT_BYTES];
    (void)snprintf(
        options, sizeof options, "--ssl-cert=%s/%s.pem --ssl-key=%s/%s.key", g_server.folder, name,
        g_server.folder, name);
    restart(options);
}

static void test_mysql_tls__refuses_foreign_and_old_certificates(void) {
    struct ael_error err = {0};
    restart_with_certificate("other");
    CU_ASSERT_EQUAL(open_url("ssl-ca=%s/ca.pem", &err), AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(open_url("tls=skip-verify", &err), AEL_OK);
    restart_with_certificate("expired");
    CU_ASSERT_EQUAL(open_url("ssl-ca=%s/ca.pem", &err), AEL_E_UNREACHABLE);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, "expired"));
    restart("--skip-ssl");
    CU_ASSERT_EQUAL(open_url("ssl-ca=%s/ca.pem", &err), AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(open_url("tls=skip-verify", &err), AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(open_url("tls=false", &err), AEL_OK);
    restart(NULL);
}

static void test_mysql_new__tells_what_is_wrong_with_the_log_in(void) {
    struct ael_error err = {0};
    char connection[TEXT_BYTES];
    struct ael_metastore *store = NULL;
    (void)snprintf(connection, sizeof connection, "ael:hunter2@unix(%s/socket)/keys", g_server.folder);
    CU_ASSERT_EQUAL(open_at(connection, &store, &err), AEL_E_BACKEND);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, "1045"));
    CU_ASSERT_PTR_NULL(strstr(err.detail, "hunter2"));
    (void)snprintf(
        connection, sizeof connection, "%s:%s@unix(%s/socket)/none", MARIADB_SERVER_USER,
        MARIADB_SERVER_PASSWORD, g_server.folder);
    CU_ASSERT_EQUAL(open_at(connection, &store, &err), AEL_E_BACKEND);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, "none"));
    CU_ASSERT_EQUAL(open_at("u@unix(/tmp/there-is-no-such-socket)/keys", &store, &err), AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(open_at("u@tcp(no-such-host.invalid)/keys", &store, &err), AEL_E_UNREACHABLE);
    CU_ASSERT_PTR_NULL(store);
}

static void test_mysql_new__warns_of_what_may_lose_keys(void) {
    watch_log();
    ael_metastore_release(open_fresh());
    CU_ASSERT_STRING_EQUAL(logged_lines(), "");
    sql("SET GLOBAL innodb_flush_log_at_trx_commit = 2");
    sql("SET GLOBAL time_zone = '+02:00'");
    ael_metastore_release(open_store());
    CU_ASSERT_TRUE(was_logged("innodb_flush_log_at_trx_commit is not 1"));
    CU_ASSERT_TRUE(was_logged("time zone is not UTC"));
    sql("SET GLOBAL innodb_flush_log_at_trx_commit = 1");
    sql("SET GLOBAL time_zone = '+00:00'");
    watch_log();
    make_table("VARCHAR(255) COLLATE utf8mb4_general_ci", "TIMESTAMP", "TEXT");
    ael_metastore_release(open_store());
    CU_ASSERT_TRUE(was_logged("does not compare bytes"));
    watch_log();
    sql("ALTER TABLE encryption_key ENGINE=MyISAM, MODIFY id VARCHAR(100) COLLATE utf8mb4_bin");
    ael_metastore_release(open_store());
    CU_ASSERT_FALSE(was_logged("does not compare bytes"));
    CU_ASSERT_TRUE(was_logged("engine"));
    CU_ASSERT_FALSE(was_logged(MARIADB_SERVER_PASSWORD));
    mariadb_server_end(&g_server, SIGTERM);
    CU_ASSERT_TRUE_FATAL(mariadb_server_start(&g_server, "--log-bin"));
    watch_log();
    ael_metastore_release(open_fresh()); /* sync_binlog is 0 where nobody sets it */
    CU_ASSERT_TRUE(was_logged("sync_binlog is not 1"));
    sql("SET GLOBAL sync_binlog = 1");
    watch_log();
    ael_metastore_release(open_store());
    CU_ASSERT_STRING_EQUAL(logged_lines(), "");
    mariadb_server_end(&g_server, SIGTERM);
    CU_ASSERT_TRUE_FATAL(mariadb_server_start(&g_server, NULL));
}

/* ---- tables ---- */

static void expect_table_refused(const char *table, const char *why) {
    char text[TEXT_BYTES];
    struct ael_metastore *store = NULL;
    struct ael_error err = {0};
    sql("DROP TABLE IF EXISTS encryption_key");
    sql(table);
    CU_ASSERT_EQUAL(open_at(mariadb_server_local(&g_server, text, sizeof text), &store, &err), AEL_E_BACKEND);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, why));
    CU_ASSERT_PTR_NULL(store);
}

static void test_mysql_new__refuses_tables_that_would_lose_keys(void) {
    expect_table_refused(
        "CREATE TABLE encryption_key (id VARCHAR(255), created TIMESTAMP, key_record TEXT)",
        "no primary key");
    expect_table_refused(
        "CREATE TABLE encryption_key (id VARCHAR(255) PRIMARY KEY, created TIMESTAMP, key_record TEXT)",
        "no primary key");
    expect_table_refused(
        "CREATE TABLE encryption_key (id VARCHAR(255), created TIMESTAMP, key_record TEXT, INDEX (id, "
        "created))",
        "no primary key");
    expect_table_refused(
        "CREATE TABLE encryption_key (id VARCHAR(255), created TIMESTAMP, n INT, key_record TEXT,"
        " PRIMARY KEY (id, created, n))",
        "no primary key");
    expect_table_refused(
        "CREATE TABLE encryption_key (id INT, created TIMESTAMP, key_record TEXT, PRIMARY KEY (id, created))",
        "column id");
    expect_table_refused(/* forgets blanks at the end */
                         "CREATE TABLE encryption_key (id CHAR(255), created DATETIME, key_record TEXT, "
                         "PRIMARY KEY (id, created))",
                         "column id");
    expect_table_refused(
        "CREATE TABLE encryption_key (id VARCHAR(255), created BIGINT, key_record TEXT, PRIMARY KEY (id, "
        "created))",
        "column created");
    expect_table_refused(
        "CREATE TABLE encryption_key (id VARCHAR(255), created DATE, key_record TEXT, PRIMARY KEY (id, "
        "created))",
        "column created");
    expect_table_refused(
        "CREATE TABLE encryption_key (id VARCHAR(255), created DATETIME, key_record BLOB, PRIMARY KEY (id, "
        "created))",
        "column key_record");
    expect_table_refused(
        "CREATE TABLE encryption_key (id VARCHAR(255), created DATETIME, PRIMARY KEY (id, created))",
        "column key_record");
}

static void test_mysql_store__needs_its_table(void) {
    struct ael_error err = {0};
    sql("DROP TABLE IF EXISTS encryption_key");
    struct ael_metastore *store = open_store();
    CU_ASSERT_EQUAL(load_from(store, "_IK_x", CREATED, NULL, &err), AEL_E_BACKEND);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, "ael_metastore_ensure_schema"));
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", CREATED, NULL), AEL_E_BACKEND);
    CU_ASSERT_EQUAL(ael_metastore_health(store, NULL, NULL), AEL_E_BACKEND);
    CU_ASSERT_EQUAL(ael_metastore_ensure_schema(store, NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(ael_metastore_ensure_schema(store, NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", CREATED, NULL), AEL_OK);
    make_go_table(); /* another one comes in its place */
    sql("DROP TABLE encryption_key");
    CU_ASSERT_EQUAL(load_from(store, "_IK_x", CREATED, NULL, NULL), AEL_E_BACKEND);
    make_go_table();
    CU_ASSERT_EQUAL(load_from(store, "_IK_x", CREATED, NULL, NULL), AEL_E_KEY_NOT_FOUND);
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", CREATED, NULL), AEL_OK);
    ael_metastore_release(store);
}

#define SHAPE                                                                                                \
    "SELECT GROUP_CONCAT(CONCAT_WS(' ', COLUMN_NAME, COLUMN_TYPE, COLLATION_NAME, IS_NULLABLE, "             \
    "COLUMN_DEFAULT,"                                                                                        \
    " COLUMN_KEY) ORDER BY ORDINAL_POSITION) FROM information_schema.COLUMNS WHERE TABLE_NAME = "            \
    "'encryption_key'"

static void test_mysql_schema_file__is_what_ensure_schema_makes(void) {
    char made[TEXT_BYTES];
    char filed[TEXT_BYTES];
    char text[2 * TEXT_BYTES] = "";
    ael_metastore_release(open_fresh());
    CU_ASSERT_TRUE(mariadb_server_value(&g_server, SHAPE, made, sizeof made));
    CU_ASSERT_PTR_NOT_NULL(strstr(made, "utf8mb4_nopad_bin"));
    FILE *file = fopen(AEL_TEST_SOURCE_DIR "/metastore/schema/mysql.sql", "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    CU_ASSERT_TRUE(fread(text, 1, sizeof text - 1, file) > 0);
    (void)fclose(file);
    sql("DROP TABLE encryption_key");
    char *end = strrchr(text, ';');
    CU_ASSERT_PTR_NOT_NULL_FATAL(end);
    *end = '\0';
    sql(text);
    CU_ASSERT_TRUE(mariadb_server_value(&g_server, SHAPE, filed, sizeof filed));
    CU_ASSERT_STRING_EQUAL(made, filed);
}

/* ---- rows of the other SDKs ---- */

#define GO_JSON                                                                                              \
    "{\"Created\":1700000040,\"Key\":\"a2V5\",\"ParentKeyMeta\":{\"KeyId\":\"_SK_s_p\",\"Created\":"         \
    "1700000000}}"

static void expect_readable(struct ael_metastore *store, const char *id) {
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    CU_ASSERT_EQUAL(ael_metastore_load(store, NULL, ael_bytes_from_text(id), CREATED, &out, NULL), AEL_OK);
    CU_ASSERT_EQUAL(out.record.created_s, CREATED);
    CU_ASSERT_TRUE(out.record.has_parent && out.record.parent_created_s == 1700000000);
    CU_ASSERT_TRUE(out.record.key.len == 3 && memcmp(out.record.key.data, "key", 3) == 0);
    ael_key_record_buf_clear(&out);
    CU_ASSERT_EQUAL(latest_from(store, id), AEL_OK);
}

static void expect_value(const char *text, const char *wanted) {
    char value[TEXT_BYTES];
    CU_ASSERT_TRUE(mariadb_server_value(&g_server, text, value, sizeof value));
    CU_ASSERT_STRING_EQUAL(value, wanted);
}

/* The Go SDK writes and asks by the clock of UTC, as text, in the session that it is given. */
static void exchange_with_go(const char *created, const char *key_record) {
    make_table("VARCHAR(255)", created, key_record);
    struct ael_metastore *store = open_store();
    sql("INSERT INTO encryption_key (id, created, key_record) VALUES ('_IK_g_s_p', '" CREATED_TEXT
        "', '" GO_JSON "')");
    expect_readable(store, "_IK_g_s_p");
    store_parented(store, "_IK_a_s_p", 1700000000);
    expect_value(
        "SELECT COUNT(*) FROM encryption_key WHERE id = '_IK_a_s_p' AND created = '" CREATED_TEXT "'", "1");
    expect_value(
        "SELECT key_record FROM encryption_key WHERE id = '_IK_a_s_p' ORDER BY created DESC LIMIT 1",
        GO_JSON);
    ael_metastore_release(store);
}

static void test_mysql_rows__are_shared_with_the_other_sdks(void) {
    exchange_with_go("TIMESTAMP", "TEXT");
    exchange_with_go("DATETIME", "TEXT");
    exchange_with_go("TIMESTAMP(6)", "JSON");
    exchange_with_go("DATETIME", "VARCHAR(4096)");
}

/* Where the server's zone is another, Go's rows are off by it in a TIMESTAMP: to find them, ours is set to it as well. */
static void test_mysql_rows__are_shared_in_another_time_zone(void) {
    struct ael_metastore_mysql_options options = AEL_METASTORE_MYSQL_OPTIONS_INIT;
    char connection[TEXT_BYTES];
    sql("SET GLOBAL time_zone = '-05:00'");
    make_go_table();
    sql("INSERT INTO encryption_key (id, created, key_record) VALUES ('_IK_g_s_p', '" CREATED_TEXT
        "', '" GO_JSON "')");
    struct ael_metastore *store = open_store();
    CU_ASSERT_EQUAL(load_from(store, "_IK_g_s_p", CREATED, NULL, NULL), AEL_E_KEY_NOT_FOUND);
    CU_ASSERT_EQUAL(latest_from(store, "_IK_g_s_p"), AEL_E_BACKEND_DATA);
    ael_metastore_release(store);
    (void)mariadb_server_local(&g_server, connection, sizeof connection);
    (void)strncat(connection, "?time_zone=SYSTEM", sizeof connection - strlen(connection) - 1);
    options.connection = connection;
    store = open_with(&options);
    ael_metastore_release(store);
    char *zone = strrchr(connection, '=');
    (void)snprintf(zone, sizeof connection - (size_t)(zone - connection), "='-05:00'");
    store = open_with(&options);
    expect_readable(store, "_IK_g_s_p");
    store_parented(store, "_IK_a_s_p", 1700000000);
    expect_value(
        "SELECT COUNT(*) FROM encryption_key WHERE id = '_IK_a_s_p' AND created = '" CREATED_TEXT "'", "1");
    ael_metastore_release(store);
    sql("SET GLOBAL time_zone = '+00:00'");
}

/* A zone that goes from +01:00 to +02:00 at 2026-03-29 01:00 UTC: its clocks have no 02:30 on that day. */
static void test_mysql_rows__of_an_hour_that_summer_time_skips(void) {
    enum { SKIPPED = 1774751400 };
    struct ael_metastore_mysql_options options = AEL_METASTORE_MYSQL_OPTIONS_INIT;
    struct ael_error err = {0};
    char text[TEXT_BYTES];
    sql("INSERT INTO mysql.time_zone VALUES (4711, 'N')");
    sql("INSERT INTO mysql.time_zone_name VALUES ('Test/Summer', 4711)");
    sql("INSERT INTO mysql.time_zone_transition_type VALUES (4711, 0, 3600, 0, 'W'), (4711, 1, 7200, 1, "
        "'S')");
    sql("INSERT INTO mysql.time_zone_transition VALUES (4711, 0, 0), (4711, 1774746000, 1)");
    make_go_table();
    char local[TEXT_BYTES / 2];
    (void)snprintf(
        text, sizeof text, "%s?time_zone=Test/Summer", mariadb_server_local(&g_server, local, sizeof local));
    options.connection = text;
    struct ael_metastore *store = open_with(&options);
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", SKIPPED - 3600, NULL), AEL_OK);
    CU_ASSERT_EQUAL(store_err(store, "_IK_x", SKIPPED, NULL, &err), AEL_E_BACKEND);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, "1292: created is no time"));
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", SKIPPED + 3600, NULL), AEL_OK);
    CU_ASSERT_EQUAL(load_from(store, "_IK_x", SKIPPED + 3600, NULL, NULL), AEL_OK);
    ael_metastore_release(store);
}

/* ---- bad rows ---- */

static void insert_bad(const char *created, const char *json) {
    char text[TEXT_BYTES];
    sql("DELETE FROM encryption_key");
    (void)snprintf(
        text, sizeof text, "INSERT INTO encryption_key (id, created, key_record) VALUES ('_IK_b', %s, %s)",
        created, json);
    sql(text);
}

static void test_mysql_rows__that_are_no_keys_are_told(void) {
    static const char *const k_json[] = {
        "NULL",
        "''",
        "'{}'",
        "'[]'",
        "'null'",
        "'garbage'",
        "'{\"Created\":\"1700000040\",\"Key\":\"a2V5\"}'",
        "'{\"Created\":1700000040,\"Key\":7}'",
        "'{\"Created\":1700000040,\"Key\":\"a2V5\",\"Key\":\"a2V5\"}'",
        "'{\"Created\":1700000040,\"Key\":\"not base64\"}'",
        "'{\"Created\":1700000040,\"Key\":\"a2V5\"} trailing'",
        "CONCAT('{\"Created\":1700000040,\"Key\":\"', REPEAT('A', 1048576), '\"}')",
        "CONCAT(REPEAT(' ', 70000), '{\"Created\":1700000040,\"Key\":\"a2V5\"}')",
    };
    struct ael_error err = {0};
    make_table("VARCHAR(255)", "TIMESTAMP", "LONGTEXT");
    struct ael_metastore *store = open_store();
    for (size_t i = 0; i < sizeof k_json / sizeof k_json[0]; i++) {
        insert_bad("'" CREATED_TEXT "'", k_json[i]);
        CU_ASSERT_EQUAL(load_from(store, "_IK_b", CREATED, NULL, &err), AEL_E_BACKEND_DATA);
        CU_ASSERT_EQUAL(latest_from(store, "_IK_b"), AEL_E_BACKEND_DATA);
        CU_ASSERT_EQUAL(rows_listed(store), 0);
        CU_ASSERT_EQUAL(
            ael_metastore_mark_revoked(store, ael_bytes_from_text("_IK_b"), CREATED, NULL, NULL),
            AEL_E_BACKEND_DATA);
    }
    sql("ALTER TABLE encryption_key ADD more INT, ADD note TEXT"); /* what it does not know it leaves alone */
    CU_ASSERT_EQUAL(store_in(store, "_IK_m", CREATED, NULL), AEL_OK);
    CU_ASSERT_EQUAL(latest_from(store, "_IK_m"), AEL_OK);
    ael_metastore_release(store);
}

static void test_mysql_rows__of_another_date_are_no_latest(void) {
    static const char *const k_dates[] = {
        "'2023-11-14 23:14:00'",     "'2023-11-14 22:14:00.5'", "'2023-11-14 22:14:00.001'",
        "'2023-11-14 22:14:01'",     "'2023-11-14 22:15:00'",   "'2023-11-15 22:14:00'",
        "'2023-12-14 22:14:00'",     "'2024-11-14 22:14:00'",   "'1969-12-31 23:59:59'",
        "'0001-01-01'",              "'0000-00-00 22:14:00'",   "0",
        "'9999-12-31'"};
    make_table("VARCHAR(255)", "DATETIME(3)", "TEXT");
    sql("SET GLOBAL sql_mode = ''");
    struct ael_metastore *store = open_store();
    for (size_t i = 0; i < sizeof k_dates / sizeof k_dates[0]; i++) {
        insert_bad(k_dates[i], "'" GO_JSON "'");
        CU_ASSERT_EQUAL(latest_from(store, "_IK_b"), AEL_E_BACKEND_DATA);
        CU_ASSERT_EQUAL(load_from(store, "_IK_b", CREATED, NULL, NULL), AEL_E_KEY_NOT_FOUND);
        CU_ASSERT_EQUAL(rows_listed(store), 0);
    }
    insert_bad("'2023-11-14 23:14:00'", "'" GO_JSON "'"); /* asked for by its column, it is read */
    CU_ASSERT_EQUAL(load_from(store, "_IK_b", CREATED + 3600, NULL, NULL), AEL_OK);
    ael_metastore_release(store);
}

/* The server would cut off and store what does not fit, its mode being lax: the session's is not. */
static void test_mysql_ids__that_do_not_fit_are_refused(void) {
    struct ael_error err = {0};
    char id[4 * 255 + 1];
    make_go_table();
    struct ael_metastore *store = open_store();
    memset(id, 'i', sizeof id);
    id[255] = '\0';
    CU_ASSERT_EQUAL(store_in(store, id, CREATED, NULL), AEL_OK);
    id[255] = 'i';
    id[256] = '\0';
    CU_ASSERT_EQUAL(store_in(store, id, CREATED, NULL), AEL_E_TOO_LARGE);
    CU_ASSERT_EQUAL(latest_from(store, id), AEL_E_KEY_NOT_FOUND);
    id[255] = ' ';
    CU_ASSERT_EQUAL(store_in(store, id, CREATED + 60, NULL), AEL_E_TOO_LARGE);
    expect_value("SELECT COUNT(*) FROM encryption_key", "1");
    for (size_t i = 0; i < 255; i++) { /* characters, not bytes */
        memcpy(id + 4 * i, "\xf0\x9f\x9a\x80", 4);
    }
    id[4 * 255] = '\0';
    CU_ASSERT_EQUAL(store_in(store, id, CREATED, NULL), AEL_OK);
    CU_ASSERT_EQUAL(latest_from(store, id), AEL_OK);
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", 2147483647, NULL), AEL_OK);
    CU_ASSERT_EQUAL(store_err(store, "_IK_x", 2147483648, NULL, &err), AEL_E_ARGUMENT);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, "DATETIME"));
    CU_ASSERT_EQUAL(load_from(store, "_IK_x", 2147483648, NULL, NULL), AEL_E_KEY_NOT_FOUND);
    CU_ASSERT_EQUAL(load_from(store, "_IK_x", 0, NULL, NULL), AEL_E_KEY_NOT_FOUND);
    sql("ALTER TABLE encryption_key MODIFY key_record VARCHAR(20)");
    CU_ASSERT_EQUAL(store_in(store, "_IK_y", CREATED, NULL), AEL_E_TOO_LARGE);
    CU_ASSERT_EQUAL(latest_from(store, "_IK_y"), AEL_E_KEY_NOT_FOUND);
    ael_metastore_release(store);
    store = open_fresh();
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", INT64_C(253402300799), NULL), AEL_OK);
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", INT64_C(253402300800), NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(load_from(store, "_IK_x", INT64_MAX, NULL, NULL), AEL_E_KEY_NOT_FOUND);
    ael_metastore_release(store);
}

static void test_mysql_ids__need_characters_that_the_column_has(void) {
    struct ael_error err = {0};
    make_table("VARCHAR(255) CHARACTER SET utf8mb3", "TIMESTAMP", "TEXT CHARACTER SET utf8mb3");
    struct ael_metastore *store = open_store();
    CU_ASSERT_EQUAL(store_in(store, "_IK_\xc3\xa4", CREATED, NULL), AEL_OK);
    CU_ASSERT_EQUAL(latest_from(store, "_IK_\xc3\xa4"), AEL_OK);
    CU_ASSERT_EQUAL(load_from(store, "_IK_\xf0\x9f\x9a\x80", CREATED, NULL, NULL), AEL_E_KEY_NOT_FOUND);
    CU_ASSERT_EQUAL(store_err(store, "_IK_\xf0\x9f\x9a\x80", CREATED, NULL, &err), AEL_E_BACKEND);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, "utf8mb4"));
    CU_ASSERT_EQUAL(store_in(store, "_IK_?", CREATED, NULL), AEL_OK);
    CU_ASSERT_EQUAL(rows_listed(store), 2);
    ael_metastore_release(store);
    make_table("VARCHAR(255) CHARACTER SET latin1", "TIMESTAMP", "TEXT CHARACTER SET utf8mb4");
    store = open_store();
    CU_ASSERT_EQUAL(store_in(store, "_IK_\xc3\xa4", CREATED, NULL), AEL_OK);
    CU_ASSERT_EQUAL(load_from(store, "_IK_\xc3\xa4", CREATED, NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(store_in(store, "_IK_\xe6\x97\xa5", CREATED, NULL), AEL_E_BACKEND);
    CU_ASSERT_EQUAL(rows_listed(store), 1);
    ael_metastore_release(store);
}

/* Nothing is lost where the collation takes two ids for one: the second is told, and neither reads the other's key. */
static void expect_told_apart(const char *collation, const char *first, const char *second) {
    struct ael_error err = {0};
    char id[128];
    (void)snprintf(id, sizeof id, "VARCHAR(255) COLLATE %s", collation);
    make_table(id, "TIMESTAMP", "TEXT");
    struct ael_metastore *store = open_store();
    CU_ASSERT_EQUAL(store_in(store, first, CREATED, NULL), AEL_OK);
    CU_ASSERT_EQUAL(load_from(store, second, CREATED, NULL, NULL), AEL_E_KEY_NOT_FOUND);
    CU_ASSERT_EQUAL(latest_from(store, second), AEL_E_KEY_NOT_FOUND);
    CU_ASSERT_EQUAL(store_err(store, second, CREATED, NULL, &err), AEL_E_BACKEND);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, "utf8mb4_nopad_bin"));
    CU_ASSERT_EQUAL(store_in(store, second, CREATED + 60, NULL), AEL_OK);
    CU_ASSERT_EQUAL(load_from(store, first, CREATED + 60, NULL, NULL), AEL_E_KEY_NOT_FOUND);
    CU_ASSERT_EQUAL(load_from(store, second, CREATED + 60, NULL, NULL), AEL_OK);
    bool revoked =
        ael_metastore_mark_revoked(store, ael_bytes_from_text(first), CREATED + 60, NULL, NULL) == AEL_OK;
    CU_ASSERT_FALSE(revoked);
    struct ael_key_record again = record_of("other", CREATED);
    bool stored = true;
    CU_ASSERT_EQUAL(
        ael_metastore_store(store, NULL, ael_bytes_from_text(first), &again, &stored, NULL), AEL_OK);
    CU_ASSERT_FALSE(stored);
    ael_metastore_release(store);
}

static void test_mysql_ids__are_bytes_whatever_the_collation(void) {
    expect_told_apart("utf8mb4_general_ci", "_IK_a", "_IK_A");
    expect_told_apart("utf8mb4_general_ci", "_IK_a", "_IK_a ");
    expect_told_apart("utf8mb4_unicode_ci", "_IK_a", "_IK_\xc3\xa4");
    expect_told_apart("utf8mb4_bin", "_IK_a", "_IK_a  ");
}

/* A TEXT cannot have another key than one over its beginning. Who is not stored is not told that another one was. */
static void test_mysql_ids__that_begin_alike_may_have_one_place(void) {
    struct ael_error err = {0};
    sql("DROP TABLE IF EXISTS encryption_key");
    sql("CREATE TABLE encryption_key (id TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,"
        " created DATETIME NOT NULL, key_record TEXT NOT NULL, PRIMARY KEY (id(8), created))");
    struct ael_metastore *store = open_store();
    CU_ASSERT_EQUAL(store_in(store, "_IK_tenant_1", CREATED, NULL), AEL_OK);
    CU_ASSERT_EQUAL(store_err(store, "_IK_tenant_2", CREATED, NULL, &err), AEL_E_BACKEND);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, "another id"));
    CU_ASSERT_EQUAL(store_in(store, "_IK_tenant_2", CREATED + 60, NULL), AEL_OK);
    ael_metastore_release(store);
}

/* Its index serves each statement, whatever the characters of the column. */
static void test_mysql_loads__use_the_index(void) {
    static const char *const k_ids[] = {
        "VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin", "VARCHAR(255) CHARACTER SET utf8mb3",
        "VARCHAR(255) CHARACTER SET latin1", "VARBINARY(255)"};
    for (size_t i = 0; i < sizeof k_ids / sizeof k_ids[0]; i++) {
        make_table(k_ids[i], "TIMESTAMP", "TEXT");
        struct ael_metastore *store = open_store();
        CU_ASSERT_EQUAL(store_in(store, "_IK_x", CREATED, NULL), AEL_OK);
        sql("INSERT INTO encryption_key SELECT CONCAT('_IK_', seq), '" CREATED_TEXT
            "', 'x' FROM seq_1_to_2000");
        sql("SET GLOBAL userstat = ON");
        sql("FLUSH TABLE_STATISTICS");
        for (int j = 0; j < 10; j++) {
            CU_ASSERT_EQUAL(load_from(store, "_IK_x", CREATED, NULL, NULL), AEL_OK);
            CU_ASSERT_EQUAL(latest_from(store, "_IK_x"), AEL_OK);
        }
        char rows[32];
        CU_ASSERT_TRUE(mariadb_server_value(
            &g_server,
            "SELECT ROWS_READ FROM information_schema.TABLE_STATISTICS WHERE TABLE_NAME = 'encryption_key'",
            rows, sizeof rows));
        CU_ASSERT_TRUE(strtol(rows, NULL, 10) <= 40);
        sql("SET GLOBAL userstat = OFF");
        ael_metastore_release(store);
    }
}

/* ---- bounds and deadlines ---- */

static MYSQL *connect_raw(void) {
    char path[TEXT_BYTES];
    MYSQL *raw = mysql_init(NULL);
    (void)snprintf(path, sizeof path, "%s/socket", g_server.folder);
    CU_ASSERT_PTR_NOT_NULL_FATAL(
        mysql_real_connect(raw, NULL, "root", "", MARIADB_SERVER_DATABASE, 0, path, 0));
    return raw;
}

static void run_raw(MYSQL *raw, const char *text) {
    CU_ASSERT_EQUAL(mysql_query(raw, text), 0);
}

/* The table is locked until the connection is closed. */
static MYSQL *lock_table(void) {
    MYSQL *raw = connect_raw();
    run_raw(raw, "LOCK TABLES encryption_key WRITE");
    return raw;
}

/* Waits until a query gives the value; false when it does not. */
static bool wait_until(const char *text, const char *wanted) {
    char value[TEXT_BYTES];
    for (int i = 0; i < TRIES; i++) {
        if (mariadb_server_value(&g_server, text, value, sizeof value) && strcmp(value, wanted) == 0) {
            return true;
        }
        (void)poll(NULL, 0, TRY_MS);
    }
    return false;
}

#define OURS         "FROM information_schema.PROCESSLIST WHERE USER = 'ael'"
#define OURS_WAITING "SELECT COUNT(*) " OURS " AND STATE LIKE 'Waiting for table%'"

static void kill_ours(void) {
    char value[TEXT_BYTES];
    char text[TEXT_BYTES + 8];
    while (mariadb_server_value(
        &g_server, "SELECT MIN(ID) " OURS " AND COMMAND <> 'Killed'", value, sizeof value)) {
        (void)snprintf(text, sizeof text, "KILL %s", value);
        (void)mariadb_server_sql(&g_server, text);
        if (wait_until("SELECT COUNT(*) " OURS, "0")) {
            return;
        }
    }
}

static void test_mysql_calls__end_with_their_deadline(void) {
    struct ael_metastore *store = open_fresh();
    struct ael_error err = {0};
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", CREATED, NULL), AEL_OK);
    MYSQL *raw = lock_table();
    struct ael_call call = call_for(500);
    CU_ASSERT_EQUAL(store_in(store, "_IK_y", CREATED, &call), AEL_E_OUTCOME_UNKNOWN);
    call = call_for(500);
    CU_ASSERT_EQUAL(load_from(store, "_IK_x", CREATED, &call, &err), AEL_E_TIMEOUT);
    mysql_close(raw);
    CU_ASSERT_EQUAL(load_from(store, "_IK_x", CREATED, NULL, &err), AEL_OK);
    ael_metastore_release(store);
}

static void test_mysql_calls__end_when_they_are_cancelled(void) {
    struct ael_metastore *store = open_fresh();
    struct ael_cancel *cancel = NULL;
    struct ael_call call = call_for(60000);
    pthread_t thread;
    MYSQL *raw = lock_table();
    CU_ASSERT_EQUAL_FATAL(ael_cancel_new(&cancel), AEL_OK);
    call.cancel = cancel;
    struct waiter waiter = {.store = store, .call = &call};
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, wait_in_call, &waiter), 0);
    CU_ASSERT_TRUE(wait_until(OURS_WAITING, "1"));
    ael_cancel_trigger(cancel);
    (void)pthread_join(thread, NULL);
    CU_ASSERT_EQUAL(waiter.status, AEL_E_CANCELLED);
    mysql_close(raw);
    ael_cancel_free(cancel);
    ael_metastore_release(store);
}

/* A server that does not answer is unreachable long before the call is over: cached keys may go on. */
static void test_mysql_calls__take_a_silent_server_for_unreachable(void) {
    struct ael_metastore_mysql_options options = AEL_METASTORE_MYSQL_OPTIONS_INIT;
    ael_metastore_release(open_fresh());
    options.answer_timeout_ms = 300;
    struct ael_metastore *store = open_with(&options);
    struct ael_call call = call_for(60000);
    CU_ASSERT_EQUAL(latest_from(store, "_IK_x"), AEL_E_KEY_NOT_FOUND);
    MYSQL *raw = lock_table();
    CU_ASSERT_EQUAL(load_from(store, "_IK_x", CREATED, &call, NULL), AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", CREATED, &call), AEL_E_OUTCOME_UNKNOWN);
    mysql_close(raw);
    ael_metastore_release(store);
}

static void test_mysql_pool__that_is_exhausted_is_waited_for(void) {
    struct ael_metastore_mysql_options options = AEL_METASTORE_MYSQL_OPTIONS_INIT;
    ael_metastore_release(open_fresh());
    options.max_connections = 1;
    struct ael_metastore *store = open_with(&options);
    expect_a_lent_connection_to_be_waited_for(store);
    ael_metastore_release(store);
}

static void test_mysql_list__may_use_the_store_meanwhile(void) {
    struct ael_metastore *store = open_fresh();
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", CREATED, NULL), AEL_OK);
    struct waiter waiter = {.store = store, .status = AEL_E_STATE};
    CU_ASSERT_EQUAL(
        ael_metastore_list(store, NULL, ael_bytes_from_text(""), load_meanwhile, &waiter, NULL), AEL_OK);
    CU_ASSERT_TRUE(waiter.status == AEL_OK || waiter.status == AEL_E_TIMEOUT);
    ael_metastore_release(store);
}

static bool
read_limit(void *context, struct ael_bytes id, int64_t created_s, const struct ael_key_record *record) {
    (void)id;
    (void)created_s;
    (void)record;
    (void)mariadb_server_value(
        &g_server, "SELECT COUNT(*) " OURS " AND INFO LIKE '%max\\_statement\\_time = 6__,%ORDER BY%'",
        context, 32);
    return false;
}

static void test_mysql_list__lasts_as_long_as_its_call(void) {
    struct ael_metastore *store = open_fresh();
    char value[32] = "";
    sql("INSERT INTO encryption_key SELECT CONCAT('_IK_', seq), '2026-01-01',"
        " CONCAT('{\"Created\":1767225600,\"Key\":\"', REPEAT('AQID', 4000), '\"}') FROM seq_1_to_1000");
    struct ael_call call = call_for(620000);
    CU_ASSERT_EQUAL(
        ael_metastore_list(store, &call, ael_bytes_from_text(""), read_limit, value, NULL), AEL_OK);
    CU_ASSERT_STRING_EQUAL(value, "1");
    ael_metastore_release(store);
}

/* An administrator's init_connect, or skip-character-set-client-handshake, must not come between. */
static void test_mysql_session__has_its_own_characters_and_limits(void) {
    static const char k_parent[] = "_SK_\xd0\xba\xd0\xbb\xd1\x8e\xd1\x87";
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    struct ael_key_record record = record_of("key", CREATED);
    bool stored = false;
    record.has_parent = true;
    record.parent_id = ael_bytes_from_text(k_parent);
    record.parent_created_s = CREATED;
    sql("SET GLOBAL init_connect = 'SET NAMES latin1, sql_select_limit = 1'");
    struct ael_metastore *store = open_fresh();
    CU_ASSERT_EQUAL(
        ael_metastore_store(store, NULL, ael_bytes_from_text("_IK_x"), &record, &stored, NULL), AEL_OK);
    CU_ASSERT_EQUAL(
        ael_metastore_load(store, NULL, ael_bytes_from_text("_IK_x"), CREATED, &out, NULL), AEL_OK);
    CU_ASSERT_TRUE(ael_key_record_equal(&out.record, &record));
    CU_ASSERT_EQUAL(
        ael_metastore_mark_revoked(store, ael_bytes_from_text("_IK_x"), CREATED, NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(store_in(store, "_IK_y", CREATED, NULL), AEL_OK);
    CU_ASSERT_EQUAL(rows_listed(store), 2);
    sql("SET GLOBAL init_connect = ''");
    ael_key_record_buf_clear(&out);
    ael_metastore_release(store);
}

enum { CROWD_CONNECTIONS = 5 };

static void test_mysql_pool__keeps_its_bound_under_64_threads(void) {
    struct ael_metastore_mysql_options options = AEL_METASTORE_MYSQL_OPTIONS_INIT;
    char value[32];
    ael_metastore_release(open_fresh());
    CU_ASSERT_TRUE(wait_until("SELECT COUNT(*) " OURS, "0"));
    options.max_connections = CROWD_CONNECTIONS;
    options.connect_timeout_ms = PATIENT_MS;
    options.answer_timeout_ms = PATIENT_MS;
    struct ael_metastore *store = open_with(&options);
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", CREATED, NULL), AEL_OK);
    load_in_a_crowd(store);
    CU_ASSERT_TRUE(mariadb_server_value(&g_server, "SELECT COUNT(*) " OURS, value, sizeof value));
    long open = strtol(value, NULL, 10);
    CU_ASSERT_TRUE(open >= 1 && open <= CROWD_CONNECTIONS);
    ael_metastore_release(store);
    CU_ASSERT_TRUE(wait_until("SELECT COUNT(*) " OURS, "0"));
}

/* ---- connections that end ---- */

static void test_mysql_connections__that_ended_idle_are_opened_anew(void) {
    struct ael_metastore *store = open_fresh();
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", CREATED, NULL), AEL_OK);
    kill_ours();
    CU_ASSERT_EQUAL(store_in(store, "_IK_y", CREATED, NULL), AEL_OK); /* not unknown: it was seen before */
    mariadb_server_end(&g_server, SIGKILL);
    CU_ASSERT_EQUAL(load_from(store, "_IK_x", CREATED, NULL, NULL), AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(store_in(store, "_IK_z", CREATED, NULL), AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(ael_metastore_health(store, NULL, NULL), AEL_E_UNREACHABLE);
    CU_ASSERT_TRUE_FATAL(mariadb_server_start(&g_server, NULL));
    CU_ASSERT_EQUAL(load_from(store, "_IK_x", CREATED, NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(load_from(store, "_IK_y", CREATED, NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(ael_metastore_health(store, NULL, NULL), AEL_OK);
    ael_metastore_release(store);
}

static enum ael_status end_in_mid_call(bool stores) {
    struct ael_metastore *store = open_fresh();
    struct waiter waiter = {.store = store, .stores = stores};
    pthread_t thread;
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", CREATED, NULL), AEL_OK);
    MYSQL *raw = lock_table();
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, wait_in_call, &waiter), 0);
    CU_ASSERT_TRUE(wait_until(OURS_WAITING, "1"));
    char id[32];
    char text[64];
    CU_ASSERT_TRUE(mariadb_server_value(
        &g_server, "SELECT ID " OURS " AND STATE LIKE 'Waiting for table%'", id, sizeof id));
    (void)snprintf(text, sizeof text, "KILL %s", id);
    sql(text);
    if (!stores) {
        CU_ASSERT_TRUE(wait_until(OURS_WAITING, "1")); /* done again, on another */
    }
    mysql_close(raw);
    (void)pthread_join(thread, NULL);
    ael_metastore_release(store);
    return waiter.status;
}

static void test_mysql_connections__that_end_in_a_call(void) {
    CU_ASSERT_EQUAL(end_in_mid_call(false), AEL_OK);
    CU_ASSERT_EQUAL(end_in_mid_call(true), AEL_E_OUTCOME_UNKNOWN);
}

static void test_mysql_store__is_refused_by_what_takes_no_writes(void) {
    struct ael_metastore *store = open_fresh();
    struct ael_error err = {0};
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", CREATED, NULL), AEL_OK);
    sql("SET GLOBAL read_only = 1");
    CU_ASSERT_EQUAL(store_err(store, "_IK_y", CREATED, NULL, &err), AEL_E_UNREACHABLE);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, "read_only"));
    CU_ASSERT_EQUAL(ael_metastore_health(store, NULL, NULL), AEL_E_UNREACHABLE);
    sql("SET GLOBAL read_only = 0");
    CU_ASSERT_EQUAL(store_in(store, "_IK_y", CREATED, NULL), AEL_OK);
    CU_ASSERT_EQUAL(ael_metastore_health(store, NULL, NULL), AEL_OK);
    ael_metastore_release(store);
}

/* What a statement cannot write is not there afterwards, and says why. */
static void test_mysql_store__tells_of_what_the_server_refuses(void) {
    struct ael_metastore *store = open_fresh();
    struct ael_error err = {0};
    sql("ALTER TABLE encryption_key ADD CONSTRAINT only_x CHECK (id = '_IK_x')");
    CU_ASSERT_EQUAL(store_err(store, "_IK_y", CREATED, NULL, &err), AEL_E_BACKEND);
    CU_ASSERT_EQUAL(load_from(store, "_IK_y", CREATED, NULL, NULL), AEL_E_KEY_NOT_FOUND);
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", CREATED, NULL), AEL_OK);
    sql("REVOKE ALL ON `keys`.* FROM '" MARIADB_SERVER_USER "'@'%'");
    sql("GRANT SELECT ON `keys`.* TO '" MARIADB_SERVER_USER "'@'%'");
    ael_metastore_release(store);
    store = open_store();
    CU_ASSERT_EQUAL(store_err(store, "_IK_x", CREATED + 60, NULL, &err), AEL_E_BACKEND);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, "1142"));
    CU_ASSERT_EQUAL(load_from(store, "_IK_x", CREATED, NULL, NULL), AEL_OK);
    sql("GRANT ALL ON `keys`.* TO '" MARIADB_SERVER_USER "'@'%'");
    ael_metastore_release(store);
}

/* ---- hosts ---- */

/* A port of the loopback at which connections are taken, and nothing is said. */
static int listen_in_silence(int *port) {
    int descriptor = loopback_listen(64, port);
    CU_ASSERT_FATAL(descriptor >= 0);
    return descriptor;
}

static const char *list_hosts(char *out, size_t size, int first, int second, const char *parameters) {
    (void)snprintf(
        out, size, "mysql://%s:%s@127.0.0.1:%d,127.0.0.1:%d/%s?%s", MARIADB_SERVER_USER,
        MARIADB_SERVER_PASSWORD_URL, first, second, MARIADB_SERVER_DATABASE, parameters);
    return out;
}

static void test_mysql_hosts__are_tried_in_turn(void) {
    char connection[TEXT_BYTES];
    struct ael_metastore *store = NULL;
    int port = 0;
    ael_metastore_release(open_fresh());
    int silent = listen_in_silence(&port);
    list_hosts(connection, sizeof connection, 1, g_server.port, "tls=false"); /* nobody there */
    CU_ASSERT_EQUAL(open_at(connection, &store, NULL), AEL_OK);
    CU_ASSERT_EQUAL(latest_from(store, "_IK_x"), AEL_E_KEY_NOT_FOUND);
    ael_metastore_release(store);
    list_hosts(connection, sizeof connection, port, g_server.port, "tls=false&timeout=300ms");
    CU_ASSERT_EQUAL(open_at(connection, &store, NULL), AEL_OK);
    ael_metastore_release(store);
    list_hosts(connection, sizeof connection, port, 1, "tls=false&timeout=300ms");
    CU_ASSERT_EQUAL(open_at(connection, &store, NULL), AEL_E_UNREACHABLE);
    (void)close(silent);
}

/* The silent one has a share of the call's time, not all of it: the other is reached before the call is over. */
static void test_mysql_hosts__that_are_silent_leave_time_for_others(void) {
    char connection[TEXT_BYTES];
    struct ael_metastore *store = NULL;
    int port = 0;
    ael_metastore_release(open_fresh());
    int silent = listen_in_silence(&port);
    list_hosts(connection, sizeof connection, port, g_server.port, "tls=false");
    CU_ASSERT_EQUAL(open_at(connection, &store, NULL), AEL_OK);
    kill_ours();
    struct ael_call call = call_for(4000);
    CU_ASSERT_EQUAL(load_from(store, "_IK_x", CREATED, &call, NULL), AEL_E_KEY_NOT_FOUND);
    ael_metastore_release(store);
    (void)close(silent);
}

static void test_mysql_hosts__that_take_no_writes_are_passed_over(void) {
    char connection[TEXT_BYTES];
    struct mariadb_server other;
    struct ael_metastore *store = NULL;
    ael_metastore_release(open_fresh());
    CU_ASSERT_TRUE_FATAL(mariadb_server_init(&other));
    list_hosts(connection, sizeof connection, other.port, g_server.port, "tls=false");
    CU_ASSERT_TRUE(mariadb_server_sql(&other, "SET GLOBAL read_only = 1") >= 0);
    CU_ASSERT_EQUAL(open_at(connection, &store, NULL), AEL_OK);
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", CREATED, NULL), AEL_OK);
    expect_value("SELECT COUNT(*) FROM encryption_key", "1");
    CU_ASSERT_TRUE(mariadb_server_sql(&other, "SET GLOBAL read_only = 0") >= 0); /* they change places */
    CU_ASSERT_TRUE(mariadb_server_sql(&g_server, "SET GLOBAL read_only = 1") >= 0);
    CU_ASSERT_EQUAL(ael_metastore_ensure_schema(store, NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", CREATED, NULL), AEL_OK); /* it is another's */
    CU_ASSERT_TRUE(mariadb_server_sql(&g_server, "SET GLOBAL read_only = 0") >= 0);
    mariadb_server_end(&other, SIGKILL);
    CU_ASSERT_EQUAL(load_from(store, "_IK_x", CREATED, NULL, NULL), AEL_OK);
    ael_metastore_release(store);
    mariadb_server_clear(&other);
}

/* It keeps the connections that it has; what it answers on them is of the time before. */
static void test_mysql_hosts__that_take_no_writes_any_more_are_left(void) {
    char connection[TEXT_BYTES];
    struct mariadb_server other;
    struct ael_metastore *store = NULL;
    enum ael_status status = AEL_OK;
    ael_metastore_release(open_fresh());
    CU_ASSERT_TRUE_FATAL(mariadb_server_init(&other));
    list_hosts(connection, sizeof connection, g_server.port, other.port, "tls=false");
    CU_ASSERT_EQUAL_FATAL(open_at(connection, &store, NULL), AEL_OK);
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", CREATED, NULL), AEL_OK);
    sql("SET GLOBAL read_only = 1");
    CU_ASSERT_TRUE(
        mariadb_server_sql(
            &other, "CREATE TABLE encryption_key (id VARCHAR(255), created DATETIME,"
                    " key_record TEXT, PRIMARY KEY (id, created))") >= 0);
    for (int i = 0; i < 300 && status == AEL_OK; i++) {
        status = load_from(store, "_IK_x", CREATED, NULL, NULL);
        (void)poll(NULL, 0, 10);
    }
    CU_ASSERT_EQUAL(status, AEL_E_KEY_NOT_FOUND); /* the other's answer */
    sql("SET GLOBAL read_only = 0");
    ael_metastore_release(store);
    mariadb_server_clear(&other);
}

/* Hands the server's first words on and then says nothing: a TLS handshake that never ends. */
static void *greet_and_stall(void *context) {
    int listening = *(int *)context;
    char bytes[4096];
    int client = accept(listening, NULL, NULL);
    int server = loopback_connect(g_server.port);
    ssize_t len = recv(server, bytes, sizeof bytes, 0);
    (void)send(client, bytes, len > 0 ? (size_t)len : 0, MSG_NOSIGNAL);
    while (recv(client, bytes, sizeof bytes, 0) > 0) { /* until it gives up */
    }
    (void)close(client);
    (void)close(server);
    return NULL;
}

enum { SLOW_MS = 250 };

/* Hands everything on, what the server says a while later. */
static void *relay_slowly(void *context) {
    int client = accept(*(int *)context, NULL, NULL);
    int server = loopback_connect(g_server.port);
    struct pollfd ends[] = {{.fd = client, .events = POLLIN}, {.fd = server, .events = POLLIN}};
    ssize_t len = 1;
    while (len > 0 && poll(ends, 2, -1) > 0) {
        char bytes[4096];
        bool is_client = ends[0].revents != 0;
        len = recv(is_client ? client : server, bytes, sizeof bytes, 0);
        (void)poll(NULL, 0, is_client ? 0 : SLOW_MS);
        (void)send(is_client ? server : client, bytes, len > 0 ? (size_t)len : 0, MSG_NOSIGNAL);
    }
    (void)close(client);
    (void)close(server);
    return NULL;
}

/* Greeting and log-in are in time; the settings that follow are a part of connecting, too. */
static void test_mysql_hosts__have_their_time_for_settings_too(void) {
    char connection[TEXT_BYTES];
    char parameters[64];
    struct ael_metastore *store = NULL;
    struct ael_error err = {0};
    pthread_t thread;
    int port = 0;
    int listening = listen_in_silence(&port);
    (void)snprintf(parameters, sizeof parameters, "tls=false&timeout=%dms", SLOW_MS * 7 / 2);
    list_hosts(connection, sizeof connection, port, 1, parameters);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, relay_slowly, &listening), 0);
    CU_ASSERT_EQUAL(open_at(connection, &store, &err), AEL_E_UNREACHABLE);
    ael_metastore_release(store);
    (void)shutdown(listening, SHUT_RDWR);
    (void)pthread_join(thread, NULL);
    (void)close(listening);
}

static void test_mysql_calls__end_in_a_handshake_that_stalls(void) {
    struct ael_metastore_mysql_options options = AEL_METASTORE_MYSQL_OPTIONS_INIT;
    char connection[TEXT_BYTES];
    struct ael_metastore *store = NULL;
    struct ael_error err = {0};
    pthread_t thread;
    int port = 0;
    int listening = listen_in_silence(&port);
    list_hosts(connection, sizeof connection, port, 1, "");
    char *comma = strchr(connection, ',');
    (void)snprintf(comma, sizeof connection - (size_t)(comma - connection), "/keys");
    options.connection = connection;
    options.connect_timeout_ms = 500; /* without ours the library would wait for ever */
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, greet_and_stall, &listening), 0);
    CU_ASSERT_EQUAL(ael_metastore_mysql_new(&options, &store, &err), AEL_E_UNREACHABLE);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, "in time"));
    (void)pthread_join(thread, NULL);
    (void)close(listening);
}

/* A server that wants the password as it is, of a client that cannot know who it is. */
static void *ask_for_password(void *context) {
    static const char k_greeting[] = "\x4a\0\0\0\x0a" /* 74 bytes, protocol 10 */
                                     "8.0.31\0\1\0\0\0"
                                     "abcdefgh\0"
                                     "\x0f\xa2\x2d\2\0\x08\0\x15"
                                     "\0\0\0\0\0\0\0\0\0\0"
                                     "ijklmnopqrst\0"
                                     "mysql_native_password";
    static const char k_switch[] = "\x2b\0\0\2\xfe"
                                   "mysql_clear_password\0"
                                   "abcdefghijklmnopqrst";
    int client = accept(*(int *)context, NULL, NULL);
    char *got = calloc(1, 4096);
    (void)send(client, k_greeting, sizeof k_greeting, MSG_NOSIGNAL);
    (void)recv(client, got, 4096, 0);
    (void)send(client, k_switch, sizeof k_switch, MSG_NOSIGNAL);
    memset(got, 0, 4096);
    (void)recv(client, got, 4096, 0);
    (void)close(client);
    return got;
}

static void test_mysql_log_in__does_not_show_the_password_to_anybody(void) {
    char connection[TEXT_BYTES];
    struct ael_metastore *store = NULL;
    struct ael_error err = {0};
    pthread_t thread;
    void *got = NULL;
    int port = 0;
    int listening = listen_in_silence(&port);
    (void)snprintf(connection, sizeof connection, "mysql://ael:hunter2@127.0.0.1:%d/keys?tls=false", port);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, ask_for_password, &listening), 0);
    CU_ASSERT_NOT_EQUAL(open_at(connection, &store, &err), AEL_OK);
    (void)pthread_join(thread, &got);
    CU_ASSERT_PTR_NULL(strstr(got, "hunter2"));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, "5010: the server wants the password as it is"));
    free(got);
    (void)close(listening);
}

/* ---- Aurora ---- */

/* No Aurora is to be had: what is asked of it is in the server's log, which knows no such variable. */
static void test_mysql_new__asks_readers_of_aurora_for_their_consistency(void) {
    struct ael_metastore_mysql_options options = AEL_METASTORE_MYSQL_OPTIONS_INIT;
    char text[TEXT_BYTES];
    struct ael_metastore *store = NULL;
    struct ael_error err = {0};
    options.connection = mariadb_server_local(&g_server, text, sizeof text);
    sql("SET GLOBAL log_output = 'TABLE'");
    sql("SET GLOBAL general_log = 1");
    options.replica_read_consistency = "session";
    CU_ASSERT_EQUAL(ael_metastore_mysql_new(&options, &store, &err), AEL_E_BACKEND);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, "Aurora"));
    sql("SET GLOBAL general_log = 0");
    expect_value(
        "SELECT COUNT(*) FROM mysql.general_log WHERE argument = 'SET SESSION "
        "aurora_replica_read_consistency ="
        " ''session'''",
        "1");
    sql("SET GLOBAL log_output = 'FILE'");
}

/* ---- fork ---- */

#define OUR_IDS "SELECT GROUP_CONCAT(ID ORDER BY ID) " OURS

static void fork_over(struct ael_metastore *store) {
    char before[TEXT_BYTES];
    char after[TEXT_BYTES];
    int status = -1;
    CU_ASSERT_TRUE(wait_until("SELECT COUNT(*) " OURS, "1"));
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", CREATED, NULL), AEL_OK);
    CU_ASSERT_TRUE(mariadb_server_value(&g_server, OUR_IDS, before, sizeof before));
    pid_t child = fork();
    if (child == 0) {
        _exit(work_in_child(store));
    }
    CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
    CU_ASSERT_EQUAL(status, 0);
    CU_ASSERT_TRUE(wait_until("SELECT COUNT(*) " OURS, "1")); /* the child's came and went */
    CU_ASSERT_TRUE(mariadb_server_value(&g_server, OUR_IDS, after, sizeof after));
    CU_ASSERT_STRING_EQUAL(before, after);
    CU_ASSERT_EQUAL(load_from(store, "_IK_child", CREATED, NULL, NULL), AEL_OK);
    CU_ASSERT_TRUE(mariadb_server_value(&g_server, OUR_IDS, after, sizeof after));
    CU_ASSERT_STRING_EQUAL(before, after);
    ael_metastore_release(store);
}

static void test_mysql_fork__leaves_the_parents_connections_alone(void) {
    struct ael_metastore_mysql_options options = AEL_METASTORE_MYSQL_OPTIONS_INIT;
    char connection[TEXT_BYTES];
    char parameters[128];
    fork_over(open_fresh());
    ael_metastore_release(open_fresh());
    CU_ASSERT_TRUE(wait_until("SELECT COUNT(*) " OURS, "0"));
    (void)snprintf(parameters, sizeof parameters, "ssl-ca=%s/ca.pem", g_server.folder);
    options.connection = mariadb_server_url(&g_server, parameters, connection, sizeof connection);
    fork_over(open_with(&options)); /* a farewell over TLS would end the parent's, too */
}

static void test_mysql_fork__without_handlers_is_refused(void) {
    struct ael_metastore *store = open_fresh();
    expect_an_untold_child_to_be_refused(store);
    ael_metastore_release(store);
}

static void test_mysql_fork__in_the_middle_of_a_listing(void) {
    struct ael_metastore *store = open_fresh();
    fork_in_the_middle_of_a_listing(store);
    ael_metastore_release(store);
}

static const struct test_case k_cases[] = {
    {"bad options are refused", test_mysql_new__refuses_bad_options},
    {"a server starts", test_server__starts},
    {"TLS is verified unless told otherwise", test_mysql_tls__is_verified_unless_told_otherwise},
    {"certificates of clients are given", test_mysql_tls__gives_certificates_of_clients},
    {"foreign and old certificates are refused", test_mysql_tls__refuses_foreign_and_old_certificates},
    {"what is wrong with the log-in is told", test_mysql_new__tells_what_is_wrong_with_the_log_in},
    {"what may lose keys is warned of", test_mysql_new__warns_of_what_may_lose_keys},
    {"tables that would lose keys are refused", test_mysql_new__refuses_tables_that_would_lose_keys},
    {"a store needs its table", test_mysql_store__needs_its_table},
    {"the schema file is what ensure_schema makes", test_mysql_schema_file__is_what_ensure_schema_makes},
    {"rows are shared with the other SDKs", test_mysql_rows__are_shared_with_the_other_sdks},
    {"rows are shared in another time zone", test_mysql_rows__are_shared_in_another_time_zone},
    {"rows of an hour that summer time skips", test_mysql_rows__of_an_hour_that_summer_time_skips},
    {"rows that are no keys are told", test_mysql_rows__that_are_no_keys_are_told},
    {"rows of another date are no latest", test_mysql_rows__of_another_date_are_no_latest},
    {"ids that do not fit are refused", test_mysql_ids__that_do_not_fit_are_refused},
    {"ids need characters that the column has", test_mysql_ids__need_characters_that_the_column_has},
    {"ids are bytes whatever the collation", test_mysql_ids__are_bytes_whatever_the_collation},
    {"ids that begin alike may have one place", test_mysql_ids__that_begin_alike_may_have_one_place},
    {"loads use the index", test_mysql_loads__use_the_index},
    {"calls end with their deadline", test_mysql_calls__end_with_their_deadline},
    {"calls end when they are cancelled", test_mysql_calls__end_when_they_are_cancelled},
    {"a silent server is unreachable", test_mysql_calls__take_a_silent_server_for_unreachable},
    {"an exhausted pool is waited for", test_mysql_pool__that_is_exhausted_is_waited_for},
    {"a listing may use the store meanwhile", test_mysql_list__may_use_the_store_meanwhile},
    {"a listing lasts as long as its call", test_mysql_list__lasts_as_long_as_its_call},
    {"sessions have characters and limits of their own",
     test_mysql_session__has_its_own_characters_and_limits},
    {"a pool keeps its bound under 64 threads", test_mysql_pool__keeps_its_bound_under_64_threads},
    {"connections that ended idle are opened anew", test_mysql_connections__that_ended_idle_are_opened_anew},
    {"connections that end in a call", test_mysql_connections__that_end_in_a_call},
    {"a store is refused by what takes no writes", test_mysql_store__is_refused_by_what_takes_no_writes},
    {"what the server refuses is told", test_mysql_store__tells_of_what_the_server_refuses},
    {"hosts are tried in turn", test_mysql_hosts__are_tried_in_turn},
    {"silent hosts leave time for others", test_mysql_hosts__that_are_silent_leave_time_for_others},
    {"hosts that take no writes are passed over", test_mysql_hosts__that_take_no_writes_are_passed_over},
    {"hosts that take no writes any more are left", test_mysql_hosts__that_take_no_writes_any_more_are_left},
    {"hosts have their time for settings too", test_mysql_hosts__have_their_time_for_settings_too},
    {"calls end in a handshake that stalls", test_mysql_calls__end_in_a_handshake_that_stalls},
    {"no password is shown to anybody", test_mysql_log_in__does_not_show_the_password_to_anybody},
    {"readers of Aurora are asked for their consistency",
     test_mysql_new__asks_readers_of_aurora_for_their_consistency},
    {"a fork leaves the parent's connections alone", test_mysql_fork__leaves_the_parents_connections_alone},
    {"a fork without handlers is refused", test_mysql_fork__without_handlers_is_refused},
    {"a fork in the middle of a listing", test_mysql_fork__in_the_middle_of_a_listing},
    {"the server ends", test_server__ends},
};

TEST_SUITE_MAIN("metastore_mysql", k_cases)
