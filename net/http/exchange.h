/*
 * net/http/exchange.h - HTTP for keys in the clear: requests and answers that hold one are never in memory of
 * libcurl's.
 *
 *     status = ael_http_exchange_new(http, &request, &secrets, &exchange, err);
 *     while (!ael_http_exchange_step(exchange)) {                    // never waits
 *         ael_http_exchange_wait(&exchange, 1, until_ns);            // or: waits for any of several
 *     }
 *     status = ael_http_exchange_end(exchange, &response, &taken, err);
 *
 * Libcurl connects (names, proxies, TLS) and hands bytes on (net/http/connection.h); request and answer are
 * written (net/http/outgoing.h) and read (net/http/incoming.h) here. What comes is decrypted by OpenSSL in
 * its own record buffer, which it wipes as it is read (SSL_OP_CLEANSE_PLAINTEXT), into a scratch slot; there
 * the secret text is taken out of it before the rest is copied. What is sent goes from a scratch slot, one
 * record for as much as that holds, into OpenSSL's record buffer and is encrypted there, in place.
 *
 * One pool (net/http/http.h) is used for exchanges with one server, and for nothing else. A connection is
 * kept for the next exchange. One that was kept and turns out to be closed is made anew once, when no byte of
 * an answer had come.
 * Layer: net. Threads: one at a time per exchange; the pool any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_NET_HTTP_EXCHANGE_H
#define AEL_NET_HTTP_EXCHANGE_H

#include "net/http/http.h"
#include "net/http/secrets.h"

struct ael_http_exchange;

/** AEL_OK; AEL_E_UNSUPPORTED when libcurl's TLS is not the OpenSSL that this library is linked with. */
AEL_MUST_CHECK enum ael_status ael_http_exchange_supported(struct ael_error *err);

/**
 * Makes an exchange. Nothing is sent yet.
 *
 * @param request  copied, but for its URL, which outlives the exchange; no_proxy counts as in ael_http_send.
 *                 timeout_ms and once do not: who steps bounds the time, and what is exchanged may be sent
 *                 again.
 * @param secrets  copied; the secrets in it are held.
 * @return AEL_OK; AEL_E_ARGUMENT; AEL_E_NO_MEMORY.
 */
AEL_MUST_CHECK enum ael_status ael_http_exchange_new(
    struct ael_http *http,
    const struct ael_http_request *request,
    const struct ael_http_secrets *secrets,
    struct ael_http_exchange **exchange,
    struct ael_error *err);

/** Goes on as far as it can without waiting; true when it is over. */
bool ael_http_exchange_step(struct ael_http_exchange *exchange);

/** Tells whether it has, or had, a connection's place in the pool: until then the server has nothing to do
 * with it. */
bool ael_http_exchange_has_place(const struct ael_http_exchange *exchange);

/** Waits until one of them can go on, may be able to, or until_ns (ael_clock_boot_ns) has come. NULLs are
 * passed over. */
void ael_http_exchange_wait(struct ael_http_exchange *const *exchanges, size_t count, int64_t until_ns);

/** Gives the text that the answer held, once it is over and before it is ended; no piece when there was none.
 * The caller clears it. */
void ael_http_exchange_take_text(struct ael_http_exchange *exchange, struct ael_http_text *text);

/**
 * Ends an exchange, whether it is over or not, and frees it.
 *
 * @param response  as of ael_http_send; its body is without the secret.
 * @param taken     receives the key that the answer held, or NULL. May be NULL.
 * @return as ael_http_send; AEL_E_CANCELLED when it was not over.
 */
AEL_MUST_CHECK enum ael_status ael_http_exchange_end(
    struct ael_http_exchange *exchange,
    struct ael_http_response *response,
    struct ael_secret **taken,
    struct ael_error *err);

/** Ends an exchange and drops what came; NULL is accepted. */
void ael_http_exchange_give_up(struct ael_http_exchange *exchange);

#endif /* AEL_NET_HTTP_EXCHANGE_H */
