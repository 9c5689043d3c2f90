/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/failing_sys.h"

#include "securememory/sys_seam.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

static const struct ael_sys k_table;
static const struct ael_sys *g_under; /* gets the calls that do not fail */
static atomic_int g_kind;
static atomic_uint g_nth; /* a warden may be making calls while these change */
static atomic_int g_code;
static atomic_bool g_repeat;
static atomic_uint g_seen;
static pthread_t g_owner;     /* who installed the table */
static atomic_bool g_was_his; /* the call that failed last */
static atomic_uint g_mprotect_calls;
static atomic_size_t g_mapped;

static bool fails(enum failing_call kind) {
    if (g_kind != (int)kind && (g_kind != FAIL_ANY || kind == FAIL_GETRLIMIT)) {
        return false;
    }
    unsigned number = atomic_fetch_add(&g_seen, 1) + 1;
    unsigned nth = g_nth;
    if (number != nth && !(g_repeat && number > nth)) {
        return false;
    }
    atomic_store(&g_was_his, pthread_equal(pthread_self(), g_owner) != 0);
    errno = g_code;
    return true;
}

static void *call_mmap(void *address, size_t len, int protection, int flags, int fd, off_t offset) {
    if (fails(FAIL_MMAP)) {
        return MAP_FAILED;
    }
    void *memory = g_under->mmap(address, len, protection, flags, fd, offset);
    if (memory != MAP_FAILED && (flags & MAP_FIXED) == 0) {
        atomic_fetch_add(&g_mapped, len);
    }
    return memory;
}

static int call_munmap(void *address, size_t len) {
    atomic_fetch_sub(&g_mapped, len);
    return g_under->munmap(address, len);
}

static int call_mprotect(void *address, size_t len, int protection) {
    atomic_fetch_add(&g_mprotect_calls, 1);
    return fails(FAIL_MPROTECT) ? -1 : g_under->mprotect(address, len, protection);
}

static int call_mlock(const void *address, size_t len) {
    return fails(FAIL_MLOCK) ? -1 : g_under->mlock(address, len);
}

static int call_set_inherited(void *address, size_t len, bool inherited) {
    return fails(FAIL_MADVISE) ? -1 : g_under->set_inherited(address, len, inherited);
}

static int call_hide_from_dumps(void *address, size_t len) {
    return fails(FAIL_MADVISE) ? -1 : g_under->hide_from_dumps(address, len);
}

static int call_wipe_on_fork(void *address, size_t len) {
    return fails(FAIL_MADVISE) ? -1 : g_under->wipe_on_fork(address, len);
}

static int call_memfd_secret(unsigned flags) {
    return fails(FAIL_MEMFD_SECRET) ? -1 : g_under->memfd_secret(flags);
}

static int call_ftruncate(int fd, off_t len) {
    return fails(FAIL_FTRUNCATE) ? -1 : g_under->ftruncate(fd, len);
}

static int call_close(int fd) {
    return g_under->close(fd);
}

static ssize_t call_getrandom(void *out, size_t len, unsigned flags) {
    return fails(FAIL_GETRANDOM) ? -1 : g_under->getrandom(out, len, flags);
}

static int call_getrlimit(int resource, struct rlimit *limit) {
    return fails(FAIL_GETRLIMIT) ? -1 : g_under->getrlimit(resource, limit);
}

static size_t call_page_bytes(void) {
    return g_under->page_bytes();
}

static int call_pkey_alloc(unsigned flags, unsigned denied) {
    return fails(FAIL_PKEY_ALLOC) ? -1 : g_under->pkey_alloc(flags, denied);
}

static int call_pkey_free(int key) {
    return g_under->pkey_free(key);
}

static int call_pkey_mprotect(void *address, size_t len, int protection, int key) {
    return fails(FAIL_PKEY_MPROTECT) ? -1 : g_under->pkey_mprotect(address, len, protection, key);
}

static bool call_has_pkru(void) {
    return g_under->has_pkru();
}

static uint32_t call_pkru_read(void) {
    return g_under->pkru_read();
}

static void call_pkru_write(uint32_t rights) {
    g_under->pkru_write(rights);
}

static int call_setrlimit(int resource, const struct rlimit *limit) {
    return fails(FAIL_SETRLIMIT) ? -1 : g_under->setrlimit(resource, limit);
}

static int call_prctl(enum ael_sys_option option, unsigned long value) {
    return fails(FAIL_PRCTL) ? -1 : g_under->prctl(option, value);
}

static const struct ael_sys k_table = {
    .mmap = call_mmap,
    .munmap = call_munmap,
    .mprotect = call_mprotect,
    .mlock = call_mlock,
    .set_inherited = call_set_inherited,
    .hide_from_dumps = call_hide_from_dumps,
    .wipe_on_fork = call_wipe_on_fork,
    .memfd_secret = call_memfd_secret,
    .ftruncate = call_ftruncate,
    .close = call_close,
    .getrandom = call_getrandom,
    .getrlimit = call_getrlimit,
    .setrlimit = call_setrlimit,
    .prctl = call_prctl,
    .page_bytes = call_page_bytes,
    .pkey_alloc = call_pkey_alloc,
    .pkey_free = call_pkey_free,
    .pkey_mprotect = call_pkey_mprotect,
    .has_pkru = call_has_pkru,
    .pkru_read = call_pkru_read,
    .pkru_write = call_pkru_write,
};

void failing_sys_install(enum failing_call kind, unsigned nth, int code, bool repeat) {
    if (ael_sys() != &k_table) {
        g_under = ael_sys();
    }
    g_owner = pthread_self();
    atomic_store(&g_was_his, false);
    g_kind = (int)kind;
    g_nth = nth;
    g_code = code;
    g_repeat = repeat;
    atomic_store(&g_seen, 0);
    atomic_store(&g_mprotect_calls, 0);
    atomic_store(&g_mapped, 0);
    ael_sys_set_for_test(&k_table);
}

bool failing_sys_disarm(void) {
    bool failed = g_nth != 0 && atomic_load(&g_seen) >= g_nth;
    g_nth = 0;
    g_repeat = false;
    return failed;
}

bool failing_sys_remove(void) {
    ael_sys_set_for_test(g_under);
    return failing_sys_disarm();
}

bool failing_sys_was_mine(void) {
    return atomic_load(&g_was_his);
}

unsigned failing_sys_mprotect_calls(void) {
    return atomic_load(&g_mprotect_calls);
}

size_t failing_sys_mapped_bytes(void) {
    return atomic_load(&g_mapped);
}
