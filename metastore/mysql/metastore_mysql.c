/* SPDX-License-Identifier: Apache-2.0 */
#include <ael/metastore_mysql.h>

#include "metastore/mysql/rows.h"
#include "metastore/mysql/table.h"
#include "metastore/sql/sql_store.h"

#include <ael/sys/alloc.h>
#include <ael/sys/log.h>
#include <ael/sys/metastore_backend.h>

#include <string.h>

enum {
    ASK_EACH_MS = 1000, /* a server that takes no writes any more may be behind the one that does */
    LOST_PREPARING = 2, /* fewer than a call's attempts (sql_store.c) */
};

struct mysql {
    struct ael_sql_store base;
    struct ael_my_address address;
    bool forwards_writes; /* the servers are readers that hand writes on */
    atomic_int
        lost_preparing;    /* connections in a row that ended when a statement was to be prepared: relaxed */
    atomic_bool meets_long; /* see metastore/mysql/conn.h */
    atomic_bool told_lazy; /* each warning is made once; which thread makes it does not matter: relaxed */
    atomic_bool told_zone;
    atomic_bool told_collation;
    atomic_bool told_engine;
};

static struct mysql *store_of(const struct ael_sql_group *group) {
    return (struct mysql *)group->store;
}

/* ---- connections ---- */

static void warn_of_server(struct mysql *store, const struct ael_my_server *server) {
    ael_sql_store_warn_once(
        &store->base, &store->told_lazy, server->flushes_lazily,
        "innodb_flush_log_at_trx_commit is not 1, or there is a binary log and sync_binlog is not 1: keys "
        "that"
        " were stored may be lost in a crash, and all data under them");
    bool is_utc = strcmp(store->address.time_zone, "+00:00") == 0;
    ael_sql_store_warn_once(
        &store->base, &store->told_zone, server->is_not_utc && is_utc,
        "the server's time zone is not UTC: clients that set none for their sessions, as other SDKs, do not "
        "find the "
        "keys of this one in a TIMESTAMP, nor this one theirs; set the server's to +00:00");
}

/* The table is looked at when it is first needed. */
static void warn_of_table(struct mysql *store, const struct ael_my_table *table) {
    ael_sql_store_warn_once(
        &store->base, &store->told_engine, table->is_known && table->is_volatile,
        "the engine of encryption_key loses rows in a crash, and all data under them: make it InnoDB");
    ael_sql_store_warn_once(
        &store->base, &store->told_collation, table->is_known && table->ignores_case,
        "the collation of the column id does not compare bytes: of ids that differ in letters' case alone "
        "one can be "
        "stored; make it utf8mb4_nopad_bin (MariaDB) or utf8mb4_0900_bin (MySQL)");
}

/*
 * What stands before a server may end a connection for a prepared statement. Of such, one has none from the
 * third attempt of a call on; the next connection tries it again, for the server itself may have gone.
 */
static bool is_to_keep_none(struct mysql *store) {
    if (atomic_load_explicit(&store->lost_preparing, memory_order_relaxed) < LOST_PREPARING) {
        return false;
    }
    atomic_store_explicit(&store->lost_preparing, LOST_PREPARING - 1, memory_order_relaxed);
    return true;
}

static void note_preparing(struct mysql *store, const struct ael_my_conn *conn) {
    if (conn->lost_preparing) {
        (void)atomic_fetch_add_explicit(&store->lost_preparing, 1, memory_order_relaxed);
    } else if (
        conn->has_prepared && atomic_load_explicit(&store->lost_preparing, memory_order_relaxed) != 0) {
        atomic_store_explicit(&store->lost_preparing, 0, memory_order_relaxed);
    }
}

static enum ael_status
init_session(const struct ael_sql_group *group, struct ael_my_conn *conn, struct ael_error *err) {
    struct mysql *store = store_of(group);
    struct ael_my_server server = {false, false, false};
    enum ael_status status =
        ael_my_session_init(conn, store->address.time_zone, group->servers, &server, err);
    if (status != AEL_OK) {
        return status;
    }
    if (server.is_read_only && !store->forwards_writes) {
        return ael_error_set(
            err, AEL_E_UNREACHABLE, 0, AEL_MY_COMPONENT, "the server takes no writes (read_only)");
    }
    conn->ask_again_ms = conn->base.lent_ms + ASK_EACH_MS;
    conn->keeps_none = is_to_keep_none(store);
    conn->meets_long = &store->meets_long;
    warn_of_server(store, &server);
    return AEL_OK;
}

