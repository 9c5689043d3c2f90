/* SPDX-License-Identifier: Apache-2.0 */
#include "securememory/pkey.h"

#include "securememory/pkru.h"
#include "securememory/protected.h"
#include "securememory/sys_seam.h"
#include "tests/support/child.h"
#include "tests/support/failing_sys.h"
#include "tests/support/simulated_pkeys.h"
#include "tests/support/suite.h"

#include <ael/ael.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>

/*
 * The book-keeping of the level pkey on simulated keys, and what a machine without any answers. What faults is shown in
 * a virtual machine (tests/pkey).
 */

enum { LEN = 32, LARGE = 5000, DENIED = AEL_PKRU_NO_ACCESS | AEL_PKRU_NO_WRITE, LOCK_LIMIT = 1024 * 1024 };

static void set_up(enum ael_protection_level level, enum ael_protection_level key_level) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    options.level = level;
    options.key_level = key_level;
    options.minimum = AEL_PROTECTION_LEASED;
    options.secret_slots = 4;
    CU_ASSERT_EQUAL_FATAL(ael_memory_configure(&options, NULL), AEL_OK);
}

static void begin_simulation(void) {
    CU_ASSERT_EQUAL_FATAL(ael_shutdown(0), AEL_OK);
    simulated_pkeys_install(15);
}

static void end_simulation(void) {
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_OK);
    CU_ASSERT_EQUAL(simulated_pkeys_in_use(), 0);
    simulated_pkeys_remove();
}

static unsigned denied(enum ael_pkey key) {
    return simulated_pkeys_rights() >> (2 * ael_pkey_number(key)) & DENIED;
}

static bool all_is_denied(void) {
    return denied(AEL_PKEY_ROOTS) == DENIED && denied(AEL_PKEY_WORK) == DENIED &&
           denied(AEL_PKEY_SECRETS) == DENIED;
}

static struct ael_secret *secret_of(size_t len) {
    uint8_t source[LARGE];
    struct ael_secret *secret = NULL;
    memset(source, 's', sizeof source);
    CU_ASSERT_EQUAL(ael_secret_new(source, len, &secret), AEL_OK);
    return secret;
}

static struct ael_memory_stats stats_now(void) {
    struct ael_memory_stats stats = AEL_MEMORY_STATS_INIT;
    CU_ASSERT_EQUAL(ael_memory_stats(&stats), AEL_OK);
    return stats;
}

/* -- the keys -- */

static void test_configure__puts_each_part_under_its_key_and_frees_the_keys(void) {
    begin_simulation();
    set_up(AEL_PROTECTION_PKEY, AEL_PROTECTION_PKEY);
    const struct ael_protected *memory = ael_protected();
    CU_ASSERT_EQUAL(simulated_pkeys_in_use(), 3);
    CU_ASSERT_EQUAL(stats_now().level, AEL_PROTECTION_PKEY);
    CU_ASSERT_EQUAL(stats_now().key_level, AEL_PROTECTION_PKEY);
    CU_ASSERT_EQUAL(
        simulated_pkeys_key_of(memory->roots.region.pages.bytes), ael_pkey_number(AEL_PKEY_ROOTS));
    CU_ASSERT_EQUAL(
        simulated_pkeys_key_of(memory->scratch.region.pages.bytes), ael_pkey_number(AEL_PKEY_WORK));
    CU_ASSERT_EQUAL(
        simulated_pkeys_key_of(memory->generator.region.pages.bytes), ael_pkey_number(AEL_PKEY_WORK));
    CU_ASSERT_EQUAL(
        simulated_pkeys_key_of(memory->slots.slots[3].pages.bytes), ael_pkey_number(AEL_PKEY_SECRETS));
    CU_ASSERT_TRUE(all_is_denied());
    end_simulation();
    CU_ASSERT_EQUAL(ael_pkey_number(AEL_PKEY_ROOTS), 0);
}

static void check_secrets_work(enum ael_protection_level level, enum ael_protection_level key_level) {
    struct ael_secret_access access;
    set_up(level, key_level);
    for (size_t len = LEN; len <= LARGE; len += LARGE - LEN) {
        struct ael_secret *secret = secret_of(len);
        CU_ASSERT_EQUAL(ael_secret_access_begin(secret, &access), AEL_OK);
        CU_ASSERT_EQUAL(access.bytes.data[len - 1], 's');
        CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_OK);
        ael_secret_release(secret);
    }
}

