/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/suite.h"

#include "base/alloc.h"
#include "tests/support/corpus.h"

#include <ael/record.h>
#include <ael/sys/key_record.h>

static int refuse(void *context) {
    (void)context;
    return 1;
}

static struct ael_key_record example(void) {
    struct ael_key_record record = {.created_s = 1795255080, .has_parent = true, .parent_created_s = 60};
    record.key = ael_bytes_from_text("foobar");
    record.parent_id = ael_bytes_from_text("_SK_<s>_p");
    return record;
}

static bool writes(const struct ael_key_record *record, const char *expected) {
    struct ael_buf json = AEL_BUF_INIT;
    bool same = ael_key_record_to_json(record, &json) == AEL_OK && json.len == strlen(expected) &&
                memcmp(json.data, expected, json.len) == 0;
    ael_buf_clear(&json);
    return same;
}

static void test_ael_key_record_to_json__writes_the_canonical_layout(void) {
    struct ael_key_record record = example();
    CU_ASSERT(writes(
        &record, "{\"Created\":1795255080,\"Key\":\"Zm9vYmFy\","
                 "\"ParentKeyMeta\":{\"KeyId\":\"_SK_\\u003cs\\u003e_p\",\"Created\":60}}"));
    record.revoked = true;
    record.has_parent = false;
    CU_ASSERT(writes(&record, "{\"Revoked\":true,\"Created\":1795255080,\"Key\":\"Zm9vYmFy\"}"));
}

static void test_ael_key_record_to_json__appends_or_leaves_the_buffer(void) {
    static const char k_expected[] = "x{\"Created\":1795255080,\"Key\":\"Zm9vYmFy\"}";
    struct ael_key_record record = example();
    uint8_t storage[sizeof(k_expected) - 1];
    struct ael_buf json;
    record.has_parent = false;
    ael_buf_init_fixed(&json, storage, sizeof(storage) - 1);
    CU_ASSERT_EQUAL(ael_buf_append(&json, ael_bytes_from_text("x")), AEL_OK);
    CU_ASSERT_EQUAL(ael_key_record_to_json(&record, &json), AEL_E_BUFFER_TOO_SMALL);
    CU_ASSERT_EQUAL(json.len, 1);
    ael_buf_init_fixed(&json, storage, sizeof(storage));
    CU_ASSERT_EQUAL(ael_buf_append(&json, ael_bytes_from_text("x")), AEL_OK);
    CU_ASSERT_EQUAL(ael_key_record_to_json(&record, &json), AEL_OK);
    CU_ASSERT_EQUAL(memcmp(storage, k_expected, sizeof(storage)), 0);
    struct ael_buf empty = AEL_BUF_INIT;
    ael_alloc_set_fault(refuse, NULL);
    CU_ASSERT_EQUAL(ael_key_record_to_json(&record, &empty), AEL_E_NO_MEMORY);
    ael_alloc_set_fault(NULL, NULL);
}

static enum ael_status write_status(const struct ael_key_record *record) {
    struct ael_buf json = AEL_BUF_INIT;
    struct ael_key_record_buf copy = AEL_KEY_RECORD_BUF_INIT;
    enum ael_status status = ael_key_record_to_json(record, &json);
    CU_ASSERT_EQUAL(ael_key_record_buf_set(&copy, record), status);
    CU_ASSERT(status == AEL_OK || (json.len == 0 && copy.record.key.data == NULL && copy.storage.len == 0));
    ael_buf_clear(&json);
    ael_key_record_buf_clear(&copy);
    return status;
}

