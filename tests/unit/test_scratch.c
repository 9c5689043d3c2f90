/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "securememory/protected.h"
#include "securememory/scratch.h"
#include "tests/support/child.h"
#include "tests/support/failing_sys.h"
#include "tests/support/memory_level.h"
#include "tests/support/scratch_slots.h"
#include "tests/support/suite.h"

#include <ael/memory.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static size_t in_use(void) {
    struct ael_memory_stats stats = AEL_MEMORY_STATS_INIT;
    CU_ASSERT_EQUAL(ael_memory_stats(&stats), AEL_OK);
    return stats.scratch_slots_in_use;
}

static void take_all(struct ael_scratch *all) {
    uint32_t slots = scratch_slots();
    for (size_t i = 0; i < slots; i++) {
        CU_ASSERT_EQUAL(ael_scratch_begin(&all[i], NULL), AEL_OK);
    }
}

static void give_all(struct ael_scratch *all) {
    uint32_t slots = ael_protected()->scratch.slots;
    for (size_t i = 0; i < slots; i++) {
        CU_ASSERT_EQUAL(ael_scratch_end(&all[i]), AEL_OK);
    }
}

enum { LARGE_LIMIT = 4 * 1024 * 1024, LEFT = 72 * 1024 /* enough for few slots, and not for many */ };

static uint32_t slots_at(enum ael_protection_level level) {
    memory_at_level(level);
    uint32_t slots = scratch_slots();
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_OK);
    return slots;
}

static int has_least(void) {
    return slots_at(AEL_PROTECTION_LEASED) == AEL_SCRATCH_SLOTS_LEAST ? 0 : 1;
}

static int has_more(void) {
    return slots_at(AEL_PROTECTION_LEASED) == 2 * AEL_SCRATCH_SLOTS_LEAST ? 0 : 1;
}

static void test_scratch__has_more_slots_where_more_may_be_locked(void) {
    CU_ASSERT_EQUAL(child_run_with_lock_limit(64 * 1024, has_least), 0);
    CU_ASSERT_EQUAL(child_run_with_lock_limit(LARGE_LIMIT, has_more), 0);
    CU_ASSERT_EQUAL(slots_at(AEL_PROTECTION_STRICT), AEL_SCRATCH_SLOTS_LEAST);
}

/* Not all kernels count pages of memfd_secret. */
static int has_any(void) {
    return slots_at(AEL_PROTECTION_LEASED) >= AEL_SCRATCH_SLOTS_LEAST ? 0 : 1;
}

