/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "base/clock.h"
#include "securememory/protected.h"
#include "tests/support/child.h"
#include "tests/support/fixture.h"
#include "tests/support/scratch_slots.h"
#include "tests/support/soak.h"
#include "tests/support/suite.h"

#include <ael/memory.h>
#include <ael/secret.h>
#include <ael/sys/kms_backend.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

/* What 64 KiB of locked memory, the limit of many containers, must be enough for. Each case runs in a child of its own,
 * as a user to whom the limit applies; it returns 0, or the number of what went wrong. */

enum {
    LIMIT = 64 * 1024,
    SCOPERS = 64,
    ENCRYPTERS = 64,
    LEN = 32,
    ENCRYPTS_A_SECOND = 40, /* of the time that the test sets */
};

static atomic_uint g_wrong;
static atomic_uint g_running;

static void expect(bool good) {
    if (!good) {
        atomic_fetch_add(&g_wrong, 1);
    }
}

/* Locked memory as the kernel counts it, in bytes; 0 = it does not tell. */
static size_t kernels_locked_bytes(void) {
    char line[256];
    unsigned long kib = 0;
    FILE *status = fopen("/proc/self/status", "re");
    while (status != NULL && fgets(line, sizeof line, status) != NULL) {
        if (sscanf(line, "VmLck: %lu kB", &kib) == 1) {
            break;
        }
    }
    if (status != NULL) {
        (void)fclose(status);
    }
    return kib * 1024;
}

static struct ael_memory_stats stats_now(void) {
    struct ael_memory_stats stats = AEL_MEMORY_STATS_INIT;
    expect(ael_memory_stats(&stats) == AEL_OK);
    return stats;
}

static bool stays_within_the_limit(void) {
    size_t locked = kernels_locked_bytes();
    size_t told = stats_now().locked_bytes;
    return locked > 0 && locked <= LIMIT && told > 0 && told <= LIMIT;
}

static bool holds(const struct ael_secret_access *access, uint8_t letter) {
    bool good = access->bytes.len == LEN;
    for (size_t i = 0; i < access->bytes.len; i++) {
        good = good && access->bytes.data[i] == letter;
    }
    return good;
}

static struct ael_secret *secret_of(uint8_t letter) {
    uint8_t source[LEN];
    struct ael_secret *secret = NULL;
    memset(source, letter, sizeof source);
    expect(ael_secret_new(source, sizeof source, &secret) == AEL_OK);
    return secret;
}

/* ---- more scopes than slots, while others encrypt ---- */

static struct fixture g_fix;
static struct ael_session *g_session;
static atomic_uint g_opened;
static atomic_uint g_refused;
static int g_rounds;

/* Each of the two may be refused for want of a slot, and for nothing else. */
static bool begins(struct ael_secret *secret, struct ael_secret_access *access) {
    enum ael_status status = ael_secret_access_begin(secret, access);
    expect(status == AEL_OK || status == AEL_E_TIMEOUT);
    atomic_fetch_add(status == AEL_OK ? &g_opened : &g_refused, 1);
    return status == AEL_OK;
}

static void nest(struct ael_secret *outer, struct ael_secret *inner) {
    struct ael_secret_access first;
    struct ael_secret_access second;
    if (!begins(outer, &first)) {
        return;
    }
    if (begins(inner, &second)) {
        expect(holds(&second, 'i'));
        expect(ael_secret_access_end(&second) == AEL_OK);
    }
    expect(holds(&first, 'o'));
    expect(ael_secret_access_end(&first) == AEL_OK);
}

static void *use_two_scopes(void *context) {
    struct ael_secret *outer = secret_of('o');
    struct ael_secret *inner = secret_of('i');
    (void)context;
    for (int i = 0; i < g_rounds; i++) {
        nest(outer, inner);
    }
    ael_secret_release(outer);
    ael_secret_release(inner);
    atomic_fetch_sub(&g_running, 1);
    return NULL;
}

static void *encrypt(void *context) {
    (void)context;
    for (int i = 0; i < g_rounds; i++) {
        expect(fixture_encrypt(g_session, NULL) == AEL_OK);
    }
    atomic_fetch_sub(&g_running, 1);
    return NULL;
}

