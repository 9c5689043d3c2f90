/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "tests/support/fixture.h"
#include "tests/support/suite.h"

#include <stdlib.h>
#include <string.h>

static void test_json__comes_back_for_every_length(void) {
    struct fixture fix;
    fixture_begin(&fix);
    struct ael_session *session = fixture_session(&fix, "p");
    uint8_t plain[7000];
    for (size_t i = 0; i < sizeof plain; i++) {
        plain[i] = (uint8_t)(i * 7);
    }
    struct ael_buf json = AEL_BUF_INIT;
    struct ael_buf back = AEL_BUF_INIT;
    for (size_t len = 0; len < sizeof plain; len += len < 70 ? 1 : 611) {
        CU_ASSERT_EQUAL(
            ael_session_encrypt_json(session, (struct ael_bytes){plain, len}, &json, NULL, NULL), AEL_OK);
        CU_ASSERT_TRUE(json.len <= ael_session_json_bound(session, len));
        CU_ASSERT_EQUAL(ael_session_decrypt_json(session, ael_buf_view(&json), &back, NULL, NULL), AEL_OK);
        CU_ASSERT_EQUAL(back.len, len);
        CU_ASSERT_TRUE(len == 0 || memcmp(back.data, plain, len) == 0);
    }
    ael_buf_clear(&json);
    ael_buf_clear(&back);
    ael_session_release(session);
    fixture_end(&fix);
}

