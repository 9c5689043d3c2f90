/* SPDX-License-Identifier: Apache-2.0 */
#include "securememory/protected.h"

#include "base/alloc.h"
#include "base/barrier.h"
#include "base/check.h"
#include "base/fork.h"
#include "base/hooks.h"
#include "base/sync.h"
#include "base/thread_entry.h"
#include "securememory/process.h"

#include <ael/sys/error.h>

#include <string.h>

static const char k_component[] = "securememory";

/* The gate: these two bits, and who is inside: threads by their entries (base/thread_entry.h), and what outlives a
 * thread's call by count. Who enters notes that first and then looks at the bits; who shuts down takes the bit `present`
 * away first and then looks who is inside, and puts it back when there is somebody. Acquire on entering pairs with the
 * release in set_up: who enters sees the parts. */
static const uint32_t k_present = UINT32_C(1) << 0;
static const uint32_t k_closing = UINT32_C(1) << 1;
static atomic_uint_least32_t g_gate;
static atomic_uint_least32_t g_held;

enum { GATE_DOMAIN = AEL_LEASE_DOMAINS };

_Static_assert((int)GATE_DOMAIN < (int)AEL_THREAD_DOMAINS, "a thread's entry has room for it");

/* The epoch, readable outside the gate. */
static atomic_uint_least32_t g_epoch;

static struct ael_mutex g_lock = AEL_MUTEX_INIT; /* held to set up and to shut down */
static struct ael_cond g_left;                   /* signalled when the last one leaves a closing gate */
static struct ael_protected g_protected;

/* Of the last set-up, in this process or its parent: what an implicit set-up of a child goes by. Under g_lock. */
static struct ael_memory_options g_options = AEL_MEMORY_OPTIONS_INIT;

/* In a child that was handed root keys, until memory is set up around them. Under g_lock, but for the flag, which
 * tells that they are there. */
static struct ael_inherited_roots g_inherited;
static struct ael_pages_policy g_inherited_policy;
static atomic_bool g_carries;
static bool g_lent; /* around a fork */
static bool g_lost; /* the parent's keys could not be taken over: to be told at the first set-up */

/* see securememory/protected.h */
struct ael_protected *ael_protected(void) {
    return &g_protected;
}

/* -- fork: all other threads of ours stand still, so what the lock guards is whole -- */

/* Also while a shut-down looks who is inside. */
static bool is_present(void) {
    return atomic_load(&g_gate) != 0;
}

/* Where the root keys are that a child would get; bytes NULL = nowhere. */
static struct ael_pages *pages_to_lend(void) {
    return is_present() ? &g_protected.roots.region.pages : &g_inherited.pages;
}

/* In a child that was made without handlers, where nothing is called here, the pages are not there. */
static void lend_roots(void *self) {
    struct ael_pages *pages = pages_to_lend();
    (void)self;
    g_lent = g_options.on_fork == AEL_ON_FORK_CARRY && pages->bytes != NULL &&
             ael_pages_set_inherited(pages, true) == AEL_OK;
}

/* Pages that could not be taken back are lent again by the next fork only to be taken over: nothing gets lost. */
static void take_roots_back(void *self) {
    (void)self;
    if (g_lent) {
        enum ael_status status = ael_pages_set_inherited(pages_to_lend(), false);
        (void)status; /* if it fails: children get the page, and the handlers of the next fork take it over */
        ael_rekey_lent(&g_protected.rekey);
    }
    g_lent = false;
}

/* Takes the root keys over into pages of this child's. What cannot be taken over is forgotten. */
static void inherit_roots(void) {
    struct ael_pages lent = *pages_to_lend();
    struct ael_root_names names = is_present() ? ael_roots_names(&g_protected.roots) : g_inherited.names;
    struct ael_pages_policy policy = is_present() ? g_protected.policy.pages : g_inherited_policy;
    enum ael_status status = ael_roots_inherit(&lent, &names, &policy, &g_inherited);
    g_inherited_policy = policy;
    g_lost = status != AEL_OK;
}

