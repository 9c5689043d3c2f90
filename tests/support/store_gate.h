/*
 * tests/support/store_gate.h - a gate before a metastore's store, that several processes share, and the number of calls of
 * store that are behind it: begun and not answered yet.
 *
 *     store_gate_wrap(gate, &store);        // in each process, gate in memory that they share
 *     atomic_store(&gate->shut, true);      // who stores stops there from now on
 *     atomic_load(&gate->waiting)           // how many do
 *     atomic_store(&gate->shut, false);     // they go on, all at once
 *     atomic_load(&gate->in_flight)         // how many have
 *
 * Layer: tests. Only the public API, so that integration tests can use it. Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_STORE_GATE_H
#define TESTS_SUPPORT_STORE_GATE_H

#include <ael/metastore.h>

#include <stdatomic.h>
#include <stdbool.h>

struct store_gate {
    atomic_bool shut;
    atomic_int waiting;
    atomic_int in_flight;
};

/*
 * Puts a handle in *store's place that passes load, load_latest and store on, and owns what was there. A call that is over
 * waits no longer. The gate outlives the handle. False when there is no memory; *store is as it was.
 */
bool store_gate_wrap(struct store_gate *gate, struct ael_metastore **store);

#endif /* TESTS_SUPPORT_STORE_GATE_H */
