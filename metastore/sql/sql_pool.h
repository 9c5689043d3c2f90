/*
 * metastore/sql/sql_pool.h - at most so many connections to a database server, lent for the length of a call.
 *
 * What a connection is, its backend says in a table (struct ael_sql_pool_ops). Connections are opened when
 * first needed; who comes when all are lent waits until its call is over. The last one returned is lent
 * first, so that what is not needed gets old: connections that idled or lived for too long are closed by who
 * next borrows or returns one. A connection idles from the last look at the clock that was made for it, at
 * most one slice of its last wait (20 ms) before it was returned.
 *
 *     fork:  the child has no connections: it drops what it inherited by the descriptor alone, and opens its
 *            own. Children that were made without the fork handlers never come here: the metastore's handle
 *            refuses their calls.
 *
 * Written against public headers only. Layer: metastore (components). Threads: any; locks inside.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_METASTORE_SQL_SQL_POOL_H
#define AEL_METASTORE_SQL_SQL_POOL_H

#include "metastore/sql/sql_wait.h"

#include <sys/types.h>

/* The first member of a backend's connection. */
struct ael_sql_conn {
    const struct ael_call *call; /* of the one who has it at present */
    bool broken;                 /* set by the backend: to be closed when it is returned */
    bool sent;                   /* so, too: the last statement may have been executed */
    bool retry; /* so, too: its failure says nothing of other connections, and nothing was done */
    int64_t lent_ms; /* set by the pool: when it was lent last, on the clock of deadlines */
    struct ael_sql_look look; /* for its waits; set anew when it is lent */

    /* The pool's own. */
    struct ael_sql_conn *next; /* of all */
    struct ael_sql_conn *next_idle;
    int64_t opened_ms;
    int64_t idle_since_ms;
    bool suspect; /* another one broke while this one idled */
    pid_t pid;    /* of the process that opened it */
};

struct ael_sql_pool_ops {
    const char *component; /* for errors */
    size_t conn_size;      /* of the struct that begins with struct ael_sql_conn; comes zeroed */

    /* Opens a connection for a call. On failure nothing stays open. */
    enum ael_status (*open)(
        void *self, struct ael_sql_conn *conn, const struct ael_call *call, struct ael_error *err);

    /* Tells whether a connection that idled for idle_ms is still good; waits for call at most. INT64_MAX:
     * another one was found broken meanwhile. */
    bool (*is_alive)(void *self, struct ael_sql_conn *conn, int64_t idle_ms, const struct ael_call *call);

    /* Ends the connection with the server. */
    void (*close)(void *self, struct ael_sql_conn *conn);

    /* In a child: closes the descriptor by close(2) and does nothing else; may find the connection half
     * open. */
    void (*drop)(struct ael_sql_conn *conn);
};

struct ael_sql_pool_options {
    uint32_t max_connections; /* 1 or more */
    uint32_t idle_limit_ms;   /* 0 = none, as below */
    uint32_t life_limit_ms;
};

struct ael_sql_pool;

/**
 * Makes a pool without connections.
 *
 * @param ops   must outlive the pool. @param self  handed to its members.
 * @return AEL_OK; AEL_E_NO_MEMORY; AEL_E_SYSTEM.
 */
AEL_MUST_CHECK enum ael_status ael_sql_pool_new(
    const struct ael_sql_pool_ops *ops,
    void *self,
    const struct ael_sql_pool_options *options,
    struct ael_sql_pool **pool,
    struct ael_error *err);

/** Closes the connections, none of which may be lent; NULL is accepted. In a child that was not told, leaves
 * them. */
void ael_sql_pool_free(struct ael_sql_pool *pool);

/**
 * Lends a connection for a call.
 *
 * @return AEL_OK; AEL_E_TIMEOUT; AEL_E_CANCELLED; AEL_E_NO_MEMORY; or as open.
 */
AEL_MUST_CHECK enum ael_status ael_sql_pool_borrow(
    struct ael_sql_pool *pool,
    const struct ael_call *call,
    struct ael_sql_conn **conn,
    struct ael_error *err);

/**
 * Tells whether a lent connection is of another process than this one: then it is not to be touched, nor
 * returned. To be asked after a host's callback, which may have forked.
 */
bool ael_sql_conn_is_lost(const struct ael_sql_conn *conn);

/**
 * Takes a connection back. After one that is broken, the idle ones are looked at anew before they are lent;
 * when one of them is dead too, all are closed that were not looked at yet.
 */
void ael_sql_pool_return(struct ael_sql_pool *pool, struct ael_sql_conn *conn);

/** How many connections are open, lent ones and those being opened included. */
uint32_t ael_sql_pool_count(struct ael_sql_pool *pool);

/**
 * Around fork. The first waits for connections that are being opened, 5 s at most, and for lent ones 1 s, and
 * lends none until one of the others is called. What is lent all the same goes on in the parent, and is lost
 * in the child.
 */
void ael_sql_pool_before_fork(struct ael_sql_pool *pool);
void ael_sql_pool_after_fork_parent(struct ael_sql_pool *pool);
void ael_sql_pool_after_fork_child(struct ael_sql_pool *pool);

#endif /* AEL_METASTORE_SQL_SQL_POOL_H */
