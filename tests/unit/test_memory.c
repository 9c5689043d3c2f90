/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "securememory/hot_keys.h"
#include "securememory/random.h"
#include "securememory/scratch.h"
#include "securememory/scratch_pool.h"
#include "securememory/sealed_key.h"
#include "securememory/secret_state.h"
#include "securememory/sys_seam.h"
#include "tests/support/child.h"
#include "tests/support/failing_sys.h"
#include "tests/support/gate.h"
#include "tests/support/suite.h"

#include <ael/hooks.h>
#include <ael/memory.h>
#include <ael/secret.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static struct ael_secret *secret_of(size_t len) {
    static uint8_t source[8192];
    struct ael_secret *secret = NULL;
    memset(source, 's', len);
    return ael_secret_new(source, len, &secret) == AEL_OK ? secret : NULL;
}

static struct ael_memory_stats stats_now(void) {
    struct ael_memory_stats stats = AEL_MEMORY_STATS_INIT;
    CU_ASSERT_EQUAL(ael_memory_stats(&stats), AEL_OK);
    return stats;
}

static void check_round_trip(void) {
    struct ael_secret *secret = secret_of(32);
    struct ael_secret_access access;
    CU_ASSERT_PTR_NOT_NULL_FATAL(secret);
    CU_ASSERT_EQUAL(ael_secret_access_begin(secret, &access), AEL_OK);
    CU_ASSERT_EQUAL(access.bytes.data[31], 's');
    CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_OK);
    ael_secret_release(secret);
}

static void test_memory_stats__are_zero_before_set_up(void) {
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_OK);
    struct ael_memory_stats stats = stats_now();
    CU_ASSERT_EQUAL(stats.secret_slots, 0);
    CU_ASSERT_EQUAL(stats.locked_bytes, 0);
    CU_ASSERT_EQUAL(stats.backing, AEL_BACKING_AUTO);
    CU_ASSERT_STRING_EQUAL(ael_protection_level_name(stats.level), "none");
}

static void test_memory_stats__write_no_more_than_asked(void) {
    struct ael_memory_stats stats;
    memset(&stats, 0xee, sizeof stats);
    stats.size = offsetof(struct ael_memory_stats, secrets_in_use);
    CU_ASSERT_EQUAL(ael_memory_stats(&stats), AEL_OK);
    CU_ASSERT_EQUAL(stats.size, offsetof(struct ael_memory_stats, secrets_in_use));
    CU_ASSERT_EQUAL(stats.secrets_in_use, UINT64_C(0xeeeeeeeeeeeeeeee));
    stats.size = 0;
    CU_ASSERT_EQUAL(ael_memory_stats(&stats), AEL_E_ARGUMENT);
    stats.size = sizeof stats + 1;
    CU_ASSERT_EQUAL(ael_memory_stats(&stats), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_memory_stats(NULL), AEL_E_ARGUMENT);
}

static void test_memory__has_names(void) {
    CU_ASSERT_STRING_EQUAL(ael_protection_level_name(AEL_PROTECTION_STRICT), "strict");
    CU_ASSERT_STRING_EQUAL(ael_protection_level_name(AEL_PROTECTION_PKEY), "pkey");
    CU_ASSERT_STRING_EQUAL(ael_backing_name(AEL_BACKING_AUTO), "auto");
    CU_ASSERT_STRING_EQUAL(ael_backing_name(AEL_BACKING_MEMFD_SECRET), "memfd_secret");
    CU_ASSERT_STRING_EQUAL(ael_backing_name(AEL_BACKING_ANONYMOUS), "anonymous");
}

static void check_refused(const struct ael_memory_options *options, enum ael_status expected) {
    struct ael_error err = {AEL_OK, 0, NULL, ""};
    CU_ASSERT_EQUAL(ael_memory_configure(options, &err), expected);
    CU_ASSERT_EQUAL(err.status, expected);
    CU_ASSERT_NOT_EQUAL(err.detail[0], '\0');
    CU_ASSERT_EQUAL(stats_now().locked_bytes, 0);
}

