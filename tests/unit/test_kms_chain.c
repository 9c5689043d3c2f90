/*
 * tests/unit/test_kms_chain.c - two KMS as one: who is asked, in which order, and what comes out when one or both fail.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ael/hooks.h>
#include <ael/kms_chain.h>

#include "kms/kms_chain.h"
#include "tests/support/fake_kms.h"
#include "tests/support/suite.h"

#include <string.h>

static struct ael_kms *new_static(uint8_t fill) {
    uint8_t key[32];
    struct ael_kms *kms = NULL;
    memset(key, fill, sizeof key);
    CU_ASSERT_EQUAL_FATAL(ael_kms_static_from_bytes(key, sizeof key, &kms, NULL), AEL_OK);
    return kms;
}

static struct ael_kms *new_chain(struct ael_kms *new_kms, struct ael_kms *old_kms) {
    struct ael_kms *kms = NULL;
    CU_ASSERT_EQUAL_FATAL(ael_kms_chain_new(new_kms, old_kms, &kms, NULL), AEL_OK);
    return kms;
}

static void encrypt(struct ael_kms *kms, struct ael_buf *out) {
    struct ael_secret *key = NULL;
    CU_ASSERT_EQUAL_FATAL(ael_secret_new_random(32, &key), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_kms_encrypt_key(kms, NULL, key, out, NULL), AEL_OK);
    ael_secret_release(key);
}

static enum ael_status decrypt_with(
    struct ael_kms *kms,
    const struct ael_call *call,
    const struct ael_buf *encrypted,
    struct ael_error *err) {
    struct ael_secret *key = NULL;
    enum ael_status status = ael_kms_decrypt_key(kms, call, ael_buf_view(encrypted), &key, err);
    CU_ASSERT_EQUAL(key != NULL, status == AEL_OK);
    ael_secret_release(key);
    return status;
}

static enum ael_status decrypt(struct ael_kms *kms, const struct ael_buf *encrypted) {
    struct ael_error err = {.status = AEL_OK};
    enum ael_status status = decrypt_with(kms, NULL, encrypted, &err);
    CU_ASSERT_EQUAL(err.status, status);
    return status;
}

/* ---- reading and writing ---- */

static void test_kms_chain__encrypts_with_the_new_one_and_decrypts_with_either(void) {
    struct ael_kms *new_kms = new_static(1);
    struct ael_kms *old_kms = new_static(2);
    struct ael_kms *chain = new_chain(new_kms, old_kms);
    struct ael_buf by_old = AEL_BUF_INIT;
    struct ael_buf by_chain = AEL_BUF_INIT;
    encrypt(old_kms, &by_old);
    encrypt(chain, &by_chain);
    CU_ASSERT_EQUAL(decrypt(chain, &by_old), AEL_OK);
    CU_ASSERT_EQUAL(decrypt(chain, &by_chain), AEL_OK);
    CU_ASSERT_EQUAL(decrypt(new_kms, &by_chain), AEL_OK);
    CU_ASSERT_EQUAL(decrypt(old_kms, &by_chain), AEL_E_KMS);
    CU_ASSERT(ael_kms_is_chain(chain));
    CU_ASSERT(!ael_kms_is_chain(new_kms) && !ael_kms_is_chain(NULL));
    CU_ASSERT_STRING_EQUAL(ael_kms_name(chain), "chain");
    ael_kms_release(chain);
    ael_kms_release(new_kms);
    ael_kms_release(old_kms);
    ael_buf_clear(&by_old);
    ael_buf_clear(&by_chain);
}

static void test_kms_chain__does_not_ask_who_cannot_know(void) {
    struct fake_kms *fake = fake_kms_new(); /* its form tells nothing */
    struct ael_kms *fixed = new_static(1);
    struct ael_kms *fixed_is_old = new_chain(fake->handle, fixed);
    struct ael_kms *fixed_is_new = new_chain(fixed, fake->handle);
    struct ael_buf sixty = AEL_BUF_INIT;
    struct ael_buf masked = AEL_BUF_INIT;
    encrypt(fixed, &sixty);
    encrypt(fake->handle, &masked);
    CU_ASSERT_EQUAL(decrypt(fixed_is_old, &sixty), AEL_OK);
    CU_ASSERT_EQUAL(decrypt(fixed_is_new, &sixty), AEL_OK);
    CU_ASSERT_EQUAL(fake->decrypts, 0);
    CU_ASSERT_EQUAL(decrypt(fixed_is_old, &masked), AEL_OK);
    CU_ASSERT_EQUAL(decrypt(fixed_is_new, &masked), AEL_OK);
    CU_ASSERT_EQUAL(fake->decrypts, 2);
    ael_kms_release(fixed_is_old);
    ael_kms_release(fixed_is_new);
    ael_kms_release(fixed);
    fake_kms_free(fake);
    ael_buf_clear(&sixty);
    ael_buf_clear(&masked);
}

