/*
 * test_try_threads.c - event loops in several threads, each with tries of many partitions under way, some of them given
 * up, beside calls that wait, batches and forks; and a factory that is freed in the middle of it.
 *
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/support/child.h"
#include "tests/support/soak.h"
#include "tests/support/suite.h"
#include "tests/support/under.h"

#include <ael/memory.h>
#include <ael/session_batch.h>
#include <ael/session_try.h>

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { LOOPS = 3, REQUESTS = 8, PARTITIONS = 24, FORKS = 5, PATIENCE_MS = 60000 };

static const char k_text[] = "a request";

static struct ael_session_factory_options g_edges; /* outlive a fork, unlike those of the fixture */
static struct ael_session_factory *g_factory;
static struct ael_session *g_sessions[PARTITIONS];
static atomic_uint g_wrong;
static atomic_uint g_done;
static atomic_bool g_stop;
static atomic_bool g_warms; /* not where the factory is freed meanwhile: its handle is the caller's to guard */

static void expect(bool good, int line) {
    if (!good) {
        printf("\n  line %d", line);
        atomic_fetch_add(&g_wrong, 1);
    }
}
#define EXPECT(good) expect((good), __LINE__)

/* One try after the other, until it is done. */
struct request {
    struct ael_wait *wait;
    struct ael_session *session;
    struct ael_record_buf record;
};

struct loop {
    struct ael_wait_queue *queue;
    struct request requests[REQUESTS];
    unsigned random;
    size_t rounds;
    pthread_t thread;
};

static unsigned draw(struct loop *loop) {
    loop->random = loop->random * 1664525u + 1013904223u;
    return loop->random >> 16;
}

static struct ael_wait *wait_for(struct loop *loop, struct request *request) {
    struct ael_wait_options options = AEL_WAIT_OPTIONS_INIT;
    struct ael_wait *wait = NULL;
    options.queue = loop->queue;
    options.context = request;
    EXPECT(ael_wait_new(&options, &wait) == AEL_OK);
    return wait;
}

static void finish(struct request *request) {
    struct ael_buf plain = AEL_BUF_INIT;
    enum ael_status status = ael_session_decrypt(request->session, &request->record.record, &plain, NULL, NULL);
    EXPECT(status == AEL_OK || status == AEL_E_CLOSED);
    EXPECT(status != AEL_OK || (plain.len == strlen(k_text) && memcmp(plain.data, k_text, plain.len) == 0));
    ael_buf_clear(&plain);
    atomic_fetch_add(&g_done, 1);
}

/* Goes on with a request, and with the next when it is done; stops where it has to wait. */
static void go_on(struct loop *loop, struct request *request) {
    enum ael_status status = AEL_OK;
    for (int i = 0; i < 4 && status != AEL_E_WOULD_BLOCK; i++) {
        status = ael_session_try_encrypt(
            request->session, ael_bytes_from_text(k_text), &request->record, NULL, request->wait, NULL);
        EXPECT(status == AEL_OK || status == AEL_E_WOULD_BLOCK || status == AEL_E_CLOSED);
        if (status == AEL_OK) {
            finish(request);
            request->session = g_sessions[draw(loop) % PARTITIONS];
        }
    }
}

/* Some are given up while they wait. */
static void give_up(struct loop *loop) {
    struct request *request = &loop->requests[draw(loop) % REQUESTS];
    ael_wait_free(request->wait);
    request->wait = wait_for(loop, request);
    request->session = g_sessions[draw(loop) % PARTITIONS];
    go_on(loop, request);
}

static void serve(struct loop *loop) {
    void *context = NULL;
    enum ael_status status = AEL_OK;
    while (ael_wait_queue_next(loop->queue, NULL, &context, &status)) {
        EXPECT(status == AEL_OK || status == AEL_E_CLOSED);
        go_on(loop, context);
    }
}

static void *be_loop(void *context) {
    struct loop *loop = context;
    EXPECT(ael_wait_queue_new(&loop->queue) == AEL_OK);
    for (size_t i = 0; i < REQUESTS; i++) {
        struct request *request = &loop->requests[i];
        *request = (struct request){
            wait_for(loop, request), g_sessions[draw(loop) % PARTITIONS], AEL_RECORD_BUF_INIT};
        go_on(loop, request);
    }
    for (size_t i = 0; i < loop->rounds && !atomic_load(&g_stop); i++) {
        struct pollfd fd = {.fd = ael_wait_queue_fd(loop->queue), .events = POLLIN};
        (void)poll(&fd, 1, 1);
        serve(loop);
        if (i % 5 == 0) {
            give_up(loop);
        }
    }
    for (size_t i = 0; i < REQUESTS; i++) {
        ael_wait_free(loop->requests[i].wait);
        ael_record_buf_clear(&loop->requests[i].record);
    }
    ael_wait_queue_free(loop->queue);
    return NULL;
}

static void warm_some(struct loop *loop) {
    char names[2][16];
    struct ael_warm_item items[2];
    for (size_t i = 0; i < 2; i++) {
        snprintf(names[i], sizeof names[i], "part%u", draw(loop) % PARTITIONS);
        items[i] = (struct ael_warm_item){ael_bytes_from_text(names[i]), AEL_E_BUSY};
    }
    EXPECT(ael_session_factory_warm(g_factory, items, 2, NULL, NULL) == AEL_OK);
    EXPECT(items[0].status == AEL_OK && items[1].status == AEL_OK);
}

