/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include "base/system.h"
#include "base/tls.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

static const int64_t k_ns_in_s = 1000000000;
static const int64_t k_at_once_ns = 20000; /* two looks at clocks, when nothing comes between */

enum { LOOKS_AT_CLOCKS = 3 };

/* The release store to g_is_set pairs with the acquire loads below: who sees it set sees the times. */
static atomic_bool g_is_set;
static _Atomic int64_t g_wall_s;
static _Atomic int64_t g_boot_ns;

/*
 * What this thread knows of the boot clock: how far it is ahead of the monotonic clock. That changes when the
 * machine was suspended, and then (or when somebody set it) the wall clock moves against the monotonic clock,
 * too.
 */
static AEL_TLS struct {
    bool known;
    int64_t wall_ahead_ns;
    int64_t boot_ahead_ns;
} t_clocks;

static int64_t in_ns(const struct timespec *time) {
    return time->tv_sec * k_ns_in_s + time->tv_nsec;
}

static int64_t read_ns(clockid_t clock) {
    struct timespec now = {0};
    (void)clock_gettime(clock, &now);
    return in_ns(&now);
}

/* see base/clock.h */
int64_t ael_clock_wall_s(void) {
    if (atomic_load_explicit(&g_is_set, memory_order_acquire)) {
        return atomic_load(&g_wall_s);
    }
    struct timespec now = {0};
    (void)clock_gettime(ael_system_wall_clock, &now);
    return now.tv_sec;
}

/* see base/clock.h */
int64_t ael_clock_boot_ns(void) {
    if (atomic_load_explicit(&g_is_set, memory_order_acquire)) {
        return atomic_load(&g_boot_ns);
    }
    return read_ns(ael_system_boot_clock);
}

/* Looks again when the thread was interrupted between its looks. Rather too far ahead than behind. */
static int64_t boot_ahead_ns(void) {
    int64_t ahead = 0;
    bool at_once = false;
    for (int i = 0; i < LOOKS_AT_CLOCKS && !at_once; i++) {
        int64_t before = read_ns(CLOCK_MONOTONIC);
        ahead = read_ns(ael_system_boot_clock) - before;
        at_once = read_ns(CLOCK_MONOTONIC) - before < k_at_once_ns;
    }
    return ahead;
}

/* see base/clock.h. A tick between the two looks makes the clocks seem moved, which costs a look at the
 * others. */
struct ael_instant ael_clock_last_tick(void) {
    struct timespec wall;
    struct timespec monotonic;
    if (ael_clock_is_set_for_test() || !ael_system_last_tick(&wall, &monotonic)) {
        return (struct ael_instant){ael_clock_boot_ns(), ael_clock_wall_s()};
    }
    int64_t wall_ahead = in_ns(&wall) - in_ns(&monotonic);
    if (!t_clocks.known || wall_ahead != t_clocks.wall_ahead_ns) {
        t_clocks.boot_ahead_ns = boot_ahead_ns();
        t_clocks.wall_ahead_ns = wall_ahead;
        t_clocks.known = true;
    }
    return (struct ael_instant){in_ns(&monotonic) + t_clocks.boot_ahead_ns, wall.tv_sec};
}

/* see base/clock.h */
void ael_clock_set_for_test(int64_t wall_s, int64_t boot_ns) {
    atomic_store(&g_wall_s, wall_s);
    atomic_store(&g_boot_ns, boot_ns);
    atomic_store_explicit(&g_is_set, true, memory_order_release);
}

/* see base/clock.h */
void ael_clock_advance_for_test(int64_t seconds) {
    atomic_fetch_add(&g_wall_s, seconds);
    atomic_fetch_add(&g_boot_ns, seconds * k_ns_in_s);
}

/* see base/clock.h */
void ael_clock_reset_for_test(void) {
    atomic_store_explicit(&g_is_set, false, memory_order_release);
}

/* see base/clock.h */
bool ael_clock_is_set_for_test(void) {
    return atomic_load_explicit(&g_is_set, memory_order_acquire);
}
