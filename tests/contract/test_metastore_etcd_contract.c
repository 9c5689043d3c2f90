/*
 * tests/contract/test_metastore_etcd_contract.c - the etcd store keeps the contract: on one node, over one connection with TLS
 * as a user who has its prefix alone, and on three nodes of which one is killed on the way.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/contract/metastore_contract.h"
#include "tests/support/contract_count.h"
#include "tests/support/etcd_cluster.h"
#include "tests/support/suite.h"

#include <signal.h>
#include <stdio.h>

enum { CHECKS = 23, KILL_AT = 8 };

struct fixture {
    struct etcd_cluster cluster;
    uint32_t max_connections;
    unsigned stores; /* made so far: each check has a prefix of its own */
    struct contract_count count;
};

static void count_checks(void *context, const char *check, bool passed, const char *detail) {
    struct fixture *fixture = context;
    contract_count(&fixture->count, check, passed, detail);
}

static enum ael_status open_last(void *context, struct ael_metastore **metastore) {
    const struct fixture *fixture = context;
    struct ael_error err = {0};
    char prefix[64];
    (void)snprintf(prefix, sizeof prefix, ETCD_CLUSTER_PREFIX "/%u", fixture->stores);
    struct ael_metastore_etcd_options options = etcd_cluster_options(&fixture->cluster, prefix);
    options.max_connections = fixture->max_connections;
    enum ael_status status = ael_metastore_etcd_new(&options, metastore, &err);
    if (status != AEL_OK) {
        printf("\n    %s: %s", ael_status_name(status), err.detail);
    }
    return status;
}

static enum ael_status open_new(void *context, struct ael_metastore **metastore) {
    struct fixture *fixture = context;
    fixture->stores++;
    if (fixture->cluster.count > 1 && fixture->stores == KILL_AT) {
        int leader = etcd_cluster_leader(&fixture->cluster);
        CU_ASSERT_TRUE(leader >= 0);
        etcd_cluster_end_node(&fixture->cluster, leader < 0 ? 0 : leader, SIGKILL);
        CU_ASSERT_TRUE(etcd_cluster_wait(&fixture->cluster)); /* for another leader */
    }
    return open_last(context, metastore);
}

static void run_on(int nodes, bool guarded, uint32_t max_connections) {
    struct fixture fixture = {.max_connections = max_connections};
    struct ael_metastore_contract_options options = AEL_METASTORE_CONTRACT_OPTIONS_INIT;
    options.open_empty = open_new;
    options.open_second = open_last;
    options.max_created_s = INT64_MAX;
    options.report = count_checks;
    options.context = &fixture;
    bool begun = etcd_cluster_init(&fixture.cluster, nodes, guarded);
    CU_ASSERT_TRUE(begun);
    if (begun) {
        CU_ASSERT_EQUAL(ael_metastore_contract_run(&options), 0);
        CU_ASSERT_EQUAL(fixture.count.failed, 0);
        CU_ASSERT_EQUAL(fixture.count.passed, CHECKS);
    }
    etcd_cluster_clear(&fixture.cluster);
}

static void test_etcd_store__keeps_the_contract_on_one_node(void) {
    run_on(1, false, 16);
}

static void test_etcd_store__keeps_the_contract_as_a_user_over_tls(void) {
    run_on(1, true, 1);
}

static void test_etcd_store__keeps_the_contract_when_the_leader_was_killed(void) {
    run_on(ETCD_CLUSTER_NODES, false, 16);
}

static const struct test_case k_cases[] = {
    {"etcd keeps the contract on one node", test_etcd_store__keeps_the_contract_on_one_node},
    {"etcd keeps the contract as a user, over TLS and 1 connection",
     test_etcd_store__keeps_the_contract_as_a_user_over_tls},
    {"etcd keeps the contract on three nodes, the leader killed",
     test_etcd_store__keeps_the_contract_when_the_leader_was_killed},
};

TEST_SUITE_MAIN("metastore contract: etcd", k_cases)
