/* SPDX-License-Identifier: Apache-2.0 */
#include "securememory/rekey.h"

#include "base/check.h"
#include "base/clock.h"
#include "securememory/roots.h"
#include "securememory/seal_shards.h"

enum {
    BY_AN_OPERATION = 16, /* seals: some microseconds */
    LEAST_FREE = 1,       /* places, so that a child finds one for its own key */
};

static const int64_t k_retry_ns = 1000000000;
static const int64_t k_sweep_retry_ns = 100000000; /* each try opens the keys' pages */
static const int64_t k_lent_ns = INT64_C(10) * 1000000000;
static const size_t k_all = SIZE_MAX;

/* see securememory/rekey.h */
enum ael_status ael_rekey_init(
    struct ael_rekey *rekey, const struct ael_rekey_policy *policy, const struct ael_reseal_parts *parts) {
    *rekey = (struct ael_rekey){.policy = *policy, .parts = *parts};
    enum ael_status status = ael_mutex_init(&rekey->lock);
    if (status != AEL_OK) {
        *rekey = (struct ael_rekey){.parts = {NULL, NULL, NULL}};
        return status;
    }
    atomic_init(&rekey->since_ns, ael_clock_boot_ns());
    atomic_init(&rekey->seals_before, ael_seal_shards_seals());
    return AEL_OK;
}

/* see securememory/rekey.h */
void ael_rekey_clear(struct ael_rekey *rekey) {
    if (rekey->parts.roots != NULL) {
        ael_mutex_clear(&rekey->lock);
        *rekey = (struct ael_rekey){.parts = {NULL, NULL, NULL}};
    }
}

/* -- what is to be done; by anybody -- */

static bool has_old_roots(const struct ael_rekey *rekey) {
    return ael_roots_free_places(rekey->parts.roots) < AEL_ROOTS_MAX - 1;
}

static bool is_swept(const struct ael_rekey *rekey) {
    return atomic_load(&rekey->clean_below) == ael_roots_current(rekey->parts.roots);
}

static uint64_t seals_since(const struct ael_rekey *rekey) {
    return ael_seal_shards_seals() - atomic_load(&rekey->seals_before);
}

/* Until old roots are wiped. */
static bool lacks_a_place(const struct ael_rekey *rekey) {
    return ael_roots_free_places(rekey->parts.roots) <= LEAST_FREE;
}

/* When the current root has been it long enough. */
static int64_t renewal_due_ns(const struct ael_rekey *rekey) {
    uint64_t seals = seals_since(rekey);
    bool has_to_wait = atomic_load(&rekey->crowded) && lacks_a_place(rekey);
    if (seals == 0 || has_to_wait) {
        return INT64_MAX;
    }
    return seals >= rekey->policy.seals ? 0 : atomic_load(&rekey->since_ns) + rekey->policy.period_ns;
}

/* A child's copying puts it off by a period at most, also where children are made all the time. */
static int64_t wipe_due_ns(const struct ael_rekey *rekey) {
    int64_t over = atomic_load(&rekey->since_ns) + rekey->policy.period_ns;
    int64_t due = atomic_load(&rekey->crowded) ? 0 : over;
    int64_t lent_until = atomic_load(&rekey->lent_until_ns);
    int64_t last = over + rekey->policy.period_ns;
    return lent_until > due ? (lent_until < last ? lent_until : last) : due;
}

/* When the old ones are to be swept, or, if they are, wiped. */
static int64_t end_due_ns(const struct ael_rekey *rekey) {
    if (atomic_load(&rekey->sweeping)) {
        return 0;
    }
    if (!has_old_roots(rekey)) {
        return INT64_MAX;
    }
    if (is_swept(rekey)) {
        return wipe_due_ns(rekey);
    }
    return atomic_load(&rekey->crowded) ? 0 : atomic_load(&rekey->since_ns) + rekey->policy.period_ns / 2;
}

/* see securememory/rekey.h */
int64_t ael_rekey_due_ns(const struct ael_rekey *rekey) {
    int64_t renewal = renewal_due_ns(rekey);
    int64_t end = end_due_ns(rekey);
    int64_t due = renewal < end ? renewal : end;
    int64_t not_before = atomic_load(&rekey->not_before_ns);
    return due < not_before ? not_before : due;
}

/* -- doing it; under the lock -- */

