/*
 * tests/unit/test_kms_pkcs11_faults.c - a PKCS#11 module, its helper and its host fail at the wrong moment: no wrong key, no lost
 * one, no PIN shown again, nothing left behind.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/support/suite.h"
#include "tests/support/under.h"

#include <ael/kms_pkcs11.h>
#include <ael/sys/kms_backend.h>

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static struct ael_error s_err;
static char s_file[] = "/tmp/ael-strange.XXXXXX";

/* With the module that does what `what` says. */
static inline struct ael_kms_pkcs11_options on_strange(const char *what) {
    struct ael_kms_pkcs11_options options = AEL_KMS_PKCS11_OPTIONS_INIT;
    CU_ASSERT_EQUAL_FATAL(setenv("AEL_STRANGE", what, 1), 0);
    options.module = AEL_TEST_PKCS11_STRANGE;
    options.token = "strange";
    options.key = "key";
    options.helper = AEL_TEST_PKCS11_HELPER;
    options.environment = "AEL_STRANGE,AEL_STRANGE_FILE";
    return options;
}

static inline struct ael_kms *make(const struct ael_kms_pkcs11_options *options) {
    struct ael_kms *kms = NULL;
    CU_ASSERT_EQUAL_FATAL(ael_kms_pkcs11_new(options, &kms, &s_err), AEL_OK);
    return kms;
}

static inline enum ael_status right_pin(void *context, struct ael_secret **pin) {
    uint8_t text[] = {'1', '2', '3', '4'};
    (void)context;
    return ael_secret_new(text, sizeof text, pin);
}

/* Encrypts a key of 32 such bytes. */
static inline enum ael_status
encrypt(struct ael_kms *kms, uint8_t byte, uint32_t timeout_ms, struct ael_buf *out, struct ael_error *err) {
    uint8_t bytes[32];
    struct ael_secret *key = NULL;
    struct ael_call call = AEL_CALL_INIT;
    memset(bytes, byte, sizeof bytes);
    call.deadline_ns = ael_deadline_in_ms(timeout_ms);
    if (ael_secret_new(bytes, sizeof bytes, &key) != AEL_OK) {
        return AEL_E_NO_MEMORY;
    }
    enum ael_status status = ael_kms_encrypt_key(kms, &call, key, out, err);
    ael_secret_release(key);
    return status;
}

static inline enum ael_status once(struct ael_kms *kms) {
    struct ael_buf out = AEL_BUF_INIT;
    enum ael_status status = encrypt(kms, 7, 20000, &out, &s_err);
    ael_buf_clear(&out);
    return status;
}

static inline enum ael_status first(const struct ael_kms_pkcs11_options *options) {
    struct ael_kms *kms = make(options);
    enum ael_status status = once(kms);
    ael_kms_release(kms);
    return status;
}

static inline bool said(const char *part) {
    return strstr(s_err.detail, part) != NULL;
}

static inline void clear_file(void) {
    (void)unlink(s_file);
    CU_ASSERT_EQUAL_FATAL(setenv("AEL_STRANGE_FILE", s_file, 1), 0);
}

static inline long size_of_file(void) {
    struct stat info;
    return stat(s_file, &info) == 0 ? (long)info.st_size : 0;
}

/* Some child of the process, or 0. */
static inline pid_t child_of(pid_t parent) {
    char path[64];
    char line[64] = "";
    (void)snprintf(path, sizeof path, "/proc/%d/task", (int)parent);
    DIR *tasks = opendir(path);
    for (struct dirent *task = tasks == NULL ? NULL : readdir(tasks); task != NULL && line[0] == '\0';
         task = readdir(tasks)) {
        char children[400];
        (void)snprintf(children, sizeof children, "%s/%s/children", path, task->d_name);
        FILE *file = fopen(children, "r");
        if (file != NULL) {
            (void)!fgets(line, sizeof line, file);
            (void)fclose(file);
        }
    }
    if (tasks != NULL) {
        (void)closedir(tasks);
    }
    return (pid_t)strtol(line, NULL, 10);
}

