/* SPDX-License-Identifier: Apache-2.0 */
#include "securememory/secret_leases.h"

#include "base/barrier.h"
#include "base/check.h"
#include "base/thread_entry.h"
#include "securememory/secret_state.h"
#include "securememory/warden.h"

#include <string.h>

/* see securememory/secret_leases.h */
enum ael_status ael_secret_leases_init(struct ael_secret_leases *leases, int64_t max_open_ns) {
    memset(leases, 0, sizeof *leases);
    leases->max_open_ns = max_open_ns;
    AEL_TRY(ael_mutex_init(&leases->ending));
    enum ael_status status = ael_mutex_init(&leases->lock);
    if (status != AEL_OK) {
        ael_mutex_clear(&leases->ending);
    }
    return status;
}

/* see securememory/secret_leases.h */
void ael_secret_leases_clear(struct ael_secret_leases *leases) {
    ael_mutex_clear(&leases->lock);
    ael_mutex_clear(&leases->ending);
}

/* -- under the lock -- */

/* Release: who sees it sees the page readable. */
static void share(struct ael_secret *secret) {
    atomic_store_explicit(&secret->shared, secret->open_bytes, memory_order_release);
}

/* Whoever pins it behind the next heavy barrier sees that it is not to be had. */
static void withdraw(struct ael_secret *secret) {
    atomic_store_explicit(&secret->shared, NULL, memory_order_relaxed);
}

static void put_in(struct ael_secret_leases *leases, struct ael_secret *secret) {
    secret->lease = (struct ael_secret_lease){
        .listed = true, .since_ns = ael_warden_now_ns(), .next = leases->first, .previous = NULL};
    if (leases->first != NULL) {
        leases->first->lease.previous = secret;
    }
    leases->first = secret;
}

static void take_out(struct ael_secret_leases *leases, struct ael_secret *secret) {
    struct ael_secret_lease *lease = &secret->lease;
    *(lease->previous == NULL ? &leases->first : &lease->previous->lease.next) = lease->next;
    if (lease->next != NULL) {
        lease->next->lease.previous = lease->previous;
    }
    lease->listed = false;
}

/* Until it leaves the chain it cannot be leased anew, which would change its links. */
static void chain(struct ael_secret_leases *leases, struct ael_secret *secret, struct ael_secret **first) {
    take_out(leases, secret);
    secret->lease.chained = true;
    secret->lease.next = *first;
    *first = secret;
}

/* Of a secret that is withdrawn. True: nobody pins it, or will. False: each who does is awaited, and looks after it. */
static bool is_unpinned(const struct ael_secret *secret) {
    bool pinned = true;
    bool marked = true;
    while (pinned && marked) {
        marked = false;
        ael_barrier_heavy_surely();
        pinned = ael_threads_await(secret, &marked);
    }
    return !pinned;
}

static struct ael_secret *take_out_ended(struct ael_secret_leases *leases) {
    struct ael_secret *ended = NULL;
    struct ael_secret *next = NULL;
    for (struct ael_secret *at = leases->first; at != NULL; at = next) {
        next = at->lease.next;
        if (at->lease.ending && is_unpinned(at)) {
            chain(leases, at, &ended);
        }
    }
    return ended;
}

static void begin_to_end(struct ael_secret *secret) {
    secret->lease.ending = true;
    withdraw(secret);
}

/* -- with the lock -- */

/* see securememory/secret_leases.h */
bool ael_secret_leases_add(struct ael_secret_leases *leases, struct ael_secret *secret) {
    ael_mutex_lock(&leases->lock);
    bool begins = !secret->lease.listed && !secret->lease.chained && leases->unwanted == 0;
    if (begins) {
        atomic_fetch_add_explicit(&secret->word, AEL_SECRET_READER, memory_order_relaxed);
        atomic_store_explicit(&secret->used, true, memory_order_relaxed);
        put_in(leases, secret);
        share(secret);
    }
    ael_mutex_unlock(&leases->lock);
    return begins;
}

