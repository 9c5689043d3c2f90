/*
 * test_vectors_rotation.c - what the rotation vectors say about the next encrypt, with the clock set to their day.
 *
 * Needs: the static library, cJSON, CUnit, tests/support/vectors.c (there, where the vectors are looked for).
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/clock.h"

#include <ael/ael.h>

#include <stdio.h>
#include <string.h>

#include "tests/support/suite.h"
#include "tests/support/vectors.h"

enum { HOUR_S = 3600, KEY_LIFE_S = 7776000 };

static int64_t number_of(const cJSON *object, const char *name) {
    return (int64_t)cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

static int64_t newest_created(const struct vector_file *file) {
    int64_t newest = 0;
    const cJSON *row = NULL;
    cJSON_ArrayForEach(row, vector_list(file, "metastore")) {
        int64_t created_s = number_of(row, "created");
        newest = created_s > newest ? created_s : newest;
    }
    return newest;
}

/* Encrypts for a partition at a given time; gives the created of the intermediate key that was used. */
static int64_t ik_used_at(
    const struct vector_file *file, struct ael_metastore *metastore, const char *partition, int64_t now_s) {
    static const uint8_t payload[] = {1, 2, 3};
    struct ael_session *session = NULL;
    struct ael_record_buf record = AEL_RECORD_BUF_INIT;
    struct ael_buf plain = AEL_BUF_INIT;
    ael_clock_set_for_test(now_s, INT64_C(1000000000000));
    struct ael_session_factory *factory = vector_file_factory(file, metastore, "");
    CU_ASSERT_PTR_NOT_NULL_FATAL(factory);
    CU_ASSERT_EQUAL(ael_session_acquire(factory, partition, &session, NULL), AEL_OK);
    CU_ASSERT_EQUAL(
        ael_session_encrypt(session, (struct ael_bytes){payload, sizeof payload}, &record, NULL, NULL),
        AEL_OK);
    CU_ASSERT_EQUAL(ael_session_decrypt(session, &record.record, &plain, NULL, NULL), AEL_OK);
    CU_ASSERT_TRUE(plain.len == sizeof payload && memcmp(plain.data, payload, sizeof payload) == 0);
    int64_t created_s = record.record.parent_created_s;
    ael_buf_clear(&plain);
    ael_record_buf_clear(&record);
    ael_session_release(session);
    ael_session_factory_free(factory);
    return created_s;
}

static struct ael_metastore *filled_store(const struct vector_file *file) {
    struct ael_metastore *metastore = NULL;
    size_t stored = 0;
    CU_ASSERT_EQUAL_FATAL(ael_metastore_memory_new(&metastore), AEL_OK);
    CU_ASSERT_TRUE(vector_file_fill(file, metastore, &stored));
    return metastore;
}

typedef void (*expectation_fn)(const struct vector_file *file, const char *partition, int64_t ik_created_s);

/* Runs fn for each file that says which key the next encrypt uses; some must. */
static void for_each_expectation(expectation_fn fn) {
    struct vector_set set;
    size_t count = 0;
    CU_ASSERT_TRUE_FATAL(vector_set_load(&set));
    for (size_t i = 0; i < set.count; i++) {
        const cJSON *next =
            cJSON_GetObjectItemCaseSensitive(vector_list(&set.files[i], "notes"), "expect_next_encrypt");
        if (next != NULL) {
            fn(&set.files[i], vector_text(next, "partition"), number_of(next, "ik_created"));
            count++;
        }
    }
    CU_ASSERT_TRUE(count > 0);
    ael_clock_reset_for_test();
    vector_set_clear(&set);
}

static void expect_named_key(const struct vector_file *file, const char *partition, int64_t ik_created_s) {
    struct ael_metastore *metastore = filled_store(file);
    int64_t first_s = newest_created(file) + HOUR_S;
    CU_ASSERT_TRUE(first_s < ik_created_s + KEY_LIFE_S);
    CU_ASSERT_EQUAL(ik_used_at(file, metastore, partition, first_s), ik_created_s);
    ael_metastore_release(metastore);
}

static void test_encrypt__uses_the_key_that_the_rotation_left(void) {
    for_each_expectation(expect_named_key);
}

static void expect_new_key(const struct vector_file *file, const char *partition, int64_t ik_created_s) {
    struct ael_metastore *metastore = filled_store(file);
    int64_t now_s = ik_created_s + KEY_LIFE_S;
    int64_t used_s = ik_used_at(file, metastore, partition, now_s);
    CU_ASSERT_EQUAL(used_s, now_s - now_s % 60);
    ael_metastore_release(metastore);
}

static void test_encrypt__makes_a_new_key_when_that_one_has_expired(void) {
    for_each_expectation(expect_new_key);
}

static void open_row(struct ael_session_factory *factory, const cJSON *object) {
    struct vector_row row;
    struct ael_session *session = NULL;
    struct ael_buf plain = AEL_BUF_INIT;
    CU_ASSERT_TRUE(vector_row_read(object, &row));
    CU_ASSERT_EQUAL(ael_session_acquire_bytes(factory, row.partition, &session, NULL), AEL_OK);
    CU_ASSERT_EQUAL(
        ael_session_decrypt_json(session, ael_bytes_from_text(row.drr), &plain, NULL, NULL), AEL_OK);
    CU_ASSERT_TRUE(plain.len == row.plain.len && memcmp(plain.data, row.plain.data, plain.len) == 0);
    ael_buf_clear(&plain);
    ael_session_release(session);
    vector_row_clear(&row);
}

static void expect_old_rows(const struct vector_file *file, const char *partition, int64_t ik_created_s) {
    (void)partition;
    struct ael_metastore *metastore = filled_store(file);
    ael_clock_set_for_test(ik_created_s + 10 * (int64_t)KEY_LIFE_S, INT64_C(1000000000000));
    struct ael_session_factory *factory = vector_file_factory(file, metastore, "");
    CU_ASSERT_PTR_NOT_NULL_FATAL(factory);
    const cJSON *object = NULL;
    cJSON_ArrayForEach(object, vector_list(file, "rows")) {
        open_row(factory, object);
    }
    ael_session_factory_free(factory);
    ael_metastore_release(metastore);
}

static void test_decrypt__opens_revoked_and_long_expired_rows(void) {
    for_each_expectation(expect_old_rows);
}

static const struct test_case k_cases[] = {
    {"the next encrypt uses the key that the rotation left",
     test_encrypt__uses_the_key_that_the_rotation_left},
    {"an expired key is replaced", test_encrypt__makes_a_new_key_when_that_one_has_expired},
    {"revoked and expired keys still decrypt", test_decrypt__opens_revoked_and_long_expired_rows},
};

TEST_SUITE_MAIN("vectors_rotation", k_cases)
