/*
 * tests/support/postgres_server.h - a PostgreSQL server of the test's own: in a temporary folder, on a free port of the
 * loopback and on a Unix socket, with SCRAM and TLS, ended by its pid, and with the test at the latest.
 *
 * Where no server is installed these fail (scripts/install-needs installs it).
 * Layer: tests; public headers of libpq only.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_POSTGRES_SERVER_H
#define TESTS_SUPPORT_POSTGRES_SERVER_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define POSTGRES_USER "ael"
/* With what has a meaning in URLs, in quotes and in SQL. */
#define POSTGRES_PASSWORD     "s3\\c'r @/:?#&%=t"
#define POSTGRES_PASSWORD_URL "s3%5Cc%27r%20%40%2F%3A%3F%23%26%25%3Dt"

struct postgres_server {
    char folder[64]; /* data, socket, certificates (ca.pem, server.pem), log */
    int port;
    pid_t pid; /* 0 = does not run */
    const char *clock; /* how wrong its clock is when it is started next (tests/support/fake_clock.h); NULL = right */
};

/** Makes folder and database files, and starts the server. False, with a line on standard output, when that fails. */
bool postgres_server_init(struct postgres_server *server);

/** The same for a streaming standby of one that runs. */
bool postgres_server_init_standby(struct postgres_server *standby, const struct postgres_server *primary);

/** Starts it again, with one more setting ("name=value"; NULL = none), and waits until it answers. */
bool postgres_server_start(struct postgres_server *server, const char *setting);

/** Ends it by a signal: SIGINT as an administrator would, SIGKILL as a crash. Waits for its end. */
void postgres_server_end(struct postgres_server *server, int signal);

/** Makes a standby a primary, and waits until it is. */
bool postgres_server_promote(struct postgres_server *server);

/** Ends it and removes the folder. */
void postgres_server_clear(struct postgres_server *server);

/** Writes a connection string over the Unix socket. Returns out. */
const char *postgres_server_local(const struct postgres_server *server, char *out, size_t size);

/** A postgres:// URL over TCP with these further parameters, such as "sslmode=require"; "" = none. Returns out. */
const char *
postgres_server_url(const struct postgres_server *server, const char *parameters, char *out, size_t size);

/** Runs SQL as the superuser. Returns how many rows it gave or changed; -1 when it failed, with a line about it. */
long postgres_server_sql(const struct postgres_server *server, const char *sql);

/** Runs SQL that gives one value, and copies that. False when it gave none. */
bool postgres_server_value(const struct postgres_server *server, const char *sql, char *out, size_t size);

#endif /* TESTS_SUPPORT_POSTGRES_SERVER_H */
