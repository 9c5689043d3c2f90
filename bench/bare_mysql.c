/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/bare.h"

#include "base/alloc.h"
#include "bench/bench.h"

#include <mysql.h>
#include <stdio.h>
#include <string.h>

enum { PARAMETERS = 3, RECORD_BYTES = 1024 };

struct bare_mysql {
    MYSQL *my;
    MYSQL_STMT *statements[BARE_CALLS];
    char record[RECORD_BYTES];
};

static const char *const k_sql[BARE_CALLS] = {
    [BARE_LOAD] =
        "SELECT key_record FROM encryption_key WHERE id = ? AND created = '1970-01-01' + INTERVAL ? SECOND",
    [BARE_LATEST] = "SELECT key_record FROM encryption_key WHERE id = ? ORDER BY created DESC LIMIT 1",
    [BARE_STORE] = ("INSERT IGNORE INTO encryption_key (id, created, key_record) "
                    "VALUES (?, '1970-01-01' + INTERVAL ? SECOND, ?)"),
};

static MYSQL_BIND text_of(const char *text) {
    return (MYSQL_BIND){
        .buffer_type = MYSQL_TYPE_STRING, .buffer = (void *)(size_t)text, .buffer_length = strlen(text)};
}

static MYSQL_BIND number_of(int64_t *number) {
    return (MYSQL_BIND){.buffer_type = MYSQL_TYPE_LONGLONG, .buffer = number};
}

static void close_mysql(void *self) {
    struct bare_mysql *bare = self;
    for (int i = 0; i < BARE_CALLS; i++) {
        if (bare->statements[i] != NULL) {
            (void)mysql_stmt_close(bare->statements[i]);
        }
    }
    mysql_close(bare->my);
    ael_free(bare);
}

static bool prepare(struct bare_mysql *bare, int call) {
    MYSQL_BIND record = {
        .buffer_type = MYSQL_TYPE_STRING, .buffer = bare->record, .buffer_length = sizeof bare->record};
    MYSQL_STMT *statement = mysql_stmt_init(bare->my);
    bare->statements[call] = statement;
    return statement != NULL && mysql_stmt_prepare(statement, k_sql[call], strlen(k_sql[call])) == 0 &&
           (call == BARE_STORE || mysql_stmt_bind_result(statement, &record) == 0);
}

/* The address is mysql://USER@localhost/DATABASE?socket=PATH. */
static bool connect_to(MYSQL *my, const char *address) {
    char user[64];
    char database[64];
    char path[256];
    return sscanf(address, "mysql://%63[^@]@localhost/%63[^?]?socket=%255s", user, database, path) == 3 &&
           mysql_real_connect(my, NULL, user, NULL, database, 0, path, 0) != NULL;
}

static void *open_mysql(const char *address) {
    struct bare_mysql *bare = ael_alloc(sizeof *bare);
    if (bare == NULL) {
        return NULL;
    }
    bare->my = mysql_init(NULL);
    bool good = bare->my != NULL && mysql_options(bare->my, MYSQL_SET_CHARSET_NAME, "utf8mb4") == 0 &&
                connect_to(bare->my, address);
    for (int i = 0; good && i < BARE_CALLS; i++) {
        good = prepare(bare, i);
    }
    if (!good) {
        (void)fprintf(stderr, "bare mysql: %s\n", bare->my == NULL ? "no memory" : mysql_error(bare->my));
        close_mysql(bare);
        return NULL;
    }
    return bare;
}

static bool execute(MYSQL_STMT *statement, MYSQL_BIND *parameters) {
    if (mysql_stmt_bind_param(statement, parameters) != 0 || mysql_stmt_execute(statement) != 0) {
        (void)fprintf(stderr, "bare mysql: %s\n", mysql_stmt_error(statement));
        return false;
    }
    return true;
}

static bool read_one(struct bare_mysql *bare, int call, MYSQL_BIND *parameters) {
    MYSQL_STMT *statement = bare->statements[call];
    bool found = execute(statement, parameters) && mysql_stmt_store_result(statement) == 0 &&
                 mysql_stmt_fetch(statement) == 0;
    bench_keep(bare->record);
    return mysql_stmt_free_result(statement) == 0 && found;
}

static bool load_mysql(void *self, const char *id, int64_t created_s) {
    MYSQL_BIND parameters[PARAMETERS] = {text_of(id), number_of(&created_s)};
    return read_one(self, BARE_LOAD, parameters);
}

static bool latest_mysql(void *self, const char *id) {
    MYSQL_BIND parameters[PARAMETERS] = {text_of(id)};
    return read_one(self, BARE_LATEST, parameters);
}

static bool store_mysql(void *self, const char *id, int64_t created_s, const char *json) {
    const struct bare_mysql *bare = self;
    MYSQL_BIND parameters[PARAMETERS] = {text_of(id), number_of(&created_s), text_of(json)};
    return execute(bare->statements[BARE_STORE], parameters) &&
           mysql_stmt_affected_rows(bare->statements[BARE_STORE]) == 1;
}

const struct bare_ops g_bare_mysql = {
    .name = "mysql",
    .open = open_mysql,
    .load = load_mysql,
    .latest = latest_mysql,
    .store = store_mysql,
    .close = close_mysql,
};
