/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hooks.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/sync.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

enum { LOG_LINE_BYTES = 512 };

/*
 * Hooks that were installed once, never changed and never freed: a call under way may use them at any later time, and
 * telling when it is done would cost every measurement a counter. Equal hooks share one copy, so that a host that
 * switches to and fro uses no more memory each time. No locks: a child of fork finds everything usable.
 */
struct hooks_copy {
    struct ael_hooks hooks;
    struct hooks_copy *next;
};

/*
 * Both are published with release and read with acquire: who sees a copy sees its members. g_copies keeps all of them,
 * g_current is the one in force or NULL.
 */
static _Atomic(struct hooks_copy *) g_copies;
static _Atomic(struct hooks_copy *) g_current;

static const struct ael_hooks *current_hooks(void) {
    const struct hooks_copy *copy = atomic_load_explicit(&g_current, memory_order_acquire);
    return copy != NULL ? &copy->hooks : NULL;
}

static bool hooks_equal(const struct ael_hooks *a, const struct ael_hooks *b) {
    return a->context == b->context && a->log == b->log && a->log_level == b->log_level &&
           a->metric == b->metric && a->corruption == b->corruption;
}

static struct hooks_copy *find_copy(const struct ael_hooks *hooks) {
    struct hooks_copy *copy = atomic_load_explicit(&g_copies, memory_order_acquire);
    while (copy != NULL && !hooks_equal(&copy->hooks, hooks)) {
        copy = copy->next;
    }
    return copy;
}

static struct hooks_copy *add_copy(const struct ael_hooks *hooks) {
    struct hooks_copy *copy = ael_alloc(sizeof(*copy));
    if (copy == NULL) {
        return NULL;
    }
    copy->hooks = *hooks;
    copy->next = atomic_load_explicit(&g_copies, memory_order_acquire);
    while (!atomic_compare_exchange_weak_explicit(
        &g_copies, &copy->next, copy, memory_order_acq_rel, memory_order_acquire)) {
    }
    return copy;
}

/* see ael/hooks.h */
enum ael_status ael_hooks_set(const struct ael_hooks *hooks) {
    if (hooks == NULL) {
        atomic_store_explicit(&g_current, NULL, memory_order_release);
        return AEL_OK;
    }
    if (hooks->size != sizeof(*hooks) || hooks->log_level < AEL_LOG_DEBUG ||
        hooks->log_level > AEL_LOG_ERROR) {
        return AEL_E_ARGUMENT;
    }
    struct hooks_copy *copy = find_copy(hooks);
    if (copy == NULL) {
        copy = add_copy(hooks);
    }
    if (copy == NULL) {
        return AEL_E_NO_MEMORY;
    }
    atomic_store_explicit(&g_current, copy, memory_order_release);
    return AEL_OK;
}

/* -- calling them: what the caller holds or counts would stay so for ever if a hook's system call ended the thread -- */

static void
tell_line(const struct ael_hooks *hooks, enum ael_log_level level, const char *component, const char *line) {
    int cancel = ael_cancel_disable();
    hooks->log(hooks->context, level, component, line);
    ael_cancel_restore(cancel);
}

static void
tell_metric(const struct ael_hooks *hooks, enum ael_metric_kind kind, const char *name, int64_t value) {
    int cancel = ael_cancel_disable();
    hooks->metric(hooks->context, kind, name, value);
    ael_cancel_restore(cancel);
}

/* see base/hooks.h */
void ael_log(enum ael_log_level level, const char *component, const char *format, ...) {
    const struct ael_hooks *hooks = current_hooks();
    if (hooks == NULL || hooks->log == NULL || level < hooks->log_level) {
        return;
    }
    char line[LOG_LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    if (len >= 0) {
        tell_line(hooks, level, component, line);
    }
}

/* see base/hooks.h. A set clock may stand at 0, which would mean that nobody listens. */
int64_t ael_metric_start(void) {
    const struct ael_hooks *hooks = current_hooks();
    if (hooks == NULL || hooks->metric == NULL) {
        return 0;
    }
    int64_t now = ael_clock_boot_ns();
    return now != 0 ? now : 1;
}

/* see base/hooks.h */
void ael_metric_timer(const char *name, int64_t start) {
    const struct ael_hooks *hooks = start != 0 ? current_hooks() : NULL;
    if (hooks == NULL || hooks->metric == NULL) {
        return;
    }
    int64_t spent = ael_clock_boot_ns() - start;
    tell_metric(hooks, AEL_METRIC_TIMER_NS, name, spent > 0 ? spent : 0);
}

/* see base/hooks.h */
void ael_metric_count(const char *name, int64_t change) {
    const struct ael_hooks *hooks = current_hooks();
    if (hooks != NULL && hooks->metric != NULL) {
        tell_metric(hooks, AEL_METRIC_COUNTER, name, change);
    }
}

static const char *text_of(enum ael_corruption what) {
    switch (what) {
    case AEL_CORRUPTION_SECRET_SLOT:
        return "the bytes before a secret in its slot were overwritten; the slot was wiped";
    case AEL_CORRUPTION_OWN_PAGES:
        return "the bytes before a secret in pages of its own were overwritten; close it";
    case AEL_CORRUPTION_SCRATCH:
        return "the bytes around a slot of scratch were overwritten; the slot was wiped";
    case AEL_CORRUPTION_SECRET_SEAL:
        return "a sealed secret was overwritten and does not open any more";
    case AEL_CORRUPTION_KEY_SEAL:
        return "a sealed key was overwritten; it is loaded again";
    case AEL_CORRUPTION_ROOT_KEYS:
    default:
        return "the page of the root keys was overwritten; what is sealed may not open any more";
    }
}

/* see base/hooks.h */
void ael_hooks_tell_corruption(enum ael_corruption what) {
    const struct ael_hooks *hooks = current_hooks();
    ael_log(AEL_LOG_ERROR, "securememory", "%s", text_of(what));
    if (hooks != NULL && hooks->corruption != NULL) {
        int cancel = ael_cancel_disable();
        hooks->corruption(hooks->context, what, text_of(what));
        ael_cancel_restore(cancel);
    }
}
