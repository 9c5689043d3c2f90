/*
 * scenarios_keys.c - keys that come and go: revoked, expired, evicted, not cached; sessions that churn; JSON; where the
 * master key comes from.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/residency/scenarios.h"

#include "base/clock.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* -- revoked and expired -- */

/* Revokes the newest row of an id in the store. */
static bool revoke_newest(struct world *world, const char *id) {
    struct ael_key_record_buf row = AEL_KEY_RECORD_BUF_INIT;
    struct ael_bytes name = ael_bytes_from_text(id);
    bool good = EXPECT_STATUS(ael_metastore_load_latest(world->store, NULL, name, &row, NULL), AEL_OK) &&
                EXPECT_STATUS(
                    ael_metastore_mark_revoked(world->store, name, row.record.created_s, NULL, NULL), AEL_OK);
    ael_key_record_buf_clear(&row);
    return good;
}

static bool revoke_and_go_on(struct world *world, const char *id, const char *where) {
    struct ael_record_buf old = AEL_RECORD_BUF_INIT;
    struct ael_session *session = NULL;
    struct ael_buf plain = AEL_BUF_INIT;
    bool good = EXPECT_STATUS(world_encrypt(world, "tenant-0", &old), AEL_OK) && revoke_newest(world, id) &&
                world_round_trips(world, 8, 2) &&
                EXPECT_STATUS(ael_session_acquire(world->factory, "tenant-0", &session, NULL), AEL_OK) &&
                EXPECT_STATUS(ael_session_decrypt(session, &old.record, &plain, NULL, NULL), AEL_OK) &&
                world_stand_still(world, where, 0);
    ael_session_release(session);
    ael_buf_clear(&plain);
    ael_record_buf_clear(&old);
    return good;
}

static bool revoked_intermediate(struct world *world) {
    return revoke_and_go_on(world, "_IK_tenant-0_residency_test", "after an intermediate key was revoked");
}

static bool revoked_system(struct world *world) {
    return revoke_and_go_on(world, "_SK_residency_test", "after the system key was revoked");
}

static bool reloaded(struct world *world) {
    bool good = true;
    for (int i = 0; good && i < 4; i++) {
        good = world_round_trips(world, 8, 2);
    }
    return good && world_stand_still(world, "after keys were read again for each record", 0);
}

static void check_each_time(struct ael_policy *policy) {
    policy->revoke_check_interval_s = 0;
}

static void expire_in_an_hour(struct ael_policy *policy) {
    policy->expire_key_after_s = 3600;
    policy->create_date_precision_s = 1;
    policy->revoke_check_interval_s = 0;
}

/* Days pass between records. */
static bool expired(struct world *world) {
    bool good = true;
    ael_clock_set_for_test(ael_clock_wall_s(), ael_clock_boot_ns());
    for (int i = 0; good && i < 6; i++) {
        good = world_round_trips(world, 4, 2);
        ael_clock_advance_for_test(86400);
    }
    ael_clock_reset_for_test();
    return good && world_stand_still(world, "after keys of a day", 0);
}

/* Root keys that were drawn anew and wiped are looked for, as soon as one dump has shown them. */
static bool roots_drawn_anew(struct world *world) {
    bool good = world_round_trips(world, 8, 2) && world_stand_still(world, "with the first root key", 0);
    for (int i = 0; good && i < 4; i++) {
        good = world_round_trips(world, 32, 16) && world_stand_still(world, "after re-keys", 0);
    }
    struct ael_memory_stats stats = AEL_MEMORY_STATS_INIT;
    return good && EXPECT_STATUS(ael_memory_stats(&stats), AEL_OK) && EXPECT(stats.rekeys > 4);
}

/* -- caches -- */

static bool churn_partitions(struct world *world) {
    return world_round_trips(world, 64, 32) && world_round_trips(world, 64, 32) &&
           world_stand_still(world, "after evictions", 0);
}

static void two_keys(struct ael_policy *policy) {
    policy->system_key_cache_max = 1;
    policy->intermediate_key_cache_max = 2;
    policy->intermediate_key_cache_eviction = AEL_EVICTION_LRU;
    policy->session_cache_max = 2;
}

static void no_caches(struct ael_policy *policy) {
    policy->cache_system_keys = false;
    policy->cache_intermediate_keys = false;
    policy->cache_sessions = false;
}

static void own_caches(struct ael_policy *policy) {
    policy->shared_intermediate_key_cache = false;
    policy->cache_sessions = false;
}

/* -- calls -- */

