/*
 * tests/contract/test_metastore_postgres_contract.c - the PostgreSQL store keeps the contract, on each table that an
 * SDK may have made.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/contract/metastore_contract.h"
#include "tests/support/contract_count.h"
#include "tests/support/postgres_server.h"
#include "tests/support/suite.h"

#include <ael/metastore_postgres.h>

#include <stdio.h>
#include <string.h>

struct fixture {
    const char *table; /* NULL = ensure_schema makes it */
    struct contract_count count;
    uint32_t max_connections;
};

static struct postgres_server g_server;

static void count_checks(void *context, const char *check, bool passed, const char *detail) {
    struct fixture *fixture = context;
    contract_count(&fixture->count, check, passed, detail);
}

static enum ael_status open_last(void *context, struct ael_metastore **metastore) {
    struct fixture *fixture = context;
    struct ael_error err = {0};
    char connection[512];
    struct ael_metastore_postgres_options options = AEL_METASTORE_POSTGRES_OPTIONS_INIT;
    options.connection = postgres_server_local(&g_server, connection, sizeof connection);
    options.max_connections = fixture->max_connections;
    options.connect_timeout_ms = 25000; /* of many at once, under valgrind */
    options.answer_timeout_ms = 25000;
    enum ael_status status = ael_metastore_postgres_new(&options, metastore, &err);
    if (status != AEL_OK) {
        printf("\n    %s: %s", ael_status_name(status), err.detail);
    }
    return status;
}

static enum ael_status open_new(void *context, struct ael_metastore **metastore) {
    struct fixture *fixture = context;
    if (postgres_server_sql(&g_server, "DROP TABLE IF EXISTS encryption_key") < 0) {
        return AEL_E_BACKEND;
    }
    if (fixture->table != NULL) {
        return postgres_server_sql(&g_server, fixture->table) < 0 ? AEL_E_BACKEND
                                                                  : open_last(context, metastore);
    }
    enum ael_status status = open_last(context, metastore);
    return status == AEL_OK ? ael_metastore_ensure_schema(*metastore, NULL, NULL) : status;
}

static void run_with(const char *table, uint32_t max_connections, size_t max_id_bytes) {
    struct fixture fixture = {.table = table, .max_connections = max_connections};
    struct ael_metastore_contract_options options = AEL_METASTORE_CONTRACT_OPTIONS_INIT;
    options.open_empty = open_new;
    options.open_second = open_last;
    options.max_created_s = 253402300799; /* the end of the year 9999 */
    options.max_id_bytes = max_id_bytes;
    options.report = count_checks;
    options.context = &fixture;
    CU_ASSERT_EQUAL(ael_metastore_contract_run(&options), 0);
    CU_ASSERT_EQUAL(fixture.count.failed, 0);
    CU_ASSERT_EQUAL(fixture.count.passed, 23);
}

static void test_postgres_server__starts(void) {
    CU_ASSERT_TRUE_FATAL(postgres_server_init(&g_server));
}

static void test_postgres_store__keeps_the_contract_on_its_own_table(void) {
    run_with(NULL, 8, 0);
}

static void test_postgres_store__keeps_the_contract_over_one_connection(void) {
    run_with(NULL, 1, 0);
}

/* As the Go SDK's users have it. */
static void test_postgres_store__keeps_the_contract_on_text_and_timestamp(void) {
    run_with(
        "CREATE TABLE encryption_key (id VARCHAR(255) NOT NULL, created TIMESTAMP NOT NULL DEFAULT"
        " CURRENT_TIMESTAMP, key_record TEXT NOT NULL, PRIMARY KEY (id, created))",
        4, 255);
}

/* As the Rust SDK's tests have it. */
static void test_postgres_store__keeps_the_contract_on_jsonb_and_timestamp(void) {
    run_with(
        "CREATE TABLE encryption_key (id TEXT NOT NULL, created TIMESTAMP NOT NULL,"
        " key_record JSONB NOT NULL, PRIMARY KEY (id, created))",
        4, 0);
}

static void test_postgres_server__ends(void) {
    postgres_server_clear(&g_server);
}

static const struct test_case k_cases[] = {
    {"a server starts", test_postgres_server__starts},
    {"PostgreSQL keeps the contract on its own table",
     test_postgres_store__keeps_the_contract_on_its_own_table},
    {"PostgreSQL keeps the contract over 1 connection",
     test_postgres_store__keeps_the_contract_over_one_connection},
    {"PostgreSQL keeps the contract on TEXT and TIMESTAMP",
     test_postgres_store__keeps_the_contract_on_text_and_timestamp},
    {"PostgreSQL keeps the contract on JSONB and TIMESTAMP",
     test_postgres_store__keeps_the_contract_on_jsonb_and_timestamp},
    {"the server ends", test_postgres_server__ends},
};

TEST_SUITE_MAIN("metastore contract: postgres", k_cases)
