/*
 * tests/unit/test_kms_secrets_manager.c - ael/kms_secrets_manager.h: against moto, which verifies signatures and policies, and
 * against a stub that checks each request and answers what no service should.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ael/hooks.h>
#include <ael/kms_chain.h>
#include <ael/kms_secrets_manager.h>
#include <ael/memory.h>
#include <ael/sys/kms_backend.h>

#include "base/alloc.h"
#include "kms/secrets_manager/key.h"
#include "tests/support/aws_kms_server.h"
#include "tests/support/child.h"
#include "tests/support/hex.h"
#include "tests/support/http_server.h"
#include "tests/support/memory_level.h"
#include "tests/support/suite.h"
#include "tests/support/watch_log.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define MASTER_HEX  "303132333435363738396162636465666768696a6b6c6d6e6f70717273747576"
#define MASTER_B64  "MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY="
#define MASTER_TEXT "0123456789abcdefghijklmnopqrstuv"
#define OTHER_HEX   "ff32333435363738396162636465666768696a6b6c6d6e6f7071727374757677"

/* ---- keys ---- */

static struct ael_kms *static_kms(void) {
    uint8_t bytes[33] = MASTER_TEXT;
    struct ael_kms *kms = NULL;
    CU_ASSERT_EQUAL_FATAL(ael_kms_static_from_bytes(bytes, 32, &kms, NULL), AEL_OK);
    return kms;
}

/* Encrypts a new key with one KMS and decrypts it with the other; err is of the last that failed. */
static enum ael_status
pass_on(struct ael_kms *from, struct ael_kms *to, const struct ael_call *call, struct ael_error *err) {
    struct ael_secret *key = NULL;
    struct ael_secret *back = NULL;
    struct ael_buf sealed = AEL_BUF_INIT;
    struct ael_secret_access one;
    struct ael_secret_access two;
    CU_ASSERT_EQUAL_FATAL(ael_secret_new_random(32, &key), AEL_OK);
    enum ael_status status = ael_kms_encrypt_key(from, call, key, &sealed, err);
    if (status == AEL_OK) {
        CU_ASSERT_EQUAL(sealed.len, 60);
        status = ael_kms_decrypt_key(to, call, ael_buf_view(&sealed), &back, err);
    }
    CU_ASSERT_EQUAL(status == AEL_OK, back != NULL);
    if (status == AEL_OK && ael_secret_access_begin(key, &one) == AEL_OK) {
        CU_ASSERT_EQUAL_FATAL(ael_secret_access_begin(back, &two), AEL_OK);
        CU_ASSERT(two.bytes.len == 32 && memcmp(one.bytes.data, two.bytes.data, 32) == 0);
        CU_ASSERT_EQUAL(ael_secret_access_end(&two), AEL_OK);
        CU_ASSERT_EQUAL(ael_secret_access_end(&one), AEL_OK);
    }
    ael_buf_clear(&sealed);
    ael_secret_release(key);
    ael_secret_release(back);
    return status;
}

static enum ael_status round_trip(struct ael_kms *kms, struct ael_error *err) {
    return pass_on(kms, kms, NULL, err);
}

static bool says(const struct ael_error *err, const char *words) {
    bool found = strstr(err->detail, words) != NULL;
    if (!found) {
        printf("\n    not \"%s\": %s", words, err->detail);
    }
    return found;
}

/* ---- moto ---- */

static void begin(void) {
    CU_ASSERT_PTR_NOT_NULL_FATAL(aws_kms_server(false));
    aws_kms_server_reset();
}

static struct ael_kms_secrets_manager_options options_for(const char *secret) {
    const struct aws_kms_server *server = aws_kms_server(false);
    struct ael_kms_secrets_manager_options options = AEL_KMS_SECRETS_MANAGER_OPTIONS_INIT;
    options.secret_id = secret;
    options.region = server->places[AWS_WEST].region;
    options.endpoint = server->places[AWS_WEST].url;
    options.try_timeout_ms = 20000;
    options.connect_timeout_ms = 10000;
    return options;
}

static struct ael_kms *make(const struct ael_kms_secrets_manager_options *options) {
    struct ael_kms *kms = NULL;
    struct ael_error err = {.status = AEL_OK};
    CU_ASSERT_EQUAL_FATAL(ael_kms_secrets_manager_new(options, &kms, &err), AEL_OK);
    return kms;
}

static struct ael_kms *kms_of(const char *secret) {
    struct ael_kms_secrets_manager_options options = options_for(secret);
    return make(&options);
}

static bool store(const char *secret, const char *kind, const char *value) {
    return aws_kms_server_secret(AWS_WEST, secret, kind, value, NULL);
}

