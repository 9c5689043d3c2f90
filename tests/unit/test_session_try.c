/*
 * test_session_try.c - calls that never wait. A metastore stands at a gate: where a try waited for it, its test would
 * never end.
 *
 * Needs: the static library, CUnit, tests/support/fixture.c; Linux, for the names and masks of threads.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "appencryption/session/session_parts.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "securememory/scratch.h"
#include "tests/support/child.h"
#include "tests/support/fixture.h"
#include "tests/support/scratch_slots.h"
#include "tests/support/suite.h"
#include "tests/support/under.h"

#include <ael/memory.h>
#include <ael/session_try.h>

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_MS = 60000, LOADERS = 4 };

static const char k_text[] = "attack at dawn";

static const struct ael_call k_endless = {sizeof k_endless, INT64_MAX, NULL, AEL_CONSISTENCY_ANY, NULL};

struct loop {
    struct fixture fix;
    struct ael_session *session;
    struct ael_wait_queue *queue;
    struct ael_wait *wait;
    struct ael_record_buf record;
};

static struct ael_wait *new_wait(struct ael_wait_queue *queue, void *context) {
    struct ael_wait_options options = AEL_WAIT_OPTIONS_INIT;
    struct ael_wait *wait = NULL;
    options.queue = queue;
    options.context = context;
    CU_ASSERT_EQUAL_FATAL(ael_wait_new(&options, &wait), AEL_OK);
    return wait;
}

static void begin_with(struct loop *loop, const struct ael_policy *policy) {
    memset(loop, 0, sizeof *loop);
    loop->record = (struct ael_record_buf)AEL_RECORD_BUF_INIT;
    fixture_begin_with(&loop->fix, policy, NULL);
    loop->session = fixture_session(&loop->fix, "p");
    CU_ASSERT_EQUAL_FATAL(ael_wait_queue_new(&loop->queue), AEL_OK);
    loop->wait = new_wait(loop->queue, loop);
}

static void begin(struct loop *loop) {
    begin_with(loop, NULL);
}

static void end(struct loop *loop) {
    ael_record_buf_clear(&loop->record);
    ael_wait_free(loop->wait);
    ael_wait_queue_free(loop->queue);
    ael_session_release(loop->session);
    fixture_end(&loop->fix);
}

static enum ael_status encrypt(struct loop *loop) {
    return ael_session_try_encrypt(
        loop->session, ael_bytes_from_text(k_text), &loop->record, &k_endless, loop->wait, NULL);
}

static bool is_readable(struct ael_wait_queue *queue, int timeout_ms) {
    struct pollfd fd = {.fd = ael_wait_queue_fd(queue), .events = POLLIN};
    return poll(&fd, 1, timeout_ms) == 1;
}

/* Waits for the descriptor and takes one; its status. */
static enum ael_status next(struct loop *loop, struct ael_wait *expected) {
    struct ael_wait *wait = NULL;
    enum ael_status status = AEL_E_BUSY;
    CU_ASSERT_TRUE(is_readable(loop->queue, PATIENCE_MS));
    CU_ASSERT_TRUE(ael_wait_queue_next(loop->queue, &wait, NULL, &status));
    CU_ASSERT_PTR_EQUAL(wait, expected);
    return status;
}

static bool decrypts(struct loop *loop) {
    return fixture_decrypt(loop->session, &loop->record.record) == AEL_OK;
}

/* How many threads of this process have the name; where block is not NULL, whether all of them block each signal. */
static int threads_named(const char *name, bool *block) {
    DIR *tasks = opendir("/proc/self/task");
    int count = 0;
    for (struct dirent *task = NULL; tasks != NULL && (task = readdir(tasks)) != NULL;) {
        char path[300];
        char line[256];
        bool found = false;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", task->d_name);
        FILE *file = fopen(path, "re");
        while (file != NULL && fgets(line, sizeof line, file) != NULL) {
            unsigned long long mask = 0;
            found = found || (strncmp(line, "Name:\t", 6) == 0 && strncmp(line + 6, name, strlen(name)) == 0);
            if (found && block != NULL && sscanf(line, "SigBlk: %llx", &mask) == 1) {
                /* not KILL and STOP, and not those that libc keeps for itself */
                *block = *block && (~mask & 0xfffffffc7ffbfeffULL) == 0;
            }
        }
        count += found;
        if (file != NULL) {
            (void)fclose(file);
        }
    }
    (void)closedir(tasks);
    return count;
}

/* The library's threads that do not end: one that was joined may still be seen for a moment. */
static int threads_left(void) {
    time_t end = time(NULL) + 3;
    int count = threads_named("ael-loader", NULL) + threads_named("ael-keeper", NULL);
    while (count != 0 && time(NULL) < end) {
        (void)sched_yield();
        count = threads_named("ael-loader", NULL) + threads_named("ael-keeper", NULL);
    }
    return count;
}

/* -- at hand, and not -- */

static void test_try__works_at_once_with_a_warm_key_and_starts_no_thread(void) {
    struct loop loop;
    begin(&loop);
    CU_ASSERT_EQUAL(fixture_encrypt(loop.session, NULL), AEL_OK);
    gate_shut(&loop.fix.metastore->gate);
    CU_ASSERT_EQUAL(encrypt(&loop), AEL_OK);
    CU_ASSERT_TRUE(decrypts(&loop));
    CU_ASSERT_EQUAL(ael_wait_status(loop.wait, NULL), AEL_OK);
    CU_ASSERT_FALSE(is_readable(loop.queue, 0));
    CU_ASSERT_FALSE(ael_wait_queue_next(loop.queue, NULL, NULL, NULL));
    CU_ASSERT_EQUAL(threads_left(), 0);
    end(&loop);
}

static void test_try__loads_in_the_background_and_works_when_tried_again(void) {
    struct loop loop;
    begin(&loop);
    CU_ASSERT_EQUAL(encrypt(&loop), AEL_E_WOULD_BLOCK);
    CU_ASSERT_EQUAL(loop.record.storage.len, 0);
    void *context = NULL;
    struct ael_wait *wait = NULL;
    enum ael_status status = AEL_E_BUSY;
    CU_ASSERT_TRUE(is_readable(loop.queue, PATIENCE_MS));
    CU_ASSERT_TRUE(ael_wait_queue_next(loop.queue, &wait, &context, &status));
    CU_ASSERT_PTR_EQUAL(wait, loop.wait);
    CU_ASSERT_PTR_EQUAL(context, &loop);
    CU_ASSERT_EQUAL(status, AEL_OK);
    CU_ASSERT_EQUAL(ael_wait_status(loop.wait, NULL), AEL_OK);
    CU_ASSERT_FALSE(is_readable(loop.queue, 0));
    gate_shut(&loop.fix.metastore->gate);
    CU_ASSERT_EQUAL(encrypt(&loop), AEL_OK);
    CU_ASSERT_TRUE(decrypts(&loop));
    end(&loop);
}