static void test_ael_key_record__has_limits(void) {
    static uint8_t key[AEL_KEY_RECORD_MAX_BYTES + 1];
    static uint8_t id[AEL_ID_MAX_BYTES + 1];
    struct ael_key_record record = example();
    memset(id, 'i', sizeof(id));
    record.key = (struct ael_bytes){key, sizeof(key) - 1};
    record.parent_id = (struct ael_bytes){id, sizeof(id) - 1};
    CU_ASSERT_EQUAL(write_status(&record), AEL_OK);
    record.key.len++;
    CU_ASSERT_EQUAL(write_status(&record), AEL_E_TOO_LARGE);
    record.key.len = 0;
    CU_ASSERT_EQUAL(write_status(&record), AEL_E_ARGUMENT);
    record.key = (struct ael_bytes){NULL, 1};
    CU_ASSERT_EQUAL(write_status(&record), AEL_E_ARGUMENT);
    record.key = (struct ael_bytes){key, 1};
    record.parent_id.len++;
    CU_ASSERT_EQUAL(write_status(&record), AEL_E_TOO_LARGE);
    record.parent_id = (struct ael_bytes){NULL, 1};
    CU_ASSERT_EQUAL(write_status(&record), AEL_E_ARGUMENT);
    record.parent_id = (struct ael_bytes){(const uint8_t *)"a\0b", 3};
    CU_ASSERT_EQUAL(write_status(&record), AEL_E_ARGUMENT);
    record.parent_id = ael_bytes_from_text("\xc3");
    CU_ASSERT_EQUAL(write_status(&record), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(write_status(NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_key_record_to_json(&record, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_key_record_buf_set(NULL, &record), AEL_E_ARGUMENT);
}

static void test_ael_key_record_buf_set__copies(void) {
    struct ael_key_record record = example();
    struct ael_key_record_buf copy = AEL_KEY_RECORD_BUF_INIT;
    CU_ASSERT_EQUAL(ael_key_record_buf_set(&copy, &record), AEL_OK);
    CU_ASSERT(ael_key_record_equal(&copy.record, &record));
    CU_ASSERT_NOT_EQUAL(copy.record.key.data, record.key.data);
    record.has_parent = false;
    CU_ASSERT_EQUAL(ael_key_record_buf_set(&copy, &record), AEL_OK);
    CU_ASSERT(ael_key_record_equal(&copy.record, &record));
    CU_ASSERT(copy.record.parent_id.len == 0 && copy.record.parent_created_s == 0);
    ael_key_record_buf_clear(&copy);
    ael_key_record_buf_clear(&copy);
    ael_key_record_buf_clear(NULL);
    ael_alloc_set_fault(refuse, NULL);
    CU_ASSERT_EQUAL(ael_key_record_buf_set(&copy, &record), AEL_E_NO_MEMORY);
    ael_alloc_set_fault(NULL, NULL);
    CU_ASSERT_PTR_NULL(copy.record.key.data);
}

static void test_ael_key_record_equal__looks_at_every_member(void) {
    const struct ael_key_record a = example();
    struct ael_key_record b = a;
    CU_ASSERT(ael_key_record_equal(&a, &b));
    b.revoked = true;
    CU_ASSERT(!ael_key_record_equal(&a, &b));
    b = a, b.created_s++;
    CU_ASSERT(!ael_key_record_equal(&a, &b));
    b = a, b.key = ael_bytes_from_text("foobaz");
    CU_ASSERT(!ael_key_record_equal(&a, &b));
    b = a, b.key.len--;
    CU_ASSERT(!ael_key_record_equal(&a, &b));
    b = a, b.parent_created_s++;
    CU_ASSERT(!ael_key_record_equal(&a, &b));
    b = a, b.parent_id.len--;
    CU_ASSERT(!ael_key_record_equal(&a, &b));
    b = a, b.has_parent = false;
    CU_ASSERT(!ael_key_record_equal(&a, &b));
    struct ael_key_record c = b;
    c.parent_created_s++;
    CU_ASSERT(ael_key_record_equal(&b, &c));
}

static void test_ael_key_record_from_json__tells_what_and_where(void) {
    struct ael_key_record_buf record = AEL_KEY_RECORD_BUF_INIT;
    struct ael_error error = {0};
    struct ael_bytes json = ael_bytes_from_text("{\"Created\":1,\"Key\":\"secretsecret=\"}");
    CU_ASSERT_EQUAL(ael_key_record_from_json(json, &record, &error), AEL_E_FORMAT);
    CU_ASSERT_EQUAL(error.status, AEL_E_FORMAT);
    CU_ASSERT_STRING_EQUAL(error.detail, "not canonical base64, at byte 20");
    CU_ASSERT_STRING_EQUAL(error.component, "base/key_record");
    CU_ASSERT_EQUAL(ael_key_record_from_json(json, NULL, &error), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_key_record_from_json(ael_bytes_from_text(NULL), &record, NULL), AEL_E_FORMAT);
}

/* Builds a record whose key and id are written as asked. */
static enum ael_status
read_long(size_t key_text_len, const char *id_piece, size_t id_pieces, struct ael_error *err) {
    struct ael_key_record_buf record = AEL_KEY_RECORD_BUF_INIT;
    struct ael_buf json = AEL_BUF_INIT;
    enum ael_status status = ael_buf_append(&json, ael_bytes_from_text("{\"Created\":1,\"Key\":\""));
    for (size_t i = 0; i < key_text_len; i++) {
        status = status == AEL_OK ? ael_buf_append(&json, ael_bytes_from_text("A")) : status;
    }
    CU_ASSERT_EQUAL(
        ael_buf_append(&json, ael_bytes_from_text("\",\"ParentKeyMeta\":{\"Created\":1,\"KeyId\":\"")),
        AEL_OK);
    for (size_t i = 0; i < id_pieces; i++) {
        status = status == AEL_OK ? ael_buf_append(&json, ael_bytes_from_text(id_piece)) : status;
    }
    CU_ASSERT_EQUAL(ael_buf_append(&json, ael_bytes_from_text("\"}}")), AEL_OK);
    CU_ASSERT_EQUAL(status, AEL_OK);
    ael_alloc_set_fault(err != NULL ? refuse : NULL, NULL);
    status = ael_key_record_from_json(ael_buf_view(&json), &record, err);
    ael_alloc_set_fault(NULL, NULL);
    ael_key_record_buf_clear(&record);
    ael_buf_clear(&json);
    return status;
}

static void test_ael_key_record_from_json__refuses_before_it_allocates(void) {
    enum { KEY_MAX = 21844 }; /* 16383 bytes; the next group would be 16386 */
    struct ael_error error = {0};
    CU_ASSERT_EQUAL(read_long(KEY_MAX, "\\u003c", AEL_ID_MAX_BYTES, NULL), AEL_OK);
    CU_ASSERT_EQUAL(read_long(KEY_MAX, "\\u003c", AEL_ID_MAX_BYTES, &error), AEL_E_NO_MEMORY);
    CU_ASSERT_EQUAL(read_long(KEY_MAX + 4, "i", 1, &error), AEL_E_TOO_LARGE);
    CU_ASSERT_EQUAL(read_long(4, "\\u003c", AEL_ID_MAX_BYTES + 1, &error), AEL_E_TOO_LARGE);
    CU_ASSERT_EQUAL(read_long(4, "i", AEL_ID_MAX_BYTES + 1, &error), AEL_E_TOO_LARGE);
    CU_ASSERT_EQUAL(read_long(4, "i", 70000, &error), AEL_E_TOO_LARGE);
    CU_ASSERT_EQUAL(read_long(3, "i", 1, &error), AEL_E_FORMAT);
}

/* 16384 bytes exactly, and one or two more, the last group padded; once with an escaped slash in front. */
static enum ael_status read_key_of(size_t len, const char *first) {
    static char text[24000];
    struct ael_key_record_buf record = AEL_KEY_RECORD_BUF_INIT;
    size_t padding = (3 - len % 3) % 3;
    size_t digits = (len + 2) / 3 * 4 - padding - 1;
    int at = snprintf(text, sizeof(text), "{\"Created\":1,\"Key\":\"%s", first);
    memset(text + at, 'A', digits);
    (void)snprintf(text + at + digits, sizeof(text) - (size_t)at - digits, "%.*s\"}", (int)padding, "==");
    enum ael_status status = ael_key_record_from_json(ael_bytes_from_text(text), &record, NULL);
    CU_ASSERT(status != AEL_OK || record.record.key.len == len);
    ael_key_record_buf_clear(&record);
    return status;
}

static void test_ael_key_record_from_json__takes_keys_up_to_the_limit(void) {
    static const char *const k_first[] = {"/", "\\/", "\\u002f"};
    for (size_t i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(read_key_of(AEL_KEY_RECORD_MAX_BYTES, k_first[i]), AEL_OK);
        CU_ASSERT_EQUAL(read_key_of(AEL_KEY_RECORD_MAX_BYTES + 1, k_first[i]), AEL_E_TOO_LARGE);
        CU_ASSERT_EQUAL(read_key_of(AEL_KEY_RECORD_MAX_BYTES + 2, k_first[i]), AEL_E_TOO_LARGE);
        CU_ASSERT_EQUAL(read_key_of(AEL_KEY_RECORD_MAX_BYTES + 3, k_first[i]), AEL_E_TOO_LARGE);
    }
}

/* bad-: refused. ok-, and those that other implementations wrote: accepted. go-: written again byte for byte. */
static void check_file(const char *name, struct ael_bytes json) {
    struct ael_key_record_buf record = AEL_KEY_RECORD_BUF_INIT;
    enum ael_status status = ael_key_record_from_json(json, &record, NULL);
    bool expected = strncmp(name, "bad-", 4) == 0 ? status == AEL_E_FORMAT : status == AEL_OK;
    CU_ASSERT(expected);
    if (status == AEL_OK && strncmp(name, "go-", 3) == 0) {
        struct ael_buf again = AEL_BUF_INIT;
        CU_ASSERT_EQUAL(ael_key_record_to_json(&record.record, &again), AEL_OK);
        expected = expected && again.len == json.len && memcmp(again.data, json.data, json.len) == 0;
        CU_ASSERT(expected);
        ael_buf_clear(&again);
    }
    if (!expected) {
        printf("%s: %s\n", name, ael_status_name(status));
    }
    ael_key_record_buf_clear(&record);
}

/* A blank before it, and the reader of any layout reads it, not that of the canonical one: to the same end. */
static void check_both_ways(const char *name, struct ael_bytes json) {
    struct ael_key_record_buf direct = AEL_KEY_RECORD_BUF_INIT;
    struct ael_key_record_buf scanned = AEL_KEY_RECORD_BUF_INIT;
    struct ael_buf text = AEL_BUF_INIT;
    CU_ASSERT_EQUAL(ael_buf_append(&text, ael_bytes_from_text(" ")), AEL_OK);
    CU_ASSERT_EQUAL(ael_buf_append(&text, json), AEL_OK);
    enum ael_status status = ael_key_record_from_json(json, &direct, NULL);
    bool same = ael_key_record_from_json(ael_buf_view(&text), &scanned, NULL) == status;
    same = same && ael_key_record_equal(&direct.record, &scanned.record);
    CU_ASSERT(same);
    if (!same) {
        printf("%s: %s\n", name, ael_status_name(status));
    }
    ael_buf_clear(&text);
    ael_key_record_buf_clear(&direct);
    ael_key_record_buf_clear(&scanned);
}

static void test_ael_key_record_from_json__reads_each_layout_alike(void) {
    CU_ASSERT(test_corpus_visit(AEL_TEST_SOURCE_DIR "/tests/fuzz/corpus/key_record", check_both_ways) > 90);
}

/* Each text is cut off at each place, and has each of its bytes changed. */
static void test_ael_key_record_from_json__reads_what_is_nearly_canonical_alike(void) {
    static const char k_text[] = "{\"Revoked\":true,\"Created\":1700000040,\"Key\":\"AAECAw==\","
                                 "\"ParentKeyMeta\":{\"KeyId\":\"_SK_a\",\"Created\":1700000000}}";
    static const char k_others[] = "\0 \"\\,:{}0-.e/\x7f\x80\xff";
    for (size_t at = 0; at < sizeof k_text - 1; at++) {
        char text[sizeof k_text];
        check_both_ways("cut off", (struct ael_bytes){(const uint8_t *)k_text, at});
        for (size_t i = 0; i < sizeof k_others - 1; i++) {
            memcpy(text, k_text, sizeof text);
            text[at] = k_others[i];
            check_both_ways(text, (struct ael_bytes){(const uint8_t *)text, sizeof text - 1});
        }
    }
}

/* Up to more digits than any number has that is held. */
static void test_ael_key_record_from_json__reads_numbers_of_any_length_alike(void) {
    static const char k_digits[] = "12345678901234567890";
    for (int len = 0; len <= 20; len++) {
        char text[128];
        int written = snprintf(text, sizeof text, "{\"Created\":%.*s,\"Key\":\"AAECAw==\"}", len, k_digits);
        check_both_ways(text, (struct ael_bytes){(const uint8_t *)text, (size_t)written});
        written = snprintf(text, sizeof text, "{\"Created\":0%.*s,\"Key\":\"AAECAw==\"}", len, k_digits);
        check_both_ways(text, (struct ael_bytes){(const uint8_t *)text, (size_t)written});
    }
}

static void test_ael_key_record_from_json__reads_what_others_wrote(void) {
    CU_ASSERT(test_corpus_visit(AEL_TEST_SOURCE_DIR "/tests/fuzz/corpus/key_record", check_file) > 90);
}

static const struct test_case k_cases[] = {
    {"the canonical layout is written", test_ael_key_record_to_json__writes_the_canonical_layout},
    {"writing appends or leaves the buffer", test_ael_key_record_to_json__appends_or_leaves_the_buffer},
    {"a record has limits", test_ael_key_record__has_limits},
    {"a record is copied", test_ael_key_record_buf_set__copies},
    {"equal means every member", test_ael_key_record_equal__looks_at_every_member},
    {"a refusal tells what and where", test_ael_key_record_from_json__tells_what_and_where},
    {"a text too long is refused before anything is allocated",
     test_ael_key_record_from_json__refuses_before_it_allocates},
    {"a key up to the limit is read", test_ael_key_record_from_json__takes_keys_up_to_the_limit},
    {"each layout is read alike", test_ael_key_record_from_json__reads_each_layout_alike},
    {"what is nearly canonical is read alike",
     test_ael_key_record_from_json__reads_what_is_nearly_canonical_alike},
    {"numbers of any length are read alike",
     test_ael_key_record_from_json__reads_numbers_of_any_length_alike},
    {"what other implementations wrote is read", test_ael_key_record_from_json__reads_what_others_wrote},
};

TEST_SUITE_MAIN("key_record", k_cases)
