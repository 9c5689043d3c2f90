/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/postgres_pgbouncer.h"

#include "tests/support/free_port.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TEXT_BYTES = 512, ARGUMENTS = 12, READY_TRIES = 6000, TRY_MS = 10 };

static const char k_program[] = "/usr/sbin/pgbouncer";

static bool complain(const char *what, const char *detail) {
    printf("\n    pgbouncer: %s %s", what, detail);
    return false;
}

/* ---- files ---- */

static const char *file_of(const struct pgbouncer *bouncer, const char *name, char out[TEXT_BYTES]) {
    (void)snprintf(out, TEXT_BYTES, "%s/pgbouncer-%d.%s", bouncer->server->folder, bouncer->port, name);
    return out;
}

/* The passwords of its clients, which it logs in with itself. A quote would be doubled. */
static bool write_users(const struct pgbouncer *bouncer) {
    char path[TEXT_BYTES];
    FILE *file = fopen(file_of(bouncer, "users", path), "w");
    if (file == NULL) {
        return complain("cannot write", path);
    }
    (void)fprintf(file, "\"%s\" \"%s\"\n\"nobody\" \"nothing\"\n", POSTGRES_USER, POSTGRES_PASSWORD);
    return fclose(file) == 0 && chmod(path, 0644) == 0;
}

/* A server that was away is asked again at once. */
static bool write_settings(const struct pgbouncer *bouncer, const char *settings) {
    const char *folder = bouncer->server->folder;
    char path[TEXT_BYTES];
    char users[TEXT_BYTES];
    FILE *file = fopen(file_of(bouncer, "ini", path), "w");
    if (file == NULL) {
        return complain("cannot write", path);
    }
    (void)fprintf(
        file,
        "[databases]\npostgres = host=%s port=%d\n"
        "[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %d\nunix_socket_dir = %s\n"
        "auth_type = scram-sha-256\nauth_file = %s\nadmin_users = %s\n"
        "client_tls_sslmode = allow\nclient_tls_cert_file = %s/server.pem\n"
        "client_tls_key_file = %s/server.key\n"
        "max_client_conn = 200\ndefault_pool_size = 4\nserver_login_retry = 0.1\n%s",
        folder, bouncer->server->port, bouncer->port, folder, file_of(bouncer, "users", users), POSTGRES_USER,
        folder, folder, settings);
    return fclose(file) == 0 && chmod(path, 0644) == 0;
}

/* ---- running ---- */

/* It does not run as root; it ends with this program, however that ends. */
static size_t add_user(char **arguments) {
    size_t count = 0;
    arguments[count++] = (char *)"setpriv";
    arguments[count++] = (char *)"--pdeathsig";
    arguments[count++] = (char *)"KILL";
    if (geteuid() == 0) {
        arguments[count++] = (char *)"--reuid=postgres";
        arguments[count++] = (char *)"--regid=postgres";
        arguments[count++] = (char *)"--clear-groups";
    }
    return count;
}

/* Starts it with its output in the log. */
static bool start_program(struct pgbouncer *bouncer) {
    char *arguments[ARGUMENTS];
    char log[TEXT_BYTES];
    char settings[TEXT_BYTES];
    posix_spawn_file_actions_t actions;
    size_t count = add_user(arguments);
    arguments[count++] = (char *)(size_t)k_program;
    arguments[count++] = (char *)(size_t)file_of(bouncer, "ini", settings);
    arguments[count] = NULL;
    char *environment[] = {(char *)"PATH=/usr/bin:/bin", (char *)"LC_ALL=C.UTF-8", NULL};
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_addopen(
        &actions, 1, file_of(bouncer, "log", log), O_WRONLY | O_CREAT | O_APPEND, 0644);
    (void)posix_spawn_file_actions_adddup2(&actions, 1, 2);
    if (posix_spawnp(&bouncer->pid, arguments[0], &actions, NULL, arguments, environment) != 0) {
        bouncer->pid = 0;
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    return bouncer->pid != 0;
}

static bool has_ended(struct pgbouncer *bouncer) {
    if (waitpid(bouncer->pid, NULL, WNOHANG) != bouncer->pid) {
        return false;
    }
    bouncer->pid = 0;
    return true;
}

static const char *
local_address(const struct pgbouncer *bouncer, const char *database, char out[TEXT_BYTES]) {
    (void)snprintf(
        out, TEXT_BYTES, "host=%s port=%d user=%s dbname=%s password='s3\\\\c\\'r @/:?#&%%=t'",
        bouncer->server->folder, bouncer->port, POSTGRES_USER, database);
    return out;
}

/* Waits until it takes connections; false when it ended instead. */
static bool wait_ready(struct pgbouncer *bouncer) {
    char address[TEXT_BYTES];
    (void)local_address(bouncer, "pgbouncer", address);
    for (int i = 0; i < READY_TRIES && !has_ended(bouncer); i++) {
        if (PQping(address) == PQPING_OK) {
            return true;
        }
        (void)poll(NULL, 0, TRY_MS);
    }
    return complain("it does not start; its log is in", bouncer->server->folder);
}

/* see tests/support/postgres_pgbouncer.h. What was killed leaves its socket, which the next one takes for a living
 * one. */
bool pgbouncer_start(struct pgbouncer *bouncer, const char *settings) {
    char socket[TEXT_BYTES];
    (void)snprintf(socket, sizeof socket, "%s/.s.PGSQL.%d", bouncer->server->folder, bouncer->port);
    (void)unlink(socket);
    return write_settings(bouncer, settings) && start_program(bouncer) && wait_ready(bouncer);
}

/* see tests/support/postgres_pgbouncer.h */
bool pgbouncer_init(struct pgbouncer *bouncer, const struct postgres_server *server, const char *settings) {
    *bouncer = (struct pgbouncer){.server = server, .port = free_port()};
    if (access(k_program, X_OK) != 0) {
        return complain("none is installed:", "run scripts/install-needs test");
    }
    return bouncer->port != 0 && write_users(bouncer) && pgbouncer_start(bouncer, settings);
}

/* see tests/support/postgres_pgbouncer.h */
void pgbouncer_end(struct pgbouncer *bouncer, int signal) {
    if (bouncer->pid == 0) {
        return;
    }
    (void)kill(bouncer->pid, signal);
    (void)waitpid(bouncer->pid, NULL, 0);
    bouncer->pid = 0;
}

/* ---- talking to it ---- */

/* see tests/support/postgres_pgbouncer.h */
bool pgbouncer_command(const struct pgbouncer *bouncer, const char *command) {
    char address[TEXT_BYTES];
    PGconn *connection = PQconnectdb(local_address(bouncer, "pgbouncer", address));
    PGresult *result = PQexec(connection, command);
    ExecStatusType status = PQresultStatus(result);
    bool good = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ||
                complain(command, PQerrorMessage(connection));
    PQclear(result);
    PQfinish(connection);
    return good;
}

/* see tests/support/postgres_pgbouncer.h */
const char *
pgbouncer_url(const struct pgbouncer *bouncer, const char *parameters, char *out, size_t size) {
    (void)snprintf(
        out, size, "postgres://%s:%s@127.0.0.1:%d/postgres?sslrootcert=%s/ca.pem%s%s", POSTGRES_USER,
        POSTGRES_PASSWORD_URL, bouncer->port, bouncer->server->folder, parameters[0] == '\0' ? "" : "&",
        parameters);
    return out;
}
