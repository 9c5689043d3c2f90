/*
 * ael/sys/metastore_backend.h - for authors of a metastore.
 *
 * One constant table a backend. Set vt_size to sizeof(struct ael_metastore_vtable) as your compiler sees it: the
 * library calls a member only when it lies inside vt_size and is not NULL. Every member may be called from several
 * threads at once, may block until the call's deadline (ael_call_check, ael_call_remaining_ms), must not call back
 * into a session, and must not keep a borrowed pointer past its return. tests/contract holds the suite that every
 * backend must pass.
 *
 * Statuses, beside those named at a member: AEL_E_UNREACHABLE (no connection, a node down: the only one under which
 * a cached key may go on serving), AEL_E_TIMEOUT, AEL_E_CANCELLED, AEL_E_BACKEND_DATA (a row that is not a key
 * record), AEL_E_NO_MEMORY, AEL_E_BACKEND (anything else).
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_SYS_METASTORE_BACKEND_H
#define AEL_SYS_METASTORE_BACKEND_H

#include <ael/call.h>
#include <ael/metastore.h>
#include <ael/sys/error.h>
#include <ael/sys/key_record.h>

enum { AEL_METASTORE_CONTRACT = 1 };

/* Receives one row of a listing; false ends the listing. The views are valid during the call. */
typedef bool (*ael_metastore_visit_fn)(
    void *context, struct ael_bytes id, int64_t created_s, const struct ael_key_record *record);

struct ael_metastore_vtable {
    size_t vt_size;
    uint32_t contract; /* AEL_METASTORE_CONTRACT: raised when meaning, not shape, changes */
    const char *name;  /* static; appears in errors and metrics */

    /* Required. Reads the row (id, created_s) into out; AEL_E_KEY_NOT_FOUND when there is none. */
    enum ael_status (*load)(
        void *self,
        const struct ael_call *call,
        struct ael_bytes id,
        int64_t created_s,
        struct ael_key_record_buf *out,
        struct ael_error *err);

    /* Required. Reads the row of id with the greatest created; AEL_E_KEY_NOT_FOUND when there is none. */
    enum ael_status (*load_latest)(
        void *self,
        const struct ael_call *call,
        struct ael_bytes id,
        struct ael_key_record_buf *out,
        struct ael_error *err);

    /*
     * Required. Inserts (id, record->created_s) durably, only if absent; *stored tells whether this call did. A lost
     * race is AEL_OK with *stored false. AEL_E_OUTCOME_UNKNOWN when it may or may not have happened: the library then
     * reads it back from the primary.
     */
    enum ael_status (*store)(
        void *self,
        const struct ael_call *call,
        struct ael_bytes id,
        const struct ael_key_record *record,
        bool *stored,
        struct ael_error *err);

    /* Optional. Called once, after the last call on self has returned. */
    void (*destroy)(void *self);

    /* Optional. The suffix for key ids of a store that spans regions; static for self's life, or NULL. */
    const char *(*region_suffix)(void *self);

    /*
     * Optional. Visits the rows whose id starts with prefix, by id and then created. Rows that are not key records are
     * left out. visit must not call the backend.
     */
    enum ael_status (*list)(
        void *self,
        const struct ael_call *call,
        struct ael_bytes prefix,
        ael_metastore_visit_fn visit,
        void *context,
        struct ael_error *err);

    /*
     * Optional. Replaces the row (id, expected->created_s) by desired if it is still equal to expected in every member;
     * *replaced tells whether. created_s of both is the same. AEL_E_KEY_NOT_FOUND when there is no such row.
     */
    enum ael_status (*replace)(
        void *self,
        const struct ael_call *call,
        struct ael_bytes id,
        const struct ael_key_record *expected,
        const struct ael_key_record *desired,
        bool *replaced,
        struct ael_error *err);

    /* Optional. AEL_OK when the store can be read and written now. */
    enum ael_status (*health)(void *self, const struct ael_call *call, struct ael_error *err);

    /* Optional. Makes the table when it is missing; AEL_OK when it is there. */
    enum ael_status (*ensure_schema)(void *self, const struct ael_call *call, struct ael_error *err);

    /* Optional. Around fork, in the forking thread; the child's must not touch the parent's connections. */
    void (*before_fork)(void *self);
    void (*after_fork_parent)(void *self);
    void (*after_fork_child)(void *self);

    /* Optional. The word between "ael.metastore." and the operation in metrics; NULL = name. */
    const char *metric_kind;
};

AEL_BEGIN_DECLS

/**
 * Makes a metastore handle over a backend.
 *
 * @param vtable  must outlive the handle. @param self  handed to every member.
 * @return AEL_OK; AEL_E_ARGUMENT (NULL, a vt_size too short for the required members, one of them missing, or another
 *         contract); AEL_E_NO_MEMORY; AEL_E_FORKED (a child made without fork handlers). On failure self stays the caller's and destroy is not called.
 */
AEL_API AEL_MUST_CHECK enum ael_status
ael_metastore_new(const struct ael_metastore_vtable *vtable, void *self, struct ael_metastore **metastore);

/*
 * The calls of the table through a handle, for tools and tests: arguments and statuses as above, after the checks that
 * the library makes of its own (id 1 .. AEL_ID_MAX_BYTES, record sizes). A missing optional member is
 * AEL_E_UNSUPPORTED; health then asks load_latest for an id that does not exist.
 */
AEL_API AEL_MUST_CHECK enum ael_status ael_metastore_load(
    struct ael_metastore *metastore, const struct ael_call *call, struct ael_bytes id, int64_t created_s,
    struct ael_key_record_buf *out, struct ael_error *err);
AEL_API AEL_MUST_CHECK enum ael_status ael_metastore_load_latest(
    struct ael_metastore *metastore, const struct ael_call *call, struct ael_bytes id,
    struct ael_key_record_buf *out, struct ael_error *err);
AEL_API AEL_MUST_CHECK enum ael_status ael_metastore_store(
    struct ael_metastore *metastore, const struct ael_call *call, struct ael_bytes id,
    const struct ael_key_record *record, bool *stored, struct ael_error *err);
AEL_API AEL_MUST_CHECK enum ael_status ael_metastore_list(
    struct ael_metastore *metastore, const struct ael_call *call, struct ael_bytes prefix,
    ael_metastore_visit_fn visit, void *context, struct ael_error *err);
AEL_API AEL_MUST_CHECK enum ael_status ael_metastore_replace(
    struct ael_metastore *metastore, const struct ael_call *call, struct ael_bytes id,
    const struct ael_key_record *expected, const struct ael_key_record *desired, bool *replaced,
    struct ael_error *err);
AEL_API AEL_MUST_CHECK enum ael_status
ael_metastore_health(struct ael_metastore *metastore, const struct ael_call *call, struct ael_error *err);
AEL_API AEL_MUST_CHECK enum ael_status
ael_metastore_ensure_schema(struct ael_metastore *metastore, const struct ael_call *call, struct ael_error *err);

/** Returns the backend's name. Valid as long as the handle. Threads: any. */
AEL_API const char *ael_metastore_name(const struct ael_metastore *metastore);

/** Returns the backend's region suffix, or NULL. Valid as long as the handle. Threads: any. */
AEL_API const char *ael_metastore_region_suffix(struct ael_metastore *metastore);

AEL_END_DECLS

#endif /* AEL_SYS_METASTORE_BACKEND_H */
