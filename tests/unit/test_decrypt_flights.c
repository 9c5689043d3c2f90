/*
 * tests/unit/test_decrypt_flights.c - kms/remote/decrypt_flights.h.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kms/remote/decrypt_flights.h"

#include "base/clock.h"
#include "securememory/scratch_pool.h"
#include "tests/support/scratch_slots.h"
#include "tests/support/suite.h"

#include <ael/hooks.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

enum { FIRST_MS = 50, LATE_MS = 10000, OTHER_MS = 60000 };

static struct ael_decrypt_flights s_flights;
static struct ael_secret *s_key;
static pthread_t s_other;
static enum ael_status s_others_status;
static atomic_int s_joined;
static int64_t s_left_ns; /* when the first caller's decrypt was over */
static struct ael_scratch s_slots[AEL_SCRATCH_SLOTS_MOST];

static void hear(void *context, enum ael_metric_kind kind, const char *name, int64_t value) {
    (void)context;
    (void)name;
    atomic_fetch_add(&s_joined, kind == AEL_METRIC_COUNTER && value == 1 ? 1 : 0);
}

static enum ael_status run(ael_decrypt_fn decrypt, uint32_t timeout_ms) {
    struct ael_secret *key = NULL;
    struct ael_call call = AEL_CALL_INIT;
    call.deadline_ns = ael_deadline_in_ms(timeout_ms);
    enum ael_status status = ael_decrypt_flights_run(
        &s_flights, &call, ael_bytes_from_text("sealed"), decrypt, NULL, &key, NULL);
    ael_secret_release(key);
    return status;
}

static enum ael_status answer(
    void *self,
    const struct ael_call *call,
    struct ael_bytes encrypted,
    struct ael_secret **key,
    struct ael_error *err) {
    (void)self;
    (void)call;
    (void)encrypted;
    (void)err;
    *key = ael_secret_acquire(s_key);
    return AEL_OK;
}

static void *join(void *unused) {
    s_others_status = run(answer, OTHER_MS);
    return unused;
}

/* Is over when another caller waits for it, its own caller has no more time, and other operations have all slots. */
static enum ael_status answer_late(
    void *self,
    const struct ael_call *call,
    struct ael_bytes encrypted,
    struct ael_secret **key,
    struct ael_error *err) {
    CU_ASSERT_FATAL(pthread_create(&s_other, NULL, join, NULL) == 0);
    while (atomic_load(&s_joined) == 0 || ael_call_remaining_ms(call) > 0) {
        (void)poll(NULL, 0, 1);
    }
    for (uint32_t i = 0; i < ael_protected()->scratch.slots; i++) {
        CU_ASSERT_EQUAL(ael_scratch_begin(&s_slots[i], NULL), AEL_OK);
    }
    s_left_ns = ael_clock_boot_ns();
    return answer(self, call, encrypted, key, err);
}

static void test_decrypt_flights_run__does_not_wait_for_a_copy_past_its_deadline(void) {
    uint8_t bytes[32] = {1, 2, 3};
    struct ael_hooks hooks = AEL_HOOKS_INIT;
    hooks.metric = hear;
    CU_ASSERT_NOT_EQUAL_FATAL(scratch_slots(), 0);
    CU_ASSERT_EQUAL_FATAL(ael_secret_new(bytes, sizeof bytes, &s_key), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_decrypt_flights_init(&s_flights, "joined"), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_hooks_set(&hooks), AEL_OK);
    CU_ASSERT_EQUAL(run(answer_late, FIRST_MS), AEL_OK);
    CU_ASSERT_TRUE(ael_clock_boot_ns() - s_left_ns < (int64_t)LATE_MS * 1000000);
    for (uint32_t i = 0; i < ael_protected()->scratch.slots; i++) {
        CU_ASSERT_EQUAL(ael_scratch_end(&s_slots[i]), AEL_OK);
    }
    CU_ASSERT_EQUAL(pthread_join(s_other, NULL), 0);
    CU_ASSERT_EQUAL(s_others_status, AEL_OK); /* it has the first caller's, for want of a copy */
    CU_ASSERT_EQUAL(ael_hooks_set(NULL), AEL_OK);
    ael_decrypt_flights_clear(&s_flights);
    ael_secret_release(s_key);
}

static const struct test_case k_cases[] = {
    {"the first caller waits for no copy past its deadline",
     test_decrypt_flights_run__does_not_wait_for_a_copy_past_its_deadline},
};

TEST_SUITE_MAIN("decrypt_flights", k_cases)
