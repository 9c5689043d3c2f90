/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "base/clock.h"
#include "base/hooks.h"
#include "base/wipe.h"
#include "securememory/protected.h"
#include "securememory/secret_state.h"

static const int64_t k_long_past_ns = 1; /* a deadline with which nothing waits */
static const int64_t k_slot_wait_ns = INT64_C(10) * 1000000000;

/* see securememory/secret_state.h */
enum ael_status ael_secret_unseal(const struct ael_secret *secret, uint8_t *out) {
    return ael_sealed_open(&secret->seal, &secret->seal.binding, out);
}

/* -- opening -- */

/* Joins the readers of a secret that is open. Acquire pairs with the release in publish: who sees the count
 * sees open_bytes and the page readable. */
static bool join(struct ael_secret *secret) {
    uint64_t word = atomic_load_explicit(&secret->word, memory_order_relaxed);
    while ((word & AEL_SECRET_READERS) != 0 && (word & AEL_SECRET_CLOSING) == 0) {
        if (atomic_compare_exchange_weak_explicit(
                &secret->word, &word, word + AEL_SECRET_READER, memory_order_acquire, memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

static void publish(struct ael_secret *secret, const uint8_t *bytes) {
    secret->open_bytes = bytes;
    atomic_fetch_add_explicit(&secret->word, AEL_SECRET_READER, memory_order_release);
}

/* Until when an opening waits. The clock is asked when it waits for the first time: mostly it does not. */
static int64_t end_of(int64_t *wait_until_ns) {
    if (*wait_until_ns == 0) {
        *wait_until_ns = ael_clock_boot_ns() + k_slot_wait_ns;
    }
    return *wait_until_ns;
}

/* Secrets that are open on lease alone give their slots up before anybody waits. */
static enum ael_status take_slot(int64_t deadline_ns, struct ael_secret_slot **slot) {
    struct ael_secret_slots *slots = &ael_protected()->slots;
    struct ael_secret_leases *leases = &ael_protected()->secret_leases;
    bool leased = ael_protected()->level == AEL_PROTECTION_LEASED;
    enum ael_status status = ael_secret_slots_take(slots, leased ? k_long_past_ns : deadline_ns, slot);
    if (status == AEL_E_TIMEOUT && leased) {
        ael_secret_leases_unwant(leases);
        ael_secret_end_all_leases();
        status = ael_secret_slots_take(slots, deadline_ns, slot);
        ael_secret_leases_want(leases);
    }
    return status;
}

/* see securememory/secret_state.h */
enum ael_status ael_secret_take_slot(struct ael_secret_slot **slot) {
    return take_slot(ael_clock_boot_ns() + k_slot_wait_ns, slot);
}

/* Takes a slot and unseals into it; may wait for a slot. */
static enum ael_status fill_slot(struct ael_secret *secret, int64_t *wait_until_ns) {
    struct ael_secret_slots *slots = &ael_protected()->slots;
    struct ael_secret_slot *slot = NULL;

    AEL_TRY(take_slot(end_of(wait_until_ns), &slot));
    enum ael_status status = ael_secret_unseal(secret, ael_secret_slots_place(slots, slot, secret->len));
    ael_wipe_stack();
    if (status != AEL_OK) {
        ael_secret_slots_discard(slots, slot);
        return status;
    }
    return ael_secret_slots_bind(slots, slot, &secret->slot);
}

/* With the lock held, given up while a slot is awaited. */
static enum ael_status open_in_fresh_slot(struct ael_secret *secret, int64_t *wait_until_ns) {
    secret->opening = true;
    ael_mutex_unlock(&secret->lock);
    enum ael_status status = fill_slot(secret, wait_until_ns);
    ael_mutex_lock(&secret->lock);
    secret->opening = false;
    ael_cond_broadcast(&secret->changed);
    return status;
}

static enum ael_status open_in_slot(struct ael_secret *secret, int64_t *wait_until_ns) {
    enum ael_status status = ael_secret_slots_reopen(&ael_protected()->slots, &secret->slot);
    if (status == AEL_E_STATE) {
        status = open_in_fresh_slot(secret, wait_until_ns);
    }
    if (status == AEL_OK) {
        publish(secret, ael_secret_slots_data(secret->slot));
    }
    return status;
}

static enum ael_status open_own_pages(struct ael_secret *secret) {
    AEL_TRY(ael_pages_set_access(&secret->own->pages, AEL_PAGES_READ));
    publish(secret, ael_own_pages_data(secret->own));
    return AEL_OK;
}

/* With the lock held: from no readers to one. Stays inside the gate on success. */
static enum ael_status open_first(struct ael_secret *secret, int64_t *wait_until_ns) {
    AEL_TRY(ael_protected_hold(secret->epoch));
    enum ael_status status =
        secret->own != NULL ? open_own_pages(secret) : open_in_slot(secret, wait_until_ns);
    if (status != AEL_OK) {
        ael_protected_drop();
    }
    return status;
}

/* With the lock held, and marks are set with it: what is not closing and cannot be joined has no readers. */
static enum ael_status join_or_open(struct ael_secret *secret, int64_t *wait_until_ns) {
    while (secret->opening && (atomic_load(&secret->word) & AEL_SECRET_CLOSING) == 0) {
        AEL_TRY(ael_cond_wait_until(&secret->changed, &secret->lock, end_of(wait_until_ns)));
    }
    if ((atomic_load(&secret->word) & AEL_SECRET_CLOSING) != 0) {
        return AEL_E_CLOSED;
    }
    return join(secret) ? AEL_OK : open_first(secret, wait_until_ns);
}

static enum ael_status open_slowly(struct ael_secret *secret) {
    int64_t wait_until_ns = 0;
    ael_mutex_lock(&secret->lock);
    enum ael_status status = join_or_open(secret, &wait_until_ns);
    ael_mutex_unlock(&secret->lock);
    return status;
}

/* The caller is a reader, so that memory is there. */
static void lease(struct ael_secret *secret) {
    ael_mutex_lock(&secret->lock);
    bool closing = (atomic_load(&secret->word) & AEL_SECRET_CLOSING) != 0;
    if (!closing && ael_secret_leases_add(&ael_protected()->secret_leases, secret)) {
        ael_warden_count_opening(&ael_protected()->warden);
    }
    ael_mutex_unlock(&secret->lock);
    ael_warden_wake(&ael_protected()->warden);
}

/* see securememory/secret_state.h */
enum ael_status ael_secret_open(struct ael_secret *secret) {
    if (!join(secret)) {
        AEL_TRY(open_slowly(secret));
    }
    bool leased = ael_protected()->level == AEL_PROTECTION_LEASED;
    if (leased && atomic_load_explicit(&secret->shared, memory_order_relaxed) == NULL) {
        lease(secret);
    }
    return AEL_OK;
}

/* -- shutting -- */

/* Leaves while other readers stay. Release: this reader's work comes before the last one's shutting. */
static bool leave(struct ael_secret *secret) {
    uint64_t word = atomic_load_explicit(&secret->word, memory_order_relaxed);
    while ((word & AEL_SECRET_READERS) > 1) {
        if (atomic_compare_exchange_weak_explicit(
                &secret->word, &word, word - AEL_SECRET_READER, memory_order_release, memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

static enum ael_status shut_own_pages(struct ael_secret *secret) {
    bool intact = ael_own_pages_are_intact(secret->own);
    enum ael_status status = ael_pages_set_access(&secret->own->pages, AEL_PAGES_CLOSED);
    return intact ? status : AEL_E_CORRUPTED;
}

/* With the lock held: nobody opens it meanwhile, but others may have joined. The word it leaves behind is
 * returned. */
static uint64_t leave_and_shut(struct ael_secret *secret, enum ael_status *status) {
    uint64_t word =
        atomic_fetch_sub_explicit(&secret->word, AEL_SECRET_READER, memory_order_acq_rel) - AEL_SECRET_READER;
    if ((word & AEL_SECRET_READERS) == 0) {
        *status = secret->own != NULL ? shut_own_pages(secret)
                                      : ael_secret_slots_rest(&ael_protected()->slots, secret->slot);
        ael_protected_drop();
        ael_cond_broadcast(&secret->changed);
    }
    return word;
}

static enum ael_status end_slowly(struct ael_secret *secret) {
    enum ael_status status = AEL_OK;
    ael_mutex_lock(&secret->lock);
    uint64_t word = leave_and_shut(secret, &status);
    ael_mutex_unlock(&secret->lock);
    if ((word & AEL_SECRET_RELEASED) != 0 && (word & AEL_SECRET_READERS) == 0) {
        (void)ael_secret_close_and_wait(secret);
        ael_secret_free(secret);
    }
    return status;
}

/* see securememory/secret_state.h */
enum ael_status ael_secret_leave(struct ael_secret *secret) {
    return leave(secret) ? AEL_OK : end_slowly(secret);
}

/* -- leases -- */

/* see securememory/secret_state.h. Without readers there is no lease; while there are some, memory is there. */
enum ael_status ael_secret_begin_to_close(struct ael_secret *secret, uint64_t marks) {
    enum ael_status status = AEL_OK;
    if ((atomic_load(&secret->word) & AEL_SECRET_READERS) == 0) {
        atomic_fetch_or(&secret->word, marks);
    } else if (ael_secret_leases_take(&ael_protected()->secret_leases, secret, marks)) {
        (void)leave_and_shut(secret, &status);
    }
    return status;
}

/* Of those in the chain; each may be gone afterwards. */
static void leave_for_leases(struct ael_secret_leases *leases, struct ael_secret *chain) {
    struct ael_secret *at = ael_secret_leases_unchain(leases, &chain);
    while (at != NULL) {
        enum ael_status status = ael_secret_leave(at);
        if (status != AEL_OK && status != AEL_E_CORRUPTED) { /* that is told by who found it, under no lock */
            ael_log(
                AEL_LOG_ERROR, "securememory", "the end of a secret's lease: %s", ael_status_text(status));
        }
        at = ael_secret_leases_unchain(leases, &chain);
    }
}

/* see securememory/secret_state.h */
void ael_secret_end_unused_leases(void) {
    struct ael_secret_leases *leases = &ael_protected()->secret_leases;
    ael_mutex_lock(&leases->ending);
    leave_for_leases(leases, ael_secret_leases_take_unused(leases));
    ael_mutex_unlock(&leases->ending);
}

/* see securememory/secret_state.h */
void ael_secret_end_all_leases(void) {
    struct ael_secret_leases *leases = &ael_protected()->secret_leases;
    ael_mutex_lock(&leases->ending);
    leave_for_leases(leases, ael_secret_leases_take_all(leases));
    ael_mutex_unlock(&leases->ending);
}

/* see securememory/secret_state.h. Memory may be gone by now, and with it all leases. */
void ael_secret_settle_leases(void) {
    struct ael_secret_leases *leases = &ael_protected()->secret_leases;
    if (ael_protected_hold_present() == AEL_OK) {
        leave_for_leases(leases, ael_secret_leases_take_ended(leases));
        ael_protected_drop();
    }
}
