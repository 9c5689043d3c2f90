/* SPDX-License-Identifier: Apache-2.0 */
#include "net/sigv4/clock.h"

#include "base/clock.h"
#include "net/dates.h"

/* see net/sigv4/clock.h */
int64_t ael_sigv4_clock_now(struct ael_sigv4_clock *clock) {
    return ael_clock_wall_s() + ael_sigv4_clock_ahead_s(clock);
}

/* see net/sigv4/clock.h */
int64_t ael_sigv4_clock_ahead_s(struct ael_sigv4_clock *clock) {
    return atomic_load_explicit(&clock->ahead_s, memory_order_relaxed);
}

static bool is_small(int64_t difference_s) {
    return difference_s > -AEL_SIGV4_SKEW_MIN_S && difference_s < AEL_SIGV4_SKEW_MIN_S;
}

/* see net/sigv4/clock.h */
bool ael_sigv4_clock_correct(
    struct ael_sigv4_clock *clock, int64_t signed_ahead_s, const struct ael_http_response *response) {
    struct ael_bytes date;
    int64_t theirs_s = 0;
    if (!ael_http_response_header(response, "date", &date) || !ael_date_from_http(date, &theirs_s)) {
        return false;
    }
    int64_t ahead_s = theirs_s - ael_clock_wall_s();
    ahead_s = is_small(ahead_s) ? 0 : ahead_s;
    atomic_store_explicit(&clock->ahead_s, ahead_s, memory_order_relaxed);
    return !is_small(ahead_s - signed_ahead_s);
}
