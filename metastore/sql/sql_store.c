/* SPDX-License-Identifier: Apache-2.0 */
#include "metastore/sql/sql_store.h"

#include <ael/sys/log.h>

enum {
    MAX_CONNECTIONS = 1024,
    MAX_TIMEOUT_MS = 86400000,
    ATTEMPTS = 3,             /* a statement that a connection could not do is given to another */
    LOOK_AFTER_IDLE_MS = 5,   /* a look costs a system call: not in the middle of work */
    ASK_AFTER_IDLE_MS = 5000, /* what lies between us and the server may have forgotten the connection */
};

static const char *component_of(const struct ael_sql_store *store) {
    return store->ops->pool.component;
}

/* see metastore/sql/sql_store.h. Relaxed: nothing is read by who saw that it was told. */
void ael_sql_store_warn_once(
    const struct ael_sql_store *store, atomic_bool *told, bool holds, const char *sentence) {
    if (holds && !atomic_exchange_explicit(told, true, memory_order_relaxed)) {
        ael_sys_log(AEL_LOG_WARN, component_of(store), "%s", sentence);
    }
}

/* see metastore/sql/sql_store.h */
bool ael_sql_store_is_alive(
    void *self, struct ael_sql_conn *conn, int64_t idle_ms, const struct ael_call *call) {
    const struct ael_sql_group *group = self;
    const struct ael_sql_store_ops *ops = group->store->ops;
    if (idle_ms >= LOOK_AFTER_IDLE_MS && !ops->is_there(conn)) {
        return false;
    }
    if (idle_ms < ASK_AFTER_IDLE_MS && (ops->is_due == NULL || !ops->is_due(conn))) {
        return true;
    }
    conn->call = call;
    return ops->answers(group->store, conn);
}

/* ---- calls ---- */

static struct ael_sql_pool *pool_for(struct ael_sql_store *store, bool writes) {
    struct ael_sql_pool *reads = store->groups[AEL_SQL_READS].pool;
    return writes || reads == NULL ? store->groups[AEL_SQL_WRITES].pool : reads;
}

static bool wants_primary(const struct ael_call *call) {
    return call->consistency == AEL_CONSISTENCY_PRIMARY;
}

static bool may_be_done_again(const struct ael_sql_conn *conn, const struct ael_sql_work *work) {
    return conn->retry && (work->begun == NULL || !*work->begun);
}

/* Lends a connection, does the work on it, takes it back; on another one when the first could not begin. */
static enum ael_status do_work(
    struct ael_sql_store *store,
    bool writes,
    const struct ael_call *call,
    ael_sql_work_fn fn,
    const struct ael_sql_work *work,
    struct ael_error *err) {
    struct ael_sql_pool *pool = pool_for(store, writes);
    enum ael_status status = AEL_OK;
    bool again = true;
    for (int attempt = 0; again && attempt < ATTEMPTS; attempt++) {
        struct ael_sql_conn *conn = NULL;
        status = ael_sql_pool_borrow(pool, call, &conn, err);
        if (status != AEL_OK) {
            return status;
        }
        conn->call = call;
        conn->retry = false;
        status = fn(conn, work, err);
        if (status == AEL_E_FORKED) { /* in a child: the connection is its parent's */
            return ael_error_set(err, status, 0, component_of(store), "the process forked during the call");
        }
        if (store->ops->worked != NULL) {
            store->ops->worked(store, conn);
        }
        again = status != AEL_OK && may_be_done_again(conn, work);
        conn->call = NULL;
        ael_sql_pool_return(pool, conn);
    }
    return status;
}

/* see metastore/sql/sql_store.h */
enum ael_status ael_sql_store_load(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    int64_t created_s,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    struct ael_sql_store *store = self;
    const struct ael_sql_work work = {.id = id, .created_s = created_s, .out = out};
    return do_work(store, wants_primary(call), call, store->ops->load, &work, err);
}

/* see metastore/sql/sql_store.h */
enum ael_status ael_sql_store_load_latest(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    struct ael_sql_store *store = self;
    const struct ael_sql_work work = {.id = id, .out = out};
    return do_work(store, wants_primary(call), call, store->ops->load_latest, &work, err);
}

/* see metastore/sql/sql_store.h */
enum ael_status ael_sql_store_store(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    const struct ael_key_record *record,
    bool *stored,
    struct ael_error *err) {
    struct ael_sql_store *store = self;
    const struct ael_sql_work work = {.id = id, .record = record, .done = stored};
    return do_work(store, true, call, store->ops->store, &work, err);
}

/* A listing that was broken off after its first row is not begun again. */
struct visits {
    ael_metastore_visit_fn visit;
    void *context;
    bool any;
};

static bool
visit_row(void *context, struct ael_bytes id, int64_t created_s, const struct ael_key_record *record) {
    struct visits *visits = context;
    visits->any = true;
    return visits->visit(visits->context, id, created_s, record);
}

/* see metastore/sql/sql_store.h */
enum ael_status ael_sql_store_list(
    void *self,
    const struct ael_call *call,
    struct ael_bytes prefix,
    ael_metastore_visit_fn visit,
    void *context,
    struct ael_error *err) {
    struct ael_sql_store *store = self;
    struct visits visits = {.visit = visit, .context = context};
    const struct ael_sql_work work = {
        .id = prefix, .visit = visit_row, .context = &visits, .begun = &visits.any};
    return do_work(store, wants_primary(call), call, store->ops->list, &work, err);
}

