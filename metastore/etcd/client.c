/* SPDX-License-Identifier: Apache-2.0 */
#include "metastore/etcd/client.h"

#include "base/alloc.h"
#include "base/check.h"
#include "metastore/etcd/refusal.h"
#include "metastore/web/web_store.h"
#include "net/url.h"

#include <stdio.h>
#include <string.h>

enum {
    URL_BYTES = 512,
    PREFIX_MAX_BYTES = 256,
    USER_MAX_BYTES = 1024,
    LOST_RETRIES = 2, /* where no node answers at all */
};

static const struct ael_buf k_empty = AEL_BUF_INIT;

/* ---- setting up ---- */

static enum ael_status bad(struct ael_error *err, const char *sentence) {
    return ael_error_set(err, AEL_E_ARGUMENT, 0, AEL_ETCD_COMPONENT, "%s", sentence);
}

static char *copy(const char *text, size_t len) {
    char *made = ael_alloc(len + 1);
    if (made != NULL) {
        memcpy(made, text, len);
    }
    return made;
}

/* Host and port: what else a URL may have would change the path, or hold a password. */
static bool is_endpoint(const char *url) {
    char host[AEL_URL_HOST_BYTES];
    const char *rest = strstr(url, "://");
    size_t len = rest == NULL ? 0 : strlen(rest + 3);
    if (len == 0 || !ael_url_host(url, host) || host[0] == '\0') {
        return false;
    }
    return strcspn(rest + 3, "/?#@ ") == len;
}

static enum ael_status
add_node(struct ael_etcd_client *client, const char *url, size_t len, struct ael_error *err) {
    if (len > 0 && url[len - 1] == '/') {
        len--;
    }
    if (client->node_count == AEL_METASTORE_ETCD_MAX_ENDPOINTS || len >= URL_BYTES - 64) {
        return bad(err, "too many endpoints, or one that is too long");
    }
    char *node = copy(url, len);
    if (node == NULL) {
        return ael_error_set(err, AEL_E_NO_MEMORY, 0, AEL_ETCD_COMPONENT, "no memory for an endpoint");
    }
    client->nodes[client->node_count++] = node;
    return is_endpoint(node) ? AEL_OK
                             : bad(err, "an endpoint is http:// or https:// with host and port, and no more");
}

static enum ael_status
add_nodes(struct ael_etcd_client *client, const char *endpoints, struct ael_error *err) {
    if (endpoints == NULL || endpoints[0] == '\0') {
        return bad(err, "give the endpoints: URLs of the cluster's nodes, with commas between");
    }
    for (const char *at = endpoints;; at++) {
        size_t len = strcspn(at, ",");
        AEL_TRY(add_node(client, at, len, err));
        at += len;
        if (*at == '\0') {
            return AEL_OK;
        }
    }
}

/* see metastore/etcd/client.h */
bool ael_etcd_client_is_weak(const struct ael_etcd_client *client) {
    for (unsigned i = 0; i < client->node_count; i++) {
        if (!ael_url_keeps_secrets(client->nodes[i])) {
            return true;
        }
    }
    return false;
}

static enum ael_status set_prefix(struct ael_etcd_client *client, const char *prefix, struct ael_error *err) {
    const char *text = prefix == NULL ? "ael" : prefix;
    size_t len = 0;
    while ((unsigned char)text[len] > ' ' && len <= PREFIX_MAX_BYTES) {
        len++;
    }
    if (len == 0 || text[len] != '\0') {
        return bad(err, "a prefix is 1 to 256 bytes without blanks and control characters");
    }
    client->prefix = copy(text, len);
    return client->prefix != NULL
               ? AEL_OK
               : ael_error_set(err, AEL_E_NO_MEMORY, 0, AEL_ETCD_COMPONENT, "no memory for a prefix");
}

static enum ael_status check_user(
    const struct ael_etcd_client *client,
    const struct ael_metastore_etcd_options *options,
    struct ael_error *err) {
    if (options->user == NULL) {
        return options->password == NULL ? AEL_OK : bad(err, "a password needs a user");
    }
    if (options->user[0] == '\0' || options->password == NULL || options->password[0] == '\0' ||
        strlen(options->user) > USER_MAX_BYTES || strlen(options->password) > USER_MAX_BYTES) {
        return bad(err, "a user needs a password; each is 1 to 1024 bytes");
    }
    if (ael_etcd_client_is_weak(client)) {
        return bad(err, "the password would go over the network in the clear: use https:// endpoints");
    }
    return AEL_OK;
}

static enum ael_status make_http(
    struct ael_etcd_client *client, const struct ael_metastore_etcd_options *options, struct ael_error *err) {
    struct ael_http_options http = AEL_HTTP_OPTIONS_INIT;
    http.ca_file = options->ca_file;
    http.client_cert = options->client_cert;
    http.client_key = options->client_key;
    http.max_connections = options->max_connections;
    http.connect_timeout_ms = options->connect_timeout_ms;
    return ael_http_new(&http, &client->http, err);
}

