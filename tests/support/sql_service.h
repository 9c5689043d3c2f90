/*
 * tests/support/sql_service.h - what services over any SQL database must outlive: the server is killed and restarted, its
 * connections are cut, it is down for a while, processes race for keys and fork.
 *
 * A suite says in a struct sql_service how its server is reached, ended and asked; each case begins on an empty table:
 *
 *     sql_service_begin(&service);
 *     sql_service_outlives_kills(&service);
 *
 * Of every record for which encrypt said AEL_OK a fresh factory must make the payload again.
 *
 * Layer: tests, in a CUnit case. Only the public API, so that integration tests can use it.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_SQL_SERVICE_H
#define TESTS_SUPPORT_SQL_SERVICE_H

#include "tests/support/fork_world.h"

enum { SQL_SERVICE_TRIES = 6000, SQL_SERVICE_TRY_MS = 10 };

struct sql_service {
    bool (*open_store)(struct ael_metastore **store); /* of the case under way */
    void *server;

    /* SQL as the superuser of a server of this kind: how many rows it gave or changed, -1 when it failed; one value. */
    long (*sql)(const void *server, const char *text);
    bool (*value)(const void *server, const char *text, char *out, size_t size);

    /* As a crash, and again. */
    void (*kill)(void *server);
    bool (*start)(void *server);

    const char *cut; /* SQL that ends all connections of the stores */
};

/* The world of its processes. */
struct fork_world sql_service_world(const struct sql_service *service, bool carry);

/* An empty table on the server. */
void sql_service_begin(const struct sql_service *service);

/* The one number that SQL gives on a server, which may be another one than service->server; -1 when it fails. */
long sql_service_count(const struct sql_service *service, const void *server, const char *text);
/* How many keys a server has. */
long sql_service_rows(const struct sql_service *service, const void *server);
/* Waits for so many more keys on a server: the service works. */
bool sql_service_wait_for_rows(const struct sql_service *service, const void *server, long more);

/* The server is killed and restarted under load. */
void sql_service_outlives_kills(const struct sql_service *service);

/* Every connection ends in the middle of what it does; some have just committed, and their service is not told. */
void sql_service_outlives_cuts(const struct sql_service *service);

/* With the database away, keys that are known go on past their interval: only an outage allows that. */
void sql_service_goes_on_while_the_server_is_down(const struct sql_service *service);

/* 64 writers want the same keys at once: one row each. */
void sql_service_stores_one_key_for_all_who_race(const struct sql_service *service);
/* The same while something is done to the servers, as soon as the first keys are there; NULL = nothing. */
void sql_service_stores_one_key_while(const struct sql_service *service, void (*deed)(void));

/* A child encrypts for a new and for an old partition and the parent decrypts, and the reverse. */
void sql_service_forks(const struct sql_service *service, bool carry);

#endif /* TESTS_SUPPORT_SQL_SERVICE_H */
