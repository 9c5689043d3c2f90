/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "base/clock.h"

#include <ael/call.h>

#include <stdatomic.h>

static const int64_t k_ns_in_ms = 1000000;
static const uint32_t k_default_timeout_ms = 30000;

/* One flag that only ever goes up; lock-free, so that a signal handler may raise it. Guards no other data. */
struct ael_cancel {
    atomic_bool triggered;
};

_Static_assert(ATOMIC_BOOL_LOCK_FREE == 2, "ael_cancel_trigger must be safe in a signal handler");

/* see ael/call.h. 0 would mean the default, so a clock at its very start gives a time before it. */
int64_t ael_deadline_in_ms(uint32_t timeout_ms) {
    int64_t deadline_ns = ael_clock_boot_ns() + (int64_t)timeout_ms * k_ns_in_ms;
    return deadline_ns != 0 ? deadline_ns : -1;
}

/* see ael/call.h */
enum ael_status ael_cancel_new(struct ael_cancel **cancel) {
    if (cancel == NULL) {
        return AEL_E_ARGUMENT;
    }
    *cancel = ael_alloc(sizeof(**cancel));
    if (*cancel == NULL) {
        return AEL_E_NO_MEMORY;
    }
    atomic_init(&(*cancel)->triggered, false);
    return AEL_OK;
}

/* see ael/call.h */
void ael_cancel_trigger(struct ael_cancel *cancel) {
    if (cancel != NULL) {
        atomic_store(&cancel->triggered, true);
    }
}

/* see ael/call.h */
void ael_cancel_free(struct ael_cancel *cancel) {
    ael_free(cancel);
}

/* see ael/call.h */
enum ael_status ael_call_check(const struct ael_call *call) {
    if (call == NULL) {
        return AEL_OK;
    }
    if (call->cancel != NULL && atomic_load(&call->cancel->triggered)) {
        return AEL_E_CANCELLED;
    }
    return call->deadline_ns != 0 && ael_clock_boot_ns() >= call->deadline_ns ? AEL_E_TIMEOUT : AEL_OK;
}

/* see ael/call.h. Rounded up, so that 0 always means over. */
uint32_t ael_call_remaining_ms(const struct ael_call *call) {
    if (call == NULL || call->deadline_ns == 0) {
        return k_default_timeout_ms;
    }
    int64_t now = ael_clock_boot_ns();
    if (now >= call->deadline_ns) {
        return 0;
    }
    int64_t left_ms = (call->deadline_ns - now - 1) / k_ns_in_ms + 1;
    return left_ms < UINT32_MAX ? (uint32_t)left_ms : UINT32_MAX;
}
