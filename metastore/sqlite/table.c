/* SPDX-License-Identifier: Apache-2.0 */
#include "metastore/sqlite/table.h"

#include "metastore/sqlite/component.h"

#include <ael/sys/error.h>

#include <stddef.h>

/*
 * The table of the Rust SDK, so that both can share a file. created is TEXT 'YYYY-MM-DD HH:MM:SS' in UTC,
 * which sorts as the instants do. metastore/schema/sqlite.sql has the same.
 */
static const char k_create_table[] = "CREATE TABLE IF NOT EXISTS encryption_key ("
                                     "id TEXT NOT NULL, "
                                     "created TIMESTAMP NOT NULL, "
                                     "key_record TEXT NOT NULL, "
                                     "PRIMARY KEY (id, created))";

/* see metastore/sqlite/table.h */
int ael_sqlite_table_ensure(sqlite3 *db) {
    return sqlite3_exec(db, k_create_table, NULL, NULL, NULL);
}

/* Does a column so declared keep text as it is? (SQLite, "Determination Of Column Affinity") */
static bool keeps_text(const char *type) {
    if (type == NULL || type[0] == '\0') {
        return true;
    }
    if (sqlite3_strlike("%INT%", type, 0) == 0) {
        return false;
    }
    return sqlite3_strlike("%CHAR%", type, 0) == 0 || sqlite3_strlike("%CLOB%", type, 0) == 0 ||
           sqlite3_strlike("%TEXT%", type, 0) == 0 || sqlite3_strlike("%BLOB%", type, 0) == 0;
}

/* see metastore/sqlite/table.h */
int ael_sqlite_table_check(sqlite3 *db, enum ael_status *verdict, struct ael_error *err) {
    const char *type = NULL;
    const char *collation = NULL;
    int result = sqlite3_table_column_metadata(
        db, "main", "encryption_key", "id", &type, &collation, NULL, NULL, NULL);
    if (result != SQLITE_OK) {
        return result;
    }
    *verdict = AEL_OK;
    if (!keeps_text(type) || sqlite3_stricmp(collation, "BINARY") != 0) {
        *verdict = ael_error_set(
            err, AEL_E_BACKEND, SQLITE_MISMATCH, AEL_SQLITE_COMPONENT,
            "encryption_key.id is %.40s COLLATE %.40s, which takes different ids for one; make it TEXT, "
            "compared by bytes",
            type, collation);
    }
    return SQLITE_OK;
}
