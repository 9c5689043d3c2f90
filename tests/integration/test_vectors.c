/*
 * test_vectors.c - the vectors of the other implementations, by the public API: every row decrypts, every refusal is
 * a refusal, over a store in memory and over an SQLite file.
 *
 * Needs: libael, libael-sqlite, cJSON, OpenSSL (libcrypto), CUnit, tests/support/vectors.c (which tells where the
 * vectors are looked for).
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ael/ael.h>
#include <ael/metastore_sqlite.h>
#include <ael/sys/kms_backend.h>
#include <ael/sys/metastore_backend.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/gcm.h"
#include "tests/support/hex.h"
#include "tests/support/suite.h"
#include "tests/support/vectors.h"

/* A file of vectors in a store. */
struct world {
    const struct vector_file *file;
    struct ael_metastore *metastore;
};

static bool check(bool good, const struct world *world, const char *what, const char *name) {
    if (!good) {
        printf("\n  %s (%s): %s: %s\n", world->file->name, ael_metastore_name(world->metastore), what, name);
    }
    CU_ASSERT_TRUE(good);
    return good;
}

/* --- every file over every store --- */

typedef size_t (*world_fn)(const struct world *world);

static size_t over_store(const struct vector_file *file, struct ael_metastore *metastore, world_fn run) {
    struct world world = {file, metastore};
    size_t stored = 0;
    check(vector_file_fill(file, metastore, &stored) && stored > 0, &world, "fill the store", "");
    return run(&world);
}

static size_t over_memory(const struct vector_file *file, world_fn run) {
    struct ael_metastore *metastore = NULL;
    CU_ASSERT_EQUAL_FATAL(ael_metastore_memory_new(&metastore), AEL_OK);
    size_t count = over_store(file, metastore, run);
    ael_metastore_release(metastore);
    return count;
}

static void remove_database(const char *folder) {
    static const char *const names[] = {"keys.db", "keys.db-wal", "keys.db-shm"};
    char path[128];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

static size_t over_sqlite(const struct vector_file *file, world_fn run) {
    char folder[] = "/tmp/ael-vectors-XXXXXX";
    char path[64];
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/keys.db", folder);
    struct ael_metastore_sqlite_options options = AEL_METASTORE_SQLITE_OPTIONS_INIT;
    options.path = path;
    struct ael_metastore *metastore = NULL;
    CU_ASSERT_EQUAL_FATAL(ael_metastore_sqlite_new(&options, &metastore, NULL), AEL_OK);
    size_t count = over_store(file, metastore, run);
    ael_metastore_release(metastore);
    remove_database(folder);
    return count;
}

static void over_everything(const char *what, world_fn run) {
    struct vector_set set;
    CU_ASSERT_TRUE_FATAL(vector_set_load(&set));
    size_t memory = 0;
    size_t sqlite = 0;
    for (size_t i = 0; i < set.count; i++) {
        memory += over_memory(&set.files[i], run);
        sqlite += over_sqlite(&set.files[i], run);
    }
    printf("%s: %zu over memory, %zu over SQLite\n", what, memory, sqlite);
    CU_ASSERT_TRUE(set.count > 0);
    CU_ASSERT_TRUE(memory > 0);
    CU_ASSERT_EQUAL(memory, sqlite);
    vector_set_clear(&set);
}

/* --- decrypting --- */

static enum ael_status decrypt(
    const struct world *world,
    const char *suffix,
    struct ael_bytes partition,
    const char *drr,
    struct ael_buf *plain) {
    struct ael_session *session = NULL;
    struct ael_session_factory *factory = vector_file_factory(world->file, world->metastore, suffix);
    if (factory == NULL) {
        return AEL_E_STATE;
    }
    enum ael_status status = ael_session_acquire_bytes(factory, partition, &session, NULL);
    if (status == AEL_OK) {
        status = ael_session_decrypt_json(session, ael_bytes_from_text(drr), plain, NULL, NULL);
    }
    ael_session_release(session);
    ael_session_factory_free(factory);
    return status;
}

static bool holds(const struct ael_buf *plain, struct ael_bytes expected) {
    return plain->len == expected.len &&
           (expected.len == 0 || memcmp(plain->data, expected.data, expected.len) == 0);
}

static void expect_plain(
    const struct world *world,
    const char *suffix,
    struct ael_bytes partition,
    const char *drr,
    struct ael_bytes expected,
    const char *name) {
    struct ael_buf plain = AEL_BUF_INIT;
    enum ael_status status = decrypt(world, suffix, partition, drr, &plain);
    check(status == AEL_OK, world, ael_status_name(status), name);
    check(status != AEL_OK || holds(&plain, expected), world, "another plaintext", name);
    ael_buf_clear(&plain);
}

static void expect_refusal(
    const struct world *world,
    const char *suffix,
    struct ael_bytes partition,
    const char *drr,
    const char *name) {
    struct ael_buf plain = AEL_BUF_INIT;
    enum ael_status status = decrypt(world, suffix, partition, drr, &plain);
    bool fitting = status == AEL_E_RECORD || status == AEL_E_KEY_NOT_FOUND || status == AEL_E_PARTITION ||
                   status == AEL_E_ARGUMENT;
    check(fitting, world, ael_status_name(status), name);
    check(plain.len == 0, world, "output after a refusal", name);
    ael_buf_clear(&plain);
}

static size_t decrypt_rows(const struct world *world) {
    size_t count = 0;
    const cJSON *object = NULL;
    cJSON_ArrayForEach(object, vector_list(world->file, "rows")) {
        struct vector_row row;
        if (check(vector_row_read(object, &row), world, "row is incomplete", row.name)) {
            expect_plain(world, row.suffix, row.partition, row.drr, row.plain, row.name);
            count++;
        }
        vector_row_clear(&row);
    }
    return count;
}

static void test_decrypt__opens_every_row(void) {
    over_everything("rows", decrypt_rows);
}

/* --- reading across regions --- */

/* The form of an AWS region: us-west-2, us-gov-east-1. */
static bool is_region(const char *text) {
    size_t words = 1;
    const char *at = text;
    for (; *at != '\0' && !(*at >= '0' && *at <= '9'); at++) {
        if (!(*at >= 'a' && *at <= 'z') && *at != '-') {
            return false;
        }
        words += *at == '-';
    }
    return words >= 3 && at > text && at[-1] == '-' && at[0] != '\0' &&
           strspn(at, "0123456789") == strlen(at);
}

static char *parent_id_of(const char *drr) {
    cJSON *root = cJSON_Parse(drr);
    const cJSON *meta =
        cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(root, "Key"), "ParentKeyMeta");
    char *id = strdup(vector_text(meta, "KeyId"));
    cJSON_Delete(root);
    return id;
}

