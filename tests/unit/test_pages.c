/* SPDX-License-Identifier: Apache-2.0 */
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

static const struct ael_pages_policy k_plain = {AEL_BACKING_ANONYMOUS, true};

static struct ael_pages_policy best(void) {
    struct ael_pages_policy policy;
    CU_ASSERT_EQUAL(ael_pages_choose(AEL_BACKING_AUTO, true, &policy, NULL), AEL_OK);
    return policy;
}

static void check_open_and_close(const struct ael_pages_policy *policy) {
    struct ael_pages pages;
    CU_ASSERT_EQUAL(ael_pages_map(5000, policy, &pages, NULL), AEL_OK);
    CU_ASSERT_EQUAL(pages.len, 2 * ael_sys_page_bytes());
    size_t closed = maps_count();
    CU_ASSERT_EQUAL(ael_pages_set_access(&pages, AEL_PAGES_WRITE), AEL_OK);
    CU_ASSERT_EQUAL(maps_count(), closed);
    CU_ASSERT_EQUAL(pages.bytes[0], 0);
    pages.bytes[pages.len - 1] = 7;
    CU_ASSERT_EQUAL(ael_pages_set_access(&pages, AEL_PAGES_READ), AEL_OK);
    CU_ASSERT_EQUAL(maps_count(), closed);
    CU_ASSERT_EQUAL(pages.bytes[pages.len - 1], 7);
    CU_ASSERT_EQUAL(ael_pages_set_access(&pages, AEL_PAGES_CLOSED), AEL_OK);
    CU_ASSERT_EQUAL(maps_count(), closed);
    ael_pages_unmap(&pages);
    CU_ASSERT_PTR_NULL(pages.bytes);
    ael_pages_unmap(&pages);
}

static void test_pages_set_access__never_splits_or_merges_mappings(void) {
    struct ael_pages_policy policy = best();
    check_open_and_close(&policy);
    check_open_and_close(&k_plain);
    policy = (struct ael_pages_policy){AEL_BACKING_ANONYMOUS, false};
    check_open_and_close(&policy);
}

static void test_pages_locked_bytes__follow_the_mappings(void) {
    struct ael_pages_policy unlocked = {AEL_BACKING_ANONYMOUS, false};
    struct ael_pages a;
    struct ael_pages b;
    size_t before = ael_pages_locked_bytes();
    CU_ASSERT_EQUAL(ael_pages_map(1, &k_plain, &a, NULL), AEL_OK);
    CU_ASSERT_EQUAL(ael_pages_map(1, &unlocked, &b, NULL), AEL_OK);
    CU_ASSERT_EQUAL(ael_pages_locked_bytes(), before + ael_sys_page_bytes());
    ael_pages_unmap(&a);
    ael_pages_unmap(&b);
    CU_ASSERT_EQUAL(ael_pages_locked_bytes(), before);
}

static struct ael_pages g_pages;

static void touch(volatile uint8_t *byte) {
    *byte = (uint8_t)(*byte + 1);
}

/* Children make pages of their own: those of the parent are absent. */
static int touch_at(ptrdiff_t offset, enum ael_pages_access access) {
    struct ael_pages_policy policy = best();
    if (ael_pages_map(1, &policy, &g_pages, NULL) != AEL_OK ||
        ael_pages_set_access(&g_pages, access) != AEL_OK) {
        return 1;
    }
    touch(g_pages.bytes + offset);
    return 0;
}

static int touch_inside(void) {
    return touch_at(0, AEL_PAGES_WRITE);
}

static int touch_closed(void) {
    return touch_at(0, AEL_PAGES_CLOSED);
}

static int write_readable(void) {
    return touch_at(0, AEL_PAGES_READ);
}

static int touch_front_guard(void) {
    return touch_at(-1, AEL_PAGES_WRITE);
}

static int touch_rear_guard(void) {
    return touch_at((ptrdiff_t)ael_sys_page_bytes(), AEL_PAGES_WRITE);
}

static int touch_inherited(void) {
    touch(g_pages.bytes);
    return 0;
}

static void test_pages__fault_when_closed_and_at_the_guards(void) {
    CU_ASSERT_EQUAL(child_run(touch_inside), 0);
    CU_ASSERT_EQUAL(child_run(touch_closed), CHILD_KILLED + SIGSEGV);
    CU_ASSERT_EQUAL(child_run(write_readable), CHILD_KILLED + SIGSEGV);
    CU_ASSERT_EQUAL(child_run(touch_front_guard), CHILD_KILLED + SIGSEGV);
    CU_ASSERT_EQUAL(child_run(touch_rear_guard), CHILD_KILLED + SIGSEGV);
}

