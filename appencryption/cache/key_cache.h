/*
 * appencryption/cache/key_cache.h - system or intermediate keys of a factory (or of one session), by (id, created), with the
 * latest of each id.
 *
 * - A missing key is loaded by one caller, outside the lock; callers of the same key wait for it with their own deadline
 *   and token, callers of other keys do not notice.
 * - From 80 % of the check interval one caller that uses a key loads it again while the others go on with it; past the
 *   interval a load must come first. With an interval of 0 each call loads, or shares a load that began after it.
 * - Where that load failed because the metastore could not be reached, the key serves on until max_stale after its last
 *   successful check, then AEL_E_KEY_STALE. No other failure lets a key past its interval serve.
 * - A load of the latest that gives another key adopts that; one that gives the same key marks it revoked in
 *   place. Nothing else makes a key the latest, and only what was read from the primary counts as a check of
 *   a known key.
 * - A key that was found corrupted in memory serves nobody: it is loaded again.
 * - Keys that are not there are remembered for 1 s (negative_cache.h).
 *
 * A hit takes no lock and writes nothing that another thread reads: the thread pins the key (pinned_table.h), looks
 * whether it may serve, and counts in a place of its own. Only what must load, wait or look at a key past 80 % of its
 * interval takes the lock. For eviction a key is marked as used, once, and by every sixteenth hit of a thread, up to 15
 * times until the evictor looks again: a hot key's line is written no more.
 *
 * Layer: appencryption. Threads: any. The lock is never held while the source is called.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_APPENCRYPTION_CACHE_KEY_CACHE_H
#define AEL_APPENCRYPTION_CACHE_KEY_CACHE_H

#include "appencryption/cache/cached_key.h"
#include "base/thread_entry.h"

#include <ael/call.h>
#include <stdatomic.h>

/* Opaque. */
struct ael_key_cache;

enum { AEL_QUICK_PLACES = 32 };

/* Padded, so that threads do not wait for each other's counts. */
struct ael_quick_counter {
    atomic_uint_least64_t hits;
    uint8_t behind[56];
};

/* What a cache tells about itself. Shared by all caches of a kind; sums only, so relaxed order is enough. */
struct ael_cache_counters {
    atomic_uint_least64_t hits, misses, stale, evictions;
    atomic_size_t cached, bytes; /* entries, and about what they take */
    struct ael_quick_counter quick[AEL_QUICK_PLACES]; /* hits without the lock; each has one thread that writes it */
    const char *hit_name, *miss_name, *stale_name, *evict_name, *load_name; /* of the metrics */
};

/* One load, as the source sees it. */
struct ael_key_load {
    struct ael_bytes id;
    int64_t created_s;            /* 0 when the latest is wanted */
    bool latest;                  /* load the latest, or make a new one when it may not encrypt */
    bool recheck;                 /* it is to be checked: only the primary's word counts */
    struct ael_cached_key *known; /* what the cache has of it, or NULL */
    const int64_t *worn_s;        /* a latest key with this created or an older one is used up; may be NULL */
    int64_t started_ns;           /* what the loaded key's checked_ns is to be */
    const struct ael_call *call;  /* with a deadline */
};

/*
 * Loads a key. On AEL_OK *key belongs to the cache. Otherwise *metastore_unreachable tells whether the metastore (and
 * not the KMS) could not be reached.
 */
typedef enum ael_status (*ael_key_load_fn)(
    void *context, const struct ael_key_load *load, struct ael_cached_key **key, bool *metastore_unreachable,
    struct ael_error *err);

struct ael_key_source {
    ael_key_load_fn load;
    void *context;
};

/**
 * Makes a cache.
 *
 * @param rules, counters  must outlive it.
 * @param enabled  false: every call loads, nothing is kept.
 * @return AEL_OK; AEL_E_NO_MEMORY; AEL_E_SYSTEM; or as ael_random_fill. Ownership: the caller frees it.
 */
AEL_MUST_CHECK enum ael_status ael_key_cache_new(
    const struct ael_rules *rules, const struct ael_cache_bound *bound, bool enabled,
    struct ael_cache_counters *counters, struct ael_key_cache **cache);

