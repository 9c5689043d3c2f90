/*
 * test_corruption.c - each kind of corrupted memory reaches the host's handler once, under no lock, and the call
 * answers what it answers without one.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "appencryption/cache/cached_key.h"
#include "appencryption/session/session_parts.h"
#include "base/corruption.h"
#include "base/sync.h"
#include "securememory/protected.h"
#include "securememory/scratch.h"
#include "securememory/secret_state.h"

#include <ael/hooks.h>
#include <ael/memory.h>
#include <ael/secret.h>

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/child.h"
#include "tests/support/fixture.h"
#include "tests/support/suite.h"

enum { KINDS = 8, LEN = 32, LARGE_LEN = 5000 };

/* What the hooks were told. */
static struct {
    atomic_int told[KINDS];
    atomic_int lines; /* at the level error */
    atomic_int under_lock;
    atomic_int wrong; /* another context, no sentence */
    pthread_t thread;
} g_heard;

static void hear(void *context, enum ael_corruption what, const char *text) {
    bool known = what >= AEL_CORRUPTION_SECRET_SLOT && what <= AEL_CORRUPTION_ROOT_KEYS;
    atomic_fetch_add(&g_heard.under_lock, ael_sync_holds_any());
    atomic_fetch_add(&g_heard.wrong, context != &g_heard || text == NULL || strlen(text) < 20 || !known);
    g_heard.thread = pthread_self();
    if (known) {
        atomic_fetch_add(&g_heard.told[what], 1);
    }
}

static void hear_line(void *context, enum ael_log_level level, const char *component, const char *message) {
    (void)component;
    (void)message;
    atomic_fetch_add(&g_heard.wrong, context != &g_heard);
    atomic_fetch_add(&g_heard.lines, level == AEL_LOG_ERROR);
    atomic_fetch_add(&g_heard.under_lock, ael_sync_holds_any());
}

static void listen(ael_corruption_fn fn) {
    struct ael_hooks hooks = AEL_HOOKS_INIT;
    hooks.context = &g_heard;
    hooks.log = hear_line;
    hooks.corruption = fn;
    memset(&g_heard, 0, sizeof g_heard);
    CU_ASSERT_EQUAL(ael_hooks_set(&hooks), AEL_OK);
}

static int told_in_all(void) {
    int all = 0;
    for (int i = 0; i < KINDS; i++) {
        all += atomic_load(&g_heard.told[i]);
    }
    return all;
}

/* With a handler: told once, as this kind. Without: a log line. */
static void expect_told(enum ael_corruption what, bool handler) {
    CU_ASSERT_EQUAL(atomic_load(&g_heard.told[what]), handler ? 1 : 0);
    CU_ASSERT_EQUAL(told_in_all(), handler ? 1 : 0);
    CU_ASSERT_EQUAL(atomic_load(&g_heard.lines), 1);
    CU_ASSERT_EQUAL(atomic_load(&g_heard.under_lock), 0);
    CU_ASSERT_EQUAL(atomic_load(&g_heard.wrong), 0);
    listen(handler ? hear : NULL);
}

static void set_up(enum ael_protection_level level) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    options.level = level;
    options.key_level = AEL_PROTECTION_STRICT;
    options.lease_us = level == AEL_PROTECTION_LEASED ? 200000 : 0; /* longer than an access on a busy machine */
    CU_ASSERT_EQUAL_FATAL(ael_shutdown(1000), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_memory_configure(&options, NULL), AEL_OK);
}

static void end(void) {
    CU_ASSERT_EQUAL(ael_shutdown(1000), AEL_OK);
    CU_ASSERT_EQUAL(told_in_all(), 0);
    CU_ASSERT_EQUAL(ael_hooks_set(NULL), AEL_OK);
}

static struct ael_secret *secret_of(size_t len) {
    uint8_t source[LARGE_LEN];
    struct ael_secret *secret = NULL;
    memset(source, 's', sizeof source);
    CU_ASSERT_EQUAL_FATAL(ael_secret_new(source, len, &secret), AEL_OK);
    return secret;
}

static void overwrite(const struct ael_pages *pages, const uint8_t *byte) {
    CU_ASSERT_EQUAL(ael_pages_set_access(pages, AEL_PAGES_WRITE), AEL_OK);
    pages->bytes[byte - pages->bytes] ^= 1;
}

/* -- canaries -- */