/* Time goes on with this thread's own encrypts, so that who waits in vain for a slot gives up. */
static void let_time_pass(void) {
    for (int i = 1; atomic_load(&g_running) != 0; i++) {
        expect(fixture_encrypt(g_session, NULL) == AEL_OK);
        if (i % ENCRYPTS_A_SECOND == 0) {
            ael_clock_advance_for_test(1);
            expect(stays_within_the_limit());
        }
    }
}

static bool run_all(void) {
    pthread_t threads[SCOPERS + ENCRYPTERS];
    atomic_store(&g_running, SCOPERS + ENCRYPTERS);
    for (size_t i = 0; i < SCOPERS + ENCRYPTERS; i++) {
        if (pthread_create(&threads[i], NULL, i % 2 == 0 ? use_two_scopes : encrypt, NULL) != 0) {
            return false;
        }
    }
    let_time_pass();
    for (size_t i = 0; i < SCOPERS + ENCRYPTERS; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    return true;
}

/* No slot was lost: afterwards all are to be had. */
static bool slots_are_whole(void) {
    struct ael_secret *secrets[64];
    struct ael_secret_access accesses[64];
    size_t slots = stats_now().secret_slots;
    bool good = slots >= 6 && slots <= 64 && stats_now().secret_slots_in_use == 0 &&
                stats_now().scratch_slots_in_use == 0;
    for (size_t i = 0; good && i < slots; i++) {
        secrets[i] = secret_of('w');
        good = ael_secret_access_begin(secrets[i], &accesses[i]) == AEL_OK && holds(&accesses[i], 'w');
    }
    for (size_t i = 0; good && i < slots; i++) {
        good = ael_secret_access_end(&accesses[i]) == AEL_OK;
        ael_secret_release(secrets[i]);
    }
    return good;
}

static int scopes_and_encrypts(void) {
    g_rounds = soak_count(20, 500);
    fixture_begin(&g_fix);
    g_session = fixture_session(&g_fix, "p");
    if (!run_all() || atomic_load(&g_wrong) != 0) {
        return 1;
    }
    if (atomic_load(&g_opened) < SCOPERS) {
        return 2;
    }
    if (!slots_are_whole() || !stays_within_the_limit() || atomic_load(&g_wrong) != 0) {
        return 3;
    }
    ael_session_release(g_session);
    fixture_end(&g_fix);
    return ael_shutdown(0) == AEL_OK ? 0 : 4;
}

static void test_slots__64_threads_in_two_scopes_while_64_encrypt(void) {
    CU_ASSERT_EQUAL(child_run_with_lock_limit(LIMIT, scopes_and_encrypts), 0);
}

/* ---- who waits for a slot gets it in turn ---- */

enum { QUEUE = 6 };

static struct ael_secret *g_queued[QUEUE];
static unsigned g_order[QUEUE];
static atomic_uint g_served;

struct waiting {
    pthread_t thread;
    unsigned number;
};

static void *wait_for_a_slot(void *context) {
    const struct waiting *self = context;
    struct ael_secret_access access;
    expect(ael_secret_access_begin(g_queued[self->number], &access) == AEL_OK);
    g_order[atomic_fetch_add(&g_served, 1)] = self->number;
    expect(ael_secret_access_end(&access) == AEL_OK);
    return NULL;
}

static void *wait_for_scratch(void *context) {
    const struct waiting *self = context;
    struct ael_scratch scratch;
    expect(ael_scratch_begin(&scratch, NULL) == AEL_OK);
    g_order[atomic_fetch_add(&g_served, 1)] = self->number;
    expect(ael_scratch_end(&scratch) == AEL_OK);
    return NULL;
}

static const void *last_in(const struct ael_waiters *waiters, struct ael_mutex *lock) {
    ael_mutex_lock(lock);
    const void *last = waiters->last;
    ael_mutex_unlock(lock);
    return last;
}

/* Returns when it stands in the queue. */
static void start_and_see_waiting(
    struct waiting *one, void *(*wait)(void *), const struct ael_waiters *waiters, struct ael_mutex *lock) {
    const void *before = last_in(waiters, lock);
    expect(pthread_create(&one->thread, NULL, wait, one) == 0);
    while (last_in(waiters, lock) == before) {
        (void)sched_yield();
    }
}

static void queue_up(
    struct waiting *all, void *(*wait)(void *), const struct ael_waiters *waiters, struct ael_mutex *lock) {
    atomic_store(&g_served, 0);
    for (unsigned i = 0; i < QUEUE; i++) {
        all[i].number = i;
        start_and_see_waiting(&all[i], wait, waiters, lock);
    }
}

static void check_order(struct waiting *all) {
    for (unsigned i = 0; i < QUEUE; i++) {
        (void)pthread_join(all[i].thread, NULL);
    }
    CU_ASSERT_EQUAL(atomic_load(&g_served), QUEUE);
    for (unsigned i = 0; i < QUEUE; i++) {
        CU_ASSERT_EQUAL(g_order[i], i);
    }
    CU_ASSERT_EQUAL(atomic_load(&g_wrong), 0);
}

static void test_slots__are_given_in_the_order_of_asking(void) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    struct ael_secret_access held;
    struct waiting all[QUEUE];
    options.secret_slots = 1;
    CU_ASSERT_EQUAL_FATAL(ael_shutdown(1000), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_memory_configure(&options, NULL), AEL_OK);
    struct ael_secret *first = secret_of('f');
    for (size_t i = 0; i < QUEUE; i++) {
        g_queued[i] = secret_of('q');
    }
    CU_ASSERT_EQUAL(ael_secret_access_begin(first, &held), AEL_OK);
    struct ael_secret_slots *slots = &ael_protected()->slots;
    queue_up(all, wait_for_a_slot, &slots->waiters, &slots->lock);
    CU_ASSERT_EQUAL(ael_secret_access_end(&held), AEL_OK);
    check_order(all);
    for (size_t i = 0; i < QUEUE; i++) {
        ael_secret_release(g_queued[i]);
    }
    ael_secret_release(first);
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_OK);
}

