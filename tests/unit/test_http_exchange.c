/*
 * tests/unit/test_http_exchange.c - net/http/exchange.h against servers that never come to an end, and what TLS leaves behind.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/http/exchange.h"

#include "base/clock.h"
#include "net/json_secret.h"
#include "securememory/scratch.h"
#include "tests/support/aws_kms_server.h"
#include "tests/support/loopback.h"
#include "tests/support/suite.h"
#include "tests/support/tls_front.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
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
    bool on = recv(fd, request, sizeof request, 0) > 0 && loopback_send(fd, flood->head, strlen(flood->head));
    for (size_t sent = 0; on && sent < FLOOD_BYTES; sent += whole) {
        on = loopback_send(fd, block, whole);
    }
    (void)close(fd);
    return NULL;
}

static void flood_start(struct flood *flood, const char *head, const char *filler) {
    *flood = (struct flood){.head = head, .filler = filler};
    flood->listener = loopback_listen(1, &flood->port);
    CU_ASSERT_FATAL(flood->listener >= 0);
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

/* ---- what is sent ---- */

enum { SENT_MAX = 10 << 20, KEY_BYTES = 32 };

static size_t s_most_at_once; /* bytes that libcurl takes in one call, and nothing in each third; 0 = all */
static unsigned s_sends;

/* In front of libcurl's own. */
CURLcode curl_easy_send(CURL *easy, const void *bytes, size_t len, size_t *sent) {
    CURLcode (*own)(CURL *, const void *, size_t, size_t *) = NULL;
    *(void **)&own = dlsym(RTLD_NEXT, "curl_easy_send");
    if (s_most_at_once != 0 && ++s_sends % 3 == 0) {
        *sent = 0;
        return CURLE_AGAIN;
    }
    return own(easy, bytes, s_most_at_once != 0 && s_most_at_once < len ? s_most_at_once : len, sent);
}

/* A server that reads so many bytes, and answers. */
struct sink {
    int listener;
    int port;
    size_t want;
    size_t first; /* came at once */
    char *bytes;
    pthread_t thread;
};

static void *sink_main(void *context) {
    static const char k_answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    struct sink *sink = context;
    size_t len = 0;
    int fd = accept(sink->listener, NULL, NULL);
    while (len < sink->want) {
        ssize_t got = recv(fd, sink->bytes + len, sink->want - len, 0);
        if (got <= 0) {
            break;
        }
        sink->first = len == 0 ? (size_t)got : sink->first;
        len += (size_t)got;
    }
    (void)loopback_send(fd, k_answer, sizeof k_answer - 1);
    (void)close(fd);
    return NULL;
}

static void sink_open(struct sink *sink) {
    *sink = (struct sink){.listener = -1};
    sink->listener = loopback_listen(1, &sink->port);
    CU_ASSERT_FATAL(sink->listener >= 0);
    sink->bytes = calloc(1, SENT_MAX);
    CU_ASSERT_PTR_NOT_NULL_FATAL(sink->bytes);
}

static void sink_close(struct sink *sink) {
    (void)close(sink->listener);
    free(sink->bytes);
}

/* A request: `before` bytes of body, the key if there is one, `after` bytes; a token of so many pieces. */
struct sent {
    size_t before;
    size_t after;
    size_t pieces;
    size_t piece_len;
    bool key;
};

static char letter(size_t i) {
    return (char)('a' + i % 23);
}

static void add_letters(char *text, size_t *len, size_t count) {
    for (size_t i = 0; i < count; i++) {
        text[(*len)++] = letter(i);
    }
}

/* What must arrive. */
static size_t expected_text(const struct sent *sent, int port, char *text) {
    static const uint8_t k_key[KEY_BYTES] = {0};
    size_t key_len = sent->key ? 44 : 0;
    size_t len = (size_t)snprintf(text, 128, "POST / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n", port);
    if (sent->pieces > 0) {
        memcpy(text + len, "X-Token: ", 9);
        len += 9;
        for (size_t i = 0; i < sent->pieces; i++) {
            add_letters(text, &len, sent->piece_len);
        }
        memcpy(text + len, "\r\n", 2);
        len += 2;
    }
    len +=
        (size_t)snprintf(text + len, 64, "Content-Length: %zu\r\n\r\n", sent->before + key_len + sent->after);
    add_letters(text, &len, sent->before);
    if (sent->key) {
        (void)sodium_bin2base64(text + len, 45, k_key, sizeof k_key, sodium_base64_VARIANT_ORIGINAL);
        len += key_len;
    }
    add_letters(text, &len, sent->after);
    return len;
}

