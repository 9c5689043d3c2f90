/* SPDX-License-Identifier: Apache-2.0 */
#include "securememory/roots.h"

#include "base/barrier.h"
#include "base/check.h"
#include "base/corruption.h"
#include "base/thread_entry.h"
#include "base/wipe.h"
#include "securememory/signals.h"
#include "securememory/sys_seam.h"

#include <string.h>

_Static_assert((int)AEL_ROOTS_ALL_BYTES + (int)AEL_ROOTS_CANARY_BYTES <= 4096, "one page of the smallest size");

enum { NO_PLACE = AEL_ROOTS_MAX };

/* Grows by one with each key of this process; a child goes on from its parent's. */
static atomic_uint_least32_t g_last_number;

static struct ael_seal_key *key_at(const struct ael_roots *roots, uint32_t place) {
    return (struct ael_seal_key *)(void *)roots->region.pages.bytes + place;
}

static uint32_t number_at(const struct ael_roots *roots, uint32_t place) {
    return atomic_load_explicit(&roots->numbers[place], memory_order_acquire);
}

static uint32_t place_of(const struct ael_roots *roots, uint32_t number) {
    uint32_t place = 0;
    while (place < AEL_ROOTS_MAX && number_at(roots, place) != number) {
        place++;
    }
    return number == 0 ? NO_PLACE : place;
}

static bool is_free(const struct ael_roots *roots, uint32_t place) {
    return number_at(roots, place) == 0 && atomic_load(&roots->going[place]) == 0;
}

/* -- the canary behind the keys -- */

static uint8_t *canary_of(const struct ael_roots *roots) {
    return roots->region.pages.bytes + AEL_ROOTS_ALL_BYTES;
}

/* The pages are writable. */
static enum ael_status write_canary(struct ael_roots *roots) {
    AEL_TRY(ael_sys_seed(roots->canary, sizeof roots->canary));
    memcpy(canary_of(roots), roots->canary, sizeof roots->canary);
    roots->has_canary = true;
    return AEL_OK;
}

/* The pages are readable. */
static bool is_overwritten(const struct ael_roots *roots) {
    return roots->has_canary &&
           !ael_equal_constant_time(canary_of(roots), roots->canary, sizeof roots->canary);
}

static uint32_t free_place(const struct ael_roots *roots) {
    uint32_t place = 0;
    while (place < AEL_ROOTS_MAX && !is_free(roots, place)) {
        place++;
    }
    return place;
}

static uint32_t oldest_place(const struct ael_roots *roots) {
    uint32_t oldest = 0;
    for (uint32_t place = 1; place < AEL_ROOTS_MAX; place++) {
        if (number_at(roots, place) < number_at(roots, oldest)) {
            oldest = place;
        }
    }
    return oldest;
}

/* Draws a key into the place, which nobody uses, and makes it the current one. */
static enum ael_status draw_key(struct ael_roots *roots, uint32_t place) {
    struct ael_seal_key *key = key_at(roots, place);
    AEL_TRY(ael_region_begin(&roots->region, AEL_PAGES_WRITE));
    ael_wipe(key, sizeof *key);
    enum ael_status status = ael_sys_seed(key->raw, AEL_SEAL_KEY_BYTES);
    if (status == AEL_OK && !roots->has_canary) {
        status = write_canary(roots);
    }
    if (status == AEL_OK) {
        ael_seal_key_prepare(key, roots->engine);
        uint32_t number = atomic_fetch_add(&g_last_number, 1) + 1;
        atomic_store_explicit(&roots->numbers[place], number, memory_order_release);
        atomic_store_explicit(&roots->current, place, memory_order_release);
    }
    enum ael_status end = ael_region_end(&roots->region);
    ael_wipe_stack();
    return status != AEL_OK ? status : end;
}

/* see securememory/roots.h */
enum ael_status
ael_roots_init(struct ael_roots *roots, const struct ael_region_policy *policy, struct ael_error *err) {
    memset(roots, 0, sizeof *roots);
    AEL_TRY(ael_region_init(&roots->region, AEL_LEASE_OF_ROOTS, AEL_ROOTS_ALL_BYTES, policy, err));
    roots->engine = ael_seal_choose();
    enum ael_status status = draw_key(roots, 0);
    if (status != AEL_OK) {
        ael_roots_clear(roots);
    }
    return status;
}