static void test_scratch__is_given_in_the_order_of_asking(void) {
    struct ael_scratch held[AEL_SCRATCH_SLOTS_MOST];
    struct waiting all[QUEUE];
    uint32_t slots = scratch_slots();
    for (size_t i = 0; i < slots; i++) {
        CU_ASSERT_EQUAL(ael_scratch_begin(&held[i], NULL), AEL_OK);
    }
    struct ael_scratch_pool *pool = &ael_protected()->scratch;
    queue_up(all, wait_for_scratch, &pool->waiters, &pool->lock);
    CU_ASSERT_EQUAL(ael_scratch_end(&held[0]), AEL_OK);
    check_order(all);
    for (size_t i = 1; i < slots; i++) {
        CU_ASSERT_EQUAL(ael_scratch_end(&held[i]), AEL_OK);
    }
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_OK);
}

/* At the deadline, and with nothing open afterwards. */
static void test_slots__that_do_not_come_free_are_a_status(void) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    struct ael_scratch all[AEL_SCRATCH_SLOTS_MOST];
    struct ael_scratch scratch;
    struct ael_call call = AEL_CALL_INIT;
    options.secret_slots = 1;
    CU_ASSERT_EQUAL_FATAL(ael_memory_configure(&options, NULL), AEL_OK);
    call.deadline_ns = 1;
    uint32_t count = scratch_slots();
    for (size_t i = 0; i < count; i++) {
        CU_ASSERT_EQUAL(ael_scratch_begin(&all[i], NULL), AEL_OK);
    }
    CU_ASSERT_EQUAL(ael_scratch_begin(&scratch, &call), AEL_E_TIMEOUT);
    CU_ASSERT_PTR_NULL(scratch.bytes);
    for (size_t i = 0; i < count; i++) {
        CU_ASSERT_EQUAL(ael_scratch_end(&all[i]), AEL_OK);
    }
    struct ael_secret_slot *taken = NULL;
    struct ael_secret_slot *none = NULL;
    struct ael_secret_slots *slots = &ael_protected()->slots;
    CU_ASSERT_EQUAL(ael_secret_slots_take(slots, 1, &taken), AEL_OK);
    CU_ASSERT_EQUAL(ael_secret_slots_take(slots, 1, &none), AEL_E_TIMEOUT);
    CU_ASSERT_PTR_NULL(none);
    ael_secret_slots_discard(slots, taken);
    CU_ASSERT_EQUAL(stats_now().secret_slots_in_use, 0);
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_OK);
}

/* ---- what is kept for backends ---- */

static struct ael_secret *g_wrapping;

static enum ael_status open_a_third(void *context, struct ael_bytes bytes) {
    struct ael_secret_slot *none = NULL;
    (void)context;
    CU_ASSERT_EQUAL(bytes.len, LEN);
    CU_ASSERT_EQUAL(stats_now().secret_slots_in_use, 3);
    CU_ASSERT_EQUAL(ael_secret_slots_take(&ael_protected()->slots, 1, &none), AEL_E_TIMEOUT);
    return AEL_OK;
}

