/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "base/key_canonical.h"
#include "base/key_codec.h"

#include <ael/sys/error.h>
#include <ael/sys/key_record.h>

#include <string.h>

static const char k_component[] = "base/key_record";

/* The longest key and an id all of escapes take some 46 KiB; the rest is for white space and unknown
 * members. */
enum { JSON_MAX_BYTES = 64 * 1024 };

/* see ael/sys/key_record.h */
enum ael_status ael_key_record_buf_set(struct ael_key_record_buf *out, const struct ael_key_record *record) {
    if (out == NULL) {
        return AEL_E_ARGUMENT;
    }
    out->storage.len = 0;
    out->record = (struct ael_key_record){0};
    enum ael_status status = record != NULL ? ael_key_codec_check(record) : AEL_E_ARGUMENT;
    if (status == AEL_OK) {
        size_t id_len = record->has_parent ? record->parent_id.len : 0;
        status = ael_buf_reserve(&out->storage, record->key.len + id_len);
    }
    if (status != AEL_OK) {
        ael_key_record_buf_clear(out);
        return status;
    }
    out->record = ael_key_codec_keep_record(&out->storage, record);
    return AEL_OK;
}

/* see ael/sys/key_record.h */
void ael_key_record_buf_clear(struct ael_key_record_buf *record) {
    if (record != NULL) {
        ael_buf_clear(&record->storage);
        record->record = (struct ael_key_record){0};
    }
}

static bool bytes_equal(struct ael_bytes a, struct ael_bytes b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* see ael/sys/key_record.h. Ciphertext and ids: nothing that a time could tell. */
bool ael_key_record_equal(const struct ael_key_record *a, const struct ael_key_record *b) {
    if (a->revoked != b->revoked || a->created_s != b->created_s || a->has_parent != b->has_parent ||
        !bytes_equal(a->key, b->key)) {
        return false;
    }
    return !a->has_parent ||
           (a->parent_created_s == b->parent_created_s && bytes_equal(a->parent_id, b->parent_id));
}

/* see ael/sys/key_record.h */
enum ael_status ael_key_record_to_json(const struct ael_key_record *record, struct ael_buf *json) {
    size_t len = 0;
    if (record == NULL || json == NULL) {
        return AEL_E_ARGUMENT;
    }
    AEL_TRY(ael_key_codec_check(record));
    if (!ael_add_size(json->len, ael_key_codec_json_len(record), &len)) {
        return AEL_E_TOO_LARGE;
    }
    AEL_TRY(ael_buf_reserve(json, len));
    json->len = (size_t)(ael_key_codec_put(json->data + json->len, record) - json->data);
    return AEL_OK;
}

static enum ael_status
read_record(struct ael_json_reader *reader, struct ael_bytes json, struct ael_key_record_buf *out) {
    struct ael_key_record text;
    size_t len = 0;
    if (ael_key_canonical_read(json, out)) {
        return AEL_OK;
    }
    out->storage.len = 0;
    ael_json_reader_init(reader, json);
    ael_key_codec_read(reader, &text);
    AEL_TRY(ael_json_finish(reader));
    AEL_TRY(ael_key_codec_decoded_len(reader, &text, &len));
    enum ael_status status = ael_buf_reserve(&out->storage, len);
    if (status != AEL_OK) {
        return ael_json_fail(reader, status, "no room for the record");
    }
    return ael_key_codec_decode(reader, &text, &out->storage, &out->record);
}

/* see ael/sys/key_record.h */
enum ael_status
ael_key_record_from_json(struct ael_bytes json, struct ael_key_record_buf *out, struct ael_error *err) {
    if (out == NULL) {
        return ael_error_set(err, AEL_E_ARGUMENT, 0, k_component, "out is NULL");
    }
    out->storage.len = 0;
    out->record = (struct ael_key_record){0};
    struct ael_json_reader reader = {.problem = "the text is NULL"};
    enum ael_status status = AEL_E_ARGUMENT;
    if (json.len > JSON_MAX_BYTES) {
        status = AEL_E_TOO_LARGE;
        reader.problem = "the text is too long";
    } else if (json.data != NULL || json.len == 0) {
        status = read_record(&reader, json, out);
    }
    if (status == AEL_OK) {
        return AEL_OK;
    }
    ael_key_record_buf_clear(out);
    return ael_error_set(err, status, 0, k_component, "%s, at byte %zu", reader.problem, reader.at);
}
