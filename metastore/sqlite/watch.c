/* SPDX-License-Identifier: Apache-2.0 */
#include "metastore/sqlite/watch.h"

#include "base/clock.h"

/* see metastore/sqlite/watch.h. 1: behind no zeroed look. */
void ael_sqlite_watch_init(struct ael_sqlite_watch *watch) {
    atomic_init(&watch->doubts, 1);
}

/*
 * see metastore/sqlite/watch.h. Pairs with the load below: who comes after a store has returned sees its
 * doubt, since both went through the pool's mutex in between; so no order of its own is needed.
 */
void ael_sqlite_watch_doubt(struct ael_sqlite_watch *watch) {
    (void)atomic_fetch_add_explicit(&watch->doubts, 1, memory_order_relaxed);
}

static bool is_recent(int64_t then_ns, int64_t now_ns) {
    return now_ns >= then_ns && now_ns - then_ns < AEL_SQLITE_LOOK_GOOD_NS;
}

/* see metastore/sqlite/watch.h. Both are read before the look, so that what comes meanwhile counts. */
bool ael_sqlite_watch_is_due(
    const struct ael_sqlite_watch *watch, struct ael_sqlite_look *last, bool always) {
    uint_fast64_t doubts = atomic_load_explicit(&watch->doubts, memory_order_relaxed);
    int64_t now_ns = ael_clock_last_tick().boot_ns;
    if (!always && last->doubts == doubts && is_recent(last->at_ns, now_ns)) {
        return false;
    }
    *last = (struct ael_sqlite_look){doubts, now_ns};
    return true;
}
