/*
 * tests/unit/test_record_canonical.c - what the reader of the canonical layout takes, what it leaves, and that it never
 * reads anything in another way than the general reader.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/support/suite.h"

#include "base/alloc.h"
#include "base/base64.h"
#include "tests/support/corpus.h"
#include "tests/support/record_readers.h"

static const char k_canonical[] =
    "{\"Key\":{\"Created\":1795255094,\"Key\":\"Zm9vYmFyZm9vYmFyZm9vYmE=\",\"ParentKeyMeta\":{\"KeyId\":"
    "\"_IK_\xc3\xa4_svc_prod\",\"Created\":1795255080}},\"Data\":\"Zm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyZm8=\"}";

enum { TEXT_BYTES = 4096 };

/* The readers agree; returns whether the canonical one took the text. */
static bool agreed(struct ael_bytes json) {
    bool canonical = false;
    const char *differ = test_readers_differ(json, &canonical);
    if (differ != NULL) {
        printf("\n  %.*s\n  %s\n", (int)(json.len < 300 ? json.len : 300), (const char *)json.data, differ);
    }
    CU_ASSERT(differ == NULL);
    return canonical;
}

static bool takes(const char *text) {
    return agreed(ael_bytes_from_text(text));
}

/* The layout with these parts in it. */
static bool takes_parts(const char *created, const char *key, const char *id, const char *data) {
    char text[TEXT_BYTES];
    int len = snprintf(
        text, sizeof text,
        "{\"Key\":{\"Created\":%s,\"Key\":\"%s\",\"ParentKeyMeta\":{\"KeyId\":\"%s\",\"Created\":%s}},"
        "\"Data\":\"%s\"}",
        created, key, id, created, data);
    CU_ASSERT_FATAL(len > 0 && (size_t)len < sizeof text);
    return takes(text);
}

static void test_record_canonical_read__takes_the_layout(void) {
    CU_ASSERT(takes(k_canonical));
    CU_ASSERT(takes_parts("0", "QQ==", "", ""));
    CU_ASSERT(takes_parts("1795255094", "QUJD", "id", "QUI="));
    CU_ASSERT(takes_parts("999999999999999999", "QUJD", "\xf0\x9f\x98\x80", "QUJDQUJD"));
}

/* Accepted or refused: that is the general reader's to say. */
static void test_record_canonical_read__leaves_what_looks_different(void) {
    static const char *const k_numbers[] = {"-1",  "-0",  "00", "01", "", "1000000000000000000",
                                            "1.0", "1e3", " 1", "+1"};
    static const char *const k_keys[] = {
        "", "Q", "QQ", "QR==", "====", "QU\\/D", "QU D", "QUJ-", "QUJDQUJ\n"};
    static const char *const k_ids[] = {"a\\u0026b", "a\nb", "\xff", "\xed\xa0\x80", "a\\", "\xc3"};
    static const char *const k_data[] = {"Q",      "QUI",   "QR==",       "=QQQ",
                                         "QU\\/D", "QU\"D", "\xc3\xa4QQ", "QQ==QQ=="};
    static const char *const k_texts[] = {
        "",
        "{",
        "\"}",
        "{\"Key\":",
        "{\"Key\":{\"Created\":1,\"Key\":\"QUJD\"},\"Data\":\"QUJD\"}",
        "{\"Data\":\"QUJD\",\"Key\":{\"Created\":1,\"Key\":\"QUJD\",\"ParentKeyMeta\":{\"KeyId\":\"\","
        "\"Created\":1}}}",
        "{\"Key\":{\"Revoked\":true,\"Created\":1,\"Key\":\"QUJD\",\"ParentKeyMeta\":{\"KeyId\":\"\","
        "\"Created\":1}},"
        "\"Data\":\"QUJD\"}",
        "{\"Key\":{\"Created\":1,\"Key\":\"QUJD\",\"ParentKeyMeta\":{\"KeyId\":\"\",\"Created\":1}},\"Data\":"
        "\"QUJD\"} ",
        "{\"Key\":{\"Created\":1,\"Key\":\"QUJD\",\"ParentKeyMeta\":{\"KeyId\":\"\",\"Created\":1}},\"Data\":"
        "\"QUJD\","
        "\"X\":\"\"}"};
    for (size_t i = 0; i < sizeof k_numbers / sizeof k_numbers[0]; i++) {
        CU_ASSERT_FALSE(takes_parts(k_numbers[i], "QUJD", "id", "QUJD"));
    }
    for (size_t i = 0; i < sizeof k_keys / sizeof k_keys[0]; i++) {
        CU_ASSERT_FALSE(takes_parts("1", k_keys[i], "id", "QUJD"));
    }
    for (size_t i = 0; i < sizeof k_ids / sizeof k_ids[0]; i++) {
        CU_ASSERT_FALSE(takes_parts("1", "QUJD", k_ids[i], "QUJD"));
    }
    for (size_t i = 0; i < sizeof k_data / sizeof k_data[0]; i++) {
        CU_ASSERT_FALSE(takes_parts("1", "QUJD", "id", k_data[i]));
    }
    for (size_t i = 0; i < sizeof k_texts / sizeof k_texts[0]; i++) {
        CU_ASSERT_FALSE(takes(k_texts[i]));
    }
}

