/* SPDX-License-Identifier: Apache-2.0 */
#include "securememory/secret_slots.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/corruption.h"
#include "base/hooks.h"
#include "base/tls.h"
#include "base/wipe.h"
#include "securememory/secret_state.h"
#include "securememory/sys_seam.h"
#include "securememory/warden.h"

#include <string.h>

enum {
    WIPED_AT_ONCE = 2,           /* bounds what one access pays for others' idle slots */
    WIPED_AT_ONCE_BY_WARDEN = 8, /* for whose beats leases wait */
};

static const char k_component[] = "securememory";

/* Whether this thread is in an edge of the library's, for which slots are kept. */
static AEL_TLS bool t_in_edge;
static AEL_TLS const struct ael_secret_access *t_outside; /* its newest access when it went in */

/* see securememory/secret_slots.h */
bool ael_secret_slots_enter_edge(void) {
    bool before = t_in_edge;
    if (!before) {
        t_outside = ael_secret_newest_access();
    }
    t_in_edge = true;
    return before;
}

/* In an edge, with a secret open that was opened there. */
static bool is_further_in_edge(void) {
    const struct ael_secret_access *newest = t_in_edge ? ael_secret_newest_access() : NULL;
    return newest != NULL && newest != t_outside;
}

/* see securememory/secret_slots.h */
void ael_secret_slots_leave_edge(bool before) {
    t_in_edge = before;
}

/* -- the lists of slots that are not in use; under the lock -- */

static void list_remove(struct ael_secret_slot_list *list, struct ael_secret_slot *slot) {
    *(slot->older == NULL ? &list->oldest : &slot->older->newer) = slot->newer;
    *(slot->newer == NULL ? &list->newest : &slot->newer->older) = slot->older;
    slot->older = NULL;
    slot->newer = NULL;
}

static void list_add(struct ael_secret_slot_list *list, struct ael_secret_slot *slot) {
    slot->older = list->newest;
    *(list->newest == NULL ? &list->oldest : &list->newest->newer) = slot;
    list->newest = slot;
}

/* The last touch of the owner, which may be gone afterwards. Release: who sees it without the lock may free the owner. */
static void unbind(struct ael_secret_slots *slots, struct ael_secret_slot *slot) {
    list_remove(&slots->bound, slot);
    __atomic_store_n(slot->owner, NULL, __ATOMIC_RELEASE);
    slot->owner = NULL;
}

static struct ael_secret_slot_list *
home_of(struct ael_secret_slots *slots, const struct ael_secret_slot *slot) {
    return slot->index < slots->kept ? &slots->free_for_edges : &slots->free;
}

static void set_free(struct ael_secret_slots *slots, struct ael_secret_slot *slot) {
    slot->is_free = true;
    list_add(home_of(slots, slot), slot);
}

static struct ael_secret_slot *detach_free(struct ael_secret_slot_list *list) {
    struct ael_secret_slot *slot = list->oldest;
    if (slot != NULL) {
        list_remove(list, slot);
        slot->is_free = false;
    }
    return slot;
}

/* -- holds -- */

static uintptr_t idle_of(struct ael_secret_slot **owner) {
    return (uintptr_t)owner;
}

static uintptr_t used_by(struct ael_secret_slot **owner) {
    return (uintptr_t)owner + 1;
}

/* Acquire: what the one before did with the slot has happened. */
static bool take_hold(struct ael_secret_slot *slot, uintptr_t from, uintptr_t to) {
    return atomic_compare_exchange_strong_explicit(
        &slot->hold, &from, to, memory_order_acq_rel, memory_order_relaxed);
}

static bool is_idle(const struct ael_secret_slot *slot) {
    return atomic_load(&slot->hold) == idle_of(slot->owner);
}

/* Under the lock: of the idle slots the one that has been so for longest; NULL = none is. */
static struct ael_secret_slot *longest_idle(const struct ael_secret_slots *slots) {
    struct ael_secret_slot *found = NULL;
    int64_t since_ns = INT64_MAX;
    for (struct ael_secret_slot *slot = slots->bound.oldest; slot != NULL; slot = slot->newer) {
        if (is_idle(slot) && atomic_load_explicit(&slot->idle_since_ns, memory_order_relaxed) < since_ns) {
            since_ns = atomic_load_explicit(&slot->idle_since_ns, memory_order_relaxed);
            found = slot;
        }
    }
    return found;
}

