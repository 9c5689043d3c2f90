/* SPDX-License-Identifier: Apache-2.0 */
#include "metastore/postgres/conn.h"

#include "metastore/postgres/pooler.h"
#include "metastore/sql/sql_wait.h"

#include <ctype.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    SENTENCE_BYTES = 160,
    SHORT_BYTES = 4096, /* behind the first read: fewer than the 8 KiB by which a server sends */
    STATE_BYTES = 6, /* SQLSTATE */
};

/* ---- what went wrong ---- */

/* The first line of a text of libpq's, without what stands before "FATAL:  28P01: " and such in it. */
static void first_line(const char *text, char out[SENTENCE_BYTES]) {
    size_t len = strcspn(text, "\n");
    (void)snprintf(out, SENTENCE_BYTES, "%.*s", (int)(len < SENTENCE_BYTES ? len : SENTENCE_BYTES - 1), text);
}

/* The line in which it stands. */
static const char *line_of(const char *text, const char *at) {
    while (at > text && at[-1] != '\n') {
        at--;
    }
    return at;
}

/*
 * With verbose errors a line of the server's is "...FATAL:  28P01: sentence", whatever its language. That
 * line may stand behind those of addresses that were tried before, and is returned; else the text is.
 */
static const char *find_state(const char *text, char state[STATE_BYTES]) {
    state[0] = '\0';
    for (const char *at = text; (at = strstr(at, ":  ")) != NULL; at++) {
        const char *code = at + 3;
        size_t len = 0;
        while (len < 5 && (isdigit((unsigned char)code[len]) || isupper((unsigned char)code[len]))) {
            len++;
        }
        if (len == 5 && code[5] == ':') {
            memcpy(state, code, 5);
            state[5] = '\0';
            return line_of(text, at);
        }
    }
    return text;
}

static bool is_class(const char *state, const char *class) {
    return strncmp(state, class, 2) == 0;
}

static bool is_state(const char *state, const char *const *states) {
    for (; *states != NULL; states++) {
        if (strcmp(state, *states) == 0) {
            return true;
        }
    }
    return false;
}

/* The server refuses for now, and may not the next time, or another server may not. */
static bool is_passing(const char *state) {
    static const char *const k_states[] = {
        "57P01", /* shut down by its administrator, or the backend ended */
        "57P02", /* another backend crashed */
        "57P03", /* starting up or shutting down */
        "57P05", /* idle for too long */
        "53300", /* too many connections */
        NULL,
    };
    return is_class(state, "08") || is_state(state, k_states);
}

/* Another connection may do better with the same statement, of which nothing was done. */
static bool is_of_this_connection(const char *state) {
    static const char *const k_states[] = {
        "25006", /* read-only: a standby, or a primary that became one */
        "26000", /* no such prepared statement: somebody between us and the server exchanged connections */
        "42P05", /* such a prepared statement is there: the same */
        "0A000", /* the table was altered under a prepared statement, */
        "42804", /* so that a parameter's type does not fit its column any more, */
        "42883", /* or a function that reads one does not */
        "40001", /* serialization, */
        "40P01", /* deadlock: once more */
        "25P03", /* idle in a transaction for too long */
        NULL,
    };
    return is_state(state, k_states) || is_passing(state);
}

static enum ael_status status_of_state(const char *state) {
    static const char *const k_too_large[] = {"22001", "54000", NULL};
    static const char *const k_too_slow[] = {"57014", "55P03", NULL};
    if (is_passing(state) || strcmp(state, "25006") == 0) {
        return AEL_E_UNREACHABLE;
    }
    if (is_state(state, k_too_large)) {
        return AEL_E_TOO_LARGE;
    }
    return is_state(state, k_too_slow) ? AEL_E_TIMEOUT : AEL_E_BACKEND;
}

/* A pooler's refusal by the server's sentence; NULL where the server itself speaks, or it is not known. */
static const struct ael_pg_refusal *pooler_refusal(const char *state, const char *text) {
    return strcmp(state, AEL_PG_POOLER_STATE) == 0 ? ael_pg_pooler_refusal(text) : NULL;
}

/* Sets the error of a state; a pooler's refusal has another one than it says, and a remedy. */
static enum ael_status refused(
    const char *state, const struct ael_pg_refusal *refusal, const char *sentence, struct ael_error *err) {
    if (refusal == NULL) {
        return ael_error_set(err, status_of_state(state), 0, AEL_PG_COMPONENT, "%s", sentence);
    }
    return ael_error_set(
        err, status_of_state(refusal->state), 0, AEL_PG_COMPONENT, "%s; %s", sentence, refusal->remedy);
}

