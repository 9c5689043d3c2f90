/* SPDX-License-Identifier: Apache-2.0 */
#include "metastore/sqlite/pool.h"
#include "metastore/sqlite/gate.h"

#include <ael/sys/alloc.h>

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    WAIT_SLICE_MS = 20,  /* a cancel token wakes nobody: look at it this often */
    FORK_WAIT_MS = 5000, /* for what is lent; the forking thread itself may be who has it */
};

struct ael_sqlite_pool {
    char *path;
    uint32_t busy_timeout_ms;
    uint32_t max_connections;
    pid_t pid; /* whose connections these are; written before others see the pool, and in a child by its only
                        thread, as the next */
    /* in a child that was told of the fork: what was lent then is the parent's, and so is all */
    bool is_parents;
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* on CLOCK_MONOTONIC */
    atomic_bool forking; /* set under mutex: lend nothing, and who waits for a lock of the file gives way */
    uint32_t lent;       /* under mutex */
    struct ael_sqlite_conn *idle; /* under mutex */
    struct ael_sqlite_watch watch;
};

static int cond_init(pthread_cond_t *cond) {
    pthread_condattr_t attributes;
    int failed = pthread_condattr_init(&attributes);
    if (failed == 0) {
        failed = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        failed = failed != 0 ? failed : pthread_cond_init(cond, &attributes);
        (void)pthread_condattr_destroy(&attributes);
    }
    return failed;
}

static enum ael_status locks_init(struct ael_sqlite_pool *pool, struct ael_error *err) {
    int failed = pthread_mutex_init(&pool->mutex, NULL);
    if (failed == 0) {
        failed = cond_init(&pool->changed);
        if (failed != 0) {
            (void)pthread_mutex_destroy(&pool->mutex);
        }
    }
    if (failed != 0) {
        return ael_error_set(err, AEL_E_SYSTEM, failed, AEL_SQLITE_COMPONENT, "no mutex is to be had");
    }
    return AEL_OK;
}

static char *copy_text(const char *text) {
    size_t size = strlen(text) + 1;
    char *copy = ael_sys_alloc(size);
    return copy == NULL ? NULL : memcpy(copy, text, size);
}

static enum ael_status open_first(struct ael_sqlite_pool *pool, const char *path, struct ael_error *err) {
    struct ael_call call = AEL_CALL_INIT;
    call.deadline_ns = ael_deadline_in_ms(ael_call_remaining_ms(NULL));
    enum ael_status status = ael_sqlite_conn_open(path, pool->busy_timeout_ms, true, &call, &pool->idle, err);
    if (status != AEL_OK) {
        return status;
    }
    pool->idle->call = NULL;
    pool->path = copy_text(sqlite3_db_filename(pool->idle->db, "main"));
    if (pool->path == NULL) {
        return ael_error_set(err, AEL_E_NO_MEMORY, 0, AEL_SQLITE_COMPONENT, "no memory for a path");
    }
    return AEL_OK;
}

/* see metastore/sqlite/pool.h */
enum ael_status ael_sqlite_pool_new(
    const char *path,
    uint32_t busy_timeout_ms,
    uint32_t max_connections,
    struct ael_sqlite_pool **pool,
    struct ael_error *err) {
    *pool = NULL;
    struct ael_sqlite_pool *made = ael_sys_alloc(sizeof(*made));
    if (made == NULL) {
        return ael_error_set(err, AEL_E_NO_MEMORY, 0, AEL_SQLITE_COMPONENT, "no memory for a pool");
    }
    made->busy_timeout_ms = busy_timeout_ms;
    made->max_connections = max_connections;
    made->pid = getpid();
    ael_sqlite_watch_init(&made->watch);
    enum ael_status status = locks_init(made, err);
    if (status != AEL_OK) {
        ael_sys_free(made);
        return status;
    }
    ael_sqlite_gate_enter();
    status = open_first(made, path, err);
    ael_sqlite_gate_leave();
    if (status != AEL_OK) {
        ael_sqlite_pool_free(made);
        return status;
    }
    *pool = made;
    return AEL_OK;
}