/* Under the lock. Its owner may be quicker: then the next one is looked for. */
static struct ael_secret_slot *detach_idle_since(struct ael_secret_slots *slots, int64_t latest_ns) {
    struct ael_secret_slot *slot = longest_idle(slots);
    while (slot != NULL && atomic_load_explicit(&slot->idle_since_ns, memory_order_relaxed) <= latest_ns) {
        if (take_hold(slot, idle_of(slot->owner), 0)) {
            unbind(slots, slot);
            return slot;
        }
        slot = longest_idle(slots);
    }
    return NULL;
}

/* Of a slot that is in use by its owner, who calls. */
static void detach_used(struct ael_secret_slots *slots, struct ael_secret_slot *slot) {
    ael_mutex_lock(&slots->lock);
    atomic_store_explicit(&slot->hold, 0, memory_order_relaxed);
    unbind(slots, slot);
    ael_mutex_unlock(&slots->lock);
}

/* -- set-up and end -- */

static void unmap_slots(struct ael_secret_slots *slots) {
    for (size_t i = 0; i < slots->count; i++) {
        ael_pages_unmap(&slots->slots[i].pages);
    }
    ael_free(slots->slots);
}

static enum ael_status map_slots(
    struct ael_secret_slots *slots,
    const struct ael_secret_slots_size *size,
    const struct ael_pages_policy *policy,
    struct ael_error *err) {
    size_t least = size->for_edges + size->least;
    slots->kept = size->for_edges;
    while (slots->count < size->for_edges + size->most) {
        struct ael_secret_slot *slot = &slots->slots[slots->count];
        enum ael_status status =
            ael_pages_map(AEL_SECRET_SLOT_MAX_LEN, policy, &slot->pages, slots->count < least ? err : NULL);
        if (status != AEL_OK) {
            return slots->count < least ? status : AEL_OK;
        }
        slot->index = (uint32_t)slots->count++;
        set_free(slots, slot);
    }
    return AEL_OK;
}

/* see securememory/secret_slots.h */
enum ael_status ael_secret_slots_init(
    struct ael_secret_slots *slots,
    const struct ael_secret_slots_size *size,
    const struct ael_pages_policy *policy,
    const struct ael_secret_slots_policy *idle,
    struct ael_error *err) {
    memset(slots, 0, sizeof *slots);
    slots->idle_ns = idle->idle_ns;
    slots->warden = idle->warden;
    atomic_init(&slots->due_ns, INT64_MAX);
    AEL_TRY(ael_sys_seed(slots->canary, sizeof slots->canary));
    slots->slots = ael_alloc_array(size->for_edges + size->most, sizeof *slots->slots);
    if (slots->slots == NULL) {
        return AEL_E_NO_MEMORY;
    }
    enum ael_status status = map_slots(slots, size, policy, err);
    if (status == AEL_OK) {
        status = ael_mutex_init(&slots->lock);
    }
    if (status != AEL_OK) {
        unmap_slots(slots);
        memset(slots, 0, sizeof *slots);
    }
    return status;
}

/* see securememory/secret_slots.h */
enum ael_status ael_secret_slots_set_key(struct ael_secret_slots *slots, enum ael_pkey key) {
    for (size_t i = 0; i < slots->count; i++) {
        AEL_TRY(ael_pages_set_key(&slots->slots[i].pages, key));
    }
    return AEL_OK;
}

/* see securememory/secret_slots.h */
void ael_secret_slots_clear(struct ael_secret_slots *slots) {
    if (slots->slots == NULL) {
        return;
    }
    unmap_slots(slots); /* owners are left as they are: they may be gone, and ask no more */
    ael_mutex_clear(&slots->lock);
    memset(slots, 0, sizeof *slots);
}

/* -- content; by whoever has the slot -- */

/* see securememory/secret_slots.h */
const uint8_t *ael_secret_slots_data(const struct ael_secret_slot *slot) {
    return slot->pages.bytes + slot->pages.len - slot->len;
}

static uint8_t *canary_of(const struct ael_secret_slot *slot) {
    return slot->pages.bytes + slot->pages.len - slot->len - AEL_SECRET_CANARY_BYTES;
}

static bool is_intact(const struct ael_secret_slots *slots, const struct ael_secret_slot *slot) {
    return ael_equal_constant_time(canary_of(slot), slots->canary, sizeof slots->canary);
}

