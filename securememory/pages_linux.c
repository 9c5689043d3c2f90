/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "base/wipe.h"
#include "securememory/pages.h"
#include "securememory/pages_errors.h"
#include "securememory/sys_seam.h"

#include <ael/sys/error.h>

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>

static const char k_component[] = "securememory";

enum { MOST_TRIES = 64 /* for a place that no other thread takes meanwhile */ };

static atomic_size_t g_locked_bytes; /* a statistic: relaxed */

/* Or has it in another form, or does not let this process have it. */
static bool kernel_lacks_memfd_secret(int code) {
    return code == ENOSYS || code == EPERM || code == EACCES || code == EINVAL;
}

/* see securememory/pages.h */
enum ael_status
ael_pages_choose(enum ael_backing wanted, bool lock, struct ael_pages_policy *policy, struct ael_error *err) {
    policy->lock = lock;
    policy->backing = AEL_BACKING_ANONYMOUS;
    if (wanted == AEL_BACKING_ANONYMOUS || (wanted == AEL_BACKING_AUTO && !lock)) {
        return AEL_OK;
    }
    if (!lock) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, k_component,
            "memfd_secret is always locked; choose another backing for no_mlock");
    }
    int fd = ael_sys()->memfd_secret(O_CLOEXEC);
    if (fd >= 0) {
        (void)ael_sys()->close(fd);
        policy->backing = AEL_BACKING_MEMFD_SECRET;
        return AEL_OK;
    }
    if (!kernel_lacks_memfd_secret(errno)) {
        return ael_pages_judge(err, "memfd_secret", 0);
    }
    if (wanted == AEL_BACKING_AUTO) {
        return AEL_OK;
    }
    return ael_error_set(
        err, AEL_E_PROTECTION, errno, k_component,
        "this kernel offers no memfd_secret (Linux 6.5, or 5.14 with secretmem.enable=1); choose another "
        "backing");
}

static enum ael_status fail_to_populate(struct ael_error *err, size_t len) {
    if (errno == EFAULT) {
        return ael_error_set(
            err, AEL_E_NO_MEMORY, EFAULT, k_component,
            "the kernel has no memory for %zu bytes of memfd_secret", len);
    }
    return ael_pages_fail(err, AEL_E_RANDOM, "getrandom");
}

/* Makes the kernel back each page now: a page that it cannot give would be SIGBUS later; through a system
 * call that writes to it, it is an error here. */
static enum ael_status populate(uint8_t *bytes, size_t len, struct ael_error *err) {
    for (size_t at = 0; at < len; at += ael_sys_page_bytes()) {
        if (ael_sys()->getrandom(bytes + at, 1, 0) != 1) {
            return fail_to_populate(err, len);
        }
        bytes[at] = 0;
    }
    return AEL_OK;
}

/* What is reserved: a guard, the pages, a guard. */
struct reservation {
    uint8_t *start;
    size_t len;      /* of the pages */
    bool is_whole;   /* the pages' place is ours, too */
    bool lost_place; /* to another thread */
};

/*
 * Where the limit is reached the kernel takes away what was mapped before and then fails, and another thread may get the
 * place: to unmap it then would be to unmap that thread's memory. So the place is given up first, and taken only if it is
 * free.
 */
static enum ael_status map_over(struct reservation *place, int fd, struct ael_error *err) {
    const struct ael_sys *sys = ael_sys();
    uint8_t *bytes = place->start + ael_sys_page_bytes();
    if (sys->munmap(bytes, place->len) != 0) {
        return ael_pages_judge(err, "munmap", place->len);
    }
    place->is_whole = false;
    int flags = MAP_SHARED | MAP_FIXED_NOREPLACE;
    if (sys->mmap(bytes, place->len, PROT_READ | PROT_WRITE, flags, fd, 0) == MAP_FAILED) {
        place->lost_place = errno == EEXIST;
        return ael_pages_fail_lock(err, "mmap of memfd_secret", place->len);
    }
    place->is_whole = true;
    return AEL_OK;
}

static enum ael_status map_secret_file(struct reservation *place, int fd, struct ael_error *err) {
    const struct ael_sys *sys = ael_sys();
    uint8_t *bytes = place->start + ael_sys_page_bytes();
    size_t len = place->len;
    if (sys->ftruncate(fd, (off_t)len) != 0) {
        return ael_pages_judge(err, "ftruncate of memfd_secret", len);
    }
    AEL_TRY(map_over(place, fd, err));
    if (sys->set_inherited(bytes, len, false) != 0) {
        return ael_pages_judge(err, "madvise DONTFORK", len);
    }
    return populate(bytes, len, err);
}

/* The kernel itself keeps these pages out of dumps. */
static enum ael_status back_with_secret(struct reservation *place, struct ael_error *err) {
    int fd = ael_sys()->memfd_secret(O_CLOEXEC);
    if (fd < 0) {
        return ael_pages_judge(err, "memfd_secret", place->len);
    }
    enum ael_status status = map_secret_file(place, fd, err);
    (void)ael_sys()->close(fd);
    return status;
}

