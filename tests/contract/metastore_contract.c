/*
 * tests/contract/metastore_contract.c - what every metastore must do.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "metastore_contract.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    MAX_ID_BYTES = 4096,
    MAX_KEY_BYTES = 16384,
    MAX_THREADS = 64,
    CREATED = 1700000040,
    MINUTE = 60,
};

struct run {
    struct ael_metastore_contract_options options;
    struct ael_metastore *store;
    struct ael_metastore *second; /* NULL when the options have none */
    const char *check;
    char detail[256]; /* the first complaint of the check under way */
    int failed;
};

__attribute__((format(printf, 2, 3))) static void complain(struct run *run, const char *format, ...) {
    va_list args;
    if (run->detail[0] != '\0') {
        return;
    }
    va_start(args, format);
    (void)vsnprintf(run->detail, sizeof run->detail, format, args);
    va_end(args);
}

static void expect(struct run *run, bool holds, const char *what) {
    if (!holds) {
        complain(run, "%s", what);
    }
}

static void expect_status(
    struct run *run,
    const char *what,
    enum ael_status status,
    enum ael_status wanted,
    const struct ael_error *err) {
    if (status != wanted) {
        complain(
            run, "%s: %s instead of %s (%s)", what, ael_status_name(status), ael_status_name(wanted),
            status == AEL_OK || err == NULL ? "" : err->detail);
    } else if (status != AEL_OK && err != NULL && err->status != status) {
        complain(run, "%s: err does not repeat the status", what);
    }
}

/* ---- records ---- */

static struct ael_bytes text(const char *id) {
    return ael_bytes_from_text(id);
}

/* A system key; its key bytes are the text. */
static struct ael_key_record system_key(const char *key, int64_t created_s) {
    struct ael_key_record record = {.created_s = created_s, .key = ael_bytes_from_text(key)};
    return record;
}

static struct ael_key_record intermediate_key(const char *key, int64_t created_s) {
    struct ael_key_record record = system_key(key, created_s);
    record.has_parent = true;
    record.parent_id = text("_SK_svc_prod");
    record.parent_created_s = CREATED;
    return record;
}

/* ---- calls with their expectations ---- */

static void expect_store(
    struct run *run,
    struct ael_metastore *store,
    struct ael_bytes id,
    const struct ael_key_record *record,
    bool wanted) {
    struct ael_error err = {0};
    bool stored = !wanted;
    enum ael_status status = ael_metastore_store(store, NULL, id, record, &stored, &err);
    expect_status(run, "store", status, AEL_OK, &err);
    const char *problem = wanted ? "store: a new row was not stored" : "store: a row was stored twice";
    expect(run, status != AEL_OK || stored == wanted, problem);
}

static void expect_is(
    struct run *run,
    const char *what,
    enum ael_status status,
    const struct ael_key_record_buf *out,
    const struct ael_key_record *wanted,
    const struct ael_error *err) {
    expect_status(run, what, status, AEL_OK, err);
    if (status == AEL_OK && !ael_key_record_equal(&out->record, wanted)) {
        complain(run, "%s: another record came back than was stored", what);
    }
}

static void expect_load(
    struct run *run, struct ael_metastore *store, struct ael_bytes id, const struct ael_key_record *wanted) {
    struct ael_error err = {0};
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    enum ael_status status = ael_metastore_load(store, NULL, id, wanted->created_s, &out, &err);
    expect_is(run, "load", status, &out, wanted, &err);
    ael_key_record_buf_clear(&out);
}

static void expect_latest(
    struct run *run, struct ael_metastore *store, struct ael_bytes id, const struct ael_key_record *wanted) {
    struct ael_error err = {0};
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    enum ael_status status = ael_metastore_load_latest(store, NULL, id, &out, &err);
    expect_is(run, "load_latest", status, &out, wanted, &err);
    ael_key_record_buf_clear(&out);
}

static bool is_empty(const struct ael_key_record_buf *out) {
    return out->storage.len == 0 && out->record.key.len == 0 && out->record.parent_id.len == 0 &&
           out->record.created_s == 0 && !out->record.has_parent && !out->record.revoked;
}

/* Loads into an output that holds an older record, which must not survive a failure. */
static void expect_no_load(
    struct run *run,
    const struct ael_call *call,
    struct ael_bytes id,
    int64_t created_s,
    enum ael_status wanted) {
    struct ael_error err = {0};
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    const struct ael_key_record old = intermediate_key("left over", CREATED);
    expect_status(run, "filling an output", ael_key_record_buf_set(&out, &old), AEL_OK, NULL);
    enum ael_status status = ael_metastore_load(run->store, call, id, created_s, &out, &err);
    expect_status(run, "load", status, wanted, &err);
    expect(run, is_empty(&out), "load: the output is not empty after a failure");
    ael_key_record_buf_clear(&out);
}

