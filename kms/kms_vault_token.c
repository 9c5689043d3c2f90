/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/kms_vault_token.h"

#include "base/clock.h"

static const char k_component[] = "kms/vault";

enum {
    WAIT_SLICE_MS = 20, /* a cancel token wakes nobody */
    PRESSED_MS = 1000,  /* who had less left gave up sooner than others would */
    FRESH_S = 10,
};

#define SECOND_NS    INT64_C(1000000000)
#define LEASE_MOST_S INT64_C(1000000000) /* some decades: no overflow */

/* The lock is free, or the forking thread's; who logged in is not here. */
static void after_fork_child(void *self) {
    struct ael_kms_vault_tokens *tokens = self;
    tokens->fetching = false;
}

/* see kms/kms_vault_token.h */
enum ael_status ael_kms_vault_tokens_init(
    struct ael_kms_vault_tokens *tokens,
    const struct ael_kms_vault_login *login,
    struct ael_kms_vault_server *server) {
    *tokens = (struct ael_kms_vault_tokens){.login = login, .server = server};
    enum ael_status status = ael_mutex_init(&tokens->lock);
    if (status != AEL_OK) {
        return status;
    }
    ael_cond_init(&tokens->changed);
    tokens->fork = (struct ael_fork_part){.child = after_fork_child, .self = tokens};
    status = ael_fork_add(&tokens->fork);
    if (status != AEL_OK) {
        ael_mutex_clear(&tokens->lock);
        return status;
    }
    tokens->is_set_up = true;
    return AEL_OK;
}

/* see kms/kms_vault_token.h */
void ael_kms_vault_tokens_clear(struct ael_kms_vault_tokens *tokens) {
    if (!tokens->is_set_up) {
        return;
    }
    ael_fork_remove(&tokens->fork);
    ael_secret_release(tokens->token);
    ael_mutex_clear(&tokens->lock);
    tokens->is_set_up = false;
}

/* ---- with the lock held ---- */

static bool is_usable(const struct ael_kms_vault_tokens *tokens, int64_t now_ns) {
    return tokens->token != NULL && !tokens->refused && now_ns < tokens->ends_ns;
}

/* Keeps what was granted; returns what it replaces, to be released without the lock. */
static struct ael_secret *
keep(struct ael_kms_vault_tokens *tokens, const struct ael_kms_vault_grant *grant, int64_t asked_ns) {
    int64_t lease_ns = (grant->lease_s < LEASE_MOST_S ? grant->lease_s : LEASE_MOST_S) * SECOND_NS;
    struct ael_secret *replaced = tokens->token;
    bool same = grant->token == replaced; /* renewed; if it was refused meanwhile, that is the later word */
    tokens->token = grant->token;
    tokens->since_ns = asked_ns;
    tokens->ends_ns = lease_ns == 0 ? INT64_MAX : asked_ns + lease_ns;
    tokens->renew_at_ns = lease_ns == 0 ? INT64_MAX : asked_ns + lease_ns / 3 * 2;
    tokens->retry_after_ns = lease_ns / 10;
    tokens->renewable = grant->renewable;
    tokens->refused = tokens->refused && same;
    return replaced;
}

/* Waits for whoever logs in. AEL_OK: look again; else the shared failure, or the end of the own call. */
static enum ael_status
wait_for_login(struct ael_kms_vault_tokens *tokens, const struct ael_call *call, struct ael_error *err) {
    uint64_t failures = tokens->failures;
    while (tokens->fetching) {
        enum ael_status status = ael_call_check(call);
        if (status != AEL_OK) {
            return ael_error_set(
                err, status, 0, k_component, "waiting for a log-in: %s", ael_status_text(status));
        }
        uint32_t left_ms = ael_call_remaining_ms(call);
        ael_cond_wait_for(
            &tokens->changed, &tokens->lock,
            (left_ms < WAIT_SLICE_MS ? (int64_t)left_ms : WAIT_SLICE_MS) * 1000000);
    }
    /* Another one may have logged in since the failure, before this thread had the lock again. */
    if (tokens->failures == failures || is_usable(tokens, ael_clock_boot_ns())) {
        return AEL_OK;
    }
    if (err != NULL) {
        *err = tokens->last_err;
    }
    return tokens->last_err.status;
}

/* ---- without it, by one thread at a time ---- */

/* What a renewal gives is worth having when it lasts for half of what a log-in gives: or where there is no other. */
static bool
is_long_enough(const struct ael_kms_vault_tokens *tokens, const struct ael_kms_vault_grant *grant) {
    return !ael_kms_vault_login_can_mend(tokens->login) || grant->lease_s == 0 ||
           grant->lease_s >= tokens->login_lease_s / 2;
}

static enum ael_status log_in(
    struct ael_kms_vault_tokens *tokens,
    const struct ael_call *call,
    struct ael_kms_vault_grant *grant,
    struct ael_error *err) {
    enum ael_status status = ael_kms_vault_login_run(tokens->login, tokens->server, call, grant, err);
    if (status == AEL_OK) {
        tokens->login_lease_s = grant->lease_s; /* read by who fetches alone */
    }
    return status;
}

