/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http_exchange.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/wipe.h"
#include "net/http_answer.h"
#include "net/http_failure.h"
#include "net/http_transport.h"
#include "net/json_secret.h"
#include "securememory/scratch.h"
#include "securememory/sealed_key.h"

#include <openssl/crypto.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char k_component[] = "net/http";

enum state { TAKE, CONNECT, SEND, RECEIVE, OVER };

enum {
    HASH_STATE_AT = 256, /* in a slot, behind the key and its text */
    SLICE_NS = 2000000,  /* while several connect, or wait for a place: each is looked at this often */
    WAIT_MOST_MS = 1000,
    LIST_MAX = 32,
    /* Head, trailers and what frames a body have bounds of their own; heads that say "wait" and a secret that is dropped
     * for its length have none. */
    AROUND_BODY_MAX = 4 * AEL_HTTP_MAX_HEADER_BYTES,
};

/* In a scratch slot: the secret's text, then what is received. */
_Static_assert((int)AEL_HTTP_TEXT_TAKEN_BYTES + 256 <= (int)AEL_SCRATCH_BYTES, "room to receive");
_Static_assert((int)AEL_HTTP_TEXT_BYTES <= (int)AEL_SCRATCH_BYTES, "room for a piece of what is sent");

/* A stretch of the request that anybody may see, and the secret behind it. */
struct part {
    struct ael_buf open;
    struct ael_secret *secret; /* NULL = none */
    size_t secret_len;         /* characters of it */
    bool is_text;              /* else it goes as base64 */
    int variant;               /* of that */
};

/* The head up to the bearer; further pieces of that; the body up to its secret; further pieces of that; the rest. */
enum { HEAD = 0, BODY = HEAD + AEL_HTTP_TEXT_PIECES, REST = BODY + AEL_HTTP_TEXT_PIECES, PARTS = REST + 1 };

struct ael_http_exchange {
    struct ael_http *http;
    const char *url;
    bool no_proxy;
    size_t max_bytes;
    struct part parts[PARTS];
    bool taken_is_text;
    bool taken_is_any;
    int variant; /* of base64 */
    enum state state;
    struct ael_http_place *place;
    int fd;
    bool added;  /* the place's handle is in its multi handle */
    bool reused; /* the connection was there before */
    bool any_sent;
    size_t at;       /* how much of all parts was sent */
    size_t received; /* bytes, whatever they are */
    struct ael_http_answer answer;
    struct ael_http_response response;
    struct ael_json_secret json;
    struct ael_secret *part;   /* the secret's text so far, or its last piece */
    struct ael_http_text text; /* what of it is complete, when it is a text */
    size_t pieces;             /* in there */
    size_t max_pieces;
    struct ael_secret *taken;
    enum ael_status status;
    struct ael_error err;
    char words[CURL_ERROR_SIZE];
};

/* ---- texts ---- */

/* see net/http_exchange.h */
struct ael_http_text ael_http_text_acquire(const struct ael_http_text *text) {
    struct ael_http_text held = {{NULL}};
    for (size_t i = 0; i < AEL_HTTP_TEXT_PIECES; i++) {
        held.pieces[i] = ael_secret_acquire(text->pieces[i]);
    }
    return held;
}

/* see net/http_exchange.h */
void ael_http_text_clear(struct ael_http_text *text) {
    for (size_t i = 0; i < AEL_HTTP_TEXT_PIECES; i++) {
        ael_secret_release(text->pieces[i]);
        text->pieces[i] = NULL;
    }
}

/* see net/http_exchange.h */
bool ael_http_text_can_hold(struct ael_bytes text) {
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] <= ' ' || text.data[i] >= 0x7f || text.data[i] == '"' || text.data[i] == '\\') {
            return false;
        }
    }
    return true;
}

/* ---- what there must be ---- */

/* see net/http_exchange.h */
enum ael_status ael_http_exchange_supported(struct ael_error *err) {
    const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
    if (!ael_http_tls_is_ours()) {
        return ael_error_set(
            err, AEL_E_UNSUPPORTED, 0, k_component,
            "this libcurl has TLS of %.40s; keys need one that uses OpenSSL %u (libcurl4)",
            info->ssl_version == NULL ? "nobody" : info->ssl_version, OPENSSL_version_major());
    }
    return AEL_OK;
}

