/*
 * scenarios_errors.c - after a failure of each step: edges that are down, lost races, tampered rows and records.
 *
 * Keys that were made and given up are told sealed to the watcher, which looks for them too.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/residency/scenarios.h"

#include <string.h>

/* A failure at the very first encrypt, then a factory that works again. */
static bool first_encrypt_fails(struct world *world, enum ael_status expected, const char *where) {
    for (int i = 0; i < 4; i++) {
        if (!EXPECT_STATUS(world_encrypt(world, "tenant-0", NULL), expected)) {
            return false;
        }
    }
    if (!world_stand_still(world, where, 0)) {
        return false;
    }
    world->faults = (struct edge_faults){.load = AEL_OK};
    return world_round_trips(world, 8, 2) && world_stand_still(world, "after it works again", 0);
}

static bool kms_down_at_encrypt(struct world *world) {
    world->faults.kms_encrypt = AEL_E_UNREACHABLE;
    return first_encrypt_fails(world, AEL_E_UNREACHABLE, "after the KMS refused to seal");
}

/* A second factory finds the rows and cannot open them. */
static bool kms_down_at_decrypt(struct world *world) {
    bool good = world_round_trips(world, 8, 2);
    ael_session_factory_free(world->factory);
    world->factory = NULL;
    world->faults.kms_decrypt = AEL_E_UNREACHABLE;
    return good && world_open_factory(world) &&
           first_encrypt_fails(world, AEL_E_UNREACHABLE, "after the KMS refused to open");
}

static bool metastore_down_at_load(struct world *world) {
    world->faults.load = AEL_E_UNREACHABLE;
    return first_encrypt_fails(world, AEL_E_UNREACHABLE, "after the metastore gave nothing");
}

static bool metastore_down_at_store(struct world *world) {
    world->faults.store = AEL_E_UNREACHABLE;
    return first_encrypt_fails(world, AEL_E_UNREACHABLE, "after the metastore took nothing");
}

/* With warm caches, and keys that are checked each time. */
static bool metastore_down_when_warm(struct world *world) {
    bool good = world_round_trips(world, 8, 2);
    world->faults.load = AEL_E_UNREACHABLE;
    for (int i = 0; good && i < 4; i++) {
        enum ael_status status = world_encrypt(world, "tenant-0", NULL);
        good = EXPECT(status == AEL_OK || status == AEL_E_UNREACHABLE || status == AEL_E_KEY_STALE);
    }
    return good && EXPECT_STATUS(world_encrypt(world, "tenant-9", NULL), AEL_E_UNREACHABLE) &&
           world_stand_still(world, "while the metastore is down", 0);
}

static bool store_unknown(struct world *world) {
    world->faults.store_unknown = true;
    return world_round_trips(world, 8, 2) && world_stand_still(world, "after stores of unknown outcome", 0);
}

static bool store_loses(struct world *world) {
    world->faults.store_loses = true;
    return EXPECT(world_encrypt(world, "tenant-0", NULL) != AEL_OK) &&
           world_stand_still(world, "after races that were lost", 0);
}

/* Decrypts a record with one byte turned. */
static bool
refuses(struct world *world, const char *partition, struct ael_record *record, struct ael_bytes part) {
    struct ael_session *session = NULL;
    struct ael_buf plain = AEL_BUF_INIT;
    if (part.len > 0) {
        ((uint8_t *)(uintptr_t)part.data)[part.len / 2] ^= 1;
    }
    bool good = EXPECT_STATUS(ael_session_acquire(world->factory, partition, &session, NULL), AEL_OK) &&
                EXPECT_STATUS(ael_session_decrypt(session, record, &plain, NULL, NULL), AEL_E_RECORD);
    if (part.len > 0) {
        ((uint8_t *)(uintptr_t)part.data)[part.len / 2] ^= 1;
    }
    ael_buf_clear(&plain);
    ael_session_release(session);
    return good;
}

static bool with_a_record(
    struct world *world, bool (*act)(struct world *world, struct ael_record *record), const char *where) {
    struct ael_record_buf record = AEL_RECORD_BUF_INIT;
    bool good = EXPECT_STATUS(world_encrypt(world, "tenant-0", &record), AEL_OK);
    for (int i = 0; good && i < 8; i++) {
        good = act(world, &record.record);
    }
    good = good && world_stand_still(world, where, 0);
    ael_record_buf_clear(&record);
    return good;
}

