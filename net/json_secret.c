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
    self->is_other = self->other_name != NULL;
    self->matched = 0;
}

static void outside(struct ael_json_secret *self, uint8_t byte) {
    self->state = OUTSIDE;
    if (byte == '"') {
        begin_text(self);
    }
}

static bool is_whole(const struct ael_json_secret *self) {
    return (self->is_name && self->name[self->matched] == '\0') ||
           (self->is_other && self->other_name[self->matched] == '\0');
}

/* Whether the name goes on like that; its end is no byte of it. */
static bool goes_on(const char *name, size_t matched, uint8_t byte) {
    return byte != '\0' && (uint8_t)name[matched] == byte;
}

static void match(struct ael_json_secret *self, uint8_t byte) {
    self->is_name = self->is_name && goes_on(self->name, self->matched, byte);
    self->is_other = self->is_other && goes_on(self->other_name, self->matched, byte);
    self->matched += self->is_name || self->is_other ? 1 : 0;
}

static void in_text(struct ael_json_secret *self, uint8_t byte) {
    if (byte == '"') {
        self->state = is_whole(self) ? BEHIND_NAME : OUTSIDE;
    } else if (byte == '\\') {
        self->is_name = false;
        self->is_other = false;
        self->state = ESCAPE;
    } else {
        match(self, byte);
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

/* Neither base64 nor a token has anything else: what is kept can be sent. */
static bool is_plain(uint8_t byte) {
    return byte > ' ' && byte < 0x7f;
}

static void take(struct ael_json_secret *self, uint8_t byte, uint8_t *value) {
    if (self->len == self->max || self->bad || (!self->blanks && !is_plain(byte))) {
        self->bad = true;
        return;
    }
    value[self->len++] = byte;
}

static void take_escaped(struct ael_json_secret *self, uint8_t byte, uint8_t *value) {
    bool blank = self->blanks && (byte == 'n' || byte == 'r' || byte == 't');
    self->bad = self->bad || (byte != '/' && !blank);
    take(self, blank ? ' ' : byte, value);
}

/* Inside the secret; false at its closing quote, which is of the rest. */
static bool in_secret(struct ael_json_secret *self, uint8_t byte, uint8_t *value) {
    if (self->state == SECRET_ESCAPE) {
        take_escaped(self, byte, value);
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
