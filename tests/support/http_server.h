/*
 * tests/support/http_server.h - a small HTTP/1.1 server on 127.0.0.1, in threads of the test: stands for services that
 * exist inside a cloud only, and for servers that misbehave.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_HTTP_SERVER_H
#define TESTS_SUPPORT_HTTP_SERVER_H

#include <stddef.h>

struct http_server;

struct http_server_request {
    unsigned connection; /* counted from 1 */
    char method[16];
    char target[2048];
    char headers[16384]; /* lines "Name: value\r\n" as they came */
    char body[16384];
    size_t body_len;
};

enum http_server_how {
    HTTP_SERVER_ANSWERS = 0,
    HTTP_SERVER_HANGS,     /* says nothing until it is stopped */
    HTTP_SERVER_CLOSES,    /* without an answer */
    HTTP_SERVER_CUTS,      /* closes in the middle of the body */
    HTTP_SERVER_CUTS_HEAD, /* closes after cut_at bytes of the status line and headers */
    HTTP_SERVER_ENDS,      /* answers, then closes without having said so */
};

struct http_server_reply {
    enum http_server_how how;
    int status; /* 0 = 200 */
    char headers[1024];
    char body[65536];
    size_t repeat; /* the body so many times; 0 = 1 */
    size_t cut_at; /* at most all but the last byte */
};

/* Called by the server's threads, one at a time. */
typedef void (*http_server_fn)(
    void *context, const struct http_server_request *request, struct http_server_reply *reply);

/** Starts it; NULL on failure. */
struct http_server *http_server_start(http_server_fn answer, void *context);

/** Closes all connections and waits for the threads. */
void http_server_stop(struct http_server *server);

/** Returns "http://127.0.0.1:<port>". */
const char *http_server_url(const struct http_server *server);

/** Finds a header of a request; copies its value and returns it, or "" when there is none. */
const char *
http_server_header(const struct http_server_request *request, const char *name, char value[static 4096]);

/** Before and after a request: what the test and its server share is ordered by the network, which ThreadSanitizer does not
 * see. */
void http_server_sync(void);

#endif /* TESTS_SUPPORT_HTTP_SERVER_H */
