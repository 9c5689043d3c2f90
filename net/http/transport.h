/*
 * net/http/transport.h - how connections are made, whatever is sent over them: TLS that is verified, HTTP
 * alone, sockets that a child of fork can close, no secrets of TLS in a file (libcurl writes them to the one
 * that SSLKEYLOGFILE names); and the thread's SIGPIPE meanwhile.
 * Layer: net. Threads: one at a time per place.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_NET_HTTP_TRANSPORT_H
#define AEL_NET_HTTP_TRANSPORT_H

#include "net/http/pool.h"

#include <signal.h>

/**
 * Sets what all requests of a pool have in common, once: it stays until ael_http_place_reset. The caller is
 * inside the place.
 *
 * @return false: no memory, or authorities that this libcurl cannot take; nothing may be sent, and the caller
 *         resets the place.
 */
AEL_MUST_CHECK bool ael_http_transport_set(struct ael_http_place *place);

/** Sets where the connection leads, and whether by a proxy: see ael_url_may_take_proxy. */
AEL_MUST_CHECK CURLcode
ael_http_transport_set_url(struct ael_http_place *place, const char *url, bool no_proxy);

/**
 * Has the system keep what is sent until a packet is full, or this is ended: a head and the body behind it go
 * together, and the server wakes up once. Does nothing where no connection is there yet, or the system
 * cannot. The caller is inside the place.
 */
void ael_http_transport_gather(const struct ael_http_place *place, bool gather);

/** Tells whether libcurl's TLS is of the OpenSSL that this library is linked with, so that its contexts can
 * be set. */
bool ael_http_tls_is_ours(void);

/** A CURLOPT_SSL_CTX_FUNCTION where keys pass, instead of the one that ael_http_transport_set sets: besides
 * what that does, OpenSSL wipes what was read, and takes the rest of what it could not send at once from
 * another place in memory. */
CURLcode ael_http_tls_for_keys(CURL *easy, void *context, void *unused);

/* Keeps SIGPIPE, which a lost connection may raise, from the host: blocked for this thread, and taken if it
 * came. */
struct ael_http_pipe_guard {
    sigset_t before;
    bool was_pending;
};

struct ael_http_pipe_guard ael_http_pipe_guard_begin(void);
void ael_http_pipe_guard_end(const struct ael_http_pipe_guard *guard);

#endif /* AEL_NET_HTTP_TRANSPORT_H */
