/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages with mmap, mprotect and mlock alone, and what the system offers beyond (securememory/sys_seam.h).
 *
 * Where the system cannot keep pages from children, a child gets them copy-on-write, and its fork handler unmaps them
 * before anything else runs in it. So all mappings stand in a list. A child that is made without the handlers keeps
 * them, as they were at that moment: closed, but for those in use.
 */
#include "base/alloc.h"
#include "base/check.h"
#include "base/fork.h"
#include "base/sync.h"
#include "base/wipe.h"
#include "securememory/pages.h"
#include "securememory/pages_errors.h"
#include "securememory/sys_seam.h"

#include <ael/sys/error.h>

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>

/* Pages and their guards. */
struct mapping {
    uint8_t *start;
    size_t len;
    size_t locked;  /* of these bytes */
    bool kept;      /* from children, by the system */
    bool lent;      /* to children, which let go of the pages themselves */
    uint32_t forks; /* of the process that mapped it */
    struct mapping *next;
};

static struct ael_mutex g_lock = AEL_MUTEX_INIT; /* guards what follows; a fork waits until it is free */
static struct mapping *g_first;
static bool g_is_part; /* of what happens around forks */

static atomic_size_t g_locked_bytes; /* a statistic: relaxed */

/* see securememory/pages.h */
enum ael_status
ael_pages_choose(enum ael_backing wanted, bool lock, struct ael_pages_policy *policy, struct ael_error *err) {
    policy->lock = lock;
    policy->backing = AEL_BACKING_ANONYMOUS;
    if (wanted != AEL_BACKING_MEMFD_SECRET) {
        return AEL_OK;
    }
    return ael_error_set(
        err, lock ? AEL_E_PROTECTION : AEL_E_ARGUMENT, ENOSYS, "securememory",
        "this build uses no memfd_secret (it was made with AEL_PAGES=posix); choose another backing");
}

/* -- the list -- */

/* Behind a fork: of what the parent mapped, this child keeps only the pages that were lent to it. */
static void drop_parents(const struct mapping *mapping) {
    size_t page = ael_sys_page_bytes();
    if (mapping->kept) {
        return; /* not here; another mapping may be at that place already */
    }
    if (!mapping->lent) {
        (void)ael_sys()->munmap(mapping->start, mapping->len);
        return;
    }
    (void)ael_sys()->munmap(mapping->start, page);
    (void)ael_sys()->munmap(mapping->start + mapping->len - page, page);
}

/* see securememory/pages.h. No other thread is here. What the child itself has mapped stays. */
void ael_pages_forked(void) {
    struct mapping **at = &g_first;
    while (*at != NULL) {
        struct mapping *mapping = *at;
        if (mapping->forks == ael_fork_count()) {
            at = &mapping->next;
            continue;
        }
        *at = mapping->next;
        drop_parents(mapping);
        atomic_fetch_sub_explicit(&g_locked_bytes, mapping->locked, memory_order_relaxed);
        ael_free(mapping);
    }
}

static void after_fork_in_child(void *self) {
    (void)self;
    ael_pages_forked();
}

static enum ael_status become_part(void) {
    static struct ael_fork_part part = {.child = after_fork_in_child};
    enum ael_status status = AEL_OK;
    ael_mutex_lock(&g_lock);
    if (!g_is_part) {
        status = ael_fork_add(&part);
        g_is_part = status == AEL_OK;
    }
    ael_mutex_unlock(&g_lock);
    return status;
}

static void add(struct mapping *mapping) {
    ael_mutex_lock(&g_lock);
    atomic_fetch_add_explicit(&g_locked_bytes, mapping->locked, memory_order_relaxed);
    mapping->forks = ael_fork_count();
    mapping->next = g_first;
    g_first = mapping;
    ael_mutex_unlock(&g_lock);
}

/* Pages that the parent lent are in no list. */
static struct mapping **find(const struct ael_pages *pages) {
    struct mapping **at = &g_first;
    while (*at != NULL && (*at)->start + ael_sys_page_bytes() != pages->bytes) {
        at = &(*at)->next;
    }
    return at;
}

/* -- mapping -- */

/* Address space for guard, pages, guard; inaccessible. */
static enum ael_status reserve(struct mapping *mapping, struct ael_error *err) {
    const struct ael_sys *sys = ael_sys();
    void *memory = sys->mmap(NULL, mapping->len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        return ael_pages_judge(err, "mmap", mapping->len);
    }
    mapping->start = memory;
    mapping->kept = sys->set_inherited(memory, mapping->len, false) == 0;
    if (!mapping->kept && errno != ENOSYS) {
        enum ael_status status = ael_pages_judge(err, "minherit", mapping->len);
        (void)sys->munmap(memory, mapping->len);
        return status;
    }
    return AEL_OK;
}

