/*
 * tests/unit/test_kms_aws.c - ael/kms_aws.h in two regions that come and go; the server verifies signatures and policies.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kms/aws/envelope.h"
#include "kms/aws/refusal.h"
#include "tests/support/aws_kms_server.h"
#include "tests/support/kms_calls.h"
#include "tests/support/suite.h"

#include <ael/hooks.h>
#include <ael/sys/kms_backend.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* ---- a world: both regions well, a KMS over them, a key ---- */

static atomic_int s_left_out;
static atomic_int s_hedges;
static atomic_int s_opened;

static void hear(void *context, enum ael_metric_kind kind, const char *name, int64_t value) {
    (void)context;
    (void)kind;
    (void)value;
    atomic_fetch_add(&s_left_out, strcmp(name, "ael.kms.aws.region_left_out") == 0 ? 1 : 0);
    atomic_fetch_add(&s_hedges, strcmp(name, "ael.kms.aws.hedge") == 0 ? 1 : 0);
    atomic_fetch_add(&s_opened, strcmp(name, "ael.kms.aws.breaker_opened") == 0 ? 1 : 0);
}

struct world {
    const struct aws_kms_server *server;
    struct kms_calls calls;
    struct ael_cancel *cancel; /* of a call on another thread, and what came of it */
    enum ael_status status;
};

static void
world_begin_with(struct world *world, size_t regions, void (*more)(struct ael_kms_aws_options *options)) {
    struct ael_hooks hooks = AEL_HOOKS_INIT;
    hooks.metric = hear;
    struct ael_kms *kms = NULL;
    *world = (struct world){.server = aws_kms_server(false)};
    CU_ASSERT_PTR_NOT_NULL_FATAL(world->server);
    aws_kms_server_reset();
    CU_ASSERT_EQUAL_FATAL(ael_hooks_set(&hooks), AEL_OK);
    atomic_store(&s_left_out, 0);
    atomic_store(&s_hedges, 0);
    atomic_store(&s_opened, 0);
    CU_ASSERT_EQUAL_FATAL(aws_kms_new(regions, more, &kms, NULL), AEL_OK);
    kms_calls_begin(&world->calls, kms);
}

static void world_begin(struct world *world) {
    world_begin_with(world, 2, NULL);
}

static void world_end(struct world *world) {
    kms_calls_end(&world->calls);
    aws_kms_server_reset();
    CU_ASSERT_EQUAL(ael_hooks_set(NULL), AEL_OK);
}

/* Which regions an envelope names: 1 west, 2 east, 3 both. */
static int regions_in(const struct world *world) {
    struct ael_kms_aws_envelope envelope;
    struct ael_bytes sealed = ael_buf_view(&world->calls.sealed);
    CU_ASSERT_EQUAL_FATAL(ael_kms_aws_envelope_parse(sealed, &envelope, NULL), AEL_OK);
    int found = (ael_kms_aws_envelope_find(&envelope, "us-west-2") != NULL ? 1 : 0) +
                (ael_kms_aws_envelope_find(&envelope, "us-east-1") != NULL ? 2 : 0);
    ael_kms_aws_envelope_clear(&envelope);
    return found;
}

/* ---- regions that come and go ---- */

static void test_kms_aws_encrypt__seals_for_each_region_and_asks_the_preferred_one_for_the_key(void) {
    struct world world;
    world_begin(&world);
    unsigned west = aws_kms_server_count(AWS_WEST, "GenerateDataKey");
    unsigned east = aws_kms_server_count(AWS_EAST, "GenerateDataKey");
    unsigned others = aws_kms_server_count(AWS_EAST, "Encrypt");
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_OK);
    CU_ASSERT_EQUAL(regions_in(&world), 3);
    CU_ASSERT_EQUAL(aws_kms_server_count(AWS_WEST, "GenerateDataKey"), west + 1);
    CU_ASSERT_EQUAL(aws_kms_server_count(AWS_EAST, "GenerateDataKey"), east);
    CU_ASSERT_EQUAL(aws_kms_server_count(AWS_EAST, "Encrypt"), others + 1);
    east = aws_kms_server_count(AWS_EAST, "Decrypt");
    CU_ASSERT_EQUAL(open_sealed(&world.calls), AEL_OK);
    CU_ASSERT_EQUAL(aws_kms_server_count(AWS_EAST, "Decrypt"), east);
    CU_ASSERT_EQUAL(ael_kms_health(world.calls.kms, NULL, &world.calls.err), AEL_OK);
    world_end(&world);
}

static void test_kms_aws_encrypt__leaves_out_a_region_that_is_down(void) {
    struct world world;
    world_begin(&world);
    aws_kms_server_set(AWS_EAST, "shut");
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_OK);
    CU_ASSERT_EQUAL(regions_in(&world), 1);
    CU_ASSERT_EQUAL(atomic_load(&s_left_out), 1);
    aws_kms_server_set(AWS_EAST, "open");
    aws_kms_server_set(AWS_WEST, "shut");
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_OK);
    CU_ASSERT_EQUAL(regions_in(&world), 2);
    CU_ASSERT_EQUAL(open_sealed(&world.calls), AEL_OK);
    CU_ASSERT_EQUAL(ael_kms_health(world.calls.kms, NULL, &world.calls.err), AEL_OK);
    aws_kms_server_set(AWS_EAST, "shut");
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(world.calls.sealed.len, 0);
    CU_ASSERT_TRUE(says(&world.calls, "127.0.0.1"));
    CU_ASSERT_EQUAL(ael_kms_health(world.calls.kms, NULL, &world.calls.err), AEL_E_UNREACHABLE);
    world_end(&world);
}

