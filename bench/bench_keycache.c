/*
 * bench_keycache - the cache of system and intermediate keys alone, with the cases that Go's key cache is
 * measured by.
 *
 * Each sample starts with a cache of its own: so many keys loaded beforehand, just now or 100 minutes ago
 * (past the check interval of 60). Loads hand out a holder of one key made beforehand, so that the cache is
 * measured and not the sealing. Afterwards the number of loads and of entries is checked. See
 * docs/benchmarks.md.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "appencryption/cache/key_cache.h"
#include "base/check.h"
#include "base/clock.h"
#include "bench/bench.h"

#include <stdio.h>
#include <string.h>

enum { UNIQUE_KEYS = 1000, ID_BYTES = 16, AGE_S = 6000, CREATED_AGO_S = 86400, NO_LIMIT = -1 };

static const char k_engine[] = "none"; /* no cryptography runs here */

struct fixture;

/* One case. */
struct scenario {
    const char *name;
    size_t preset;      /* keys in the cache before the sample */
    bool aged;          /* loaded AGE_S ago */
    bool latest;        /* loaded, and asked for, as the latest of their ids */
    bool revoked;       /* a load finds the key revoked */
    bool writes_unique; /* each operation adds an id */
    int64_t loads_max;  /* during the sample */
    enum ael_status (*run)(void *fixture, unsigned thread, uint64_t operations);
};

struct fixture {
    const struct scenario *scenario;
    const struct ael_rules *rules;
    struct ael_key_cache *cache;
    struct ael_cache_counters counters;
    struct ael_crypto_key *known, *found; /* what the cache starts with; what loads find */
    int64_t created_s;
    struct ael_key_source source;
    struct ael_call call;
    atomic_int_least64_t loads;
    uint64_t unique; /* ids that the sample will have added */
};

/* ---- the source ---- */

static enum ael_status
hold(struct ael_crypto_key *key, const struct ael_key_load *load, struct ael_cached_key **cached) {
    return ael_cached_key_new(ael_crypto_key_acquire(key), NULL, load->started_ns, cached);
}

/* Loads before the sample. */
static enum ael_status load_known(
    void *fixture_,
    const struct ael_key_load *load,
    struct ael_cached_key **key,
    bool *metastore_unreachable,
    struct ael_error *err) {
    const struct fixture *fixture = fixture_;
    (void)metastore_unreachable;
    (void)err;
    return hold(fixture->known, load, key);
}

/* Loads during the sample. */
static enum ael_status load_found(
    void *fixture_,
    const struct ael_key_load *load,
    struct ael_cached_key **key,
    bool *metastore_unreachable,
    struct ael_error *err) {
    struct fixture *fixture = fixture_;
    (void)metastore_unreachable;
    (void)err;
    atomic_fetch_add_explicit(&fixture->loads, 1, memory_order_relaxed); /* a count only */
    return hold(fixture->found, load, key);
}

/* ---- operations ---- */

/* A number in hexadecimal digits: cheap, so that ids cost little beside what is measured. */
static struct ael_bytes make_id(uint64_t number, uint8_t id[static ID_BYTES]) {
    for (int i = ID_BYTES - 1; i >= 0; i--, number >>= 4) {
        id[i] = (uint8_t) "0123456789abcdef"[number & 15];
    }
    return (struct ael_bytes){id, ID_BYTES};
}

static enum ael_status get(struct fixture *fixture, struct ael_bytes id) {
    struct ael_key_loan loan;
    AEL_TRY(ael_key_cache_lend(
        fixture->cache, &fixture->source, id, fixture->created_s, &fixture->call, &loan, NULL));
    bench_keep(loan.key);
    ael_key_loan_end(&loan);
    return AEL_OK;
}

static enum ael_status get_latest(struct fixture *fixture, struct ael_bytes id) {
    struct ael_key_loan loan;
    AEL_TRY(
        ael_key_cache_lend_latest(fixture->cache, &fixture->source, id, &fixture->call, &loan, NULL));
    bench_keep(loan.key);
    ael_key_loan_end(&loan);
    return AEL_OK;
}

/* read_existing, read_revoked, need_reload: one key again and again. */
static enum ael_status run_get(void *fixture, unsigned thread, uint64_t operations) {
    uint8_t memory[ID_BYTES];
    struct ael_bytes id = make_id(0, memory);
    (void)thread;
    for (uint64_t i = 0; i < operations; i++) {
        AEL_TRY(get(fixture, id));
    }
    return AEL_OK;
}

