/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/sql_service.h"

#include "tests/support/service_load.h"
#include "tests/support/soak.h"
#include "tests/support/workers.h"

#include <ael/sys/metastore_backend.h>

#include <CUnit/CUnit.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* see tests/support/sql_service.h */
struct fork_world sql_service_world(const struct sql_service *service, bool carry) {
    return (struct fork_world){.sqlite = true, .carry = carry, .open_store = service->open_store};
}

/* see tests/support/sql_service.h */
void sql_service_begin(const struct sql_service *service) {
    struct ael_metastore *store = NULL;
    CU_ASSERT_TRUE_FATAL(service->sql(service->server, "DROP TABLE IF EXISTS encryption_key") >= 0);
    CU_ASSERT_TRUE_FATAL(service->open_store(&store));
    CU_ASSERT_EQUAL(ael_metastore_ensure_schema(store, NULL, NULL), AEL_OK);
    ael_metastore_release(store);
}

/* see tests/support/sql_service.h */
long sql_service_count(const struct sql_service *service, const void *server, const char *text) {
    char value[64];
    return service->value(server, text, value, sizeof value) ? strtol(value, NULL, 10) : -1;
}

/* see tests/support/sql_service.h */
long sql_service_rows(const struct sql_service *service, const void *server) {
    return sql_service_count(service, server, "SELECT count(*) FROM encryption_key");
}

/* see tests/support/sql_service.h */
bool sql_service_wait_for_rows(const struct sql_service *service, const void *server, long more) {
    long first = sql_service_rows(service, server);
    for (int i = 0; i < SQL_SERVICE_TRIES; i++) {
        if (sql_service_rows(service, server) >= first + more) {
            return true;
        }
        (void)poll(NULL, 0, SQL_SERVICE_TRY_MS);
    }
    return false;
}

/* ---- faults under load ---- */

/* see tests/support/sql_service.h */
void sql_service_outlives_kills(const struct sql_service *service) {
    const struct fork_world world = sql_service_world(service, true);
    struct service_load load;
    struct fork_ledger ledger = {NULL, 0, 0};
    int faults = soak_count(3, 100);
    service_load_start(&load, &world);
    for (int i = 0; i < faults; i++) {
        CU_ASSERT_TRUE(service_load_wait_for_records(&load, SERVICE_LOAD_ROWS));
        service->kill(service->server);
        CU_ASSERT_TRUE_FATAL(service->start(service->server));
    }
    CU_ASSERT_TRUE(service_load_wait_for_records(&load, SERVICE_LOAD_ROWS));
    service_load_stop(&load, &ledger);
    service_load_expect_nothing_lost(&world, &ledger, "kills", faults);
}

/* see tests/support/sql_service.h */
void sql_service_outlives_cuts(const struct sql_service *service) {
    const struct fork_world world = sql_service_world(service, true);
    struct service_load load;
    struct fork_ledger ledger = {NULL, 0, 0};
    int faults = soak_count(20, 1000);
    service_load_start(&load, &world);
    for (int i = 0; i < faults; i++) {
        CU_ASSERT_TRUE(service_load_wait_for_records(&load, SERVICE_LOAD_ROWS / 10));
        CU_ASSERT_TRUE(service->sql(service->server, service->cut) >= 0);
    }
    service_load_stop(&load, &ledger);
    printf("%d cuts, ", faults);
    service_load_expect_nothing_lost(&world, &ledger, "kills", 0);
}

/* ---- an outage ---- */

enum { OUTAGE_SECONDS = 4 };

/* Keys of which are checked every second, and serve ten minutes when they cannot be. */
static struct ael_session_factory *patient_factory(const struct fork_edges *edges) {
    struct ael_policy policy = AEL_POLICY_INIT;
    struct ael_session_factory_options options = AEL_SESSION_FACTORY_OPTIONS_INIT;
    struct ael_session_factory *factory = NULL;
    policy.revoke_check_interval_s = 1;
    policy.max_stale_s = 600;
    options.service = FORK_SERVICE;
    options.product = "outage";
    options.metastore = edges->store;
    options.kms = edges->kms;
    options.policy = &policy;
    CU_ASSERT_EQUAL_FATAL(ael_session_factory_new(&options, &factory, NULL), AEL_OK);
    return factory;
}

