/*
 * appencryption/key_table.h - the entries of a key cache, found by (id, created) and, the latest of each id, by id.
 *
 * Bounded by an evictor; an entry that goes drops its hold on the key, which lives on until its users have dropped
 * theirs.
 * Layer: appencryption. Threads: one at a time (the cache's lock).
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_APPENCRYPTION_KEY_TABLE_H
#define AEL_APPENCRYPTION_KEY_TABLE_H

#include "appencryption/cached_key.h"
#include "appencryption/eviction.h"
#include "appencryption/id_hash.h"

struct ael_key_entry {
    struct ael_eviction_node node; /* first: the evictor hands back its address */
    struct ael_key_entry *next_dated;
    struct ael_key_entry *next_latest;
    struct ael_cached_key *key;
    uint64_t id_hash;
    int64_t created_s;
    int64_t retry_ns; /* no refresh ahead of time before this */
    bool is_latest;
    size_t id_len;
    uint8_t id[];
};

struct ael_key_table {
    struct ael_evictor evictor;
    struct ael_key_entry **dated;
    struct ael_key_entry **latest;
    size_t buckets; /* a power of two, in both arrays; 0 before the first entry */
    size_t count;
    bool by_bytes;
};

void ael_key_table_init(struct ael_key_table *table, const struct ael_cache_bound *bound);
/** Drops all entries. */
void ael_key_table_clear(struct ael_key_table *table);

/** Finds an entry; NULL when there is none. */
struct ael_key_entry *ael_key_table_find(
    const struct ael_key_table *table, uint64_t id_hash, struct ael_bytes id, int64_t created_s);
struct ael_key_entry *ael_key_table_find_latest(
    const struct ael_key_table *table, uint64_t id_hash, struct ael_bytes id);

/**
 * Adds an entry that is not there yet.
 *
 * @param key  taken over on success only.
 * @return the entry, or NULL when there is no memory for it: the cache goes on without.
 */
struct ael_key_entry *ael_key_table_add(
    struct ael_key_table *table, uint64_t id_hash, struct ael_bytes id, int64_t created_s,
    struct ael_cached_key *key);

/** Makes an entry the latest of its id. */
void ael_key_table_set_latest(struct ael_key_table *table, struct ael_key_entry *entry);

/** Takes that from the entry that is the latest of an id, if there is one; it stays as a dated one. */
void ael_key_table_unset_latest(struct ael_key_table *table, uint64_t id_hash, struct ael_bytes id);

/** Puts another holder in the place of an entry's. @param key  taken over. */
void ael_key_table_replace(struct ael_key_entry *entry, struct ael_cached_key *key);

/**
 * Drops entries until the table is within its bound; returns how many. A key that is marked as used (cached_key.h) is
 * passed over once, up to a number that does not depend on the table's size.
 */
size_t ael_key_table_evict(struct ael_key_table *table);

#endif /* AEL_APPENCRYPTION_KEY_TABLE_H */
