/*
 * tests/unit/test_kms_gcp.c - ael/kms_gcp.h against a strict stub: what is sent, tokens, checksums, refusals, options.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/clock.h"
#include "tests/support/gcp_stub.h"
#include "tests/support/kms_calls.h"
#include "tests/support/suite.h"
#include "tests/support/token_giver.h"

#include <ael/memory.h>
#include <ael/sys/kms_backend.h>

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static atomic_int s_failed;

/* ---- a world: a stub, a KMS, a key, and the key encrypted ---- */

struct world {
    struct gcp_stub stub;
    struct kms_calls calls;
};

typedef void (*more_fn)(struct gcp_stub *stub, struct ael_kms_gcp_options *options);

/* With TLS when a certificate's name is given. */
static void world_begin_as(struct world *world, const char *name, more_fn more) {
    struct ael_kms_gcp_options options = AEL_KMS_GCP_OPTIONS_INIT;
    struct ael_kms *kms = NULL;
    CU_ASSERT_FATAL(name == NULL ? gcp_stub_start(&world->stub) : gcp_stub_start_tls(&world->stub, name));
    gcp_stub_options(&world->stub, &options);
    if (more != NULL) {
        more(&world->stub, &options);
    }
    CU_ASSERT_EQUAL_FATAL(ael_kms_gcp_new(&options, &kms, NULL), AEL_OK);
    kms_calls_begin(&world->calls, kms);
}

static void world_begin(struct world *world, more_fn more) {
    world_begin_as(world, NULL, more);
}

static void world_end(struct world *world) {
    kms_calls_end(&world->calls);
    gcp_stub_stop(&world->stub);
}

/* ---- what is sent ---- */

static void test_kms_gcp__sends_what_google_asks_for(void) {
    struct world world;
    world_begin(&world, NULL);
    expect_round_trip(&world.calls);
    CU_ASSERT_STRING_EQUAL(world.stub.complaint, "");
    CU_ASSERT_EQUAL(world.stub.encrypts, 1);
    CU_ASSERT_EQUAL(world.stub.decrypts, 1);
    CU_ASSERT(world.calls.sealed.len > 11 && memcmp(world.calls.sealed.data, "gcp-kms:v1:", 11) == 0);
    CU_ASSERT_EQUAL(ael_kms_form_of(world.calls.kms, ael_buf_view(&world.calls.sealed)), AEL_KMS_FORM_OWN);
    CU_ASSERT_EQUAL(
        ael_kms_form_of(world.calls.kms, ael_bytes_from_text("vault:v1:AAAA")), AEL_KMS_FORM_FOREIGN);
    world_end(&world);
}

static void add_data(struct gcp_stub *stub, struct ael_kms_gcp_options *options) {
    (void)stub;
    options->additional_data = ael_bytes_from_text("orders, production");
}

static void test_kms_gcp__binds_keys_to_additional_data(void) {
    struct world world;
    struct ael_kms *without = NULL;
    struct ael_kms_gcp_options options = AEL_KMS_GCP_OPTIONS_INIT;
    world_begin(&world, add_data);
    expect_round_trip(&world.calls);
    gcp_stub_options(&world.stub, &options);
    CU_ASSERT_EQUAL_FATAL(ael_kms_gcp_new(&options, &without, &world.calls.err), AEL_OK);
    CU_ASSERT_EQUAL(open_by(&world.calls, without), AEL_E_KMS);
    CU_ASSERT(says(&world.calls, "additional data"));
    CU_ASSERT_EQUAL(open_sealed(&world.calls), AEL_OK);
    ael_kms_release(without);
    world_end(&world);
}

/* ---- tokens ---- */

static void test_kms_gcp__gets_a_token_anew_at_two_thirds_of_its_life(void) {
    struct world world;
    ael_clock_set_for_test(ael_clock_wall_s(), ael_clock_boot_ns());
    world_begin(&world, NULL);
    expect_round_trip(&world.calls);
    expect_round_trip(&world.calls);
    CU_ASSERT_EQUAL(world.stub.metadata, 1);
    ael_clock_advance_for_test(2390);
    expect_round_trip(&world.calls);
    CU_ASSERT_EQUAL(world.stub.metadata, 1);
    ael_clock_advance_for_test(20);
    expect_round_trip(&world.calls);
    CU_ASSERT_EQUAL(world.stub.metadata, 2);
    world_end(&world);
    ael_clock_reset_for_test();
}

static void test_kms_gcp__gets_a_token_anew_when_one_is_refused(void) {
    struct world world;
    world_begin(&world, NULL);
    expect_round_trip(&world.calls);
    world.stub.token[5] ^= 1;
    expect_round_trip(&world.calls);
    CU_ASSERT_EQUAL(world.stub.metadata, 2);
    CU_ASSERT_EQUAL(world.stub.encrypts, 3);
    world_end(&world);
}

static void test_kms_gcp__takes_tokens_of_several_pieces(void) {
    static const size_t k_lens[] = {20, 703, 704, 705, 1408, 2048, AEL_KMS_GCP_MAX_TOKEN};
    for (size_t i = 0; i < sizeof k_lens / sizeof k_lens[0]; i++) {
        struct world world;
        world_begin(&world, NULL);
        world.stub.token_len = k_lens[i];
        expect_round_trip(&world.calls);
        CU_ASSERT_EQUAL(world.stub.metadata, 1);
        world_end(&world);
    }
    struct world world;
    world_begin(&world, NULL);
    world.stub.token_len = AEL_KMS_GCP_MAX_TOKEN + 1;
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_E_BACKEND);
    CU_ASSERT(says(&world.calls, "too long"));
    CU_ASSERT_EQUAL(world.stub.encrypts, 0);
    world_end(&world);
}

