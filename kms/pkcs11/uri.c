/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/pkcs11/uri.h"

#include "base/check.h"

#include <stdbool.h>
#include <string.h>

static const char k_component[] = "kms/pkcs11";

/* A name or a value in a URI. */
struct span {
    const char *at;
    size_t len;
};

static enum ael_status refuse(struct ael_error *err, struct span name, const char *why) {
    return ael_error_set(
        err, AEL_E_ARGUMENT, 0, k_component, "the URI's attribute %.*s %s",
        (int)(name.len < 40 ? name.len : 40), name.at, why);
}

static bool is(struct span span, const char *text) {
    return span.len == strlen(text) && memcmp(span.at, text, span.len) == 0;
}

static int digit(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte at *i, which is moved to its last character; -1 for an escape that is none. */
static int next_byte(struct span value, size_t *i) {
    if (value.at[*i] != '%') {
        return (unsigned char)value.at[*i];
    }
    if (value.len - *i < 3 || digit(value.at[*i + 1]) < 0 || digit(value.at[*i + 2]) < 0) {
        return -1;
    }
    int byte = digit(value.at[*i + 1]) * 16 + digit(value.at[*i + 2]);
    *i += 2;
    return byte;
}

/* Decodes %xx into at most cap - 1 bytes; a NUL follows. */
static bool decode(struct span value, char *out, size_t cap, size_t *len) {
    *len = 0;
    for (size_t i = 0; i < value.len; i++) {
        int byte = next_byte(value, &i);
        if (byte < 0 || *len + 1 >= cap) {
            return false;
        }
        out[(*len)++] = (char)byte;
    }
    out[*len] = '\0';
    return true;
}

/* Once, not empty, and without a NUL. */
static enum ael_status
take(struct span name, struct span value, char *out, size_t cap, struct ael_error *err) {
    size_t len = 0;
    if (out[0] != '\0') {
        return refuse(err, name, "is there twice");
    }
    if (!decode(value, out, cap, &len) || len == 0 || strlen(out) != len) {
        out[0] = '\0';
        return refuse(err, name, "is empty, too long, or has an escape that is none");
    }
    return AEL_OK;
}

static enum ael_status
take_id(struct ael_pkcs11_uri *uri, struct span name, struct span value, struct ael_error *err) {
    if (uri->id_len != 0) {
        return refuse(err, name, "is there twice");
    }
    if (!decode(value, (char *)uri->id, sizeof uri->id, &uri->id_len) || uri->id_len == 0) {
        return refuse(err, name, "is empty, longer than 64 bytes, or has an escape that is none");
    }
    return AEL_OK;
}

static enum ael_status
take_pin_source(struct ael_pkcs11_uri *uri, struct span name, struct span value, struct ael_error *err) {
    static const char k_file[] = "file:";
    if (value.len > sizeof k_file - 1 && memcmp(value.at, k_file, sizeof k_file - 1) == 0) {
        value.at += sizeof k_file - 1;
        value.len -= sizeof k_file - 1;
    }
    AEL_TRY(take(name, value, uri->pin_file, sizeof uri->pin_file, err));
    return uri->pin_file[0] == '/' ? AEL_OK : refuse(err, name, "is the absolute path of a file");
}

static enum ael_status
take_slot(struct ael_pkcs11_uri *uri, struct span name, struct span value, struct ael_error *err) {
    int64_t slot = 0;
    if (uri->slot >= 0) {
        return refuse(err, name, "is there twice");
    }
    for (size_t i = 0; i < value.len; i++) {
        if (value.at[i] < '0' || value.at[i] > '9' || i > 17) { /* what 63 bits hold */
            return refuse(err, name, "is no decimal number of at most 18 digits");
        }
        slot = 10 * slot + (value.at[i] - '0');
    }
    uri->slot = slot;
    return value.len > 0 ? AEL_OK : refuse(err, name, "is empty");
}

static enum ael_status
take_attribute(struct ael_pkcs11_uri *uri, struct span name, struct span value, struct ael_error *err) {
    if (is(name, "token")) {
        return take(name, value, uri->token, sizeof uri->token, err);
    }
    if (is(name, "object")) {
        return take(name, value, uri->object, sizeof uri->object, err);
    }
    if (is(name, "id")) {
        return take_id(uri, name, value, err);
    }
    if (is(name, "serial")) {
        return take(name, value, uri->serial, sizeof uri->serial, err);
    }
    if (is(name, "slot-id")) {
        return take_slot(uri, name, value, err);
    }
    if (is(name, "type")) {
        return is(value, "secret-key") ? AEL_OK : refuse(err, name, "is secret-key here");
    }
    return refuse(err, name, "is not known here; name token, serial, slot-id, object, id");
}

static enum ael_status
take_query(struct ael_pkcs11_uri *uri, struct span name, struct span value, struct ael_error *err) {
    if (is(name, "module-path")) {
        return take(name, value, uri->module, sizeof uri->module, err);
    }
    if (is(name, "pin-source")) {
        return take_pin_source(uri, name, value, err);
    }
    if (is(name, "x-in-process")) {
        uri->in_process = is(value, "yes");
        return uri->in_process ? AEL_OK : refuse(err, name, "is yes, or not there");
    }
    return refuse(
        err, name,
        is(name, "pin-value") ? "shows the PIN; give pin-source" : "is not known here; name module-path");
}

typedef enum ael_status (*take_fn)(
    struct ael_pkcs11_uri *uri, struct span name, struct span value, struct ael_error *err);

/* name=value, with separators between. */
static enum ael_status read_list(
    struct span list, char separator, take_fn take_one, struct ael_pkcs11_uri *uri, struct ael_error *err) {
    while (list.len > 0) {
        const char *end = memchr(list.at, separator, list.len);
        size_t len = end == NULL ? list.len : (size_t)(end - list.at);
        const char *equals = memchr(list.at, '=', len);
        size_t name_len = equals == NULL ? len : (size_t)(equals - list.at);
        struct span name = {list.at, name_len};
        if (equals == NULL) {
            return refuse(err, name, "has no value");
        }
        AEL_TRY(take_one(uri, name, (struct span){equals + 1, len - name_len - 1}, err));
        len += end == NULL ? 0 : 1;
        list = (struct span){list.at + len, list.len - len};
    }
    return AEL_OK;
}

/* see kms/pkcs11/uri.h */
enum ael_status ael_pkcs11_uri_read(const char *text, struct ael_pkcs11_uri *uri, struct ael_error *err) {
    static const char k_scheme[] = "pkcs11:";
    memset(uri, 0, sizeof *uri);
    uri->slot = -1;
    if (strncmp(text, k_scheme, sizeof k_scheme - 1) != 0) {
        return ael_error_set(err, AEL_E_ARGUMENT, 0, k_component, "the URI does not begin with pkcs11:");
    }
    text += sizeof k_scheme - 1;
    size_t path = strcspn(text, "?");
    AEL_TRY(read_list((struct span){text, path}, ';', take_attribute, uri, err));
    text += path + (text[path] == '?' ? 1 : 0);
    return read_list((struct span){text, strlen(text)}, '&', take_query, uri, err);
}