static void test_kms_form_of__tells_by_the_form_alone(void) {
    struct fake_kms *fake = fake_kms_new();
    struct ael_kms *a = new_static(1);
    struct ael_kms *b = new_static(2);
    struct ael_kms *pair = new_chain(a, b);
    struct ael_kms *with_fake = new_chain(a, fake->handle);
    static const uint8_t k_sixty[60];
    const struct ael_bytes sixty = {k_sixty, 60};
    const struct ael_bytes short_one = {k_sixty, 59};
    CU_ASSERT_EQUAL(ael_kms_form_of(NULL, sixty), AEL_KMS_FORM_UNKNOWN);
    CU_ASSERT_EQUAL(ael_kms_form_of(fake->handle, sixty), AEL_KMS_FORM_UNKNOWN);
    CU_ASSERT_EQUAL(ael_kms_form_of(a, sixty), AEL_KMS_FORM_OWN);
    CU_ASSERT_EQUAL(ael_kms_form_of(a, short_one), AEL_KMS_FORM_FOREIGN);
    CU_ASSERT_EQUAL(ael_kms_form_of(pair, sixty), AEL_KMS_FORM_OWN);
    CU_ASSERT_EQUAL(ael_kms_form_of(pair, short_one), AEL_KMS_FORM_FOREIGN);
    CU_ASSERT_EQUAL(ael_kms_form_of(with_fake, short_one), AEL_KMS_FORM_UNKNOWN);
    ael_kms_release(with_fake);
    ael_kms_release(pair);
    ael_kms_release(a);
    ael_kms_release(b);
    fake_kms_free(fake);
}

/* ---- failing ---- */

struct two {
    struct fake_kms *new_kms, *old_kms;
    struct ael_kms *chain;
    struct ael_buf encrypted;
};

static struct two begin_two(void) {
    struct two two = {fake_kms_new(), fake_kms_new(), NULL, AEL_BUF_INIT};
    two.chain = new_chain(two.new_kms->handle, two.old_kms->handle);
    encrypt(two.old_kms->handle, &two.encrypted);
    return two;
}

static void end_two(struct two *two) {
    ael_kms_release(two->chain);
    fake_kms_free(two->new_kms);
    fake_kms_free(two->old_kms);
    ael_buf_clear(&two->encrypted);
}

static void test_kms_chain_decrypt__says_wrong_key_only_when_both_do(void) {
    static const struct {
        enum ael_status by_new, by_old, wanted;
    } k_rows[] = {
        {AEL_E_KMS, AEL_E_KMS, AEL_E_KMS},
        {AEL_E_UNREACHABLE, AEL_E_KMS, AEL_E_UNREACHABLE},
        {AEL_E_KMS, AEL_E_UNREACHABLE, AEL_E_UNREACHABLE},
        {AEL_E_UNREACHABLE, AEL_E_TIMEOUT, AEL_E_UNREACHABLE},
        {AEL_E_TIMEOUT, AEL_E_KMS, AEL_E_TIMEOUT},
        {AEL_E_KMS, AEL_E_BACKEND, AEL_E_BACKEND},
        {AEL_E_KMS, AEL_OK, AEL_OK},
        {AEL_E_UNREACHABLE, AEL_OK, AEL_OK},
        {AEL_E_NO_MEMORY, AEL_OK, AEL_OK},
        {AEL_OK, AEL_E_UNREACHABLE, AEL_OK},
    };
    struct two two = begin_two();
    for (size_t i = 0; i < sizeof k_rows / sizeof k_rows[0]; i++) {
        two.new_kms->decrypt_status = k_rows[i].by_new;
        two.old_kms->decrypt_status = k_rows[i].by_old;
        CU_ASSERT_EQUAL(decrypt(two.chain, &two.encrypted), k_rows[i].wanted);
    }
    CU_ASSERT_EQUAL(two.new_kms->decrypts, 10);
    CU_ASSERT_EQUAL(two.old_kms->decrypts, 9); /* not asked when the new one knew */
    end_two(&two);
}