static void check_absent_in_child(const struct ael_pages_policy *policy) {
    CU_ASSERT_EQUAL(ael_pages_map(1, policy, &g_pages, NULL), AEL_OK);
    CU_ASSERT_EQUAL(ael_pages_set_access(&g_pages, AEL_PAGES_WRITE), AEL_OK);
    CU_ASSERT_EQUAL(child_run(touch_inherited), CHILD_KILLED + SIGSEGV);
    ael_pages_unmap(&g_pages);
}

static void test_pages__are_absent_in_a_child(void) {
    struct ael_pages_policy policy = best();
    check_absent_in_child(&policy);
    check_absent_in_child(&k_plain);
}

/* ---- other threads map memory, too ---- */

static struct {
    struct ael_sys table;
    int code;      /* of the mapping of a memfd that fails */
    int failures;  /* that are left */
    uint8_t *page; /* of the thread that got the place */
} g_other;

/* As the kernel does when the limit is reached: what was mapped before is gone, and then it fails. Another thread gets the
 * place at once. */
static void *lose_the_place(void *address, size_t len, int protection, int flags, int fd, off_t offset) {
    if (fd < 0 || g_other.failures == 0) {
        return ael_sys_native()->mmap(address, len, protection, flags, fd, offset);
    }
    g_other.failures--;
    g_other.page =
        mmap(address, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    g_other.page[0] = 'o';
    errno = g_other.code;
    return MAP_FAILED;
}

static enum ael_status map_beside_another_thread(int code, struct ael_pages *pages, struct ael_error *err) {
    struct ael_pages_policy policy = best();
    const struct ael_sys *before = ael_sys();
    g_other.table = *ael_sys_native();
    g_other.table.mmap = lose_the_place;
    g_other.code = code;
    g_other.failures = 1;
    ael_sys_set_for_test(&g_other.table);
    enum ael_status status = ael_pages_map(1, &policy, pages, err);
    ael_sys_set_for_test(before);
    CU_ASSERT_EQUAL(g_other.page[0], 'o'); /* its memory is still there */
    CU_ASSERT_EQUAL(munmap(g_other.page, ael_sys_page_bytes()), 0);
    return status;
}

static void test_pages_map__leaves_memory_of_other_threads_alone(void) {
    struct ael_pages pages;
    struct ael_error err = {AEL_OK, 0, NULL, ""};
    if (best().backing != AEL_BACKING_MEMFD_SECRET) {
        return; /* nothing is mapped over anything */
    }
    size_t before = maps_count();
    CU_ASSERT_EQUAL(map_beside_another_thread(EAGAIN, &pages, &err), AEL_E_LOCK_LIMIT);
    CU_ASSERT_EQUAL(err.status, AEL_E_LOCK_LIMIT);
    CU_ASSERT_PTR_NULL(pages.bytes);
    CU_ASSERT_EQUAL(map_beside_another_thread(EEXIST, &pages, NULL), AEL_OK); /* elsewhere */
    ael_pages_unmap(&pages);
    CU_ASSERT_EQUAL(maps_count(), before);
}

static void check_choice(int code, enum ael_backing wanted, enum ael_status expected) {
    struct ael_pages_policy policy;
    struct ael_error err = {AEL_OK, 0, NULL, ""};
    failing_sys_install(FAIL_MEMFD_SECRET, 1, code, true);
    CU_ASSERT_EQUAL(ael_pages_choose(wanted, true, &policy, &err), expected);
    CU_ASSERT_TRUE(failing_sys_remove());
    CU_ASSERT_EQUAL(err.status, expected);
    CU_ASSERT_EQUAL(policy.backing, AEL_BACKING_ANONYMOUS);
}

static void test_pages_choose__falls_back_only_when_the_kernel_lacks_memfd_secret(void) {
    check_choice(ENOSYS, AEL_BACKING_AUTO, AEL_OK);
    check_choice(EPERM, AEL_BACKING_AUTO, AEL_OK);
    check_choice(EINVAL, AEL_BACKING_AUTO, AEL_OK);
    check_choice(EACCES, AEL_BACKING_AUTO, AEL_OK);
    check_choice(EMFILE, AEL_BACKING_AUTO, AEL_E_SYSTEM);
    check_choice(ENOMEM, AEL_BACKING_AUTO, AEL_E_NO_MEMORY);
    check_choice(EAGAIN, AEL_BACKING_AUTO, AEL_E_NO_MEMORY);
    check_choice(ENOSYS, AEL_BACKING_MEMFD_SECRET, AEL_E_PROTECTION);
    check_choice(EPERM, AEL_BACKING_MEMFD_SECRET, AEL_E_PROTECTION);
    check_choice(EINVAL, AEL_BACKING_MEMFD_SECRET, AEL_E_PROTECTION);
    check_choice(ENOMEM, AEL_BACKING_MEMFD_SECRET, AEL_E_NO_MEMORY);
    check_choice(ENFILE, AEL_BACKING_MEMFD_SECRET, AEL_E_SYSTEM);
}

static void test_pages_choose__takes_anonymous_memory_without_locking(void) {
    struct ael_pages_policy policy;
    CU_ASSERT_EQUAL(ael_pages_choose(AEL_BACKING_AUTO, false, &policy, NULL), AEL_OK);
    CU_ASSERT_EQUAL(policy.backing, AEL_BACKING_ANONYMOUS);
    CU_ASSERT_FALSE(policy.lock);
    CU_ASSERT_EQUAL(ael_pages_choose(AEL_BACKING_MEMFD_SECRET, false, &policy, NULL), AEL_E_ARGUMENT);
}

/* The sentence names what is short and what to do. */
static void check_sentence(const struct ael_error *err) {
    const char *wanted = err->status == AEL_E_LOCK_LIMIT   ? "RLIMIT_MEMLOCK is"
                         : err->status == AEL_E_NO_MEMORY  ? "memory"
                         : err->status == AEL_E_PROTECTION ? "allow it"
                         : err->native_code == EMFILE      ? "RLIMIT_NOFILE is"
                                                           : "failed";
    CU_ASSERT_PTR_NOT_NULL(strstr(err->detail, wanted));
    CU_ASSERT_TRUE(strlen(err->detail) < sizeof err->detail - 1); /* not cut off */
    bool has_remedy =
        strstr(err->detail, "raise it") != NULL || strstr(err->detail, "choose another") != NULL;
    CU_ASSERT_TRUE(
        has_remedy || err->native_code == EINVAL || err->native_code == EFAULT ||
        err->status == AEL_E_RANDOM);
}

static void check_failure(
    const struct ael_pages_policy *policy,
    enum failing_call call,
    unsigned nth,
    int code,
    enum ael_status expected) {
    struct ael_pages pages;
    struct ael_error err = {AEL_OK, 0, NULL, ""};
    size_t before = maps_count();
    failing_sys_install(call, nth, code, false);
    CU_ASSERT_EQUAL(ael_pages_map(1, policy, &pages, &err), expected);
    CU_ASSERT_TRUE(failing_sys_remove());
    CU_ASSERT_EQUAL(err.status, expected);
    CU_ASSERT_EQUAL(err.native_code, code);
    check_sentence(&err);
    CU_ASSERT_PTR_NULL(pages.bytes);
    CU_ASSERT_EQUAL(maps_count(), before);
}

/* What each errno of a call that does not lock comes to. */
static void check_each_errno(const struct ael_pages_policy *policy, enum failing_call call, unsigned nth) {
    check_failure(policy, call, nth, ENOMEM, AEL_E_NO_MEMORY);
    check_failure(policy, call, nth, EAGAIN, AEL_E_NO_MEMORY);
    check_failure(policy, call, nth, EPERM, AEL_E_PROTECTION);
    check_failure(policy, call, nth, EACCES, AEL_E_PROTECTION);
    check_failure(policy, call, nth, EINVAL, AEL_E_SYSTEM);
}

static void
check_each_errno_of_locking(const struct ael_pages_policy *policy, enum failing_call call, unsigned nth) {
    check_failure(policy, call, nth, ENOMEM, AEL_E_LOCK_LIMIT);
    check_failure(policy, call, nth, EAGAIN, AEL_E_LOCK_LIMIT);
    check_failure(policy, call, nth, EPERM, AEL_E_LOCK_LIMIT);
    check_failure(policy, call, nth, EINVAL, AEL_E_SYSTEM);
}

static void test_pages_map__reports_each_failing_call(void) {
    check_each_errno(&k_plain, FAIL_MMAP, 1);
    check_each_errno(&k_plain, FAIL_MADVISE, 1);
    check_each_errno(&k_plain, FAIL_MADVISE, 2);
    check_each_errno(&k_plain, FAIL_MPROTECT, 1);
    check_each_errno(&k_plain, FAIL_MPROTECT, 2);
    check_each_errno_of_locking(&k_plain, FAIL_MLOCK, 1);
}

static void test_pages_map__reports_each_failing_call_of_memfd_secret(void) {
    struct ael_pages_policy policy = best();
    if (policy.backing != AEL_BACKING_MEMFD_SECRET) {
        return; /* this kernel, or valgrind, has none */
    }
    check_each_errno(&policy, FAIL_MEMFD_SECRET, 1);
    check_failure(&policy, FAIL_MEMFD_SECRET, 1, ENOSYS, AEL_E_PROTECTION); /* taken away since the choice */
    check_failure(&policy, FAIL_MEMFD_SECRET, 1, EMFILE, AEL_E_SYSTEM);
    check_failure(&policy, FAIL_MEMFD_SECRET, 1, ENFILE, AEL_E_SYSTEM);
    check_each_errno(&policy, FAIL_FTRUNCATE, 1);
    check_each_errno(&policy, FAIL_MMAP, 1);
    check_each_errno_of_locking(&policy, FAIL_MMAP, 2);
    check_each_errno(&policy, FAIL_MADVISE, 1);
    check_each_errno(&policy, FAIL_MADVISE, 2);
    check_failure(&policy, FAIL_GETRANDOM, 1, EFAULT, AEL_E_NO_MEMORY);
    check_failure(&policy, FAIL_GETRANDOM, 1, ENOSYS, AEL_E_RANDOM);
    check_each_errno(&policy, FAIL_MPROTECT, 1);
}

static void test_pages_set_access__reports_failure(void) {
    struct ael_pages pages;
    CU_ASSERT_EQUAL(ael_pages_map(1, &k_plain, &pages, NULL), AEL_OK);
    failing_sys_install(FAIL_MPROTECT, 1, ENOMEM, true);
    CU_ASSERT_EQUAL(ael_pages_set_access(&pages, AEL_PAGES_READ), AEL_E_SYSTEM);
    ael_pages_unmap(&pages); /* also when it cannot be wiped first */
    CU_ASSERT_TRUE(failing_sys_remove());
    CU_ASSERT_PTR_NULL(pages.bytes);
}

/* -- pages that are lent to a child -- */

static struct ael_pages g_lent;
static int g_gone[2];

/* As late as can be: when the parent has unmapped its own. */
static int read_what_is_lent(void) {
    uint8_t byte = 0;
    bool told = close(g_gone[1]) == 0 && read(g_gone[0], &byte, 1) == 1;
    bool whole = ael_pages_set_access(&g_lent, AEL_PAGES_READ) == AEL_OK && g_lent.bytes[9] == 9;
    ael_pages_drop_inherited(&g_lent);
    return told && whole ? 0 : 1;
}

static int unmap_under_the_child(void) {
    int state = -1;
    pid_t child = fork();
    if (child == 0) {
        _exit(read_what_is_lent());
    }
    ael_pages_unmap(&g_lent);
    return write(g_gone[1], "g", 1) == 1 && waitpid(child, &state, 0) == child && state == 0 ? 0 : 1;
}

static void check_lending(const struct ael_pages_policy *policy) {
    CU_ASSERT_EQUAL_FATAL(pipe(g_gone), 0);
    CU_ASSERT_EQUAL(ael_pages_map(1, policy, &g_lent, NULL), AEL_OK);
    CU_ASSERT_EQUAL(ael_pages_set_access(&g_lent, AEL_PAGES_WRITE), AEL_OK);
    g_lent.bytes[9] = 9;
    CU_ASSERT_EQUAL(ael_pages_set_inherited(&g_lent, true), AEL_OK);
    CU_ASSERT_EQUAL(unmap_under_the_child(), 0);
    CU_ASSERT_PTR_NULL(g_lent.bytes);
    (void)close(g_gone[0]);
    (void)close(g_gone[1]);
}

static void test_pages_unmap__leaves_a_child_what_was_lent(void) {
    struct ael_pages_policy policy = best();
    check_lending(&policy);
    check_lending(&k_plain);
}

static const struct test_case k_cases[] = {
    {"protection never splits or merges", test_pages_set_access__never_splits_or_merges_mappings},
    {"locked bytes follow", test_pages_locked_bytes__follow_the_mappings},
    {"closed pages and guards fault", test_pages__fault_when_closed_and_at_the_guards},
    {"memory of other threads", test_pages_map__leaves_memory_of_other_threads_alone},
    {"absent in a child", test_pages__are_absent_in_a_child},
    {"falls back only for want", test_pages_choose__falls_back_only_when_the_kernel_lacks_memfd_secret},
    {"anonymous without locking", test_pages_choose__takes_anonymous_memory_without_locking},
    {"lent to a child", test_pages_unmap__leaves_a_child_what_was_lent},
    {"failing calls", test_pages_map__reports_each_failing_call},
    {"failing calls of memfd_secret", test_pages_map__reports_each_failing_call_of_memfd_secret},
    {"failing mprotect", test_pages_set_access__reports_failure},
};

TEST_SUITE_MAIN("pages", k_cases)