static enum ael_status run_get_latest(void *fixture, unsigned thread, uint64_t operations) {
    uint8_t memory[ID_BYTES];
    struct ael_bytes id = make_id(0, memory);
    (void)thread;
    for (uint64_t i = 0; i < operations; i++) {
        AEL_TRY(get_latest(fixture, id));
    }
    return AEL_OK;
}

/* Both questions about one key that only the first of each loads. */
static enum ael_status run_write_same(void *fixture, unsigned thread, uint64_t operations) {
    uint8_t memory[ID_BYTES];
    struct ael_bytes id = make_id(0, memory);
    (void)thread;
    for (uint64_t i = 0; i < operations; i++) {
        AEL_TRY(get(fixture, id));
        AEL_TRY(get_latest(fixture, id));
    }
    return AEL_OK;
}

/* Both questions about a new id each time. */
static enum ael_status run_write_unique(void *fixture, unsigned thread, uint64_t operations) {
    uint8_t memory[ID_BYTES];
    for (uint64_t i = 0; i < operations; i++) {
        struct ael_bytes id = make_id((uint64_t)thread << 48 | i, memory);
        AEL_TRY(get(fixture, id));
        AEL_TRY(get_latest(fixture, id));
    }
    return AEL_OK;
}

static enum ael_status run_get_unique(void *fixture, unsigned thread, uint64_t operations) {
    uint8_t memory[ID_BYTES];
    uint64_t start = (uint64_t)thread * UNIQUE_KEYS / BENCH_THREADS_MAX;
    for (uint64_t i = 0; i < operations; i++) {
        AEL_TRY(get(fixture, make_id((start + i) % UNIQUE_KEYS, memory)));
    }
    return AEL_OK;
}

static enum ael_status run_get_latest_unique(void *fixture, unsigned thread, uint64_t operations) {
    uint8_t memory[ID_BYTES];
    uint64_t start = (uint64_t)thread * UNIQUE_KEYS / BENCH_THREADS_MAX;
    for (uint64_t i = 0; i < operations; i++) {
        AEL_TRY(get_latest(fixture, make_id((start + i) % UNIQUE_KEYS, memory)));
    }
    return AEL_OK;
}

/* ---- fixtures ---- */

static const struct scenario k_scenarios[] = {
    {.name = "keycache/read_existing", .preset = 1, .run = run_get},
    {.name = "keycache/write_same", .loads_max = 2, .run = run_write_same},
    {.name = "keycache/write_unique", .writes_unique = true, .loads_max = NO_LIMIT, .run = run_write_unique},
    {.name = "keycache/read_revoked",
     .preset = 1,
     .aged = true,
     .revoked = true,
     .loads_max = 1,
     .run = run_get},
    {.name = "keycache/need_reload", .preset = 1, .aged = true, .loads_max = 1, .run = run_get},
    {.name = "keycache/read_unique", .preset = UNIQUE_KEYS, .run = run_get_unique},
    {.name = "keycache/latest_existing", .preset = 1, .latest = true, .run = run_get_latest},
    {.name = "keycache/latest_unique", .preset = UNIQUE_KEYS, .latest = true, .run = run_get_latest_unique},
};

enum { SCENARIOS = sizeof k_scenarios / sizeof k_scenarios[0] };

static enum ael_status make_key(int64_t created_s, bool revoked, struct ael_crypto_key **key) {
    struct ael_scratch scratch;
    AEL_TRY(ael_scratch_begin(&scratch, NULL));
    enum ael_status status = ael_crypto_key_new(
        AEL_KEY_KIND_INTERMEDIATE, ael_bytes_from_text("bench"), created_s, revoked, scratch.bytes, key);
    enum ael_status ended = ael_scratch_end(&scratch);
    return status == AEL_OK ? ended : status;
}

static void clear_fixture(struct fixture *fixture) {
    ael_key_cache_free(fixture->cache);
    ael_crypto_key_release(fixture->known);
    ael_crypto_key_release(fixture->found);
    fixture->cache = NULL;
    fixture->known = fixture->found = NULL;
}

