/*
 * tests/contract/test_metastore_dynamodb_contract.c - the DynamoDB store keeps the contract, on Amazon's DynamoDBLocal and on
 * the emulators that people test with.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/contract/metastore_contract.h"
#include "tests/support/contract_count.h"
#include "tests/support/dynamodb_server.h"
#include "tests/support/suite.h"

#include <ael/metastore_dynamodb.h>

#include <stdio.h>

struct fixture {
    struct dynamodb_server server;
    uint32_t max_connections;
    unsigned tables; /* made so far: each check has one of its own */
    struct contract_count count;
};

static void count_checks(void *context, const char *check, bool passed, const char *detail) {
    struct fixture *fixture = context;
    contract_count(&fixture->count, check, passed, detail);
}

static enum ael_status open_last(void *context, struct ael_metastore **metastore) {
    struct fixture *fixture = context;
    struct ael_error err = {0};
    char table[32];
    struct ael_metastore_dynamodb_options options = AEL_METASTORE_DYNAMODB_OPTIONS_INIT;
    (void)snprintf(table, sizeof table, "Keys%u", fixture->tables);
    options.table = table;
    options.region = "us-west-2";
    options.endpoint = fixture->server.url;
    options.max_connections = fixture->max_connections;
    options.answer_timeout_ms = 25000;
    enum ael_status status = ael_metastore_dynamodb_new(&options, metastore, &err);
    if (status != AEL_OK) {
        printf("\n    %s: %s", ael_status_name(status), err.detail);
    }
    return status;
}

static enum ael_status open_new(void *context, struct ael_metastore **metastore) {
    struct fixture *fixture = context;
    struct ael_error err = {0};
    fixture->tables++;
    enum ael_status status = open_last(context, metastore);
    if (status == AEL_OK) {
        status = ael_metastore_ensure_schema(*metastore, NULL, &err);
    }
    if (status != AEL_OK) {
        printf("\n    %s: %s", ael_status_name(status), err.detail);
    }
    return status;
}

static void run_on(const char *kind, uint32_t max_connections) {
    struct fixture fixture = {.max_connections = max_connections};
    struct ael_metastore_contract_options options = AEL_METASTORE_CONTRACT_OPTIONS_INIT;
    options.open_empty = open_new;
    options.open_second = open_last;
    options.max_created_s = INT64_MAX;
    options.max_id_bytes = 2048;
    options.report = count_checks;
    options.context = &fixture;
    CU_ASSERT_TRUE(dynamodb_server_init(&fixture.server, kind));
    if (fixture.server.pid != 0) {
        CU_ASSERT_EQUAL(ael_metastore_contract_run(&options), 0);
        CU_ASSERT_EQUAL(fixture.count.failed, 0);
        CU_ASSERT_EQUAL(fixture.count.passed, 23);
    }
    dynamodb_server_clear(&fixture.server);
}

static void test_dynamodb_store__keeps_the_contract_on_dynamodb_local(void) {
    dynamodb_server_set_environment();
    run_on("local", 16);
}

static void test_dynamodb_store__keeps_the_contract_over_one_connection(void) {
    run_on("dynalite", 1);
}

static void test_dynamodb_store__keeps_the_contract_on_moto(void) {
    run_on("moto", 16);
}

static const struct test_case k_cases[] = {
    {"DynamoDB keeps the contract on DynamoDBLocal",
     test_dynamodb_store__keeps_the_contract_on_dynamodb_local},
    {"DynamoDB keeps the contract on dynalite, over 1 connection",
     test_dynamodb_store__keeps_the_contract_over_one_connection},
    {"DynamoDB keeps the contract on moto", test_dynamodb_store__keeps_the_contract_on_moto},
};

TEST_SUITE_MAIN("metastore contract: dynamodb", k_cases)
