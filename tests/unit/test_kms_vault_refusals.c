/*
 * tests/unit/test_kms_vault_refusals.c - ael/kms_vault.h before servers that are not Vault, ill, or hostile; options.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/clock.h"
#include "net/secret_file.h"
#include "tests/support/gate.h"
#include "tests/support/http_server.h"
#include "tests/support/suite.h"
#include "tests/support/under.h"

#include <ael/hooks.h>
#include <ael/kms_vault.h>
#include <ael/sys/kms_backend.h>

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- a server that answers what it is told to, and a KMS over it ---- */

struct stub {
    struct http_server *server;
    struct http_server_reply reply;   /* to what is asked of Transit */
    struct http_server_reply log_in;  /* to a log-in */
    struct http_server_reply renewal; /* to a renewal, where it is another than to a log-in */
    bool has_renewal;
    bool renewal_hangs;
    bool first_log_in_fails;
    bool is_revoked; /* hvs.token opens nothing any more */
    atomic_uint transit;
    atomic_uint renewals;
    atomic_uint log_ins;
    struct http_server_request last;
};

struct world {
    struct stub stub;
    struct ael_kms *kms;
    struct ael_secret *key;
    struct ael_buf sealed;
    struct ael_error err;
};

/* base64 of 32 and of 35 bytes; what Transit makes of a key has 60 */
#define AS_LONG_AS_A_KEY    "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY="
#define LONGER_THAN_A_KEY   "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGk="
#define ENCRYPTED_AS(base64) "{\"data\":{\"ciphertext\":\"vault:v1:" base64 "\",\"key_version\":1}}"

#define GOOD_ENCRYPT ENCRYPTED_AS(LONGER_THAN_A_KEY)
#define GOOD_DECRYPT "{\"data\":{\"plaintext\":\"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\"}}"
#define GOOD_LOGIN   "{\"auth\":{\"client_token\":\"hvs.token\",\"lease_duration\":3600,\"renewable\":true}}"

static void
answer(void *context, const struct http_server_request *request, struct http_server_reply *reply) {
    struct stub *stub = context;
    if (strstr(request->target, "renew-self") != NULL) {
        *reply = stub->has_renewal ? stub->renewal : stub->log_in;
        reply->how = stub->renewal_hangs ? HTTP_SERVER_HANGS : HTTP_SERVER_ANSWERS;
        (void)atomic_fetch_add(&stub->renewals, 1);
    } else if (strstr(request->target, "/login") != NULL) {
        *reply = stub->log_in;
        if (atomic_fetch_add(&stub->log_ins, 1) == 0 && stub->first_log_in_fails) {
            reply->status = 500;
        }
    } else {
        *reply = stub->reply;
        (void)atomic_fetch_add(&stub->transit, 1);
    }
    if (stub->is_revoked && strstr(request->headers, "X-Vault-Token: hvs.token\r\n") != NULL &&
        strstr(request->target, "/decrypt/") != NULL) {
        reply->status = 403;
        (void)snprintf(
            reply->body, sizeof reply->body, "{\"errors\":[\"permission denied\",\"invalid token\"]}");
    }
    stub->last = *request;
    http_server_sync();
}

static void world_begin(struct world *world, void (*more)(struct ael_kms_vault_options *options)) {
    struct ael_kms_vault_options options = AEL_KMS_VAULT_OPTIONS_INIT;
    char token[] = "hvs.token";
    char address[96];
    memset(world, 0, sizeof *world);
    world->sealed = (struct ael_buf)AEL_BUF_INIT;
    world->stub.server = http_server_start(answer, &world->stub);
    CU_ASSERT_PTR_NOT_NULL_FATAL(world->stub.server);
    (void)snprintf(address, sizeof address, "%s/", http_server_url(world->stub.server));
    (void)snprintf(world->stub.log_in.body, sizeof world->stub.log_in.body, "%s", GOOD_LOGIN);
    options.address = address;
    options.key = "orders";
    options.token = token;
    options.max_tries = 1;
    options.try_timeout_ms = 20000;
    if (more != NULL) {
        more(&options);
    }
    CU_ASSERT_EQUAL_FATAL(ael_kms_vault_new(&options, &world->kms, &world->err), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_secret_new_random(32, &world->key), AEL_OK);
}

static void world_end(struct world *world) {
    ael_buf_clear(&world->sealed);
    ael_secret_release(world->key);
    ael_kms_release(world->kms);
    http_server_stop(world->stub.server);
}

static void set_reply(struct world *world, int status, const char *body) {
    world->stub.reply.status = status;
    (void)snprintf(world->stub.reply.body, sizeof world->stub.reply.body, "%s", body);
    http_server_sync();
}

static enum ael_status seal(struct world *world) {
    enum ael_status status = ael_kms_encrypt_key(world->kms, NULL, world->key, &world->sealed, &world->err);
    CU_ASSERT(status == AEL_OK || world->sealed.len == 0);
    http_server_sync();
    return status;
}

static enum ael_status open_for(struct world *world, uint32_t timeout_ms) {
    struct ael_call call = AEL_CALL_INIT;
    struct ael_secret *back = NULL;
    call.deadline_ns = timeout_ms == 0 ? 0 : ael_deadline_in_ms(timeout_ms);
    enum ael_status status =
        ael_kms_decrypt_key(world->kms, &call, ael_bytes_from_text("vault:v1:AAAA"), &back, &world->err);
    CU_ASSERT_EQUAL(status == AEL_OK, back != NULL);
    ael_secret_release(back);
    http_server_sync();
    return status;
}

static bool says(const struct world *world, const char *words) {
    bool found = strstr(world->err.detail, words) != NULL;
    if (!found) {
        printf("\n    not \"%s\": %s", words, world->err.detail);
    }
    return found;
}

/* ---- what is sent ---- */

static void use_namespace(struct ael_kms_vault_options *options) {
    options->vault_namespace = "team/a";
    options->mount = "engines/transit";
}

