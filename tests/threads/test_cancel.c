/*
 * test_cancel.c - pthread_cancel (deferred) takes effect in no call of the library: a call under way is
 * finished, so a cancelled thread leaves no lock held, no region open and no count wrong.
 *
 * Two ways: a thread that is cancelled already does one thing, which any point of cancellation inside would cut
 * short; and threads that do things in turn are cancelled from outside, at whatever moment.
 *
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/clock.h"
#include "base/sync.h"
#include "securememory/protected.h"
#include "tests/support/suite.h"

#include <ael/call.h>
#include <ael/memory.h>
#include <ael/secret.h>
#include <ael/session_batch.h>
#include <ael/session_try.h>

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LEN = 32, LARGE = 5000, THREADS = 4, SLOTS = 4, PATIENCE_MS = 5000 };

/* What the threads work on. */
static struct ael_secret *g_small;
static struct ael_secret *g_large;
static struct ael_session_factory *g_factory;
static struct ael_session *g_session;
static char g_key_path[] = "/tmp/ael-cancel-XXXXXX";

static struct ael_secret *secret_of(size_t len) {
    uint8_t source[LARGE];
    struct ael_secret *secret = NULL;
    memset(source, 's', sizeof source);
    return ael_secret_new(source, len, &secret) == AEL_OK ? secret : NULL;
}

/* -- what a thread does -- */

static bool access_to(struct ael_secret *secret) {
    struct ael_secret_access outer;
    struct ael_secret_access inner;
    if (ael_secret_access_begin(secret, &outer) != AEL_OK) {
        return false;
    }
    bool good = ael_secret_access_begin(secret, &inner) == AEL_OK && inner.bytes.data[LEN - 1] == 's' &&
                ael_secret_access_end(&inner) == AEL_OK;
    return ael_secret_access_end(&outer) == AEL_OK && good;
}

static bool do_access(void) {
    return access_to(g_small) && access_to(g_large);
}

static bool make_and_drop(enum ael_status status, struct ael_secret *secret) {
    bool good = status == AEL_OK && ael_secret_close(secret) == AEL_OK;
    ael_secret_release(secret);
    return good;
}

static bool make_random(size_t len) {
    struct ael_secret *secret = NULL;
    enum ael_status status = ael_secret_new_random(len, &secret);
    return make_and_drop(status, secret);
}

static bool do_create(void) {
    struct ael_secret *small = secret_of(LEN);
    struct ael_secret *large = secret_of(LARGE);
    bool good = access_to(small);
    good = make_and_drop(AEL_OK, small) && good;
    good = make_and_drop(AEL_OK, large) && good;
    return make_random(LEN) && make_random(2000) && make_random(LARGE) && good;
}

static bool do_read(void) {
    struct ael_secret_reader *reader = NULL;
    uint8_t out[LEN / 2];
    size_t n = 0;
    if (ael_secret_reader_new(g_small, &reader) != AEL_OK) {
        return false;
    }
    bool good = ael_secret_reader_read(reader, out, sizeof out, &n) == AEL_OK && out[0] == 's' &&
                ael_secret_reader_read(reader, out, sizeof out, &n) == AEL_EOF;
    ael_secret_reader_free(reader);
    return good;
}

static bool do_encrypt(void) {
    static const uint8_t k_plain[100] = {1, 2, 3};
    struct ael_record_buf record = AEL_RECORD_BUF_INIT;
    struct ael_buf plain = AEL_BUF_INIT;
    struct ael_bytes bytes = {k_plain, sizeof k_plain};
    bool good = ael_session_encrypt(g_session, bytes, &record, NULL, NULL) == AEL_OK &&
                ael_session_decrypt(g_session, &record.record, &plain, NULL, NULL) == AEL_OK &&
                plain.len == sizeof k_plain && memcmp(plain.data, k_plain, sizeof k_plain) == 0;
    ael_buf_clear(&plain);
    ael_record_buf_clear(&record);
    return good;
}

