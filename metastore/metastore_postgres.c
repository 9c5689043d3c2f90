/* SPDX-License-Identifier: Apache-2.0 */
#include <ael/metastore_postgres.h>

#include "metastore/metastore_postgres_rows.h"
#include "metastore/metastore_postgres_table.h"

#include <ael/sys/alloc.h>
#include <ael/sys/log.h>
#include <ael/sys/metastore_backend.h>

#include <stdatomic.h>

enum {
    MAX_CONNECTIONS = 1024,
    MAX_TIMEOUT_MS = 86400000,
    ATTEMPTS = 3,             /* a statement that a connection could not begin is given to another */
    LOOK_AFTER_IDLE_MS = 5,   /* a look costs a system call: not in the middle of work */
    ASK_AFTER_IDLE_MS = 5000, /* what lies between us and the server may have forgotten the connection */
};

enum { POOL_WRITES, POOL_READS, POOLS };

struct postgres;

/* Connections to servers of one kind. */
struct group {
    struct postgres *store;
    const char *target_session_attrs;
    struct ael_sql_pool *pool;
};

struct postgres {
    struct ael_pg_address address;
    struct group groups[POOLS]; /* POOL_READS has a pool when a standby may answer */
    uint32_t connect_timeout_ms;
    uint32_t answer_timeout_ms;
    atomic_bool told_lazy; /* each warning is made once; which thread makes it does not matter: relaxed */
    atomic_bool told_unflushed;
};

/* ---- connections ---- */

static void warn_once(atomic_bool *told, bool holds, const char *sentence) {
    if (holds && !atomic_exchange_explicit(told, true, memory_order_relaxed)) {
        ael_sys_log(AEL_LOG_WARN, AEL_PG_COMPONENT, "%s", sentence);
    }
}

static void warn_of_durability(struct postgres *store, const struct ael_pg_durability *durability) {
    warn_once(
        &store->told_lazy, durability->commits_lazily,
        "synchronous_commit is off: keys that were stored may be lost in a crash, and all data under them");
    warn_once(
        &store->told_unflushed, durability->is_never_flushed,
        "fsync is off: keys that were stored may be lost in a crash, and all data under them");
}

