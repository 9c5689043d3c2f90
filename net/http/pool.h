/*
 * net/http/pool.h - the places of a pool: a handle of libcurl's each, with the sockets it has opened.
 * Layer: net. Threads: any; locks inside.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_NET_HTTP_POOL_H
#define AEL_NET_HTTP_POOL_H

#include "base/fork.h"
#include "base/sync.h"
#include "net/http/http.h"

#include <curl/curl.h>
#include <stdatomic.h>
#include <sys/types.h>

enum { AEL_HTTP_PLACE_SOCKETS = 8 }; /* the addresses of one server that are tried side by side are fewer */

/*
 * Libcurl's and OpenSSL's own locks must not be held by a thread that a child does not have. So whoever is
 * inside libcurl holds a mutex of ours, for which a fork waits: that of its place, or the one under which
 * places are made and ended. Not while it waits for the network.
 */
struct ael_http_place {
    struct ael_http *http;
    struct ael_mutex inside; /* before the pool's lock */
    CURL *easy;
    CURLM *multi;
    int sockets[AEL_HTTP_PLACE_SOCKETS]; /* -1 = none; written by who is inside, under the pool's lock, too */
    bool is_set;                         /* its handle has the options that all requests have in common */
    bool kept;                           /* connected, by net/http/exchange.h, for its next request */
    int64_t kept_since_ns;
    struct ael_http_place *next;         /* idle, or left alone */
};

struct ael_http {
    char *ca_file;
    char *ca_path;
    char *client_cert;
    char *client_key;
    uint32_t max_connections;
    uint32_t connect_timeout_ms;
    uint32_t idle_s;
    pid_t pid; /* whose places these are; written by the only thread of a child */
    struct ael_fork_part fork;
    atomic_uint_least64_t opened; /* statistics: relaxed */
    struct ael_mutex lock;        /* guards what follows */
    struct ael_cond changed;
    uint32_t taken;
    uint32_t made;
    struct ael_http_place *idle;                             /* used last, first */
    struct ael_http_place *places[AEL_HTTP_MAX_CONNECTIONS]; /* the first `made` of them */
};

/**
 * Takes a place.
 *
 * @return AEL_OK; AEL_E_TIMEOUT or AEL_E_CANCELLED (all were taken until the call was over); AEL_E_NO_MEMORY;
 *         AEL_E_FORKED.
 */
AEL_MUST_CHECK enum ael_status ael_http_pool_take(
    struct ael_http *http, const struct ael_call *call, struct ael_http_place **place, struct ael_error *err);

/** Gives it back as it is: nothing that its handle points to may end before the next request. */
void ael_http_pool_give(struct ael_http *http, struct ael_http_place *place);

/** Forgets all options of its handle, and keeps the connection; the caller is inside the place. */
void ael_http_place_reset(struct ael_http_place *place);

/** Sets what opens and closes sockets, so that a child can close them. */
void ael_http_place_watch_sockets(struct ael_http_place *place);

/** The parts of ael_http_new and ael_http_free that concern places; the options are set already. */
AEL_MUST_CHECK enum ael_status ael_http_pool_init(struct ael_http *http, struct ael_error *err);
void ael_http_pool_clear(struct ael_http *http);

#endif /* AEL_NET_HTTP_POOL_H */
