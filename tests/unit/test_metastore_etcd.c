/*
 * tests/unit/test_metastore_etcd.c - the etcd store before servers of the test's own, which say what etcd says when it has no
 * leader, refuses, is full, or is none.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ael/metastore_etcd.h>

#include "base/alloc.h"
#include "base/base64.h"
#include "tests/support/free_port.h"
#include "tests/support/http_server.h"
#include "tests/support/suite.h"

#include <ael/sys/metastore_backend.h>

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { CREATED = 1700000040, MOST_REQUESTS = 8, NODES = 2, REQUEST_BYTES = 16384 };

#define ID                  "_IK_secret-partition_svc_prod"
#define KEY                 "ael/" ID " 0000000001700000040"
#define KEY64               "AAECAwQFBgcICQoLDA0ODw=="
#define RECORD              "{\"Created\":1700000040,\"Key\":\"" KEY64 "\"}"
#define PASSWORD            "the-word-of-the-user"
#define HEAD                "{\"header\":{\"cluster_id\":\"1\",\"member_id\":\"2\",\"revision\":\"7\",\"raft_term\":\"2\"}"
#define NONE                HEAD "}"
#define DONE                HEAD ",\"succeeded\":true}"
#define SAYS(message, code) "{\"error\":\"" message "\",\"message\":\"" message "\",\"code\":" #code "}"
#define TOKEN(text)         HEAD ",\"token\":\"" text "\"}"

/* ---- the nodes ---- */

/* One answer; the last one of a script is given again and again. */
struct line {
    int status; /* 0 = 200 */
    const char *body;
    enum http_server_how how;
    size_t repeat;
};

struct node {
    struct http_server *server;
    const struct line *script;
    size_t lines;
    unsigned asked; /* since the script was set */
    char targets[MOST_REQUESTS][64];
    char tokens[MOST_REQUESTS][128];
    char bodies[MOST_REQUESTS][REQUEST_BYTES];
};

static struct node g_nodes[NODES]; /* large */
static struct ael_metastore *g_store;

static void
answer(void *context, const struct http_server_request *request, struct http_server_reply *reply) {
    struct node *node = context;
    if (node->asked < MOST_REQUESTS) {
        char value[4096];
        (void)snprintf(node->targets[node->asked], 64, "%.63s", request->target);
        (void)snprintf(node->bodies[node->asked], REQUEST_BYTES, "%s", request->body);
        (void)snprintf(
            node->tokens[node->asked], 128, "%.127s", http_server_header(request, "Authorization", value));
    }
    const struct line *line = &node->script[node->asked < node->lines ? node->asked : node->lines - 1];
    node->asked++;
    reply->how = line->how;
    reply->status = line->status;
    reply->repeat = line->repeat;
    (void)snprintf(reply->body, sizeof reply->body, "%s", line->body == NULL ? NONE : line->body);
}

static void set_script(struct node *node, const struct line *lines, size_t count) {
    http_server_sync();
    node->script = lines;
    node->lines = count;
    node->asked = 0;
    http_server_sync();
}

#define SCRIPT(node, ...)                                                                                    \
    set_script(                                                                                              \
        &g_nodes[node], (const struct line[]){__VA_ARGS__},                                                  \
        sizeof((const struct line[]){__VA_ARGS__}) / sizeof(struct line))

static unsigned asked(int node) {
    http_server_sync();
    return g_nodes[node].asked;
}

static const struct line k_nothing = {.body = NONE};

static void open_store(const char *user) {
    char endpoints[256];
    struct ael_metastore_etcd_options options = AEL_METASTORE_ETCD_OPTIONS_INIT;
    (void)snprintf(
        endpoints, sizeof endpoints, "%s%s%s", http_server_url(g_nodes[0].server),
        g_nodes[1].server == NULL ? "" : ",",
        g_nodes[1].server == NULL ? "" : http_server_url(g_nodes[1].server));
    options.endpoints = endpoints;
    options.user = user;
    options.password = user == NULL ? NULL : PASSWORD;
    options.answer_timeout_ms = 60000;
    options.max_retries = 3;
    CU_ASSERT_EQUAL_FATAL(ael_metastore_etcd_new(&options, &g_store, NULL), AEL_OK);
}

static void start(int nodes, const char *user) {
    memset(g_nodes, 0, sizeof g_nodes);
    for (int i = 0; i < nodes; i++) {
        set_script(&g_nodes[i], &k_nothing, 1);
        g_nodes[i].server = http_server_start(answer, &g_nodes[i]);
        CU_ASSERT_PTR_NOT_NULL_FATAL(g_nodes[i].server);
    }
    open_store(user);
}

static void stop(void) {
    ael_metastore_release(g_store);
    for (int i = 0; i < NODES; i++) {
        if (g_nodes[i].server != NULL) {
            http_server_stop(g_nodes[i].server);
        }
    }
}

/* ---- rows as etcd gives them ---- */

static const char *base64(const char *text, size_t len, char *out) {
    ael_base64_encode((const uint8_t *)text, len, out);
    out[ael_base64_encoded_len(len)] = '\0';
    return out;
}

/* {"header":...,"kvs":[{"key":...,"value":...}],"count":"1"} */
static const char *range_of(const char *key, const char *value, char out[static 65536]) {
    static char key64[8192];
    static char value64[65536 / 2];
    (void)snprintf(
        out, 65536,
        HEAD ",\"kvs\":[{\"key\":\"%s\",\"create_revision\":\"5\",\"mod_revision\":\"5\",\"version\":\"1\","
             "\"value\":\"%s\"}],"
             "\"count\":\"1\"}",
        base64(key, strlen(key), key64), base64(value, strlen(value), value64));
    return out;
}

static bool sends(int node, unsigned number, const char *name, const char *text) {
    static char encoded[8192];
    static char member[8300];
    (void)snprintf(member, sizeof member, "\"%s\":\"%s\"", name, base64(text, strlen(text), encoded));
    return strstr(g_nodes[node].bodies[number], member) != NULL;
}

/* ---- calls ---- */

static struct ael_bytes id(void) {
    return ael_bytes_from_text(ID);
}

