/* SPDX-License-Identifier: Apache-2.0 */
#include <ael/metastore_postgres.h>

#include "metastore/postgres/rows.h"
#include "metastore/postgres/table.h"
#include "metastore/sql/sql_store.h"

#include <ael/sys/alloc.h>
#include <ael/sys/log.h>
#include <ael/sys/metastore_backend.h>

struct postgres {
    struct ael_sql_store base;
    struct ael_pg_address address;
    atomic_bool told_lazy; /* each warning is made once; which thread makes it does not matter: relaxed */
    atomic_bool told_unflushed;
    atomic_bool meets_long; /* see metastore/postgres/conn.h */
};

/* ---- connections ---- */

static void warn_of_durability(struct postgres *store, const struct ael_pg_durability *durability) {
    ael_sql_store_warn_once(
        &store->base, &store->told_lazy, durability->commits_lazily,
        "synchronous_commit is off: keys that were stored may be lost in a crash, and all data under them");
    ael_sql_store_warn_once(
        &store->base, &store->told_unflushed, durability->is_never_flushed,
        "fsync is off: keys that were stored may be lost in a crash, and all data under them");
}

static enum ael_status
pool_open(void *self, struct ael_sql_conn *base, const struct ael_call *call, struct ael_error *err) {
    const struct ael_sql_group *group = self;
    struct postgres *store = (struct postgres *)group->store;
    struct ael_pg_conn *conn = (struct ael_pg_conn *)base;
    struct ael_pg_durability durability = {false, false};
    conn->answer_timeout_ms = store->base.bounds.answer_timeout_ms;
    conn->meets_long = &store->meets_long;
    enum ael_status status = ael_pg_conn_open(
        conn, &store->address, group->servers, store->base.bounds.connect_timeout_ms, call, err);
    if (status != AEL_OK) {
        return status;
    }
    status = ael_pg_session_init(conn, &durability, err);
    if (status != AEL_OK) {
        ael_pg_conn_close(conn);
        return status;
    }
    warn_of_durability(store, &durability);
    return AEL_OK;
}

static bool is_there(struct ael_sql_conn *conn) {
    return ael_pg_conn_is_there((struct ael_pg_conn *)conn);
}

/* Of a table that was altered its statements would fail, one connection after the other. */
static bool answers(struct ael_sql_store *store, struct ael_sql_conn *base) {
    struct ael_pg_conn *conn = (struct ael_pg_conn *)base;
    const struct ael_pg_statement statement = {.sql = "SELECT 1"};
    PGresult *result = NULL;
    (void)store;
    if (conn->table.is_known) {
        return ael_pg_table_is_as_found(conn);
    }
    enum ael_status status = ael_pg_run(conn, &statement, &result, NULL);
    PQclear(result);
    return status == AEL_OK;
}

static void pool_close(void *self, struct ael_sql_conn *base) {
    (void)self;
    ael_pg_conn_close((struct ael_pg_conn *)base);
}

static void pool_drop(struct ael_sql_conn *base) {
    ael_pg_conn_drop((struct ael_pg_conn *)base);
}

/* ---- work on a connection ---- */

static enum ael_status
work_load(struct ael_sql_conn *conn, const struct ael_sql_work *work, struct ael_error *err) {
    return ael_pg_row_load((struct ael_pg_conn *)conn, work->id, work->created_s, work->out, err);
}

static enum ael_status
work_load_latest(struct ael_sql_conn *conn, const struct ael_sql_work *work, struct ael_error *err) {
    return ael_pg_row_load_latest((struct ael_pg_conn *)conn, work->id, work->out, err);
}

static enum ael_status
work_store(struct ael_sql_conn *conn, const struct ael_sql_work *work, struct ael_error *err) {
    return ael_pg_row_store((struct ael_pg_conn *)conn, work->id, work->record, work->done, err);
}

static enum ael_status
work_list(struct ael_sql_conn *conn, const struct ael_sql_work *work, struct ael_error *err) {
    return ael_pg_rows_list((struct ael_pg_conn *)conn, work->id, work->visit, work->context, err);
}

static enum ael_status
work_replace(struct ael_sql_conn *conn, const struct ael_sql_work *work, struct ael_error *err) {
    return ael_pg_row_replace(
        (struct ael_pg_conn *)conn, work->id, work->record, work->desired, work->done, err);
}

static enum ael_status
work_check(struct ael_sql_conn *conn, const struct ael_sql_work *work, struct ael_error *err) {
    (void)work;
    return ael_pg_rows_check((struct ael_pg_conn *)conn, err);
}

static enum ael_status
work_ensure_table(struct ael_sql_conn *conn, const struct ael_sql_work *work, struct ael_error *err) {
    (void)work;
    return ael_pg_table_ensure((struct ael_pg_conn *)conn, err);
}

static enum ael_status find_table(struct ael_sql_conn *base, bool *is_missing, struct ael_error *err) {
    struct ael_pg_conn *conn = (struct ael_pg_conn *)base;
    enum ael_status status = ael_pg_table_find(conn, err);
    *is_missing = conn->table.is_missing;
    return status;
}

