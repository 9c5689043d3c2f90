/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http/pool.h"

#include "base/alloc.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

static const char k_component[] = "net/http";

enum { WAIT_SLICE_MS = 20 }; /* a cancel token wakes nobody: look at it this often */

/* ---- sockets: opened, closed and noted with the lock held, which nobody else holds during a fork ---- */

static bool note_socket(struct ael_http_place *place, int before, int after) {
    for (size_t i = 0; i < AEL_HTTP_PLACE_SOCKETS; i++) {
        if (place->sockets[i] == before) {
            place->sockets[i] = after;
            return true;
        }
    }
    return false;
}

static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address) {
    struct ael_http_place *place = context;
    (void)purpose;
    ael_mutex_lock(&place->http->lock);
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd >= 0 && !note_socket(place, -1, fd)) {
        (void)close(fd);
        fd = -1;
        errno = EMFILE;
    }
    ael_mutex_unlock(&place->http->lock);
    if (fd >= 0) {
        atomic_fetch_add_explicit(&place->http->opened, 1, memory_order_relaxed);
    }
    return fd >= 0 ? fd : CURL_SOCKET_BAD;
}

static int close_socket(void *context, curl_socket_t fd) {
    struct ael_http_place *place = context;
    ael_mutex_lock(&place->http->lock);
    (void)note_socket(place, fd, -1);
    int closed = close(fd);
    ael_mutex_unlock(&place->http->lock);
    return closed;
}

