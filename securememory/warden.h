/*
 * securememory/warden.h - the thread that closes leased pages and tends to what is due.
 *
 *     asleep --a lease is opened--> beating, once a lease time --nothing is open--> asleep
 *     asleep or beating --something is due--> tends to it --> as before
 *
 * So pages are closed between one and two lease times after the last access. Asleep it is until the next due, in one
 * sleep, or without an end when there is none. The thread blocks all signals and is named ael-warden. It waits for
 * nobody.
 * Lock order: the warden's before a lease's and the secret slots'; who opens a lease wakes the warden after giving the
 * lease's lock up.
 * Layer: securememory.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_SECUREMEMORY_WARDEN_H
#define AEL_SECUREMEMORY_WARDEN_H

#include "base/sync.h"
#include "securememory/lease.h"

struct ael_warden_stats {
    uint64_t openings;      /* of leased pages */
    uint64_t late_closings; /* more than a lease time later than they should have been */
    uint64_t failures;      /* pages that the system did not close; tried again each beat */
};

struct ael_warden {
    int64_t lease_ns;
    int64_t max_open_ns;
    pthread_t thread;
    bool running;
    void (*beat_secrets)(void);       /* ends the leases of secrets that are not used any more; under no lock */
    bool (*secrets_are_leased)(void); /* under the warden's lock */
    void (*tend)(void);               /* does what is due, or some of it; under no lock */
    int64_t (*due_ns)(void);          /* when that is wanted, of ael_clock_boot_ns; under the warden's lock */
    atomic_bool asleep;
    atomic_int_least64_t sleeps_until; /* what it expects while asleep; 0 = awake */
    struct ael_mutex lock; /* guards what follows; held over a beat */
    struct ael_cond wake;
    struct ael_lease *leases[AEL_LEASE_DOMAINS];
    bool started;
    bool stop;
    atomic_uint_least64_t openings; /* statistics: relaxed */
    atomic_uint_least64_t late_closings;
    atomic_uint_least64_t failures;
};

/** Starts the thread and waits until it runs: a fork right afterwards finds it past its start. @return AEL_OK; AEL_E_SYSTEM (no thread to be had). Nothing to stop after a failure. */
AEL_MUST_CHECK enum ael_status
ael_warden_start(struct ael_warden *warden, int64_t lease_ns, int64_t max_open_ns);

/** Has the warden end secrets' leases, too. Before anything is leased. */
void ael_warden_watch_secrets(
    struct ael_warden *warden, void (*beat_secrets)(void), bool (*secrets_are_leased)(void));

/** Has the warden tend to memory whose parts are there. */
void ael_warden_watch_dues(struct ael_warden *warden, void (*tend)(void), int64_t (*due_ns)(void));

/** Ends the thread; leased pages stay as they are. One that does not run is accepted. */
void ael_warden_stop(struct ael_warden *warden);

/** Adds a lease that is closed. */
void ael_warden_watch(struct ael_warden *warden, struct ael_lease *lease);

/** Takes a lease away, also after the end of the thread. */
void ael_warden_forget(struct ael_warden *warden, const struct ael_lease *lease);

/** To be called after a lease was opened. Threads: any, under no lock but hot keys'. */
void ael_warden_wake(struct ael_warden *warden);

/** To be called after something became due at this time (of ael_clock_boot_ns): wakes the warden if it would sleep
 * longer. One that does not run is accepted. Threads: any, under no lock but a secret's. */
void ael_warden_expect(struct ael_warden *warden, int64_t due_ns);

/** Real time: a clock that a test has set does not move the warden. */
int64_t ael_warden_now_ns(void);

void ael_warden_count_opening(struct ael_warden *warden);
void ael_warden_count_failure(struct ael_warden *warden);
struct ael_warden_stats ael_warden_stats(const struct ael_warden *warden);

#endif /* AEL_SECUREMEMORY_WARDEN_H */