/* Our decision where the implementations differ (docs/compatibility.md): which intermediate keys a session accepts. */
static bool
gate_accepts(const struct vector_file *file, const char *partition, const char *suffix, const char *id) {
    char core[4096];
    int len = snprintf(core, sizeof core, "_IK_%s_%s_%s", partition, file->service, file->product);
    if (strncmp(id, core, (size_t)len) != 0) {
        return false;
    }
    const char *rest = id + len;
    if (rest[0] == '\0') {
        return true;
    }
    bool own = suffix[0] != '\0' && strcmp(rest + 1, suffix) == 0;
    return rest[0] == '_' && (own || is_region(rest + 1));
}

static void
read_across(const struct world *world, const cJSON *one, const char *drr, struct ael_bytes plain) {
    const char *suffix = vector_text(one, "session_region_suffix");
    const char *partition = vector_text(one, "partition");
    const char *expect = vector_text(one, "expect");
    const char *name = vector_text(one, "name");
    char *parent = parent_id_of(drr);
    bool accepted = parent != NULL && gate_accepts(world->file, partition, suffix, parent);
    free(parent);
    check(
        strcmp(expect, "sdk-specific") == 0 || accepted == (strcmp(expect, "ok") == 0), world, "rule", name);
    if (accepted) {
        expect_plain(world, suffix, ael_bytes_from_text(partition), drr, plain, name);
    } else {
        expect_refusal(world, suffix, ael_bytes_from_text(partition), drr, name);
    }
}

static size_t read_all_across(const struct world *world) {
    size_t count = 0;
    const cJSON *one = NULL;
    cJSON_ArrayForEach(one, vector_list(world->file, "cross_region")) {
        struct vector_row row = {.drr = vector_text(one, "drr")};
        const cJSON *named = vector_row_find(world->file, vector_text(one, "row"));
        bool found = named != NULL ? vector_row_read(named, &row) : row.drr[0] != '\0';
        if (check(found, world, "no such row", vector_text(one, "name"))) {
            read_across(world, one, row.drr, row.plain);
            count++;
        }
        vector_row_clear(&row);
    }
    return count;
}