static void check_slot_at_end(bool handler) {
    struct ael_secret *secret = secret_of(LEN);
    struct ael_secret_access access;
    CU_ASSERT_EQUAL(ael_secret_access_begin(secret, &access), AEL_OK);
    overwrite(&secret->slot->pages, access.bytes.data - 1);
    CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_E_CORRUPTED);
    expect_told(AEL_CORRUPTION_SECRET_SLOT, handler);
    CU_ASSERT_EQUAL(ael_secret_close(secret), AEL_OK);
    ael_secret_release(secret);
}

static void check_slot_at_close(bool handler) {
    struct ael_secret *secret = secret_of(LEN);
    struct ael_secret_access access;
    CU_ASSERT_EQUAL(ael_secret_access_begin(secret, &access), AEL_OK);
    const uint8_t *before = access.bytes.data - 1;
    CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_OK);
    overwrite(&secret->slot->pages, before);
    CU_ASSERT_EQUAL(ael_secret_close(secret), AEL_E_CORRUPTED);
    expect_told(AEL_CORRUPTION_SECRET_SLOT, handler);
    ael_secret_release(secret);
}

/* A secret without a slot takes that of another, whose owner is not the one who looks. */
static void check_slot_at_taking(bool handler) {
    struct ael_memory_stats stats = AEL_MEMORY_STATS_INIT;
    struct ael_secret *secrets[AEL_SECRET_SLOTS_MAX];
    struct ael_secret_access access;
    CU_ASSERT_EQUAL(ael_memory_stats(&stats), AEL_OK);
    for (size_t i = 0; i <= stats.secret_slots; i++) {
        secrets[i] = secret_of(LEN);
        if (i == stats.secret_slots) {
            overwrite(&secrets[0]->slot->pages, ael_secret_slots_data(secrets[0]->slot) - 1);
        }
        CU_ASSERT_EQUAL(ael_secret_access_begin(secrets[i], &access), AEL_OK);
        CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_OK);
    }
    expect_told(AEL_CORRUPTION_SECRET_SLOT, handler);
    for (size_t i = 0; i <= stats.secret_slots; i++) {
        ael_secret_release(secrets[i]);
    }
}

/* Looked at at each end and at close, and told once. */
static void check_own_pages(bool handler) {
    struct ael_secret *secret = secret_of(LARGE_LEN);
    struct ael_secret_access access;
    CU_ASSERT_EQUAL(ael_secret_access_begin(secret, &access), AEL_OK);
    overwrite(&secret->own->pages, access.bytes.data - 1);
    CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_E_CORRUPTED);
    CU_ASSERT_EQUAL(ael_secret_access_begin(secret, &access), AEL_OK);
    CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_E_CORRUPTED);
    CU_ASSERT_EQUAL(ael_secret_close(secret), AEL_E_CORRUPTED);
    expect_told(AEL_CORRUPTION_OWN_PAGES, handler);
    ael_secret_release(secret);
}

static void check_scratch(bool handler) {
    struct ael_scratch scratch;
    CU_ASSERT_EQUAL(ael_scratch_begin(&scratch, NULL), AEL_OK);
    *(volatile uint8_t *)(scratch.bytes - 1) ^= 1;
    CU_ASSERT_EQUAL(ael_scratch_end(&scratch), AEL_E_CORRUPTED);
    expect_told(AEL_CORRUPTION_SCRATCH, handler);
}

static void check_root_page(bool handler) {
    struct ael_secret *secret = secret_of(LEN);
    struct ael_secret_access access;
    const struct ael_pages *pages = &ael_protected()->roots.region.pages;
    CU_ASSERT_EQUAL(ael_pages_set_access(pages, AEL_PAGES_WRITE), AEL_OK);
    memset(pages->bytes, 0xa5, pages->len);
    CU_ASSERT_EQUAL(ael_secret_access_begin(secret, &access), AEL_E_CORRUPTED);
    expect_told(AEL_CORRUPTION_ROOT_KEYS, handler);
    ael_secret_release(secret);
    CU_ASSERT_EQUAL(ael_shutdown(1000), AEL_OK); /* looked at again at the end */
    expect_told(AEL_CORRUPTION_ROOT_KEYS, handler);
    set_up(AEL_PROTECTION_STRICT);
}

/* -- seals -- */

