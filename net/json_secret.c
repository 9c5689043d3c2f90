/* SPDX-License-Identifier: Apache-2.0 */
#include "net/json_secret.h"

#include "base/check.h"

#include <string.h>

enum state { OUTSIDE, TEXT, ESCAPE, BEHIND_NAME, BEHIND_COLON, SECRET, SECRET_ESCAPE };

static bool is_blank(uint8_t byte) {
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

static void begin_text(struct ael_json_secret *self) {
    self->state = TEXT;
    self->is_name = true;
    self->matched = 0;
}

static void outside(struct ael_json_secret *self, uint8_t byte) {
    self->state = OUTSIDE;
    if (byte == '"') {
        begin_text(self);
    }
}

static void in_text(struct ael_json_secret *self, uint8_t byte) {
    if (byte == '"') {
        bool whole = self->is_name && self->name[self->matched] == '\0';
        self->state = whole ? BEHIND_NAME : OUTSIDE;
    } else if (byte == '\\') {
        self->is_name = false;
        self->state = ESCAPE;
    } else if (self->is_name && (uint8_t)self->name[self->matched] == byte) {
        self->matched++;
    } else {
        self->is_name = false;
    }
}

static void behind_colon(struct ael_json_secret *self, uint8_t byte) {
    if (byte != '"') {
        outside(self, byte);
        return;
    }
    self->state = SECRET;
    self->found++;
    self->bad = self->bad || self->found > 1;
}

static void take(struct ael_json_secret *self, uint8_t byte, uint8_t *value) {
    if (self->len == self->max || self->bad) {
        self->bad = true;
        return;
    }
    value[self->len++] = byte;
}

/* Inside the secret; false at its closing quote, which is of the rest. */
static bool in_secret(struct ael_json_secret *self, uint8_t byte, uint8_t *value) {
    if (self->state == SECRET_ESCAPE) {
        self->bad = self->bad || byte != '/';
        take(self, byte, value);
        self->state = SECRET;
    } else if (byte == '\\') {
        self->state = SECRET_ESCAPE;
    } else if (byte == '"') {
        self->state = OUTSIDE;
        return false;
    } else {
        take(self, byte, value);
    }
    return true;
}

/* Takes a byte; true when it is the secret's. */
static bool step(struct ael_json_secret *self, uint8_t byte, uint8_t *value) {
    switch ((enum state)self->state) {
    case SECRET:
    case SECRET_ESCAPE:
        return in_secret(self, byte, value);
    case TEXT:
        in_text(self, byte);
        break;
    case ESCAPE:
        self->state = TEXT;
        break;
    case BEHIND_NAME:
        if (byte == ':') {
            self->state = BEHIND_COLON;
        } else if (!is_blank(byte)) {
            outside(self, byte);
        }
        break;
    case BEHIND_COLON:
        if (!is_blank(byte)) {
            behind_colon(self, byte);
        }
        break;
    case OUTSIDE:
        outside(self, byte);
        break;
    }
    return false;
}

/* see net/json_secret.h */
enum ael_status ael_json_secret_feed(
    struct ael_json_secret *self, struct ael_bytes piece, uint8_t *value, struct ael_buf *rest) {
    size_t from = 0;
    for (size_t i = 0; i < piece.len; i++) {
        if (step(self, piece.data[i], value)) {
            AEL_TRY(ael_buf_append(rest, (struct ael_bytes){piece.data + from, i - from}));
            from = i + 1;
        }
    }
    if (from == piece.len) {
        return AEL_OK;
    }
    return ael_buf_append(rest, (struct ael_bytes){piece.data + from, piece.len - from});
}
