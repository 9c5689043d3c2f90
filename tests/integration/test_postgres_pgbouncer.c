/*
 * test_postgres_pgbouncer.c - services that reach PostgreSQL through PgBouncer, in each of its pool modes:
 * its server connections change under them, it refuses, it waits, it is killed, and the server behind it is.
 *
 * Of every record for which encrypt said AEL_OK a fresh factory must make the payload again.
 *
 * Needs: libael, libael-postgres, CUnit, tests/support/postgres_pgbouncer.c, tests/support/sql_service.c.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ael/ael.h>
#include <ael/metastore_postgres.h>
#include <ael/sys/metastore_backend.h>

#include "tests/support/postgres_pgbouncer.h"
#include "tests/support/service_load.h"
#include "tests/support/sql_service.h"
#include "tests/support/store_calls.h"
#include "tests/support/suite.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_BYTES = 1024, SOON_MS = 1000 };

static struct postgres_server g_server;
static struct pgbouncer g_bouncer;
static const char *g_settings; /* of the case under way */

/* ---- PgBouncer, and stores through it ---- */

static enum ael_status
open_at(const char *parameters, uint32_t answer_ms, struct ael_metastore **store, struct ael_error *err) {
    char url[TEXT_BYTES];
    struct ael_metastore_postgres_options options = AEL_METASTORE_POSTGRES_OPTIONS_INIT;
    options.connection = pgbouncer_url(&g_bouncer, parameters, url, sizeof url);
    options.max_connections = SERVICE_LOAD_THREADS;
    options.connect_timeout_ms = PATIENT_MS;
    options.answer_timeout_ms = answer_ms;
    return ael_metastore_postgres_new(&options, store, err);
}