static void expect_warm_keys_to_go_on(struct ael_session_factory *factory, struct fork_ledger *ledger) {
    time_t until = time(NULL) + OUTAGE_SECONDS;
    unsigned failed = 0;
    size_t made = 0;
    while (time(NULL) < until) {
        fork_ledger_clear(ledger);
        failed += fork_encrypt(factory, "warm", ledger) != AEL_OK;
        failed += ledger->count == 0 || fork_decrypt(factory, &ledger->records[0]) != AEL_OK;
        made++;
    }
    printf("%zu records, %u failed ", made, failed);
    CU_ASSERT_EQUAL(failed, 0);
}

/* see tests/support/sql_service.h */
void sql_service_goes_on_while_the_server_is_down(const struct sql_service *service) {
    const struct fork_world world = sql_service_world(service, true);
    struct fork_edges edges;
    struct fork_ledger ledger = {NULL, 0, 0};
    CU_ASSERT_TRUE_FATAL(fork_edges_open(&world, &edges));
    struct ael_session_factory *factory = patient_factory(&edges);
    CU_ASSERT_EQUAL(fork_encrypt(factory, "warm", &ledger), AEL_OK);
    service->kill(service->server);
    expect_warm_keys_to_go_on(factory, &ledger);
    CU_ASSERT_NOT_EQUAL(fork_encrypt(factory, "cold", &ledger), AEL_OK);
    CU_ASSERT_TRUE_FATAL(service->start(service->server));
    CU_ASSERT_EQUAL(fork_encrypt(factory, "cold", &ledger), AEL_OK);
    fork_ledger_clear(&ledger);
    ael_session_factory_free(factory);
    fork_edges_close(&edges);
}

/* ---- processes that race ---- */

enum {
    RACING_PROCESSES = 4,
    RACERS = 16,
    RACE_PARTITIONS = 8,
    LONG_RACE_PARTITIONS = 48,
    RACED_FIRST = 2 /* keys */,
    OUTAGE_TRIES = 100
};

struct racer {
    struct ael_session_factory *factory;
    bool asks_again; /* after an outage */
    int partitions;
    struct fork_ledger made;
    pthread_t thread;
    int gate;
};

static void *race(void *context) {
    struct racer *racer = context;
    struct pollfd descriptor = {.fd = racer->gate, .events = POLLIN};
    (void)poll(&descriptor, 1, -1);
    for (int i = 0; i < racer->partitions; i++) {
        char partition[24];
        (void)snprintf(partition, sizeof partition, "raced-%d", i);
        enum ael_status status = fork_encrypt(racer->factory, partition, &racer->made);
        for (int j = 0; j < OUTAGE_TRIES && racer->asks_again && service_load_is_outage(status); j++) {
            status = fork_encrypt(racer->factory, partition, &racer->made);
        }
        FORK_STATUS(status, AEL_OK);
    }
    return NULL;
}

