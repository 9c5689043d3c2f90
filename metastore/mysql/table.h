/*
 * metastore/mysql/table.h - a session's settings, and the table encryption_key as this database has
 * it.
 *
 * The SDKs' tables differ, and so do collations: which one it is, is looked up once a connection, and the
 * statements are made to fit.
 * Layer: metastore (libael-mysql). Threads: one at a time per connection.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_METASTORE_MYSQL_TABLE_H
#define AEL_METASTORE_MYSQL_TABLE_H

#include "metastore/mysql/conn.h"

/* What a host is told of, once. */
struct ael_my_server {
    bool is_read_only;
    bool flushes_lazily; /* innodb_flush_log_at_trx_commit is not 1 */
    bool is_not_utc;     /* its own time zone: clients that set none write created in it */
};

/**
 * Makes the settings of a connection that was opened just now.
 *
 * @param consistency  for aurora_replica_read_consistency; NULL = it is left alone.
 * @return as ael_my_run.
 */
AEL_MUST_CHECK enum ael_status ael_my_session_init(
    struct ael_my_conn *conn,
    const char *time_zone,
    const char *consistency,
    struct ael_my_server *server,
    struct ael_error *err);

/**
 * Looks the table up unless it is known.
 *
 * @return AEL_OK; AEL_E_BACKEND (it is missing, its columns are others, or no key over (id, created) makes
 *         rows unique); or as ael_my_run.
 */
AEL_MUST_CHECK enum ael_status ael_my_table_find(struct ael_my_conn *conn, struct ael_error *err);

/** Makes the table when it is missing. As ael_my_run. */
AEL_MUST_CHECK enum ael_status ael_my_table_ensure(struct ael_my_conn *conn, struct ael_error *err);

#endif /* AEL_METASTORE_MYSQL_TABLE_H */