static void *seal_on_thread(void *context) {
    struct world *world = context;
    struct ael_call call = AEL_CALL_INIT;
    call.cancel = world->cancel;
    world->status = ael_kms_encrypt_key(
        world->calls.kms, &call, world->calls.key, &world->calls.sealed, &world->calls.err);
    return NULL;
}

/* No key was encrypted, so that none lacks a region. */
static void test_kms_aws_encrypt__leaves_out_no_region_when_it_is_cancelled(void) {
    struct world world;
    pthread_t thread;
    world_begin(&world);
    CU_ASSERT_EQUAL_FATAL(ael_cancel_new(&world.cancel), AEL_OK);
    aws_kms_server_set(AWS_EAST, "hang");
    unsigned before = aws_kms_server_count(AWS_EAST, "Encrypt");
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, seal_on_thread, &world), 0);
    while (aws_kms_server_count(AWS_EAST, "Encrypt") == before) {
        (void)sched_yield();
    }
    ael_cancel_trigger(world.cancel);
    (void)pthread_join(thread, NULL);
    CU_ASSERT_EQUAL(world.status, AEL_E_CANCELLED);
    CU_ASSERT_EQUAL(atomic_load(&s_left_out), 0);
    ael_cancel_free(world.cancel);
    world_end(&world);
}

static void test_kms_aws_decrypt__falls_back_to_the_other_region(void) {
    struct world world;
    struct ael_kms *west_alone = NULL;
    world_begin(&world);
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_OK);
    aws_kms_server_set(AWS_WEST, "shut");
    CU_ASSERT_EQUAL(open_sealed(&world.calls), AEL_OK);
    aws_kms_server_set(AWS_EAST, "shut");
    CU_ASSERT_EQUAL(open_sealed(&world.calls), AEL_E_UNREACHABLE);
    aws_kms_server_reset();
    aws_kms_server_say(AWS_WEST, "HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n<html>Log in.</html>\n");
    CU_ASSERT_EQUAL(open_sealed(&world.calls), AEL_OK);
    CU_ASSERT_EQUAL(aws_kms_new(1, NULL, &west_alone, NULL), AEL_OK);
    CU_ASSERT_EQUAL(open_by(&world.calls, west_alone), AEL_E_BACKEND);
    CU_ASSERT_TRUE(says(&world.calls, "proxy"));
    ael_kms_release(west_alone);
    world_end(&world);
}

/* A kept connection that the server has closed is no failure. */
static void test_kms_aws__connects_anew_when_the_server_has_closed(void) {
    struct world world;
    world_begin_with(&world, 1, NULL);
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_OK);
    aws_kms_server_set(AWS_WEST, "shut");
    aws_kms_server_set(AWS_WEST, "open");
    CU_ASSERT_EQUAL(open_sealed(&world.calls), AEL_OK);
    world_end(&world);
}

static void test_kms_aws__keeps_its_connection(void) {
    struct world world;
    world_begin_with(&world, 1, NULL);
    unsigned before = aws_kms_server_count(AWS_WEST, "connections");
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_OK);
    for (int i = 0; i < 5; i++) {
        CU_ASSERT_EQUAL(open_sealed(&world.calls), AEL_OK);
    }
    CU_ASSERT_EQUAL(aws_kms_server_count(AWS_WEST, "connections"), before + 1);
    world_end(&world);
}

static void use_aliases(struct ael_kms_aws_options *options) {
    static struct ael_kms_aws_region regions[AWS_REGIONS];
    const struct aws_kms_server *server = aws_kms_server(false);
    for (size_t i = 0; i < options->region_count; i++) {
        regions[i] = (struct ael_kms_aws_region){NULL, server->places[i].alias, options->regions[i].endpoint};
    }
    options->regions = regions;
}

static void test_kms_aws_new__takes_aliases_whose_arn_names_the_region(void) {
    struct world world;
    world_begin_with(&world, 2, use_aliases);
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_OK);
    CU_ASSERT_EQUAL(regions_in(&world), 3);
    CU_ASSERT_EQUAL(open_sealed(&world.calls), AEL_OK);
    world_end(&world);
}

static void with_context(struct ael_kms_aws_options *options) {
    static const struct ael_kms_aws_context k_context[] = {{"service", "orders"}, {"quote\"", "b\\c"}};
    options->context = k_context;
    options->context_count = 2;
}

static void test_kms_aws__binds_the_encryption_context(void) {
    struct world world;
    struct ael_kms *without = NULL;
    world_begin_with(&world, 2, with_context);
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_OK);
    CU_ASSERT_EQUAL(open_sealed(&world.calls), AEL_OK);
    CU_ASSERT_EQUAL(aws_kms_new(2, NULL, &without, NULL), AEL_OK);
    CU_ASSERT_EQUAL(open_by(&world.calls, without), AEL_E_KMS);
    CU_ASSERT_TRUE(says(&world.calls, "encryption context"));
    ael_kms_release(without);
    world_end(&world);
}

