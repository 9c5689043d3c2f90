/* SPDX-License-Identifier: Apache-2.0 */
#include "securememory/random.h"
#include "securememory/scratch.h"
#include "securememory/sealed_key.h"
#include "tests/support/soak.h"
#include "tests/support/suite.h"

#include <ael/memory.h>
#include <ael/secret.h>

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum { THREADS = 8, MANY_THREADS = 64, LEN = 32 };

static int rounds(void) {
    return soak_count(400, 100000);
}

static atomic_uint g_wrong;

/* All cases run at each level: at leased with a lease so short that it ends all the time. */
static struct ael_memory_options g_options = AEL_MEMORY_OPTIONS_INIT;

static void at_level(enum ael_protection_level level) {
    g_options.level = level;
    g_options.lease_us = 20;
    CU_ASSERT_EQUAL(ael_shutdown(1000), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_memory_configure(&g_options, NULL), AEL_OK);
}

static void test_level__strict(void) {
    at_level(AEL_PROTECTION_STRICT);
}

static void test_level__leased(void) {
    at_level(AEL_PROTECTION_LEASED);
}

static void expect(bool good) {
    if (!good) {
        atomic_fetch_add(&g_wrong, 1);
    }
}

static struct ael_secret *new_secret(uint8_t letter, size_t len) {
    uint8_t source[8192];
    struct ael_secret *secret = NULL;
    memset(source, letter, len);
    expect(ael_secret_new(source, len, &secret) == AEL_OK);
    return secret;
}

static bool holds(const struct ael_secret_access *access, uint8_t letter) {
    bool all = true;
    for (size_t i = 0; i < access->bytes.len; i++) {
        all = all && access->bytes.data[i] == letter;
    }
    return all;
}

static void run(size_t count, void *(*fn)(void *), void *context) {
    pthread_t threads[MANY_THREADS];
    atomic_store(&g_wrong, 0);
    for (size_t i = 0; i < count; i++) {
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, fn, context), 0);
    }
    for (size_t i = 0; i < count; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    CU_ASSERT_EQUAL(atomic_load(&g_wrong), 0);
}

static void *read_often(void *context) {
    for (int i = 0; i < rounds(); i++) {
        struct ael_secret_access access;
        expect(ael_secret_access_begin(context, &access) == AEL_OK);
        expect(holds(&access, 'a'));
        expect(ael_secret_access_end(&access) == AEL_OK);
    }
    return NULL;
}

static void test_access__by_64_threads_at_once(void) {
    struct ael_secret *small = new_secret('a', LEN);
    struct ael_secret *large = new_secret('a', 5000);
    run(MANY_THREADS, read_often, small);
    run(THREADS, read_often, large);
    ael_secret_release(small);
    ael_secret_release(large);
}

static void *read_nested(void *context) {
    for (int i = 0; i < rounds(); i++) {
        struct ael_secret_access outer;
        struct ael_secret_access inner;
        expect(ael_secret_access_begin(context, &outer) == AEL_OK);
        expect(ael_secret_access_begin(context, &inner) == AEL_OK);
        expect(inner.bytes.data == outer.bytes.data && holds(&inner, 'a'));
        expect(ael_secret_access_end(i % 2 == 0 ? &inner : &outer) == AEL_OK);
        expect(ael_secret_access_end(i % 2 == 0 ? &outer : &inner) == AEL_OK);
    }
    return NULL;
}

static void test_access__nested_in_several_threads(void) {
    struct ael_secret *secret = new_secret('a', LEN);
    run(THREADS, read_nested, secret);
    ael_secret_release(secret);
}

/* Reads until the secret is closed: what is read while it lasts is right, and nothing but "closed" comes
 * after. */
static void *read_until_closed(void *context) {
    enum ael_status status = AEL_OK;
    while (status == AEL_OK) {
        struct ael_secret_access access;
        status = ael_secret_access_begin(context, &access);
        if (status == AEL_OK) {
            expect(holds(&access, 'a'));
            expect(ael_secret_access_end(&access) == AEL_OK);
        }
    }
    expect(status == AEL_E_CLOSED);
    expect(
        ael_secret_access_begin(context, &(struct ael_secret_access){.secret = NULL}) == AEL_E_CLOSED);
    return NULL;
}

