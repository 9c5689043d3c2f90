/*
 * tests/contract/test_kms_azure_contract.c - the KMS over Azure Key Vault keeps the contract, against a strict stub alone.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/contract/kms_contract_case.h"
#include "tests/support/azure_stub.h"
#include "tests/support/suite.h"

static void expect_kept(enum ael_kms_azure_algorithm algorithm) {
    struct azure_stub stub;
    struct ael_kms_contract_options options = AEL_KMS_CONTRACT_OPTIONS_INIT;
    struct ael_kms_azure_options azure = AEL_KMS_AZURE_OPTIONS_INIT;
    struct ael_error err = {.status = AEL_OK};
    CU_ASSERT_FATAL(azure_stub_start(&stub));
    azure_stub_options(&stub, &azure);
    azure.algorithm = algorithm;
    azure.auth = AEL_KMS_AZURE_WORKLOAD;
    azure.tenant = AZURE_STUB_TENANT;
    azure.client = AZURE_STUB_CLIENT;
    azure.federated_token_file = azure_stub_file(&stub, stub.assertion, "\n");
    CU_ASSERT_EQUAL_FATAL(ael_kms_azure_new(&azure, &options.kms, &err), AEL_OK);
    CU_ASSERT_EQUAL(ael_kms_health(options.kms, NULL, &err), AEL_OK);
    azure.key = "other";
    CU_ASSERT_EQUAL_FATAL(ael_kms_azure_new(&azure, &options.stranger, &err), AEL_OK);
    options.stride = 5;
    options.threads = 4;
    options.rounds = 8;
    kms_contract_expect_kept(&options);
    azure_stub_stop(&stub);
}

static void test_kms_azure__keeps_the_contract_against_a_strict_stub(void) {
    expect_kept(AEL_KMS_AZURE_RSA_OAEP_256);
}

static void test_kms_azure__keeps_the_contract_with_an_aes_key(void) {
    expect_kept(AEL_KMS_AZURE_A256KW);
}

static const struct test_case k_cases[] = {
    {"it keeps the contract against a strict stub", test_kms_azure__keeps_the_contract_against_a_strict_stub},
    {"it keeps the contract with an AES key", test_kms_azure__keeps_the_contract_with_an_aes_key},
};

TEST_SUITE_MAIN("kms contract: azure", k_cases)