/* A whole life: key file, factory, session, and keys that are made and stored. */
static bool do_session(void) {
    struct ael_session_factory_options options = AEL_SESSION_FACTORY_OPTIONS_INIT;
    struct ael_session_factory *factory = NULL;
    struct ael_session *session = NULL;
    options.service = "cancel";
    options.product = "test";
    bool good = ael_kms_static_from_file(g_key_path, 0, &options.kms, NULL) == AEL_OK &&
                ael_metastore_memory_new(&options.metastore) == AEL_OK &&
                ael_session_factory_new(&options, &factory, NULL) == AEL_OK &&
                ael_session_acquire(factory, "p", &session, NULL) == AEL_OK;
    struct ael_session *shared = g_session;
    g_session = session;
    good = good && do_encrypt();
    g_session = shared;
    ael_session_release(session);
    ael_session_factory_free(factory);
    ael_metastore_release(options.metastore);
    ael_kms_release(options.kms);
    return good;
}

static bool do_batch(void) {
    static const uint8_t k_plain[100] = {1, 2, 3};
    struct ael_buf json = AEL_BUF_INIT;
    struct ael_buf plain = AEL_BUF_INIT;
    struct ael_encrypt_json_item seal = {g_session, {k_plain, sizeof k_plain}, &json, AEL_E_BUSY};
    bool good = ael_batch_encrypt_json(&seal, 1, NULL, NULL) == AEL_OK;
    struct ael_decrypt_json_item open = {g_session, ael_buf_view(&json), &plain, AEL_E_BUSY};
    good = good && ael_batch_decrypt_json(&open, 1, NULL, NULL) == AEL_OK && plain.len == sizeof k_plain;
    ael_buf_clear(&json);
    ael_buf_clear(&plain);
    return good;
}

/* Of a partition that nobody has asked for: threads begin, and a descriptor is made, raised and closed. */
static bool do_try(void) {
    static atomic_uint s_partitions;
    struct ael_wait_options options = AEL_WAIT_OPTIONS_INIT;
    struct ael_record_buf record = AEL_RECORD_BUF_INIT;
    struct ael_session *session = NULL;
    struct ael_wait *wait = NULL;
    char name[32];
    struct ael_bytes text = ael_bytes_from_text("text");
    snprintf(name, sizeof name, "tried-%u", atomic_fetch_add(&s_partitions, 1));
    bool good = ael_session_acquire(g_factory, name, &session, NULL) == AEL_OK &&
                ael_wait_queue_new(&options.queue) == AEL_OK && ael_wait_new(&options, &wait) == AEL_OK &&
                ael_session_try_encrypt(session, text, &record, NULL, wait, NULL) == AEL_E_WOULD_BLOCK;
    while (good && !ael_wait_queue_next(options.queue, NULL, NULL, NULL)) {
        sched_yield();
    }
    good = good && ael_session_try_encrypt(session, text, &record, NULL, wait, NULL) == AEL_OK;
    ael_record_buf_clear(&record);
    ael_wait_free(wait);
    ael_wait_queue_free(options.queue);
    ael_session_release(session);
    return good;
}

/* Everything anew: the calls of set-up, seeding included. */
static bool do_set_up(void) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    options.secret_slots = SLOTS;
    return ael_shutdown(1000) == AEL_OK && ael_memory_configure(&options, NULL) == AEL_OK &&
           make_random(LEN) && make_random(LARGE);
}

/* -- what must hold when threads are gone -- */

static bool is_inaccessible(const struct ael_pages *pages) {
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];
    bool closed = false;
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        uintptr_t start = 0;
        uintptr_t end = 0;
        char flags[8] = "";
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %7s", &start, &end, flags) == 3 &&
            start <= (uintptr_t)pages->bytes && (uintptr_t)pages->bytes < end) {
            closed = strncmp(flags, "---", 3) == 0;
        }
    }
    if (maps != NULL) {
        (void)fclose(maps);
    }
    return closed;
}

