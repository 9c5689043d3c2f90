/*
 * tests/support/postgres_pgbouncer.h - a PgBouncer of the test's own before a PostgreSQL of its own: on a free port of
 * the loopback and on a Unix socket, with SCRAM and TLS, ended by its pid, and with the test at the latest.
 *
 *     struct pgbouncer bouncer;
 *     pgbouncer_init(&bouncer, &server, "pool_mode=transaction\n");
 *     pgbouncer_url(&bouncer, "sslmode=verify-full", url, sizeof url);
 *
 * Its files are in the server's folder and go with it. Where none is installed these fail
 * (scripts/install-needs installs it). Layer: tests; public headers of libpq only.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_POSTGRES_PGBOUNCER_H
#define TESTS_SUPPORT_POSTGRES_PGBOUNCER_H

#include "tests/support/postgres_server.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct pgbouncer {
    const struct postgres_server *server;
    int port;
    pid_t pid; /* 0 = does not run */
};

/**
 * Starts one; settings are lines of its file's section [pgbouncer]. False, with a line on standard output,
 * when that fails.
 */
bool pgbouncer_init(struct pgbouncer *bouncer, const struct postgres_server *server, const char *settings);

/** Starts it again on its port, with these settings alone, and waits until it answers. */
bool pgbouncer_start(struct pgbouncer *bouncer, const char *settings);

/** Ends it by a signal: SIGINT as an administrator would, SIGKILL as a crash. Waits for its end. */
void pgbouncer_end(struct pgbouncer *bouncer, int signal);

/** Runs a command of its administrators' console, such as "PAUSE". */
bool pgbouncer_command(const struct pgbouncer *bouncer, const char *command);

/** A postgres:// URL through it over TCP with these further parameters; "" = none. Returns out. */
const char *
pgbouncer_url(const struct pgbouncer *bouncer, const char *parameters, char *out, size_t size);

#endif /* TESTS_SUPPORT_POSTGRES_PGBOUNCER_H */
