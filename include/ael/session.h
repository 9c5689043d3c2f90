/*
 * ael/session.h - session factories and sessions: encrypt and decrypt.
 *
 * One factory per service and product, made once; one session per partition (tenant, user), acquired when needed:
 * sessions are cheap, counted and cached.
 *
 *     struct ael_session *session = NULL;
 *     status = ael_session_acquire(factory, "tenant-42", &session, &err);
 *     struct ael_buf json = AEL_BUF_INIT;
 *     status = ael_session_encrypt_json(session, plain, &json, NULL, &err);
 *     ...
 *     ael_buf_clear(&json);
 *     ael_session_release(session);
 *
 * Threads: everything here is safe from several threads at once; each output buffer belongs to one call.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_SESSION_H
#define AEL_SESSION_H

#include <ael/call.h>
#include <ael/kms.h>
#include <ael/metastore.h>
#include <ael/policy.h>
#include <ael/record.h>

struct ael_session_factory;
struct ael_session; /* a counted handle */

struct ael_session_factory_options {
    size_t size;                          /* sizeof(struct ael_session_factory_options) */
    const char *service;                  /* 1 .. 1024 bytes of UTF-8 */
    const char *product;                  /* 1 .. 1024 bytes of UTF-8 */
    struct ael_metastore *metastore;      /* the factory takes a reference of its own */
    struct ael_kms *kms;                  /* the same */
    const struct ael_policy *policy;      /* NULL = AEL_POLICY_INIT */
    const char *region_suffix;            /* NULL = the metastore's own, if it has one; "" = none */
    const char *const *accepted_suffixes; /* further suffixes whose records decrypt here; may be NULL */
    size_t accepted_suffix_count;
    bool strict_ids;     /* refuse '_' in partition, service and product: (a_b, c) and (a, b_c) share ids */
    bool verbose_errors; /* tell refusals of a record apart, and name ids in errors */
};

#define AEL_SESSION_FACTORY_OPTIONS_INIT                                                                      \
    {sizeof(struct ael_session_factory_options), NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, false, false}

/* Calls made and answers found since the factory was made. */
struct ael_session_factory_stats {
    size_t size; /* in: sizeof(struct ael_session_factory_stats) */
    uint64_t system_key_hits, system_key_misses, system_key_stale, system_key_evictions;
    uint64_t intermediate_key_hits, intermediate_key_misses, intermediate_key_stale, intermediate_key_evictions;
    uint64_t session_hits, session_misses, session_evictions;
    uint64_t metastore_loads, metastore_loads_latest, metastore_stores;
    uint64_t kms_encrypts, kms_decrypts;
    size_t system_keys_cached, intermediate_keys_cached, sessions_cached;
    /* About what these take, as it counts against bounds in bytes (ael/policy.h): on the safe side. */
    size_t system_key_bytes, intermediate_key_bytes, session_bytes;
};

/*
 * Saves a record under a key of the caller's choosing, which it writes to *key (any pointer-sized value). The record
 * is valid during the call. A status other than AEL_OK comes back from ael_session_store as AEL_E_CALLBACK.
 */
typedef enum ael_status (*ael_record_store_fn)(void *context, const struct ael_record *record, void **key);

/*
 * Fetches the record that was stored under key, into out (ael_record_from_json, or ael_record_buf_set).
 * AEL_E_KEY_NOT_FOUND, and out left empty, mean that there is none.
 */
typedef enum ael_status (*ael_record_load_fn)(void *context, const void *key, struct ael_record_buf *out);

AEL_BEGIN_DECLS

/**
 * Makes a factory. No edge is called yet.
 *
 * @param factory  receives the factory; NULL on failure.
 * @return AEL_OK; AEL_E_ARGUMENT (err names the field); AEL_E_PARTITION (service or product missing, too long, not
 *         UTF-8, or '_' under strict_ids); AEL_E_NO_MEMORY; AEL_E_LOCK_LIMIT, AEL_E_RANDOM, AEL_E_PROTECTION or
 *         AEL_E_SYSTEM (protected memory); AEL_E_FORKED (a child made without fork handlers, as in all calls below).
 * Ownership: the caller frees it. Threads: any.
 */
AEL_API AEL_MUST_CHECK enum ael_status ael_session_factory_new(
    const struct ael_session_factory_options *options,
    struct ael_session_factory **factory,
    struct ael_error *err);

/**
 * Closes a factory and gives up the caller's hold. Sessions that are still held answer AEL_E_CLOSED from now on;
 * calls under way finish. Loads in the background (ael/session_try.h) are called off: their waits are over with
 * AEL_E_CLOSED, and their threads end before this returns; one whose backend goes on regardless for 5 s is left to end by
 * itself. Keys are wiped when the last session is released. NULL is accepted.
 */
AEL_API void ael_session_factory_free(struct ael_session_factory *factory);

/**
 * Reports cache and edge counts.
 *
 * @return AEL_OK; AEL_E_ARGUMENT. Threads: any; figures are not read at one instant.
 */
AEL_API AEL_MUST_CHECK enum ael_status
ael_session_factory_stats(struct ael_session_factory *factory, struct ael_session_factory_stats *stats);