/* The parent's pages are not here, but for those lent; nothing of the old parts is touched again. */
static void after_fork_in_child(void *self) {
    (void)self;
    ael_process_forked();
    ael_pages_forked();
    ael_pkeys_forked();
    if (g_lent) {
        inherit_roots();
    } else {
        g_inherited.pages = (struct ael_pages){.bytes = NULL};
    }
    g_lent = false;
    atomic_store(&g_carries, g_inherited.pages.bytes != NULL);
    atomic_store(&g_gate, 0);
    atomic_store(&g_held, 0);
    ael_free(g_protected.slots.slots);
    memset(&g_protected, 0, sizeof g_protected);
}

static bool process_is_known(void) {
    return !ael_process_is_lost();
}

/* Under the lock, before the first set-up in the process. */
static enum ael_status make_ready(void) {
    static struct ael_fork_part part = {
        .at_rest = lend_roots, .parent = take_roots_back, .child = after_fork_in_child};
    AEL_TRY(ael_process_watch());
    ael_fork_set_known(process_is_known);
    return ael_fork_add(&part);
}

/* see securememory/protected.h */
enum ael_status ael_protected_watch(void) {
    int cancel = ael_cancel_disable();
    ael_mutex_lock(&g_lock);
    enum ael_status status = make_ready();
    ael_mutex_unlock(&g_lock);
    ael_cancel_restore(cancel);
    return status;
}

/* -- setting up; under the lock -- */

static enum ael_status set_up(const struct ael_memory_options *options, struct ael_error *err) {
    struct ael_protected *memory = &g_protected;

    AEL_TRY(make_ready());
    memset(memory, 0, sizeof *memory);
    if (!atomic_load(&g_carries)) {
        atomic_fetch_add(&g_epoch, 1);
    }
    memory->epoch = atomic_load(&g_epoch);
    AEL_TRY(ael_protected_parts_make(memory, options, &g_inherited, err));
    g_options = *options;
    g_inherited_policy = memory->policy.pages;
    atomic_store(&g_gate, k_present);
    atomic_store(&g_carries, false); /* second: who finds it gone finds memory present */
    return AEL_OK;
}

/* The hooks are the host's; they are called without the lock. */
static void report_loss(bool lost) {
    if (lost) {
        ael_log(
            AEL_LOG_ERROR, k_component,
            "what was made before the fork is lost to this child: its root keys could not be taken over");
    }
}

static void report_fall_back(bool fell_back) {
    if (fell_back) {
        ael_log(
            AEL_LOG_WARN, k_component,
            "there are no protection keys for the level pkey: protected memory is at the level strict");
    }
}

static void report_set_up(enum ael_status status, bool locked, const struct ael_error *err) {
    if (status != AEL_OK && status != AEL_E_STATE) {
        ael_log(AEL_LOG_ERROR, k_component, "%s", err->detail);
    } else if (status == AEL_OK && !locked) {
        ael_log(
            AEL_LOG_WARN, k_component,
            "secrets are not locked into memory and may be swapped out (no_mlock)");
    }
}

/* see securememory/protected.h */
enum ael_status ael_protected_configure(const struct ael_memory_options *options, struct ael_error *err) {
    struct ael_error detail = {AEL_OK, 0, NULL, ""};
    if (ael_process_number() == 0) {
        return ael_error_set(err, AEL_E_FORKED, 0, k_component, "this child was made without fork handlers");
    }
    int cancel = ael_cancel_disable();
    ael_mutex_lock(&g_lock);
    enum ael_status status = AEL_E_STATE;
    if (atomic_load(&g_gate) == 0) {
        status = set_up(options, &detail);
    }
    bool locked = g_protected.policy.pages.lock;
    bool fell_back = status == AEL_OK && g_protected.fell_back;
    bool lost = g_lost;
    g_lost = false;
    ael_mutex_unlock(&g_lock);
    ael_cancel_restore(cancel);
    if (status != AEL_OK) {
        status = ael_protected_parts_explain(status, options, &detail);
        if (err != NULL) {
            *err = detail;
        }
    }
    report_loss(lost);
    report_fall_back(fell_back);
    report_set_up(status, locked, &detail);
    return status;
}

