/*
 * tests/unit/test_kms_azure.c - ael/kms_azure.h against a strict stub: what is sent, versions, identifiers, tokens, refusals, options.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/clock.h"
#include "tests/support/azure_stub.h"
#include "tests/support/kms_calls.h"
#include "tests/support/suite.h"
#include "tests/support/token_giver.h"

#include <ael/sys/kms_backend.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a world: a stub, a KMS, a key, and the key wrapped ---- */

struct world {
    struct azure_stub stub;
    struct kms_calls calls;
};

typedef void (*more_fn)(struct azure_stub *stub, struct ael_kms_azure_options *options);

static struct ael_kms *new_kms(struct world *world, more_fn more) {
    struct ael_kms_azure_options options = AEL_KMS_AZURE_OPTIONS_INIT;
    struct ael_error err = {.status = AEL_OK};
    struct ael_kms *kms = NULL;
    azure_stub_options(&world->stub, &options);
    if (more != NULL) {
        more(&world->stub, &options);
    }
    enum ael_status status = ael_kms_azure_new(&options, &kms, &err);
    CU_ASSERT_EQUAL(status, AEL_OK);
    if (status != AEL_OK) {
        printf("\n    %s", err.detail);
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(kms);
    return kms;
}

/* With TLS when a certificate's name is given. */
static void world_begin_as(struct world *world, const char *name, more_fn more) {
    CU_ASSERT_FATAL(name == NULL ? azure_stub_start(&world->stub) : azure_stub_start_tls(&world->stub, name));
    kms_calls_begin(&world->calls, new_kms(world, more));
}

static void world_begin(struct world *world, more_fn more) {
    world_begin_as(world, NULL, more);
}

static void world_end(struct world *world) {
    kms_calls_end(&world->calls);
    azure_stub_stop(&world->stub);
}

/* Another KMS over the same stub takes the place of the one there is. */
static void world_change(struct world *world, more_fn more) {
    ael_kms_release(world->calls.kms);
    world->calls.kms = new_kms(world, more);
}

static bool holds(const struct ael_buf *sealed, const char *text) {
    return memmem(sealed->data, sealed->len, text, strlen(text)) != NULL;
}

/* ---- what is sent, and kept ---- */

static void test_kms_azure__sends_what_key_vault_asks_for(void) {
    struct world world;
    char kid[256];
    world_begin(&world, NULL);
    expect_round_trip(&world.calls);
    CU_ASSERT_STRING_EQUAL(world.stub.complaint, "");
    CU_ASSERT_EQUAL(world.stub.wraps, 1);
    CU_ASSERT_EQUAL(world.stub.unwraps, 1);
    (void)snprintf(
        kid, sizeof kid,
        "{\"kid\":\"%s/keys/orders/" AZURE_STUB_OLD "\",\"alg\":\"RSA-OAEP-256\",\"value\":\"",
        world.stub.url);
    CU_ASSERT(world.calls.sealed.len > strlen(kid) && memcmp(world.calls.sealed.data, kid, strlen(kid)) == 0);
    CU_ASSERT_EQUAL(ael_kms_form_of(world.calls.kms, ael_buf_view(&world.calls.sealed)), AEL_KMS_FORM_OWN);
    CU_ASSERT_EQUAL(
        ael_kms_form_of(world.calls.kms, ael_bytes_from_text("vault:v1:AAAA")), AEL_KMS_FORM_FOREIGN);
    world_end(&world);
}

static void use_aes(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    (void)stub;
    options->algorithm = AEL_KMS_AZURE_A256KW;
}

static void test_kms_azure__unwraps_by_what_is_kept_whatever_it_wraps_by(void) {
    struct world world;
    world_begin(&world, use_aes);
    expect_round_trip(&world.calls);
    CU_ASSERT(holds(&world.calls.sealed, "\"A256KW\""));
    world_change(&world, NULL);
    CU_ASSERT_EQUAL(open_sealed(&world.calls), AEL_OK);
    CU_ASSERT_EQUAL(
        ael_kms_form_of(world.calls.kms, ael_buf_view(&world.calls.sealed)), AEL_KMS_FORM_PARTIAL);
    world_end(&world);
}

/* ---- versions ---- */

static void use_new(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    (void)stub;
    options->version = AZURE_STUB_NEW;
}
static void use_no_version(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    (void)stub;
    options->version = "";
}

static void test_kms_azure__unwraps_after_the_key_was_rotated(void) {
    struct world world;
    world_begin(&world, use_no_version);
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_OK);
    CU_ASSERT(holds(&world.calls.sealed, "/orders/" AZURE_STUB_OLD "\""));
    world.stub.latest = AZURE_STUB_NEW;
    CU_ASSERT_EQUAL(open_sealed(&world.calls), AEL_OK);
    CU_ASSERT_EQUAL(ael_kms_form_of(world.calls.kms, ael_buf_view(&world.calls.sealed)), AEL_KMS_FORM_OWN);
    expect_round_trip(&world.calls);
    CU_ASSERT(holds(&world.calls.sealed, "/orders/" AZURE_STUB_NEW "\""));
    world_end(&world);
}

static void test_kms_azure__wraps_with_the_version_that_is_given(void) {
    struct world world;
    world_begin(&world, NULL);
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_OK);
    world_change(&world, use_new);
    CU_ASSERT_EQUAL(open_sealed(&world.calls), AEL_OK);
    CU_ASSERT_EQUAL(
        ael_kms_form_of(world.calls.kms, ael_buf_view(&world.calls.sealed)), AEL_KMS_FORM_PARTIAL);
    expect_round_trip(&world.calls);
    CU_ASSERT(holds(&world.calls.sealed, "/orders/" AZURE_STUB_NEW "\""));
    CU_ASSERT_EQUAL(ael_kms_form_of(world.calls.kms, ael_buf_view(&world.calls.sealed)), AEL_KMS_FORM_OWN);
    world_end(&world);
}

/* ---- identifiers ---- */

static const char k_value[] = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODk";

static void write_envelope(const char *vault, const char *path, char out[static 1024]) {
    (void)snprintf(
        out, 1024, "{\"kid\":\"%s%s\",\"alg\":\"RSA-OAEP-256\",\"value\":\"%s\"}", vault, path, k_value);
}

