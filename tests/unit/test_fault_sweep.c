/*
 * test_fault_sweep.c - each allocation of the library's own (by the hook of base/alloc.h) and each system call on
 * protected memory (by a table of its own) fails in turn, at every level and on every backing; runs under the
 * sanitizers too, whose leak check then sees what a failure left behind.
 *
 * After each walk, with nothing failing any more, the same memory is used again, and then shut down: nothing may be
 * open, mapped or locked then, and no descriptor left.
 *
 * Needs: the static library, CUnit, tests/support/fault_scenario.c, tests/support/failing_sys.c.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/alloc.h"
#include "securememory/pages.h"

#include <ael/ael.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/support/failing_sys.h"
#include "tests/support/fault_scenario.h"
#include "tests/support/simulated_pkeys.h"
#include "tests/support/suite.h"

enum { SWEEP_MAX = 20000, FEW_SLOTS = 2 };

/* What fails in a walk: the nth of its kind, and with all_later those behind it. */
struct fault {
    bool is_allocation;
    size_t nth; /* from 1 */
    bool all_later;
};

struct countdown {
    const struct fault *fault;
    atomic_size_t seen; /* by the warden, too */
};

static int fail_at(void *context) {
    struct countdown *countdown = context;
    size_t seen = atomic_fetch_add(&countdown->seen, 1) + 1;
    return seen == countdown->fault->nth || (countdown->fault->all_later && seen > countdown->fault->nth);
}

/* How a system call is refused; each call meets each of them. */
static const int k_codes[] = {ENOMEM, EAGAIN, EPERM, EINVAL, ENOSYS};
enum { CODES = sizeof k_codes / sizeof k_codes[0] };

/* -- what must hold -- */

static int next_descriptor(void) {
    int fd = dup(STDERR_FILENO);
    (void)close(fd);
    return fd;
}

/* The allocation or the call was the library's; or the callback's, which says so in its way. */
static bool is_documented(const struct fault *fault, enum ael_status status) {
    switch (status) {
    case AEL_OK:
    case AEL_E_NO_MEMORY:
    case AEL_E_CALLBACK:
        return true;
    case AEL_E_SYSTEM:
    case AEL_E_LOCK_LIMIT:
    case AEL_E_PROTECTION:
    case AEL_E_RANDOM:
        return !fault->is_allocation || fault->all_later;
    default:
        return false;
    }
}

/* With nothing failing any more. */
static const char *what_is_left(int descriptor) {
    struct ael_memory_stats stats = AEL_MEMORY_STATS_INIT;
    if (ael_memory_stats(&stats) != AEL_OK || stats.secrets_in_use != 0 || stats.scratch_slots_in_use != 0 ||
        stats.large_regions != 0) {
        return "something is in use still";
    }
    if (ael_shutdown(5000) != AEL_OK) {
        return "something is open still";
    }
    if (failing_sys_mapped_bytes() != 0 || ael_pages_locked_bytes() != 0) {
        return "something is mapped still";
    }
    return next_descriptor() == descriptor ? NULL : "a descriptor is left";
}

static void arm(struct countdown *countdown, int code) {
    const struct fault *fault = countdown->fault;
    unsigned nth = fault->is_allocation ? 0 : (unsigned)fault->nth;
    failing_sys_install(FAIL_ANY, nth, code, fault->all_later && nth != 0);
    if (fault->is_allocation) {
        ael_alloc_set_fault(fail_at, countdown);
    }
}

static bool disarm(struct countdown *countdown) {
    bool failed = failing_sys_disarm();
    ael_alloc_set_fault(NULL, NULL);
    return countdown->fault->is_allocation ? countdown->seen >= countdown->fault->nth : failed;
}

/* Walks once; tells whether it came to the failing one. */
static bool walk(const struct ael_memory_options *options, const struct fault *fault, int code, bool *good) {
    const struct fault_edges edges = {NULL, fault_scenario_memory, fault_scenario_kms, options};
    struct countdown countdown = {.fault = fault};
    struct fault_run run;
    int descriptor = next_descriptor();
    arm(&countdown, code);
    fault_scenario_walk(&edges, &run);
    bool reached = disarm(&countdown);
    enum ael_status status = run.status;
    *good = fault_scenario_check(&run) && (reached || status == AEL_OK) && is_documented(fault, status);
    const char *left = what_is_left(descriptor);
    (void)failing_sys_remove();
    if (!*good || left != NULL) {
        printf(
            "\n  %s %zu failed: %s in %s: %s\n", fault->is_allocation ? "allocation" : "system call",
            fault->nth, ael_status_name(status), run.step,
            run.violation != NULL ? run.violation
            : left != NULL        ? left
                                  : "another status than expected");
        *good = false;
    }
    return reached;
}

