/*
 * tests/contract/test_metastore_mysql_contract.c - the MariaDB store keeps the contract, on each table that an
 * SDK may have made.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/contract/metastore_contract.h"
#include "tests/support/mariadb_server.h"
#include "tests/support/suite.h"

#include <ael/metastore_mysql.h>

#include <stdio.h>
#include <string.h>

/* The ends of the year 9999, and of what a TIMESTAMP can hold. */
#define DATETIME_MAX_S  INT64_C(253402300799)
#define TIMESTAMP_MAX_S INT64_C(2147483647)

struct fixture {
    const struct mariadb_server *server;
    const char *parameters; /* over TCP; NULL = over the socket */
    const char *table;      /* NULL = ensure_schema makes it */
    unsigned failed;
    unsigned passed;
    uint32_t max_connections;
    bool tells; /* of checks that fail */
};

static struct mariadb_server g_mariadb;
static struct mariadb_server g_mysql;

static void count_checks(void *context, const char *check, bool passed, const char *detail) {
    struct fixture *fixture = context;
    fixture->passed += passed ? 1 : 0;
    fixture->failed += passed ? 0 : 1;
    if (!passed && fixture->tells) {
        printf("\n    %s: %s", check, detail);
    }
}

static enum ael_status open_last(void *context, struct ael_metastore **metastore) {
    struct fixture *fixture = context;
    struct ael_error err = {0};
    char connection[512];
    struct ael_metastore_mysql_options options = AEL_METASTORE_MYSQL_OPTIONS_INIT;
    options.connection =
        fixture->parameters == NULL
            ? mariadb_server_local(fixture->server, connection, sizeof connection)
            : mariadb_server_url(fixture->server, fixture->parameters, connection, sizeof connection);
    options.max_connections = fixture->max_connections;
    options.connect_timeout_ms = 25000; /* of many at once, under valgrind */
    options.answer_timeout_ms = 25000;
    enum ael_status status = ael_metastore_mysql_new(&options, metastore, &err);
    if (status != AEL_OK) {
        printf("\n    %s: %s", ael_status_name(status), err.detail);
    }
    return status;
}

static enum ael_status open_new(void *context, struct ael_metastore **metastore) {
    struct fixture *fixture = context;
    if (mariadb_server_sql(fixture->server, "DROP TABLE IF EXISTS encryption_key") < 0) {
        return AEL_E_BACKEND;
    }
    if (fixture->table != NULL) {
        return mariadb_server_sql(fixture->server, fixture->table) < 0 ? AEL_E_BACKEND
                                                                       : open_last(context, metastore);
    }
    enum ael_status status = open_last(context, metastore);
    return status == AEL_OK ? ael_metastore_ensure_schema(*metastore, NULL, NULL) : status;
}

static void run_with(struct fixture fixture, int64_t max_created_s, unsigned wanted_failures) {
    struct ael_metastore_contract_options options = AEL_METASTORE_CONTRACT_OPTIONS_INIT;
    options.open_empty = open_new;
    options.open_second = open_last;
    fixture.tells = wanted_failures == 0;
    options.max_created_s = max_created_s;
    options.max_id_bytes = 255;
    options.flags = wanted_failures > 0 ? AEL_METASTORE_CONTRACT_NO_LINES : 0; /* the table has what is kept */
    options.report = count_checks;
    options.context = &fixture;
    CU_ASSERT_EQUAL(ael_metastore_contract_run(&options), (int)wanted_failures);
    CU_ASSERT_EQUAL(fixture.failed, wanted_failures);
    CU_ASSERT_EQUAL(fixture.passed, 23 - wanted_failures);
}

static void test_servers__start(void) {
    CU_ASSERT_TRUE_FATAL(mariadb_server_init(&g_mariadb));
    CU_ASSERT_TRUE_FATAL(mariadb_server_init_mysql(&g_mysql));
    char plugin[64];
    CU_ASSERT_TRUE(mariadb_server_value(
        &g_mysql, "SELECT plugin FROM mysql.user WHERE user = '" MARIADB_SERVER_USER "'", plugin,
        sizeof plugin));
    CU_ASSERT_STRING_EQUAL(plugin, "caching_sha2_password");
}

static void test_servers__end(void) {
    mariadb_server_clear(&g_mysql);
    mariadb_server_clear(&g_mariadb);
}

/* ---- MariaDB ---- */

static void test_mariadb__keeps_the_contract_on_its_own_table(void) {
    run_with((struct fixture){.server = &g_mariadb, .max_connections = 8}, DATETIME_MAX_S, 0);
}

static void test_mariadb__keeps_the_contract_over_one_connection(void) {
    run_with((struct fixture){.server = &g_mariadb, .max_connections = 1}, DATETIME_MAX_S, 0);
}

static void test_mariadb__keeps_the_contract_over_tls(void) {
    char parameters[128];
    (void)snprintf(parameters, sizeof parameters, "ssl-ca=%s/ca.pem", g_mariadb.folder);
    run_with(
        (struct fixture){.server = &g_mariadb, .parameters = parameters, .max_connections = 8},
        DATETIME_MAX_S, 0);
}

