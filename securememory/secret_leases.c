/* SPDX-License-Identifier: Apache-2.0 */
#include "securememory/secret_leases.h"

#include "base/check.h"
#include "securememory/secret_state.h"

#include <string.h>

/* see securememory/secret_leases.h */
enum ael_status ael_secret_leases_init(struct ael_secret_leases *leases) {
    memset(leases, 0, sizeof *leases);
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

/* see securememory/secret_leases.h */
void ael_secret_leases_add(struct ael_secret_leases *leases, struct ael_secret *secret) {
    struct ael_secret_lease *lease = &secret->lease;
    atomic_store_explicit(&lease->used, true, memory_order_relaxed);
    ael_mutex_lock(&leases->lock);
    lease->listed = true;
    lease->previous = NULL;
    lease->next = leases->first;
    if (leases->first != NULL) {
        leases->first->lease.previous = secret;
    }
    leases->first = secret;
    ael_mutex_unlock(&leases->lock);
}

/* Under the lock. */
static void take_out(struct ael_secret_leases *leases, struct ael_secret *secret) {
    struct ael_secret_lease *lease = &secret->lease;
    *(lease->previous == NULL ? &leases->first : &lease->previous->lease.next) = lease->next;
    if (lease->next != NULL) {
        lease->next->lease.previous = lease->previous;
    }
    lease->listed = false;
}

/* see securememory/secret_leases.h */
bool ael_secret_leases_take(struct ael_secret_leases *leases, struct ael_secret *secret) {
    ael_mutex_lock(&leases->lock);
    bool listed = secret->lease.listed;
    if (listed) {
        take_out(leases, secret);
    }
    ael_mutex_unlock(&leases->lock);
    return listed;
}

/* see securememory/secret_leases.h */
struct ael_secret *ael_secret_leases_take_next(struct ael_secret_leases *leases, bool all) {
    ael_mutex_lock(&leases->lock);
    struct ael_secret *at = leases->first;
    while (at != NULL && !all && atomic_exchange_explicit(&at->lease.used, false, memory_order_relaxed)) {
        at = at->lease.next;
    }
    if (at != NULL) {
        take_out(leases, at);
    }
    ael_mutex_unlock(&leases->lock);
    return at;
}

/* see securememory/secret_leases.h */
bool ael_secret_leases_are_there(struct ael_secret_leases *leases) {
    ael_mutex_lock(&leases->lock);
    bool there = leases->first != NULL;
    ael_mutex_unlock(&leases->lock);
    return there;
}
