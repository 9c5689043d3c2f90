/*
 * ael/call.h - how long a call may take, and how it is cut short.
 *
 * Every call that can reach an edge takes a const struct ael_call *; NULL means AEL_CALL_INIT: the default
 * deadline, no cancellation. The same structure is handed on to the KMS and metastore backends.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_CALL_H
#define AEL_CALL_H

#include <ael/export.h>
#include <ael/status.h>

#include <stddef.h>

enum ael_consistency {
    AEL_CONSISTENCY_ANY = 0,     /* a replica may answer */
    AEL_CONSISTENCY_PRIMARY = 1, /* only the primary's present state will do */
};

/* Opaque and counted: one token may cut short any number of calls. */
struct ael_cancel;

struct ael_call {
    size_t size;                      /* sizeof(struct ael_call) */
    int64_t deadline_ns;              /* on CLOCK_BOOTTIME; 0 = default_timeout (30 s) from now */
    const struct ael_cancel *cancel;  /* NULL = cannot be cancelled */
    enum ael_consistency consistency; /* set by the library for the backend */
    const char *trace;                /* NUL-terminated, for the host's logs; may be NULL */
};

#define AEL_CALL_INIT {sizeof(struct ael_call), 0, NULL, AEL_CONSISTENCY_ANY, NULL}

AEL_BEGIN_DECLS

/**
 * Returns the deadline that lies timeout_ms from now, for struct ael_call.
 *
 * @param timeout_ms  milliseconds; 0 = already over.
 * Threads: any.
 */
AEL_API int64_t ael_deadline_in_ms(uint32_t timeout_ms);

/**
 * Makes a cancel token.
 *
 * @param cancel  receives the token; release it with ael_cancel_free when no call uses it any more.
 * @return AEL_OK; AEL_E_ARGUMENT (cancel is NULL); AEL_E_NO_MEMORY.
 * Ownership: the caller's. Threads: any.
 */
AEL_API AEL_MUST_CHECK enum ael_status ael_cancel_new(struct ael_cancel **cancel);

/**
 * Cuts short every call that carries the token: those that wait for an edge or another caller answer
 * AEL_E_CANCELLED at their next step.
 *
 * Threads: any; safe in a signal handler.
 */
AEL_API void ael_cancel_trigger(struct ael_cancel *cancel);

/** Releases a token; NULL is accepted. No call may use it any more. */
AEL_API void ael_cancel_free(struct ael_cancel *cancel);

/**
 * Tells a backend whether its call is over: by deadline or by the token.
 *
 * @param call  may be NULL: never over.
 * @return AEL_OK (go on); AEL_E_TIMEOUT; AEL_E_CANCELLED.
 * Threads: any.
 */
AEL_API AEL_MUST_CHECK enum ael_status ael_call_check(const struct ael_call *call);

/**
 * Returns the milliseconds left before a call's deadline: 0 when over, 30,000 when call is NULL or sets none.
 *
 * Threads: any.
 */
AEL_API uint32_t ael_call_remaining_ms(const struct ael_call *call);

AEL_END_DECLS

#endif /* AEL_CALL_H */