/* Leaves the slot writable. A slot that cannot be opened stays filled and is wiped, and looked at, by its next taker. */
static enum ael_status wipe_slot(struct ael_secret_slots *slots, struct ael_secret_slot *slot, bool *intact) {
    *intact = true;
    AEL_TRY(ael_pages_set_access(&slot->pages, AEL_PAGES_WRITE));
    ael_pkey_begin(slot->pages.key, true);
    if (slot->len != 0) {
        *intact = is_intact(slots, slot);
        ael_wipe(canary_of(slot), AEL_SECRET_CANARY_BYTES + slot->len);
        slot->len = 0;
    }
    if (!*intact) {
        ael_corruption_found(AEL_CORRUPTION_SECRET_SLOT);
    }
    return AEL_OK;
}

/* Under the lock: who waits for the slot, which is in no list; the library's edges come first. For a kept slot that is to
 * stay this is a queue in which nobody is. */
static struct ael_waiters *waiters_for(struct ael_secret_slots *slots, const struct ael_secret_slot *slot) {
    bool is_kept = slot->index < slots->kept;
    bool may_begin = !is_kept || slots->free_for_edges.oldest != NULL;
    if (slots->waiters_further_in_edges.first == NULL && slots->waiters_in_edges.first != NULL && may_begin) {
        return &slots->waiters_in_edges;
    }
    bool for_edges = is_kept || slots->waiters_further_in_edges.first != NULL;
    return for_edges ? &slots->waiters_further_in_edges : &slots->waiters;
}

/* Gives a wiped slot to whoever waits, else to the free ones. */
static void give_back(struct ael_secret_slots *slots, struct ael_secret_slot *slot) {
    ael_mutex_lock(&slots->lock);
    if (!ael_waiters_give(waiters_for(slots, slot), slot->index)) {
        set_free(slots, slot);
    }
    ael_mutex_unlock(&slots->lock);
}

static enum ael_status end_writing(const struct ael_secret_slot *slot, enum ael_pages_access next) {
    ael_pkey_end_writing(slot->pages.key);
    return ael_pages_set_access(&slot->pages, next);
}

static bool wipe_and_give_back(struct ael_secret_slots *slots, struct ael_secret_slot *slot) {
    bool intact = true;
    if (wipe_slot(slots, slot, &intact) == AEL_OK && end_writing(slot, AEL_PAGES_CLOSED) != AEL_OK) {
        ael_log(AEL_LOG_WARN, k_component, "an empty slot could not be closed");
    }
    give_back(slots, slot);
    return intact;
}

/* -- slots whose owner did not come back -- */

static struct ael_secret_slot *detach_long_idle(struct ael_secret_slots *slots, int64_t now) {
    ael_mutex_lock(&slots->lock);
    struct ael_secret_slot *slot = detach_idle_since(slots, now - slots->idle_ns);
    ael_mutex_unlock(&slots->lock);
    return slot;
}

/* Lowers it only: a slot has become idle. */
static void be_due(struct ael_secret_slots *slots, int64_t due_ns) {
    int64_t before = atomic_load(&slots->due_ns);
    while (due_ns < before && !atomic_compare_exchange_weak(&slots->due_ns, &before, due_ns)) {
    }
}

/* Set to none first: what becomes idle while the others are looked at lowers it behind that. */
static void look_what_is_due(struct ael_secret_slots *slots) {
    ael_mutex_lock(&slots->lock);
    atomic_store(&slots->due_ns, INT64_MAX);
    const struct ael_secret_slot *slot = longest_idle(slots);
    if (slot != NULL) {
        be_due(slots, atomic_load_explicit(&slot->idle_since_ns, memory_order_relaxed) + slots->idle_ns);
    }
    ael_mutex_unlock(&slots->lock);
}

static void wipe_long_idle(struct ael_secret_slots *slots, int64_t now, int most) {
    if (now < atomic_load_explicit(&slots->due_ns, memory_order_relaxed)) {
        return;
    }
    struct ael_secret_slot *slot = detach_long_idle(slots, now);
    for (int i = 1; slot != NULL; i++) {
        atomic_fetch_add_explicit(&slots->idle_wiped, 1, memory_order_relaxed);
        (void)wipe_and_give_back(slots, slot);
        slot = i < most ? detach_long_idle(slots, now) : NULL;
    }
    look_what_is_due(slots);
}

/* see securememory/secret_slots.h */
void ael_secret_slots_wipe_idle(struct ael_secret_slots *slots, int64_t now_ns) {
    wipe_long_idle(slots, now_ns, WIPED_AT_ONCE_BY_WARDEN);
}

/* see securememory/secret_slots.h */
int64_t ael_secret_slots_idle_due_ns(struct ael_secret_slots *slots) {
    return atomic_load_explicit(&slots->due_ns, memory_order_relaxed);
}