static void test_try__has_all_four_forms(void) {
    struct loop loop;
    struct ael_buf json = AEL_BUF_INIT;
    struct ael_buf plain = AEL_BUF_INIT;
    begin(&loop);
    CU_ASSERT_EQUAL(fixture_encrypt(loop.session, NULL), AEL_OK); /* its keys are in the store */
    struct ael_session_factory *first = loop.fix.factory;
    for (int form = 0; form < 4; form++) {
        struct ael_bytes text = ael_bytes_from_text(k_text);
        loop.fix.factory = fixture_other_factory(&loop.fix, NULL); /* everything is cold */
        struct ael_session *session = fixture_session(&loop.fix, "p");
        enum ael_status status = AEL_E_WOULD_BLOCK;
        for (int turn = 0; turn < 2; turn++) {
            CU_ASSERT_EQUAL(status, AEL_E_WOULD_BLOCK);
            status =
                form == 0   ? ael_session_try_encrypt(session, text, &loop.record, NULL, loop.wait, NULL)
                : form == 1 ? ael_session_try_encrypt_json(session, text, &json, NULL, loop.wait, NULL)
                : form == 2 ? ael_session_try_decrypt(session, &loop.record.record, &plain, NULL, loop.wait, NULL)
                            : ael_session_try_decrypt_json(
                                  session, ael_buf_view(&json), &plain, NULL, loop.wait, NULL);
            CU_ASSERT_EQUAL(turn == 0 ? next(&loop, loop.wait) : AEL_OK, AEL_OK);
        }
        CU_ASSERT_EQUAL(status, AEL_OK);
        CU_ASSERT_TRUE(form < 2 || (plain.len == strlen(k_text) && memcmp(plain.data, k_text, plain.len) == 0));
        ael_session_release(session);
        ael_session_factory_free(loop.fix.factory);
    }
    loop.fix.factory = first;
    ael_buf_clear(&json);
    ael_buf_clear(&plain);
    end(&loop);
}

