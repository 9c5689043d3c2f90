/*
 * tests/threads/test_kms_aws_threads.c - many callers of one KMS over AWS KMS: what is asked for at once is asked once, whoever
 * asks; what tells of one caller alone is nobody else's.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/support/aws_kms_server.h"
#include "tests/support/child.h"
#include "tests/support/kms_crowd.h"
#include "tests/support/same_key.h"
#include "tests/support/suite.h"
#include "tests/support/under.h"

#include <ael/ael.h>
#include <ael/hooks.h>
#include <ael/sys/kms_backend.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { STACK_BYTES = 256 << 10 };

/* ---- a world: one region, a sealed key ---- */

static atomic_int s_joined;
static atomic_int s_good;
static atomic_int s_bad;

static void hear(void *context, enum ael_metric_kind kind, const char *name, int64_t value) {
    (void)context;
    (void)kind;
    (void)value;
    atomic_fetch_add(&s_joined, strcmp(name, "ael.kms.aws.decrypt_joined") == 0 ? 1 : 0);
}

static struct ael_kms *s_kms;
static struct ael_secret *s_key;
static struct ael_buf s_sealed = AEL_BUF_INIT;
static unsigned s_decrypts;

static void world_begin(void) {
    struct ael_hooks hooks = AEL_HOOKS_INIT;
    hooks.metric = hear;
    CU_ASSERT_FATAL(aws_kms_server(false) != NULL);
    aws_kms_server_reset();
    atomic_store(&s_joined, 0);
    atomic_store(&s_good, 0);
    atomic_store(&s_bad, 0);
    CU_ASSERT_FATAL(ael_hooks_set(&hooks) == AEL_OK);
    CU_ASSERT_FATAL(aws_kms_new(1, NULL, &s_kms, NULL) == AEL_OK);
    CU_ASSERT_FATAL(ael_secret_new_random(32, &s_key) == AEL_OK);
    CU_ASSERT_FATAL(ael_kms_encrypt_key(s_kms, NULL, s_key, &s_sealed, NULL) == AEL_OK);
    s_decrypts = aws_kms_server_count(AWS_WEST, "Decrypt");
}

static void world_end(void) {
    aws_kms_server_reset();
    ael_buf_clear(&s_sealed);
    ael_secret_release(s_key);
    ael_kms_release(s_kms);
    CU_ASSERT_EQUAL(ael_hooks_set(NULL), AEL_OK);
}

static unsigned decrypts(void) {
    return aws_kms_server_count(AWS_WEST, "Decrypt") - s_decrypts;
}

static void wait_for_decrypts(unsigned count) {
    while (decrypts() < count) {
        (void)sched_yield();
    }
}

static void wait_for_joined(int count) {
    while (atomic_load(&s_joined) < count) {
        (void)sched_yield();
    }
}

static enum ael_status open_sealed(const struct ael_call *call) {
    struct ael_secret *back = NULL;
    enum ael_status status = ael_kms_decrypt_key(s_kms, call, ael_buf_view(&s_sealed), &back, NULL);
    bool good = status == AEL_OK && same_key(s_key, back) && ael_secret_close(back) == AEL_OK;
    atomic_fetch_add(good ? &s_good : &s_bad, 1);
    ael_secret_release(back);
    return status;
}

/* ---- threads ---- */

static void *open_on_thread(void *status) {
    *(enum ael_status *)status = open_sealed(NULL);
    return NULL;
}

struct crowd {
    pthread_t *threads;
    enum ael_status *statuses;
    int count;
};

