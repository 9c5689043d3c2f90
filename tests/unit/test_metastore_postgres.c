/*
 * test_metastore_postgres.c - what the PostgreSQL store does beyond the contract, against a real server: TLS and log-in,
 * tables and rows that somebody else made, bounds, deadlines, connections that end, forks.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ael/hooks.h>
#include <ael/metastore_postgres.h>
#include <ael/record.h>
#include <ael/sys/metastore_backend.h>

#include "tests/support/postgres_server.h"
#include "tests/support/store_calls.h"
#include "tests/support/suite.h"
#include "tests/support/watch_log.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TEXT_BYTES = 512, TRIES = 3000, TRY_MS = 10 };

static struct postgres_server g_server;

/* ---- stores ---- */

static enum ael_status open_at(const char *connection, struct ael_metastore **store, struct ael_error *err) {
    struct ael_metastore_postgres_options options = AEL_METASTORE_POSTGRES_OPTIONS_INIT;
    options.connection = connection;
    options.max_connections = 4;
    options.connect_timeout_ms = PATIENT_MS;
    options.answer_timeout_ms = PATIENT_MS;
    return ael_metastore_postgres_new(&options, store, err);
}

static struct ael_metastore *open_with(const struct ael_metastore_postgres_options *wanted) {
    char text[TEXT_BYTES];
    struct ael_metastore *store = NULL;
    struct ael_error err = {0};
    struct ael_metastore_postgres_options options = *wanted;
    options.connection = postgres_server_local(&g_server, text, sizeof text);
    enum ael_status status = ael_metastore_postgres_new(&options, &store, &err);
    if (status != AEL_OK) {
        printf("\n    %s: %s", ael_status_name(status), err.detail);
    }
    CU_ASSERT_EQUAL_FATAL(status, AEL_OK);
    return store;
}

static struct ael_metastore *open_store(void) {
    struct ael_metastore_postgres_options options = AEL_METASTORE_POSTGRES_OPTIONS_INIT;
    options.connect_timeout_ms = PATIENT_MS;
    options.answer_timeout_ms = PATIENT_MS;
    return open_with(&options);
}

static void sql(const char *text) {
    CU_ASSERT_TRUE(postgres_server_sql(&g_server, text) >= 0);
}

static const char k_go_table[] =
    "DROP TABLE IF EXISTS encryption_key; CREATE TABLE encryption_key (id VARCHAR(255) NOT NULL, created "
    "TIMESTAMP"
    " NOT NULL DEFAULT CURRENT_TIMESTAMP, key_record TEXT NOT NULL, PRIMARY KEY (id, created))";
static const char k_rust_table[] = "DROP TABLE IF EXISTS encryption_key; CREATE TABLE encryption_key (id "
                                   "TEXT, created TIMESTAMP, key_record JSONB,"
                                   " PRIMARY KEY (id, created))";

/* A store on an empty table of its own make. */
static struct ael_metastore *open_fresh(void) {
    sql("DROP TABLE IF EXISTS encryption_key");
    struct ael_metastore *store = open_store();
    CU_ASSERT_EQUAL(ael_metastore_ensure_schema(store, NULL, NULL), AEL_OK);
    return store;
}

/* ---- the server ---- */

static void test_postgres_server__starts(void) {
    CU_ASSERT_TRUE_FATAL(postgres_server_init(&g_server));
}

static void test_postgres_server__ends(void) {
    CU_ASSERT_EQUAL(ael_hooks_set(NULL), AEL_OK);
    postgres_server_clear(&g_server);
}

/* ---- options ---- */

static void expect_refused(const struct ael_metastore_postgres_options *options) {
    struct ael_metastore *store = (struct ael_metastore *)&g_server;
    struct ael_error err = {0};
    CU_ASSERT_EQUAL(ael_metastore_postgres_new(options, &store, &err), AEL_E_ARGUMENT);
    CU_ASSERT_PTR_NULL(store);
    CU_ASSERT_EQUAL(err.status, AEL_E_ARGUMENT);
}

static void test_postgres_new__refuses_bad_options(void) {
    struct ael_metastore_postgres_options good = AEL_METASTORE_POSTGRES_OPTIONS_INIT;
    struct ael_metastore_postgres_options bad = good;
    CU_ASSERT_EQUAL(ael_metastore_postgres_new(&good, NULL, NULL), AEL_E_ARGUMENT);
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
    bad.connection = "host=db nonsense";
    expect_refused(&bad);
}

/* ---- TLS and log-in ---- */

static enum ael_status open_url(const char *parameters, struct ael_error *err) {
    char url[TEXT_BYTES];
    struct ael_metastore *store = NULL;
    enum ael_status status =
        open_at(postgres_server_url(&g_server, parameters, url, sizeof url), &store, err);
    ael_metastore_release(store);
    CU_ASSERT_EQUAL(store != NULL, status == AEL_OK);
    CU_ASSERT_PTR_NULL(strstr(err->detail, POSTGRES_PASSWORD));
    return status;
}

static void test_postgres_tls__is_verified_unless_told_otherwise(void) {
    struct ael_error err = {0};
    watch_log();
    CU_ASSERT_EQUAL(open_url("", &err), AEL_OK);
    CU_ASSERT_EQUAL(open_url("channel_binding=require", &err), AEL_OK);
    CU_ASSERT_FALSE(was_logged("certificate"));
    CU_ASSERT_FALSE(was_logged("encrypted"));
    CU_ASSERT_EQUAL(open_url("sslmode=require", &err), AEL_OK);
    CU_ASSERT_TRUE(was_logged("sslmode=verify-full"));
    CU_ASSERT_EQUAL(open_url("sslmode=disable", &err), AEL_OK);
    CU_ASSERT_TRUE(was_logged("not encrypted"));
}

/* Over the loopback: who comes by the socket needs none. Of two keywords the last one counts. */
static void test_postgres_log_in__takes_a_quoted_password(void) {
    char text[TEXT_BYTES];
    char connection[TEXT_BYTES + 64];
    struct ael_error err = {0};
    struct ael_metastore *store = NULL;
    (void)postgres_server_local(&g_server, text, sizeof text);
    (void)snprintf(connection, sizeof connection, "%s host=127.0.0.1 sslmode=disable", text);
    CU_ASSERT_EQUAL(open_at(connection, &store, &err), AEL_OK);
    ael_metastore_release(store);
}

