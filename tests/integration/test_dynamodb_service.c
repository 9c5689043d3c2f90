/*
 * test_dynamodb_service.c - services over DynamoDB: two regions of a global table that write at once, one of which is lost
 * and comes back; many processes' worth of threads that race for keys; a fork.
 *
 * Two DynamoDBLocals are the regions. A replicator of the test's carries rows both ways, and where both have a row the last
 * writer wins, as in a global table. Of every record for which encrypt said AEL_OK a fresh factory must make the payload
 * again, in either region.
 *
 * Needs: libael, libael-dynamodb, CUnit, tests/support/dynamodb_server.c, tests/support/child.c.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ael/ael.h>
#include <ael/metastore_dynamodb.h>
#include <ael/sys/metastore_backend.h>

#include "tests/support/child.h"
#include "tests/support/dynamodb_server.h"
#include "tests/support/service_record.h"
#include "tests/support/soak.h"
#include "tests/support/suite.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    REGIONS = 2,
    THREADS = 4,
    PARTITIONS = 5,
    RECORDS = 40,
    RACERS = 16,
};

static struct dynamodb_server g_servers[REGIONS];
static const char *const k_regions[REGIONS] = {"us-west-2", "eu-central-1"};

static void test_dynamodb_servers__start(void) {
    dynamodb_server_set_environment();
    for (int i = 0; i < REGIONS; i++) {
        CU_ASSERT_TRUE_FATAL(dynamodb_server_init(&g_servers[i], "local"));
    }
}

static void test_dynamodb_servers__end(void) {
    for (int i = 0; i < REGIONS; i++) {
        dynamodb_server_clear(&g_servers[i]);
    }
}

/* ---- a service in a region ---- */

struct service {
    int region;
    struct ael_metastore *store;
    struct ael_kms *kms;
    struct ael_session_factory *factory;
};