static void test_kms_azure_decrypt__never_asks_another_vault(void) {
    struct world world;
    struct azure_stub thief;
    char text[1024];
    world_begin(&world, NULL);
    CU_ASSERT_FATAL(azure_stub_start(&thief));
    const char *const k_vaults[] = {
        thief.url,
        "https://thief.vault.azure.net",
        "https://shop.vault.azure.net@thief.example",
        "",
        "/",
        "http://127.0.0.1",
    };
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_OK);
    unsigned tokens = world.stub.instance;
    for (size_t i = 0; i < sizeof k_vaults / sizeof k_vaults[0]; i++) {
        write_envelope(k_vaults[i], "/keys/orders/" AZURE_STUB_OLD, text);
        CU_ASSERT_EQUAL(open_text(&world.calls, ael_bytes_from_text(text)), AEL_E_KMS);
        CU_ASSERT(says(&world.calls, "of another vault or key"));
        CU_ASSERT_EQUAL(ael_kms_form_of(world.calls.kms, ael_bytes_from_text(text)), AEL_KMS_FORM_FOREIGN);
    }
    CU_ASSERT_EQUAL(thief.instance + thief.unwraps + thief.wraps, 0);
    CU_ASSERT_EQUAL(world.stub.unwraps, 0);
    CU_ASSERT_EQUAL(world.stub.instance, tokens);
    azure_stub_stop(&thief);
    world_end(&world);
}

static void test_kms_azure_decrypt__asks_for_no_path_that_an_identifier_makes_up(void) {
    static const char *const k_paths[] = {
        "/keys/other/" AZURE_STUB_OLD,
        "/keys/orders",
        "/keys/orders/",
        "/keys/orders/..",
        "/keys/orders/../other/" AZURE_STUB_OLD,
        "/keys/orders/" AZURE_STUB_OLD "/",
        "/keys/orders/" AZURE_STUB_OLD "?x=y",
        "/keys/orders/" AZURE_STUB_OLD "/unwrapkey#",
        "/keys/orders/%2e%2e",
        "/keys/orders/a b",
        "/keys/orders/a\\u0000b",
        "/keys/orders/\\r\\nHost:a",
        "/secrets/orders/" AZURE_STUB_OLD,
        "/keys/orders/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    };
    struct world world;
    char text[1024];
    world_begin(&world, NULL);
    for (size_t i = 0; i < sizeof k_paths / sizeof k_paths[0]; i++) {
        write_envelope(world.stub.url, k_paths[i], text);
        CU_ASSERT_EQUAL(open_text(&world.calls, ael_bytes_from_text(text)), AEL_E_KMS);
    }
    CU_ASSERT_EQUAL(world.stub.unwraps, 0);
    write_envelope(world.stub.url, "/keys/Orders/" AZURE_STUB_OLD, text); /* names count in any case */
    CU_ASSERT_EQUAL(open_text(&world.calls, ael_bytes_from_text(text)), AEL_E_KMS);
    CU_ASSERT_EQUAL(world.stub.unwraps, 1);
    world_end(&world);
}

/* $ stands for the identifier, @ for a value. */
static void fill(const char *with, const char *kid, char out[static 1024]) {
    size_t len = 0;
    out[0] = '\0';
    for (; *with != '\0' && len < 1024; with++) {
        const char one[] = {*with, '\0'};
        const char *piece = *with == '$' ? kid : *with == '@' ? k_value : one;
        len += (size_t)snprintf(out + len, 1024 - len, "%s", piece);
    }
}

static void test_kms_azure_decrypt__refuses_what_is_none_of_its_own_without_asking(void) {
    static const char *const k_strangers[] = {
        "",
        "{}",
        "[]",
        "vault:v1:AAAA",
        "gcp-kms:v1:AAAA",
        "{\"encryptedKey\":\"\",\"kmsKeks\":[]}",
        "{\"kid\":\"$\",\"alg\":\"RSA-OAEP-256\"}",
        "{\"kid\":\"$\",\"value\":\"@\"}",
        "{\"alg\":\"RSA-OAEP-256\",\"kid\":\"\",\"value\":\"@\"}",
        "{\"kid\":\"$\",\"alg\":\"RSA1_5\",\"value\":\"@\"}",
        "{\"kid\":\"$\",\"alg\":\"RSA-OAEP-256\",\"value\":\"@=\"}",
        "{\"kid\":\"$\",\"alg\":\"RSA-OAEP-256\",\"value\":\"AAAA\"}",
        "{\"kid\":\"$\",\"alg\":\"RSA-OAEP-256\",\"value\":\"@\\\",\\\"x\"}",
        "{\"kid\":\"$\",\"alg\":\"RSA-OAEP-256\",\"value\":\"+/@\"}",
        "{\"kid\":\"$\",\"kid\":\"$\",\"alg\":\"RSA-OAEP-256\",\"value\":\"@\"}",
        "{\"kid\":\"$\",\"alg\":\"RSA-OAEP-256\",\"value\":\"@\"} ]",
        "{\"kid\":\"$\",\"alg\":\"RSA-OAEP-256\",\"value\":\"@\""};
    struct world world;
    char kid[256];
    char text[1024];
    world_begin(&world, NULL);
    (void)snprintf(kid, sizeof kid, "%s/keys/orders/" AZURE_STUB_OLD, world.stub.url);
    for (size_t i = 0; i < sizeof k_strangers / sizeof k_strangers[0]; i++) {
        fill(k_strangers[i], kid, text);
        CU_ASSERT_EQUAL(open_text(&world.calls, ael_bytes_from_text(text)), AEL_E_KMS);
        CU_ASSERT(says(&world.calls, "of another KMS"));
    }
    CU_ASSERT_EQUAL(world.stub.unwraps + world.stub.instance, 0);
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_OK);
    world.calls.sealed.data[world.calls.sealed.len - 40] ^= 1;
    CU_ASSERT_EQUAL(open_sealed(&world.calls), AEL_E_KMS);
    CU_ASSERT(says(&world.calls, "damaged"));
    world_end(&world);
}

/* ---- answers of other places ---- */

static void replace(struct http_server_reply *reply, const char *from, const char *to) {
    char *at = strstr(reply->body, from);
    if (at != NULL) { /* in the server's thread: no fatal assertion */
        memcpy(at, to, strlen(to));
    }
}

static void spoil_name(
    struct azure_stub *stub, const struct http_server_request *request, struct http_server_reply *reply) {
    (void)stub;
    (void)request;
    replace(reply, "keys/orders", "keys/0rders");
}
static void spoil_version(
    struct azure_stub *stub, const struct http_server_request *request, struct http_server_reply *reply) {
    (void)stub;
    (void)request;
    replace(reply, AZURE_STUB_OLD, AZURE_STUB_NEW);
}
static void spoil_path(
    struct azure_stub *stub, const struct http_server_request *request, struct http_server_reply *reply) {
    (void)stub;
    (void)request;
    replace(reply, AZURE_STUB_OLD, "../secrets");
}
static void spoil_vault(
    struct azure_stub *stub, const struct http_server_request *request, struct http_server_reply *reply) {
    (void)stub;
    (void)request;
    replace(reply, "127.0.0.1", "127.0.0.2");
}