static void test_kms_gcp__takes_no_token_of_a_stranger(void) {
    struct world world;
    world_begin(&world, NULL);
    world.stub.no_flavor = true;
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_E_BACKEND);
    CU_ASSERT(says(&world.calls, "not Google's metadata server"));
    CU_ASSERT_EQUAL(world.stub.encrypts, 0);
    world.stub.no_flavor = false;
    world.stub.expires_in = 0;
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_E_BACKEND);
    CU_ASSERT(says(&world.calls, "no token with a lifetime"));
    world_end(&world);
}

static void nobody_there(struct gcp_stub *stub, struct ael_kms_gcp_options *options) {
    (void)stub;
    options->max_tries = 1;
    options->metadata_host = "127.0.0.1:1";
}

static void test_kms_gcp__says_that_there_is_no_metadata_server(void) {
    struct world world;
    world_begin(&world, nobody_there);
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_E_UNREACHABLE);
    CU_ASSERT(says(&world.calls, "GOOGLE_APPLICATION_CREDENTIALS"));
    world_end(&world);
}

static void test_kms_gcp__says_that_who_gives_tokens_is_not_asked(void) {
    struct world world;
    world_begin(&world, nobody_there);
    for (int i = 0; i < 5; i++) {
        CU_ASSERT_EQUAL(seal(&world.calls), AEL_E_UNREACHABLE);
        CU_ASSERT(says(&world.calls, "GOOGLE_APPLICATION_CREDENTIALS"));
    }
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_E_UNREACHABLE);
    CU_ASSERT(says(&world.calls, "is not asked"));
    world_end(&world);
}

static void use_environment(struct gcp_stub *stub, struct ael_kms_gcp_options *options) {
    (void)setenv("GCE_METADATA_HOST", stub->url + strlen("http://"), 1);
    options->auth = AEL_KMS_GCP_DEFAULT;
    options->metadata_host = NULL;
}

static void use_file_of_environment(struct gcp_stub *stub, struct ael_kms_gcp_options *options) {
    use_environment(stub, options);
    (void)setenv("GOOGLE_APPLICATION_CREDENTIALS", gcp_stub_file(stub, "service_account", "/token", true), 1);
}

static void test_kms_gcp__finds_tokens_by_the_environment(void) {
    struct world world;
    world_begin(&world, use_environment);
    (void)unsetenv("GCE_METADATA_HOST");
    expect_round_trip(&world.calls);
    CU_ASSERT_EQUAL(world.stub.metadata, 1);
    world_end(&world);
    world_begin(&world, use_file_of_environment);
    (void)unsetenv("GCE_METADATA_HOST");
    (void)unsetenv("GOOGLE_APPLICATION_CREDENTIALS");
    expect_round_trip(&world.calls);
    CU_ASSERT_EQUAL(world.stub.metadata, 0);
    CU_ASSERT_EQUAL(world.stub.assertions, 1);
    world_end(&world);
}

static void test_kms_gcp__gets_one_token_for_all_threads(void) {
    struct world world;
    world_begin(&world, NULL);
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_OK);
    world.stub.token[5] ^= 1;
    expect_threads_open(&world.calls);
    CU_ASSERT_EQUAL(world.stub.metadata, 2);
    world_end(&world);
}

static void test_kms_gcp__works_in_a_child_beside_its_parent(void) {
    struct world world;
    world_begin(&world, NULL);
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_OK);
    expect_child_works(&world.calls);
    CU_ASSERT_EQUAL(open_sealed(&world.calls), AEL_OK);
    world_end(&world);
}

/* ---- service accounts ---- */

static void use_account(struct gcp_stub *stub, struct ael_kms_gcp_options *options) {
    options->auth = AEL_KMS_GCP_DEFAULT;
    options->credentials_file = gcp_stub_file(stub, "service_account", "/token", true);
}

static void test_kms_gcp__signs_for_a_service_account(void) {
    struct world world;
    world_begin(&world, use_account);
    expect_round_trip(&world.calls);
    CU_ASSERT_EQUAL(world.stub.assertions, 1);
    CU_ASSERT_EQUAL(world.stub.metadata, 0);
    CU_ASSERT_STRING_EQUAL(world.stub.complaint, "");
    world_end(&world);
}

static void test_kms_gcp__says_that_an_accounts_key_is_refused(void) {
    struct world world;
    world_begin(&world, use_account);
    ael_clock_set_for_test(ael_clock_wall_s() - 4000, ael_clock_boot_ns());
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_E_KMS);
    CU_ASSERT(says(&world.calls, "this clock is wrong"));
    CU_ASSERT_EQUAL(world.stub.encrypts, 0);
    ael_clock_reset_for_test();
    expect_round_trip(&world.calls);
    world_end(&world);
}

