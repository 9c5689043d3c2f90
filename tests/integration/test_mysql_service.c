/*
 * test_mysql_service.c - services of several processes over MariaDB: the server is killed and restarted, its
 * connections are cut, processes race for keys and fork; over a Galera cluster that loses nodes.
 *
 * Of every record for which encrypt said AEL_OK a fresh factory must make the payload again.
 *
 * Needs: libael, libael-mysql, CUnit, tests/support/sql_service.c, tests/support/mariadb_server.c.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ael/ael.h>
#include <ael/metastore_mysql.h>
#include <ael/sys/metastore_backend.h>

#include "tests/support/mariadb_server.h"
#include "tests/support/service_load.h"
#include "tests/support/soak.h"
#include "tests/support/sql_service.h"
#include "tests/support/suite.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

enum { TEXT_BYTES = 1024 };

static struct mariadb_server g_server;
static char g_connection[TEXT_BYTES]; /* of the case under way */

/* ---- the server, and stores on it ---- */

static bool open_store(struct ael_metastore **store) {
    struct ael_metastore_mysql_options options = AEL_METASTORE_MYSQL_OPTIONS_INIT;
    struct ael_error err = {0};
    options.connection = g_connection;
    options.max_connections = SERVICE_LOAD_THREADS;
    options.connect_timeout_ms = 2000;
    if (ael_metastore_mysql_new(&options, store, &err) != AEL_OK) {
        printf("\n    %s", err.detail);
        return false;
    }
    return true;
}

static long run_sql(const void *server, const char *text) {
    return mariadb_server_sql(server, text);
}

static bool value_of(const void *server, const char *text, char *out, size_t size) {
    return mariadb_server_value(server, text, out, size);
}

static void kill_server(void *server) {
    mariadb_server_end(server, SIGKILL);
}

static bool start_server(void *server) {
    return mariadb_server_start(server, NULL);
}

static const struct sql_service k_service = {
    .open_store = open_store,
    .server = &g_server,
    .sql = run_sql,
    .value = value_of,
    .kill = kill_server,
    .start = start_server,
    .cut = "KILL USER " MARIADB_SERVER_USER,
};

static void start_case(void) {
    (void)mariadb_server_local(&g_server, g_connection, sizeof g_connection);
    sql_service_begin(&k_service);
}

/* ---- cases ---- */

static void test_server__starts(void) {
    CU_ASSERT_TRUE_FATAL(mariadb_server_init(&g_server));
}

static void test_mysql_service__stores_one_key_for_all_who_race(void) {
    start_case();
    sql_service_stores_one_key_for_all_who_race(&k_service);
}

static void test_mysql_service__outlives_a_server_that_is_killed(void) {
    start_case();
    sql_service_outlives_kills(&k_service);
}

static void test_mysql_service__outlives_connections_that_are_cut(void) {
    start_case();
    sql_service_outlives_cuts(&k_service);
}

static void test_mysql_service__goes_on_with_what_it_has_while_the_server_is_down(void) {
    start_case();
    sql_service_goes_on_while_the_server_is_down(&k_service);
}

static void test_mysql_service__forks_with_its_keys(void) {
    start_case();
    sql_service_forks(&k_service, true);
}

static void test_mysql_service__forks_and_forgets(void) {
    start_case();
    sql_service_forks(&k_service, false);
}

/* ---- a cluster ---- */

static struct mariadb_server g_nodes[GALERA_NODES];

/* All nodes, the one of that number first. */
static void list_nodes(int first) {
    (void)snprintf(
        g_connection, sizeof g_connection,
        "mysql://%s:%s@127.0.0.1:%d,127.0.0.1:%d,127.0.0.1:%d/%s?tls=false", MARIADB_SERVER_USER,
        MARIADB_SERVER_PASSWORD_URL, g_nodes[first].port, g_nodes[(first + 1) % GALERA_NODES].port,
        g_nodes[(first + 2) % GALERA_NODES].port, MARIADB_SERVER_DATABASE);
}

