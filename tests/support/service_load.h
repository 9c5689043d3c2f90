/*
 * tests/support/service_load.h - a service at work while its database is ill-treated: processes with threads that make
 * records until they are told to stop, and after that the proof that nothing was lost.
 *
 *     service_load_start(&load, &world);                 // a world with open_store
 *     ... kill the server, cut its connections ...
 *     service_load_stop(&load, &ledger);
 *     service_load_expect_nothing_lost(&world, &ledger, "kills", 3);
 *
 * Each record is of a new partition, so that it needs a key that was stored. A worker reads its own records back at once.
 * Being told of an outage is no fault; anything else that goes wrong in a worker fails the test when it is stopped.
 *
 * Layer: tests, in a CUnit case. Only the public API, so that integration tests can use it.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_SERVICE_LOAD_H
#define TESTS_SUPPORT_SERVICE_LOAD_H

#include "tests/support/workers.h"

#include <stdatomic.h>

enum {
    SERVICE_LOAD_WORKERS = 4,
    SERVICE_LOAD_THREADS = 4, /* of a worker, at most so many of which are at the database */
    SERVICE_LOAD_ROWS = 60,   /* new keys to wait for between two faults */
};

struct service_load_count {
    _Atomic size_t made; /* records of all workers so far */
};

struct service_load {
    struct worker workers[SERVICE_LOAD_WORKERS];
    const struct fork_world *world;
    struct service_load_count *shared; /* memory of the test and its workers */
};

/* What a service may be told while its database is ill-treated: it asks again. */
bool service_load_is_outage(enum ael_status status);

/* How long a process of a service may live before SIGALRM ends it. */
unsigned service_load_watch_s(void);

/* Starts the workers, each with edges of its own. The world outlives them. */
void service_load_start(struct service_load *load, const struct fork_world *world);

/* Waits until the workers have made so many records more; false when that takes them two minutes. It asks the
 * database nothing, however many rows it has by now. */
bool service_load_wait_for_records(const struct service_load *load, size_t more);

/* Ends the workers and takes their records over; those that were not well fail the test. */
void service_load_stop(struct service_load *load, struct fork_ledger *ledger);

/* A fresh factory opens every record, of which there are as many as so many faults let through; clears the ledger. */
void service_load_expect_nothing_lost(
    const struct fork_world *world, struct fork_ledger *ledger, const char *what, int faults);

#endif /* TESTS_SUPPORT_SERVICE_LOAD_H */