static void test_kms_vault__sends_what_vault_asks_for(void) {
    struct world world;
    char value[4096];
    world_begin(&world, use_namespace);
    set_reply(&world, 200, GOOD_ENCRYPT);
    CU_ASSERT_EQUAL(seal(&world), AEL_OK);
    CU_ASSERT_STRING_EQUAL(world.stub.last.target, "/v1/engines/transit/encrypt/orders");
    CU_ASSERT_STRING_EQUAL(world.stub.last.method, "POST");
    CU_ASSERT_STRING_EQUAL(http_server_header(&world.stub.last, "X-Vault-Token", value), "hvs.token");
    CU_ASSERT_STRING_EQUAL(http_server_header(&world.stub.last, "X-Vault-Namespace", value), "team/a");
    CU_ASSERT_STRING_EQUAL(http_server_header(&world.stub.last, "X-Vault-Request", value), "true");
    CU_ASSERT_EQUAL(world.stub.last.body_len, strlen("{\"plaintext\":\"\"}") + 44);
    set_reply(&world, 200, GOOD_DECRYPT);
    CU_ASSERT_EQUAL(open_for(&world, 0), AEL_OK);
    CU_ASSERT_STRING_EQUAL(world.stub.last.target, "/v1/engines/transit/decrypt/orders");
    CU_ASSERT_STRING_EQUAL(world.stub.last.body, "{\"ciphertext\":\"vault:v1:AAAA\"}");
    world_end(&world);
}

/* ---- what comes instead of an answer ---- */

static void test_kms_vault__refuses_answers_that_are_none_of_vaults(void) {
    static const char *const k_bodies[] = {
        "",
        "<html>Welcome to the hotel's network</html>",
        "[]",
        "{\"data\":{}}",
        "{\"data\":{\"ciphertext\":\"\"}}",
        "{\"data\":{\"ciphertext\":\"vault:v1:AA\\\"A\"}}",
        "{\"data\":{\"ciphertext\":\"vault:v1:AAAA\"}",
        "{\"data\":{\"ciphertext\":7}}",
        "{\"ciphertext\":\"vault:v1:AAAA\"}",
    };
    struct world world;
    world_begin(&world, NULL);
    for (size_t i = 0; i < sizeof k_bodies / sizeof k_bodies[0]; i++) {
        set_reply(&world, 200, k_bodies[i]);
        CU_ASSERT_EQUAL(seal(&world), AEL_E_BACKEND);
        CU_ASSERT(says(&world, "none of Vault's"));
        CU_ASSERT_EQUAL(open_for(&world, 0), AEL_E_BACKEND);
    }
    world_end(&world);
}

/* Or a key that was sent back as it came would be stored. */
static void test_kms_vault_encrypt__keeps_nothing_that_is_no_longer_than_the_key(void) {
    static const char *const k_bodies[] = {ENCRYPTED_AS(AS_LONG_AS_A_KEY), ENCRYPTED_AS("AAAA")};
    struct ael_bytes stored = ael_bytes_from_text("vault:v1:AAAA");
    struct world world;
    world_begin(&world, NULL);
    for (size_t i = 0; i < sizeof k_bodies / sizeof k_bodies[0]; i++) {
        set_reply(&world, 200, k_bodies[i]);
        CU_ASSERT_EQUAL(seal(&world), AEL_E_BACKEND);
        CU_ASSERT(says(&world, "no longer than the key"));
        CU_ASSERT_EQUAL(
            ael_kms_vault_rewrap(world.kms, NULL, stored, &world.sealed, &world.err), AEL_E_BACKEND);
        CU_ASSERT_EQUAL(world.sealed.len, 0);
    }
    set_reply(&world, 200, ENCRYPTED_AS(LONGER_THAN_A_KEY));
    CU_ASSERT_EQUAL(seal(&world), AEL_OK);
    world_end(&world);
}

static void test_kms_vault_decrypt__refuses_keys_that_are_none(void) {
    static const struct {
        const char *body;
        enum ael_status status;
    } k_cases_of_bodies[] = {
        {"{\"data\":{\"plaintext\":\"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MA==\"}}", AEL_E_KMS},
        {"{\"data\":{\"plaintext\":\"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEy\"}}", AEL_E_KMS},
        {"{\"data\":{\"plaintext\":\"no base64!\"}}", AEL_E_BACKEND},
        {"{\"data\":{\"plaintext\":\"MDEy\",\"plaintext\":\"MDEy\"}}", AEL_E_BACKEND},
        {"{\"data\":{\"plaintext\":\"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\"}", AEL_E_BACKEND},
        {"{\"data\":{\"plaintext\":\"MDEyMzQ1Njc4", AEL_E_BACKEND},
    };
    struct world world;
    world_begin(&world, NULL);
    for (size_t i = 0; i < sizeof k_cases_of_bodies / sizeof k_cases_of_bodies[0]; i++) {
        set_reply(&world, 200, k_cases_of_bodies[i].body);
        CU_ASSERT_EQUAL(open_for(&world, 0), k_cases_of_bodies[i].status);
    }
    world_end(&world);
}

static void use_three_tries(struct ael_kms_vault_options *options) {
    options->max_tries = 3;
}

static void test_kms_vault__asks_again_when_it_may_pass(void) {
    static const int k_statuses[] = {500, 502, 429, 412, 307, 473};
    struct world world;
    for (size_t i = 0; i < sizeof k_statuses / sizeof k_statuses[0]; i++) {
        world_begin(&world, use_three_tries);
        set_reply(&world, k_statuses[i], "{\"errors\":[\"not now\"]}");
        CU_ASSERT_EQUAL(seal(&world), AEL_E_UNREACHABLE);
        CU_ASSERT_EQUAL(atomic_load(&world.stub.transit), 3);
        set_reply(&world, 200, GOOD_ENCRYPT);
        CU_ASSERT_EQUAL(seal(&world), AEL_OK);
        world_end(&world);
    }
}

static atomic_uint s_pauses;

static void hear_pauses(void *context, enum ael_metric_kind kind, const char *name, int64_t value) {
    (void)context;
    (void)kind;
    (void)value;
    (void)atomic_fetch_add(&s_pauses, strcmp(name, "ael.kms.vault.retry") == 0 ? 1 : 0);
}

struct sealing {
    struct world *world;
    struct ael_cancel *cancel;
    enum ael_status status;
};

static void *seal_on_thread(void *argument) {
    struct sealing *sealing = argument;
    struct world *world = sealing->world;
    struct ael_call call = AEL_CALL_INIT;
    call.cancel = sealing->cancel;
    sealing->status = ael_kms_encrypt_key(world->kms, &call, world->key, &world->sealed, &world->err);
    return NULL;
}

