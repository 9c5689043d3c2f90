/* SPDX-License-Identifier: Apache-2.0 */
#include "base/key_canonical.h"

#include "base/base64.h"
#include "base/json_pieces.h"
#include "base/key_codec.h"
#include "base/utf8.h"

#include <ael/record.h>

static bool cut_parent(struct ael_json_rest *rest, struct ael_key_record *text) {
    if (!AEL_JSON_TAKE(rest, ",\"ParentKeyMeta\":{\"KeyId\":\"") ||
        !ael_json_take_plain(rest, &text->parent_id) || !AEL_JSON_TAKE(rest, "\",\"Created\":") ||
        !ael_json_take_number(rest, &text->parent_created_s) || !AEL_JSON_TAKE(rest, "}")) {
        return false;
    }
    text->has_parent = true;
    return text->parent_id.len <= AEL_ID_MAX_BYTES && ael_utf8_is_valid(text->parent_id);
}

/* text's views are the JSON's: the key in base64, the id, which has no escapes. */
static bool cut(struct ael_bytes json, struct ael_key_record *text) {
    struct ael_json_rest rest = {json.data, json.data + json.len};
    *text = (struct ael_key_record){.revoked = AEL_JSON_TAKE(&rest, "{\"Revoked\":true,\"Created\":")};
    if ((!text->revoked && !AEL_JSON_TAKE(&rest, "{\"Created\":")) ||
        !ael_json_take_number(&rest, &text->created_s) || !AEL_JSON_TAKE(&rest, ",\"Key\":\"") ||
        !ael_json_take_digits(&rest, &text->key) || !AEL_JSON_TAKE(&rest, "\"")) {
        return false;
    }
    bool is_end = AEL_JSON_TAKE(&rest, "}");
    return (is_end || (cut_parent(&rest, text) && AEL_JSON_TAKE(&rest, "}"))) && rest.at == rest.end;
}

/* see base/key_canonical.h */
bool ael_key_canonical_read(struct ael_bytes json, struct ael_key_record_buf *out) {
    struct ael_key_record text;
    size_t key_len = 0;
    if (json.len == 0 || !cut(json, &text) || ael_base64_decoded_len(text.key, &key_len) != AEL_OK ||
        key_len == 0 || key_len > AEL_KEY_RECORD_MAX_BYTES ||
        ael_buf_reserve(&out->storage, key_len + text.parent_id.len) != AEL_OK ||
        ael_base64_decode(text.key, out->storage.data) != AEL_OK) {
        return false;
    }
    out->record = text;
    out->record.key = (struct ael_bytes){out->storage.data, key_len};
    out->storage.len = key_len;
    out->record.parent_id = ael_key_codec_keep(&out->storage, text.parent_id);
    return true;
}
