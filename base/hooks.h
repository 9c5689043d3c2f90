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

#include <ael/hooks.h>

/** Makes a log line if somebody listens at this level. No key or payload bytes. Threads: any. */
__attribute__((format(printf, 3, 4))) void
ael_log(enum ael_log_level level, const char *component, const char *format, ...);

/** Returns the start time of a measurement, or 0 when no metric hook is set. Threads: any. */
int64_t ael_metric_start(void);

/** Reports the time since start; nothing when start is 0. name is static. Threads: any. */
void ael_metric_timer(const char *name, int64_t start);

/** Reports a change of a counter. name is static. Threads: any. */
void ael_metric_count(const char *name, int64_t change);

/** Makes the log line and calls the corruption hook. For base/corruption.h. Threads: any, with no mutex held. */
void ael_hooks_tell_corruption(enum ael_corruption what);

#endif /* AEL_BASE_HOOKS_H */
