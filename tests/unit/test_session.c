/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions: what encrypt writes, what decrypt accepts and refuses, and how. */
#include "base/clock.h"
#include "tests/support/fixture.h"
#include "tests/support/suite.h"

#include <string.h>

static void test_encrypt__makes_both_keys_in_one_kms_call_and_four_metastore_calls(void) {
    struct fixture fix;
    fixture_begin(&fix);
    CU_ASSERT_EQUAL(fake_metastore_calls(fix.metastore), 0);
    struct ael_session *session = fixture_session(&fix, "p");
    CU_ASSERT_EQUAL(fake_metastore_calls(fix.metastore), 0);
    CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_OK);
    CU_ASSERT_EQUAL(fix.kms->encrypts, 1);
    CU_ASSERT_EQUAL(fix.kms->decrypts, 0);
    CU_ASSERT_EQUAL(fake_metastore_calls(fix.metastore), 4);
    ael_session_release(session);
    fixture_end(&fix);
}

static void test_encrypt__names_keys_that_are_stored(void) {
    struct fixture fix;
    fixture_begin(&fix);
    struct ael_session *session = fixture_session(&fix, "p");
    struct ael_record_buf record = fixture_record(session);
    CU_ASSERT_EQUAL(record.record.created_s, FIXTURE_NOW_S);
    CU_ASSERT_EQUAL(record.record.parent_created_s, FIXTURE_MINUTE_S);
    CU_ASSERT_EQUAL(record.record.key.len, AEL_SEALED_KEY_BYTES);
    CU_ASSERT_TRUE(record.record.has_parent);
    CU_ASSERT_FALSE(record.record.revoked);
    CU_ASSERT_EQUAL(record.record.parent_key_id.len, strlen(FIXTURE_IK));
    CU_ASSERT_EQUAL(memcmp(record.record.parent_key_id.data, FIXTURE_IK, strlen(FIXTURE_IK)), 0);
    struct ael_key_record *stored = fake_metastore_find(fix.metastore, FIXTURE_IK, FIXTURE_MINUTE_S);
    CU_ASSERT_PTR_NOT_NULL_FATAL(stored);
    CU_ASSERT_TRUE(stored->has_parent);
    CU_ASSERT_EQUAL(stored->parent_created_s, FIXTURE_MINUTE_S);
    CU_ASSERT_PTR_NOT_NULL(fake_metastore_find(fix.metastore, FIXTURE_SK, FIXTURE_MINUTE_S));
    CU_ASSERT_EQUAL(fixture_decrypt(session, &record.record), AEL_OK);
    ael_record_buf_clear(&record);
    ael_session_release(session);
    fixture_end(&fix);
}

static void test_encrypt__makes_a_new_ciphertext_each_time(void) {
    struct fixture fix;
    fixture_begin(&fix);
    struct ael_session *session = fixture_session(&fix, "p");
    struct ael_record_buf a = fixture_record(session);
    struct ael_record_buf b = fixture_record(session);
    CU_ASSERT_NOT_EQUAL(memcmp(a.record.data.data, b.record.data.data, a.record.data.len), 0);
    CU_ASSERT_NOT_EQUAL(memcmp(a.record.key.data, b.record.key.data, a.record.key.len), 0);
    CU_ASSERT_EQUAL(fixture_stats(fix.factory).intermediate_key_hits, 1);
    ael_record_buf_clear(&a);
    ael_record_buf_clear(&b);
    ael_session_release(session);
    fixture_end(&fix);
}

