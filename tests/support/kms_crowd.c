/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/kms_crowd.h"

#include "tests/support/same_key.h"
#include "tests/support/soak.h"
#include "tests/support/under.h"

#include <ael/ael.h>
#include <ael/hooks.h>
#include <ael/sys/kms_backend.h>

#include <CUnit/CUnit.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FACTORIES = 8,
    THREADS = 200,
    THREADS_SOAK = 10000,
    STACK_BYTES = 256 << 10,
    COLD_CALLS = 10,
    GIVE_UP_MS = 20000,
};

/* ---- a world ---- */

static const struct kms_crowd_service *s_service;
static struct ael_secret *s_key;
static struct ael_buf s_sealed = AEL_BUF_INIT;
static struct ael_metastore *s_metastore;
static struct ael_session_factory *s_factories[FACTORIES];
static size_t s_factory_count;
static struct ael_buf s_record = AEL_BUF_INIT;
static atomic_int s_joined;
static atomic_int s_opened;

static void hear(void *context, enum ael_metric_kind kind, const char *name, int64_t value) {
    (void)context;
    (void)kind;
    (void)value;
    atomic_fetch_add(&s_joined, strcmp(name, s_service->joined) == 0 ? 1 : 0);
    atomic_fetch_add(&s_opened, strcmp(name, s_service->opened) == 0 ? 1 : 0);
}

static void world_begin(const struct kms_crowd_service *service) {
    struct ael_hooks hooks = AEL_HOOKS_INIT;
    s_service = service;
    hooks.metric = hear;
    atomic_store(&s_joined, 0);
    atomic_store(&s_opened, 0);
    CU_ASSERT_FATAL(ael_hooks_set(&hooks) == AEL_OK);
    CU_ASSERT_FATAL(ael_metastore_memory_new(&s_metastore) == AEL_OK);
    CU_ASSERT_FATAL(ael_secret_new_random(32, &s_key) == AEL_OK);
}

static void factories_end(void) {
    for (size_t i = 0; i < s_factory_count; i++) {
        ael_session_factory_free(s_factories[i]);
    }
    s_factory_count = 0;
}

static void factories_begin(size_t count) {
    struct ael_session_factory_options options = AEL_SESSION_FACTORY_OPTIONS_INIT;
    factories_end();
    options.service = "service";
    options.product = "product";
    options.kms = s_service->kms;
    options.metastore = s_metastore;
    while (s_factory_count < count) {
        CU_ASSERT_FATAL(ael_session_factory_new(&options, &s_factories[s_factory_count], NULL) == AEL_OK);
        s_factory_count++;
    }
}

static void world_end(void) {
    factories_end();
    ael_buf_clear(&s_record);
    ael_buf_clear(&s_sealed);
    ael_secret_release(s_key);
    ael_metastore_release(s_metastore);
    CU_ASSERT_EQUAL(ael_hooks_set(NULL), AEL_OK);
}

/* ---- what is done ---- */

static struct ael_call call_for(uint32_t ms) {
    struct ael_call call = AEL_CALL_INIT;
    call.deadline_ns = ael_deadline_in_ms(ms);
    return call;
}

/* AEL_OK only with the right key. */
static enum ael_status open_sealed(void) {
    struct ael_call call = call_for(KMS_CROWD_PATIENCE_MS);
    struct ael_secret *back = NULL;
    enum ael_status status = ael_kms_decrypt_key(s_service->kms, &call, ael_buf_view(&s_sealed), &back, NULL);
    if (status == AEL_OK && !same_key(s_key, back)) {
        status = AEL_E_AUTHENTICATION;
    }
    ael_secret_release(back);
    return status;
}

static enum ael_status seal_on(
    struct ael_session_factory *factory,
    const char *partition,
    const struct ael_call *call,
    struct ael_buf *out) {
    struct ael_session *session = NULL;
    enum ael_status status = ael_session_acquire(factory, partition, &session, NULL);
    if (status == AEL_OK) {
        status = ael_session_encrypt_json(session, ael_bytes_from_text("payload"), out, call, NULL);
    }
    ael_session_release(session);
    return status;
}

