/* SPDX-License-Identifier: Apache-2.0 */
#include <ael/metastore_mysql.h>

#include "metastore/metastore_mysql_rows.h"
#include "metastore/metastore_mysql_table.h"

#include <ael/sys/alloc.h>
#include <ael/sys/log.h>
#include <ael/sys/metastore_backend.h>

#include <stdatomic.h>
#include <string.h>

enum {
    MAX_CONNECTIONS = 1024,
    MAX_TIMEOUT_MS = 86400000,
    ATTEMPTS = 3,             /* a statement that a connection could not do is given to another */
    LOOK_AFTER_IDLE_MS = 5,   /* a look costs a system call: not in the middle of work */
    ASK_AFTER_IDLE_MS = 5000, /* what lies between us and the server may have forgotten the connection */
};

enum { POOL_WRITES, POOL_READS, POOLS };

struct mysql;

/* Connections of one kind. */
struct group {
    struct mysql *store;
    const char *consistency; /* of an Aurora reader; NULL = none is set */
    struct ael_sql_pool *pool;
};

struct mysql {
    struct ael_my_address address;
    struct group groups[POOLS]; /* POOL_READS has a pool when a replica may answer */
    uint32_t connect_timeout_ms;
    uint32_t answer_timeout_ms;
    bool forwards_writes;  /* the servers are readers that hand writes on */
    atomic_bool told_lazy; /* each warning is made once; which thread makes it does not matter: relaxed */
    atomic_bool told_zone;
    atomic_bool told_collation;
    atomic_bool told_engine;
};

/* ---- connections ---- */

static void warn_once(atomic_bool *told, bool holds, const char *sentence) {
    if (holds && !atomic_exchange_explicit(told, true, memory_order_relaxed)) {
        ael_sys_log(AEL_LOG_WARN, AEL_MY_COMPONENT, "%s", sentence);
    }
}

static void warn_of_server(struct mysql *store, const struct ael_my_server *server) {
    warn_once(
        &store->told_lazy, server->flushes_lazily,
        "innodb_flush_log_at_trx_commit is not 1: keys that were stored may be lost in a crash, and all data "
        "under "
        "them");
    bool is_utc = strcmp(store->address.time_zone, "+00:00") == 0;
    warn_once(
        &store->told_zone, server->is_not_utc && is_utc,
        "the server's time zone is not UTC: clients that set none for their sessions, as other SDKs, do not "
        "find the "
        "keys of this one in a TIMESTAMP, nor this one theirs; set the server's to +00:00");
}

/* The table is looked at when it is first needed. */
static void warn_of_table(struct mysql *store, const struct ael_my_table *table) {
    warn_once(
        &store->told_engine, table->is_known && table->is_volatile,
        "the engine of encryption_key loses rows in a crash, and all data under them: make it InnoDB");
    warn_once(
        &store->told_collation, table->is_known && table->ignores_case,
        "the collation of the column id does not compare bytes: of ids that differ in letters' case alone "
        "one can be "
        "stored; make it utf8mb4_nopad_bin (MariaDB) or utf8mb4_0900_bin (MySQL)");
}

static enum ael_status init_session(struct group *group, struct ael_my_conn *conn, struct ael_error *err) {
    struct mysql *store = group->store;
    struct ael_my_server server = {false, false, false};
    enum ael_status status =
        ael_my_session_init(conn, store->address.time_zone, group->consistency, &server, err);
    if (status != AEL_OK) {
        return status;
    }
    if (server.is_read_only && !store->forwards_writes) {
        return ael_error_set(
            err, AEL_E_UNREACHABLE, 0, AEL_MY_COMPONENT, "the server takes no writes (read_only)");
    }
    warn_of_server(store, &server);
    return AEL_OK;
}