/* By a clock that stands still a pause has no end of its own. */
static void seal_and_cancel_in_pause(struct world *world) {
    struct ael_hooks hooks = AEL_HOOKS_INIT;
    struct sealing sealing = {.world = world};
    pthread_t thread;
    hooks.metric = hear_pauses;
    atomic_store(&s_pauses, 0);
    CU_ASSERT_EQUAL_FATAL(ael_hooks_set(&hooks), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_cancel_new(&sealing.cancel), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, seal_on_thread, &sealing), 0);
    while (atomic_load(&s_pauses) == 0) {
        (void)sched_yield();
    }
    ael_cancel_trigger(sealing.cancel);
    (void)pthread_join(thread, NULL);
    CU_ASSERT_EQUAL(sealing.status, AEL_E_CANCELLED);
    CU_ASSERT_EQUAL(world->err.status, AEL_E_CANCELLED);
    CU_ASSERT(says(world, "cancelled"));
    CU_ASSERT_EQUAL(ael_hooks_set(NULL), AEL_OK);
    ael_cancel_free(sealing.cancel);
}

/* What failed before that is told of the server all the same. */
static void test_kms_vault__is_cancelled_while_it_pauses(void) {
    struct world world;
    ael_clock_set_for_test(ael_clock_wall_s(), ael_clock_boot_ns());
    world_begin(&world, use_three_tries);
    set_reply(&world, 500, "");
    for (unsigned i = 1; i <= 5; i++) {
        seal_and_cancel_in_pause(&world);
        CU_ASSERT_EQUAL(world.sealed.len, 0);
        CU_ASSERT_EQUAL(atomic_load(&world.stub.transit), i);
    }
    CU_ASSERT_EQUAL(seal(&world), AEL_E_UNREACHABLE);
    CU_ASSERT(says(&world, "not asked"));
    world_end(&world);
    ael_clock_reset_for_test();
}

static void test_kms_vault__does_not_repeat_what_a_server_says(void) {
    static const int k_statuses[] = {400, 403, 404, 500};
    struct world world;
    world_begin(&world, NULL);
    for (size_t i = 0; i < sizeof k_statuses / sizeof k_statuses[0]; i++) {
        set_reply(&world, k_statuses[i], "{\"errors\":[\"you sent hvs.token\"]}");
        CU_ASSERT_NOT_EQUAL(seal(&world), AEL_OK);
        CU_ASSERT_PTR_NULL(strstr(world.err.detail, "hvs."));
    }
    set_reply(&world, 400, "<html>you sent hvs.token</html>");
    CU_ASSERT_EQUAL(seal(&world), AEL_E_BACKEND);
    CU_ASSERT_PTR_NULL(strstr(world.err.detail, "hvs."));
    world_end(&world);
}

static void use_short_tries(struct ael_kms_vault_options *options) {
    options->try_timeout_ms = 50;
}

static void test_kms_vault__ends_in_time_when_nothing_comes(void) {
    struct world world;
    world_begin(&world, NULL);
    set_reply(&world, 200, GOOD_DECRYPT);
    CU_ASSERT_EQUAL(open_for(&world, 0), AEL_OK);
    world.stub.reply.how = HTTP_SERVER_HANGS;
    http_server_sync();
    CU_ASSERT_EQUAL(open_for(&world, 50), AEL_E_TIMEOUT);
    world_end(&world);
    world_begin(&world, use_short_tries);
    world.stub.reply.how = HTTP_SERVER_HANGS;
    http_server_sync();
    CU_ASSERT_EQUAL(open_for(&world, 0), AEL_E_UNREACHABLE);
    world_end(&world);
}

static void test_kms_vault__refuses_a_body_without_an_end(void) {
    struct world world;
    world_begin(&world, NULL);
    set_reply(&world, 200, "{\"data\":{\"a\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}}");
    world.stub.reply.repeat = 100000;
    http_server_sync();
    CU_ASSERT_EQUAL(open_for(&world, 0), AEL_E_BACKEND);
    CU_ASSERT(says(&world, "longer than it may be"));
    world_end(&world);
}

static void test_kms_vault__sees_connections_that_are_lost(void) {
    static const enum http_server_how k_hows[] = {HTTP_SERVER_CLOSES, HTTP_SERVER_CUTS};
    struct world world;
    world_begin(&world, NULL);
    for (size_t i = 0; i < sizeof k_hows / sizeof k_hows[0]; i++) {
        set_reply(&world, 200, GOOD_DECRYPT);
        world.stub.reply.how = k_hows[i];
        http_server_sync();
        CU_ASSERT_EQUAL(open_for(&world, 0), AEL_E_UNREACHABLE);
    }
    world_end(&world);
}

static void test_kms_vault__does_not_ask_a_server_that_fails_again_and_again(void) {
    struct world world;
    world_begin(&world, NULL);
    set_reply(&world, 500, "");
    for (int i = 0; i < 5; i++) {
        CU_ASSERT_EQUAL(seal(&world), AEL_E_UNREACHABLE);
    }
    unsigned asked = atomic_load(&world.stub.transit);
    CU_ASSERT_EQUAL(seal(&world), AEL_E_UNREACHABLE);
    CU_ASSERT(says(&world, "not asked"));
    CU_ASSERT_EQUAL(atomic_load(&world.stub.transit), asked);
    world_end(&world);
}

/* ---- tokens ---- */

static void use_role(struct ael_kms_vault_options *options) {
    options->token = NULL;
    options->auth = AEL_KMS_VAULT_APPROLE;
    options->role_id = "role";
}

static void set_token(struct world *world, size_t len, char filling) {
    char token[1024];
    memset(token, filling, len);
    token[len] = '\0';
    (void)snprintf(
        world->stub.log_in.body, sizeof world->stub.log_in.body,
        "{\"auth\":{\"client_token\":\"%s\",\"lease_duration\":3600,\"renewable\":false}}", token);
    http_server_sync();
}

static void test_kms_vault__takes_tokens_up_to_a_length(void) {
    struct world world;
    char value[4096];
    world_begin(&world, use_role);
    set_reply(&world, 200, GOOD_ENCRYPT);
    set_token(&world, AEL_KMS_VAULT_MAX_TOKEN + 1, 'x');
    CU_ASSERT_EQUAL(seal(&world), AEL_E_BACKEND);
    CU_ASSERT(says(&world, "too long"));
    set_token(&world, AEL_KMS_VAULT_MAX_TOKEN, 'x');
    CU_ASSERT_EQUAL(seal(&world), AEL_OK);
    CU_ASSERT_EQUAL(
        strlen(http_server_header(&world.stub.last, "X-Vault-Token", value)), AEL_KMS_VAULT_MAX_TOKEN);
    world_end(&world);
}

static void test_kms_vault__refuses_tokens_that_no_header_may_hold(void) {
    static const char k_fillings[] = {' ', '\n', '\r', '\x7f', '\x01'};
    for (size_t i = 0; i < sizeof k_fillings; i++) {
        struct world world;
        world_begin(&world, use_role);
        set_reply(&world, 200, GOOD_ENCRYPT);
        set_token(&world, 10, k_fillings[i]);
        CU_ASSERT_NOT_EQUAL(seal(&world), AEL_OK);
        CU_ASSERT_EQUAL(atomic_load(&world.stub.transit), 0);
        world_end(&world);
    }
}

