/* SPDX-License-Identifier: Apache-2.0 */
#include "metastore/sqlite/conn.h"

#include "metastore/sqlite/table.h"

#include <ael/sys/alloc.h>
#include <unistd.h>

#include <time.h>

enum {
    PROGRESS_STEPS = 1000, /* virtual machine instructions between two looks at the call: some 20 us */
    BUSY_NAP_MAX_MS = 10,
    TURN_NEW_MS =
        20, /* who has waited for longer looks more often than who just came: it is more likely the next */
    TURN_NAP_NEW_MS = 4,
    TURN_NAP_MS = 1,
};

/*
 * ON CONFLICT with its target instead of INSERT OR IGNORE: the latter would take any other broken constraint
 * for a lost race, and would insert twice into a table without the key. OR ABORT: a further constraint of the
 * table's that says ON CONFLICT REPLACE would have the other key deleted. COLLATE BINARY: no index that takes
 * two ids for one.
 */
static const char *const k_sql[AEL_SQLITE_STATEMENTS] = {
    [AEL_SQLITE_LOAD] = "SELECT key_record FROM encryption_key WHERE id = ?1 AND created = ?2",
    [AEL_SQLITE_LATEST] = "SELECT key_record, created FROM encryption_key "
                          "WHERE id = ?1 ORDER BY created DESC LIMIT 1",
    [AEL_SQLITE_LIST] = "SELECT key_record, created, id FROM encryption_key "
                        "WHERE id >= ?1 ORDER BY id, created",
    [AEL_SQLITE_STORE] = "INSERT OR ABORT INTO encryption_key (id, created, key_record) "
                         "VALUES (?1, ?2, ?3) "
                         "ON CONFLICT (id COLLATE BINARY, created) DO NOTHING",
    [AEL_SQLITE_UPDATE] = "UPDATE encryption_key SET key_record = ?3 "
                          "WHERE id = ?1 AND created = ?2",
};

/* ---- waiting ---- */

