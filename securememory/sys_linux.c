/* SPDX-License-Identifier: Apache-2.0 */
#include "securememory/pkru.h"
#include "securememory/sys_seam.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447 /* one number on all architectures; headers older than Linux 5.14 lack it */
#endif

static int memfd_secret(unsigned flags) {
    return (int)syscall(SYS_memfd_secret, flags);
}

/* Not the function of libc: the sanitizers replace that by one that does nothing. */
static int lock_memory(const void *address, size_t len) {
    return (int)syscall(SYS_mlock, address, len);
}

#if defined(__GLIBC__)
typedef __rlimit_resource_t resource_name; /* an enumeration in glibc alone */
#else
typedef int resource_name;
#endif

static int resource_limit(int resource, struct rlimit *limit) {
    return getrlimit((resource_name)resource, limit);
}

static int set_resource_limit(int resource, const struct rlimit *limit) {
    return setrlimit((resource_name)resource, limit);
}

static int process_control(enum ael_sys_option option, unsigned long value) {
    static const int k_options[] = {
        [AEL_SYS_GET_DUMPABLE] = PR_GET_DUMPABLE,
        [AEL_SYS_SET_DUMPABLE] = PR_SET_DUMPABLE,
        [AEL_SYS_GET_NO_NEW_PRIVS] = PR_GET_NO_NEW_PRIVS,
        [AEL_SYS_SET_NO_NEW_PRIVS] = PR_SET_NO_NEW_PRIVS,
    };
    return prctl(k_options[option], value, 0UL, 0UL, 0UL);
}

/* Both as bare system calls: libc's are cancellation points, and a thread cancelled there would keep our locks. libc's
 * getrandom may also draw from a state of its own in ordinary memory. */
static int close_file(int fd) {
    return (int)syscall(SYS_close, fd);
}

static ssize_t draw_random(void *out, size_t len, unsigned flags) {
    return (ssize_t)syscall(SYS_getrandom, out, len, flags);
}

static int set_inherited(void *address, size_t len, bool inherited) {
    return madvise(address, len, inherited ? MADV_DOFORK : MADV_DONTFORK);
}

static int hide_from_dumps(void *address, size_t len) {
    return madvise(address, len, MADV_DONTDUMP);
}

static int wipe_on_fork(void *address, size_t len) {
    return madvise(address, len, MADV_WIPEONFORK);
}

static size_t page_bytes(void) {
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* Not libc's, which has them with some C libraries only, and where pkey_mprotect may be another thing. */
static int pkey_number_alloc(unsigned flags, unsigned denied) {
    return (int)syscall(SYS_pkey_alloc, flags, denied);
}

static int pkey_number_free(int key) {
    return (int)syscall(SYS_pkey_free, key);
}

static int pkey_protect(void *address, size_t len, int protection, int key) {
    return (int)syscall(SYS_pkey_mprotect, address, len, protection, key);
}

static const struct ael_sys k_native = {
    .mmap = mmap,
    .munmap = munmap,
    .mprotect = mprotect,
    .mlock = lock_memory,
    .set_inherited = set_inherited,
    .hide_from_dumps = hide_from_dumps,
    .wipe_on_fork = wipe_on_fork,
    .memfd_secret = memfd_secret,
    .ftruncate = ftruncate,
    .close = close_file,
    .getrandom = draw_random,
    .getrlimit = resource_limit,
    .setrlimit = set_resource_limit,
    .prctl = process_control,
    .page_bytes = page_bytes,
    .pkey_alloc = pkey_number_alloc,
    .pkey_free = pkey_number_free,
    .pkey_mprotect = pkey_protect,
    .has_pkru = ael_pkru_is_there,
    .pkru_read = ael_pkru_read,
    .pkru_write = ael_pkru_write,
};

/* see securememory/sys_seam.h */
const struct ael_sys *ael_sys_native(void) {
    return &k_native;
}