static enum ael_status open_the_wrapping_key(void *context, struct ael_bytes bytes) {
    CU_ASSERT_EQUAL(ael_buf_append(context, bytes), AEL_OK);
    return ael_secret_with_bytes(g_wrapping, open_a_third, NULL);
}

static enum ael_status wrap_key(
    void *self,
    const struct ael_call *call,
    struct ael_secret *key,
    struct ael_buf *out,
    struct ael_error *err) {
    (void)self;
    (void)call;
    (void)err;
    return ael_secret_with_bytes(key, open_the_wrapping_key, out);
}

static enum ael_status unwrap_key(
    void *self,
    const struct ael_call *call,
    struct ael_bytes encrypted,
    struct ael_secret **key,
    struct ael_error *err) {
    (void)self;
    (void)call;
    (void)encrypted;
    (void)err;
    *key = secret_of('k');
    return ael_secret_with_bytes(*key, open_a_third, NULL) == AEL_OK ? AEL_E_KMS : AEL_E_TIMEOUT;
}

static const struct ael_kms_vtable k_nesting = {
    .vt_size = sizeof k_nesting,
    .contract = AEL_KMS_CONTRACT,
    .name = "nesting",
    .encrypt_key = wrap_key,
    .decrypt_key = unwrap_key,
};

static void encrypt_a_key_while_slots_are_held(enum ael_protection_level level) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    struct ael_buf out = AEL_BUF_INIT;
    struct ael_secret_access held;
    struct ael_secret_slot *none = NULL;
    struct ael_kms *kms = NULL;
    options.secret_slots = 1;
    options.level = level;
    CU_ASSERT_EQUAL_FATAL(ael_memory_configure(&options, NULL), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_kms_new(&k_nesting, NULL, &kms), AEL_OK);
    struct ael_secret *users = secret_of('u');
    struct ael_secret *key = secret_of('k');
    g_wrapping = secret_of('w');
    CU_ASSERT_EQUAL(ael_secret_access_begin(users, &held), AEL_OK);
    CU_ASSERT_EQUAL(stats_now().secret_slots, 1);
    for (int i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(ael_kms_encrypt_key(kms, NULL, key, &out, NULL), AEL_OK);
        CU_ASSERT_EQUAL(ael_secret_slots_take(&ael_protected()->slots, 1, &none), AEL_E_TIMEOUT);
    }
    CU_ASSERT_EQUAL(ael_secret_access_end(&held), AEL_OK);
    ael_buf_clear(&out);
    ael_secret_release(users);
    ael_secret_release(key);
    ael_secret_release(g_wrapping);
    ael_kms_release(kms);
    CU_ASSERT_EQUAL(stats_now().secret_slots_filled, 0);
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_OK);
}

/* The host's threads have all slots; a backend still opens a key and the one that wraps it, and they still wait. */
static void test_slots__are_kept_for_backends(void) {
    encrypt_a_key_while_slots_are_held(AEL_PROTECTION_STRICT);
    encrypt_a_key_while_slots_are_held(AEL_PROTECTION_LEASED);
}

/* ---- several backends at once ---- */

enum { BACKENDS = 4, CALLS_EACH = 10, YIELDS = 2000 };

struct backend {
    pthread_t thread;
    struct ael_secret *key;
    struct ael_secret *wrapping;
};

static struct backend g_backends[BACKENDS];
static struct ael_kms *g_slow;
static struct ael_secret *g_users;

static enum ael_status read_it(void *context, struct ael_bytes bytes) {
    expect(bytes.len == LEN);
    return ael_buf_append(context, bytes);
}

struct wrapping {
    struct ael_buf *out;
    struct ael_secret *key;
};

/* So long that others have begun meanwhile. */
static enum ael_status wrap_slowly(void *context, struct ael_bytes bytes) {
    const struct wrapping *wrapping = context;
    expect(bytes.len == LEN);
    for (int i = 0; i < YIELDS; i++) {
        (void)sched_yield();
    }
    return ael_secret_with_bytes(wrapping->key, read_it, wrapping->out);
}

