/* SPDX-License-Identifier: Apache-2.0 */
#include "securememory/protected_parts.h"

#include "base/check.h"
#include "base/clock.h"
#include "securememory/protected.h"
#include "securememory/secret_state.h"
#include "securememory/signals.h"
#include "securememory/sys_seam.h"

#include <ael/sys/error.h>

enum {
    LEAST_SECRET_SLOTS = 6, /* fewer where pages are so large that these would not fit into SMALLEST_LIMIT */
    MOST_SECRET_SLOTS = 64,
    DEFAULT_LEASE_US = 1000,
    PAGES_LEFT = 1,             /* that hot keys do not take */
    SMALLEST_LIMIT = 64 * 1024, /* of locked memory, with which the defaults are to work */
    DEFAULT_REKEY_S = 3600,
    DEFAULT_SLOT_IDLE_MS = 1000,
    SWEPT_AT_ONCE =
        256, /* seals, by the warden: well under a millisecond, for which leases and a fork wait */
};

static const uint64_t k_default_rekey_seals = UINT64_C(1) << 32;

static const char k_component[] = "securememory";

/* -- how much -- */

static size_t locked_memory_limit(void) {
    struct rlimit limit = {0, 0};
    if (ael_sys()->getrlimit(RLIMIT_MEMLOCK, &limit) != 0) {
        return 0;
    }
    return limit.rlim_cur > SIZE_MAX ? SIZE_MAX : (size_t)limit.rlim_cur;
}

static size_t pages_for(size_t bytes) {
    return (bytes + ael_sys_page_bytes() - 1) / ael_sys_page_bytes();
}

/* All but the slots of secrets, at least. */
static size_t fixed_pages(void) {
    return pages_for(AEL_ROOTS_ALL_BYTES) + pages_for(AEL_SCRATCH_LEAST_BYTES) +
           pages_for(AEL_GENERATOR_ALL_BYTES);
}

/* More in a hundredth of the limit. At `strict` they are opened and shut by each operation, for which they are few. */
static uint32_t scratch_slots(enum ael_protection_level key_level) {
    size_t most = key_level == AEL_PROTECTION_STRICT ? 0 : locked_memory_limit() / 100 / AEL_SCRATCH_STRIDE;
    uint32_t slots = AEL_SCRATCH_SLOTS_LEAST;
    while (slots < AEL_SCRATCH_SLOTS_MOST && (size_t)slots * 2 <= most) {
        slots *= 2;
    }
    return slots;
}

static size_t clamp(size_t value, size_t least, size_t most) {
    return value < least ? least : value > most ? most : value;
}

static size_t least_slots(const struct ael_memory_options *options) {
    if (options->secret_slots != 0) {
        return options->secret_slots;
    }
    size_t all = SMALLEST_LIMIT / ael_sys_page_bytes();
    return clamp(all > fixed_pages() ? all - fixed_pages() : 0, 1, LEAST_SECRET_SLOTS);
}

/* A quarter of the limit at most, when nobody said how many: the host may lock memory of its own. */
static size_t most_slots(const struct ael_memory_options *options) {
    if (options->secret_slots != 0) {
        return options->secret_slots;
    }
    return clamp(locked_memory_limit() / 4 / ael_sys_page_bytes(), least_slots(options), MOST_SECRET_SLOTS);
}

/* None where one page is a good part of the smallest limit. */
static size_t slots_for_edges(void) {
    size_t all = SMALLEST_LIMIT / ael_sys_page_bytes();
    return all >= fixed_pages() + LEAST_SECRET_SLOTS + AEL_SECRET_SLOTS_FOR_EDGES ? AEL_SECRET_SLOTS_FOR_EDGES
                                                                                  : 0;
}

static int64_t idle_ns(const struct ael_memory_options *options) {
    int64_t idle_ms = options->slot_idle_ms != 0 ? options->slot_idle_ms : DEFAULT_SLOT_IDLE_MS;
    return idle_ms * 1000000;
}