static void check_secret_seal(bool handler) {
    struct ael_secret *secret = secret_of(LEN);
    struct ael_secret_access access;
    uint8_t out[LEN];
    secret->sealed[5] ^= 1;
    CU_ASSERT_EQUAL(ael_secret_access_begin(secret, &access), AEL_E_CORRUPTED);
    expect_told(AEL_CORRUPTION_SECRET_SEAL, handler);
    CU_ASSERT_EQUAL(ael_secret_open_into(secret, out, sizeof out), AEL_E_CORRUPTED);
    expect_told(AEL_CORRUPTION_SECRET_SEAL, handler);
    ael_secret_release(secret);
}

/* Told by the sweep, for the root is gone when the owner comes; by then nobody overwrote anything. */
static void check_swept_seal(bool handler) {
    struct ael_protected *memory = ael_protected();
    struct ael_reseal_parts parts = {&memory->roots, &memory->scratch, &memory->slots};
    struct ael_reseal sweep = {0};
    struct ael_secret *secret = secret_of(LEN);
    struct ael_secret_access access;
    uint32_t wiped = 0;
    secret->sealed[5] ^= 1;
    CU_ASSERT_EQUAL(ael_roots_renew(&memory->roots), AEL_OK);
    ael_reseal_begin(&sweep, ael_roots_current(&memory->roots));
    CU_ASSERT_EQUAL(ael_reseal_step(&sweep, &parts, SIZE_MAX), AEL_OK);
    expect_told(AEL_CORRUPTION_SECRET_SEAL, handler);
    CU_ASSERT_EQUAL(ael_roots_wipe_below(&memory->roots, sweep.target, &wiped), AEL_OK);
    CU_ASSERT_EQUAL(ael_secret_access_begin(secret, &access), AEL_E_CORRUPTED);
    CU_ASSERT_EQUAL(told_in_all(), 0);
    ael_secret_release(secret);
}

/* What a key begins with: enough to reach the sealed bytes and spoil them, as a stray write would. */
struct key_head {
    uint64_t words[4]; /* its holders and its nonces */
    struct ael_sealed_key sealed;
};

static void spoil_cached(struct ael_session *session) {
    struct ael_session_call call;
    struct ael_key_loan loan;
    CU_ASSERT_EQUAL_FATAL(ael_session_begin_call(session, NULL, &call, NULL), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_session_latest_key(session, &call, &loan, NULL), AEL_OK);
    ((struct key_head *)(void *)loan.key->key)->sealed.sealed[5] ^= 1;
    ael_session_end_loan(&loan, AEL_OK);
}

/* The call that meets it says so; the next one loads the key again. */
static void check_cached_key(bool handler) {
    struct fixture fix;
    fixture_begin(&fix);
    struct ael_session *session = fixture_session(&fix, "p");
    CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_OK);
    spoil_cached(session);
    CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_E_CORRUPTED);
    expect_told(AEL_CORRUPTION_KEY_SEAL, handler);
    CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_OK);
    CU_ASSERT_EQUAL(fake_metastore_count(fix.metastore, FIXTURE_IK), 1); /* the same key, loaded */
    CU_ASSERT_EQUAL(told_in_all(), 0);
    ael_session_release(session);
    fixture_end(&fix);
}

/* -- with a handler, and with none -- */

static void check_everywhere(void (*check)(bool handler)) {
    set_up(AEL_PROTECTION_STRICT);
    listen(hear);
    check(true);
    listen(NULL);
    check(false);
    end();
}

static void test_secret__corrupted_in_its_slot_is_told(void) {
    check_everywhere(check_slot_at_end);
    check_everywhere(check_slot_at_close);
    check_everywhere(check_slot_at_taking);
}

static void test_secret__corrupted_in_pages_of_its_own_is_told_once(void) {
    check_everywhere(check_own_pages);
}

static void test_scratch__corrupted_is_told(void) {
    check_everywhere(check_scratch);
}

static void test_roots__corrupted_are_told(void) {
    check_everywhere(check_root_page);
}

static void test_seal__corrupted_is_told(void) {
    check_everywhere(check_secret_seal);
    check_everywhere(check_swept_seal);
}

static void test_cached_key__corrupted_is_told_and_loaded_again(void) {
    check_everywhere(check_cached_key);
}

/* -- on whose thread, and when -- */