static struct ael_key_record sample(void) {
    static const uint8_t k_key[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    return (struct ael_key_record){.created_s = CREATED, .key = {k_key, sizeof k_key}};
}

/* No sentence repeats what is the caller's, or a secret. */
static void expect_discreet(const struct ael_error *err) {
    CU_ASSERT_TRUE(err->detail[0] != '\0');
    CU_ASSERT_PTR_NULL(strstr(err->detail, "secret-partition"));
    CU_ASSERT_PTR_NULL(strstr(err->detail, KEY64));
    CU_ASSERT_PTR_NULL(strstr(err->detail, PASSWORD));
    CU_ASSERT_PTR_NULL(strstr(err->detail, "token-"));
}

static enum ael_status finish(enum ael_status status, const struct ael_error *err) {
    if (status != AEL_OK) {
        expect_discreet(err);
    }
    return status;
}

static enum ael_status load(const struct ael_call *call) {
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    struct ael_error err = {0};
    const struct ael_key_record wanted = sample();
    enum ael_status status = ael_metastore_load(g_store, call, id(), CREATED, &out, &err);
    CU_ASSERT(status != AEL_OK || ael_key_record_equal(&out.record, &wanted));
    ael_key_record_buf_clear(&out);
    return finish(status, &err);
}

static enum ael_status load_latest(void) {
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    struct ael_error err = {0};
    const struct ael_key_record wanted = sample();
    enum ael_status status = ael_metastore_load_latest(g_store, NULL, id(), &out, &err);
    CU_ASSERT(status != AEL_OK || ael_key_record_equal(&out.record, &wanted));
    ael_key_record_buf_clear(&out);
    return finish(status, &err);
}

static enum ael_status store(bool *stored) {
    struct ael_error err = {0};
    const struct ael_key_record record = sample();
    return finish(ael_metastore_store(g_store, NULL, id(), &record, stored, &err), &err);
}

static enum ael_status revoke(void) {
    struct ael_error err = {0};
    return finish(ael_metastore_mark_revoked(g_store, id(), CREATED, NULL, &err), &err);
}

/* ---- requests ---- */

static void test_etcd_load__asks_for_one_key_linearizably(void) {
    static char body[65536];
    start(1, NULL);
    SCRIPT(0, {.body = range_of(KEY, RECORD, body)});
    CU_ASSERT_EQUAL(load(NULL), AEL_OK);
    CU_ASSERT_EQUAL(load_latest(), AEL_OK);
    CU_ASSERT_STRING_EQUAL(g_nodes[0].targets[0], "/v3/kv/range");
    CU_ASSERT_TRUE(sends(0, 0, "key", KEY));
    CU_ASSERT_TRUE(sends(0, 1, "key", "ael/" ID " "));
    CU_ASSERT_TRUE(sends(0, 1, "range_end", "ael/" ID "!"));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(g_nodes[0].bodies[1], "\"limit\":\"1\",\"sort_order\":\"DESCEND\",\"sort_target\":\"KEY\""));
    for (int i = 0; i < 2; i++) {
        CU_ASSERT_PTR_NULL(strstr(g_nodes[0].bodies[i], "serializable"));
        CU_ASSERT_STRING_EQUAL(g_nodes[0].tokens[i], "");
    }
    stop();
}

static void test_etcd_store__compares_the_create_revision(void) {
    bool stored = false;
    start(1, NULL);
    SCRIPT(0, {.body = DONE}, {.body = NONE});
    CU_ASSERT_EQUAL(store(&stored), AEL_OK);
    CU_ASSERT_TRUE(stored);
    CU_ASSERT_EQUAL(store(&stored), AEL_OK);
    CU_ASSERT_FALSE(stored);
    CU_ASSERT_STRING_EQUAL(g_nodes[0].targets[0], "/v3/kv/txn");
    CU_ASSERT_PTR_NOT_NULL(strstr(
        g_nodes[0].bodies[0],
        "{\"compare\":[{\"target\":\"CREATE\",\"result\":\"EQUAL\",\"create_revision\":\"0\",\"key\":"));
    CU_ASSERT_TRUE(sends(0, 0, "key", KEY));
    CU_ASSERT_TRUE(sends(0, 0, "value", RECORD));
    stop();
}

static void test_etcd_replace__compares_the_value_that_was_read(void) {
    static char body[65536];
    /* Written by another hand: equal in every member, not in its bytes. */
    static const char k_other[] = "{ \"Key\":\"" KEY64 "\", \"Created\":1700000040, \"Revoked\":false }";
    start(1, NULL);
    SCRIPT(0, {.body = range_of(KEY, k_other, body)}, {.body = body}, {.body = DONE});
    CU_ASSERT_EQUAL(revoke(), AEL_OK);
    CU_ASSERT_EQUAL(asked(0), 3);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(g_nodes[0].bodies[2], "{\"compare\":[{\"target\":\"VALUE\",\"result\":\"EQUAL\","));
    CU_ASSERT_TRUE(sends(0, 2, "value", k_other));
    CU_ASSERT_TRUE(sends(0, 2, "value", "{\"Revoked\":true,\"Created\":1700000040,\"Key\":\"" KEY64 "\"}"));
    stop();
}

static void test_etcd_replace__reads_again_when_the_outcome_is_unknown(void) {
    static char before[65536];
    static char after[65536];
    start(1, NULL);
    (void)range_of(KEY, RECORD, before);
    (void)range_of(KEY, "{\"Revoked\":true,\"Created\":1700000040,\"Key\":\"" KEY64 "\"}", after);
    SCRIPT(0, {.body = before}, {.body = before}, {.how = HTTP_SERVER_CLOSES}, {.body = after});
    CU_ASSERT_EQUAL(revoke(), AEL_OK);
    CU_ASSERT_EQUAL(asked(0), 4);
    stop();
}