static void test_encrypt__takes_an_empty_payload(void) {
    struct fixture fix;
    fixture_begin(&fix);
    struct ael_session *session = fixture_session(&fix, "p");
    struct ael_record_buf record = AEL_RECORD_BUF_INIT;
    struct ael_buf plain = AEL_BUF_INIT;
    CU_ASSERT_EQUAL(ael_session_encrypt(session, (struct ael_bytes){NULL, 0}, &record, NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(record.record.data.len, AEL_SEALED_OVERHEAD_BYTES);
    CU_ASSERT_EQUAL(ael_session_decrypt(session, &record.record, &plain, NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(plain.len, 0);
    uint8_t nothing;
    ael_buf_clear(&plain);
    ael_buf_init_fixed(&plain, &nothing, 0);
    CU_ASSERT_EQUAL(ael_session_decrypt(session, &record.record, &plain, NULL, NULL), AEL_OK);
    ael_record_buf_clear(&record);
    ael_session_release(session);
    fixture_end(&fix);
}

static void test_encrypt__refuses_bad_arguments(void) {
    struct fixture fix;
    fixture_begin(&fix);
    struct ael_session *session = fixture_session(&fix, "p");
    struct ael_record_buf record = AEL_RECORD_BUF_INIT;
    struct ael_bytes plain = ael_bytes_from_text("x");
    struct ael_error err = {0};
    struct ael_call short_call = {.size = 8};
    CU_ASSERT_EQUAL(ael_session_encrypt(NULL, plain, &record, NULL, &err), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(err.status, AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_session_encrypt(session, plain, NULL, NULL, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(
        ael_session_encrypt(session, (struct ael_bytes){NULL, 5}, &record, NULL, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_session_encrypt(session, plain, &record, &short_call, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(fake_metastore_calls(fix.metastore), 0);
    ael_session_release(session);
    ael_session_release(NULL);
    fixture_end(&fix);
}

static void test_encrypt__refuses_a_payload_over_the_limit_before_any_edge(void) {
    struct fixture fix;
    struct ael_policy policy = AEL_POLICY_INIT;
    policy.max_payload = 10;
    fixture_begin_with(&fix, &policy, NULL);
    struct ael_session *session = fixture_session(&fix, "p");
    struct ael_record_buf record = AEL_RECORD_BUF_INIT;
    CU_ASSERT_EQUAL(
        ael_session_encrypt(session, ael_bytes_from_text("elevenbytes"), &record, NULL, NULL), AEL_E_TOO_LARGE);
    CU_ASSERT_EQUAL(record.storage.len, 0);
    CU_ASSERT_EQUAL(fake_metastore_calls(fix.metastore), 0);
    CU_ASSERT_EQUAL(
        ael_session_encrypt(session, ael_bytes_from_text("ten bytes!"), &record, NULL, NULL), AEL_OK);
    struct ael_record large = record.record;
    struct ael_buf plain = AEL_BUF_INIT;
    large.data.len = 11 + AEL_SEALED_OVERHEAD_BYTES;
    CU_ASSERT_EQUAL(ael_session_decrypt(session, &large, &plain, NULL, NULL), AEL_E_TOO_LARGE);
    CU_ASSERT_PTR_NULL(plain.data);
    ael_record_buf_clear(&record);
    ael_session_release(session);
    fixture_end(&fix);
}

static void test_encrypt__fills_a_fixed_buffer_of_the_bound_and_refuses_one_byte_less(void) {
    struct fixture fix;
    fixture_begin(&fix);
    struct ael_session *session = fixture_session(&fix, "p");
    struct ael_bytes plain = ael_bytes_from_text("sixteen bytes...");
    uint8_t storage[256];
    struct ael_record_buf record = AEL_RECORD_BUF_INIT;
    size_t bound = ael_session_record_bound(session, plain.len);
    ael_buf_init_fixed(&record.storage, storage, bound - 1);
    CU_ASSERT_EQUAL(ael_session_encrypt(session, plain, &record, NULL, NULL), AEL_E_BUFFER_TOO_SMALL);
    CU_ASSERT_EQUAL(record.storage.len, 0);
    CU_ASSERT_PTR_NULL(record.record.data.data);
    ael_buf_init_fixed(&record.storage, storage, bound);
    CU_ASSERT_EQUAL(ael_session_encrypt(session, plain, &record, NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(record.storage.len, bound);
    struct ael_buf out;
    uint8_t out_bytes[16];
    ael_buf_init_fixed(&out, out_bytes, 15);
    CU_ASSERT_EQUAL(ael_session_decrypt(session, &record.record, &out, NULL, NULL), AEL_E_BUFFER_TOO_SMALL);
    ael_buf_init_fixed(&out, out_bytes, 16);
    CU_ASSERT_EQUAL(ael_session_decrypt(session, &record.record, &out, NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(memcmp(out_bytes, plain.data, 16), 0);
    CU_ASSERT_EQUAL(ael_session_record_bound(session, SIZE_MAX), SIZE_MAX);
    CU_ASSERT_EQUAL(ael_session_record_bound(NULL, 1), SIZE_MAX);
    ael_session_release(session);
    fixture_end(&fix);
}

static void test_encrypt__leaves_nothing_after_a_failure(void) {
    struct fixture fix;
    fixture_begin(&fix);
    struct ael_session *session = fixture_session(&fix, "p");
    struct ael_record_buf record = fixture_record(session);
    struct ael_session *other = fixture_session(&fix, "q");
    fake_metastore_fail_all(fix.metastore, AEL_E_BACKEND);
    struct ael_error err = {0};
    CU_ASSERT_EQUAL(ael_session_encrypt(other, ael_bytes_from_text("x"), &record, NULL, &err), AEL_E_BACKEND);
    CU_ASSERT_EQUAL(err.status, AEL_E_BACKEND);
    CU_ASSERT_EQUAL(record.storage.len, 0);
    CU_ASSERT_PTR_NULL(record.record.data.data);
    CU_ASSERT_FALSE(record.record.has_parent);
    ael_record_buf_clear(&record);
    ael_session_release(other);
    ael_session_release(session);
    fixture_end(&fix);
}

static void test_calls__end_before_they_begin_when_over_or_cancelled(void) {
    struct fixture fix;
    fixture_begin(&fix);
    struct ael_session *session = fixture_session(&fix, "p");
    struct ael_record_buf record = AEL_RECORD_BUF_INIT;
    struct ael_call call = AEL_CALL_INIT;
    call.deadline_ns = ael_deadline_in_ms(0);
    CU_ASSERT_EQUAL(
        ael_session_encrypt(session, ael_bytes_from_text("x"), &record, &call, NULL), AEL_E_TIMEOUT);
    struct ael_cancel *cancel = NULL;
    CU_ASSERT_EQUAL(ael_cancel_new(&cancel), AEL_OK);
    ael_cancel_trigger(cancel);
    call = (struct ael_call)AEL_CALL_INIT;
    call.cancel = cancel;
    CU_ASSERT_EQUAL(
        ael_session_encrypt(session, ael_bytes_from_text("x"), &record, &call, NULL), AEL_E_CANCELLED);
    ael_cancel_free(cancel);
    CU_ASSERT_EQUAL(fake_metastore_calls(fix.metastore), 0);
    ael_session_release(session);
    fixture_end(&fix);
}

/* Decrypts a changed record and checks the one answer that all refusals give. */
static void expect_refusal(struct ael_session *session, const struct ael_record *record, enum ael_status expected) {
    static char first_detail[232];
    struct ael_buf plain = AEL_BUF_INIT;
    struct ael_error err = {0};
    CU_ASSERT_EQUAL(ael_buf_append(&plain, ael_bytes_from_text("old content")), AEL_OK);
    CU_ASSERT_EQUAL(ael_session_decrypt(session, record, &plain, NULL, &err), expected);
    CU_ASSERT_EQUAL(err.status, expected);
    CU_ASSERT_EQUAL(plain.len, 0);
    for (size_t i = 0; i < plain.cap; i++) {
        CU_ASSERT_EQUAL(plain.data[i], 0);
    }
    if (expected == AEL_E_RECORD) {
        CU_ASSERT_PTR_NULL(strstr(err.detail, "_IK_"));
        if (first_detail[0] == '\0') {
            memcpy(first_detail, err.detail, sizeof first_detail);
        }
        CU_ASSERT_STRING_EQUAL(err.detail, first_detail);
    }
    ael_buf_clear(&plain);
}

/* Calls expect with each kind of bad record. */
static void with_bad_records(
    struct ael_session *session, const struct ael_record *good, enum ael_status authentication,
    enum ael_status format, enum ael_status partition) {
    uint8_t data[64];
    uint8_t key[AEL_SEALED_KEY_BYTES];
    struct ael_record bad = *good;
    memcpy(data, good->data.data, good->data.len);
    memcpy(key, good->key.data, sizeof key);
    bad.data.data = data;
    bad.key.data = key;
    for (size_t i = 0; i < good->data.len; i++) {
        data[i] ^= 1;
        expect_refusal(session, &bad, authentication);
        data[i] ^= 1;
    }
    for (size_t i = 0; i < sizeof key; i++) {
        key[i] ^= 0x80;
        expect_refusal(session, &bad, authentication);
        key[i] ^= 0x80;
    }
    bad.data.len = 27;
    expect_refusal(session, &bad, format);
    bad = *good;
    bad.key.len = 59;
    expect_refusal(session, &bad, format);
    bad = *good;
    bad.has_parent = false;
    expect_refusal(session, &bad, format);
    bad = *good;
    bad.parent_key_id = ael_bytes_from_text("_IK_q_svc_prod");
    expect_refusal(session, &bad, partition);
    bad.parent_key_id = ael_bytes_from_text("_IK_p_svc_prodx");
    expect_refusal(session, &bad, partition);
    bad.parent_key_id = (struct ael_bytes){NULL, 0};
    expect_refusal(session, &bad, partition);
    bad.parent_key_id = (struct ael_bytes){NULL, good->parent_key_id.len};
    expect_refusal(session, &bad, format);
    bad = *good;
    bad.key.data = NULL;
    expect_refusal(session, &bad, format);
    bad = *good;
    bad.data.data = NULL;
    expect_refusal(session, &bad, format);
}

static void test_decrypt__refuses_every_bad_record_with_one_sentence(void) {
    struct fixture fix;
    fixture_begin(&fix);
    struct ael_session *session = fixture_session(&fix, "p");
    struct ael_record_buf record = fixture_record(session);
    with_bad_records(session, &record.record, AEL_E_RECORD, AEL_E_RECORD, AEL_E_RECORD);
    struct ael_record absent = record.record;
    absent.parent_created_s -= 600;
    expect_refusal(session, &absent, AEL_E_KEY_NOT_FOUND);
    CU_ASSERT_EQUAL(fixture_decrypt(session, &record.record), AEL_OK);
    ael_record_buf_clear(&record);
    ael_session_release(session);
    fixture_end(&fix);
}

static void test_decrypt__tells_refusals_apart_when_asked_to(void) {
    struct fixture fix;
    struct ael_session_factory_options options = AEL_SESSION_FACTORY_OPTIONS_INIT;
    options.verbose_errors = true;
    fixture_begin_with(&fix, NULL, &options);
    struct ael_session *session = fixture_session(&fix, "p");
    struct ael_record_buf record = fixture_record(session);
    with_bad_records(
        session, &record.record, AEL_E_AUTHENTICATION, AEL_E_FORMAT, AEL_E_WRONG_PARTITION);
    struct ael_record bad = record.record;
    struct ael_error err = {0};
    struct ael_buf plain = AEL_BUF_INIT;
    bad.parent_key_id = ael_bytes_from_text("_IK_q_svc_prod");
    CU_ASSERT_EQUAL(ael_session_decrypt(session, &bad, &plain, NULL, &err), AEL_E_WRONG_PARTITION);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, "_IK_q_svc_prod"));
    bad.parent_key_id = (struct ael_bytes){NULL, 0};
    CU_ASSERT_EQUAL(ael_session_decrypt(session, &bad, &plain, NULL, &err), AEL_E_WRONG_PARTITION);
    CU_ASSERT_STRING_EQUAL(err.detail, "the record's key is of another partition");
    ael_record_buf_clear(&record);
    ael_session_release(session);
    fixture_end(&fix);
}

static void test_decrypt__refuses_bad_arguments(void) {
    struct fixture fix;
    fixture_begin(&fix);
    struct ael_session *session = fixture_session(&fix, "p");
    struct ael_record_buf record = fixture_record(session);
    struct ael_buf plain = AEL_BUF_INIT;
    CU_ASSERT_EQUAL(ael_session_decrypt(NULL, &record.record, &plain, NULL, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_session_decrypt(session, NULL, &plain, NULL, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_session_decrypt(session, &record.record, NULL, NULL, NULL), AEL_E_ARGUMENT);
    ael_record_buf_clear(&record);
    ael_session_release(session);
    fixture_end(&fix);
}

static void test_decrypt__opens_records_of_another_process_and_under_revoked_and_expired_keys(void) {
    struct fixture fix;
    fixture_begin(&fix);
    struct ael_session *session = fixture_session(&fix, "p");
    struct ael_record_buf record = fixture_record(session);
    (void)fake_metastore_revoke(fix.metastore, FIXTURE_IK, -1);
    (void)fake_metastore_revoke(fix.metastore, FIXTURE_SK, -1);
    ael_clock_advance_for_test(100 * 86400);
    struct ael_session_factory *factory = fixture_other_factory(&fix, NULL);
    struct ael_session *other = NULL;
    CU_ASSERT_EQUAL(ael_session_acquire(factory, "p", &other, NULL), AEL_OK);
    CU_ASSERT_EQUAL(fixture_decrypt(other, &record.record), AEL_OK);
    CU_ASSERT_EQUAL(fixture_decrypt(session, &record.record), AEL_OK);
    ael_record_buf_clear(&record);
    ael_session_release(other);
    ael_session_release(session);
    ael_session_factory_free(factory);
    fixture_end(&fix);
}

static void test_decrypt__ignores_what_is_not_authenticated(void) {
    struct fixture fix;
    fixture_begin(&fix);
    struct ael_session *session = fixture_session(&fix, "p");
    struct ael_record_buf record = fixture_record(session);
    record.record.created_s = -5;
    record.record.revoked = true;
    CU_ASSERT_EQUAL(fixture_decrypt(session, &record.record), AEL_OK);
    ael_record_buf_clear(&record);
    ael_session_release(session);
    fixture_end(&fix);
}

static void test_decrypt__reads_across_region_suffixes(void) {
    struct fixture fix;
    struct ael_session_factory_options options = AEL_SESSION_FACTORY_OPTIONS_INIT;
    options.region_suffix = "us-west-2";
    fixture_begin_with(&fix, NULL, &options);
    struct ael_session *west = fixture_session(&fix, "p");
    struct ael_record_buf record = fixture_record(west);
    CU_ASSERT_EQUAL(record.record.parent_key_id.len, strlen("_IK_p_svc_prod_us-west-2"));
    struct ael_session_factory *plain = fixture_other_factory(&fix, NULL);
    struct ael_session *unsuffixed = NULL;
    CU_ASSERT_EQUAL(ael_session_acquire(plain, "p", &unsuffixed, NULL), AEL_OK);
    CU_ASSERT_EQUAL(fixture_decrypt(unsuffixed, &record.record), AEL_OK);
    struct ael_record_buf back = fixture_record(unsuffixed);
    CU_ASSERT_EQUAL(fixture_decrypt(west, &back.record), AEL_OK);
    ael_record_buf_clear(&back);
    ael_record_buf_clear(&record);
    ael_session_release(unsuffixed);
    ael_session_release(west);
    ael_session_factory_free(plain);
    fixture_end(&fix);
}

static void test_session__answers_closed_after_its_factory(void) {
    struct fixture fix;
    fixture_begin(&fix);
    struct ael_session *session = fixture_session(&fix, "p");
    struct ael_session *unused = fixture_session(&fix, "q");
    struct ael_record_buf record = fixture_record(session);
    struct ael_buf buf = AEL_BUF_INIT;
    ael_session_factory_free(fix.factory);
    fix.factory = NULL;
    CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_E_CLOSED);
    CU_ASSERT_EQUAL(fixture_encrypt(unused, NULL), AEL_E_CLOSED);
    CU_ASSERT_EQUAL(fixture_decrypt(session, &record.record), AEL_E_CLOSED);
    CU_ASSERT_EQUAL(
        ael_session_encrypt_json(session, ael_bytes_from_text("x"), &buf, NULL, NULL), AEL_E_CLOSED);
    CU_ASSERT_EQUAL(
        ael_session_decrypt_json(session, ael_bytes_from_text("{}"), &buf, NULL, NULL), AEL_E_CLOSED);
    ael_record_buf_clear(&record);
    ael_session_release(unused);
    ael_session_release(session);
    fixture_end(&fix);
}

static const struct test_case k_cases[] = {
    {"a cold encrypt makes one KMS and four metastore calls",
     test_encrypt__makes_both_keys_in_one_kms_call_and_four_metastore_calls},
    {"a record names keys that are stored", test_encrypt__names_keys_that_are_stored},
    {"each record has its own key and ciphertext", test_encrypt__makes_a_new_ciphertext_each_time},
    {"an empty payload is a payload", test_encrypt__takes_an_empty_payload},
    {"encrypt refuses bad arguments", test_encrypt__refuses_bad_arguments},
    {"a payload over the limit is refused", test_encrypt__refuses_a_payload_over_the_limit_before_any_edge},
    {"fixed buffers: the bound, one byte less",
     test_encrypt__fills_a_fixed_buffer_of_the_bound_and_refuses_one_byte_less},
    {"encrypt leaves nothing after a failure", test_encrypt__leaves_nothing_after_a_failure},
    {"calls that are over do nothing", test_calls__end_before_they_begin_when_over_or_cancelled},
    {"bad records all look alike", test_decrypt__refuses_every_bad_record_with_one_sentence},
    {"verbose errors tell bad records apart", test_decrypt__tells_refusals_apart_when_asked_to},
    {"decrypt refuses bad arguments", test_decrypt__refuses_bad_arguments},
    {"revoked and expired keys decrypt",
     test_decrypt__opens_records_of_another_process_and_under_revoked_and_expired_keys},
    {"unauthenticated members are ignored", test_decrypt__ignores_what_is_not_authenticated},
    {"suffixed and unsuffixed sessions read each other", test_decrypt__reads_across_region_suffixes},
    {"sessions of a closed factory answer closed", test_session__answers_closed_after_its_factory},
};

TEST_SUITE_MAIN("session", k_cases)
