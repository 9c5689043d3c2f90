/*
 * tests/unit/test_kms.c - the handle over a KMS: tables it refuses, answers it does not trust, what it
 * measures.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ael/hooks.h>
#include <ael/sys/kms_backend.h>

#include "base/alloc.h"
#include "tests/support/suite.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* ---- a backend that does as it is told ---- */

struct fake {
    enum ael_status encrypt_status;
    enum ael_status decrypt_status;
    enum ael_status health_status;
    bool says_why;
    bool gives_nothing;    /* encrypt appends nothing, decrypt makes nothing */
    size_t key_len;        /* of what decrypt makes */
    bool key_with_failure; /* decrypt makes a key and fails all the same */
    bool another_key;      /* decrypt makes a random key */
    unsigned destroyed;
    unsigned calls;
    bool saw_call; /* every call so far came with a struct ael_call */
};

static const struct fake k_fake = {.key_len = 32, .saw_call = true};

static enum ael_status answer(const struct fake *fake, struct ael_error *err, enum ael_status status) {
    return fake->says_why && status != AEL_OK ? ael_error_set(err, status, 7, "kms/fake", "as told") : status;
}

/* The encrypted form is the key with every bit turned. */
static enum ael_status fake_encrypt(
    void *self,
    const struct ael_call *call,
    struct ael_secret *key,
    struct ael_buf *out,
    struct ael_error *err) {
    struct fake *fake = self;
    struct ael_secret_access access;
    uint8_t turned[32];
    fake->calls++;
    fake->saw_call = fake->saw_call && call != NULL && call->size == sizeof *call;
    enum ael_status status = fake->encrypt_status;
    if (!fake->gives_nothing && ael_secret_access_begin(key, &access) == AEL_OK) {
        for (size_t i = 0; i < sizeof turned; i++) {
            turned[i] = (uint8_t)~access.bytes.data[i];
        }
        if (ael_secret_access_end(&access) != AEL_OK ||
            ael_buf_append(out, (struct ael_bytes){turned, sizeof turned}) != AEL_OK) {
            status = AEL_E_BACKEND;
        }
    }
    return answer(fake, err, status);
}

static enum ael_status fake_decrypt(
    void *self,
    const struct ael_call *call,
    struct ael_bytes encrypted,
    struct ael_secret **key,
    struct ael_error *err) {
    struct fake *fake = self;
    uint8_t turned[64] = {0};
    fake->calls++;
    fake->saw_call = fake->saw_call && call != NULL;
    if (fake->gives_nothing || (fake->decrypt_status != AEL_OK && !fake->key_with_failure)) {
        return answer(fake, err, fake->decrypt_status);
    }
    for (size_t i = 0; i < encrypted.len && i < sizeof turned; i++) {
        turned[i] = (uint8_t)~encrypted.data[i];
    }
    enum ael_status status = fake->another_key ? ael_secret_new_random(fake->key_len, key)
                                               : ael_secret_new(turned, fake->key_len, key);
    return status == AEL_OK ? answer(fake, err, fake->decrypt_status) : status;
}

static void fake_destroy(void *self) {
    ((struct fake *)self)->destroyed++;
}

static enum ael_status fake_health(void *self, const struct ael_call *call, struct ael_error *err) {
    struct fake *fake = self;
    fake->saw_call = fake->saw_call && call != NULL;
    return answer(fake, err, fake->health_status);
}

/* A function, not a constant: the tests spoil copies of it. */
static struct ael_kms_vtable fake_table(void) {
    return (struct ael_kms_vtable){
        .vt_size = sizeof(struct ael_kms_vtable),
        .contract = AEL_KMS_CONTRACT,
        .name = "fake",
        .encrypt_key = fake_encrypt,
        .decrypt_key = fake_decrypt,
        .destroy = fake_destroy,
    };
}

