/*
 * test_chaos.c - services of several processes while their database is cut off, slow, paused, killed, resets connections
 * and truncates answers, over MariaDB, PostgreSQL, DynamoDBLocal and a cluster of etcd in turn.
 *
 * Of every record for which encrypt said AEL_OK a fresh factory that reaches the server itself must make the payload again,
 * and so must the packages for Go and Rust, where they are (tests/support/other_readers.h);
 * keys that were known serve through each outage; a window has one row of an id at most. Each fault begins while 50 stores
 * or more are under way. What is done to one node of three, nobody is told of.
 *
 * Needs: libael, libael-mysql, libael-postgres, libael-dynamodb, libael-etcd, CUnit, tests/support/chaos_load.c,
 * tests/support/other_readers.c, tests/support/toxiproxy.c, the servers of tests/support.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ael/ael.h>
#include <ael/metastore_dynamodb.h>
#include <ael/metastore_etcd.h>
#include <ael/metastore_mysql.h>
#include <ael/metastore_postgres.h>
#include <ael/sys/metastore_backend.h>

#include "tests/support/chaos_load.h"
#include "tests/support/dynamodb_server.h"
#include "tests/support/etcd_cluster.h"
#include "tests/support/mariadb_server.h"
#include "tests/support/other_readers.h"
#include "tests/support/postgres_server.h"
#include "tests/support/soak.h"
#include "tests/support/suite.h"
#include "tests/support/toxiproxy.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DYNAMODB_REGION "us-west-2"
#define COPY_DATABASE   "copy"

enum {
    TEXT_BYTES = 1024,
    CONNECT_MS = 2000,
    ANSWER_MS = 5000,
    ETCD_ANSWER_MS = 3000, /* a follower keeps what it sent to a dead leader for longer */
    PULSE_MS = 60,
    UNRESOLVED_MS = 20000,
    TRY_MS = 10,
    ENTER_TRIES = 20,
    REFUSED_TRIES = 12000,
    MINUTE_S = 60,
    LONGEST_S = 7200, /* of a run */
    WRONG_S = 390 * 86400,
    LEADER_TRIES = 1000,
    MOST_NODES = ETCD_CLUSTER_NODES,
    EVERY_NODE = -1,
};

static struct toxiproxy g_proxy;
static struct mariadb_server g_mariadb;
static struct postgres_server g_postgres;
static struct dynamodb_server g_dynamodb;
static struct etcd_cluster g_etcd;

/* How the stores of the case under way reach their server, or each node of their cluster. */
static struct {
    char names[MOST_NODES][32]; /* at the proxy */
    const char *host;
    int ports[MOST_NODES];
    unsigned max_connections;
    int bad_node; /* that ways are ill-treated to, or EVERY_NODE */
    int number;   /* of the case */
} g_way = {.host = "127.0.0.1", .bad_node = EVERY_NODE};

static int g_victim; /* of a cluster, the node that is paused or killed */

/* ---- the backends ---- */

struct backend {
    const char *name;
    int nodes;
    bool (*open)(struct ael_metastore **store, struct ael_error *err);
    int (*port)(int node);
    pid_t (*pid)(void);  /* of g_victim */
    int (*leader)(void); /* NULL = all nodes are alike */
    bool (*restart)(
        const char *clock); /* as after a crash, its clock wrong; NULL = it would forget what it has */
    int64_t (*time)(void);      /* by its clock */
    const char *url[2];         /* for other implementations, before and after the port */
    const struct backend *copy; /* where these find a copy of the rows; NULL = they have a store for it */
};

static bool open_database(const char *database, struct ael_metastore **store, struct ael_error *err) {
    struct ael_metastore_mysql_options options = AEL_METASTORE_MYSQL_OPTIONS_INIT;
    char connection[TEXT_BYTES];
    (void)snprintf(
        connection, sizeof connection, "mysql://%s:%s@%s:%d/%s?tls=false", MARIADB_SERVER_USER,
        MARIADB_SERVER_PASSWORD_URL, g_way.host, g_way.ports[0], database);
    options.connection = connection;
    options.max_connections = g_way.max_connections;
    options.connect_timeout_ms = CONNECT_MS;
    options.answer_timeout_ms = ANSWER_MS;
    return ael_metastore_mysql_new(&options, store, err) == AEL_OK;
}

