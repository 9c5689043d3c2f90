/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The key cache under every eviction: bounds that hold at every step, keys in use that are evicted, and a flood of ids
 * that come once, in which a hot set is asked for all along.
 */
#include "appencryption/cache/key_cache.h"
#include "base/clock.h"
#include "tests/support/soak.h"
#include "tests/support/suite.h"

#include <ael/ael.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

enum { NOW_S = 1800000000, HOT = 200 };

static const enum ael_eviction k_bounded[] = {
    AEL_EVICTION_LRU, AEL_EVICTION_LFU, AEL_EVICTION_SLRU, AEL_EVICTION_TINYLFU};
enum { BOUNDED = sizeof k_bounded / sizeof k_bounded[0] };

struct world {
    struct ael_rules rules;
    struct ael_cache_counters counters;
    struct ael_key_cache *cache;
    struct ael_key_source source;
    struct ael_call call;
    struct ael_crypto_key *sealed; /* what all keys of a flood share */
    int loads;
};

/* What an id's key is known by: keys have no ids of their own, so each was checked at a time of its own. */
static int64_t checked_ns_of(struct ael_bytes id) {
    int64_t sum = 0;
    for (size_t i = 0; i < id.len; i++) {
        sum = (sum * 31 + id.data[i]) % 1000000007;
    }
    return INT64_C(40000000000) + sum;
}

static enum ael_status load(
    void *world_, const struct ael_key_load *load, struct ael_cached_key **key, bool *metastore_unreachable,
    struct ael_error *err) {
    struct world *world = world_;
    (void)metastore_unreachable;
    (void)err;
    world->loads++;
    return ael_cached_key_new(
        ael_crypto_key_acquire(world->sealed), NULL, checked_ns_of(load->id), key);
}

static void begin(struct world *world, const struct ael_cache_bound *bound) {
    static const uint8_t k_bytes[AEL_KEY_BYTES] = {7};
    memset(world, 0, sizeof *world);
    ael_clock_set_for_test(NOW_S, INT64_C(50000000000));
    world->rules = (struct ael_rules){.expire_s = 1000000, .precision_s = 60, .shared_intermediate_keys = true};
    world->rules.interval_ns = INT64_C(1000000000000);
    world->rules.max_stale_ns = 2 * world->rules.interval_ns;
    world->counters.hit_name = world->counters.miss_name = "test";
    world->counters.stale_name = world->counters.evict_name = "test";
    world->source = (struct ael_key_source){load, world};
    world->call = (struct ael_call)AEL_CALL_INIT;
    world->call.deadline_ns = INT64_MAX;
    CU_ASSERT_EQUAL_FATAL(
        ael_crypto_key_new(
            AEL_KEY_KIND_INTERMEDIATE, ael_bytes_from_text("id"), NOW_S, false, k_bytes, &world->sealed),
        AEL_OK);
    CU_ASSERT_EQUAL_FATAL(
        ael_key_cache_new(&world->rules, bound, true, &world->counters, &world->cache), AEL_OK);
}

static void end(struct world *world) {
    ael_key_cache_free(world->cache);
    CU_ASSERT_EQUAL(atomic_load(&world->counters.cached), 0);
    CU_ASSERT_EQUAL(atomic_load(&world->counters.bytes), 0);
    ael_cached_key_sweep();
    ael_crypto_key_release(world->sealed);
    ael_clock_reset_for_test();
}

static struct ael_key_loan lend(struct world *world, const char *kind, int number, bool latest) {
    char id[64];
    struct ael_key_loan loan = {NULL, 0};
    (void)snprintf(id, sizeof id, "_IK_%s-%d_service_product", kind, number);
    struct ael_bytes bytes = ael_bytes_from_text(id);
    enum ael_status status =
        latest ? ael_key_cache_lend_latest(world->cache, &world->source, bytes, &world->call, &loan, NULL)
               : ael_key_cache_lend(world->cache, &world->source, bytes, NOW_S, &world->call, &loan, NULL);
    CU_ASSERT_EQUAL_FATAL(status, AEL_OK);
    CU_ASSERT_EQUAL(ael_cached_key_checked_ns(loan.key), checked_ns_of(bytes));
    return loan;
}

static void use(struct world *world, const char *kind, int number, bool latest) {
    struct ael_key_loan loan = lend(world, kind, number, latest);
    ael_key_loan_end(&loan);
}

static void test_capacity__is_never_exceeded(void) {
    const size_t capacities[] = {0, 1, 2, 10};
    for (size_t e = 0; e < BOUNDED; e++) {
        for (size_t c = 0; c < sizeof capacities / sizeof capacities[0]; c++) {
            struct ael_cache_bound bound = {k_bounded[e], capacities[c], false};
            struct world world;
            uint32_t seed = 3;
            begin(&world, &bound);
            for (int i = 0; i < 2000; i++) {
                seed = seed * 1664525u + 1013904223u;
                use(&world, "p", (int)(seed >> 8) % 30, (seed >> 16) % 2 == 0);
                CU_ASSERT_TRUE(atomic_load(&world.counters.cached) <= capacities[c]);
            }
            CU_ASSERT_EQUAL(atomic_load(&world.counters.cached), capacities[c]);
            end(&world);
        }
    }
}

