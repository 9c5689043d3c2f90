/*
 * tools/pkcs11/main.c - ael-pkcs11-helper: holds a PKCS#11 module for the library, which starts it, so that nothing the
 * module does (a crash, a hang, threads, handlers of signals) happens in the host.
 *
 * Serves one socket, which it has inherited; ends when the other end does, also while the module hangs. Not to be started by hand.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kms/pkcs11/serve.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGE = 16384, NO_SOCKET = 2, NO_PROTECTION = 3 };

/* Never swapped, in no dump. */
static _Alignas(PAGE) union {
    struct ael_pkcs11_room room;
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
    static struct ael_pkcs11_service service = {
        .socket = AEL_PKCS11_HELPER_FD, .room = &s_own.room, .opened = lock_rest};
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
    while (ael_pkcs11_serve(&service)) {
    }
    _exit(0); /* the host has done with it: nothing of the module's runs any more */
}