static void test_kms_azure__refuses_an_answer_of_another_place(void) {
    static const azure_stub_spoil_fn k_spoils[] = {spoil_name, spoil_path, spoil_vault, spoil_version};
    for (size_t i = 0; i < sizeof k_spoils / sizeof k_spoils[0]; i++) {
        struct world world;
        world_begin(&world, NULL);
        CU_ASSERT_EQUAL(seal(&world.calls), AEL_OK);
        world.stub.spoil = k_spoils[i];
        world.stub.spoil_times = 100;
        CU_ASSERT_EQUAL(open_sealed(&world.calls), AEL_E_BACKEND);
        CU_ASSERT(says(&world.calls, "of another vault, key or version"));
        if (k_spoils[i] != spoil_version) { /* the latest may be any */
            CU_ASSERT_EQUAL(seal(&world.calls), AEL_E_BACKEND);
            CU_ASSERT(says(&world.calls, "of another vault, key or version"));
        }
        world_end(&world);
    }
}

/* What was sent comes back as it was. */
static void spoil_by_echo(
    struct azure_stub *stub, const struct http_server_request *request, struct http_server_reply *reply) {
    const char *value = strstr(request->body, "\"value\":");
    (void)snprintf(
        reply->body, sizeof reply->body, "{\"kid\":\"%s/keys/orders/" AZURE_STUB_OLD "\",%.200s", stub->url,
        value == NULL ? "" : value);
}

static void test_kms_azure_encrypt__keeps_no_key_that_comes_back_in_the_clear(void) {
    struct world world;
    world_begin(&world, NULL);
    world.stub.spoil = spoil_by_echo;
    world.stub.spoil_times = 1;
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_E_BACKEND);
    world_end(&world);
}

static void spoil_key(
    struct azure_stub *stub, const struct http_server_request *request, struct http_server_reply *reply) {
    (void)request; /* 16 bytes */
    (void)snprintf(
        reply->body, sizeof reply->body,
        "{\"kid\":\"%s/keys/orders/" AZURE_STUB_OLD "\",\"value\":\"AAAAAAAAAAAAAAAAAAAAAA\"}", stub->url);
}

static void test_kms_azure_decrypt__refuses_keys_of_another_length(void) {
    struct world world;
    world_begin(&world, NULL);
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_OK);
    world.stub.spoil = spoil_key;
    world.stub.spoil_times = 1;
    CU_ASSERT_EQUAL(open_sealed(&world.calls), AEL_E_KMS);
    CU_ASSERT(says(&world.calls, "32 bytes"));
    world_end(&world);
}

static void set_long_kid(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    static char vault[128];
    (void)snprintf(vault, sizeof vault, "%s/", stub->url);
    options->vault = vault;
    stub->kid = "HTTP://127.0.0.1"; /* and the port, which the test sets */
}

static void test_kms_azure__knows_a_vault_in_any_spelling(void) {
    struct world world;
    char kid[128];
    world_begin(&world, set_long_kid);
    (void)snprintf(kid, sizeof kid, "HTTP%.96s", world.stub.url + 4);
    world.stub.kid = kid;
    expect_round_trip(&world.calls);
    CU_ASSERT(holds(&world.calls.sealed, world.stub.url)); /* in one */
    world_end(&world);
}

/* ---- tokens ---- */

static void test_kms_azure__gets_a_token_anew_at_two_thirds_of_its_life(void) {
    struct world world;
    ael_clock_set_for_test(ael_clock_wall_s(), ael_clock_boot_ns());
    world_begin(&world, NULL);
    expect_round_trip(&world.calls);
    ael_clock_advance_for_test(2390);
    expect_round_trip(&world.calls);
    CU_ASSERT_EQUAL(world.stub.instance, 1);
    ael_clock_advance_for_test(20);
    expect_round_trip(&world.calls);
    CU_ASSERT_EQUAL(world.stub.instance, 2);
    world_end(&world);
    ael_clock_reset_for_test();
}

static void test_kms_azure__gets_a_token_anew_when_one_is_refused(void) {
    struct world world;
    world_begin(&world, NULL);
    expect_round_trip(&world.calls);
    world.stub.token[5] ^= 1;
    expect_round_trip(&world.calls);
    CU_ASSERT_EQUAL(world.stub.instance, 2);
    CU_ASSERT_EQUAL(world.stub.wraps, 3);
    world_end(&world);
}

static void test_kms_azure__takes_tokens_of_several_pieces(void) {
    static const size_t k_lens[] = {20, 703, 704, 705, 1408, 2816, 2817, 10560, AEL_KMS_AZURE_MAX_TOKEN};
    struct world world;
    for (size_t i = 0; i < sizeof k_lens / sizeof k_lens[0]; i++) {
        world_begin(&world, NULL);
        world.stub.token_len = k_lens[i];
        expect_round_trip(&world.calls);
        CU_ASSERT_EQUAL(world.stub.instance, 1);
        world_end(&world);
    }
    world_begin(&world, NULL);
    world.stub.token_len = AEL_KMS_AZURE_MAX_TOKEN + 1;
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_E_BACKEND);
    CU_ASSERT(says(&world.calls, "too long"));
    CU_ASSERT_EQUAL(world.stub.wraps, 0);
    world_end(&world);
}

static void test_kms_azure__takes_no_token_without_a_lifetime(void) {
    struct world world;
    world_begin(&world, NULL);
    world.stub.expires_in = 0;
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_E_BACKEND);
    CU_ASSERT(says(&world.calls, "no token with a lifetime"));
    world.stub.expires_in = 3600;
    expect_round_trip(&world.calls);
    world_end(&world);
}

static void use_client(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    stub->client = AZURE_STUB_CLIENT;
    options->client = AZURE_STUB_CLIENT;
}

static void test_kms_azure__names_the_identity_that_is_given(void) {
    struct world world;
    world_begin(&world, use_client);
    expect_round_trip(&world.calls);
    world.stub.client = "another";
    world.stub.token[5] ^= 1;
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_E_KMS);
    CU_ASSERT(says(&world.calls, "no such identity"));
    world_end(&world);
}

static void nobody_there(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    (void)stub;
    options->max_tries = 1;
    options->identity_endpoint = "http://127.0.0.1:1";
}