static enum ael_status log_in(
    void *context,
    const struct ael_call *call,
    struct ael_bytes login,
    struct ael_buf *text,
    bool *was_cut,
    struct ael_error *err) {
    const struct ael_etcd_request request = {
        .path = "auth/authenticate", .body = login, .logs_in = true, .was_cut = was_cut};
    struct ael_http_response response;
    enum ael_status status = ael_etcd_do(context, call, &request, &response, err);
    if (status == AEL_OK) {
        status = ael_etcd_token_read(ael_buf_view(&response.body), text, err);
    }
    ael_http_response_clear(&response);
    return status;
}

/* see metastore/etcd/client.h */
enum ael_status ael_etcd_client_init(
    struct ael_etcd_client *client, const struct ael_metastore_etcd_options *options, struct ael_error *err) {
    client->answer_timeout_ms = options->answer_timeout_ms;
    client->max_retries = options->max_retries;
    AEL_TRY(add_nodes(client, options->endpoints, err));
    AEL_TRY(set_prefix(client, options->prefix, err));
    AEL_TRY(check_user(client, options, err));
    client->token.log_in = log_in;
    client->token.context = client;
    client->token.answer_timeout_ms = options->answer_timeout_ms;
    enum ael_status status = ael_etcd_token_init(&client->token, options->user, options->password);
    if (status != AEL_OK) {
        return ael_error_set(err, status, 0, AEL_ETCD_COMPONENT, "%s", ael_status_text(status));
    }
    return make_http(client, options, err);
}

/* see metastore/etcd/client.h */
void ael_etcd_client_clear(struct ael_etcd_client *client) {
    ael_http_free(client->http);
    ael_etcd_token_clear(&client->token);
    for (unsigned i = 0; i < client->node_count; i++) {
        ael_free(client->nodes[i]);
    }
    ael_free(client->prefix);
    *client = (struct ael_etcd_client){0};
}

/* ---- one try ---- */

/* What may be done after a try. */
enum next { STOP, NEXT_NODE, PAUSE_FIRST, NEW_TOKEN };

struct attempt {
    struct ael_etcd_client *client;
    const struct ael_call *call;
    const struct ael_etcd_request *request;
    struct ael_http_response *response;
    unsigned node;
    uint32_t limit_ms; /* for this try */
    enum next next;
    bool answered; /* by any node so far, if only that there is no leader: an election ends soon */
    bool renewed;
};

/* With more time it may have been another outcome. */
static void note_cut(const struct attempt *attempt) {
    if (attempt->request->was_cut != NULL) {
        *attempt->request->was_cut = true;
    }
}

/* Whoever comes next, this call or another, asks another node first. */
static void leave_node(struct attempt *attempt) {
    unsigned node = attempt->node;
    (void)atomic_compare_exchange_strong_explicit(
        &attempt->client->present, &node, node + 1, memory_order_relaxed, memory_order_relaxed);
}

/* No answer that can be used: what writes may have been done, what reads is asked for elsewhere. */
static enum ael_status
no_answer(struct attempt *attempt, bool sent, enum ael_status status, struct ael_error *err) {
    leave_node(attempt);
    if (sent && attempt->request->writes) {
        return ael_web_outcome_unknown(AEL_ETCD_COMPONENT, err);
    }
    attempt->next = status == AEL_E_UNREACHABLE ? NEXT_NODE : STOP;
    return status;
}

/*
 * The door's failure. Its time-out is this request's own when the call still has time: the node was silent. A
 * connection that ended in place of an answer may be about the token: some releases (3.4.23; etcd's issues
 * 15256 and 20332) do not say that they refuse one. Without another one it would be so for ever; who tries
 * next asks for it.
 */
static enum ael_status
not_answered(struct attempt *attempt, struct ael_bytes token, enum ael_status status, struct ael_error *err) {
    if (status == AEL_E_UNREACHABLE && attempt->response->sent && token.len > 0) {
        ael_etcd_token_refused(&attempt->client->token, token);
    }
    if (status == AEL_E_TIMEOUT && ael_call_check(attempt->call) == AEL_OK) {
        status =
            ael_error_set(err, AEL_E_UNREACHABLE, 0, AEL_ETCD_COMPONENT, "a node did not answer in time");
        if (attempt->limit_ms < attempt->client->answer_timeout_ms) {
            note_cut(attempt);
        }
    }
    return no_answer(attempt, attempt->response->sent, status, err);
}

