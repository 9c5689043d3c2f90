/*
 * securememory/signal_mask.h - the signals that a thread blocks.
 *
 * signal_mask_linux.c, or signal_mask_posix.c; the build's AEL_PAGES says which.
 * Layer: securememory.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_SECUREMEMORY_SIGNAL_MASK_H
#define AEL_SECUREMEMORY_SIGNAL_MASK_H

#include <signal.h>

/* Has room for the kernel's own form. */
struct ael_signal_mask {
    sigset_t set;
};

/** Blocks all signals of this thread but those for its own faults, beside what the host blocks. */
void ael_signal_mask_block(struct ael_signal_mask *before);

/** Puts back what was. */
void ael_signal_mask_restore(const struct ael_signal_mask *before);

#endif /* AEL_SECUREMEMORY_SIGNAL_MASK_H */