static unsigned asked(void) {
    return aws_kms_server_count(AWS_WEST, "GetSecretValue");
}

static void test_kms_secrets_manager__reads_and_writes_rows_of_the_static_kms(void) {
    static const char *const k_secrets[][3] = {
        {"plain", "text", MASTER_HEX},
        {"marked", "text", "0x" MASTER_HEX "\\n"},
        {"folded", "text", "3031323334353637\\n3839616263646566\\n6768696A6B6C6D6E\\n6F7071727374757\\n6\\n"},
        {"bytes", "binary", MASTER_HEX},
    };
    begin();
    for (size_t i = 0; i < sizeof k_secrets / sizeof k_secrets[0]; i++) {
        struct ael_error err = {.status = AEL_OK};
        struct ael_kms *fixed = static_kms();
        CU_ASSERT_TRUE(store(k_secrets[i][0], k_secrets[i][1], k_secrets[i][2]));
        struct ael_kms *kms = kms_of(k_secrets[i][0]);
        CU_ASSERT_STRING_EQUAL(ael_kms_name(kms), "secretsmanager");
        CU_ASSERT_EQUAL(pass_on(fixed, kms, NULL, &err), AEL_OK);
        CU_ASSERT_EQUAL(pass_on(kms, fixed, NULL, &err), AEL_OK);
        ael_kms_release(kms);
        ael_kms_release(fixed);
    }
}

static void test_kms_secrets_manager__asks_once(void) {
    begin();
    CU_ASSERT_TRUE(store("once", "text", MASTER_HEX));
    unsigned before = asked();
    struct ael_kms *kms = kms_of("once");
    CU_ASSERT_EQUAL(asked(), before);
    for (int i = 0; i < 5; i++) {
        CU_ASSERT_EQUAL(round_trip(kms, NULL), AEL_OK);
    }
    CU_ASSERT_EQUAL(asked(), before + 1);
    aws_kms_server_set(AWS_WEST, "shut");
    CU_ASSERT_EQUAL(round_trip(kms, NULL), AEL_OK);
    ael_kms_release(kms);
    aws_kms_server_reset();
}

static void *use(void *kms) {
    return round_trip(kms, NULL) == AEL_OK ? kms : NULL;
}

static void test_kms_secrets_manager__asks_once_for_all_threads(void) {
    enum { THREADS = 16 };
    pthread_t threads[THREADS];
    begin();
    CU_ASSERT_TRUE(store("threads", "text", MASTER_HEX));
    unsigned before = asked();
    struct ael_kms *kms = kms_of("threads");
    aws_kms_server_delay(AWS_WEST, 200);
    for (int i = 0; i < THREADS; i++) {
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, use, kms), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *good = NULL;
        CU_ASSERT_EQUAL(pthread_join(threads[i], &good), 0);
        CU_ASSERT_PTR_NOT_NULL(good);
    }
    CU_ASSERT_EQUAL(asked(), before + 1);
    ael_kms_release(kms);
    aws_kms_server_reset();
}

/* ---- rotation ---- */

static void test_kms_secrets_manager__loses_no_row_by_a_rotation(void) {
    struct ael_error err = {.status = AEL_OK};
    struct ael_kms *chain = NULL;
    char first[64];
    begin();
    CU_ASSERT_TRUE(aws_kms_server_secret(AWS_WEST, "turns", "text", MASTER_HEX, first));
    struct ael_kms *running = kms_of("turns");
    CU_ASSERT_EQUAL(round_trip(running, &err), AEL_OK);
    CU_ASSERT_TRUE(store("turns", "text", OTHER_HEX));
    struct ael_kms *fixed = static_kms();
    struct ael_kms *later = kms_of("turns");
    CU_ASSERT_EQUAL(pass_on(fixed, running, NULL, &err), AEL_OK); /* goes on with what it has got */
    CU_ASSERT_EQUAL(round_trip(later, &err), AEL_OK);
    CU_ASSERT_EQUAL(pass_on(fixed, later, NULL, &err), AEL_E_KMS);
    CU_ASSERT_TRUE(says(&err, "rotated"));
    struct ael_kms_secrets_manager_options options = options_for("turns");
    options.version_stage = "AWSPREVIOUS";
    struct ael_kms *earlier = make(&options);
    CU_ASSERT_EQUAL(pass_on(fixed, earlier, NULL, &err), AEL_OK);
    options.version_stage = NULL;
    options.version_id = first;
    struct ael_kms *named = make(&options);
    CU_ASSERT_EQUAL(pass_on(fixed, named, NULL, &err), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_kms_chain_new(later, earlier, &chain, &err), AEL_OK);
    CU_ASSERT_EQUAL(pass_on(fixed, chain, NULL, &err), AEL_OK);
    CU_ASSERT_EQUAL(pass_on(later, chain, NULL, &err), AEL_OK);
    CU_ASSERT_EQUAL(pass_on(chain, later, NULL, &err), AEL_OK);
    ael_kms_release(chain);
    ael_kms_release(named);
    ael_kms_release(earlier);
    ael_kms_release(later);
    ael_kms_release(fixed);
    ael_kms_release(running);
}

