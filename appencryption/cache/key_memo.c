/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/cache/key_memo.h"

#include "base/barrier.h"

static uint32_t free_place(const struct ael_thread_entry *mine) {
    uint32_t place = 0;
    while (place < AEL_THREAD_PINS && !ael_thread_has_place(mine, place)) {
        place++;
    }
    return place;
}

/* see appencryption/cache/key_memo.h */
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

/* see appencryption/cache/key_memo.h */
void ael_key_memo_give_back(uint32_t place) {
    ael_thread_unpin(ael_thread_entry_here, place);
}

/* see appencryption/cache/key_memo.h */
void ael_key_memo_set(struct ael_key_memo *memo, struct ael_cached_key *key) {
    if (atomic_load_explicit(&memo->key, memory_order_relaxed) == key) {
        return;
    }
    struct ael_cached_key *old =
        atomic_exchange_explicit(&memo->key, ael_cached_key_acquire(key), memory_order_acq_rel);
    if (old != NULL) {
        ael_cached_key_retire(old);
    }
}

/* see appencryption/cache/key_memo.h */
void ael_key_memo_clear(struct ael_key_memo *memo) {
    ael_cached_key_release(atomic_exchange_explicit(&memo->key, NULL, memory_order_acq_rel));
}
