/* SPDX-License-Identifier: Apache-2.0 */
#include "net/sigv4/canonical.h"

#include "base/alloc.h"
#include "base/check.h"

#include <string.h>

static enum ael_status append_text(struct ael_buf *out, const char *text) {
    return ael_buf_append(out, ael_bytes_from_text(text));
}

static enum ael_status append_byte(struct ael_buf *out, uint8_t byte) {
    return ael_buf_append(out, (struct ael_bytes){&byte, 1});
}

/* ---- path and query ---- */

static bool is_unreserved(uint8_t byte) {
    return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') ||
           byte == '-' || byte == '.' || byte == '_' || byte == '~';
}

/* see net/sigv4/canonical.h */
enum ael_status ael_uri_encode(struct ael_buf *out, struct ael_bytes bytes, bool keep_slash) {
    static const char k_digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t byte = bytes.data[i];
        if (is_unreserved(byte) || (keep_slash && byte == '/')) {
            AEL_TRY(append_byte(out, byte));
            continue;
        }
        const uint8_t escaped[] = {'%', (uint8_t)k_digits[byte >> 4], (uint8_t)k_digits[byte & 15]};
        AEL_TRY(ael_buf_append(out, (struct ael_bytes){escaped, sizeof escaped}));
    }
    return AEL_OK;
}

/* Takes the last segment off "/one/two/". */
static size_t without_last(const struct ael_buf *path) {
    size_t len = path->len > 1 ? path->len - 1 : path->len;
    while (len > 1 && path->data[len - 1] != '/') {
        len--;
    }
    return len;
}

/* One segment of a path (RFC 3986, 5.2.4); *path ends with a slash before and after it. */
static enum ael_status add_segment(struct ael_buf *path, struct ael_bytes segment) {
    bool is_dot = segment.len == 1 && segment.data[0] == '.';
    bool is_up = segment.len == 2 && segment.data[0] == '.' && segment.data[1] == '.';
    if (is_up) {
        path->len = without_last(path);
    }
    if (segment.len == 0 || is_dot || is_up) {
        return AEL_OK;
    }
    AEL_TRY(ael_buf_append(path, segment));
    return append_byte(path, '/');
}

/* Whether the last segment is a name, so that no slash ends the path. */
static bool ends_with_name(struct ael_bytes path) {
    size_t len = 0;
    while (len < path.len && path.data[path.len - 1 - len] != '/') {
        len++;
    }
    const uint8_t *last = path.data + path.len - len;
    return len > 2 || (len > 0 && last[0] != '.') || (len == 2 && last[1] != '.');
}

static enum ael_status normalize(struct ael_buf *out, struct ael_bytes path) {
    struct ael_bytes segment = {path.data, 0};
    AEL_TRY(append_byte(out, '/'));
    for (size_t i = 0; i <= path.len; i++) {
        if (i == path.len || path.data[i] == '/') {
            segment.len = (size_t)(path.data + i - segment.data);
            AEL_TRY(add_segment(out, segment));
            segment.data = path.data + i + (i < path.len ? 1 : 0);
        }
    }
    if (out->len > 1 && ends_with_name(path)) {
        out->len--;
    }
    return AEL_OK;
}

/* see net/sigv4/canonical.h */
enum ael_status ael_sigv4_canonical_path(struct ael_buf *out, struct ael_bytes path, bool keep_path) {
    struct ael_buf plain = AEL_BUF_INIT;
    if (path.len == 0) {
        return append_byte(out, '/');
    }
    if (keep_path) {
        return ael_uri_encode(out, path, true);
    }
    enum ael_status status = normalize(&plain, path);
    if (status == AEL_OK) {
        status = ael_uri_encode(out, ael_buf_view(&plain), true);
    }
    ael_buf_clear(&plain);
    return status;
}

/* A parameter in canonical form, as offsets into a buffer. */
struct parameter {
    size_t at;
    size_t name_len;
    size_t len; /* of name, equals sign and value */
};

