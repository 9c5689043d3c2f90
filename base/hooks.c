/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hooks.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/sync.h"

#include <ael/sys/log.h>

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

enum { LOG_LINE_BYTES = 512 };

/*
 * Who listens: the host's hooks and the library's observer. Installed once, never changed and never freed: a
 * call under way may use them at any later time, and telling when it is done would cost every measurement a
 * counter. Equal ones share one copy, so that a host that switches to and fro uses no more memory each time.
 * No locks: a child of fork finds everything usable.
 */
struct ael_listeners {
    struct ael_hooks hooks;
    ael_metric_observer_fn observer;
    bool has_metrics;
    const struct ael_listeners *next;
};

/*
 * Both are published with release and read with acquire: who sees listeners sees their members. g_kept has
 * all of them, ael_listeners_now those in force, or NULL.
 */
static _Atomic(const struct ael_listeners *) g_kept;
_Atomic(const struct ael_listeners *) ael_listeners_now;

static const struct ael_listeners *now_listening(void) {
    return atomic_load_explicit(&ael_listeners_now, memory_order_acquire);
}

static bool listeners_equal(const struct ael_listeners *a, const struct ael_listeners *b) {
    return a->hooks.context == b->hooks.context && a->hooks.log == b->hooks.log &&
           a->hooks.log_level == b->hooks.log_level && a->hooks.metric == b->hooks.metric &&
           a->hooks.corruption == b->hooks.corruption && a->observer == b->observer;
}

static const struct ael_listeners *find_kept(const struct ael_listeners *wanted) {
    const struct ael_listeners *kept = atomic_load_explicit(&g_kept, memory_order_acquire);
    while (kept != NULL && !listeners_equal(kept, wanted)) {
        kept = kept->next;
    }
    return kept;
}

/* Finds the copy or makes it; NULL without memory. */
static const struct ael_listeners *keep(const struct ael_listeners *wanted) {
    const struct ael_listeners *kept = find_kept(wanted);
    if (kept != NULL) {
        return kept;
    }
    struct ael_listeners *copy = ael_alloc(sizeof(*copy));
    if (copy == NULL) {
        return NULL;
    }
    *copy = *wanted;
    copy->has_metrics = copy->hooks.metric != NULL || copy->observer != NULL;
    copy->next = atomic_load_explicit(&g_kept, memory_order_acquire);
    while (!atomic_compare_exchange_weak_explicit(
        &g_kept, &copy->next, copy, memory_order_acq_rel, memory_order_acquire)) {
    }
    return copy;
}

static const struct ael_hooks k_no_hooks = AEL_HOOKS_INIT;

static bool listens(const struct ael_listeners *to) {
    return to->hooks.log != NULL || to->hooks.metric != NULL || to->hooks.corruption != NULL ||
           to->observer != NULL;
}

/* Replaces the host's hooks or the observer, and keeps the other as it stands. */
static enum ael_status replace(const struct ael_hooks *hooks, const ael_metric_observer_fn *observer) {
    const struct ael_listeners *before = now_listening();
    const struct ael_listeners *after = NULL;
    do {
        struct ael_listeners wanted = {.hooks = k_no_hooks};
        if (before != NULL) {
            wanted = *before;
        }
        wanted.hooks = hooks != NULL ? *hooks : wanted.hooks;
        wanted.observer = observer != NULL ? *observer : wanted.observer;
        after = listens(&wanted) ? keep(&wanted) : NULL;
        if (after == NULL && listens(&wanted)) {
            return AEL_E_NO_MEMORY;
        }
    } while (!atomic_compare_exchange_weak_explicit(
        &ael_listeners_now, &before, after, memory_order_acq_rel, memory_order_acquire));
    return AEL_OK;
}

/* see ael/hooks.h */
enum ael_status ael_hooks_set(const struct ael_hooks *hooks) {
    if (hooks == NULL) {
        return replace(&k_no_hooks, NULL);
    }
    if (hooks->size != sizeof(*hooks) || hooks->log_level < AEL_LOG_DEBUG ||
        hooks->log_level > AEL_LOG_ERROR) {
        return AEL_E_ARGUMENT;
    }
    return replace(hooks, NULL);
}