static enum ael_status
pool_open(void *self, struct ael_sql_conn *base, const struct ael_call *call, struct ael_error *err) {
    struct group *group = self;
    struct postgres *store = group->store;
    struct ael_pg_conn *conn = (struct ael_pg_conn *)base;
    struct ael_pg_durability durability = {false, false};
    conn->answer_timeout_ms = store->answer_timeout_ms;
    enum ael_status status = ael_pg_conn_open(
        conn, &store->address, group->target_session_attrs, store->connect_timeout_ms, call, err);
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

static bool
pool_is_alive(void *self, struct ael_sql_conn *base, int64_t idle_ms, const struct ael_call *call) {
    struct ael_pg_conn *conn = (struct ael_pg_conn *)base;
    (void)self;
    if (idle_ms >= LOOK_AFTER_IDLE_MS && !ael_pg_conn_is_there(conn)) {
        return false;
    }
    if (idle_ms < ASK_AFTER_IDLE_MS) {
        return true;
    }
    const struct ael_pg_statement statement = {.sql = "SELECT 1"};
    PGresult *result = NULL;
    conn->call = call;
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

static const struct ael_sql_pool_ops k_pool_ops = {
    .component = AEL_PG_COMPONENT,
    .conn_size = sizeof(struct ael_pg_conn),
    .open = pool_open,
    .is_alive = pool_is_alive,
    .close = pool_close,
    .drop = pool_drop,
};

/* ---- calls ---- */

struct work;
typedef enum ael_status (*work_fn)(struct ael_pg_conn *conn, const struct work *work, struct ael_error *err);

/* A member's arguments, so that it can be done again on another connection. */
struct work {
    work_fn fn;
    struct ael_bytes id;
    int64_t created_s;
    const struct ael_key_record *record; /* to be stored, or expected */
    const struct ael_key_record *desired;
    struct ael_key_record_buf *out;
    bool *done;
    ael_metastore_visit_fn visit;
    void *context;
};

static struct ael_sql_pool *pool_for(struct postgres *store, bool writes) {
    struct ael_sql_pool *reads = store->groups[POOL_READS].pool;
    return writes || reads == NULL ? store->groups[POOL_WRITES].pool : reads;
}

static bool wants_primary(const struct ael_call *call) {
    return call->consistency == AEL_CONSISTENCY_PRIMARY;
}

/* Lends a connection, does the work on it, takes it back; on another one when the first could not begin. */
static enum ael_status do_work(
    struct ael_sql_pool *pool, const struct ael_call *call, const struct work *work, struct ael_error *err) {
    enum ael_status status = AEL_OK;
    bool again = true;
    for (int attempt = 0; again && attempt < ATTEMPTS; attempt++) {
        struct ael_sql_conn *base = NULL;
        status = ael_sql_pool_borrow(pool, call, &base, err);
        if (status != AEL_OK) {
            return status;
        }
        struct ael_pg_conn *conn = (struct ael_pg_conn *)base;
        conn->call = call;
        conn->retry = false;
        status = work->fn(conn, work, err);
        if (status == AEL_E_FORKED) { /* in a child: the connection is its parent's */
            return ael_error_set(
                err, AEL_E_FORKED, 0, AEL_PG_COMPONENT, "the process forked during the call");
        }
        again = status != AEL_OK && conn->retry;
        conn->call = NULL;
        ael_sql_pool_return(pool, base);
    }
    return status;
}

static enum ael_status work_load(struct ael_pg_conn *conn, const struct work *work, struct ael_error *err) {
    return ael_pg_row_load(conn, work->id, work->created_s, work->out, err);
}

static enum ael_status pg_load(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    int64_t created_s,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    const struct work work = {.fn = work_load, .id = id, .created_s = created_s, .out = out};
    return do_work(pool_for(self, wants_primary(call)), call, &work, err);
}

static enum ael_status
work_load_latest(struct ael_pg_conn *conn, const struct work *work, struct ael_error *err) {
    return ael_pg_row_load_latest(conn, work->id, work->out, err);
}

static enum ael_status pg_load_latest(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    const struct work work = {.fn = work_load_latest, .id = id, .out = out};
    return do_work(pool_for(self, wants_primary(call)), call, &work, err);
}

static enum ael_status work_store(struct ael_pg_conn *conn, const struct work *work, struct ael_error *err) {
    return ael_pg_row_store(conn, work->id, work->record, work->done, err);
}

static enum ael_status pg_store(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    const struct ael_key_record *record,
    bool *stored,
    struct ael_error *err) {
    const struct work work = {.fn = work_store, .id = id, .record = record, .done = stored};
    return do_work(pool_for(self, true), call, &work, err);
}

/* A listing that was broken off after its first row is not begun again. */
struct visits {
    const struct work *work;
    bool any;
};

static bool
visit_row(void *context, struct ael_bytes id, int64_t created_s, const struct ael_key_record *record) {
    struct visits *visits = context;
    visits->any = true;
    return visits->work->visit(visits->work->context, id, created_s, record);
}

static enum ael_status work_list(struct ael_pg_conn *conn, const struct work *work, struct ael_error *err) {
    struct visits visits = {.work = work};
    enum ael_status status = ael_pg_rows_list(conn, work->id, visit_row, &visits, err);
    conn->retry = conn->retry && !visits.any;
    return status;
}

static enum ael_status pg_list(
    void *self,
    const struct ael_call *call,
    struct ael_bytes prefix,
    ael_metastore_visit_fn visit,
    void *context,
    struct ael_error *err) {
    const struct work work = {.fn = work_list, .id = prefix, .visit = visit, .context = context};
    return do_work(pool_for(self, wants_primary(call)), call, &work, err);
}

static enum ael_status
work_replace(struct ael_pg_conn *conn, const struct work *work, struct ael_error *err) {
    return ael_pg_row_replace(conn, work->id, work->record, work->desired, work->done, err);
}

static enum ael_status pg_replace(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    const struct ael_key_record *expected,
    const struct ael_key_record *desired,
    bool *replaced,
    struct ael_error *err) {
    const struct work work = {
        .fn = work_replace, .id = id, .record = expected, .desired = desired, .done = replaced};
    return do_work(pool_for(self, true), call, &work, err);
}

static enum ael_status work_check(struct ael_pg_conn *conn, const struct work *work, struct ael_error *err) {
    (void)work;
    return ael_pg_rows_check(conn, err);
}

static enum ael_status pg_health(void *self, const struct ael_call *call, struct ael_error *err) {
    const struct work work = {.fn = work_check};
    return do_work(pool_for(self, true), call, &work, err);
}

static enum ael_status work_ensure(struct ael_pg_conn *conn, const struct work *work, struct ael_error *err) {
    (void)work;
    return ael_pg_table_ensure(conn, err);
}

static enum ael_status pg_ensure_schema(void *self, const struct ael_call *call, struct ael_error *err) {
    const struct work work = {.fn = work_ensure};
    return do_work(pool_for(self, true), call, &work, err);
}

/* ---- life ---- */

static void free_store(struct postgres *store) {
    for (int i = 0; i < POOLS; i++) {
        ael_sql_pool_free(store->groups[i].pool);
    }
    ael_pg_address_clear(&store->address);
    ael_sys_free(store);
}

static void pg_destroy(void *self) {
    free_store(self);
}

static void each_pool(struct postgres *store, void (*fn)(struct ael_sql_pool *pool)) {
    for (int i = 0; i < POOLS; i++) {
        if (store->groups[i].pool != NULL) {
            fn(store->groups[i].pool);
        }
    }
}

static void pg_before_fork(void *self) {
    each_pool(self, ael_sql_pool_before_fork);
}

static void pg_after_fork_parent(void *self) {
    each_pool(self, ael_sql_pool_after_fork_parent);
}

static void pg_after_fork_child(void *self) {
    each_pool(self, ael_sql_pool_after_fork_child);
}

static const struct ael_metastore_vtable k_postgres = {
    .vt_size = sizeof(struct ael_metastore_vtable),
    .contract = AEL_METASTORE_CONTRACT,
    .name = "postgres",
    .load = pg_load,
    .load_latest = pg_load_latest,
    .store = pg_store,
    .destroy = pg_destroy,
    .list = pg_list,
    .replace = pg_replace,
    .health = pg_health,
    .ensure_schema = pg_ensure_schema,
    .before_fork = pg_before_fork,
    .after_fork_parent = pg_after_fork_parent,
    .after_fork_child = pg_after_fork_child,
    .metric_kind = "sql",
};

/* ---- opening ---- */

static enum ael_status
check_options(const struct ael_metastore_postgres_options *options, struct ael_error *err) {
    if (options == NULL || options->size != sizeof(*options)) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, AEL_PG_COMPONENT, "start from AEL_METASTORE_POSTGRES_OPTIONS_INIT");
    }
    if (options->max_connections < 1 || options->max_connections > MAX_CONNECTIONS) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, AEL_PG_COMPONENT, "max_connections must be 1 to %d", MAX_CONNECTIONS);
    }
    if (options->connect_timeout_ms < 1 || options->connect_timeout_ms > MAX_TIMEOUT_MS ||
        options->answer_timeout_ms < 1 || options->answer_timeout_ms > MAX_TIMEOUT_MS) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, AEL_PG_COMPONENT,
            "connect_timeout_ms and answer_timeout_ms must be 1 to %d", MAX_TIMEOUT_MS);
    }
    if (!PQisthreadsafe()) {
        return ael_error_set(
            err, AEL_E_BACKEND, 0, AEL_PG_COMPONENT, "this libpq was built without threads; install another");
    }
    return AEL_OK;
}