static enum ael_status
map_slots(struct ael_protected *memory, const struct ael_memory_options *options, struct ael_error *err) {
    struct ael_secret_slots_policy idle = {idle_ns(options), &memory->warden};
    struct ael_secret_slots_size size = {slots_for_edges(), least_slots(options), most_slots(options)};
    AEL_TRY(ael_secret_slots_init(&memory->slots, &size, &memory->policy.pages, &idle, err));
    return ael_secret_slots_set_key(&memory->slots, memory->secret_key);
}

/* Where there is room for a page beside what must be, and for one more that is left: they are only for speed, and the host
 * may lock a page of its own later. More in a hundredth of the limit. */
static size_t hot_keys(const struct ael_protected *memory, const struct ael_memory_options *options) {
    size_t page = ael_sys_page_bytes();
    size_t more_scratch = (size_t)(memory->scratch.slots - AEL_SCRATCH_SLOTS_LEAST) * AEL_SCRATCH_STRIDE;
    size_t needed =
        fixed_pages() + pages_for(more_scratch) + slots_for_edges() + most_slots(options) + 1 + PAGES_LEFT;
    if (needed > locked_memory_limit() / page) {
        return 0;
    }
    size_t most = pages_for((size_t)AEL_HOT_KEYS_MAX * AEL_HOT_KEY_BYTES);
    return clamp(locked_memory_limit() / 100 / page, 1, most) * page / AEL_HOT_KEY_BYTES;
}

/* -- levels -- */

static enum ael_protection_level instead_of_pkey(enum ael_protection_level level) {
    return level == AEL_PROTECTION_PKEY ? AEL_PROTECTION_STRICT : level;
}

static unsigned keys_for(const struct ael_memory_options *options) {
    unsigned keys = options->level == AEL_PROTECTION_PKEY ? 1U << AEL_PKEY_SECRETS : 0;
    if (options->key_level == AEL_PROTECTION_PKEY) {
        keys |= 1U << AEL_PKEY_ROOTS | 1U << AEL_PKEY_WORK;
    }
    return keys;
}

/* The levels asked for; `strict` in place of `pkey` where the machine has no keys and the minimum lies below `pkey`. */
static enum ael_status
choose_levels(struct ael_protected *memory, const struct ael_memory_options *options, struct ael_error *err) {
    enum ael_status status = ael_pkeys_take(keys_for(options), err);
    memory->fell_back = status == AEL_E_PROTECTION && options->minimum < AEL_PROTECTION_PKEY;
    if (status != AEL_OK && !memory->fell_back) {
        return status;
    }
    memory->level = memory->fell_back ? instead_of_pkey(options->level) : options->level;
    memory->policy.level = memory->fell_back ? instead_of_pkey(options->key_level) : options->key_level;
    memory->secret_key = memory->level == AEL_PROTECTION_PKEY ? AEL_PKEY_SECRETS : AEL_PKEY_NONE;
    return AEL_OK;
}

/* -- making and clearing -- */

static void clear_working_parts(struct ael_protected *memory) {
    ael_secret_slots_clear(&memory->slots);
    ael_generator_clear(&memory->generator);
    ael_scratch_pool_clear(&memory->scratch);
}

static void clear_parts(struct ael_protected *memory) {
    ael_warden_stop(&memory->warden);
    ael_rekey_clear(&memory->rekey);
    ael_own_pages_list_unmap_all(&memory->large);
    ael_hot_keys_clear(&memory->hot);
    clear_working_parts(memory);
    ael_roots_clear(&memory->roots);
    ael_pkeys_give_back();
}

/* The root keys of before a fork, or new ones. */
static enum ael_status
make_roots(struct ael_protected *memory, struct ael_inherited_roots *inherited, struct ael_error *err) {
    return inherited->pages.bytes != NULL ? ael_roots_adopt(&memory->roots, inherited, &memory->policy)
                                          : ael_roots_init(&memory->roots, &memory->policy, err);
}

static bool secrets_are_leased(void) {
    return ael_secret_leases_are_there(&ael_protected()->secret_leases);
}