static void test_etcd_health__asks_for_a_transaction_that_never_writes(void) {
    struct ael_error err = {0};
    start(1, NULL);
    SCRIPT(0, {.body = NONE}, {.status = 503, .body = SAYS("etcdserver: no leader", 14)}, {.body = "<html>"});
    CU_ASSERT_EQUAL(ael_metastore_health(g_store, NULL, &err), AEL_OK);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(g_nodes[0].bodies[0], "\"target\":\"VERSION\",\"result\":\"LESS\",\"version\":\"0\""));
    CU_ASSERT_EQUAL(ael_metastore_health(g_store, NULL, &err), AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(ael_metastore_health(g_store, NULL, &err), AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(asked(0), 3);
    CU_ASSERT_EQUAL(ael_metastore_ensure_schema(g_store, NULL, &err), AEL_OK);
    CU_ASSERT_EQUAL(asked(0), 3);
    stop();
}

/* Nothing is written by it, so that nothing can be unknown; and that the call is over tells nothing of the cluster. */
static void test_etcd_health__ends_with_its_call(void) {
    struct ael_error err = {0};
    struct ael_call call = AEL_CALL_INIT;
    start(1, NULL);
    SCRIPT(0, {.how = HTTP_SERVER_HANGS});
    call.deadline_ns = ael_deadline_in_ms(100);
    CU_ASSERT_EQUAL(ael_metastore_health(g_store, &call, &err), AEL_E_TIMEOUT);
    CU_ASSERT_EQUAL(err.status, AEL_E_TIMEOUT);
    stop();
}

/* ---- answers that are none ---- */

#define KVS(rows) HEAD ",\"kvs\":" rows ",\"count\":\"1\"}"
#define K64       "YWVsL19JS19zZWNyZXQtcGFydGl0aW9uX3N2Y19wcm9kIDAwMDAwMDAwMDE3MDAwMDAwNDA=" /* KEY */

static void test_etcd_load__refuses_what_is_no_answer_of_etcds(void) {
    static const char *const k_bad[] = {
        "",
        "<html><body>It works!</body></html>",
        "{}", /* would be "not found", and a new key */
        "[]",
        "null",
        "{\"count\":\"0\"}",
        "{\"header\":{}}",
        "{\"header\":{\"revision\":\"0\"}}",
        "{\"header\":{\"revision\":\"-7\"}}",
        "{\"header\":{\"revision\":7}}",
        "{\"header\":{\"revision\":\"7.5\"}}",
        "{\"header\":\"7\"}",
        HEAD,
        HEAD ",\"kvs\":",
        NONE "x",
        HEAD ",\"count\":\"1\"}", /* rows that were lost */
        KVS("{}"),
        KVS("\"\""),
        KVS("[]"), /* so, too */
        KVS("[1]"),
        KVS("[{}]"),
        KVS("[{\"value\":\"e30=\"}]"),
        KVS("[{\"key\":7}]"),
        KVS("[{\"key\":\"" K64 "\",\"value\":{}}]"),
        KVS("[{\"key\":\"" K64
            "\",\"value\":\"e30\"}]"), /* base64 without its padding, with blanks, of another alphabet */
        KVS("[{\"key\":\"" K64 "\",\"value\":\"e3 =\"}]"),
        KVS("[{\"key\":\"" K64 "\",\"value\":\"e31-\"}]"),
        KVS("[{\"key\":\"" K64 "\",\"key\":\"" K64 "\"}]"),
        KVS("[{\"key\":\"" K64 "\",\"value\":\"e30=\""),
        HEAD ",\"more\":\"yes\"}",
        HEAD ",\"succeeded\":1}",
    };
    start(1, NULL);
    for (size_t i = 0; i < sizeof k_bad / sizeof k_bad[0]; i++) {
        SCRIPT(0, {.body = k_bad[i]});
        CU_ASSERT_EQUAL(load(NULL), AEL_E_BACKEND);
        CU_ASSERT_EQUAL(load_latest(), AEL_E_BACKEND);
        CU_ASSERT_EQUAL(asked(0), 2);
    }
    SCRIPT(0, {.body = NONE});
    CU_ASSERT_EQUAL(load(NULL), AEL_E_KEY_NOT_FOUND);
    CU_ASSERT_EQUAL(load_latest(), AEL_E_KEY_NOT_FOUND);
    stop();
}

static void test_etcd_load__refuses_rows_of_other_keys(void) {
    static char body[65536];
    static const char *const k_keys[] = {
        "ael/_IK_other 0000000001700000040", "ael/" ID "x 0000000001700000040",
        "ael/_IK 0000000001700000040"};
    start(1, NULL);
    for (size_t i = 0; i < sizeof k_keys / sizeof k_keys[0]; i++) {
        SCRIPT(0, {.body = range_of(k_keys[i], RECORD, body)});
        CU_ASSERT_EQUAL(load(NULL), AEL_E_BACKEND);
        CU_ASSERT_EQUAL(load_latest(), AEL_E_BACKEND);
    }
    SCRIPT(
        0, {.body = range_of(
                "ael/" ID " 0000000001700000100", "{\"Created\":1700000100,\"Key\":\"" KEY64 "\"}", body)});
    CU_ASSERT_EQUAL(load(NULL), AEL_E_BACKEND);
    stop();
}

static void test_etcd_load__refuses_values_that_are_no_key_records(void) {
    static char body[65536];
    static char large[24000];
    static const char *const k_values[] = {
        "",
        "null",
        "[]",
        "{}",
        "{\"Created\":1700000040}",
        "{\"Created\":\"1700000040\",\"Key\":\"" KEY64 "\"}",
        "{\"Created\":1700000040,\"Key\":\"AAE\"}",
        "{\"Created\":1700000040,\"Key\":\"\"}",
        "{\"Created\":1700000100,\"Key\":\"" KEY64 "\"}", /* not the date of its key */
        "{\"Created\":1700000040,\"Key\":\"" KEY64 "\"} and more",
        large};
    start(1, NULL);
    memset(large, 'A', sizeof large - 4);
    memcpy(large, "{\"Created\":1700000040,\"Key\":\"", 29);
    memcpy(large + sizeof large - 4, "\"}", 3);
    for (size_t i = 0; i < sizeof k_values / sizeof k_values[0]; i++) {
        SCRIPT(0, {.body = range_of(KEY, k_values[i], body)});
        CU_ASSERT_EQUAL(load(NULL), AEL_E_BACKEND_DATA);
        CU_ASSERT_EQUAL(load_latest(), AEL_E_BACKEND_DATA);
    }
    SCRIPT(0, {.body = range_of("ael/" ID " none", RECORD, body)});
    CU_ASSERT_EQUAL(load_latest(), AEL_E_BACKEND_DATA);
    stop();
}

static void test_etcd_load__ends_with_its_call_and_with_its_bounds(void) {
    static char page[65536];
    struct ael_call call = AEL_CALL_INIT;
    start(1, NULL);
    memset(page, ' ', sizeof page - 1);
    SCRIPT(0, {.body = page, .repeat = 600}); /* more than is read of any answer */
    CU_ASSERT_EQUAL(load(NULL), AEL_E_BACKEND);
    SCRIPT(0, {.how = HTTP_SERVER_HANGS});
    call.deadline_ns = ael_deadline_in_ms(100);
    CU_ASSERT_EQUAL(load(&call), AEL_E_TIMEOUT);
    stop();
}

/* ---- refusals ---- */

static void test_etcd_store__tells_refusals(void) {
    static const struct {
        struct line line;
        enum ael_status status;
        const char *remedy;
    } k_refusals[] = {
        {{.status = 429, .body = SAYS("etcdserver: mvcc: database space exceeded", 8)},
         AEL_E_BACKEND,
         "defragment"},
        {{.status = 400, .body = SAYS("etcdserver: request is too large", 3)},
         AEL_E_TOO_LARGE,
         "--max-request-bytes"},
        {{.status = 403, .body = SAYS("etcdserver: permission denied", 7)}, AEL_E_BACKEND, "readwrite"},
        {{.status = 400, .body = SAYS("etcdserver: user name is empty", 3)},
         AEL_E_BACKEND,
         "set user and password"},
        {{.status = 400,
          .body = "CommonName of client sending a request against gateway will be ignored and not used as "
                  "expected\n"},
         AEL_E_BACKEND,
         "common name"},
        {{.status = 404, .body = "404 page not found"}, AEL_E_BACKEND, "is this endpoint an etcd"},
        {{.status = 401, .body = "<html>who are you?</html>"}, AEL_E_BACKEND, "is this endpoint an etcd"},
        {{.status = 302, .body = ""}, AEL_E_BACKEND, "is this endpoint an etcd"},
        {{.status = 400, .body = SAYS("etcdserver: " ID, 3)}, AEL_E_BACKEND, "is this endpoint an etcd"},
    };
    const struct ael_key_record record = sample();
    start(1, NULL);
    for (size_t i = 0; i < sizeof k_refusals / sizeof k_refusals[0]; i++) {
        struct ael_error err = {0};
        bool stored = true;
        set_script(&g_nodes[0], &k_refusals[i].line, 1);
        CU_ASSERT_EQUAL(
            ael_metastore_store(g_store, NULL, id(), &record, &stored, &err), k_refusals[i].status);
        CU_ASSERT_FALSE(stored);
        CU_ASSERT_EQUAL(asked(0), 1);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, k_refusals[i].remedy));
        CU_ASSERT_EQUAL(err.native_code, k_refusals[i].line.status);
        expect_discreet(&err);
    }
    stop();
}