static void test_kms_secrets_manager_health__asks_and_tells_of_another_value(void) {
    struct ael_error err = {.status = AEL_OK};
    begin();
    CU_ASSERT_TRUE(store("health", "text", MASTER_HEX));
    struct ael_kms *kms = kms_of("health");
    unsigned before = asked();
    watch_log();
    CU_ASSERT_EQUAL(ael_kms_health(kms, NULL, &err), AEL_OK);
    CU_ASSERT_EQUAL(round_trip(kms, &err), AEL_OK);
    CU_ASSERT_EQUAL(asked(), before + 1); /* health's answer is kept */
    CU_ASSERT_EQUAL(ael_kms_health(kms, NULL, &err), AEL_OK);
    CU_ASSERT_EQUAL(asked(), before + 2);
    CU_ASSERT_FALSE(was_logged("another value"));
    CU_ASSERT_TRUE(store("health", "text", OTHER_HEX));
    CU_ASSERT_EQUAL(ael_kms_health(kms, NULL, &err), AEL_OK);
    CU_ASSERT_TRUE(was_logged("another value"));
    aws_kms_server_set(AWS_WEST, "shut");
    CU_ASSERT_EQUAL(ael_kms_health(kms, NULL, &err), AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(ael_hooks_set(NULL), AEL_OK);
    ael_kms_release(kms);
    aws_kms_server_reset();
}

static void test_kms_secrets_manager_new__warns_and_names_what_it_is_for(void) {
    begin();
    watch_log();
    struct ael_kms *kms = kms_of("plain");
    CU_ASSERT_TRUE(was_logged("for moving off it"));
    CU_ASSERT_EQUAL(ael_hooks_set(NULL), AEL_OK);
    ael_kms_release(kms);
}

/* ---- refusals of the service's ---- */

static void expect_refused(struct ael_kms *kms, enum ael_status status, const char *words) {
    struct ael_error err = {.status = AEL_OK, .component = ""};
    CU_ASSERT_EQUAL(round_trip(kms, &err), status);
    CU_ASSERT_EQUAL(err.status, status);
    CU_ASSERT_STRING_EQUAL(err.component, "kms/secrets-manager");
    CU_ASSERT_TRUE(says(&err, words));
    ael_kms_release(kms);
}

static void test_kms_secrets_manager__names_what_is_missing(void) {
    begin();
    expect_refused(kms_of("nowhere"), AEL_E_KMS, "no such secret");
    struct ael_kms_secrets_manager_options options = options_for("plain");
    CU_ASSERT_TRUE(store("plain", "text", MASTER_HEX));
    options.version_id = "00000000-0000-0000-0000-000000000000";
    expect_refused(make(&options), AEL_E_KMS, "version");
    options.version_id = NULL;
    options.region = "us-east-1"; /* to sign for: the secret is not there */
    expect_refused(make(&options), AEL_E_KMS, "no such secret");
}

static void test_kms_secrets_manager__names_what_is_not_allowed(void) {
    begin();
    const struct aws_kms_server *server = aws_kms_server(false);
    CU_ASSERT_TRUE(store("plain", "text", MASTER_HEX));
    setenv("AWS_ACCESS_KEY_ID", server->stranger_access_key, 1);
    setenv("AWS_SECRET_ACCESS_KEY", server->stranger_secret_key, 1);
    expect_refused(kms_of("plain"), AEL_E_KMS, "secretsmanager:GetSecretValue");
    setenv("AWS_SECRET_ACCESS_KEY", "wrong", 1);
    expect_refused(kms_of("plain"), AEL_E_KMS, "the signature does not match");
    setenv("AWS_ACCESS_KEY_ID", server->access_key, 1);
    setenv("AWS_SECRET_ACCESS_KEY", server->secret_key, 1);
}

static void test_kms_secrets_manager__refuses_secrets_that_are_no_key(void) {
    static const char *const k_texts[] = {
        "{\"key\":\"" MASTER_HEX "\"}",
        MASTER_B64,
        MASTER_TEXT,
        "3031",
        MASTER_HEX "77",
        "0x",
        ("0x0x" MASTER_HEX),
        "g03132333435363738396162636465666768696a6b6c6d6e6f70717273747576"};
    static const char *const k_bytes[] = {"30", "3031323334353637383961626364656667686961", MASTER_HEX "77"};
    begin();
    for (size_t i = 0; i < sizeof k_texts / sizeof k_texts[0]; i++) {
        CU_ASSERT_TRUE(store("bad-text", "text", k_texts[i]));
        expect_refused(kms_of("bad-text"), AEL_E_KMS, "64 hexadecimal digits");
    }
    for (size_t i = 0; i < sizeof k_bytes / sizeof k_bytes[0]; i++) {
        CU_ASSERT_TRUE(store("bad-bytes", "binary", k_bytes[i]));
        expect_refused(kms_of("bad-bytes"), AEL_E_KMS, "32 bytes");
    }
}

/* A failure is not kept: the next call asks again. */
static void test_kms_secrets_manager__goes_on_when_the_secret_is_mended(void) {
    struct ael_error err = {.status = AEL_OK};
    begin();
    CU_ASSERT_TRUE(store("mended", "text", "soon"));
    struct ael_kms *kms = kms_of("mended");
    CU_ASSERT_EQUAL(round_trip(kms, &err), AEL_E_KMS);
    CU_ASSERT_TRUE(store("mended", "text", MASTER_HEX));
    CU_ASSERT_EQUAL(round_trip(kms, &err), AEL_OK);
    ael_kms_release(kms);
}

/* ---- a stub ---- */

struct stub {
    struct http_server *server;
    struct http_server_reply reply;
    const char *body; /* that a request must have */
    unsigned requests;
    unsigned strange;
};

static bool is_right(const struct stub *stub, const struct http_server_request *request) {
    char value[4096];
    return strcmp(request->method, "POST") == 0 && strcmp(request->target, "/") == 0 &&
           strcmp(http_server_header(request, "X-Amz-Target", value), "secretsmanager.GetSecretValue") == 0 &&
           strcmp(http_server_header(request, "Content-Type", value), "application/x-amz-json-1.1") == 0 &&
           strncmp(
               http_server_header(request, "Authorization", value), "AWS4-HMAC-SHA256 Credential=id/", 31) ==
               0 &&
           strstr(value, "/eu-west-1/secretsmanager/aws4_request") != NULL &&
           request->body_len == strlen(stub->body) &&
           memcmp(request->body, stub->body, request->body_len) == 0;
}

static void
answer(void *context, const struct http_server_request *request, struct http_server_reply *reply) {
    struct stub *stub = context;
    stub->requests++;
    stub->strange += is_right(stub, request) ? 0 : 1;
    *reply = stub->reply;
    http_server_sync();
}

static struct ael_kms_secrets_manager_options stub_begin(struct stub *stub) {
    struct ael_kms_secrets_manager_options options = AEL_KMS_SECRETS_MANAGER_OPTIONS_INIT;
    memset(stub, 0, sizeof *stub);
    stub->body = "{\"SecretId\":\"s\"}";
    setenv("AWS_ACCESS_KEY_ID", "id", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
    stub->server = http_server_start(answer, stub);
    CU_ASSERT_PTR_NOT_NULL_FATAL(stub->server);
    options.secret_id = "s";
    options.region = "eu-west-1";
    options.endpoint = http_server_url(stub->server);
    options.max_tries = 1;
    options.try_timeout_ms = 20000;
    return options;
}

static void stub_end(struct stub *stub) {
    const struct aws_kms_server *server = aws_kms_server(false);
    http_server_stop(stub->server);
    CU_ASSERT_EQUAL(stub->strange, 0);
    setenv("AWS_ACCESS_KEY_ID", server->access_key, 1);
    setenv("AWS_SECRET_ACCESS_KEY", server->secret_key, 1);
}

static void set_body(struct stub *stub, int status, const char *body) {
    http_server_sync();
    stub->reply.status = status;
    (void)snprintf(stub->reply.body, sizeof stub->reply.body, "%s", body);
    http_server_sync();
}

static void test_kms_secrets_manager__asks_as_the_service_wants_it(void) {
    struct stub stub;
    begin();
    struct ael_kms_secrets_manager_options options = stub_begin(&stub);
    struct ael_kms *fixed = static_kms();
    set_body(
        &stub, 200,
        "{\"ARN\":\"arn:aws:secretsmanager:eu-west-1:1:secret:s-AbCdEf\",\"CreatedDate\":1.523477145713E9,"
        "\"Name\":\"s\",\"SecretBinary\":null,\"SecretString\":\"" MASTER_HEX
        "\",\"VersionId\":\"v\",\"VersionStages\":[\"AWSCURRENT\"]}");
    struct ael_kms *kms = make(&options);
    CU_ASSERT_EQUAL(pass_on(fixed, kms, NULL, NULL), AEL_OK);
    ael_kms_release(kms);
    options.secret_id = "arn:aws:secretsmanager:eu-west-1:1:secret:s-AbCdEf";
    options.region = NULL; /* the ARN's */
    options.version_id = "v";
    options.version_stage = "AWSPREVIOUS";
    stub.body = "{\"SecretId\":\"arn:aws:secretsmanager:eu-west-1:1:secret:s-AbCdEf\",\"VersionId\":\"v\","
                "\"VersionStage\":\"AWSPREVIOUS\"}";
    set_body(&stub, 200, "{\"SecretString\":null,\"SecretBinary\":\"" MASTER_B64 "\"}");
    kms = make(&options);
    CU_ASSERT_EQUAL(pass_on(fixed, kms, NULL, NULL), AEL_OK);
    ael_kms_release(kms);
    CU_ASSERT_EQUAL(stub.requests, 2);
    ael_kms_release(fixed);
    stub_end(&stub);
}

static void test_kms_secrets_manager_new__takes_region_and_endpoint_of_the_environment(void) {
    struct stub stub;
    begin();
    struct ael_kms_secrets_manager_options options = stub_begin(&stub);
    set_body(&stub, 200, "{\"SecretString\":\"" MASTER_HEX "\"}");
    options.region = NULL;
    options.endpoint = NULL;
    setenv("AWS_REGION", "eu-west-1", 1);
    setenv("AWS_DEFAULT_REGION", "us-east-1", 1);
    setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1", 1);
    setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", http_server_url(stub.server), 1);
    struct ael_kms *kms = make(&options);
    CU_ASSERT_EQUAL(round_trip(kms, NULL), AEL_OK);
    ael_kms_release(kms);
    unsetenv("AWS_REGION");
    setenv("AWS_DEFAULT_REGION", "eu-west-1", 1);
    kms = make(&options);
    CU_ASSERT_EQUAL(round_trip(kms, NULL), AEL_OK);
    ael_kms_release(kms);
    CU_ASSERT_EQUAL(stub.requests, 2);
    unsetenv("AWS_DEFAULT_REGION");
    unsetenv("AWS_ENDPOINT_URL");
    unsetenv("AWS_ENDPOINT_URL_SECRETS_MANAGER");
    stub_end(&stub);
}

static void test_kms_secrets_manager__refuses_answers_that_are_none(void) {
    static const struct {
        int http_status;
        const char *body;
        enum ael_status status;
        const char *says;
    } k_answers[] = {
        {200, "<html>log in</html>", AEL_E_BACKEND, "proxy"},
        {200, "", AEL_E_BACKEND, "proxy"},
        {200, "[]", AEL_E_BACKEND, "proxy"},
        {200, "{\"SecretString\":\"" MASTER_HEX "\"", AEL_E_BACKEND, "proxy"},
        {200, "{\"SecretString\":\"" MASTER_HEX "\"}x", AEL_E_BACKEND, "proxy"},
        {200, "{\"SecretString\":\"" MASTER_HEX, AEL_E_BACKEND, "proxy"},
        {200, "{\"SecretString\":\"" MASTER_HEX "\",\"SecretString\":\"" MASTER_HEX "\"}", AEL_E_BACKEND,
         "proxy"},
        {200, "{\"SecretString\":12}", AEL_E_BACKEND, "proxy"},
        {200, "{\"SecretString\":\"" MASTER_HEX "\",\"SecretBinary\":\"" MASTER_B64 "\"}", AEL_E_KMS,
         "no key"},
        {200, "{}", AEL_E_BACKEND, "proxy"},
        {200, "{\"status\":\"ok\"}", AEL_E_BACKEND, "proxy"},
        {200, "{\"SecretString\":null,\"SecretBinary\":null}", AEL_E_KMS, "no key"},
        {200, "{\"SecretString\":\"\"}", AEL_E_KMS, "no key"},
        {200, "{\"SecretString\":\"{\\\"key\\\":\\\"" MASTER_HEX "\\\"}\"}", AEL_E_KMS,
         "not as key and value"},
        {200, "{\"SecretString\":\"\\u0033" MASTER_HEX "\"}", AEL_E_KMS, "no key"},
        {200, "{\"SecretBinary\":\"****\"}", AEL_E_KMS, "32 bytes"},
        {200, "{\"SecretBinary\":\"" MASTER_HEX "\"}", AEL_E_KMS, "32 bytes"},
        {302, "", AEL_E_BACKEND, "302"},
        {407, "<html>", AEL_E_BACKEND, "proxy"},
        {400, "{\"__type\":\"DecryptionFailure\"}", AEL_E_KMS, "the KMS key that it is under"},
        {400, "{\"__type\":\"InvalidRequestException\"}", AEL_E_KMS, "Restore"},
        {400, "{\"__type\":\"InvalidParameterException\"}", AEL_E_KMS, "belong together"},
        {400, "{\"__type\":\"ThrottlingException\"}", AEL_E_UNREACHABLE, "too many"},
        {500, "{\"__type\":\"InternalServiceError\"}", AEL_E_UNREACHABLE, "inside"},
        {503, "<html>", AEL_E_UNREACHABLE, "503"},
        {400, "{\"__type\":\"SomethingNew\"}", AEL_E_KMS, "HTTP 400: the service refuses"},
    };
    struct stub stub;
    begin();
    struct ael_kms_secrets_manager_options options = stub_begin(&stub);
    for (size_t i = 0; i < sizeof k_answers / sizeof k_answers[0]; i++) {
        set_body(&stub, k_answers[i].http_status, k_answers[i].body);
        expect_refused(make(&options), k_answers[i].status, k_answers[i].says);
    }
    CU_ASSERT_EQUAL(stub.requests, sizeof k_answers / sizeof k_answers[0]);
    stub_end(&stub);
}

static void test_kms_secrets_manager__takes_a_text_as_long_as_there_is_room_for(void) {
    enum { MOST = 704 };
    char body[1024] = "{\"SecretString\":\"" MASTER_HEX;
    struct stub stub;
    begin();
    struct ael_kms_secrets_manager_options options = stub_begin(&stub);
    size_t len = strlen(body);
    memset(body + len, ' ', MOST - 64);
    memcpy(body + len + MOST - 64, "\"}", 3);
    set_body(&stub, 200, body);
    struct ael_kms *kms = make(&options);
    CU_ASSERT_EQUAL(round_trip(kms, NULL), AEL_OK);
    ael_kms_release(kms);
    memcpy(body + len + MOST - 64, " \"}", 4);
    set_body(&stub, 200, body);
    expect_refused(make(&options), AEL_E_KMS, "no key");
    stub_end(&stub);
}

static void test_kms_secrets_manager__tries_again_and_ends_with_its_deadline(void) {
    struct stub stub;
    begin();
    struct ael_kms_secrets_manager_options options = stub_begin(&stub);
    options.max_tries = 3;
    set_body(&stub, 503, "");
    struct ael_kms *kms = make(&options);
    CU_ASSERT_EQUAL(ael_kms_health(kms, NULL, NULL), AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(stub.requests, 3);
    for (int i = 0; i < 5; i++) { /* the breaker opens */
        CU_ASSERT_EQUAL(ael_kms_health(kms, NULL, NULL), AEL_E_UNREACHABLE);
    }
    CU_ASSERT(stub.requests < 18);
    ael_kms_release(kms);
    stub.reply.how = HTTP_SERVER_HANGS;
    kms = make(&options);
    struct ael_call call = AEL_CALL_INIT;
    call.deadline_ns = ael_deadline_in_ms(200);
    struct ael_error err = {.status = AEL_OK};
    CU_ASSERT_EQUAL(pass_on(kms, kms, &call, &err), AEL_E_TIMEOUT);
    ael_kms_release(kms);
    stub_end(&stub);
}

static void test_kms_secrets_manager__refuses_a_body_that_goes_on_and_on(void) {
    struct stub stub;
    begin();
    struct ael_kms_secrets_manager_options options = stub_begin(&stub);
    set_body(
        &stub, 200, "{\"SecretString\":\"" MASTER_HEX "\"}                                              ");
    stub.reply.repeat = 20000;
    struct ael_kms *kms = make(&options);
    CU_ASSERT_EQUAL(ael_kms_health(kms, NULL, NULL), AEL_E_BACKEND);
    CU_ASSERT_EQUAL(stub.requests, 1);
    ael_kms_release(kms);
    stub_end(&stub);
}

/* ---- options ---- */

static void expect_argument(const struct ael_kms_secrets_manager_options *options, const char *words) {
    static char nothing;
    struct ael_kms *kms = (struct ael_kms *)&nothing;
    struct ael_error err = {.status = AEL_OK};
    CU_ASSERT_EQUAL(ael_kms_secrets_manager_new(options, &kms, &err), AEL_E_ARGUMENT);
    CU_ASSERT_PTR_NULL(kms);
    CU_ASSERT_TRUE(says(&err, words));
}

static void test_kms_secrets_manager_new__names_the_option_that_is_wrong(void) {
    struct ael_kms_secrets_manager_options options = AEL_KMS_SECRETS_MANAGER_OPTIONS_INIT;
    const struct ael_kms_secrets_manager_options empty = options;
    unsetenv("AWS_REGION");
    unsetenv("AWS_DEFAULT_REGION");
    expect_argument(NULL, "AEL_KMS_SECRETS_MANAGER_OPTIONS_INIT");
    options.size--;
    expect_argument(&options, "AEL_KMS_SECRETS_MANAGER_OPTIONS_INIT");
    options = empty;
    expect_argument(&options, "secret_id");
    options.secret_id = "";
    expect_argument(&options, "secret_id");
    options.secret_id = "a\"b";
    expect_argument(&options, "secret_id");
    options.secret_id = "s";
    expect_argument(&options, "region");
    options.region = "us west";
    expect_argument(&options, "region");
    options.region = "us-west-2";
    options.secret_id = "arn:aws:secretsmanager:us-east-1:1:secret:s-AbCdEf";
    expect_argument(&options, "is of region us-east-1");
    options.secret_id = "s";
    options.version_stage = "";
    expect_argument(&options, "version_stage");
    options.version_stage = NULL;
    options.version_id = "a b";
    expect_argument(&options, "version_id");
    options.version_id = NULL;
    options.endpoint = "ftp://x";
    expect_argument(&options, "https://");
    options.endpoint = "http://secrets.example";
    expect_argument(&options, "http://");
    options.endpoint = NULL;
    options.max_tries = 11;
    expect_argument(&options, "max_tries");
    options.max_tries = 1;
    options.try_timeout_ms = 0;
    expect_argument(&options, "try_timeout_ms");
    CU_ASSERT_EQUAL(ael_kms_secrets_manager_new(&options, NULL, NULL), AEL_E_ARGUMENT);
}

/* ---- memory ---- */

static int fail_one(void *context) {
    int *left = context;
    return (*left)-- == 0;
}

static void test_kms_secrets_manager_new__fails_whole_without_memory(void) {
    begin();
    struct ael_kms_secrets_manager_options options = options_for("plain");
    options.version_stage = "AWSCURRENT";
    enum ael_status status = AEL_E_NO_MEMORY;
    int failures = 0;
    for (int i = 0; i < 200 && status != AEL_OK; i++) {
        struct ael_kms *kms = NULL;
        int left = i;
        ael_alloc_set_fault(fail_one, &left);
        status = ael_kms_secrets_manager_new(&options, &kms, NULL);
        ael_alloc_set_fault(NULL, NULL);
        CU_ASSERT(status == AEL_OK || (status == AEL_E_NO_MEMORY && kms == NULL));
        failures += status == AEL_OK ? 0 : 1;
        ael_kms_release(kms);
    }
    CU_ASSERT_EQUAL(status, AEL_OK);
    CU_ASSERT(failures >= 5);
}

static void test_kms_secrets_key_decode__passes_failures_on(void) {
    uint8_t text[] = MASTER_HEX;
    struct ael_secret *secret = NULL;
    struct ael_secret *key = NULL;
    CU_ASSERT_EQUAL_FATAL(ael_secret_new(text, 64, &secret), AEL_OK);
    CU_ASSERT_EQUAL(ael_kms_secrets_key_decode(secret, false, NULL, &key), AEL_OK);
    CU_ASSERT_EQUAL(ael_secret_len(key), 32);
    ael_secret_release(key);
    CU_ASSERT_EQUAL(ael_kms_secrets_key_decode(secret, true, NULL, &key), AEL_E_FORMAT);
    CU_ASSERT_PTR_NULL(key);
    CU_ASSERT_EQUAL(ael_secret_close(secret), AEL_OK);
    CU_ASSERT_EQUAL(ael_kms_secrets_key_decode(secret, false, NULL, &key), AEL_E_CLOSED);
    CU_ASSERT_PTR_NULL(key);
    ael_secret_release(secret);
}

/* ---- fork, shut-down ---- */

static struct ael_kms *s_kms;

static int in_child(void) {
    return round_trip(s_kms, NULL) == AEL_OK ? 0 : 1;
}

static void test_kms_secrets_manager__works_in_a_child(void) {
    begin();
    CU_ASSERT_TRUE(store("fork", "text", MASTER_HEX));
    unsigned before = asked();
    s_kms = kms_of("fork");
    CU_ASSERT_EQUAL(child_run(in_child), 0); /* asks there */
    CU_ASSERT_EQUAL(round_trip(s_kms, NULL), AEL_OK);
    CU_ASSERT_EQUAL(asked(), before + 2);
    CU_ASSERT_EQUAL(child_run(in_child), 0); /* has it from its parent */
    CU_ASSERT_EQUAL(asked(), before + 2);
    ael_kms_release(s_kms);
}

static void test_kms_secrets_manager__asks_anew_in_a_child_that_forgets(void) {
    begin();
    memory_that_forgets();
    CU_ASSERT_TRUE(store("forgets", "text", MASTER_HEX));
    unsigned before = asked();
    s_kms = kms_of("forgets");
    CU_ASSERT_EQUAL(round_trip(s_kms, NULL), AEL_OK);
    CU_ASSERT_EQUAL(child_run(in_child), 0);
    CU_ASSERT_EQUAL(asked(), before + 2);
    CU_ASSERT_EQUAL(round_trip(s_kms, NULL), AEL_OK);
    CU_ASSERT_EQUAL(asked(), before + 2);
    ael_kms_release(s_kms);
    CU_ASSERT_EQUAL(ael_shutdown(10000), AEL_OK);
}

static void test_kms_secrets_manager__asks_anew_when_the_key_in_memory_is_gone(void) {
    struct ael_secret *key = NULL;
    struct ael_buf sealed = AEL_BUF_INIT;
    begin();
    CU_ASSERT_TRUE(store("gone", "text", MASTER_HEX));
    unsigned before = asked();
    struct ael_kms *kms = kms_of("gone");
    CU_ASSERT_EQUAL(round_trip(kms, NULL), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_secret_new_random(32, &key), AEL_OK);
    CU_ASSERT_EQUAL(ael_secret_close(key), AEL_OK);
    CU_ASSERT_EQUAL(ael_kms_encrypt_key(kms, NULL, key, &sealed, NULL), AEL_E_CLOSED); /* the caller's own */
    CU_ASSERT_EQUAL(asked(), before + 1);
    CU_ASSERT_EQUAL(ael_shutdown(10000), AEL_OK);
    CU_ASSERT_EQUAL(round_trip(kms, NULL), AEL_OK);
    CU_ASSERT_EQUAL(asked(), before + 2);
    ael_secret_release(key);
    ael_buf_clear(&sealed);
    ael_kms_release(kms);
}

static const struct test_case k_cases[] = {
    {"rows of the static KMS", test_kms_secrets_manager__reads_and_writes_rows_of_the_static_kms},
    {"it asks once", test_kms_secrets_manager__asks_once},
    {"it asks once for all threads", test_kms_secrets_manager__asks_once_for_all_threads},
    {"a rotation loses no row", test_kms_secrets_manager__loses_no_row_by_a_rotation},
    {"health", test_kms_secrets_manager_health__asks_and_tells_of_another_value},
    {"the warning", test_kms_secrets_manager_new__warns_and_names_what_it_is_for},
    {"what is missing is named", test_kms_secrets_manager__names_what_is_missing},
    {"what is not allowed is named", test_kms_secrets_manager__names_what_is_not_allowed},
    {"secrets that are no key", test_kms_secrets_manager__refuses_secrets_that_are_no_key},
    {"a secret that is mended", test_kms_secrets_manager__goes_on_when_the_secret_is_mended},
    {"what is asked", test_kms_secrets_manager__asks_as_the_service_wants_it},
    {"the environment", test_kms_secrets_manager_new__takes_region_and_endpoint_of_the_environment},
    {"answers that are none", test_kms_secrets_manager__refuses_answers_that_are_none},
    {"the longest text", test_kms_secrets_manager__takes_a_text_as_long_as_there_is_room_for},
    {"tries and deadlines", test_kms_secrets_manager__tries_again_and_ends_with_its_deadline},
    {"a body that goes on", test_kms_secrets_manager__refuses_a_body_that_goes_on_and_on},
    {"options that are wrong are named", test_kms_secrets_manager_new__names_the_option_that_is_wrong},
    {"no memory", test_kms_secrets_manager_new__fails_whole_without_memory},
    {"decoding", test_kms_secrets_key_decode__passes_failures_on},
    {"a child of fork", test_kms_secrets_manager__works_in_a_child},
    {"a child that forgets", test_kms_secrets_manager__asks_anew_in_a_child_that_forgets},
    {"a key that is gone", test_kms_secrets_manager__asks_anew_when_the_key_in_memory_is_gone},
};

TEST_SUITE_MAIN("kms secrets manager", k_cases)
