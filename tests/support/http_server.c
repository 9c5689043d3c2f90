/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/http_server.h"

#include "tests/support/loopback.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST_CONNECTIONS = 512, IN_BYTES = 40960 };

struct connection {
    struct http_server *server;
    unsigned number;
    int fd;
    pthread_t thread;
    struct http_server_request *request; /* in reach of a child, which has no such thread */
    struct http_server_reply *reply;
    char *in;
};

struct http_server {
    http_server_fn answer;
    void *context;
    int listener;
    char url[64];
    pthread_t acceptor;
    pthread_mutex_t lock; /* guards what follows, and calls of answer */
    pthread_cond_t changed;
    bool stopping;
    unsigned count;
    struct connection connections[MOST_CONNECTIONS];
};

static atomic_int s_sync;

void http_server_sync(void) {
    (void)atomic_fetch_add_explicit(&s_sync, 1, memory_order_acq_rel);
}

/* Answers; false when the connection is to end. */
static bool send_reply(int fd, const struct http_server_reply *reply) {
    char head[2048];
    size_t body_len = strlen(reply->body);
    size_t times = reply->repeat == 0 ? 1 : reply->repeat;
    int len = snprintf(
        head, sizeof head, "HTTP/1.1 %d Whatever\r\nContent-Length: %zu\r\n%s\r\n",
        reply->status == 0 ? 200 : reply->status, body_len * times, reply->headers);
    if (reply->how == HTTP_SERVER_CUTS_HEAD) {
        (void)loopback_send(fd, head, reply->cut_at < (size_t)len ? reply->cut_at : (size_t)len - 1);
        return false;
    }
    if (!loopback_send(fd, head, (size_t)len)) {
        return false;
    }
    if (reply->how == HTTP_SERVER_CUTS) {
        (void)loopback_send(fd, reply->body, body_len / 2);
        return false;
    }
    for (size_t i = 0; i < times; i++) {
        if (!loopback_send(fd, reply->body, body_len)) {
            return false;
        }
    }
    return reply->how == HTTP_SERVER_ANSWERS;
}

static void wait_for_stop(struct http_server *server) {
    (void)pthread_mutex_lock(&server->lock);
    while (!server->stopping) {
        (void)pthread_cond_wait(&server->changed, &server->lock);
    }
    (void)pthread_mutex_unlock(&server->lock);
}

static bool serve(struct connection *connection, const struct http_server_request *request) {
    struct http_server *server = connection->server;
    struct http_server_reply *reply = connection->reply;
    bool go_on = false;
    memset(reply, 0, sizeof *reply);
    (void)pthread_mutex_lock(&server->lock);
    http_server_sync();
    server->answer(server->context, request, reply);
    http_server_sync();
    (void)pthread_mutex_unlock(&server->lock);
    if (reply->how == HTTP_SERVER_HANGS) {
        wait_for_stop(server);
    } else if (reply->how != HTTP_SERVER_CLOSES) {
        go_on = send_reply(connection->fd, reply);
    }
    return go_on;
}

/* Reads until head and body are there; the length of the head, or 0. */
static size_t read_request(int fd, char *in, size_t *have) {
    for (;;) {
        in[*have] = '\0';
        char *end = strstr(in, "\r\n\r\n");
        if (end != NULL) {
            size_t head = (size_t)(end - in) + 4;
            const char *length = strcasestr(in, "\r\ncontent-length:");
            size_t body = length != NULL && length < end ? strtoul(length + 17, NULL, 10) : 0;
            if (*have >= head + body) {
                return head;
            }
        }
        ssize_t got = *have + 1 < IN_BYTES ? recv(fd, in + *have, IN_BYTES - 1 - *have, 0) : 0;
        if (got <= 0) {
            return 0;
        }
        *have += (size_t)got;
    }
}

static void parse(char *in, size_t head, size_t have, struct http_server_request *request) {
    const char *line_end = strstr(in, "\r\n");
    const char *target = strchr(in, ' ') + 1;
    const char *target_end = strchr(target, ' ');
    request->body_len = have - head;
    (void)snprintf(request->method, sizeof request->method, "%.*s", (int)(target - in - 1), in);
    (void)snprintf(request->target, sizeof request->target, "%.*s", (int)(target_end - target), target);
    (void)snprintf(
        request->headers, sizeof request->headers, "%.*s", (int)(in + head - 2 - line_end - 2), line_end + 2);
    if (request->body_len < sizeof request->body) {
        memcpy(request->body, in + head, request->body_len);
        request->body[request->body_len] = '\0';
    }
}

