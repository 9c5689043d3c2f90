/*
 * bench_metastores - load, load_latest and store of the metastores that are databases, each beside the bare call of the
 * same client library on the same table.
 *
 * Where they are, the environment says: AEL_BENCH_SQLITE, a file that is made; AEL_BENCH_POSTGRES, a connection string
 * to an empty database; AEL_BENCH_MYSQL, mysql://USER@localhost/DATABASE?socket=PATH; AEL_BENCH_DYNAMODB and
 * AEL_BENCH_ETCD, an endpoint. scripts/bench-metastores sets them. See docs/benchmarks.md.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/check.h"
#include "bench/bare.h"
#include "bench/bench.h"

#include <ael/metastore_dynamodb.h>
#include <ael/metastore_etcd.h>
#include <ael/metastore_mysql.h>
#include <ael/metastore_postgres.h>
#include <ael/metastore_sqlite.h>
#include <ael/sys/metastore_backend.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CREATED = 1795255320, ID_BYTES = 48, KEY_BYTES = 60 };

#define ID "_IK_bench_service_product"

/* A wrapped key as Asherah's are: 60 bytes, with its parent. */
static const uint8_t k_key[KEY_BYTES] = {1, 2, 3};
static const char k_json[] =
    "{\"Created\":1795255320,\"Key\":"
    "\"AQIDAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
    "\"ParentKeyMeta\":{\"KeyId\":\"_SK_service_product\",\"Created\":1795255320}}";

/* One backend: ours, and the client alone. */
struct side {
    const struct bare_ops *ops;
    struct ael_metastore *metastore;
    void *bare;
    uint64_t next; /* of the new keys that either of them stores */
};

static struct ael_key_record record_of(void) {
    struct ael_key_record record = {.created_s = CREATED, .key = {k_key, sizeof k_key}, .has_parent = true};
    record.parent_id = ael_bytes_from_text("_SK_service_product");
    record.parent_created_s = CREATED;
    return record;
}

static void name_new(struct side *side, char id[ID_BYTES]) {
    (void)snprintf(id, ID_BYTES, "_IK_%" PRIu64 "_service_product", side->next++);
}

/* ---- ours ---- */

static enum ael_status run_load(void *context, unsigned thread, uint64_t operations) {
    struct side *side = context;
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    enum ael_status status = AEL_OK;
    (void)thread;
    for (uint64_t i = 0; status == AEL_OK && i < operations; i++) {
        status = ael_metastore_load(side->metastore, NULL, ael_bytes_from_text(ID), CREATED, &out, NULL);
    }
    ael_key_record_buf_clear(&out);
    return status;
}

/* As the library asks: the latest key decides what records are encrypted under. */
static enum ael_status run_latest(void *context, unsigned thread, uint64_t operations) {
    struct side *side = context;
    struct ael_call call = AEL_CALL_INIT;
    call.consistency = AEL_CONSISTENCY_PRIMARY;
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    enum ael_status status = AEL_OK;
    (void)thread;
    for (uint64_t i = 0; status == AEL_OK && i < operations; i++) {
        status = ael_metastore_load_latest(side->metastore, &call, ael_bytes_from_text(ID), &out, NULL);
    }
    ael_key_record_buf_clear(&out);
    return status;
}

static enum ael_status run_store(void *context, unsigned thread, uint64_t operations) {
    struct side *side = context;
    const struct ael_key_record record = record_of();
    char id[ID_BYTES];
    (void)thread;
    for (uint64_t i = 0; i < operations; i++) {
        bool stored = false;
        name_new(side, id);
        AEL_TRY(ael_metastore_store(side->metastore, NULL, ael_bytes_from_text(id), &record, &stored, NULL));
        if (!stored) {
            return AEL_E_BACKEND;
        }
    }
    return AEL_OK;
}

/* ---- the client alone ---- */

static enum ael_status bare_load(void *context, unsigned thread, uint64_t operations) {
    struct side *side = context;
    bool good = true;
    (void)thread;
    for (uint64_t i = 0; good && i < operations; i++) {
        good = side->ops->load(side->bare, ID, CREATED);
    }
    return good ? AEL_OK : AEL_E_BACKEND;
}

static enum ael_status bare_latest(void *context, unsigned thread, uint64_t operations) {
    struct side *side = context;
    bool good = true;
    (void)thread;
    for (uint64_t i = 0; good && i < operations; i++) {
        good = side->ops->latest(side->bare, ID);
    }
    return good ? AEL_OK : AEL_E_BACKEND;
}

static enum ael_status bare_store(void *context, unsigned thread, uint64_t operations) {
    struct side *side = context;
    char id[ID_BYTES];
    bool good = true;
    (void)thread;
    for (uint64_t i = 0; good && i < operations; i++) {
        name_new(side, id);
        good = side->ops->store(side->bare, id, CREATED, k_json);
    }
    return good ? AEL_OK : AEL_E_BACKEND;
}

/* ---- opening ---- */

static enum ael_status
open_sqlite(const char *address, struct ael_metastore **metastore, struct ael_error *err) {
    struct ael_metastore_sqlite_options options = AEL_METASTORE_SQLITE_OPTIONS_INIT;
    options.path = address;
    return ael_metastore_sqlite_new(&options, metastore, err);
}