static void crowd_begin(struct crowd *crowd, int count, void *(*run)(void *)) {
    pthread_attr_t attributes;
    crowd->threads = calloc((size_t)count, sizeof *crowd->threads);
    crowd->statuses = calloc((size_t)count, sizeof *crowd->statuses);
    CU_ASSERT_FATAL(crowd->threads != NULL && crowd->statuses != NULL);
    CU_ASSERT_FATAL(
        pthread_attr_init(&attributes) == 0 && pthread_attr_setstacksize(&attributes, STACK_BYTES) == 0);
    for (crowd->count = 0; crowd->count < count; crowd->count++) {
        int i = crowd->count;
        CU_ASSERT_FATAL(pthread_create(&crowd->threads[i], &attributes, run, &crowd->statuses[i]) == 0);
    }
    (void)pthread_attr_destroy(&attributes);
}

/* Returns how many ended with this status. */
static int crowd_end(struct crowd *crowd, enum ael_status status) {
    int found = 0;
    for (int i = 0; i < crowd->count; i++) {
        (void)pthread_join(crowd->threads[i], NULL);
        found += crowd->statuses[i] == status ? 1 : 0;
    }
    free(crowd->threads);
    free(crowd->statuses);
    return found;
}

/* ---- equal decrypts ---- */

static void test_kms_aws_decrypt__fails_for_all_when_the_kms_refuses(void) {
    struct crowd crowd;
    world_begin();
    aws_kms_server_set(AWS_WEST, "hang");
    crowd_begin(&crowd, 8, open_on_thread);
    wait_for_joined(7);
    wait_for_decrypts(1);
    aws_kms_server_say(
        AWS_WEST, "HTTP/1.1 400 Bad\r\nContent-Length: 34\r\n\r\n{\"__type\":\"AccessDeniedException\"}");
    CU_ASSERT_EQUAL(crowd_end(&crowd, AEL_E_KMS), 8);
    CU_ASSERT_EQUAL(decrypts(), 1);
    world_end();
}

struct cancelled {
    struct ael_cancel *cancel;
    enum ael_status status;
};

static void *open_with_token(void *context) {
    struct cancelled *cancelled = context;
    struct ael_call call = AEL_CALL_INIT;
    call.cancel = cancelled->cancel;
    cancelled->status = open_sealed(&call);
    return NULL;
}

static void test_kms_aws_decrypt__goes_on_for_others_when_the_caller_is_cancelled(void) {
    struct cancelled first = {.status = AEL_OK};
    struct crowd crowd;
    pthread_t thread;
    world_begin();
    CU_ASSERT_FATAL(ael_cancel_new(&first.cancel) == AEL_OK);
    aws_kms_server_set(AWS_WEST, "hang");
    CU_ASSERT_FATAL(pthread_create(&thread, NULL, open_with_token, &first) == 0);
    wait_for_decrypts(1);
    crowd_begin(&crowd, 8, open_on_thread);
    wait_for_joined(8);
    ael_cancel_trigger(first.cancel);
    (void)pthread_join(thread, NULL);
    CU_ASSERT_EQUAL(first.status, AEL_E_CANCELLED);
    wait_for_decrypts(2);
    aws_kms_server_set(AWS_WEST, "open");
    CU_ASSERT_EQUAL(crowd_end(&crowd, AEL_OK), 8);
    CU_ASSERT(decrypts() >= 2);
    ael_cancel_free(first.cancel);
    world_end();
}

static void test_kms_aws_decrypt__lets_who_waits_go_at_his_deadline(void) {
    struct ael_call call = AEL_CALL_INIT;
    enum ael_status status = AEL_OK;
    pthread_t thread;
    world_begin();
    aws_kms_server_set(AWS_WEST, "hang");
    CU_ASSERT_FATAL(pthread_create(&thread, NULL, open_on_thread, &status) == 0);
    wait_for_decrypts(1);
    call.deadline_ns = ael_deadline_in_ms(50);
    CU_ASSERT_EQUAL(open_sealed(&call), AEL_E_TIMEOUT);
    CU_ASSERT_EQUAL(decrypts(), 1);
    aws_kms_server_set(AWS_WEST, "open");
    (void)pthread_join(thread, NULL);
    CU_ASSERT_EQUAL(status, AEL_OK);
    world_end();
}