static struct ael_kms *new_kms(const struct ael_kms_vtable *table, struct fake *fake) {
    struct ael_kms *kms = NULL;
    *fake = k_fake;
    CU_ASSERT_EQUAL_FATAL(ael_kms_new(table, fake, &kms), AEL_OK);
    return kms;
}

static struct ael_secret *new_key(size_t len) {
    struct ael_secret *key = NULL;
    CU_ASSERT_EQUAL_FATAL(ael_secret_new_random(len, &key), AEL_OK);
    return key;
}

/* ---- tables ---- */

static void expect_table_refused(const struct ael_kms_vtable *table) {
    struct fake fake = k_fake;
    struct ael_kms *kms = (struct ael_kms *)(void *)&fake;
    CU_ASSERT_EQUAL(ael_kms_new(table, &fake, &kms), AEL_E_ARGUMENT);
    CU_ASSERT_PTR_NULL(kms);
    CU_ASSERT_EQUAL(fake.destroyed, 0);
}

static void test_kms_new__refuses_bad_tables(void) {
    struct ael_kms_vtable table = fake_table();
    struct fake fake = k_fake;
    expect_table_refused(NULL);
    CU_ASSERT_EQUAL(ael_kms_new(&table, &fake, NULL), AEL_E_ARGUMENT);
    for (size_t size = 0; size < offsetof(struct ael_kms_vtable, destroy); size++) {
        table.vt_size = size;
        expect_table_refused(&table);
    }
    table = fake_table();
    table.contract = 0;
    expect_table_refused(&table);
    table.contract = AEL_KMS_CONTRACT + 1;
    expect_table_refused(&table);
    table = fake_table();
    table.name = NULL;
    expect_table_refused(&table);
    table = fake_table();
    table.encrypt_key = NULL;
    expect_table_refused(&table);
    table = fake_table();
    table.decrypt_key = NULL;
    expect_table_refused(&table);
}

static void test_kms_new__takes_a_table_without_optional_members(void) {
    struct ael_kms_vtable table = fake_table();
    struct fake fake;
    table.vt_size = offsetof(struct ael_kms_vtable, destroy); /* destroy is there, but outside */
    struct ael_kms *kms = new_kms(&table, &fake);
    CU_ASSERT_EQUAL(ael_kms_health(kms, NULL, NULL), AEL_OK);
    ael_kms_release(kms);
    CU_ASSERT_EQUAL(fake.destroyed, 0);
}

static void test_kms_release__ends_the_backend_once(void) {
    const struct ael_kms_vtable table = fake_table();
    struct fake fake;
    struct ael_kms *kms = new_kms(&table, &fake);
    CU_ASSERT_STRING_EQUAL(ael_kms_name(kms), "fake");
    CU_ASSERT_PTR_EQUAL(ael_kms_acquire(kms), kms);
    ael_kms_release(kms);
    CU_ASSERT_EQUAL(fake.destroyed, 0);
    ael_kms_release(kms);
    CU_ASSERT_EQUAL(fake.destroyed, 1);
    ael_kms_release(NULL);
    CU_ASSERT_PTR_NULL(ael_kms_acquire(NULL));
    CU_ASSERT_STRING_EQUAL(ael_kms_name(NULL), "");
}

/* ---- answers ---- */

