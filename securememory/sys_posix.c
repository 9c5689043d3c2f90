/* SPDX-License-Identifier: Apache-2.0 */
#include "securememory/pkru.h"
#include "securememory/sys_seam.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

/* What POSIX does not have answers ENOSYS, but where one of the systems that have it is known to call it so. */
static int is_not_here(void) {
    errno = ENOSYS;
    return -1;
}

static int memfd_secret(unsigned flags) {
    (void)flags;
    return is_not_here();
}

#ifdef INHERIT_NONE
static int set_inherited(void *address, size_t len, bool inherited) {
    return minherit(address, len, inherited ? INHERIT_COPY : INHERIT_NONE);
}
#else
static int set_inherited(void *address, size_t len, bool inherited) {
    (void)address;
    (void)len;
    (void)inherited;
    return is_not_here();
}
#endif

#ifdef INHERIT_ZERO
static int wipe_on_fork(void *address, size_t len) {
    return minherit(address, len, INHERIT_ZERO);
}
#else
static int wipe_on_fork(void *address, size_t len) {
    (void)address;
    (void)len;
    return is_not_here();
}
#endif

#ifdef MADV_NOCORE
static int hide_from_dumps(void *address, size_t len) {
    return madvise(address, len, MADV_NOCORE);
}
#else
static int hide_from_dumps(void *address, size_t len) {
    (void)address;
    (void)len;
    return is_not_here();
}
#endif

/* At most this much at a time. */
enum { ENTROPY_BYTES = 256 };

static ssize_t draw_random(void *out, size_t len, unsigned flags) {
    size_t part = len < ENTROPY_BYTES ? len : ENTROPY_BYTES;
    (void)flags;
    return getentropy(out, part) == 0 ? (ssize_t)part : -1;
}

static int resource_limit(int resource, struct rlimit *limit) {
    return getrlimit(resource, limit);
}

static int set_resource_limit(int resource, const struct rlimit *limit) {
    return setrlimit(resource, limit);
}

static int process_control(enum ael_sys_option option, unsigned long value) {
    (void)option;
    (void)value;
    return is_not_here();
}

static int pkey_number_alloc(unsigned flags, unsigned denied) {
    (void)flags;
    (void)denied;
    return is_not_here();
}

static int pkey_number_free(int key) {
    (void)key;
    return is_not_here();
}

static int pkey_protect(void *address, size_t len, int protection, int key) {
    (void)address;
    (void)len;
    (void)protection;
    (void)key;
    return is_not_here();
}

static bool has_no_pkru(void) {
    return false;
}

static size_t page_bytes(void) {
    return (size_t)sysconf(_SC_PAGESIZE);
}

static const struct ael_sys k_native = {
    .mmap = mmap,
    .munmap = munmap,
    .mprotect = mprotect,
    .mlock = mlock,
    .set_inherited = set_inherited,
    .hide_from_dumps = hide_from_dumps,
    .wipe_on_fork = wipe_on_fork,
    .memfd_secret = memfd_secret,
    .ftruncate = ftruncate,
    .close = close,
    .getrandom = draw_random,
    .getrlimit = resource_limit,
    .setrlimit = set_resource_limit,
    .prctl = process_control,
    .page_bytes = page_bytes,
    .pkey_alloc = pkey_number_alloc,
    .pkey_free = pkey_number_free,
    .pkey_mprotect = pkey_protect,
    .has_pkru = has_no_pkru,
    .pkru_read = ael_pkru_read,
    .pkru_write = ael_pkru_write,
};

/* see securememory/sys_seam.h */
const struct ael_sys *ael_sys_native(void) {
    return &k_native;
}
