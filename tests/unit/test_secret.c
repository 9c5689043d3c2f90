/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "base/clock.h"
#include "securememory/protected.h"
#include "securememory/sealed_key.h"
#include "securememory/secret_state.h"
#include "tests/support/child.h"
#include "tests/support/failing_sys.h"
#include "tests/support/maps.h"
#include "tests/support/memory_level.h"
#include "tests/support/suite.h"

#include <ael/hooks.h>
#include <ael/memory.h>
#include <ael/secret.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

static const uint8_t k_zero[8192];

static struct ael_secret *secret_of(size_t len) {
    static uint8_t source[8192];
    struct ael_secret *secret = NULL;
    memset(source, 's', len);
    CU_ASSERT_EQUAL_FATAL(ael_secret_new(source, len, &secret), AEL_OK);
    return secret;
}

static bool holds(const struct ael_secret_access *access, size_t len) {
    bool all = access->bytes.len == len;
    for (size_t i = 0; all && i < len; i++) {
        all = access->bytes.data[i] == 's';
    }
    return all;
}

static struct ael_memory_stats stats_now(void) {
    struct ael_memory_stats stats = AEL_MEMORY_STATS_INIT;
    CU_ASSERT_EQUAL(ael_memory_stats(&stats), AEL_OK);
    return stats;
}

static void test_secret_new__wipes_the_source_and_keeps_the_bytes(void) {
    static const size_t k_lens[] = {1, 31, 32, AEL_SCRATCH_BYTES, AEL_SCRATCH_BYTES + 1, 4000, 4001, 8192};
    for (size_t i = 0; i < sizeof k_lens / sizeof k_lens[0]; i++) {
        uint8_t source[8192];
        struct ael_secret *secret = NULL;
        struct ael_secret_access access;
        memset(source, 's', sizeof source);
        CU_ASSERT_EQUAL_FATAL(ael_secret_new(source, k_lens[i], &secret), AEL_OK);
        CU_ASSERT_EQUAL(memcmp(source, k_zero, k_lens[i]), 0);
        CU_ASSERT_EQUAL(ael_secret_len(secret), k_lens[i]);
        CU_ASSERT_EQUAL(ael_secret_access_begin(secret, &access), AEL_OK);
        CU_ASSERT_TRUE(holds(&access, k_lens[i]));
        CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_OK);
        ael_secret_release(secret);
    }
    CU_ASSERT_EQUAL(stats_now().large_regions, 0);
}

