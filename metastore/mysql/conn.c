/* SPDX-License-Identifier: Apache-2.0 */
#include "metastore/mysql/conn.h"

#include "metastore/sql/sql_wait.h"

#include <errmsg.h>
#include <errno.h>
#include <fcntl.h>
#include <mysqld_error.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    SENTENCE_BYTES = 160,
    HANDSHAKE_SLICE_S = 1, /* see wait_for_io */
};

/* Numbers that MariaDB's headers do not name. */
enum {
    MYSQL_OFFLINE_MODE = 3032,
    MYSQL_NOT_AVAILABLE = 3168,
    MYSQL_IDLE_TOO_LONG = 4031,
    MYSQL_QUERY_TIMEOUT = 3024,
    MARIADB_QUERY_TIMEOUT = 1969,
    MARIADB_KILLED = 1927,
    MYSQL_GROUP_HOOK = 3100,
};

/* ---- waiting ---- */

/* The library's function for waiting takes no context: whose connection it is, is known by the thread it runs
 * on. */
static _Thread_local struct ael_my_conn *t_conn;

static void enter(struct ael_my_conn *conn) {
    t_conn = conn;
    conn->stopped = AEL_OK;
}

static void leave(void) {
    t_conn = NULL;
}

/*
 * The library shakes hands for TLS on a descriptor that it made blocking, and would wait inside of OpenSSL
 * then: from the first wait on, which mostly is that for the server's first words, it is not. Should those be
 * there at once, reads end every HANDSHAKE_SLICE_S, and come here. While a statement is sent, the wait is for
 * sending whatever the library says: with TLS it waits for the wrong event.
 *
 * 1 = go on, 0 = give up.
 */
static int wait_for_io(my_socket descriptor, my_bool is_read, int timeout_ms) {
    struct ael_my_conn *conn = t_conn;
    (void)timeout_ms;
    if (conn == NULL) {
        return 0; /* a farewell that cannot be sent at once */
    }
    if (conn->open_until_ns != 0) {
        conn->descriptor = descriptor;
        (void)fcntl(descriptor, F_SETFD, FD_CLOEXEC);
        (void)fcntl(descriptor, F_SETFL, O_RDWR | O_NONBLOCK);
    }
    struct ael_sql_wait wait =
        conn->open_until_ns != 0
            ? ael_sql_wait_until(conn->base.call, conn->open_until_ns)
            : ael_sql_wait_begin(conn->base.call, conn->answer_timeout_ms, &conn->base.look);
    short events = is_read && !conn->is_sending ? POLLIN : POLLOUT;
    conn->stopped = ael_sql_wait_for(&wait, descriptor, events);
    errno = conn->stopped == AEL_OK ? 0 : ETIMEDOUT;
    return conn->stopped == AEL_OK ? 1 : 0;
}

/* ---- what went wrong ---- */

static bool is_among(unsigned number, const unsigned *numbers) {
    for (; *numbers != 0; numbers++) {
        if (number == *numbers) {
            return true;
        }
    }
    return false;
}

/* The server refuses for now, and may not the next time, or another server may not. Nothing was done. */
static bool is_passing(unsigned number) {
    static const unsigned k_numbers[] = {
        ER_CON_COUNT_ERROR,
        ER_TOO_MANY_USER_CONNECTIONS,
        ER_USER_LIMIT_REACHED,
        ER_HOST_IS_BLOCKED,
        ER_UNKNOWN_COM_ERROR, /* Galera: the node is in no primary component, or not in step */
        /* the same, when a read was to wait for the others; or somebody has a lock for long */
        ER_LOCK_WAIT_TIMEOUT,
        ER_OPTION_PREVENTS_STATEMENT, /* read_only */
        ER_READ_ONLY_MODE,
        ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION,
        MYSQL_OFFLINE_MODE,
        MYSQL_NOT_AVAILABLE,
        MYSQL_IDLE_TOO_LONG,
        0};
    return is_among(number, k_numbers);
}

