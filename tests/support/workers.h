/*
 * tests/support/workers.h - processes of a service that work until they are told to stop, and then hand their records over.
 *
 *     workers_start(workers, 4, work, &context);   // in each: work(&context, stop, to), which says that it is ready and ends with fork_leave
 *     workers_stop(workers, 4, &ledger);
 *
 * Layer: tests, in a CUnit case. Only the public API, so that integration tests can use it.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_WORKERS_H
#define TESTS_SUPPORT_WORKERS_H

#include "tests/support/fork_world.h"

struct worker {
    pid_t pid;
    int stop; /* closed when it is to stop */
    int from; /* its records */
};

/* What a process does, its whole life: ready once, then until something can be read of stop, or is at its end; records go down to. */
typedef void (*worker_fn)(const void *context, int stop, int to);

/* Tells whether a process is to stop. */
bool worker_is_told_to_stop(int stop);

/* Says down to, before any records, that the process has set up what it needs: faults may begin. */
void worker_is_ready(int to);

/* Waits until as many processes have said so to what can be read of from. False when one ended first. */
bool workers_are_ready(int from, int count);

/* Starts them, and waits until all are ready; those that do not start fail the test at once. */
void workers_start(struct worker *workers, int count, worker_fn work, const void *context);

/* Ends them all and takes their records over; those that were not well fail the test. */
void workers_stop(struct worker *workers, int count, struct fork_ledger *ledger);

#endif /* TESTS_SUPPORT_WORKERS_H */
