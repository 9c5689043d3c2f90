/*
 * base/sync.h - mutex and condition variable with a deadline on the boot clock; both outlive fork.
 *
 * fork(2) waits until no other thread holds a mutex (base/fork.h), so a mutex that a child inherits is free,
 * or held by the forking thread itself. A condition forgets waiters of before the fork: they are not there.
 * Waits never outlast a deadline by more than scheduling; spurious wake-ups happen, so wait in a loop.
 * Layer: base.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_BASE_SYNC_H
#define AEL_BASE_SYNC_H

#include "base/component_api.h"

#include <ael/status.h>

#include <pthread.h>
#include <stdbool.h>

struct ael_mutex {
    pthread_mutex_t native;
};

struct ael_cond_waiter;

/* Guarded by the mutex with which it is used. Zero is ready for use. */
struct ael_cond {
    struct ael_cond_waiter *first;
    struct ael_cond_waiter *last;
    uint32_t forks; /* of the process whose waiters these are */
};

#define AEL_MUTEX_INIT {PTHREAD_MUTEX_INITIALIZER}

/* AEL_E_SYSTEM when the system has no resources left; nothing to clear then. */
AEL_COMPONENT_API AEL_MUST_CHECK enum ael_status ael_mutex_init(struct ael_mutex *mutex);
AEL_COMPONENT_API void ael_mutex_clear(struct ael_mutex *mutex);
AEL_COMPONENT_API void ael_mutex_lock(struct ael_mutex *mutex);
AEL_COMPONENT_API void ael_mutex_unlock(struct ael_mutex *mutex);

/** Locks it unless somebody holds it. @return true when it is the caller's. */
AEL_MUST_CHECK bool ael_mutex_try_lock(struct ael_mutex *mutex);

AEL_COMPONENT_API void ael_cond_init(struct ael_cond *cond);

/* With the mutex held. */
AEL_COMPONENT_API void ael_cond_signal(struct ael_cond *cond);
AEL_COMPONENT_API void ael_cond_broadcast(struct ael_cond *cond);

/** Waits for a signal or until deadline_ns of ael_clock_boot_ns. @return AEL_OK (look again);
 * AEL_E_TIMEOUT. */
AEL_MUST_CHECK enum ael_status
ael_cond_wait_until(struct ael_cond *cond, struct ael_mutex *mutex, int64_t deadline_ns);

/** Waits for a signal or for ns of real time, also while a test has set the clock. */
AEL_COMPONENT_API void ael_cond_wait_for(struct ael_cond *cond, struct ael_mutex *mutex, int64_t ns);

/** Waits for a signal without an end. */
void ael_cond_wait(struct ael_cond *cond, struct ael_mutex *mutex);

/** The calling thread, one of the library's own, is not stopped before a fork: the child makes anew all that
 * it locks. */
void ael_sync_exempt_this_thread(void);

/**
 * For an exempt thread, around work with mutexes that a child inherits: counts it as holding one, so that a
 * fork waits for the end of it. @return false, when a fork is under way: then the work is not to be done now,
 * nor ended.
 */
bool ael_sync_begin_unless_stopped(void);
void ael_sync_end(void);

/** Tells whether this thread holds a mutex, or may, because its mutexes are not counted. */
bool ael_sync_holds_any(void);

/** For base/fork.h: from now on no other thread gets a mutex; returns when none holds one. */
void ael_sync_stop_others(void);

/** For base/fork.h: the end of it, in the parent or in the child. */
void ael_sync_let_others_go(void);

/**
 * Puts off the calling thread's cancellation (pthread_cancel) while locks or slots are held across calls of
 * libc that are cancellation points. @return what ael_cancel_restore takes.
 */
AEL_COMPONENT_API int ael_cancel_disable(void);
AEL_COMPONENT_API void ael_cancel_restore(int state);

#endif /* AEL_BASE_SYNC_H */
