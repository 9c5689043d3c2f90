/* SPDX-License-Identifier: Apache-2.0 */
#include "metastore/dynamodb/item.h"

#include "base/base64.h"
#include "base/key_codec.h"
#include "metastore/dynamodb/client.h"

#include <string.h>

/* ---- writing ---- */

/* Makes room for so many bytes; returns where they go, or NULL. */
static uint8_t *room_for(struct ael_dynamodb_text *text, size_t len) {
    if (text->status == AEL_OK && len > AEL_BUF_MAX_DEFAULT - text->buf.len) {
        text->status = AEL_E_TOO_LARGE;
    }
    if (text->status != AEL_OK) {
        return NULL;
    }
    size_t wanted = text->buf.len + len;
    if (wanted > text->buf.cap) {
        size_t doubled = 2 * text->buf.cap;
        text->status = ael_buf_reserve(&text->buf, wanted > doubled ? wanted : doubled);
    }
    return text->status == AEL_OK ? text->buf.data + text->buf.len : NULL;
}

/* see metastore/dynamodb/item.h */
void ael_dynamodb_put_bytes(struct ael_dynamodb_text *text, struct ael_bytes piece) {
    uint8_t *at = room_for(text, piece.len);
    if (at != NULL && piece.len > 0) {
        memcpy(at, piece.data, piece.len);
        text->buf.len += piece.len;
    }
}

/* see metastore/dynamodb/item.h */
void ael_dynamodb_put(struct ael_dynamodb_text *text, const char *piece) {
    ael_dynamodb_put_bytes(text, ael_bytes_from_text(piece));
}

/* see metastore/dynamodb/item.h */
void ael_dynamodb_put_string(struct ael_dynamodb_text *text, struct ael_bytes value) {
    ael_dynamodb_put(text, "{\"S\":");
    uint8_t *at = room_for(text, ael_json_string_len(value));
    if (at != NULL) {
        text->buf.len += (size_t)(ael_json_put_string(at, value) - at);
    }
    ael_dynamodb_put(text, "}");
}

/* see metastore/dynamodb/item.h */
void ael_dynamodb_put_number(struct ael_dynamodb_text *text, int64_t value) {
    ael_dynamodb_put(text, "{\"N\":\"");
    uint8_t *at = room_for(text, ael_json_int64_len(value));
    if (at != NULL) {
        text->buf.len += (size_t)(ael_json_put_int64(at, value) - at);
    }
    ael_dynamodb_put(text, "\"}");
}

/* see metastore/dynamodb/item.h */
void ael_dynamodb_put_base64(struct ael_dynamodb_text *text, struct ael_bytes value) {
    ael_dynamodb_put(text, "{\"S\":");
    uint8_t *at = room_for(text, ael_base64_encoded_len(value.len) + 2);
    if (at != NULL) {
        text->buf.len += (size_t)(ael_json_put_base64(at, value) - at);
    }
    ael_dynamodb_put(text, "}");
}

/* see metastore/dynamodb/item.h */
void ael_dynamodb_put_record(struct ael_dynamodb_text *text, const struct ael_key_record *record) {
    ael_dynamodb_put(text, "{\"M\":{");
    if (record->revoked) {
        ael_dynamodb_put(text, "\"Revoked\":{\"BOOL\":true},");
    }
    ael_dynamodb_put(text, "\"Created\":");
    ael_dynamodb_put_number(text, record->created_s);
    ael_dynamodb_put(text, ",\"Key\":");
    ael_dynamodb_put_base64(text, record->key);
    if (record->has_parent) {
        ael_dynamodb_put(text, ",\"ParentKeyMeta\":{\"M\":{\"KeyId\":");
        ael_dynamodb_put_string(text, record->parent_id);
        ael_dynamodb_put(text, ",\"Created\":");
        ael_dynamodb_put_number(text, record->parent_created_s);
        ael_dynamodb_put(text, "}}");
    }
    ael_dynamodb_put(text, "}}");
}

/* ---- reading ---- */

static void fail(struct ael_json_reader *reader, const char *problem) {
    (void)ael_json_fail(reader, AEL_E_FORMAT, problem);
}

/*
 * Enters an attribute, {"<type>": value}: true when its value comes next, false after a failure or {"NULL":
 * true}, which is consumed. leave() ends what was entered.
 */
static bool enter(struct ael_json_reader *reader, const char *type) {
    const char *const names[] = {type, "NULL"};
    size_t index = 0;
    unsigned seen = 0;
    int which = -1;
    ael_json_enter_object(reader);
    bool any = ael_json_next_member(reader, &index, names, 2, &seen, &which);
    if (any && which == 0) {
        return true;
    }
    if (!any || which != 1 || !ael_json_read_bool(reader) ||
        ael_json_next_member(reader, &index, names, 2, &seen, &which)) {
        fail(reader, "an attribute has another type");
    }
    return false;
}

static void leave(struct ael_json_reader *reader) {
    size_t index = 1;
    unsigned seen = 0;
    int which = -1;
    if (ael_json_next_member(reader, &index, NULL, 0, &seen, &which)) {
        fail(reader, "an attribute has two types");
    }
}

static struct ael_bytes read_text(struct ael_json_reader *reader) {
    struct ael_bytes raw = {NULL, 0};
    if (!enter(reader, "S")) {
        fail(reader, "a text is NULL");
        return raw;
    }
    raw = ael_json_read_raw_string(reader);
    leave(reader);
    return raw;
}