/* At once, or as soon as a lease is over; a region that a lost thread left open never is. */
static bool gets_inaccessible(const struct ael_pages *pages) {
    int64_t deadline_ns = ael_deadline_in_ms(PATIENCE_MS);
    bool closed = is_inaccessible(pages);
    while (!closed && ael_clock_boot_ns() < deadline_ns) {
        (void)sched_yield();
        closed = is_inaccessible(pages);
    }
    return closed;
}

static bool is_free(struct ael_mutex *mutex) {
    bool was_free = pthread_mutex_trylock(&mutex->native) == 0;
    if (was_free) {
        (void)pthread_mutex_unlock(&mutex->native);
    }
    return was_free;
}

static void check_nothing_is_held(void) {
    struct ael_protected *memory = ael_protected();
    CU_ASSERT_TRUE(is_free(&memory->scratch.lock));
    CU_ASSERT_TRUE(is_free(&memory->slots.lock));
    CU_ASSERT_TRUE(is_free(&memory->large.lock));
    for (size_t i = 0; i < AEL_GENERATOR_SHARDS; i++) {
        CU_ASSERT_FALSE(atomic_load(&memory->generator.shards[i].busy));
    }
    CU_ASSERT_TRUE(gets_inaccessible(&memory->roots.region.pages));
    CU_ASSERT_TRUE(gets_inaccessible(&memory->scratch.region.pages));
    CU_ASSERT_TRUE(gets_inaccessible(&memory->generator.region.pages));
    for (size_t i = 0; i < memory->slots.count; i++) {
        CU_ASSERT_TRUE(gets_inaccessible(&memory->slots.slots[i].pages));
    }
}

static struct ael_memory_stats stats_now(void) {
    struct ael_memory_stats stats = AEL_MEMORY_STATS_INIT;
    CU_ASSERT_EQUAL(ael_memory_stats(&stats), AEL_OK);
    return stats;
}

static void check_counts(uint64_t secrets, size_t large) {
    struct ael_memory_stats stats = stats_now();
    CU_ASSERT_EQUAL(stats.secrets_in_use, secrets);
    CU_ASSERT_EQUAL(stats.large_regions, large);
    CU_ASSERT_EQUAL(stats.secret_slots_in_use, 0);
    CU_ASSERT_EQUAL(stats.scratch_slots_in_use, 0);
}

/* -- a thread that is cancelled already -- */

struct doomed {
    bool (*act)(void);
    bool finished;
    bool good;
};

static void *act_when_cancelled(void *context) {
    struct doomed *doomed = context;
    (void)pthread_cancel(pthread_self());
    doomed->good = doomed->act();
    doomed->finished = true;
    pthread_testcancel();
    return NULL;
}

static void check_act(bool (*act)(void)) {
    struct doomed doomed = {act, false, false};
    pthread_t thread;
    void *result = NULL;
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, act_when_cancelled, &doomed), 0);
    (void)pthread_join(thread, &result);
    CU_ASSERT_PTR_EQUAL(result, PTHREAD_CANCELED); /* put off, not lost */
    CU_ASSERT_TRUE(doomed.finished);
    CU_ASSERT_TRUE(doomed.good);
    check_nothing_is_held();
}

/* First, so that OpenSSL and libsodium are started by a cancelled thread, too. */
static void test_cancel__cuts_no_first_use_short(void) {
    uint64_t secrets = stats_now().secrets_in_use;
    check_act(do_session);
    check_counts(secrets, 0);
}

static void test_cancel__cuts_no_set_up_short(void) {
    uint64_t secrets = stats_now().secrets_in_use;
    check_act(do_set_up);
    check_act(do_set_up);
    check_counts(secrets, 0);
}

/* -- fixture of the rest -- */

static void begin(void) {
    struct ael_session_factory_options options = AEL_SESSION_FACTORY_OPTIONS_INIT;
    uint8_t key[LEN] = {7};
    CU_ASSERT_TRUE_FATAL(do_set_up());
    options.service = "cancel";
    options.product = "test";
    g_small = secret_of(LEN);
    g_large = secret_of(LARGE);
    CU_ASSERT_EQUAL_FATAL(ael_kms_static_from_bytes(key, sizeof key, &options.kms, NULL), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_metastore_memory_new(&options.metastore), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_session_factory_new(&options, &g_factory, NULL), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_session_acquire(g_factory, "p", &g_session, NULL), AEL_OK);
    CU_ASSERT_TRUE(do_encrypt());
    ael_kms_release(options.kms);
    ael_metastore_release(options.metastore);
}