static void make_secrets(const struct sent *sent, struct ael_http_secrets *secrets) {
    uint8_t piece[AEL_HTTP_TEXT_BYTES];
    uint8_t key[KEY_BYTES] = {0};
    *secrets = (struct ael_http_secrets){.sent_at = sent->before, .bearer_before = "X-Token: "};
    for (size_t i = 0; i < sent->pieces; i++) {
        size_t len = 0;
        add_letters((char *)piece, &len, sent->piece_len);
        CU_ASSERT_FATAL(ael_secret_new(piece, len, &secrets->bearer.pieces[i]) == AEL_OK);
    }
    if (sent->key) {
        CU_ASSERT_FATAL(ael_secret_new(key, sizeof key, &secrets->sent) == AEL_OK);
    }
}

static enum ael_status send_it(const struct sent *sent, const char *url, const char *letters) {
    struct ael_error err = {.status = AEL_OK};
    struct ael_http_options options = AEL_HTTP_OPTIONS_INIT;
    struct ael_http_exchange *exchange = NULL;
    struct ael_http_secrets secrets;
    struct ael_http *http = NULL;
    struct ael_buf body = AEL_BUF_INIT;
    CU_ASSERT_FATAL(
        ael_buf_append(&body, (struct ael_bytes){(const uint8_t *)letters, sent->before}) == AEL_OK);
    CU_ASSERT_FATAL(
        ael_buf_append(&body, (struct ael_bytes){(const uint8_t *)letters, sent->after}) == AEL_OK);
    const struct ael_http_request request = {
        .method = "POST", .url = url, .body = ael_buf_view(&body), .no_proxy = true};
    make_secrets(sent, &secrets);
    CU_ASSERT_FATAL(ael_http_new(&options, &http, &err) == AEL_OK);
    CU_ASSERT_FATAL(ael_http_exchange_new(http, &request, &secrets, &exchange, &err) == AEL_OK);
    ael_http_text_clear(&secrets.bearer);
    ael_secret_release(secrets.sent);
    while (!ael_http_exchange_step(exchange)) {
        ael_http_exchange_wait(&exchange, 1, ael_clock_boot_ns() + INT64_C(1000000000));
    }
    enum ael_status status = ael_http_exchange_end(exchange, NULL, NULL, &err);
    ael_http_free(http);
    ael_buf_clear(&body);
    return status;
}

/* Sends it to a server of its own; how much of it did not come at once. */
static size_t expect_sent(const struct sent *sent, const char *letters, char *expected) {
    struct sink sink;
    char url[64];
    sink_open(&sink);
    sink.want = expected_text(sent, sink.port, expected);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%d/", sink.port);
    CU_ASSERT_FATAL(pthread_create(&sink.thread, NULL, sink_main, &sink) == 0);
    CU_ASSERT_EQUAL(send_it(sent, url, letters), AEL_OK);
    (void)pthread_join(sink.thread, NULL);
    CU_ASSERT_EQUAL(memcmp(sink.bytes, expected, sink.want), 0);
    size_t left = sink.want - sink.first;
    sink_close(&sink);
    return left;
}

static char *s_letters;
static char *s_expected;

static void begin_sending(void) {
    size_t len = 0;
    s_letters = calloc(1, SENT_MAX);
    s_expected = calloc(1, SENT_MAX);
    CU_ASSERT_FATAL(s_letters != NULL && s_expected != NULL);
    add_letters(s_letters, &len, SENT_MAX / 2);
}

static void end_sending(void) {
    free(s_letters);
    free(s_expected);
}