/* see base/hooks.h */
void ael_metric_event(const char *name) {
    ael_metric_count(name, 1);
}

/* see base/hooks.h */
enum ael_status ael_hooks_observe(ael_metric_observer_fn observer) {
    return replace(NULL, &observer);
}

/* -- calling them: what the caller holds or counts would stay so for ever if a hook's system call ended the
 * thread -- */

static void
tell_line(const struct ael_hooks *hooks, enum ael_log_level level, const char *component, const char *line) {
    int cancel = ael_cancel_disable();
    hooks->log(hooks->context, level, component, line);
    ael_cancel_restore(cancel);
}

static void
tell_metric(const struct ael_listeners *to, enum ael_metric_kind kind, const char *name, int64_t value) {
    int cancel = ael_cancel_disable();
    if (to->observer != NULL) {
        to->observer(kind, name, value);
    }
    if (to->hooks.metric != NULL) {
        to->hooks.metric(to->hooks.context, kind, name, value);
    }
    ael_cancel_restore(cancel);
}

__attribute__((format(printf, 3, 0))) static void
log_line(enum ael_log_level level, const char *component, const char *format, va_list arguments) {
    const struct ael_listeners *to = now_listening();
    if (to == NULL || to->hooks.log == NULL || level < to->hooks.log_level) {
        return;
    }
    char line[LOG_LINE_BYTES];
    if (vsnprintf(line, sizeof(line), format, arguments) >= 0) {
        tell_line(&to->hooks, level, component, line);
    }
}

/* see base/hooks.h */
void ael_log(enum ael_log_level level, const char *component, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    log_line(level, component, format, arguments);
    va_end(arguments);
}

/* see ael/sys/log.h */
void ael_sys_log(enum ael_log_level level, const char *component, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    log_line(level, component, format, arguments);
    va_end(arguments);
}

/* see base/hooks.h. A set clock may stand at 0, which would mean that nobody listens. */
int64_t ael_metric_start_heard(void) {
    const struct ael_listeners *to = now_listening();
    if (to == NULL || !to->has_metrics) {
        return 0;
    }
    int64_t now = ael_clock_boot_ns();
    return now != 0 ? now : 1;
}

/* see base/hooks.h */
void ael_metric_timer_heard(const char *name, int64_t start) {
    const struct ael_listeners *to = now_listening();
    if (to == NULL || !to->has_metrics) {
        return;
    }
    int64_t spent = ael_clock_boot_ns() - start;
    tell_metric(to, AEL_METRIC_TIMER_NS, name, spent > 0 ? spent : 0);
}

/* see base/hooks.h */
void ael_metric_count_heard(const char *name, int64_t change) {
    const struct ael_listeners *to = now_listening();
    if (to != NULL && to->has_metrics) {
        tell_metric(to, AEL_METRIC_COUNTER, name, change);
    }
}

/* The names of the counters of failures: one a source and status. */
static const struct {
    enum ael_status status;
    const char *names[AEL_METRIC_SOURCES];
} k_failures[] = {
#define AEL_X(name, value, text)                                                                             \
    {name, {"ael.error.encrypt." #name, "ael.error.decrypt." #name, "ael.error.metastore." #name,            \
            "ael.error.kms." #name}},
    AEL_STATUS_MAP(AEL_X)
#undef AEL_X
};

/* see base/hooks.h */
void ael_metric_failure_heard(enum ael_metric_source source, enum ael_status status) {
    for (size_t i = 0; ael_hooks_are_set() && i < sizeof(k_failures) / sizeof(k_failures[0]); i++) {
        if (k_failures[i].status == status) {
            ael_metric_count_heard(k_failures[i].names[source], 1);
            return;
        }
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
    const struct ael_listeners *to = now_listening();
    ael_log(AEL_LOG_ERROR, "securememory", "%s", text_of(what));
    if (to != NULL && to->hooks.corruption != NULL) {
        int cancel = ael_cancel_disable();
        to->hooks.corruption(to->hooks.context, what, text_of(what));
        ael_cancel_restore(cancel);
    }
}