static void test_kms_azure__says_that_there_is_no_managed_identity(void) {
    struct world world;
    world_begin(&world, nobody_there);
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_E_UNREACHABLE);
    CU_ASSERT(says(&world.calls, "off Azure give a client secret"));
    world_end(&world);
}

static void use_app_service(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    char endpoint[128];
    (void)snprintf(endpoint, sizeof endpoint, "%s/msi/token", stub->identity);
    (void)setenv("IDENTITY_ENDPOINT", endpoint, 1);
    (void)setenv("IDENTITY_HEADER", AZURE_STUB_HEADER, 1);
    options->identity_endpoint = NULL;
    options->auth = AEL_KMS_AZURE_DEFAULT;
}

static void forget_environment(void) {
    static const char *const k_names[] = {"IDENTITY_ENDPOINT",   "IDENTITY_HEADER",
                                          "AZURE_TENANT_ID",     "AZURE_CLIENT_ID",
                                          "AZURE_CLIENT_SECRET", "AZURE_FEDERATED_TOKEN_FILE",
                                          "AZURE_AUTHORITY_HOST",
                                          "AZURE_POD_IDENTITY_AUTHORITY_HOST"};
    for (size_t i = 0; i < sizeof k_names / sizeof k_names[0]; i++) {
        (void)unsetenv(k_names[i]);
    }
}

/* An endpoint that is being updated for so many requests. */
static unsigned s_updates;
static unsigned s_granted;

static void
update(void *context, const struct http_server_request *request, struct http_server_reply *reply) {
    (void)context;
    (void)request;
    reply->status = s_updates > 0 ? 404 : 200;
    s_updates -= s_updates > 0 ? 1 : 0;
    if (reply->status == 200) { /* out of its store, where it was for most of a day */
        s_granted++;
        (void)snprintf(
            reply->body, sizeof reply->body,
            "{\"access_token\":\"a-token\",\"expires_in\":\"86400\",\"expires_on\":\"%lld\"}",
            (long long)ael_clock_wall_s() + 3000);
    }
}

static const char *s_updated;

static void use_updated(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    (void)stub;
    options->identity_endpoint = s_updated;
}

static void test_kms_azure__asks_an_endpoint_that_is_being_updated_again(void) {
    struct world world;
    struct http_server *endpoint = http_server_start(update, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(endpoint);
    s_updated = http_server_url(endpoint);
    world_begin(&world, use_updated);
    (void)snprintf(world.stub.token, sizeof world.stub.token, "a-token");
    s_updates = 3; /* each try */
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_E_UNREACHABLE);
    CU_ASSERT(says(&world.calls, "HTTP 404"));
    CU_ASSERT_EQUAL(s_updates, 0);
    s_updates = 2;
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_OK);
    world_end(&world);
    http_server_stop(endpoint);
}

static void test_kms_azure__knows_when_a_stored_token_ends(void) {
    struct world world;
    struct http_server *endpoint = http_server_start(update, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(endpoint);
    s_updated = http_server_url(endpoint);
    s_updates = 0;
    s_granted = 0;
    ael_clock_set_for_test(ael_clock_wall_s(), ael_clock_boot_ns());
    world_begin(&world, use_updated);
    (void)snprintf(world.stub.token, sizeof world.stub.token, "a-token");
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_OK);
    ael_clock_advance_for_test(1900);
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_OK);
    CU_ASSERT_EQUAL(s_granted, 1);
    ael_clock_advance_for_test(200);
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_OK);
    CU_ASSERT_EQUAL(s_granted, 2);
    world_end(&world);
    ael_clock_reset_for_test();
    http_server_stop(endpoint);
}

static void use_updated_once(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    use_updated(stub, options);
    options->max_tries = 1;
}

static void test_kms_azure__says_that_who_gives_tokens_is_not_asked(void) {
    struct world world;
    struct http_server *endpoint = http_server_start(update, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(endpoint);
    s_updated = http_server_url(endpoint);
    s_updates = 100;
    world_begin(&world, use_updated_once);
    for (int i = 0; i < 5; i++) {
        CU_ASSERT_EQUAL(seal(&world.calls), AEL_E_UNREACHABLE);
        CU_ASSERT(says(&world.calls, "HTTP 404"));
    }
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_E_UNREACHABLE);
    CU_ASSERT(says(&world.calls, "is not asked"));
    CU_ASSERT_EQUAL(s_updates, 95);
    world_end(&world);
    http_server_stop(endpoint);
}

static void test_kms_azure__asks_app_service(void) {
    struct world world;
    world_begin(&world, use_app_service);
    forget_environment();
    expect_round_trip(&world.calls);
    CU_ASSERT_EQUAL(world.stub.app_service, 1);
    CU_ASSERT_EQUAL(world.stub.instance, 0);
    CU_ASSERT_STRING_EQUAL(world.stub.complaint, "");
    world_end(&world);
}

static void use_pod_identity(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    char endpoint[128];
    (void)snprintf(endpoint, sizeof endpoint, "%s/", stub->identity);
    (void)setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", endpoint, 1);
    options->identity_endpoint = NULL;
}

static void test_kms_azure__takes_an_identitys_endpoint_with_a_slash_at_its_end(void) {
    struct world world;
    world_begin(&world, use_pod_identity);
    forget_environment();
    expect_round_trip(&world.calls);
    CU_ASSERT_EQUAL(world.stub.instance, 1);
    CU_ASSERT_STRING_EQUAL(world.stub.complaint, "");
    world_end(&world);
}

/* ---- client secrets ---- */

static char s_secret[sizeof((struct azure_stub *)NULL)->secret];

static void use_tenant(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    (void)stub;
    options->auth = AEL_KMS_AZURE_CLIENT_SECRET;
    options->tenant = AZURE_STUB_TENANT;
    options->client = AZURE_STUB_CLIENT;
}
static void use_secret(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    use_tenant(stub, options);
    memcpy(s_secret, stub->secret, sizeof s_secret);
    options->client_secret = s_secret;
}
static void use_secret_file(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    use_tenant(stub, options);
    options->client_secret_file = azure_stub_file(stub, stub->secret, "\n");
}
static void use_environment(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    (void)setenv("AZURE_TENANT_ID", AZURE_STUB_TENANT, 1);
    (void)setenv("AZURE_CLIENT_ID", AZURE_STUB_CLIENT, 1);
    (void)setenv("AZURE_CLIENT_SECRET", stub->secret, 1);
    (void)setenv("AZURE_AUTHORITY_HOST", stub->url, 1);
    options->auth = AEL_KMS_AZURE_DEFAULT;
    options->authority = NULL;
}

static bool is_wiped(const char *text, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if (text[i] != 0) {
            return false;
        }
    }
    return true;
}

