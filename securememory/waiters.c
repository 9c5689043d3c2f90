/* SPDX-License-Identifier: Apache-2.0 */
#include "securememory/waiters.h"

#include "base/check.h"
#include "base/clock.h"

enum {
    CANCEL_POLL_NS = 10 * 1000 * 1000
}; /* a token is triggered in signal handlers, which cannot wake anybody */

struct ael_waiter {
    struct ael_cond given;
    struct ael_waiter *next;
    uint32_t thing;
    bool has_thing;
};

/* Not inlined: gcc 12 cannot see that the waiter is taken off the list again. */
__attribute__((noinline)) static void append(struct ael_waiters *waiters, struct ael_waiter *waiter) {
    if (waiters->last == NULL) {
        waiters->first = waiter;
    } else {
        waiters->last->next = waiter;
    }
    waiters->last = waiter;
}

static void withdraw(struct ael_waiters *waiters, struct ael_waiter *waiter) {
    struct ael_waiter *before = NULL;
    for (struct ael_waiter *at = waiters->first; at != waiter; at = at->next) {
        before = at;
    }
    if (before == NULL) {
        waiters->first = waiter->next;
    } else {
        before->next = waiter->next;
    }
    if (waiters->last == waiter) {
        waiters->last = before;
    }
}

static int64_t next_look(const struct ael_call *call) {
    if (call->cancel == NULL) {
        return call->deadline_ns;
    }
    int64_t soon = ael_clock_boot_ns() + CANCEL_POLL_NS;
    return soon < call->deadline_ns ? soon : call->deadline_ns;
}

/* see securememory/waiters.h */
enum ael_status ael_waiters_wait(
    struct ael_waiters *waiters, struct ael_mutex *mutex, const struct ael_call *call, uint32_t *thing) {
    struct ael_waiter self = {.next = NULL, .thing = 0, .has_thing = false};
    enum ael_status status = AEL_OK;

    ael_cond_init(&self.given);
    append(waiters, &self);
    while (!self.has_thing && status == AEL_OK) {
        enum ael_status woken = ael_cond_wait_until(&self.given, mutex, next_look(call));
        (void)woken; /* the call itself tells whether it is over */
        status = self.has_thing ? AEL_OK : ael_call_check(call);
    }
    if (self.has_thing) {
        *thing = self.thing;
        status = AEL_OK;
    } else {
        withdraw(waiters, &self);
    }
    return status;
}

/* see securememory/waiters.h */
bool ael_waiters_give(struct ael_waiters *waiters, uint32_t thing) {
    struct ael_waiter *oldest = waiters->first;
    if (oldest == NULL) {
        return false;
    }
    withdraw(waiters, oldest);
    oldest->thing = thing;
    oldest->has_thing = true;
    ael_cond_signal(&oldest->given);
    return true;
}
