/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/session/session_parts.h"

#include "appencryption/envelope.h"
#include "base/base64.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/hooks.h"
#include "base/wipe.h"

#include <string.h>

static const char k_component[] = "session";

enum {
    /* JSON of 65 MiB of data, in base64: what ael_record_from_json reads, and the default payload with some room. */
    JSON_MAX_BYTES = 65 * 1024 * 1024 * 4 / 3,
    STACK_BYTES = 4096, /* a record read from JSON up to this long takes no memory from the heap */
};

/* What comes after the data in a record's JSON, and after the empty data of a record without. */
static const char k_tail[] = "\"}";

static void describe(
    const struct ael_session *session, int64_t parent_created_s, size_t plain_len, int64_t now_s, struct ael_json_work *work) {
    work->data_len = plain_len + AEL_SEALED_OVERHEAD_BYTES;
    work->record = (struct ael_record){
        .key = {work->key, sizeof work->key},
        .created_s = now_s,
        .has_parent = true,
        .parent_key_id = ael_session_id(session),
        .parent_created_s = parent_created_s,
    };
    struct ael_record whole = work->record;
    whole.data.len = work->data_len;
    work->total = ael_record_json_bound(&whole);
}

/* Writes the base64 of the ciphertext, which ends where json's room ends, from the front; it never catches up. */
static void encode_tail(struct ael_buf *json, const struct ael_json_work *work) {
    ael_base64_encode(work->data, work->data_len, (char *)json->data + json->len);
    json->len += ael_base64_encoded_len(work->data_len);
    memcpy(json->data + json->len, k_tail, sizeof k_tail - 1);
    json->len += sizeof k_tail - 1;
}

/* see appencryption/session/session_parts.h */
enum ael_status ael_session_write_json(
    const struct ael_json_work *work, struct ael_buf *json, struct ael_error *err) {
    enum ael_status status = ael_record_to_json(&work->record, json);
    if (status != AEL_OK) {
        return ael_error_set(err, status, 0, k_component, "the record's JSON: %s", ael_status_text(status));
    }
    json->len -= sizeof k_tail - 1;
    encode_tail(json, work);
    return AEL_OK;
}

/* see appencryption/session/session_parts.h */
enum ael_status ael_session_lay_out_json(
    const struct ael_session *session, const struct ael_cached_key *key, size_t plain_len, int64_t now_s,
    struct ael_buf *json, struct ael_json_work *work, struct ael_error *err) {
    describe(session, ael_crypto_key_created_s(key->key), plain_len, now_s, work);
    enum ael_status status = work->total > JSON_MAX_BYTES ? AEL_E_TOO_LARGE : ael_buf_reserve(json, work->total);
    if (status != AEL_OK) {
        return ael_error_set(err, status, 0, k_component, "the JSON takes %zu bytes", work->total);
    }
    work->data = json->data + work->total - work->data_len;
    return AEL_OK;
}

static enum ael_status seal_json(
    struct ael_session *session, struct ael_cached_key *key, struct ael_bytes plain, struct ael_buf *json,
    const struct ael_session_call *call, struct ael_error *err) {
    struct ael_json_work work;
    AEL_TRY(ael_session_lay_out_json(session, key, plain.len, call->now_s, json, &work, err));
    enum ael_status status = ael_envelope_seal(key->key, plain, &call->call, work.data, work.key);
    if (status != AEL_OK) {
        return ael_error_set(
            err, status, 0, k_component, "the payload could not be encrypted: %s", ael_status_text(status));
    }
    return ael_session_write_json(&work, json, err);
}

/* see appencryption/session/session_parts.h */
enum ael_status ael_session_seal_json_begun(
    struct ael_session *session, struct ael_bytes plain, struct ael_buf *json, struct ael_session_call *begun,
    struct ael_error *err) {
    struct ael_key_loan loan;
    AEL_TRY(ael_session_latest_key(session, begun, &loan, err));
    enum ael_status status = seal_json(session, loan.key, plain, json, begun, err);
    ael_session_end_loan(&loan, status);
    return status;
}