static void test_secret_new__refuses_bad_arguments(void) {
    uint8_t source[4] = {1, 2, 3, 4};
    struct ael_secret *secret = (struct ael_secret *)(void *)source;
    CU_ASSERT_EQUAL(ael_secret_new(NULL, 4, &secret), AEL_E_ARGUMENT);
    CU_ASSERT_PTR_NULL(secret);
    CU_ASSERT_EQUAL(ael_secret_new(source, 0, &secret), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_secret_new(source, SIZE_MAX, &secret), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(source[0], 1);
    CU_ASSERT_EQUAL(ael_secret_new(source, sizeof source, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(memcmp(source, k_zero, sizeof source), 0);
    CU_ASSERT_EQUAL(ael_secret_new_random(0, &secret), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_secret_new_random(SIZE_MAX, &secret), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_secret_new_random(32, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_secret_len(NULL), 0);
    CU_ASSERT_PTR_NULL(ael_secret_acquire(NULL));
    CU_ASSERT_TRUE(ael_secret_is_closed(NULL));
    CU_ASSERT_EQUAL(ael_secret_close(NULL), AEL_E_ARGUMENT);
    ael_secret_release(NULL);
}

static void test_secret_new_random__gives_different_bytes(void) {
    static const size_t k_lens[] = {32, AEL_SCRATCH_BYTES, AEL_SCRATCH_BYTES + 1, 4000, 5000};
    for (size_t i = 0; i < sizeof k_lens / sizeof k_lens[0]; i++) {
        struct ael_secret *a = NULL;
        struct ael_secret *b = NULL;
        struct ael_secret_access in_a;
        struct ael_secret_access in_b;
        CU_ASSERT_EQUAL_FATAL(ael_secret_new_random(k_lens[i], &a), AEL_OK);
        CU_ASSERT_EQUAL_FATAL(ael_secret_new_random(k_lens[i], &b), AEL_OK);
        CU_ASSERT_EQUAL(ael_secret_access_begin(a, &in_a), AEL_OK);
        CU_ASSERT_EQUAL(ael_secret_access_begin(b, &in_b), AEL_OK);
        CU_ASSERT_NOT_EQUAL(memcmp(in_a.bytes.data, in_b.bytes.data, k_lens[i]), 0);
        CU_ASSERT_NOT_EQUAL(memcmp(in_a.bytes.data + k_lens[i] - 16, k_zero, 16), 0);
        CU_ASSERT_EQUAL(ael_secret_access_end(&in_a), AEL_OK);
        CU_ASSERT_EQUAL(ael_secret_access_end(&in_b), AEL_OK);
        ael_secret_release(a);
        ael_secret_release(b);
    }
}

static void check_one_pair_when_alone(size_t len) {
    struct ael_secret *secret = secret_of(len);
    struct ael_secret_access outer;
    struct ael_secret_access inner;
    CU_ASSERT_EQUAL(ael_secret_access_begin(secret, &outer), AEL_OK);
    size_t maps = maps_count();
    failing_sys_install(FAIL_MPROTECT, 0, 0, false);
    CU_ASSERT_EQUAL(ael_secret_access_begin(secret, &inner), AEL_OK);
    CU_ASSERT_PTR_EQUAL(inner.bytes.data, outer.bytes.data);
    CU_ASSERT_EQUAL(ael_secret_access_end(&outer), AEL_OK); /* in any order */
    CU_ASSERT_EQUAL(failing_sys_mprotect_calls(), 0);
    CU_ASSERT_TRUE(holds(&inner, len));
    CU_ASSERT_EQUAL(ael_secret_access_end(&inner), AEL_OK);
    CU_ASSERT_EQUAL(failing_sys_mprotect_calls(), 1);
    CU_ASSERT_EQUAL(maps_count(), maps);
    CU_ASSERT_EQUAL(ael_secret_access_begin(secret, &outer), AEL_OK);
    CU_ASSERT_EQUAL(ael_secret_access_end(&outer), AEL_OK);
    CU_ASSERT_EQUAL(failing_sys_mprotect_calls(), 3);
    (void)failing_sys_remove();
    ael_secret_release(secret);
}

static void test_secret_access__changes_protection_at_the_first_and_the_last_only(void) {
    memory_at_level(AEL_PROTECTION_STRICT);
    check_one_pair_when_alone(32);
    check_one_pair_when_alone(5000);
}

static void test_secret_access__refuses_what_is_not_open(void) {
    struct ael_secret *secret = secret_of(32);
    struct ael_secret_access access;
    CU_ASSERT_EQUAL(ael_secret_access_begin(secret, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_secret_access_begin(NULL, &access), AEL_E_ARGUMENT);
    CU_ASSERT_PTR_NULL(access.bytes.data);
    CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_secret_access_end(NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_secret_access_begin(secret, &access), AEL_OK);
    CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_OK);
    CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_E_ARGUMENT);
    ael_secret_release(secret);
}

static enum ael_status answer(void *context, struct ael_bytes bytes) {
    return bytes.len == 32 && bytes.data[0] == 's' ? *(enum ael_status *)context : AEL_E_STATE;
}

static void test_secret_with_bytes__returns_what_the_callback_returned(void) {
    struct ael_secret *secret = secret_of(32);
    enum ael_status status = AEL_OK;
    CU_ASSERT_EQUAL(ael_secret_with_bytes(secret, answer, &status), AEL_OK);
    status = AEL_E_CALLBACK;
    CU_ASSERT_EQUAL(ael_secret_with_bytes(secret, answer, &status), AEL_E_CALLBACK);
    CU_ASSERT_EQUAL(stats_now().secret_slots_in_use, 0);
    CU_ASSERT_EQUAL(ael_secret_with_bytes(secret, NULL, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_secret_close(secret), AEL_OK);
    CU_ASSERT_EQUAL(ael_secret_with_bytes(secret, answer, &status), AEL_E_CLOSED);
    ael_secret_release(secret);
}

static void check_close(size_t len) {
    struct ael_secret *secret = secret_of(len);
    struct ael_secret *other = ael_secret_acquire(secret);
    struct ael_secret_access access;
    CU_ASSERT_EQUAL(ael_secret_access_begin(secret, &access), AEL_OK);
    CU_ASSERT_EQUAL(ael_secret_close(other), AEL_E_BUSY);
    CU_ASSERT_FALSE(ael_secret_is_closed(secret));
    CU_ASSERT_TRUE(holds(&access, len));
    CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_OK);
    CU_ASSERT_EQUAL(ael_secret_close(secret), AEL_OK);
    CU_ASSERT_TRUE(ael_secret_is_closed(other));
    CU_ASSERT_EQUAL(ael_secret_close(other), AEL_OK);
    CU_ASSERT_EQUAL(ael_secret_access_begin(other, &access), AEL_E_CLOSED);
    CU_ASSERT_EQUAL(ael_secret_len(other), len);
    ael_secret_release(secret);
    ael_secret_release(other);
}

static void test_secret_close__is_for_all_holders_and_busy_inside_an_access(void) {
    check_close(32);
    check_close(5000);
}

static void test_secret_release__inside_an_access_frees_at_its_end(void) {
    uint64_t before = stats_now().secrets_in_use;
    struct ael_secret *secret = secret_of(32);
    struct ael_secret_access access;
    CU_ASSERT_EQUAL(ael_secret_access_begin(secret, &access), AEL_OK);
    ael_secret_release(secret);
    CU_ASSERT_TRUE(holds(&access, 32));
    CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_OK);
    CU_ASSERT_EQUAL(stats_now().secrets_in_use, before);
}

/* -- slots -- */

static void test_secret_access__reuses_the_slots_of_idle_secrets(void) {
    enum { COUNT = 200 };
    struct ael_secret *secrets[COUNT];
    struct ael_secret_access access;
    for (int i = 0; i < COUNT; i++) {
        secrets[i] = secret_of(32);
    }
    for (int i = 0; i < 2 * COUNT; i++) {
        CU_ASSERT_EQUAL(ael_secret_access_begin(secrets[i % COUNT], &access), AEL_OK);
        CU_ASSERT_TRUE(holds(&access, 32));
        CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_OK);
    }
    struct ael_memory_stats stats = stats_now();
    CU_ASSERT_TRUE(stats.secret_slots_filled <= stats.secret_slots);
    CU_ASSERT_EQUAL(stats.secret_slots_in_use, 0);
    for (int i = 0; i < COUNT; i++) {
        ael_secret_release(secrets[i]);
    }
    CU_ASSERT_EQUAL(stats_now().secret_slots_filled, 0);
}

static void test_secret_access__wipes_slots_that_were_idle_for_a_second(void) {
    struct ael_secret *a = secret_of(32);
    struct ael_secret *b = secret_of(32);
    struct ael_secret_access access;
    ael_clock_set_for_test(1000, 1000);
    CU_ASSERT_EQUAL(ael_secret_access_begin(a, &access), AEL_OK);
    CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_OK);
    CU_ASSERT_EQUAL(ael_secret_access_begin(b, &access), AEL_OK);
    CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_OK);
    CU_ASSERT_EQUAL(stats_now().secret_slots_filled, 2);
    ael_clock_advance_for_test(1);
    CU_ASSERT_EQUAL(ael_secret_access_begin(b, &access), AEL_OK);
    CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_OK);
    CU_ASSERT_EQUAL(stats_now().secret_slots_filled, 1);
    CU_ASSERT_EQUAL(ael_secret_access_begin(a, &access), AEL_OK);
    CU_ASSERT_TRUE(holds(&access, 32));
    CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_OK);
    ael_clock_reset_for_test();
    ael_secret_release(a);
    ael_secret_release(b);
}