static inline pid_t wait_for_child_of(pid_t parent) {
    pid_t child = 0;
    for (int i = 0; i < 1000 && child == 0; i++) {
        child = child_of(parent);
        (void)poll(NULL, 0, 10);
    }
    return child;
}

/* ---- answers ---- */

/* What it made of a key of such bytes gives that key back, or there was a failure. */
static bool keeps(struct ael_kms *kms, uint8_t byte) {
    uint8_t wanted[32];
    struct ael_buf out = AEL_BUF_INIT;
    enum ael_status status = encrypt(kms, byte, 20000, &out, &s_err);
    memset(wanted, byte ^ 0x5a, sizeof wanted);
    bool good = status != AEL_OK || (out.len == 60 && memcmp(out.data, wanted, sizeof wanted) == 0);
    ael_buf_clear(&out);
    return good;
}

static void test_kms_pkcs11__takes_no_answer_for_that_to_another_question(void) {
    struct ael_kms_pkcs11_options options = on_strange("answer-twice");
    struct ael_kms *kms = make(&options);
    for (uint8_t i = 0; i < 4; i++) {
        CU_ASSERT(keeps(kms, i));
        (void)poll(NULL, 0, 300); /* the other answer has come */
    }
    ael_kms_release(kms);
}

static void test_kms_pkcs11__has_another_session_for_one_that_fails(void) {
    struct ael_kms_pkcs11_options options = on_strange("sick");
    struct ael_kms *kms = make(&options);
    for (int i = 0; i < 6; i++) {
        CU_ASSERT_EQUAL(once(kms), AEL_OK);
    }
    ael_kms_release(kms);
}

static void test_kms_pkcs11_encrypt__looks_whether_it_can_be_decrypted(void) {
    struct ael_kms_pkcs11_options options = on_strange("noise");
    CU_ASSERT_EQUAL(first(&options), AEL_E_BACKEND);
    options = on_strange("");
    CU_ASSERT_EQUAL(first(&options), AEL_OK);
}

static void test_kms_pkcs11_decrypt__refuses_damage_under_a_key_that_only_decrypts(void) {
    static const uint8_t k_damaged[60] = {1};
    struct ael_kms_pkcs11_options options = on_strange("only-decrypts");
    struct ael_kms *kms = make(&options);
    for (int i = 0; i < 7; i++) {
        struct ael_secret *key = NULL;
        CU_ASSERT_EQUAL(
            ael_kms_decrypt_key(kms, NULL, (struct ael_bytes){k_damaged, sizeof k_damaged}, &key, &s_err),
            AEL_E_KMS);
        CU_ASSERT(said("damaged"));
        CU_ASSERT_PTR_NULL(key);
    }
    ael_kms_release(kms);
}

/* ---- log-ins ---- */

static void test_kms_pkcs11__shows_a_pin_again_that_a_failure_kept_from_being_looked_at(void) {
    struct ael_kms_pkcs11_options options = on_strange("gone-at-login");
    options.pin = right_pin;
    struct ael_kms *kms = make(&options);
    CU_ASSERT_EQUAL(once(kms), AEL_E_UNREACHABLE);
    CU_ASSERT(said("gone"));
    (void)on_strange("");
    CU_ASSERT_EQUAL(once(kms), AEL_OK);
    ael_kms_release(kms);
}

/* It was not looked at, so that it cannot lock the token. */
static void test_kms_pkcs11__shows_a_pin_again_when_another_user_has_left(void) {
    struct ael_kms_pkcs11_options options = on_strange("other-logged-in");
    options.pin = right_pin;
    struct ael_kms *kms = make(&options);
    for (int i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL(once(kms), AEL_E_UNREACHABLE);
        CU_ASSERT(said("another user"));
    }
    (void)on_strange("");
    CU_ASSERT_EQUAL(once(kms), AEL_OK);
    ael_kms_release(kms);
}