static int64_t now_ms(void) {
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void nap(int64_t ms) {
    struct timespec time = {.tv_sec = 0, .tv_nsec = (long)ms * 1000000};
    (void)nanosleep(&time, NULL);
}

static int64_t min_ms(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* see metastore/sqlite/conn.h */
bool ael_sqlite_conn_gives_way(struct ael_sqlite_conn *conn) {
    bool gives_way = conn->forking != NULL && atomic_load(conn->forking);
    conn->gave_way = conn->gave_way || gives_way;
    return gives_way;
}

/* SQLite asks whether to go on waiting for a lock: until the call or the connection's own time-out is
 * over. */
static int on_busy(void *context, int tries) {
    struct ael_sqlite_conn *conn = context;
    if (tries == 0) {
        conn->busy_since_ms = now_ms();
    }
    int64_t left = conn->busy_timeout_ms - conn->turn_waited_ms - (now_ms() - conn->busy_since_ms);
    if (left <= 0 || ael_call_check(conn->call) != AEL_OK || ael_sqlite_conn_gives_way(conn)) {
        return 0;
    }
    left = min_ms(left, ael_call_remaining_ms(conn->call));
    nap(min_ms(left, min_ms(1 + tries, BUSY_NAP_MAX_MS)));
    return 1;
}

/* SQLite has the write lock and is about to flush: the next one may ask for it. */
static int on_commit(void *context) {
    struct ael_sqlite_conn *conn = context;
    ael_sqlite_turn_give(&conn->turn);
    return 0;
}

/*
 * see metastore/sqlite/conn.h; half of the time at most: a process that was stopped while it had
 * the turn is in nobody's way then
 */
enum ael_status ael_sqlite_conn_take_turn(struct ael_sqlite_conn *conn, struct ael_error *err) {
    int64_t since = now_ms();
    int64_t limit = min_ms(conn->busy_timeout_ms, ael_call_remaining_ms(conn->call)) / 2;
    conn->turn_waited_ms = 0;
    while (!ael_sqlite_turn_try(&conn->turn) && conn->turn_waited_ms < limit) {
        enum ael_status status = ael_call_check(conn->call);
        if (status != AEL_OK) {
            return ael_error_set(
                err, status, 0, AEL_SQLITE_COMPONENT, "the call was over before its turn to write");
        }
        if (ael_sqlite_conn_gives_way(conn)) {
            return ael_error_set(
                err, AEL_E_TIMEOUT, 0, AEL_SQLITE_COMPONENT, "a fork came before its turn to write");
        }
        nap(min_ms(
            limit - conn->turn_waited_ms,
            conn->turn_waited_ms < TURN_NEW_MS ? TURN_NAP_NEW_MS : TURN_NAP_MS));
        conn->turn_waited_ms = now_ms() - since;
    }
    return AEL_OK;
}

/* SQLite asks now and then whether to go on with a statement. */
static int on_progress(void *context) {
    const struct ael_sqlite_conn *conn = context;
    return ael_call_check(conn->call) != AEL_OK;
}

/* ---- statements ---- */

/* see metastore/sqlite/conn.h */
enum ael_status ael_sqlite_exec(struct ael_sqlite_conn *conn, const char *sql, struct ael_error *err) {
    int result = sqlite3_exec(conn->db, sql, NULL, NULL, NULL);
    return result == SQLITE_OK ? AEL_OK : ael_sqlite_failed(conn, result, err);
}

/* see metastore/sqlite/conn.h */
enum ael_status ael_sqlite_conn_make_table(struct ael_sqlite_conn *conn, struct ael_error *err) {
    int result = ael_sqlite_table_ensure(conn->db);
    return result == SQLITE_OK ? AEL_OK : ael_sqlite_failed(conn, result, err);
}

/* see metastore/sqlite/conn.h */
enum ael_status ael_sqlite_begin(struct ael_sqlite_conn *conn, struct ael_error *err) {
    enum ael_status status = ael_sqlite_conn_take_turn(conn, err);
    return status == AEL_OK ? ael_sqlite_exec(conn, "BEGIN IMMEDIATE", err) : status;
}

/* see metastore/sqlite/conn.h */
void ael_sqlite_rollback(struct ael_sqlite_conn *conn) {
    if (sqlite3_get_autocommit(conn->db)) {
        return;
    }
    conn->call = NULL; /* the call may be over; this has to be done all the same */
    if (sqlite3_exec(conn->db, "ROLLBACK", NULL, NULL, NULL) != SQLITE_OK) {
        conn->broken = true;
    }
}

/* ---- opening ---- */

static enum ael_status
open_file(struct ael_sqlite_conn *conn, const char *path, bool create, struct ael_error *err) {
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE |
                (create ? SQLITE_OPEN_CREATE : 0);
    int result = sqlite3_open_v2(path, &conn->db, flags, NULL);
    if (result != SQLITE_OK) {
        return ael_sqlite_failed(conn, result, err);
    }
    (void)sqlite3_extended_result_codes(conn->db, 1);
    (void)sqlite3_busy_handler(conn->db, on_busy, conn);
    sqlite3_progress_handler(conn->db, PROGRESS_STEPS, on_progress, conn);
    (void)sqlite3_commit_hook(conn->db, on_commit, conn);
    /* The file's schema is data: functions and virtual tables of the host are none of its business. */
    (void)sqlite3_db_config(conn->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    return AEL_OK;
}

static int step_journal_mode(sqlite3_stmt *statement, bool *is_wal) {
    int result = sqlite3_step(statement);
    if (result == SQLITE_ROW) {
        const unsigned char *mode = sqlite3_column_text(statement, 0);
        *is_wal = mode != NULL && sqlite3_stricmp((const char *)mode, "wal") == 0;
        result = SQLITE_OK;
    }
    (void)sqlite3_reset(statement);
    return result;
}

/*
 * The step into WAL does not always ask the busy handler when several processes take it at once: asked for it
 * here.
 */
static int set_wal(struct ael_sqlite_conn *conn, bool *is_wal) {
    sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v2(conn->db, "PRAGMA journal_mode=WAL", -1, &statement, NULL);
    if (result == SQLITE_OK) {
        int tries = 0;
        do {
            result = step_journal_mode(statement, is_wal);
        } while ((result & 0xff) == SQLITE_BUSY && on_busy(conn, tries++));
    }
    (void)sqlite3_finalize(statement);
    return result;
}

static enum ael_status set_durable(struct ael_sqlite_conn *conn, struct ael_error *err) {
    bool is_wal = false;
    int result = set_wal(conn, &is_wal);
    if (result != SQLITE_OK) {
        return ael_sqlite_failed(conn, result, err);
    }
    if (!is_wal) {
        return ael_error_set(
            err, AEL_E_BACKEND, 0, AEL_SQLITE_COMPONENT,
            "the file cannot be set to WAL; put it on a local disk");
    }
    return ael_sqlite_exec(
        conn, "PRAGMA synchronous=FULL; PRAGMA secure_delete=ON; PRAGMA cell_size_check=ON", err);
}

static enum ael_status check_table(struct ael_sqlite_conn *conn, struct ael_error *err) {
    enum ael_status verdict = AEL_OK;
    int result = ael_sqlite_table_check(conn->db, &verdict, err);
    return result == SQLITE_OK ? verdict : ael_sqlite_failed(conn, result, err);
}

static enum ael_status prepare_statements(struct ael_sqlite_conn *conn, struct ael_error *err) {
    for (int i = 0; i < AEL_SQLITE_STATEMENTS; i++) {
        int result =
            sqlite3_prepare_v3(conn->db, k_sql[i], -1, SQLITE_PREPARE_PERSISTENT, &conn->statements[i], NULL);
        if (result != SQLITE_OK) {
            return ael_sqlite_failed(conn, result, err);
        }
    }
    return AEL_OK;
}

static enum ael_status
set_up(struct ael_sqlite_conn *conn, const char *path, bool create, struct ael_error *err) {
    enum ael_status status = open_file(conn, path, create, err);
    if (status == AEL_OK) {
        status = set_durable(conn, err);
    }
    if (status == AEL_OK && create) {
        status = ael_sqlite_conn_make_table(conn, err);
    }
    if (status == AEL_OK) {
        status = check_table(conn, err);
    }
    if (status == AEL_OK) {
        status = prepare_statements(conn, err);
    }
    if (status == AEL_OK) {
        ael_sqlite_turn_open(&conn->turn, sqlite3_db_filename(conn->db, "main"));
    }
    return status;
}

/* see metastore/sqlite/conn.h */
enum ael_status ael_sqlite_conn_open(
    const char *path,
    uint32_t busy_timeout_ms,
    bool create,
    const struct ael_call *call,
    struct ael_sqlite_conn **conn,
    struct ael_error *err) {
    *conn = NULL;
    struct ael_sqlite_conn *made = ael_sys_alloc(sizeof(*made));
    if (made == NULL) {
        return ael_error_set(err, AEL_E_NO_MEMORY, 0, AEL_SQLITE_COMPONENT, "no memory for a connection");
    }
    made->pid = getpid();
    made->busy_timeout_ms = busy_timeout_ms;
    made->call = call;
    made->turn = (struct ael_sqlite_turn)AEL_SQLITE_TURN_INIT;
    enum ael_status status = set_up(made, path, create, err);
    if (status != AEL_OK) {
        ael_sqlite_conn_close(made);
        return status;
    }
    *conn = made;
    return AEL_OK;
}

/* see metastore/sqlite/conn.h */
void ael_sqlite_conn_close(struct ael_sqlite_conn *conn) {
    if (conn == NULL) {
        return;
    }
    conn->call = NULL;
    ael_sqlite_turn_close(&conn->turn);
    for (int i = 0; i < AEL_SQLITE_STATEMENTS; i++) {
        (void)sqlite3_finalize(conn->statements[i]);
    }
    (void)sqlite3_close_v2(conn->db);
    ael_sys_free(conn);
}

/* see metastore/sqlite/conn.h */
bool ael_sqlite_conn_has_moved(struct ael_sqlite_conn *conn) {
    int moved = 0;
    return sqlite3_file_control(conn->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && moved != 0;
}
