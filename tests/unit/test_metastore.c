/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "tests/support/suite.h"

#include <ael/hooks.h>
#include <ael/record.h>
#include <ael/sys/metastore_backend.h>

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CREATED = 1700000040 };

/* A backend that does what it is told and remembers what it was asked. */
struct puppet {
    enum ael_status status;
    enum ael_status replace_status;
    bool says_it_did; /* stored, replaced */
    struct ael_key_record record;
    unsigned calls;
    unsigned replaces;
    unsigned destroyed;
    unsigned forks;
    struct ael_call last_call;
};

static enum ael_status
puppet_answer(struct puppet *puppet, const struct ael_call *call, struct ael_key_record_buf *out) {
    puppet->calls++;
    puppet->last_call = *call;
    if (ael_key_record_buf_set(out, &puppet->record) != AEL_OK) {
        out->record = puppet->record; /* a careless backend fills it in by itself */
    }
    return puppet->status;
}

static enum ael_status puppet_load(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    int64_t created_s,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    (void)id;
    (void)created_s;
    (void)err;
    return puppet_answer(self, call, out);
}

static enum ael_status puppet_load_latest(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    (void)id;
    enum ael_status status = puppet_answer(self, call, out);
    return status == AEL_OK ? AEL_OK : ael_error_set(err, status, 7, "puppet", "as I was told");
}

static enum ael_status puppet_store(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    const struct ael_key_record *record,
    bool *stored,
    struct ael_error *err) {
    struct puppet *puppet = self;
    (void)id;
    (void)record;
    (void)err;
    puppet->calls++;
    puppet->last_call = *call;
    *stored = puppet->says_it_did;
    return puppet->status;
}

static enum ael_status puppet_replace(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    const struct ael_key_record *expected,
    const struct ael_key_record *desired,
    bool *replaced,
    struct ael_error *err) {
    struct puppet *puppet = self;
    (void)call;
    (void)id;
    (void)err;
    puppet->replaces++;
    *replaced = puppet->says_it_did;
    CU_ASSERT(!expected->revoked && desired->revoked);
    return puppet->replace_status;
}

static void puppet_destroy(void *self) {
    ((struct puppet *)self)->destroyed++;
}

static const char *puppet_suffix(void *self) {
    (void)self;
    return "eu-west-1";
}

enum { BEFORE = 1, IN_PARENT = 4, IN_CHILD = 16 };

static void puppet_before_fork(void *self) {
    ((struct puppet *)self)->forks += BEFORE;
}

static void puppet_in_parent(void *self) {
    ((struct puppet *)self)->forks += IN_PARENT;
}

static void puppet_in_child(void *self) {
    ((struct puppet *)self)->forks += IN_CHILD;
}

static const struct ael_metastore_vtable k_puppet = {
    .vt_size = sizeof(struct ael_metastore_vtable),
    .contract = AEL_METASTORE_CONTRACT,
    .name = "puppet",
    .load = puppet_load,
    .load_latest = puppet_load_latest,
    .store = puppet_store,
    .destroy = puppet_destroy,
    .region_suffix = puppet_suffix,
    .replace = puppet_replace,
    .before_fork = puppet_before_fork,
    .after_fork_parent = puppet_in_parent,
    .after_fork_child = puppet_in_child,
};

static struct ael_bytes text(const char *id) {
    return ael_bytes_from_text(id);
}

/* Forks; what the child sees of the puppet. */
static unsigned child_of(const struct puppet *puppet) {
    int ended = -1;
    (void)fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        _exit((int)puppet->forks);
    }
    CU_ASSERT_EQUAL(waitpid(child, &ended, 0), child);
    CU_ASSERT_TRUE(WIFEXITED(ended));
    return (unsigned)WEXITSTATUS(ended);
}

static struct puppet new_puppet(void) {
    struct puppet puppet = {.record = {.created_s = CREATED, .key = text("key")}};
    return puppet;
}

static struct ael_metastore *open_puppet(struct puppet *puppet) {
    struct ael_metastore *metastore = NULL;
    CU_ASSERT_EQUAL_FATAL(ael_metastore_new(&k_puppet, puppet, &metastore), AEL_OK);
    return metastore;
}

/* ---- tables ---- */

