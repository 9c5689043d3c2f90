/*
 * net/credentials/cache.h - credentials that are ready when a request needs them.
 *
 *     fetched        window before the end           the end
 *        |---- given ----|---- given; one refreshes ----|---- all wait for the one who fetches ----
 *
 * The window is 5 minutes, or a quarter of what was left at the fetch if that is less. The caller who comes
 * first inside it fetches, in half of what its own call has left; the others go on with what there is. If its
 * fetch fails they all do, it too, until the end; the next try comes a tenth of the window later. After the
 * end those who come while somebody fetches wait for that, and share its failure; but not one that is a
 * call's own, its deadline or token.
 *
 * A service may refuse credentials before their end (revoked, or another clock):
 * ael_credentials_cache_refused makes the next caller fetch. Of several services it may be one alone that
 * does not know them (a region that the account has not switched on): who uses
 * ael_credentials_cache_get_other is given them until their end where the fetch fails, but not for the
 * service that refused them.
 * Layer: net. Threads: any; locks inside, none of them held while it fetches. In a child of fork somebody
 * else's fetch is over.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_NET_CREDENTIALS_CACHE_H
#define AEL_NET_CREDENTIALS_CACHE_H

#include "net/credentials/credentials.h"

#include <ael/call.h>

struct ael_credentials_cache;

/* Gets credentials from where they are. Called by one thread at a time. */
typedef enum ael_status (*ael_credentials_fetch_fn)(
    void *self, const struct ael_call *call, struct ael_credentials **out, struct ael_error *err);

/** Makes a cache. @param self outlives it. @return AEL_OK; AEL_E_NO_MEMORY; AEL_E_SYSTEM. */
AEL_MUST_CHECK enum ael_status
ael_credentials_cache_new(ael_credentials_fetch_fn fetch, void *self, struct ael_credentials_cache **cache);

/** Nobody uses it any more. NULL is accepted. */
void ael_credentials_cache_free(struct ael_credentials_cache *cache);

/**
 * Gives credentials that have not ended.
 *
 * @param call  bounds both waiting and fetching. @param out the caller's to release; NULL on failure.
 * @return AEL_OK; AEL_E_TIMEOUT; AEL_E_CANCELLED; AEL_E_BACKEND (what was fetched has ended already: the
 *         clock, or the source); or as fetch answers.
 */
AEL_MUST_CHECK enum ael_status ael_credentials_cache_get(
    struct ael_credentials_cache *cache,
    const struct ael_call *call,
    struct ael_credentials **out,
    struct ael_error *err);

/**
 * As ael_credentials_cache_get, for who asks several services.
 *
 * @param refused  what the service that they are for has refused, which the caller holds; NULL = nothing.
 */
AEL_MUST_CHECK enum ael_status ael_credentials_cache_get_other(
    struct ael_credentials_cache *cache,
    const struct ael_call *call,
    const struct ael_credentials *refused,
    struct ael_credentials **out,
    struct ael_error *err);

/** Tells that a service refused these; later calls fetch, if they are still the present ones. */
void ael_credentials_cache_refused(
    struct ael_credentials_cache *cache, const struct ael_credentials *credentials);

#endif /* AEL_NET_CREDENTIALS_CACHE_H */
