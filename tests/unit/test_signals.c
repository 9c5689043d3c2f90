/*
 * test_signals.c - the policy block_signals: what waits, what does not, and that every mask is given back.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "securememory/protected.h"
#include "securememory/random.h"
#include "securememory/scratch.h"
#include "securememory/sealed_key.h"
#include "securememory/signals.h"

#include <ael/memory.h>
#include <ael/secret.h>

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/child.h"
#include "tests/support/suite.h"

static void set_up(bool block_signals) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    options.block_signals = block_signals;
    CU_ASSERT_EQUAL_FATAL(ael_shutdown(1000), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_memory_configure(&options, NULL), AEL_OK);
}

static sigset_t mask_now(void) {
    sigset_t mask;
    (void)sigemptyset(&mask);
    (void)pthread_sigmask(SIG_BLOCK, NULL, &mask);
    return mask;
}

static bool is_blocked(int number) {
    sigset_t mask = mask_now();
    return sigismember(&mask, number) == 1;
}

/* The signals that are for a process to get; without those that no mask holds. */
static bool is_ordinary(int number) {
    static const int k_others[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGKILL, SIGSTOP};
    for (size_t i = 0; i < sizeof k_others / sizeof k_others[0]; i++) {
        if (number == k_others[i]) {
            return false;
        }
    }
    return true;
}

static bool all_ordinary_are(bool blocked) {
    bool good = true;
    for (int number = 1; number <= SIGRTMAX; number++) {
        if (number >= 32 && number < SIGRTMIN) {
            continue; /* libc's own: its call does not tell of them */
        }
        good = good && is_blocked(number) == (blocked && is_ordinary(number));
    }
    return good;
}