static void test_kms_gcp__reads_the_account_anew_for_each_token(void) {
    struct world world;
    world_begin(&world, use_account);
    (void)gcp_stub_file(&world.stub, "service_account", "/token", false);
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_E_KEY_FILE);
    CU_ASSERT(says(&world.calls, "no private key"));
    (void)gcp_stub_file(&world.stub, "service_account", "https://elsewhere.example/token", true);
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_E_KEY_FILE);
    CU_ASSERT(says(&world.calls, "token_uri"));
    CU_ASSERT_EQUAL(world.stub.assertions, 0);
    (void)gcp_stub_file(&world.stub, "service_account", "/token", true);
    expect_round_trip(&world.calls);
    world_end(&world);
}

static void expect_file_refused(struct gcp_stub *stub, const char *file, const char *words) {
    struct ael_kms_gcp_options options = AEL_KMS_GCP_OPTIONS_INIT;
    struct ael_error err = {.status = AEL_OK};
    struct ael_kms *kms = NULL;
    gcp_stub_options(stub, &options);
    options.auth = AEL_KMS_GCP_SERVICE_ACCOUNT;
    options.credentials_file = file;
    CU_ASSERT_EQUAL(ael_kms_gcp_new(&options, &kms, &err), AEL_E_KEY_FILE);
    CU_ASSERT_PTR_NULL(kms);
    CU_ASSERT_EQUAL(err.status, AEL_E_KEY_FILE);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, words));
    if (strstr(err.detail, words) == NULL) {
        printf("\n    not \"%s\": %s", words, err.detail);
    }
}

static void write_file(const struct gcp_stub *stub, const char *text) {
    FILE *file = fopen(stub->file, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    (void)fputs(text, file);
    (void)fclose(file);
}

static void test_kms_gcp_new__says_what_is_wrong_with_a_file(void) {
    struct gcp_stub stub;
    CU_ASSERT_FATAL(gcp_stub_start(&stub));
    expect_file_refused(&stub, "/nowhere/account.json", "/nowhere/account.json");
    expect_file_refused(&stub, "/tmp", "/tmp");
    expect_file_refused(&stub, gcp_stub_file(&stub, "external_account", "/token", true), "external_account");
    expect_file_refused(&stub, gcp_stub_file(&stub, "service_account", NULL, true), "token_uri");
    expect_file_refused(&stub, gcp_stub_file(&stub, "service_account", "/token", false), "no private key");
    expect_file_refused(
        &stub, gcp_stub_file(&stub, "service_account", "http://elsewhere.example/", true), "https://");
    write_file(&stub, "");
    expect_file_refused(&stub, stub.file, "no JSON");
    write_file(&stub, "{\"type\":\"service_account\",\"client_email\":");
    expect_file_refused(&stub, stub.file, "no JSON");
    write_file(
        &stub,
        "{\"type\":\"service_account\",\"client_email\":\"a@b\\\"\",\"private_key_id\":\"1\",\"token_uri\":"
        "\"https://a/\",\"private_key\":\"x\"}");
    expect_file_refused(&stub, stub.file, "client_email");
    write_file(
        &stub, "{\"type\":\"service_account\",\"client_email\":\"a@b\",\"private_key_id\":\"1\",\"token_"
               "uri\":\"https://a/\","
               "\"private_key\":\"-----BEGIN PRIVATE KEY-----\\nMIIB\\n-----END PRIVATE KEY-----\\n\"}");
    expect_file_refused(&stub, stub.file, "no private key");
    gcp_stub_stop(&stub);
}

/* ---- callbacks ---- */

static struct token_giver s_giver;

static void use_callback(struct gcp_stub *stub, struct ael_kms_gcp_options *options) {
    s_giver = (struct token_giver){stub->token, sizeof stub->token, .len = 1500};
    options->auth = AEL_KMS_GCP_CALLBACK;
    options->token = give_token;
    options->token_context = &s_giver;
}

static void test_kms_gcp__takes_a_callbacks_token(void) {
    struct world world;
    world_begin(&world, use_callback);
    expect_token_taken(&s_giver, &world.calls);
    CU_ASSERT_EQUAL(world.stub.metadata, 0);
    world_end(&world);
}

static void test_kms_gcp__hands_on_that_a_callback_failed(void) {
    struct world world;
    world_begin(&world, use_callback);
    expect_no_token_handed_on(&s_giver, &world.calls, AEL_KMS_GCP_MAX_GIVEN_TOKEN, &world.stub.encrypts);
    world_end(&world);
}

static void test_kms_gcp__keeps_no_callbacks_token_that_cannot_be_sent(void) {
    struct world world;
    world_begin(&world, use_callback);
    expect_unsendable_token_refused(&s_giver, &world.calls, &world.stub.encrypts);
    world_end(&world);
}

/* The second time it takes until half of the call's time is over. */
static enum ael_status give_late(
    void *context,
    const struct ael_call *call,
    struct ael_secret **token,
    int64_t *lifetime_s,
    struct ael_error *err) {
    if (s_giver.asked == 1) {
        s_giver.asked++;
        ael_clock_advance_for_test(101);
        return ael_call_check(call);
    }
    enum ael_status status = give_token(context, call, token, lifetime_s, err);
    *lifetime_s = 300;
    return status;
}

static void use_late_callback(struct gcp_stub *stub, struct ael_kms_gcp_options *options) {
    use_callback(stub, options);
    options->token = give_late;
}

/* The old token ends while another one is asked for in half of a call's time: the other half is there to ask in. */
static void test_kms_gcp__takes_its_whole_time_when_a_token_ends_meanwhile(void) {
    struct world world;
    struct ael_call call = AEL_CALL_INIT;
    ael_clock_set_for_test(1700000000, INT64_C(1000000000000));
    world_begin(&world, use_late_callback);
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_OK);
    ael_clock_advance_for_test(250);
    call.deadline_ns = ael_deadline_in_ms(200000);
    CU_ASSERT_EQUAL(seal_within(&world.calls, &call), AEL_OK);
    CU_ASSERT_EQUAL(s_giver.asked, 3);
    world_end(&world);
    ael_clock_reset_for_test();
}

