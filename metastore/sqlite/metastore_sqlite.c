/* SPDX-License-Identifier: Apache-2.0 */
#include <ael/metastore_sqlite.h>

#include "metastore/sqlite/file.h"
#include "metastore/sqlite/pool.h"
#include "metastore/sqlite/rows.h"

#include <ael/sys/metastore_backend.h>

#include <string.h>

enum { MAX_CONNECTIONS = 64 };

/* The members: lend a connection, do the work on it, take it back. self is the pool. Writers that gave way to
 * a fork begin again. */

static enum ael_status sqlite_load(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    int64_t created_s,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    struct ael_sqlite_conn *conn = NULL;
    enum ael_status status = ael_sqlite_pool_borrow(self, call, AEL_SQLITE_USE_LOAD, &conn, err);
    if (status == AEL_OK) {
        status = ael_sqlite_row_load(conn, id, created_s, out, err);
        ael_sqlite_pool_return(self, conn);
    }
    return status;
}

static enum ael_status sqlite_load_latest(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    struct ael_sqlite_conn *conn = NULL;
    enum ael_status status = ael_sqlite_pool_borrow(self, call, AEL_SQLITE_USE_LOAD, &conn, err);
    if (status == AEL_OK) {
        status = ael_sqlite_row_load_latest(conn, id, out, err);
        ael_sqlite_pool_return(self, conn);
    }
    return status;
}

static enum ael_status sqlite_store(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    const struct ael_key_record *record,
    bool *stored,
    struct ael_error *err) {
    enum ael_status status = AEL_OK;
    bool again = true;
    while (again) {
        struct ael_sqlite_conn *conn = NULL;
        status = ael_sqlite_pool_borrow(self, call, AEL_SQLITE_USE_OTHER, &conn, err);
        if (status != AEL_OK) {
            return status;
        }
        status = ael_sqlite_row_store(conn, id, record, stored, err);
        again = ael_sqlite_pool_return(self, conn) && status == AEL_E_TIMEOUT;
    }
    return status;
}

static enum ael_status sqlite_list(
    void *self,
    const struct ael_call *call,
    struct ael_bytes prefix,
    ael_metastore_visit_fn visit,
    void *context,
    struct ael_error *err) {
    struct ael_sqlite_conn *conn = NULL;
    enum ael_status status = ael_sqlite_pool_borrow(self, call, AEL_SQLITE_USE_OTHER, &conn, err);
    if (status == AEL_OK) {
        status = ael_sqlite_rows_list(conn, prefix, visit, context, err);
        ael_sqlite_pool_return(self, conn);
    }
    return status;
}

static enum ael_status sqlite_replace(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    const struct ael_key_record *expected,
    const struct ael_key_record *desired,
    bool *replaced,
    struct ael_error *err) {
    enum ael_status status = AEL_OK;
    bool again = true;
    while (again) {
        struct ael_sqlite_conn *conn = NULL;
        status = ael_sqlite_pool_borrow(self, call, AEL_SQLITE_USE_OTHER, &conn, err);
        if (status != AEL_OK) {
            return status;
        }
        status = ael_sqlite_row_replace(conn, id, expected, desired, replaced, err);
        again = ael_sqlite_pool_return(self, conn) && status == AEL_E_TIMEOUT;
    }
    return status;
}

/*
 * Takes the write lock, reads, writes nothing and lets go. SQLite lets a read-only file begin, so that is
 * asked first.
 */
static enum ael_status check_usable(struct ael_sqlite_conn *conn, struct ael_error *err) {
    if (sqlite3_db_readonly(conn->db, "main") != 0) {
        return ael_error_set(
            err, AEL_E_BACKEND, SQLITE_READONLY, AEL_SQLITE_COMPONENT,
            "the file is read-only; let this process write it and its folder");
    }
    enum ael_status status = ael_sqlite_begin(conn, err);
    if (status != AEL_OK) {
        return status;
    }
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    status = ael_sqlite_row_load_latest(conn, ael_bytes_from_text("__ael_health__"), &out, err);
    ael_key_record_buf_clear(&out);
    return status == AEL_E_KEY_NOT_FOUND ? AEL_OK : status;
}

static enum ael_status sqlite_health(void *self, const struct ael_call *call, struct ael_error *err) {
    struct ael_sqlite_conn *conn = NULL;
    enum ael_status status = ael_sqlite_pool_borrow(self, call, AEL_SQLITE_USE_OTHER, &conn, err);
    if (status != AEL_OK) {
        return status;
    }
    status = check_usable(conn, err);
    ael_sqlite_pool_return(self, conn);
    return status;
}

