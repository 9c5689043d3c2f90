/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http/outgoing.h"

#include "base/check.h"
#include "securememory/scratch.h"
#include "securememory/sealed_key.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
    HEAD = AEL_HTTP_OUTGOING_HEAD,
    BODY = AEL_HTTP_OUTGOING_BODY,
    REST = AEL_HTTP_OUTGOING_REST,
    PARTS = AEL_HTTP_OUTGOING_PARTS
};

_Static_assert((int)AEL_HTTP_TEXT_BYTES <= (int)AEL_SCRATCH_BYTES, "room for a piece of what is sent");

/* ---- writing ---- */

static enum ael_status put_text(struct ael_buf *out, const char *text) {
    return ael_buf_append(out, ael_bytes_from_text(text));
}

/* What stands behind it: path, query and fragment, as far as they are there. */
static const char *behind_host(const char *url, struct ael_bytes *host) {
    const char *from = strstr(url, "://");
    from = from == NULL ? url : from + 3;
    size_t len = strcspn(from, "/?#");
    *host = (struct ael_bytes){(const uint8_t *)from, len};
    return from + len;
}

static enum ael_status put_target(struct ael_buf *out, const char *url) {
    struct ael_bytes host;
    const char *target = behind_host(url, &host);
    if (target[0] != '/') {
        AEL_TRY(put_text(out, "/"));
    }
    return ael_buf_append(out, (struct ael_bytes){(const uint8_t *)target, strcspn(target, "#")});
}

static bool header_is_good(const struct ael_http_header *header) {
    for (size_t i = 0; i < header->name.len; i++) {
        uint8_t byte = header->name.data[i];
        if (byte <= ' ' || byte >= 0x7f || byte == ':') {
            return false;
        }
    }
    for (size_t i = 0; i < header->value.len; i++) {
        if (header->value.data[i] < ' ' && header->value.data[i] != '\t') {
            return false;
        }
    }
    return header->name.len > 0;
}

static bool name_is(struct ael_bytes name, const char *text) {
    return name.len == strlen(text) && strncasecmp((const char *)name.data, text, name.len) == 0;
}

static enum ael_status put_headers(struct ael_buf *out, const struct ael_http_request *request) {
    struct ael_bytes host;
    bool has_host = false;
    for (size_t i = 0; i < request->header_count; i++) {
        const struct ael_http_header *header = &request->headers[i];
        has_host = has_host || name_is(header->name, "host");
        if (!header_is_good(header)) {
            return AEL_E_ARGUMENT;
        }
        AEL_TRY(ael_buf_append(out, header->name));
        AEL_TRY(put_text(out, ": "));
        AEL_TRY(ael_buf_append(out, header->value));
        AEL_TRY(put_text(out, "\r\n"));
    }
    if (has_host) {
        return AEL_OK;
    }
    (void)behind_host(request->url, &host);
    AEL_TRY(put_text(out, "Host: "));
    AEL_TRY(ael_buf_append(out, host));
    return put_text(out, "\r\n");
}

/* Where open text of a part goes: before the next secret, or to the end, so that it is one stretch. */
static struct ael_buf *open_of(struct ael_http_outgoing *self, size_t part) {
    while (part < REST && self->parts[part].secret == NULL) {
        part++;
    }
    return &self->parts[part].open;
}

/* The head, cut in two where the bearer's text stands. The secrets are held already. */
static enum ael_status put_head(
    struct ael_http_outgoing *self,
    const struct ael_http_request *request,
    const struct ael_http_secrets *secrets,
    size_t body_len) {
    char length[48];
    struct ael_buf *out = open_of(self, HEAD);
    AEL_TRY(put_text(out, request->method));
    AEL_TRY(put_text(out, " "));
    AEL_TRY(put_target(out, request->url));
    AEL_TRY(put_text(out, " HTTP/1.1\r\n"));
    AEL_TRY(put_headers(out, request));
    bool has_bearer = secrets->bearer.pieces[0] != NULL;
    if (has_bearer) {
        AEL_TRY(put_text(out, secrets->bearer_before));
    }
    (void)snprintf(
        length, sizeof length, "%sContent-Length: %zu\r\n\r\n", has_bearer ? "\r\n" : "", body_len);
    return put_text(open_of(self, BODY), length);
}

