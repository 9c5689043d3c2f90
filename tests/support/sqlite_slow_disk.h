/*
 * tests/support/sqlite_slow_disk.h - SQLite on a disk whose flushes take their time, in this process.
 * Layer: tests; public headers of SQLite only.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_SQLITE_SLOW_DISK_H
#define TESTS_SUPPORT_SQLITE_SLOW_DISK_H

#include <stdbool.h>

/** From now on every flush of a WAL takes this long more. For the files that are opened afterwards. */
bool sqlite_slow_disk_begin(int flush_ms);

#endif /* TESTS_SUPPORT_SQLITE_SLOW_DISK_H */
