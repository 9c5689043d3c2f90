/*
 * test_metastore_sqlite_pool.c - connections to the file stay within their bound, counted by the descriptors they have.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ael/metastore_sqlite.h>
#include <ael/sys/metastore_backend.h>

#include "tests/support/sqlite_place.h"
#include "tests/support/store_calls.h"
#include "tests/support/suite.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { CONNECTIONS = 5 };

/* Descriptors of this process that are open on the file itself: each connection has one. */
static int open_files(const char *path) {
    struct stat wanted;
    struct dirent *entry = NULL;
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    CU_ASSERT_PTR_NOT_NULL_FATAL(folder);
    CU_ASSERT_EQUAL_FATAL(stat(path, &wanted), 0);
    while ((entry = readdir(folder)) != NULL) {
        char link[300];
        struct stat found;
        (void)snprintf(link, sizeof link, "/proc/self/fd/%s", entry->d_name);
        count += stat(link, &found) == 0 && found.st_dev == wanted.st_dev && found.st_ino == wanted.st_ino;
    }
    (void)closedir(folder);
    return count;
}

static void test_sqlite_pool__keeps_its_bound_under_64_threads(void) {
    struct ael_metastore_sqlite_options options = AEL_METASTORE_SQLITE_OPTIONS_INIT;
    struct sqlite_place place = sqlite_place_new();
    struct ael_metastore *store = NULL;
    options.path = place.path;
    options.max_connections = CONNECTIONS;
    CU_ASSERT_EQUAL_FATAL(ael_metastore_sqlite_new(&options, &store, NULL), AEL_OK);
    CU_ASSERT_EQUAL(store_in(store, "_IK_x", CREATED, NULL), AEL_OK);
    CU_ASSERT_EQUAL(open_files(place.path), 1);
    load_in_a_crowd(store);
    int open = open_files(place.path);
    CU_ASSERT_TRUE(open >= 1 && open <= CONNECTIONS);
    ael_metastore_release(store);
    CU_ASSERT_EQUAL(open_files(place.path), 0);
    sqlite_place_remove(&place);
}

static const struct test_case k_cases[] = {
    {"64 threads keep the pool's bound", test_sqlite_pool__keeps_its_bound_under_64_threads},
};

TEST_SUITE_MAIN("metastore_sqlite_pool", k_cases)
