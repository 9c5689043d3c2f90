/* SPDX-License-Identifier: Apache-2.0 */
#include <ael/metastore_sqlite.h>

#include "base/alloc.h"
#include "metastore/sqlite/gate.h"
#include "tests/support/soak.h"
#include "tests/support/sqlite_place.h"
#include "tests/support/suite.h"

#include <ael/sys/metastore_backend.h>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CREATED = 1795255320 };

static enum ael_status try_open(const char *path, struct ael_metastore **store, struct ael_error *err) {
    struct ael_metastore_sqlite_options options = AEL_METASTORE_SQLITE_OPTIONS_INIT;
    options.path = path;
    return ael_metastore_sqlite_new(&options, store, err);
}

static struct ael_bytes text(const char *id) {
    return ael_bytes_from_text(id);
}

static struct ael_key_record record_of(const char *key, int64_t created_s) {
    struct ael_key_record record = {.created_s = created_s, .key = ael_bytes_from_text(key)};
    return record;
}

static enum ael_status
store_key(struct ael_metastore *store, const char *id, int64_t created_s, bool *stored) {
    struct ael_key_record record = record_of("key", created_s);
    return ael_metastore_store(store, NULL, text(id), &record, stored, NULL);
}

static enum ael_status load_status(struct ael_metastore *store, const char *id, int64_t created_s) {
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    enum ael_status status = ael_metastore_load(store, NULL, text(id), created_s, &out, NULL);
    CU_ASSERT(status == AEL_OK || out.storage.len == 0);
    ael_key_record_buf_clear(&out);
    return status;
}

static enum ael_status latest_status(struct ael_metastore *store, const char *id) {
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    enum ael_status status = ael_metastore_load_latest(store, NULL, text(id), &out, NULL);
    CU_ASSERT(status == AEL_OK || out.storage.len == 0);
    ael_key_record_buf_clear(&out);
    return status;
}

