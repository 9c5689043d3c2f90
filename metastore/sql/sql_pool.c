/* SPDX-License-Identifier: Apache-2.0 */
#include "metastore/sql/sql_pool.h"

#include <ael/sys/alloc.h>
#include <ael/sys/error.h>

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

enum {
    WAIT_SLICE_MS = 20,       /* a cancel token wakes nobody: look at it this often */
    FORK_WAIT_OPEN_MS = 5000, /* a library's set-up may hold mutexes that a child must not find held */
    FORK_WAIT_LENT_MS = 1000, /* the forking thread itself may be who has one */
};

struct ael_sql_pool {
    const struct ael_sql_pool_ops *ops;
    void *self;
    struct ael_sql_pool_options options;
    pid_t pid; /* whose connections these are; in a child written by its only thread */
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* on CLOCK_MONOTONIC */
    bool forking;           /* under mutex, as what follows: lend nothing */
    uint32_t lent;          /* being opened or closed included */
    uint32_t opening;
    struct ael_sql_conn *idle; /* the last one returned first */
    struct ael_sql_conn *all;
};

/* ---- time ---- */

static struct timespec in_ms(uint32_t ms) {
    struct timespec time = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    time.tv_nsec += (long)(ms % 1000) * 1000000;
    time.tv_sec += ms / 1000 + time.tv_nsec / 1000000000;
    time.tv_nsec %= 1000000000;
    return time;
}

static int64_t in_whole_ms(int64_t ns) {
    return ns / 1000000;
}

/* ---- making and freeing ---- */

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

static int locks_init(struct ael_sql_pool *pool) {
    int failed = pthread_mutex_init(&pool->mutex, NULL);
    if (failed == 0) {
        failed = cond_init(&pool->changed);
        if (failed != 0) {
            (void)pthread_mutex_destroy(&pool->mutex);
        }
    }
    return failed;
}

/* see metastore/sql/sql_pool.h */
enum ael_status ael_sql_pool_new(
    const struct ael_sql_pool_ops *ops,
    void *self,
    const struct ael_sql_pool_options *options,
    struct ael_sql_pool **pool,
    struct ael_error *err) {
    *pool = NULL;
    struct ael_sql_pool *made = ael_sys_alloc(sizeof(*made));
    if (made == NULL) {
        return ael_error_set(err, AEL_E_NO_MEMORY, 0, ops->component, "no memory for a pool");
    }
    made->ops = ops;
    made->self = self;
    made->options = *options;
    made->pid = getpid();
    int failed = locks_init(made);
    if (failed != 0) {
        ael_sys_free(made);
        return ael_error_set(err, AEL_E_SYSTEM, failed, ops->component, "no mutex is to be had");
    }
    *pool = made;
    return AEL_OK;
}

/*
 * In a child the parent's connections can neither be used nor freed: freeing would speak on them. They are
 * kept in reach, so that no leak checker takes what is meant for a mistake.
 */
static _Atomic(struct ael_sql_conn *) s_left_alone;

static void leave_alone(struct ael_sql_conn *conn) {
    conn->next_idle = atomic_load_explicit(&s_left_alone, memory_order_relaxed);
    /* Relaxed: nobody ever follows the list. */
    while (!atomic_compare_exchange_weak_explicit(
        &s_left_alone, &conn->next_idle, conn, memory_order_relaxed, memory_order_relaxed)) {
    }
}

/* The caller holds the mutex. */
static void unlink_conn(struct ael_sql_pool *pool, const struct ael_sql_conn *conn) {
    struct ael_sql_conn **place = &pool->all;
    while (*place != conn) {
        place = &(*place)->next;
    }
    *place = conn->next;
}

/* Closes a chain of idle connections, each still counted as lent, without the mutex; then gives the places
 * back. */