static void wipe_old(struct ael_rekey *rekey) {
    uint32_t wiped = 0;
    enum ael_status status =
        ael_roots_wipe_below(rekey->parts.roots, atomic_load(&rekey->clean_below), &wiped);
    (void)status; /* what is left is due still */
    atomic_fetch_add(&rekey->wiped, wiped);
    if (!has_old_roots(rekey)) {
        atomic_store(&rekey->crowded, false);
    }
}

static void begin_sweep(struct ael_rekey *rekey) {
    ael_reseal_begin(&rekey->sweep, ael_roots_current(rekey->parts.roots));
    atomic_store(&rekey->sweeping, true);
}

static enum ael_status sweep(struct ael_rekey *rekey, size_t budget) {
    enum ael_status status = ael_reseal_step(&rekey->sweep, &rekey->parts, budget);
    atomic_store(&rekey->reseals, rekey->sweep.resealed);
    if (!rekey->sweep.running) {
        atomic_store(&rekey->clean_below, rekey->sweep.target);
        atomic_store(&rekey->sweeping, false);
    }
    return status;
}

static enum ael_status renew(struct ael_rekey *rekey, int64_t now_ns) {
    if (lacks_a_place(rekey)) {
        atomic_store(&rekey->crowded, true);
        return AEL_OK;
    }
    AEL_TRY(ael_roots_renew(rekey->parts.roots));
    atomic_store(&rekey->since_ns, now_ns);
    atomic_store(&rekey->seals_before, ael_seal_shards_seals());
    atomic_fetch_add(&rekey->rekeys, 1);
    return AEL_OK;
}

static void tend_old(struct ael_rekey *rekey, int64_t now_ns, size_t budget) {
    enum ael_status status = AEL_OK;
    if (!atomic_load(&rekey->sweeping) && now_ns >= end_due_ns(rekey)) {
        if (is_swept(rekey)) {
            wipe_old(rekey);
        } else {
            begin_sweep(rekey);
        }
    }
    if (atomic_load(&rekey->sweeping)) {
        status = sweep(rekey, budget);
    }
    if (status != AEL_OK) { /* the sweep is due still */
        atomic_store(&rekey->not_before_ns, now_ns + k_sweep_retry_ns);
    }
}

/* Old ones first: that makes places, and a sweep ends with the root that was current when it began. */
static void tend(struct ael_rekey *rekey, int64_t now_ns, size_t budget) {
    tend_old(rekey, now_ns, budget);
    bool done_with_old = now_ns < end_due_ns(rekey);
    if (done_with_old && now_ns >= renewal_due_ns(rekey) && renew(rekey, now_ns) != AEL_OK) {
        atomic_store(&rekey->not_before_ns, now_ns + k_retry_ns);
    }
}

/* see securememory/rekey.h */
void ael_rekey_tend(struct ael_rekey *rekey, int64_t now_ns, size_t budget) {
    if (now_ns >= ael_rekey_due_ns(rekey) && ael_mutex_try_lock(&rekey->lock)) {
        tend(rekey, now_ns, budget);
        ael_mutex_unlock(&rekey->lock);
    }
}

/* see securememory/rekey.h */
void ael_rekey_operate(struct ael_rekey *rekey) {
    ael_rekey_tend(rekey, ael_clock_boot_ns(), BY_AN_OPERATION);
}

/* see securememory/rekey.h. What fails here is tried again by who tends; the next child would lose the oldest root only
 * if that never succeeded. */
void ael_rekey_make_room(struct ael_rekey *rekey) {
    if (ael_roots_free_places(rekey->parts.roots) >= LEAST_FREE) {
        return;
    }
    ael_mutex_lock(&rekey->lock);
    atomic_store(&rekey->crowded, true);
    begin_sweep(rekey);
    if (sweep(rekey, k_all) == AEL_OK && ael_clock_boot_ns() >= wipe_due_ns(rekey)) {
        wipe_old(rekey);
    }
    ael_mutex_unlock(&rekey->lock);
}

/* see securememory/rekey.h */
void ael_rekey_lent(struct ael_rekey *rekey) {
    atomic_store(&rekey->lent_until_ns, ael_clock_boot_ns() + k_lent_ns);
}

/* see securememory/rekey.h */
struct ael_rekey_stats ael_rekey_stats(const struct ael_rekey *rekey) {
    return (struct ael_rekey_stats){
        .rekeys = atomic_load(&rekey->rekeys),
        .reseals = atomic_load(&rekey->reseals),
        .wiped = atomic_load(&rekey->wiped),
        .roots = AEL_ROOTS_MAX - ael_roots_free_places(rekey->parts.roots),
    };
}