static char s_path[sizeof "/tmp/ael-vault-text-XXXXXX"];

static void write_file(const char *text) {
    (void)snprintf(s_path, sizeof s_path, "/tmp/ael-vault-text-XXXXXX");
    int fd = mkstemp(s_path);
    CU_ASSERT_FATAL(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    (void)close(fd);
}

static void use_token_file(struct ael_kms_vault_options *options) {
    options->token = NULL;
    options->token_file = s_path;
}
static void use_secret_id_file(struct ael_kms_vault_options *options) {
    options->auth = AEL_KMS_VAULT_APPROLE;
    options->role_id = "orders";
    options->secret_id_file = s_path;
}
static void use_jwt_file(struct ael_kms_vault_options *options) {
    options->auth = AEL_KMS_VAULT_KUBERNETES;
    options->role = "orders";
    options->jwt_file = s_path;
}

static void test_kms_vault__names_a_file_that_cannot_be_sent(void) {
    static const char *const k_texts[] = {"hvs.\"token\"", "hvs.\\token", "hvs.t\xc3\xb6ken", "hvs.\x7f"};
    void (*const ways[])(struct ael_kms_vault_options * options) = {
        use_token_file, use_secret_id_file, use_jwt_file};
    for (size_t i = 0; i < sizeof k_texts / sizeof k_texts[0] * 3; i++) {
        struct world world;
        write_file(k_texts[i / 3]);
        world_begin(&world, ways[i % 3]);
        set_reply(&world, 200, GOOD_ENCRYPT);
        CU_ASSERT_EQUAL(seal(&world), AEL_E_KEY_FILE);
        CU_ASSERT(says(&world, s_path));
        CU_ASSERT(says(&world, "is it the right file?"));
        CU_ASSERT_PTR_NULL(strstr(world.err.detail, "hvs."));
        CU_ASSERT_EQUAL(atomic_load(&world.stub.transit) + atomic_load(&world.stub.log_ins), 0);
        world_end(&world);
        (void)unlink(s_path);
    }
}

static void test_kms_vault__refuses_log_ins_without_a_token(void) {
    static const char *const k_bodies[] = {
        "",
        "{}",
        "{\"auth\":null}",
        "{\"auth\":{}}",
        "{\"auth\":{\"client_token\":\"\"}}",
        "{\"auth\":{\"client_token\":\"t\",\"lease_duration\":-1}}",
        "<html></html>"};
    struct world world;
    world_begin(&world, use_role);
    set_reply(&world, 200, GOOD_ENCRYPT);
    for (size_t i = 0; i < sizeof k_bodies / sizeof k_bodies[0]; i++) {
        (void)snprintf(world.stub.log_in.body, sizeof world.stub.log_in.body, "%s", k_bodies[i]);
        http_server_sync();
        CU_ASSERT_EQUAL(seal(&world), AEL_E_BACKEND);
        CU_ASSERT(says(&world, "holds no token"));
    }
    CU_ASSERT_EQUAL(atomic_load(&world.stub.transit), 0);
    world_end(&world);
}

struct renewing {
    struct world *world;
    struct ael_cancel *cancel;
    const char *text;
    enum ael_status status;
};

static void *open_and_renew(void *argument) {
    struct renewing *renewing = argument;
    struct ael_call call = AEL_CALL_INIT;
    struct ael_secret *back = NULL;
    call.cancel = renewing->cancel;
    renewing->status =
        ael_kms_decrypt_key(renewing->world->kms, &call, ael_bytes_from_text("vault:v1:BBBB"), &back, NULL);
    ael_secret_release(back);
    return NULL;
}

static void test_kms_vault__lets_others_go_on_while_one_renews(void) {
    struct world world;
    pthread_t thread;
    struct renewing renewing = {.world = &world};
    CU_ASSERT_EQUAL_FATAL(ael_cancel_new(&renewing.cancel), AEL_OK);
    ael_clock_set_for_test(ael_clock_wall_s(), ael_clock_boot_ns());
    world_begin(&world, NULL);
    set_reply(&world, 200, GOOD_DECRYPT);
    CU_ASSERT_EQUAL(open_for(&world, 0), AEL_OK);
    CU_ASSERT_EQUAL(atomic_load(&world.stub.renewals), 1);
    ael_clock_advance_for_test(2500);
    world.stub.renewal_hangs = true;
    http_server_sync();
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, open_and_renew, &renewing), 0);
    while (atomic_load(&world.stub.renewals) < 2) {
        (void)sched_yield();
    }
    for (int i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(open_for(&world, 0), AEL_OK);
    }
    CU_ASSERT_EQUAL(atomic_load(&world.stub.renewals), 2);
    ael_cancel_trigger(renewing.cancel);
    (void)pthread_join(thread, NULL);
    CU_ASSERT_EQUAL(renewing.status, AEL_E_CANCELLED);
    CU_ASSERT_EQUAL(open_for(&world, 0), AEL_OK); /* the next try comes later */
    CU_ASSERT_EQUAL(atomic_load(&world.stub.renewals), 2);
    world_end(&world);
    ael_clock_reset_for_test();
    ael_cancel_free(renewing.cancel);
}

static void set_lease(struct world *world, int status, int lease_s) {
    world->stub.log_in.status = status;
    (void)snprintf(
        world->stub.log_in.body, sizeof world->stub.log_in.body,
        "{\"auth\":{\"client_token\":\"hvs.token\",\"lease_duration\":%d,\"renewable\":true}}", lease_s);
    http_server_sync();
}

static void test_kms_vault__logs_in_anew_when_a_renewal_gives_little(void) {
    struct world world;
    ael_clock_set_for_test(ael_clock_wall_s(), ael_clock_boot_ns());
    world_begin(&world, use_role);
    set_reply(&world, 200, GOOD_DECRYPT);
    set_lease(&world, 200, 3600);
    CU_ASSERT_EQUAL(open_for(&world, 0), AEL_OK);
    ael_clock_advance_for_test(2500);
    set_lease(&world, 200, 1800); /* half is enough */
    CU_ASSERT_EQUAL(open_for(&world, 0), AEL_OK);
    CU_ASSERT_EQUAL(atomic_load(&world.stub.log_ins), 1);
    ael_clock_advance_for_test(1300);
    set_lease(&world, 200, 1799);
    CU_ASSERT_EQUAL(open_for(&world, 0), AEL_OK);
    CU_ASSERT_EQUAL(atomic_load(&world.stub.renewals), 2);
    CU_ASSERT_EQUAL(atomic_load(&world.stub.log_ins), 2);
    world_end(&world);
    ael_clock_reset_for_test();
}

