/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "base/check.h"
#include "base/fork.h"
#include "base/hooks.h"
#include "base/refcount.h"
#include "base/sync.h"
#include "base/utf8.h"
#include "base/vtable.h"
#include "metastore/metric_names.h"
#include "securememory/process.h"
#include "securememory/protected.h"
#include "securememory/secret_slots.h"

#include <ael/record.h>
#include <ael/sys/metastore_backend.h>

#include <string.h>

#define COMPONENT              "metastore"
#define HAS(metastore, member) AEL_VT_HAS((metastore)->vtable, struct ael_metastore_vtable, member)

enum {
    DEFAULT_TIMEOUT_MS = 30000,
    REVOKE_ROUNDS = 5,
};

struct ael_metastore {
    struct ael_refcount holders;
    const struct ael_metastore_vtable *vtable;
    void *self;
    const struct ael_metastore_metric_names *metrics;
    struct ael_fork_part fork;
};

/*
 * One call to a backend: the deadline made absolute once, and an error of its own, so that nothing stale
 * shows.
 */
struct edge_call {
    struct ael_call call;
    struct ael_error error;
    int cancel; /* from edge_begin to edge_end, as what follows */
    bool was_in_edge;
};

static bool vtable_is_valid(const struct ael_metastore_vtable *vtable) {
    return vtable->vt_size >= offsetof(struct ael_metastore_vtable, store) + sizeof(vtable->store) &&
           vtable->contract == AEL_METASTORE_CONTRACT && vtable->name != NULL && vtable->load != NULL &&
           vtable->load_latest != NULL && vtable->store != NULL;
}

static const char *metric_kind(const struct ael_metastore_vtable *vtable) {
    return AEL_VT_HAS(vtable, struct ael_metastore_vtable, metric_kind) ? vtable->metric_kind : vtable->name;
}

/* see ael/sys/metastore_backend.h */
enum ael_status
ael_metastore_new(const struct ael_metastore_vtable *vtable, void *self, struct ael_metastore **metastore) {
    if (metastore == NULL) {
        return AEL_E_ARGUMENT;
    }
    *metastore = NULL;
    if (vtable == NULL || !vtable_is_valid(vtable)) {
        return AEL_E_ARGUMENT;
    }
    if (ael_process_is_lost()) {
        return AEL_E_FORKED;
    }
    AEL_TRY(ael_protected_watch()); /* not all backends ask whose process it is */
    struct ael_metastore *made = ael_alloc(sizeof(*made));
    const struct ael_metastore_metric_names *metrics = ael_metastore_metric_names_get(metric_kind(vtable));
    if (made == NULL || metrics == NULL) {
        ael_free(made);
        return AEL_E_NO_MEMORY;
    }
    ael_refcount_init(&made->holders);
    made->vtable = vtable;
    made->self = self;
    made->metrics = metrics;
    made->fork = (struct ael_fork_part){
        .before = AEL_VT_GET(vtable, struct ael_metastore_vtable, before_fork),
        .parent = AEL_VT_GET(vtable, struct ael_metastore_vtable, after_fork_parent),
        .child = AEL_VT_GET(vtable, struct ael_metastore_vtable, after_fork_child),
        .self = self,
    };
    if (ael_fork_add(&made->fork) != AEL_OK) {
        ael_free(made);
        return AEL_E_NO_MEMORY;
    }
    *metastore = made;
    return AEL_OK;
}

/* see ael/metastore.h */
struct ael_metastore *ael_metastore_acquire(struct ael_metastore *metastore) {
    if (metastore != NULL) {
        ael_refcount_acquire(&metastore->holders);
    }
    return metastore;
}

/* see ael/metastore.h */
void ael_metastore_release(struct ael_metastore *metastore) {
    if (metastore == NULL || ael_process_is_lost() || !ael_refcount_release(&metastore->holders)) {
        return;
    }
    ael_fork_remove(&metastore->fork);
    if (HAS(metastore, destroy)) {
        metastore->vtable->destroy(metastore->self);
    }
    ael_free(metastore);
}

/* see ael/sys/metastore_backend.h */
const char *ael_metastore_name(const struct ael_metastore *metastore) {
    return metastore == NULL ? NULL : metastore->vtable->name;
}

/* see ael/sys/metastore_backend.h */
const char *ael_metastore_region_suffix(struct ael_metastore *metastore) {
    if (metastore == NULL || !HAS(metastore, region_suffix)) {
        return NULL;
    }
    return metastore->vtable->region_suffix(metastore->self);
}

/* ---- the library's own checks ---- */

