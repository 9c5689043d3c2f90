/*
 * ael/hooks.h - where the library's log lines and measurements go, and who is told of corrupted memory. Nothing is
 * written anywhere by itself.
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
 * name: a static string. Timers: ael.drr.encrypt, ael.drr.decrypt (one record), ael.drr.{encrypt,decrypt}_batch (a whole
 * batch, of which no single records are timed), ael.metastore.<kind>.{load,loadlatest,store} (kind: sql for the SQL backends, else the backend's name), ael.kms.<name>.{encryptkey,decryptkey},
 * ael.cache.{sk,ik}.load (a load that a cache asked for, edges and waits included), secret.alloctimer. Counters:
 * secret.allocated, secret.inuse, ael.cache.{sk,ik,session}.{hit,miss,stale,evict}, and failures by what was asked for:
 * ael.error.{encrypt,decrypt,metastore,kms}.<name of the status> (a key that a metastore does not have is none).
 * Counters of AWS KMS: ael.kms.aws.{breaker_opened,breaker_half_opened,breaker_closed,retry,hedge,hedge_won,region_left_out,
 * decrypt_joined}.
 * ael/metrics.h has a ready-made collector of them, which goes beside a hook of the host's.
 */
typedef void (*ael_metric_fn)(void *context, enum ael_metric_kind kind, const char *name, int64_t value);

/* What was found overwritten: a canary that is wrong, or a seal that does not open. */
enum ael_corruption {
    AEL_CORRUPTION_SECRET_SLOT = 1, /* the bytes before an open or idle secret */
    AEL_CORRUPTION_OWN_PAGES = 2,   /* the bytes before a secret of more than 4,000 bytes */
    AEL_CORRUPTION_SCRATCH = 3,     /* the bytes around a slot of the library's own operations */
    AEL_CORRUPTION_SECRET_SEAL = 4, /* a sealed secret */
    AEL_CORRUPTION_KEY_SEAL = 5,    /* a sealed system or intermediate key; it is loaded again */
    AEL_CORRUPTION_ROOT_KEYS = 6,   /* the page of the root keys: what is sealed may not open any more */
};

/*
 * Called once for each entry of protected memory that is found corrupted, on the thread that found it, which holds no
 * lock of the library, and not around a fork. The entry is wiped, and the call under way answers AEL_E_CORRUPTED (or
 * goes on, when the entry was another's). what: new kinds may come. text: a static sentence; neither ids nor bytes.
 * With block_signals (ael/memory.h) signals may be blocked meanwhile. The library itself never ends the process; the handler may (abort), which leaves no protected page in the dump.
 */
typedef void (*ael_corruption_fn)(void *context, enum ael_corruption what, const char *text);

struct ael_hooks {
    size_t size; /* sizeof(struct ael_hooks) */
    void *context;
    ael_log_fn log;               /* NULL = no log */
    enum ael_log_level log_level; /* lines below are not made */
    ael_metric_fn metric;         /* NULL = no metrics, no clock is read for them */
    ael_corruption_fn corruption; /* NULL = a log line alone, at AEL_LOG_ERROR, which comes in either case */
};

#define AEL_HOOKS_INIT {sizeof(struct ael_hooks), NULL, NULL, AEL_LOG_WARN, NULL, NULL}

AEL_BEGIN_DECLS

/**
 * Installs the hooks of this process; NULL removes them. The hooks are called on the thread that does the work,
 * must not block and must not call back into the library; a child that is forked in one may exec or _exit, no more.
 * Cancellation (pthread_cancel) is put off in them.
 *
 * @return AEL_OK; AEL_E_ARGUMENT (a size or level that is none); AEL_E_NO_MEMORY.
 * Ownership: copied; context must outlive every call of the library, also after replacement (a call under way
 * may still use the hooks it began with). Threads: any.
 */
AEL_API AEL_MUST_CHECK enum ael_status ael_hooks_set(const struct ael_hooks *hooks);

AEL_END_DECLS

#endif /* AEL_HOOKS_H */
