/*
 * securememory/pages.h - whole pages of protected memory between two guard pages.
 *
 *     guard (never accessible) | pages | guard
 *
 * The pages are a mapping of their own whose kernel flags differ from the guards', so that changing their
 * protection never splits or merges mappings. They and the guards are absent in children. Closed
 * (inaccessible) at first. Backing: memfd_secret (out of the kernel's own map, of ptrace and of dumps by
 * itself), else anonymous memory that is locked and left out of dumps.
 * Layer: securememory.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_SECUREMEMORY_PAGES_H
#define AEL_SECUREMEMORY_PAGES_H

#include "securememory/pkey.h"

#include <ael/memory.h>

struct ael_pages {
    uint8_t *bytes; /* NULL when there are none */
    size_t len;     /* a multiple of the page size */
    bool locked;
    bool shared; /* with children that they were lent to; others get a copy */
    bool lent;   /* so far, at least once */
    enum ael_pkey key; /* under which they are open in the page tables; AEL_PKEY_NONE: none */
};

struct ael_pages_policy {
    enum ael_backing backing; /* not AEL_BACKING_AUTO */
    bool lock;                /* false: for benchmarks */
};

enum ael_pages_access {
    AEL_PAGES_CLOSED = 0,
    AEL_PAGES_READ = 1,
    AEL_PAGES_WRITE = 2, /* and read */
};

/**
 * Finds the backing to use.
 *
 * @param wanted  what the host asked for. @param lock  without locking there is anonymous memory only.
 * @return AEL_OK; AEL_E_PROTECTION (the kernel lacks it); AEL_E_ARGUMENT (memfd_secret without locking);
 *         AEL_E_NO_MEMORY; AEL_E_SYSTEM. Only AEL_BACKING_AUTO falls back, and only where the kernel lacks it.
 */
AEL_MUST_CHECK enum ael_status
ael_pages_choose(enum ael_backing wanted, bool lock, struct ael_pages_policy *policy, struct ael_error *err);

/**
 * Maps pages for at least len bytes, zeroed and closed.
 *
 * @return AEL_OK; AEL_E_LOCK_LIMIT; AEL_E_NO_MEMORY; AEL_E_PROTECTION (a policy of the machine forbids it);
 *         AEL_E_RANDOM; AEL_E_SYSTEM. err names limit, need and remedy (securememory/pages_errors.h). pages is zeroed on
 *         failure.
 * Threads: any.
 */
AEL_MUST_CHECK enum ael_status ael_pages_map(
    size_t len, const struct ael_pages_policy *policy, struct ael_pages *pages, struct ael_error *err);

/** Changes what may be done with the pages: one system call. Nothing under a key, where each thread does it for itself
 * (ael_pkey_begin). @return AEL_OK; AEL_E_SYSTEM (unchanged). */
AEL_MUST_CHECK enum ael_status
ael_pages_set_access(const struct ael_pages *pages, enum ael_pages_access access);

/** Puts closed pages under a key that was taken: readable and writable for threads with rights on it. AEL_PKEY_NONE
 * takes them from under their key, closed; it is accepted where there is none. @return AEL_OK; AEL_E_SYSTEM
 * (unchanged). */
AEL_MUST_CHECK enum ael_status ael_pages_set_key(struct ael_pages *pages, enum ael_pkey key);

/** Says whether children get the pages (not their guards); they do not, at first. @return AEL_OK; AEL_E_SYSTEM. */
AEL_MUST_CHECK enum ael_status ael_pages_set_inherited(struct ael_pages *pages, bool inherited);

/** In a child: unmaps pages of the parent's that it got; they are not wiped, for the parent may share them. */
void ael_pages_drop_inherited(struct ael_pages *pages);

/** Wipes and unmaps the pages and their guards, and zeroes the struct; none are accepted. Pages that a child may be
 * reading still are not wiped here: the kernel clears them when the last process lets go. */
void ael_pages_unmap(struct ael_pages *pages);

/** Returns the bytes locked by all pages that are mapped now. Threads: any. */
size_t ael_pages_locked_bytes(void);

/** In the fork handler of a child, where no pages are: forgets the parent's. */
void ael_pages_forked(void);

#endif /* AEL_SECUREMEMORY_PAGES_H */