static void test_postgres_tls__refuses_unknown_and_foreign_certificates(void) {
    struct ael_error err = {0};
    char connection[TEXT_BYTES];
    struct ael_metastore *store = NULL;
    (void)snprintf(
        connection, sizeof connection, "postgres://ael:%s@127.0.0.1:%d/postgres?sslrootcert=%s/none.pem",
        POSTGRES_PASSWORD_URL, g_server.port, g_server.folder);
    CU_ASSERT_EQUAL(open_at(connection, &store, &err), AEL_E_UNREACHABLE);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, "root certificate"));
    (void)snprintf(
        connection, sizeof connection, "postgres://ael:%s@127.0.0.1:%d/postgres?sslrootcert=%s/other.pem",
        POSTGRES_PASSWORD_URL, g_server.port, g_server.folder);
    CU_ASSERT_EQUAL(open_at(connection, &store, &err), AEL_E_UNREACHABLE);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, "certificate verify failed"));
    postgres_server_end(&g_server, SIGINT);
    char setting[TEXT_BYTES];
    (void)snprintf(setting, sizeof setting, "ssl_cert_file=%s/other.pem", g_server.folder);
    char key[TEXT_BYTES + 64];
    (void)snprintf(
        key, sizeof key,
        "cp %s/other.key %s/kept && cp %s/server.key %s/was && cp %s/other.key %s/server.key",
        g_server.folder, g_server.folder, g_server.folder, g_server.folder, g_server.folder, g_server.folder);
    CU_ASSERT_EQUAL(system(key), 0);
    CU_ASSERT_TRUE_FATAL(postgres_server_start(&g_server, setting));
    CU_ASSERT_EQUAL(open_url("", &err), AEL_E_UNREACHABLE);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, "does not match host name"));
    CU_ASSERT_EQUAL(open_url("sslmode=verify-ca", &err), AEL_OK);
    postgres_server_end(&g_server, SIGINT);
    (void)snprintf(key, sizeof key, "cp %s/was %s/server.key", g_server.folder, g_server.folder);
    CU_ASSERT_EQUAL(system(key), 0);
    CU_ASSERT_TRUE_FATAL(postgres_server_start(&g_server, NULL));
}

static void test_postgres_new__tells_what_is_wrong_with_the_log_in(void) {
    struct ael_error err = {0};
    char connection[TEXT_BYTES];
    struct ael_metastore *store = NULL;
    (void)snprintf(
        connection, sizeof connection,
        "host=127.0.0.1 port=%d sslmode=disable user=ael dbname=postgres password=hunter2", g_server.port);
    CU_ASSERT_EQUAL(open_at(connection, &store, &err), AEL_E_BACKEND);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, "28P01"));
    CU_ASSERT_PTR_NULL(strstr(err.detail, "hunter2"));
    CU_ASSERT_EQUAL(open_url("dbname=none", &err), AEL_E_BACKEND);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, "3D000"));
    (void)snprintf(connection, sizeof connection, "host=%s port=%d user=ael", "/tmp", g_server.port);
    CU_ASSERT_EQUAL(open_at(connection, &store, &err), AEL_E_UNREACHABLE);
    CU_ASSERT_PTR_NULL(store);
}

/* The service file has the address, the environment the password: both are libpq's. */
static void test_postgres_new__reads_service_and_password_files(void) {
    char path[TEXT_BYTES];
    char line[TEXT_BYTES];
    struct ael_metastore *store = NULL;
    (void)snprintf(path, sizeof path, "%s/pgpass", g_server.folder);
    FILE *file = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fprintf(
        file, "localhost:%d:*:ael:s3\\\\c'r @/\\:?#&%%=t\n*:*:*:ael:s3\\\\c'r @/\\:?#&%%=t\n", g_server.port);
    (void)fclose(file);
    CU_ASSERT_EQUAL(chmod(path, 0600), 0);
    (void)snprintf(line, sizeof line, "%s/services", g_server.folder);
    file = fopen(line, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fprintf(
        file, "[keys]\nhost=127.0.0.1\nsslmode=disable\nport=%d\nuser=ael\ndbname=postgres\n", g_server.port);
    (void)fclose(file);
    (void)setenv("PGSERVICEFILE", line, 1);
    (void)setenv("PGPASSFILE", path, 1);
    struct ael_error err = {0};
    CU_ASSERT_EQUAL(open_at("service=keys", &store, &err), AEL_OK);
    ael_metastore_release(store);
    (void)setenv("PGSERVICE", "keys", 1);
    CU_ASSERT_EQUAL(open_at(NULL, &store, &err), AEL_OK);
    ael_metastore_release(store);
    (void)unsetenv("PGSERVICE");
    (void)unsetenv("PGSERVICEFILE");
    (void)unsetenv("PGPASSFILE");
}

static void test_postgres_new__warns_of_lazy_durability(void) {
    char text[TEXT_BYTES];
    char connection[TEXT_BYTES + 64];
    struct ael_metastore *store = NULL;
    watch_log();
    ael_metastore_release(open_store());
    CU_ASSERT_FALSE(was_logged("synchronous_commit"));
    CU_ASSERT_TRUE(was_logged("fsync is off")); /* as the test's server is started */
    (void)snprintf(
        connection, sizeof connection, "%s options='-c synchronous_commit=off'",
        postgres_server_local(&g_server, text, sizeof text));
    CU_ASSERT_EQUAL(open_at(connection, &store, NULL), AEL_OK);
    ael_metastore_release(store);
    CU_ASSERT_TRUE(was_logged("synchronous_commit is off"));
    CU_ASSERT_FALSE(was_logged(POSTGRES_PASSWORD));
}

/* ---- tables ---- */

static void expect_table_refused(const char *table, const char *why) {
    char text[TEXT_BYTES];
    struct ael_metastore *store = NULL;
    struct ael_error err = {0};
    sql("DROP TABLE IF EXISTS encryption_key");
    sql(table);
    CU_ASSERT_EQUAL(
        open_at(postgres_server_local(&g_server, text, sizeof text), &store, &err), AEL_E_BACKEND);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, why));
    CU_ASSERT_PTR_NULL(store);
}

static void test_postgres_new__refuses_tables_that_would_lose_keys(void) {
    expect_table_refused(
        "CREATE TABLE encryption_key (id TEXT, created TIMESTAMP, key_record TEXT)", "no primary key");
    expect_table_refused(
        "CREATE TABLE encryption_key (id TEXT PRIMARY KEY, created TIMESTAMP, key_record TEXT)",
        "no primary key");
    expect_table_refused(
        "CREATE TABLE encryption_key (id TEXT, created TIMESTAMP, key_record TEXT);"
        "CREATE UNIQUE INDEX ON encryption_key (id, created) WHERE key_record IS NOT NULL",
        "no primary key");
    expect_table_refused(
        "CREATE TABLE encryption_key (id CHAR(40), created TIMESTAMP, key_record TEXT, PRIMARY KEY (id, "
        "created))",
        "column id");
    expect_table_refused(
        "CREATE TABLE encryption_key (id TEXT, created DATE, key_record TEXT, PRIMARY KEY (id, created))",
        "column created");
    expect_table_refused(
        "CREATE TABLE encryption_key (id TEXT, created BIGINT, key_record TEXT, PRIMARY KEY (id, created))",
        "column created");
    expect_table_refused(
        "CREATE TABLE encryption_key (id TEXT, created TIMESTAMP, key_record BYTEA, PRIMARY KEY (id, "
        "created))",
        "column key_record");
    expect_table_refused(
        "CREATE TABLE encryption_key (id TEXT, created TIMESTAMP, PRIMARY KEY (id, created))",
        "column key_record");
    expect_table_refused(
        "CREATE COLLATION IF NOT EXISTS easy (provider = icu, locale = 'und-u-ks-level2', deterministic = "
        "false);"
        "CREATE TABLE encryption_key (id TEXT COLLATE easy, created TIMESTAMP, key_record TEXT,"
        " PRIMARY KEY (id, created))",
        "not deterministic");
}

