/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/pkcs11/helper.h"

#include "base/check.h"
#include "base/sync.h"
#include "securememory/scratch.h"
#include "securememory/sealed_key.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char k_component[] = "kms/pkcs11";

enum {
    MOST_VARIABLES = 32,
    CANCEL_SLICE_MS = 20, /* a cancel token wakes nobody: look at it this often */
    TELL_MS = 200,        /* how it ended is known within that, or not told */
    LOOK_MS = 5,
    NO_PROGRAM = 127, /* a child that could not exec exits so */
    BY_PIDFD = 3,     /* P_PIDFD, which older headers do not name */
};

/* ---- starting ---- */

/* The variables that are named and set: pointers into environ. */
static void pick_environment(const char *names, char *picked[static MOST_VARIABLES + 1]) {
    size_t count = 0;
    while (names != NULL && *names != '\0' && count < MOST_VARIABLES) {
        size_t len = strcspn(names, ",");
        for (char **entry = environ; entry != NULL && *entry != NULL && len > 0; entry++) {
            if (strncmp(*entry, names, len) == 0 && (*entry)[len] == '=') {
                picked[count++] = *entry;
                break;
            }
        }
        names += len + (names[len] == ',' ? 1 : 0);
    }
    picked[count] = NULL;
}

static int set_attributes(posix_spawnattr_t *attributes) {
    sigset_t none;
    sigset_t all;
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    int failed = posix_spawnattr_setsigmask(attributes, &none);
    failed = failed != 0 ? failed : posix_spawnattr_setsigdefault(attributes, &all);
    failed = failed != 0 ? failed : posix_spawnattr_setpgroup(attributes, 0);
    return failed != 0
               ? failed
               : posix_spawnattr_setflags(
                     attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
}

static int set_files(posix_spawn_file_actions_t *files, int socket) {
    int failed = posix_spawn_file_actions_adddup2(files, socket, AEL_PKCS11_HELPER_FD);
    failed = failed != 0 ? failed : posix_spawn_file_actions_addopen(files, 0, "/dev/null", O_RDONLY, 0);
    return failed != 0 ? failed : posix_spawn_file_actions_addopen(files, 1, "/dev/null", O_WRONLY, 0);
}

/* 0, or what errno would be. */
static int spawn(const char *path, const char *environment, int socket, pid_t *pid) {
    char *variables[MOST_VARIABLES + 1];
    char name[] = "ael-pkcs11-helper";
    char *arguments[] = {name, NULL};
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t files;
    int failed = posix_spawnattr_init(&attributes);
    if (failed != 0) {
        return failed;
    }
    failed = posix_spawn_file_actions_init(&files);
    if (failed != 0) {
        (void)posix_spawnattr_destroy(&attributes);
        return failed;
    }
    pick_environment(environment, variables);
    failed = set_attributes(&attributes);
    failed = failed != 0 ? failed : set_files(&files, socket);
    failed = failed != 0 ? failed : posix_spawn(pid, path, &files, &attributes, arguments, variables);
    (void)posix_spawn_file_actions_destroy(&files);
    (void)posix_spawnattr_destroy(&attributes);
    return failed;
}

static enum ael_status refuse_start(const char *path, int code, struct ael_error *err) {
    return ael_error_set(
        err, AEL_E_UNREACHABLE, code, k_component,
        "the helper %.140s cannot be started; install it, or set the option helper", path);
}

/* Above the standard ones: in a host without these, what it writes there must not be a question. And a
 * descriptor of the same number as the helper's would stay closed by exec. */
static int lift(int fd) {
    int lifted = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, AEL_PKCS11_HELPER_FD + 1);
    if (fd >= 0) {
        (void)close(fd);
    }
    return lifted;
}

/* Held while sockets are opened and noted, or closed and forgotten: a fork waits for it, so that the child
 * knows each of them. One that it did not know would keep the helper there after the host's end. */
static struct ael_mutex s_sockets = AEL_MUTEX_INIT;

static void close_one(int fd) {
    if (fd >= 0) {
        (void)close(fd);
    }
}

