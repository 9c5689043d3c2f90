/*
 * net/http_exchange.h - HTTP for keys in the clear: requests and answers that hold one are never in memory of libcurl's.
 *
 *     status = ael_http_exchange_new(http, &request, &secrets, &exchange, err);
 *     while (!ael_http_exchange_step(exchange)) {                    // never waits
 *         ael_http_exchange_wait(&exchange, 1, until_ns);            // or: waits for any of several
 *     }
 *     status = ael_http_exchange_end(exchange, &response, &taken, err);
 *
 * Libcurl connects (names, proxies, TLS; CURLOPT_CONNECT_ONLY) and hands bytes on; request and answer are written and read
 * here. What comes is decrypted by OpenSSL in its own record buffer, which it wipes as it is read (SSL_OP_CLEANSE_PLAINTEXT),
 * into a scratch slot; there the secret text is taken out of it before the rest is copied. What is sent goes from a scratch
 * slot, one record for as much as that holds, into OpenSSL's record buffer and is encrypted there, in place. A secret that has
 * come in part waits as a sealed one.
 *
 * One pool (net/http.h) is used for exchanges with one server, and for nothing else. A connection is kept for the next
 * exchange. One that was kept and turns out to be closed is made anew once, when no byte of an answer had come.
 * Layer: net. Threads: one at a time per exchange; the pool any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_NET_HTTP_EXCHANGE_H
#define AEL_NET_HTTP_EXCHANGE_H

#include "net/http.h"

#include <ael/secret.h>

enum {
    AEL_HTTP_SECRET_BYTES = 64,
    AEL_HTTP_TEXT_BYTES = 960, /* of a piece; a scratch slot has room for it on each machine */
    AEL_HTTP_TEXT_PIECES = 16, /* what a text may have */
    AEL_HTTP_TEXT_USUAL_PIECES = 4,
    AEL_HTTP_TEXT_TAKEN_BYTES = 704, /* of a piece of a text that is taken out of an answer */
    AEL_HTTP_BODY_HASH_BYTES = 65
};

/* A token or password, in pieces of 1 .. AEL_HTTP_TEXT_BYTES; those behind the last are NULL. It is of printable ASCII without
 * blank, quote and backslash, so that it can stand in a header and in JSON. */
struct ael_http_text {
    struct ael_secret *pieces[AEL_HTTP_TEXT_PIECES];
};

/* What of a request and its answer is secret: keys, which go over the wire as base64, and texts, which go as they are. */
struct ael_http_secrets {
    struct ael_secret
        *sent; /* 1 .. AEL_HTTP_SECRET_BYTES; its base64 stands in the body behind body_before; NULL = none */
    size_t sent_at; /* offset in the request's body at which it is put in, or sent_text */
    const char
        *taken; /* name of the member of the JSON answer that holds base64 of a secret; NULL = none. Static */
    bool is_url64; /* sent and taken are base64url without padding (RFC 4648 5) instead of base64 */
    struct ael_http_text sent_text; /* instead of sent */
    bool taken_is_text;             /* taken holds a text, in pieces of AEL_HTTP_TEXT_TAKEN_BYTES */
    size_t taken_pieces;            /* at most so many; 0 = AEL_HTTP_TEXT_USUAL_PIECES */
    const char *taken_or;           /* another name under which the text may come; NULL = none. Static */
    bool taken_is_any;              /* a text that may hold blanks; one that cannot be taken is dropped */
    const char *bearer_before;      /* what stands before bearer in a header's line: "X-Token: " */
    struct ael_http_text bearer;    /* no piece = none */
};

struct ael_http_exchange;

/** AEL_OK; AEL_E_UNSUPPORTED when libcurl's TLS is not the OpenSSL that this library is linked with. */
AEL_MUST_CHECK enum ael_status ael_http_exchange_supported(struct ael_error *err);

/** SHA-256 of the body with the key `sent` in it as hexadecimal digits; to sign it. @return as
 * ael_scratch_begin. */
AEL_MUST_CHECK enum ael_status ael_http_exchange_hash(
    struct ael_bytes body,
    const struct ael_http_secrets *secrets,
    char hash[static AEL_HTTP_BODY_HASH_BYTES]);

/**
 * Makes an exchange. Nothing is sent yet.
 *
 * @param request  copied, but for its URL, which outlives the exchange; no_proxy counts as in ael_http_send, but no proxy is
 *                 ever asked for an http:// URL: it would see the secrets. timeout_ms and once do not: who steps bounds the
 *                 time, and what is exchanged may be sent again.
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

/** Tells whether it has, or had, a connection's place in the pool: until then the server has nothing to do with it. */
bool ael_http_exchange_has_place(const struct ael_http_exchange *exchange);

/** Waits until one of them can go on, may be able to, or until_ns (ael_clock_boot_ns) has come. NULLs are passed over. */
void ael_http_exchange_wait(struct ael_http_exchange *const *exchanges, size_t count, int64_t until_ns);

/** Gives the text that the answer held, once it is over and before it is ended; no piece when there was none. The caller clears
 * it. */
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

/** Tells whether a text, or part of one, is of characters that can be sent. */
bool ael_http_text_can_hold(struct ael_bytes text);

/** Holds the pieces of a text once more. */
struct ael_http_text ael_http_text_acquire(const struct ael_http_text *text);

/** Releases the pieces; may be repeated. */
void ael_http_text_clear(struct ael_http_text *text);

#endif /* AEL_NET_HTTP_EXCHANGE_H */
