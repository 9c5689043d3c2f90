/* SPDX-License-Identifier: Apache-2.0 */
#include "securememory/signals.h"

#include "base/tls.h"
#include "base/wipe.h"
#include "securememory/signal_mask.h"

#include <stdatomic.h>
#include <stdint.h>

/* Relaxed: set before memory is set up, and what is open then pairs by the depth. */
static atomic_bool g_policy;

static AEL_TLS uint32_t t_depth;
static AEL_TLS struct ael_signal_mask t_before;

/* see securememory/signals.h */
void ael_signals_set_policy(bool block) {
    atomic_store_explicit(&g_policy, block, memory_order_relaxed);
}

/* see securememory/signals.h */
bool ael_signals_policy(void) {
    return atomic_load_explicit(&g_policy, memory_order_relaxed);
}

/* see securememory/signals.h */
void ael_signals_hold(void) {
    if (t_depth == 0) {
        if (!ael_signals_policy()) {
            return;
        }
        ael_signal_mask_block(&t_before);
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
        ael_signal_mask_restore(&t_before);
        return;
    }
    t_depth--;
}
