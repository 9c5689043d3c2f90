/*
 * test_sqlite_disk.c - a disk that is full, and a limit on the size of files: nothing is half written, what was
 * acknowledged stays, the sentence tells what to do, and the store goes on once there is room. On a real file system of
 * its own (tmpfs in a mount namespace), in a child.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ael/sys/metastore_backend.h>

#include "tests/support/child.h"
#include "tests/support/sqlite_place.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

enum { CREATED = 1795255320, ID_BYTES = 32, KEY_BYTES = 2000, MAX_KEYS = 2000, LIMIT = 256 * 1024 };

static void name_key(char id[ID_BYTES], unsigned key) {
    (void)snprintf(id, ID_BYTES, "_IK_%u_svc_prod", key);
}

static enum ael_status
store_key(struct ael_metastore *store, unsigned key, bool *stored, struct ael_error *err) {
    static uint8_t bytes[KEY_BYTES];
    const struct ael_key_record record = {.created_s = CREATED, .key = {bytes, sizeof bytes}};
    char id[ID_BYTES];
    name_key(id, key);
    *stored = true;
    return ael_metastore_store(store, NULL, ael_bytes_from_text(id), &record, stored, err);
}

static enum ael_status load_key(struct ael_metastore *store, unsigned key) {
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    char id[ID_BYTES];
    name_key(id, key);
    enum ael_status status = ael_metastore_load(store, NULL, ael_bytes_from_text(id), CREATED, &out, NULL);
    ael_key_record_buf_clear(&out);
    return status;
}

/* Stores keys from first on until one fails; returns its number. */
static unsigned store_until_it_fails(
    struct ael_metastore *store,
    unsigned first,
    enum ael_status *status,
    bool *stored,
    struct ael_error *err) {
    unsigned key = first;
    do {
        *status = store_key(store, key, stored, err);
    } while (*status == AEL_OK && ++key < MAX_KEYS);
    return key;
}

static unsigned missing_below(struct ael_metastore *store, unsigned end) {
    unsigned missing = 0;
    for (unsigned key = 0; key < end; key++) {
        missing += load_key(store, key) != AEL_OK;
    }
    return missing;
}

static bool is_whole(const char *path) {
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    bool whole = sqlite3_open(path, &db) == SQLITE_OK &&
                 sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &statement, NULL) == SQLITE_OK &&
                 sqlite3_step(statement) == SQLITE_ROW &&
                 strcmp((const char *)sqlite3_column_text(statement, 0), "ok") == 0;
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(db);
    return whole;
}

static struct ael_metastore *open_at(const char *path, enum ael_status *status, struct ael_error *err) {
    struct ael_metastore_sqlite_options options = AEL_METASTORE_SQLITE_OPTIONS_INIT;
    struct ael_metastore *store = NULL;
    options.path = path;
    *status = ael_metastore_sqlite_new(&options, &store, err);
    return store;
}

