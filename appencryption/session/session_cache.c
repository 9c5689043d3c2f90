/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/session/session_cache.h"

#include "appencryption/cache/eviction.h"
#include "appencryption/cache/id_hash.h"
#include "appencryption/cache/pinned_table.h"
#include "appencryption/cache/retire.h"
#include "appencryption/session/session_parts.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/hooks.h"
#include "base/sync.h"

#include <string.h>

static const int64_t k_long_duration_ns = 1000000000;

struct ael_session_cache {
    struct ael_cache_counters *counters;
    struct ael_id_hash hash;
    int64_t duration_ns;
    bool by_bytes;
    struct ael_pinned_table table;
    struct ael_mutex lock; /* guards what follows, and changes of the table */
    struct ael_evictor evictor;
    bool closed;
};

static void release(void *session) {
    ael_session_release(session);
}

/* Sessions that left their cache. */
static struct ael_retirees s_retired = AEL_RETIREES_INIT(struct ael_session, cached, release);

/* see appencryption/session/session_cache.h */
enum ael_status ael_session_cache_new(
    const struct ael_cache_bound *bound, int64_t duration_ns, struct ael_cache_counters *counters,
    struct ael_session_cache **cache) {
    struct ael_session_cache *made = ael_alloc(sizeof *made);
    if (made == NULL) {
        return AEL_E_NO_MEMORY;
    }
    enum ael_status status = ael_id_hash_init(&made->hash);
    if (status == AEL_OK) {
        status = ael_mutex_init(&made->lock);
    }
    if (status != AEL_OK) {
        ael_free(made);
        return status;
    }
    made->counters = counters;
    made->duration_ns = duration_ns;
    made->by_bytes = bound->by_bytes;
    ael_pinned_table_init(&made->table, offsetof(struct ael_session, link));
    ael_evictor_init(&made->evictor, bound);
    *cache = made;
    return AEL_OK;
}

static bool is_of(const void *session_, const void *partition_) {
    const struct ael_session *session = session_;
    const struct ael_bytes *partition = partition_;
    struct ael_bytes id = ael_session_id(session);
    if (id.len != ael_naming_intermediate_key_id_len(&session->factory->naming, partition->len)) {
        return false;
    }
    struct ael_bytes own = ael_naming_partition_of(id, partition->len);
    return memcmp(own.data, partition->data, partition->len) == 0;
}

static struct ael_session *of_node(struct ael_eviction_node *node) {
    return (struct ael_session *)(void *)((char *)node - offsetof(struct ael_session, cached));
}

/* Takes a session out and puts it before those dropped already. */
static void drop(struct ael_session_cache *cache, struct ael_session *session, struct ael_retiree **dropped) {
    ael_pinned_table_remove(&cache->table, &session->link);
    ael_evictor_remove(&cache->evictor, &session->cached.node);
    atomic_fetch_sub_explicit(&cache->counters->cached, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&cache->counters->bytes, ael_session_bytes(session), memory_order_relaxed);
    session->cached.retired.next = *dropped;
    *dropped = &session->cached.retired;
}

/* Retires what was dropped, now that the lock is not held; returns how many they were. */
static size_t retire_dropped(struct ael_retiree *dropped) {
    size_t count = 0;
    while (dropped != NULL) {
        struct ael_retiree *next = dropped->next;
        dropped->next = NULL;
        ael_retire(&s_retired, dropped);
        dropped = next;
        count++;
    }
    return count;
}

static void count(atomic_uint_least64_t *total, const char *name, size_t change) {
    if (change > 0) {
        atomic_fetch_add_explicit(total, change, memory_order_relaxed);
        ael_metric_count(name, (int64_t)change);
    }
}

/* The last tick will do, but where sessions are hardly kept longer than one. */
static bool is_old(const struct ael_session_cache *cache, const struct ael_session *session) {
    int64_t now_ns = cache->duration_ns >= k_long_duration_ns ? ael_clock_last_tick().boot_ns : ael_clock_boot_ns();
    return now_ns - session->cached_ns >= cache->duration_ns;
}

/* Gets a session without the lock; NULL when that does not tell. */
static struct ael_session *get_quickly(struct ael_session_cache *cache, uint64_t hash, struct ael_bytes partition) {
    uint32_t place = 0;
    struct ael_session *session = ael_pinned_table_borrow(&cache->table, hash, is_of, &partition, &place);
    if (session == NULL) {
        return NULL;
    }
    struct ael_session *held = NULL;
    if (!is_old(cache, session)) {
        held = ael_session_hold(session); /* the cache's own reference is not dropped while it is pinned */
        ael_eviction_note_use(&session->cached.node, ael_cache_counters_hit(cache->counters));
    }
    ael_thread_unpin(ael_thread_entry_here, place);
    return held;
}