static int hex_digit(uint8_t byte) {
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* Decodes what is percent-encoded and encodes it canonically; a lone percent sign is one. */
static enum ael_status encode_again(struct ael_buf *out, struct ael_bytes text) {
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.data[i];
        int high = i + 2 < text.len && byte == '%' ? hex_digit(text.data[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(text.data[i + 2]) : -1;
        if (low >= 0) {
            byte = (uint8_t)(high << 4 | low);
            i += 2;
        }
        AEL_TRY(ael_uri_encode(out, (struct ael_bytes){&byte, 1}, false));
    }
    return AEL_OK;
}

static enum ael_status
add_parameter(struct ael_buf *text, struct ael_bytes given, struct parameter *parameter) {
    const uint8_t *equals = memchr(given.data, '=', given.len);
    size_t name_len = equals == NULL ? given.len : (size_t)(equals - given.data);
    size_t value_len = equals == NULL ? 0 : given.len - name_len - 1;
    parameter->at = text->len;
    AEL_TRY(encode_again(text, (struct ael_bytes){given.data, name_len}));
    parameter->name_len = text->len - parameter->at;
    AEL_TRY(append_byte(text, '='));
    AEL_TRY(encode_again(text, (struct ael_bytes){given.data + given.len - value_len, value_len}));
    parameter->len = text->len - parameter->at;
    return AEL_OK;
}

static int compare_bytes(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len) {
    int order = memcmp(a, b, a_len < b_len ? a_len : b_len);
    return order != 0 ? order : (a_len > b_len) - (a_len < b_len);
}

static int compare_parameters(const uint8_t *text, const struct parameter *a, const struct parameter *b) {
    int order = compare_bytes(text + a->at, a->name_len, text + b->at, b->name_len);
    return order != 0 ? order
                      : compare_bytes(
                            text + a->at + a->name_len, a->len - a->name_len, text + b->at + b->name_len,
                            b->len - b->name_len);
}

/* By insertion: there are a few. */
static void sort_parameters(const uint8_t *text, struct parameter *parameters, size_t count) {
    for (size_t i = 1; i < count; i++) {
        struct parameter moving = parameters[i];
        size_t to = i;
        while (to > 0 && compare_parameters(text, &parameters[to - 1], &moving) > 0) {
            parameters[to] = parameters[to - 1];
            to--;
        }
        parameters[to] = moving;
    }
}

static enum ael_status
parse_query(struct ael_buf *text, struct ael_bytes query, struct parameter *parameters, size_t *count) {
    const uint8_t *start = query.data;
    const uint8_t *end = query.data + query.len;
    *count = 0;
    while (start < end) {
        const uint8_t *stop = memchr(start, '&', (size_t)(end - start));
        stop = stop == NULL ? end : stop;
        if (stop > start) {
            AEL_TRY(add_parameter(
                text, (struct ael_bytes){start, (size_t)(stop - start)}, &parameters[(*count)++]));
        }
        start = stop + 1;
    }
    return AEL_OK;
}

static size_t count_parameters(struct ael_bytes query) {
    size_t count = 1;
    for (size_t i = 0; i < query.len; i++) {
        count += query.data[i] == '&' ? 1 : 0;
    }
    return count;
}

/* see net/sigv4/canonical.h */
enum ael_status ael_sigv4_canonical_query(struct ael_buf *out, struct ael_bytes query) {
    struct ael_buf text = AEL_BUF_INIT;
    size_t count = 0;
    if (query.len == 0) {
        return AEL_OK;
    }
    struct parameter *parameters = ael_alloc_array(count_parameters(query), sizeof *parameters);
    enum ael_status status =
        parameters == NULL ? AEL_E_NO_MEMORY : parse_query(&text, query, parameters, &count);
    if (status == AEL_OK) {
        sort_parameters(text.data, parameters, count);
    }
    for (size_t i = 0; status == AEL_OK && i < count; i++) {
        status = i == 0 ? AEL_OK : append_byte(out, '&');
        if (status == AEL_OK) {
            status = ael_buf_append(out, (struct ael_bytes){text.data + parameters[i].at, parameters[i].len});
        }
    }
    ael_free(parameters);
    ael_buf_clear(&text);
    return status;
}

/* ---- headers ---- */

static uint8_t lower(uint8_t byte) {
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte | 0x20) : byte;
}

static int compare_names(struct ael_bytes a, struct ael_bytes b) {
    for (size_t i = 0; i < a.len && i < b.len; i++) {
        if (lower(a.data[i]) != lower(b.data[i])) {
            return lower(a.data[i]) - lower(b.data[i]);
        }
    }
    return (a.len > b.len) - (a.len < b.len);
}

/* Stable: values of one name stay in the order in which they are sent. */
static void sort_headers(struct ael_http_header *headers, size_t count) {
    for (size_t i = 1; i < count; i++) {
        struct ael_http_header moving = headers[i];
        size_t to = i;
        while (to > 0 && compare_names(headers[to - 1].name, moving.name) > 0) {
            headers[to] = headers[to - 1];
            to--;
        }
        headers[to] = moving;
    }
}

static enum ael_status append_lower(struct ael_buf *out, struct ael_bytes name) {
    for (size_t i = 0; i < name.len; i++) {
        AEL_TRY(append_byte(out, lower(name.data[i])));
    }
    return AEL_OK;
}

static bool is_blank(uint8_t byte) {
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

/* Without blanks at the ends; inside, a run of them (a folded line too) is one space. */
static enum ael_status append_folded(struct ael_buf *out, struct ael_bytes value) {
    bool blank = false;
    bool begun = false;
    for (size_t i = 0; i < value.len; i++) {
        if (is_blank(value.data[i])) {
            blank = begun;
            continue;
        }
        if (blank) {
            AEL_TRY(append_byte(out, ' '));
        }
        AEL_TRY(append_byte(out, value.data[i]));
        begun = true;
        blank = false;
    }
    return AEL_OK;
}

static enum ael_status append_headers(
    struct ael_buf *out, struct ael_buf *names, const struct ael_http_header *headers, size_t count) {
    for (size_t i = 0; i < count; i++) {
        bool again = i > 0 && compare_names(headers[i - 1].name, headers[i].name) == 0;
        if (again) {
            AEL_TRY(append_byte(out, ','));
        } else {
            AEL_TRY(append_text(out, i > 0 ? "\n" : ""));
            AEL_TRY(append_lower(out, headers[i].name));
            AEL_TRY(append_byte(out, ':'));
            AEL_TRY(append_text(names, i > 0 ? ";" : ""));
            AEL_TRY(append_lower(names, headers[i].name));
        }
        AEL_TRY(append_folded(out, headers[i].value));
    }
    return append_byte(out, '\n');
}

static bool has_host(const struct ael_http_header *headers, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (compare_names(headers[i].name, ael_bytes_from_text("host")) == 0) {
            return true;
        }
    }
    return false;
}

/* see net/sigv4/canonical.h */
enum ael_status ael_sigv4_canonical_request(
    struct ael_buf *out,
    struct ael_buf *names,
    const struct ael_sigv4_request *request,
    bool keep_path,
    struct ael_http_header *headers,
    size_t header_count,
    const char *body_hash) {
    if (!has_host(headers, header_count)) {
        return AEL_E_ARGUMENT;
    }
    sort_headers(headers, header_count);
    AEL_TRY(append_text(out, request->method));
    AEL_TRY(append_byte(out, '\n'));
    AEL_TRY(ael_sigv4_canonical_path(out, request->path, keep_path));
    AEL_TRY(append_byte(out, '\n'));
    AEL_TRY(ael_sigv4_canonical_query(out, request->query));
    AEL_TRY(append_byte(out, '\n'));
    AEL_TRY(append_headers(out, names, headers, header_count));
    AEL_TRY(append_byte(out, '\n'));
    AEL_TRY(ael_buf_append(out, ael_buf_view(names)));
    AEL_TRY(append_byte(out, '\n'));
    return append_text(out, body_hash);
}
