/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/soak.h"
#include "tests/support/suite.h"

#include <ael/memory.h>
#include <ael/secret.h>

#include <dirent.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/*
 * What accesses cost and when pages are shut, seen from outside: the system calls by strace, which runs this program again
 * with the name of a scenario; the protection of a page by /proc/self/maps; the threads by /proc/self/task.
 */

enum { LEN = 32, NESTED = 1000, HOT = 10000000, LEASE_US = 1000, BUSY_THREADS = 16, MOST_SAMPLES = 10000 };

static int g_failures;

static void require(enum ael_status status) {
    g_failures += status != AEL_OK;
}

static struct ael_secret *
set_up(enum ael_protection_level level, enum ael_protection_level key_level, uint32_t lease_us) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    struct ael_secret *secret = NULL;
    options.level = level;
    options.key_level = key_level;
    options.lease_us = lease_us;
    require(ael_shutdown(1000));
    require(ael_memory_configure(&options, NULL));
    require(ael_secret_new_random(LEN, &secret));
    return secret;
}

static const uint8_t *read_once(struct ael_secret *secret) {
    struct ael_secret_access access;
    require(ael_secret_access_begin(secret, &access));
    const uint8_t *bytes = access.bytes.data;
    g_failures += bytes == NULL || access.bytes.len != LEN;
    (void)*(const volatile uint8_t *)bytes; /* SIGSEGV if it is shut */
    require(ael_secret_access_end(&access));
    return bytes;
}

/* ---- the scenarios that strace watches ---- */

/* A system call that fails and stands out in the log. */
static void mark(const char *text) {
    ssize_t failed = write(-1, text, strlen(text));
    (void)failed;
}

/* The first access of all fills a slot; the lone one finds it. */
static void run_strict(void) {
    struct ael_secret_access outer;
    struct ael_secret *secret = set_up(AEL_PROTECTION_STRICT, AEL_PROTECTION_STRICT, 0);
    (void)read_once(secret);
    mark("lone begins");
    (void)read_once(secret);
    mark("lone ends");
    require(ael_secret_access_begin(secret, &outer));
    mark("nested begins");
    for (int i = 0; i < NESTED; i++) {
        (void)read_once(secret);
    }
    mark("nested ends");
    require(ael_secret_access_end(&outer));
    ael_secret_release(secret);
}

static void run_leased(void) {
    struct ael_secret *secret = set_up(AEL_PROTECTION_LEASED, AEL_PROTECTION_STRICT, AEL_LEASE_US_MAX);
    (void)read_once(secret);
    mark("leased begins");
    for (int i = 0; i < HOT; i++) {
        (void)read_once(secret);
    }
    mark("leased ends");
    ael_secret_release(secret);
}

static int run_scenario(const char *name) {
    strcmp(name, "strict") == 0 ? run_strict() : run_leased();
    require(ael_shutdown(1000));
    return g_failures == 0 ? 0 : 1;
}

/* ---- what strace wrote ---- */

static char g_log[64];
static char g_self[512];

static bool trace(const char *scenario) {
    char command[1024];
    ssize_t len = readlink("/proc/self/exe", g_self, sizeof g_self - 1);
    (void)snprintf(g_log, sizeof g_log, "/tmp/ael-access-cost.%d", (int)getpid());
    int wanted = snprintf(
        command, sizeof command, "ASAN_OPTIONS=detect_leaks=0 strace -f -o '%s' '%s' %s", g_log,
        len > 0 ? g_self : "", scenario);
    return len > 0 && (size_t)wanted < sizeof command && system(command) == 0;
}

struct calls {
    bool whole;   /* both marks were there */
    int all;      /* of the thread that set the marks */
    int opening;  /* mprotect to PROT_READ */
    int shutting; /* mprotect to PROT_NONE */
};

/* A call that another thread's interrupted in the log has a second line, which is not counted. */
static void count_line(struct calls *calls, const char *line) {
    bool protects = strstr(line, " mprotect(") != NULL;
    calls->all += strstr(line, " resumed>") == NULL;
    calls->opening += protects && strstr(line, ", PROT_READ") != NULL && strstr(line, "PROT_READ|") == NULL;
    calls->shutting += protects && strstr(line, ", PROT_NONE") != NULL;
}

/* Each line begins with the number of its thread. */
static struct calls calls_between(const char *from, const char *to) {
    struct calls calls = {false, 0, 0, 0};
    char line[1024];
    long thread = 0;
    FILE *log = fopen(g_log, "r");
    while (log != NULL && !calls.whole && fgets(line, sizeof line, log) != NULL) {
        long of = strtol(line, NULL, 10);
        if (thread == 0) {
            thread = strstr(line, from) != NULL ? of : 0;
        } else if (of == thread) {
            calls.whole = strstr(line, to) != NULL;
            if (!calls.whole) {
                count_line(&calls, line);
            }
        }
    }
    if (log != NULL) {
        (void)fclose(log);
    }
    return calls;
}

static void test_access__at_strict_is_two_calls_alone_and_none_when_nested(void) {
    CU_ASSERT_TRUE_FATAL(trace("strict"));
    struct calls lone = calls_between("\"lone begins\"", "\"lone ends\"");
    CU_ASSERT_TRUE(lone.whole);
    CU_ASSERT_EQUAL(lone.all, 2);
    CU_ASSERT_EQUAL(lone.opening, 1);
    CU_ASSERT_EQUAL(lone.shutting, 1);
    struct calls nested = calls_between("\"nested begins\"", "\"nested ends\"");
    CU_ASSERT_TRUE(nested.whole);
    CU_ASSERT_EQUAL(nested.all, 0);
    (void)unlink(g_log);
}

