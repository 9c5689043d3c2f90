/*
 * test_metastore_sqlite_file.c - what becomes of an SQLite store whose file is open to others, damaged, no file, or on
 * a file system that cannot hold it; and what stays in the file of what was replaced.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "metastore/sqlite/file.h"

#include "tests/support/soak.h"
#include "tests/support/sqlite_place.h"
#include "tests/support/suite.h"

#include <ael/hooks.h>
#include <ael/sys/metastore_backend.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CREATED = 1795255320, KEYS = 60, ID_BYTES = 32, FILE_BYTES = 65536 };

#define KEY      "the bytes of a wrapped key."          /* 27 bytes */
#define KEY_TEXT "dGhlIGJ5dGVzIG9mIGEgd3JhcHBlZCBrZXku" /* as the file has them */

static enum ael_status try_open(const char *path, struct ael_metastore **store, struct ael_error *err) {
    struct ael_metastore_sqlite_options options = AEL_METASTORE_SQLITE_OPTIONS_INIT;
    options.path = path;
    return ael_metastore_sqlite_new(&options, store, err);
}

static void expect_refused(const char *path, const char *piece) {
    struct ael_error err = {0};
    struct ael_metastore *store = NULL;
    CU_ASSERT_EQUAL(try_open(path, &store, &err), AEL_E_BACKEND);
    CU_ASSERT_PTR_NULL(store);
    CU_ASSERT_EQUAL(err.status, AEL_E_BACKEND);
    CU_ASSERT_NOT_EQUAL(err.native_code, 0);
    if (strstr(err.detail, piece) == NULL) {
        printf("\n    %s: not in: %s\n", piece, err.detail);
        CU_FAIL("another sentence");
    }
}

static enum ael_status
store_key(struct ael_metastore *store, const char *id, int64_t created_s, struct ael_error *err) {
    const struct ael_key_record record = {.created_s = created_s, .key = ael_bytes_from_text(KEY)};
    bool stored = false;
    enum ael_status status = ael_metastore_store(store, NULL, ael_bytes_from_text(id), &record, &stored, err);
    CU_ASSERT(status == AEL_OK || !stored);
    return status;
}

static void write_file(const char *path, const void *bytes, size_t len) {
    FILE *file = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    CU_ASSERT_EQUAL(fwrite(bytes, 1, len, file), len);
    CU_ASSERT_EQUAL(fclose(file), 0);
}