static bool open_mariadb(struct ael_metastore **store, struct ael_error *err) {
    return open_database(MARIADB_SERVER_DATABASE, store, err);
}

static bool open_copy(struct ael_metastore **store, struct ael_error *err) {
    return open_database(COPY_DATABASE, store, err);
}

static bool open_postgres(struct ael_metastore **store, struct ael_error *err) {
    struct ael_metastore_postgres_options options = AEL_METASTORE_POSTGRES_OPTIONS_INIT;
    char connection[TEXT_BYTES];
    (void)snprintf(
        connection, sizeof connection, "postgres://%s:%s@%s:%d/postgres?sslmode=require", POSTGRES_USER,
        POSTGRES_PASSWORD_URL, g_way.host, g_way.ports[0]);
    options.connection = connection;
    options.max_connections = g_way.max_connections;
    options.connect_timeout_ms = CONNECT_MS;
    options.answer_timeout_ms = ANSWER_MS;
    return ael_metastore_postgres_new(&options, store, err) == AEL_OK;
}

static bool open_dynamodb(struct ael_metastore **store, struct ael_error *err) {
    struct ael_metastore_dynamodb_options options = AEL_METASTORE_DYNAMODB_OPTIONS_INIT;
    char endpoint[TEXT_BYTES];
    (void)snprintf(endpoint, sizeof endpoint, "http://%s:%d", g_way.host, g_way.ports[0]);
    options.region = DYNAMODB_REGION;
    options.endpoint = endpoint;
    options.max_connections = g_way.max_connections;
    options.connect_timeout_ms = CONNECT_MS;
    options.answer_timeout_ms = ANSWER_MS;
    return ael_metastore_dynamodb_new(&options, store, err) == AEL_OK;
}

static bool open_etcd(struct ael_metastore **store, struct ael_error *err) {
    struct ael_metastore_etcd_options options = AEL_METASTORE_ETCD_OPTIONS_INIT;
    char endpoints[TEXT_BYTES];
    char prefix[32];
    size_t len = 0;
    for (int i = 0; i < g_etcd.count; i++) {
        len += (size_t)snprintf(
            endpoints + len, sizeof endpoints - len, "%shttp://%s:%d", i == 0 ? "" : ",", g_way.host,
            g_way.ports[i]);
    }
    /* Rows of the case alone, for they are copied. */
    (void)snprintf(prefix, sizeof prefix, "chaos-%d", g_way.number);
    options.endpoints = endpoints;
    options.prefix = prefix;
    options.max_connections = g_way.max_connections;
    options.connect_timeout_ms = CONNECT_MS;
    options.answer_timeout_ms = ETCD_ANSWER_MS;
    return ael_metastore_etcd_new(&options, store, err) == AEL_OK;
}

static int mariadb_port(int node) {
    (void)node;
    return g_mariadb.port;
}

static int postgres_port(int node) {
    (void)node;
    return g_postgres.port;
}

static int dynamodb_port(int node) {
    (void)node;
    return g_dynamodb.port;
}

static int etcd_port(int node) {
    return (int)strtol(strrchr(g_etcd.nodes[node].url, ':') + 1, NULL, 10);
}

static pid_t mariadb_pid(void) {
    return g_mariadb.pid;
}

static pid_t postgres_pid(void) {
    return g_postgres.pid;
}

static pid_t dynamodb_pid(void) {
    return g_dynamodb.pid;
}

static pid_t etcd_pid(void) {
    return g_etcd.nodes[g_victim].pid;
}

/* Between two leaders there is none. */
static int etcd_leader(void) {
    int leader = etcd_cluster_leader(&g_etcd);
    for (int i = 0; i < LEADER_TRIES && leader < 0; i++) {
        (void)poll(NULL, 0, TRY_MS);
        leader = etcd_cluster_leader(&g_etcd);
    }
    CU_ASSERT_TRUE_FATAL(leader >= 0);
    return leader;
}

