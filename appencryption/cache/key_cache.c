/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/cache/key_cache.h"

#include "appencryption/cache/expiry.h"
#include "appencryption/cache/key_flight.h"
#include "appencryption/cache/key_table.h"
#include "appencryption/cache/negative_cache.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/hooks.h"
#include "base/thread_entry.h"

#include <ael/sys/error.h>

static const char k_component[] = "key cache";

/* After a refresh ahead of time that did not help, the next one waits a twentieth of the interval, and a second at least. */
enum { RETRY_PART_OF_INTERVAL = 20 };
static const int64_t k_retry_min_ns = 1000000000;
static const int64_t k_ns_a_second = 1000000000;

/* From here on the last tick tells the time well enough. */
static const int64_t k_long_interval_ns = 1000000000;

struct ael_key_cache {
    const struct ael_rules *rules;
    struct ael_cache_counters *counters;
    bool enabled;
    struct ael_id_hash hash;
    struct ael_mutex lock; /* guards what follows */
    struct ael_key_table table;
    struct ael_flights flights;
    struct ael_negative_cache negative;
};

/* One in so many hits of a thread is a sample of what it uses. */
enum { HITS_A_USE = 16 };

struct ael_cache_size {
    size_t entries, bytes;
};

/* What a look at the table tells a caller. */
enum verdict {
    VERDICT_ABSENT, /* not there */
    VERDICT_UNFIT,  /* there, but it may not encrypt, or is broken */
    VERDICT_STALE,  /* past its interval */
    VERDICT_DUE,    /* good; somebody should load it again */
    VERDICT_FRESH,
};

/* What a visit found first, for the counters. */
enum found {
    FOUND_NOT_LOOKED_YET = 0,
    FOUND_HIT,
    FOUND_MISS,
    FOUND_STALE,
};

/* One call of get_or_load or get_or_load_latest. */
struct visit {
    struct ael_flight_key key;
    const struct ael_key_source *source;
    const struct ael_call *call;
    int64_t began_ns;
    int64_t now_ns;
    int64_t now_s;
    enum found found;
};

/* see appencryption/cache/key_cache.h */
enum ael_status ael_key_cache_new(
    const struct ael_rules *rules, const struct ael_cache_bound *bound, bool enabled,
    struct ael_cache_counters *counters, struct ael_key_cache **cache) {
    struct ael_key_cache *made = ael_alloc(sizeof *made);
    if (made == NULL) {
        return AEL_E_NO_MEMORY;
    }
    enum ael_status status = ael_id_hash_init(&made->hash);
    if (status == AEL_OK) {
        status = ael_mutex_init(&made->lock);
    }
    if (status != AEL_OK) {
        ael_free(made);
        return status;
    }
    made->rules = rules;
    made->counters = counters;
    made->enabled = enabled;
    made->negative.places =
        rules->shared_intermediate_keys ? AEL_NEGATIVE_CACHE_ENTRIES : AEL_NEGATIVE_CACHE_FEW_ENTRIES;
    ael_key_table_init(&made->table, bound);
    *cache = made;
    return AEL_OK;
}

static struct ael_cache_size size_of(const struct ael_key_cache *cache) {
    return (struct ael_cache_size){ael_key_table_count(&cache->table), cache->table.bytes};
}

/* Tells the counters, which several caches share, how the size has changed. */
static void note_size(struct ael_key_cache *cache, struct ael_cache_size before) {
    struct ael_cache_size now = size_of(cache);
    atomic_fetch_add_explicit(&cache->counters->cached, now.entries - before.entries, memory_order_relaxed);
    atomic_fetch_add_explicit(&cache->counters->bytes, now.bytes - before.bytes, memory_order_relaxed);
}

/* see appencryption/cache/key_cache.h */
void ael_key_cache_free(struct ael_key_cache *cache) {
    if (cache == NULL) {
        return;
    }
    struct ael_cache_size before = size_of(cache);
    ael_key_table_clear(&cache->table);
    note_size(cache, before);
    ael_negative_cache_clear(&cache->negative);
    ael_flights_clear(&cache->flights);
    ael_mutex_clear(&cache->lock);
    ael_free(cache);
}

static void count(atomic_uint_least64_t *total, const char *name, uint64_t change) {
    atomic_fetch_add_explicit(total, change, memory_order_relaxed);
    ael_metric_count(name, (int64_t)change);
}

