/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http/connection.h"

#include "base/check.h"
#include "base/clock.h"
#include "net/http/failure.h"
#include "net/http/transport.h"

#include <poll.h>

static const char k_component[] = "net/http";

/* ---- its end ---- */

/* see net/http/connection.h */
void ael_http_connection_drop(struct ael_http_connection *self) {
    if (self->place == NULL) {
        return;
    }
    ael_mutex_lock(&self->place->inside);
    if (self->added) {
        (void)curl_multi_remove_handle(
            self->place->multi, self->place->easy); /* closes: it is CONNECT_ONLY */
    }
    ael_http_place_reset(self->place);
    ael_mutex_unlock(&self->place->inside);
    self->place->kept = false;
    self->added = false;
    self->fd = -1;
}

/* see net/http/connection.h */
void ael_http_connection_give(struct ael_http_connection *self, bool keep) {
    if (self->place == NULL) {
        return;
    }
    if (!keep) {
        ael_http_connection_drop(self);
    } else { /* what the handle points to ends with the exchange */
        ael_mutex_lock(&self->place->inside);
        (void)curl_easy_setopt(self->place->easy, CURLOPT_ERRORBUFFER, NULL);
        ael_mutex_unlock(&self->place->inside);
        self->place->kept = true;
        self->place->kept_since_ns = ael_clock_boot_ns();
    }
    ael_http_pool_give(self->http, self->place);
    self->place = NULL;
}

/* ---- its beginning ---- */

/* see net/http/connection.h */
bool ael_http_connection_begin(struct ael_http_connection *self) {
    CURL *easy = self->place->easy;
    ael_mutex_lock(&self->place->inside);
    ael_http_place_reset(self->place);
    bool is_set = ael_http_transport_set(self->place);
    (void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, self->words);
    (void)curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, ael_http_tls_for_keys);
    (void)curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
    self->added = is_set && ael_http_transport_set_url(self->place, self->url, self->no_proxy) == CURLE_OK &&
                  curl_multi_add_handle(self->place->multi, easy) == CURLM_OK;
    ael_mutex_unlock(&self->place->inside);
    self->reused = false;
    return self->added;
}

static bool take_kept(struct ael_http_connection *self) {
    curl_socket_t fd = CURL_SOCKET_BAD;
    int64_t idle_ns = ael_clock_boot_ns() - self->place->kept_since_ns;
    if (!self->place->kept) {
        return false;
    }
    self->added = true;
    (void)curl_easy_getinfo(self->place->easy, CURLINFO_ACTIVESOCKET, &fd);
    struct pollfd seen = {.fd = fd, .events = POLLIN}; /* the server's end shows, too */
    if (fd == CURL_SOCKET_BAD || idle_ns > (int64_t)self->http->idle_s * 1000000000 ||
        poll(&seen, 1, 0) != 0) {
        ael_http_connection_drop(self);
        return false;
    }
    self->place->kept = false;
    self->fd = fd;
    return true;
}

/* see net/http/connection.h */
enum ael_status ael_http_connection_take(struct ael_http_connection *self, struct ael_error *err) {
    struct ael_call now = AEL_CALL_INIT;
    now.deadline_ns = 1; /* over: it does not wait */
    AEL_TRY(ael_http_pool_take(self->http, &now, &self->place, err));
    self->reused = take_kept(self);
    return AEL_OK;
}

/* see net/http/connection.h */
bool ael_http_connection_go_on(struct ael_http_connection *self, CURLcode *code) {
    int running = 1;
    int more = 0;
    curl_socket_t fd = CURL_SOCKET_BAD;
    ael_mutex_lock(&self->place->inside);
    CURLMcode performed = curl_multi_perform(self->place->multi, &running);
    ael_mutex_unlock(&self->place->inside);
    if (performed == CURLM_OK && running != 0) {
        return false;
    }
    CURLMsg *message = curl_multi_info_read(self->place->multi, &more);
    *code = message != NULL && message->msg == CURLMSG_DONE ? message->data.result : CURLE_COULDNT_CONNECT;
    if (*code == CURLE_OK) {
        *code = curl_easy_getinfo(self->place->easy, CURLINFO_ACTIVESOCKET, &fd);
    }
    if (*code == CURLE_OK && fd == CURL_SOCKET_BAD) {
        *code = CURLE_COULDNT_CONNECT;
    }
    self->fd = *code == CURLE_OK ? fd : -1;
    return true;
}

/* see net/http/connection.h */
enum ael_status
ael_http_connection_failure(struct ael_http_connection *self, CURLcode code, struct ael_error *err) {
    char origin[AEL_HTTP_ORIGIN_BYTES];
    long os_error = 0;
    long proxy_said = 0;
    (void)curl_easy_getinfo(self->place->easy, CURLINFO_OS_ERRNO, &os_error);
    (void)curl_easy_getinfo(self->place->easy, CURLINFO_HTTP_CONNECTCODE, &proxy_said);
    if (proxy_said < 300) {
        return ael_http_failure(code, self->url, self->words, os_error, err);
    }
    ael_http_origin(self->url, origin);
    return ael_error_set(
        err, AEL_E_UNREACHABLE, 0, k_component,
        "%s: a proxy is in the way and refused; check https_proxy and no_proxy", origin);
}

/* ---- bytes ---- */

/* see net/http/connection.h */
CURLcode
ael_http_connection_send(struct ael_http_connection *self, const uint8_t *bytes, size_t len, size_t *sent) {
    *sent = 0;
    ael_mutex_lock(&self->place->inside);
    CURLcode code = curl_easy_send(self->place->easy, bytes, len, sent);
    ael_mutex_unlock(&self->place->inside);
    return code;
}

/* see net/http/connection.h */
CURLcode
ael_http_connection_receive(struct ael_http_connection *self, uint8_t *bytes, size_t room, size_t *len) {
    *len = 0;
    ael_mutex_lock(&self->place->inside);
    CURLcode code = curl_easy_recv(self->place->easy, bytes, room, len);
    ael_mutex_unlock(&self->place->inside);
    return code;
}