/* Secrets and the library's own memory have levels of their own. */
static void test_configure__takes_the_keys_it_needs_only(void) {
    begin_simulation();
    check_secrets_work(AEL_PROTECTION_PKEY, AEL_PROTECTION_LEASED);
    CU_ASSERT_EQUAL(simulated_pkeys_in_use(), 1);
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_OK);
    check_secrets_work(AEL_PROTECTION_LEASED, AEL_PROTECTION_PKEY);
    CU_ASSERT_EQUAL(simulated_pkeys_in_use(), 2);
    CU_ASSERT_EQUAL(ael_shutdown(1000), AEL_OK);
    check_secrets_work(AEL_PROTECTION_STRICT, AEL_PROTECTION_LEASED);
    CU_ASSERT_EQUAL(simulated_pkeys_in_use(), 0);
    end_simulation();
}

/* So little that scratch has the fewest slots: with more, memory is set up with less of it when that fails. */
static rlim_t set_lock_limit(rlim_t bytes) {
    struct rlimit limit = {0, 0};
    CU_ASSERT_EQUAL(getrlimit(RLIMIT_MEMLOCK, &limit), 0);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = bytes;
    CU_ASSERT_EQUAL(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
    return before;
}

static void test_configure__gives_keys_back_after_each_failure(void) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    bool failed = true;
    rlim_t limit = set_lock_limit(LOCK_LIMIT);
    options.level = options.key_level = options.minimum = AEL_PROTECTION_PKEY;
    options.secret_slots = 2;
    begin_simulation();
    for (unsigned nth = 1; failed && nth < 500; nth++) {
        struct ael_error err = {AEL_OK, 0, NULL, ""};
        failing_sys_install(FAIL_ANY, nth, ENOMEM, false);
        enum ael_status status = ael_memory_configure(&options, &err);
        failed = failing_sys_remove();
        CU_ASSERT_EQUAL(status != AEL_OK, failed);
        CU_ASSERT_EQUAL(err.status, status);
        CU_ASSERT_EQUAL(simulated_pkeys_in_use(), failed ? 0 : 3);
        CU_ASSERT_EQUAL(simulated_pkeys_rights() & 0x55555554, 0x55555554); /* no key may be used to read */
    }
    CU_ASSERT_FALSE(failed);
    (void)set_lock_limit(limit);
    end_simulation();
}

/* -- asked for, and not there -- */

static void check_answer(enum ael_protection_level minimum, enum ael_status expected, const char *text) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    struct ael_error err = {AEL_OK, 0, NULL, ""};
    options.level = options.key_level = AEL_PROTECTION_PKEY;
    options.minimum = minimum;
    CU_ASSERT_EQUAL(ael_memory_configure(&options, &err), expected);
    CU_ASSERT_EQUAL(err.status, expected);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, text));
    CU_ASSERT_EQUAL(stats_now().level, expected == AEL_OK ? AEL_PROTECTION_STRICT : 0);
    CU_ASSERT_EQUAL(stats_now().key_level, expected == AEL_OK ? AEL_PROTECTION_STRICT : 0);
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_OK);
}

static void
count_fall_backs(void *context, enum ael_log_level level, const char *component, const char *message) {
    (void)component;
    *(int *)context +=
        level == AEL_LOG_WARN && strstr(message, "pkey") != NULL && strstr(message, "strict") != NULL;
}

static void check_answers(const char *text) {
    int reports = 0;
    struct ael_hooks hooks = AEL_HOOKS_INIT;
    hooks.context = &reports;
    hooks.log = count_fall_backs;
    CU_ASSERT_EQUAL(ael_hooks_set(&hooks), AEL_OK);
    check_answer(AEL_PROTECTION_PKEY, AEL_E_PROTECTION, text);
    check_answer(AEL_PROTECTION_STRICT, AEL_E_PROTECTION, "minimum");
    CU_ASSERT_EQUAL(reports, 0);
    check_answer(AEL_PROTECTION_LEASED, AEL_OK, "");
    check_answer(AEL_PROTECTION_OPEN, AEL_OK, "");
    CU_ASSERT_EQUAL(reports, 2);
    CU_ASSERT_EQUAL(ael_hooks_set(NULL), AEL_OK);
}

