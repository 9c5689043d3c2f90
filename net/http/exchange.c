/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http/exchange.h"

#include "base/alloc.h"
#include "base/check.h"
#include "net/http/connection.h"
#include "net/http/failure.h"
#include "net/http/incoming.h"
#include "net/http/outgoing.h"
#include "net/http/transport.h"
#include "net/http/waiting.h"

#include <openssl/crypto.h>

static const char k_component[] = "net/http";

enum state { TAKE, CONNECT, SEND, RECEIVE, OVER };

struct ael_http_exchange {
    struct ael_http_connection connection;
    struct ael_http_outgoing outgoing;
    struct ael_http_incoming incoming;
    enum state state;
    enum ael_status status;
    struct ael_error err;
};

/* see net/http/exchange.h */
enum ael_status ael_http_exchange_supported(struct ael_error *err) {
    const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
    if (!ael_http_tls_is_ours()) {
        return ael_error_set(
            err, AEL_E_UNSUPPORTED, 0, k_component,
            "this libcurl has TLS of %.40s; keys need one that uses OpenSSL %u (libcurl4)",
            info->ssl_version == NULL ? "nobody" : info->ssl_version, OPENSSL_version_major());
    }
    return AEL_OK;
}

/* ---- its life ---- */

static void free_exchange(struct ael_http_exchange *self) {
    if (self->connection.place != NULL) { /* given up: TLS says good-bye, to a server that may be gone */
        struct ael_http_pipe_guard guard = ael_http_pipe_guard_begin();
        ael_http_connection_give(&self->connection, false);
        ael_http_pipe_guard_end(&guard);
    }
    ael_http_outgoing_clear(&self->outgoing);
    ael_http_incoming_clear(&self->incoming);
    ael_free(self);
}

/* see net/http/exchange.h */
enum ael_status ael_http_exchange_new(
    struct ael_http *http,
    const struct ael_http_request *request,
    const struct ael_http_secrets *secrets,
    struct ael_http_exchange **exchange,
    struct ael_error *err) {
    struct ael_http_exchange *self = ael_alloc(sizeof *self);
    *exchange = NULL;
    if (self == NULL) {
        return ael_error_set(err, AEL_E_NO_MEMORY, 0, k_component, "no memory for a request");
    }
    self->connection.http = http;
    self->connection.url = request->url;
    self->connection.no_proxy = request->no_proxy;
    self->connection.fd = -1;
    ael_http_incoming_init(
        &self->incoming, secrets,
        request->max_bytes != 0 ? request->max_bytes : AEL_HTTP_MAX_BYTES_DEFAULT);
    enum ael_status status = ael_http_outgoing_init(&self->outgoing, request, secrets);
    if (status != AEL_OK) {
        free_exchange(self);
        return ael_error_set(
            err, status, 0, k_component, "the request cannot be written: a header, or no memory");
    }
    *exchange = self;
    return AEL_OK;
}

/* ---- how it ends ---- */

static bool fail(struct ael_http_exchange *self, enum ael_status status) {
    self->status = status;
    self->state = OVER;
    ael_http_connection_give(&self->connection, false);
    return true;
}

static bool fail_with(struct ael_http_exchange *self, enum ael_status status, const char *why) {
    char origin[AEL_HTTP_ORIGIN_BYTES];
    ael_http_origin(self->connection.url, origin);
    return fail(self, ael_error_set(&self->err, status, 0, k_component, "%s: %s", origin, why));
}

static bool fail_of_answer(struct ael_http_exchange *self, enum ael_status status) {
    if (status == AEL_E_TOO_LARGE) {
        return fail_with(
            self, AEL_E_BACKEND, "the answer is longer than it may be; is this the right server?");
    }
    if (status == AEL_E_BACKEND) {
        return fail_with(self, status, "the answer is not HTTP that can be read");
    }
    return fail_with(self, status, ael_status_text(status));
}

static bool fail_of_secret(struct ael_http_exchange *self, enum ael_status status) {
    if (status != AEL_E_BACKEND) {
        return fail_with(self, status, ael_status_text(status));
    }
    return fail_with(
        self, status,
        self->incoming.taken_is_text
            ? "the token in the answer is too long, there twice, or not of characters that can be sent"
            : "the key in the answer is not base64 of a key");
}

static bool finish(struct ael_http_exchange *self) {
    enum ael_status status = ael_http_incoming_finish(&self->incoming);
    if (status != AEL_OK) {
        return fail_of_secret(self, status);
    }
    self->state = OVER;
    ael_http_connection_give(&self->connection, self->incoming.answer.keep);
    return true;
}

/* ---- its steps: true when another can be made at once ---- */

static bool begin_connect(struct ael_http_exchange *self) {
    self->state = CONNECT;
    return ael_http_connection_begin(&self->connection) ||
           fail_with(self, AEL_E_NO_MEMORY, "no memory for a connection");
}

static bool step_take(struct ael_http_exchange *self) {
    struct ael_error err = {.status = AEL_OK};
    enum ael_status status = ael_http_connection_take(&self->connection, &err);
    if (status == AEL_E_TIMEOUT) {
        return false;
    }
    if (status != AEL_OK) {
        self->err = err;
        return fail(self, status);
    }
    if (!self->connection.reused) {
        return begin_connect(self);
    }
    self->state = SEND;
    return true;
}

static bool step_connect(struct ael_http_exchange *self) {
    CURLcode code = CURLE_OK;
    if (!ael_http_connection_go_on(&self->connection, &code)) {
        return false;
    }
    if (code != CURLE_OK) {
        return fail(self, ael_http_connection_failure(&self->connection, code, &self->err));
    }
    self->state = SEND;
    return true;
}

/* The connection is gone. A kept one may have been closed by the server meanwhile: then once more, on a new
 * one. */
