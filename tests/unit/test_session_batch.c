/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/session/session_parts.h"
#include "base/clock.h"
#include "tests/support/fixture.h"
#include "tests/support/suite.h"

#include <ael/memory.h>
#include <ael/session_batch.h>

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ITEMS = 200, PARTITIONS = 3, LONGEST = 300 };

/* Payloads of many lengths, an empty one among them, in sessions by turns. */
struct load {
    struct fixture fix;
    struct ael_session *sessions[PARTITIONS];
    uint8_t plain[LONGEST];
    struct ael_encrypt_item seal[ITEMS];
    struct ael_decrypt_item open[ITEMS];
    struct ael_record_buf records[ITEMS];
    struct ael_buf backs[ITEMS];
};

static struct ael_bytes payload(const struct load *load, size_t i) {
    return (struct ael_bytes){load->plain + i % 7, i * 3 % 280};
}

static void begin(struct load *load) {
    static const char *const k_names[PARTITIONS] = {"p", "q", "r"};
    memset(load, 0, sizeof *load);
    fixture_begin(&load->fix);
    for (size_t i = 0; i < sizeof load->plain; i++) {
        load->plain[i] = (uint8_t)(i * 5 + 1);
    }
    for (size_t i = 0; i < PARTITIONS; i++) {
        load->sessions[i] = fixture_session(&load->fix, k_names[i]);
    }
    for (size_t i = 0; i < ITEMS; i++) {
        load->records[i] = (struct ael_record_buf)AEL_RECORD_BUF_INIT;
        load->backs[i] = (struct ael_buf)AEL_BUF_INIT;
        struct ael_session *session = load->sessions[i % PARTITIONS];
        load->seal[i] = (struct ael_encrypt_item){session, payload(load, i), &load->records[i], AEL_E_BUSY};
        load->open[i] =
            (struct ael_decrypt_item){session, &load->records[i].record, &load->backs[i], AEL_E_BUSY};
    }
}

static void end(struct load *load) {
    for (size_t i = 0; i < ITEMS; i++) {
        ael_record_buf_clear(&load->records[i]);
        ael_buf_clear(&load->backs[i]);
    }
    for (size_t i = 0; i < PARTITIONS; i++) {
        ael_session_release(load->sessions[i]);
    }
    fixture_end(&load->fix);
}

static bool is_payload(const struct load *load, size_t i) {
    struct ael_bytes plain = payload(load, i);
    const struct ael_buf *back = &load->backs[i];
    return back->len == plain.len && (plain.len == 0 || memcmp(back->data, plain.data, plain.len) == 0);
}

static uint64_t looks(struct load *load) {
    struct ael_session_factory_stats stats = fixture_stats(load->fix.factory);
    return stats.intermediate_key_hits + stats.intermediate_key_misses + stats.intermediate_key_stale;
}

static void test_batch__gives_each_item_what_the_single_call_would(void) {
    struct load load;
    begin(&load);
    CU_ASSERT_EQUAL(ael_batch_encrypt(load.seal, ITEMS, NULL, NULL), AEL_OK);
    for (size_t i = 0; i < ITEMS; i++) {
        struct ael_buf back = AEL_BUF_INIT;
        CU_ASSERT_EQUAL(load.seal[i].status, AEL_OK);
        CU_ASSERT_EQUAL(
            ael_session_decrypt(load.sessions[i % PARTITIONS], &load.records[i].record, &back, NULL, NULL), AEL_OK);
        CU_ASSERT_EQUAL(back.len, payload(&load, i).len);
        CU_ASSERT_NOT_EQUAL(
            ael_session_decrypt(load.sessions[(i + 1) % PARTITIONS], &load.records[i].record, &back, NULL, NULL),
            AEL_OK);
        ael_buf_clear(&back);
    }
    CU_ASSERT_EQUAL(ael_batch_decrypt(load.open, ITEMS, NULL, NULL), AEL_OK);
    for (size_t i = 0; i < ITEMS; i++) {
        CU_ASSERT_EQUAL(load.open[i].status, AEL_OK);
        CU_ASSERT_TRUE(is_payload(&load, i));
    }
    end(&load);
}