/* -- the gate -- */

static bool admits(uint32_t refuse) {
    uint32_t gate = atomic_load(&g_gate); /* in one order with the count of hold */
    return (gate & k_present) != 0 && (gate & refuse) == 0;
}

/* Somebody who shuts down may be waiting for the last one to leave. */
static void tell_the_last_left(void) {
    if ((atomic_load(&g_gate) & k_closing) != 0) {
        ael_mutex_lock(&g_lock);
        ael_cond_broadcast(&g_left);
        ael_mutex_unlock(&g_lock);
    }
}

/* see securememory/protected.h */
void ael_protected_leave(void) {
    ael_thread_leave(ael_thread_entry_here, GATE_DOMAIN);
    ael_barrier_light();
    tell_the_last_left();
}

/* see securememory/protected.h */
void ael_protected_drop(void) {
    atomic_fetch_sub(&g_held, 1);
    tell_the_last_left();
}

/* Goes in when memory is present and the gate has none of the bits `refuse`. */
static bool pass(uint32_t refuse) {
    ael_thread_enter(ael_thread_entry_here, GATE_DOMAIN);
    ael_barrier_light();
    if (admits(refuse)) {
        return true;
    }
    ael_protected_leave();
    return false;
}

/* As pass, for what outlives the call. */
static bool hold(uint32_t refuse) {
    atomic_fetch_add(&g_held, 1);
    if (admits(refuse)) {
        return true;
    }
    ael_protected_drop();
    return false;
}

/* Sets up with the options of before the fork, or the defaults. */
static enum ael_status set_up_unasked(void) {
    ael_mutex_lock(&g_lock);
    struct ael_memory_options options = g_options;
    ael_mutex_unlock(&g_lock);
    enum ael_status status = ael_protected_configure(&options, NULL);
    return status == AEL_E_STATE ? AEL_OK : status; /* another thread was faster */
}

static enum ael_status enter_or_set_up(uint32_t refuse) {
    if (ael_thread_entry_mine() == NULL) {
        return AEL_E_NO_MEMORY;
    }
    for (;;) {
        if (ael_process_number() == 0) {
            return AEL_E_FORKED;
        }
        if (pass(refuse)) {
            return AEL_OK;
        }
        if ((atomic_load(&g_gate) & refuse) != 0) {
            return AEL_E_CLOSED;
        }
        AEL_TRY(set_up_unasked());
    }
}

/* see securememory/protected.h */
enum ael_status ael_protected_enter(void) {
    return enter_or_set_up(k_closing);
}

/* see securememory/protected.h */
enum ael_status ael_protected_enter_within(void) {
    return enter_or_set_up(0);
}

/* Whether memory may be there all the same: a shut-down is just looking who is inside. */
static bool is_being_looked_at(uint32_t refuse) {
    return refuse == 0 && (atomic_load(&g_gate) & (k_present | k_closing)) == k_closing;
}

/* By pass or by hold. Memory that a child carries is set up; other memory that is absent is not. */
static enum ael_status go_in(bool (*in)(uint32_t refuse), uint32_t refuse, bool set_up_carried) {
    for (;;) {
        if (ael_process_number() == 0) {
            return AEL_E_FORKED;
        }
        if (in(refuse)) {
            return AEL_OK;
        }
        if (is_being_looked_at(refuse)) {
            ael_protected_settle();
        } else if (set_up_carried && atomic_load(&g_carries)) {
            AEL_TRY(set_up_unasked());
        } else if (!admits(refuse)) {
            return AEL_E_CLOSED;
        }
    }
}

