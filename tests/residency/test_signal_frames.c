/*
 * test_signal_frames.c - what a 1 kHz timer signal leaves of keys on the stacks, with block_signals (nothing) and
 * without it (printed; docs/memory.md states what was seen).
 *
 * A child encrypts and decrypts under the timer, its handler on the thread's own stack or on a signal stack. Every so
 * many signals it stands still, by turns inside the handler, with the interrupted frame in place, and between two
 * operations, and its parent, which alone derives the keys, reads both stacks.
 *
 * Left out under valgrind, which keeps the registers of the program in memory of its own, and under TSan, which runs
 * handlers at points of its choice.
 *
 * Needs: libael, OpenSSL (libcrypto), CUnit, tools/residency, /proc/PID/mem.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ael/ael.h>
#include <ael/sys/metastore_backend.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crypto/aead_engine.h"
#include "tests/support/gcm.h"
#include "tests/support/soak.h"
#include "tests/support/suite.h"
#include "tests/support/under.h"
#include "tools/residency/needles.h"

enum {
    SIGNALS_A_STOP = 4,
    ALTSTACK_BYTES = 64 * 1024,
    OWN_BYTES = 64 * 1024,
    SHORT = 512,
    LONG = 8192,
    PLANTS = 4
};

struct scenario {
    bool block;
    bool on_signal_stack;
    size_t payload_len; /* SHORT: the fastest engine; LONG: OpenSSL, whose frames lie deeper */
    bool plant;         /* a copy of the master key on each stack, which must be found */
    int stops;
};

/* What the child tells first: where its stacks are, and the sealed keys behind the record that it decrypts. */
struct evidence {
    uintptr_t own_stack; /* OWN_BYTES below this */
    uintptr_t signal_stack;
    uint8_t sk[TEST_SEALED_KEY_BYTES];
    uint8_t ik[TEST_SEALED_KEY_BYTES];
    uint8_t drk[TEST_SEALED_KEY_BYTES];
};

static const uint8_t k_master[32] = "the master key of this test only";

/* -- the child -- */

static uint8_t g_signal_stack[ALTSTACK_BYTES];
static int g_to_parent;
static int g_from_parent;
static volatile sig_atomic_t g_signals;
static volatile sig_atomic_t g_stop_in_handler;
static volatile sig_atomic_t g_stop_between;

/* Nothing but two system calls, so that what lies below is not overwritten. */
static void stand_still(void) {
    uint8_t byte = 's';
    if (write(g_to_parent, &byte, 1) != 1 || read(g_from_parent, &byte, 1) != 1) {
        _exit(EXIT_FAILURE);
    }
}

static void on_timer(int number) {
    (void)number;
    g_signals = g_signals + 1;
    if (g_signals % SIGNALS_A_STOP != 0) {
        return;
    }
    if (g_stop_in_handler != 0) {
        g_stop_in_handler = 0;
        stand_still();
    } else {
        g_stop_between = 1;
    }
}

static bool start_timer(bool on_signal_stack) {
    stack_t stack = {.ss_sp = g_signal_stack, .ss_size = sizeof g_signal_stack};
    struct sigaction action;
    struct itimerval each_ms = {{0, 1000}, {0, 1000}};
    memset(&action, 0, sizeof action);
    action.sa_handler = on_timer;
    action.sa_flags = SA_RESTART | (on_signal_stack ? SA_ONSTACK : 0);
    return sigaltstack(&stack, NULL) == 0 && sigaction(SIGALRM, &action, NULL) == 0 &&
           setitimer(ITIMER_REAL, &each_ms, NULL) == 0;
}

static void stop_timer(void) {
    struct itimerval never = {{0, 0}, {0, 0}};
    (void)setitimer(ITIMER_REAL, &never, NULL);
}

static bool sealed_key(struct ael_bytes from, uint8_t to[TEST_SEALED_KEY_BYTES]) {
    if (from.len != TEST_SEALED_KEY_BYTES) {
        return false;
    }
    memcpy(to, from.data, TEST_SEALED_KEY_BYTES);
    return true;
}

