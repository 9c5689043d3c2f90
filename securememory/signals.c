/* SPDX-License-Identifier: Apache-2.0 */
#include "securememory/signals.h"

#include "base/wipe.h"

#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SIGNALS = 64, WORD_BITS = sizeof(unsigned long) * CHAR_BIT };

/* As the kernel has it: libc's set leaves out the two signals that libc itself sends to threads (cancellation, setuid),
 * whose frames hold registers like any other's. */
struct signal_mask {
    unsigned long words[SIGNALS / WORD_BITS];
};

/* Relaxed: set before memory is set up, and what is open then pairs by the depth. */
static atomic_bool g_policy;

static _Thread_local uint32_t t_depth __attribute__((tls_model("initial-exec")));
static _Thread_local struct signal_mask t_before __attribute__((tls_model("initial-exec")));

/* see securememory/signals.h */
void ael_signals_set_policy(bool block) {
    atomic_store_explicit(&g_policy, block, memory_order_relaxed);
}

/* see securememory/signals.h */
bool ael_signals_policy(void) {
    return atomic_load_explicit(&g_policy, memory_order_relaxed);
}

static struct signal_mask all_but_faults(void) {
    static const int k_faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
    struct signal_mask mask;
    memset(&mask, 0xff, sizeof mask);
    for (size_t i = 0; i < sizeof k_faults / sizeof k_faults[0]; i++) {
        unsigned bit = (unsigned)k_faults[i] - 1;
        mask.words[bit / WORD_BITS] &= ~(1UL << bit % WORD_BITS);
    }
    return mask;
}

/* see securememory/signals.h */
void ael_signals_hold(void) {
    if (t_depth == 0) {
        if (!ael_signals_policy()) {
            return;
        }
        struct signal_mask mask = all_but_faults();
        (void)syscall(
            SYS_rt_sigprocmask, SIG_BLOCK, &mask, &t_before, sizeof mask); /* adds to what the host blocks */
    }
    t_depth++;
}

/* see securememory/signals.h */
void ael_signals_release(void) {
    if (t_depth == 0) {
        return; /* begun without the policy */
    }
    if (t_depth == 1) {
        ael_wipe_stack();
        t_depth = 0; /* first: a signal that is delivered now may use the library */
        (void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &t_before, NULL, sizeof t_before);
        return;
    }
    t_depth--;
}