static const struct ael_sql_store_ops k_ops = {
    .pool =
        {
            .component = AEL_PG_COMPONENT,
            .conn_size = sizeof(struct ael_pg_conn),
            .open = pool_open,
            .is_alive = ael_sql_store_is_alive,
            .close = pool_close,
            .drop = pool_drop,
        },
    .is_there = is_there,
    .answers = answers,
    .load = work_load,
    .load_latest = work_load_latest,
    .store = work_store,
    .list = work_list,
    .replace = work_replace,
    .check = work_check,
    .ensure_table = work_ensure_table,
    .find_table = find_table,
};

/* ---- the table of a metastore ---- */

static void destroy(void *self) {
    struct postgres *store = self;
    ael_sql_store_clear(&store->base);
    ael_pg_address_clear(&store->address);
    ael_sys_free(store);
}

static const struct ael_metastore_vtable k_postgres = {
    .vt_size = sizeof(struct ael_metastore_vtable),
    .contract = AEL_METASTORE_CONTRACT,
    .name = "postgres",
    .load = ael_sql_store_load,
    .load_latest = ael_sql_store_load_latest,
    .store = ael_sql_store_store,
    .destroy = destroy,
    .list = ael_sql_store_list,
    .replace = ael_sql_store_replace,
    .health = ael_sql_store_health,
    .ensure_schema = ael_sql_store_ensure_schema,
    .before_fork = ael_sql_store_before_fork,
    .after_fork_parent = ael_sql_store_after_fork_parent,
    .after_fork_child = ael_sql_store_after_fork_child,
    .metric_kind = "sql",
};

/* ---- opening ---- */

static struct ael_sql_bounds bounds_of(const struct ael_metastore_postgres_options *options) {
    return (struct ael_sql_bounds){
        .max_connections = options->max_connections,
        .connect_timeout_ms = options->connect_timeout_ms,
        .answer_timeout_ms = options->answer_timeout_ms,
        .idle_limit_ms = options->idle_limit_ms,
        .life_limit_ms = options->life_limit_ms,
    };
}

static enum ael_status
check_options(const struct ael_metastore_postgres_options *options, struct ael_error *err) {
    if (options == NULL || options->size != sizeof(*options)) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, AEL_PG_COMPONENT, "start from AEL_METASTORE_POSTGRES_OPTIONS_INIT");
    }
    const struct ael_sql_bounds bounds = bounds_of(options);
    enum ael_status status = ael_sql_bounds_check(&bounds, AEL_PG_COMPONENT, err);
    if (status != AEL_OK) {
        return status;
    }
    if (!PQisthreadsafe()) {
        return ael_error_set(
            err, AEL_E_BACKEND, 0, AEL_PG_COMPONENT, "this libpq was built without threads; install another");
    }
    return AEL_OK;
}

static enum ael_status make_pools(struct postgres *store, struct ael_error *err) {
    enum ael_status status = ael_sql_store_add_pool(&store->base, AEL_SQL_WRITES, store->address.writes, err);
    if (status != AEL_OK || store->address.reads == NULL) {
        return status;
    }
    return ael_sql_store_add_pool(&store->base, AEL_SQL_READS, store->address.reads, err);
}

static enum ael_status prepare_store(
    struct postgres *store, const struct ael_metastore_postgres_options *options, struct ael_error *err) {
    enum ael_status status = ael_pg_address_init(&store->address, options->connection, err);
    if (status != AEL_OK) {
        return status;
    }
    store->base.bounds = bounds_of(options);
    if (store->address.connect_timeout_ms != 0) {
        store->base.bounds.connect_timeout_ms = store->address.connect_timeout_ms;
    }
    const char *weakness = ael_pg_address_weakness(&store->address);
    if (weakness != NULL) {
        ael_sys_log(AEL_LOG_WARN, AEL_PG_COMPONENT, "%s", weakness);
    }
    return make_pools(store, err);
}

/* see ael/metastore_postgres.h */
enum ael_status ael_metastore_postgres_new(
    const struct ael_metastore_postgres_options *options,
    struct ael_metastore **metastore,
    struct ael_error *err) {
    if (metastore == NULL) {
        return ael_error_set(err, AEL_E_ARGUMENT, 0, AEL_PG_COMPONENT, "metastore is NULL");
    }
    *metastore = NULL;
    enum ael_status status = check_options(options, err);
    if (status != AEL_OK) {
        return status;
    }
    struct postgres *store = ael_sys_alloc(sizeof(*store));
    if (store == NULL) {
        return ael_error_set(err, AEL_E_NO_MEMORY, 0, AEL_PG_COMPONENT, "no memory for a store");
    }
    store->base.ops = &k_ops;
    status = prepare_store(store, options, err);
    if (status != AEL_OK) {
        destroy(store);
        return status;
    }
    return ael_sql_store_open(&store->base, &k_postgres, metastore, err);
}
