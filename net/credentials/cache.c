/* SPDX-License-Identifier: Apache-2.0 */
#include "net/credentials/cache.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fork.h"
#include "base/sync.h"

static const char k_component[] = "net/credentials";

enum { WINDOW_S = 300, WAIT_SLICE_MS = 20 /* a cancel token wakes nobody */ };

struct ael_credentials_cache {
    ael_credentials_fetch_fn fetch;
    void *self;
    struct ael_fork_part fork;
    struct ael_mutex lock; /* guards what follows */
    struct ael_cond changed;
    struct ael_credentials *current; /* NULL = none yet */
    int64_t refresh_at_s;            /* of the wall clock, as the end is */
    int64_t retry_after_s;           /* the pause after a failed refresh */
    bool refused;
    /* refused ones were not to be replaced: until then it is not tried for who may have them */
    int64_t calm_until_s;
    bool fetching;
    uint64_t failures;         /* counted, so that who waits knows a new one */
    struct ael_error last_err; /* of the last failure */
};

/* The lock is free, or the forking thread's; who fetched is not here. */
static void after_fork_child(void *self) {
    struct ael_credentials_cache *cache = self;
    cache->fetching = false;
}

/* see net/credentials/cache.h */
enum ael_status
ael_credentials_cache_new(ael_credentials_fetch_fn fetch, void *self, struct ael_credentials_cache **cache) {
    struct ael_credentials_cache *made = ael_alloc(sizeof *made);
    *cache = NULL;
    if (made == NULL) {
        return AEL_E_NO_MEMORY;
    }
    made->fetch = fetch;
    made->self = self;
    enum ael_status status = ael_mutex_init(&made->lock);
    if (status != AEL_OK) {
        ael_free(made);
        return status;
    }
    ael_cond_init(&made->changed);
    made->fork = (struct ael_fork_part){.child = after_fork_child, .self = made};
    status = ael_fork_add(&made->fork);
    if (status != AEL_OK) {
        ael_mutex_clear(&made->lock);
        ael_free(made);
        return status;
    }
    *cache = made;
    return AEL_OK;
}

/* see net/credentials/cache.h */
void ael_credentials_cache_free(struct ael_credentials_cache *cache) {
    if (cache == NULL) {
        return;
    }
    ael_fork_remove(&cache->fork);
    ael_credentials_release(cache->current);
    ael_mutex_clear(&cache->lock);
    ael_free(cache);
}

/* ---- with the lock held ---- */

static bool is_usable(const struct ael_credentials_cache *cache, int64_t now_s) {
    return cache->current != NULL && !cache->refused && now_s < ael_credentials_expires_s(cache->current);
}

/* Who may have refused credentials, because it was another service that refused them; NULL: may not. */
struct other {
    const struct ael_credentials *refused; /* but not these; or NULL */
};

static bool will_do(const struct ael_credentials_cache *cache, const struct other *other, int64_t now_s) {
    return other != NULL && cache->current != NULL && cache->current != other->refused &&
           now_s < ael_credentials_expires_s(cache->current);
}

/* Keeps what was fetched, which has not ended; returns what it replaces, to be released without the lock. */
static struct ael_credentials *
keep(struct ael_credentials_cache *cache, struct ael_credentials *fetched, int64_t now_s) {
    int64_t end_s = ael_credentials_expires_s(fetched);
    int64_t quarter_s = (end_s - now_s + 3) / 4;
    int64_t window_s = quarter_s < WINDOW_S ? quarter_s : WINDOW_S;
    struct ael_credentials *replaced = cache->current;
    cache->current = fetched;
    cache->refresh_at_s = end_s == AEL_CREDENTIALS_NEVER ? end_s : end_s - window_s;
    cache->retry_after_s = window_s / 10 + 1;
    cache->refused = false;
    cache->calm_until_s = INT64_MIN;
    return replaced;
}

/* Waits for whoever fetches. AEL_OK: look again; else the shared failure, or the end of the own call. */
static enum ael_status wait_for_fetch(
    struct ael_credentials_cache *cache,
    const struct ael_call *call,
    const struct other *other,
    struct ael_error *err) {
    uint64_t failures = cache->failures;
    while (cache->fetching) {
        enum ael_status status = ael_call_check(call);
        if (status != AEL_OK) {
            return ael_error_set(
                err, status, 0, k_component, "waiting for credentials: %s", ael_status_text(status));
        }
        uint32_t left_ms = ael_call_remaining_ms(call);
        ael_cond_wait_for(
            &cache->changed, &cache->lock,
            (left_ms < WAIT_SLICE_MS ? (int64_t)left_ms : WAIT_SLICE_MS) * 1000000);
    }
    /* Another one may have fetched since the failure, before this thread had the lock again. */
    int64_t now_s = ael_clock_wall_s();
    if (cache->failures == failures || is_usable(cache, now_s) || will_do(cache, other, now_s)) {
        return AEL_OK;
    }
    if (err != NULL) {
        *err = cache->last_err;
    }
    return cache->last_err.status;
}

/* Without the lock; AEL_OK only with credentials that have not ended. */
static enum ael_status fetch_live(
    struct ael_credentials_cache *cache,
    const struct ael_call *call,
    struct ael_credentials **fetched,
    struct ael_error *err) {
    enum ael_status status = cache->fetch(cache->self, call, fetched, err);
    if (status != AEL_OK || ael_clock_wall_s() < ael_credentials_expires_s(*fetched)) {
        return status;
    }
    (void)ael_error_set(
        err, AEL_E_BACKEND, 0, k_component,
        "%s: the credentials have ended already; check the clock, or renew them",
        ael_credentials_source(*fetched));
    ael_credentials_release(*fetched);
    *fetched = NULL;
    return AEL_E_BACKEND;
}

