/*
 * tests/support/chaos_load.h - four processes at work while one fault after another is done to their database, with counts
 * of each fault, and after that the proof that nothing was lost.
 *
 *     chaos_load_start(&load, &world, &options);
 *     chaos_load_gather(&load, CHAOS_CUT);          // what is counted from here on is that fault's; stores wait
 *     ... delay all answers ...
 *     chaos_load_release(&load);                    // they are on their way, without an answer
 *     ... cut, wait, heal ...
 *     chaos_load_expect_recovery(&load);
 *     chaos_load_stop(&load, &ledger);
 *     chaos_load_expect_nothing_lost(&load, &world, &ledger, "PostgreSQL");
 *
 * Cold threads make records of new partitions, whose keys must be stored, and then some more with the same key, which must
 * not fail whatever happens to the database. Being told of an outage is no fault; they ask again for the same partition.
 * A warm thread in each process uses one key that is checked every second, and serves for max_stale when it cannot be.
 *
 * Layer: tests, in a CUnit case. Only the public API, so that integration tests can use it.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_CHAOS_LOAD_H
#define TESTS_SUPPORT_CHAOS_LOAD_H

#include "tests/support/store_gate.h"
#include "tests/support/workers.h"

#include <stdatomic.h>

enum {
    CHAOS_WORKERS = 4,  /* processes */
    CHAOS_THREADS = 16, /* that ask for new keys, in each */
    CHAOS_RECORDS_A_KEY = 10,
    CHAOS_STORES = 50, /* that are under way when a fault begins, at least */
};

enum chaos_fault {
    CHAOS_NONE,
    CHAOS_CUT,
    CHAOS_SLOW,
    CHAOS_RESET,
    CHAOS_TRUNCATED,
    CHAOS_PAUSED,
    CHAOS_KILLED,
    CHAOS_POOL,
    CHAOS_CLOCK,
    CHAOS_FAULTS,
};

/* Of one fault. */
struct chaos_counts {
    atomic_uint keys;
    atomic_uint records; /* acknowledged, those of warm threads included */
    atomic_uint refused; /* calls that were told of an outage */
    atomic_uint warm;    /* records of warm threads */
    atomic_uint warm_failed;
    atomic_uint stores; /* that were under way when the fault began */
};

/* In memory that all processes share. */
struct chaos_shared {
    atomic_int fault; /* enum chaos_fault */
    atomic_uint keys;
    atomic_uint keys_wanted; /* no new ones are begun above this */
    atomic_int warm;         /* processes whose warm thread has its key */
    struct store_gate gate;
    struct chaos_counts counts[CHAOS_FAULTS];
};

struct chaos_options {
    unsigned deadline_ms; /* of each call for a new key while no stores are gathered; 0 = the library's */
};

struct chaos_load {
    struct chaos_shared *shared;
    struct chaos_options options;
    struct worker workers[CHAOS_WORKERS];
};

/* How many new keys each fault waits for afterwards. */
unsigned chaos_load_keys(void);

/* Starts the workers, each with edges of its own; the world has an open_store. Makes keys until the first fault. */
void chaos_load_start(
    struct chaos_load *load, const struct fork_world *world, const struct chaos_options *options);

/*
 * Lets the workers make keys as fast as they can, some hundreds at most, and holds each where it is about to store one;
 * returns when there are CHAOS_STORES.
 */
void chaos_load_gather(struct chaos_load *load, enum chaos_fault fault);

/* Lets them store. Tells whether CHAOS_STORES were under way at once: so they are where no answer has come since. */
bool chaos_load_release(struct chaos_load *load);

/* Waits for so many new keys from here on: the service works. Then the workers make no more. */
void chaos_load_expect_recovery(struct chaos_load *load);

/* Ends the workers and takes their records over; those that were not well fail the test. */
void chaos_load_stop(struct chaos_load *load, struct fork_ledger *ledger);

/*
 * A fresh factory opens every record; prints a line for each fault, which began with CHAOS_STORES at least; clears the
 * ledger and the load.
 */
void chaos_load_expect_nothing_lost(
    struct chaos_load *load, const struct fork_world *world, struct fork_ledger *ledger, const char *backend);

#endif /* TESTS_SUPPORT_CHAOS_LOAD_H */