static void
expect_no_latest(struct run *run, const struct ael_call *call, struct ael_bytes id, enum ael_status wanted) {
    struct ael_error err = {0};
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    const struct ael_key_record old = intermediate_key("left over", CREATED);
    expect_status(run, "filling an output", ael_key_record_buf_set(&out, &old), AEL_OK, NULL);
    enum ael_status status = ael_metastore_load_latest(run->store, call, id, &out, &err);
    expect_status(run, "load_latest", status, wanted, &err);
    expect(run, is_empty(&out), "load_latest: the output is not empty after a failure");
    ael_key_record_buf_clear(&out);
}

static void expect_replace(
    struct run *run,
    struct ael_bytes id,
    const struct ael_key_record *expected,
    const struct ael_key_record *desired,
    enum ael_status wanted,
    bool wanted_replaced) {
    struct ael_error err = {0};
    bool replaced = !wanted_replaced;
    enum ael_status status = ael_metastore_replace(run->store, NULL, id, expected, desired, &replaced, &err);
    expect_status(run, "replace", status, wanted, &err);
    expect(run, replaced == wanted_replaced, "replace: *replaced is not what happened");
}

/* ---- the store as it is opened ---- */

static void check_name(struct run *run) {
    const char *name = ael_metastore_name(run->store);
    expect(run, name != NULL && name[0] != '\0', "the backend has no name");
}

static void check_health(struct run *run) {
    struct ael_error err = {0};
    expect_status(run, "health", ael_metastore_health(run->store, NULL, &err), AEL_OK, &err);
}

static void check_schema(struct run *run) {
    struct ael_error err = {0};
    const struct ael_key_record key = system_key("kept", CREATED);
    bool missing = (run->options.flags & AEL_METASTORE_CONTRACT_NO_ENSURE_SCHEMA) != 0;
    enum ael_status wanted = missing ? AEL_E_UNSUPPORTED : AEL_OK;
    expect_status(run, "ensure_schema", ael_metastore_ensure_schema(run->store, NULL, &err), wanted, &err);
    expect_store(run, run->store, text("_SK_a_b"), &key, true);
    expect_status(
        run, "ensure_schema again", ael_metastore_ensure_schema(run->store, NULL, &err), wanted, &err);
    expect_load(run, run->store, text("_SK_a_b"), &key);
}

static void check_absent(struct run *run) {
    const struct ael_key_record key = system_key("key", CREATED);
    expect_no_load(run, NULL, text("_SK_none"), CREATED, AEL_E_KEY_NOT_FOUND);
    expect_no_latest(run, NULL, text("_SK_none"), AEL_E_KEY_NOT_FOUND);
    expect_store(run, run->store, text("_SK_some"), &key, true);
    expect_no_load(run, NULL, text("_SK_some"), CREATED + 1, AEL_E_KEY_NOT_FOUND);
    expect_no_load(run, NULL, text("_SK_some"), CREATED - 1, AEL_E_KEY_NOT_FOUND);
    expect_no_load(run, NULL, text("_SK_some"), 0, AEL_E_KEY_NOT_FOUND);
    expect_no_latest(run, NULL, text("_SK_som"), AEL_E_KEY_NOT_FOUND);
    expect_no_latest(run, NULL, text("_SK_some_"), AEL_E_KEY_NOT_FOUND);
}

/* ---- storing and loading ---- */

static void check_round_trip(struct run *run) {
    struct ael_key_record system = system_key("system key", CREATED);
    struct ael_key_record intermediate = intermediate_key("intermediate key", CREATED + MINUTE);
    struct ael_key_record revoked = intermediate_key("revoked from the start", CREATED + 2 * MINUTE);
    revoked.revoked = true;
    expect_store(run, run->store, text("_SK_svc_prod"), &system, true);
    expect_store(run, run->store, text("_IK_p_svc_prod"), &intermediate, true);
    expect_store(run, run->store, text("_IK_p_svc_prod"), &revoked, true);
    expect_load(run, run->store, text("_SK_svc_prod"), &system);
    expect_load(run, run->store, text("_IK_p_svc_prod"), &intermediate);
    expect_load(run, run->store, text("_IK_p_svc_prod"), &revoked);
}

static void check_every_byte(struct run *run) {
    uint8_t bytes[256];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)i;
    }
    struct ael_key_record record = intermediate_key("", CREATED);
    record.key = (struct ael_bytes){bytes, sizeof bytes};
    expect_store(run, run->store, text("_IK_bytes"), &record, true);
    expect_load(run, run->store, text("_IK_bytes"), &record);
    record.key.len = 1; /* one NUL byte */
    record.created_s++;
    expect_store(run, run->store, text("_IK_bytes"), &record, true);
    expect_load(run, run->store, text("_IK_bytes"), &record);
}

