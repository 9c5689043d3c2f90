/*
 * test_mysql_service.c - services of several processes over MariaDB: the server is killed and restarted, its
 * connections are cut, processes race for keys and fork; over a Galera cluster that loses nodes.
 *
 * Of every record for which encrypt said AEL_OK a fresh factory must make the payload again.
 *
 * Needs: libael, libael-mysql, CUnit, tests/support/fork_world.c, tests/support/mariadb_server.c.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ael/ael.h>
#include <ael/metastore_mysql.h>
#include <ael/sys/metastore_backend.h>

#include "tests/support/fork_world.h"
#include "tests/support/mariadb_server.h"
#include "tests/support/soak.h"
#include "tests/support/suite.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    TEXT_BYTES = 1024,
    WORKERS = 4,
    THREADS = 4,
    ROWS_BETWEEN = 60, /* new keys between two faults */
    TRIES = 6000,
    TRY_MS = 10,
    WATCH_SECONDS = 250,
    WATCH_SOAK_SECONDS = 7200,
};

static struct mariadb_server g_server;
static char g_connection[TEXT_BYTES]; /* of the case under way */

/* ---- stores ---- */

static bool open_store(struct ael_metastore **store) {
    struct ael_metastore_mysql_options options = AEL_METASTORE_MYSQL_OPTIONS_INIT;
    struct ael_error err = {0};
    options.connection = g_connection;
    options.max_connections = THREADS;
    options.connect_timeout_ms = 2000;
    if (ael_metastore_mysql_new(&options, store, &err) != AEL_OK) {
        printf("\n    %s", err.detail);
        return false;
    }
    return true;
}

static const struct fork_world k_world = {.sqlite = true, .carry = true, .open_store = open_store};

/* An empty table on the server. */
static void start_case(const char *connection) {
    struct ael_metastore *store = NULL;
    (void)snprintf(g_connection, sizeof g_connection, "%s", connection);
    CU_ASSERT_TRUE_FATAL(mariadb_server_sql(&g_server, "DROP TABLE IF EXISTS encryption_key") >= 0);
    CU_ASSERT_TRUE_FATAL(open_store(&store));
    CU_ASSERT_EQUAL(ael_metastore_ensure_schema(store, NULL, NULL), AEL_OK);
    ael_metastore_release(store);
}

static void start_local_case(void) {
    char text[TEXT_BYTES];
    start_case(mariadb_server_local(&g_server, text, sizeof text));
}

static long count_of(const struct mariadb_server *server, const char *sql) {
    char value[64];
    return mariadb_server_value(server, sql, value, sizeof value) ? strtol(value, NULL, 10) : -1;
}

static long rows(const struct mariadb_server *server) {
    return count_of(server, "SELECT count(*) FROM encryption_key");
}

/* Waits for so many more keys: the service works. */
static bool wait_for_rows(const struct mariadb_server *server, long more) {
    long first = rows(server);
    for (int i = 0; i < TRIES; i++) {
        if (rows(server) >= first + more) {
            return true;
        }
        (void)poll(NULL, 0, TRY_MS);
    }
    return false;
}

/* ---- workers: each record is of a new partition, so that it needs a key that was stored ---- */

struct worker {
    pid_t pid;
    int stop; /* closed when it is to stop */
    int from; /* its records */
};

struct job {
    struct ael_session_factory *factory;
    struct fork_ledger made;
    int stop;
    unsigned failed;
    pthread_t thread;
};

static bool is_told_to_stop(int fd) {
    struct pollfd descriptor = {.fd = fd, .events = POLLIN};
    return poll(&descriptor, 1, 0) > 0;
}

/* What a service may be told while its database is away. */
static bool is_outage(enum ael_status status) {
    return status == AEL_E_UNREACHABLE || status == AEL_E_TIMEOUT || status == AEL_E_OUTCOME_UNKNOWN;
}