static enum ael_status encrypt_json(
    struct ael_session *session, struct ael_bytes plain, struct ael_buf *json, const struct ael_call *call,
    struct ael_error *err) {
    struct ael_session_call begun;
    AEL_TRY(ael_session_check_payload(session, plain, err));
    AEL_TRY(ael_session_begin_call(session, call, &begun, err));
    return ael_session_seal_json_begun(session, plain, json, &begun, err);
}

/* see ael/session.h */
enum ael_status ael_session_encrypt_json(
    struct ael_session *session, struct ael_bytes plain, struct ael_buf *json, const struct ael_call *call,
    struct ael_error *err) {
    if (session == NULL || json == NULL) {
        if (json != NULL) {
            ael_session_empty(json);
        }
        return ael_error_set(err, AEL_E_ARGUMENT, 0, k_component, "session or json is NULL");
    }
    int64_t start = ael_metric_start();
    size_t held = ael_session_set_aside(json);
    enum ael_status status = encrypt_json(session, plain, json, call, err);
    ael_session_wipe_rest(json, held, status);
    ael_metric_timer("ael.drr.encrypt", start);
    ael_metric_failure(AEL_METRIC_SOURCE_ENCRYPT, status);
    return status;
}

/* see ael/session.h */
size_t ael_session_json_bound(const struct ael_session *session, size_t plain_len) {
    size_t data_len = 0;
    if (session == NULL || !ael_add_size(plain_len, AEL_SEALED_OVERHEAD_BYTES, &data_len)) {
        return SIZE_MAX;
    }
    static const uint8_t k_key[AEL_SEALED_KEY_BYTES] = {0};
    struct ael_record record = {
        .data = {NULL, data_len},
        .key = {k_key, sizeof k_key},
        .created_s = INT64_MIN, /* the longest of all numbers */
        .has_parent = true,
        .parent_key_id = ael_session_id(session),
        .parent_created_s = INT64_MIN,
    };
    return ael_record_json_bound(&record);
}

/* Base64 of the largest payload, and 1 MiB for all the rest. */
static uint64_t json_limit(const struct ael_session *session) {
    return ((uint64_t)session->factory->rules.max_payload + (1u << 20)) / 3 * 4 + 4;
}

/* see appencryption/session/session_parts.h */
enum ael_status ael_session_read_json(
    const struct ael_session *session, struct ael_bytes json, struct ael_record_buf *record, struct ael_error *err) {
    if (json.len > json_limit(session)) {
        return ael_error_set(err, AEL_E_TOO_LARGE, 0, k_component, "the JSON is longer than max_payload can make it");
    }
    return ael_record_from_json(json, record, err);
}

static enum ael_status read_and_open(
    struct ael_session *session, struct ael_bytes json, struct ael_record_buf *record, struct ael_buf *plain,
    const struct ael_call *call, struct ael_error *err) {
    enum ael_status status = ael_session_read_json(session, json, record, err);
    if (status == AEL_OK) {
        status = ael_session_open_record(session, &record->record, plain, call, err);
    }
    ael_record_buf_clear(record);
    return status;
}

/* Nothing in a record is secret, so it may lie on the stack; there is always room for it, as it is shorter than its JSON. */
static enum ael_status decrypt_short_json(
    struct ael_session *session, struct ael_bytes json, struct ael_buf *plain, const struct ael_call *call,
    struct ael_error *err) {
    uint8_t storage[STACK_BYTES];
    struct ael_record_buf record = AEL_RECORD_BUF_INIT;
    ael_buf_init_fixed(&record.storage, storage, sizeof storage);
    return read_and_open(session, json, &record, plain, call, err);
}