/* As the Go SDK's users have it, but for the collation. */
static void test_mariadb__keeps_the_contract_on_timestamp(void) {
    static const char k_table[] =
        "CREATE TABLE encryption_key (id VARCHAR(255) COLLATE utf8mb4_nopad_bin NOT NULL,"
        " created TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, key_record TEXT CHARACTER SET utf8mb4 NOT "
        "NULL,"
        " PRIMARY KEY (id, created), INDEX (created))";
    run_with(
        (struct fixture){.server = &g_mariadb, .table = k_table, .max_connections = 4}, TIMESTAMP_MAX_S, 0);
}

/* As the Rust SDK's tests have it. */
static const char k_json_table[] = "CREATE TABLE encryption_key (id VARBINARY(255) NOT NULL, created "
                                   "TIMESTAMP(6) NOT NULL, key_record JSON NOT NULL,"
                                   " PRIMARY KEY (created, id))";

static void test_mariadb__keeps_the_contract_on_json_and_bytes(void) {
    run_with(
        (struct fixture){.server = &g_mariadb, .table = k_json_table, .max_connections = 4}, TIMESTAMP_MAX_S,
        0);
}

/*
 * As the servers' defaults make it: ids that its collation takes for the same cannot both be stored, which is told
 * (tests/unit/test_metastore_mysql.c); the two checks with such ids fail, all else is kept.
 */
static const char k_default_table[] =
    "CREATE TABLE encryption_key (id VARCHAR(255) NOT NULL, created TIMESTAMP NOT NULL DEFAULT "
    "CURRENT_TIMESTAMP,"
    " key_record TEXT NOT NULL, PRIMARY KEY (id, created), INDEX (created))";

static void test_mariadb__keeps_the_contract_but_for_odd_ids_in_a_default_table(void) {
    run_with(
        (struct fixture){.server = &g_mariadb, .table = k_default_table, .max_connections = 4},
        TIMESTAMP_MAX_S, 2);
}

/* ---- MySQL 8 ---- */

static void test_mysql__keeps_the_contract_over_tls(void) {
    char parameters[128];
    (void)snprintf(parameters, sizeof parameters, "ssl-ca=%s/ca.pem", g_mysql.folder);
    run_with(
        (struct fixture){.server = &g_mysql, .parameters = parameters, .max_connections = 8}, DATETIME_MAX_S,
        0);
}

/* The log-in needs the password itself once a user, which goes encrypted with a key of the server's. */
static void test_mysql__keeps_the_contract_without_tls(void) {
    struct fixture fixture = {.server = &g_mysql, .parameters = "tls=false", .max_connections = 4};
    CU_ASSERT_TRUE(mariadb_server_sql(&g_mysql, "FLUSH PRIVILEGES") >= 0); /* forgets who logged in */
    run_with(fixture, DATETIME_MAX_S, 0);
}

static void test_mysql__keeps_the_contract_on_json_and_bytes(void) {
    run_with(
        (struct fixture){.server = &g_mysql, .table = k_json_table, .max_connections = 4}, TIMESTAMP_MAX_S,
        0);
}

static void test_mysql__keeps_the_contract_but_for_odd_ids_in_a_default_table(void) {
    run_with(
        (struct fixture){.server = &g_mysql, .table = k_default_table, .max_connections = 4}, TIMESTAMP_MAX_S,
        2);
}

static const struct test_case k_cases[] = {
    {"servers start", test_servers__start},
    {"MariaDB keeps the contract on its own table", test_mariadb__keeps_the_contract_on_its_own_table},
    {"MariaDB keeps the contract over 1 connection", test_mariadb__keeps_the_contract_over_one_connection},
    {"MariaDB keeps the contract over TLS", test_mariadb__keeps_the_contract_over_tls},
    {"MariaDB keeps the contract on TIMESTAMP", test_mariadb__keeps_the_contract_on_timestamp},
    {"MariaDB keeps the contract on JSON and VARBINARY", test_mariadb__keeps_the_contract_on_json_and_bytes},
    {"MariaDB keeps the contract but for odd ids in a default table",
     test_mariadb__keeps_the_contract_but_for_odd_ids_in_a_default_table},
    {"MySQL keeps the contract on its own table, over TLS", test_mysql__keeps_the_contract_over_tls},
    {"MySQL keeps the contract without TLS", test_mysql__keeps_the_contract_without_tls},
    {"MySQL keeps the contract on JSON and VARBINARY", test_mysql__keeps_the_contract_on_json_and_bytes},
    {"MySQL keeps the contract but for odd ids in a default table",
     test_mysql__keeps_the_contract_but_for_odd_ids_in_a_default_table},
    {"servers end", test_servers__end},
};

TEST_SUITE_MAIN("metastore contract: mysql", k_cases)