/* With s_sockets held. */
static enum ael_status open_pair(struct ael_pkcs11_helper *helper, int *other, struct ael_error *err) {
    int pair[2] = {-1, -1};
    *helper = (struct ael_pkcs11_helper){.socket = -1, .pidfd = -1};
    bool good = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0;
    helper->socket = lift(pair[0]);
    *other = lift(pair[1]);
    if (good && helper->socket >= 0 && *other >= 0) {
        return AEL_OK;
    }
    int code = errno;
    close_one(helper->socket);
    close_one(*other);
    helper->socket = -1;
    return ael_error_set(err, AEL_E_SYSTEM, code, k_component, "no sockets for the PKCS#11 module");
}

/* With s_sockets held. */
static enum ael_status
start(struct ael_pkcs11_helper *helper, const char *path, const char *environment, struct ael_error *err) {
    int other = -1;
    AEL_TRY(open_pair(helper, &other, err));
    int failed = spawn(path, environment, other, &helper->pid);
    (void)close(other);
    if (failed != 0) {
        (void)close(helper->socket);
        *helper = (struct ael_pkcs11_helper){.socket = -1, .pidfd = -1};
        return refuse_start(path, failed, err);
    }
    helper->pidfd = lift((int)syscall(SYS_pidfd_open, helper->pid, 0u));
    return AEL_OK;
}

/* see kms/pkcs11/helper.h */
enum ael_status ael_pkcs11_helper_start(
    struct ael_pkcs11_helper *helper, const char *path, const char *environment, struct ael_error *err) {
    ael_mutex_lock(&s_sockets);
    enum ael_status status = start(helper, path, environment, err);
    ael_mutex_unlock(&s_sockets);
    return status;
}

/* With s_sockets held. */
static enum ael_status start_inside(struct ael_pkcs11_helper *helper, struct ael_error *err) {
    int other = -1;
    AEL_TRY(open_pair(helper, &other, err));
    enum ael_status status = ael_pkcs11_worker_start(other, &helper->worker, err);
    if (status != AEL_OK) {
        (void)close(other);
        (void)close(helper->socket);
        helper->socket = -1;
    }
    return status;
}

/* see kms/pkcs11/helper.h */
enum ael_status ael_pkcs11_helper_start_inside(struct ael_pkcs11_helper *helper, struct ael_error *err) {
    ael_mutex_lock(&s_sockets);
    enum ael_status status = start_inside(helper, err);
    ael_mutex_unlock(&s_sockets);
    return status;
}

/* ---- ending ---- */