static bool has_no_pkru(void) {
    return false;
}

static void test_configure__honours_the_minimum_where_there_are_no_keys(void) {
    static struct ael_sys g_without;
    g_without = *ael_sys_native();
    g_without.has_pkru = has_no_pkru;
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_OK);
    ael_sys_set_for_test(&g_without);
    check_answers("PKU");
    ael_sys_set_for_test(NULL);
}

static void test_configure__honours_the_minimum_where_no_key_is_free(void) {
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_OK);
    simulated_pkeys_install(2);
    check_answers("free");
    CU_ASSERT_EQUAL(simulated_pkeys_in_use(), 0);
    simulated_pkeys_remove();
}

static void test_configure__answers_on_this_machine_as_it_is(void) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    options.level = options.minimum = AEL_PROTECTION_PKEY;
    options.key_level = AEL_PROTECTION_PKEY;
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_OK);
    enum ael_status status = ael_memory_configure(&options, NULL);
    CU_ASSERT_EQUAL(status, ael_sys_native()->has_pkru() ? AEL_OK : AEL_E_PROTECTION);
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_OK);
}

static void test_configure__fails_with_another_failure_of_the_system(void) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    options.level = AEL_PROTECTION_PKEY;
    begin_simulation();
    failing_sys_install(FAIL_PKEY_ALLOC, 1, EFAULT, false);
    CU_ASSERT_EQUAL(ael_memory_configure(&options, NULL), AEL_E_SYSTEM);
    CU_ASSERT_TRUE(failing_sys_remove());
    end_simulation();
}

/* -- rights -- */

static void test_access__gives_its_thread_the_right_to_read_secrets_only(void) {
    struct ael_secret_access outer;
    struct ael_secret_access inner;
    begin_simulation();
    set_up(AEL_PROTECTION_PKEY, AEL_PROTECTION_PKEY);
    struct ael_secret *secret = secret_of(LEN);
    struct ael_secret *large = secret_of(LARGE);
    CU_ASSERT_TRUE(all_is_denied());
    CU_ASSERT_EQUAL(ael_secret_access_begin(secret, &outer), AEL_OK);
    CU_ASSERT_EQUAL(denied(AEL_PKEY_SECRETS), AEL_PKRU_NO_WRITE);
    CU_ASSERT_EQUAL(denied(AEL_PKEY_ROOTS), DENIED);
    CU_ASSERT_EQUAL(denied(AEL_PKEY_WORK), DENIED);
    CU_ASSERT_EQUAL(ael_secret_access_begin(large, &inner), AEL_OK);
    CU_ASSERT_EQUAL(inner.bytes.data[LARGE - 1], 's');
    CU_ASSERT_EQUAL(ael_secret_access_end(&outer), AEL_OK);
    CU_ASSERT_EQUAL(denied(AEL_PKEY_SECRETS), AEL_PKRU_NO_WRITE); /* the other access is open */
    CU_ASSERT_EQUAL(ael_secret_access_end(&inner), AEL_OK);
    CU_ASSERT_TRUE(all_is_denied());
    ael_secret_release(large);
    ael_secret_release(secret);
    CU_ASSERT_TRUE(all_is_denied());
    end_simulation();
}

static void test_access__makes_no_system_call_while_the_secret_has_a_slot(void) {
    struct ael_secret_access access;
    begin_simulation();
    set_up(AEL_PROTECTION_PKEY, AEL_PROTECTION_PKEY);
    struct ael_secret *secret = secret_of(LEN);
    CU_ASSERT_EQUAL(ael_secret_access_begin(secret, &access), AEL_OK);
    CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_OK);
    failing_sys_install(FAIL_ANY, 1, ENOMEM, true);
    unsigned writes = simulated_pkeys_writes();
    for (int i = 0; i < 100; i++) {
        CU_ASSERT_EQUAL(ael_secret_access_begin(secret, &access), AEL_OK);
        CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_OK);
    }
    CU_ASSERT_EQUAL(simulated_pkeys_writes() - writes, 200);
    CU_ASSERT_FALSE(failing_sys_remove());
    ael_secret_release(secret);
    end_simulation();
}