/* The host has locked nearly all of a large limit. By the system call: under sanitizers mlock does nothing. */
static int works_in_what_is_left(void) {
    size_t taken = LARGE_LIMIT - LEFT;
    void *of_the_host = mmap(NULL, taken, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return of_the_host != MAP_FAILED && syscall(SYS_mlock, of_the_host, taken) == 0 ? has_any() : 2;
}

static void test_scratch__is_there_where_the_host_locked_the_rest(void) {
    CU_ASSERT_EQUAL(child_run_with_lock_limit(LARGE_LIMIT, works_in_what_is_left), 0);
}

static void test_scratch_begin__gives_zeroed_aligned_bytes(void) {
    static const uint8_t k_zero[AEL_SCRATCH_BYTES];
    struct ael_scratch all[AEL_SCRATCH_SLOTS_MOST];
    uint32_t slots = scratch_slots();
    for (int round = 0; round < 2; round++) {
        take_all(all);
        CU_ASSERT_EQUAL(in_use(), slots);
        for (size_t i = 0; i < slots; i++) {
            CU_ASSERT_EQUAL((uintptr_t)all[i].bytes % 64, 0);
            CU_ASSERT_EQUAL(memcmp(all[i].bytes, k_zero, sizeof k_zero), 0);
            memset(all[i].bytes, 0xa5, AEL_SCRATCH_BYTES);
        }
        give_all(all);
        CU_ASSERT_EQUAL(in_use(), 0);
    }
}

static void test_scratch_end__accepts_what_is_not_held(void) {
    struct ael_scratch scratch = {NULL, 0};
    CU_ASSERT_EQUAL(ael_scratch_end(&scratch), AEL_OK);
    CU_ASSERT_EQUAL(ael_scratch_begin(&scratch, NULL), AEL_OK);
    CU_ASSERT_EQUAL(ael_scratch_end(&scratch), AEL_OK);
    CU_ASSERT_PTR_NULL(scratch.bytes);
    CU_ASSERT_EQUAL(ael_scratch_end(&scratch), AEL_OK);
}

static void overwrite(uint8_t *bytes, ptrdiff_t offset) {
    volatile uint8_t *byte = bytes + offset;
    *byte = (uint8_t)(*byte ^ 1);
}

static void test_scratch_end__finds_what_was_written_around_a_slot(void) {
    struct ael_scratch a;
    struct ael_scratch b;
    CU_ASSERT_EQUAL(ael_scratch_begin(&a, NULL), AEL_OK);
    CU_ASSERT_EQUAL(ael_scratch_begin(&b, NULL), AEL_OK);
    overwrite(a.bytes, -1);
    CU_ASSERT_EQUAL(ael_scratch_end(&a), AEL_E_CORRUPTED);
    CU_ASSERT_EQUAL(ael_scratch_begin(&a, NULL), AEL_OK);
    overwrite(a.bytes, AEL_SCRATCH_BYTES);
    CU_ASSERT_EQUAL(ael_scratch_end(&a), AEL_E_CORRUPTED);
    CU_ASSERT_EQUAL(ael_scratch_end(&b), AEL_OK); /* reported once, to who did it */
    CU_ASSERT_EQUAL(ael_scratch_begin(&a, NULL), AEL_OK);
    CU_ASSERT_EQUAL(ael_scratch_end(&a), AEL_OK);
}

static void test_scratch_begin__times_out_and_is_cancelled_when_all_are_out(void) {
    struct ael_scratch all[AEL_SCRATCH_SLOTS_MOST];
    struct ael_scratch more;
    struct ael_call call = AEL_CALL_INIT;
    struct ael_cancel *cancel = NULL;

    take_all(all);
    call.deadline_ns = ael_deadline_in_ms(0);
    CU_ASSERT_EQUAL(ael_scratch_begin(&more, &call), AEL_E_TIMEOUT);
    CU_ASSERT_PTR_NULL(more.bytes);
    CU_ASSERT_EQUAL(ael_cancel_new(&cancel), AEL_OK);
    ael_cancel_trigger(cancel);
    call.deadline_ns = 0;
    call.cancel = cancel;
    CU_ASSERT_EQUAL(ael_scratch_begin(&more, &call), AEL_E_CANCELLED);
    give_all(all);
    CU_ASSERT_EQUAL(ael_scratch_begin(&more, &call), AEL_OK); /* without a wait the token is not asked */
    CU_ASSERT_EQUAL(ael_scratch_end(&more), AEL_OK);
    ael_cancel_free(cancel);
}

static void *wait_and_end(void *context) {
    enum ael_status *status = context;
    struct ael_scratch scratch;
    *status = ael_scratch_begin(&scratch, NULL);
    (void)ael_scratch_end(&scratch);
    return NULL;
}

static void wait_for_waiter(void) {
    struct ael_scratch_pool *pool = &ael_protected()->scratch;
    bool waits = false;
    while (!waits) {
        ael_mutex_lock(&pool->lock);
        waits = pool->waiters.first != NULL;
        ael_mutex_unlock(&pool->lock);
    }
}

static void test_scratch_begin__gets_the_slot_that_another_gives_back(void) {
    struct ael_scratch all[AEL_SCRATCH_SLOTS_MOST];
    enum ael_status status = AEL_E_STATE;
    pthread_t thread;

    take_all(all);
    CU_ASSERT_EQUAL(pthread_create(&thread, NULL, wait_and_end, &status), 0);
    wait_for_waiter();
    CU_ASSERT_EQUAL(ael_scratch_end(&all[3]), AEL_OK);
    (void)pthread_join(thread, NULL);
    CU_ASSERT_EQUAL(status, AEL_OK);
    give_all(all);
    CU_ASSERT_EQUAL(in_use(), 0);
}

static void test_scratch__reports_failing_protection(void) {
    struct ael_scratch scratch;
    memory_at_level(AEL_PROTECTION_STRICT);
    CU_ASSERT_EQUAL(ael_scratch_begin(&scratch, NULL), AEL_OK);
    CU_ASSERT_EQUAL(ael_scratch_end(&scratch), AEL_OK);
    failing_sys_install(FAIL_MPROTECT, 1, ENOMEM, false);
    CU_ASSERT_EQUAL(ael_scratch_begin(&scratch, NULL), AEL_E_SYSTEM);
    CU_ASSERT_PTR_NULL(scratch.bytes);
    CU_ASSERT_EQUAL(in_use(), 0);
    failing_sys_install(FAIL_MPROTECT, 2, ENOMEM, false);
    CU_ASSERT_EQUAL(ael_scratch_begin(&scratch, NULL), AEL_OK);
    CU_ASSERT_EQUAL(ael_scratch_end(&scratch), AEL_E_SYSTEM);
    CU_ASSERT_TRUE(failing_sys_remove());
    CU_ASSERT_EQUAL(in_use(), 0);
}

static struct ael_scratch g_inherited;

static int end_inherited(void) {
    struct ael_scratch own;
    return ael_scratch_end(&g_inherited) == AEL_E_FORKED && ael_scratch_begin(&own, NULL) == AEL_OK &&
                   ael_scratch_end(&own) == AEL_OK
               ? 0
               : 1;
}

static void test_scratch_end__refuses_a_slot_of_before_fork(void) {
    CU_ASSERT_EQUAL(ael_scratch_begin(&g_inherited, NULL), AEL_OK);
    CU_ASSERT_EQUAL(child_run(end_inherited), 0);
    CU_ASSERT_EQUAL(ael_scratch_end(&g_inherited), AEL_OK);
}

static const struct test_case k_cases[] = {
    {"more where more may be locked", test_scratch__has_more_slots_where_more_may_be_locked},
    {"where the rest is locked", test_scratch__is_there_where_the_host_locked_the_rest},
    {"zeroed and aligned", test_scratch_begin__gives_zeroed_aligned_bytes},
    {"ends what is not held", test_scratch_end__accepts_what_is_not_held},
    {"finds stray writes", test_scratch_end__finds_what_was_written_around_a_slot},
    {"deadline and token", test_scratch_begin__times_out_and_is_cancelled_when_all_are_out},
    {"hand-over to a waiter", test_scratch_begin__gets_the_slot_that_another_gives_back},
    {"failing protection", test_scratch__reports_failing_protection},
    {"of before fork", test_scratch_end__refuses_a_slot_of_before_fork},
};

TEST_SUITE_MAIN("scratch", k_cases)
