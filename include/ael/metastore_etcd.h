/*
 * ael/metastore_etcd.h - key store in etcd 3.4 and later; link with ael::etcd (libael-etcd).
 *
 * A cluster that agrees on each write and goes on when it loses a node. No other SDK keeps its keys in etcd: the layout is
 * this library's own (docs/backends.md), the records are the JSON that all of them read. Every read is linearizable.
 *
 *     struct ael_metastore_etcd_options options = AEL_METASTORE_ETCD_OPTIONS_INIT;
 *     options.endpoints = "https://etcd1:2379,https://etcd2:2379,https://etcd3:2379";
 *     status = ael_metastore_etcd_new(&options, &metastore, &err);
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_METASTORE_ETCD_H
#define AEL_METASTORE_ETCD_H

#include <ael/metastore.h>

enum { AEL_METASTORE_ETCD_MAX_ENDPOINTS = 16 };

struct ael_metastore_etcd_options {
    size_t size; /* sizeof(struct ael_metastore_etcd_options) */

    /* Texts are copied. */
    const char *
        endpoints; /* URLs of the nodes of one cluster, with commas between: http://host:port, https://host */
    const char *prefix;      /* of the keys, before a slash: 1 .. 256 bytes without blanks; NULL = "ael" */
    const char *user;        /* NULL = etcd's authentication is off */
    const char *password;    /* of the user; may be NULL when user is */
    const char *ca_file;     /* PEM; NULL = the system's */
    const char *client_cert; /* PEM; NULL = none */
    const char *client_key;  /* PEM, without a passphrase; NULL = in client_cert */

    uint32_t max_connections;    /* 1 .. 256, opened when first needed */
    uint32_t connect_timeout_ms; /* inside answer_timeout_ms */
    uint32_t
        answer_timeout_ms; /* a node that is silent for so long counts as unreachable; inside the call's deadline */
    uint32_t max_retries; /* 0 .. 100, when each node was asked once and none did it; inside the deadline */
};

#define AEL_METASTORE_ETCD_OPTIONS_INIT                                                                      \
    { sizeof(struct ael_metastore_etcd_options), NULL, NULL, NULL, NULL, NULL, NULL, NULL, 16, 2000, 5000, 8 }

AEL_BEGIN_DECLS

/**
 * Makes the store. Nothing is sent yet: ael_metastore_health tells whether the cluster has a leader and the user may read
 * and write. There is no schema; ael_metastore_ensure_schema has nothing to make and is AEL_OK.
 *
 * @return AEL_OK; AEL_E_ARGUMENT (no endpoints, more than AEL_METASTORE_ETCD_MAX_ENDPOINTS, one that is no http or https
 *         URL of host and port; a user without a password, or with one that http:// would carry beyond this machine; another
 *         option out of range); AEL_E_NO_MEMORY; AEL_E_SYSTEM; AEL_E_UNSUPPORTED (a libcurl without TLS).
 * Ownership: the caller releases the handle. Threads: any.
 */
AEL_API AEL_MUST_CHECK enum ael_status ael_metastore_etcd_new(
    const struct ael_metastore_etcd_options *options,
    struct ael_metastore **metastore,
    struct ael_error *err);

AEL_END_DECLS

#endif /* AEL_METASTORE_ETCD_H */