static void test_kms_vault__goes_on_to_the_end_of_a_lease_that_nobody_renews(void) {
    struct world world;
    ael_clock_set_for_test(ael_clock_wall_s(), ael_clock_boot_ns());
    world_begin(&world, use_role);
    set_reply(&world, 200, GOOD_DECRYPT);
    set_lease(&world, 200, 3600);
    CU_ASSERT_EQUAL(open_for(&world, 0), AEL_OK);
    set_lease(&world, 500, 3600);
    ael_clock_advance_for_test(2500);
    CU_ASSERT_EQUAL(open_for(&world, 0), AEL_OK);
    CU_ASSERT_EQUAL(open_for(&world, 0), AEL_OK);
    CU_ASSERT_EQUAL(atomic_load(&world.stub.renewals), 1);
    ael_clock_advance_for_test(400); /* a tenth later once more */
    CU_ASSERT_EQUAL(open_for(&world, 0), AEL_OK);
    CU_ASSERT_EQUAL(atomic_load(&world.stub.renewals), 2);
    ael_clock_advance_for_test(1000);
    CU_ASSERT_EQUAL(open_for(&world, 0), AEL_E_UNREACHABLE);
    set_lease(&world, 200, 3600);
    CU_ASSERT_EQUAL(open_for(&world, 0), AEL_OK);
    world_end(&world);
    ael_clock_reset_for_test();
}

/* ---- a token that was doubted, a renewal that gave little ---- */

static void refuse_log_ins(struct world *world) {
    world->stub.log_in.status = 400;
    (void)snprintf(
        world->stub.log_in.body, sizeof world->stub.log_in.body,
        "{\"errors\":[\"invalid role or secret ID\"]}");
    http_server_sync();
}

static void test_kms_vault__keeps_a_token_that_was_doubted_when_the_log_in_fails(void) {
    struct world world;
    ael_clock_set_for_test(ael_clock_wall_s(), ael_clock_boot_ns());
    world_begin(&world, use_role);
    set_reply(&world, 200, GOOD_DECRYPT);
    CU_ASSERT_EQUAL(open_for(&world, 0), AEL_OK);
    refuse_log_ins(&world); /* a secret id for one log-in */
    ael_clock_advance_for_test(20);
    set_reply(&world, 403, "{\"errors\":[\"permission denied\"]}"); /* one that may decrypt only */
    CU_ASSERT_EQUAL(seal(&world), AEL_E_KMS);
    CU_ASSERT(says(&world, "not allowed"));
    CU_ASSERT_EQUAL(atomic_load(&world.stub.log_ins), 2);
    set_reply(&world, 200, GOOD_DECRYPT);
    CU_ASSERT_EQUAL(open_for(&world, 0), AEL_OK);
    CU_ASSERT_EQUAL(atomic_load(&world.stub.log_ins), 2);
    set_reply(&world, 403, "{\"errors\":[\"permission denied\"]}");
    CU_ASSERT_EQUAL(seal(&world), AEL_E_KMS); /* no storm of log-ins */
    CU_ASSERT_EQUAL(atomic_load(&world.stub.log_ins), 2);
    set_reply(&world, 403, "{\"errors\":[\"permission denied\",\"invalid token\"]}");
    CU_ASSERT_EQUAL(seal(&world), AEL_E_KMS); /* but one that is none is given up */
    CU_ASSERT_EQUAL(atomic_load(&world.stub.log_ins), 3);
    set_reply(&world, 200, GOOD_DECRYPT);
    CU_ASSERT_EQUAL(open_for(&world, 0), AEL_E_KMS);
    world_end(&world);
    ael_clock_reset_for_test();
}

static void test_kms_vault__keeps_a_renewal_that_gave_little_when_the_log_in_fails(void) {
    struct world world;
    ael_clock_set_for_test(ael_clock_wall_s(), ael_clock_boot_ns());
    world_begin(&world, use_role);
    set_reply(&world, 200, GOOD_DECRYPT);
    CU_ASSERT_EQUAL(open_for(&world, 0), AEL_OK);
    ael_clock_advance_for_test(2500);
    world.stub.renewal = world.stub.log_in;
    world.stub.has_renewal = true;
    (void)snprintf(
        world.stub.renewal.body, sizeof world.stub.renewal.body,
        "{\"auth\":{\"client_token\":\"hvs.token\",\"lease_duration\":1700,\"renewable\":true}}");
    refuse_log_ins(&world);
    CU_ASSERT_EQUAL(open_for(&world, 0), AEL_OK);
    CU_ASSERT_EQUAL(atomic_load(&world.stub.log_ins), 2);
    ael_clock_advance_for_test(
        1120); /* behind the end of the log-in's lease, before two thirds of the renewal's */
    CU_ASSERT_EQUAL(open_for(&world, 0), AEL_OK);
    CU_ASSERT_EQUAL(atomic_load(&world.stub.log_ins), 2);
    world_end(&world);
    ael_clock_reset_for_test();
}

/* ---- a token that is refused while it is being renewed ---- */

static struct gate s_renewal = GATE_INIT;

/* A renewal waits, as if it were long on its way. */
static void hold_renewal(void *context, enum ael_metric_kind kind, const char *name, int64_t value) {
    (void)context, (void)kind, (void)value;
    if (strcmp(name, "ael.kms.vault.renew") == 0) {
        gate_pass(&s_renewal);
    }
}

static void *open_alone(void *argument) {
    struct renewing *renewing = argument;
    struct ael_secret *back = NULL;
    renewing->status =
        ael_kms_decrypt_key(renewing->world->kms, NULL, ael_bytes_from_text(renewing->text), &back, NULL);
    ael_secret_release(back);
    return NULL;
}

