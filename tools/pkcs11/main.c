/*
 * tools/pkcs11/main.c - ael-pkcs11-helper: holds a PKCS#11 module for the library, which starts it, so that nothing the
 * module does (a crash, a hang, threads, handlers of signals) happens in the host.
 *
 * Serves one socket, which it has inherited; ends when the other end does, also while the module hangs. Not to be started by hand.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/wipe.h"
#include "kms/kms_pkcs11_token.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGE = 16384, NO_SOCKET = 2, NO_PROTECTION = 3 };

/* Where questions, answers, PINs and keys are; wiped after each answer. */
struct room {
    uint8_t question[2048]; /* op, number, then what it takes */
    uint8_t answer[AEL_PKCS11_MESSAGE];
};

static _Alignas(PAGE) union {
    struct room room;
    uint8_t pages[PAGE];
} s_own;

/* Out of core dumps, out of debuggers' reach, not swapped; nothing is inherited but the socket and standard error. What the module
 * allocates is locked where the limit has room for all (after it was loaded, lock_rest). */
static bool protect(void) {
    const struct rlimit none = {0, 0};
#ifdef SYS_close_range
    (void)syscall(SYS_close_range, AEL_PKCS11_HELPER_FD + 1u, ~0u, 0u);
#endif
    return setrlimit(RLIMIT_CORE, &none) == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 &&
           mlock(&s_own, sizeof s_own) == 0 && madvise(&s_own, sizeof s_own, MADV_DONTDUMP) == 0;
}

/* With a limit, a lock on what is to come would make the module's allocations fail: what is there then, is locked. */
static void lock_rest(void) {
    struct rlimit limit = {0, 0};
    bool unlimited = getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY;
    (void)mlockall(unlimited ? MCL_CURRENT | MCL_FUTURE : MCL_CURRENT);
}

static void *watch(void *unused) {
    struct pollfd socket = {.fd = AEL_PKCS11_HELPER_FD, .events = POLLRDHUP};
    (void)unused;
    while (poll(&socket, 1, -1) <= 0 || (socket.revents & (POLLRDHUP | POLLHUP | POLLERR)) == 0) {
    }
    _exit(0);
}

static bool start_watch(void) {
    pthread_t thread;
    return pthread_create(&thread, NULL, watch, NULL) == 0 && pthread_detach(thread) == 0;
}

static enum ael_pkcs11_result open_place(struct ael_pkcs11_token *token, const uint8_t *data, size_t len) {
    struct ael_pkcs11_place place;
    if (len != sizeof place) {
        return AEL_PKCS11_PROTOCOL;
    }
    memcpy(&place, data, sizeof place);
    if (!ael_pkcs11_place_is_whole(&place)) {
        return AEL_PKCS11_PROTOCOL;
    }
    enum ael_pkcs11_result result = ael_pkcs11_token_open(token, &place);
    if (result == AEL_PKCS11_DONE) {
        lock_rest();
    }
    return result;
}

/* The lengths of what an op takes and gives; OPEN and LOGIN look at theirs themselves. */
static bool lengths(uint8_t op, size_t *takes, size_t *gives) {
    static const struct {
        size_t takes;
        size_t gives;
    } k_lengths[] = {
        [AEL_PKCS11_ENCRYPT] = {AEL_PKCS11_NONCE + AEL_PKCS11_KEY, AEL_PKCS11_BLOB},
        [AEL_PKCS11_DECRYPT] = {AEL_PKCS11_BLOB, AEL_PKCS11_KEY},
        [AEL_PKCS11_WRAP] = {AEL_PKCS11_KEY, AEL_PKCS11_WRAPPED},
        [AEL_PKCS11_UNWRAP] = {AEL_PKCS11_WRAPPED, AEL_PKCS11_KEY},
    };
    if (op < AEL_PKCS11_ENCRYPT || op > AEL_PKCS11_UNWRAP) {
        return false;
    }
    *takes = k_lengths[op].takes;
    *gives = k_lengths[op].gives;
    return true;
}

