/*
 * ael/metastore_sqlite.h - key store in an SQLite file; link with ael::sqlite (libael-sqlite).
 *
 * Durable (WAL, synchronous FULL), shared by any number of processes on one machine, with rows as the Rust SDK
 * writes them, so that both can use one file. Writers take turns, whatever the process.
 *
 * A file that was moved away or replaced is noticed before anything but a load, before each load of
 * AEL_CONSISTENCY_PRIMARY and each that follows something else; another load may still answer from the old file for up to
 * 20 ms. Nothing is ever stored in it.
 *
 * A file that is made has mode 0600 (less the umask), and so have SQLite's files beside it. One that its group may write
 * or others may read is logged as a warning; one that others may write is refused.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_METASTORE_SQLITE_H
#define AEL_METASTORE_SQLITE_H

#include <ael/metastore.h>

struct ael_metastore_sqlite_options {
    size_t size;              /* sizeof(struct ael_metastore_sqlite_options) */
    const char *path;         /* a file; made when missing, together with the table */
    uint32_t busy_timeout_ms; /* how long to wait for another process's lock, inside the call's deadline */
    uint32_t max_connections; /* opened when first needed, 1 .. 64 */
};

#define AEL_METASTORE_SQLITE_OPTIONS_INIT {sizeof(struct ael_metastore_sqlite_options), NULL, 5000, 4}

AEL_BEGIN_DECLS

/**
 * Opens or makes the file and its table encryption_key.
 *
 * @return AEL_OK; AEL_E_ARGUMENT; AEL_E_NO_MEMORY; AEL_E_BACKEND (not a regular file, anybody may write it, not a
 *         database, a table that could lose keys, no room, no permission: err says what to do).
 * Ownership: the caller releases the handle. Threads: any.
 */
AEL_API AEL_MUST_CHECK enum ael_status ael_metastore_sqlite_new(
    const struct ael_metastore_sqlite_options *options,
    struct ael_metastore **metastore,
    struct ael_error *err);

AEL_END_DECLS

#endif /* AEL_METASTORE_SQLITE_H */