/* A PIN that was never accepted, shown where it is not known whether it counted as a wrong one. */
static void show_in_doubt(const char *what, enum ael_status wanted) {
    struct ael_kms_pkcs11_options options = on_strange(what);
    options.pin = right_pin;
    options.try_timeout_ms = 1500;
    clear_file();
    struct ael_kms *kms = make(&options);
    for (int i = 0; i < 4 && size_of_file() < 3;
         i++) { /* one that hangs is waited for again before it is ended */
        enum ael_status status = once(kms);
        if (status == AEL_E_KMS) {
            break;
        }
        CU_ASSERT_EQUAL(status, wanted);
    }
    for (int i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL(once(kms), AEL_E_KMS);
        CU_ASSERT(said("not shown again"));
    }
    CU_ASSERT_EQUAL(size_of_file(), 2);
    ael_kms_release(kms);
}

static void test_kms_pkcs11__shows_a_pin_twice_at_most_where_nothing_is_told_of_it(void) {
    show_in_doubt("hang-at-login", AEL_E_TIMEOUT);
    show_in_doubt("failed-at-login", AEL_E_UNREACHABLE);
}

static void test_kms_pkcs11__shows_a_pin_again_that_was_accepted_once(void) {
    struct ael_kms_pkcs11_options options = on_strange("sick");
    options.pin = right_pin;
    struct ael_kms *kms = make(&options);
    CU_ASSERT_EQUAL(once(kms), AEL_OK);
    (void)on_strange("failed-at-login");
    pid_t helper = child_of(getpid());
    CU_ASSERT_FATAL(helper > 0);
    CU_ASSERT_EQUAL(kill(helper, SIGKILL), 0);
    for (int i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL(once(kms), AEL_E_UNREACHABLE);
    }
    (void)on_strange("");
    CU_ASSERT_EQUAL(once(kms), AEL_OK);
    ael_kms_release(kms);
}
/* One after the other, for callers who have less time than it takes. */
static void test_kms_pkcs11__goes_on_with_a_log_in_that_its_caller_had_no_time_for(void) {
    struct ael_kms_pkcs11_options options = on_strange("slow-at-login");
    struct ael_buf out = AEL_BUF_INIT;
    enum ael_status status = AEL_E_TIMEOUT;
    options.pin = right_pin;
    clear_file();
    struct ael_kms *kms = make(&options);
    CU_ASSERT_EQUAL(encrypt(kms, 1, 20000, &out, &s_err), AEL_OK);
    CU_ASSERT_EQUAL(kill(child_of(getpid()), SIGKILL), 0);
    for (int i = 0; i < 50 && status == AEL_E_TIMEOUT; i++) {
        status = encrypt(kms, 1, 200, &out, &s_err);
    }
    CU_ASSERT_EQUAL(status, AEL_OK);
    CU_ASSERT_EQUAL(size_of_file(), 2);
    ael_buf_clear(&out);
    ael_kms_release(kms);
}

/* ---- sessions and deadlines ---- */

enum { CALLERS = 6 };

static void *call(void *kms) {
    static _Thread_local struct ael_error err;
    struct ael_buf out = AEL_BUF_INIT;
    enum ael_status status = encrypt(kms, 3, 20000, &out, &err);
    ael_buf_clear(&out);
    return status == AEL_OK ? kms : NULL;
}

static void test_kms_pkcs11__makes_do_with_the_sessions_that_the_token_opens(void) {
    struct ael_kms_pkcs11_options options = on_strange("one-session");
    pthread_t threads[CALLERS];
    unsigned good = 0;
    clear_file();
    struct ael_kms *kms = make(&options);
    for (int i = 0; i < CALLERS; i++) {
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, call, kms), 0);
    }
    for (int i = 0; i < CALLERS; i++) {
        void *back = NULL;
        CU_ASSERT_EQUAL(pthread_join(threads[i], &back), 0);
        good += back == kms ? 1 : 0;
    }
    CU_ASSERT_EQUAL(good, CALLERS);
    ael_kms_release(kms);
}

