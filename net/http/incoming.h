/*
 * net/http/incoming.h - an answer that may hold a secret, as it comes over a connection: the secret is taken
 * out of it in a scratch slot before the rest is copied. What came of a secret in part waits as a sealed one.
 *
 *     ael_http_incoming_init(&incoming, &secrets, max_bytes);
 *     ael_http_incoming_begin(&incoming);
 *     while (!incoming.answer.done) {
 *         status = ael_http_incoming_receive(&incoming, &connection, &code, &len);
 *     }
 *     status = ael_http_incoming_finish(&incoming);       // incoming.response, .taken, .text
 *     ael_http_incoming_clear(&incoming);
 *
 * Layer: net. Threads: one at a time.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_NET_HTTP_INCOMING_H
#define AEL_NET_HTTP_INCOMING_H

#include "net/http/answer.h"
#include "net/http/connection.h"
#include "net/http/secrets.h"
#include "net/json_secret.h"

struct ael_http_incoming {
    struct ael_http_answer answer;
    struct ael_http_response response; /* without the secret; complete when finished */
    struct ael_secret *taken;          /* the key that the answer held; NULL = none */
    struct ael_http_text text;         /* or the text; while it comes, what of it is complete */
    /* private */
    size_t max_bytes; /* of the body */
    size_t received;  /* bytes, whatever they are */
    bool taken_is_text;
    bool taken_is_any;
    int variant; /* of base64 */
    struct ael_json_secret json;
    struct ael_secret *part; /* the secret's text so far, or its last piece */
    size_t pieces;           /* in text */
    size_t max_pieces;
};

void ael_http_incoming_init(
    struct ael_http_incoming *self, const struct ael_http_secrets *secrets, size_t max_bytes);

/** The request was sent: what comes is its answer. */
void ael_http_incoming_begin(struct ael_http_incoming *self);

/**
 * Receives as much as comes at once, and reads it.
 *
 * @param code  of libcurl's; counts when the status is AEL_OK. @param len  bytes; 0 = the server has ended
 *              the connection.
 * @return AEL_OK; AEL_E_TOO_LARGE; AEL_E_BACKEND (no HTTP that can be read); AEL_E_NO_MEMORY; or as
 *         ael_scratch_begin, ael_scratch_end, ael_secret_open_into and ael_secret_new.
 */
AEL_MUST_CHECK enum ael_status ael_http_incoming_receive(
    struct ael_http_incoming *self, struct ael_http_connection *connection, CURLcode *code, size_t *len);

/**
 * The answer is complete: the text that was taken becomes the secret. There is none where the answer held
 * none.
 *
 * @return AEL_OK; AEL_E_BACKEND (no base64 of a key; a text that is too long, there twice, or cannot be
 *         sent); or as ael_scratch_begin, ael_scratch_end, ael_secret_open_into and ael_secret_new.
 */
AEL_MUST_CHECK enum ael_status ael_http_incoming_finish(struct ael_http_incoming *self);

void ael_http_incoming_clear(struct ael_http_incoming *self);

#endif /* AEL_NET_HTTP_INCOMING_H */
