/*
 * scenarios_threads.c - threads that end, are cancelled, wait; signals during encrypts, on either stack.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/residency/scenarios.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { THREADS = 8, TRIPS = 12, SIGNALS = 300, SIGNAL_STACK_BYTES = 65536 };
enum { MILLISECOND_NS = 1000000, LONG_PAYLOAD = 4 << 20 };

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
static bool quiet_trip(struct world *world, struct ael_session *session, struct ael_bytes payload) {
    struct ael_record_buf record = AEL_RECORD_BUF_INIT;
    struct ael_buf plain = AEL_BUF_INIT;
    int state = 0;
    bool good = ael_session_encrypt(session, payload, &record, NULL, NULL) == AEL_OK &&
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
    static const uint8_t k_payload[50000] = {1};
    struct world *world = context;
    struct ael_session *session = NULL;
    bool good = EXPECT_STATUS(ael_session_acquire(world->factory, "cancelled", &session, NULL), AEL_OK);
    while (good) {
        good = quiet_trip(world, session, (struct ael_bytes){k_payload, sizeof k_payload});
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

static bool start_timer(timer_t *timer, int flags, int64_t first_ns, int64_t interval_ns) {
    const struct sigaction action = {.sa_handler = count_signal, .sa_flags = SA_RESTART | flags};
    const struct itimerspec when = {{0, interval_ns}, {0, first_ns}};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL};
    event.sigev_signo = SIGRTMIN;
    return sigaction(SIGRTMIN, &action, NULL) == 0 && timer_create(CLOCK_MONOTONIC, &event, timer) == 0 &&
           timer_settime(*timer, 0, &when, NULL) == 0;
}

/* As a profiler does: what one leaves on the stack the next calls write over. Long payloads, for fewer keys to seek. */
static bool encrypts_at_1_khz(struct world *world) {
    timer_t timer;
    struct ael_session *session = NULL;
    uint8_t *payload = calloc(1, LONG_PAYLOAD);
    bool good = EXPECT(payload != NULL) &&
                EXPECT_STATUS(ael_session_acquire(world->factory, "tenant-0", &session, NULL), AEL_OK) &&
                EXPECT(start_timer(&timer, 0, MILLISECOND_NS, MILLISECOND_NS));
    if (!good) {
        return false;
    }
    while (good && atomic_load(&g_signals) < SIGNALS) {
        good = EXPECT(quiet_trip(world, session, (struct ael_bytes){payload, LONG_PAYLOAD / 4}));
    }
    timer_delete(timer);
    good = good && world_stand_still(world, "after 300 signals at 1 kHz", WIRE_LOOK_MEASURE);
    ael_session_release(session);
    free(payload);
    return good;
}

/* -- a thread's stack as the last call left it -- */

struct last_call {
    size_t len; /* of the payload */
    bool decrypts;
    bool interrupted; /* by a signal while the cipher runs */
    int flags;        /* of the signal's action */
    int times;
    struct world *world;
    struct ael_session *session;
    uint8_t *payload;
    struct ael_record_buf record;
    struct ael_buf plain;
    pthread_barrier_t called;
    pthread_barrier_t looked_at;
    int met; /* calls that met their signal */
    bool good;
};

/* Tells the record and has the process looked at from a stack of its own: the caller's stays as it was left. */
static void *be_teller(void *context) {
    struct last_call *call = context;
    bool measured = call->interrupted && !call->world->scenario->block_signals;
    unsigned look = measured ? WIRE_LOOK_MEASURE : 0;
    for (int i = 0; i < call->times; i++) {
        pthread_barrier_wait(&call->called);
        call->good = call->good && world_tell_record(call->world, &call->record.record) &&
                     world_stand_still(call->world, "after the last call", look);
        pthread_barrier_wait(&call->looked_at);
    }
    return NULL;
}

static bool do_call(struct last_call *call) {
    struct ael_bytes payload = {call->payload, call->len};
    return ael_session_encrypt(call->session, payload, &call->record, NULL, NULL) == AEL_OK &&
           (!call->decrypts ||
            ael_session_decrypt(call->session, &call->record.record, &call->plain, NULL, NULL) == AEL_OK);
}

static void call_and_wait(struct last_call *call, int turn) {
    timer_t timer;
    int before = atomic_load(&g_signals);
    call->good = call->good &&
                 (!call->interrupted || EXPECT(start_timer(&timer, call->flags, 200000 + turn * 7919, 0)));
    call->good = call->good && EXPECT(do_call(call));
    call->met += atomic_load(&g_signals) > before;
    pthread_barrier_wait(&call->called);
    pthread_barrier_wait(&call->looked_at);
    if (call->interrupted) {
        timer_delete(timer);
    }
}

static bool start_call(struct last_call *call, pthread_t *teller) {
    call->payload = calloc(1, call->len);
    call->good = true;
    pthread_barrier_init(&call->called, NULL, 2);
    pthread_barrier_init(&call->looked_at, NULL, 2);
    return EXPECT(call->payload != NULL) && world_round_trips(call->world, 4, 1) &&
           EXPECT_STATUS(
               ael_session_acquire(call->world->factory, "tenant-0", &call->session, NULL), AEL_OK) &&
           EXPECT(pthread_create(teller, NULL, be_teller, call) == 0);
}