/* Notes what a visit found first: a key to use, nothing, or a key in need of a load. */
static void note_found(struct visit *visit, enum verdict verdict, bool served) {
    if (visit->found == FOUND_NOT_LOOKED_YET) {
        visit->found = served ? FOUND_HIT : verdict == VERDICT_ABSENT ? FOUND_MISS : FOUND_STALE;
    }
}

/* Counts a visit. Without the lock: a hook of the host's is called. */
static void count_visit(struct ael_cache_counters *counters, enum found found, size_t evicted) {
    if (found == FOUND_HIT) {
        count(&counters->hits, counters->hit_name, 1);
    } else if (found == FOUND_MISS) {
        count(&counters->misses, counters->miss_name, 1);
    } else {
        count(&counters->stale, counters->stale_name, 1);
    }
    if (evicted > 0) {
        count(&counters->evictions, counters->evict_name, evicted);
    }
}

static struct ael_key_wanted wanted_by(const struct visit *visit) {
    const struct ael_flight_key *key = &visit->key;
    return (struct ael_key_wanted){key->tag, key->created_s, key->latest};
}

static struct ael_cached_key *find(const struct ael_key_cache *cache, const struct visit *visit) {
    struct ael_key_wanted wanted = wanted_by(visit);
    return ael_key_table_find(&cache->table, &wanted);
}

/* Looks at the clocks: at first, and again whenever the caller may have waited. */
static void look_at_clocks(struct visit *visit) {
    visit->now_ns = ael_clock_boot_ns();
    visit->now_s = ael_clock_wall_s();
}

/* How the key's last check stands to the interval. A check that began after the visit is as fresh as can be. */
static enum verdict judge_age(const struct ael_key_cache *cache, const struct visit *visit, int64_t checked_ns) {
    int64_t interval = cache->rules->interval_ns;
    int64_t age = visit->now_ns - checked_ns;
    if (checked_ns > visit->began_ns || age < interval / 5 * 4) {
        return VERDICT_FRESH;
    }
    return age < interval ? VERDICT_DUE : VERDICT_STALE;
}

static enum verdict
judge_key(const struct ael_key_cache *cache, const struct visit *visit, const struct ael_cached_key *key) {
    if (ael_cached_key_is_broken(key)) {
        return VERDICT_UNFIT;
    }
    int64_t checked_ns = ael_cached_key_checked_ns(key); /* first: what that check found is seen below */
    if (visit->key.latest && !ael_cached_key_is_good(key, cache->rules, visit->now_s)) {
        return VERDICT_UNFIT;
    }
    enum verdict verdict = judge_age(cache, visit, checked_ns);
    bool worn = visit->key.latest && ael_crypto_key_is_worn(key->key);
    return verdict == VERDICT_FRESH && worn ? VERDICT_DUE : verdict;
}

static enum verdict
judge(const struct ael_key_cache *cache, const struct visit *visit, const struct ael_cached_key *entry) {
    return entry == NULL ? VERDICT_ABSENT : judge_key(cache, visit, entry);
}

/* A key that is due serves everybody but the one who loads it again. */
static bool serves_now(const struct visit *visit, const struct ael_cached_key *entry, enum verdict verdict, bool flying) {
    return verdict == VERDICT_FRESH || (verdict == VERDICT_DUE && (flying || visit->now_ns / k_ns_a_second < entry->retry_s));
}

static struct ael_cached_key *use(struct ael_key_cache *cache, struct ael_cached_key *entry) {
    ael_key_table_touch(&cache->table, entry);
    return ael_cached_key_acquire(entry);
}

/* The key's own last check, without its parent's. */
static int64_t own_check_ns(const struct ael_cached_key *key) {
    return atomic_load_explicit(&key->checked_ns, memory_order_relaxed);
}

/*
 * Is a loaded key to take the place of the known one? Yes when that is broken; and, unless the load began
 * before the known key's last check, when the row holds another encryption by now, or the known key is
 * revoked here and not in the store: somebody took it back.
 */
static bool gives_way(struct ael_cached_key *known, struct ael_cached_key *loaded) {
    bool taken_back = ael_crypto_key_is_revoked(known->key) && !ael_crypto_key_is_revoked(loaded->key);
    const struct ael_fingerprint *row = ael_cached_key_row(known);
    const struct ael_fingerprint *now = ael_cached_key_row(loaded);
    bool changed = taken_back || (row != NULL && now != NULL && !ael_fingerprint_equal(row, now));
    return ael_cached_key_is_broken(known) || (changed && own_check_ns(loaded) >= own_check_ns(known));
}