static size_t read_file(const char *path, char *bytes, size_t size) {
    FILE *file = fopen(path, "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    size_t len = fread(bytes, 1, size, file);
    CU_ASSERT_EQUAL(fclose(file), 0);
    return len;
}

/* ---- who may touch it ---- */

static unsigned g_warnings;

static void count_line(void *context, enum ael_log_level level, const char *component, const char *message) {
    (void)context;
    g_warnings += level == AEL_LOG_WARN && strcmp(component, "metastore/sqlite") == 0 &&
                  strstr(message, "0600") != NULL;
}

static void watch_log(bool on) {
    struct ael_hooks hooks = AEL_HOOKS_INIT;
    hooks.log = on ? count_line : NULL;
    g_warnings = 0;
    CU_ASSERT_EQUAL(ael_hooks_set(&hooks), AEL_OK);
}

static unsigned mode_of(const struct sqlite_place *place, const char *end) {
    char path[128];
    struct stat file = {0};
    (void)snprintf(path, sizeof path, "%s%s", place->path, end);
    CU_ASSERT_EQUAL(stat(path, &file), 0);
    return (unsigned)file.st_mode & 07777;
}

static void test_sqlite_file_make__leaves_it_to_its_owner(void) {
    struct sqlite_place place = sqlite_place_new();
    mode_t before = umask(0);
    watch_log(true);
    struct ael_metastore *store = sqlite_place_open(&place);
    CU_ASSERT_EQUAL(store_key(store, "id", CREATED, NULL), AEL_OK);
    CU_ASSERT_EQUAL(mode_of(&place, ""), 0600);
    CU_ASSERT_EQUAL(mode_of(&place, "-wal"), 0600);
    CU_ASSERT_EQUAL(mode_of(&place, "-shm"), 0600);
    CU_ASSERT_EQUAL(g_warnings, 0);
    ael_metastore_release(store);
    (void)umask(before);
    watch_log(false);
    sqlite_place_remove(&place);
}

static void test_sqlite_file_check__warns_of_what_others_may_read(void) {
    static const struct {
        mode_t mode;
        unsigned warnings;
    } k_modes[] = {{0600, 0}, {0640, 0}, {0644, 1}, {0660, 1}, {0664, 1}, {0604, 1}};
    struct sqlite_place place = sqlite_place_new();
    ael_metastore_release(sqlite_place_open(&place));
    for (size_t i = 0; i < sizeof k_modes / sizeof k_modes[0]; i++) {
        CU_ASSERT_EQUAL(chmod(place.path, k_modes[i].mode), 0);
        watch_log(true);
        struct ael_metastore *store = sqlite_place_open(&place);
        CU_ASSERT_EQUAL(store_key(store, "id", CREATED, NULL), AEL_OK);
        CU_ASSERT_EQUAL(g_warnings, k_modes[i].warnings); /* one a store */
        ael_metastore_release(store);
    }
    watch_log(false);
    sqlite_place_remove(&place);
}

static void test_sqlite_file_check__refuses_what_anybody_may_write(void) {
    struct sqlite_place place = sqlite_place_new();
    ael_metastore_release(sqlite_place_open(&place));
    CU_ASSERT_EQUAL(chmod(place.path, 0602), 0);
    expect_refused(place.path, "mode 0602, and anybody could take its keys away; chmod it to 0600");
    CU_ASSERT_EQUAL(chmod(place.path, 0600), 0);
    ael_metastore_release(sqlite_place_open(&place));
    sqlite_place_remove(&place);
}

static void test_sqlite_file_check__refuses_what_is_no_file(void) {
    struct sqlite_place place = sqlite_place_new();
    struct ael_error err = {0};
    expect_refused(place.folder, "not a regular file");
    CU_ASSERT_EQUAL_FATAL(mkfifo(place.path, 0600), 0);
    expect_refused(place.path, "not a regular file");
    CU_ASSERT_EQUAL(ael_sqlite_file_check("/dev/null", &err), AEL_E_BACKEND);
    CU_ASSERT_EQUAL(ael_sqlite_file_check("/nonexistent/keys.db", &err), AEL_OK); /* SQLite tells */
    expect_refused("/nonexistent/keys.db", "its folder must exist");
    sqlite_place_remove(&place);
}

/* ---- damage ---- */

static void name_key(char id[ID_BYTES], unsigned key) {
    (void)snprintf(id, ID_BYTES, "_IK_%u_svc_prod", key);
}

/* A store of some pages, closed, and its bytes. */
static size_t fill(const struct sqlite_place *place, char *bytes) {
    char id[ID_BYTES];
    struct ael_metastore *store = sqlite_place_open(place);
    for (unsigned key = 0; key < KEYS; key++) {
        name_key(id, key);
        CU_ASSERT_EQUAL(store_key(store, id, CREATED, NULL), AEL_OK);
    }
    ael_metastore_release(store);
    size_t len = read_file(place->path, bytes, FILE_BYTES);
    CU_ASSERT(len > 4 * 4096 && len < FILE_BYTES);
    return len;
}

static void test_sqlite_store__tells_that_a_file_was_truncated(void) {
    static char bytes[FILE_BYTES];
    struct sqlite_place place = sqlite_place_new();
    size_t len = fill(&place, bytes);
    for (size_t left = len - 4096; left > 0; left -= 4096) {
        write_file(place.path, bytes, left);
        expect_refused(place.path, "restore the file from a backup");
    }
    write_file(place.path, bytes, 50);
    expect_refused(place.path, "restore the file from a backup");
    write_file(place.path, bytes, len);
    ael_metastore_release(sqlite_place_open(&place));
    sqlite_place_remove(&place);
}

/* A file that is cut off under an open store: no key may seem not to be there, for a new one would be made. */
static void test_sqlite_store__tells_that_its_open_file_was_truncated(void) {
    static char bytes[FILE_BYTES];
    struct sqlite_place place = sqlite_place_new();
    char id[ID_BYTES];
    (void)fill(&place, bytes);
    struct ael_metastore *store = sqlite_place_open(&place);
    CU_ASSERT_EQUAL(truncate(place.path, 0), 0);
    for (unsigned key = 0; key < KEYS; key++) {
        struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
        struct ael_error err = {0};
        name_key(id, key);
        enum ael_status status = ael_metastore_load_latest(store, NULL, ael_bytes_from_text(id), &out, &err);
        CU_ASSERT(status != AEL_E_KEY_NOT_FOUND);
        ael_key_record_buf_clear(&out);
    }
    CU_ASSERT_NOT_EQUAL(store_key(store, "new", CREATED, NULL), AEL_OK);
    ael_metastore_release(store);
    sqlite_place_remove(&place);
}

struct damage {
    unsigned refused, failed, lost, fine; /* when opened; when asked; not found; as it was */
};

/* A status that a caller may meet over a damaged file, with a sentence that has nothing of the keys. */
static void expect_told(enum ael_status status, const struct ael_error *err) {
    CU_ASSERT(
        status == AEL_E_BACKEND || status == AEL_E_BACKEND_DATA || status == AEL_E_UNREACHABLE ||
        status == AEL_E_OUTCOME_UNKNOWN);
    CU_ASSERT_EQUAL(err->status, status);
    CU_ASSERT_NOT_EQUAL(err->detail[0], '\0');
    CU_ASSERT_PTR_NULL(strstr(err->detail, KEY));
    CU_ASSERT_PTR_NULL(strstr(err->detail, "dGhl"));
}

static void ask_for(struct ael_metastore *store, unsigned key, struct damage *damage) {
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    struct ael_error err = {0};
    char id[ID_BYTES];
    name_key(id, key);
    enum ael_status status = ael_metastore_load(store, NULL, ael_bytes_from_text(id), CREATED, &out, &err);
    if (status == AEL_OK) { /* what became of the key's own bytes the KMS tells, which authenticates them */
        damage->fine++;
    } else if (status == AEL_E_KEY_NOT_FOUND) {
        damage->lost++;
    } else {
        expect_told(status, &err);
        damage->failed++;
    }
    ael_key_record_buf_clear(&out);
}

static bool
go_on(void *context, struct ael_bytes id, int64_t created_s, const struct ael_key_record *record) {
    (void)context;
    (void)id;
    (void)created_s;
    (void)record;
    return true;
}

static void use_damaged(const struct sqlite_place *place, unsigned random, struct damage *damage) {
    struct ael_error err = {0};
    struct ael_metastore *store = NULL;
    enum ael_status status = try_open(place->path, &store, &err);
    if (status != AEL_OK) {
        expect_told(status, &err);
        damage->refused++;
        return;
    }
    for (unsigned key = random % 7; key < KEYS; key += 7) {
        ask_for(store, key, damage);
    }
    status = ael_metastore_list(store, NULL, ael_bytes_from_text(""), go_on, NULL, &err);
    if (status != AEL_OK) {
        expect_told(status, &err);
        damage->failed++;
    }
    status = store_key(store, "_IK_new_svc_prod", CREATED, &err);
    if (status != AEL_OK) {
        expect_told(status, &err);
        damage->failed++;
    }
    ael_metastore_release(store);
}

static void test_sqlite_store__tells_of_damage_and_goes_on(void) {
    static char bytes[FILE_BYTES];
    struct sqlite_place place = sqlite_place_new();
    struct damage damage = {0};
    unsigned random = 20261122;
    size_t len = fill(&place, bytes);
    for (int i = 0; i < soak_count(150, 20000); i++) {
        char wal[128];
        random = random * 1103515245u + 12345u;
        size_t at = i < 100 ? (size_t)i : (random >> 4) % len; /* each byte of the header, then anywhere */
        bytes[at] = (char)(bytes[at] ^ (1 << (random >> 28) % 8));
        write_file(place.path, bytes, len);
        (void)snprintf(wal, sizeof wal, "%s-wal", place.path);
        (void)unlink(wal);
        use_damaged(&place, random >> 8, &damage);
        bytes[at] = (char)(bytes[at] ^ (1 << (random >> 28) % 8));
    }
    CU_ASSERT(damage.refused > 0);
    CU_ASSERT(damage.failed > 0);
    CU_ASSERT(damage.fine > damage.lost);
    sqlite_place_remove(&place);
}

/* ---- file systems that cannot hold it ---- */

static sqlite3_vfs g_vfs;
static sqlite3_vfs *g_real;
static sqlite3_io_methods g_methods;

static int refuse_map(sqlite3_file *file, int page, int size, int extend, void volatile **out) {
    (void)file;
    (void)page;
    (void)size;
    (void)extend;
    *out = NULL;
    return SQLITE_IOERR_SHMMAP;
}

static int
open_without_map(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out_flags) {
    (void)vfs;
    int result = g_real->xOpen(g_real, name, file, flags, out_flags);
    if (result == SQLITE_OK && (flags & SQLITE_OPEN_MAIN_DB) != 0) {
        g_methods = *file->pMethods;
        g_methods.xShmMap = refuse_map;
        file->pMethods = &g_methods;
    }
    return result;
}

static void test_sqlite_store__needs_shared_memory(void) {
    struct sqlite_place place = sqlite_place_new();
    sqlite3_vfs *without =
        sqlite3_vfs_find("unix-dotfile"); /* SQLite's own for file systems that have nothing */
    g_real = sqlite3_vfs_find(NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(without);
    CU_ASSERT_EQUAL(sqlite3_vfs_register(without, 1), SQLITE_OK);
    struct ael_error err = {0};
    struct ael_metastore *store = NULL;
    CU_ASSERT_EQUAL(try_open(place.path, &store, &err), AEL_E_BACKEND);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, "put it on a local disk"));
    g_vfs = *g_real;
    g_vfs.zName = "without-map";
    g_vfs.xOpen = open_without_map;
    CU_ASSERT_EQUAL(sqlite3_vfs_register(&g_vfs, 1), SQLITE_OK);
    expect_refused(place.path, "put the file on a local disk");
    CU_ASSERT_EQUAL(sqlite3_vfs_unregister(&g_vfs), SQLITE_OK);
    CU_ASSERT_EQUAL(sqlite3_vfs_register(g_real, 1), SQLITE_OK);
    ael_metastore_release(sqlite_place_open(&place));
    sqlite_place_remove(&place);
}

