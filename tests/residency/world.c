/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/residency/world.h"

#include "crypto/aead_engine.h"
#include "tests/residency/dump.h"

#include <ael/metastore_sqlite.h>

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LONGEST_PAYLOAD = 4096 };

/* see tests/residency/world.h */
bool world_expect(bool good, const char *what) {
    if (!good) {
        fprintf(stderr, "\n    child: not so: %s\n", what);
    }
    return good;
}

/* see tests/residency/world.h */
bool world_expect_status(enum ael_status status, enum ael_status expected, const char *what) {
    if (status != expected) {
        fprintf(
            stderr, "\n    child: %s: %s, not %s\n", what, ael_status_name(status),
            ael_status_name(expected));
    }
    return status == expected;
}

/* see tests/residency/world.h */
void world_path(const struct world *world, const char *name, char path[128]) {
    snprintf(path, 128, "%s/%s", world->folder, name);
}

/* -- what the watcher is told -- */

/* see tests/residency/world.h */
bool world_tell_row(struct world *world, struct ael_bytes id, const struct ael_key_record *record) {
    struct wire_message message = {.type = WIRE_ROW, .pid = getpid()};
    struct ael_buf json = AEL_BUF_INIT;
    snprintf(message.text, sizeof message.text, "%.*s", (int)id.len, (const char *)id.data);
    bool good = ael_key_record_to_json(record, &json) == AEL_OK;
    message.len = (uint32_t)json.len;
    good = good && wire_send(world->to_watcher, &message, json.data);
    ael_buf_clear(&json);
    return good;
}

/* see tests/residency/world.h */
bool world_tell_record(struct world *world, const struct ael_record *record) {
    static const uint8_t k_no_data[AEL_SEALED_OVERHEAD_BYTES];
    struct wire_message message = {.type = WIRE_RECORD, .pid = getpid()};
    struct ael_record told = *record;
    struct ael_buf json = AEL_BUF_INIT;
    told.data = (struct ael_bytes){k_no_data, sizeof k_no_data};
    bool good = ael_record_to_json(&told, &json) == AEL_OK;
    message.len = (uint32_t)json.len;
    good = good && wire_send(world->to_watcher, &message, json.data);
    ael_buf_clear(&json);
    return good;
}

/* see tests/residency/world.h */
bool world_ask(struct world *world, enum wire_key which, uint8_t key[32]) {
    struct wire_message message = {.type = WIRE_GIVE, .pid = getpid(), .number = which};
    return wire_send(world->to_watcher, &message, NULL) && wire_read(world->from_watcher, key, 32);
}

static bool give_plant(void *context, uint8_t *key) {
    return world_ask(context, WIRE_KEY_PLANT, key);
}

static bool look_now(struct world *world, const char *where, unsigned look) {
    struct wire_message message = {.type = WIRE_LOOK, .pid = getpid(), .number = look};
    uint8_t answer = 0;
    snprintf(message.text, sizeof message.text, "%s", where);
    return wire_send(world->to_watcher, &message, NULL) && wire_read(world->from_watcher, &answer, 1);
}

/* Stands still with a copy in a frame of this thread. */
static __attribute__((noinline)) bool
look_with_copy_on_stack(struct world *world, const char *where, unsigned look) {
    volatile uint8_t copy[64] = {0};
    bool good = plant_form(world->scenario->form, give_plant, world, (uint8_t *)(uintptr_t)copy) &&
                look_now(world, where, look);
    memset((void *)(uintptr_t)copy, 0, sizeof copy);
    return good;
}

/* see tests/residency/world.h */
bool world_stand_still(struct world *world, const char *where, unsigned look) {
    const struct scenario *scenario = world->scenario;
    if ((look & WIRE_LOOK_NO_DUMP) == 0 && !EXPECT(dump_protected(world->to_watcher))) {
        return false;
    }
    look |= WIRE_LOOK_PLANT;
    if (scenario->place == PLANT_STACK) {
        return EXPECT(look_with_copy_on_stack(world, where, look));
    }
    if (!world->planted && !EXPECT(plant_copy(scenario->place, scenario->form, give_plant, world))) {
        return false;
    }
    world->planted = true;
    return EXPECT(look_now(world, where, look));
}

/* -- the KMS -- */

static enum ael_status fail(struct ael_error *err, enum ael_status status) {
    return ael_error_set(err, status, 0, "test", "told to fail");
}

/* The key is told even when it is lost: sealed, it is as good as a row. */
static enum ael_status told_encrypt_key(
    void *self,
    const struct ael_call *call,
    struct ael_secret *key,
    struct ael_buf *out,
    struct ael_error *err) {
    struct world *world = self;
    enum ael_status status = ael_kms_encrypt_key(world->inner_kms, call, key, out, err);
    if (status == AEL_OK && world->faults.kms_encrypt != AEL_OK) {
        struct ael_key_record lost = {.created_s = 1, .key = ael_buf_view(out)};
        (void)EXPECT(world_tell_row(world, ael_bytes_from_text("lost"), &lost));
        return fail(err, world->faults.kms_encrypt);
    }
    return status;
}

