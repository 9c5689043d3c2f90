/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http/answer.h"

#include "base/check.h"

#include <string.h>
#include <strings.h>

enum state { HEAD, LENGTH, CHUNK_LENGTH, CHUNK_EXTENSION, CHUNK, CHUNK_END, TRAILER, UNTIL_END };

enum { EXTRA_MAX = 4096 }; /* what nobody needs: extensions of chunks, trailers */

/* ---- the head ---- */

struct head {
    bool has_length;
    bool chunked;
    bool close;
};

static bool is_digit(uint8_t byte) {
    return byte >= '0' && byte <= '9';
}

/* "HTTP/1.1 200 OK" */
static enum ael_status
read_status_line(struct ael_http_answer *self, struct ael_bytes line, struct head *head) {
    const uint8_t *text = line.data;
    if (line.len < 12 || memcmp(text, "HTTP/1.", 7) != 0 || (text[7] != '0' && text[7] != '1') ||
        text[8] != ' ' || !is_digit(text[9]) || !is_digit(text[10]) || !is_digit(text[11]) ||
        (line.len > 12 && text[12] != ' ')) {
        return AEL_E_BACKEND;
    }
    self->status = (text[9] - '0') * 100 + (text[10] - '0') * 10 + (text[11] - '0');
    head->close = text[7] == '0';
    return self->status >= 100 ? AEL_OK : AEL_E_BACKEND;
}

static enum ael_status read_length(struct ael_http_answer *self, struct ael_bytes value, struct head *head) {
    uint64_t length = 0;
    for (size_t i = 0; i < value.len; i++) {
        if (!is_digit(value.data[i]) || __builtin_mul_overflow(length, 10u, &length) ||
            __builtin_add_overflow(length, (uint64_t)(value.data[i] - '0'), &length)) {
            return AEL_E_BACKEND;
        }
    }
    bool differs = head->has_length && length != self->left;
    head->has_length = true;
    self->left = length;
    return value.len == 0 || differs ? AEL_E_BACKEND : AEL_OK;
}

static bool value_is(struct ael_bytes value, const char *text) {
    return value.len == strlen(text) && strncasecmp((const char *)value.data, text, value.len) == 0;
}

static enum ael_status
read_header(struct ael_http_answer *self, struct ael_bytes name, struct ael_bytes value, struct head *head) {
    if (value_is(name, "content-length")) {
        return read_length(self, value, head);
    }
    if (value_is(name, "transfer-encoding")) {
        bool again = head->chunked;
        head->chunked = true;
        return value_is(value, "chunked") && !again ? AEL_OK : AEL_E_BACKEND;
    }
    if (value_is(name, "connection") && !value_is(value, "keep-alive")) {
        head->close = true; /* "close", or a list that may have it */
    }
    return AEL_OK;
}

static struct ael_bytes trimmed(const uint8_t *from, size_t len) {
    while (len > 0 && (*from == ' ' || *from == '\t')) {
        from++;
        len--;
    }
    while (len > 0 && (from[len - 1] == ' ' || from[len - 1] == '\t')) {
        len--;
    }
    return (struct ael_bytes){from, len};
}

/* A line without its end. */
static enum ael_status
read_line(struct ael_http_answer *self, struct ael_bytes line, bool first, struct head *head) {
    if (first) {
        return read_status_line(self, line, head);
    }
    const uint8_t *colon = memchr(line.data, ':', line.len);
    if (colon == NULL || colon == line.data || memchr(line.data, '\0', line.len) != NULL ||
        line.data[0] == ' ' || line.data[0] == '\t' || colon[-1] == ' ' || colon[-1] == '\t') {
        return AEL_E_BACKEND;
    }
    size_t name_len = (size_t)(colon - line.data);
    return read_header(
        self, (struct ael_bytes){line.data, name_len}, trimmed(colon + 1, line.len - name_len - 1), head);
}

static enum ael_status read_lines(struct ael_http_answer *self, struct head *head) {
    const uint8_t *at = self->headers->data;
    const uint8_t *end = at + self->headers->len;
    for (bool first = true; at < end; first = false) {
        const uint8_t *newline = memchr(at, '\n', (size_t)(end - at));
        size_t len = (size_t)(newline - at);
        len -= len > 0 && newline[-1] == '\r' ? 1 : 0;
        if (len == 0) {
            break;
        }
        AEL_TRY(read_line(self, (struct ael_bytes){at, len}, first, head));
        at = newline + 1;
    }
    return AEL_OK;
}

static bool has_no_body(int status) {
    return status == 204 || status == 304;
}