/* ---- what stays ---- */

/* Looks for the old key's text in the file once all is brought into it. */
static bool is_in_file(const struct sqlite_place *place) {
    static char bytes[FILE_BYTES];
    size_t len = read_file(place->path, bytes, sizeof bytes);
    return memmem(bytes, len, KEY_TEXT, 16) != NULL;
}

static void test_sqlite_store__leaves_nothing_of_what_was_replaced(void) {
    static const char k_long[] =
        KEY KEY KEY KEY KEY KEY KEY KEY KEY KEY; /* its place is not filled by the new one */
    struct sqlite_place place = sqlite_place_new();
    const struct ael_key_record old = {.created_s = CREATED, .key = ael_bytes_from_text(k_long)};
    const struct ael_key_record new = {.created_s = CREATED, .key = ael_bytes_from_text("x")};
    bool done = false;
    struct ael_metastore *store = sqlite_place_open(&place);
    CU_ASSERT_EQUAL(ael_metastore_store(store, NULL, ael_bytes_from_text("id"), &old, &done, NULL), AEL_OK);
    ael_metastore_release(store);
    CU_ASSERT_TRUE(is_in_file(&place));
    store = sqlite_place_open(&place);
    CU_ASSERT_EQUAL(
        ael_metastore_replace(store, NULL, ael_bytes_from_text("id"), &old, &new, &done, NULL), AEL_OK);
    CU_ASSERT_TRUE(done);
    ael_metastore_release(store);
    CU_ASSERT_FALSE(is_in_file(&place));
    sqlite_place_remove(&place);
}

static const struct test_case k_cases[] = {
    {"a new file is its owner's", test_sqlite_file_make__leaves_it_to_its_owner},
    {"others who may read are warned of", test_sqlite_file_check__warns_of_what_others_may_read},
    {"others who may write are refused", test_sqlite_file_check__refuses_what_anybody_may_write},
    {"what is no file is refused", test_sqlite_file_check__refuses_what_is_no_file},
    {"a truncated file", test_sqlite_store__tells_that_a_file_was_truncated},
    {"a file truncated under an open store", test_sqlite_store__tells_that_its_open_file_was_truncated},
    {"flipped bits", test_sqlite_store__tells_of_damage_and_goes_on},
    {"a file system without shared memory", test_sqlite_store__needs_shared_memory},
    {"what was replaced is overwritten", test_sqlite_store__leaves_nothing_of_what_was_replaced},
};

TEST_SUITE_MAIN("metastore_sqlite_file", k_cases)
