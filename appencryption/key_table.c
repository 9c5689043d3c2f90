/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/key_table.h"

#include "base/alloc.h"

#include <string.h>

enum {
    FIRST_BUCKETS = 16,
    /* What an entry costs beside its own struct and id: the holder, the key and the allocator's share of all. */
    HELD_BYTES = 416,
    /* So many entries that were used behind the table's back are passed over for one that goes. */
    SECOND_CHANCES = 8,
};

static bool is_of(const struct ael_key_entry *entry, uint64_t id_hash, struct ael_bytes id) {
    return entry->id_hash == id_hash && entry->id_len == id.len && memcmp(entry->id, id.data, id.len) == 0;
}

static struct ael_key_entry **dated_bucket(const struct ael_key_table *table, uint64_t id_hash, int64_t created_s) {
    return &table->dated[ael_id_hash_dated(id_hash, created_s) & (table->buckets - 1)];
}

static struct ael_key_entry **latest_bucket(const struct ael_key_table *table, uint64_t id_hash) {
    return &table->latest[id_hash & (table->buckets - 1)];
}

/* see appencryption/key_table.h */
void ael_key_table_init(struct ael_key_table *table, const struct ael_cache_bound *bound) {
    *table = (struct ael_key_table){.by_bytes = bound->by_bytes};
    ael_evictor_init(&table->evictor, bound);
}

/* see appencryption/key_table.h */
struct ael_key_entry *ael_key_table_find(
    const struct ael_key_table *table, uint64_t id_hash, struct ael_bytes id, int64_t created_s) {
    if (table->buckets == 0) {
        return NULL;
    }
    struct ael_key_entry *entry = *dated_bucket(table, id_hash, created_s);
    while (entry != NULL && !(entry->created_s == created_s && is_of(entry, id_hash, id))) {
        entry = entry->next_dated;
    }
    return entry;
}

/* see appencryption/key_table.h */
struct ael_key_entry *ael_key_table_find_latest(
    const struct ael_key_table *table, uint64_t id_hash, struct ael_bytes id) {
    if (table->buckets == 0) {
        return NULL;
    }
    struct ael_key_entry *entry = *latest_bucket(table, id_hash);
    while (entry != NULL && !is_of(entry, id_hash, id)) {
        entry = entry->next_latest;
    }
    return entry;
}

static void link_dated(struct ael_key_table *table, struct ael_key_entry *entry) {
    struct ael_key_entry **bucket = dated_bucket(table, entry->id_hash, entry->created_s);
    entry->next_dated = *bucket;
    *bucket = entry;
}

static void link_latest(struct ael_key_table *table, struct ael_key_entry *entry) {
    struct ael_key_entry **bucket = latest_bucket(table, entry->id_hash);
    entry->next_latest = *bucket;
    *bucket = entry;
    entry->is_latest = true;
    ael_cached_key_set_standing(entry->key, AEL_KEY_LATEST);
}

static void unlink_latest(struct ael_key_table *table, struct ael_key_entry *entry) {
    struct ael_key_entry **link = latest_bucket(table, entry->id_hash);
    while (*link != entry) {
        link = &(*link)->next_latest;
    }
    *link = entry->next_latest;
    entry->is_latest = false;
    ael_cached_key_set_standing(entry->key, AEL_KEY_DATED);
}

static void drop(struct ael_key_table *table, struct ael_key_entry *entry) {
    struct ael_key_entry **link = dated_bucket(table, entry->id_hash, entry->created_s);
    while (*link != entry) {
        link = &(*link)->next_dated;
    }
    *link = entry->next_dated;
    if (entry->is_latest) {
        unlink_latest(table, entry);
    }
    ael_evictor_remove(&table->evictor, &entry->node);
    table->count--;
    ael_cached_key_set_standing(entry->key, AEL_KEY_OUTSIDE);
    ael_cached_key_release(entry->key);
    ael_free(entry);
}

static void rehash(struct ael_key_table *table, struct ael_key_entry **old, size_t old_buckets) {
    for (size_t i = 0; i < old_buckets; i++) {
        for (struct ael_key_entry *entry = old[i], *next = NULL; entry != NULL; entry = next) {
            next = entry->next_dated;
            link_dated(table, entry);
            if (entry->is_latest) {
                link_latest(table, entry);
            }
        }
    }
}

