/*
 * test_metastore_sqlite_watch.c - a file that is replaced under an open store: noticed by a load within an interval, and
 * by whatever else at once.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "metastore/sqlite/watch.h"

#include "base/clock.h"
#include "metastore/sqlite/pool.h"
#include "tests/support/sqlite_place.h"
#include "tests/support/suite.h"

#include <ael/sys/metastore_backend.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { CREATED = 1795255320, PATH_BYTES = 128 };

static const int64_t k_start_ns = 5000000000;

/* A store on a file with the key "old", and beside it a file with the key "new". */
struct scene {
    struct sqlite_place place;
    struct sqlite_place other;
    struct ael_metastore *store;
};

static struct ael_key_record record_of(void) {
    return (struct ael_key_record){.created_s = CREATED, .key = ael_bytes_from_text("key")};
}

static enum ael_status store_key(struct ael_metastore *store, const char *id) {
    const struct ael_key_record record = record_of();
    bool stored = false;
    enum ael_status status =
        ael_metastore_store(store, NULL, ael_bytes_from_text(id), &record, &stored, NULL);
    CU_ASSERT_EQUAL(stored, status == AEL_OK);
    return status;
}

static void make_file(const struct sqlite_place *place, const char *id) {
    struct ael_metastore *store = sqlite_place_open(place);
    CU_ASSERT_EQUAL(store_key(store, id), AEL_OK);
    ael_metastore_release(store);
}

static struct scene scene_new(void) {
    struct scene scene = {.place = sqlite_place_new(), .other = sqlite_place_new()};
    ael_clock_set_for_test(CREATED, k_start_ns);
    make_file(&scene.place, "old");
    make_file(&scene.other, "new");
    scene.store = sqlite_place_open(&scene.place);
    return scene;
}

static void scene_end(struct scene *scene) {
    ael_metastore_release(scene->store);
    sqlite_place_remove(&scene->place);
    sqlite_place_remove(&scene->other);
    ael_clock_reset_for_test();
}

/* Takes the file and those of SQLite beside it away. */
static void take_away(const struct sqlite_place *place) {
    static const char *const k_ends[] = {"", "-wal", "-shm"};
    char path[PATH_BYTES];
    for (size_t i = 0; i < sizeof k_ends / sizeof k_ends[0]; i++) {
        (void)snprintf(path, sizeof path, "%s%s", place->path, k_ends[i]);
        CU_ASSERT_EQUAL(unlink(path), 0);
    }
}

static void replace_file(const struct scene *scene) {
    take_away(&scene->place);
    CU_ASSERT_EQUAL(rename(scene->other.path, scene->place.path), 0);
}

static void set_ns_after_start(int64_t ns) {
    ael_clock_set_for_test(CREATED, k_start_ns + ns);
}

/* ---- loads ---- */

typedef enum ael_status (*load_fn)(
    struct ael_metastore *store, const struct ael_call *call, const char *id);

static enum ael_status load(struct ael_metastore *store, const struct ael_call *call, const char *id) {
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    enum ael_status status =
        ael_metastore_load(store, call, ael_bytes_from_text(id), CREATED, &out, NULL);
    ael_key_record_buf_clear(&out);
    return status;
}

static enum ael_status latest(struct ael_metastore *store, const struct ael_call *call, const char *id) {
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    enum ael_status status =
        ael_metastore_load_latest(store, call, ael_bytes_from_text(id), &out, NULL);
    ael_key_record_buf_clear(&out);
    return status;
}

static const load_fn k_loads[] = {load, latest};

enum { LOADS = sizeof k_loads / sizeof k_loads[0] };

static void expect_old(struct ael_metastore *store, load_fn ask) {
    CU_ASSERT_EQUAL(ask(store, NULL, "old"), AEL_OK);
    CU_ASSERT_EQUAL(ask(store, NULL, "new"), AEL_E_KEY_NOT_FOUND);
}

static void expect_new(struct ael_metastore *store, load_fn ask) {
    CU_ASSERT_EQUAL(ask(store, NULL, "old"), AEL_E_KEY_NOT_FOUND);
    CU_ASSERT_EQUAL(ask(store, NULL, "new"), AEL_OK);
}

