/* SPDX-License-Identifier: Apache-2.0 */
#include "metastore/sql/sql_wait.h"

#include <errno.h>
#include <poll.h>

enum { WAIT_SLICE_MS = 20 }; /* a cancel token wakes nobody: look at it this often */

static const int64_t k_ns_in_ms = 1000000;
static const int64_t k_look_again = -1;

/* see metastore/sql/sql_wait.h */
int64_t ael_sql_now_ns(void) {
    return ael_deadline_in_ms(0);
}

static void note(struct ael_sql_look *look, int64_t now_ns) {
    if (look != NULL) {
        *look = (struct ael_sql_look){.ns = now_ns};
    }
}

/* see metastore/sql/sql_wait.h */
struct ael_sql_wait
ael_sql_wait_begin(const struct ael_call *call, uint32_t timeout_ms, struct ael_sql_look *look) {
    int64_t now_ns = look != NULL && look->is_new ? look->ns : ael_sql_now_ns();
    note(look, now_ns);
    return (struct ael_sql_wait){call, now_ns + (int64_t)timeout_ms * k_ns_in_ms, now_ns, look};
}

/* see metastore/sql/sql_wait.h */
struct ael_sql_wait ael_sql_wait_until(const struct ael_call *call, int64_t until_ns) {
    return (struct ael_sql_wait){call, until_ns, k_look_again, NULL};
}

/* By the token alone: without a deadline no clock is read. */
static bool is_cancelled(const struct ael_call *call) {
    const struct ael_call token = {.size = sizeof token, .cancel = call->cancel};
    return call->cancel != NULL && ael_call_check(&token) == AEL_E_CANCELLED;
}

static enum ael_status check(const struct ael_sql_wait *wait) {
    const struct ael_call *call = wait->call;
    if (call != NULL && is_cancelled(call)) {
        return AEL_E_CANCELLED;
    }
    if (call != NULL && call->deadline_ns != 0 && wait->now_ns >= call->deadline_ns) {
        return AEL_E_TIMEOUT;
    }
    return wait->now_ns < wait->until_ns ? AEL_OK : AEL_E_UNREACHABLE;
}

/* Rounded up, so that nobody looks again a moment too early. */
static int slice_ms(const struct ael_sql_wait *wait) {
    int64_t end_ns = wait->until_ns;
    if (wait->call != NULL && wait->call->deadline_ns != 0 && wait->call->deadline_ns < end_ns) {
        end_ns = wait->call->deadline_ns;
    }
    int64_t left_ns = end_ns - wait->now_ns;
    return left_ns < WAIT_SLICE_MS * k_ns_in_ms ? (int)((left_ns + k_ns_in_ms - 1) / k_ns_in_ms)
                                                : WAIT_SLICE_MS;
}

/* see metastore/sql/sql_wait.h */
enum ael_status ael_sql_wait_for(struct ael_sql_wait *wait, int descriptor, short events) {
    struct pollfd polled = {.fd = descriptor, .events = events};
    for (;;) {
        if (wait->now_ns == k_look_again) {
            wait->now_ns = ael_sql_now_ns();
            note(wait->look, wait->now_ns);
        }
        enum ael_status status = check(wait);
        if (status != AEL_OK) {
            return status;
        }
        int ready = poll(&polled, 1, slice_ms(wait));
        wait->now_ns = k_look_again;
        if (ready > 0 || (ready < 0 && errno != EINTR)) {
            return AEL_OK;
        }
    }
}
