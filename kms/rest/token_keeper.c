/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/rest/token_keeper.h"

#include "base/clock.h"

enum {
    WAIT_SLICE_MS = 20, /* a cancel token wakes nobody */
    PRESSED_MS = 1000,  /* who had less left gave up sooner than others would */
    FRESH_S = 10,
};

#define SECOND_NS    INT64_C(1000000000)
#define LEASE_MOST_S INT64_C(1000000000) /* some decades: no overflow */

/* The lock is free, or the forking thread's; who logged in is not here. */
static void after_fork_child(void *self) {
    struct ael_token_keeper *keeper = self;
    keeper->fetching = false;
}

/* see kms/rest/token_keeper.h */
enum ael_status
ael_token_keeper_init(struct ael_token_keeper *keeper, const struct ael_token_source *source, void *self) {
    *keeper = (struct ael_token_keeper){.source = source, .self = self};
    enum ael_status status = ael_mutex_init(&keeper->lock);
    if (status != AEL_OK) {
        return status;
    }
    ael_cond_init(&keeper->changed);
    keeper->fork = (struct ael_fork_part){.child = after_fork_child, .self = keeper};
    status = ael_fork_add(&keeper->fork);
    if (status != AEL_OK) {
        ael_mutex_clear(&keeper->lock);
        return status;
    }
    keeper->is_set_up = true;
    return AEL_OK;
}

/* see kms/rest/token_keeper.h */
void ael_token_keeper_clear(struct ael_token_keeper *keeper) {
    if (!keeper->is_set_up) {
        return;
    }
    ael_fork_remove(&keeper->fork);
    ael_http_text_clear(&keeper->token);
    ael_mutex_clear(&keeper->lock);
    keeper->is_set_up = false;
}

/* ---- with the lock held ---- */

static bool is_usable(const struct ael_token_keeper *keeper, int64_t now_ns) {
    return keeper->token.pieces[0] != NULL && !keeper->refused && now_ns < keeper->ends_ns;
}

/* Keeps what was granted; returns what it replaces, to be released without the lock. */
static struct ael_http_text
keep(struct ael_token_keeper *keeper, const struct ael_token_grant *grant, int64_t asked_ns) {
    int64_t lease_ns = (grant->lease_s < LEASE_MOST_S ? grant->lease_s : LEASE_MOST_S) * SECOND_NS;
    struct ael_http_text replaced = keeper->token;
    bool same = grant->token.pieces[0] ==
                replaced.pieces[0]; /* renewed; if it was refused meanwhile, that is the later word */
    keeper->token = grant->token;
    keeper->since_ns = asked_ns;
    keeper->ends_ns = lease_ns == 0 ? INT64_MAX : asked_ns + lease_ns;
    keeper->renew_at_ns = lease_ns == 0 ? INT64_MAX : asked_ns + lease_ns / 3 * 2;
    keeper->retry_after_ns = lease_ns / 10;
    keeper->renewable = grant->renewable;
    keeper->refused = keeper->refused && same;
    return replaced;
}

/* Waits for whoever logs in. AEL_OK: look again; else the shared failure, or the end of the own call. */
static enum ael_status
wait_for_login(struct ael_token_keeper *keeper, const struct ael_call *call, struct ael_error *err) {
    uint64_t failures = keeper->failures;
    while (keeper->fetching) {
        enum ael_status status = ael_call_check(call);
        if (status != AEL_OK) {
            return ael_error_set(
                err, status, 0, keeper->source->component, "waiting for a log-in: %s",
                ael_status_text(status));
        }
        uint32_t left_ms = ael_call_remaining_ms(call);
        ael_cond_wait_for(
            &keeper->changed, &keeper->lock,
            (left_ms < WAIT_SLICE_MS ? (int64_t)left_ms : WAIT_SLICE_MS) * 1000000);
    }
    /* Another one may have logged in since the failure, before this thread had the lock again. */
    if (keeper->failures == failures || is_usable(keeper, ael_clock_boot_ns())) {
        return AEL_OK;
    }
    if (err != NULL) {
        *err = keeper->last_err;
    }
    return keeper->last_err.status;
}