static void test_kms_azure__shows_a_client_secret(void) {
    static const more_fn k_ways[] = {use_secret, use_secret_file, use_environment};
    for (size_t i = 0; i < sizeof k_ways / sizeof k_ways[0]; i++) {
        struct world world;
        world_begin(&world, k_ways[i]);
        forget_environment();
        CU_ASSERT(is_wiped(s_secret, sizeof s_secret));
        expect_round_trip(&world.calls);
        CU_ASSERT_EQUAL(world.stub.secrets, 1);
        CU_ASSERT_EQUAL(world.stub.instance, 0);
        CU_ASSERT_STRING_EQUAL(world.stub.complaint, "");
        world_end(&world);
    }
}

static void test_kms_azure__reads_a_client_secrets_file_anew(void) {
    struct world world;
    char longer[AEL_KMS_AZURE_MAX_CLIENT_SECRET + 2];
    world_begin(&world, use_secret_file);
    (void)azure_stub_file(&world.stub, "made-up and wrong", "");
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_E_KEY_FILE);
    CU_ASSERT(says(&world.calls, "blanks"));
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    (void)azure_stub_file(&world.stub, longer, "");
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_E_KEY_FILE);
    CU_ASSERT(says(&world.calls, "too long"));
    CU_ASSERT_EQUAL(world.stub.secrets, 0);
    longer[sizeof longer - 2] = '\0'; /* percent-encoded three times as long, if it were of other letters */
    memset(longer, '%', sizeof longer - 2);
    (void)azure_stub_file(&world.stub, longer, "");
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_E_KMS);
    CU_ASSERT(says(&world.calls, "the client secret is wrong"));
    CU_ASSERT_EQUAL(world.stub.secrets, 1);
    (void)azure_stub_file(&world.stub, world.stub.secret, "");
    expect_round_trip(&world.calls);
    world_end(&world);
}

/* ---- workload identity ---- */

static void use_workload(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    use_tenant(stub, options);
    options->auth = AEL_KMS_AZURE_WORKLOAD;
    options->federated_token_file = azure_stub_file(stub, stub->assertion, "\n");
}
static void use_workload_of_environment(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    use_environment(stub, options);
    (void)unsetenv("AZURE_CLIENT_SECRET");
    (void)setenv("AZURE_FEDERATED_TOKEN_FILE", azure_stub_file(stub, stub->assertion, "\n"), 1);
}

static void test_kms_azure__shows_a_federated_token(void) {
    static const more_fn k_ways[] = {use_workload, use_workload_of_environment};
    for (size_t i = 0; i < sizeof k_ways / sizeof k_ways[0]; i++) {
        struct world world;
        world_begin(&world, k_ways[i]);
        forget_environment();
        expect_round_trip(&world.calls);
        CU_ASSERT_EQUAL(world.stub.assertions, 1);
        CU_ASSERT_EQUAL(world.stub.instance + world.stub.secrets, 0);
        CU_ASSERT_STRING_EQUAL(world.stub.complaint, "");
        world_end(&world);
    }
}

static void test_kms_azure__lets_a_federated_token_say_nothing_else(void) {
    struct world world;
    world_begin(&world, use_workload);
    (void)azure_stub_file(&world.stub, world.stub.assertion, "&scope=everything");
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_E_KEY_FILE);
    CU_ASSERT(says(&world.calls, "the file of the federated token"));
    CU_ASSERT(says(&world.calls, "is it the right file?"));
    CU_ASSERT_EQUAL(world.stub.assertions, 0);
    (void)azure_stub_file(&world.stub, world.stub.assertion, "x");
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_E_KMS);
    CU_ASSERT(says(&world.calls, "no federated credential"));
    (void)azure_stub_file(&world.stub, world.stub.assertion, "");
    expect_round_trip(&world.calls);
    world_end(&world);
}

/* ---- threads, and a child ---- */

static void test_kms_azure__gets_one_token_for_all_threads(void) {
    struct world world;
    world_begin(&world, NULL);
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_OK);
    world.stub.token[5] ^= 1;
    expect_threads_open(&world.calls);
    CU_ASSERT_EQUAL(world.stub.instance, 2);
    world_end(&world);
}

static void test_kms_azure__works_in_a_child_beside_its_parent(void) {
    struct world world;
    world_begin(&world, use_secret);
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_OK);
    expect_child_works(&world.calls);
    CU_ASSERT_EQUAL(open_sealed(&world.calls), AEL_OK);
    world_end(&world);
}

/* ---- callbacks ---- */

static struct token_giver s_giver;

static void use_callback(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    s_giver = (struct token_giver){stub->token, sizeof stub->token, .len = AEL_KMS_AZURE_MAX_GIVEN_TOKEN};
    options->auth = AEL_KMS_AZURE_CALLBACK;
    options->resource = NULL;
    options->token = give_token;
    options->token_context = &s_giver;
}

static void test_kms_azure__takes_a_callbacks_token(void) {
    struct world world;
    world_begin(&world, use_callback);
    expect_token_taken(&s_giver, &world.calls);
    CU_ASSERT_EQUAL(world.stub.instance, 0);
    world_end(&world);
}

static void test_kms_azure__hands_on_that_a_callback_failed(void) {
    struct world world;
    world_begin(&world, use_callback);
    expect_no_token_handed_on(&s_giver, &world.calls, AEL_KMS_AZURE_MAX_GIVEN_TOKEN, &world.stub.wraps);
    world_end(&world);
}

static void test_kms_azure__keeps_no_callbacks_token_that_cannot_be_sent(void) {
    struct world world;
    world_begin(&world, use_callback);
    expect_unsendable_token_refused(&s_giver, &world.calls, &world.stub.wraps);
    world_end(&world);
}

/* ---- what comes instead of an answer ---- */

static struct http_server_reply s_reply;

