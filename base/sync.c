/* SPDX-License-Identifier: Apache-2.0 */
#include "base/sync.h"

#include "base/barrier.h"
#include "base/clock.h"
#include "base/corruption.h"
#include "base/fork.h"
#include "base/system.h"
#include "base/thread_entry.h"
#include "base/tls.h"

#include <time.h>

static const int64_t k_ns_in_s = 1000000000;

/*
 * The longest sleep before the caller looks again. The native clock does not count suspension, the deadline
 * does; and a clock that a test sets may jump at any time.
 */
static const int64_t k_slice_ns = 1000000000;
static const int64_t k_slice_of_set_clock_ns = 1000000;
static const int64_t k_look_again_ns = 50000;

static struct timespec time_of(int64_t ns) {
    return (struct timespec){.tv_sec = (time_t)(ns / k_ns_in_s), .tv_nsec = (long)(ns % k_ns_in_s)};
}

/* -- who holds mutexes, and the stop before a fork -- */

/* 1 while a fork is under way. Sequentially consistent with the threads' entries by way of the barriers. */
static atomic_uint g_stopped;
static _Atomic(pthread_t) g_forker; /* while stopped */

/* Holds noted while a thread had no entry, for lack of memory; RMW, so no barrier is needed. */
static atomic_uint_least32_t g_holds_without_entry;
static AEL_TLS uint32_t t_holds_without_entry;

static AEL_TLS bool t_exempt;

static bool must_stop(void) {
    return atomic_load(&g_stopped) != 0 && !pthread_equal(atomic_load(&g_forker), pthread_self());
}

static void wait_until_let_go(void) {
    while (atomic_load(&g_stopped) != 0) {
        ael_system_sleep_while(&g_stopped, 1, NULL);
    }
}

static void add_hold(struct ael_thread_entry *mine) {
    if (mine == NULL) {
        t_holds_without_entry++;
        atomic_fetch_add(&g_holds_without_entry, 1);
        return;
    }
    uint32_t holds = atomic_load_explicit(&mine->locks, memory_order_relaxed);
    atomic_store_explicit(&mine->locks, holds + 1, memory_order_relaxed);
    ael_barrier_light();
}

/* Release: what was done under the mutex comes before. */
static void drop_hold(void) {
    struct ael_thread_entry *mine = ael_thread_entry_here;
    if (t_exempt) {
        return;
    }
    if (t_holds_without_entry != 0) {
        t_holds_without_entry--;
        atomic_fetch_sub(&g_holds_without_entry, 1);
        return;
    }
    uint32_t holds = atomic_load_explicit(&mine->locks, memory_order_relaxed);
    atomic_store_explicit(&mine->locks, holds - 1, memory_order_release);
}

static bool holds_any(const struct ael_thread_entry *mine) {
    return t_holds_without_entry != 0 ||
           (mine != NULL && atomic_load_explicit(&mine->locks, memory_order_relaxed) != 0);
}

/* The first mutex of a thread that is about to hold one. */
__attribute__((noinline)) static void note_first_hold(struct ael_thread_entry *mine) {
    add_hold(mine);
    while (must_stop()) {
        drop_hold();
        wait_until_let_go();
        add_hold(mine);
    }
}

/* Counts a mutex as held before it is locked. Who holds one already may take more: the fork waits for it. */
static inline void note_hold(void) {
    if (__builtin_expect(t_exempt, 0)) {
        return;
    }
    struct ael_thread_entry *mine = ael_thread_entry_mine();
    if (holds_any(mine)) {
        add_hold(mine);
    } else {
        note_first_hold(mine);
    }
}

/* see base/sync.h */
void ael_sync_exempt_this_thread(void) {
    t_exempt = true;
}

/* see base/sync.h */
bool ael_sync_begin_unless_stopped(void) {
    t_exempt = false;
    add_hold(ael_thread_entry_mine());
    if (must_stop()) {
        ael_sync_end();
        return false;
    }
    return true;
}

/* see base/sync.h */
bool ael_sync_holds_any(void) {
    return t_exempt || holds_any(ael_thread_entry_here);
}

/* What was found wrong under a mutex is told when the last one is free. */
static void tell_corruption(void) {
    if (__builtin_expect(ael_corruption_waits, 0) && !ael_sync_holds_any()) {
        ael_corruption_tell();
    }
}

/* see base/sync.h */
void ael_sync_end(void) {
    drop_hold();
    tell_corruption();
    t_exempt = true;
}