/* It was renewed, then revoked, then refused; then the answer to the renewal came. */
static void test_kms_vault__gives_a_token_up_that_was_refused_while_it_was_renewed(void) {
    struct world world;
    pthread_t thread;
    pthread_t other;
    struct renewing first = {.world = &world, .text = "vault:v1:BBBB"};
    struct renewing second = {.world = &world, .text = "vault:v1:CCCC"};
    struct ael_hooks hooks = AEL_HOOKS_INIT;
    hooks.metric = hold_renewal;
    ael_clock_set_for_test(ael_clock_wall_s(), ael_clock_boot_ns());
    world_begin(&world, use_role);
    set_reply(&world, 200, GOOD_DECRYPT);
    CU_ASSERT_EQUAL(open_for(&world, 0), AEL_OK);
    world.stub.renewal = world.stub.log_in;
    world.stub.has_renewal = true;
    (void)snprintf(
        world.stub.log_in.body, sizeof world.stub.log_in.body,
        "{\"auth\":{\"client_token\":\"hvs.two\",\"lease_duration\":3600,\"renewable\":true}}");
    ael_clock_advance_for_test(2500);
    gate_shut(&s_renewal);
    CU_ASSERT_EQUAL_FATAL(ael_hooks_set(&hooks), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, open_alone, &first), 0);
    gate_wait_for(&s_renewal, 1);
    world.stub.is_revoked = true;
    http_server_sync();
    CU_ASSERT_EQUAL_FATAL(pthread_create(&other, NULL, open_alone, &second), 0);
    while (atomic_load(&world.stub.transit) < 2) {
        (void)sched_yield();
    }
    (void)poll(NULL, 0, 100); /* it reads the refusal; one that comes later proves less */
    gate_open(&s_renewal);
    (void)pthread_join(thread, NULL);
    (void)pthread_join(other, NULL);
    CU_ASSERT_EQUAL(first.status, AEL_OK);
    CU_ASSERT_EQUAL(second.status, AEL_OK);
    CU_ASSERT_EQUAL(atomic_load(&world.stub.log_ins), 2);
    CU_ASSERT_EQUAL(ael_hooks_set(NULL), AEL_OK);
    world_end(&world);
    ael_clock_reset_for_test();
}

/* ---- who waits for one that is pressed for time ---- */

static struct gate s_log_in = GATE_INIT;

static void hold_log_in(void *context, enum ael_metric_kind kind, const char *name, int64_t value) {
    (void)context, (void)kind, (void)value;
    if (strcmp(name, "ael.kms.vault.login") == 0) {
        gate_pass(&s_log_in);
    }
}

static void *open_pressed(void *argument) {
    struct renewing *renewing = argument;
    struct ael_call call = AEL_CALL_INIT;
    struct ael_secret *back = NULL;
    call.deadline_ns = ael_deadline_in_ms(900);
    renewing->status =
        ael_kms_decrypt_key(renewing->world->kms, &call, ael_bytes_from_text(renewing->text), &back, NULL);
    ael_secret_release(back);
    return NULL;
}

static void test_kms_vault__logs_in_for_itself_behind_one_that_had_no_time(void) {
    struct world world;
    pthread_t threads[2];
    struct renewing calls[2] = {
        {.world = &world, .text = "vault:v1:BBBB"}, {.world = &world, .text = "vault:v1:CCCC"}};
    struct ael_hooks hooks = AEL_HOOKS_INIT;
    hooks.metric = hold_log_in;
    world_begin(&world, use_role);
    set_reply(&world, 200, GOOD_DECRYPT);
    world.stub.first_log_in_fails = true;
    gate_shut(&s_log_in);
    CU_ASSERT_EQUAL_FATAL(ael_hooks_set(&hooks), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[0], NULL, open_pressed, &calls[0]), 0);
    gate_wait_for(&s_log_in, 1);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[1], NULL, open_alone, &calls[1]), 0);
    (void)poll(NULL, 0, 50); /* it comes to wait for the log-in; one that comes later proves less */
    gate_open(&s_log_in);
    (void)pthread_join(threads[0], NULL);
    (void)pthread_join(threads[1], NULL);
    CU_ASSERT(calls[0].status == AEL_E_UNREACHABLE || calls[0].status == AEL_E_TIMEOUT);
    CU_ASSERT_EQUAL(calls[1].status, AEL_OK);
    CU_ASSERT_EQUAL(ael_hooks_set(NULL), AEL_OK);
    world_end(&world);
}

/* ---- forks in the middle of a call ---- */

static pid_t s_child = -1;
static const char *s_fork_at; /* name of a counter */

static void fork_once(void *context, enum ael_metric_kind kind, const char *name, int64_t value) {
    (void)context, (void)kind, (void)value;
    if (s_fork_at != NULL && strcmp(name, s_fork_at) == 0) {
        s_fork_at = NULL;
        s_child = fork();
    }
}

static void expect_both_go_on(const char *fork_at) {
    struct world world;
    struct ael_hooks hooks = AEL_HOOKS_INIT;
    int how = -1;
    if (UNDER_TSAN) {
        return; /* it ends a child of several threads that starts one */
    }
    hooks.metric = fork_once;
    world_begin(&world, use_role);
    set_reply(&world, 200, GOOD_DECRYPT);
    CU_ASSERT_EQUAL_FATAL(ael_hooks_set(&hooks), AEL_OK);
    s_fork_at = fork_at;
    struct ael_secret *back = NULL;
    enum ael_status status =
        ael_kms_decrypt_key(world.kms, NULL, ael_bytes_from_text("vault:v1:AAAA"), &back, NULL);
    ael_secret_release(back);
    if (s_child == 0) { /* the parent's server answers it */
        back = NULL;
        enum ael_status again =
            ael_kms_decrypt_key(world.kms, NULL, ael_bytes_from_text("vault:v1:AAAA"), &back, NULL);
        ael_secret_release(back);
        _exit(status == AEL_OK && again == AEL_OK ? 0 : 1);
    }
    CU_ASSERT_EQUAL(status, AEL_OK);
    CU_ASSERT_EQUAL_FATAL(waitpid(s_child, &how, 0), s_child);
    CU_ASSERT_EQUAL(how, 0);
    CU_ASSERT_EQUAL(ael_hooks_set(NULL), AEL_OK);
    world_end(&world);
}

static void test_kms_vault_decrypt__goes_on_in_a_child_of_who_calls(void) {
    expect_both_go_on("ael.kms.vault.login");
}

static void *open_the_same(void *argument) {
    struct renewing *renewing = argument;
    struct ael_call call = AEL_CALL_INIT;
    struct ael_secret *back = NULL;
    call.deadline_ns = ael_deadline_in_ms(10000);
    renewing->status =
        ael_kms_decrypt_key(renewing->world->kms, &call, ael_bytes_from_text("vault:v1:AAAA"), &back, NULL);
    ael_secret_release(back);
    if (s_child == 0) { /* what the other thread held is lost here, which a leak check at an exit would tell */
        _exit(renewing->status == AEL_OK ? raise(SIGKILL) : 1);
    }
    return NULL;
}