static void test_decrypt__reads_across_regions_by_our_gate(void) {
    over_everything("cross-region reads", read_all_across);
}

/* --- refusals --- */

/* The strict choice: what one implementation refuses, we refuse. */
static void try_negative(const struct world *world, const cJSON *one, struct ael_bytes base_plain) {
    const char *name = vector_text(one, "name");
    struct ael_bytes partition = ael_bytes_from_text(vector_text(one, "partition"));
    if (strcmp(vector_text(one, "expect"), "ok") == 0) {
        expect_plain(world, "", partition, vector_text(one, "drr"), base_plain, name);
    } else {
        expect_refusal(world, "", partition, vector_text(one, "drr"), name);
    }
}

static size_t try_negatives(const struct world *world) {
    size_t count = 0;
    const cJSON *one = NULL;
    const char *base = vector_text(vector_list(world->file, "notes"), "base_row");
    struct vector_row row = {.name = base};
    const cJSON *named = vector_row_find(world->file, base);
    bool has_base = named != NULL && vector_row_read(named, &row);
    cJSON_ArrayForEach(one, vector_list(world->file, "negative")) {
        check(has_base, world, "no base row", base);
        try_negative(world, one, row.plain);
        count++;
    }
    vector_row_clear(&row);
    return count;
}

static void test_decrypt__refuses_every_negative_case(void) {
    over_everything("negative and control cases", try_negatives);
}

/* --- layer by layer, with OpenSSL as the second opinion --- */

static enum ael_status copy_key(void *context, struct ael_bytes bytes) {
    memcpy(context, bytes.data, TEST_KEY_BYTES);
    return AEL_OK;
}

static bool
unwrap_system_key(const struct world *world, struct ael_bytes sealed, uint8_t key[TEST_KEY_BYTES]) {
    struct ael_secret *secret = NULL;
    struct ael_kms *kms = vector_file_kms(world->file);
    enum ael_status status = kms == NULL ? AEL_E_KMS : ael_kms_decrypt_key(kms, NULL, sealed, &secret, NULL);
    if (status == AEL_OK) {
        status = ael_secret_with_bytes(secret, copy_key, key);
    }
    ael_secret_release(secret);
    ael_kms_release(kms);
    return status == AEL_OK;
}

/* The plain key of a row of the store, by way of its parent. */
static bool
plain_key(const struct world *world, struct ael_bytes id, int64_t created_s, uint8_t key[TEST_KEY_BYTES]) {
    struct ael_key_record_buf row = AEL_KEY_RECORD_BUF_INIT;
    uint8_t parent[TEST_KEY_BYTES];
    bool good = ael_metastore_load(world->metastore, NULL, id, created_s, &row, NULL) == AEL_OK;
    if (good && !row.record.has_parent) {
        good = unwrap_system_key(world, row.record.key, key);
    } else if (good) {
        good = row.record.key.len == TEST_SEALED_KEY_BYTES &&
               plain_key(world, row.record.parent_id, row.record.parent_created_s, parent) &&
               test_gcm_open(parent, row.record.key.data, row.record.key.len, key);
    }
    ael_key_record_buf_clear(&row);
    return good;
}

static size_t compare_plain_keys(const struct world *world) {
    size_t count = 0;
    const cJSON *row = NULL;
    cJSON_ArrayForEach(row, vector_list(world->file, "metastore")) {
        uint8_t expected[TEST_KEY_BYTES];
        uint8_t key[TEST_KEY_BYTES] = {0};
        const char *id = vector_text(row, "id");
        int64_t created_s = (int64_t)cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(row, "created"));
        if (test_hex_decode(vector_text(row, "plain_key_hex"), expected, sizeof expected) ==
            sizeof expected) {
            bool good = plain_key(world, ael_bytes_from_text(id), created_s, key);
            check(good && memcmp(key, expected, sizeof key) == 0, world, "plain key", id);
            count++;
        }
    }
    return count;
}

static void test_key_records__unwrap_to_the_plain_keys(void) {
    over_everything("plain keys", compare_plain_keys);
}

