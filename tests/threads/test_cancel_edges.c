/* SPDX-License-Identifier: Apache-2.0 */
#include "base/thread_entry.h"
#include "tests/support/suite.h"

#include <ael/ael.h>
#include <ael/metastore_sqlite.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A thread that is cancelled inside a backend or a hook takes nothing with it. */

static struct ael_kms *g_kms;
static struct ael_metastore *g_store;
static struct ael_session_factory *g_factory;
static char g_folder[32];
static char g_path[64];

static void set_up(void) {
    uint8_t master[32];
    struct ael_metastore_sqlite_options options = AEL_METASTORE_SQLITE_OPTIONS_INIT;
    memset(master, 'm', sizeof master);
    (void)snprintf(g_folder, sizeof g_folder, "/tmp/ael-cancel-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(g_folder));
    (void)snprintf(g_path, sizeof g_path, "%s/keys.db", g_folder);
    options.path = g_path;
    CU_ASSERT_EQUAL_FATAL(ael_kms_static_from_bytes(master, sizeof master, &g_kms, NULL), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_metastore_sqlite_new(&options, &g_store, NULL), AEL_OK);
    struct ael_session_factory_options factory = AEL_SESSION_FACTORY_OPTIONS_INIT;
    factory.service = "svc";
    factory.product = "prod";
    factory.kms = g_kms;
    factory.metastore = g_store;
    CU_ASSERT_EQUAL_FATAL(ael_session_factory_new(&factory, &g_factory, NULL), AEL_OK);
}

static void tear_down(void) {
    char command[128];
    ael_session_factory_free(g_factory);
    ael_metastore_release(g_store);
    ael_kms_release(g_kms);
    (void)snprintf(command, sizeof command, "rm -rf %s", g_folder);
    CU_ASSERT_EQUAL(system(command), 0);
}

static enum ael_status encrypt_for(const char *partition) {
    struct ael_session *session = NULL;
    struct ael_record_buf record = AEL_RECORD_BUF_INIT;
    enum ael_status status = ael_session_acquire(g_factory, partition, &session, NULL);
    if (status == AEL_OK) {
        struct ael_call call = AEL_CALL_INIT;
        call.deadline_ns = ael_deadline_in_ms(5000);
        status = ael_session_encrypt(session, ael_bytes_from_text("payload"), &record, &call, NULL);
    }
    ael_record_buf_clear(&record);
    ael_session_release(session);
    return status;
}

static atomic_int g_status;

/* Cancelled before the call: the first point of cancellation inside it would end the thread. */
static void *encrypt_when_cancelled(void *partition) {
    (void)pthread_cancel(pthread_self());
    atomic_store(&g_status, (int)encrypt_for(partition));
    pthread_testcancel();
    return NULL;
}

static void check_cancelled(const char *partition) {
    char name[32];
    pthread_t thread;
    void *result = NULL;
    (void)snprintf(name, sizeof name, "%s", partition);
    atomic_store(&g_status, -1);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, encrypt_when_cancelled, name), 0);
    (void)pthread_join(thread, &result);
    CU_ASSERT_PTR_EQUAL(result, PTHREAD_CANCELED);
    CU_ASSERT_EQUAL(atomic_load(&g_status), AEL_OK); /* it was not cut short */
}

static void test_cancel__cuts_no_load_over_sqlite_short(void) {
    set_up();
    for (int i = 0; i < 20; i++) {
        char partition[16];
        (void)snprintf(partition, sizeof partition, "p%d", i);
        check_cancelled(partition);
        CU_ASSERT_EQUAL(encrypt_for(partition), AEL_OK);
    }
    CU_ASSERT_EQUAL(encrypt_for("another"), AEL_OK);
    tear_down();
}

/* ---- hooks that make system calls ---- */

static atomic_int g_told;

static void send_metric(void *context, enum ael_metric_kind kind, const char *name, int64_t value) {
    (void)context;
    (void)kind;
    (void)name;
    (void)value;
    atomic_fetch_add(&g_told, 1);
    pthread_testcancel();
}

static void have_hook(bool wanted) {
    struct ael_hooks hooks = AEL_HOOKS_INIT;
    hooks.metric = send_metric;
    atomic_store(&g_told, 0);
    CU_ASSERT_EQUAL_FATAL(ael_hooks_set(wanted ? &hooks : NULL), AEL_OK);
}

/* Not cancelled any more: AddressSanitizer takes a thread that is ended below frames of its own for one that still has
 * them. */
static void stay(void) {
    int ignored = 0;
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &ignored);
}

static void *make_when_cancelled(void *nothing) {
    uint8_t source[32] = {'s'};
    struct ael_secret *secret = NULL;
    (void)pthread_cancel(pthread_self());
    atomic_store(&g_status, (int)ael_secret_new(source, sizeof source, &secret));
    ael_secret_release(secret);
    stay();
    return nothing;
}

static void test_cancel__in_a_hook_leaves_memory_to_be_shut_down(void) {
    pthread_t thread;
    have_hook(true);
    atomic_store(&g_status, -1);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, make_when_cancelled, NULL), 0);
    (void)pthread_join(thread, NULL);
    have_hook(false);
    CU_ASSERT_EQUAL(atomic_load(&g_status), AEL_OK);
    CU_ASSERT_EQUAL(ael_shutdown(2000), AEL_OK);
}

static struct ael_session *g_session;

static void *use_session_when_cancelled(void *entry) {
    struct ael_record_buf record = AEL_RECORD_BUF_INIT;
    *(struct ael_thread_entry **)entry = ael_thread_entry_mine();
    (void)pthread_cancel(pthread_self());
    atomic_store(
        &g_status, (int)ael_session_encrypt(g_session, ael_bytes_from_text("payload"), &record, NULL, NULL));
    ael_record_buf_clear(&record);
    stay();
    return NULL;
}

static void test_cancel__in_a_hook_leaves_no_key_pinned(void) {
    pthread_t thread;
    struct ael_thread_entry *entry = NULL;
    set_up();
    CU_ASSERT_EQUAL(encrypt_for("p"), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_session_acquire(g_factory, "p", &g_session, NULL), AEL_OK);
    have_hook(true);
    atomic_store(&g_status, -1);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, use_session_when_cancelled, &entry), 0);
    (void)pthread_join(thread, NULL);
    CU_ASSERT_TRUE(atomic_load(&g_told) > 0);
    have_hook(false);
    CU_ASSERT_EQUAL(atomic_load(&g_status), AEL_OK);
    CU_ASSERT_PTR_NOT_NULL_FATAL(entry);
    for (int place = 0; place < AEL_THREAD_PINS; place++) {
        CU_ASSERT_TRUE(ael_thread_has_place(entry, (uint32_t)place));
    }
    CU_ASSERT_FALSE(atomic_load(&entry->taken));
    ael_session_release(g_session);
    tear_down();
}

static const struct test_case k_cases[] = {
    {"a load over SQLite is finished", test_cancel__cuts_no_load_over_sqlite_short},
    {"a secret is made whole", test_cancel__in_a_hook_leaves_memory_to_be_shut_down},
    {"a key is given back", test_cancel__in_a_hook_leaves_no_key_pinned},
};

TEST_SUITE_MAIN("cancel_edges", k_cases)
