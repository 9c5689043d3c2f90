/*
 * base/sync.h - mutex and condition variable with a deadline on the boot clock.
 *
 * Waits never outlast a deadline by more than scheduling; spurious wake-ups happen, so wait in a loop.
 * Layer: base.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_BASE_SYNC_H
#define AEL_BASE_SYNC_H

#include <ael/status.h>

#include <pthread.h>

struct ael_mutex {
    pthread_mutex_t native;
};

struct ael_cond {
    pthread_cond_t native; /* on CLOCK_MONOTONIC */
};

#define AEL_MUTEX_INIT {PTHREAD_MUTEX_INITIALIZER}

/* AEL_E_SYSTEM when the system has no resources left; nothing to clear then. */
AEL_MUST_CHECK enum ael_status ael_mutex_init(struct ael_mutex *mutex);
void ael_mutex_clear(struct ael_mutex *mutex);
void ael_mutex_lock(struct ael_mutex *mutex);
void ael_mutex_unlock(struct ael_mutex *mutex);

AEL_MUST_CHECK enum ael_status ael_cond_init(struct ael_cond *cond);
void ael_cond_clear(struct ael_cond *cond);
void ael_cond_signal(struct ael_cond *cond);
void ael_cond_broadcast(struct ael_cond *cond);

/** Waits for a signal or until deadline_ns of ael_clock_boot_ns. @return AEL_OK (look again); AEL_E_TIMEOUT. */
AEL_MUST_CHECK enum ael_status
ael_cond_wait_until(struct ael_cond *cond, struct ael_mutex *mutex, int64_t deadline_ns);

/** Waits for a signal or for ns of real time, also while a test has set the clock. */
void ael_cond_wait_for(struct ael_cond *cond, struct ael_mutex *mutex, int64_t ns);

/** Waits for a signal without an end. */
void ael_cond_wait(struct ael_cond *cond, struct ael_mutex *mutex);

/**
 * Puts off the calling thread's cancellation (pthread_cancel) while locks or slots are held across calls of libc that
 * are cancellation points. @return what ael_cancel_restore takes.
 */
int ael_cancel_disable(void);
void ael_cancel_restore(int state);

#endif /* AEL_BASE_SYNC_H */
