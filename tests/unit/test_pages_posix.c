/*
 * test_pages_posix.c - the page code for systems with POSIX alone, by tables of system calls: where the system keeps
 * pages from children, and where it cannot.
 *
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/alloc.h"
#include "securememory/pages.h"
#include "securememory/sys_seam.h"
#include "tests/support/child.h"
#include "tests/support/failing_sys.h"
#include "tests/support/maps.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct ael_pages_policy k_policy = {AEL_BACKING_ANONYMOUS, true};

/* -- systems -- */

static struct ael_sys g_table;

static int is_not_here(void *address, size_t len, bool inherited) {
    (void)address;
    (void)len;
    (void)inherited;
    errno = ENOSYS;
    return -1;
}

static int hides_not(void *address, size_t len) {
    return is_not_here(address, len, false);
}

static int keeps_from_children(void *address, size_t len, bool inherited) {
    return madvise(address, len, inherited ? MADV_DOFORK : MADV_DONTFORK);
}

static int hides(void *address, size_t len) {
    return madvise(address, len, MADV_DONTDUMP);
}

static void on_plain_posix(void (*check)(void)) {
    g_table = *ael_sys_native();
    g_table.set_inherited = is_not_here;
    g_table.hide_from_dumps = hides_not;
    ael_sys_set_for_test(&g_table);
    check();
    ael_sys_set_for_test(NULL);
}

static void on_a_bsd(void (*check)(void)) {
    g_table = *ael_sys_native();
    g_table.set_inherited = keeps_from_children;
    g_table.hide_from_dumps = hides;
    ael_sys_set_for_test(&g_table);
    check();
    ael_sys_set_for_test(NULL);
}

/* -- what children have -- */

static struct ael_pages g_pages;
static struct ael_pages g_other;

static bool is_mapped(const uint8_t *place) {
    return msync((void *)(uintptr_t)place, ael_sys_page_bytes(), MS_ASYNC) == 0 || errno != ENOMEM;
}

static bool is_mapped_with_guards(const struct ael_pages *pages) {
    return is_mapped(pages->bytes) || is_mapped(pages->bytes - ael_sys_page_bytes()) ||
           is_mapped(pages->bytes + pages->len);
}

static void map_filled(struct ael_pages *pages) {
    CU_ASSERT_EQUAL_FATAL(ael_pages_map(1, &k_policy, pages, NULL), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_pages_set_access(pages, AEL_PAGES_WRITE), AEL_OK);
    memset(pages->bytes, 0x5a, pages->len);
}

static int nothing_is_here(void) {
    return !is_mapped_with_guards(&g_pages) && !is_mapped_with_guards(&g_other) &&
                   ael_pages_locked_bytes() == 0
               ? 0
               : 1;
}

static void check_absent(void) {
    map_filled(&g_pages);
    map_filled(&g_other);
    CU_ASSERT_EQUAL(ael_pages_set_access(&g_other, AEL_PAGES_CLOSED), AEL_OK);
    CU_ASSERT_TRUE(is_mapped_with_guards(&g_pages) && is_mapped_with_guards(&g_other));
    CU_ASSERT_EQUAL(child_run(nothing_is_here), 0);
    CU_ASSERT_EQUAL(g_pages.bytes[9], 0x5a);
    CU_ASSERT_EQUAL(ael_pages_locked_bytes(), g_pages.len + g_other.len);
    ael_pages_unmap(&g_pages);
    ael_pages_unmap(&g_other);
    CU_ASSERT_EQUAL(ael_pages_locked_bytes(), 0);
}

static void test_pages__are_unmapped_in_a_child_open_or_closed(void) {
    on_plain_posix(check_absent);
}

static void test_pages__are_absent_in_a_child_where_the_system_sees_to_it(void) {
    on_a_bsd(check_absent);
}

