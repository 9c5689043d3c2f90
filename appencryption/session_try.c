/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/trial.h"

#include "base/check.h"
#include "base/hooks.h"

#include <ael/sys/error.h>

static const char k_component[] = "session";

/* Over already: what would be waited for is not. */
static const int64_t k_no_time = -1;

/* One try. */
struct try {
    struct ael_session_call begun;
    struct ael_trial trial;
};

/* @param output  emptied; may be NULL, too. */
static enum ael_status refuse_null(struct ael_buf *output, struct ael_error *err) {
    if (output != NULL) {
        ael_session_empty(output);
    }
    return ael_error_set(err, AEL_E_ARGUMENT, 0, k_component, "session, input or output is NULL");
}

/* Ends with end_try, also when it fails. */
static enum ael_status begin_try(
    const struct ael_session *session, const struct ael_call *call, struct ael_wait *wait, struct try *try,
    struct ael_error *err) {
    try->trial = (struct ael_trial){.wait = wait};
    AEL_TRY(ael_session_begin_call(session, call, &try->begun, err));
    if (wait != NULL && !ael_wait_begin(wait, &try->trial.granted)) {
        return ael_error_set(err, AEL_E_STATE, 0, k_component, "the wait is pending");
    }
    try->trial.granted_until_ns = wait != NULL ? wait->link.deadline_ns : 0;
    try->trial.call = try->begun.call;
    try->begun.call.deadline_ns = k_no_time;
    try->begun.trial = &try->trial;
    return AEL_OK;
}

static void end_try(struct try *try, enum ael_status status, const char *metric, int64_t start) {
    ael_load_release(try->trial.granted);
    if (status != AEL_E_WOULD_BLOCK) {
        ael_metric_timer(metric, start);
    }
}

/* Where no slot of protected memory was free, one is waited for in the background. */
static enum ael_status settle(
    struct ael_session *session, const struct ael_wanted_key *wanted, struct try *try, enum ael_status status,
    struct ael_error *err) {
    return status == AEL_E_TIMEOUT ? ael_trial_load(session, wanted, &try->trial, err) : status;
}

static struct ael_wanted_key latest_of(const struct ael_session *session) {
    return (struct ael_wanted_key){ael_buf_view(&session->intermediate_key_id), 0, true};
}

static enum ael_status try_encrypt(
    struct ael_session *session, struct ael_bytes plain, struct ael_record_buf *out, const struct ael_call *call,
    struct ael_wait *wait, struct try *try, struct ael_error *err) {
    AEL_TRY(ael_session_check_payload(session, plain, err));
    AEL_TRY(begin_try(session, call, wait, try, err));
    struct ael_wanted_key wanted = latest_of(session);
    return settle(session, &wanted, try, ael_session_seal_begun(session, plain, out, &try->begun, err), err);
}

/* see ael/session_try.h */
enum ael_status ael_session_try_encrypt(
    struct ael_session *session, struct ael_bytes plain, struct ael_record_buf *out, const struct ael_call *call,
    struct ael_wait *wait, struct ael_error *err) {
    struct try try = {.trial.wait = wait};
    if (session == NULL || out == NULL) {
        return refuse_null(NULL, err);
    }
    int64_t start = ael_metric_start();
    size_t held = ael_session_set_aside(&out->storage);
    out->record = (struct ael_record){.created_s = 0};
    enum ael_status status = try_encrypt(session, plain, out, call, wait, &try, err);
    ael_session_wipe_rest(&out->storage, held, status);
    if (status != AEL_OK) {
        out->record = (struct ael_record){.created_s = 0};
    }
    end_try(&try, status, "ael.drr.encrypt", start);
    return status;
}

static enum ael_status try_encrypt_json(
    struct ael_session *session, struct ael_bytes plain, struct ael_buf *json, const struct ael_call *call,
    struct ael_wait *wait, struct try *try, struct ael_error *err) {
    AEL_TRY(ael_session_check_payload(session, plain, err));
    AEL_TRY(begin_try(session, call, wait, try, err));
    struct ael_wanted_key wanted = latest_of(session);
    return settle(session, &wanted, try, ael_session_seal_json_begun(session, plain, json, &try->begun, err), err);
}

/* see ael/session_try.h */
enum ael_status ael_session_try_encrypt_json(
    struct ael_session *session, struct ael_bytes plain, struct ael_buf *json, const struct ael_call *call,
    struct ael_wait *wait, struct ael_error *err) {
    struct try try = {.trial.wait = wait};
    if (session == NULL || json == NULL) {
        return refuse_null(json, err);
    }
    int64_t start = ael_metric_start();
    size_t held = ael_session_set_aside(json);
    enum ael_status status = try_encrypt_json(session, plain, json, call, wait, &try, err);
    ael_session_wipe_rest(json, held, status);
    end_try(&try, status, "ael.drr.encrypt", start);
    return status;
}

static enum ael_status try_decrypt(
    struct ael_session *session, const struct ael_record *record, struct ael_buf *plain, const struct ael_call *call,
    struct ael_wait *wait, struct try *try, struct ael_error *err) {
    AEL_TRY(begin_try(session, call, wait, try, err));
    enum ael_status status = ael_session_open_begun(session, record, plain, &try->begun, err);
    struct ael_wanted_key wanted = {record->parent_key_id, record->parent_created_s, false};
    return settle(session, &wanted, try, status, err);
}

/* see ael/session_try.h */
enum ael_status ael_session_try_decrypt(
    struct ael_session *session, const struct ael_record *record, struct ael_buf *plain, const struct ael_call *call,
    struct ael_wait *wait, struct ael_error *err) {
    struct try try = {.trial.wait = wait};
    if (session == NULL || record == NULL || plain == NULL) {
        return refuse_null(plain, err);
    }
    int64_t start = ael_metric_start();
    size_t held = ael_session_set_aside(plain);
    enum ael_status status = try_decrypt(session, record, plain, call, wait, &try, err);
    ael_session_wipe_rest(plain, held, status);
    end_try(&try, status, "ael.drr.decrypt", start);
    return ael_session_refuse(session, status, err);
}

static enum ael_status try_decrypt_json(
    struct ael_session *session, struct ael_bytes json, struct ael_buf *plain, const struct ael_call *call,
    struct ael_wait *wait, struct try *try, struct ael_error *err) {
    struct ael_record_buf record = AEL_RECORD_BUF_INIT;
    AEL_TRY(ael_session_check_open(session, err));
    enum ael_status status = ael_session_read_json(session, json, &record, err);
    if (status == AEL_OK) {
        status = try_decrypt(session, &record.record, plain, call, wait, try, err);
    }
    ael_record_buf_clear(&record);
    return status;
}

/* see ael/session_try.h */
enum ael_status ael_session_try_decrypt_json(
    struct ael_session *session, struct ael_bytes json, struct ael_buf *plain, const struct ael_call *call,
    struct ael_wait *wait, struct ael_error *err) {
    struct try try = {.trial.wait = wait};
    if (session == NULL || plain == NULL || !ael_session_is_payload(json)) {
        return refuse_null(plain, err);
    }
    int64_t start = ael_metric_start();
    size_t held = ael_session_set_aside(plain);
    enum ael_status status = try_decrypt_json(session, json, plain, call, wait, &try, err);
    ael_session_wipe_rest(plain, held, status);
    end_try(&try, status, "ael.drr.decrypt", start);
    return ael_session_refuse(session, status, err);
}