static enum ael_status
start_warden(struct ael_protected *memory, const struct ael_memory_options *options, struct ael_error *err) {
    if (options->key_level != AEL_PROTECTION_LEASED && options->level != AEL_PROTECTION_LEASED) {
        return AEL_OK;
    }
    int64_t lease_us = options->lease_us != 0 ? options->lease_us : DEFAULT_LEASE_US;
    enum ael_status status =
        ael_warden_start(&memory->warden, lease_us * 1000, (int64_t)options->max_open_us * 1000);
    if (status != AEL_OK) {
        return ael_error_set(
            err, status, 0, k_component,
            "the thread that closes leased memory could not be started; choose the level strict");
    }
    if (options->level == AEL_PROTECTION_LEASED) {
        ael_warden_watch_secrets(&memory->warden, ael_secret_end_unused_leases, secrets_are_leased);
    }
    return AEL_OK;
}

/* -- what becomes due -- */

/* Where the keys' own memory is leased, the warden knows when something is sealed, because that opens it. */
static enum ael_status init_rekey(struct ael_protected *memory, const struct ael_memory_options *options) {
    int64_t period_s = options->rekey_s != 0 ? options->rekey_s : DEFAULT_REKEY_S;
    struct ael_rekey_policy policy = {
        .period_ns = period_s * 1000000000,
        .seals = options->rekey_seals != 0 ? options->rekey_seals : k_default_rekey_seals,
        .by_operations = memory->policy.level != AEL_PROTECTION_LEASED,
    };
    struct ael_reseal_parts parts = {&memory->roots, &memory->scratch, &memory->slots};
    return ael_rekey_init(&memory->rekey, &policy, &parts);
}

static void tend(void) {
    struct ael_protected *memory = ael_protected();
    int64_t now_ns = ael_clock_boot_ns();
    ael_secret_slots_wipe_idle(&memory->slots, now_ns);
    ael_hot_keys_tend(&memory->hot, now_ns);
    if (!memory->rekey.policy.by_operations) {
        ael_rekey_tend(&memory->rekey, now_ns, SWEPT_AT_ONCE);
    }
}

static int64_t due_ns(void) {
    struct ael_protected *memory = ael_protected();
    int64_t idle = ael_secret_slots_idle_due_ns(&memory->slots);
    int64_t rekey = memory->rekey.policy.by_operations ? INT64_MAX : ael_rekey_due_ns(&memory->rekey);
    int64_t hot = ael_hot_keys_due_ns(&memory->hot);
    int64_t first = idle < rekey ? idle : rekey;
    return first < hot ? first : hot;
}

/* All parts are there. A child that took over as many roots as there are places makes room for its own children. */
static enum ael_status begin_dues(struct ael_protected *memory, const struct ael_memory_options *options) {
    AEL_TRY(init_rekey(memory, options));
    if (memory->roots.region.pages.lent) { /* to a child of its own, before they were first needed here */
        ael_rekey_lent(&memory->rekey);
    }
    ael_rekey_make_room(&memory->rekey);
    if (memory->warden.running) {
        ael_warden_watch_dues(&memory->warden, tend, due_ns);
    }
    return AEL_OK;
}

static enum ael_status map_working_parts(
    struct ael_protected *memory,
    uint32_t scratch,
    const struct ael_memory_options *options,
    struct ael_error *err) {
    AEL_TRY(ael_scratch_pool_init(&memory->scratch, scratch, &memory->policy, err));
    AEL_TRY(ael_generator_init(&memory->generator, &memory->policy, err));
    return map_slots(memory, options, err);
}

static void forget_error(struct ael_error *err) {
    if (err != NULL) {
        *err = (struct ael_error){.status = AEL_OK};
    }
}