static bool restart_mariadb(const char *clock) {
    g_mariadb.clock = clock;
    mariadb_server_end(&g_mariadb, SIGKILL);
    return mariadb_server_start(&g_mariadb, NULL);
}

static bool restart_postgres(const char *clock) {
    g_postgres.clock = clock;
    postgres_server_end(&g_postgres, SIGKILL);
    return postgres_server_start(&g_postgres, NULL);
}

/* Its clock cannot be set wrong: it asks no library for the time. */
static bool restart_etcd_node(const char *clock) {
    etcd_cluster_end_node(&g_etcd, g_victim, SIGKILL);
    return clock == NULL && etcd_cluster_start_node(&g_etcd, g_victim);
}

static int64_t mariadb_time(void) {
    char value[32];
    bool good = mariadb_server_value(&g_mariadb, "SELECT UNIX_TIMESTAMP()", value, sizeof value);
    return good ? strtoll(value, NULL, 10) : 0;
}

static int64_t postgres_time(void) {
    char value[32];
    bool good = postgres_server_value(
        &g_postgres, "SELECT extract(epoch FROM clock_timestamp())::bigint", value, sizeof value);
    return good ? strtoll(value, NULL, 10) : 0;
}

#define MARIADB_URL "mysql://" MARIADB_SERVER_USER ":" MARIADB_SERVER_PASSWORD_URL "@127.0.0.1:"

static const struct backend k_mariadb = {
    .name = "MariaDB",
    .nodes = 1,
    .open = open_mariadb,
    .port = mariadb_port,
    .pid = mariadb_pid,
    .restart = restart_mariadb,
    .time = mariadb_time,
    .url = {MARIADB_URL, "/" MARIADB_SERVER_DATABASE}};
static const struct backend k_postgres = {
    .name = "PostgreSQL",
    .nodes = 1,
    .open = open_postgres,
    .port = postgres_port,
    .pid = postgres_pid,
    .restart = restart_postgres,
    .time = postgres_time,
    .url = {
        "postgres://" POSTGRES_USER ":" POSTGRES_PASSWORD_URL "@127.0.0.1:", "/postgres?sslmode=disable"}};
static const struct backend k_dynamodb = {
    .name = "DynamoDB",
    .nodes = 1,
    .open = open_dynamodb,
    .port = dynamodb_port,
    .pid = dynamodb_pid,
    .url = {"dynamodb://127.0.0.1:", ""}};
static const struct backend k_copy = {
    .name = "a copy",
    .nodes = 1,
    .open = open_copy,
    .port = mariadb_port,
    .url = {MARIADB_URL, "/" COPY_DATABASE}};
static const struct backend k_etcd = {
    .name = "etcd",
    .nodes = ETCD_CLUSTER_NODES,
    .open = open_etcd,
    .port = etcd_port,
    .pid = etcd_pid,
    .leader = etcd_leader,
    .restart = restart_etcd_node,
    .copy = &k_copy};

static const struct backend *g_backend; /* of the case under way */

static bool open_store(struct ael_metastore **store) {
    struct ael_error err = {0};
    if (!g_backend->open(store, &err)) {
        printf("\n    %s", err.detail);
        return false;
    }
    return true;
}

static const struct fork_world k_world = {.sqlite = true, .carry = true, .open_store = open_store};

static void go_directly(void) {
    for (int i = 0; i < g_backend->nodes; i++) {
        g_way.ports[i] = g_backend->port(i);
    }
    g_way.max_connections = CHAOS_THREADS;
}

static void go_through_proxy(void) {
    for (int i = 0; i < g_backend->nodes; i++) {
        (void)snprintf(g_way.names[i], sizeof g_way.names[i], "%s-%d-%d", g_backend->name, g_way.number, i);
        g_way.ports[i] = toxiproxy_add(&g_proxy, g_way.names[i], g_backend->port(i));
        CU_ASSERT_TRUE_FATAL(g_way.ports[i] != 0);
    }
}

