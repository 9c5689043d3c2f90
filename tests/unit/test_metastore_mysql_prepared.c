/*
 * test_metastore_mysql_prepared.c - loads and stores run statements that the server keeps prepared, and go on in text
 * where it, or what stands before it, does not keep them: against a real server, the latter through a relay that
 * changes commands.
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

enum { TEXT_BYTES = 1024, LOADS = 10, STORES = 10 };

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

static bool is_stored(struct ael_metastore *store, const char *id, const char *key, enum ael_status expected) {
    struct ael_key_record record = record_of(key, CREATED);
    bool stored = false;
    CU_ASSERT_EQUAL(
        ael_metastore_store(store, NULL, ael_bytes_from_text(id), &record, &stored, NULL), expected);
    return stored;
}

/* For free. */
static char *key_of(size_t len) {
    char *key = malloc(len + 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(key);
    memset(key, 'k', len);
    key[len] = '\0';
    return key;
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
    char *key = key_of(8000);
    make_table(BYTES_COMPARED);
    struct ael_metastore *store = open_local();
    struct ael_key_record record = record_of(key, CREATED);
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    CU_ASSERT_TRUE(is_stored(store, "_IK_x", key, AEL_OK));
    load_some(store);
    CU_ASSERT_EQUAL(ael_metastore_load_latest(store, NULL, ael_bytes_from_text("_IK_x"), &out, NULL), AEL_OK);
    CU_ASSERT_TRUE(ael_key_record_equal(&out.record, &record));
    CU_ASSERT_EQUAL(store_in(store, "_IK_y", CREATED, NULL), AEL_OK);
    CU_ASSERT_EQUAL(latest_from(store, "_IK_y"), AEL_OK);
    ael_key_record_buf_clear(&out);
    ael_metastore_release(store);
    free(key);
}

/*
 * A row that is longer than any key is met once by a store, and the connection whose buffers it filled is
 * ended.
 */
static void test_mysql_loads__are_text_once_a_row_was_far_too_long(void) {
    make_table(BYTES_COMPARED);
    struct ael_metastore *store = open_local();
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", CREATED, NULL), AEL_OK);
    sql("INSERT INTO encryption_key (id, created, key_record)"
        " VALUES ('_IK_long', '2023-11-14 22:14:00', REPEAT('A', 8388608))");
    long connected = commands("Connections");
    CU_ASSERT_EQUAL(load_from(store, "_IK_long", CREATED, NULL, NULL), AEL_E_BACKEND_DATA);
    long executed = commands("Com_stmt_execute");
    load_some(store);
    CU_ASSERT_EQUAL(latest_from(store, "_IK_long"), AEL_E_BACKEND_DATA);
    CU_ASSERT_EQUAL(commands("Com_stmt_execute"), executed);
    CU_ASSERT_EQUAL(commands("Prepared_stmt_count"), 0);
    CU_ASSERT_TRUE(commands("Connections") > connected);
    ael_metastore_release(store);
}

/* ---- stores ---- */

static void store_some(struct ael_metastore *store) {
    char id[32];
    for (int i = 0; i < STORES; i++) {
        (void)snprintf(id, sizeof id, "_IK_s%d", i);
        CU_ASSERT_EQUAL(store_in(store, id, CREATED, NULL), AEL_OK);
    }
}

/* Each is there once, and is what was stored. */
static void expect_stored(struct ael_metastore *store) {
    char id[32];
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    CU_ASSERT_EQUAL(rows_listed(store), STORES);
    for (int i = 0; i < STORES; i++) {
        struct ael_key_record record = record_of("key", CREATED);
        (void)snprintf(id, sizeof id, "_IK_s%d", i);
        CU_ASSERT_EQUAL(
            ael_metastore_load(store, NULL, ael_bytes_from_text(id), CREATED, &out, NULL), AEL_OK);
        CU_ASSERT_TRUE(ael_key_record_equal(&out.record, &record));
        ael_key_record_buf_clear(&out);
    }
}

/* prepared: statements; executed: how often they were run. */
static void expect_stores(const char *id, long prepared, long executed) {
    make_table(id);
    struct ael_metastore *store = open_local();
    long prepared_before = commands("Com_stmt_prepare");
    long executed_before = commands("Com_stmt_execute");
    store_some(store);
    CU_ASSERT_EQUAL(commands("Com_stmt_prepare") - prepared_before, prepared);
    CU_ASSERT_EQUAL(commands("Com_stmt_execute") - executed_before, executed);
    expect_stored(store);
    ael_metastore_release(store);
}

/* One alone, as most connections see, is not worth a statement that is kept. */
static void test_mysql_stores__are_prepared_from_the_second_on(void) {
    expect_stores(BYTES_COMPARED, 1, STORES - 1);
    expect_stores(CASE_IGNORED, 1, STORES - 1);
    expect_stores("VARBINARY(255)", 1, STORES - 1);
}

static void test_mysql_stores__are_text_where_none_is_kept(void) {
    expect_stores(OTHER_CHARS, 0, 0);
    sql("SET GLOBAL max_prepared_stmt_count = 0");
    expect_stores(BYTES_COMPARED, 0, 0);
    sql("SET GLOBAL max_prepared_stmt_count = 16382");
}

static void test_mysql_stores__that_lose_a_race_keep_their_statement(void) {
    make_table(CASE_IGNORED);
    struct ael_metastore *store = open_local();
    store_some(store);
    long prepared_before = commands("Com_stmt_prepare");
    for (int i = 0; i < STORES; i++) {
        CU_ASSERT_FALSE(is_stored(store, "_IK_s1", "b3RoZXI=", AEL_OK));
    }
    CU_ASSERT_FALSE(is_stored(store, "_IK_S1", "b3RoZXI=", AEL_E_BACKEND)); /* taken for _IK_s1 */
    CU_ASSERT_EQUAL(commands("Com_stmt_prepare") - prepared_before, 0);
    expect_stored(store);
    ael_metastore_release(store);
}

static void test_mysql_stores__of_long_records_are_text(void) {
    char *key = key_of(8192);
    make_table(BYTES_COMPARED);
    struct ael_metastore *store = open_local();
    store_some(store);
    long executed_before = commands("Com_stmt_execute");
    CU_ASSERT_TRUE(is_stored(store, "long", key, AEL_OK));
    CU_ASSERT_EQUAL(commands("Com_stmt_execute") - executed_before, 0);
    CU_ASSERT_EQUAL(store_in(store, "short", CREATED, NULL), AEL_OK);
    CU_ASSERT_EQUAL(commands("Com_stmt_execute") - executed_before, 1);
    expect_stored(store);
    ael_metastore_release(store);
    free(key);
}

static void test_mysql_stores__follow_a_table_that_was_made_anew(void) {
    make_table(BYTES_COMPARED);
    struct ael_metastore *store = open_local();
    store_some(store);
    sql("DROP TABLE encryption_key");
    CU_ASSERT_FALSE(is_stored(store, "_IK_x", "a2V5", AEL_E_BACKEND));
    make_table(CASE_IGNORED);
    long prepared_before = commands("Com_stmt_prepare");
    long executed_before = commands("Com_stmt_execute");
    store_some(store);
    CU_ASSERT_EQUAL(commands("Com_stmt_prepare") - prepared_before, 1);
    CU_ASSERT_EQUAL(commands("Com_stmt_execute") - executed_before, STORES);
    expect_stored(store);
    ael_metastore_release(store);
}

static void test_mysql_stores__leave_loads_prepared_where_they_cannot_be(void) {
    make_table(BYTES_COMPARED);
    struct ael_metastore *store = open_local();
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", CREATED, NULL), AEL_OK);
    load_some(store);
    sql("SET GLOBAL max_prepared_stmt_count = 2");
    CU_ASSERT_EQUAL(store_in(store, "_IK_y", CREATED, NULL), AEL_OK);
    CU_ASSERT_EQUAL(store_in(store, "_IK_z", CREATED, NULL), AEL_OK);
    long executed_before = commands("Com_stmt_execute");
    load_some(store);
    CU_ASSERT_EQUAL(commands("Com_stmt_execute") - executed_before, 4L * LOADS);
    sql("SET GLOBAL max_prepared_stmt_count = 16382");
    ael_metastore_release(store);
}

/* ---- what stands before the server ---- */

enum { COMMAND_PREPARE = 0x16, COMMAND_EXECUTE = 0x17, COMMAND_NONE = 0x7f, HEADER_BYTES = 4 };

struct relay {
    int listening;
    pthread_t thread;
    bool ends;        /* at a statement that is to be prepared */
    bool refuses;     /* it, as a command that it does not know */
    bool forgets;     /* statements that were prepared */
    bool cuts;        /* when one is run, which the server then does not see */
    bool swallows;    /* the answer to one that was run, and ends */
    bool holds;       /* it, and stays */
    const char *sql;  /* in place of what is to be prepared */
    atomic_int asked; /* to prepare one */
};

/* One that begins a command: the answers of a log-in have other numbers. False = the connection ends. */
static bool change_command(struct relay *relay, unsigned char *packet, ssize_t len, bool *is_execute) {
    bool is_command = len > HEADER_BYTES + 4 && packet[3] == 0;
    bool is_prepare = is_command && packet[HEADER_BYTES] == COMMAND_PREPARE;
    atomic_fetch_add(&relay->asked, is_prepare);
    if (is_prepare && relay->sql != NULL) {
        memset(packet + HEADER_BYTES + 1, ' ', (size_t)len - HEADER_BYTES - 1);
        memcpy(packet + HEADER_BYTES + 1, relay->sql, strlen(relay->sql));
    }
    if (is_prepare && relay->refuses) {
        packet[HEADER_BYTES] = COMMAND_NONE;
    }
    *is_execute = is_command && packet[HEADER_BYTES] == COMMAND_EXECUTE;
    if (*is_execute && relay->forgets) {
        packet[HEADER_BYTES + 3] ^= 0x55; /* of the statement's number */
    }
    return !(is_prepare && relay->ends) && !(*is_execute && relay->cuts);
}

static void relay_one(struct relay *relay, int client, int server) {
    struct pollfd ends[] = {{.fd = client, .events = POLLIN}, {.fd = server, .events = POLLIN}};
    ssize_t len = 1;
    bool is_executed = false;
    while (len > 0 && poll(ends, 2, -1) > 0) {
        unsigned char bytes[65536];
        bool is_client = ends[0].revents != 0;
        len = recv(is_client ? client : server, bytes, sizeof bytes, 0);
        if (is_client && len > 0 && !change_command(relay, bytes, len, &is_executed)) {
            return;
        }
        if (!is_client && is_executed && relay->swallows) {
            return;
        }
        if (!is_client && is_executed && relay->holds) {
            continue;
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

static void expect_stores_behind(struct relay *relay, int asked, long executed) {
    make_table(BYTES_COMPARED);
    struct ael_metastore *store = open_behind(relay);
    long executed_before = commands("Com_stmt_execute");
    store_some(store);
    CU_ASSERT_EQUAL(commands("Com_stmt_execute") - executed_before, executed);
    CU_ASSERT_EQUAL(atomic_load(&relay->asked), asked);
    expect_stored(store);
    close_behind(relay, store);
}

static void test_mysql_stores__go_on_behind_what_keeps_no_statements(void) {
    struct relay all = {.ends = false};
    expect_stores_behind(&all, 1, STORES - 1);
    struct relay refuses = {.refuses = true};
    expect_stores_behind(&refuses, 1, 0);
    struct relay forgets = {.forgets = true};
    expect_stores_behind(&forgets, 1, 0);
    struct relay ends = {.ends = true};
    expect_stores_behind(&ends, 2, 0); /* two connections, as with loads */
}

/* What has other numbers of values and columns than ours is not run with our values. */
static void test_mysql__statements_that_are_not_ours_are_not_run(void) {
    static const char *const k_others[] = {"DO 1", "DO ?", "DO ?+?+?+?", "SELECT ?,?,?,?", "SELECT ?,?,1,2"};
    for (size_t i = 0; i < sizeof k_others / sizeof *k_others; i++) {
        struct relay stores = {.sql = k_others[i]};
        expect_stores_behind(&stores, 1, 0);
        struct relay loads = {.sql = k_others[i]};
        expect_loads(&loads, 2, 0);
    }
}

/* Nobody can tell whether the row is there, nor may it be stored a second time. */
static void expect_unknown(struct relay *relay, int rows) {
    make_table(BYTES_COMPARED);
    struct ael_metastore *store = open_behind(relay);
    CU_ASSERT_TRUE(is_stored(store, "_IK_x", "a2V5", AEL_OK));
    struct ael_call call = call_for(relay->holds ? 500 : PATIENT_MS);
    CU_ASSERT_EQUAL(store_in(store, "_IK_y", CREATED, &call), AEL_E_OUTCOME_UNKNOWN);
    close_behind(relay, store);
    store = open_local();
    CU_ASSERT_EQUAL(rows_listed(store), rows);
    ael_metastore_release(store);
}

static void test_mysql_stores__that_lose_their_connection_may_be_done(void) {
    struct relay cuts = {.cuts = true};
    expect_unknown(&cuts, 1);
    struct relay swallows = {.swallows = true};
    expect_unknown(&swallows, 2);
    struct relay holds = {.holds = true};
    expect_unknown(&holds, 2);
    struct relay others = {.sql = "DO ?+?+?"}; /* as if by another server, that has another statement */
    expect_unknown(&others, 1);
}

static const struct test_case k_cases[] = {
    {"the server starts", test_server__starts},
    {"loads are prepared once a connection", test_mysql_loads__are_prepared_once_a_connection},
    {"ids in other characters: text", test_mysql_loads__of_ids_in_other_characters_are_text},
    {"a server at its limit: text", test_mysql_loads__are_text_where_the_server_keeps_no_more},
    {"a table made anew", test_mysql_loads__follow_a_table_that_was_made_anew},
    {"a lost connection", test_mysql_loads__are_prepared_anew_after_a_lost_connection},
    {"long records", test_mysql_loads__read_long_records_whole},
    {"loads are text once a row was far too long", test_mysql_loads__are_text_once_a_row_was_far_too_long},
    {"stores are prepared from the second on", test_mysql_stores__are_prepared_from_the_second_on},
    {"stores where none is kept: text", test_mysql_stores__are_text_where_none_is_kept},
    {"stores that lose a race", test_mysql_stores__that_lose_a_race_keep_their_statement},
    {"stores of long records: text", test_mysql_stores__of_long_records_are_text},
    {"stores that cannot be prepared leave loads so", test_mysql_stores__leave_loads_prepared_where_they_cannot_be},
    {"stores in a table made anew", test_mysql_stores__follow_a_table_that_was_made_anew},
    {"a relay", test_mysql_loads__go_through_what_hands_all_on},
    {"a relay that refuses to prepare: text", test_mysql_loads__are_text_behind_what_refuses_to_prepare},
    {"a relay that forgets statements: text", test_mysql_loads__are_text_behind_what_forgets_statements},
    {"a relay that ends at preparing: text", test_mysql_loads__are_text_behind_what_ends_at_preparing},
    {"relays, stores: text", test_mysql_stores__go_on_behind_what_keeps_no_statements},
    {"statements that are not ours", test_mysql__statements_that_are_not_ours_are_not_run},
    {"a store whose connection is lost", test_mysql_stores__that_lose_their_connection_may_be_done},
    {"the server ends", test_server__ends},
};

TEST_SUITE_MAIN("metastore_mysql_prepared", k_cases)