static enum ael_pkcs11_result
work(struct ael_pkcs11_token *token, uint8_t op, uint8_t *data, size_t len, uint8_t *out, size_t *out_len) {
    size_t takes = 0;
    size_t gives = 0;
    if (!lengths(op, &takes, &gives) || len != takes) {
        return AEL_PKCS11_PROTOCOL;
    }
    enum ael_pkcs11_result result = AEL_PKCS11_PROTOCOL;
    if (op == AEL_PKCS11_ENCRYPT) {
        result = ael_pkcs11_token_encrypt(token, data, data + AEL_PKCS11_NONCE, out);
    } else if (op == AEL_PKCS11_DECRYPT) {
        result = ael_pkcs11_token_decrypt(token, data, out);
    } else if (op == AEL_PKCS11_WRAP) {
        result = ael_pkcs11_token_wrap(token, data, out);
    } else {
        result = ael_pkcs11_token_unwrap(token, data, out);
    }
    *out_len = result == AEL_PKCS11_DONE ? gives : 0;
    return result;
}

static enum ael_pkcs11_result
dispatch(struct ael_pkcs11_token *token, struct room *room, size_t len, size_t *out_len) {
    uint8_t *data = room->question + AEL_PKCS11_ASKS;
    token->code = 0;
    if (room->question[0] == AEL_PKCS11_OPEN) {
        return open_place(token, data, len);
    }
    if (room->question[0] == AEL_PKCS11_LOGIN) {
        return len <= AEL_PKCS11_PIN_MAX ? ael_pkcs11_token_login(token, data, len) : AEL_PKCS11_PROTOCOL;
    }
    return work(token, room->question[0], data, len, room->answer + AEL_PKCS11_HEAD, out_len);
}

/* One question; false when there are no more. */
static bool serve(struct ael_pkcs11_token *token, struct room *room) {
    size_t out_len = 0;
    ssize_t got = recv(AEL_PKCS11_HELPER_FD, room->question, sizeof room->question, MSG_TRUNC);
    if (got <= 0) {
        return got < 0 && errno == EINTR;
    }
    enum ael_pkcs11_result result = AEL_PKCS11_PROTOCOL;
    if ((size_t)got >= AEL_PKCS11_ASKS && (size_t)got <= sizeof room->question) {
        result = dispatch(token, room, (size_t)got - AEL_PKCS11_ASKS, &out_len);
    }
    uint32_t code = (uint32_t)token->code;
    room->answer[0] = (uint8_t)result;
    memcpy(room->answer + 1, &code, sizeof code);
    memcpy(room->answer + 1 + sizeof code, room->question + 1, AEL_PKCS11_HEAD - 1 - sizeof code);
    ssize_t sent = send(AEL_PKCS11_HELPER_FD, room->answer, AEL_PKCS11_HEAD + out_len, MSG_NOSIGNAL);
    ael_wipe(&s_own, sizeof s_own);
    return sent >= 0;
}

/* A file that the module opens must not become standard error, into which it writes. */
static void fill_standard_error(void) {
    if (fcntl(STDERR_FILENO, F_GETFD) < 0) {
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        if (null >= 0 && null != STDERR_FILENO) {
            (void)dup2(null, STDERR_FILENO);
            (void)close(null);
        }
    }
}

int main(void) {
    static struct ael_pkcs11_token token;
    int type = 0;
    socklen_t len = sizeof type;
    if (getsockopt(AEL_PKCS11_HELPER_FD, SOL_SOCKET, SO_TYPE, &type, &len) != 0 || type != SOCK_SEQPACKET) {
        (void)fputs("ael-pkcs11-helper is started by the library, not by hand\n", stderr);
        return NO_SOCKET;
    }
    (void)fcntl(AEL_PKCS11_HELPER_FD, F_SETFD, FD_CLOEXEC); /* programs that the module starts get no keys */
    fill_standard_error();
    if (!protect() || !start_watch()) {
        return NO_PROTECTION;
    }
    while (serve(&token, &s_own.room)) {
    }
    _exit(0); /* the host has done with it: nothing of the module's runs any more */
}
