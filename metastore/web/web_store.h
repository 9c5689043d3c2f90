/*
 * metastore/web/web_store.h - what metastores that are asked over HTTP have in common: the bounds of their
 * options, the pause before another try, and the failure of what may have been done.
 *
 * Layer: metastore (components). Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_METASTORE_WEB_WEB_STORE_H
#define AEL_METASTORE_WEB_WEB_STORE_H

#include <ael/call.h>
#include <ael/sys/error.h>

/* The options that each backend has. */
struct ael_web_bounds {
    uint32_t max_connections;
    uint32_t connect_timeout_ms;
    uint32_t answer_timeout_ms;
    uint32_t max_retries;
};

/** Checks bounds as a caller gave them. AEL_OK; AEL_E_ARGUMENT. */
AEL_MUST_CHECK enum ael_status
ael_web_bounds_check(const struct ael_web_bounds *bounds, const char *component, struct ael_error *err);

/**
 * How long to wait before another try: a random part of 50 ms, 100 ms, ... 2 s, and at least 1 ms.
 *
 * @param pauses  made before.
 */
uint32_t ael_web_pause_ms(uint32_t pauses);

/** Waits, in the caller's thread. @return AEL_OK; AEL_E_TIMEOUT, AEL_E_CANCELLED as soon as the call is over. */
AEL_MUST_CHECK enum ael_status ael_web_pause(const struct ael_call *call, uint32_t ms);

/** Makes of err, of a try that may have written, AEL_E_OUTCOME_UNKNOWN; its detail stays. @return that. */
enum ael_status ael_web_outcome_unknown(const char *component, struct ael_error *err);

#endif /* AEL_METASTORE_WEB_WEB_STORE_H */