static void test_memory_configure__refuses_bad_options(void) {
    static const struct ael_memory_options k_good = AEL_MEMORY_OPTIONS_INIT;
    struct ael_memory_options options = k_good;
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_OK);
    options.size--;
    check_refused(&options, AEL_E_ARGUMENT);
    options = k_good;
    options.level = AEL_PROTECTION_OPEN;
    check_refused(&options, AEL_E_UNSUPPORTED);
    options = k_good;
    options.key_level = (enum ael_protection_level)20;
    check_refused(&options, AEL_E_UNSUPPORTED);
    options = k_good;
    options.minimum = AEL_PROTECTION_STRICT;
    check_refused(&options, AEL_E_PROTECTION);
    options = k_good;
    options.lease_us = AEL_LEASE_US_MAX + 1;
    check_refused(&options, AEL_E_ARGUMENT);
    options = k_good;
    options.minimum = (enum ael_protection_level)41;
    check_refused(&options, AEL_E_PROTECTION);
    options = k_good;
    options.backing = (enum ael_backing)9;
    check_refused(&options, AEL_E_ARGUMENT);
    options = k_good;
    options.secret_slots = 5000;
    check_refused(&options, AEL_E_ARGUMENT);
    options = k_good;
    options.backing = AEL_BACKING_MEMFD_SECRET;
    options.no_mlock = true;
    check_refused(&options, AEL_E_ARGUMENT);
}

static void test_memory_configure__works_once_until_shut_down(void) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    struct ael_error err = {AEL_OK, 0, NULL, ""};
    options.backing = AEL_BACKING_ANONYMOUS;
    options.secret_slots = 3;
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_OK);
    CU_ASSERT_EQUAL(ael_memory_configure(&options, NULL), AEL_OK);
    CU_ASSERT_EQUAL(ael_memory_configure(NULL, &err), AEL_E_STATE);
    struct ael_memory_stats stats = stats_now();
    CU_ASSERT_EQUAL(stats.backing, AEL_BACKING_ANONYMOUS);
    CU_ASSERT_EQUAL(stats.level, AEL_PROTECTION_STRICT);
    CU_ASSERT_EQUAL(stats.secret_slots, 3);
    size_t scratch_bytes = stats.scratch_slots * AEL_SCRATCH_STRIDE;
    size_t scratch_pages = (scratch_bytes + ael_sys_page_bytes() - 1) / ael_sys_page_bytes();
    size_t pages = 2 + scratch_pages + 2 + 3;
    CU_ASSERT_EQUAL(stats.locked_bytes, pages * ael_sys_page_bytes() + stats.hot_keys * AEL_HOT_KEY_BYTES);
    CU_ASSERT_TRUE(stats.locked);
    check_round_trip();
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_OK);
    CU_ASSERT_EQUAL(stats_now().locked_bytes, 0);
}

static void
count_warnings(void *context, enum ael_log_level level, const char *component, const char *message) {
    (void)component;
    *(int *)context += level == AEL_LOG_WARN && strstr(message, "no_mlock") != NULL;
}

static void test_memory_configure__reports_that_nothing_is_locked(void) {
    int warnings = 0;
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    struct ael_hooks hooks = AEL_HOOKS_INIT;
    hooks.context = &warnings;
    hooks.log = count_warnings;
    options.no_mlock = true;
    CU_ASSERT_EQUAL(ael_hooks_set(&hooks), AEL_OK);
    CU_ASSERT_EQUAL(ael_memory_configure(&options, NULL), AEL_OK);
    CU_ASSERT_EQUAL(warnings, 1);
    CU_ASSERT_FALSE(stats_now().locked);
    CU_ASSERT_EQUAL(stats_now().locked_bytes, 0);
    check_round_trip();
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_OK);
    CU_ASSERT_EQUAL(ael_hooks_set(NULL), AEL_OK);
}

/* -- shutting down -- */

static void check_all_closed(struct ael_secret *secret) {
    struct ael_secret_access access;
    uint8_t out[8192];
    CU_ASSERT_EQUAL(ael_secret_access_begin(secret, &access), AEL_E_CLOSED);
    CU_ASSERT_EQUAL(ael_secret_open_into(secret, out, sizeof out), AEL_E_CLOSED);
    CU_ASSERT_TRUE(ael_secret_is_closed(secret));
    CU_ASSERT_EQUAL(ael_secret_close(secret), AEL_OK);
    ael_secret_release(secret);
}