static bool hold_text(struct ael_http_outgoing_part *part, struct ael_secret *secret) {
    part->secret = ael_secret_acquire(secret);
    part->secret_len = ael_secret_len(secret);
    part->is_text = true;
    return part->secret_len <= AEL_HTTP_TEXT_BYTES;
}

static bool hold_key(struct ael_http_outgoing_part *part, struct ael_secret *secret, int variant) {
    part->secret = ael_secret_acquire(secret);
    part->secret_len = ael_http_secrets_key_len(secret, variant);
    part->variant = variant;
    return ael_secret_len(secret) <= AEL_HTTP_SECRET_BYTES;
}

/* Takes the secrets; len: characters of those in the body. */
static bool
hold_secrets(struct ael_http_outgoing *self, const struct ael_http_secrets *secrets, size_t *len) {
    bool good = true;
    for (size_t i = 0; i < AEL_HTTP_TEXT_PIECES; i++) {
        good = hold_text(&self->parts[HEAD + i], secrets->bearer.pieces[i]) && good;
    }
    if (secrets->sent != NULL) {
        int variant = ael_http_secrets_variant(secrets);
        *len = ael_http_secrets_key_len(secrets->sent, variant);
        return hold_key(&self->parts[BODY], secrets->sent, variant) && good;
    }
    *len = 0;
    for (size_t i = 0; i < AEL_HTTP_TEXT_PIECES; i++) {
        good = hold_text(&self->parts[BODY + i], secrets->sent_text.pieces[i]) && good;
        *len += self->parts[BODY + i].secret_len;
    }
    return good;
}

static enum ael_status put_request(
    struct ael_http_outgoing *self,
    const struct ael_http_request *request,
    const struct ael_http_secrets *secrets) {
    bool none = secrets->sent == NULL && secrets->sent_text.pieces[0] == NULL;
    size_t at = none ? request->body.len : secrets->sent_at;
    size_t secret_len = 0;
    if (!hold_secrets(self, secrets, &secret_len) || at > request->body.len) {
        return AEL_E_ARGUMENT;
    }
    AEL_TRY(put_head(self, request, secrets, request->body.len + secret_len));
    if (request->body.len == 0) {
        return AEL_OK;
    }
    AEL_TRY(ael_buf_append(open_of(self, BODY), (struct ael_bytes){request->body.data, at}));
    return ael_buf_append(
        open_of(self, REST), (struct ael_bytes){request->body.data + at, request->body.len - at});
}

/* see net/http/outgoing.h */
enum ael_status ael_http_outgoing_init(
    struct ael_http_outgoing *self,
    const struct ael_http_request *request,
    const struct ael_http_secrets *secrets) {
    memset(self, 0, sizeof *self);
    for (size_t i = 0; i < PARTS; i++) {
        self->parts[i].open = (struct ael_buf)AEL_BUF_INIT;
    }
    AEL_TRY(put_request(self, request, secrets));
    for (size_t i = 0; i < PARTS; i++) {
        self->len += self->parts[i].open.len + self->parts[i].secret_len;
    }
    return AEL_OK;
}

/* see net/http/outgoing.h */
void ael_http_outgoing_clear(struct ael_http_outgoing *self) {
    for (size_t i = 0; i < PARTS; i++) {
        ael_buf_clear(&self->parts[i].open);
        ael_secret_release(self->parts[i].secret);
        self->parts[i].secret = NULL;
    }
}

/* ---- what is sent at once: as much as a slot holds ---- */

/* With a key, and the end of its text, there must be room for both. */
static bool fits(const struct ael_http_outgoing_part *part, size_t room) {
    return part->secret_len + (part->is_text ? 0 : 1 + AEL_HTTP_SECRET_BYTES) <= room;
}

