/*
 * ael/metastore_postgres.h - key store in PostgreSQL 12 or later; link with ael::postgres (libael-postgres).
 *
 * Over libpq, on the table encryption_key as the Go and the Rust SDK use it (docs/backends.md), so that all can share
 * it. What libpq offers for connections is offered here: TLS, SCRAM, service and password files, lists of hosts.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_METASTORE_POSTGRES_H
#define AEL_METASTORE_POSTGRES_H

#include <ael/metastore.h>

struct ael_metastore_postgres_options {
    size_t size; /* sizeof(struct ael_metastore_postgres_options) */

    /*
     * A postgres:// URL or keywords as in "host=db1,db2 dbname=keys user=service"; NULL or "" = what libpq finds in the
     * environment. Where it sets none: sslmode=verify-full (a Unix socket needs no TLS) and
     * target_session_attrs=read-write. Copied; wiped with the handle.
     */
    const char *connection;

    uint32_t max_connections;    /* 1 .. 1024, opened when first needed; as many again for reads that may be answered by
                                    a standby, where target_session_attrs asks for one */
    uint32_t connect_timeout_ms; /* for one host, inside the call's deadline; connect_timeout in connection wins */
    uint32_t answer_timeout_ms;  /* a server that is silent for so long counts as unreachable */
    uint32_t idle_limit_ms;      /* connections idle for longer are closed; 0 = never */
    uint32_t life_limit_ms;      /* and those open for longer, when they are next idle; 0 = never */
};

#define AEL_METASTORE_POSTGRES_OPTIONS_INIT                                                                   \
    {sizeof(struct ael_metastore_postgres_options), NULL, 8, 5000, 5000, 300000, 1800000}

AEL_BEGIN_DECLS

/**
 * Connects to the database; the table may be missing until ael_metastore_ensure_schema makes it.
 *
 * @return AEL_OK; AEL_E_ARGUMENT (an option out of range, a connection string that cannot be read: its text is never
 *         repeated); AEL_E_NO_MEMORY; AEL_E_SYSTEM; AEL_E_UNREACHABLE (no host of the list answered, or its certificate
 *         is not good); AEL_E_BACKEND (log-in refused, no such database, a table of another shape).
 * Ownership: the caller releases the handle. Threads: any.
 */
AEL_API AEL_MUST_CHECK enum ael_status ael_metastore_postgres_new(
    const struct ael_metastore_postgres_options *options,
    struct ael_metastore **metastore,
    struct ael_error *err);

AEL_END_DECLS

#endif /* AEL_METASTORE_POSTGRES_H */
