/*
 * test_metastore_mysql_prepared.c - loads run statements that the server keeps prepared, and go on in text where it, or
 * what stands before it, does not keep them: against a real server, the latter through a relay that changes commands.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ael/metastore_mysql.h>
#include <ael/sys/metastore_backend.h>

#include "tests/support/loopback.h"
#include "tests/support/mariadb_server.h"
#include "tests/support/store_calls.h"
#include "tests/support/suite.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TEXT_BYTES = 1024, LOADS = 10 };

static struct mariadb_server g_server;

static struct ael_metastore *open_at(const char *connection) {
    struct ael_metastore_mysql_options options = AEL_METASTORE_MYSQL_OPTIONS_INIT;
    struct ael_metastore *store = NULL;
    struct ael_error err = {0};
    options.connection = connection;
    options.max_connections = 1;
    options.connect_timeout_ms = PATIENT_MS;
    options.answer_timeout_ms = PATIENT_MS;
    enum ael_status status = ael_metastore_mysql_new(&options, &store, &err);
    if (status != AEL_OK) {
        printf("\n    %s: %s", ael_status_name(status), err.detail);
    }
    CU_ASSERT_EQUAL_FATAL(status, AEL_OK);
    return store;
}

static struct ael_metastore *open_local(void) {
    char text[TEXT_BYTES];
    return open_at(mariadb_server_local(&g_server, text, sizeof text));
}

static void sql(const char *text) {
    CU_ASSERT_TRUE(mariadb_server_sql(&g_server, text) >= 0);
}

static void make_table(const char *id) {
    char text[TEXT_BYTES];
    sql("DROP TABLE IF EXISTS encryption_key");
    (void)snprintf(
        text, sizeof text,
        "CREATE TABLE encryption_key (id %s NOT NULL, created TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,"
        " key_record LONGTEXT, PRIMARY KEY (id, created), INDEX (created))",
        id);
    sql(text);
}

#define BYTES_COMPARED "VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"
#define CASE_IGNORED   "VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci"
#define OTHER_CHARS    "VARCHAR(255) CHARACTER SET latin1"

/* How many commands of a kind the server has run. */
static long commands(const char *kind) {
    char text[TEXT_BYTES];
    char value[32] = "-1";
    (void)snprintf(
        text, sizeof text,
        "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = '%s'", kind);
    CU_ASSERT_TRUE(mariadb_server_value(&g_server, text, value, sizeof value));
    return strtol(value, NULL, 10);
}

static void load_some(struct ael_metastore *store) {
    for (int i = 0; i < LOADS; i++) {
        CU_ASSERT_EQUAL(load_from(store, "_IK_x", CREATED, NULL, NULL), AEL_OK);
        CU_ASSERT_EQUAL(latest_from(store, "_IK_x"), AEL_OK);
        CU_ASSERT_EQUAL(load_from(store, "_IK_x", CREATED + 1, NULL, NULL), AEL_E_KEY_NOT_FOUND);
        CU_ASSERT_EQUAL(latest_from(store, "_IK_X"), AEL_E_KEY_NOT_FOUND);
    }
}

static void test_server__starts(void) {
    CU_ASSERT_TRUE_FATAL(mariadb_server_init(&g_server));
}

static void test_server__ends(void) {
    mariadb_server_clear(&g_server);
}

/* ---- what the server keeps ---- */

static void expect_loads_prepared(const char *id, long prepared, long executed) {
    make_table(id);
    struct ael_metastore *store = open_local();
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", CREATED, NULL), AEL_OK);
    long prepared_before = commands("Com_stmt_prepare");
    long executed_before = commands("Com_stmt_execute");
    load_some(store);
    CU_ASSERT_EQUAL(commands("Com_stmt_prepare") - prepared_before, prepared);
    CU_ASSERT_EQUAL(commands("Com_stmt_execute") - executed_before, executed);
    CU_ASSERT_EQUAL(commands("Prepared_stmt_count"), prepared);
    ael_metastore_release(store);
}

static void test_mysql_loads__are_prepared_once_a_connection(void) {
    expect_loads_prepared(BYTES_COMPARED, 2, 4L * LOADS);
    expect_loads_prepared(CASE_IGNORED, 2, 4L * LOADS);
    expect_loads_prepared("VARBINARY(255)", 2, 4L * LOADS);
}