/* ---- bad envelopes ---- */

/* The sealed key with a part of another's. */
static struct ael_buf mixed(struct ael_bytes one, struct ael_bytes other, bool west, bool east) {
    struct ael_kms_aws_envelope a;
    struct ael_kms_aws_envelope b;
    struct ael_buf out = AEL_BUF_INIT;
    CU_ASSERT_EQUAL_FATAL(ael_kms_aws_envelope_parse(one, &a, NULL), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_kms_aws_envelope_parse(other, &b, NULL), AEL_OK);
    a.keks[0] = west ? b.keks[0] : a.keks[0];
    a.keks[1] = east ? b.keks[1] : a.keks[1];
    CU_ASSERT_EQUAL(ael_kms_aws_envelope_write(&a, &out), AEL_OK);
    ael_kms_aws_envelope_clear(&a);
    ael_kms_aws_envelope_clear(&b);
    return out;
}

static void test_kms_aws_decrypt__goes_on_when_a_region_gives_another_keys_plaintext(void) {
    struct world world;
    struct ael_buf other = AEL_BUF_INIT;
    world_begin(&world);
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_OK);
    CU_ASSERT_EQUAL(ael_kms_encrypt_key(world.calls.kms, NULL, world.calls.key, &other, NULL), AEL_OK);
    struct ael_buf one = mixed(ael_buf_view(&world.calls.sealed), ael_buf_view(&other), true, false);
    CU_ASSERT_EQUAL(open_text(&world.calls, ael_buf_view(&one)), AEL_OK);
    ael_buf_clear(&one);
    one = mixed(ael_buf_view(&world.calls.sealed), ael_buf_view(&other), true, true);
    CU_ASSERT_EQUAL(open_text(&world.calls, ael_buf_view(&one)), AEL_E_KMS);
    CU_ASSERT_TRUE(says(&world.calls, "does not open the key"));
    ael_buf_clear(&one);
    ael_buf_clear(&other);
    world_end(&world);
}

/* East might know the key, but a proxy answers there. */
static void test_kms_aws_decrypt__gives_no_verdict_while_a_region_did_not_answer(void) {
    struct world world;
    struct ael_buf other = AEL_BUF_INIT;
    world_begin(&world);
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_OK);
    CU_ASSERT_EQUAL(ael_kms_encrypt_key(world.calls.kms, NULL, world.calls.key, &other, NULL), AEL_OK);
    struct ael_buf one = mixed(ael_buf_view(&world.calls.sealed), ael_buf_view(&other), true, false);
    aws_kms_server_say(AWS_EAST, "HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n<html>Log in.</html>\n");
    CU_ASSERT_EQUAL(open_text(&world.calls, ael_buf_view(&one)), AEL_E_BACKEND);
    CU_ASSERT_TRUE(says(&world.calls, "us-east-1"));
    ael_buf_clear(&one);
    ael_buf_clear(&other);
    world_end(&world);
}

/* The data keys of two regions, each under the other's name; and a region that is there twice. */
static void test_kms_aws_decrypt__refuses_data_keys_that_were_exchanged(void) {
    struct ael_kms_aws_envelope envelope;
    struct ael_buf made = AEL_BUF_INIT;
    struct world world;
    world_begin(&world);
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(
        ael_kms_aws_envelope_parse(ael_buf_view(&world.calls.sealed), &envelope, NULL), AEL_OK);
    struct ael_bytes first = envelope.keks[0].encrypted;
    envelope.keks[0].encrypted = envelope.keks[1].encrypted;
    envelope.keks[1].encrypted = first;
    CU_ASSERT_EQUAL(ael_kms_aws_envelope_write(&envelope, &made), AEL_OK);
    CU_ASSERT_EQUAL(open_text(&world.calls, ael_buf_view(&made)), AEL_E_KMS);
    envelope.keks[envelope.kek_count++] = (struct ael_kms_aws_kek){
        .region = ael_bytes_from_text("us-west-2"), .arn = ael_bytes_from_text("a"), .encrypted = first};
    ael_buf_clear(&made);
    CU_ASSERT_EQUAL(ael_kms_aws_envelope_write(&envelope, &made), AEL_OK);
    CU_ASSERT_EQUAL(open_text(&world.calls, ael_buf_view(&made)), AEL_E_KMS); /* the first counts */
    envelope.keks[0].encrypted = first;
    ael_buf_clear(&made);
    CU_ASSERT_EQUAL(ael_kms_aws_envelope_write(&envelope, &made), AEL_OK);
    CU_ASSERT_EQUAL(open_text(&world.calls, ael_buf_view(&made)), AEL_OK);
    ael_buf_clear(&made);
    ael_kms_aws_envelope_clear(&envelope);
    world_end(&world);
}

