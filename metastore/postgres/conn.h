/*
 * metastore/postgres/conn.h - one connection to a PostgreSQL server, used without blocking: each
 * wait ends when the call is over, and a server that is silent for answer_timeout_ms counts as gone.
 *
 * A statement of ours is a transaction of its own. In libpq's protocol it commits after its result has come,
 * so that it is done only when the server says that it is ready for another: a result without that is an
 * unknown outcome. A statement that is given up is not cancelled, because libpq's PQcancel may block without
 * an end: the connection is closed, and the server, told at set-up to look for that, ends the statement.
 *
 *     send -------> result(s) -------> ready  lost before send: another connection may do (retry)
 *          maybe executed here ------^        lost after send: reading may be done again, writing is unknown
 *
 * Behind a pooler each statement may be done by another connection to the server, and what one leaves there
 * is found by the pooler's other clients. So nothing is left: no settings, but one that the pooler minds, and
 * no prepared statements. SQL travels with its parameters, in one turn with the server, which no pooler
 * divides.
 *
 * Written against public headers only. Layer: metastore (libael-postgres). Threads: one at a time.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_METASTORE_POSTGRES_CONN_H
#define AEL_METASTORE_POSTGRES_CONN_H

#include "metastore/postgres/address.h"
#include "metastore/sql/sql_pool.h"

#include <stdatomic.h>

/* Of the column created; and of key_record. */
enum ael_pg_created { AEL_PG_TIMESTAMP, AEL_PG_TIMESTAMPTZ };
enum ael_pg_json { AEL_PG_TEXT, AEL_PG_JSON, AEL_PG_JSONB };

/* The table encryption_key as it was found. */
struct ael_pg_table {
    bool is_known;
    bool is_missing; /* when it was last looked for */
    enum ael_pg_created created;
    enum ael_pg_json key_record;
    int id_max_chars; /* 0 = any number */
};

struct ael_pg_conn {
    struct ael_sql_conn base;
    PGconn *pg;
    uint32_t answer_timeout_ms;
    bool ended;        /* the server said between two statements that it ends the connection */
    bool is_pooled;    /* somebody between us and the server may exchange the server's side (table.c) */
    unsigned prepared; /* a bit a statement (rows.c) */
    bool ought_to_be_short;  /* the answer that is waited for */
    atomic_bool *meets_long; /* a store's: one was not; set by the opener */
    struct ael_pg_table table;
};

/* One statement: SQL with its parameters; name != NULL = prepared before. */
struct ael_pg_statement {
    const char *name;
    const char *sql;
    int count;
    const char *values[4];
    int lengths[4]; /* of those that are not texts */
    int formats[4]; /* 0 = text, 1 = binary */
    bool is_binary; /* the columns of its rows are */
    bool is_short;  /* its answer ought to be; one that is not is given up: conn->meets_long */
};

/* Receives a result of one row; false = no more are wanted. */
typedef bool (*ael_pg_row_fn)(void *context, const PGresult *row);

/**
 * Connects to a host that will do, by target_session_attrs; tries each for connect_timeout_ms at most.
 *
 * @return AEL_OK; AEL_E_UNREACHABLE; AEL_E_TIMEOUT; AEL_E_CANCELLED; AEL_E_NO_MEMORY; AEL_E_BACKEND (log-in
 *         refused, no such database). On failure nothing is open.
 */
AEL_MUST_CHECK enum ael_status ael_pg_conn_open(
    struct ael_pg_conn *conn,
    const struct ael_pg_address *address,
    const char *target_session_attrs,
    uint32_t connect_timeout_ms,
    const struct ael_call *call,
    struct ael_error *err);

/** Ends the connection with the server. */
void ael_pg_conn_close(struct ael_pg_conn *conn);

/** Closes the descriptor alone: what a child does with its parent's. */
void ael_pg_conn_drop(struct ael_pg_conn *conn);

/** Tells without asking the server whether the connection is still there. */
bool ael_pg_conn_is_there(struct ael_pg_conn *conn);

/**
 * Runs a statement to its end.
 *
 * @param result  receives the result, on AEL_OK alone; PQclear it.
 * @return AEL_OK; AEL_E_UNREACHABLE (lost, or silent); AEL_E_TIMEOUT; AEL_E_CANCELLED; AEL_E_TOO_LARGE;
 *         AEL_E_NO_MEMORY; AEL_E_BACKEND. conn->base.broken, conn->sent and conn->retry tell the rest.
 */
AEL_MUST_CHECK enum ael_status ael_pg_run(
    struct ael_pg_conn *conn,
    const struct ael_pg_statement *statement,
    PGresult **result,
    struct ael_error *err);

/** The same, row by row; one that is ended early costs the connection. */
AEL_MUST_CHECK enum ael_status ael_pg_run_rows(
    struct ael_pg_conn *conn,
    const struct ael_pg_statement *statement,
    ael_pg_row_fn row,
    void *context,
    struct ael_error *err);

/** Prepares statement->sql under statement->name. As ael_pg_run. */
AEL_MUST_CHECK enum ael_status
ael_pg_prepare(struct ael_pg_conn *conn, const struct ael_pg_statement *statement, struct ael_error *err);

#endif /* AEL_METASTORE_POSTGRES_CONN_H */