static void test_mysql_loads__of_ids_in_other_characters_are_text(void) {
    expect_loads_prepared(OTHER_CHARS, 0, 0);
}

static void test_mysql_loads__are_text_where_the_server_keeps_no_more(void) {
    sql("SET GLOBAL max_prepared_stmt_count = 0");
    expect_loads_prepared(BYTES_COMPARED, 0, 0);
    sql("SET GLOBAL max_prepared_stmt_count = 16382");
}

/* One that was prepared for ids compared by bytes alone would find another's key. */
static void test_mysql_loads__follow_a_table_that_was_made_anew(void) {
    make_table(BYTES_COMPARED);
    struct ael_metastore *store = open_local();
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", CREATED, NULL), AEL_OK);
    load_some(store);
    sql("DROP TABLE encryption_key");
    CU_ASSERT_EQUAL(load_from(store, "_IK_x", CREATED, NULL, NULL), AEL_E_BACKEND);
    CU_ASSERT_EQUAL(latest_from(store, "_IK_x"), AEL_E_BACKEND);
    make_table(CASE_IGNORED);
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", CREATED, NULL), AEL_OK);
    load_some(store);
    ael_metastore_release(store);
}

static void test_mysql_loads__are_prepared_anew_after_a_lost_connection(void) {
    make_table(BYTES_COMPARED);
    struct ael_metastore *store = open_local();
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", CREATED, NULL), AEL_OK);
    load_some(store);
    mariadb_server_end(&g_server, SIGKILL);
    CU_ASSERT_EQUAL(load_from(store, "_IK_x", CREATED, NULL, NULL), AEL_E_UNREACHABLE);
    CU_ASSERT_TRUE_FATAL(mariadb_server_start(&g_server, NULL));
    load_some(store);
    CU_ASSERT_EQUAL(commands("Prepared_stmt_count"), 2);
    ael_metastore_release(store);
}

/* A row that no place was kept for is read all the same. */
static void test_mysql_loads__read_long_records_whole(void) {
    enum { KEY_BYTES = 8000 };
    char *key = malloc(KEY_BYTES + 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(key);
    memset(key, 'k', KEY_BYTES);
    key[KEY_BYTES] = '\0';
    make_table(BYTES_COMPARED);
    struct ael_metastore *store = open_local();
    struct ael_key_record record = record_of(key, CREATED);
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    bool stored = false;
    CU_ASSERT_EQUAL(
        ael_metastore_store(store, NULL, ael_bytes_from_text("_IK_x"), &record, &stored, NULL), AEL_OK);
    CU_ASSERT_TRUE(stored);
    load_some(store);
    CU_ASSERT_EQUAL(ael_metastore_load_latest(store, NULL, ael_bytes_from_text("_IK_x"), &out, NULL), AEL_OK);
    CU_ASSERT_TRUE(ael_key_record_equal(&out.record, &record));
    CU_ASSERT_EQUAL(store_in(store, "_IK_y", CREATED, NULL), AEL_OK);
    CU_ASSERT_EQUAL(latest_from(store, "_IK_y"), AEL_OK);
    ael_key_record_buf_clear(&out);
    ael_metastore_release(store);
    free(key);
}

/* ---- what stands before the server ---- */

enum { COMMAND_PREPARE = 0x16, COMMAND_EXECUTE = 0x17, COMMAND_NONE = 0x7f, HEADER_BYTES = 4 };

struct relay {
    int listening;
    pthread_t thread;
    bool ends;        /* at a statement that is to be prepared */
    bool refuses;     /* it, as a command that it does not know */
    bool forgets;     /* statements that were prepared */
    atomic_int asked; /* to prepare one */
};

/* One that begins a command: the answers of a log-in have other numbers. False = the connection ends. */
static bool change_command(struct relay *relay, unsigned char *packet, ssize_t len) {
    bool is_command = len > HEADER_BYTES + 4 && packet[3] == 0;
    bool is_prepare = is_command && packet[HEADER_BYTES] == COMMAND_PREPARE;
    atomic_fetch_add(&relay->asked, is_prepare);
    if (is_prepare && relay->refuses) {
        packet[HEADER_BYTES] = COMMAND_NONE;
    }
    if (is_command && packet[HEADER_BYTES] == COMMAND_EXECUTE && relay->forgets) {
        packet[HEADER_BYTES + 3] ^= 0x55; /* of the statement's number */
    }
    return !is_prepare || !relay->ends;
}

static void relay_one(struct relay *relay, int client, int server) {
    struct pollfd ends[] = {{.fd = client, .events = POLLIN}, {.fd = server, .events = POLLIN}};
    ssize_t len = 1;
    while (len > 0 && poll(ends, 2, -1) > 0) {
        unsigned char bytes[65536];
        bool is_client = ends[0].revents != 0;
        len = recv(is_client ? client : server, bytes, sizeof bytes, 0);
        if (is_client && len > 0 && !change_command(relay, bytes, len)) {
            return;
        }
        (void)send(is_client ? server : client, bytes, len > 0 ? (size_t)len : 0, MSG_NOSIGNAL);
    }
}

static void *relay_all(void *context) {
    struct relay *relay = context;
    for (;;) {
        int client = accept(relay->listening, NULL, NULL);
        if (client < 0) {
            return NULL;
        }
        int server = loopback_connect(g_server.port);
        relay_one(relay, client, server);
        (void)close(client);
        (void)close(server);
    }
}

static struct ael_metastore *open_behind(struct relay *relay) {
    char text[TEXT_BYTES];
    int port = 0;
    relay->listening = loopback_listen(8, &port);
    CU_ASSERT_FATAL(relay->listening >= 0);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&relay->thread, NULL, relay_all, relay), 0);
    (void)snprintf(
        text, sizeof text, "mysql://%s:%s@127.0.0.1:%d/%s?tls=false", MARIADB_SERVER_USER,
        MARIADB_SERVER_PASSWORD_URL, port, MARIADB_SERVER_DATABASE);
    return open_at(text);
}