static void fork_who_waits(void *context, enum ael_metric_kind kind, const char *name, int64_t value) {
    (void)context, (void)kind, (void)value;
    if (s_child >= 0) {
        return;
    }
    if (strcmp(name, "ael.kms.vault.login") == 0) {
        gate_pass(&s_log_in);
    } else if (strcmp(name, "ael.kms.vault.decrypt_joined") == 0) {
        s_child = fork();
        if (s_child != 0) {
            gate_open(&s_log_in);
        }
    }
}

static void test_kms_vault_decrypt__goes_on_in_a_child_of_who_waits(void) {
    struct world world;
    pthread_t threads[2];
    struct renewing calls[2] = {{.world = &world}, {.world = &world}};
    struct ael_hooks hooks = AEL_HOOKS_INIT;
    int how = -1;
    if (UNDER_TSAN) {
        return;
    }
    s_child = -1;
    hooks.metric = fork_who_waits;
    gate_shut(&s_log_in);
    world_begin(&world, use_role);
    set_reply(&world, 200, GOOD_DECRYPT);
    CU_ASSERT_EQUAL_FATAL(ael_hooks_set(&hooks), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[0], NULL, open_the_same, &calls[0]), 0);
    gate_wait_for(&s_log_in, 1);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[1], NULL, open_the_same, &calls[1]), 0);
    (void)pthread_join(threads[0], NULL);
    (void)pthread_join(threads[1], NULL);
    CU_ASSERT_EQUAL(calls[0].status, AEL_OK);
    CU_ASSERT_EQUAL(calls[1].status, AEL_OK);
    CU_ASSERT_EQUAL_FATAL(waitpid(s_child, &how, 0), s_child);
    CU_ASSERT(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
    CU_ASSERT_EQUAL(ael_hooks_set(NULL), AEL_OK);
    world_end(&world);
}

/* ---- proxies ---- */

static void test_kms_vault__goes_through_no_proxy_to_this_machine(void) {
    struct world world;
    struct stub proxy = {.server = NULL};
    (void)unsetenv("no_proxy");
    (void)unsetenv("NO_PROXY");
    proxy.server = http_server_start(answer, &proxy);
    CU_ASSERT_PTR_NOT_NULL_FATAL(proxy.server);
    (void)setenv("http_proxy", http_server_url(proxy.server), 1);
    world_begin(&world, NULL);
    set_reply(&world, 200, GOOD_ENCRYPT);
    (void)snprintf(proxy.log_in.body, sizeof proxy.log_in.body, "%s", GOOD_LOGIN);
    (void)snprintf(proxy.reply.body, sizeof proxy.reply.body, "%s", GOOD_ENCRYPT);
    CU_ASSERT_EQUAL(seal(&world), AEL_OK);
    CU_ASSERT_EQUAL(atomic_load(&proxy.transit) + atomic_load(&proxy.renewals), 0);
    CU_ASSERT_STRING_EQUAL(proxy.last.headers, "");
    CU_ASSERT_STRING_EQUAL(proxy.last.body, "");
    if (proxy.last.method[0] != '\0') {
        printf(
            "\n    the proxy got: %s %s\n%s%s", proxy.last.method, proxy.last.target, proxy.last.headers,
            proxy.last.body);
    }
    (void)unsetenv("http_proxy");
    world_end(&world);
    http_server_stop(proxy.server);
}

/* ---- options ---- */

static void give_no_address(struct ael_kms_vault_options *options) {
    options->address = NULL;
}
static void give_no_url(struct ael_kms_vault_options *options) {
    options->address = "vault.internal:8200";
}
static void give_no_tls(struct ael_kms_vault_options *options) {
    options->address = "http://vault.internal:8200";
}
static void give_a_name_in_the_url(struct ael_kms_vault_options *options) {
    options->address = "https://me:secret@vault.internal";
}
static void give_no_key(struct ael_kms_vault_options *options) {
    options->key = NULL;
}
static void give_a_path_as_key(struct ael_kms_vault_options *options) {
    options->key = "../sys/seal";
}
static void give_dots_as_mount(struct ael_kms_vault_options *options) {
    options->mount = "transit/../sys";
}
static void give_a_line_end(struct ael_kms_vault_options *options) {
    options->vault_namespace = "a\r\nX-Vault-Token: b";
}
static void give_no_token(struct ael_kms_vault_options *options) {
    options->token = NULL;
}
static void give_no_role(struct ael_kms_vault_options *options) {
    options->auth = AEL_KMS_VAULT_KUBERNETES;
}
static void give_a_quote(struct ael_kms_vault_options *options) {
    options->auth = AEL_KMS_VAULT_KUBERNETES;
    options->role = "a\",\"b\":\"";
}
static void give_no_role_id(struct ael_kms_vault_options *options) {
    options->auth = AEL_KMS_VAULT_APPROLE;
}
static void give_no_certificate(struct ael_kms_vault_options *options) {
    options->auth = AEL_KMS_VAULT_CERT;
}
static void give_another_way(struct ael_kms_vault_options *options) {
    options->auth = (enum ael_kms_vault_auth)9;
}
static void give_no_connections(struct ael_kms_vault_options *options) {
    options->max_connections = 0;
}

static void test_kms_vault_new__refuses_bad_options_and_wipes_the_token(void) {
    void (*const ways[])(struct ael_kms_vault_options * options) = {
        give_no_address,     give_no_url,        give_no_tls,        give_a_name_in_the_url,
        give_no_key,         give_a_path_as_key, give_dots_as_mount, give_a_line_end,
        give_no_token,       give_no_role,       give_a_quote,       give_no_role_id,
        give_no_certificate, give_another_way,   give_no_connections};
    (void)unsetenv("VAULT_ADDR");
    (void)unsetenv("VAULT_TOKEN");
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        struct ael_kms_vault_options options = AEL_KMS_VAULT_OPTIONS_INIT;
        struct ael_kms *kms = NULL;
        struct ael_error err = {.status = AEL_OK};
        char token[] = "hvs.token";
        char *given = token;
        options.address = "https://127.0.0.1:8200";
        options.key = "orders";
        options.token = token;
        ways[i](&options);
        given = options.token;
        CU_ASSERT_EQUAL(ael_kms_vault_new(&options, &kms, &err), AEL_E_ARGUMENT);
        CU_ASSERT_PTR_NULL(kms);
        CU_ASSERT(strlen(err.detail) > 10);
        CU_ASSERT_PTR_NULL(strstr(err.detail, "secret@"));
        CU_ASSERT(given == NULL || (token[0] == '\0' && token[8] == '\0'));
        ael_kms_release(kms);
    }
    CU_ASSERT_EQUAL(ael_kms_vault_new(NULL, NULL, NULL), AEL_E_ARGUMENT);
    struct ael_kms_vault_options nowhere = AEL_KMS_VAULT_OPTIONS_INIT;
    char given_token[] = "hvs.token";
    char given_id[] = "secret";
    nowhere.token = given_token;
    nowhere.secret_id = given_id;
    CU_ASSERT_EQUAL(ael_kms_vault_new(&nowhere, NULL, NULL), AEL_E_ARGUMENT);
    CU_ASSERT(given_token[0] == '\0' && given_token[8] == '\0' && given_id[0] == '\0');
}