/* The connection ends, or the server does; whether a statement that writes was done before is not known. */
static bool is_ending(unsigned number) {
    static const unsigned k_numbers[] = {
        ER_SERVER_SHUTDOWN,     ER_NORMAL_SHUTDOWN, ER_SHUTDOWN_COMPLETE, MARIADB_KILLED,
        ER_ERROR_DURING_COMMIT, ER_UNKNOWN_ERROR,   MYSQL_GROUP_HOOK,     0};
    return is_among(number, k_numbers);
}

static bool is_of_client(unsigned number) {
    return (number >= CR_MIN_ERROR && number <= CR_MYSQL_LAST_ERROR) || number >= CER_MIN_ERROR;
}

static enum ael_status status_of(unsigned number) {
    static const unsigned k_too_large[] = {
        ER_DATA_TOO_LONG, ER_NET_PACKET_TOO_LARGE, CR_NET_PACKET_TOO_LARGE, 0};
    static const unsigned k_too_slow[] = {
        ER_LOCK_DEADLOCK, ER_QUERY_INTERRUPTED, MARIADB_QUERY_TIMEOUT, MYSQL_QUERY_TIMEOUT, 0};
    static const unsigned k_of_log_in[] = {CR_AUTH_PLUGIN_CANNOT_LOAD, CR_AUTH_PLUGIN_ERR,
                                           CR_PLUGIN_NOT_ALLOWED,      CR_SECURE_AUTH,
                                           CR_VERSION_ERROR,           0};
    if (number == CR_OUT_OF_MEMORY || number == ER_OUTOFMEMORY) {
        return AEL_E_NO_MEMORY;
    }
    if (is_among(number, k_too_large)) {
        return AEL_E_TOO_LARGE;
    }
    if (is_among(number, k_too_slow)) {
        return AEL_E_TIMEOUT;
    }
    bool is_gone = is_of_client(number) && !is_among(number, k_of_log_in);
    return is_gone || is_passing(number) || is_ending(number) ? AEL_E_UNREACHABLE : AEL_E_BACKEND;
}

/* What the server says, but where that may repeat values of a statement. */
static const char *sentence_for(unsigned number, const char *said) {
    switch (number) {
    case ER_DUP_ENTRY:
        return "a row with this id and date is there";
    case ER_PARSE_ERROR:
    case ER_SYNTAX_ERROR:
        return "the server does not understand the statement";
    case ER_TRUNCATED_WRONG_VALUE: /* of what we write, dates alone can be that */
        return "created is no time in the session's time zone, summer time skips it: make the column "
               "DATETIME, or "
               "the zone +00:00";
    case ER_TRUNCATED_WRONG_VALUE_FOR_FIELD:
    case WARN_DATA_TRUNCATED:
    case ER_INVALID_CHARACTER_STRING:
        return "a column cannot hold the value: make id and key_record utf8mb4";
    case ER_DATA_TOO_LONG:
        return "a column is too short for the value";
    case CR_PLUGIN_NOT_ALLOWED: /* the library's own sentence has other memory for its name */
        return "the server wants the password as it is: that needs its certificate verified (tls=true)";
    case ER_UNKNOWN_COM_ERROR:
        return "the node is in no primary component of its cluster, or not in step with it";
    default:
        return said;
    }
}

/* The first line of what the client library or the server says. */
static void
say(unsigned number, const char *said, const struct ael_my_address *address, char line[SENTENCE_BYTES]) {
    said = sentence_for(number, said);
    size_t len = strcspn(said, "\n");
    (void)snprintf(
        line, SENTENCE_BYTES, "%.*s", (int)(len < SENTENCE_BYTES ? len : SENTENCE_BYTES - 1), said);
    if (address != NULL) {
        ael_my_address_redact(address, line);
    }
}

