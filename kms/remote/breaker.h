/*
 * kms/remote/breaker.h - keeps calls from an endpoint that is down.
 *
 *     closed --AEL_BREAKER_FAILURES in a row--> open --after a while--> half-open: one call tries
 *        ^------------------------- it succeeds -------------------------'   |
 *                                open again, twice as long  <--- it fails ---'
 *
 * A call that was let through has a number, and ends in one of good, bad or given up. What a call that began
 * earlier ends in does not end the trial: nothing but its own end does, or an answer to whichever call. A
 * child of fork does not wait for its parent's trial.
 * Layer: kms. Threads: any; a lock inside, held for some instructions. Zeroed after ael_breaker_init.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_REMOTE_BREAKER_H
#define AEL_KMS_REMOTE_BREAKER_H

#include "base/sync.h"

#include <sys/types.h>

enum { AEL_BREAKER_FAILURES = 5, AEL_BREAKER_FIRST_MS = 1000, AEL_BREAKER_MOST_MS = 30000 };

enum ael_breaker_state { AEL_BREAKER_CLOSED, AEL_BREAKER_OPEN, AEL_BREAKER_HALF_OPEN };

enum ael_breaker_end { AEL_BREAKER_GOOD, AEL_BREAKER_BAD, AEL_BREAKER_GIVEN_UP };

/* Names of the counters that tell of its changes; static strings. */
struct ael_breaker_names {
    const char *opened;
    const char *half_opened;
    const char *closed;
};

struct ael_breaker {
    struct ael_mutex lock;
    const struct ael_breaker_names *names;
    enum ael_breaker_state state;
    unsigned failures; /* in a row */
    uint32_t trial;    /* the number of the last one */
    int64_t wait_ns;
    int64_t until_ns; /* open until then; half-open: its call counts as lost then */
    pid_t pid;        /* whose call the trial is: for its children that is lost */
};

/** @param names outlive it. @return AEL_OK; AEL_E_SYSTEM. */
AEL_MUST_CHECK enum ael_status
ael_breaker_init(struct ael_breaker *breaker, const struct ael_breaker_names *names);
void ael_breaker_clear(struct ael_breaker *breaker);

/** Asks whether a call may go. @return its number: ael_breaker_end must follow; 0 = it may not. */
AEL_MUST_CHECK uint32_t ael_breaker_begin(struct ael_breaker *breaker);
void ael_breaker_end(struct ael_breaker *breaker, uint32_t number, enum ael_breaker_end how);

enum ael_breaker_state ael_breaker_state(struct ael_breaker *breaker);

#endif /* AEL_KMS_REMOTE_BREAKER_H */
