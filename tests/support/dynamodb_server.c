/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/dynamodb_server.h"

#include "tests/support/free_port.h"
#include "tests/support/loopback.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { READY_TRIES = 9000, TRY_MS = 10, PATH_BYTES = 512 };

extern char **environ;

static bool complain(const struct dynamodb_server *server, const char *what) {
    printf("\n    %s server: %s (run scripts/install-needs test)", server->kind, what);
    return false;
}

static bool takes_connections(int port) {
    int descriptor = loopback_connect(port);
    return descriptor >= 0 && close(descriptor) == 0;
}

static bool has_ended(struct dynamodb_server *server) {
    if (waitpid(server->pid, NULL, WNOHANG) != server->pid) {
        return false;
    }
    server->pid = 0;
    return true;
}

/* Prints the end of what it said. */
static void show_log(const struct dynamodb_server *server) {
    char line[PATH_BYTES];
    FILE *file = fopen(server->log, "r");
    for (int i = 0; file != NULL && i < 20 && fgets(line, sizeof line, file) != NULL; i++) {
        printf("\n      %s", line);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
}

/* see tests/support/dynamodb_server.h */
bool dynamodb_server_start(struct dynamodb_server *server) {
    char port[16];
    posix_spawn_file_actions_t actions;
    (void)snprintf(port, sizeof port, "%d", server->port);
    char *const arguments[] = {
        (char *)"setpriv",
        (char *)"--pdeathsig",
        (char *)"KILL",
        (char *)AEL_TEST_SOURCE_DIR "/tests/support/dynamodb",
        (char *)"start",
        (char *)(size_t)server->kind,
        port,
        NULL};
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_addopen(&actions, 1, server->log, O_WRONLY | O_TRUNC, 0600);
    (void)posix_spawn_file_actions_adddup2(&actions, 1, 2);
    int failed = posix_spawnp(&server->pid, arguments[0], &actions, NULL, arguments, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    if (failed != 0) {
        server->pid = 0;
        return complain(server, "cannot be started");
    }
    for (int i = 0; i < READY_TRIES && !has_ended(server); i++) {
        if (takes_connections(server->port)) {
            return true;
        }
        (void)poll(NULL, 0, TRY_MS);
    }
    show_log(server);
    return complain(server, server->pid == 0 ? "ended at once" : "takes no connections");
}

/* see tests/support/dynamodb_server.h */
bool dynamodb_server_init(struct dynamodb_server *server, const char *kind) {
    memset(server, 0, sizeof *server);
    server->kind = kind;
    server->port = free_port();
    (void)snprintf(server->url, sizeof server->url, "http://127.0.0.1:%d", server->port);
    (void)snprintf(server->log, sizeof server->log, "/tmp/ael-dynamodb-XXXXXX");
    int descriptor = mkstemp(server->log);
    if (descriptor < 0) {
        return complain(server, "no file for its log");
    }
    (void)close(descriptor);
    return dynamodb_server_start(server);
}

/* see tests/support/dynamodb_server.h */
void dynamodb_server_end(struct dynamodb_server *server, int signal) {
    if (server->pid != 0) {
        (void)kill(server->pid, signal);
        (void)waitpid(server->pid, NULL, 0);
        server->pid = 0;
    }
}

/* see tests/support/dynamodb_server.h */
void dynamodb_server_clear(struct dynamodb_server *server) {
    dynamodb_server_end(server, SIGKILL);
    if (server->log[0] != '\0') {
        (void)unlink(server->log);
    }
    memset(server, 0, sizeof *server);
}

/* see tests/support/dynamodb_server.h */
void dynamodb_server_set_environment(void) {
    (void)setenv("AWS_ACCESS_KEY_ID", "AKIDTESTS", 1);
    (void)setenv("AWS_SECRET_ACCESS_KEY", "a/secret+of/tests", 1);
    (void)setenv("AWS_CONFIG_FILE", "/nonexistent/file", 1);
    (void)setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/file", 1);
    (void)setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
    (void)unsetenv("AWS_SESSION_TOKEN");
    (void)unsetenv("AWS_PROFILE");
    (void)unsetenv("AWS_REGION");
    (void)unsetenv("AWS_DEFAULT_REGION");
    (void)unsetenv("AWS_ENDPOINT_URL");
    (void)unsetenv("AWS_ENDPOINT_URL_DYNAMODB");
    (void)unsetenv("AWS_WEB_IDENTITY_TOKEN_FILE");
}