static enum ael_status
open_postgres(const char *address, struct ael_metastore **metastore, struct ael_error *err) {
    struct ael_metastore_postgres_options options = AEL_METASTORE_POSTGRES_OPTIONS_INIT;
    options.connection = address;
    return ael_metastore_postgres_new(&options, metastore, err);
}

#ifdef BENCH_MYSQL
static enum ael_status
open_mysql(const char *address, struct ael_metastore **metastore, struct ael_error *err) {
    struct ael_metastore_mysql_options options = AEL_METASTORE_MYSQL_OPTIONS_INIT;
    options.connection = address;
    return ael_metastore_mysql_new(&options, metastore, err);
}
#endif

#ifdef BENCH_DYNAMODB
static enum ael_status
open_dynamodb(const char *address, struct ael_metastore **metastore, struct ael_error *err) {
    struct ael_metastore_dynamodb_options options = AEL_METASTORE_DYNAMODB_OPTIONS_INIT;
    options.endpoint = address;
    options.region = "us-west-2";
    return ael_metastore_dynamodb_new(&options, metastore, err);
}
#endif

#ifdef BENCH_ETCD
static enum ael_status
open_etcd(const char *address, struct ael_metastore **metastore, struct ael_error *err) {
    struct ael_metastore_etcd_options options = AEL_METASTORE_ETCD_OPTIONS_INIT;
    options.endpoints = address;
    return ael_metastore_etcd_new(&options, metastore, err);
}
#endif

static const struct {
    const char *variable;
    const struct bare_ops *ops;
    enum ael_status (*open)(const char *address, struct ael_metastore **metastore, struct ael_error *err);
} k_backends[] = {
    {"AEL_BENCH_SQLITE", &g_bare_sqlite, open_sqlite},
    {"AEL_BENCH_POSTGRES", &g_bare_postgres, open_postgres},
#ifdef BENCH_MYSQL
    {"AEL_BENCH_MYSQL", &g_bare_mysql, open_mysql},
#endif
#ifdef BENCH_DYNAMODB
    {"AEL_BENCH_DYNAMODB", &g_bare_dynamodb, open_dynamodb},
#endif
#ifdef BENCH_ETCD
    {"AEL_BENCH_ETCD", &g_bare_etcd, open_etcd},
#endif
};

enum { BACKENDS = sizeof k_backends / sizeof k_backends[0] };

static int open_side(struct side *side, size_t backend, const char *address) {
    const struct ael_key_record record = record_of();
    struct ael_error err = {0};
    bool stored = false;
    side->ops = k_backends[backend].ops;
    enum ael_status status = k_backends[backend].open(address, &side->metastore, &err);
    if (status == AEL_OK) {
        status = ael_metastore_ensure_schema(side->metastore, NULL, &err);
    }
    if (status == AEL_OK) {
        status = ael_metastore_store(side->metastore, NULL, ael_bytes_from_text(ID), &record, &stored, &err);
    }
    if (status != AEL_OK) {
        return bench_fail(err.detail, status);
    }
    side->bare = side->ops->open(address);
    return side->bare != NULL ? 0 : 1;
}

static void close_side(struct side *side) {
    if (side->bare != NULL) {
        side->ops->close(side->bare);
    }
    ael_metastore_release(side->metastore);
}

/* ---- cases ---- */

static void add_case(
    struct bench *bench,
    struct side *side,
    const char *call,
    enum ael_status (*ours)(void *, unsigned, uint64_t),
    enum ael_status (*bare)(void *, unsigned, uint64_t)) {
    char name[BENCH_NAME_BYTES];
    char floor[BENCH_NAME_BYTES];
    (void)snprintf(name, sizeof name, "metastore/%s/%s", side->ops->name, call);
    (void)snprintf(floor, sizeof floor, "floor/%s/%s", side->ops->name, call);
    if (!bench_wants(bench, name)) {
        return;
    }
    int number =
        bench_add_floor(bench, floor, side->ops->name, 1, (struct bench_work){.run = bare, .context = side});
    (void)bench_add(
        bench, name, side->ops->name, 1, (struct bench_work){.run = ours, .context = side}, number, -1);
}

static void add_cases(struct bench *bench, struct side *side) {
    add_case(bench, side, "load", run_load, bare_load);
    add_case(bench, side, "load_latest", run_latest, bare_latest);
    add_case(bench, side, "store", run_store, bare_store);
}

int main(int argc, char **argv) {
    static struct bench bench;
    struct side sides[BACKENDS] = {{0}};
    int result = bench_init(&bench, argc, argv);
    if (result != 0 || bench.help) {
        return result;
    }
    bench.waits = true;
    for (size_t i = 0; result == 0 && i < BACKENDS; i++) {
        const char *address = getenv(k_backends[i].variable);
        if (address == NULL) {
            continue;
        }
        result = open_side(&sides[i], i, address);
        if (result == 0) {
            add_cases(&bench, &sides[i]);
        }
    }
    result = result == 0 ? bench_run(&bench) : result;
    for (size_t i = 0; i < BACKENDS; i++) {
        close_side(&sides[i]);
    }
    return result;
}