/* A table, and a way to it through the proxy. */
static void begin(const struct backend *backend) {
    struct ael_metastore *store = NULL;
    g_backend = backend;
    g_way.number++;
    go_directly();
    CU_ASSERT_TRUE_FATAL(open_store(&store));
    CU_ASSERT_EQUAL(ael_metastore_ensure_schema(store, NULL, NULL), AEL_OK);
    ael_metastore_release(store);
    g_way.bad_node = EVERY_NODE;
    go_through_proxy();
}

/* ---- faults ---- */

static void hold(int ms) {
    (void)poll(NULL, 0, ms);
}

static bool is_bad(int node) {
    return g_way.bad_node == EVERY_NODE || g_way.bad_node == node;
}

static bool cut_ways(bool bad) {
    bool good = true;
    for (int i = 0; i < g_backend->nodes; i++) {
        good = good && (is_bad(i) != bad || toxiproxy_cut(&g_proxy, g_way.names[i]));
    }
    return good;
}

static bool poison_ways(const char *kind, const char *attributes) {
    bool good = true;
    for (int i = 0; i < g_backend->nodes; i++) {
        good = good && (!is_bad(i) || toxiproxy_poison(&g_proxy, g_way.names[i], kind, attributes));
    }
    return good;
}

/* One node of several does not matter: its work is done by another. */
static void expect_refusals(const struct chaos_load *load, enum chaos_fault fault) {
    unsigned refused = atomic_load(&load->shared->counts[fault].refused);
    CU_ASSERT_EQUAL(refused > 0, g_way.bad_node == EVERY_NODE);
}

/*
 * What is counted from here on is that fault's, which begins with CHAOS_STORES under way: no answer comes in the two seconds
 * after they were sent, so that a fault that follows finds them there. On a machine that cannot send so many in these
 * seconds they are gathered once more. Where one node is meant, the ways to the others are cut meanwhile: a
 * client stays with the node that answered last.
 */
static void enter(struct chaos_load *load, enum chaos_fault fault) {
    bool under_way = false;
    for (int i = 0; i < ENTER_TRIES && !under_way; i++) {
        CU_ASSERT_TRUE(toxiproxy_heal(&g_proxy) && cut_ways(false));
        chaos_load_gather(load, fault);
        CU_ASSERT_TRUE(toxiproxy_heal(&g_proxy) && poison_ways("latency", "{\"latency\":2000}"));
        under_way = chaos_load_release(load);
    }
    CU_ASSERT_TRUE(under_way);
}

static void cut(struct chaos_load *load) {
    enter(load, CHAOS_CUT);
    CU_ASSERT_TRUE(cut_ways(true));
    hold(soak_count(1200, 30000));
    expect_refusals(load, CHAOS_CUT);
    CU_ASSERT_TRUE(toxiproxy_heal(&g_proxy));
    chaos_load_expect_recovery(load);
}

/* Entered, it is slow already. */
static void slow_down(struct chaos_load *load) {
    enter(load, CHAOS_SLOW);
    hold(soak_count(2200, 30000));
    CU_ASSERT_TRUE(toxiproxy_heal(&g_proxy));
    chaos_load_expect_recovery(load);
}

/* What is done to answers, for a moment each time: calls that are under way meet it, and those that connect anew. */
struct poison {
    const char *kind;
    const char *attributes;
};

static void pulse(struct chaos_load *load, enum chaos_fault fault, const struct poison *poisons, int count) {
    int rounds = soak_count(count, 20 * count);
    enter(load, fault);
    for (int i = 0; i < rounds; i++) {
        const struct poison *poison = &poisons[i % count];
        CU_ASSERT_TRUE(poison_ways(poison->kind, poison->attributes));
        hold(PULSE_MS);
        CU_ASSERT_TRUE(toxiproxy_heal(&g_proxy));
        hold(PULSE_MS);
    }
    chaos_load_expect_recovery(load);
}

