/*
 * appencryption/cache/cached_key.h - a system or intermediate key together with when it was last checked for revocation.
 *
 * An intermediate key holds the system key it was opened with: it is only as fresh as the older of both
 * checks, and only good for encrypting while its system key is. Counted; key, parent and row never change
 * once it is published, the rest is atomic. It is also the entry of the cache's table (key_table.h) that has it, at most
 * one in its life, so that a cached key takes two pieces of memory: this and the sealed key. The id is not among them:
 * 128 bits that only this cache can compute stand for it.
 * Layer: appencryption. Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_APPENCRYPTION_CACHE_CACHED_KEY_H
#define AEL_APPENCRYPTION_CACHE_CACHED_KEY_H

#include "appencryption/cache/eviction.h"
#include "appencryption/cache/fingerprint.h"
#include "appencryption/cache/pinned_table.h"
#include "appencryption/cache/retire.h"
#include "appencryption/policy.h"
#include "base/refcount.h"
#include "crypto/crypto_key.h"

/* How a key stands in its cache. */
enum ael_key_standing {
    AEL_KEY_OUTSIDE = 0, /* not in a cache, or not any more */
    AEL_KEY_DATED,       /* found by (id, created) */
    AEL_KEY_LATEST,      /* and is the latest of its id */
};

/* The bits of its node's own byte: how it stands, and whether it is broken. */
enum {
    AEL_KEY_STANDING_BITS = 3,
    AEL_KEY_BROKEN_BIT = 4,
};

/* 88 bytes: with what the allocator adds they are 96. */
struct ael_cached_key {
    struct ael_pinned_link link; /* in the table; its own word and id_check are of the id's tag (id_hash.h) */
    uint64_t id_check;
    struct ael_crypto_key *key;
    struct ael_cached_key *parent; /* NULL for a system key */
    /* Boot clock. Release on moving it, acquire on reading: who sees a check sees the revocation that it found. */
    _Atomic int64_t checked_ns;
    struct ael_retiree retired;
    /* Of the table, under the cache's lock, but for its uses and its own byte. In that: how the key stands, set by the
     * cache for who has the key from elsewhere (relaxed: a call that still sees the old one came before); and that it was
     * found corrupted in memory and is to be loaded again, which goes up once (relaxed, as above). */
    struct ael_eviction_node node;
    struct ael_refcount count;
    uint32_t retry_s; /* of the table: no refresh ahead of time before this second of the boot clock */
    struct ael_fingerprint row[]; /* of a key without a parent: one */
};

/**
 * Makes a holder of a key.
 *
 * @param key     taken over, also on failure. @param parent  acquired; may be NULL.
 * @param checked_ns  when the metastore was asked, at the latest.
 * @return AEL_OK; AEL_E_NO_MEMORY. Ownership: the caller releases it.
 */
AEL_MUST_CHECK enum ael_status ael_cached_key_new(
    struct ael_crypto_key *key, struct ael_cached_key *parent, int64_t checked_ns,
    struct ael_cached_key **out);

struct ael_cached_key *ael_cached_key_acquire(struct ael_cached_key *cached);
/** Drops a holder; NULL is accepted. */
void ael_cached_key_release(struct ael_cached_key *cached);

/** Drops a holder of a key that threads may still have pinned, or look at, without holding it (retire.h). */
void ael_cached_key_retire(struct ael_cached_key *cached);
/** Lets go of retired keys that nobody pins any more, before their number would. */
void ael_cached_key_sweep(void);

/** Returns the last successful check: of the key or of its parent, whichever is older. Who asks whether the key may encrypt
 * asks that afterwards: the other way round a check that found it revoked would make it fresh. */
int64_t ael_cached_key_checked_ns(const struct ael_cached_key *cached);

/** Moves the key's own last check forward, never back; behind marking what the check found. */
void ael_cached_key_note_check(struct ael_cached_key *cached, int64_t checked_ns);

/** Tells whether the key may encrypt: neither it nor its parent is revoked or expired. */
bool ael_cached_key_is_good(const struct ael_cached_key *cached, const struct ael_rules *rules, int64_t now_s);

/** Notes how a use of the key itself (not of its parent) ended: after AEL_E_CORRUPTED it is broken. */
void ael_cached_key_note_use(struct ael_cached_key *cached, enum ael_status status);

/** Says how the key stands in its cache from now on. For the cache, under its lock; broken may come up meanwhile. */
static inline void ael_cached_key_set_standing(struct ael_cached_key *cached, enum ael_key_standing standing) {
    unsigned known = atomic_load_explicit(&cached->node.own, memory_order_relaxed) & AEL_KEY_STANDING_BITS;
    atomic_fetch_xor_explicit(&cached->node.own, (unsigned char)(known ^ standing), memory_order_relaxed);
}

static inline enum ael_key_standing ael_cached_key_standing(const struct ael_cached_key *cached) {
    return (enum ael_key_standing)(atomic_load_explicit(&cached->node.own, memory_order_relaxed)
                                   & AEL_KEY_STANDING_BITS);
}

/** Returns the fingerprint of the encrypted key in the row that a system key was opened from or stored in; zero until it is
 * set, before the key is published. NULL for a key that has a parent. */
static inline struct ael_fingerprint *ael_cached_key_row(struct ael_cached_key *cached) {
    return cached->parent == NULL ? cached->row : NULL;
}

/** Tells whether the key or its parent was found corrupted. */
bool ael_cached_key_is_broken(const struct ael_cached_key *cached);

#endif /* AEL_APPENCRYPTION_CACHE_CACHED_KEY_H */
