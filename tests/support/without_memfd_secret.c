/*
 * tests/support/without_memfd_secret.c - runs a command in which memfd_secret(2) is refused as by a kernel that lacks it
 * (ENOSYS), by a seccomp filter, which the command's children inherit: so AEL_BACKING_AUTO is anonymous memory there.
 *
 *     without_memfd_secret COMMAND [ARGUMENT...]
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447
#endif

static int refuse_memfd_secret(void) {
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_memfd_secret, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof steps / sizeof steps[0], steps};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return -1;
    }
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0);
}

int main(int count, char **arguments) {
    if (count < 2 || refuse_memfd_secret() != 0 || syscall(SYS_memfd_secret, 0) != -1 || errno != ENOSYS) {
        perror("without_memfd_secret");
        return EXIT_FAILURE;
    }
    (void)execv(arguments[1], arguments + 1);
    perror(arguments[1]);
    return EXIT_FAILURE;
}
