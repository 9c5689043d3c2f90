/*
 * metastore/mysql/conn.h - one connection to a MariaDB or MySQL server. Each wait ends when the
 * call is over, and a server that is silent for answer_timeout_ms counts as gone.
 *
 * MariaDB's client library blocks, but lets its caller do the waiting (MARIADB_OPT_IO_WAIT): whenever a
 * descriptor is not ready, it asks a function of ours, which knows the call. Its other interface, the one
 * without blocking, keeps a connection's TLS handshake blocking all the same, and can be given up only on a
 * stack of its own. What is left: names are looked up by the system's resolver, which has limits of its own,
 * and a server that stalls in a handshake right from its beginning is noticed a second late at worst.
 *
 * A statement of ours is a transaction of its own, done when the server's answer to it has come.
 *
 *     send -----------------------> answer  lost before all was sent: another connection may do (retry)
 *          maybe executed here ---^         lost after that: reading may be done again, writing is unknown
 *
 * Of a prepared one the library does not tell how far it came: lost is lost after that.
 *
 * Written against public headers only. Layer: metastore (libael-mysql). Threads: one at a time.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_METASTORE_MYSQL_CONN_H
#define AEL_METASTORE_MYSQL_CONN_H

#include "metastore/mysql/address.h"
#include "metastore/mysql/kept.h"
#include "metastore/sql/sql_pool.h"

#include <ael/bytes.h>

#include <mysql.h>
#include <stdatomic.h>

/* 9999-12-31 23:59:59: as the other backends. */
#define AEL_MY_CREATED_MAX_S INT64_C(253402300799)

/* The table encryption_key as it was found. */
struct ael_my_table {
    bool is_known;
    bool is_missing;         /* when it was last looked for */
    bool compares_bytes;     /* ids are the same when their bytes are, and else not */
    bool ignores_case;       /* of letters, or accents: at least not compared by code points */
    bool is_timestamp;       /* created ends in 2038 */
    bool is_volatile;        /* its engine loses rows in a crash */
    bool has_our_characters; /* ids are utf8mb4 or bytes: compared with what is sent as it is */
    int id_max_chars;        /* 0 = any number */
};

/* Statements that are kept prepared (prepared.h). */
enum ael_my_statement { AEL_MY_LOAD, AEL_MY_LATEST, AEL_MY_STORE, AEL_MY_STATEMENTS };

struct ael_my_conn {
    struct ael_sql_conn base;
    MYSQL *my;
    uint32_t answer_timeout_ms;
    int64_t open_until_ns;   /* while it is opened and set up; else 0 */
    int64_t ask_again_ms;    /* whether the server still takes writes: when lent then or later */
    enum ael_status stopped; /* why the last wait was given up; AEL_OK = it was not */
    int descriptor;          /* -1 = none */
    bool is_sending;
    bool keeps_none;     /* statements are sent as text: it knows no others, or lost one */
    bool lost_preparing; /* it ended when it was asked to, as at a proxy that does not know such statements */
    bool has_prepared;
    bool has_stored;  /* a row: the next one is worth preparing for */
    unsigned refused; /* a bit for each statement that it would not have prepared */
    unsigned number;  /* see ael_my_error_number */
    atomic_bool *meets_long; /* a store's: a row was longer than any key; set by the opener */
    struct ael_my_kept *statements[AEL_MY_STATEMENTS];
    MYSQL_RES *left; /* in a child: rows of its parent's, which cannot be freed without reading them */
    struct ael_my_table table;
};

/* Receives one row; false = no more are wanted. */
typedef bool (*ael_my_row_fn)(void *context, const MYSQL_ROW row, const unsigned long *lengths);

/**
 * Connects to a host of the list.
 *
 * @param budget_ms  of time; also for what is asked on it next, until open_until_ns is set to 0.
 * @return AEL_OK; AEL_E_UNREACHABLE; AEL_E_TIMEOUT; AEL_E_CANCELLED; AEL_E_NO_MEMORY; AEL_E_BACKEND (log-in
 *         refused, no such database). On failure nothing is open.
 */
AEL_MUST_CHECK enum ael_status ael_my_conn_open(
    struct ael_my_conn *conn,
    const struct ael_my_address *address,
    const struct ael_my_host *host,
    uint32_t budget_ms,
    const struct ael_call *call,
    struct ael_error *err);

/** Ends the connection with the server, without waiting for it. */
void ael_my_conn_close(struct ael_my_conn *conn);

/** Closes the descriptor alone: what a child does with its parent's. */
void ael_my_conn_drop(struct ael_my_conn *conn);

/** Tells without asking the server whether the connection is still there. */
bool ael_my_conn_is_there(const struct ael_my_conn *conn);

/**
 * Runs a statement to its end.
 *
 * @param result  receives the rows, all of them, or NULL when the statement gives none; mysql_free_result it.
 * @return AEL_OK; AEL_E_UNREACHABLE (lost, silent, not taking writes); AEL_E_TIMEOUT; AEL_E_CANCELLED;
 *         AEL_E_TOO_LARGE; AEL_E_NO_MEMORY; AEL_E_BACKEND, and err->native_code is the server's number.
 *         conn->base.broken, sent and conn->retry tell the rest.
 */
AEL_MUST_CHECK enum ael_status
ael_my_run(struct ael_my_conn *conn, struct ael_bytes sql, MYSQL_RES **result, struct ael_error *err);

/** The same, row by row; one that is ended early costs the connection. */
AEL_MUST_CHECK enum ael_status ael_my_run_rows(
    struct ael_my_conn *conn, struct ael_bytes sql, ael_my_row_fn row, void *context, struct ael_error *err);

/**
 * Has the server prepare a statement.
 *
 * @return AEL_OK; AEL_E_UNSUPPORTED (it refuses, and err says nothing; conn->keeps_none tells whether it
 *         would another time); else the connection is of no more use: as ael_my_run.
 */
AEL_MUST_CHECK enum ael_status
ael_my_prepare(struct ael_my_conn *conn, MYSQL_STMT *statement, struct ael_bytes sql, struct ael_error *err);

/**
 * Runs one, with its values bound, to its end: all rows are in the statement. conn->base.sent is true where
 * none can tell how much of it went out.
 *
 * @return AEL_OK; AEL_E_UNSUPPORTED (the server does not know the statement any more; err says nothing); or
 *         as ael_my_run.
 */
AEL_MUST_CHECK enum ael_status
ael_my_execute(struct ael_my_conn *conn, MYSQL_STMT *statement, struct ael_error *err);

/** Ends a statement that is kept; one that is not there is none. */
void ael_my_conn_forget(struct ael_my_conn *conn, enum ael_my_statement which);

/** The server's number of the last statement's failure; 0 = it did not fail. */
unsigned ael_my_error_number(const struct ael_my_conn *conn);

/** How many rows the last statement changed, or found in order to change them. */
uint64_t ael_my_changed_rows(struct ael_my_conn *conn);

#endif /* AEL_METASTORE_MYSQL_CONN_H */