static void close_behind(struct relay *relay, struct ael_metastore *store) {
    ael_metastore_release(store);
    (void)shutdown(relay->listening, SHUT_RDWR);
    (void)pthread_join(relay->thread, NULL);
    (void)close(relay->listening);
}

/* asked: how often it was tried before all went on in text. */
static void expect_loads(struct relay *relay, int asked, long executed) {
    make_table(BYTES_COMPARED);
    struct ael_metastore *store = open_behind(relay);
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", CREATED, NULL), AEL_OK);
    long executed_before = commands("Com_stmt_execute");
    load_some(store);
    CU_ASSERT_EQUAL(commands("Com_stmt_execute") - executed_before, executed);
    CU_ASSERT_EQUAL(atomic_load(&relay->asked), asked);
    close_behind(relay, store);
}

static void test_mysql_loads__go_through_what_hands_all_on(void) {
    struct relay relay = {.ends = false};
    expect_loads(&relay, 2, 4L * LOADS);
}

static void test_mysql_loads__are_text_behind_what_refuses_to_prepare(void) {
    struct relay relay = {.refuses = true};
    expect_loads(&relay, 1, 0);
}

static void test_mysql_loads__are_text_behind_what_forgets_statements(void) {
    struct relay relay = {.forgets = true};
    expect_loads(&relay, 1, 0);
}

static void test_mysql_loads__are_text_behind_what_ends_at_preparing(void) {
    struct relay relay = {.ends = true};
    expect_loads(&relay, 2, 0); /* two connections; the third does without */
}

static const struct test_case k_cases[] = {
    {"the server starts", test_server__starts},
    {"loads are prepared once a connection", test_mysql_loads__are_prepared_once_a_connection},
    {"ids in other characters: text", test_mysql_loads__of_ids_in_other_characters_are_text},
    {"a server at its limit: text", test_mysql_loads__are_text_where_the_server_keeps_no_more},
    {"a table made anew", test_mysql_loads__follow_a_table_that_was_made_anew},
    {"a lost connection", test_mysql_loads__are_prepared_anew_after_a_lost_connection},
    {"long records", test_mysql_loads__read_long_records_whole},
    {"a relay", test_mysql_loads__go_through_what_hands_all_on},
    {"a relay that refuses to prepare: text", test_mysql_loads__are_text_behind_what_refuses_to_prepare},
    {"a relay that forgets statements: text", test_mysql_loads__are_text_behind_what_forgets_statements},
    {"a relay that ends at preparing: text", test_mysql_loads__are_text_behind_what_ends_at_preparing},
    {"the server ends", test_server__ends},
};

TEST_SUITE_MAIN("metastore_mysql_prepared", k_cases)
