/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http/incoming.h"

#include "base/check.h"
#include "securememory/scratch.h"
#include "securememory/sealed_key.h"

#include <sodium.h>
#include <string.h>

enum {
    /* Head, trailers and what frames a body have bounds of their own; heads that say "wait" and a secret that
     * is dropped for its length have none. */
    AROUND_BODY_MAX = 4 * AEL_HTTP_MAX_HEADER_BYTES,
};

/* In a scratch slot: the secret's text, then what is received. */
_Static_assert((int)AEL_HTTP_TEXT_TAKEN_BYTES + 256 <= (int)AEL_SCRATCH_BYTES, "room to receive");

/* ---- its life ---- */

/* see net/http/incoming.h */
void ael_http_incoming_init(
    struct ael_http_incoming *self, const struct ael_http_secrets *secrets, size_t max_bytes) {
    memset(self, 0, sizeof *self);
    self->max_bytes = max_bytes;
    self->taken_is_text = secrets->taken_is_text;
    self->taken_is_any = secrets->taken_is_any;
    self->max_pieces = secrets->taken_pieces != 0 ? secrets->taken_pieces : AEL_HTTP_TEXT_USUAL_PIECES;
    self->variant = ael_http_secrets_variant(secrets);
    self->json.name = secrets->taken;
    self->json.other_name = secrets->taken_or;
    self->json.blanks = secrets->taken_is_any;
    self->json.max = secrets->taken_is_text ? AEL_HTTP_TEXT_TAKEN_BYTES : AEL_JSON_SECRET_MAX;
    self->response = (struct ael_http_response){.body = AEL_BUF_INIT, .headers = AEL_BUF_INIT};
}

/* see net/http/incoming.h */
void ael_http_incoming_begin(struct ael_http_incoming *self) {
    self->response.headers.max = AEL_HTTP_MAX_HEADER_BYTES;
    self->response.body.max = self->max_bytes;
    self->answer = (struct ael_http_answer){.headers = &self->response.headers};
}

/* see net/http/incoming.h */
void ael_http_incoming_clear(struct ael_http_incoming *self) {
    ael_http_response_clear(&self->response);
    ael_secret_release(self->part);
    ael_secret_release(self->taken);
    self->part = NULL;
    self->taken = NULL;
    ael_http_text_clear(&self->text);
}

/* ---- receiving ---- */

/* The bytes of an answer, which lie in the slot. */
static enum ael_status read_bytes(struct ael_http_incoming *self, uint8_t *slot, struct ael_bytes in) {
    struct ael_bytes part;
    while (in.len > 0 && !self->answer.done) {
        AEL_TRY(ael_http_answer_next(&self->answer, &in, &part));
        if (part.len == 0) {
            continue;
        }
        if (self->json.name == NULL) {
            AEL_TRY(ael_buf_append(&self->response.body, part));
        } else {
            AEL_TRY(ael_json_secret_feed(&self->json, part, slot, &self->response.body));
        }
    }
    self->answer.keep = self->answer.keep && in.len == 0; /* what comes behind an answer is nobody's */
    return AEL_OK;
}

/* Opens what came of the secret, or keeps what is in the slot by now. */
static enum ael_status open_part(struct ael_http_incoming *self, uint8_t *slot) {
    return self->part == NULL ? AEL_OK : ael_secret_open_into(self->part, slot, self->json.max);
}

static enum ael_status keep_part(struct ael_http_incoming *self, uint8_t *slot, size_t before) {
    if (self->json.len == before) {
        return AEL_OK;
    }
    ael_secret_release(self->part);
    self->part = NULL;
    return ael_secret_new(slot, self->json.len, &self->part);
}

/* A text whose piece is full goes on in another one, as long as there is one: what comes behind the last is
 * too long. */
static void begin_piece(struct ael_http_incoming *self) {
    if (self->taken_is_text && self->json.len == self->json.max && self->pieces + 1 < self->max_pieces) {
        self->text.pieces[self->pieces++] = self->part;
        self->part = NULL;
        self->json.len = 0;
    }
}