/* Doubles the arrays; without memory the chains just get longer. False when there are none at all. */
static bool grow(struct ael_key_table *table) {
    size_t old_buckets = table->buckets;
    size_t buckets = old_buckets == 0 ? (size_t)FIRST_BUCKETS : old_buckets * 2;
    struct ael_key_entry **dated = ael_alloc_array(buckets, sizeof(struct ael_key_entry *));
    struct ael_key_entry **latest = ael_alloc_array(buckets, sizeof(struct ael_key_entry *));
    if (dated == NULL || latest == NULL) {
        ael_free(dated);
        ael_free(latest);
        return old_buckets > 0;
    }
    struct ael_key_entry **old = table->dated;
    ael_free(table->latest);
    table->dated = dated;
    table->latest = latest;
    table->buckets = buckets;
    rehash(table, old, old_buckets);
    ael_free(old);
    return true;
}

/* see appencryption/key_table.h */
struct ael_key_entry *ael_key_table_add(
    struct ael_key_table *table, uint64_t id_hash, struct ael_bytes id, int64_t created_s,
    struct ael_cached_key *key) {
    if (table->count >= table->buckets && !grow(table)) {
        return NULL;
    }
    struct ael_key_entry *entry = ael_alloc(sizeof *entry + id.len);
    if (entry == NULL) {
        return NULL;
    }
    entry->key = key;
    entry->id_hash = id_hash;
    entry->created_s = created_s;
    entry->id_len = id.len;
    memcpy(entry->id, id.data, id.len);
    ael_cached_key_set_standing(key, AEL_KEY_DATED);
    link_dated(table, entry);
    ael_evictor_add(&table->evictor, &entry->node, table->by_bytes ? sizeof *entry + id.len + HELD_BYTES : 1);
    table->count++;
    return entry;
}

/* see appencryption/key_table.h */
void ael_key_table_unset_latest(struct ael_key_table *table, uint64_t id_hash, struct ael_bytes id) {
    struct ael_key_entry *known = ael_key_table_find_latest(table, id_hash, id);
    if (known != NULL) {
        unlink_latest(table, known);
    }
}

/* see appencryption/key_table.h */
void ael_key_table_set_latest(struct ael_key_table *table, struct ael_key_entry *entry) {
    if (entry->is_latest) {
        return;
    }
    ael_key_table_unset_latest(table, entry->id_hash, (struct ael_bytes){entry->id, entry->id_len});
    link_latest(table, entry);
}

/* see appencryption/key_table.h */
void ael_key_table_replace(struct ael_key_entry *entry, struct ael_cached_key *key) {
    ael_cached_key_set_standing(entry->key, AEL_KEY_OUTSIDE);
    ael_cached_key_release(entry->key);
    entry->key = key;
    ael_cached_key_set_standing(key, entry->is_latest ? AEL_KEY_LATEST : AEL_KEY_DATED);
}

/* An entry whose key was used behind the table's back since the last time, it counts as used now. */
static bool was_used(struct ael_key_table *table, struct ael_key_entry *entry) {
    if (!atomic_exchange_explicit(&entry->key->used, false, memory_order_relaxed)) {
        return false;
    }
    ael_evictor_touch(&table->evictor, &entry->node);
    return true;
}

/* see appencryption/key_table.h */
size_t ael_key_table_evict(struct ael_key_table *table) {
    size_t evicted = 0;
    for (int chances = SECOND_CHANCES;;) {
        struct ael_eviction_node *victim = ael_evictor_victim(&table->evictor);
        if (victim == NULL) {
            return evicted;
        }
        if (chances > 0 && was_used(table, (struct ael_key_entry *)victim)) {
            chances--;
            continue;
        }
        drop(table, (struct ael_key_entry *)victim);
        evicted++;
        chances = SECOND_CHANCES;
    }
}

/* see appencryption/key_table.h */
void ael_key_table_clear(struct ael_key_table *table) {
    for (size_t i = 0; i < table->buckets; i++) {
        while (table->dated[i] != NULL) {
            drop(table, table->dated[i]);
        }
    }
    ael_free(table->dated);
    ael_free(table->latest);
    table->dated = NULL;
    table->latest = NULL;
    table->buckets = 0;
}
