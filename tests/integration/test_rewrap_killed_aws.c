/*
 * test_rewrap_killed_aws.c - moving system keys over SQLite from a static key to AWS KMS, and from one region to two, killed
 * at random points: at each of them every record decrypts.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/support/aws_kms_server.h"
#include "tests/support/soak.h"
#include "tests/support/sqlite_move.h"
#include "tests/support/sqlite_place.h"
#include "tests/support/suite.h"

#include <string.h>

static struct ael_kms *open_static(void) {
    uint8_t key[32];
    struct ael_kms *kms = NULL;
    memset(key, 0x11, sizeof key);
    return ael_kms_static_from_bytes(key, sizeof key, &kms, NULL) == AEL_OK ? kms : NULL;
}

static struct ael_kms *open_aws(size_t regions) {
    struct ael_kms *kms = NULL;
    return aws_kms_new(regions, NULL, &kms, NULL) == AEL_OK ? kms : NULL;
}

static struct ael_kms *open_one_region(void) {
    return open_aws(1);
}

static struct ael_kms *open_two_regions(void) {
    return open_aws(2);
}

static void run(struct ael_kms *(*open_old)(void), struct ael_kms *(*open_new)(void), bool old_ends) {
    const struct sqlite_move move = {
        .open_old = open_old,
        .open_new = open_new,
        .keys = soak_count(24, 1000),
        .kills = soak_count(3, 20),
        .old_ends = old_ends,
    };
    CU_ASSERT_PTR_NOT_NULL_FATAL(aws_kms_server(true));
    sqlite_move_run(&move);
}

static void test_rewrap__moves_from_static_to_aws(void) {
    run(open_static, open_one_region, true);
}

static void test_rewrap__moves_from_one_region_to_two(void) {
    run(open_one_region, open_two_regions, false);
}

static const struct test_case k_cases[] = {
    {"from a static key to AWS KMS, killed", test_rewrap__moves_from_static_to_aws},
    {"from one region to two, killed", test_rewrap__moves_from_one_region_to_two},
};

TEST_SUITE_MAIN("rewrap to AWS KMS, killed", k_cases)
