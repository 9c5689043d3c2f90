/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/aws/envelope.h"

#include "base/base64.h"
#include "base/check.h"
#include "base/json.h"
#include "base/key_codec.h"

#include <string.h>

static const char k_component[] = "kms/aws";
static const char k_member_missing[] = "a member is missing";

/* ---- reading ---- */

static struct ael_bytes read_text(struct ael_json_reader *reader, struct ael_buf *storage) {
    struct ael_bytes raw = ael_json_read_raw_string(reader);
    size_t before = storage->len;
    if (reader->status == AEL_OK) {
        enum ael_status status = ael_json_unescape(raw, storage);
        if (status != AEL_OK) {
            (void)ael_json_fail(reader, status, "a text that cannot be read");
        }
    }
    return (struct ael_bytes){storage->data + before, storage->len - before};
}

static struct ael_bytes read_base64(struct ael_json_reader *reader, struct ael_buf *storage) {
    struct ael_bytes bytes = {NULL, 0};
    struct ael_bytes raw = ael_json_read_raw_string(reader);
    if (reader->status == AEL_OK && ael_key_codec_base64_decode(reader, raw, storage, &bytes) != AEL_OK) {
        (void)ael_json_fail(reader, AEL_E_FORMAT, "not canonical base64");
    }
    if (reader->status == AEL_OK && bytes.len == 0) {
        (void)ael_json_fail(reader, AEL_E_FORMAT, "an empty key");
    }
    return bytes;
}

static void read_kek(struct ael_json_reader *reader, struct ael_buf *storage, struct ael_kms_aws_kek *kek) {
    static const char *const k_names[] = {"region", "arn", "encryptedKek"};
    struct ael_json_members members;
    ael_json_members_begin(&members, reader, k_names, 3);
    while (ael_json_members_next(&members, reader)) {
        if (members.which == 0) {
            kek->region = read_text(reader, storage);
        } else if (members.which == 1) {
            kek->arn = read_text(reader, storage);
        } else {
            kek->encrypted = read_base64(reader, storage);
        }
    }
    if ((members.seen & 5u) != 5u) {
        (void)ael_json_fail(reader, AEL_E_FORMAT, k_member_missing);
    }
}

static void read_keks(struct ael_json_reader *reader, struct ael_kms_aws_envelope *out) {
    size_t index = 0;
    ael_json_enter_array(reader);
    while (ael_json_next_element(reader, &index)) {
        if (out->kek_count == AEL_KMS_AWS_KEKS_MAX) {
            (void)ael_json_fail(reader, AEL_E_FORMAT, "too many regions");
            return;
        }
        read_kek(reader, &out->storage, &out->keks[out->kek_count++]);
    }
}

static enum ael_status read_envelope(struct ael_json_reader *reader, struct ael_kms_aws_envelope *out) {
    static const char *const k_names[] = {"encryptedKey", "kmsKeks"};
    struct ael_json_members members;
    ael_json_members_begin(&members, reader, k_names, 2);
    while (ael_json_members_next(&members, reader)) {
        if (members.which == 0) {
            out->encrypted_key = read_base64(reader, &out->storage);
        } else {
            read_keks(reader, out);
        }
    }
    if (members.seen != 3u) {
        (void)ael_json_fail(reader, AEL_E_FORMAT, k_member_missing);
    }
    return ael_json_finish(reader);
}

