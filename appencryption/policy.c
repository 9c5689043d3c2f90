/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/policy.h"

#include "base/check.h"

#include <ael/sys/error.h>
#include <string.h>

static const char k_component[] = "policy";

enum {
    SYSTEM_KEY_BYTES = 8 << 20,
    INTERMEDIATE_KEY_BYTES = 40 << 20,
    SESSION_BYTES = 16 << 20,
    BACKGROUND_LOADS_MAX = 64,
};

static const int64_t k_ns = 1000000000;

static const struct {
    const char *text;
    enum ael_eviction eviction;
} k_evictions[] = {
    {"simple", AEL_EVICTION_SIMPLE},
    {"lru", AEL_EVICTION_LRU},
    {"lfu", AEL_EVICTION_LFU},
    {"slru", AEL_EVICTION_SLRU},
    {"tinylfu", AEL_EVICTION_TINYLFU},
};

static enum ael_status refuse(struct ael_error *err, const char *sentence) {
    return ael_error_set(err, AEL_E_ARGUMENT, 0, k_component, "%s", sentence);
}

static bool is_eviction(enum ael_eviction eviction) {
    return (int)eviction >= AEL_EVICTION_DEFAULT && eviction <= AEL_EVICTION_TINYLFU;
}

/* Seconds that still fit as nanoseconds, after doubling. */
static bool is_interval(int64_t seconds) {
    return seconds >= 0 && seconds <= INT64_MAX / k_ns / 4;
}

static enum ael_status check_intervals(const struct ael_policy *policy, struct ael_error *err) {
    if (!is_interval(policy->revoke_check_interval_s)) {
        return refuse(err, "revoke_check_interval_s must be 0 or more, and below 73 years");
    }
    if (!is_interval(policy->max_stale_s)) {
        return refuse(err, "max_stale_s must be 0 (2 x the interval) or more, and below 73 years");
    }
    if (policy->max_stale_s > 0 && policy->max_stale_s < policy->revoke_check_interval_s) {
        return refuse(err, "max_stale_s must not be smaller than revoke_check_interval_s");
    }
    if (!is_interval(policy->session_cache_duration_s)) {
        return refuse(err, "session_cache_duration_s must be 0 or more, and below 73 years");
    }
    return AEL_OK;
}

static enum ael_status check_caches(const struct ael_policy *policy, struct ael_error *err) {
    if (!is_eviction(policy->system_key_cache_eviction)) {
        return refuse(err, "system_key_cache_eviction is none of enum ael_eviction");
    }
    if (!is_eviction(policy->intermediate_key_cache_eviction)) {
        return refuse(err, "intermediate_key_cache_eviction is none of enum ael_eviction");
    }
    if (!is_eviction(policy->session_cache_eviction)) {
        return refuse(err, "session_cache_eviction is none of enum ael_eviction");
    }
    return AEL_OK;
}

/* see ael/policy.h */
enum ael_status ael_policy_check(const struct ael_policy *policy, struct ael_error *err) {
    if (policy == NULL) {
        return refuse(err, "policy is NULL");
    }
    if (policy->size != sizeof *policy) {
        return refuse(err, "size is not sizeof(struct ael_policy); start from AEL_POLICY_INIT");
    }
    AEL_TRY(check_intervals(policy, err));
    AEL_TRY(check_caches(policy, err));
    if (policy->max_payload < 1 || policy->max_payload > INT32_MAX) {
        return refuse(err, "max_payload must be 1 .. 2^31-1 bytes");
    }
    if (policy->background_loads > BACKGROUND_LOADS_MAX) {
        return refuse(err, "background_loads must be 0 .. 64");
    }
    return AEL_OK;
}

/* see ael/policy.h */
enum ael_status ael_eviction_from_text(const char *text, enum ael_eviction *eviction) {
    if (text == NULL || eviction == NULL) {
        return AEL_E_ARGUMENT;
    }
    for (size_t i = 0; i < sizeof k_evictions / sizeof k_evictions[0]; i++) {
        if (strcmp(text, k_evictions[i].text) == 0) {
            *eviction = k_evictions[i].eviction;
            return AEL_OK;
        }
    }
    return AEL_E_ARGUMENT;
}

static struct ael_cache_bound bound(enum ael_eviction eviction, size_t entries, size_t bytes) {
    return (struct ael_cache_bound){
        .eviction = eviction == AEL_EVICTION_DEFAULT ? AEL_EVICTION_SLRU : eviction,
        .capacity = entries != 0 ? entries : bytes,
        .by_bytes = entries == 0,
    };
}

/* A precision longer than a key lives would make keys that are expired when they are made. */
static int64_t precision_of(const struct ael_policy *policy) {
    int64_t precision = policy->create_date_precision_s;
    if (policy->expire_key_after_s > 0 && precision > policy->expire_key_after_s) {
        precision = policy->expire_key_after_s;
    }
    return precision > 0 ? precision : 1;
}

/* A key that never lives would be followed by another, one second later, with each encrypt. */
static int64_t life_of(const struct ael_policy *policy, int64_t precision_s) {
    return policy->expire_key_after_s > 0 ? policy->expire_key_after_s : precision_s;
}

static void fill_caches(struct ael_rules *rules, const struct ael_policy *policy) {
    rules->cache_system_keys = policy->cache_system_keys;
    rules->cache_intermediate_keys = policy->cache_intermediate_keys;
    rules->shared_intermediate_keys = policy->shared_intermediate_key_cache;
    rules->cache_sessions = policy->cache_sessions;
    rules->system_keys =
        bound(policy->system_key_cache_eviction, policy->system_key_cache_max, SYSTEM_KEY_BYTES);
    rules->intermediate_keys =
        bound(policy->intermediate_key_cache_eviction, policy->intermediate_key_cache_max, INTERMEDIATE_KEY_BYTES);
    rules->sessions = bound(policy->session_cache_eviction, policy->session_cache_max, SESSION_BYTES);
    rules->session_duration_ns = policy->session_cache_duration_s * k_ns;
}

/* see appencryption/policy.h */
enum ael_status
ael_rules_from_policy(const struct ael_policy *policy, struct ael_rules *rules, struct ael_error *err) {
    static const struct ael_policy k_default = AEL_POLICY_INIT;
    if (policy == NULL) {
        policy = &k_default;
    }
    AEL_TRY(ael_policy_check(policy, err));
    *rules = (struct ael_rules){.precision_s = precision_of(policy), .max_payload = policy->max_payload};
    rules->background_loads = policy->background_loads;
    rules->expire_s = life_of(policy, rules->precision_s);
    rules->interval_ns = policy->revoke_check_interval_s * k_ns;
    rules->max_stale_ns = policy->max_stale_s > 0 ? policy->max_stale_s * k_ns : 2 * rules->interval_ns;
    fill_caches(rules, policy);
    return AEL_OK;
}
