/*
 * test_hardening.c - ael_harden: in children, because none of it can be taken back.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ael/hardening.h>
#include <ael/memory.h>
#include <ael/secret.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/child.h"
#include "tests/support/failing_sys.h"
#include "tests/support/suite.h"

enum { NOBODY = 65534 };

static const struct ael_hardening k_nothing = AEL_HARDENING_INIT;
static const struct ael_hardening k_all = {sizeof(struct ael_hardening), true, true, true};

static bool are_equal(const struct ael_hardening *a, const struct ael_hardening *b) {
    return a->no_core_dumps == b->no_core_dumps && a->not_dumpable == b->not_dumpable &&
           a->no_new_privileges == b->no_new_privileges;
}

/* A child starts with a soft limit of 0 and a hard one above (tests/support/child.c), dumpable, with new privileges,
 * unless whoever runs the tests has chosen otherwise. */
static struct ael_hardening true_state(void) {
    struct ael_hardening state = AEL_HARDENING_INIT;
    struct rlimit limit = {1, 1};
    state.no_core_dumps = getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_cur == 0 && limit.rlim_max == 0;
    state.not_dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0;
    state.no_new_privileges = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
    return state;
}

/* Returns 0 when exactly the wanted ones came to be, once and again. */
static int harden_and_look(const struct ael_hardening *wanted) {
    struct ael_hardening before = true_state();
    struct ael_hardening told = AEL_HARDENING_INIT;
    struct ael_hardening expected = {
        sizeof expected, wanted->no_core_dumps || before.no_core_dumps,
        wanted->not_dumpable || before.not_dumpable, wanted->no_new_privileges || before.no_new_privileges};
    for (int i = 0; i < 2; i++) {
        if (ael_harden(wanted, &told, NULL) != AEL_OK) {
            return 1;
        }
        struct ael_hardening now = true_state();
        if (!are_equal(&now, &expected) || !are_equal(&told, &expected)) {
            return 2;
        }
    }
    return 0;
}

static int harden_nothing(void) {
    struct ael_hardening told = AEL_HARDENING_INIT;
    struct ael_hardening before = true_state();
    int wrong = harden_and_look(&k_nothing);
    bool good = ael_harden(NULL, &told, NULL) == AEL_OK && are_equal(&told, &before) &&
                ael_harden(NULL, NULL, NULL) == AEL_OK;
    return wrong != 0 ? wrong : good ? 0 : 3;
}

static int harden_core_dumps(void) {
    struct ael_hardening wanted = AEL_HARDENING_INIT;
    wanted.no_core_dumps = true;
    return harden_and_look(&wanted);
}

static int harden_dumpable(void) {
    struct ael_hardening wanted = AEL_HARDENING_INIT;
    wanted.not_dumpable = true;
    return harden_and_look(&wanted);
}

static int harden_privileges(void) {
    struct ael_hardening wanted = AEL_HARDENING_INIT;
    wanted.no_new_privileges = true;
    return harden_and_look(&wanted);
}

static int harden_all(void) {
    return harden_and_look(&k_all);
}

static void test_harden__puts_each_choice_in_force_and_no_other(void) {
    CU_ASSERT_EQUAL(child_run(harden_nothing), 0);
    CU_ASSERT_EQUAL(child_run(harden_core_dumps), 0);
    CU_ASSERT_EQUAL(child_run(harden_dumpable), 0);
    CU_ASSERT_EQUAL(child_run(harden_privileges), 0);
    CU_ASSERT_EQUAL(child_run(harden_all), 0);
    struct ael_hardening here = true_state();
    CU_ASSERT_TRUE(!here.not_dumpable); /* nothing came up to this process */
}

/* -- what the header says of side effects -- */

static int fork_and_ask(bool (*is_so)(void)) {
    int state = -1;
    pid_t child = fork();
    if (child == 0) {
        _exit(is_so() ? 0 : 1);
    }
    return child > 0 && waitpid(child, &state, 0) == child && WIFEXITED(state) ? WEXITSTATUS(state) : 2;
}