/* A call's own end is nobody else's failure. */
static bool is_shared(enum ael_status status) {
    return status != AEL_E_TIMEOUT && status != AEL_E_CANCELLED;
}

/* While there is something to give, a fetch may take half of the call's time: the rest is for what it was
 * wanted for. */
static struct ael_call bound_fetch(
    const struct ael_credentials_cache *cache, const struct ael_call *call, const struct other *other) {
    struct ael_call bound = *call;
    int64_t now_s = ael_clock_wall_s();
    if (is_usable(cache, now_s) || will_do(cache, other, now_s)) {
        bound.deadline_ns = ael_deadline_in_ms(ael_call_remaining_ms(call) / 2);
    }
    return bound;
}

/* The half of its time was over, not the call's, and what there was to give meanwhile is not there any
 * more. */
static bool has_time_left(enum ael_status status, const struct ael_call *bound, const struct ael_call *call) {
    return status == AEL_E_TIMEOUT && bound->deadline_ns < call->deadline_ns &&
           ael_call_check(call) == AEL_OK;
}

/* Fetches for all; comes and goes with the lock held. *again: look again, there is time. */
static enum ael_status refresh(
    struct ael_credentials_cache *cache,
    const struct ael_call *call,
    const struct other *other,
    bool *again,
    struct ael_error *err) {
    struct ael_credentials *fetched = NULL;
    struct ael_credentials *replaced = NULL;
    struct ael_error said = {.status = AEL_OK};
    struct ael_call bound = bound_fetch(cache, call, other);
    cache->fetching = true;
    ael_mutex_unlock(&cache->lock);
    enum ael_status status = fetch_live(cache, &bound, &fetched, &said);
    int64_t now_s = ael_clock_wall_s();
    ael_mutex_lock(&cache->lock);
    cache->fetching = false;
    if (status == AEL_OK) {
        replaced = keep(cache, fetched, now_s);
    } else if (is_usable(cache, now_s)) {
        cache->refresh_at_s = now_s + cache->retry_after_s;
        status = AEL_OK;
    } else {
        if (is_shared(status)) {
            cache->failures++;
            cache->last_err = said;
        }
        cache->calm_until_s = now_s + cache->retry_after_s;
        if (will_do(cache, other, now_s)) {
            status = AEL_OK;
        } else if (err != NULL) {
            *err = said;
        }
    }
    ael_cond_broadcast(&cache->changed);
    ael_mutex_unlock(&cache->lock);
    ael_credentials_release(replaced);
    ael_mutex_lock(&cache->lock);
    *again = has_time_left(status, &bound, call);
    return status;
}

/* Until there is something to give; the caller holds the lock. */
static enum ael_status make_ready(
    struct ael_credentials_cache *cache,
    const struct ael_call *call,
    const struct other *other,
    struct ael_error *err) {
    for (;;) {
        int64_t now_s = ael_clock_wall_s();
        bool usable = is_usable(cache, now_s);
        if (usable && (cache->fetching || now_s < cache->refresh_at_s)) {
            return AEL_OK;
        }
        if (now_s < cache->calm_until_s && will_do(cache, other, now_s)) {
            return AEL_OK;
        }
        if (!cache->fetching) {
            bool again = false;
            enum ael_status status = refresh(cache, call, other, &again, err);
            if (!again) {
                return status;
            }
            continue;
        }
        enum ael_status status = wait_for_fetch(cache, call, other, err);
        if (status != AEL_OK) {
            return status;
        }
    }
}

static enum ael_status
get(struct ael_credentials_cache *cache,
    const struct ael_call *call,
    const struct other *other,
    struct ael_credentials **out,
    struct ael_error *err) {
    struct ael_call limited = AEL_CALL_INIT; /* a call without an end would wait for ever */
    limited.cancel = call == NULL ? NULL : call->cancel;
    limited.deadline_ns = call != NULL && call->deadline_ns != 0
                              ? call->deadline_ns
                              : ael_deadline_in_ms(ael_call_remaining_ms(NULL));
    *out = NULL;
    int cancel = ael_cancel_disable(); /* a thread cancelled in a fetch would leave all others waiting */
    ael_mutex_lock(&cache->lock);
    enum ael_status status = make_ready(cache, &limited, other, err);
    if (status == AEL_OK) {
        *out = ael_credentials_acquire(cache->current);
    }
    ael_mutex_unlock(&cache->lock);
    ael_cancel_restore(cancel);
    return status;
}

/* see net/credentials/cache.h */
enum ael_status ael_credentials_cache_get(
    struct ael_credentials_cache *cache,
    const struct ael_call *call,
    struct ael_credentials **out,
    struct ael_error *err) {
    return get(cache, call, NULL, out, err);
}

/* see net/credentials/cache.h */
enum ael_status ael_credentials_cache_get_other(
    struct ael_credentials_cache *cache,
    const struct ael_call *call,
    const struct ael_credentials *refused,
    struct ael_credentials **out,
    struct ael_error *err) {
    const struct other other = {refused};
    return get(cache, call, &other, out, err);
}

/* see net/credentials/cache.h */
void ael_credentials_cache_refused(
    struct ael_credentials_cache *cache, const struct ael_credentials *credentials) {
    ael_mutex_lock(&cache->lock);
    if (cache->current == credentials) {
        cache->refused = true;
    }
    ael_mutex_unlock(&cache->lock);
}
