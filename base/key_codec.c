/* SPDX-License-Identifier: Apache-2.0 */
#include "base/key_codec.h"

#include "base/base64.h"
#include "base/check.h"
#include "base/utf8.h"

#include <ael/record.h>

#include <string.h>

#define PIECE(text) {(const uint8_t *)(text), sizeof(text) - 1}

/* The canonical layout, piece by piece. */
static const struct ael_bytes k_start = PIECE("{\"Created\":");
static const struct ael_bytes k_start_revoked = PIECE("{\"Revoked\":true,\"Created\":");
static const struct ael_bytes k_key = PIECE(",\"Key\":");
static const struct ael_bytes k_parent = PIECE(",\"ParentKeyMeta\":{\"KeyId\":");
static const struct ael_bytes k_parent_created = PIECE(",\"Created\":");
static const struct ael_bytes k_end = PIECE("}");

enum { QUOTES_LEN = 2 };

static void missing(struct ael_json_reader *reader) {
    (void)ael_json_fail(reader, AEL_E_FORMAT, "a required member is missing");
}

static void read_parent(struct ael_json_reader *reader, struct ael_key_record *text) {
    static const char *const k_names[] = {"KeyId", "Created"};
    size_t index = 0;
    unsigned seen = 0;
    int which = -1;
    ael_json_enter_object(reader);
    while (ael_json_next_member(reader, &index, k_names, 2, &seen, &which)) {
        if (which == 0) {
            text->parent_id = ael_json_read_raw_string(reader);
        } else if (which == 1) {
            text->parent_created_s = ael_json_read_int64(reader);
        } else {
            ael_json_skip_value(reader);
        }
    }
    if (seen != 3) {
        missing(reader);
    }
    text->has_parent = true;
}

enum { MEMBER_REVOKED, MEMBER_CREATED, MEMBER_KEY, MEMBER_PARENT, MEMBER_COUNT };

static void read_member(struct ael_json_reader *reader, int which, struct ael_key_record *text) {
    switch (which) {
    case MEMBER_REVOKED:
        text->revoked = !ael_json_try_null(reader) && ael_json_read_bool(reader);
        break;
    case MEMBER_CREATED:
        text->created_s = ael_json_read_int64(reader);
        break;
    case MEMBER_KEY:
        text->key = ael_json_read_raw_string(reader);
        break;
    case MEMBER_PARENT:
        if (!ael_json_try_null(reader)) {
            read_parent(reader, text);
        }
        break;
    default:
        ael_json_skip_value(reader);
        break;
    }
}

/* see base/key_codec.h */
void ael_key_codec_read(struct ael_json_reader *reader, struct ael_key_record *text) {
    static const char *const k_names[MEMBER_COUNT] = {"Revoked", "Created", "Key", "ParentKeyMeta"};
    static const unsigned k_required = 1u << MEMBER_CREATED | 1u << MEMBER_KEY;
    size_t index = 0;
    unsigned seen = 0;
    int which = -1;
    *text = (struct ael_key_record){0};
    ael_json_enter_object(reader);
    while (ael_json_next_member(reader, &index, k_names, MEMBER_COUNT, &seen, &which)) {
        read_member(reader, which, text);
    }
    if ((seen & k_required) != k_required) {
        missing(reader);
    }
}

static bool has_escapes(struct ael_bytes raw) {
    return raw.len > 0 && memchr(raw.data, '\\', raw.len) != NULL;
}

static enum ael_status
fail(struct ael_json_reader *reader, struct ael_bytes raw, enum ael_status status, const char *problem) {
    return ael_json_fail_at(reader, raw.data, status, problem);
}

/* see base/key_codec.h */
enum ael_status ael_key_codec_base64_len(struct ael_json_reader *reader, struct ael_bytes raw, size_t *len) {
    bool escaped = has_escapes(raw);
    enum ael_status status = escaped ? ael_json_unescaped_len(raw, len) : ael_base64_decoded_len(raw, len);
    return status == AEL_OK ? AEL_OK : fail(reader, raw, status, "not canonical base64");
}

/* Some writers escape the slash or the plus: such a text is unescaped first and then decoded in place. */
static enum ael_status decode_escaped_base64(struct ael_bytes raw, struct ael_buf *storage, size_t *len) {
    size_t start = storage->len;
    AEL_TRY(ael_json_unescape(raw, storage));
    struct ael_bytes text = {storage->data + start, storage->len - start};
    AEL_TRY(ael_base64_decoded_len(text, len));
    AEL_TRY(ael_base64_decode(text, storage->data + start));
    storage->len = start;
    return AEL_OK;
}

/* see base/key_codec.h */
enum ael_status ael_key_codec_base64_decode(
    struct ael_json_reader *reader, struct ael_bytes raw, struct ael_buf *storage, struct ael_bytes *bytes) {
    size_t len = 0;
    enum ael_status status = AEL_OK;
    if (has_escapes(raw)) {
        status = decode_escaped_base64(raw, storage, &len);
    } else if (raw.len > 0) {
        status = ael_base64_decoded_len(raw, &len);
        if (status == AEL_OK) {
            status = ael_base64_decode(raw, storage->data + storage->len);
        }
    }
    if (status != AEL_OK) {
        return fail(reader, raw, status, "not canonical base64");
    }
    *bytes = (struct ael_bytes){len > 0 ? storage->data + storage->len : NULL, len};
    storage->len += len;
    return AEL_OK;
}

