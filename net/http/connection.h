/*
 * net/http/connection.h - the connection of one exchange (net/http/exchange.h): a place of the pool that
 * libcurl connects (CURLOPT_CONNECT_ONLY), and over which bytes are sent and received without libcurl's
 * looking at them. Nothing here waits.
 *
 *     status = ael_http_connection_take(&connection, err);               // a place; maybe with a connection
 *     if (!connection.reused) { ael_http_connection_begin(&connection); }
 *     while (!ael_http_connection_go_on(&connection, &code)) { ... wait ... }
 *     code = ael_http_connection_send(&connection, bytes, len, &sent);   // or _receive
 *     ael_http_connection_give(&connection, keep);
 *
 * Layer: net. Threads: one at a time.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_NET_HTTP_CONNECTION_H
#define AEL_NET_HTTP_CONNECTION_H

#include "net/http/pool.h"

struct ael_http_connection {
    struct ael_http *http; /* set this, url and no_proxy, fd to -1, and zero the rest */
    const char *url;
    bool no_proxy;
    struct ael_http_place *place; /* NULL = none */
    int fd;                       /* -1 = not connected */
    bool added;                   /* the place's handle is in its multi handle */
    bool reused;                  /* the connection was there before */
    char words[CURL_ERROR_SIZE];
};

/**
 * Takes a place if there is one. `reused` tells whether it came with a connection: one that was not idle for
 * too long, and on which the server has said nothing.
 *
 * @return AEL_OK; AEL_E_TIMEOUT (all are taken); else as ael_http_pool_take.
 */
AEL_MUST_CHECK enum ael_status
ael_http_connection_take(struct ael_http_connection *self, struct ael_error *err);

/** Begins to connect the place; false without memory. A proxy as in ael_http_send. */
bool ael_http_connection_begin(struct ael_http_connection *self);

/** Goes on connecting; true when that is over. @param code  what came of it: CURLE_OK when there is a
 * connection. */
bool ael_http_connection_go_on(struct ael_http_connection *self, CURLcode *code);

/** Tells why there is no connection. */
enum ael_status
ael_http_connection_failure(struct ael_http_connection *self, CURLcode code, struct ael_error *err);

/** CURLE_AGAIN when it would have to wait. @param sent  receives how much of it was taken. */
CURLcode
ael_http_connection_send(struct ael_http_connection *self, const uint8_t *bytes, size_t len, size_t *sent);

/** CURLE_AGAIN when it would have to wait; CURLE_OK with 0 bytes when the server has ended it. */
CURLcode
ael_http_connection_receive(struct ael_http_connection *self, uint8_t *bytes, size_t room, size_t *len);

/** Closes the connection, and keeps the place. */
void ael_http_connection_drop(struct ael_http_connection *self);

/** Gives the place back, if there is one. @param keep  with its connection, for the next exchange with this
 * server. */
void ael_http_connection_give(struct ael_http_connection *self, bool keep);

#endif /* AEL_NET_HTTP_CONNECTION_H */