static void test_postgres_store__needs_its_table(void) {
    sql("DROP TABLE IF EXISTS encryption_key");
    struct ael_metastore *store = open_store();
    struct ael_error err = {0};
    CU_ASSERT_EQUAL(load_from(store, "_SK_a_b", CREATED, NULL, &err), AEL_E_BACKEND);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, "ael_metastore_ensure_schema"));
    CU_ASSERT_EQUAL(store_in(store, "_SK_a_b", CREATED, NULL), AEL_E_BACKEND);
    CU_ASSERT_EQUAL(ael_metastore_health(store, NULL, NULL), AEL_E_BACKEND);
    CU_ASSERT_EQUAL(ael_metastore_ensure_schema(store, NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(store_in(store, "_SK_a_b", CREATED, NULL), AEL_OK);
    CU_ASSERT_EQUAL(ael_metastore_health(store, NULL, NULL), AEL_OK);
    sql("DROP TABLE encryption_key"); /* under prepared statements */
    CU_ASSERT_EQUAL(load_from(store, "_SK_a_b", CREATED, NULL, NULL), AEL_E_BACKEND);
    ael_metastore_release(store);
}

/* What is installed makes the table that ensure_schema makes. */
static void test_postgres_schema_file__is_what_ensure_schema_makes(void) {
    static const char k_shape[] = "SELECT string_agg(column_name || data_type || is_nullable || "
                                  "coalesce(column_default, ''), ',' ORDER BY 1)"
                                  " FROM information_schema.columns WHERE table_name = 'encryption_key'";
    char path[TEXT_BYTES];
    char file_sql[2048];
    char made[TEXT_BYTES];
    char installed[TEXT_BYTES];
    (void)snprintf(path, sizeof path, "%s/metastore/schema/postgres.sql", AEL_TEST_SOURCE_DIR);
    FILE *file = fopen(path, "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    file_sql[fread(file_sql, 1, sizeof file_sql - 1, file)] = '\0';
    (void)fclose(file);
    ael_metastore_release(open_fresh());
    CU_ASSERT_TRUE(postgres_server_value(&g_server, k_shape, made, sizeof made));
    sql("DROP TABLE encryption_key");
    sql(file_sql);
    CU_ASSERT_TRUE(postgres_server_value(&g_server, k_shape, installed, sizeof installed));
    CU_ASSERT_STRING_EQUAL(made, installed);
    struct ael_metastore *store = open_store();
    CU_ASSERT_EQUAL(store_in(store, "_SK_a_b", CREATED, NULL), AEL_OK);
    ael_metastore_release(store);
}

/* ---- rows of others ---- */

#define GO_JSON                                                                                              \
    "{\"Created\":1700000040,\"Key\":\"a2V5\",\"ParentKeyMeta\":{\"KeyId\":\"_SK_s_p\",\"Created\":"         \
    "1700000040}}"

static void expect_record(const struct ael_key_record_buf *out) {
    CU_ASSERT_EQUAL(out->record.created_s, CREATED);
    CU_ASSERT_EQUAL(out->record.key.len, 3);
    CU_ASSERT_TRUE(out->record.has_parent && out->record.parent_created_s == CREATED);
}

static void expect_readable(const char *id) {
    struct ael_metastore *store = open_store();
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    CU_ASSERT_EQUAL(ael_metastore_load(store, NULL, ael_bytes_from_text(id), CREATED, &out, NULL), AEL_OK);
    expect_record(&out);
    CU_ASSERT_EQUAL(ael_metastore_load_latest(store, NULL, ael_bytes_from_text(id), &out, NULL), AEL_OK);
    expect_record(&out);
    ael_key_record_buf_clear(&out);
    CU_ASSERT_EQUAL(ael_metastore_mark_revoked(store, ael_bytes_from_text(id), CREATED, NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(ael_metastore_load(store, NULL, ael_bytes_from_text(id), CREATED, &out, NULL), AEL_OK);
    CU_ASSERT_TRUE(out.record.revoked);
    ael_key_record_buf_clear(&out);
    ael_metastore_release(store);
}

/* 2023-11-14 22:14:00 UTC is 1700000040. lib/pq sends times as text with their offset. */
static void test_postgres_rows__of_the_go_sdk_are_read(void) {
    sql(k_go_table);
    sql("INSERT INTO encryption_key (id, created, key_record) VALUES ('_IK_p_s_p', '2023-11-14 22:14:00Z', "
        "'" GO_JSON "')");
    expect_readable("_IK_p_s_p");
}

static void test_postgres_rows__of_the_rust_sdk_are_read(void) {
    sql(k_rust_table);
    sql("SET TimeZone='UTC'; INSERT INTO encryption_key (id, created, key_record) VALUES ('_IK_p_s_p',"
        " to_timestamp(1700000040::float8), '" GO_JSON "'::jsonb) ON CONFLICT DO NOTHING");
    expect_readable("_IK_p_s_p");
}

static void store_one_parented(const char *id) {
    struct ael_metastore *store = open_store();
    store_parented(store, id, CREATED);
    ael_metastore_release(store);
}

static void expect_value(const char *text, const char *wanted) {
    char value[TEXT_BYTES];
    CU_ASSERT_TRUE(postgres_server_value(&g_server, text, value, sizeof value));
    CU_ASSERT_STRING_EQUAL(value, wanted);
}

/* With the SDKs' own statements, in sessions of any time zone: so their columns say. */
static void test_postgres_rows__are_found_by_the_other_sdks(void) {
    sql("ALTER ROLE ael SET TimeZone = 'Asia/Tokyo'");
    sql(k_go_table);
    store_one_parented("_IK_p_s_p");
    expect_value(
        "SELECT key_record FROM encryption_key WHERE id = '_IK_p_s_p' AND created = '2023-11-14 22:14:00Z'",
        GO_JSON);
    sql(k_rust_table);
    store_one_parented("_IK_p_s_p");
    sql("ALTER ROLE ael SET TimeZone = 'UTC'");
    expect_value(
        "SELECT (key_record = '" GO_JSON "'::jsonb)::text FROM encryption_key WHERE id = '_IK_p_s_p' AND"
        " created = to_timestamp(1700000040::float8)",
        "true");
    ael_metastore_release(open_fresh());
    sql("ALTER ROLE ael SET TimeZone = 'America/New_York'");
    store_one_parented("_IK_p_s_p");
    expect_value(
        "SELECT key_record::text FROM encryption_key WHERE id = '_IK_p_s_p' AND created ="
        " to_timestamp(1700000040::float8)",
        GO_JSON);
    expect_readable("_IK_p_s_p");
    sql("ALTER ROLE ael RESET TimeZone");
}

/* In sessions whose time zone is not UTC, where a date that is turned from one type into the other would be shifted. */
static void test_postgres_rows__keep_their_instant_when_the_column_changes(void) {
    sql("ALTER ROLE ael SET TimeZone = 'America/New_York'");
    sql(k_go_table);
    struct ael_metastore *store = open_store();
    CU_ASSERT_EQUAL(store_in(store, "before", CREATED, NULL), AEL_OK);
    CU_ASSERT_EQUAL(load_from(store, "before", CREATED, NULL, NULL), AEL_OK);
    sql("ALTER TABLE encryption_key ALTER created TYPE TIMESTAMPTZ USING created AT TIME ZONE 'UTC'");
    CU_ASSERT_EQUAL(load_from(store, "before", CREATED, NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(store_in(store, "between", CREATED, NULL), AEL_OK);
    struct ael_metastore *other = open_store();
    CU_ASSERT_EQUAL(load_from(other, "between", CREATED, NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(latest_from(other, "between"), AEL_OK);
    sql("ALTER TABLE encryption_key ALTER created TYPE TIMESTAMP USING created AT TIME ZONE 'UTC'");
    CU_ASSERT_EQUAL(load_from(other, "before", CREATED, NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(store_in(other, "behind", CREATED, NULL), AEL_OK);
    expect_value("SELECT count(*)::text FROM encryption_key WHERE created = '2023-11-14 22:14:00'", "3");
    ael_metastore_release(other);
    ael_metastore_release(store);
    sql("ALTER ROLE ael RESET TimeZone");
}

static void test_postgres_rows__are_stored_when_the_column_changes(void) {
    sql(k_go_table);
    struct ael_metastore *store = open_store();
    CU_ASSERT_EQUAL(store_in(store, "text", CREATED, NULL), AEL_OK);
    sql("ALTER TABLE encryption_key ALTER key_record TYPE JSONB USING key_record::jsonb");
    CU_ASSERT_EQUAL(store_in(store, "jsonb", CREATED, NULL), AEL_OK);
    sql("ALTER TABLE encryption_key ALTER key_record TYPE JSON USING key_record::json");
    CU_ASSERT_EQUAL(store_in(store, "json", CREATED, NULL), AEL_OK);
    CU_ASSERT_EQUAL(load_from(store, "jsonb", CREATED, NULL, NULL), AEL_OK);
    ael_metastore_release(store);
}

/* By a statement that was prepared before, and by those that are only now. */
static void test_postgres_rows__are_read_when_the_column_changes(void) {
    sql(k_go_table);
    struct ael_metastore *store = open_store();
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", CREATED, NULL), AEL_OK);
    CU_ASSERT_EQUAL(latest_from(store, "_IK_x"), AEL_OK);
    sql("ALTER TABLE encryption_key ALTER key_record TYPE JSONB USING key_record::jsonb");
    CU_ASSERT_EQUAL(load_from(store, "_IK_x", CREATED, NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(rows_listed(store), 1);
    CU_ASSERT_EQUAL(
        ael_metastore_mark_revoked(store, ael_bytes_from_text("_IK_x"), CREATED, NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(latest_from(store, "_IK_x"), AEL_OK);
    ael_metastore_release(store);
}

struct deeper {
    struct ael_metastore *store;
    int depth;
};

/* Lists in a listing, on a connection of its own each. */
static bool list_deeper(
    void *context, struct ael_bytes id, int64_t created_s, const struct ael_key_record *record) {
    struct deeper *deeper = context;
    (void)id;
    (void)created_s;
    (void)record;
    if (deeper->depth-- > 1) {
        CU_ASSERT_EQUAL(
            ael_metastore_list(deeper->store, NULL, ael_bytes_from_text(""), list_deeper, deeper, NULL),
            AEL_OK);
    }
    return true;
}

/* More connections know the table as it was than a call makes attempts. */
static void test_postgres_connections__learn_of_a_column_that_changed(void) {
    struct deeper deeper = {NULL, 5};
    sql(k_go_table);
    deeper.store = open_store();
    CU_ASSERT_EQUAL(store_in(deeper.store, "_IK_x", CREATED, NULL), AEL_OK);
    (void)list_deeper(&deeper, (struct ael_bytes){NULL, 0}, 0, NULL);
    sql("ALTER TABLE encryption_key ALTER key_record TYPE JSON USING key_record::json");
    CU_ASSERT_EQUAL(rows_listed(deeper.store), 1);
    ael_metastore_release(deeper.store);
}

/* ---- bad rows ---- */

static void insert_bad(const char *created, const char *json) {
    char text[TEXT_BYTES + 128];
    sql("DELETE FROM encryption_key");
    (void)snprintf(
        text, sizeof text, "INSERT INTO encryption_key (id, created, key_record) VALUES ('_IK_b', %s, %s)",
        created, json);
    sql(text);
}

static void test_postgres_rows__that_are_no_keys_are_told(void) {
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
        "'{\"Created\":1700000040,\"Key\":\"' || repeat('A', 1048576) || '\"}'",
        "repeat(' ', 70000) || '{\"Created\":1700000040,\"Key\":\"a2V5\"}'",
        "E'\\x01{\"Created\":1700000040,\"Key\":\"a2V5\"}'", /* the version of JSONB, and it is none */
    };
    struct ael_error err = {0};
    sql(k_go_table);
    sql("ALTER TABLE encryption_key ALTER key_record DROP NOT NULL");
    struct ael_metastore *store = open_store();
    for (size_t i = 0; i < sizeof k_json / sizeof k_json[0]; i++) {
        insert_bad("'2023-11-14 22:14:00'", k_json[i]);
        CU_ASSERT_EQUAL(load_from(store, "_IK_b", CREATED, NULL, &err), AEL_E_BACKEND_DATA);
        CU_ASSERT_EQUAL(latest_from(store, "_IK_b"), AEL_E_BACKEND_DATA);
        CU_ASSERT_EQUAL(rows_listed(store), 0);
        CU_ASSERT_EQUAL(
            ael_metastore_mark_revoked(store, ael_bytes_from_text("_IK_b"), CREATED, NULL, NULL),
            AEL_E_BACKEND_DATA);
    }
    ael_metastore_release(store);
}

static long peak_kib(void) {
    struct rusage usage = {0};
    CU_ASSERT_EQUAL(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_maxrss;
}

/*
 * Whoever may write the table could make a row as long as the server's memory: what comes of it is not all
 * taken in.
 */
static void test_postgres_rows__of_any_length_do_not_fill_the_memory(void) {
    enum { ROW_KIB = 128 * 1024 };
    struct ael_error err = {0};
    sql(k_go_table);
    struct ael_metastore *store = open_store();
    insert_bad("'2023-11-14 22:14:00'", "repeat('A', 134217728)");
    long before = peak_kib();
    CU_ASSERT_EQUAL(load_from(store, "_IK_b", CREATED, NULL, &err), AEL_E_BACKEND_DATA);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, "too long"));
    CU_ASSERT_EQUAL(latest_from(store, "_IK_b"), AEL_E_BACKEND_DATA);
    CU_ASSERT_EQUAL(rows_listed(store), 0);
    CU_ASSERT_TRUE(peak_kib() - before < ROW_KIB / 2);
    insert_bad("'2023-11-14 22:14:00'", "'" GO_JSON "'");
    CU_ASSERT_EQUAL(latest_from(store, "_IK_b"), AEL_OK);
    ael_metastore_release(store);
}

static void expect_padded(const char *length, enum ael_status expected) {
    char text[TEXT_BYTES];
    struct ael_metastore *store = open_store();
    (void)snprintf(text, sizeof text, "rpad('" GO_JSON "', %s)", length);
    insert_bad("'2023-11-14 22:14:00'", text);
    CU_ASSERT_EQUAL(load_from(store, "_IK_b", CREATED, NULL, NULL), expected);
    CU_ASSERT_EQUAL(latest_from(store, "_IK_b"), expected);
    CU_ASSERT_EQUAL(rows_listed(store), expected == AEL_OK ? 1 : 0);
    ael_metastore_release(store);
}

static void test_postgres_rows__are_read_up_to_their_greatest_length(void) {
    sql(k_go_table);
    expect_padded("65536", AEL_OK);
    expect_padded("65537", AEL_E_BACKEND_DATA);
    insert_bad("'2023-11-14 22:14:00'", "'" GO_JSON "'");
    sql("ALTER TABLE encryption_key ALTER key_record TYPE JSONB USING key_record::jsonb");
    expect_readable("_IK_b");
}

/* Of JSONB the length is that of its text: GO_JSON and a member that is not known, so much longer. */
static void expect_jsonb_of(int length, enum ael_status expected) {
    char text[TEXT_BYTES];
    struct ael_metastore *store = open_store();
    (void)snprintf(
        text, sizeof text,
        "(SELECT '" GO_JSON "'::jsonb || jsonb_build_object('x', repeat('x', %d - octet_length(('" GO_JSON
        "'::jsonb || '{\"x\": \"\"}')::text))))",
        length);
    insert_bad("'2023-11-14 22:14:00'", text);
    CU_ASSERT_EQUAL(load_from(store, "_IK_b", CREATED, NULL, NULL), expected);
    CU_ASSERT_EQUAL(latest_from(store, "_IK_b"), expected);
    CU_ASSERT_EQUAL(rows_listed(store), expected == AEL_OK ? 1 : 0);
    ael_metastore_release(store);
}

static void test_postgres_rows__of_jsonb_are_read_up_to_their_greatest_length(void) {
    sql(k_go_table);
    sql("ALTER TABLE encryption_key ALTER key_record TYPE JSONB USING key_record::jsonb");
    expect_jsonb_of(65536, AEL_OK);
    expect_jsonb_of(65537, AEL_E_BACKEND_DATA);
    expect_jsonb_of(1 << 20, AEL_E_BACKEND_DATA);
}

static void test_postgres_rows__of_another_date_are_no_latest(void) {
    static const char *const k_dates[] = {
        "'2023-11-14 23:14:00'", "'2023-11-14 22:14:00.5'", "'infinity'",
        "'1969-12-31 23:59:59'", "'0044-03-15 BC'",
    };
    sql(k_go_table);
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

static void test_postgres_rows__from_the_future_are_read(void) {
    sql(k_go_table);
    struct ael_metastore *store = open_store();
    insert_bad("'9999-12-31 23:59:00'", "'{\"Created\":253402300740,\"Key\":\"a2V5\"}'");
    CU_ASSERT_EQUAL(latest_from(store, "_IK_b"), AEL_OK);
    CU_ASSERT_EQUAL(load_from(store, "_IK_b", INT64_C(253402300740), NULL, NULL), AEL_OK);
    ael_metastore_release(store);
}

/* Columns that this library knows nothing of are left to their default; without one nothing is stored. */
static void test_postgres_tables__with_further_columns_lose_no_key(void) {
    struct ael_key_record record = record_of("key", CREATED + 60);
    struct ael_error err = {0};
    bool stored = true;
    sql(k_go_table);
    sql("ALTER TABLE encryption_key ADD note TEXT, ADD made_by TEXT NOT NULL DEFAULT 'me'");
    struct ael_metastore *store = open_store();
    CU_ASSERT_EQUAL(store_in(store, "_IK_b", CREATED, NULL), AEL_OK);
    CU_ASSERT_EQUAL(latest_from(store, "_IK_b"), AEL_OK);
    sql("ALTER TABLE encryption_key ALTER made_by DROP DEFAULT");
    CU_ASSERT_EQUAL(
        ael_metastore_store(store, NULL, ael_bytes_from_text("_IK_b"), &record, &stored, &err),
        AEL_E_BACKEND);
    CU_ASSERT_FALSE(stored);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, "made_by"));
    CU_ASSERT_PTR_NULL(strstr(err.detail, "_IK_b")); /* the server's detail has the whole row */
    expect_value("SELECT count(*) FROM encryption_key", "1");
    CU_ASSERT_EQUAL(load_from(store, "_IK_b", CREATED, NULL, NULL), AEL_OK);
    ael_metastore_release(store);
}

static void test_postgres_ids__that_do_not_fit_are_refused(void) {
    char id[4097];
    sql(k_go_table);
    struct ael_metastore *store = open_store();
    memset(id, 'i', sizeof id);
    id[255] = '\0';
    CU_ASSERT_EQUAL(store_in(store, id, CREATED, NULL), AEL_OK);
    id[255] = 'i';
    id[256] = '\0';
    CU_ASSERT_EQUAL(store_in(store, id, CREATED, NULL), AEL_E_TOO_LARGE);
    id[255] = ' '; /* would be cut off in silence, and be another id */
    CU_ASSERT_EQUAL(store_in(store, id, CREATED + 60, NULL), AEL_E_TOO_LARGE);
    CU_ASSERT_EQUAL(rows_listed(store), 0);
    expect_value("SELECT count(*) FROM encryption_key", "1");
    for (size_t i = 0; i < 255; i++) { /* characters, not bytes */
        memcpy(id + 4 * i, "\xf0\x9f\x9a\x80", 4);
    }
    id[4 * 255] = '\0';
    CU_ASSERT_EQUAL(store_in(store, id, CREATED, NULL), AEL_OK);
    CU_ASSERT_EQUAL(latest_from(store, id), AEL_OK);
    ael_metastore_release(store);
    store = open_fresh();
    uint32_t noise = 1; /* nothing that the index could make shorter */
    for (size_t i = 0; i < 4096; i++) {
        noise = noise * 1664525 + 1013904223;
        id[i] = (char)('!' + (noise >> 16) % 90);
    }
    id[4096] = '\0';
    CU_ASSERT_EQUAL(store_in(store, id, CREATED, NULL), AEL_E_TOO_LARGE);
    CU_ASSERT_EQUAL(
        store_in(store, "_IK_x", CREATED, NULL), AEL_OK); /* the connection is as good as before */
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", INT64_C(253402300800), NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(load_from(store, "_IK_x", INT64_MAX, NULL, NULL), AEL_E_KEY_NOT_FOUND);
    ael_metastore_release(store);
}

/* ---- bounds and deadlines ---- */

static PGconn *connect_raw(void) {
    char text[TEXT_BYTES];
    PGconn *raw = PQconnectdb(postgres_server_local(&g_server, text, sizeof text));
    CU_ASSERT_EQUAL_FATAL(PQstatus(raw), CONNECTION_OK);
    return raw;
}

static void run_raw(PGconn *raw, const char *text) {
    PGresult *result = PQexec(raw, text);
    CU_ASSERT_EQUAL(PQresultStatus(result), PGRES_COMMAND_OK);
    PQclear(result);
}

/* Waits until a query gives the value; false when it does not. */
static bool wait_until(const char *text, const char *wanted) {
    char value[TEXT_BYTES];
    for (int i = 0; i < TRIES; i++) {
        if (postgres_server_value(&g_server, text, value, sizeof value) && strcmp(value, wanted) == 0) {
            return true;
        }
        (void)poll(NULL, 0, TRY_MS);
    }
    return false;
}

#define OURS         "FROM pg_stat_activity WHERE application_name = 'ael'"
#define OURS_WAITING "SELECT count(*) " OURS " AND wait_event_type = 'Lock'"

static void test_postgres_calls__end_with_their_deadline(void) {
    struct ael_metastore *store = open_fresh();
    struct ael_error err = {0};
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", CREATED, NULL), AEL_OK);
    PGconn *raw = connect_raw();
    run_raw(raw, "BEGIN");
    run_raw(raw, "LOCK TABLE encryption_key IN ACCESS EXCLUSIVE MODE");
    struct ael_call call = call_for(1000);
    CU_ASSERT_EQUAL(store_in(store, "_IK_y", CREATED, &call), AEL_E_OUTCOME_UNKNOWN);
    call = call_for(1000);
    CU_ASSERT_EQUAL(load_from(store, "_IK_x", CREATED, &call, &err), AEL_E_TIMEOUT);
    CU_ASSERT_TRUE(
        wait_until(OURS_WAITING, "0")); /* while the lock is held: the server gave up what we gave up */
    run_raw(raw, "COMMIT");
    PQfinish(raw);
    CU_ASSERT_EQUAL(load_from(store, "_IK_x", CREATED, NULL, &err), AEL_OK);
    CU_ASSERT_EQUAL(load_from(store, "_IK_y", CREATED, NULL, &err), AEL_E_KEY_NOT_FOUND);
    ael_metastore_release(store);
}

static void test_postgres_calls__end_when_they_are_cancelled(void) {
    struct ael_metastore *store = open_fresh();
    struct ael_cancel *cancel = NULL;
    struct ael_call call = call_for(60000);
    pthread_t thread;
    PGconn *raw = connect_raw();
    CU_ASSERT_EQUAL_FATAL(ael_cancel_new(&cancel), AEL_OK);
    call.cancel = cancel;
    struct waiter waiter = {.store = store, .call = &call};
    run_raw(raw, "BEGIN");
    run_raw(raw, "LOCK TABLE encryption_key IN ACCESS EXCLUSIVE MODE");
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, wait_in_call, &waiter), 0);
    CU_ASSERT_TRUE(wait_until(OURS_WAITING, "1"));
    ael_cancel_trigger(cancel);
    (void)pthread_join(thread, NULL);
    CU_ASSERT_EQUAL(waiter.status, AEL_E_CANCELLED);
    run_raw(raw, "COMMIT");
    PQfinish(raw);
    ael_cancel_free(cancel);
    ael_metastore_release(store);
}

/* A server that does not answer is unreachable long before the call is over: cached keys may go on. */
static void test_postgres_calls__take_a_silent_server_for_unreachable(void) {
    struct ael_metastore_postgres_options options = AEL_METASTORE_POSTGRES_OPTIONS_INIT;
    ael_metastore_release(open_fresh());
    options.answer_timeout_ms = 1000;
    struct ael_metastore *store = open_with(&options);
    struct ael_call call = call_for(60000);
    CU_ASSERT_EQUAL(latest_from(store, "_IK_x"), AEL_E_KEY_NOT_FOUND);
    PGconn *raw = connect_raw();
    run_raw(raw, "BEGIN");
    run_raw(raw, "LOCK TABLE encryption_key IN ACCESS EXCLUSIVE MODE");
    CU_ASSERT_EQUAL(load_from(store, "_IK_x", CREATED, &call, NULL), AEL_E_UNREACHABLE);
    run_raw(raw, "COMMIT");
    PQfinish(raw);
    ael_metastore_release(store);
}

static void test_postgres_pool__that_is_exhausted_is_waited_for(void) {
    struct ael_metastore_postgres_options options = AEL_METASTORE_POSTGRES_OPTIONS_INIT;
    ael_metastore_release(open_fresh());
    options.max_connections = 1;
    struct ael_metastore *store = open_with(&options);
    expect_a_lent_connection_to_be_waited_for(store);
    ael_metastore_release(store);
}

enum { CROWD_CONNECTIONS = 5 };

static void test_postgres_pool__keeps_its_bound_under_64_threads(void) {
    struct ael_metastore_postgres_options options = AEL_METASTORE_POSTGRES_OPTIONS_INIT;
    char value[32];
    ael_metastore_release(open_fresh());
    CU_ASSERT_TRUE(wait_until("SELECT count(*) " OURS, "0"));
    options.max_connections = CROWD_CONNECTIONS;
    options.connect_timeout_ms = PATIENT_MS;
    options.answer_timeout_ms = PATIENT_MS;
    struct ael_metastore *store = open_with(&options);
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", CREATED, NULL), AEL_OK);
    load_in_a_crowd(store);
    CU_ASSERT_TRUE(postgres_server_value(&g_server, "SELECT count(*) " OURS, value, sizeof value));
    long open = strtol(value, NULL, 10);
    CU_ASSERT_TRUE(open >= 1 && open <= CROWD_CONNECTIONS);
    ael_metastore_release(store);
    CU_ASSERT_TRUE(wait_until("SELECT count(*) " OURS, "0"));
}

/* ---- connections that end ---- */

static void test_postgres_connections__that_ended_idle_are_opened_anew(void) {
    struct ael_metastore *store = open_fresh();
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", CREATED, NULL), AEL_OK);
    sql("SELECT pg_terminate_backend(pid) " OURS);
    CU_ASSERT_TRUE(wait_until("SELECT count(*) " OURS, "0"));
    CU_ASSERT_EQUAL(store_in(store, "_IK_y", CREATED, NULL), AEL_OK); /* not unknown: it was seen before */
    postgres_server_end(&g_server, SIGKILL);
    CU_ASSERT_EQUAL(load_from(store, "_IK_x", CREATED, NULL, NULL), AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(store_in(store, "_IK_z", CREATED, NULL), AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(ael_metastore_health(store, NULL, NULL), AEL_E_UNREACHABLE);
    CU_ASSERT_TRUE_FATAL(postgres_server_start(&g_server, NULL));
    CU_ASSERT_EQUAL(load_from(store, "_IK_x", CREATED, NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(load_from(store, "_IK_y", CREATED, NULL, NULL), AEL_OK);
    ael_metastore_release(store);
}

/*
 * Stands between client and server, as a proxy may, and keeps the client's side open when the server's has ended: what
 * the server said last has come, its end has not.
 */
struct between {
    int listener;
    int client;
    int server;
    char path[128];
};

/* Hands on what there is to be read. False at the end. */
static bool hand_on(int from, int to) {
    char bytes[4096];
    ssize_t got = read(from, bytes, sizeof bytes);
    return got > 0 && send(to, bytes, (size_t)got, MSG_NOSIGNAL) == got;
}

static int unix_socket(const char *path, struct sockaddr_un *address) {
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    int len = snprintf(address->sun_path, sizeof address->sun_path, "%s", path);
    CU_ASSERT_FATAL(len > 0 && len < (int)sizeof address->sun_path);
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static void *stand_between(void *context) {
    struct between *between = context;
    struct sockaddr_un address;
    char path[128];
    bool open = true;
    (void)snprintf(path, sizeof path, "%s/.s.PGSQL.%d", g_server.folder, g_server.port);
    between->client = accept(between->listener, NULL, NULL);
    between->server = unix_socket(path, &address);
    bool goes_on = connect(between->server, (struct sockaddr *)&address, sizeof address) == 0;
    while (goes_on) {
        struct pollfd ends[] = {
            {.fd = between->client, .events = POLLIN}, {.fd = open ? between->server : -1, .events = POLLIN}};
        (void)poll(ends, 2, -1);
        open = open && (ends[1].revents == 0 || hand_on(between->server, between->client));
        goes_on = ends[0].revents == 0 || (hand_on(between->client, between->server) && open);
    }
    (void)close(between->client);
    (void)close(between->server);
    return NULL;
}

static void listen_between(struct between *between, const char *name) {
    struct sockaddr_un address;
    (void)snprintf(between->path, sizeof between->path, "%s/%s", g_server.folder, name);
    between->listener = unix_socket(between->path, &address);
    CU_ASSERT_EQUAL_FATAL(bind(between->listener, (struct sockaddr *)&address, sizeof address), 0);
    CU_ASSERT_EQUAL_FATAL(chmod(between->path, 0777), 0);
    CU_ASSERT_EQUAL_FATAL(listen(between->listener, 1), 0);
}

static void test_postgres_connections__are_not_used_once_the_server_takes_leave(void) {
    struct ael_metastore *store = NULL;
    struct between between;
    struct ael_error err = {0};
    pthread_t thread;
    char text[TEXT_BYTES];
    ael_metastore_release(open_fresh());
    CU_ASSERT_TRUE(wait_until("SELECT count(*) " OURS, "0"));
    listen_between(&between, ".s.PGSQL.1");
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, stand_between, &between), 0);
    (void)postgres_server_local(&g_server, text, sizeof text);
    size_t len = strlen(text);
    (void)snprintf(
        text + len, sizeof text - len, " host=%s,%s port=1,%d", g_server.folder, g_server.folder,
        g_server.port);
    CU_ASSERT_EQUAL_FATAL(open_at(text, &store, &err), AEL_OK);
    CU_ASSERT_EQUAL(unlink(between.path), 0); /* the next connection is made without us */
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", CREATED, NULL), AEL_OK);
    sql("SELECT pg_terminate_backend(pid) " OURS);
    CU_ASSERT_TRUE(wait_until("SELECT count(*) " OURS, "0"));
    (void)poll(NULL, 0, 200); /* what it said is on its way */
    CU_ASSERT_EQUAL(store_in(store, "_IK_y", CREATED, NULL), AEL_OK);
    ael_metastore_release(store);
    (void)pthread_join(thread, NULL);
    (void)close(between.listener);
}

static enum ael_status end_in_mid_call(bool stores) {
    struct ael_metastore *store = open_fresh();
    struct waiter waiter = {.store = store, .stores = stores};
    pthread_t thread;
    PGconn *raw = connect_raw();
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", CREATED, NULL), AEL_OK);
    run_raw(raw, "BEGIN");
    run_raw(raw, "LOCK TABLE encryption_key IN ACCESS EXCLUSIVE MODE");
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, wait_in_call, &waiter), 0);
    CU_ASSERT_TRUE(wait_until(OURS_WAITING, "1"));
    sql("SELECT pg_terminate_backend(pid) " OURS);
    run_raw(raw, "COMMIT");
    PQfinish(raw);
    (void)pthread_join(thread, NULL);
    ael_metastore_release(store);
    return waiter.status;
}

static void test_postgres_connections__that_end_in_a_call(void) {
    CU_ASSERT_EQUAL(end_in_mid_call(false), AEL_OK); /* a load is done again */
    CU_ASSERT_EQUAL(end_in_mid_call(true), AEL_E_OUTCOME_UNKNOWN);
}

/* The commit fails after the statement's result has come: only the server's being ready tells. */
static void test_postgres_store__counts_only_once_it_is_committed(void) {
    struct ael_metastore *store = open_fresh();
    sql("CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN RAISE EXCEPTION ''refused at commit''; END'");
    sql("CREATE CONSTRAINT TRIGGER late AFTER INSERT ON encryption_key DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION refuse()");
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", CREATED, NULL), AEL_E_BACKEND);
    CU_ASSERT_EQUAL(load_from(store, "_IK_x", CREATED, NULL, NULL), AEL_E_KEY_NOT_FOUND);
    sql("DROP TRIGGER late ON encryption_key");
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", CREATED, NULL), AEL_OK);
    ael_metastore_release(store);
}

static void test_postgres_store__is_refused_by_what_takes_no_writes(void) {
    struct ael_metastore *store = open_fresh();
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", CREATED, NULL), AEL_OK);
    sql("ALTER ROLE ael SET default_transaction_read_only = on");
    CU_ASSERT_EQUAL(store_in(store, "_IK_y", CREATED, NULL), AEL_OK); /* that session writes still */
    sql("SELECT pg_terminate_backend(pid) " OURS);
    CU_ASSERT_TRUE(wait_until("SELECT count(*) " OURS, "0"));
    CU_ASSERT_EQUAL(store_in(store, "_IK_z", CREATED, NULL), AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(ael_metastore_health(store, NULL, NULL), AEL_E_UNREACHABLE);
    PGconn *raw = connect_raw();
    run_raw(raw, "SET default_transaction_read_only = off");
    run_raw(raw, "ALTER ROLE ael RESET default_transaction_read_only");
    PQfinish(raw);
    CU_ASSERT_EQUAL(store_in(store, "_IK_z", CREATED, NULL), AEL_OK);
    ael_metastore_release(store);
}

/* ---- fork ---- */

#define OUR_PIDS "SELECT string_agg(pid::text, ',' ORDER BY pid) " OURS

static void test_postgres_fork__leaves_the_parents_connections_alone(void) {
    struct ael_metastore *store = open_fresh();
    char before[TEXT_BYTES];
    char after[TEXT_BYTES];
    int status = -1;
    CU_ASSERT_TRUE(wait_until("SELECT count(*) " OURS, "1"));
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", CREATED, NULL), AEL_OK);
    CU_ASSERT_TRUE(postgres_server_value(&g_server, OUR_PIDS, before, sizeof before));
    pid_t child = fork();
    if (child == 0) {
        _exit(work_in_child(store));
    }
    CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
    CU_ASSERT_EQUAL(status, 0);
    CU_ASSERT_TRUE(wait_until("SELECT count(*) " OURS, "1")); /* the child's came and went */
    CU_ASSERT_TRUE(postgres_server_value(&g_server, OUR_PIDS, after, sizeof after));
    CU_ASSERT_STRING_EQUAL(before, after);
    CU_ASSERT_EQUAL(load_from(store, "_IK_child", CREATED, NULL, NULL), AEL_OK);
    CU_ASSERT_TRUE(postgres_server_value(&g_server, OUR_PIDS, after, sizeof after));
    CU_ASSERT_STRING_EQUAL(before, after);
    ael_metastore_release(store);
}

static void test_postgres_fork__without_handlers_is_refused(void) {
    struct ael_metastore *store = open_fresh();
    expect_an_untold_child_to_be_refused(store);
    ael_metastore_release(store);
}

static void test_postgres_fork__in_the_middle_of_a_listing(void) {
    struct ael_metastore *store = open_fresh();
    fork_in_the_middle_of_a_listing(store);
    ael_metastore_release(store);
}

static const struct test_case k_cases[] = {
    {"a server starts", test_postgres_server__starts},
    {"bad options are refused", test_postgres_new__refuses_bad_options},
    {"TLS is verified unless told otherwise", test_postgres_tls__is_verified_unless_told_otherwise},
    {"a quoted password logs in", test_postgres_log_in__takes_a_quoted_password},
    {"unknown and foreign certificates are refused",
     test_postgres_tls__refuses_unknown_and_foreign_certificates},
    {"what is wrong with the log-in is told", test_postgres_new__tells_what_is_wrong_with_the_log_in},
    {"service and password files are read", test_postgres_new__reads_service_and_password_files},
    {"lazy durability is warned of", test_postgres_new__warns_of_lazy_durability},
    {"tables that would lose keys are refused", test_postgres_new__refuses_tables_that_would_lose_keys},
    {"a table is needed", test_postgres_store__needs_its_table},
    {"the installed schema is the one that is made", test_postgres_schema_file__is_what_ensure_schema_makes},
    {"rows of the Go SDK are read", test_postgres_rows__of_the_go_sdk_are_read},
    {"rows of the Rust SDK are read", test_postgres_rows__of_the_rust_sdk_are_read},
    {"rows are found by the other SDKs", test_postgres_rows__are_found_by_the_other_sdks},
    {"rows keep their instant when the column changes",
     test_postgres_rows__keep_their_instant_when_the_column_changes},
    {"rows are stored when the column changes", test_postgres_rows__are_stored_when_the_column_changes},
    {"rows are read when the column changes", test_postgres_rows__are_read_when_the_column_changes},
    {"connections learn of a column that changed",
     test_postgres_connections__learn_of_a_column_that_changed},
    {"rows that are no keys are told", test_postgres_rows__that_are_no_keys_are_told},
    {"rows of any length do not fill the memory", test_postgres_rows__of_any_length_do_not_fill_the_memory},
    {"rows are read up to their greatest length", test_postgres_rows__are_read_up_to_their_greatest_length},
    {"rows of JSONB, too", test_postgres_rows__of_jsonb_are_read_up_to_their_greatest_length},
    {"rows of another date are no latest", test_postgres_rows__of_another_date_are_no_latest},
    {"rows from the future are read", test_postgres_rows__from_the_future_are_read},
    {"further columns lose no key", test_postgres_tables__with_further_columns_lose_no_key},
    {"ids that do not fit are refused", test_postgres_ids__that_do_not_fit_are_refused},
    {"calls end with their deadline", test_postgres_calls__end_with_their_deadline},
    {"calls end when they are cancelled", test_postgres_calls__end_when_they_are_cancelled},
    {"a silent server is unreachable", test_postgres_calls__take_a_silent_server_for_unreachable},
    {"an exhausted pool is waited for", test_postgres_pool__that_is_exhausted_is_waited_for},
    {"64 threads keep the pool's bound", test_postgres_pool__keeps_its_bound_under_64_threads},
    {"connections that ended idle are opened anew",
     test_postgres_connections__that_ended_idle_are_opened_anew},
    {"connections are not used once the server takes leave",
     test_postgres_connections__are_not_used_once_the_server_takes_leave},
    {"connections that end in a call", test_postgres_connections__that_end_in_a_call},
    {"a store counts once it is committed", test_postgres_store__counts_only_once_it_is_committed},
    {"what takes no writes is refused", test_postgres_store__is_refused_by_what_takes_no_writes},
    {"a fork leaves the parent's connections alone",
     test_postgres_fork__leaves_the_parents_connections_alone},
    {"a fork without handlers is refused", test_postgres_fork__without_handlers_is_refused},
    {"a fork in the middle of a listing", test_postgres_fork__in_the_middle_of_a_listing},
    {"the server ends", test_postgres_server__ends},
};

TEST_SUITE_MAIN("metastore_postgres", k_cases)