static void test_shutdown__closes_what_was_made_before(void) {
    struct ael_secret *small = secret_of(32);
    struct ael_secret *large = secret_of(5000);
    struct ael_secret *third = secret_of(32);
    struct ael_secret_access access;
    CU_ASSERT_EQUAL(ael_secret_access_begin(small, &access), AEL_OK);
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_E_BUSY);
    CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_OK);
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_OK);
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_OK);
    check_all_closed(small);
    check_round_trip(); /* all anew */
    check_all_closed(third);
    check_all_closed(large);
}

static void test_shutdown__times_out_while_an_operation_runs(void) {
    struct ael_scratch scratch;
    struct ael_secret *secret = secret_of(32);
    CU_ASSERT_EQUAL(ael_scratch_begin(&scratch, NULL), AEL_OK);
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_E_TIMEOUT);
    CU_ASSERT_EQUAL(ael_shutdown(1), AEL_E_TIMEOUT);
    check_round_trip();
    CU_ASSERT_EQUAL(ael_scratch_end(&scratch), AEL_OK);
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_OK);
    ael_secret_release(secret);
}

/* -- failures -- */

static size_t g_usual_slots; /* of scratch */

/* Memory is set up without hot keys, and with less scratch. */
static bool goes_with_less(enum ael_status status) {
    bool less = stats_now().hot_keys == 0 || stats_now().scratch_slots < g_usual_slots;
    if (status != AEL_OK || !less) {
        return false;
    }
    check_round_trip();
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_OK);
    return true;
}

static void sweep_set_up(enum ael_backing backing, int code) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    bool failed = true;
    options.backing = backing;
    options.secret_slots = 2;
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_OK);
    for (unsigned nth = 1; failed; nth++) {
        struct ael_error err = {AEL_OK, 0, NULL, ""};
        failing_sys_install(FAIL_ANY, nth, code, false);
        enum ael_status status = ael_memory_configure(&options, &err);
        failed = failing_sys_remove();
        CU_ASSERT_TRUE(nth < 500);
        bool was_mine = failing_sys_was_mine();
        CU_ASSERT_EQUAL(status != AEL_OK, was_mine && !goes_with_less(status));
        CU_ASSERT_EQUAL(err.status, status);
        if (status != AEL_OK) {
            CU_ASSERT_EQUAL(failing_sys_mapped_bytes(), 0);
            CU_ASSERT_EQUAL(stats_now().locked_bytes, 0);
        }
        if (failed && !was_mine) { /* the warden's, which tries again: the same once more */
            CU_ASSERT_EQUAL(ael_shutdown(0), AEL_OK);
            nth--;
        }
    }
    check_round_trip();
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_OK);
}

static bool has_memfd_secret(void) {
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_OK);
    CU_ASSERT_EQUAL(ael_memory_configure(NULL, NULL), AEL_OK);
    bool has = stats_now().backing == AEL_BACKING_MEMFD_SECRET;
    g_usual_slots = stats_now().scratch_slots;
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_OK);
    return has;
}

static void test_memory_configure__survives_each_failing_system_call(void) {
    bool secret = has_memfd_secret();
    sweep_set_up(AEL_BACKING_ANONYMOUS, ENOMEM);
    sweep_set_up(AEL_BACKING_ANONYMOUS, EINVAL);
    if (secret) {
        sweep_set_up(AEL_BACKING_MEMFD_SECRET, ENOMEM);
        sweep_set_up(AEL_BACKING_MEMFD_SECRET, EAGAIN);
    }
}

static int fail_always(void *context) {
    (void)context;
    return 1;
}