/* The connection is of no more use; the call over, the server silent, or the descriptor dead. */
static enum ael_status given_up(struct ael_pg_conn *conn, enum ael_status status, struct ael_error *err) {
    conn->base.broken = true;
    if (status == AEL_E_UNREACHABLE) {
        return ael_error_set(
            err, status, 0, AEL_PG_COMPONENT, "the server did not answer for %u ms", conn->answer_timeout_ms);
    }
    return ael_error_set(err, status, 0, AEL_PG_COMPONENT, "the call was over before the server answered");
}

/* What is lost may have said why as its last word. */
static enum ael_status lost(struct ael_pg_conn *conn, struct ael_error *err) {
    char state[STATE_BYTES];
    char line[SENTENCE_BYTES];
    const char *said = find_state(PQerrorMessage(conn->pg), state);
    first_line(said, line);
    const struct ael_pg_refusal *refusal = pooler_refusal(state, said);
    conn->base.broken = true;
    conn->base.retry = true;
    return ael_error_set(
        err, AEL_E_UNREACHABLE, 0, AEL_PG_COMPONENT, "the connection was lost: %s%s%s", line,
        refusal == NULL ? "" : "; ", refusal == NULL ? "" : refusal->remedy);
}

/* In English: PgBouncer sends only the field that a server translates, and does not translate it. */
static const char *severity_of(const PGresult *result) {
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    return severity != NULL ? severity : PQresultErrorField(result, PG_DIAG_SEVERITY);
}

/* Relaxed: who misses it meets the row himself. */
static void note_long(struct ael_pg_conn *conn) {
    atomic_store_explicit(conn->meets_long, true, memory_order_relaxed);
}

/* A result that tells of a failure. Its detail and context may hold values: only its first line is
 * repeated. */
static enum ael_status failed(struct ael_pg_conn *conn, const PGresult *result, struct ael_error *err) {
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *sentence = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *severity = severity_of(result);
    if (state == NULL || sentence == NULL) {
        if (conn->ought_to_be_short) { /* libpq has no memory for its length, mostly */
            note_long(conn);
        }
        return lost(conn, err);
    }
    char line[SENTENCE_BYTES];
    char said[SENTENCE_BYTES];
    const struct ael_pg_refusal *refusal = pooler_refusal(state, sentence);
    first_line(sentence, line);
    (void)snprintf(said, sizeof(said), "%s: %.*s", state, SENTENCE_BYTES - STATE_BYTES - 3, line);
    bool is_fatal = severity != NULL && strcmp(severity, "ERROR") != 0;
    conn->base.retry = is_of_this_connection(refusal == NULL ? state : refusal->state);
    conn->base.broken = conn->base.broken || is_fatal || conn->base.retry;
    if (refusal != NULL || (!is_fatal && strcmp(state, "40003") != 0)) {
        conn->base.sent = false; /* a refusal kept it from the server, an ERROR undid it for certain */
    }
    return refused(state, refusal, said, err);
}

/* ---- statements ---- */

static struct ael_sql_wait begin_wait(struct ael_pg_conn *conn) {
    return ael_sql_wait_begin(conn->base.call, conn->answer_timeout_ms, &conn->base.look);
}

/* Waits for the call's end at most. */
static enum ael_status wait_once(
    struct ael_pg_conn *conn, struct ael_sql_wait *wait, short events, struct ael_error *err) {
    enum ael_status status = ael_sql_wait_for(wait, PQsocket(conn->pg), events);
    return status == AEL_OK ? AEL_OK : given_up(conn, status, err);
}

/* Takes in what has come. */
static enum ael_status take_in(struct ael_pg_conn *conn, struct ael_error *err) {
    return PQconsumeInput(conn->pg) != 0 ? AEL_OK : lost(conn, err);
}

static enum ael_status flush(struct ael_pg_conn *conn, struct ael_error *err) {
    int left = PQflush(conn->pg);
    if (left == 0) {
        return AEL_OK; /* all of it went at once: no clock is read */
    }
    struct ael_sql_wait wait = begin_wait(conn);
    for (; left > 0; left = PQflush(conn->pg)) {
        enum ael_status status = wait_once(conn, &wait, POLLIN | POLLOUT, err);
        status = status == AEL_OK ? take_in(conn, err) : status;
        if (status != AEL_OK) {
            return status;
        }
    }
    return left == 0 ? AEL_OK : lost(conn, err);
}