/* ---- the text of a request ---- */

static enum ael_status put(struct ael_buf *out, struct ael_bytes bytes) {
    return ael_buf_append(out, bytes);
}

static enum ael_status put_text(struct ael_buf *out, const char *text) {
    return put(out, ael_bytes_from_text(text));
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
    return put(out, (struct ael_bytes){(const uint8_t *)target, strcspn(target, "#")});
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
        AEL_TRY(put(out, header->name));
        AEL_TRY(put_text(out, ": "));
        AEL_TRY(put(out, header->value));
        AEL_TRY(put_text(out, "\r\n"));
    }
    if (has_host) {
        return AEL_OK;
    }
    (void)behind_host(request->url, &host);
    AEL_TRY(put_text(out, "Host: "));
    AEL_TRY(put(out, host));
    return put_text(out, "\r\n");
}

/* Where open text of a part goes: before the next secret, or to the end, so that it is one stretch. */
static struct ael_buf *open_of(struct ael_http_exchange *self, size_t part) {
    while (part < REST && self->parts[part].secret == NULL) {
        part++;
    }
    return &self->parts[part].open;
}

/* The head, cut in two where the bearer's text stands. The secrets are held already. */
static enum ael_status put_head(
    struct ael_http_exchange *self,
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

static int variant_of(const struct ael_http_secrets *secrets) {
    return secrets->is_url64 ? sodium_base64_VARIANT_URLSAFE_NO_PADDING : sodium_base64_VARIANT_ORIGINAL;
}

static size_t base64_len_of(const struct ael_secret *secret, int variant) {
    return secret == NULL ? 0 : sodium_base64_encoded_len(ael_secret_len(secret), variant) - 1;
}

static bool hold_text(struct part *part, struct ael_secret *secret) {
    part->secret = ael_secret_acquire(secret);
    part->secret_len = ael_secret_len(secret);
    part->is_text = true;
    return part->secret_len <= AEL_HTTP_TEXT_BYTES;
}

static bool hold_key(struct part *part, struct ael_secret *secret, int variant) {
    part->secret = ael_secret_acquire(secret);
    part->secret_len = base64_len_of(secret, variant);
    part->variant = variant;
    return ael_secret_len(secret) <= AEL_HTTP_SECRET_BYTES;
}

/* Takes the secrets; len: characters of those in the body. */
static bool
hold_secrets(struct ael_http_exchange *self, const struct ael_http_secrets *secrets, size_t *len) {
    bool good = true;
    for (size_t i = 0; i < AEL_HTTP_TEXT_PIECES; i++) {
        good = hold_text(&self->parts[HEAD + i], secrets->bearer.pieces[i]) && good;
    }
    if (secrets->sent != NULL) {
        *len = base64_len_of(secrets->sent, self->variant);
        return hold_key(&self->parts[BODY], secrets->sent, self->variant) && good;
    }
    *len = 0;
    for (size_t i = 0; i < AEL_HTTP_TEXT_PIECES; i++) {
        good = hold_text(&self->parts[BODY + i], secrets->sent_text.pieces[i]) && good;
        *len += self->parts[BODY + i].secret_len;
    }
    return good;
}

static enum ael_status put_request(
    struct ael_http_exchange *self,
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
    AEL_TRY(put(open_of(self, BODY), (struct ael_bytes){request->body.data, at}));
    return put(open_of(self, REST), (struct ael_bytes){request->body.data + at, request->body.len - at});
}

static void free_exchange(struct ael_http_exchange *self);

/* see net/http_exchange.h */
enum ael_status ael_http_exchange_new(
    struct ael_http *http,
    const struct ael_http_request *request,
    const struct ael_http_secrets *secrets,
    struct ael_http_exchange **exchange,
    struct ael_error *err) {
    struct ael_http_exchange *self = ael_alloc(sizeof *self);
    *exchange = NULL;
    if (self == NULL) {
        return ael_error_set(err, AEL_E_NO_MEMORY, 0, k_component, "no memory for a request");
    }
    self->http = http;
    self->url = request->url;
    self->no_proxy = request->no_proxy;
    self->max_bytes = request->max_bytes != 0 ? request->max_bytes : AEL_HTTP_MAX_BYTES_DEFAULT;
    for (size_t i = 0; i < PARTS; i++) {
        self->parts[i].open = (struct ael_buf)AEL_BUF_INIT;
    }
    self->taken_is_text = secrets->taken_is_text;
    self->taken_is_any = secrets->taken_is_any;
    self->max_pieces = secrets->taken_pieces != 0 ? secrets->taken_pieces : AEL_HTTP_TEXT_USUAL_PIECES;
    self->variant = variant_of(secrets);
    self->json.name = secrets->taken;
    self->json.other_name = secrets->taken_or;
    self->json.blanks = secrets->taken_is_any;
    self->json.max = secrets->taken_is_text ? AEL_HTTP_TEXT_TAKEN_BYTES : AEL_JSON_SECRET_MAX;
    self->response = (struct ael_http_response){.body = AEL_BUF_INIT, .headers = AEL_BUF_INIT};
    self->fd = -1;
    enum ael_status status = put_request(self, request, secrets);
    if (status != AEL_OK) {
        free_exchange(self);
        return ael_error_set(
            err, status, 0, k_component, "the request cannot be written: a header, or no memory");
    }
    *exchange = self;
    return AEL_OK;
}

/* ---- the secret in a scratch slot ---- */

/* A key's base64, at out; the key itself is at the end of the room meanwhile. */
static enum ael_status put_key_text(struct ael_secret *secret, int variant, uint8_t *out, size_t room) {
    uint8_t *plain = out + room - AEL_HTTP_SECRET_BYTES;
    size_t len = ael_secret_len(secret);
    AEL_TRY(ael_secret_open_into(secret, plain, AEL_HTTP_SECRET_BYTES));
    (void)sodium_bin2base64((char *)out, room - AEL_HTTP_SECRET_BYTES, plain, len, variant);
    return AEL_OK;
}

static void
to_hex(const uint8_t hash[static crypto_hash_sha256_BYTES], char text[static AEL_HTTP_BODY_HASH_BYTES]) {
    (void)sodium_bin2hex(text, AEL_HTTP_BODY_HASH_BYTES, hash, crypto_hash_sha256_BYTES);
}

/* libsodium's, because its state lies where we say. */
static void hash_in_slot(
    uint8_t *slot,
    struct ael_bytes body,
    size_t at,
    size_t secret_len,
    char text[static AEL_HTTP_BODY_HASH_BYTES]) {
    uint8_t hash[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_state *state = (void *)(slot + HASH_STATE_AT);
    (void)crypto_hash_sha256_init(state);
    if (body.len > 0) {
        (void)crypto_hash_sha256_update(state, body.data, at);
    }
    (void)crypto_hash_sha256_update(state, slot, secret_len);
    if (body.len > at) {
        (void)crypto_hash_sha256_update(state, body.data + at, body.len - at);
    }
    (void)crypto_hash_sha256_final(state, hash);
    to_hex(hash, text);
}

/* see net/http_exchange.h */
enum ael_status ael_http_exchange_hash(
    struct ael_bytes body,
    const struct ael_http_secrets *secrets,
    char hash[static AEL_HTTP_BODY_HASH_BYTES]) {
    struct ael_scratch scratch;
    int variant = variant_of(secrets);
    size_t at = secrets->sent == NULL ? body.len : secrets->sent_at;
    if (at > body.len || ael_secret_len(secrets->sent) > AEL_HTTP_SECRET_BYTES) {
        return AEL_E_ARGUMENT;
    }
    AEL_TRY(ael_scratch_begin(&scratch, NULL));
    enum ael_status status =
        secrets->sent == NULL ? AEL_OK : put_key_text(secrets->sent, variant, scratch.bytes, HASH_STATE_AT);
    if (status == AEL_OK) {
        hash_in_slot(scratch.bytes, body, at, base64_len_of(secrets->sent, variant), hash);
    }
    enum ael_status ended = ael_scratch_end(&scratch);
    return status == AEL_OK ? ended : status;
}

/* ---- connections ---- */

static void disconnect(struct ael_http_exchange *self) {
    if (self->place == NULL) {
        return;
    }
    ael_mutex_lock(&self->place->inside);
    if (self->added) {
        (void)curl_multi_remove_handle(
            self->place->multi, self->place->easy); /* closes: it is CONNECT_ONLY */
    }
    curl_easy_reset(self->place->easy);
    ael_mutex_unlock(&self->place->inside);
    self->place->kept = false;
    self->added = false;
    self->fd = -1;
}

static void give_back(struct ael_http_exchange *self, bool keep) {
    if (self->place == NULL) {
        return;
    }
    if (!keep) {
        disconnect(self);
    } else { /* what the handle points to ends with the exchange */
        ael_mutex_lock(&self->place->inside);
        (void)curl_easy_setopt(self->place->easy, CURLOPT_ERRORBUFFER, NULL);
        ael_mutex_unlock(&self->place->inside);
        self->place->kept = true;
        self->place->kept_since_ns = ael_clock_boot_ns();
    }
    ael_http_pool_give_kept(self->http, self->place);
    self->place = NULL;
}

static bool fail(struct ael_http_exchange *self, enum ael_status status) {
    self->status = status;
    self->state = OVER;
    give_back(self, false);
    return true;
}

static bool fail_with(struct ael_http_exchange *self, enum ael_status status, const char *why) {
    char origin[AEL_HTTP_ORIGIN_BYTES];
    ael_http_origin(self->url, origin);
    return fail(self, ael_error_set(&self->err, status, 0, k_component, "%s: %s", origin, why));
}

/* Such a server is on this machine; a proxy (http_proxy) would be sent the secrets themselves, and be elsewhere. */
static bool is_readable_on_its_way(const char *url) {
    return strncasecmp(url, "https://", 8) != 0;
}

static bool begin_connect(struct ael_http_exchange *self) {
    CURL *easy = self->place->easy;
    ael_mutex_lock(&self->place->inside);
    ael_http_transport_set(self->place);
    (void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, self->words);
    (void)curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, ael_http_tls_for_keys);
    (void)curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
    if (self->no_proxy || is_readable_on_its_way(self->url)) {
        (void)curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    }
    self->added = curl_easy_setopt(easy, CURLOPT_URL, self->url) == CURLE_OK &&
                  curl_multi_add_handle(self->place->multi, easy) == CURLM_OK;
    ael_mutex_unlock(&self->place->inside);
    self->reused = false;
    self->state = CONNECT;
    return self->added || fail_with(self, AEL_E_NO_MEMORY, "no memory for a connection");
}

/* A kept connection that was not idle for too long, and on which the server has said nothing: not its end, either. */
static bool take_kept(struct ael_http_exchange *self) {
    curl_socket_t fd = CURL_SOCKET_BAD;
    int64_t idle_ns = ael_clock_boot_ns() - self->place->kept_since_ns;
    if (!self->place->kept) {
        return false;
    }
    self->added = true;
    (void)curl_easy_getinfo(self->place->easy, CURLINFO_ACTIVESOCKET, &fd);
    struct pollfd seen = {.fd = fd, .events = POLLIN};
    if (fd == CURL_SOCKET_BAD || idle_ns > (int64_t)self->http->idle_s * 1000000000 ||
        poll(&seen, 1, 0) != 0) {
        disconnect(self);
        return false;
    }
    self->place->kept = false;
    self->fd = fd;
    self->reused = true;
    self->state = SEND;
    return true;
}

static bool step_take(struct ael_http_exchange *self) {
    struct ael_call now = AEL_CALL_INIT;
    struct ael_error err = {.status = AEL_OK};
    now.deadline_ns = 1; /* over: it does not wait */
    enum ael_status status = ael_http_pool_take(self->http, &now, &self->place, &err);
    if (status == AEL_E_TIMEOUT) {
        return false;
    }
    if (status != AEL_OK) {
        self->err = err;
        return fail(self, status);
    }
    return take_kept(self) || begin_connect(self);
}

static bool explain_connect(struct ael_http_exchange *self, CURLcode code) {
    long os_error = 0;
    long proxy_said = 0;
    (void)curl_easy_getinfo(self->place->easy, CURLINFO_OS_ERRNO, &os_error);
    (void)curl_easy_getinfo(self->place->easy, CURLINFO_HTTP_CONNECTCODE, &proxy_said);
    if (proxy_said >= 300) {
        return fail_with(
            self, AEL_E_UNREACHABLE, "a proxy is in the way and refused; check https_proxy and no_proxy");
    }
    return fail(self, ael_http_failure(code, self->url, self->words, os_error, &self->err));
}

static bool step_connect(struct ael_http_exchange *self) {
    int running = 1;
    int more = 0;
    curl_socket_t fd = CURL_SOCKET_BAD;
    ael_mutex_lock(&self->place->inside);
    CURLMcode performed = curl_multi_perform(self->place->multi, &running);
    ael_mutex_unlock(&self->place->inside);
    if (performed == CURLM_OK && running != 0) {
        return false;
    }
    CURLMsg *message = curl_multi_info_read(self->place->multi, &more);
    CURLcode code =
        message != NULL && message->msg == CURLMSG_DONE ? message->data.result : CURLE_COULDNT_CONNECT;
    if (code == CURLE_OK) {
        code = curl_easy_getinfo(self->place->easy, CURLINFO_ACTIVESOCKET, &fd);
    }
    if (code != CURLE_OK || fd == CURL_SOCKET_BAD) {
        return explain_connect(self, code);
    }
    self->fd = fd;
    self->state = SEND;
    return true;
}

/* The connection is gone. A kept one may have been closed by the server meanwhile: then once more, on a new one. */
static bool lost(struct ael_http_exchange *self, const char *why) {
    if (!self->reused || self->response.headers.len > 0) {
        return fail_with(self, AEL_E_UNREACHABLE, why);
    }
    disconnect(self);
    self->at = 0;
    return begin_connect(self);
}

/* ---- sending ---- */

static CURLcode send_some(struct ael_http_exchange *self, const uint8_t *bytes, size_t len) {
    size_t sent = 0;
    ael_mutex_lock(&self->place->inside);
    CURLcode code = curl_easy_send(self->place->easy, bytes, len, &sent);
    ael_mutex_unlock(&self->place->inside);
    self->at += code == CURLE_OK ? sent : 0;
    self->any_sent = self->any_sent || sent > 0;
    return code;
}

/* ---- what is sent at once: as much as a slot holds, so that a request is one record of TLS if it can be ---- */

/* With a key, and the end of its text, there must be room for both. */
static bool fits(const struct part *part, size_t room) {
    return part->secret_len + (part->is_text ? 0 : 1 + AEL_HTTP_SECRET_BYTES) <= room;
}

/* As it goes over the wire. */
static enum ael_status write_secret(const struct part *part, uint8_t *out, size_t room) {
    if (!part->is_text) {
        return put_key_text(part->secret, part->variant, out, room);
    }
    AEL_TRY(ael_secret_open_into(part->secret, out, room));
    return ael_http_text_can_hold((struct ael_bytes){out, part->secret_len}) ? AEL_OK : AEL_E_ARGUMENT;
}

/* Leaves out the first bytes of a secret that were sent already. */
static enum ael_status gather_secret(const struct part *part, size_t skip, uint8_t *slot, size_t *len) {
    uint8_t *out = slot + *len;
    AEL_TRY(write_secret(part, out, AEL_SCRATCH_BYTES - *len));
    memmove(out, out + skip, part->secret_len - skip);
    *len += part->secret_len - skip;
    return AEL_OK;
}

/* The same again for as long as nothing more was sent: OpenSSL wants that of who tries once more. */
static enum ael_status gather(const struct ael_http_exchange *self, uint8_t *slot, size_t *len) {
    size_t skip = self->at;
    for (size_t i = 0; i < PARTS; i++) {
        const struct part *part = &self->parts[i];
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

static CURLcode send_gathered(struct ael_http_exchange *self) {
    struct ael_scratch scratch;
    CURLcode code = CURLE_OUT_OF_MEMORY;
    size_t len = 0;
    enum ael_status status = ael_scratch_begin(&scratch, NULL);
    if (status == AEL_OK) {
        status = gather(self, scratch.bytes, &len);
        if (status == AEL_OK) {
            code = send_some(self, scratch.bytes, len);
        }
        enum ael_status ended = ael_scratch_end(&scratch);
        status = status == AEL_OK ? ended : status;
    }
    self->status = status;
    return code;
}

/* What comes next and needs no slot: open, and as long as a slot or with no secret behind it. */
static struct ael_bytes next_open(const struct ael_http_exchange *self) {
    size_t at = self->at;
    for (size_t i = 0; i < PARTS; i++) {
        const struct part *part = &self->parts[i];
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

static CURLcode send_next(struct ael_http_exchange *self) {
    struct ael_bytes open = next_open(self);
    return open.len > 0 ? send_some(self, open.data, open.len) : send_gathered(self);
}

static size_t request_len(const struct ael_http_exchange *self) {
    size_t len = 0;
    for (size_t i = 0; i < PARTS; i++) {
        len += self->parts[i].open.len + self->parts[i].secret_len;
    }
    return len;
}

static void begin_answer(struct ael_http_exchange *self) {
    self->response.headers.max = AEL_HTTP_MAX_HEADER_BYTES;
    self->response.body.max = self->max_bytes;
    self->answer = (struct ael_http_answer){.headers = &self->response.headers};
    self->state = RECEIVE;
}

/* Not at once: no answer is there yet, and to look for one takes a system call. */
static bool step_send(struct ael_http_exchange *self) {
    if (self->at == request_len(self)) {
        begin_answer(self);
        return false;
    }
    CURLcode code = send_next(self);
    if (self->status != AEL_OK) {
        return fail_with(
            self, self->status,
            self->status == AEL_E_ARGUMENT ? "a token or password holds characters that cannot be sent"
                                           : "protected memory is not to be had");
    }
    if (code == CURLE_AGAIN) {
        return false;
    }
    return code == CURLE_OK || lost(self, "the connection was lost while sending");
}

/* ---- receiving ---- */

/* The bytes of an answer, which lie in the slot. */
static enum ael_status read_bytes(struct ael_http_exchange *self, uint8_t *slot, struct ael_bytes in) {
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
static enum ael_status open_part(struct ael_http_exchange *self, uint8_t *slot) {
    return self->part == NULL ? AEL_OK : ael_secret_open_into(self->part, slot, self->json.max);
}

static enum ael_status keep_part(struct ael_http_exchange *self, uint8_t *slot, size_t before) {
    if (self->json.len == before) {
        return AEL_OK;
    }
    ael_secret_release(self->part);
    self->part = NULL;
    return ael_secret_new(slot, self->json.len, &self->part);
}

/* A text whose piece is full goes on in another one, as long as there is one: what comes behind the last is too long. */
static void begin_piece(struct ael_http_exchange *self) {
    if (self->taken_is_text && self->json.len == self->json.max && self->pieces + 1 < self->max_pieces) {
        self->text.pieces[self->pieces++] = self->part;
        self->part = NULL;
        self->json.len = 0;
    }
}

/* How much to receive at once: no more than the rest of the piece can hold. */
static size_t receive_room(const struct ael_http_exchange *self) {
    size_t room = AEL_SCRATCH_BYTES - self->json.max;
    size_t left = self->json.max - self->json.len;
    return self->taken_is_text && left > 0 && left < room ? left : room;
}

static CURLcode receive_some(struct ael_http_exchange *self, uint8_t *bytes, size_t room, size_t *len) {
    ael_mutex_lock(&self->place->inside);
    CURLcode code = curl_easy_recv(self->place->easy, bytes, room, len);
    ael_mutex_unlock(&self->place->inside);
    return code;
}

/* A record of TLS may hold more than there was room for: of that the socket does not tell who takes the connection next. */
static bool is_silent(struct ael_http_exchange *self, uint8_t *slot) {
    size_t more = 0;
    return receive_some(self, slot + self->json.max, 1, &more) == CURLE_AGAIN;
}

static enum ael_status
receive_in_slot(struct ael_http_exchange *self, uint8_t *slot, CURLcode *code, size_t *len) {
    begin_piece(self);
    size_t room = receive_room(self);
    *code = receive_some(self, slot + self->json.max, room, len);
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
        self->answer.keep = self->answer.keep && is_silent(self, slot);
    }
    return keep_part(self, slot, before);
}

static enum ael_status receive(struct ael_http_exchange *self, CURLcode *code, size_t *len) {
    struct ael_scratch scratch;
    AEL_TRY(ael_scratch_begin(&scratch, NULL));
    enum ael_status status = receive_in_slot(self, scratch.bytes, code, len);
    enum ael_status ended = ael_scratch_end(&scratch);
    return status == AEL_OK ? ended : status;
}

static bool explain_answer(struct ael_http_exchange *self, enum ael_status status) {
    if (status == AEL_E_TOO_LARGE) {
        return fail_with(
            self, AEL_E_BACKEND, "the answer is longer than it may be; is this the right server?");
    }
    if (status == AEL_E_BACKEND) {
        return fail_with(self, status, "the answer is not HTTP that can be read");
    }
    return fail_with(self, status, ael_status_text(status));
}

/* In the slot: the text becomes the secret. */
static enum ael_status decode_in_slot(struct ael_http_exchange *self, uint8_t *slot) {
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

static enum ael_status decode_secret(struct ael_http_exchange *self) {
    struct ael_scratch scratch;
    if (self->part == NULL && self->pieces == 0) {
        return AEL_OK; /* the caller sees that there is none */
    }
    if (self->json.bad) {
        ael_http_text_clear(&self->text); /* the part goes with the exchange */
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

static bool finish(struct ael_http_exchange *self) {
    enum ael_status status = decode_secret(self);
    if (status != AEL_OK) {
        return fail_with(
            self, status,
            status == AEL_E_BACKEND ? (self->taken_is_text ? "the token in the answer is too long, there "
                                                             "twice, or not of characters that can be sent"
                                                           : "the key in the answer is not base64 of a key")
                                    : ael_status_text(status));
    }
    self->response.status = self->answer.status;
    self->state = OVER;
    give_back(self, self->answer.keep);
    return true;
}

static bool step_receive(struct ael_http_exchange *self) {
    CURLcode code = CURLE_OK;
    size_t len = 0;
    enum ael_status status = receive(self, &code, &len);
    if (status != AEL_OK) {
        return explain_answer(self, status);
    }
    if (code == CURLE_AGAIN) {
        return false;
    }
    bool ended = code == CURLE_OK && len == 0;
    if (code != CURLE_OK || (ended && ael_http_answer_end(&self->answer) != AEL_OK)) {
        return lost(self, "the connection was lost before the answer was complete");
    }
    return self->answer.done ? finish(self) : true;
}

/* ---- going on ---- */

static bool step_once(struct ael_http_exchange *self) {
    switch (self->state) {
    case TAKE:
        return step_take(self);
    case CONNECT:
        return step_connect(self);
    case SEND:
        return step_send(self);
    case RECEIVE:
        return step_receive(self);
    case OVER:
        break;
    }
    return false;
}

/* see net/http_exchange.h */
bool ael_http_exchange_step(struct ael_http_exchange *exchange) {
    int cancel = ael_cancel_disable();
    struct ael_http_pipe_guard guard = ael_http_pipe_guard_begin();
    while (step_once(exchange)) {
    }
    ael_http_pipe_guard_end(&guard);
    ael_cancel_restore(cancel);
    return exchange->state == OVER;
}

/* see net/http_exchange.h */
bool ael_http_exchange_has_place(const struct ael_http_exchange *exchange) {
    return exchange->state != TAKE;
}

static int wait_ms(int64_t until_ns) {
    int64_t left_ns = until_ns - ael_clock_boot_ns();
    int64_t left_ms = left_ns <= 0 ? 0 : (left_ns + 999999) / 1000000;
    return left_ms > WAIT_MOST_MS ? WAIT_MOST_MS : (int)left_ms;
}

/* What several exchanges wait for. */
struct waiting {
    struct pollfd fds[LIST_MAX];
    nfds_t count;
    CURLM *connecting; /* the first of those that connect: it knows what it waits for */
    bool sliced;       /* another knows it too, but only one can be asked */
    bool over;
};

static void add_waiting(struct waiting *waiting, const struct ael_http_exchange *one) {
    if (one->state == OVER) {
        waiting->over = true;
    } else if (one->state == SEND || one->state == RECEIVE) {
        short events = one->state == SEND ? POLLOUT : POLLIN;
        waiting->fds[waiting->count++] = (struct pollfd){.fd = one->fd, .events = events};
    } else if (one->state == CONNECT && waiting->connecting == NULL) {
        waiting->connecting = one->place->multi;
    } else {
        waiting->sliced = true;
    }
}

static void poll_with_libcurl(struct waiting *waiting, int ms) {
    struct curl_waitfd fds[LIST_MAX];
    for (nfds_t i = 0; i < waiting->count; i++) {
        short events = waiting->fds[i].events == POLLOUT ? CURL_WAIT_POLLOUT : CURL_WAIT_POLLIN;
        fds[i] = (struct curl_waitfd){.fd = waiting->fds[i].fd, .events = events};
    }
    (void)curl_multi_poll(waiting->connecting, fds, (unsigned)waiting->count, ms, NULL);
}

/* see net/http_exchange.h */
void ael_http_exchange_wait(struct ael_http_exchange *const *exchanges, size_t count, int64_t until_ns) {
    struct waiting waiting = {.count = 0};
    for (size_t i = 0; i < count && i < LIST_MAX; i++) {
        if (exchanges[i] != NULL) {
            add_waiting(&waiting, exchanges[i]);
        }
    }
    if (waiting.over) {
        return;
    }
    int64_t slice_ns = ael_clock_boot_ns() + SLICE_NS;
    int ms = wait_ms(waiting.sliced && slice_ns < until_ns ? slice_ns : until_ns);
    if (waiting.connecting != NULL) {
        poll_with_libcurl(&waiting, ms);
    } else {
        (void)poll(waiting.fds, waiting.count, ms);
    }
}

/* ---- the end ---- */

static void free_exchange(struct ael_http_exchange *self) {
    if (self->place != NULL) { /* given up: TLS says good-bye, to a server that may be gone */
        struct ael_http_pipe_guard guard = ael_http_pipe_guard_begin();
        give_back(self, false);
        ael_http_pipe_guard_end(&guard);
    }
    for (size_t i = 0; i < PARTS; i++) {
        ael_buf_clear(&self->parts[i].open);
        ael_secret_release(self->parts[i].secret);
    }
    ael_http_response_clear(&self->response);
    ael_secret_release(self->part);
    ael_secret_release(self->taken);
    ael_http_text_clear(&self->text);
    ael_free(self);
}

static enum ael_status outcome(const struct ael_http_exchange *self, struct ael_error *err) {
    if (self->state != OVER) {
        return ael_error_set(err, AEL_E_CANCELLED, 0, k_component, "the request was given up");
    }
    if (self->status != AEL_OK && err != NULL) {
        *err = self->err;
    }
    return self->status;
}

/* see net/http_exchange.h */
void ael_http_exchange_take_text(struct ael_http_exchange *exchange, struct ael_http_text *text) {
    *text = exchange->status == AEL_OK && exchange->state == OVER ? exchange->text
                                                                  : (struct ael_http_text){{NULL}};
    if (text->pieces[0] != NULL) {
        exchange->text = (struct ael_http_text){{NULL}};
    }
}

/* see net/http_exchange.h */
enum ael_status ael_http_exchange_end(
    struct ael_http_exchange *exchange,
    struct ael_http_response *response,
    struct ael_secret **taken,
    struct ael_error *err) {
    enum ael_status status = outcome(exchange, err);
    if (response != NULL) {
        *response = (struct ael_http_response){.body = AEL_BUF_INIT, .headers = AEL_BUF_INIT};
        response->sent = exchange->any_sent;
    }
    if (taken != NULL) {
        *taken = NULL;
    }
    if (status == AEL_OK && response != NULL) {
        bool sent = response->sent;
        *response = exchange->response;
        response->sent = sent;
        exchange->response = (struct ael_http_response){.body = AEL_BUF_INIT, .headers = AEL_BUF_INIT};
    }
    if (status == AEL_OK && taken != NULL) {
        *taken = exchange->taken;
        exchange->taken = NULL;
    }
    free_exchange(exchange);
    return status;
}

/* see net/http_exchange.h */
void ael_http_exchange_give_up(struct ael_http_exchange *exchange) {
    if (exchange != NULL) {
        free_exchange(exchange);
    }
}