/*
 * In a child of fork the parent's connections can neither be used nor closed: closing would let go of the
 * parent's locks on the file. They are kept in reach, so that no leak checker takes what is meant for a
 * mistake.
 */
static _Atomic(struct ael_sqlite_conn *) s_left_alone;

static void leave_alone(struct ael_sqlite_conn *conn) {
    while (conn != NULL) {
        struct ael_sqlite_conn *next = conn->next;
        conn->next = atomic_load_explicit(&s_left_alone, memory_order_relaxed);
        /* Relaxed: nobody ever follows the list. */
        while (!atomic_compare_exchange_weak_explicit(
            &s_left_alone, &conn->next, conn, memory_order_relaxed, memory_order_relaxed)) {
        }
        conn = next;
    }
}

static void close_idle(struct ael_sqlite_pool *pool) {
    while (pool->idle != NULL) {
        struct ael_sqlite_conn *conn = pool->idle;
        pool->idle = conn->next;
        ael_sqlite_conn_close(conn);
    }
}

/* see metastore/sqlite/pool.h */
void ael_sqlite_pool_free(struct ael_sqlite_pool *pool) {
    if (pool->pid == getpid()) {
        ael_sqlite_gate_enter();
        close_idle(pool);
        ael_sqlite_gate_leave();
        (void)pthread_cond_destroy(&pool->changed);
        (void)pthread_mutex_destroy(&pool->mutex);
    } else {
        leave_alone(pool->idle);
    }
    ael_sys_free(pool->path);
    ael_sys_free(pool);
}

/* ---- lending ---- */

static struct timespec in_ms(uint32_t ms) {
    struct timespec time = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    time.tv_nsec += (long)ms * 1000000;
    time.tv_sec += time.tv_nsec / 1000000000;
    time.tv_nsec %= 1000000000;
    return time;
}

/* Takes a place among the lent ones, and an idle connection when there is one. The caller holds the mutex. */
static enum ael_status
take_place(struct ael_sqlite_pool *pool, const struct ael_call *call, struct ael_sqlite_conn **conn) {
    while (pool->forking || pool->lent >= pool->max_connections) {
        enum ael_status status = ael_call_check(call);
        if (status != AEL_OK) {
            return status;
        }
        uint32_t left = ael_call_remaining_ms(call);
        struct timespec until = in_ms(left < WAIT_SLICE_MS ? left + 1 : WAIT_SLICE_MS);
        (void)pthread_cond_timedwait(&pool->changed, &pool->mutex, &until);
    }
    pool->lent++;
    *conn = pool->idle;
    if (pool->idle != NULL) {
        pool->idle = pool->idle->next;
    }
    return AEL_OK;
}

static void give_place_back(struct ael_sqlite_pool *pool, struct ael_sqlite_conn *conn) {
    (void)pthread_mutex_lock(&pool->mutex);
    pool->lent--;
    if (conn != NULL) {
        conn->next = pool->idle;
        pool->idle = conn;
    }
    /* Both kinds of waiters, those who borrow and the one who forks, look again. */
    (void)pthread_cond_broadcast(&pool->changed);
    (void)pthread_mutex_unlock(&pool->mutex);
}

/* Looks when it is time to. Other connections, which looked a moment ago, are on the old file then, too. */
static bool has_moved(struct ael_sqlite_pool *pool, struct ael_sqlite_conn *conn, bool always) {
    if (!ael_sqlite_watch_is_due(&pool->watch, &conn->look, always) || !ael_sqlite_conn_has_moved(conn)) {
        return false;
    }
    ael_sqlite_watch_doubt(&pool->watch);
    return true;
}

/*
 * A file that was deleted or replaced under a connection would swallow what is stored: open the one at the
 * path.
 */
static enum ael_status make_usable(
    struct ael_sqlite_pool *pool,
    const struct ael_call *call,
    bool look,
    struct ael_sqlite_conn **conn,
    struct ael_error *err) {
    if (*conn != NULL && has_moved(pool, *conn, look)) {
        ael_sqlite_conn_close(*conn);
        *conn = NULL;
    }
    if (*conn != NULL) {
        (*conn)->call = call;
        return AEL_OK;
    }
    return ael_sqlite_conn_open(pool->path, pool->busy_timeout_ms, false, call, conn, err);
}