static void test_kms_encrypt_key__hands_on_and_empties_on_failure(void) {
    const struct ael_kms_vtable table = fake_table();
    struct fake fake;
    struct ael_kms *kms = new_kms(&table, &fake);
    struct ael_secret *key = new_key(32);
    struct ael_buf out = AEL_BUF_INIT;
    struct ael_error err = {.status = AEL_OK};
    CU_ASSERT_EQUAL(ael_kms_encrypt_key(kms, NULL, key, &out, &err), AEL_OK);
    CU_ASSERT_EQUAL(out.len, 32);
    CU_ASSERT_EQUAL(err.status, AEL_OK); /* written on failure only */
    fake.encrypt_status = AEL_E_UNREACHABLE;
    fake.says_why = true;
    CU_ASSERT_EQUAL(ael_kms_encrypt_key(kms, NULL, key, &out, &err), AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(out.len, 0);
    CU_ASSERT_STRING_EQUAL(err.component, "kms/fake");
    CU_ASSERT_STRING_EQUAL(err.detail, "as told");
    CU_ASSERT_EQUAL(err.native_code, 7);
    fake.says_why = false;
    CU_ASSERT_EQUAL(ael_kms_encrypt_key(kms, NULL, key, &out, &err), AEL_E_UNREACHABLE);
    CU_ASSERT_STRING_EQUAL(err.component, "kms");
    CU_ASSERT_STRING_EQUAL(err.detail, ael_status_text(AEL_E_UNREACHABLE));
    CU_ASSERT_EQUAL(ael_kms_encrypt_key(kms, NULL, key, &out, NULL), AEL_E_UNREACHABLE);
    fake.encrypt_status = AEL_OK;
    fake.gives_nothing = true;
    CU_ASSERT_EQUAL(ael_kms_encrypt_key(kms, NULL, key, &out, &err), AEL_E_BACKEND);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, "fake gave no encrypted key"));
    CU_ASSERT(fake.saw_call);
    ael_buf_clear(&out);
    ael_secret_release(key);
    ael_kms_release(kms);
}

static void test_kms_encrypt_key__refuses_bad_arguments(void) {
    static const size_t k_lengths[] = {1, 31, 33};
    const struct ael_kms_vtable table = fake_table();
    struct fake fake;
    struct ael_kms *kms = new_kms(&table, &fake);
    struct ael_secret *key = new_key(32);
    struct ael_buf out = AEL_BUF_INIT;
    struct ael_error err = {.status = AEL_OK};
    CU_ASSERT_EQUAL(ael_kms_encrypt_key(NULL, NULL, key, &out, &err), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(err.status, AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_kms_encrypt_key(kms, NULL, NULL, &out, &err), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_kms_encrypt_key(kms, NULL, key, NULL, &err), AEL_E_ARGUMENT);
    for (size_t i = 0; i < sizeof k_lengths / sizeof k_lengths[0]; i++) {
        struct ael_secret *other = new_key(k_lengths[i]);
        CU_ASSERT_EQUAL(ael_kms_encrypt_key(kms, NULL, other, &out, &err), AEL_E_ARGUMENT);
        ael_secret_release(other);
    }
    CU_ASSERT_EQUAL(fake.calls, 0);
    CU_ASSERT_EQUAL(out.len, 0);
    ael_secret_release(key);
    ael_kms_release(kms);
}

static enum ael_status decrypt(struct ael_kms *kms, struct ael_secret **key, struct ael_error *err) {
    static const uint8_t k_encrypted[32] = {1, 2, 3};
    *key = (struct ael_secret *)(void *)err;
    return ael_kms_decrypt_key(kms, NULL, (struct ael_bytes){k_encrypted, sizeof k_encrypted}, key, err);
}

static void test_kms_decrypt_key__refuses_keys_of_another_length(void) {
    static const size_t k_lengths[] = {1, 16, 31, 33, 64};
    const struct ael_kms_vtable table = fake_table();
    struct fake fake;
    struct ael_kms *kms = new_kms(&table, &fake);
    struct ael_secret *key = NULL;
    struct ael_error err = {.status = AEL_OK};
    for (size_t i = 0; i < sizeof k_lengths / sizeof k_lengths[0]; i++) {
        fake.key_len = k_lengths[i];
        CU_ASSERT_EQUAL(decrypt(kms, &key, &err), AEL_E_KMS);
        CU_ASSERT_PTR_NULL(key);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, "not 32 bytes"));
    }
    fake.gives_nothing = true;
    CU_ASSERT_EQUAL(decrypt(kms, &key, &err), AEL_E_KMS);
    CU_ASSERT_PTR_NULL(key);
    ael_kms_release(kms);
}

