/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/child.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CANNOT_LIMIT = 126, NOBODY = 65534 };

/* So that the coverage of what children do counts, too. */
#ifdef AEL_COVERAGE
extern void __gcov_dump(void);
static void keep_coverage(void) {
    __gcov_dump();
}
#else
static void keep_coverage(void) {
}
#endif

static void become_plain(void) {
    struct rlimit limit = {0, 0};
    (void)getrlimit(RLIMIT_CORE, &limit);
    limit.rlim_cur = 0; /* the hard one stays: test_hardening looks at it */
    (void)setrlimit(RLIMIT_CORE, &limit);
    (void)signal(SIGSEGV, SIG_DFL);
    (void)signal(SIGBUS, SIG_DFL);
}

static void leave(int result) {
    keep_coverage();
    _exit(result);
}

static int result_of(pid_t child) {
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) {
        return -1;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : CHILD_KILLED + WTERMSIG(status);
}

int child_run(int (*fn)(void)) {
    pid_t child = fork();
    if (child == 0) {
        become_plain();
        leave(fn());
    }
    return result_of(child);
}

/* see tests/support/child.h */
pid_t child_start(int (*fn)(void *), void *context) {
    pid_t child = fork();
    if (child == 0) {
        become_plain();
        leave(fn(context));
    }
    return child;
}

/* see tests/support/child.h */
int child_wait(pid_t child) {
    return result_of(child);
}

int child_run_with_lock_limit(size_t bytes, int (*fn)(void)) {
    pid_t child = fork();
    if (child == 0) {
        struct rlimit limit = {bytes, bytes};
        become_plain();
        if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0 ||
            (geteuid() == 0 && setresuid(NOBODY, NOBODY, NOBODY) != 0)) {
            leave(CANNOT_LIMIT);
        }
        leave(fn());
    }
    return result_of(child);
}