static bool look_after_calls(struct world *world, const struct last_call *what) {
    static struct last_call call;
    pthread_t teller;
    call = *what;
    call.world = world;
    call.record = (struct ael_record_buf)AEL_RECORD_BUF_INIT;
    call.plain = (struct ael_buf)AEL_BUF_INIT;
    if (!start_call(&call, &teller)) {
        return false;
    }
    for (int i = 0; i < call.times; i++) {
        call_and_wait(&call, i);
    }
    pthread_join(teller, NULL);
    ael_record_buf_clear(&call.record);
    ael_buf_clear(&call.plain);
    ael_session_release(call.session);
    free(call.payload);
    if (call.interrupted) {
        printf("\n    %d of %d encrypts met a signal ", call.met, call.times);
        fflush(stdout);
    }
    return call.good && EXPECT(!call.interrupted || call.met > 0);
}

static bool after_encrypt(struct world *world) {
    const struct last_call call = {.len = 100, .times = 3};
    return look_after_calls(world, &call);
}

static bool after_long_encrypt(struct world *world) {
    const struct last_call call = {.len = 100000, .times = 3};
    return look_after_calls(world, &call);
}

static bool after_decrypt(struct world *world) {
    const struct last_call call = {.len = 100, .decrypts = true, .times = 3};
    return look_after_calls(world, &call);
}

static bool after_long_decrypt(struct world *world) {
    const struct last_call call = {.len = 100000, .decrypts = true, .times = 3};
    return look_after_calls(world, &call);
}

static bool signals_in_calls(struct world *world) {
    const struct last_call call = {.len = LONG_PAYLOAD, .interrupted = true, .times = 10};
    return look_after_calls(world, &call);
}

static bool signals_on_their_stack(struct world *world) {
    static uint8_t stack[SIGNAL_STACK_BYTES];
    const stack_t ours = {.ss_sp = stack, .ss_size = sizeof stack};
    const struct last_call call = {
        .len = LONG_PAYLOAD, .interrupted = true, .flags = SA_ONSTACK, .times = 10};
    return EXPECT(sigaltstack(&ours, NULL) == 0) && look_after_calls(world, &call);
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
    {.name = "stack/encrypt", .run = after_encrypt, .place = PLANT_THREAD_STACK},
    {.name = "stack/encrypt_long",
     .run = after_long_encrypt,
     .place = PLANT_THREAD_STACK,
     .form = PLANT_SCHEDULE},
    {.name = "stack/encrypt_evp", .run = after_encrypt, .engine = ENGINE_EVP, .place = PLANT_THREAD_STACK},
    {.name = "stack/decrypt", .run = after_decrypt, .place = PLANT_THREAD_STACK, .form = PLANT_HASH_SQUARE},
    {.name = "stack/decrypt_long", .run = after_long_decrypt, .place = PLANT_THREAD_STACK},
    {.name = "stack/decrypt_evp", .run = after_decrypt, .engine = ENGINE_EVP, .place = PLANT_THREAD_STACK},
    {.name = "stack/encrypt_libsodium",
     .run = after_encrypt,
     .engine = ENGINE_LIBSODIUM,
     .place = PLANT_THREAD_STACK},
    {.name = "stack/decrypt_libsodium",
     .run = after_decrypt,
     .engine = ENGINE_LIBSODIUM,
     .place = PLANT_THREAD_STACK},
    {.name = "stack/encrypt_ipsec_mb_avx2",
     .run = after_encrypt,
     .engine = ENGINE_IPSEC_MB_AVX2,
     .place = PLANT_THREAD_STACK},
    {.name = "stack/decrypt_ipsec_mb_avx2",
     .run = after_decrypt,
     .engine = ENGINE_IPSEC_MB_AVX2,
     .place = PLANT_THREAD_STACK},
    {.name = "stack/encrypt_ipsec_mb_avx512",
     .run = after_encrypt,
     .engine = ENGINE_IPSEC_MB_AVX512,
     .place = PLANT_THREAD_STACK},
    {.name = "stack/decrypt_ipsec_mb_avx512",
     .run = after_decrypt,
     .engine = ENGINE_IPSEC_MB_AVX512,
     .place = PLANT_THREAD_STACK},
    {.name = "stack/encrypt_long_evp",
     .run = after_long_encrypt,
     .engine = ENGINE_EVP,
     .place = PLANT_THREAD_STACK},
    {.name = "stack/decrypt_long_evp",
     .run = after_long_decrypt,
     .engine = ENGINE_EVP,
     .place = PLANT_THREAD_STACK},
    {.name = "stack/decrypt_strict",
     .run = after_decrypt,
     .key_level = AEL_PROTECTION_STRICT,
     .place = PLANT_THREAD_STACK},
    {.name = "signals/at_1_khz", .run = encrypts_at_1_khz, .place = PLANT_STACK},
    {.name = "signals/in_a_call", .run = signals_in_calls, .place = PLANT_HEAP},
    {.name = "signals/in_a_call_evp", .run = signals_in_calls, .engine = ENGINE_EVP, .place = PLANT_HEAP},
    {.name = "signals/on_their_stack", .run = signals_on_their_stack, .place = PLANT_SIGNAL_STACK},
    {.name = "signals/blocked", .run = signals_in_calls, .block_signals = true, .place = PLANT_HEAP},
    {.name = "signals/blocked_on_their_stack",
     .run = signals_on_their_stack,
     .block_signals = true,
     .place = PLANT_SIGNAL_STACK},
};

const struct scenario_table k_scenarios_threads = {k_list, sizeof k_list / sizeof k_list[0]};