static void *be_waiter(void *context) {
    struct loop *loop = context;
    while (!atomic_load(&g_stop)) {
        if (atomic_load(&g_warms)) {
            warm_some(loop);
        }
        struct ael_record_buf records[4];
        struct ael_encrypt_item items[4];
        for (size_t i = 0; i < 4; i++) {
            records[i] = (struct ael_record_buf)AEL_RECORD_BUF_INIT;
            items[i] = (struct ael_encrypt_item){
                g_sessions[draw(loop) % PARTITIONS], ael_bytes_from_text(k_text), &records[i], AEL_OK};
        }
        enum ael_status status = ael_batch_encrypt(items, 4, NULL, NULL);
        EXPECT(status == AEL_OK || status == AEL_E_CLOSED);
        for (size_t i = 0; i < 4; i++) {
            EXPECT(items[i].status == status || items[i].status == AEL_OK);
            ael_record_buf_clear(&records[i]);
        }
    }
    return NULL;
}

static void make_factory(void) {
    struct ael_policy policy = AEL_POLICY_INIT;
    uint8_t key[32];
    memset(key, 7, sizeof key);
    policy.revoke_check_interval_s = 0; /* each one is loaded */
    policy.background_loads = 3;
    g_edges = (struct ael_session_factory_options)AEL_SESSION_FACTORY_OPTIONS_INIT;
    g_edges.service = "service";
    g_edges.product = "product";
    g_edges.policy = &policy;
    CU_ASSERT_EQUAL_FATAL(ael_kms_static_from_bytes(key, sizeof key, &g_edges.kms, NULL), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_metastore_memory_new(&g_edges.metastore), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_session_factory_new(&g_edges, &g_factory, NULL), AEL_OK);
}

static void begin(void) {
    make_factory();
    for (size_t i = 0; i < PARTITIONS; i++) {
        char name[16];
        snprintf(name, sizeof name, "part%zu", i);
        CU_ASSERT_EQUAL_FATAL(ael_session_acquire(g_factory, name, &g_sessions[i], NULL), AEL_OK);
    }
    atomic_store(&g_wrong, 0);
    atomic_store(&g_done, 0);
    atomic_store(&g_stop, false);
    atomic_store(&g_warms, true);
}

static void end(void) {
    for (size_t i = 0; i < PARTITIONS; i++) {
        ael_session_release(g_sessions[i]);
    }
    ael_session_factory_free(g_factory);
    ael_metastore_release(g_edges.metastore);
    ael_kms_release(g_edges.kms);
    CU_ASSERT_EQUAL(atomic_load(&g_wrong), 0);
    CU_ASSERT_EQUAL(ael_shutdown(PATIENCE_MS), AEL_OK);
}

static void start(struct loop *loops, struct loop *waiter, size_t rounds) {
    for (size_t i = 0; i < LOOPS; i++) {
        loops[i] = (struct loop){.random = (unsigned)i * 7919u + 1, .rounds = rounds};
        CU_ASSERT_EQUAL_FATAL(pthread_create(&loops[i].thread, NULL, be_loop, &loops[i]), 0);
    }
    *waiter = (struct loop){.random = 4711};
    CU_ASSERT_EQUAL_FATAL(pthread_create(&waiter->thread, NULL, be_waiter, waiter), 0);
}

static void join(const struct loop *loops, const struct loop *waiter) {
    for (size_t i = 0; i < LOOPS; i++) {
        pthread_join(loops[i].thread, NULL);
    }
    atomic_store(&g_stop, true);
    pthread_join(waiter->thread, NULL);
}

static void test_tries__come_through_beside_calls_that_wait(void) {
    struct loop loops[LOOPS];
    struct loop waiter;
    begin();
    start(loops, &waiter, (size_t)soak_count(150, 20000));
    join(loops, &waiter);
    CU_ASSERT_TRUE(atomic_load(&g_done) > 0);
    end();
}

/* While its calls are under way; whoever comes later is told. */
static void test_tries__end_when_the_factory_is_freed(void) {
    for (int i = 0; i < soak_count(5, 500); i++) {
        struct loop loops[LOOPS];
        struct loop waiter;
        begin();
        atomic_store(&g_warms, false);
        start(loops, &waiter, SIZE_MAX);
        while (atomic_load(&g_done) < 20 + (unsigned)i) {
            sched_yield();
        }
        ael_session_factory_free(g_factory);
        g_factory = NULL;
        atomic_store(&g_stop, true);
        join(loops, &waiter);
        end();
    }
}

/* A loop of its own in the child, on the sessions of before, while the parent's threads go on in theirs. */
static int in_child(void) {
    struct loop loop = {.random = 99, .rounds = 10};
    atomic_store(&g_wrong, 0);
    atomic_store(&g_done, 0);
    (void)be_loop(&loop);
    ael_session_factory_free(g_factory);
    return atomic_load(&g_wrong) == 0 ? 0 : 1;
}

/* ThreadSanitizer starts no threads in such a child, AddressSanitizer's allocator may be locked there for ever, and to
 * valgrind what calls of the parent's other threads had allocated is lost there. */
static void test_tries__go_on_in_children(void) {
    int forks = UNDER_TSAN || UNDER_ASAN || under_valgrind() ? 0 : soak_count(FORKS, 500);
    struct loop loops[LOOPS];
    struct loop waiter;
    begin();
    start(loops, &waiter, SIZE_MAX);
    for (int i = 0; i < forks; i++) {
        while (atomic_load(&g_done) < 5 * ((unsigned)i + 1)) {
            sched_yield();
        }
        CU_ASSERT_EQUAL(child_run(in_child), 0);
    }
    atomic_store(&g_stop, true);
    join(loops, &waiter);
    end();
}

static const struct test_case k_cases[] = {
    {"tries come through beside calls that wait", test_tries__come_through_beside_calls_that_wait},
    {"tries end when the factory is freed", test_tries__end_when_the_factory_is_freed},
    {"tries go on in children", test_tries__go_on_in_children},
};

TEST_SUITE_MAIN("try_threads", k_cases)
