/*
 * tests/contract/test_kms_secrets_manager_contract.c - a master key in AWS Secrets Manager keeps the contract: as text, and as
 * bytes.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/contract/kms_contract_case.h"
#include "tests/support/aws_kms_server.h"
#include "tests/support/suite.h"

#include <ael/kms_secrets_manager.h>

#include <stdio.h>

static struct ael_kms *new_kms(const char *secret, const char *kind, const char *value) {
    const struct aws_kms_server *server = aws_kms_server(true);
    struct ael_kms_secrets_manager_options options = AEL_KMS_SECRETS_MANAGER_OPTIONS_INIT;
    struct ael_kms *kms = NULL;
    char ca_file[96];
    CU_ASSERT_PTR_NOT_NULL_FATAL(server);
    CU_ASSERT_TRUE_FATAL(aws_kms_server_secret(AWS_WEST, secret, kind, value, NULL));
    (void)snprintf(ca_file, sizeof ca_file, "%s/ca.pem", server->folder);
    options.secret_id = secret;
    options.region = server->places[AWS_WEST].region;
    options.endpoint = server->places[AWS_WEST].url;
    options.ca_file = ca_file;
    options.try_timeout_ms = 20000;
    options.connect_timeout_ms = 10000;
    CU_ASSERT_EQUAL_FATAL(ael_kms_secrets_manager_new(&options, &kms, NULL), AEL_OK);
    return kms;
}

static void run(const char *kind) {
    struct ael_kms_contract_options options = AEL_KMS_CONTRACT_OPTIONS_INIT;
    options.kms =
        new_kms("master", kind, "303132333435363738396162636465666768696a6b6c6d6e6f70717273747576");
    options.stranger =
        new_kms("stranger", kind, "403132333435363738396162636465666768696a6b6c6d6e6f70717273747576");
    kms_contract_expect_kept(&options);
}

static void test_kms_secrets_manager__keeps_the_contract_with_a_text(void) {
    run("text");
}

static void test_kms_secrets_manager__keeps_the_contract_with_bytes(void) {
    run("binary");
}

static const struct test_case k_cases[] = {
    {"a text keeps the contract", test_kms_secrets_manager__keeps_the_contract_with_a_text},
    {"bytes keep the contract", test_kms_secrets_manager__keeps_the_contract_with_bytes},
};

TEST_SUITE_MAIN("kms contract: secrets manager", k_cases)