static int64_t now_ms(void) {
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- opening ---- */

static void expect_bad_options(const struct ael_metastore_sqlite_options *options) {
    struct ael_error err = {0};
    struct ael_metastore *store = (struct ael_metastore *)&err;
    CU_ASSERT_EQUAL(ael_metastore_sqlite_new(options, &store, &err), AEL_E_ARGUMENT);
    CU_ASSERT_PTR_NULL(store);
    CU_ASSERT_EQUAL(err.status, AEL_E_ARGUMENT);
}

static void test_metastore_sqlite_new__refuses_options_that_are_none(void) {
    static const char *const k_paths[] = {NULL, "", ":memory:", "file:keys.db", "file::memory:?cache=shared"};
    struct ael_metastore_sqlite_options options = AEL_METASTORE_SQLITE_OPTIONS_INIT;
    CU_ASSERT_EQUAL(ael_metastore_sqlite_new(&options, NULL, NULL), AEL_E_ARGUMENT);
    expect_bad_options(NULL);
    for (size_t i = 0; i < sizeof k_paths / sizeof k_paths[0]; i++) {
        options.path = k_paths[i];
        expect_bad_options(&options);
    }
    options.path = "keys.db";
    options.max_connections = 0;
    expect_bad_options(&options);
    options.max_connections = 65;
    expect_bad_options(&options);
    options.max_connections = 1;
    options.size--;
    expect_bad_options(&options);
}

static void expect_bad_file(const char *path) {
    struct ael_error err = {0};
    struct ael_metastore *store = NULL;
    CU_ASSERT_EQUAL(try_open(path, &store, &err), AEL_E_BACKEND);
    CU_ASSERT_PTR_NULL(store);
    CU_ASSERT_EQUAL(err.status, AEL_E_BACKEND);
    CU_ASSERT_STRING_EQUAL(err.component, "metastore/sqlite");
    CU_ASSERT_NOT_EQUAL(err.detail[0], '\0');
    CU_ASSERT_NOT_EQUAL(err.native_code, 0);
}

static void test_metastore_sqlite_new__refuses_what_is_no_database(void) {
    struct sqlite_place place = sqlite_place_new();
    expect_bad_file(place.folder); /* a folder */
    expect_bad_file("/nonexistent/keys.db");
    FILE *file = fopen(place.path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    for (int i = 0; i < 200; i++) {
        (void)fputs("this is not a database at all\n", file);
    }
    (void)fclose(file);
    expect_bad_file(place.path);
    sqlite_place_remove(&place);
}

/* Two winners could come of a table without the key: it is refused, not used. */
static void test_metastore_sqlite_new__refuses_a_table_of_another_shape(void) {
    static const char *const k_tables[] = {
        "CREATE TABLE encryption_key (id TEXT NOT NULL, created TIMESTAMP NOT NULL, key_record TEXT NOT "
        "NULL)",
        "CREATE TABLE encryption_key (id TEXT PRIMARY KEY, created TIMESTAMP NOT NULL, key_record TEXT NOT "
        "NULL)",
        "CREATE TABLE encryption_key (id TEXT, made TIMESTAMP, key_record TEXT, PRIMARY KEY (id, made))",
        "CREATE VIEW encryption_key AS SELECT 'a' AS id, 'b' AS created, 'c' AS key_record",
    };
    for (size_t i = 0; i < sizeof k_tables / sizeof k_tables[0]; i++) {
        struct sqlite_place place = sqlite_place_new();
        sqlite_place_run(&place, k_tables[i]);
        expect_bad_file(place.path);
        sqlite_place_remove(&place);
    }
}

static int refuse_nth(void *context) {
    int *left = context;
    return (*left)-- == 0;
}

static void test_metastore_sqlite_new__survives_each_failed_allocation(void) {
    struct sqlite_place place = sqlite_place_new();
    ael_metastore_release(sqlite_place_open(&place));
    enum ael_status status = AEL_E_NO_MEMORY;
    int nth = 0;
    for (; status != AEL_OK && nth < 20; nth++) {
        int left = nth;
        struct ael_metastore *store = NULL;
        ael_alloc_set_fault(refuse_nth, &left);
        status = try_open(place.path, &store, NULL);
        ael_alloc_set_fault(NULL, NULL);
        CU_ASSERT(status == AEL_OK ? store != NULL : status == AEL_E_NO_MEMORY && store == NULL);
        ael_metastore_release(store);
    }
    CU_ASSERT_EQUAL(status, AEL_OK);
    CU_ASSERT(nth > 3);
    sqlite_place_remove(&place);
}

static void test_sqlite_store__is_durable(void) {
    struct sqlite_place place = sqlite_place_new();
    struct ael_metastore *store = sqlite_place_open(&place);
    sqlite_place_expect(&place, "PRAGMA journal_mode", "wal");
    CU_ASSERT_STRING_EQUAL(ael_metastore_name(store), "sqlite");
    ael_metastore_release(store);
    sqlite_place_expect(
        &place, "SELECT sql FROM sqlite_master WHERE name = 'encryption_key'",
        "CREATE TABLE encryption_key (id TEXT NOT NULL, created TIMESTAMP NOT NULL, key_record TEXT NOT "
        "NULL, "
        "PRIMARY KEY (id, created))");
    sqlite_place_remove(&place);
}

static void expect_clean_end(pid_t child) {
    int ended = -1;
    CU_ASSERT_EQUAL(waitpid(child, &ended, 0), child);
    CU_ASSERT(WIFEXITED(ended) && WEXITSTATUS(ended) == 0);
}

static void test_sqlite_store__stays_where_it_was_opened(void) {
    struct sqlite_place place = sqlite_place_new();
    char before[4096];
    struct ael_metastore *store = NULL;
    bool stored = false;
    CU_ASSERT_PTR_NOT_NULL_FATAL(getcwd(before, sizeof before));
    CU_ASSERT_EQUAL_FATAL(chdir(place.folder), 0);
    CU_ASSERT_EQUAL(try_open("keys.db", &store, NULL), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(chdir(before), 0);
    (void)fflush(stdout);
    pid_t child = fork(); /* closes the connections; the next one is opened by its path */
    if (child == 0) {
        _exit(0);
    }
    expect_clean_end(child);
    CU_ASSERT_EQUAL(store_key(store, "id", CREATED, &stored), AEL_OK);
    ael_metastore_release(store);
    sqlite_place_expect(&place, "SELECT count(*) FROM encryption_key", "1");
    sqlite_place_remove(&place);
}

/* ---- rows ---- */

static void test_sqlite_store__writes_rows_as_the_rust_sdk_does(void) {
    struct sqlite_place place = sqlite_place_new();
    struct ael_metastore *store = sqlite_place_open(&place);
    struct ael_key_record record = record_of("\x01\x02\x03", CREATED);
    bool stored = false;
    record.has_parent = true;
    record.parent_id = text("_SK_svc_one_product-two");
    record.parent_created_s = CREATED;
    CU_ASSERT_EQUAL(
        ael_metastore_store(store, NULL, text("_IK_p_svc_one_product-two"), &record, &stored, NULL), AEL_OK);
    CU_ASSERT_TRUE(stored);
    sqlite_place_expect(&place, "SELECT id FROM encryption_key", "_IK_p_svc_one_product-two");
    sqlite_place_expect(&place, "SELECT created FROM encryption_key", "2026-11-21 10:02:00");
    sqlite_place_expect(
        &place, "SELECT key_record FROM encryption_key",
        "{\"Created\":1795255320,\"Key\":\"AQID\",\"ParentKeyMeta\":{\"KeyId\":\"_SK_svc_one_product-two\","
        "\"Created\":1795255320}}");
    sqlite_place_expect(
        &place,
        "SELECT typeof(id) || ' ' || typeof(created) || ' ' || typeof(key_record) FROM encryption_key",
        "text text text");
    CU_ASSERT_EQUAL(
        ael_metastore_mark_revoked(store, text("_IK_p_svc_one_product-two"), CREATED, NULL, NULL), AEL_OK);
    sqlite_place_expect(
        &place, "SELECT substr(key_record, 1, 38) FROM encryption_key",
        "{\"Revoked\":true,\"Created\":1795255320,\"");
    ael_metastore_release(store);
    sqlite_place_remove(&place);
}

/* Rows from tests/vectors/rust-sqlite.json and python-sqlite.json, among them the one that is not a key. */
static const char k_rust_rows[] =
    "CREATE TABLE IF NOT EXISTS encryption_key (id TEXT NOT NULL, created TIMESTAMP NOT NULL,"
    " key_record TEXT NOT NULL, PRIMARY KEY (id, created));"
    "INSERT INTO encryption_key VALUES ('_IK_quote\"and\\back_svc_one_product-two', '2026-11-21 10:02:00',"
    " '{\"Created\":1795255320,\"Key\":\"Pz8Ry+OtOLcazKojdwAz6Gkp/"
    "4p8Ec+lHxwIQwBKZgSqAKFRuQLtH4hUBCzKR0l5W0DpmttWJCLjV1Ra\","
    "\"ParentKeyMeta\":{\"KeyId\":\"_SK_svc_one_product-two\",\"Created\":1795255320}}');"
    "INSERT INTO encryption_key VALUES ('_SK_pysvc_py_product', '2026-11-21 10:03:00',"
    " '{\"Created\":1795255380,\"Key\":\"ZZFtnyPR20HAILulcTYNXgg2ry8jMpJy6LOGrx4uon0ptivGX2ZI/"
    "biONzAVqUHJBfPalHkZ+LXAKfOX\"}');"
    "INSERT INTO encryption_key VALUES"
    " ('__asherah_internal_config_drift_guard_v1__:NGQ4jdymRj-kk52vFulWTPbllD6z6KuK1cGGA02H0vA', '2000-01-01 "
    "00:00:00',"
    " '{\"Created\":946684800,\"Key\":\"eyJzY2hlbWFfdmVyc2lvbiI6MX0=\"}');";

static bool
count_row(void *context, struct ael_bytes id, int64_t created_s, const struct ael_key_record *record) {
    (void)id;
    (void)created_s;
    (void)record;
    ++*(unsigned *)context;
    return true;
}

static unsigned count_rows(struct ael_metastore *store, const char *prefix) {
    unsigned rows = 0;
    CU_ASSERT_EQUAL(ael_metastore_list(store, NULL, text(prefix), count_row, &rows, NULL), AEL_OK);
    return rows;
}

static void test_sqlite_store__reads_rows_of_the_rust_sdk(void) {
    struct sqlite_place place = sqlite_place_new();
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    struct ael_bytes id = text("_IK_quote\"and\\back_svc_one_product-two");
    sqlite_place_run(&place, k_rust_rows);
    struct ael_metastore *store = sqlite_place_open(&place);
    CU_ASSERT_EQUAL_FATAL(ael_metastore_load(store, NULL, id, CREATED, &out, NULL), AEL_OK);
    CU_ASSERT_EQUAL(out.record.key.len, 60);
    CU_ASSERT_EQUAL(out.record.key.data[0], 0x3f);
    CU_ASSERT_TRUE(out.record.has_parent);
    CU_ASSERT_EQUAL(out.record.parent_created_s, CREATED);
    CU_ASSERT_EQUAL(out.record.parent_id.len, strlen("_SK_svc_one_product-two"));
    CU_ASSERT_EQUAL(ael_metastore_load_latest(store, NULL, text("_SK_pysvc_py_product"), &out, NULL), AEL_OK);
    CU_ASSERT_EQUAL(out.record.created_s, 1795255380);
    CU_ASSERT_FALSE(out.record.has_parent);
    ael_key_record_buf_clear(&out);
    CU_ASSERT_EQUAL(count_rows(store, ""), 3);
    CU_ASSERT_EQUAL(count_rows(store, "_IK_"), 1);
    CU_ASSERT_EQUAL(count_rows(store, "_SK_"), 1);
    bool stored = true;
    CU_ASSERT_EQUAL(store_key(store, "_SK_pysvc_py_product", 1795255380, &stored), AEL_OK);
    CU_ASSERT_FALSE(stored);
    ael_metastore_release(store);
    sqlite_place_remove(&place);
}

#define ROW(id, created, record) "INSERT INTO encryption_key VALUES ('" id "', " created ", " record ");"
#define GOOD_TIME                "'2026-11-21 10:02:00'"
#define GOOD_RECORD              "'{\"Created\":1795255320,\"Key\":\"AQID\"}'"

static const char k_garbage[] = ROW("good", GOOD_TIME, GOOD_RECORD) ROW("no json", GOOD_TIME, "'garbage'")
    ROW("empty", GOOD_TIME, "''") ROW("blob", GOOD_TIME, "CAST(" GOOD_RECORD " AS BLOB)")
        ROW("number", GOOD_TIME, "42") ROW("NUL behind", GOOD_TIME, GOOD_RECORD " || char(0)")
            ROW("not UTF-8", GOOD_TIME, "CAST(X'7bff7d' AS TEXT)")
                ROW("no key", GOOD_TIME, "'{\"Created\":1795255320}'")
                    ROW("empty key", GOOD_TIME, "'{\"Created\":1795255320,\"Key\":\"\"}'")
                        ROW("long",
                            GOOD_TIME,
                            "'{\"Created\":1795255320,\"Key\":\"' || hex(zeroblob(20000)) || '\"}'")
                            ROW("huge",
                                GOOD_TIME,
                                "'{\"Created\":1795255320,\"Key\":\"' || hex(zeroblob(2000000)) || '\"}'")
                                ROW("deep", GOOD_TIME, "replace(hex(zeroblob(20000)), '00', '[')");

static void expect_garbage(struct ael_metastore *store, const char *id) {
    CU_ASSERT_EQUAL(load_status(store, id, CREATED), AEL_E_BACKEND_DATA);
    CU_ASSERT_EQUAL(latest_status(store, id), AEL_E_BACKEND_DATA);
    CU_ASSERT_EQUAL(ael_metastore_mark_revoked(store, text(id), CREATED, NULL, NULL), AEL_E_BACKEND_DATA);
    bool stored = true;
    CU_ASSERT_EQUAL(store_key(store, id, CREATED, &stored), AEL_OK); /* the place is taken all the same */
    CU_ASSERT_FALSE(stored);
}

static void test_sqlite_store__reports_rows_that_are_garbage(void) {
    static const char *const k_ids[] = {"no json", "empty",     "blob", "number", "NUL behind", "not UTF-8",
                                        "no key",  "empty key", "long", "huge",   "deep"};
    struct sqlite_place place = sqlite_place_new();
    struct ael_metastore *store = sqlite_place_open(&place);
    sqlite_place_run(&place, k_garbage);
    for (size_t i = 0; i < sizeof k_ids / sizeof k_ids[0]; i++) {
        expect_garbage(store, k_ids[i]);
    }
    CU_ASSERT_EQUAL(load_status(store, "good", CREATED), AEL_OK);
    CU_ASSERT_EQUAL(latest_status(store, "good"), AEL_OK);
    CU_ASSERT_EQUAL(count_rows(store, ""), 1);
    ael_metastore_release(store);
    sqlite_place_remove(&place);
}

/*
 * Records name a key by the column created, which is its key: so it is found by that, whatever the JSON says,
 * and what is written back agrees. As the latest nobody may encrypt under it before.
 */
static void test_sqlite_store__reads_a_row_whose_dates_differ_by_its_column(void) {
    struct sqlite_place place = sqlite_place_new();
    struct ael_metastore *store = sqlite_place_open(&place);
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    sqlite_place_run(&place, ROW("id", GOOD_TIME, "'{\"Created\":1795255321,\"Key\":\"AQID\"}'"));
    CU_ASSERT_EQUAL(ael_metastore_load(store, NULL, text("id"), CREATED, &out, NULL), AEL_OK);
    CU_ASSERT_EQUAL(out.record.created_s, CREATED);
    CU_ASSERT_EQUAL(out.record.key.len, 3);
    CU_ASSERT_FALSE(out.record.revoked);
    CU_ASSERT_EQUAL(load_status(store, "id", CREATED + 1), AEL_E_KEY_NOT_FOUND);
    CU_ASSERT_EQUAL(latest_status(store, "id"), AEL_E_BACKEND_DATA);
    CU_ASSERT_EQUAL(count_rows(store, ""), 0);
    CU_ASSERT_EQUAL(ael_metastore_mark_revoked(store, text("id"), CREATED, NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(ael_metastore_load_latest(store, NULL, text("id"), &out, NULL), AEL_OK);
    CU_ASSERT_EQUAL(out.record.created_s, CREATED);
    CU_ASSERT_TRUE(out.record.revoked);
    CU_ASSERT_EQUAL(count_rows(store, ""), 1);
    ael_key_record_buf_clear(&out);
    ael_metastore_release(store);
    sqlite_place_remove(&place);
}

/* The column created is compared as text: what is not what this library writes is no key's date. */
static void test_sqlite_store__reports_a_created_that_is_garbage(void) {
    struct sqlite_place place = sqlite_place_new();
    struct ael_metastore *store = sqlite_place_open(&place);
    sqlite_place_run(
        &place, ROW("number", "1795255320", GOOD_RECORD) ROW("real", "0.5", GOOD_RECORD)
                    ROW("word", "'zzz'", GOOD_RECORD) ROW("blob", "CAST(" GOOD_TIME " AS BLOB)", GOOD_RECORD)
                        ROW("zone", "'2026-11-21T10:02:00Z'", GOOD_RECORD)
                            ROW("fraction", "'2026-11-21 10:02:00.5'",
                                GOOD_RECORD) "INSERT INTO encryption_key VALUES (X'00ff', " GOOD_TIME
                                             ", " GOOD_RECORD ");");
    static const char *const k_ids[] = {"number", "real", "word", "blob", "zone", "fraction"};
    for (size_t i = 0; i < sizeof k_ids / sizeof k_ids[0]; i++) {
        CU_ASSERT_EQUAL(load_status(store, k_ids[i], CREATED), AEL_E_KEY_NOT_FOUND);
        CU_ASSERT_EQUAL(latest_status(store, k_ids[i]), AEL_E_BACKEND_DATA);
    }
    CU_ASSERT_EQUAL(count_rows(store, ""), 0);
    ael_metastore_release(store);
    sqlite_place_remove(&place);
}

/* Where datetime() gives NULL, nothing may pass for a lost race. */
static void test_sqlite_store__refuses_created_beyond_the_year_9999(void) {
    struct sqlite_place place = sqlite_place_new();
    struct ael_metastore *store = sqlite_place_open(&place);
    bool stored = true;
    CU_ASSERT_EQUAL(store_key(store, "id", 253402300800, &stored), AEL_E_ARGUMENT);
    CU_ASSERT_FALSE(stored);
    CU_ASSERT_EQUAL(load_status(store, "id", INT64_MAX), AEL_E_KEY_NOT_FOUND);
    CU_ASSERT_EQUAL(store_key(store, "id", 253402300799, &stored), AEL_OK);
    CU_ASSERT_TRUE(stored);
    sqlite_place_expect(&place, "SELECT created FROM encryption_key", "9999-12-31 23:59:59");
    ael_metastore_release(store);
    sqlite_place_remove(&place);
}

/*
 * Ends a child that has the parent's connections in its memory, which must not be touched: another program takes
 * its place, so that no leak checker looks for them.
 */
static void end_child(int result) {
    const char *program = result == 0 ? "/bin/true" : "/bin/false";
    (void)execl(program, program, (char *)NULL);
    _exit(99);
}

/* ---- locks, deadlines, files that go away ---- */

static pid_t start_locker(const struct sqlite_place *place, int *release) {
    int ready[2];
    int go[2];
    char byte = 0;
    CU_ASSERT_EQUAL_FATAL(pipe(ready), 0);
    CU_ASSERT_EQUAL_FATAL(pipe(go), 0);
    pid_t child = fork();
    if (child == 0) {
        sqlite3 *db = NULL;
        (void)close(go[1]);
        bool held =
            sqlite3_open(place->path, &db) == SQLITE_OK &&
            sqlite3_exec(db, "PRAGMA locking_mode=NORMAL; BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK;
        held = write(ready[1], held ? "y" : "n", 1) == 1 && held;
        end_child(read(go[0], &byte, 1) >= 0 && held ? 0 : 1);
    }
    (void)close(go[0]);
    (void)close(ready[1]);
    CU_ASSERT_EQUAL(read(ready[0], &byte, 1), 1);
    CU_ASSERT_EQUAL(byte, 'y');
    (void)close(ready[0]);
    *release = go[1];
    return child;
}

static void expect_locked(struct ael_metastore *store, uint32_t timeout_ms) {
    struct ael_call call = AEL_CALL_INIT;
    struct ael_key_record record = record_of("key", CREATED);
    struct ael_error err = {0};
    bool stored = true;
    int64_t start = now_ms();
    call.deadline_ns = ael_deadline_in_ms(timeout_ms);
    CU_ASSERT_EQUAL(ael_metastore_store(store, &call, text("id"), &record, &stored, &err), AEL_E_TIMEOUT);
    int64_t took = now_ms() - start;
    CU_ASSERT(took >= timeout_ms - 10 && took < timeout_ms + 2000);
    CU_ASSERT_FALSE(stored);
    CU_ASSERT_EQUAL(err.native_code & 0xff, SQLITE_BUSY);
    CU_ASSERT_EQUAL(latest_status(store, "id"), AEL_E_KEY_NOT_FOUND); /* readers are not in the way */
}

static void test_sqlite_store__honours_the_deadline_when_locked_by_another_process(void) {
    struct sqlite_place place = sqlite_place_new();
    struct ael_metastore *store = sqlite_place_open(&place);
    struct ael_call call = AEL_CALL_INIT;
    bool stored = false;
    int release = -1;
    pid_t child = start_locker(&place, &release);
    expect_locked(store, 150);
    call.deadline_ns = ael_deadline_in_ms(50);
    CU_ASSERT_EQUAL(ael_metastore_health(store, &call, NULL), AEL_E_TIMEOUT);
    (void)close(release);
    expect_clean_end(child);
    CU_ASSERT_EQUAL(store_key(store, "id", CREATED, &stored), AEL_OK);
    CU_ASSERT_TRUE(stored);
    ael_metastore_release(store);
    sqlite_place_remove(&place);
}

static void test_sqlite_store__gives_up_after_its_own_busy_timeout(void) {
    struct sqlite_place place = sqlite_place_new();
    struct ael_metastore_sqlite_options options = AEL_METASTORE_SQLITE_OPTIONS_INIT;
    struct ael_metastore *store = NULL;
    bool stored = true;
    int release = -1;
    options.path = place.path;
    options.busy_timeout_ms = 0;
    CU_ASSERT_EQUAL_FATAL(ael_metastore_sqlite_new(&options, &store, NULL), AEL_OK);
    pid_t child = start_locker(&place, &release);
    int64_t start = now_ms();
    CU_ASSERT_EQUAL(store_key(store, "id", CREATED, &stored), AEL_E_TIMEOUT);
    CU_ASSERT(now_ms() - start < 2000);
    (void)close(release);
    expect_clean_end(child);
    ael_metastore_release(store);
    sqlite_place_remove(&place);
}

static void *cancel_it(void *cancel) {
    ael_cancel_trigger(cancel);
    return NULL;
}

static void test_sqlite_store__ends_a_wait_that_is_cancelled(void) {
    struct sqlite_place place = sqlite_place_new();
    struct ael_metastore *store = sqlite_place_open(&place);
    struct ael_call call = AEL_CALL_INIT;
    struct ael_cancel *cancel = NULL;
    struct ael_key_record record = record_of("key", CREATED);
    pthread_t thread;
    bool stored = true;
    int release = -1;
    pid_t child = start_locker(&place, &release);
    CU_ASSERT_EQUAL_FATAL(ael_cancel_new(&cancel), AEL_OK);
    call.cancel = cancel;
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, cancel_it, cancel), 0);
    CU_ASSERT_EQUAL(ael_metastore_store(store, &call, text("id"), &record, &stored, NULL), AEL_E_CANCELLED);
    CU_ASSERT_EQUAL(pthread_join(thread, NULL), 0);
    (void)close(release);
    expect_clean_end(child);
    ael_cancel_free(cancel);
    ael_metastore_release(store);
    sqlite_place_remove(&place);
}

/* A visit holds the only connection: who comes meanwhile waits for it until the deadline. */
static bool
visit_and_ask(void *context, struct ael_bytes id, int64_t created_s, const struct ael_key_record *record) {
    struct ael_metastore *store = context;
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    struct ael_call call = AEL_CALL_INIT;
    struct ael_error err = {0};
    (void)record;
    call.deadline_ns = ael_deadline_in_ms(60);
    CU_ASSERT_EQUAL(ael_metastore_load(store, &call, id, created_s, &out, &err), AEL_E_TIMEOUT);
    CU_ASSERT_EQUAL(err.status, AEL_E_TIMEOUT);
    return true;
}

static void test_sqlite_store__waits_for_a_connection_until_the_deadline(void) {
    struct sqlite_place place = sqlite_place_new();
    struct ael_metastore_sqlite_options options = AEL_METASTORE_SQLITE_OPTIONS_INIT;
    struct ael_metastore *store = NULL;
    bool stored = false;
    options.path = place.path;
    options.max_connections = 1;
    CU_ASSERT_EQUAL_FATAL(ael_metastore_sqlite_new(&options, &store, NULL), AEL_OK);
    CU_ASSERT_EQUAL(store_key(store, "id", CREATED, &stored), AEL_OK);
    CU_ASSERT_EQUAL(ael_metastore_list(store, NULL, text(""), visit_and_ask, store, NULL), AEL_OK);
    CU_ASSERT_EQUAL(latest_status(store, "id"), AEL_OK);
    ael_metastore_release(store);
    sqlite_place_remove(&place);
}

static void test_sqlite_store__is_unreachable_when_the_file_is_gone(void) {
    struct sqlite_place place = sqlite_place_new();
    char moved[128];
    struct ael_metastore *store = sqlite_place_open(&place);
    bool stored = false;
    CU_ASSERT_EQUAL(store_key(store, "id", CREATED, &stored), AEL_OK);
    sqlite_place_run(&place, "PRAGMA wal_checkpoint(TRUNCATE)");
    (void)snprintf(moved, sizeof moved, "%s-moved", place.path);
    CU_ASSERT_EQUAL(rename(place.path, moved), 0);
    CU_ASSERT_EQUAL(latest_status(store, "id"), AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(store_key(store, "id", CREATED + 60, &stored), AEL_E_UNREACHABLE);
    CU_ASSERT_FALSE(stored);
    CU_ASSERT_EQUAL(ael_metastore_health(store, NULL, NULL), AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(access(place.path, F_OK), -1); /* nothing was made in its place */
    CU_ASSERT_EQUAL(rename(moved, place.path), 0);
    CU_ASSERT_EQUAL(latest_status(store, "id"), AEL_OK);
    CU_ASSERT_EQUAL(store_key(store, "id", CREATED + 60, &stored), AEL_OK);
    CU_ASSERT_TRUE(stored);
    ael_metastore_release(store);
    sqlite_place_remove(&place);
}

/* Runs as somebody without the right to write: as root, by becoming nobody in a child. */
static int use_read_only_file(const struct sqlite_place *place) {
    struct ael_metastore *store = NULL;
    struct ael_error err = {0};
    bool stored = true;
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) {
        return 10;
    }
    if (try_open(place->path, &store, &err) != AEL_OK) {
        return err.status == AEL_E_BACKEND && err.detail[0] != '\0' ? 0 : 11;
    }
    int result = latest_status(store, "id") == AEL_OK ? 0 : 12;
    result = store_key(store, "new", CREATED, &stored) == AEL_E_BACKEND && !stored ? result : 13;
    result = ael_metastore_health(store, NULL, NULL) == AEL_E_BACKEND ? result : 14;
    ael_metastore_release(store);
    return result;
}

static void expect_read_only(const struct sqlite_place *place) {
    (void)fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        _exit(use_read_only_file(place));
    }
    int ended = -1;
    CU_ASSERT_EQUAL(waitpid(child, &ended, 0), child);
    CU_ASSERT(WIFEXITED(ended));
    CU_ASSERT_EQUAL(WEXITSTATUS(ended), 0);
}

static void test_sqlite_store__reads_but_does_not_write_a_read_only_file(void) {
    struct sqlite_place place = sqlite_place_new();
    bool stored = false;
    struct ael_metastore *store = sqlite_place_open(&place);
    CU_ASSERT_EQUAL(store_key(store, "id", CREATED, &stored), AEL_OK);
    ael_metastore_release(store);
    CU_ASSERT_EQUAL(chmod(place.path, 0444), 0);
    CU_ASSERT_EQUAL(chmod(place.folder, 0777), 0); /* the WAL can be made beside it */
    expect_read_only(&place);
    CU_ASSERT_EQUAL(chmod(place.folder, 0755), 0); /* and here not */
    expect_read_only(&place);
    sqlite_place_remove(&place);
}

/* ---- several processes, and one that is killed ---- */

enum { PROCESSES = 4 };

static unsigned stores(void) {
    return (unsigned)soak_count(60, 5000);
}

/* All processes store the same ids, in an order of their own; the exit status counts nothing but failures. */
static int store_many(const struct sqlite_place *place, unsigned process, int report) {
    struct ael_metastore *store = NULL;
    unsigned won = 0;
    int failed = try_open(place->path, &store, NULL) != AEL_OK;
    for (unsigned i = 0; i < stores() && failed == 0; i++) {
        char id[32];
        bool stored = false;
        (void)snprintf(id, sizeof id, "_IK_%u", (i * 7 + process * 11) % stores());
        failed = store_key(store, id, CREATED, &stored) != AEL_OK || latest_status(store, id) != AEL_OK;
        won += stored ? 1 : 0;
    }
    ael_metastore_release(store);
    return write(report, &won, sizeof won) == (ssize_t)sizeof won ? failed : 2;
}

static void test_sqlite_store__is_shared_by_several_processes(void) {
    struct sqlite_place place = sqlite_place_new();
    pid_t children[PROCESSES];
    int report[2];
    unsigned wins = 0;
    CU_ASSERT_EQUAL_FATAL(pipe(report), 0);
    (void)fflush(stdout);
    for (unsigned i = 0; i < PROCESSES; i++) { /* all of them make the file and set WAL at once */
        children[i] = fork();
        if (children[i] == 0) {
            _exit(store_many(&place, i, report[1]));
        }
    }
    for (int i = 0; i < PROCESSES; i++) {
        unsigned won = 0;
        expect_clean_end(children[i]);
        CU_ASSERT_EQUAL(read(report[0], &won, sizeof won), (ssize_t)sizeof won);
        wins += won;
    }
    (void)close(report[0]);
    (void)close(report[1]);
    CU_ASSERT_EQUAL(wins, stores()); /* each id had exactly one winner */
    struct ael_metastore *store = sqlite_place_open(&place);
    CU_ASSERT_EQUAL(count_rows(store, "_IK_"), stores());
    ael_metastore_release(store);
    sqlite_place_remove(&place);
}

/* Stores without an end and writes each number down the pipe after it was reported stored. */
static void store_until_killed(const struct sqlite_place *place, int report) {
    struct ael_metastore *store = NULL;
    if (try_open(place->path, &store, NULL) != AEL_OK) {
        _exit(1);
    }
    for (int32_t i = 0;; i++) {
        char id[32];
        bool stored = false;
        (void)snprintf(id, sizeof id, "_IK_%d", i);
        if (store_key(store, id, CREATED, &stored) != AEL_OK || !stored ||
            write(report, &i, sizeof i) != sizeof i) {
            _exit(1);
        }
    }
}

/* Reads reports, kills the writer after enough of them, and returns the last one that was made. */
static int32_t kill_after(pid_t child, int report, int32_t enough) {
    int32_t last = -1;
    int32_t number = -1;
    while (read(report, &number, sizeof number) == sizeof number) {
        last = number;
        if (number == enough) {
            (void)kill(child, SIGKILL);
        }
    }
    return last;
}

static void test_sqlite_store__loses_nothing_when_the_writer_is_killed(void) {
    struct sqlite_place place = sqlite_place_new();
    int report[2];
    CU_ASSERT_EQUAL_FATAL(pipe(report), 0);
    (void)fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        (void)close(report[0]);
        store_until_killed(&place, report[1]);
    }
    (void)close(report[1]);
    int32_t last = kill_after(child, report[0], 100);
    int ended = 0;
    CU_ASSERT_EQUAL(waitpid(child, &ended, 0), child);
    CU_ASSERT(WIFSIGNALED(ended) && WTERMSIG(ended) == SIGKILL);
    CU_ASSERT(last >= 100);
    struct ael_metastore *store = sqlite_place_open(&place);
    int missing = 0;
    for (int32_t i = 0; i <= last; i++) {
        char id[32];
        (void)snprintf(id, sizeof id, "_IK_%d", i);
        missing += load_status(store, id, CREATED) != AEL_OK;
    }
    CU_ASSERT_EQUAL(missing, 0);
    sqlite_place_expect(&place, "PRAGMA integrity_check", "ok");
    (void)close(report[0]);
    ael_metastore_release(store);
    sqlite_place_remove(&place);
}

/* ---- failures of the disk: a file system of SQLite's whose WAL cannot be flushed ---- */

static sqlite3_vfs g_vfs;
static sqlite3_vfs *g_real_vfs;
static bool g_disk_fails;

/* SQLite has other methods for the WAL than for the database: each kind keeps its own. */
struct kind {
    const sqlite3_io_methods *real;
    sqlite3_io_methods failing;
};
static struct kind g_database;
static struct kind g_wal;

static int sync_database(sqlite3_file *file, int flags) {
    return g_disk_fails ? SQLITE_IOERR_FSYNC : g_database.real->xSync(file, flags);
}

static int read_database(sqlite3_file *file, void *bytes, int amount, sqlite3_int64 offset) {
    return g_disk_fails ? SQLITE_IOERR_READ : g_database.real->xRead(file, bytes, amount, offset);
}

static int sync_wal(sqlite3_file *file, int flags) {
    return g_disk_fails ? SQLITE_IOERR_FSYNC : g_wal.real->xSync(file, flags);
}

static void replace_methods(
    struct kind *kind,
    sqlite3_file *file,
    int (*sync)(sqlite3_file *, int),
    int (*read_bytes)(sqlite3_file *, void *, int, sqlite3_int64)) {
    if (kind->real == NULL) {
        kind->real = file->pMethods;
        kind->failing = *kind->real;
        kind->failing.xSync = sync;
        kind->failing.xRead = read_bytes != NULL ? read_bytes : kind->real->xRead;
    }
    file->pMethods = &kind->failing;
}

static int open_failing(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out_flags) {
    (void)vfs;
    int result = g_real_vfs->xOpen(g_real_vfs, name, file, flags, out_flags);
    if (result == SQLITE_OK && (flags & SQLITE_OPEN_MAIN_DB) != 0) {
        replace_methods(&g_database, file, sync_database, read_database);
    }
    if (result == SQLITE_OK && (flags & SQLITE_OPEN_WAL) != 0) {
        replace_methods(&g_wal, file, sync_wal, NULL);
    }
    return result;
}

static void install_vfs(void) {
    g_real_vfs = sqlite3_vfs_find(NULL);
    g_vfs = *g_real_vfs;
    g_vfs.zName = "ael-failing";
    g_vfs.xOpen = open_failing;
    CU_ASSERT_EQUAL_FATAL(sqlite3_vfs_register(&g_vfs, 1), SQLITE_OK);
}

static void remove_vfs(void) {
    g_disk_fails = false;
    CU_ASSERT_EQUAL(sqlite3_vfs_unregister(&g_vfs), SQLITE_OK);
    CU_ASSERT_EQUAL(sqlite3_vfs_register(g_real_vfs, 1), SQLITE_OK);
}

static void test_sqlite_store__does_not_know_when_the_flush_failed(void) {
    struct sqlite_place place = sqlite_place_new();
    bool stored = true;
    install_vfs();
    struct ael_metastore *store = sqlite_place_open(&place);
    CU_ASSERT_EQUAL(store_key(store, "before", CREATED, &stored), AEL_OK);
    g_disk_fails = true;
    CU_ASSERT_EQUAL(store_key(store, "id", CREATED, &stored), AEL_E_OUTCOME_UNKNOWN);
    CU_ASSERT_FALSE(stored);
    CU_ASSERT_EQUAL(latest_status(store, "before"), AEL_E_UNREACHABLE); /* a new connection cannot read */
    g_disk_fails = false;
    CU_ASSERT_EQUAL(latest_status(store, "before"), AEL_OK);
    CU_ASSERT_EQUAL(store_key(store, "after", CREATED, &stored), AEL_OK);
    CU_ASSERT_TRUE(stored);
    ael_metastore_release(store);
    remove_vfs();
    sqlite_place_remove(&place);
}

static void test_sqlite_store__does_not_know_when_a_replacing_commit_failed(void) {
    struct sqlite_place place = sqlite_place_new();
    struct ael_key_record present = record_of("key", CREATED);
    struct ael_key_record other = record_of("other", CREATED);
    bool done = true;
    install_vfs();
    struct ael_metastore *store = sqlite_place_open(&place);
    CU_ASSERT_EQUAL(store_key(store, "id", CREATED, &done), AEL_OK);
    CU_ASSERT_EQUAL(
        count_rows(store, ""), 1); /* the pages are in SQLite's cache now: only the flush can fail */
    g_disk_fails = true;
    CU_ASSERT_EQUAL(
        ael_metastore_replace(store, NULL, text("id"), &present, &other, &done, NULL), AEL_E_OUTCOME_UNKNOWN);
    CU_ASSERT_FALSE(done);
    g_disk_fails = false;
    CU_ASSERT_EQUAL(ael_metastore_mark_revoked(store, text("id"), CREATED, NULL, NULL), AEL_OK);
    ael_metastore_release(store);
    remove_vfs();
    sqlite_place_remove(&place);
}

/* ---- fork ---- */

static int use_in_child(struct ael_metastore *store, bool told) {
    bool stored = false;
    if (!told) {
        int wrong = latest_status(store, "id") != AEL_E_FORKED;
        ael_metastore_release(store);
        return wrong;
    }
    int wrong = latest_status(store, "id") != AEL_OK || store_key(store, "child", CREATED, &stored) != AEL_OK;
    ael_metastore_release(store);
    return wrong;
}

/* fork, or _Fork, which calls no handlers. */
static void fork_with(struct ael_metastore *store, bool told) {
    (void)fflush(stdout);
    pid_t child = told ? fork() : _Fork();
    if (child == 0) {
        _exit(use_in_child(store, told)); /* here the leak checker may look: what is left alone is in reach */
    }
    CU_ASSERT_EQUAL(latest_status(store, "id"), AEL_OK);
    expect_clean_end(child);
    CU_ASSERT_EQUAL(latest_status(store, "id"), AEL_OK);
}

struct forking {
    bool told;
    pid_t child;
    int visits;
};

/* A fork inside a listing, whose connection the forking thread itself has lent. */
static bool
fork_in_visit(void *context, struct ael_bytes id, int64_t created_s, const struct ael_key_record *record) {
    struct forking *forking = context;
    (void)id;
    (void)created_s;
    (void)record;
    if (forking->visits++ == 0) {
        forking->child = forking->told ? fork() : _Fork();
    }
    return true;
}

static void fork_inside_a_listing(bool told) {
    struct sqlite_place place = sqlite_place_new();
    struct ael_metastore *store = sqlite_place_open(&place);
    struct forking forking = {.told = told, .child = -1};
    bool stored = false;
    CU_ASSERT_EQUAL(store_key(store, "id", CREATED, &stored), AEL_OK);
    CU_ASSERT_EQUAL(store_key(store, "next", CREATED, &stored), AEL_OK);
    (void)fflush(stdout);
    enum ael_status status = ael_metastore_list(store, NULL, text(""), fork_in_visit, &forking, NULL);
    if (forking.child == 0) { /* SQLite believes there that it holds the parent's locks */
        _exit(status != AEL_E_FORKED || forking.visits != 1 || use_in_child(store, false) != 0);
    }
    CU_ASSERT_EQUAL(status, AEL_OK);
    CU_ASSERT_EQUAL(forking.visits, 2);
    expect_clean_end(forking.child);
    CU_ASSERT_EQUAL(latest_status(store, "id"), AEL_OK);
    ael_metastore_release(store);
    sqlite_place_remove(&place);
}

static void test_sqlite_store__survives_a_fork_inside_a_listing(void) {
    fork_inside_a_listing(true);
}

static void test_sqlite_store__survives_an_untold_fork_inside_a_listing(void) {
    fork_inside_a_listing(false);
}

static void test_sqlite_store__goes_on_in_a_child_that_was_told(void) {
    struct sqlite_place place = sqlite_place_new();
    struct ael_metastore *store = sqlite_place_open(&place);
    bool stored = false;
    CU_ASSERT_EQUAL(store_key(store, "id", CREATED, &stored), AEL_OK);
    fork_with(store, true);
    CU_ASSERT_EQUAL(latest_status(store, "child"), AEL_OK);
    ael_metastore_release(store);
    sqlite_place_remove(&place);
}

struct writer {
    struct ael_metastore *store;
    pthread_t thread;
    char id[16];
    enum ael_status status;
    bool stored;
};

static void *write_when_it_can(void *context) {
    struct writer *writer = context;
    writer->status = store_key(writer->store, writer->id, CREATED, &writer->stored);
    return NULL;
}

/* Another process has the file's lock all the while: the writers wait for it, and are in no fork's way. */
static void test_sqlite_store__goes_on_in_a_child_though_writers_wait(void) {
    struct sqlite_place place = sqlite_place_new();
    struct ael_metastore *store = sqlite_place_open(&place);
    struct writer writers[3] = {{.id = "a"}, {.id = "b"}, {.id = "c"}};
    bool stored = false;
    int release = -1;
    CU_ASSERT_EQUAL(store_key(store, "id", CREATED, &stored), AEL_OK);
    (void)fflush(stdout);
    pid_t locker = start_locker(&place, &release);
    for (size_t i = 0; i < 3; i++) {
        writers[i].store = store;
        CU_ASSERT_EQUAL_FATAL(pthread_create(&writers[i].thread, NULL, write_when_it_can, &writers[i]), 0);
    }
    for (int i = 0; i < 1000; i++) { /* until they wait; where one does not yet, the test asks for less */
        (void)latest_status(store, "id");
    }
    pid_t child = fork();
    if (child == 0) {
        (void)close(release); /* the lock goes when the parent has closed its own */
        _exit(use_in_child(store, true));
    }
    (void)close(release);
    expect_clean_end(locker);
    expect_clean_end(child);
    for (size_t i = 0; i < 3; i++) {
        (void)pthread_join(writers[i].thread, NULL);
        CU_ASSERT_EQUAL(writers[i].status, AEL_OK);
        CU_ASSERT_TRUE(writers[i].stored);
        CU_ASSERT_EQUAL(latest_status(store, writers[i].id), AEL_OK);
    }
    CU_ASSERT_EQUAL(latest_status(store, "child"), AEL_OK);
    ael_metastore_release(store);
    sqlite_place_remove(&place);
}

static void test_sqlite_store__refuses_in_a_child_that_was_not_told(void) {
    struct sqlite_place place = sqlite_place_new();
    struct ael_metastore *store = sqlite_place_open(&place);
    bool stored = false;
    CU_ASSERT_EQUAL(store_key(store, "id", CREATED, &stored), AEL_OK);
    fork_with(store, false);
    CU_ASSERT_EQUAL(store_key(store, "later", CREATED, &stored), AEL_OK);
    ael_metastore_release(store);
    sqlite_place_remove(&place);
}

/* ---- the gate ---- */

static _Thread_local bool t_stays_in_its_fork;
static atomic_bool g_is_in_its_fork;
static atomic_bool g_may_fork;
static atomic_bool g_is_inside;

/* Registered before the gate's own, so called behind it. */
static void stay_in_the_fork(void) {
    atomic_store(&g_is_in_its_fork, t_stays_in_its_fork);
    while (t_stays_in_its_fork && !atomic_load(&g_may_fork)) {
        (void)poll(NULL, 0, 1);
    }
}

static void fork_once(void) {
    pid_t child = fork();
    if (child == 0) {
        _exit(0);
    }
    (void)waitpid(child, NULL, 0);
}

static void *fork_slowly(void *context) {
    t_stays_in_its_fork = true;
    fork_once();
    return context;
}

static void *fork_fast(void *done) {
    fork_once();
    atomic_store((atomic_bool *)done, true);
    return NULL;
}

static void *pass_the_gate(void *context) {
    ael_sqlite_gate_enter();
    atomic_store(&g_is_inside, true);
    ael_sqlite_gate_leave();
    return context;
}

static void wait_for_flag(atomic_bool *flag) {
    for (int i = 0; i < 2000 && !atomic_load(flag); i++) {
        (void)poll(NULL, 0, 1);
    }
}

/* The end of one thread's fork does not open the gate while another thread's is under way. The first of all cases. */
static void test_sqlite_gate__stays_shut_for_forks_of_two_threads(void) {
    pthread_t threads[3];
    atomic_bool done = false;
    CU_ASSERT_EQUAL_FATAL(pthread_atfork(stay_in_the_fork, NULL, NULL), 0);
    ael_sqlite_gate_enter(); /* forks are watched from here on */
    ael_sqlite_gate_leave();
    CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[0], NULL, fork_slowly, NULL), 0);
    wait_for_flag(&g_is_in_its_fork);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[1], NULL, fork_fast, &done), 0);
    wait_for_flag(&done); /* where libc lets one thread fork at a time: in vain */
    CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[2], NULL, pass_the_gate, NULL), 0);
    (void)poll(NULL, 0, 100);
    CU_ASSERT_FALSE(atomic_load(&g_is_inside));
    atomic_store(&g_may_fork, true);
    for (int i = 0; i < 3; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    CU_ASSERT_TRUE(atomic_load(&g_is_inside));
}

