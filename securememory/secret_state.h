/*
 * securememory/secret_state.h - what a secret is inside, shared by the files that make, open and close it.
 *
 * One atomic word counts who uses it, on the slow path:
 *
 *     bits 0..31 readers | bits 32..59 borrowers | released | closing | closed
 *
 * readers     accesses that are counted, and the lease; the bytes are readable while there are any
 * borrowers   operations that unseal the secret for themselves
 * released    its last holder is gone while an access was still open; the end of the last one frees it
 * closing     no more accesses; set once, with the mutex held, never taken back
 * closed      wiped
 *
 * The steps from and to no readers run under the secret's mutex. An access keeps the secret open in one of three ways:
 *
 * by an outer access   The same thread has it open already: nothing is counted. Who ends first hands on what it holds.
 * by a pin             While the secret is open on lease, `shared` points to its bytes. No lock, no shared write.
 * by count             A reader of its own: at `strict`, while `shared` is NULL, and when no place is left for a pin.
 *
 * Lock order: a secret's mutex before any of the pools' (docs/memory.md).
 * Layer: securememory.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_SECUREMEMORY_SECRET_STATE_H
#define AEL_SECUREMEMORY_SECRET_STATE_H

#include "base/refcount.h"
#include "base/sync.h"
#include "securememory/own_pages.h"
#include "securememory/process.h"
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

/*
 * The protocol of pins and leases. P is a place in the thread's entry, written by that thread alone
 * (base/thread_entry.h); `awaited` is the entry's, too. light and heavy are the barriers of base/barrier.h: of a store
 * before the one and a store before the other, at least one side sees the other's behind it. `lock` is the list's of
 * leased secrets (securememory/secret_leases.h); the lease is one reader, counted as long as the secret is in that list.
 *
 *     begin    b0: shared is NULL: by count                        end    e1: P = NULL (release)
 *              b1: P = secret                                             e2: light
 *              b2: light                                                  e3: not awaited: over
 *              b3: bytes = shared (acquire); not NULL: it is open         e4: settle
 *              b4: else as end, then by count
 *
 *     lease    under the secret's mutex, open and not closing; under lock, nobody wants slots, and no lease of it that is
 *              out of the list still has its reader: readers++; in the list; shared = bytes
 *     beat     under lock, of secrets not used since the last beat:
 *              w1: shared = NULL   w2: heavy   w3: pinned: shared = bytes again   w4: else out of the list
 *              afterwards, under no lock, for each that is out: readers--, the last one shuts the page
 *     take     (close, release inside an access, a slot is wanted, shut-down) under lock:
 *              t1: ending; shared = NULL, and stays so; a close sets `closing` behind that, under the secret's mutex, too
 *              t2: heavy   t3: not pinned: out of the list, readers-- as above
 *              t4: pinned: awaited = true in the entries that pin it; one was not marked before: again from t2
 *     settle   s1: under lock: awaited = false; t2 to t4 for each secret in the list that is ending
 *
 *     sealed or idle --first access: open, lease--> leased (shared, pins come and go)
 *     leased --beat: unused, not pinned--> idle                  --beat: pinned--> leased
 *     leased --take, not pinned--> idle                          --take, pinned--> ending
 *     ending (readable; new accesses by count, none if closing) --last pin goes: settle--> idle
 *
 * Why no page is shut under a pin: it is shut only after w4 or t3. Either the pinning thread's b1 was seen there, behind
 * the barrier, or b3 comes behind w1 or t1 and sees NULL, or b3 came before and e1 was seen. Why nobody waits for ever:
 * t4 marks before it looks again, so either that look sees e1, or e3 sees the mark; e4 waits for lock, and then looks at
 * all that is ending. Why t2 to t4 end: an entry that is marked loses the mark only under lock. After e1 the secret may be
 * gone, and is not looked at: settle finds what is to be done in the list, whose secrets are kept by the lease's reader.
 *
 * A close waits on `changed` for readers and borrowers to go. Who was told that a secret is closing is never let in again,
 * because `shared` is NULL for good by then. In a child after fork
 * entries, list and (on the first use) the word are clear: `process` differs, which each begin and end looks at first.
 */

enum { AEL_SECRET_APART_BYTES = 64 }; /* keeps what changes off the cache line of what accesses only read */

