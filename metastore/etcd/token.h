/*
 * metastore/etcd/token.h - the token of a user: asked for when the first request needs it, and anew
 * when it is refused (it ended, its node was restarted, users or roles were changed), or may have been.
 *
 * One caller logs in, without holding a lock; those who come meanwhile wait for that inside their calls, and
 * share its failure, unless its call had too little time and theirs has more. User, password and token are in
 * ordinary memory, wiped when done: they open the store of encrypted keys, no key.
 * Layer: metastore (libael-etcd). Threads: any; locks inside.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_METASTORE_ETCD_TOKEN_H
#define AEL_METASTORE_ETCD_TOKEN_H

#include "base/sync.h"

#include <ael/bytes.h>
#include <ael/call.h>
#include <ael/sys/error.h>

/**
 * How a cluster is asked for a token.
 *
 * @param login    the request, as JSON; the answer to it ael_etcd_token_read reads.
 * @param text     empty; receives the token.
 * @param was_cut  receives whether nodes had less time because the call ends soon.
 */
typedef enum ael_status (*ael_etcd_log_in_fn)(
    void *context,
    const struct ael_call *call,
    struct ael_bytes login,
    struct ael_buf *text,
    bool *was_cut,
    struct ael_error *err);

struct ael_etcd_token {
    ael_etcd_log_in_fn log_in;
    void *context;
    uint32_t answer_timeout_ms; /* of a node */
    struct ael_buf login; /* the request, as JSON; empty = there is no user */
    bool is_set_up;
    struct ael_mutex lock; /* guards what follows */
    struct ael_cond changed;
    struct ael_buf text; /* empty = none yet, or refused */
    bool asking;
    uint64_t failures; /* counted, so that who waits knows a new one */
    struct ael_error last;
    bool last_was_cut; /* its call had too little time for the nodes */
};

/**
 * @param token  zeroed, but for log_in, context and answer_timeout_ms. @param user NULL = none.
 * @return AEL_OK; AEL_E_NO_MEMORY; AEL_E_SYSTEM.
 */
AEL_MUST_CHECK enum ael_status
ael_etcd_token_init(struct ael_etcd_token *token, const char *user, const char *password);

/** Wipes; nobody uses it any more. A zeroed one is accepted. */
void ael_etcd_token_clear(struct ael_etcd_token *token);

bool ael_etcd_token_is_needed(const struct ael_etcd_token *token);

/**
 * Gives the token, from the cluster if need be.
 *
 * @param text  empty; receives a copy, which the caller clears.
 * @return AEL_OK; AEL_E_TIMEOUT; AEL_E_CANCELLED; or as log_in.
 */
AEL_MUST_CHECK enum ael_status ael_etcd_token_get(
    struct ael_etcd_token *token, const struct ael_call *call, struct ael_buf *text, struct ael_error *err);

/** Reads the answer to a log-in. @return AEL_OK; AEL_E_BACKEND (none, or no token in it); AEL_E_NO_MEMORY. */
AEL_MUST_CHECK enum ael_status
ael_etcd_token_read(struct ael_bytes body, struct ael_buf *text, struct ael_error *err);

/** Tells that this one was refused, or may have been; another that is there meanwhile stays. */
void ael_etcd_token_refused(struct ael_etcd_token *token, struct ael_bytes text);

/** In a child of fork, where nobody else is logging in. */
void ael_etcd_token_after_fork(struct ael_etcd_token *token);

#endif /* AEL_METASTORE_ETCD_TOKEN_H */
