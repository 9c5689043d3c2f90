/*
 * kms/rewrap.c - moving system keys to another KMS, row by row.
 *
 * Listing and moving are two passes: a backend's listing may not be called into, and may hold a lock or a
 * connection.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ael/rewrap.h>

#include "base/check.h"
#include "base/region_name.h"
#include "kms/kms_backend.h"
#include "kms/kms_chain.h"

#include <ael/sys/metastore_backend.h>

#include <stdio.h>
#include <string.h>

static const char k_component[] = "kms/rewrap";

enum { ROUNDS = 16, PREFIX_BYTES = 1024, STEP_TIMEOUT_MS = 30000 };

struct job {
    const struct ael_rewrap_options *options;
    struct ael_call call; /* the caller's; deadline_ns 0 = the whole has none */
    char prefix[PREFIX_BYTES];
    size_t prefix_len;
    bool exact;             /* behind the prefix an id ends, or goes on with '_' and a region */
    struct ael_buf rows;    /* struct listed and the id, for each */
    enum ael_status listed; /* what the visitor met */
    struct ael_rewrap_counts counts;
    enum ael_status first_failure;
    struct ael_error first_error;
};

/* As it stands in job.rows, the id's bytes behind it. */
struct listed {
    int64_t created_s;
    size_t id_len;
};

/* ---- what is asked for ---- */

static enum ael_status refuse(struct ael_error *err, const char *why) {
    return ael_error_set(err, AEL_E_ARGUMENT, 0, k_component, "%s", why);
}

static bool is_given(const char *text) {
    return text != NULL && text[0] != '\0';
}

static enum ael_status check_options(const struct ael_rewrap_options *options, struct ael_error *err) {
    if (options == NULL || options->size != sizeof *options) {
        return refuse(err, "options are missing or of another size; use AEL_REWRAP_OPTIONS_INIT");
    }
    if (options->metastore == NULL || options->from == NULL || options->to == NULL) {
        return refuse(err, "give a metastore, and the KMS to move from and to");
    }
    if (options->from == options->to || ael_kms_is_chain(options->to)) {
        return refuse(err, "the KMS to move to is the new one alone: not the one to move from, no chain");
    }
    if (is_given(options->service) != is_given(options->product)) {
        return refuse(err, "give service and product, or neither");
    }
    return AEL_OK;
}

static enum ael_status set_prefix(struct job *job, struct ael_error *err) {
    const struct ael_rewrap_options *options = job->options;
    job->exact = is_given(options->service);
    int len = job->exact
                  ? snprintf(job->prefix, sizeof job->prefix, "_SK_%s_%s", options->service, options->product)
                  : snprintf(job->prefix, sizeof job->prefix, "_SK_");
    if (len < 0 || (size_t)len >= sizeof job->prefix) {
        return refuse(err, "service and product are too long");
    }
    job->prefix_len = (size_t)len;
    return AEL_OK;
}

static enum ael_status set_call(struct job *job, const struct ael_call *call, struct ael_error *err) {
    job->call = (struct ael_call)AEL_CALL_INIT;
    if (call == NULL) {
        return AEL_OK;
    }
    if (call->size < offsetof(struct ael_call, consistency)) {
        return refuse(err, "the call's size is none that ever was");
    }
    memcpy(&job->call, call, call->size < sizeof job->call ? call->size : sizeof job->call);
    job->call.size = sizeof job->call;
    return AEL_OK;
}

/* The call of one step: its own time, within that of the whole; the truth, not a replica's memory. */
static struct ael_call step_call(const struct job *job) {
    uint32_t timeout_ms = job->options->step_timeout_ms;
    struct ael_call step = job->call;
    int64_t deadline_ns = ael_deadline_in_ms(timeout_ms == 0 ? STEP_TIMEOUT_MS : timeout_ms);
    if (step.deadline_ns == 0 || deadline_ns < step.deadline_ns) {
        step.deadline_ns = deadline_ns;
    }
    step.consistency = AEL_CONSISTENCY_PRIMARY;
    return step;
}

/* A metastore that cannot replace is refused before anything is asked. Without an id the backend is not
 * called. */
static enum ael_status check_replace(const struct job *job, struct ael_error *err) {
    struct ael_error said = {.status = AEL_OK};
    const struct ael_key_record none = {.created_s = 1};
    bool replaced = false;
    enum ael_status status = ael_metastore_replace(
        job->options->metastore, NULL, (struct ael_bytes){NULL, 0}, &none, &none, &replaced, &said);
    return status != AEL_E_UNSUPPORTED ? AEL_OK
                                       : ael_error_set(err, status, 0, k_component, "%s", said.detail);
}

/* ---- listing ---- */

static bool is_wanted(const struct job *job, struct ael_bytes id, const struct ael_key_record *record) {
    if (record->has_parent || id.len < job->prefix_len ||
        memcmp(id.data, job->prefix, job->prefix_len) != 0) {
        return false;
    }
    if (!job->exact || id.len == job->prefix_len) {
        return true;
    }
    const struct ael_bytes behind = {id.data + job->prefix_len + 1, id.len - job->prefix_len - 1};
    return id.data[job->prefix_len] == '_' && ael_is_region_name(behind);
}