static void test_kms_chain_decrypt__names_both_in_its_error(void) {
    struct two two = begin_two();
    struct ael_error err = {.status = AEL_OK};
    two.new_kms->decrypt_status = AEL_E_KMS;
    two.old_kms->decrypt_status = AEL_E_UNREACHABLE;
    CU_ASSERT_EQUAL(decrypt_with(two.chain, NULL, &two.encrypted, &err), AEL_E_UNREACHABLE);
    CU_ASSERT_STRING_EQUAL(err.component, "kms/chain");
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, ael_kms_name(two.old_kms->handle)));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, ";"));
    end_two(&two);
}

static void test_kms_chain_encrypt__never_takes_the_old_one(void) {
    struct two two = begin_two();
    struct ael_buf out = AEL_BUF_INIT;
    struct ael_secret *key = NULL;
    int before = two.old_kms->encrypts;
    CU_ASSERT_EQUAL_FATAL(ael_secret_new_random(32, &key), AEL_OK);
    two.new_kms->encrypt_status = AEL_E_UNREACHABLE;
    CU_ASSERT_EQUAL(ael_kms_encrypt_key(two.chain, NULL, key, &out, NULL), AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(out.len, 0);
    CU_ASSERT_EQUAL(two.old_kms->encrypts, before);
    ael_secret_release(key);
    ael_buf_clear(&out);
    end_two(&two);
}

static void test_kms_chain_health__is_that_of_both(void) {
    struct two two = begin_two();
    CU_ASSERT_EQUAL(ael_kms_health(two.chain, NULL, NULL), AEL_OK);
    two.new_kms->encrypt_status = AEL_E_UNREACHABLE;
    CU_ASSERT_EQUAL(ael_kms_health(two.chain, NULL, NULL), AEL_E_UNREACHABLE);
    two.new_kms->encrypt_status = AEL_OK;
    two.old_kms->decrypt_status = AEL_E_KMS;
    CU_ASSERT_EQUAL(ael_kms_health(two.chain, NULL, NULL), AEL_E_KMS);
    end_two(&two);
}

static unsigned s_failures;

static void count_failures(void *context, enum ael_metric_kind kind, const char *name, int64_t value) {
    (void)context, (void)kind;
    s_failures += strncmp(name, "ael.error.kms.", 14) == 0 ? (unsigned)value : 0;
}

static void test_kms_chain_health__counts_a_failure_once(void) {
    struct two two = begin_two();
    struct ael_hooks hooks = AEL_HOOKS_INIT;
    hooks.metric = count_failures;
    s_failures = 0;
    CU_ASSERT_EQUAL_FATAL(ael_hooks_set(&hooks), AEL_OK);
    two.new_kms->encrypt_status = AEL_E_UNREACHABLE;
    CU_ASSERT_EQUAL(ael_kms_health(two.chain, NULL, NULL), AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(s_failures, 1);
    CU_ASSERT_EQUAL(ael_kms_health(two.new_kms->handle, NULL, NULL), AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(s_failures, 2);
    CU_ASSERT_EQUAL(ael_kms_health(NULL, NULL, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(s_failures, 3);
    CU_ASSERT_EQUAL(ael_hooks_set(NULL), AEL_OK);
    end_two(&two);
}

/* ---- time ---- */

static uint32_t s_left_ms;

static enum ael_status hang_encrypt(
    void *self,
    const struct ael_call *call,
    struct ael_secret *key,
    struct ael_buf *out,
    struct ael_error *err) {
    (void)self, (void)call, (void)key, (void)out, (void)err;
    return AEL_E_UNREACHABLE;
}

static enum ael_status hang_decrypt(
    void *self,
    const struct ael_call *call,
    struct ael_bytes encrypted,
    struct ael_secret **key,
    struct ael_error *err) {
    (void)self, (void)encrypted, (void)key, (void)err;
    s_left_ms = ael_call_remaining_ms(call);
    return AEL_E_TIMEOUT;
}

static const struct ael_kms_vtable k_hanging = {
    .vt_size = sizeof(struct ael_kms_vtable),
    .contract = AEL_KMS_CONTRACT,
    .name = "hanging",
    .encrypt_key = hang_encrypt,
    .decrypt_key = hang_decrypt,
};

static void test_kms_chain_decrypt__leaves_half_of_the_time_to_the_other(void) {
    struct fake_kms *fake = fake_kms_new();
    struct ael_kms *hanging = NULL;
    struct ael_buf encrypted = AEL_BUF_INIT;
    struct ael_call call = AEL_CALL_INIT;
    CU_ASSERT_EQUAL_FATAL(ael_kms_new(&k_hanging, NULL, &hanging), AEL_OK);
    struct ael_kms *chain = new_chain(hanging, fake->handle);
    encrypt(fake->handle, &encrypted);
    call.deadline_ns = ael_deadline_in_ms(1000000);
    CU_ASSERT_EQUAL(decrypt_with(chain, &call, &encrypted, NULL), AEL_OK);
    CU_ASSERT(s_left_ms <= 500000 && s_left_ms > 0);
    CU_ASSERT_EQUAL(decrypt_with(chain, NULL, &encrypted, NULL), AEL_OK); /* the default is 30 s */
    CU_ASSERT(s_left_ms <= 15000 && s_left_ms > 0);
    ael_kms_release(chain);
    ael_kms_release(hanging);
    fake_kms_free(fake);
    ael_buf_clear(&encrypted);
}

static void test_kms_chain_decrypt__asks_nobody_when_the_call_is_over(void) {
    struct two two = begin_two();
    struct ael_call call = AEL_CALL_INIT;
    struct ael_error err = {.status = AEL_OK};
    struct ael_cancel *cancel = NULL;
    call.deadline_ns = ael_deadline_in_ms(0);
    CU_ASSERT_EQUAL(decrypt_with(two.chain, &call, &two.encrypted, &err), AEL_E_TIMEOUT);
    CU_ASSERT_EQUAL_FATAL(ael_cancel_new(&cancel), AEL_OK);
    ael_cancel_trigger(cancel);
    call = (struct ael_call)AEL_CALL_INIT;
    call.cancel = cancel;
    CU_ASSERT_EQUAL(decrypt_with(two.chain, &call, &two.encrypted, &err), AEL_E_CANCELLED);
    CU_ASSERT_EQUAL(two.new_kms->decrypts + two.old_kms->decrypts, 0);
    ael_cancel_free(cancel);
    end_two(&two);
}

/* ---- making ---- */

static void test_kms_chain_new__refuses_what_is_no_pair(void) {
    struct ael_kms *a = new_static(1);
    struct ael_kms *b = new_static(2);
    struct ael_kms *kms = a;
    struct ael_error err = {.status = AEL_OK};
    CU_ASSERT_EQUAL(ael_kms_chain_new(NULL, b, &kms, &err), AEL_E_ARGUMENT);
    CU_ASSERT_PTR_NULL(kms);
    CU_ASSERT_EQUAL(err.status, AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_kms_chain_new(a, NULL, &kms, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_kms_chain_new(a, a, &kms, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_kms_chain_new(a, b, NULL, NULL), AEL_E_ARGUMENT);
    ael_kms_release(a);
    ael_kms_release(b);
}

static const struct test_case k_cases[] = {
    {"the new one encrypts, either decrypts",
     test_kms_chain__encrypts_with_the_new_one_and_decrypts_with_either},
    {"who cannot know is not asked", test_kms_chain__does_not_ask_who_cannot_know},
    {"the form tells", test_kms_form_of__tells_by_the_form_alone},
    {"wrong key only when both say so", test_kms_chain_decrypt__says_wrong_key_only_when_both_do},
    {"an error names both", test_kms_chain_decrypt__names_both_in_its_error},
    {"the old one never encrypts", test_kms_chain_encrypt__never_takes_the_old_one},
    {"health is that of both", test_kms_chain_health__is_that_of_both},
    {"a failure is counted once", test_kms_chain_health__counts_a_failure_once},
    {"half of the time is the other's", test_kms_chain_decrypt__leaves_half_of_the_time_to_the_other},
    {"a call that is over asks nobody", test_kms_chain_decrypt__asks_nobody_when_the_call_is_over},
    {"what is no pair is refused", test_kms_chain_new__refuses_what_is_no_pair},
};

TEST_SUITE_MAIN("kms chain", k_cases)
