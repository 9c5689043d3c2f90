/*
 * net/http/answer.h - a strict reader of one HTTP/1.1 answer that comes in pieces, for connections whose
 * bytes libcurl must not see.
 *
 *     while (in.len > 0 && !answer.done) {
 *         status = ael_http_answer_next(&answer, &in, &part);     // part: of the body, inside what `in` was
 *     }
 *
 * Status line and headers go to a buffer, line by line; the body is handed on in place. The length is
 * Content-Length's, the chunks', or what comes until the connection ends; two that differ, or both kinds at
 * once, are refused. Answers of the 100 class are passed over.
 * Layer: net. Threads: one at a time.
 * Source: RFC 9112.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_NET_HTTP_ANSWER_H
#define AEL_NET_HTTP_ANSWER_H

#include <ael/bytes.h>

struct ael_http_answer {
    struct ael_buf *headers; /* of the caller's; its max bounds them. Set this alone and zero the rest */
    uint8_t state;
    int status;
    bool keep;       /* another request may follow on the connection */
    bool done;       /* the answer is complete */
    uint64_t left;   /* bytes of the body, or of a chunk */
    size_t line_at;  /* where the present line of the headers begins */
    unsigned digits; /* of a chunk's length */
    size_t extra;    /* bytes of chunk lines and trailers */
};

/**
 * Reads on: a head, or up to one piece of the body.
 *
 * @param in    what came; moves on over what was read, at least one byte of it.
 * @param part  receives a piece of the body, or nothing.
 * @return AEL_OK; AEL_E_BACKEND (no HTTP that can be read); AEL_E_TOO_LARGE (headers); AEL_E_NO_MEMORY.
 */
AEL_MUST_CHECK enum ael_status
ael_http_answer_next(struct ael_http_answer *self, struct ael_bytes *in, struct ael_bytes *part);

/** The connection has ended: AEL_OK when the answer is complete by that; AEL_E_UNREACHABLE when not. */
AEL_MUST_CHECK enum ael_status ael_http_answer_end(struct ael_http_answer *self);

#endif /* AEL_NET_HTTP_ANSWER_H */
