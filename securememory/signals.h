/*
 * securememory/signals.h - the policy `block_signals`: no signal is delivered while a thread works with keys, so that no
 * signal frame holds what lies in its registers.
 *
 *     ael_signals_hold();
 *     ...ciphers...
 *     ael_signals_release();
 *
 * Holds nest; only the outermost makes the two system calls, and without the policy none does. The end of the outermost
 * wipes the stack below the caller and the vector registers first. Synchronous signals (SIGSEGV, SIGBUS, SIGFPE, SIGILL,
 * SIGTRAP, SIGSYS) are not blocked: a fault must reach the host's handler.
 * Layer: securememory.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_SECUREMEMORY_SIGNALS_H
#define AEL_SECUREMEMORY_SIGNALS_H

#include <stdbool.h>

/** Says whether holds that begin from now on block signals. Threads: any. */
void ael_signals_set_policy(bool block);

/** Tells what was said last. Threads: any. */
bool ael_signals_policy(void);

/** Begins; nothing that waits for others may come before the end. Threads: any. */
void ael_signals_hold(void);

/** Ends, on the same thread. What was blocked before stays so; signals that came meanwhile are delivered in here. */
void ael_signals_release(void);

#endif /* AEL_SECUREMEMORY_SIGNALS_H */
