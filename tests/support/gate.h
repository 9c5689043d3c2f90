/*
 * tests/support/gate.h - holds threads at a place until a test lets them go on. No test sleeps.
 *
 *     gate_shut(&gate);              // threads stop in gate_pass from now on
 *     gate_wait_for(&gate, 3);       // until three stand there
 *     gate_open(&gate);
 *
 * Layer: tests. Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_GATE_H
#define TESTS_SUPPORT_GATE_H

#include <pthread.h>
#include <stdbool.h>

struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool shut;
    int waiting;
};

#define GATE_INIT {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0}

void gate_shut(struct gate *gate);
void gate_open(struct gate *gate);
/* Goes through, or waits while the gate is shut. */
void gate_pass(struct gate *gate);
/* Waits until so many threads stand at the gate. */
void gate_wait_for(struct gate *gate, int waiting);

#endif /* TESTS_SUPPORT_GATE_H */
