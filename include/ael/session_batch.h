/*
 * ael/session_batch.h - many records in one call, and keys that are there before they are needed.
 *
 *     struct ael_encrypt_item items[1000] = {{.session = session, .plain = ..., .out = &records[0]}, ...};
 *     status = ael_batch_encrypt(items, 1000, NULL, &err);
 *
 * Items of several partitions, and of several factories, may stand in one array, in any order. Records that have the
 * same key share its look-up, one of the library's slots of protected memory and (from four on, where there is a place for
 * it) the opened key, up to AEL_BATCH_RUN_ITEMS neighbours or AEL_BATCH_RUN_BYTES of input at a time, so that a batch of
 * any length holds no slot for long. Each item ends with a status of its
 * own, its output as after the single call; one that fails leaves the others whole. Nothing is allocated but output
 * buffers that grow (and, to decrypt JSON, the records read from it).
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_SESSION_BATCH_H
#define AEL_SESSION_BATCH_H

#include <ael/session.h>

enum {
    AEL_BATCH_RUN_ITEMS = 32,
    AEL_BATCH_RUN_BYTES = 1 << 20, /* a longer item goes alone */
};

struct ael_encrypt_item {
    struct ael_session *session;
    struct ael_bytes plain;
    struct ael_record_buf *out; /* as in ael_session_encrypt; each item's own */
    enum ael_status status;     /* receives what came of it */
};

struct ael_encrypt_json_item {
    struct ael_session *session;
    struct ael_bytes plain;
    struct ael_buf *json; /* as in ael_session_encrypt_json; each item's own */
    enum ael_status status;
};

struct ael_decrypt_item {
    struct ael_session *session;
    const struct ael_record *record;
    struct ael_buf *plain; /* as in ael_session_decrypt; each item's own */
    enum ael_status status;
};

struct ael_decrypt_json_item {
    struct ael_session *session;
    struct ael_bytes json;
    struct ael_buf *plain; /* as in ael_session_decrypt_json; each item's own */
    enum ael_status status;
};

struct ael_warm_item {
    struct ael_bytes partition;
    enum ael_status status;
};

AEL_BEGIN_DECLS

/**
 * Encrypts payloads to records.
 *
 * @param items  count items; every status is set, and every output is full (AEL_OK) or empty.
 * @param call   of all items together; may be NULL. When it is over, the items that are left have AEL_E_TIMEOUT or
 *               AEL_E_CANCELLED.
 * @return AEL_OK (all of them); AEL_E_ARGUMENT (items is NULL; nothing was done); else the status of one item that
 *         failed, which err describes. Items have what ael_session_encrypt returns.
 * Threads: any; the items belong to the call.
 */
AEL_API AEL_MUST_CHECK enum ael_status ael_batch_encrypt(
    struct ael_encrypt_item *items,
    size_t count,
    const struct ael_call *call,
    struct ael_error *err);

/** As ael_batch_encrypt, to JSON. */
AEL_API AEL_MUST_CHECK enum ael_status ael_batch_encrypt_json(
    struct ael_encrypt_json_item *items,
    size_t count,
    const struct ael_call *call,
    struct ael_error *err);

/** As ael_batch_encrypt; items have what ael_session_decrypt returns. */
AEL_API AEL_MUST_CHECK enum ael_status ael_batch_decrypt(
    struct ael_decrypt_item *items,
    size_t count,
    const struct ael_call *call,
    struct ael_error *err);

/** As ael_batch_decrypt, from JSON. */
AEL_API AEL_MUST_CHECK enum ael_status ael_batch_decrypt_json(
    struct ael_decrypt_json_item *items,
    size_t count,
    const struct ael_call *call,
    struct ael_error *err);

/**
 * Loads the latest keys of partitions, one after the other, so that the next encrypts of their sessions find them; makes
 * keys that are not there yet or may not encrypt any more.
 *
 * @param items  count items; every status is set, to what ael_session_acquire and ael_session_encrypt return.
 * @param call   of all items together; may be NULL.
 * @return AEL_OK (all of them); AEL_E_ARGUMENT (nothing was done); AEL_E_UNSUPPORTED (the policy caches no
 *         intermediate keys, or neither shares them nor caches sessions; nothing was done); AEL_E_CLOSED;
 *         AEL_E_FORKED; else the status of one item that failed, which err describes.
 * Threads: any.
 */
AEL_API AEL_MUST_CHECK enum ael_status ael_session_factory_warm(
    struct ael_session_factory *factory,
    struct ael_warm_item *items,
    size_t count,
    const struct ael_call *call,
    struct ael_error *err);

AEL_END_DECLS

#endif /* AEL_SESSION_BATCH_H */