static void test_galera__starts(void) {
    struct ael_metastore *store = NULL;
    CU_ASSERT_TRUE_FATAL(mariadb_server_init_galera(g_nodes));
    list_nodes(0);
    CU_ASSERT_TRUE_FATAL(open_store(&store));
    CU_ASSERT_EQUAL(ael_metastore_ensure_schema(store, NULL, NULL), AEL_OK);
    ael_metastore_release(store);
}

enum { RACED_CREATED = 1700000040 };

struct node_race {
    struct ael_metastore *store;
    int round;
    bool stored;
    enum ael_status status;
    enum ael_status loaded;
    pthread_t thread;
};

/* Who lost the race sees at once who won it. */
static void *store_at_node(void *context) {
    struct node_race *racer = context;
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    const struct ael_key_record record = {.created_s = RACED_CREATED, .key = ael_bytes_from_text("key")};
    char id[32];
    (void)snprintf(id, sizeof id, "_IK_raced_%d", racer->round);
    racer->status =
        ael_metastore_store(racer->store, NULL, ael_bytes_from_text(id), &record, &racer->stored, NULL);
    racer->loaded =
        ael_metastore_load(racer->store, NULL, ael_bytes_from_text(id), RACED_CREATED, &out, NULL);
    ael_key_record_buf_clear(&out);
    return NULL;
}

static int race_at_nodes(struct node_race racers[GALERA_NODES], int round) {
    int winners = 0;
    for (int i = 0; i < GALERA_NODES; i++) {
        racers[i].round = round;
        racers[i].stored = false;
        CU_ASSERT_EQUAL_FATAL(pthread_create(&racers[i].thread, NULL, store_at_node, &racers[i]), 0);
    }
    for (int i = 0; i < GALERA_NODES; i++) {
        (void)pthread_join(racers[i].thread, NULL);
        CU_ASSERT_EQUAL(racers[i].status, AEL_OK);
        CU_ASSERT_EQUAL(racers[i].loaded, AEL_OK);
        winners += racers[i].stored ? 1 : 0;
    }
    return winners;
}

/* Each node is asked by a store of its own: of three that write one row at once one is told that it did. */
static void test_galera__has_one_winner_a_row(void) {
    struct node_race racers[GALERA_NODES];
    int rounds = soak_count(20, 1000);
    int winners = 0;
    for (int i = 0; i < GALERA_NODES; i++) {
        list_nodes(i);
        CU_ASSERT_TRUE_FATAL(open_store(&racers[i].store));
    }
    for (int round = 0; round < rounds; round++) {
        winners += race_at_nodes(racers, round);
    }
    printf("%d rounds, %d winners ", rounds, winners);
    CU_ASSERT_EQUAL(winners, rounds);
    for (int i = 0; i < GALERA_NODES; i++) {
        ael_metastore_release(racers[i].store);
    }
}

static void kill_first_node(void) {
    mariadb_server_end(&g_nodes[1], SIGKILL);
}

/* 64 writers make one key of each id, though the node that they ask first is killed while they race. */
static void test_mysql_service__stores_one_key_while_a_node_is_killed(void) {
    struct sql_service cluster = k_service;
    cluster.server = &g_nodes[0];
    list_nodes(1);
    sql_service_begin(&cluster);
    sql_service_stores_one_key_while(&cluster, kill_first_node);
    CU_ASSERT_TRUE_FATAL(mariadb_server_rejoin(&g_nodes[1]));
}

/* The node that is asked first is killed: the others have what it acknowledged, and are asked next. */
static void test_mysql_service__outlives_a_node_of_its_cluster(void) {
    const struct fork_world world = sql_service_world(&k_service, true);
    struct service_load load;
    struct fork_ledger ledger = {NULL, 0, 0};
    list_nodes(1);
    CU_ASSERT_TRUE_FATAL(mariadb_server_sql(&g_nodes[0], "DELETE FROM encryption_key") >= 0);
    service_load_start(&load, &world);
    CU_ASSERT_TRUE(sql_service_wait_for_rows(&k_service, &g_nodes[0], SERVICE_LOAD_ROWS));
    mariadb_server_end(&g_nodes[1], SIGKILL);
    CU_ASSERT_TRUE(sql_service_wait_for_rows(&k_service, &g_nodes[0], SERVICE_LOAD_ROWS));
    service_load_stop(&load, &ledger);
    service_load_expect_nothing_lost(&world, &ledger, "node killed", 1);
}

