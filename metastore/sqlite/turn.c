/* SPDX-License-Identifier: Apache-2.0 */
#include "metastore/sqlite/turn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

/* see metastore/sqlite/turn.h */
void ael_sqlite_turn_open(struct ael_sqlite_turn *turn, const char *database_path) {
    char path[PATH_MAX];
    int len = snprintf(path, sizeof(path), "%s-wal", database_path);
    if (len > 0 && (size_t)len < sizeof(path)) {
        turn->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    }
}

/* see metastore/sqlite/turn.h */
void ael_sqlite_turn_close(struct ael_sqlite_turn *turn) {
    ael_sqlite_turn_give(turn);
    if (turn->fd >= 0) {
        (void)close(turn->fd);
        turn->fd = -1;
    }
}

/* see metastore/sqlite/turn.h */
bool ael_sqlite_turn_try(struct ael_sqlite_turn *turn) {
    if (turn->fd < 0 || turn->taken) {
        return true;
    }
    turn->taken = flock(turn->fd, LOCK_EX | LOCK_NB) == 0;
    return turn->taken || (errno != EWOULDBLOCK && errno != EINTR);
}

/* see metastore/sqlite/turn.h; unlocked by name, since a child of fork may have the descriptor
 * too */
void ael_sqlite_turn_give(struct ael_sqlite_turn *turn) {
    if (turn->taken) {
        (void)flock(turn->fd, LOCK_UN);
        turn->taken = false;
    }
}