static void *make_records(void *context) {
    struct job *job = context;
    while (!is_told_to_stop(job->stop)) {
        char partition[FORK_NAME_BYTES];
        fork_new_partition(partition);
        size_t before = job->made.count;
        enum ael_status status = fork_encrypt(job->factory, partition, &job->made);
        if (is_outage(status)) {
            job->failed++;
            (void)poll(NULL, 0, TRY_MS);
            continue;
        }
        FORK_STATUS(status, AEL_OK);
        for (size_t i = before; i < job->made.count; i++) {
            FORK_STATUS(fork_decrypt(job->factory, &job->made.records[i]), AEL_OK);
        }
        (void)poll(NULL, 0, soak_count(TRY_MS, 0)); /* in every change's run a few records will do */
    }
    return NULL;
}

_Noreturn static void work(int stop, int to) {
    struct fork_edges edges;
    struct job jobs[THREADS];
    (void)alarm((unsigned)soak_count(WATCH_SECONDS, WATCH_SOAK_SECONDS));
    atomic_store(&fork_wrong, 0);
    FORK_EXPECT(fork_edges_open(&k_world, &edges));
    for (int i = 0; edges.factory != NULL && i < THREADS; i++) {
        jobs[i] = (struct job){.factory = edges.factory, .stop = stop};
        FORK_EXPECT(pthread_create(&jobs[i].thread, NULL, make_records, &jobs[i]) == 0);
    }
    for (int i = 0; edges.factory != NULL && i < THREADS; i++) {
        (void)pthread_join(jobs[i].thread, NULL);
        FORK_EXPECT(fork_ledger_send(to, &jobs[i].made));
        fork_ledger_clear(&jobs[i].made);
    }
    fork_edges_close(&edges);
    (void)close(to);
    fork_leave();
}

static bool start_worker(struct worker *workers, int number) {
    int stop[2];
    int records[2];
    if (pipe2(stop, O_CLOEXEC) != 0 || pipe2(records, O_CLOEXEC) != 0) {
        return false;
    }
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        for (int i = 0; i < number; i++) {
            (void)close(workers[i].stop);
            (void)close(workers[i].from);
        }
        (void)close(stop[1]);
        (void)close(records[0]);
        work(stop[0], records[1]);
    }
    (void)close(stop[0]);
    (void)close(records[1]);
    workers[number] = (struct worker){pid, stop[1], records[0]};
    return pid > 0;
}

static void start_workers(struct worker workers[WORKERS]) {
    for (int i = 0; i < WORKERS; i++) {
        CU_ASSERT_TRUE_FATAL(start_worker(workers, i));
    }
}

/* Ends the workers and takes their records over. */
static void stop_workers(struct worker workers[WORKERS], struct fork_ledger *ledger) {
    for (int i = 0; i < WORKERS; i++) {
        (void)close(workers[i].stop);
    }
    for (int i = 0; i < WORKERS; i++) {
        int status = -1;
        CU_ASSERT_TRUE(fork_ledger_receive(workers[i].from, ledger));
        (void)close(workers[i].from);
        CU_ASSERT_EQUAL(waitpid(workers[i].pid, &status, 0), workers[i].pid);
        CU_ASSERT_EQUAL(status, 0);
    }
}

/* A fresh factory opens every record. */
static void expect_nothing_lost(struct fork_ledger *ledger, const char *what, int faults) {
    struct fork_edges edges;
    size_t lost = 0;
    CU_ASSERT_TRUE_FATAL(fork_edges_open(&k_world, &edges));
    for (size_t i = 0; i < ledger->count; i++) {
        lost += fork_decrypt(edges.factory, &ledger->records[i]) != AEL_OK;
    }
    printf("%d %s, %zu records, %zu lost ", faults, what, ledger->count, lost);
    CU_ASSERT_EQUAL(lost, 0);
    CU_ASSERT_TRUE(ledger->count >= (size_t)faults * ROWS_BETWEEN / 2);
    CU_ASSERT_EQUAL(fork_shared_nonces(ledger), 0);
    fork_edges_close(&edges);
    fork_ledger_clear(ledger);
}

/* ---- cases ---- */

static void test_server__starts(void) {
    CU_ASSERT_TRUE_FATAL(mariadb_server_init(&g_server));
}

