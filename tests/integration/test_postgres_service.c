/*
 * test_postgres_service.c - services of several processes over one PostgreSQL: the server is killed and restarted, its
 * connections are cut, it fails over to a standby, reads go to a standby that lags, processes race for keys and fork.
 *
 * Of every record for which encrypt said AEL_OK a fresh factory must make the payload again.
 *
 * Needs: libael, libael-postgres, CUnit, tests/support/sql_service.c, tests/support/postgres_server.c.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ael/ael.h>
#include <ael/metastore_postgres.h>
#include <ael/sys/metastore_backend.h>

#include "tests/support/postgres_server.h"
#include "tests/support/service_load.h"
#include "tests/support/sql_service.h"
#include "tests/support/suite.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>

enum { TEXT_BYTES = 1024 };

static struct postgres_server g_server;
static struct postgres_server g_standby;
static char g_connection[TEXT_BYTES]; /* of the case under way */

/* ---- the server, and stores on it ---- */

static bool open_store(struct ael_metastore **store) {
    struct ael_metastore_postgres_options options = AEL_METASTORE_POSTGRES_OPTIONS_INIT;
    struct ael_error err = {0};
    options.connection = g_connection;
    options.max_connections = SERVICE_LOAD_THREADS;
    options.connect_timeout_ms = 2000;
    if (ael_metastore_postgres_new(&options, store, &err) != AEL_OK) {
        printf("\n    %s", err.detail);
        return false;
    }
    return true;
}

static long run_sql(const void *server, const char *text) {
    return postgres_server_sql(server, text);
}

static bool value_of(const void *server, const char *text, char *out, size_t size) {
    return postgres_server_value(server, text, out, size);
}

static void kill_server(void *server) {
    postgres_server_end(server, SIGKILL);
}

static bool start_server(void *server) {
    return postgres_server_start(server, NULL);
}

static const struct sql_service k_service = {
    .open_store = open_store,
    .server = &g_server,
    .sql = run_sql,
    .value = value_of,
    .kill = kill_server,
    .start = start_server,
    .cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ael'",
};

static void start_case(void) {
    (void)postgres_server_local(&g_server, g_connection, sizeof g_connection);
    sql_service_begin(&k_service);
}

/* ---- cases ---- */

static void test_postgres_server__starts(void) {
    CU_ASSERT_TRUE_FATAL(postgres_server_init(&g_server));
}

static void test_postgres_service__stores_one_key_for_all_who_race(void) {
    start_case();
    sql_service_stores_one_key_for_all_who_race(&k_service);
}

static void test_postgres_service__outlives_a_server_that_is_killed(void) {
    start_case();
    sql_service_outlives_kills(&k_service);
}

static void test_postgres_service__outlives_connections_that_are_cut(void) {
    start_case();
    sql_service_outlives_cuts(&k_service);
}

static void test_postgres_service__goes_on_with_what_it_has_while_the_server_is_down(void) {
    start_case();
    sql_service_goes_on_while_the_server_is_down(&k_service);
}

static void test_postgres_service__forks_with_its_keys(void) {
    start_case();
    sql_service_forks(&k_service, true);
}

static void test_postgres_service__forks_and_forgets(void) {
    start_case();
    sql_service_forks(&k_service, false);
}

/* ---- a standby ---- */

static void list_both(const char *attributes) {
    (void)snprintf(
        g_connection, sizeof g_connection,
        "postgres://%s:%s@127.0.0.1:%d,127.0.0.1:%d/postgres?sslmode=require&target_session_attrs=%s",
        POSTGRES_USER, POSTGRES_PASSWORD_URL, g_server.port, g_standby.port, attributes);
}

static void test_postgres_standby__streams(void) {
    start_case();
    CU_ASSERT_TRUE_FATAL(postgres_server_init_standby(&g_standby, &g_server));
    for (int i = 0; i < SQL_SERVICE_TRIES; i++) {
        if (sql_service_count(
                &k_service, &g_server,
                "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") == 1) {
            return;
        }
        (void)poll(NULL, 0, SQL_SERVICE_TRY_MS);
    }
    CU_FAIL_FATAL("the standby does not stream");
}

