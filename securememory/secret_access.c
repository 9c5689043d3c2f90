/* SPDX-License-Identifier: Apache-2.0 */
#include <ael/secret.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/hooks.h"
#include "base/wipe.h"
#include "securememory/process.h"
#include "securememory/protected.h"
#include "securememory/secret_state.h"

#include <string.h>

static const int64_t k_long_past_ns = 1; /* a deadline with which nothing waits */
static const int64_t k_slot_wait_ns = INT64_C(10) * 1000000000;

/* The accesses that this thread has open, the newest first. Initial-exec: one load instead of a call. */
static _Thread_local struct ael_secret_access *t_open __attribute__((tls_model("initial-exec")));

/* see securememory/secret_state.h */
bool ael_secret_is_open_here(const struct ael_secret *secret) {
    for (const struct ael_secret_access *at = t_open; at != NULL; at = at->outer) {
        if (at->process == ael_process_number() && (secret == NULL || at->secret == secret)) {
            return true;
        }
    }
    return false;
}

/* see securememory/secret_state.h */
void ael_secret_forget_accesses(const struct ael_secret *secret) {
    struct ael_secret_access **at = &t_open;
    while (*at != NULL) {
        if ((*at)->secret == secret) {
            *at = (*at)->outer;
        } else {
            at = &(*at)->outer;
        }
    }
}

/* see securememory/secret_state.h */
enum ael_status ael_secret_unseal(const struct ael_secret *secret, uint8_t *out) {
    struct ael_bytes sealed = {secret->sealed, secret->len + AEL_SEAL_TAG_BYTES};
    return ael_roots_open(
        &ael_protected()->roots, secret->root, secret->nonce, &secret->binding, sealed, out);
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

/* Secrets that are open on lease alone give their slots up before anybody waits. */
static enum ael_status
take_slot(struct ael_secret_slots *slots, int64_t deadline_ns, struct ael_secret_slot **slot) {
    bool leased = ael_protected()->level == AEL_PROTECTION_LEASED;
    enum ael_status status = ael_secret_slots_take(slots, leased ? k_long_past_ns : deadline_ns, slot);
    if (status == AEL_E_TIMEOUT && leased) {
        ael_secret_end_leases(true);
        status = ael_secret_slots_take(slots, deadline_ns, slot);
    }
    return status;
}

/* Takes a slot and unseals into it; may wait for a slot. */
static enum ael_status fill_slot(struct ael_secret *secret, int64_t deadline_ns) {
    struct ael_secret_slots *slots = &ael_protected()->slots;
    struct ael_secret_slot *slot = NULL;

