/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include "base/system.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

static const int64_t k_ns_in_s = 1000000000;

/* The release store to g_is_set pairs with the acquire loads below: who sees it set sees the times. */
static atomic_bool g_is_set;
static _Atomic int64_t g_wall_s;
static _Atomic int64_t g_boot_ns;

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
    struct timespec now = {0};
    (void)clock_gettime(ael_system_boot_clock, &now);
    return now.tv_sec * k_ns_in_s + now.tv_nsec;
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