/* ---- checksums ---- */

/* Replaces the first of two texts by the second, of the same length. */
static void replace(struct http_server_reply *reply, const char *from, const char *to) {
    char *at = strstr(reply->body, from);
    if (at != NULL) { /* in the server's thread: no fatal assertion */
        memcpy(at, to, strlen(to));
    }
}

static void turn_digit(struct http_server_reply *reply, const char *before) {
    char *at = strstr(reply->body, before);
    if (at != NULL) {
        at += strlen(before);
        *at = *at == '9' ? '8' : (char)(*at + 1);
    }
}

static void spoil_checksum(
    struct gcp_stub *stub, const struct http_server_request *request, struct http_server_reply *reply) {
    (void)stub;
    turn_digit(
        reply,
        strstr(request->target, ":encrypt") != NULL ? "\"ciphertextCrc32c\": \"" : "\"plaintextCrc32c\": \"");
}

static void spoil_text(
    struct gcp_stub *stub, const struct http_server_request *request, struct http_server_reply *reply) {
    const char *before =
        strstr(request->target, ":encrypt") != NULL ? "\"ciphertext\": \"" : "\"plaintext\": \"";
    char *at = strstr(reply->body, before);
    (void)stub;
    if (at != NULL) {
        at += strlen(before) + 4;
        *at = *at == 'A' ? 'B' : 'A';
    }
}

static void spoil_verified(
    struct gcp_stub *stub, const struct http_server_request *request, struct http_server_reply *reply) {
    (void)stub;
    if (strstr(request->target, ":encrypt") != NULL) {
        replace(reply, "\"verifiedPlaintextCrc32c\": true", "\"verifiedPlaintextCrc32c\":false");
    } else {
        turn_digit(reply, "\"plaintextCrc32c\": \"");
    }
}

static void test_kms_gcp__asks_again_for_what_arrived_damaged(void) {
    static const gcp_stub_spoil_fn k_spoils[] = {spoil_checksum, spoil_text, spoil_verified};
    for (size_t i = 0; i < sizeof k_spoils / sizeof k_spoils[0]; i++) {
        struct world world;
        world_begin(&world, NULL);
        world.stub.spoil = k_spoils[i];
        world.stub.spoil_times = 1;
        CU_ASSERT_EQUAL(seal(&world.calls), AEL_OK);
        CU_ASSERT_EQUAL(world.stub.encrypts, 2);
        world.stub.spoil_times = 1;
        CU_ASSERT_EQUAL(open_sealed(&world.calls), AEL_OK);
        CU_ASSERT_EQUAL(world.stub.decrypts, 2);
        world_end(&world);
    }
}

static void test_kms_gcp__does_not_take_what_stays_damaged(void) {
    static const gcp_stub_spoil_fn k_spoils[] = {spoil_checksum, spoil_text, spoil_verified};
    for (size_t i = 0; i < sizeof k_spoils / sizeof k_spoils[0]; i++) {
        struct world world;
        world_begin(&world, NULL);
        expect_round_trip(&world.calls);
        world.stub.spoil = k_spoils[i];
        world.stub.spoil_times = 100;
        CU_ASSERT_EQUAL(open_sealed(&world.calls), AEL_E_UNREACHABLE);
        CU_ASSERT(says(&world.calls, "damaged"));
        CU_ASSERT_EQUAL(seal(&world.calls), AEL_E_UNREACHABLE);
        CU_ASSERT_EQUAL(world.stub.encrypts, 4);
        world_end(&world);
    }
}

static void spoil_name(
    struct gcp_stub *stub, const struct http_server_request *request, struct http_server_reply *reply) {
    (void)stub;
    (void)request;
    replace(reply, "cryptoKeys/orders", "cryptoKeys/0rders");
}

static void test_kms_gcp_encrypt__refuses_another_keys_answer(void) {
    struct world world;
    world_begin(&world, NULL);
    world.stub.spoil = spoil_name;
    world.stub.spoil_times = 1;
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_E_BACKEND);
    CU_ASSERT(says(&world.calls, "another key"));
    world_end(&world);
}

static void
spoil_key(struct gcp_stub *stub, const struct http_server_request *request, struct http_server_reply *reply) {
    (void)stub;
    (void)request; /* 16 bytes, with their own checksum */
    (void)snprintf(
        reply->body, sizeof reply->body,
        "{\"plaintext\":\"AAAAAAAAAAAAAAAAAAAAAA==\",\"plaintextCrc32c\":\"1\"}");
}

static void test_kms_gcp_decrypt__refuses_keys_of_another_length(void) {
    struct world world;
    world_begin(&world, NULL);
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_OK);
    world.stub.spoil = spoil_key;
    world.stub.spoil_times = 1;
    CU_ASSERT_EQUAL(open_sealed(&world.calls), AEL_E_KMS);
    CU_ASSERT(says(&world.calls, "32 bytes"));
    world_end(&world);
}