static void spoil_all(
    struct azure_stub *stub, const struct http_server_request *request, struct http_server_reply *reply) {
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

static void one_try(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    (void)stub;
    options->max_tries = 1;
}

static void test_kms_azure__refuses_answers_that_are_none_of_key_vaults(void) {
    static const char *const k_bodies[] = {
        "",
        "<html>Welcome to the hotel's network</html>",
        "[]",
        "{}",
        "{\"value\":\"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE\"}",
        "{\"kid\":1,\"value\":\"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE\"}",
        "{\"kid\":\"x\",\"value\":\"!\"}",
        "{\"kid\":\"x\",\"value\":\"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\"}",
        "{\"kid\":\"x\",\"value\":\"MDEy"};
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

static void test_kms_azure__says_what_a_refusal_means(void) {
    static const struct {
        int http_status;
        const char *body;
        enum ael_status status;
        const char *words;
    } k_refusals[] = {
        {403,
         "{\"error\":{\"code\":\"Forbidden\",\"message\":\"secret words does not have keys wrapKey "
         "permission\"}}",
         AEL_E_KMS, "Key Vault Crypto Service Encryption User"},
        {403, "{\"error\":{\"code\":\"Forbidden\",\"innererror\":{\"code\":\"ForbiddenByRbac\"}}}", AEL_E_KMS,
         "access policy with wrapKey and unwrapKey"},
        {403, "{\"error\":{\"code\":\"Forbidden\",\"innererror\":{\"code\":\"ForbiddenByFirewall\"}}}",
         AEL_E_KMS, "firewall"},
        {403, "{\"error\":{\"code\":\"Forbidden\",\"innererror\":{\"code\":\"ForbiddenByConnection\"}}}",
         AEL_E_KMS, "private endpoint"},
        {403, "{\"error\":{\"code\":\"Forbidden\",\"innererror\":{\"code\":\"KeyDisabled\"}}}", AEL_E_KMS,
         "disabled; enable it"},
        {403, "{\"error\":{\"message\":\"Operation wrapKey is not allowed on an expired key.\"}}", AEL_E_KMS,
         "expired"},
        {403, "{\"error\":{\"message\":\"Operation wrapKey is not permitted on this key.\"}}", AEL_E_KMS,
         "permitted operations"},
        {404, "{\"error\":{\"code\":\"KeyNotFound\",\"message\":\"secret words\"}}", AEL_E_KMS, "recover it"},
        {400, "{\"error\":{\"code\":\"BadParameter\",\"message\":\"secret words\"}}", AEL_E_KMS, "damaged"},
        {400, "{\"error\":{\"code\":\"BadParameter\",\"message\":\"Key and Algorithm is not supported\"}}",
         AEL_E_KMS, "another type"},
        {401,
         "{\"error\":{\"code\":\"Unauthorized\",\"message\":\"AKV10032: Invalid issuer. secret words\"}}",
         AEL_E_KMS, "another tenant than the vault's"},
        {401, "{\"error\":{\"code\":\"Unauthorized\",\"message\":\"AKV10022: Invalid audience.\"}}",
         AEL_E_KMS, "another resource"},
        {401, "{\"error\":{\"code\":\"Unauthorized\"}}", AEL_E_KMS, "has expired"},
        {429, "{\"error\":{\"code\":\"Throttled\"}}", AEL_E_UNREACHABLE, "too many requests"},
        {503, "{\"error\":{\"code\":\"ServiceUnavailable\"}}", AEL_E_UNREACHABLE, "ill or busy"},
        {502, "<html>secret words</html>", AEL_E_UNREACHABLE, "ill or busy"},
        {403, "<html>secret words</html>", AEL_E_BACKEND, "proxy"},
        {401, "<html>secret words</html>", AEL_E_BACKEND, "proxy"},
        {302, "", AEL_E_BACKEND, "proxy"},
    };
    for (size_t i = 0; i < sizeof k_refusals / sizeof k_refusals[0]; i++) {
        struct world world;
        world_begin(&world, one_try);
        answer_with(&world, k_refusals[i].http_status, k_refusals[i].body);
        CU_ASSERT_EQUAL(seal(&world.calls), k_refusals[i].status);
        CU_ASSERT_EQUAL(world.calls.err.native_code, k_refusals[i].http_status);
        CU_ASSERT(says(&world.calls, k_refusals[i].words));
        CU_ASSERT(says(&world.calls, "orders/wrapkey"));
        CU_ASSERT_PTR_NULL(strstr(world.calls.err.detail, "secret words"));
        CU_ASSERT(strlen(world.calls.err.detail) < sizeof world.calls.err.detail - 1); /* nothing is cut off */
        world_end(&world);
    }
}

static void test_kms_azure__knows_the_vault_by_its_challenge(void) {
    struct world world;
    world_begin(&world, one_try);
    answer_with(&world, 401, "");
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_E_BACKEND);
    (void)snprintf(
        s_reply.headers, sizeof s_reply.headers,
        "WWW-Authenticate: Bearer authorization=\"https://login.microsoftonline.com/another\", "
        "resource=\"https://vault.azure.net\"\r\n");
    unsigned tokens = world.stub.instance;
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_E_KMS);
    CU_ASSERT(says(&world.calls, "of another tenant"));
    CU_ASSERT_PTR_NULL(strstr(world.calls.err.detail, "login.microsoftonline.com"));
    CU_ASSERT_EQUAL(world.stub.instance, tokens + 1); /* once */
    world_end(&world);
}

static void test_kms_azure__keeps_to_the_deadline_of_a_call(void) {
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

static void test_kms_azure__does_not_ask_a_vault_that_failed_again_and_again(void) {
    struct world world;
    world_begin(&world, one_try);
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_OK);
    answer_with(&world, 503, "");
    for (int i = 0; i < 5; i++) {
        CU_ASSERT_EQUAL(open_sealed(&world.calls), AEL_E_UNREACHABLE);
    }
    unsigned asked = world.stub.unwraps;
    CU_ASSERT_EQUAL(open_sealed(&world.calls), AEL_E_UNREACHABLE);
    CU_ASSERT(says(&world.calls, "not asked"));
    CU_ASSERT_EQUAL(world.stub.unwraps, asked);
    world_end(&world);
}

/* ---- TLS ---- */

static void take_time(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    (void)stub;
    options->connect_timeout_ms = 20000; /* valgrind takes its time over handshakes */
}
static void take_time_and_a_secret(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    use_secret(stub, options);
    take_time(stub, options);
}
static void take_time_and_a_federated_token(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    use_workload(stub, options);
    take_time(stub, options);
}

static void test_kms_azure__speaks_tls_with_the_vault_and_who_gives_tokens(void) {
    static const more_fn k_ways[] = {take_time, take_time_and_a_secret, take_time_and_a_federated_token};
    for (size_t i = 0; i < sizeof k_ways / sizeof k_ways[0]; i++) {
        struct world world;
        world_begin_as(&world, "IP:127.0.0.1", k_ways[i]);
        expect_round_trip(&world.calls);
        CU_ASSERT_STRING_EQUAL(world.stub.complaint, "");
        CU_ASSERT_EQUAL(world.stub.wraps, 1);
        CU_ASSERT_EQUAL(world.stub.instance + world.stub.secrets + world.stub.assertions, 1);
        CU_ASSERT(tls_front_bytes(world.stub.front) > 1000);
        world_end(&world);
    }
}