/* The host may have locked most of the limit: then as little scratch as can be. */
static enum ael_status map_what_fits(
    struct ael_protected *memory, const struct ael_memory_options *options, struct ael_error *err) {
    uint32_t scratch = scratch_slots(memory->policy.level);
    enum ael_status status = map_working_parts(memory, scratch, options, err);
    if (status == AEL_E_LOCK_LIMIT && scratch > AEL_SCRATCH_SLOTS_LEAST) {
        clear_working_parts(memory);
        forget_error(err);
        status = map_working_parts(memory, AEL_SCRATCH_SLOTS_LEAST, options, err);
    }
    return status;
}

static enum ael_status map_parts(
    struct ael_protected *memory,
    const struct ael_memory_options *options,
    struct ael_inherited_roots *inherited,
    struct ael_error *err) {
    AEL_TRY(choose_levels(memory, options, err));
    AEL_TRY(start_warden(memory, options, err));
    AEL_TRY(make_roots(memory, inherited, err));
    AEL_TRY(map_what_fits(memory, options, err));
    ael_hot_keys_init(&memory->hot, hot_keys(memory, options), idle_ns(options), &memory->policy);
    return begin_dues(memory, options);
}

/* see securememory/protected_parts.h */
enum ael_status ael_protected_parts_explain(
    enum ael_status status, const struct ael_memory_options *options, struct ael_error *err) {
    if (status == AEL_E_LOCK_LIMIT) {
        return ael_error_set(
            err, status, err == NULL ? 0 : err->native_code, k_component,
            "the locked-memory limit RLIMIT_MEMLOCK is %zu bytes; %zu are needed; raise it with ulimit -l, "
            "systemd "
            "LimitMEMLOCK= or docker --ulimit memlock=, or have fewer pages locked",
            locked_memory_limit(),
            (fixed_pages() + slots_for_edges() + least_slots(options)) * ael_sys_page_bytes());
    }
    if (err != NULL && err->status != status) {
        return ael_error_set(
            err, status, 0, k_component, "protected memory was not set up: %s", ael_status_text(status));
    }
    return status;
}

/* The build switch for benchmarks is the compile definition AEL_NO_MLOCK. */
#ifdef AEL_NO_MLOCK
static bool build_locks(void) {
    return false;
}
#else
static bool build_locks(void) {
    return true;
}
#endif

static enum ael_status init_lists(struct ael_protected *memory, const struct ael_memory_options *options) {
    AEL_TRY(ael_secret_leases_init(&memory->secret_leases, (int64_t)options->max_open_us * 1000));
    enum ael_status status = ael_mutex_init(&memory->large.lock);
    if (status != AEL_OK) {
        ael_secret_leases_clear(&memory->secret_leases);
    }
    return status;
}

static void clear_lists(struct ael_protected *memory) {
    ael_mutex_clear(&memory->large.lock);
    ael_secret_leases_clear(&memory->secret_leases);
}

/* After a failure: what was inherited stays so. */
static void undo(struct ael_protected *memory, bool had_inherited, struct ael_inherited_roots *inherited) {
    ael_warden_stop(&memory->warden);
    if (had_inherited) {
        ael_roots_give_back(&memory->roots, inherited);
    }
    clear_parts(memory);
    clear_lists(memory);
}

/* see securememory/protected_parts.h */
enum ael_status ael_protected_parts_make(
    struct ael_protected *memory,
    const struct ael_memory_options *options,
    struct ael_inherited_roots *inherited,
    struct ael_error *err) {
    bool had_inherited = inherited->pages.bytes != NULL;
    memory->policy.warden = &memory->warden;
    ael_signals_set_policy(options->block_signals);
    AEL_TRY(init_lists(memory, options));
    enum ael_status status =
        ael_pages_choose(options->backing, build_locks() && !options->no_mlock, &memory->policy.pages, err);
    if (status == AEL_OK) {
        status = map_parts(memory, options, inherited, err);
    }
    if (status != AEL_OK) {
        undo(memory, had_inherited, inherited);
    }
    return status;
}

/* see securememory/protected_parts.h */
void ael_protected_parts_clear(struct ael_protected *memory) {
    clear_parts(memory);
    clear_lists(memory);
}
