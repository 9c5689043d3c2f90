/*
 * base/clock.h - the time, and a time that tests set.
 *
 * Wall clock: for `created` and expiry only. Boot clock (CLOCK_BOOTTIME, counts suspension): for intervals
 * and deadlines.
 * Layer: base.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_BASE_CLOCK_H
#define AEL_BASE_CLOCK_H

#include "base/component_api.h"

#include <stdbool.h>
#include <stdint.h>

/** Returns the Unix time in whole seconds. Threads: any. */
AEL_COMPONENT_API int64_t ael_clock_wall_s(void);

/** Returns nanoseconds since boot. Threads: any. */
AEL_COMPONENT_API int64_t ael_clock_boot_ns(void);

/* Both clocks at one instant. */
struct ael_instant {
    int64_t boot_ns;
    int64_t wall_s;
};

/**
 * Returns both clocks as of the last tick: up to some milliseconds late (a hundredth of a second where the
 * kernel ticks at 100 Hz), for a fraction of the price. For intervals that may be longer by as much. Threads: any.
 */
AEL_COMPONENT_API struct ael_instant ael_clock_last_tick(void);

/** For tests: from now on both clocks stand still at these values. Threads: any. */
void ael_clock_set_for_test(int64_t wall_s, int64_t boot_ns);

/** For tests: moves both set clocks on. Threads: any. */
void ael_clock_advance_for_test(int64_t seconds);

/** For tests: back to the real clocks. Threads: any. */
void ael_clock_reset_for_test(void);

/** Tells whether a test has set the clocks. Threads: any. */
bool ael_clock_is_set_for_test(void);

#endif /* AEL_BASE_CLOCK_H */