/* ---- what comes instead of an answer ---- */

static struct http_server_reply s_reply;

static void
spoil_all(struct gcp_stub *stub, const struct http_server_request *request, struct http_server_reply *reply) {
    (void)stub;
    (void)request;
    *reply = s_reply;
}

static void answer_with(struct world *world, int status, const char *body) {
    memset(&s_reply, 0, sizeof s_reply);
    s_reply.status = status;
    (void)snprintf(s_reply.body, sizeof s_reply.body, "%s", body);
    world->stub.spoil = spoil_all;
    world->stub.spoil_times = 100;
    http_server_sync();
}

/* The key in place of the encrypted one, with its right checksum. */
static void spoil_with_the_key(
    struct gcp_stub *stub, const struct http_server_request *request, struct http_server_reply *reply) {
    char key[45] = "";
    char crc[16] = "";
    char name[256] = "";
    const char *at = strstr(reply->body, "\"name\": \"");
    (void)stub;
    if (at != NULL && sscanf(at, "\"name\": \"%255[^\"]", name) == 1 &&
        sscanf(
            request->body, "{\"plaintext\":\"%44[^\"]\",\"plaintextCrc32c\":\"%15[0-9]", key, crc) == 2) {
        (void)snprintf(
            reply->body, sizeof reply->body,
            "{\"name\":\"%s\",\"ciphertext\":\"%s\",\"ciphertextCrc32c\":\"%s\","
            "\"verifiedPlaintextCrc32c\":true}",
            name, key, crc);
    }
}

static void test_kms_gcp__refuses_a_key_that_was_not_encrypted(void) {
    struct world world;
    world_begin(&world, NULL);
    world.stub.spoil = spoil_with_the_key;
    world.stub.spoil_times = 1;
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_E_BACKEND);
    CU_ASSERT(says(&world.calls, "not encrypted"));
    CU_ASSERT_EQUAL(world.stub.encrypts, 1);
    expect_round_trip(&world.calls);
    world_end(&world);
}

static void one_try(struct gcp_stub *stub, struct ael_kms_gcp_options *options) {
    (void)stub;
    options->max_tries = 1;
}

static void test_kms_gcp__refuses_answers_that_are_none_of_googles(void) {
    static const char *const k_bodies[] = {
        "",
        "<html>Welcome to the hotel's network</html>",
        "[]",
        "{}",
        "{\"name\":\"x\",\"ciphertext\":\"AAAA\",\"ciphertextCrc32c\":\"1\"",
        "{\"ciphertext\":\"!\",\"plaintext\":\"!\"}",
        "{\"plaintext\":\"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\"}",
        "{\"plaintext\":\"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\",\"plaintextCrc32c\":1}"};
    for (size_t i = 0; i < sizeof k_bodies / sizeof k_bodies[0]; i++) {
        struct world world;
        world_begin(&world, one_try);
        CU_ASSERT_EQUAL(seal(&world.calls), AEL_OK);
        answer_with(&world, 200, k_bodies[i]);
        CU_ASSERT_EQUAL(open_sealed(&world.calls), AEL_E_BACKEND);
        CU_ASSERT_EQUAL(seal(&world.calls), AEL_E_BACKEND);
        CU_ASSERT_PTR_NULL(strstr(world.calls.err.detail, "hotel"));
        world_end(&world);
    }
}

static void test_kms_gcp__says_what_a_refusal_means(void) {
    static const struct {
        int http_status;
        const char *body;
        enum ael_status status;
        const char *words;
    } k_refusals[] = {
        {403, "{\"error\":{\"status\":\"PERMISSION_DENIED\"}}", AEL_E_KMS, "cryptoKeyEncrypterDecrypter"},
        {403,
         "{\"error\":{\"status\":\"PERMISSION_DENIED\",\"details\":[{\"reason\":\"SERVICE_DISABLED\"}]}}",
         AEL_E_KMS, "gcloud services enable"},
        {403, "{\"error\":{\"details\":[{\"reason\":\"ACCESS_TOKEN_SCOPE_INSUFFICIENT\"}]}}", AEL_E_KMS,
         "scope"},
        {403, "{\"error\":{\"code\":403}}", AEL_E_KMS, "cryptoKeyEncrypterDecrypter"},
        {404, "{\"error\":{\"status\":\"NOT_FOUND\"}}", AEL_E_KMS, "no such key"},
        {404, "{\"error\":{\"code\":404}}", AEL_E_KMS, "check project, location"},
        {400, "{\"error\":{\"status\":\"FAILED_PRECONDITION\"}}", AEL_E_KMS, "disabled or destroyed"},
        {400, "{\"error\":{\"status\":\"INVALID_ARGUMENT\",\"message\":\"secret words\"}}", AEL_E_KMS,
         "damaged"},
        {400, "{\"error\":{\"status\":\"INVALID_ARGUMENT\",\"message\":\"The checksum did not match\"}}",
         AEL_E_UNREACHABLE, "arrived damaged"},
        {401, "{\"error\":{\"status\":\"UNAUTHENTICATED\"}}", AEL_E_KMS, "token"},
        {429, "{\"error\":{\"status\":\"RESOURCE_EXHAUSTED\"}}", AEL_E_UNREACHABLE, "quota"},
        {503, "{\"error\":{\"status\":\"UNAVAILABLE\"}}", AEL_E_UNREACHABLE, "ill or busy"},
        {502, "<html>secret words</html>", AEL_E_UNREACHABLE, "ill or busy"},
        {403, "<html>secret words</html>", AEL_E_BACKEND, "proxy"},
        {302, "", AEL_E_BACKEND, "proxy"},
    };
    for (size_t i = 0; i < sizeof k_refusals / sizeof k_refusals[0]; i++) {
        struct world world;
        world_begin(&world, one_try);
        answer_with(&world, k_refusals[i].http_status, k_refusals[i].body);
        CU_ASSERT_EQUAL(seal(&world.calls), k_refusals[i].status);
        CU_ASSERT_EQUAL(world.calls.err.native_code, k_refusals[i].http_status);
        CU_ASSERT(says(&world.calls, k_refusals[i].words));
        CU_ASSERT(says(&world.calls, "orders:encrypt"));
        CU_ASSERT_PTR_NULL(strstr(world.calls.err.detail, "secret words"));
        world_end(&world);
    }
}