static void check_duplicates(struct run *run) {
    const struct ael_key_record first = system_key("first", CREATED);
    const struct ael_key_record later = intermediate_key("later", CREATED);
    expect_store(run, run->store, text("_SK_twice"), &first, true);
    expect_store(run, run->store, text("_SK_twice"), &later, false);
    expect_store(run, run->store, text("_SK_twice"), &first, false);
    expect_load(run, run->store, text("_SK_twice"), &first);
    expect_latest(run, run->store, text("_SK_twice"), &first);
}

/* Stored out of order, with dates of 10, 11 and more digits if the store takes them. */
static void check_latest(struct run *run) {
    const int64_t created[] = {CREATED,         999999960, CREATED + MINUTE, 1, run->options.max_created_s,
                               CREATED - MINUTE};
    int64_t greatest = 0;
    for (size_t i = 0; i < sizeof created / sizeof created[0]; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "key %zu", i);
        struct ael_key_record record = intermediate_key(key, created[i]);
        struct ael_key_record other = system_key("another id", created[i] + (i == 4 ? 0 : 1));
        expect_store(run, run->store, text("_IK_l_s_p"), &record, true);
        expect_store(run, run->store, text("_IK_l_s_p2"), &other, true);
        expect_load(run, run->store, text("_IK_l_s_p"), &record);
        if (created[i] > greatest) {
            greatest = created[i];
            expect_latest(run, run->store, text("_IK_l_s_p"), &record);
        }
    }
    struct ael_key_record last = intermediate_key("key 4", greatest);
    expect_latest(run, run->store, text("_IK_l_s_p"), &last);
}

static void check_far_created(struct run *run) {
    struct ael_key_record first = system_key("the first second", 1);
    struct ael_key_record last = system_key("the last second", run->options.max_created_s);
    expect_store(run, run->store, text("_SK_first"), &first, true);
    expect_load(run, run->store, text("_SK_first"), &first);
    expect_latest(run, run->store, text("_SK_first"), &first);
    expect_store(run, run->store, text("_SK_first"), &last, true);
    expect_load(run, run->store, text("_SK_first"), &last);
    expect_latest(run, run->store, text("_SK_first"), &last);
    expect_load(run, run->store, text("_SK_first"), &first);
}

/* ---- ids are bytes ---- */

static const char *const k_odd_ids[] = {
    "_IK_a_s_p",
    "_IK_A_s_p",
    "_IK_\xc3\xa4_s_p",  /* a umlaut, composed */
    "_IK_a\xcc\x88_s_p", /* a umlaut, combined: another id */
    "_IK_a_s_p ",
    "_IK_a_s_p  ",
    " _IK_a_s_p",
    "_IK_a_s_p\n",
    "_IK_a_s_p\t",
    "_IK_'_s_p",
    "_IK_''_s_p",
    "_IK_\"_s_p",
    "_IK_\\_s_p",
    "_IK_\\\\_s_p",
    "_IK_'; DROP TABLE encryption_key; --_s_p",
    "_IK_%_s_p",
    "_IK___s_p",
    "_IK_*_s_p",
    "_IK_?_s_p",
    "_IK_[a]_s_p",
    "_IK_/../_s_p",
    "_IK_\x01\x1f\x7f_s_p",
    "_IK_\xf0\x9f\x9a\x80_s_p", /* a rocket */
    "_IK_\xe6\x97\xa5\xe6\x9c\xac_s_p",
    "_IK_\xef\xbf\xbf_s_p", /* U+FFFF */
    "\xf4\x8f\xbf\xbf",     /* U+10FFFF */
    "1",
    "01",
    "1.0",
    "null",
};

static void check_ids(struct run *run) {
    char key[32];
    size_t count = sizeof k_odd_ids / sizeof k_odd_ids[0];
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(key, sizeof key, "key of id %zu", i);
        struct ael_key_record record = intermediate_key(key, CREATED);
        record.parent_id = text(k_odd_ids[count - 1 - i]);
        expect_store(run, run->store, text(k_odd_ids[i]), &record, true);
    }
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(key, sizeof key, "key of id %zu", i);
        struct ael_key_record record = intermediate_key(key, CREATED);
        record.parent_id = text(k_odd_ids[count - 1 - i]);
        expect_load(run, run->store, text(k_odd_ids[i]), &record);
        expect_latest(run, run->store, text(k_odd_ids[i]), &record);
    }
}