/* The call was over, or the server silent. */
static enum ael_status given_up(struct ael_my_conn *conn, struct ael_error *err) {
    conn->base.broken = true;
    if (conn->stopped == AEL_E_UNREACHABLE) {
        conn->base.retry = true;
        if (conn->open_until_ns != 0) {
            return ael_error_set(
                err, conn->stopped, 0, AEL_MY_COMPONENT, "the session could not be set up in time");
        }
        return ael_error_set(
            err, conn->stopped, 0, AEL_MY_COMPONENT, "the server did not answer for %u ms",
            conn->answer_timeout_ms);
    }
    return ael_error_set(
        err, conn->stopped, 0, AEL_MY_COMPONENT, "the call was over before the server answered");
}

/* A statement failed, by the library's error or the server's. */
static enum ael_status
failed_by(struct ael_my_conn *conn, unsigned number, const char *said, struct ael_error *err) {
    char line[SENTENCE_BYTES];
    conn->number = number;
    if (conn->stopped != AEL_OK) {
        return given_up(conn, err);
    }
    say(number, said, NULL, line);
    enum ael_status status = status_of(number);
    if (number == 0) {
        status = AEL_E_UNREACHABLE;
    }
    bool is_lost = number == 0 || is_of_client(number) || is_ending(number);
    conn->base.broken = is_lost || is_passing(number);
    conn->base.retry = conn->base.broken || number == ER_LOCK_DEADLOCK;
    conn->base.sent =
        conn->base.sent && is_lost; /* else an error of the server's undid the statement for certain */
    return ael_error_set(err, status, (int32_t)number, AEL_MY_COMPONENT, "%u: %s", number, line);
}

static enum ael_status failed(struct ael_my_conn *conn, struct ael_error *err) {
    return failed_by(conn, mysql_errno(conn->my), mysql_error(conn->my), err);
}

/* see metastore/mysql/conn.h */
unsigned ael_my_error_number(const struct ael_my_conn *conn) {
    return conn->number;
}

/* ---- statements ---- */

static void begin(struct ael_my_conn *conn) {
    conn->base.retry = false;
    conn->base.sent = false;
    conn->number = 0;
}

/* When not all was sent, the server has no whole statement to execute. */
static enum ael_status send_statement(struct ael_my_conn *conn, struct ael_bytes sql, struct ael_error *err) {
    begin(conn);
    conn->is_sending = true;
    int failure = mysql_send_query(conn->my, (const char *)sql.data, (unsigned long)sql.len);
    conn->is_sending = false;
    if (failure != 0) {
        return failed(conn, err);
    }
    conn->base.sent = true;
    return mysql_read_query_result(conn->my) == 0 ? AEL_OK : failed(conn, err);
}

static enum ael_status take_result(struct ael_my_conn *conn, MYSQL_RES **result, struct ael_error *err) {
    *result = mysql_store_result(conn->my);
    return *result != NULL || mysql_errno(conn->my) == 0 ? AEL_OK : failed(conn, err);
}

/* see metastore/mysql/conn.h */
enum ael_status
ael_my_run(struct ael_my_conn *conn, struct ael_bytes sql, MYSQL_RES **result, struct ael_error *err) {
    *result = NULL;
    enter(conn);
    enum ael_status status = send_statement(conn, sql, err);
    if (status == AEL_OK) {
        status = take_result(conn, result, err);
    }
    leave();
    return status;
}

/* What was not read is not waited for: the descriptor is of no more use. */
static void abandon(struct ael_my_conn *conn) {
    conn->base.broken = true;
    (void)shutdown(conn->descriptor, SHUT_RDWR);
}

static enum ael_status take_rows(
    struct ael_my_conn *conn, MYSQL_RES *result, ael_my_row_fn row, void *context, struct ael_error *err) {
    for (;;) {
        MYSQL_ROW values = mysql_fetch_row(result);
        if (values == NULL) {
            return mysql_errno(conn->my) == 0 ? AEL_OK : failed(conn, err);
        }
        leave(); /* the host may call another store from its callback */
        bool more = row(context, values, mysql_fetch_lengths(result));
        if (!more) {
            return AEL_OK;
        }
        enter(conn);
    }
}