static void test_kms_gcp__keeps_to_the_deadline_of_a_call(void) {
    struct world world;
    struct ael_call call = AEL_CALL_INIT;
    world_begin(&world, one_try);
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_OK);
    answer_with(&world, 200, "");
    s_reply.how = HTTP_SERVER_HANGS;
    http_server_sync();
    call.deadline_ns = ael_deadline_in_ms(200);
    CU_ASSERT_EQUAL(open_within(&world.calls, &call), AEL_E_TIMEOUT);
    world_end(&world);
}

/* ---- what is kept ---- */

static void test_kms_gcp_decrypt__refuses_what_is_none_of_its_own_without_asking(void) {
    static const char *const k_strangers[] = {
        "",
        "gcp-kms:v1",
        "gcp-kms:v1:",
        "gcp-kms:v2:AAAA",
        "gcp-kms:v1:AAA",
        "gcp-kms:v1:AA\"A",
        "gcp-kms:v1:AAB=",
        "vault:v1:AAAA",
        "{\"encryptedKey\":\"\"}"};
    struct world world;
    world_begin(&world, NULL);
    for (size_t i = 0; i < sizeof k_strangers / sizeof k_strangers[0]; i++) {
        CU_ASSERT_EQUAL(open_text(&world.calls, ael_bytes_from_text(k_strangers[i])), AEL_E_KMS);
        CU_ASSERT(says(&world.calls, "of another KMS"));
    }
    CU_ASSERT_EQUAL(world.stub.decrypts, 0);
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_OK);
    world.calls.sealed.data[40] ^= 1;
    CU_ASSERT_EQUAL(open_sealed(&world.calls), AEL_E_KMS);
    CU_ASSERT(says(&world.calls, "damaged"));
    world_end(&world);
}

/* ---- TLS ---- */

static void use_account_too(struct gcp_stub *stub, struct ael_kms_gcp_options *options) {
    use_account(stub, options);
    options->connect_timeout_ms = 20000; /* valgrind takes its time over handshakes */
}

static void take_time(struct gcp_stub *stub, struct ael_kms_gcp_options *options) {
    (void)stub;
    options->connect_timeout_ms = 20000;
}

static void test_kms_gcp__speaks_tls_with_kms_and_who_gives_tokens(void) {
    static const more_fn k_ways[] = {take_time, use_account_too};
    for (size_t i = 0; i < sizeof k_ways / sizeof k_ways[0]; i++) {
        struct world world;
        world_begin_as(&world, "IP:127.0.0.1", k_ways[i]);
        expect_round_trip(&world.calls);
        CU_ASSERT_STRING_EQUAL(world.stub.complaint, "");
        CU_ASSERT_EQUAL(world.stub.encrypts, 1);
        CU_ASSERT_EQUAL(world.stub.metadata + world.stub.assertions, 1);
        CU_ASSERT(tls_front_bytes(world.stub.front) > 1000);
        world_end(&world);
    }
}

static void no_ca(struct gcp_stub *stub, struct ael_kms_gcp_options *options) {
    take_time(stub, options);
    options->ca_file = NULL; /* the system's */
}

static void no_ca_and_an_account(struct gcp_stub *stub, struct ael_kms_gcp_options *options) {
    use_account_too(stub, options);
    options->ca_file = NULL;
}

static struct tls_front *s_other_front;

static void another_ca(struct gcp_stub *stub, struct ael_kms_gcp_options *options) {
    take_time(stub, options);
    options->ca_file = tls_front_ca_file(s_other_front);
}

/* Neither a key nor a token, nor a request at all, goes to a server that is not the one it says it is. */
static void expect_nothing_sent(const char *name, more_fn more) {
    struct world world;
    world_begin_as(&world, name, more);
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_E_BACKEND);
    CU_ASSERT(says(&world.calls, "certificate"));
    CU_ASSERT_EQUAL(open_text(&world.calls, ael_bytes_from_text("gcp-kms:v1:AAAA")), AEL_E_BACKEND);
    CU_ASSERT(tls_front_connections(world.stub.front) > 0);
    CU_ASSERT_EQUAL(tls_front_bytes(world.stub.front), 0);
    CU_ASSERT_EQUAL(world.stub.encrypts + world.stub.decrypts + world.stub.assertions, 0);
    world_end(&world);
}

