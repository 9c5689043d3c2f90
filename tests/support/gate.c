/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/gate.h"

void gate_shut(struct gate *gate) {
    pthread_mutex_lock(&gate->lock);
    gate->shut = true;
    pthread_mutex_unlock(&gate->lock);
}

void gate_open(struct gate *gate) {
    pthread_mutex_lock(&gate->lock);
    gate->shut = false;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

void gate_pass(struct gate *gate) {
    pthread_mutex_lock(&gate->lock);
    gate->waiting++;
    pthread_cond_broadcast(&gate->changed);
    while (gate->shut) {
        pthread_cond_wait(&gate->changed, &gate->lock);
    }
    gate->waiting--;
    pthread_mutex_unlock(&gate->lock);
}

void gate_wait_for(struct gate *gate, int waiting) {
    pthread_mutex_lock(&gate->lock);
    while (gate->waiting < waiting) {
        pthread_cond_wait(&gate->changed, &gate->lock);
    }
    pthread_mutex_unlock(&gate->lock);
}