static enum ael_status back_with_anonymous(uint8_t *bytes, size_t len, bool lock, struct ael_error *err) {
    const struct ael_sys *sys = ael_sys();
    if (sys->hide_from_dumps(bytes, len) != 0) {
        return ael_pages_judge(err, "madvise DONTDUMP", len);
    }
    if (sys->mprotect(bytes, len, PROT_READ | PROT_WRITE) != 0) {
        return ael_pages_judge(err, "mprotect", len);
    }
    if (lock && sys->mlock(bytes, len) != 0) {
        return ael_pages_fail_lock(err, "mlock", len);
    }
    return AEL_OK;
}

static enum ael_status back_and_close(
    struct reservation *place,
    const struct ael_pages *pages,
    const struct ael_pages_policy *policy,
    struct ael_error *err) {
    if (policy->backing == AEL_BACKING_MEMFD_SECRET) {
        AEL_TRY(back_with_secret(place, err));
    } else {
        AEL_TRY(back_with_anonymous(pages->bytes, pages->len, policy->lock, err));
    }
    if (ael_pages_set_access(pages, AEL_PAGES_CLOSED) != AEL_OK) {
        return ael_pages_judge(err, "mprotect", pages->len);
    }
    return AEL_OK;
}

/* Address space for guard, pages, guard; inaccessible, and absent in children. */
static enum ael_status reserve(struct reservation *place, size_t pages_len, struct ael_error *err) {
    size_t len = pages_len + 2 * ael_sys_page_bytes();
    void *memory = ael_sys()->mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        return ael_pages_judge(err, "mmap", len);
    }
    if (ael_sys()->set_inherited(memory, len, false) != 0) {
        enum ael_status status = ael_pages_judge(err, "madvise DONTFORK", len);
        (void)ael_sys()->munmap(memory, len);
        return status;
    }
    *place = (struct reservation){.start = memory, .len = pages_len, .is_whole = true};
    return AEL_OK;
}

static void release(const struct reservation *place) {
    size_t page = ael_sys_page_bytes();
    if (place->is_whole) {
        (void)ael_sys()->munmap(place->start, place->len + 2 * page);
    } else {
        (void)ael_sys()->munmap(place->start, page);
        (void)ael_sys()->munmap(place->start + page + place->len, page);
    }
}

static enum ael_status map_once(
    size_t len,
    const struct ael_pages_policy *policy,
    struct ael_pages *made,
    bool *lost_place,
    struct ael_error *err) {
    struct reservation place = {.start = NULL};
    AEL_TRY(reserve(&place, len, err));
    *made = (struct ael_pages){
        .bytes = place.start + ael_sys_page_bytes(),
        .len = len,
        .locked = policy->lock,
        .shared = policy->backing == AEL_BACKING_MEMFD_SECRET,
    };
    enum ael_status status = back_and_close(&place, made, policy, err);
    if (status != AEL_OK) {
        release(&place);
    }
    *lost_place = place.lost_place;
    return status;
}

/* see securememory/pages.h */
enum ael_status ael_pages_map(
    size_t len, const struct ael_pages_policy *policy, struct ael_pages *pages, struct ael_error *err) {
    size_t page = ael_sys_page_bytes();
    size_t rounded = (len + page - 1) / page * page;
    enum ael_status status = AEL_E_SYSTEM;
    bool lost_place = true;
    struct ael_pages made;
    struct ael_error said = {.status = AEL_OK};

    *pages = (struct ael_pages){.bytes = NULL};
    for (int i = 0; lost_place && i < MOST_TRIES; i++) {
        lost_place = false;
        status = map_once(rounded, policy, &made, &lost_place, &said);
    }
    if (status != AEL_OK) {
        return err == NULL ? status : (*err = said).status;
    }
    if (policy->lock) {
        atomic_fetch_add_explicit(&g_locked_bytes, rounded, memory_order_relaxed);
    }
    *pages = made;
    return AEL_OK;
}

/* see securememory/pages.h */
enum ael_status ael_pages_set_inherited(struct ael_pages *pages, bool inherited) {
    if (ael_sys()->set_inherited(pages->bytes, pages->len, inherited) != 0) {
        return AEL_E_SYSTEM;
    }
    pages->lent = pages->lent || inherited;
    return AEL_OK;
}

/* A child that was forked a moment ago may not have copied yet what lies in pages that it shares. */
static bool may_be_wiped(const struct ael_pages *pages) {
    return !(pages->shared && pages->lent);
}

/* see securememory/pages.h */
void ael_pages_unmap(struct ael_pages *pages) {
    if (pages->bytes == NULL) {
        return;
    }
    /* Pages that cannot be opened for wiping are cleared by the kernel before anybody else gets them. */
    if (may_be_wiped(pages) && ael_pages_set_access(pages, AEL_PAGES_WRITE) == AEL_OK) {
        ael_pkey_begin(pages->key, true);
        ael_wipe(pages->bytes, pages->len);
        ael_pkey_end_writing(pages->key);
    }
    size_t page = ael_sys_page_bytes();
    (void)ael_sys()->munmap(pages->bytes - page, pages->len + 2 * page);
    if (pages->locked) {
        atomic_fetch_sub_explicit(&g_locked_bytes, pages->len, memory_order_relaxed);
    }
    *pages = (struct ael_pages){.bytes = NULL};
}

/* see securememory/pages.h */
size_t ael_pages_locked_bytes(void) {
    return atomic_load_explicit(&g_locked_bytes, memory_order_relaxed);
}

/* see securememory/pages.h */
void ael_pages_forked(void) {
    atomic_store(&g_locked_bytes, 0);
}
