/* SPDX-License-Identifier: Apache-2.0 */
#include "securememory/hot_keys.h"

#include "base/barrier.h"
#include "base/clock.h"
#include "base/wipe.h"
#include "securememory/protected.h"
#include "securememory/warden.h"

#include <string.h>

static const int64_t k_change_ns = 1000000; /* between two keys that give way to others */

static uint8_t *bytes_of(const struct ael_hot_keys *hot, uint32_t place) {
    return hot->region.pages.bytes + (size_t)place * AEL_HOT_KEY_BYTES;
}

static bool is_there(const struct ael_hot_place *place, uint64_t owner) {
    return atomic_load_explicit(&place->owner, memory_order_acquire) == owner;
}

static bool has_owner(const struct ael_hot_place *place) {
    return !is_there(place, 0);
}

static bool is_dirty(const struct ael_hot_place *place) {
    return atomic_load_explicit(&place->dirty, memory_order_relaxed);
}

static bool is_watched_over(enum ael_protection_level level) {
    return level == AEL_PROTECTION_LEASED || level == AEL_PROTECTION_OPEN;
}

/* see securememory/hot_keys.h */
void ael_hot_keys_init(
    struct ael_hot_keys *hot, size_t count, int64_t idle_ns, const struct ael_region_policy *policy) {
    size_t places = count < AEL_HOT_KEYS_MAX ? count : AEL_HOT_KEYS_MAX;
    memset(hot, 0, sizeof *hot);
    atomic_init(&hot->due_ns, INT64_MAX);
    if (places == 0 || !is_watched_over(policy->level) || ael_mutex_init(&hot->lock) != AEL_OK) {
        return;
    }
    if (ael_region_init(&hot->region, AEL_LEASE_OF_HOT_KEYS, places * AEL_HOT_KEY_BYTES, policy, NULL) !=
        AEL_OK) {
        ael_mutex_clear(&hot->lock);
        return;
    }
    hot->idle_ns = idle_ns;
    hot->warden = policy->warden;
    hot->count = (uint32_t)places;
}

/* see securememory/hot_keys.h */
void ael_hot_keys_clear(struct ael_hot_keys *hot) {
    if (hot->count != 0) {
        hot->count = 0;
        ael_region_clear(&hot->region);
        ael_mutex_clear(&hot->lock);
    }
}

/* -- changes; under the lock -- */

/* Writes, with the region writable for that moment alone; NULL wipes. The copy went through vector registers, and what comes
 * behind it (the first call of a function that is resolved then, a signal) may write those to the stack, deeper than an
 * operation is. */
static bool write_bytes(struct ael_hot_keys *hot, uint32_t place, const uint8_t *bytes, size_t len) {
    if (ael_region_begin(&hot->region, AEL_PAGES_WRITE) != AEL_OK) {
        return false;
    }
    uint8_t *to = bytes_of(hot, place);
    ael_wipe(to, AEL_HOT_KEY_BYTES);
    if (bytes != NULL) {
        memcpy(to, bytes, len);
        ael_wipe_vectors();
    }
    ael_region_narrow(&hot->region);
    enum ael_status status = ael_region_end(&hot->region);
    (void)status; /* at these levels an end does not fail */
    return true;
}

/* What is still read, or could not be opened, stays for the next time. */
static void wipe_unread(struct ael_hot_keys *hot) {
    for (uint32_t place = 0; place < hot->count; place++) {
        struct ael_hot_place *at = &hot->places[place];
        if (is_dirty(at) && !ael_threads_read_hot_key(place + 1)) {
            atomic_store(&at->dirty, !write_bytes(hot, place, NULL, 0));
        }
    }
}

/* Behind the barrier nobody begins to read it. */
static void evict_at(struct ael_hot_keys *hot, uint32_t place) {
    atomic_store(&hot->places[place].owner, 0);
    atomic_store(&hot->places[place].dirty, true);
    ael_barrier_heavy_surely();
    wipe_unread(hot);
}

static uint32_t find(const struct ael_hot_keys *hot, uint64_t owner) {
    uint32_t place = 0;
    while (place < hot->count && !is_there(&hot->places[place], owner)) {
        place++;
    }
    return place < hot->count ? place : (uint32_t)AEL_HOT_KEY_NOWHERE;
}