/*
 * Counts what is about to be taken in of an answer that ought to be short, and that its first read did not
 * end: libpq would take in whatever comes, for as long as more comes, and a row may be as long as somebody
 * made it. What comes behind the look is not counted, so it has to be small.
 */
static enum ael_status count_more(struct ael_pg_conn *conn, size_t *bytes, struct ael_error *err) {
    int waiting = 0;
    (void)ioctl(PQsocket(conn->pg), FIONREAD, &waiting);
    *bytes += waiting > 0 ? (size_t)waiting : 0;
    if (*bytes <= SHORT_BYTES) {
        return AEL_OK;
    }
    note_long(conn);
    conn->base.broken = true;
    conn->base.retry = true;
    return ael_error_set(
        err, AEL_E_UNREACHABLE, 0, AEL_PG_COMPONENT, "a row is longer than a key record; ask for it again");
}

static enum ael_status wait_for_result(struct ael_pg_conn *conn, struct ael_error *err) {
    struct ael_sql_wait wait = begin_wait(conn);
    size_t bytes = 0;
    bool is_first = true;
    while (PQisBusy(conn->pg) != 0) {
        enum ael_status status = wait_once(conn, &wait, POLLIN, err);
        if (status == AEL_OK && conn->ought_to_be_short && !is_first) {
            status = count_more(conn, &bytes, err);
        }
        if (status == AEL_OK) {
            status = take_in(conn, err);
        }
        if (status != AEL_OK) {
            return status;
        }
        is_first = false;
    }
    return AEL_OK;
}

/* Waits for the next result; NULL when the server is ready for another statement. */
static enum ael_status next_result(struct ael_pg_conn *conn, PGresult **result, struct ael_error *err) {
    enum ael_status status = PQisBusy(conn->pg) != 0 ? wait_for_result(conn, err) : AEL_OK;
    if (status != AEL_OK) {
        return status;
    }
    *result = PQgetResult(conn->pg);
    return AEL_OK;
}

static bool is_good(const PGresult *result) {
    switch (PQresultStatus(result)) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_SINGLE_TUPLE:
        return true;
    default:
        return false;
    }
}

static enum ael_status
send_statement(struct ael_pg_conn *conn, const struct ael_pg_statement *statement, struct ael_error *err) {
    conn->base.retry = false;
    conn->base.sent = false;
    conn->ought_to_be_short = statement->is_short;
    int format = statement->is_binary ? 1 : 0;
    int ok = statement->name == NULL
                 ? PQsendQueryParams(
                       conn->pg, statement->sql, statement->count, NULL, statement->values,
                       statement->lengths, statement->formats, format)
                 : PQsendQueryPrepared(
                       conn->pg, statement->name, statement->count, statement->values, statement->lengths,
                       statement->formats, format);
    if (ok == 0) {
        return lost(conn, err);
    }
    conn->base.sent = true;
    return AEL_OK;
}

/* What the server says between a result and being ready is of the commit. */
static enum ael_status
end_statement(struct ael_pg_conn *conn, enum ael_status status, struct ael_error *err) {
    if (PQtransactionStatus(conn->pg) == PQTRANS_IDLE) {
        return status;
    }
    return status == AEL_OK ? lost(conn, err) : (conn->base.broken = true, status);
}

/* Takes the results in to the end; the first good one is kept, and a failure wins over it. */
static enum ael_status take_results(struct ael_pg_conn *conn, PGresult **kept, struct ael_error *err) {
    enum ael_status outcome = AEL_OK;
    for (;;) {
        PGresult *result = NULL;
        enum ael_status status = next_result(conn, &result, err);
        if (status != AEL_OK) {
            return status;
        }
        if (result == NULL) {
            return end_statement(conn, outcome, err);
        }
        if (is_good(result) && *kept == NULL) {
            *kept = result;
            continue;
        }
        if (!is_good(result) && outcome == AEL_OK) {
            outcome = failed(conn, result, err);
        }
        PQclear(result);
    }
}

