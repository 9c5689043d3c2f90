/*
 * securememory/secret_leases.h - at the level `leased`: secrets that stay open for a while after the last access.
 *
 * A lease is one more reader of the secret, held by this list, so that joining and leaving an open secret stays what it
 * is at `strict`. It ends after a beat of the warden in which nobody joined, when a slot is wanted, when the secret is
 * closed, and with a shut-down.
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

struct ael_secret;

/* A secret's part of the list; zero is not in it. */
struct ael_secret_lease {
    atomic_bool used; /* joined since the last beat; relaxed: a beat more or less */
    bool listed;      /* what follows is guarded by the list's lock */
    struct ael_secret *next;
    struct ael_secret *previous;
};

struct ael_secret_leases {
    struct ael_mutex ending; /* held by who ends leases, over all of it: who comes second finds them ended */
    struct ael_mutex lock;
    struct ael_secret *first;
};

AEL_MUST_CHECK enum ael_status ael_secret_leases_init(struct ael_secret_leases *leases);
void ael_secret_leases_clear(struct ael_secret_leases *leases);

/** Adds a secret, for which the caller has counted a reader. */
void ael_secret_leases_add(struct ael_secret_leases *leases, struct ael_secret *secret);

/** Takes a secret out; false when it is not in the list (any more). */
bool ael_secret_leases_take(struct ael_secret_leases *leases, struct ael_secret *secret);

/** Takes out one that was not used since the last beat, or, with all, any; NULL when there is none. The used ones that
 * it passes begin a new beat. */
struct ael_secret *ael_secret_leases_take_next(struct ael_secret_leases *leases, bool all);

/** Tells whether there is any. Threads: any. */
bool ael_secret_leases_are_there(struct ael_secret_leases *leases);

#endif /* AEL_SECUREMEMORY_SECRET_LEASES_H */