static void test_kms_aws_envelope_parse__refuses_what_is_none(void) {
    static const char *const k_texts[] = {
        "",
        "{}",
        "[]",
        "null",
        "{\"encryptedKey\":\"AAAA\"}",
        "{\"kmsKeks\":[]}",
        "{\"encryptedKey\":\"\",\"kmsKeks\":[]}",
        "{\"encryptedKey\":\"AAA\",\"kmsKeks\":[]}",
        "{\"encryptedKey\":\"AA=A\",\"kmsKeks\":[]}",
        "{\"encryptedKey\":1,\"kmsKeks\":[]}",
        "{\"encryptedKey\":\"AAAA\",\"kmsKeks\":{}}",
        "{\"encryptedKey\":\"AAAA\",\"kmsKeks\":[{}]}",
        "{\"encryptedKey\":\"AAAA\",\"kmsKeks\":[{\"region\":\"r\",\"arn\":\"a\"}]}",
        "{\"encryptedKey\":\"AAAA\",\"kmsKeks\":[{\"region\":\"r\",\"arn\":\"a\",\"encryptedKek\":\"*\"}]}",
        "{\"encryptedKey\":\"AAAA\",\"kmsKeks\":[]} ",
        "{\"encryptedKey\":\"AAAA\",\"kmsKeks\":[],}",
        "{\"encryptedKey\":\"AAAA\",\"encryptedKey\":\"AAAA\",\"kmsKeks\":[]}",
    };
    struct ael_kms_aws_envelope envelope;
    struct ael_error err;
    for (size_t i = 0; i < sizeof k_texts / sizeof k_texts[0]; i++) {
        enum ael_status status = ael_kms_aws_envelope_parse(ael_bytes_from_text(k_texts[i]), &envelope, &err);
        bool blank_end = i == 14; /* white space at the end is JSON */
        CU_ASSERT_EQUAL(status, blank_end ? AEL_OK : AEL_E_KMS);
        if (status == AEL_OK) {
            ael_kms_aws_envelope_clear(&envelope);
        }
    }
}

static void test_kms_aws_decrypt__names_what_is_wrong_with_an_envelope(void) {
    struct world world;
    world_begin(&world);
    static const char k_elsewhere[] =
        "{\"encryptedKey\":"
        "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
        "\"kmsKeks\":[{\"region\":\"eu-west-1\",\"arn\":\"a\",\"encryptedKek\":\"AAAA\"}]}";
    CU_ASSERT_EQUAL(open_text(&world.calls, ael_bytes_from_text(k_elsewhere)), AEL_E_KMS);
    CU_ASSERT_TRUE(says(&world.calls, "eu-west-1"));
    static const char k_short[] = "{\"encryptedKey\":\"AAAA\",\"kmsKeks\":[{\"region\":\"us-west-2\",\"arn\":"
                                  "\"a\",\"encryptedKek\":\"AAAA\"}]}";
    CU_ASSERT_EQUAL(open_text(&world.calls, ael_bytes_from_text(k_short)), AEL_E_KMS);
    CU_ASSERT_TRUE(says(&world.calls, "3 bytes instead of 60"));
    world_end(&world);
}

/* ---- a service that is ill ---- */

static void test_kms_aws__tries_again_so_often_and_opens_the_breaker(void) {
    struct world world;
    world_begin_with(&world, 1, NULL);
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_OK);
    unsigned before = aws_kms_server_count(AWS_WEST, "Decrypt");
    aws_kms_server_say(AWS_WEST, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
    CU_ASSERT_EQUAL(open_sealed(&world.calls), AEL_E_UNREACHABLE);
    CU_ASSERT_TRUE(says(&world.calls, "503"));
    CU_ASSERT_EQUAL(aws_kms_server_count(AWS_WEST, "Decrypt"), before + 3);
    for (int i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL(open_sealed(&world.calls), AEL_E_UNREACHABLE);
    }
    CU_ASSERT(atomic_load(&s_opened) >= 1);
    world_end(&world);
}

/* West fails at once and would be tried again, but east has the key by then: a failure of west's all the same. */
static void test_kms_aws_decrypt__opens_the_breaker_of_a_region_that_is_not_waited_for(void) {
    struct world world;
    world_begin(&world);
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_OK);
    aws_kms_server_say(AWS_WEST, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
    for (int i = 0; i < 6; i++) {
        CU_ASSERT_EQUAL(open_sealed(&world.calls), AEL_OK);
    }
    CU_ASSERT(atomic_load(&s_opened) >= 1);
    world_end(&world);
}

static void with_short_tries(struct ael_kms_aws_options *options) {
    options->try_timeout_ms = 300;
}

static void test_kms_aws__ends_with_its_deadline(void) {
    struct world world;
    world_begin_with(&world, 1, with_short_tries);
    aws_kms_server_set(AWS_WEST, "hang");
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_E_UNREACHABLE);
    CU_ASSERT_TRUE(says(&world.calls, "300 ms"));
    ael_kms_release(world.calls.kms);
    CU_ASSERT_EQUAL_FATAL(aws_kms_new(1, NULL, &world.calls.kms, NULL), AEL_OK);
    struct ael_call call = AEL_CALL_INIT;
    call.deadline_ns = ael_deadline_in_ms(200);
    CU_ASSERT_EQUAL(seal_within(&world.calls, &call), AEL_E_TIMEOUT);
    world_end(&world);
}

/* base64 of 32 and of 33 bytes */
#define AS_LONG_AS_A_KEY  "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY="
#define LONGER_THAN_A_KEY "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZn"

