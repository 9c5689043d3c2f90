/*
 * kms/rest/token_keeper.h - a token that is ready when a request needs it.
 *
 *     granted        two thirds of the lease          the end
 *        |---- given ----|---- given; one renews ----|---- all wait for the one who logs in ----
 *
 * The caller who comes first behind two thirds renews the token, in half of what its own call has left, or
 * logs in where it cannot be renewed any more (or only for less than half of what the log-in gave: its
 * longest life is near). The others go on with what there is. If that fails they all do, it too, until the
 * end; the next try comes a tenth of the lease later. After the end those who come while somebody logs in
 * wait for that, and share its failure; but not one that is a call's own: its deadline or token, or that it
 * had no time to try again.
 *
 * A token that the service refuses (revoked, or ended by its clock) is dropped: the next caller logs in.
 * Where the refusal may be for the token's policies, and the log-in fails, it is given on: it may do for
 * other requests.
 * Layer: kms. Threads: any; locks inside, none of them held while the source is asked. In a child of fork
 * somebody else's log-in is over.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_REST_TOKEN_KEEPER_H
#define AEL_KMS_REST_TOKEN_KEEPER_H

#include "base/fork.h"
#include "base/sync.h"
#include "net/http/exchange.h"

#include <ael/call.h>

/* What a log-in or a renewal gave. */
struct ael_token_grant {
    struct ael_http_text token;
    int64_t lease_s; /* 0 = without an end that is known */
    bool renewable;
};

/* Where tokens come from; static. What they fill is zeroed before. One call at a time. */
struct ael_token_source {
    const char *component;
    enum ael_status (*log_in)(
        void *self, const struct ael_call *call, struct ael_token_grant *grant, struct ael_error *err);

    /* NULL = none can be renewed. AEL_E_KMS: this one cannot. */
    enum ael_status (*renew)(
        void *self,
        const struct ael_call *call,
        const struct ael_http_text *token,
        struct ael_token_grant *grant,
        struct ael_error *err);

    /* Whether a token that is refused can be exchanged for another. NULL = it can. */
    bool (*can_mend)(const void *self);
};

struct ael_token_keeper {
    const struct ael_token_source *source;
    void *self; /* of source */
    struct ael_fork_part fork;
    bool is_set_up;
    struct ael_mutex lock; /* guards what follows */
    struct ael_cond changed;
    struct ael_http_text token; /* no piece = none yet */
    int64_t login_lease_s;      /* what the last log-in gave */
    int64_t since_ns;           /* of the boot clock, as the next two */
    int64_t renew_at_ns;
    int64_t ends_ns; /* INT64_MAX = not known */
    int64_t retry_after_ns;
    bool renewable;
    bool refused;
    bool doubted; /* refused, but it may be the token's policies */
    bool fetching;
    uint64_t failures;         /* counted, so that who waits knows a new one */
    struct ael_error last_err; /* of the last failure */
};

/** @param source and self outlive it. @return AEL_OK; AEL_E_NO_MEMORY; AEL_E_SYSTEM. */
AEL_MUST_CHECK enum ael_status
ael_token_keeper_init(struct ael_token_keeper *keeper, const struct ael_token_source *source, void *self);

/** Nobody uses it any more; a zeroed one is accepted. */
void ael_token_keeper_clear(struct ael_token_keeper *keeper);

/**
 * Gives a token that has not ended.
 *
 * @param call   bounds both waiting and asking; its deadline is set.
 * @param token  the caller's to clear; no piece on failure.
 * @return AEL_OK; AEL_E_TIMEOUT; AEL_E_CANCELLED; or as the source's log_in.
 */
AEL_MUST_CHECK enum ael_status ael_token_keeper_get(
    struct ael_token_keeper *keeper,
    const struct ael_call *call,
    struct ael_http_text *token,
    struct ael_error *err);

/**
 * Tells that the service refused this one.
 *
 * @param certain  it said that the token is none; else it may be the token's policies, and a token that was
 *                 granted just now is not given up for that.
 * @return whether asking again, with another token, may help.
 */
bool ael_token_keeper_refused(
    struct ael_token_keeper *keeper, const struct ael_http_text *token, bool certain);

#endif /* AEL_KMS_REST_TOKEN_KEEPER_H */
