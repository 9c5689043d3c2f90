/*
 * net/http/text.h - a token or password, in pieces of secrets that each fit a scratch slot.
 * Layer: net. Threads: one at a time.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_NET_HTTP_TEXT_H
#define AEL_NET_HTTP_TEXT_H

#include <ael/bytes.h>
#include <ael/secret.h>

enum {
    AEL_HTTP_TEXT_BYTES = 960, /* of a piece; a scratch slot has room for it on each machine */
    AEL_HTTP_TEXT_PIECES = 16, /* what a text may have */
    AEL_HTTP_TEXT_USUAL_PIECES = 4,
    AEL_HTTP_TEXT_TAKEN_BYTES = 704 /* of a piece of a text that is taken out of an answer */
};

/* Pieces of 1 .. AEL_HTTP_TEXT_BYTES; those behind the last are NULL. It is of printable ASCII without blank,
 * quote and backslash, so that it can stand in a header and in JSON. */
struct ael_http_text {
    struct ael_secret *pieces[AEL_HTTP_TEXT_PIECES];
};

/** Tells whether a text, or part of one, is of characters that can be sent. */
bool ael_http_text_can_hold(struct ael_bytes text);

/** Holds the pieces of a text once more. */
struct ael_http_text ael_http_text_acquire(const struct ael_http_text *text);

/** Releases the pieces; may be repeated. */
void ael_http_text_clear(struct ael_http_text *text);

#endif /* AEL_NET_HTTP_TEXT_H */
