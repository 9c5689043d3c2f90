/*
 * tests/contract/test_kms_pkcs11_contract.c - a token of SoftHSM keeps the contract: with AES-GCM, and with AES key wrap; in the helper, and in this process.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/contract/kms_contract_case.h"
#include "tests/support/softhsm_token.h"
#include "tests/support/suite.h"

static void run(enum ael_kms_pkcs11_mechanism mechanism, bool in_process) {
    struct ael_kms_contract_options options = AEL_KMS_CONTRACT_OPTIONS_INIT;
    struct ael_error err = {.status = AEL_OK};
    CU_ASSERT_PTR_NOT_NULL_FATAL(softhsm_token());
    struct ael_kms_pkcs11_options mine = softhsm_token_options();
    mine.mechanism = mechanism;
    mine.in_process = in_process;
    CU_ASSERT_EQUAL_FATAL(ael_kms_pkcs11_new(&mine, &options.kms, &err), AEL_OK);
    mine.token = "other";
    CU_ASSERT_EQUAL_FATAL(ael_kms_pkcs11_new(&mine, &options.stranger, &err), AEL_OK);
    options.threads = 4;
    options.rounds = 8;
    kms_contract_expect_kept(&options);
}

static void test_kms_pkcs11__keeps_the_contract_with_aes_gcm(void) {
    run(AEL_KMS_PKCS11_AES_GCM, false);
}

static void test_kms_pkcs11__keeps_the_contract_with_aes_key_wrap(void) {
    run(AEL_KMS_PKCS11_AES_KEY_WRAP, false);
}

static void test_kms_pkcs11__keeps_the_contract_in_process_with_aes_gcm(void) {
    run(AEL_KMS_PKCS11_AES_GCM, true);
}

static void test_kms_pkcs11__keeps_the_contract_in_process_with_aes_key_wrap(void) {
    run(AEL_KMS_PKCS11_AES_KEY_WRAP, true);
}

static const struct test_case k_cases[] = {
    {"it keeps the contract with AES-GCM", test_kms_pkcs11__keeps_the_contract_with_aes_gcm},
    {"it keeps the contract with AES key wrap", test_kms_pkcs11__keeps_the_contract_with_aes_key_wrap},
    {"it keeps the contract in process with AES-GCM",
     test_kms_pkcs11__keeps_the_contract_in_process_with_aes_gcm},
    {"it keeps the contract in process with AES key wrap",
     test_kms_pkcs11__keeps_the_contract_in_process_with_aes_key_wrap},
};

TEST_SUITE_MAIN("kms contract: pkcs11", k_cases)
