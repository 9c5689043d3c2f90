/* SPDX-License-Identifier: Apache-2.0 */
#include "securememory/signal_mask.h"

#include <limits.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SIGNALS = 64, WORD_BITS = sizeof(unsigned long) * CHAR_BIT };

/* As the kernel has it: libc's set leaves out the two signals that libc itself sends to threads (cancellation, setuid),
 * whose frames hold registers like any other's. */
struct kernel_mask {
    unsigned long words[SIGNALS / WORD_BITS];
};

_Static_assert(sizeof(struct kernel_mask) <= sizeof(struct ael_signal_mask), "it has room");

static struct kernel_mask all_but_faults(void) {
    static const int k_faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
    struct kernel_mask mask;
    memset(&mask, 0xff, sizeof mask);
    for (size_t i = 0; i < sizeof k_faults / sizeof k_faults[0]; i++) {
        unsigned bit = (unsigned)k_faults[i] - 1;
        mask.words[bit / WORD_BITS] &= ~(1UL << bit % WORD_BITS);
    }
    return mask;
}

/* see securememory/signal_mask.h */
void ael_signal_mask_block(struct ael_signal_mask *before) {
    struct kernel_mask mask = all_but_faults();
    (void)syscall(SYS_rt_sigprocmask, SIG_BLOCK, &mask, &before->set, sizeof mask);
}

/* see securememory/signal_mask.h */
void ael_signal_mask_restore(const struct ael_signal_mask *before) {
    (void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before->set, NULL, sizeof(struct kernel_mask));
}