static void check_largest(struct run *run) {
    static uint8_t id[MAX_ID_BYTES];
    static uint8_t key[MAX_KEY_BYTES];
    memset(id, 'i', sizeof id);
    memset(key, 0xff, sizeof key);
    struct ael_bytes long_id = {id, run->options.max_id_bytes};
    struct ael_key_record record = intermediate_key("", CREATED);
    record.key = (struct ael_bytes){key, run->options.max_key_bytes};
    record.parent_id = long_id;
    expect_store(run, run->store, long_id, &record, true);
    expect_load(run, run->store, long_id, &record);
    expect_latest(run, run->store, long_id, &record);
    long_id.len--; /* an id that is cut off is another id */
    expect_no_latest(run, NULL, long_id, AEL_E_KEY_NOT_FOUND);
}

static void expect_refused_id(struct run *run, struct ael_bytes id, enum ael_status wanted) {
    struct ael_error err = {0};
    const struct ael_key_record record = system_key("key", CREATED);
    bool stored = true;
    expect_no_load(run, NULL, id, CREATED, wanted);
    expect_no_latest(run, NULL, id, wanted);
    expect_status(
        run, "store", ael_metastore_store(run->store, NULL, id, &record, &stored, &err), wanted, &err);
    expect(run, !stored, "store: stored is true after a failure");
}

static void check_bad_ids(struct run *run) {
    static uint8_t id[MAX_ID_BYTES + 1];
    memset(id, 'i', sizeof id);
    expect_refused_id(run, (struct ael_bytes){NULL, 0}, AEL_E_ARGUMENT);
    expect_refused_id(run, (struct ael_bytes){id, 0}, AEL_E_ARGUMENT);
    expect_refused_id(run, (struct ael_bytes){id, sizeof id}, AEL_E_TOO_LARGE);
    expect_refused_id(run, (struct ael_bytes){(const uint8_t *)"a\0b", 3}, AEL_E_ARGUMENT);
    expect_refused_id(run, text("_IK_\xff_s_p"), AEL_E_ARGUMENT);
}

/* ---- listing ---- */

struct listing {
    struct run *run;
    const char *wanted[8]; /* "id@created", in order */
    size_t wanted_count;
    size_t count;
    size_t stop_after; /* 0 = never */
};

static bool
visit(void *context, struct ael_bytes id, int64_t created_s, const struct ael_key_record *record) {
    struct listing *listing = context;
    char row[80];
    (void)snprintf(row, sizeof row, "%.*s@%lld", (int)id.len, (const char *)id.data, (long long)created_s);
    if (listing->count >= listing->wanted_count) {
        complain(listing->run, "list: %s came, which was not wanted", row);
    } else if (strcmp(listing->wanted[listing->count], row) != 0) {
        complain(listing->run, "list: %s came instead of %s", row, listing->wanted[listing->count]);
    }
    if (record->created_s != created_s || record->key.len == 0) {
        complain(listing->run, "list: the record of %s is not its own", row);
    }
    listing->count++;
    return listing->count != listing->stop_after;
}

static void expect_list(struct run *run, const char *prefix, struct listing *listing) {
    struct ael_error err = {0};
    enum ael_status status = ael_metastore_list(run->store, NULL, text(prefix), visit, listing, &err);
    expect_status(run, "list", status, AEL_OK, &err);
    if (status == AEL_OK && listing->count != listing->wanted_count) {
        complain(run, "list of %s: %zu rows instead of %zu", prefix, listing->count, listing->wanted_count);
    }
}

static void fill_for_listing(struct run *run) {
    const char *const ids[] = {"_SK_s_p", "_IK_b_s_p", "_IK_a_s_p", "_IK_%_s_p", "_IK_A_s_p", "xIKxaxsxp"};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        struct ael_key_record record = system_key(ids[i], 20);
        expect_store(run, run->store, text(ids[i]), &record, true);
    }
    struct ael_key_record older = system_key("older", 3); /* as text "3" comes behind "20" */
    expect_store(run, run->store, text("_IK_a_s_p"), &older, true);
}

static void check_list(struct run *run) {
    if (run->options.flags & AEL_METASTORE_CONTRACT_NO_LIST) {
        struct ael_error err = {0};
        enum ael_status status = ael_metastore_list(run->store, NULL, text(""), visit, run, &err);
        expect_status(run, "list", status, AEL_E_UNSUPPORTED, &err);
        return;
    }
    struct listing empty = {.run = run};
    expect_list(run, "", &empty);
    fill_for_listing(run);
    struct listing all = {
        run,
        {"_IK_%_s_p@20", "_IK_A_s_p@20", "_IK_a_s_p@3", "_IK_a_s_p@20", "_IK_b_s_p@20", "_SK_s_p@20",
         "xIKxaxsxp@20"},
        7,
        0,
        0};
    expect_list(run, "", &all);
    struct listing intermediate = {
        run, {"_IK_%_s_p@20", "_IK_A_s_p@20", "_IK_a_s_p@3", "_IK_a_s_p@20", "_IK_b_s_p@20"}, 5, 0, 0};
    expect_list(run, "_IK_", &intermediate);
    struct listing percent = {run, {"_IK_%_s_p@20"}, 1, 0, 0};
    expect_list(run, "_IK_%", &percent);
    struct listing exact = {run, {"_IK_a_s_p@3", "_IK_a_s_p@20"}, 2, 0, 0};
    expect_list(run, "_IK_a_s_p", &exact);
    struct listing none = {.run = run};
    expect_list(run, "_IK_a_s_p_", &none);
    struct listing stopped = {run, {"_IK_%_s_p@20", "_IK_A_s_p@20"}, 2, 0, 2};
    expect_list(run, "", &stopped);
}

