/*
 * scenarios_levels.c - every level of the library's own memory, backing, engine and built-in metastore, warm.
 *
 * The planted copies go through the places and forms that belong to no scenario in particular.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/residency/scenarios.h"

enum { ROUND_TRIPS = 200, PARTITIONS = 4 };

static bool warm(struct world *world) {
    return world_round_trips(world, ROUND_TRIPS, PARTITIONS) &&
           world_stand_still(world, "with warm caches", 0);
}

static bool large_payloads(struct world *world) {
    return world_round_trips(world, 16, 1) && world_stand_still(world, "after short payloads", 0) &&
           world_round_trip(world, "tenant-0", 4096) && world_stand_still(world, "after a long one", 0);
}

#define OF(name_, level_, backing_, engine_, place_, form_)                                                  \
    {                                                                                                        \
        .name = name_, .run = warm, .key_level = AEL_PROTECTION_##level_, .backing = AEL_BACKING_##backing_, \
        .engine = ENGINE_##engine_, .place = PLANT_##place_, .form = PLANT_##form_                           \
    }

static const struct scenario k_list[] = {
    OF("leased/memfd_secret/by_size", LEASED, MEMFD_SECRET, BY_SIZE, HEAP, RAW),
    OF("leased/memfd_secret/evp", LEASED, MEMFD_SECRET, EVP, FREED, HASH_SQUARE),
    OF("leased/anonymous/by_size", LEASED, ANONYMOUS, BY_SIZE, STACK, RAW),
    OF("leased/anonymous/evp", LEASED, ANONYMOUS, EVP, FREED, SCHEDULE),
    OF("strict/memfd_secret/by_size", STRICT, MEMFD_SECRET, BY_SIZE, TLS, RAW),
    OF("strict/memfd_secret/evp", STRICT, MEMFD_SECRET, EVP, HEAP, INVERSE_SCHEDULE),
    OF("strict/anonymous/by_size", STRICT, ANONYMOUS, BY_SIZE, STATIC, HALF),
    OF("strict/anonymous/evp", STRICT, ANONYMOUS, EVP, HEAP, SWAPPED_SCHEDULE),
    OF("open/memfd_secret/by_size", OPEN, MEMFD_SECRET, BY_SIZE, MAPPED, RAW),
    OF("open/memfd_secret/evp", OPEN, MEMFD_SECRET, EVP, STACK, HASH_KEY),
    OF("open/anonymous/by_size", OPEN, ANONYMOUS, BY_SIZE, CLOSED, RAW),
    OF("open/anonymous/evp", OPEN, ANONYMOUS, EVP, SHARED, HASH_KEY),
    OF("leased/anonymous/libsodium", LEASED, ANONYMOUS, LIBSODIUM, STACK, SCHEDULE),
    OF("leased/anonymous/ipsec_mb_avx2", LEASED, ANONYMOUS, IPSEC_MB_AVX2, HEAP, HASH_KEY),
    OF("leased/anonymous/ipsec_mb_avx512", LEASED, ANONYMOUS, IPSEC_MB_AVX512, FREED, HASH_SQUARE),
    OF("strict/memfd_secret/libsodium", STRICT, MEMFD_SECRET, LIBSODIUM, HEAP, RAW),
    OF("strict/memfd_secret/ipsec_mb_avx2", STRICT, MEMFD_SECRET, IPSEC_MB_AVX2, STACK, HASH_SQUARE),
    OF("strict/memfd_secret/ipsec_mb_avx512", STRICT, MEMFD_SECRET, IPSEC_MB_AVX512, STATIC, SCHEDULE),
    {.name = "sqlite/memfd_secret",
     .run = warm,
     .backing = AEL_BACKING_AUTO,
     .sqlite = true,
     .place = PLANT_SQLITE},
    {.name = "sqlite/anonymous",
     .run = warm,
     .backing = AEL_BACKING_ANONYMOUS,
     .sqlite = true,
     .place = PLANT_SQLITE,
     .form = PLANT_BASE64},
    {.name = "payloads_of_each_engine", .run = large_payloads, .place = PLANT_STACK, .form = PLANT_SCHEDULE},
};

const struct scenario_table k_scenarios_levels = {k_list, sizeof k_list / sizeof k_list[0]};