/* ---- files ---- */

static enum ael_status read_text(const char *content, size_t len, size_t pieces, size_t lens[static 4]) {
    char path[] = "/tmp/ael-vault-text-XXXXXX";
    struct ael_http_text text = {{NULL}};
    struct ael_error err;
    int fd = mkstemp(path);
    CU_ASSERT_FATAL(fd >= 0 && write(fd, content, len) == (ssize_t)len);
    (void)close(fd);
    enum ael_status status = ael_secret_file_read(path, "the file", pieces, NULL, &text, &err);
    for (size_t i = 0; i < 4; i++) {
        lens[i] = ael_secret_len(text.pieces[i]);
    }
    ael_http_text_clear(&text);
    (void)unlink(path);
    return status;
}

static void test_secret_file_read__takes_one_text_and_nothing_else(void) {
    static char content[5000];
    size_t lens[4];
    memset(content, 'x', sizeof content);
    CU_ASSERT_EQUAL(read_text("token\n", 6, 1, lens), AEL_OK);
    CU_ASSERT_EQUAL(lens[0], 5);
    CU_ASSERT_EQUAL(read_text("", 0, 1, lens), AEL_E_KEY_FILE);
    CU_ASSERT_EQUAL(read_text(" \n", 2, 1, lens), AEL_E_KEY_FILE);
    CU_ASSERT_EQUAL(read_text("a b", 3, 1, lens), AEL_E_KEY_FILE);
    CU_ASSERT_EQUAL(read_text(content, 960, 1, lens), AEL_OK);
    CU_ASSERT_EQUAL(lens[0], 960);
    CU_ASSERT_EQUAL(read_text(content, 961, 1, lens), AEL_E_KEY_FILE);
    CU_ASSERT_EQUAL(read_text(content, 3840, 4, lens), AEL_OK);
    CU_ASSERT_EQUAL(lens[0] + lens[1] + lens[2] + lens[3], 3840);
    CU_ASSERT_EQUAL(read_text(content, 3841, 4, lens), AEL_E_KEY_FILE);
    CU_ASSERT_EQUAL(lens[0], 0);
    content[960] = '\n';
    CU_ASSERT_EQUAL(read_text(content, 961, 1, lens), AEL_OK);
    CU_ASSERT_EQUAL(read_text(content, 2000, 4, lens), AEL_E_KEY_FILE);
    content[960] = 'x';
    memset(content + 959, '\n', 2000);
    CU_ASSERT_EQUAL(read_text(content, 2000, 4, lens), AEL_OK);
    CU_ASSERT_EQUAL(lens[0], 959);
    CU_ASSERT_EQUAL(read_text(content, 2960, 4, lens), AEL_E_KEY_FILE);
    struct ael_http_text text = {{NULL}};
    CU_ASSERT_EQUAL(ael_secret_file_read("/nowhere/token", "the file", 1, NULL, &text, NULL), AEL_E_KEY_FILE);
    CU_ASSERT_EQUAL(ael_secret_file_read("/tmp", "the file", 1, NULL, &text, NULL), AEL_E_KEY_FILE);
}

static const struct test_case k_cases[] = {
    {"it sends what Vault asks for", test_kms_vault__sends_what_vault_asks_for},
    {"it refuses answers that are none of Vault's", test_kms_vault__refuses_answers_that_are_none_of_vaults},
    {"encrypt keeps nothing as short as the key",
     test_kms_vault_encrypt__keeps_nothing_that_is_no_longer_than_the_key},
    {"decrypt refuses keys that are none", test_kms_vault_decrypt__refuses_keys_that_are_none},
    {"it asks again when it may pass", test_kms_vault__asks_again_when_it_may_pass},
    {"it is cancelled between two tries", test_kms_vault__is_cancelled_while_it_pauses},
    {"it does not repeat what a server says", test_kms_vault__does_not_repeat_what_a_server_says},
    {"it ends in time when nothing comes", test_kms_vault__ends_in_time_when_nothing_comes},
    {"it refuses a body without an end", test_kms_vault__refuses_a_body_without_an_end},
    {"it sees connections that are lost", test_kms_vault__sees_connections_that_are_lost},
    {"it does not ask a server that fails", test_kms_vault__does_not_ask_a_server_that_fails_again_and_again},
    {"it takes tokens up to a length", test_kms_vault__takes_tokens_up_to_a_length},
    {"it refuses tokens that no header may hold", test_kms_vault__refuses_tokens_that_no_header_may_hold},
    {"it names a file that cannot be sent", test_kms_vault__names_a_file_that_cannot_be_sent},
    {"it refuses log-ins without a token", test_kms_vault__refuses_log_ins_without_a_token},
    {"it lets others go on while one renews", test_kms_vault__lets_others_go_on_while_one_renews},
    {"it logs in anew when a renewal gives little", test_kms_vault__logs_in_anew_when_a_renewal_gives_little},
    {"it goes on to the end of a lease", test_kms_vault__goes_on_to_the_end_of_a_lease_that_nobody_renews},
    {"a doubted token", test_kms_vault__keeps_a_token_that_was_doubted_when_the_log_in_fails},
    {"a renewal that gave little", test_kms_vault__keeps_a_renewal_that_gave_little_when_the_log_in_fails},
    {"a token refused while renewed", test_kms_vault__gives_a_token_up_that_was_refused_while_it_was_renewed},
    {"one that had no time", test_kms_vault__logs_in_for_itself_behind_one_that_had_no_time},
    {"a fork in the middle of a decrypt", test_kms_vault_decrypt__goes_on_in_a_child_of_who_calls},
    {"a fork of one who waits", test_kms_vault_decrypt__goes_on_in_a_child_of_who_waits},
    {"no proxy to this machine", test_kms_vault__goes_through_no_proxy_to_this_machine},
    {"new refuses bad options", test_kms_vault_new__refuses_bad_options_and_wipes_the_token},
    {"a file holds one text", test_secret_file_read__takes_one_text_and_nothing_else},
};

TEST_SUITE_MAIN("kms: vault, refusals", k_cases)