/* The server has done what it was asked to; in place of its answer comes a reset, at once or after a while. */
static void reset(struct chaos_load *load) {
    static const struct poison k_poisons[] = {
        {"reset_peer", "{\"timeout\":0}"},
        {"reset_peer", "{\"timeout\":20}"},
        {"reset_peer", "{\"timeout\":0}"}};
    pulse(load, CHAOS_RESET, k_poisons, 3);
}

/* Connections end after so many bytes of answers: in a greeting, in the first answer, after some. */
static void truncate_answers(struct chaos_load *load) {
    static const struct poison k_poisons[] = {
        {"limit_data", "{\"bytes\":3}"},
        {"limit_data", "{\"bytes\":40}"},
        {"limit_data", "{\"bytes\":200}"},
        {"limit_data", "{\"bytes\":1200}"},
        {"limit_data", "{\"bytes\":6000}"}};
    pulse(load, CHAOS_TRUNCATED, k_poisons, 5);
}

/* With all its children: a server may be several processes. */
static void signal_server(pid_t pid, int signal) {
    char path[TEXT_BYTES];
    int child = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
    CU_ASSERT_EQUAL(kill(pid, signal), 0);
    FILE *children = fopen(path, "r");
    while (children != NULL && fscanf(children, "%d", &child) == 1) {
        (void)kill(child, signal);
    }
    if (children != NULL) {
        (void)fclose(children);
    }
}

/* The one node that is ill-treated in this case, or else the leader. Before a fault: asking takes a while. */
static void choose_victim(void) {
    bool leads = g_backend->leader != NULL && g_way.bad_node == EVERY_NODE;
    int alone = g_way.bad_node == EVERY_NODE ? 0 : g_way.bad_node;
    g_victim = leads ? g_backend->leader() : alone;
}

static void pause_server(struct chaos_load *load) {
    choose_victim();
    enter(load, CHAOS_PAUSED);
    signal_server(g_backend->pid(), SIGSTOP);
    CU_ASSERT_TRUE(toxiproxy_heal(&g_proxy));
    hold(soak_count(1200, 30000));
    signal_server(g_backend->pid(), SIGCONT);
    chaos_load_expect_recovery(load);
}

static void kill_server(struct chaos_load *load) {
    if (g_backend->restart == NULL) {
        return;
    }
    choose_victim();
    enter(load, CHAOS_KILLED);
    CU_ASSERT_TRUE_FATAL(g_backend->restart(NULL));
    CU_ASSERT_TRUE(toxiproxy_heal(&g_proxy));
    chaos_load_expect_recovery(load);
}

/* One connection a process, with answers that take a while: who waits for it too long is told in time. */
static void exhaust_pool(struct chaos_load *load) {
    const atomic_uint *refused = &load->shared->counts[CHAOS_POOL].refused;
    unsigned wanted = (unsigned)soak_count(20, 2000);
    enter(load, CHAOS_POOL);
    CU_ASSERT_TRUE(toxiproxy_heal(&g_proxy));
    CU_ASSERT_TRUE(poison_ways("latency", "{\"latency\":50}"));
    for (int i = 0; i < REFUSED_TRIES && atomic_load(refused) < wanted; i++) {
        hold(TRY_MS);
    }
    CU_ASSERT_TRUE(atomic_load(refused) >= wanted);
    CU_ASSERT_TRUE(toxiproxy_heal(&g_proxy));
    chaos_load_expect_recovery(load);
}

/* More than a year ahead, more than a year behind, and right again. */
static void skew_clock(struct chaos_load *load) {
    enter(load, CHAOS_CLOCK);
    CU_ASSERT_TRUE_FATAL(g_backend->restart("+400d"));
    CU_ASSERT_TRUE(toxiproxy_heal(&g_proxy));
    CU_ASSERT_TRUE(g_backend->time() > time(NULL) + WRONG_S);
    chaos_load_expect_recovery(load);
    CU_ASSERT_TRUE_FATAL(g_backend->restart("-400d"));
    CU_ASSERT_TRUE(g_backend->time() < time(NULL) - WRONG_S);
    chaos_load_expect_recovery(load);
    CU_ASSERT_TRUE_FATAL(g_backend->restart(NULL));
}