static enum ael_status open_once(
    struct group *group,
    struct ael_my_conn *conn,
    const struct ael_my_host *host,
    uint32_t budget_ms,
    const struct ael_call *call,
    struct ael_error *err) {
    enum ael_status status = ael_my_conn_open(conn, &group->store->address, host, budget_ms, call, err);
    if (status != AEL_OK) {
        return status;
    }
    conn->answer_timeout_ms = budget_ms < conn->answer_timeout_ms ? budget_ms : conn->answer_timeout_ms;
    status = init_session(group, conn, err);
    conn->answer_timeout_ms = group->store->answer_timeout_ms;
    if (status != AEL_OK) {
        ael_my_conn_close(conn);
    }
    return status;
}

/* A connection that was there and is lost before it has its settings says little of the host: once more. */
static enum ael_status open_host(
    struct group *group,
    struct ael_my_conn *conn,
    const struct ael_my_host *host,
    uint32_t budget_ms,
    const struct ael_call *call,
    struct ael_error *err) {
    conn->retry = false;
    enum ael_status status = open_once(group, conn, host, budget_ms, call, err);
    bool was_lost = status == AEL_E_UNREACHABLE && conn->retry && conn->stopped == AEL_OK;
    return was_lost ? open_once(group, conn, host, budget_ms, call, err) : status;
}

/* Is there any use in trying the next host? */
static bool is_over(enum ael_status status) {
    return status == AEL_OK || status == AEL_E_TIMEOUT || status == AEL_E_CANCELLED ||
           status == AEL_E_NO_MEMORY;
}

/* So that a host that is silent leaves the others some of the call's time. */
static uint32_t budget_for(const struct mysql *store, const struct ael_call *call, size_t hosts_left) {
    uint32_t share_ms = ael_call_remaining_ms(call) / (uint32_t)hosts_left;
    uint32_t limit_ms = store->connect_timeout_ms;
    return hosts_left == 1 || share_ms > limit_ms ? limit_ms : share_ms + 1;
}

/* Each host in turn. A host that cannot be reached weighs more than one that refuses: it may come back. */
static enum ael_status
pool_open(void *self, struct ael_sql_conn *base, const struct ael_call *call, struct ael_error *err) {
    struct group *group = self;
    struct mysql *store = group->store;
    struct ael_my_conn *conn = (struct ael_my_conn *)base;
    enum ael_status outcome = AEL_E_BACKEND;
    conn->answer_timeout_ms = store->answer_timeout_ms;
    for (size_t i = 0; i < store->address.host_count; i++) {
        struct ael_error problem = {0};
        uint32_t budget_ms = budget_for(store, call, store->address.host_count - i);
        enum ael_status status = open_host(group, conn, &store->address.hosts[i], budget_ms, call, &problem);
        if (is_over(status) || status == AEL_E_UNREACHABLE || outcome != AEL_E_UNREACHABLE) {
            outcome = status;
            if (status != AEL_OK && err != NULL) {
                *err = problem;
            }
        }
        if (is_over(status)) {
            break;
        }
    }
    conn->base.broken = false; /* by a host that came before */
    return outcome;
}

static bool
pool_is_alive(void *self, struct ael_sql_conn *base, int64_t idle_ms, const struct ael_call *call) {
    struct ael_my_conn *conn = (struct ael_my_conn *)base;
    (void)self;
    if (idle_ms >= LOOK_AFTER_IDLE_MS && !ael_my_conn_is_there(conn)) {
        return false;
    }
    if (idle_ms < ASK_AFTER_IDLE_MS) {
        return true;
    }
    MYSQL_RES *rows = NULL;
    conn->call = call;
    enum ael_status status = ael_my_run(conn, ael_bytes_from_text("SELECT 1"), &rows, NULL);
    mysql_free_result(rows);
    return status == AEL_OK;
}

static void pool_close(void *self, struct ael_sql_conn *base) {
    (void)self;
    ael_my_conn_close((struct ael_my_conn *)base);
}

static void pool_drop(struct ael_sql_conn *base) {
    ael_my_conn_drop((struct ael_my_conn *)base);
}

static const struct ael_sql_pool_ops k_pool_ops = {
    .component = AEL_MY_COMPONENT,
    .conn_size = sizeof(struct ael_my_conn),
    .open = pool_open,
    .is_alive = pool_is_alive,
    .close = pool_close,
    .drop = pool_drop,
};