static int in_child(void *unused) {
    (void)unused;
    return open_sealed(NULL) == AEL_OK ? 0 : 1;
}

/* To valgrind what the parent's thread had allocated is lost in the child, whose exit code is then valgrind's: not looked at. */
static void test_kms_aws_decrypt__does_not_wait_in_a_child_for_its_parents_call(void) {
    enum ael_status status = AEL_OK;
    pthread_t thread;
    world_begin();
    aws_kms_server_set(AWS_WEST, "hang");
    CU_ASSERT_FATAL(pthread_create(&thread, NULL, open_on_thread, &status) == 0);
    wait_for_decrypts(1);
    pid_t child = child_start(in_child, NULL);
    wait_for_decrypts(2);
    aws_kms_server_set(AWS_WEST, "open");
    int exit_code = child_wait(child);
    CU_ASSERT(exit_code == 0 || under_valgrind());
    (void)pthread_join(thread, NULL);
    CU_ASSERT_EQUAL(status, AEL_OK);
    world_end();
}

/* ---- many threads, and a KMS that is dead ---- */

static void hold(void) {
    aws_kms_server_set(AWS_WEST, "hang");
}

static void die(void) {
    aws_kms_server_set(AWS_WEST, "shut");
}

static unsigned generated(void) {
    return aws_kms_server_count(AWS_WEST, "GenerateDataKey");
}

static unsigned decrypted(void) {
    return aws_kms_server_count(AWS_WEST, "Decrypt");
}

static void with_patience(struct ael_kms_aws_options *options) {
    options->connect_timeout_ms = options->try_timeout_ms = KMS_CROWD_PATIENCE_MS;
}

/* One region, for all are one call there. */
static void run(void (*check)(const struct kms_crowd_service *service)) {
    struct kms_crowd_service service = {
        .hold = hold,
        .let_go = aws_kms_server_reset,
        .die = die,
        .encrypts = generated,
        .decrypts = decrypted,
        .joined = "ael.kms.aws.decrypt_joined",
        .opened = "ael.kms.aws.breaker_opened",
    };
    CU_ASSERT_FATAL(aws_kms_server(false) != NULL);
    aws_kms_server_reset();
    CU_ASSERT_FATAL(aws_kms_new(1, with_patience, &service.kms, NULL) == AEL_OK);
    check(&service);
    aws_kms_server_reset();
    ael_kms_release(service.kms);
}

static void test_kms_aws_decrypt__is_one_call_for_all_who_want_a_key_at_once(void) {
    run(kms_crowd_decrypts_once);
}

static void test_session__asks_aws_kms_once_for_a_cold_key_on_many_threads(void) {
    run(kms_crowd_makes_and_loads_one_key);
}

static void test_session__goes_on_warm_while_aws_kms_is_dead_and_answers_cold_in_time(void) {
    run(kms_crowd_does_without);
}

static const struct test_case k_cases[] = {
    {"equal decrypts are one call", test_kms_aws_decrypt__is_one_call_for_all_who_want_a_key_at_once},
    {"a refusal is everybody's", test_kms_aws_decrypt__fails_for_all_when_the_kms_refuses},
    {"a cancelled caller is alone", test_kms_aws_decrypt__goes_on_for_others_when_the_caller_is_cancelled},
    {"who waits has his own deadline", test_kms_aws_decrypt__lets_who_waits_go_at_his_deadline},
    {"a child does not wait for its parent's",
     test_kms_aws_decrypt__does_not_wait_in_a_child_for_its_parents_call},
    {"a cold key on many threads", test_session__asks_aws_kms_once_for_a_cold_key_on_many_threads},
    {"a dead KMS, warm and cold", test_session__goes_on_warm_while_aws_kms_is_dead_and_answers_cold_in_time},
};

TEST_SUITE_MAIN("kms_aws_threads", k_cases)
