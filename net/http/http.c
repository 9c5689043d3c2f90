/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http/http.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/sync.h"
#include "base/wipe.h"
#include "net/http/failure.h"
#include "net/http/header_list.h"
#include "net/http/pool.h"
#include "net/http/transport.h"

#include <string.h>
#include <strings.h>
#include <unistd.h>

enum {
    WAIT_WITH_TOKEN_MS = 20, /* a cancel token wakes nobody: look at it this often */
    WAIT_MS = 1000,
    URL_MAX_BYTES = 8192,
    HEADERS_FIRST_BYTES = 512, /* what most answers have */
};

static const char k_component[] = "net/http";

/* One request under way. */
struct exchange {
    const struct ael_http_request *request;
    struct ael_http_response *response;
    struct ael_call call; /* the caller's, with the request's own limit */
    struct ael_http_header_list headers;
    size_t body_at;            /* of a body that is handed out in pieces */
    enum ael_status receiving; /* why the answer was not taken in */
    bool head_ended;           /* the empty line behind the headers has come */
    char words[CURL_ERROR_SIZE];
};

/* ---- the pool ---- */

static char *copy_text(const char *text, bool *failed) {
    if (text == NULL) {
        return NULL;
    }
    size_t size = strlen(text) + 1;
    char *copy = ael_alloc(size);
    *failed = *failed || copy == NULL;
    return copy == NULL ? NULL : memcpy(copy, text, size);
}

static bool options_are_good(const struct ael_http_options *options) {
    return options != NULL && options->max_connections >= 1 &&
           options->max_connections <= AEL_HTTP_MAX_CONNECTIONS;
}

static void free_texts(struct ael_http *http) {
    ael_free(http->ca_file);
    ael_free(http->ca_path);
    ael_free(http->client_cert);
    ael_free(http->client_key);
    ael_free(http);
}

static struct ael_http *copy_options(const struct ael_http_options *options) {
    struct ael_http *http = ael_alloc(sizeof *http);
    bool failed = false;
    if (http == NULL) {
        return NULL;
    }
    http->ca_file = copy_text(options->ca_file, &failed);
    http->ca_path = copy_text(options->ca_path, &failed);
    http->client_cert = copy_text(options->client_cert, &failed);
    http->client_key = copy_text(options->client_key, &failed);
    http->max_connections = options->max_connections;
    http->connect_timeout_ms = options->connect_timeout_ms;
    http->idle_s = options->idle_s;
    if (failed) {
        free_texts(http);
        return NULL;
    }
    return http;
}

/* curl_global_init counts, but older versions of it must not run in two threads. */
static struct ael_mutex s_global = AEL_MUTEX_INIT;

static enum ael_status start_libcurl(struct ael_error *err) {
    ael_mutex_lock(&s_global);
    CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);
    ael_mutex_unlock(&s_global);
    if (code != CURLE_OK) {
        return ael_error_set(err, AEL_E_SYSTEM, (int32_t)code, k_component, "libcurl cannot be started");
    }
    if ((curl_version_info(CURLVERSION_NOW)->features & CURL_VERSION_SSL) == 0) {
        curl_global_cleanup();
        return ael_error_set(
            err, AEL_E_UNSUPPORTED, 0, k_component, "this libcurl has no TLS; install one that has");
    }
    return AEL_OK;
}

static void stop_libcurl(void) {
    ael_mutex_lock(&s_global);
    curl_global_cleanup();
    ael_mutex_unlock(&s_global);
}

/* see net/http/http.h */
enum ael_status
ael_http_new(const struct ael_http_options *options, struct ael_http **http, struct ael_error *err) {
    if (http == NULL || !options_are_good(options)) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, k_component, "max_connections is 1 to %d", AEL_HTTP_MAX_CONNECTIONS);
    }
    *http = NULL;
    AEL_TRY(start_libcurl(err));
    struct ael_http *made = copy_options(options);
    if (made == NULL) {
        stop_libcurl();
        return ael_error_set(err, AEL_E_NO_MEMORY, 0, k_component, "no memory for a client");
    }
    enum ael_status status = ael_http_pool_init(made, err);
    if (status != AEL_OK) {
        free_texts(made);
        stop_libcurl();
        return status;
    }
    *http = made;
    return AEL_OK;
}

