/*
 * net/http/outgoing.h - a request that holds secrets, as it goes over a connection: written once, with the
 * secrets left out, and sent by and by.
 *
 *     status = ael_http_outgoing_init(&outgoing, &request, &secrets);
 *     while (!ael_http_outgoing_is_done(&outgoing)) {
 *         status = ael_http_outgoing_send(&outgoing, &connection, &code);
 *     }
 *     ael_http_outgoing_clear(&outgoing);
 *
 * What holds a secret is put together in a scratch slot, as much as that holds, so that a request is one
 * record of TLS if it can be; long stretches without one go from where they lie.
 * Layer: net. Threads: one at a time.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_NET_HTTP_OUTGOING_H
#define AEL_NET_HTTP_OUTGOING_H

#include "net/http/connection.h"
#include "net/http/secrets.h"

/* A stretch of the request that anybody may see, and the secret behind it. */
struct ael_http_outgoing_part {
    struct ael_buf open;
    struct ael_secret *secret; /* NULL = none */
    size_t secret_len;         /* characters of it */
    bool is_text;              /* else it goes as base64 */
    int variant;               /* of that */
};

/* The head up to the bearer; further pieces of that; the body up to its secret; further pieces of that; the
 * rest. */
enum {
    AEL_HTTP_OUTGOING_HEAD = 0,
    AEL_HTTP_OUTGOING_BODY = AEL_HTTP_OUTGOING_HEAD + AEL_HTTP_TEXT_PIECES,
    AEL_HTTP_OUTGOING_REST = AEL_HTTP_OUTGOING_BODY + AEL_HTTP_TEXT_PIECES,
    AEL_HTTP_OUTGOING_PARTS
};

struct ael_http_outgoing {
    struct ael_http_outgoing_part parts[AEL_HTTP_OUTGOING_PARTS];
    size_t len;
    size_t at;     /* how much of it was sent; 0 to begin again on another connection */
    bool any_sent; /* on any connection */
};

/**
 * Writes a request, which is copied; its secrets are held.
 *
 * @return AEL_OK; AEL_E_ARGUMENT (a header, or what is secret); AEL_E_NO_MEMORY. Cleared by the caller in any
 *         case.
 */
AEL_MUST_CHECK enum ael_status ael_http_outgoing_init(
    struct ael_http_outgoing *self,
    const struct ael_http_request *request,
    const struct ael_http_secrets *secrets);

bool ael_http_outgoing_is_done(const struct ael_http_outgoing *self);

/**
 * Sends as much as goes at once.
 *
 * @param code  of libcurl's; counts when the status is AEL_OK.
 * @return AEL_OK; AEL_E_ARGUMENT (a text of characters that cannot be sent); or as ael_scratch_begin,
 *         ael_scratch_end and ael_secret_open_into.
 */
AEL_MUST_CHECK enum ael_status ael_http_outgoing_send(
    struct ael_http_outgoing *self, struct ael_http_connection *connection, CURLcode *code);

void ael_http_outgoing_clear(struct ael_http_outgoing *self);

#endif /* AEL_NET_HTTP_OUTGOING_H */
