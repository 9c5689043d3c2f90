/*
 * metastore/sqlite/turn.h - the turn to write: fairness among all who write to one SQLite file.
 *
 * SQLite's write lock has no queue: who wants it asks again and again, and who lets it go and comes back at
 * once finds it free before the others look. On a slow disk those wait for as long as anybody writes without
 * a pause. So a writer takes the turn first, then SQLite's lock, and hands the turn on before its commit is
 * flushed:
 *
 *     turn:        A | B       | C       | A ...    one waits for the write lock,
 *     write lock:      A flush | B flush | C flush  nobody else asks for it
 *
 * Who has just written finds the turn taken, and waits like the others. The turn is a flock(2) of the WAL
 * file, on which SQLite has no locks of its own (closing a descriptor of the database itself would drop
 * those). It is a courtesy: who does not get it asks for the write lock all the same, as other programs do.
 * Layer: metastore (libael-sqlite). Threads: one at a time per connection.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_METASTORE_SQLITE_TURN_H
#define AEL_METASTORE_SQLITE_TURN_H

#include <stdbool.h>
#include <stdint.h>

struct ael_sqlite_turn {
    int fd; /* of the WAL file; -1 = there is none to be had: nobody waits */
    bool taken;
};

#define AEL_SQLITE_TURN_INIT                                                                                 \
    { -1, false }

/** Opens the WAL file beside the database, which is there while a connection is open. */
void ael_sqlite_turn_open(struct ael_sqlite_turn *turn, const char *database_path);

/** Gives the turn and closes. */
void ael_sqlite_turn_close(struct ael_sqlite_turn *turn);

/** Takes the turn if it is free; true when there is nothing to wait for (taken, or not to be had). */
bool ael_sqlite_turn_try(struct ael_sqlite_turn *turn);

/** Hands the turn on; harmless when it is not taken. */
void ael_sqlite_turn_give(struct ael_sqlite_turn *turn);

#endif /* AEL_METASTORE_SQLITE_TURN_H */