static void test_http_exchange__sends_a_short_request_at_once(void) {
    const struct sent all = {.before = 14, .after = 2, .pieces = 1, .piece_len = 95, .key = true};
    const struct sent token = {.before = 300, .pieces = 2, .piece_len = 200};
    const struct sent key = {.before = 14, .after = 2, .key = true};
    const struct sent open = {.before = 3000};
    begin_sending();
    CU_ASSERT_EQUAL(expect_sent(&all, s_letters, s_expected), 0);
    CU_ASSERT_EQUAL(expect_sent(&token, s_letters, s_expected), 0);
    CU_ASSERT_EQUAL(expect_sent(&key, s_letters, s_expected), 0);
    CU_ASSERT_EQUAL(expect_sent(&open, s_letters, s_expected), 0);
    end_sending();
}

static void test_http_exchange__asks_for_what_the_url_says(void) {
    static const char *const k_urls[][2] = {
        {"", "/"}, {"/", "/"}, {"?a=b", "/?a=b"}, {"/c?a=b/d", "/c?a=b/d"}, {"?a=b#c", "/?a=b"}, {"#c", "/"}};
    const struct sent nothing = {.before = 0};
    for (size_t i = 0; i < sizeof k_urls / sizeof k_urls[0]; i++) {
        struct sink sink;
        char url[64];
        char expected[64];
        sink_open(&sink);
        sink.want = 40;
        (void)snprintf(url, sizeof url, "http://127.0.0.1:%d%s", sink.port, k_urls[i][0]);
        (void)snprintf(expected, sizeof expected, "POST %s HTTP/1.1\r\nHost: 127.0.0.1:", k_urls[i][1]);
        CU_ASSERT_FATAL(pthread_create(&sink.thread, NULL, sink_main, &sink) == 0);
        (void)send_it(&nothing, url, "");
        (void)pthread_join(sink.thread, NULL);
        CU_ASSERT_EQUAL(strncmp(sink.bytes, expected, strlen(expected)), 0);
        sink_close(&sink);
    }
}

/* Around the length of a slot, wherever the secrets come to lie in it. */
static void test_http_exchange__sends_requests_of_each_length_whole(void) {
    static const size_t k_pieces[][2] = {{0, 0}, {1, 1}, {1, 960}, {2, 500}, {4, 960}};
    begin_sending();
    for (size_t before = 0; before < 1300; before += 37) {
        for (size_t i = 0; i < sizeof k_pieces / sizeof k_pieces[0]; i++) {
            struct sent sent = {before, 5, k_pieces[i][0], k_pieces[i][1], before % 2 == 0};
            (void)expect_sent(&sent, s_letters, s_expected);
        }
    }
    end_sending();
}

static void test_http_exchange__goes_on_where_it_was_stopped(void) {
    const struct sent sent = {.before = 900, .after = 5, .pieces = 2, .piece_len = 500, .key = true};
    begin_sending();
    for (s_most_at_once = 1; s_most_at_once < 64; s_most_at_once += 9) {
        (void)expect_sent(&sent, s_letters, s_expected);
    }
    s_most_at_once = 0;
    end_sending();
}

/* More than the network takes at once, before the key and behind it. */
static void test_http_exchange__sends_a_long_request_whole(void) {
    const struct sent sent = {
        .before = 4 << 20, .after = 4 << 20, .pieces = 4, .piece_len = 960, .key = true};
    begin_sending();
    (void)expect_sent(&sent, s_letters, s_expected);
    end_sending();
}

/* ---- what comes behind an answer ---- */

/* A server that says more than it was asked behind its first answer, in one record of TLS. */
struct talker {
    int listener;
    char url[64];
    char first[2048];
    pthread_t thread;
};

static void *talker_main(void *context) {
    static const char k_later[] = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"n\":3}";
    const struct talker *talker = context;
    char request[4096];
    bool said = false;
    for (int fd = accept(talker->listener, NULL, NULL); fd >= 0; fd = accept(talker->listener, NULL, NULL)) {
        while (recv(fd, request, sizeof request, 0) > 0 &&
               loopback_send(
                   fd, said ? k_later : talker->first, said ? sizeof k_later - 1 : strlen(talker->first))) {
            said = true;
        }
        (void)close(fd);
    }
    return NULL;
}

