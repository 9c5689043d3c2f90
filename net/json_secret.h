/*
 * net/json_secret.h - takes the text of one member out of a JSON that comes in pieces, so that the rest can
 * lie in ordinary memory: {"KeyId":"k","Plaintext":"c2VjcmV0"} leaves {"KeyId":"k","Plaintext":""}.
 *
 * It knows texts, names and escapes, and nothing else of JSON: whether the rest is well-formed its reader
 * finds out. Of escapes in the secret text itself only \/ is taken, for base64 needs no other; with `blanks`
 * also \n, \r and \t, each as a blank.
 * Layer: net. Threads: one at a time.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_NET_JSON_SECRET_H
#define AEL_NET_JSON_SECRET_H

#include <ael/bytes.h>

enum { AEL_JSON_SECRET_MAX = 128 }; /* enough for base64 of a key */

struct ael_json_secret {
    const char *name;       /* of the member; set this and max, and zero the rest */
    const char *other_name; /* a member of this name is as good; NULL = none */
    bool blanks;            /* any character will do; else printable ASCII without blanks */
    size_t max;             /* characters of the secret */
    uint8_t state;
    bool is_name;   /* the text so far is the name's beginning */
    bool is_other;  /* the other name's */
    bool bad;       /* too long, another escape or character, or there twice */
    unsigned found; /* members of these names that held a text */
    size_t matched; /* characters of the name, or the other one */
    size_t len;     /* characters of the secret so far */
};

/**
 * Passes a piece.
 *
 * @param value  max bytes in protected memory: what came of the secret so far (self->len characters), and
 *               receives what more of it is in the piece.
 * @param rest   what is not of the secret is appended.
 * @return as ael_buf_append.
 */
AEL_MUST_CHECK enum ael_status ael_json_secret_feed(
    struct ael_json_secret *self, struct ael_bytes piece, uint8_t *value, struct ael_buf *rest);

#endif /* AEL_NET_JSON_SECRET_H */
