/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/cache/cached_key.h"

#include "appencryption/cache/expiry.h"
#include "base/alloc.h"

static void release(void *cached) {
    ael_cached_key_release(cached);
}

_Static_assert(sizeof(struct ael_cached_key) <= 88, "what a warm partition takes, docs/benchmarks.md");

static struct ael_retirees s_retired = AEL_RETIREES_INIT(struct ael_cached_key, retired, release);

/* see appencryption/cache/cached_key.h */
enum ael_status ael_cached_key_new(
    struct ael_crypto_key *key, struct ael_cached_key *parent, int64_t checked_ns,
    struct ael_cached_key **out) {
    size_t row_len = parent == NULL ? sizeof(struct ael_fingerprint) : 0;
    struct ael_cached_key *cached = ael_alloc(sizeof *cached + row_len);
    *out = cached;
    if (cached == NULL) {
        ael_crypto_key_release(key);
        return AEL_E_NO_MEMORY;
    }
    ael_refcount_init(&cached->count);
    cached->key = key;
    cached->parent = parent != NULL ? ael_cached_key_acquire(parent) : NULL;
    atomic_init(&cached->checked_ns, checked_ns);
    atomic_init(&cached->node.own, AEL_KEY_OUTSIDE);
    atomic_init(&cached->node.uses, 0);
    return AEL_OK;
}

/* see appencryption/cache/cached_key.h */
struct ael_cached_key *ael_cached_key_acquire(struct ael_cached_key *cached) {
    ael_refcount_acquire(&cached->count);
    return cached;
}

/* see appencryption/cache/cached_key.h */
void ael_cached_key_release(struct ael_cached_key *cached) {
    if (cached == NULL || !ael_refcount_release(&cached->count)) {
        return;
    }
    ael_crypto_key_release(cached->key);
    ael_cached_key_release(cached->parent);
    ael_free(cached);
}

/* see appencryption/cache/cached_key.h */
void ael_cached_key_retire(struct ael_cached_key *cached) {
    ael_retire(&s_retired, &cached->retired);
}

/* see appencryption/cache/cached_key.h */
void ael_cached_key_sweep(void) {
    ael_retirees_sweep(&s_retired);
}

/* see appencryption/cache/cached_key.h */
int64_t ael_cached_key_checked_ns(const struct ael_cached_key *cached) {
    int64_t checked = atomic_load_explicit(&cached->checked_ns, memory_order_acquire);
    if (cached->parent != NULL) {
        int64_t parents = atomic_load_explicit(&cached->parent->checked_ns, memory_order_acquire);
        checked = parents < checked ? parents : checked;
    }
    return checked;
}

/* see appencryption/cache/cached_key.h */
void ael_cached_key_note_check(struct ael_cached_key *cached, int64_t checked_ns) {
    int64_t known = atomic_load_explicit(&cached->checked_ns, memory_order_relaxed);
    while (known < checked_ns && !atomic_compare_exchange_weak_explicit(
                                     &cached->checked_ns, &known, checked_ns, memory_order_release,
                                     memory_order_relaxed)) {
    }
}

static bool is_good(const struct ael_crypto_key *key, const struct ael_rules *rules, int64_t now_s) {
    return !ael_crypto_key_is_revoked(key) && !ael_expiry_is_over(rules, ael_crypto_key_created_s(key), now_s);
}

/* see appencryption/cache/cached_key.h */
bool ael_cached_key_is_good(const struct ael_cached_key *cached, const struct ael_rules *rules, int64_t now_s) {
    return is_good(cached->key, rules, now_s)
           && (cached->parent == NULL || is_good(cached->parent->key, rules, now_s));
}

/* see appencryption/cache/cached_key.h */
void ael_cached_key_note_use(struct ael_cached_key *cached, enum ael_status status) {
    if (status == AEL_E_CORRUPTED) {
        atomic_fetch_or_explicit(&cached->node.own, AEL_KEY_BROKEN_BIT, memory_order_relaxed);
    }
}

/* see appencryption/cache/cached_key.h */
bool ael_cached_key_is_broken(const struct ael_cached_key *cached) {
    return (atomic_load_explicit(&cached->node.own, memory_order_relaxed) & AEL_KEY_BROKEN_BIT) != 0
           || (cached->parent != NULL && ael_cached_key_is_broken(cached->parent));
}