static void test_kms_pkcs11__is_not_left_alone_because_callers_had_no_time(void) {
    struct ael_kms_pkcs11_options options = on_strange("slow");
    struct ael_buf out = AEL_BUF_INIT;
    struct ael_kms *kms = make(&options);
    for (int i = 0; i < 7; i++) {
        CU_ASSERT_EQUAL(encrypt(kms, 1, 20, &out, &s_err), AEL_E_TIMEOUT);
    }
    CU_ASSERT_EQUAL(once(kms), AEL_OK);
    ael_buf_clear(&out);
    ael_kms_release(kms);
}

/* ---- ends ---- */

static void on_signal(int number) {
    (void)number;
}

static void test_kms_pkcs11__leaves_no_dead_helper_behind_among_signals(void) {
    const struct sigaction look = {.sa_handler = on_signal};
    const struct itimerval often = {{0, 200}, {0, 200}};
    const struct itimerval never = {{0, 0}, {0, 0}};
    struct sigaction before;
    struct ael_kms_pkcs11_options options = on_strange("");
    CU_ASSERT_EQUAL_FATAL(sigaction(SIGALRM, &look, &before), 0);
    for (int i = 0; i < 8; i++) {
        struct ael_kms *kms = make(&options);
        CU_ASSERT_EQUAL(once(kms), AEL_OK);
        CU_ASSERT_EQUAL(setitimer(ITIMER_REAL, &often, NULL), 0);
        ael_kms_release(kms);
        CU_ASSERT_EQUAL(setitimer(ITIMER_REAL, &never, NULL), 0);
        CU_ASSERT_EQUAL(child_of(getpid()), 0);
    }
    CU_ASSERT_EQUAL(sigaction(SIGALRM, &before, NULL), 0);
}

static void test_kms_pkcs11__sees_a_crash_where_a_child_of_the_module_lives_on(void) {
    if (under_valgrind()) {
        return; /* it knows no pidfds, without which the end is seen by the timeout */
    }
    struct ael_kms_pkcs11_options options = on_strange("fork-and-crash");
    options.try_timeout_ms = 3000;
    CU_ASSERT_EQUAL(first(&options), AEL_E_UNREACHABLE);
    CU_ASSERT(said("crashed"));
}

static void test_kms_pkcs11__shows_the_socket_to_no_program_of_the_module(void) {
    struct ael_kms_pkcs11_options options = on_strange("show-children");
    CU_ASSERT_EQUAL(first(&options), AEL_OK);
}

/* A host without standard error: what it writes there must not be a question, and no file of the module's gets its number. */
static void test_kms_pkcs11__works_in_a_host_without_standard_error(void) {
    struct ael_kms_pkcs11_options options = on_strange("");
    int how = -1;
    pid_t host = fork();
    if (host == 0) {
        (void)alarm(60);
        (void)close(2);
        struct ael_kms *kms = make(&options);
        bool good = once(kms) == AEL_OK && fcntl(2, F_GETFD) < 0;
        char path[64];
        char target[64] = "";
        (void)snprintf(path, sizeof path, "/proc/%d/fd/2", (int)child_of(getpid()));
        good = good && readlink(path, target, sizeof target - 1) > 0 && strcmp(target, "/dev/null") == 0;
        ael_kms_release(kms);
        _exit(good ? 0 : 1);
    }
    CU_ASSERT_EQUAL(waitpid(host, &how, 0), host);
    CU_ASSERT_EQUAL(how, 0);
}

