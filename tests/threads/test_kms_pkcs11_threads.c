/*
 * tests/threads/test_kms_pkcs11_threads.c - many callers of one KMS over a token of SoftHSM: one call of its module for all; and
 * the token gone. The module is SoftHSM's behind one that counts and holds up (tests/support/pkcs11/counted.c).
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/support/kms_crowd.h"
#include "tests/support/softhsm_token.h"
#include "tests/support/suite.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static char s_calls[128]; /* a letter for each that arrived */
static int s_gate = -1;   /* who has it locked holds them up */

static void hold(void) {
    CU_ASSERT_EQUAL(flock(s_gate, LOCK_EX), 0);
}

static void let_go(void) {
    CU_ASSERT_EQUAL(flock(s_gate, LOCK_UN), 0);
}

static void die(void) {
    CU_ASSERT_FATAL(softhsm_token_remove());
}

static unsigned count(int letter) {
    unsigned found = 0;
    FILE *file = fopen(s_calls, "r");
    for (int next = 0; file != NULL && (next = fgetc(file)) != EOF;) {
        found += next == letter ? 1 : 0;
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return found;
}

static unsigned encrypted(void) {
    return count('e');
}

static unsigned decrypted(void) {
    return count('d');
}

static struct ael_kms *make(void) {
    char gate[128];
    struct ael_kms *kms = NULL;
    const struct softhsm_token *token = softhsm_token();
    CU_ASSERT_PTR_NOT_NULL_FATAL(token);
    CU_ASSERT_FATAL(softhsm_token_file("calls", "", s_calls) && softhsm_token_file("gate", "", gate));
    s_gate = open(gate, O_RDWR | O_CLOEXEC);
    CU_ASSERT_FATAL(
        s_gate >= 0 && setenv("AEL_COUNTED_MODULE", token->module, 1) == 0 &&
        setenv("AEL_COUNTED_CALLS", s_calls, 1) == 0 && setenv("AEL_COUNTED_GATE", gate, 1) == 0);
    struct ael_kms_pkcs11_options options = softhsm_token_options();
    options.module = AEL_TEST_PKCS11_COUNTED;
    options.environment = "SOFTHSM2_CONF,AEL_COUNTED_MODULE,AEL_COUNTED_CALLS,AEL_COUNTED_GATE";
    options.try_timeout_ms = KMS_CROWD_PATIENCE_MS;
    CU_ASSERT_EQUAL_FATAL(ael_kms_pkcs11_new(&options, &kms, NULL), AEL_OK);
    return kms;
}

static void run(void (*check)(const struct kms_crowd_service *service)) {
    struct kms_crowd_service service = {
        .kms = make(),
        .hold = hold,
        .let_go = let_go,
        .die = die,
        .encrypts = encrypted,
        .decrypts = decrypted,
        .decrypts_of_encrypt = 1, /* whether it can be decrypted is looked at */
        .joined = "ael.kms.pkcs11.decrypt_joined",
        .opened = "ael.kms.pkcs11.breaker_opened",
    };
    check(&service);
    ael_kms_release(service.kms);
    (void)close(s_gate);
}

static void test_kms_pkcs11_decrypt__is_one_call_for_all_who_want_a_key_at_once(void) {
    run(kms_crowd_decrypts_once);
}

static void test_session__asks_a_token_once_for_a_cold_key_on_many_threads(void) {
    run(kms_crowd_makes_and_loads_one_key);
}

static void test_session__goes_on_warm_while_the_token_is_gone_and_answers_cold_in_time(void) {
    run(kms_crowd_does_without);
    CU_ASSERT(softhsm_token_put_back());
}

static const struct test_case k_cases[] = {
    {"equal decrypts are one call", test_kms_pkcs11_decrypt__is_one_call_for_all_who_want_a_key_at_once},
    {"a cold key on many threads", test_session__asks_a_token_once_for_a_cold_key_on_many_threads},
    {"a dead KMS, warm and cold",
     test_session__goes_on_warm_while_the_token_is_gone_and_answers_cold_in_time},
};

TEST_SUITE_MAIN("kms_pkcs11_threads", k_cases)
