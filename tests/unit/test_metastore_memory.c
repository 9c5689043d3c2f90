/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "tests/support/suite.h"

#include <ael/sys/metastore_backend.h>

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CREATED = 1700000040, MANY = 3000 };

static struct ael_metastore *open_memory(void) {
    struct ael_metastore *store = NULL;
    CU_ASSERT_EQUAL_FATAL(ael_metastore_memory_new(&store), AEL_OK);
    return store;
}

static struct ael_bytes text(const char *id) {
    return ael_bytes_from_text(id);
}

static struct ael_key_record record_of(const char *key, int64_t created_s) {
    struct ael_key_record record = {.created_s = created_s, .key = ael_bytes_from_text(key)};
    return record;
}

static int refuse_nth(void *context) {
    int *left = context;
    return (*left)-- == 0;
}

static void test_metastore_memory_new__survives_each_failed_allocation(void) {
    ael_metastore_release(open_memory()); /* the metric names, which stay */
    CU_ASSERT_EQUAL(ael_metastore_memory_new(NULL), AEL_E_ARGUMENT);
    for (int nth = 0; nth < 2; nth++) {
        int left = nth;
        struct ael_metastore *store = NULL;
        ael_alloc_set_fault(refuse_nth, &left);
        CU_ASSERT_EQUAL(ael_metastore_memory_new(&store), AEL_E_NO_MEMORY);
        ael_alloc_set_fault(NULL, NULL);
        CU_ASSERT_PTR_NULL(store);
    }
}

static void test_memory_store__stays_as_it_was_when_memory_fails(void) {
    struct ael_metastore *store = open_memory();
    struct ael_key_record first = record_of("first", CREATED);
    struct ael_key_record other = record_of("other", CREATED);
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    bool done = true;
    for (int nth = 0; nth < 2; nth++) {
        int left = nth;
        ael_alloc_set_fault(refuse_nth, &left);
        CU_ASSERT_EQUAL(ael_metastore_store(store, NULL, text("id"), &first, &done, NULL), AEL_E_NO_MEMORY);
        ael_alloc_set_fault(NULL, NULL);
        CU_ASSERT_FALSE(done);
        CU_ASSERT_EQUAL(ael_metastore_load_latest(store, NULL, text("id"), &out, NULL), AEL_E_KEY_NOT_FOUND);
    }
    CU_ASSERT_EQUAL(ael_metastore_store(store, NULL, text("id"), &first, &done, NULL), AEL_OK);
    int left = 0;
    ael_alloc_set_fault(refuse_nth, &left);
    CU_ASSERT_EQUAL(
        ael_metastore_replace(store, NULL, text("id"), &first, &other, &done, NULL), AEL_E_NO_MEMORY);
    left = 0;
    CU_ASSERT_EQUAL(ael_metastore_load_latest(store, NULL, text("id"), &out, NULL), AEL_E_NO_MEMORY);
    ael_alloc_set_fault(NULL, NULL);
    CU_ASSERT_EQUAL(ael_metastore_load_latest(store, NULL, text("id"), &out, NULL), AEL_OK);
    CU_ASSERT_TRUE(ael_key_record_equal(&out.record, &first));
    ael_key_record_buf_clear(&out);
    ael_metastore_release(store);
}

/* ---- many rows ---- */

/* A permutation of 0 .. MANY-1: 1009 and MANY have no common factor. */
static int shuffled(int i) {
    return i * 1009 % MANY;
}

static void name_of(int number, char id[static 32]) {
    (void)snprintf(id, 32, "_IK_%d_s_p", number);
}

struct order {
    char last[64];
    int64_t last_created_s;
    int count;
};

static bool
check_order(void *context, struct ael_bytes id, int64_t created_s, const struct ael_key_record *record) {
    struct order *order = context;
    char row[64];
    (void)snprintf(row, sizeof row, "%.*s", (int)id.len, (const char *)id.data);
    int compared = strcmp(order->last, row);
    CU_ASSERT(compared < 0 || (compared == 0 && order->last_created_s < created_s));
    CU_ASSERT_EQUAL(record->created_s, created_s);
    memcpy(order->last, row, sizeof row);
    order->last_created_s = created_s;
    order->count++;
    return true;
}