static void end(void) {
    ael_session_release(g_session);
    ael_session_factory_free(g_factory);
    CU_ASSERT_EQUAL(ael_secret_close(g_small), AEL_OK);
    CU_ASSERT_EQUAL(ael_secret_close(g_large), AEL_OK);
    ael_secret_release(g_small);
    ael_secret_release(g_large);
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_OK); /* nobody is inside any more */
}

static void test_cancel__cuts_no_call_short(void) {
    static bool (*const k_acts[])(void) = {do_access, do_create, do_read, do_encrypt, do_session, do_batch, do_try};
    begin();
    uint64_t secrets = stats_now().secrets_in_use;
    for (size_t i = 0; i < sizeof k_acts / sizeof k_acts[0]; i++) {
        check_act(k_acts[i]);
        check_counts(secrets, 1);
    }
    end();
}

/* -- waits -- */

static bool do_wait_for_slot(void) {
    return access_to(g_small);
}

static bool do_close(void) {
    return ael_secret_close(g_small) == AEL_OK;
}

static bool do_shut_down_in_vain(void) {
    return ael_shutdown(1) == AEL_E_TIMEOUT;
}

static void open_all(struct ael_secret **secrets, struct ael_secret_access *accesses) {
    for (size_t i = 0; i < SLOTS; i++) {
        secrets[i] = secret_of(LEN);
        CU_ASSERT_EQUAL(ael_secret_access_begin(secrets[i], &accesses[i]), AEL_OK);
    }
}

static void shut_all(struct ael_secret **secrets, struct ael_secret_access *accesses) {
    for (size_t i = 0; i < SLOTS; i++) {
        CU_ASSERT_EQUAL(ael_secret_access_end(&accesses[i]), AEL_OK);
        ael_secret_release(secrets[i]);
    }
}

static void wait_for_slot_waiter(void) {
    struct ael_secret_slots *slots = &ael_protected()->slots;
    int64_t deadline_ns = ael_deadline_in_ms(PATIENCE_MS);
    bool waits = false;
    while (!waits && ael_clock_boot_ns() < deadline_ns) {
        ael_mutex_lock(&slots->lock);
        waits = slots->waiters.first != NULL;
        ael_mutex_unlock(&slots->lock);
    }
    CU_ASSERT_TRUE_FATAL(waits);
}

static void start(pthread_t *thread, struct doomed *doomed) {
    CU_ASSERT_EQUAL_FATAL(pthread_create(thread, NULL, act_when_cancelled, doomed), 0);
}

static void finish(pthread_t thread, const struct doomed *doomed) {
    (void)pthread_join(thread, NULL);
    CU_ASSERT_TRUE(doomed->finished);
    CU_ASSERT_TRUE(doomed->good);
}

static void test_cancel__cuts_no_wait_for_a_slot_short(void) {
    struct ael_secret *secrets[SLOTS];
    struct ael_secret_access accesses[SLOTS];
    struct doomed doomed = {do_wait_for_slot, false, false};
    pthread_t thread;
    begin();
    open_all(secrets, accesses);
    start(&thread, &doomed);
    wait_for_slot_waiter();
    shut_all(secrets, accesses);
    finish(thread, &doomed);
    check_nothing_is_held();
    end();
}