static void no_ca(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    take_time(stub, options);
    options->ca_file = NULL; /* the system's */
}

static struct tls_front *s_other_front;

static void another_ca(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    take_time_and_a_secret(stub, options);
    options->ca_file = tls_front_ca_file(s_other_front);
}

/* Neither a key, nor a secret or token, nor a request at all, goes to a server that is not the one it says it is. */
static void expect_nothing_sent(const char *name, more_fn more) {
    struct world world;
    char text[1024];
    world_begin_as(&world, name, more);
    CU_ASSERT_EQUAL(seal(&world.calls), AEL_E_BACKEND);
    CU_ASSERT(says(&world.calls, "certificate"));
    write_envelope(world.stub.url, "/keys/orders/" AZURE_STUB_OLD, text);
    CU_ASSERT_EQUAL(open_text(&world.calls, ael_bytes_from_text(text)), AEL_E_BACKEND);
    CU_ASSERT(tls_front_connections(world.stub.front) > 0);
    CU_ASSERT_EQUAL(tls_front_bytes(world.stub.front), 0);
    CU_ASSERT_EQUAL(world.stub.wraps + world.stub.unwraps + world.stub.secrets + world.stub.assertions, 0);
    world_end(&world);
}

static void test_kms_azure__sends_nothing_to_a_stranger(void) {
    s_other_front = tls_front_start("IP:127.0.0.1", "http://127.0.0.1:1");
    CU_ASSERT_FATAL(s_other_front != NULL);
    expect_nothing_sent("DNS:shop.vault.azure.net", take_time);
    expect_nothing_sent("DNS:login.microsoftonline.com", take_time_and_a_secret);
    expect_nothing_sent("IP:127.0.0.2", take_time_and_a_federated_token);
    expect_nothing_sent("IP:127.0.0.1", no_ca);
    expect_nothing_sent("IP:127.0.0.1", another_ca);
    tls_front_stop(s_other_front);
}

/* ---- options ---- */

static void no_vault(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    (void)stub;
    options->vault = NULL;
}
static void no_tls(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    (void)stub;
    options->vault = "http://shop.vault.azure.net";
}
static void a_vault_with_a_path(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    (void)stub;
    options->vault = "https://shop.vault.azure.net/keys";
}
static void a_vault_behind_a_name(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    (void)stub;
    options->vault = "https://shop.vault.azure.net@thief.example";
}
static void a_far_vault(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    (void)stub;
    options->vault = "https://shop.vault.azure.example";
    options->resource = NULL;
}
static void a_domain_alone(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    (void)stub;
    options->vault = "https://vault.azure.net";
    options->resource = NULL;
}
static void no_key(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    (void)stub;
    options->key = NULL;
}
static void an_empty_key(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    (void)stub;
    options->key = "";
}
static void dots(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    (void)stub;
    options->key = "..";
}
static void a_key_with_a_version(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    (void)stub;
    options->key = "orders/" AZURE_STUB_OLD;
}
static void a_key_with_a_query(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    (void)stub;
    options->key = "orders?x";
}
static void a_long_key(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    static char key[AEL_KMS_AZURE_MAX_CLIENT_SECRET];
    (void)stub;
    memset(key, 'k', 128);
    options->key = key;
}
static void a_path_as_version(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    (void)stub;
    options->version = "../other";
}
static void another_algorithm(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    (void)stub;
    options->algorithm = (enum ael_kms_azure_algorithm)2;
}
static void another_way(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    (void)stub;
    options->auth = (enum ael_kms_azure_auth)9;
}
static void a_far_identity(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    (void)stub;
    options->identity_endpoint = "http://identity.example";
}
static void a_far_identity_behind_a_name(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    (void)stub;
    options->identity_endpoint = "http://169.254.169.254@identity.example";
}
static void a_far_app_service(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    use_app_service(stub, options);
    (void)setenv("IDENTITY_ENDPOINT", "http://10.0.0.1/msi/token", 1);
}
static void an_app_service_with_a_query(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    use_app_service(stub, options);
    (void)setenv("IDENTITY_ENDPOINT", "http://127.0.0.1/msi/token?x=y", 1);
}
static void an_app_service_with_blanks(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    use_app_service(stub, options);
    (void)setenv("IDENTITY_HEADER", "two words", 1);
}
static void an_authority_in_the_clear(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    use_secret(stub, options);
    options->authority = "http://login.example";
}
static void an_authority_with_a_path(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    use_secret(stub, options);
    options->authority = "https://login.example/tenant";
}
static void a_path_as_tenant(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    use_secret(stub, options);
    options->tenant = "a/../b";
}
static void dots_as_tenant(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    use_secret(stub, options);
    options->tenant = "..";
}
static void a_form_as_client(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    use_secret(stub, options);
    options->client = "a&scope=b";
}
static void no_tenant(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    use_secret(stub, options);
    options->tenant = NULL;
}
static void no_secret(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    use_tenant(stub, options);
}
static void a_long_secret(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    static char secret[AEL_KMS_AZURE_MAX_CLIENT_SECRET + 2];
    use_tenant(stub, options);
    memset(secret, 's', sizeof secret - 1);
    options->client_secret = secret;
}
static void no_federated_token(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    use_tenant(stub, options);
    options->auth = AEL_KMS_AZURE_WORKLOAD;
}
static void no_callback(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    (void)stub;
    options->auth = AEL_KMS_AZURE_CALLBACK;
}
static void a_resource_with_a_path(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    (void)stub;
    options->resource = "https://vault.azure.net/.default";
}
static void a_resource_with_more(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    (void)stub;
    options->resource = "https://vault.azure.net&client_id=x";
}
static void no_tries(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    (void)stub;
    options->max_tries = 0;
}
static void another_size(struct azure_stub *stub, struct ael_kms_azure_options *options) {
    (void)stub;
    options->size--;
}