/* Gets a session under the lock, or drops it for its age. */
static struct ael_session *get_locked(
    struct ael_session_cache *cache, uint64_t hash, struct ael_bytes partition, struct ael_retiree **dropped) {
    struct ael_session *held = NULL;
    ael_mutex_lock(&cache->lock);
    struct ael_session *session = ael_pinned_table_find(&cache->table, hash, is_of, &partition);
    if (session != NULL && is_old(cache, session)) {
        drop(cache, session, dropped);
    } else if (session != NULL) {
        ael_evictor_touch(&cache->evictor, &session->cached.node);
        held = ael_session_hold(session);
    }
    ael_mutex_unlock(&cache->lock);
    return held;
}

/* see appencryption/session/session_cache.h */
struct ael_session *ael_session_cache_get(struct ael_session_cache *cache, struct ael_bytes partition) {
    struct ael_cache_counters *counters = cache->counters;
    struct ael_retiree *dropped = NULL;
    uint64_t hash = ael_id_hash_of(&cache->hash, partition);
    struct ael_session *session = get_quickly(cache, hash, partition);
    if (session != NULL) {
        return session;
    }
    session = get_locked(cache, hash, partition, &dropped);
    count(&counters->evictions, counters->evict_name, retire_dropped(dropped));
    count(session != NULL ? &counters->hits : &counters->misses,
          session != NULL ? counters->hit_name : counters->miss_name, 1);
    return session;
}

/* Without memory the session is not kept, and works all the same. */
static void add(struct ael_session_cache *cache, uint64_t hash, struct ael_session *session) {
    session->cached_ns = ael_clock_boot_ns();
    if (cache->closed || !ael_pinned_table_add(&cache->table, &session->link, hash)) {
        return;
    }
    (void)ael_session_hold(session);
    ael_evictor_add(&cache->evictor, &session->cached.node, cache->by_bytes ? ael_session_bytes(session) : 1, hash);
    atomic_fetch_add_explicit(&cache->counters->cached, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&cache->counters->bytes, ael_session_bytes(session), memory_order_relaxed);
}

static void evict(struct ael_session_cache *cache, struct ael_retiree **dropped) {
    for (int chances = AEL_EVICTION_CHANCES;;) {
        struct ael_eviction_node *victim = ael_evictor_victim(&cache->evictor);
        if (victim == NULL) {
            return;
        }
        struct ael_session *session = of_node(victim);
        if (chances > 0 && ael_evictor_take_uses(&cache->evictor, victim)) {
            chances--;
            continue;
        }
        drop(cache, session, dropped);
        chances = AEL_EVICTION_CHANCES;
    }
}

/* see appencryption/session/session_cache.h */
struct ael_session *ael_session_cache_put(
    struct ael_session_cache *cache, struct ael_bytes partition, struct ael_session *session) {
    struct ael_session *use = session;
    struct ael_retiree *dropped = NULL;
    uint64_t hash = ael_id_hash_of(&cache->hash, partition);
    ael_mutex_lock(&cache->lock);
    struct ael_session *known = ael_pinned_table_find(&cache->table, hash, is_of, &partition);
    if (known != NULL) {
        use = ael_session_hold(known);
    } else {
        add(cache, hash, session);
        evict(cache, &dropped);
    }
    ael_mutex_unlock(&cache->lock);
    count(&cache->counters->evictions, cache->counters->evict_name, retire_dropped(dropped));
    if (use != session) {
        ael_session_release(session);
    }
    return use;
}

static struct ael_session *any_of(const struct ael_evictor *evictor) {
    return evictor->filled == 0 ? NULL : of_node(evictor->lists[__builtin_ctz(evictor->filled)].oldest);
}

/* see appencryption/session/session_cache.h */
void ael_session_cache_close(struct ael_session_cache *cache) {
    struct ael_retiree *dropped = NULL;
    ael_mutex_lock(&cache->lock);
    cache->closed = true;
    for (struct ael_session *session = any_of(&cache->evictor); session != NULL; session = any_of(&cache->evictor)) {
        drop(cache, session, &dropped);
    }
    ael_mutex_unlock(&cache->lock);
    (void)retire_dropped(dropped);
    ael_retirees_sweep(&s_retired);
}

/* see appencryption/session/session_cache.h */
void ael_session_cache_free(struct ael_session_cache *cache) {
    if (cache == NULL) {
        return;
    }
    ael_evictor_clear(&cache->evictor);
    ael_pinned_table_clear(&cache->table);
    ael_mutex_clear(&cache->lock);
    ael_free(cache);
}
