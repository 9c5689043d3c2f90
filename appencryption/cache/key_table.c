/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/cache/key_table.h"

enum {
    /* What an entry costs beside its own struct: the key, its place in the table, the allocator's share. */
    HELD_BYTES = 216,
};

/* Under one hash, of the same id: the rest of its tag is the same, too. */
static bool has_id(const struct ael_cached_key *key, const struct ael_key_wanted *wanted) {
    return key->id_check == wanted->id.check && key->link.own == (uint32_t)(wanted->id.hash >> 32);
}

static bool is_dated(const void *key, const void *wanted_) {
    const struct ael_key_wanted *wanted = wanted_;
    return has_id(key, wanted) &&
           ael_crypto_key_created_s(((const struct ael_cached_key *)key)->key) == wanted->created_s;
}

static bool is_latest(const void *key, const void *wanted) {
    return has_id(key, wanted) && ael_cached_key_standing(key) == AEL_KEY_LATEST;
}

static bool is_any(const void *key, const void *wanted) {
    return has_id(key, wanted);
}

static uint64_t dated_hash(struct ael_id_tag id, const struct ael_cached_key *key) {
    return ael_id_hash_dated(id.hash, ael_crypto_key_created_s(key->key));
}

static struct ael_cached_key *of_node(struct ael_eviction_node *node) {
    return (struct ael_cached_key *)(void *)((char *)node - offsetof(struct ael_cached_key, node));
}

/* see appencryption/cache/key_table.h */
void ael_key_table_init(struct ael_key_table *table, const struct ael_cache_bound *bound) {
    table->by_bytes = bound->by_bytes;
    table->bytes = 0;
    ael_evictor_init(&table->evictor, bound);
    ael_pinned_table_init(&table->entries, offsetof(struct ael_cached_key, link));
}

static struct ael_cached_key *filed_by_id(
    const struct ael_key_table *table, const struct ael_key_wanted *wanted, ael_pinned_match_fn match) {
    return ael_pinned_table_find(&table->entries, wanted->id.hash, match, wanted);
}

/* see appencryption/cache/key_table.h */
struct ael_cached_key *
ael_key_table_find(const struct ael_key_table *table, const struct ael_key_wanted *wanted) {
    if (wanted->latest) {
        return filed_by_id(table, wanted, is_latest);
    }
    struct ael_cached_key *found = filed_by_id(table, wanted, is_dated);
    return found != NULL
               ? found
               : ael_pinned_table_find(
                     &table->entries, ael_id_hash_dated(wanted->id.hash, wanted->created_s), is_dated, wanted);
}

/* see appencryption/cache/key_table.h */
struct ael_cached_key *ael_key_table_borrow(
    const struct ael_key_table *table, const struct ael_key_wanted *wanted, uint32_t *place) {
    if (wanted->latest) {
        return ael_pinned_table_borrow(&table->entries, wanted->id.hash, is_latest, wanted, place);
    }
    struct ael_cached_key *found =
        ael_pinned_table_borrow(&table->entries, wanted->id.hash, is_dated, wanted, place);
    return found != NULL
               ? found
               : ael_pinned_table_borrow(
                     &table->entries, ael_id_hash_dated(wanted->id.hash, wanted->created_s), is_dated, wanted,
                     place);
}

/* Files an entry under another hash. That cannot fail: the table has its first segment. */
static void file_anew(struct ael_key_table *table, struct ael_cached_key *key, uint64_t hash) {
    ael_pinned_table_remove(&table->entries, &key->link);
    (void)ael_pinned_table_add(&table->entries, &key->link, hash);
}

static size_t bytes_of(const struct ael_cached_key *key) {
    return sizeof *key + HELD_BYTES;
}

/* Takes an entry out; what becomes of the table's hold on it, is the caller's to say. */
static void take_out(struct ael_key_table *table, struct ael_cached_key *key) {
    ael_pinned_table_remove(&table->entries, &key->link);
    ael_evictor_remove(&table->evictor, &key->node);
    table->bytes -= bytes_of(key);
    ael_cached_key_set_standing(key, AEL_KEY_OUTSIDE);
}

