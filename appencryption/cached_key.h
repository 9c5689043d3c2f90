/*
 * appencryption/cached_key.h - a system or intermediate key together with when it was last checked for revocation.
 *
 * An intermediate key holds the system key it was opened with: it is only as fresh as the older of both
 * checks, and only good for encrypting while its system key is. Counted; key, parent and row never change
 * once it is published, the rest is atomic.
 * Layer: appencryption. Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_APPENCRYPTION_CACHED_KEY_H
#define AEL_APPENCRYPTION_CACHED_KEY_H

#include "appencryption/fingerprint.h"
#include "appencryption/policy.h"
#include "base/refcount.h"
#include "crypto/crypto_key.h"

/* How a key stands in its cache. */
enum ael_key_standing {
    AEL_KEY_OUTSIDE = 0, /* not in a cache, or not any more */
    AEL_KEY_DATED,       /* found by (id, created) */
    AEL_KEY_LATEST,      /* and is the latest of its id */
};

struct ael_cached_key {
    struct ael_refcount count;
    struct ael_crypto_key *key;
    struct ael_cached_key *parent; /* NULL for a system key */
    /* Of the encrypted key in the row that a system key was opened from or stored in; else zero. */
    struct ael_fingerprint row;
    /* Boot clock. A lone figure that publishes nothing else, so relaxed order is enough. */
    _Atomic int64_t checked_ns;
    /* Found corrupted in memory: to be loaded again. Goes up once; relaxed, as above. */
    atomic_bool broken;
    /* An enum ael_key_standing, set by the cache for who has the key from elsewhere; relaxed: a call that still sees
     * the old one came before. */
    atomic_int standing;
    /* Used without the cache's knowledge since it last looked (key_table.h); relaxed, may be lost. */
    atomic_bool used;
    /* Of key_memo.c, under its lock. */
    uint32_t put_off;
    struct ael_cached_key *next_put_off;
};

/**
 * Makes a holder of a key.
 *
 * @param key     taken over, also on failure. @param parent  acquired; may be NULL.
 * @param checked_ns  when the metastore was asked, at the latest.
 * @return AEL_OK; AEL_E_NO_MEMORY. Ownership: the caller releases it.
 */
AEL_MUST_CHECK enum ael_status ael_cached_key_new(
    struct ael_crypto_key *key, struct ael_cached_key *parent, int64_t checked_ns, struct ael_cached_key **out);

struct ael_cached_key *ael_cached_key_acquire(struct ael_cached_key *cached);
/** Drops a holder; NULL is accepted. */
void ael_cached_key_release(struct ael_cached_key *cached);

/** Returns the last successful check: of the key or of its parent, whichever is older. */
int64_t ael_cached_key_checked_ns(const struct ael_cached_key *cached);

/** Moves the key's own last check forward, never back. */
void ael_cached_key_note_check(struct ael_cached_key *cached, int64_t checked_ns);

/** Tells whether the key may encrypt: neither it nor its parent is revoked or expired. */
bool ael_cached_key_is_good(const struct ael_cached_key *cached, const struct ael_rules *rules, int64_t now_s);

/** Notes how a use of the key itself (not of its parent) ended: after AEL_E_CORRUPTED it is broken. */
void ael_cached_key_note_use(struct ael_cached_key *cached, enum ael_status status);

/** Says how the key stands in its cache from now on. For the cache. */
static inline void ael_cached_key_set_standing(struct ael_cached_key *cached, enum ael_key_standing standing) {
    atomic_store_explicit(&cached->standing, (int)standing, memory_order_relaxed);
}

static inline enum ael_key_standing ael_cached_key_standing(const struct ael_cached_key *cached) {
    return (enum ael_key_standing)atomic_load_explicit(&cached->standing, memory_order_relaxed);
}

/** Tells whether the key or its parent was found corrupted. */
bool ael_cached_key_is_broken(const struct ael_cached_key *cached);

#endif /* AEL_APPENCRYPTION_CACHED_KEY_H */