    AEL_TRY(take_slot(slots, deadline_ns, &slot));
    enum ael_status status = ael_secret_unseal(secret, ael_secret_slots_place(slots, slot, secret->len));
    ael_wipe_stack();
    if (status != AEL_OK) {
        ael_secret_slots_discard(slots, slot);
        return status;
    }
    return ael_secret_slots_bind(slots, slot, &secret->slot);
}

/* With the lock held, given up while a slot is awaited. */
static enum ael_status open_in_fresh_slot(struct ael_secret *secret, int64_t deadline_ns) {
    secret->opening = true;
    ael_mutex_unlock(&secret->lock);
    enum ael_status status = fill_slot(secret, deadline_ns);
    ael_mutex_lock(&secret->lock);
    secret->opening = false;
    ael_cond_broadcast(&secret->changed);
    return status;
}

static enum ael_status open_in_slot(struct ael_secret *secret, int64_t deadline_ns) {
    enum ael_status status = ael_secret_slots_reopen(&ael_protected()->slots, &secret->slot);
    if (status == AEL_E_STATE) {
        status = open_in_fresh_slot(secret, deadline_ns);
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
static enum ael_status open_first(struct ael_secret *secret, int64_t deadline_ns) {
    AEL_TRY(ael_protected_hold(secret->epoch));
    enum ael_status status = secret->own != NULL ? open_own_pages(secret) : open_in_slot(secret, deadline_ns);
    if (status != AEL_OK) {
        ael_protected_drop();
    } else if (ael_protected()->level == AEL_PROTECTION_LEASED) {
        atomic_fetch_add_explicit(&secret->word, AEL_SECRET_READER, memory_order_relaxed);
        ael_secret_leases_add(&ael_protected()->secret_leases, secret);
    }
    return status;
}

/* With the lock held. */
static enum ael_status join_or_open(struct ael_secret *secret, int64_t deadline_ns) {
    while (secret->opening && (atomic_load(&secret->word) & AEL_SECRET_CLOSING) == 0) {
        AEL_TRY(ael_cond_wait_until(&secret->changed, &secret->lock, deadline_ns));
    }
    if ((atomic_load(&secret->word) & AEL_SECRET_CLOSING) != 0) {
        return AEL_E_CLOSED;
    }
    return join(secret) ? AEL_OK : open_first(secret, deadline_ns);
}

static enum ael_status begin_slowly(struct ael_secret *secret) {
    int64_t deadline_ns = ael_clock_boot_ns() + k_slot_wait_ns;
    ael_mutex_lock(&secret->lock);
    enum ael_status status = join_or_open(secret, deadline_ns);
    ael_mutex_unlock(&secret->lock);
    if (status == AEL_OK && ael_protected()->level == AEL_PROTECTION_LEASED) {
        ael_warden_wake(&ael_protected()->warden);
    }
    return status;
}

/* Stored when it changes only: its line stays shared among readers. */
static void note_use(struct ael_secret *secret) {
    if (!atomic_load_explicit(&secret->lease.used, memory_order_relaxed)) {
        atomic_store_explicit(&secret->lease.used, true, memory_order_relaxed);
    }
}

/* Not inlined: gcc 12 cannot see that ael_secret_access_end takes the address off the list again. */
__attribute__((noinline)) static void remember(struct ael_secret_access *access) {
    access->outer = t_open;
    t_open = access;
}

/* see ael/secret.h */
enum ael_status ael_secret_access_begin(struct ael_secret *secret, struct ael_secret_access *access) {
    if (access == NULL) {
        return AEL_E_ARGUMENT;
    }
    *access = (struct ael_secret_access){{NULL, 0}, NULL, NULL, 0};
    if (secret == NULL) {
        return AEL_E_ARGUMENT;
    }
    AEL_TRY(ael_secret_make_ours(secret));
    if (!join(secret)) {
        AEL_TRY(begin_slowly(secret));
    }
    note_use(secret);
    access->bytes = (struct ael_bytes){secret->open_bytes, secret->len};
    access->secret = secret;
    access->process = ael_process_number();
    remember(access);
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

/* -- leases -- */

/* see securememory/secret_state.h. Without readers there is none. */
enum ael_status ael_secret_end_lease(struct ael_secret *secret) {
    enum ael_status status = AEL_OK;
    bool open = (atomic_load(&secret->word) & AEL_SECRET_READERS) != 0;
    if (open && ael_secret_leases_take(&ael_protected()->secret_leases, secret)) {
        (void)leave_and_shut(secret, &status);
    }
    return status;
}

/* see securememory/secret_state.h */
void ael_secret_end_leases(bool all) {
    struct ael_secret_leases *leases = &ael_protected()->secret_leases;
    ael_mutex_lock(&leases->ending);
    struct ael_secret *secret = ael_secret_leases_take_next(leases, all);
    while (secret != NULL) {
        enum ael_status status = leave(secret) ? AEL_OK : end_slowly(secret);
        if (status != AEL_OK) {
            ael_log(AEL_LOG_ERROR, "securememory", "the end of a secret's lease: %s", ael_status_text(status));
        }
        secret = ael_secret_leases_take_next(leases, all);
    }
    ael_mutex_unlock(&leases->ending);
}

/* Takes the access off this thread's list. */
static bool forget(const struct ael_secret_access *access) {
    for (struct ael_secret_access **at = &t_open; *at != NULL; at = &(*at)->outer) {
        if (*at == access) {
            *at = access->outer;
            return true;
        }
    }
    return false;
}

/* see ael/secret.h */
enum ael_status ael_secret_access_end(struct ael_secret_access *access) {
    if (access == NULL || !forget(access)) {
        return AEL_E_ARGUMENT;
    }
    struct ael_secret *secret = access->secret;
    uint32_t process = access->process;
    *access = (struct ael_secret_access){{NULL, 0}, NULL, NULL, 0};
    if (process != ael_process_number()) {
        return AEL_E_FORKED; /* it was over with the fork */
    }
    return leave(secret) ? AEL_OK : end_slowly(secret);
}

/* see ael/secret.h */
enum ael_status ael_secret_with_bytes(struct ael_secret *secret, ael_secret_bytes_fn fn, void *context) {
    struct ael_secret_access access;
    if (fn == NULL) {
        return AEL_E_ARGUMENT;
    }
    AEL_TRY(ael_secret_access_begin(secret, &access));
    enum ael_status status = fn(context, access.bytes);
    enum ael_status end = ael_secret_access_end(&access);
    return status != AEL_OK ? status : end;
}

/* -- borrowing: a copy into the library's own scratch -- */

static bool borrow(struct ael_secret *secret) {
    uint64_t word = atomic_load_explicit(&secret->word, memory_order_relaxed);
    while ((word & AEL_SECRET_CLOSING) == 0) {
        if (atomic_compare_exchange_weak_explicit(
                &secret->word, &word, word + AEL_SECRET_BORROWER, memory_order_acquire,
                memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

/* Under the lock, so that a close that saw the borrower is already waiting, and cannot free the secret before
 * this ends. */
static void give_back(struct ael_secret *secret) {
    ael_mutex_lock(&secret->lock);
    atomic_fetch_sub_explicit(&secret->word, AEL_SECRET_BORROWER, memory_order_release);
    ael_cond_broadcast(&secret->changed);
    ael_mutex_unlock(&secret->lock);
}

static enum ael_status unseal_into(struct ael_secret *secret, uint8_t *out) {
    if (!borrow(secret)) {
        return AEL_E_CLOSED;
    }
    enum ael_status status = ael_protected_enter_to_end(secret->epoch);
    if (status == AEL_OK) {
        status = ael_secret_unseal(secret, out);
        ael_protected_leave();
    }
    give_back(secret);
    return status;
}

static enum ael_status copy_own_pages(struct ael_secret *secret, uint8_t *out) {
    struct ael_secret_access access;
    AEL_TRY(ael_secret_access_begin(secret, &access));
    memcpy(out, access.bytes.data, access.bytes.len);
    return ael_secret_access_end(&access);
}

/* see securememory/sealed_key.h */
enum ael_status ael_secret_open_into(struct ael_secret *secret, uint8_t *out, size_t cap) {
    AEL_TRY(ael_secret_make_ours(secret));
    if (cap < secret->len) {
        return AEL_E_BUFFER_TOO_SMALL;
    }
    enum ael_status status = secret->own != NULL ? copy_own_pages(secret, out) : unseal_into(secret, out);
    if (status != AEL_OK) {
        ael_wipe(out, secret->len);
    }
    return status;
}