static void test_mysql_service__outlives_a_server_that_is_killed(void) {
    struct worker workers[WORKERS];
    struct fork_ledger ledger = {NULL, 0, 0};
    int faults = soak_count(3, 100);
    start_local_case();
    start_workers(workers);
    for (int i = 0; i < faults; i++) {
        CU_ASSERT_TRUE(wait_for_rows(&g_server, ROWS_BETWEEN));
        mariadb_server_end(&g_server, SIGKILL);
        CU_ASSERT_TRUE_FATAL(mariadb_server_start(&g_server, NULL));
    }
    CU_ASSERT_TRUE(wait_for_rows(&g_server, ROWS_BETWEEN));
    stop_workers(workers, &ledger);
    expect_nothing_lost(&ledger, "kills", faults);
}

/* Every connection ends in the middle of what it does; some have just committed, and their service is not told. */
static void test_mysql_service__outlives_connections_that_are_cut(void) {
    struct worker workers[WORKERS];
    struct fork_ledger ledger = {NULL, 0, 0};
    int faults = soak_count(20, 1000);
    start_local_case();
    start_workers(workers);
    for (int i = 0; i < faults; i++) {
        CU_ASSERT_TRUE(wait_for_rows(&g_server, ROWS_BETWEEN / 10));
        CU_ASSERT_TRUE(mariadb_server_sql(&g_server, "KILL USER " MARIADB_SERVER_USER) >= 0);
    }
    stop_workers(workers, &ledger);
    printf("%d cuts, ", faults);
    expect_nothing_lost(&ledger, "kills", 0);
}

/* With the database away, keys that are known go on past their interval: only an outage allows that. */
static void test_mysql_service__goes_on_with_what_it_has_while_the_server_is_down(void) {
    struct fork_edges edges;
    struct fork_ledger ledger = {NULL, 0, 0};
    struct ael_policy policy = AEL_POLICY_INIT;
    struct ael_session_factory_options options = AEL_SESSION_FACTORY_OPTIONS_INIT;
    struct ael_session_factory *factory = NULL;
    start_local_case();
    CU_ASSERT_TRUE_FATAL(fork_edges_open(&k_world, &edges));
    policy.revoke_check_interval_s = 1;
    policy.max_stale_s = 600;
    options.service = "fork";
    options.product = "outage";
    options.metastore = edges.store;
    options.kms = edges.kms;
    options.policy = &policy;
    CU_ASSERT_EQUAL_FATAL(ael_session_factory_new(&options, &factory, NULL), AEL_OK);
    CU_ASSERT_EQUAL(fork_encrypt(factory, "warm", &ledger), AEL_OK);
    mariadb_server_end(&g_server, SIGKILL);
    time_t until = time(NULL) + 4;
    unsigned failed = 0;
    size_t made = 0;
    while (time(NULL) < until) {
        fork_ledger_clear(&ledger);
        failed += fork_encrypt(factory, "warm", &ledger) != AEL_OK;
        failed += ledger.count == 0 || fork_decrypt(factory, &ledger.records[0]) != AEL_OK;
        made++;
    }
    printf("%zu records, %u failed ", made, failed);
    CU_ASSERT_EQUAL(failed, 0);
    CU_ASSERT_NOT_EQUAL(fork_encrypt(factory, "cold", &ledger), AEL_OK);
    CU_ASSERT_TRUE_FATAL(mariadb_server_start(&g_server, NULL));
    CU_ASSERT_EQUAL(fork_encrypt(factory, "cold", &ledger), AEL_OK);
    fork_ledger_clear(&ledger);
    ael_session_factory_free(factory);
    fork_edges_close(&edges);
}

/* ---- processes that race ---- */

enum { RACERS = 16, RACE_PARTITIONS = 8 };

struct racer {
    struct ael_session_factory *factory;
    struct fork_ledger made;
    pthread_t thread;
    int gate;
};

static void *race(void *context) {
    struct racer *racer = context;
    struct pollfd descriptor = {.fd = racer->gate, .events = POLLIN};
    (void)poll(&descriptor, 1, -1);
    for (int i = 0; i < RACE_PARTITIONS; i++) {
        char partition[16];
        (void)snprintf(partition, sizeof partition, "raced-%d", i);
        FORK_STATUS(fork_encrypt(racer->factory, partition, &racer->made), AEL_OK);
    }
    return NULL;
}

