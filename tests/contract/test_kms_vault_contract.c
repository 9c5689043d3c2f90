/*
 * tests/contract/test_kms_vault_contract.c - Vault's Transit keeps the contract: with a token, and through AppRole.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/contract/kms_contract_case.h"
#include "tests/support/suite.h"
#include "tests/support/vault_server.h"

#include <stdio.h>

static void use_other_key(struct ael_kms_vault_options *options) {
    static char root[128];
    (void)snprintf(root, sizeof root, "%s", vault_server()->root);
    options->key = "other";
    options->token = root;
}

static void log_in_by_approle(struct ael_kms_vault_options *options) {
    static char secret_id[64];
    (void)snprintf(secret_id, sizeof secret_id, "%s", vault_server()->secret_id);
    options->token = NULL;
    options->auth = AEL_KMS_VAULT_APPROLE;
    options->role_id = vault_server()->role_id;
    options->secret_id = secret_id;
}

static void run(void (*more)(struct ael_kms_vault_options *options)) {
    struct ael_kms_contract_options options = AEL_KMS_CONTRACT_OPTIONS_INIT;
    struct ael_error err = {.status = AEL_OK};
    CU_ASSERT_PTR_NOT_NULL_FATAL(vault_server());
    CU_ASSERT_EQUAL_FATAL(vault_kms_new(more, &options.kms, &err), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(vault_kms_new(use_other_key, &options.stranger, &err), AEL_OK);
    options.stride = 3;
    options.threads = 4;
    options.rounds = 8;
    kms_contract_expect_kept(&options);
}

static void test_kms_vault__keeps_the_contract_with_a_token(void) {
    run(NULL);
}

static void test_kms_vault__keeps_the_contract_through_approle(void) {
    run(log_in_by_approle);
}

static const struct test_case k_cases[] = {
    {"it keeps the contract with a token", test_kms_vault__keeps_the_contract_with_a_token},
    {"it keeps the contract through AppRole", test_kms_vault__keeps_the_contract_through_approle},
};

TEST_SUITE_MAIN("kms contract: vault", k_cases)
