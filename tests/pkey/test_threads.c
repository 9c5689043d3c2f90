/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/pkey/faults.h"
#include "tests/support/suite.h"

#include <ael/ael.h>

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <threads.h>

/*
 * With libael-threads, threads that are started inside an access have no rights from their first instruction on. Run
 * inside a virtual machine by scripts/test-pkey.
 */

enum { LEN = 32 };

static const uint8_t *volatile g_bytes;

static void *look(void *fault) {
    *(int *)fault = fault_of_read_only(g_bytes);
    return NULL;
}

static int look_too(void *fault) {
    *(int *)fault = fault_of_read_only(g_bytes);
    return 0;
}

static int fault_in_pthread(void) {
    pthread_t thread;
    int fault = -1;
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, look, &fault), 0);
    CU_ASSERT_EQUAL(pthread_join(thread, NULL), 0);
    return fault;
}

static int fault_in_thrd(void) {
    thrd_t thread;
    int fault = -1;
    CU_ASSERT_EQUAL_FATAL(thrd_create(&thread, look_too, &fault), thrd_success);
    CU_ASSERT_EQUAL(thrd_join(thread, NULL), thrd_success);
    return fault;
}

static struct ael_secret *open_secret(struct ael_secret_access *access) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    struct ael_secret *secret = NULL;
    options.level = options.key_level = options.minimum = AEL_PROTECTION_PKEY;
    CU_ASSERT_EQUAL_FATAL(ael_shutdown(1000), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_memory_configure(&options, NULL), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_secret_new_random(LEN, &secret), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_secret_access_begin(secret, access), AEL_OK);
    g_bytes = access->bytes.data;
    return secret;
}

static void test_threads__started_inside_an_access_have_no_rights(void) {
    struct ael_secret_access access;
    struct ael_secret *secret = open_secret(&access);
    CU_ASSERT_EQUAL(fault_in_pthread(), SEGV_PKUERR);
    CU_ASSERT_EQUAL(fault_in_thrd(), SEGV_PKUERR);
    CU_ASSERT_EQUAL(fault_of_read_only(g_bytes), 0); /* the creator has its own again */
    CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_OK);
    CU_ASSERT_EQUAL(fault_of_read_only(g_bytes), SEGV_PKUERR);
    ael_secret_release(secret);
}

static enum ael_status start_in_callback(void *fault, struct ael_bytes bytes) {
    g_bytes = bytes.data;
    *(int *)fault = fault_in_pthread();
    return fault_of_read_only(bytes.data) == 0 ? AEL_OK : AEL_E_CALLBACK;
}

static void test_threads__started_inside_a_callback_have_no_rights(void) {
    struct ael_secret_access access;
    int fault = -1;
    struct ael_secret *secret = open_secret(&access);
    CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_OK);
    CU_ASSERT_EQUAL(ael_secret_with_bytes(secret, start_in_callback, &fault), AEL_OK);
    CU_ASSERT_EQUAL(fault, SEGV_PKUERR);
    ael_secret_release(secret);
}

static const struct test_case k_cases[] = {
    {"started inside an access", test_threads__started_inside_an_access_have_no_rights},
    {"started inside a callback", test_threads__started_inside_a_callback_have_no_rights},
};

TEST_SUITE_MAIN("pkey_threads", k_cases)