/* ---- calls ---- */

struct work;
typedef enum ael_status (*work_fn)(struct ael_my_conn *conn, const struct work *work, struct ael_error *err);

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

static struct ael_sql_pool *pool_for(struct mysql *store, bool writes) {
    struct ael_sql_pool *reads = store->groups[POOL_READS].pool;
    return writes || reads == NULL ? store->groups[POOL_WRITES].pool : reads;
}

static bool wants_primary(const struct ael_call *call) {
    return call->consistency == AEL_CONSISTENCY_PRIMARY;
}

/* Lends a connection, does the work on it, takes it back; on another one when the first could not begin. */
static enum ael_status do_work(
    struct mysql *store,
    bool writes,
    const struct ael_call *call,
    const struct work *work,
    struct ael_error *err) {
    struct ael_sql_pool *pool = pool_for(store, writes);
    enum ael_status status = AEL_OK;
    bool again = true;
    for (int attempt = 0; again && attempt < ATTEMPTS; attempt++) {
        struct ael_sql_conn *base = NULL;
        status = ael_sql_pool_borrow(pool, call, &base, err);
        if (status != AEL_OK) {
            return status;
        }
        struct ael_my_conn *conn = (struct ael_my_conn *)base;
        conn->call = call;
        conn->retry = false;
        status = work->fn(conn, work, err);
        if (status == AEL_E_FORKED) { /* in a child: the connection is its parent's */
            return ael_error_set(
                err, AEL_E_FORKED, 0, AEL_MY_COMPONENT, "the process forked during the call");
        }
        warn_of_table(store, &conn->table);
        again = status != AEL_OK && conn->retry;
        conn->call = NULL;
        ael_sql_pool_return(pool, base);
    }
    return status;
}

static enum ael_status work_load(struct ael_my_conn *conn, const struct work *work, struct ael_error *err) {
    return ael_my_row_load(conn, work->id, work->created_s, work->out, err);
}

static enum ael_status my_load(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    int64_t created_s,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    const struct work work = {.fn = work_load, .id = id, .created_s = created_s, .out = out};
    return do_work(self, wants_primary(call), call, &work, err);
}

static enum ael_status
work_load_latest(struct ael_my_conn *conn, const struct work *work, struct ael_error *err) {
    return ael_my_row_load_latest(conn, work->id, work->out, err);
}

static enum ael_status my_load_latest(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    const struct work work = {.fn = work_load_latest, .id = id, .out = out};
    return do_work(self, wants_primary(call), call, &work, err);
}

static enum ael_status work_store(struct ael_my_conn *conn, const struct work *work, struct ael_error *err) {
    return ael_my_row_store(conn, work->id, work->record, work->done, err);
}