/* see kms/aws/envelope.h */
enum ael_status
ael_kms_aws_envelope_parse(struct ael_bytes json, struct ael_kms_aws_envelope *out, struct ael_error *err) {
    struct ael_json_reader reader;
    out->encrypted_key = (struct ael_bytes){NULL, 0};
    out->kek_count = 0;
    memset(out->keks, 0, sizeof out->keks); /* mistakes: nothing in it is secret */
    out->storage = (struct ael_buf)AEL_BUF_INIT;
    /* All that is decoded is shorter than its text, so that no view moves. */
    enum ael_status status = ael_buf_reserve(&out->storage, json.len + 1);
    if (status != AEL_OK) {
        return ael_error_set(err, status, 0, k_component, "no memory for an envelope");
    }
    ael_json_reader_init(&reader, json);
    status = read_envelope(&reader, out);
    if (status == AEL_OK) {
        return AEL_OK;
    }
    ael_kms_aws_envelope_clear(out);
    if (status == AEL_E_NO_MEMORY) {
        return ael_error_set(err, status, 0, k_component, "no memory for an envelope");
    }
    return ael_error_set(
        err, AEL_E_KMS, 0, k_component,
        "the encrypted key is not an envelope of AWS KMS (%s, at byte %zu); was another KMS in use, or is it "
        "damaged?",
        reader.problem == NULL ? "not JSON" : reader.problem, reader.at);
}

/* see kms/aws/envelope.h */
const struct ael_kms_aws_kek *
ael_kms_aws_envelope_find(const struct ael_kms_aws_envelope *envelope, const char *region) {
    size_t len = strlen(region);
    for (size_t i = 0; i < envelope->kek_count; i++) {
        const struct ael_kms_aws_kek *kek = &envelope->keks[i];
        if (kek->region.len == len && memcmp(kek->region.data, region, len) == 0) {
            return kek;
        }
    }
    return NULL;
}

/* ---- writing ---- */

static enum ael_status put_text(struct ael_buf *out, const char *text) {
    return ael_buf_append(out, ael_bytes_from_text(text));
}

static enum ael_status put_string(struct ael_buf *out, struct ael_bytes text) {
    size_t len = ael_json_string_len(text);
    AEL_TRY(ael_buf_reserve(out, out->len + len));
    (void)ael_json_put_string(out->data + out->len, text);
    out->len += len;
    return AEL_OK;
}

static enum ael_status put_base64(struct ael_buf *out, struct ael_bytes bytes) {
    size_t len = ael_base64_encoded_len(bytes.len) + 2;
    AEL_TRY(ael_buf_reserve(out, out->len + len));
    (void)ael_json_put_base64(out->data + out->len, bytes);
    out->len += len;
    return AEL_OK;
}

static enum ael_status put_kek(struct ael_buf *out, const struct ael_kms_aws_kek *kek) {
    AEL_TRY(put_text(out, "{\"region\":"));
    AEL_TRY(put_string(out, kek->region));
    AEL_TRY(put_text(out, ",\"arn\":"));
    AEL_TRY(put_string(out, kek->arn));
    AEL_TRY(put_text(out, ",\"encryptedKek\":"));
    AEL_TRY(put_base64(out, kek->encrypted));
    return put_text(out, "}");
}

static enum ael_status put_envelope(struct ael_buf *out, const struct ael_kms_aws_envelope *envelope) {
    AEL_TRY(put_text(out, "{\"encryptedKey\":"));
    AEL_TRY(put_base64(out, envelope->encrypted_key));
    AEL_TRY(put_text(out, ",\"kmsKeks\":["));
    for (size_t i = 0; i < envelope->kek_count; i++) {
        if (i > 0) {
            AEL_TRY(put_text(out, ","));
        }
        AEL_TRY(put_kek(out, &envelope->keks[i]));
    }
    return put_text(out, "]}");
}

/* see kms/aws/envelope.h */
enum ael_status ael_kms_aws_envelope_write(const struct ael_kms_aws_envelope *envelope, struct ael_buf *out) {
    size_t before = out->len;
    enum ael_status status = put_envelope(out, envelope);
    if (status != AEL_OK) {
        out->len = before;
    }
    return status;
}

/* see kms/aws/envelope.h */
void ael_kms_aws_envelope_clear(struct ael_kms_aws_envelope *envelope) {
    ael_buf_clear(&envelope->storage);
    envelope->kek_count = 0;
}