/* The known key stays. */
static void keep(struct ael_cached_key *known, struct ael_cached_key **loaded) {
    ael_cached_key_release(*loaded);
    *loaded = ael_cached_key_acquire(known);
}

static void replace(struct ael_key_cache *cache, struct ael_cached_key *known, struct ael_cached_key *loaded) {
    ael_key_table_replace(&cache->table, known, ael_cached_key_acquire(loaded));
}

/*
 * Joins a loaded key with the entry of the same (id, created), and *loaded is what everybody is to use. The
 * known key stays, with its count of wraps; it learns of the revocation and of the check. Under a reloaded
 * system key it gets a new holder. Of a load that was no check (another one put the key there meanwhile) only
 * a revocation counts.
 */
static void merge(
    struct ael_key_cache *cache, struct ael_cached_key *known, struct ael_cached_key **loaded, bool checked) {
    if (ael_crypto_key_is_revoked((*loaded)->key)) {
        ael_crypto_key_mark_revoked(known->key);
    }
    if (!checked) {
        keep(known, loaded);
    } else if (gives_way(known, *loaded)) {
        replace(cache, known, *loaded);
    } else if ((*loaded)->parent == known->parent) {
        ael_cached_key_note_check(known, own_check_ns(*loaded));
        keep(known, loaded);
    } else {
        struct ael_crypto_key *fresh = (*loaded)->key; /* not published yet, so it may be swapped */
        (*loaded)->key = ael_crypto_key_acquire(known->key);
        ael_crypto_key_release(fresh);
        replace(cache, known, *loaded);
    }
}

/* In whole seconds, the begun one included. */
static uint32_t next_retry_s(const struct ael_key_cache *cache, const struct visit *visit) {
    int64_t pause = cache->rules->interval_ns / RETRY_PART_OF_INTERVAL;
    int64_t retry_ns = visit->now_ns + (pause > k_retry_min_ns ? pause : k_retry_min_ns);
    return (uint32_t)((retry_ns + k_ns_a_second - 1) / k_ns_a_second);
}

/* Without memory for the table's very first entry the cache goes on without. */
static bool add(struct ael_key_cache *cache, struct ael_id_tag id, struct ael_cached_key *loaded) {
    if (!ael_key_table_add(&cache->table, id, loaded)) {
        return false;
    }
    (void)ael_cached_key_acquire(loaded);
    return true;
}

/* Puts a loaded key into the table; *loaded is what everybody is to use. */
static size_t install(
    struct ael_key_cache *cache, const struct visit *visit, struct ael_cached_key **loaded, bool checked) {
    const struct ael_flight_key *key = &visit->key;
    struct ael_key_wanted wanted = {key->tag, ael_crypto_key_created_s((*loaded)->key), false};
    struct ael_cached_key *known = ael_key_table_find(&cache->table, &wanted);
    struct ael_cache_size before = size_of(cache);
    if (known != NULL) {
        merge(cache, known, loaded, checked);
        ael_key_table_touch(&cache->table, *loaded);
    } else if (!add(cache, key->tag, *loaded)) {
        return 0;
    }
    struct ael_cached_key *entry = *loaded;
    bool still_due = judge_age(cache, visit, ael_cached_key_checked_ns(entry)) != VERDICT_FRESH; /* by its parent */
    entry->retry_s = still_due ? next_retry_s(cache, visit) : 0;
    if (key->latest) {
        ael_key_table_set_latest(&cache->table, key->tag, entry);
    }
    size_t evicted = ael_key_table_evict(&cache->table);
    note_size(cache, before);
    return evicted;
}

static void note_failure(struct ael_key_cache *cache, const struct visit *visit, enum ael_status status) {
    struct ael_cached_key *entry = find(cache, visit);
    if (entry != NULL) {
        entry->retry_s = next_retry_s(cache, visit);
    }
    if (status == AEL_E_KEY_NOT_FOUND && !visit->key.latest
        && !ael_expiry_is_recent(cache->rules, visit->key.created_s, visit->now_s)) {
        uint64_t dated = ael_id_hash_dated(visit->key.tag.hash, visit->key.created_s);
        ael_negative_cache_add(&cache->negative, dated, visit->key.id, visit->key.created_s, visit->now_ns);
    }
}