/* see net/http/pool.h */
void ael_http_place_watch_sockets(struct ael_http_place *place) {
    (void)curl_easy_setopt(place->easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    (void)curl_easy_setopt(place->easy, CURLOPT_OPENSOCKETDATA, place);
    (void)curl_easy_setopt(place->easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
    (void)curl_easy_setopt(place->easy, CURLOPT_CLOSESOCKETDATA, place);
}

/* ---- places ---- */

static struct ael_mutex s_making = AEL_MUTEX_INIT;

/* With s_making held. */
static void place_free(struct ael_http_place *place) {
    if (place->easy != NULL) {
        ael_http_place_watch_sockets(place);
        (void)curl_easy_setopt(
            place->easy, CURLOPT_NOSIGNAL, 1L); /* else SIGPIPE is set to be ignored meanwhile */
        curl_easy_cleanup(place->easy);
    }
    if (place->multi != NULL) {
        (void)curl_multi_cleanup(place->multi);
    }
    ael_mutex_clear(&place->inside);
    ael_free(place);
}

/* With s_making held. */
static struct ael_http_place *place_make(struct ael_http *http) {
    struct ael_http_place *place = ael_alloc(sizeof *place);
    if (place == NULL) {
        return NULL;
    }
    if (ael_mutex_init(&place->inside) != AEL_OK) {
        ael_free(place);
        return NULL;
    }
    place->http = http;
    for (size_t i = 0; i < AEL_HTTP_PLACE_SOCKETS; i++) {
        place->sockets[i] = -1;
    }
    place->easy = curl_easy_init();
    place->multi = curl_multi_init();
    if (place->easy == NULL || place->multi == NULL ||
        curl_multi_setopt(place->multi, CURLMOPT_MAXCONNECTS, 1L) != CURLM_OK) {
        place_free(place);
        return NULL;
    }
    return place;
}

static struct ael_http_place *place_new(struct ael_http *http) {
    ael_mutex_lock(&s_making);
    struct ael_http_place *place = place_make(http);
    ael_mutex_unlock(&s_making);
    return place;
}

/*
 * What a child has of its parent's: libcurl would say good-bye on the connections if it ended them. Kept in
 * reach, so that no leak checker takes what is meant for a mistake; by a child's only thread, then by nobody.
 */
static struct ael_http_place *s_left_alone;

static void leave_alone(struct ael_http_place *place) {
    for (size_t i = 0; i < AEL_HTTP_PLACE_SOCKETS; i++) {
        if (place->sockets[i] >= 0) {
            (void)close(place->sockets[i]);
        }
    }
    place->next = s_left_alone;
    s_left_alone = place;
}

static void after_fork_child(void *self) {
    struct ael_http *http = self;
    for (uint32_t i = 0; i < http->made; i++) {
        leave_alone(http->places[i]);
    }
    http->made = 0;
    http->taken = 0;
    http->idle = NULL;
    http->pid = getpid();
}

/* ---- lending ---- */

/* Waits for a place; the caller holds the lock. */
static enum ael_status reserve(struct ael_http *http, const struct ael_call *call) {
    while (http->taken >= http->max_connections) {
        enum ael_status status = ael_call_check(call);
        if (status != AEL_OK) {
            return status;
        }
        uint32_t left_ms = ael_call_remaining_ms(call);
        ael_cond_wait_for(
            &http->changed, &http->lock,
            (left_ms < WAIT_SLICE_MS ? (int64_t)left_ms : WAIT_SLICE_MS) * 1000000);
    }
    http->taken++;
    return AEL_OK;
}

static void give_back(struct ael_http *http, struct ael_http_place *place) {
    ael_mutex_lock(&http->lock);
    http->taken--;
    if (place != NULL) {
        place->next = http->idle;
        http->idle = place;
    }
    ael_cond_signal(&http->changed);
    ael_mutex_unlock(&http->lock);
}

/* An idle place, or room for a new one. Made outside the lock: libcurl may take its time. */
static struct ael_http_place *pick(struct ael_http *http) {
    ael_mutex_lock(&http->lock);
    struct ael_http_place *place = http->idle;
    if (place != NULL) {
        http->idle = place->next;
    }
    ael_mutex_unlock(&http->lock);
    if (place != NULL) {
        return place;
    }
    place = place_new(http);
    if (place != NULL) {
        ael_mutex_lock(&http->lock);
        http->places[http->made++] =
            place; /* there is room: each has one of the max_connections reservations */
        ael_mutex_unlock(&http->lock);
    }
    return place;
}

/* see net/http/pool.h */
enum ael_status ael_http_pool_take(
    struct ael_http *http,
    const struct ael_call *call,
    struct ael_http_place **place,
    struct ael_error *err) {
    *place = NULL;
    if (http->pid != getpid()) { /* its lock may be held for ever by a thread that is not here */
        return ael_error_set(
            err, AEL_E_FORKED, 0, k_component,
            "the connections are the parent's; make a new client in the child");
    }
    ael_mutex_lock(&http->lock);
    enum ael_status status = reserve(http, call);
    ael_mutex_unlock(&http->lock);
    if (status != AEL_OK) {
        return ael_error_set(
            err, status, 0, k_component,
            "all %u connections were in use until the call was over; allow more of them, or more time",
            (unsigned)http->max_connections);
    }
    *place = pick(http);
    if (*place == NULL) {
        give_back(http, NULL);
        return ael_error_set(err, AEL_E_NO_MEMORY, 0, k_component, "no memory for a connection");
    }
    return AEL_OK;
}

/* see net/http/pool.h */
void ael_http_pool_give(struct ael_http *http, struct ael_http_place *place) {
    give_back(http, place);
}

/* see net/http/pool.h */
void ael_http_place_reset(struct ael_http_place *place) {
    curl_easy_reset(place->easy);
    place->is_set = false;
}

/* ---- the pool ---- */

/* see net/http/pool.h */
enum ael_status ael_http_pool_init(struct ael_http *http, struct ael_error *err) {
    enum ael_status status = ael_mutex_init(&http->lock);
    if (status != AEL_OK) {
        return ael_error_set(err, status, 0, k_component, "no mutex is to be had");
    }
    ael_cond_init(&http->changed);
    http->pid = getpid();
    http->fork = (struct ael_fork_part){.child = after_fork_child, .self = http};
    status = ael_fork_add(&http->fork);
    if (status != AEL_OK) {
        ael_mutex_clear(&http->lock);
        return ael_error_set(err, status, 0, k_component, "no memory for a client");
    }
    return AEL_OK;
}

/* see net/http/pool.h */
void ael_http_pool_clear(struct ael_http *http) {
    ael_fork_remove(&http->fork);
    ael_mutex_lock(&s_making);
    for (uint32_t i = 0; i < http->made; i++) {
        place_free(http->places[i]);
    }
    ael_mutex_unlock(&s_making);
    ael_mutex_clear(&http->lock);
}