static void say_json(int place, const char *json) {
    char text[512];
    (void)snprintf(
        text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(json), json);
    aws_kms_server_say(place, text);
}

/* Or a data key that was sent back as it came would be stored. */
static void test_kms_aws_encrypt__keeps_nothing_that_is_no_longer_than_a_data_key(void) {
    static const char *const k_short[] = {AS_LONG_AS_A_KEY, "AAAA"};
    struct world world;
    char json[256];
    for (size_t i = 0; i < sizeof k_short / sizeof k_short[0]; i++) {
        world_begin(&world);
        (void)snprintf(json, sizeof json, "{\"KeyId\":\"a\",\"CiphertextBlob\":\"%s\"}", k_short[i]);
        say_json(AWS_EAST, json);
        CU_ASSERT_EQUAL(seal(&world.calls), AEL_OK);
        CU_ASSERT_EQUAL(regions_in(&world), 1);
        CU_ASSERT_EQUAL(atomic_load(&s_left_out), 1);
        (void)snprintf(
            json, sizeof json, "{\"KeyId\":\"a\",\"CiphertextBlob\":\"%s\",\"Plaintext\":\"%s\"}", k_short[i],
            AS_LONG_AS_A_KEY);
        say_json(AWS_WEST, json);
        CU_ASSERT_EQUAL(seal(&world.calls), AEL_E_BACKEND);
        CU_ASSERT_TRUE(says(&world.calls, "no longer than the data key"));
        world_end(&world);
    }
    world_begin(&world);
    say_json(AWS_EAST, "{\"KeyId\":\"a\",\"CiphertextBlob\":\"" LONGER_THAN_A_KEY "\"}");
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_OK);
    CU_ASSERT_EQUAL(regions_in(&world), 3);
    world_end(&world);
}

static void test_kms_aws__refuses_answers_without_a_key(void) {
    static const struct {
        const char *body;
        enum ael_status status;
    } k_answers[] = {
        {"{}", AEL_E_BACKEND},
        {"{\"status\":\"ok\"}", AEL_E_BACKEND},
        {"{\"KeyId\":\"a\"}", AEL_E_BACKEND},
        {"{\"KeyId\":\"a\",\"Plaintext\":\"\"}", AEL_E_BACKEND},
        {"{\"KeyId\":\"a\",\"Plaintext\":\"AAAA\"}", AEL_E_KMS},
        {"{\"KeyId\":\"a\",\"Plaintext\":\"A\"}", AEL_E_BACKEND},
        {"{\"KeyId\":\"a\",\"Plaintext\":\"****\"}", AEL_E_BACKEND},
        {"{\"Plaintext\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\",\"Plaintext\":\"AAAA\"}",
         AEL_E_BACKEND},
        {"{\"Plaintext\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"", AEL_E_BACKEND},
        {"not JSON", AEL_E_BACKEND},
        {"", AEL_E_BACKEND},
    };
    struct world world;
    for (size_t i = 0; i < sizeof k_answers / sizeof k_answers[0]; i++) {
        world_begin_with(&world, 1, NULL);
        CU_ASSERT_EQUAL(seal(&world.calls), AEL_OK);
        say_json(AWS_WEST, k_answers[i].body);
        CU_ASSERT_EQUAL(open_sealed(&world.calls), k_answers[i].status);
        world_end(&world);
    }
}

/* ---- hedging ---- */

static void with_hedging(struct ael_kms_aws_options *options) {
    options->no_hedging = false;
    options->hedge_delay_ms = 50;
}

static void test_kms_aws_decrypt__asks_another_region_when_the_first_is_slow(void) {
    struct world world;
    world_begin_with(&world, 2, with_hedging);
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_OK);
    aws_kms_server_set(AWS_WEST, "hang");
    unsigned east = aws_kms_server_count(AWS_EAST, "Decrypt");
    for (int i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(open_sealed(&world.calls), AEL_OK);
    }
    CU_ASSERT_EQUAL(aws_kms_server_count(AWS_EAST, "Decrypt"), east + 3);
    CU_ASSERT_EQUAL(atomic_load(&s_hedges), 3);
    /* Put second: it gets one chance beside the other, and then none. */
    unsigned west = aws_kms_server_count(AWS_WEST, "Decrypt");
    for (int i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(open_sealed(&world.calls), AEL_OK);
    }
    CU_ASSERT_EQUAL(aws_kms_server_count(AWS_EAST, "Decrypt"), east + 6);
    CU_ASSERT(aws_kms_server_count(AWS_WEST, "Decrypt") >= west);
    world_end(&world);
}

/* ---- time that is not the endpoint's ---- */

enum { CALLERS = 6 };

/* Credentials of a program, which does something before that. */
static void credentials_of_program_begin(const char *before) {
    const struct aws_kms_server *server = aws_kms_server(false);
    char path[128];
    (void)snprintf(path, sizeof path, "%s/program.sh", server->folder);
    FILE *script = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(script);
    fprintf(
        script, "%s\necho '{\"Version\":1,\"AccessKeyId\":\"%s\",\"SecretAccessKey\":\"%s\"}'\n", before,
        server->access_key, server->secret_key);
    (void)fclose(script);
    (void)snprintf(path, sizeof path, "%s/program.ini", server->folder);
    FILE *config = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    fprintf(config, "[default]\ncredential_process = /bin/sh %s/program.sh\n", server->folder);
    (void)fclose(config);
    setenv("AWS_CONFIG_FILE", path, 1);
    setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1);
    unsetenv("AWS_ACCESS_KEY_ID");
    unsetenv("AWS_SECRET_ACCESS_KEY");
}