static void test_cancel__cuts_no_close_and_no_shut_down_short(void) {
    struct ael_secret_access access;
    struct ael_secret_access more;
    struct doomed shutter = {do_shut_down_in_vain, false, false};
    struct doomed closer = {do_close, false, false};
    pthread_t thread;
    begin();
    CU_ASSERT_EQUAL(ael_secret_access_begin(g_small, &access), AEL_OK);
    start(&thread, &shutter);
    finish(thread, &shutter);
    start(&thread, &closer);
    while (ael_secret_access_begin(g_small, &more) == AEL_OK) {
        CU_ASSERT_EQUAL(ael_secret_access_end(&more), AEL_OK);
    }
    CU_ASSERT_FALSE(ael_secret_is_closed(g_small));
    CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_OK);
    finish(thread, &closer);
    CU_ASSERT_TRUE(ael_secret_is_closed(g_small));
    check_nothing_is_held();
    end();
}

/* -- cancelled from outside, at any moment -- */

struct looper {
    pthread_t thread;
    bool (*act)(void);
    atomic_int rounds;
    atomic_int wrong;
};

static void *loop(void *context) {
    struct looper *looper = context;
    for (;;) {
        if (!looper->act()) {
            atomic_fetch_add(&looper->wrong, 1);
        }
        atomic_fetch_add(&looper->rounds, 1);
        pthread_testcancel();
    }
    return NULL;
}

static void cancel_while_looping(bool (*act)(void)) {
    struct looper loopers[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        loopers[i].act = act;
        atomic_init(&loopers[i].rounds, 0);
        atomic_init(&loopers[i].wrong, 0);
        CU_ASSERT_EQUAL_FATAL(pthread_create(&loopers[i].thread, NULL, loop, &loopers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        void *result = NULL;
        while (atomic_load(&loopers[i].rounds) < (int)i + 1) {
            (void)sched_yield();
        }
        CU_ASSERT_EQUAL(pthread_cancel(loopers[i].thread), 0);
        CU_ASSERT_EQUAL(pthread_join(loopers[i].thread, &result), 0);
        CU_ASSERT_PTR_EQUAL(result, PTHREAD_CANCELED);
        CU_ASSERT_EQUAL(atomic_load(&loopers[i].wrong), 0);
    }
}

static void check_looping(bool (*act)(void)) {
    begin();
    uint64_t secrets = stats_now().secrets_in_use;
    for (int i = 0; i < 5; i++) {
        cancel_while_looping(act);
    }
    check_nothing_is_held();
    check_counts(secrets, 1);
    CU_ASSERT_TRUE(do_access() && do_create() && do_read() && do_encrypt() && do_session());
    end();
}

static void test_cancel__while_looping_over_accesses(void) {
    check_looping(do_access);
}

static void test_cancel__while_looping_over_new_secrets(void) {
    check_looping(do_create);
}

static void test_cancel__while_looping_over_reads(void) {
    check_looping(do_read);
}

static void test_cancel__while_looping_over_encrypts(void) {
    check_looping(do_encrypt);
}

static void test_cancel__while_looping_over_tries(void) {
    check_looping(do_try);
}

static void make_key_file(void) {
    uint8_t key[LEN];
    memset(key, 'k', sizeof key);
    int fd = mkstemp(g_key_path);
    CU_ASSERT_TRUE(fd >= 0 && write(fd, key, sizeof key) == (ssize_t)sizeof key && close(fd) == 0);
}

static void remove_key_file(void) {
    CU_ASSERT_EQUAL(unlink(g_key_path), 0);
}

static const struct test_case k_cases[] = {
    {"a key file is made", make_key_file},
    {"first use", test_cancel__cuts_no_first_use_short},
    {"set-up", test_cancel__cuts_no_set_up_short},
    {"each call", test_cancel__cuts_no_call_short},
    {"wait for a slot", test_cancel__cuts_no_wait_for_a_slot_short},
    {"close and shut-down", test_cancel__cuts_no_close_and_no_shut_down_short},
    {"loop of accesses", test_cancel__while_looping_over_accesses},
    {"loop of new secrets", test_cancel__while_looping_over_new_secrets},
    {"loop of reads", test_cancel__while_looping_over_reads},
    {"loop of encrypts", test_cancel__while_looping_over_encrypts},
    {"loop of tries", test_cancel__while_looping_over_tries},
    {"the key file is removed", remove_key_file},
};

TEST_SUITE_MAIN("cancel", k_cases)
