/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/remote/breaker.h"

#include "base/clock.h"
#include "base/hooks.h"

#include <unistd.h>

enum { MS_NS = 1000000, TRIAL_MS = 60000, NO_TRIAL = 1 /* the number of all calls while it is closed */ };

/* see kms/remote/breaker.h */
enum ael_status ael_breaker_init(struct ael_breaker *breaker, const struct ael_breaker_names *names) {
    *breaker = (struct ael_breaker){.names = names, .state = AEL_BREAKER_CLOSED, .trial = NO_TRIAL};
    return ael_mutex_init(&breaker->lock);
}

/* see kms/remote/breaker.h */
void ael_breaker_clear(struct ael_breaker *breaker) {
    ael_mutex_clear(&breaker->lock);
}

/* One call tries; a trial of which nobody hears does not hold others back for ever, and one of a parent's not
 * at all. */
static uint32_t try_once(struct ael_breaker *breaker, int64_t now_ns) {
    bool is_parents = breaker->state == AEL_BREAKER_HALF_OPEN && breaker->pid != getpid();
    if (now_ns < breaker->until_ns && !is_parents) {
        return 0;
    }
    breaker->state = AEL_BREAKER_HALF_OPEN;
    breaker->pid = getpid();
    breaker->until_ns = now_ns + (int64_t)TRIAL_MS * MS_NS;
    breaker->trial = breaker->trial == UINT32_MAX ? NO_TRIAL + 1 : breaker->trial + 1;
    return breaker->trial;
}

/* see kms/remote/breaker.h */
uint32_t ael_breaker_begin(struct ael_breaker *breaker) {
    const char *event = NULL;
    uint32_t number = NO_TRIAL;
    ael_mutex_lock(&breaker->lock);
    if (breaker->state != AEL_BREAKER_CLOSED) {
        number = try_once(breaker, ael_clock_boot_ns());
        event = number != 0 ? breaker->names->half_opened : NULL;
    }
    ael_mutex_unlock(&breaker->lock);
    if (event != NULL) {
        ael_metric_event(event);
    }
    return number;
}

static void open_again(struct ael_breaker *breaker) {
    int64_t most_ns = (int64_t)AEL_BREAKER_MOST_MS * MS_NS;
    breaker->wait_ns = breaker->wait_ns == 0 ? (int64_t)AEL_BREAKER_FIRST_MS * MS_NS : 2 * breaker->wait_ns;
    breaker->wait_ns = breaker->wait_ns > most_ns ? most_ns : breaker->wait_ns;
    breaker->until_ns = ael_clock_boot_ns() + breaker->wait_ns;
    breaker->state = AEL_BREAKER_OPEN;
}

/* With the lock held; returns the event to tell, or NULL. */
static const char *note(struct ael_breaker *breaker, uint32_t number, enum ael_breaker_end how) {
    bool was_open = breaker->state != AEL_BREAKER_CLOSED;
    bool is_trial = breaker->state == AEL_BREAKER_HALF_OPEN && number == breaker->trial;
    if (how == AEL_BREAKER_GOOD) {
        breaker->state = AEL_BREAKER_CLOSED;
        breaker->failures = 0;
        breaker->wait_ns = 0;
        return was_open ? breaker->names->closed : NULL;
    }
    if (how == AEL_BREAKER_GIVEN_UP) {
        if (is_trial) { /* nothing is known: the next one tries */
            breaker->state = AEL_BREAKER_OPEN;
            breaker->until_ns = 0;
        }
        return NULL;
    }
    breaker->failures++;
    if (was_open ? !is_trial /* it began earlier */ : breaker->failures < AEL_BREAKER_FAILURES) {
        return NULL;
    }
    open_again(breaker);
    return breaker->names->opened;
}

/* see kms/remote/breaker.h */
void ael_breaker_end(struct ael_breaker *breaker, uint32_t number, enum ael_breaker_end how) {
    ael_mutex_lock(&breaker->lock);
    const char *event = note(breaker, number, how);
    ael_mutex_unlock(&breaker->lock);
    if (event != NULL) {
        ael_metric_event(event);
    }
}

/* see kms/remote/breaker.h */
enum ael_breaker_state ael_breaker_state(struct ael_breaker *breaker) {
    ael_mutex_lock(&breaker->lock);
    enum ael_breaker_state state = breaker->state;
    ael_mutex_unlock(&breaker->lock);
    return state;
}