static enum ael_status check_id(struct ael_bytes id, struct ael_error *err) {
    if (id.len > AEL_ID_MAX_BYTES) {
        return ael_error_set(
            err, AEL_E_TOO_LARGE, 0, COMPONENT, "a key id is longer than %d bytes", AEL_ID_MAX_BYTES);
    }
    if (id.data == NULL || id.len == 0 || !ael_id_is_text(id)) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, COMPONENT, "a key id is empty, not UTF-8 or holds a NUL");
    }
    return AEL_OK;
}

static enum ael_status check_record(const struct ael_key_record *record, struct ael_error *err) {
    if (record == NULL || record->created_s < 1) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, COMPONENT, "a key record is NULL or created before 1970");
    }
    if (record->key.len > AEL_KEY_RECORD_MAX_BYTES) {
        return ael_error_set(
            err, AEL_E_TOO_LARGE, 0, COMPONENT, "an encrypted key is longer than %d bytes",
            AEL_KEY_RECORD_MAX_BYTES);
    }
    if (record->key.data == NULL || record->key.len == 0) {
        return ael_error_set(err, AEL_E_ARGUMENT, 0, COMPONENT, "a key record holds no key");
    }
    if (!record->has_parent) {
        return AEL_OK;
    }
    if (record->parent_created_s < 1) {
        return ael_error_set(err, AEL_E_ARGUMENT, 0, COMPONENT, "a key's parent is created before 1970");
    }
    return check_id(record->parent_id, err);
}

/*

 * A backend's answer is checked as its input was: what it gave must be a key, and the one that was asked for.

 */
static enum ael_status
check_answer(const struct ael_key_record *record, int64_t created_s, struct ael_error *err) {
    if (check_record(record, NULL) != AEL_OK) {
        return ael_error_set(err, AEL_E_BACKEND_DATA, 0, COMPONENT, "the backend's row is not a key record");
    }
    if (created_s != 0 && record->created_s != created_s) {
        return ael_error_set(
            err, AEL_E_BACKEND_DATA, 0, COMPONENT, "the row's created is not that of its key record");
    }
    return AEL_OK;
}

/* ---- calls ---- */

/*
 * Copies what the caller's struct holds, makes the default deadline a fixed one, and checks that it is not
 * over.
 */
static enum ael_status
bound_call(struct edge_call *edge, const struct ael_call *call, struct ael_error *err) {
    *edge = (struct edge_call){.call = AEL_CALL_INIT};
    if (call != NULL) {
        if (call->size < offsetof(struct ael_call, consistency)) {
            return ael_error_set(err, AEL_E_ARGUMENT, 0, COMPONENT, "the call's size is none that ever was");
        }
        memcpy(&edge->call, call, call->size < sizeof(*call) ? call->size : sizeof(*call));
        edge->call.size = sizeof(*call);
    }
    enum ael_status status = ael_call_check(&edge->call);
    if (status != AEL_OK) {
        return ael_error_set(err, status, 0, COMPONENT, "the call was over before the metastore was asked");
    }
    if (edge->call.deadline_ns == 0) { /* after the check: one reading of the clock is enough */
        edge->call.deadline_ns = ael_deadline_in_ms(DEFAULT_TIMEOUT_MS);
    }
    return AEL_OK;
}

/* What a backend holds must not be lost with a thread that is cancelled inside it; edge_end undoes that. */
static enum ael_status
edge_begin(struct edge_call *edge, const struct ael_call *call, struct ael_error *err) {
    if (ael_process_is_lost()) {
        return ael_error_set(err, AEL_E_FORKED, 0, COMPONENT, "this child was made without fork handlers");
    }
    AEL_TRY(bound_call(edge, call, err));
    edge->cancel = ael_cancel_disable();
    edge->was_in_edge = ael_secret_slots_enter_edge();
    return AEL_OK;
}

/* Hands the backend's error on; makes one when the backend left it out. */
static enum ael_status edge_end(
    const struct ael_metastore *metastore,
    struct edge_call *edge,
    enum ael_status status,
    struct ael_error *err) {
    ael_secret_slots_leave_edge(edge->was_in_edge);
    ael_cancel_restore(edge->cancel);
    ael_metric_failure(AEL_METRIC_SOURCE_METASTORE, status == AEL_E_KEY_NOT_FOUND ? AEL_OK : status);
    if (status == AEL_OK || err == NULL) {
        return status;
    }
    if (edge->error.status == status) {
        *err = edge->error;
        return status;
    }
    return ael_error_set(err, status, 0, metastore->vtable->name, "%s", ael_status_text(status));
}

static enum ael_status
unsupported(const struct ael_metastore *metastore, const char *what, struct ael_error *err) {
    return ael_error_set(
        err, AEL_E_UNSUPPORTED, 0, COMPONENT, "the metastore %s has no %s", metastore->vtable->name, what);
}