static void test_simple__keeps_all(void) {
    struct ael_cache_bound bound = {AEL_EVICTION_SIMPLE, 1, false};
    struct world world;
    begin(&world, &bound);
    for (int i = 0; i < 3000; i++) {
        use(&world, "p", i, false);
    }
    CU_ASSERT_EQUAL(atomic_load(&world.counters.cached), 3000);
    CU_ASSERT_EQUAL(atomic_load(&world.counters.evictions), 0);
    end(&world);
}

static void test_loan__outlives_the_entry(void) {
    for (size_t e = 0; e < BOUNDED; e++) {
        struct ael_cache_bound bound = {k_bounded[e], 1, false};
        struct world world;
        uint8_t bytes[AEL_KEY_BYTES];
        begin(&world, &bound);
        use(&world, "held", 1, true);
        struct ael_key_loan loan = lend(&world, "held", 1, true);
        for (int i = 0; i < 5 * AEL_RETIRE_BATCH; i++) {
            use(&world, "p", i, false);
            use(&world, "p", i, false);
            use(&world, "p", i, false);
        }
        if (k_bounded[e] == AEL_EVICTION_LRU || k_bounded[e] == AEL_EVICTION_SLRU) {
            CU_ASSERT_EQUAL(ael_cached_key_standing(loan.key), AEL_KEY_OUTSIDE);
        }
        CU_ASSERT_EQUAL(ael_crypto_key_open(loan.key->key, bytes), AEL_OK);
        CU_ASSERT_EQUAL(bytes[0], 7);
        ael_key_loan_end(&loan);
        end(&world);
    }
}

/* A hot set is used three times, and then, all along, one of it for five ids that come once. Returns how many of a hundred
 * hot uses in the flood had to load. */
static int flood(enum ael_eviction eviction, size_t bound_bytes, int ids) {
    struct ael_cache_bound bound = {eviction, bound_bytes, true};
    struct world world;
    int hot_loads = 0;
    begin(&world, &bound);
    for (int i = 0; i < 3 * HOT; i++) {
        use(&world, "hot", i % HOT, true);
    }
    for (int i = 0; i < ids; i++) {
        use(&world, "once", i, i % 2 == 0);
        if (i % 5 == 0) {
            int before = world.loads;
            use(&world, "hot", i / 5 % HOT, true);
            hot_loads += world.loads - before;
        }
        if (atomic_load(&world.counters.bytes) > bound_bytes) {
            CU_FAIL("the bound was exceeded");
            break;
        }
    }
    CU_ASSERT_TRUE(atomic_load(&world.counters.bytes) > bound_bytes / 10 * 9);
    end(&world);
    return hot_loads * 100 / (ids / 5);
}

/* The bound holds more than twice the hot set, but only half of what comes between two uses of one of it. */
static void test_flood__stays_within_its_bytes_and_leaves_the_hot_set(void) {
    int ids = soak_count(30000, 1000000);
    size_t bytes = (size_t)500 * 450;
    int lru = flood(AEL_EVICTION_LRU, bytes, ids);
    int slru = flood(AEL_EVICTION_SLRU, bytes, ids);
    int tinylfu = flood(AEL_EVICTION_TINYLFU, bytes, ids);
    int lfu = flood(AEL_EVICTION_LFU, bytes, ids);
    CU_ASSERT_TRUE(lru > 90);
    CU_ASSERT_TRUE(slru < 2);
    CU_ASSERT_TRUE(lfu < 2);
    CU_ASSERT_TRUE(tinylfu < 2);
    printf(" hot uses that loaded: lru %d %%, slru %d %%, lfu %d %%, tinylfu %d %% ", lru, slru, lfu, tinylfu);
}

/* ---- a whole service with the default policy ---- */

struct service {
    struct ael_kms *kms;
    struct ael_metastore *metastore;
    struct ael_session_factory *factory;
};

static void open_service(struct service *service) {
    uint8_t master_key[32] = "a master key for tests, no more";
    struct ael_session_factory_options options = AEL_SESSION_FACTORY_OPTIONS_INIT;
    CU_ASSERT_EQUAL_FATAL(ael_kms_static_from_bytes(master_key, sizeof master_key, &service->kms, NULL), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_metastore_memory_new(&service->metastore), AEL_OK);
    options.service = "svc";
    options.product = "prod";
    options.kms = service->kms;
    options.metastore = service->metastore;
    CU_ASSERT_EQUAL_FATAL(ael_session_factory_new(&options, &service->factory, NULL), AEL_OK);
}

