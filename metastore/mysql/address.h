/*
 * metastore/mysql/address.h - where the database is and how it is spoken to, out of the user's
 * connection string: a mysql:// URL, or what Go's driver takes
 * ("user:password@tcp(host:port)/database?tls=true").
 *
 * Texts of the connection string appear in no error, for a part of a password may stand anywhere in one that
 * is mistyped. Layer: metastore (libael-mysql). Threads: immutable once made.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_METASTORE_MYSQL_ADDRESS_H
#define AEL_METASTORE_MYSQL_ADDRESS_H

#include <ael/sys/error.h>

#include <stdbool.h>
#include <stddef.h>

#define AEL_MY_COMPONENT "metastore/mysql"

enum { AEL_MY_HOSTS_MAX = 32 };

struct ael_my_host {
    const char *name; /* or the path of a Unix socket */
    unsigned port;
    bool is_local; /* a Unix socket: no TLS */
};

enum ael_my_tls { AEL_MY_TLS_VERIFY, AEL_MY_TLS_SKIP_VERIFY, AEL_MY_TLS_OFF };

/* Texts are never NULL, but for those said to be. */
struct ael_my_address {
    char *text; /* what the texts point into */
    size_t size;
    struct ael_my_host hosts[AEL_MY_HOSTS_MAX];
    size_t host_count;
    const char *user;
    const char *password;
    const char *database;
    enum ael_my_tls tls;
    const char *ca; /* files; NULL = the system's authorities */
    const char *certificate;
    const char *key;
    const char *time_zone;       /* in which created is written and read */
    uint32_t connect_timeout_ms; /* 0 = not set */
    uint32_t answer_timeout_ms;  /* 0 = not set */
};

/**
 * Reads a connection string.
 *
 * @return AEL_OK; AEL_E_ARGUMENT; AEL_E_NO_MEMORY. On failure nothing is left.
 * Ownership: ael_my_address_clear.
 */
AEL_MUST_CHECK enum ael_status
ael_my_address_init(struct ael_my_address *address, const char *text, struct ael_error *err);

/** Wipes and frees; may be repeated. */
void ael_my_address_clear(struct ael_my_address *address);

/** Tells that some host is reached without TLS, or without its certificate being checked. NULL: neither. */
const char *ael_my_address_weakness(const struct ael_my_address *address);

/** Replaces the password in a text of the client library's by stars; should not be there, but must not. */
void ael_my_address_redact(const struct ael_my_address *address, char *text);

#endif /* AEL_METASTORE_MYSQL_ADDRESS_H */
