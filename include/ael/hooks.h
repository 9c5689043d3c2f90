/*
 * ael/hooks.h - where the library's log lines and measurements go. Nothing is written anywhere by itself.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_HOOKS_H
#define AEL_HOOKS_H

#include <ael/status.h>

#include <stddef.h>

enum ael_log_level {
    AEL_LOG_DEBUG = 1,
    AEL_LOG_INFO = 2,
    AEL_LOG_WARN = 3,
    AEL_LOG_ERROR = 4,
};

enum ael_metric_kind {
    AEL_METRIC_TIMER_NS = 1, /* value: nanoseconds that one operation took */
    AEL_METRIC_COUNTER = 2,  /* value: added to a running total; may be negative */
};

/* message: NUL-terminated UTF-8, valid during the call; never key or payload bytes. May name key ids. */
typedef void (*ael_log_fn)(void *context, enum ael_log_level level, const char *component, const char *message);

/*
 * name: a static string. Timers: ael.drr.encrypt, ael.drr.decrypt, ael.metastore.<kind>.{load,loadlatest,store}
 * (kind: sql for the SQL backends, else the backend's name), ael.kms.<name>.{encryptkey,decryptkey},
 * secret.alloctimer. Counters: secret.allocated, secret.inuse, ael.cache.{sk,ik,session}.{hit,miss,stale,evict}.
 */
typedef void (*ael_metric_fn)(void *context, enum ael_metric_kind kind, const char *name, int64_t value);

struct ael_hooks {
    size_t size; /* sizeof(struct ael_hooks) */
    void *context;
    ael_log_fn log;               /* NULL = no log */
    enum ael_log_level log_level; /* lines below are not made */
    ael_metric_fn metric;         /* NULL = no metrics, no clock is read for them */
};

#define AEL_HOOKS_INIT {sizeof(struct ael_hooks), NULL, NULL, AEL_LOG_WARN, NULL}

AEL_BEGIN_DECLS

/**
 * Installs the hooks of this process; NULL removes them. The hooks are called on the thread that does the work,
 * must not block and must not call back into the library.
 *
 * @return AEL_OK; AEL_E_ARGUMENT (a size or level that is none); AEL_E_NO_MEMORY.
 * Ownership: copied; context must outlive every call of the library, also after replacement (a call under way
 * may still use the hooks it began with). Threads: any.
 */
AEL_API AEL_MUST_CHECK enum ael_status ael_hooks_set(const struct ael_hooks *hooks);

AEL_END_DECLS

#endif /* AEL_HOOKS_H */
