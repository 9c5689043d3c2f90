/*
 * metastore/sqlite/watch.h - when a connection looks whether its file is still the one at the path.
 *
 * A file that was deleted or replaced under a connection would swallow what is stored, so whoever writes, and
 * whoever needs the present state, looks each time. For the rest a look is good for AEL_SQLITE_LOOK_GOOD_NS:
 * it is a system call, a quarter of what finding a row takes.
 *
 *     a look counts  until the interval is over,
 *                    until anybody of the pool wrote, failed to, or found the file moved,
 *                    never on a connection that has not looked yet
 *
 * Layer: metastore (libael-sqlite). Threads: a watch any; a look one at a time.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_METASTORE_SQLITE_WATCH_H
#define AEL_METASTORE_SQLITE_WATCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* By a clock that is up to a tick late: 20 ms at most have gone by where the kernel ticks at 100 Hz. */
enum { AEL_SQLITE_LOOK_GOOD_NS = 10000000 };

/* A pool's. */
struct ael_sqlite_watch {
    atomic_uint_fast64_t doubts; /* looks of before the last one count no more */
};

/* A connection's last look; zeroed: none. */
struct ael_sqlite_look {
    uint_fast64_t doubts; /* of the watch, as it was before */
    int64_t at_ns;        /* on the boot clock */
};

/** To be called before the watch is used. */
void ael_sqlite_watch_init(struct ael_sqlite_watch *watch);

/** From now on no look that was taken counts, of any connection. */
void ael_sqlite_watch_doubt(struct ael_sqlite_watch *watch);

/**
 * Tells whether a connection is to look, and notes that it does: to be called right before.
 *
 * @param always  true: whatever the last look says.
 */
bool ael_sqlite_watch_is_due(const struct ael_sqlite_watch *watch, struct ael_sqlite_look *last, bool always);

#endif /* AEL_METASTORE_SQLITE_WATCH_H */
