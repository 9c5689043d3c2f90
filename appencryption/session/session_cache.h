/*
 * appencryption/session/session_cache.h - a factory's sessions by partition.
 *
 * Holds one reference of each session; one that goes, by eviction or by age, is retired (retire.h) and lives on with its
 * users. A session that is there is found without the lock (pinned_table.h); its count of holders is the one thing
 * written.
 * Layer: appencryption. Threads: any; sessions are released outside the lock.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_APPENCRYPTION_SESSION_SESSION_CACHE_H
#define AEL_APPENCRYPTION_SESSION_SESSION_CACHE_H

#include "appencryption/cache/key_cache.h"
#include "appencryption/policy.h"

#include <ael/session.h>

/* Opaque. */
struct ael_session_cache;

/** Makes a cache. counters must outlive it. @return AEL_OK; AEL_E_NO_MEMORY; AEL_E_SYSTEM; or as ael_random_fill. */
AEL_MUST_CHECK enum ael_status ael_session_cache_new(
    const struct ael_cache_bound *bound, int64_t duration_ns, struct ael_cache_counters *counters,
    struct ael_session_cache **cache);

/** Gives the partition's session with a reference for the caller, or NULL. */
struct ael_session *ael_session_cache_get(struct ael_session_cache *cache, struct ael_bytes partition);

/**
 * Keeps a new session, unless somebody else's is there already or the cache is closed.
 *
 * @param session  the caller's, in no cache so far; the cache takes a reference of its own. Where the bound counts bytes
 *                 it costs ael_session_bytes.
 * @return the session to use, with a reference for the caller: when it is not the one given, that is released.
 */
struct ael_session *ael_session_cache_put(
    struct ael_session_cache *cache, struct ael_bytes partition, struct ael_session *session);

/** Lets go of all sessions and keeps none from now on. Nobody is in ael_session_cache_get, or will be. */
void ael_session_cache_close(struct ael_session_cache *cache);

/** Frees a closed cache; NULL is accepted. */
void ael_session_cache_free(struct ael_session_cache *cache);

#endif /* AEL_APPENCRYPTION_SESSION_SESSION_CACHE_H */
