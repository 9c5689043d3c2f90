/* SPDX-License-Identifier: Apache-2.0 */
#include "securememory/roots.h"

#include "base/check.h"
#include "base/corruption.h"
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

static uint32_t place_of(const struct ael_root_names *names, uint32_t number) {
    uint32_t place = 0;
    while (place < AEL_ROOTS_MAX && names->numbers[place] != number) {
        place++;
    }
    return number == 0 ? NO_PLACE : place;
}

/* A free place, or that of the oldest key. */
static uint32_t place_for_another(const struct ael_root_names *names) {
    uint32_t least = 0;
    for (uint32_t place = 1; place < AEL_ROOTS_MAX; place++) {
        if (names->numbers[place] < names->numbers[least]) {
            least = place;
        }
    }
    return least;
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

/* Draws a key into the place and makes it the current one. */
static enum ael_status draw_key(struct ael_roots *roots, uint32_t place) {
    struct ael_seal_key *key = key_at(roots, place);
    AEL_TRY(ael_region_begin(&roots->region, AEL_PAGES_WRITE));
    ael_wipe(key, sizeof *key);
    enum ael_status status = ael_sys_seed(key->raw, AEL_SEAL_KEY_BYTES);
    if (status == AEL_OK && !roots->has_canary) {
        status = write_canary(roots);
    }
    if (status == AEL_OK) {
        ael_seal_key_prepare(key, roots->names.engine);
        roots->names.numbers[place] = atomic_fetch_add(&g_last_number, 1) + 1;
        roots->current = place;
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
    roots->names.engine = ael_seal_choose();
    atomic_init(&roots->next_nonce, 0);
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

/* -- the hand-over to a child -- */

static enum ael_status copy_pages(const struct ael_pages *from, const struct ael_pages *to) {
    AEL_TRY(ael_pages_set_access(from, AEL_PAGES_READ));
    AEL_TRY(ael_pages_set_access(to, AEL_PAGES_WRITE));
    ael_pkey_begin(from->key, false);
    memcpy(to->bytes, from->bytes, AEL_ROOTS_ALL_BYTES);
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
        status = copy_pages(lent, &made.pages);
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
    roots->names = inherited->names;
    roots->current = NO_PLACE;
    atomic_init(&roots->next_nonce, 0);
    inherited->pages = (struct ael_pages){.bytes = NULL};
    enum ael_status status = draw_key(roots, place_for_another(&roots->names));
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
    inherited->names = roots->names;
    if (roots->current != NO_PLACE) {
        inherited->names.numbers[roots->current] = 0; /* nothing was sealed with it: its place is free */
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

/* -- seals -- */

/* see securememory/roots.h */
enum ael_status ael_roots_seal(
    struct ael_roots *roots,
    const struct ael_key_binding *binding,
    struct ael_bytes plain,
    uint8_t *sealed,
    uint32_t *root,
    uint64_t *nonce) {
    *root = roots->names.numbers[roots->current];
    *nonce = atomic_fetch_add_explicit(&roots->next_nonce, 1, memory_order_relaxed);
    enum ael_status status = ael_region_begin(&roots->region, AEL_PAGES_READ);
    if (status == AEL_OK) {
        ael_seal_make(key_at(roots, roots->current), roots->names.engine, *nonce, binding, plain, sealed);
        status = ael_region_end(&roots->region);
    }
    if (status != AEL_OK) {
        ael_wipe(sealed, plain.len + AEL_SEAL_TAG_BYTES);
    }
    return status;
}

/* What did not open: the seal, or the key that it was tried with. */
static enum ael_corruption blame(const struct ael_key_binding *binding, bool root_page) {
    if (root_page) {
        return AEL_CORRUPTION_ROOT_KEYS;
    }
    return binding->kind == AEL_KEY_KIND_SECRET ? AEL_CORRUPTION_SECRET_SEAL : AEL_CORRUPTION_KEY_SEAL;
}

/* see securememory/roots.h */
enum ael_status ael_roots_open(
    struct ael_roots *roots,
    uint32_t root,
    uint64_t nonce,
    const struct ael_key_binding *binding,
    struct ael_bytes sealed,
    uint8_t *plain) {
    uint32_t place = place_of(&roots->names, root);
    enum ael_status status = place == NO_PLACE ? AEL_E_CORRUPTED : AEL_OK;
    if (status == AEL_OK) {
        status = ael_region_begin(&roots->region, AEL_PAGES_READ);
    }
    if (status == AEL_OK) {
        status = ael_seal_open(key_at(roots, place), roots->names.engine, nonce, binding, sealed, plain);
        bool is_corrupted = status == AEL_E_CORRUPTED;
        enum ael_corruption what = blame(binding, is_corrupted && is_overwritten(roots));
        enum ael_status end = ael_region_end(&roots->region);
        status = status != AEL_OK ? status : end;
        if (is_corrupted) {
            ael_corruption_found(what);
        }
    }
    if (status != AEL_OK) {
        ael_wipe(plain, sealed.len - AEL_SEAL_TAG_BYTES);
    }
    return status;
}
