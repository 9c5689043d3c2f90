/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/cache/negative_cache.h"

#include "appencryption/cache/fingerprint.h"
#include "base/alloc.h"

static const int64_t k_lifetime_ns = 1000000000;

struct ael_negative_entry {
    int64_t created_s;
    int64_t until_ns; /* 0 or less in a place that was never taken */
    struct ael_fingerprint id;
};

_Static_assert(sizeof(struct ael_negative_entry) == 32, "what a place takes");

/* One place a hash: a newer entry takes the place of an older one. */
static size_t place_of(const struct ael_negative_cache *cache, uint64_t dated_hash) {
    return (size_t)(dated_hash % cache->places);
}

/* see appencryption/cache/negative_cache.h */
void ael_negative_cache_add(
    struct ael_negative_cache *cache, uint64_t dated_hash, struct ael_bytes id, int64_t created_s, int64_t now_ns) {
    if (cache->entries == NULL) {
        cache->entries = ael_alloc_array(cache->places, sizeof *cache->entries);
    }
    if (cache->entries == NULL) {
        return;
    }
    cache->entries[place_of(cache, dated_hash)] = (struct ael_negative_entry){
        .created_s = created_s,
        .until_ns = now_ns + k_lifetime_ns,
        .id = ael_fingerprint_of(id),
    };
}

/* see appencryption/cache/negative_cache.h */
bool ael_negative_cache_has(
    const struct ael_negative_cache *cache, uint64_t dated_hash, struct ael_bytes id, int64_t created_s,
    int64_t now_ns) {
    const struct ael_negative_entry *entry =
        cache->entries == NULL ? NULL : &cache->entries[place_of(cache, dated_hash)];
    if (entry == NULL || now_ns >= entry->until_ns || entry->created_s != created_s) {
        return false;
    }
    struct ael_fingerprint asked = ael_fingerprint_of(id);
    return ael_fingerprint_equal(&entry->id, &asked);
}

/* see appencryption/cache/negative_cache.h */
void ael_negative_cache_clear(struct ael_negative_cache *cache) {
    ael_free(cache->entries);
    cache->entries = NULL;
}
