/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/key_table.h"

#include <string.h>

enum {
    /* What an entry costs beside its own struct and id: the key, its places in the tables, the allocator's share. */
    HELD_BYTES = 264,
};

static bool has_id(const struct ael_cached_key *key, const struct ael_key_wanted *wanted) {
    return key->id_len == wanted->id.len && memcmp(key->id, wanted->id.data, wanted->id.len) == 0;
}

static bool is_dated(const void *key, const void *wanted_) {
    const struct ael_key_wanted *wanted = wanted_;
    return has_id(key, wanted) &&
           ael_crypto_key_created_s(((const struct ael_cached_key *)key)->key) == wanted->created_s;
}

static bool is_latest(const void *key, const void *wanted) {
    return has_id(key, wanted);
}

static uint64_t dated_hash(uint64_t id_hash, const struct ael_cached_key *key) {
    return ael_id_hash_dated(id_hash, ael_crypto_key_created_s(key->key));
}

static struct ael_cached_key *of_node(struct ael_eviction_node *node) {
    return (struct ael_cached_key *)(void *)((char *)node - offsetof(struct ael_cached_key, node));
}

/* see appencryption/key_table.h */
void ael_key_table_init(struct ael_key_table *table, const struct ael_cache_bound *bound) {
    table->by_bytes = bound->by_bytes;
    table->bytes = 0;
    ael_evictor_init(&table->evictor, bound);
    ael_pinned_table_init(&table->dated, offsetof(struct ael_cached_key, dated));
    ael_pinned_table_init(&table->latest, offsetof(struct ael_cached_key, latest));
}

/* see appencryption/key_table.h */
struct ael_cached_key *
ael_key_table_find(const struct ael_key_table *table, const struct ael_key_wanted *wanted) {
    return wanted->latest
               ? ael_pinned_table_find(&table->latest, wanted->id_hash, is_latest, wanted)
               : ael_pinned_table_find(
                     &table->dated, ael_id_hash_dated(wanted->id_hash, wanted->created_s), is_dated, wanted);
}

/* see appencryption/key_table.h */
struct ael_cached_key *ael_key_table_borrow(
    const struct ael_key_table *table, const struct ael_key_wanted *wanted, uint32_t *place) {
    return wanted->latest ? ael_pinned_table_borrow(&table->latest, wanted->id_hash, is_latest, wanted, place)
                          : ael_pinned_table_borrow(
                                &table->dated, ael_id_hash_dated(wanted->id_hash, wanted->created_s),
                                is_dated, wanted, place);
}

static void unset_latest(struct ael_key_table *table, struct ael_cached_key *key) {
    ael_pinned_table_remove(&table->latest, &key->latest);
    ael_cached_key_set_standing(key, AEL_KEY_DATED);
}

static size_t bytes_of(const struct ael_cached_key *key) {
    return sizeof *key + key->id_len + HELD_BYTES;
}

/* Takes an entry out; what becomes of the table's hold on it, is the caller's to say. */
static void take_out(struct ael_key_table *table, struct ael_cached_key *key) {
    if (ael_cached_key_standing(key) == AEL_KEY_LATEST) {
        unset_latest(table, key);
    }
    ael_pinned_table_remove(&table->dated, &key->dated);
    ael_evictor_remove(&table->evictor, &key->node);
    table->bytes -= bytes_of(key);
    ael_cached_key_set_standing(key, AEL_KEY_OUTSIDE);
}

/* see appencryption/key_table.h */
bool ael_key_table_add(struct ael_key_table *table, uint64_t id_hash, struct ael_cached_key *key) {
    uint64_t dated = dated_hash(id_hash, key);
    key->latest.hash = id_hash;
    ael_cached_key_set_standing(key, AEL_KEY_DATED); /* before it can be found */
    if (!ael_pinned_table_add(&table->dated, &key->dated, dated)) {
        ael_cached_key_set_standing(key, AEL_KEY_OUTSIDE);
        return false;
    }
    ael_evictor_add(&table->evictor, &key->node, table->by_bytes ? bytes_of(key) : 1, dated);
    table->bytes += bytes_of(key);
    return true;
}

/* see appencryption/key_table.h. Without memory for the table there is no latest key: nothing says that there must be. */
void ael_key_table_set_latest(struct ael_key_table *table, struct ael_cached_key *key) {
    if (ael_cached_key_standing(key) == AEL_KEY_LATEST) {
        return;
    }
    struct ael_key_wanted wanted = {
        .id_hash = key->latest.hash, .id = ael_cached_key_id(key), .latest = true};
    struct ael_cached_key *known = ael_key_table_find(table, &wanted);
    if (known != NULL) {
        unset_latest(table, known);
    }
    if (ael_pinned_table_add(&table->latest, &key->latest, wanted.id_hash)) {
        ael_cached_key_set_standing(key, AEL_KEY_LATEST);
    }
}

/* see appencryption/key_table.h */
void ael_key_table_replace(
    struct ael_key_table *table, struct ael_cached_key *old, struct ael_cached_key *key) {
    enum ael_key_standing standing = ael_cached_key_standing(old);
    key->latest.hash = old->latest.hash;
    key->retry_ns = old->retry_ns;
    ael_cached_key_set_standing(key, standing); /* before it can be found */
    ael_pinned_table_replace(&table->dated, &old->dated, &key->dated);
    if (standing == AEL_KEY_LATEST) {
        ael_pinned_table_replace(&table->latest, &old->latest, &key->latest);
    }
    ael_evictor_replace(&table->evictor, &old->node, &key->node);
    ael_cached_key_set_standing(old, AEL_KEY_OUTSIDE);
    ael_cached_key_retire(old);
}

/* see appencryption/key_table.h */
void ael_key_table_touch(struct ael_key_table *table, struct ael_cached_key *key) {
    ael_evictor_touch(&table->evictor, &key->node);
}

/* see appencryption/key_table.h */
size_t ael_key_table_evict(struct ael_key_table *table) {
    size_t evicted = 0;
    for (int chances = AEL_EVICTION_CHANCES;;) {
        struct ael_eviction_node *victim = ael_evictor_victim(&table->evictor);
        if (victim == NULL) {
            return evicted;
        }
        struct ael_cached_key *key = of_node(victim);
        if (chances > 0 && ael_evictor_take_uses(&table->evictor, victim, &key->uses)) {
            chances--;
            continue;
        }
        take_out(table, key);
        ael_cached_key_retire(key);
        evicted++;
        chances = AEL_EVICTION_CHANCES;
    }
}

/* see appencryption/key_table.h */
void ael_key_table_clear(struct ael_key_table *table) {
    for (int list = 0; list < AEL_EVICTION_LISTS; list++) {
        while (table->evictor.lists[list].oldest != NULL) {
            struct ael_cached_key *key = of_node(table->evictor.lists[list].oldest);
            take_out(table, key);
            ael_cached_key_release(key);
        }
    }
    ael_evictor_clear(&table->evictor);
    ael_pinned_table_clear(&table->dated);
    ael_pinned_table_clear(&table->latest);
}
