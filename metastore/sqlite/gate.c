/* SPDX-License-Identifier: Apache-2.0 */
#include "metastore/sqlite/gate.h"

#include <pthread.h>
#include <stdbool.h>
#include <time.h>

enum { FORK_WAIT_S = 5 };

static pthread_once_t s_once = PTHREAD_ONCE_INIT;
static pthread_mutex_t s_mutex = PTHREAD_MUTEX_INITIALIZER; /* guards what follows */
static pthread_cond_t s_changed = PTHREAD_COND_INITIALIZER;
static unsigned s_inside;
static unsigned
    s_forks; /* under way: of several threads there may be as many, one after the other or at once */

static _Thread_local bool t_forks;

/* Waits for those inside, but not for ever: the forking thread may be one of them. */
static void before_fork(void) {
    struct timespec until = {0};
    int over = 0;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += FORK_WAIT_S;
    (void)pthread_mutex_lock(&s_mutex);
    s_forks++;
    t_forks = true;
    while (s_inside > 0 && over == 0) {
        over = pthread_cond_timedwait(&s_changed, &s_mutex, &until);
    }
    (void)pthread_mutex_unlock(&s_mutex);
}

static void after_fork_in_parent(void) {
    t_forks = false;
    (void)pthread_mutex_lock(&s_mutex);
    s_forks--;
    (void)pthread_cond_broadcast(&s_changed);
    (void)pthread_mutex_unlock(&s_mutex);
}

/* Threads of the parent may have held the mutex, or waited; they are not here. */
static void after_fork_in_child(void) {
    (void)pthread_mutex_init(&s_mutex, NULL);
    (void)pthread_cond_init(&s_changed, NULL);
    t_forks = false;
    s_forks = 0;
    s_inside = 0;
}

static void watch_forks(void) {
    (void)pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

/* see metastore/sqlite/gate.h */
void ael_sqlite_gate_enter(void) {
    (void)pthread_once(&s_once, watch_forks);
    (void)pthread_mutex_lock(&s_mutex);
    while (s_forks > 0 && !t_forks) {
        (void)pthread_cond_wait(&s_changed, &s_mutex);
    }
    s_inside++;
    (void)pthread_mutex_unlock(&s_mutex);
}

/* see metastore/sqlite/gate.h */
void ael_sqlite_gate_leave(void) {
    (void)pthread_mutex_lock(&s_mutex);
    if (s_inside > 0) { /* a child forgets that the forking thread was inside */
        s_inside--;
    }
    (void)pthread_cond_broadcast(&s_changed);
    (void)pthread_mutex_unlock(&s_mutex);
}