static enum ael_status make_pools(
    struct postgres *store, const struct ael_metastore_postgres_options *options, struct ael_error *err) {
    const struct ael_sql_pool_options bounds = {
        .max_connections = options->max_connections,
        .idle_limit_ms = options->idle_limit_ms,
        .life_limit_ms = options->life_limit_ms,
    };
    store->groups[POOL_WRITES] =
        (struct group){.store = store, .target_session_attrs = store->address.writes};
    store->groups[POOL_READS] = (struct group){.store = store, .target_session_attrs = store->address.reads};
    enum ael_status status = AEL_OK;
    for (int i = 0; i < POOLS && status == AEL_OK; i++) {
        struct group *group = &store->groups[i];
        if (group->target_session_attrs != NULL) {
            status = ael_sql_pool_new(&k_pool_ops, group, &bounds, &group->pool, err);
        }
    }
    return status;
}

static enum ael_status
look_at_table(struct postgres *store, const struct ael_call *call, struct ael_error *err) {
    struct ael_sql_conn *base = NULL;
    struct ael_sql_pool *pool = pool_for(store, false);
    enum ael_status status = ael_sql_pool_borrow(pool, call, &base, err);
    if (status != AEL_OK) {
        return status;
    }
    struct ael_pg_conn *conn = (struct ael_pg_conn *)base;
    conn->call = call;
    status = ael_pg_table_find(conn, err);
    bool is_missing = status == AEL_E_BACKEND && conn->table.is_missing;
    conn->call = NULL;
    ael_sql_pool_return(pool, base);
    return is_missing ? AEL_OK : status;
}