static void test_try__refuses_what_the_other_calls_refuse(void) {
    struct loop loop;
    struct ael_buf buf = AEL_BUF_INIT;
    struct ael_call call = AEL_CALL_INIT;
    struct ael_bytes text = ael_bytes_from_text(k_text);
    begin(&loop);
    CU_ASSERT_EQUAL(ael_session_try_encrypt(NULL, text, &loop.record, NULL, NULL, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_session_try_encrypt(loop.session, text, NULL, NULL, NULL, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_session_try_encrypt_json(loop.session, text, NULL, NULL, NULL, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_session_try_decrypt(loop.session, NULL, &buf, NULL, NULL, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_session_try_decrypt_json(loop.session, text, NULL, NULL, NULL, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_session_try_decrypt_json(loop.session, text, &buf, NULL, loop.wait, NULL), AEL_E_RECORD);
    call.deadline_ns = ael_deadline_in_ms(0);
    CU_ASSERT_EQUAL(
        ael_session_try_encrypt(loop.session, text, &loop.record, &call, loop.wait, NULL), AEL_E_TIMEOUT);
    call.size = 0;
    CU_ASSERT_EQUAL(
        ael_session_try_encrypt(loop.session, text, &loop.record, &call, loop.wait, NULL), AEL_E_ARGUMENT);
    text.len = (64u << 20) + 1;
    CU_ASSERT_EQUAL(
        ael_session_try_encrypt(loop.session, text, &loop.record, NULL, loop.wait, NULL), AEL_E_TOO_LARGE);
    CU_ASSERT_EQUAL(fake_metastore_calls(loop.fix.metastore), 0);
    CU_ASSERT_EQUAL(ael_wait_status(NULL, NULL), AEL_E_ARGUMENT);
    struct ael_wait *none = loop.wait;
    CU_ASSERT_EQUAL(ael_wait_new(NULL, &none), AEL_E_ARGUMENT);
    CU_ASSERT_PTR_NULL(none);
    CU_ASSERT_EQUAL(ael_wait_queue_new(NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_wait_queue_fd(NULL), -1);
    ael_wait_free(NULL);
    ael_wait_queue_free(NULL);
    ael_buf_clear(&buf);
    end(&loop);
}

/* -- a metastore that hangs -- */

static void test_try__never_waits_for_a_metastore_that_hangs(void) {
    enum { COLD = 12 };
    struct loop loop;
    struct ael_session *cold[COLD];
    struct ael_wait *waits[COLD];
    begin(&loop);
    CU_ASSERT_EQUAL(fixture_encrypt(loop.session, NULL), AEL_OK);
    gate_shut(&loop.fix.metastore->gate);
    for (size_t i = 0; i < COLD; i++) {
        char name[8];
        snprintf(name, sizeof name, "cold%zu", i);
        cold[i] = fixture_session(&loop.fix, name);
        waits[i] = new_wait(loop.queue, NULL);
        CU_ASSERT_EQUAL(
            ael_session_try_encrypt(
                cold[i], ael_bytes_from_text(k_text), &loop.record, &k_endless, waits[i], NULL),
            AEL_E_WOULD_BLOCK);
        CU_ASSERT_EQUAL(
            ael_session_try_encrypt(
                cold[i], ael_bytes_from_text(k_text), &loop.record, &k_endless, waits[i], NULL),
            AEL_E_STATE);
        CU_ASSERT_EQUAL(ael_wait_status(waits[i], NULL), AEL_E_WOULD_BLOCK);
        CU_ASSERT_EQUAL(encrypt(&loop), AEL_OK); /* the warm one goes on */
    }
    gate_wait_for(&loop.fix.metastore->gate, LOADERS);
    gate_open(&loop.fix.metastore->gate);
    for (size_t i = 0; i < COLD; i++) {
        struct ael_wait *wait = NULL;
        enum ael_status status = AEL_E_BUSY;
        CU_ASSERT_TRUE(is_readable(loop.queue, PATIENCE_MS));
        CU_ASSERT_TRUE(ael_wait_queue_next(loop.queue, &wait, NULL, &status));
        CU_ASSERT_EQUAL(status, AEL_OK);
    }
    for (size_t i = 0; i < COLD; i++) {
        CU_ASSERT_EQUAL(
            ael_session_try_encrypt(
                cold[i], ael_bytes_from_text(k_text), &loop.record, &k_endless, waits[i], NULL),
            AEL_OK);
        ael_wait_free(waits[i]);
        ael_session_release(cold[i]);
    }
    end(&loop);
    CU_ASSERT_EQUAL(threads_left(), 0);
}

/* No more loads at once than the policy allows, whatever is asked for. */
static void test_try__runs_named_threads_that_block_signals_within_the_bound(void) {
    struct loop loop;
    struct ael_policy policy = AEL_POLICY_INIT;
    bool block = true;
    policy.background_loads = 2;
    begin_with(&loop, &policy);
    gate_shut(&loop.fix.metastore->gate);
    for (size_t i = 0; i < 6; i++) {
        char name[8];
        snprintf(name, sizeof name, "cold%zu", i);
        struct ael_session *cold = fixture_session(&loop.fix, name);
        CU_ASSERT_EQUAL(
            ael_session_try_encrypt(cold, ael_bytes_from_text(k_text), &loop.record, &k_endless, NULL, NULL),
            AEL_E_WOULD_BLOCK); /* nobody is told, and it is loaded all the same */
        ael_session_release(cold);
    }
    gate_wait_for(&loop.fix.metastore->gate, 2);
    CU_ASSERT_EQUAL(threads_named("ael-loader", &block), 2);
    CU_ASSERT_EQUAL(threads_named("ael-keeper", &block), 1);
    CU_ASSERT_TRUE(block || under_valgrind()); /* which keeps the masks to itself */
    gate_open(&loop.fix.metastore->gate);
    struct ael_session *last = fixture_session(&loop.fix, "cold5");
    while (ael_session_try_encrypt(last, ael_bytes_from_text(k_text), &loop.record, &k_endless, NULL, NULL) != AEL_OK) {
        sched_yield();
    }
    ael_session_release(last);
    end(&loop);
}

static void *encrypt_and_wait(void *context) {
    struct loop *loop = context;
    CU_ASSERT_EQUAL(fixture_encrypt(loop->session, NULL), AEL_OK);
    return NULL;
}

static void test_try__shares_one_load_with_others_and_with_calls_that_wait(void) {
    struct loop loop;
    pthread_t thread;
    begin(&loop);
    struct ael_wait *other = new_wait(loop.queue, NULL);
    gate_shut(&loop.fix.metastore->gate);
    CU_ASSERT_EQUAL(pthread_create(&thread, NULL, encrypt_and_wait, &loop), 0);
    gate_wait_for(&loop.fix.metastore->gate, 1);
    CU_ASSERT_EQUAL(encrypt(&loop), AEL_E_WOULD_BLOCK);
    CU_ASSERT_EQUAL(
        ael_session_try_encrypt(
            loop.session, ael_bytes_from_text(k_text), &loop.record, &k_endless, other, NULL),
        AEL_E_WOULD_BLOCK);
    gate_open(&loop.fix.metastore->gate);
    CU_ASSERT_TRUE(is_readable(loop.queue, PATIENCE_MS));
    pthread_join(thread, NULL);
    while (ael_wait_status(loop.wait, NULL) == AEL_E_WOULD_BLOCK || ael_wait_status(other, NULL) == AEL_E_WOULD_BLOCK) {
        sched_yield();
    }
    CU_ASSERT_EQUAL(ael_wait_status(loop.wait, NULL), AEL_OK);
    CU_ASSERT_EQUAL(ael_wait_status(other, NULL), AEL_OK);
    CU_ASSERT_EQUAL(loop.fix.metastore->calls[FAKE_LOAD_LATEST], 2); /* one of the IK, one of the SK */
    CU_ASSERT_EQUAL(loop.fix.metastore->calls[FAKE_STORE], 2);
    ael_wait_free(other);
    end(&loop);
}

static void test_try__ends_in_time_where_the_metastore_does_not(void) {
    struct loop loop;
    struct ael_call call = AEL_CALL_INIT;
    begin(&loop);
    gate_shut(&loop.fix.metastore->gate);
    call.deadline_ns = ael_deadline_in_ms(10000);
    CU_ASSERT_EQUAL(
        ael_session_try_encrypt(
            loop.session, ael_bytes_from_text(k_text), &loop.record, &call, loop.wait, NULL),
        AEL_E_WOULD_BLOCK);
    gate_wait_for(&loop.fix.metastore->gate, 1);
    CU_ASSERT_FALSE(is_readable(loop.queue, 0));
    ael_clock_advance_for_test(11);
    CU_ASSERT_EQUAL(next(&loop, loop.wait), AEL_E_TIMEOUT);
    struct ael_error err = {0};
    CU_ASSERT_EQUAL(ael_wait_status(loop.wait, &err), AEL_E_TIMEOUT);
    CU_ASSERT_EQUAL(err.status, AEL_E_TIMEOUT);
    gate_open(&loop.fix.metastore->gate);
    end(&loop);
}

static void test_try__ends_by_its_token(void) {
    struct loop loop;
    struct ael_call call = k_endless;
    struct ael_cancel *cancel = NULL;
    begin(&loop);
    CU_ASSERT_EQUAL(ael_cancel_new(&cancel), AEL_OK);
    call.cancel = cancel;
    gate_shut(&loop.fix.metastore->gate);
    CU_ASSERT_EQUAL(
        ael_session_try_encrypt(
            loop.session, ael_bytes_from_text(k_text), &loop.record, &call, loop.wait, NULL),
        AEL_E_WOULD_BLOCK);
    gate_wait_for(&loop.fix.metastore->gate, 1);
    ael_cancel_trigger(cancel);
    CU_ASSERT_EQUAL(next(&loop, loop.wait), AEL_E_CANCELLED);
    gate_open(&loop.fix.metastore->gate);
    ael_cancel_free(cancel);
    end(&loop);
}

/* The load goes on for somebody else, and its key is being written while the wait that gave it up is tried again. */
static void test_try__leaves_a_load_alone_that_its_wait_gave_up(void) {
    struct loop loop;
    struct ael_policy policy = AEL_POLICY_INIT;
    struct ael_call call = k_endless;
    struct ael_cancel *cancel = NULL;
    policy.revoke_check_interval_s = 0;
    begin_with(&loop, &policy);
    struct ael_wait *other = new_wait(NULL, NULL);
    CU_ASSERT_EQUAL(ael_cancel_new(&cancel), AEL_OK);
    call.cancel = cancel;
    gate_shut(&loop.fix.metastore->gate);
    CU_ASSERT_EQUAL(
        ael_session_try_encrypt(loop.session, ael_bytes_from_text(k_text), &loop.record, &call, loop.wait, NULL),
        AEL_E_WOULD_BLOCK);
    CU_ASSERT_EQUAL(
        ael_session_try_encrypt(
            loop.session, ael_bytes_from_text(k_text), &loop.record, &k_endless, other, NULL),
        AEL_E_WOULD_BLOCK);
    gate_wait_for(&loop.fix.metastore->gate, 1);
    ael_cancel_trigger(cancel);
    CU_ASSERT_EQUAL(next(&loop, loop.wait), AEL_E_CANCELLED);
    gate_open(&loop.fix.metastore->gate);
    while (encrypt(&loop) != AEL_OK) { /* the first one beside the loader */
        CU_ASSERT_EQUAL(next(&loop, loop.wait), AEL_OK);
    }
    ael_wait_free(other);
    ael_cancel_free(cancel);
    end(&loop);
}

/* The load began with the first one's deadline, and the metastore kept to that. */
static void test_try__loads_again_for_a_wait_that_has_more_time(void) {
    struct loop loop;
    struct ael_call call = AEL_CALL_INIT;
    begin(&loop);
    struct ael_wait *hasty = new_wait(loop.queue, NULL);
    gate_shut(&loop.fix.metastore->gate);
    fake_metastore_script(loop.fix.metastore, FAKE_LOAD_LATEST, FAKE_BEFORE, AEL_E_TIMEOUT);
    call.deadline_ns = ael_deadline_in_ms(10000);
    CU_ASSERT_EQUAL(
        ael_session_try_encrypt(loop.session, ael_bytes_from_text(k_text), &loop.record, &call, hasty, NULL),
        AEL_E_WOULD_BLOCK);
    gate_wait_for(&loop.fix.metastore->gate, 1);
    CU_ASSERT_EQUAL(encrypt(&loop), AEL_E_WOULD_BLOCK);
    ael_clock_advance_for_test(11);
    CU_ASSERT_EQUAL(next(&loop, hasty), AEL_E_TIMEOUT);
    gate_open(&loop.fix.metastore->gate);
    CU_ASSERT_EQUAL(next(&loop, loop.wait), AEL_OK);
    CU_ASSERT_EQUAL(encrypt(&loop), AEL_OK);
    ael_wait_free(hasty);
    end(&loop);
}

static void test_try__tells_why_a_load_failed(void) {
    struct loop loop;
    struct ael_error err = {0};
    begin(&loop);
    fake_metastore_fail_all(loop.fix.metastore, AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(encrypt(&loop), AEL_E_WOULD_BLOCK);
    CU_ASSERT_EQUAL(next(&loop, loop.wait), AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(ael_wait_status(loop.wait, &err), AEL_E_UNREACHABLE);
    CU_ASSERT_STRING_EQUAL(err.component, "fake metastore");
    CU_ASSERT_EQUAL(encrypt(&loop), AEL_E_WOULD_BLOCK);
    CU_ASSERT_EQUAL(next(&loop, loop.wait), AEL_E_UNREACHABLE);
    fake_metastore_fail_all(loop.fix.metastore, AEL_OK);
    CU_ASSERT_EQUAL(encrypt(&loop), AEL_E_WOULD_BLOCK);
    CU_ASSERT_EQUAL(next(&loop, loop.wait), AEL_OK);
    CU_ASSERT_EQUAL(encrypt(&loop), AEL_OK);
    end(&loop);
}

static void test_try_decrypt__tells_of_a_key_that_is_not_there(void) {
    struct loop loop;
    struct ael_buf plain = AEL_BUF_INIT;
    begin(&loop);
    loop.record = fixture_record(loop.session);
    loop.record.record.parent_created_s -= 6000;
    CU_ASSERT_EQUAL(
        ael_session_try_decrypt(loop.session, &loop.record.record, &plain, &k_endless, loop.wait, NULL),
        AEL_E_WOULD_BLOCK);
    CU_ASSERT_EQUAL(next(&loop, loop.wait), AEL_E_KEY_NOT_FOUND);
    CU_ASSERT_EQUAL(
        ael_session_try_decrypt(loop.session, &loop.record.record, &plain, &k_endless, loop.wait, NULL),
        AEL_E_KEY_NOT_FOUND); /* remembered */
    ael_buf_clear(&plain);
    end(&loop);
}

/* -- freshness -- */

static struct ael_policy checking_each(int64_t interval_s) {
    struct ael_policy policy = AEL_POLICY_INIT;
    policy.revoke_check_interval_s = interval_s;
    return policy;
}

static void test_try__uses_a_loaded_key_once_where_each_call_checks(void) {
    struct loop loop;
    struct ael_policy policy = checking_each(0);
    begin_with(&loop, &policy);
    for (int i = 0; i < 3; i++) {
        int loads = loop.fix.metastore->calls[FAKE_LOAD_LATEST];
        CU_ASSERT_EQUAL(encrypt(&loop), AEL_E_WOULD_BLOCK);
        CU_ASSERT_EQUAL(next(&loop, loop.wait), AEL_OK);
        CU_ASSERT_TRUE(loop.fix.metastore->calls[FAKE_LOAD_LATEST] > loads);
        CU_ASSERT_EQUAL(encrypt(&loop), AEL_OK);
        CU_ASSERT_TRUE(decrypts(&loop));
    }
    CU_ASSERT_EQUAL(encrypt(&loop), AEL_E_WOULD_BLOCK);
    CU_ASSERT_EQUAL(next(&loop, loop.wait), AEL_OK);
    fake_metastore_revoke(loop.fix.metastore, FIXTURE_IK, -1);
    struct ael_wait *other = new_wait(loop.queue, NULL);
    CU_ASSERT_EQUAL( /* it has no key of its own */
        ael_session_try_encrypt(
            loop.session, ael_bytes_from_text(k_text), &loop.record, &k_endless, other, NULL),
        AEL_E_WOULD_BLOCK);
    CU_ASSERT_EQUAL(next(&loop, other), AEL_OK);
    CU_ASSERT_EQUAL(encrypt(&loop), AEL_E_WOULD_BLOCK); /* known to be revoked by now */
    CU_ASSERT_EQUAL(next(&loop, loop.wait), AEL_OK);
    ael_wait_free(other);
    end(&loop);
}

static void test_try__forgets_a_loaded_key_at_the_deadline_and_for_another_session(void) {
    struct loop loop;
    struct ael_policy policy = checking_each(0);
    struct ael_call call = AEL_CALL_INIT;
    begin_with(&loop, &policy);
    struct ael_session *other = fixture_session(&loop.fix, "q");
    for (int turn = 0; turn < 2; turn++) {
        ael_wait_free(loop.wait);
        loop.wait = new_wait(loop.queue, NULL);
        call.deadline_ns = ael_deadline_in_ms(10000);
        CU_ASSERT_EQUAL(
            ael_session_try_encrypt(
                loop.session, ael_bytes_from_text(k_text), &loop.record, &call, loop.wait, NULL),
            AEL_E_WOULD_BLOCK);
        CU_ASSERT_EQUAL(next(&loop, loop.wait), AEL_OK);
        if (turn == 0) {
            ael_clock_advance_for_test(11);
        }
        CU_ASSERT_EQUAL(
            ael_session_try_encrypt(
                turn == 0 ? loop.session : other, ael_bytes_from_text(k_text), &loop.record, &k_endless, loop.wait,
                NULL),
            AEL_E_WOULD_BLOCK);
        CU_ASSERT_EQUAL(next(&loop, loop.wait), AEL_OK);
    }
    ael_session_release(other);
    end(&loop);
}

static void test_try__works_without_caches(void) {
    struct loop loop;
    struct ael_policy policy = AEL_POLICY_INIT;
    policy.cache_intermediate_keys = false;
    policy.cache_system_keys = false;
    policy.cache_sessions = false;
    begin_with(&loop, &policy);
    CU_ASSERT_EQUAL(encrypt(&loop), AEL_E_WOULD_BLOCK);
    CU_ASSERT_EQUAL(next(&loop, loop.wait), AEL_OK);
    CU_ASSERT_EQUAL(encrypt(&loop), AEL_OK);
    CU_ASSERT_TRUE(decrypts(&loop));
    end(&loop);
}

static void test_try__goes_on_with_a_stale_key_in_an_outage_until_max_stale(void) {
    struct loop loop;
    struct ael_policy policy = checking_each(600);
    begin_with(&loop, &policy);
    CU_ASSERT_EQUAL(fixture_encrypt(loop.session, NULL), AEL_OK);
    fake_metastore_fail_all(loop.fix.metastore, AEL_E_UNREACHABLE);
    ael_clock_advance_for_test(700);
    CU_ASSERT_EQUAL(encrypt(&loop), AEL_E_WOULD_BLOCK);
    CU_ASSERT_EQUAL(next(&loop, loop.wait), AEL_OK);
    CU_ASSERT_EQUAL(encrypt(&loop), AEL_OK);
    CU_ASSERT_EQUAL(encrypt(&loop), AEL_E_WOULD_BLOCK); /* each call by its own attempt */
    CU_ASSERT_EQUAL(next(&loop, loop.wait), AEL_OK);
    ael_clock_advance_for_test(600); /* its load came in time, but it did not */
    CU_ASSERT_EQUAL(encrypt(&loop), AEL_E_WOULD_BLOCK);
    CU_ASSERT_EQUAL(next(&loop, loop.wait), AEL_E_KEY_STALE);
    end(&loop);
}

/* A call without a deadline tries again when its key, checked for it in time, has been revoked for longer than the interval. */
static void check_late_try(int64_t interval_s, int64_t late_s) {
    struct loop loop;
    struct ael_policy policy = checking_each(interval_s);
    begin_with(&loop, &policy);
    CU_ASSERT_EQUAL(encrypt(&loop), AEL_E_WOULD_BLOCK);
    CU_ASSERT_EQUAL(next(&loop, loop.wait), AEL_OK);
    CU_ASSERT_EQUAL(encrypt(&loop), AEL_OK);
    int64_t revoked_s = loop.record.record.parent_created_s;
    ael_clock_advance_for_test(interval_s);
    CU_ASSERT_EQUAL(encrypt(&loop), AEL_E_WOULD_BLOCK);
    CU_ASSERT_EQUAL(next(&loop, loop.wait), AEL_OK);
    fake_metastore_revoke(loop.fix.metastore, FIXTURE_IK, -1);
    ael_clock_advance_for_test(late_s);
    CU_ASSERT_EQUAL(encrypt(&loop), AEL_E_WOULD_BLOCK);
    CU_ASSERT_EQUAL(next(&loop, loop.wait), AEL_OK);
    CU_ASSERT_EQUAL(encrypt(&loop), AEL_OK);
    CU_ASSERT_NOT_EQUAL(loop.record.record.parent_created_s, revoked_s);
    end(&loop);
}

static void test_try__uses_no_loaded_key_past_the_interval(void) {
    check_late_try(600, 600);
    check_late_try(600, 24 * 3600);
    check_late_try(0, 1);
}

static void test_try__has_a_key_that_is_due_loaded_behind_its_back(void) {
    struct loop loop;
    struct ael_policy policy = checking_each(600);
    begin_with(&loop, &policy);
    CU_ASSERT_EQUAL(fixture_encrypt(loop.session, NULL), AEL_OK);
    int loads = loop.fix.metastore->calls[FAKE_LOAD_LATEST];
    ael_clock_advance_for_test(500);
    gate_shut(&loop.fix.metastore->gate);
    CU_ASSERT_EQUAL(encrypt(&loop), AEL_OK);
    gate_wait_for(&loop.fix.metastore->gate, 1);
    CU_ASSERT_EQUAL(encrypt(&loop), AEL_OK);
    gate_open(&loop.fix.metastore->gate);
    ael_session_factory_free(loop.fix.factory);
    loop.fix.factory = NULL;
    CU_ASSERT_EQUAL(loop.fix.metastore->calls[FAKE_LOAD_LATEST] - loads, 1);
    end(&loop);
}

static void test_try__starts_no_thread_where_the_policy_forbids_it(void) {
    struct loop loop;
    struct ael_policy policy = AEL_POLICY_INIT;
    policy.background_loads = 0;
    begin_with(&loop, &policy);
    CU_ASSERT_EQUAL(encrypt(&loop), AEL_E_UNSUPPORTED);
    CU_ASSERT_EQUAL(ael_wait_status(loop.wait, NULL), AEL_OK);
    CU_ASSERT_EQUAL(fixture_encrypt(loop.session, NULL), AEL_OK);
    CU_ASSERT_EQUAL(encrypt(&loop), AEL_OK);
    ael_clock_advance_for_test(3000);
    CU_ASSERT_EQUAL(encrypt(&loop), AEL_OK); /* due */
    ael_clock_advance_for_test(3000);
    CU_ASSERT_EQUAL(encrypt(&loop), AEL_E_UNSUPPORTED);
    CU_ASSERT_EQUAL(threads_left(), 0);
    end(&loop);
    policy.background_loads = 65;
    CU_ASSERT_EQUAL(ael_policy_check(&policy, NULL), AEL_E_ARGUMENT);
}

static void test_try__waits_for_a_slot_in_the_background(void) {
    struct loop loop;
    struct ael_scratch slots[AEL_SCRATCH_SLOTS_MOST];
    begin(&loop);
    CU_ASSERT_EQUAL(fixture_encrypt(loop.session, NULL), AEL_OK);
    uint32_t count = scratch_slots();
    for (size_t i = 0; i < count; i++) {
        CU_ASSERT_EQUAL(ael_scratch_begin(&slots[i], NULL), AEL_OK);
    }
    CU_ASSERT_EQUAL(encrypt(&loop), AEL_E_WOULD_BLOCK);
    CU_ASSERT_FALSE(is_readable(loop.queue, 0));
    CU_ASSERT_EQUAL(ael_scratch_end(&slots[7]), AEL_OK);
    CU_ASSERT_EQUAL(next(&loop, loop.wait), AEL_OK);
    CU_ASSERT_EQUAL(encrypt(&loop), AEL_OK);
    for (size_t i = 0; i < count; i++) {
        CU_ASSERT_EQUAL(ael_scratch_end(&slots[i]), AEL_OK);
    }
    end(&loop);
}

/* What a key begins with: enough to reach the sealed bytes and spoil them, as a stray write would. */
struct key_head {
    uint64_t words[4]; /* its holders and its nonces */
    struct ael_sealed_key sealed;
};

static void test_try__loads_a_key_that_was_found_corrupted_again(void) {
    struct loop loop;
    struct ael_session_call call;
    struct ael_key_loan loan;
    begin(&loop);
    CU_ASSERT_EQUAL(fixture_encrypt(loop.session, NULL), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_session_begin_call(loop.session, NULL, &call, NULL), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_session_latest_key(loop.session, &call, &loan, NULL), AEL_OK);
    ((struct key_head *)(void *)loan.key->key)->sealed.sealed[5] ^= 1;
    ael_session_end_loan(&loan, AEL_OK);
    CU_ASSERT_EQUAL(encrypt(&loop), AEL_E_CORRUPTED);
    CU_ASSERT_EQUAL(encrypt(&loop), AEL_E_WOULD_BLOCK);
    CU_ASSERT_EQUAL(next(&loop, loop.wait), AEL_OK);
    CU_ASSERT_EQUAL(encrypt(&loop), AEL_OK);
    CU_ASSERT_EQUAL(fake_metastore_count(loop.fix.metastore, FIXTURE_IK), 1);
    end(&loop);
}

/* -- waits -- */

static void test_wait_free__calls_a_load_off_that_nobody_needs(void) {
    struct loop loop;
    begin(&loop);
    struct ael_wait *other = new_wait(loop.queue, NULL);
    gate_shut(&loop.fix.metastore->gate);
    CU_ASSERT_EQUAL(encrypt(&loop), AEL_E_WOULD_BLOCK);
    CU_ASSERT_EQUAL(
        ael_session_try_encrypt(
            loop.session, ael_bytes_from_text(k_text), &loop.record, &k_endless, other, NULL),
        AEL_E_WOULD_BLOCK);
    ael_wait_free(other);
    gate_wait_for(&loop.fix.metastore->gate, 1);
    ael_wait_free(loop.wait);
    loop.wait = new_wait(loop.queue, NULL);
    CU_ASSERT_EQUAL(encrypt(&loop), AEL_E_WOULD_BLOCK); /* another load, which follows the first's flight */
    gate_open(&loop.fix.metastore->gate);
    CU_ASSERT_EQUAL(next(&loop, loop.wait), AEL_OK);
    CU_ASSERT_FALSE(is_readable(loop.queue, 0));
    end(&loop);
}

static void test_wait_free__takes_the_wait_out_of_its_queue(void) {
    struct loop loop;
    begin(&loop);
    CU_ASSERT_EQUAL(encrypt(&loop), AEL_E_WOULD_BLOCK);
    CU_ASSERT_TRUE(is_readable(loop.queue, PATIENCE_MS));
    ael_wait_free(loop.wait);
    CU_ASSERT_FALSE(is_readable(loop.queue, 0));
    CU_ASSERT_FALSE(ael_wait_queue_next(loop.queue, NULL, NULL, NULL));
    loop.wait = new_wait(loop.queue, NULL);
    ael_wait_queue_free(loop.queue); /* before its waits: nobody is told any more */
    loop.queue = NULL;
    CU_ASSERT_EQUAL(encrypt(&loop), AEL_OK);
    end(&loop);
}

/* What a callback does. */
struct callback {
    struct loop *loop;
    bool frees;
    atomic_int calls;
    _Atomic(enum ael_status) status;
    _Atomic(enum ael_status) tried;
};

static void call_back(void *context, struct ael_wait *wait, enum ael_status status) {
    struct callback *callback = context;
    atomic_store(&callback->status, status);
    if (callback->frees) {
        ael_wait_free(wait);
    } else {
        atomic_store(
            &callback->tried, ael_session_try_encrypt(
                                  callback->loop->session, ael_bytes_from_text(k_text), &callback->loop->record,
                                  &k_endless, wait, NULL));
    }
    atomic_fetch_add(&callback->calls, 1);
}

static void run_callback(struct loop *loop, struct callback *callback) {
    struct ael_wait_options options = AEL_WAIT_OPTIONS_INIT;
    struct ael_wait *wait = NULL;
    options.done = call_back;
    options.context = callback;
    CU_ASSERT_EQUAL(ael_wait_new(&options, &wait), AEL_OK);
    CU_ASSERT_EQUAL(
        ael_session_try_encrypt(
            loop->session, ael_bytes_from_text(k_text), &loop->record, &k_endless, wait, NULL),
        AEL_E_WOULD_BLOCK);
    while (atomic_load(&callback->calls) == 0) {
        sched_yield();
    }
    if (!callback->frees) {
        ael_wait_free(wait);
    }
    CU_ASSERT_EQUAL(atomic_load(&callback->calls), 1);
    CU_ASSERT_EQUAL(atomic_load(&callback->status), AEL_OK);
}

static void test_wait__calls_back_once_and_may_be_tried_again_or_freed_there(void) {
    struct loop loop;
    struct ael_policy policy = checking_each(0);
    begin_with(&loop, &policy);
    struct callback tries = {.loop = &loop, .tried = AEL_E_BUSY};
    struct callback frees = {.loop = &loop, .frees = true};
    run_callback(&loop, &tries);
    CU_ASSERT_EQUAL(atomic_load(&tries.tried), AEL_OK);
    CU_ASSERT_TRUE(decrypts(&loop));
    run_callback(&loop, &frees);
    end(&loop);
}

/* Stands at a gate, and takes its time then. */
struct slow_callback {
    struct gate gate;
    atomic_bool over;
};

static void call_back_slowly(void *context, struct ael_wait *wait, enum ael_status status) {
    struct slow_callback *callback = context;
    (void)wait;
    (void)status;
    gate_pass(&callback->gate);
    for (int i = 0; i < 1000; i++) {
        sched_yield(); /* time for who would not wait */
    }
    atomic_store(&callback->over, true);
}

static void *open_gate(void *gate) {
    gate_open(gate);
    return NULL;
}

/* It is over, so it may be used for another factory's session; whose callback then runs is that of the first one. */
static void test_wait_free__returns_after_the_callback_of_a_factory_before(void) {
    struct loop loop;
    struct loop second;
    pthread_t thread;
    struct slow_callback callback = {.gate = GATE_INIT};
    struct ael_wait_options options = AEL_WAIT_OPTIONS_INIT;
    struct ael_wait *wait = NULL;
    begin(&loop);
    begin(&second);
    options.done = call_back_slowly;
    options.context = &callback;
    CU_ASSERT_EQUAL(ael_wait_new(&options, &wait), AEL_OK);
    gate_shut(&callback.gate);
    CU_ASSERT_EQUAL(
        ael_session_try_encrypt(loop.session, ael_bytes_from_text(k_text), &loop.record, &k_endless, wait, NULL),
        AEL_E_WOULD_BLOCK);
    gate_wait_for(&callback.gate, 1);
    CU_ASSERT_EQUAL(ael_wait_status(wait, NULL), AEL_OK);
    gate_shut(&second.fix.metastore->gate);
    CU_ASSERT_EQUAL(
        ael_session_try_encrypt(
            second.session, ael_bytes_from_text(k_text), &second.record, &k_endless, wait, NULL),
        AEL_E_WOULD_BLOCK);
    CU_ASSERT_EQUAL(pthread_create(&thread, NULL, open_gate, &callback.gate), 0);
    ael_wait_free(wait);
    CU_ASSERT_TRUE(atomic_load(&callback.over));
    pthread_join(thread, NULL);
    gate_open(&second.fix.metastore->gate);
    while (!atomic_load(&callback.over)) {
        sched_yield();
    }
    end(&second);
    end(&loop);
}

struct freeing_callback {
    struct ael_session_factory *factory;
    struct gate *gate;
    atomic_bool done;
};

static void free_factory(void *context, struct ael_wait *wait, enum ael_status status) {
    struct freeing_callback *callback = context;
    (void)wait;
    (void)status;
    CU_ASSERT_EQUAL(ael_shutdown(1000), AEL_E_BUSY);
    ael_session_factory_free(callback->factory);
    atomic_store(&callback->done, true);
}

static void test_factory_free__works_in_a_callback(void) {
    struct loop loop;
    begin(&loop);
    struct freeing_callback callback = {.factory = loop.fix.factory};
    struct ael_wait_options options = AEL_WAIT_OPTIONS_INIT;
    struct ael_wait *wait = NULL;
    options.done = free_factory;
    options.context = &callback;
    CU_ASSERT_EQUAL(ael_wait_new(&options, &wait), AEL_OK);
    CU_ASSERT_EQUAL(
        ael_session_try_encrypt(
            loop.session, ael_bytes_from_text(k_text), &loop.record, &k_endless, wait, NULL),
        AEL_E_WOULD_BLOCK);
    while (!atomic_load(&callback.done)) {
        sched_yield();
    }
    ael_wait_free(wait); /* returns after the callback */
    loop.fix.factory = NULL;
    CU_ASSERT_EQUAL(encrypt(&loop), AEL_E_CLOSED);
    while (threads_named("ael-loader", NULL) + threads_named("ael-keeper", NULL) > 0) {
        sched_yield(); /* they end by themselves */
    }
    end(&loop);
}

/* -- ends -- */

static void *open_gate_when_told(void *context) {
    struct loop *loop = context;
    CU_ASSERT_EQUAL(next(loop, loop->wait), AEL_E_CLOSED);
    gate_open(&loop->fix.metastore->gate);
    return NULL;
}

static void test_factory_free__ends_waits_and_threads(void) {
    struct loop loop;
    pthread_t thread;
    begin(&loop);
    gate_shut(&loop.fix.metastore->gate);
    CU_ASSERT_EQUAL(encrypt(&loop), AEL_E_WOULD_BLOCK);
    gate_wait_for(&loop.fix.metastore->gate, 1);
    CU_ASSERT_EQUAL(pthread_create(&thread, NULL, open_gate_when_told, &loop), 0);
    ael_session_factory_free(loop.fix.factory);
    loop.fix.factory = NULL;
    CU_ASSERT_EQUAL(threads_left(), 0);
    pthread_join(thread, NULL);
    CU_ASSERT_EQUAL(ael_wait_status(loop.wait, NULL), AEL_E_CLOSED);
    CU_ASSERT_EQUAL(encrypt(&loop), AEL_E_CLOSED);
    end(&loop);
}

static void test_factory_free__does_not_wait_for_ever(void) {
    struct loop loop;
    begin(&loop);
    ael_clock_reset_for_test();
    gate_shut(&loop.fix.metastore->gate);
    CU_ASSERT_EQUAL(
        ael_session_try_encrypt(
            loop.session, ael_bytes_from_text(k_text), &loop.record, NULL, loop.wait, NULL),
        AEL_E_WOULD_BLOCK);
    gate_wait_for(&loop.fix.metastore->gate, 1);
    ael_session_factory_free(loop.fix.factory);
    loop.fix.factory = NULL;
    CU_ASSERT_EQUAL(next(&loop, loop.wait), AEL_E_CLOSED);
    gate_wait_for(&loop.fix.metastore->gate, 1); /* it stands there still */
    gate_open(&loop.fix.metastore->gate);
    while (threads_named("ael-loader", NULL) + threads_named("ael-keeper", NULL) > 0) {
        sched_yield();
    }
    end(&loop);
}

static void test_shutdown__ends_waits_and_threads_or_times_out(void) {
    struct loop loop;
    begin(&loop);
    ael_clock_reset_for_test();
    gate_shut(&loop.fix.metastore->gate);
    CU_ASSERT_EQUAL(
        ael_session_try_encrypt(
            loop.session, ael_bytes_from_text(k_text), &loop.record, NULL, loop.wait, NULL),
        AEL_E_WOULD_BLOCK);
    gate_wait_for(&loop.fix.metastore->gate, 1);
    CU_ASSERT_EQUAL(ael_shutdown(20), AEL_E_TIMEOUT);
    CU_ASSERT_EQUAL(next(&loop, loop.wait), AEL_E_CLOSED);
    gate_open(&loop.fix.metastore->gate);
    CU_ASSERT_EQUAL(ael_shutdown(PATIENCE_MS), AEL_OK);
    CU_ASSERT_EQUAL(threads_left(), 0);
    enum ael_status status = AEL_OK;
    for (int turn = 0; turn < 2 && status != AEL_E_CLOSED; turn++) { /* threads begin anew; keys of before are gone */
        status = ael_session_try_encrypt(
            loop.session, ael_bytes_from_text(k_text), &loop.record, NULL, loop.wait, NULL);
        CU_ASSERT_TRUE(status == AEL_E_WOULD_BLOCK || status == AEL_OK || status == AEL_E_CLOSED);
        if (status == AEL_E_WOULD_BLOCK) {
            (void)next(&loop, loop.wait);
        }
    }
    end(&loop);
    CU_ASSERT_EQUAL(ael_shutdown(PATIENCE_MS), AEL_OK);
}

/* -- fork -- */

static struct loop *g_loop;

/* The number of the step that went wrong, 0 when none did. ThreadSanitizer cannot start threads in such a child. */
static int in_child(void) {
    struct loop *loop = g_loop;
    int wrong = 0;
    loop->fix.metastore->gate = (struct gate)GATE_INIT; /* the parent's thread does not stand there */
    const bool good[] = {
        true,
        threads_left() == 0,
        ael_wait_status(loop->wait, NULL) == AEL_E_FORKED,
        !is_readable(loop->queue, 0) && !ael_wait_queue_next(loop->queue, NULL, NULL, NULL),
        UNDER_TSAN || (encrypt(loop) == AEL_E_WOULD_BLOCK && next(loop, loop->wait) == AEL_OK),
        UNDER_TSAN || (encrypt(loop) == AEL_OK && decrypts(loop)),
    };
    for (int i = 0; i < (int)(sizeof good / sizeof good[0]); i++) {
        wrong = good[i] ? wrong : i;
    }
    end(loop);
    return wrong;
}

static void test_try__begins_anew_in_a_child(void) {
    struct loop loop;
    begin(&loop);
    g_loop = &loop;
    gate_shut(&loop.fix.metastore->gate);
    CU_ASSERT_EQUAL(encrypt(&loop), AEL_E_WOULD_BLOCK);
    gate_wait_for(&loop.fix.metastore->gate, 1);
    CU_ASSERT_EQUAL(child_run(in_child), 0);
    CU_ASSERT_FALSE(is_readable(loop.queue, 0)); /* what is told in the child is not told here */
    gate_open(&loop.fix.metastore->gate);
    CU_ASSERT_EQUAL(next(&loop, loop.wait), AEL_OK);
    CU_ASSERT_EQUAL(encrypt(&loop), AEL_OK);
    end(&loop);
}

/* -- threads that are not to be had -- */

static int try_without_threads(void) {
    struct loop loop;
    struct rlimit limit;
    begin(&loop);
    CU_ASSERT_EQUAL(fixture_encrypt(loop.session, NULL), AEL_OK); /* protected memory has its own thread */
    struct ael_session *cold = fixture_session(&loop.fix, "q");
    bool good = getrlimit(RLIMIT_NPROC, &limit) == 0;
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = 0;
    good = good && setrlimit(RLIMIT_NPROC, &limit) == 0;
    good = good && ael_session_try_encrypt(cold, ael_bytes_from_text(k_text), &loop.record, &k_endless, loop.wait,
                                           NULL) == AEL_E_SYSTEM;
    good = good && ael_wait_status(loop.wait, NULL) == AEL_OK && encrypt(&loop) == AEL_OK;
    limit.rlim_cur = before;
    good = good && setrlimit(RLIMIT_NPROC, &limit) == 0;
    good = good && ael_session_try_encrypt(cold, ael_bytes_from_text(k_text), &loop.record, &k_endless, loop.wait,
                                           NULL) == AEL_E_WOULD_BLOCK;
    good = good && next(&loop, loop.wait) == AEL_OK;
    ael_session_release(cold);
    end(&loop);
    return good ? 0 : 1;
}

/* A user's limit, so by a user who has no rights to go beyond it. */
static void test_try__says_so_when_no_thread_is_to_be_had(void) {
    CU_ASSERT_EQUAL(ael_shutdown(PATIENCE_MS), AEL_OK);
    CU_ASSERT_TRUE(UNDER_TSAN || child_run_with_lock_limit(1 << 20, try_without_threads) == 0);
}

/* -- memory -- */

static atomic_int g_left;

static int refuse(void *context) {
    (void)context;
    return atomic_fetch_sub(&g_left, 1) == 1;
}

/* Whatever fails, a wait that was begun is told, and the next try comes through. */
static void test_try__loses_no_wait_when_memory_is_short(void) {
    bool reached = true;
    for (int n = 1; reached; n++) {
        struct loop loop;
        begin(&loop);
        CU_ASSERT_EQUAL(fixture_encrypt(loop.session, NULL), AEL_OK);
        ael_session_release(loop.session);
        loop.session = fixture_session(&loop.fix, "q");
        atomic_store(&g_left, n);
        ael_alloc_set_fault(refuse, NULL);
        enum ael_status status = encrypt(&loop);
        if (status == AEL_E_WOULD_BLOCK) {
            enum ael_status told = next(&loop, loop.wait);
            CU_ASSERT_TRUE(told == AEL_OK || told == AEL_E_NO_MEMORY);
        } else {
            CU_ASSERT_EQUAL(status, AEL_E_NO_MEMORY);
        }
        status = encrypt(&loop);
        ael_alloc_set_fault(NULL, NULL);
        reached = atomic_load(&g_left) <= 0;
        if (status == AEL_E_WOULD_BLOCK) {
            (void)next(&loop, loop.wait);
        }
        status = encrypt(&loop);
        if (status == AEL_E_WOULD_BLOCK) {
            CU_ASSERT_EQUAL(next(&loop, loop.wait), AEL_OK);
            status = encrypt(&loop);
        }
        CU_ASSERT_EQUAL(status, AEL_OK);
        end(&loop);
    }
}

static const struct test_case k_cases[] = {
    {"a warm key serves at once, without a thread", test_try__works_at_once_with_a_warm_key_and_starts_no_thread},
    {"a cold key is loaded in the background", test_try__loads_in_the_background_and_works_when_tried_again},
    {"there are four forms", test_try__has_all_four_forms},
    {"what other calls refuse is refused", test_try__refuses_what_the_other_calls_refuse},
    {"a metastore that hangs holds nobody up", test_try__never_waits_for_a_metastore_that_hangs},
    {"threads are named, without signals", test_try__runs_named_threads_that_block_signals_within_the_bound},
    {"loads are shared", test_try__shares_one_load_with_others_and_with_calls_that_wait},
    {"a wait ends in time where the metastore does not", test_try__ends_in_time_where_the_metastore_does_not},
    {"a wait ends by its token", test_try__ends_by_its_token},
    {"a wait that gave its load up is tried again", test_try__leaves_a_load_alone_that_its_wait_gave_up},
    {"a wait with more time is loaded for again", test_try__loads_again_for_a_wait_that_has_more_time},
    {"a failed load tells why", test_try__tells_why_a_load_failed},
    {"a key that is not there is told", test_try_decrypt__tells_of_a_key_that_is_not_there},
    {"with checks each time a loaded key serves once", test_try__uses_a_loaded_key_once_where_each_call_checks},
    {"a loaded key is for its call alone", test_try__forgets_a_loaded_key_at_the_deadline_and_for_another_session},
    {"it works without caches", test_try__works_without_caches},
    {"an outage is gone through until max_stale", test_try__goes_on_with_a_stale_key_in_an_outage_until_max_stale},
    {"a loaded key serves no later than others", test_try__uses_no_loaded_key_past_the_interval},
    {"a key that is due is loaded in the background", test_try__has_a_key_that_is_due_loaded_behind_its_back},
    {"the policy forbids threads", test_try__starts_no_thread_where_the_policy_forbids_it},
    {"a slot is waited for in the background", test_try__waits_for_a_slot_in_the_background},
    {"a corrupted key is loaded again", test_try__loads_a_key_that_was_found_corrupted_again},
    {"a freed wait calls its load off", test_wait_free__calls_a_load_off_that_nobody_needs},
    {"a freed wait leaves its queue", test_wait_free__takes_the_wait_out_of_its_queue},
    {"a callback tries again, or frees", test_wait__calls_back_once_and_may_be_tried_again_or_freed_there},
    {"a callback of a factory before is waited for", test_wait_free__returns_after_the_callback_of_a_factory_before},
    {"a callback frees the factory", test_factory_free__works_in_a_callback},
    {"freeing the factory ends waits and threads", test_factory_free__ends_waits_and_threads},
    {"freeing the factory does not wait for ever", test_factory_free__does_not_wait_for_ever},
    {"the shut-down ends waits and threads", test_shutdown__ends_waits_and_threads_or_times_out},
    {"a child begins anew", test_try__begins_anew_in_a_child},
    {"no thread is to be had", test_try__says_so_when_no_thread_is_to_be_had},
    {"no wait is lost when memory is short", test_try__loses_no_wait_when_memory_is_short},
};

TEST_SUITE_MAIN("session_try", k_cases)