/* As it goes over the wire. */
static enum ael_status write_secret(const struct ael_http_outgoing_part *part, uint8_t *out, size_t room) {
    if (!part->is_text) {
        return ael_http_secrets_put_key(part->secret, part->variant, out, room);
    }
    AEL_TRY(ael_secret_open_into(part->secret, out, room));
    return ael_http_text_can_hold((struct ael_bytes){out, part->secret_len}) ? AEL_OK : AEL_E_ARGUMENT;
}

/* Leaves out the first bytes of a secret that were sent already. */
static enum ael_status
gather_secret(const struct ael_http_outgoing_part *part, size_t skip, uint8_t *slot, size_t *len) {
    uint8_t *out = slot + *len;
    AEL_TRY(write_secret(part, out, AEL_SCRATCH_BYTES - *len));
    memmove(out, out + skip, part->secret_len - skip);
    *len += part->secret_len - skip;
    return AEL_OK;
}

/* The same again for as long as nothing more was sent: OpenSSL wants that of who tries once more. */
static enum ael_status gather(const struct ael_http_outgoing *self, uint8_t *slot, size_t *len) {
    size_t skip = self->at;
    for (size_t i = 0; i < PARTS; i++) {
        const struct ael_http_outgoing_part *part = &self->parts[i];
        size_t from = skip < part->open.len ? skip : part->open.len;
        size_t room = AEL_SCRATCH_BYTES - *len;
        size_t take = part->open.len - from < room ? part->open.len - from : room;
        if (take > 0) {
            memcpy(slot + *len, part->open.data + from, take);
            *len += take;
        }
        skip -= from;
        bool sent = skip >= part->secret_len;
        if (from + take < part->open.len || (!sent && !fits(part, AEL_SCRATCH_BYTES - *len))) {
            return AEL_OK;
        }
        if (!sent) {
            AEL_TRY(gather_secret(part, skip, slot, len));
        }
        skip -= sent ? part->secret_len : skip;
    }
    return AEL_OK;
}

/* What comes next and needs no slot: open, and as long as a slot or with no secret behind it. */
static struct ael_bytes next_open(const struct ael_http_outgoing *self) {
    size_t at = self->at;
    for (size_t i = 0; i < PARTS; i++) {
        const struct ael_http_outgoing_part *part = &self->parts[i];
        if (at < part->open.len) {
            struct ael_bytes rest = {part->open.data + at, part->open.len - at};
            bool alone = part->secret == NULL || rest.len >= AEL_SCRATCH_BYTES;
            return alone ? rest : (struct ael_bytes){NULL, 0};
        }
        at -= part->open.len;
        if (at < part->secret_len) {
            break;
        }
        at -= part->secret_len;
    }
    return (struct ael_bytes){NULL, 0};
}

/* ---- sending ---- */

static CURLcode
send_some(struct ael_http_outgoing *self, struct ael_http_connection *connection, struct ael_bytes bytes) {
    size_t sent = 0;
    CURLcode code = ael_http_connection_send(connection, bytes.data, bytes.len, &sent);
    self->at += code == CURLE_OK ? sent : 0;
    self->any_sent = self->any_sent || sent > 0;
    return code;
}

/* see net/http/outgoing.h */
bool ael_http_outgoing_is_done(const struct ael_http_outgoing *self) {
    return self->at == self->len;
}

/* see net/http/outgoing.h */
enum ael_status ael_http_outgoing_send(
    struct ael_http_outgoing *self, struct ael_http_connection *connection, CURLcode *code) {
    struct ael_scratch scratch;
    struct ael_bytes open = next_open(self);
    if (open.len > 0) {
        *code = send_some(self, connection, open);
        return AEL_OK;
    }
    size_t len = 0;
    AEL_TRY(ael_scratch_begin(&scratch, NULL));
    enum ael_status status = gather(self, scratch.bytes, &len);
    if (status == AEL_OK) {
        *code = send_some(self, connection, (struct ael_bytes){scratch.bytes, len});
    }
    enum ael_status ended = ael_scratch_end(&scratch);
    return status == AEL_OK ? ended : status;
}