/* ---- without it, by one thread at a time ---- */

static bool can_mend(const struct ael_token_keeper *keeper) {
    return keeper->source->can_mend == NULL || keeper->source->can_mend(keeper->self);
}

/* What a renewal gives is worth having when it lasts for half of what a log-in gives: or where there is no
 * other. */
static bool is_long_enough(const struct ael_token_keeper *keeper, const struct ael_token_grant *grant) {
    return !can_mend(keeper) || grant->lease_s == 0 || grant->lease_s >= keeper->login_lease_s / 2;
}

static enum ael_status log_in(
    struct ael_token_keeper *keeper,
    const struct ael_call *call,
    struct ael_token_grant *grant,
    struct ael_error *err) {
    enum ael_status status = keeper->source->log_in(keeper->self, call, grant, err);
    if (status == AEL_OK) {
        keeper->login_lease_s = grant->lease_s; /* read by who fetches alone */
    }
    return status;
}

/* @param old  a token to renew; without a piece = none. */
static enum ael_status fetch(
    struct ael_token_keeper *keeper,
    const struct ael_call *call,
    const struct ael_http_text *old,
    struct ael_token_grant *grant,
    struct ael_error *err) {
    if (old->pieces[0] == NULL) {
        return log_in(keeper, call, grant, err);
    }
    enum ael_status status = keeper->source->renew(keeper->self, call, old, grant, err);
    if (status == AEL_OK && is_long_enough(keeper, grant)) {
        return AEL_OK;
    }
    if (status != AEL_OK && (status != AEL_E_KMS || !can_mend(keeper))) {
        return status;
    }
    struct ael_token_grant renewed = *grant;
    *grant = (struct ael_token_grant){.lease_s = 0};
    status = log_in(keeper, call, grant, err);
    if (status != AEL_OK && renewed.token.pieces[0] != NULL) { /* little is better than nothing */
        *grant = renewed;
        return AEL_OK;
    }
    ael_http_text_clear(&renewed.token);
    return status;
}

/* A call's own end is nobody else's failure, nor what it had no time to try again. */
static bool is_shared(enum ael_status status, const struct ael_call *call) {
    bool pressed = status == AEL_E_UNREACHABLE && ael_call_remaining_ms(call) < PRESSED_MS;
    return status != AEL_E_TIMEOUT && status != AEL_E_CANCELLED && !pressed;
}

/* Notes an outcome, with the lock held; returns what is to be released without it. */
static struct ael_http_text settle(
    struct ael_token_keeper *keeper,
    const struct ael_call *call,
    enum ael_status *status,
    const struct ael_token_grant *grant,
    int64_t asked_ns,
    struct ael_error *said) {
    keeper->fetching = false;
    if (*status == AEL_OK) {
        return keep(keeper, grant, asked_ns);
    }
    int64_t now_ns = ael_clock_boot_ns();
    if (keeper->refused && keeper->doubted) { /* no better one is to be had now, nor asked for at once */
        keeper->refused = false;
        keeper->since_ns = now_ns;
    }
    if (is_usable(keeper, now_ns)) {
        bool due = now_ns >= keeper->renew_at_ns;
        keeper->renew_at_ns = due ? now_ns + keeper->retry_after_ns : keeper->renew_at_ns;
        *status = AEL_OK;
    } else if (is_shared(*status, call)) {
        keeper->failures++;
        keeper->last_err = *said;
    }
    return (struct ael_http_text){{NULL}};
}

/* The half of its time was over, not the call's, and the token that there was meanwhile is none any more. */
static bool has_time_left(enum ael_status status, const struct ael_call *bound, const struct ael_call *call) {
    return status == AEL_E_TIMEOUT && bound->deadline_ns < call->deadline_ns &&
           ael_call_check(call) == AEL_OK;
}

