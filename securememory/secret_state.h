/*
 * securememory/secret_state.h - what a secret is inside, shared by the files that make, open and close it.
 *
 * One atomic word tells all that an access must know:
 *
 *     bits 0..31 readers | bits 32..59 borrowers | released | closing | closed
 *
 * readers     accesses that are open; the bytes are readable while there are any
 * borrowers   operations that unseal the secret for themselves
 * released    its last holder is gone while an access was still open; the end of the last access frees it
 * closing     no more accesses; set once, never taken back
 * closed      wiped
 *
 * Joining a secret that is open is one compare-and-swap from "readers > 0 and not closing"; the steps from
 * and to no readers run under the secret's mutex.
 * Lock order: a secret's mutex before any of the pools' (docs/memory.md).
 * Layer: securememory.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_SECUREMEMORY_SECRET_STATE_H
#define AEL_SECUREMEMORY_SECRET_STATE_H

#include "base/refcount.h"
#include "base/sync.h"
#include "securememory/own_pages.h"
#include "securememory/sealed_key.h"
#include "securememory/secret_leases.h"
#include "securememory/secret_slots.h"

#define AEL_SECRET_READER    (UINT64_C(1))
#define AEL_SECRET_READERS   (UINT64_C(0xffffffff))
#define AEL_SECRET_BORROWER  (UINT64_C(1) << 32)
#define AEL_SECRET_BORROWERS (UINT64_C(0x0fffffff) << 32)
#define AEL_SECRET_RELEASED  (UINT64_C(1) << 61)
#define AEL_SECRET_CLOSING   (UINT64_C(1) << 62)
#define AEL_SECRET_CLOSED    (UINT64_C(1) << 63)

struct ael_secret {
    atomic_uint_least64_t word;
    const uint8_t *open_bytes; /* valid while there are readers; written before the first is counted */
    size_t len;
    atomic_uint_least32_t process; /* changes once in a child; release and acquire: what was reset there is seen */
    uint32_t epoch;
    uint8_t padding[64]; /* what follows changes on the slow path and is kept off the word's cache line */
    struct ael_refcount holders;
    struct ael_mutex lock;
    struct ael_cond changed;      /* an opening ended, the last reader or borrower left, or it was closed */
    bool opening;                 /* under the lock: somebody opens it without holding the lock */
    struct ael_secret_slot *slot; /* the slot bound to it; guarded by the slots' lock */
    struct ael_own_pages *own;    /* in place of a seal when it is too large for a slot */
    struct ael_secret_lease lease;
    struct ael_key_binding binding;
    uint64_t nonce;
    uint32_t root;
    uint8_t sealed[]; /* len + tag */
};

/** Frees what the last holder left; it is closed and nobody has it open. */
void ael_secret_free(struct ael_secret *secret);

/** Closes and wipes, under no lock; waits for readers and borrowers. As ael_secret_close without its own
 * checks. */
enum ael_status ael_secret_close_and_wait(struct ael_secret *secret);

/** Ends the secret's lease, if it has one, with its lock held. @return as ael_secret_access_end. */
enum ael_status ael_secret_end_lease(struct ael_secret *secret);

/** Ends the leases of secrets that were not used since the last call, or all. Inside the gate, under no lock. */
void ael_secret_end_leases(bool all);

/** Tells whether this thread has the secret open; with NULL, any secret of this process. */
bool ael_secret_is_open_here(const struct ael_secret *secret);

/** Takes this thread's accesses to a secret of before fork off its list. */
void ael_secret_forget_accesses(const struct ael_secret *secret);

/**
 * Makes a secret of before a fork this process's, if it is not yet: nobody has it open here.
 *
 * @return AEL_OK; AEL_E_FORKED (forgotten, too large for a seal, or in a child without handlers). Threads: any.
 */
AEL_MUST_CHECK enum ael_status ael_secret_make_ours(struct ael_secret *secret);

/** Opens the seal. @param out  secret->len bytes of protected memory. Inside the gate. */
AEL_MUST_CHECK enum ael_status ael_secret_unseal(const struct ael_secret *secret, uint8_t *out);

/** Counts of secrets made since the start, and of those not closed yet. Threads: any. */
void ael_secret_totals(uint64_t *allocated, uint64_t *in_use);

#endif /* AEL_SECUREMEMORY_SECRET_STATE_H */
