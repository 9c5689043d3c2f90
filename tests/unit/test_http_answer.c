/*
 * tests/unit/test_http_answer.c - net/http/answer.h: bodies of each kind, wherever the pieces end, and what is refused.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/http/answer.h"

#include "tests/support/suite.h"

#include <string.h>

struct read {
    struct ael_http_answer answer;
    struct ael_buf headers;
    struct ael_buf body;
    enum ael_status status;
    size_t unread; /* bytes behind the answer */
};

static void read_piece(struct read *read, struct ael_bytes in) {
    struct ael_bytes part;
    while (read->status == AEL_OK && in.len > 0 && !read->answer.done) {
        read->status = ael_http_answer_next(&read->answer, &in, &part);
        if (read->status == AEL_OK && part.len > 0) {
            read->status = ael_buf_append(&read->body, part);
        }
    }
    read->unread += in.len;
}

static void read_begin(struct read *read) {
    *read = (struct read){.headers = AEL_BUF_INIT, .body = AEL_BUF_INIT, .status = AEL_OK};
    read->headers.max = 1024;
    read->answer.headers = &read->headers;
}

static void read_in_pieces(struct read *read, const char *text, size_t step) {
    size_t len = strlen(text);
    read_begin(read);
    for (size_t at = 0; at < len; at += step) {
        read_piece(read, (struct ael_bytes){(const uint8_t *)text + at, len - at < step ? len - at : step});
    }
}

static void read_end(struct read *read) {
    ael_buf_clear(&read->headers);
    ael_buf_clear(&read->body);
}

static void expect(const char *text, int status, const char *body, bool keep, bool needs_end) {
    struct read read;
    for (size_t step = 1; step <= strlen(text); step++) {
        read_in_pieces(&read, text, step);
        CU_ASSERT_EQUAL(read.status, AEL_OK);
        CU_ASSERT_EQUAL(read.answer.done, !needs_end);
        CU_ASSERT_EQUAL(ael_http_answer_end(&read.answer), AEL_OK);
        CU_ASSERT_EQUAL(read.answer.status, status);
        CU_ASSERT_EQUAL(read.answer.keep, keep);
        CU_ASSERT_EQUAL(read.unread, 0);
        CU_ASSERT(
            read.body.len == strlen(body) &&
            (read.body.len == 0 || memcmp(read.body.data, body, read.body.len) == 0));
        read_end(&read);
    }
}

static void test_http_answer_next__reads_bodies_of_each_kind(void) {
    expect("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", true, false);
    expect("HTTP/1.1 200\ncontent-length:0\n\n", 200, "", true, false);
    expect("HTTP/1.1 204 No\r\n\r\n", 204, "", true, false);
    expect("HTTP/1.1 100 Go on\r\n\r\nHTTP/1.1 400 Bad\r\nContent-Length: 1\r\n\r\nx", 400, "x", true, false);
    expect("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", 200, "x", false, false);
    expect("HTTP/1.1 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\nx", 200, "x", true, false);
    expect("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, "x", false, false);
    expect("HTTP/1.1 500 Oh\r\n\r\nto the end", 500, "to the end", false, true);
    expect(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;x=y\r\n, world ..\r\n0\r\n\r\n",
        200, "hello, world ..", true, false);
    expect(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\nx\n0\nTrailer: t\n\n", 200, "x", true,
        false);
    expect("HTTP/1.1 200 OK\r\nContent-Length: 1\r\ncontent-length: 1\r\n\r\nx", 200, "x", true, false);
}

static void test_http_answer_next__refuses_what_is_no_answer(void) {
    static const char *const k_texts[] = {
        "\r\n",
        "hello\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
        "HTTP/1.1 101 Switching\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\n : x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1111111111111111\r\n",
    };
    for (size_t i = 0; i < sizeof k_texts / sizeof k_texts[0]; i++) {
        struct read read;
        read_in_pieces(&read, k_texts[i], 3);
        CU_ASSERT_EQUAL(read.status, AEL_E_BACKEND);
        if (read.status != AEL_E_BACKEND) {
            printf("\n    %s", k_texts[i]);
        }
        read_end(&read);
    }
}

static void test_http_answer_next__bounds_what_nobody_needs(void) {
    static const char k_line[] = "X-Long: 0123456789012345678901234567890123456789\r\n";
    struct read read;
    read_in_pieces(&read, "HTTP/1.1 200 OK\r\n", 100);
    for (int i = 0; i < 100; i++) {
        read_piece(&read, ael_bytes_from_text(k_line));
    }
    CU_ASSERT_EQUAL(read.status, AEL_E_TOO_LARGE);
    read_end(&read);
    read_in_pieces(&read, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", 100);
    for (int i = 0; i < 2000; i++) {
        read_piece(&read, ael_bytes_from_text("0123456789012345678901234567890123456789"));
    }
    CU_ASSERT_EQUAL(read.status, AEL_E_BACKEND);
    read_end(&read);
}

static void test_http_answer_end__tells_a_whole_answer_from_a_cut_one(void) {
    static const char *const k_cut[] = {
        "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"};
    struct read read;
    for (size_t i = 0; i < sizeof k_cut / sizeof k_cut[0]; i++) {
        read_in_pieces(&read, k_cut[i], 2);
        CU_ASSERT_EQUAL(read.status, AEL_OK);
        CU_ASSERT_EQUAL(ael_http_answer_end(&read.answer), AEL_E_UNREACHABLE);
        read_end(&read);
    }
    read_in_pieces(&read, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP", 100);
    CU_ASSERT_TRUE(read.answer.done);
    CU_ASSERT_EQUAL(read.unread, 4);
    read_end(&read);
}

static const struct test_case k_cases[] = {
    {"bodies of each kind", test_http_answer_next__reads_bodies_of_each_kind},
    {"what is no answer is refused", test_http_answer_next__refuses_what_is_no_answer},
    {"what nobody needs is bounded", test_http_answer_next__bounds_what_nobody_needs},
    {"a whole answer is told from a cut one", test_http_answer_end__tells_a_whole_answer_from_a_cut_one},
};

TEST_SUITE_MAIN("http answer", k_cases)