static void test_access__inside_a_lease_is_no_call(void) {
    CU_ASSERT_TRUE_FATAL(trace("leased"));
    struct calls hot = calls_between("\"leased begins\"", "\"leased ends\"");
    CU_ASSERT_TRUE(hot.whole);
    CU_ASSERT_EQUAL(hot.all, 0);
    (void)unlink(g_log);
}

/* ---- when the page is shut ---- */

static int64_t now_ns(void) {
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* PROT_NONE, as the kernel tells it. */
static bool is_inaccessible(const uint8_t *address) {
    char line[512];
    char rights[5] = "";
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps != NULL && !found && fgets(line, sizeof line, maps) != NULL) {
        uintptr_t start = 0;
        uintptr_t end = 0;
        found = sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s", &start, &end, rights) == 3 &&
                start <= (uintptr_t)address && (uintptr_t)address < end;
    }
    if (maps != NULL) {
        (void)fclose(maps);
    }
    return found && strncmp(rights, "---", 3) == 0;
}

/* From the end of an access until the page is seen shut; negative when that was not in half a minute. */
static int64_t time_to_shut(struct ael_secret *secret) {
    const uint8_t *address = read_once(secret);
    int64_t start = now_ns();
    int64_t now = start;
    while (!is_inaccessible(address) && now - start < INT64_C(30) * 1000000000) {
        now = now_ns();
    }
    return is_inaccessible(address) ? now_ns() - start : -1;
}

static int compare_times(const void *a_, const void *b_) {
    const int64_t *a = a_;
    const int64_t *b = b_;
    return (*a > *b) - (*a < *b);
}

static void print_times(const char *when, int64_t *times, int count) {
    qsort(times, (size_t)count, sizeof *times, compare_times);
    printf(
        "\n  %s: a page is shut %.2f ms (median), %.2f (p99), %.2f (p99.9) after the access; lease 1 ms, %d "
        "samples ",
        when, (double)times[count / 2] / 1e6, (double)times[count * 99 / 100] / 1e6,
        (double)times[count * 999 / 1000] / 1e6, count);
}

static void check_shutting(const char *when, int count) {
    static int64_t times[MOST_SAMPLES];
    struct ael_secret *secret = set_up(AEL_PROTECTION_LEASED, AEL_PROTECTION_LEASED, LEASE_US);
    int shut = 0;
    for (int i = 0; i < count; i++) {
        times[i] = time_to_shut(secret);
        shut += times[i] >= 0;
    }
    CU_ASSERT_EQUAL(shut, count);
    CU_ASSERT_EQUAL(g_failures, 0);
    print_times(when, times, count);
    ael_secret_release(secret);
}

static void test_lease__shows_the_page_shut_when_idle(void) {
    check_shutting("idle", soak_count(500, MOST_SAMPLES));
}

static atomic_bool g_over;

static void *be_busy(void *context) {
    while (!atomic_load_explicit(&g_over, memory_order_relaxed)) {
    }
    return context;
}

static void test_lease__shows_the_page_shut_when_busy(void) {
    pthread_t threads[BUSY_THREADS];
    atomic_store(&g_over, false);
    for (int i = 0; i < BUSY_THREADS; i++) {
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, be_busy, NULL), 0);
    }
    check_shutting("with 16 busy threads", soak_count(40, MOST_SAMPLES));
    atomic_store(&g_over, true);
    for (int i = 0; i < BUSY_THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
    }
}

/* ---- threads ---- */

static int threads_of_this_process(void) {
    int count = 0;
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *at = tasks == NULL ? NULL : readdir(tasks); at != NULL; at = readdir(tasks)) {
        count += at->d_name[0] != '.';
    }
    if (tasks != NULL) {
        (void)closedir(tasks);
    }
    return count;
}

static int threads_at(enum ael_protection_level level, enum ael_protection_level key_level) {
    struct ael_secret *secret = set_up(level, key_level, 0);
    (void)read_once(secret);
    int threads = threads_of_this_process();
    ael_secret_release(secret);
    return threads;
}

static void test_levels__without_a_lease_have_no_thread(void) {
    CU_ASSERT_EQUAL(ael_shutdown(1000), AEL_OK);
    int before = threads_of_this_process(); /* a sanitizer has its own */
    CU_ASSERT_EQUAL(threads_at(AEL_PROTECTION_STRICT, AEL_PROTECTION_STRICT), before);
    CU_ASSERT_EQUAL(threads_at(AEL_PROTECTION_STRICT, AEL_PROTECTION_OPEN), before);
    CU_ASSERT_EQUAL(threads_at(AEL_PROTECTION_STRICT, AEL_PROTECTION_LEASED), before + 1);
    CU_ASSERT_EQUAL(threads_at(AEL_PROTECTION_LEASED, AEL_PROTECTION_STRICT), before + 1);
    CU_ASSERT_EQUAL(ael_shutdown(1000), AEL_OK);
    CU_ASSERT_EQUAL(threads_of_this_process(), before);
    CU_ASSERT_EQUAL(g_failures, 0);
}

static const struct test_case k_cases[] = {
    {"strict: system calls", test_access__at_strict_is_two_calls_alone_and_none_when_nested},
    {"leased: system calls", test_access__inside_a_lease_is_no_call},
    {"leased: shut when idle", test_lease__shows_the_page_shut_when_idle},
    {"leased: shut when busy", test_lease__shows_the_page_shut_when_busy},
    {"threads", test_levels__without_a_lease_have_no_thread},
};

int main(int argc, char **argv) {
    return argc > 1 ? run_scenario(argv[1])
                    : test_suite_run("access_cost", k_cases, sizeof k_cases / sizeof k_cases[0]);
}