static void expect_bad_table(const struct ael_metastore_vtable *table) {
    struct puppet puppet = new_puppet();
    struct ael_metastore *metastore = (struct ael_metastore *)&puppet;
    CU_ASSERT_EQUAL(ael_metastore_new(table, &puppet, &metastore), AEL_E_ARGUMENT);
    CU_ASSERT_PTR_NULL(metastore);
    CU_ASSERT_EQUAL(puppet.destroyed, 0);
}

static void test_metastore_new__refuses_tables_that_are_none(void) {
    struct ael_metastore_vtable table = k_puppet;
    CU_ASSERT_EQUAL(ael_metastore_new(&table, NULL, NULL), AEL_E_ARGUMENT);
    expect_bad_table(NULL);
    table.vt_size = offsetof(struct ael_metastore_vtable, store);
    expect_bad_table(&table);
    table.vt_size = 0;
    expect_bad_table(&table);
    table = k_puppet;
    table.contract = AEL_METASTORE_CONTRACT + 1;
    expect_bad_table(&table);
    table = k_puppet;
    table.name = NULL;
    expect_bad_table(&table);
    table = k_puppet;
    table.load = NULL;
    expect_bad_table(&table);
    table = k_puppet;
    table.load_latest = NULL;
    expect_bad_table(&table);
    table = k_puppet;
    table.store = NULL;
    expect_bad_table(&table);
}

/* A table that ends behind store: what lies beyond is not looked at. */
static void test_metastore_new__takes_the_shortest_table(void) {
    struct puppet puppet = new_puppet();
    struct ael_metastore_vtable table = k_puppet;
    struct ael_metastore *metastore = NULL;
    struct ael_error err = {0};
    table.vt_size = offsetof(struct ael_metastore_vtable, destroy);
    CU_ASSERT_EQUAL_FATAL(ael_metastore_new(&table, &puppet, &metastore), AEL_OK);
    CU_ASSERT_PTR_NULL(ael_metastore_region_suffix(metastore));
    CU_ASSERT_EQUAL(ael_metastore_ensure_schema(metastore, NULL, &err), AEL_E_UNSUPPORTED);
    CU_ASSERT_EQUAL(err.status, AEL_E_UNSUPPORTED);
    CU_ASSERT_EQUAL(
        ael_metastore_mark_revoked(metastore, text("id"), CREATED, NULL, &err), AEL_E_UNSUPPORTED);
    CU_ASSERT_EQUAL(child_of(&puppet), 0);
    CU_ASSERT_EQUAL(puppet.forks, 0);
    ael_metastore_release(metastore);
    CU_ASSERT_EQUAL(puppet.destroyed, 0);
}

static int refuse_nth(void *context) {
    int *left = context;
    return (*left)-- == 0;
}

static void test_metastore_new__survives_each_failed_allocation(void) {
    struct puppet puppet = new_puppet();
    struct ael_metastore_vtable table = k_puppet;
    static const char *const k_names[] = {"not seen before", "never seen before"};
    for (int nth = 0; nth < 2; nth++) {
        table.name = k_names[nth]; /* a name that is new is a second allocation */
        int left = nth;
        struct ael_metastore *metastore = NULL;
        ael_alloc_set_fault(refuse_nth, &left);
        CU_ASSERT_EQUAL(ael_metastore_new(&table, &puppet, &metastore), AEL_E_NO_MEMORY);
        ael_alloc_set_fault(NULL, NULL);
        CU_ASSERT_PTR_NULL(metastore);
        CU_ASSERT_EQUAL(puppet.destroyed, 0);
    }
}

static void test_metastore_release__ends_the_backend_with_the_last_holder(void) {
    struct puppet puppet = new_puppet();
    struct ael_metastore *metastore = open_puppet(&puppet);
    CU_ASSERT_PTR_EQUAL(ael_metastore_acquire(metastore), metastore);
    ael_metastore_release(metastore);
    CU_ASSERT_EQUAL(puppet.destroyed, 0);
    CU_ASSERT_STRING_EQUAL(ael_metastore_name(metastore), "puppet");
    CU_ASSERT_STRING_EQUAL(ael_metastore_region_suffix(metastore), "eu-west-1");
    ael_metastore_release(metastore);
    CU_ASSERT_EQUAL(puppet.destroyed, 1);
    ael_metastore_release(NULL);
    CU_ASSERT_PTR_NULL(ael_metastore_acquire(NULL));
    CU_ASSERT_PTR_NULL(ael_metastore_name(NULL));
    CU_ASSERT_PTR_NULL(ael_metastore_region_suffix(NULL));
}

