/*
 * tests/threads/test_kms_gcp_threads.c - many callers of one KMS over Google Cloud KMS (a strict stub): one request for all; and
 * the service dead.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/support/gate.h"
#include "tests/support/gcp_stub.h"
#include "tests/support/kms_crowd.h"
#include "tests/support/suite.h"

#include <limits.h>

static struct gcp_stub s_stub;
static struct gate s_gate = GATE_INIT;

static void wait_at_gate(
    struct gcp_stub *stub, const struct http_server_request *request, struct http_server_reply *reply) {
    (void)stub;
    (void)request;
    (void)reply;
    gate_pass(&s_gate);
}

static void hold(void) {
    gate_shut(&s_gate);
}

static void let_go(void) {
    gate_open(&s_gate);
}

static void die(void) {
    http_server_stop(s_stub.server);
    s_stub.server = NULL;
}

static unsigned encrypted(void) {
    http_server_sync();
    return s_stub.encrypts;
}

static unsigned decrypted(void) {
    http_server_sync();
    return s_stub.decrypts;
}

static void run(void (*check)(const struct kms_crowd_service *service)) {
    struct kms_crowd_service service = {
        .hold = hold,
        .let_go = let_go,
        .die = die,
        .encrypts = encrypted,
        .decrypts = decrypted,
        .joined = "ael.kms.gcp.decrypt_joined",
        .opened = "ael.kms.gcp.breaker_opened",
    };
    struct ael_kms_gcp_options options = AEL_KMS_GCP_OPTIONS_INIT;
    memset(&s_stub, 0, sizeof s_stub);
    CU_ASSERT_FATAL(gcp_stub_start(&s_stub));
    s_stub.spoil = wait_at_gate;
    s_stub.spoil_times = UINT_MAX;
    http_server_sync();
    gcp_stub_options(&s_stub, &options);
    options.connect_timeout_ms = options.try_timeout_ms = KMS_CROWD_PATIENCE_MS;
    CU_ASSERT_EQUAL_FATAL(ael_kms_gcp_new(&options, &service.kms, NULL), AEL_OK);
    check(&service);
    ael_kms_release(service.kms);
    gcp_stub_stop(&s_stub);
}

static void test_kms_gcp_decrypt__is_one_call_for_all_who_want_a_key_at_once(void) {
    run(kms_crowd_decrypts_once);
}

static void test_session__asks_google_once_for_a_cold_key_on_many_threads(void) {
    run(kms_crowd_makes_and_loads_one_key);
}

static void test_session__goes_on_warm_while_google_is_dead_and_answers_cold_in_time(void) {
    run(kms_crowd_does_without);
}

static const struct test_case k_cases[] = {
    {"equal decrypts are one call", test_kms_gcp_decrypt__is_one_call_for_all_who_want_a_key_at_once},
    {"a cold key on many threads", test_session__asks_google_once_for_a_cold_key_on_many_threads},
    {"a dead KMS, warm and cold", test_session__goes_on_warm_while_google_is_dead_and_answers_cold_in_time},
};

TEST_SUITE_MAIN("kms_gcp_threads", k_cases)
