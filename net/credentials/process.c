/* SPDX-License-Identifier: Apache-2.0 */
#include "net/credentials/answer.h"
#include "net/credentials/sources.h"

#include "base/check.h"
#include "base/sync.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

static const char k_component[] = "net/credentials";
static const char k_source[] = "credential_process";

enum { LOOK_MS = 20, CHUNK_BYTES = 4096 };

/* In a process group of its own, so that all of it can be ended; with the signals of a fresh program. */
static int set_attributes(posix_spawnattr_t *attributes) {
    sigset_t none;
    sigset_t defaults;
    (void)sigemptyset(&none);
    (void)sigfillset(&defaults);
    int failed = posix_spawnattr_setflags(
        attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    failed = failed != 0 ? failed : posix_spawnattr_setsigmask(attributes, &none);
    return failed != 0 ? failed : posix_spawnattr_setsigdefault(attributes, &defaults);
}

static int set_actions(posix_spawn_file_actions_t *actions, int output) {
    int failed = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    return failed != 0 ? failed : posix_spawn_file_actions_adddup2(actions, output, STDOUT_FILENO);
}

/* Starts the program with its output into a pipe; errno, or 0. */
static int start(const char *command, int output, pid_t *pid) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    const char *arguments[] = {"sh", "-c", command, NULL};
    int failed = posix_spawn_file_actions_init(&actions);
    if (failed != 0) {
        return failed;
    }
    failed = posix_spawnattr_init(&attributes);
    if (failed == 0) {
        failed = set_actions(&actions, output);
        failed = failed != 0 ? failed : set_attributes(&attributes);
        if (failed == 0) {
            union { /* posix_spawn does not write there, whatever its type says */
                const char **given;
                char *const *taken;
            } list = {.given = arguments};
            failed = posix_spawn(pid, "/bin/sh", &actions, &attributes, list.taken, environ);
        }
        (void)posix_spawnattr_destroy(&attributes);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    return failed;
}

static int wait_ms(const struct ael_call *call) {
    uint32_t left = ael_call_remaining_ms(call);
    return left < LOOK_MS ? (int)left : LOOK_MS;
}

/* Reads until the end of the output, within the call. */
static enum ael_status read_output(int fd, const struct ael_call *call, struct ael_buf *out) {
    for (;;) {
        struct pollfd poller = {.fd = fd, .events = POLLIN};
        AEL_TRY(ael_call_check(call));
        if (poll(&poller, 1, wait_ms(call)) <= 0) {
            continue;
        }
        AEL_TRY(ael_buf_reserve(out, out->len + CHUNK_BYTES));
        ssize_t got = read(fd, out->data + out->len, CHUNK_BYTES);
        if (got <= 0) {
            return got == 0 ? AEL_OK : AEL_E_SYSTEM;
        }
        out->len += (size_t)got;
    }
}

/* Waits for the end of the program, within the call; *result is what waitpid gave, or 0 if the host reaps by
 * itself. */
static enum ael_status wait_for_end(pid_t pid, const struct ael_call *call, int *result) {
    for (;;) {
        pid_t ended = waitpid(pid, result, WNOHANG);
        if (ended == pid || (ended < 0 && errno != EINTR)) {
            *result = ended == pid ? *result : 0;
            return AEL_OK;
        }
        AEL_TRY(ael_call_check(call));
        (void)poll(NULL, 0, wait_ms(call));
    }
}

static enum ael_status
run(pid_t pid, int fd, const struct ael_call *call, struct ael_buf *output, int *result) {
    enum ael_status status = read_output(fd, call, output);
    if (status == AEL_OK) {
        status = wait_for_end(pid, call, result);
    }
    if (status != AEL_OK) {
        (void)kill(-pid, SIGKILL);
        while (waitpid(pid, result, 0) < 0 && errno == EINTR) {
        }
    }
    return status;
}

static enum ael_status explain(enum ael_status status, int result, struct ael_error *err) {
    if (status == AEL_E_TOO_LARGE) {
        return ael_error_set(
            err, AEL_E_FORMAT, 0, k_component, "%s: the program prints more than 64 KiB; correct it",
            k_source);
    }
    if (status == AEL_OK && result != 0) {
        int code = WIFEXITED(result) ? WEXITSTATUS(result) : 128 + WTERMSIG(result);
        return ael_error_set(
            err, AEL_E_BACKEND, code, k_component,
            "%s: the program ended with status %d; run it by hand to see why", k_source, code);
    }
    if (status != AEL_OK) {
        return ael_error_set(
            err, status, 0, k_component, "%s: the program was ended: %s", k_source, ael_status_text(status));
    }
    return AEL_OK;
}

static enum ael_status
run_command(const struct ael_call *call, const char *command, struct ael_buf *output, struct ael_error *err) {
    int ends[2];
    int result = 0;
    pid_t pid = 0;
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return ael_error_set(err, AEL_E_SYSTEM, errno, k_component, "%s: no pipe is to be had", k_source);
    }
    int failed = start(command, ends[1], &pid);
    (void)close(ends[1]);
    enum ael_status status = AEL_OK;
    if (failed != 0) {
        status =
            ael_error_set(err, AEL_E_SYSTEM, failed, k_component, "%s: /bin/sh cannot be started", k_source);
    } else {
        status = run(pid, ends[0], call, output, &result);
        status = explain(status, result, err);
    }
    (void)close(ends[0]);
    return status;
}

/* see net/credentials/sources.h */
enum ael_status ael_credentials_from_process(
    const struct ael_credentials_context *context,
    const char *command,
    struct ael_credentials **out,
    struct ael_error *err) {
    struct ael_buf output = AEL_BUF_INIT;
    struct ael_call call = AEL_CALL_INIT;
    *out = NULL;
    output.max = AEL_CREDENTIALS_ANSWER_MAX;
    call.cancel = context->call == NULL ? NULL : context->call->cancel;
    call.deadline_ns = ael_deadline_in_ms(ael_call_remaining_ms(context->call));
    int cancel = ael_cancel_disable(); /* a thread cancelled here would leave program and pipe */
    enum ael_status status = run_command(&call, command, &output, err);
    if (status == AEL_OK) {
        status = ael_credentials_from_json(ael_buf_view(&output), k_source, false, out, err);
    }
    ael_cancel_restore(cancel);
    ael_buf_clear(&output);
    return status;
}
