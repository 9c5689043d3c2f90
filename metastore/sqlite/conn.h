/*
 * metastore/sqlite/conn.h - one connection to the SQLite file, with its prepared statements.
 *
 * While it works for a call, its waits for other processes' locks and its statements end when the call is
 * over: the busy handler and the progress handler ask.
 * Layer: metastore (libael-sqlite). Threads: one at a time.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_METASTORE_SQLITE_CONN_H
#define AEL_METASTORE_SQLITE_CONN_H

#include "metastore/sqlite/component.h"
#include "metastore/sqlite/turn.h"
#include "metastore/sqlite/watch.h"

#include <ael/call.h>
#include <ael/sys/error.h>

#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/types.h>

enum ael_sqlite_statement {
    AEL_SQLITE_LOAD,   /* ?1 id, ?2 created: id, created, key_record */
    AEL_SQLITE_LATEST, /* ?1 id: id, created, key_record */
    AEL_SQLITE_LIST,   /* ?1 prefix: id, created, key_record from there on, in order */
    AEL_SQLITE_STORE,  /* ?1 id, ?2 created, ?3 key_record */
    AEL_SQLITE_UPDATE, /* ?1 id, ?2 created, ?3 key_record */
    AEL_SQLITE_STATEMENTS
};

struct ael_sqlite_conn {
    sqlite3 *db;
    sqlite3_stmt *statements[AEL_SQLITE_STATEMENTS];
    uint32_t busy_timeout_ms;
    const struct ael_call *call; /* of the one who has it at present; NULL = never over */
    int64_t busy_since_ms;       /* when the present wait for a lock began */
    int64_t turn_waited_ms;      /* how long the present writer waited for its turn before that */
    struct ael_sqlite_turn turn;
    const atomic_bool *forking; /* a fork waits for what is lent; NULL = of nobody */
    bool gave_way;              /* the present writer ended its wait for a fork's sake: nothing was written */
    bool calls_back;            /* a function of the host's is called while it is lent, which may fork */
    bool loads;                 /* the present call is a load; behind any other everybody looks again */
    struct ael_sqlite_look look;
    pid_t pid;                  /* of the process that opened it; a child leaves it alone */
    bool broken;                /* SQLite failed in a way after which it is closed, not kept */
    struct ael_sqlite_conn *next;
};

/**
 * Opens the file, sets WAL, synchronous FULL and secure_delete, and makes the table when create says so.
 *
 * @param create  make file and table when they are missing; false: they must be there.
 * @return AEL_OK; AEL_E_NO_MEMORY; or as ael_sqlite_failed. Ownership: close it with ael_sqlite_conn_close.
 */
AEL_MUST_CHECK enum ael_status ael_sqlite_conn_open(
    const char *path,
    uint32_t busy_timeout_ms,
    bool create,
    const struct ael_call *call,
    struct ael_sqlite_conn **conn,
    struct ael_error *err);

/** Ends the statements and the connection; NULL is accepted. */
void ael_sqlite_conn_close(struct ael_sqlite_conn *conn);

/** Tells whether the file that is open is no longer the one at its path. */
bool ael_sqlite_conn_has_moved(struct ael_sqlite_conn *conn);

/**
 * Waits until it is this connection's turn to write, for half of the call's time and of the time-out at most;
 * to be called before a transaction that writes. The turn goes on when SQLite commits, or by
 * ael_sqlite_turn_give.
 *
 * @return AEL_OK (whether it has the turn or not); AEL_E_TIMEOUT; AEL_E_CANCELLED.
 */
AEL_MUST_CHECK enum ael_status ael_sqlite_conn_take_turn(struct ael_sqlite_conn *conn, struct ael_error *err);

/** Tells whether a wait is to end for a fork's sake, and notes that it did. */
bool ael_sqlite_conn_gives_way(struct ael_sqlite_conn *conn);

/** Runs SQL without results. @return AEL_OK; or as ael_sqlite_failed. */
AEL_MUST_CHECK enum ael_status
ael_sqlite_exec(struct ael_sqlite_conn *conn, const char *sql, struct ael_error *err);

/** Makes the table when it is missing. @return AEL_OK; or as ael_sqlite_failed. */
AEL_MUST_CHECK enum ael_status
ael_sqlite_conn_make_table(struct ael_sqlite_conn *conn, struct ael_error *err);

/** Begins a transaction that writes, in its turn. @return AEL_OK; as ael_sqlite_conn_take_turn; as
 * ael_sqlite_failed. */
AEL_MUST_CHECK enum ael_status ael_sqlite_begin(struct ael_sqlite_conn *conn, struct ael_error *err);

/** Ends a transaction that is open without its changes. */
void ael_sqlite_rollback(struct ael_sqlite_conn *conn);

/**
 * Turns SQLite's result of a reading step into a status with SQLite's sentence and what to do about it, and
 * marks a connection that is not to be used again.
 *
 * @return AEL_E_TIMEOUT (locked or interrupted at the deadline, or locked for busy_timeout_ms);
 * AEL_E_CANCELLED; AEL_E_UNREACHABLE (the file cannot be opened or read); AEL_E_NO_MEMORY; AEL_E_BACKEND
 * (anything else: a full disk, a read-only or corrupt file, a table of another shape).
 */
enum ael_status ael_sqlite_failed(struct ael_sqlite_conn *conn, int result, struct ael_error *err);

/** The same for a step that commits: an I/O failure there is AEL_E_OUTCOME_UNKNOWN. */
enum ael_status ael_sqlite_commit_failed(struct ael_sqlite_conn *conn, int result, struct ael_error *err);

#endif /* AEL_METASTORE_SQLITE_CONN_H */
