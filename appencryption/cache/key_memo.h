/*
 * appencryption/cache/key_memo.h - one cached key, borrowed by many threads at once without a lock and without a shared write.
 *
 * A memo holds a reference of its own. A thread that borrows pins the key in its own entry (base/thread_entry.h) and
 * then looks whether the memo still has it:
 *
 *     borrower:  pin the key ; light barrier ; has the memo still that key?
 *     replacer:  the memo gets another ; heavy barrier ; does a thread pin the old one?
 *
 * That is the protocol of retire.h, to which the replacer gives the memo's old reference.
 * Layer: appencryption. Threads: any, but for ael_key_memo_clear.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_APPENCRYPTION_CACHE_KEY_MEMO_H
#define AEL_APPENCRYPTION_CACHE_KEY_MEMO_H

#include "appencryption/cache/cached_key.h"
#include "base/thread_entry.h"

/* Zero is an empty one. */
struct ael_key_memo {
    /* Release on replacing, acquire on borrowing: who sees a key sees it whole. */
    _Atomic(struct ael_cached_key *) key;
};

/**
 * Borrows the memo's key until ael_key_memo_give_back by the same thread.
 *
 * @param place  receives what ael_key_memo_give_back takes.
 * @return the key; NULL when the memo is empty, is just being replaced, or this thread pins too much already.
 */
struct ael_cached_key *ael_key_memo_borrow(const struct ael_key_memo *memo, uint32_t *place);
void ael_key_memo_give_back(uint32_t place);

/** Puts a key in place of the one that is there, with a reference of the memo's own. The same key again costs nothing. */
void ael_key_memo_set(struct ael_key_memo *memo, struct ael_cached_key *key);

/** Empties a memo that nobody borrows from, nor will. */
void ael_key_memo_clear(struct ael_key_memo *memo);

#endif /* AEL_APPENCRYPTION_CACHE_KEY_MEMO_H */
