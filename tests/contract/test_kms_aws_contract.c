/*
 * tests/contract/test_kms_aws_contract.c - AWS KMS keeps the contract: one region, and two.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/contract/kms_contract_case.h"
#include "tests/support/aws_kms_server.h"
#include "tests/support/suite.h"


static void use_other_keys(struct ael_kms_aws_options *options) {
    static struct ael_kms_aws_region regions[AWS_REGIONS];
    const struct aws_kms_server *server = aws_kms_server(true);
    for (size_t i = 0; i < options->region_count; i++) {
        regions[i] = options->regions[i];
        regions[i].key = server->places[i].other;
    }
    options->regions = regions;
}

static void run(size_t regions) {
    struct ael_kms_contract_options options = AEL_KMS_CONTRACT_OPTIONS_INIT;
    struct ael_error err = {.status = AEL_OK};
    CU_ASSERT_PTR_NOT_NULL_FATAL(aws_kms_server(true));
    CU_ASSERT_EQUAL_FATAL(aws_kms_new(regions, NULL, &options.kms, &err), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(aws_kms_new(regions, use_other_keys, &options.stranger, &err), AEL_OK);
    options.stride = 23;
    options.tolerates_damage = true; /* the ARN is there for people */
    options.threads = 4;
    options.rounds = 2;
    kms_contract_expect_kept(&options);
}

static void test_kms_aws__keeps_the_contract_in_one_region(void) {
    run(1);
}

static void test_kms_aws__keeps_the_contract_in_two_regions(void) {
    run(2);
}

static const struct test_case k_cases[] = {
    {"one region keeps the contract", test_kms_aws__keeps_the_contract_in_one_region},
    {"two regions keep the contract", test_kms_aws__keeps_the_contract_in_two_regions},
};

TEST_SUITE_MAIN("kms contract: aws", k_cases)