static bool lost(struct ael_http_exchange *self, const char *why) {
    if (!self->connection.reused || self->incoming.response.headers.len > 0) {
        return fail_with(self, AEL_E_UNREACHABLE, why);
    }
    ael_http_connection_drop(&self->connection);
    self->outgoing.at = 0;
    return begin_connect(self);
}

/* Not at once to the answer: none is there yet, and to look for one takes a system call. */
static bool step_send(struct ael_http_exchange *self) {
    CURLcode code = CURLE_OK;
    if (ael_http_outgoing_is_done(&self->outgoing)) {
        ael_http_incoming_begin(&self->incoming);
        self->state = RECEIVE;
        return false;
    }
    enum ael_status status = ael_http_outgoing_send(&self->outgoing, &self->connection, &code);
    if (status != AEL_OK) {
        return fail_with(
            self, status,
            status == AEL_E_ARGUMENT ? "a token or password holds characters that cannot be sent"
                                     : "protected memory is not to be had");
    }
    if (code == CURLE_AGAIN) {
        return false;
    }
    return code == CURLE_OK || lost(self, "the connection was lost while sending");
}

static bool step_receive(struct ael_http_exchange *self) {
    CURLcode code = CURLE_OK;
    size_t len = 0;
    enum ael_status status = ael_http_incoming_receive(&self->incoming, &self->connection, &code, &len);
    if (status != AEL_OK) {
        return fail_of_answer(self, status);
    }
    if (code == CURLE_AGAIN) {
        return false;
    }
    bool ended = code == CURLE_OK && len == 0;
    if (code != CURLE_OK || (ended && ael_http_answer_end(&self->incoming.answer) != AEL_OK)) {
        return lost(self, "the connection was lost before the answer was complete");
    }
    return self->incoming.answer.done ? finish(self) : true;
}

static bool step_once(struct ael_http_exchange *self) {
    switch (self->state) {
    case TAKE:
        return step_take(self);
    case CONNECT:
        return step_connect(self);
    case SEND:
        return step_send(self);
    case RECEIVE:
        return step_receive(self);
    case OVER:
        break;
    }
    return false;
}

/* see net/http/exchange.h */
bool ael_http_exchange_step(struct ael_http_exchange *exchange) {
    int cancel = ael_cancel_disable();
    struct ael_http_pipe_guard guard = ael_http_pipe_guard_begin();
    while (step_once(exchange)) {
    }
    ael_http_pipe_guard_end(&guard);
    ael_cancel_restore(cancel);
    return exchange->state == OVER;
}

/* see net/http/exchange.h */
bool ael_http_exchange_has_place(const struct ael_http_exchange *exchange) {
    return exchange->state != TAKE;
}

/* ---- waiting ---- */

/* False: there is nothing to wait for. */
static bool add_waiting(struct ael_http_waiting *waiting, const struct ael_http_exchange *one) {
    switch (one->state) {
    case TAKE:
        ael_http_waiting_add_unknown(waiting);
        return true;
    case CONNECT:
        ael_http_waiting_add_connecting(waiting, one->connection.place->multi);
        return true;
    case SEND:
        ael_http_waiting_add(waiting, one->connection.fd, POLLOUT);
        return true;
    case RECEIVE:
        ael_http_waiting_add(waiting, one->connection.fd, POLLIN);
        return true;
    case OVER:
        break;
    }
    return false;
}

/* see net/http/exchange.h */
void ael_http_exchange_wait(struct ael_http_exchange *const *exchanges, size_t count, int64_t until_ns) {
    struct ael_http_waiting waiting = {.count = 0};
    for (size_t i = 0; i < count && i < AEL_HTTP_WAITING_MAX; i++) {
        if (exchanges[i] != NULL && !add_waiting(&waiting, exchanges[i])) {
            return;
        }
    }
    ael_http_waiting_run(&waiting, until_ns);
}

/* ---- what comes of it ---- */

static enum ael_status outcome(const struct ael_http_exchange *self, struct ael_error *err) {
    if (self->state != OVER) {
        return ael_error_set(err, AEL_E_CANCELLED, 0, k_component, "the request was given up");
    }
    if (self->status != AEL_OK && err != NULL) {
        *err = self->err;
    }
    return self->status;
}

/* see net/http/exchange.h */
void ael_http_exchange_take_text(struct ael_http_exchange *exchange, struct ael_http_text *text) {
    static const struct ael_http_text k_none = {{NULL}};
    *text = k_none;
    if (exchange->status == AEL_OK && exchange->state == OVER) {
        *text = exchange->incoming.text;
        exchange->incoming.text = k_none;
    }
}

/* see net/http/exchange.h */
enum ael_status ael_http_exchange_end(
    struct ael_http_exchange *exchange,
    struct ael_http_response *response,
    struct ael_secret **taken,
    struct ael_error *err) {
    static const struct ael_http_response k_empty = {.body = AEL_BUF_INIT, .headers = AEL_BUF_INIT};
    enum ael_status status = outcome(exchange, err);
    if (response != NULL) {
        *response = k_empty;
    }
    if (taken != NULL) {
        *taken = NULL;
    }
    if (status == AEL_OK && response != NULL) {
        *response = exchange->incoming.response;
        exchange->incoming.response = k_empty;
    }
    if (status == AEL_OK && taken != NULL) {
        *taken = exchange->incoming.taken;
        exchange->incoming.taken = NULL;
    }
    if (response != NULL) {
        response->sent = exchange->outgoing.any_sent;
    }
    free_exchange(exchange);
    return status;
}

/* see net/http/exchange.h */
void ael_http_exchange_give_up(struct ael_http_exchange *exchange) {
    if (exchange != NULL) {
        free_exchange(exchange);
    }
}