static enum ael_status my_store(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    const struct ael_key_record *record,
    bool *stored,
    struct ael_error *err) {
    const struct work work = {.fn = work_store, .id = id, .record = record, .done = stored};
    return do_work(self, true, call, &work, err);
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

static enum ael_status work_list(struct ael_my_conn *conn, const struct work *work, struct ael_error *err) {
    struct visits visits = {.work = work};
    enum ael_status status = ael_my_rows_list(conn, work->id, visit_row, &visits, err);
    conn->retry = conn->retry && !visits.any;
    return status;
}

static enum ael_status my_list(
    void *self,
    const struct ael_call *call,
    struct ael_bytes prefix,
    ael_metastore_visit_fn visit,
    void *context,
    struct ael_error *err) {
    const struct work work = {.fn = work_list, .id = prefix, .visit = visit, .context = context};
    return do_work(self, wants_primary(call), call, &work, err);
}

static enum ael_status
work_replace(struct ael_my_conn *conn, const struct work *work, struct ael_error *err) {
    return ael_my_row_replace(conn, work->id, work->record, work->desired, work->done, err);
}

static enum ael_status my_replace(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    const struct ael_key_record *expected,
    const struct ael_key_record *desired,
    bool *replaced,
    struct ael_error *err) {
    const struct work work = {
        .fn = work_replace, .id = id, .record = expected, .desired = desired, .done = replaced};
    return do_work(self, true, call, &work, err);
}

static enum ael_status work_check(struct ael_my_conn *conn, const struct work *work, struct ael_error *err) {
    (void)work;
    return ael_my_rows_check(conn, err);
}

static enum ael_status my_health(void *self, const struct ael_call *call, struct ael_error *err) {
    const struct work work = {.fn = work_check};
    return do_work(self, true, call, &work, err);
}

static enum ael_status work_ensure(struct ael_my_conn *conn, const struct work *work, struct ael_error *err) {
    (void)work;
    return ael_my_table_ensure(conn, err);
}

static enum ael_status my_ensure_schema(void *self, const struct ael_call *call, struct ael_error *err) {
    const struct work work = {.fn = work_ensure};
    return do_work(self, true, call, &work, err);
}

/* ---- life ---- */

static void free_store(struct mysql *store) {
    for (int i = 0; i < POOLS; i++) {
        ael_sql_pool_free(store->groups[i].pool);
    }
    ael_my_address_clear(&store->address);
    ael_sys_free(store);
}

static void my_destroy(void *self) {
    free_store(self);
}

static void each_pool(struct mysql *store, void (*fn)(struct ael_sql_pool *pool)) {
    for (int i = 0; i < POOLS; i++) {
        if (store->groups[i].pool != NULL) {
            fn(store->groups[i].pool);
        }
    }
}

static void my_before_fork(void *self) {
    each_pool(self, ael_sql_pool_before_fork);
}

static void my_after_fork_parent(void *self) {
    each_pool(self, ael_sql_pool_after_fork_parent);
}

static void my_after_fork_child(void *self) {
    each_pool(self, ael_sql_pool_after_fork_child);
}

static const struct ael_metastore_vtable k_mysql = {
    .vt_size = sizeof(struct ael_metastore_vtable),
    .contract = AEL_METASTORE_CONTRACT,
    .name = "mysql",
    .load = my_load,
    .load_latest = my_load_latest,
    .store = my_store,
    .destroy = my_destroy,
    .list = my_list,
    .replace = my_replace,
    .health = my_health,
    .ensure_schema = my_ensure_schema,
    .before_fork = my_before_fork,
    .after_fork_parent = my_after_fork_parent,
    .after_fork_child = my_after_fork_child,
    .metric_kind = "sql",
};

/* ---- opening ---- */

static enum ael_status
check_options(const struct ael_metastore_mysql_options *options, struct ael_error *err) {
    if (options == NULL || options->size != sizeof(*options)) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, AEL_MY_COMPONENT, "start from AEL_METASTORE_MYSQL_OPTIONS_INIT");
    }
    if (options->max_connections < 1 || options->max_connections > MAX_CONNECTIONS) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, AEL_MY_COMPONENT, "max_connections must be 1 to %d", MAX_CONNECTIONS);
    }
    if (options->connect_timeout_ms < 1 || options->connect_timeout_ms > MAX_TIMEOUT_MS ||
        options->answer_timeout_ms < 1 || options->answer_timeout_ms > MAX_TIMEOUT_MS) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, AEL_MY_COMPONENT,
            "connect_timeout_ms and answer_timeout_ms must be 1 to %d", MAX_TIMEOUT_MS);
    }
    const char *consistency = options->replica_read_consistency;
    if (consistency != NULL && strcmp(consistency, "eventual") != 0 && strcmp(consistency, "session") != 0 &&
        strcmp(consistency, "global") != 0) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, AEL_MY_COMPONENT,
            "replica_read_consistency is \"eventual\", \"session\", \"global\" or NULL");
    }
    return AEL_OK;
}