struct opener {
    struct ael_secret *secret;
    enum ael_status status;
};

static void *open_and_shut(void *context) {
    struct opener *opener = context;
    struct ael_secret_access access;
    opener->status = ael_secret_access_begin(opener->secret, &access);
    if (opener->status == AEL_OK) {
        opener->status = ael_secret_access_end(&access);
    }
    return NULL;
}

static void wait_for_slot_waiter(void) {
    struct ael_secret_slots *slots = &ael_protected()->slots;
    for (bool waits = false; !waits;) {
        ael_mutex_lock(&slots->lock);
        waits = slots->waiters.first != NULL;
        ael_mutex_unlock(&slots->lock);
    }
}

enum { FEW_SLOTS = 2 };

static void configure_few_slots(void) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    options.secret_slots = FEW_SLOTS;
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_memory_configure(&options, NULL), AEL_OK);
}

static void test_secret_access_begin__waits_for_a_slot_and_times_out(void) {
    configure_few_slots();
    ael_clock_set_for_test(1000, 1000);
    struct ael_secret *open[FEW_SLOTS] = {secret_of(32), secret_of(32)};
    struct ael_secret_access access[FEW_SLOTS];
    struct opener opener = {secret_of(32), AEL_E_STATE};
    pthread_t thread;

    for (int i = 0; i < FEW_SLOTS; i++) {
        CU_ASSERT_EQUAL(ael_secret_access_begin(open[i], &access[i]), AEL_OK);
    }
    CU_ASSERT_EQUAL(pthread_create(&thread, NULL, open_and_shut, &opener), 0);
    wait_for_slot_waiter();
    ael_clock_advance_for_test(11);
    (void)pthread_join(thread, NULL);
    CU_ASSERT_EQUAL(opener.status, AEL_E_TIMEOUT);

    CU_ASSERT_EQUAL(pthread_create(&thread, NULL, open_and_shut, &opener), 0);
    wait_for_slot_waiter();
    CU_ASSERT_EQUAL(ael_secret_access_end(&access[0]), AEL_OK);
    (void)pthread_join(thread, NULL);
    CU_ASSERT_EQUAL(opener.status, AEL_OK);

    CU_ASSERT_EQUAL(ael_secret_access_end(&access[1]), AEL_OK);
    ael_clock_reset_for_test();
    ael_secret_release(opener.secret);
    ael_secret_release(open[0]);
    ael_secret_release(open[1]);
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_OK);
}