static bool everything_is_in_force(void) {
    struct ael_hardening now = true_state();
    return are_equal(&now, &k_all);
}

static int children_inherit(void) {
    return ael_harden(&k_all, NULL, NULL) == AEL_OK ? fork_and_ask(everything_is_in_force) : 3;
}

static int owner_of_proc_self(void) {
    struct stat about;
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/maps", (int)getpid());
    return stat(path, &about) == 0 ? (int)about.st_uid : -1;
}

/* As a user of no privileges, to whom its own files belong before and not after. */
static int proc_becomes_roots(void) {
    if (geteuid() == 0 && setresuid(NOBODY, NOBODY, NOBODY) != 0) {
        return 1;
    }
    if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0 || owner_of_proc_self() != (int)geteuid()) {
        return 2;
    }
    struct ael_hardening wanted = AEL_HARDENING_INIT;
    wanted.not_dumpable = true;
    if (ael_harden(&wanted, NULL, NULL) != AEL_OK) {
        return 3;
    }
    FILE *file = fopen("/proc/self/mem", "re");
    bool refused = file == NULL && errno == EACCES;
    if (file != NULL) {
        (void)fclose(file);
    }
    return refused && owner_of_proc_self() == 0 ? 0 : 4;
}

static int g_turns[2];

static void *tell_privileges(void *context) {
    uint8_t byte = 0;
    bool *restricted = context;
    if (read(g_turns[0], &byte, 1) == 1) {
        *restricted = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
    }
    return NULL;
}

/* A thread that is there already, and one that starts later. */
static int threads_that_were_there_are_not_covered(void) {
    pthread_t threads[2];
    bool before = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
    bool restricted[2] = {false, false};
    struct ael_hardening wanted = AEL_HARDENING_INIT;
    wanted.no_new_privileges = true;
    if (pipe(g_turns) != 0 || pthread_create(&threads[0], NULL, tell_privileges, &restricted[0]) != 0 ||
        ael_harden(&wanted, NULL, NULL) != AEL_OK ||
        pthread_create(&threads[1], NULL, tell_privileges, &restricted[1]) != 0 ||
        write(g_turns[1], "go", 2) != 2) {
        return 1;
    }
    (void)pthread_join(threads[0], NULL);
    (void)pthread_join(threads[1], NULL);
    return restricted[0] == before && restricted[1] ? 0 : 2;
}

static void test_harden__has_the_side_effects_that_are_documented(void) {
    CU_ASSERT_EQUAL(child_run(children_inherit), 0);
    CU_ASSERT_EQUAL(child_run(proc_becomes_roots), 0);
    CU_ASSERT_EQUAL(child_run(threads_that_were_there_are_not_covered), 0);
}

/* Protected memory works as before, and is not changed by it. */
static int memory_works_hardened(void) {
    uint8_t source[32] = {7};
    struct ael_secret *secret = NULL;
    struct ael_secret_access access;
    bool good = ael_harden(&k_all, NULL, NULL) == AEL_OK && ael_secret_new(source, 32, &secret) == AEL_OK &&
                ael_secret_access_begin(secret, &access) == AEL_OK && access.bytes.data[0] == 7 &&
                ael_secret_access_end(&access) == AEL_OK;
    ael_secret_release(secret);
    return good && ael_shutdown(1000) == AEL_OK && everything_is_in_force() ? 0 : 1;
}

static int memory_alone_hardens_nothing(void) {
    struct ael_hardening before = true_state();
    bool good = ael_memory_configure(NULL, NULL) == AEL_OK && ael_shutdown(1000) == AEL_OK;
    struct ael_hardening now = true_state();
    return good && are_equal(&before, &now) ? 0 : 1;
}

static void test_memory__neither_needs_nor_does_it(void) {
    CU_ASSERT_EQUAL(child_run(memory_works_hardened), 0);
    CU_ASSERT_EQUAL(child_run(memory_alone_hardens_nothing), 0);
}

/* -- refusals -- */

