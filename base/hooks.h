/*
 * base/hooks.h - handing log lines and measurements to the host's hooks (ael/hooks.h).
 *
 *     int64_t start = ael_metric_start();       // 0, and no clock read, when nobody listens
 *     ...
 *     ael_metric_timer("ael.drr.encrypt", start);
 * Layer: base.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_BASE_HOOKS_H
#define AEL_BASE_HOOKS_H

#include "base/component_api.h"

#include <ael/hooks.h>

#include <stdatomic.h>

struct ael_listeners;

/* Who listens to anything; NULL: nobody, which is all that an operation looks at then. For the functions
 * below. */
extern _Atomic(const struct ael_listeners *) ael_listeners_now;

/** Tells whether anybody listens to anything. Relaxed: who acts on it looks again. Threads: any. */
static inline bool ael_hooks_are_set(void) {
    return __builtin_expect(atomic_load_explicit(&ael_listeners_now, memory_order_relaxed) != NULL, 0);
}

/* What ael_metric_failure counts the failures of. */
enum ael_metric_source {
    AEL_METRIC_SOURCE_ENCRYPT = 0,
    AEL_METRIC_SOURCE_DECRYPT,
    AEL_METRIC_SOURCE_METASTORE,
    AEL_METRIC_SOURCE_KMS,
    AEL_METRIC_SOURCES,
};

/* The functions below for when somebody listens. */
int64_t ael_metric_start_heard(void);
void ael_metric_timer_heard(const char *name, int64_t start);
void ael_metric_count_heard(const char *name, int64_t change);
void ael_metric_failure_heard(enum ael_metric_source source, enum ael_status status);

/** Makes a log line if somebody listens at this level. No key or payload bytes. Threads: any. */
__attribute__((format(printf, 3, 4))) void
ael_log(enum ael_log_level level, const char *component, const char *format, ...);

/** Returns the start time of a measurement, or 0 when nobody listens to metrics. Threads: any. */
static inline int64_t ael_metric_start(void) {
    return ael_hooks_are_set() ? ael_metric_start_heard() : 0;
}

/** Reports the time since start; nothing when start is 0. name is static. Threads: any. */
static inline void ael_metric_timer(const char *name, int64_t start) {
    if (__builtin_expect(start != 0, 0)) {
        ael_metric_timer_heard(name, start);
    }
}

/** Counts one of what seldom happens, for components outside of the core too. name is static. Threads:
 * any. */
AEL_COMPONENT_API void ael_metric_event(const char *name);

/** Reports a change of a counter. name is static. Threads: any. */
static inline void ael_metric_count(const char *name, int64_t change) {
    if (ael_hooks_are_set()) {
        ael_metric_count_heard(name, change);
    }
}

/** Counts a failure, by what failed and how; nothing for AEL_OK. Threads: any. */
static inline void ael_metric_failure(enum ael_metric_source source, enum ael_status status) {
    if (__builtin_expect(status != AEL_OK, 0)) {
        ael_metric_failure_heard(source, status);
    }
}

/* As the metric hook of a host's, without a context. */
typedef void (*ael_metric_observer_fn)(enum ael_metric_kind kind, const char *name, int64_t value);

/**
 * Has the library's own observer told of each metric, before the host's hook and whether there is one or not;
 * NULL ends that. @return AEL_OK; AEL_E_NO_MEMORY. Threads: any; a call under way may still tell the one
 * before.
 */
AEL_MUST_CHECK enum ael_status ael_hooks_observe(ael_metric_observer_fn observer);

/** Makes the log line and calls the corruption hook. For base/corruption.h. Threads: any, with no mutex
 * held. */
void ael_hooks_tell_corruption(enum ael_corruption what);

#endif /* AEL_BASE_HOOKS_H */
