/*
 * tests/contract/test_kms_chain_contract.c - a chain of two KMS keeps the contract.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ael/kms_chain.h>

#include "tests/contract/kms_contract_case.h"
#include "tests/support/suite.h"

#include <string.h>

static struct ael_kms *new_static(uint8_t fill) {
    uint8_t key[32];
    struct ael_kms *kms = NULL;
    memset(key, fill, sizeof key);
    CU_ASSERT_EQUAL_FATAL(ael_kms_static_from_bytes(key, sizeof key, &kms, NULL), AEL_OK);
    return kms;
}

/* The chain alone holds the two. */
static struct ael_kms *new_chain(uint8_t fill) {
    struct ael_kms *new_kms = new_static(fill);
    struct ael_kms *old_kms = new_static((uint8_t)~fill);
    struct ael_kms *kms = NULL;
    CU_ASSERT_EQUAL_FATAL(ael_kms_chain_new(new_kms, old_kms, &kms, NULL), AEL_OK);
    ael_kms_release(new_kms);
    ael_kms_release(old_kms);
    return kms;
}

static void test_kms_chain__keeps_the_contract(void) {
    struct ael_kms_contract_options options = AEL_KMS_CONTRACT_OPTIONS_INIT;
    options.kms = new_chain(0x11);
    options.stranger = new_chain(0x22);
    kms_contract_expect_kept(&options);
}

static const struct test_case k_cases[] = {
    {"a chain keeps the contract", test_kms_chain__keeps_the_contract},
};

TEST_SUITE_MAIN("kms contract: chain", k_cases)