static void test_sqlite_load__notices_another_file_when_the_interval_is_over(void) {
    for (int i = 0; i < LOADS; i++) {
        struct scene scene = scene_new();
        expect_old(scene.store, k_loads[i]);
        replace_file(&scene);
        set_ns_after_start(AEL_SQLITE_LOOK_GOOD_NS - 1);
        expect_old(scene.store, k_loads[i]);
        set_ns_after_start(AEL_SQLITE_LOOK_GOOD_NS);
        expect_new(scene.store, k_loads[i]);
        scene_end(&scene);
    }
}

/* The interval begins anew with a look, not with a load that took one's word. */
static void test_sqlite_load__looks_once_an_interval_however_often_it_is_called(void) {
    struct scene scene = scene_new();
    expect_old(scene.store, load);
    for (int tenth = 1; tenth < 10; tenth++) {
        set_ns_after_start(AEL_SQLITE_LOOK_GOOD_NS / 10 * tenth);
        expect_old(scene.store, load);
    }
    replace_file(&scene);
    set_ns_after_start(AEL_SQLITE_LOOK_GOOD_NS);
    expect_new(scene.store, load);
    scene_end(&scene);
}

static void test_sqlite_load__looks_first_on_a_connection(void) {
    for (int i = 0; i < LOADS; i++) {
        struct scene scene = scene_new();
        replace_file(&scene);
        expect_new(scene.store, k_loads[i]);
        scene_end(&scene);
    }
}

static void test_sqlite_load__looks_each_time_for_the_present_state(void) {
    struct ael_call call = AEL_CALL_INIT;
    call.consistency = AEL_CONSISTENCY_PRIMARY;
    for (int i = 0; i < LOADS; i++) {
        struct scene scene = scene_new();
        expect_old(scene.store, k_loads[i]);
        replace_file(&scene);
        CU_ASSERT_EQUAL(k_loads[i](scene.store, &call, "old"), AEL_E_KEY_NOT_FOUND);
        expect_new(scene.store, k_loads[i]);
        scene_end(&scene);
    }
}

static void test_sqlite_load__tells_that_the_file_is_gone_when_the_interval_is_over(void) {
    for (int i = 0; i < LOADS; i++) {
        struct scene scene = scene_new();
        expect_old(scene.store, k_loads[i]);
        take_away(&scene.place);
        expect_old(scene.store, k_loads[i]);
        set_ns_after_start(AEL_SQLITE_LOOK_GOOD_NS);
        CU_ASSERT_EQUAL(k_loads[i](scene.store, NULL, "old"), AEL_E_UNREACHABLE);
        CU_ASSERT_EQUAL(k_loads[i](scene.store, NULL, "old"), AEL_E_UNREACHABLE);
        scene_end(&scene);
    }
}

/* ---- whatever else ---- */

static void test_sqlite_store__notices_another_file_at_once(void) {
    struct scene scene = scene_new();
    expect_old(scene.store, load);
    replace_file(&scene);
    expect_old(scene.store, load);
    CU_ASSERT_EQUAL(store_key(scene.store, "third"), AEL_OK);
    sqlite_place_expect(&scene.place, "SELECT COUNT(*) FROM encryption_key WHERE id = 'third'", "1");
    expect_new(scene.store, load);
    expect_new(scene.store, latest);
    scene_end(&scene);
}

/* The load that follows a store looks, though the store did. */
static void test_sqlite_store__makes_the_next_load_look(void) {
    struct scene scene = scene_new();
    CU_ASSERT_EQUAL(load(scene.store, NULL, "old"), AEL_OK);
    CU_ASSERT_EQUAL(store_key(scene.store, "third"), AEL_OK);
    replace_file(&scene);
    expect_new(scene.store, load);
    scene_end(&scene);
}