static void close_chain(struct ael_sql_pool *pool, struct ael_sql_conn *chain) {
    while (chain != NULL) {
        struct ael_sql_conn *conn = chain;
        chain = conn->next_idle;
        pool->ops->close(pool->self, conn);
        (void)pthread_mutex_lock(&pool->mutex);
        unlink_conn(pool, conn);
        pool->lent--;
        (void)pthread_cond_broadcast(&pool->changed);
        (void)pthread_mutex_unlock(&pool->mutex);
        ael_sys_free(conn);
    }
}

/* see metastore/sql/sql_pool.h */
void ael_sql_pool_free(struct ael_sql_pool *pool) {
    if (pool == NULL) {
        return;
    }
    struct ael_sql_conn *conn = pool->all;
    bool ours = pool->pid == getpid();
    while (conn != NULL) {
        struct ael_sql_conn *next = conn->next;
        if (ours) {
            pool->ops->close(pool->self, conn);
            ael_sys_free(conn);
        } else {
            leave_alone(conn);
        }
        conn = next;
    }
    if (ours) {
        (void)pthread_cond_destroy(&pool->changed);
        (void)pthread_mutex_destroy(&pool->mutex);
    }
    ael_sys_free(pool);
}

/* ---- lending ---- */

static bool is_old(const struct ael_sql_pool *pool, const struct ael_sql_conn *conn, int64_t now_ms) {
    uint32_t idle_ms = pool->options.idle_limit_ms;
    uint32_t life_ms = pool->options.life_limit_ms;
    return (idle_ms != 0 && now_ms - conn->idle_since_ms > idle_ms) ||
           (life_ms != 0 && now_ms - conn->opened_ms > life_ms);
}

/* Takes idle connections that are too old out of the pool, counting each as lent. The caller holds the
 * mutex. */
static struct ael_sql_conn *take_old(struct ael_sql_pool *pool, int64_t now_ns) {
    int64_t now_ms = in_whole_ms(now_ns);
    struct ael_sql_conn *old = NULL;
    struct ael_sql_conn **place = &pool->idle;
    while (*place != NULL) {
        struct ael_sql_conn *conn = *place;
        if (!is_old(pool, conn, now_ms)) {
            place = &conn->next_idle;
            continue;
        }
        *place = conn->next_idle;
        conn->next_idle = old;
        old = conn;
        pool->lent++;
    }
    return old;
}

/* The same with those that are suspected still. The caller holds the mutex. */
static struct ael_sql_conn *take_suspects(struct ael_sql_pool *pool) {
    struct ael_sql_conn *suspects = NULL;
    struct ael_sql_conn **place = &pool->idle;
    while (*place != NULL) {
        struct ael_sql_conn *conn = *place;
        if (!conn->suspect) {
            place = &conn->next_idle;
            continue;
        }
        *place = conn->next_idle;
        conn->next_idle = suspects;
        suspects = conn;
        pool->lent++;
    }
    return suspects;
}

/* Waits for a place among the lent ones, and takes an idle connection when there is one. The caller holds the
 * mutex; now_ns is when it was taken. */
static enum ael_status take_place(
    struct ael_sql_pool *pool, const struct ael_call *call, int64_t now_ns, struct ael_sql_conn **conn) {
    while (pool->forking || pool->lent >= pool->options.max_connections) {
        enum ael_status status = ael_call_check(call);
        if (status != AEL_OK) {
            return status;
        }
        uint32_t left = ael_call_remaining_ms(call);
        struct timespec until = in_ms(left < WAIT_SLICE_MS ? left + 1 : WAIT_SLICE_MS);
        (void)pthread_cond_timedwait(&pool->changed, &pool->mutex, &until);
        now_ns = ael_sql_now_ns(); /* nothing has idled since later than that */
    }
    pool->lent++;
    *conn = pool->idle;
    if (pool->idle != NULL) {
        pool->idle = pool->idle->next_idle;
        (*conn)->next_idle = NULL;
        (*conn)->lent_ms = in_whole_ms(now_ns);
        (*conn)->look = (struct ael_sql_look){now_ns, true};
    }
    return AEL_OK;
}