static void test_kms_gcp__sends_nothing_to_a_stranger(void) {
    s_other_front = tls_front_start("IP:127.0.0.1", "http://127.0.0.1:1");
    CU_ASSERT_FATAL(s_other_front != NULL);
    expect_nothing_sent("DNS:cloudkms.googleapis.com", take_time);
    expect_nothing_sent("DNS:cloudkms.googleapis.com", use_account_too);
    expect_nothing_sent("IP:127.0.0.2", take_time);
    expect_nothing_sent("IP:127.0.0.1", no_ca);
    expect_nothing_sent("IP:127.0.0.1", no_ca_and_an_account);
    expect_nothing_sent("IP:127.0.0.1", another_ca);
    tls_front_stop(s_other_front);
}

/* ---- options ---- */

static void no_key(struct gcp_stub *stub, struct ael_kms_gcp_options *options) {
    (void)stub;
    options->key = NULL;
}
static void a_version(struct gcp_stub *stub, struct ael_kms_gcp_options *options) {
    (void)stub;
    options->key = GCP_STUB_RING "orders/cryptoKeyVersions/1";
}
static void an_action(struct gcp_stub *stub, struct ael_kms_gcp_options *options) {
    (void)stub;
    options->key = GCP_STUB_RING "orders:decrypt";
}
static void dots(struct gcp_stub *stub, struct ael_kms_gcp_options *options) {
    (void)stub;
    options->key = GCP_STUB_RING "..";
}
static void a_query(struct gcp_stub *stub, struct ael_kms_gcp_options *options) {
    (void)stub;
    options->key = GCP_STUB_RING "orders?x=y";
}
static void no_tls(struct gcp_stub *stub, struct ael_kms_gcp_options *options) {
    (void)stub;
    options->endpoint = "http://cloudkms.example";
}
static void a_path(struct gcp_stub *stub, struct ael_kms_gcp_options *options) {
    (void)stub;
    options->endpoint = "https://cloudkms.example/v1";
}
static void a_far_host(struct gcp_stub *stub, struct ael_kms_gcp_options *options) {
    (void)stub;
    options->metadata_host = "metadata.example";
}
static void a_far_host_behind_a_name(struct gcp_stub *stub, struct ael_kms_gcp_options *options) {
    (void)stub;
    options->metadata_host = "169.254.169.254@metadata.example";
}
static void no_callback(struct gcp_stub *stub, struct ael_kms_gcp_options *options) {
    (void)stub;
    options->auth = AEL_KMS_GCP_CALLBACK;
}
static void no_file(struct gcp_stub *stub, struct ael_kms_gcp_options *options) {
    (void)stub;
    options->auth = AEL_KMS_GCP_SERVICE_ACCOUNT;
}
static void another_way(struct gcp_stub *stub, struct ael_kms_gcp_options *options) {
    (void)stub;
    options->auth = (enum ael_kms_gcp_auth)9;
}
static void much_data(struct gcp_stub *stub, struct ael_kms_gcp_options *options) {
    (void)stub;
    options->additional_data.len = 1025;
}
static void no_tries(struct gcp_stub *stub, struct ael_kms_gcp_options *options) {
    (void)stub;
    options->max_tries = 0;
}
static void another_size(struct gcp_stub *stub, struct ael_kms_gcp_options *options) {
    (void)stub;
    options->size--;
}

static void test_kms_gcp_new__refuses_bad_options(void) {
    static const more_fn k_ways[] = {no_key,      a_version,  dots,
                                     an_action,   a_query,    no_tls,
                                     a_path,      a_far_host, a_far_host_behind_a_name,
                                     no_callback, no_file,    another_way,
                                     much_data,   no_tries,   another_size};
    struct gcp_stub stub;
    CU_ASSERT_FATAL(gcp_stub_start(&stub));
    for (size_t i = 0; i < sizeof k_ways / sizeof k_ways[0]; i++) {
        struct ael_kms_gcp_options options = AEL_KMS_GCP_OPTIONS_INIT;
        struct ael_error err = {.status = AEL_OK};
        struct ael_kms *kms = NULL;
        gcp_stub_options(&stub, &options);
        k_ways[i](&stub, &options);
        CU_ASSERT_EQUAL(ael_kms_gcp_new(&options, &kms, &err), AEL_E_ARGUMENT);
        CU_ASSERT_PTR_NULL(kms);
        CU_ASSERT(strlen(err.detail) > 10);
        ael_kms_release(kms);
    }
    CU_ASSERT_EQUAL(ael_kms_gcp_new(NULL, NULL, NULL), AEL_E_ARGUMENT);
    gcp_stub_stop(&stub);
}

static void test_kms_gcp__gets_a_token_anew_when_the_one_in_memory_is_gone(void) {
    struct world world;
    world_begin(&world, NULL);
    expect_round_trip(&world.calls);
    CU_ASSERT_EQUAL(world.stub.metadata, 1);
    ael_secret_release(world.calls.key);
    CU_ASSERT_EQUAL(ael_shutdown(10000), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_secret_new_random(32, &world.calls.key), AEL_OK);
    expect_round_trip(&world.calls);
    CU_ASSERT_EQUAL(world.stub.metadata, 2);
    world_end(&world);
}

/* ---- what is not the service's fault ---- */

