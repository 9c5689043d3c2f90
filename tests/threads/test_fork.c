/*
 * test_fork.c - fork while other threads are anywhere in the library: the child hangs nowhere.
 *
 * A thread is stopped inside the library, in an allocation or in the host's own hook, by a gate; the child, in
 * which that thread does not exist, then does everything. A child that hangs is killed, and so the test fails.
 *
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/alloc.h"
#include "base/hooks.h"
#include "metastore/metric_names.h"
#include "securememory/random.h"
#include "tests/support/child.h"
#include "tests/support/gate.h"
#include "tests/support/interpose_asan.h"
#include "tests/support/soak.h"
#include "tests/support/suite.h"
#include "tests/support/under.h"

#include <ael/hooks.h>
#include <ael/memory.h>
#include <ael/secret.h>
#include <ael/sys/kms_backend.h>

#include <openssl/crypto.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum { LEN = 32, CHILD_SECONDS = 60, NAMES = 4, OPEN_LATER_MS = 200 };

/* What went wrong in threads. */
static atomic_uint g_wrong;

static void expect(bool good) {
    if (!good) {
        atomic_fetch_add(&g_wrong, 1);
    }
}

/* -- what threads and children do -- */

static enum ael_status refuse_to_encrypt(
    void *self,
    const struct ael_call *call,
    struct ael_secret *key,
    struct ael_buf *encrypted,
    struct ael_error *err) {
    (void)self;
    (void)call;
    (void)key;
    (void)encrypted;
    (void)err;
    return AEL_E_KMS;
}

static enum ael_status refuse_to_decrypt(
    void *self,
    const struct ael_call *call,
    struct ael_bytes encrypted,
    struct ael_secret **key,
    struct ael_error *err) {
    (void)self;
    (void)call;
    (void)encrypted;
    (void)key;
    (void)err;
    return AEL_E_KMS;
}

static bool make_kms(const char *name) {
    struct ael_kms_vtable table = {
        .vt_size = sizeof table,
        .contract = AEL_KMS_CONTRACT,
        .name = name,
        .encrypt_key = refuse_to_encrypt,
        .decrypt_key = refuse_to_decrypt,
    };
    struct ael_kms *kms = NULL;
    bool good = ael_kms_new(&table, NULL, &kms) == AEL_OK;
    ael_kms_release(kms);
    return good;
}

static bool use_secret(void) {
    uint8_t source[LEN] = {'s'};
    struct ael_secret *secret = NULL;
    struct ael_secret_access access;
    if (ael_secret_new(source, sizeof source, &secret) != AEL_OK) {
        return false;
    }
    bool good = ael_secret_access_begin(secret, &access) == AEL_OK && access.bytes.data[0] == 's' &&
                ael_secret_access_end(&access) == AEL_OK;
    ael_secret_release(secret);
    return good;
}

static void log_and_count(void) {
    ael_log(AEL_LOG_ERROR, "test", "a line");
    ael_metric_count("test.count", 1);
    ael_metric_timer("test.timer", ael_metric_start());
}

static atomic_int g_heard;

static void hear_log(void *context, enum ael_log_level level, const char *component, const char *message) {
    (void)context;
    (void)level;
    (void)component;
    (void)message;
    atomic_fetch_add(&g_heard, 1);
}

static void hear_metric(void *context, enum ael_metric_kind kind, const char *name, int64_t value) {
    (void)context;
    (void)kind;
    (void)name;
    (void)value;
    atomic_fetch_add(&g_heard, 1);
}

static bool listen_with(struct ael_hooks hooks) {
    return ael_hooks_set(&hooks) == AEL_OK;
}

static bool listen_now(void) {
    struct ael_hooks hooks = AEL_HOOKS_INIT;
    hooks.log = hear_log;
    hooks.metric = hear_metric;
    return listen_with(hooks);
}

/* ThreadSanitizer ends the child of several threads that starts one of its own; at `strict` the library has none. */
static bool set_up(void) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    options.key_level = AEL_PROTECTION_STRICT;
    return !UNDER_TSAN || ael_memory_configure(&options, NULL) == AEL_OK;
}

