/*
 * tests/contract/test_metastore_sqlite_contract.c - the SQLite store keeps the contract.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/contract/metastore_contract.h"
#include "tests/support/contract_count.h"
#include "tests/support/suite.h"

#include <ael/metastore_sqlite.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct fixture {
    char folder[64];
    char path[96];
    unsigned stores;
    struct contract_count count;
    uint32_t max_connections;
};

static void count_checks(void *context, const char *check, bool passed, const char *detail) {
    struct fixture *fixture = context;
    contract_count(&fixture->count, check, passed, detail);
}

static void remove_store(struct fixture *fixture) {
    static const char *const k_ends[] = {"", "-wal", "-shm"};
    char path[128];
    for (size_t i = 0; i < sizeof k_ends / sizeof k_ends[0]; i++) {
        (void)snprintf(path, sizeof path, "%s%s", fixture->path, k_ends[i]);
        (void)unlink(path);
    }
}

static enum ael_status open_last(void *context, struct ael_metastore **metastore) {
    struct fixture *fixture = context;
    struct ael_error err = {0};
    struct ael_metastore_sqlite_options options = AEL_METASTORE_SQLITE_OPTIONS_INIT;
    options.path = fixture->path;
    options.max_connections = fixture->max_connections;
    options.busy_timeout_ms = 30000;
    return ael_metastore_sqlite_new(&options, metastore, &err);
}

static enum ael_status open_new(void *context, struct ael_metastore **metastore) {
    struct fixture *fixture = context;
    remove_store(fixture);
    (void)snprintf(fixture->path, sizeof fixture->path, "%s/keys-%u.db", fixture->folder, fixture->stores++);
    return open_last(context, metastore);
}

static void run_with(uint32_t max_connections) {
    struct fixture fixture = {.folder = "/tmp/ael-contract-XXXXXX", .max_connections = max_connections};
    struct ael_metastore_contract_options options = AEL_METASTORE_CONTRACT_OPTIONS_INIT;
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(fixture.folder));
    options.open_empty = open_new;
    options.open_second = open_last;
    options.max_created_s = 253402300799; /* the end of the year 9999 */
    options.report = count_checks;
    options.context = &fixture;
    CU_ASSERT_EQUAL(ael_metastore_contract_run(&options), 0);
    CU_ASSERT_EQUAL(fixture.count.failed, 0);
    CU_ASSERT_EQUAL(fixture.count.passed, 23);
    remove_store(&fixture);
    CU_ASSERT_EQUAL(rmdir(fixture.folder), 0);
}

static void test_sqlite_store__keeps_the_contract_over_several_connections(void) {
    run_with(4);
}

static void test_sqlite_store__keeps_the_contract_over_one_connection(void) {
    run_with(1);
}

static const struct test_case k_cases[] = {
    {"SQLite keeps the contract over 4 connections",
     test_sqlite_store__keeps_the_contract_over_several_connections},
    {"SQLite keeps the contract over 1 connection",
     test_sqlite_store__keeps_the_contract_over_one_connection},
};

TEST_SUITE_MAIN("metastore contract: sqlite", k_cases)