/* Failures of an edge or the system, after which a key within its interval goes on; all others tell about the key. */
static bool is_passing(enum ael_status status) {
    return (status >> 8) >= 4 && status != AEL_E_BACKEND_DATA && status != AEL_E_CORRUPTED;
}

/* After a failed load: may the key that is there serve this visit all the same? */
static enum ael_status settle_failure(
    struct ael_key_cache *cache, struct visit *visit, const struct ael_flight_outcome *outcome,
    struct ael_cached_key **key, struct ael_error *err) {
    look_at_clocks(visit);
    struct ael_cached_key *entry = find(cache, visit);
    int64_t checked_ns = entry != NULL ? ael_cached_key_checked_ns(entry) : 0;
    enum verdict verdict = judge(cache, visit, entry);
    if (verdict >= VERDICT_DUE && is_passing(outcome->status)) {
        *key = use(cache, entry);
        return AEL_OK;
    }
    if (verdict != VERDICT_STALE || !outcome->metastore_unreachable) {
        if (err != NULL) {
            *err = outcome->error;
        }
        return outcome->status;
    }
    if (visit->now_ns - checked_ns >= cache->rules->max_stale_ns) {
        return ael_error_set(
            err, AEL_E_KEY_STALE, 0, k_component,
            "the metastore cannot be reached and the key's last check is older than max_stale allows");
    }
    *key = use(cache, entry);
    return AEL_OK;
}

/*
 * Does the visit's load check the key, so that only the primary's word counts? Of the latest it always does.
 */
static bool
is_check(const struct ael_key_cache *cache, const struct visit *visit, const struct ael_cached_key *known) {
    return visit->key.latest || known != NULL || !cache->enabled || cache->rules->interval_ns == 0;
}

static void call_source(
    const struct ael_key_cache *cache, const struct visit *visit, struct ael_cached_key *known,
    struct ael_flight_outcome *outcome) {
    bool worn = known != NULL && visit->key.latest && ael_crypto_key_is_worn(known->key);
    int64_t known_s = known != NULL ? ael_crypto_key_created_s(known->key) : 0;
    struct ael_key_load load = {
        .id = visit->key.id,
        .created_s = visit->key.created_s,
        .latest = visit->key.latest,
        .recheck = is_check(cache, visit, known),
        .known = known,
        .worn_s = worn ? &known_s : NULL,
        .started_ns = visit->now_ns,
        .call = visit->call,
    };
    *outcome = (struct ael_flight_outcome){.status = AEL_OK};
    int cancel = ael_cancel_disable(); /* also in the host's hooks: the flight would never land */
    int64_t start = ael_metric_start();
    outcome->status = visit->source->load(
        visit->source->context, &load, &outcome->key, &outcome->metastore_unreachable, &outcome->error);
    ael_metric_timer(cache->counters->load_name, start);
    ael_cancel_restore(cancel);
}

/* Loads as the leader. Takes the lock held, gives it back held; the source is called without. */
static void load_as_leader(
    struct ael_key_cache *cache, struct visit *visit, struct ael_cached_key *entry,
    struct ael_key_flight *flight, struct ael_flight_outcome *outcome, size_t *evicted) {
    struct ael_cached_key *known = entry != NULL ? ael_cached_key_acquire(entry) : NULL;
    bool checked = is_check(cache, visit, known);
    ael_mutex_unlock(&cache->lock);
    call_source(cache, visit, known, outcome);
    ael_cached_key_release(known);
    ael_mutex_lock(&cache->lock);
    look_at_clocks(visit);
    if (outcome->status == AEL_OK) {
        *evicted += install(cache, visit, &outcome->key, checked);
    } else {
        note_failure(cache, visit, outcome->status);
    }
    ael_flights_land(&cache->flights, flight, outcome);
}