/* Renews or logs in for all; comes and goes with the lock held. *again: look again, there is time. */
static enum ael_status
refresh(struct ael_token_keeper *keeper, const struct ael_call *call, bool *again, struct ael_error *err) {
    struct ael_token_grant grant = {.lease_s = 0};
    struct ael_http_text old = {{NULL}};
    struct ael_error said = {.status = AEL_OK};
    struct ael_call bound = *call;
    int64_t asked_ns = ael_clock_boot_ns();
    bool usable = is_usable(keeper, asked_ns);
    if (usable && keeper->renewable && keeper->source->renew != NULL) {
        old = ael_http_text_acquire(&keeper->token);
    }
    if (usable) { /* the rest of the call's time is for what the token was wanted for */
        bound.deadline_ns = ael_deadline_in_ms(ael_call_remaining_ms(call) / 2);
    }
    keeper->fetching = true;
    ael_mutex_unlock(&keeper->lock);
    enum ael_status status = fetch(keeper, &bound, &old, &grant, &said);
    ael_http_text_clear(&old);
    ael_mutex_lock(&keeper->lock);
    struct ael_http_text replaced = settle(keeper, call, &status, &grant, asked_ns, &said);
    ael_cond_broadcast(&keeper->changed);
    ael_mutex_unlock(&keeper->lock);
    ael_http_text_clear(&replaced);
    ael_mutex_lock(&keeper->lock);
    if (status != AEL_OK && err != NULL) {
        *err = said;
    }
    *again = has_time_left(status, &bound, call);
    return status;
}

/* Until there is something to give; the caller holds the lock. */
static enum ael_status
make_ready(struct ael_token_keeper *keeper, const struct ael_call *call, struct ael_error *err) {
    for (;;) {
        int64_t now_ns = ael_clock_boot_ns();
        bool usable = is_usable(keeper, now_ns);
        if (usable && (keeper->fetching || now_ns < keeper->renew_at_ns)) {
            return AEL_OK;
        }
        if (!keeper->fetching) {
            bool again = false;
            enum ael_status status = refresh(keeper, call, &again, err);
            if (!again) {
                return status;
            }
            continue;
        }
        enum ael_status status = wait_for_login(keeper, call, err);
        if (status != AEL_OK) {
            return status;
        }
    }
}

/* see kms/rest/token_keeper.h */
enum ael_status ael_token_keeper_get(
    struct ael_token_keeper *keeper,
    const struct ael_call *call,
    struct ael_http_text *token,
    struct ael_error *err) {
    *token = (struct ael_http_text){{NULL}};
    int cancel = ael_cancel_disable(); /* a thread cancelled in a log-in would leave all others waiting */
    ael_mutex_lock(&keeper->lock);
    enum ael_status status = make_ready(keeper, call, err);
    if (status == AEL_OK) {
        *token = ael_http_text_acquire(&keeper->token);
    }
    ael_mutex_unlock(&keeper->lock);
    ael_cancel_restore(cancel);
    return status;
}

/* see kms/rest/token_keeper.h */
bool ael_token_keeper_refused(
    struct ael_token_keeper *keeper, const struct ael_http_text *token, bool certain) {
    if (!can_mend(keeper)) {
        return false;
    }
    ael_mutex_lock(&keeper->lock);
    bool is_present = keeper->token.pieces[0] == token->pieces[0];
    bool fresh = ael_clock_boot_ns() - keeper->since_ns < FRESH_S * SECOND_NS;
    if (is_present && (certain || !fresh)) {
        keeper->doubted = !certain && (!keeper->refused || keeper->doubted);
        keeper->refused = true;
    }
    bool another = !is_present || keeper->refused;
    ael_mutex_unlock(&keeper->lock);
    return another;
}