static void credentials_of_program_end(void) {
    const struct aws_kms_server *server = aws_kms_server(false);
    unsetenv("AWS_CONFIG_FILE");
    unsetenv("AWS_SHARED_CREDENTIALS_FILE");
    setenv("AWS_ACCESS_KEY_ID", server->access_key, 1);
    setenv("AWS_SECRET_ACCESS_KEY", server->secret_key, 1);
}

struct caller {
    pthread_t thread;
    struct ael_kms *kms;
    struct ael_secret *key;
    uint32_t timeout_ms;
    enum ael_status status;
};

static void *run_caller(void *context) {
    struct caller *caller = context;
    struct ael_call call = AEL_CALL_INIT;
    struct ael_buf sealed = AEL_BUF_INIT;
    call.deadline_ns = ael_deadline_in_ms(caller->timeout_ms);
    caller->status = ael_kms_encrypt_key(caller->kms, &call, caller->key, &sealed, NULL);
    ael_buf_clear(&sealed);
    return NULL;
}

/* Returns how many of them ended well. */
static int seal_at_once(const struct world *world, uint32_t timeout_ms) {
    struct caller callers[CALLERS];
    int good = 0;
    for (int i = 0; i < CALLERS; i++) {
        callers[i] = (struct caller){
            .kms = world->calls.kms, .key = world->calls.key, .timeout_ms = timeout_ms};
        CU_ASSERT_EQUAL_FATAL(pthread_create(&callers[i].thread, NULL, run_caller, &callers[i]), 0);
    }
    for (int i = 0; i < CALLERS; i++) {
        (void)pthread_join(callers[i].thread, NULL);
        good += callers[i].status == AEL_OK ? 1 : 0;
    }
    return good;
}

/* Most of the callers' time went by before the region was asked. */
static void test_kms_aws__does_not_blame_a_region_for_slow_credentials(void) {
    struct world world;
    world_begin_with(&world, 1, NULL);
    credentials_of_program_begin("sleep 1.3");
    aws_kms_server_set(AWS_WEST, "hang");
    CU_ASSERT_EQUAL(seal_at_once(&world, 1700), 0);
    CU_ASSERT_EQUAL(atomic_load(&s_opened), 0);
    aws_kms_server_reset();
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_OK);
    credentials_of_program_end();
    world_end(&world);
}

static void with_late_hedging(struct ael_kms_aws_options *options) {
    options->no_hedging = false;
    options->hedge_delay_ms = 1000;
}

static void test_kms_aws_decrypt__hedges_no_wait_for_credentials(void) {
    struct world world;
    struct ael_kms *other = NULL;
    world_begin(&world);
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_OK);
    credentials_of_program_begin("sleep 1.3");
    CU_ASSERT_EQUAL_FATAL(aws_kms_new(2, with_late_hedging, &other, NULL), AEL_OK);
    CU_ASSERT_EQUAL(open_by(&world.calls, other), AEL_OK);
    CU_ASSERT_EQUAL(atomic_load(&s_hedges), 0);
    ael_kms_release(other);
    credentials_of_program_end();
    world_end(&world);
}

static void with_one_connection(struct ael_kms_aws_options *options) {
    options->max_connections = 1;
    options->try_timeout_ms = 500;
    options->max_tries = 1;
}

/* One is answered; the others wait for its connection, which tells nothing about the region. */
static void test_kms_aws__does_not_blame_a_region_for_a_wait_for_a_connection(void) {
    struct world world;
    world_begin_with(&world, 1, with_one_connection);
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_OK);
    aws_kms_server_delay(AWS_WEST, 350);
    CU_ASSERT(seal_at_once(&world, 10000) < CALLERS);
    CU_ASSERT(seal_at_once(&world, 10000) < CALLERS);
    CU_ASSERT_EQUAL(atomic_load(&s_opened), 0);
    world_end(&world);
}

/* A region that the account has not switched on does not know its credentials; the program gives them once. */
static void test_kms_aws__goes_on_with_credentials_that_one_region_refuses(void) {
    struct world world;
    world_begin(&world);
    credentials_of_program_begin("mkdir \"${0%.sh}.once\" 2>/dev/null || exit 1");
    aws_kms_server_say(
        AWS_EAST,
        "HTTP/1.1 400 Bad\r\nContent-Length: 40\r\n\r\n{\"__type\":\"UnrecognizedClientException\"}");
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_OK);
    CU_ASSERT_EQUAL(regions_in(&world), 1);
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_OK);
    CU_ASSERT_EQUAL(open_sealed(&world.calls), AEL_OK);
    credentials_of_program_end();
    world_end(&world);
}

/* ---- set-up mistakes ---- */

