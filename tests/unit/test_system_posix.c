/*
 * test_system_posix.c - sleeping on a word where there is no futex; an event where there is no eventfd.
 *
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/fork.h"
#include "base/system.h"
#include "tests/support/child.h"
#include "tests/support/suite.h"
#include "tests/support/under.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <sys/resource.h>
#include <unistd.h>

enum { SLEEPERS = 8, WORDS = 200, ROUNDS = 500, FORKS = 30, CHILD_SECONDS = 60 };

static atomic_uint g_words[WORDS];
static atomic_uint g_asleep;
static atomic_uint g_awake;

static void test_sleep__ends_at_once_when_the_word_has_changed(void) {
    atomic_store(&g_words[0], 1);
    ael_system_sleep_while(&g_words[0], 0, NULL);
    ael_system_wake_all(&g_words[0]);
    CU_ASSERT_EQUAL(atomic_load(&g_words[0]), 1);
}

static int64_t now_ns(void) {
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void test_sleep__lasts_for_the_time(void) {
    static const struct timespec k_times[] = {{0, 0}, {0, 1000000}, {0, 999999999}};
    atomic_store(&g_words[0], 0);
    for (size_t i = 0; i < sizeof k_times / sizeof k_times[0]; i++) {
        int64_t start = now_ns();
        ael_system_sleep_while(&g_words[0], 0, &k_times[i]);
        CU_ASSERT_TRUE(now_ns() - start >= k_times[i].tv_nsec);
    }
}

static void *sleep_until_one(void *word) {
    atomic_fetch_add(&g_asleep, 1);
    while (atomic_load((atomic_uint *)word) == 0) {
        ael_system_sleep_while(word, 0, NULL);
    }
    atomic_fetch_add(&g_awake, 1);
    return NULL;
}

static void start_sleepers(pthread_t *threads, atomic_uint *word) {
    atomic_store(word, 0);
    atomic_store(&g_asleep, 0);
    atomic_store(&g_awake, 0);
    for (size_t i = 0; i < SLEEPERS; i++) {
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, sleep_until_one, word), 0);
    }
    while (atomic_load(&g_asleep) < SLEEPERS) {
        (void)sched_yield();
    }
}

static void wake_sleepers(pthread_t *threads, atomic_uint *word) {
    atomic_store(word, 1);
    ael_system_wake_all(word);
    for (size_t i = 0; i < SLEEPERS; i++) {
        CU_ASSERT_EQUAL(pthread_join(threads[i], NULL), 0);
    }
    CU_ASSERT_EQUAL(atomic_load(&g_awake), SLEEPERS);
}

/* More words than places: some share one. */
static void test_wake__ends_all_sleeps_on_the_word(void) {
    pthread_t threads[SLEEPERS];
    for (size_t i = 0; i < WORDS; i += 20) {
        start_sleepers(threads, &g_words[i]);
        wake_sleepers(threads, &g_words[i]);
    }
}

static void *play(void *context) {
    unsigned mine = *(const unsigned *)context;
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned seen = atomic_load(&g_words[0]);
        while (seen % 2 != mine) {
            ael_system_sleep_while(&g_words[0], seen, NULL);
            seen = atomic_load(&g_words[0]);
        }
        atomic_fetch_add(&g_words[0], 1);
        ael_system_wake_all(&g_words[0]);
    }
    return NULL;
}

/* Two threads by turns: a wake-up that is lost hangs. */
static void test_wake__is_never_lost(void) {
    static unsigned sides[] = {0, 1};
    pthread_t other;
    atomic_store(&g_words[0], 0);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&other, NULL, play, &sides[1]), 0);
    (void)play(&sides[0]);
    CU_ASSERT_EQUAL(pthread_join(other, NULL), 0);
    CU_ASSERT_EQUAL(atomic_load(&g_words[0]), 2 * ROUNDS);
}

/* With sleepers in the parent, whose waits the child inherits. It starts no threads: ThreadSanitizer cannot. */
static int sleeps_and_wakes(void) {
    static const struct timespec k_time = {0, 1000000};
    (void)alarm(CHILD_SECONDS); /* a child that hangs is killed, and so the test fails */
    ael_system_sleep_while(&g_words[0], 0, &k_time);
    atomic_store(&g_words[0], 1);
    ael_system_wake_all(&g_words[0]);
    ael_system_sleep_while(&g_words[0], 0, NULL);
    return ael_fork_count() == 1 ? 0 : 1;
}

static void test_forked__forgets_the_parents_sleepers(void) {
    pthread_t threads[SLEEPERS];
    start_sleepers(threads, &g_words[0]);
    CU_ASSERT_EQUAL(child_run(sleeps_and_wakes), 0);
    wake_sleepers(threads, &g_words[0]);
}

static atomic_bool g_over;

static void *wake_on_and_on(void *context) {
    while (!atomic_load(&g_over)) {
        for (size_t i = 0; i < WORDS; i++) {
            ael_system_wake_all(&g_words[i]);
        }
    }
    return context;
}

