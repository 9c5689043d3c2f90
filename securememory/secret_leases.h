/*
 * securememory/secret_leases.h - at the level `leased`: secrets that stay open for a while after the last access.
 *
 * A lease is one more reader of the secret, held by this list, and the leave to pin it (securememory/secret_state.h has
 * the protocol). It ends after a beat of the warden in which nobody used the secret, when a slot is wanted, when the
 * secret is closed, and with a shut-down; of the last three, not before its last pin is gone.
 *
 *     secret opened --add--> in the list --taken out by one of those--> its reader leaves
 *
 * Whoever takes a secret out ends its reader; until then the secret cannot be closed or freed.
 * Lock order: `ending`, a secret's mutex, `lock`.
 * Layer: securememory.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_SECUREMEMORY_SECRET_LEASES_H
#define AEL_SECUREMEMORY_SECRET_LEASES_H

#include "base/sync.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct ael_secret;

/* A secret's part of the list, guarded by its lock; zero is not in it. */
struct ael_secret_lease {
    bool listed;
    bool chained;   /* taken out, in a chain */
    bool ending;    /* taken away; it stays in the list while it is pinned */
    bool withdrawn; /* during a beat: not to be had until it is known whether it is pinned */
    int64_t since_ns;
    struct ael_secret *next; /* in the list, or in a chain of those taken out */
    struct ael_secret *previous;
};

struct ael_secret_leases {
    struct ael_mutex ending; /* held by who ends leases, over all of it: who comes second finds them ended */
    struct ael_mutex lock;
    struct ael_secret *first;
    int64_t max_open_ns; /* 0: no bound; does not change */
    uint32_t unwanted;   /* how many want that no new lease begins: they wait for slots, or shut down */
};

AEL_MUST_CHECK enum ael_status ael_secret_leases_init(struct ael_secret_leases *leases, int64_t max_open_ns);
void ael_secret_leases_clear(struct ael_secret_leases *leases);

/** Begins a lease of an open secret, unless it has one or none is wanted. With the secret's mutex held; it is not
 * closing. @return whether one began. */
bool ael_secret_leases_add(struct ael_secret_leases *leases, struct ael_secret *secret);

/** Takes a secret's lease away, if it has one, and marks its word. @return true when it is out of the list now; false
 * when it had none, or is pinned: who unpins it will take it out. */
bool ael_secret_leases_take(struct ael_secret_leases *leases, struct ael_secret *secret, uint64_t marks);

/** Takes out those that were not used since the last beat, or are open for too long, and are not pinned; the others begin
 * a new beat. @return a chain of them, for ael_secret_leases_unchain; NULL when there are none. */
struct ael_secret *ael_secret_leases_take_unused(struct ael_secret_leases *leases);

/** Takes all leases away, and those out that are not pinned. @return as ael_secret_leases_take_unused. */
struct ael_secret *ael_secret_leases_take_all(struct ael_secret_leases *leases);

/** Takes out those that were taken away before and are not pinned any more, for a thread that was awaited and is not
 * any more. @return as ael_secret_leases_take_unused. */
struct ael_secret *ael_secret_leases_take_ended(struct ael_secret_leases *leases);

/** Takes the first out of a chain; NULL when there is none left. */
struct ael_secret *ael_secret_leases_unchain(struct ael_secret_leases *leases, struct ael_secret **chain);

/** Has no new leases begin, until as many calls of ael_secret_leases_want. */
void ael_secret_leases_unwant(struct ael_secret_leases *leases);
void ael_secret_leases_want(struct ael_secret_leases *leases);

/** Tells whether there is any. Threads: any. */
bool ael_secret_leases_are_there(struct ael_secret_leases *leases);

#endif /* AEL_SECUREMEMORY_SECRET_LEASES_H */