/* ---- replacing ---- */

static void check_replace(struct run *run) {
    struct ael_key_record first = intermediate_key("first", CREATED);
    struct ael_key_record second = system_key("second, without a parent", CREATED);
    struct ael_bytes id = text("_IK_r_s_p");
    if (run->options.flags & AEL_METASTORE_CONTRACT_NO_REPLACE) {
        expect_replace(run, id, &first, &second, AEL_E_UNSUPPORTED, false);
        return;
    }
    expect_replace(run, id, &first, &second, AEL_E_KEY_NOT_FOUND, false);
    expect_store(run, run->store, id, &first, true);
    struct ael_key_record other_date = first;
    other_date.created_s++;
    expect_replace(run, id, &other_date, &other_date, AEL_E_KEY_NOT_FOUND, false);
    expect_replace(run, id, &first, &other_date, AEL_E_ARGUMENT, false);
    expect_replace(run, id, &first, &second, AEL_OK, true);
    expect_load(run, run->store, id, &second);
    expect_replace(run, id, &first, &second, AEL_OK, false);
    expect_load(run, run->store, id, &second);
    expect_replace(run, id, &second, &second, AEL_OK, true);
    expect_latest(run, run->store, id, &second);
}

/* A record that differs in any one member is not the expected one. */
static void check_replace_compares(struct run *run) {
    if (run->options.flags & AEL_METASTORE_CONTRACT_NO_REPLACE) {
        return;
    }
    struct ael_bytes id = text("_IK_c_s_p");
    const struct ael_key_record present = intermediate_key("present", CREATED);
    const struct ael_key_record desired = intermediate_key("desired", CREATED);
    struct ael_key_record others[6];
    for (size_t i = 0; i < 6; i++) {
        others[i] = present;
    }
    others[0].revoked = true;
    others[1].key = text("presenT");
    others[2].key.len--;
    others[3].parent_id = text("_SK_svc_proD");
    others[4].parent_created_s++;
    others[5] = system_key("present", CREATED);
    expect_store(run, run->store, id, &present, true);
    for (size_t i = 0; i < 6; i++) {
        expect_replace(run, id, &others[i], &desired, AEL_OK, false);
        expect_load(run, run->store, id, &present);
    }
}

static enum ael_status revoke(struct run *run, const char *id, int64_t created_s, struct ael_error *err) {
    return ael_metastore_mark_revoked(run->store, text(id), created_s, NULL, err);
}

static void check_mark_revoked(struct run *run) {
    struct ael_error err = {0};
    struct ael_key_record older = intermediate_key("older", CREATED);
    struct ael_key_record newer = intermediate_key("newer", CREATED + MINUTE);
    expect_store(run, run->store, text("_IK_m_s_p"), &older, true);
    expect_store(run, run->store, text("_IK_m_s_p"), &newer, true);
    if (run->options.flags & AEL_METASTORE_CONTRACT_NO_REPLACE) {
        expect_status(run, "mark_revoked", revoke(run, "_IK_m_s_p", CREATED, &err), AEL_E_UNSUPPORTED, &err);
        return;
    }
    expect_status(run, "mark_revoked", revoke(run, "_IK_m_s_p", CREATED, &err), AEL_OK, &err);
    expect_status(run, "mark_revoked again", revoke(run, "_IK_m_s_p", CREATED, &err), AEL_OK, &err);
    older.revoked = true;
    expect_load(run, run->store, text("_IK_m_s_p"), &older);
    expect_latest(run, run->store, text("_IK_m_s_p"), &newer);
    expect_status(
        run, "mark_revoked of none", revoke(run, "_IK_m_s_p", CREATED + 1, &err), AEL_E_KEY_NOT_FOUND, &err);
}

/* ---- calls that are over ---- */

static bool
refuse_visit(void *context, struct ael_bytes id, int64_t created_s, const struct ael_key_record *record) {
    (void)id;
    (void)created_s;
    (void)record;
    complain(context, "list: a row came after the call was over");
    return false;
}