static enum ael_status open_record(struct ael_session_factory *factory, const struct ael_call *call) {
    struct ael_session *session = NULL;
    struct ael_buf out = AEL_BUF_INIT;
    enum ael_status status = ael_session_acquire(factory, "partition", &session, NULL);
    if (status == AEL_OK) {
        status = ael_session_decrypt_json(session, ael_buf_view(&s_record), &out, call, NULL);
    }
    if (status == AEL_OK && (out.len != 7 || memcmp(out.data, "payload", 7) != 0)) {
        status = AEL_E_AUTHENTICATION;
    }
    ael_buf_clear(&out);
    ael_session_release(session);
    return status;
}

/* ---- threads ---- */

struct crowd {
    pthread_t *threads;
    enum ael_status (*run)(int turn);
    int count;
    atomic_int begun;
    atomic_int over;
    atomic_int good;
};

static void *be_one(void *context) {
    struct crowd *crowd = context;
    int turn = atomic_fetch_add(&crowd->begun, 1);
    enum ael_status status = crowd->run(turn);
    atomic_fetch_add(&crowd->good, status == AEL_OK ? 1 : 0);
    atomic_fetch_add(&crowd->over, 1);
    return NULL;
}

static int crowd_size(void) {
    return under_valgrind() || UNDER_TSAN ? THREADS : soak_count(THREADS, THREADS_SOAK);
}

static void crowd_start(struct crowd *crowd) {
    pthread_attr_t attributes;
    int wanted = crowd_size();
    crowd->threads = calloc((size_t)wanted, sizeof *crowd->threads);
    CU_ASSERT_FATAL(crowd->threads != NULL && pthread_attr_init(&attributes) == 0);
    (void)pthread_attr_setstacksize(&attributes, UNDER_ASAN || UNDER_TSAN ? 1 << 20 : STACK_BYTES);
    while (crowd->count < wanted &&
           pthread_create(&crowd->threads[crowd->count], &attributes, be_one, crowd) == 0) {
        crowd->count++;
    }
    (void)pthread_attr_destroy(&attributes);
    CU_ASSERT_EQUAL(crowd->count, wanted);
}

/* Until all have begun and so many have joined another's call; no longer when somebody is over, or nobody joins any more. */
static void gather(struct crowd *crowd, int joined) {
    int seen = -1;
    int64_t until_ns = INT64_MAX;
    while (atomic_load(&crowd->over) == 0 && ael_deadline_in_ms(0) < until_ns) {
        int now = atomic_load(&crowd->begun) + atomic_load(&s_joined);
        if (atomic_load(&crowd->begun) == crowd->count && atomic_load(&s_joined) >= joined) {
            return;
        }
        until_ns = now != seen ? ael_deadline_in_ms(GIVE_UP_MS) : until_ns;
        seen = now;
        (void)sched_yield();
    }
}

/* All threads come while the service holds up what it is asked: so many of them join another's call; -1 = all but one. */
static void run_crowd(enum ael_status (*run)(int turn), int joined) {
    struct crowd crowd = {.run = run};
    int joined_before = atomic_load(&s_joined);
    s_service->hold();
    crowd_start(&crowd);
    joined = joined < 0 ? crowd.count - 1 : joined;
    gather(&crowd, joined_before + joined);
    s_service->let_go();
    for (int i = 0; i < crowd.count; i++) {
        (void)pthread_join(crowd.threads[i], NULL);
    }
    free(crowd.threads);
    CU_ASSERT_EQUAL(atomic_load(&crowd.good), crowd.count);
    CU_ASSERT_EQUAL(atomic_load(&s_joined), joined_before + joined);
    printf("(%d threads) ", crowd.count);
}

/* ---- equal decrypts ---- */

static enum ael_status open_on_thread(int turn) {
    (void)turn;
    return open_sealed();
}

