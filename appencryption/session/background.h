/*
 * appencryption/session/background.h - loads of keys on threads of the library's own, for calls that never wait, and whom to tell.
 *
 *     wait:    over --a load is asked for--> pending --landed, deadline, token, closed--> ending --told--> over
 *     load:    queued --a loader takes it--> running --> landed; a load that nobody waits for any more is called off
 *
 * One load for each key that is wanted, with the waits of all who want it; it goes through the key cache, so that it is
 * one flight with those of calls that wait. Its deadline is the latest of its waits'; a wait that came later with more
 * time has it loaded again.
 *
 * Threads: loaders, up to a bound, and a keeper, which looks at the waits' deadlines and tokens, so that waits end in time
 * also where all loaders hang in an edge, and tells what is over. All begin when first needed. What is here is under
 * one lock, under which nothing waits and nothing of the host's is called.
 *
 * Fork: the child's first call forgets the parent's threads and loads; its waits are over with AEL_E_FORKED.
 * Layer: appencryption. Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_APPENCRYPTION_SESSION_BACKGROUND_H
#define AEL_APPENCRYPTION_SESSION_BACKGROUND_H

#include <ael/session_try.h>

/* Opaque and counted: the factory's, its threads' and its waits'. */
struct ael_background;
/* Opaque and counted. */
struct ael_load;
struct ael_cached_key;
struct ael_wanted_key;

/* Guarded by the lock of its background, but for what never changes. */
struct ael_wait_link {
    struct ael_background *background; /* of its last load, held; changed by the wait's owner alone, as the next */
    struct ael_background *former;     /* of a load before that, held while its keeper may still be telling; else NULL */
    struct ael_load *load;             /* held while the wait has a use for its key */
    struct ael_wait_link *next;        /* of the same load, or of those that are ending */
    enum { AEL_WAIT_OVER = 0, AEL_WAIT_PENDING, AEL_WAIT_ENDING } state;
    int64_t deadline_ns;
    const struct ael_cancel *cancel;
    enum ael_status status;
    struct ael_error error;
    void (*tell)(struct ael_wait_link *wait, enum ael_status status); /* on the keeper, under no lock */
};

/** Makes one, without threads. @return AEL_OK; AEL_E_NO_MEMORY; AEL_E_SYSTEM; or as ael_random_fill. */
AEL_MUST_CHECK enum ael_status ael_background_new(size_t loaders, struct ael_background **background);

/** Ends it for good: waits are over with AEL_E_CLOSED, threads end, within 5 s or else by themselves. May be repeated; NULL is
 * accepted. */
void ael_background_close(struct ael_background *background);
/** Drops a holder; NULL is accepted. */
void ael_background_release(struct ael_background *background);

/**
 * Has a key loaded.
 *
 * @param wait  over and without a load; pending afterwards. NULL: nobody waits. @param call  with a deadline.
 * @return AEL_E_WOULD_BLOCK; AEL_E_CLOSED; AEL_E_NO_MEMORY; AEL_E_SYSTEM (no thread to be had); AEL_E_STATE (two others
 *         are still telling of the wait).
 */
AEL_MUST_CHECK enum ael_status ael_background_load(
    struct ael_background *background, struct ael_session *session, const struct ael_wanted_key *wanted,
    const struct ael_call *call, struct ael_wait_link *wait);

/**
 * Takes what came of a wait's load, so that the wait is ready for another.
 *
 * @param load  receives the load, the caller's; NULL when there was none.
 * @return false while the wait is not over.
 */
AEL_MUST_CHECK bool ael_background_take(struct ael_wait_link *wait, struct ael_load **load);

/** Ends a wait without telling, or after it was told; nothing is held by it afterwards. */
void ael_background_leave(struct ael_wait_link *wait);

/** @return AEL_E_WOULD_BLOCK while the wait is not over; else its status, and err. */
AEL_MUST_CHECK enum ael_status ael_background_status(struct ael_wait_link *wait, struct ael_error *err);

/** Returns a load's key, of the load, if it was loaded for this session and this key, and is within the interval of checks
 * or was loaded at most a second ago. A load that its wait gave up may still be under way, and has none. */
struct ael_cached_key *ael_load_key(
    const struct ael_load *load, const struct ael_session *session, const struct ael_wanted_key *wanted,
    int64_t now_ns);
/** Drops a holder, under no lock; NULL is accepted. */
void ael_load_release(struct ael_load *load);

#endif /* AEL_APPENCRYPTION_SESSION_BACKGROUND_H */
