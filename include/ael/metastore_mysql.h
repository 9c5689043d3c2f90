/*
 * ael/metastore_mysql.h - key store in MariaDB 10.4 or MySQL 5.7 or later; link with ael::mysql (libael-mysql).
 *
 * Over MariaDB's client library, on the table encryption_key as Asherah's SDKs use it (docs/backends.md), so that all
 * can share it.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_METASTORE_MYSQL_H
#define AEL_METASTORE_MYSQL_H

#include <ael/metastore.h>

struct ael_metastore_mysql_options {
    size_t size; /* sizeof(struct ael_metastore_mysql_options) */

    /*
     * Either a URL, percent-encoded: mysql://user:password@host:3306,host2:3306/database?tls=true, or what Go's driver
     * takes: user:password@tcp(host:3306,host2:3306)/database?tls=true. A Unix socket is user@unix(/path)/database, or
     * socket=/path in a URL. Hosts are tried in their order. Copied; wiped with the handle.
     *
     * Parameters: tls = true (where it is left out: the server's certificate and name are verified), skip-verify or
     * false; ssl-ca, ssl-cert and ssl-key name PEM files (without ssl-ca the system's authorities count); timeout to
     * connect, readTimeout and writeTimeout for an answer, as in 5s or 500ms, in place of the limits below; time_zone of
     * the session ('+00:00' where it is left out), in which created is written and read.
     */
    const char *connection;

    uint32_t
        max_connections; /* 1 .. 1024, opened when first needed; as many again for reads that may be answered by
                                    a replica, where replica_read_consistency lets them */
    uint32_t connect_timeout_ms; /* for one host, inside the call's deadline */
    uint32_t answer_timeout_ms;  /* a server that is silent for so long counts as unreachable */
    uint32_t idle_limit_ms;      /* connections idle for longer are closed; 0 = never */
    uint32_t life_limit_ms;      /* and those open for longer, when they are next idle; 0 = never */

    /*
     * For a reader of Amazon Aurora with write forwarding: "eventual", "session" or "global", how far behind the writer
     * reads may be that the library leaves to any server. Those that must see the present state are "global" always.
     * NULL = not Aurora, or its writer.
     */
    const char *replica_read_consistency;
};

#define AEL_METASTORE_MYSQL_OPTIONS_INIT                                                                     \
    { sizeof(struct ael_metastore_mysql_options), NULL, 8, 5000, 5000, 300000, 1800000, NULL }

AEL_BEGIN_DECLS

/**
 * Connects to the database; the table may be missing until ael_metastore_ensure_schema makes it.
 *
 * @return AEL_OK; AEL_E_ARGUMENT (an option out of range, a connection string that cannot be read: its text is never
 *         repeated); AEL_E_NO_MEMORY; AEL_E_SYSTEM; AEL_E_UNREACHABLE (no host of the list answered and takes writes,
 *         or its certificate is not good); AEL_E_BACKEND (log-in refused, no such database, a table of another shape).
 * Ownership: the caller releases the handle. Threads: any.
 */
AEL_API AEL_MUST_CHECK enum ael_status ael_metastore_mysql_new(
    const struct ael_metastore_mysql_options *options,
    struct ael_metastore **metastore,
    struct ael_error *err);

AEL_END_DECLS

#endif /* AEL_METASTORE_MYSQL_H */
