/*
 * test_etcd_service.c - services over a cluster of three nodes of etcd: 64 writers race for keys while nodes are killed, a node
 * hangs, more than half of them are lost and come back, users and their tokens, a fork.
 *
 * Of every record for which encrypt said AEL_OK a fresh factory must make the payload again, and of each key there is one.
 *
 * Needs: libael, libael-etcd, CUnit, tests/support/etcd_cluster.c, tests/support/child.c.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ael/ael.h>
#include <ael/metastore_etcd.h>
#include <ael/sys/metastore_backend.h>

#include "tests/support/child.h"
#include "tests/support/etcd_cluster.h"
#include "tests/support/service_record.h"
#include "tests/support/soak.h"
#include "tests/support/suite.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum {
    PROCESSES = 4, /* factories that share nothing but the cluster */
    WRITERS = 64,
    MOST_RECORDS = 200,
    ROUNDS_WAIT_MS = 20,
};

static struct etcd_cluster g_cluster;

static void test_etcd_cluster__starts(void) {
    CU_ASSERT_TRUE_FATAL(etcd_cluster_init(&g_cluster, ETCD_CLUSTER_NODES, false));
}

static void test_etcd_cluster__ends(void) {
    etcd_cluster_clear(&g_cluster);
}

/* ---- a service ---- */

struct service {
    struct ael_metastore *store;
    struct ael_kms *kms;
    struct ael_session_factory *factory;
};

static bool service_begin(struct service *service, const char *prefix, const struct ael_policy *policy) {
    uint8_t key[32] = {6, 0, 6};
    struct ael_metastore_etcd_options options = etcd_cluster_options(&g_cluster, prefix);
    struct ael_session_factory_options wanted = AEL_SESSION_FACTORY_OPTIONS_INIT;
    struct ael_error err = {0};
    *service = (struct service){NULL, NULL, NULL};
    wanted.service = "svc";
    wanted.product = "prod";
    wanted.policy = policy;
    options.answer_timeout_ms = policy == NULL ? 2000 : 1000; /* what a dead leader was told last gets no answer */
    if (ael_metastore_etcd_new(&options, &service->store, &err) == AEL_OK &&
        ael_kms_static_from_bytes(key, sizeof key, &service->kms, &err) == AEL_OK) {
        wanted.metastore = service->store;
        wanted.kms = service->kms;
        if (ael_session_factory_new(&wanted, &service->factory, &err) == AEL_OK) {
            return true;
        }
    }
    printf("\n    %s", err.detail);
    return false;
}

static void service_end(struct service *service) {
    ael_session_factory_free(service->factory);
    ael_kms_release(service->kms);
    ael_metastore_release(service->store);
}

/* ---- records ---- */

static struct service_record named(const char *partition) {
    struct service_record record = {.text = "a payload"};
    (void)snprintf(record.partition, sizeof record.partition, "%s", partition);
    return record;
}

/* ---- 64 writers ---- */

struct writer {
    const struct service *service;
    unsigned number;
    unsigned failed;
    struct service_record records[MOST_RECORDS];
    pthread_t thread;
};

static struct writer g_writers[WRITERS]; /* large */
static unsigned g_records;               /* of each writer, and so many partitions */
static atomic_uint g_done;               /* records in all; relaxed: a count */

/* Each record is of a partition that nobody had before, so that all race for each key. */
static void *write_records(void *argument) {
    struct writer *writer = argument;
    for (unsigned i = 0; i < g_records; i++) {
        struct service_record *record = &writer->records[i];
        struct ael_error err = {0};
        (void)snprintf(record->partition, sizeof record->partition, "p%u", i);
        (void)snprintf(record->text, sizeof record->text, "payload %u of writer %u", i, writer->number);
        enum ael_status status = service_record_encrypt(writer->service->factory, record, NULL, &err);
        if (status != AEL_OK) {
            printf("\n    %s: %s", ael_status_name(status), err.detail);
            writer->failed++;
        }
        atomic_fetch_add_explicit(&g_done, 1, memory_order_relaxed);
    }
    return NULL;
}

static void start_writers(const struct service *services, unsigned records) {
    g_records = records;
    atomic_store(&g_done, 0);
    for (unsigned i = 0; i < WRITERS; i++) {
        g_writers[i] = (struct writer){.service = &services[i % PROCESSES], .number = i};
        CU_ASSERT_EQUAL_FATAL(pthread_create(&g_writers[i].thread, NULL, write_records, &g_writers[i]), 0);
    }
}

