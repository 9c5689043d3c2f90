/*
 * tests/support/sqlite_move.h - system keys moved from one KMS to another over a file of SQLite, by processes that are
 * killed at random points.
 * Layer: tests. Needs the SQLite component.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_SQLITE_MOVE_H
#define TESTS_SUPPORT_SQLITE_MOVE_H

#include <ael/kms.h>

enum { SQLITE_MOVE_KEYS_MOST = 1000 };

/* Each opens a handle of its own; called in children too. NULL ends the case. */
struct sqlite_move {
    struct ael_kms *(*open_old)(void);
    struct ael_kms *(*open_new)(void);
    int keys;      /* system keys, each with an intermediate key and a record; up to SQLITE_MOVE_KEYS_MOST */
    int kills;     /* of processes that move them */
    bool old_ends; /* what was moved is not readable with the old KMS any more */
};

/**
 * Makes the keys, has them moved and the movers killed, each with a revocation beside it. At each point every record must be
 * decrypted by services with a chain of both; in the end, when a last run has moved what was left, with the new one alone, and
 * every revocation is there.
 */
void sqlite_move_run(const struct sqlite_move *move);

#endif /* TESTS_SUPPORT_SQLITE_MOVE_H */