static struct ael_error refused(void (*more)(struct ael_kms_aws_options *options)) {
    struct ael_kms *kms = NULL;
    struct ael_error err = {.status = AEL_OK};
    CU_ASSERT_PTR_NOT_NULL_FATAL(aws_kms_server(false));
    CU_ASSERT_EQUAL(aws_kms_new(2, more, &kms, &err), AEL_E_ARGUMENT);
    CU_ASSERT_PTR_NULL(kms);
    return err;
}

static void other_size(struct ael_kms_aws_options *options) {
    options->size--;
}
static void no_region(struct ael_kms_aws_options *options) {
    options->region_count = 0;
}
static void no_preferred(struct ael_kms_aws_options *options) {
    options->preferred_region = NULL;
}
static void strange_preferred(struct ael_kms_aws_options *options) {
    options->preferred_region = "mars-1";
}
static void no_tries(struct ael_kms_aws_options *options) {
    options->max_tries = 0;
}
static void empty_context(struct ael_kms_aws_options *options) {
    static const struct ael_kms_aws_context k_context = {"", "x"};
    options->context = &k_context;
    options->context_count = 1;
}
static struct ael_kms_aws_region s_regions[2];
static void copy_regions(struct ael_kms_aws_options *options) {
    memcpy(s_regions, options->regions, sizeof s_regions);
    options->regions = s_regions;
}
static void key_of_another_region(struct ael_kms_aws_options *options) {
    copy_regions(options);
    s_regions[0].key = s_regions[1].key;
}
static void no_key(struct ael_kms_aws_options *options) {
    copy_regions(options);
    s_regions[1].key = NULL;
}
static void nowhere(struct ael_kms_aws_options *options) {
    copy_regions(options);
    s_regions[1] = (struct ael_kms_aws_region){NULL, "alias/x", NULL};
}
static void twice(struct ael_kms_aws_options *options) {
    copy_regions(options);
    s_regions[1] = s_regions[0];
}
static void no_url(struct ael_kms_aws_options *options) {
    copy_regions(options);
    s_regions[1].endpoint = "kms.example.com";
}
static void no_tls(struct ael_kms_aws_options *options) {
    copy_regions(options);
    s_regions[1].endpoint = "http://kms.example.com";
}

static void test_kms_aws_new__names_the_option_that_is_wrong(void) {
    static const struct {
        void (*more)(struct ael_kms_aws_options *options);
        const char *says;
    } k_mistakes[] = {
        {other_size, "INIT"},
        {no_region, "1 to 16"},
        {no_preferred, "preferred"},
        {strange_preferred, "mars-1"},
        {no_tries, "max_tries"},
        {empty_context, "context"},
        {key_of_another_region, "is of region us-east-1"},
        {no_key, "no key"},
        {nowhere, "no region"},
        {twice, "twice"},
        {no_url, "no URL"},
        {no_tls, "beyond this machine"},
    };
    for (size_t i = 0; i < sizeof k_mistakes / sizeof k_mistakes[0]; i++) {
        struct ael_error err = refused(k_mistakes[i].more);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, k_mistakes[i].says));
    }
}

static void wrong_key_id(struct ael_kms_aws_options *options) {
    copy_regions(options);
    s_regions[0].key = "alias/never-made";
}

static void test_kms_aws__names_a_key_that_is_not_there_and_a_wrong_secret(void) {
    struct world world;
    world_begin_with(&world, 1, wrong_key_id);
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_E_KMS);
    CU_ASSERT_TRUE(says(&world.calls, "alias"));
    world_end(&world);
    setenv("AWS_SECRET_ACCESS_KEY", "another-secret-than-the-right-one", 1);
    world_begin_with(&world, 1, NULL);
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_E_KMS);
    CU_ASSERT_TRUE(says(&world.calls, "signature"));
    CU_ASSERT_PTR_NULL(strstr(world.calls.err.detail, "another-secret"));
    world_end(&world);
    setenv("AWS_SECRET_ACCESS_KEY", world.server->secret_key, 1);
}

