/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/session_cache.h"

#include "appencryption/eviction.h"
#include "appencryption/id_hash.h"
#include "appencryption/session_parts.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/hooks.h"
#include "base/sync.h"

#include <string.h>

enum { FIRST_BUCKETS = 16 };

struct entry {
    struct ael_eviction_node node; /* first: the evictor hands back its address */
    struct entry *next;            /* in its bucket, or among those dropped */
    struct ael_session *session;
    int64_t cached_ns;
    uint64_t hash;
    size_t partition_len;
    uint8_t partition[];
};

struct ael_session_cache {
    struct ael_cache_counters *counters;
    struct ael_id_hash hash;
    int64_t duration_ns;
    bool by_bytes;
    struct ael_mutex lock; /* guards what follows */
    struct ael_evictor evictor;
    struct entry **buckets;
    size_t bucket_count; /* a power of two, or 0 */
    size_t count;
    bool closed;
};

/* see appencryption/session_cache.h */
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
    ael_evictor_init(&made->evictor, bound);
    *cache = made;
    return AEL_OK;
}

static struct entry **bucket_of(const struct ael_session_cache *cache, uint64_t hash) {
    return &cache->buckets[hash & (cache->bucket_count - 1)];
}

static struct entry *find(const struct ael_session_cache *cache, uint64_t hash, struct ael_bytes partition) {
    struct entry *entry = cache->bucket_count == 0 ? NULL : *bucket_of(cache, hash);
    while (entry != NULL
           && !(entry->hash == hash && entry->partition_len == partition.len
                && memcmp(entry->partition, partition.data, partition.len) == 0)) {
        entry = entry->next;
    }
    return entry;
}

/* Takes an entry out and puts it before those dropped already. */
static void drop(struct ael_session_cache *cache, struct entry *entry, struct entry **dropped) {
    struct entry **link = bucket_of(cache, entry->hash);
    while (*link != entry) {
        link = &(*link)->next;
    }
    *link = entry->next;
    ael_evictor_remove(&cache->evictor, &entry->node);
    cache->count--;
    atomic_fetch_sub_explicit(&cache->counters->cached, 1, memory_order_relaxed);
    entry->next = *dropped;
    *dropped = entry;
}

/* Releases what was dropped, now that the lock is not held; returns how many they were. */
static size_t release_dropped(struct entry *dropped) {
    size_t count = 0;
    while (dropped != NULL) {
        struct entry *next = dropped->next;
        ael_session_release(dropped->session);
        ael_free(dropped);
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

/* see appencryption/session_cache.h */
struct ael_session *ael_session_cache_get(struct ael_session_cache *cache, struct ael_bytes partition) {
    struct ael_cache_counters *counters = cache->counters;
    struct ael_session *session = NULL;
    struct entry *dropped = NULL;
    uint64_t hash = ael_id_hash_of(&cache->hash, partition);
    ael_mutex_lock(&cache->lock);
    struct entry *entry = find(cache, hash, partition);
    if (entry != NULL && ael_clock_boot_ns() - entry->cached_ns >= cache->duration_ns) {
        drop(cache, entry, &dropped);
    } else if (entry != NULL) {
        ael_evictor_touch(&cache->evictor, &entry->node);
        session = ael_session_hold(entry->session);
    }
    ael_mutex_unlock(&cache->lock);
    count(&counters->evictions, counters->evict_name, release_dropped(dropped));
    count(session != NULL ? &counters->hits : &counters->misses,
          session != NULL ? counters->hit_name : counters->miss_name, 1);
    return session;
}

/* Doubles the buckets; without memory the chains just get longer. False when there are none at all. */
static bool grow(struct ael_session_cache *cache) {
    size_t old_count = cache->bucket_count;
    struct entry **old = cache->buckets;
    size_t new_count = old_count == 0 ? (size_t)FIRST_BUCKETS : old_count * 2;
    struct entry **buckets = ael_alloc_array(new_count, sizeof(struct entry *));
    if (buckets == NULL) {
        return old_count > 0;
    }
    cache->buckets = buckets;
    cache->bucket_count = new_count;
    for (size_t i = 0; i < old_count; i++) {
        for (struct entry *entry = old[i], *next = NULL; entry != NULL; entry = next) {
            next = entry->next;
            entry->next = *bucket_of(cache, entry->hash);
            *bucket_of(cache, entry->hash) = entry;
        }
    }
    ael_free(old);
    return true;
}

/* Without memory the session is not kept, and works all the same. */
static void add(
    struct ael_session_cache *cache, uint64_t hash, struct ael_bytes partition, struct ael_session *session,
    size_t held_bytes) {
    if (cache->closed || (cache->count >= cache->bucket_count && !grow(cache))) {
        return;
    }
    struct entry *entry = ael_alloc(sizeof *entry + partition.len);
    if (entry == NULL) {
        return;
    }
    entry->session = ael_session_hold(session);
    entry->cached_ns = ael_clock_boot_ns();
    entry->hash = hash;
    entry->partition_len = partition.len;
    memcpy(entry->partition, partition.data, partition.len);
    entry->next = *bucket_of(cache, hash);
    *bucket_of(cache, hash) = entry;
    ael_evictor_add(
        &cache->evictor, &entry->node, cache->by_bytes ? sizeof *entry + partition.len + held_bytes : 1, hash);
    cache->count++;
    atomic_fetch_add_explicit(&cache->counters->cached, 1, memory_order_relaxed);
}

static void evict(struct ael_session_cache *cache, struct entry **dropped) {
    for (;;) {
        struct ael_eviction_node *victim = ael_evictor_victim(&cache->evictor);
        if (victim == NULL) {
            return;
        }
        drop(cache, (struct entry *)victim, dropped);
    }
}

/* see appencryption/session_cache.h */
struct ael_session *ael_session_cache_put(
    struct ael_session_cache *cache, struct ael_bytes partition, struct ael_session *session, size_t held_bytes) {
    struct ael_session *use = session;
    struct entry *dropped = NULL;
    uint64_t hash = ael_id_hash_of(&cache->hash, partition);
    ael_mutex_lock(&cache->lock);
    struct entry *entry = find(cache, hash, partition);
    if (entry != NULL) {
        use = ael_session_hold(entry->session);
    } else {
        add(cache, hash, partition, session, held_bytes);
        evict(cache, &dropped);
    }
    ael_mutex_unlock(&cache->lock);
    count(&cache->counters->evictions, cache->counters->evict_name, release_dropped(dropped));
    if (use != session) {
        ael_session_release(session);
    }
    return use;
}

/* see appencryption/session_cache.h */
void ael_session_cache_close(struct ael_session_cache *cache) {
    struct entry *dropped = NULL;
    ael_mutex_lock(&cache->lock);
    cache->closed = true;
    for (size_t i = 0; i < cache->bucket_count; i++) {
        while (cache->buckets[i] != NULL) {
            drop(cache, cache->buckets[i], &dropped);
        }
    }
    ael_mutex_unlock(&cache->lock);
    (void)release_dropped(dropped);
}

/* see appencryption/session_cache.h */
void ael_session_cache_free(struct ael_session_cache *cache) {
    if (cache == NULL) {
        return;
    }
    ael_evictor_clear(&cache->evictor);
    ael_free(cache->buckets);
    ael_mutex_clear(&cache->lock);
    ael_free(cache);
}