/* see net/http/http.h */
void ael_http_free(struct ael_http *http) {
    if (http == NULL || http->pid != getpid()) {
        return; /* of a child made without the handlers: its locks may be held for ever */
    }
    struct ael_http_pipe_guard guard = ael_http_pipe_guard_begin(); /* TLS says good-bye */
    ael_http_pool_clear(http);
    ael_http_pipe_guard_end(&guard);
    free_texts(http);
    stop_libcurl();
}

/* see net/http/http.h */
uint64_t ael_http_connections_opened(struct ael_http *http) {
    return atomic_load_explicit(&http->opened, memory_order_relaxed);
}

/* ---- what libcurl calls ---- */

static size_t take_in(struct exchange *exchange, struct ael_buf *into, const char *bytes, size_t len) {
    enum ael_status status = ael_buf_append(into, (struct ael_bytes){(const uint8_t *)bytes, len});
    if (status != AEL_OK) {
        exchange->receiving = status;
        return 0;
    }
    return len;
}

/* Lines of one answer: an earlier one ("100 Continue") is forgotten. */
static size_t on_header(char *bytes, size_t one, size_t len, void *context) {
    struct exchange *exchange = context;
    (void)one;
    if (len >= 5 && memcmp(bytes, "HTTP/", 5) == 0) {
        ael_wipe(exchange->response->headers.data, exchange->response->headers.len);
        exchange->response->headers.len = 0;
        exchange->head_ended = false;
    } else if (len > 0 && (bytes[0] == '\r' || bytes[0] == '\n')) {
        exchange->head_ended = true;
    }
    return take_in(exchange, &exchange->response->headers, bytes, len);
}

static size_t on_body(char *bytes, size_t one, size_t len, void *context) {
    struct exchange *exchange = context;
    (void)one;
    return len == 0 ? 0 : take_in(exchange, &exchange->response->body, bytes, len);
}

/* Hands out the body. Without a way to begin again, libcurl cannot send the request a second time. */
static size_t on_send(char *bytes, size_t one, size_t room, void *context) {
    struct exchange *exchange = context;
    struct ael_bytes body = exchange->request->body;
    size_t len = body.len - exchange->body_at;
    (void)one;
    if (len > room) {
        len = room;
    }
    if (len > 0) {
        memcpy(bytes, body.data + exchange->body_at, len);
        exchange->body_at += len;
    }
    return len;
}

/*
 * A connection that was lost leaves libcurl with the wish to begin the body again, which outlives the
 * request: the next one would fail for it. It may where nothing was handed out yet.
 */
static int on_seek(void *context, curl_off_t offset, int origin) {
    const struct exchange *exchange = context;
    bool is_there = offset == 0 && origin == SEEK_SET && exchange->body_at == 0;
    return is_there ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL;
}

/* ---- options of a request ---- */

static void set_receivers(CURL *easy, struct exchange *exchange) {
    (void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, exchange->words);
    (void)curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    (void)curl_easy_setopt(easy, CURLOPT_HEADERDATA, exchange);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, exchange);
}

static bool has_body(const struct ael_http_request *request) {
    return request->body.len > 0 || strcmp(request->method, "POST") == 0 ||
           strcmp(request->method, "PUT") == 0;
}

static bool is_handed_out(const struct ael_http_request *request) {
    return request->once && request->body.len > 0;
}

static void set_body(CURL *easy, struct exchange *exchange) {
    const struct ael_http_request *request = exchange->request;
    if (is_handed_out(request)) {
        (void)curl_easy_setopt(easy, CURLOPT_POST, 1L);
        (void)curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_send);
        (void)curl_easy_setopt(easy, CURLOPT_READDATA, exchange);
        (void)curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_seek);
        (void)curl_easy_setopt(easy, CURLOPT_SEEKDATA, exchange);
    } else {
        const void *body = request->body.len > 0 ? (const void *)request->body.data : "";
        (void)curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
    }
    (void)curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
}