/* What the sample before should have left: not more loads than its case allows, an entry for each new id. */
static enum ael_status check(struct fixture *fixture) {
    const struct scenario *scenario = fixture->scenario;
    int64_t loads = atomic_load(&fixture->loads);
    uint64_t kept = atomic_load(&fixture->counters.cached) + atomic_load(&fixture->counters.evictions);
    bool ok = scenario->loads_max == NO_LIMIT || loads <= scenario->loads_max;
    ok = ok && (!scenario->writes_unique || kept == fixture->unique);
    ok = ok && (!scenario->aged || loads == 1);
    ok = ok && (!scenario->revoked || ael_crypto_key_is_revoked(fixture->known));
    if (!ok) {
        (void)fprintf(
            stderr, "bench: %s: %lld loads, %llu entries\n", scenario->name, (long long)loads,
            (unsigned long long)kept);
    }
    return ok ? AEL_OK : AEL_E_STATE;
}

static enum ael_status preload(struct fixture *fixture) {
    uint8_t memory[ID_BYTES];
    fixture->source = (struct ael_key_source){load_known, fixture};
    for (size_t i = 0; i < fixture->scenario->preset; i++) {
        struct ael_bytes id = make_id(i, memory);
        AEL_TRY(fixture->scenario->latest ? get_latest(fixture, id) : get(fixture, id));
    }
    return AEL_OK;
}

/* Loads the preset keys, where the case says so at a clock that is behind. */
static enum ael_status preload_at_its_time(struct fixture *fixture) {
    if (fixture->scenario->aged) {
        ael_clock_set_for_test(ael_clock_wall_s() - AGE_S, ael_clock_boot_ns() - (int64_t)AGE_S * 1000000000);
    }
    fixture->call.deadline_ns = ael_deadline_in_ms(60000);
    enum ael_status status = preload(fixture);
    ael_clock_reset_for_test();
    return status;
}

static enum ael_status prepare(void *fixture_, unsigned threads, uint64_t operations) {
    struct fixture *fixture = fixture_;
    if (fixture->cache != NULL) {
        AEL_TRY(check(fixture));
        clear_fixture(fixture);
    }
    memset(&fixture->counters, 0, sizeof fixture->counters);
    fixture->unique = threads * operations;
    fixture->created_s = ael_clock_wall_s() - CREATED_AGO_S;
    AEL_TRY(make_key(fixture->created_s, false, &fixture->known));
    AEL_TRY(make_key(fixture->created_s, fixture->scenario->revoked, &fixture->found));
    AEL_TRY(ael_key_cache_new(
        fixture->rules, &fixture->rules->intermediate_keys, true, &fixture->counters, &fixture->cache));
    AEL_TRY(preload_at_its_time(fixture));
    fixture->source = (struct ael_key_source){load_found, fixture};
    fixture->call.deadline_ns = ael_deadline_in_ms(60000);
    atomic_store(&fixture->loads, 0);
    return AEL_OK;
}

/* ---- the group ---- */

static void add_cases(struct bench *bench, struct fixture *fixtures, const struct ael_rules *rules) {
    static const unsigned k_threads[] = {1, 2, 16};
    for (size_t i = 0; i < SCENARIOS; i++) {
        fixtures[i].scenario = &k_scenarios[i];
        fixtures[i].rules = rules;
        fixtures[i].call.size = sizeof fixtures[i].call;
        for (size_t t = 0; t < sizeof k_threads / sizeof k_threads[0]; t++) {
            (void)bench_add(
                bench, k_scenarios[i].name, k_engine, k_threads[t],
                (struct bench_work){k_scenarios[i].run, prepare, &fixtures[i]}, -1, -1);
        }
    }
}

/* The last sample of each case is checked too. */
static int finish(struct fixture *fixtures, int result) {
    for (size_t i = 0; i < SCENARIOS; i++) {
        if (fixtures[i].cache != NULL && result == 0 && check(&fixtures[i]) != AEL_OK) {
            result = 1;
        }
        clear_fixture(&fixtures[i]);
    }
    return result;
}

int main(int argc, char **argv) {
    static struct bench bench;
    static struct fixture fixtures[SCENARIOS];
    struct ael_rules rules;

    int result = bench_init(&bench, argc, argv);
    if (result != 0 || bench.help) {
        return result;
    }
    enum ael_status status = ael_rules_from_policy(NULL, &rules, NULL);
    if (status != AEL_OK) {
        return bench_fail("set-up", status);
    }
    add_cases(&bench, fixtures, &rules);
    return finish(fixtures, bench_run(&bench));
}
