/*
 * tests/residency/world.h - the process that a scenario is about: the library in use, its edges, what it tells the
 * watcher, and where it stands still.
 *
 * The edges are real ones (static KMS, memory or SQLite) behind a layer that tells the watcher every sealed key that
 * passes, also one that is lost afterwards, and that fails when it is told to.
 * Layer: tests. Threads: round trips from several threads at once; the rest from one.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_RESIDENCY_WORLD_H
#define TESTS_RESIDENCY_WORLD_H

#include "tests/residency/plant.h"
#include "tests/residency/wire.h"

#include <ael/ael.h>
#include <ael/sys/kms_backend.h>
#include <ael/sys/metastore_backend.h>

enum engine { ENGINE_BY_SIZE, ENGINE_EVP, ENGINE_LIBSODIUM, ENGINE_IPSEC_MB_AVX2, ENGINE_IPSEC_MB_AVX512 };

struct world;

struct scenario {
    const char *name;
    bool (*run)(struct world *world);
    enum ael_protection_level key_level; /* 0: the default */
    enum ael_protection_level level;
    enum ael_backing backing;
    enum ael_on_fork on_fork;
    enum engine engine;
    bool sqlite;
    enum plant_place place;
    enum plant_form form;
    void (*set_policy)(struct ael_policy *policy);
    bool key_in_environ; /* the process is started with the master key in AEL_RESIDENCY_KEY */
    bool block_signals;
    uint64_t rekey_seals; /* 0: the default */
    bool own_factory;     /* the scenario opens its world itself */
};

/* What the edges are to do. */
struct edge_faults {
    enum ael_status kms_encrypt;
    enum ael_status kms_decrypt;
    enum ael_status load;
    enum ael_status store; /* without storing */
    bool store_unknown;    /* stores, and says that it does not know */
    bool store_loses;      /* another's row was first */
    bool tamper;           /* rows are read with a bit turned */
};

struct world {
    const struct scenario *scenario;
    const char *folder;
    int from_watcher;
    int to_watcher;
    struct edge_faults faults;
    struct ael_kms *inner_kms;
    struct ael_metastore *inner_store;
    struct ael_kms *kms;
    struct ael_metastore *store;
    struct ael_session_factory *factory;
    bool planted;
};

/* Each tells whether it went well, and says on stderr what did not. */

bool world_expect(bool good, const char *what);
bool world_expect_status(enum ael_status status, enum ael_status expected, const char *what);
#define EXPECT(good)                world_expect((good), #good)
#define EXPECT_STATUS(call, status) world_expect_status((call), (status), #call)

/* The library set up as the scenario says, edges, and a factory. */
bool world_open(struct world *world);
bool world_configure(struct world *world);
bool world_open_edges(struct world *world);
bool world_open_factory(struct world *world);
void world_close(struct world *world);

/* A file of the scenario's folder. */
void world_path(const struct world *world, const char *name, char path[128]);

/* Encrypts and decrypts payloads of several lengths, count times over so many partitions. */
bool world_round_trips(struct world *world, size_t count, size_t partitions);
/* One of them. */
bool world_round_trip(struct world *world, const char *partition, size_t len);
/* What encrypt answers, for one payload; the record is told to the watcher. record may be NULL. */
enum ael_status world_encrypt(struct world *world, const char *partition, struct ael_record_buf *record);
bool world_tell_record(struct world *world, const struct ael_record *record);
bool world_tell_row(struct world *world, struct ael_bytes id, const struct ael_key_record *record);

/* Asks the watcher for one of its keys, straight to where it goes. */
bool world_ask(struct world *world, enum wire_key which, uint8_t key[32]);

/* Plants the scenario's copy if it is not there yet, dumps protected memory, and stands still until it was looked at. */
bool world_stand_still(struct world *world, const char *where, unsigned look);

#endif /* TESTS_RESIDENCY_WORLD_H */