/* -- use -- */

/* see securememory/secret_slots.h. Who takes it away meanwhile has unbound it before the owner can bind another. */
enum ael_status ael_secret_slots_reopen(struct ael_secret_slots *slots, struct ael_secret_slot **owner) {
    struct ael_secret_slot *slot = __atomic_load_n(owner, __ATOMIC_RELAXED);
    if (slot == NULL || !take_hold(slot, idle_of(owner), used_by(owner))) {
        return AEL_E_STATE;
    }
    enum ael_status status = ael_pages_set_access(&slot->pages, AEL_PAGES_READ);
    if (status != AEL_OK) {
        detach_used(slots, slot);
        (void)wipe_and_give_back(slots, slot);
    }
    return status;
}

/* Under the lock. The first one of an edge's leaves another for what is opened inside. */
static struct ael_secret_slot *detach_kept(struct ael_secret_slots *slots) {
    const struct ael_secret_slot *oldest = slots->free_for_edges.oldest;
    bool may_have_it = oldest != NULL && (oldest->newer != NULL || is_further_in_edge());
    return may_have_it ? detach_free(&slots->free_for_edges) : NULL;
}

/* Under the lock: a free slot, or the one that was idle longest; in an edge, when all others are in use, a kept one. */
static struct ael_secret_slot *detach_any(struct ael_secret_slots *slots) {
    struct ael_secret_slot *slot = detach_free(&slots->free);
    if (slot == NULL) {
        slot = detach_idle_since(slots, INT64_MAX);
    }
    return slot == NULL && t_in_edge ? detach_kept(slots) : slot;
}

static struct ael_waiters *queue_here(struct ael_secret_slots *slots) {
    if (!t_in_edge) {
        return &slots->waiters;
    }
    return is_further_in_edge() ? &slots->waiters_further_in_edges : &slots->waiters_in_edges;
}

/* Under the lock: who gets the slot before this thread, which waits, or would, in the queue `mine`. */
static struct ael_waiters *
waiters_before(struct ael_secret_slots *slots, const struct ael_secret_slot *slot, struct ael_waiters *mine) {
    struct ael_waiters *first = waiters_for(slots, slot);
    bool mine_is_first = mine == &slots->waiters_further_in_edges || first == &slots->waiters;
    return mine_is_first ? mine : first;
}

/* Under the lock, counted as waiting. What is to be had goes to those who were here before; in an edge, to edges alone. */
static enum ael_status
take_or_wait(struct ael_secret_slots *slots, int64_t deadline_ns, struct ael_secret_slot **slot) {
    struct ael_waiters *mine = queue_here(slots);
    struct ael_call call = AEL_CALL_INIT;
    uint32_t index = 0;

    call.deadline_ns = deadline_ns;
    *slot = detach_any(slots);
    while (*slot != NULL && ael_waiters_give(waiters_before(slots, *slot, mine), (*slot)->index)) {
        *slot = detach_any(slots);
    }
    if (*slot != NULL) {
        return AEL_OK;
    }
    AEL_TRY(ael_waiters_wait(mine, &slots->lock, &call, &index));
    *slot = &slots->slots[index];
    return AEL_OK;
}

static enum ael_status
take_any(struct ael_secret_slots *slots, int64_t deadline_ns, struct ael_secret_slot **slot) {
    ael_mutex_lock(&slots->lock);
    atomic_fetch_add(&slots->waiting, 1);
    enum ael_status status = take_or_wait(slots, deadline_ns, slot);
    atomic_fetch_sub(&slots->waiting, 1);
    ael_mutex_unlock(&slots->lock);
    return status;
}

/* see securememory/secret_slots.h */
enum ael_status
ael_secret_slots_take(struct ael_secret_slots *slots, int64_t deadline_ns, struct ael_secret_slot **slot) {
    struct ael_secret_slot *taken = NULL;
    bool intact = true;

    *slot = NULL;
    wipe_long_idle(slots, ael_clock_boot_ns(), WIPED_AT_ONCE);
    AEL_TRY(take_any(slots, deadline_ns, &taken));
    enum ael_status status = wipe_slot(slots, taken, &intact);
    if (status != AEL_OK) {
        give_back(slots, taken);
        return status;
    }
    *slot = taken;
    return AEL_OK;
}

/* see securememory/secret_slots.h */
uint8_t *ael_secret_slots_place(struct ael_secret_slots *slots, struct ael_secret_slot *slot, size_t len) {
    slot->len = len;
    memcpy(canary_of(slot), slots->canary, sizeof slots->canary);
    return slot->pages.bytes + slot->pages.len - len;
}