static enum ael_status wrap_key_slowly(
    void *self,
    const struct ael_call *call,
    struct ael_secret *key,
    struct ael_buf *out,
    struct ael_error *err) {
    struct wrapping wrapping = {out, NULL};
    (void)self;
    (void)call;
    (void)err;
    for (int i = 0; i < BACKENDS; i++) {
        wrapping.key = g_backends[i].key == key ? g_backends[i].wrapping : wrapping.key;
    }
    return ael_secret_with_bytes(key, wrap_slowly, &wrapping);
}

static const struct ael_kms_vtable k_slow = {
    .vt_size = sizeof k_slow,
    .contract = AEL_KMS_CONTRACT,
    .name = "slow",
    .encrypt_key = wrap_key_slowly,
    .decrypt_key = unwrap_key,
};

/* In a scope of the host's, as all who hold the slots are. */
static void *encrypt_keys(void *context) {
    const struct backend *backend = context;
    struct ael_secret_access held;
    expect(ael_secret_access_begin(g_users, &held) == AEL_OK);
    for (int i = 0; i < CALLS_EACH; i++) {
        struct ael_buf out = AEL_BUF_INIT;
        expect(ael_kms_encrypt_key(g_slow, NULL, backend->key, &out, NULL) == AEL_OK);
        ael_buf_clear(&out);
    }
    expect(ael_secret_access_end(&held) == AEL_OK);
    return NULL;
}

static void encrypt_keys_while_slots_are_held(enum ael_protection_level level) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    struct ael_secret_access held;
    options.secret_slots = 1;
    options.level = level;
    atomic_store(&g_wrong, 0);
    CU_ASSERT_EQUAL_FATAL(ael_memory_configure(&options, NULL), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_kms_new(&k_slow, NULL, &g_slow), AEL_OK);
    g_users = secret_of('u');
    for (int i = 0; i < BACKENDS; i++) {
        g_backends[i].key = secret_of('k');
        g_backends[i].wrapping = i % 2 == 0 ? secret_of('w') : ael_secret_acquire(g_backends[i - 1].wrapping);
    }
    CU_ASSERT_EQUAL(ael_secret_access_begin(g_users, &held), AEL_OK);
    for (int i = 0; i < BACKENDS; i++) {
        CU_ASSERT_EQUAL_FATAL(pthread_create(&g_backends[i].thread, NULL, encrypt_keys, &g_backends[i]), 0);
    }
    for (int i = 0; i < BACKENDS; i++) {
        (void)pthread_join(g_backends[i].thread, NULL);
        ael_secret_release(g_backends[i].key);
        ael_secret_release(g_backends[i].wrapping);
    }
    CU_ASSERT_EQUAL(ael_secret_access_end(&held), AEL_OK);
    ael_secret_release(g_users);
    ael_kms_release(g_slow);
    CU_ASSERT_EQUAL(stats_now().secret_slots_filled, 0);
    CU_ASSERT_EQUAL(atomic_load(&g_wrong), 0);
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_OK);
}

/* None holds one kept slot and waits for the other, which another one holds. */
static void test_slots__are_kept_for_backends_by_twos(void) {
    encrypt_keys_while_slots_are_held(AEL_PROTECTION_STRICT);
    encrypt_keys_while_slots_are_held(AEL_PROTECTION_LEASED);
}

static void *wait_in_a_backend(void *context) {
    bool before = ael_secret_slots_enter_edge();
    void *result = wait_for_a_slot(context);
    ael_secret_slots_leave_edge(before);
    return result;
}

static void take_all(struct ael_secret_slot **taken, size_t count) {
    for (size_t i = 0; i < count; i++) {
        CU_ASSERT_EQUAL(ael_secret_slots_take(&ael_protected()->slots, 1, &taken[i]), AEL_OK);
    }
}

/* A slot that comes free goes to a backend, though others have waited longer. */
static void test_slots__go_to_backends_first(void) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    struct ael_secret_slot
        *taken[2]; /* the second is kept for edges; the other kept one is for what is opened inside */
    struct waiting host = {.number = 0};
    struct waiting backend = {.number = 1};
    options.secret_slots = 1;
    CU_ASSERT_EQUAL_FATAL(ael_memory_configure(&options, NULL), AEL_OK);
    g_queued[0] = secret_of('q');
    g_queued[1] = secret_of('q');
    struct ael_secret_slots *slots = &ael_protected()->slots;
    bool before = ael_secret_slots_enter_edge();
    take_all(taken, 2);
    ael_secret_slots_leave_edge(before);
    atomic_store(&g_served, 0);
    start_and_see_waiting(&host, wait_for_a_slot, &slots->waiters, &slots->lock);
    start_and_see_waiting(&backend, wait_in_a_backend, &slots->waiters_in_edges, &slots->lock);
    ael_secret_slots_discard(slots, taken[0]);
    (void)pthread_join(backend.thread, NULL);
    (void)pthread_join(host.thread, NULL);
    CU_ASSERT_EQUAL(g_order[0], 1);
    CU_ASSERT_EQUAL(g_order[1], 0);
    ael_secret_slots_discard(slots, taken[1]);
    ael_secret_release(g_queued[0]);
    ael_secret_release(g_queued[1]);
    CU_ASSERT_EQUAL(stats_now().secret_slots_in_use, 0);
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_OK);
}