/* The child's own pages are gone in its child, and nothing else. */
static int pages_of_its_own(void) {
    map_filled(&g_pages);
    map_filled(&g_other);
    ael_pages_unmap(&g_other);
    void *foreign = mmap(NULL, ael_sys_page_bytes(), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    g_other = (struct ael_pages){.bytes = foreign, .len = ael_sys_page_bytes()};
    pid_t child = fork();
    if (child == 0) {
        _exit(!is_mapped_with_guards(&g_pages) && is_mapped(g_other.bytes) ? 0 : 1);
    }
    int state = -1;
    return waitpid(child, &state, 0) == child && state == 0 && ael_pages_locked_bytes() == g_pages.len ? 0
                                                                                                       : 1;
}

static void check_grandchild(void) {
    map_filled(&g_pages);
    CU_ASSERT_EQUAL(child_run(pages_of_its_own), 0);
    ael_pages_unmap(&g_pages);
}

static void test_pages__of_a_child_are_unmapped_in_its_child(void) {
    on_plain_posix(check_grandchild);
}

static void test_pages__of_a_child_are_absent_in_its_child_where_the_system_sees_to_it(void) {
    on_a_bsd(check_grandchild);
}

static uint8_t *g_place;

static int sees_what_is_there_now(void) {
    return is_mapped(g_place) && g_place[0] == 7 ? 0 : 1;
}

/* A child must not unmap by a list that is out of date. */
static void check_reuse(void) {
    map_filled(&g_pages);
    g_place = g_pages.bytes;
    ael_pages_unmap(&g_pages);
    CU_ASSERT_PTR_EQUAL_FATAL(
        mmap(
            g_place, ael_sys_page_bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
            -1, 0),
        g_place);
    g_place[0] = 7;
    CU_ASSERT_EQUAL(child_run(sees_what_is_there_now), 0);
    (void)munmap(g_place, ael_sys_page_bytes());
}

static void test_pages__leave_alone_what_took_their_place(void) {
    on_plain_posix(check_reuse);
    on_a_bsd(check_reuse);
}

/* -- pages that are lent -- */

static int takes_what_is_lent(void) {
    bool whole = ael_pages_set_access(&g_pages, AEL_PAGES_READ) == AEL_OK && g_pages.bytes[9] == 0x5a;
    struct ael_pages lent = g_pages;
    bool guarded = is_mapped(lent.bytes - ael_sys_page_bytes()) || is_mapped(lent.bytes + lent.len);
    ael_pages_drop_inherited(&g_pages);
    return whole && !guarded && !is_mapped_with_guards(&lent) && ael_pages_locked_bytes() == 0 ? 0 : 1;
}

static void check_lent(void) {
    map_filled(&g_pages);
    map_filled(&g_other);
    CU_ASSERT_EQUAL(ael_pages_set_inherited(&g_pages, true), AEL_OK);
    CU_ASSERT_EQUAL(child_run(takes_what_is_lent), 0);
    CU_ASSERT_EQUAL(ael_pages_set_inherited(&g_pages, false), AEL_OK);
    CU_ASSERT_EQUAL(child_run(nothing_is_here), 0);
    ael_pages_unmap(&g_pages);
    ael_pages_unmap(&g_other);
}

static void test_pages_set_inherited__lends_to_children_until_it_is_taken_back(void) {
    on_plain_posix(check_lent);
}

static void test_pages_set_inherited__lends_where_the_system_keeps_pages_from_children(void) {
    on_a_bsd(check_lent);
}

static void test_pages_set_inherited__refuses_pages_that_are_not_there(void) {
    struct ael_pages none = {.bytes = (uint8_t *)&g_table, .len = 4096};
    CU_ASSERT_EQUAL(ael_pages_set_inherited(&none, true), AEL_E_SYSTEM);
}

/* -- the rest -- */

static void test_pages_choose__has_anonymous_memory_only(void) {
    struct ael_pages_policy policy;
    CU_ASSERT_EQUAL(ael_pages_choose(AEL_BACKING_AUTO, true, &policy, NULL), AEL_OK);
    CU_ASSERT_EQUAL(policy.backing, AEL_BACKING_ANONYMOUS);
    CU_ASSERT_TRUE(policy.lock);
    CU_ASSERT_EQUAL(ael_pages_choose(AEL_BACKING_ANONYMOUS, false, &policy, NULL), AEL_OK);
    CU_ASSERT_FALSE(policy.lock);
    CU_ASSERT_EQUAL(ael_pages_choose(AEL_BACKING_MEMFD_SECRET, true, &policy, NULL), AEL_E_PROTECTION);
    CU_ASSERT_EQUAL(ael_pages_choose(AEL_BACKING_MEMFD_SECRET, false, &policy, NULL), AEL_E_ARGUMENT);
}

static void check_locked_pages_stay_apart(void) {
    map_filled(&g_pages);
    size_t open = maps_count();
    CU_ASSERT_EQUAL(ael_pages_set_access(&g_pages, AEL_PAGES_CLOSED), AEL_OK);
    CU_ASSERT_EQUAL(maps_count(), open);
    CU_ASSERT_EQUAL(ael_pages_set_access(&g_pages, AEL_PAGES_READ), AEL_OK);
    CU_ASSERT_EQUAL(maps_count(), open);
    ael_pages_unmap(&g_pages);
}

static void test_pages_set_access__never_splits_or_merges_locked_pages(void) {
    on_plain_posix(check_locked_pages_stay_apart);
    on_a_bsd(check_locked_pages_stay_apart);
}

static void check_failure(enum failing_call call, unsigned nth, int code, enum ael_status expected) {
    struct ael_pages pages;
    struct ael_error err = {AEL_OK, 0, NULL, ""};
    size_t before = maps_count();
    failing_sys_install(call, nth, code, false);
    CU_ASSERT_EQUAL(ael_pages_map(1, &k_policy, &pages, &err), expected);
    CU_ASSERT_TRUE(failing_sys_remove());
    CU_ASSERT_EQUAL(err.status, expected);
    CU_ASSERT_EQUAL(err.native_code, code);
    CU_ASSERT_PTR_NULL(pages.bytes);
    CU_ASSERT_EQUAL(maps_count(), before);
}

static void test_pages_map__reports_each_failing_call(void) {
    map_filled(&g_pages); /* what is made once is made */
    check_failure(FAIL_MMAP, 1, ENOMEM, AEL_E_NO_MEMORY);
    check_failure(FAIL_MADVISE, 1, EINVAL, AEL_E_SYSTEM);
    check_failure(FAIL_MADVISE, 2, EINVAL, AEL_E_SYSTEM);
    check_failure(FAIL_MPROTECT, 1, ENOMEM, AEL_E_NO_MEMORY);
    check_failure(FAIL_MLOCK, 1, ENOMEM, AEL_E_LOCK_LIMIT);
    check_failure(FAIL_MLOCK, 1, EINVAL, AEL_E_SYSTEM);
    check_failure(FAIL_MPROTECT, 2, ENOMEM, AEL_E_NO_MEMORY);
    ael_pages_unmap(&g_pages);
}

static int refuse(void *context) {
    (void)context;
    return 1;
}

static void test_pages_map__reports_want_of_memory_for_the_list(void) {
    struct ael_pages pages;
    map_filled(&g_pages);
    size_t before = maps_count();
    ael_alloc_set_fault(refuse, NULL);
    CU_ASSERT_EQUAL(ael_pages_map(1, &k_policy, &pages, NULL), AEL_E_NO_MEMORY);
    ael_alloc_set_fault(NULL, NULL);
    CU_ASSERT_PTR_NULL(pages.bytes);
    CU_ASSERT_EQUAL(maps_count(), before);
    ael_pages_unmap(&g_pages);
}

static const struct test_case k_cases[] = {
    {"absent in a child", test_pages__are_unmapped_in_a_child_open_or_closed},
    {"absent in a child's child", test_pages__of_a_child_are_unmapped_in_its_child},
    {"absent by the system", test_pages__are_absent_in_a_child_where_the_system_sees_to_it},
    {"absent by the system in a child's child",
     test_pages__of_a_child_are_absent_in_its_child_where_the_system_sees_to_it},
    {"what took their place", test_pages__leave_alone_what_took_their_place},
    {"lent", test_pages_set_inherited__lends_to_children_until_it_is_taken_back},
    {"lent by the system", test_pages_set_inherited__lends_where_the_system_keeps_pages_from_children},
    {"lending what is not there", test_pages_set_inherited__refuses_pages_that_are_not_there},
    {"backing", test_pages_choose__has_anonymous_memory_only},
    {"locked pages stay apart", test_pages_set_access__never_splits_or_merges_locked_pages},
    {"failing calls", test_pages_map__reports_each_failing_call},
    {"want of memory", test_pages_map__reports_want_of_memory_for_the_list},
};

TEST_SUITE_MAIN("pages_posix", k_cases)
