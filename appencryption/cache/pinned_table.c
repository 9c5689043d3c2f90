/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/cache/pinned_table.h"

#include "base/alloc.h"
#include "base/barrier.h"
#include "base/thread_entry.h"

enum { FIRST_SEGMENT_LOG2 = 4, FIRST_SEGMENT = 1 << FIRST_SEGMENT_LOG2 };

/* What the link of a thing that has gone points to. */
static struct ael_pinned_link s_gone;

static uint32_t floor_log2(uint32_t number) {
    return 31 - (uint32_t)__builtin_clz(number);
}

/* Linear hashing: buckets up to the last power of two, and beyond it one for each that was split since. */
static uint32_t number_of(uint32_t hash, uint32_t buckets) {
    uint32_t power = UINT32_C(1) << floor_log2(buckets);
    uint32_t number = hash & (2 * power - 1);
    return number < buckets ? number : number & (power - 1);
}

static uint32_t segment_of(uint32_t number) {
    return number < FIRST_SEGMENT ? 0 : floor_log2(number) - FIRST_SEGMENT_LOG2 + 1;
}

static ael_pinned_bucket *bucket_at(const struct ael_pinned_table *table, uint32_t number) {
    uint32_t segment = segment_of(number);
    uint32_t first = segment == 0 ? 0 : UINT32_C(1) << floor_log2(number);
    return atomic_load_explicit(&table->segments[segment], memory_order_relaxed) + (number - first);
}

static uint32_t bucket_count(const struct ael_pinned_table *table) {
    return atomic_load_explicit(&table->buckets, memory_order_relaxed);
}

static void *thing_of(const struct ael_pinned_table *table, struct ael_pinned_link *link) {
    return (char *)link - table->offset;
}

/* Follows a link under the lock. */
static struct ael_pinned_link *follow(const ael_pinned_bucket *at) {
    return atomic_load_explicit(at, memory_order_relaxed);
}

static uint32_t hash_of(const struct ael_pinned_link *link) {
    return atomic_load_explicit(&link->hash, memory_order_relaxed);
}

static void point(ael_pinned_bucket *at, struct ael_pinned_link *link) {
    atomic_store_explicit(at, link, memory_order_release);
}

/* see appencryption/cache/pinned_table.h */
void ael_pinned_table_init(struct ael_pinned_table *table, size_t offset) {
    *table = (struct ael_pinned_table){.offset = offset};
}

/* see appencryption/cache/pinned_table.h */
void ael_pinned_table_clear(struct ael_pinned_table *table) {
    for (size_t i = 0; i < AEL_PINNED_SEGMENTS; i++) {
        ael_free(atomic_load_explicit(&table->segments[i], memory_order_relaxed));
    }
    ael_pinned_table_init(table, table->offset);
}

static bool make_segment(struct ael_pinned_table *table, uint32_t segment, uint32_t buckets) {
    ael_pinned_bucket *made = ael_alloc_array(buckets, sizeof *made);
    atomic_store_explicit(&table->segments[segment], made, memory_order_relaxed);
    return made != NULL;
}

/* Moves what belongs there from one bucket to a new one. All stay in the table: a reader may lose its way, no more. */
static void split(ael_pinned_bucket *from, ael_pinned_bucket *to, uint32_t number, uint32_t buckets) {
    ael_pinned_bucket *at = from;
    for (struct ael_pinned_link *link = follow(at); link != NULL; link = follow(at)) {
        if (number_of(hash_of(link), buckets) != number) {
            at = &link->next;
            continue;
        }
        point(at, follow(&link->next));
        point(&link->next, follow(to));
        point(to, link);
    }
}

/* One bucket more; where there is no memory for it, the chains get longer. */
static void grow(struct ael_pinned_table *table, uint32_t number) {
    uint32_t power = UINT32_C(1) << floor_log2(number);
    uint32_t segment = segment_of(number);
    if (segment >= AEL_PINNED_SEGMENTS || (number == power && !make_segment(table, segment, power))) {
        return;
    }
    split(bucket_at(table, number - power), bucket_at(table, number), number, number + 1);
    atomic_store_explicit(&table->buckets, number + 1, memory_order_release);
}

static bool make_room(struct ael_pinned_table *table) {
    uint32_t buckets = bucket_count(table);
    if (buckets == 0) {
        if (!make_segment(table, 0, FIRST_SEGMENT)) {
            return false;
        }
        atomic_store_explicit(&table->buckets, FIRST_SEGMENT, memory_order_release);
    } else if (table->count >= buckets) {
        grow(table, buckets);
    }
    return true;
}

