/*
 * securememory/region.h - protected pages that are open while somebody uses them.
 *
 * At `strict`
 *
 *     closed --first begin: mprotect--> open(n users) --last end: mprotect--> closed
 *
 * Users are counted in one atomic word. Joining and leaving an open region is one compare-and-swap, without
 * lock and system call; the two transitions run under a mutex. At `leased` see securememory/lease.h, at `pkey`
 * securememory/pkey.h (open for the threads that use them, each for itself); at `open` the pages are always open.
 * Layer: securememory.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_SECUREMEMORY_REGION_H
#define AEL_SECUREMEMORY_REGION_H

#include "base/sync.h"
#include "securememory/lease.h"
#include "securememory/pages.h"

#include <stdatomic.h>

/* How the library's own regions are made and closed. */
struct ael_region_policy {
    struct ael_pages_policy pages;
    enum ael_protection_level level;
    struct ael_warden *warden; /* for `leased` */
};

struct ael_region {
    struct ael_pages pages;
    enum ael_protection_level level;
    struct ael_mutex lock;      /* at strict: held for transitions */
    atomic_uint_least32_t word; /* at strict: users, and the top bit while the pages are writable */
    struct ael_lease lease;     /* at leased */
};

/** Maps the pages. @return as ael_pages_map; AEL_E_SYSTEM. Nothing to clear after a failure. */
AEL_MUST_CHECK enum ael_status ael_region_init(
    struct ael_region *region,
    enum ael_lease_domain domain,
    size_t len,
    const struct ael_region_policy *policy,
    struct ael_error *err);

/** As ael_region_init, over pages that are mapped and closed; after a failure they are the caller's still. */
AEL_MUST_CHECK enum ael_status ael_region_wrap(
    struct ael_region *region,
    enum ael_lease_domain domain,
    const struct ael_pages *pages,
    const struct ael_region_policy *policy);

/** The opposite: the pages are the caller's, open or closed or under their key; nobody uses the region any more. */
struct ael_pages ael_region_unwrap(struct ael_region *region);

/** Wipes and unmaps; nobody uses the region any more. A zeroed struct is accepted. */
void ael_region_clear(struct ael_region *region);

/**
 * Becomes a user: the pages are readable, with AEL_PAGES_WRITE also writable (then for all its users; at `pkey` for all uses of this thread), until
 * the end, which is the same thread's.
 *
 * @return AEL_OK; AEL_E_SYSTEM; AEL_E_NO_MEMORY (not a user). Threads: any.
 */
AEL_MUST_CHECK enum ael_status ael_region_begin(struct ael_region *region, enum ael_pages_access access);

/** At `leased`: has pages that this user writes to be readable alone from now on; nothing at other levels. Nobody else
 * writes to them. */
void ael_region_narrow(struct ael_region *region);

/** Ceases to be a user. @return AEL_OK; AEL_E_SYSTEM (not a user any more, but the pages stayed open).
 * Threads: any. */
AEL_MUST_CHECK enum ael_status ael_region_end(struct ael_region *region);

#endif /* AEL_SECUREMEMORY_REGION_H */
