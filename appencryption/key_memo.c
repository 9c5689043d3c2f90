/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/key_memo.h"

#include "base/barrier.h"
#include "base/sync.h"

/* Guards what is put off: the list, and the fields of its keys that cached_key.h names. */
static struct ael_mutex s_lock = AEL_MUTEX_INIT;
static struct ael_cached_key *s_put_off;

static uint32_t free_place(const struct ael_thread_entry *mine) {
    uint32_t place = 0;
    while (place < AEL_THREAD_PINS && !ael_thread_has_place(mine, place)) {
        place++;
    }
    return place;
}

/* see appencryption/key_memo.h */
struct ael_cached_key *ael_key_memo_borrow(const struct ael_key_memo *memo, uint32_t *place) {
    struct ael_thread_entry *mine = ael_thread_entry_mine();
    struct ael_cached_key *key = atomic_load_explicit(&memo->key, memory_order_relaxed);
    if (key == NULL || mine == NULL) {
        return NULL;
    }
    *place = free_place(mine);
    if (*place == AEL_THREAD_PINS) {
        return NULL;
    }
    ael_thread_pin(mine, *place, key);
    ael_barrier_light();
    if (atomic_load_explicit(&memo->key, memory_order_acquire) == key) {
        return key;
    }
    ael_thread_unpin(mine, *place);
    return NULL;
}

/* see appencryption/key_memo.h */
void ael_key_memo_give_back(uint32_t place) {
    ael_thread_unpin(ael_thread_entry_here, place);
}

/* Under the lock. Several memos may put the same key off, each with a reference of its own. */
static void put_off(struct ael_cached_key *key) {
    if (key->put_off++ == 0) {
        key->next_put_off = s_put_off;
        s_put_off = key;
    }
}

/* Under the lock. The last reference may be among those, so the key is not looked at behind them. */
static void drop_references(struct ael_cached_key *key) {
    uint32_t references = key->put_off;
    key->put_off = 0;
    for (uint32_t i = 0; i < references; i++) {
        ael_cached_key_release(key);
    }
}

/* Under the lock. */
static void drop_unpinned(void) {
    struct ael_cached_key **link = &s_put_off;
    if (s_put_off == NULL) {
        return;
    }
    ael_barrier_heavy_surely();
    while (*link != NULL) {
        struct ael_cached_key *key = *link;
        if (ael_threads_pin(key)) {
            link = &key->next_put_off;
        } else {
            *link = key->next_put_off;
            drop_references(key);
        }
    }
}

/* see appencryption/key_memo.h */
void ael_key_memo_sweep(void) {
    ael_mutex_lock(&s_lock);
    drop_unpinned();
    ael_mutex_unlock(&s_lock);
}

/* see appencryption/key_memo.h */
void ael_key_memo_set(struct ael_key_memo *memo, struct ael_cached_key *key) {
    if (atomic_load_explicit(&memo->key, memory_order_relaxed) == key) {
        return;
    }
    struct ael_cached_key *old =
        atomic_exchange_explicit(&memo->key, ael_cached_key_acquire(key), memory_order_acq_rel);
    if (old != NULL) {
        ael_mutex_lock(&s_lock);
        put_off(old);
        drop_unpinned();
        ael_mutex_unlock(&s_lock);
    }
}

/* see appencryption/key_memo.h */
void ael_key_memo_clear(struct ael_key_memo *memo) {
    ael_cached_key_release(atomic_exchange_explicit(&memo->key, NULL, memory_order_acq_rel));
}