/* Enters a connection that is being opened, so that a child finds it. */
static struct ael_sql_conn *add_conn(struct ael_sql_pool *pool) {
    struct ael_sql_conn *conn = ael_sys_alloc(pool->ops->conn_size);
    (void)pthread_mutex_lock(&pool->mutex);
    if (conn != NULL) {
        conn->pid = pool->pid;
        conn->look.ns = ael_sql_now_ns();
        conn->opened_ms = in_whole_ms(conn->look.ns);
        conn->lent_ms = conn->opened_ms;
        conn->next = pool->all;
        pool->all = conn;
        pool->opening++;
    } else {
        pool->lent--;
        (void)pthread_cond_broadcast(&pool->changed);
    }
    (void)pthread_mutex_unlock(&pool->mutex);
    return conn;
}

/* In the place that was taken. */
static enum ael_status open_conn(
    struct ael_sql_pool *pool,
    const struct ael_call *call,
    struct ael_sql_conn **conn,
    struct ael_error *err) {
    struct ael_sql_conn *made = add_conn(pool);
    if (made == NULL) {
        return ael_error_set(err, AEL_E_NO_MEMORY, 0, pool->ops->component, "no memory for a connection");
    }
    enum ael_status status = pool->ops->open(pool->self, made, call, err);
    (void)pthread_mutex_lock(&pool->mutex);
    pool->opening--;
    if (status != AEL_OK) {
        unlink_conn(pool, made);
        pool->lent--;
    }
    (void)pthread_cond_broadcast(&pool->changed);
    (void)pthread_mutex_unlock(&pool->mutex);
    if (status != AEL_OK) {
        ael_sys_free(made);
        return status;
    }
    *conn = made;
    return AEL_OK;
}

/* A place and what idles in it, if anything does. */
static enum ael_status
take(struct ael_sql_pool *pool, const struct ael_call *call, struct ael_sql_conn **conn) {
    (void)pthread_mutex_lock(&pool->mutex);
    int64_t now_ns = ael_sql_now_ns();
    struct ael_sql_conn *old = pool->forking ? NULL : take_old(pool, now_ns);
    if (old != NULL) {
        (void)pthread_mutex_unlock(&pool->mutex);
        close_chain(pool, old);
        (void)pthread_mutex_lock(&pool->mutex);
        now_ns = ael_sql_now_ns();
    }
    enum ael_status status = take_place(pool, call, now_ns, conn);
    (void)pthread_mutex_unlock(&pool->mutex);
    return status;
}

/*
 * Closes one that was found dead. Where another broke before, the server is gone, more likely than the two:
 * to ask the others one by one, each for as long as it is silent, would take the time that is left for
 * another server.
 */
static void close_dead(struct ael_sql_pool *pool, struct ael_sql_conn *conn, bool suspect) {
    if (suspect) {
        (void)pthread_mutex_lock(&pool->mutex);
        conn->next_idle = take_suspects(pool);
        (void)pthread_mutex_unlock(&pool->mutex);
    }
    close_chain(pool, conn);
}

/* see metastore/sql/sql_pool.h */
enum ael_status ael_sql_pool_borrow(
    struct ael_sql_pool *pool,
    const struct ael_call *call,
    struct ael_sql_conn **conn,
    struct ael_error *err) {
    *conn = NULL;
    for (;;) {
        struct ael_sql_conn *idle = NULL;
        enum ael_status status = take(pool, call, &idle);
        if (status != AEL_OK) {
            return ael_error_set(
                err, status, 0, pool->ops->component,
                "all %u connections were in use until the call was over; allow more",
                pool->options.max_connections);
        }
        if (idle == NULL) {
            return open_conn(pool, call, conn, err);
        }
        bool suspect = idle->suspect;
        int64_t idle_ms = suspect ? INT64_MAX : idle->lent_ms - idle->idle_since_ms;
        idle->suspect = false;
        if (pool->ops->is_alive(pool->self, idle, idle_ms, call)) {
            *conn = idle;
            return AEL_OK;
        }
        close_dead(pool, idle, suspect);
    }
}