/* see appencryption/cache/pinned_table.h */
bool ael_pinned_table_add(struct ael_pinned_table *table, struct ael_pinned_link *link, uint64_t hash) {
    if (!make_room(table)) {
        return false;
    }
    ael_pinned_bucket *bucket = bucket_at(table, number_of((uint32_t)hash, bucket_count(table)));
    atomic_store_explicit(&link->hash, (uint32_t)hash, memory_order_relaxed);
    atomic_store_explicit(&link->next, follow(bucket), memory_order_relaxed);
    point(bucket, link);
    table->count++;
    return true;
}

/* What points to a thing that is in the table. */
static ael_pinned_bucket *
pointer_to(const struct ael_pinned_table *table, const struct ael_pinned_link *link) {
    ael_pinned_bucket *at = bucket_at(table, number_of(hash_of(link), bucket_count(table)));
    while (follow(at) != link) {
        at = &follow(at)->next;
    }
    return at;
}

/* see appencryption/cache/pinned_table.h. In this order: a link that is not marked as gone points to what is in the table. */
void ael_pinned_table_remove(struct ael_pinned_table *table, struct ael_pinned_link *link) {
    point(pointer_to(table, link), follow(&link->next));
    point(&link->next, &s_gone);
    table->count--;
}

/* see appencryption/cache/pinned_table.h */
void ael_pinned_table_replace(
    struct ael_pinned_table *table, struct ael_pinned_link *old, struct ael_pinned_link *link) {
    atomic_store_explicit(&link->hash, hash_of(old), memory_order_relaxed);
    atomic_store_explicit(&link->next, follow(&old->next), memory_order_relaxed);
    point(pointer_to(table, old), link);
    point(&old->next, &s_gone);
}

/* see appencryption/cache/pinned_table.h */
void *ael_pinned_table_find(
    const struct ael_pinned_table *table, uint64_t hash, ael_pinned_match_fn match, const void *wanted) {
    uint32_t buckets = bucket_count(table);
    if (buckets == 0) {
        return NULL;
    }
    struct ael_pinned_link *link = follow(bucket_at(table, number_of((uint32_t)hash, buckets)));
    while (link != NULL && !(hash_of(link) == (uint32_t)hash && match(thing_of(table, link), wanted))) {
        link = follow(&link->next);
    }
    return link == NULL ? NULL : thing_of(table, link);
}

/* Two places of a thread's that are free, mostly the first two; AEL_THREAD_PINS where there are none. */
static void choose_places(const struct ael_thread_entry *mine, uint32_t places[2]) {
    uint32_t found = 0;
    places[0] = 0;
    places[1] = 1;
    if (ael_thread_has_place(mine, 0) && ael_thread_has_place(mine, 1)) {
        return;
    }
    for (uint32_t place = 0; place < AEL_THREAD_PINS && found < 2; place++) {
        if (ael_thread_has_place(mine, place)) {
            places[found++] = place;
        }
    }
    for (; found < 2; found++) {
        places[found] = AEL_THREAD_PINS;
    }
}

/* Pins what a link points to. @return that; NULL at the end of a chain, or when something changed. */
static struct ael_pinned_link *step(
    const struct ael_pinned_table *table,
    struct ael_thread_entry *mine,
    uint32_t place,
    const ael_pinned_bucket *at) {
    struct ael_pinned_link *link = atomic_load_explicit(at, memory_order_relaxed);
    if (link == NULL || link == &s_gone) {
        return NULL;
    }
    ael_thread_pin(mine, place, thing_of(table, link));
    ael_barrier_light();
    return atomic_load_explicit(at, memory_order_acquire) == link ? link : NULL;
}

/* see appencryption/cache/pinned_table.h */
void *ael_pinned_table_borrow(
    const struct ael_pinned_table *table,
    uint64_t hash,
    ael_pinned_match_fn match,
    const void *wanted,
    uint32_t *place) {
    struct ael_thread_entry *mine = ael_thread_entry_mine();
    uint32_t buckets = atomic_load_explicit(&table->buckets, memory_order_acquire);
    uint32_t places[2];
    if (mine == NULL || buckets == 0) {
        return NULL;
    }
    choose_places(mine, places);
    if (places[1] == AEL_THREAD_PINS) {
        return NULL;
    }
    void *found = NULL;
    uint32_t turn = 0;
    struct ael_pinned_link *link =
        step(table, mine, places[turn], bucket_at(table, number_of((uint32_t)hash, buckets)));
    while (link != NULL && found == NULL) {
        if (hash_of(link) == (uint32_t)hash && match(thing_of(table, link), wanted)) {
            found = thing_of(table, link);
        } else {
            turn ^= 1;
            link = step(table, mine, places[turn], &link->next);
        }
    }
    *place = places[turn];
    ael_thread_unpin(mine, places[turn ^ 1]);
    if (found == NULL) {
        ael_thread_unpin(mine, *place);
    }
    return found;
}