/** Frees a cache that nobody uses any more; keys in use live on. NULL is accepted. */
void ael_key_cache_free(struct ael_key_cache *cache);

/**
 * Gives the key (id, created), whether it may encrypt or not.
 *
 * @param call  with a deadline (never 0).
 * @param key   receives the key; the caller releases it.
 * @return AEL_OK; AEL_E_KEY_NOT_FOUND; AEL_E_KEY_STALE; AEL_E_TIMEOUT; AEL_E_CANCELLED; or the source's.
 */
AEL_MUST_CHECK enum ael_status ael_key_cache_get_or_load(
    struct ael_key_cache *cache, const struct ael_key_source *source, struct ael_bytes id, int64_t created_s,
    const struct ael_call *call, struct ael_cached_key **key, struct ael_error *err);

/** Gives the latest key of an id, which may encrypt; otherwise as ael_key_cache_get_or_load. */
AEL_MUST_CHECK enum ael_status ael_key_cache_get_or_load_latest(
    struct ael_key_cache *cache, const struct ael_key_source *source, struct ael_bytes id,
    const struct ael_call *call, struct ael_cached_key **key, struct ael_error *err);

/* A key for one call: pinned by the calling thread, or counted. */
struct ael_key_loan {
    struct ael_cached_key *key;
    uint32_t place; /* of the pin in the thread's entry; AEL_THREAD_PINS: counted */
};

/** As the two above; a key that is fresh is lent without a lock, a shared write or a count. The calling thread ends the
 * loan. On failure there is none. */
AEL_MUST_CHECK enum ael_status ael_key_cache_lend(
    struct ael_key_cache *cache, const struct ael_key_source *source, struct ael_bytes id, int64_t created_s,
    const struct ael_call *call, struct ael_key_loan *loan, struct ael_error *err);
AEL_MUST_CHECK enum ael_status ael_key_cache_lend_latest(
    struct ael_key_cache *cache, const struct ael_key_source *source, struct ael_bytes id,
    const struct ael_call *call, struct ael_key_loan *loan, struct ael_error *err);

/**
 * Lends a key without a lock if it may serve as it is: a hit.
 *
 * @param created_s  NULL: the latest. @param now_ns, now_s  the boot and the wall clock when the call began.
 * @return false: ask as above; that is no miss yet, and nothing is lent.
 */
bool ael_key_cache_borrow(
    struct ael_key_cache *cache, struct ael_bytes id, const int64_t *created_s, int64_t now_ns, int64_t now_s,
    struct ael_key_loan *loan);

/** Ends a loan. Threads: the one that it was made to. */
void ael_key_loan_end(const struct ael_key_loan *loan);

/**
 * Tells, without a lock, whether a key that the cache once gave may serve a call as it is: it is in the cache (latest:
 * as the latest, and may encrypt), sound, and before 80 % of its interval. Then that was a hit. If not, ask
 * ael_key_cache_get_or_load or ..._latest.
 *
 * @param key  pinned by the calling thread. @param now_ns, now_s  the boot and the wall clock when the call began.
 */
bool ael_key_cache_lets_serve(
    struct ael_key_cache *cache, struct ael_cached_key *key, bool latest, int64_t now_ns, int64_t now_s);

/** Counts a hit of a thread that has an entry, without a shared write. @return whether it is a sample, for
 * ael_eviction_note_use. */
bool ael_cache_counters_hit(struct ael_cache_counters *counters);

/**
 * Gives a key that serves at once, for a call that never waits: no load, and nobody's load is waited for.
 *
 * @param created_s  0 with latest. @param key  as ael_key_cache_get_or_load.
 * @param due  receives whether somebody should load it again.
 * @return AEL_OK; AEL_E_KEY_NOT_FOUND (it was not there a moment ago); AEL_E_WOULD_BLOCK.
 */
AEL_MUST_CHECK enum ael_status ael_key_cache_at_hand(
    struct ael_key_cache *cache, struct ael_bytes id, int64_t created_s, bool latest, struct ael_cached_key **key,
    bool *due);

/** Returns all hits, with and without the lock. */
uint64_t ael_cache_counters_hits(const struct ael_cache_counters *counters);

#endif /* AEL_APPENCRYPTION_CACHE_KEY_CACHE_H */
