/*
 * tests/unit/test_http_exchange.c - net/http_exchange.h against servers that never come to an end, and what TLS leaves behind.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/http_exchange.h"

#include "base/clock.h"
#include "tests/support/aws_kms_server.h"
#include "tests/support/suite.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FLOOD_BYTES = 32 << 20, MAX_BYTES = 64 << 10 };

/* ---- a server that says one thing for ever, or nearly ---- */

struct flood {
    int listener;
    int port;
    const char *head;
    const char *filler;
    pthread_t thread;
};

static bool say(int fd, const char *bytes, size_t len) {
    while (len > 0) {
        ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        bytes += sent;
        len -= (size_t)sent;
    }
    return true;
}

static void *flood_main(void *context) {
    const struct flood *flood = context;
    char block[32768];
    char request[4096];
    size_t len = strlen(flood->filler);
    size_t whole = sizeof block / len * len;
    for (size_t i = 0; i < whole; i++) {
        block[i] = flood->filler[i % len];
    }
    int fd = accept(flood->listener, NULL, NULL);
    bool on = recv(fd, request, sizeof request, 0) > 0 && say(fd, flood->head, strlen(flood->head));
    for (size_t sent = 0; on && sent < FLOOD_BYTES; sent += whole) {
        on = say(fd, block, whole);
    }
    (void)close(fd);
    return NULL;
}

static void flood_start(struct flood *flood, const char *head, const char *filler) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof address;
    *flood = (struct flood){.head = head, .filler = filler};
    flood->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_FATAL(
        bind(flood->listener, (struct sockaddr *)&address, len) == 0 && listen(flood->listener, 1) == 0 &&
        getsockname(flood->listener, (struct sockaddr *)&address, &len) == 0);
    flood->port = ntohs(address.sin_port);
    CU_ASSERT_FATAL(pthread_create(&flood->thread, NULL, flood_main, flood) == 0);
}

static void flood_stop(const struct flood *flood) {
    (void)pthread_join(flood->thread, NULL);
    (void)close(flood->listener);
}

/* ---- one exchange ---- */

static enum ael_status ask(const char *url, const char *ca_file, int *http_status, struct ael_error *err) {
    const struct ael_http_secrets secrets = {.taken = "Plaintext"};
    const struct ael_http_request request = {
        .method = "POST",
        .url = url,
        .body = ael_bytes_from_text("{}"),
        .max_bytes = MAX_BYTES,
        .no_proxy = true};
    struct ael_http_options options = AEL_HTTP_OPTIONS_INIT;
    struct ael_http_exchange *exchange = NULL;
    struct ael_http_response response;
    struct ael_http *http = NULL;
    options.ca_file = ca_file;
    CU_ASSERT_FATAL(ael_http_new(&options, &http, err) == AEL_OK);
    CU_ASSERT_FATAL(ael_http_exchange_new(http, &request, &secrets, &exchange, err) == AEL_OK);
    while (!ael_http_exchange_step(exchange)) {
        ael_http_exchange_wait(&exchange, 1, ael_clock_boot_ns() + INT64_C(1000000000));
    }
    enum ael_status status = ael_http_exchange_end(exchange, &response, NULL, err);
    *http_status = response.status;
    ael_http_response_clear(&response);
    ael_http_free(http);
    return status;
}

static void expect_end_of(const char *head, const char *filler) {
    struct flood flood;
    struct ael_error err = {.status = AEL_OK};
    char url[64];
    int http_status = 0;
    flood_start(&flood, head, filler);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%d/", flood.port);
    CU_ASSERT_EQUAL(ask(url, NULL, &http_status, &err), AEL_E_BACKEND);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, "longer than it may be"));
    flood_stop(&flood);
}

static void test_http_exchange__ends_answers_without_an_end(void) {
    static const char k_ok[] = "HTTP/1.1 200 OK\r\n";
    static const char k_chunked[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n";
    static const char k_secret[] = "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{\"Plaintext\":\"";
    expect_end_of("", "HTTP/1.1 100 Continue\r\n\r\n");
    expect_end_of(k_ok, "X-Header: of many\r\n");
    expect_end_of(k_chunked, "x");
    expect_end_of("HTTP/1.1 200 OK\r\n\r\n", "x");
    expect_end_of(k_secret, "A");
}

/* ---- SSLKEYLOGFILE ---- */

static void test_http__gives_no_secret_of_tls_to_a_file(void) {
    const struct aws_kms_server *server = aws_kms_server(true);
    char ca_file[96];
    char log[96];
    struct stat seen = {.st_size = 0};
    struct ael_error err = {.status = AEL_OK};
    struct ael_http_options options = AEL_HTTP_OPTIONS_INIT;
    struct ael_http_response response;
    struct ael_http *http = NULL;
    int http_status = 0;
    CU_ASSERT_FATAL(server != NULL);
    const struct ael_http_request request = {
        .method = "POST", .url = server->places[0].url, .body = ael_bytes_from_text("{}"), .no_proxy = true};
    (void)snprintf(ca_file, sizeof ca_file, "%s/ca.pem", server->folder);
    (void)snprintf(log, sizeof log, "%s/keylog", server->folder);
    options.ca_file = ca_file;
    CU_ASSERT_FATAL(setenv("SSLKEYLOGFILE", log, 1) == 0); /* libcurl reads it when it is started */
    CU_ASSERT_EQUAL(ask(request.url, ca_file, &http_status, &err), AEL_OK);
    CU_ASSERT_NOT_EQUAL(http_status, 0);
    CU_ASSERT(stat(log, &seen) != 0 || seen.st_size == 0);
    CU_ASSERT_FATAL(ael_http_new(&options, &http, &err) == AEL_OK);
    CU_ASSERT_EQUAL(ael_http_send(http, NULL, &request, &response, &err), AEL_OK);
    ael_http_response_clear(&response);
    ael_http_free(http);
    CU_ASSERT(stat(log, &seen) != 0 || seen.st_size == 0);
    (void)unsetenv("SSLKEYLOGFILE");
    (void)unlink(log);
}

static const struct test_case k_cases[] = {
    {"answers without an end", test_http_exchange__ends_answers_without_an_end},
    {"no secret of TLS goes to a file", test_http__gives_no_secret_of_tls_to_a_file},
};

TEST_SUITE_MAIN("http exchange", k_cases)
