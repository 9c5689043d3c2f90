/*
 * scenarios_calls.c - batches, and calls that never wait: what the library's own threads leave behind.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/residency/scenarios.h"

#include <poll.h>

enum { ITEMS = 40, ROUNDS = 6, PARTITIONS = 3, PATIENCE_MS = 60000 };

/* -- batches -- */

struct batch {
    struct ael_session *sessions[PARTITIONS];
    struct ael_record_buf records[ITEMS];
    struct ael_buf plains[ITEMS];
    struct ael_encrypt_item seal[ITEMS];
    struct ael_decrypt_item open[ITEMS];
};

static const uint8_t k_payload[3000] = {1, 2, 3};

static bool fill(struct world *world, struct batch *batch) {
    static const char *const k_names[PARTITIONS] = {"tenant-0", "tenant-1", "tenant-2"};
    bool good = true;
    for (size_t i = 0; i < PARTITIONS; i++) {
        good = EXPECT_STATUS(ael_session_acquire(world->factory, k_names[i], &batch->sessions[i], NULL), AEL_OK) &&
               good;
    }
    for (size_t i = 0; i < ITEMS; i++) {
        struct ael_session *session = batch->sessions[i % PARTITIONS];
        batch->records[i] = (struct ael_record_buf)AEL_RECORD_BUF_INIT;
        batch->plains[i] = (struct ael_buf)AEL_BUF_INIT;
        batch->seal[i] = (struct ael_encrypt_item){
            session, {k_payload, i % 2 == 0 ? 50 : sizeof k_payload}, &batch->records[i], AEL_OK};
        batch->open[i] =
            (struct ael_decrypt_item){session, &batch->records[i].record, &batch->plains[i], AEL_OK};
    }
    return good;
}

static bool batch_calls(struct world *world) {
    struct batch batch;
    bool good = fill(world, &batch) && EXPECT_STATUS(ael_batch_encrypt(batch.seal, ITEMS, NULL, NULL), AEL_OK);
    for (size_t i = 0; good && i < ITEMS; i++) {
        good = EXPECT(world_tell_record(world, &batch.records[i].record));
    }
    good = good && EXPECT_STATUS(ael_batch_decrypt(batch.open, ITEMS, NULL, NULL), AEL_OK) &&
           world_stand_still(world, "after batches", 0);
    for (size_t i = 0; i < ITEMS; i++) {
        ael_record_buf_clear(&batch.records[i]);
        ael_buf_clear(&batch.plains[i]);
    }
    for (size_t i = 0; i < PARTITIONS; i++) {
        ael_session_release(batch.sessions[i]);
    }
    return good;
}

/* -- calls that never wait -- */

struct loop {
    struct world *world;
    struct ael_wait_queue *queue;
    struct ael_wait *wait;
};

static enum ael_status await(struct loop *loop) {
    struct pollfd fd = {.fd = ael_wait_queue_fd(loop->queue), .events = POLLIN};
    enum ael_status status = AEL_E_TIMEOUT;
    bool told = poll(&fd, 1, PATIENCE_MS) == 1 && ael_wait_queue_next(loop->queue, NULL, NULL, &status);
    return told ? status : AEL_E_TIMEOUT;
}

static bool try_once(struct loop *loop, struct ael_session *session) {
    struct ael_record_buf record = AEL_RECORD_BUF_INIT;
    struct ael_buf plain = AEL_BUF_INIT;
    struct ael_bytes payload = {k_payload, 200};
    bool good =
        EXPECT_STATUS(
            ael_session_try_encrypt(session, payload, &record, NULL, loop->wait, NULL), AEL_E_WOULD_BLOCK) &&
        EXPECT_STATUS(await(loop), AEL_OK) &&
        EXPECT_STATUS(ael_session_try_encrypt(session, payload, &record, NULL, loop->wait, NULL), AEL_OK) &&
        EXPECT(world_tell_record(loop->world, &record.record)) &&
        EXPECT_STATUS(
            ael_session_try_decrypt(session, &record.record, &plain, NULL, loop->wait, NULL), AEL_E_WOULD_BLOCK) &&
        EXPECT_STATUS(await(loop), AEL_OK) &&
        EXPECT_STATUS(ael_session_try_decrypt(session, &record.record, &plain, NULL, loop->wait, NULL), AEL_OK);
    ael_record_buf_clear(&record);
    ael_buf_clear(&plain);
    return good;
}

static bool try_rounds(struct loop *loop) {
    static const char *const k_names[PARTITIONS] = {"tenant-0", "tenant-1", "tenant-2"};
    bool good = true;
    for (size_t i = 0; good && i < ROUNDS; i++) {
        struct ael_session *session = NULL;
        good = EXPECT_STATUS(
                   ael_session_acquire(loop->world->factory, k_names[i % PARTITIONS], &session, NULL), AEL_OK) &&
               try_once(loop, session);
        ael_session_release(session);
    }
    return good;
}

/* Looked at while the threads that loaded lie idle, and when they are gone. */
static bool try_calls(struct world *world) {
    struct loop loop = {.world = world};
    struct ael_wait_options options = AEL_WAIT_OPTIONS_INIT;
    bool good = EXPECT_STATUS(ael_wait_queue_new(&loop.queue), AEL_OK);
    options.queue = loop.queue;
    good = good && EXPECT_STATUS(ael_wait_new(&options, &loop.wait), AEL_OK) && try_rounds(&loop) &&
           world_stand_still(world, "while loaders wait for work", 0);
    ael_wait_free(loop.wait);
    ael_wait_queue_free(loop.queue);
    ael_session_factory_free(world->factory);
    world->factory = NULL;
    return good && world_stand_still(world, "after loaders ended", 0);
}

/* So that each try has its key loaded. */
static void check_each_time(struct ael_policy *policy) {
    policy->revoke_check_interval_s = 0;
}

static const struct scenario k_list[] = {
    {.name = "calls/batch", .run = batch_calls, .place = PLANT_STACK},
    {.name = "calls/batch_strict",
     .run = batch_calls,
     .key_level = AEL_PROTECTION_STRICT,
     .place = PLANT_HEAP},
    {.name = "calls/try", .run = try_calls, .place = PLANT_THREAD_STACK, .set_policy = check_each_time},
    {.name = "calls/try_sqlite",
     .run = try_calls,
     .sqlite = true,
     .place = PLANT_SQLITE,
     .set_policy = check_each_time},
};

const struct scenario_table k_scenarios_calls = {k_list, sizeof k_list / sizeof k_list[0]};
