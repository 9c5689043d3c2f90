/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/bare.h"

#include "base/alloc.h"
#include "bench/bench.h"

#include <sqlite3.h>
#include <stdio.h>

struct bare_sqlite {
    sqlite3 *db;
    sqlite3_stmt *statements[BARE_CALLS];
};

static const char *const k_sql[BARE_CALLS] = {
    [BARE_LOAD] =
        "SELECT key_record FROM encryption_key WHERE id = ?1 AND created = datetime(?2, 'unixepoch')",
    [BARE_LATEST] = "SELECT key_record FROM encryption_key WHERE id = ?1 ORDER BY created DESC LIMIT 1",
    [BARE_STORE] = "INSERT OR IGNORE INTO encryption_key VALUES (?1, datetime(?2, 'unixepoch'), ?3)",
};

static const char k_settings[] =
    "PRAGMA synchronous=FULL; PRAGMA secure_delete=ON; PRAGMA cell_size_check=ON";

static void close_sqlite(void *self) {
    struct bare_sqlite *bare = self;
    for (int i = 0; i < BARE_CALLS; i++) {
        (void)sqlite3_finalize(bare->statements[i]);
    }
    (void)sqlite3_close(bare->db);
    ael_free(bare);
}

static void *open_sqlite(const char *address) {
    struct bare_sqlite *bare = ael_alloc(sizeof *bare);
    if (bare == NULL) {
        return NULL;
    }
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
    bool good = sqlite3_open_v2(address, &bare->db, flags, NULL) == SQLITE_OK &&
                sqlite3_exec(bare->db, k_settings, NULL, NULL, NULL) == SQLITE_OK;
    for (int i = 0; good && i < BARE_CALLS; i++) {
        good = sqlite3_prepare_v2(bare->db, k_sql[i], -1, &bare->statements[i], NULL) == SQLITE_OK;
    }
    if (!good) {
        (void)fprintf(stderr, "bare sqlite: %s\n", sqlite3_errmsg(bare->db));
        close_sqlite(bare);
        return NULL;
    }
    return bare;
}

static bool read_one(sqlite3_stmt *statement, const char *id) {
    (void)sqlite3_bind_text(statement, 1, id, -1, SQLITE_STATIC);
    bool found = sqlite3_step(statement) == SQLITE_ROW;
    if (found) {
        bench_keep(sqlite3_column_text(statement, 0));
    }
    (void)sqlite3_reset(statement);
    return found;
}

static bool load_sqlite(void *self, const char *id, int64_t created_s) {
    struct bare_sqlite *bare = self;
    (void)sqlite3_bind_int64(bare->statements[BARE_LOAD], 2, created_s);
    return read_one(bare->statements[BARE_LOAD], id);
}

static bool latest_sqlite(void *self, const char *id) {
    struct bare_sqlite *bare = self;
    return read_one(bare->statements[BARE_LATEST], id);
}

static bool store_sqlite(void *self, const char *id, int64_t created_s, const char *json) {
    struct bare_sqlite *bare = self;
    sqlite3_stmt *statement = bare->statements[BARE_STORE];
    (void)sqlite3_bind_text(statement, 1, id, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(statement, 2, created_s);
    (void)sqlite3_bind_text(statement, 3, json, -1, SQLITE_STATIC);
    bool stored = sqlite3_step(statement) == SQLITE_DONE && sqlite3_changes(bare->db) == 1;
    (void)sqlite3_reset(statement);
    return stored;
}

const struct bare_ops g_bare_sqlite = {
    .name = "sqlite",
    .open = open_sqlite,
    .load = load_sqlite,
    .latest = latest_sqlite,
    .store = store_sqlite,
    .close = close_sqlite,
};