/* The head is whole: what comes behind it? */
static enum ael_status end_head(struct ael_http_answer *self) {
    struct head head = {false, false, false};
    AEL_TRY(read_lines(self, &head));
    if (self->status < 200) {
        size_t max = self->headers->max;
        ael_buf_clear(self->headers);
        self->headers->max = max;
        self->line_at = 0;
        self->left = 0;
        return self->status == 101 ? AEL_E_BACKEND : AEL_OK;
    }
    if (head.chunked && head.has_length) {
        return AEL_E_BACKEND;
    }
    self->keep = !head.close && (head.chunked || head.has_length || has_no_body(self->status));
    self->state = head.chunked ? CHUNK_LENGTH : head.has_length ? LENGTH : UNTIL_END;
    self->done = has_no_body(self->status) || (head.has_length && self->left == 0);
    return AEL_OK;
}

/* Takes one line, or what there is of it. */
static enum ael_status read_head(struct ael_http_answer *self, struct ael_bytes *in) {
    const uint8_t *newline = memchr(in->data, '\n', in->len);
    size_t len = newline == NULL ? in->len : (size_t)(newline - in->data) + 1;
    AEL_TRY(ael_buf_append(self->headers, (struct ael_bytes){in->data, len}));
    in->data += len;
    in->len -= len;
    if (newline == NULL) {
        return AEL_OK;
    }
    size_t line_len = self->headers->len - self->line_at;
    const uint8_t *line = self->headers->data + self->line_at;
    bool empty = line_len == 1 || (line_len == 2 && line[0] == '\r');
    if (empty && self->line_at == 0) {
        return AEL_E_BACKEND;
    }
    self->line_at = self->headers->len;
    return empty ? end_head(self) : AEL_OK;
}

/* ---- the body ---- */

static struct ael_bytes cut_part(struct ael_http_answer *self, struct ael_bytes *in) {
    struct ael_bytes part = {in->data, in->len < self->left ? in->len : (size_t)self->left};
    in->data += part.len;
    in->len -= part.len;
    self->left -= part.len;
    return part;
}

static int hex_value(uint8_t byte) {
    if (is_digit(byte)) {
        return byte - '0';
    }
    uint8_t lower = byte | 0x20;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static enum ael_status end_chunk_line(struct ael_http_answer *self) {
    if (self->digits == 0) {
        return AEL_E_BACKEND;
    }
    self->digits = 0;
    self->state = self->left == 0 ? TRAILER : CHUNK;
    return AEL_OK;
}

static enum ael_status read_chunk_length(struct ael_http_answer *self, uint8_t byte) {
    int value = hex_value(byte);
    if (value >= 0) {
        self->left = self->left << 4 | (uint64_t)value;
        return ++self->digits <= 15 ? AEL_OK : AEL_E_BACKEND;
    }
    if (byte == '\n') {
        return end_chunk_line(self);
    }
    self->state = CHUNK_EXTENSION;
    return byte == '\r' || byte == ';' || byte == ' ' || byte == '\t' ? AEL_OK : AEL_E_BACKEND;
}

/* Lines behind the last chunk; self->digits counts the characters of the present one. */
static void read_trailer(struct ael_http_answer *self, uint8_t byte) {
    if (byte == '\n') {
        self->done = self->digits == 0;
        self->digits = 0;
    } else if (byte != '\r') {
        self->digits++;
    }
}

/* One byte between chunks. */
static enum ael_status read_between(struct ael_http_answer *self, uint8_t byte) {
    self->extra++;
    if (self->extra > (size_t)EXTRA_MAX * 16 || (self->state == TRAILER && self->digits > EXTRA_MAX)) {
        return AEL_E_BACKEND;
    }
    switch ((enum state)self->state) {
    case CHUNK_LENGTH:
        return read_chunk_length(self, byte);
    case CHUNK_EXTENSION:
        return byte == '\n' ? end_chunk_line(self) : AEL_OK;
    case CHUNK_END:
        if (byte == '\n') {
            self->state = CHUNK_LENGTH;
        }
        return byte == '\n' || byte == '\r' ? AEL_OK : AEL_E_BACKEND;
    default:
        read_trailer(self, byte);
        return AEL_OK;
    }
}

/* see net/http/answer.h */
enum ael_status
ael_http_answer_next(struct ael_http_answer *self, struct ael_bytes *in, struct ael_bytes *part) {
    *part = (struct ael_bytes){NULL, 0};
    switch ((enum state)self->state) {
    case HEAD:
        return read_head(self, in);
    case UNTIL_END:
        *part = *in;
        *in = (struct ael_bytes){in->data + in->len, 0};
        return AEL_OK;
    case LENGTH:
        *part = cut_part(self, in);
        self->done = self->left == 0;
        return AEL_OK;
    case CHUNK:
        *part = cut_part(self, in);
        self->state = self->left == 0 ? CHUNK_END : CHUNK;
        return AEL_OK;
    default:
        in->len--;
        return read_between(self, *in->data++);
    }
}

/* see net/http/answer.h */
enum ael_status ael_http_answer_end(struct ael_http_answer *self) {
    self->done = self->done || self->state == UNTIL_END;
    return self->done ? AEL_OK : AEL_E_UNREACHABLE;
}