/* No two envelopes of a run share a key, so no two share a nonce's place. */
static void test_batch_encrypt__draws_a_key_for_each_record(void) {
    struct load load;
    begin(&load);
    CU_ASSERT_EQUAL(ael_batch_encrypt(load.seal, ITEMS, NULL, NULL), AEL_OK);
    for (size_t i = 0; i < ITEMS; i++) {
        for (size_t j = 0; j < i; j++) {
            const struct ael_record *a = &load.records[i].record;
            const struct ael_record *b = &load.records[j].record;
            CU_ASSERT_NOT_EQUAL(memcmp(a->key.data, b->key.data, 60), 0);
            CU_ASSERT_NOT_EQUAL(memcmp(a->key.data + 48, b->key.data + 48, 12), 0);
            CU_ASSERT_NOT_EQUAL(
                memcmp(a->data.data + a->data.len - 12, b->data.data + b->data.len - 12, 12), 0);
        }
    }
    end(&load);
}

/* 200 items over three keys are seven windows, the last of 8 items: three look-ups each. */
static void test_batch__looks_a_key_up_once_for_the_records_that_share_it(void) {
    struct load load;
    begin(&load);
    CU_ASSERT_EQUAL(ael_batch_encrypt(load.seal, ITEMS, NULL, NULL), AEL_OK);
    uint64_t before = looks(&load);
    CU_ASSERT_EQUAL(ael_batch_encrypt(load.seal, ITEMS, NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(looks(&load) - before, 21);
    before = looks(&load);
    CU_ASSERT_EQUAL(ael_batch_decrypt(load.open, ITEMS, NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(looks(&load) - before, 21);
    end(&load);
}

static void test_batch__gives_the_slot_back_after_a_mebibyte(void) {
    enum { LEN = 600000, COUNT = 3 };
    struct load load;
    begin(&load);
    uint8_t *plain = calloc(1, LEN);
    for (size_t i = 0; i < COUNT; i++) {
        load.seal[i].session = load.sessions[0];
        load.seal[i].plain = (struct ael_bytes){plain, LEN};
    }
    CU_ASSERT_EQUAL(fixture_encrypt(load.sessions[0], NULL), AEL_OK);
    uint64_t before = looks(&load);
    CU_ASSERT_EQUAL(ael_batch_encrypt(load.seal, COUNT, NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(looks(&load) - before, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        load.seal[i].plain.len = LEN / 3;
    }
    before = looks(&load);
    CU_ASSERT_EQUAL(ael_batch_encrypt(load.seal, COUNT, NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(looks(&load) - before, 1);
    free(plain);
    end(&load);
}

static struct ael_memory_stats memory_now(void) {
    struct ael_memory_stats stats = AEL_MEMORY_STATS_INIT;
    CU_ASSERT_EQUAL(ael_memory_stats(&stats), AEL_OK);
    return stats;
}

/* The first of them opens the key, and its schedule is kept for the others; a few are not worth a place. */
static void test_batch__opens_a_key_once_for_many_records(void) {
    struct load load;
    CU_ASSERT_EQUAL(ael_shutdown(1000), AEL_OK);
    begin(&load);
    CU_ASSERT_EQUAL(ael_batch_encrypt(load.seal, 9, NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(memory_now().hot_keys_filled, 0);
    for (size_t i = 0; i < 4; i++) {
        load.seal[i].session = load.sessions[1];
    }
    CU_ASSERT_EQUAL(ael_batch_encrypt(load.seal, 4, NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(memory_now().hot_keys_filled, memory_now().hot_keys > 0);
    end(&load);
}

/* -- what fails -- */

static void test_batch_decrypt__leaves_the_others_whole_when_some_fail(void) {
    struct load load;
    begin(&load);
    CU_ASSERT_EQUAL(ael_batch_encrypt(load.seal, ITEMS, NULL, NULL), AEL_OK);
    uint8_t small[4];
    load.records[1].storage.data[0] ^= 1;                             /* not authentic */
    load.records[2].storage.data[load.records[2].record.data.len + 5] ^= 1; /* its key is not */
    load.open[3].record = NULL;
    load.open[4].plain = NULL;
    load.open[5].session = NULL;
    load.open[6].session = load.sessions[1]; /* another partition's */
    load.records[7].record.has_parent = false;
    load.records[8].record.parent_created_s -= 60; /* a key that is not there */
    ael_buf_init_fixed(&load.backs[9], small, sizeof small);
    load.records[10].record.data.len = 12;
    CU_ASSERT_EQUAL(ael_buf_append(&load.backs[1], ael_bytes_from_text("from before")), AEL_OK);
    struct ael_error err = {0};
    CU_ASSERT_EQUAL(ael_batch_decrypt(load.open, ITEMS, NULL, &err), AEL_E_ARGUMENT); /* found first, by its window */
    CU_ASSERT_EQUAL(err.status, AEL_E_ARGUMENT);
    static const enum ael_status k_expected[] = {
        AEL_OK,         AEL_E_RECORD, AEL_E_RECORD,        AEL_E_ARGUMENT,         AEL_E_ARGUMENT, AEL_E_ARGUMENT,
        AEL_E_RECORD,   AEL_E_RECORD, AEL_E_KEY_NOT_FOUND, AEL_E_BUFFER_TOO_SMALL, AEL_E_RECORD};
    for (size_t i = 0; i < ITEMS; i++) {
        bool fails = i > 0 && i < sizeof k_expected / sizeof k_expected[0];
        CU_ASSERT_EQUAL(load.open[i].status, fails ? k_expected[i] : AEL_OK);
        CU_ASSERT_TRUE(fails ? load.backs[i].len == 0 : is_payload(&load, i));
    }
    load.backs[9] = (struct ael_buf)AEL_BUF_INIT;
    end(&load);
}

static void test_batch_encrypt__leaves_the_others_whole_when_some_fail(void) {
    struct load load;
    begin(&load);
    uint8_t small[100];
    struct ael_record_buf fixed = AEL_RECORD_BUF_INIT;
    ael_buf_init_fixed(&fixed.storage, small, sizeof small);
    load.seal[0].session = NULL;
    load.seal[1].out = NULL;
    load.seal[2].plain = (struct ael_bytes){NULL, 3};
    load.seal[3].plain.len = (64u << 20) + 1;
    load.seal[70].out = &fixed;
    CU_ASSERT_EQUAL(ael_batch_encrypt(load.seal, ITEMS, NULL, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(load.seal[0].status, AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(load.seal[1].status, AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(load.seal[2].status, AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(load.seal[3].status, AEL_E_TOO_LARGE);
    CU_ASSERT_EQUAL(load.seal[70].status, AEL_E_BUFFER_TOO_SMALL);
    CU_ASSERT_EQUAL(fixed.storage.len, 0);
    for (size_t i = 4; i < ITEMS; i++) {
        CU_ASSERT_EQUAL(load.seal[i].status, i == 70 ? AEL_E_BUFFER_TOO_SMALL : AEL_OK);
        CU_ASSERT_EQUAL(
            i == 70 ? AEL_OK : ael_session_decrypt(load.sessions[i % 3], &load.records[i].record, &load.backs[i], NULL, NULL),
            AEL_OK);
        CU_ASSERT_TRUE(i == 70 || is_payload(&load, i));
    }
    end(&load);
}

/* One attempt for all that need the key; the others have theirs. */
static void test_batch_encrypt__asks_once_for_a_key_that_cannot_be_had(void) {
    struct load load;
    begin(&load);
    CU_ASSERT_EQUAL(fixture_encrypt(load.sessions[1], NULL), AEL_OK);
    CU_ASSERT_EQUAL(fixture_encrypt(load.sessions[2], NULL), AEL_OK);
    int before = fake_metastore_calls(load.fix.metastore);
    fake_metastore_script(load.fix.metastore, FAKE_LOAD_LATEST, FAKE_BEFORE, AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(ael_batch_encrypt(load.seal, 32, NULL, NULL), AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(fake_metastore_calls(load.fix.metastore), before + 1);
    for (size_t i = 0; i < 32; i++) {
        CU_ASSERT_EQUAL(load.seal[i].status, i % 3 == 0 ? AEL_E_UNREACHABLE : AEL_OK);
        CU_ASSERT_EQUAL(load.records[i].storage.len == 0, i % 3 == 0);
    }
    end(&load);
}

static void test_batch__refuses_what_is_no_batch(void) {
    struct load load;
    begin(&load);
    struct ael_call wrong = AEL_CALL_INIT;
    wrong.size = 3;
    CU_ASSERT_EQUAL(ael_batch_encrypt(NULL, 1, NULL, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_batch_decrypt(NULL, 1, NULL, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_batch_encrypt(NULL, 0, NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(ael_batch_decrypt_json(NULL, 0, NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(ael_batch_encrypt(load.seal, 2, &wrong, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(load.seal[1].status, AEL_E_ARGUMENT);
    end(&load);
}

static void test_batch__answers_closed_for_sessions_of_a_freed_factory_alone(void) {
    struct load load;
    begin(&load);
    struct ael_session_factory *other = fixture_other_factory(&load.fix, NULL);
    struct ael_session *session = NULL;
    CU_ASSERT_EQUAL(ael_session_acquire(other, "p", &session, NULL), AEL_OK);
    load.seal[1].session = session;
    ael_session_factory_free(other);
    CU_ASSERT_EQUAL(ael_batch_encrypt(load.seal, 4, NULL, NULL), AEL_E_CLOSED);
    CU_ASSERT_EQUAL(load.seal[0].status, AEL_OK);
    CU_ASSERT_EQUAL(load.seal[1].status, AEL_E_CLOSED);
    CU_ASSERT_EQUAL(load.seal[2].status, AEL_OK);
    load.open[1].session = session;
    CU_ASSERT_EQUAL(ael_batch_decrypt(load.open, 2, NULL, NULL), AEL_E_CLOSED);
    CU_ASSERT_EQUAL(load.open[0].status, AEL_OK);
    CU_ASSERT_EQUAL(load.open[1].status, AEL_E_CLOSED);
    ael_session_release(session);
    end(&load);
}

/* What a key begins with: enough to reach the sealed bytes and spoil them, as a stray write would. */
struct key_head {
    uint64_t words[4]; /* its holders and its nonces */
    struct ael_sealed_key sealed;
};

static void spoil_cached(struct ael_session *session) {
    struct ael_session_call call;
    struct ael_key_loan loan;
    CU_ASSERT_EQUAL_FATAL(ael_session_begin_call(session, NULL, &call, NULL), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_session_latest_key(session, &call, &loan, NULL), AEL_OK);
    ((struct key_head *)(void *)loan.key->key)->sealed.sealed[5] ^= 1;
    ael_session_end_loan(&loan, AEL_OK);
}

static void test_batch__loads_a_key_that_was_found_corrupted_again(void) {
    struct load load;
    begin(&load);
    CU_ASSERT_EQUAL(ael_batch_encrypt(load.seal, 3, NULL, NULL), AEL_OK);
    spoil_cached(load.sessions[0]);
    CU_ASSERT_EQUAL(ael_batch_encrypt(load.seal, 32, NULL, NULL), AEL_E_CORRUPTED);
    for (size_t i = 0; i < 32; i++) {
        CU_ASSERT_EQUAL(load.seal[i].status, i % 3 == 0 ? AEL_E_CORRUPTED : AEL_OK);
        CU_ASSERT_EQUAL(load.records[i].storage.len == 0, i % 3 == 0);
    }
    CU_ASSERT_EQUAL(ael_batch_encrypt(load.seal, 32, NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(fake_metastore_count(load.fix.metastore, FIXTURE_IK), 1); /* the same key, loaded */
    end(&load);
}

/* -- time -- */

static void test_batch__is_over_at_its_deadline_and_by_its_token(void) {
    struct load load;
    begin(&load);
    struct ael_call call = AEL_CALL_INIT;
    struct ael_cancel *cancel = NULL;
    call.deadline_ns = ael_deadline_in_ms(0);
    CU_ASSERT_EQUAL(ael_batch_encrypt(load.seal, 40, &call, NULL), AEL_E_TIMEOUT);
    CU_ASSERT_EQUAL(load.seal[0].status, AEL_E_TIMEOUT);
    CU_ASSERT_EQUAL(load.seal[39].status, AEL_E_TIMEOUT);
    CU_ASSERT_EQUAL(load.records[39].storage.len, 0);
    CU_ASSERT_EQUAL(ael_cancel_new(&cancel), AEL_OK);
    ael_cancel_trigger(cancel);
    call = (struct ael_call)AEL_CALL_INIT;
    call.cancel = cancel;
    CU_ASSERT_EQUAL(ael_batch_encrypt(load.seal, 40, &call, NULL), AEL_E_CANCELLED);
    CU_ASSERT_EQUAL(load.seal[39].status, AEL_E_CANCELLED);
    ael_cancel_free(cancel);
    end(&load);
}

static void trigger(struct fake_metastore *fake, void *context, enum fake_op op, struct ael_bytes id, const struct ael_key_record *record) {
    (void)fake;
    (void)op;
    (void)record;
    if (id.len == strlen("_IK_q_svc_prod") && memcmp(id.data, "_IK_q_svc_prod", id.len) == 0) {
        ael_cancel_trigger(context);
    }
}

static void test_batch__keeps_what_was_done_when_it_is_cancelled(void) {
    struct load load;
    begin(&load);
    struct ael_call call = AEL_CALL_INIT;
    struct ael_cancel *cancel = NULL;
    CU_ASSERT_EQUAL(ael_cancel_new(&cancel), AEL_OK);
    call.cancel = cancel;
    load.fix.metastore->hook_context = cancel;
    load.fix.metastore->hook = trigger;
    CU_ASSERT_EQUAL(fixture_encrypt(load.sessions[2], NULL), AEL_OK);
    CU_ASSERT_EQUAL(ael_batch_encrypt(load.seal, ITEMS, &call, NULL), AEL_E_CANCELLED);
    for (size_t i = 0; i < ITEMS; i++) {
        bool came_before = i < 32 && i % 3 == 0;
        CU_ASSERT_TRUE(!came_before || load.seal[i].status == AEL_OK);
        CU_ASSERT_TRUE(i < 32 || load.seal[i].status == AEL_E_CANCELLED);
        CU_ASSERT_EQUAL(load.seal[i].status == AEL_OK, load.records[i].storage.len != 0);
    }
    load.fix.metastore->hook = NULL;
    ael_cancel_free(cancel);
    end(&load);
}

static void *encrypt_in_thread(void *context) {
    struct load *load = context;
    CU_ASSERT_EQUAL(fixture_encrypt(load->sessions[0], NULL), AEL_OK);
    return NULL;
}

struct cancelled_batch {
    struct load *load;
    struct ael_call call;
    enum ael_status status;
};

static void *batch_in_thread(void *context) {
    struct cancelled_batch *batch = context;
    const struct ael_encrypt_item *seal = batch->load->seal;
    batch->status = ael_batch_encrypt(batch->load->seal, 3, &batch->call, NULL);
    CU_ASSERT_EQUAL(seal[0].status, AEL_OK);
    CU_ASSERT_EQUAL(seal[1].status, AEL_E_CANCELLED);
    CU_ASSERT_EQUAL(seal[2].status, AEL_OK);
    return NULL;
}

static void *warm_in_thread(void *context) {
    struct cancelled_batch *batch = context;
    struct ael_warm_item items[] = {
        {ael_bytes_from_text("q"), AEL_E_BUSY}, {ael_bytes_from_text("p"), AEL_E_BUSY},
        {ael_bytes_from_text("r"), AEL_E_BUSY}};
    batch->status = ael_session_factory_warm(batch->load->fix.factory, items, 3, &batch->call, NULL);
    CU_ASSERT_EQUAL(items[0].status, AEL_OK);
    CU_ASSERT_EQUAL(items[1].status, AEL_E_CANCELLED);
    CU_ASSERT_EQUAL(items[2].status, AEL_E_CANCELLED);
    return NULL;
}

/* Another call hangs in the load of the one key; the batch gives up on that alone. */
static void check_hanging(void *(*run)(void *context)) {
    struct load load;
    struct cancelled_batch batch = {.load = &load, .call = AEL_CALL_INIT};
    struct ael_cancel *cancel = NULL;
    pthread_t hanging;
    pthread_t batching;
    begin(&load);
    CU_ASSERT_EQUAL(ael_cancel_new(&cancel), AEL_OK);
    batch.call.cancel = cancel;
    batch.call.deadline_ns = INT64_MAX;
    CU_ASSERT_EQUAL(fixture_encrypt(load.sessions[1], NULL), AEL_OK);
    load.seal[0].session = load.sessions[1];
    load.seal[1].session = load.sessions[0]; /* cold */
    load.seal[2].session = load.sessions[1];
    gate_shut(&load.fix.metastore->gate);
    CU_ASSERT_EQUAL(pthread_create(&hanging, NULL, encrypt_in_thread, &load), 0);
    gate_wait_for(&load.fix.metastore->gate, 1);
    uint64_t before = looks(&load);
    CU_ASSERT_EQUAL(pthread_create(&batching, NULL, run, &batch), 0);
    while (looks(&load) == before) { /* the warm key was looked up: it has begun */
        sched_yield();
    }
    ael_cancel_trigger(cancel);
    pthread_join(batching, NULL);
    CU_ASSERT_EQUAL(batch.status, AEL_E_CANCELLED);
    gate_open(&load.fix.metastore->gate);
    pthread_join(hanging, NULL);
    ael_cancel_free(cancel);
    end(&load);
}

static void test_batch__gives_up_on_a_load_that_hangs(void) {
    check_hanging(batch_in_thread);
}

static void test_factory_warm__gives_up_on_a_load_that_hangs(void) {
    check_hanging(warm_in_thread);
}

/* What the single call answers, each item does. */
static void test_batch__answers_as_the_single_call_after_a_shut_down(void) {
    struct load load;
    begin(&load);
    CU_ASSERT_EQUAL(ael_batch_encrypt(load.seal, 3, NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(ael_shutdown(1000), AEL_OK);
    enum ael_status batch = ael_batch_decrypt(load.open, 3, NULL, NULL);
    CU_ASSERT_EQUAL(batch, AEL_E_CLOSED);
    for (size_t i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(load.open[i].status, batch);
        CU_ASSERT_EQUAL(load.backs[i].len, 0);
        CU_ASSERT_EQUAL(fixture_decrypt(load.sessions[i], &load.records[i].record), batch);
    }
    end(&load);
}

/* -- JSON -- */

static void test_batch_json__comes_back_and_takes_failures_apart(void) {
    enum { COUNT = 70 };
    struct load load;
    struct ael_encrypt_json_item seal[COUNT];
    struct ael_decrypt_json_item open[COUNT];
    struct ael_buf jsons[COUNT];
    uint8_t exact[4096];
    begin(&load);
    for (size_t i = 0; i < COUNT; i++) {
        jsons[i] = (struct ael_buf)AEL_BUF_INIT;
        seal[i] = (struct ael_encrypt_json_item){load.sessions[i % 3], payload(&load, i), &jsons[i], AEL_E_BUSY};
    }
    ael_buf_init_fixed(&jsons[5], exact, ael_session_json_bound(load.sessions[2], payload(&load, 5).len));
    ael_buf_init_fixed(&jsons[6], exact, 30);
    seal[7].json = NULL;
    CU_ASSERT_EQUAL(ael_batch_encrypt_json(seal, COUNT, NULL, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_batch_encrypt_json(seal, COUNT, NULL, NULL), AEL_E_ARGUMENT); /* over what is there */
    CU_ASSERT_EQUAL(seal[6].status, AEL_E_BUFFER_TOO_SMALL);
    CU_ASSERT_EQUAL(jsons[6].len, 0);
    CU_ASSERT_EQUAL(seal[7].status, AEL_E_ARGUMENT);
    for (size_t i = 0; i < COUNT; i++) {
        CU_ASSERT_TRUE(i == 6 || i == 7 || seal[i].status == AEL_OK);
        open[i] = (struct ael_decrypt_json_item){
            load.sessions[i % 3], ael_buf_view(&jsons[i]), &load.backs[i], AEL_E_BUSY};
    }
    jsons[8].data[jsons[8].len - 3] = '!';
    open[9].json.data = NULL;
    open[10].json.len--;
    CU_ASSERT_NOT_EQUAL(ael_batch_decrypt_json(open, COUNT, NULL, NULL), AEL_OK);
    for (size_t i = 0; i < COUNT; i++) {
        bool fails = i >= 6 && i <= 10;
        CU_ASSERT_EQUAL(open[i].status, i == 9 ? AEL_E_ARGUMENT : fails ? AEL_E_RECORD : AEL_OK);
        CU_ASSERT_TRUE(fails ? load.backs[i].len == 0 : is_payload(&load, i));
        if (i != 5 && i != 6) {
            ael_buf_clear(&jsons[i]);
        }
    }
    end(&load);
}

/* -- warm -- */

static void test_factory_warm__loads_what_encrypts_will_need(void) {
    struct fixture fix;
    fixture_begin(&fix);
    struct ael_warm_item items[] = {
        {ael_bytes_from_text("p"), AEL_E_BUSY}, {ael_bytes_from_text(""), AEL_E_BUSY},
        {ael_bytes_from_text("q"), AEL_E_BUSY}};
    CU_ASSERT_EQUAL(ael_session_factory_warm(fix.factory, items, 3, NULL, NULL), AEL_E_PARTITION);
    CU_ASSERT_EQUAL(items[0].status, AEL_OK);
    CU_ASSERT_EQUAL(items[1].status, AEL_E_PARTITION);
    CU_ASSERT_EQUAL(items[2].status, AEL_OK);
    int calls = fake_metastore_calls(fix.metastore);
    struct ael_session *p = fixture_session(&fix, "p");
    struct ael_session *q = fixture_session(&fix, "q");
    CU_ASSERT_EQUAL(fixture_encrypt(p, NULL), AEL_OK);
    CU_ASSERT_EQUAL(fixture_encrypt(q, NULL), AEL_OK);
    CU_ASSERT_EQUAL(fake_metastore_calls(fix.metastore), calls);
    fake_metastore_fail_all(fix.metastore, AEL_E_UNREACHABLE);
    items[1].partition = ael_bytes_from_text("r");
    CU_ASSERT_EQUAL(ael_session_factory_warm(fix.factory, items, 3, NULL, NULL), AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(items[0].status, AEL_OK);
    CU_ASSERT_EQUAL(items[1].status, AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(items[2].status, AEL_OK);
    ael_session_release(p);
    ael_session_release(q);
    fixture_end(&fix);
}

static void test_factory_warm__refuses_what_it_cannot_do(void) {
    struct fixture fix;
    struct ael_policy policy = AEL_POLICY_INIT;
    struct ael_warm_item item = {ael_bytes_from_text("p"), AEL_E_BUSY};
    struct ael_call call = AEL_CALL_INIT;
    policy.shared_intermediate_key_cache = false;
    policy.cache_sessions = false;
    fixture_begin_with(&fix, &policy, NULL);
    CU_ASSERT_EQUAL(ael_session_factory_warm(fix.factory, &item, 1, NULL, NULL), AEL_E_UNSUPPORTED);
    CU_ASSERT_EQUAL(fake_metastore_calls(fix.metastore), 0);
    fixture_end(&fix);
    fixture_begin(&fix);
    CU_ASSERT_EQUAL(ael_session_factory_warm(NULL, &item, 1, NULL, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_session_factory_warm(fix.factory, NULL, 1, NULL, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_session_factory_warm(fix.factory, NULL, 0, NULL, NULL), AEL_OK);
    call.deadline_ns = ael_deadline_in_ms(0);
    CU_ASSERT_EQUAL(ael_session_factory_warm(fix.factory, &item, 1, &call, NULL), AEL_E_TIMEOUT);
    CU_ASSERT_EQUAL(item.status, AEL_E_TIMEOUT);
    call.size = 1;
    CU_ASSERT_EQUAL(ael_session_factory_warm(fix.factory, &item, 1, &call, NULL), AEL_E_ARGUMENT);
    struct ael_session *held = fixture_session(&fix, "p");
    struct ael_session_factory *factory = fix.factory;
    fix.factory = NULL;
    ael_session_factory_free(factory); /* the session holds it */
    CU_ASSERT_EQUAL(ael_session_factory_warm(factory, &item, 1, NULL, NULL), AEL_E_CLOSED);
    ael_session_release(held);
    fixture_end(&fix);
}

static const struct test_case k_cases[] = {
    {"each item gets what the single call would give", test_batch__gives_each_item_what_the_single_call_would},
    {"each record has a key of its own", test_batch_encrypt__draws_a_key_for_each_record},
    {"records that share a key share its look-up", test_batch__looks_a_key_up_once_for_the_records_that_share_it},
    {"a key is opened once for many records", test_batch__opens_a_key_once_for_many_records},
    {"the slot is given back after a mebibyte", test_batch__gives_the_slot_back_after_a_mebibyte},
    {"failed decrypts leave the others whole", test_batch_decrypt__leaves_the_others_whole_when_some_fail},
    {"failed encrypts leave the others whole", test_batch_encrypt__leaves_the_others_whole_when_some_fail},
    {"a key that cannot be had is asked for once", test_batch_encrypt__asks_once_for_a_key_that_cannot_be_had},
    {"a corrupted key is loaded again", test_batch__loads_a_key_that_was_found_corrupted_again},
    {"what is no batch is refused", test_batch__refuses_what_is_no_batch},
    {"a freed factory closes its items alone", test_batch__answers_closed_for_sessions_of_a_freed_factory_alone},
    {"deadline and token end a batch", test_batch__is_over_at_its_deadline_and_by_its_token},
    {"what was done before the cancellation stays", test_batch__keeps_what_was_done_when_it_is_cancelled},
    {"a load that hangs holds up its own items alone", test_batch__gives_up_on_a_load_that_hangs},
    {"after a shut-down", test_batch__answers_as_the_single_call_after_a_shut_down},
    {"warm gives up on a load that hangs", test_factory_warm__gives_up_on_a_load_that_hangs},
    {"JSON comes back, failures apart", test_batch_json__comes_back_and_takes_failures_apart},
    {"warm keys are there for the encrypt", test_factory_warm__loads_what_encrypts_will_need},
    {"warm refuses what it cannot do", test_factory_warm__refuses_what_it_cannot_do},
};

TEST_SUITE_MAIN("session_batch", k_cases)