/* Everything, in the order in which a service would: the first thing that does not work is the result. */
static int do_everything(void) {
    (void)alarm(CHILD_SECONDS);
    ael_alloc_set_fault(NULL, NULL);
    if (!listen_now()) {
        return 1;
    }
    log_and_count();
    if (!make_kms("fork-old") || !make_kms("fork-of-the-child")) {
        return 2;
    }
    if (ael_metastore_metric_names_get("fork-old") == NULL ||
        ael_metastore_metric_names_get("fork-of-the-child") == NULL) {
        return 3;
    }
    uint8_t bytes[LEN];
    if (!set_up() || !use_secret() || ael_random_fill(bytes, sizeof bytes) != AEL_OK) {
        return 4;
    }
    if (ael_shutdown(0) != AEL_OK || !set_up() || !use_secret() || ael_shutdown(0) != AEL_OK) {
        return 5;
    }
    return atomic_load(&g_heard) > 3 ? 0 : 6;
}

/*
 * What a thread held that does not exist in the child is lost there, which a leak check at exit would report; so a
 * child in which everything went well ends without one.
 */
static int do_everything_and_vanish(void) {
    int wrong = do_everything();
    return wrong != 0 ? wrong : raise(SIGKILL);
}

static void check_child(void) {
    CU_ASSERT_EQUAL(child_run(do_everything_and_vanish), CHILD_KILLED + SIGKILL);
}

/* -- a thread that stands still inside -- */

static struct gate g_gate = GATE_INIT;
static pthread_t g_stopped;

static int stop_in_allocation(void *context) {
    (void)context;
    if (pthread_equal(pthread_self(), g_stopped)) {
        gate_pass(&g_gate);
    }
    return 0;
}

static void stop_in_log(void *context, enum ael_log_level level, const char *component, const char *message) {
    hear_log(context, level, component, message);
    gate_pass(&g_gate);
}

static void stop_in_metric(void *context, enum ael_metric_kind kind, const char *name, int64_t value) {
    hear_metric(context, kind, name, value);
    gate_pass(&g_gate);
}

struct actor {
    struct gate start;
    void (*act)(void);
};

static void *wait_and_act(void *context) {
    struct actor *actor = context;
    gate_pass(&actor->start);
    actor->act();
    return NULL;
}

/* Forks while a thread stands still in act, at whatever passes the gate there. */
static void fork_during(void (*act)(void)) {
    struct actor actor = {GATE_INIT, act};
    gate_shut(&actor.start);
    gate_shut(&g_gate);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&g_stopped, NULL, wait_and_act, &actor), 0);
    gate_open(&actor.start);
    gate_wait_for(&g_gate, 1);
    check_child();
    gate_open(&g_gate);
    (void)pthread_join(g_stopped, NULL);
    CU_ASSERT_EQUAL(atomic_load(&g_wrong), 0);
    check_child();
}

static void fork_during_allocation_of(void (*act)(void)) {
    CU_ASSERT_TRUE(use_secret());
    CU_ASSERT_TRUE(make_kms("fork-old"));
    ael_alloc_set_fault(stop_in_allocation, NULL);
    fork_during(act);
    ael_alloc_set_fault(NULL, NULL);
    CU_ASSERT_TRUE(use_secret());
}

static void make_new_kms(void) {
    expect(make_kms("fork-new"));
}

static void make_new_names(void) {
    expect(ael_metastore_metric_names_get("fork-new") != NULL);
}

static void set_new_hooks(void) {
    struct ael_hooks hooks = AEL_HOOKS_INIT;
    hooks.log = hear_log;
    expect(listen_with(hooks));
}

static void make_secret(void) {
    expect(use_secret());
}

static void test_fork__while_a_kms_handle_is_made(void) {
    fork_during_allocation_of(make_new_kms);
}

static void test_fork__while_metric_names_are_made(void) {
    fork_during_allocation_of(make_new_names);
}

static void test_fork__while_hooks_are_set(void) {
    fork_during_allocation_of(set_new_hooks);
}

static void test_fork__while_a_secret_is_made(void) {
    fork_during_allocation_of(make_secret);
}

