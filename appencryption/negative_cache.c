/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/negative_cache.h"

#include "base/alloc.h"

#include <string.h>

static const int64_t k_lifetime_ns = 1000000000;

struct ael_negative_entry {
    int64_t created_s;
    int64_t until_ns;
    size_t id_len;
    uint8_t id[];
};

/* One place a hash: a newer entry takes the place of an older one. */
static size_t place_of(uint64_t dated_hash) {
    return (size_t)(dated_hash % AEL_NEGATIVE_CACHE_ENTRIES);
}

static struct ael_negative_entry *entry_new(struct ael_bytes id, int64_t created_s, int64_t until_ns) {
    struct ael_negative_entry *entry = ael_alloc(sizeof *entry + id.len);
    if (entry != NULL) {
        entry->created_s = created_s;
        entry->until_ns = until_ns;
        entry->id_len = id.len;
        memcpy(entry->id, id.data, id.len);
    }
    return entry;
}

/* see appencryption/negative_cache.h */
void ael_negative_cache_add(
    struct ael_negative_cache *cache, uint64_t dated_hash, struct ael_bytes id, int64_t created_s, int64_t now_ns) {
    if (cache->entries == NULL) {
        cache->entries = ael_alloc_array(AEL_NEGATIVE_CACHE_ENTRIES, sizeof(struct ael_negative_entry *));
    }
    if (cache->entries == NULL) {
        return;
    }
    size_t place = place_of(dated_hash);
    ael_free(cache->entries[place]);
    cache->entries[place] = entry_new(id, created_s, now_ns + k_lifetime_ns);
}

/* see appencryption/negative_cache.h */
bool ael_negative_cache_has(
    const struct ael_negative_cache *cache, uint64_t dated_hash, struct ael_bytes id, int64_t created_s,
    int64_t now_ns) {
    const struct ael_negative_entry *entry = cache->entries == NULL ? NULL : cache->entries[place_of(dated_hash)];
    return entry != NULL && now_ns < entry->until_ns && entry->created_s == created_s && entry->id_len == id.len
           && memcmp(entry->id, id.data, id.len) == 0;
}

/* see appencryption/negative_cache.h */
void ael_negative_cache_clear(struct ael_negative_cache *cache) {
    for (size_t i = 0; cache->entries != NULL && i < AEL_NEGATIVE_CACHE_ENTRIES; i++) {
        ael_free(cache->entries[i]);
    }
    ael_free(cache->entries);
    cache->entries = NULL;
}
