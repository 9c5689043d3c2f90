/*
 * appencryption/policy.h - what a policy comes to: the defaults filled in, seconds as nanoseconds.
 * Layer: appencryption.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_APPENCRYPTION_POLICY_H
#define AEL_APPENCRYPTION_POLICY_H

#include <ael/policy.h>

/* How far a key's created may lie ahead of this clock when it is made. */
enum { AEL_CLOCK_AHEAD_MAX_S = 86400 };

/* A cache's bound: entries, or bytes when the policy leaves it open. */
struct ael_cache_bound {
    enum ael_eviction eviction; /* never AEL_EVICTION_DEFAULT */
    size_t capacity;            /* in cost units */
    bool by_bytes;              /* an entry costs its bytes; otherwise 1 */
};

/* Immutable once made. */
struct ael_rules {
    int64_t expire_s;    /* 1 or more */
    int64_t precision_s; /* 1 or more, never longer than a key lives */
    int64_t interval_ns; /* 0: check each time */
    int64_t max_stale_ns;
    bool cache_system_keys;
    bool cache_intermediate_keys;
    bool shared_intermediate_keys;
    bool cache_sessions;
    struct ael_cache_bound system_keys;
    struct ael_cache_bound intermediate_keys;
    struct ael_cache_bound sessions;
    int64_t session_duration_ns;
    size_t max_payload;
    size_t background_loads;
};

/**
 * Checks a policy and fills in its defaults.
 *
 * @param policy  NULL = AEL_POLICY_INIT.
 * @return AEL_OK; AEL_E_ARGUMENT, as ael_policy_check. Threads: any.
 */
AEL_MUST_CHECK enum ael_status
ael_rules_from_policy(const struct ael_policy *policy, struct ael_rules *rules, struct ael_error *err);

#endif /* AEL_APPENCRYPTION_POLICY_H */
