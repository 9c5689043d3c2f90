/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/bare.h"
#include "bench/bare_http.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

enum { URL_BYTES = 256, KEY_BYTES = 96, VALUE_BYTES = 512, BODY_BYTES = 1536 };
enum { KEY_TEXT_BYTES = (KEY_BYTES + 2) / 3 * 4 + 1, VALUE_TEXT_BYTES = (VALUE_BYTES + 2) / 3 * 4 + 1 };

/* Keys are our store's: "ael/<id> <created, 19 digits>". */
struct bare {
    struct bare_http http;
    struct curl_slist *headers;
    char range_url[URL_BYTES];
    char txn_url[URL_BYTES];
};

/* @param bytes shorter than the array that text is made for. */
static void encode(const char *bytes, char *text) {
    (void)EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)bytes, (int)strlen(bytes));
}

static void encode_key(const char *id, int64_t created_s, char text[KEY_TEXT_BYTES]) {
    char key[KEY_BYTES];
    (void)snprintf(key, sizeof key, "ael/%s %019" PRId64, id, created_s);
    encode(key, text);
}

static void close_etcd(void *self) {
    struct bare *bare = self;
    bare_http_close(&bare->http);
    curl_slist_free_all(bare->headers);
}

static void *open_etcd(const char *address) {
    static struct bare bare;
    if (!bare_http_open(&bare.http, "etcd")) {
        return NULL;
    }
    bare.headers = curl_slist_append(NULL, "Content-Type: application/json");
    (void)snprintf(bare.range_url, sizeof bare.range_url, "%s/v3/kv/range", address);
    (void)snprintf(bare.txn_url, sizeof bare.txn_url, "%s/v3/kv/txn", address);
    (void)curl_easy_setopt(bare.http.easy, CURLOPT_HTTPHEADER, bare.headers);
    (void)curl_easy_setopt(bare.http.easy, CURLOPT_NOPROXY, "*");
    return &bare;
}

static bool run(struct bare *bare, const char *url, const char *body, const char *expected) {
    (void)curl_easy_setopt(bare->http.easy, CURLOPT_URL, url);
    return bare_http_post(&bare->http, body, expected);
}

static bool load_etcd(void *self, const char *id, int64_t created_s) {
    struct bare *bare = self;
    char key[KEY_TEXT_BYTES];
    char body[BODY_BYTES];
    encode_key(id, created_s, key);
    (void)snprintf(body, sizeof body, "{\"key\":\"%s\"}", key);
    return run(bare, bare->range_url, body, "\"kvs\"");
}

/* The last key of those that begin with the id and its blank, behind which is '!'. */
static bool latest_etcd(void *self, const char *id) {
    struct bare *bare = self;
    char text[KEY_BYTES];
    char key[KEY_TEXT_BYTES];
    char end[KEY_TEXT_BYTES];
    char body[BODY_BYTES];
    (void)snprintf(text, sizeof text, "ael/%s ", id);
    encode(text, key);
    (void)snprintf(text, sizeof text, "ael/%s!", id);
    encode(text, end);
    (void)snprintf(
        body, sizeof body,
        "{\"key\":\"%s\",\"range_end\":\"%s\",\"limit\":\"1\",\"sort_order\":\"DESCEND\","
        "\"sort_target\":\"KEY\"}",
        key, end);
    return run(bare, bare->range_url, body, "\"kvs\"");
}

static bool store_etcd(void *self, const char *id, int64_t created_s, const char *json) {
    struct bare *bare = self;
    char key[KEY_TEXT_BYTES];
    char value[VALUE_TEXT_BYTES];
    char body[BODY_BYTES];
    if (strlen(json) >= VALUE_BYTES) {
        return false;
    }
    encode_key(id, created_s, key);
    encode(json, value);
    (void)snprintf(
        body, sizeof body,
        "{\"compare\":[{\"target\":\"CREATE\",\"result\":\"EQUAL\",\"create_revision\":\"0\","
        "\"key\":\"%s\"}],\"success\":[{\"request_put\":{\"key\":\"%s\",\"value\":\"%s\"}}]}",
        key, key, value);
    return run(bare, bare->txn_url, body, "\"succeeded\":true");
}

const struct bare_ops g_bare_etcd = {
    .name = "etcd",
    .open = open_etcd,
    .load = load_etcd,
    .latest = latest_etcd,
    .store = store_etcd,
    .close = close_etcd,
};