static enum ael_status set_request(struct ael_http_place *place, struct exchange *exchange) {
    const struct ael_http_request *request = exchange->request;
    CURL *easy = place->easy;
    CURLcode code = ael_http_transport_set_url(place, request->url, request->no_proxy);
    (void)curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L); /* whatever the last one was */
    if (has_body(request)) {
        set_body(easy, exchange);
    }
    if (code == CURLE_OK) {
        code = curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
    }
    if (strcmp(request->method, "HEAD") == 0) {
        (void)curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    }
    (void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, exchange->headers.first);
    return code == CURLE_OK ? AEL_OK : AEL_E_NO_MEMORY;
}

/* The handle keeps what all requests have in common, and nothing that ends with this one. */
static void forget_request(CURL *easy) {
    (void)curl_easy_setopt(easy, CURLOPT_URL, NULL);
    (void)curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, NULL);
    (void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, NULL);
    (void)curl_easy_setopt(easy, CURLOPT_POSTFIELDS, NULL);
    (void)curl_easy_setopt(easy, CURLOPT_READDATA, NULL);
    (void)curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, NULL);
    (void)curl_easy_setopt(easy, CURLOPT_SEEKDATA, NULL);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, NULL);
    (void)curl_easy_setopt(easy, CURLOPT_HEADERDATA, NULL);
    (void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, NULL);
}

/* ---- sending ---- */

/* Lets libcurl go on until it has to wait. At first it writes the head, and what is handed out behind it. */
static CURLMcode perform(struct ael_http_place *place, bool gather, int *running) {
    ael_mutex_lock(&place->inside);
    if (gather) {
        ael_http_transport_gather(place, true);
    }
    CURLMcode performed = curl_multi_perform(place->multi, running);
    if (gather) {
        ael_http_transport_gather(place, false);
    }
    ael_mutex_unlock(&place->inside);
    return performed;
}

/* Runs until there is an outcome of libcurl's, or the call is over. */
static enum ael_status drive(struct ael_http_place *place, struct exchange *exchange, CURLcode *code) {
    int running = 1;
    bool gather = is_handed_out(exchange->request);
    for (;; gather = false) {
        CURLMcode performed = perform(place, gather, &running);
        if (performed != CURLM_OK) {
            *code = CURLE_OUT_OF_MEMORY;
            return AEL_OK;
        }
        if (running == 0) {
            break;
        }
        AEL_TRY(ael_call_check(&exchange->call));
        int most = exchange->call.cancel != NULL ? WAIT_WITH_TOKEN_MS : WAIT_MS;
        uint32_t left = ael_call_remaining_ms(&exchange->call);
        (void)curl_multi_poll(place->multi, NULL, 0, left < (uint32_t)most ? (int)left : most, NULL);
    }
    int more = 0;
    CURLMsg *message = curl_multi_info_read(place->multi, &more);
    *code = message != NULL && message->msg == CURLMSG_DONE ? message->data.result : CURLE_RECV_ERROR;
    return AEL_OK;
}

static enum ael_status explain_unread(const struct exchange *exchange, struct ael_error *err) {
    char origin[AEL_HTTP_ORIGIN_BYTES];
    ael_http_origin(exchange->request->url, origin);
    if (exchange->receiving == AEL_E_NO_MEMORY) {
        return ael_error_set(err, AEL_E_NO_MEMORY, 0, k_component, "%s: no memory for the answer", origin);
    }
    return ael_error_set(
        err, AEL_E_BACKEND, 0, k_component,
        "%s: the answer is longer than %zu bytes, or its headers than %d; is this the right server?", origin,
        exchange->response->body.max, AEL_HTTP_MAX_HEADER_BYTES);
}