/* Numbers are texts; one of ours is a whole number. */
static int64_t read_number(struct ael_json_reader *reader) {
    struct ael_json_reader digits;
    if (!enter(reader, "N")) {
        fail(reader, "a number is NULL");
        return 0;
    }
    struct ael_bytes raw = ael_json_read_raw_string(reader);
    leave(reader);
    if (reader->status != AEL_OK) {
        return 0;
    }
    ael_json_reader_init(&digits, raw);
    int64_t value = ael_json_read_int64(&digits);
    if (ael_json_finish(&digits) != AEL_OK) {
        fail(reader, "a number that is not whole or out of range");
    }
    return value;
}

static bool read_bool(struct ael_json_reader *reader) {
    bool value = false;
    if (enter(reader, "BOOL")) {
        value = ael_json_read_bool(reader);
        leave(reader);
    }
    return value;
}

static void read_parent(struct ael_json_reader *reader, struct ael_key_record *raw) {
    static const char *const k_names[] = {"KeyId", "Created"};
    size_t index = 0;
    unsigned seen = 0;
    int which = -1;
    if (!enter(reader, "M")) {
        return;
    }
    ael_json_enter_object(reader);
    while (ael_json_next_member(reader, &index, k_names, 2, &seen, &which)) {
        if (which == 0) {
            raw->parent_id = read_text(reader);
        } else if (which == 1) {
            raw->parent_created_s = read_number(reader);
        } else {
            ael_json_skip_value(reader);
        }
    }
    if (seen != 3) {
        fail(reader, "ParentKeyMeta lacks KeyId or Created");
    }
    raw->has_parent = true;
    leave(reader);
}

enum { REVOKED, CREATED, KEY, PARENT, RECORD_MEMBERS };

static void read_record_member(struct ael_json_reader *reader, int which, struct ael_key_record *raw) {
    switch (which) {
    case REVOKED:
        raw->revoked = read_bool(reader);
        break;
    case CREATED:
        raw->created_s = read_number(reader);
        break;
    case KEY:
        raw->key = read_text(reader);
        break;
    case PARENT:
        read_parent(reader, raw);
        break;
    default:
        ael_json_skip_value(reader);
        break;
    }
}

static void read_record(struct ael_json_reader *reader, struct ael_key_record *raw) {
    static const char *const k_names[RECORD_MEMBERS] = {"Revoked", "Created", "Key", "ParentKeyMeta"};
    static const unsigned k_required = 1u << CREATED | 1u << KEY;
    size_t index = 0;
    unsigned seen = 0;
    int which = -1;
    if (!enter(reader, "M")) {
        fail(reader, "KeyRecord is NULL");
        return;
    }
    ael_json_enter_object(reader);
    while (ael_json_next_member(reader, &index, k_names, RECORD_MEMBERS, &seen, &which)) {
        read_record_member(reader, which, raw);
    }
    if ((seen & k_required) != k_required) {
        fail(reader, "KeyRecord lacks Created or Key");
    }
    leave(reader);
}

static void read_id(struct ael_json_reader *reader, struct ael_buf *id) {
    struct ael_bytes raw = read_text(reader);
    enum ael_status status = reader->status == AEL_OK ? ael_json_unescape(raw, id) : AEL_OK;
    if (status != AEL_OK) {
        (void)ael_json_fail(reader, status, "an Id that cannot be read");
    }
}

static void
read_members(struct ael_json_reader *reader, struct ael_dynamodb_item *item, struct ael_key_record *raw) {
    static const char *const k_names[] = {"Id", "Created", "KeyRecord"};
    size_t index = 0;
    unsigned seen = 0;
    int which = -1;
    ael_json_enter_object(reader);
    while (ael_json_next_member(reader, &index, k_names, 3, &seen, &which)) {
        if (which == 0) {
            read_id(reader, &item->id);
        } else if (which == 1) {
            item->created_s = read_number(reader);
            item->has_created = true;
        } else if (which == 2) {
            read_record(reader, raw);
        } else {
            ael_json_skip_value(reader);
        }
    }
    if ((seen & 4) == 0) {
        fail(reader, "the attribute KeyRecord is missing");
    }
}

static enum ael_status
decode(struct ael_json_reader *reader, const struct ael_key_record *raw, struct ael_key_record_buf *out) {
    size_t len = 0;
    enum ael_status status = ael_key_codec_decoded_len(reader, raw, &len);
    if (status == AEL_OK) {
        status = ael_buf_reserve(&out->storage, len);
    }
    return status == AEL_OK ? ael_key_codec_decode(reader, raw, &out->storage, &out->record) : status;
}

/* see metastore/dynamodb/item.h */
enum ael_status ael_dynamodb_item_read(
    struct ael_bytes json,
    struct ael_dynamodb_item *item,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    static const struct ael_buf k_empty = AEL_BUF_INIT;
    struct ael_json_reader reader;
    struct ael_key_record raw = {0};
    *item = (struct ael_dynamodb_item){.id = k_empty};
    ael_key_record_buf_clear(out);
    ael_json_reader_init(&reader, json);
    read_members(&reader, item, &raw);
    enum ael_status status = ael_json_finish(&reader);
    if (status == AEL_OK) {
        status = decode(&reader, &raw, out);
    }
    if (status == AEL_OK) {
        return AEL_OK;
    }
    ael_key_record_buf_clear(out);
    if (status == AEL_E_NO_MEMORY) {
        return ael_error_set(err, status, 0, AEL_DYNAMODB_COMPONENT, "no memory for a key record");
    }
    return ael_error_set(
        err, AEL_E_BACKEND_DATA, 0, AEL_DYNAMODB_COMPONENT, "an item is not a key record: %s",
        reader.problem == NULL ? "it cannot be decoded" : reader.problem);
}