/*
 * So that what is wrong with the string, the certificate, the log-in or the table is told at once. Once more where the
 * connection was lost: it may have been ended with others, and the server be well.
 */
static enum ael_status connect_first(struct postgres *store, struct ael_error *err) {
    struct ael_call call = AEL_CALL_INIT;
    struct ael_error problem = {0};
    call.deadline_ns = ael_deadline_in_ms(ael_call_remaining_ms(NULL));
    enum ael_status status = look_at_table(store, &call, &problem);
    if (status == AEL_E_UNREACHABLE) {
        problem = (struct ael_error){0};
        status = look_at_table(store, &call, &problem);
    }
    if (status == AEL_E_TIMEOUT) {
        status = AEL_E_UNREACHABLE;
        problem.status = status;
    }
    if (err != NULL && status != AEL_OK) {
        *err = problem;
    }
    return status;
}

static enum ael_status prepare_store(
    struct postgres *store, const struct ael_metastore_postgres_options *options, struct ael_error *err) {
    enum ael_status status = ael_pg_address_init(&store->address, options->connection, err);
    if (status != AEL_OK) {
        return status;
    }
    store->connect_timeout_ms = store->address.connect_timeout_ms != 0 ? store->address.connect_timeout_ms
                                                                       : options->connect_timeout_ms;
    store->answer_timeout_ms = options->answer_timeout_ms;
    const char *weakness = ael_pg_address_weakness(&store->address);
    if (weakness != NULL) {
        ael_sys_log(AEL_LOG_WARN, AEL_PG_COMPONENT, "%s", weakness);
    }
    return make_pools(store, options, err);
}

/* The handle comes before the first connection, so that a fork meanwhile finds its hooks. */
static enum ael_status
open_handle(struct postgres *store, struct ael_metastore **metastore, struct ael_error *err) {
    struct ael_metastore *made = NULL;
    enum ael_status status = ael_metastore_new(&k_postgres, store, &made);
    if (status != AEL_OK) {
        free_store(store);
        return ael_error_set(err, status, 0, AEL_PG_COMPONENT, "%s", ael_status_text(status));
    }
    status = connect_first(store, err);
    if (status != AEL_OK) {
        ael_metastore_release(made);
        return status;
    }
    *metastore = made;
    return AEL_OK;
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
    status = prepare_store(store, options, err);
    if (status != AEL_OK) {
        free_store(store);
        return status;
    }
    return open_handle(store, metastore, err);
}