/* The first answer ends where the client has no more room to receive, or so many bytes before. */
static void talker_start(struct talker *talker, size_t before) {
    static const char k_head[] = "HTTP/1.1 200 OK\r\nX-Filler: ";
    static const char k_rest[] = "\r\nContent-Length: 7\r\n\r\n{\"n\":1}";
    static const char k_more[] = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"n\":2}";
    int port = 0;
    size_t fill =
        AEL_SCRATCH_BYTES - AEL_JSON_SECRET_MAX - before - (sizeof k_head - 1) - (sizeof k_rest - 1);
    talker->listener = loopback_listen(8, &port);
    CU_ASSERT_FATAL(talker->listener >= 0);
    (void)snprintf(talker->url, sizeof talker->url, "http://127.0.0.1:%d", port);
    (void)snprintf(
        talker->first, sizeof talker->first, "%s%.*s%s%s", k_head, (int)fill, s_letters, k_rest, k_more);
    CU_ASSERT_FATAL(pthread_create(&talker->thread, NULL, talker_main, talker) == 0);
}

static void talker_stop(const struct talker *talker) {
    (void)shutdown(talker->listener, SHUT_RDWR);
    (void)pthread_join(talker->thread, NULL);
    (void)close(talker->listener);
}

/* What the answer's body says; 0 for none. */
static int ask_number(struct ael_http *http, const char *url) {
    const struct ael_http_secrets secrets = {.taken = "Plaintext"};
    const struct ael_http_request request = {
        .method = "POST", .url = url, .body = ael_bytes_from_text("{}"), .no_proxy = true};
    struct ael_http_exchange *exchange = NULL;
    struct ael_http_response response;
    int number = 0;
    CU_ASSERT_FATAL(ael_http_exchange_new(http, &request, &secrets, &exchange, NULL) == AEL_OK);
    while (!ael_http_exchange_step(exchange)) {
        ael_http_exchange_wait(&exchange, 1, ael_clock_boot_ns() + INT64_C(1000000000));
    }
    if (ael_http_exchange_end(exchange, &response, NULL, NULL) == AEL_OK && response.body.len == 7) {
        number = response.body.data[5] - '0';
    }
    ael_http_response_clear(&response);
    return number;
}

static void test_http_exchange__takes_no_answer_that_came_before_its_request(void) {
    begin_sending();
    for (size_t before = 0; before < 3; before++) {
        struct ael_http_options options = AEL_HTTP_OPTIONS_INIT;
        struct ael_http *http = NULL;
        struct talker talker;
        talker_start(&talker, before);
        struct tls_front *front = tls_front_start("IP:127.0.0.1", talker.url);
        CU_ASSERT_PTR_NOT_NULL_FATAL(front);
        options.ca_file = tls_front_ca_file(front);
        options.connect_timeout_ms = 20000;
        CU_ASSERT_FATAL(ael_http_new(&options, &http, NULL) == AEL_OK);
        CU_ASSERT_EQUAL(ask_number(http, tls_front_url(front)), 1);
        CU_ASSERT_EQUAL(ask_number(http, tls_front_url(front)), 3);
        CU_ASSERT_EQUAL(ask_number(http, tls_front_url(front)), 3);
        ael_http_free(http);
        tls_front_stop(front);
        talker_stop(&talker);
    }
    end_sending();
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
    {"a short request at once", test_http_exchange__sends_a_short_request_at_once},
    {"what the URL says", test_http_exchange__asks_for_what_the_url_says},
    {"requests of each length", test_http_exchange__sends_requests_of_each_length_whole},
    {"a few bytes at a time", test_http_exchange__goes_on_where_it_was_stopped},
    {"a long request", test_http_exchange__sends_a_long_request_whole},
    {"an answer before its request", test_http_exchange__takes_no_answer_that_came_before_its_request},
    {"no secret of TLS goes to a file", test_http__gives_no_secret_of_tls_to_a_file},
};

TEST_SUITE_MAIN("http exchange", k_cases)