static void close_under_readers(size_t len) {
    pthread_t readers[THREADS];
    struct ael_secret *secret = new_secret('a', len);
    for (int i = 0; i < THREADS; i++) {
        CU_ASSERT_EQUAL_FATAL(pthread_create(&readers[i], NULL, read_until_closed, secret), 0);
    }
    for (int i = 0; i < 20; i++) {
        struct ael_secret_access access;
        expect(ael_secret_access_begin(secret, &access) == AEL_OK);
        expect(ael_secret_close(secret) == AEL_E_BUSY);
        expect(ael_secret_access_end(&access) == AEL_OK);
    }
    expect(ael_secret_close(secret) == AEL_OK);
    expect(ael_secret_is_closed(secret));
    for (int i = 0; i < THREADS; i++) {
        (void)pthread_join(readers[i], NULL);
    }
    ael_secret_release(secret);
}

static void test_access_during_close(void) {
    atomic_store(&g_wrong, 0);
    for (int i = 0; i < 10; i++) {
        close_under_readers(LEN);
        close_under_readers(5000);
    }
    CU_ASSERT_EQUAL(atomic_load(&g_wrong), 0);
}

struct held {
    struct ael_secret *secret;
    atomic_int stage;
};

static void *close_held(void *context) {
    struct held *held = context;
    expect(ael_secret_close(held->secret) == AEL_OK);
    atomic_store(&held->stage, 1);
    return NULL;
}

static void test_close__waits_for_a_reader_and_refuses_new_ones(void) {
    struct held held = {new_secret('a', LEN), 0};
    struct ael_secret_access access;
    struct ael_secret_access more;
    pthread_t closer;

    atomic_store(&g_wrong, 0);
    CU_ASSERT_EQUAL(ael_secret_access_begin(held.secret, &access), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&closer, NULL, close_held, &held), 0);
    while (ael_secret_access_begin(held.secret, &more) == AEL_OK) {
        expect(ael_secret_access_end(&more) == AEL_OK);
    }
    CU_ASSERT_FALSE(ael_secret_is_closed(held.secret));
    CU_ASSERT_EQUAL(atomic_load(&held.stage), 0);
    CU_ASSERT_TRUE(holds(&access, 'a'));
    CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_OK);
    (void)pthread_join(closer, NULL);
    CU_ASSERT_TRUE(ael_secret_is_closed(held.secret));
    CU_ASSERT_EQUAL(atomic_load(&g_wrong), 0);
    ael_secret_release(held.secret);
}

static void *close_it(void *context) {
    expect(ael_secret_close(context) == AEL_OK);
    expect(ael_secret_is_closed(context));
    return NULL;
}

static void test_close__by_many_at_once(void) {
    for (int i = 0; i < 20; i++) {
        struct ael_secret *secret = new_secret('a', LEN);
        run(THREADS, close_it, secret);
        ael_secret_release(secret);
    }
}

/* Each thread has a handle of its own and drops it while others still read through theirs. */
static void *use_own_handle(void *context) {
    struct ael_secret *handle = context;
    for (int i = 0; i < 50; i++) {
        struct ael_secret *clone = ael_secret_acquire(handle);
        struct ael_secret_access access;
        expect(ael_secret_access_begin(clone, &access) == AEL_OK);
        expect(holds(&access, 'a'));
        expect(ael_secret_access_end(&access) == AEL_OK);
        ael_secret_release(clone);
    }
    ael_secret_release(handle);
    return NULL;
}

static void test_handles__released_by_their_threads(void) {
    struct ael_secret *secret = new_secret('a', LEN);
    for (int i = 1; i < THREADS; i++) {
        (void)ael_secret_acquire(secret);
    }
    run(THREADS, use_own_handle, secret);
}

/* More secrets than slots, so that slots are taken from idle secrets all the time. */
enum { SECRETS = 40 };

static struct ael_secret *g_secrets[SECRETS];

static void *read_all(void *context) {
    (void)context;
    for (size_t i = 0; i < 4 * (size_t)SECRETS; i++) {
        size_t which = i * 7 % SECRETS;
        struct ael_secret_access access;
        uint8_t out[LEN];
        expect(ael_secret_access_begin(g_secrets[which], &access) == AEL_OK);
        expect(holds(&access, (uint8_t)which));
        expect(ael_secret_open_into(g_secrets[which], out, sizeof out) == AEL_OK && out[0] == (uint8_t)which);
        expect(ael_secret_access_end(&access) == AEL_OK);
    }
    return NULL;
}