/* The host is killed while its module does that; then no helper is there any more. */
static void kill_host(const char *what) {
    struct ael_kms_pkcs11_options options = on_strange(what);
    int how = -1;
    pid_t host = fork();
    if (host == 0) {
        (void)alarm(60); /* the end, should the test fail */
        struct ael_kms *kms = make(&options);
        (void)once(kms);
        (void)pause();
        _exit(0);
    }
    pid_t helper = wait_for_child_of(host);
    CU_ASSERT(helper > 0);
    struct pollfd ended = {.fd = (int)syscall(SYS_pidfd_open, helper, 0u), .events = POLLIN};
    CU_ASSERT(ended.fd >= 0);
    (void)poll(NULL, 0, 300); /* it is where it hangs, or idle */
    CU_ASSERT_EQUAL(poll(&ended, 1, 0), 0);
    CU_ASSERT_EQUAL(kill(host, SIGKILL), 0);
    CU_ASSERT_EQUAL(waitpid(host, &how, 0), host);
    CU_ASSERT_EQUAL(poll(&ended, 1, 5000), 1);
    (void)close(ended.fd);
}

static void test_kms_pkcs11__leaves_no_helper_behind_when_the_host_is_killed(void) {
    if (under_valgrind()) {
        return; /* without pidfds the test cannot look */
    }
    kill_host("");
    kill_host("hang-on-load");
    kill_host("hang-at-work");
}

static void *fork_often(void *stop) {
    while (!__atomic_load_n((bool *)stop, __ATOMIC_ACQUIRE)) {
        pid_t child = fork();
        if (child == 0) {
            for (int fd = 3; fd < 64; fd++) {
                int type = 0;
                socklen_t len = sizeof type;
                if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_SEQPACKET) {
                    _exit(1);
                }
            }
            _exit(0);
        }
        int how = -1;
        if (child < 0 || waitpid(child, &how, 0) != child || how != 0) {
            return stop;
        }
    }
    return NULL;
}

enum { MOST_AT_ONCE = 24 /* sockets and pidfds, of the numbers that are looked at */ };

/* Else the helper would outlive the host until that child ends. */
static void test_kms_pkcs11__hands_no_socket_to_a_child_that_is_forked_meanwhile(void) {
    struct ael_kms_pkcs11_options options = on_strange("");
    static bool s_stop;
    struct ael_kms *all[MOST_AT_ONCE];
    pthread_t thread;
    void *found = NULL;
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, fork_often, &s_stop), 0);
    for (int i = 0; i < MOST_AT_ONCE; i++) {
        all[i] = make(&options);
        CU_ASSERT_EQUAL(once(all[i]), AEL_OK);
    }
    __atomic_store_n(&s_stop, true, __ATOMIC_RELEASE);
    CU_ASSERT_EQUAL(pthread_join(thread, &found), 0);
    CU_ASSERT_PTR_NULL(found);
    for (int i = 0; i < MOST_AT_ONCE; i++) { /* which kills the helper, whoever has the other end */
        ael_kms_release(all[i]);
    }
}

/* Holds a process in its end: one that is traced cannot be reaped by its parent. Ends when killed. */
static pid_t hold_in_its_end(pid_t process) {
    int ready[2];
    char word = 0;
    CU_ASSERT_EQUAL_FATAL(pipe(ready), 0);
    pid_t holder = fork();
    if (holder == 0) {
        word = ptrace(PTRACE_SEIZE, process, NULL, NULL) == 0 ? 'y' : 'n';
        (void)!write(ready[1], &word, 1);
        for (;;) {
            (void)pause();
        }
    }
    CU_ASSERT_EQUAL(read(ready[0], &word, 1), 1);
    CU_ASSERT_EQUAL(word, 'y');
    (void)close(ready[0]);
    (void)close(ready[1]);
    return holder;
}

