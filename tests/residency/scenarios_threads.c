/*
 * scenarios_threads.c - threads that end, are cancelled, wait; signals during encrypts, on either stack.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/residency/scenarios.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { THREADS = 8, TRIPS = 12, SIGNALS = 300, SIGNAL_STACK_BYTES = 65536 };

struct worker {
    struct world *world;
    pthread_t thread;
    size_t number;
    bool good;
};

static void *be_worker(void *context) {
    struct worker *worker = context;
    char partition[32];
    snprintf(partition, sizeof partition, "thread-%zu", worker->number % 4);
    worker->good = true;
    for (int i = 0; worker->good && i < TRIPS; i++) {
        worker->good = world_round_trip(worker->world, partition, i % 2 == 0 ? 40 : 4000);
    }
    return NULL;
}

static bool threads_ended(struct world *world) {
    struct worker workers[THREADS];
    bool good = true;
    for (size_t i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.world = world, .number = i};
        good = pthread_create(&workers[i].thread, NULL, be_worker, &workers[i]) == 0 && good;
    }
    for (size_t i = 0; good && i < THREADS; i++) {
        good = pthread_join(workers[i].thread, NULL) == 0 && workers[i].good;
    }
    return EXPECT(good) && world_stand_still(world, "after threads ended", 0);
}

/* -- cancelled -- */

static atomic_size_t g_trips;

/* One that tells nothing, for a message cut by cancellation would be half a message. */
static bool quiet_trip(struct world *world, struct ael_session *session) {
    static const uint8_t k_payload[3000] = {1};
    struct ael_record_buf record = AEL_RECORD_BUF_INIT;
    struct ael_buf plain = AEL_BUF_INIT;
    int state = 0;
    bool good =
        ael_session_encrypt(session, (struct ael_bytes){k_payload, sizeof k_payload}, &record, NULL, NULL) ==
            AEL_OK &&
        ael_session_decrypt(session, &record.record, &plain, NULL, NULL) == AEL_OK;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    good = good && world_tell_record(world, &record.record);
    atomic_fetch_add(&g_trips, 1);
    pthread_setcancelstate(state, NULL);
    ael_record_buf_clear(&record);
    ael_buf_clear(&plain);
    return good;
}

static void *be_cancelled(void *context) {
    struct world *world = context;
    struct ael_session *session = NULL;
    bool good = EXPECT_STATUS(ael_session_acquire(world->factory, "cancelled", &session, NULL), AEL_OK);
    while (good) {
        good = quiet_trip(world, session);
        pthread_testcancel();
    }
    return NULL;
}

static bool threads_cancelled(struct world *world) {
    bool good = world_round_trip(world, "cancelled", 40);
    for (size_t i = 0; good && i < THREADS; i++) {
        pthread_t thread;
        void *result = NULL;
        size_t before = atomic_load(&g_trips);
        good = pthread_create(&thread, NULL, be_cancelled, world) == 0;
        while (good && atomic_load(&g_trips) < before + i) {
            sched_yield();
        }
        good = good && pthread_cancel(thread) == 0 && pthread_join(thread, &result) == 0 &&
               result == PTHREAD_CANCELED;
    }
    return EXPECT(good) && world_stand_still(world, "after threads were cancelled", 0);
}

static pthread_barrier_t g_worked;
static pthread_barrier_t g_looked_at;

static void *be_waiting(void *context) {
    (void)be_worker(context);
    pthread_barrier_wait(&g_worked);
    pthread_barrier_wait(&g_looked_at);
    return NULL;
}

/* Threads that live on after their last call, with its frames below their own. */
static bool threads_waiting(struct world *world) {
    struct worker workers[2] = {{.world = world, .number = 1}, {.world = world, .number = 2}};
    pthread_barrier_init(&g_worked, NULL, 3);
    pthread_barrier_init(&g_looked_at, NULL, 3);
    bool good = EXPECT(
        pthread_create(&workers[0].thread, NULL, be_waiting, &workers[0]) == 0 &&
        pthread_create(&workers[1].thread, NULL, be_waiting, &workers[1]) == 0);
    if (!good) {
        return false;
    }
    pthread_barrier_wait(&g_worked);
    good = EXPECT(workers[0].good && workers[1].good) && world_stand_still(world, "while threads wait", 0);
    pthread_barrier_wait(&g_looked_at);
    return pthread_join(workers[0].thread, NULL) == 0 && pthread_join(workers[1].thread, NULL) == 0 && good;
}

/* -- signals -- */

static atomic_int g_signals;

static void count_signal(int number) {
    (void)number;
    atomic_fetch_add(&g_signals, 1);
}

static bool start_timer(timer_t *timer, int flags) {
    const struct sigaction action = {.sa_handler = count_signal, .sa_flags = SA_RESTART | flags};
    const struct itimerspec kilohertz = {{0, 1000000}, {0, 1000000}};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL};
    event.sigev_signo = SIGRTMIN;
    return sigaction(SIGRTMIN, &action, NULL) == 0 && timer_create(CLOCK_MONOTONIC, &event, timer) == 0 &&
           timer_settime(*timer, 0, &kilohertz, NULL) == 0;
}

/* What a signal finds in the registers goes to the stack with them, and stays there until that is written over. */
static bool encrypts_under_signals(struct world *world, int flags, const char *where) {
    timer_t timer;
    bool good = world_round_trips(world, 4, 1) && EXPECT(start_timer(&timer, flags));
    if (!good) {
        return false;
    }
    while (good && atomic_load(&g_signals) < SIGNALS) {
        good = world_round_trip(world, "tenant-0", 1000);
    }
    timer_delete(timer);
    return good && world_stand_still(world, where, WIRE_LOOK_MEASURE);
}

static bool signals(struct world *world) {
    return encrypts_under_signals(world, 0, "after 300 signals at 1 kHz");
}

static bool signals_on_their_stack(struct world *world) {
    static uint8_t stack[SIGNAL_STACK_BYTES];
    const stack_t ours = {.ss_sp = stack, .ss_size = sizeof stack};
    return EXPECT(sigaltstack(&ours, NULL) == 0) &&
           encrypts_under_signals(world, SA_ONSTACK, "after 300 signals at 1 kHz on a stack of their own");
}

static const struct scenario k_list[] = {
    {.name = "threads/ended", .run = threads_ended, .place = PLANT_ENDED_THREAD},
    {.name = "threads/ended_evp",
     .run = threads_ended,
     .engine = ENGINE_EVP,
     .place = PLANT_ENDED_THREAD,
     .form = PLANT_SCHEDULE},
    {.name = "threads/cancelled", .run = threads_cancelled, .place = PLANT_ENDED_THREAD},
    {.name = "threads/waiting", .run = threads_waiting, .place = PLANT_THREAD_STACK},
    {.name = "signals/at_1_khz", .run = signals, .place = PLANT_STACK},
    {.name = "signals/at_1_khz_evp", .run = signals, .engine = ENGINE_EVP, .place = PLANT_STACK},
    {.name = "signals/on_their_stack", .run = signals_on_their_stack, .place = PLANT_SIGNAL_STACK},
};

const struct scenario_table k_scenarios_threads = {k_list, sizeof k_list / sizeof k_list[0]};
