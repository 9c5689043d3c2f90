/*
 * net/http/secrets.h - what of a request and its answer is secret: keys, which go over the wire as base64,
 * and texts, which go as they are. A key's base64 is made in a scratch slot.
 * Layer: net. Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_NET_HTTP_SECRETS_H
#define AEL_NET_HTTP_SECRETS_H

#include "net/http/text.h"

enum { AEL_HTTP_SECRET_BYTES = 64, AEL_HTTP_BODY_HASH_BYTES = 65 };

struct ael_http_secrets {
    /* 1 .. AEL_HTTP_SECRET_BYTES; its base64 stands in the body at sent_at; NULL = none */
    struct ael_secret *sent;
    size_t sent_at; /* offset in the request's body at which it is put in, or sent_text */
    /* name of the member of the JSON answer that holds base64 of a secret; NULL = none. Static */
    const char *taken;
    bool is_url64; /* sent and taken are base64url without padding (RFC 4648 5) instead of base64 */
    struct ael_http_text sent_text; /* instead of sent */
    bool taken_is_text;             /* taken holds a text, in pieces of AEL_HTTP_TEXT_TAKEN_BYTES */
    size_t taken_pieces;            /* at most so many; 0 = AEL_HTTP_TEXT_USUAL_PIECES */
    const char *taken_or;           /* another name under which the text may come; NULL = none. Static */
    bool taken_is_any;              /* a text that may hold blanks; one that cannot be taken is dropped */
    const char *bearer_before;      /* what stands before bearer in a header's line: "X-Token: " */
    struct ael_http_text bearer;    /* no piece = none */
};

/** The variant of base64, of libsodium's. */
int ael_http_secrets_variant(const struct ael_http_secrets *secrets);

/** Characters of a key's base64; 0 for NULL. */
size_t ael_http_secrets_key_len(const struct ael_secret *key, int variant);

/**
 * Writes a key's base64; the key itself is at the end of the room meanwhile.
 *
 * @param out   in a scratch slot.
 * @param room  at least the base64, its end and AEL_HTTP_SECRET_BYTES.
 * @return as ael_secret_open_into.
 */
AEL_MUST_CHECK enum ael_status
ael_http_secrets_put_key(struct ael_secret *key, int variant, uint8_t *out, size_t room);

/**
 * SHA-256 of the body with the key `sent` in it as hexadecimal digits; to sign it.
 *
 * @return AEL_OK; AEL_E_ARGUMENT (sent or sent_at is too large); as ael_scratch_begin and
 *         ael_secret_open_into.
 */
AEL_MUST_CHECK enum ael_status ael_http_secrets_hash(
    struct ael_bytes body,
    const struct ael_http_secrets *secrets,
    char hash[static AEL_HTTP_BODY_HASH_BYTES]);

#endif /* AEL_NET_HTTP_SECRETS_H */
