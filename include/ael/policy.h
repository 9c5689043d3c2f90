/*
 * ael/policy.h - how long keys live, how often they are checked, what is cached.
 *
 *     struct ael_policy policy = AEL_POLICY_INIT;
 *     policy.revoke_check_interval_s = 600;
 *
 * Read when a factory is made; later changes have no effect.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_POLICY_H
#define AEL_POLICY_H

#include <ael/export.h>
#include <ael/status.h>

#include <stddef.h>

enum ael_eviction {
    AEL_EVICTION_DEFAULT = 0, /* slru */
    AEL_EVICTION_SIMPLE = 1,  /* never evicts: unbounded */
    AEL_EVICTION_LRU = 2,     /* the least recently used goes */
    AEL_EVICTION_SLRU = 3,    /* segmented: used twice outlives used once */
    AEL_EVICTION_LFU = 4,     /* the least often used goes; counts up to 15 and forgets none */
    AEL_EVICTION_TINYLFU = 5, /* a newcomer stays only if it was asked for more often lately than what goes for it */
};

struct ael_policy {
    size_t size;                      /* sizeof(struct ael_policy) */
    int64_t expire_key_after_s;       /* a key encrypts until created + this; <= 0: one creation precision */
    int64_t revoke_check_interval_s;  /* a cached key is checked again after this; 0: each time */
    int64_t max_stale_s;              /* without a reachable metastore a key serves this long; 0: 2 x interval */
    int64_t create_date_precision_s;  /* created of new SKs and IKs is cut down to this; <= 0: 1 s */
    bool cache_system_keys;
    size_t system_key_cache_max;      /* entries; 0: as many as 8 MiB hold */
    enum ael_eviction system_key_cache_eviction;
    bool cache_intermediate_keys;
    size_t intermediate_key_cache_max; /* entries; 0: as many as 40 MiB hold */
    enum ael_eviction intermediate_key_cache_eviction;
    bool shared_intermediate_key_cache; /* one for the factory; false: one a session, each with that bound */
    bool cache_sessions;
    size_t session_cache_max;         /* entries; 0: as many as 16 MiB hold */
    int64_t session_cache_duration_s; /* since it was cached */
    enum ael_eviction session_cache_eviction;
    size_t max_payload;               /* bytes, 1 .. 2^31-1 */
    size_t background_loads;          /* at once, for calls that never wait, each on a thread of the library's;
                                         0: no threads; 64 at most */
};

/* 90 days, 60 minutes, 2 x interval, 1 minute; all caches on, shared, bounded; 64 MiB. */
#define AEL_POLICY_INIT                                                                                       \
    {sizeof(struct ael_policy), 7776000, 3600, 0, 60, true, 0, AEL_EVICTION_DEFAULT, true, 0,                 \
     AEL_EVICTION_DEFAULT, true, true, 0, 7200, AEL_EVICTION_DEFAULT, 64u << 20, 4}

AEL_BEGIN_DECLS

/**
 * Checks a policy without making a factory.
 *
 * @return AEL_OK; AEL_E_ARGUMENT (NULL, a size that is none, a negative interval, max_stale_s above 0 but below the
 *         interval, an unknown eviction, max_payload or background_loads out of range): err names the field.
 * Threads: any.
 */
AEL_API AEL_MUST_CHECK enum ael_status ael_policy_check(const struct ael_policy *policy, struct ael_error *err);

/** Reads an eviction's name ("simple", "lru", "lfu", "slru", "tinylfu"). AEL_OK or AEL_E_ARGUMENT. Threads: any. */
AEL_API AEL_MUST_CHECK enum ael_status ael_eviction_from_text(const char *text, enum ael_eviction *eviction);

AEL_END_DECLS

#endif /* AEL_POLICY_H */
