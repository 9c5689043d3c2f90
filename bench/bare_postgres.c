/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/bare.h"

#include "bench/bench.h"

#include <inttypes.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    const char *sql;
} k_statements[BARE_CALLS] = {
    [BARE_LOAD] =
        {"bare_load",
         "SELECT key_record FROM encryption_key WHERE id = $1::text AND created = to_timestamp($2::bigint)"},
    [BARE_LATEST] =
        {"bare_latest",
         "SELECT key_record FROM encryption_key WHERE id = $1::text ORDER BY created DESC LIMIT 1"},
    [BARE_STORE] =
        {"bare_store",
         "INSERT INTO encryption_key (id, created, key_record) VALUES ($1::text, to_timestamp($2::bigint), "
         "$3::text::json) ON CONFLICT DO NOTHING"},
};

/* Prepares when count is -1, else executes. */
static bool
run(PGconn *conn, int call, int count, const char *const *values, int tuples, const char *changed) {
    PGresult *result = count < 0
                           ? PQprepare(conn, k_statements[call].name, k_statements[call].sql, 0, NULL)
                           : PQexecPrepared(conn, k_statements[call].name, count, values, NULL, NULL, 0);
    ExecStatusType status = PQresultStatus(result);
    bool good = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
    if (!good) {
        (void)fprintf(stderr, "bare postgres: %s\n", PQerrorMessage(conn));
    }
    good = good && PQntuples(result) == tuples && strcmp(PQcmdTuples(result), changed) == 0;
    if (good && tuples == 1) {
        bench_keep(PQgetvalue(result, 0, 0));
    }
    PQclear(result);
    return good;
}

static void *open_postgres(const char *address) {
    PGconn *conn = PQconnectdb(address);
    bool good = PQstatus(conn) == CONNECTION_OK;
    if (!good) {
        (void)fprintf(stderr, "bare postgres: %s\n", PQerrorMessage(conn));
    }
    for (int i = 0; good && i < BARE_CALLS; i++) {
        good = run(conn, i, -1, NULL, 0, "");
    }
    if (!good) {
        PQfinish(conn);
        return NULL;
    }
    return conn;
}

static bool load_postgres(void *self, const char *id, int64_t created_s) {
    char created[24];
    (void)snprintf(created, sizeof created, "%" PRId64, created_s);
    const char *const values[] = {id, created};
    return run(self, BARE_LOAD, 2, values, 1, "1");
}

static bool latest_postgres(void *self, const char *id) {
    const char *const values[] = {id};
    return run(self, BARE_LATEST, 1, values, 1, "1");
}

static bool store_postgres(void *self, const char *id, int64_t created_s, const char *json) {
    char created[24];
    (void)snprintf(created, sizeof created, "%" PRId64, created_s);
    const char *const values[] = {id, created, json};
    return run(self, BARE_STORE, 3, values, 0, "1");
}

static void close_postgres(void *self) {
    PQfinish(self);
}

const struct bare_ops g_bare_postgres = {
    .name = "postgres",
    .open = open_postgres,
    .load = load_postgres,
    .latest = latest_postgres,
    .store = store_postgres,
    .close = close_postgres,
};
