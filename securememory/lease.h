/*
 * securememory/lease.h - pages that stay open for a while after an access, so that the next one costs nothing.
 *
 *     closed --begin: mprotect--> open --a beat without a begin, and nobody inside: mprotect--> closed
 *
 * A begin and an end in open pages are plain stores of the thread's own (base/thread_entry.h): no lock, no shared
 * write, no system call. The warden (securememory/warden.h) closes: it takes the word back, passes the heavy barrier
 * and looks for threads inside; if there is one it gives the word back. A begin that finds no word takes the lock and
 * opens; it waits there for a closing under way, which is one system call and never waits for anybody.
 * Layer: securememory.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_SECUREMEMORY_LEASE_H
#define AEL_SECUREMEMORY_LEASE_H

#include "base/sync.h"
#include "securememory/pages.h"
#include "base/thread_entry.h"

struct ael_warden;

/* What is opened and closed as one; each has its lease. */
enum ael_lease_domain {
    AEL_LEASE_OF_ROOTS,
    AEL_LEASE_OF_SCRATCH,
    AEL_LEASE_OF_GENERATOR,
    AEL_LEASE_OF_HOT_KEYS,
    AEL_LEASE_DOMAINS,
};

_Static_assert((int)AEL_LEASE_DOMAINS <= (int)AEL_THREAD_DOMAINS, "a thread's entry has room for each");

struct ael_lease {
    atomic_int open; /* enum ael_pages_access: what a begin may count on */
    enum ael_lease_domain domain;
    const struct ael_pages *pages;
    struct ael_warden *warden;
    struct ael_mutex lock; /* held for opening and closing; guards what follows */
    int64_t opened_ns;
};

/** Watched by the warden from now on. The pages are closed. @return AEL_OK; AEL_E_SYSTEM. */
AEL_MUST_CHECK enum ael_status ael_lease_init(
    struct ael_lease *lease, enum ael_lease_domain domain, const struct ael_pages *pages, struct ael_warden *warden);

/** Not watched any more; nobody is inside. The pages stay as they are. */
void ael_lease_clear(struct ael_lease *lease);

/** Goes inside: pages that allow the access until the end. @return AEL_OK; AEL_E_SYSTEM; AEL_E_NO_MEMORY. */
AEL_MUST_CHECK enum ael_status ael_lease_begin(struct ael_lease *lease, enum ael_pages_access access);

/** Leaves; by the thread that began. */
void ael_lease_end(struct ael_lease *lease);

/** Takes writing back from pages that are open for it, while others go on reading. By a thread inside, which is the only
 * one that writes. */
void ael_lease_narrow(struct ael_lease *lease);

/** Tells whether the pages are open. Threads: any. */
bool ael_lease_is_open(const struct ael_lease *lease);

/**
 * What the warden does each beat: closes pages that nobody entered since the last one, or that were open for
 * max_open_ns (0: no bound), unless somebody is inside.
 *
 * @return true when they were closed now.
 */
bool ael_lease_beat(struct ael_lease *lease, int64_t now_ns, int64_t max_open_ns);

#endif /* AEL_SECUREMEMORY_LEASE_H */