/* Cut short, one byte replaced by each other one, one left out, one twice. */
static void test_record_canonical_read__agrees_about_every_damage(void) {
    size_t len = sizeof k_canonical - 1;
    char text[sizeof k_canonical + 1];
    unsigned taken = 0;
    for (size_t i = 0; i < len; i++) {
        struct ael_bytes cut = {(const uint8_t *)k_canonical, i};
        CU_ASSERT_FALSE(agreed(cut));
        for (unsigned value = 0; value < 256; value++) {
            memcpy(text, k_canonical, len);
            text[i] = (char)value;
            taken += agreed((struct ael_bytes){(const uint8_t *)text, len}) ? 1 : 0;
        }
        memcpy(text, k_canonical, i);
        memcpy(text + i, k_canonical + i + 1, len - i - 1);
        (void)agreed((struct ael_bytes){(const uint8_t *)text, len - 1});
        memcpy(text, k_canonical, i + 1);
        memcpy(text + i + 1, k_canonical + i, len - i);
        (void)agreed((struct ael_bytes){(const uint8_t *)text, len + 1});
    }
    CU_ASSERT(taken > len); /* itself at least at each place */
}

static void check_written(const struct ael_record *record) {
    struct ael_buf json = AEL_BUF_INIT;
    CU_ASSERT_EQUAL_FATAL(ael_record_to_json(record, &json), AEL_OK);
    CU_ASSERT_EQUAL(agreed(ael_buf_view(&json)), test_is_for_canonical(record, ael_buf_view(&json)));
    ael_buf_clear(&json);
}

/* Every length of data, and ids of every length around the longest. */
static void test_record_canonical_read__takes_what_is_written(void) {
    static uint8_t s_data[9000];
    static char s_id[AEL_ID_MAX_BYTES];
    struct ael_record record = {.created_s = 7, .has_parent = true, .parent_created_s = 8};
    memset(s_data, 0xfb, sizeof s_data);
    memset(s_id, 'i', sizeof s_id);
    record.key = (struct ael_bytes){s_data, AEL_SEALED_KEY_BYTES};
    record.parent_key_id = ael_bytes_from_text("_IK_p_svc_prod");
    for (size_t len = 0; len <= sizeof s_data; len += len < 300 ? 1 : 290) {
        record.data = (struct ael_bytes){s_data, len};
        check_written(&record);
    }
    for (size_t len = AEL_ID_MAX_BYTES - 2; len <= AEL_ID_MAX_BYTES; len++) {
        record.parent_key_id = (struct ael_bytes){(const uint8_t *)s_id, len};
        check_written(&record);
    }
    record.parent_key_id = ael_bytes_from_text("a&b");
    check_written(&record);
    record.created_s = INT64_MAX;
    check_written(&record);
}

