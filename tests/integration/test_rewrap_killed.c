/*
 * test_rewrap_killed.c - moving system keys over SQLite from one static key to another, killed at random points: at each of
 * them every record decrypts.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/support/soak.h"
#include "tests/support/sqlite_move.h"
#include "tests/support/sqlite_place.h"
#include "tests/support/suite.h"

#include <string.h>

static struct ael_kms *open_static(uint8_t fill) {
    uint8_t key[32];
    struct ael_kms *kms = NULL;
    memset(key, fill, sizeof key);
    return ael_kms_static_from_bytes(key, sizeof key, &kms, NULL) == AEL_OK ? kms : NULL;
}

static struct ael_kms *open_old(void) {
    return open_static(0x11);
}

static struct ael_kms *open_new(void) {
    return open_static(0x22);
}

static void test_rewrap__loses_nothing_when_it_is_killed(void) {
    const struct sqlite_move move = {
        .open_old = open_old,
        .open_new = open_new,
        .keys = soak_count(100, 1000),
        .kills = soak_count(5, 20),
        .old_ends = true,
    };
    sqlite_move_run(&move);
}

static const struct test_case k_cases[] = {
    {"from one static key to another, killed", test_rewrap__loses_nothing_when_it_is_killed},
};

TEST_SUITE_MAIN("rewrap, killed", k_cases)