/* What may have been done is not done again, and not taken for a lost race. */
static void test_etcd_store__does_not_know_after_a_failure(void) {
    static const struct line k_failures[] = {
        {.status = 503, .body = SAYS("etcdserver: no leader", 14)},
        {.status = 503, .body = SAYS("etcdserver: request timed out", 14)},
        {.status = 504, .body = "<html>"},
        {.status = 500, .body = ""},
        {.status = 408, .body = SAYS("context canceled", 1)},
        {.status = 499, .body = SAYS("grpc: the client connection is closing", 1)}, /* as etcd 3.6 stops */
        {.status = 0, .body = NULL, .how = HTTP_SERVER_CLOSES},
        {.status = 0, .body = DONE, .how = HTTP_SERVER_CUTS},
        {.status = 0, .body = "<html>"},
        {.status = 0, .body = "{}"},
        {.status = 0, .body = "{\"succeeded\":true}"},
    };
    start(2, NULL);
    for (size_t i = 0; i < sizeof k_failures / sizeof k_failures[0]; i++) {
        bool stored = true;
        set_script(&g_nodes[0], &k_failures[i], 1);
        set_script(&g_nodes[1], &k_failures[i], 1);
        CU_ASSERT_EQUAL(store(&stored), AEL_E_OUTCOME_UNKNOWN);
        CU_ASSERT_FALSE(stored);
        CU_ASSERT_EQUAL(asked(0) + asked(1), 1);
    }
    stop();
}