static void test_kms_azure_new__refuses_bad_options(void) {
    static const more_fn k_ways[] = {
        no_vault,
        no_tls,
        a_vault_with_a_path,
        a_vault_behind_a_name,
        a_far_vault,
        a_domain_alone,
        no_key,
        an_empty_key,
        dots,
        a_key_with_a_version,
        a_key_with_a_query,
        a_long_key,
        a_path_as_version,
        another_algorithm,
        another_way,
        a_far_identity,
        a_far_identity_behind_a_name,
        a_far_app_service,
        an_app_service_with_a_query,
        an_app_service_with_blanks,
        an_authority_in_the_clear,
        an_authority_with_a_path,
        a_path_as_tenant,
        dots_as_tenant,
        a_form_as_client,
        no_tenant,
        no_secret,
        a_long_secret,
        no_federated_token,
        no_callback,
        a_resource_with_a_path,
        a_resource_with_more,
        no_tries,
        another_size};
    struct azure_stub stub;
    CU_ASSERT_FATAL(azure_stub_start(&stub));
    for (size_t i = 0; i < sizeof k_ways / sizeof k_ways[0]; i++) {
        struct ael_kms_azure_options options = AEL_KMS_AZURE_OPTIONS_INIT;
        struct ael_error err = {.status = AEL_OK};
        struct ael_kms *kms = NULL;
        azure_stub_options(&stub, &options);
        k_ways[i](&stub, &options);
        enum ael_status status = ael_kms_azure_new(&options, &kms, &err);
        forget_environment();
        CU_ASSERT_EQUAL(status, AEL_E_ARGUMENT);
        if (status != AEL_E_ARGUMENT) {
            printf("\n    way %zu: %s", i, ael_status_name(status));
        }
        CU_ASSERT_PTR_NULL(kms);
        CU_ASSERT(strlen(err.detail) > 10);
        CU_ASSERT(options.client_secret == NULL || options.client_secret[0] == '\0'); /* wiped */
        ael_kms_release(kms);
    }
    CU_ASSERT_EQUAL(ael_kms_azure_new(NULL, NULL, NULL), AEL_E_ARGUMENT);
    struct ael_kms_azure_options options = AEL_KMS_AZURE_OPTIONS_INIT;
    char secret[] = "a-secret";
    options.client_secret = secret;
    CU_ASSERT_EQUAL(ael_kms_azure_new(&options, NULL, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(secret[0], '\0'); /* wiped */
    azure_stub_stop(&stub);
}

static void test_kms_azure_new__takes_vaults_of_each_cloud(void) {
    static const char *const k_vaults[] = {
        "https://shop.vault.azure.net",      "https://shop.vault.azure.net/",
        "https://Shop.Vault.Azure.Net:443/", "https://shop.managedhsm.azure.net",
        "https://shop.vault.azure.cn",       "https://shop.vault.usgovcloudapi.net"};
    for (size_t i = 0; i < sizeof k_vaults / sizeof k_vaults[0]; i++) {
        struct ael_kms_azure_options options = AEL_KMS_AZURE_OPTIONS_INIT;
        struct ael_kms *kms = NULL;
        options.vault = k_vaults[i];
        options.key = "orders";
        CU_ASSERT_EQUAL(ael_kms_azure_new(&options, &kms, NULL), AEL_OK);
        ael_kms_release(kms);
    }
}

static const struct test_case k_cases[] = {
    {"it sends what Key Vault asks for", test_kms_azure__sends_what_key_vault_asks_for},
    {"it unwraps by what is kept", test_kms_azure__unwraps_by_what_is_kept_whatever_it_wraps_by},
    {"after the key was rotated", test_kms_azure__unwraps_after_the_key_was_rotated},
    {"the version that is given", test_kms_azure__wraps_with_the_version_that_is_given},
    {"no other vault is asked", test_kms_azure_decrypt__never_asks_another_vault},
    {"no path that an identifier makes up",
     test_kms_azure_decrypt__asks_for_no_path_that_an_identifier_makes_up},
    {"decrypt refuses what is none of its own",
     test_kms_azure_decrypt__refuses_what_is_none_of_its_own_without_asking},
    {"an answer of another place", test_kms_azure__refuses_an_answer_of_another_place},
    {"a key that comes back in the clear", test_kms_azure_encrypt__keeps_no_key_that_comes_back_in_the_clear},
    {"decrypt refuses keys of another length", test_kms_azure_decrypt__refuses_keys_of_another_length},
    {"a vault in any spelling", test_kms_azure__knows_a_vault_in_any_spelling},
    {"a token anew at two thirds", test_kms_azure__gets_a_token_anew_at_two_thirds_of_its_life},
    {"a token anew when one is refused", test_kms_azure__gets_a_token_anew_when_one_is_refused},
    {"tokens of several pieces", test_kms_azure__takes_tokens_of_several_pieces},
    {"no token without a lifetime", test_kms_azure__takes_no_token_without_a_lifetime},
    {"the identity that is given", test_kms_azure__names_the_identity_that_is_given},
    {"no managed identity", test_kms_azure__says_that_there_is_no_managed_identity},
    {"an endpoint that is being updated", test_kms_azure__asks_an_endpoint_that_is_being_updated_again},
    {"a stored token's end", test_kms_azure__knows_when_a_stored_token_ends},
    {"who gives tokens is not asked", test_kms_azure__says_that_who_gives_tokens_is_not_asked},
    {"App Service", test_kms_azure__asks_app_service},
    {"an endpoint with a slash", test_kms_azure__takes_an_identitys_endpoint_with_a_slash_at_its_end},
    {"a client secret", test_kms_azure__shows_a_client_secret},
    {"a client secret's file", test_kms_azure__reads_a_client_secrets_file_anew},
    {"a federated token", test_kms_azure__shows_a_federated_token},
    {"a federated token says nothing else", test_kms_azure__lets_a_federated_token_say_nothing_else},
    {"one token for all threads", test_kms_azure__gets_one_token_for_all_threads},
    {"a child of fork", test_kms_azure__works_in_a_child_beside_its_parent},
    {"a callback's token", test_kms_azure__takes_a_callbacks_token},
    {"a callback that fails", test_kms_azure__hands_on_that_a_callback_failed},
    {"a callback's token that cannot be sent", test_kms_azure__keeps_no_callbacks_token_that_cannot_be_sent},
    {"answers that are none of Key Vault's", test_kms_azure__refuses_answers_that_are_none_of_key_vaults},
    {"what a refusal means", test_kms_azure__says_what_a_refusal_means},
    {"the vault's challenge", test_kms_azure__knows_the_vault_by_its_challenge},
    {"the deadline of a call", test_kms_azure__keeps_to_the_deadline_of_a_call},
    {"a vault that failed again and again", test_kms_azure__does_not_ask_a_vault_that_failed_again_and_again},
    {"TLS with the vault and who gives tokens",
     test_kms_azure__speaks_tls_with_the_vault_and_who_gives_tokens},
    {"nothing is sent to a stranger", test_kms_azure__sends_nothing_to_a_stranger},
    {"bad options", test_kms_azure_new__refuses_bad_options},
    {"vaults of each cloud", test_kms_azure_new__takes_vaults_of_each_cloud},
};

TEST_SUITE_MAIN("kms: azure", k_cases)