static bool json_trip(struct world *world, struct ael_session *session) {
    struct ael_buf json = AEL_BUF_INIT;
    struct ael_buf plain = AEL_BUF_INIT;
    struct ael_record_buf record = AEL_RECORD_BUF_INIT;
    struct ael_bytes payload = ael_bytes_from_text("a payload of some length");
    bool good =
        EXPECT_STATUS(ael_session_encrypt_json(session, payload, &json, NULL, NULL), AEL_OK) &&
        EXPECT_STATUS(ael_record_from_json(ael_buf_view(&json), &record, NULL), AEL_OK) &&
        EXPECT(world_tell_record(world, &record.record)) &&
        EXPECT_STATUS(ael_session_decrypt_json(session, ael_buf_view(&json), &plain, NULL, NULL), AEL_OK);
    ael_record_buf_clear(&record);
    ael_buf_clear(&json);
    ael_buf_clear(&plain);
    return good;
}

static bool json_calls(struct world *world) {
    struct ael_session *session = NULL;
    bool good = EXPECT_STATUS(ael_session_acquire(world->factory, "tenant-0", &session, NULL), AEL_OK);
    for (int i = 0; good && i < 40; i++) {
        good = json_trip(world, session);
    }
    good = good && world_stand_still(world, "after calls with JSON", 0);
    ael_session_release(session);
    return good;
}

struct shelf {
    struct world *world;
    struct ael_record_buf record;
};

static enum ael_status put(void *context, const struct ael_record *record, void **key) {
    struct shelf *shelf = context;
    *key = shelf;
    (void)EXPECT(world_tell_record(shelf->world, record));
    return ael_record_buf_set(&shelf->record, record);
}

static enum ael_status get(void *context, const void *key, struct ael_record_buf *out) {
    (void)context;
    return ael_record_buf_set(out, &((const struct shelf *)key)->record.record);
}

static bool store_and_load(struct world *world) {
    struct ael_session *session = NULL;
    struct shelf shelf = {world, AEL_RECORD_BUF_INIT};
    struct ael_buf plain = AEL_BUF_INIT;
    void *key = NULL;
    bool good = EXPECT_STATUS(ael_session_acquire(world->factory, "tenant-0", &session, NULL), AEL_OK);
    for (int i = 0; good && i < 20; i++) {
        struct ael_bytes payload = ael_bytes_from_text("kept by the caller");
        good = EXPECT_STATUS(ael_session_store(session, payload, put, &shelf, &key, NULL, NULL), AEL_OK) &&
               EXPECT_STATUS(ael_session_load(session, key, get, &shelf, &plain, NULL, NULL), AEL_OK);
    }
    good = good && world_stand_still(world, "after store and load", 0);
    ael_buf_clear(&plain);
    ael_record_buf_clear(&shelf.record);
    ael_session_release(session);
    return good;
}

/* -- the master key -- */

static bool use_key(struct world *world, const char *where, unsigned look) {
    return world_open_edges(world) && world_open_factory(world) && world_round_trips(world, 8, 2) &&
           world_stand_still(world, where, look);
}

static bool key_from_bytes(struct world *world) {
    uint8_t *key = calloc(1, 32);
    bool good = EXPECT(key != NULL && world_ask(world, WIRE_KEY_MASTER, key)) && world_configure(world) &&
                EXPECT_STATUS(ael_kms_static_from_bytes(key, 32, &world->inner_kms, NULL), AEL_OK) &&
                use_key(world, "with a key from bytes", 0);
    free(key);
    return good;
}

/* A refused length is wiped as well. */
static bool key_from_too_few_bytes(struct world *world) {
    uint8_t *key = calloc(1, 32);
    struct ael_kms *kms = NULL;
    bool good = EXPECT(key != NULL && world_ask(world, WIRE_KEY_MASTER, key)) && world_configure(world) &&
                EXPECT(ael_kms_static_from_bytes(key, 31, &kms, NULL) != AEL_OK);
    if (key != NULL) {
        key[31] = 0;
    }
    good = good && use_key(world, "after a key of 31 bytes was refused", 0);
    free(key);
    return good;
}

static bool write_file(const char *path, const uint8_t *bytes, size_t len, unsigned mode) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    bool good = fd >= 0 && fchmod(fd, mode) == 0 && write(fd, bytes, len) == (ssize_t)len;
    return fd >= 0 && close(fd) == 0 && good;
}