static enum ael_status null_argument(struct ael_error *err) {
    return ael_error_set(err, AEL_E_ARGUMENT, 0, COMPONENT, "an argument that must be given is NULL");
}

/* Ends a load: on failure out is empty, on success it holds what was asked for. */
static enum ael_status load_end(
    const struct ael_metastore *metastore,
    struct edge_call *edge,
    enum ael_status status,
    int64_t created_s,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    if (status == AEL_OK) {
        status = check_answer(&out->record, created_s, &edge->error);
    }
    if (status != AEL_OK) {
        ael_key_record_buf_clear(out);
    }
    return edge_end(metastore, edge, status, err);
}

/* see ael/sys/metastore_backend.h */
enum ael_status ael_metastore_load(
    struct ael_metastore *metastore,
    const struct ael_call *call,
    struct ael_bytes id,
    int64_t created_s,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    if (metastore == NULL || out == NULL) {
        return null_argument(err);
    }
    ael_key_record_buf_clear(out);
    struct edge_call edge;
    AEL_TRY(check_id(id, err));
    if (created_s < 1) { /* 0 is "latest" in other implementations: never let a backend see it */
        return ael_error_set(err, AEL_E_KEY_NOT_FOUND, 0, COMPONENT, "no key is created before 1970");
    }
    AEL_TRY(edge_begin(&edge, call, err));
    int64_t start = ael_metric_start();
    enum ael_status status =
        metastore->vtable->load(metastore->self, &edge.call, id, created_s, out, &edge.error);
    ael_metric_timer(metastore->metrics->load, start);
    return load_end(metastore, &edge, status, created_s, out, err);
}

/* see ael/sys/metastore_backend.h */
enum ael_status ael_metastore_load_latest(
    struct ael_metastore *metastore,
    const struct ael_call *call,
    struct ael_bytes id,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    if (metastore == NULL || out == NULL) {
        return null_argument(err);
    }
    ael_key_record_buf_clear(out);
    struct edge_call edge;
    AEL_TRY(check_id(id, err));
    AEL_TRY(edge_begin(&edge, call, err));
    int64_t start = ael_metric_start();
    enum ael_status status =
        metastore->vtable->load_latest(metastore->self, &edge.call, id, out, &edge.error);
    ael_metric_timer(metastore->metrics->load_latest, start);
    return load_end(metastore, &edge, status, 0, out, err);
}

/* see ael/sys/metastore_backend.h */
enum ael_status ael_metastore_store(
    struct ael_metastore *metastore,
    const struct ael_call *call,
    struct ael_bytes id,
    const struct ael_key_record *record,
    bool *stored,
    struct ael_error *err) {
    if (metastore == NULL || stored == NULL) {
        return null_argument(err);
    }
    *stored = false;
    struct edge_call edge;
    AEL_TRY(check_id(id, err));
    AEL_TRY(check_record(record, err));
    AEL_TRY(edge_begin(&edge, call, err));
    int64_t start = ael_metric_start();
    enum ael_status status =
        metastore->vtable->store(metastore->self, &edge.call, id, record, stored, &edge.error);
    ael_metric_timer(metastore->metrics->store, start);
    *stored = *stored && status == AEL_OK;
    return edge_end(metastore, &edge, status, err);
}

/* see ael/sys/metastore_backend.h */
enum ael_status ael_metastore_list(
    struct ael_metastore *metastore,
    const struct ael_call *call,
    struct ael_bytes prefix,
    ael_metastore_visit_fn visit,
    void *context,
    struct ael_error *err) {
    if (metastore == NULL || visit == NULL || (prefix.data == NULL && prefix.len != 0)) {
        return null_argument(err);
    }
    if (!HAS(metastore, list)) {
        return unsupported(metastore, "list", err);
    }
    if (prefix.len > 0) {
        AEL_TRY(check_id(prefix, err));
    }
    struct edge_call edge;
    AEL_TRY(edge_begin(&edge, call, err));
    enum ael_status status =
        metastore->vtable->list(metastore->self, &edge.call, prefix, visit, context, &edge.error);
    return edge_end(metastore, &edge, status, err);
}

static enum ael_status check_replacement(
    const struct ael_key_record *expected, const struct ael_key_record *desired, struct ael_error *err) {
    AEL_TRY(check_record(expected, err));
    AEL_TRY(check_record(desired, err));
    if (expected->created_s != desired->created_s) {
        return ael_error_set(err, AEL_E_ARGUMENT, 0, COMPONENT, "a replacement cannot change created");
    }
    return AEL_OK;
}

