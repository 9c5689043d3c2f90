/* SPDX-License-Identifier: Apache-2.0 */
#include <ael/memory.h>

#include "base/check.h"
#include "base/shutdown.h"
#include "securememory/process.h"
#include "securememory/protected.h"
#include "securememory/seal_shards.h"
#include "securememory/secret_state.h"
#include "securememory/signals.h"

#include <ael/call.h>
#include <ael/sys/error.h>

#include <string.h>

static const char k_component[] = "securememory";

/* see ael/memory.h */
const char *ael_protection_level_name(enum ael_protection_level level) {
    switch (level) {
    case AEL_PROTECTION_STRICT:
        return "strict";
    case AEL_PROTECTION_PKEY:
        return "pkey";
    case AEL_PROTECTION_LEASED:
        return "leased";
    case AEL_PROTECTION_OPEN:
        return "open";
    default:
        return "none";
    }
}

/* see ael/memory.h */
const char *ael_backing_name(enum ael_backing backing) {
    switch (backing) {
    case AEL_BACKING_MEMFD_SECRET:
        return "memfd_secret";
    case AEL_BACKING_ANONYMOUS:
        return "anonymous";
    case AEL_BACKING_AUTO:
    default:
        return "auto";
    }
}

static bool is_backing(enum ael_backing backing) {
    return backing == AEL_BACKING_AUTO || backing == AEL_BACKING_MEMFD_SECRET ||
           backing == AEL_BACKING_ANONYMOUS;
}

static bool is_level(enum ael_protection_level level) {
    return level == AEL_PROTECTION_STRICT || level == AEL_PROTECTION_PKEY || level == AEL_PROTECTION_LEASED ||
           level == AEL_PROTECTION_OPEN;
}

static enum ael_status check_levels(const struct ael_memory_options *options, struct ael_error *err) {
    if (!is_level(options->key_level)) {
        return ael_error_set(
            err, AEL_E_UNSUPPORTED, 0, k_component, "this build has no protection level %d", (int)options->key_level);
    }
    if (!is_level(options->level) || options->level == AEL_PROTECTION_OPEN) {
        return ael_error_set(
            err, AEL_E_UNSUPPORTED, 0, k_component, "secrets have the protection levels strict, pkey and leased");
    }
    if (options->minimum > options->level || options->minimum > options->key_level) {
        return ael_error_set(
            err, AEL_E_PROTECTION, 0, k_component,
            "the minimum of protection lies above a level asked for");
    }
    return AEL_OK;
}

static enum ael_status check_lease(const struct ael_memory_options *options, struct ael_error *err) {
    if (options->lease_us > AEL_LEASE_US_MAX || options->max_open_us > AEL_LEASE_US_MAX) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, k_component, "lease_us and max_open_us are at most %d", (int)AEL_LEASE_US_MAX);
    }
    return AEL_OK;
}

static enum ael_status check_periods(const struct ael_memory_options *options, struct ael_error *err) {
    if (options->rekey_s > AEL_REKEY_S_MAX || options->slot_idle_ms > AEL_SLOT_IDLE_MS_MAX) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, k_component, "rekey_s is at most %d and slot_idle_ms at most %d",
            (int)AEL_REKEY_S_MAX, (int)AEL_SLOT_IDLE_MS_MAX);
    }
    return AEL_OK;
}

static enum ael_status check_options(const struct ael_memory_options *options, struct ael_error *err) {
    if (options->size != sizeof *options) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, k_component, "the size of the options is not that of the struct");
    }
    if (!is_backing(options->backing)) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, k_component, "there is no backing %d", (int)options->backing);
    }
    if (options->secret_slots > AEL_SECRET_SLOTS_MAX) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, k_component, "secret_slots is at most %d", (int)AEL_SECRET_SLOTS_MAX);
    }
    if (options->on_fork != AEL_ON_FORK_CARRY && options->on_fork != AEL_ON_FORK_FORGET) {
        return ael_error_set(err, AEL_E_ARGUMENT, 0, k_component, "there is no on_fork %d", (int)options->on_fork);
    }
    AEL_TRY(check_lease(options, err));
    AEL_TRY(check_periods(options, err));
    return check_levels(options, err);
}