static enum ael_status told_decrypt_key(
    void *self,
    const struct ael_call *call,
    struct ael_bytes encrypted,
    struct ael_secret **key,
    struct ael_error *err) {
    struct world *world = self;
    enum ael_status status = ael_kms_decrypt_key(world->inner_kms, call, encrypted, key, err);
    if (status == AEL_OK && world->faults.kms_decrypt != AEL_OK) {
        ael_secret_release(*key);
        *key = NULL;
        return fail(err, world->faults.kms_decrypt);
    }
    return status;
}

static const struct ael_kms_vtable k_kms = {
    .vt_size = sizeof k_kms,
    .contract = AEL_KMS_CONTRACT,
    .name = "told",
    .encrypt_key = told_encrypt_key,
    .decrypt_key = told_decrypt_key,
};

/* -- the metastore -- */

static enum ael_status tamper(struct world *world, struct ael_key_record_buf *out) {
    if (world->faults.tamper && out->record.key.len > 0) {
        ((uint8_t *)(uintptr_t)out->record.key.data)[3] ^= 4;
    }
    return AEL_OK;
}

static enum ael_status told_load(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    int64_t created_s,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    struct world *world = self;
    if (world->faults.load != AEL_OK) {
        return fail(err, world->faults.load);
    }
    enum ael_status status = ael_metastore_load(world->inner_store, call, id, created_s, out, err);
    return status == AEL_OK ? tamper(world, out) : status;
}

static enum ael_status told_load_latest(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    struct world *world = self;
    if (world->faults.load != AEL_OK) {
        return fail(err, world->faults.load);
    }
    enum ael_status status = ael_metastore_load_latest(world->inner_store, call, id, out, err);
    return status == AEL_OK ? tamper(world, out) : status;
}

static enum ael_status told_store(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    const struct ael_key_record *record,
    bool *stored,
    struct ael_error *err) {
    struct world *world = self;
    (void)EXPECT(world_tell_row(world, id, record));
    if (world->faults.store != AEL_OK) {
        return fail(err, world->faults.store);
    }
    if (world->faults.store_loses) {
        *stored = false;
        return AEL_OK;
    }
    enum ael_status status = ael_metastore_store(world->inner_store, call, id, record, stored, err);
    return status == AEL_OK && world->faults.store_unknown ? fail(err, AEL_E_OUTCOME_UNKNOWN) : status;
}

static enum ael_status told_replace(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    const struct ael_key_record *expected,
    const struct ael_key_record *desired,
    bool *replaced,
    struct ael_error *err) {
    struct world *world = self;
    return ael_metastore_replace(world->inner_store, call, id, expected, desired, replaced, err);
}

static const struct ael_metastore_vtable k_store = {
    .vt_size = sizeof k_store,
    .contract = AEL_METASTORE_CONTRACT,
    .name = "told",
    .load = told_load,
    .load_latest = told_load_latest,
    .store = told_store,
    .replace = told_replace,
};

/* -- opening and closing -- */

/*
 * OpenSSL is told that FIPS mode is on: the library then uses no other engine and OpenSSL's random numbers. No provider
 * for it is here, so the cipher was fetched before, and the generators are let off.
 */
static bool force_evp(void) {
    static const uint8_t k_zero[AEL_AEAD_KEY_BYTES];
    uint8_t tag[AEL_AEAD_TAG_BYTES];
    return ael_aead_evp.seal(k_zero, NULL, k_zero, NULL, 0, tag, tag) == AEL_OK &&
           RAND_set_DRBG_type(NULL, "CTR-DRBG", "-fips", "AES-256-CTR", NULL) == 1 &&
           EVP_default_properties_enable_fips(NULL, 1) == 1 && strcmp(ael_aead_engine_name(1), "evp") == 0;
}

/* Where the CPU or the build has no such engine, the one that is chosen does it, and the scenario is no other than that
 * by size. */
static bool force(enum engine engine) {
    static const char *const k_names[] = {
        [ENGINE_LIBSODIUM] = "libsodium",
        [ENGINE_IPSEC_MB_AVX2] = "ipsec-mb/avx2",
        [ENGINE_IPSEC_MB_AVX512] = "ipsec-mb/avx512",
    };
    if (engine == ENGINE_EVP) {
        return force_evp();
    }
    if (engine != ENGINE_BY_SIZE && !ael_aead_force_for_test(k_names[engine])) {
        printf("\n    no %s here ", k_names[engine]);
        fflush(stdout);
    }
    return true;
}

/* see tests/residency/world.h */
bool world_configure(struct world *world) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    const struct scenario *scenario = world->scenario;
    options.backing = scenario->backing;
    options.on_fork = scenario->on_fork;
    options.block_signals = scenario->block_signals;
    options.rekey_seals = scenario->rekey_seals;
    options.level = scenario->level != 0 ? scenario->level : options.level;
    options.key_level = scenario->key_level != 0 ? scenario->key_level : options.key_level;
    return EXPECT_STATUS(ael_memory_configure(&options, NULL), AEL_OK);
}