static void test_sqlite_store__that_failed_makes_the_next_load_look(void) {
    struct scene scene = scene_new();
    CU_ASSERT_EQUAL(load(scene.store, NULL, "old"), AEL_OK);
    take_away(&scene.place);
    CU_ASSERT_EQUAL(store_key(scene.store, "third"), AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(load(scene.store, NULL, "old"), AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(rename(scene.other.path, scene.place.path), 0);
    expect_new(scene.store, load);
    scene_end(&scene);
}

static void test_sqlite_replace__notices_another_file_at_once(void) {
    const struct ael_key_record expected = record_of();
    struct ael_key_record desired = record_of();
    bool done = true;
    struct scene scene = scene_new();
    desired.revoked = true;
    expect_old(scene.store, load);
    replace_file(&scene);
    CU_ASSERT_EQUAL(
        ael_metastore_replace(
            scene.store, NULL, ael_bytes_from_text("old"), &expected, &desired, &done, NULL),
        AEL_E_KEY_NOT_FOUND);
    CU_ASSERT_FALSE(done);
    expect_new(scene.store, load);
    scene_end(&scene);
}

static void test_sqlite_mark_revoked__notices_another_file_at_once(void) {
    struct scene scene = scene_new();
    expect_old(scene.store, load);
    replace_file(&scene);
    CU_ASSERT_EQUAL(
        ael_metastore_mark_revoked(scene.store, ael_bytes_from_text("old"), CREATED, NULL, NULL),
        AEL_E_KEY_NOT_FOUND);
    CU_ASSERT_EQUAL(
        ael_metastore_mark_revoked(scene.store, ael_bytes_from_text("new"), CREATED, NULL, NULL), AEL_OK);
    sqlite_place_expect(
        &scene.place, "SELECT COUNT(*) FROM encryption_key WHERE key_record LIKE '%Revoked%'", "1");
    scene_end(&scene);
}

static bool
expect_only_new(void *context, struct ael_bytes id, int64_t created_s, const struct ael_key_record *record) {
    int *seen = context;
    (void)created_s;
    (void)record;
    CU_ASSERT(id.len == 3 && memcmp(id.data, "new", 3) == 0);
    ++*seen;
    return true;
}

static void test_sqlite_list__notices_another_file_at_once(void) {
    int seen = 0;
    struct scene scene = scene_new();
    expect_old(scene.store, load);
    replace_file(&scene);
    CU_ASSERT_EQUAL(
        ael_metastore_list(scene.store, NULL, ael_bytes_from_text(""), expect_only_new, &seen, NULL), AEL_OK);
    CU_ASSERT_EQUAL(seen, 1);
    expect_new(scene.store, load);
    scene_end(&scene);
}

/* ---- several connections ---- */

static struct ael_sqlite_conn *borrow(struct ael_sqlite_pool *pool, enum ael_sqlite_use use) {
    struct ael_call call = AEL_CALL_INIT;
    struct ael_sqlite_conn *conn = NULL;
    CU_ASSERT_EQUAL_FATAL(ael_sqlite_pool_borrow(pool, &call, use, &conn, NULL), AEL_OK);
    conn->call = NULL;
    return conn;
}

static void give_back(struct ael_sqlite_pool *pool, struct ael_sqlite_conn *conn) {
    CU_ASSERT_FALSE(ael_sqlite_pool_return(pool, conn));
}

/* Two connections are lent for loads and looked at; then the file is replaced. */
static struct ael_sqlite_pool *pool_behind_a_move(const struct scene *scene) {
    struct ael_sqlite_pool *pool = NULL;
    CU_ASSERT_EQUAL_FATAL(ael_sqlite_pool_new(scene->place.path, 100, 2, &pool, NULL), AEL_OK);
    for (int i = 0; i < 2; i++) { /* the second is opened at first, and looked at when it is lent again */
        struct ael_sqlite_conn *one = borrow(pool, AEL_SQLITE_USE_LOAD);
        struct ael_sqlite_conn *two = borrow(pool, AEL_SQLITE_USE_LOAD);
        give_back(pool, one);
        give_back(pool, two);
    }
    replace_file(scene);
    return pool;
}

static void expect_both(struct ael_sqlite_pool *pool, bool moved) {
    struct ael_sqlite_conn *one = borrow(pool, AEL_SQLITE_USE_LOAD);
    struct ael_sqlite_conn *two = borrow(pool, AEL_SQLITE_USE_LOAD);
    CU_ASSERT_EQUAL(ael_sqlite_conn_has_moved(one), moved);
    CU_ASSERT_EQUAL(ael_sqlite_conn_has_moved(two), moved);
    give_back(pool, one);
    give_back(pool, two);
}

/* Nobody reads the new file and then the old one again. */
static void test_sqlite_pool__has_all_connections_look_when_one_noticed(void) {
    struct scene scene = scene_new();
    struct ael_sqlite_pool *pool = pool_behind_a_move(&scene);
    expect_both(pool, true);
    struct ael_call call = AEL_CALL_INIT;
    struct ael_sqlite_conn *conn = NULL;
    call.consistency = AEL_CONSISTENCY_PRIMARY;
    CU_ASSERT_EQUAL_FATAL(ael_sqlite_pool_borrow(pool, &call, AEL_SQLITE_USE_LOAD, &conn, NULL), AEL_OK);
    CU_ASSERT_FALSE(ael_sqlite_conn_has_moved(conn));
    give_back(pool, conn);
    expect_both(pool, false);
    ael_sqlite_pool_free(pool);
    scene_end(&scene);
}

static void test_sqlite_pool__never_lends_a_moved_file_for_more_than_a_load(void) {
    struct scene scene = scene_new();
    struct ael_sqlite_pool *pool = pool_behind_a_move(&scene);
    struct ael_sqlite_conn *one = borrow(pool, AEL_SQLITE_USE_OTHER);
    struct ael_sqlite_conn *two = borrow(pool, AEL_SQLITE_USE_OTHER);
    CU_ASSERT_FALSE(ael_sqlite_conn_has_moved(one));
    CU_ASSERT_FALSE(ael_sqlite_conn_has_moved(two));
    give_back(pool, one);
    give_back(pool, two);
    expect_both(pool, false);
    ael_sqlite_pool_free(pool);
    scene_end(&scene);
}

/* ---- when a look counts ---- */

static void test_sqlite_watch_is_due__is_by_clock_doubt_and_wish(void) {
    struct ael_sqlite_watch watch;
    struct ael_sqlite_look look = {0};
    ael_sqlite_watch_init(&watch);
    ael_clock_set_for_test(CREATED, 0);
    CU_ASSERT_TRUE(ael_sqlite_watch_is_due(&watch, &look, false)); /* the first, at the clock's very start */
    CU_ASSERT_FALSE(ael_sqlite_watch_is_due(&watch, &look, false));
    CU_ASSERT_TRUE(ael_sqlite_watch_is_due(&watch, &look, true));
    ael_sqlite_watch_doubt(&watch);
    CU_ASSERT_TRUE(ael_sqlite_watch_is_due(&watch, &look, false));
    CU_ASSERT_FALSE(ael_sqlite_watch_is_due(&watch, &look, false));
    ael_clock_set_for_test(CREATED, AEL_SQLITE_LOOK_GOOD_NS - 1);
    CU_ASSERT_FALSE(ael_sqlite_watch_is_due(&watch, &look, false));
    ael_clock_set_for_test(CREATED, AEL_SQLITE_LOOK_GOOD_NS);
    CU_ASSERT_TRUE(ael_sqlite_watch_is_due(&watch, &look, false));
    ael_clock_set_for_test(CREATED, AEL_SQLITE_LOOK_GOOD_NS - 1); /* a clock that went back */
    CU_ASSERT_TRUE(ael_sqlite_watch_is_due(&watch, &look, false));
    ael_clock_reset_for_test();
}

static const struct test_case k_cases[] = {
    {"loads notice within the interval", test_sqlite_load__notices_another_file_when_the_interval_is_over},
    {"one look an interval", test_sqlite_load__looks_once_an_interval_however_often_it_is_called},
    {"a connection's first load looks", test_sqlite_load__looks_first_on_a_connection},
    {"loads from the primary look each time", test_sqlite_load__looks_each_time_for_the_present_state},
    {"loads without a file", test_sqlite_load__tells_that_the_file_is_gone_when_the_interval_is_over},
    {"a store looks", test_sqlite_store__notices_another_file_at_once},
    {"a load behind a store looks", test_sqlite_store__makes_the_next_load_look},
    {"a load behind a failed store looks", test_sqlite_store__that_failed_makes_the_next_load_look},
    {"a replacement looks", test_sqlite_replace__notices_another_file_at_once},
    {"a revocation looks", test_sqlite_mark_revoked__notices_another_file_at_once},
    {"a listing looks", test_sqlite_list__notices_another_file_at_once},
    {"what one noticed all look for", test_sqlite_pool__has_all_connections_look_when_one_noticed},
    {"no moved file to write to", test_sqlite_pool__never_lends_a_moved_file_for_more_than_a_load},
    {"when a look counts", test_sqlite_watch_is_due__is_by_clock_doubt_and_wish},
};

TEST_SUITE_MAIN("metastore_sqlite_watch", k_cases)
