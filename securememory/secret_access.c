/* SPDX-License-Identifier: Apache-2.0 */
#include <ael/secret.h>

#include "base/barrier.h"
#include "base/check.h"
#include "base/thread_entry.h"
#include "base/tls.h"
#include "base/wipe.h"
#include "securememory/protected.h"
#include "securememory/secret_state.h"

#include <string.h>

/* How an access keeps its secret open (securememory/secret_state.h): its `hold`. */
enum { BY_PIN_AT = 0 /* and the place */, BY_COUNT = AEL_THREAD_PINS, BY_OUTER };

/* The accesses that this thread has open, the newest first. Initial-exec: one load instead of a call. */
static AEL_TLS struct ael_secret_access *t_open;

/* An access of this thread's to the secret, or, with NULL, to any; those of before a fork are over. */
static struct ael_secret_access *find_here(const struct ael_secret *secret) {
    struct ael_secret_access *at = t_open;
    while (at != NULL && (at->process != ael_process_number() || (secret != NULL && at->secret != secret))) {
        at = at->outer;
    }
    return at;
}

/* see securememory/secret_state.h */
bool ael_secret_is_open_here(const struct ael_secret *secret) {
    return find_here(secret) != NULL;
}

/* see securememory/secret_state.h */
const struct ael_secret_access *ael_secret_newest_access(void) {
    return t_open;
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

/* -- pins -- */

/* Returns the bytes; NULL when they are not to be had: then the place must be let go. Acquire pairs with the release with
 * which they are shared: who sees them sees the page readable. */
static inline const uint8_t *
pin_at(struct ael_thread_entry *mine, uint32_t place, const struct ael_secret *secret) {
    ael_thread_pin(mine, place, secret);
    ael_barrier_light();
    return atomic_load_explicit(&secret->shared, memory_order_acquire);
}

/* Tells whether the thread is awaited: then it has to settle leases. */
static inline bool unpin(struct ael_thread_entry *mine, uint32_t place) {
    ael_thread_unpin(mine, place);
    ael_barrier_light();
    return __builtin_expect(atomic_load_explicit(&mine->awaited, memory_order_relaxed), 0);
}

static void let_place_go(struct ael_thread_entry *mine, uint32_t place) {
    if (unpin(mine, place)) {
        ael_secret_settle_leases();
    }
}

static uint32_t free_place(const struct ael_thread_entry *mine) {
    uint32_t place = 0;
    while (place < AEL_THREAD_PINS && !ael_thread_has_place(mine, place)) {
        place++;
    }
    return place;
}

/* Looks first whether there is anything to be had. */
static bool pin(struct ael_secret *secret, struct ael_secret_access *access) {
    if (atomic_load_explicit(&secret->shared, memory_order_relaxed) == NULL) {
        return false;
    }
    struct ael_thread_entry *mine = ael_thread_entry_mine();
    if (mine == NULL) {
        return false;
    }
    uint32_t place = free_place(mine);
    access->bytes.data = place < AEL_THREAD_PINS ? pin_at(mine, place, secret) : NULL;
    access->hold = BY_PIN_AT + place;
    if (access->bytes.data == NULL && place < AEL_THREAD_PINS) {
        let_place_go(mine, place);
    }
    return access->bytes.data != NULL;
}

/* -- beginning -- */

/* While one access of this thread keeps it open, others need nothing of their own. */
static enum ael_status join_outer(
    const struct ael_secret *secret,
    const struct ael_secret_access *outer,
    struct ael_secret_access *access) {
    if ((atomic_load_explicit(&secret->word, memory_order_acquire) & AEL_SECRET_CLOSING) != 0) {
        return AEL_E_CLOSED;
    }
    ael_pkey_begin(ael_protected()->secret_key, false);
    access->bytes.data = outer->bytes.data;
    access->hold = BY_OUTER;
    return AEL_OK;
}

static enum ael_status count_in(struct ael_secret *secret, struct ael_secret_access *access) {
    AEL_TRY(ael_secret_open(secret));
    ael_pkey_begin(ael_protected()->secret_key, false); /* pins are for `leased` */
    access->bytes.data = secret->open_bytes;
    access->hold = BY_COUNT;
    return AEL_OK;
}

static enum ael_status keep_open(struct ael_secret *secret, struct ael_secret_access *access) {
    AEL_TRY(ael_secret_make_ours(secret));
    const struct ael_secret_access *outer = t_open == NULL ? NULL : find_here(secret);
    if (outer != NULL) {
        return join_outer(secret, outer, access);
    }
    return pin(secret, access) ? AEL_OK : count_in(secret, access);
}

static void note_use(struct ael_secret *secret) {
    if (!atomic_load_explicit(&secret->used, memory_order_relaxed)) {
        atomic_store_explicit(&secret->used, true, memory_order_relaxed);
    }
}

/* gcc 12 cannot see that ael_secret_access_end takes the address off the list again: it is not to see the address. */
static void remember(struct ael_secret_access *access) {
    access->outer = t_open;
    __asm__("" : "+r"(access));
    t_open = access;
}

/* The ways that are not common are functions of their own, so that the common one is short and saves no registers. */
__attribute__((noinline)) static enum ael_status
begin_anyhow(struct ael_secret *secret, struct ael_secret_access *access) {
    enum ael_status status = secret == NULL ? AEL_E_ARGUMENT : keep_open(secret, access);
    if (status != AEL_OK) {
        *access = (struct ael_secret_access){.secret = NULL};
        return status;
    }
    note_use(secret);
    access->bytes.len = secret->len;
    access->secret = secret;
    access->process = ael_process_number();
    remember(access);
    return AEL_OK;
}

/* The lease ended between the look and the pin. */
__attribute__((noinline)) static enum ael_status
begin_again(struct ael_secret *secret, struct ael_secret_access *access) {
    let_place_go(ael_thread_entry_here, 0);
    return begin_anyhow(secret, access);
}

/* The common case: open on lease, and the only access of this thread; so its first place is free, if all is well. */
static inline bool
may_pin_at_once(const struct ael_secret *secret, const struct ael_thread_entry *mine, uint32_t process) {
    return mine != NULL && t_open == NULL && ael_thread_has_place(mine, 0) &&
           atomic_load_explicit(&secret->process, memory_order_acquire) == process &&
           atomic_load_explicit(&secret->shared, memory_order_relaxed) != NULL;
}

/* see ael/secret.h */
enum ael_status ael_secret_access_begin(struct ael_secret *secret, struct ael_secret_access *access) {
    struct ael_thread_entry *mine = ael_thread_entry_here;
    uint32_t process = ael_process_number();
    if (access == NULL) {
        return AEL_E_ARGUMENT;
    }
    if (secret == NULL || !may_pin_at_once(secret, mine, process)) {
        return begin_anyhow(secret, access);
    }
    const uint8_t *bytes = pin_at(mine, 0, secret);
    if (__builtin_expect(bytes == NULL, 0)) {
        return begin_again(secret, access);
    }
    note_use(secret);
    *access = (struct ael_secret_access){{bytes, secret->len}, secret, NULL, process, BY_PIN_AT};
    remember(access);
    return AEL_OK;
}

/* -- ending -- */

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

/* Hands what an access holds on to another one of this thread to the same secret, if there is one. */
static bool hand_on(const struct ael_secret *secret, uint32_t hold) {
    struct ael_secret_access *heir = t_open == NULL ? NULL : find_here(secret);
    if (heir != NULL) {
        heir->hold = hold;
    }
    return heir != NULL;
}

static enum ael_status let_go(struct ael_secret *secret, uint32_t hold) {
    if (hold == BY_OUTER || hand_on(secret, hold)) {
        return AEL_OK;
    }
    if (hold == BY_COUNT) {
        return ael_secret_leave(secret);
    }
    let_place_go(ael_thread_entry_here, hold - BY_PIN_AT);
    return AEL_OK;
}

__attribute__((noinline)) static enum ael_status end_anyhow(struct ael_secret_access *access) {
    if (access == NULL || !forget(access)) {
        return AEL_E_ARGUMENT;
    }
    struct ael_secret_access ended = *access;
    *access = (struct ael_secret_access){.secret = NULL};
    if (ended.process != ael_process_number()) {
        return AEL_E_FORKED; /* it was over with the fork */
    }
    enum ael_status status = let_go(ended.secret, ended.hold);
    if (ended.hold >= BY_COUNT) {
        ael_pkey_end(AEL_PKEY_SECRETS); /* last: what shuts the secret looks at its canary */
    }
    return status;
}

__attribute__((noinline)) static enum ael_status settle(void) {
    ael_secret_settle_leases();
    return AEL_OK;
}

/* see ael/secret.h. What began at once ends at once. */
enum ael_status ael_secret_access_end(struct ael_secret_access *access) {
    if (access == NULL || t_open != access || access->outer != NULL || access->hold != BY_PIN_AT ||
        access->process != ael_process_number()) {
        return end_anyhow(access);
    }
    *access = (struct ael_secret_access){.secret = NULL};
    t_open = NULL;
    return unpin(ael_thread_entry_here, 0) ? settle() : AEL_OK;
}

/* see ael/secret.h */
enum ael_status ael_secret_with_bytes(struct ael_secret *secret, ael_secret_bytes_fn fn, void *context) {
    struct ael_secret_access access;
    if (fn == NULL) {
        return AEL_E_ARGUMENT;
    }
    AEL_TRY(ael_secret_access_begin(secret, &access));
    enum ael_status status = fn(context, access.bytes);
    enum ael_status ended = ael_secret_access_end(&access);
    return status != AEL_OK ? status : ended;
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