static enum ael_status open_once(
    const struct ael_sql_group *group,
    struct ael_my_conn *conn,
    const struct ael_my_host *host,
    uint32_t budget_ms,
    const struct ael_call *call,
    struct ael_error *err) {
    enum ael_status status = ael_my_conn_open(conn, &store_of(group)->address, host, budget_ms, call, err);
    if (status != AEL_OK) {
        return status;
    }
    status = init_session(group, conn, err);
    conn->open_until_ns = 0;
    if (status != AEL_OK) {
        ael_my_conn_close(conn);
    }
    return status;
}

/* A connection that was there and is lost before it has its settings says little of the host: once more. */
static enum ael_status open_host(
    const struct ael_sql_group *group,
    struct ael_my_conn *conn,
    const struct ael_my_host *host,
    uint32_t budget_ms,
    const struct ael_call *call,
    struct ael_error *err) {
    conn->base.retry = false;
    enum ael_status status = open_once(group, conn, host, budget_ms, call, err);
    bool was_lost = status == AEL_E_UNREACHABLE && conn->base.retry && conn->stopped == AEL_OK;
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
    uint32_t limit_ms = store->base.bounds.connect_timeout_ms;
    return hosts_left == 1 || share_ms > limit_ms ? limit_ms : share_ms + 1;
}

