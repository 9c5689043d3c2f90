/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/suite.h"

#include "base/clock.h"
#include "base/refcount.h"
#include "base/sync.h"

enum { THREADS = 4, ROUNDS = 2000 };

struct shared {
    struct ael_mutex mutex;
    struct ael_cond cond;
    int value;
    struct ael_refcount holders;
    atomic_int last;
};

static struct shared g_shared = {.mutex = AEL_MUTEX_INIT};

static void *count_up(void *context) {
    struct shared *shared = context;
    for (int i = 0; i < ROUNDS; i++) {
        ael_mutex_lock(&shared->mutex);
        shared->value++;
        ael_mutex_unlock(&shared->mutex);
        ael_refcount_acquire(&shared->holders);
        if (ael_refcount_release(&shared->holders)) {
            atomic_fetch_add(&shared->last, 1);
        }
    }
    if (ael_refcount_release(&shared->holders)) {
        atomic_fetch_add(&shared->last, 1);
    }
    return NULL;
}

static void test_ael_mutex_lock__admits_one_at_a_time(void) {
    pthread_t threads[THREADS];
    struct shared *shared = &g_shared;
    ael_refcount_init(&shared->holders);
    for (int i = 0; i < THREADS; i++) {
        ael_refcount_acquire(&shared->holders);
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, count_up, shared), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    CU_ASSERT_EQUAL(shared->value, THREADS * ROUNDS);
    CU_ASSERT_EQUAL(atomic_load(&shared->last), 0);
    CU_ASSERT(ael_refcount_release(&shared->holders));
}

static void *set_value(void *context) {
    struct shared *shared = context;
    ael_mutex_lock(&shared->mutex);
    shared->value = 1;
    ael_cond_signal(&shared->cond);
    ael_cond_broadcast(&shared->cond);
    ael_mutex_unlock(&shared->mutex);
    return NULL;
}

static void wait_for_value(bool with_deadline) {
    struct shared shared = {.value = 0};
    pthread_t thread;
    CU_ASSERT_EQUAL_FATAL(ael_mutex_init(&shared.mutex), AEL_OK);
    ael_cond_init(&shared.cond);
    ael_mutex_lock(&shared.mutex);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, set_value, &shared), 0);
    int64_t deadline_ns = ael_clock_boot_ns() + INT64_C(60000000000);
    while (shared.value == 0) {
        if (with_deadline) {
            CU_ASSERT_EQUAL(ael_cond_wait_until(&shared.cond, &shared.mutex, deadline_ns), AEL_OK);
        } else {
            ael_cond_wait(&shared.cond, &shared.mutex);
        }
    }
    ael_mutex_unlock(&shared.mutex);
    (void)pthread_join(thread, NULL);
    ael_mutex_clear(&shared.mutex);
}

static void test_ael_cond_wait__ends_with_a_signal(void) {
    wait_for_value(false);
    wait_for_value(true);
}

static enum ael_status wait_until(struct shared *shared, int64_t deadline_ns) {
    enum ael_status status = AEL_OK;
    ael_mutex_lock(&shared->mutex);
    while (status == AEL_OK) {
        status = ael_cond_wait_until(&shared->cond, &shared->mutex, deadline_ns);
    }
    ael_mutex_unlock(&shared->mutex);
    return status;
}

static void test_ael_cond_wait_until__ends_with_the_deadline(void) {
    struct shared shared = {.mutex = AEL_MUTEX_INIT};
    ael_cond_init(&shared.cond);
    CU_ASSERT_EQUAL(wait_until(&shared, 0), AEL_E_TIMEOUT);
    CU_ASSERT_EQUAL(wait_until(&shared, ael_clock_boot_ns() + 1000000), AEL_E_TIMEOUT);
}

static void *advance(void *context) {
    (void)context;
    ael_clock_advance_for_test(100);
    return NULL;
}

static void test_ael_cond_wait_until__sees_a_set_clock_jump(void) {
    struct shared shared = {.mutex = AEL_MUTEX_INIT};
    pthread_t thread;
    ael_cond_init(&shared.cond);
    ael_clock_set_for_test(1, 1);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, advance, NULL), 0);
    CU_ASSERT_EQUAL(wait_until(&shared, INT64_C(100000000000)), AEL_E_TIMEOUT);
    (void)pthread_join(thread, NULL);
    ael_clock_reset_for_test();
}

static const struct test_case k_cases[] = {
    {"a mutex admits one at a time, a count has one last holder", test_ael_mutex_lock__admits_one_at_a_time},
    {"a wait ends with a signal", test_ael_cond_wait__ends_with_a_signal},
    {"a wait ends with its deadline", test_ael_cond_wait_until__ends_with_the_deadline},
    {"a wait sees a set clock jump", test_ael_cond_wait_until__sees_a_set_clock_jump},
};

TEST_SUITE_MAIN("sync", k_cases)