static void test_etcd_store__tries_again_what_was_not_done(void) {
    bool stored = false;
    start(1, NULL);
    SCRIPT(
        0, {.status = 429, .body = SAYS("etcdserver: too many requests", 8)}, {.status = 429, .body = ""},
        {.body = DONE});
    CU_ASSERT_EQUAL(store(&stored), AEL_OK);
    CU_ASSERT_TRUE(stored);
    CU_ASSERT_EQUAL(asked(0), 3);
    SCRIPT(0, {.status = 429, .body = ""});
    CU_ASSERT_EQUAL(store(&stored), AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(asked(0), 4); /* one node, and max_retries */
    stop();
}

/* ---- several nodes ---- */

static void test_etcd_load__goes_on_to_another_node(void) {
    static const struct line k_failures[] = {
        {.status = 503, .body = SAYS("etcdserver: leader changed", 14)},
        {.status = 499, .body = SAYS("grpc: the client connection is closing", 1)},
        {.status = 500, .body = ""},
        {.status = 0, .body = NULL, .how = HTTP_SERVER_CLOSES},
        {.status = 0, .body = DONE, .how = HTTP_SERVER_CUTS},
    };
    static char body[65536];
    const struct line good = {.body = range_of(KEY, RECORD, body)};
    for (size_t i = 0; i < sizeof k_failures / sizeof k_failures[0]; i++) {
        start(2, NULL);
        set_script(&g_nodes[0], &k_failures[i], 1);
        set_script(&g_nodes[1], &good, 1);
        CU_ASSERT_EQUAL(load(NULL), AEL_OK);
        unsigned first = asked(0);
        CU_ASSERT_TRUE(
            first >= 1 && first <= 2);       /* libcurl repeats what reads on a connection that was closed */
        CU_ASSERT_EQUAL(load(NULL), AEL_OK); /* where it was answered */
        CU_ASSERT_EQUAL(asked(0), first);
        CU_ASSERT_EQUAL(asked(1), 2);
        stop();
    }
}

static void test_etcd_load__leaves_time_for_another_node(void) {
    static char body[65536];
    struct ael_call call = AEL_CALL_INIT;
    start(2, NULL);
    SCRIPT(0, {.how = HTTP_SERVER_HANGS});
    SCRIPT(1, {.body = range_of(KEY, RECORD, body)});
    call.deadline_ns = ael_deadline_in_ms(2000);
    CU_ASSERT_EQUAL(load(&call), AEL_OK);
    CU_ASSERT_EQUAL(asked(0), 1);
    stop();
}

static void test_etcd_store__goes_on_where_nobody_listens(void) {
    char endpoints[256];
    bool stored = false;
    struct ael_metastore_etcd_options options = AEL_METASTORE_ETCD_OPTIONS_INIT;
    start(1, NULL);
    ael_metastore_release(g_store);
    (void)snprintf(
        endpoints, sizeof endpoints, "http://127.0.0.1:%d/,%s/", free_port(),
        http_server_url(g_nodes[0].server));
    options.endpoints = endpoints;
    CU_ASSERT_EQUAL_FATAL(ael_metastore_etcd_new(&options, &g_store, NULL), AEL_OK);
    SCRIPT(0, {.body = DONE});
    CU_ASSERT_EQUAL(store(&stored), AEL_OK);
    CU_ASSERT_TRUE(stored);
    ael_metastore_release(g_store);
    (void)snprintf(endpoints, sizeof endpoints, "http://127.0.0.1:%d", free_port());
    CU_ASSERT_EQUAL_FATAL(ael_metastore_etcd_new(&options, &g_store, NULL), AEL_OK);
    CU_ASSERT_EQUAL(store(&stored), AEL_E_UNREACHABLE); /* nothing was sent */
    CU_ASSERT_EQUAL(load(NULL), AEL_E_UNREACHABLE);
    stop();
}

/* ---- a user ---- */

#define REFUSED_TOKEN                                                                                        \
    { .status = 401, .body = SAYS("etcdserver: invalid auth token", 16) }

static void test_etcd_user__logs_in_once(void) {
    start(1, "keeper");
    SCRIPT(0, {.body = TOKEN("token-1.5")}, {.body = NONE});
    CU_ASSERT_EQUAL(load(NULL), AEL_E_KEY_NOT_FOUND);
    CU_ASSERT_EQUAL(load(NULL), AEL_E_KEY_NOT_FOUND);
    CU_ASSERT_EQUAL(asked(0), 3);
    CU_ASSERT_STRING_EQUAL(g_nodes[0].targets[0], "/v3/auth/authenticate");
    CU_ASSERT_STRING_EQUAL(g_nodes[0].bodies[0], "{\"name\":\"keeper\",\"password\":\"" PASSWORD "\"}");
    CU_ASSERT_STRING_EQUAL(g_nodes[0].tokens[0], "");
    CU_ASSERT_STRING_EQUAL(g_nodes[0].tokens[1], "token-1.5");
    CU_ASSERT_STRING_EQUAL(g_nodes[0].tokens[2], "token-1.5");
    stop();
}

static void test_etcd_user__renews_a_refused_token_once(void) {
    bool stored = false;
    start(1, "keeper");
    SCRIPT(0, {.body = TOKEN("token-1")}, REFUSED_TOKEN, {.body = TOKEN("token-2")}, {.body = DONE});
    CU_ASSERT_EQUAL(store(&stored), AEL_OK);
    CU_ASSERT_TRUE(stored);
    CU_ASSERT_EQUAL(asked(0), 4);
    CU_ASSERT_STRING_EQUAL(g_nodes[0].tokens[3], "token-2");
    SCRIPT(
        0, {.status = 400, .body = SAYS("etcdserver: revision of auth store is old", 3)},
        {.body = TOKEN("token-3")}, REFUSED_TOKEN, {.body = TOKEN("token-4")});
    CU_ASSERT_EQUAL(store(&stored), AEL_E_BACKEND);
    CU_ASSERT_EQUAL(asked(0), 3);
    stop();
}

/* Some releases of etcd end the connection where others say that the token is refused. */
static void test_etcd_user__logs_in_anew_when_a_node_hangs_up(void) {
    static char row[65536];
    static const struct line k_hangs_up = {.how = HTTP_SERVER_CLOSES};
    const struct line lines[] = {{.body = TOKEN("token-1")},
                                 {.body = NONE},
                                 k_hangs_up,
                                 k_hangs_up,
                                 {.body = TOKEN("token-2")},
                                 {.body = range_of(KEY, RECORD, row)}};
    bool stored = true;
    start(1, "keeper");
    set_script(&g_nodes[0], lines, sizeof lines / sizeof lines[0]);
    CU_ASSERT_EQUAL(load(NULL), AEL_E_KEY_NOT_FOUND);
    CU_ASSERT_EQUAL(load(NULL), AEL_OK); /* libcurl sends twice what reads on a connection that it had */
    CU_ASSERT_STRING_EQUAL(g_nodes[0].targets[4], "/v3/auth/authenticate");
    CU_ASSERT_STRING_EQUAL(g_nodes[0].tokens[5], "token-2");
    SCRIPT(0, k_hangs_up, {.body = TOKEN("token-3")}, {.body = DONE});
    CU_ASSERT_EQUAL(store(&stored), AEL_E_OUTCOME_UNKNOWN);
    CU_ASSERT_EQUAL(store(&stored), AEL_OK);
    CU_ASSERT_TRUE(stored);
    CU_ASSERT_STRING_EQUAL(g_nodes[0].tokens[2], "token-3");
    stop();
}

/* Another machine would read the password, the token and the rows. */
static void test_etcd_user__is_told_to_no_proxy(void) {
    start(2, NULL); /* the second one is the proxy */
    ael_metastore_release(g_store);
    struct ael_metastore_etcd_options options = AEL_METASTORE_ETCD_OPTIONS_INIT;
    options.endpoints = http_server_url(g_nodes[0].server);
    options.user = "keeper";
    options.password = PASSWORD;
    CU_ASSERT_EQUAL_FATAL(setenv("http_proxy", http_server_url(g_nodes[1].server), 1), 0);
    CU_ASSERT_EQUAL_FATAL(setenv("no_proxy", "", 1), 0);
    CU_ASSERT_EQUAL_FATAL(ael_metastore_etcd_new(&options, &g_store, NULL), AEL_OK);
    SCRIPT(0, {.body = TOKEN("token-1")}, {.body = NONE});
    SCRIPT(1, {.body = TOKEN("token-1")}, {.body = NONE});
    CU_ASSERT_EQUAL(load(NULL), AEL_E_KEY_NOT_FOUND);
    CU_ASSERT_EQUAL(asked(0), 2);
    CU_ASSERT_EQUAL(asked(1), 0);
    CU_ASSERT_PTR_NULL(strstr(g_nodes[1].bodies[0], PASSWORD));
    (void)unsetenv("http_proxy");
    (void)unsetenv("no_proxy");
    stop();
}

struct hurried {
    uint32_t ms;
    enum ael_status status;
};

static void *load_in_a_hurry(void *context) {
    struct hurried *hurried = context;
    struct ael_call call = AEL_CALL_INIT;
    call.deadline_ns = ael_deadline_in_ms(hurried->ms);
    hurried->status = load(&call);
    return NULL;
}

/* A log-in that had less time than a node may take tells nothing to who has more. */
static void test_etcd_user__is_not_failed_by_another_calls_deadline(void) {
    pthread_t thread;
    char endpoints[256];
    struct hurried hurried = {.ms = 900, .status = AEL_OK};
    struct ael_metastore_etcd_options options = AEL_METASTORE_ETCD_OPTIONS_INIT;
    start(2, NULL);
    ael_metastore_release(g_store);
    (void)snprintf(
        endpoints, sizeof endpoints, "%s,%s", http_server_url(g_nodes[0].server),
        http_server_url(g_nodes[1].server));
    options.endpoints = endpoints;
    options.user = "keeper";
    options.password = PASSWORD;
    options.answer_timeout_ms = 2000;
    CU_ASSERT_EQUAL_FATAL(ael_metastore_etcd_new(&options, &g_store, NULL), AEL_OK);
    SCRIPT(
        0, {.how = HTTP_SERVER_HANGS}, {.how = HTTP_SERVER_HANGS}, {.body = TOKEN("token-1")},
        {.body = NONE});
    SCRIPT(
        1, {.how = HTTP_SERVER_HANGS}, {.how = HTTP_SERVER_HANGS}, {.body = TOKEN("token-2")},
        {.body = NONE});
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, load_in_a_hurry, &hurried), 0);
    while (asked(0) == 0) {
        (void)poll(NULL, 0, 1);
    }
    CU_ASSERT_EQUAL(load(NULL), AEL_E_KEY_NOT_FOUND);
    CU_ASSERT_EQUAL_FATAL(pthread_join(thread, NULL), 0);
    CU_ASSERT(hurried.status == AEL_E_UNREACHABLE || hurried.status == AEL_E_TIMEOUT);
    stop();
}