static enum ael_status run_sent(struct ael_pg_conn *conn, PGresult **result, struct ael_error *err) {
    *result = NULL;
    enum ael_status status = flush(conn, err);
    if (status == AEL_OK) {
        status = take_results(conn, result, err);
    }
    if (status == AEL_OK && *result == NULL) {
        status = lost(conn, err);
    }
    if (status != AEL_OK) {
        PQclear(*result);
        *result = NULL;
    }
    return status;
}

/* see metastore/postgres/conn.h */
enum ael_status ael_pg_run(
    struct ael_pg_conn *conn,
    const struct ael_pg_statement *statement,
    PGresult **result,
    struct ael_error *err) {
    *result = NULL;
    enum ael_status status = send_statement(conn, statement, err);
    return status == AEL_OK ? run_sent(conn, result, err) : status;
}

/* see metastore/postgres/conn.h */
enum ael_status
ael_pg_prepare(struct ael_pg_conn *conn, const struct ael_pg_statement *statement, struct ael_error *err) {
    PGresult *result = NULL;
    conn->base.retry = false;
    conn->base.sent = false;
    conn->ought_to_be_short = false;
    if (PQsendPrepare(conn->pg, statement->name, statement->sql, statement->count, NULL) == 0) {
        return lost(conn, err);
    }
    enum ael_status status = run_sent(conn, &result, err);
    PQclear(result);
    return status;
}

/* Hands rows on until no more are wanted or there; *more tells which. */
static enum ael_status
take_rows(struct ael_pg_conn *conn, ael_pg_row_fn row, void *context, struct ael_error *err) {
    enum ael_status outcome = AEL_OK;
    for (;;) {
        PGresult *result = NULL;
        enum ael_status status = next_result(conn, &result, err);
        if (status != AEL_OK) {
            return status;
        }
        if (result == NULL) {
            return end_statement(conn, outcome, err);
        }
        bool more = true;
        if (!is_good(result)) {
            outcome = outcome == AEL_OK ? failed(conn, result, err) : outcome;
        } else if (PQresultStatus(result) == PGRES_SINGLE_TUPLE) {
            more = row(context, result);
        }
        PQclear(result);
        if (!more) {
            conn->base.broken = true; /* the rest is not waited for */
            return AEL_OK;
        }
    }
}

/* see metastore/postgres/conn.h */
enum ael_status ael_pg_run_rows(
    struct ael_pg_conn *conn,
    const struct ael_pg_statement *statement,
    ael_pg_row_fn row,
    void *context,
    struct ael_error *err) {
    enum ael_status status = send_statement(conn, statement, err);
    if (status == AEL_OK && PQsetSingleRowMode(conn->pg) == 0) {
        status = lost(conn, err);
    }
    if (status == AEL_OK) {
        status = flush(conn, err);
    }
    return status == AEL_OK ? take_rows(conn, row, context, err) : status;
}

/* ---- connecting ---- */

/*
 * Notices are not repeated; the default receiver writes them to standard error. Between two statements a
 * server that ends a connection says so in one, and closes it only afterwards.
 */
static void look_at_notice(void *context, const PGresult *notice) {
    struct ael_pg_conn *conn = context;
    const char *severity = severity_of(notice);
    conn->ended = conn->ended ||
                  (severity != NULL && (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0));
}

static enum ael_status
connect_failed(const struct ael_pg_conn *conn, const struct ael_pg_address *address, struct ael_error *err) {
    char state[STATE_BYTES];
    char line[SENTENCE_BYTES];
    const char *said = find_state(PQerrorMessage(conn->pg), state);
    first_line(said, line);
    ael_pg_address_redact(address, line);
    if (state[0] == '\0') {
        return ael_error_set(err, AEL_E_UNREACHABLE, 0, AEL_PG_COMPONENT, "%s", line);
    }
    return refused(state, pooler_refusal(state, said), line, err); /* line may end before the words do */
}

/* Takes the steps of a connection that was begun. */
static enum ael_status take_steps(
    struct ael_pg_conn *conn,
    const struct ael_pg_address *address,
    struct ael_sql_wait *wait,
    struct ael_error *err) {
    PostgresPollingStatusType step = PGRES_POLLING_WRITING;
    while (step != PGRES_POLLING_OK) {
        short event = step == PGRES_POLLING_READING ? POLLIN : POLLOUT;
        enum ael_status status = ael_sql_wait_for(wait, PQsocket(conn->pg), event);
        if (status == AEL_E_UNREACHABLE) {
            return ael_error_set(
                err, status, 0, AEL_PG_COMPONENT, "the server did not take the connection in time");
        }
        if (status != AEL_OK) {
            return ael_error_set(
                err, status, 0, AEL_PG_COMPONENT, "the call was over before the connection was there");
        }
        step = PQconnectPoll(conn->pg);
        if (step == PGRES_POLLING_FAILED) {
            return connect_failed(conn, address, err);
        }
    }
    return PQsetnonblocking(conn->pg, 1) == 0 ? AEL_OK : connect_failed(conn, address, err);
}