static uint32_t find_free(const struct ael_hot_keys *hot) {
    uint32_t place = 0;
    while (place < hot->count && (has_owner(&hot->places[place]) || is_dirty(&hot->places[place]))) {
        place++;
    }
    return place < hot->count ? place : (uint32_t)AEL_HOT_KEY_NOWHERE;
}

static bool was_used(struct ael_hot_place *at, int64_t now_ns) {
    bool used = atomic_load_explicit(&at->used, memory_order_relaxed);
    if (used) {
        atomic_store_explicit(&at->used, false, memory_order_relaxed);
        at->seen_ns = now_ns;
    }
    return used;
}

/* One that was not used since the hand was there last. */
static uint32_t find_unused(struct ael_hot_keys *hot, int64_t now_ns) {
    for (uint32_t i = 0; i < hot->count; i++) {
        uint32_t place = hot->hand;
        hot->hand = (hot->hand + 1) % hot->count;
        if (has_owner(&hot->places[place]) && !was_used(&hot->places[place], now_ns)) {
            return place;
        }
    }
    return AEL_HOT_KEY_NOWHERE;
}

/* A place to be filled. Changes are rare, or many keys that are used in turn would cost each a barrier. */
static uint32_t make_room(struct ael_hot_keys *hot, int64_t now_ns) {
    wipe_unread(hot);
    uint32_t place = find_free(hot);
    if (place != AEL_HOT_KEY_NOWHERE || now_ns < hot->next_change_ns) {
        return place;
    }
    hot->next_change_ns = now_ns + k_change_ns;
    place = find_unused(hot, now_ns);
    if (place == AEL_HOT_KEY_NOWHERE) {
        return place;
    }
    evict_at(hot, place);
    return is_dirty(&hot->places[place]) ? (uint32_t)AEL_HOT_KEY_NOWHERE : place;
}

/* What is dirty is due at once. */
static void set_due(struct ael_hot_keys *hot) {
    int64_t due_ns = INT64_MAX;
    for (uint32_t place = 0; place < hot->count; place++) {
        const struct ael_hot_place *at = &hot->places[place];
        int64_t this_ns = is_dirty(at) ? 0 : has_owner(at) ? at->seen_ns + hot->idle_ns : INT64_MAX;
        due_ns = this_ns < due_ns ? this_ns : due_ns;
    }
    atomic_store(&hot->due_ns, due_ns);
}

/* By who read last. */
__attribute__((noinline)) static void wipe_now(struct ael_hot_keys *hot) {
    ael_mutex_lock(&hot->lock);
    wipe_unread(hot);
    set_due(hot);
    ael_mutex_unlock(&hot->lock);
}

static uint32_t fill(
    struct ael_hot_keys *hot,
    uint32_t place,
    uint64_t owner,
    const void *kind,
    const uint8_t *schedule,
    size_t len,
    int64_t now_ns) {
    if (place == AEL_HOT_KEY_NOWHERE || !write_bytes(hot, place, schedule, len)) {
        return AEL_HOT_KEY_NOWHERE;
    }
    struct ael_hot_place *at = &hot->places[place];
    at->kind = kind;
    at->seen_ns = now_ns;
    atomic_store_explicit(&at->used, true, memory_order_relaxed);
    atomic_store_explicit(&at->owner, owner, memory_order_release);
    return place;
}

/* see securememory/hot_keys.h */
bool ael_hot_keys_offer(
    struct ael_hot_keys *hot,
    uint64_t owner,
    const void *kind,
    const uint8_t *schedule,
    size_t len,
    uint32_t *place) {
    *place = AEL_HOT_KEY_NOWHERE;
    if (hot->count == 0 || len > AEL_HOT_KEY_BYTES || !ael_mutex_try_lock(&hot->lock)) {
        return false;
    }
    int64_t now_ns = ael_clock_boot_ns();
    *place = find(hot, owner);
    if (*place == AEL_HOT_KEY_NOWHERE) {
        *place = fill(hot, make_room(hot, now_ns), owner, kind, schedule, len, now_ns);
        set_due(hot);
    }
    ael_mutex_unlock(&hot->lock);
    ael_warden_expect(hot->warden, ael_hot_keys_due_ns(hot));
    return *place != AEL_HOT_KEY_NOWHERE;
}