/* -- corruption and failures -- */

static void overwrite(const struct ael_pages *pages, const uint8_t *byte) {
    CU_ASSERT_EQUAL(ael_pages_set_access(pages, AEL_PAGES_WRITE), AEL_OK);
    ael_pkey_begin(pages->key, true);
    pages->bytes[byte - pages->bytes] ^= 1;
    ael_pkey_end_writing(pages->key);
}

static void test_secret_access_end__finds_a_canary_overwritten_while_open(void) {
    struct ael_secret *small = secret_of(32);
    struct ael_secret *large = secret_of(5000);
    struct ael_secret_access access;
    CU_ASSERT_EQUAL(ael_secret_access_begin(small, &access), AEL_OK);
    overwrite(&small->slot->pages, access.bytes.data - 1);
    CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_E_CORRUPTED);
    CU_ASSERT_EQUAL(stats_now().secret_slots_filled, 0);
    CU_ASSERT_EQUAL(ael_secret_access_begin(small, &access), AEL_OK); /* its seal is intact */
    CU_ASSERT_TRUE(holds(&access, 32));
    CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_OK);
    CU_ASSERT_EQUAL(ael_secret_access_begin(large, &access), AEL_OK);
    overwrite(&large->own->pages, access.bytes.data - 1);
    CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_E_CORRUPTED);
    CU_ASSERT_EQUAL(ael_secret_close(large), AEL_E_CORRUPTED);
    CU_ASSERT_TRUE(ael_secret_is_closed(large));
    ael_secret_release(small);
    ael_secret_release(large);
}

static void test_secret_close__finds_a_canary_overwritten_while_idle(void) {
    struct ael_secret *secret = secret_of(32);
    struct ael_secret_access access;
    CU_ASSERT_EQUAL(ael_secret_access_begin(secret, &access), AEL_OK);
    const uint8_t *before = access.bytes.data - 1;
    CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_OK);
    overwrite(&secret->slot->pages, before);
    CU_ASSERT_EQUAL(ael_secret_close(secret), AEL_E_CORRUPTED);
    CU_ASSERT_TRUE(ael_secret_is_closed(secret));
    CU_ASSERT_EQUAL(ael_secret_close(secret), AEL_OK);
    ael_secret_release(secret);
}

static void
count_errors(void *context, enum ael_log_level level, const char *component, const char *message) {
    (void)component;
    (void)message;
    *(int *)context += level == AEL_LOG_ERROR;
}

