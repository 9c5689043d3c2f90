/*
 * net/sigv4/clock.h - the time that requests are signed with, where the machine's clock is wrong.
 *
 * Services refuse a signature whose time is more than some minutes off. Their answers carry theirs, in the
 * Date header: after a refusal the difference is noted and later signatures count with it. Only signatures:
 * the dates of keys stay the machine's.
 * Layer: net. Threads: any; one word. Zero is ready for use.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_NET_SIGV4_CLOCK_H
#define AEL_NET_SIGV4_CLOCK_H

#include "net/http/http.h"

#include <stdatomic.h>

enum { AEL_SIGV4_SKEW_MIN_S = 120 }; /* a smaller difference is the network's */

struct ael_sigv4_clock {
    atomic_int_least64_t ahead_s; /* what is added to the wall clock. Relaxed: it guards nothing */
};

/** Returns the time to sign with. */
int64_t ael_sigv4_clock_now(struct ael_sigv4_clock *clock);

/** Returns how far that is ahead of the wall clock: to be asked before a request is signed, and handed on
 * after. */
int64_t ael_sigv4_clock_ahead_s(struct ael_sigv4_clock *clock);

/**
 * After a refused request: takes the server's time.
 *
 * @param signed_ahead_s  of the clock before the request was signed: another thread may have corrected it
 *                        since.
 * @return true when that is off by AEL_SIGV4_SKEW_MIN_S or more, so that signing again may help.
 */
bool ael_sigv4_clock_correct(
    struct ael_sigv4_clock *clock, int64_t signed_ahead_s, const struct ael_http_response *response);

#endif /* AEL_NET_SIGV4_CLOCK_H */