static bool collect(struct ael_metastore *store, const struct ael_record *record, struct evidence *evidence) {
    struct ael_key_record_buf ik = AEL_KEY_RECORD_BUF_INIT;
    struct ael_key_record_buf sk = AEL_KEY_RECORD_BUF_INIT;
    bool good = sealed_key(record->key, evidence->drk) &&
                ael_metastore_load(store, NULL, record->parent_key_id, record->parent_created_s, &ik, NULL) ==
                    AEL_OK &&
                sealed_key(ik.record.key, evidence->ik) &&
                ael_metastore_load(store, NULL, ik.record.parent_id, ik.record.parent_created_s, &sk, NULL) ==
                    AEL_OK &&
                sealed_key(sk.record.key, evidence->sk);
    ael_key_record_buf_clear(&ik);
    ael_key_record_buf_clear(&sk);
    return good;
}

static const uint8_t k_payload[LONG] = {'p'};

static bool round_trip(struct ael_session *session, const struct ael_record *record, size_t len) {
    struct ael_record_buf made = AEL_RECORD_BUF_INIT;
    struct ael_buf plain = AEL_BUF_INIT;
    bool good = ael_session_decrypt(session, record, &plain, NULL, NULL) == AEL_OK && plain.len == len &&
                ael_session_encrypt(session, (struct ael_bytes){k_payload, len}, &made, NULL, NULL) == AEL_OK;
    ael_buf_clear(&plain);
    ael_record_buf_clear(&made);
    return good;
}

static bool
work(const struct scenario *scenario, struct ael_session *session, const struct ael_record *record) {
    bool good = true;
    for (int stop = 0; good && stop < scenario->stops; stop++) {
        g_stop_between = 0;
        g_stop_in_handler = stop % 2;
        while (good && (g_stop_in_handler != 0 || (stop % 2 == 0 && g_stop_between == 0))) {
            good = round_trip(session, record, scenario->payload_len);
        }
        if (good && stop % 2 == 0) {
            stand_still();
        }
    }
    return good;
}

/* Where nothing of the work reaches: the far end of the parts that are read. */
static void plant(const struct evidence *evidence) {
    uint8_t *own = (uint8_t *)(evidence->own_stack - OWN_BYTES + 64);
    memcpy(own, k_master, 32);
    memcpy(g_signal_stack + 64, k_master, 32);
}

static struct ael_session_factory *open_factory(struct ael_metastore *store, bool block_signals) {
    struct ael_session_factory_options options = AEL_SESSION_FACTORY_OPTIONS_INIT;
    struct ael_memory_options memory = AEL_MEMORY_OPTIONS_INIT;
    struct ael_session_factory *factory = NULL;
    uint8_t master[32];
    memcpy(master, k_master, sizeof master);
    memory.block_signals = block_signals;
    options.service = "signals";
    options.product = "test";
    options.metastore = store;
    bool good = ael_memory_configure(&memory, NULL) == AEL_OK &&
                ael_kms_static_from_bytes(master, sizeof master, &options.kms, NULL) == AEL_OK &&
                ael_session_factory_new(&options, &factory, NULL) == AEL_OK;
    ael_kms_release(options.kms);
    return good ? factory : NULL;
}

static bool
work_and_tell(const struct scenario *scenario, struct ael_metastore *store, struct ael_session *session) {
    struct evidence evidence;
    struct ael_record_buf record = AEL_RECORD_BUF_INIT;
    memset(&evidence, 0, sizeof evidence);
    evidence.own_stack = (uintptr_t)__builtin_frame_address(0);
    evidence.signal_stack = (uintptr_t)g_signal_stack;
    bool good =
        ael_session_encrypt(
            session, (struct ael_bytes){k_payload, scenario->payload_len}, &record, NULL, NULL) == AEL_OK &&
        collect(store, &record.record, &evidence) &&
        write(g_to_parent, &evidence, sizeof evidence) == (ssize_t)sizeof evidence;
    if (good && scenario->plant) {
        plant(&evidence);
    }
    good = good && start_timer(scenario->on_signal_stack) && work(scenario, session, &record.record);
    stop_timer();
    ael_record_buf_clear(&record);
    return good;
}