static void test_secret_access_begin__reports_a_corrupted_idle_slot_that_it_takes(void) {
    configure_few_slots();
    int errors = 0;
    struct ael_hooks hooks = AEL_HOOKS_INIT;
    hooks.context = &errors;
    hooks.log = count_errors;
    CU_ASSERT_EQUAL(ael_hooks_set(&hooks), AEL_OK);
    struct ael_secret *secrets[FEW_SLOTS + 1];
    struct ael_secret_access access;
    for (int i = 0; i <= FEW_SLOTS; i++) {
        secrets[i] = secret_of(32);
    }
    for (int i = 0; i <= FEW_SLOTS; i++) {
        if (i == FEW_SLOTS) {
            const struct ael_secret_slot *idle = secrets[0]->slot;
            overwrite(&idle->pages, ael_secret_slots_data(idle) - 1);
        }
        CU_ASSERT_EQUAL(ael_secret_access_begin(secrets[i], &access), AEL_OK);
        CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_OK);
    }
    CU_ASSERT_EQUAL(errors, 1);
    for (int i = 0; i <= FEW_SLOTS; i++) {
        ael_secret_release(secrets[i]);
    }
    CU_ASSERT_EQUAL(ael_hooks_set(NULL), AEL_OK);
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_OK);
}

static void test_secret_access_begin__refuses_a_changed_seal(void) {
    struct ael_secret *secret = secret_of(32);
    struct ael_secret_access access;
    uint8_t out[32];
    secret->sealed[5] ^= 1;
    CU_ASSERT_EQUAL(ael_secret_access_begin(secret, &access), AEL_E_CORRUPTED);
    CU_ASSERT_PTR_NULL(access.bytes.data);
    CU_ASSERT_EQUAL(ael_secret_open_into(secret, out, sizeof out), AEL_E_CORRUPTED);
    CU_ASSERT_EQUAL(memcmp(out, k_zero, sizeof out), 0);
    CU_ASSERT_EQUAL(stats_now().secret_slots_filled, 0);
    CU_ASSERT_EQUAL(stats_now().secret_slots_in_use, 0);
    ael_secret_release(secret);
}

/* Puts one secret's seal in the place of another's, as one who can write to ordinary memory would. */
static void swap_seals(struct ael_secret *a, struct ael_secret *b) {
    uint8_t sealed[32 + 16];
    uint64_t nonce = a->seal.nonce;
    memcpy(sealed, a->sealed, sizeof sealed);
    memcpy(a->sealed, b->sealed, sizeof sealed);
    memcpy(b->sealed, sealed, sizeof sealed);
    a->seal.nonce = b->seal.nonce;
    b->seal.nonce = nonce;
}

static void check_does_not_open(struct ael_secret *secret) {
    struct ael_secret_access access;
    enum ael_status status = ael_secret_access_begin(secret, &access);
    CU_ASSERT_EQUAL(status, AEL_E_CORRUPTED);
    CU_ASSERT_PTR_NULL(access.bytes.data);
    if (status == AEL_OK) {
        CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_OK);
    }
}

static void test_secret_access_begin__refuses_the_seal_of_another_secret(void) {
    struct ael_secret *a = secret_of(32);
    struct ael_secret *b = secret_of(32);
    struct ael_secret_access access;
    uint8_t out[32];
    swap_seals(a, b);
    check_does_not_open(a);
    memset(out, 0xff, sizeof out);
    CU_ASSERT_EQUAL(ael_secret_open_into(b, out, sizeof out), AEL_E_CORRUPTED);
    CU_ASSERT_EQUAL(memcmp(out, k_zero, sizeof out), 0);
    swap_seals(a, b);
    CU_ASSERT_EQUAL(ael_secret_access_begin(a, &access), AEL_OK);
    CU_ASSERT_TRUE(holds(&access, 32));
    CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_OK);
    CU_ASSERT_EQUAL(stats_now().secret_slots_in_use, 0);
    ael_secret_release(a);
    ael_secret_release(b);
}