/* see securememory/secret_leases.h */
bool ael_secret_leases_take(struct ael_secret_leases *leases, struct ael_secret *secret, uint64_t marks) {
    bool taken = false;
    ael_mutex_lock(&leases->lock);
    if (secret->lease.listed) {
        begin_to_end(secret);
    }
    atomic_fetch_or(&secret->word, marks); /* who sees them sees that nothing is shared */
    if (secret->lease.listed) {
        taken = is_unpinned(secret);
    }
    if (taken) {
        take_out(leases, secret);
    }
    ael_mutex_unlock(&leases->lock);
    return taken;
}

/* see securememory/secret_leases.h */
struct ael_secret *ael_secret_leases_unchain(struct ael_secret_leases *leases, struct ael_secret **chain) {
    struct ael_secret *first = *chain;
    if (first != NULL) {
        ael_mutex_lock(&leases->lock);
        *chain = first->lease.next;
        first->lease.chained = false;
        ael_mutex_unlock(&leases->lock);
    }
    return first;
}

/* Under the lock. A look at the pins before they are withdrawn spares those who hold one the detour over the lock. */
static bool withdraw_unused(struct ael_secret_leases *leases) {
    int64_t now_ns = ael_warden_now_ns();
    bool any = false;
    for (struct ael_secret *at = leases->first; at != NULL; at = at->lease.next) {
        bool used = atomic_exchange_explicit(&at->used, false, memory_order_relaxed);
        bool overdue = leases->max_open_ns != 0 && now_ns - at->lease.since_ns >= leases->max_open_ns;
        if ((!used || overdue) && !at->lease.ending && !ael_threads_pin(at)) {
            withdraw(at);
            at->lease.withdrawn = true;
            any = true;
        }
    }
    return any;
}

/* Under the lock, behind the barrier. */
static struct ael_secret *take_out_withdrawn(struct ael_secret_leases *leases) {
    struct ael_secret *unused = NULL;
    struct ael_secret *next = NULL;
    for (struct ael_secret *at = leases->first; at != NULL; at = next) {
        next = at->lease.next;
        if (!at->lease.withdrawn) {
            continue;
        }
        at->lease.withdrawn = false;
        if (ael_threads_pin(at)) {
            share(at);
        } else {
            chain(leases, at, &unused);
        }
    }
    return unused;
}

/* see securememory/secret_leases.h */
struct ael_secret *ael_secret_leases_take_unused(struct ael_secret_leases *leases) {
    struct ael_secret *unused = NULL;
    ael_mutex_lock(&leases->lock);
    if (withdraw_unused(leases)) {
        ael_barrier_heavy_surely();
        unused = take_out_withdrawn(leases);
    }
    ael_mutex_unlock(&leases->lock);
    return unused;
}

/* see securememory/secret_leases.h */
struct ael_secret *ael_secret_leases_take_all(struct ael_secret_leases *leases) {
    ael_mutex_lock(&leases->lock);
    for (struct ael_secret *at = leases->first; at != NULL; at = at->lease.next) {
        begin_to_end(at);
    }
    struct ael_secret *ended = take_out_ended(leases);
    ael_mutex_unlock(&leases->lock);
    return ended;
}

/* see securememory/secret_leases.h */
struct ael_secret *ael_secret_leases_take_ended(struct ael_secret_leases *leases) {
    ael_mutex_lock(&leases->lock);
    atomic_store_explicit(&ael_thread_entry_here->awaited, false, memory_order_relaxed);
    struct ael_secret *ended = take_out_ended(leases);
    ael_mutex_unlock(&leases->lock);
    return ended;
}

/* see securememory/secret_leases.h */
void ael_secret_leases_unwant(struct ael_secret_leases *leases) {
    ael_mutex_lock(&leases->lock);
    leases->unwanted++;
    ael_mutex_unlock(&leases->lock);
}

/* see securememory/secret_leases.h */
void ael_secret_leases_want(struct ael_secret_leases *leases) {
    ael_mutex_lock(&leases->lock);
    leases->unwanted--;
    ael_mutex_unlock(&leases->lock);
}

/* see securememory/secret_leases.h */
bool ael_secret_leases_are_there(struct ael_secret_leases *leases) {
    ael_mutex_lock(&leases->lock);
    bool there = leases->first != NULL;
    ael_mutex_unlock(&leases->lock);
    return there;
}
