/*
 * test_sql_store.c - calls on connections that fail as a test says: what is done again and where, what a first
 * connection tells, when idle connections are looked at. The backend's connections are nothing but numbers.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "metastore/sql/sql_store.h"
#include "tests/support/suite.h"

#include <ael/hooks.h>

#include <string.h>

enum { STEPS = 8 };

/* What a connection does next. */
struct step {
    enum ael_status status;
    bool retry;
    int rows; /* of a listing */
};

struct backend {
    struct ael_sql_store base;
    struct step steps[STEPS];
    int done; /* steps */
    int opened;
    int worked; /* told */
    int looked;
    int asked;
    int destroyed;
    bool is_gone; /* idle connections */
    bool is_due;
    bool is_missing;
    const char *servers; /* of the connection that worked last */
    const struct ael_call *call;
};

struct conn {
    struct ael_sql_conn base;
    struct backend *backend;
    const char *servers;
};

static enum ael_status
open_conn(void *self, struct ael_sql_conn *base, const struct ael_call *call, struct ael_error *err) {
    struct ael_sql_group *group = self;
    struct conn *conn = (struct conn *)base;
    (void)call;
    (void)err;
    conn->backend = (struct backend *)group->store;
    conn->servers = group->servers;
    conn->backend->opened++;
    return AEL_OK;
}

static void close_conn(void *self, struct ael_sql_conn *conn) {
    (void)self;
    (void)conn;
}

static void drop_conn(struct ael_sql_conn *conn) {
    (void)conn;
}

static bool is_there(struct ael_sql_conn *conn) {
    struct backend *backend = ((struct conn *)conn)->backend;
    backend->looked++;
    return !backend->is_gone;
}

static bool answers(struct ael_sql_store *store, struct ael_sql_conn *conn) {
    struct backend *backend = (struct backend *)store;
    (void)conn;
    backend->asked++;
    return !backend->is_gone;
}

static bool is_due(const struct ael_sql_conn *conn) {
    return ((const struct conn *)conn)->backend->is_due;
}

static const struct step *next_step(struct ael_sql_conn *base, struct ael_error *err) {
    struct conn *conn = (struct conn *)base;
    struct backend *backend = conn->backend;
    CU_ASSERT_FATAL(backend->done < STEPS);
    const struct step *step = &backend->steps[backend->done++];
    CU_ASSERT_FALSE(base->retry); /* of who had the connection before */
    backend->servers = conn->servers;
    backend->call = base->call;
    base->retry = step->retry;
    base->broken = step->retry;
    if (step->status != AEL_OK) {
        (void)ael_error_set(err, step->status, 0, "test", "step %d", backend->done);
    }
    return step;
}

static enum ael_status
do_step(struct ael_sql_conn *conn, const struct ael_sql_work *work, struct ael_error *err) {
    (void)work;
    return next_step(conn, err)->status;
}

static enum ael_status
do_list(struct ael_sql_conn *conn, const struct ael_sql_work *work, struct ael_error *err) {
    const struct ael_key_record record = {.created_s = 1};
    const struct step *step = next_step(conn, err);
    for (int i = 0; i < step->rows; i++) {
        CU_ASSERT_TRUE(work->visit(work->context, work->id, 1, &record));
    }
    return step->status;
}

static enum ael_status find_table(struct ael_sql_conn *conn, bool *is_missing, struct ael_error *err) {
    *is_missing = ((struct conn *)conn)->backend->is_missing;
    return next_step(conn, err)->status;
}

static void count_worked(struct ael_sql_store *store, const struct ael_sql_conn *conn) {
    CU_ASSERT_PTR_EQUAL(((const struct conn *)conn)->backend, store);
    CU_ASSERT_PTR_NOT_NULL(conn->call); /* not given back yet */
    ((struct backend *)store)->worked++;
}

static const struct ael_sql_store_ops k_ops = {
    .pool = {"test", sizeof(struct conn), open_conn, ael_sql_store_is_alive, close_conn, drop_conn},
    .is_there = is_there,
    .answers = answers,
    .is_due = is_due,
    .load = do_step,
    .load_latest = do_step,
    .store = do_step,
    .list = do_list,
    .replace = do_step,
    .check = do_step,
    .ensure_table = do_step,
    .find_table = find_table,
    .worked = count_worked,
};

static void begin(struct backend *backend, const struct step *steps, size_t bytes) {
    *backend = (struct backend){.base = {.ops = &k_ops, .bounds = {4, 1000, 1000, 0, 0}}};
    memcpy(backend->steps, steps, bytes);
    CU_ASSERT_EQUAL_FATAL(ael_sql_store_add_pool(&backend->base, AEL_SQL_WRITES, "primary", NULL), AEL_OK);
}