static void test_harden__refuses_structs_of_another_size(void) {
    struct ael_hardening wrong = k_all;
    struct ael_hardening told = AEL_HARDENING_INIT;
    struct ael_error err = {AEL_OK, 0, NULL, ""};
    struct ael_hardening before = true_state();
    wrong.size = sizeof wrong - 1;
    CU_ASSERT_EQUAL(ael_harden(&wrong, &told, &err), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(err.status, AEL_E_ARGUMENT);
    told.size = 0;
    CU_ASSERT_EQUAL(ael_harden(&k_all, &told, NULL), AEL_E_ARGUMENT);
    struct ael_hardening now = true_state();
    CU_ASSERT_TRUE(are_equal(&before, &now));
}

/* The nth call of a kind is refused: those before it are in force, those behind it are not, and the error names it. */
static int
check_refusal(enum failing_call kind, unsigned nth, const char *name, struct ael_hardening expected) {
    struct ael_error err = {AEL_OK, 0, NULL, ""};
    struct ael_hardening told = AEL_HARDENING_INIT;
    failing_sys_install(kind, nth, EPERM, false);
    enum ael_status status = ael_harden(&k_all, &told, &err);
    bool failed = failing_sys_remove();
    struct ael_hardening now = true_state();
    if (!failed || status != AEL_E_SYSTEM || err.status != AEL_E_SYSTEM || err.native_code != EPERM ||
        strstr(err.detail, name) == NULL) {
        return 1;
    }
    if (!are_equal(&now, &expected) || !are_equal(&told, &expected)) {
        return 2;
    }
    return ael_harden(&k_all, NULL, NULL) == AEL_OK && everything_is_in_force() ? 0 : 3;
}

static int core_dumps_are_refused(void) {
    struct ael_hardening expected = true_state();
    if (expected.no_core_dumps) {
        return 0; /* in force before, and so for good: there is nothing to be refused */
    }
    return check_refusal(FAIL_SETRLIMIT, 1, "RLIMIT_CORE", expected);
}

/* The first prctl asks, the second sets. */
static int dumpable_is_refused(void) {
    struct ael_hardening expected = true_state();
    expected.no_core_dumps = true;
    return check_refusal(FAIL_PRCTL, 2, "PR_SET_DUMPABLE", expected);
}

static int privileges_are_refused(void) {
    struct ael_hardening expected = true_state();
    if (expected.no_new_privileges) {
        return 0; /* in force before: there is nothing to be refused */
    }
    expected.no_core_dumps = true;
    expected.not_dumpable = true;
    return check_refusal(FAIL_PRCTL, 5, "PR_SET_NO_NEW_PRIVS", expected);
}

/* What cannot be asked for is not said to be in force. */
static int unknown_is_not_in_force(void) {
    struct ael_hardening told = k_all;
    failing_sys_install(FAIL_PRCTL, 1, EINVAL, true);
    enum ael_status status = ael_harden(NULL, &told, NULL);
    (void)failing_sys_remove();
    bool good = status == AEL_OK && !told.not_dumpable && !told.no_new_privileges;
    told = k_all;
    failing_sys_install(FAIL_GETRLIMIT, 1, EINVAL, true);
    good = ael_harden(NULL, &told, NULL) == AEL_OK && !told.no_core_dumps && good;
    (void)failing_sys_remove();
    return good ? 0 : 1;
}

static void test_harden__names_what_the_system_refuses(void) {
    CU_ASSERT_EQUAL(child_run(core_dumps_are_refused), 0);
    CU_ASSERT_EQUAL(child_run(dumpable_is_refused), 0);
    CU_ASSERT_EQUAL(child_run(privileges_are_refused), 0);
    CU_ASSERT_EQUAL(child_run(unknown_is_not_in_force), 0);
}

static const struct test_case k_cases[] = {
    {"each choice", test_harden__puts_each_choice_in_force_and_no_other},
    {"side effects", test_harden__has_the_side_effects_that_are_documented},
    {"protected memory", test_memory__neither_needs_nor_does_it},
    {"sizes", test_harden__refuses_structs_of_another_size},
    {"refusals", test_harden__names_what_the_system_refuses},
};

TEST_SUITE_MAIN("hardening", k_cases)