/* Too long by one: the general reader's refusal is what callers get. */
static void test_record_canonical_read__leaves_what_is_too_long(void) {
    static char s_text[64 * 1024];
    static const char k_tail[] = "\",\"ParentKeyMeta\":{\"KeyId\":\"i\",\"Created\":1}},\"Data\":\"QUJD\"}";
    struct ael_record_buf out = AEL_RECORD_BUF_INIT;
    static const size_t k_key_lens[] = {16 * 1024 - 1, 16 * 1024, 16 * 1024 + 1, 16 * 1024 + 2};
    static uint8_t s_key[16 * 1024 + 2];
    for (size_t i = 0; i < 4; i++) {
        int head = snprintf(s_text, sizeof s_text, "{\"Key\":{\"Created\":1,\"Key\":\"");
        size_t len = (size_t)head;
        ael_base64_encode(s_key, k_key_lens[i], s_text + len);
        len += ael_base64_encoded_len(k_key_lens[i]);
        memcpy(s_text + len, k_tail, sizeof k_tail - 1);
        struct ael_bytes json = {(const uint8_t *)s_text, len + sizeof k_tail - 1};
        CU_ASSERT_EQUAL(agreed(json), k_key_lens[i] <= 16 * 1024);
        CU_ASSERT_EQUAL(
            ael_record_from_json(json, &out, NULL), k_key_lens[i] <= 16 * 1024 ? AEL_OK : AEL_E_TOO_LARGE);
    }
    ael_record_buf_clear(&out);
    char id[AEL_ID_MAX_BYTES + 2];
    memset(id, 'i', sizeof id - 1);
    id[sizeof id - 1] = '\0';
    char text[sizeof id + 200];
    snprintf(
        text, sizeof text,
        "{\"Key\":{\"Created\":1,\"Key\":\"QUJD\",\"ParentKeyMeta\":{\"KeyId\":\"%s\",\"Created\":1}},"
        "\"Data\":\"\"}",
        id);
    CU_ASSERT_FALSE(takes(text));
    CU_ASSERT_EQUAL(ael_record_from_json(ael_bytes_from_text(text), &out, NULL), AEL_E_TOO_LARGE);
}

static int refuse(void *context) {
    (void)context;
    return 1;
}

static void test_record_from_json__tells_what_storage_lacks(void) {
    uint8_t storage[sizeof k_canonical];
    struct ael_record_buf out = AEL_RECORD_BUF_INIT;
    struct ael_error error = {0};
    ael_alloc_set_fault(refuse, NULL);
    CU_ASSERT_EQUAL(ael_record_from_json(ael_bytes_from_text(k_canonical), &out, &error), AEL_E_NO_MEMORY);
    ael_alloc_set_fault(NULL, NULL);
    CU_ASSERT(out.record.key.data == NULL && out.storage.len == 0);
    ael_buf_init_fixed(&out.storage, storage, 20);
    CU_ASSERT_EQUAL(
        ael_record_from_json(ael_bytes_from_text(k_canonical), &out, &error), AEL_E_BUFFER_TOO_SMALL);
    CU_ASSERT(out.record.key.data == NULL && out.storage.len == 0);
    ael_buf_init_fixed(&out.storage, storage, sizeof storage);
    CU_ASSERT_EQUAL(ael_record_from_json(ael_bytes_from_text(k_canonical), &out, &error), AEL_OK);
    CU_ASSERT_EQUAL(out.record.key.len, 17);
    CU_ASSERT_EQUAL(out.record.data.len, 26);
}

static unsigned s_taken;

static void check_file(const char *name, struct ael_bytes json) {
    bool canonical = agreed(json);
    s_taken += canonical ? 1 : 0;
    if (strncmp(name, "go-", 3) == 0 && memchr(json.data, '\\', json.len) == NULL) {
        CU_ASSERT(canonical);
    }
}

static void test_record_canonical_read__agrees_about_what_others_wrote(void) {
    CU_ASSERT(test_corpus_visit(AEL_TEST_SOURCE_DIR "/tests/fuzz/corpus/record", check_file) > 130);
    CU_ASSERT(s_taken > 20);
}

static const struct test_case k_cases[] = {
    {"the layout is taken", test_record_canonical_read__takes_the_layout},
    {"what looks different is left", test_record_canonical_read__leaves_what_looks_different},
    {"the readers agree about every damage", test_record_canonical_read__agrees_about_every_damage},
    {"what is written is taken", test_record_canonical_read__takes_what_is_written},
    {"what is too long is left", test_record_canonical_read__leaves_what_is_too_long},
    {"what storage lacks is told", test_record_from_json__tells_what_storage_lacks},
    {"the readers agree about what others wrote", test_record_canonical_read__agrees_about_what_others_wrote},
};

TEST_SUITE_MAIN("record_canonical", k_cases)
