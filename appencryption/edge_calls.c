/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/edge_calls.h"

static void count(atomic_uint_least64_t *total) {
    atomic_fetch_add_explicit(total, 1, memory_order_relaxed);
}

static struct ael_call with_consistency(const struct ael_call *call, enum ael_consistency consistency) {
    struct ael_call copy = *call;
    copy.consistency = consistency;
    return copy;
}

/* see appencryption/edge_calls.h */
enum ael_status ael_edges_load(
    struct ael_edges *edges, const struct ael_call *call, enum ael_consistency consistency, struct ael_bytes id,
    int64_t created_s, struct ael_key_record_buf *out, struct ael_error *err) {
    struct ael_call there = with_consistency(call, consistency);
    count(&edges->loads);
    return ael_metastore_load(edges->metastore, &there, id, created_s, out, err);
}

/* see appencryption/edge_calls.h */
enum ael_status ael_edges_load_latest(
    struct ael_edges *edges, const struct ael_call *call, struct ael_bytes id, struct ael_key_record_buf *out,
    struct ael_error *err) {
    struct ael_call there = with_consistency(call, AEL_CONSISTENCY_PRIMARY);
    count(&edges->loads_latest);
    return ael_metastore_load_latest(edges->metastore, &there, id, out, err);
}

static bool is_outcome_unknown(enum ael_status status) {
    return status == AEL_E_OUTCOME_UNKNOWN || status == AEL_E_TIMEOUT || status == AEL_E_UNREACHABLE;
}

/* What reading back tells about a store. */
enum trace {
    TRACE_OURS,
    TRACE_OTHERS,
    TRACE_NONE,
    TRACE_UNKNOWN,
};

static enum trace read_back(
    struct ael_edges *edges, const struct ael_call *call, struct ael_bytes id, const struct ael_key_record *record) {
    struct ael_key_record_buf found = AEL_KEY_RECORD_BUF_INIT;
    enum ael_status status =
        ael_edges_load(edges, call, AEL_CONSISTENCY_PRIMARY, id, record->created_s, &found, NULL);
    enum trace trace = status == AEL_E_KEY_NOT_FOUND ? TRACE_NONE : TRACE_UNKNOWN;
    if (status == AEL_OK) {
        trace = ael_key_record_equal(&found.record, record) ? TRACE_OURS : TRACE_OTHERS;
    }
    ael_key_record_buf_clear(&found);
    return trace;
}

/* One attempt; AEL_E_OUTCOME_UNKNOWN asks for another one when *absent. */
static enum ael_status store_once(
    struct ael_edges *edges, const struct ael_call *call, struct ael_bytes id, const struct ael_key_record *record,
    bool *stored, bool *absent, struct ael_error *err) {
    struct ael_call there = with_consistency(call, AEL_CONSISTENCY_PRIMARY);
    *absent = false;
    count(&edges->stores);
    enum ael_status status = ael_metastore_store(edges->metastore, &there, id, record, stored, err);
    if (status == AEL_OK || !is_outcome_unknown(status)) {
        return status;
    }
    enum trace trace = read_back(edges, call, id, record);
    *stored = trace == TRACE_OURS;
    *absent = trace == TRACE_NONE;
    return trace == TRACE_OURS || trace == TRACE_OTHERS ? AEL_OK : status;
}

/* see appencryption/edge_calls.h */
enum ael_status ael_edges_store(
    struct ael_edges *edges, const struct ael_call *call, struct ael_bytes id, const struct ael_key_record *record,
    bool *stored, struct ael_error *err) {
    enum ael_status status = AEL_OK;
    bool absent = true;
    *stored = false;
    for (int attempt = 0; absent && attempt < AEL_STORE_ATTEMPTS; attempt++) {
        status = store_once(edges, call, id, record, stored, &absent, err);
    }
    if (status != AEL_OK) {
        *stored = false;
    }
    return status;
}

/* Is the status one that the KMS's contract has: its own, and those of secrets? */
static bool is_of_kms(enum ael_status status) {
    switch (status) {
    case AEL_OK:
    case AEL_E_CLOSED:
    case AEL_E_FORKED:
    case AEL_E_BACKEND:
    case AEL_E_TIMEOUT:
    case AEL_E_CANCELLED:
    case AEL_E_UNREACHABLE:
    case AEL_E_KMS:
        return true;
    default:
        return (status >> 8) == 5;
    }
}

/* A KMS knows nothing of records and rows: any other status would be taken to tell about those. */
static enum ael_status end_kms_call(enum ael_status status, struct ael_error *err) {
    if (is_of_kms(status)) {
        return status;
    }
    struct ael_error given = {.status = status};
    if (err != NULL) {
        given = *err;
    }
    return ael_error_set(
        err, AEL_E_KMS, given.native_code, given.component, "the KMS answered %s: %s",
        ael_status_name(status), given.detail);
}

/* see appencryption/edge_calls.h */
enum ael_status ael_edges_encrypt_key(
    struct ael_edges *edges, const struct ael_call *call, struct ael_secret *key, struct ael_buf *out,
    struct ael_error *err) {
    count(&edges->encrypts);
    return end_kms_call(ael_kms_encrypt_key(edges->kms, call, key, out, err), err);
}

/* see appencryption/edge_calls.h */
enum ael_status ael_edges_decrypt_key(
    struct ael_edges *edges, const struct ael_call *call, struct ael_bytes encrypted, struct ael_secret **key,
    struct ael_error *err) {
    count(&edges->decrypts);
    return end_kms_call(ael_kms_decrypt_key(edges->kms, call, encrypted, key, err), err);
}
