/*
 * tests/contract/test_metastore_memory_contract.c - the memory store keeps the contract, and the contract
 * notices those that do not.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/contract/metastore_contract.h"
#include "tests/support/suite.h"

#include <stdio.h>

enum { CHECKS = 23 };

struct fixture {
    unsigned counts[2]; /* passed, failed */
    struct ael_metastore *last;
};

static void count_checks(void *context, const char *check, bool passed, const char *detail) {
    struct fixture *fixture = context;
    fixture->counts[passed ? 0 : 1]++;
    if (!passed) {
        printf("\n    %s: %s", check, detail);
    }
}

/* For stores that are meant to fail. */
static void count_quietly(void *context, const char *check, bool passed, const char *detail) {
    struct fixture *fixture = context;
    fixture->counts[passed ? 0 : 1]++;
    CU_ASSERT_EQUAL(passed, detail[0] == '\0');
    CU_ASSERT_NOT_EQUAL(check[0], '\0');
}

static enum ael_status open_memory(void *context, struct ael_metastore **metastore) {
    struct fixture *fixture = context;
    enum ael_status status = ael_metastore_memory_new(metastore);
    fixture->last = *metastore;
    return status;
}

static enum ael_status open_memory_again(void *context, struct ael_metastore **metastore) {
    struct fixture *fixture = context;
    *metastore = ael_metastore_acquire(fixture->last);
    return AEL_OK;
}

static void test_memory_store__keeps_the_contract(void) {
    struct fixture fixture = {{0, 0}, NULL};
    struct ael_metastore_contract_options options = AEL_METASTORE_CONTRACT_OPTIONS_INIT;
    options.open_empty = open_memory;
    options.open_second = open_memory_again;
    options.max_created_s = INT64_MAX;
    options.report = count_checks;
    options.context = &fixture;
    CU_ASSERT_EQUAL(ael_metastore_contract_run(&options), 0);
    CU_ASSERT_EQUAL(fixture.counts[0], CHECKS);
    CU_ASSERT_EQUAL(fixture.counts[1], 0);
}

/* ---- a store that forgets: everything is stored, nothing is there ---- */

static enum ael_status forget_load(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    int64_t created_s,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    (void)self;
    (void)call;
    (void)id;
    (void)created_s;
    (void)out;
    return ael_error_set(err, AEL_E_KEY_NOT_FOUND, 0, "forget", "nothing is here");
}

static enum ael_status forget_load_latest(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    return forget_load(self, call, id, 0, out, err);
}

static enum ael_status forget_store(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    const struct ael_key_record *record,
    bool *stored,
    struct ael_error *err) {
    (void)self;
    (void)call;
    (void)id;
    (void)record;
    (void)err;
    *stored = true;
    return AEL_OK;
}

static const struct ael_metastore_vtable k_forget = {
    .vt_size = sizeof(struct ael_metastore_vtable),
    .contract = AEL_METASTORE_CONTRACT,
    .name = "forget",
    .load = forget_load,
    .load_latest = forget_load_latest,
    .store = forget_store,
};

static enum ael_status open_forget(void *context, struct ael_metastore **metastore) {
    (void)context;
    return ael_metastore_new(&k_forget, NULL, metastore);
}

static void test_metastore_contract_run__notices_a_store_that_forgets(void) {
    struct fixture fixture = {{0, 0}, NULL};
    struct ael_metastore_contract_options options = AEL_METASTORE_CONTRACT_OPTIONS_INIT;
    options.open_empty = open_forget;
    options.flags =
        AEL_METASTORE_CONTRACT_NO_LIST | AEL_METASTORE_CONTRACT_NO_REPLACE | AEL_METASTORE_CONTRACT_NO_LINES;
    options.report = count_quietly;
    options.context = &fixture;
    /* Left standing: name, health, absent, bad ids, list, replace, compare, revoke, second handle, replace
     * race. */
    CU_ASSERT_EQUAL(ael_metastore_contract_run(&options), CHECKS - 10);
    CU_ASSERT_EQUAL(fixture.counts[0], 10);
}

static void test_metastore_contract_run__notices_members_that_are_missing(void) {
    struct fixture fixture = {{0, 0}, NULL};
    struct ael_metastore_contract_options options = AEL_METASTORE_CONTRACT_OPTIONS_INIT;
    options.open_empty = open_forget;
    options.flags = AEL_METASTORE_CONTRACT_NO_LINES;
    options.report = count_quietly;
    options.context = &fixture;
    /* As above, and now list, replace, compare, revoke and the race of replacers fail too. */
    CU_ASSERT_EQUAL(ael_metastore_contract_run(&options), CHECKS - 5);
}

static enum ael_status open_nothing(void *context, struct ael_metastore **metastore) {
    (void)context;
    *metastore = NULL;
    return AEL_E_UNREACHABLE;
}

static void test_metastore_contract_run__fails_when_nothing_can_be_opened(void) {
    struct fixture fixture = {{0, 0}, NULL};
    struct ael_metastore_contract_options options = AEL_METASTORE_CONTRACT_OPTIONS_INIT;
    options.open_empty = open_nothing;
    options.flags = AEL_METASTORE_CONTRACT_NO_LINES;
    options.report = count_quietly;
    options.context = &fixture;
    CU_ASSERT_EQUAL(ael_metastore_contract_run(&options), CHECKS);
}

static void test_metastore_contract_run__refuses_options_that_are_none(void) {
    struct ael_metastore_contract_options options = AEL_METASTORE_CONTRACT_OPTIONS_INIT;
    CU_ASSERT_EQUAL(ael_metastore_contract_run(NULL), -1);
    CU_ASSERT_EQUAL(ael_metastore_contract_run(&options), -1);
    options.open_empty = open_memory;
    options.threads = 1000;
    CU_ASSERT_EQUAL(ael_metastore_contract_run(&options), -1);
    options.threads = 0;
    options.size--;
    CU_ASSERT_EQUAL(ael_metastore_contract_run(&options), -1);
}

static const struct test_case k_cases[] = {
    {"the memory store keeps the contract", test_memory_store__keeps_the_contract},
    {"a store that forgets is noticed", test_metastore_contract_run__notices_a_store_that_forgets},
    {"members that are missing are noticed", test_metastore_contract_run__notices_members_that_are_missing},
    {"a store that cannot be opened fails", test_metastore_contract_run__fails_when_nothing_can_be_opened},
    {"options that are none are refused", test_metastore_contract_run__refuses_options_that_are_none},
};

TEST_SUITE_MAIN("metastore contract: memory", k_cases)