static enum ael_status load_none(struct ael_metastore *store) {
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    enum ael_status status =
        ael_metastore_load(store, NULL, ael_bytes_from_text("_IK_none"), RACED_CREATED, &out, NULL);
    ael_key_record_buf_clear(&out);
    return status;
}

static enum ael_status store_none(struct ael_metastore *store, bool *stored) {
    const struct ael_key_record record = {.created_s = RACED_CREATED, .key = ael_bytes_from_text("key")};
    return ael_metastore_store(store, NULL, ael_bytes_from_text("_IK_none"), &record, stored, NULL);
}

/* A node that is alone takes no writes and gives no answers: unreachable, so that warm keys go on. */
static void test_galera__that_lost_its_majority_is_unreachable(void) {
    struct ael_metastore *store = NULL;
    bool stored = true;
    list_nodes(0);
    CU_ASSERT_TRUE_FATAL(open_store(&store));
    CU_ASSERT_EQUAL(ael_metastore_health(store, NULL, NULL), AEL_OK);
    mariadb_server_end(&g_nodes[2], SIGKILL);
    enum ael_status status = AEL_OK;
    for (int i = 0; i < SQL_SERVICE_TRIES && status != AEL_E_UNREACHABLE;
         i++) { /* the others are suspected for a while */
        status = load_none(store);
        CU_ASSERT_TRUE(status == AEL_E_KEY_NOT_FOUND || status == AEL_E_UNREACHABLE);
        (void)poll(NULL, 0, SQL_SERVICE_TRY_MS);
    }
    CU_ASSERT_EQUAL(status, AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(store_none(store, &stored), AEL_E_UNREACHABLE);
    CU_ASSERT_FALSE(stored);
    CU_ASSERT_EQUAL(ael_metastore_health(store, NULL, NULL), AEL_E_UNREACHABLE);
    CU_ASSERT_TRUE(
        mariadb_server_sql(&g_nodes[0], "SET GLOBAL wsrep_provider_options = 'pc.bootstrap=1'") >= 0);
    for (int i = 0; i < SQL_SERVICE_TRIES && ael_metastore_health(store, NULL, NULL) != AEL_OK; i++) {
        (void)poll(NULL, 0, SQL_SERVICE_TRY_MS);
    }
    CU_ASSERT_EQUAL(store_none(store, &stored), AEL_OK);
    CU_ASSERT_TRUE(stored);
    ael_metastore_release(store);
}

static void test_galera__ends(void) {
    for (int i = 0; i < GALERA_NODES; i++) {
        mariadb_server_clear(&g_nodes[i]);
    }
}

static void test_server__ends(void) {
    mariadb_server_clear(&g_server);
}

static const struct test_case k_cases[] = {
    {"a server starts", test_server__starts},
    {"64 who race store one key", test_mysql_service__stores_one_key_for_all_who_race},
    {"a server that is killed", test_mysql_service__outlives_a_server_that_is_killed},
    {"connections that are cut", test_mysql_service__outlives_connections_that_are_cut},
    {"warm keys while the server is down",
     test_mysql_service__goes_on_with_what_it_has_while_the_server_is_down},
    {"a child and its parent, with keys handed over", test_mysql_service__forks_with_its_keys},
    {"a child and its parent, with keys forgotten", test_mysql_service__forks_and_forgets},
    {"the server ends", test_server__ends},
    {"a cluster starts", test_galera__starts},
    {"a row has one winner in a cluster", test_galera__has_one_winner_a_row},
    {"64 who race while a node is killed", test_mysql_service__stores_one_key_while_a_node_is_killed},
    {"a node of a cluster is killed", test_mysql_service__outlives_a_node_of_its_cluster},
    {"a node that lost its majority", test_galera__that_lost_its_majority_is_unreachable},
    {"the cluster ends", test_galera__ends},
};

TEST_SUITE_MAIN("mysql_service", k_cases)
