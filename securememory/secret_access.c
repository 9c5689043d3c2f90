/* SPDX-License-Identifier: Apache-2.0 */
#include <ael/secret.h>

#include "base/barrier.h"
#include "base/check.h"
#include "base/thread_entry.h"
#include "base/wipe.h"
#include "securememory/protected.h"
#include "securememory/secret_state.h"

#include <string.h>

/* How an access keeps its secret open (securememory/secret_state.h): its `hold`. */
enum { BY_PIN_AT = 0 /* and the place */, BY_COUNT = AEL_THREAD_PINS, BY_OUTER };

/* The accesses that this thread has open, the newest first. Initial-exec: one load instead of a call. */
static _Thread_local struct ael_secret_access *t_open __attribute__((tls_model("initial-exec")));

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

static void unpin(struct ael_thread_entry *mine, uint32_t place) {
    ael_thread_unpin(mine, place);
    ael_barrier_light();
    if (__builtin_expect(atomic_load_explicit(&mine->awaited, memory_order_relaxed), 0)) {
        ael_secret_settle_leases();
    }
}

/* Not inlined: it is rare, and what is common stays short. */
__attribute__((noinline)) static bool unpin_in_vain(struct ael_thread_entry *mine, uint32_t place) {
    unpin(mine, place);
    return false;
}

/* Acquire pairs with the release with which the bytes are shared: who sees them sees the page readable. */
static bool pin(struct ael_secret *secret, struct ael_secret_access *access) {
    struct ael_thread_entry *mine = ael_thread_entry_here;
    if (mine == NULL || atomic_load_explicit(&secret->shared, memory_order_relaxed) == NULL) {
        return false;
    }
    uint32_t place = ael_thread_pin(mine, secret);
    if (place == AEL_THREAD_PINS) {
        return false;
    }
    ael_barrier_light();
    access->bytes.data = atomic_load_explicit(&secret->shared, memory_order_acquire);
    access->hold = BY_PIN_AT + place;
    return access->bytes.data != NULL || unpin_in_vain(mine, place);
}

/* -- beginning -- */

/* While one access of this thread keeps it open, others need nothing of their own. */
static enum ael_status join_outer(
    const struct ael_secret *secret, const struct ael_secret_access *outer, struct ael_secret_access *access) {
    if ((atomic_load_explicit(&secret->word, memory_order_relaxed) & AEL_SECRET_CLOSING) != 0) {
        return AEL_E_CLOSED;
    }
    ael_pkey_begin(ael_protected()->secret_key, false);
    access->bytes.data = outer->bytes.data;
    access->hold = BY_OUTER;
    return AEL_OK;
}

static enum ael_status count_in(struct ael_secret *secret, struct ael_secret_access *access) {
    AEL_TRY(ael_secret_open(secret));
    (void)ael_thread_entry_mine(); /* for the next time; without memory, that is counted too */
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

static void remember(struct ael_secret_access *access) {
    access->outer = t_open;
    __asm__("" : "+r"(access)); /* gcc 12 cannot see that ael_secret_access_end takes the address off the list again */
    t_open = access;
}

/* see ael/secret.h */
enum ael_status ael_secret_access_begin(struct ael_secret *secret, struct ael_secret_access *access) {
    if (access == NULL) {
        return AEL_E_ARGUMENT;
    }
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
    unpin(ael_thread_entry_here, hold - BY_PIN_AT);
    return AEL_OK;
}

/* see ael/secret.h */
enum ael_status ael_secret_access_end(struct ael_secret_access *access) {
    if (access == NULL || !forget(access)) {
        return AEL_E_ARGUMENT;
    }
    struct ael_secret *secret = access->secret;
    uint32_t process = access->process;
    uint32_t hold = access->hold;
    *access = (struct ael_secret_access){.secret = NULL};
    if (process != ael_process_number()) {
        return AEL_E_FORKED; /* it was over with the fork */
    }
    enum ael_status status = let_go(secret, hold);
    if (hold >= BY_COUNT) {
        ael_pkey_end(AEL_PKEY_SECRETS); /* last: what shuts the secret looks at its canary */
    }
    return status;
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