/* A time-out says nothing of the token. */
static void test_etcd_user__keeps_its_token_when_a_node_is_silent(void) {
    struct ael_call call = AEL_CALL_INIT;
    start(1, "keeper");
    SCRIPT(0, {.body = TOKEN("token-1")}, {.how = HTTP_SERVER_HANGS}, {.body = NONE});
    call.deadline_ns = ael_deadline_in_ms(500);
    CU_ASSERT_EQUAL(load(&call), AEL_E_TIMEOUT);
    CU_ASSERT_EQUAL(load(NULL), AEL_E_KEY_NOT_FOUND);
    CU_ASSERT_EQUAL(asked(0), 3);
    stop();
}

static void test_etcd_user__is_told_why_there_is_no_token(void) {
    static const struct line k_answers[] = {
        {.status = 400, .body = SAYS("etcdserver: authentication failed, invalid user ID or password", 3)},
        {.status = 412, .body = SAYS("etcdserver: authentication is not enabled", 9)},
        {.status = 0, .body = NONE},
        {.status = 0, .body = TOKEN("")},
        {.status = 0, .body = TOKEN("two words")},
        {.status = 0, .body = TOKEN("a\\r\\nLine: b")},
        {.status = 0, .body = TOKEN("\\ud800")},
        {.status = 0, .body = "{\"token\":\"token-1\"}"},
        {.status = 0, .body = "<html>"},
        {.status = 401, .body = "<html>"},
    };
    start(1, "keeper");
    for (size_t i = 0; i < sizeof k_answers / sizeof k_answers[0]; i++) {
        set_script(&g_nodes[0], &k_answers[i], 1);
        CU_ASSERT_EQUAL(load(NULL), AEL_E_BACKEND);
        CU_ASSERT_EQUAL(asked(0), 1);
    }
    SCRIPT(0, {.how = HTTP_SERVER_CLOSES});
    CU_ASSERT_EQUAL(load(NULL), AEL_E_UNREACHABLE);
    stop();
}

/* ---- listings ---- */

struct seen {
    unsigned rows;
    unsigned most;
    char last[128];
};

static bool
see(void *context, struct ael_bytes row_id, int64_t created_s, const struct ael_key_record *record) {
    struct seen *seen = context;
    CU_ASSERT_EQUAL(created_s, record->created_s);
    (void)snprintf(seen->last, sizeof seen->last, "%.*s", (int)row_id.len, (const char *)row_id.data);
    return ++seen->rows < seen->most;
}

static enum ael_status list(struct seen *seen) {
    struct ael_error err = {0};
    return finish(ael_metastore_list(g_store, NULL, ael_bytes_from_text("_IK_"), see, seen, &err), &err);
}

/* {"header":...,"kvs":[...],"more":...} of records of these ids */
static const char *page_of(const char *const *ids, size_t count, bool more, char out[static 65536]) {
    char key[256];
    char key64[512];
    char value64[512];
    size_t len = (size_t)snprintf(out, 65536, HEAD ",\"kvs\":[");
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(key, sizeof key, "ael/%s 0000000001700000040", ids[i]);
        len += (size_t)snprintf(
            out + len, 65536 - len, "%s{\"key\":\"%s\",\"value\":\"%s\"}", i == 0 ? "" : ",",
            base64(key, strlen(key), key64), base64(RECORD, strlen(RECORD), value64));
    }
    (void)snprintf(out + len, 65536 - len, "]%s,\"count\":\"9\"}", more ? ",\"more\":true" : "");
    return out;
}