static unsigned join_writers(void) {
    unsigned failed = 0;
    for (unsigned i = 0; i < WRITERS; i++) {
        (void)pthread_join(g_writers[i].thread, NULL);
        failed += g_writers[i].failed;
    }
    return failed;
}

static void wait_for_records(unsigned count) {
    while (atomic_load_explicit(&g_done, memory_order_relaxed) < count) {
        (void)poll(NULL, 0, ROUNDS_WAIT_MS);
    }
}

/* How many of the records a fresh factory does not decrypt. */
static unsigned unreadable(const char *prefix) {
    struct service fresh;
    unsigned lost = 0;
    CU_ASSERT_TRUE_FATAL(service_begin(&fresh, prefix, NULL));
    for (unsigned i = 0; i < WRITERS * g_records; i++) {
        const struct service_record *record = &g_writers[i / g_records].records[i % g_records];
        lost += service_record_decrypt(fresh.factory, record) == AEL_OK ? 0 : 1;
    }
    service_end(&fresh);
    return lost;
}

/* Keys within one minute are one key; a minute that ends in the race makes a second one. */
struct rows {
    unsigned count;
    unsigned ids;
    unsigned too_close;
    char last[64];
    int64_t last_s;
};

static bool
count_row(void *context, struct ael_bytes id, int64_t created_s, const struct ael_key_record *record) {
    struct rows *rows = context;
    char text[64];
    (void)record;
    (void)snprintf(text, sizeof text, "%.*s", (int)id.len, (const char *)id.data);
    bool same = strcmp(text, rows->last) == 0;
    rows->ids += same ? 0 : 1;
    rows->too_close += same && created_s - rows->last_s < 60 ? 1 : 0;
    rows->count++;
    rows->last_s = created_s;
    memcpy(rows->last, text, sizeof text);
    return true;
}

static struct rows rows_of(const struct service *service) {
    struct rows rows = {0};
    struct ael_error err = {0};
    enum ael_status status =
        ael_metastore_list(service->store, NULL, (struct ael_bytes){NULL, 0}, count_row, &rows, &err);
    CU_ASSERT_EQUAL(status, AEL_OK);
    if (status != AEL_OK) {
        printf("\n    %s: %s", ael_status_name(status), err.detail);
    }
    return rows;
}

/* Kills the leader under load, then the next one, each of which comes back. @return how many. */
static unsigned kill_leaders(unsigned kills, unsigned all) {
    unsigned killed = 0;
    for (unsigned i = 0; i < kills; i++) {
        wait_for_records(all * (2 * i + 1) / (2 * kills));
        int leader = etcd_cluster_leader(&g_cluster);
        if (leader < 0) {
            continue;
        }
        etcd_cluster_end_node(&g_cluster, leader, SIGKILL);
        killed++;
        wait_for_records(all * (2 * i + 2) / (2 * kills) - WRITERS); /* without it */
        CU_ASSERT_TRUE_FATAL(etcd_cluster_start_node(&g_cluster, leader));
    }
    return killed;
}

static void test_etcd_service__makes_one_key_in_a_race_while_leaders_are_killed(void) {
    struct service services[PROCESSES];
    unsigned records = (unsigned)soak_count(24, MOST_RECORDS);
    unsigned kills = (unsigned)soak_count(2, 12);
    for (int i = 0; i < PROCESSES; i++) {
        CU_ASSERT_TRUE_FATAL(service_begin(&services[i], "race", NULL));
    }
    start_writers(services, records);
    unsigned killed = kill_leaders(kills, WRITERS * records);
    CU_ASSERT_EQUAL(join_writers(), 0);
    CU_ASSERT_TRUE(killed > 0);
    CU_ASSERT_TRUE_FATAL(etcd_cluster_wait(&g_cluster));
    struct rows rows = rows_of(&services[0]);
    printf("%u kills, %u records, %u ids, %u keys ", killed, WRITERS * records, rows.ids, rows.count);
    CU_ASSERT_EQUAL(rows.ids, records + 1);
    CU_ASSERT_EQUAL(rows.too_close, 0);
    CU_ASSERT_EQUAL(unreadable("race"), 0);
    for (int i = 0; i < PROCESSES; i++) {
        service_end(&services[i]);
    }
}

/* ---- nodes that hang, and too many that are lost ---- */