/* ---- rows ---- */

enum { ID_BYTES = 120 };

struct row {
    char id[ID_BYTES];
    int64_t created_s;
};

struct rows {
    struct row *list;
    size_t count;
    size_t cap;
};

/* The Rust package leaves what it was set to in the table. */
static bool is_note_of_others(struct ael_bytes id) {
    static const char k_note[] = "__asherah_internal_";
    return id.len >= sizeof k_note - 1 && memcmp(id.data, k_note, sizeof k_note - 1) == 0;
}

static bool
take_row(void *context, struct ael_bytes id, int64_t created_s, const struct ael_key_record *record) {
    struct rows *rows = context;
    (void)record;
    if (is_note_of_others(id)) {
        return true;
    }
    if (rows->count == rows->cap) {
        rows->cap = rows->cap == 0 ? 1024 : 2 * rows->cap;
        struct row *grown = realloc(rows->list, rows->cap * sizeof *grown);
        if (grown == NULL) {
            return false;
        }
        rows->list = grown;
    }
    struct row *row = &rows->list[rows->count++];
    (void)snprintf(row->id, sizeof row->id, "%.*s", (int)id.len, (const char *)id.data);
    row->created_s = created_s;
    return true;
}

static int compare_rows(const void *a, const void *b) {
    const struct row *one = a;
    const struct row *other = b;
    int ids = strcmp(one->id, other->id);
    return ids != 0 ? ids : (one->created_s > other->created_s) - (one->created_s < other->created_s);
}

/* Of each id one row a minute, by the clock of the services. */
static void expect_one_row_a_window(const struct fork_ledger *ledger) {
    struct ael_metastore *store = NULL;
    struct rows rows = {NULL, 0, 0};
    size_t twice = 0;
    size_t dated = 0;
    time_t now = time(NULL);
    CU_ASSERT_TRUE_FATAL(open_store(&store));
    CU_ASSERT_EQUAL(
        ael_metastore_list(store, NULL, (struct ael_bytes){NULL, 0}, take_row, &rows, NULL), AEL_OK);
    ael_metastore_release(store);
    qsort(rows.list, rows.count, sizeof *rows.list, compare_rows);
    for (size_t i = 0; i < rows.count; i++) {
        const struct row *row = &rows.list[i];
        dated += row->created_s % MINUTE_S == 0 && row->created_s <= now && row->created_s > now - LONGEST_S;
        twice += i > 0 && strcmp(row->id, row[-1].id) == 0 && row->created_s < row[-1].created_s + MINUTE_S;
    }
    printf(
        "\n    %s: %zu acknowledged, %zu rows, %zu twice in a window", g_backend->name, ledger->count,
        rows.count, twice);
    CU_ASSERT_EQUAL(twice, 0);
    CU_ASSERT_EQUAL(dated, rows.count);
    free(rows.list);
}

/* ---- cases ---- */

static const struct chaos_options k_unhurried = {.deadline_ms = 0};

struct copy {
    struct ael_metastore *to;
    size_t rows;
};

static bool
copy_row(void *context, struct ael_bytes id, int64_t created_s, const struct ael_key_record *record) {
    struct copy *copy = context;
    bool stored = false;
    (void)created_s;
    CU_ASSERT_EQUAL(ael_metastore_store(copy->to, NULL, id, record, &stored, NULL), AEL_OK);
    copy->rows += stored ? 1 : 0;
    return stored;
}