static void shut(int *fd) {
    ael_mutex_lock(&s_sockets);
    if (*fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
    ael_mutex_unlock(&s_sockets);
}

/* Where the kernel tells of an end by a descriptor. @return false while there is none. */
static bool await(const struct ael_pkcs11_helper *helper, int wait_ms, siginfo_t *how) {
    struct pollfd ended = {.fd = helper->pidfd, .events = POLLIN};
    struct ael_call call = AEL_CALL_INIT;
    int ready = -1;
    call.deadline_ns = ael_deadline_in_ms((uint32_t)wait_ms);
    do {
        ready = poll(&ended, 1, wait_ms > 0 ? (int)ael_call_remaining_ms(&call) : 0);
    } while (ready < 0 && errno == EINTR && ael_call_remaining_ms(&call) > 0);
    return waitid((idtype_t)BY_PIDFD, (id_t)helper->pidfd, how, WEXITED | WNOHANG) != 0 || how->si_pid != 0;
}

/* Where it does not, before Linux 5.3. */
static bool await_by_looking(const struct ael_pkcs11_helper *helper, int wait_ms, siginfo_t *how) {
    for (int waited_ms = 0;; waited_ms += LOOK_MS) {
        if (waitid(P_PID, (id_t)helper->pid, how, WEXITED | WNOHANG) != 0 || how->si_pid != 0) {
            return true;
        }
        if (waited_ms >= wait_ms) {
            return false;
        }
        (void)poll(NULL, 0, LOOK_MS);
    }
}

/* Waits for a process's end and reaps it; *how is 0 where the host did. @return false while it has not
 * ended. */
static bool reap(struct ael_pkcs11_helper *helper, int wait_ms, siginfo_t *how) {
    memset(how, 0, sizeof *how);
    if (helper->pid == 0) {
        return true;
    }
    bool ended = helper->pidfd >= 0 ? await(helper, wait_ms, how) : await_by_looking(helper, wait_ms, how);
    helper->pid = ended ? 0 : helper->pid;
    return ended;
}

/* see kms/pkcs11/helper.h */
void ael_pkcs11_helper_end(struct ael_pkcs11_helper *helper) {
    if (helper->socket < 0) {
        return;
    }
    (void)shutdown(helper->socket, SHUT_RDWR); /* which ends it, if it can, whoever has this end as well */
    shut(&helper->socket);
    if (helper->pid > 0 && helper->pidfd >= 0) {
        (void)syscall(SYS_pidfd_send_signal, helper->pidfd, SIGKILL, NULL, 0u);
    } else if (helper->pid > 0) {
        (void)kill(helper->pid, SIGKILL);
    }
}

/* A fork waits for it: the child has the worker, or knows of none. */
static void free_worker(struct ael_pkcs11_helper *helper) {
    ael_mutex_lock(&s_sockets);
    if (helper->worker != NULL) {
        ael_pkcs11_worker_free(helper->worker);
        helper->worker = NULL;
    }
    ael_mutex_unlock(&s_sockets);
}

/* see kms/pkcs11/helper.h */
bool ael_pkcs11_helper_is_gone(struct ael_pkcs11_helper *helper, int wait_ms) {
    siginfo_t how;
    bool gone = helper->worker != NULL ? ael_pkcs11_worker_has_ended(helper->worker, wait_ms)
                                       : reap(helper, wait_ms, &how);
    if (gone) {
        free_worker(helper);
        shut(&helper->pidfd);
    }
    return gone;
}

/* see kms/pkcs11/helper.h */
void ael_pkcs11_helper_leave(struct ael_pkcs11_helper *helper) {
    if (helper->worker != NULL) {
        ael_pkcs11_worker_leave(helper->worker);
    }
    shut(&helper->pidfd);
    helper->worker = NULL;
    helper->pid = 0;
}

/* see kms/pkcs11/helper.h */
void ael_pkcs11_helper_forget(struct ael_pkcs11_helper *helper) {
    close_one(helper->socket);
    close_one(helper->pidfd);
    if (helper->worker != NULL) {
        ael_pkcs11_worker_forget(helper->worker);
    }
    *helper = (struct ael_pkcs11_helper){.socket = -1, .pidfd = -1};
}

static enum ael_status
tell_of_its_end(struct ael_pkcs11_helper *helper, const struct ael_call *call, struct ael_error *err) {
    siginfo_t how;
    uint32_t left_ms = ael_call_remaining_ms(call);
    (void)reap(helper, left_ms < TELL_MS ? (int)left_ms : TELL_MS, &how);
    if (how.si_pid != 0 && how.si_code != CLD_EXITED) {
        return ael_error_set(
            err, AEL_E_UNREACHABLE, how.si_status, k_component,
            "the PKCS#11 module crashed (signal %d); try it with pkcs11-tool, ask its vendor", how.si_status);
    }
    if (how.si_pid != 0 && how.si_status == NO_PROGRAM) { /* where posix_spawn itself does not tell */
        return ael_error_set(
            err, AEL_E_UNREACHABLE, how.si_status, k_component,
            "the helper cannot be started; install it, or set the option helper");
    }
    return ael_error_set(
        err, AEL_E_UNREACHABLE, how.si_status, k_component,
        "the helper ended (status %d): the module ended it, or memory may not be locked (ulimit -l)",
        how.si_status);
}

/* ---- asking ---- */

static enum ael_status failed(struct ael_error *err, enum ael_status status) {
    return ael_error_set(err, status, 0, k_component, "%s", ael_status_text(status));
}

/* Does not wait: a message is the first in an empty socket. */
static bool send_all(struct ael_pkcs11_helper *helper, const uint8_t *bytes, size_t len) {
    return send(helper->socket, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len;
}

static enum ael_status send_secret(
    struct ael_pkcs11_helper *helper,
    const struct ael_call *call,
    const uint8_t *question,
    size_t len,
    struct ael_secret *secret,
    struct ael_error *err) {
    struct ael_scratch scratch;
    size_t secret_len = ael_secret_len(secret);
    if (len + secret_len > AEL_PKCS11_MESSAGE) {
        return failed(err, AEL_E_ARGUMENT);
    }
    enum ael_status status = ael_scratch_begin(&scratch, call);
    if (status != AEL_OK) {
        return failed(err, status);
    }
    memcpy(scratch.bytes, question, len);
    status = ael_secret_open_into(secret, scratch.bytes + len, secret_len);
    bool sent = status == AEL_OK && send_all(helper, scratch.bytes, len + secret_len);
    enum ael_status ended = ael_scratch_end(&scratch);
    status = status == AEL_OK ? ended : status;
    if (status != AEL_OK) {
        return failed(err, status);
    }
    return sent ? AEL_OK : tell_of_its_end(helper, call, err); /* which waits: with no slot held */
}

static enum ael_status send_question(
    struct ael_pkcs11_helper *helper,
    const struct ael_call *call,
    enum ael_pkcs11_op op,
    struct ael_bytes head,
    struct ael_secret *secret,
    struct ael_error *err) {
    uint8_t question[AEL_PKCS11_ASKS + sizeof(struct ael_pkcs11_place)] = {(uint8_t)op};
    size_t len = AEL_PKCS11_ASKS + head.len;
    if (len > sizeof question) {
        return failed(err, AEL_E_ARGUMENT);
    }
    helper->asked++;
    memcpy(question + 1, &helper->asked, sizeof helper->asked);
    if (head.len > 0) {
        memcpy(question + AEL_PKCS11_ASKS, head.data, head.len);
    }
    if (secret != NULL) {
        return send_secret(helper, call, question, len, secret, err);
    }
    return send_all(helper, question, len) ? AEL_OK : tell_of_its_end(helper, call, err);
}

static enum ael_status
wait_for_answer(struct ael_pkcs11_helper *helper, const struct ael_call *call, struct ael_error *err) {
    /* The socket stays open after its end where a child of the module has it. */
    struct pollfd either[2] = {
        {.fd = helper->socket, .events = POLLIN}, {.fd = helper->pidfd, .events = POLLIN}};
    for (;;) {
        enum ael_status status = ael_call_check(call);
        uint32_t left_ms = ael_call_remaining_ms(call);
        if (status == AEL_E_TIMEOUT || (status == AEL_OK && left_ms == 0)) {
            return ael_error_set(
                err, AEL_E_TIMEOUT, 0, k_component,
                "the PKCS#11 module did not answer in time and %s; is its device there?",
                helper->worker == NULL ? "was ended" : "cannot be ended, being in this process");
        }
        if (status != AEL_OK) {
            return failed(err, status);
        }
        uint32_t slice_ms = call->cancel != NULL ? CANCEL_SLICE_MS : 1000;
        int ready = poll(either, 2, (int)(left_ms < slice_ms ? left_ms : slice_ms));
        if (ready > 0) {
            return AEL_OK;
        }
        if (ready < 0 && errno != EINTR) {
            return ael_error_set(err, AEL_E_SYSTEM, errno, k_component, "waiting for the helper failed");
        }
    }
}

static size_t length_of_answer(enum ael_pkcs11_op op, enum ael_pkcs11_result result) {
    static const size_t k_lengths[] = {
        [AEL_PKCS11_ENCRYPT] = AEL_PKCS11_BLOB,
        [AEL_PKCS11_DECRYPT] = AEL_PKCS11_KEY,
        [AEL_PKCS11_WRAP] = AEL_PKCS11_WRAPPED,
        [AEL_PKCS11_UNWRAP] = AEL_PKCS11_KEY,
    };
    return AEL_PKCS11_HEAD + (result == AEL_PKCS11_DONE && op >= AEL_PKCS11_ENCRYPT ? k_lengths[op] : 0);
}

/* An answer, in scratch. */
static enum ael_status read_answer(
    uint32_t asked,
    enum ael_pkcs11_op op,
    uint8_t *bytes,
    size_t len,
    struct ael_pkcs11_answer *answer,
    struct ael_error *err) {
    bool is_key = op == AEL_PKCS11_DECRYPT || op == AEL_PKCS11_UNWRAP;
    if (len < AEL_PKCS11_HEAD || bytes[0] >= AEL_PKCS11_RESULTS ||
        len != length_of_answer(op, (enum ael_pkcs11_result)bytes[0])) {
        return ael_error_set(
            err, AEL_E_BACKEND, 0, k_component,
            "the helper's answer is none; is it of another release than the library?");
    }
    if (memcmp(bytes + AEL_PKCS11_HEAD - sizeof asked, &asked, sizeof asked) != 0) {
        return ael_error_set(
            err, AEL_E_BACKEND, 0, k_component,
            "the helper's answer is to another question; does the module fork, or write to what is not its "
            "own?");
    }
    answer->result = (enum ael_pkcs11_result)bytes[0];
    memcpy(&answer->code, bytes + 1, sizeof answer->code);
    len -= AEL_PKCS11_HEAD;
    if (!is_key) {
        memcpy(answer->bytes, bytes + AEL_PKCS11_HEAD, len);
        answer->len = len;
    } else if (len > 0) {
        enum ael_status status = ael_secret_new(bytes + AEL_PKCS11_HEAD, len, &answer->key);
        return status == AEL_OK ? AEL_OK : failed(err, status);
    }
    return AEL_OK;
}

static enum ael_status take_answer(
    struct ael_pkcs11_helper *helper,
    const struct ael_call *call,
    enum ael_pkcs11_op op,
    struct ael_pkcs11_answer *answer,
    struct ael_error *err) {
    struct ael_scratch scratch;
    enum ael_status status = ael_scratch_begin(&scratch, call);
    if (status != AEL_OK) {
        return failed(err, status);
    }
    ssize_t got = recv(helper->socket, scratch.bytes, AEL_PKCS11_MESSAGE, MSG_DONTWAIT | MSG_TRUNC);
    bool ended = got <= 0;
    if (!ended) {
        status = read_answer(helper->asked, op, scratch.bytes, (size_t)got, answer, err);
    }
    enum ael_status given_back = ael_scratch_end(&scratch);
    if (ended) {
        return tell_of_its_end(helper, call, err);
    }
    return status == AEL_OK && given_back != AEL_OK ? failed(err, given_back) : status;
}

/* see kms/pkcs11/helper.h */
enum ael_status ael_pkcs11_helper_await(
    struct ael_pkcs11_helper *helper,
    const struct ael_call *call,
    enum ael_pkcs11_op op,
    struct ael_pkcs11_answer *answer,
    struct ael_error *err) {
    *answer = (struct ael_pkcs11_answer){.result = AEL_PKCS11_FAILED};
    AEL_TRY(wait_for_answer(helper, call, err));
    enum ael_status status = take_answer(helper, call, op, answer, err);
    if (status != AEL_OK) {
        ael_secret_release(answer->key);
        *answer = (struct ael_pkcs11_answer){.result = AEL_PKCS11_FAILED};
    }
    return status;
}

/* see kms/pkcs11/helper.h */
enum ael_status ael_pkcs11_helper_ask(
    struct ael_pkcs11_helper *helper,
    const struct ael_call *call,
    enum ael_pkcs11_op op,
    struct ael_bytes head,
    struct ael_secret *secret,
    struct ael_pkcs11_answer *answer,
    struct ael_error *err) {
    *answer = (struct ael_pkcs11_answer){.result = AEL_PKCS11_FAILED};
    AEL_TRY(send_question(helper, call, op, head, secret, err));
    return ael_pkcs11_helper_await(helper, call, op, answer, err);
}
