/*
 * tests/contract/kms_contract_case.h - the contract of a KMS as a CUnit case.
 *
 * Layer: tests, in a CUnit case.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_CONTRACT_KMS_CONTRACT_CASE_H
#define TESTS_CONTRACT_KMS_CONTRACT_CASE_H

#include "tests/contract/kms_contract.h"
#include "tests/support/contract_count.h"

#include <CUnit/CUnit.h>

/* Every check passes, and none was left out. Releases kms and stranger. */
static inline void kms_contract_expect_kept(struct ael_kms_contract_options *options) {
    struct contract_count count = {0, 0};
    options->report = contract_count;
    options->context = &count;
    CU_ASSERT_EQUAL(ael_kms_contract_run(options), 0);
    CU_ASSERT_EQUAL(count.failed, 0);
    CU_ASSERT(count.passed >= 19);
    ael_kms_release(options->kms);
    ael_kms_release(options->stranger);
}

#endif /* TESTS_CONTRACT_KMS_CONTRACT_CASE_H */
