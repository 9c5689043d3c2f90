/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/record_canonical.h"

#include "base/base64.h"
#include "base/check.h"
#include "base/json_pieces.h"
#include "base/utf8.h"

#include <ael/sys/key_record.h>

#include <string.h>

/* see appencryption/record_canonical.h */
bool ael_record_canonical_cut(struct ael_bytes json, struct ael_record_parts *parts) {
    static const char k_end[] = "\"}";
    if (json.data == NULL || json.len < sizeof k_end - 1 ||
        memcmp(json.data + json.len - (sizeof k_end - 1), k_end, sizeof k_end - 1) != 0) {
        return false;
    }
    struct ael_json_rest rest = {json.data, json.data + json.len - (sizeof k_end - 1)};
    if (!AEL_JSON_TAKE(&rest, "{\"Key\":{\"Created\":") || !ael_json_take_number(&rest, &parts->created_s) ||
        !AEL_JSON_TAKE(&rest, ",\"Key\":\"") || !ael_json_take_plain(&rest, &parts->key_text) ||
        !AEL_JSON_TAKE(&rest, "\",\"ParentKeyMeta\":{\"KeyId\":\"") ||
        !ael_json_take_plain(&rest, &parts->parent_id) || !AEL_JSON_TAKE(&rest, "\",\"Created\":") ||
        !ael_json_take_number(&rest, &parts->parent_created_s) || !AEL_JSON_TAKE(&rest, "}},\"Data\":\"")) {
        return false;
    }
    parts->data_text = (struct ael_bytes){rest.at, (size_t)(rest.end - rest.at)};
    return parts->parent_id.len <= AEL_ID_MAX_BYTES && ael_utf8_is_valid(parts->parent_id);
}

/* What is decoded into storage, which has the room. A quote or an escape inside is no digit of base64. */
static enum ael_status
decode(struct ael_bytes text, size_t len, struct ael_buf *storage, struct ael_bytes *bytes) {
    *bytes = (struct ael_bytes){NULL, 0};
    if (text.len == 0) {
        return AEL_OK;
    }
    AEL_TRY(ael_base64_decode(text, storage->data + storage->len));
    *bytes = (struct ael_bytes){storage->data + storage->len, len};
    storage->len += len;
    return AEL_OK;
}

static struct ael_bytes keep(struct ael_bytes id, struct ael_buf *storage) {
    if (id.len == 0) {
        return (struct ael_bytes){NULL, 0};
    }
    memcpy(storage->data + storage->len, id.data, id.len);
    storage->len += id.len;
    return (struct ael_bytes){storage->data + storage->len - id.len, id.len};
}

/* see appencryption/record_canonical.h */
enum ael_status ael_record_canonical_read(struct ael_bytes json, struct ael_record_buf *out) {
    struct ael_record_parts parts;
    size_t key_len = 0;
    size_t data_len = 0;
    if (!ael_record_canonical_cut(json, &parts)) {
        return AEL_E_FORMAT;
    }
    AEL_TRY(ael_base64_decoded_len(parts.key_text, &key_len));
    AEL_TRY(ael_base64_decoded_len(parts.data_text, &data_len));
    if (key_len == 0 || key_len > AEL_KEY_RECORD_MAX_BYTES) {
        return AEL_E_FORMAT;
    }
    AEL_TRY(ael_buf_reserve(&out->storage, key_len + parts.parent_id.len + data_len));
    struct ael_record record = {
        .created_s = parts.created_s, .has_parent = true, .parent_created_s = parts.parent_created_s};
    AEL_TRY(decode(parts.key_text, key_len, &out->storage, &record.key));
    record.parent_key_id = keep(parts.parent_id, &out->storage);
    AEL_TRY(decode(parts.data_text, data_len, &out->storage, &record.data));
    out->record = record;
    return AEL_OK;
}
