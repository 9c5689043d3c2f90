/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/record_canonical.h"
#include "base/base64.h"
#include "base/check.h"
#include "base/key_codec.h"

#include <ael/sys/error.h>

static const char k_component[] = "appencryption/record";

/* Base64 of 65 MiB: the default payload limit, and 1 MiB for all the rest. */
enum { JSON_MAX_BYTES = 65 * 1024 * 1024 * 4 / 3 };

/* The canonical layout around the envelope key and the data. */
static const struct ael_bytes k_start = {(const uint8_t *)"{\"Key\":", 7};
static const struct ael_bytes k_data = {(const uint8_t *)",\"Data\":", 8};
static const struct ael_bytes k_end = {(const uint8_t *)"}", 1};

/* The part of a record that key records share with it. */
static struct ael_key_record envelope_of(const struct ael_record *record) {
    return (struct ael_key_record){
        .revoked = record->revoked,
        .created_s = record->created_s,
        .key = record->key,
        .has_parent = record->has_parent,
        .parent_id = record->parent_key_id,
        .parent_created_s = record->parent_created_s,
    };
}

static struct ael_record record_of(const struct ael_key_record *envelope, struct ael_bytes data) {
    return (struct ael_record){
        .data = data,
        .key = envelope->key,
        .created_s = envelope->created_s,
        .revoked = envelope->revoked,
        .has_parent = envelope->has_parent,
        .parent_key_id = envelope->parent_id,
        .parent_created_s = envelope->parent_created_s,
    };
}

static void reset(struct ael_record_buf *out) {
    out->storage.len = 0;
    out->record = (struct ael_record){0};
}

/* see ael/record.h */
void ael_record_buf_clear(struct ael_record_buf *record) {
    if (record != NULL) {
        ael_buf_clear(&record->storage);
        record->record = (struct ael_record){0};
    }
}

static enum ael_status check_record(const struct ael_record *record) {
    struct ael_key_record envelope = envelope_of(record);
    if (record->data.data == NULL && record->data.len > 0) {
        return AEL_E_ARGUMENT;
    }
    return ael_key_codec_check(&envelope);
}

/* Makes room for a copy of the record, which has been checked. */
static enum ael_status reserve_copy(struct ael_buf *storage, const struct ael_record *record) {
    size_t id_len = record->has_parent ? record->parent_key_id.len : 0;
    size_t len = 0;
    if (!ael_add_size(record->key.len + id_len, record->data.len, &len)) {
        return AEL_E_TOO_LARGE;
    }
    return ael_buf_reserve(storage, len);
}

/* see ael/record.h */
enum ael_status ael_record_buf_set(struct ael_record_buf *out, const struct ael_record *record) {
    if (out == NULL) {
        return AEL_E_ARGUMENT;
    }
    reset(out);
    enum ael_status status = record != NULL ? check_record(record) : AEL_E_ARGUMENT;
    if (status == AEL_OK) {
        status = reserve_copy(&out->storage, record);
    }
    if (status != AEL_OK) {
        ael_record_buf_clear(out);
        return status;
    }
    struct ael_key_record envelope = envelope_of(record);
    envelope = ael_key_codec_keep_record(&out->storage, &envelope);
    out->record = record_of(&envelope, ael_key_codec_keep(&out->storage, record->data));
    return AEL_OK;
}

/* see ael/record.h */
size_t ael_record_json_bound(const struct ael_record *record) {
    if (record == NULL) {
        return SIZE_MAX;
    }
    struct ael_key_record envelope = envelope_of(record);
    size_t total = k_start.len + k_data.len + sizeof("\"\"") - 1 + k_end.len;
    bool fits = ael_add_size(total, ael_key_codec_json_len(&envelope), &total) &&
                ael_add_size(total, ael_base64_encoded_len(record->data.len), &total);
    return fits ? total : SIZE_MAX;
}

static uint8_t *put_record(uint8_t *at, const struct ael_record *record) {
    struct ael_key_record envelope = envelope_of(record);
    at = ael_json_put(at, k_start);
    at = ael_key_codec_put(at, &envelope);
    at = ael_json_put(at, k_data);
    at = ael_json_put_base64(at, record->data);
    return ael_json_put(at, k_end);
}

