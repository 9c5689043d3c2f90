/*
 * bench/bare.h - the bare client calls under a metastore's: one connection, prepared statements, what comes back is
 * looked at and no more. The floors of bench_metastores.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_BENCH_BARE_H
#define AEL_BENCH_BARE_H

#include <stdbool.h>
#include <stdint.h>

enum bare_call { BARE_LOAD, BARE_LATEST, BARE_STORE, BARE_CALLS };

/* What a backend's client does. Each of the three gives true when there was, or is now, one such row. */
struct bare_ops {
    const char *name;
    void *(*open)(const char *address); /* on a table that is there; NULL after a message */
    bool (*load)(void *self, const char *id, int64_t created_s);
    bool (*latest)(void *self, const char *id);
    bool (*store)(void *self, const char *id, int64_t created_s, const char *json);
    void (*close)(void *self);
};

extern const struct bare_ops g_bare_sqlite;
extern const struct bare_ops g_bare_postgres;
extern const struct bare_ops g_bare_mysql;
extern const struct bare_ops g_bare_dynamodb;
extern const struct bare_ops g_bare_etcd;

#endif /* AEL_BENCH_BARE_H */