static enum ael_status load(struct backend *backend, enum ael_consistency consistency) {
    struct ael_call call = AEL_CALL_INIT;
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    call.consistency = consistency;
    enum ael_status status =
        ael_sql_store_load(&backend->base, &call, ael_bytes_from_text("id"), 1, &out, NULL);
    CU_ASSERT_PTR_EQUAL(backend->call, &call);
    return status;
}

static const struct step k_lost = {AEL_E_UNREACHABLE, true, 0};
static const struct step k_good = {AEL_OK, false, 0};

/* ---- calls ---- */

static void test_sql_store__does_again_what_a_connection_could_not_begin(void) {
    const struct step steps[] = {k_lost, k_lost, k_good};
    struct backend backend;
    begin(&backend, steps, sizeof steps);
    CU_ASSERT_EQUAL(load(&backend, AEL_CONSISTENCY_ANY), AEL_OK);
    CU_ASSERT_EQUAL(backend.done, 3);
    CU_ASSERT_EQUAL(backend.opened, 3); /* those that were lost are not lent again */
    CU_ASSERT_EQUAL(backend.worked, 3);
    ael_sql_store_clear(&backend.base);
}

static void test_sql_store__gives_up_in_the_end(void) {
    const struct step steps[] = {k_lost, k_lost, k_lost, k_good};
    struct backend backend;
    begin(&backend, steps, sizeof steps);
    CU_ASSERT_EQUAL(load(&backend, AEL_CONSISTENCY_ANY), AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(backend.done, 3);
    ael_sql_store_clear(&backend.base);
}

static void test_sql_store__does_nothing_again_that_failed_otherwise(void) {
    const struct step steps[] = {{AEL_E_OUTCOME_UNKNOWN, false, 0}, {AEL_OK, true, 0}, k_good};
    const struct ael_key_record record = {.created_s = 1};
    struct ael_call call = AEL_CALL_INIT;
    struct backend backend;
    bool stored = false;
    begin(&backend, steps, sizeof steps);
    CU_ASSERT_EQUAL(
        ael_sql_store_store(&backend.base, &call, ael_bytes_from_text("id"), &record, &stored, NULL),
        AEL_E_OUTCOME_UNKNOWN);
    CU_ASSERT_EQUAL(backend.done, 1);
    CU_ASSERT_EQUAL(ael_sql_store_health(&backend.base, &call, NULL), AEL_OK); /* what went well is done */
    CU_ASSERT_EQUAL(backend.done, 2);
    ael_sql_store_clear(&backend.base);
}

static bool
count_row(void *context, struct ael_bytes id, int64_t created_s, const struct ael_key_record *record) {
    (void)id;
    (void)created_s;
    (void)record;
    ++*(int *)context;
    return true;
}

/* Rows would come twice. */
static void test_sql_store_list__is_not_begun_again_after_a_row(void) {
    const struct step steps[] = {k_lost, {AEL_E_UNREACHABLE, true, 2}, {AEL_OK, false, 5}};
    struct ael_call call = AEL_CALL_INIT;
    struct backend backend;
    int rows = 0;
    begin(&backend, steps, sizeof steps);
    CU_ASSERT_EQUAL(
        ael_sql_store_list(&backend.base, &call, ael_bytes_from_text(""), count_row, &rows, NULL),
        AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(backend.done, 2);
    CU_ASSERT_EQUAL(rows, 2);
    ael_sql_store_clear(&backend.base);
}

static void test_sql_store__reads_elsewhere_only_where_that_will_do(void) {
    const struct step steps[STEPS] = {{AEL_OK, false, 0}};
    struct ael_call call = AEL_CALL_INIT;
    struct backend backend;
    begin(&backend, steps, sizeof steps);
    CU_ASSERT_EQUAL(load(&backend, AEL_CONSISTENCY_ANY), AEL_OK);
    CU_ASSERT_STRING_EQUAL(backend.servers, "primary"); /* there are no others */
    CU_ASSERT_EQUAL_FATAL(ael_sql_store_add_pool(&backend.base, AEL_SQL_READS, "replica", NULL), AEL_OK);
    CU_ASSERT_EQUAL(load(&backend, AEL_CONSISTENCY_ANY), AEL_OK);
    CU_ASSERT_STRING_EQUAL(backend.servers, "replica");
    CU_ASSERT_EQUAL(load(&backend, AEL_CONSISTENCY_PRIMARY), AEL_OK);
    CU_ASSERT_STRING_EQUAL(backend.servers, "primary");
    CU_ASSERT_EQUAL(load(&backend, AEL_CONSISTENCY_ANY), AEL_OK);
    CU_ASSERT_EQUAL(ael_sql_store_ensure_schema(&backend.base, &call, NULL), AEL_OK);
    CU_ASSERT_STRING_EQUAL(backend.servers, "primary");
    ael_sql_store_clear(&backend.base);
}

/* ---- connections ---- */

static void test_sql_store_is_alive__looks_and_asks_when_it_pays(void) {
    struct backend backend = {.base = {.ops = &k_ops}};
    struct ael_sql_group group = {.store = &backend.base};
    struct conn conn = {.backend = &backend};
    struct ael_call call = AEL_CALL_INIT;
    CU_ASSERT_TRUE(ael_sql_store_is_alive(&group, &conn.base, 0, &call));
    CU_ASSERT_EQUAL(backend.looked, 0);
    CU_ASSERT_TRUE(ael_sql_store_is_alive(&group, &conn.base, 5, &call));
    CU_ASSERT_TRUE(backend.looked == 1 && backend.asked == 0);
    CU_ASSERT_TRUE(ael_sql_store_is_alive(&group, &conn.base, INT64_MAX, &call));
    CU_ASSERT_TRUE(backend.looked == 2 && backend.asked == 1);
    CU_ASSERT_PTR_EQUAL(conn.base.call, &call);
    backend.is_due = true;
    CU_ASSERT_TRUE(ael_sql_store_is_alive(&group, &conn.base, 0, &call));
    CU_ASSERT_TRUE(backend.looked == 2 && backend.asked == 2);
    backend.is_due = false;
    backend.is_gone = true;
    CU_ASSERT_FALSE(ael_sql_store_is_alive(&group, &conn.base, 5, &call));
    CU_ASSERT_FALSE(ael_sql_store_is_alive(&group, &conn.base, INT64_MAX, &call));
    CU_ASSERT_EQUAL(backend.asked, 2);
}

/* ---- opening ---- */

static void destroy(void *self) {
    struct backend *backend = self;
    backend->destroyed++;
    ael_sql_store_clear(&backend->base);
}

static const struct ael_metastore_vtable k_vtable = {
    .vt_size = sizeof(struct ael_metastore_vtable),
    .contract = AEL_METASTORE_CONTRACT,
    .name = "test",
    .load = ael_sql_store_load,
    .load_latest = ael_sql_store_load_latest,
    .store = ael_sql_store_store,
    .destroy = destroy,
};

static enum ael_status open_backend(struct backend *backend, struct ael_error *err) {
    struct ael_metastore *made = NULL;
    enum ael_status status = ael_sql_store_open(&backend->base, &k_vtable, &made, err);
    CU_ASSERT_EQUAL(backend->destroyed, status == AEL_OK ? 0 : 1);
    CU_ASSERT_EQUAL(made != NULL, status == AEL_OK);
    ael_metastore_release(made);
    CU_ASSERT_EQUAL(backend->destroyed, 1);
    return status;
}

static void test_sql_store_open__connects_once_more_where_it_was_lost(void) {
    const struct step once[] = {k_lost, k_good};
    const struct step twice[] = {k_lost, k_lost, k_good};
    struct ael_error err = {0};
    struct backend backend;
    begin(&backend, once, sizeof once);
    CU_ASSERT_EQUAL(open_backend(&backend, &err), AEL_OK);
    CU_ASSERT_EQUAL(err.status, AEL_OK);
    CU_ASSERT_EQUAL(backend.worked, 2);
    begin(&backend, twice, sizeof twice);
    CU_ASSERT_EQUAL(open_backend(&backend, &err), AEL_E_UNREACHABLE);
    CU_ASSERT_STRING_EQUAL(err.detail, "step 2");
    CU_ASSERT_EQUAL(backend.done, 2);
}

static void test_sql_store_open__needs_no_table_but_no_wrong_one(void) {
    const struct step refused[] = {{AEL_E_BACKEND, false, 0}};
    struct ael_error err = {0};
    struct backend backend;
    begin(&backend, refused, sizeof refused);
    CU_ASSERT_EQUAL(open_backend(&backend, &err), AEL_E_BACKEND);
    CU_ASSERT_EQUAL(backend.done, 1);
    begin(&backend, refused, sizeof refused);
    backend.is_missing = true;
    CU_ASSERT_EQUAL(open_backend(&backend, NULL), AEL_OK);
}

/* No call of the caller's has ended: the server did not answer in time. */
static void test_sql_store_open__takes_a_timeout_for_unreachable(void) {
    const struct step steps[] = {{AEL_E_TIMEOUT, false, 0}};
    struct ael_error err = {0};
    struct backend backend;
    begin(&backend, steps, sizeof steps);
    CU_ASSERT_EQUAL(open_backend(&backend, &err), AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(err.status, AEL_E_UNREACHABLE);
    CU_ASSERT_STRING_EQUAL(err.detail, "step 1");
}

static void test_sql_store_open__frees_a_store_without_a_handle(void) {
    struct ael_metastore_vtable lame = k_vtable;
    const struct step steps[] = {k_good};
    struct ael_metastore *made = NULL;
    struct ael_error err = {0};
    struct backend backend;
    lame.load = NULL;
    begin(&backend, steps, sizeof steps);
    CU_ASSERT_NOT_EQUAL(ael_sql_store_open(&backend.base, &lame, &made, &err), AEL_OK);
    CU_ASSERT_NOT_EQUAL(err.status, AEL_OK);
    CU_ASSERT_PTR_NULL(made);
    CU_ASSERT_EQUAL(backend.destroyed, 1);
    CU_ASSERT_EQUAL(backend.opened, 0);
}

static enum ael_status check(uint32_t most, uint32_t connect_ms, uint32_t answer_ms) {
    const struct ael_sql_bounds bounds = {most, connect_ms, answer_ms, 0, 0};
    struct ael_error err = {0};
    enum ael_status status = ael_sql_bounds_check(&bounds, "test", &err);
    CU_ASSERT_EQUAL(err.status, status);
    return status;
}

static void test_sql_bounds_check__refuses_what_is_out_of_bounds(void) {
    CU_ASSERT_EQUAL(check(1, 1, 1), AEL_OK);
    CU_ASSERT_EQUAL(check(1024, 86400000, 86400000), AEL_OK);
    CU_ASSERT_EQUAL(check(0, 1, 1), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(check(1025, 1, 1), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(check(1, 0, 1), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(check(1, 86400001, 1), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(check(1, 1, 0), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(check(1, 1, 86400001), AEL_E_ARGUMENT);
}

static void count_line(void *context, enum ael_log_level level, const char *component, const char *message) {
    CU_ASSERT_EQUAL(level, AEL_LOG_WARN);
    CU_ASSERT_STRING_EQUAL(component, "test");
    CU_ASSERT_STRING_EQUAL(message, "beware of 100 %s");
    ++*(int *)context;
}

static void test_sql_store_warn_once__warns_once_where_it_holds(void) {
    struct ael_hooks hooks = AEL_HOOKS_INIT;
    struct ael_sql_store store = {.ops = &k_ops};
    atomic_bool told = false;
    int lines = 0;
    hooks.log = count_line;
    hooks.context = &lines;
    CU_ASSERT_EQUAL_FATAL(ael_hooks_set(&hooks), AEL_OK);
    ael_sql_store_warn_once(&store, &told, false, "beware of 100 %s");
    CU_ASSERT_EQUAL(lines, 0);
    ael_sql_store_warn_once(&store, &told, true, "beware of 100 %s");
    ael_sql_store_warn_once(&store, &told, true, "beware of 100 %s");
    CU_ASSERT_EQUAL(lines, 1);
    CU_ASSERT_EQUAL(ael_hooks_set(NULL), AEL_OK);
}

static const struct test_case k_cases[] = {
    {"what a connection could not begin is done again",
     test_sql_store__does_again_what_a_connection_could_not_begin},
    {"it gives up in the end", test_sql_store__gives_up_in_the_end},
    {"what failed otherwise is not done again", test_sql_store__does_nothing_again_that_failed_otherwise},
    {"a listing is not begun again after a row", test_sql_store_list__is_not_begun_again_after_a_row},
    {"it reads elsewhere where that will do", test_sql_store__reads_elsewhere_only_where_that_will_do},
    {"idle connections are looked at and asked", test_sql_store_is_alive__looks_and_asks_when_it_pays},
    {"a first connection that was lost", test_sql_store_open__connects_once_more_where_it_was_lost},
    {"a table that is missing, or wrong", test_sql_store_open__needs_no_table_but_no_wrong_one},
    {"a first connection that takes too long", test_sql_store_open__takes_a_timeout_for_unreachable},
    {"a store without a handle is freed", test_sql_store_open__frees_a_store_without_a_handle},
    {"bounds are checked", test_sql_bounds_check__refuses_what_is_out_of_bounds},
    {"a warning is made once", test_sql_store_warn_once__warns_once_where_it_holds},
};

TEST_SUITE_MAIN("sql_store", k_cases)