static void test_scratch__gives_its_thread_the_right_to_write_work_only(void) {
    struct ael_scratch scratch;
    begin_simulation();
    set_up(AEL_PROTECTION_STRICT, AEL_PROTECTION_PKEY);
    CU_ASSERT_EQUAL(ael_scratch_begin(&scratch, NULL), AEL_OK);
    CU_ASSERT_EQUAL(denied(AEL_PKEY_WORK), 0);
    CU_ASSERT_EQUAL(denied(AEL_PKEY_ROOTS), DENIED);
    CU_ASSERT_EQUAL(ael_scratch_end(&scratch), AEL_OK);
    CU_ASSERT_EQUAL(denied(AEL_PKEY_WORK), DENIED);
    end_simulation();
}

static void test_pkey__counts_readers_and_writers(void) {
    begin_simulation();
    CU_ASSERT_EQUAL(ael_pkeys_take(1U << AEL_PKEY_SECRETS, NULL), AEL_OK);
    ael_pkey_begin(AEL_PKEY_SECRETS, false);
    ael_pkey_begin(AEL_PKEY_SECRETS, true);
    CU_ASSERT_EQUAL(denied(AEL_PKEY_SECRETS), 0);
    ael_pkey_end_writing(AEL_PKEY_SECRETS);
    CU_ASSERT_EQUAL(denied(AEL_PKEY_SECRETS), AEL_PKRU_NO_WRITE);
    ael_pkey_begin(AEL_PKEY_SECRETS, true);
    ael_pkey_end(AEL_PKEY_SECRETS);
    CU_ASSERT_EQUAL(denied(AEL_PKEY_SECRETS), 0); /* until the last one */
    CU_ASSERT_TRUE(ael_pkey_is_used_here(AEL_PKEY_SECRETS));
    ael_pkey_end(AEL_PKEY_SECRETS);
    CU_ASSERT_EQUAL(denied(AEL_PKEY_SECRETS), DENIED);
    ael_pkey_end(AEL_PKEY_SECRETS); /* nothing begun */
    CU_ASSERT_FALSE(ael_pkey_is_used_here(AEL_PKEY_SECRETS));
    CU_ASSERT_EQUAL(denied(AEL_PKEY_SECRETS), DENIED);
    ael_pkeys_give_back();
    end_simulation();
}

/* The host denies itself to read under its key 9, and that stays so; and a right does not outlive its key. */
static void test_pkey__leaves_other_keys_alone_and_keeps_no_right_on_a_key_given_back(void) {
    static const uint32_t k_host = UINT32_C(1) << (2 * 9);
    begin_simulation();
    simulated_pkeys_set_rights(k_host);
    CU_ASSERT_EQUAL(ael_pkeys_take(1U << AEL_PKEY_ROOTS, NULL), AEL_OK);
    int number = ael_pkey_number(AEL_PKEY_ROOTS);
    ael_pkey_begin(AEL_PKEY_ROOTS, true);
    CU_ASSERT_EQUAL(simulated_pkeys_rights(), k_host);
    ael_pkeys_give_back();
    ael_pkey_end(AEL_PKEY_ROOTS);
    CU_ASSERT_EQUAL(simulated_pkeys_rights(), k_host | (uint32_t)DENIED << (2 * number));
    end_simulation();
}

static void test_pkey__heals_a_handler_that_has_no_rights(void) {
    struct ael_secret_access outer;
    struct ael_secret_access inner;
    begin_simulation();
    set_up(AEL_PROTECTION_PKEY, AEL_PROTECTION_PKEY);
    struct ael_secret *secret = secret_of(LEN);
    CU_ASSERT_EQUAL(ael_secret_access_begin(secret, &outer), AEL_OK);
    simulated_pkeys_set_rights(0x55555554); /* as the kernel does on the way into a handler */
    CU_ASSERT_EQUAL(ael_secret_access_begin(secret, &inner), AEL_OK);
    CU_ASSERT_EQUAL(denied(AEL_PKEY_SECRETS), AEL_PKRU_NO_WRITE);
    CU_ASSERT_EQUAL(ael_secret_access_end(&inner), AEL_OK);
    simulated_pkeys_set_rights(0x55555554);
    ael_rights_resume(); /* after siglongjmp */
    CU_ASSERT_EQUAL(denied(AEL_PKEY_SECRETS), AEL_PKRU_NO_WRITE);
    CU_ASSERT_EQUAL(ael_secret_access_end(&outer), AEL_OK);
    ael_secret_release(secret);
    end_simulation();
}