/* see metastore/sqlite/pool.h */
enum ael_status ael_sqlite_pool_borrow(
    struct ael_sqlite_pool *pool,
    const struct ael_call *call,
    enum ael_sqlite_use use,
    struct ael_sqlite_conn **conn,
    struct ael_error *err) {
    bool loads = use == AEL_SQLITE_USE_LOAD;
    *conn = NULL;
    if (pool->is_parents) {
        return ael_error_set(
            err, AEL_E_FORKED, 0, AEL_SQLITE_COMPONENT,
            "the connections are the parent's; open the store in the child");
    }
    (void)pthread_mutex_lock(&pool->mutex);
    enum ael_status status = take_place(pool, call, conn);
    (void)pthread_mutex_unlock(&pool->mutex);
    if (status != AEL_OK) {
        return ael_error_set(
            err, status, 0, AEL_SQLITE_COMPONENT, "all connections were in use until the call was over");
    }
    status = make_usable(pool, call, !loads || call->consistency == AEL_CONSISTENCY_PRIMARY, conn, err);
    if (status != AEL_OK) {
        ael_sqlite_watch_doubt(&pool->watch);
        give_place_back(pool, NULL);
        return status;
    }
    (*conn)->forking = &pool->forking;
    (*conn)->gave_way = false;
    (*conn)->loads = loads;
    return AEL_OK;
}

/*
 * see metastore/sqlite/pool.h. Whose process this is, is asked of the system only where the host
 * could fork in the call by what calls no handlers: where it is, no handler's word is to be had.
 */
bool ael_sqlite_pool_return(struct ael_sqlite_pool *pool, struct ael_sqlite_conn *conn) {
    bool gave_way = conn->gave_way;
    bool is_parents = conn->pid != pool->pid || pool->is_parents;
    if (is_parents || (conn->calls_back && conn->pid != getpid())) {
        conn->next = NULL;
        leave_alone(conn);
        return false;
    }
    ael_sqlite_rollback(conn);
    ael_sqlite_turn_give(&conn->turn);
    conn->turn_waited_ms = 0;
    conn->calls_back = false;
    conn->call = NULL;
    if (!conn->loads || conn->broken) {
        ael_sqlite_watch_doubt(&pool->watch);
    }
    if (conn->broken) {
        ael_sqlite_conn_close(conn);
        conn = NULL;
    }
    give_place_back(pool, conn);
    return gave_way;
}

/* ---- fork ---- */

/* see metastore/sqlite/pool.h */
void ael_sqlite_pool_before_fork(struct ael_sqlite_pool *pool) {
    if (pool->pid != getpid()) {
        return; /* nothing here is ours to close, nor the mutex to wait for */
    }
    struct timespec until = in_ms(FORK_WAIT_MS);
    int over = 0;
    (void)pthread_mutex_lock(&pool->mutex);
    pool->forking = true;
    while (pool->lent > 0 && over == 0) {
        over = pthread_cond_timedwait(&pool->changed, &pool->mutex, &until);
    }
    close_idle(pool);
}

/* see metastore/sqlite/pool.h */
void ael_sqlite_pool_after_fork_parent(struct ael_sqlite_pool *pool) {
    if (pool->pid != getpid()) {
        return;
    }
    pool->forking = false;
    (void)pthread_cond_broadcast(&pool->changed);
    (void)pthread_mutex_unlock(&pool->mutex);
}

/* see metastore/sqlite/pool.h */
void ael_sqlite_pool_after_fork_child(struct ael_sqlite_pool *pool) {
    if (!pool->forking) {
        return; /* the parent was a child that had not been told, and stays that for us */
    }
    /* SQLite believes here that this process holds the locks of what was lent: no connection is safe then. */
    pool->is_parents = pool->lent > 0;
    if (!pool->is_parents) {
        pool->pid = getpid();
    }
    pool->forking = false;
    pool->lent = 0;
    (void)cond_init(&pool->changed); /* threads that waited on it are not here */
    (void)pthread_mutex_unlock(&pool->mutex);
}