static void test_memory_configure__reports_want_of_memory(void) {
    struct ael_error err = {AEL_OK, 0, NULL, ""};
    ael_alloc_set_fault(fail_always, NULL);
    CU_ASSERT_EQUAL(ael_memory_configure(NULL, &err), AEL_E_NO_MEMORY);
    ael_alloc_set_fault(NULL, NULL);
    CU_ASSERT_EQUAL(err.status, AEL_E_NO_MEMORY);
    CU_ASSERT_EQUAL(stats_now().locked_bytes, 0);
}

static void test_memory__reports_set_up_failures_from_every_door(void) {
    uint8_t bytes[32] = {1};
    struct ael_scratch scratch;
    struct ael_sealed_key sealed;
    static const struct ael_key_binding k_binding;
    struct ael_secret *secret = NULL;
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_OK);
    failing_sys_install(FAIL_MMAP, 1, ENOMEM, true);
    CU_ASSERT_EQUAL(ael_random_fill(bytes, sizeof bytes), AEL_E_NO_MEMORY);
    CU_ASSERT_EQUAL(bytes[0], 0);
    CU_ASSERT_EQUAL(ael_scratch_begin(&scratch, NULL), AEL_E_NO_MEMORY);
    CU_ASSERT_EQUAL(ael_sealed_key_make(bytes, &k_binding, &sealed), AEL_E_NO_MEMORY);
    CU_ASSERT_EQUAL(ael_secret_new(bytes, sizeof bytes, &secret), AEL_E_NO_MEMORY);
    (void)failing_sys_remove();
}

/* -- limits, in children -- */

enum { OPEN_AT_ONCE = 6 }; /* the slots that are to be had */

static int works_in_64_kib(void) {
    struct ael_memory_stats stats = AEL_MEMORY_STATS_INIT;
    struct ael_secret *secrets[100];
    struct ael_secret_access access[OPEN_AT_ONCE];
    for (int i = 0; i < 100; i++) {
        secrets[i] = secret_of(32);
        if (secrets[i] == NULL) {
            return 1;
        }
    }
    for (int i = 0; i < 100 * OPEN_AT_ONCE; i++) {
        if (ael_secret_access_begin(secrets[i % 100], &access[i % OPEN_AT_ONCE]) != AEL_OK) {
            return 2;
        }
        for (int j = 0; i % OPEN_AT_ONCE == OPEN_AT_ONCE - 1 && j < OPEN_AT_ONCE; j++) {
            if (ael_secret_access_end(&access[j]) != AEL_OK) {
                return 3;
            }
        }
    }
    if (ael_memory_stats(&stats) != AEL_OK || stats.locked_bytes > 60 * 1024 ||
        stats.secret_slots != OPEN_AT_ONCE) {
        return 4;
    }
    if (secret_of(8192) != NULL) {
        return 5; /* three more pages do not fit */
    }
    for (int i = 0; i < 100; i++) {
        ael_secret_release(secrets[i]);
    }
    return ael_shutdown(0) == AEL_OK ? 0 : 6;
}

static int works_in_64_kib_anonymous(void) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    options.backing = AEL_BACKING_ANONYMOUS;
    return ael_memory_configure(&options, NULL) == AEL_OK ? works_in_64_kib() : 100;
}

/* In the sentence: the pages of scratch depend on the engines that a build may have. */
static const char *needed_bytes(void) {
    return AEL_SCRATCH_LEAST_BYTES > 4 * 4096 ? "61440" : "57344";
}

static int refused_with(enum ael_backing backing) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    struct ael_error err = {AEL_OK, 0, NULL, ""};
    struct ael_secret *secret = NULL;
    uint8_t bytes[32];
    memset(bytes, 1, sizeof bytes);
    options.backing = backing;
    if (ael_memory_configure(&options, &err) != AEL_E_LOCK_LIMIT || err.status != AEL_E_LOCK_LIMIT) {
        return 1;
    }
    if (strstr(err.detail, "RLIMIT_MEMLOCK is 0 bytes") == NULL ||
        strstr(err.detail, needed_bytes()) == NULL || strstr(err.detail, "ulimit -l") == NULL) {
        return 2;
    }
    return ael_secret_new(bytes, sizeof bytes, &secret) == AEL_E_LOCK_LIMIT && bytes[0] == 0 ? 0 : 3;
}