static bool
remember(void *context, struct ael_bytes id, int64_t created_s, const struct ael_key_record *record) {
    struct job *job = context;
    if (!is_wanted(job, id, record)) {
        return true;
    }
    struct listed listed = {created_s, id.len};
    job->listed = ael_buf_append(&job->rows, (struct ael_bytes){(const uint8_t *)&listed, sizeof listed});
    if (job->listed == AEL_OK) {
        job->listed = ael_buf_append(&job->rows, id);
    }
    return job->listed == AEL_OK;
}

static enum ael_status list_rows(struct job *job, struct ael_error *err) {
    struct ael_call call = step_call(job);
    struct ael_bytes prefix = {(const uint8_t *)job->prefix, job->prefix_len};
    AEL_TRY(ael_metastore_list(job->options->metastore, &call, prefix, remember, job, err));
    if (job->listed != AEL_OK) {
        return ael_error_set(err, job->listed, 0, k_component, "the list of keys does not fit into memory");
    }
    return AEL_OK;
}

/* ---- one row ---- */

/* Decrypts what the new KMS may have written; *already tells that it did. */
static enum ael_status open_as_new(
    const struct job *job,
    const struct ael_call *call,
    struct ael_bytes encrypted,
    struct ael_secret **key,
    bool *already,
    struct ael_error *err) {
    enum ael_kms_form form = ael_kms_form_of(job->options->to, encrypted);
    if (form == AEL_KMS_FORM_FOREIGN) {
        return ael_error_set(err, AEL_E_KMS, 0, k_component, "it has another form than the new KMS's");
    }
    enum ael_status status = ael_kms_try_decrypt_key(job->options->to, call, encrypted, key, err);
    *already = status == AEL_OK && form != AEL_KMS_FORM_PARTIAL;
    return status;
}

/*
 * The key of a row, by whichever KMS knows it: the new one first, which tells whether there is anything to
 * do. "Wrong key" comes out only when both said so.
 */
static enum ael_status open_key(
    const struct job *job,
    const struct ael_call *call,
    struct ael_bytes encrypted,
    struct ael_secret **key,
    bool *already,
    struct ael_error *err) {
    struct ael_error by_new = {.status = AEL_OK};
    struct ael_error by_old = {.status = AEL_OK};
    if (open_as_new(job, call, encrypted, key, already, &by_new) == AEL_OK ||
        ael_kms_try_decrypt_key(job->options->from, call, encrypted, key, &by_old) == AEL_OK) {
        return AEL_OK;
    }
    enum ael_status status = by_old.status == AEL_E_KMS ? by_new.status : by_old.status;
    return ael_error_set(
        err, status, 0, k_component, "neither KMS decrypts the key; new: %.80s; old: %.80s", by_new.detail,
        by_old.detail);
}

/* Encrypts with the new KMS, and trusts it only when it gives the same key back: after that the old form is
 * gone. */
static enum ael_status wrap_anew(
    const struct job *job,
    const struct ael_call *call,
    struct ael_secret *key,
    struct ael_buf *encrypted,
    struct ael_error *err) {
    struct ael_secret *back = NULL;
    AEL_TRY(ael_kms_encrypt_key(job->options->to, call, key, encrypted, err));
    enum ael_kms_form form = ael_kms_form_of(job->options->to, ael_buf_view(encrypted));
    if (form == AEL_KMS_FORM_PARTIAL) {
        return ael_error_set(
            err, AEL_E_UNREACHABLE, 0, k_component,
            "the new KMS left out a region; the row stays as it was until all of them answer");
    }
    AEL_TRY(ael_kms_decrypt_key(job->options->to, call, ael_buf_view(encrypted), &back, err));
    enum ael_status status = ael_kms_compare_keys(key, back, call);
    ael_secret_release(back);
    return status == AEL_OK
               ? AEL_OK
               : ael_error_set(
                     err, status, 0, k_component,
                     "a key did not come back from the new KMS as it went; the row stays as it was");
}

/* What a round knows of its row. */
struct round {
    struct ael_key_record_buf present;
    struct ael_buf encrypted; /* under the new KMS */
    struct ael_secret *key;
    bool already;
    bool gone;
    bool done;
};

/* A row that is not there any more is no failure. */
static enum ael_status look_for_row(struct round *round, enum ael_status status) {
    round->gone = status == AEL_E_KEY_NOT_FOUND;
    round->done = round->done || round->gone;
    return round->gone ? AEL_OK : status;
}

static enum ael_status work_round(
    const struct job *job,
    struct ael_bytes id,
    int64_t created_s,
    struct round *round,
    struct ael_error *err) {
    struct ael_call call = step_call(job);
    struct ael_metastore *metastore = job->options->metastore;
    enum ael_status status = ael_metastore_load(metastore, &call, id, created_s, &round->present, err);
    AEL_TRY(look_for_row(round, status));
    if (round->gone) {
        return AEL_OK;
    }
    const struct ael_key_record *present = &round->present.record;
    AEL_TRY(open_key(job, &call, present->key, &round->key, &round->already, err));
    if (round->already) {
        round->done = true;
        return AEL_OK;
    }
    AEL_TRY(wrap_anew(job, &call, round->key, &round->encrypted, err));
    if (job->options->dry_run) {
        round->done = true;
        return AEL_OK;
    }
    struct ael_key_record desired = *present;
    desired.key = ael_buf_view(&round->encrypted);
    status = ael_metastore_replace(metastore, &call, id, present, &desired, &round->done, err);
    return look_for_row(round, status);
}