/* The stack is there as far as it is read, and nothing of the parent's lies in it. */
static __attribute__((noinline)) void clean_stack(void) {
    uint8_t deep[OWN_BYTES + 4096];
    explicit_bzero(deep, sizeof deep);
}

static bool be_child(const struct scenario *scenario) {
    struct ael_metastore *store = NULL;
    struct ael_session *session = NULL;
    clean_stack();
    bool good = ael_metastore_memory_new(&store) == AEL_OK &&
                (scenario->payload_len == SHORT || ael_aead_force_for_test("evp"));
    struct ael_session_factory *factory = good ? open_factory(store, scenario->block) : NULL;
    good = factory != NULL && ael_session_acquire(factory, "partition", &session, NULL) == AEL_OK &&
           work_and_tell(scenario, store, session);
    ael_session_release(session);
    ael_session_factory_free(factory);
    ael_metastore_release(store);
    return ael_shutdown(5000) == AEL_OK && good;
}

/* -- the parent -- */

static bool derive(const struct evidence *evidence, struct residency_needles *needles) {
    uint8_t sk[32];
    uint8_t ik[32];
    uint8_t drk[32];
    return test_gcm_open(k_master, evidence->sk, sizeof evidence->sk, sk) &&
           test_gcm_open(sk, evidence->ik, sizeof evidence->ik, ik) &&
           test_gcm_open(ik, evidence->drk, sizeof evidence->drk, drk) &&
           residency_add_key(needles, "master", k_master) && residency_add_key(needles, "SK", sk) &&
           residency_add_key(needles, "IK", ik) && residency_add_key(needles, "DRK", drk);
}

static void count_one(void *found, const struct residency_needle *needle, size_t offset) {
    (void)needle;
    (void)offset;
    ++*(size_t *)found;
}

/* How many needles lie in a range of the child's memory. */
static size_t count_in(int memory, uintptr_t start, size_t len, struct residency_needles *needles) {
    static uint8_t bytes[OWN_BYTES];
    size_t found = 0;
    if (pread(memory, bytes, len, (off_t)start) != (ssize_t)len) {
        CU_FAIL("the child's stack cannot be read");
        return 0;
    }
    CU_ASSERT_TRUE(residency_search(needles, bytes, len, len, count_one, &found));
    return found;
}

/* Of the stops of one kind: how many there were, in how many something lay on the stacks, and how many needles. */
struct tally {
    int stops;
    int with_copies;
    size_t copies;
};

static bool watch_stop(
    int memory,
    int from_child,
    int to_child,
    const struct evidence *evidence,
    struct residency_needles *needles,
    struct tally *tally) {
    uint8_t byte = 0;
    if (read(from_child, &byte, 1) != 1) {
        return false;
    }
    size_t found = count_in(memory, evidence->own_stack - OWN_BYTES, OWN_BYTES, needles) +
                   count_in(memory, evidence->signal_stack, ALTSTACK_BYTES, needles);
    tally->stops++;
    tally->with_copies += found != 0;
    tally->copies += found;
    return write(to_child, "g", 1) == 1;
}

/* tallies: between two operations, and inside a handler. */
static bool
watch(const struct scenario *scenario, pid_t child, int from_child, int to_child, struct tally tallies[2]) {
    struct evidence evidence;
    struct residency_needles needles = RESIDENCY_NEEDLES_INIT;
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/mem", (int)child);
    int memory = open(path, O_RDONLY | O_CLOEXEC);
    bool good = memory >= 0 && read(from_child, &evidence, sizeof evidence) == (ssize_t)sizeof evidence &&
                derive(&evidence, &needles);
    for (int i = 0; good && i < scenario->stops; i++) {
        good = watch_stop(memory, from_child, to_child, &evidence, &needles, &tallies[i % 2]);
    }
    residency_needles_clear(&needles);
    if (memory >= 0) {
        (void)close(memory);
    }
    return good;
}

