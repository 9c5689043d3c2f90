/* SPDX-License-Identifier: Apache-2.0 */
#include "securememory/warden.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/thread_start.h"

#include <string.h>
#include <time.h>

enum { STACK_BYTES = 256 * 1024 };

static const int64_t k_pause_ns = 1000000; /* between steps of what is due and goes on */

/* see securememory/warden.h */
int64_t ael_warden_now_ns(void) {
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static bool is_anything_open(const struct ael_warden *warden) {
    if (warden->secrets_are_leased != NULL && warden->secrets_are_leased()) {
        return true;
    }
    for (size_t i = 0; i < AEL_LEASE_DOMAINS; i++) {
        if (warden->leases[i] != NULL && ael_lease_is_open(warden->leases[i])) {
            return true;
        }
    }
    return false;
}

/* Under the lock: how long until something is due, of a clock that a test may have set. */
static int64_t time_to_due(const struct ael_warden *warden, int64_t *due_ns) {
    *due_ns = warden->due_ns == NULL ? INT64_MAX : warden->due_ns();
    return *due_ns == INT64_MAX ? INT64_MAX : *due_ns - ael_clock_boot_ns();
}

/* Under the lock. Sequentially consistent with ael_warden_expect: either the warden sees what became due, or who made it
 * so sees that the warden sleeps longer. */
static int64_t time_to_sleep(struct ael_warden *warden) {
    int64_t due_ns = 0;
    atomic_store(&warden->sleeps_until, INT64_MAX);
    int64_t time = time_to_due(warden, &due_ns);
    atomic_store(&warden->sleeps_until, due_ns);
    return time;
}

/* Under the lock. Sequentially consistent with ael_warden_wake: either the warden sees what was opened, or the opener
 * sees that it is asleep. */
static void sleep_until_woken_or_due(struct ael_warden *warden) {
    atomic_store(&warden->asleep, true);
    int64_t time = 1;
    while (time > 0 && !warden->stop && !is_anything_open(warden)) {
        time = time_to_sleep(warden);
        if (time == INT64_MAX) {
            ael_cond_wait(&warden->wake, &warden->lock);
        } else if (time > 0) {
            ael_cond_wait_for(&warden->wake, &warden->lock, time);
        }
    }
    atomic_store(&warden->sleeps_until, 0);
    atomic_store(&warden->asleep, false);
}

/* Under the lock, so that a lease is not cleared meanwhile. */
static void beat(struct ael_warden *warden, bool late) {
    int64_t now = ael_warden_now_ns();
    for (size_t i = 0; i < AEL_LEASE_DOMAINS; i++) {
        if (warden->leases[i] != NULL && ael_lease_beat(warden->leases[i], now, warden->max_open_ns) && late) {
            atomic_fetch_add_explicit(&warden->late_closings, 1, memory_order_relaxed);
        }
    }
}

/* What takes mutexes that children inherit, or whose holders may wait for the warden's: so without the lock, and not while
 * a fork is under way. */
static void call_unlocked(struct ael_warden *warden, void (*work)(void)) {
    if (work == NULL || warden->stop) {
        return;
    }
    ael_mutex_unlock(&warden->lock);
    if (ael_sync_begin_unless_stopped()) {
        work();
        ael_sync_end();
    }
    ael_mutex_lock(&warden->lock);
}

/* Under the lock, with something open: until the beat, or until something is due, but for a pause between two steps. */
static void wait_for_beat(struct ael_warden *warden, int64_t beat_ns) {
    int64_t due_ns = 0;
    int64_t time = beat_ns - ael_warden_now_ns();
    int64_t to_due = time_to_due(warden, &due_ns);
    to_due = to_due < k_pause_ns ? k_pause_ns : to_due;
    time = to_due < time ? to_due : time;
    if (time > 0 && !warden->stop) {
        ael_cond_wait_for(&warden->wake, &warden->lock, time);
    }
}

/* @return true when something is due still, and the warden is to go on. */
static bool tend_when_due(struct ael_warden *warden) {
    int64_t due_ns = 0;
    if (time_to_due(warden, &due_ns) > 0) {
        return false;
    }
    call_unlocked(warden, warden->tend);
    return !warden->stop && time_to_due(warden, &due_ns) <= 0;
}

static void beat_when_due(struct ael_warden *warden, int64_t beat_ns) {
    int64_t late_ns = ael_warden_now_ns() - beat_ns;
    if (late_ns >= 0) {
        beat(warden, late_ns > warden->lease_ns);
        call_unlocked(warden, warden->beat_secrets);
    }
}

/* Under the lock: what a lease's opening waits for before it may be closed again. */
static void watch_over_leases(struct ael_warden *warden) {
    int64_t beat_ns = ael_warden_now_ns() + warden->lease_ns;
    while (!warden->stop && ael_warden_now_ns() < beat_ns) {
        wait_for_beat(warden, beat_ns);
        (void)tend_when_due(warden);
    }
    beat_when_due(warden, beat_ns);
}

static void *run(void *argument) {
    struct ael_warden *warden = argument;
    ael_rights_resume();           /* it may have been started inside an access: it keeps no rights of that */
    ael_sync_exempt_this_thread(); /* who stops it holds a mutex, for which a fork would wait */
    ael_mutex_lock(&warden->lock);
    warden->started = true;
    ael_cond_signal(&warden->wake);
    while (!warden->stop) {
        sleep_until_woken_or_due(warden);
        if (is_anything_open(warden)) {
            watch_over_leases(warden);
        } else if (tend_when_due(warden)) {
            ael_cond_wait_for(&warden->wake, &warden->lock, k_pause_ns);
        }
    }
    ael_mutex_unlock(&warden->lock);
    return NULL;
}

/* see securememory/warden.h */
enum ael_status ael_warden_start(struct ael_warden *warden, int64_t lease_ns, int64_t max_open_ns) {
    memset(warden, 0, sizeof *warden);
    warden->lease_ns = lease_ns;
    warden->max_open_ns = max_open_ns;
    AEL_TRY(ael_mutex_init(&warden->lock));
    ael_cond_init(&warden->wake);
    if (!ael_thread_start(&warden->thread, "ael-warden", STACK_BYTES, run, warden)) {
        ael_mutex_clear(&warden->lock);
        return AEL_E_SYSTEM;
    }
    ael_mutex_lock(&warden->lock);
    while (!warden->started) {
        ael_cond_wait(&warden->wake, &warden->lock);
    }
    ael_mutex_unlock(&warden->lock);
    warden->running = true;
    return AEL_OK;
}

/* see securememory/warden.h */
void ael_warden_stop(struct ael_warden *warden) {
    if (!warden->running) {
        return;
    }
    ael_mutex_lock(&warden->lock);
    warden->stop = true;
    ael_cond_signal(&warden->wake);
    ael_mutex_unlock(&warden->lock);
    int cancel = ael_cancel_disable(); /* pthread_join is a point of cancellation */
    (void)pthread_join(warden->thread, NULL);
    ael_cancel_restore(cancel);
    ael_mutex_clear(&warden->lock);
    warden->running = false;
}

/* see securememory/warden.h */
void ael_warden_watch_secrets(
    struct ael_warden *warden, void (*beat_secrets)(void), bool (*secrets_are_leased)(void)) {
    ael_mutex_lock(&warden->lock);
    warden->beat_secrets = beat_secrets;
    warden->secrets_are_leased = secrets_are_leased;
    ael_mutex_unlock(&warden->lock);
}

/* see securememory/warden.h */
void ael_warden_watch_dues(struct ael_warden *warden, void (*tend)(void), int64_t (*due_ns)(void)) {
    ael_mutex_lock(&warden->lock);
    warden->tend = tend;
    warden->due_ns = due_ns;
    ael_cond_signal(&warden->wake);
    ael_mutex_unlock(&warden->lock);
}

/* see securememory/warden.h */
void ael_warden_expect(struct ael_warden *warden, int64_t due_ns) {
    if (atomic_load(&warden->sleeps_until) > due_ns) {
        ael_mutex_lock(&warden->lock);
        ael_cond_signal(&warden->wake);
        ael_mutex_unlock(&warden->lock);
    }
}

/* see securememory/warden.h */
void ael_warden_watch(struct ael_warden *warden, struct ael_lease *lease) {
    ael_mutex_lock(&warden->lock);
    warden->leases[lease->domain] = lease;
    ael_mutex_unlock(&warden->lock);
}

/* see securememory/warden.h */
void ael_warden_forget(struct ael_warden *warden, const struct ael_lease *lease) {
    if (warden->running) {
        ael_mutex_lock(&warden->lock);
    }
    warden->leases[lease->domain] = NULL;
    if (warden->running) {
        ael_mutex_unlock(&warden->lock);
    }
}

/* see securememory/warden.h */
void ael_warden_wake(struct ael_warden *warden) {
    if (atomic_load(&warden->asleep)) {
        ael_mutex_lock(&warden->lock);
        ael_cond_signal(&warden->wake);
        ael_mutex_unlock(&warden->lock);
    }
}

/* see securememory/warden.h */
void ael_warden_count_opening(struct ael_warden *warden) {
    atomic_fetch_add_explicit(&warden->openings, 1, memory_order_relaxed);
}

/* see securememory/warden.h */
void ael_warden_count_failure(struct ael_warden *warden) {
    atomic_fetch_add_explicit(&warden->failures, 1, memory_order_relaxed);
}

/* see securememory/warden.h */
struct ael_warden_stats ael_warden_stats(const struct ael_warden *warden) {
    return (struct ael_warden_stats){
        .openings = atomic_load_explicit(&warden->openings, memory_order_relaxed),
        .late_closings = atomic_load_explicit(&warden->late_closings, memory_order_relaxed),
        .failures = atomic_load_explicit(&warden->failures, memory_order_relaxed),
    };
}
