/*
 * metastore/postgres/address.h - where the database is and how it is spoken to: the user's
 * connection string with libpq's environment and our defaults, as a list of hosts that are tried one by one.
 *
 * libpq would try a list of hosts itself, but without a limit of time on each, when it is used without
 * blocking. Texts of the connection string appear in no error, for a part of a password may stand anywhere in
 * one that is mistyped.
 * Layer: metastore (libael-postgres). Threads: immutable once made.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_METASTORE_POSTGRES_ADDRESS_H
#define AEL_METASTORE_POSTGRES_ADDRESS_H

#include <ael/sys/error.h>

#include <libpq-fe.h>
#include <stddef.h>

#define AEL_PG_COMPONENT "metastore/postgres"

enum { AEL_PG_HOSTS_MAX = 32, AEL_PG_PARAMETERS_MAX = 64 };

/* Each may be empty: libpq then has a default. */
struct ael_pg_host {
    const char *name;
    const char *address;
    const char *port;
};

/* Which servers will do, as libpq's target_session_attrs. */
enum ael_pg_target { AEL_PG_WRITES, AEL_PG_READS };

struct ael_pg_address {
    PQconninfoOption *given;    /* by the connection string */
    PQconninfoOption *defaults; /* by service file and environment, and compiled in */
    char *lists[3];             /* what hosts points into */
    struct ael_pg_host hosts[AEL_PG_HOSTS_MAX];
    size_t host_count;
    const char *sslmode;
    const char *writes;          /* target_session_attrs of connections that write */
    const char *reads;           /* of those that only read; NULL = no others than those that write */
    uint32_t connect_timeout_ms; /* 0 = not set */
};

/* For PQconnectStartParams. */
struct ael_pg_parameters {
    const char *keywords[AEL_PG_PARAMETERS_MAX + 1];
    const char *values[AEL_PG_PARAMETERS_MAX + 1];
    size_t count;
};

/**
 * Reads a connection string.
 *
 * @param text  a URL or keywords; NULL = "".
 * @return AEL_OK; AEL_E_ARGUMENT; AEL_E_NO_MEMORY. On failure nothing is left.
 * Ownership: ael_pg_address_clear.
 */
AEL_MUST_CHECK enum ael_status
ael_pg_address_init(struct ael_pg_address *address, const char *text, struct ael_error *err);

/** Wipes and frees; may be repeated. */
void ael_pg_address_clear(struct ael_pg_address *address);

/** Fills the parameters for one host; they borrow the address. */
void ael_pg_address_parameters(
    const struct ael_pg_address *address,
    size_t host,
    const char *target_session_attrs,
    struct ael_pg_parameters *out);

/** Tells whether a host is reached over a Unix socket, where there is no TLS. */
bool ael_pg_host_is_local(const struct ael_pg_host *host);

/** Tells that some host is reached without TLS, or without its certificate being checked. NULL: neither. */
const char *ael_pg_address_weakness(const struct ael_pg_address *address);

/** Replaces the password in a text of libpq's by stars; should not be there, but must not. */
void ael_pg_address_redact(const struct ael_pg_address *address, char *text);

#endif /* AEL_METASTORE_POSTGRES_ADDRESS_H */