static struct ael_metastore *open_store(uint32_t answer_ms) {
    struct ael_metastore *store = NULL;
    struct ael_error err = {0};
    if (open_at("", answer_ms, &store, &err) != AEL_OK) {
        printf("\n    %s", err.detail);
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(store);
    return store;
}

/* With these settings and no server connections yet. */
static void restart(const char *settings) {
    pgbouncer_end(&g_bouncer, SIGKILL);
    CU_ASSERT_TRUE_FATAL(pgbouncer_start(&g_bouncer, settings));
    g_settings = settings;
}

static void sql(const char *text) {
    CU_ASSERT_TRUE(postgres_server_sql(&g_server, text) >= 0);
}

static struct ael_metastore *open_fresh(const char *settings, uint32_t answer_ms) {
    restart(settings);
    sql("DROP TABLE IF EXISTS encryption_key");
    struct ael_metastore *store = open_store(answer_ms);
    CU_ASSERT_EQUAL(ael_metastore_ensure_schema(store, NULL, NULL), AEL_OK);
    return store;
}

/* Another client of the same pool. */
static PGconn *open_neighbour(void) {
    char url[TEXT_BYTES];
    PGconn *connection = PQconnectdb(pgbouncer_url(&g_bouncer, "sslmode=verify-full", url, sizeof url));
    CU_ASSERT_EQUAL(PQstatus(connection), CONNECTION_OK);
    return connection;
}

static void expect_value(PGconn *connection, const char *text, const char *expected) {
    PGresult *result = PQexec(connection, text);
    CU_ASSERT_EQUAL(PQntuples(result), 1);
    CU_ASSERT_STRING_EQUAL(PQntuples(result) == 1 ? PQgetvalue(result, 0, 0) : "", expected);
    PQclear(result);
}

/* ---- the members, in each mode ---- */

static void test_pgbouncer__starts(void) {
    CU_ASSERT_TRUE_FATAL(postgres_server_init(&g_server));
    CU_ASSERT_TRUE_FATAL(pgbouncer_init(&g_bouncer, &g_server, ""));
}

/* The next statement is done by a server connection that knows nothing of those before. */
static void exchange_servers(void) {
    CU_ASSERT_TRUE(pgbouncer_command(&g_bouncer, "RECONNECT"));
}

static bool replace_key(struct ael_metastore *store, const char *from, const char *to) {
    struct ael_key_record expected = record_of(from, CREATED);
    struct ael_key_record desired = record_of(to, CREATED);
    bool replaced = false;
    CU_ASSERT_EQUAL(
        ael_metastore_replace(
            store, NULL, ael_bytes_from_text("_IK_x"), &expected, &desired, &replaced, NULL),
        AEL_OK);
    return replaced;
}

static void read_all(struct ael_metastore *store) {
    CU_ASSERT_EQUAL(load_from(store, "_IK_x", CREATED, NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(load_from(store, "_IK_x", CREATED + 60, NULL, NULL), AEL_E_KEY_NOT_FOUND);
    CU_ASSERT_EQUAL(latest_from(store, "_IK_x"), AEL_OK);
    CU_ASSERT_EQUAL(latest_from(store, "_IK_y"), AEL_E_KEY_NOT_FOUND);
    CU_ASSERT_EQUAL(rows_listed(store), 1);
    CU_ASSERT_EQUAL(ael_metastore_health(store, NULL, NULL), AEL_OK);
}

static void change_all(struct ael_metastore *store, const char *key, const char *next) {
    struct ael_key_record other = record_of("other", CREATED);
    bool stored = true;
    CU_ASSERT_EQUAL(
        ael_metastore_store(store, NULL, ael_bytes_from_text("_IK_x"), &other, &stored, NULL), AEL_OK);
    CU_ASSERT_FALSE(stored);
    CU_ASSERT_FALSE(replace_key(store, "other", next));
    CU_ASSERT_TRUE(replace_key(store, key, next));
}

/* By two services that share a server connection, and by connections that are new to what they are asked. */
static void use_all(const char *settings) {
    struct ael_metastore *first = open_fresh(settings, PATIENT_MS);
    struct ael_metastore *second = open_store(PATIENT_MS);
    CU_ASSERT_EQUAL(store_in(first, "_IK_x", CREATED, NULL), AEL_OK);
    read_all(first);
    read_all(second);
    change_all(first, "key", "key 2");
    change_all(second, "key 2", "key 3");
    exchange_servers();
    read_all(second);
    exchange_servers();
    change_all(first, "key 3", "key 4");
    exchange_servers();
    CU_ASSERT_EQUAL(
        ael_metastore_mark_revoked(second, ael_bytes_from_text("_IK_x"), CREATED, NULL, NULL), AEL_OK);
    read_all(first);
    ael_metastore_release(second);
    ael_metastore_release(first);
}

static void test_pgbouncer_session__has_every_member(void) {
    use_all("pool_mode=session\n");
}

static void test_pgbouncer_transaction__has_every_member(void) {
    use_all("pool_mode=transaction\ndefault_pool_size=1\n");
}

static void test_pgbouncer_statement__has_every_member(void) {
    use_all("pool_mode=statement\ndefault_pool_size=1\n");
}

/* What we would set would be set for whoever gets the server connection next. */
static void test_pgbouncer_transaction__leaves_its_neighbours_settings_alone(void) {
    sql("ALTER ROLE ael SET default_transaction_isolation = 'serializable'");
    struct ael_metastore *store = open_fresh("pool_mode=transaction\ndefault_pool_size=1\n", PATIENT_MS);
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", CREATED, NULL), AEL_OK);
    PGconn *neighbour = open_neighbour();
    expect_value(neighbour, "SHOW default_transaction_isolation", "serializable");
    expect_value(neighbour, "SHOW statement_timeout", "0");
    expect_value(neighbour, "SHOW client_connection_check_interval", "0");
    expect_value(neighbour, "SELECT count(*) FROM pg_prepared_statements", "0");
    PQfinish(neighbour);
    ael_metastore_release(store);
    sql("ALTER ROLE ael RESET default_transaction_isolation");
}

/* A TIMESTAMP means UTC, whatever the server's zone and that of the neighbours. */
static void test_pgbouncer_transaction__keeps_dates_where_zones_differ(void) {
    restart("pool_mode=transaction\ndefault_pool_size=1\n");
    sql("ALTER ROLE ael SET TimeZone = 'Asia/Tokyo'");
    sql("DROP TABLE IF EXISTS encryption_key");
    sql("CREATE TABLE encryption_key (id TEXT NOT NULL, created TIMESTAMP NOT NULL, key_record TEXT NOT NULL,"
        " PRIMARY KEY (id, created))");
    struct ael_metastore *store = open_store(PATIENT_MS);
    PGconn *neighbour = open_neighbour();
    PQclear(PQexec(neighbour, "SET TimeZone = 'America/Lima'"));
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", CREATED, NULL), AEL_OK);
    expect_value(neighbour, "SELECT created FROM encryption_key", "2023-11-14 22:14:00");
    expect_value(neighbour, "SHOW TimeZone", "America/Lima");
    sql("ALTER TABLE encryption_key ALTER created TYPE TIMESTAMPTZ USING created AT TIME ZONE 'UTC'");
    CU_ASSERT_EQUAL(load_from(store, "_IK_x", CREATED, NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(store_in(store, "_IK_y", CREATED, NULL), AEL_OK);
    expect_value(neighbour, "SELECT count(DISTINCT created) FROM encryption_key", "1");
    PQfinish(neighbour);
    ael_metastore_release(store);
    sql("ALTER ROLE ael RESET TimeZone");
}

/* ---- what it refuses ---- */

static void expect_refusal(const char *parameters, enum ael_status expected, const char *sentence) {
    struct ael_metastore *store = NULL;
    struct ael_error err = {0};
    CU_ASSERT_EQUAL(open_at(parameters, PATIENT_MS, &store, &err), expected);
    CU_ASSERT_PTR_NULL(store);
    CU_ASSERT_EQUAL(err.status, expected);
    if (strstr(err.detail, sentence) == NULL) {
        printf("\n    %s", err.detail);
        CU_FAIL("the sentence is another one");
    }
    CU_ASSERT_PTR_NULL(strstr(err.detail, POSTGRES_PASSWORD));
    CU_ASSERT_PTR_NULL(strstr(err.detail, "wrong-secret"));
    ael_metastore_release(store);
}

static void test_pgbouncer_login__is_refused_with_the_remedy(void) {
    restart("");
    expect_refusal("password=wrong-secret", AEL_E_BACKEND, "auth_file");
    expect_refusal("user=stranger", AEL_E_BACKEND, "auth_file");
    expect_refusal("user=nobody&password=nothing", AEL_E_BACKEND, "auth_file");
    expect_refusal("dbname=none", AEL_E_BACKEND, "[databases]");
    expect_refusal("options=-csearch_path%3Dkeys", AEL_E_BACKEND, "ALTER ROLE");
}

/* libpq puts the address before the sentence: here a path to the socket, as long as it may be. */
static void test_pgbouncer_login__is_refused_at_a_long_address(void) {
    enum { PATH_BYTES = 92 };
    char path[PATH_BYTES];
    char parameters[TEXT_BYTES];
    size_t len = (size_t)snprintf(path, sizeof path, "%s/", g_server.folder);
    CU_ASSERT_FATAL(len < sizeof path);
    memset(path + len, 'x', sizeof path - len);
    path[sizeof path - 1] = '\0';
    CU_ASSERT_EQUAL_FATAL(symlink(".", path), 0);
    restart("");
    (void)snprintf(parameters, sizeof parameters, "host=%s&password=wrong-secret", path);
    expect_refusal(parameters, AEL_E_BACKEND, "auth_file");
    CU_ASSERT_EQUAL(unlink(path), 0);
}

static void test_pgbouncer_settings__are_done_without_when_it_is_told_to(void) {
    struct ael_metastore *store = NULL;
    restart("ignore_startup_parameters = options\n");
    CU_ASSERT_EQUAL(open_at("options=-cgeqo%3Doff", PATIENT_MS, &store, NULL), AEL_OK);
    ael_metastore_release(store);
}

static void test_pgbouncer_tls__is_verified(void) {
    restart("client_tls_sslmode = require\n");
    expect_refusal("sslmode=disable", AEL_E_BACKEND, "sslmode");
    CU_ASSERT_EQUAL(postgres_server_sql(&g_server, "SELECT 1"), 1);
    struct ael_metastore *store = open_store(PATIENT_MS);
    CU_ASSERT_EQUAL(ael_metastore_ensure_schema(store, NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(ael_metastore_health(store, NULL, NULL), AEL_OK);
    ael_metastore_release(store);
    expect_refusal("host=localhost&sslmode=verify-full", AEL_E_UNREACHABLE, "localhost");
    restart("client_tls_sslmode = disable\n");
    expect_refusal("", AEL_E_UNREACHABLE, "SSL");
}

static void test_pgbouncer_clients__are_told_when_they_are_too_many(void) {
    restart("max_client_conn = 1\n");
    PGconn *neighbour = open_neighbour();
    expect_refusal("", AEL_E_UNREACHABLE, "max_client_conn");
    PQfinish(neighbour);
    ael_metastore_release(open_store(PATIENT_MS));
}

/* ---- while it waits ---- */

/* Holds the only server connection. */
static PGconn *open_hog(void) {
    PGconn *hog = open_neighbour();
    PQclear(PQexec(hog, "BEGIN"));
    return hog;
}

static void test_pgbouncer_pool__tells_when_it_has_waited_too_long(void) {
    static const char k_settings[] = "pool_mode=transaction\ndefault_pool_size=1\nquery_wait_timeout=0.3\n";
    struct ael_metastore *store = open_fresh(k_settings, PATIENT_MS);
    struct ael_error err = {0};
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", CREATED, NULL), AEL_OK);
    PGconn *hog = open_hog();
    CU_ASSERT_EQUAL(load_from(store, "_IK_x", CREATED, NULL, &err), AEL_E_UNREACHABLE);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, "default_pool_size"));
    CU_ASSERT_NOT_EQUAL(store_err(store, "_IK_y", CREATED, NULL, &err), AEL_OK);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, "default_pool_size"));
    PQclear(PQexec(hog, "COMMIT")); /* else the pooler ends the connection, and has 0.3 s to make another */
    PQfinish(hog);
    CU_ASSERT_EQUAL(load_from(store, "_IK_x", CREATED, NULL, &err), AEL_OK);
    CU_ASSERT_EQUAL(load_from(store, "_IK_y", CREATED, NULL, &err), AEL_E_KEY_NOT_FOUND);
    ael_metastore_release(store);
}

static bool becomes_stored(struct ael_metastore *store, const char *id) {
    enum { TRIES = 6000, TRY_MS = 10 };
    enum ael_status status = AEL_E_KEY_NOT_FOUND;
    for (int i = 0; i < TRIES && status == AEL_E_KEY_NOT_FOUND; i++) {
        (void)poll(NULL, 0, TRY_MS);
        status = load_from(store, id, CREATED, NULL, NULL);
    }
    return status == AEL_OK;
}

/* It gives up what the server has begun, and the server goes on with it when the lock is free. */
static void test_pgbouncer_statement__that_it_gives_up_may_be_done_still(void) {
    struct ael_metastore *store = open_fresh("pool_mode=transaction\nquery_timeout=2\n", PATIENT_MS);
    struct ael_error err = {0};
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", CREATED, NULL), AEL_OK);
    char address[TEXT_BYTES];
    PGconn *holder = PQconnectdb(postgres_server_local(&g_server, address, sizeof address));
    PQclear(PQexec(holder, "BEGIN"));
    PQclear(PQexec(holder, "LOCK TABLE encryption_key"));
    CU_ASSERT_EQUAL(PQtransactionStatus(holder), PQTRANS_INTRANS);
    CU_ASSERT_EQUAL(store_err(store, "_IK_y", CREATED, NULL, &err), AEL_E_OUTCOME_UNKNOWN);
    PQfinish(holder);
    CU_ASSERT_TRUE(becomes_stored(store, "_IK_y"));
    ael_metastore_release(store);
}

static void test_pgbouncer_pause__is_an_outage(void) {
    struct ael_metastore *store = open_fresh("pool_mode=transaction\n", PATIENT_MS);
    struct ael_error err = {0};
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", CREATED, NULL), AEL_OK);
    ael_metastore_release(store);
    store = open_store(SOON_MS);
    CU_ASSERT_TRUE(pgbouncer_command(&g_bouncer, "PAUSE"));
    CU_ASSERT_EQUAL(load_from(store, "_IK_x", CREATED, NULL, &err), AEL_E_UNREACHABLE);
    const struct ael_call call = call_for(SOON_MS / 2);
    CU_ASSERT_EQUAL(load_from(store, "_IK_x", CREATED, &call, &err), AEL_E_TIMEOUT);
    CU_ASSERT_EQUAL(store_err(store, "_IK_y", CREATED, NULL, &err), AEL_E_UNREACHABLE);
    CU_ASSERT_TRUE(pgbouncer_command(&g_bouncer, "RESUME"));
    ael_metastore_release(store);
    store = open_store(PATIENT_MS);
    CU_ASSERT_EQUAL(load_from(store, "_IK_x", CREATED, NULL, &err), AEL_OK);
    ael_metastore_release(store);
}

/* ---- services ---- */

static bool open_shared(struct ael_metastore **store) {
    struct ael_error err = {0};
    if (open_at("", PATIENT_MS, store, &err) != AEL_OK) {
        printf("\n    %s", err.detail);
        return false;
    }
    return true;
}

static long run_sql(const void *server, const char *text) {
    (void)server;
    return postgres_server_sql(&g_server, text);
}

static bool value_of(const void *server, const char *text, char *out, size_t size) {
    (void)server;
    return postgres_server_value(&g_server, text, out, size);
}

static void kill_server(void *server) {
    (void)server;
    postgres_server_end(&g_server, SIGKILL);
}

static bool start_server(void *server) {
    (void)server;
    return postgres_server_start(&g_server, NULL);
}

static void kill_bouncer(void *server) {
    (void)server;
    pgbouncer_end(&g_bouncer, SIGKILL);
}

static bool start_bouncer(void *server) {
    (void)server;
    return pgbouncer_start(&g_bouncer, g_settings);
}

static const struct sql_service k_server_service = {
    .open_store = open_shared,
    .server = &g_server,
    .sql = run_sql,
    .value = value_of,
    .kill = kill_server,
    .start = start_server,
};

static const struct sql_service k_bouncer_service = {
    .open_store = open_shared,
    .server = &g_server,
    .sql = run_sql,
    .value = value_of,
    .kill = kill_bouncer,
    .start = start_bouncer,
};

static void test_pgbouncer_transaction__stores_one_key_for_all_who_race(void) {
    restart("pool_mode=transaction\n");
    sql_service_begin(&k_server_service);
    sql_service_stores_one_key_for_all_who_race(&k_server_service);
}

static void test_pgbouncer_statement__stores_one_key_for_all_who_race(void) {
    restart("pool_mode=statement\n");
    sql_service_begin(&k_server_service);
    sql_service_stores_one_key_for_all_who_race(&k_server_service);
}

static void test_pgbouncer_transaction__outlives_a_server_that_is_killed(void) {
    restart("pool_mode=transaction\n");
    sql_service_begin(&k_server_service);
    sql_service_outlives_kills(&k_server_service);
}

static void test_pgbouncer_transaction__outlives_its_own_death(void) {
    restart("pool_mode=transaction\n");
    sql_service_begin(&k_bouncer_service);
    sql_service_outlives_kills(&k_bouncer_service);
}

static void test_pgbouncer__ends(void) {
    pgbouncer_end(&g_bouncer, SIGINT);
    postgres_server_clear(&g_server);
}

static const struct test_case k_cases[] = {
    {"a server and a PgBouncer start", test_pgbouncer__starts},
    {"session pooling: every member", test_pgbouncer_session__has_every_member},
    {"transaction pooling: every member", test_pgbouncer_transaction__has_every_member},
    {"statement pooling: every member", test_pgbouncer_statement__has_every_member},
    {"the settings of neighbours", test_pgbouncer_transaction__leaves_its_neighbours_settings_alone},
    {"time zones of neighbours", test_pgbouncer_transaction__keeps_dates_where_zones_differ},
    {"log-ins that it refuses", test_pgbouncer_login__is_refused_with_the_remedy},
    {"log-ins at a long address", test_pgbouncer_login__is_refused_at_a_long_address},
    {"settings that it passes over", test_pgbouncer_settings__are_done_without_when_it_is_told_to},
    {"TLS to it", test_pgbouncer_tls__is_verified},
    {"too many clients", test_pgbouncer_clients__are_told_when_they_are_too_many},
    {"a wait that is too long", test_pgbouncer_pool__tells_when_it_has_waited_too_long},
    {"a statement that it gives up", test_pgbouncer_statement__that_it_gives_up_may_be_done_still},
    {"a database that is paused", test_pgbouncer_pause__is_an_outage},
    {"transaction pooling: 64 who race", test_pgbouncer_transaction__stores_one_key_for_all_who_race},
    {"statement pooling: 64 who race", test_pgbouncer_statement__stores_one_key_for_all_who_race},
    {"a server that is killed behind it", test_pgbouncer_transaction__outlives_a_server_that_is_killed},
    {"a PgBouncer that is killed", test_pgbouncer_transaction__outlives_its_own_death},
    {"both end", test_pgbouncer__ends},
};

TEST_SUITE_MAIN("postgres_pgbouncer", k_cases)
