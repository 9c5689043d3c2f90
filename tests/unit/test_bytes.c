/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/suite.h"

#include "base/alloc.h"
#include "base/wipe.h"

#include <ael/bytes.h>

#include <string.h>

static int refuse(void *context) {
    (void)context;
    return 1;
}

static bool holds(const struct ael_buf *buf, const char *text) {
    return buf->len == strlen(text) && (buf->len == 0 || memcmp(buf->data, text, buf->len) == 0);
}

static void test_ael_bytes_from_text__leaves_the_nul_out(void) {
    struct ael_bytes view = ael_bytes_from_text("abc");
    CU_ASSERT_EQUAL(view.len, 3);
    CU_ASSERT_EQUAL(memcmp(view.data, "abc", 3), 0);
    CU_ASSERT_EQUAL(ael_bytes_from_text("").len, 0);
    CU_ASSERT_EQUAL(ael_bytes_from_text(NULL).len, 0);
    CU_ASSERT_PTR_NULL(ael_bytes_from_text(NULL).data);
    CU_ASSERT_EQUAL(ael_buf_view(NULL).len, 0);
}

static void test_ael_buf_append__grows_and_keeps_the_content(void) {
    struct ael_buf buf = AEL_BUF_INIT;
    for (int i = 0; i < 1000; i++) {
        CU_ASSERT_EQUAL(ael_buf_append(&buf, ael_bytes_from_text("0123456789")), AEL_OK);
    }
    CU_ASSERT_EQUAL(buf.len, 10000);
    CU_ASSERT_EQUAL(memcmp(buf.data + 9990, "0123456789", 10), 0);
    CU_ASSERT_EQUAL(ael_buf_view(&buf).data, buf.data);
    ael_buf_clear(&buf);
    CU_ASSERT(buf.data == NULL && buf.len == 0 && buf.cap == 0);
    ael_buf_clear(&buf);
    CU_ASSERT_EQUAL(ael_buf_append(&buf, ael_bytes_from_text("again")), AEL_OK);
    CU_ASSERT(holds(&buf, "again"));
    ael_buf_clear(&buf);
    ael_buf_clear(NULL);
}

static void test_ael_buf_append__accepts_nothing_and_refuses_null(void) {
    struct ael_buf buf = AEL_BUF_INIT;
    struct ael_bytes nothing = {NULL, 0};
    struct ael_bytes missing = {NULL, 1};
    CU_ASSERT_EQUAL(ael_buf_append(&buf, nothing), AEL_OK);
    CU_ASSERT_PTR_NULL(buf.data);
    CU_ASSERT_EQUAL(ael_buf_append(&buf, missing), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_buf_append(NULL, nothing), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_buf_reserve(NULL, 1), AEL_E_ARGUMENT);
}

static void test_ael_buf_reserve__stops_at_the_maximum(void) {
    struct ael_buf buf = AEL_BUF_INIT;
    buf.max = 100;
    CU_ASSERT_EQUAL(ael_buf_append(&buf, ael_bytes_from_text("x")), AEL_OK);
    CU_ASSERT_EQUAL(ael_buf_reserve(&buf, 100), AEL_OK);
    CU_ASSERT(buf.cap <= 100);
    CU_ASSERT_EQUAL(ael_buf_reserve(&buf, 101), AEL_E_TOO_LARGE);
    struct ael_bytes endless = {buf.data, SIZE_MAX};
    CU_ASSERT_EQUAL(ael_buf_append(&buf, endless), AEL_E_TOO_LARGE);
    CU_ASSERT(holds(&buf, "x"));
    ael_buf_clear(&buf);
    buf.max = 10;
    CU_ASSERT_EQUAL(ael_buf_reserve(&buf, 10), AEL_OK);
    CU_ASSERT_EQUAL(buf.cap, 10);
    ael_buf_clear(&buf);
}