/* see base/sync.h */
void ael_sync_stop_others(void) {
    const struct timespec pause = time_of(k_look_again_ns);
    atomic_uint nobody = 0;
    atomic_store(&g_forker, pthread_self());
    atomic_store(&g_stopped, 1);
    while (!ael_barrier_heavy()) { /* refused: in time every thread passes a barrier of its own accord */
        ael_system_sleep_while(&nobody, 0, &pause);
        break;
    }
    while (ael_threads_hold_locks() || atomic_load(&g_holds_without_entry) != t_holds_without_entry) {
        ael_system_sleep_while(&nobody, 0, &pause);
    }
}

/* see base/sync.h */
void ael_sync_let_others_go(void) {
    atomic_store(&g_stopped, 0);
    ael_system_wake_all(&g_stopped);
}

/* -- mutexes -- */

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
    note_hold();
    (void)pthread_mutex_lock(&mutex->native);
}

/* see base/sync.h */
void ael_mutex_unlock(struct ael_mutex *mutex) {
    (void)pthread_mutex_unlock(&mutex->native);
    drop_hold();
    tell_corruption();
}

/* see base/sync.h */
bool ael_mutex_try_lock(struct ael_mutex *mutex) {
    note_hold();
    bool locked = pthread_mutex_trylock(&mutex->native) == 0;
    if (!locked) {
        drop_hold();
    }
    return locked;
}

/* -- conditions: a queue of words to sleep on -- */

struct ael_cond_waiter {
    atomic_uint woken; /* release and acquire are the mutex's; the word itself is for the kernel */
    struct ael_cond_waiter *next;
};

/* see base/sync.h */
void ael_cond_init(struct ael_cond *cond) {
    *cond = (struct ael_cond){NULL, NULL, ael_fork_count()};
}

/* Waiters of before a fork were threads of the parent. */
static void forget_the_parents(struct ael_cond *cond) {
    if (cond->forks != ael_fork_count()) {
        ael_cond_init(cond);
    }
}

/* Not inlined: gcc 12 cannot see that the waiter is taken off the list again. */
__attribute__((noinline)) static void append(struct ael_cond *cond, struct ael_cond_waiter *waiter) {
    forget_the_parents(cond);
    *(cond->first == NULL ? &cond->first : &cond->last->next) = waiter;
    cond->last = waiter;
}

/* A waiter that nobody has woken is in the queue. */
static void withdraw(struct ael_cond *cond, struct ael_cond_waiter *waiter) {
    struct ael_cond_waiter *before = NULL;
    for (struct ael_cond_waiter *at = cond->first; at != waiter; at = at->next) {
        before = at;
    }
    *(before == NULL ? &cond->first : &before->next) = waiter->next;
    if (cond->last == waiter) {
        cond->last = before;
    }
}

/* The waiter returns from its wait only with the mutex, which the caller holds: it is there until the caller
 * is done. */
static void wake(struct ael_cond_waiter *waiter) {
    atomic_store(&waiter->woken, 1);
    ael_system_wake_all(&waiter->woken);
}

/* see base/sync.h */
void ael_cond_signal(struct ael_cond *cond) {
    forget_the_parents(cond);
    struct ael_cond_waiter *waiter = cond->first;
    if (waiter != NULL) {
        withdraw(cond, waiter);
        wake(waiter);
    }
}

/* see base/sync.h */
void ael_cond_broadcast(struct ael_cond *cond) {
    forget_the_parents(cond);
    while (cond->first != NULL) {
        ael_cond_signal(cond);
    }
}

/* Sleeps once: until woken, for the time, or less. */
static void wait_once(struct ael_cond *cond, struct ael_mutex *mutex, const struct timespec *for_time) {
    struct ael_cond_waiter self = {0, NULL};
    append(cond, &self);
    ael_mutex_unlock(mutex);
    ael_system_sleep_while(&self.woken, 0, for_time);
    ael_mutex_lock(mutex);
    if (atomic_load(&self.woken) == 0) {
        withdraw(cond, &self);
    }
}

/* see base/sync.h */
enum ael_status ael_cond_wait_until(struct ael_cond *cond, struct ael_mutex *mutex, int64_t deadline_ns) {
    int64_t left = deadline_ns - ael_clock_boot_ns();
    if (left <= 0) {
        return AEL_E_TIMEOUT;
    }
    int64_t slice = ael_clock_is_set_for_test() ? k_slice_of_set_clock_ns : k_slice_ns;
    struct timespec for_time = time_of(left < slice ? left : slice);
    wait_once(cond, mutex, &for_time);
    return AEL_OK;
}

/* see base/sync.h */
void ael_cond_wait_for(struct ael_cond *cond, struct ael_mutex *mutex, int64_t ns) {
    struct timespec for_time = time_of(ns);
    wait_once(cond, mutex, &for_time);
}

/* see base/sync.h */
void ael_cond_wait(struct ael_cond *cond, struct ael_mutex *mutex) {
    wait_once(cond, mutex, NULL);
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
