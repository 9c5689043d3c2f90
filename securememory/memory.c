/* SPDX-License-Identifier: Apache-2.0 */
#include <ael/memory.h>

#include "base/check.h"
#include "securememory/process.h"
#include "securememory/protected.h"
#include "securememory/secret_state.h"

#include <ael/call.h>
#include <ael/sys/error.h>

#include <string.h>

static const char k_component[] = "securememory";

/* see ael/memory.h */
const char *ael_protection_level_name(enum ael_protection_level level) {
    return level == AEL_PROTECTION_STRICT ? "strict" : "none";
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

static enum ael_status check_level(const struct ael_memory_options *options, struct ael_error *err) {
    if (options->level != AEL_PROTECTION_STRICT) {
        return ael_error_set(
            err, AEL_E_UNSUPPORTED, 0, k_component, "this build has the protection level strict only");
    }
    if (options->minimum > options->level) {
        return ael_error_set(
            err, AEL_E_PROTECTION, 0, k_component,
            "the minimum of protection lies above the level asked for");
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
    return check_level(options, err);
}

/* see ael/memory.h */
enum ael_status ael_memory_configure(const struct ael_memory_options *options, struct ael_error *err) {
    static const struct ael_memory_options k_defaults = AEL_MEMORY_OPTIONS_INIT;
    const struct ael_memory_options *wanted = options == NULL ? &k_defaults : options;
    AEL_TRY(check_options(wanted, err));
    return ael_protected_configure(wanted, err);
}

/* Inside the gate. */
static void describe(struct ael_memory_stats *stats) {
    struct ael_protected *memory = ael_protected();
    stats->secret_slots = memory->slots.count;
    ael_secret_slots_count(&memory->slots, &stats->secret_slots_in_use, &stats->secret_slots_filled);
    stats->scratch_slots = AEL_SCRATCH_SLOTS;
    stats->scratch_slots_in_use = ael_scratch_pool_in_use(&memory->scratch);
    stats->locked_bytes = ael_pages_locked_bytes();
    stats->large_regions = ael_own_pages_list_count(&memory->large);
    stats->backing = memory->policy.backing;
    stats->level = memory->level;
    stats->locked = memory->policy.lock;
}

/* see ael/memory.h */
enum ael_status ael_memory_stats(struct ael_memory_stats *stats) {
    if (stats == NULL || stats->size < sizeof stats->size || stats->size > sizeof *stats) {
        return AEL_E_ARGUMENT;
    }
    struct ael_memory_stats now = AEL_MEMORY_STATS_INIT;
    now.size = stats->size;
    ael_secret_totals(&now.secrets_allocated, &now.secrets_in_use);
    if (ael_protected_enter_present() == AEL_OK) {
        describe(&now);
        ael_protected_leave();
    }
    memcpy(stats, &now, stats->size);
    return AEL_OK;
}

/* see ael/memory.h */
enum ael_status ael_shutdown(uint32_t timeout_ms) {
    if (ael_secret_is_open_here(NULL)) {
        return AEL_E_BUSY;
    }
    return ael_protected_shutdown(ael_deadline_in_ms(timeout_ms));
}