/* see securememory/roots.h */
void ael_roots_clear(struct ael_roots *roots) {
    ael_pkey_begin(roots->region.pages.key, false);
    bool overwritten = roots->has_canary &&
                       ael_pages_set_access(&roots->region.pages, AEL_PAGES_READ) == AEL_OK &&
                       is_overwritten(roots);
    ael_pkey_end(roots->region.pages.key);
    if (overwritten) {
        ael_corruption_found(AEL_CORRUPTION_ROOT_KEYS);
    }
    roots->has_canary = false;
    ael_region_clear(&roots->region);
}

/* see securememory/roots.h */
struct ael_root_names ael_roots_names(const struct ael_roots *roots) {
    struct ael_root_names names = {.engine = roots->engine};
    for (uint32_t place = 0; place < AEL_ROOTS_MAX; place++) {
        names.numbers[place] = number_at(roots, place);
    }
    return names;
}

/* -- the hand-over to a child -- */

/* Without what was drawn or left in places that hold no key. */
static void copy_keys(uint8_t *to, const uint8_t *from, const struct ael_root_names *names) {
    memcpy(to, from, AEL_ROOTS_ALL_BYTES);
    for (uint32_t place = 0; place < AEL_ROOTS_MAX; place++) {
        if (names->numbers[place] == 0) {
            ael_wipe(to + (size_t)place * sizeof(struct ael_seal_key), sizeof(struct ael_seal_key));
        }
    }
}

static enum ael_status
copy_pages(const struct ael_pages *from, const struct ael_pages *to, const struct ael_root_names *names) {
    AEL_TRY(ael_pages_set_access(from, AEL_PAGES_READ));
    AEL_TRY(ael_pages_set_access(to, AEL_PAGES_WRITE));
    ael_pkey_begin(from->key, false);
    copy_keys(to->bytes, from->bytes, names);
    ael_pkey_end(from->key);
    return ael_pages_set_access(to, AEL_PAGES_CLOSED);
}

/* see securememory/roots.h */
enum ael_status ael_roots_inherit(
    struct ael_pages *lent,
    const struct ael_root_names *names,
    const struct ael_pages_policy *policy,
    struct ael_inherited_roots *inherited) {
    struct ael_inherited_roots made = {{.bytes = NULL}, *names};
    enum ael_status status = ael_pages_map(AEL_ROOTS_ALL_BYTES, policy, &made.pages, NULL);
    ael_signals_hold();
    if (status == AEL_OK) {
        status = copy_pages(lent, &made.pages, names);
    }
    ael_pages_drop_inherited(lent);
    ael_wipe_stack(); /* vector registers: the copy went through them */
    ael_signals_release();
    if (status != AEL_OK) {
        ael_pages_unmap(&made.pages);
    }
    *inherited = made;
    return status;
}

/* see securememory/roots.h */
enum ael_status ael_roots_adopt(
    struct ael_roots *roots, struct ael_inherited_roots *inherited, const struct ael_region_policy *policy) {
    memset(roots, 0, sizeof *roots);
    AEL_TRY(ael_region_wrap(&roots->region, AEL_LEASE_OF_ROOTS, &inherited->pages, policy));
    roots->engine = inherited->names.engine;
    for (uint32_t place = 0; place < AEL_ROOTS_MAX; place++) {
        atomic_init(&roots->numbers[place], inherited->names.numbers[place]);
    }
    atomic_init(&roots->current, NO_PLACE);
    inherited->pages = (struct ael_pages){.bytes = NULL};
    uint32_t place = free_place(roots);
    enum ael_status status = draw_key(roots, place != NO_PLACE ? place : oldest_place(roots));
    if (status != AEL_OK) {
        ael_roots_give_back(roots, inherited);
    }
    return status;
}

/* see securememory/roots.h */
void ael_roots_give_back(struct ael_roots *roots, struct ael_inherited_roots *inherited) {
    if (roots->region.pages.bytes == NULL) {
        return;
    }
    inherited->pages = ael_region_unwrap(&roots->region);
    inherited->names = ael_roots_names(roots);
    uint32_t current = atomic_load(&roots->current);
    if (current != NO_PLACE) {
        inherited->names.numbers[current] = 0; /* nothing was sealed with it: its place is free */
    }
    roots->has_canary = false;
    enum ael_status closed = ael_pages_set_key(&inherited->pages, AEL_PKEY_NONE);
    if (closed == AEL_OK) {
        closed = ael_pages_set_access(&inherited->pages, AEL_PAGES_CLOSED);
    }
    (void)closed; /* a page that stays open is adopted all the same; this may be under the set-up's lock, so no log */
}

/* see securememory/roots.h */
void ael_inherited_roots_clear(struct ael_inherited_roots *inherited) {
    ael_pages_unmap(&inherited->pages);
}