static enum ael_status lead(
    struct ael_key_cache *cache, struct visit *visit, struct ael_cached_key *entry,
    struct ael_cached_key **key, size_t *evicted, struct ael_error *err) {
    struct ael_key_flight *flight = NULL;
    struct ael_flight_outcome outcome = {.status = AEL_OK};
    enum ael_status status = ael_flights_take_off(&cache->flights, &visit->key, &flight);
    if (status != AEL_OK) {
        outcome.status = ael_error_set(&outcome.error, status, 0, k_component, "no resources for a load");
        return settle_failure(cache, visit, &outcome, key, err);
    }
    load_as_leader(cache, visit, entry, flight, &outcome, evicted);
    if (outcome.status != AEL_OK) {
        return settle_failure(cache, visit, &outcome, key, err);
    }
    *key = outcome.key;
    return AEL_OK;
}

/* A leader's own deadline or token is no business of its followers': they try again themselves. */
static bool is_the_leaders_own(enum ael_status status) {
    return status == AEL_E_TIMEOUT || status == AEL_E_CANCELLED;
}

/* Waits for the leader. *done is false when the caller must look again. */
static enum ael_status follow(
    struct ael_key_cache *cache, struct visit *visit, struct ael_key_flight *flight, struct ael_cached_key **key,
    bool *done, struct ael_error *err) {
    struct ael_flight_outcome outcome;
    enum ael_status status = ael_flights_follow(&cache->flights, flight, &cache->lock, visit->call, &outcome);
    *done = true;
    if (status != AEL_OK) {
        return ael_error_set(err, status, 0, k_component, "while another call was loading the key");
    }
    look_at_clocks(visit);
    if (outcome.status == AEL_OK && judge_key(cache, visit, outcome.key) >= VERDICT_DUE) {
        *key = outcome.key;
        return AEL_OK;
    }
    if (outcome.status != AEL_OK && !is_the_leaders_own(outcome.status)) {
        return settle_failure(cache, visit, &outcome, key, err);
    }
    ael_cached_key_release(outcome.key);
    *done = false;
    return AEL_OK;
}

static bool is_known_absent(const struct ael_key_cache *cache, const struct visit *visit) {
    const struct ael_flight_key *key = &visit->key;
    uint64_t dated = ael_id_hash_dated(key->tag.hash, key->created_s);
    return !key->latest
           && ael_negative_cache_has(&cache->negative, dated, key->id, key->created_s, visit->now_ns);
}

/* One look at the table and what follows from it. *done is false when the caller must look again. */
static enum ael_status look(
    struct ael_key_cache *cache, struct visit *visit, struct ael_cached_key **key, size_t *evicted, bool *done,
    struct ael_error *err) {
    struct ael_cached_key *entry = find(cache, visit);
    enum verdict verdict = judge(cache, visit, entry);
    struct ael_key_flight *flight = verdict == VERDICT_FRESH ? NULL : ael_flights_find(&cache->flights, &visit->key);
    bool served = serves_now(visit, entry, verdict, flight != NULL);
    note_found(visit, verdict, served);
    *done = true;
    if (served) {
        *key = use(cache, entry);
        return AEL_OK;
    }
    if (flight != NULL) {
        return follow(cache, visit, flight, key, done, err);
    }
    if (verdict == VERDICT_ABSENT && is_known_absent(cache, visit)) {
        return ael_error_set(err, AEL_E_KEY_NOT_FOUND, 0, k_component, "the metastore had no such key a moment ago");
    }
    return lead(cache, visit, entry, key, evicted, err);
}

static enum ael_status load_uncached(
    struct ael_key_cache *cache, struct visit *visit, struct ael_cached_key **key, struct ael_error *err) {
    struct ael_flight_outcome outcome;
    call_source(cache, visit, NULL, &outcome);
    count_visit(cache->counters, FOUND_MISS, 0);
    if (outcome.status != AEL_OK && err != NULL) {
        *err = outcome.error;
    }
    *key = outcome.key;
    return outcome.status;
}

/* Asks as whoever has to wait, load, or look at what is just being changed. */
static enum ael_status
get_locked(struct ael_key_cache *cache, struct visit *visit, struct ael_cached_key **key, struct ael_error *err) {
    bool done = false;
    size_t evicted = 0;
    enum ael_status status = AEL_OK;
    ael_mutex_lock(&cache->lock);
    while (!done) {
        status = look(cache, visit, key, &evicted, &done, err);
    }
    ael_mutex_unlock(&cache->lock);
    count_visit(cache->counters, visit->found, evicted);
    return status;
}

