/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/sqlite_slow_disk.h"

#include <poll.h>
#include <sqlite3.h>
#include <stddef.h>

static sqlite3_vfs g_slow;
static sqlite3_vfs *g_real;
static const sqlite3_io_methods *g_real_wal;
static sqlite3_io_methods g_slow_wal;
static int g_flush_ms;

static int slow_sync(sqlite3_file *file, int flags) {
    (void)poll(NULL, 0, g_flush_ms);
    return g_real_wal->xSync(file, flags);
}

static int slow_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out_flags) {
    (void)vfs;
    int result = g_real->xOpen(g_real, name, file, flags, out_flags);
    if (result == SQLITE_OK && (flags & SQLITE_OPEN_WAL) != 0) {
        g_real_wal = file->pMethods;
        g_slow_wal = *g_real_wal;
        g_slow_wal.xSync = slow_sync;
        file->pMethods = &g_slow_wal;
    }
    return result;
}

bool sqlite_slow_disk_begin(int flush_ms) {
    g_real = sqlite3_vfs_find(NULL);
    g_flush_ms = flush_ms;
    g_slow = *g_real;
    g_slow.zName = "slow-disk";
    g_slow.xOpen = slow_open;
    return sqlite3_vfs_register(&g_slow, 1) == SQLITE_OK;
}
