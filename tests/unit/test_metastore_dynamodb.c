/*
 * tests/unit/test_metastore_dynamodb.c - the DynamoDB store before a server of the test's own, which says what the service
 * says when it throttles, fails, refuses, or hands out what is no key record.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ael/metastore_dynamodb.h>

#include "base/alloc.h"
#include "net/crc32.h"
#include "tests/support/dynamodb_server.h"
#include "tests/support/free_port.h"
#include "tests/support/http_server.h"
#include "tests/support/suite.h"
#include "tests/support/vectors.h"

#include <ael/sys/metastore_backend.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CREATED = 1700000040, MOST_REPLIES = 8 };

#define ID         "_IK_secret-partition_svc_prod"
#define KEY_BASE64 "AAECAwQFBgcICQoLDA0ODw=="
#define RECORD     "{\"M\":{\"Created\":{\"N\":\"1700000040\"},\"Key\":{\"S\":\"" KEY_BASE64 "\"}}}"
#define ITEM       "{\"Created\":{\"N\":\"1700000040\"},\"KeyRecord\":" RECORD "}"
#define GOT        "{\"Item\":" ITEM "}"

/* ---- the service ---- */

/* One answer; the last one of a script is given again and again. */
struct line {
    int status; /* 0 = 200 */
    const char *body;
    enum http_server_how how;
    bool wrong_checksum;
    bool no_checksum;
};

struct service {
    struct http_server *server;
    struct ael_metastore *store;
    const struct line *script;
    size_t lines;
    unsigned asked; /* since the script was set */
    char bodies[MOST_REPLIES][16384];
    char targets[MOST_REPLIES][64];
    char authorizations[MOST_REPLIES][4096];
    void (*on_request)(struct service *service);
};

static void
answer(void *context, const struct http_server_request *request, struct http_server_reply *reply) {
    struct service *service = context;
    http_server_sync();
    if (service->asked < MOST_REPLIES) {
        char value[4096];
        memcpy(service->bodies[service->asked], request->body, request->body_len);
        service->bodies[service->asked][request->body_len] = '\0';
        (void)snprintf(
            service->targets[service->asked], 64, "%.63s",
            http_server_header(request, "X-Amz-Target", value));
        (void)snprintf(
            service->authorizations[service->asked], 4096, "%s",
            http_server_header(request, "Authorization", value));
    }
    const struct line *line =
        &service->script[service->asked < service->lines ? service->asked : service->lines - 1];
    service->asked++;
    reply->how = line->how;
    reply->status = line->status;
    (void)snprintf(reply->body, sizeof reply->body, "%s", line->body == NULL ? "{}" : line->body);
    unsigned long crc = ael_crc32(ael_bytes_from_text(reply->body)) + (line->wrong_checksum ? 1 : 0);
    if (!line->no_checksum) {
        (void)snprintf(reply->headers, sizeof reply->headers, "x-amz-crc32: %lu\r\n", crc);
    } else {
        reply->headers[0] = '\0';
    }
    if (service->on_request != NULL) {
        service->on_request(service);
    }
    http_server_sync();
}

static void set_script(struct service *service, const struct line *lines, size_t count) {
    http_server_sync();
    service->script = lines;
    service->lines = count;
    service->asked = 0;
    http_server_sync();
}

#define SCRIPT(service, ...)                                                                                 \
    set_script(                                                                                              \
        service, (const struct line[]){__VA_ARGS__},                                                         \
        sizeof((const struct line[]){__VA_ARGS__}) / sizeof(struct line))

static struct ael_metastore_dynamodb_options options_for(const struct service *service) {
    struct ael_metastore_dynamodb_options options = AEL_METASTORE_DYNAMODB_OPTIONS_INIT;
    options.region = "eu-west-1";
    options.endpoint = http_server_url(service->server);
    options.max_retries = 3;
    options.answer_timeout_ms = 60000;
    return options;
}

static const struct line k_nothing = {.body = "{}"};

static void service_start(struct service *service) {
    memset(service, 0, sizeof *service);
    service->script = &k_nothing;
    service->lines = 1;
    service->server = http_server_start(answer, service);
    CU_ASSERT_PTR_NOT_NULL_FATAL(service->server);
    struct ael_metastore_dynamodb_options options = options_for(service);
    CU_ASSERT_EQUAL(ael_metastore_dynamodb_new(&options, &service->store, NULL), AEL_OK);
}

static void service_stop(struct service *service) {
    ael_metastore_release(service->store);
    http_server_stop(service->server);
}

static struct service g_service; /* large */

static unsigned asked(void) {
    http_server_sync();
    return g_service.asked;
}

/* ---- calls ---- */

static struct ael_bytes id(void) {
    return ael_bytes_from_text(ID);
}