static void test_etcd_list__reads_pages_of_one_revision(void) {
    static char pages[2][65536];
    static const char *const k_first[] = {"_IK_a", "_IK_b"};
    static const char *const k_second[] = {"_IK_c"};
    struct seen seen = {.most = 9};
    start(1, NULL);
    SCRIPT(0, {.body = page_of(k_first, 2, true, pages[0])}, {.body = page_of(k_second, 1, false, pages[1])});
    CU_ASSERT_EQUAL(list(&seen), AEL_OK);
    CU_ASSERT_EQUAL(seen.rows, 3);
    CU_ASSERT_STRING_EQUAL(seen.last, "_IK_c");
    CU_ASSERT_EQUAL(asked(0), 2);
    CU_ASSERT_TRUE(sends(0, 0, "key", "ael/_IK_"));
    CU_ASSERT_TRUE(sends(0, 0, "range_end", "ael/_IK`"));
    CU_ASSERT_PTR_NOT_NULL(strstr(g_nodes[0].bodies[0], "\"revision\":\"0\""));
    CU_ASSERT_PTR_NOT_NULL(strstr(g_nodes[0].bodies[1], "\"revision\":\"7\""));
    CU_ASSERT_TRUE(sends(0, 1, "range_end", "ael/_IK`"));
    seen = (struct seen){.most = 1};
    SCRIPT(0, {.body = pages[0]});
    CU_ASSERT_EQUAL(list(&seen), AEL_OK);
    CU_ASSERT_EQUAL(seen.rows, 1);
    CU_ASSERT_EQUAL(asked(0), 1);
    stop();
}

static void test_etcd_list__passes_over_what_is_no_key(void) {
    static char page[65536];
    static const char *const k_ids[] = {"_IK_a b", "_IK_c", "_IK_d!41", "_IK_e"};
    struct seen seen = {.most = 9};
    start(1, NULL);
    SCRIPT(0, {.body = page_of(k_ids, 4, false, page)});
    CU_ASSERT_EQUAL(list(&seen), AEL_OK);
    CU_ASSERT_EQUAL(seen.rows, 2);
    CU_ASSERT_STRING_EQUAL(seen.last, "_IK_e");
    stop();
}

/* A page that comes again would be read for ever. */
static void test_etcd_list__refuses_pages_that_do_not_go_on(void) {
    static char page[65536];
    static const char *const k_ids[] = {"_IK_a", "_IK_b"};
    static const char *const k_reverse[] = {"_IK_b", "_IK_a"};
    static const char *const k_others[] = {"_SK_a"};
    struct seen seen = {.most = 99};
    start(1, NULL);
    SCRIPT(0, {.body = page_of(k_ids, 2, true, page)});
    CU_ASSERT_EQUAL(list(&seen), AEL_E_BACKEND);
    CU_ASSERT_EQUAL(asked(0), 2);
    SCRIPT(0, {.body = page_of(k_reverse, 2, false, page)});
    CU_ASSERT_EQUAL(list(&seen), AEL_E_BACKEND);
    SCRIPT(0, {.body = page_of(k_others, 1, false, page)});
    CU_ASSERT_EQUAL(list(&seen), AEL_E_BACKEND);
    SCRIPT(0, {.body = HEAD ",\"more\":true}"});
    CU_ASSERT_EQUAL(list(&seen), AEL_E_BACKEND);
    CU_ASSERT_EQUAL(asked(0), 1);
    SCRIPT(0, {.status = 400, .body = SAYS("etcdserver: mvcc: required revision has been compacted", 11)});
    CU_ASSERT_EQUAL(list(&seen), AEL_E_BACKEND);
    stop();
}

/* Rows behind the first are read when it is their turn. */
static void test_etcd_list__refuses_rows_that_are_none(void) {
    static char page[65536];
    static char body[65536 + 256];
    static const char *const k_ids[] = {"_IK_a"};
    static const char *const k_rows[] = {
        ",1",
        ",{}",
        ",{\"key\":7}",
        ",{\"key\":\"" K64 "\",\"value\":\"e31-\"}",
        ",{\"key\":\"" K64 "\",\"key\":\"" K64 "\"}",
        (",{\"key\":\"" K64),
        ",",
        "1",
    };
    start(1, NULL);
    (void)page_of(k_ids, 1, false, page);
    const char *end = strstr(page, "],\"count\"");
    CU_ASSERT_PTR_NOT_NULL_FATAL(end);
    for (size_t i = 0; i < sizeof k_rows / sizeof k_rows[0]; i++) {
        struct seen seen = {.most = 9};
        (void)snprintf(body, sizeof body, "%.*s%s%s", (int)(end - page), page, k_rows[i], end);
        SCRIPT(0, {.body = body});
        CU_ASSERT_EQUAL(list(&seen), AEL_E_BACKEND);
        CU_ASSERT_TRUE(seen.rows <= 1);
    }
    stop();
}

/* ---- options ---- */

static void expect_refused(const struct ael_metastore_etcd_options *options) {
    struct ael_metastore *metastore = NULL;
    struct ael_error err = {0};
    CU_ASSERT_EQUAL(ael_metastore_etcd_new(options, &metastore, &err), AEL_E_ARGUMENT);
    CU_ASSERT_PTR_NULL(metastore);
    expect_discreet(&err);
    ael_metastore_release(metastore);
}

static struct ael_metastore_etcd_options good_options(void) {
    struct ael_metastore_etcd_options options = AEL_METASTORE_ETCD_OPTIONS_INIT;
    options.endpoints = "https://etcd:2379";
    return options;
}

#define REFUSED(member, value)                                                                               \
    do {                                                                                                     \
        struct ael_metastore_etcd_options options = good_options();                                          \
        options.member = (value);                                                                            \
        expect_refused(&options);                                                                            \
    } while (0)