static void expect_over_when_reading(struct run *run, const struct ael_call *call, enum ael_status wanted) {
    struct ael_error err = {0};
    expect_no_load(run, call, text("_IK_o_s_p"), CREATED, wanted);
    expect_no_latest(run, call, text("_IK_o_s_p"), wanted);
    expect_status(run, "health", ael_metastore_health(run->store, call, &err), wanted, &err);
    if (!(run->options.flags & AEL_METASTORE_CONTRACT_NO_LIST)) {
        enum ael_status status = ael_metastore_list(run->store, call, text(""), refuse_visit, run, &err);
        expect_status(run, "list", status, wanted, &err);
    }
}

static void expect_over_when_writing(struct run *run, const struct ael_call *call, enum ael_status wanted) {
    struct ael_error err = {0};
    const struct ael_key_record present = intermediate_key("present", CREATED);
    const struct ael_key_record other = intermediate_key("other", CREATED);
    bool done = true;
    expect_status(
        run, "store", ael_metastore_store(run->store, call, text("_IK_new"), &other, &done, &err), wanted,
        &err);
    expect(run, !done, "store: stored is true after a failure");
    expect_no_latest(run, NULL, text("_IK_new"), AEL_E_KEY_NOT_FOUND);
    if (run->options.flags & AEL_METASTORE_CONTRACT_NO_REPLACE) {
        return;
    }
    done = true;
    enum ael_status status =
        ael_metastore_replace(run->store, call, text("_IK_o_s_p"), &present, &other, &done, &err);
    expect_status(run, "replace", status, wanted, &err);
    expect(run, !done, "replace: replaced is true after a failure");
    status = ael_metastore_mark_revoked(run->store, text("_IK_o_s_p"), CREATED, call, &err);
    expect_status(run, "mark_revoked", status, wanted, &err);
}

static void expect_over(struct run *run, const struct ael_call *call, enum ael_status wanted) {
    const struct ael_key_record present = intermediate_key("present", CREATED);
    expect_store(run, run->store, text("_IK_o_s_p"), &present, true);
    expect_over_when_reading(run, call, wanted);
    expect_over_when_writing(run, call, wanted);
    expect_load(run, run->store, text("_IK_o_s_p"), &present);
}

static void check_deadline(struct run *run) {
    struct ael_call call = AEL_CALL_INIT;
    call.deadline_ns = ael_deadline_in_ms(0);
    expect_over(run, &call, AEL_E_TIMEOUT);
}

static void check_cancelled(struct run *run) {
    struct ael_call call = AEL_CALL_INIT;
    struct ael_cancel *cancel = NULL;
    enum ael_status status = ael_cancel_new(&cancel);
    expect_status(run, "a cancel token", status, AEL_OK, NULL);
    if (status != AEL_OK) {
        return;
    }
    call.cancel = cancel;
    ael_cancel_trigger(cancel);
    expect_over(run, &call, AEL_E_CANCELLED);
    ael_cancel_free(cancel);
}

static void check_primary(struct run *run) {
    struct ael_error err = {0};
    struct ael_call call = AEL_CALL_INIT;
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    const struct ael_key_record record = system_key("just written", CREATED);
    call.consistency = AEL_CONSISTENCY_PRIMARY;
    expect_store(run, run->store, text("_SK_primary"), &record, true);
    enum ael_status status = ael_metastore_load(run->store, &call, text("_SK_primary"), CREATED, &out, &err);
    expect_is(run, "load from the primary", status, &out, &record, &err);
    status = ael_metastore_load_latest(run->store, &call, text("_SK_primary"), &out, &err);
    expect_is(run, "load_latest from the primary", status, &out, &record, &err);
    ael_key_record_buf_clear(&out);
}

/* ---- several handles, several threads ---- */

static void check_second_handle(struct run *run) {
    const struct ael_key_record first = intermediate_key("by the first", CREATED);
    const struct ael_key_record second = intermediate_key("by the second", CREATED);
    const struct ael_key_record newer = intermediate_key("newer, by the second", CREATED + MINUTE);
    struct ael_bytes id = text("_IK_two_s_p");
    if (run->second == NULL) {
        return;
    }
    expect_store(run, run->store, id, &first, true);
    expect_load(run, run->second, id, &first);
    expect_store(run, run->second, id, &second, false);
    expect_store(run, run->second, id, &newer, true);
    expect_latest(run, run->store, id, &newer);
    expect_load(run, run->store, id, &first);
}

enum gate { GATE_SHUT, GATE_OPEN, GATE_CALLED_OFF };

struct racers {
    struct run *run;
    bool replaces;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    enum gate gate; /* under mutex */
};

struct racer {
    struct racers *race;
    pthread_t thread;
    unsigned number;
    enum ael_status status;
    bool won;
    char key[32];
};