/* -- drawing and wiping -- */

/* see securememory/roots.h */
enum ael_status ael_roots_renew(struct ael_roots *roots) {
    uint32_t place = free_place(roots);
    return place == NO_PLACE ? AEL_E_STATE : draw_key(roots, place);
}

/* see securememory/roots.h */
uint32_t ael_roots_free_places(const struct ael_roots *roots) {
    uint32_t count = 0;
    for (uint32_t place = 0; place < AEL_ROOTS_MAX; place++) {
        count += is_free(roots, place);
    }
    return count;
}

/* see securememory/roots.h */
uint32_t ael_roots_current(const struct ael_roots *roots) {
    return number_at(roots, atomic_load_explicit(&roots->current, memory_order_acquire));
}

/* Behind the barrier nobody finds them any more. */
static bool take_out_below(struct ael_roots *roots, uint32_t number) {
    bool any = false;
    for (uint32_t place = 0; place < AEL_ROOTS_MAX; place++) {
        uint32_t here = number_at(roots, place);
        if (here != 0 && here < number) {
            atomic_store(&roots->going[place], here);
            atomic_store(&roots->numbers[place], 0);
        }
        any = any || atomic_load(&roots->going[place]) != 0;
    }
    return any;
}

/* The pages are writable. */
static enum ael_status wipe_unused(struct ael_roots *roots, uint32_t *wiped) {
    enum ael_status status = AEL_OK;
    for (uint32_t place = 0; place < AEL_ROOTS_MAX; place++) {
        uint32_t going = atomic_load(&roots->going[place]);
        if (going != 0 && ael_threads_use_root(going)) {
            status = AEL_E_BUSY;
        } else if (going != 0) {
            ael_wipe(key_at(roots, place), sizeof(struct ael_seal_key));
            atomic_store(&roots->going[place], 0);
            (*wiped)++;
        }
    }
    return status;
}

/* see securememory/roots.h */
enum ael_status ael_roots_wipe_below(struct ael_roots *roots, uint32_t number, uint32_t *wiped) {
    *wiped = 0;
    if (!take_out_below(roots, number)) {
        return AEL_OK;
    }
    ael_barrier_heavy_surely();
    AEL_TRY(ael_region_begin(&roots->region, AEL_PAGES_WRITE));
    enum ael_status status = wipe_unused(roots, wiped);
    enum ael_status end = ael_region_end(&roots->region);
    return status != AEL_OK ? status : end;
}

/* -- seals -- */

/* see securememory/roots.h */
enum ael_status ael_roots_begin(struct ael_roots *roots) {
    return ael_region_begin(&roots->region, AEL_PAGES_READ);
}

/* see securememory/roots.h. A signal later in the operation puts no root's round keys on the stack. */
enum ael_status ael_roots_end(struct ael_roots *roots) {
    ael_wipe_vectors();
    return ael_region_end(&roots->region);
}

/* see securememory/roots.h */
bool ael_roots_are_overwritten(const struct ael_roots *roots) {
    return is_overwritten(roots);
}

/* see securememory/roots.h */
uint32_t ael_roots_seal(
    const struct ael_roots *roots,
    uint64_t nonce,
    const struct ael_key_binding *binding,
    struct ael_bytes plain,
    uint8_t *sealed) {
    uint32_t place = atomic_load_explicit(&roots->current, memory_order_acquire);
    ael_seal_make(key_at(roots, place), roots->engine, nonce, binding, plain, sealed);
    return number_at(roots, place);
}

/* see securememory/roots.h. Either this thread finds no key any more, or who wipes finds the number noted. */
enum ael_status ael_roots_open(
    const struct ael_roots *roots,
    uint32_t root,
    uint64_t nonce,
    const struct ael_key_binding *binding,
    struct ael_bytes sealed,
    uint8_t *plain) {
    struct ael_thread_entry *mine = ael_thread_entry_mine();
    enum ael_status status = mine == NULL ? AEL_E_NO_MEMORY : AEL_E_STATE;
    if (mine != NULL) {
        atomic_store_explicit(&mine->root, root, memory_order_relaxed);
        ael_barrier_light();
        uint32_t place = place_of(roots, root);
        if (place != NO_PLACE) {
            status = ael_seal_open(key_at(roots, place), roots->engine, nonce, binding, sealed, plain);
        }
        atomic_store_explicit(&mine->root, 0, memory_order_release);
    }
    if (status != AEL_OK) {
        ael_wipe(plain, sealed.len - AEL_SEAL_TAG_BYTES);
    }
    return status;
}