/* Digits, written without a copy that stays. */
static bool key_from_digits(struct world *world) {
    uint8_t key[32];
    char digits[65];
    char path[128];
    world_path(world, "digits.key", path);
    bool good = EXPECT(world_ask(world, WIRE_KEY_MASTER, key));
    for (size_t i = 0; i < 64; i++) {
        digits[i] = "0123456789abcdef"[key[i / 2] >> (i % 2 == 0 ? 4 : 0) & 15];
    }
    digits[64] = '\n';
    good = good && EXPECT(write_file(path, (uint8_t *)digits, sizeof digits, 0600));
    explicit_bzero(key, sizeof key);
    explicit_bzero(digits, sizeof digits);
    return good && world_configure(world) &&
           EXPECT_STATUS(ael_kms_static_from_file(path, 0, &world->inner_kms, NULL), AEL_OK) &&
           use_key(world, "with a key file of digits", 0);
}

/* A file that others may read is refused, and one that is too long after it was read. */
static bool key_file_refused(struct world *world) {
    struct ael_kms *kms = NULL;
    uint8_t *key = calloc(1, 33);
    char path[128];
    world_path(world, "loose.key", path);
    bool good = EXPECT(key != NULL && world_ask(world, WIRE_KEY_MASTER, key)) && world_configure(world) &&
                EXPECT(write_file(path, key, 32, 0644)) &&
                EXPECT_STATUS(ael_kms_static_from_file(path, 0, &kms, NULL), AEL_E_KEY_FILE) &&
                EXPECT(write_file(path, key, 33, 0600)) &&
                EXPECT_STATUS(ael_kms_static_from_file(path, 0, &kms, NULL), AEL_E_KEY_FILE);
    if (key != NULL) {
        explicit_bzero(key, 33);
    }
    good = good && use_key(world, "after key files were refused", 0);
    free(key);
    return good;
}

/* What the host put there is told apart, and goes when it asks. */
static bool key_from_environ(struct world *world) {
    return world_configure(world) &&
           EXPECT_STATUS(ael_kms_static_from_env("AEL_RESIDENCY_KEY", &world->inner_kms, NULL), AEL_OK) &&
           use_key(world, "with a key from the environment", WIRE_LOOK_ENVIRON) &&
           EXPECT_STATUS(ael_wipe_env("AEL_RESIDENCY_KEY"), AEL_OK) &&
           world_stand_still(world, "after the environment was wiped", 0);
}

static const struct scenario k_list[] = {
    {.name = "keys/revoked_intermediate",
     .run = revoked_intermediate,
     .sqlite = true,
     .place = PLANT_FREED,
     .set_policy = check_each_time},
    {.name = "keys/revoked_system",
     .run = revoked_system,
     .place = PLANT_FREED,
     .set_policy = check_each_time},
    {.name = "keys/reloaded",
     .run = reloaded,
     .sqlite = true,
     .place = PLANT_SQLITE,
     .set_policy = check_each_time},
    {.name = "keys/expired", .run = expired, .place = PLANT_FREED, .set_policy = expire_in_an_hour},
    {.name = "keys/roots_drawn_anew",
     .run = roots_drawn_anew,
     .place = PLANT_HEAP,
     .set_policy = no_caches,
     .rekey_seals = 10},
    {.name = "keys/evicted", .run = churn_partitions, .place = PLANT_FREED, .set_policy = two_keys},
    {.name = "keys/not_cached", .run = churn_partitions, .place = PLANT_FREED, .set_policy = no_caches},
    {.name = "sessions/churn", .run = churn_partitions, .place = PLANT_FREED, .set_policy = own_caches},
    {.name = "calls/json", .run = json_calls, .place = PLANT_HEAP, .form = PLANT_BASE64},
    {.name = "calls/store_and_load", .run = store_and_load, .place = PLANT_STACK},
    {.name = "master/bytes", .run = key_from_bytes, .place = PLANT_HEAP, .own_factory = true},
    {.name = "master/too_few_bytes",
     .run = key_from_too_few_bytes,
     .place = PLANT_FREED,
     .own_factory = true},
    {.name = "master/file_of_digits",
     .run = key_from_digits,
     .place = PLANT_STDIO,
     .form = PLANT_HEX,
     .own_factory = true},
    {.name = "master/file_refused",
     .run = key_file_refused,
     .place = PLANT_FREED,
     .form = PLANT_HEX,
     .own_factory = true},
    {.name = "master/environ",
     .run = key_from_environ,
     .place = PLANT_HEAP,
     .form = PLANT_HEX,
     .key_in_environ = true,
     .own_factory = true},
};

const struct scenario_table k_scenarios_keys = {k_list, sizeof k_list / sizeof k_list[0]};
