/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/session/trial.h"

#include "base/check.h"
#include "base/hooks.h"

#include <ael/sys/error.h>

static const char k_component[] = "session";

/* Over already: what would be waited for is not. */
static const int64_t k_no_time = -1;

/*
 * One try. Its wait is begun last of all: the callback may come at once, and try again with the same output, so nothing of
 * the caller's is touched behind that.
 */
struct try {
    struct ael_session_call begun;
    struct ael_trial trial;
    struct ael_record_buf *record; /* the output, if it is a record */
    struct ael_buf *output;        /* or its storage */
    size_t held;
};

/* @param output  emptied; may be NULL, too. */
static enum ael_status refuse_null(struct ael_buf *output, struct ael_error *err) {
    if (output != NULL) {
        ael_session_empty(output);
    }
    return ael_error_set(err, AEL_E_ARGUMENT, 0, k_component, "session, input or output is NULL");
}

static struct try try_for(struct ael_record_buf *record, struct ael_buf *output) {
    struct try try = {.record = record, .output = output};
    try.held = ael_session_set_aside(output);
    if (record != NULL) {
        record->record = (struct ael_record){.created_s = 0};
    }
    return try;
}

static enum ael_status begin_try(
    const struct ael_session *session, const struct ael_call *call, struct ael_wait *wait, struct try *try,
    struct ael_error *err) {
    AEL_TRY(ael_session_begin_call(session, call, &try->begun, err));
    if (wait != NULL && !ael_wait_begin(wait, &try->trial.granted)) {
        return ael_error_set(err, AEL_E_STATE, 0, k_component, "the wait is pending");
    }
    try->trial.wait = wait;
    try->trial.granted_until_ns = wait != NULL ? wait->link.deadline_ns : 0;
    try->trial.call = try->begun.call;
    try->begun.call.deadline_ns = k_no_time;
    try->begun.trial = &try->trial;
    return AEL_OK;
}

/* The caller's things are as they are to be. */
static void end_try(struct try *try, enum ael_status status) {
    ael_session_wipe_rest(try->output, try->held, status);
    if (status != AEL_OK && try->record != NULL) {
        try->record->record = (struct ael_record){.created_s = 0};
    }
    ael_load_release(try->trial.granted);
}

/* Ends a try that has begun. Where no slot of protected memory was free, one is waited for in the background. */
static enum ael_status settle(
    struct ael_session *session, const struct ael_wanted_key *wanted, struct try *try, enum ael_status status,
    struct ael_error *err) {
    status = status == AEL_E_TIMEOUT ? AEL_E_WOULD_BLOCK : status;
    end_try(try, status);
    return status == AEL_E_WOULD_BLOCK ? ael_trial_load(session, wanted, &try->trial, err) : status;
}

/* Not of a call that goes on. */
static void measure_encrypt(int64_t start, enum ael_status status) {
    if (status != AEL_E_WOULD_BLOCK) {
        ael_metric_timer("ael.drr.encrypt", start);
        ael_metric_failure(AEL_METRIC_SOURCE_ENCRYPT, status);
    }
}

/* What the caller is told. Of a call that goes on the session may be gone. */
static enum ael_status measure_decrypt(
    const struct ael_session *session, int64_t start, enum ael_status status, struct ael_error *err) {
    if (status != AEL_E_WOULD_BLOCK) {
        ael_metric_timer("ael.drr.decrypt", start);
        status = ael_session_refuse(session, status, err);
        ael_metric_failure(AEL_METRIC_SOURCE_DECRYPT, status);
    }
    return status;
}

static struct ael_wanted_key latest_of(const struct ael_session *session) {
    return (struct ael_wanted_key){ael_session_id(session), 0, true};
}

static enum ael_status begin_encrypt(
    const struct ael_session *session, struct ael_bytes plain, const struct ael_call *call, struct ael_wait *wait,
    struct try *try, struct ael_error *err) {
    enum ael_status status = ael_session_check_payload(session, plain, err);
    if (status == AEL_OK) {
        status = begin_try(session, call, wait, try, err);
    }
    if (status != AEL_OK) {
        end_try(try, status);
    }
    return status;
}