/* see securememory/secret_slots.h */
enum ael_status ael_secret_slots_bind(
    struct ael_secret_slots *slots, struct ael_secret_slot *slot, struct ael_secret_slot **owner) {
    enum ael_status status = end_writing(slot, AEL_PAGES_READ);
    if (status != AEL_OK) {
        (void)wipe_and_give_back(slots, slot);
        return status;
    }
    ael_mutex_lock(&slots->lock);
    slot->owner = owner;
    atomic_store_explicit(&slot->hold, used_by(owner), memory_order_relaxed);
    list_add(&slots->bound, slot);
    __atomic_store_n(owner, slot, __ATOMIC_RELAXED);
    ael_mutex_unlock(&slots->lock);
    return AEL_OK;
}

/* Gives a shut slot to whoever waits for one; false when nobody does, or when it was idle and is taken already. */
static bool give_away(struct ael_secret_slots *slots, struct ael_secret_slot *slot, uintptr_t hold) {
    ael_mutex_lock(&slots->lock);
    struct ael_waiters *waiters = waiters_for(slots, slot);
    bool given = waiters->first != NULL && take_hold(slot, hold, 0);
    if (given) {
        unbind(slots, slot);
        (void)ael_waiters_give(waiters, slot->index);
    }
    ael_mutex_unlock(&slots->lock);
    return given;
}

/* Keeps a shut slot for its owner, unless others wait for one: they come first. Once it is idle it may be anybody's. */
static void keep_bound(struct ael_secret_slots *slots, struct ael_secret_slot *slot, int64_t now) {
    struct ael_secret_slot **owner = slot->owner;
    if (atomic_load(&slots->waiting) != 0 && give_away(slots, slot, used_by(owner))) {
        return;
    }
    atomic_store_explicit(&slot->idle_since_ns, now, memory_order_relaxed);
    atomic_store(&slot->hold, idle_of(owner));
    be_due(slots, now + slots->idle_ns);
    if (atomic_load(&slots->waiting) != 0) {
        (void)give_away(slots, slot, idle_of(owner));
    }
}

/* see securememory/secret_slots.h */
enum ael_status ael_secret_slots_rest(struct ael_secret_slots *slots, struct ael_secret_slot *slot) {
    int64_t now = ael_clock_last_tick().boot_ns;
    bool intact = is_intact(slots, slot);
    if (!intact || slot->index < slots->kept) {
        detach_used(slots, slot);
        intact = wipe_and_give_back(slots, slot) && intact;
        return intact ? AEL_OK : AEL_E_CORRUPTED;
    }
    enum ael_status status = ael_pages_set_access(&slot->pages, AEL_PAGES_CLOSED);
    keep_bound(slots, slot, now);
    wipe_long_idle(slots, now, WIPED_AT_ONCE);
    ael_warden_expect(slots->warden, now + slots->idle_ns);
    return status;
}

/* see securememory/secret_slots.h */
void ael_secret_slots_discard(struct ael_secret_slots *slots, struct ael_secret_slot *slot) {
    ael_pkey_end_writing(slot->pages.key);
    (void)wipe_and_give_back(slots, slot);
}

/* see securememory/secret_slots.h */
enum ael_status ael_secret_slots_forget(struct ael_secret_slots *slots, struct ael_secret_slot **owner) {
    ael_mutex_lock(&slots->lock);
    struct ael_secret_slot *slot = *owner; /* idle, or taken from the owner by now */
    if (slot != NULL) {
        atomic_store_explicit(&slot->hold, 0, memory_order_relaxed);
        unbind(slots, slot);
    }
    ael_mutex_unlock(&slots->lock);
    return slot == NULL || wipe_and_give_back(slots, slot) ? AEL_OK : AEL_E_CORRUPTED;
}

/* see securememory/secret_slots.h */
void ael_secret_slots_count(struct ael_secret_slots *slots, size_t *in_use, size_t *filled) {
    *in_use = 0;
    *filled = 0;
    ael_mutex_lock(&slots->lock);
    for (size_t i = 0; i < slots->count; i++) {
        const struct ael_secret_slot *slot = &slots->slots[i];
        *filled += slot->is_free ? 0 : 1;
        *in_use += slot->is_free || (slot->owner != NULL && is_idle(slot)) ? 0 : 1;
    }
    ael_mutex_unlock(&slots->lock);
}