/* ---- very many secrets and keys ---- */

static size_t how_many(void) {
    return (size_t)soak_count(100000, 1000000);
}

static const struct ael_key_binding k_binding = {1, 3, 4, AEL_KEY_KIND_INTERMEDIATE, 5};

static bool makes_all(struct ael_secret **secrets, struct ael_sealed_key *keys, size_t count) {
    uint8_t key[AEL_KEY_BYTES] = {0};
    for (size_t i = 0; i < count; i++) {
        secrets[i] = secret_of((uint8_t)i);
        memcpy(key, &i, sizeof i);
        if (secrets[i] == NULL || ael_sealed_key_make(key, &k_binding, &keys[i]) != AEL_OK) {
            return false;
        }
    }
    return true;
}

static bool secret_is(struct ael_secret *secret, uint8_t letter) {
    uint8_t copy[LEN];
    bool good = ael_secret_open_into(secret, copy, sizeof copy) == AEL_OK;
    for (size_t i = 0; i < sizeof copy; i++) {
        good = good && copy[i] == letter;
    }
    return good;
}

static bool reads_as(struct ael_secret *secret, uint8_t letter) {
    struct ael_secret_access access;
    bool good = ael_secret_access_begin(secret, &access) == AEL_OK && holds(&access, letter);
    return ael_secret_access_end(&access) == AEL_OK && good;
}

static bool key_is(const struct ael_sealed_key *sealed, size_t number) {
    uint8_t key[AEL_KEY_BYTES];
    return ael_sealed_key_open(sealed, &k_binding, key) == AEL_OK && memcmp(key, &number, sizeof number) == 0;
}

/* Each opens, one in ten also in a slot. */
static bool opens_all(struct ael_secret **secrets, const struct ael_sealed_key *keys, size_t count) {
    bool good = true;
    for (size_t i = 0; i < count && good; i++) {
        good = secret_is(secrets[i], (uint8_t)i) && key_is(&keys[i], i);
        good = good && (i % 10 != 0 || reads_as(secrets[i], (uint8_t)i));
    }
    return good;
}

static void drop_all(struct ael_secret **secrets, struct ael_sealed_key *keys, size_t count) {
    for (size_t i = 0; i < count; i++) {
        ael_secret_release(secrets[i]);
        ael_sealed_key_drop(&keys[i]);
    }
    ael_free(secrets);
    ael_free(keys);
}

static int very_many(uint64_t rekey_seals) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    size_t count = how_many();
    struct ael_secret **secrets = ael_alloc_array(count, sizeof(struct ael_secret *));
    struct ael_sealed_key *keys = ael_alloc_array(count, sizeof *keys);
    options.rekey_seals = rekey_seals;
    if (secrets == NULL || keys == NULL || ael_memory_configure(&options, NULL) != AEL_OK) {
        return 1;
    }
    if (!makes_all(secrets, keys, count)) {
        return 2;
    }
    if (!stays_within_the_limit() || stats_now().sealed != 2 * count || stats_now().secrets_in_use != count) {
        return 3;
    }
    if (!opens_all(secrets, keys, count)) {
        return 4;
    }
    if (!stays_within_the_limit() || (rekey_seals != 0) != (stats_now().rekeys != 0)) {
        return 5;
    }
    drop_all(secrets, keys, count);
    return stats_now().sealed == 0 && ael_shutdown(0) == AEL_OK && atomic_load(&g_wrong) == 0 ? 0 : 6;
}

static int very_many_under_one_root(void) {
    return very_many(0);
}

/* More roots than the page has places. */
static int very_many_under_many_roots(void) {
    return very_many(how_many() / 10);
}