_Noreturn static void race_in_child(const struct fork_world *world, bool asks_again, int gate, int to) {
    struct fork_edges edges;
    struct racer racers[RACERS];
    (void)alarm(service_load_watch_s());
    atomic_store(&fork_wrong, 0);
    FORK_EXPECT(fork_edges_open(world, &edges));
    worker_is_ready(to);
    for (int i = 0; i < RACERS; i++) {
        racers[i] = (struct racer){
            .factory = edges.factory,
            .asks_again = asks_again,
            .partitions = asks_again ? LONG_RACE_PARTITIONS : RACE_PARTITIONS,
            .gate = gate};
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
    for (int i = 0; i < RACING_PROCESSES; i++) {
        int status = -1;
        CU_ASSERT_EQUAL(waitpid(children[i], &status, 0), children[i]);
        CU_ASSERT_EQUAL(status, 0);
    }
}

/* Tells whether there were still keys to be made by then. */
static bool do_in_the_middle(const struct sql_service *service, void (*deed)(void)) {
    bool begun = sql_service_wait_for_rows(service, service->server, RACED_FIRST);
    bool over = sql_service_rows(service, service->server) > LONG_RACE_PARTITIONS;
    deed();
    return begun && !over;
}

static void
race_in_processes(const struct sql_service *service, void (*deed)(void), struct fork_ledger *ledger) {
    const struct fork_world world = sql_service_world(service, true);
    pid_t children[RACING_PROCESSES];
    int gate[2];
    int records[2];
    CU_ASSERT_EQUAL_FATAL(pipe(gate), 0);
    CU_ASSERT_EQUAL_FATAL(pipe(records), 0);
    (void)fflush(NULL);
    for (int i = 0; i < RACING_PROCESSES; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            (void)close(gate[1]);
            (void)close(records[0]);
            race_in_child(&world, deed != NULL, gate[0], records[1]);
        }
    }
    (void)close(gate[0]);
    (void)close(records[1]);
    CU_ASSERT_TRUE(workers_are_ready(records[0], RACING_PROCESSES));
    (void)close(gate[1]); /* opens */
    CU_ASSERT_TRUE(deed == NULL || do_in_the_middle(service, deed));
    take_over(children, records[0], ledger);
    (void)close(records[0]);
}

/* see tests/support/sql_service.h */
void sql_service_stores_one_key_while(const struct sql_service *service, void (*deed)(void)) {
    const struct fork_world world = sql_service_world(service, true);
    struct fork_ledger ledger = {NULL, 0, 0};
    race_in_processes(service, deed, &ledger);
    int partitions =
        deed == NULL ? RACE_PARTITIONS : LONG_RACE_PARTITIONS; /* so that it is not over before the deed */
    CU_ASSERT_EQUAL(ledger.count, (size_t)(RACING_PROCESSES * RACERS * partitions));
    long most = sql_service_count(
        service, service->server,
        "SELECT max(n) FROM (SELECT count(*) AS n FROM encryption_key GROUP BY id) AS ids");
    long keys = sql_service_rows(service, service->server);
    printf("%ld keys, %ld of an id at most, ", keys, most);
    CU_ASSERT_TRUE(most == 1 || most == 2); /* two where the minute turned meanwhile */
    CU_ASSERT_TRUE(keys <= most * (partitions + 1));
    service_load_expect_nothing_lost(&world, &ledger, "kills", 0);
}

/* see tests/support/sql_service.h */
void sql_service_stores_one_key_for_all_who_race(const struct sql_service *service) {
    sql_service_stores_one_key_while(service, NULL);
}

/* ---- fork ---- */

_Noreturn static void fork_rounds(struct fork_world *world) {
    int rounds = soak_count(10, 1000);
    (void)alarm(service_load_watch_s());
    atomic_store(&fork_wrong, 0);
    fork_world_folder(world);
    fork_world_open(world);
    for (int i = 0; i < rounds; i++) {
        struct fork_link link;
        fork_start(world, fork_child_works_and_ends, &link);
        fork_exchange(world, &link);
    }
    fork_world_close(world);
    (void)fflush(stdout);
    exit(atomic_load(&fork_wrong) == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

/* see tests/support/sql_service.h */
void sql_service_forks(const struct sql_service *service, bool carry) {
    struct fork_world world = sql_service_world(service, carry);
    int status = -1;
    (void)fflush(NULL);
    pid_t actor = fork();
    if (actor == 0) {
        fork_rounds(&world);
    }
    CU_ASSERT_EQUAL(waitpid(actor, &status, 0), actor);
    CU_ASSERT_EQUAL(status, 0);
}