/* How much to receive at once: no more than the rest of the piece can hold. */
static size_t receive_room(const struct ael_http_incoming *self) {
    size_t room = AEL_SCRATCH_BYTES - self->json.max;
    size_t left = self->json.max - self->json.len;
    return self->taken_is_text && left > 0 && left < room ? left : room;
}

/* A record of TLS may hold more than there was room for: of that the socket does not tell who takes the
 * connection next. */
static bool
is_silent(struct ael_http_incoming *self, struct ael_http_connection *connection, uint8_t *slot) {
    size_t more = 0;
    return ael_http_connection_receive(connection, slot + self->json.max, 1, &more) == CURLE_AGAIN;
}

static enum ael_status receive_in_slot(
    struct ael_http_incoming *self,
    struct ael_http_connection *connection,
    uint8_t *slot,
    CURLcode *code,
    size_t *len) {
    begin_piece(self);
    size_t room = receive_room(self);
    *code = ael_http_connection_receive(connection, slot + self->json.max, room, len);
    if (*code != CURLE_OK || *len == 0) {
        return AEL_OK;
    }
    self->received += *len;
    if (self->received > self->max_bytes + AROUND_BODY_MAX) {
        return AEL_E_TOO_LARGE;
    }
    size_t before = self->json.len;
    AEL_TRY(open_part(self, slot));
    AEL_TRY(read_bytes(self, slot, (struct ael_bytes){slot + self->json.max, *len}));
    if (self->answer.done && *len == room) {
        self->answer.keep = self->answer.keep && is_silent(self, connection, slot);
    }
    return keep_part(self, slot, before);
}

/* see net/http/incoming.h */
enum ael_status ael_http_incoming_receive(
    struct ael_http_incoming *self, struct ael_http_connection *connection, CURLcode *code, size_t *len) {
    struct ael_scratch scratch;
    AEL_TRY(ael_scratch_begin(&scratch, NULL));
    enum ael_status status = receive_in_slot(self, connection, scratch.bytes, code, len);
    enum ael_status ended = ael_scratch_end(&scratch);
    return status == AEL_OK ? ended : status;
}

/* ---- what was taken ---- */

/* In the slot: the text becomes the secret. */
static enum ael_status decode_in_slot(struct ael_http_incoming *self, uint8_t *slot) {
    size_t len = 0;
    uint8_t *plain = slot + AEL_JSON_SECRET_MAX;
    AEL_TRY(open_part(self, slot));
    if (sodium_base642bin(
            plain, AEL_HTTP_SECRET_BYTES, (const char *)slot, self->json.len, NULL, &len, NULL,
            self->variant) != 0 ||
        len == 0) {
        return AEL_E_BACKEND;
    }
    return ael_secret_new(plain, len, &self->taken);
}

static enum ael_status decode_secret(struct ael_http_incoming *self) {
    struct ael_scratch scratch;
    if (self->part == NULL && self->pieces == 0) {
        return AEL_OK; /* the caller sees that there is none */
    }
    if (self->json.bad) {
        ael_http_text_clear(&self->text); /* the part goes when all is cleared */
        return self->taken_is_any ? AEL_OK : AEL_E_BACKEND;
    }
    if (self->taken_is_text) { /* a piece is free: the last one is never begun before it is filled */
        self->text.pieces[self->pieces] = self->part;
        self->part = NULL;
        return AEL_OK;
    }
    AEL_TRY(ael_scratch_begin(&scratch, NULL));
    enum ael_status status = decode_in_slot(self, scratch.bytes);
    enum ael_status ended = ael_scratch_end(&scratch);
    return status == AEL_OK ? ended : status;
}

/* see net/http/incoming.h */
enum ael_status ael_http_incoming_finish(struct ael_http_incoming *self) {
    AEL_TRY(decode_secret(self));
    self->response.status = self->answer.status;
    return AEL_OK;
}