/* A key that a standby does not have yet is asked of the primary before it counts as absent. */
static void test_postgres_service__reads_through_a_standby_that_lags(void) {
    const struct fork_world world = sql_service_world(&k_service, true);
    struct fork_edges edges;
    struct fork_ledger ledger = {NULL, 0, 0};
    list_both("prefer-standby");
    CU_ASSERT_TRUE(sql_service_wait_for_rows(&k_service, &g_standby, 0));
    CU_ASSERT_EQUAL(postgres_server_sql(&g_standby, "SELECT pg_wal_replay_pause()"), 1);
    CU_ASSERT_TRUE_FATAL(fork_edges_open(&world, &edges));
    for (int i = 0; i < 10; i++) {
        char partition[FORK_NAME_BYTES];
        fork_new_partition(partition);
        CU_ASSERT_EQUAL(fork_encrypt(edges.factory, partition, &ledger), AEL_OK);
    }
    CU_ASSERT_TRUE(sql_service_rows(&k_service, &g_server) >= 10);
    CU_ASSERT_EQUAL(sql_service_rows(&k_service, &g_standby), 0);
    fork_edges_close(&edges);
    service_load_expect_nothing_lost(&world, &ledger, "kills", 0);
    CU_ASSERT_EQUAL(postgres_server_sql(&g_standby, "SELECT pg_wal_replay_resume()"), 1);
}

/* It has the new table, too. */
static bool wait_until_empty(const struct postgres_server *server) {
    for (int i = 0; i < SQL_SERVICE_TRIES; i++) {
        if (sql_service_rows(&k_service, server) == 0) {
            return true;
        }
        (void)poll(NULL, 0, SQL_SERVICE_TRY_MS);
    }
    return false;
}

/* 64 who read through it make one key each time: what the standby does not have, they ask the primary for. */
static void test_postgres_service__stores_one_key_with_a_standby_that_lags(void) {
    list_both("prefer-standby");
    sql_service_begin(&k_service);
    CU_ASSERT_TRUE_FATAL(wait_until_empty(&g_standby));
    CU_ASSERT_EQUAL(postgres_server_sql(&g_standby, "SELECT pg_wal_replay_pause()"), 1);
    sql_service_stores_one_key_for_all_who_race(&k_service);
    CU_ASSERT_EQUAL(sql_service_rows(&k_service, &g_standby), 0);
    CU_ASSERT_EQUAL(postgres_server_sql(&g_standby, "SELECT pg_wal_replay_resume()"), 1);
}

/* What was acknowledged is on the standby too: so the primary was told. */
static void test_postgres_service__outlives_its_primary(void) {
    const struct fork_world world = sql_service_world(&k_service, true);
    struct service_load load;
    struct fork_ledger ledger = {NULL, 0, 0};
    CU_ASSERT_TRUE(postgres_server_sql(&g_server, "ALTER SYSTEM SET synchronous_standby_names = '*'") >= 0);
    CU_ASSERT_EQUAL(postgres_server_sql(&g_server, "SELECT pg_reload_conf()"), 1);
    list_both("read-write");
    sql_service_begin(&k_service);
    service_load_start(&load, &world);
    CU_ASSERT_TRUE(sql_service_wait_for_rows(&k_service, &g_server, SERVICE_LOAD_ROWS));
    postgres_server_end(&g_server, SIGKILL);
    CU_ASSERT_EQUAL(postgres_server_sql(&g_standby, "ALTER SYSTEM RESET synchronous_standby_names"), 0);
    CU_ASSERT_TRUE(postgres_server_promote(&g_standby));
    CU_ASSERT_TRUE(sql_service_wait_for_rows(&k_service, &g_standby, SERVICE_LOAD_ROWS));
    service_load_stop(&load, &ledger);
    service_load_expect_nothing_lost(&world, &ledger, "promotion", 1);
}

static void test_postgres_server__ends(void) {
    postgres_server_clear(&g_standby);
    postgres_server_clear(&g_server);
}

static const struct test_case k_cases[] = {
    {"a server starts", test_postgres_server__starts},
    {"64 who race store one key", test_postgres_service__stores_one_key_for_all_who_race},
    {"a server that is killed", test_postgres_service__outlives_a_server_that_is_killed},
    {"connections that are cut", test_postgres_service__outlives_connections_that_are_cut},
    {"warm keys while the server is down",
     test_postgres_service__goes_on_with_what_it_has_while_the_server_is_down},
    {"a child and its parent, with keys handed over", test_postgres_service__forks_with_its_keys},
    {"a child and its parent, with keys forgotten", test_postgres_service__forks_and_forgets},
    {"a standby streams", test_postgres_standby__streams},
    {"reads through a standby that lags", test_postgres_service__reads_through_a_standby_that_lags},
    {"64 who race with a standby that lags",
     test_postgres_service__stores_one_key_with_a_standby_that_lags},
    {"a primary that is killed, a standby promoted", test_postgres_service__outlives_its_primary},
    {"the servers end", test_postgres_server__ends},
};

TEST_SUITE_MAIN("postgres_service", k_cases)