/* The warden ends the lease and finds it; it holds locks of its own when it does. */
static void test_lease__ended_by_the_warden_is_told_by_it(void) {
    set_up(AEL_PROTECTION_LEASED);
    listen(hear);
    struct ael_secret *secret = secret_of(LEN);
    struct ael_secret_access access;
    CU_ASSERT_EQUAL(ael_secret_access_begin(secret, &access), AEL_OK);
    overwrite(&secret->slot->pages, access.bytes.data - 1);
    CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_OK); /* the lease holds it still */
    while (told_in_all() == 0) {
        (void)sched_yield();
    }
    CU_ASSERT_EQUAL(atomic_load(&g_heard.told[AEL_CORRUPTION_SECRET_SLOT]), 1);
    CU_ASSERT_EQUAL(atomic_load(&g_heard.under_lock), 0);
    CU_ASSERT_FALSE(pthread_equal(g_heard.thread, pthread_self()));
    ael_secret_release(secret);
    listen(hear);
    end();
}

static void test_found__waits_until_the_last_mutex_is_free(void) {
    struct ael_mutex a;
    struct ael_mutex b;
    CU_ASSERT_EQUAL(ael_mutex_init(&a), AEL_OK);
    CU_ASSERT_EQUAL(ael_mutex_init(&b), AEL_OK);
    listen(hear);
    ael_mutex_lock(&a);
    ael_mutex_lock(&b);
    ael_corruption_found(AEL_CORRUPTION_SCRATCH);
    ael_corruption_found(AEL_CORRUPTION_SCRATCH);
    ael_corruption_found(AEL_CORRUPTION_KEY_SEAL);
    ael_mutex_unlock(&a);
    CU_ASSERT_EQUAL(told_in_all(), 0);
    ael_mutex_unlock(&b);
    CU_ASSERT_EQUAL(atomic_load(&g_heard.told[AEL_CORRUPTION_SCRATCH]), 2);
    CU_ASSERT_EQUAL(atomic_load(&g_heard.told[AEL_CORRUPTION_KEY_SEAL]), 1);
    CU_ASSERT_EQUAL(atomic_load(&g_heard.under_lock), 0);
    ael_mutex_lock(&a);
    ael_mutex_unlock(&a);
    CU_ASSERT_EQUAL(told_in_all(), 3);
    ael_mutex_clear(&a);
    ael_mutex_clear(&b);
    listen(hear);
    end();
}

/* -- what the host may do -- */

static void abort_at_once(void *context, enum ael_corruption what, const char *text) {
    (void)context;
    (void)what;
    (void)text;
    abort();
}

static int corrupt_scratch(void) {
    struct ael_scratch scratch;
    bool good = ael_scratch_begin(&scratch, NULL) == AEL_OK;
    *(volatile uint8_t *)(scratch.bytes - 1) ^= 1;
    return good && ael_scratch_end(&scratch) == AEL_E_CORRUPTED ? 0 : 1;
}

static int corrupt_scratch_and_abort(void) {
    listen(abort_at_once);
    return corrupt_scratch();
}

/* The library alone never does. */
static void test_handler__may_end_the_process(void) {
    CU_ASSERT_EQUAL(child_run(corrupt_scratch_and_abort), CHILD_KILLED + SIGABRT);
    CU_ASSERT_EQUAL(child_run(corrupt_scratch), 0);
}

/* A seal of a root key that is gone does not open; nobody overwrote anything. */
static void test_seal__of_a_forgotten_root_is_not_called_corrupted(void) {
    set_up(AEL_PROTECTION_STRICT);
    listen(hear);
    struct ael_secret *secret = secret_of(LEN);
    struct ael_secret_access access;
    ael_protected()->roots.numbers[ael_protected()->roots.current]++;
    CU_ASSERT_EQUAL(ael_secret_access_begin(secret, &access), AEL_E_CORRUPTED);
    CU_ASSERT_EQUAL(told_in_all(), 0);
    ael_secret_release(secret);
    end();
}

static const struct test_case k_cases[] = {
    {"a secret in its slot", test_secret__corrupted_in_its_slot_is_told},
    {"a secret in pages of its own", test_secret__corrupted_in_pages_of_its_own_is_told_once},
    {"scratch", test_scratch__corrupted_is_told},
    {"the root keys' page", test_roots__corrupted_are_told},
    {"a sealed secret", test_seal__corrupted_is_told},
    {"a cached key", test_cached_key__corrupted_is_told_and_loaded_again},
    {"found by the warden", test_lease__ended_by_the_warden_is_told_by_it},
    {"under no mutex", test_found__waits_until_the_last_mutex_is_free},
    {"a handler that aborts", test_handler__may_end_the_process},
    {"a root key that is gone", test_seal__of_a_forgotten_root_is_not_called_corrupted},
};

TEST_SUITE_MAIN("corruption", k_cases)
