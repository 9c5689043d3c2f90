/*
 * ael/metastore.h - the handle of a key store, and the one in memory.
 *
 * The memory store forgets everything at exit: records made with it cannot be read afterwards. For SQLite see
 * ael/metastore_sqlite.h; for a store of your own ael/sys/metastore_backend.h.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_METASTORE_H
#define AEL_METASTORE_H

#include <ael/bytes.h>
#include <ael/call.h>

/* A counted handle; safe for use by several threads. */
struct ael_metastore;

AEL_BEGIN_DECLS

/** Adds a holder and returns the same handle. Threads: any. */
AEL_API struct ael_metastore *ael_metastore_acquire(struct ael_metastore *metastore);

/** Drops a holder; the last one ends the backend. NULL is accepted. Threads: any. */
AEL_API void ael_metastore_release(struct ael_metastore *metastore);

/**
 * Makes a metastore in memory, for tests and trials.
 *
 * @return AEL_OK; AEL_E_ARGUMENT; AEL_E_NO_MEMORY. Ownership: the caller releases it. Threads: any.
 */
AEL_API AEL_MUST_CHECK enum ael_status ael_metastore_memory_new(struct ael_metastore **metastore);

/**
 * Marks a key as revoked: it still decrypts, and no process encrypts under it after its next check.
 *
 * @param key_id     of a system or intermediate key, as it stands in the store.
 * @param created_s  the key's created.
 * @return AEL_OK (also when it was revoked already); AEL_E_ARGUMENT; AEL_E_KEY_NOT_FOUND; AEL_E_UNSUPPORTED (the
 *         backend cannot replace); AEL_E_KEY_CONTENTION (somebody kept changing it); or the backend's failure.
 */
AEL_API AEL_MUST_CHECK enum ael_status ael_metastore_mark_revoked(
    struct ael_metastore *metastore,
    struct ael_bytes key_id,
    int64_t created_s,
    const struct ael_call *call,
    struct ael_error *err);

AEL_END_DECLS

#endif /* AEL_METASTORE_H */