/* In the child: what is wrong is the number of its line, told on standard output. */
#define EXPECT(holds)                                                                                        \
    do {                                                                                                     \
        if (!(holds)) {                                                                                      \
            printf("\n    line %d: %s (%s)\n", __LINE__, #holds, err.detail);                                \
            (void)fflush(stdout);                                                                            \
            return 1;                                                                                        \
        }                                                                                                    \
    } while (0)

/* ---- a full disk ---- */

static char g_folder[64];

static bool write_text(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    return fd >= 0 && close(fd) == 0 && written;
}

/* Who is not root becomes it in a namespace of users, where it may mount. */
static bool become_root(void) {
    char uid_map[48];
    char gid_map[48];
    (void)snprintf(uid_map, sizeof uid_map, "0 %u 1", (unsigned)geteuid());
    (void)snprintf(gid_map, sizeof gid_map, "0 %u 1", (unsigned)getegid());
    return unshare(CLONE_NEWUSER) == 0 && write_text("/proc/self/setgroups", "deny") &&
           write_text("/proc/self/uid_map", uid_map) && write_text("/proc/self/gid_map", gid_map);
}

/* A file system of 1 MiB at the folder, which nobody but this child sees. */
/* In a changed root there is no mount to be made private at "/": who made that root has taken care. */
static bool mount_small_disk(void) {
    return (geteuid() == 0 || become_root()) && unshare(CLONE_NEWNS) == 0 &&
           (mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0 || errno == EINVAL) &&
           mount("tmpfs", g_folder, "tmpfs", 0, "size=1m,mode=0700") == 0;
}

/* Fills the disk but for so much. Returns the file's name, for unlink. */
static const char *fill_disk(size_t but_for) {
    static char path[96];
    static char block[4096];
    (void)snprintf(path, sizeof path, "%s/ballast", g_folder);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    off_t len = 0;
    while (write(fd, block, sizeof block) == (ssize_t)sizeof block) {
        len += (off_t)sizeof block;
    }
    len = len > (off_t)but_for ? len - (off_t)but_for : 0;
    return ftruncate(fd, len) == 0 && close(fd) == 0 ? path : NULL;
}

static int use_full_disk(void) {
    struct ael_error err = {0};
    enum ael_status status = AEL_OK;
    bool stored = true;
    char path[96];
    (void)snprintf(path, sizeof path, "%s/keys.db", g_folder);
    EXPECT(mount_small_disk());
    struct ael_metastore *store = open_at(path, &status, &err);
    EXPECT(status == AEL_OK);
    EXPECT(store_key(store, 0, &stored, &err) == AEL_OK);
    const char *ballast = fill_disk(200 * 1024);
    EXPECT(ballast != NULL);
    unsigned end = store_until_it_fails(store, 1, &status, &stored, &err);
    EXPECT(status == AEL_E_BACKEND && !stored);
    EXPECT(strstr(err.detail, "make room on its disk") != NULL);
    EXPECT(end > 5 && end < MAX_KEYS);
    EXPECT(missing_below(store, end) == 0); /* reads go on */
    EXPECT(load_key(store, end) == AEL_E_KEY_NOT_FOUND);
    EXPECT(store_key(store, end, &stored, &err) == AEL_E_BACKEND); /* and it goes on to be told */
    EXPECT(unlink(ballast) == 0);
    EXPECT(store_key(store, end, &stored, &err) == AEL_OK && stored);
    EXPECT(missing_below(store, end + 1) == 0);
    ael_metastore_release(store);
    EXPECT(is_whole(path));
    return 0;
}

/* A store that is made, or opened, where there is no room. */
static int open_on_full_disk(void) {
    struct ael_error err = {0};
    enum ael_status status = AEL_OK;
    bool stored = true;
    char path[96];
    (void)snprintf(path, sizeof path, "%s/keys.db", g_folder);
    EXPECT(mount_small_disk());
    const char *ballast = fill_disk(0);
    EXPECT(open_at(path, &status, &err) == NULL && status == AEL_E_BACKEND);
    EXPECT(strstr(err.detail, "room") != NULL || strstr(err.detail, "disk") != NULL);
    EXPECT(unlink(ballast) == 0);
    struct ael_metastore *store = open_at(path, &status, &err); /* over what was begun */
    EXPECT(status == AEL_OK);
    EXPECT(store_key(store, 0, &stored, &err) == AEL_OK);
    ael_metastore_release(store);
    ballast = fill_disk(0);
    EXPECT(open_at(path, &status, &err) == NULL && status == AEL_E_BACKEND); /* WAL needs files beside it */
    EXPECT(unlink(ballast) == 0);
    store = open_at(path, &status, &err);
    EXPECT(status == AEL_OK && load_key(store, 0) == AEL_OK);
    ael_metastore_release(store);
    EXPECT(is_whole(path));
    return 0;
}

static void run_in_folder(int (*fn)(void)) {
    (void)snprintf(g_folder, sizeof g_folder, "/tmp/ael-disk-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(g_folder));
    (void)fflush(stdout);
    CU_ASSERT_EQUAL(child_run(fn), 0);
    CU_ASSERT_EQUAL(rmdir(g_folder), 0); /* the child's disk is gone with it */
}

static void test_sqlite_disk__that_is_full_loses_nothing(void) {
    run_in_folder(use_full_disk);
}

static void test_sqlite_disk__that_is_full_takes_no_store(void) {
    run_in_folder(open_on_full_disk);
}

/* ---- a limit on the size of files ---- */

static bool limit_files(rlim_t bytes) {
    struct rlimit limit;
    (void)signal(SIGXFSZ, SIG_IGN); /* else the system ends who writes beyond it */
    if (getrlimit(RLIMIT_FSIZE, &limit) != 0) {
        return false;
    }
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    return setrlimit(RLIMIT_FSIZE, &limit) == 0;
}

/* The write to the WAL fails in another way than for want of room: what became of it the library reads back. */
static int use_limited_files(void) {
    struct ael_error err = {0};
    enum ael_status status = AEL_OK;
    bool stored = true;
    char path[96];
    (void)snprintf(path, sizeof path, "%s/keys.db", g_folder);
    struct ael_metastore *store = open_at(path, &status, &err);
    EXPECT(status == AEL_OK);
    EXPECT(limit_files(LIMIT));
    unsigned end = store_until_it_fails(store, 0, &status, &stored, &err);
    EXPECT(status == AEL_E_OUTCOME_UNKNOWN && !stored);
    EXPECT(strstr(err.detail, "limit on file sizes") != NULL);
    EXPECT(end > 5 && end < MAX_KEYS);
    EXPECT(missing_below(store, end) == 0);
    EXPECT(load_key(store, end) == AEL_E_KEY_NOT_FOUND);
    EXPECT(limit_files(RLIM_INFINITY));
    EXPECT(store_key(store, end, &stored, &err) == AEL_OK && stored);
    EXPECT(missing_below(store, end + 1) == 0);
    ael_metastore_release(store);
    EXPECT(is_whole(path));
    EXPECT(unlink(path) == 0);
    return 0;
}

static void test_sqlite_disk__with_a_limit_on_files_loses_nothing(void) {
    run_in_folder(use_limited_files);
}

static const struct test_case k_cases[] = {
    {"a full disk loses nothing", test_sqlite_disk__that_is_full_loses_nothing},
    {"a full disk takes no store", test_sqlite_disk__that_is_full_takes_no_store},
    {"a limit on the size of files loses nothing", test_sqlite_disk__with_a_limit_on_files_loses_nothing},
};

TEST_SUITE_MAIN("sqlite disk", k_cases)