/* see appencryption/cache/key_cache.h */
bool ael_cache_counters_hit(struct ael_cache_counters *counters) {
    uint32_t place = ael_thread_entry_here->place;
    atomic_uint_least64_t *hits = place < AEL_QUICK_PLACES ? &counters->quick[place].hits : &counters->hits;
    uint64_t count = atomic_load_explicit(hits, memory_order_relaxed);
    if (place < AEL_QUICK_PLACES) {
        atomic_store_explicit(hits, count + 1, memory_order_relaxed);
    } else {
        atomic_fetch_add_explicit(hits, 1, memory_order_relaxed);
    }
    ael_metric_count(counters->hit_name, 1);
    return count % HITS_A_USE == 0;
}

/* May a key that a thread has pinned serve a visit as it is? */
static bool serves_as_it_is(struct ael_key_cache *cache, const struct visit *visit, struct ael_cached_key *key) {
    enum ael_key_standing standing = visit->key.latest ? AEL_KEY_LATEST : AEL_KEY_DATED;
    if (ael_cached_key_standing(key) < standing || judge_key(cache, visit, key) != VERDICT_FRESH) {
        return false;
    }
    ael_eviction_note_use(&key->node, ael_cache_counters_hit(cache->counters));
    return true;
}

/* see appencryption/cache/key_cache.h */
bool ael_key_cache_lets_serve(
    struct ael_key_cache *cache, struct ael_cached_key *key, bool latest, int64_t now_ns, int64_t now_s) {
    struct visit visit = {.key.latest = latest, .began_ns = now_ns, .now_ns = now_ns, .now_s = now_s};
    return serves_as_it_is(cache, &visit, key);
}

/* Finds, without the lock, a key that may serve the visit as it is, and pins it. */
static bool borrow(struct ael_key_cache *cache, const struct visit *visit, struct ael_key_loan *loan) {
    struct ael_key_wanted wanted = wanted_by(visit);
    loan->key = ael_key_table_borrow(&cache->table, &wanted, &loan->place);
    if (loan->key == NULL) {
        return false;
    }
    if (!serves_as_it_is(cache, visit, loan->key)) {
        ael_thread_unpin(ael_thread_entry_here, loan->place);
        return false;
    }
    return true;
}

/* Begins a visit, with the clocks as they are, or were a tick ago. */
static void begin(const struct ael_key_cache *cache, struct visit *visit) {
    visit->key.tag = ael_id_hash_tag_of(&cache->hash, visit->key.id);
    if (cache->rules->interval_ns >= k_long_interval_ns) {
        struct ael_instant now = ael_clock_last_tick();
        visit->now_ns = now.boot_ns;
        visit->now_s = now.wall_s;
    } else {
        look_at_clocks(visit);
    }
    visit->began_ns = visit->now_ns;
}

static enum ael_status
lend(struct ael_key_cache *cache, struct visit *visit, struct ael_key_loan *loan, struct ael_error *err) {
    begin(cache, visit);
    if (cache->enabled && borrow(cache, visit, loan)) {
        return AEL_OK;
    }
    loan->key = NULL;
    loan->place = AEL_THREAD_PINS;
    return cache->enabled ? get_locked(cache, visit, &loan->key, err)
                          : load_uncached(cache, visit, &loan->key, err);
}

static enum ael_status
get(struct ael_key_cache *cache, struct visit *visit, struct ael_cached_key **key, struct ael_error *err) {
    struct ael_key_loan loan;
    enum ael_status status = lend(cache, visit, &loan, err);
    *key = loan.key;
    if (loan.place != AEL_THREAD_PINS) {
        (void)ael_cached_key_acquire(loan.key);
        ael_key_loan_end(&loan);
    }
    return status;
}

/* see appencryption/cache/key_cache.h */
bool ael_key_cache_borrow(
    struct ael_key_cache *cache, struct ael_bytes id, const int64_t *created_s, int64_t now_ns, int64_t now_s,
    struct ael_key_loan *loan) {
    struct visit visit = {.began_ns = now_ns, .now_ns = now_ns, .now_s = now_s};
    if (!cache->enabled) {
        return false;
    }
    visit.key.id = id;
    visit.key.tag = ael_id_hash_tag_of(&cache->hash, id);
    visit.key.created_s = created_s != NULL ? *created_s : 0;
    visit.key.latest = created_s == NULL;
    return borrow(cache, &visit, loan);
}