/* see metastore/mysql/conn.h */
enum ael_status ael_my_run_rows(
    struct ael_my_conn *conn, struct ael_bytes sql, ael_my_row_fn row, void *context, struct ael_error *err) {
    enter(conn);
    enum ael_status status = send_statement(conn, sql, err);
    MYSQL_RES *result = status == AEL_OK ? mysql_use_result(conn->my) : NULL;
    if (status == AEL_OK && result == NULL) {
        status = failed(conn, err);
    }
    if (result != NULL) {
        status = take_rows(conn, result, row, context, err);
        if (ael_sql_conn_is_lost(&conn->base)) {
            conn->left = result;
            return status; /* a child: reading on would be on its parent's connection */
        }
        if (!mysql_eof(result)) {
            abandon(conn);
        }
        mysql_free_result(result);
    }
    leave();
    return status;
}

/* ---- prepared statements ---- */

/* The server said so; the connection is as good as before. */
static bool is_refusal(const struct ael_my_conn *conn, unsigned number) {
    return conn->stopped == AEL_OK && number != 0 && !is_of_client(number) && !is_ending(number);
}

/* It is the statement that the server does not want, or any to be prepared; not that it is busy or goes. */
static bool is_unwanted(const struct ael_my_conn *conn, unsigned number) {
    bool may_pass = is_passing(number) || status_of(number) == AEL_E_TIMEOUT;
    return is_refusal(conn, number) && (number == ER_UNKNOWN_COM_ERROR || !may_pass);
}

/*
 * see metastore/mysql/conn.h. Whatever is wrong with the statement is told by its text, and by the
 * server's answer to that.
 */
enum ael_status
ael_my_prepare(struct ael_my_conn *conn, MYSQL_STMT *statement, struct ael_bytes sql, struct ael_error *err) {
    static const unsigned k_knows_none[] = {
        ER_UNKNOWN_COM_ERROR, ER_UNKNOWN_STMT_HANDLER, ER_UNSUPPORTED_PS, 0};
    begin(conn);
    enter(conn);
    int failure = mysql_stmt_prepare(statement, (const char *)sql.data, (unsigned long)sql.len);
    leave();
    unsigned number = mysql_stmt_errno(statement);
    conn->has_prepared = conn->has_prepared || failure == 0;
    if (failure == 0) {
        return AEL_OK;
    }
    if (is_unwanted(conn, number)) {
        conn->number = number;
        conn->keeps_none = is_among(number, k_knows_none);
        return AEL_E_UNSUPPORTED;
    }
    conn->lost_preparing = conn->stopped == AEL_OK;
    return failed_by(conn, number, mysql_stmt_error(statement), err);
}

/* see metastore/mysql/conn.h. The library sends it and waits in one, so it counts as sent from the first. */
enum ael_status ael_my_execute(struct ael_my_conn *conn, MYSQL_STMT *statement, struct ael_error *err) {
    static const unsigned k_not_kept[] = {
        ER_UNKNOWN_STMT_HANDLER, ER_UNSUPPORTED_PS, ER_NEED_REPREPARE, ER_MAX_PREPARED_STMT_COUNT_REACHED, 0};
    begin(conn);
    conn->base.sent = true;
    enter(conn);
    int failure = mysql_stmt_execute(statement) != 0 || mysql_stmt_store_result(statement) != 0;
    leave();
    unsigned number = mysql_stmt_errno(statement);
    if (failure == 0) {
        return AEL_OK;
    }
    if (is_refusal(conn, number) && is_among(number, k_not_kept)) {
        conn->keeps_none = true;
        return AEL_E_UNSUPPORTED;
    }
    return failed_by(conn, number, mysql_stmt_error(statement), err);
}