/* see ael/sys/metastore_backend.h */
enum ael_status ael_metastore_replace(
    struct ael_metastore *metastore,
    const struct ael_call *call,
    struct ael_bytes id,
    const struct ael_key_record *expected,
    const struct ael_key_record *desired,
    bool *replaced,
    struct ael_error *err) {
    if (metastore == NULL || replaced == NULL) {
        return null_argument(err);
    }
    *replaced = false;
    if (!HAS(metastore, replace)) {
        return unsupported(metastore, "replace", err);
    }
    struct edge_call edge;
    AEL_TRY(check_id(id, err));
    AEL_TRY(check_replacement(expected, desired, err));
    AEL_TRY(edge_begin(&edge, call, err));
    enum ael_status status =
        metastore->vtable->replace(metastore->self, &edge.call, id, expected, desired, replaced, &edge.error);
    *replaced = *replaced && status == AEL_OK;
    return edge_end(metastore, &edge, status, err);
}

/* For backends without health: an answer about an id that cannot be, is an answer. */
static enum ael_status ask_for_nothing(struct ael_metastore *metastore, struct edge_call *edge) {
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    enum ael_status status = metastore->vtable->load_latest(
        metastore->self, &edge->call, ael_bytes_from_text("__ael_health__"), &out, &edge->error);
    ael_key_record_buf_clear(&out);
    return status == AEL_E_KEY_NOT_FOUND ? AEL_OK : status;
}

/* see ael/sys/metastore_backend.h */
enum ael_status
ael_metastore_health(struct ael_metastore *metastore, const struct ael_call *call, struct ael_error *err) {
    if (metastore == NULL) {
        return null_argument(err);
    }
    struct edge_call edge;
    AEL_TRY(edge_begin(&edge, call, err));
    enum ael_status status = HAS(metastore, health)
                                 ? metastore->vtable->health(metastore->self, &edge.call, &edge.error)
                                 : ask_for_nothing(metastore, &edge);
    return edge_end(metastore, &edge, status, err);
}

/* see ael/sys/metastore_backend.h */
enum ael_status ael_metastore_ensure_schema(
    struct ael_metastore *metastore, const struct ael_call *call, struct ael_error *err) {
    if (metastore == NULL) {
        return null_argument(err);
    }
    if (!HAS(metastore, ensure_schema)) {
        return unsupported(metastore, "ensure_schema", err);
    }
    struct edge_call edge;
    AEL_TRY(edge_begin(&edge, call, err));
    enum ael_status status = metastore->vtable->ensure_schema(metastore->self, &edge.call, &edge.error);
    return edge_end(metastore, &edge, status, err);
}

/* ---- revocation ---- */

/*

 * One round: *done tells that the key is revoked. A lost race, or an outcome nobody knows, is another round.

 */
static enum ael_status revoke_once(
    struct ael_metastore *metastore,
    const struct ael_call *call,
    struct ael_bytes key_id,
    int64_t created_s,
    bool *done,
    struct ael_error *err) {
    struct ael_key_record_buf present = AEL_KEY_RECORD_BUF_INIT;
    enum ael_status status = ael_metastore_load(metastore, call, key_id, created_s, &present, err);
    if (status == AEL_OK && present.record.revoked) {
        *done = true;
    }
    if (status == AEL_OK && !*done) {
        struct ael_key_record desired = present.record;
        desired.revoked = true;
        status = ael_metastore_replace(metastore, call, key_id, &present.record, &desired, done, err);
    }
    ael_key_record_buf_clear(&present);
    return status;
}

/* see ael/metastore.h */
enum ael_status ael_metastore_mark_revoked(
    struct ael_metastore *metastore,
    struct ael_bytes key_id,
    int64_t created_s,
    const struct ael_call *call,
    struct ael_error *err) {
    if (metastore == NULL) {
        return null_argument(err);
    }
    if (!HAS(metastore, replace)) {
        return unsupported(metastore, "replace", err);
    }
    struct edge_call edge;
    AEL_TRY(bound_call(&edge, call, err));
    edge.call.consistency = AEL_CONSISTENCY_PRIMARY;
    enum ael_status status = AEL_OK;
    for (int round = 0; round < REVOKE_ROUNDS; round++) {
        bool done = false;
        status = revoke_once(metastore, &edge.call, key_id, created_s, &done, err);
        if (done || (status != AEL_OK && status != AEL_E_OUTCOME_UNKNOWN)) {
            return status;
        }
    }
    if (status != AEL_OK) {
        return status;
    }
    return ael_error_set(
        err, AEL_E_KEY_CONTENTION, 0, COMPONENT, "the key kept being changed by others; revoke it again");
}
