/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/session/session_parts.h"

#include "base/check.h"
#include "base/clock.h"

#include <ael/session_batch.h>
#include <ael/sys/error.h>

static const char k_component[] = "session factory";

enum { DEFAULT_TIMEOUT_MS = 30000 };

/* A key that was loaded must be found again by the next session of its partition. */
static bool keeps_keys(const struct ael_session_factory *factory) {
    const struct ael_rules *rules = &factory->rules;
    return rules->cache_intermediate_keys && (rules->shared_intermediate_keys || rules->cache_sessions);
}

static enum ael_status
warm_session(struct ael_session *session, const struct ael_call *call, struct ael_error *err) {
    struct ael_session_call begun;
    struct ael_key_loan loan;
    AEL_TRY(ael_session_begin_call(session, call, &begun, err));
    AEL_TRY(ael_session_latest_key(session, &begun, &loan, err));
    ael_session_end_loan(&loan, AEL_OK);
    return AEL_OK;
}

static enum ael_status warm(
    struct ael_session_factory *factory, struct ael_bytes partition, const struct ael_call *call,
    struct ael_error *err) {
    struct ael_session *session = NULL;
    AEL_TRY(ael_session_acquire_bytes(factory, partition, &session, err));
    enum ael_status status = warm_session(session, call, err);
    ael_session_release(session);
    return status;
}

static enum ael_status check(
    const struct ael_session_factory *factory, const struct ael_warm_item *items, size_t count,
    const struct ael_call *call, struct ael_error *err) {
    if (factory == NULL || (items == NULL && count > 0) || (call != NULL && call->size != sizeof *call)) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, k_component, "factory or items is NULL, or call's size is none");
    }
    AEL_TRY(ael_session_check_process(err));
    if (atomic_load_explicit(&factory->closed, memory_order_relaxed)) {
        return ael_error_set(err, AEL_E_CLOSED, 0, k_component, "the factory was closed");
    }
    return keeps_keys(factory)
               ? AEL_OK
               : ael_error_set(err, AEL_E_UNSUPPORTED, 0, k_component, "the policy keeps no intermediate keys");
}

/* see ael/session_batch.h */
enum ael_status ael_session_factory_warm(
    struct ael_session_factory *factory, struct ael_warm_item *items, size_t count, const struct ael_call *call,
    struct ael_error *err) {
    struct ael_call all = AEL_CALL_INIT;
    enum ael_status first = AEL_OK;
    AEL_TRY(check(factory, items, count, call, err));
    all = call != NULL ? *call : all;
    if (all.deadline_ns == 0) {
        all.deadline_ns = ael_deadline_in_ms(DEFAULT_TIMEOUT_MS);
    }
    for (size_t i = 0; i < count; i++) {
        items[i].status = warm(factory, items[i].partition, &all, first == AEL_OK ? err : NULL);
        first = first == AEL_OK ? items[i].status : first;
    }
    return first;
}