/* Opens a record with OpenSSL; drk receives its data row key, plain what it holds. */
static bool open_by_layers(
    const struct world *world, const struct ael_record *record, uint8_t drk[TEST_KEY_BYTES], uint8_t *plain) {
    uint8_t ik[TEST_KEY_BYTES];
    return record->key.len == TEST_SEALED_KEY_BYTES &&
           plain_key(world, record->parent_key_id, record->parent_created_s, ik) &&
           test_gcm_open(ik, record->key.data, record->key.len, drk) &&
           test_gcm_open(drk, record->data.data, record->data.len, plain);
}

static bool
layers_hold(const struct world *world, struct ael_bytes drr, struct ael_bytes expected, const char *drk_hex) {
    struct ael_record_buf record = AEL_RECORD_BUF_INIT;
    uint8_t drk[TEST_KEY_BYTES];
    uint8_t expected_drk[TEST_KEY_BYTES];
    uint8_t *plain = malloc(expected.len + TEST_GCM_OVERHEAD);
    bool good = plain != NULL && ael_record_from_json(drr, &record, NULL) == AEL_OK &&
                record.record.data.len == expected.len + TEST_GCM_OVERHEAD &&
                open_by_layers(world, &record.record, drk, plain) &&
                (expected.len == 0 || memcmp(plain, expected.data, expected.len) == 0);
    if (good && drk_hex[0] != '\0') {
        good = test_hex_decode(drk_hex, expected_drk, sizeof expected_drk) == sizeof expected_drk &&
               memcmp(drk, expected_drk, sizeof drk) == 0;
    }
    ael_record_buf_clear(&record);
    free(plain);
    return good;
}

static size_t open_rows_by_layers(const struct world *world) {
    size_t count = 0;
    const cJSON *object = NULL;
    cJSON_ArrayForEach(object, vector_list(world->file, "rows")) {
        struct vector_row row;
        bool good =
            vector_row_read(object, &row) &&
            layers_hold(world, ael_bytes_from_text(row.drr), row.plain, vector_text(object, "drk_hex"));
        check(good, world, "layers", row.name);
        vector_row_clear(&row);
        count++;
    }
    return count;
}

static void test_record_from_json__gives_rows_that_open_by_layers(void) {
    over_everything("rows by layers", open_rows_by_layers);
}

/* Encrypts a row's plaintext anew, in its partition and region, over the store of the vectors. */
static bool encrypt_anew(const struct world *world, const struct vector_row *row, struct ael_buf *json) {
    struct ael_session *session = NULL;
    struct ael_session_factory *factory = vector_file_factory(world->file, world->metastore, row->suffix);
    bool good = factory != NULL &&
                ael_session_acquire_bytes(factory, row->partition, &session, NULL) == AEL_OK &&
                ael_session_encrypt_json(session, row->plain, json, NULL, NULL) == AEL_OK;
    ael_session_release(session);
    ael_session_factory_free(factory);
    return good;
}

static size_t encrypt_rows_anew(const struct world *world) {
    size_t count = 0;
    const cJSON *object = NULL;
    cJSON_ArrayForEach(object, vector_list(world->file, "rows")) {
        struct vector_row row;
        struct ael_buf json = AEL_BUF_INIT;
        bool good = vector_row_read(object, &row) && encrypt_anew(world, &row, &json) &&
                    layers_hold(world, ael_buf_view(&json), row.plain, "");
        check(good, world, "a record of ours by layers", row.name);
        ael_buf_clear(&json);
        vector_row_clear(&row);
        count++;
    }
    return count;
}

static void test_encrypt__writes_records_that_open_by_layers(void) {
    over_everything("own records by layers", encrypt_rows_anew);
}

static const struct test_case k_cases[] = {
    {"every row decrypts", test_decrypt__opens_every_row},
    {"reads across regions follow our gate", test_decrypt__reads_across_regions_by_our_gate},
    {"negative cases are refused, controls decrypt", test_decrypt__refuses_every_negative_case},
    {"key records unwrap to the plain keys", test_key_records__unwrap_to_the_plain_keys},
    {"rows open layer by layer", test_record_from_json__gives_rows_that_open_by_layers},
    {"our own records open layer by layer", test_encrypt__writes_records_that_open_by_layers},
};

TEST_SUITE_MAIN("vectors", k_cases)