/* Nor does a key that differs in its kind alone pass for a secret. */
static void test_secret_access_begin__refuses_the_seal_of_a_cached_key(void) {
    static const uint8_t k_key[AEL_KEY_BYTES] = {1};
    struct ael_secret *secret = secret_of(AEL_KEY_BYTES);
    struct ael_key_binding binding = secret->seal.binding;
    struct ael_sealed_key sealed;
    binding.kind = AEL_KEY_KIND_SYSTEM;
    CU_ASSERT_EQUAL(ael_sealed_key_make(k_key, &binding, &sealed), AEL_OK);
    memcpy(secret->sealed, sealed.sealed, sizeof sealed.sealed);
    secret->seal.nonce = sealed.seal.nonce;
    check_does_not_open(secret);
    CU_ASSERT_EQUAL(stats_now().secret_slots_filled, 0);
    ael_sealed_key_drop(&sealed);
    ael_secret_release(secret);
}

static void check_begin_fails(size_t len, unsigned nth) {
    struct ael_secret *secret = secret_of(len);
    struct ael_secret_access access;
    failing_sys_install(FAIL_MPROTECT, nth, ENOMEM, false);
    CU_ASSERT_EQUAL(ael_secret_access_begin(secret, &access), AEL_E_SYSTEM);
    CU_ASSERT_TRUE(failing_sys_remove());
    CU_ASSERT_EQUAL(stats_now().secret_slots_in_use, 0);
    CU_ASSERT_EQUAL(ael_secret_access_begin(secret, &access), AEL_OK);
    CU_ASSERT_TRUE(holds(&access, len));
    failing_sys_install(FAIL_MPROTECT, 1, ENOMEM, false);
    CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_E_SYSTEM);
    failing_sys_install(FAIL_MPROTECT, 1, ENOMEM, true);
    CU_ASSERT_EQUAL(ael_secret_access_begin(secret, &access), AEL_E_SYSTEM);
    (void)failing_sys_remove();
    CU_ASSERT_EQUAL(ael_secret_access_begin(secret, &access), AEL_OK);
    CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_OK);
    ael_secret_release(secret);
}

static void test_secret_access__reports_failing_protection_and_recovers(void) {
    memory_at_level(AEL_PROTECTION_STRICT);
    for (unsigned nth = 1; nth <= 4; nth++) {
        check_begin_fails(32, nth); /* slot open, root open, root shut, slot read-only */
    }
    check_begin_fails(5000, 1);
}

/* Fails each system call of making a secret in turn: the status is right, the source wiped, nothing left
 * behind. */
static void sweep_new(size_t len, bool random) {
    bool failed = true;
    ael_secret_release(secret_of(32));
    for (unsigned nth = 1; failed; nth++) {
        uint8_t source[8192];
        struct ael_secret *secret = NULL;
        memset(source, 's', len);
        size_t locked = stats_now().locked_bytes;
        failing_sys_install(FAIL_ANY, nth, ENOMEM, false);
        enum ael_status status =
            random ? ael_secret_new_random(len, &secret) : ael_secret_new(source, len, &secret);
        failed = failing_sys_remove();
        CU_ASSERT_TRUE(random || memcmp(source, k_zero, len) == 0);
        CU_ASSERT_TRUE(nth < 100);
        CU_ASSERT_EQUAL(status == AEL_OK, secret != NULL);
        CU_ASSERT_TRUE(failed || status == AEL_OK);
        ael_secret_release(secret);
        CU_ASSERT_EQUAL(stats_now().locked_bytes, locked);
        CU_ASSERT_EQUAL(stats_now().scratch_slots_in_use, 0);
        CU_ASSERT_EQUAL(stats_now().large_regions, 0);
    }
}

static void test_secret_new__survives_each_failing_system_call(void) {
    memory_at_level(AEL_PROTECTION_STRICT);
    sweep_new(32, false);
    sweep_new(5000, false);
    sweep_new(32, true);
    sweep_new(2000, true);
    sweep_new(5000, true);
}

static int fail_nth(void *context) {
    return --*(int *)context == 0;
}

static void test_secret_new__wipes_the_source_when_memory_is_short(void) {
    static const size_t k_lens[] = {32, 5000, 5000};
    static const int k_nth[] = {1, 1, 2};
    for (size_t i = 0; i < 3; i++) {
        uint8_t source[8192];
        struct ael_secret *secret = NULL;
        int left = k_nth[i];
        memset(source, 's', sizeof source);
        ael_alloc_set_fault(fail_nth, &left);
        CU_ASSERT_EQUAL(ael_secret_new(source, k_lens[i], &secret), AEL_E_NO_MEMORY);
        ael_alloc_set_fault(NULL, NULL);
        CU_ASSERT_PTR_NULL(secret);
        CU_ASSERT_EQUAL(memcmp(source, k_zero, k_lens[i]), 0);
    }
}

