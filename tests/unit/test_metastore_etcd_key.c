/*
 * tests/unit/test_metastore_etcd_key.c - keys of etcd keep ids apart and in order.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "metastore/etcd/key.h"
#include "tests/support/suite.h"

#include <ael/metastore_etcd.h>

static struct ael_bytes text(const char *chars) {
    return ael_bytes_from_text(chars);
}

static struct ael_buf key_of(struct ael_bytes id, int64_t created_s) {
    struct ael_buf key = AEL_BUF_INIT;
    CU_ASSERT_EQUAL_FATAL(ael_etcd_key_put(&key, "p", id, created_s), AEL_OK);
    return key;
}

static void expect_text(const struct ael_buf *buf, const char *wanted) {
    CU_ASSERT_EQUAL_FATAL(buf->len, strlen(wanted));
    CU_ASSERT_EQUAL(memcmp(buf->data, wanted, buf->len), 0);
}

static void test_etcd_key_put__writes_what_can_be_typed(void) {
    struct ael_buf key = key_of(text("_IK_a/b c!\n_s_p"), 1700000040);
    expect_text(&key, "p/_IK_a/b!20c!21!0a_s_p 0000000001700000040");
    ael_buf_clear(&key);
    key = key_of((struct ael_bytes){(const uint8_t *)"a\0b", 3}, INT64_MAX);
    expect_text(&key, "p/a!00b 9223372036854775807");
    ael_buf_clear(&key);
}

/* Ids in the order of their bytes, among them some that others begin with, and with what separates or marks. */
static const char *const k_ids[] = {
    "\x01",
    "\n",
    " ",
    " a",
    "!",
    "!20",
    "\"",
    "/",
    "/a",
    "0",
    "_IK_a",
    "_IK_a\x01",
    "_IK_a ",
    "_IK_a !",
    "_IK_a 0000000001700000040",
    "_IK_a!",
    "_IK_a!20",
    "_IK_a\"",
    "_IK_a-",
    "_IK_a/",
    "_IK_a/0",
    "_IK_a0",
    "_IK_aa",
    "\xc3\xa4",
    "\xef\xbf\xbf",
    "\xf0\x9f\x9a\x80",
    "\xf4\x8f\xbf\xbf"};

enum { IDS = sizeof k_ids / sizeof k_ids[0] };

static int compare(const struct ael_buf *a, const struct ael_buf *b) {
    int order = memcmp(a->data, b->data, a->len < b->len ? a->len : b->len);
    return order != 0 ? order : (a->len > b->len) - (a->len < b->len);
}

static void test_etcd_key_put__keeps_the_order_of_ids_and_dates(void) {
    static const int64_t k_dates[] = {1, 9, 10, 1700000040, 17000000400, INT64_MAX};
    struct ael_buf before = AEL_BUF_INIT;
    for (size_t i = 0; i < IDS; i++) {
        for (size_t j = 0; j < sizeof k_dates / sizeof k_dates[0]; j++) {
            struct ael_buf key = key_of(text(k_ids[i]), k_dates[j]);
            CU_ASSERT_TRUE(before.len == 0 || compare(&before, &key) < 0);
            ael_buf_clear(&before);
            before = key;
        }
    }
    ael_buf_clear(&before);
}

static bool is_between(const struct ael_buf *key, const struct ael_buf *first, const struct ael_buf *end) {
    return compare(first, key) <= 0 && compare(key, end) < 0;
}