static void test_slots__are_shared_by_more_secrets_and_threads_than_there_are(void) {
    struct ael_memory_options options = g_options;
    options.secret_slots = 3;
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_memory_configure(&options, NULL), AEL_OK);
    for (size_t i = 0; i < SECRETS; i++) {
        g_secrets[i] = new_secret((uint8_t)i, LEN);
    }
    run(THREADS, read_all, NULL);
    for (size_t i = 0; i < SECRETS; i++) {
        ael_secret_release(g_secrets[i]);
    }
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_OK);
}

static void *seal_and_open(void *context) {
    static const struct ael_key_binding k_binding;
    (void)context;
    for (int i = 0; i < 50; i++) {
        struct ael_scratch scratch;
        struct ael_sealed_key sealed;
        expect(ael_scratch_begin(&scratch, NULL) == AEL_OK);
        expect(ael_random_fill(scratch.bytes, LEN) == AEL_OK);
        expect(ael_sealed_key_make(scratch.bytes, &k_binding, &sealed) == AEL_OK);
        expect(ael_sealed_key_open(&sealed, &k_binding, scratch.bytes + LEN) == AEL_OK);
        expect(memcmp(scratch.bytes, scratch.bytes + LEN, LEN) == 0);
        ael_sealed_key_drop(&sealed);
        expect(ael_scratch_end(&scratch) == AEL_OK);
    }
    return NULL;
}

static void test_scratch__with_four_threads_a_slot(void) {
    run(MANY_THREADS, seal_and_open, NULL);
}

/* Everything goes on while memory is shut down again and again: each call works or says "closed". */
static atomic_bool g_over;

static void *work_through_shutdowns(void *context) {
    (void)context;
    while (!atomic_load(&g_over)) {
        uint8_t source[LEN];
        struct ael_secret *secret = NULL;
        struct ael_secret_access access;
        memset(source, 'a', sizeof source);
        enum ael_status status = ael_secret_new(source, sizeof source, &secret);
        expect(status == AEL_OK || status == AEL_E_CLOSED);
        if (status == AEL_OK) {
            status = ael_secret_access_begin(secret, &access);
            expect(status == AEL_OK || status == AEL_E_CLOSED);
        }
        if (status == AEL_OK) {
            expect(holds(&access, 'a'));
            expect(ael_secret_access_end(&access) == AEL_OK);
        }
        ael_secret_release(secret);
    }
    return NULL;
}

static void test_shutdown__under_load(void) {
    pthread_t workers[4];
    struct ael_memory_options options = g_options;
    options.secret_slots = 2;
    atomic_store(&g_wrong, 0);
    atomic_store(&g_over, false);
    for (int i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL_FATAL(pthread_create(&workers[i], NULL, work_through_shutdowns, NULL), 0);
    }
    for (int i = 0; i < 30; i++) {
        expect(ael_shutdown(5000) == AEL_OK);
        enum ael_status status = ael_memory_configure(&options, NULL);
        expect(status == AEL_OK || status == AEL_E_STATE);
    }
    atomic_store(&g_over, true);
    for (int i = 0; i < 4; i++) {
        (void)pthread_join(workers[i], NULL);
    }
    CU_ASSERT_EQUAL(atomic_load(&g_wrong), 0);
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_OK);
}

static const struct test_case k_cases[] = {
    {"at strict:", test_level__strict},
    {"64 threads", test_access__by_64_threads_at_once},
    {"nested", test_access__nested_in_several_threads},
    {"access during close", test_access_during_close},
    {"close waits", test_close__waits_for_a_reader_and_refuses_new_ones},
    {"concurrent closes", test_close__by_many_at_once},
    {"handles", test_handles__released_by_their_threads},
    {"slots shared", test_slots__are_shared_by_more_secrets_and_threads_than_there_are},
    {"scratch shared", test_scratch__with_four_threads_a_slot},
    {"shut-down under load", test_shutdown__under_load},
    {"at leased:", test_level__leased},
    {"leased, 64 threads", test_access__by_64_threads_at_once},
    {"leased, nested", test_access__nested_in_several_threads},
    {"leased, access during close", test_access_during_close},
    {"leased, close waits", test_close__waits_for_a_reader_and_refuses_new_ones},
    {"leased, concurrent closes", test_close__by_many_at_once},
    {"leased, handles", test_handles__released_by_their_threads},
    {"leased, slots shared", test_slots__are_shared_by_more_secrets_and_threads_than_there_are},
    {"leased, scratch shared", test_scratch__with_four_threads_a_slot},
    {"leased, shut-down under load", test_shutdown__under_load},
};

TEST_SUITE_MAIN("secret_threads", k_cases)