/* -- the library's own way in -- */

static void test_secret_open_into__copies_without_a_slot(void) {
    struct ael_secret *secret = secret_of(32);
    uint8_t out[8192];
    memset(out, 0, sizeof out);
    CU_ASSERT_EQUAL(ael_secret_open_into(secret, out, 31), AEL_E_BUFFER_TOO_SMALL);
    CU_ASSERT_EQUAL(ael_secret_open_into(secret, out, sizeof out), AEL_OK);
    CU_ASSERT_EQUAL(out[31], 's');
    CU_ASSERT_EQUAL(out[32], 0);
    CU_ASSERT_EQUAL(stats_now().secret_slots_filled, 0);
    CU_ASSERT_EQUAL(ael_secret_close(secret), AEL_OK);
    CU_ASSERT_EQUAL(ael_secret_open_into(secret, out, sizeof out), AEL_E_CLOSED);
    CU_ASSERT_EQUAL(out[0], 0);
    ael_secret_release(secret);
    secret = secret_of(5000);
    CU_ASSERT_EQUAL(ael_secret_open_into(secret, out, sizeof out), AEL_OK);
    CU_ASSERT_EQUAL(out[4999], 's');
    ael_secret_release(secret);
}

/* -- metrics, children -- */

struct totals {
    int64_t allocated;
    int64_t in_use;
    int timers;
};

static void add_up(void *context, enum ael_metric_kind kind, const char *name, int64_t value) {
    struct totals *totals = context;
    totals->allocated += strcmp(name, "secret.allocated") == 0 ? value : 0;
    totals->in_use += strcmp(name, "secret.inuse") == 0 ? value : 0;
    totals->timers += kind == AEL_METRIC_TIMER_NS && strcmp(name, "secret.alloctimer") == 0;
}

static void test_secret__is_counted_by_the_metrics(void) {
    struct totals totals = {0, 0, 0};
    struct ael_hooks hooks = AEL_HOOKS_INIT;
    hooks.context = &totals;
    hooks.metric = add_up;
    CU_ASSERT_EQUAL(ael_hooks_set(&hooks), AEL_OK);
    struct ael_secret *a = secret_of(32);
    struct ael_secret *b = secret_of(32);
    CU_ASSERT_EQUAL(totals.in_use, 2);
    CU_ASSERT_EQUAL(ael_secret_close(a), AEL_OK);
    ael_secret_release(a);
    ael_secret_release(b);
    CU_ASSERT_EQUAL(totals.allocated, 2);
    CU_ASSERT_EQUAL(totals.in_use, 0);
    CU_ASSERT_EQUAL(totals.timers, 2);
    CU_ASSERT_EQUAL(ael_hooks_set(NULL), AEL_OK);
}

static const uint8_t *volatile g_kept;

static int read_after_end(void) {
    struct ael_secret_access access;
    if (ael_secret_access_begin(secret_of(32), &access) != AEL_OK) {
        return 1;
    }
    g_kept = access.bytes.data;
    if (*g_kept != 's' || ael_secret_access_end(&access) != AEL_OK) {
        return 2;
    }
    return *(const volatile uint8_t *)g_kept;
}

static int write_or_overrun(ptrdiff_t offset, bool write) {
    struct ael_secret_access access;
    struct ael_secret *secret = secret_of(32);
    if (ael_secret_access_begin(secret, &access) != AEL_OK) {
        return 1;
    }
    const struct ael_pages *pages = &secret->slot->pages;
    volatile uint8_t *byte = pages->bytes + (access.bytes.data - pages->bytes) + offset;
    return write ? (*byte = 1) : *byte;
}

static int write_during_access(void) {
    return write_or_overrun(0, true);
}

static int read_behind(void) {
    return write_or_overrun(32, false);
}

static void test_secret__faults_outside_what_is_allowed(void) {
    CU_ASSERT_EQUAL(child_run(read_after_end), CHILD_KILLED + SIGSEGV);
    CU_ASSERT_EQUAL(child_run(write_during_access), CHILD_KILLED + SIGSEGV);
    CU_ASSERT_EQUAL(child_run(read_behind), CHILD_KILLED + SIGSEGV);
}