static bool turn_payload(struct world *world, struct ael_record *record) {
    return refuses(world, "tenant-0", record, record->data);
}

static bool turn_key(struct world *world, struct ael_record *record) {
    return refuses(world, "tenant-0", record, record->key);
}

static bool ask_another_partition(struct world *world, struct ael_record *record) {
    return world_round_trip(world, "tenant-1", 40) &&
           refuses(world, "tenant-1", record, (struct ael_bytes){NULL, 0});
}

static bool tampered_payload(struct world *world) {
    return with_a_record(world, turn_payload, "after tampered payloads");
}

static bool tampered_key(struct world *world) {
    return with_a_record(world, turn_key, "after tampered data row keys");
}

static bool wrong_partition(struct world *world) {
    return with_a_record(world, ask_another_partition, "after records of another partition");
}

/* Rows that cannot be opened, for a factory that has cached nothing. */
static bool tampered_rows(struct world *world) {
    bool good = world_round_trips(world, 8, 2);
    ael_session_factory_free(world->factory);
    world->factory = NULL;
    world->faults.tamper = true;
    good = good && world_open_factory(world) && EXPECT(world_encrypt(world, "tenant-0", NULL) != AEL_OK) &&
           world_stand_still(world, "after tampered rows", 0);
    world->faults.tamper = false;
    return good;
}

static bool broken_json(struct world *world) {
    struct ael_session *session = NULL;
    struct ael_buf json = AEL_BUF_INIT;
    struct ael_buf plain = AEL_BUF_INIT;
    struct ael_bytes payload = ael_bytes_from_text("a payload");
    bool good = world_round_trips(world, 4, 1) &&
                EXPECT_STATUS(ael_session_acquire(world->factory, "tenant-0", &session, NULL), AEL_OK) &&
                EXPECT_STATUS(ael_session_encrypt_json(session, payload, &json, NULL, NULL), AEL_OK);
    for (size_t cut = 1; good && cut < json.len; cut += 7) {
        struct ael_bytes part = {json.data, json.len - cut};
        good = EXPECT(ael_session_decrypt_json(session, part, &plain, NULL, NULL) != AEL_OK);
    }
    good = good && world_stand_still(world, "after JSON that was cut short", 0);
    ael_buf_clear(&json);
    ael_buf_clear(&plain);
    ael_session_release(session);
    return good;
}

static void check_each_time(struct ael_policy *policy) {
    policy->revoke_check_interval_s = 0;
}

static const struct scenario k_list[] = {
    {.name = "error/kms_encrypt", .run = kms_down_at_encrypt, .place = PLANT_HEAP},
    {.name = "error/kms_decrypt", .run = kms_down_at_decrypt, .place = PLANT_FREED},
    {.name = "error/metastore_load", .run = metastore_down_at_load, .place = PLANT_HEAP, .form = PLANT_HALF},
    {.name = "error/metastore_store",
     .run = metastore_down_at_store,
     .place = PLANT_FREED,
     .form = PLANT_BASE64},
    {.name = "error/metastore_warm",
     .run = metastore_down_when_warm,
     .place = PLANT_STACK,
     .set_policy = check_each_time},
    {.name = "error/store_unknown", .run = store_unknown, .sqlite = true, .place = PLANT_SQLITE},
    {.name = "error/store_lost", .run = store_loses, .place = PLANT_FREED},
    {.name = "error/tampered_payload", .run = tampered_payload, .place = PLANT_FREED, .form = PLANT_SCHEDULE},
    {.name = "error/tampered_payload_evp",
     .run = tampered_payload,
     .engine = ENGINE_EVP,
     .place = PLANT_FREED,
     .form = PLANT_SCHEDULE},
    {.name = "error/tampered_key", .run = tampered_key, .place = PLANT_STACK, .form = PLANT_SCHEDULE},
    {.name = "error/wrong_partition", .run = wrong_partition, .place = PLANT_HEAP},
    {.name = "error/tampered_rows", .run = tampered_rows, .sqlite = true, .place = PLANT_FREED},
    {.name = "error/broken_json", .run = broken_json, .place = PLANT_HEAP, .form = PLANT_BASE64},
};

const struct scenario_table k_scenarios_errors = {k_list, sizeof k_list / sizeof k_list[0]};