/* The kernel's word on all 64, libc's two among them. */
static unsigned long long kernel_mask(void) {
    char line[256];
    unsigned long long mask = 0;
    FILE *file = fopen("/proc/thread-self/status", "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        (void)sscanf(line, "SigBlk: %llx", &mask);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return mask;
}

static void test_scratch__holds_signals_back_but_faults(void) {
    struct ael_memory_stats stats = AEL_MEMORY_STATS_INIT;
    struct ael_scratch scratch;
    set_up(true);
    CU_ASSERT_EQUAL(ael_memory_stats(&stats), AEL_OK);
    CU_ASSERT_TRUE(stats.block_signals);
    CU_ASSERT_TRUE(all_ordinary_are(false));
    CU_ASSERT_EQUAL(ael_scratch_begin(&scratch, NULL), AEL_OK);
    CU_ASSERT_TRUE(all_ordinary_are(true));
    CU_ASSERT_EQUAL(kernel_mask() >> 31 & 3, 3);                  /* 32 and 33: cancellation and setuid */
    CU_ASSERT_EQUAL(ael_random_fill(scratch.bytes, 100), AEL_OK); /* nested */
    CU_ASSERT_TRUE(all_ordinary_are(true));
    CU_ASSERT_EQUAL(ael_scratch_end(&scratch), AEL_OK);
    CU_ASSERT_TRUE(all_ordinary_are(false));
    CU_ASSERT_EQUAL(kernel_mask(), 0);
    CU_ASSERT_EQUAL(ael_shutdown(1000), AEL_OK);
}

static void test_scratch__holds_nothing_back_by_itself(void) {
    struct ael_memory_stats stats = AEL_MEMORY_STATS_INIT;
    struct ael_scratch scratch;
    set_up(false);
    CU_ASSERT_EQUAL(ael_memory_stats(&stats), AEL_OK);
    CU_ASSERT_FALSE(stats.block_signals);
    CU_ASSERT_EQUAL(ael_scratch_begin(&scratch, NULL), AEL_OK);
    CU_ASSERT_TRUE(all_ordinary_are(false));
    CU_ASSERT_EQUAL(ael_scratch_end(&scratch), AEL_OK);
    CU_ASSERT_EQUAL(ael_shutdown(1000), AEL_OK);
}

static atomic_int g_arrived;

static void arrive(int number) {
    (void)number;
    atomic_fetch_add(&g_arrived, 1);
}

static void test_hold__delivers_at_the_end_of_the_outermost(void) {
    set_up(true);
    atomic_store(&g_arrived, 0);
    void (*before)(int) = signal(SIGUSR1, arrive);
    ael_signals_hold();
    CU_ASSERT_EQUAL(raise(SIGUSR1), 0);
    ael_signals_hold();
    CU_ASSERT_EQUAL(atomic_load(&g_arrived), 0);
    ael_signals_release();
    CU_ASSERT_EQUAL(atomic_load(&g_arrived), 0);
    ael_signals_release();
    CU_ASSERT_EQUAL(atomic_load(&g_arrived), 1);
    ael_signals_release(); /* one too many */
    CU_ASSERT_TRUE(all_ordinary_are(false));
    (void)signal(SIGUSR1, before);
}

static void test_hold__leaves_blocked_what_the_host_blocks(void) {
    sigset_t wanted;
    sigset_t before;
    set_up(true);
    (void)sigemptyset(&wanted);
    (void)sigaddset(&wanted, SIGUSR2);
    (void)sigaddset(&wanted, SIGFPE);
    (void)pthread_sigmask(SIG_BLOCK, &wanted, &before);
    ael_signals_hold();
    CU_ASSERT_TRUE(is_blocked(SIGUSR2) && is_blocked(SIGFPE) && is_blocked(SIGTERM));
    ael_signals_release();
    CU_ASSERT_TRUE(is_blocked(SIGUSR2) && is_blocked(SIGFPE) && !is_blocked(SIGTERM));
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* The policy may change while something is held. */
static void test_hold__pairs_over_a_change_of_policy(void) {
    set_up(true);
    ael_signals_hold();
    ael_signals_set_policy(false);
    ael_signals_hold();
    ael_signals_release();
    CU_ASSERT_TRUE(is_blocked(SIGTERM));
    ael_signals_release();
    CU_ASSERT_FALSE(is_blocked(SIGTERM));
    ael_signals_hold();
    ael_signals_set_policy(true);
    ael_signals_release();
    CU_ASSERT_FALSE(is_blocked(SIGTERM));
    CU_ASSERT_EQUAL(ael_shutdown(1000), AEL_OK);
}

/* -- faults -- */

/* By a signal of its own: valgrind, which saw the fault, has its way with exit codes. */
static void leave_well(int number) {
    (void)number;
    (void)raise(SIGKILL);
}

static int fault_in(int number, void (*fault)(void)) {
    struct ael_scratch scratch;
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    options.block_signals = true;
    if (ael_memory_configure(&options, NULL) != AEL_OK || signal(number, leave_well) == SIG_ERR ||
        ael_scratch_begin(&scratch, NULL) != AEL_OK) {
        return 1;
    }
    fault();
    return 2;
}

static void touch_guard(void) {
    const struct ael_pages *pages = &ael_protected()->scratch.region.pages;
    *(volatile uint8_t *)(pages->bytes + pages->len) = 1;
}

static void trap(void) {
    (void)raise(SIGTRAP);
}

static int guard_faults(void) {
    return fault_in(SIGSEGV, touch_guard);
}

static int traps(void) {
    return fault_in(SIGTRAP, trap);
}

static void test_hold__lets_faults_reach_the_hosts_handler(void) {
    CU_ASSERT_EQUAL(ael_shutdown(1000), AEL_OK);
    CU_ASSERT_EQUAL(child_run(guard_faults), CHILD_KILLED + SIGKILL);
    CU_ASSERT_EQUAL(child_run(traps), CHILD_KILLED + SIGKILL);
}

/* -- threads that are cancelled, and forks -- */

static bool use_memory(void) {
    struct ael_secret *secret = NULL;
    struct ael_secret_access access;
    bool good = ael_secret_new_random(32, &secret) == AEL_OK &&
                ael_secret_access_begin(secret, &access) == AEL_OK &&
                ael_secret_access_end(&access) == AEL_OK;
    ael_secret_release(secret);
    return good;
}

static atomic_int g_rounds;
static atomic_bool g_unblocked_at_end;

static void look_at_mask(void *context) {
    (void)context;
    atomic_store(&g_unblocked_at_end, all_ordinary_are(false));
}

static void *use_until_cancelled(void *context) {
    (void)context;
    pthread_cleanup_push(look_at_mask, NULL);
    while (use_memory()) {
        atomic_fetch_add(&g_rounds, 1);
        pthread_testcancel();
    }
    pthread_cleanup_pop(0);
    return NULL;
}

static void test_operations__are_cancelled_with_no_signal_blocked(void) {
    set_up(true);
    for (int i = 0; i < 20; i++) {
        pthread_t thread;
        void *result = NULL;
        atomic_store(&g_rounds, 0);
        atomic_store(&g_unblocked_at_end, false);
        CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, use_until_cancelled, NULL), 0);
        while (atomic_load(&g_rounds) < 5) {
            (void)sched_yield();
        }
        CU_ASSERT_EQUAL(pthread_cancel(thread), 0);
        CU_ASSERT_EQUAL(pthread_join(thread, &result), 0);
        CU_ASSERT_TRUE(result == PTHREAD_CANCELED);
        CU_ASSERT_TRUE(atomic_load(&g_unblocked_at_end));
    }
    CU_ASSERT_EQUAL(ael_shutdown(1000), AEL_OK);
}