static enum ael_status open_host(
    struct ael_pg_conn *conn,
    const struct ael_pg_address *address,
    size_t host,
    const char *attributes,
    uint32_t timeout_ms,
    struct ael_error *err) {
    struct ael_pg_parameters parameters;
    struct ael_sql_wait wait = ael_sql_wait_begin(conn->base.call, timeout_ms, NULL);
    ael_pg_address_parameters(address, host, attributes, &parameters);
    conn->pg = PQconnectStartParams(parameters.keywords, parameters.values, 0);
    if (conn->pg == NULL) {
        return ael_error_set(err, AEL_E_NO_MEMORY, 0, AEL_PG_COMPONENT, "no memory for a connection");
    }
    (void)PQsetNoticeReceiver(conn->pg, look_at_notice, conn);
    (void)PQsetErrorVerbosity(conn->pg, PQERRORS_VERBOSE);
    enum ael_status status = PQstatus(conn->pg) == CONNECTION_BAD ? connect_failed(conn, address, err)
                                                                  : take_steps(conn, address, &wait, err);
    if (status != AEL_OK) {
        ael_pg_conn_close(conn);
    }
    return status;
}

/* Is there any use in trying the next host? */
static bool is_over(enum ael_status status) {
    return status == AEL_OK || status == AEL_E_TIMEOUT || status == AEL_E_CANCELLED ||
           status == AEL_E_NO_MEMORY;
}

/* Each host in turn. A host that cannot be reached weighs more than one that refuses: it may come back. */
static enum ael_status open_some_host(
    struct ael_pg_conn *conn,
    const struct ael_pg_address *address,
    const char *attributes,
    uint32_t timeout_ms,
    struct ael_error *err) {
    enum ael_status outcome = AEL_E_BACKEND;
    for (size_t i = 0; i < address->host_count; i++) {
        struct ael_error problem = {0};
        enum ael_status status = open_host(conn, address, i, attributes, timeout_ms, &problem);
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
    return outcome;
}

/* see metastore/postgres/conn.h. Of a single host libpq cannot prefer anything. */
enum ael_status ael_pg_conn_open(
    struct ael_pg_conn *conn,
    const struct ael_pg_address *address,
    const char *target_session_attrs,
    uint32_t connect_timeout_ms,
    const struct ael_call *call,
    struct ael_error *err) {
    bool prefers = strcmp(target_session_attrs, "prefer-standby") == 0;
    conn->base.call = call;
    enum ael_status status =
        open_some_host(conn, address, prefers ? "standby" : target_session_attrs, connect_timeout_ms, err);
    if (prefers && !is_over(status)) {
        status = open_some_host(conn, address, "any", connect_timeout_ms, err);
    }
    return status;
}

/* see metastore/postgres/conn.h */
void ael_pg_conn_close(struct ael_pg_conn *conn) {
    PQfinish(conn->pg);
    conn->pg = NULL;
}

/* see metastore/postgres/conn.h. Only a member is read: the rest may be in the middle of
 * something. */
void ael_pg_conn_drop(struct ael_pg_conn *conn) {
    int descriptor = conn->pg == NULL ? -1 : PQsocket(conn->pg);
    if (descriptor >= 0) {
        (void)close(descriptor);
    }
}

/* see metastore/postgres/conn.h. A server that ends a connection says why, then closes it: two
 * reads, of which the second may find nothing yet. */
bool ael_pg_conn_is_there(struct ael_pg_conn *conn) {
    struct pollfd descriptor = {.fd = PQsocket(conn->pg), .events = POLLIN};
    for (int reads = 0; reads < 4 && poll(&descriptor, 1, 0) > 0; reads++) {
        if (PQconsumeInput(conn->pg) == 0) {
            return false;
        }
    }
    return PQisBusy(conn->pg) == 0 && PQstatus(conn->pg) == CONNECTION_OK && !conn->ended;
}
