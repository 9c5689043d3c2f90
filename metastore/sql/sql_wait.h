/*
 * metastore/sql/sql_wait.h - a wait for a database server, which ends with its call at the latest.
 *
 * The clock is read once before each time the thread sleeps: one instant tells whether the call is over,
 * whether the server was silent for too long, and how long to sleep. The first wait since a connection was
 * lent begins at the instant when it was, some microseconds ago.
 *
 * Written against public headers only. Layer: metastore (components). Threads: one at a time per wait.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_METASTORE_SQL_SQL_WAIT_H
#define AEL_METASTORE_SQL_SQL_WAIT_H

#include <ael/call.h>

/** Returns the present instant in nanoseconds, on the clock of a call's deadline. */
int64_t ael_sql_now_ns(void);

/* When somebody looked at the clock last, for a connection. */
struct ael_sql_look {
    int64_t ns;
    bool is_new; /* of the one who lent it: serves the first wait */
};

/* For one answer, however often is waited for parts of it. */
struct ael_sql_wait {
    const struct ael_call *call; /* may be NULL: never over */
    int64_t until_ns;            /* the server counts as gone */
    int64_t now_ns;              /* when it was last looked; -1 = look again */
    struct ael_sql_look *look;   /* where that is noted; may be NULL */
};

/** Begins a wait that ends timeout_ms from now. @param look  of the connection; it outlives the wait. NULL:
 * none. */
struct ael_sql_wait
ael_sql_wait_begin(const struct ael_call *call, uint32_t timeout_ms, struct ael_sql_look *look);

/** Begins one that ends at an instant. */
struct ael_sql_wait ael_sql_wait_until(const struct ael_call *call, int64_t until_ns);

/**
 * Waits for one of the events of poll(2).
 *
 * @return AEL_OK (one has come, or something is wrong with the descriptor, which its library finds out);
 *         AEL_E_TIMEOUT, AEL_E_CANCELLED (the call is over); AEL_E_UNREACHABLE (the wait is).
 */
AEL_MUST_CHECK enum ael_status ael_sql_wait_for(struct ael_sql_wait *wait, int descriptor, short events);

#endif /* AEL_METASTORE_SQL_SQL_WAIT_H */