static void with_one_connection(struct gcp_stub *stub, struct ael_kms_gcp_options *options) {
    (void)stub;
    options->max_connections = 1;
    options->try_timeout_ms = 500;
    options->max_tries = 1;
}

/* Set while the stub may be at an answer, where the member spoil may not be. */
static atomic_bool s_is_slow;

static void spoil_haste(
    struct gcp_stub *stub, const struct http_server_request *request, struct http_server_reply *reply) {
    (void)stub;
    (void)request;
    (void)reply;
    (void)poll(NULL, 0, atomic_load(&s_is_slow) ? 350 : 0);
}

static void *seal_alone(void *context) {
    struct world *world = context;
    struct ael_buf sealed = AEL_BUF_INIT;
    if (ael_kms_encrypt_key(world->calls.kms, NULL, world->calls.key, &sealed, NULL) != AEL_OK) {
        atomic_fetch_add(&s_failed, 1);
    }
    ael_buf_clear(&sealed);
    return NULL;
}

/* One is answered; the others wait for its connection in vain, which tells nothing about Google. */
static void test_kms_gcp__goes_on_when_callers_had_no_connection(void) {
    enum { CALLERS = 7 };
    pthread_t threads[CALLERS];
    struct world world;
    world_begin(&world, with_one_connection);
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_OK);
    world.stub.spoil = spoil_haste;
    world.stub.spoil_times = 1000;
    atomic_store(&s_is_slow, true);
    http_server_sync();
    atomic_store(&s_failed, 0);
    for (int i = 0; i < CALLERS; i++) {
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, seal_alone, &world), 0);
    }
    for (int i = 0; i < CALLERS; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    CU_ASSERT(atomic_load(&s_failed) > 0);
    (void)poll(NULL, 0, 700); /* what the stub is still at; a breaker that opened would be open for longer */
    atomic_store(&s_is_slow, false);
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_OK);
    world_end(&world);
}

static const struct test_case k_cases[] = {
    {"it sends what Google asks for", test_kms_gcp__sends_what_google_asks_for},
    {"it binds keys to additional data", test_kms_gcp__binds_keys_to_additional_data},
    {"a token anew at two thirds", test_kms_gcp__gets_a_token_anew_at_two_thirds_of_its_life},
    {"a token anew when one is refused", test_kms_gcp__gets_a_token_anew_when_one_is_refused},
    {"tokens of several pieces", test_kms_gcp__takes_tokens_of_several_pieces},
    {"no token of a stranger", test_kms_gcp__takes_no_token_of_a_stranger},
    {"no metadata server", test_kms_gcp__says_that_there_is_no_metadata_server},
    {"who gives tokens is not asked", test_kms_gcp__says_that_who_gives_tokens_is_not_asked},
    {"tokens by the environment", test_kms_gcp__finds_tokens_by_the_environment},
    {"an account's key is refused", test_kms_gcp__says_that_an_accounts_key_is_refused},
    {"one token for all threads", test_kms_gcp__gets_one_token_for_all_threads},
    {"a child of fork", test_kms_gcp__works_in_a_child_beside_its_parent},
    {"it signs for a service account", test_kms_gcp__signs_for_a_service_account},
    {"it reads the account anew", test_kms_gcp__reads_the_account_anew_for_each_token},
    {"what is wrong with a file", test_kms_gcp_new__says_what_is_wrong_with_a_file},
    {"a callback's token", test_kms_gcp__takes_a_callbacks_token},
    {"a token that ends meanwhile", test_kms_gcp__takes_its_whole_time_when_a_token_ends_meanwhile},
    {"a callback that fails", test_kms_gcp__hands_on_that_a_callback_failed},
    {"a callback's token that cannot be sent", test_kms_gcp__keeps_no_callbacks_token_that_cannot_be_sent},
    {"it asks again for what arrived damaged", test_kms_gcp__asks_again_for_what_arrived_damaged},
    {"it does not take what stays damaged", test_kms_gcp__does_not_take_what_stays_damaged},
    {"encrypt refuses another key's answer", test_kms_gcp_encrypt__refuses_another_keys_answer},
    {"decrypt refuses keys of another length", test_kms_gcp_decrypt__refuses_keys_of_another_length},
    {"a key that was not encrypted", test_kms_gcp__refuses_a_key_that_was_not_encrypted},
    {"answers that are none of Google's", test_kms_gcp__refuses_answers_that_are_none_of_googles},
    {"what a refusal means", test_kms_gcp__says_what_a_refusal_means},
    {"the deadline of a call", test_kms_gcp__keeps_to_the_deadline_of_a_call},
    {"decrypt refuses what is none of its own",
     test_kms_gcp_decrypt__refuses_what_is_none_of_its_own_without_asking},
    {"a token anew when the one in memory is gone",
     test_kms_gcp__gets_a_token_anew_when_the_one_in_memory_is_gone},
    {"callers without a connection", test_kms_gcp__goes_on_when_callers_had_no_connection},
    {"TLS with KMS and who gives tokens", test_kms_gcp__speaks_tls_with_kms_and_who_gives_tokens},
    {"nothing is sent to a stranger", test_kms_gcp__sends_nothing_to_a_stranger},
    {"bad options", test_kms_gcp_new__refuses_bad_options},
};

TEST_SUITE_MAIN("kms: gcp", k_cases)