static enum ael_status judge(struct attempt *attempt, struct ael_bytes token, struct ael_error *err) {
    enum ael_etcd_refusal refusal = AEL_ETCD_REFUSAL_FINAL;
    attempt->answered = true;
    if (attempt->response->status == 200) {
        return AEL_OK;
    }
    enum ael_status status = ael_etcd_refusal_read(attempt->response, &refusal, err);
    switch (refusal) {
    case AEL_ETCD_REFUSAL_FAILED:
        return no_answer(attempt, true, status, err);
    case AEL_ETCD_REFUSAL_LATER:
        leave_node(attempt);
        attempt->next = PAUSE_FIRST;
        return status;
    case AEL_ETCD_REFUSAL_TOKEN:
        if (token.len > 0) {
            ael_etcd_token_refused(&attempt->client->token, token);
            attempt->next = attempt->renewed ? STOP : NEW_TOKEN;
        }
        return status;
    default:
        return status;
    }
}

/* A node that hangs must leave time for another. */
static uint32_t time_for_one(const struct attempt *attempt) {
    const struct ael_etcd_client *client = attempt->client;
    uint32_t half = ael_call_remaining_ms(attempt->call) / 2;
    if (client->node_count == 1 || half >= client->answer_timeout_ms) {
        return client->answer_timeout_ms;
    }
    return half > 0 ? half : 1;
}

static enum ael_status send_to_node(struct attempt *attempt, struct ael_bytes token, struct ael_error *err) {
    const struct ael_etcd_client *client = attempt->client;
    const struct ael_etcd_request *request = attempt->request;
    const char *node = client->nodes[attempt->node % client->node_count];
    char url[URL_BYTES];
    const struct ael_http_header headers[] = {
        {ael_bytes_from_text("Content-Type"), ael_bytes_from_text("application/json")},
        {ael_bytes_from_text("Authorization"), token},
    };
    (void)snprintf(url, sizeof url, "%s/v3/%s", node, request->path);
    attempt->limit_ms = time_for_one(attempt);
    const struct ael_http_request http = {
        .method = "POST",
        .url = url,
        .headers = headers,
        .header_count = token.len > 0 ? 2 : 1,
        .body = request->body,
        .max_bytes = request->max_bytes,
        .timeout_ms = attempt->limit_ms,
        .once = request->writes,
    };
    enum ael_status status = ael_http_send(client->http, attempt->call, &http, attempt->response, err);
    return status == AEL_OK ? judge(attempt, token, err) : not_answered(attempt, token, status, err);
}

static enum ael_status try_once(struct attempt *attempt, struct ael_error *err) {
    struct ael_etcd_client *client = attempt->client;
    struct ael_buf token = k_empty;
    enum ael_status status = AEL_OK;
    attempt->next = STOP;
    if (!attempt->request->logs_in && ael_etcd_token_is_needed(&client->token)) {
        status = ael_etcd_token_get(&client->token, attempt->call, &token, err);
    }
    if (status == AEL_OK) {
        attempt->node = atomic_load_explicit(&client->present, memory_order_relaxed);
        status = send_to_node(attempt, ael_buf_view(&token), err);
    }
    ael_buf_clear(&token);
    return status;
}

/* ---- as often as it helps ---- */

/* True when another try is to be made, after the pause that comes before it. @param tries made so far. */
static bool go_on(struct attempt *attempt, uint32_t tries, enum ael_status *status, struct ael_error *err) {
    uint32_t nodes = attempt->client->node_count;
    uint32_t retries = attempt->client->max_retries;
    if (attempt->next == NEW_TOKEN) {
        attempt->renewed = true;
        return true;
    }
    if (!attempt->answered && retries > LOST_RETRIES) {
        retries = LOST_RETRIES;
    }
    if (attempt->next == STOP || tries >= nodes + retries) {
        return false;
    }
    if (attempt->next == NEXT_NODE && tries < nodes) {
        return ael_call_check(attempt->call) == AEL_OK;
    }
    uint32_t ms = ael_web_pause_ms(tries >= nodes ? tries - nodes : 0);
    if (ms >= ael_call_remaining_ms(attempt->call)) {
        note_cut(attempt);
        return false;
    }
    enum ael_status over = ael_web_pause(attempt->call, ms);
    if (over != AEL_OK) {
        *status = ael_error_set(err, over, 0, AEL_ETCD_COMPONENT, "%s", ael_status_text(over));
    }
    return over == AEL_OK;
}

/* see metastore/etcd/client.h */
enum ael_status ael_etcd_do(
    struct ael_etcd_client *client,
    const struct ael_call *call,
    const struct ael_etcd_request *request,
    struct ael_http_response *response,
    struct ael_error *err) {
    static const struct ael_http_response k_none = {.body = AEL_BUF_INIT, .headers = AEL_BUF_INIT};
    struct ael_error own = {0};
    struct attempt attempt = {.client = client, .call = call, .request = request, .response = response};
    *response = k_none;
    uint32_t tries = 1;
    enum ael_status status = try_once(&attempt, &own);
    while (status != AEL_OK && go_on(&attempt, tries, &status, &own)) {
        tries += attempt.next == NEW_TOKEN ? 0 : 1;
        ael_http_response_clear(response);
        status = try_once(&attempt, &own);
    }
    if (status != AEL_OK && err != NULL) {
        *err = own;
    }
    return status;
}