/* -- threads that are born with rights -- */

static uint32_t g_born_with;

static void *use_library(void *secret) {
    struct ael_secret_access access;
    simulated_pkeys_set_rights(g_born_with);
    CU_ASSERT_EQUAL(denied(AEL_PKEY_SECRETS), AEL_PKRU_NO_WRITE);
    CU_ASSERT_EQUAL(ael_secret_access_begin(secret, &access), AEL_OK);
    CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_OK);
    CU_ASSERT_TRUE(all_is_denied());
    return NULL;
}

static void *resume(void *unused) {
    simulated_pkeys_set_rights(g_born_with);
    ael_rights_resume();
    CU_ASSERT_TRUE(all_is_denied());
    return unused;
}

static void run(void *(*fn)(void *), void *argument) {
    pthread_t thread;
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, fn, argument), 0);
    CU_ASSERT_EQUAL(pthread_join(thread, NULL), 0);
}

static void test_pkey__takes_from_a_thread_the_rights_that_it_was_born_with(void) {
    struct ael_secret_access access;
    begin_simulation();
    set_up(AEL_PROTECTION_PKEY, AEL_PROTECTION_PKEY);
    struct ael_secret *secret = secret_of(LEN);
    CU_ASSERT_EQUAL(ael_secret_access_begin(secret, &access), AEL_OK);
    g_born_with = simulated_pkeys_rights();
    run(use_library, secret);
    run(resume, NULL);
    CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_OK);
    ael_secret_release(secret);
    end_simulation();
}

static void test_rights_suspend__closes_until_they_are_resumed(void) {
    struct ael_secret_access access;
    begin_simulation();
    set_up(AEL_PROTECTION_PKEY, AEL_PROTECTION_PKEY);
    struct ael_secret *secret = secret_of(LEN);
    CU_ASSERT_EQUAL(ael_secret_access_begin(secret, &access), AEL_OK);
    ael_rights_suspend();
    ael_rights_suspend();
    CU_ASSERT_TRUE(all_is_denied());
    ael_rights_resume();
    CU_ASSERT_EQUAL(denied(AEL_PKEY_SECRETS), AEL_PKRU_NO_WRITE);
    CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_OK);
    ael_rights_suspend();
    ael_rights_resume();
    CU_ASSERT_TRUE(all_is_denied());
    ael_secret_release(secret);
    end_simulation();
}

/* -- fork -- */

static struct ael_secret *g_secret;
static struct ael_secret_access g_access;

static int use_in_child(void) {
    struct ael_secret_access access;
    if (!all_is_denied() || ael_secret_access_end(&g_access) != AEL_E_FORKED || !all_is_denied()) {
        return 1;
    }
    if (ael_secret_access_begin(g_secret, &access) != AEL_OK || access.bytes.data[0] != 's' ||
        denied(AEL_PKEY_SECRETS) != AEL_PKRU_NO_WRITE || denied(AEL_PKEY_ROOTS) != DENIED) {
        return 2;
    }
    if (simulated_pkeys_key_of(access.bytes.data) != ael_pkey_number(AEL_PKEY_SECRETS)) {
        return 3;
    }
    return ael_secret_access_end(&access) == AEL_OK && ael_shutdown(0) == AEL_OK &&
                   simulated_pkeys_in_use() == 0
               ? 0
               : 4;
}

static int only_shut_down(void) {
    return ael_shutdown(0) == AEL_OK && simulated_pkeys_in_use() == 0 ? 0 : 1;
}