static int takes_each_lock(void) {
    (void)alarm(CHILD_SECONDS); /* a child that hangs is killed, and so the test fails */
    for (size_t i = 0; i < WORDS; i++) {
        ael_system_wake_all(&g_words[i]);
    }
    return 0;
}

/* At nearly every fork a thread holds one of the locks. */
static void test_forked__frees_the_locks_that_the_parents_threads_held(void) {
    pthread_t threads[2];
    atomic_store(&g_over, false);
    for (size_t i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, wake_on_and_on, NULL), 0);
    }
    for (int i = 0; i < FORKS && CU_get_number_of_failures() == 0; i++) {
        CU_ASSERT_EQUAL(child_run(takes_each_lock), 0);
    }
    atomic_store(&g_over, true);
    for (size_t i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL(pthread_join(threads[i], NULL), 0);
    }
}

static void *sleep_and_be_cancelled(void *word) {
    (void)sleep_until_one(word);
    pthread_testcancel();
    return NULL;
}

static void test_sleep__is_no_point_of_cancellation(void) {
    pthread_t thread;
    void *result = NULL;
    atomic_store(&g_words[0], 0);
    atomic_store(&g_asleep, 0);
    atomic_store(&g_awake, 0);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, sleep_and_be_cancelled, &g_words[0]), 0);
    while (atomic_load(&g_asleep) == 0) {
        (void)sched_yield();
    }
    CU_ASSERT_EQUAL(pthread_cancel(thread), 0);
    atomic_store(&g_words[0], 1);
    ael_system_wake_all(&g_words[0]);
    CU_ASSERT_EQUAL(pthread_join(thread, &result), 0);
    CU_ASSERT_EQUAL(atomic_load(&g_awake), 1);
    CU_ASSERT_PTR_EQUAL(result, PTHREAD_CANCELED);
}

static void test_system__has_what_posix_has(void) {
    struct timespec now = {0};
    CU_ASSERT_FALSE(ael_system_barrier_register());
    CU_ASSERT_FALSE(ael_system_barrier());
    CU_ASSERT_TRUE(ael_system_cpu() < 0);
    CU_ASSERT_EQUAL(clock_gettime(ael_system_boot_clock, &now), 0);
    CU_ASSERT_EQUAL(clock_gettime(ael_system_wall_clock, &now), 0);
    ael_system_name_thread(pthread_self(), "nobody");
}

static bool is_readable(const struct ael_system_event *event) {
    struct pollfd fd = {.fd = event->read_fd, .events = POLLIN};
    return poll(&fd, 1, 0) == 1;
}

static void test_event__is_readable_while_it_is_raised(void) {
    struct ael_system_event event;
    CU_ASSERT_TRUE_FATAL(ael_system_event_open(&event));
    for (int i = 0; i < 3; i++) {
        CU_ASSERT_FALSE(is_readable(&event));
        ael_system_event_raise(&event);
        CU_ASSERT_TRUE(is_readable(&event));
        ael_system_event_lower(&event);
    }
    ael_system_event_lower(&event); /* does not block */
    CU_ASSERT_TRUE((fcntl(event.read_fd, F_GETFD) & FD_CLOEXEC) != 0);
    CU_ASSERT_TRUE((fcntl(event.write_fd, F_GETFD) & FD_CLOEXEC) != 0);
    int fd = event.read_fd;
    ael_system_event_close(&event);
    CU_ASSERT_EQUAL(event.read_fd, -1);
    CU_ASSERT_EQUAL(fcntl(fd, F_GETFD), -1);
    ael_system_event_close(&event);
}

static int open_without_descriptors(void) {
    struct rlimit limit = {64, 64};
    struct ael_system_event event;
    /* valgrind keeps the limit that it was started with */
    bool good = under_valgrind() || setrlimit(RLIMIT_NOFILE, &limit) == 0;
    while (dup(STDOUT_FILENO) >= 0) {
    }
    good = good && !ael_system_event_open(&event);
    return good && event.read_fd == -1 && event.write_fd == -1 ? 0 : 1;
}

static void test_event__tells_when_there_is_no_descriptor(void) {
    CU_ASSERT_EQUAL(child_run(open_without_descriptors), 0);
}

static const struct test_case k_cases[] = {
    {"an event is readable while it is raised", test_event__is_readable_while_it_is_raised},
    {"an event tells when there is no descriptor", test_event__tells_when_there_is_no_descriptor},
    {"changed before", test_sleep__ends_at_once_when_the_word_has_changed},
    {"time", test_sleep__lasts_for_the_time},
    {"wakes all", test_wake__ends_all_sleeps_on_the_word},
    {"by turns", test_wake__is_never_lost},
    {"in a child", test_forked__forgets_the_parents_sleepers},
    {"locks in a child", test_forked__frees_the_locks_that_the_parents_threads_held},
    {"cancellation", test_sleep__is_no_point_of_cancellation},
    {"what there is", test_system__has_what_posix_has},
};

TEST_SUITE_MAIN("system_posix", k_cases)
