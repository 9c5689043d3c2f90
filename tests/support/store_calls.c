/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/store_calls.h"

#include <CUnit/CUnit.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- one line each ---- */

/* see tests/support/store_calls.h */
struct ael_key_record record_of(const char *key, int64_t created_s) {
    struct ael_key_record record = {.created_s = created_s, .key = ael_bytes_from_text(key)};
    return record;
}

/* see tests/support/store_calls.h */
struct ael_call call_for(uint32_t ms) {
    struct ael_call call = AEL_CALL_INIT;
    call.deadline_ns = ael_deadline_in_ms(ms);
    return call;
}

static enum ael_status store_record(
    struct ael_metastore *store,
    const char *id,
    const struct ael_key_record *record,
    const struct ael_call *call,
    struct ael_error *err) {
    bool stored = false;
    enum ael_status status = ael_metastore_store(store, call, ael_bytes_from_text(id), record, &stored, err);
    CU_ASSERT_EQUAL(stored, status == AEL_OK);
    return status;
}

/* see tests/support/store_calls.h */
enum ael_status store_err(
    struct ael_metastore *store,
    const char *id,
    int64_t created_s,
    const struct ael_call *call,
    struct ael_error *err) {
    struct ael_key_record record = record_of("key", created_s);
    return store_record(store, id, &record, call, err);
}

/* see tests/support/store_calls.h */
enum ael_status
store_in(struct ael_metastore *store, const char *id, int64_t created_s, const struct ael_call *call) {
    return store_err(store, id, created_s, call, NULL);
}

/* see tests/support/store_calls.h */
void store_parented(struct ael_metastore *store, const char *id, int64_t parent_created_s) {
    struct ael_key_record record = record_of("key", CREATED);
    record.has_parent = true;
    record.parent_id = ael_bytes_from_text("_SK_s_p");
    record.parent_created_s = parent_created_s;
    CU_ASSERT_EQUAL(store_record(store, id, &record, NULL, NULL), AEL_OK);
}

/* see tests/support/store_calls.h */
enum ael_status load_from(
    struct ael_metastore *store,
    const char *id,
    int64_t created_s,
    const struct ael_call *call,
    struct ael_error *err) {
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    enum ael_status status = ael_metastore_load(store, call, ael_bytes_from_text(id), created_s, &out, err);
    ael_key_record_buf_clear(&out);
    return status;
}

/* see tests/support/store_calls.h */
enum ael_status latest_from(struct ael_metastore *store, const char *id) {
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    enum ael_status status = ael_metastore_load_latest(store, NULL, ael_bytes_from_text(id), &out, NULL);
    ael_key_record_buf_clear(&out);
    return status;
}

static bool
count_row(void *context, struct ael_bytes id, int64_t created_s, const struct ael_key_record *record) {
    (void)id;
    (void)created_s;
    (void)record;
    return ++*(int *)context < 1000000;
}

/* see tests/support/store_calls.h */
int rows_listed(struct ael_metastore *store) {
    int rows = 0;
    CU_ASSERT_EQUAL(
        ael_metastore_list(store, NULL, ael_bytes_from_text("_IK_"), count_row, &rows, NULL), AEL_OK);
    return rows;
}

/* ---- at the same time ---- */

/* see tests/support/store_calls.h */
void *wait_in_call(void *context) {
    struct waiter *waiter = context;
    waiter->status = waiter->stores ? store_in(waiter->store, "_IK_y", CREATED, waiter->call)
                                    : load_from(waiter->store, "_IK_x", CREATED, waiter->call, NULL);
    return NULL;
}

/* see tests/support/store_calls.h */
bool load_meanwhile(
    void *context, struct ael_bytes id, int64_t created_s, const struct ael_key_record *record) {
    struct waiter *waiter = context;
    (void)id;
    (void)created_s;
    (void)record;
    struct ael_call call = call_for(50);
    waiter->status = load_from(waiter->store, "_IK_x", CREATED, &call, NULL);
    return true;
}

enum { CROWD = 64, CROWD_ROUNDS = 5 };
static atomic_int g_crowd_failed;

static void *crowd(void *context) {
    for (int i = 0; i < CROWD_ROUNDS; i++) {
        struct ael_call call = call_for(2 * PATIENT_MS);
        if (load_from(context, "_IK_x", CREATED, &call, NULL) != AEL_OK) {
            atomic_fetch_add(&g_crowd_failed, 1);
        }
    }
    return NULL;
}

/* see tests/support/store_calls.h */
void load_in_a_crowd(struct ael_metastore *store) {
    pthread_t threads[CROWD];
    for (int i = 0; i < CROWD; i++) {
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, crowd, store), 0);
    }
    for (int i = 0; i < CROWD; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    CU_ASSERT_EQUAL(atomic_load(&g_crowd_failed), 0);
}

/* see tests/support/store_calls.h */
void expect_a_lent_connection_to_be_waited_for(struct ael_metastore *store) {
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", CREATED, NULL), AEL_OK);
    struct waiter waiter = {.store = store, .status = AEL_OK};
    CU_ASSERT_EQUAL(
        ael_metastore_list(store, NULL, ael_bytes_from_text(""), load_meanwhile, &waiter, NULL), AEL_OK);
    CU_ASSERT_EQUAL(waiter.status, AEL_E_TIMEOUT);
    CU_ASSERT_EQUAL(load_from(store, "_IK_x", CREATED, NULL, NULL), AEL_OK);
}

/* ---- fork ---- */

/* see tests/support/store_calls.h */
int work_in_child(struct ael_metastore *store) {
    int wrong = load_from(store, "_IK_x", CREATED, NULL, NULL) != AEL_OK;
    wrong += store_in(store, "_IK_child", CREATED, NULL) != AEL_OK;
    ael_metastore_release(store);
    return wrong;
}

static bool
fork_meanwhile(void *context, struct ael_bytes id, int64_t created_s, const struct ael_key_record *record) {
    (void)id;
    (void)created_s;
    (void)record;
    *(pid_t *)context = fork();
    return true;
}

/* see tests/support/store_calls.h */
void fork_in_the_middle_of_a_listing(struct ael_metastore *store) {
    pid_t child = -1;
    int status = -1;
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", CREATED, NULL), AEL_OK);
    enum ael_status listed =
        ael_metastore_list(store, NULL, ael_bytes_from_text(""), fork_meanwhile, &child, NULL);
    if (child == 0) {
        _exit((listed != AEL_E_FORKED) + work_in_child(store));
    }
    CU_ASSERT_EQUAL(listed, AEL_OK);
    CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
    CU_ASSERT_EQUAL(status, 0);
    CU_ASSERT_EQUAL(load_from(store, "_IK_child", CREATED, NULL, NULL), AEL_OK);
}

/* see tests/support/store_calls.h */
void expect_an_untold_child_to_be_refused(struct ael_metastore *store) {
    int status = -1;
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", CREATED, NULL), AEL_OK);
    (void)fflush(stdout);
    pid_t child = _Fork();
    if (child == 0) {
        int wrong = load_from(store, "_IK_x", CREATED, NULL, NULL) != AEL_E_FORKED;
        wrong += store_in(store, "_IK_child", CREATED, NULL) != AEL_E_FORKED;
        ael_metastore_release(store);
        _exit(wrong);
    }
    CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
    CU_ASSERT_EQUAL(status, 0);
    CU_ASSERT_EQUAL(load_from(store, "_IK_x", CREATED, NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(load_from(store, "_IK_child", CREATED, NULL, NULL), AEL_E_KEY_NOT_FOUND);
}
