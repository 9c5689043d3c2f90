/* SPDX-License-Identifier: Apache-2.0 */
#include "securememory/region.h"
#include "tests/support/failing_sys.h"
#include "tests/support/suite.h"

#include <errno.h>

static const struct ael_region_policy k_policy = {{AEL_BACKING_ANONYMOUS, true}, AEL_PROTECTION_STRICT, NULL};

static void test_region__changes_protection_for_the_first_and_the_last_user_only(void) {
    struct ael_region region;
    CU_ASSERT_EQUAL(ael_region_init(&region, AEL_LEASE_OF_SCRATCH, 1, &k_policy, NULL), AEL_OK);
    failing_sys_install(FAIL_MPROTECT, 0, 0, false);
    CU_ASSERT_EQUAL(ael_region_begin(&region, AEL_PAGES_READ), AEL_OK);
    CU_ASSERT_EQUAL(ael_region_begin(&region, AEL_PAGES_READ), AEL_OK);
    CU_ASSERT_EQUAL(ael_region_end(&region), AEL_OK);
    CU_ASSERT_EQUAL(failing_sys_mprotect_calls(), 1);
    CU_ASSERT_EQUAL(ael_region_end(&region), AEL_OK);
    CU_ASSERT_EQUAL(failing_sys_mprotect_calls(), 2);
    (void)failing_sys_remove();
    ael_region_clear(&region);
}

static void test_region_begin__opens_wider_for_a_writer(void) {
    struct ael_region region;
    CU_ASSERT_EQUAL(ael_region_init(&region, AEL_LEASE_OF_SCRATCH, 1, &k_policy, NULL), AEL_OK);
    failing_sys_install(FAIL_MPROTECT, 0, 0, false);
    CU_ASSERT_EQUAL(ael_region_begin(&region, AEL_PAGES_READ), AEL_OK);
    CU_ASSERT_EQUAL(ael_region_begin(&region, AEL_PAGES_WRITE), AEL_OK);
    region.pages.bytes[0] = 1;
    CU_ASSERT_EQUAL(ael_region_begin(&region, AEL_PAGES_WRITE), AEL_OK);
    CU_ASSERT_EQUAL(failing_sys_mprotect_calls(), 2);
    CU_ASSERT_EQUAL(ael_region_end(&region), AEL_OK);
    CU_ASSERT_EQUAL(ael_region_end(&region), AEL_OK);
    CU_ASSERT_EQUAL(ael_region_end(&region), AEL_OK);
    CU_ASSERT_EQUAL(failing_sys_mprotect_calls(), 3);
    (void)failing_sys_remove();
    ael_region_clear(&region);
}

static void test_region__reports_failing_protection_and_recovers(void) {
    struct ael_region region;
    CU_ASSERT_EQUAL(ael_region_init(&region, AEL_LEASE_OF_SCRATCH, 1, &k_policy, NULL), AEL_OK);
    failing_sys_install(FAIL_MPROTECT, 1, ENOMEM, false);
    CU_ASSERT_EQUAL(ael_region_begin(&region, AEL_PAGES_READ), AEL_E_SYSTEM);
    CU_ASSERT_EQUAL(ael_region_begin(&region, AEL_PAGES_READ), AEL_OK);
    failing_sys_install(FAIL_MPROTECT, 1, ENOMEM, false);
    CU_ASSERT_EQUAL(ael_region_end(&region), AEL_E_SYSTEM);
    CU_ASSERT_EQUAL(ael_region_begin(&region, AEL_PAGES_WRITE), AEL_OK);
    CU_ASSERT_EQUAL(ael_region_end(&region), AEL_OK);
    (void)failing_sys_remove();
    ael_region_clear(&region);
}

static void test_region_init__fails_with_its_pages(void) {
    struct ael_region region;
    failing_sys_install(FAIL_MLOCK, 1, EPERM, false);
    CU_ASSERT_EQUAL(ael_region_init(&region, AEL_LEASE_OF_SCRATCH, 1, &k_policy, NULL), AEL_E_LOCK_LIMIT);
    CU_ASSERT_TRUE(failing_sys_remove());
    ael_region_clear(&region);
}

static const struct test_case k_cases[] = {
    {"only first and last change protection",
     test_region__changes_protection_for_the_first_and_the_last_user_only},
    {"a writer opens wider", test_region_begin__opens_wider_for_a_writer},
    {"failing protection", test_region__reports_failing_protection_and_recovers},
    {"failing set-up", test_region_init__fails_with_its_pages},
};

TEST_SUITE_MAIN("region", k_cases)