static int refused_without_limit(void) {
    return refused_with(AEL_BACKING_AUTO);
}

static int refused_without_limit_anonymous(void) {
    return refused_with(AEL_BACKING_ANONYMOUS);
}

static void test_memory__works_in_64_kib_of_locked_memory(void) {
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_OK);
    CU_ASSERT_EQUAL(child_run_with_lock_limit(64 * 1024, works_in_64_kib), 0);
    CU_ASSERT_EQUAL(child_run_with_lock_limit(64 * 1024, works_in_64_kib_anonymous), 0);
}

static void test_memory__names_the_limit_when_nothing_may_be_locked(void) {
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_OK);
    CU_ASSERT_EQUAL(child_run_with_lock_limit(0, refused_without_limit), 0);
    CU_ASSERT_EQUAL(child_run_with_lock_limit(0, refused_without_limit_anonymous), 0);
}

/* -- a child that the fork handlers did not see -- */

enum { CHILD_SECONDS = 60 }; /* a child that hangs is killed, and so the test fails */

static int use_in_raw_child(void) {
    struct ael_scratch scratch;
    uint8_t bytes[32] = {1};
    struct ael_secret *secret = NULL;
    struct ael_error err = {AEL_OK, 0, NULL, ""};
    return ael_scratch_begin(&scratch, NULL) == AEL_E_FORKED && ael_random_fill(bytes, 32) == AEL_E_FORKED &&
                   ael_secret_new(bytes, 32, &secret) == AEL_E_FORKED &&
                   ael_memory_configure(NULL, &err) == AEL_E_FORKED && ael_shutdown(0) == AEL_E_FORKED &&
                   ael_shutdown(1000) == AEL_E_FORKED
               ? 0
               : 1;
}

/* As fork, but that nobody is told. s390 has the arguments the other way round. */
static pid_t raw_clone(void) {
#ifdef __s390__
    return (pid_t)syscall(SYS_clone, NULL, SIGCHLD, NULL, NULL, NULL);
#else
    return (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
#endif
}

/* Returns the child's result, or 1000 + the signal that ended it. */
static int run_in_raw_child(int (*fn)(void)) {
    int status = 0;
    pid_t child = raw_clone();
    if (child == 0) {
        (void)signal(SIGSEGV, SIG_DFL);
        (void)alarm(CHILD_SECONDS);
        _exit(fn());
    }
    CU_ASSERT_FATAL(child > 0);
    CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : CHILD_KILLED + WTERMSIG(status);
}

static struct ael_secret *g_of_before;
static struct ael_secret_reader *g_reader_of_before;

/* malloc may be locked for ever there. What was freed would be wiped, its length with it. */
static int release_in_raw_child(void) {
    ael_secret_reader_free(g_reader_of_before);
    ael_secret_release(g_of_before);
    bool good = atomic_load(&g_of_before->holders.holders) == 2 && ael_secret_len(g_of_before) == 32;
    return good && ael_secret_close(g_of_before) == AEL_E_FORKED ? 0 : 1;
}

static void test_release__does_nothing_in_a_child_of_a_raw_clone(void) {
    CU_ASSERT_EQUAL_FATAL(ael_secret_new_random(32, &g_of_before), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_secret_reader_new(g_of_before, &g_reader_of_before), AEL_OK);
    CU_ASSERT_EQUAL(run_in_raw_child(release_in_raw_child), 0);
    ael_secret_reader_free(g_reader_of_before);
    ael_secret_release(g_of_before);
}

static void test_memory__refuses_everything_in_a_child_of_a_raw_clone(void) {
    check_round_trip();
    CU_ASSERT_EQUAL(run_in_raw_child(use_in_raw_child), 0);
    check_round_trip();
}

static void test_shutdown__refuses_in_a_child_of_a_raw_clone_also_when_nothing_is_set_up(void) {
    check_round_trip();
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_OK);
    CU_ASSERT_EQUAL(run_in_raw_child(use_in_raw_child), 0);
    check_round_trip();
}

static struct ael_secret *g_inherited;
static struct ael_secret_access g_open;