static int fail_to_set_up(void) {
    struct ael_secret_access access;
    bool failed = true;
    (void)set_lock_limit(LOCK_LIMIT);
    for (unsigned nth = 1; failed; nth++) {
        failing_sys_install(FAIL_ANY, nth, ENOMEM, false);
        enum ael_status status = ael_secret_access_begin(g_secret, &access);
        failed = failing_sys_remove();
        if (nth > 500 || (status == AEL_OK) == failed) {
            return 1;
        }
    }
    return access.bytes.data[0] == 's' && ael_secret_access_end(&access) == AEL_OK && all_is_denied() ? 0 : 2;
}

static void test_fork__closes_the_child_and_hands_the_keys_over(void) {
    begin_simulation();
    set_up(AEL_PROTECTION_PKEY, AEL_PROTECTION_PKEY);
    g_secret = secret_of(LEN);
    CU_ASSERT_EQUAL(ael_secret_access_begin(g_secret, &g_access), AEL_OK);
    CU_ASSERT_EQUAL(child_run(use_in_child), 0);
    CU_ASSERT_EQUAL(child_run(only_shut_down), 0);
    CU_ASSERT_EQUAL(child_run(fail_to_set_up), 0);
    CU_ASSERT_EQUAL(denied(AEL_PKEY_SECRETS), AEL_PKRU_NO_WRITE);
    CU_ASSERT_EQUAL(ael_secret_access_end(&g_access), AEL_OK);
    ael_secret_release(g_secret);
    end_simulation();
}

/* -- all of it -- */

static void test_secrets__of_all_sizes_leave_no_rights_behind(void) {
    static const size_t k_lengths[] = {1, 32, AEL_SCRATCH_BYTES, AEL_SCRATCH_BYTES + 1, 4000, 4001, 20000};
    begin_simulation();
    set_up(AEL_PROTECTION_PKEY, AEL_PROTECTION_PKEY);
    for (size_t i = 0; i < sizeof k_lengths / sizeof k_lengths[0]; i++) {
        struct ael_secret *secret = NULL;
        struct ael_secret_access access;
        CU_ASSERT_EQUAL(ael_secret_new_random(k_lengths[i], &secret), AEL_OK);
        CU_ASSERT_TRUE(all_is_denied());
        CU_ASSERT_EQUAL(ael_secret_access_begin(secret, &access), AEL_OK);
        CU_ASSERT_EQUAL(denied(AEL_PKEY_SECRETS), AEL_PKRU_NO_WRITE);
        CU_ASSERT_EQUAL(simulated_pkeys_key_of(access.bytes.data), ael_pkey_number(AEL_PKEY_SECRETS));
        CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_OK);
        CU_ASSERT_EQUAL(ael_secret_close(secret), AEL_OK);
        CU_ASSERT_TRUE(all_is_denied());
        ael_secret_release(secret);
    }
    end_simulation();
}

static const struct test_case k_cases[] = {
    {"each part its key", test_configure__puts_each_part_under_its_key_and_frees_the_keys},
    {"no keys without need", test_configure__takes_the_keys_it_needs_only},
    {"each failing system call", test_configure__gives_keys_back_after_each_failure},
    {"no keys here", test_configure__honours_the_minimum_where_there_are_no_keys},
    {"no key free", test_configure__honours_the_minimum_where_no_key_is_free},
    {"this machine", test_configure__answers_on_this_machine_as_it_is},
    {"another failure", test_configure__fails_with_another_failure_of_the_system},
    {"an access reads secrets", test_access__gives_its_thread_the_right_to_read_secrets_only},
    {"no system call", test_access__makes_no_system_call_while_the_secret_has_a_slot},
    {"scratch", test_scratch__gives_its_thread_the_right_to_write_work_only},
    {"counts", test_pkey__counts_readers_and_writers},
    {"the host's keys", test_pkey__leaves_other_keys_alone_and_keeps_no_right_on_a_key_given_back},
    {"a signal handler", test_pkey__heals_a_handler_that_has_no_rights},
    {"threads born with rights", test_pkey__takes_from_a_thread_the_rights_that_it_was_born_with},
    {"suspend and resume", test_rights_suspend__closes_until_they_are_resumed},
    {"fork", test_fork__closes_the_child_and_hands_the_keys_over},
    {"secrets of all sizes", test_secrets__of_all_sizes_leave_no_rights_behind},
};

TEST_SUITE_MAIN("pkey", k_cases)
