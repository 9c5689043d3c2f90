/*
 * tests/contract/test_kms_static_contract.c - the static KMS keeps the contract, and the contract notices
 * those that do not.
 * SPDX-License-Identifier: Apache-2.0
 */
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

static void test_static_kms__keeps_the_contract(void) {
    struct ael_kms_contract_options options = AEL_KMS_CONTRACT_OPTIONS_INIT;
    options.kms = new_static(0x11);
    options.stranger = new_static(0x22);
    kms_contract_expect_kept(&options);
}

/* ---- a KMS that breaks every rule it can ---- */

static enum ael_status leaky_encrypt(
    void *self,
    const struct ael_call *call,
    struct ael_secret *key,
    struct ael_buf *out,
    struct ael_error *err) {
    struct ael_secret_access access;
    (void)self;
    (void)call;
    (void)err;
    enum ael_status status = ael_secret_access_begin(key, &access);
    if (status == AEL_OK) {
        status = ael_buf_append(out, access.bytes);
        if (ael_secret_access_end(&access) != AEL_OK) {
            status = AEL_E_SYSTEM;
        }
    }
    return status;
}

/* Whatever it is given, it finds a key in it. */
static enum ael_status gullible_decrypt(
    void *self,
    const struct ael_call *call,
    struct ael_bytes encrypted,
    struct ael_secret **key,
    struct ael_error *err) {
    uint8_t bytes[32] = {0};
    (void)self;
    (void)call;
    (void)err;
    memcpy(bytes, encrypted.data == NULL ? bytes : encrypted.data, encrypted.len < 32 ? encrypted.len : 32);
    return ael_secret_new(bytes, sizeof bytes, key);
}

static const struct ael_kms_vtable k_bad = {
    .vt_size = sizeof(struct ael_kms_vtable),
    .contract = AEL_KMS_CONTRACT,
    .name = "",
    .encrypt_key = leaky_encrypt,
    .decrypt_key = gullible_decrypt,
};

static void test_kms_contract_run__notices_a_kms_that_breaks_it(void) {
    struct contract_count count = {0, 0};
    struct ael_kms_contract_options options = AEL_KMS_CONTRACT_OPTIONS_INIT;
    CU_ASSERT_EQUAL_FATAL(ael_kms_new(&k_bad, NULL, &options.kms), AEL_OK);
    options.report = contract_count;
    options.context = &count;
    options.no_lines = true;
    options.rounds = 1;
    /* name, hides the key, damaged, truncated, extended, empty, deadline, cancelled */
    CU_ASSERT_EQUAL(ael_kms_contract_run(&options), 8);
    CU_ASSERT_EQUAL(count.failed, 8);
    ael_kms_release(options.kms);
}

static void test_kms_contract_run__refuses_options_that_are_none(void) {
    struct ael_kms_contract_options options = AEL_KMS_CONTRACT_OPTIONS_INIT;
    CU_ASSERT_EQUAL(ael_kms_contract_run(NULL), -1);
    CU_ASSERT_EQUAL(ael_kms_contract_run(&options), -1);
    options.kms = new_static(0x33);
    options.size--;
    CU_ASSERT_EQUAL(ael_kms_contract_run(&options), -1);
    ael_kms_release(options.kms);
}

static const struct test_case k_cases[] = {
    {"the static KMS keeps the contract", test_static_kms__keeps_the_contract},
    {"a KMS that breaks the contract is noticed", test_kms_contract_run__notices_a_kms_that_breaks_it},
    {"options that are none are refused", test_kms_contract_run__refuses_options_that_are_none},
};

TEST_SUITE_MAIN("kms contract: static", k_cases)
