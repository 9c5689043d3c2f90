/*
 * metastore/sql/sql_store.h - a metastore over connections to a database server: what such backends have in
 * common.
 *
 * A call is lent a connection, does its work on it and gives it back; what a connection could not begin is
 * given to another one. A backend's store begins with struct ael_sql_store, and is self of the members that
 * its table of a metastore has from here; what is its own it says in a struct ael_sql_store_ops:
 *
 *     struct mysql { struct ael_sql_store base; ... };      .load = ael_sql_store_load, ... in its vtable
 *
 *     ael_sql_store_add_pool, once or twice  ->  ael_sql_store_open  ->  calls  ->  ael_sql_store_clear
 *
 * The store owns its pools and they own their connections; the rest of its struct is the backend's, which
 * frees it. Written against public headers only. Layer: metastore (components). Threads: any, once it is
 * open; the pools lock.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_METASTORE_SQL_SQL_STORE_H
#define AEL_METASTORE_SQL_SQL_STORE_H

#include "metastore/sql/sql_pool.h"

#include <ael/sys/metastore_backend.h>

#include <stdatomic.h>

/* A member's arguments, so that it can be done again on another connection. */
struct ael_sql_work {
    struct ael_bytes id; /* or the prefix of ids */
    int64_t created_s;
    const struct ael_key_record *record; /* to be stored, or expected */
    const struct ael_key_record *desired;
    struct ael_key_record_buf *out;
    bool *done; /* stored, or replaced */
    ael_metastore_visit_fn visit;
    void *context;
    const bool *begun; /* once this is true nothing is done again; NULL = it may always be */
};

typedef enum ael_status (*ael_sql_work_fn)(
    struct ael_sql_conn *conn, const struct ael_sql_work *work, struct ael_error *err);

struct ael_sql_store;

struct ael_sql_store_ops {
    struct ael_sql_pool_ops pool; /* self is a struct ael_sql_group; is_alive is ael_sql_store_is_alive */

    /* Tells without asking the server whether an idle connection is still there. */
    bool (*is_there)(struct ael_sql_conn *conn);

    /* Asks the server whether it may be lent: after it idled for long, and when it is due (NULL = it never
     * is). */
    bool (*answers)(struct ael_sql_store *store, struct ael_sql_conn *conn);
    bool (*is_due)(const struct ael_sql_conn *conn);

    /* Statuses and outputs as those of the members of struct ael_metastore_vtable. */
    ael_sql_work_fn load;
    ael_sql_work_fn load_latest;
    ael_sql_work_fn store;
    ael_sql_work_fn list;
    ael_sql_work_fn replace;
    ael_sql_work_fn check;
    ael_sql_work_fn ensure_table;

    /* Looks the table up. On AEL_E_BACKEND *is_missing tells whether there is none, which is no fault yet. */
    enum ael_status (*find_table)(struct ael_sql_conn *conn, bool *is_missing, struct ael_error *err);

    /* NULL, or called when a connection was worked on, before it is given back: what it found may be told. */
    void (*worked)(struct ael_sql_store *store, const struct ael_sql_conn *conn);
};

enum { AEL_SQL_WRITES, AEL_SQL_READS, AEL_SQL_GROUPS };

/* Connections to servers of one kind. */
struct ael_sql_group {
    struct ael_sql_store *store;
    const char *servers; /* the backend's name of the kind; NULL = any */
    struct ael_sql_pool *pool;
};

/* The options that each backend has. */
struct ael_sql_bounds {
    uint32_t max_connections;
    uint32_t connect_timeout_ms;
    uint32_t answer_timeout_ms;
    uint32_t idle_limit_ms;
    uint32_t life_limit_ms;
};

/* Zeroed, but for ops, when it is made. */
struct ael_sql_store {
    const struct ael_sql_store_ops *ops;
    struct ael_sql_group
        groups[AEL_SQL_GROUPS]; /* AEL_SQL_READS has a pool when others than the primary may answer */
    struct ael_sql_bounds bounds;
};

/** Checks bounds as a caller gave them. AEL_OK; AEL_E_ARGUMENT. */
AEL_MUST_CHECK enum ael_status
ael_sql_bounds_check(const struct ael_sql_bounds *bounds, const char *component, struct ael_error *err);

/**
 * Makes the pool of a group, within store->bounds.
 *
 * @param group    AEL_SQL_WRITES or AEL_SQL_READS. @param servers  outlives the store.
 * @return as ael_sql_pool_new. On failure ael_sql_store_clear does, too.
 */
AEL_MUST_CHECK enum ael_status
ael_sql_store_add_pool(struct ael_sql_store *store, int group, const char *servers, struct ael_error *err);

/**
 * Makes the handle, which owns the store from then on, and the first connection, so that what is wrong with
 * the address, the certificate, the log-in or the table is told at once.
 *
 * @param vtable  its destroy is called with the store on failure, too.
 * @return AEL_OK; AEL_E_UNREACHABLE; AEL_E_NO_MEMORY; or as open and find_table.
 */
AEL_MUST_CHECK enum ael_status ael_sql_store_open(
    struct ael_sql_store *store,
    const struct ael_metastore_vtable *vtable,
    struct ael_metastore **metastore,
    struct ael_error *err);

/** Frees the pools. */
void ael_sql_store_clear(struct ael_sql_store *store);

/** Tells whether an idle connection may be lent, by is_there, is_due and answers. */
bool ael_sql_store_is_alive(
    void *self, struct ael_sql_conn *conn, int64_t idle_ms, const struct ael_call *call);

/* Members of a struct ael_metastore_vtable; self is the store. */
enum ael_status ael_sql_store_load(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    int64_t created_s,
    struct ael_key_record_buf *out,
    struct ael_error *err);
enum ael_status ael_sql_store_load_latest(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    struct ael_key_record_buf *out,
    struct ael_error *err);
enum ael_status ael_sql_store_store(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    const struct ael_key_record *record,
    bool *stored,
    struct ael_error *err);
enum ael_status ael_sql_store_list(
    void *self,
    const struct ael_call *call,
    struct ael_bytes prefix,
    ael_metastore_visit_fn visit,
    void *context,
    struct ael_error *err);
enum ael_status ael_sql_store_replace(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    const struct ael_key_record *expected,
    const struct ael_key_record *desired,
    bool *replaced,
    struct ael_error *err);
enum ael_status ael_sql_store_health(void *self, const struct ael_call *call, struct ael_error *err);
enum ael_status ael_sql_store_ensure_schema(void *self, const struct ael_call *call, struct ael_error *err);
void ael_sql_store_before_fork(void *self);
void ael_sql_store_after_fork_parent(void *self);
void ael_sql_store_after_fork_child(void *self);

/** Logs a warning where it holds, once a told; which thread makes it does not matter. */
void ael_sql_store_warn_once(
    const struct ael_sql_store *store, atomic_bool *told, bool holds, const char *sentence);

#endif /* AEL_METASTORE_SQL_SQL_STORE_H */