static void test_etcd_new__refuses_endpoints_that_are_none(void) {
    static char many[17 * 11 + 1];
    static char longest[600];
    REFUSED(endpoints, NULL);
    static const char *const k_bad[] = {
        "",
        ",",
        "etcd:2379",
        "ftp://etcd",
        "http://",
        "http:///",
        "http://etcd/path",
        "http://etcd?a=b",
        "http://etcd#a",
        "http://user:" PASSWORD "@etcd",
        "http://etcd,",
        ",http://etcd",
        "http://a,,http://b",
        "http://a b"};
    for (size_t i = 0; i < sizeof k_bad / sizeof k_bad[0]; i++) {
        REFUSED(endpoints, k_bad[i]);
    }
    for (size_t i = 0; i < 17; i++) {
        memcpy(many + 11 * i, "http://etc,", 12);
    }
    many[17 * 11 - 1] = '\0';
    REFUSED(endpoints, many);
    memset(longest, 'a', sizeof longest - 1);
    memcpy(longest, "http://", 7);
    REFUSED(endpoints, longest);
}

static void test_etcd_new__refuses_what_is_out_of_range(void) {
    static char longest[1100];
    memset(longest, 'a', sizeof longest - 1);
    REFUSED(size, 8);
    REFUSED(prefix, "");
    REFUSED(prefix, "a b");
    REFUSED(prefix, "a\n");
    REFUSED(prefix, longest);
    REFUSED(password, PASSWORD); /* whose? */
    REFUSED(user, "keeper");     /* without one */
    REFUSED(max_connections, 0);
    REFUSED(max_connections, 257);
    REFUSED(connect_timeout_ms, 0);
    REFUSED(answer_timeout_ms, 0);
    REFUSED(answer_timeout_ms, 86400001);
    REFUSED(max_retries, 101);
    struct ael_metastore_etcd_options options = good_options();
    options.user = "keeper";
    options.password = longest;
    expect_refused(&options);
    options.password = "";
    expect_refused(&options);
    options.password = PASSWORD;
    options.endpoints = "https://etcd:2379,http://etcd2:2379"; /* in the clear */
    expect_refused(&options);
    expect_refused(NULL);
    CU_ASSERT_EQUAL(ael_metastore_etcd_new(&options, NULL, NULL), AEL_E_ARGUMENT);
}

/* ---- memory ---- */

struct fault {
    int left;
};

static int fail_when_none_is_left(void *context) {
    struct fault *fault = context;
    return fault->left-- == 0;
}

static enum ael_status do_all(void) {
    struct seen seen = {.most = 9};
    bool stored = false;
    enum ael_status status = load(NULL);
    if (status == AEL_OK) {
        status = store(&stored);
    }
    return status == AEL_OK ? list(&seen) : status;
}

static void test_etcd_store__tells_of_each_allocation_that_fails(void) {
    static char row[65536];
    static char page[65536];
    static const char *const k_ids[] = {"_IK_a"};
    struct fault fault = {.left = 0};
    enum ael_status status = AEL_E_NO_MEMORY;
    int tries = 0;
    (void)range_of(KEY, RECORD, row);
    (void)page_of(k_ids, 1, false, page);
    for (; status != AEL_OK && tries < 500; tries++) {
        start(1, "keeper");
        SCRIPT(0, {.body = TOKEN("token-1")}, {.body = row}, {.body = DONE}, {.body = page});
        fault.left = tries;
        ael_alloc_set_fault(fail_when_none_is_left, &fault);
        status = do_all();
        ael_alloc_set_fault(NULL, NULL);
        CU_ASSERT_TRUE(status == AEL_OK || status == AEL_E_NO_MEMORY || status == AEL_E_OUTCOME_UNKNOWN);
        stop();
    }
    CU_ASSERT_EQUAL(status, AEL_OK);
    CU_ASSERT_TRUE(tries > 10);
}

static const struct test_case k_cases[] = {
    {"a load asks for one key, linearizably", test_etcd_load__asks_for_one_key_linearizably},
    {"a store compares the create revision", test_etcd_store__compares_the_create_revision},
    {"a replacement compares the value that was read", test_etcd_replace__compares_the_value_that_was_read},
    {"a revocation of unknown outcome is read again",
     test_etcd_replace__reads_again_when_the_outcome_is_unknown},
    {"health asks for a transaction that never writes",
     test_etcd_health__asks_for_a_transaction_that_never_writes},
    {"health ends with its call", test_etcd_health__ends_with_its_call},
    {"what is no answer of etcd's is refused", test_etcd_load__refuses_what_is_no_answer_of_etcds},
    {"rows of other keys are refused", test_etcd_load__refuses_rows_of_other_keys},
    {"values that are no key records are refused", test_etcd_load__refuses_values_that_are_no_key_records},
    {"a load ends with its call and within bounds", test_etcd_load__ends_with_its_call_and_with_its_bounds},
    {"refusals are told with their remedies", test_etcd_store__tells_refusals},
    {"a failed write's outcome is unknown", test_etcd_store__does_not_know_after_a_failure},
    {"what was not done is tried again", test_etcd_store__tries_again_what_was_not_done},
    {"a read goes on to another node", test_etcd_load__goes_on_to_another_node},
    {"a node that hangs leaves time for another", test_etcd_load__leaves_time_for_another_node},
    {"a write goes on where nobody listens", test_etcd_store__goes_on_where_nobody_listens},
    {"a user logs in once", test_etcd_user__logs_in_once},
    {"a refused token is renewed once", test_etcd_user__renews_a_refused_token_once},
    {"a user logs in anew when a node hangs up", test_etcd_user__logs_in_anew_when_a_node_hangs_up},
    {"a user is told to no proxy", test_etcd_user__is_told_to_no_proxy},
    {"a user is not failed by another call's deadline",
     test_etcd_user__is_not_failed_by_another_calls_deadline},
    {"a user keeps the token when a node is silent", test_etcd_user__keeps_its_token_when_a_node_is_silent},
    {"a user is told why there is no token", test_etcd_user__is_told_why_there_is_no_token},
    {"a listing reads pages of one revision", test_etcd_list__reads_pages_of_one_revision},
    {"a listing passes over what is no key", test_etcd_list__passes_over_what_is_no_key},
    {"a listing refuses pages that do not go on", test_etcd_list__refuses_pages_that_do_not_go_on},
    {"rows that are none are refused in listings", test_etcd_list__refuses_rows_that_are_none},
    {"endpoints that are none are refused", test_etcd_new__refuses_endpoints_that_are_none},
    {"options out of range are refused", test_etcd_new__refuses_what_is_out_of_range},
    {"each allocation that fails is told", test_etcd_store__tells_of_each_allocation_that_fails},
};

TEST_SUITE_MAIN("metastore etcd", k_cases)