static void test_ael_buf_reserve__leaves_the_buffer_without_memory(void) {
    struct ael_buf buf = AEL_BUF_INIT;
    CU_ASSERT_EQUAL(ael_buf_append(&buf, ael_bytes_from_text("kept")), AEL_OK);
    struct ael_buf before = buf;
    ael_alloc_set_fault(refuse, NULL);
    CU_ASSERT_EQUAL(ael_buf_reserve(&buf, 4096), AEL_E_NO_MEMORY);
    ael_alloc_set_fault(NULL, NULL);
    CU_ASSERT(buf.data == before.data && buf.cap == before.cap && holds(&buf, "kept"));
    ael_buf_clear(&buf);
}

static void test_ael_buf_init_fixed__never_allocates(void) {
    uint8_t storage[4];
    struct ael_buf buf;
    ael_buf_init_fixed(&buf, storage, sizeof(storage));
    ael_alloc_set_fault(refuse, NULL);
    CU_ASSERT_EQUAL(ael_buf_append(&buf, ael_bytes_from_text("abc")), AEL_OK);
    CU_ASSERT_EQUAL(ael_buf_append(&buf, ael_bytes_from_text("de")), AEL_E_BUFFER_TOO_SMALL);
    CU_ASSERT(holds(&buf, "abc"));
    struct ael_bytes endless = {storage, SIZE_MAX};
    CU_ASSERT_EQUAL(ael_buf_append(&buf, endless), AEL_E_BUFFER_TOO_SMALL);
    struct ael_bytes inside = {storage, 1};
    CU_ASSERT_EQUAL(ael_buf_append(&buf, inside), AEL_OK);
    CU_ASSERT(holds(&buf, "abca"));
    ael_alloc_set_fault(NULL, NULL);
    ael_buf_clear(&buf);
    CU_ASSERT(buf.data == storage && buf.len == 0 && buf.cap == 4);
    CU_ASSERT_EQUAL(memcmp(storage, "\0\0\0\0", 4), 0);
    CU_ASSERT_EQUAL(ael_buf_append(&buf, ael_bytes_from_text("wxyz")), AEL_OK);
}

static void test_ael_equal_constant_time__compares_every_byte(void) {
    const uint8_t a[] = {1, 2, 3};
    uint8_t b[] = {1, 2, 3};
    CU_ASSERT(ael_equal_constant_time(a, b, 3));
    CU_ASSERT(ael_equal_constant_time(NULL, NULL, 0));
    for (size_t i = 0; i < 3; i++) {
        b[i] ^= 0x80;
        CU_ASSERT(!ael_equal_constant_time(a, b, 3));
        b[i] ^= 0x80;
    }
}

static void test_ael_wipe__zeroes_just_these_bytes(void) {
    uint8_t bytes[] = {1, 2, 3, 4};
    ael_wipe(bytes + 1, 2);
    CU_ASSERT_EQUAL(memcmp(bytes, "\1\0\0\4", 4), 0);
    ael_wipe(NULL, 0);
    ael_wipe_stack();
}

static const struct test_case k_cases[] = {
    {"a view of a text leaves the NUL out", test_ael_bytes_from_text__leaves_the_nul_out},
    {"appending grows and keeps the content", test_ael_buf_append__grows_and_keeps_the_content},
    {"appending accepts nothing and refuses NULL", test_ael_buf_append__accepts_nothing_and_refuses_null},
    {"a buffer stops at its maximum", test_ael_buf_reserve__stops_at_the_maximum},
    {"without memory a buffer stays as it was", test_ael_buf_reserve__leaves_the_buffer_without_memory},
    {"a fixed buffer never allocates", test_ael_buf_init_fixed__never_allocates},
    {"a comparison sees every byte", test_ael_equal_constant_time__compares_every_byte},
    {"a wipe zeroes just its bytes", test_ael_wipe__zeroes_just_these_bytes},
};

TEST_SUITE_MAIN("bytes", k_cases)
