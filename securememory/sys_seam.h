/*
 * securememory/sys_seam.h - the system calls of this folder behind one table, so that tests can fail each in
 * turn.
 *
 * Every member has the arguments, the result and the errno of its system call; what systems do by different calls has a
 * name of its own, and is ENOSYS where there is none. sys_linux.c, or sys_posix.c; the build's AEL_PAGES says which.
 * Layer: securememory.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_SECUREMEMORY_SYS_SEAM_H
#define AEL_SECUREMEMORY_SYS_SEAM_H

#include <ael/status.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

/* Of prctl(2). */
enum ael_sys_option {
    AEL_SYS_GET_DUMPABLE,
    AEL_SYS_SET_DUMPABLE,
    AEL_SYS_GET_NO_NEW_PRIVS,
    AEL_SYS_SET_NO_NEW_PRIVS,
};

struct ael_sys {
    void *(*mmap)(void *address, size_t len, int protection, int flags, int fd, off_t offset);
    int (*munmap)(void *address, size_t len);
    int (*mprotect)(void *address, size_t len, int protection);
    int (*mlock)(const void *address, size_t len);
    int (*set_inherited)(void *address, size_t len, bool inherited); /* whether children get the pages */
    int (*hide_from_dumps)(void *address, size_t len);
    int (*wipe_on_fork)(void *address, size_t len); /* children read zeros there */
    int (*memfd_secret)(unsigned flags);
    int (*ftruncate)(int fd, off_t len);
    int (*close)(int fd);
    ssize_t (*getrandom)(void *out, size_t len, unsigned flags);
    int (*getrlimit)(int resource, struct rlimit *limit);
    int (*setrlimit)(int resource, const struct rlimit *limit);
    int (*prctl)(enum ael_sys_option option, unsigned long value);
    size_t (*page_bytes)(void); /* a table for tests may answer a multiple of the true size */
    int (*pkey_alloc)(unsigned flags, unsigned denied);
    int (*pkey_free)(int key);
    int (*pkey_mprotect)(void *address, size_t len, int protection, int key);
    bool (*has_pkru)(void); /* as securememory/pkru.h, and so the next two */
    uint32_t (*pkru_read)(void);
    void (*pkru_write)(uint32_t rights);
};

/** Returns the table in force. Threads: any. */
const struct ael_sys *ael_sys(void);

/** For tests: puts another table in force; NULL = the system's own. Threads: while nothing else runs. */
void ael_sys_set_for_test(const struct ael_sys *table);

/** Returns the table that calls the system, for tests that pass most calls on. */
const struct ael_sys *ael_sys_native(void);

/** Returns the size of a page. Threads: any. */
size_t ael_sys_page_bytes(void);

/**
 * Fills out, in protected memory, with random bytes of the kernel's.
 *
 * @return AEL_OK; AEL_E_RANDOM (out zeroed). Threads: any.
 */
AEL_MUST_CHECK enum ael_status ael_sys_seed(uint8_t *out, size_t len);

#endif /* AEL_SECUREMEMORY_SYS_SEAM_H */