static void test_etcd_service__goes_on_while_a_node_hangs(void) {
    struct service service;
    struct service_record record = named("hung");
    struct ael_call call = AEL_CALL_INIT;
    int follower = (etcd_cluster_leader(&g_cluster) + 1) % ETCD_CLUSTER_NODES;
    CU_ASSERT_TRUE_FATAL(service_begin(&service, "hang", NULL));
    (void)kill(g_cluster.nodes[follower].pid, SIGSTOP);
    for (int i = 0; i < ETCD_CLUSTER_NODES; i++) {
        call.deadline_ns = ael_deadline_in_ms(20000);
        (void)snprintf(record.partition, sizeof record.partition, "hung%d", i);
        CU_ASSERT_EQUAL(service_record_encrypt(service.factory, &record, &call, NULL), AEL_OK);
    }
    (void)kill(g_cluster.nodes[follower].pid, SIGCONT);
    CU_ASSERT_EQUAL(service_record_decrypt(service.factory, &record), AEL_OK);
    service_end(&service);
}

/* Half a cluster answers nothing, which is not "not found": warm keys go on, new ones are not made twice. */
static void test_etcd_service__goes_on_without_a_majority(void) {
    struct service service;
    struct ael_policy policy = AEL_POLICY_INIT;
    struct service_record warm = named("warm");
    struct service_record cold = named("cold");
    struct ael_call call = AEL_CALL_INIT;
    policy.revoke_check_interval_s = 1;
    policy.max_stale_s = 600;
    CU_ASSERT_TRUE_FATAL(service_begin(&service, "minority", &policy));
    CU_ASSERT_EQUAL(service_record_encrypt(service.factory, &warm, NULL, NULL), AEL_OK);
    etcd_cluster_end_node(&g_cluster, 0, SIGKILL);
    etcd_cluster_end_node(&g_cluster, 2, SIGKILL);
    call.deadline_ns = ael_deadline_in_ms(3000);
    enum ael_status status = service_record_encrypt(service.factory, &cold, &call, NULL);
    CU_ASSERT_TRUE(status == AEL_E_UNREACHABLE || status == AEL_E_TIMEOUT);
    CU_ASSERT_EQUAL(service_record_decrypt(service.factory, &warm), AEL_OK);
    /* past its interval by now */
    CU_ASSERT_EQUAL(service_record_encrypt(service.factory, &warm, NULL, NULL), AEL_OK);
    CU_ASSERT_TRUE_FATAL(etcd_cluster_start_node(&g_cluster, 0));
    CU_ASSERT_TRUE_FATAL(etcd_cluster_start_node(&g_cluster, 2));
    CU_ASSERT_TRUE_FATAL(etcd_cluster_wait(&g_cluster));
    CU_ASSERT_EQUAL(service_record_encrypt(service.factory, &cold, NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(rows_of(&service).ids, 3);
    CU_ASSERT_EQUAL(rows_of(&service).too_close, 0);
    service_end(&service);
}

/* ---- listings of many pages ---- */

static void test_etcd_list__reads_all_pages(void) {
    enum { ROWS = 120, RECORD_KEY_BYTES = 64 };
    static const uint8_t k_key[RECORD_KEY_BYTES] = {1};
    struct ael_metastore *store = NULL;
    CU_ASSERT_TRUE_FATAL(etcd_cluster_open(&g_cluster, "pages", &store));
    for (unsigned i = 0; i < ROWS; i++) {
        char id[32];
        bool stored = false;
        const struct ael_key_record record = {
            .created_s = 1700000040 + 60 * (int64_t)i, .key = {k_key, sizeof k_key}};
        (void)snprintf(id, sizeof id, "_IK_%u", i % 10);
        CU_ASSERT_EQUAL(
            ael_metastore_store(store, NULL, ael_bytes_from_text(id), &record, &stored, NULL), AEL_OK);
    }
    const struct service service = {.store = store};
    CU_ASSERT_EQUAL(rows_of(&service).count, ROWS);
    CU_ASSERT_EQUAL(rows_of(&service).ids, 10);
    ael_metastore_release(store);
}

/* ---- fork ---- */

struct forked {
    const struct service *service;
    const struct service_record *of_parent;
};

static int work_in_child(void *context) {
    const struct forked *forked = context;
    struct service_record own = named("child");
    bool good = service_record_decrypt(forked->service->factory, forked->of_parent) == AEL_OK &&
                service_record_encrypt(forked->service->factory, &own, NULL, NULL) == AEL_OK &&
                service_record_decrypt(forked->service->factory, &own) == AEL_OK &&
                ael_metastore_health(forked->service->store, NULL, NULL) == AEL_OK;
    return good ? 0 : 1;
}

static void test_etcd_service__works_in_a_child(void) {
    struct service service;
    struct service_record before = named("parent");
    struct service_record after = named("after");
    CU_ASSERT_TRUE_FATAL(service_begin(&service, "forked", NULL));
    CU_ASSERT_EQUAL(service_record_encrypt(service.factory, &before, NULL, NULL), AEL_OK);
    struct forked forked = {&service, &before};
    CU_ASSERT_EQUAL(child_wait(child_start(work_in_child, &forked)), 0);
    CU_ASSERT_EQUAL(service_record_encrypt(service.factory, &after, NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(service_record_decrypt(service.factory, &after), AEL_OK);
    service_end(&service);
}

/* ---- users ---- */

static enum ael_status health_with(struct ael_metastore_etcd_options options, const char *remedy) {
    struct ael_metastore *store = NULL;
    struct ael_error err = {0};
    enum ael_status status = ael_metastore_etcd_new(&options, &store, &err);
    if (status == AEL_OK) {
        status = ael_metastore_health(store, NULL, &err);
    }
    if (remedy != NULL && strstr(err.detail, remedy) == NULL) {
        printf("\n    %s: %s", ael_status_name(status), err.detail);
        status = AEL_E_STATE;
    }
    ael_metastore_release(store);
    return status;
}

static void expect_refusals(const struct etcd_cluster *cluster) {
    const struct ael_metastore_etcd_options good = etcd_cluster_options(cluster, ETCD_CLUSTER_PREFIX);
    struct ael_metastore_etcd_options options = good;
    CU_ASSERT_EQUAL(health_with(options, NULL), AEL_OK);
    options.password = "another";
    CU_ASSERT_EQUAL(health_with(options, "password is wrong"), AEL_E_BACKEND);
    options = good;
    options.user = options.password = NULL;
    CU_ASSERT_EQUAL(health_with(options, "set user and password"), AEL_E_BACKEND);
    options = good;
    options.prefix = "guarded/keysmith";
    CU_ASSERT_EQUAL(health_with(options, "readwrite"), AEL_E_BACKEND);
    options = good;
    options.client_cert = NULL;
    CU_ASSERT_NOT_EQUAL(health_with(options, NULL), AEL_OK);
    options = good;
    options.ca_file = NULL; /* the system's */
    CU_ASSERT_EQUAL(health_with(options, "certificate"), AEL_E_BACKEND);
}

/* Tokens are in a node's memory: another start forgets them. */
static void expect_to_outlive_tokens(struct etcd_cluster *cluster) {
    struct ael_metastore *store = NULL;
    CU_ASSERT_TRUE_FATAL(etcd_cluster_open(cluster, ETCD_CLUSTER_PREFIX, &store));
    CU_ASSERT_EQUAL(ael_metastore_health(store, NULL, NULL), AEL_OK);
    etcd_cluster_end_node(cluster, 0, SIGKILL);
    CU_ASSERT_EQUAL(ael_metastore_health(store, NULL, NULL), AEL_E_UNREACHABLE);
    CU_ASSERT_TRUE_FATAL(etcd_cluster_start_node(cluster, 0) && etcd_cluster_wait(cluster));
    CU_ASSERT_EQUAL(ael_metastore_health(store, NULL, NULL), AEL_OK);
    ael_metastore_release(store);
}

static void test_etcd_user__is_refused_and_let_in(void) {
    static struct etcd_cluster cluster;
    bool begun = etcd_cluster_init(&cluster, 1, true);
    CU_ASSERT_TRUE(begun);
    if (begun) {
        expect_refusals(&cluster);
        expect_to_outlive_tokens(&cluster);
    }
    etcd_cluster_clear(&cluster);
}

static const struct test_case k_cases[] = {
    {"a cluster of three nodes starts", test_etcd_cluster__starts},
    {"64 writers make one key each time while leaders are killed",
     test_etcd_service__makes_one_key_in_a_race_while_leaders_are_killed},
    {"a node that hangs holds nobody up", test_etcd_service__goes_on_while_a_node_hangs},
    {"without a majority warm keys go on", test_etcd_service__goes_on_without_a_majority},
    {"a listing reads all pages", test_etcd_list__reads_all_pages},
    {"a child of fork works", test_etcd_service__works_in_a_child},
    {"the cluster ends", test_etcd_cluster__ends},
    {"a user is refused and let in", test_etcd_user__is_refused_and_let_in},
};

TEST_SUITE_MAIN("etcd service", k_cases)
