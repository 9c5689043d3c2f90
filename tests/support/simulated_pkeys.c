/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/simulated_pkeys.h"

#include "securememory/sys_seam.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

enum { KEYS = 16, AREAS = 256 };

static const uint32_t k_at_start = 0x55555554; /* access denied under each key but number 0 */

static struct ael_sys g_table;
static int g_count;
static atomic_bool g_taken[KEYS];
static atomic_uint g_writes;
static _Thread_local uint32_t t_rights = 0x55555554;

/* What is under a key: the last call for an address wins. The last calls are kept. */
static struct {
    uintptr_t start;
    size_t len;
    int key;
} g_areas[AREAS];
static size_t g_area_count;

static int play_alloc(unsigned flags, unsigned denied) {
    (void)flags;
    for (int key = 1; key <= g_count; key++) {
        if (!atomic_exchange(&g_taken[key], true)) {
            t_rights = (t_rights & ~(UINT32_C(3) << (2 * key))) | (uint32_t)denied << (2 * key);
            return key;
        }
    }
    errno = ENOSPC;
    return -1;
}

static int play_free(int key) {
    if (key <= 0 || key >= KEYS || !atomic_exchange(&g_taken[key], false)) {
        errno = EINVAL;
        return -1;
    }
    return 0;
}

static int play_mprotect(void *address, size_t len, int protection, int key) {
    if (key < 0 || key >= KEYS || (key != 0 && !atomic_load(&g_taken[key]))) {
        errno = EINVAL;
        return -1;
    }
    g_areas[g_area_count % AREAS].start = (uintptr_t)address;
    g_areas[g_area_count % AREAS].len = len;
    g_areas[g_area_count++ % AREAS].key = key;
    return ael_sys_native()->mprotect(address, len, protection);
}

static bool play_has_pkru(void) {
    return true;
}

static uint32_t play_read(void) {
    return t_rights;
}

static void play_write(uint32_t rights) {
    atomic_fetch_add(&g_writes, 1);
    t_rights = rights;
}

void simulated_pkeys_install(int count) {
    g_count = count;
    g_area_count = 0;
    atomic_store(&g_writes, 0);
    for (int key = 0; key < KEYS; key++) {
        atomic_store(&g_taken[key], false);
    }
    t_rights = k_at_start;
    g_table = *ael_sys_native();
    g_table.pkey_alloc = play_alloc;
    g_table.pkey_free = play_free;
    g_table.pkey_mprotect = play_mprotect;
    g_table.has_pkru = play_has_pkru;
    g_table.pkru_read = play_read;
    g_table.pkru_write = play_write;
    ael_sys_set_for_test(&g_table);
}

void simulated_pkeys_remove(void) {
    ael_sys_set_for_test(NULL);
}

int simulated_pkeys_in_use(void) {
    int count = 0;
    for (int key = 1; key < KEYS; key++) {
        count += atomic_load(&g_taken[key]);
    }
    return count;
}

unsigned simulated_pkeys_writes(void) {
    return atomic_load(&g_writes);
}

int simulated_pkeys_key_of(const void *address) {
    int key = 0;
    for (size_t i = g_area_count > AREAS ? g_area_count - AREAS : 0; i < g_area_count; i++) {
        if ((uintptr_t)address - g_areas[i % AREAS].start < g_areas[i % AREAS].len) {
            key = g_areas[i % AREAS].key;
        }
    }
    return key;
}

uint32_t simulated_pkeys_rights(void) {
    return t_rights;
}

void simulated_pkeys_set_rights(uint32_t rights) {
    t_rights = rights;
}