static void encrypt_for(struct service *service, int number, struct ael_buf *json) {
    char partition[32];
    struct ael_session *session = NULL;
    (void)snprintf(partition, sizeof partition, "partition-%d", number);
    CU_ASSERT_EQUAL_FATAL(ael_session_acquire(service->factory, partition, &session, NULL), AEL_OK);
    CU_ASSERT_EQUAL(ael_session_encrypt_json(session, ael_bytes_from_text("x"), json, NULL, NULL), AEL_OK);
    ael_session_release(session);
}

static struct ael_session_factory_stats stats_of(struct service *service) {
    struct ael_session_factory_stats stats = {.size = sizeof stats};
    CU_ASSERT_EQUAL(ael_session_factory_stats(service->factory, &stats), AEL_OK);
    return stats;
}

static void test_service__stays_within_its_default_bytes(void) {
    const size_t bound = (size_t)64 << 20;
    struct service service;
    struct ael_buf json = AEL_BUF_INIT;
    int ids = soak_count(3000, 1000000);
    open_service(&service);
    for (int i = 0; i < ids; i++) {
        encrypt_for(&service, i, &json);
        if (i % 1000 == 999) {
            struct ael_session_factory_stats stats = stats_of(&service);
            CU_ASSERT_TRUE(stats.session_bytes + stats.intermediate_key_bytes + stats.system_key_bytes <= bound);
            CU_ASSERT_TRUE(stats.session_bytes > stats.sessions_cached * 150);
            CU_ASSERT_TRUE(stats.intermediate_key_bytes > stats.intermediate_keys_cached * 300);
        }
    }
    struct ael_session_factory_stats stats = stats_of(&service);
    CU_ASSERT_EQUAL(stats.sessions_cached + stats.session_evictions, (uint64_t)ids);
    CU_ASSERT_EQUAL(stats.intermediate_keys_cached + stats.intermediate_key_evictions, (uint64_t)ids);
    CU_ASSERT_EQUAL(stats.session_evictions > 0, ids > 100000);
    ael_buf_clear(&json);
    ael_session_factory_free(service.factory);
    ael_metastore_release(service.metastore);
    ael_kms_release(service.kms);
}

/* ---- what a warm partition takes ---- */

enum { WARM = 4096, WARM_BYTES = 400 };

static void open_factory(struct service *service, bool caches) {
    struct ael_session_factory_options options = AEL_SESSION_FACTORY_OPTIONS_INIT;
    struct ael_policy policy = AEL_POLICY_INIT;
    policy.cache_intermediate_keys = caches;
    policy.cache_sessions = caches;
    policy.intermediate_key_cache_eviction = AEL_EVICTION_SIMPLE;
    policy.session_cache_eviction = AEL_EVICTION_SIMPLE;
    options.service = "service";
    options.product = "product";
    options.kms = service->kms;
    options.metastore = service->metastore;
    options.policy = &policy;
    CU_ASSERT_EQUAL_FATAL(ael_session_factory_new(&options, &service->factory, NULL), AEL_OK);
}

static void encrypt_for_all(struct service *service) {
    struct ael_buf json = AEL_BUF_INIT;
    for (int i = 0; i < WARM; i++) {
        encrypt_for(service, i, &json);
    }
    ael_buf_clear(&json);
}

/* As the allocator counts; 0 where there is another one, which tells nothing. */
static size_t allocated(void) {
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

/* The rows are made first, by a factory without caches: they are the metastore's. */
static void test_warm_partition__takes_400_bytes_and_not_more_than_is_counted(void) {
    struct service service;
    struct ael_buf json = AEL_BUF_INIT;
    open_service(&service);
    ael_session_factory_free(service.factory);
    open_factory(&service, false);
    encrypt_for_all(&service);
    ael_session_factory_free(service.factory);
    open_factory(&service, true);
    encrypt_for(&service, 0, &json); /* what there is one of */
    ael_buf_clear(&json);
    size_t before = allocated();
    encrypt_for_all(&service);
    size_t taken = allocated() - before;
    struct ael_session_factory_stats stats = stats_of(&service);
    CU_ASSERT_EQUAL(stats.sessions_cached, WARM);
    CU_ASSERT_EQUAL(stats.intermediate_keys_cached, WARM);
    CU_ASSERT_TRUE(taken <= (size_t)WARM_BYTES * WARM);
    CU_ASSERT_TRUE(taken <= stats.session_bytes + stats.intermediate_key_bytes);
    ael_session_factory_free(service.factory);
    ael_metastore_release(service.metastore);
    ael_kms_release(service.kms);
    printf(" %.1f bytes ", (double)taken / WARM);
}

static const struct test_case k_cases[] = {
    {"a warm partition", test_warm_partition__takes_400_bytes_and_not_more_than_is_counted},
    {"no capacity is exceeded", test_capacity__is_never_exceeded},
    {"simple keeps all", test_simple__keeps_all},
    {"a loan outlives the entry", test_loan__outlives_the_entry},
    {"a service with the default policy", test_service__stays_within_its_default_bytes},
    {"a flood of ids", test_flood__stays_within_its_bytes_and_leaves_the_hot_set},
};

TEST_SUITE_MAIN("cache_flood", k_cases)