static struct ael_key_record sample(void) {
    static const uint8_t k_key[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    return (struct ael_key_record){.created_s = CREATED, .key = {k_key, sizeof k_key}};
}

static enum ael_status load(const struct ael_call *call, struct ael_error *err) {
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    const struct ael_key_record wanted = sample();
    enum ael_status status = ael_metastore_load(g_service.store, call, id(), CREATED, &out, err);
    CU_ASSERT(status != AEL_OK || ael_key_record_equal(&out.record, &wanted));
    ael_key_record_buf_clear(&out);
    return status;
}

static enum ael_status load_latest(struct ael_error *err) {
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    enum ael_status status = ael_metastore_load_latest(g_service.store, NULL, id(), &out, err);
    ael_key_record_buf_clear(&out);
    return status;
}

static enum ael_status store(const struct ael_call *call, bool *stored, struct ael_error *err) {
    const struct ael_key_record record = sample();
    return ael_metastore_store(g_service.store, call, id(), &record, stored, err);
}

/* No sentence repeats what is the caller's, or a secret. */
static void expect_discreet(const struct ael_error *err) {
    CU_ASSERT_PTR_NULL(strstr(err->detail, "secret-partition"));
    CU_ASSERT_PTR_NULL(strstr(err->detail, KEY_BASE64));
    CU_ASSERT_PTR_NULL(strstr(err->detail, "a/secret+of/tests"));
}

/* ---- requests and items of the Go SDK ---- */

static cJSON *read_go_requests(void) {
    static char text[65536];
    FILE *file = fopen(AEL_TEST_SOURCE_DIR "/tests/vectors/go-dynamodb-requests.json", "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    (void)fclose(file);
    cJSON *root = cJSON_Parse(text);
    CU_ASSERT_PTR_NOT_NULL_FATAL(root);
    return root;
}

static const char *text_of(const cJSON *object, const char *name, const char *type) {
    return cJSON_GetStringValue(cJSON_GetObjectItem(cJSON_GetObjectItem(object, name), type));
}

/* What Go wrote is read, and stored by us it is what Go wrote. */
static void round_trip(const cJSON *request) {
    const cJSON *item = cJSON_GetObjectItem(request, "Item");
    struct ael_bytes key_id = ael_bytes_from_text(text_of(item, "Id", "S"));
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    bool stored = false;
    cJSON *answered = cJSON_CreateObject();
    (void)cJSON_AddItemToObject(answered, "Item", cJSON_Duplicate(item, 1));
    char *body = cJSON_PrintUnformatted(answered);
    SCRIPT(&g_service, {.body = body}, {.body = "{}"});
    int64_t created_s = strtoll(text_of(item, "Created", "N"), NULL, 10);
    CU_ASSERT_EQUAL(ael_metastore_load(g_service.store, NULL, key_id, created_s, &out, NULL), AEL_OK);
    CU_ASSERT_EQUAL(ael_metastore_store(g_service.store, NULL, key_id, &out.record, &stored, NULL), AEL_OK);
    CU_ASSERT_TRUE(stored);
    CU_ASSERT_EQUAL(asked(), 2);
    cJSON *ours = cJSON_Parse(g_service.bodies[1]);
    cJSON *theirs = cJSON_Duplicate(request, 1);
    cJSON_DeleteItemFromObject(theirs, "op");
    CU_ASSERT_TRUE(cJSON_Compare(ours, theirs, 1));
    CU_ASSERT_STRING_EQUAL(g_service.targets[1], "DynamoDB_20120810.PutItem");
    cJSON_Delete(ours);
    cJSON_Delete(theirs);
    cJSON_Delete(answered);
    cJSON_free(body);
    ael_key_record_buf_clear(&out);
}

static void test_dynamodb_store__writes_the_items_of_the_go_sdks(void) {
    static const char *const k_lists[] = {"requests_sdk_v1", "requests_sdk_v2"};
    cJSON *root = read_go_requests();
    unsigned count = 0;
    service_start(&g_service);
    for (size_t i = 0; i < 2; i++) {
        const cJSON *request = NULL;
        cJSON_ArrayForEach(request, cJSON_GetObjectItem(root, k_lists[i])) {
            if (strcmp(cJSON_GetStringValue(cJSON_GetObjectItem(request, "op")), "PutItem") == 0) {
                round_trip(request);
                count++;
            }
        }
    }
    CU_ASSERT_EQUAL(count, 14);
    cJSON_Delete(root);
    service_stop(&g_service);
}

static void test_dynamodb_load__reads_consistently(void) {
    service_start(&g_service);
    SCRIPT(&g_service, {.body = GOT}, {.body = "{\"Items\":[]}"});
    CU_ASSERT_EQUAL(load(NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(load_latest(NULL), AEL_E_KEY_NOT_FOUND);
    CU_ASSERT_EQUAL(asked(), 2);
    for (size_t i = 0; i < 2; i++) {
        cJSON *request = cJSON_Parse(g_service.bodies[i]);
        CU_ASSERT_TRUE(cJSON_IsTrue(cJSON_GetObjectItem(request, "ConsistentRead")));
        CU_ASSERT_STRING_EQUAL(
            cJSON_GetStringValue(cJSON_GetObjectItem(request, "TableName")), "EncryptionKey");
        cJSON_Delete(request);
    }
    CU_ASSERT_STRING_EQUAL(g_service.targets[0], "DynamoDB_20120810.GetItem");
    CU_ASSERT_STRING_EQUAL(g_service.targets[1], "DynamoDB_20120810.Query");
    service_stop(&g_service);
}

/* ---- what is read ---- */

#define WITH(members) "{\"Item\":{\"KeyRecord\":{\"M\":{" members "}}}}"
#define DATE          "\"Created\":{\"N\":\"1700000040\"}"
#define KEY           "\"Key\":{\"S\":\"" KEY_BASE64 "\"}"

static void test_dynamodb_load__reads_what_every_sdk_writes(void) {
    static const char *const k_bodies[] = {
        GOT,
        WITH("\"Revoked\":{\"BOOL\":false}," DATE "," KEY),
        WITH("\"Revoked\":{\"NULL\":true}," DATE "," KEY ",\"ParentKeyMeta\":{\"NULL\":true}"),
        WITH(KEY "," DATE ",\"Other\":{\"L\":[{\"S\":\"x\"}]}"),
        "{\"ConsumedCapacity\":{\"TableName\":\"T\",\"CapacityUnits\":1.0},\"Item\":{\"ttl\":{\"N\":\"1\"},"
        "\"KeyRecord\":" RECORD "}}",
        WITH(DATE ",\"Key\":{\"S\":\"AAECAwQFBgcICQoLDA0ODw\\u003d\\u003d\"}"),
        /* Found by its date; what its record says of that does not matter. */
        WITH("\"Created\":{\"N\":\"1700000041\"}," KEY),
    };
    service_start(&g_service);
    for (size_t i = 0; i < sizeof k_bodies / sizeof k_bodies[0]; i++) {
        struct ael_error err = {0};
        SCRIPT(&g_service, {.body = k_bodies[i]});
        CU_ASSERT_EQUAL(load(NULL, &err), AEL_OK);
        CU_ASSERT_STRING_EQUAL(err.detail, "");
    }
    service_stop(&g_service);
}

static void test_dynamodb_load__refuses_what_is_no_key_record(void) {
    static const char *const k_bodies[] = {
        "{\"Item\":{}}",
        "{\"Item\":{\"KeyRecord\":{\"S\":\"x\"}}}",
        "{\"Item\":{\"KeyRecord\":{\"NULL\":true}}}",
        WITH(""),
        WITH(DATE),
        WITH(KEY),
        WITH(DATE "," KEY "," KEY),
        WITH(DATE ",\"Key\":{\"S\":\"\"}"),
        WITH(DATE ",\"Key\":{\"S\":\"====\"}"),
        WITH(DATE ",\"Key\":{\"S\":\"AAE\"}"),
        WITH(DATE ",\"Key\":{\"B\":\"" KEY_BASE64 "\"}"),
        WITH(DATE ",\"Key\":{\"NULL\":true}"),
        WITH(DATE ",\"Key\":{\"S\":\"" KEY_BASE64 "\",\"B\":\"AA==\"}"),
        WITH("\"Created\":{\"N\":\"1700000040.5\"}," KEY),
        WITH("\"Created\":{\"N\":\"1.7E9\"}," KEY),
        WITH("\"Created\":{\"N\":\"\"}," KEY),
        WITH("\"Created\":{\"N\":\"99999999999999999999\"}," KEY),
        WITH("\"Created\":{\"N\":1700000040}," KEY),
        WITH("\"Created\":{\"NULL\":true}," KEY),
        WITH("\"Created\":{\"S\":\"1700000040\"}," KEY),
        WITH("\"Revoked\":{\"S\":\"true\"}," DATE "," KEY),
        WITH("\"Revoked\":{\"BOOL\":\"true\"}," DATE "," KEY),
        WITH("\"Revoked\":{\"NULL\":false}," DATE "," KEY),
        WITH("\"Revoked\":{}," DATE "," KEY),
        WITH(DATE "," KEY ",\"ParentKeyMeta\":{\"M\":{}}"),
        WITH(DATE "," KEY ",\"ParentKeyMeta\":{\"M\":{\"KeyId\":{\"S\":\"x\"}}}"),
        WITH(DATE "," KEY ",\"ParentKeyMeta\":{\"M\":{\"KeyId\":{\"S\":\"\\u0000\"}," DATE "}}"),
        WITH(DATE "," KEY ",\"ParentKeyMeta\":{\"M\":{\"KeyId\":{\"S\":\"\"}," DATE "}}"),
        WITH(DATE "," KEY ",\"ParentKeyMeta\":{\"S\":\"x\"}"),
    };
    service_start(&g_service);
    for (size_t i = 0; i < sizeof k_bodies / sizeof k_bodies[0]; i++) {
        struct ael_error err = {0};
        SCRIPT(&g_service, {.body = k_bodies[i]});
        enum ael_status status = load(NULL, &err);
        if (status != AEL_E_BACKEND_DATA) {
            printf("\n    %s: %s", k_bodies[i], ael_status_name(status));
        }
        CU_ASSERT_EQUAL(status, AEL_E_BACKEND_DATA);
        CU_ASSERT_EQUAL(asked(), 1);
        expect_discreet(&err);
    }
    service_stop(&g_service);
}

static void test_dynamodb_load_latest__refuses_an_item_of_two_dates(void) {
    service_start(&g_service);
    SCRIPT(
        &g_service, {.body = "{\"Items\":[{\"Created\":{\"N\":\"1700000041\"},\"KeyRecord\":" RECORD "}]}"},
        {.body = "{\"Items\":[{\"KeyRecord\":" RECORD "}]}"}, {.body = "{\"Items\":[" ITEM "]}"});
    CU_ASSERT_EQUAL(load_latest(NULL), AEL_E_BACKEND_DATA);
    CU_ASSERT_EQUAL(load_latest(NULL), AEL_E_BACKEND_DATA);
    CU_ASSERT_EQUAL(load_latest(NULL), AEL_OK);
    service_stop(&g_service);
}

/* That nothing was found is to be said by DynamoDB, not by whoever else answers 200. */
static void test_dynamodb_load__tells_nothing_found_from_no_answer(void) {
    static const char *const k_bodies[] = {"",   "<html>hello</html>", "[]", "{\"Items\":1}", "{\"Items\":[",
                                           "{}x"};
    service_start(&g_service);
    SCRIPT(&g_service, {.body = "{}"});
    CU_ASSERT_EQUAL(load(NULL, NULL), AEL_E_KEY_NOT_FOUND);
    CU_ASSERT_EQUAL(load_latest(NULL), AEL_E_BACKEND);
    for (size_t i = 0; i < sizeof k_bodies / sizeof k_bodies[0]; i++) {
        SCRIPT(&g_service, {.body = k_bodies[i]});
        CU_ASSERT_EQUAL(load_latest(NULL), AEL_E_BACKEND);
        CU_ASSERT(load(NULL, NULL) == (i == 3 ? AEL_E_KEY_NOT_FOUND : AEL_E_BACKEND));
    }
    service_stop(&g_service);
}

/* ---- refusals ---- */

struct refusal {
    int status;
    const char *body;
    enum ael_status on_load;
    enum ael_status on_store;
    unsigned asked; /* for one load */
    const char *word;
};

#define LOCAL(word) "{\"__type\":\"com.amazonaws.dynamodb.v20120810#" word "\",\"message\":\"of " ID "\"}"
#define CORAL(word) "{\"__type\":\"com.amazon.coral.service#" word "\",\"Message\":\"of " ID "\"}"
#define XML(word)                                                                                            \
    "<ErrorResponse><Error><Code>" word "</Code><Message>of " ID "</Message></Error></ErrorResponse>"

static const struct refusal k_refusals[] = {
    {400, LOCAL("ResourceNotFoundException"), AEL_E_BACKEND, AEL_E_BACKEND, 1, "no table EncryptionKey"},
    {400, LOCAL("ValidationException"), AEL_E_BACKEND, AEL_E_BACKEND, 1, "ValidationException"},
    {400, CORAL("SerializationException"), AEL_E_BACKEND, AEL_E_BACKEND, 1, "SerializationException"},
    {400, CORAL("AccessDeniedException"), AEL_E_BACKEND, AEL_E_BACKEND, 1, "allow GetItem"},
    {400, CORAL("UnrecognizedClientException"), AEL_E_BACKEND, AEL_E_BACKEND, 2, "correct the access key"},
    {400, CORAL("ExpiredTokenException"), AEL_E_BACKEND, AEL_E_BACKEND, 2, "ExpiredTokenException"},
    {403, XML("SignatureDoesNotMatch"), AEL_E_BACKEND, AEL_E_BACKEND, 2, "SignatureDoesNotMatch"},
    {400, LOCAL("ProvisionedThroughputExceededException"), AEL_E_UNREACHABLE, AEL_E_UNREACHABLE, 4,
     "throttled"},
    {400, CORAL("ThrottlingException"), AEL_E_UNREACHABLE, AEL_E_UNREACHABLE, 4, "throttled"},
    {429, "", AEL_E_UNREACHABLE, AEL_E_UNREACHABLE, 4, "throttled"},
    {503, CORAL("ThrottlingException"), AEL_E_UNREACHABLE, AEL_E_UNREACHABLE, 4, "throttled"},
    {500, LOCAL("InternalServerError"), AEL_E_UNREACHABLE, AEL_E_OUTCOME_UNKNOWN, 3, "InternalServerError"},
    {500, "<!doctype html><html>of " ID "</html>", AEL_E_UNREACHABLE, AEL_E_OUTCOME_UNKNOWN, 3, "HTTP 500"},
    {503, "", AEL_E_UNREACHABLE, AEL_E_OUTCOME_UNKNOWN, 3, "HTTP 503"},
    {404, "not here", AEL_E_BACKEND, AEL_E_BACKEND, 1, "is this endpoint one"},
    {301, "", AEL_E_BACKEND, AEL_E_BACKEND, 1, "is this endpoint one"},
    {400, "{\"__type\":\"strange word " ID "\"}", AEL_E_BACKEND, AEL_E_BACKEND, 1, "without a word"},
};

static void expect_refusal(const struct refusal *refusal) {
    struct ael_error err = {0};
    bool stored = true;
    SCRIPT(&g_service, {.status = refusal->status, .body = refusal->body});
    CU_ASSERT_EQUAL(load(NULL, &err), refusal->on_load);
    CU_ASSERT_EQUAL(asked(), refusal->asked);
    CU_ASSERT_EQUAL(err.native_code, refusal->status);
    if (strstr(err.detail, refusal->word) == NULL) {
        printf("\n    %s is not in: %s", refusal->word, err.detail);
        CU_FAIL("a sentence without its word");
    }
    expect_discreet(&err);
    SCRIPT(&g_service, {.status = refusal->status, .body = refusal->body});
    CU_ASSERT_EQUAL(store(NULL, &stored, &err), refusal->on_store);
    CU_ASSERT_FALSE(stored);
    CU_ASSERT(refusal->on_store != AEL_E_OUTCOME_UNKNOWN || asked() == 1);
    expect_discreet(&err);
}

static void test_dynamodb_store__names_each_refusal(void) {
    service_start(&g_service);
    for (size_t i = 0; i < sizeof k_refusals / sizeof k_refusals[0]; i++) {
        expect_refusal(&k_refusals[i]);
    }
    service_stop(&g_service);
}

static void test_dynamodb_store__goes_on_after_throttling(void) {
    bool stored = false;
    service_start(&g_service);
    SCRIPT(
        &g_service, {.status = 400, .body = CORAL("ThrottlingException")}, {.status = 429, .body = ""},
        {.body = "{}"});
    CU_ASSERT_EQUAL(store(NULL, &stored, NULL), AEL_OK);
    CU_ASSERT_TRUE(stored);
    CU_ASSERT_EQUAL(asked(), 3);
    service_stop(&g_service);
}

static void test_dynamodb_store__tells_a_lost_race(void) {
    bool stored = true;
    service_start(&g_service);
    SCRIPT(&g_service, {.status = 400, .body = LOCAL("ConditionalCheckFailedException")});
    CU_ASSERT_EQUAL(store(NULL, &stored, NULL), AEL_OK);
    CU_ASSERT_FALSE(stored);
    CU_ASSERT_EQUAL(asked(), 1);
    service_stop(&g_service);
}

/* ---- answers that are lost or changed ---- */

static void test_dynamodb_load__is_done_again_when_the_answer_is_lost(void) {
    service_start(&g_service);
    SCRIPT(&g_service, {.how = HTTP_SERVER_CLOSES}, {.status = 500, .body = ""}, {.body = GOT});
    CU_ASSERT_EQUAL(load(NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(asked(), 3);
    SCRIPT(
        &g_service, {.how = HTTP_SERVER_CUTS, .body = GOT}, {.body = GOT, .wrong_checksum = true},
        {.body = GOT});
    CU_ASSERT_EQUAL(load(NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(asked(), 3);
    service_stop(&g_service);
}

static void test_dynamodb_load__takes_no_answer_with_a_wrong_checksum(void) {
    struct ael_error err = {0};
    service_start(&g_service);
    SCRIPT(&g_service, {.body = GOT, .wrong_checksum = true});
    CU_ASSERT_EQUAL(load(NULL, &err), AEL_E_UNREACHABLE);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, "checksum"));
    CU_ASSERT_EQUAL(asked(), 3);
    SCRIPT(&g_service, {.body = GOT, .no_checksum = true}); /* some emulators send none */
    CU_ASSERT_EQUAL(load(NULL, &err), AEL_OK);
    service_stop(&g_service);
}

static void test_dynamodb_store__is_unknown_when_its_answer_is_lost(void) {
    static const struct line k_lines[] = {
        {.how = HTTP_SERVER_CLOSES}, /* a new connection */
        {.body = GOT},
        {.how = HTTP_SERVER_CLOSES}, /* one that was open */
        {.how = HTTP_SERVER_CUTS, .body = GOT},
        {.body = "{}", .wrong_checksum = true},
        {.status = 400, .body = LOCAL("ConditionalCheckFailedException"), .wrong_checksum = true},
        {.body = "<html>Please log in</html>", .no_checksum = true}, /* of a proxy, not of the service */
        {.body = "", .no_checksum = true},
    };
    service_start(&g_service);
    for (size_t i = 0; i < sizeof k_lines / sizeof k_lines[0]; i++) {
        struct ael_error err = {0};
        bool stored = true;
        set_script(&g_service, &k_lines[i], 1);
        if (i == 1) {
            CU_ASSERT_EQUAL(load(NULL, NULL), AEL_OK);
            continue;
        }
        CU_ASSERT_EQUAL(store(NULL, &stored, &err), AEL_E_OUTCOME_UNKNOWN);
        CU_ASSERT_FALSE(stored);
        CU_ASSERT_EQUAL(asked(), 1);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, "while storing"));
    }
    service_stop(&g_service);
}

static void test_dynamodb_store__is_not_begun_without_a_server(void) {
    struct ael_metastore_dynamodb_options options = AEL_METASTORE_DYNAMODB_OPTIONS_INIT;
    struct ael_metastore *nobody = NULL;
    const struct ael_key_record record = sample();
    char url[64];
    bool stored = true;
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%d", free_port());
    options.region = "eu-west-1";
    options.endpoint = url;
    CU_ASSERT_EQUAL_FATAL(ael_metastore_dynamodb_new(&options, &nobody, NULL), AEL_OK);
    CU_ASSERT_EQUAL(ael_metastore_store(nobody, NULL, id(), &record, &stored, NULL), AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(ael_metastore_health(nobody, NULL, NULL), AEL_E_UNREACHABLE);
    ael_metastore_release(nobody);
}

/* ---- time ---- */

static void test_dynamodb_load__ends_at_its_deadline(void) {
    struct ael_call call = AEL_CALL_INIT;
    bool stored = true;
    service_start(&g_service);
    SCRIPT(&g_service, {.how = HTTP_SERVER_HANGS});
    call.deadline_ns = ael_deadline_in_ms(200);
    CU_ASSERT_EQUAL(load(&call, NULL), AEL_E_TIMEOUT);
    call.deadline_ns = ael_deadline_in_ms(200);
    CU_ASSERT_EQUAL(store(&call, &stored, NULL), AEL_E_OUTCOME_UNKNOWN);
    CU_ASSERT_FALSE(stored);
    service_stop(&g_service);
}

static void test_dynamodb_load__counts_a_silent_service_as_unreachable(void) {
    service_start(&g_service);
    struct ael_metastore_dynamodb_options options = options_for(&g_service);
    ael_metastore_release(g_service.store);
    options.answer_timeout_ms = 50;
    options.max_retries = 1;
    CU_ASSERT_EQUAL_FATAL(ael_metastore_dynamodb_new(&options, &g_service.store, NULL), AEL_OK);
    SCRIPT(&g_service, {.how = HTTP_SERVER_HANGS});
    CU_ASSERT_EQUAL(load(NULL, NULL), AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(asked(), 2);
    service_stop(&g_service);
}

/* Does not begin a pause that would outlast the call. */
static void test_dynamodb_load__does_not_wait_past_its_deadline(void) {
    struct ael_call call = AEL_CALL_INIT;
    service_start(&g_service);
    SCRIPT(&g_service, {.status = 429, .body = ""});
    call.deadline_ns = ael_deadline_in_ms(60000);
    CU_ASSERT_EQUAL(load(&call, NULL), AEL_E_UNREACHABLE);
    CU_ASSERT_TRUE(ael_call_remaining_ms(&call) > 0);
    service_stop(&g_service);
}

static struct ael_cancel *g_cancel;

static void cancel_now(struct service *service) {
    (void)service;
    ael_cancel_trigger(g_cancel);
}

static void test_dynamodb_load__ends_when_it_is_cancelled(void) {
    static const struct line k_lines[] = {{.how = HTTP_SERVER_HANGS}, {.status = 429, .body = ""}};
    service_start(&g_service);
    for (size_t i = 0; i < 2; i++) {
        struct ael_call call = AEL_CALL_INIT;
        CU_ASSERT_EQUAL_FATAL(ael_cancel_new(&g_cancel), AEL_OK);
        call.cancel = g_cancel;
        set_script(&g_service, &k_lines[i], 1);
        g_service.on_request = cancel_now;
        CU_ASSERT_EQUAL(load(&call, NULL), AEL_E_CANCELLED);
        CU_ASSERT_EQUAL(asked(), 1);
        g_service.on_request = NULL;
        ael_cancel_free(g_cancel);
    }
    service_stop(&g_service);
}

/* ---- credentials ---- */

static char g_credentials[] = "/tmp/ael-credentials-XXXXXX";

static void write_credentials(const char *key) {
    FILE *file = fopen(g_credentials, "w");
    if (file != NULL) {
        (void)fprintf(file, "[default]\naws_access_key_id = %s\naws_secret_access_key = x\n", key);
        (void)fclose(file);
    }
}

static void renew_credentials(struct service *service) {
    (void)service;
    write_credentials("AKIDSECOND");
}

static void test_dynamodb_load__asks_for_credentials_again_when_refused(void) {
    int descriptor = mkstemp(g_credentials);
    CU_ASSERT_TRUE_FATAL(descriptor >= 0);
    (void)close(descriptor);
    write_credentials("AKIDFIRST");
    (void)unsetenv("AWS_ACCESS_KEY_ID");
    (void)unsetenv("AWS_SECRET_ACCESS_KEY");
    (void)setenv("AWS_SHARED_CREDENTIALS_FILE", g_credentials, 1);
    service_start(&g_service);
    SCRIPT(&g_service, {.status = 400, .body = CORAL("UnrecognizedClientException")}, {.body = GOT});
    g_service.on_request = renew_credentials;
    CU_ASSERT_EQUAL(load(NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(asked(), 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(g_service.authorizations[0], "Credential=AKIDFIRST/"));
    CU_ASSERT_PTR_NOT_NULL(strstr(g_service.authorizations[1], "Credential=AKIDSECOND/"));
    service_stop(&g_service);
    (void)unlink(g_credentials);
    dynamodb_server_set_environment();
}

static void test_dynamodb_load__needs_credentials(void) {
    struct ael_error err = {0};
    (void)unsetenv("AWS_ACCESS_KEY_ID");
    (void)unsetenv("AWS_SECRET_ACCESS_KEY");
    service_start(&g_service);
    CU_ASSERT_NOT_EQUAL(load(NULL, &err), AEL_OK);
    CU_ASSERT_EQUAL(asked(), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, "AWS_ACCESS_KEY_ID"));
    service_stop(&g_service);
    dynamodb_server_set_environment();
}

/* ---- replacing, listing, the table ---- */

static enum ael_status replace(bool *replaced, struct ael_error *err) {
    const struct ael_key_record expected = sample();
    struct ael_key_record desired = sample();
    desired.revoked = true;
    return ael_metastore_replace(g_service.store, NULL, id(), &expected, &desired, replaced, err);
}

static void test_dynamodb_replace__tells_why_the_condition_failed(void) {
    bool replaced = true;
    service_start(&g_service);
    SCRIPT(&g_service, {.status = 400, .body = LOCAL("ConditionalCheckFailedException")}, {.body = GOT});
    CU_ASSERT_EQUAL(replace(&replaced, NULL), AEL_OK);
    CU_ASSERT_FALSE(replaced);
    SCRIPT(&g_service, {.status = 400, .body = LOCAL("ConditionalCheckFailedException")}, {.body = "{}"});
    CU_ASSERT_EQUAL(replace(&replaced, NULL), AEL_E_KEY_NOT_FOUND);
    SCRIPT(
        &g_service, {.status = 400, .body = LOCAL("ConditionalCheckFailedException")},
        {.body = "{\"Item\":{\"KeyRecord\":{\"S\":\"x\"}}}"});
    CU_ASSERT_EQUAL(replace(&replaced, NULL), AEL_E_BACKEND_DATA);
    SCRIPT(&g_service, {.how = HTTP_SERVER_CLOSES});
    CU_ASSERT_EQUAL(replace(&replaced, NULL), AEL_E_OUTCOME_UNKNOWN);
    CU_ASSERT_FALSE(replaced);
    CU_ASSERT_EQUAL(asked(), 1);
    service_stop(&g_service);
}

#define ROW(name, date)                                                                                      \
    "{\"Id\":{\"S\":\"" name "\"},\"Created\":{\"N\":\"" date                                                \
    "\"},\"KeyRecord\":{\"M\":{\"Created\":{\"N\":\"" date "\"},\"Key\":{\"S\":\"AAAA\"}}}}"

struct seen {
    char text[512];
    unsigned most;
    unsigned count;
};

static bool
note(void *context, struct ael_bytes row_id, int64_t created_s, const struct ael_key_record *record) {
    struct seen *seen = context;
    size_t len = strlen(seen->text);
    (void)snprintf(
        seen->text + len, sizeof seen->text - len, "%.*s@%lld ", (int)row_id.len, (const char *)row_id.data,
        (long long)created_s);
    CU_ASSERT_EQUAL(record->created_s, created_s);
    return ++seen->count < seen->most;
}

static void test_dynamodb_list__puts_pages_in_order(void) {
    struct seen seen = {.most = 100};
    struct seen few = {.most = 2};
    service_start(&g_service);
    SCRIPT(
        &g_service,
        {.body = "{\"Items\":[" ROW("b", "10") "," ROW(
             "a", "9") "],\"LastEvaluatedKey\":{\"Id\":{\"S\":\"a\"}}}"},
        {.body = "{\"LastEvaluatedKey\":{\"Id\":{\"S\":\"z\"}},\"Items\":[]}"},
        {.body = "{\"Items\":[{\"Id\":{\"S\":\"garbage\"}}," ROW("ab", "1") "," ROW("a", "10") "]}"});
    CU_ASSERT_EQUAL(
        ael_metastore_list(g_service.store, NULL, ael_bytes_from_text("x\"y"), note, &seen, NULL), AEL_OK);
    CU_ASSERT_STRING_EQUAL(seen.text, "a@9 a@10 ab@1 b@10 ");
    CU_ASSERT_EQUAL(asked(), 3);
    CU_ASSERT_PTR_NULL(strstr(g_service.bodies[0], "ExclusiveStartKey"));
    CU_ASSERT_PTR_NOT_NULL(strstr(g_service.bodies[1], "\"ExclusiveStartKey\":{\"Id\":{\"S\":\"a\"}}"));
    CU_ASSERT_PTR_NOT_NULL(strstr(g_service.bodies[2], "\"ExclusiveStartKey\":{\"Id\":{\"S\":\"z\"}}"));
    CU_ASSERT_PTR_NOT_NULL(strstr(g_service.bodies[2], "{\":prefix\":{\"S\":\"x\\\"y\"}}"));
    SCRIPT(&g_service, {.body = "{\"Items\":[" ROW("b", "10") "," ROW("a", "9") "," ROW("c", "9") "]}"});
    CU_ASSERT_EQUAL(
        ael_metastore_list(g_service.store, NULL, (struct ael_bytes){NULL, 0}, note, &few, NULL), AEL_OK);
    CU_ASSERT_STRING_EQUAL(few.text, "a@9 b@10 ");
    CU_ASSERT_PTR_NULL(strstr(g_service.bodies[0], "FilterExpression"));
    service_stop(&g_service);
}

#define DEFINED(status, created_type)                                                                        \
    "{\"Table\":{\"TableStatus\":\"" status                                                                  \
    "\",\"KeySchema\":[{\"AttributeName\":\"Id\",\"KeyType\":\"HASH\"},"                                     \
    "{\"AttributeName\":\"Created\",\"KeyType\":\"RANGE\"}],\"AttributeDefinitions\":[{\"AttributeName\":"   \
    "\"Id\","                                                                                                \
    "\"AttributeType\":\"S\"},{\"AttributeName\":\"Created\",\"AttributeType\":\"" created_type "\"}]}}"

static void test_dynamodb_ensure_schema__waits_until_the_table_is_there(void) {
    service_start(&g_service);
    SCRIPT(
        &g_service, {.status = 400, .body = LOCAL("ResourceNotFoundException")}, {.body = "{}"},
        {.status = 400, .body = LOCAL("ResourceNotFoundException")}, {.body = DEFINED("CREATING", "N")},
        {.body = DEFINED("ACTIVE", "N")});
    CU_ASSERT_EQUAL(ael_metastore_ensure_schema(g_service.store, NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(asked(), 5);
    CU_ASSERT_STRING_EQUAL(g_service.targets[1], "DynamoDB_20120810.CreateTable");
    SCRIPT(
        &g_service, {.status = 400, .body = LOCAL("ResourceNotFoundException")},
        {.status = 400, .body = LOCAL("ResourceInUseException")}, {.body = DEFINED("ACTIVE", "N")});
    CU_ASSERT_EQUAL(ael_metastore_ensure_schema(g_service.store, NULL, NULL), AEL_OK);
    service_stop(&g_service);
}

static void test_dynamodb_ensure_schema__refuses_another_key(void) {
    struct ael_error err = {0};
    struct ael_call call = AEL_CALL_INIT;
    service_start(&g_service);
    SCRIPT(&g_service, {.body = DEFINED("ACTIVE", "S")});
    CU_ASSERT_EQUAL(ael_metastore_ensure_schema(g_service.store, NULL, &err), AEL_E_BACKEND);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, "Created (number, RANGE)"));
    SCRIPT(
        &g_service, {.status = 400, .body = LOCAL("ResourceNotFoundException")},
        {.status = 400, .body = CORAL("AccessDeniedException")});
    CU_ASSERT_EQUAL(ael_metastore_ensure_schema(g_service.store, NULL, &err), AEL_E_BACKEND);
    CU_ASSERT_EQUAL(asked(), 2);
    /* The last one: a request may be under way at its end. */
    SCRIPT(&g_service, {.body = DEFINED("CREATING", "N")});
    call.deadline_ns = ael_deadline_in_ms(250);
    CU_ASSERT_EQUAL(ael_metastore_ensure_schema(g_service.store, &call, &err), AEL_E_TIMEOUT);
    service_stop(&g_service);
}

static void test_dynamodb_health__reads_and_would_write(void) {
    service_start(&g_service);
    SCRIPT(
        &g_service, {.body = "{\"Items\":[]}"},
        {.status = 400, .body = LOCAL("ConditionalCheckFailedException")});
    CU_ASSERT_EQUAL(ael_metastore_health(g_service.store, NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(asked(), 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(g_service.bodies[1], "attribute_exists(Id)"));
    SCRIPT(&g_service, {.body = "{\"Items\":[]}"}, {.status = 400, .body = CORAL("AccessDeniedException")});
    CU_ASSERT_EQUAL(ael_metastore_health(g_service.store, NULL, NULL), AEL_E_BACKEND);
    SCRIPT(&g_service, {.body = "{\"Items\":[]}"}, {.status = 500, .body = ""});
    CU_ASSERT_EQUAL(ael_metastore_health(g_service.store, NULL, NULL), AEL_E_UNREACHABLE);
    service_stop(&g_service);
}

/* ---- options ---- */

static enum ael_status open_with(const struct ael_metastore_dynamodb_options *options, char suffix[64]) {
    struct ael_metastore *made = NULL;
    struct ael_error err = {0};
    enum ael_status status = ael_metastore_dynamodb_new(options, &made, &err);
    CU_ASSERT_EQUAL(made == NULL, status != AEL_OK);
    CU_ASSERT(status == AEL_OK || err.detail[0] != '\0');
    const char *own = ael_metastore_region_suffix(made);
    (void)snprintf(suffix, 64, "%s", own == NULL ? "(none)" : own);
    ael_metastore_release(made);
    return status;
}

static void test_dynamodb_new__takes_the_region_for_a_suffix(void) {
    char suffix[64];
    struct ael_metastore_dynamodb_options options = AEL_METASTORE_DYNAMODB_OPTIONS_INIT;
    options.region = "eu-west-1";
    options.signing_region = "us-east-1";
    CU_ASSERT_EQUAL(open_with(&options, suffix), AEL_OK);
    CU_ASSERT_STRING_EQUAL(suffix, "eu-west-1");
    options.no_region_suffix = true;
    CU_ASSERT_EQUAL(open_with(&options, suffix), AEL_OK);
    CU_ASSERT_STRING_EQUAL(suffix, "(none)");
}

static void test_dynamodb_new__finds_the_region(void) {
    char suffix[64];
    struct ael_metastore_dynamodb_options options = AEL_METASTORE_DYNAMODB_OPTIONS_INIT;
    CU_ASSERT_EQUAL(open_with(&options, suffix), AEL_E_ARGUMENT);
    (void)setenv("AWS_DEFAULT_REGION", "ap-south-1", 1);
    CU_ASSERT_EQUAL(open_with(&options, suffix), AEL_OK);
    CU_ASSERT_STRING_EQUAL(suffix, "ap-south-1");
    (void)setenv("AWS_REGION", "eu-north-1", 1);
    CU_ASSERT_EQUAL(open_with(&options, suffix), AEL_OK);
    CU_ASSERT_STRING_EQUAL(suffix, "eu-north-1");
    (void)setenv("AWS_REGION", "no region", 1);
    CU_ASSERT_EQUAL(open_with(&options, suffix), AEL_E_ARGUMENT);
    dynamodb_server_set_environment();
    char path[] = "/tmp/ael-config-XXXXXX";
    int descriptor = mkstemp(path);
    CU_ASSERT_TRUE_FATAL(descriptor >= 0);
    static const char k_config[] = "[default]\nregion = sa-east-1\n[profile other]\nregion = ca-central-1\n";
    CU_ASSERT_EQUAL(write(descriptor, k_config, sizeof k_config - 1), (ssize_t)sizeof k_config - 1);
    (void)close(descriptor);
    (void)setenv("AWS_CONFIG_FILE", path, 1);
    CU_ASSERT_EQUAL(open_with(&options, suffix), AEL_OK);
    CU_ASSERT_STRING_EQUAL(suffix, "sa-east-1");
    options.profile = "other";
    CU_ASSERT_EQUAL(open_with(&options, suffix), AEL_OK);
    CU_ASSERT_STRING_EQUAL(suffix, "ca-central-1");
    (void)unlink(path);
    dynamodb_server_set_environment();
}

static void test_dynamodb_new__signs_for_the_signing_region(void) {
    service_start(&g_service);
    struct ael_metastore_dynamodb_options options = options_for(&g_service);
    ael_metastore_release(g_service.store);
    options.signing_region = "us-gov-west-1";
    options.table = "Another.Table_1-2";
    CU_ASSERT_EQUAL_FATAL(ael_metastore_dynamodb_new(&options, &g_service.store, NULL), AEL_OK);
    SCRIPT(&g_service, {.body = GOT});
    CU_ASSERT_EQUAL(load(NULL, NULL), AEL_OK);
    http_server_sync();
    CU_ASSERT_PTR_NOT_NULL(strstr(g_service.authorizations[0], "/us-gov-west-1/dynamodb/aws4_request"));
    CU_ASSERT_PTR_NOT_NULL(strstr(g_service.bodies[0], "\"TableName\":\"Another.Table_1-2\""));
    service_stop(&g_service);
}

static void test_dynamodb_new__refuses_options_out_of_range(void) {
    static const char *const k_tables[] = {"", "ab", "a b c", "a\"b", "tabl\xc3\xa9"};
    static const char *const k_endpoints[] = {"",      "ftp://x", "https://", "http://u:p@h", "https://h/?q",
                                              "h:8000"};
    char suffix[64];
    const struct ael_metastore_dynamodb_options good = {
        .size = sizeof good,
        .region = "eu-west-1",
        .max_connections = 1,
        .connect_timeout_ms = 1,
        .answer_timeout_ms = 1};
    struct ael_metastore_dynamodb_options bad = good;
    CU_ASSERT_EQUAL(open_with(&good, suffix), AEL_OK);
    CU_ASSERT_EQUAL(ael_metastore_dynamodb_new(&good, NULL, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(open_with(NULL, suffix), AEL_E_ARGUMENT);
    for (size_t i = 0; i < sizeof k_tables / sizeof k_tables[0]; i++) {
        bad = good;
        bad.table = k_tables[i];
        CU_ASSERT_EQUAL(open_with(&bad, suffix), AEL_E_ARGUMENT);
    }
    for (size_t i = 0; i < sizeof k_endpoints / sizeof k_endpoints[0]; i++) {
        bad = good;
        bad.endpoint = k_endpoints[i];
        CU_ASSERT_EQUAL(open_with(&bad, suffix), AEL_E_ARGUMENT);
    }
    bad = good;
    bad.size--;
    CU_ASSERT_EQUAL(open_with(&bad, suffix), AEL_E_ARGUMENT);
    bad = good;
    bad.signing_region = "a b";
    CU_ASSERT_EQUAL(open_with(&bad, suffix), AEL_E_ARGUMENT);
    bad = good;
    bad.max_connections = 0;
    CU_ASSERT_EQUAL(open_with(&bad, suffix), AEL_E_ARGUMENT);
    bad.max_connections = 257;
    CU_ASSERT_EQUAL(open_with(&bad, suffix), AEL_E_ARGUMENT);
    bad = good;
    bad.connect_timeout_ms = 0;
    CU_ASSERT_EQUAL(open_with(&bad, suffix), AEL_E_ARGUMENT);
    bad = good;
    bad.answer_timeout_ms = 0;
    CU_ASSERT_EQUAL(open_with(&bad, suffix), AEL_E_ARGUMENT);
    bad = good;
    bad.max_retries = 101;
    CU_ASSERT_EQUAL(open_with(&bad, suffix), AEL_E_ARGUMENT);
}

static void test_dynamodb_store__refuses_ids_that_no_key_holds(void) {
    static char long_id[2050];
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    const struct ael_key_record record = sample();
    bool stored = true;
    memset(long_id, 'x', sizeof long_id - 1);
    struct ael_bytes too_long = ael_bytes_from_text(long_id);
    service_start(&g_service);
    CU_ASSERT_EQUAL(
        ael_metastore_store(g_service.store, NULL, too_long, &record, &stored, NULL), AEL_E_TOO_LARGE);
    CU_ASSERT_EQUAL(
        ael_metastore_load(g_service.store, NULL, too_long, CREATED, &out, NULL), AEL_E_KEY_NOT_FOUND);
    CU_ASSERT_EQUAL(
        ael_metastore_load_latest(g_service.store, NULL, too_long, &out, NULL), AEL_E_KEY_NOT_FOUND);
    CU_ASSERT_EQUAL(asked(), 0);
    service_stop(&g_service);
}

/* ---- memory ---- */

static atomic_int g_countdown;

static int fail_at_zero(void *context) {
    (void)context;
    return atomic_fetch_sub(&g_countdown, 1) == 0;
}

/* Each allocation of ours fails once; what is left over, the sanitizers see. */
static void test_dynamodb_store__survives_each_failed_allocation(void) {
    service_start(&g_service);
    SCRIPT(&g_service, {.body = GOT});
    int good = 0;
    for (int i = 0; i < 400 && good < 3; i++) {
        atomic_store(&g_countdown, i);
        ael_alloc_set_fault(fail_at_zero, NULL);
        bool stored = false;
        enum ael_status loaded = load(NULL, NULL);
        enum ael_status done = store(NULL, &stored, NULL);
        ael_alloc_set_fault(NULL, NULL);
        CU_ASSERT(loaded == AEL_OK || loaded == AEL_E_NO_MEMORY);
        CU_ASSERT(done == AEL_OK || done == AEL_E_NO_MEMORY || done == AEL_E_OUTCOME_UNKNOWN);
        good = loaded == AEL_OK && done == AEL_OK ? good + 1 : 0;
    }
    CU_ASSERT_EQUAL(good, 3);
    service_stop(&g_service);
}

static void test_crc32__is_the_published_one(void) {
    CU_ASSERT_EQUAL(ael_crc32(ael_bytes_from_text("123456789")), 0xcbf43926u);
    CU_ASSERT_EQUAL(ael_crc32(ael_bytes_from_text("")), 0);
    CU_ASSERT_EQUAL(ael_crc32(ael_bytes_from_text("{}")), 2745614147u);
}

/* It would read the rows, and could send the signed request as often as it likes. */
static void test_dynamodb_load__is_told_to_no_proxy(void) {
    static struct service s_proxy; /* large */
    service_start(&s_proxy);
    CU_ASSERT_EQUAL_FATAL(setenv("http_proxy", http_server_url(s_proxy.server), 1), 0);
    CU_ASSERT_EQUAL_FATAL(setenv("no_proxy", "", 1), 0);
    service_start(&g_service);
    SCRIPT(&g_service, {.body = GOT});
    CU_ASSERT_EQUAL(load(NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(asked(), 1);
    CU_ASSERT_EQUAL(s_proxy.asked, 0);
    CU_ASSERT_STRING_EQUAL(s_proxy.authorizations[0], "");
    (void)unsetenv("http_proxy");
    (void)unsetenv("no_proxy");
    service_stop(&g_service);
    service_stop(&s_proxy);
}

static const struct test_case k_cases[] = {
    {"crc32 is the published one", test_crc32__is_the_published_one},
    {"items are those of the Go SDKs", test_dynamodb_store__writes_the_items_of_the_go_sdks},
    {"reads are consistent", test_dynamodb_load__reads_consistently},
    {"what every SDK writes is read", test_dynamodb_load__reads_what_every_sdk_writes},
    {"what is no key record is refused", test_dynamodb_load__refuses_what_is_no_key_record},
    {"a latest item of two dates is refused", test_dynamodb_load_latest__refuses_an_item_of_two_dates},
    {"nothing found is not no answer", test_dynamodb_load__tells_nothing_found_from_no_answer},
    {"each refusal is named", test_dynamodb_store__names_each_refusal},
    {"throttling is waited for", test_dynamodb_store__goes_on_after_throttling},
    {"a lost race is told", test_dynamodb_store__tells_a_lost_race},
    {"a lost answer is read again", test_dynamodb_load__is_done_again_when_the_answer_is_lost},
    {"a wrong checksum is no answer", test_dynamodb_load__takes_no_answer_with_a_wrong_checksum},
    {"a store whose answer is lost is unknown", test_dynamodb_store__is_unknown_when_its_answer_is_lost},
    {"a store without a server is not begun", test_dynamodb_store__is_not_begun_without_a_server},
    {"a call ends at its deadline", test_dynamodb_load__ends_at_its_deadline},
    {"a silent service is unreachable", test_dynamodb_load__counts_a_silent_service_as_unreachable},
    {"no pause outlasts the call", test_dynamodb_load__does_not_wait_past_its_deadline},
    {"a call ends when it is cancelled", test_dynamodb_load__ends_when_it_is_cancelled},
    {"refused credentials are fetched again", test_dynamodb_load__asks_for_credentials_again_when_refused},
    {"without credentials nothing is sent", test_dynamodb_load__needs_credentials},
    {"replace tells why it did not", test_dynamodb_replace__tells_why_the_condition_failed},
    {"pages of a listing are put in order", test_dynamodb_list__puts_pages_in_order},
    {"ensure_schema waits", test_dynamodb_ensure_schema__waits_until_the_table_is_there},
    {"ensure_schema refuses another key", test_dynamodb_ensure_schema__refuses_another_key},
    {"health reads and would write", test_dynamodb_health__reads_and_would_write},
    {"no proxy is told", test_dynamodb_load__is_told_to_no_proxy},
    {"the region is the suffix", test_dynamodb_new__takes_the_region_for_a_suffix},
    {"the region is found", test_dynamodb_new__finds_the_region},
    {"the signing region signs", test_dynamodb_new__signs_for_the_signing_region},
    {"options out of range are refused", test_dynamodb_new__refuses_options_out_of_range},
    {"ids that no key holds are refused", test_dynamodb_store__refuses_ids_that_no_key_holds},
    {"failed allocations are survived", test_dynamodb_store__survives_each_failed_allocation},
};

int main(void) {
    dynamodb_server_set_environment();
    return test_suite_run("metastore_dynamodb", k_cases, sizeof k_cases / sizeof k_cases[0]);
}
