/*
 * securememory/pkey.h - protection keys: at the level `pkey` pages stay readable and writable in the page tables, but
 * under a key, and each thread has rights on the key only while it uses the pages.
 *
 *     no rights --begin--> read, or read and write --last end--> no rights        (in one thread; no system call)
 *
 * Uses are counted by thread. Each begin and end sets the thread's rights on all keys by its counts, so rights that a
 * thread was born with (started inside an access) are gone with its first one; so are those that a signal handler
 * lacks when it uses the library inside an access.
 * Layer: securememory.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_SECUREMEMORY_PKEY_H
#define AEL_SECUREMEMORY_PKEY_H

#include <ael/status.h>

#include <stdbool.h>

/* What has a key of its own: who opens a secret gets no rights on the root keys. */
enum ael_pkey {
    AEL_PKEY_NONE, /* pages without a key; all functions accept it */
    AEL_PKEY_ROOTS,
    AEL_PKEY_WORK, /* scratch and the random generator */
    AEL_PKEY_SECRETS,
    AEL_PKEYS,
};

/**
 * Gets the keys that are wanted from the system; those that are there already stay. Under the lock of set-up.
 *
 * @param wanted  a bit each, 1 << key.
 * @return AEL_OK; AEL_E_PROTECTION (the machine has no protection keys, or none is free); AEL_E_SYSTEM. No new keys
 *         after a failure.
 */
AEL_MUST_CHECK enum ael_status ael_pkeys_take(unsigned wanted, struct ael_error *err);

/** Gives all keys back; no pages are under them. Under the lock of set-up. */
void ael_pkeys_give_back(void);

/** Returns the system's number of a key; 0, which all pages have at first, for AEL_PKEY_NONE. */
int ael_pkey_number(enum ael_pkey key);

/** Gives the calling thread rights to read, and to write if asked, until the end. */
void ael_pkey_begin(enum ael_pkey key, bool write);

/** Ends a use; the thread that began. A right to write stays until its last use ends. Nothing begun is accepted. */
void ael_pkey_end(enum ael_pkey key);

/** As ael_pkey_end, for a use that began with the right to write, which goes with the last such use. */
void ael_pkey_end_writing(enum ael_pkey key);

/** Tells whether the calling thread uses the key. */
bool ael_pkey_is_used_here(enum ael_pkey key);

/** In the fork handler of a child: it has the keys, and this thread, the only one, uses none of them. */
void ael_pkeys_forked(void);

#endif /* AEL_SECUREMEMORY_PKEY_H */