struct ael_secret {
    _Atomic(const uint8_t *) shared; /* the bytes, while open on lease and to be had by a pin; else NULL */
    size_t len;
    atomic_uint_least32_t process; /* changes once in a child; release and acquire: what was reset there is seen */
    uint32_t epoch;
    atomic_bool used; /* begun since the last beat; relaxed: a beat more or less. Stored only when it changes */
    uint8_t apart[AEL_SECRET_APART_BYTES];
    atomic_uint_least64_t word;
    const uint8_t *open_bytes; /* valid while there are readers; written before the first is counted */
    uint8_t also_apart[AEL_SECRET_APART_BYTES];
    struct ael_refcount holders;
    struct ael_mutex lock;
    struct ael_cond changed;      /* an opening ended, the last reader or borrower left, or it was closed */
    bool opening;                 /* under the lock: somebody opens it without holding the lock */
    struct ael_secret_slot *slot; /* the slot bound to it; guarded by the slots' lock */
    struct ael_own_pages *own;    /* in place of a seal when it is too large for a slot */
    struct ael_secret_lease lease;
    struct ael_sealed seal; /* not without own pages */
    uint8_t sealed[];       /* of seal; right behind it */
};

/** Frees what the last holder left; it is closed and nobody has it open. */
void ael_secret_free(struct ael_secret *secret);

/** Closes and wipes, under no lock; waits for readers and borrowers. As ael_secret_close without its own
 * checks. */
enum ael_status ael_secret_close_and_wait(struct ael_secret *secret);

/**
 * Opens the secret, if it is not open, and counts the caller as a reader; at `leased` it is open on lease afterwards.
 *
 * @return as ael_secret_access_begin. Threads: any, under no lock.
 */
AEL_MUST_CHECK enum ael_status ael_secret_open(struct ael_secret *secret);

/** Drops a reader; the last one shuts the secret, and frees it if it was released. @return as ael_secret_access_end. */
AEL_MUST_CHECK enum ael_status ael_secret_leave(struct ael_secret *secret);

/** Marks the secret's word as closing, or more, and takes its lease away, if it has one; with its lock held.
 * @return as ael_secret_access_end. */
enum ael_status ael_secret_begin_to_close(struct ael_secret *secret, uint64_t marks);

/** The warden's beat: ends the leases of secrets that were not used since the last one. Inside the gate, under no lock. */
void ael_secret_end_unused_leases(void);

/** Takes all leases away. Those of secrets that are pinned end with the last pin. Inside the gate, under no lock. */
void ael_secret_end_all_leases(void);

/** For a thread that is awaited: ends the leases that were taken away and are not pinned any more. Under no lock. */
void ael_secret_settle_leases(void);

/** Tells whether this thread has the secret open; with NULL, any secret of this process. */
bool ael_secret_is_open_here(const struct ael_secret *secret);

/** Returns the access that this thread began last and has open still, to be compared alone; NULL = none. */
const struct ael_secret_access *ael_secret_newest_access(void);

/** Takes this thread's accesses to a secret of before fork off its list. */
void ael_secret_forget_accesses(const struct ael_secret *secret);

/** ael_secret_make_ours where the process is not the one that the secret was last used in. */
AEL_MUST_CHECK enum ael_status ael_secret_make_ours_now(struct ael_secret *secret, uint32_t process);

/**
 * Makes a secret of before a fork this process's, if it is not yet: nobody has it open here.
 *
 * @return AEL_OK; AEL_E_FORKED (forgotten, too large for a seal, or in a child without handlers). Threads: any.
 */
AEL_MUST_CHECK static inline enum ael_status ael_secret_make_ours(struct ael_secret *secret) {
    uint32_t process = ael_process_number();
    bool ours = atomic_load_explicit(&secret->process, memory_order_acquire) == process;
    return __builtin_expect(ours, 1) ? AEL_OK : ael_secret_make_ours_now(secret, process);
}

/** Opens the seal. @param out  secret->len bytes of protected memory. Inside the gate. */
AEL_MUST_CHECK enum ael_status ael_secret_unseal(const struct ael_secret *secret, uint8_t *out);

/**
 * Takes a slot as an opening does, for what is made in it: waits up to 10 s, and leases give theirs up. Inside the gate,
 * under no lock. @return as ael_secret_slots_take.
 */
AEL_MUST_CHECK enum ael_status ael_secret_take_slot(struct ael_secret_slot **slot);

/** Counts of secrets made since the start, and of those not closed yet. Threads: any. */
void ael_secret_totals(uint64_t *allocated, uint64_t *in_use);

#endif /* AEL_SECUREMEMORY_SECRET_STATE_H */