static enum ael_status enter_epoch(uint32_t epoch, uint32_t refuse) {
    if (ael_thread_entry_mine() == NULL) {
        return AEL_E_NO_MEMORY;
    }
    AEL_TRY(go_in(pass, refuse, true));
    if (g_protected.epoch != epoch) {
        ael_protected_leave();
        return AEL_E_CLOSED;
    }
    return AEL_OK;
}

/* see securememory/protected.h */
enum ael_status ael_protected_enter_to_end(uint32_t epoch) {
    return enter_epoch(epoch, 0);
}

static enum ael_status hold_epoch(uint32_t epoch, uint32_t refuse) {
    AEL_TRY(go_in(hold, refuse, true));
    if (g_protected.epoch != epoch) {
        ael_protected_drop();
        return AEL_E_CLOSED;
    }
    return AEL_OK;
}

/* see securememory/protected.h */
enum ael_status ael_protected_hold(uint32_t epoch) {
    return hold_epoch(epoch, k_closing);
}

/* see securememory/protected.h */
enum ael_status ael_protected_hold_to_end(uint32_t epoch) {
    return hold_epoch(epoch, 0);
}

/* see securememory/protected.h */
enum ael_status ael_protected_hold_present(void) {
    return go_in(hold, 0, false);
}

/* see securememory/protected.h */
bool ael_protected_is_alive(uint32_t epoch) {
    bool carried = atomic_load(&g_carries); /* first, for set_up changes the other first */
    return atomic_load(&g_epoch) == epoch && (carried || is_present());
}

/* -- shutting down -- */

/* Under the lock: unmaps all when nobody is inside. Who enters behind the barrier finds memory absent. */
static bool take_down(void) {
    atomic_store(&g_gate, k_closing);
    ael_barrier_heavy_surely();
    if (atomic_load(&g_held) != 0 || ael_threads_are_inside(GATE_DOMAIN)) {
        atomic_store(&g_gate, k_present | k_closing);
        return false;
    }
    ael_protected_parts_clear(&g_protected);
    atomic_store(&g_gate, 0);
    return true;
}

/* Under the lock: takes down, or waits and tells whether to look again. Each look closes the gate anew,
 * because another shut-down that gave up has opened it. */
static enum ael_status take_down_or_wait(int64_t deadline_ns) {
    if (take_down()) {
        return AEL_OK;
    }
    enum ael_status status = ael_cond_wait_until(&g_left, &g_lock, deadline_ns);
    if (status != AEL_OK) {
        atomic_fetch_and(&g_gate, ~k_closing);
    }
    return status;
}

/* Under the lock: what a child was handed and did not use yet. */
static void drop_inherited(void) {
    if (atomic_load(&g_carries)) {
        atomic_store(&g_carries, false);
        ael_inherited_roots_clear(&g_inherited);
    }
    if (!is_present()) {
        ael_pkeys_give_back(); /* a child has its parent's */
    }
}

/* see securememory/protected.h */
enum ael_status ael_protected_shutdown(int64_t deadline_ns) {
    enum ael_status status = AEL_OK;

    if (ael_process_number() == 0) {
        return AEL_E_FORKED; /* the gate is the parent's; its pages are not here */
    }

    ael_mutex_lock(&g_lock);
    drop_inherited();
    uint32_t epoch = atomic_load(&g_epoch);
    while (status == AEL_OK && ael_protected_is_alive(epoch)) {
        status = take_down_or_wait(deadline_ns);
    }
    if (!is_present()) { /* not when another shut-down was faster and the host has set up anew */
        g_options = (struct ael_memory_options)AEL_MEMORY_OPTIONS_INIT;
    }
    if (!ael_protected_is_alive(epoch)) {
        status = AEL_OK;
    }
    ael_mutex_unlock(&g_lock);
    return status;
}

/* see securememory/protected.h */
void ael_protected_settle(void) {
    ael_mutex_lock(&g_lock);
    ael_mutex_unlock(&g_lock);
}
