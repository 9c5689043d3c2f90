/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/suite.h"

#include "base/alloc.h"
#include "tests/support/corpus.h"

#include <ael/record.h>

enum { JSON_MAX_BYTES = 90876586 }; /* 65 MiB x 4/3 */

static const char k_canonical[] =
    "{\"Key\":{\"Created\":1795255094,\"Key\":\"Zm9vYmFy\",\"ParentKeyMeta\":{\"KeyId\":\"_IK_a\\u0026b\","
    "\"Created\":1795255080}},\"Data\":\"Zm8=\"}";

static int refuse(void *context) {
    (void)context;
    return 1;
}

static struct ael_record example(void) {
    struct ael_record record = {.created_s = 1795255094, .has_parent = true, .parent_created_s = 1795255080};
    record.key = ael_bytes_from_text("foobar");
    record.data = ael_bytes_from_text("fo");
    record.parent_key_id = ael_bytes_from_text("_IK_a&b");
    return record;
}

static bool bytes_equal(struct ael_bytes a, struct ael_bytes b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static bool records_equal(const struct ael_record *a, const struct ael_record *b) {
    return bytes_equal(a->data, b->data) && bytes_equal(a->key, b->key) &&
           bytes_equal(a->parent_key_id, b->parent_key_id) && a->created_s == b->created_s &&
           a->revoked == b->revoked && a->has_parent == b->has_parent &&
           a->parent_created_s == b->parent_created_s;
}

static bool is_empty(const struct ael_record_buf *record) {
    static const struct ael_record k_nothing;
    return records_equal(&record->record, &k_nothing) && record->record.key.data == NULL &&
           record->record.data.data == NULL && record->storage.len == 0;
}

static void test_ael_record_to_json__writes_the_canonical_layout(void) {
    struct ael_record record = example();
    struct ael_buf json = AEL_BUF_INIT;
    CU_ASSERT_EQUAL(ael_record_to_json(&record, &json), AEL_OK);
    CU_ASSERT(bytes_equal(ael_buf_view(&json), ael_bytes_from_text(k_canonical)));
    CU_ASSERT_EQUAL(ael_record_json_bound(&record), json.len);
    ael_buf_clear(&json);
    record.revoked = true;
    CU_ASSERT_EQUAL(ael_record_to_json(&record, &json), AEL_OK);
    CU_ASSERT_EQUAL(memcmp(json.data, "{\"Key\":{\"Revoked\":true,\"Created\":", 31), 0);
    CU_ASSERT_EQUAL(ael_record_json_bound(&record), json.len);
    ael_buf_clear(&json);
}

static void test_ael_record_to_json__needs_the_bound_and_no_more(void) {
    struct ael_record record = example();
    uint8_t storage[sizeof(k_canonical)];
    struct ael_buf json;
    ael_buf_init_fixed(&json, storage, ael_record_json_bound(&record) - 1);
    CU_ASSERT_EQUAL(ael_record_to_json(&record, &json), AEL_E_BUFFER_TOO_SMALL);
    CU_ASSERT_EQUAL(json.len, 0);
    ael_buf_init_fixed(&json, storage, ael_record_json_bound(&record));
    CU_ASSERT_EQUAL(ael_record_to_json(&record, &json), AEL_OK);
    CU_ASSERT(bytes_equal(ael_buf_view(&json), ael_bytes_from_text(k_canonical)));
    struct ael_buf grows = AEL_BUF_INIT;
    ael_alloc_set_fault(refuse, NULL);
    CU_ASSERT_EQUAL(ael_record_to_json(&record, &grows), AEL_E_NO_MEMORY);
    ael_alloc_set_fault(NULL, NULL);
}

static enum ael_status write_status(const struct ael_record *record) {
    struct ael_buf json = AEL_BUF_INIT;
    enum ael_status status = ael_record_to_json(record, &json);
    CU_ASSERT(status == AEL_OK || json.len == 0);
    ael_buf_clear(&json);
    return status;
}

static void test_ael_record_to_json__refuses_what_it_could_not_read(void) {
    static const uint8_t k_id[AEL_ID_MAX_BYTES + 1] = "id";
    struct ael_record record = example();
    record.has_parent = false;
    CU_ASSERT_EQUAL(write_status(&record), AEL_E_ARGUMENT);
    record = example();
    record.parent_key_id = (struct ael_bytes){k_id, sizeof(k_id)};
    CU_ASSERT_EQUAL(write_status(&record), AEL_E_TOO_LARGE);
    record.parent_key_id.len = 3;
    CU_ASSERT_EQUAL(write_status(&record), AEL_E_ARGUMENT);
    record.parent_key_id = ael_bytes_from_text("\xed\xa0\x80");
    CU_ASSERT_EQUAL(write_status(&record), AEL_E_ARGUMENT);
    record = example();
    record.key.len = 0;
    CU_ASSERT_EQUAL(write_status(&record), AEL_E_ARGUMENT);
    record = example();
    record.data.data = NULL;
    CU_ASSERT_EQUAL(write_status(&record), AEL_E_ARGUMENT);
    record = example();
    record.data.len = JSON_MAX_BYTES / 4 * 3;
    CU_ASSERT_EQUAL(write_status(&record), AEL_E_TOO_LARGE);
    record.data.len = SIZE_MAX;
    CU_ASSERT_EQUAL(ael_record_json_bound(&record), SIZE_MAX);
    CU_ASSERT_EQUAL(write_status(&record), AEL_E_TOO_LARGE);
    CU_ASSERT_EQUAL(write_status(NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_record_to_json(&record, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_record_json_bound(NULL), SIZE_MAX);
}

static void test_ael_record_from_json__reads_what_was_written(void) {
    struct ael_record expected = example();
    struct ael_record_buf record = AEL_RECORD_BUF_INIT;
    struct ael_error error = {0};
    for (int round = 0; round < 2; round++) {
        CU_ASSERT_EQUAL(ael_record_from_json(ael_bytes_from_text(k_canonical), &record, &error), AEL_OK);
        CU_ASSERT(records_equal(&record.record, &expected));
    }
    ael_record_buf_clear(&record);
    CU_ASSERT(is_empty(&record));
    ael_record_buf_clear(&record);
    ael_record_buf_clear(NULL);
}

static void test_ael_record_from_json__reads_into_fixed_storage(void) {
    uint8_t storage[6 + 2 + 7];
    struct ael_record expected = example();
    struct ael_record_buf record = AEL_RECORD_BUF_INIT;
    ael_buf_init_fixed(&record.storage, storage, sizeof(storage) - 1);
    CU_ASSERT_EQUAL(
        ael_record_from_json(ael_bytes_from_text(k_canonical), &record, NULL), AEL_E_BUFFER_TOO_SMALL);
    CU_ASSERT(is_empty(&record));
    ael_buf_init_fixed(&record.storage, storage, sizeof(storage));
    ael_alloc_set_fault(refuse, NULL);
    CU_ASSERT_EQUAL(ael_record_from_json(ael_bytes_from_text(k_canonical), &record, NULL), AEL_OK);
    ael_alloc_set_fault(NULL, NULL);
    CU_ASSERT(records_equal(&record.record, &expected));
}

static void test_ael_record_from_json__is_empty_after_a_failure(void) {
    struct ael_record_buf record = AEL_RECORD_BUF_INIT;
    struct ael_error error = {0};
    struct ael_bytes bad =
        ael_bytes_from_text("{\"Key\":{\"Created\":1,\"Key\":\"QUJD\"},\"Data\":\"QUJDQQ\"}");
    CU_ASSERT_EQUAL(ael_record_from_json(ael_bytes_from_text(k_canonical), &record, &error), AEL_OK);
    CU_ASSERT_EQUAL(ael_record_from_json(bad, &record, &error), AEL_E_FORMAT);
    CU_ASSERT(is_empty(&record));
    CU_ASSERT_EQUAL(error.status, AEL_E_FORMAT);
    CU_ASSERT_STRING_EQUAL(error.component, "appencryption/record");
    CU_ASSERT_STRING_EQUAL(error.detail, "not canonical base64, at byte 42");
    ael_alloc_set_fault(refuse, NULL);
    CU_ASSERT_EQUAL(ael_record_from_json(ael_bytes_from_text(k_canonical), &record, &error), AEL_E_NO_MEMORY);
    ael_alloc_set_fault(NULL, NULL);
    CU_ASSERT(is_empty(&record));
}

static void test_ael_record_from_json__refuses_null_and_what_is_too_long(void) {
    struct ael_record_buf record = AEL_RECORD_BUF_INIT;
    struct ael_error error = {0};
    struct ael_bytes endless = {(const uint8_t *)k_canonical, (size_t)JSON_MAX_BYTES + 1};
    CU_ASSERT_EQUAL(ael_record_from_json(endless, &record, &error), AEL_E_TOO_LARGE);
    CU_ASSERT_EQUAL(error.status, AEL_E_TOO_LARGE);
    CU_ASSERT_EQUAL(ael_record_from_json(ael_bytes_from_text(NULL), &record, NULL), AEL_E_FORMAT);
    CU_ASSERT_EQUAL(ael_record_from_json(ael_bytes_from_text(k_canonical), NULL, &error), AEL_E_ARGUMENT);
}

/* Every text cut short, and every byte of it replaced: never accepted as something that is not written again. */
static void test_ael_record_from_json__survives_damage(void) {
    char text[sizeof(k_canonical)];
    struct ael_record_buf record = AEL_RECORD_BUF_INIT;
    for (size_t i = 0; i < sizeof(k_canonical) - 1; i++) {
        struct ael_bytes cut = {(const uint8_t *)k_canonical, i};
        CU_ASSERT_EQUAL(ael_record_from_json(cut, &record, NULL), AEL_E_FORMAT);
        for (unsigned value = 0; value < 256; value++) {
            memcpy(text, k_canonical, sizeof(text));
            text[i] = (char)value;
            struct ael_bytes changed = {(const uint8_t *)text, sizeof(text) - 1};
            if (ael_record_from_json(changed, &record, NULL) == AEL_OK && record.record.has_parent &&
                write_status(&record.record) != AEL_OK) {
                CU_FAIL("accepted and not written again");
            }
        }
    }
    ael_record_buf_clear(&record);
}

static void test_ael_record_buf_set__copies(void) {
    struct ael_record record = example();
    struct ael_record_buf copy = AEL_RECORD_BUF_INIT;
    CU_ASSERT_EQUAL(ael_record_buf_set(&copy, &record), AEL_OK);
    CU_ASSERT(records_equal(&copy.record, &record));
    CU_ASSERT_NOT_EQUAL(copy.record.data.data, record.data.data);
    record.has_parent = false;
    record.data = (struct ael_bytes){NULL, 0};
    CU_ASSERT_EQUAL(ael_record_buf_set(&copy, &record), AEL_OK);
    CU_ASSERT(!copy.record.has_parent && copy.record.parent_key_id.len == 0 && copy.record.data.len == 0);
    CU_ASSERT_EQUAL(ael_record_buf_set(&copy, NULL), AEL_E_ARGUMENT);
    CU_ASSERT(is_empty(&copy));
    CU_ASSERT_EQUAL(ael_record_buf_set(NULL, &record), AEL_E_ARGUMENT);
    record.data = (struct ael_bytes){(const uint8_t *)"x", SIZE_MAX};
    CU_ASSERT_EQUAL(ael_record_buf_set(&copy, &record), AEL_E_TOO_LARGE);
    uint8_t storage[4];
    record = example();
    ael_buf_init_fixed(&copy.storage, storage, sizeof(storage));
    CU_ASSERT_EQUAL(ael_record_buf_set(&copy, &record), AEL_E_BUFFER_TOO_SMALL);
    CU_ASSERT(is_empty(&copy));
}

/* bad-: refused. ok-, and those that other implementations wrote: accepted. go-: written again byte for byte. */
static void check_file(const char *name, struct ael_bytes json) {
    struct ael_record_buf record = AEL_RECORD_BUF_INIT;
    enum ael_status status = ael_record_from_json(json, &record, NULL);
    bool expected = strncmp(name, "bad-", 4) == 0 ? status == AEL_E_FORMAT : status == AEL_OK;
    CU_ASSERT(expected);
    if (status == AEL_OK && strncmp(name, "go-", 3) == 0) {
        struct ael_buf again = AEL_BUF_INIT;
        CU_ASSERT_EQUAL(ael_record_to_json(&record.record, &again), AEL_OK);
        expected = expected && bytes_equal(ael_buf_view(&again), json);
        CU_ASSERT(expected);
        ael_buf_clear(&again);
    }
    if (!expected) {
        printf("%s: %s\n", name, ael_status_name(status));
    }
    ael_record_buf_clear(&record);
}

static void test_ael_record_from_json__reads_what_others_wrote(void) {
    CU_ASSERT(test_corpus_visit(AEL_TEST_SOURCE_DIR "/tests/fuzz/corpus/record", check_file) > 130);
}

static void test_record_from_json__an_empty_text_is_malformed_a_missing_one_is_an_argument(void) {
    struct ael_record_buf out = AEL_RECORD_BUF_INIT;
    struct ael_bytes empty = {NULL, 0};
    struct ael_bytes missing = {NULL, 1};
    CU_ASSERT_EQUAL(ael_record_from_json(empty, &out, NULL), AEL_E_FORMAT);
    CU_ASSERT_EQUAL(ael_record_from_json(missing, &out, NULL), AEL_E_ARGUMENT);
    ael_record_buf_clear(&out);
}

static const struct test_case k_cases[] = {
    {"an empty text is malformed, a missing one is an argument",
     test_record_from_json__an_empty_text_is_malformed_a_missing_one_is_an_argument},
    {"the canonical layout is written", test_ael_record_to_json__writes_the_canonical_layout},
    {"writing needs the bound and no more", test_ael_record_to_json__needs_the_bound_and_no_more},
    {"what could not be read is not written", test_ael_record_to_json__refuses_what_it_could_not_read},
    {"what was written is read", test_ael_record_from_json__reads_what_was_written},
    {"a record is read into fixed storage", test_ael_record_from_json__reads_into_fixed_storage},
    {"a record is empty after a failure", test_ael_record_from_json__is_empty_after_a_failure},
    {"NULL and what is too long are refused", test_ael_record_from_json__refuses_null_and_what_is_too_long},
    {"damage is survived", test_ael_record_from_json__survives_damage},
    {"a record is copied", test_ael_record_buf_set__copies},
    {"what other implementations wrote is read", test_ael_record_from_json__reads_what_others_wrote},
};

TEST_SUITE_MAIN("record", k_cases)