/* Each host in turn. A host that cannot be reached weighs more than one that refuses: it may come back. */
static enum ael_status
pool_open(void *self, struct ael_sql_conn *base, const struct ael_call *call, struct ael_error *err) {
    const struct ael_sql_group *group = self;
    struct mysql *store = store_of(group);
    struct ael_my_conn *conn = (struct ael_my_conn *)base;
    enum ael_status outcome = AEL_E_BACKEND;
    conn->answer_timeout_ms = store->base.bounds.answer_timeout_ms;
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

static bool is_there(struct ael_sql_conn *conn) {
    return ael_my_conn_is_there((struct ael_my_conn *)conn);
}

static bool is_due(const struct ael_sql_conn *conn) {
    return conn->lent_ms >= ((const struct ael_my_conn *)conn)->ask_again_ms;
}

/* One that was made a replica keeps its connections, and answers on them with what it has so far. */
static bool still_takes_writes(struct ael_sql_store *store, struct ael_sql_conn *base) {
    static const char k_ask[] = "SELECT @@global.read_only OR @@global.innodb_read_only";
    struct ael_my_conn *conn = (struct ael_my_conn *)base;
    MYSQL_RES *rows = NULL;
    conn->ask_again_ms = conn->base.lent_ms + ASK_EACH_MS;
    enum ael_status status = ael_my_run(conn, ael_bytes_from_text(k_ask), &rows, NULL);
    MYSQL_ROW row = rows == NULL ? NULL : mysql_fetch_row(rows);
    bool takes = ((const struct mysql *)store)->forwards_writes ||
                 (row != NULL && row[0] != NULL && strcmp(row[0], "0") == 0);
    mysql_free_result(rows);
    return status == AEL_OK && takes;
}

static void pool_close(void *self, struct ael_sql_conn *base) {
    (void)self;
    ael_my_conn_close((struct ael_my_conn *)base);
}

static void pool_drop(struct ael_sql_conn *base) {
    ael_my_conn_drop((struct ael_my_conn *)base);
}

/* ---- work on a connection ---- */

static enum ael_status
work_load(struct ael_sql_conn *conn, const struct ael_sql_work *work, struct ael_error *err) {
    return ael_my_row_load((struct ael_my_conn *)conn, work->id, work->created_s, work->out, err);
}

static enum ael_status
work_load_latest(struct ael_sql_conn *conn, const struct ael_sql_work *work, struct ael_error *err) {
    return ael_my_row_load_latest((struct ael_my_conn *)conn, work->id, work->out, err);
}

static enum ael_status
work_store(struct ael_sql_conn *conn, const struct ael_sql_work *work, struct ael_error *err) {
    return ael_my_row_store((struct ael_my_conn *)conn, work->id, work->record, work->done, err);
}

static enum ael_status
work_list(struct ael_sql_conn *conn, const struct ael_sql_work *work, struct ael_error *err) {
    return ael_my_rows_list((struct ael_my_conn *)conn, work->id, work->visit, work->context, err);
}

static enum ael_status
work_replace(struct ael_sql_conn *conn, const struct ael_sql_work *work, struct ael_error *err) {
    return ael_my_row_replace(
        (struct ael_my_conn *)conn, work->id, work->record, work->desired, work->done, err);
}

static enum ael_status
work_check(struct ael_sql_conn *conn, const struct ael_sql_work *work, struct ael_error *err) {
    (void)work;
    return ael_my_rows_check((struct ael_my_conn *)conn, err);
}

static enum ael_status
work_ensure_table(struct ael_sql_conn *conn, const struct ael_sql_work *work, struct ael_error *err) {
    (void)work;
    return ael_my_table_ensure((struct ael_my_conn *)conn, err);
}

static enum ael_status find_table(struct ael_sql_conn *base, bool *is_missing, struct ael_error *err) {
    struct ael_my_conn *conn = (struct ael_my_conn *)base;
    enum ael_status status = ael_my_table_find(conn, err);
    *is_missing = conn->table.is_missing;
    return status;
}

static void take_note(struct ael_sql_store *base, const struct ael_sql_conn *conn) {
    struct mysql *store = (struct mysql *)base;
    warn_of_table(store, &((const struct ael_my_conn *)conn)->table);
    note_preparing(store, (const struct ael_my_conn *)conn);
}

static const struct ael_sql_store_ops k_ops = {
    .pool =
        {
            .component = AEL_MY_COMPONENT,
            .conn_size = sizeof(struct ael_my_conn),
            .open = pool_open,
            .is_alive = ael_sql_store_is_alive,
            .close = pool_close,
            .drop = pool_drop,
        },
    .is_there = is_there,
    .is_due = is_due,
    .answers = still_takes_writes,
    .load = work_load,
    .load_latest = work_load_latest,
    .store = work_store,
    .list = work_list,
    .replace = work_replace,
    .check = work_check,
    .ensure_table = work_ensure_table,
    .find_table = find_table,
    .worked = take_note,
};

/* ---- the table of a metastore ---- */

static void destroy(void *self) {
    struct mysql *store = self;
    ael_sql_store_clear(&store->base);
    ael_my_address_clear(&store->address);
    ael_sys_free(store);
}

static const struct ael_metastore_vtable k_mysql = {
    .vt_size = sizeof(struct ael_metastore_vtable),
    .contract = AEL_METASTORE_CONTRACT,
    .name = "mysql",
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

static struct ael_sql_bounds bounds_of(const struct ael_metastore_mysql_options *options) {
    return (struct ael_sql_bounds){
        .max_connections = options->max_connections,
        .connect_timeout_ms = options->connect_timeout_ms,
        .answer_timeout_ms = options->answer_timeout_ms,
        .idle_limit_ms = options->idle_limit_ms,
        .life_limit_ms = options->life_limit_ms,
    };
}

static enum ael_status
check_options(const struct ael_metastore_mysql_options *options, struct ael_error *err) {
    if (options == NULL || options->size != sizeof(*options)) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, AEL_MY_COMPONENT, "start from AEL_METASTORE_MYSQL_OPTIONS_INIT");
    }
    const struct ael_sql_bounds bounds = bounds_of(options);
    enum ael_status status = ael_sql_bounds_check(&bounds, AEL_MY_COMPONENT, err);
    if (status != AEL_OK) {
        return status;
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

/* Of an Aurora cluster whose readers hand writes on; else any server will do. */
static enum ael_status make_pools(struct mysql *store, const char *consistency, struct ael_error *err) {
    struct ael_sql_store *base = &store->base;
    store->forwards_writes = consistency != NULL;
    enum ael_status status =
        ael_sql_store_add_pool(base, AEL_SQL_WRITES, consistency == NULL ? NULL : "global", err);
    if (status != AEL_OK || consistency == NULL || strcmp(consistency, "global") == 0) {
        return status;
    }
    return ael_sql_store_add_pool(
        base, AEL_SQL_READS, strcmp(consistency, "session") == 0 ? "session" : "eventual", err);
}

static enum ael_status
prepare_store(struct mysql *store, const struct ael_metastore_mysql_options *options, struct ael_error *err) {
    struct ael_sql_bounds *bounds = &store->base.bounds;
    enum ael_status status = ael_my_address_init(&store->address, options->connection, err);
    if (status != AEL_OK) {
        return status;
    }
    *bounds = bounds_of(options);
    if (store->address.connect_timeout_ms != 0) {
        bounds->connect_timeout_ms = store->address.connect_timeout_ms;
    }
    if (store->address.answer_timeout_ms != 0) {
        bounds->answer_timeout_ms = store->address.answer_timeout_ms;
    }
    const char *weakness = ael_my_address_weakness(&store->address);
    if (weakness != NULL) {
        ael_sys_log(AEL_LOG_WARN, AEL_MY_COMPONENT, "%s", weakness);
    }
    return make_pools(store, options->replica_read_consistency, err);
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
    store->base.ops = &k_ops;
    status = prepare_store(store, options, err);
    if (status != AEL_OK) {
        destroy(store);
        return status;
    }
    return ael_sql_store_open(&store->base, &k_mysql, metastore, err);
}