/* see ael/record.h */
enum ael_status ael_record_to_json(const struct ael_record *record, struct ael_buf *json) {
    size_t len = 0;
    if (record == NULL || json == NULL || !record->has_parent) {
        return AEL_E_ARGUMENT;
    }
    AEL_TRY(check_record(record));
    size_t json_len = ael_record_json_bound(record);
    if (json_len > JSON_MAX_BYTES || !ael_add_size(json->len, json_len, &len)) {
        return AEL_E_TOO_LARGE;
    }
    AEL_TRY(ael_buf_reserve(json, len));
    json->len = (size_t)(put_record(json->data + json->len, record) - json->data);
    return AEL_OK;
}

/* What the reader found: texts that are still inside the JSON. */
struct record_text {
    struct ael_key_record envelope;
    struct ael_bytes data;
};

static enum ael_status read_text(struct ael_json_reader *reader, struct record_text *text) {
    static const char *const k_names[] = {"Key", "Data"};
    size_t index = 0;
    unsigned seen = 0;
    int which = -1;
    ael_json_enter_object(reader);
    while (ael_json_next_member(reader, &index, k_names, 2, &seen, &which)) {
        if (which == 0) {
            ael_key_codec_read(reader, &text->envelope);
        } else if (which == 1) {
            text->data = ael_json_read_raw_string(reader);
        } else {
            ael_json_skip_value(reader);
        }
    }
    if (seen != 3) {
        (void)ael_json_fail(reader, AEL_E_FORMAT, "a required member is missing");
    }
    return ael_json_finish(reader);
}

static enum ael_status
reserve_decoded(struct ael_json_reader *reader, const struct record_text *text, struct ael_buf *storage) {
    size_t key_len = 0;
    size_t data_len = 0;
    AEL_TRY(ael_key_codec_decoded_len(reader, &text->envelope, &key_len));
    AEL_TRY(ael_key_codec_base64_len(reader, text->data, &data_len));
    enum ael_status status = ael_buf_reserve(storage, key_len + data_len);
    return status == AEL_OK ? AEL_OK : ael_json_fail(reader, status, "no room for the record");
}

static enum ael_status
read_record(struct ael_json_reader *reader, struct ael_bytes json, struct ael_record_buf *out) {
    struct record_text text = {0};
    struct ael_key_record envelope;
    struct ael_bytes data;
    ael_json_reader_init(reader, json);
    AEL_TRY(read_text(reader, &text));
    AEL_TRY(reserve_decoded(reader, &text, &out->storage));
    AEL_TRY(ael_key_codec_decode(reader, &text.envelope, &out->storage, &envelope));
    AEL_TRY(ael_key_codec_base64_decode(reader, text.data, &out->storage, &data));
    out->record = record_of(&envelope, data);
    return AEL_OK;
}

/* Arguments first, then the text's length; nothing is looked at before. */
static enum ael_status check_text(struct ael_bytes json, struct ael_json_reader *reader) {
    if (json.len > JSON_MAX_BYTES) {
        reader->problem = "the text is too long";
        return AEL_E_TOO_LARGE;
    }
    reader->problem = "the text is NULL";
    return json.data != NULL || json.len == 0 ? AEL_OK : AEL_E_ARGUMENT;
}

static enum ael_status
from_json(struct ael_bytes json, bool canonical_first, struct ael_record_buf *out, struct ael_error *err) {
    if (out == NULL) {
        return ael_error_set(err, AEL_E_ARGUMENT, 0, k_component, "out is NULL");
    }
    reset(out);
    struct ael_json_reader reader = {.problem = NULL};
    enum ael_status status = check_text(json, &reader);
    if (status == AEL_OK && canonical_first && ael_record_canonical_read(json, out) == AEL_OK) {
        return AEL_OK;
    }
    if (status == AEL_OK) {
        reset(out);
        status = read_record(&reader, json, out);
    }
    if (status == AEL_OK) {
        return AEL_OK;
    }
    ael_record_buf_clear(out);
    return ael_error_set(err, status, 0, k_component, "%s, at byte %zu", reader.problem, reader.at);
}

/* see ael/record.h */
enum ael_status
ael_record_from_json(struct ael_bytes json, struct ael_record_buf *out, struct ael_error *err) {
    return from_json(json, true, out, err);
}

/* see appencryption/record_canonical.h */
enum ael_status
ael_record_general_read(struct ael_bytes json, struct ael_record_buf *out, struct ael_error *err) {
    return from_json(json, false, out, err);
}
