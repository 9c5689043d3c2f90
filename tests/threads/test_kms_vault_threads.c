/*
 * tests/threads/test_kms_vault_threads.c - many callers of one KMS over Vault's Transit: one request for all; and Vault dead.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/support/kms_crowd.h"
#include "tests/support/suite.h"
#include "tests/support/vault_server.h"

static unsigned encrypted(void) {
    return vault_server_count("transit/encrypt/");
}

static unsigned decrypted(void) {
    return vault_server_count("transit/decrypt/");
}

static void with_patience(struct ael_kms_vault_options *options) {
    options->connect_timeout_ms = options->try_timeout_ms = KMS_CROWD_PATIENCE_MS;
}

static void run(void (*check)(const struct kms_crowd_service *service)) {
    struct kms_crowd_service service = {
        .hold = vault_server_hold,
        .let_go = vault_server_go_on,
        .die = vault_server_kill,
        .encrypts = encrypted,
        .decrypts = decrypted,
        .joined = "ael.kms.vault.decrypt_joined",
        .opened = "ael.kms.vault.breaker_opened",
    };
    CU_ASSERT_PTR_NOT_NULL_FATAL(vault_server());
    CU_ASSERT_EQUAL_FATAL(vault_kms_new(with_patience, &service.kms, NULL), AEL_OK);
    check(&service);
    ael_kms_release(service.kms);
}

static void test_kms_vault_decrypt__is_one_call_for_all_who_want_a_key_at_once(void) {
    run(kms_crowd_decrypts_once);
}

static void test_session__asks_vault_once_for_a_cold_key_on_many_threads(void) {
    run(kms_crowd_makes_and_loads_one_key);
}

/* Vault's end: the last case. */
static void test_session__goes_on_warm_while_vault_is_dead_and_answers_cold_in_time(void) {
    run(kms_crowd_does_without);
}

static const struct test_case k_cases[] = {
    {"equal decrypts are one call", test_kms_vault_decrypt__is_one_call_for_all_who_want_a_key_at_once},
    {"a cold key on many threads", test_session__asks_vault_once_for_a_cold_key_on_many_threads},
    {"a dead KMS, warm and cold", test_session__goes_on_warm_while_vault_is_dead_and_answers_cold_in_time},
};

TEST_SUITE_MAIN("kms_vault_threads", k_cases)