/* see metastore/sql/sql_store.h */
enum ael_status ael_sql_store_replace(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    const struct ael_key_record *expected,
    const struct ael_key_record *desired,
    bool *replaced,
    struct ael_error *err) {
    struct ael_sql_store *store = self;
    const struct ael_sql_work work = {.id = id, .record = expected, .desired = desired, .done = replaced};
    return do_work(store, true, call, store->ops->replace, &work, err);
}

/* see metastore/sql/sql_store.h */
enum ael_status ael_sql_store_health(void *self, const struct ael_call *call, struct ael_error *err) {
    struct ael_sql_store *store = self;
    const struct ael_sql_work work = {.begun = NULL};
    return do_work(store, true, call, store->ops->check, &work, err);
}

/* see metastore/sql/sql_store.h */
enum ael_status ael_sql_store_ensure_schema(void *self, const struct ael_call *call, struct ael_error *err) {
    struct ael_sql_store *store = self;
    const struct ael_sql_work work = {.begun = NULL};
    return do_work(store, true, call, store->ops->ensure_table, &work, err);
}

/* ---- life ---- */

/* see metastore/sql/sql_store.h */
void ael_sql_store_clear(struct ael_sql_store *store) {
    for (int i = 0; i < AEL_SQL_GROUPS; i++) {
        ael_sql_pool_free(store->groups[i].pool);
        store->groups[i].pool = NULL;
    }
}

static void each_pool(struct ael_sql_store *store, void (*fn)(struct ael_sql_pool *pool)) {
    for (int i = 0; i < AEL_SQL_GROUPS; i++) {
        if (store->groups[i].pool != NULL) {
            fn(store->groups[i].pool);
        }
    }
}

/* see metastore/sql/sql_store.h */
void ael_sql_store_before_fork(void *self) {
    each_pool(self, ael_sql_pool_before_fork);
}

/* see metastore/sql/sql_store.h */
void ael_sql_store_after_fork_parent(void *self) {
    each_pool(self, ael_sql_pool_after_fork_parent);
}

/* see metastore/sql/sql_store.h */
void ael_sql_store_after_fork_child(void *self) {
    each_pool(self, ael_sql_pool_after_fork_child);
}

/* ---- opening ---- */

static bool is_timeout(uint32_t ms) {
    return ms >= 1 && ms <= MAX_TIMEOUT_MS;
}

/* see metastore/sql/sql_store.h */
enum ael_status
ael_sql_bounds_check(const struct ael_sql_bounds *bounds, const char *component, struct ael_error *err) {
    if (bounds->max_connections < 1 || bounds->max_connections > MAX_CONNECTIONS) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, component, "max_connections must be 1 to %d", MAX_CONNECTIONS);
    }
    if (!is_timeout(bounds->connect_timeout_ms) || !is_timeout(bounds->answer_timeout_ms)) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, component, "connect_timeout_ms and answer_timeout_ms must be 1 to %d",
            MAX_TIMEOUT_MS);
    }
    return AEL_OK;
}

/* see metastore/sql/sql_store.h */
enum ael_status
ael_sql_store_add_pool(struct ael_sql_store *store, int group, const char *servers, struct ael_error *err) {
    const struct ael_sql_pool_options options = {
        .max_connections = store->bounds.max_connections,
        .idle_limit_ms = store->bounds.idle_limit_ms,
        .life_limit_ms = store->bounds.life_limit_ms,
    };
    struct ael_sql_group *made = &store->groups[group];
    *made = (struct ael_sql_group){.store = store, .servers = servers};
    return ael_sql_pool_new(&store->ops->pool, made, &options, &made->pool, err);
}

static enum ael_status
look_at_table(struct ael_sql_store *store, const struct ael_call *call, struct ael_error *err) {
    struct ael_sql_conn *conn = NULL;
    struct ael_sql_pool *pool = pool_for(store, false);
    bool is_missing = false;
    enum ael_status status = ael_sql_pool_borrow(pool, call, &conn, err);
    if (status != AEL_OK) {
        return status;
    }
    conn->call = call;
    status = store->ops->find_table(conn, &is_missing, err);
    if (store->ops->worked != NULL) {
        store->ops->worked(store, conn);
    }
    conn->call = NULL;
    ael_sql_pool_return(pool, conn);
    return status == AEL_E_BACKEND && is_missing ? AEL_OK : status;
}

/* Once more where the connection was lost: it may have been ended with others, and the server be well. */
static enum ael_status connect_first(struct ael_sql_store *store, struct ael_error *err) {
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

/* see metastore/sql/sql_store.h. The handle comes before the first connection, so that a fork meanwhile finds its
 * hooks. */
enum ael_status ael_sql_store_open(
    struct ael_sql_store *store,
    const struct ael_metastore_vtable *vtable,
    struct ael_metastore **metastore,
    struct ael_error *err) {
    struct ael_metastore *made = NULL;
    enum ael_status status = ael_metastore_new(vtable, store, &made);
    if (status != AEL_OK) {
        (void)ael_error_set(err, status, 0, component_of(store), "%s", ael_status_text(status));
        vtable->destroy(store);
        return status;
    }
    status = connect_first(store, err);
    if (status != AEL_OK) {
        ael_metastore_release(made);
        return status;
    }
    *metastore = made;
    return AEL_OK;
}
