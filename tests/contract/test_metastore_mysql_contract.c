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
    const char *table; /* NULL = ensure_schema makes it */
    unsigned failed;
    unsigned passed;
    uint32_t max_connections;
    bool tells; /* of checks that fail */
};

static struct mariadb_server g_server;

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
    options.connection = mariadb_server_local(&g_server, connection, sizeof connection);
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
    if (mariadb_server_sql(&g_server, "DROP TABLE IF EXISTS encryption_key") < 0) {
        return AEL_E_BACKEND;
    }
    if (fixture->table != NULL) {
        return mariadb_server_sql(&g_server, fixture->table) < 0 ? AEL_E_BACKEND
                                                                 : open_last(context, metastore);
    }
    enum ael_status status = open_last(context, metastore);
    return status == AEL_OK ? ael_metastore_ensure_schema(*metastore, NULL, NULL) : status;
}

static void
run_with(const char *table, uint32_t max_connections, int64_t max_created_s, unsigned wanted_failures) {
    struct fixture fixture = {
        .table = table, .max_connections = max_connections, .tells = wanted_failures == 0};
    struct ael_metastore_contract_options options = AEL_METASTORE_CONTRACT_OPTIONS_INIT;
    options.open_empty = open_new;
    options.open_second = open_last;
    options.max_created_s = max_created_s;
    options.max_id_bytes = 255;
    options.flags = wanted_failures > 0 ? AEL_METASTORE_CONTRACT_NO_LINES : 0; /* the table has what is kept */
    options.report = count_checks;
    options.context = &fixture;
    CU_ASSERT_EQUAL(ael_metastore_contract_run(&options), (int)wanted_failures);
    CU_ASSERT_EQUAL(fixture.failed, wanted_failures);
    CU_ASSERT_EQUAL(fixture.passed, 23 - wanted_failures);
}

static void test_server__starts(void) {
    CU_ASSERT_TRUE_FATAL(mariadb_server_init(&g_server));
}

static void test_mysql_store__keeps_the_contract_on_its_own_table(void) {
    run_with(NULL, 8, DATETIME_MAX_S, 0);
}

static void test_mysql_store__keeps_the_contract_over_one_connection(void) {
    run_with(NULL, 1, DATETIME_MAX_S, 0);
}

/* As the Go SDK's users have it, but for the collation. */
static void test_mysql_store__keeps_the_contract_on_timestamp(void) {
    run_with(
        "CREATE TABLE encryption_key (id VARCHAR(255) COLLATE utf8mb4_nopad_bin NOT NULL,"
        " created TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, key_record TEXT CHARACTER SET utf8mb4 NOT "
        "NULL,"
        " PRIMARY KEY (id, created), INDEX (created))",
        4, TIMESTAMP_MAX_S, 0);
}

/* As the Rust SDK's tests have it. */
static void test_mysql_store__keeps_the_contract_on_json_and_bytes(void) {
    run_with(
        "CREATE TABLE encryption_key (id VARBINARY(255) NOT NULL, created TIMESTAMP(6) NOT NULL,"
        " key_record JSON NOT NULL, PRIMARY KEY (created, id))",
        4, TIMESTAMP_MAX_S, 0);
}

/*
 * As MySQL's defaults make it: ids that its collation takes for the same cannot both be stored, which is told
 * the two checks with such ids fail, all else is kept.
 */
static void test_mysql_store__keeps_the_contract_but_for_odd_ids_under_a_collation_without_case(void) {
    run_with(
        "CREATE TABLE encryption_key (id VARCHAR(255) COLLATE utf8mb4_general_ci NOT NULL,"
        " created TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, key_record TEXT CHARACTER SET utf8mb4 NOT "
        "NULL,"
        " PRIMARY KEY (id, created), INDEX (created))",
        4, TIMESTAMP_MAX_S, 2);
}

static void test_server__ends(void) {
    mariadb_server_clear(&g_server);
}

static const struct test_case k_cases[] = {
    {"a server starts", test_server__starts},
    {"MariaDB keeps the contract on its own table", test_mysql_store__keeps_the_contract_on_its_own_table},
    {"MariaDB keeps the contract over 1 connection",
     test_mysql_store__keeps_the_contract_over_one_connection},
    {"MariaDB keeps the contract on TIMESTAMP", test_mysql_store__keeps_the_contract_on_timestamp},
    {"MariaDB keeps the contract on JSON and VARBINARY",
     test_mysql_store__keeps_the_contract_on_json_and_bytes},
    {"MariaDB keeps the contract but for odd ids under a collation without case",
     test_mysql_store__keeps_the_contract_but_for_odd_ids_under_a_collation_without_case},
    {"the server ends", test_server__ends},
};

TEST_SUITE_MAIN("metastore contract: mysql", k_cases)