static void sweep(const struct ael_memory_options *options, bool is_allocation, bool all_later, int code) {
    struct fault fault = {is_allocation, 1, all_later};
    bool good = true;
    while (good && fault.nth < SWEEP_MAX && walk(options, &fault, code, &good)) {
        fault.nth++;
    }
    printf(" %zu", fault.nth - 1);
    (void)fflush(stdout);
    CU_ASSERT_TRUE(good);
    CU_ASSERT_TRUE(fault.nth > 10);
}

/* -- every level on every backing -- */

static bool is_there(enum ael_backing backing) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    options.backing = backing;
    bool there = ael_memory_configure(&options, NULL) == AEL_OK;
    CU_ASSERT_EQUAL(ael_shutdown(1000), AEL_OK);
    return there;
}

static void sweep_levels(enum ael_backing backing, void (*fn)(const struct ael_memory_options *options)) {
    static const enum ael_protection_level k_levels[] = {
        AEL_PROTECTION_OPEN, AEL_PROTECTION_LEASED, AEL_PROTECTION_PKEY, AEL_PROTECTION_STRICT};
    for (size_t i = 0; i < sizeof k_levels / sizeof k_levels[0]; i++) {
        struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
        options.backing = backing;
        options.key_level = k_levels[i];
        options.level = k_levels[i] == AEL_PROTECTION_OPEN ? AEL_PROTECTION_STRICT : k_levels[i];
        options.secret_slots = FEW_SLOTS;
        printf(
            "\n  %-12s %-6s failed in turn:", ael_backing_name(backing),
            ael_protection_level_name(k_levels[i]));
        fn(&options);
    }
}

static void everywhere(void (*fn)(const struct ael_memory_options *options)) {
    CU_ASSERT_EQUAL(ael_shutdown(1000), AEL_OK);
    simulated_pkeys_install(15); /* for the level pkey */
    CU_ASSERT_TRUE(is_there(AEL_BACKING_ANONYMOUS)); /* also maps what stays mapped for the process's life */
    sweep_levels(AEL_BACKING_ANONYMOUS, fn);
    if (is_there(AEL_BACKING_MEMFD_SECRET)) {
        sweep_levels(AEL_BACKING_MEMFD_SECRET, fn);
    } else {
        printf("\n  this kernel, or the filter or tool that it runs under, has no memfd_secret ");
    }
    CU_ASSERT_EQUAL(simulated_pkeys_in_use(), 0);
    simulated_pkeys_remove();
    printf(" ");
}

static void sweep_allocations(const struct ael_memory_options *options) {
    sweep(options, true, false, 0);
    sweep(options, true, true, 0);
}

static void sweep_system_calls(const struct ael_memory_options *options) {
    for (size_t i = 0; i < CODES; i++) {
        sweep(options, false, false, k_codes[i]);
        sweep(options, false, true, k_codes[i]);
    }
}

static void test_walk__survives_each_failed_allocation(void) {
    everywhere(sweep_allocations);
}

static void test_walk__survives_each_failed_system_call(void) {
    everywhere(sweep_system_calls);
}

/* Memory that nobody configures comes with the first call that needs it, and may fail in any. */
static void test_walk__survives_failures_of_a_set_up_unasked(void) {
    printf("\n  unasked             failed in turn:");
    CU_ASSERT_TRUE(is_there(AEL_BACKING_AUTO));
    sweep(NULL, true, false, 0);
    sweep(NULL, true, true, 0);
    sweep(NULL, false, false, ENOMEM);
    sweep(NULL, false, true, EPERM);
    printf(" ");
}

static const struct test_case k_cases[] = {
    {"each allocation fails, once and from there on", test_walk__survives_each_failed_allocation},
    {"each system call fails, once and from there on", test_walk__survives_each_failed_system_call},
    {"the set-up that comes unasked fails", test_walk__survives_failures_of_a_set_up_unasked},
};

TEST_SUITE_MAIN("fault_sweep", k_cases)