/**
 * Gives the session of a partition, from the session cache or new. No edge is called.
 *
 * @param partition  1 .. AEL_ID_MAX_BYTES bytes in all with service, product and suffix; UTF-8 without NUL.
 * @return AEL_OK; AEL_E_ARGUMENT; AEL_E_PARTITION; AEL_E_CLOSED; AEL_E_NO_MEMORY.
 * Ownership: the caller releases it, once. Threads: any.
 */
AEL_API AEL_MUST_CHECK enum ael_status ael_session_acquire(
    struct ael_session_factory *factory,
    const char *partition,
    struct ael_session **session,
    struct ael_error *err);

/** As ael_session_acquire, for a partition that is not NUL-terminated. */
AEL_API AEL_MUST_CHECK enum ael_status ael_session_acquire_bytes(
    struct ael_session_factory *factory,
    struct ael_bytes partition,
    struct ael_session **session,
    struct ael_error *err);

/** Gives a session back; NULL is accepted. Threads: any. */
AEL_API void ael_session_release(struct ael_session *session);

/**
 * Encrypts a payload to a record.
 *
 * @param plain  0 .. max_payload bytes; unchanged.
 * @param out    its storage is emptied first; ael_session_record_bound tells what a fixed one must hold.
 * @param call   may be NULL.
 * @return AEL_OK: the keys that the record names are durably stored. AEL_E_ARGUMENT; AEL_E_TOO_LARGE;
 *         AEL_E_BUFFER_TOO_SMALL; AEL_E_CLOSED; AEL_E_KEY_CONTENTION; AEL_E_CLOCK; AEL_E_KEY_STALE;
 *         any of class 4 (from the edges) and class 5. On failure out is empty.
 */
AEL_API AEL_MUST_CHECK enum ael_status ael_session_encrypt(
    struct ael_session *session,
    struct ael_bytes plain,
    struct ael_record_buf *out,
    const struct ael_call *call,
    struct ael_error *err);

/**
 * Decrypts a record of this partition, also under expired and revoked keys.
 *
 * @param plain  emptied, then receives the payload; a fixed buffer needs record->data.len - 28 bytes.
 * @return AEL_OK; AEL_E_ARGUMENT; AEL_E_RECORD (not authentic, malformed, or of another partition: told apart as
 *         AEL_E_AUTHENTICATION, AEL_E_FORMAT and AEL_E_WRONG_PARTITION under verbose_errors);
 *         AEL_E_KEY_NOT_FOUND (the record names a key that the metastore does not have); AEL_E_BUFFER_TOO_SMALL;
 *         AEL_E_TOO_LARGE; AEL_E_CLOSED; any of class 4 and class 5. On failure plain is empty and wiped.
 */
AEL_API AEL_MUST_CHECK enum ael_status ael_session_decrypt(
    struct ael_session *session,
    const struct ael_record *record,
    struct ael_buf *plain,
    const struct ael_call *call,
    struct ael_error *err);

/** Encrypts a payload to a record in JSON; as ael_session_encrypt. json is emptied first. */
AEL_API AEL_MUST_CHECK enum ael_status ael_session_encrypt_json(
    struct ael_session *session,
    struct ael_bytes plain,
    struct ael_buf *json,
    const struct ael_call *call,
    struct ael_error *err);

/** Decrypts a record in JSON; as ael_session_decrypt. plain is emptied first. */
AEL_API AEL_MUST_CHECK enum ael_status ael_session_decrypt_json(
    struct ael_session *session,
    struct ael_bytes json,
    struct ael_buf *plain,
    const struct ael_call *call,
    struct ael_error *err);

/**
 * Encrypts a payload and hands the record to a callback that stores it.
 *
 * @param key  receives what the callback returned as key; may be NULL.
 * @return as ael_session_encrypt; AEL_E_CALLBACK.
 */
AEL_API AEL_MUST_CHECK enum ael_status ael_session_store(
    struct ael_session *session,
    struct ael_bytes plain,
    ael_record_store_fn store,
    void *context,
    void **key,
    const struct ael_call *call,
    struct ael_error *err);

/**
 * Fetches a record by a callback and decrypts it.
 *
 * @return as ael_session_decrypt; AEL_E_CALLBACK; AEL_E_KEY_NOT_FOUND (the callback found none).
 */
AEL_API AEL_MUST_CHECK enum ael_status ael_session_load(
    struct ael_session *session,
    const void *key,
    ael_record_load_fn load,
    void *context,
    struct ael_buf *plain,
    const struct ael_call *call,
    struct ael_error *err);

/** Returns the storage that ael_session_encrypt needs for plain_len bytes; SIZE_MAX on overflow. Threads: any. */
AEL_API size_t ael_session_record_bound(const struct ael_session *session, size_t plain_len);

/** Returns the buffer that ael_session_encrypt_json needs for plain_len bytes; SIZE_MAX on overflow. Threads: any. */
AEL_API size_t ael_session_json_bound(const struct ael_session *session, size_t plain_len);

AEL_END_DECLS

#endif /* AEL_SESSION_H */