/* Makes the store for others anew, with all rows of this one. */
static void copy_for_others(void) {
    const struct backend *from = g_backend;
    struct copy copy = {NULL, 0};
    struct ael_metastore *store = NULL;
    CU_ASSERT_TRUE_FATAL(
        mariadb_server_sql(&g_mariadb, "CREATE OR REPLACE DATABASE " COPY_DATABASE) >= 0 &&
        mariadb_server_sql(
            &g_mariadb, "GRANT ALL ON " COPY_DATABASE ".* TO '" MARIADB_SERVER_USER "'@'%'") >= 0);
    CU_ASSERT_TRUE_FATAL(open_store(&store));
    g_backend = from->copy;
    go_directly();
    CU_ASSERT_TRUE_FATAL(open_store(&copy.to));
    CU_ASSERT_EQUAL(ael_metastore_ensure_schema(copy.to, NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(
        ael_metastore_list(store, NULL, (struct ael_bytes){NULL, 0}, copy_row, &copy, NULL), AEL_OK);
    CU_ASSERT_TRUE(copy.rows > 0);
    ael_metastore_release(copy.to);
    ael_metastore_release(store);
    g_backend = from;
    go_directly();
}

static void expect_read_by_others(const struct fork_ledger *ledger) {
    char url[TEXT_BYTES];
    char service[] = FORK_SERVICE;
    char product[] = FORK_PRODUCT;
    char master_key[] = FORK_MASTER_KEY;
    const struct other_factory factory = {url, service, product, master_key};
    const struct backend *theirs = g_backend;
    if (g_backend->copy != NULL) {
        copy_for_others();
        theirs = g_backend->copy;
    }
    (void)snprintf(url, sizeof url, "%s%d%s", theirs->url[0], theirs->port(0), theirs->url[1]);
    other_readers_expect_all(&factory, ledger);
}

static void finish(struct chaos_load *load) {
    struct fork_ledger ledger = {NULL, 0, 0};
    chaos_load_stop(load, &ledger);
    go_directly();
    expect_one_row_a_window(&ledger);
    expect_read_by_others(&ledger);
    chaos_load_expect_nothing_lost(load, &k_world, &ledger, g_backend->name);
}

static void outlive_faults(const struct backend *backend) {
    struct chaos_load load;
    begin(backend);
    chaos_load_start(&load, &k_world, &k_unhurried);
    cut(&load);
    slow_down(&load);
    reset(&load);
    truncate_answers(&load);
    pause_server(&load);
    kill_server(&load);
    finish(&load);
}

/* All of it is done to one node that does not lead; the others go on. */
static void outlive_a_node(const struct backend *backend) {
    struct chaos_load load;
    begin(backend);
    g_way.bad_node = (backend->leader() + 1) % backend->nodes;
    chaos_load_start(&load, &k_world, &k_unhurried);
    cut(&load);
    reset(&load);
    truncate_answers(&load);
    pause_server(&load);
    kill_server(&load);
    for (int i = 0; i < CHAOS_FAULTS; i++) {
        CU_ASSERT_EQUAL(atomic_load(&load.shared->counts[i].refused), 0);
    }
    finish(&load);
}

static void outlive_exhausted_pool(const struct backend *backend) {
    struct chaos_load load;
    const struct chaos_options wanted = {.deadline_ms = 1000};
    begin(backend);
    g_way.max_connections = 1;
    chaos_load_start(&load, &k_world, &wanted);
    exhaust_pool(&load);
    finish(&load);
}

static void outlive_wrong_clock(const struct backend *backend) {
    struct chaos_load load;
    begin(backend);
    chaos_load_start(&load, &k_world, &k_unhurried);
    skew_clock(&load);
    finish(&load);
}

/* A name that does not resolve is unreachable, in words that name it, before the call's deadline. */
static void expect_unresolved(const struct backend *backend) {
    struct ael_metastore *store = NULL;
    struct ael_error err = {0};
    struct ael_call call = AEL_CALL_INIT;
    call.deadline_ns = ael_deadline_in_ms(UNRESOLVED_MS);
    g_backend = backend;
    go_directly();
    g_way.host = "no-such-host.invalid";
    if (backend->open(&store, &err)) {
        CU_ASSERT_EQUAL(ael_metastore_health(store, &call, &err), AEL_E_UNREACHABLE);
    }
    printf("\n    %s: %s", err.component, err.detail);
    CU_ASSERT_EQUAL(err.status, AEL_E_UNREACHABLE);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, g_way.host));
    CU_ASSERT_EQUAL(ael_call_check(&call), AEL_OK);
    ael_metastore_release(store);
    g_way.host = "127.0.0.1";
}