/* see metastore/mysql/conn.h */
void ael_my_conn_forget(struct ael_my_conn *conn, enum ael_my_statement which) {
    struct ael_my_kept *kept = conn->statements[which];
    conn->statements[which] = NULL;
    enter(conn);
    ael_my_kept_free(kept);
    leave();
    bool is_open = mysql_get_socket(conn->my) == conn->descriptor; /* else telling the server ended it */
    conn->base.broken = conn->base.broken || !is_open;
}

/* see metastore/mysql/conn.h */
uint64_t ael_my_changed_rows(struct ael_my_conn *conn) {
    return mysql_affected_rows(conn->my);
}

/* ---- connecting ---- */

/*
 * Ways to log in without a verified certificate. By the first two a password cannot be read by whom it is
 * sent to. By the others, which accounts of MySQL have, it can: a server may ask for all of it, over TLS as
 * it is, else under an RSA key of its own; address.c warns of it. One that is always sent as it is, as clouds
 * want it, is not among them.
 */
static const char k_safe_log_ins[] =
    "mysql_native_password,client_ed25519,caching_sha2_password,sha256_password";

static int set_tls_options(MYSQL *my, const struct ael_my_address *address, const struct ael_my_host *host) {
    my_bool encrypts = (my_bool)(!host->is_local && address->tls != AEL_MY_TLS_OFF);
    my_bool verifies = (my_bool)(!host->is_local && address->tls == AEL_MY_TLS_VERIFY);
    int failures = mysql_optionsv(my, MYSQL_OPT_SSL_ENFORCE, &encrypts);
    failures |= mysql_optionsv(my, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verifies);
    if (encrypts) {
        failures |= mysql_optionsv(my, MARIADB_OPT_TLS_VERSION, "TLSv1.2,TLSv1.3");
    }
    if (encrypts && verifies && address->ca != NULL) {
        failures |= mysql_optionsv(my, MYSQL_OPT_SSL_CA, address->ca);
    }
    if (encrypts && address->certificate != NULL) {
        failures |= mysql_optionsv(my, MYSQL_OPT_SSL_CERT, address->certificate);
        failures |= mysql_optionsv(my, MYSQL_OPT_SSL_KEY, address->key);
    }
    if (!verifies && !host->is_local) {
        failures |= mysql_optionsv(my, MARIADB_OPT_RESTRICTED_AUTH, k_safe_log_ins);
    }
    return failures;
}