static struct ael_metastore *store_of(const struct racer *racer) {
    const struct run *run = racer->race->run;
    return run->second != NULL && racer->number % 2 == 1 ? run->second : run->store;
}

static void set_gate(struct racers *race, enum gate gate) {
    (void)pthread_mutex_lock(&race->mutex);
    race->gate = gate;
    (void)pthread_cond_broadcast(&race->changed);
    (void)pthread_mutex_unlock(&race->mutex);
}

/* Waits until all threads are there; false when the race is called off. */
static bool wait_for_start(struct racers *race) {
    (void)pthread_mutex_lock(&race->mutex);
    while (race->gate == GATE_SHUT) {
        (void)pthread_cond_wait(&race->changed, &race->mutex);
    }
    bool starts = race->gate == GATE_OPEN;
    (void)pthread_mutex_unlock(&race->mutex);
    return starts;
}

/* All want the same row; each with a key of its own. */
static void *race_for_one(void *argument) {
    struct racer *racer = argument;
    const struct ael_key_record before = intermediate_key("before", CREATED);
    (void)snprintf(racer->key, sizeof racer->key, "key of racer %u", racer->number);
    struct ael_key_record mine = intermediate_key(racer->key, CREATED);
    if (!wait_for_start(racer->race)) {
        return NULL;
    }
    if (racer->race->replaces) {
        racer->status =
            ael_metastore_replace(store_of(racer), NULL, text("_IK_race"), &before, &mine, &racer->won, NULL);
    } else {
        racer->status =
            ael_metastore_store(store_of(racer), NULL, text("_IK_race"), &mine, &racer->won, NULL);
    }
    return NULL;
}

/* Runs the function on all threads; those of them that could not be started are a complaint. */
static void run_racers(struct racers *race, struct racer *racers, void *(*function)(void *)) {
    unsigned count = race->run->options.threads;
    unsigned started = 0;
    for (unsigned i = 0; i < count; i++) {
        racers[i] = (struct racer){.race = race, .number = i};
    }
    while (started < count &&
           pthread_create(&racers[started].thread, NULL, function, &racers[started]) == 0) {
        started++;
    }
    if (started < count) {
        complain(race->run, "only %u of %u threads could be started", started, count);
    }
    set_gate(race, started == count ? GATE_OPEN : GATE_CALLED_OFF);
    for (unsigned i = 0; i < started; i++) {
        (void)pthread_join(racers[i].thread, NULL);
    }
    (void)pthread_cond_destroy(&race->changed);
    (void)pthread_mutex_destroy(&race->mutex);
}

static void expect_one_winner(struct run *run, const struct racer *racers) {
    const struct racer *winner = NULL;
    for (unsigned i = 0; i < run->options.threads; i++) {
        expect_status(run, "a racer's call", racers[i].status, AEL_OK, NULL);
        if (racers[i].won && winner != NULL) {
            complain(run, "racers %u and %u both won", winner->number, racers[i].number);
        }
        winner = racers[i].won ? &racers[i] : winner;
    }
    if (winner == NULL) {
        complain(run, "nobody won the race");
        return;
    }
    struct ael_key_record wanted = intermediate_key(winner->key, CREATED);
    expect_load(run, run->store, text("_IK_race"), &wanted);
    expect_latest(run, run->store, text("_IK_race"), &wanted);
}

static void check_store_race(struct run *run) {
    struct racer racers[MAX_THREADS];
    struct racers race = {run, false, PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, GATE_SHUT};
    run_racers(&race, racers, race_for_one);
    if (run->detail[0] == '\0') {
        expect_one_winner(run, racers);
    }
}

static void check_replace_race(struct run *run) {
    struct racer racers[MAX_THREADS];
    struct racers race = {run, true, PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, GATE_SHUT};
    const struct ael_key_record before = intermediate_key("before", CREATED);
    if (run->options.flags & AEL_METASTORE_CONTRACT_NO_REPLACE) {
        return;
    }
    expect_store(run, run->store, text("_IK_race"), &before, true);
    run_racers(&race, racers, race_for_one);
    if (run->detail[0] == '\0') {
        expect_one_winner(run, racers);
    }
}

/* Each thread stores ids of its own and reads them back at once. */
static void *work_apart(void *argument) {
    struct racer *racer = argument;
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    char id[48];
    if (!wait_for_start(racer->race)) {
        return NULL;
    }
    for (unsigned i = 0; i < 8 && racer->status == AEL_OK; i++) {
        (void)snprintf(id, sizeof id, "_IK_%u_%u", racer->number, i);
        struct ael_key_record mine = intermediate_key(id, CREATED + i);
        bool stored = false;
        racer->status = ael_metastore_store(store_of(racer), NULL, text(id), &mine, &stored, NULL);
        if (racer->status == AEL_OK) {
            racer->status = ael_metastore_load_latest(store_of(racer), NULL, text(id), &out, NULL);
        }
        racer->won = racer->status == AEL_OK && stored && ael_key_record_equal(&out.record, &mine);
        if (!racer->won) {
            break;
        }
    }
    ael_key_record_buf_clear(&out);
    return NULL;
}