static enum ael_status
make_pools(struct mysql *store, const struct ael_metastore_mysql_options *options, struct ael_error *err) {
    const struct ael_sql_pool_options bounds = {
        .max_connections = options->max_connections,
        .idle_limit_ms = options->idle_limit_ms,
        .life_limit_ms = options->life_limit_ms,
    };
    const char *consistency = options->replica_read_consistency;
    store->forwards_writes = consistency != NULL;
    store->groups[POOL_WRITES] =
        (struct group){.store = store, .consistency = consistency == NULL ? NULL : "global"};
    struct group *writes = &store->groups[POOL_WRITES];
    enum ael_status status = ael_sql_pool_new(&k_pool_ops, writes, &bounds, &writes->pool, err);
    if (status != AEL_OK || consistency == NULL || strcmp(consistency, "global") == 0) {
        return status;
    }
    struct group *reads = &store->groups[POOL_READS];
    *reads = (struct group){
        .store = store, .consistency = strcmp(consistency, "session") == 0 ? "session" : "eventual"};
    return ael_sql_pool_new(&k_pool_ops, reads, &bounds, &reads->pool, err);
}

static enum ael_status
look_at_table(struct mysql *store, const struct ael_call *call, struct ael_error *err) {
    struct ael_sql_conn *base = NULL;
    struct ael_sql_pool *pool = pool_for(store, false);
    enum ael_status status = ael_sql_pool_borrow(pool, call, &base, err);
    if (status != AEL_OK) {
        return status;
    }
    struct ael_my_conn *conn = (struct ael_my_conn *)base;
    conn->call = call;
    status = ael_my_table_find(conn, err);
    warn_of_table(store, &conn->table);
    bool is_missing = status == AEL_E_BACKEND && conn->table.is_missing;
    conn->call = NULL;
    ael_sql_pool_return(pool, base);
    return is_missing ? AEL_OK : status;
}

/*
 * So that what is wrong with the string, the certificate, the log-in or the table is told at once. Once more where the
 * connection was lost: it may have been ended with others, and the server be well.
 */
static enum ael_status connect_first(struct mysql *store, struct ael_error *err) {
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

static enum ael_status
prepare_store(struct mysql *store, const struct ael_metastore_mysql_options *options, struct ael_error *err) {
    enum ael_status status = ael_my_address_init(&store->address, options->connection, err);
    if (status != AEL_OK) {
        return status;
    }
    store->connect_timeout_ms = store->address.connect_timeout_ms != 0 ? store->address.connect_timeout_ms
                                                                       : options->connect_timeout_ms;
    store->answer_timeout_ms =
        store->address.answer_timeout_ms != 0 ? store->address.answer_timeout_ms : options->answer_timeout_ms;
    const char *weakness = ael_my_address_weakness(&store->address);
    if (weakness != NULL) {
        ael_sys_log(AEL_LOG_WARN, AEL_MY_COMPONENT, "%s", weakness);
    }
    return make_pools(store, options, err);
}

/* The handle comes before the first connection, so that a fork meanwhile finds its hooks. */
static enum ael_status
open_handle(struct mysql *store, struct ael_metastore **metastore, struct ael_error *err) {
    struct ael_metastore *made = NULL;
    enum ael_status status = ael_metastore_new(&k_mysql, store, &made);
    if (status != AEL_OK) {
        free_store(store);
        return ael_error_set(err, status, 0, AEL_MY_COMPONENT, "%s", ael_status_text(status));
    }
    status = connect_first(store, err);
    if (status != AEL_OK) {
        ael_metastore_release(made);
        return status;
    }
    *metastore = made;
    return AEL_OK;
}

/* see ael/metastore_mysql.h */
enum ael_status ael_metastore_mysql_new(
    const struct ael_metastore_mysql_options *options,
    struct ael_metastore **metastore,
    struct ael_error *err) {
    if (metastore == NULL) {
        return ael_error_set(err, AEL_E_ARGUMENT, 0, AEL_MY_COMPONENT, "metastore is NULL");
    }
    *metastore = NULL;
    enum ael_status status = check_options(options, err);
    if (status != AEL_OK) {
        return status;
    }
    struct mysql *store = ael_sys_alloc(sizeof(*store));
    if (store == NULL) {
        return ael_error_set(err, AEL_E_NO_MEMORY, 0, AEL_MY_COMPONENT, "no memory for a store");
    }
    status = prepare_store(store, options, err);
    if (status != AEL_OK) {
        free_store(store);
        return status;
    }
    return open_handle(store, metastore, err);
}
