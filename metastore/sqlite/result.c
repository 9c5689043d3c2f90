/* SPDX-License-Identifier: Apache-2.0 */
#include "metastore/sqlite/conn.h"

#include <stddef.h>

/* What to do about a result; extended codes stand before those they belong to. */
static const struct {
    int result;
    const char *remedy;
} k_remedies[] = {
    {SQLITE_IOERR_SHMOPEN, "let this process write its folder, on a local disk"},
    {SQLITE_IOERR_SHMSIZE, "WAL needs memory shared by processes: put the file on a local disk with room"},
    {SQLITE_IOERR_SHMLOCK, "WAL needs memory shared by processes: put the file on a local disk"},
    {SQLITE_IOERR_SHMMAP, "WAL needs memory shared by processes: put the file on a local disk"},
    {SQLITE_IOERR_LOCK, "this file system has no locks: put the file on a local disk"},
    {SQLITE_IOERR_WRITE, "see after the disk and the process's limit on file sizes"},
    {SQLITE_IOERR, "see after the disk"},
    {SQLITE_READONLY_DIRECTORY, "let this process write the folder too"},
    {SQLITE_READONLY, "let this process write the file and its folder"},
    {SQLITE_PERM, "let this process write the file and its folder"},
    {SQLITE_CANTOPEN, "its folder must exist, and this process be let into it and write it"},
    {SQLITE_FULL, "make room on its disk"},
    {SQLITE_CORRUPT, "restore the file from a backup; do not go on with it"},
    {SQLITE_NOTADB, "name the file of a store, or restore it from a backup"},
    {SQLITE_BUSY, "another process writes; allow a longer busy_timeout_ms or deadline"},
    {SQLITE_CONSTRAINT, "its table has conditions beyond the key (id, created); remove them"},
    {SQLITE_ERROR, "encryption_key must have id, created and key_record, and the key (id, created)"},
};

static const char *remedy_of(int result) {
    for (size_t i = 0; i < sizeof(k_remedies) / sizeof(k_remedies[0]); i++) {
        if (k_remedies[i].result == result || k_remedies[i].result == (result & 0xff)) {
            return k_remedies[i].remedy;
        }
    }
    return NULL;
}

static enum ael_status status_of_result(const struct ael_sqlite_conn *conn, int result) {
    enum ael_status over = ael_call_check(conn->call);
    switch (result & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL: /* the WAL's locks stayed contended */
        return over == AEL_E_CANCELLED ? AEL_E_CANCELLED : AEL_E_TIMEOUT;
    case SQLITE_INTERRUPT:
        return over == AEL_OK ? AEL_E_CANCELLED : over;
    case SQLITE_NOMEM:
        return AEL_E_NO_MEMORY;
    case SQLITE_CANTOPEN: /* the file or its folder went away: it may come back */
        return AEL_E_UNREACHABLE;
    case SQLITE_IOERR:
        return result == SQLITE_IOERR_NOMEM ? AEL_E_NO_MEMORY : AEL_E_UNREACHABLE;
    default: /* FULL, READONLY, CORRUPT, NOTADB, ERROR: somebody has to look; no cached key may outlive it */
        return AEL_E_BACKEND;
    }
}

/* After a wait that was in vain, a conflict or a lack of memory the connection is as good as before. */
static bool breaks_connection(int result) {
    switch (result & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_INTERRUPT:
    case SQLITE_NOMEM:
    case SQLITE_FULL:
    case SQLITE_CONSTRAINT:
        return false;
    default:
        return true;
    }
}

/* SQLite's sentence may name tables and columns of the file, but no values. */
static enum ael_status tell(
    struct ael_sqlite_conn *conn,
    enum ael_status status,
    int result,
    const char *when,
    struct ael_error *err) {
    const char *sentence = conn->db != NULL ? sqlite3_errmsg(conn->db) : sqlite3_errstr(result);
    const char *remedy = remedy_of(result);
    return ael_error_set(
        err, status, result, AEL_SQLITE_COMPONENT, "%s%.100s%s%s", when, sentence, remedy != NULL ? "; " : "",
        remedy != NULL ? remedy : "");
}

/* see metastore/sqlite/conn.h */
enum ael_status ael_sqlite_failed(struct ael_sqlite_conn *conn, int result, struct ael_error *err) {
    conn->broken = conn->broken || breaks_connection(result);
    return tell(conn, status_of_result(conn, result), result, "", err);
}

/* see metastore/sqlite/conn.h */
enum ael_status ael_sqlite_commit_failed(struct ael_sqlite_conn *conn, int result, struct ael_error *err) {
    if ((result & 0xff) != SQLITE_IOERR) {
        return ael_sqlite_failed(conn, result, err);
    }
    conn->broken = true;
    return tell(conn, AEL_E_OUTCOME_UNKNOWN, result, "while committing: ", err);
}