static int end_inherited_in_raw_child(void) {
    struct ael_memory_stats stats = AEL_MEMORY_STATS_INIT;
    if (ael_shutdown(0) != AEL_E_FORKED || ael_secret_close(g_inherited) != AEL_E_FORKED) {
        return 1;
    }
    if (ael_secret_access_end(&g_open) != AEL_E_FORKED || ael_shutdown(0) != AEL_E_FORKED) {
        return 2;
    }
    ael_secret_release(g_inherited);
    return ael_memory_stats(&stats) == AEL_OK && stats.secret_slots == 0 ? 0 : 3;
}

static void test_shutdown__refuses_in_a_child_of_a_raw_clone_with_an_access_open(void) {
    g_inherited = secret_of(32);
    CU_ASSERT_EQUAL(ael_secret_access_begin(g_inherited, &g_open), AEL_OK);
    CU_ASSERT_EQUAL(run_in_raw_child(end_inherited_in_raw_child), 0);
    CU_ASSERT_EQUAL(g_open.bytes.data[0], 's');
    CU_ASSERT_EQUAL(ael_secret_access_end(&g_open), AEL_OK);
    ael_secret_release(g_inherited);
}

/* Another thread holds the lock of set-up, which nobody gives back in the child. */
static struct gate g_gate = GATE_INIT;
static struct ael_sys g_slow_table;

static void *mmap_behind_gate(void *address, size_t len, int protection, int flags, int fd, off_t offset) {
    gate_pass(&g_gate);
    return ael_sys_native()->mmap(address, len, protection, flags, fd, offset);
}

static void *set_up(void *context) {
    *(enum ael_status *)context = ael_memory_configure(NULL, NULL);
    return NULL;
}

static void test_shutdown__does_not_hang_in_a_child_of_a_raw_clone_made_during_set_up(void) {
    enum ael_status status = AEL_E_STATE;
    pthread_t thread;
    check_round_trip(); /* from here on children are told apart */
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_OK);
    g_slow_table = *ael_sys_native();
    g_slow_table.mmap = mmap_behind_gate;
    ael_sys_set_for_test(&g_slow_table);
    gate_shut(&g_gate);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, set_up, &status), 0);
    gate_wait_for(&g_gate, 1);
    CU_ASSERT_EQUAL(run_in_raw_child(use_in_raw_child), 0);
    gate_open(&g_gate);
    (void)pthread_join(thread, NULL);
    ael_sys_set_for_test(NULL);
    CU_ASSERT_EQUAL(status, AEL_OK);
    check_round_trip();
}

static const struct test_case k_cases[] = {
    {"zeros before set-up", test_memory_stats__are_zero_before_set_up},
    {"size of statistics", test_memory_stats__write_no_more_than_asked},
    {"names", test_memory__has_names},
    {"bad options", test_memory_configure__refuses_bad_options},
    {"once until shut down", test_memory_configure__works_once_until_shut_down},
    {"not locked", test_memory_configure__reports_that_nothing_is_locked},
    {"shut-down closes", test_shutdown__closes_what_was_made_before},
    {"shut-down times out", test_shutdown__times_out_while_an_operation_runs},
    {"each failing system call", test_memory_configure__survives_each_failing_system_call},
    {"want of memory", test_memory_configure__reports_want_of_memory},
    {"failures from every door", test_memory__reports_set_up_failures_from_every_door},
    {"64 KiB", test_memory__works_in_64_kib_of_locked_memory},
    {"no locked memory", test_memory__names_the_limit_when_nothing_may_be_locked},
    {"raw clone", test_memory__refuses_everything_in_a_child_of_a_raw_clone},
    {"raw clone, release", test_release__does_nothing_in_a_child_of_a_raw_clone},
    {"raw clone of nothing", test_shutdown__refuses_in_a_child_of_a_raw_clone_also_when_nothing_is_set_up},
    {"raw clone in an access", test_shutdown__refuses_in_a_child_of_a_raw_clone_with_an_access_open},
    {"raw clone during set-up", test_shutdown__does_not_hang_in_a_child_of_a_raw_clone_made_during_set_up},
};

TEST_SUITE_MAIN("memory", k_cases)
