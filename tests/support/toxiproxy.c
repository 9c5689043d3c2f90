/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/toxiproxy.h"

#include "tests/support/free_port.h"
#include "tests/support/loopback.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { READY_TRIES = 6000, TRY_MS = 10, TEXT_BYTES = 512, ANSWER_SECONDS = 60 };

extern char **environ;

static bool complain(const struct toxiproxy *proxy, const char *what) {
    char line[TEXT_BYTES];
    FILE *log = proxy->log[0] == '\0' ? NULL : fopen(proxy->log, "r");
    printf("\n    toxiproxy: %s (run scripts/install-needs test)", what);
    for (int i = 0; log != NULL && i < 10 && fgets(line, sizeof line, log) != NULL; i++) {
        printf("\n      %s", line);
    }
    if (log != NULL) {
        (void)fclose(log);
    }
    return false;
}

/* ---- its control interface ---- */

/* The status of its answer; 0 when there is none. */
static int ask(const struct toxiproxy *proxy, const char *path, const char *body) {
    const struct timeval limit = {.tv_sec = ANSWER_SECONDS};
    char text[2 * TEXT_BYTES];
    int status = 0;
    int len = snprintf(
        text, sizeof text,
        "POST %s HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: "
        "%zu\r\n\r\n%s",
        path, strlen(body), body);
    int descriptor = loopback_connect(proxy->port);
    if (descriptor < 0) {
        return 0;
    }
    (void)setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (loopback_send(descriptor, text, (size_t)len)) {
        ssize_t got = recv(descriptor, text, sizeof text - 1, MSG_WAITALL);
        text[got < 0 ? 0 : got] = '\0';
        (void)sscanf(text, "HTTP/%*s %d", &status);
    }
    (void)close(descriptor);
    return status;
}

static bool
order(const struct toxiproxy *proxy, const char *path, const char *body, int expected, const char *what) {
    return ask(proxy, path, body) == expected || complain(proxy, what);
}

/* ---- its life ---- */

static bool has_ended(struct toxiproxy *proxy) {
    if (waitpid(proxy->pid, NULL, WNOHANG) != proxy->pid) {
        return false;
    }
    proxy->pid = 0;
    return true;
}

static bool start(struct toxiproxy *proxy) {
    char port[16];
    posix_spawn_file_actions_t actions;
    (void)snprintf(port, sizeof port, "%d", proxy->port);
    char *const arguments[] = {
        (char *)"setpriv",
        (char *)"--pdeathsig",
        (char *)"KILL",
        (char *)AEL_TEST_SOURCE_DIR "/tests/support/toxiproxy",
        (char *)"start",
        port,
        NULL};
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_addopen(&actions, 1, proxy->log, O_WRONLY | O_TRUNC, 0600);
    (void)posix_spawn_file_actions_adddup2(&actions, 1, 2);
    int failed = posix_spawnp(&proxy->pid, arguments[0], &actions, NULL, arguments, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    if (failed != 0) {
        proxy->pid = 0;
    }
    return failed == 0;
}

/* see tests/support/toxiproxy.h */
bool toxiproxy_init(struct toxiproxy *proxy) {
    *proxy = (struct toxiproxy){.port = free_port(), .log = "/tmp/ael-toxiproxy-XXXXXX"};
    int descriptor = mkstemp(proxy->log);
    if (descriptor < 0) {
        proxy->log[0] = '\0';
        return complain(proxy, "no file for its log");
    }
    (void)close(descriptor);
    if (!start(proxy)) {
        return complain(proxy, "cannot be started");
    }
    for (int i = 0; i < READY_TRIES && !has_ended(proxy); i++) {
        if (ask(proxy, "/reset", "{}") == 204) {
            return true;
        }
        (void)poll(NULL, 0, TRY_MS);
    }
    return complain(proxy, proxy->pid == 0 ? "ended at once" : "takes no orders");
}

/* see tests/support/toxiproxy.h */
void toxiproxy_clear(struct toxiproxy *proxy) {
    if (proxy->pid != 0) {
        (void)kill(proxy->pid, SIGKILL);
        (void)waitpid(proxy->pid, NULL, 0);
    }
    if (proxy->log[0] != '\0') {
        (void)unlink(proxy->log);
    }
    memset(proxy, 0, sizeof *proxy);
}

/* ---- ways ---- */

/* see tests/support/toxiproxy.h */
int toxiproxy_add(const struct toxiproxy *proxy, const char *name, int to_port) {
    char body[TEXT_BYTES];
    int port = free_port();
    (void)snprintf(
        body, sizeof body,
        "{\"name\":\"%s\",\"listen\":\"127.0.0.1:%d\",\"upstream\":\"127.0.0.1:%d\",\"enabled\":true}", name,
        port, to_port);
    return order(proxy, "/proxies", body, 201, "no way was opened") ? port : 0;
}

/* see tests/support/toxiproxy.h */
bool toxiproxy_cut(const struct toxiproxy *proxy, const char *name) {
    char path[TEXT_BYTES];
    (void)snprintf(path, sizeof path, "/proxies/%s", name);
    return order(proxy, path, "{\"enabled\":false}", 200, "a way was not cut");
}

/* see tests/support/toxiproxy.h */
bool toxiproxy_poison(
    const struct toxiproxy *proxy, const char *name, const char *kind, const char *attributes) {
    char path[TEXT_BYTES];
    char body[TEXT_BYTES];
    (void)snprintf(path, sizeof path, "/proxies/%s/toxics", name);
    (void)snprintf(
        body, sizeof body, "{\"type\":\"%s\",\"stream\":\"downstream\",\"toxicity\":1.0,\"attributes\":%s}",
        kind, attributes);
    return order(proxy, path, body, 200, "answers were not ill-treated");
}

/* see tests/support/toxiproxy.h */
bool toxiproxy_heal(const struct toxiproxy *proxy) {
    return order(proxy, "/reset", "{}", 204, "it did not heal");
}