static bool service_begin(struct service *service, int region, const char *table, bool no_suffix) {
    uint8_t key[32] = {7, 1, 7};
    struct ael_metastore_dynamodb_options options = AEL_METASTORE_DYNAMODB_OPTIONS_INIT;
    struct ael_session_factory_options wanted = AEL_SESSION_FACTORY_OPTIONS_INIT;
    struct ael_error err = {0};
    *service = (struct service){.region = region};
    options.table = table;
    options.region = k_regions[region];
    options.endpoint = g_servers[region].url;
    options.no_region_suffix = no_suffix;
    options.answer_timeout_ms = 20000;
    wanted.service = "svc";
    wanted.product = "prod";
    if (ael_metastore_dynamodb_new(&options, &service->store, &err) == AEL_OK &&
        ael_metastore_ensure_schema(service->store, NULL, &err) == AEL_OK &&
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

struct writer {
    const struct service *service;
    struct service_record records[RECORDS];
    unsigned number;
    unsigned failed;
    pthread_t thread;
};

static void *write_records(void *argument) {
    struct writer *writer = argument;
    for (unsigned i = 0; i < RECORDS; i++) {
        struct service_record *record = &writer->records[i];
        (void)snprintf(record->partition, sizeof record->partition, "p%u", i % PARTITIONS);
        (void)snprintf(
            record->text, sizeof record->text, "payload %u of writer %u in %s", i, writer->number,
            k_regions[writer->service->region]);
        enum ael_status status = service_record_encrypt(writer->service->factory, record, NULL, NULL);
        writer->failed += status == AEL_OK ? 0 : 1;
    }
    return NULL;
}

static void start_writers(
    struct writer *writers, unsigned count, const struct service *services, unsigned service_count) {
    for (unsigned i = 0; i < count; i++) {
        writers[i].service = &services[i % service_count];
        writers[i].number = i;
        writers[i].failed = 0;
        CU_ASSERT_EQUAL_FATAL(pthread_create(&writers[i].thread, NULL, write_records, &writers[i]), 0);
    }
}

static unsigned join_writers(struct writer *writers, unsigned count) {
    unsigned failed = 0;
    for (unsigned i = 0; i < count; i++) {
        (void)pthread_join(writers[i].thread, NULL);
        failed += writers[i].failed;
    }
    return failed;
}

/* How many of the records a fresh factory of the region does not decrypt. */
static unsigned
unreadable(int region, const char *table, bool no_suffix, const struct writer *writers, unsigned count) {
    struct service fresh;
    unsigned lost = 0;
    CU_ASSERT_TRUE_FATAL(service_begin(&fresh, region, table, no_suffix));
    for (unsigned i = 0; i < count * RECORDS; i++) {
        const struct service_record *record = &writers[i / RECORDS].records[i % RECORDS];
        lost += service_record_decrypt(fresh.factory, record) == AEL_OK ? 0 : 1;
    }
    service_end(&fresh);
    return lost;
}

/* ---- the global table ---- */

struct replication {
    struct ael_metastore *to;
    unsigned carried;
    unsigned overwritten;
    unsigned failed;
};

/* Carries a row over; one that is there with another content is overwritten, for its writer was the last. */
static bool
carry(void *context, struct ael_bytes id, int64_t created_s, const struct ael_key_record *record) {
    struct replication *replication = context;
    struct ael_key_record_buf present = AEL_KEY_RECORD_BUF_INIT;
    bool stored = false;
    bool replaced = false;
    enum ael_status status = ael_metastore_store(replication->to, NULL, id, record, &stored, NULL);
    if (status == AEL_OK && !stored) {
        status = ael_metastore_load(replication->to, NULL, id, created_s, &present, NULL);
        if (status == AEL_OK && !ael_key_record_equal(&present.record, record)) {
            status =
                ael_metastore_replace(replication->to, NULL, id, &present.record, record, &replaced, NULL);
        }
    }
    replication->carried += stored ? 1 : 0;
    replication->overwritten += replaced ? 1 : 0;
    replication->failed += status == AEL_OK ? 0 : 1;
    ael_key_record_buf_clear(&present);
    return status == AEL_OK;
}

static struct replication replicate(const struct service *from, const struct service *to) {
    struct replication replication = {.to = to->store};
    enum ael_status status =
        ael_metastore_list(from->store, NULL, (struct ael_bytes){NULL, 0}, carry, &replication, NULL);
    CU_ASSERT_EQUAL(status, AEL_OK);
    CU_ASSERT_EQUAL(replication.failed, 0);
    return replication;
}

static bool
count_row(void *context, struct ael_bytes id, int64_t created_s, const struct ael_key_record *record) {
    unsigned *rows = context;
    (void)id, (void)created_s, (void)record;
    (*rows)++;
    return true;
}

static unsigned rows_of(const struct service *service) {
    unsigned rows = 0;
    CU_ASSERT_EQUAL(
        ael_metastore_list(service->store, NULL, (struct ael_bytes){NULL, 0}, count_row, &rows, NULL),
        AEL_OK);
    return rows;
}

static struct writer g_writers[RACERS * 4];

static void begin_regions(struct service *services, const char *table, bool no_suffix) {
    for (int i = 0; i < REGIONS; i++) {
        CU_ASSERT_TRUE_FATAL(service_begin(&services[i], i, table, no_suffix));
    }
}

static void end_regions(struct service *services) {
    for (int i = 0; i < REGIONS; i++) {
        service_end(&services[i]);
    }
}

static void test_dynamodb_regions__write_at_once_and_read_across(void) {
    struct service services[REGIONS];
    begin_regions(services, "Global", false);
    start_writers(g_writers, THREADS * REGIONS, services, REGIONS);
    CU_ASSERT_EQUAL(join_writers(g_writers, THREADS * REGIONS), 0);
    CU_ASSERT_EQUAL(rows_of(&services[0]), PARTITIONS + 1);
    /* A record of the other region is not there yet, and no key is made for it. */
    CU_ASSERT_NOT_EQUAL(service_record_decrypt(services[0].factory, &g_writers[1].records[0]), AEL_OK);
    for (int i = 0; i < REGIONS; i++) {
        struct replication there = replicate(&services[i], &services[1 - i]);
        CU_ASSERT_TRUE(there.carried > 0);
        CU_ASSERT_EQUAL(there.overwritten, 0);
    }
    CU_ASSERT_EQUAL(rows_of(&services[0]), REGIONS * (PARTITIONS + 1));
    for (int i = 0; i < REGIONS; i++) {
        CU_ASSERT_EQUAL(unreadable(i, "Global", false, g_writers, THREADS * REGIONS), 0);
    }
    end_regions(services);
}

/* The fault that the suffix is there for: without it the last writer's key wins, and the other's records are lost. */
static void test_dynamodb_regions__lose_records_without_a_suffix(void) {
    struct service services[REGIONS];
    begin_regions(services, "Unsuffixed", true);
    start_writers(g_writers, THREADS * REGIONS, services, REGIONS);
    CU_ASSERT_EQUAL(join_writers(g_writers, THREADS * REGIONS), 0);
    struct replication there = replicate(&services[0], &services[1]);
    if (there.carried <
        PARTITIONS + 1) { /* unless the two minutes differed, the ids and dates are the same */
        CU_ASSERT_TRUE(there.overwritten > 0);
        CU_ASSERT_TRUE(unreadable(1, "Unsuffixed", true, g_writers, THREADS * REGIONS) > 0);
    }
    end_regions(services);
}

static void test_dynamodb_regions__go_on_when_one_is_lost_and_heals(void) {
    struct service services[REGIONS];
    struct service_record fresh = {.partition = "fresh", .text = "of a new partition"};
    struct ael_call call = AEL_CALL_INIT;
    begin_regions(services, "Healed", false);
    start_writers(g_writers, THREADS * REGIONS, services, REGIONS);
    CU_ASSERT_EQUAL(join_writers(g_writers, THREADS * REGIONS), 0);
    (void)kill(g_servers[0].pid, SIGSTOP);
    /* What is warm goes on; what needs a key of the lost region says so; the other region makes keys. */
    start_writers(&g_writers[THREADS * REGIONS], THREADS * REGIONS, services, REGIONS);
    CU_ASSERT_EQUAL(join_writers(&g_writers[THREADS * REGIONS], THREADS * REGIONS), 0);
    call.deadline_ns = ael_deadline_in_ms(500);
    CU_ASSERT_EQUAL(service_record_encrypt(services[0].factory, &fresh, &call, NULL), AEL_E_TIMEOUT);
    CU_ASSERT_EQUAL(service_record_encrypt(services[1].factory, &fresh, NULL, NULL), AEL_OK);
    (void)kill(g_servers[0].pid, SIGCONT);
    for (int i = 0; i < REGIONS; i++) {
        CU_ASSERT_EQUAL(replicate(&services[i], &services[1 - i]).overwritten, 0);
    }
    CU_ASSERT_EQUAL(service_record_decrypt(services[0].factory, &fresh), AEL_OK);
    for (int i = 0; i < REGIONS; i++) {
        CU_ASSERT_EQUAL(unreadable(i, "Healed", false, g_writers, 2 * THREADS * REGIONS), 0);
    }
    end_regions(services);
}

/* ---- one region ---- */

static void test_dynamodb_service__makes_one_key_in_a_race(void) {
    struct service services[4]; /* as many processes: nothing is shared but the table */
    unsigned racers = (unsigned)soak_count(RACERS, RACERS * 4);
    for (int i = 0; i < 4; i++) {
        CU_ASSERT_TRUE_FATAL(service_begin(&services[i], 0, "Race", false));
    }
    start_writers(g_writers, racers, services, 4);
    CU_ASSERT_EQUAL(join_writers(g_writers, racers), 0);
    unsigned rows = rows_of(&services[0]);
    CU_ASSERT_TRUE(
        rows == PARTITIONS + 1 || rows == 2 * (PARTITIONS + 1)); /* two when a minute ended meanwhile */
    CU_ASSERT_EQUAL(unreadable(0, "Race", false, g_writers, racers), 0);
    for (int i = 0; i < 4; i++) {
        service_end(&services[i]);
    }
}

struct forked {
    struct service *service;
    struct service_record *of_parent;
};

static int work_in_child(void *context) {
    const struct forked *forked = context;
    struct service_record own = {.partition = "child", .text = "made in a child"};
    bool good = service_record_decrypt(forked->service->factory, forked->of_parent) == AEL_OK &&
                service_record_encrypt(forked->service->factory, &own, NULL, NULL) == AEL_OK &&
                service_record_decrypt(forked->service->factory, &own) == AEL_OK &&
                ael_metastore_health(forked->service->store, NULL, NULL) == AEL_OK;
    return good ? 0 : 1;
}

static void test_dynamodb_service__works_in_a_child(void) {
    struct service service;
    struct service_record before = {.partition = "parent", .text = "made in the parent"};
    struct service_record after = {.partition = "after", .text = "made afterwards"};
    CU_ASSERT_TRUE_FATAL(service_begin(&service, 0, "Forked", false));
    CU_ASSERT_EQUAL(service_record_encrypt(service.factory, &before, NULL, NULL), AEL_OK);
    struct forked forked = {&service, &before};
    CU_ASSERT_EQUAL(child_wait(child_start(work_in_child, &forked)), 0);
    CU_ASSERT_EQUAL(service_record_encrypt(service.factory, &after, NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(ael_metastore_health(service.store, NULL, NULL), AEL_OK);
    service_end(&service);
    CU_ASSERT_TRUE_FATAL(service_begin(&service, 0, "Forked", false));
    CU_ASSERT_EQUAL(service_record_decrypt(service.factory, &after), AEL_OK);
    service_end(&service);
}

static const struct test_case k_cases[] = {
    {"two servers start", test_dynamodb_servers__start},
    {"two regions write at once and read across", test_dynamodb_regions__write_at_once_and_read_across},
    {"without a suffix they lose records", test_dynamodb_regions__lose_records_without_a_suffix},
    {"one region is lost and heals", test_dynamodb_regions__go_on_when_one_is_lost_and_heals},
    {"a race makes one key", test_dynamodb_service__makes_one_key_in_a_race},
    {"a child of fork works", test_dynamodb_service__works_in_a_child},
    {"the servers end", test_dynamodb_servers__end},
};

TEST_SUITE_MAIN("dynamodb service", k_cases)