static void test_kms_decrypt_key__leaves_no_key_on_failure(void) {
    const struct ael_kms_vtable table = fake_table();
    struct fake fake;
    struct ael_kms *kms = new_kms(&table, &fake);
    struct ael_secret *key = NULL;
    struct ael_error err = {.status = AEL_OK};
    fake.decrypt_status = AEL_E_KMS;
    CU_ASSERT_EQUAL(decrypt(kms, &key, &err), AEL_E_KMS);
    CU_ASSERT_PTR_NULL(key);
    CU_ASSERT_STRING_EQUAL(err.detail, ael_status_text(AEL_E_KMS));
    fake.key_with_failure = true; /* what it made must be released: the leak checker looks */
    fake.says_why = true;
    CU_ASSERT_EQUAL(decrypt(kms, &key, &err), AEL_E_KMS);
    CU_ASSERT_PTR_NULL(key);
    CU_ASSERT_STRING_EQUAL(err.detail, "as told");
    ael_kms_release(kms);
}

static void test_kms_decrypt_key__refuses_bad_arguments(void) {
    const struct ael_kms_vtable table = fake_table();
    struct fake fake;
    struct ael_kms *kms = new_kms(&table, &fake);
    struct ael_secret *key = (struct ael_secret *)(void *)&fake;
    struct ael_bytes nowhere = {NULL, 5};
    CU_ASSERT_EQUAL(ael_kms_decrypt_key(NULL, NULL, nowhere, &key, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_PTR_NULL(key);
    CU_ASSERT_EQUAL(ael_kms_decrypt_key(kms, NULL, nowhere, &key, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_kms_decrypt_key(kms, NULL, (struct ael_bytes){NULL, 0}, NULL, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(fake.calls, 0);
    ael_kms_release(kms);
}

/* ---- health ---- */

static void test_kms_health__does_a_round_trip(void) {
    const struct ael_kms_vtable table = fake_table();
    struct fake fake;
    struct ael_kms *kms = new_kms(&table, &fake);
    struct ael_error err = {.status = AEL_OK};
    CU_ASSERT_EQUAL(ael_kms_health(kms, NULL, &err), AEL_OK);
    CU_ASSERT_EQUAL(fake.calls, 2);
    fake.another_key = true;
    CU_ASSERT_EQUAL(ael_kms_health(kms, NULL, &err), AEL_E_KMS);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, "did not come back"));
    fake.encrypt_status = AEL_E_UNREACHABLE;
    CU_ASSERT_EQUAL(ael_kms_health(kms, NULL, &err), AEL_E_UNREACHABLE);
    fake.encrypt_status = AEL_OK;
    fake.decrypt_status = AEL_E_TIMEOUT;
    CU_ASSERT_EQUAL(ael_kms_health(kms, NULL, &err), AEL_E_TIMEOUT);
    CU_ASSERT_EQUAL(err.status, AEL_E_TIMEOUT);
    CU_ASSERT_EQUAL(ael_kms_health(NULL, NULL, &err), AEL_E_ARGUMENT);
    ael_kms_release(kms);
}

static void test_kms_health__asks_the_backend(void) {
    struct ael_kms_vtable table = fake_table();
    struct fake fake;
    struct ael_error err = {.status = AEL_OK};
    table.health = fake_health;
    struct ael_kms *kms = new_kms(&table, &fake);
    CU_ASSERT_EQUAL(ael_kms_health(kms, NULL, &err), AEL_OK);
    fake.health_status = AEL_E_UNREACHABLE;
    CU_ASSERT_EQUAL(ael_kms_health(kms, NULL, &err), AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(err.status, AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(fake.calls, 0);
    CU_ASSERT(fake.saw_call);
    ael_kms_release(kms);
}

/* ---- timers ---- */

struct seen {
    const char *names[8];
    unsigned count;
};

static void see_metric(void *context, enum ael_metric_kind kind, const char *name, int64_t value) {
    struct seen *seen = context;
    if (strncmp(name, "ael.kms.", 8) == 0 && seen->count < 8) {
        CU_ASSERT_EQUAL(kind, AEL_METRIC_TIMER_NS);
        CU_ASSERT(value >= 0);
        seen->names[seen->count++] = name;
    }
}

static void test_kms__times_its_calls_under_static_names(void) {
    const struct ael_kms_vtable table = fake_table();
    struct fake fake;
    struct seen seen = {{NULL}, 0};
    struct ael_hooks hooks = AEL_HOOKS_INIT;
    hooks.context = &seen;
    hooks.metric = see_metric;
    CU_ASSERT_EQUAL_FATAL(ael_hooks_set(&hooks), AEL_OK);
    struct ael_kms *kms = new_kms(&table, &fake);
    CU_ASSERT_EQUAL(ael_kms_health(kms, NULL, NULL), AEL_OK);
    fake.decrypt_status = AEL_E_KMS;
    CU_ASSERT_EQUAL(ael_kms_health(kms, NULL, NULL), AEL_E_KMS);
    ael_kms_release(kms);
    CU_ASSERT_EQUAL(ael_hooks_set(NULL), AEL_OK);
    /* Failures are timed too, and the names are still there although the handle is gone. */
    CU_ASSERT_EQUAL_FATAL(seen.count, 4);
    CU_ASSERT_STRING_EQUAL(seen.names[0], "ael.kms.fake.encryptkey");
    CU_ASSERT_STRING_EQUAL(seen.names[1], "ael.kms.fake.decryptkey");
    CU_ASSERT_PTR_EQUAL(seen.names[0], seen.names[2]);
    CU_ASSERT_STRING_EQUAL(seen.names[3], "ael.kms.fake.decryptkey");
}

/* ---- memory ---- */

static int fail_at(void *context) {
    int *left = context;
    return (*left)-- == 0;
}

static void test_kms_new__fails_without_memory(void) {
    struct ael_kms_vtable table = fake_table();
    struct fake fake = k_fake;
    table.name = "not-yet-seen"; /* so that its timers' names are made, too */
    enum ael_status status = AEL_E_NO_MEMORY;
    int nth = 0;
    for (; nth < 10 && status != AEL_OK; nth++) {
        struct ael_kms *kms = NULL;
        int left = nth;
        ael_alloc_set_fault(fail_at, &left);
        status = ael_kms_new(&table, &fake, &kms);
        ael_alloc_set_fault(NULL, NULL);
        CU_ASSERT(status == AEL_OK || (status == AEL_E_NO_MEMORY && kms == NULL && fake.destroyed == 0));
        ael_kms_release(kms);
    }
    CU_ASSERT_EQUAL(status, AEL_OK);
    CU_ASSERT(nth >= 2);
}

static const struct test_case k_cases[] = {
    {"bad tables are refused", test_kms_new__refuses_bad_tables},
    {"a short table does without optional members", test_kms_new__takes_a_table_without_optional_members},
    {"the last holder ends the backend once", test_kms_release__ends_the_backend_once},
    {"encrypting hands on, and empties on failure", test_kms_encrypt_key__hands_on_and_empties_on_failure},
    {"encrypting refuses bad arguments", test_kms_encrypt_key__refuses_bad_arguments},
    {"keys of another length are refused", test_kms_decrypt_key__refuses_keys_of_another_length},
    {"a failure leaves no key", test_kms_decrypt_key__leaves_no_key_on_failure},
    {"decrypting refuses bad arguments", test_kms_decrypt_key__refuses_bad_arguments},
    {"health does a round trip", test_kms_health__does_a_round_trip},
    {"health asks the backend that can tell", test_kms_health__asks_the_backend},
    {"calls are timed under static names", test_kms__times_its_calls_under_static_names},
    {"no memory is a status", test_kms_new__fails_without_memory},
};

TEST_SUITE_MAIN("kms", k_cases)