static const struct test_case k_cases[] = {
    {"the gate, while two threads fork", test_sqlite_gate__stays_shut_for_forks_of_two_threads},
    {"options that are none are refused", test_metastore_sqlite_new__refuses_options_that_are_none},
    {"what is no database is refused", test_metastore_sqlite_new__refuses_what_is_no_database},
    {"a table of another shape is refused", test_metastore_sqlite_new__refuses_a_table_of_another_shape},
    {"failed allocations are a status", test_metastore_sqlite_new__survives_each_failed_allocation},
    {"WAL and the table", test_sqlite_store__is_durable},
    {"a relative path stays where it was", test_sqlite_store__stays_where_it_was_opened},
    {"rows are written as the Rust SDK does", test_sqlite_store__writes_rows_as_the_rust_sdk_does},
    {"rows of the Rust SDK are read", test_sqlite_store__reads_rows_of_the_rust_sdk},
    {"garbage in key_record", test_sqlite_store__reports_rows_that_are_garbage},
    {"dates that differ", test_sqlite_store__reads_a_row_whose_dates_differ_by_its_column},
    {"garbage in created", test_sqlite_store__reports_a_created_that_is_garbage},
    {"the end of the year 9999", test_sqlite_store__refuses_created_beyond_the_year_9999},
    {"another process's lock", test_sqlite_store__honours_the_deadline_when_locked_by_another_process},
    {"the store's own time-out", test_sqlite_store__gives_up_after_its_own_busy_timeout},
    {"a wait that is cancelled", test_sqlite_store__ends_a_wait_that_is_cancelled},
    {"all connections are in use", test_sqlite_store__waits_for_a_connection_until_the_deadline},
    {"the file is gone", test_sqlite_store__is_unreachable_when_the_file_is_gone},
    {"the file is read-only", test_sqlite_store__reads_but_does_not_write_a_read_only_file},
    {"several processes share a file", test_sqlite_store__is_shared_by_several_processes},
    {"a killed writer loses nothing", test_sqlite_store__loses_nothing_when_the_writer_is_killed},
    {"a store whose flush failed", test_sqlite_store__does_not_know_when_the_flush_failed},
    {"a replacement whose flush failed", test_sqlite_store__does_not_know_when_a_replacing_commit_failed},
    {"a child that was told", test_sqlite_store__goes_on_in_a_child_that_was_told},
    {"a child, while writers wait", test_sqlite_store__goes_on_in_a_child_though_writers_wait},
    {"a fork inside a listing", test_sqlite_store__survives_a_fork_inside_a_listing},
    {"an untold fork inside a listing", test_sqlite_store__survives_an_untold_fork_inside_a_listing},
    {"a child that was not told", test_sqlite_store__refuses_in_a_child_that_was_not_told},
};

TEST_SUITE_MAIN("metastore_sqlite", k_cases)