static enum ael_status decrypt_json(
    struct ael_session *session, struct ael_bytes json, struct ael_buf *plain, const struct ael_call *call,
    struct ael_error *err) {
    struct ael_record_buf record = AEL_RECORD_BUF_INIT;
    AEL_TRY(ael_session_check_open(session, err));
    if (json.len <= STACK_BYTES) {
        return decrypt_short_json(session, json, plain, call, err);
    }
    return read_and_open(session, json, &record, plain, call, err);
}

/* see ael/session.h */
enum ael_status ael_session_decrypt_json(
    struct ael_session *session, struct ael_bytes json, struct ael_buf *plain, const struct ael_call *call,
    struct ael_error *err) {
    if (session == NULL || plain == NULL || !ael_session_is_payload(json)) {
        if (plain != NULL) {
            ael_session_empty(plain);
        }
        return ael_error_set(err, AEL_E_ARGUMENT, 0, k_component, "session, json or plain is NULL");
    }
    int64_t start = ael_metric_start();
    size_t held = ael_session_set_aside(plain);
    enum ael_status status = decrypt_json(session, json, plain, call, err);
    ael_session_wipe_rest(plain, held, status);
    ael_metric_timer("ael.drr.decrypt", start);
    status = ael_session_refuse(session, status, err);
    ael_metric_failure(AEL_METRIC_SOURCE_DECRYPT, status);
    return status;
}

static enum ael_status hand_over(
    ael_record_store_fn store, void *context, const struct ael_record *record, void **stored_as,
    struct ael_error *err) {
    enum ael_status status = store(context, record, stored_as);
    return status == AEL_OK ? AEL_OK
                            : ael_error_set(
                                err, AEL_E_CALLBACK, 0, k_component, "the store callback returned %s",
                                ael_status_name(status));
}

/* see ael/session.h */
enum ael_status ael_session_store(
    struct ael_session *session, struct ael_bytes plain, ael_record_store_fn store, void *context, void **key,
    const struct ael_call *call, struct ael_error *err) {
    struct ael_record_buf record = AEL_RECORD_BUF_INIT;
    void *stored_as = NULL;
    if (key != NULL) {
        *key = NULL;
    }
    if (session == NULL || store == NULL) {
        return ael_error_set(err, AEL_E_ARGUMENT, 0, k_component, "session or store is NULL");
    }
    enum ael_status status = ael_session_encrypt(session, plain, &record, call, err);
    if (status == AEL_OK) {
        status = hand_over(store, context, &record.record, &stored_as, err);
    }
    ael_record_buf_clear(&record);
    if (status == AEL_OK && key != NULL) {
        *key = stored_as;
    }
    return status;
}

static enum ael_status
fetch(ael_record_load_fn load, void *context, const void *key, struct ael_record_buf *record, struct ael_error *err) {
    enum ael_status status = load(context, key, record);
    if (status == AEL_OK) {
        return AEL_OK;
    }
    if (status == AEL_E_KEY_NOT_FOUND) {
        return ael_error_set(err, status, 0, k_component, "the load callback found no record");
    }
    return ael_error_set(
        err, AEL_E_CALLBACK, 0, k_component, "the load callback returned %s", ael_status_name(status));
}

/* see ael/session.h */
enum ael_status ael_session_load(
    struct ael_session *session, const void *key, ael_record_load_fn load, void *context, struct ael_buf *plain,
    const struct ael_call *call, struct ael_error *err) {
    struct ael_record_buf record = AEL_RECORD_BUF_INIT;
    if (plain != NULL) {
        ael_session_empty(plain);
    }
    if (session == NULL || load == NULL || plain == NULL) {
        return ael_error_set(err, AEL_E_ARGUMENT, 0, k_component, "session, load or plain is NULL");
    }
    AEL_TRY(ael_session_check_open(session, err));
    enum ael_status status = fetch(load, context, key, &record, err);
    if (status == AEL_OK) {
        status = ael_session_decrypt(session, &record.record, plain, call, err);
    }
    ael_record_buf_clear(&record);
    return status;
}