static void *run_connection(void *context) {
    struct connection *connection = context;
    struct http_server_request *request = connection->request;
    char *in = connection->in;
    size_t head = 0;
    do { /* one request at a time: clients of this library do not pipeline */
        size_t have = 0;
        head = read_request(connection->fd, in, &have);
        if (head > 0) {
            request->connection = connection->number;
            parse(in, head, have, request);
        }
    } while (head > 0 && serve(connection, request));
    (void)shutdown(connection->fd, SHUT_RDWR);
    return NULL;
}

static void *run_acceptor(void *context) {
    struct http_server *server = context;
    for (;;) {
        int fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) {
            return NULL;
        }
        (void)pthread_mutex_lock(&server->lock);
        struct connection *connection =
            server->count < MOST_CONNECTIONS ? &server->connections[server->count] : NULL;
        bool started = false;
        if (connection != NULL && !server->stopping) {
            *connection = (struct connection){.server = server, .number = server->count + 1, .fd = fd};
            connection->request = calloc(1, sizeof *connection->request);
            connection->reply = calloc(1, sizeof *connection->reply);
            connection->in = malloc(IN_BYTES);
            started = pthread_create(&connection->thread, NULL, run_connection, connection) == 0;
            server->count += started ? 1 : 0;
        }
        (void)pthread_mutex_unlock(&server->lock);
        if (!started) {
            (void)close(fd);
        }
    }
}

struct http_server *http_server_start(http_server_fn answer, void *context) {
    struct http_server *server = calloc(1, sizeof *server);
    const int at_once = 1; /* is handed down to connections: head and body come in two pieces */
    int port = 0;
    server->answer = answer;
    server->context = context;
    (void)pthread_mutex_init(&server->lock, NULL);
    (void)pthread_cond_init(&server->changed, NULL);
    server->listener = loopback_listen(128, &port);
    (void)setsockopt(server->listener, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once);
    (void)snprintf(server->url, sizeof server->url, "http://127.0.0.1:%d", port);
    if (server->listener < 0 || pthread_create(&server->acceptor, NULL, run_acceptor, server) != 0) {
        free(server);
        return NULL;
    }
    return server;
}

void http_server_stop(struct http_server *server) {
    (void)pthread_mutex_lock(&server->lock);
    server->stopping = true;
    (void)pthread_cond_broadcast(&server->changed);
    (void)pthread_mutex_unlock(&server->lock);
    (void)shutdown(server->listener, SHUT_RDWR);
    (void)pthread_join(server->acceptor, NULL);
    for (unsigned i = 0; i < server->count; i++) {
        (void)shutdown(server->connections[i].fd, SHUT_RDWR);
        (void)pthread_join(server->connections[i].thread, NULL);
        (void)close(server->connections[i].fd);
        free(server->connections[i].request);
        free(server->connections[i].reply);
        free(server->connections[i].in);
    }
    (void)close(server->listener);
    (void)pthread_cond_destroy(&server->changed);
    (void)pthread_mutex_destroy(&server->lock);
    free(server);
}

const char *http_server_url(const struct http_server *server) {
    return server->url;
}

const char *
http_server_header(const struct http_server_request *request, const char *name, char value[static 4096]) {
    size_t name_len = strlen(name);
    value[0] = '\0';
    for (const char *line = request->headers; *line != '\0';) {
        const char *end = strstr(line, "\r\n");
        size_t len = end == NULL ? strlen(line) : (size_t)(end - line);
        if (len > name_len && line[name_len] == ':' && strncasecmp(line, name, name_len) == 0) {
            const char *from = line + name_len + 1 + strspn(line + name_len + 1, " ");
            (void)snprintf(value, 4096, "%.*s", (int)(line + len - from), from);
            return value;
        }
        line += len + (end == NULL ? 0 : 2);
    }
    return value;
}
