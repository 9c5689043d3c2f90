/* SPDX-License-Identifier: Apache-2.0 */
#include "base/sync.h"

#include "base/clock.h"

#include <time.h>

static const int64_t k_ns_in_s = 1000000000;

/*
 * The longest sleep before the caller looks again. The native condition does not count suspension, the deadline does;
 * and a clock that a test sets may jump at any time.
 */
static const int64_t k_slice_ns = 1000000000;
static const int64_t k_slice_of_set_clock_ns = 1000000;

/* see base/sync.h */
enum ael_status ael_mutex_init(struct ael_mutex *mutex) {
    return pthread_mutex_init(&mutex->native, NULL) == 0 ? AEL_OK : AEL_E_SYSTEM;
}

/* see base/sync.h */
void ael_mutex_clear(struct ael_mutex *mutex) {
    (void)pthread_mutex_destroy(&mutex->native);
}

/* see base/sync.h. A normal mutex that was set up cannot fail to lock. */
void ael_mutex_lock(struct ael_mutex *mutex) {
    (void)pthread_mutex_lock(&mutex->native);
}

/* see base/sync.h */
void ael_mutex_unlock(struct ael_mutex *mutex) {
    (void)pthread_mutex_unlock(&mutex->native);
}

/* see base/sync.h */
enum ael_status ael_cond_init(struct ael_cond *cond) {
    pthread_condattr_t attributes;
    if (pthread_condattr_init(&attributes) != 0) {
        return AEL_E_SYSTEM;
    }
    int failed = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    if (failed == 0) {
        failed = pthread_cond_init(&cond->native, &attributes);
    }
    (void)pthread_condattr_destroy(&attributes);
    return failed == 0 ? AEL_OK : AEL_E_SYSTEM;
}

/* see base/sync.h */
void ael_cond_clear(struct ael_cond *cond) {
    (void)pthread_cond_destroy(&cond->native);
}

/* see base/sync.h */
void ael_cond_signal(struct ael_cond *cond) {
    (void)pthread_cond_signal(&cond->native);
}

/* see base/sync.h */
void ael_cond_broadcast(struct ael_cond *cond) {
    (void)pthread_cond_broadcast(&cond->native);
}

static struct timespec monotonic_in(int64_t ns) {
    struct timespec at = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    int64_t sum = at.tv_nsec + ns;
    at.tv_sec += (time_t)(sum / k_ns_in_s);
    at.tv_nsec = (long)(sum % k_ns_in_s);
    return at;
}

/* see base/sync.h */
enum ael_status ael_cond_wait_until(struct ael_cond *cond, struct ael_mutex *mutex, int64_t deadline_ns) {
    int64_t now = ael_clock_boot_ns();
    if (now >= deadline_ns) {
        return AEL_E_TIMEOUT;
    }
    int64_t slice = ael_clock_is_set_for_test() ? k_slice_of_set_clock_ns : k_slice_ns;
    struct timespec until = monotonic_in(deadline_ns - now < slice ? deadline_ns - now : slice);
    int cancel = ael_cancel_disable();
    int result = pthread_cond_timedwait(&cond->native, &mutex->native, &until);
    ael_cancel_restore(cancel);
    return result != 0 && ael_clock_boot_ns() >= deadline_ns ? AEL_E_TIMEOUT : AEL_OK;
}

/* see base/sync.h */
void ael_cond_wait_for(struct ael_cond *cond, struct ael_mutex *mutex, int64_t ns) {
    struct timespec until = monotonic_in(ns);
    int cancel = ael_cancel_disable();
    (void)pthread_cond_timedwait(&cond->native, &mutex->native, &until);
    ael_cancel_restore(cancel);
}

/* see base/sync.h */
void ael_cond_wait(struct ael_cond *cond, struct ael_mutex *mutex) {
    int cancel = ael_cancel_disable();
    (void)pthread_cond_wait(&cond->native, &mutex->native);
    ael_cancel_restore(cancel);
}

/* see base/sync.h */
int ael_cancel_disable(void) {
    int state = PTHREAD_CANCEL_ENABLE;
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    return state;
}

/* see base/sync.h */
void ael_cancel_restore(int state) {
    int ignored = 0;
    (void)pthread_setcancelstate(state, &ignored);
}