/* see appencryption/cache/key_table.h */
bool ael_key_table_add(struct ael_key_table *table, struct ael_id_tag id, struct ael_cached_key *key) {
    struct ael_key_wanted wanted = {.id = id};
    uint64_t dated = dated_hash(id, key);
    uint64_t hash = filed_by_id(table, &wanted, is_any) == NULL ? id.hash : dated;
    key->id_check = id.check;
    key->link.own = (uint32_t)(id.hash >> 32);
    ael_cached_key_set_standing(key, AEL_KEY_DATED); /* before it can be found */
    if (!ael_pinned_table_add(&table->entries, &key->link, hash)) {
        ael_cached_key_set_standing(key, AEL_KEY_OUTSIDE);
        return false;
    }
    ael_evictor_add(&table->evictor, &key->node, table->by_bytes ? bytes_of(key) : 1, dated);
    table->bytes += bytes_of(key);
    return true;
}

/* see appencryption/cache/key_table.h */
void ael_key_table_set_latest(struct ael_key_table *table, struct ael_id_tag id, struct ael_cached_key *key) {
    if (ael_cached_key_standing(key) == AEL_KEY_LATEST) {
        return;
    }
    struct ael_key_wanted wanted = {.id = id, .latest = true};
    struct ael_cached_key *known = filed_by_id(table, &wanted, is_latest);
    if (known != NULL) {
        ael_cached_key_set_standing(known, AEL_KEY_DATED);
    } else {
        known = filed_by_id(table, &wanted, is_any);
    }
    if (known != key) {
        if (known != NULL) {
            file_anew(table, known, dated_hash(id, known));
        }
        file_anew(table, key, id.hash);
    }
    ael_cached_key_set_standing(key, AEL_KEY_LATEST);
}

/* see appencryption/cache/key_table.h */
void ael_key_table_replace(
    struct ael_key_table *table, struct ael_cached_key *old, struct ael_cached_key *key) {
    key->id_check = old->id_check;
    key->link.own = old->link.own;
    key->retry_s = old->retry_s;
    ael_cached_key_set_standing(key, ael_cached_key_standing(old)); /* before it can be found */
    ael_pinned_table_replace(&table->entries, &old->link, &key->link);
    ael_evictor_replace(&table->evictor, &old->node, &key->node);
    ael_cached_key_set_standing(old, AEL_KEY_OUTSIDE);
    ael_cached_key_retire(old);
}

/* see appencryption/cache/key_table.h */
void ael_key_table_touch(struct ael_key_table *table, struct ael_cached_key *key) {
    ael_evictor_touch(&table->evictor, &key->node);
}

/* see appencryption/cache/key_table.h */
size_t ael_key_table_evict(struct ael_key_table *table) {
    size_t evicted = 0;
    for (int chances = AEL_EVICTION_CHANCES;;) {
        struct ael_eviction_node *victim = ael_evictor_victim(&table->evictor);
        if (victim == NULL) {
            return evicted;
        }
        struct ael_cached_key *key = of_node(victim);
        if (chances > 0 && ael_evictor_take_uses(&table->evictor, victim)) {
            chances--;
            continue;
        }
        take_out(table, key);
        ael_cached_key_retire(key);
        evicted++;
        chances = AEL_EVICTION_CHANCES;
    }
}

/* see appencryption/cache/key_table.h */
void ael_key_table_clear(struct ael_key_table *table) {
    for (int list = 0; list < AEL_EVICTION_LISTS; list++) {
        while (table->evictor.lists[list].oldest != NULL) {
            struct ael_cached_key *key = of_node(table->evictor.lists[list].oldest);
            take_out(table, key);
            ael_cached_key_release(key);
        }
    }
    ael_evictor_clear(&table->evictor);
    ael_pinned_table_clear(&table->entries);
}