static enum ael_status sqlite_ensure_schema(void *self, const struct ael_call *call, struct ael_error *err) {
    struct ael_sqlite_conn *conn = NULL;
    enum ael_status status = ael_sqlite_pool_borrow(self, call, AEL_SQLITE_USE_OTHER, &conn, err);
    if (status == AEL_OK) {
        status = ael_sqlite_conn_make_table(conn, err);
        ael_sqlite_pool_return(self, conn);
    }
    return status;
}

static void sqlite_destroy(void *self) {
    ael_sqlite_pool_free(self);
}

static void sqlite_before_fork(void *self) {
    ael_sqlite_pool_before_fork(self);
}

static void sqlite_after_fork_parent(void *self) {
    ael_sqlite_pool_after_fork_parent(self);
}

static void sqlite_after_fork_child(void *self) {
    ael_sqlite_pool_after_fork_child(self);
}

static const struct ael_metastore_vtable k_sqlite = {
    .vt_size = sizeof(struct ael_metastore_vtable),
    .contract = AEL_METASTORE_CONTRACT,
    .name = "sqlite",
    .load = sqlite_load,
    .load_latest = sqlite_load_latest,
    .store = sqlite_store,
    .destroy = sqlite_destroy,
    .list = sqlite_list,
    .replace = sqlite_replace,
    .health = sqlite_health,
    .ensure_schema = sqlite_ensure_schema,
    .before_fork = sqlite_before_fork,
    .after_fork_parent = sqlite_after_fork_parent,
    .after_fork_child = sqlite_after_fork_child,
    .metric_kind = "sql",
};

/*
 * Names that SQLite takes for something else than a file: each connection would have a store of its own, or
 * none.
 */
static bool is_file_path(const char *path) {
    return path != NULL && path[0] != '\0' && strcmp(path, ":memory:") != 0 && strncmp(path, "file:", 5) != 0;
}

static enum ael_status
check_options(const struct ael_metastore_sqlite_options *options, struct ael_error *err) {
    if (options == NULL || options->size != sizeof(*options)) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, AEL_SQLITE_COMPONENT, "start from AEL_METASTORE_SQLITE_OPTIONS_INIT");
    }
    if (!is_file_path(options->path)) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, AEL_SQLITE_COMPONENT,
            "path must name a file: not empty, no URI, not :memory:");
    }
    if (options->max_connections < 1 || options->max_connections > MAX_CONNECTIONS) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, AEL_SQLITE_COMPONENT, "max_connections must be 1 to %d", MAX_CONNECTIONS);
    }
    if (sqlite3_threadsafe() == 0) {
        return ael_error_set(
            err, AEL_E_BACKEND, 0, AEL_SQLITE_COMPONENT,
            "this SQLite was built without threads; install another");
    }
    return AEL_OK;
}

/* While a store is being opened there is no cached key to go on with: one status for all that SQLite says. */
static enum ael_status opening_failed(enum ael_status status, struct ael_error *err) {
    if (status == AEL_E_NO_MEMORY || status == AEL_E_BACKEND) {
        return status;
    }
    if (err != NULL) {
        err->status = AEL_E_BACKEND;
    }
    return AEL_E_BACKEND;
}

/* see ael/metastore_sqlite.h */
enum ael_status ael_metastore_sqlite_new(
    const struct ael_metastore_sqlite_options *options,
    struct ael_metastore **metastore,
    struct ael_error *err) {
    if (metastore == NULL) {
        return ael_error_set(err, AEL_E_ARGUMENT, 0, AEL_SQLITE_COMPONENT, "metastore is NULL");
    }
    *metastore = NULL;
    enum ael_status status = check_options(options, err);
    if (status != AEL_OK) {
        return status;
    }
    struct ael_sqlite_pool *pool = NULL;
    ael_sqlite_file_make(options->path);
    status = ael_sqlite_file_check(options->path, err);
    if (status != AEL_OK) {
        return status;
    }
    status =
        ael_sqlite_pool_new(options->path, options->busy_timeout_ms, options->max_connections, &pool, err);
    if (status != AEL_OK) {
        return opening_failed(status, err);
    }
    status = ael_metastore_new(&k_sqlite, pool, metastore);
    if (status != AEL_OK) {
        ael_sqlite_pool_free(pool);
        return ael_error_set(err, status, 0, AEL_SQLITE_COMPONENT, "no memory for a handle");
    }
    return AEL_OK;
}