static enum ael_status try_encrypt(
    struct ael_session *session, struct ael_bytes plain, const struct ael_call *call, struct ael_wait *wait,
    struct try *try, struct ael_error *err) {
    AEL_TRY(begin_encrypt(session, plain, call, wait, try, err));
    struct ael_wanted_key wanted = latest_of(session);
    enum ael_status status = ael_session_seal_begun(session, plain, try->record, &try->begun, err);
    return settle(session, &wanted, try, status, err);
}

/* see ael/session_try.h */
enum ael_status ael_session_try_encrypt(
    struct ael_session *session, struct ael_bytes plain, struct ael_record_buf *out, const struct ael_call *call,
    struct ael_wait *wait, struct ael_error *err) {
    if (session == NULL || out == NULL) {
        return refuse_null(NULL, err);
    }
    int64_t start = ael_metric_start();
    struct try try = try_for(out, &out->storage);
    enum ael_status status = try_encrypt(session, plain, call, wait, &try, err);
    measure_encrypt(start, status);
    return status;
}

static enum ael_status try_encrypt_json(
    struct ael_session *session, struct ael_bytes plain, const struct ael_call *call, struct ael_wait *wait,
    struct try *try, struct ael_error *err) {
    AEL_TRY(begin_encrypt(session, plain, call, wait, try, err));
    struct ael_wanted_key wanted = latest_of(session);
    enum ael_status status = ael_session_seal_json_begun(session, plain, try->output, &try->begun, err);
    return settle(session, &wanted, try, status, err);
}

/* see ael/session_try.h */
enum ael_status ael_session_try_encrypt_json(
    struct ael_session *session, struct ael_bytes plain, struct ael_buf *json, const struct ael_call *call,
    struct ael_wait *wait, struct ael_error *err) {
    if (session == NULL || json == NULL) {
        return refuse_null(json, err);
    }
    int64_t start = ael_metric_start();
    struct try try = try_for(NULL, json);
    enum ael_status status = try_encrypt_json(session, plain, call, wait, &try, err);
    measure_encrypt(start, status);
    return status;
}

static enum ael_status try_decrypt(
    struct ael_session *session, const struct ael_record *record, const struct ael_call *call, struct ael_wait *wait,
    struct try *try, struct ael_error *err) {
    enum ael_status status = begin_try(session, call, wait, try, err);
    if (status != AEL_OK) {
        end_try(try, status);
        return status;
    }
    struct ael_wanted_key wanted = {record->parent_key_id, record->parent_created_s, false};
    status = ael_session_open_begun(session, record, try->output, &try->begun, err);
    return settle(session, &wanted, try, status, err);
}

/* see ael/session_try.h */
enum ael_status ael_session_try_decrypt(
    struct ael_session *session, const struct ael_record *record, struct ael_buf *plain, const struct ael_call *call,
    struct ael_wait *wait, struct ael_error *err) {
    if (session == NULL || record == NULL || plain == NULL) {
        return refuse_null(plain, err);
    }
    int64_t start = ael_metric_start();
    struct try try = try_for(NULL, plain);
    enum ael_status status = try_decrypt(session, record, call, wait, &try, err);
    return measure_decrypt(session, start, status, err);
}

static enum ael_status try_decrypt_json(
    struct ael_session *session, struct ael_bytes json, const struct ael_call *call, struct ael_wait *wait,
    struct try *try, struct ael_error *err) {
    struct ael_record_buf record = AEL_RECORD_BUF_INIT;
    enum ael_status status = ael_session_check_open(session, err);
    if (status == AEL_OK) {
        status = ael_session_read_json(session, json, &record, err);
    }
    if (status == AEL_OK) {
        status = try_decrypt(session, &record.record, call, wait, try, err);
    } else {
        end_try(try, status);
    }
    ael_record_buf_clear(&record);
    return status;
}

/* see ael/session_try.h */
enum ael_status ael_session_try_decrypt_json(
    struct ael_session *session, struct ael_bytes json, struct ael_buf *plain, const struct ael_call *call,
    struct ael_wait *wait, struct ael_error *err) {
    if (session == NULL || plain == NULL || !ael_session_is_payload(json)) {
        return refuse_null(plain, err);
    }
    int64_t start = ael_metric_start();
    struct try try = try_for(NULL, plain);
    enum ael_status status = try_decrypt_json(session, json, call, wait, &try, err);
    return measure_decrypt(session, start, status, err);
}