/* see ael/memory.h */
enum ael_status ael_memory_configure(const struct ael_memory_options *options, struct ael_error *err) {
    static const struct ael_memory_options k_defaults = AEL_MEMORY_OPTIONS_INIT;
    const struct ael_memory_options *wanted = options == NULL ? &k_defaults : options;
    AEL_TRY(check_options(wanted, err));
    return ael_protected_configure(wanted, err);
}

static void describe_leases(struct ael_memory_stats *stats) {
    struct ael_protected *memory = ael_protected();
    struct ael_warden_stats warden = ael_warden_stats(&memory->warden);
    stats->key_level = memory->policy.level;
    stats->lease_openings = warden.openings;
    stats->lease_late_closings = warden.late_closings;
    stats->lease_failed_closings = warden.failures;
}

static void describe_seals(struct ael_memory_stats *stats) {
    struct ael_rekey_stats rekey = ael_rekey_stats(&ael_protected()->rekey);
    stats->sealed = ael_seal_shards_listed();
    stats->roots = rekey.roots;
    stats->rekeys = rekey.rekeys;
    stats->reseals = rekey.reseals;
    stats->roots_wiped = rekey.wiped;
}

/* Inside the gate. */
static void describe(struct ael_memory_stats *stats) {
    struct ael_protected *memory = ael_protected();
    stats->secret_slots = memory->slots.count - memory->slots.kept;
    ael_secret_slots_count(&memory->slots, &stats->secret_slots_in_use, &stats->secret_slots_filled);
    stats->scratch_slots = memory->scratch.slots;
    stats->scratch_slots_in_use = ael_scratch_pool_in_use(&memory->scratch);
    stats->locked_bytes = ael_pages_locked_bytes();
    stats->large_regions = ael_own_pages_list_count(&memory->large);
    stats->backing = memory->policy.pages.backing;
    stats->level = memory->level;
    stats->locked = memory->policy.pages.lock;
    stats->block_signals = ael_signals_policy();
    stats->hot_keys = memory->hot.count;
    stats->hot_keys_filled = ael_hot_keys_filled(&memory->hot);
    stats->secret_slots_idle_wiped =
        atomic_load_explicit(&memory->slots.idle_wiped, memory_order_relaxed);
    describe_leases(stats);
    describe_seals(stats);
}

/* see ael/memory.h */
enum ael_status ael_memory_stats(struct ael_memory_stats *stats) {
    if (stats == NULL || stats->size < sizeof stats->size || stats->size > sizeof *stats) {
        return AEL_E_ARGUMENT;
    }
    struct ael_memory_stats now = AEL_MEMORY_STATS_INIT;
    now.size = stats->size;
    ael_secret_totals(&now.secrets_allocated, &now.secrets_in_use);
    if (ael_protected_hold_present() == AEL_OK) {
        describe(&now);
        ael_protected_drop();
    }
    memcpy(stats, &now, stats->size);
    return AEL_OK;
}

/* Ends all leases, and has no new ones begin in this epoch, which is returned; 0 when there is no memory. */
static uint32_t end_leases_for_good(void) {
    uint32_t epoch = 0;
    if (ael_protected_hold_present() == AEL_OK) {
        epoch = ael_protected()->epoch;
        ael_secret_leases_unwant(&ael_protected()->secret_leases);
        ael_secret_end_all_leases();
        ael_protected_drop();
    }
    return epoch;
}

/* After a shut-down that timed out, unless memory is another one by now. */
static void have_leases_again(uint32_t epoch) {
    if (epoch != 0 && ael_protected_hold_to_end(epoch) == AEL_OK) {
        ael_secret_leases_want(&ael_protected()->secret_leases);
        ael_protected_drop();
    }
}

/* see ael/memory.h */
enum ael_status ael_shutdown(uint32_t timeout_ms) {
    if (ael_secret_is_open_here(NULL)) {
        return AEL_E_BUSY;
    }
    int64_t deadline_ns = ael_deadline_in_ms(timeout_ms);
    if (!ael_process_is_lost()) {
        AEL_TRY(ael_shutdown_first(deadline_ns));
    }
    uint32_t epoch = end_leases_for_good();
    enum ael_status status = ael_protected_shutdown(deadline_ns);
    if (status != AEL_OK) {
        have_leases_again(epoch);
    }
    return status;
}