/* Where there are escapes the length is that of the base64 text without them. */
static enum ael_status check_key_len(struct ael_json_reader *reader, struct ael_bytes raw, size_t len) {
    size_t max = AEL_KEY_RECORD_MAX_BYTES;
    if (raw.len == 0) {
        return fail(reader, raw, AEL_E_FORMAT, "the key is empty");
    }
    if (len > (has_escapes(raw) ? ael_base64_encoded_len(max) : max)) {
        return fail(reader, raw, AEL_E_TOO_LARGE, "the key is too long");
    }
    return AEL_OK;
}

/* see base/key_codec.h */
enum ael_status
ael_key_codec_decoded_len(struct ael_json_reader *reader, const struct ael_key_record *text, size_t *len) {
    size_t key_len = 0;
    size_t id_len = 0;
    AEL_TRY(ael_key_codec_base64_len(reader, text->key, &key_len));
    AEL_TRY(check_key_len(reader, text->key, key_len));
    if (ael_json_unescaped_len(text->parent_id, &id_len) != AEL_OK) {
        return fail(reader, text->parent_id, AEL_E_FORMAT, "an id with a NUL or half a surrogate pair");
    }
    if (id_len > AEL_ID_MAX_BYTES) {
        return fail(reader, text->parent_id, AEL_E_TOO_LARGE, "an id is too long");
    }
    *len += key_len + id_len;
    return AEL_OK;
}

/* see base/key_codec.h */
enum ael_status ael_key_codec_decode(
    struct ael_json_reader *reader,
    const struct ael_key_record *text,
    struct ael_buf *storage,
    struct ael_key_record *record) {
    *record = *text;
    AEL_TRY(ael_key_codec_base64_decode(reader, text->key, storage, &record->key));
    if (record->key.len > AEL_KEY_RECORD_MAX_BYTES) {
        return fail(reader, text->key, AEL_E_TOO_LARGE, "the key is too long");
    }
    size_t start = storage->len;
    AEL_TRY(ael_json_unescape(text->parent_id, storage));
    size_t id_len = storage->len - start;
    record->parent_id = (struct ael_bytes){id_len > 0 ? storage->data + start : NULL, id_len};
    return AEL_OK;
}

static bool is_missing(struct ael_bytes bytes) {
    return bytes.data == NULL && bytes.len > 0;
}

/* see base/key_codec.h */
enum ael_status ael_key_codec_check(const struct ael_key_record *record) {
    if (record->key.data == NULL || record->key.len == 0) {
        return AEL_E_ARGUMENT;
    }
    if (record->key.len > AEL_KEY_RECORD_MAX_BYTES) {
        return AEL_E_TOO_LARGE;
    }
    if (!record->has_parent) {
        return AEL_OK;
    }
    if (is_missing(record->parent_id)) {
        return AEL_E_ARGUMENT;
    }
    if (record->parent_id.len > AEL_ID_MAX_BYTES) {
        return AEL_E_TOO_LARGE;
    }
    return ael_id_is_text(record->parent_id) ? AEL_OK : AEL_E_ARGUMENT;
}

static bool add_parent_len(const struct ael_key_record *record, size_t *total) {
    size_t fixed = k_parent.len + k_parent_created.len + k_end.len +
                   ael_json_int64_len(record->parent_created_s);
    return ael_add_size(*total, fixed, total) &&
           ael_add_size(*total, ael_json_string_len(record->parent_id), total);
}

/* see base/key_codec.h */
size_t ael_key_codec_json_len(const struct ael_key_record *record) {
    size_t total = (record->revoked ? k_start_revoked : k_start).len +
                   ael_json_int64_len(record->created_s) + k_key.len + QUOTES_LEN + k_end.len;
    if (!ael_add_size(total, ael_base64_encoded_len(record->key.len), &total)) {
        return SIZE_MAX;
    }
    return !record->has_parent || add_parent_len(record, &total) ? total : SIZE_MAX;
}

static uint8_t *put_parent(uint8_t *at, const struct ael_key_record *record) {
    at = ael_json_put(at, k_parent);
    at = ael_json_put_string(at, record->parent_id);
    at = ael_json_put(at, k_parent_created);
    at = ael_json_put_int64(at, record->parent_created_s);
    return ael_json_put(at, k_end);
}

/* see base/key_codec.h */
uint8_t *ael_key_codec_put(uint8_t *at, const struct ael_key_record *record) {
    at = ael_json_put(at, record->revoked ? k_start_revoked : k_start);
    at = ael_json_put_int64(at, record->created_s);
    at = ael_json_put(at, k_key);
    at = ael_json_put_base64(at, record->key);
    if (record->has_parent) {
        at = put_parent(at, record);
    }
    return ael_json_put(at, k_end);
}

/* see base/key_codec.h */
struct ael_bytes ael_key_codec_keep(struct ael_buf *storage, struct ael_bytes bytes) {
    if (bytes.len == 0) {
        return (struct ael_bytes){NULL, 0};
    }
    struct ael_bytes copy = {storage->data + storage->len, bytes.len};
    memcpy(storage->data + storage->len, bytes.data, bytes.len);
    storage->len += bytes.len;
    return copy;
}

/* see base/key_codec.h */
struct ael_key_record
ael_key_codec_keep_record(struct ael_buf *storage, const struct ael_key_record *record) {
    struct ael_key_record copy = {.revoked = record->revoked, .created_s = record->created_s};
    copy.key = ael_key_codec_keep(storage, record->key);
    if (record->has_parent) {
        copy.has_parent = true;
        copy.parent_id = ael_key_codec_keep(storage, record->parent_id);
        copy.parent_created_s = record->parent_created_s;
    }
    return copy;
}