/* see tests/support/kms_crowd.h */
void kms_crowd_decrypts_once(const struct kms_crowd_service *service) {
    world_begin(service);
    struct ael_error err = {.status = AEL_OK};
    enum ael_status status = ael_kms_encrypt_key(service->kms, NULL, s_key, &s_sealed, &err);
    if (status != AEL_OK) {
        printf("\n    %s\n", err.detail);
    }
    CU_ASSERT_EQUAL_FATAL(status, AEL_OK);
    unsigned before = service->decrypts();
    run_crowd(open_on_thread, -1);
    CU_ASSERT_EQUAL(service->decrypts() - before, 1);
    CU_ASSERT_EQUAL(open_sealed(), AEL_OK); /* later ones call again */
    CU_ASSERT_EQUAL(service->decrypts() - before, 2);
    world_end();
}

/* ---- through session factories ---- */

static enum ael_status seal_on_thread(int turn) {
    struct ael_call call = call_for(KMS_CROWD_PATIENCE_MS);
    struct ael_buf out = AEL_BUF_INIT;
    enum ael_status status = seal_on(s_factories[(size_t)turn % s_factory_count], "partition", &call, &out);
    ael_buf_clear(&out);
    return status;
}

static enum ael_status open_record_on_thread(int turn) {
    struct ael_call call = call_for(KMS_CROWD_PATIENCE_MS);
    return open_record(s_factories[(size_t)turn % s_factory_count], &call);
}

/* see tests/support/kms_crowd.h */
void kms_crowd_makes_and_loads_one_key(const struct kms_crowd_service *service) {
    world_begin(service);
    factories_begin(1);
    unsigned encrypts = service->encrypts();
    unsigned decrypts = service->decrypts();
    run_crowd(seal_on_thread, 0);
    CU_ASSERT_EQUAL(service->encrypts() - encrypts, 1);
    CU_ASSERT_EQUAL(service->decrypts() - decrypts, service->decrypts_of_encrypt);
    CU_ASSERT_EQUAL(seal_on(s_factories[0], "partition", NULL, &s_record), AEL_OK);
    factories_begin(FACTORIES); /* none of them has the key */
    decrypts = service->decrypts();
    run_crowd(open_record_on_thread, FACTORIES - 1);
    CU_ASSERT_EQUAL(service->encrypts() - encrypts, 1);
    CU_ASSERT_EQUAL(service->decrypts() - decrypts, 1);
    world_end();
}

/* ---- without the KMS ---- */

/* The first factory has its key, the second has none. */
static void use_warm(int turn) {
    struct ael_buf out = AEL_BUF_INIT;
    char partition[32];
    (void)snprintf(partition, sizeof partition, "new-%d", turn);
    CU_ASSERT_EQUAL(open_record(s_factories[0], NULL), AEL_OK);
    CU_ASSERT_EQUAL(seal_on(s_factories[0], "partition", NULL, &out), AEL_OK);
    ael_buf_clear(&out);
    CU_ASSERT_EQUAL(seal_on(s_factories[0], partition, NULL, &out), AEL_OK);
    ael_buf_clear(&out);
}

static enum ael_status use_cold(uint32_t ms, bool *in_time) {
    struct ael_call call = call_for(ms);
    enum ael_status status = open_record(s_factories[1], &call);
    *in_time = ael_deadline_in_ms(0) < call.deadline_ns;
    return status;
}

/* see tests/support/kms_crowd.h */
void kms_crowd_does_without(const struct kms_crowd_service *service) {
    bool in_time = false;
    world_begin(service);
    factories_begin(2);
    CU_ASSERT_EQUAL_FATAL(seal_on(s_factories[0], "partition", NULL, &s_record), AEL_OK);
    service->hold();
    CU_ASSERT_EQUAL(
        use_cold(50, &in_time), AEL_E_TIMEOUT); /* it does not wait for the answer, which never comes */
    use_warm(COLD_CALLS);
    service->let_go();
    service->die();
    for (int i = 0; i < COLD_CALLS; i++) {
        CU_ASSERT_EQUAL(use_cold(60000, &in_time), AEL_E_UNREACHABLE);
        CU_ASSERT(in_time);
        use_warm(i);
    }
    CU_ASSERT(atomic_load(&s_opened) >= 1);
    world_end();
}