/* What broke one may have broken those that idle: they are looked at before they are lent, however short they
 * idled. */
static void suspect_idle(struct ael_sql_pool *pool) {
    (void)pthread_mutex_lock(&pool->mutex);
    for (struct ael_sql_conn *conn = pool->idle; conn != NULL; conn = conn->next_idle) {
        conn->suspect = true;
    }
    (void)pthread_mutex_unlock(&pool->mutex);
}

/* see metastore/sql/sql_pool.h */
bool ael_sql_conn_is_lost(const struct ael_sql_conn *conn) {
    return conn->pid != getpid();
}

/* see metastore/sql/sql_pool.h */
void ael_sql_pool_return(struct ael_sql_pool *pool, struct ael_sql_conn *conn) {
    if (conn->pid != pool->pid) {
        return; /* a child was told of the fork: dropped already, and left alone */
    }
    if (conn->broken) {
        suspect_idle(pool);
        conn->next_idle = NULL;
        close_chain(pool, conn);
        return;
    }
    (void)pthread_mutex_lock(&pool->mutex);
    struct ael_sql_conn *old = pool->forking ? NULL : take_old(pool, conn->look.ns);
    pool->lent--;
    conn->idle_since_ms = in_whole_ms(conn->look.ns);
    conn->next_idle = pool->idle;
    pool->idle = conn;
    /* Both kinds of waiters, those who borrow and the one who forks, look again. */
    (void)pthread_cond_broadcast(&pool->changed);
    (void)pthread_mutex_unlock(&pool->mutex);
    close_chain(pool, old);
}

/* see metastore/sql/sql_pool.h */
uint32_t ael_sql_pool_count(struct ael_sql_pool *pool) {
    uint32_t count = 0;
    (void)pthread_mutex_lock(&pool->mutex);
    for (const struct ael_sql_conn *conn = pool->all; conn != NULL; conn = conn->next) {
        count++;
    }
    (void)pthread_mutex_unlock(&pool->mutex);
    return count;
}

/* ---- fork ---- */

/* see metastore/sql/sql_pool.h */
void ael_sql_pool_before_fork(struct ael_sql_pool *pool) {
    if (pool->pid != getpid()) {
        return; /* nothing here is ours, nor the mutex to wait for */
    }
    struct timespec lent_until = in_ms(FORK_WAIT_LENT_MS);
    struct timespec open_until = in_ms(FORK_WAIT_OPEN_MS);
    int over = 0;
    (void)pthread_mutex_lock(&pool->mutex);
    pool->forking = true;
    while (pool->lent > 0 && over == 0) {
        over = pthread_cond_timedwait(&pool->changed, &pool->mutex, &lent_until);
    }
    over = 0;
    while (pool->opening > 0 && over == 0) {
        over = pthread_cond_timedwait(&pool->changed, &pool->mutex, &open_until);
    }
}

/* see metastore/sql/sql_pool.h */
void ael_sql_pool_after_fork_parent(struct ael_sql_pool *pool) {
    if (pool->pid != getpid()) {
        return;
    }
    pool->forking = false;
    (void)pthread_cond_broadcast(&pool->changed);
    (void)pthread_mutex_unlock(&pool->mutex);
}

/* see metastore/sql/sql_pool.h */
void ael_sql_pool_after_fork_child(struct ael_sql_pool *pool) {
    if (!pool->forking) {
        return; /* the parent was a child that had not been told, and stays that for us */
    }
    while (pool->all != NULL) {
        struct ael_sql_conn *conn = pool->all;
        pool->all = conn->next;
        pool->ops->drop(conn);
        leave_alone(conn);
    }
    pool->idle = NULL;
    pool->lent = 0;
    pool->opening = 0;
    pool->pid = getpid();
    pool->forking = false;
    (void)cond_init(&pool->changed); /* threads that waited on it are not here */
    (void)pthread_mutex_unlock(&pool->mutex);
}