/* see securememory/hot_keys.h */
void ael_hot_keys_evict(struct ael_hot_keys *hot, uint64_t owner) {
    if (hot->count == 0) {
        return;
    }
    ael_mutex_lock(&hot->lock);
    uint32_t place = find(hot, owner);
    if (place != AEL_HOT_KEY_NOWHERE) {
        evict_at(hot, place);
        set_due(hot);
    }
    ael_mutex_unlock(&hot->lock);
}

/* see securememory/hot_keys.h. Where memory is gone, or another process's, there is nothing to forget. */
void ael_hot_keys_forget(uint64_t owner) {
    if (ael_protected_hold_present() == AEL_OK) {
        ael_hot_keys_evict(&ael_protected()->hot, owner);
        ael_protected_drop();
    }
}

/* -- use -- */

/* see securememory/hot_keys.h. A signal handler inside another use finds the note taken, and goes without. */
const uint8_t *
ael_hot_keys_begin(struct ael_hot_keys *hot, uint32_t place, uint64_t owner, const void *kind) {
    struct ael_thread_entry *mine = ael_thread_entry_mine();
    if (place >= hot->count || mine == NULL || ael_thread_hot_key(mine) != 0 ||
        ael_region_begin(&hot->region, AEL_PAGES_READ) != AEL_OK) {
        return NULL;
    }
    struct ael_hot_place *at = &hot->places[place];
    ael_thread_note_hot_key(mine, place + 1);
    ael_barrier_light();
    if (!is_there(at, owner) || at->kind != kind) {
        ael_hot_keys_end(hot);
        return NULL;
    }
    if (!atomic_load_explicit(&at->used, memory_order_relaxed)) {
        atomic_store_explicit(&at->used, true, memory_order_relaxed);
    }
    return bytes_of(hot, place);
}

/* see securememory/hot_keys.h. Either who evicts sees the note gone, or this thread
 * sees that the key is, and wipes it. */
void ael_hot_keys_end(struct ael_hot_keys *hot) {
    uint32_t noted = ael_thread_hot_key(ael_thread_entry_here);
    ael_thread_note_hot_key(ael_thread_entry_here, 0);
    ael_barrier_light();
    if (noted != 0 && __builtin_expect(is_dirty(&hot->places[noted - 1]), 0)) {
        wipe_now(hot);
    }
    enum ael_status status = ael_region_end(&hot->region);
    (void)status;
}

/* -- what is due -- */

/* see securememory/hot_keys.h */
void ael_hot_keys_tend(struct ael_hot_keys *hot, int64_t now_ns) {
    if (hot->count == 0 || now_ns < ael_hot_keys_due_ns(hot)) {
        return;
    }
    ael_mutex_lock(&hot->lock);
    for (uint32_t place = 0; place < hot->count; place++) {
        struct ael_hot_place *at = &hot->places[place];
        if (has_owner(at) && !was_used(at, now_ns) && now_ns - at->seen_ns >= hot->idle_ns) {
            evict_at(hot, place);
        }
    }
    wipe_unread(hot);
    set_due(hot);
    ael_mutex_unlock(&hot->lock);
}

/* see securememory/hot_keys.h */
int64_t ael_hot_keys_due_ns(const struct ael_hot_keys *hot) {
    return hot->count == 0 ? INT64_MAX : atomic_load(&hot->due_ns);
}

/* see securememory/hot_keys.h */
uint32_t ael_hot_keys_filled(struct ael_hot_keys *hot) {
    uint32_t filled = 0;
    if (hot->count == 0) {
        return 0;
    }
    ael_mutex_lock(&hot->lock);
    for (uint32_t place = 0; place < hot->count; place++) {
        filled += has_owner(&hot->places[place]) || is_dirty(&hot->places[place]);
    }
    ael_mutex_unlock(&hot->lock);
    return filled;
}