/* Its place is taken as long, and no caller waits for it beyond its own time. */
static void test_kms_pkcs11__waits_for_no_helper_that_does_not_end(void) {
    struct ael_kms_pkcs11_options options = on_strange("");
    int how = -1;
    if (under_valgrind() || getuid() != 0) {
        return; /* helpers may be traced by root alone, and not by what valgrind makes of ptrace */
    }
    options.max_sessions = 1;
    struct ael_kms *kms = make(&options);
    struct ael_buf out = AEL_BUF_INIT;
    CU_ASSERT_EQUAL(once(kms), AEL_OK);
    pid_t helper = child_of(getpid());
    pid_t holder = hold_in_its_end(helper);
    CU_ASSERT_EQUAL(kill(helper, SIGSTOP), 0);
    CU_ASSERT_EQUAL(encrypt(kms, 1, 300, &out, &s_err), AEL_E_TIMEOUT);
    CU_ASSERT(said("was ended"));
    CU_ASSERT_EQUAL(encrypt(kms, 1, 300, &out, &s_err), AEL_E_TIMEOUT);
    CU_ASSERT(said("hangs in all sessions"));
    CU_ASSERT_EQUAL(kill(holder, SIGKILL), 0);
    CU_ASSERT_EQUAL(waitpid(holder, &how, 0), holder);
    CU_ASSERT_EQUAL(once(kms), AEL_OK);
    ael_buf_clear(&out);
    ael_kms_release(kms);
    CU_ASSERT_EQUAL(child_of(getpid()), 0);
}

/* ---- which helper ---- */

/* Started under another name, as who starts it likes. */
static int be_host(void) {
    struct ael_kms_pkcs11_options options = AEL_KMS_PKCS11_OPTIONS_INIT;
    struct ael_buf out = AEL_BUF_INIT;
    struct ael_kms *kms = NULL;
    options.module = AEL_TEST_PKCS11_STRANGE;
    options.token = "strange";
    options.key = "key";
    bool good = ael_kms_pkcs11_new(&options, &kms, &s_err) == AEL_OK &&
                encrypt(kms, 1, 20000, &out, &s_err) == AEL_E_UNREACHABLE;
    ael_kms_release(kms);
    return good ? 0 : 1;
}

static void run_as(const char *path, const char *name) {
    char word[] = "host";
    char called[128];
    pid_t pid = 0;
    int how = -1;
    (void)snprintf(called, sizeof called, "%s", name);
    char *arguments[] = {called, word, NULL};
    CU_ASSERT_EQUAL_FATAL(posix_spawn(&pid, path, NULL, NULL, arguments, environ), 0);
    CU_ASSERT_EQUAL(waitpid(pid, &how, 0), pid);
    CU_ASSERT_EQUAL(how, 0);
}

static void shell(const char *command, const char *folder) {
    char line[512];
    (void)snprintf(line, sizeof line, "d=%s; %s", folder, command);
    CU_ASSERT_EQUAL_FATAL(system(line), 0);
}

static bool ran(const char *folder) {
    char path[128];
    (void)snprintf(path, sizeof path, "%s/ran", folder);
    return unlink(path) == 0;
}

