/*
 * appencryption/session/load.h - one key to be loaded in the background, and those that are under way, by key.
 *
 * All under the lock of their background, but for ael_load_run, ael_load_key and ael_load_release.
 * Layer: appencryption.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_APPENCRYPTION_SESSION_LOAD_H
#define AEL_APPENCRYPTION_SESSION_LOAD_H

#include "appencryption/cache/id_hash.h"
#include "appencryption/session/session_parts.h"

#include <stdatomic.h>

enum { AEL_LOAD_BUCKETS = 256 };

struct ael_load {
    struct ael_refcount count;   /* whoever queues or runs it, and each wait */
    struct ael_session *session; /* held */
    struct ael_wanted_key wanted;
    uint64_t hash;
    struct ael_load *next_listed;
    struct ael_load *next_queued;
    struct ael_wait_link *waits;
    bool unattended; /* wanted by somebody who does not wait */
    bool listed;     /* who wants the key joins */
    bool called_off;
    int64_t deadline_ns; /* the latest of its waits' */
    struct ael_cancel *cancel;
    struct ael_call call; /* the loader's while it runs */
    /* Release, so that who sees it sees what follows, which its loader alone touches until then. */
    atomic_bool landed;
    int64_t landed_ns;
    enum ael_status status;
    struct ael_cached_key *key;
    struct ael_error error;
    uint8_t id[];
};

/* Zero but for the hash is empty. */
struct ael_loads {
    struct ael_id_hash hash;
    struct ael_load *listed[AEL_LOAD_BUCKETS];
    struct ael_load *first_queued;
    struct ael_load *last_queued;
};

/** Finds the load that a key's new waits may join; NULL when there is none. */
struct ael_load *ael_loads_find(
    const struct ael_loads *loads, const struct ael_session *session, const struct ael_wanted_key *wanted);

/** Makes a load, lists and queues it. @return NULL without memory. Ownership: the queue's. */
struct ael_load *ael_loads_add(
    struct ael_loads *loads, struct ael_session *session, const struct ael_wanted_key *wanted);

void ael_loads_queue(struct ael_loads *loads, struct ael_load *load);
/** Takes the first of the queue, which is the caller's then; NULL when it is empty. */
struct ael_load *ael_loads_take(struct ael_loads *loads);
/** Nobody joins it any more. One that is not listed is accepted. */
void ael_loads_unlist(struct ael_loads *loads, struct ael_load *load);
/** Ends a load that nobody has a use for: its call is cancelled. */
void ael_loads_call_off(struct ael_loads *loads, struct ael_load *load);

/** Loads the key. Under no lock: calls edges. */
void ael_load_run(struct ael_load *load);

#endif /* AEL_APPENCRYPTION_SESSION_LOAD_H */