static struct ael_secret *g_inherited[2];
static struct ael_secret_access g_open;

static int use_inherited(void) {
    struct ael_secret_access access;
    uint8_t out[8192];
    for (int i = 0; i < 2; i++) {
        if (ael_secret_access_begin(g_inherited[i], &access) != AEL_E_FORKED ||
            ael_secret_open_into(g_inherited[i], out, sizeof out) != AEL_E_FORKED ||
            ael_secret_close(g_inherited[i]) != AEL_E_FORKED) {
            return 1;
        }
    }
    if (ael_secret_access_end(&g_open) != AEL_E_FORKED || ael_shutdown(0) != AEL_OK) {
        return 2;
    }
    uint64_t before = stats_now().secrets_in_use;
    ael_secret_release(g_inherited[0]);
    ael_secret_release(g_inherited[1]);
    if (stats_now().secrets_in_use != before - 2) {
        return 4;
    }
    struct ael_secret *own = secret_of(32);
    enum ael_status status = ael_secret_access_begin(own, &access);
    bool good = status == AEL_OK && holds(&access, 32) && ael_secret_access_end(&access) == AEL_OK;
    ael_secret_release(own);
    return good ? 0 : 3;
}

static int release_inherited_while_open(void) {
    ael_secret_release(g_inherited[0]);
    return ael_secret_access_end(&g_open) == AEL_E_ARGUMENT && ael_shutdown(0) == AEL_OK ? 0 : 1;
}

static void test_secret__of_before_fork_answers_forked_in_the_child(void) {
    memory_that_forgets();
    g_inherited[0] = secret_of(32);
    g_inherited[1] = secret_of(5000);
    CU_ASSERT_EQUAL(ael_secret_access_begin(g_inherited[0], &g_open), AEL_OK);
    CU_ASSERT_EQUAL(child_run(use_inherited), 0);
    CU_ASSERT_EQUAL(child_run(release_inherited_while_open), 0);
    CU_ASSERT_EQUAL(ael_secret_access_end(&g_open), AEL_OK);
    ael_secret_release(g_inherited[0]);
    ael_secret_release(g_inherited[1]);
}

static const struct test_case k_cases[] = {
    {"wipes the source", test_secret_new__wipes_the_source_and_keeps_the_bytes},
    {"bad arguments", test_secret_new__refuses_bad_arguments},
    {"random secrets differ", test_secret_new_random__gives_different_bytes},
    {"protection at 0->1 and 1->0 only",
     test_secret_access__changes_protection_at_the_first_and_the_last_only},
    {"not open", test_secret_access__refuses_what_is_not_open},
    {"callback form", test_secret_with_bytes__returns_what_the_callback_returned},
    {"close", test_secret_close__is_for_all_holders_and_busy_inside_an_access},
    {"release inside an access", test_secret_release__inside_an_access_frees_at_its_end},
    {"more secrets than slots", test_secret_access__reuses_the_slots_of_idle_secrets},
    {"idle slots are wiped", test_secret_access__wipes_slots_that_were_idle_for_a_second},
    {"waits for a slot", test_secret_access_begin__waits_for_a_slot_and_times_out},
    {"canary while open", test_secret_access_end__finds_a_canary_overwritten_while_open},
    {"canary while idle", test_secret_close__finds_a_canary_overwritten_while_idle},
    {"canary of a slot taken", test_secret_access_begin__reports_a_corrupted_idle_slot_that_it_takes},
    {"changed seal", test_secret_access_begin__refuses_a_changed_seal},
    {"seal of another secret", test_secret_access_begin__refuses_the_seal_of_another_secret},
    {"seal of a cached key", test_secret_access_begin__refuses_the_seal_of_a_cached_key},
    {"failing protection", test_secret_access__reports_failing_protection_and_recovers},
    {"each failing system call", test_secret_new__survives_each_failing_system_call},
    {"failing allocation", test_secret_new__wipes_the_source_when_memory_is_short},
    {"opens into scratch", test_secret_open_into__copies_without_a_slot},
    {"metrics", test_secret__is_counted_by_the_metrics},
    {"faults", test_secret__faults_outside_what_is_allowed},
    {"of before fork", test_secret__of_before_fork_answers_forked_in_the_child},
};

TEST_SUITE_MAIN("secret", k_cases)
