/*
 * appencryption/cache/negative_cache.h - keys that the metastore did not have a moment ago: at most 1,024, for at most 1 s,
 * so that records naming keys that do not exist cannot make every decrypt a metastore call.
 *
 * Never asked about the latest key, never told about keys that may just be on their way
 * (ael_expiry_is_recent). Takes 32 bytes a place, however long the ids are.
 * Layer: appencryption. Threads: one at a time (the cache's lock).
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_APPENCRYPTION_CACHE_NEGATIVE_CACHE_H
#define AEL_APPENCRYPTION_CACHE_NEGATIVE_CACHE_H

#include <ael/bytes.h>

enum {
    AEL_NEGATIVE_CACHE_ENTRIES = 1024,   /* where one cache serves a factory */
    AEL_NEGATIVE_CACHE_FEW_ENTRIES = 32, /* where each session has its own: 1 KiB */
};

struct ael_negative_entry; /* private */

/* Zero but for places is empty. Takes memory with its first entry. */
struct ael_negative_cache {
    struct ael_negative_entry *entries;
    size_t places; /* 1 or more, constant */
};

/** Remembers that (id, created) is absent, until 1 s after now; without memory it is not remembered. */
void ael_negative_cache_add(
    struct ael_negative_cache *cache, uint64_t dated_hash, struct ael_bytes id, int64_t created_s, int64_t now_ns);

/** Tells whether (id, created) was absent less than 1 s ago. */
bool ael_negative_cache_has(
    const struct ael_negative_cache *cache, uint64_t dated_hash, struct ael_bytes id, int64_t created_s,
    int64_t now_ns);

void ael_negative_cache_clear(struct ael_negative_cache *cache);

#endif /* AEL_APPENCRYPTION_CACHE_NEGATIVE_CACHE_H */
