/* SPDX-License-Identifier: Apache-2.0 */
#include "securememory/region.h"

#include "base/check.h"

#include <string.h>

static const uint32_t k_writable = UINT32_C(1) << 31;
static const uint32_t k_users = (UINT32_C(1) << 31) - 1;

static enum ael_pkey key_of(enum ael_lease_domain domain) {
    return domain == AEL_LEASE_OF_ROOTS ? AEL_PKEY_ROOTS : AEL_PKEY_WORK;
}

static enum ael_status
prepare(struct ael_region *region, enum ael_lease_domain domain, const struct ael_region_policy *policy) {
    switch (policy->level) {
    case AEL_PROTECTION_LEASED:
        return ael_lease_init(&region->lease, domain, &region->pages, policy->warden);
    case AEL_PROTECTION_OPEN:
        return ael_pages_set_access(&region->pages, AEL_PAGES_WRITE);
    case AEL_PROTECTION_PKEY:
        return ael_pages_set_key(&region->pages, key_of(domain));
    case AEL_PROTECTION_STRICT:
    default:
        return ael_mutex_init(&region->lock);
    }
}

/* see securememory/region.h */
enum ael_status ael_region_wrap(
    struct ael_region *region,
    enum ael_lease_domain domain,
    const struct ael_pages *pages,
    const struct ael_region_policy *policy) {
    memset(region, 0, sizeof *region);
    region->level = policy->level;
    region->pages = *pages;
    enum ael_status status = prepare(region, domain, policy);
    if (status != AEL_OK) {
        memset(region, 0, sizeof *region);
    }
    return status;
}

/* see securememory/region.h */
enum ael_status ael_region_init(
    struct ael_region *region,
    enum ael_lease_domain domain,
    size_t len,
    const struct ael_region_policy *policy,
    struct ael_error *err) {
    struct ael_pages pages;
    memset(region, 0, sizeof *region);
    AEL_TRY(ael_pages_map(len, &policy->pages, &pages, err));
    enum ael_status status = ael_region_wrap(region, domain, &pages, policy);
    if (status != AEL_OK) {
        ael_pages_unmap(&pages);
    }
    return status;
}

/* see securememory/region.h */
struct ael_pages ael_region_unwrap(struct ael_region *region) {
    struct ael_pages pages = region->pages;
    if (region->level == AEL_PROTECTION_LEASED) {
        ael_lease_clear(&region->lease);
    } else if (region->level == AEL_PROTECTION_STRICT) {
        ael_mutex_clear(&region->lock);
    }
    memset(region, 0, sizeof *region);
    return pages;
}

/* see securememory/region.h */
void ael_region_clear(struct ael_region *region) {
    if (region->pages.bytes != NULL) {
        struct ael_pages pages = ael_region_unwrap(region);
        ael_pages_unmap(&pages);
    }
}

/* Joins a region that others hold open widely enough. Acquire pairs with the release in open_first: who sees
 * the count also sees the pages opened. */
static bool join(struct ael_region *region, enum ael_pages_access access) {
    uint32_t word = atomic_load_explicit(&region->word, memory_order_relaxed);
    while ((word & k_users) != 0 && (access != AEL_PAGES_WRITE || (word & k_writable) != 0)) {
        if (atomic_compare_exchange_weak_explicit(
                &region->word, &word, word + 1, memory_order_acquire, memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

/* Under the lock: opens the pages, or opens them wider, and counts the caller. */
static enum ael_status open_first(struct ael_region *region, enum ael_pages_access access) {
    AEL_TRY(ael_pages_set_access(&region->pages, access));
    if (access == AEL_PAGES_WRITE) {
        atomic_fetch_or_explicit(&region->word, k_writable, memory_order_relaxed);
    }
    atomic_fetch_add_explicit(&region->word, 1, memory_order_release);
    return AEL_OK;
}

static enum ael_status begin_strict(struct ael_region *region, enum ael_pages_access access) {
    if (join(region, access)) {
        return AEL_OK;
    }
    ael_mutex_lock(&region->lock);
    enum ael_status status = join(region, access) ? AEL_OK : open_first(region, access);
    ael_mutex_unlock(&region->lock);
    return status;
}

/* see securememory/region.h */
enum ael_status ael_region_begin(struct ael_region *region, enum ael_pages_access access) {
    if (region->level == AEL_PROTECTION_LEASED) {
        return ael_lease_begin(&region->lease, access);
    }
    if (region->level == AEL_PROTECTION_PKEY) {
        ael_pkey_begin(region->pages.key, access == AEL_PAGES_WRITE);
        return AEL_OK;
    }
    return region->level == AEL_PROTECTION_OPEN ? AEL_OK : begin_strict(region, access);
}

/* see securememory/region.h */
void ael_region_narrow(struct ael_region *region) {
    if (region->level == AEL_PROTECTION_LEASED) {
        ael_lease_narrow(&region->lease);
    }
}

/* Leaves while others stay. Release: the user's work comes before the last one's closing. */
static bool leave(struct ael_region *region) {
    uint32_t word = atomic_load_explicit(&region->word, memory_order_relaxed);
    while ((word & k_users) > 1) {
        if (atomic_compare_exchange_weak_explicit(
                &region->word, &word, word - 1, memory_order_release, memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

/* Under the lock, so nobody becomes the first user meanwhile; others may still have joined. The writable bit
 * falls together with the count, or a joiner could count itself into pages that are closing. */
static enum ael_status close_last(struct ael_region *region) {
    uint32_t word = atomic_load_explicit(&region->word, memory_order_relaxed);
    uint32_t next = 0;
    do {
        next = (word & k_users) > 1 ? word - 1 : 0;
    } while (!atomic_compare_exchange_weak_explicit(
        &region->word, &word, next, memory_order_acq_rel, memory_order_relaxed));
    return next == 0 ? ael_pages_set_access(&region->pages, AEL_PAGES_CLOSED) : AEL_OK;
}

static enum ael_status end_strict(struct ael_region *region) {
    if (leave(region)) {
        return AEL_OK;
    }
    ael_mutex_lock(&region->lock);
    enum ael_status status = close_last(region);
    ael_mutex_unlock(&region->lock);
    return status;
}

/* see securememory/region.h */
enum ael_status ael_region_end(struct ael_region *region) {
    if (region->level == AEL_PROTECTION_LEASED) {
        ael_lease_end(&region->lease);
        return AEL_OK;
    }
    if (region->level == AEL_PROTECTION_PKEY) {
        ael_pkey_end(region->pages.key);
        return AEL_OK;
    }
    return region->level == AEL_PROTECTION_OPEN ? AEL_OK : end_strict(region);
}
