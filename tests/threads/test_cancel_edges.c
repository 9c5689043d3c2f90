/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/suite.h"

#include <ael/ael.h>
#include <ael/metastore_sqlite.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A thread that is cancelled inside a backend, or inside a hook while a key is being loaded, takes nothing with it. */

static struct ael_kms *g_kms;
static struct ael_metastore *g_store;
static struct ael_session_factory *g_factory;
static char g_folder[] = "/tmp/ael-cancel-XXXXXX";
static char g_path[64];

static void set_up(void) {
    uint8_t master[32];
    struct ael_metastore_sqlite_options options = AEL_METASTORE_SQLITE_OPTIONS_INIT;
    memset(master, 'm', sizeof master);
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

static const struct test_case k_cases[] = {
    {"a load over SQLite is finished", test_cancel__cuts_no_load_over_sqlite_short},
};

TEST_SUITE_MAIN("cancel_edges", k_cases)