/* @param old  a token to renew; NULL = none. */
static enum ael_status fetch(
    struct ael_kms_vault_tokens *tokens,
    const struct ael_call *call,
    struct ael_secret *old,
    struct ael_kms_vault_grant *grant,
    struct ael_error *err) {
    if (old == NULL) {
        return log_in(tokens, call, grant, err);
    }
    enum ael_status status = ael_kms_vault_login_renew(tokens->server, call, old, grant, err);
    if (status == AEL_OK && is_long_enough(tokens, grant)) {
        return AEL_OK;
    }
    if (status != AEL_OK && (status != AEL_E_KMS || !ael_kms_vault_login_can_mend(tokens->login))) {
        return status;
    }
    struct ael_kms_vault_grant renewed = *grant;
    status = log_in(tokens, call, grant, err);
    if (status != AEL_OK && renewed.token != NULL) { /* little is better than nothing */
        *grant = renewed;
        return AEL_OK;
    }
    ael_secret_release(renewed.token);
    return status;
}

/* A call's own end is nobody else's failure, nor what it had no time to try again. */
static bool is_shared(enum ael_status status, const struct ael_call *call) {
    bool pressed = status == AEL_E_UNREACHABLE && ael_call_remaining_ms(call) < PRESSED_MS;
    return status != AEL_E_TIMEOUT && status != AEL_E_CANCELLED && !pressed;
}

/* Notes an outcome, with the lock held; returns what is to be released without it. */
static struct ael_secret *settle(
    struct ael_kms_vault_tokens *tokens,
    const struct ael_call *call,
    enum ael_status *status,
    const struct ael_kms_vault_grant *grant,
    int64_t asked_ns,
    struct ael_error *said) {
    tokens->fetching = false;
    if (*status == AEL_OK) {
        return keep(tokens, grant, asked_ns);
    }
    int64_t now_ns = ael_clock_boot_ns();
    if (tokens->refused && tokens->doubted) { /* no better one is to be had now, nor asked for at once */
        tokens->refused = false;
        tokens->since_ns = now_ns;
    }
    if (is_usable(tokens, now_ns)) {
        bool due = now_ns >= tokens->renew_at_ns;
        tokens->renew_at_ns = due ? now_ns + tokens->retry_after_ns : tokens->renew_at_ns;
        *status = AEL_OK;
    } else if (is_shared(*status, call)) {
        tokens->failures++;
        tokens->last_err = *said;
    }
    return NULL;
}

/* Renews or logs in for all; comes and goes with the lock held. */
static enum ael_status
refresh(struct ael_kms_vault_tokens *tokens, const struct ael_call *call, struct ael_error *err) {
    struct ael_kms_vault_grant grant = {.token = NULL};
    struct ael_error said = {.status = AEL_OK};
    struct ael_call bound = *call;
    int64_t asked_ns = ael_clock_boot_ns();
    bool usable = is_usable(tokens, asked_ns);
    struct ael_secret *old = usable && tokens->renewable ? ael_secret_acquire(tokens->token) : NULL;
    if (usable) { /* the rest of the call's time is for what the token was wanted for */
        bound.deadline_ns = ael_deadline_in_ms(ael_call_remaining_ms(call) / 2);
    }
    tokens->fetching = true;
    ael_mutex_unlock(&tokens->lock);
    enum ael_status status = fetch(tokens, &bound, old, &grant, &said);
    ael_secret_release(old);
    ael_mutex_lock(&tokens->lock);
    struct ael_secret *replaced = settle(tokens, call, &status, &grant, asked_ns, &said);
    ael_cond_broadcast(&tokens->changed);
    ael_mutex_unlock(&tokens->lock);
    ael_secret_release(replaced);
    ael_mutex_lock(&tokens->lock);
    if (status != AEL_OK && err != NULL) {
        *err = said;
    }
    return status;
}

/* Until there is something to give; the caller holds the lock. */
static enum ael_status
make_ready(struct ael_kms_vault_tokens *tokens, const struct ael_call *call, struct ael_error *err) {
    for (;;) {
        int64_t now_ns = ael_clock_boot_ns();
        bool usable = is_usable(tokens, now_ns);
        if (usable && (tokens->fetching || now_ns < tokens->renew_at_ns)) {
            return AEL_OK;
        }
        if (!tokens->fetching) {
            return refresh(tokens, call, err);
        }
        enum ael_status status = wait_for_login(tokens, call, err);
        if (status != AEL_OK) {
            return status;
        }
    }
}

/* see kms/kms_vault_token.h */
enum ael_status ael_kms_vault_tokens_get(
    struct ael_kms_vault_tokens *tokens,
    const struct ael_call *call,
    struct ael_secret **token,
    struct ael_error *err) {
    *token = NULL;
    int cancel = ael_cancel_disable(); /* a thread cancelled in a log-in would leave all others waiting */
    ael_mutex_lock(&tokens->lock);
    enum ael_status status = make_ready(tokens, call, err);
    if (status == AEL_OK) {
        *token = ael_secret_acquire(tokens->token);
    }
    ael_mutex_unlock(&tokens->lock);
    ael_cancel_restore(cancel);
    return status;
}

/* see kms/kms_vault_token.h */
bool ael_kms_vault_tokens_refused(
    struct ael_kms_vault_tokens *tokens, const struct ael_secret *token, bool certain) {
    if (!ael_kms_vault_login_can_mend(tokens->login)) {
        return false;
    }
    ael_mutex_lock(&tokens->lock);
    bool is_present = tokens->token == token;
    bool fresh = ael_clock_boot_ns() - tokens->since_ns < FRESH_S * SECOND_NS;
    if (is_present && (certain || !fresh)) {
        tokens->doubted = !certain && (!tokens->refused || tokens->doubted);
        tokens->refused = true;
    }
    bool another = !is_present || tokens->refused;
    ael_mutex_unlock(&tokens->lock);
    return another;
}