static int set_options(MYSQL *my, const struct ael_my_address *address, const struct ael_my_host *host) {
    static const unsigned k_slice_s = HANDSHAKE_SLICE_S;
    static const unsigned k_none = 0;
    static const my_bool k_off = 0;
    unsigned protocol = host->is_local ? MYSQL_PROTOCOL_SOCKET : MYSQL_PROTOCOL_TCP;
    int failures = mysql_optionsv(my, MYSQL_OPT_PROTOCOL, &protocol);
    failures |= mysql_optionsv(my, MARIADB_OPT_IO_WAIT, wait_for_io);
    failures |= mysql_optionsv(my, MYSQL_OPT_CONNECT_TIMEOUT, &k_slice_s);
    failures |= mysql_optionsv(my, MYSQL_OPT_LOCAL_INFILE, &k_none);
    failures |= mysql_optionsv(my, MYSQL_OPT_RECONNECT, &k_off);
    failures |= mysql_optionsv(my, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    failures |= mysql_optionsv(my, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", "ael");
    return failures | set_tls_options(my, address, host);
}

static enum ael_status
connect_failed(const struct ael_my_conn *conn, const struct ael_my_address *address, struct ael_error *err) {
    unsigned number = mysql_errno(conn->my);
    char line[SENTENCE_BYTES];
    if (conn->stopped == AEL_E_UNREACHABLE) {
        return ael_error_set(
            err, AEL_E_UNREACHABLE, 0, AEL_MY_COMPONENT, "the server did not take the connection in time");
    }
    if (conn->stopped != AEL_OK) {
        return ael_error_set(
            err, conn->stopped, 0, AEL_MY_COMPONENT, "the call was over before the connection was there");
    }
    say(number, mysql_error(conn->my), address, line);
    return ael_error_set(err, status_of(number), (int32_t)number, AEL_MY_COMPONENT, "%u: %s", number, line);
}

/* A server without TLS answers "skip-verify" in the clear, the library says nothing. */
static enum ael_status check_tls(
    const struct ael_my_conn *conn,
    const struct ael_my_address *address,
    const struct ael_my_host *host,
    struct ael_error *err) {
    if (host->is_local || address->tls == AEL_MY_TLS_OFF || mysql_get_ssl_cipher(conn->my) != NULL) {
        return AEL_OK;
    }
    return ael_error_set(err, AEL_E_UNREACHABLE, 0, AEL_MY_COMPONENT, "the server offers no TLS");
}

static enum ael_status open_host(
    struct ael_my_conn *conn,
    const struct ael_my_address *address,
    const struct ael_my_host *host,
    struct ael_error *err) {
    if (set_options(conn->my, address, host) != 0) {
        return ael_error_set(
            err, AEL_E_BACKEND, 0, AEL_MY_COMPONENT,
            "the client library does not know an option; install 3.3");
    }
    MYSQL *made = mysql_real_connect(
        conn->my, host->is_local ? NULL : host->name, address->user, address->password, address->database,
        host->port, host->is_local ? host->name : NULL, CLIENT_FOUND_ROWS);
    if (made == NULL) {
        return connect_failed(conn, address, err);
    }
    conn->descriptor = mysql_get_socket(conn->my);
    (void)fcntl(conn->descriptor, F_SETFD, FD_CLOEXEC);
    (void)fcntl(conn->descriptor, F_SETFL, O_RDWR | O_NONBLOCK);
    return check_tls(conn, address, host, err);
}

/* see metastore/mysql/conn.h */
enum ael_status ael_my_conn_open(
    struct ael_my_conn *conn,
    const struct ael_my_address *address,
    const struct ael_my_host *host,
    uint32_t budget_ms,
    const struct ael_call *call,
    struct ael_error *err) {
    conn->base.call = call;
    conn->descriptor = -1;
    conn->keeps_none = false;
    conn->has_stored = false;
    conn->refused = 0;
    conn->my = mysql_init(NULL);
    if (conn->my == NULL) {
        return ael_error_set(err, AEL_E_NO_MEMORY, 0, AEL_MY_COMPONENT, "no memory for a connection");
    }
    conn->open_until_ns = ael_deadline_in_ms(budget_ms);
    enter(conn);
    enum ael_status status = open_host(conn, address, host, err);
    leave();
    if (status != AEL_OK) {
        conn->open_until_ns = 0;
        ael_my_conn_close(conn);
    }
    return status;
}

/* see metastore/mysql/conn.h. Its statements end with it; after it, so that nothing is sent about
 * them. */
void ael_my_conn_close(struct ael_my_conn *conn) {
    mysql_close(conn->my);
    for (int i = 0; i < AEL_MY_STATEMENTS; i++) {
        ael_my_kept_free(conn->statements[i]);
        conn->statements[i] = NULL;
    }
    conn->my = NULL;
    conn->descriptor = -1;
}

/* see metastore/mysql/conn.h. Only a member is read: the rest may be in the middle of something. */
void ael_my_conn_drop(struct ael_my_conn *conn) {
    if (conn->descriptor >= 0) {
        (void)close(conn->descriptor);
    }
}

/* see metastore/mysql/conn.h. A server says nothing unasked but its farewell. */
bool ael_my_conn_is_there(const struct ael_my_conn *conn) {
    struct pollfd polled = {.fd = conn->descriptor, .events = POLLIN};
    return poll(&polled, 1, 0) == 0;
}
