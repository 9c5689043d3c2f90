/* SPDX-License-Identifier: Apache-2.0 */
#include "securememory/signal_mask.h"

#include <stddef.h>

/* see securememory/signal_mask.h. Signals that libc keeps to itself stay as they are. */
void ael_signal_mask_block(struct ael_signal_mask *before) {
    static const int k_faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
    sigset_t mask;
    (void)sigfillset(&mask);
    for (size_t i = 0; i < sizeof k_faults / sizeof k_faults[0]; i++) {
        (void)sigdelset(&mask, k_faults[i]);
    }
    (void)pthread_sigmask(SIG_BLOCK, &mask, &before->set);
}

/* see securememory/signal_mask.h */
void ael_signal_mask_restore(const struct ael_signal_mask *before) {
    (void)pthread_sigmask(SIG_SETMASK, &before->set, NULL);
}