static void test_memory_store__keeps_many_rows_in_order(void) {
    struct ael_metastore *store = open_memory();
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    struct order order = {.count = 0};
    char id[32];
    int wrong = 0;
    for (int i = 0; i < 2 * MANY; i++) {
        bool stored = false;
        name_of(shuffled(i), id);
        struct ael_key_record record = record_of(id, CREATED + (i < MANY ? 60 : 0));
        wrong += ael_metastore_store(store, NULL, text(id), &record, &stored, NULL) != AEL_OK || !stored;
    }
    for (int i = 0; i < MANY; i++) {
        name_of(i, id);
        wrong += ael_metastore_load_latest(store, NULL, text(id), &out, NULL) != AEL_OK;
        wrong +=
            out.record.created_s != CREATED + 60 || memcmp(out.record.key.data, id, out.record.key.len) != 0;
        wrong += ael_metastore_load(store, NULL, text(id), CREATED, &out, NULL) != AEL_OK;
    }
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_EQUAL(ael_metastore_list(store, NULL, text(""), check_order, &order, NULL), AEL_OK);
    CU_ASSERT_EQUAL(order.count, 2 * MANY);
    ael_key_record_buf_clear(&out);
    ael_metastore_release(store);
}

/* ---- cut short, and forked ---- */

static bool
cancel_on_first(void *context, struct ael_bytes id, int64_t created_s, const struct ael_key_record *record) {
    (void)id;
    (void)created_s;
    (void)record;
    ael_cancel_trigger(context);
    return true;
}

static void test_memory_store__ends_a_listing_that_is_cancelled(void) {
    struct ael_metastore *store = open_memory();
    struct ael_error err = {0};
    struct ael_call call = AEL_CALL_INIT;
    struct ael_cancel *cancel = NULL;
    bool stored = false;
    struct ael_key_record record = record_of("key", CREATED);
    CU_ASSERT_EQUAL(ael_metastore_store(store, NULL, text("a"), &record, &stored, NULL), AEL_OK);
    CU_ASSERT_EQUAL(ael_metastore_store(store, NULL, text("b"), &record, &stored, NULL), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_cancel_new(&cancel), AEL_OK);
    call.cancel = cancel;
    CU_ASSERT_EQUAL(
        ael_metastore_list(store, &call, text(""), cancel_on_first, cancel, &err), AEL_E_CANCELLED);
    CU_ASSERT_EQUAL(err.status, AEL_E_CANCELLED);
    ael_cancel_free(cancel);
    ael_metastore_release(store);
}

static void test_memory_store__stays_with_a_child(void) {
    struct ael_metastore *store = open_memory();
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    struct ael_key_record record = record_of("key", CREATED);
    bool stored = false;
    CU_ASSERT_EQUAL(ael_metastore_store(store, NULL, text("a"), &record, &stored, NULL), AEL_OK);
    pid_t child = fork();
    if (child == 0) {
        enum ael_status status = ael_metastore_load_latest(store, NULL, text("a"), &out, NULL);
        _exit(status == AEL_OK && ael_key_record_equal(&out.record, &record) ? 0 : 1);
    }
    int ended = -1;
    CU_ASSERT_EQUAL(waitpid(child, &ended, 0), child);
    CU_ASSERT_EQUAL(ended, 0);
    CU_ASSERT_EQUAL(ael_metastore_load_latest(store, NULL, text("a"), &out, NULL), AEL_OK);
    ael_key_record_buf_clear(&out);
    ael_metastore_release(store);
}

static const struct test_case k_cases[] = {
    {"failed allocations at the start", test_metastore_memory_new__survives_each_failed_allocation},
    {"failed allocations change nothing", test_memory_store__stays_as_it_was_when_memory_fails},
    {"many rows stay in order", test_memory_store__keeps_many_rows_in_order},
    {"a cancelled listing ends", test_memory_store__ends_a_listing_that_is_cancelled},
    {"a child has the rows", test_memory_store__stays_with_a_child},
};

TEST_SUITE_MAIN("metastore_memory", k_cases)