_Noreturn static void race_in_child(int gate, int to) {
    struct fork_edges edges;
    struct racer racers[RACERS];
    (void)alarm(WATCH_SECONDS);
    atomic_store(&fork_wrong, 0);
    FORK_EXPECT(fork_edges_open(&k_world, &edges));
    for (int i = 0; i < RACERS; i++) {
        racers[i] = (struct racer){.factory = edges.factory, .gate = gate};
        FORK_EXPECT(pthread_create(&racers[i].thread, NULL, race, &racers[i]) == 0);
    }
    for (int i = 0; i < RACERS; i++) {
        (void)pthread_join(racers[i].thread, NULL);
        FORK_EXPECT(fork_ledger_send(to, &racers[i].made));
        fork_ledger_clear(&racers[i].made);
    }
    fork_edges_close(&edges);
    (void)close(to);
    fork_leave();
}

static void take_over(pid_t *children, int from, struct fork_ledger *ledger) {
    CU_ASSERT_TRUE(fork_ledger_receive(from, ledger));
    for (int i = 0; i < WORKERS; i++) {
        int status = -1;
        CU_ASSERT_EQUAL(waitpid(children[i], &status, 0), children[i]);
        CU_ASSERT_EQUAL(status, 0);
    }
}

/* 64 writers want the same keys at once: one row each. */
static void test_mysql_service__stores_one_key_for_all_who_race(void) {
    struct fork_ledger ledger = {NULL, 0, 0};
    pid_t children[WORKERS];
    int gate[2];
    int records[2];
    start_local_case();
    CU_ASSERT_EQUAL_FATAL(pipe(gate), 0);
    CU_ASSERT_EQUAL_FATAL(pipe(records), 0);
    (void)fflush(NULL);
    for (int i = 0; i < WORKERS; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            (void)close(gate[1]);
            (void)close(records[0]);
            race_in_child(gate[0], records[1]);
        }
    }
    (void)close(gate[0]);
    (void)close(records[1]);
    (void)close(gate[1]); /* opens */
    take_over(children, records[0], &ledger);
    (void)close(records[0]);
    CU_ASSERT_EQUAL(ledger.count, WORKERS * RACERS * RACE_PARTITIONS);
    long most = count_of(
        &g_server, "SELECT max(n) FROM (SELECT count(*) AS n FROM encryption_key GROUP BY id) AS ids");
    long keys = rows(&g_server);
    printf("%ld keys, %ld of an id at most, ", keys, most);
    CU_ASSERT_TRUE(most == 1 || most == 2); /* two where the minute turned meanwhile */
    CU_ASSERT_TRUE(keys <= most * (RACE_PARTITIONS + 1));
    expect_nothing_lost(&ledger, "kills", 0);
}

/* ---- fork ---- */

