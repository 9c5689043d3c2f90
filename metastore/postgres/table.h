/*
 * metastore/postgres/table.h - a session's settings, and the table encryption_key as this database
 * has it.
 *
 * The SDKs' tables differ: key_record is TEXT (Go), JSON or JSONB (Rust); created is TIMESTAMP, which is
 * taken for UTC, or TIMESTAMPTZ. Which one it is, is looked up once a connection, and the statements are made
 * to fit.
 * Layer: metastore (libael-postgres). Threads: one at a time per connection.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_METASTORE_POSTGRES_TABLE_H
#define AEL_METASTORE_POSTGRES_TABLE_H

#include "metastore/postgres/conn.h"

/* What a host is told of, once. */
struct ael_pg_durability {
    bool commits_lazily;   /* synchronous_commit is off */
    bool is_never_flushed; /* fsync is off */
};

/**
 * Makes the settings of a connection that was opened just now, and finds out whether it is pooled. As
 * ael_pg_run.
 */
AEL_MUST_CHECK enum ael_status
ael_pg_session_init(struct ael_pg_conn *conn, struct ael_pg_durability *durability, struct ael_error *err);

/**
 * Looks the table up unless it is known.
 *
 * @return AEL_OK; AEL_E_BACKEND (it is missing, its columns are others, or no key over (id, created) makes
 *         rows unique); or as ael_pg_run.
 */
AEL_MUST_CHECK enum ael_status ael_pg_table_find(struct ael_pg_conn *conn, struct ael_error *err);

/** Asks the server whether a table that is known still has the columns that statements were prepared for. */
bool ael_pg_table_is_as_found(struct ael_pg_conn *conn);

/** Makes the table when it is missing. As ael_pg_run. */
AEL_MUST_CHECK enum ael_status ael_pg_table_ensure(struct ael_pg_conn *conn, struct ael_error *err);

#endif /* AEL_METASTORE_POSTGRES_TABLE_H */
