/* SPDX-License-Identifier: Apache-2.0 */
#include "securememory/lease.h"

#include "base/check.h"
#include "base/hooks.h"
#include "base/barrier.h"
#include "securememory/warden.h"

#include <string.h>

/* see securememory/lease.h */
enum ael_status ael_lease_init(
    struct ael_lease *lease,
    enum ael_lease_domain domain,
    const struct ael_pages *pages,
    struct ael_warden *warden) {
    memset(lease, 0, sizeof *lease);
    AEL_TRY(ael_mutex_init(&lease->lock));
    atomic_init(&lease->open, AEL_PAGES_CLOSED);
    lease->domain = domain;
    lease->pages = pages;
    lease->warden = warden;
    ael_warden_watch(warden, lease);
    return AEL_OK;
}

/* see securememory/lease.h */
void ael_lease_clear(struct ael_lease *lease) {
    ael_warden_forget(lease->warden, lease);
    ael_mutex_clear(&lease->lock);
}

/* see securememory/lease.h */
bool ael_lease_is_open(const struct ael_lease *lease) {
    return atomic_load(&lease->open) != AEL_PAGES_CLOSED;
}

/* Under the lock. Release: who sees the word sees the pages opened. */
static enum ael_status open_pages(struct ael_lease *lease, enum ael_pages_access access) {
    AEL_TRY(ael_pages_set_access(lease->pages, access));
    if (!ael_lease_is_open(lease)) {
        lease->opened_ns = ael_warden_now_ns();
        ael_warden_count_opening(lease->warden);
    }
    atomic_store(&lease->open, (int)access);
    return AEL_OK;
}

/* The caller is counted as inside already, so what it opens stays open until it leaves. */
static enum ael_status begin_slowly(struct ael_lease *lease, enum ael_pages_access access) {
    enum ael_status status = AEL_OK;
    ael_mutex_lock(&lease->lock);
    if (atomic_load(&lease->open) < (int)access) {
        status = open_pages(lease, access);
    }
    ael_mutex_unlock(&lease->lock);
    if (status == AEL_OK) {
        ael_warden_wake(lease->warden);
    }
    return status;
}

/* see securememory/lease.h */
enum ael_status ael_lease_begin(struct ael_lease *lease, enum ael_pages_access access) {
    struct ael_thread_entry *mine = ael_thread_entry_mine();
    if (mine == NULL) {
        return AEL_E_NO_MEMORY;
    }
    ael_thread_enter(mine, lease->domain);
    ael_barrier_light();
    if (atomic_load_explicit(&lease->open, memory_order_acquire) >= (int)access) {
        return AEL_OK;
    }
    enum ael_status status = begin_slowly(lease, access);
    if (status != AEL_OK) {
        ael_thread_leave(mine, lease->domain);
    }
    return status;
}

/* see securememory/lease.h */
void ael_lease_end(struct ael_lease *lease) {
    ael_thread_leave(ael_thread_entry_here, lease->domain);
}

/* see securememory/lease.h. Where the system refuses, they stay writable until they are closed. */
void ael_lease_narrow(struct ael_lease *lease) {
    ael_mutex_lock(&lease->lock);
    if (atomic_load(&lease->open) == AEL_PAGES_WRITE && ael_pages_set_access(lease->pages, AEL_PAGES_READ) == AEL_OK) {
        atomic_store(&lease->open, AEL_PAGES_READ);
    }
    ael_mutex_unlock(&lease->lock);
}

/* Under the lock. Whoever enters behind the barrier finds no word and waits for the lock; whoever entered before it is
 * seen here. */
static bool close_unless_used(struct ael_lease *lease) {
    int was = atomic_load_explicit(&lease->open, memory_order_relaxed);
    atomic_store_explicit(&lease->open, AEL_PAGES_CLOSED, memory_order_relaxed);
    ael_barrier_heavy_surely();
    if (!ael_threads_are_inside(lease->domain)) {
        if (ael_pages_set_access(lease->pages, AEL_PAGES_CLOSED) == AEL_OK) {
            return true;
        }
        ael_warden_count_failure(lease->warden);
    }
    atomic_store_explicit(&lease->open, was, memory_order_release);
    return false;
}

/* see securememory/lease.h. The look before the lock spares those inside the detour over it. */
bool ael_lease_beat(struct ael_lease *lease, int64_t now_ns, int64_t max_open_ns) {
    if (!ael_lease_is_open(lease)) {
        return false;
    }
    bool used = ael_threads_take_used(lease->domain);
    ael_mutex_lock(&lease->lock);
    bool overdue = max_open_ns != 0 && now_ns - lease->opened_ns >= max_open_ns;
    bool closed = (!used || overdue) && !ael_threads_are_inside(lease->domain) && close_unless_used(lease);
    ael_mutex_unlock(&lease->lock);
    return closed;
}