/* see appencryption/cache/key_cache.h */
void ael_key_loan_end(const struct ael_key_loan *loan) {
    if (loan->place == AEL_THREAD_PINS) {
        ael_cached_key_release(loan->key);
    } else {
        ael_thread_unpin(ael_thread_entry_here, loan->place);
    }
}

/* see appencryption/cache/key_cache.h */
enum ael_status ael_key_cache_lend(
    struct ael_key_cache *cache, const struct ael_key_source *source, struct ael_bytes id, int64_t created_s,
    const struct ael_call *call, struct ael_key_loan *loan, struct ael_error *err) {
    struct visit visit = {.key = {.id = id, .created_s = created_s}, .source = source, .call = call};
    return lend(cache, &visit, loan, err);
}

/* see appencryption/cache/key_cache.h */
enum ael_status ael_key_cache_lend_latest(
    struct ael_key_cache *cache, const struct ael_key_source *source, struct ael_bytes id,
    const struct ael_call *call, struct ael_key_loan *loan, struct ael_error *err) {
    struct visit visit = {.key = {.id = id, .latest = true}, .source = source, .call = call};
    return lend(cache, &visit, loan, err);
}

/* see appencryption/cache/key_cache.h */
uint64_t ael_cache_counters_hits(const struct ael_cache_counters *counters) {
    uint64_t hits = atomic_load_explicit(&counters->hits, memory_order_relaxed);
    for (size_t i = 0; i < AEL_QUICK_PLACES; i++) {
        hits += atomic_load_explicit(&counters->quick[i].hits, memory_order_relaxed);
    }
    return hits;
}

/* see appencryption/cache/key_cache.h */
enum ael_status ael_key_cache_get_or_load(
    struct ael_key_cache *cache, const struct ael_key_source *source, struct ael_bytes id, int64_t created_s,
    const struct ael_call *call, struct ael_cached_key **key, struct ael_error *err) {
    struct visit visit = {.key = {.id = id, .created_s = created_s}, .source = source, .call = call};
    return get(cache, &visit, key, err);
}

/* see appencryption/cache/key_cache.h */
enum ael_status ael_key_cache_get_or_load_latest(
    struct ael_key_cache *cache, const struct ael_key_source *source, struct ael_bytes id,
    const struct ael_call *call, struct ael_cached_key **key, struct ael_error *err) {
    struct visit visit = {.key = {.id = id, .latest = true}, .source = source, .call = call};
    return get(cache, &visit, key, err);
}

/* Under the lock: as look, but for waiting. */
static enum ael_status look_at_hand(
    struct ael_key_cache *cache, struct visit *visit, struct ael_cached_key **key, bool *due) {
    struct ael_cached_key *entry = find(cache, visit);
    enum verdict verdict = judge(cache, visit, entry);
    bool served = verdict >= VERDICT_DUE;
    note_found(visit, verdict, served);
    if (served) {
        *due = !serves_now(visit, entry, verdict, false);
        *key = use(cache, entry);
        return AEL_OK;
    }
    return verdict == VERDICT_ABSENT && is_known_absent(cache, visit) ? AEL_E_KEY_NOT_FOUND : AEL_E_WOULD_BLOCK;
}

static enum ael_status at_hand_locked(
    struct ael_key_cache *cache, struct visit *visit, struct ael_cached_key **key, bool *due) {
    ael_mutex_lock(&cache->lock);
    enum ael_status status = look_at_hand(cache, visit, key, due);
    ael_mutex_unlock(&cache->lock);
    if (status == AEL_OK) {
        count_visit(cache->counters, visit->found, 0); /* else the load counts it */
    }
    return status;
}

/* see appencryption/cache/key_cache.h */
enum ael_status ael_key_cache_at_hand(
    struct ael_key_cache *cache, struct ael_bytes id, int64_t created_s, bool latest, struct ael_cached_key **key,
    bool *due) {
    struct visit visit = {.key = {.id = id, .created_s = created_s, .latest = latest}};
    struct ael_key_loan loan;
    *key = NULL;
    *due = false;
    if (!cache->enabled) {
        return AEL_E_WOULD_BLOCK;
    }
    begin(cache, &visit);
    if (!borrow(cache, &visit, &loan)) {
        return at_hand_locked(cache, &visit, key, due);
    }
    *key = ael_cached_key_acquire(loan.key);
    ael_key_loan_end(&loan);
    return AEL_OK;
}