static void test_kms_aws_refusal__knows_the_common_ones(void) {
    static const struct {
        int http_status;
        const char *body;
        enum ael_status status;
        enum ael_kms_aws_remedy remedy;
        const char *says;
    } k_rows[] = {
        {400, "{\"__type\":\"NotFoundException\"}", AEL_E_KMS, AEL_KMS_AWS_REMEDY_NONE, "another account"},
        {400, "{\"__type\":\"com.amazonaws.kms#DisabledException\",\"message\":\"x\"}", AEL_E_KMS,
         AEL_KMS_AWS_REMEDY_NONE, "disabled"},
        {400, "{\"__type\":\"AccessDeniedException\"}", AEL_E_KMS, AEL_KMS_AWS_REMEDY_NONE, "kms:Decrypt"},
        {400, "{\"__type\":\"ExpiredTokenException\"}", AEL_E_KMS, AEL_KMS_AWS_REMEDY_CREDENTIALS, "expired"},
        {403, "<R><Error><Code>SignatureDoesNotMatch</Code></Error></R>", AEL_E_KMS, AEL_KMS_AWS_REMEDY_NONE,
         "clock"},
        {400, "{\"__type\":\"ThrottlingException\"}", AEL_E_UNREACHABLE, AEL_KMS_AWS_REMEDY_RETRY,
         "too many"},
        {429, "", AEL_E_UNREACHABLE, AEL_KMS_AWS_REMEDY_RETRY, "429"},
        {500, "<html>", AEL_E_UNREACHABLE, AEL_KMS_AWS_REMEDY_RETRY, "ill"},
        {407, "<html>", AEL_E_BACKEND, AEL_KMS_AWS_REMEDY_NONE, "proxy"},
        {302, "", AEL_E_BACKEND, AEL_KMS_AWS_REMEDY_NONE, "302"},
        {400, "{\"__type\":\"NewException\"}", AEL_E_KMS, AEL_KMS_AWS_REMEDY_NONE, "HTTP 400: "},
        {400, "{\"__type\":\"<b>\\n\"}", AEL_E_KMS, AEL_KMS_AWS_REMEDY_NONE, "HTTP 400: "},
        {403, "<R><Error><Code>NewException</Code></Error></R>", AEL_E_KMS, AEL_KMS_AWS_REMEDY_NONE,
         "HTTP 403: "},
    };
    for (size_t i = 0; i < sizeof k_rows / sizeof k_rows[0]; i++) {
        struct ael_http_response response = {
            .status = k_rows[i].http_status, .body = AEL_BUF_INIT, .headers = AEL_BUF_INIT};
        struct ael_error err = {.status = AEL_OK};
        enum ael_kms_aws_remedy remedy = AEL_KMS_AWS_REMEDY_NONE;
        CU_ASSERT_EQUAL(ael_buf_append(&response.body, ael_bytes_from_text(k_rows[i].body)), AEL_OK);
        CU_ASSERT_EQUAL(ael_kms_aws_refusal(&response, &ael_kms_aws_service, "us-west-2", &remedy, &err), k_rows[i].status);
        CU_ASSERT_EQUAL(remedy, k_rows[i].remedy);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, k_rows[i].says));
        CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, "us-west-2"));
        CU_ASSERT_PTR_NULL(strstr(err.detail, "NewException")); /* a word that nobody knows may be anything */
        ael_http_response_clear(&response);
    }
}

/* ---- fork ---- */

static void test_kms_aws__works_in_a_child_beside_its_parent(void) {
    struct world world;
    world_begin(&world);
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_OK);
    expect_child_works(&world.calls);
    CU_ASSERT_EQUAL(open_sealed(&world.calls), AEL_OK);
    world_end(&world);
}

static const struct test_case k_cases[] = {
    {"sealed for each region",
     test_kms_aws_encrypt__seals_for_each_region_and_asks_the_preferred_one_for_the_key},
    {"a region that is down is left out", test_kms_aws_encrypt__leaves_out_a_region_that_is_down},
    {"who is cancelled leaves out no region",
     test_kms_aws_encrypt__leaves_out_no_region_when_it_is_cancelled},
    {"decrypt falls back", test_kms_aws_decrypt__falls_back_to_the_other_region},
    {"a closed connection is made anew", test_kms_aws__connects_anew_when_the_server_has_closed},
    {"a connection is kept", test_kms_aws__keeps_its_connection},
    {"aliases", test_kms_aws_new__takes_aliases_whose_arn_names_the_region},
    {"the encryption context binds", test_kms_aws__binds_the_encryption_context},
    {"another key's plaintext", test_kms_aws_decrypt__goes_on_when_a_region_gives_another_keys_plaintext},
    {"no verdict without an answer", test_kms_aws_decrypt__gives_no_verdict_while_a_region_did_not_answer},
    {"data keys that were exchanged", test_kms_aws_decrypt__refuses_data_keys_that_were_exchanged},
    {"envelopes that are none", test_kms_aws_envelope_parse__refuses_what_is_none},
    {"what is wrong with an envelope is named", test_kms_aws_decrypt__names_what_is_wrong_with_an_envelope},
    {"tries and breaker", test_kms_aws__tries_again_so_often_and_opens_the_breaker},
    {"the breaker of a region that is not waited for",
     test_kms_aws_decrypt__opens_the_breaker_of_a_region_that_is_not_waited_for},
    {"deadlines", test_kms_aws__ends_with_its_deadline},
    {"encrypted data keys as short as a data key",
     test_kms_aws_encrypt__keeps_nothing_that_is_no_longer_than_a_data_key},
    {"answers without a key", test_kms_aws__refuses_answers_without_a_key},
    {"a slow region is hedged", test_kms_aws_decrypt__asks_another_region_when_the_first_is_slow},
    {"slow credentials", test_kms_aws__does_not_blame_a_region_for_slow_credentials},
    {"slow credentials and hedging", test_kms_aws_decrypt__hedges_no_wait_for_credentials},
    {"a wait for a connection", test_kms_aws__does_not_blame_a_region_for_a_wait_for_a_connection},
    {"credentials that one region refuses", test_kms_aws__goes_on_with_credentials_that_one_region_refuses},
    {"options that are wrong are named", test_kms_aws_new__names_the_option_that_is_wrong},
    {"a key that is not there, a wrong secret",
     test_kms_aws__names_a_key_that_is_not_there_and_a_wrong_secret},
    {"refusals", test_kms_aws_refusal__knows_the_common_ones},
    {"a child of fork", test_kms_aws__works_in_a_child_beside_its_parent},
};

TEST_SUITE_MAIN("kms aws", k_cases)