static void check_threads_apart(struct run *run) {
    struct racer racers[MAX_THREADS];
    struct racers race = {run, false, PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, GATE_SHUT};
    run_racers(&race, racers, work_apart);
    for (unsigned i = 0; run->detail[0] == '\0' && i < run->options.threads; i++) {
        expect_status(run, "a thread's call", racers[i].status, AEL_OK, NULL);
        expect(run, racers[i].won, "a thread read back another record than it stored");
    }
}

/* ---- running ---- */

struct check {
    const char *name;
    void (*run)(struct run *run);
};

static const struct check k_checks[] = {
    {"the backend has a name", check_name},
    {"a store that was just opened is healthy", check_health},
    {"the schema can be ensured at any time", check_schema},
    {"what is not there is AEL_E_KEY_NOT_FOUND", check_absent},
    {"keys come back as they were stored", check_round_trip},
    {"a key may hold any bytes", check_every_byte},
    {"a duplicate keeps the first and reports stored = false", check_duplicates},
    {"the latest is the one with the greatest created", check_latest},
    {"created may be the first second and the last", check_far_created},
    {"ids are told apart by their bytes", check_ids},
    {"the longest id and the largest key fit", check_largest},
    {"ids that are none are refused", check_bad_ids},
    {"a listing is in order, by prefix, and can be ended", check_list},
    {"a record is replaced when it is the expected one", check_replace},
    {"replace compares every member", check_replace_compares},
    {"a key can be marked as revoked", check_mark_revoked},
    {"a call past its deadline is AEL_E_TIMEOUT and changes nothing", check_deadline},
    {"a cancelled call is AEL_E_CANCELLED and changes nothing", check_cancelled},
    {"the primary shows what was just written", check_primary},
    {"a second handle sees the same store", check_second_handle},
    {"of many threads that store one row exactly one wins", check_store_race},
    {"of many threads that replace one row exactly one wins", check_replace_race},
    {"threads with ids of their own do not disturb each other", check_threads_apart},
};

static bool open_stores(struct run *run) {
    enum ael_status status = run->options.open_empty(run->options.context, &run->store);
    expect_status(run, "opening an empty store", status, AEL_OK, NULL);
    if (status == AEL_OK && run->options.open_second != NULL) {
        status = run->options.open_second(run->options.context, &run->second);
        expect_status(run, "opening a second handle", status, AEL_OK, NULL);
    }
    return status == AEL_OK;
}

static void run_check(struct run *run, const struct check *check) {
    run->check = check->name;
    run->detail[0] = '\0';
    run->store = NULL;
    run->second = NULL;
    if (open_stores(run)) {
        check->run(run);
    }
    ael_metastore_release(run->second);
    ael_metastore_release(run->store);
    bool passed = run->detail[0] == '\0';
    run->failed += passed ? 0 : 1;
    if (!(run->options.flags & AEL_METASTORE_CONTRACT_NO_LINES)) {
        (void)printf("\n    contract: %s: %s", passed ? "ok" : "FAILED", check->name);
    }
    if (run->options.report != NULL) {
        run->options.report(run->options.context, check->name, passed, run->detail);
    } else if (!passed) {
        (void)fprintf(stderr, "metastore contract: %s: %s\n", check->name, run->detail);
    }
}

static bool set_defaults(struct ael_metastore_contract_options *options) {
    options->max_id_bytes = options->max_id_bytes != 0 ? options->max_id_bytes : MAX_ID_BYTES;
    options->max_key_bytes = options->max_key_bytes != 0 ? options->max_key_bytes : MAX_KEY_BYTES;
    options->max_created_s = options->max_created_s != 0 ? options->max_created_s : 4102444800;
    options->threads = options->threads != 0 ? options->threads : 16;
    return options->max_id_bytes <= MAX_ID_BYTES && options->max_key_bytes <= MAX_KEY_BYTES &&
           options->max_created_s > CREATED + 2 * MINUTE && options->threads <= MAX_THREADS;
}

/* see metastore_contract.h */
int ael_metastore_contract_run(const struct ael_metastore_contract_options *options) {
    if (options == NULL || options->size != sizeof *options || options->open_empty == NULL) {
        return -1;
    }
    struct run run = {.options = *options};
    if (!set_defaults(&run.options)) {
        return -1;
    }
    for (size_t i = 0; i < sizeof k_checks / sizeof k_checks[0]; i++) {
        run_check(&run, &k_checks[i]);
    }
    return run.failed;
}