static void fork_rounds(bool carry) {
    struct fork_world world = {.sqlite = true, .carry = carry, .open_store = open_store};
    int rounds = soak_count(10, 1000);
    (void)alarm((unsigned)soak_count(WATCH_SECONDS, WATCH_SOAK_SECONDS));
    atomic_store(&fork_wrong, 0);
    fork_world_folder(&world);
    fork_world_open(&world);
    for (int i = 0; i < rounds; i++) {
        struct fork_link link;
        fork_start(&world, fork_child_works_and_ends, &link);
        fork_exchange(&world, &link);
    }
    fork_world_close(&world);
    (void)fflush(stdout);
    exit(atomic_load(&fork_wrong) == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

/* A child encrypts for a new and for an old partition and the parent decrypts, and the reverse. */
static void fork_and_exchange(bool carry) {
    int status = -1;
    start_local_case();
    (void)fflush(NULL);
    pid_t actor = fork();
    if (actor == 0) {
        fork_rounds(carry);
    }
    CU_ASSERT_EQUAL(waitpid(actor, &status, 0), actor);
    CU_ASSERT_EQUAL(status, 0);
}

static void test_mysql_service__forks_with_its_keys(void) {
    fork_and_exchange(true);
}

static void test_mysql_service__forks_and_forgets(void) {
    fork_and_exchange(false);
}

/* ---- a cluster ---- */

static struct mariadb_server g_nodes[GALERA_NODES];

/* All nodes, the one of that number first. */
static void list_nodes(int first) {
    (void)snprintf(
        g_connection, sizeof g_connection,
        "mysql://%s:%s@127.0.0.1:%d,127.0.0.1:%d,127.0.0.1:%d/%s?tls=false", MARIADB_SERVER_USER,
        MARIADB_SERVER_PASSWORD_URL, g_nodes[first].port, g_nodes[(first + 1) % GALERA_NODES].port,
        g_nodes[(first + 2) % GALERA_NODES].port, MARIADB_SERVER_DATABASE);
}

static void test_galera__starts(void) {
    struct ael_metastore *store = NULL;
    CU_ASSERT_TRUE_FATAL(mariadb_server_init_galera(g_nodes));
    list_nodes(0);
    CU_ASSERT_TRUE_FATAL(open_store(&store));
    CU_ASSERT_EQUAL(ael_metastore_ensure_schema(store, NULL, NULL), AEL_OK);
    ael_metastore_release(store);
}

enum { RACED_CREATED = 1700000040 };

struct node_race {
    struct ael_metastore *store;
    int round;
    bool stored;
    enum ael_status status;
    enum ael_status loaded;
    pthread_t thread;
};

/* Who lost the race sees at once who won it. */
static void *store_at_node(void *context) {
    struct node_race *racer = context;
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    const struct ael_key_record record = {.created_s = RACED_CREATED, .key = ael_bytes_from_text("key")};
    char id[32];
    (void)snprintf(id, sizeof id, "_IK_raced_%d", racer->round);
    racer->status =
        ael_metastore_store(racer->store, NULL, ael_bytes_from_text(id), &record, &racer->stored, NULL);
    racer->loaded =
        ael_metastore_load(racer->store, NULL, ael_bytes_from_text(id), RACED_CREATED, &out, NULL);
    ael_key_record_buf_clear(&out);
    return NULL;
}

static int race_at_nodes(struct node_race racers[GALERA_NODES], int round) {
    int winners = 0;
    for (int i = 0; i < GALERA_NODES; i++) {
        racers[i].round = round;
        racers[i].stored = false;
        CU_ASSERT_EQUAL_FATAL(pthread_create(&racers[i].thread, NULL, store_at_node, &racers[i]), 0);
    }
    for (int i = 0; i < GALERA_NODES; i++) {
        (void)pthread_join(racers[i].thread, NULL);
        CU_ASSERT_EQUAL(racers[i].status, AEL_OK);
        CU_ASSERT_EQUAL(racers[i].loaded, AEL_OK);
        winners += racers[i].stored ? 1 : 0;
    }
    return winners;
}

/* Each node is asked by a store of its own: of three that write one row at once one is told that it did. */
static void test_galera__has_one_winner_a_row(void) {
    struct node_race racers[GALERA_NODES];
    int rounds = soak_count(20, 1000);
    int winners = 0;
    for (int i = 0; i < GALERA_NODES; i++) {
        list_nodes(i);
        CU_ASSERT_TRUE_FATAL(open_store(&racers[i].store));
    }
    for (int round = 0; round < rounds; round++) {
        winners += race_at_nodes(racers, round);
    }
    printf("%d rounds, %d winners ", rounds, winners);
    CU_ASSERT_EQUAL(winners, rounds);
    for (int i = 0; i < GALERA_NODES; i++) {
        ael_metastore_release(racers[i].store);
    }
}

/* The node that is asked first is killed: the others have what it acknowledged, and are asked next. */
static void test_mysql_service__outlives_a_node_of_its_cluster(void) {
    struct worker workers[WORKERS];
    struct fork_ledger ledger = {NULL, 0, 0};
    list_nodes(1);
    CU_ASSERT_TRUE_FATAL(mariadb_server_sql(&g_nodes[0], "DELETE FROM encryption_key") >= 0);
    start_workers(workers);
    CU_ASSERT_TRUE(wait_for_rows(&g_nodes[0], ROWS_BETWEEN));
    mariadb_server_end(&g_nodes[1], SIGKILL);
    CU_ASSERT_TRUE(wait_for_rows(&g_nodes[0], ROWS_BETWEEN));
    stop_workers(workers, &ledger);
    expect_nothing_lost(&ledger, "node killed", 1);
}

static enum ael_status load_none(struct ael_metastore *store) {
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    enum ael_status status =
        ael_metastore_load(store, NULL, ael_bytes_from_text("_IK_none"), RACED_CREATED, &out, NULL);
    ael_key_record_buf_clear(&out);
    return status;
}

static enum ael_status store_none(struct ael_metastore *store, bool *stored) {
    const struct ael_key_record record = {.created_s = RACED_CREATED, .key = ael_bytes_from_text("key")};
    return ael_metastore_store(store, NULL, ael_bytes_from_text("_IK_none"), &record, stored, NULL);
}

/* A node that is alone takes no writes and gives no answers: unreachable, so that warm keys go on. */
static void test_galera__that_lost_its_majority_is_unreachable(void) {
    struct ael_metastore *store = NULL;
    bool stored = true;
    list_nodes(0);
    CU_ASSERT_TRUE_FATAL(open_store(&store));
    CU_ASSERT_EQUAL(ael_metastore_health(store, NULL, NULL), AEL_OK);
    mariadb_server_end(&g_nodes[2], SIGKILL);
    enum ael_status status = AEL_OK;
    for (int i = 0; i < TRIES && status != AEL_E_UNREACHABLE;
         i++) { /* the others are suspected for a while */
        status = load_none(store);
        CU_ASSERT_TRUE(status == AEL_E_KEY_NOT_FOUND || status == AEL_E_UNREACHABLE);
        (void)poll(NULL, 0, TRY_MS);
    }
    CU_ASSERT_EQUAL(status, AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(store_none(store, &stored), AEL_E_UNREACHABLE);
    CU_ASSERT_FALSE(stored);
    CU_ASSERT_EQUAL(ael_metastore_health(store, NULL, NULL), AEL_E_UNREACHABLE);
    CU_ASSERT_TRUE(
        mariadb_server_sql(&g_nodes[0], "SET GLOBAL wsrep_provider_options = 'pc.bootstrap=1'") >= 0);
    for (int i = 0; i < TRIES && ael_metastore_health(store, NULL, NULL) != AEL_OK; i++) {
        (void)poll(NULL, 0, TRY_MS);
    }
    CU_ASSERT_EQUAL(store_none(store, &stored), AEL_OK);
    CU_ASSERT_TRUE(stored);
    ael_metastore_release(store);
}

static void test_galera__ends(void) {
    for (int i = 0; i < GALERA_NODES; i++) {
        mariadb_server_clear(&g_nodes[i]);
    }
}

static void test_server__ends(void) {
    mariadb_server_clear(&g_server);
}

static const struct test_case k_cases[] = {
    {"a server starts", test_server__starts},
    {"64 who race store one key", test_mysql_service__stores_one_key_for_all_who_race},
    {"a server that is killed", test_mysql_service__outlives_a_server_that_is_killed},
    {"connections that are cut", test_mysql_service__outlives_connections_that_are_cut},
    {"warm keys while the server is down",
     test_mysql_service__goes_on_with_what_it_has_while_the_server_is_down},
    {"a child and its parent, with keys handed over", test_mysql_service__forks_with_its_keys},
    {"a child and its parent, with keys forgotten", test_mysql_service__forks_and_forgets},
    {"the server ends", test_server__ends},
    {"a cluster starts", test_galera__starts},
    {"a row has one winner in a cluster", test_galera__has_one_winner_a_row},
    {"a node of a cluster is killed", test_mysql_service__outlives_a_node_of_its_cluster},
    {"a node that lost its majority", test_galera__that_lost_its_majority_is_unreachable},
    {"the cluster ends", test_galera__ends},
};

TEST_SUITE_MAIN("mysql_service", k_cases)