static bool open_inner_store(struct world *world) {
    struct ael_metastore_sqlite_options options = AEL_METASTORE_SQLITE_OPTIONS_INIT;
    char path[128];
    if (!world->scenario->sqlite) {
        return EXPECT_STATUS(ael_metastore_memory_new(&world->inner_store), AEL_OK);
    }
    world_path(world, "keys.db", path);
    options.path = path;
    return EXPECT_STATUS(ael_metastore_sqlite_new(&options, &world->inner_store, NULL), AEL_OK);
}

/* see tests/residency/world.h */
bool world_open_edges(struct world *world) {
    char path[128];
    world_path(world, "master.key", path);
    return (world->inner_kms != NULL ||
            EXPECT_STATUS(ael_kms_static_from_file(path, 0, &world->inner_kms, NULL), AEL_OK)) &&
           open_inner_store(world) && EXPECT_STATUS(ael_kms_new(&k_kms, world, &world->kms), AEL_OK) &&
           EXPECT_STATUS(ael_metastore_new(&k_store, world, &world->store), AEL_OK);
}

/* see tests/residency/world.h */
bool world_open_factory(struct world *world) {
    struct ael_session_factory_options options = AEL_SESSION_FACTORY_OPTIONS_INIT;
    struct ael_policy policy = AEL_POLICY_INIT;
    if (world->scenario->set_policy != NULL) {
        world->scenario->set_policy(&policy);
    }
    options.service = "residency";
    options.product = "test";
    options.metastore = world->store;
    options.kms = world->kms;
    options.policy = &policy;
    return EXPECT_STATUS(ael_session_factory_new(&options, &world->factory, NULL), AEL_OK);
}

/* see tests/residency/world.h */
bool world_open(struct world *world) {
    return EXPECT(force(world->scenario->engine)) && world_configure(world) &&
           world_open_edges(world) && world_open_factory(world);
}

/* see tests/residency/world.h */
void world_close(struct world *world) {
    ael_session_factory_free(world->factory);
    ael_metastore_release(world->store);
    ael_metastore_release(world->inner_store);
    ael_kms_release(world->kms);
    ael_kms_release(world->inner_kms);
    world->factory = NULL;
    world->store = world->inner_store = NULL;
    world->kms = world->inner_kms = NULL;
}

/* -- work -- */

static const uint8_t k_payload[LONGEST_PAYLOAD] = {0x50, 0x41, 0x59};

static bool decrypts(struct ael_session *session, const struct ael_record *record, size_t len) {
    struct ael_buf plain = AEL_BUF_INIT;
    bool good = EXPECT_STATUS(ael_session_decrypt(session, record, &plain, NULL, NULL), AEL_OK) &&
                EXPECT(plain.len == len && memcmp(plain.data, k_payload, len) == 0);
    ael_buf_clear(&plain);
    return good;
}

/* see tests/residency/world.h */
bool world_round_trip(struct world *world, const char *partition, size_t len) {
    struct ael_session *session = NULL;
    struct ael_record_buf record = AEL_RECORD_BUF_INIT;
    struct ael_bytes payload = {k_payload, len};
    bool good = EXPECT_STATUS(ael_session_acquire(world->factory, partition, &session, NULL), AEL_OK) &&
                EXPECT_STATUS(ael_session_encrypt(session, payload, &record, NULL, NULL), AEL_OK) &&
                EXPECT(world_tell_record(world, &record.record)) && decrypts(session, &record.record, len);
    ael_record_buf_clear(&record);
    ael_session_release(session);
    return good;
}

/* see tests/residency/world.h */
bool world_round_trips(struct world *world, size_t count, size_t partitions) {
    static const size_t k_lengths[] = {0, 40, 1000, LONGEST_PAYLOAD}; /* of each engine that is chosen */
    bool good = true;
    for (size_t i = 0; good && i < count; i++) {
        char partition[32];
        snprintf(partition, sizeof partition, "tenant-%zu", i % partitions);
        good = world_round_trip(world, partition, k_lengths[i / partitions % 4]);
    }
    return good;
}

/* see tests/residency/world.h */
enum ael_status world_encrypt(struct world *world, const char *partition, struct ael_record_buf *record) {
    struct ael_session *session = NULL;
    struct ael_record_buf mine = AEL_RECORD_BUF_INIT;
    struct ael_record_buf *out = record != NULL ? record : &mine;
    enum ael_status status = ael_session_acquire(world->factory, partition, &session, NULL);
    if (status == AEL_OK) {
        status = ael_session_encrypt(session, (struct ael_bytes){k_payload, 100}, out, NULL, NULL);
    }
    if (status == AEL_OK) {
        (void)EXPECT(world_tell_record(world, &out->record));
    }
    ael_record_buf_clear(&mine);
    ael_session_release(session);
    return status;
}
