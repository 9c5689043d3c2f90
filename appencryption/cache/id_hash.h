/*
 * appencryption/cache/id_hash.h - a keyed hash of ids for the caches, so that nobody who chooses ids can choose collisions.
 * Layer: appencryption.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_APPENCRYPTION_CACHE_ID_HASH_H
#define AEL_APPENCRYPTION_CACHE_ID_HASH_H

#include <ael/bytes.h>

struct ael_id_hash {
    uint8_t seed[16]; /* random a cache; protects a table's shape, no key of the hierarchy */
};

/* 128 bits that stand for an id within one table: no two ids that anybody can find have the same ones. */
struct ael_id_tag {
    uint64_t hash;
    uint64_t check;
};

/** Draws the seed. @return AEL_OK; or as ael_random_fill. */
AEL_MUST_CHECK enum ael_status ael_id_hash_init(struct ael_id_hash *hash);

/** Returns the hash of an id (SipHash-1-3: enough for tables, whose hashes nobody sees). Threads: any. */
uint64_t ael_id_hash_of(const struct ael_id_hash *hash, struct ael_bytes id);

/** Returns the tag of an id: its hash as by ael_id_hash_of, and as many bits more of the state that made it. Threads: any. */
struct ael_id_tag ael_id_hash_tag_of(const struct ael_id_hash *hash, struct ael_bytes id);

/** For tests: the same with other numbers of rounds; 2 and 4 are what libraries have. */
uint64_t ael_id_hash_with_rounds_for_test(
    const struct ael_id_hash *hash, struct ael_bytes id, int rounds_a_word, int rounds_at_end);

/** Returns the hash of an id together with a date, from the id's own hash. Threads: any. */
uint64_t ael_id_hash_dated(uint64_t id_hash, int64_t created_s);

#endif /* AEL_APPENCRYPTION_CACHE_ID_HASH_H */