static atomic_bool g_over;

static bool use_scratch(void) {
    struct ael_scratch scratch;
    bool good = ael_scratch_begin(&scratch, NULL) == AEL_OK && ael_random_fill(scratch.bytes, 100) == AEL_OK;
    return ael_scratch_end(&scratch) == AEL_OK && good;
}

/* Not in the allocator: that of a sanitizer does not outlive a fork there. */
static void *use_until_over(void *context) {
    bool good = true;
    while (!atomic_load(&g_over)) {
        good = use_scratch() && good;
        atomic_fetch_add(&g_rounds, 1);
    }
    *(bool *)context = good;
    return NULL;
}

static int work_in_child(void) {
    return kernel_mask() == 0 && use_memory() && kernel_mask() == 0 && ael_signals_policy() ? 0 : 1;
}

static void test_forks__find_no_signal_blocked(void) {
    pthread_t thread;
    bool good = false;
    set_up(true);
    atomic_store(&g_over, false);
    atomic_store(&g_rounds, 0);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, use_until_over, &good), 0);
    while (atomic_load(&g_rounds) == 0) {
        (void)sched_yield();
    }
    for (int i = 0; i < 20; i++) {
        CU_ASSERT_TRUE(use_memory());
        CU_ASSERT_EQUAL(child_run(work_in_child), 0);
        CU_ASSERT_EQUAL(kernel_mask(), 0);
    }
    atomic_store(&g_over, true);
    CU_ASSERT_EQUAL(pthread_join(thread, NULL), 0);
    CU_ASSERT_TRUE(good);
    CU_ASSERT_EQUAL(ael_shutdown(1000), AEL_OK);
}

static const struct test_case k_cases[] = {
    {"scratch", test_scratch__holds_signals_back_but_faults},
    {"off by default", test_scratch__holds_nothing_back_by_itself},
    {"delivery", test_hold__delivers_at_the_end_of_the_outermost},
    {"the host's mask", test_hold__leaves_blocked_what_the_host_blocks},
    {"a change of policy", test_hold__pairs_over_a_change_of_policy},
    {"faults", test_hold__lets_faults_reach_the_hosts_handler},
    {"cancellation", test_operations__are_cancelled_with_no_signal_blocked},
    {"forks", test_forks__find_no_signal_blocked},
};

TEST_SUITE_MAIN("signals", k_cases)