static void clear_round(struct round *round) {
    ael_secret_release(round->key);
    ael_buf_clear(&round->encrypted);
    ael_key_record_buf_clear(&round->present);
}

/* A lost race, or an outcome nobody knows, is another round from the row as it is now. */
static enum ael_status move_row(
    const struct job *job,
    struct ael_bytes id,
    int64_t created_s,
    enum ael_rewrap_outcome *outcome,
    struct ael_error *err) {
    bool unknown = false; /* a round of ours may have moved it */
    for (int i = 0; i < ROUNDS; i++) {
        struct round round = {.present = AEL_KEY_RECORD_BUF_INIT, .encrypted = AEL_BUF_INIT};
        enum ael_status status = work_round(job, id, created_s, &round, err);
        *outcome = round.already && !unknown ? AEL_REWRAP_ALREADY : AEL_REWRAP_MOVED;
        unknown = unknown || status == AEL_E_OUTCOME_UNKNOWN;
        *outcome = round.gone ? AEL_REWRAP_GONE : *outcome;
        clear_round(&round);
        if (round.done || (status != AEL_OK && status != AEL_E_OUTCOME_UNKNOWN)) {
            return status;
        }
    }
    return ael_error_set(
        err, AEL_E_KEY_CONTENTION, 0, k_component, "somebody kept changing the row; run this again");
}

/* ---- all rows ---- */

static void count(struct job *job, enum ael_rewrap_outcome outcome) {
    uint64_t *const counters[] = {
        [AEL_REWRAP_MOVED] = &job->counts.moved,
        [AEL_REWRAP_ALREADY] = &job->counts.already,
        [AEL_REWRAP_GONE] = &job->counts.gone,
        [AEL_REWRAP_FAILED] = &job->counts.failed,
    };
    job->counts.seen++;
    ++*counters[outcome];
}

static enum ael_status tell(const struct job *job, const struct ael_rewrap_row *row, struct ael_error *err) {
    if (job->options->progress != NULL && !job->options->progress(job->options->context, row)) {
        return ael_error_set(err, AEL_E_CALLBACK, 0, k_component, "the host ended the run");
    }
    return AEL_OK;
}

/* Only what ends the whole run is returned. */
static enum ael_status
handle_row(struct job *job, struct ael_bytes id, int64_t created_s, struct ael_error *err) {
    struct ael_error why = {.status = AEL_OK};
    struct ael_rewrap_row row = {.key_id = id, .created_s = created_s};
    enum ael_status status = move_row(job, id, created_s, &row.outcome, &why);
    enum ael_status over = ael_call_check(&job->call);
    if (status != AEL_OK && over != AEL_OK) {
        return ael_error_set(err, over, 0, k_component, "the call was over before the last row");
    }
    if (status != AEL_OK) {
        row.outcome = AEL_REWRAP_FAILED;
        row.error = &why;
        if (job->first_failure == AEL_OK) {
            job->first_failure = status;
            job->first_error = why;
        }
    }
    count(job, row.outcome);
    return tell(job, &row, err);
}

static enum ael_status move_rows(struct job *job, struct ael_error *err) {
    size_t at = 0;
    while (at < job->rows.len) {
        struct listed listed;
        enum ael_status over = ael_call_check(&job->call);
        if (over != AEL_OK) {
            return ael_error_set(err, over, 0, k_component, "the call was over before the last row");
        }
        memcpy(&listed, job->rows.data + at, sizeof listed);
        at += sizeof listed;
        AEL_TRY(
            handle_row(job, (struct ael_bytes){job->rows.data + at, listed.id_len}, listed.created_s, err));
        at += listed.id_len;
    }
    return AEL_OK;
}

static enum ael_status run(struct job *job, const struct ael_call *call, struct ael_error *err) {
    AEL_TRY(set_prefix(job, err));
    AEL_TRY(set_call(job, call, err));
    AEL_TRY(check_replace(job, err));
    AEL_TRY(list_rows(job, err));
    AEL_TRY(move_rows(job, err));
    if (job->first_failure != AEL_OK && err != NULL) {
        *err = job->first_error;
    }
    return job->first_failure;
}

/* see ael/rewrap.h */
enum ael_status ael_rewrap_system_keys(
    const struct ael_rewrap_options *options,
    const struct ael_call *call,
    struct ael_rewrap_counts *counts,
    struct ael_error *err) {
    struct job job = {.options = options, .rows = AEL_BUF_INIT};
    enum ael_status status = check_options(options, err);
    if (status == AEL_OK) {
        status = run(&job, call, err);
    }
    ael_buf_clear(&job.rows);
    if (counts != NULL) {
        *counts = job.counts;
    }
    return status;
}