/* The next host of a list is taken. */
static void expect_next_host(const struct backend *backend, const char *hosts) {
    struct fork_edges edges;
    struct fork_ledger ledger = {NULL, 0, 0};
    g_backend = backend;
    go_directly();
    g_way.host = hosts;
    CU_ASSERT_TRUE_FATAL(fork_edges_open(&k_world, &edges));
    CU_ASSERT_EQUAL(fork_encrypt(edges.factory, "listed", &ledger), AEL_OK);
    fork_edges_close(&edges);
    fork_ledger_clear(&ledger);
    g_way.host = "127.0.0.1";
}

static void test_servers__start(void) {
    dynamodb_server_set_environment();
    (void)setenv("AWS_REGION", DYNAMODB_REGION, 1); /* for other implementations */
    CU_ASSERT_TRUE_FATAL(toxiproxy_init(&g_proxy));
    CU_ASSERT_TRUE_FATAL(mariadb_server_init(&g_mariadb));
    CU_ASSERT_TRUE_FATAL(postgres_server_init(&g_postgres));
    CU_ASSERT_TRUE_FATAL(dynamodb_server_init(&g_dynamodb, "local"));
    CU_ASSERT_TRUE_FATAL(etcd_cluster_init(&g_etcd, ETCD_CLUSTER_NODES, false));
}

static void test_chaos__loses_nothing_over_mariadb(void) {
    outlive_faults(&k_mariadb);
}

static void test_chaos__loses_nothing_over_postgres(void) {
    outlive_faults(&k_postgres);
}

static void test_chaos__loses_nothing_over_dynamodb(void) {
    outlive_faults(&k_dynamodb);
}

static void test_chaos__loses_nothing_over_etcd(void) {
    outlive_faults(&k_etcd);
}

static void test_chaos__tells_nobody_of_a_node_of_etcd(void) {
    outlive_a_node(&k_etcd);
}

static void test_chaos__outlives_an_exhausted_pool(void) {
    outlive_exhausted_pool(&k_mariadb);
    outlive_exhausted_pool(&k_postgres);
    outlive_exhausted_pool(&k_dynamodb);
    outlive_exhausted_pool(&k_etcd);
}

static void test_chaos__takes_no_date_from_the_server(void) {
    outlive_wrong_clock(&k_mariadb);
    outlive_wrong_clock(&k_postgres);
}

static void test_chaos__tells_a_name_that_does_not_resolve(void) {
    expect_unresolved(&k_mariadb);
    expect_unresolved(&k_postgres);
    expect_unresolved(&k_dynamodb);
    expect_unresolved(&k_etcd);
    expect_next_host(&k_mariadb, "no-such-host.invalid:1,127.0.0.1");
    expect_next_host(&k_postgres, "no-such-host.invalid:1,127.0.0.1");
    expect_next_host(&k_etcd, "no-such-host.invalid:1,http://127.0.0.1");
    printf("\n    ");
}

static void test_servers__end(void) {
    toxiproxy_clear(&g_proxy);
    mariadb_server_clear(&g_mariadb);
    postgres_server_clear(&g_postgres);
    dynamodb_server_clear(&g_dynamodb);
    etcd_cluster_clear(&g_etcd);
}

static const struct test_case k_cases[] = {
    {"servers and a proxy start", test_servers__start},
    {"faults over MariaDB", test_chaos__loses_nothing_over_mariadb},
    {"faults over PostgreSQL", test_chaos__loses_nothing_over_postgres},
    {"faults over DynamoDB", test_chaos__loses_nothing_over_dynamodb},
    {"faults over etcd", test_chaos__loses_nothing_over_etcd},
    {"faults of one node of etcd", test_chaos__tells_nobody_of_a_node_of_etcd},
    {"more threads than connections", test_chaos__outlives_an_exhausted_pool},
    {"a server's clock is wrong", test_chaos__takes_no_date_from_the_server},
    {"a name that does not resolve", test_chaos__tells_a_name_that_does_not_resolve},
    {"they end", test_servers__end},
};

TEST_SUITE_MAIN("chaos", k_cases)
