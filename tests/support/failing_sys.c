/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/failing_sys.h"

#include "securememory/sys_seam.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>

static enum failing_call g_kind;
static unsigned g_nth;
static int g_code;
static bool g_repeat;
static atomic_uint g_seen;
static atomic_uint g_mprotect_calls;
static atomic_size_t g_mapped;

static bool fails(enum failing_call kind) {
    if (g_kind != kind && (g_kind != FAIL_ANY || kind == FAIL_GETRLIMIT)) {
        return false;
    }
    unsigned number = atomic_fetch_add(&g_seen, 1) + 1;
    if (number != g_nth && !(g_repeat && number > g_nth)) {
        return false;
    }
    errno = g_code;
    return true;
}

static void *call_mmap(void *address, size_t len, int protection, int flags, int fd, off_t offset) {
    if (fails(FAIL_MMAP)) {
        return MAP_FAILED;
    }
    void *memory = ael_sys_native()->mmap(address, len, protection, flags, fd, offset);
    if (memory != MAP_FAILED && (flags & MAP_FIXED) == 0) {
        atomic_fetch_add(&g_mapped, len);
    }
    return memory;
}

static int call_munmap(void *address, size_t len) {
    atomic_fetch_sub(&g_mapped, len);
    return ael_sys_native()->munmap(address, len);
}

static int call_mprotect(void *address, size_t len, int protection) {
    atomic_fetch_add(&g_mprotect_calls, 1);
    return fails(FAIL_MPROTECT) ? -1 : ael_sys_native()->mprotect(address, len, protection);
}

static int call_mlock(const void *address, size_t len) {
    return fails(FAIL_MLOCK) ? -1 : ael_sys_native()->mlock(address, len);
}

static int call_madvise(void *address, size_t len, int advice) {
    return fails(FAIL_MADVISE) ? -1 : ael_sys_native()->madvise(address, len, advice);
}

static int call_memfd_secret(unsigned flags) {
    return fails(FAIL_MEMFD_SECRET) ? -1 : ael_sys_native()->memfd_secret(flags);
}

static int call_ftruncate(int fd, off_t len) {
    return fails(FAIL_FTRUNCATE) ? -1 : ael_sys_native()->ftruncate(fd, len);
}

static int call_close(int fd) {
    return ael_sys_native()->close(fd);
}

static ssize_t call_getrandom(void *out, size_t len, unsigned flags) {
    return fails(FAIL_GETRANDOM) ? -1 : ael_sys_native()->getrandom(out, len, flags);
}

static int call_getrlimit(int resource, struct rlimit *limit) {
    return fails(FAIL_GETRLIMIT) ? -1 : ael_sys_native()->getrlimit(resource, limit);
}

static size_t call_page_bytes(void) {
    return ael_sys_native()->page_bytes();
}

static int call_setrlimit(int resource, const struct rlimit *limit) {
    return fails(FAIL_SETRLIMIT) ? -1 : ael_sys_native()->setrlimit(resource, limit);
}

static int call_prctl(int option, unsigned long value) {
    return fails(FAIL_PRCTL) ? -1 : ael_sys_native()->prctl(option, value);
}

static const struct ael_sys k_table = {
    .mmap = call_mmap,
    .munmap = call_munmap,
    .mprotect = call_mprotect,
    .mlock = call_mlock,
    .madvise = call_madvise,
    .memfd_secret = call_memfd_secret,
    .ftruncate = call_ftruncate,
    .close = call_close,
    .getrandom = call_getrandom,
    .getrlimit = call_getrlimit,
    .setrlimit = call_setrlimit,
    .prctl = call_prctl,
    .page_bytes = call_page_bytes,
};

void failing_sys_install(enum failing_call kind, unsigned nth, int code, bool repeat) {
    g_kind = kind;
    g_nth = nth;
    g_code = code;
    g_repeat = repeat;
    atomic_store(&g_seen, 0);
    atomic_store(&g_mprotect_calls, 0);
    atomic_store(&g_mapped, 0);
    ael_sys_set_for_test(&k_table);
}

bool failing_sys_remove(void) {
    ael_sys_set_for_test(NULL);
    return g_nth != 0 && atomic_load(&g_seen) >= g_nth;
}

unsigned failing_sys_mprotect_calls(void) {
    return atomic_load(&g_mprotect_calls);
}

size_t failing_sys_mapped_bytes(void) {
    return atomic_load(&g_mapped);
}
