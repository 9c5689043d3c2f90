/*
 * appencryption/cache/key_table.h - the entries of a key cache, found by (id, created) and, the latest of each id, by id.
 *
 * One table for both: of an id's entries the latest, or the first one while there is no latest, is filed under the id's
 * hash, all others under that of (id, created). So most keys, of which an id has one, are found at the first look either
 * way, and take one link and one bucket.
 *
 * Bounded by an evictor; an entry that goes is retired (retire.h): the table's hold on the key is dropped once no thread
 * looks at it, and the key lives on until its users have dropped theirs.
 * Layer: appencryption. Threads: one at a time (the cache's lock), but for ael_key_table_borrow.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_APPENCRYPTION_CACHE_KEY_TABLE_H
#define AEL_APPENCRYPTION_CACHE_KEY_TABLE_H

#include "appencryption/cache/cached_key.h"
#include "appencryption/cache/id_hash.h"

/* What a key is looked for by. */
struct ael_key_wanted {
    struct ael_id_tag id;
    int64_t created_s; /* 0 with latest */
    bool latest;
};

struct ael_key_table {
    struct ael_evictor evictor;
    struct ael_pinned_table entries;
    bool by_bytes;
    size_t bytes; /* of all entries, about */
};

void ael_key_table_init(struct ael_key_table *table, const struct ael_cache_bound *bound);
/** Drops all entries. Nobody looks any more: what is still pinned is in use for another reason, and held for that. */
void ael_key_table_clear(struct ael_key_table *table);

static inline size_t ael_key_table_count(const struct ael_key_table *table) {
    return table->entries.count;
}

/** Finds an entry; NULL when there is none. */
struct ael_cached_key *
ael_key_table_find(const struct ael_key_table *table, const struct ael_key_wanted *wanted);

/** Finds and pins one without the lock, as ael_pinned_table_borrow. */
struct ael_cached_key *
ael_key_table_borrow(const struct ael_key_table *table, const struct ael_key_wanted *wanted, uint32_t *place);

/**
 * Adds a key that is not there yet, nor was in any table.
 *
 * @param key  taken over on success only. @return false when there is no memory: the cache goes on without.
 */
bool ael_key_table_add(struct ael_key_table *table, struct ael_id_tag id, struct ael_cached_key *key);

/** Makes an entry the latest of its id. A look without the lock may miss it, or the one that was, for a moment. */
void ael_key_table_set_latest(struct ael_key_table *table, struct ael_id_tag id, struct ael_cached_key *key);

/** Puts another holder in the place of an entry's. @param key  taken over; was in no table. */
void ael_key_table_replace(
    struct ael_key_table *table, struct ael_cached_key *old, struct ael_cached_key *key);

/** Notes that an entry was used. */
void ael_key_table_touch(struct ael_key_table *table, struct ael_cached_key *key);

/**
 * Drops entries until the table is within its bound; returns how many. A key that is marked as used (cached_key.h) is
 * passed over once, up to a number that does not depend on the table's size (AEL_EVICTION_CHANCES).
 */
size_t ael_key_table_evict(struct ael_key_table *table);

#endif /* AEL_APPENCRYPTION_CACHE_KEY_TABLE_H */