/* The range of an id holds its keys and no other's; that of a beginning, the keys of all ids that begin so. */
static void test_etcd_key_put_end__closes_ranges(void) {
    for (size_t i = 0; i < IDS; i++) {
        struct ael_buf own = AEL_BUF_INIT;
        struct ael_buf own_end = AEL_BUF_INIT;
        struct ael_buf all = AEL_BUF_INIT;
        struct ael_buf all_end = AEL_BUF_INIT;
        CU_ASSERT_EQUAL(ael_etcd_key_put_id(&own, "p", text(k_ids[i])), AEL_OK);
        CU_ASSERT_EQUAL(ael_etcd_key_put_end(&own_end, ael_buf_view(&own)), AEL_OK);
        CU_ASSERT_EQUAL(ael_etcd_key_put_beginning(&all, "p", text(k_ids[i])), AEL_OK);
        CU_ASSERT_EQUAL(ael_etcd_key_put_end(&all_end, ael_buf_view(&all)), AEL_OK);
        for (size_t j = 0; j < IDS; j++) {
            struct ael_buf key = key_of(text(k_ids[j]), 1700000040);
            bool begins = strncmp(k_ids[j], k_ids[i], strlen(k_ids[i])) == 0;
            CU_ASSERT_EQUAL(is_between(&key, &own, &own_end), i == j);
            CU_ASSERT_EQUAL(is_between(&key, &all, &all_end), begins);
            ael_buf_clear(&key);
        }
        ael_buf_clear(&own);
        ael_buf_clear(&own_end);
        ael_buf_clear(&all);
        ael_buf_clear(&all_end);
    }
}

static void test_etcd_key_put_end__carries(void) {
    struct ael_buf end = AEL_BUF_INIT;
    CU_ASSERT_EQUAL(ael_etcd_key_put_end(&end, text("p/a\xff\xff")), AEL_OK);
    expect_text(&end, "p/b");
    ael_buf_clear(&end);
}

static void test_etcd_key_read__gives_what_was_put(void) {
    for (size_t i = 0; i < IDS; i++) {
        struct ael_buf key = key_of(text(k_ids[i]), 1700000040 + (int64_t)i);
        struct ael_buf id = AEL_BUF_INIT;
        int64_t created_s = 0;
        CU_ASSERT_EQUAL(ael_etcd_key_read(ael_buf_view(&key), "p", &id, &created_s), AEL_OK);
        expect_text(&id, k_ids[i]);
        CU_ASSERT_EQUAL(created_s, 1700000040 + (int64_t)i);
        ael_buf_clear(&id);
        ael_buf_clear(&key);
    }
}

static void test_etcd_key_read__refuses_what_was_written_otherwise(void) {
    static const char *const k_bad[] = {
        "",
        "p/",
        "p/ 0000000001700000040", /* of no id */
        "q/a 0000000001700000040",
        "p-a 0000000001700000040",
        "pp/a 0000000001700000040",
        "p/a",
        "p/a0000000001700000040",
        "p/a 000000001700000040",   /* 18 digits */
        "p/a 00000000001700000040", /* 20 */
        "p/a 000000000170000004x",
        "p/a -000000001700000040",
        "p/a 9223372036854775808",
        "p/a b 0000000001700000040", /* a blank that is not marked */
        "p/a\n 0000000001700000040",
        "p/a! 0000000001700000040",
        "p/a!2 0000000001700000040",
        "p/a!2g 0000000001700000040",
        "p/a!0A 0000000001700000040",
        "p/a!41 0000000001700000040", /* a byte that needs no mark */
    };
    for (size_t i = 0; i < sizeof k_bad / sizeof k_bad[0]; i++) {
        struct ael_buf id = AEL_BUF_INIT;
        int64_t created_s = 0;
        CU_ASSERT_EQUAL(ael_etcd_key_read(text(k_bad[i]), "p", &id, &created_s), AEL_E_FORMAT);
        ael_buf_clear(&id);
    }
}

static const struct test_case k_cases[] = {
    {"keys can be typed", test_etcd_key_put__writes_what_can_be_typed},
    {"keys are in the order of ids and dates", test_etcd_key_put__keeps_the_order_of_ids_and_dates},
    {"a range holds an id's keys and no other's", test_etcd_key_put_end__closes_ranges},
    {"the end of a range carries", test_etcd_key_put_end__carries},
    {"a key is read as it was put", test_etcd_key_read__gives_what_was_put},
    {"a key that was written otherwise is refused", test_etcd_key_read__refuses_what_was_written_otherwise},
};

TEST_SUITE_MAIN("metastore etcd key", k_cases)
