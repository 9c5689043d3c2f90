/*
 * tests/support/mariadb_server.h - a MariaDB or MySQL server of the test's own: in a temporary folder, on a free port of
 * the loopback and on a Unix socket, with TLS, ended by its pid, and with the test at the latest.
 *
 * Where no server is installed these fail (scripts/install-needs installs it).
 * Layer: tests; public headers of libmariadb only.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_MARIADB_SERVER_H
#define TESTS_SUPPORT_MARIADB_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define MARIADB_SERVER_USER     "ael"
#define MARIADB_SERVER_DATABASE "keys"
/* With what has a meaning in URLs, in quotes and in SQL. */
#define MARIADB_SERVER_PASSWORD     "s3\\c'r @/:?#&%=t"
#define MARIADB_SERVER_PASSWORD_URL "s3%5Cc%27r%20%40%2F%3A%3F%23%26%25%3Dt"

struct mariadb_server {
    char folder[64]; /* data, socket, certificates (ca.pem, server.pem, client.pem, client.key), log */
    int port;
    pid_t pid;           /* 0 = does not run */
    bool is_mysql;       /* Oracle's server, not MariaDB */
    char options[1024];  /* that it is started with each time, separated by blanks */
    const char *clock;   /* how wrong its clock is when it is started next (tests/support/fake_clock.h); NULL = right */
};

/** Makes folder and database files, and starts the server. False, with a line on standard output, when that fails. */
bool mariadb_server_init(struct mariadb_server *server);

/**
 * The same with Oracle's MySQL 8, of AEL_MYSQL_HOME or /var/cache/ael/mysql-8 (scripts/fetch-mysql); its users log in by
 * caching_sha2_password.
 */
bool mariadb_server_init_mysql(struct mariadb_server *server);

/**
 * The same with a Galera cluster of MariaDB servers: what one acknowledged, all have. On failure mariadb_server_clear
 * each of them all the same.
 */
enum { GALERA_NODES = 3 };
bool mariadb_server_init_galera(struct mariadb_server nodes[GALERA_NODES]);

/** Starts a node that ended, while its cluster goes on, and waits until it has what the others have. */
bool mariadb_server_rejoin(struct mariadb_server *node);

/** Starts it again, with these further options ("--read-only"; NULL = none), and waits until it answers. */
bool mariadb_server_start(struct mariadb_server *server, const char *options);

/** Ends it by a signal: SIGTERM as an administrator would, SIGKILL as a crash. Waits for its end. */
void mariadb_server_end(struct mariadb_server *server, int signal);

/** Ends it and removes the folder. */
void mariadb_server_clear(struct mariadb_server *server);

/** Writes a connection string over the Unix socket. Returns out. */
const char *mariadb_server_local(const struct mariadb_server *server, char *out, size_t size);

/** A mysql:// URL over TCP with these further parameters, such as "tls=skip-verify"; "" = none. Returns out. */
const char *
mariadb_server_url(const struct mariadb_server *server, const char *parameters, char *out, size_t size);

/** Runs SQL as the superuser. Returns how many rows it gave or changed; -1 when it failed, with a line about it. */
long mariadb_server_sql(const struct mariadb_server *server, const char *sql);

/** Runs SQL that gives one value, and copies that. False when it gave none. */
bool mariadb_server_value(const struct mariadb_server *server, const char *sql, char *out, size_t size);

#endif /* TESTS_SUPPORT_MARIADB_SERVER_H */