static enum ael_status back(const struct ael_pages *pages, struct ael_error *err) {
    const struct ael_sys *sys = ael_sys();
    if (sys->hide_from_dumps(pages->bytes, pages->len) != 0 && errno != ENOSYS) {
        return ael_pages_judge(err, "madvise", pages->len);
    }
    if (sys->mprotect(pages->bytes, pages->len, PROT_READ | PROT_WRITE) != 0) {
        return ael_pages_judge(err, "mprotect", pages->len);
    }
    if (pages->locked && sys->mlock(pages->bytes, pages->len) != 0) {
        return ael_pages_fail_lock(err, "mlock", pages->len);
    }
    if (ael_pages_set_access(pages, AEL_PAGES_CLOSED) != AEL_OK) {
        return ael_pages_judge(err, "mprotect", pages->len);
    }
    return AEL_OK;
}

/* On failure nothing is mapped. */
static enum ael_status
map(struct mapping *mapping, bool lock, struct ael_pages *pages, struct ael_error *err) {
    size_t page = ael_sys_page_bytes();
    AEL_TRY(reserve(mapping, err));
    *pages = (struct ael_pages){
        .bytes = mapping->start + page,
        .len = mapping->len - 2 * page,
        .locked = lock,
    };
    enum ael_status status = back(pages, err);
    if (status != AEL_OK) {
        (void)ael_sys()->munmap(mapping->start, mapping->len);
        *pages = (struct ael_pages){.bytes = NULL};
    }
    return status;
}

/* see securememory/pages.h */
enum ael_status ael_pages_map(
    size_t len, const struct ael_pages_policy *policy, struct ael_pages *pages, struct ael_error *err) {
    size_t page = ael_sys_page_bytes();
    *pages = (struct ael_pages){.bytes = NULL};
    AEL_TRY(become_part());
    struct mapping *mapping = ael_alloc(sizeof *mapping);
    if (mapping == NULL) {
        return AEL_E_NO_MEMORY;
    }
    *mapping = (struct mapping){.len = (len + page - 1) / page * page + 2 * page};
    enum ael_status status = map(mapping, policy->lock, pages, err);
    if (status != AEL_OK) {
        ael_free(mapping);
        return status;
    }
    mapping->locked = policy->lock ? pages->len : 0;
    add(mapping);
    return AEL_OK;
}

/* -- children -- */

/* see securememory/pages.h. Around a fork, when all that takes the lock stands still: so without it. */
enum ael_status ael_pages_set_inherited(struct ael_pages *pages, bool inherited) {
    struct mapping *mapping = *find(pages);
    if (mapping == NULL ||
        (mapping->kept && ael_sys()->set_inherited(pages->bytes, pages->len, inherited) != 0)) {
        return AEL_E_SYSTEM;
    }
    mapping->lent = inherited;
    pages->lent = pages->lent || inherited;
    return AEL_OK;
}

/* -- unmapping -- */

/* A fork waits for the end of this: no child unmaps what is another's place already. */
static void unmap(const struct ael_pages *pages) {
    ael_mutex_lock(&g_lock);
    struct mapping **at = find(pages);
    struct mapping *mapping = *at;
    if (mapping != NULL) {
        *at = mapping->next;
        (void)ael_sys()->munmap(mapping->start, mapping->len);
        atomic_fetch_sub_explicit(&g_locked_bytes, mapping->locked, memory_order_relaxed);
    }
    ael_mutex_unlock(&g_lock);
    ael_free(mapping);
}

/* see securememory/pages.h. A child's pages are its own copy. */
void ael_pages_unmap(struct ael_pages *pages) {
    if (pages->bytes == NULL) {
        return;
    }
    /* Pages that cannot be opened for wiping are cleared by the kernel before anybody else gets them. */
    if (ael_pages_set_access(pages, AEL_PAGES_WRITE) == AEL_OK) {
        ael_pkey_begin(pages->key, true);
        ael_wipe(pages->bytes, pages->len);
        ael_pkey_end_writing(pages->key);
    }
    unmap(pages);
    *pages = (struct ael_pages){.bytes = NULL};
}

/* see securememory/pages.h */
size_t ael_pages_locked_bytes(void) {
    return atomic_load_explicit(&g_locked_bytes, memory_order_relaxed);
}
