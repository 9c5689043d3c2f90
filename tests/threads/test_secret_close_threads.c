/* SPDX-License-Identifier: Apache-2.0 */
#include "base/system.h"
#include "tests/support/soak.h"
#include "tests/support/suite.h"

#include <ael/memory.h>
#include <ael/secret.h>

#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

/* A secret is closed while 64 threads read it, again and again: after close has returned nobody has it open, nobody opens
 * it any more, and nobody waits for ever. */

enum { READERS = 64, LEN = 32 };

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { CI_ROUNDS = 5000 };
#else
enum { CI_ROUNDS = 20000 };
#endif

static struct ael_secret *g_secret;
static atomic_uint g_round;    /* that the readers may read in; INT_MAX ends them */
static atomic_int g_closed;    /* the round whose close has returned */
static atomic_int g_inside;    /* readers that have read in this round */
static atomic_int g_done;      /* readers that have found it closed */
static atomic_uint g_all_done; /* the round in which all of them have */
static atomic_uint g_wrong;
static atomic_uint_least64_t g_accesses;

static void expect(bool good) {
    if (!good) {
        atomic_fetch_add(&g_wrong, 1);
    }
}

/* Not a mutex of this test: 64 readers that wake at once would queue for it. */
static void wait_while(atomic_uint *word, unsigned value) {
    while (atomic_load(word) == value) {
        ael_system_sleep_while(word, value, NULL);
    }
}

static void set_and_wake(atomic_uint *word, unsigned value) {
    atomic_store(word, value);
    ael_system_wake_all(word);
}

static int wait_for_round_behind(int round) {
    wait_while(&g_round, (unsigned)round);
    return (int)atomic_load(&g_round);
}

static bool holds(const struct ael_secret_access *access, int round) {
    bool all = true;
    for (size_t i = 0; i < access->bytes.len; i++) {
        all = all && access->bytes.data[i] == (uint8_t)round;
    }
    return all;
}

/* Inside the access the close has not returned, and the bytes are whole; a page that is shut is SIGSEGV. */
static void look(const struct ael_secret_access *access, int round) {
    expect(holds(access, round));
    expect(atomic_load(&g_closed) != round);
}

static enum ael_status read_nested(int round) {
    struct ael_secret_access inner;
    enum ael_status status = ael_secret_access_begin(g_secret, &inner);
    if (status == AEL_OK) {
        look(&inner, round);
        expect(ael_secret_access_end(&inner) == AEL_OK);
    }
    return status;
}

/* Every other access has another one inside, which may find the close that its outer one keeps waiting. */
static enum ael_status read_once(int round, uint64_t number) {
    struct ael_secret_access access;
    enum ael_status status = ael_secret_access_begin(g_secret, &access);
    if (status == AEL_OK) {
        look(&access, round);
        if (number % 2 == 1) {
            enum ael_status nested = read_nested(round);
            expect(nested == AEL_OK || nested == AEL_E_CLOSED);
        }
        look(&access, round);
        expect(ael_secret_access_end(&access) == AEL_OK);
    }
    return status;
}

static uint64_t read_until_closed(int round) {
    uint64_t count = 0;
    enum ael_status status = read_once(round, count);
    while (status == AEL_OK) {
        if (count++ == 0) {
            atomic_fetch_add(&g_inside, 1);
        }
        (void)sched_yield();
        status = read_once(round, count);
    }
    expect(status == AEL_E_CLOSED);
    expect(read_once(round, 0) == AEL_E_CLOSED);
    return count;
}

static void *read_in_rounds(void *context) {
    uint64_t accesses = 0;
    int round = 0;
    (void)context;
    for (round = wait_for_round_behind(round); round < INT_MAX; round = wait_for_round_behind(round)) {
        accesses += read_until_closed(round);
        if (atomic_fetch_add(&g_done, 1) + 1 == READERS) {
            set_and_wake(&g_all_done, (unsigned)round);
        }
    }
    atomic_fetch_add(&g_accesses, accesses);
    return NULL;
}

/* How many readers are inside when it is closed differs from round to round. */
static void play(int round) {
    uint8_t source[LEN];
    memset(source, round, sizeof source);
    expect(ael_secret_new(source, sizeof source, &g_secret) == AEL_OK);
    atomic_store(&g_inside, 0);
    atomic_store(&g_done, 0);
    set_and_wake(&g_round, (unsigned)round);
    while (atomic_load(&g_inside) < 1 + round % 8) {
        (void)sched_yield();
    }
    expect(ael_secret_close(g_secret) == AEL_OK);
    atomic_store(&g_closed, round);
    expect(ael_secret_is_closed(g_secret));
    wait_while(&g_all_done, (unsigned)round - 1);
    ael_secret_release(g_secret);
}

static void set_up(enum ael_protection_level level) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    options.level = level;
    options.lease_us = 100;
    CU_ASSERT_EQUAL(ael_shutdown(1000), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_memory_configure(&options, NULL), AEL_OK);
    atomic_store(&g_wrong, 0);
    atomic_store(&g_accesses, 0);
    atomic_store(&g_round, 0);
    atomic_store(&g_all_done, 0);
    atomic_store(&g_closed, 0);
}

static void close_under_readers(enum ael_protection_level level) {
    pthread_t readers[READERS];
    int rounds = soak_count(CI_ROUNDS, 1000000);
    set_up(level);
    for (int i = 0; i < READERS; i++) {
        CU_ASSERT_EQUAL_FATAL(pthread_create(&readers[i], NULL, read_in_rounds, NULL), 0);
    }
    for (int round = 1; round <= rounds; round++) {
        play(round);
    }
    set_and_wake(&g_round, INT_MAX);
    for (int i = 0; i < READERS; i++) {
        (void)pthread_join(readers[i], NULL);
    }
    CU_ASSERT_EQUAL(atomic_load(&g_wrong), 0);
    printf(
        "\n  %d closes against %d readers, %llu accesses ", rounds, READERS, (unsigned long long)g_accesses);
}

static void test_close__against_64_readers_at_strict(void) {
    close_under_readers(AEL_PROTECTION_STRICT);
}

static void test_close__against_64_readers_at_leased(void) {
    close_under_readers(AEL_PROTECTION_LEASED);
}

static const struct test_case k_cases[] = {
    {"strict", test_close__against_64_readers_at_strict},
    {"leased", test_close__against_64_readers_at_leased},
};

TEST_SUITE_MAIN("secret_close_threads", k_cases)
