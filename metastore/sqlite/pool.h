/*
 * metastore/sqlite/pool.h - at most so many connections to one file, lent for the length of a call.
 *
 * Connections are opened when first needed. Who comes when all are lent waits until its call is over.
 * Layer: metastore (libael-sqlite). Threads: any; locks inside.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_METASTORE_SQLITE_POOL_H
#define AEL_METASTORE_SQLITE_POOL_H

#include "metastore/sqlite/conn.h"

struct ael_sqlite_pool;

/* What a connection is lent for. */
enum ael_sqlite_use { AEL_SQLITE_USE_LOAD, AEL_SQLITE_USE_OTHER };

/**
 * Makes a pool; its first connection makes file and table.
 *
 * @param path             copied; made absolute, so that a later chdir does not matter.
 * @param max_connections  1 or more.
 * @return AEL_OK; AEL_E_NO_MEMORY; AEL_E_SYSTEM; or as ael_sqlite_failed.
 */
AEL_MUST_CHECK enum ael_status ael_sqlite_pool_new(
    const char *path,
    uint32_t busy_timeout_ms,
    uint32_t max_connections,
    struct ael_sqlite_pool **pool,
    struct ael_error *err);

/**
 * Closes the connections, none of which may be lent. In a child that was not told of the fork it leaves
 * them.
 */
void ael_sqlite_pool_free(struct ael_sqlite_pool *pool);

/**
 * Lends a connection for a call.
 *
 * @param use  AEL_SQLITE_USE_LOAD: a look of a moment ago (watch.h) that the open file is the one at the path
 *             may do, unless the call is of AEL_CONSISTENCY_PRIMARY; AEL_SQLITE_USE_OTHER: it never does.
 *
 * Not to be called in a child that no fork handler ran in: the library refuses there what comes to a
 * metastore.
 *
 * @return AEL_OK; AEL_E_TIMEOUT; AEL_E_CANCELLED; AEL_E_FORKED (in a child, of what its parent had lent);
 *         AEL_E_NO_MEMORY; or as ael_sqlite_failed.
 */
AEL_MUST_CHECK enum ael_status ael_sqlite_pool_borrow(
    struct ael_sqlite_pool *pool,
    const struct ael_call *call,
    enum ael_sqlite_use use,
    struct ael_sqlite_conn **conn,
    struct ael_error *err);

/**
 * Takes a connection back, ending what is open on it; a broken one is closed.
 *
 * @return true: a wait for the file's lock was ended for a fork's sake. Where the status is AEL_E_TIMEOUT
 *         nothing was written, and the call is to begin again, behind the fork.
 */
bool ael_sqlite_pool_return(struct ael_sqlite_pool *pool, struct ael_sqlite_conn *conn);

/**
 * Waits until nothing is lent, but 5 s at most, closes every connection that is not, and lends none until one
 * of the two below is called. What is lent all the same goes on in the parent; in the child the store then
 * answers AEL_E_FORKED. In a process whose pool it is not, they do nothing.
 */
void ael_sqlite_pool_before_fork(struct ael_sqlite_pool *pool);
void ael_sqlite_pool_after_fork_parent(struct ael_sqlite_pool *pool);
void ael_sqlite_pool_after_fork_child(struct ael_sqlite_pool *pool);

#endif /* AEL_METASTORE_SQLITE_POOL_H */