static enum ael_status
explain_over(const struct exchange *exchange, enum ael_status status, struct ael_error *err) {
    char origin[AEL_HTTP_ORIGIN_BYTES];
    ael_http_origin(exchange->request->url, origin);
    const char *why = status == AEL_E_CANCELLED ? "the caller cancelled the call"
                                                : "no answer before the deadline; retry or allow more time";
    return ael_error_set(err, status, 0, k_component, "%s: %s", origin, why);
}

static enum ael_status finish(
    struct ael_http_place *place,
    struct exchange *exchange,
    enum ael_status status,
    CURLcode code,
    struct ael_error *err) {
    long sent = 0;
    long http_status = 0;
    long os_error = 0;
    (void)curl_easy_getinfo(place->easy, CURLINFO_REQUEST_SIZE, &sent);
    (void)curl_easy_getinfo(place->easy, CURLINFO_RESPONSE_CODE, &http_status);
    (void)curl_easy_getinfo(place->easy, CURLINFO_OS_ERRNO, &os_error);
    exchange->response->sent = sent > 0;
    if (status != AEL_OK) {
        return explain_over(exchange, status, err);
    }
    if (exchange->receiving != AEL_OK) {
        return explain_unread(exchange, err);
    }
    if (code == CURLE_OK && (!exchange->head_ended || http_status < 200)) {
        code = CURLE_PARTIAL_FILE; /* libcurl takes headers that end with the connection for a whole answer */
    }
    if (code != CURLE_OK) {
        return ael_http_failure(code, exchange->request->url, exchange->words, os_error, err);
    }
    exchange->response->status = (int)http_status;
    return AEL_OK;
}

static bool begin_transfer(struct ael_http_place *place, struct exchange *exchange) {
    ael_mutex_lock(&place->inside);
    set_receivers(place->easy, exchange);
    bool begun = ael_http_transport_set(place) && set_request(place, exchange) == AEL_OK &&
                 curl_multi_add_handle(place->multi, place->easy) == CURLM_OK;
    if (!begun) {
        ael_http_place_reset(place);
    }
    ael_mutex_unlock(&place->inside);
    return begun;
}

/* A handle counts how often it sent a request again on a new connection, over all of them, and gives up at
 * the fifth. Only a reset ends that: behind each new connection, and whatever failed. */
static void end_transfer(struct ael_http_place *place, enum ael_status status) {
    long opened = 1;
    ael_mutex_lock(&place->inside);
    (void)curl_easy_getinfo(place->easy, CURLINFO_NUM_CONNECTS, &opened);
    (void)curl_multi_remove_handle(place->multi, place->easy);
    if (status == AEL_OK && opened == 0) {
        forget_request(place->easy);
    } else {
        ael_http_place_reset(place);
    }
    ael_mutex_unlock(&place->inside);
}

static enum ael_status
send_from(struct ael_http_place *place, struct exchange *exchange, struct ael_error *err) {
    CURLcode code = CURLE_OK;
    if (!begin_transfer(place, exchange)) {
        return ael_http_failure(CURLE_OUT_OF_MEMORY, exchange->request->url, "", 0, err);
    }
    struct ael_http_pipe_guard guard = ael_http_pipe_guard_begin();
    enum ael_status status = drive(place, exchange, &code);
    status = finish(place, exchange, status, code, err);
    end_transfer(place, status);
    ael_http_pipe_guard_end(&guard);
    return status;
}

static bool method_is_good(const char *method) {
    size_t len = method == NULL ? 0 : strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    return len > 0 && len <= 16 && method[len] == '\0';
}

static bool url_is_good(const char *url) {
    if (url == NULL || (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)) {
        return false;
    }
    size_t len = 0;
    while (url[len] > ' ' && url[len] < 0x7f && len <= URL_MAX_BYTES) {
        len++;
    }
    return url[len] == '\0';
}