/* What encrypt_json writes in place is what ael_record_to_json writes. */
static void test_json__is_the_canonical_form(void) {
    struct fixture fix;
    fixture_begin(&fix);
    struct ael_session *session = fixture_session(&fix, "p\"<\xc3\xa4");
    struct ael_buf json = AEL_BUF_INIT;
    struct ael_buf again = AEL_BUF_INIT;
    struct ael_record_buf record = AEL_RECORD_BUF_INIT;
    CU_ASSERT_EQUAL(
        ael_session_encrypt_json(session, ael_bytes_from_text("hello"), &json, NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(ael_record_from_json(ael_buf_view(&json), &record, NULL), AEL_OK);
    CU_ASSERT_EQUAL(ael_record_to_json(&record.record, &again), AEL_OK);
    CU_ASSERT_EQUAL(json.len, again.len);
    CU_ASSERT_EQUAL(memcmp(json.data, again.data, json.len), 0);
    CU_ASSERT_EQUAL(memcmp(json.data, "{\"Key\":{\"Created\":1800000040,\"Key\":\"", 35), 0);
    ael_buf_clear(&json);
    ael_buf_clear(&again);
    ael_record_buf_clear(&record);
    ael_session_release(session);
    fixture_end(&fix);
}

static void test_json__fits_a_buffer_of_its_length_and_not_one_byte_less(void) {
    struct fixture fix;
    fixture_begin(&fix);
    struct ael_session *session = fixture_session(&fix, "p");
    struct ael_bytes plain = ael_bytes_from_text("some payload");
    struct ael_buf json = AEL_BUF_INIT;
    CU_ASSERT_EQUAL(ael_session_encrypt_json(session, plain, &json, NULL, NULL), AEL_OK);
    size_t len = json.len;
    ael_buf_clear(&json);
    uint8_t *exact = malloc(len); /* so that a sanitizer sees one byte more */
    ael_buf_init_fixed(&json, exact, len - 1);
    CU_ASSERT_EQUAL(ael_session_encrypt_json(session, plain, &json, NULL, NULL), AEL_E_BUFFER_TOO_SMALL);
    CU_ASSERT_EQUAL(json.len, 0);
    ael_buf_init_fixed(&json, exact, len);
    CU_ASSERT_EQUAL(ael_session_encrypt_json(session, plain, &json, NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(json.len, len);
    struct ael_buf out;
    uint8_t out_bytes[12];
    ael_buf_init_fixed(&out, out_bytes, 11);
    CU_ASSERT_EQUAL(
        ael_session_decrypt_json(session, ael_buf_view(&json), &out, NULL, NULL), AEL_E_BUFFER_TOO_SMALL);
    ael_buf_init_fixed(&out, out_bytes, 12);
    CU_ASSERT_EQUAL(ael_session_decrypt_json(session, ael_buf_view(&json), &out, NULL, NULL), AEL_OK);
    free(exact);
    ael_session_release(session);
    fixture_end(&fix);
}

static void test_json__refuses_bad_text_with_the_one_sentence(void) {
    const char *const texts[] = {"", "{}", "null", "{\"Key\":null,\"Data\":\"\"}", "[", "{\"Key\":{}} x"};
    struct fixture fix;
    fixture_begin(&fix);
    struct ael_session *session = fixture_session(&fix, "p");
    struct ael_record_buf record = fixture_record(session);
    struct ael_buf json = AEL_BUF_INIT;
    struct ael_buf plain = AEL_BUF_INIT;
    struct ael_error err = {0};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        CU_ASSERT_EQUAL(
            ael_session_decrypt_json(session, ael_bytes_from_text(texts[i]), &plain, NULL, &err), AEL_E_RECORD);
        CU_ASSERT_STRING_EQUAL(err.detail, ael_status_text(AEL_E_RECORD));
        CU_ASSERT_EQUAL(plain.len, 0);
    }
    record.record.parent_key_id = ael_bytes_from_text("_IK_p_svc_prodx");
    CU_ASSERT_EQUAL(ael_record_to_json(&record.record, &json), AEL_OK);
    CU_ASSERT_EQUAL(
        ael_session_decrypt_json(session, ael_buf_view(&json), &plain, NULL, &err), AEL_E_RECORD);
    CU_ASSERT_STRING_EQUAL(err.detail, ael_status_text(AEL_E_RECORD));
    ael_buf_clear(&json);
    ael_record_buf_clear(&record);
    ael_session_release(session);
    fixture_end(&fix);
}

static void test_json__refuses_bad_arguments_and_sizes(void) {
    struct fixture fix;
    struct ael_policy policy = AEL_POLICY_INIT;
    policy.max_payload = 100;
    fixture_begin_with(&fix, &policy, NULL);
    struct ael_session *session = fixture_session(&fix, "p");
    struct ael_buf buf = AEL_BUF_INIT;
    struct ael_bytes text = ael_bytes_from_text("{}");
    struct ael_bytes large = {(const uint8_t *)"", 3u << 20};
    struct ael_bytes no_data = {NULL, 5};
    uint8_t plain[101] = {0};
    CU_ASSERT_EQUAL(ael_session_encrypt_json(NULL, text, &buf, NULL, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_session_encrypt_json(session, text, NULL, NULL, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_session_encrypt_json(session, no_data, &buf, NULL, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_session_decrypt_json(NULL, text, &buf, NULL, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_session_decrypt_json(session, text, NULL, NULL, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_session_decrypt_json(session, no_data, &buf, NULL, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_session_decrypt_json(session, large, &buf, NULL, NULL), AEL_E_TOO_LARGE);
    CU_ASSERT_EQUAL(
        ael_session_encrypt_json(session, (struct ael_bytes){plain, 101}, &buf, NULL, NULL), AEL_E_TOO_LARGE);
    CU_ASSERT_EQUAL(ael_session_json_bound(NULL, 1), SIZE_MAX);
    CU_ASSERT_EQUAL(ael_session_json_bound(session, SIZE_MAX), SIZE_MAX);
    CU_ASSERT_PTR_NULL(buf.data);
    ael_session_release(session);
    fixture_end(&fix);
}

/* One place for one record, as JSON. */
struct shelf {
    struct ael_buf json;
    enum ael_status status;
};

static enum ael_status put(void *context, const struct ael_record *record, void **key) {
    struct shelf *shelf = context;
    if (shelf->status != AEL_OK) {
        return shelf->status;
    }
    *key = &shelf->json;
    return ael_record_to_json(record, &shelf->json);
}

static enum ael_status take(void *context, const void *key, struct ael_record_buf *out) {
    struct shelf *shelf = context;
    if (shelf->status != AEL_OK) {
        return shelf->status;
    }
    return key == &shelf->json ? ael_record_from_json(ael_buf_view(&shelf->json), out, NULL) : AEL_OK;
}

static void test_store_and_load__go_through_the_callbacks(void) {
    struct fixture fix;
    fixture_begin(&fix);
    struct ael_session *session = fixture_session(&fix, "p");
    struct shelf shelf = {AEL_BUF_INIT, AEL_OK};
    struct ael_buf plain = AEL_BUF_INIT;
    void *key = NULL;
    CU_ASSERT_EQUAL(
        ael_session_store(session, ael_bytes_from_text("kept"), put, &shelf, &key, NULL, NULL), AEL_OK);
    CU_ASSERT_PTR_EQUAL(key, &shelf.json);
    CU_ASSERT_EQUAL(ael_session_load(session, key, take, &shelf, &plain, NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(plain.len, 4);
    CU_ASSERT_EQUAL(memcmp(plain.data, "kept", 4), 0);
    CU_ASSERT_EQUAL(ael_session_load(session, "other", take, &shelf, &plain, NULL, NULL), AEL_E_RECORD);
    CU_ASSERT_EQUAL(plain.len, 0);
    ael_buf_clear(&shelf.json);
    CU_ASSERT_EQUAL(
        ael_session_store(session, ael_bytes_from_text("kept"), put, &shelf, NULL, NULL, NULL), AEL_OK);
    ael_buf_clear(&shelf.json);
    ael_buf_clear(&plain);
    ael_session_release(session);
    fixture_end(&fix);
}

static void test_store_and_load__report_the_callbacks_failures(void) {
    struct fixture fix;
    fixture_begin(&fix);
    struct ael_session *session = fixture_session(&fix, "p");
    struct shelf shelf = {AEL_BUF_INIT, AEL_E_BACKEND};
    struct ael_bytes text = ael_bytes_from_text("x");
    struct ael_buf plain = AEL_BUF_INIT;
    struct ael_error err = {0};
    void *key = &shelf;
    CU_ASSERT_EQUAL(ael_session_store(session, text, put, &shelf, &key, NULL, &err), AEL_E_CALLBACK);
    CU_ASSERT_PTR_NULL(key);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, "AEL_E_BACKEND"));
    CU_ASSERT_EQUAL(ael_session_load(session, key, take, &shelf, &plain, NULL, &err), AEL_E_CALLBACK);
    shelf.status = AEL_E_KEY_NOT_FOUND;
    CU_ASSERT_EQUAL(ael_session_load(session, key, take, &shelf, &plain, NULL, &err), AEL_E_KEY_NOT_FOUND);
    CU_ASSERT_EQUAL(ael_session_store(NULL, text, put, &shelf, &key, NULL, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_session_store(session, text, NULL, &shelf, &key, NULL, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_session_load(NULL, key, take, &shelf, &plain, NULL, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_session_load(session, key, NULL, &shelf, &plain, NULL, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_session_load(session, key, take, &shelf, NULL, NULL, NULL), AEL_E_ARGUMENT);
    ael_session_factory_free(fix.factory);
    fix.factory = NULL;
    CU_ASSERT_EQUAL(ael_session_load(session, key, take, &shelf, &plain, NULL, NULL), AEL_E_CLOSED);
    CU_ASSERT_EQUAL(ael_session_store(session, text, put, &shelf, &key, NULL, NULL), AEL_E_CLOSED);
    ael_session_release(session);
    fixture_end(&fix);
}

static unsigned s_allocations;

static int count_allocation(void *context) {
    (void)context;
    s_allocations++;
    return 0;
}

/* Warm, into the caller's buffers: nothing of the library's is allocated. */
static void test_json__takes_no_memory_for_records_up_to_some_kilobytes(void) {
    static uint8_t s_plain[2800];
    static uint8_t s_json[8192];
    static uint8_t s_back[sizeof s_plain];
    static const size_t k_lens[] = {0, 64, 1024, sizeof s_plain};
    struct fixture fix;
    fixture_begin(&fix);
    struct ael_session *session = fixture_session(&fix, "p");
    struct ael_buf json;
    struct ael_buf back;
    ael_buf_init_fixed(&json, s_json, sizeof s_json);
    ael_buf_init_fixed(&back, s_back, sizeof s_back);
    for (size_t i = 0; i < sizeof k_lens / sizeof k_lens[0]; i++) {
        struct ael_bytes plain = {s_plain, k_lens[i]};
        for (unsigned round = 0; round < 3; round++) {
            s_allocations = 0;
            ael_alloc_set_fault(count_allocation, NULL);
            CU_ASSERT_EQUAL(ael_session_encrypt_json(session, plain, &json, NULL, NULL), AEL_OK);
            CU_ASSERT_EQUAL(ael_session_decrypt_json(session, ael_buf_view(&json), &back, NULL, NULL), AEL_OK);
            ael_alloc_set_fault(NULL, NULL);
            CU_ASSERT(s_allocations == 0 || (i == 0 && round == 0)); /* the first loads the key */
            CU_ASSERT_EQUAL(back.len, k_lens[i]);
        }
    }
    CU_ASSERT(json.len < 4096);
    ael_session_release(session);
    fixture_end(&fix);
}

static const struct test_case k_cases[] = {
    {"JSON of every length comes back", test_json__comes_back_for_every_length},
    {"JSON is the canonical form", test_json__is_the_canonical_form},
    {"fixed buffers: the length, one byte less", test_json__fits_a_buffer_of_its_length_and_not_one_byte_less},
    {"bad texts all look alike", test_json__refuses_bad_text_with_the_one_sentence},
    {"bad arguments and sizes", test_json__refuses_bad_arguments_and_sizes},
    {"store and load", test_store_and_load__go_through_the_callbacks},
    {"failures of callbacks", test_store_and_load__report_the_callbacks_failures},
    {"short JSON takes no memory", test_json__takes_no_memory_for_records_up_to_some_kilobytes},
};

TEST_SUITE_MAIN("session_io", k_cases)
