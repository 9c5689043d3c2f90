/*
 * tests/contract/test_kms_gcp_contract.c - the KMS over Google Cloud KMS keeps the contract, against a strict stub alone.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/contract/kms_contract_case.h"
#include "tests/support/gcp_stub.h"
#include "tests/support/suite.h"

static void test_kms_gcp__keeps_the_contract_against_a_strict_stub(void) {
    struct gcp_stub stub;
    struct ael_kms_contract_options options = AEL_KMS_CONTRACT_OPTIONS_INIT;
    struct ael_kms_gcp_options gcp = AEL_KMS_GCP_OPTIONS_INIT;
    struct ael_error err = {.status = AEL_OK};
    CU_ASSERT_FATAL(gcp_stub_start(&stub));
    gcp_stub_options(&stub, &gcp);
    gcp.auth = AEL_KMS_GCP_SERVICE_ACCOUNT;
    gcp.credentials_file = gcp_stub_file(&stub, "service_account", "/token", true);
    CU_ASSERT_EQUAL_FATAL(ael_kms_gcp_new(&gcp, &options.kms, &err), AEL_OK);
    CU_ASSERT_EQUAL(ael_kms_health(options.kms, NULL, &err), AEL_OK);
    gcp.key = GCP_STUB_RING "other";
    CU_ASSERT_EQUAL_FATAL(ael_kms_gcp_new(&gcp, &options.stranger, &err), AEL_OK);
    options.stride = 5;
    options.threads = 4;
    options.rounds = 8;
    kms_contract_expect_kept(&options);
    gcp_stub_stop(&stub);
}

static const struct test_case k_cases[] = {
    {"it keeps the contract against a strict stub", test_kms_gcp__keeps_the_contract_against_a_strict_stub},
};

TEST_SUITE_MAIN("kms contract: gcp", k_cases)