static void test_kms_pkcs11__starts_nobody_elses_helper(void) {
    char folder[] = "/tmp/ael-helper.XXXXXX";
    char name[64];
    if (under_valgrind()) {
        return; /* it is what /proc/self/exe is then */
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
    shell(
        "mkdir $d/tools && printf '#!/bin/sh\nd=%s\necho $0 >$d/ran\n' $d >$d/tools/ael-pkcs11-helper && chmod "
        "755 $d/tools/*",
        folder);
    (void)snprintf(name, sizeof name, "%s/host", folder);
    run_as("/proc/self/exe", name); /* the name is no place */
    CU_ASSERT(!ran(folder));
    shell("cp /proc/$PPID/exe $d/host", folder);
    run_as(name, name);
    CU_ASSERT(ran(folder));
    shell("chmod o+w $d/tools", folder);
    run_as(name, name);
    CU_ASSERT(!ran(folder));
    shell("chmod 755 $d/tools && chmod 1757 $d/tools/*", folder); /* which a folder alone may be */
    run_as(name, name);
    CU_ASSERT(!ran(folder));
    shell("chmod 755 $d/tools/*", folder);
    run_as(name, name);
    CU_ASSERT(ran(folder));
    /* What was looked at behind a link is what is started: the link may lead elsewhere by then. */
    shell("mkdir $d/real && mv $d/tools/* $d/real && ln -s $d/real/* $d/tools", folder);
    run_as(name, name);
    shell("grep -q ^$d/real/ $d/ran && rm $d/tools/* && mv $d/real/* $d/tools", folder);
    CU_ASSERT(ran(folder));
    if (getuid() == 0) {
        shell("chgrp 12345 $d/tools && chmod 775 $d/tools", folder);
        run_as(name, name);
        CU_ASSERT(!ran(folder));
        shell("chgrp 0 $d/tools", folder); /* the owner's own group */
        run_as(name, name);
        CU_ASSERT(ran(folder));
        shell("chown 12345 $d/tools/ael-pkcs11-helper", folder);
        run_as(name, name);
        CU_ASSERT(!ran(folder));
    }
    shell("rm -r $d", folder);
}

static const struct test_case k_cases[] = {
    {"no answer is taken for another question's",
     test_kms_pkcs11__takes_no_answer_for_that_to_another_question},
    {"a session that fails is replaced", test_kms_pkcs11__has_another_session_for_one_that_fails},
    {"what was encrypted can be decrypted", test_kms_pkcs11_encrypt__looks_whether_it_can_be_decrypted},
    {"damage is refused under a key that only decrypts",
     test_kms_pkcs11_decrypt__refuses_damage_under_a_key_that_only_decrypts},
    {"a PIN that was not looked at is shown again",
     test_kms_pkcs11__shows_a_pin_again_that_a_failure_kept_from_being_looked_at},
    {"a PIN is shown again when another user has left",
     test_kms_pkcs11__shows_a_pin_again_when_another_user_has_left},
    {"a PIN in doubt is shown twice", test_kms_pkcs11__shows_a_pin_twice_at_most_where_nothing_is_told_of_it},
    {"a PIN that was accepted is shown again", test_kms_pkcs11__shows_a_pin_again_that_was_accepted_once},
    {"a log-in outlasts its caller", test_kms_pkcs11__goes_on_with_a_log_in_that_its_caller_had_no_time_for},
    {"a token with one session serves all", test_kms_pkcs11__makes_do_with_the_sessions_that_the_token_opens},
    {"callers without time tell nothing of the token",
     test_kms_pkcs11__is_not_left_alone_because_callers_had_no_time},
    {"no dead helper is left behind", test_kms_pkcs11__leaves_no_dead_helper_behind_among_signals},
    {"a crash is seen past a child of the module",
     test_kms_pkcs11__sees_a_crash_where_a_child_of_the_module_lives_on},
    {"the module's programs have no socket", test_kms_pkcs11__shows_the_socket_to_no_program_of_the_module},
    {"a host without standard error", test_kms_pkcs11__works_in_a_host_without_standard_error},
    {"a killed host leaves no helper", test_kms_pkcs11__leaves_no_helper_behind_when_the_host_is_killed},
    {"a child of a fork meanwhile has no socket",
     test_kms_pkcs11__hands_no_socket_to_a_child_that_is_forked_meanwhile},
    {"nobody waits for a helper that does not end", test_kms_pkcs11__waits_for_no_helper_that_does_not_end},
    {"nobody else's helper is started", test_kms_pkcs11__starts_nobody_elses_helper},
};

static void remove_file(void) {
    (void)unlink(s_file);
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "host") == 0) {
        return be_host();
    }
    int file = mkstemp(s_file);
    (void)close(file);
    (void)atexit(remove_file);
    (void)argc;
    return test_suite_run_some("kms pkcs11 faults", k_cases, sizeof k_cases / sizeof k_cases[0], argv + 1);
}
