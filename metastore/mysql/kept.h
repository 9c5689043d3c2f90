/*
 * metastore/mysql/kept.h - a statement that the server keeps prepared, with the places that its row is
 * read into.
 *
 * A connection holds one for each of its statements and frees it when it ends; prepared.h makes and runs
 * them.
 * Layer: metastore (libael-mysql). Threads: one at a time.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_METASTORE_MYSQL_KEPT_H
#define AEL_METASTORE_MYSQL_KEPT_H

#include <mysql.h>
#include <stdbool.h>

enum { AEL_MY_KEPT_COLUMNS = 2, AEL_MY_KEPT_RECORD_BYTES = 8192 };

/* Zeroed when it is made. */
struct ael_my_kept {
    MYSQL_STMT *handle;
    bool compares_bytes; /* as the table did when it was prepared */
    unsigned long record_len;
    my_bool is_null[AEL_MY_KEPT_COLUMNS];
    MYSQL_TIME created;
    char record[AEL_MY_KEPT_RECORD_BYTES];
};

/** Ends the statement: tells the server, unless its connection was closed before. NULL is accepted. */
void ael_my_kept_free(struct ael_my_kept *kept);

#endif /* AEL_METASTORE_MYSQL_KEPT_H */