static void test_fork__while_the_host_logs_and_counts(void) {
    struct ael_hooks hooks = AEL_HOOKS_INIT;
    hooks.log = stop_in_log;
    CU_ASSERT_TRUE(listen_with(hooks));
    fork_during(log_and_count);
    hooks.log = hear_log;
    hooks.metric = stop_in_metric;
    CU_ASSERT_TRUE(listen_with(hooks));
    fork_during(log_and_count);
    fork_during(make_secret); /* it is counted, so it stops in the hook as well */
    CU_ASSERT_EQUAL(ael_hooks_set(NULL), AEL_OK);
}

/* -- the first use of OpenSSL -- */

static struct gate g_setting_up = GATE_INIT;

static void *stop_in_openssl(size_t size, const char *file, int line) {
    (void)file;
    (void)line;
    gate_pass(&g_setting_up);
    return malloc(size);
}

static void *resize_for_openssl(void *memory, size_t size, const char *file, int line) {
    (void)file;
    (void)line;
    return realloc(memory, size);
}

static void free_for_openssl(void *memory, const char *file, int line) {
    (void)file;
    (void)line;
    free(memory);
}

static void *draw(void *context) {
    uint8_t bytes[LEN];
    (void)context;
    expect(ael_random_fill(bytes, sizeof bytes) == AEL_OK);
    return NULL;
}

static void *open_gate_later(void *context) {
    (void)poll(NULL, 0, OPEN_LATER_MS);
    gate_open(context);
    return NULL;
}

/* The fork waits until OpenSSL is whole; who forked at once would find its locks held by a thread that is not there. */
static void test_fork__while_openssl_sets_itself_up(void) {
    pthread_t drawer;
    pthread_t opener;
    CU_ASSERT_EQUAL_FATAL(CRYPTO_set_mem_functions(stop_in_openssl, resize_for_openssl, free_for_openssl), 1);
    gate_shut(&g_setting_up);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&drawer, NULL, draw, NULL), 0);
    gate_wait_for(&g_setting_up, 1);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&opener, NULL, open_gate_later, &g_setting_up), 0);
    check_child();
    (void)pthread_join(opener, NULL);
    (void)pthread_join(drawer, NULL);
    CU_ASSERT_EQUAL(atomic_load(&g_wrong), 0);
}

/* -- threads that are anywhere -- */

static atomic_bool g_over;

static bool works_or_is_closed(enum ael_status status) {
    return status == AEL_OK || status == AEL_E_CLOSED;
}

static void *work(void *context) {
    static const char *const k_names[NAMES] = {"fork-a", "fork-b", "fork-c", "fork-d"};
    (void)context;
    for (size_t i = 0; !atomic_load(&g_over); i++) {
        uint8_t bytes[LEN];
        expect(make_kms(k_names[i % NAMES]));
        expect(ael_metastore_metric_names_get(k_names[i % NAMES]) != NULL);
        expect(works_or_is_closed(ael_random_fill(bytes, sizeof bytes)));
        (void)use_secret(); /* may be shut down meanwhile */
        log_and_count();
        if (i % 16 == 0) {
            enum ael_status status = ael_shutdown(0);
            expect(status == AEL_OK || status == AEL_E_TIMEOUT);
        }
    }
    return NULL;
}

static void test_fork__while_threads_do_everything(void) {
    pthread_t threads[3];
    atomic_store(&g_over, false);
    CU_ASSERT_TRUE(listen_now());
    for (size_t i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, work, NULL), 0);
    }
    for (int i = 0; i < soak_count(20, 2000); i++) {
        check_child();
    }
    atomic_store(&g_over, true);
    for (size_t i = 0; i < 3; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    CU_ASSERT_EQUAL(atomic_load(&g_wrong), 0);
    CU_ASSERT_TRUE(use_secret());
    CU_ASSERT_EQUAL(ael_hooks_set(NULL), AEL_OK);
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_OK);
}

static const struct test_case k_cases[] = {
    {"OpenSSL is used for the first time", test_fork__while_openssl_sets_itself_up},
    {"a KMS handle is made", test_fork__while_a_kms_handle_is_made},
    {"names of metrics are made", test_fork__while_metric_names_are_made},
    {"hooks are set", test_fork__while_hooks_are_set},
    {"a secret is made", test_fork__while_a_secret_is_made},
    {"the host logs and counts", test_fork__while_the_host_logs_and_counts},
    {"threads do everything", test_fork__while_threads_do_everything},
};

TEST_SUITE_MAIN("fork", k_cases)