static bool run_scenario(const struct scenario *scenario, struct tally tallies[2]) {
    int down[2];
    int up[2];
    int state = -1;
    memset(tallies, 0, 2 * sizeof tallies[0]);
    if (pipe2(down, O_CLOEXEC) != 0 || pipe2(up, O_CLOEXEC) != 0) {
        return false;
    }
    (void)fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        g_to_parent = up[1];
        g_from_parent = down[0];
        (void)close(down[1]);
        (void)close(up[0]);
        _exit(be_child(scenario) ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    (void)close(down[0]);
    (void)close(up[1]);
    bool good = child > 0 && watch(scenario, child, up[0], down[1], tallies);
    (void)close(down[1]);
    (void)close(up[0]);
    good = child > 0 && waitpid(child, &state, 0) == child && good;
    return good && WIFEXITED(state) && WEXITSTATUS(state) == EXIT_SUCCESS;
}

static bool frames_are_ours(void) {
    bool ours = !UNDER_TSAN && !under_valgrind();
    if (!ours) {
        printf("left out: the tool runs handlers in its own way ");
    }
    return ours;
}

static void measure(bool block, bool on_signal_stack, size_t payload_len, struct tally tallies[2]) {
    struct scenario scenario = {block, on_signal_stack, payload_len, false, soak_count(100, 10000)};
    CU_ASSERT_TRUE(run_scenario(&scenario, tallies));
    CU_ASSERT_EQUAL(tallies[0].stops + tallies[1].stops, scenario.stops);
    printf(
        "\n  %zu bytes, signals %s, handler on %s stack: in the handler %d of %d stops with copies (%zu), "
        "between "
        "operations "
        "%d of %d (%zu) ",
        payload_len, block ? "blocked" : "not blocked", on_signal_stack ? "the signal" : "its own",
        tallies[1].with_copies, tallies[1].stops, tallies[1].copies, tallies[0].with_copies, tallies[0].stops,
        tallies[0].copies);
}

static void test_signals__leave_nothing_when_they_are_blocked(void) {
    struct tally tallies[2];
    for (int i = 0; i < 4 && frames_are_ours(); i++) {
        measure(true, i % 2 == 1, i < 2 ? SHORT : LONG, tallies);
        CU_ASSERT_EQUAL(tallies[0].copies, 0);
        CU_ASSERT_EQUAL(tallies[1].copies, 0);
    }
}

enum { MEASUREMENTS = 20 };

/* Again where no signal came while keys were in registers: of a short payload that is a short time. */
static void measure_until_met(bool on_signal_stack, size_t payload_len, struct tally tallies[2]) {
    size_t between = 0;
    measure(false, on_signal_stack, payload_len, tallies);
    for (int i = 1; i < MEASUREMENTS && tallies[1].copies == 0; i++) {
        between += tallies[0].copies;
        measure(false, on_signal_stack, payload_len, tallies);
    }
    tallies[0].copies += between;
}

/* Without the policy nothing is promised while a handler runs; that the scan sees frames at all is. */
static void test_signals__leave_copies_when_they_are_not(void) {
    struct tally tallies[2];
    for (int i = 0; i < 4 && frames_are_ours(); i++) {
        measure_until_met(i % 2 == 1, i < 2 ? SHORT : LONG, tallies);
        CU_ASSERT_TRUE(tallies[1].copies > 0);
        if (i % 2 == 0) {
            CU_ASSERT_EQUAL(tallies[0].copies, 0); /* each operation wipes the stack below it */
        }
    }
}

static void test_scan__finds_a_copy_on_either_stack(void) {
    struct tally tallies[2];
    struct scenario scenario = {true, false, SHORT, true, PLANTS};
    if (frames_are_ours()) {
        CU_ASSERT_TRUE(run_scenario(&scenario, tallies));
        CU_ASSERT_EQUAL(tallies[0].with_copies + tallies[1].with_copies, PLANTS);
        CU_ASSERT_EQUAL(tallies[0].copies + tallies[1].copies, (size_t)4 * PLANTS); /* two halves, twice */
    }
}

static const struct test_case k_cases[] = {
    {"a planted copy is found", test_scan__finds_a_copy_on_either_stack},
    {"signals blocked", test_signals__leave_nothing_when_they_are_blocked},
    {"signals not blocked", test_signals__leave_copies_when_they_are_not},
};

TEST_SUITE_MAIN("signal_frames", k_cases)
