/*
 * appencryption/edge_calls.h - the factory's metastore and KMS, with a count of the calls made to them.
 * Layer: appencryption. Threads: any. No lock and no scratch slot is held while one of these is called.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_APPENCRYPTION_EDGE_CALLS_H
#define AEL_APPENCRYPTION_EDGE_CALLS_H

#include <ael/secret.h>
#include <ael/sys/kms_backend.h>
#include <ael/sys/metastore_backend.h>
#include <stdatomic.h>

struct ael_edges {
    struct ael_metastore *metastore;
    struct ael_kms *kms;
    /* Sums only, so relaxed order is enough. */
    atomic_uint_least64_t loads, loads_latest, stores, encrypts, decrypts;
};

/** Loads (id, created); see the metastore's load. */
AEL_MUST_CHECK enum ael_status ael_edges_load(
    struct ael_edges *edges, const struct ael_call *call, enum ael_consistency consistency, struct ael_bytes id,
    int64_t created_s, struct ael_key_record_buf *out, struct ael_error *err);

/** Loads the latest key of an id as the primary has it. */
AEL_MUST_CHECK enum ael_status ael_edges_load_latest(
    struct ael_edges *edges, const struct ael_call *call, struct ael_bytes id, struct ael_key_record_buf *out,
    struct ael_error *err);

enum { AEL_STORE_ATTEMPTS = 5 };

/**
 * Stores a new key record and makes sure of the outcome: where it is unknown (AEL_E_OUTCOME_UNKNOWN, AEL_E_TIMEOUT,
 * AEL_E_UNREACHABLE), (id, created) is read back from the primary: an equal record is ours, another one is a lost race,
 * none means that the store is tried again.
 *
 * @param stored  true only when the record is durably there.
 * @return AEL_OK; AEL_E_OUTCOME_UNKNOWN (also after AEL_STORE_ATTEMPTS); or the metastore's failure.
 */
AEL_MUST_CHECK enum ael_status ael_edges_store(
    struct ael_edges *edges, const struct ael_call *call, struct ael_bytes id, const struct ael_key_record *record,
    bool *stored, struct ael_error *err);

/**
 * Encrypts and decrypts a system key; see the KMS's members.
 *
 * @return AEL_OK; AEL_E_KMS (also for a status that is none of a KMS); AEL_E_UNREACHABLE; AEL_E_TIMEOUT;
 *         AEL_E_CANCELLED; AEL_E_BACKEND; AEL_E_CLOSED, AEL_E_FORKED (of secrets); any of class 5.
 */
AEL_MUST_CHECK enum ael_status ael_edges_encrypt_key(
    struct ael_edges *edges, const struct ael_call *call, struct ael_secret *key, struct ael_buf *out,
    struct ael_error *err);
AEL_MUST_CHECK enum ael_status ael_edges_decrypt_key(
    struct ael_edges *edges, const struct ael_call *call, struct ael_bytes encrypted, struct ael_secret **key,
    struct ael_error *err);

#endif /* AEL_APPENCRYPTION_EDGE_CALLS_H */