static enum ael_status check_request(const struct ael_http_request *request, struct ael_error *err) {
    if (request == NULL || !method_is_good(request->method) || !url_is_good(request->url) ||
        (request->headers == NULL && request->header_count > 0)) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, k_component,
            "method or URL is not acceptable: http:// or https://, percent-encoded, at most %d bytes",
            URL_MAX_BYTES);
    }
    return AEL_OK;
}

/* The earlier end of the two: the call's, or the request's own limit. */
static struct ael_call limit_call(const struct ael_call *call, uint32_t timeout_ms) {
    struct ael_call limited = AEL_CALL_INIT;
    limited.cancel = call == NULL ? NULL : call->cancel;
    limited.deadline_ns = call != NULL && call->deadline_ns != 0
                              ? call->deadline_ns
                              : ael_deadline_in_ms(ael_call_remaining_ms(NULL));
    int64_t own_ns = ael_deadline_in_ms(timeout_ms);
    if (timeout_ms != 0 && own_ns < limited.deadline_ns) {
        limited.deadline_ns = own_ns;
    }
    return limited;
}

/* see net/http/http.h */
enum ael_status ael_http_send(
    struct ael_http *http,
    const struct ael_call *call,
    const struct ael_http_request *request,
    struct ael_http_response *response,
    struct ael_error *err) {
    struct ael_http_place *place = NULL;
    *response = (struct ael_http_response){.body = AEL_BUF_INIT, .headers = AEL_BUF_INIT};
    AEL_TRY(check_request(request, err));
    response->body.max = request->max_bytes != 0 ? request->max_bytes : AEL_HTTP_MAX_BYTES_DEFAULT;
    response->headers.max = AEL_HTTP_MAX_HEADER_BYTES;
    struct exchange exchange = {
        .request = request, .response = response, .call = limit_call(call, request->timeout_ms)};
    int cancel = ael_cancel_disable(); /* a thread cancelled on the way would keep its place */
    enum ael_status status = ael_http_header_list_init(&exchange.headers, request, err);
    if (status == AEL_OK && ael_buf_reserve(&response->headers, HEADERS_FIRST_BYTES) != AEL_OK) {
        status = ael_error_set(err, AEL_E_NO_MEMORY, 0, k_component, "no memory for an answer");
    }
    if (status == AEL_OK) {
        status = ael_http_pool_take(http, &exchange.call, &place, err);
    }
    if (status == AEL_OK) {
        status = send_from(place, &exchange, err);
        ael_http_pool_give(http, place);
    }
    if (status != AEL_OK) {
        ael_http_response_clear(response); /* what came of an answer is nobody's; whether it was sent, is */
    }
    ael_http_header_list_clear(&exchange.headers);
    ael_cancel_restore(cancel);
    return status;
}

/* ---- the answer ---- */

static struct ael_bytes trimmed(const uint8_t *from, size_t len) {
    while (len > 0 && (from[0] == ' ' || from[0] == '\t')) {
        from++;
        len--;
    }
    while (len > 0 && (from[len - 1] == ' ' || from[len - 1] == '\t' || from[len - 1] == '\r')) {
        len--;
    }
    return (struct ael_bytes){from, len};
}

/* see net/http/http.h */
bool ael_http_response_header(
    const struct ael_http_response *response, const char *name, struct ael_bytes *value) {
    const uint8_t *line = response->headers.data;
    size_t left = response->headers.len;
    size_t name_len = strlen(name);
    while (left > 0) {
        const uint8_t *end = memchr(line, '\n', left);
        size_t len = end == NULL ? left : (size_t)(end - line);
        if (len > name_len && line[name_len] == ':' && strncasecmp((const char *)line, name, name_len) == 0) {
            *value = trimmed(line + name_len + 1, len - name_len - 1);
            return true;
        }
        size_t step = end == NULL ? left : len + 1;
        line += step;
        left -= step;
    }
    return false;
}

/* see net/http/http.h */
void ael_http_response_clear(struct ael_http_response *response) {
    ael_buf_clear(&response->body);
    ael_buf_clear(&response->headers);
    response->status = 0;
}