/* ---- arguments ---- */

static bool
never_visit(void *context, struct ael_bytes id, int64_t created_s, const struct ael_key_record *record) {
    (void)context;
    (void)id;
    (void)created_s;
    (void)record;
    return false;
}

static void test_metastore_calls__refuse_what_is_null(void) {
    struct puppet puppet = new_puppet();
    struct ael_metastore *store = open_puppet(&puppet);
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    struct ael_bytes id = text("id");
    bool done = false;
    CU_ASSERT_EQUAL(ael_metastore_load(NULL, NULL, id, CREATED, &out, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_metastore_load(store, NULL, id, CREATED, NULL, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_metastore_load_latest(NULL, NULL, id, &out, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_metastore_load_latest(store, NULL, id, NULL, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_metastore_store(NULL, NULL, id, &puppet.record, &done, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_metastore_store(store, NULL, id, NULL, &done, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_metastore_store(store, NULL, id, &puppet.record, NULL, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_metastore_list(NULL, NULL, id, never_visit, NULL, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_metastore_list(store, NULL, id, NULL, NULL, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(
        ael_metastore_replace(NULL, NULL, id, &puppet.record, &puppet.record, &done, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(
        ael_metastore_replace(store, NULL, id, NULL, &puppet.record, &done, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(
        ael_metastore_replace(store, NULL, id, &puppet.record, NULL, &done, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(
        ael_metastore_replace(store, NULL, id, &puppet.record, &puppet.record, NULL, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_metastore_health(NULL, NULL, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_metastore_ensure_schema(NULL, NULL, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_metastore_mark_revoked(NULL, id, CREATED, NULL, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(puppet.calls + puppet.replaces, 0);
    ael_metastore_release(store);
}

static void
expect_bad_record(struct ael_metastore *store, const struct ael_key_record *record, enum ael_status wanted) {
    bool stored = true;
    CU_ASSERT_EQUAL(ael_metastore_store(store, NULL, text("id"), record, &stored, NULL), wanted);
    CU_ASSERT_FALSE(stored);
}

static void test_metastore_store__refuses_records_out_of_range(void) {
    static const uint8_t k_bytes[AEL_KEY_RECORD_MAX_BYTES + 1];
    struct puppet puppet = new_puppet();
    struct ael_metastore *store = open_puppet(&puppet);
    struct ael_key_record record = puppet.record;
    record.created_s = 0;
    expect_bad_record(store, &record, AEL_E_ARGUMENT);
    record.created_s = -1;
    expect_bad_record(store, &record, AEL_E_ARGUMENT);
    record = puppet.record;
    record.key.len = 0;
    expect_bad_record(store, &record, AEL_E_ARGUMENT);
    record.key = (struct ael_bytes){NULL, 5};
    expect_bad_record(store, &record, AEL_E_ARGUMENT);
    record.key = (struct ael_bytes){k_bytes, sizeof k_bytes};
    expect_bad_record(store, &record, AEL_E_TOO_LARGE);
    record = puppet.record;
    record.has_parent = true;
    record.parent_created_s = CREATED;
    expect_bad_record(store, &record, AEL_E_ARGUMENT);
    record.parent_id = text("a\xff");
    expect_bad_record(store, &record, AEL_E_ARGUMENT);
    record.parent_id = (struct ael_bytes){k_bytes, AEL_ID_MAX_BYTES + 1};
    expect_bad_record(store, &record, AEL_E_TOO_LARGE);
    record.parent_id = text("parent");
    record.parent_created_s = 0;
    expect_bad_record(store, &record, AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(puppet.calls, 0);
    ael_metastore_release(store);
}

/* ---- calls ---- */

static void test_metastore_load__fixes_the_default_deadline(void) {
    struct puppet puppet = new_puppet();
    struct ael_metastore *store = open_puppet(&puppet);
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    int64_t now = ael_deadline_in_ms(0);
    CU_ASSERT_EQUAL(ael_metastore_load(store, NULL, text("id"), CREATED, &out, NULL), AEL_OK);
    CU_ASSERT(puppet.last_call.deadline_ns >= now + INT64_C(30000000000));
    CU_ASSERT(puppet.last_call.deadline_ns <= ael_deadline_in_ms(30000));
    CU_ASSERT_EQUAL(puppet.last_call.size, sizeof(struct ael_call));
    struct ael_call call = AEL_CALL_INIT;
    call.deadline_ns = ael_deadline_in_ms(1000000);
    call.consistency = AEL_CONSISTENCY_PRIMARY;
    call.trace = "trace";
    CU_ASSERT_EQUAL(ael_metastore_load_latest(store, &call, text("id"), &out, NULL), AEL_OK);
    CU_ASSERT_EQUAL(puppet.last_call.deadline_ns, call.deadline_ns);
    CU_ASSERT_EQUAL(puppet.last_call.consistency, AEL_CONSISTENCY_PRIMARY);
    CU_ASSERT_STRING_EQUAL(puppet.last_call.trace, "trace");
    ael_key_record_buf_clear(&out);
    ael_metastore_release(store);
}

static void test_metastore_load__refuses_a_call_of_no_known_size(void) {
    struct puppet puppet = new_puppet();
    struct ael_metastore *store = open_puppet(&puppet);
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    struct ael_call call = AEL_CALL_INIT;
    call.size = 3;
    CU_ASSERT_EQUAL(ael_metastore_load(store, &call, text("id"), CREATED, &out, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(puppet.calls, 0);
    ael_metastore_release(store);
}

/* ---- what backends answer ---- */

static void test_metastore_load__empties_what_a_failing_backend_left(void) {
    struct puppet puppet = new_puppet();
    struct ael_metastore *store = open_puppet(&puppet);
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    struct ael_error err = {.status = AEL_E_FORMAT, .detail = "of an earlier call"};
    puppet.status = AEL_E_UNREACHABLE;
    CU_ASSERT_EQUAL(ael_metastore_load(store, NULL, text("id"), CREATED, &out, &err), AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(out.record.key.len, 0);
    CU_ASSERT_EQUAL(out.storage.len, 0);
    CU_ASSERT_EQUAL(err.status, AEL_E_UNREACHABLE); /* the backend said nothing */
    CU_ASSERT_STRING_EQUAL(err.component, "puppet");
    CU_ASSERT_STRING_EQUAL(err.detail, ael_status_text(AEL_E_UNREACHABLE));
    CU_ASSERT_EQUAL(ael_metastore_load_latest(store, NULL, text("id"), &out, &err), AEL_E_UNREACHABLE);
    CU_ASSERT_STRING_EQUAL(err.detail, "as I was told");
    CU_ASSERT_EQUAL(err.native_code, 7);
    ael_metastore_release(store);
}

static void expect_bad_answer(struct ael_metastore *store) {
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    struct ael_error err = {0};
    CU_ASSERT_EQUAL(ael_metastore_load(store, NULL, text("id"), CREATED, &out, &err), AEL_E_BACKEND_DATA);
    CU_ASSERT_EQUAL(err.status, AEL_E_BACKEND_DATA);
    CU_ASSERT_EQUAL(out.storage.len, 0);
}

static void test_metastore_load__checks_the_answer(void) {
    struct puppet puppet = new_puppet();
    struct ael_metastore *store = open_puppet(&puppet);
    puppet.record.created_s = CREATED + 1; /* not what was asked for */
    expect_bad_answer(store);
    puppet = new_puppet();
    puppet.record.key.len = 0;
    expect_bad_answer(store);
    puppet = new_puppet();
    puppet.record.has_parent = true;
    puppet.record.parent_created_s = CREATED;
    expect_bad_answer(store);
    ael_metastore_release(store);
}

static void test_metastore_store__is_not_stored_when_it_failed(void) {
    struct puppet puppet = new_puppet();
    struct ael_metastore *store = open_puppet(&puppet);
    bool stored = false;
    puppet.says_it_did = true;
    puppet.status = AEL_E_OUTCOME_UNKNOWN;
    CU_ASSERT_EQUAL(
        ael_metastore_store(store, NULL, text("id"), &puppet.record, &stored, NULL), AEL_E_OUTCOME_UNKNOWN);
    CU_ASSERT_FALSE(stored);
    puppet.status = AEL_OK;
    CU_ASSERT_EQUAL(ael_metastore_store(store, NULL, text("id"), &puppet.record, &stored, NULL), AEL_OK);
    CU_ASSERT_TRUE(stored);
    ael_metastore_release(store);
}

static void test_metastore_health__asks_for_nothing_where_there_is_no_member(void) {
    struct puppet puppet = new_puppet();
    struct ael_metastore *store = open_puppet(&puppet);
    puppet.status = AEL_E_KEY_NOT_FOUND;
    CU_ASSERT_EQUAL(ael_metastore_health(store, NULL, NULL), AEL_OK);
    puppet.status = AEL_OK;
    CU_ASSERT_EQUAL(ael_metastore_health(store, NULL, NULL), AEL_OK);
    puppet.status = AEL_E_UNREACHABLE;
    CU_ASSERT_EQUAL(ael_metastore_health(store, NULL, NULL), AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(puppet.calls, 3);
    ael_metastore_release(store);
}

/* ---- revocation ---- */

static enum ael_status revoke_in(struct puppet *puppet) {
    struct ael_metastore *store = open_puppet(puppet);
    enum ael_status status = ael_metastore_mark_revoked(store, text("id"), CREATED, NULL, NULL);
    ael_metastore_release(store);
    return status;
}

static void test_metastore_mark_revoked__ends_after_five_lost_races(void) {
    struct puppet puppet = new_puppet();
    CU_ASSERT_EQUAL(revoke_in(&puppet), AEL_E_KEY_CONTENTION);
    CU_ASSERT_EQUAL(puppet.replaces, 5);
    puppet = new_puppet();
    puppet.says_it_did = true;
    CU_ASSERT_EQUAL(revoke_in(&puppet), AEL_OK);
    CU_ASSERT_EQUAL(puppet.replaces, 1);
    CU_ASSERT_EQUAL(puppet.last_call.consistency, AEL_CONSISTENCY_PRIMARY);
}

static void test_metastore_mark_revoked__leaves_a_revoked_key_alone(void) {
    struct puppet puppet = new_puppet();
    puppet.record.revoked = true;
    CU_ASSERT_EQUAL(revoke_in(&puppet), AEL_OK);
    CU_ASSERT_EQUAL(puppet.replaces, 0);
}

static void test_metastore_mark_revoked__looks_again_after_an_unknown_outcome(void) {
    struct puppet puppet = new_puppet();
    puppet.replace_status = AEL_E_OUTCOME_UNKNOWN;
    CU_ASSERT_EQUAL(revoke_in(&puppet), AEL_E_OUTCOME_UNKNOWN);
    CU_ASSERT_EQUAL(puppet.calls, 5);
}

static void test_metastore_mark_revoked__hands_failures_on(void) {
    struct puppet puppet = new_puppet();
    puppet.status = AEL_E_UNREACHABLE;
    CU_ASSERT_EQUAL(revoke_in(&puppet), AEL_E_UNREACHABLE);
    puppet = new_puppet();
    puppet.replace_status = AEL_E_KEY_NOT_FOUND; /* somebody removed it in between */
    CU_ASSERT_EQUAL(revoke_in(&puppet), AEL_E_KEY_NOT_FOUND);
    CU_ASSERT_EQUAL(puppet.replaces, 1);
}

/* ---- metrics ---- */

struct heard {
    const char *names[8];
    size_t count;
};

static void hear(void *context, enum ael_metric_kind kind, const char *name, int64_t value) {
    struct heard *heard = context;
    CU_ASSERT_EQUAL(kind, AEL_METRIC_TIMER_NS);
    CU_ASSERT(value >= 0);
    if (heard->count < 8) {
        heard->names[heard->count++] = name;
    }
}

static void call_each(struct ael_metastore *store, const struct ael_key_record *record) {
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    bool stored = false;
    CU_ASSERT_EQUAL(ael_metastore_load(store, NULL, text("id"), CREATED, &out, NULL), AEL_OK);
    CU_ASSERT_EQUAL(ael_metastore_load_latest(store, NULL, text("id"), &out, NULL), AEL_OK);
    CU_ASSERT_EQUAL(ael_metastore_store(store, NULL, text("id"), record, &stored, NULL), AEL_OK);
    ael_key_record_buf_clear(&out);
}

static void test_metastore_calls__are_timed_under_the_kinds_name(void) {
    struct heard heard = {{NULL}, 0};
    struct ael_hooks hooks = AEL_HOOKS_INIT;
    struct puppet puppet = new_puppet();
    struct ael_metastore_vtable table = k_puppet;
    struct ael_metastore *store = open_puppet(&puppet);
    struct ael_metastore *sql = NULL;
    table.metric_kind = "sql";
    CU_ASSERT_EQUAL_FATAL(ael_metastore_new(&table, &puppet, &sql), AEL_OK);
    hooks.context = &heard;
    hooks.metric = hear;
    CU_ASSERT_EQUAL(ael_hooks_set(&hooks), AEL_OK);
    call_each(store, &puppet.record);
    call_each(sql, &puppet.record);
    CU_ASSERT_EQUAL(ael_hooks_set(NULL), AEL_OK);
    ael_metastore_release(store);
    ael_metastore_release(sql);
    CU_ASSERT_EQUAL_FATAL(heard.count, 6);
    CU_ASSERT_STRING_EQUAL(heard.names[0], "ael.metastore.puppet.load"); /* after the handle's end */
    CU_ASSERT_STRING_EQUAL(heard.names[1], "ael.metastore.puppet.loadlatest");
    CU_ASSERT_STRING_EQUAL(heard.names[2], "ael.metastore.puppet.store");
    CU_ASSERT_STRING_EQUAL(heard.names[3], "ael.metastore.sql.load");
    CU_ASSERT_STRING_EQUAL(heard.names[4], "ael.metastore.sql.loadlatest");
    CU_ASSERT_STRING_EQUAL(heard.names[5], "ael.metastore.sql.store");
}

static void test_metastore__is_told_of_forks_until_it_is_released(void) {
    struct puppet puppet = new_puppet();
    struct ael_metastore *store = open_puppet(&puppet);
    CU_ASSERT_EQUAL(child_of(&puppet), BEFORE + IN_CHILD);
    CU_ASSERT_EQUAL(puppet.forks, BEFORE + IN_PARENT);
    ael_metastore_release(store);
    CU_ASSERT_EQUAL(child_of(&puppet), BEFORE + IN_PARENT);
    CU_ASSERT_EQUAL(puppet.forks, BEFORE + IN_PARENT);
}

static const struct test_case k_cases[] = {
    {"tables that are none are refused", test_metastore_new__refuses_tables_that_are_none},
    {"the shortest table will do", test_metastore_new__takes_the_shortest_table},
    {"failed allocations are a status", test_metastore_new__survives_each_failed_allocation},
    {"the last holder ends the backend", test_metastore_release__ends_the_backend_with_the_last_holder},
    {"NULL is refused", test_metastore_calls__refuse_what_is_null},
    {"records out of range are refused", test_metastore_store__refuses_records_out_of_range},
    {"the default deadline becomes a fixed one", test_metastore_load__fixes_the_default_deadline},
    {"a call of no known size is refused", test_metastore_load__refuses_a_call_of_no_known_size},
    {"a failed load leaves nothing", test_metastore_load__empties_what_a_failing_backend_left},
    {"the backend's answer is checked", test_metastore_load__checks_the_answer},
    {"a failed store stored nothing", test_metastore_store__is_not_stored_when_it_failed},
    {"health without a member", test_metastore_health__asks_for_nothing_where_there_is_no_member},
    {"revoking gives up after five races", test_metastore_mark_revoked__ends_after_five_lost_races},
    {"revoking a revoked key changes nothing", test_metastore_mark_revoked__leaves_a_revoked_key_alone},
    {"revoking looks again when unsure", test_metastore_mark_revoked__looks_again_after_an_unknown_outcome},
    {"revoking hands failures on", test_metastore_mark_revoked__hands_failures_on},
    {"calls are timed", test_metastore_calls__are_timed_under_the_kinds_name},
    {"fork reaches the backend", test_metastore__is_told_of_forks_until_it_is_released},
};

TEST_SUITE_MAIN("metastore", k_cases)