static void test_seals__very_many_secrets_and_keys(void) {
    CU_ASSERT_EQUAL(child_run_with_lock_limit(LIMIT, very_many_under_one_root), 0);
}

static void test_seals__very_many_secrets_and_keys_through_re_keys(void) {
    CU_ASSERT_EQUAL(child_run_with_lock_limit(LIMIT, very_many_under_many_roots), 0);
}

/* ---- random secrets that are longer than scratch ---- */

enum { MAKERS = 4, LONG_LEN = 4000, LOOKS = 20 };

static void *make_long_secrets(void *context) {
    const int *rounds = context;
    for (int i = 0; i < *rounds; i++) {
        struct ael_secret *secret = NULL;
        expect(ael_secret_new_random(i % 2 == 0 ? LONG_LEN : LONG_LEN / 2, &secret) == AEL_OK);
        ael_secret_release(secret);
    }
    return NULL;
}

/* The host's own memory comes and goes beside pages that cannot be locked. */
static void *map_beside(void *context) {
    const atomic_bool *over = context;
    while (!atomic_load(over)) {
        char *bytes = mmap(NULL, LONG_LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        expect(bytes != MAP_FAILED);
        if (bytes != MAP_FAILED) {
            for (int i = 0; i < LOOKS; i++) {
                ((volatile char *)bytes)[i] = 'h'; /* ends the process when it is gone */
                (void)sched_yield();
            }
            (void)munmap(bytes, LONG_LEN);
        }
    }
    return NULL;
}

/* Whether or not the library, or the host, has locked the last page. */
static int long_random_secrets(enum ael_protection_level level, size_t slots) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    pthread_t threads[MAKERS];
    pthread_t beside;
    atomic_bool over = false;
    int rounds = soak_count(200, 5000);
    options.level = level;
    options.secret_slots = slots;
    if (ael_memory_configure(&options, NULL) != AEL_OK) {
        return 1;
    }
    if (pthread_create(&beside, NULL, map_beside, &over) != 0) {
        return 2;
    }
    for (int i = 0; i < MAKERS; i++) {
        if (pthread_create(&threads[i], NULL, make_long_secrets, &rounds) != 0) {
            return 2;
        }
    }
    for (int i = 0; i < MAKERS; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    atomic_store(&over, true);
    (void)pthread_join(beside, NULL);
    expect(stays_within_the_limit());
    expect(stats_now().secret_slots_in_use == 0 && stats_now().secrets_in_use == 0);
    return atomic_load(&g_wrong) == 0 && ael_shutdown(1000) == AEL_OK ? 0 : 3;
}

static int long_random_secrets_at_strict(void) {
    return long_random_secrets(AEL_PROTECTION_STRICT, 0);
}

static int long_random_secrets_at_leased(void) {
    return long_random_secrets(AEL_PROTECTION_LEASED, 0);
}

static int long_random_secrets_in_all_pages(void) {
    return long_random_secrets(AEL_PROTECTION_STRICT, AEL_SCRATCH_LEAST_BYTES > 4 * 4096 ? 7 : 8);
}

static void test_secrets__that_are_long_and_random_need_no_page_more(void) {
    CU_ASSERT_EQUAL(child_run_with_lock_limit(LIMIT, long_random_secrets_at_strict), 0);
    CU_ASSERT_EQUAL(child_run_with_lock_limit(LIMIT, long_random_secrets_at_leased), 0);
    CU_ASSERT_EQUAL(child_run_with_lock_limit(LIMIT, long_random_secrets_in_all_pages), 0);
}

static const struct test_case k_cases[] = {
    {"scopes and encrypts", test_slots__64_threads_in_two_scopes_while_64_encrypt},
    {"slots in order", test_slots__are_given_in_the_order_of_asking},
    {"scratch in order", test_scratch__is_given_in_the_order_of_asking},
    {"slots for backends", test_slots__are_kept_for_backends},
    {"several backends", test_slots__are_kept_for_backends_by_twos},
    {"backends first", test_slots__go_to_backends_first},
    {"no slots", test_slots__that_do_not_come_free_are_a_status},
    {"long and random", test_secrets__that_are_long_and_random_need_no_page_more},
    {"very many", test_seals__very_many_secrets_and_keys},
    {"very many, through re-keys", test_seals__very_many_secrets_and_keys_through_re_keys},
};

TEST_SUITE_MAIN("locked_limit", k_cases)
