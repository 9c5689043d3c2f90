/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/bare.h"
#include "bench/bare_http.h"

#include <inttypes.h>
#include <stdio.h>

enum { BODY_BYTES = 1024 };

/* libcurl signs, too. */
struct bare {
    struct bare_http http;
    struct curl_slist *headers[BARE_CALLS];
};

static const char *const k_targets[BARE_CALLS] = {"GetItem", "Query", "PutItem"};

static void close_dynamodb(void *self) {
    struct bare *bare = self;
    for (int i = 0; i < BARE_CALLS; i++) {
        curl_slist_free_all(bare->headers[i]);
    }
    bare_http_close(&bare->http);
}

static void *open_dynamodb(const char *address) {
    static struct bare bare;
    char target[64];
    if (!bare_http_open(&bare.http, "dynamodb")) {
        return NULL;
    }
    for (int i = 0; i < BARE_CALLS; i++) {
        (void)snprintf(target, sizeof target, "X-Amz-Target: DynamoDB_20120810.%s", k_targets[i]);
        bare.headers[i] = curl_slist_append(NULL, "Content-Type: application/x-amz-json-1.0");
        bare.headers[i] = curl_slist_append(bare.headers[i], target);
    }
    (void)curl_easy_setopt(bare.http.easy, CURLOPT_URL, address);
    (void)curl_easy_setopt(bare.http.easy, CURLOPT_USERPWD, "AKIDBENCH:secret");
    (void)curl_easy_setopt(bare.http.easy, CURLOPT_AWS_SIGV4, "aws:amz:us-west-2:dynamodb");
    return &bare;
}

static bool run(struct bare *bare, int call, const char *body, const char *expected) {
    (void)curl_easy_setopt(bare->http.easy, CURLOPT_HTTPHEADER, bare->headers[call]);
    return bare_http_post(&bare->http, body, expected);
}

static bool load_dynamodb(void *self, const char *id, int64_t created_s) {
    char body[BODY_BYTES];
    (void)snprintf(
        body, sizeof body,
        "{\"TableName\":\"EncryptionKey\",\"ConsistentRead\":true,\"ProjectionExpression\":\"KeyRecord\","
        "\"Key\":{\"Id\":{\"S\":\"%s\"},\"Created\":{\"N\":\"%" PRId64 "\"}}}",
        id, created_s);
    return run(self, BARE_LOAD, body, "KeyRecord");
}

static bool latest_dynamodb(void *self, const char *id) {
    char body[BODY_BYTES];
    (void)snprintf(
        body, sizeof body,
        "{\"TableName\":\"EncryptionKey\",\"ConsistentRead\":true,\"Limit\":1,\"ScanIndexForward\":false,"
        "\"ProjectionExpression\":\"Created,KeyRecord\",\"KeyConditionExpression\":\"Id = :id\","
        "\"ExpressionAttributeValues\":{\":id\":{\"S\":\"%s\"}}}",
        id);
    return run(self, BARE_LATEST, body, "KeyRecord");
}

/* The record as an item has it, whatever the text is that other backends keep. */
static bool store_dynamodb(void *self, const char *id, int64_t created_s, const char *json) {
    char body[BODY_BYTES];
    (void)json;
    (void)snprintf(
        body, sizeof body,
        "{\"TableName\":\"EncryptionKey\",\"ConditionExpression\":\"attribute_not_exists(Id)\",\"Item\":{"
        "\"Id\":{\"S\":\"%s\"},\"Created\":{\"N\":\"%" PRId64
        "\"},\"KeyRecord\":{\"M\":{\"Created\":{\"N\":\"%" PRId64 "\"},\"Key\":{\"S\":"
        "\"AQIDAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"},"
        "\"ParentKeyMeta\":{\"M\":{\"KeyId\":{\"S\":\"_SK_service_product\"},\"Created\":{\"N\":\"%" PRId64
        "\"}}}}}}}",
        id, created_s, created_s, created_s);
    return run(self, BARE_STORE, body, "{");
}

const struct bare_ops g_bare_dynamodb = {
    .name = "dynamodb",
    .open = open_dynamodb,
    .load = load_dynamodb,
    .latest = latest_dynamodb,
    .store = store_dynamodb,
    .close = close_dynamodb,
};
