/* SPDX-License-Identifier: Apache-2.0 */
/* The key cache over a source that each test scripts. */
#include "appencryption/cache/key_cache.h"
#include "appencryption/cache/negative_cache.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "tests/support/gate.h"
#include "tests/support/suite.h"

#include <ael/sys/error.h>
#include <string.h>

static const int64_t k_s = 1000000000;
enum { NOW_S = 1800000000, INTERVAL_S = 1000, EXPIRE_S = 100000 };

/* What the next loads give. */
struct script {
    enum ael_status status;
    bool metastore_unreachable;
    int64_t created_s; /* of the latest key; dated loads give what was asked for */
    bool revoked;
    struct ael_cached_key *parent;
    int loads;
    int takes_s; /* how long a load takes, by the clock */
    struct ael_key_load last;
    struct gate gate;
};

struct setting {
    struct ael_rules rules;
    struct ael_cache_counters counters;
    struct ael_key_cache *cache;
    struct script script;
    struct ael_key_source source;
    struct ael_call call;
};

static struct ael_cached_key *key_with(
    int64_t created_s, bool revoked, struct ael_cached_key *parent, int64_t checked_ns) {
    static const uint8_t bytes[AEL_KEY_BYTES] = {1};
    struct ael_crypto_key *key = NULL;
    struct ael_cached_key *cached = NULL;
    CU_ASSERT_EQUAL_FATAL(
        ael_crypto_key_new(
            AEL_KEY_KIND_SYSTEM, ael_bytes_from_text("id"), created_s, revoked, bytes, &key),
        AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_cached_key_new(key, parent, checked_ns, &cached), AEL_OK);
    return cached;
}

static struct ael_cached_key *
key_of(int64_t created_s, bool revoked, struct ael_cached_key *parent, int64_t checked_ns) {
    return key_with(created_s, revoked, parent, checked_ns);
}

static enum ael_status load(
    void *context, const struct ael_key_load *load, struct ael_cached_key **key, bool *metastore_unreachable,
    struct ael_error *err) {
    struct script *script = context;
    __atomic_add_fetch(&script->loads, 1, __ATOMIC_SEQ_CST);
    script->last = *load;
    gate_pass(&script->gate);
    ael_clock_advance_for_test(script->takes_s);
    *metastore_unreachable = script->metastore_unreachable;
    if (script->status != AEL_OK) {
        return ael_error_set(err, script->status, 0, "script", "scripted");
    }
    *key = key_with(
        load->latest ? script->created_s : load->created_s, script->revoked, script->parent,
        load->started_ns);
    return AEL_OK;
}

static void begin_with(struct setting *set, int64_t interval_s, size_t capacity, bool enabled) {
    struct ael_cache_bound bound = {AEL_EVICTION_LRU, capacity, false};
    ael_clock_set_for_test(NOW_S, 50 * k_s);
    memset(set, 0, sizeof *set);
    set->rules = (struct ael_rules){.expire_s = EXPIRE_S, .precision_s = 60};
    set->rules.interval_ns = interval_s * k_s;
    set->rules.max_stale_ns = 2 * interval_s * k_s;
    set->counters.hit_name = set->counters.miss_name = set->counters.stale_name = set->counters.evict_name = "test";
    set->script.gate = (struct gate)GATE_INIT;
    set->script.created_s = NOW_S;
    set->source = (struct ael_key_source){load, &set->script};
    set->call = (struct ael_call)AEL_CALL_INIT;
    set->call.deadline_ns = INT64_MAX;
    CU_ASSERT_EQUAL_FATAL(
        ael_key_cache_new(&set->rules, &bound, enabled, &set->counters, &set->cache), AEL_OK);
}

static void begin(struct setting *set) {
    begin_with(set, INTERVAL_S, 100, true);
}

static void end(struct setting *set) {
    ael_key_cache_free(set->cache);
    CU_ASSERT_EQUAL(set->counters.cached, 0);
    ael_key_cache_free(NULL);
    ael_clock_reset_for_test();
}

static enum ael_status get_latest(struct setting *set, struct ael_cached_key **key, struct ael_error *err) {
    return ael_key_cache_get_or_load_latest(
        set->cache, &set->source, ael_bytes_from_text("id"), &set->call, key, err);
}

static enum ael_status get_id(struct setting *set, const char *id, int64_t created_s, struct ael_cached_key **key) {
    return ael_key_cache_get_or_load(
        set->cache, &set->source, ael_bytes_from_text(id), created_s, &set->call, key, NULL);
}

/* Gets the latest key; the created of it, or -1 and the status in *status. */
static int64_t latest(struct setting *set, enum ael_status expected) {
    struct ael_cached_key *key = NULL;
    struct ael_error err = {0};
    CU_ASSERT_EQUAL(get_latest(set, &key, &err), expected);
    if (expected != AEL_OK) {
        CU_ASSERT_EQUAL(err.status, expected);
        CU_ASSERT_PTR_NULL(key);
    }
    if (key == NULL) {
        return -1;
    }
    int64_t created_s = ael_crypto_key_created_s(key->key);
    ael_cached_key_release(key);
    return created_s;
}

static void dated(struct setting *set, int64_t created_s, enum ael_status expected) {
    struct ael_cached_key *key = NULL;
    CU_ASSERT_EQUAL(get_id(set, "id", created_s, &key), expected);
    CU_ASSERT_EQUAL(key != NULL, expected == AEL_OK);
    ael_cached_key_release(key);
}

static void test_get__loads_once_and_then_hits(void) {
    struct setting set;
    begin(&set);
    CU_ASSERT_EQUAL(latest(&set, AEL_OK), NOW_S);
    CU_ASSERT_EQUAL(latest(&set, AEL_OK), NOW_S);
    dated(&set, NOW_S, AEL_OK);
    CU_ASSERT_EQUAL(set.script.loads, 1);
    CU_ASSERT_EQUAL(set.counters.misses, 1);
    CU_ASSERT_EQUAL(ael_cache_counters_hits(&set.counters), 2);
    CU_ASSERT_EQUAL(set.counters.cached, 1);
    dated(&set, NOW_S - 60, AEL_OK);
    CU_ASSERT_EQUAL(set.script.loads, 2);
    CU_ASSERT_EQUAL(latest(&set, AEL_OK), NOW_S);
    CU_ASSERT_EQUAL(set.script.loads, 2);
    end(&set);
}

static void test_get__keeps_ids_apart(void) {
    struct setting set;
    struct ael_cached_key *a = NULL;
    struct ael_cached_key *b = NULL;
    begin(&set);
    CU_ASSERT_EQUAL(get_id(&set, "a", 5, &a), AEL_OK);
    CU_ASSERT_EQUAL(get_id(&set, "b", 5, &b), AEL_OK);
    CU_ASSERT_PTR_NOT_EQUAL(a, b);
    CU_ASSERT_EQUAL(set.script.loads, 2);
    ael_cached_key_release(a);
    ael_cached_key_release(b);
    end(&set);
}

static void test_get__refreshes_from_four_fifths_of_the_interval(void) {
    struct setting set;
    begin(&set);
    (void)latest(&set, AEL_OK);
    ael_clock_advance_for_test(799);
    (void)latest(&set, AEL_OK);
    CU_ASSERT_EQUAL(set.script.loads, 1);
    ael_clock_advance_for_test(1);
    (void)latest(&set, AEL_OK);
    CU_ASSERT_EQUAL(set.script.loads, 2);
    CU_ASSERT_TRUE(set.script.last.recheck);
    CU_ASSERT_EQUAL(set.counters.stale, 1);
    ael_clock_advance_for_test(799);
    (void)latest(&set, AEL_OK);
    CU_ASSERT_EQUAL(set.script.loads, 2);
    end(&set);
}

static void test_get__survives_a_failed_refresh_within_the_interval(void) {
    struct setting set;
    begin(&set);
    (void)latest(&set, AEL_OK);
    ael_clock_advance_for_test(800);
    set.script.status = AEL_E_BACKEND;
    CU_ASSERT_EQUAL(latest(&set, AEL_OK), NOW_S);
    CU_ASSERT_EQUAL(set.script.loads, 2);
    CU_ASSERT_EQUAL(latest(&set, AEL_OK), NOW_S);
    CU_ASSERT_EQUAL(set.script.loads, 2);
    ael_clock_advance_for_test(INTERVAL_S / 20);
    CU_ASSERT_EQUAL(latest(&set, AEL_OK), NOW_S);
    CU_ASSERT_EQUAL(set.script.loads, 3);
    ael_clock_advance_for_test(INTERVAL_S / 20);
    set.script.status = AEL_E_KEY_NOT_FOUND;
    (void)latest(&set, AEL_E_KEY_NOT_FOUND);
    end(&set);
}

static void test_get__pauses_after_a_failed_refresh_from_its_end(void) {
    struct setting set;
    begin(&set);
    (void)latest(&set, AEL_OK);
    ael_clock_advance_for_test(800);
    set.script.status = AEL_E_BACKEND;
    set.script.takes_s = INTERVAL_S / 10;
    (void)latest(&set, AEL_OK);
    CU_ASSERT_EQUAL(set.script.loads, 2);
    (void)latest(&set, AEL_OK);
    CU_ASSERT_EQUAL(set.script.loads, 2);
    end(&set);
}

static void test_get__must_load_past_the_interval(void) {
    const enum ael_status failures[] = {AEL_E_KEY_NOT_FOUND, AEL_E_BACKEND, AEL_E_KMS, AEL_E_TIMEOUT, AEL_E_BACKEND_DATA,
                                        AEL_E_UNREACHABLE};
    struct setting set;
    begin(&set);
    (void)latest(&set, AEL_OK);
    ael_clock_advance_for_test(INTERVAL_S);
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
        set.script.status = failures[i]; /* AEL_E_UNREACHABLE: of the KMS */
        (void)latest(&set, failures[i]);
        dated(&set, NOW_S, failures[i]);
        ael_clock_advance_for_test(2);
    }
    set.script.status = AEL_OK;
    CU_ASSERT_EQUAL(latest(&set, AEL_OK), NOW_S);
    dated(&set, NOW_S, AEL_OK);
    end(&set);
}

static void test_get__serves_until_max_stale_without_a_metastore(void) {
    struct setting set;
    begin(&set);
    (void)latest(&set, AEL_OK);
    set.script.status = AEL_E_UNREACHABLE;
    set.script.metastore_unreachable = true;
    ael_clock_advance_for_test(INTERVAL_S);
    CU_ASSERT_EQUAL(latest(&set, AEL_OK), NOW_S);
    dated(&set, NOW_S, AEL_OK);
    CU_ASSERT_EQUAL(set.script.loads, 3);
    ael_clock_advance_for_test(INTERVAL_S - 1);
    CU_ASSERT_EQUAL(latest(&set, AEL_OK), NOW_S);
    ael_clock_advance_for_test(1);
    (void)latest(&set, AEL_E_KEY_STALE);
    dated(&set, NOW_S, AEL_E_KEY_STALE);
    set.script.status = AEL_OK;
    CU_ASSERT_EQUAL(latest(&set, AEL_OK), NOW_S);
    set.script.status = AEL_E_UNREACHABLE;
    dated(&set, NOW_S - 600, AEL_E_UNREACHABLE);
    end(&set);
}

static void test_get__never_serves_a_bad_latest_without_a_metastore(void) {
    struct setting set;
    begin(&set);
    set.script.created_s = NOW_S - EXPIRE_S + 10;
    (void)latest(&set, AEL_OK);
    ael_clock_advance_for_test(10);
    set.script.status = AEL_E_UNREACHABLE;
    set.script.metastore_unreachable = true;
    (void)latest(&set, AEL_E_UNREACHABLE);
    end(&set);
}

static void test_get__loads_each_time_with_an_interval_of_none(void) {
    struct setting set;
    begin_with(&set, 0, 100, true);
    for (int i = 1; i <= 3; i++) {
        (void)latest(&set, AEL_OK);
        CU_ASSERT_EQUAL(set.script.loads, i);
    }
    set.script.status = AEL_E_UNREACHABLE;
    set.script.metastore_unreachable = true;
    (void)latest(&set, AEL_E_KEY_STALE);
    end(&set);
}

static void test_get_latest__adopts_another_key(void) {
    struct setting set;
    begin(&set);
    (void)latest(&set, AEL_OK);
    ael_clock_advance_for_test(INTERVAL_S);
    set.script.created_s = NOW_S + 60;
    CU_ASSERT_EQUAL(latest(&set, AEL_OK), NOW_S + 60);
    CU_ASSERT_EQUAL(latest(&set, AEL_OK), NOW_S + 60);
    CU_ASSERT_EQUAL(set.script.loads, 2);
    dated(&set, NOW_S, AEL_OK);
    CU_ASSERT_EQUAL(set.script.loads, 3);
    CU_ASSERT_EQUAL(latest(&set, AEL_OK), NOW_S + 60);
    end(&set);
}

static void test_get_latest__adopts_an_older_key_too(void) {
    struct setting set;
    begin(&set);
    (void)latest(&set, AEL_OK);
    ael_clock_advance_for_test(INTERVAL_S);
    set.script.created_s = NOW_S - 60;
    CU_ASSERT_EQUAL(latest(&set, AEL_OK), NOW_S - 60);
    CU_ASSERT_EQUAL(latest(&set, AEL_OK), NOW_S - 60);
    CU_ASSERT_EQUAL(set.script.loads, 2);
    end(&set);
}

/*
 * A dated key may be a replica's word, and that of a record: whether it may encrypt, only a load of the
 * latest tells.
 */
static void test_get__makes_no_dated_key_the_latest(void) {
    struct setting set;
    begin(&set);
    dated(&set, NOW_S + 60, AEL_OK);
    CU_ASSERT_EQUAL(latest(&set, AEL_OK), NOW_S);
    dated(&set, NOW_S + 120, AEL_OK);
    CU_ASSERT_FALSE(set.script.last.recheck);
    CU_ASSERT_EQUAL(latest(&set, AEL_OK), NOW_S);
    dated(&set, NOW_S - 120, AEL_OK);
    CU_ASSERT_EQUAL(latest(&set, AEL_OK), NOW_S);
    CU_ASSERT_EQUAL(set.script.loads, 4);
    end(&set);
}

static void test_get__loads_a_broken_key_again(void) {
    struct setting set;
    struct ael_cached_key *broken = NULL;
    struct ael_cached_key *healed = NULL;
    begin(&set);
    CU_ASSERT_EQUAL(get_latest(&set, &broken, NULL), AEL_OK);
    ael_cached_key_note_use(broken, AEL_E_CRYPTO);
    ael_cached_key_note_use(broken, AEL_OK);
    CU_ASSERT_FALSE(ael_cached_key_is_broken(broken));
    ael_cached_key_note_use(broken, AEL_E_CORRUPTED);
    CU_ASSERT_TRUE(ael_cached_key_is_broken(broken));
    set.script.status = AEL_E_UNREACHABLE;
    set.script.metastore_unreachable = true;
    (void)latest(&set, AEL_E_UNREACHABLE);
    dated(&set, NOW_S, AEL_E_UNREACHABLE);
    set.script.status = AEL_OK;
    CU_ASSERT_EQUAL(get_id(&set, "id", NOW_S, &healed), AEL_OK);
    CU_ASSERT_TRUE(set.script.last.recheck);
    CU_ASSERT_PTR_EQUAL(set.script.last.known, broken);
    CU_ASSERT_PTR_NOT_EQUAL(healed, broken);
    CU_ASSERT_PTR_NOT_EQUAL(healed->key, broken->key);
    int loads = set.script.loads;
    CU_ASSERT_EQUAL(latest(&set, AEL_OK), NOW_S);
    CU_ASSERT_EQUAL(set.script.loads, loads);
    ael_cached_key_release(broken);
    ael_cached_key_release(healed);
    end(&set);
}

static void test_get__loads_a_child_of_a_broken_parent_again(void) {
    struct setting set;
    begin(&set);
    struct ael_cached_key *broken = key_of(NOW_S, false, NULL, 50 * k_s);
    struct ael_cached_key *parent = key_of(NOW_S, false, NULL, 50 * k_s);
    set.script.parent = broken;
    (void)latest(&set, AEL_OK);
    ael_cached_key_note_use(broken, AEL_E_CORRUPTED);
    set.script.parent = parent;
    struct ael_cached_key *key = NULL;
    CU_ASSERT_EQUAL(get_latest(&set, &key, NULL), AEL_OK);
    CU_ASSERT_PTR_EQUAL(key->parent, parent);
    CU_ASSERT_EQUAL(set.script.loads, 2);
    dated(&set, NOW_S, AEL_OK);
    CU_ASSERT_EQUAL(set.script.loads, 2);
    ael_cached_key_release(key);
    ael_cached_key_release(broken);
    ael_cached_key_release(parent);
    end(&set);
}

static void test_get_latest__loads_when_the_key_is_revoked_or_expired(void) {
    struct setting set;
    begin(&set);
    (void)latest(&set, AEL_OK);
    ael_clock_advance_for_test(INTERVAL_S);
    set.script.revoked = true;
    dated(&set, NOW_S, AEL_OK); /* learns of the revocation, in place */
    set.script.revoked = false;
    set.script.created_s = NOW_S + 1;
    CU_ASSERT_EQUAL(latest(&set, AEL_OK), NOW_S + 1);
    CU_ASSERT_EQUAL(set.script.loads, 3);
    CU_ASSERT_EQUAL(set.counters.stale, 2);
    end(&set);
}

static void test_get__marks_a_key_revoked_for_those_who_hold_it(void) {
    struct setting set;
    struct ael_cached_key *held = NULL;
    begin(&set);
    CU_ASSERT_EQUAL(get_id(&set, "id", NOW_S, &held), AEL_OK);
    ael_clock_advance_for_test(INTERVAL_S);
    set.script.revoked = true;
    dated(&set, NOW_S, AEL_OK);
    CU_ASSERT_TRUE(ael_crypto_key_is_revoked(held->key));
    CU_ASSERT_EQUAL(ael_cached_key_checked_ns(held), (50 + INTERVAL_S) * k_s);
    ael_clock_advance_for_test(INTERVAL_S);
    set.script.revoked = false; /* somebody took the revocation back */
    struct ael_cached_key *now = NULL;
    CU_ASSERT_EQUAL(get_id(&set, "id", NOW_S, &now), AEL_OK);
    CU_ASSERT_FALSE(ael_crypto_key_is_revoked(now->key));
    ael_cached_key_release(now);
    CU_ASSERT_EQUAL(get_id(&set, "id", NOW_S, &now), AEL_OK);
    CU_ASSERT_FALSE(ael_crypto_key_is_revoked(now->key));
    ael_cached_key_release(now);
    ael_cached_key_release(held);
    end(&set);
}

static void test_get__holds_a_child_as_fresh_as_its_parent(void) {
    struct setting set;
    begin(&set);
    struct ael_cached_key *parent = key_of(NOW_S, false, NULL, (50 - INTERVAL_S + 100) * k_s);
    set.script.parent = parent;
    (void)latest(&set, AEL_OK);
    (void)latest(&set, AEL_OK); /* due by its parent, which loading the child does not help: it can wait */
    CU_ASSERT_EQUAL(set.script.loads, 1);
    ael_clock_advance_for_test(100);
    (void)latest(&set, AEL_OK);
    CU_ASSERT_EQUAL(set.script.loads, 2);
    ael_cached_key_note_check(parent, (50 + 100) * k_s);
    ael_cached_key_note_check(parent, 0);
    (void)latest(&set, AEL_OK);
    CU_ASSERT_EQUAL(set.script.loads, 2);
    ael_crypto_key_mark_revoked(parent->key);
    struct ael_cached_key *next = key_of(NOW_S + 1, false, NULL, (50 + 100) * k_s);
    set.script.parent = next;
    struct ael_cached_key *key = NULL;
    CU_ASSERT_EQUAL(get_latest(&set, &key, NULL), AEL_OK);
    CU_ASSERT_PTR_EQUAL(key->parent, next);
    CU_ASSERT_EQUAL(set.script.loads, 3);
    (void)latest(&set, AEL_OK);
    CU_ASSERT_EQUAL(set.script.loads, 3);
    ael_cached_key_release(key);
    ael_cached_key_release(parent);
    ael_cached_key_release(next);
    end(&set);
}

static void test_get__evicts_a_key_in_use_safely(void) {
    struct setting set;
    struct ael_cached_key *held = NULL;
    struct ael_cached_key *other = NULL;
    uint8_t bytes[AEL_KEY_BYTES];
    begin_with(&set, INTERVAL_S, 1, true);
    CU_ASSERT_EQUAL(get_id(&set, "a", NOW_S, &held), AEL_OK);
    CU_ASSERT_EQUAL(get_id(&set, "b", NOW_S, &other), AEL_OK);
    CU_ASSERT_EQUAL(set.counters.evictions, 1);
    CU_ASSERT_EQUAL(set.counters.cached, 1);
    CU_ASSERT_EQUAL(ael_crypto_key_open(held->key, bytes), AEL_OK);
    CU_ASSERT_EQUAL(bytes[0], 1);
    ael_cached_key_release(held);
    CU_ASSERT_EQUAL(get_id(&set, "a", NOW_S, &held), AEL_OK);
    CU_ASSERT_EQUAL(set.script.loads, 3);
    ael_cached_key_release(held);
    ael_cached_key_release(other);
    end(&set);
}

static void test_get__is_bounded_by_bytes(void) {
    struct setting set;
    struct ael_cache_bound bound = {AEL_EVICTION_SLRU, 100000, true};
    begin(&set);
    ael_key_cache_free(set.cache);
    CU_ASSERT_EQUAL_FATAL(ael_key_cache_new(&set.rules, &bound, true, &set.counters, &set.cache), AEL_OK);
    for (int64_t i = 0; i < 1000; i++) {
        dated(&set, NOW_S - i, AEL_OK);
    }
    CU_ASSERT_TRUE(set.counters.cached > 100);
    CU_ASSERT_TRUE(set.counters.cached < 340);
    CU_ASSERT_TRUE(set.counters.bytes <= 100000);
    CU_ASSERT_EQUAL(set.counters.cached + set.counters.evictions, 1000);
    end(&set);
}

static void test_get__finds_the_latest_of_an_id_again_after_its_eviction(void) {
    struct setting set;
    begin_with(&set, INTERVAL_S, 2, true);
    (void)latest(&set, AEL_OK);
    dated(&set, NOW_S - 60, AEL_OK);
    dated(&set, NOW_S - 120, AEL_OK);
    CU_ASSERT_EQUAL(latest(&set, AEL_OK), NOW_S);
    CU_ASSERT_EQUAL(set.script.loads, 4);
    end(&set);
}

static void test_get__keeps_nothing_when_it_is_off(void) {
    struct setting set;
    begin_with(&set, INTERVAL_S, 100, false);
    (void)latest(&set, AEL_OK);
    (void)latest(&set, AEL_OK);
    CU_ASSERT_EQUAL(set.script.loads, 2);
    CU_ASSERT_EQUAL(set.counters.misses, 2);
    CU_ASSERT_EQUAL(set.counters.cached, 0);
    set.script.status = AEL_E_BACKEND;
    (void)latest(&set, AEL_E_BACKEND);
    end(&set);
}

static void test_negative__remembers_for_a_second(void) {
    struct setting set;
    begin(&set);
    set.script.status = AEL_E_KEY_NOT_FOUND;
    dated(&set, NOW_S - 120, AEL_E_KEY_NOT_FOUND);
    dated(&set, NOW_S - 120, AEL_E_KEY_NOT_FOUND);
    CU_ASSERT_EQUAL(set.script.loads, 1);
    dated(&set, NOW_S - 121, AEL_E_KEY_NOT_FOUND);
    CU_ASSERT_EQUAL(set.script.loads, 2);
    ael_clock_advance_for_test(1);
    set.script.status = AEL_OK;
    dated(&set, NOW_S - 120, AEL_OK);
    end(&set);
}

static void test_negative__never_for_recent_or_latest_keys_or_other_failures(void) {
    struct setting set;
    begin(&set);
    set.script.status = AEL_E_KEY_NOT_FOUND;
    for (int i = 1; i <= 3; i++) {
        dated(&set, NOW_S - 119, AEL_E_KEY_NOT_FOUND);
        CU_ASSERT_EQUAL(set.script.loads, i);
    }
    (void)latest(&set, AEL_E_KEY_NOT_FOUND);
    (void)latest(&set, AEL_E_KEY_NOT_FOUND);
    CU_ASSERT_EQUAL(set.script.loads, 5);
    set.script.status = AEL_E_BACKEND;
    dated(&set, NOW_S - 500, AEL_E_BACKEND);
    dated(&set, NOW_S - 500, AEL_E_BACKEND);
    CU_ASSERT_EQUAL(set.script.loads, 7);
    end(&set);
}

static void test_negative__is_bounded(void) {
    struct ael_negative_cache cache = {.places = AEL_NEGATIVE_CACHE_ENTRIES};
    struct ael_bytes id = ael_bytes_from_text("id");
    for (uint64_t i = 0; i < 4 * AEL_NEGATIVE_CACHE_ENTRIES; i++) {
        ael_negative_cache_add(&cache, i, id, (int64_t)i, 0);
    }
    size_t known = 0;
    for (uint64_t i = 0; i < 4 * AEL_NEGATIVE_CACHE_ENTRIES; i++) {
        known += ael_negative_cache_has(&cache, i, id, (int64_t)i, 0) ? 1 : 0;
    }
    CU_ASSERT_EQUAL(known, AEL_NEGATIVE_CACHE_ENTRIES);
    CU_ASSERT_FALSE(ael_negative_cache_has(&cache, 4095, ael_bytes_from_text("ie"), 4095, 0));
    CU_ASSERT_FALSE(ael_negative_cache_has(&cache, 4095, ael_bytes_from_text("i"), 4095, 0));
    CU_ASSERT_FALSE(ael_negative_cache_has(&cache, 4095, id, 4095, k_s));
    ael_negative_cache_clear(&cache);
    CU_ASSERT_FALSE(ael_negative_cache_has(&cache, 4095, id, 4095, 0));
}

struct caller {
    struct setting *set;
    pthread_t thread;
    struct ael_call call;
    enum ael_status status;
    int64_t created_s;
};

static void *call_latest(void *context) {
    struct caller *caller = context;
    struct ael_cached_key *key = NULL;
    caller->status = ael_key_cache_get_or_load_latest(
        caller->set->cache, &caller->set->source, ael_bytes_from_text("id"), &caller->call, &key, NULL);
    caller->created_s = key != NULL ? ael_crypto_key_created_s(key->key) : -1;
    ael_cached_key_release(key);
    return NULL;
}

static void start(struct caller *caller, struct setting *set) {
    *caller = (struct caller){.set = set, .call = caller->call};
    if (caller->call.size == 0) {
        caller->call = set->call;
    }
    CU_ASSERT_EQUAL_FATAL(pthread_create(&caller->thread, NULL, call_latest, caller), 0);
}

static void test_flight__loads_once_for_all_who_wait(void) {
    enum { CALLERS = 16 };
    struct setting set;
    struct caller callers[CALLERS] = {{0}};
    begin(&set);
    gate_shut(&set.script.gate);
    for (int i = 0; i < CALLERS; i++) {
        start(&callers[i], &set);
    }
    gate_wait_for(&set.script.gate, 1);
    gate_open(&set.script.gate);
    for (int i = 0; i < CALLERS; i++) {
        pthread_join(callers[i].thread, NULL);
        CU_ASSERT_EQUAL(callers[i].status, AEL_OK);
        CU_ASSERT_EQUAL(callers[i].created_s, NOW_S);
    }
    CU_ASSERT_EQUAL(set.script.loads, 1);
    end(&set);
}

static void test_flight__does_not_hold_up_other_keys(void) {
    struct setting set;
    struct caller leader = {0};
    struct script quick = {.gate = GATE_INIT};
    struct ael_key_source quick_source = {load, &quick};
    struct ael_cached_key *other = NULL;
    begin(&set);
    gate_shut(&set.script.gate);
    start(&leader, &set);
    gate_wait_for(&set.script.gate, 1);
    CU_ASSERT_EQUAL(
        ael_key_cache_get_or_load(
            set.cache, &quick_source, ael_bytes_from_text("other"), 7, &set.call, &other, NULL),
        AEL_OK);
    ael_cached_key_release(other);
    gate_open(&set.script.gate);
    pthread_join(leader.thread, NULL);
    CU_ASSERT_EQUAL(leader.status, AEL_OK);
    end(&set);
}

static void test_flight__lets_others_use_a_key_that_is_being_refreshed(void) {
    struct setting set;
    struct caller refresher = {0};
    begin(&set);
    (void)latest(&set, AEL_OK);
    ael_clock_advance_for_test(900);
    gate_shut(&set.script.gate);
    start(&refresher, &set);
    gate_wait_for(&set.script.gate, 1);
    CU_ASSERT_EQUAL(latest(&set, AEL_OK), NOW_S);
    CU_ASSERT_EQUAL(latest(&set, AEL_OK), NOW_S);
    CU_ASSERT_EQUAL(set.script.loads, 2);
    gate_open(&set.script.gate);
    pthread_join(refresher.thread, NULL);
    CU_ASSERT_EQUAL(refresher.status, AEL_OK);
    end(&set);
}

static void *call_dated(void *context) {
    struct caller *caller = context;
    struct ael_cached_key *key = NULL;
    caller->status = get_id(caller->set, "id", NOW_S, &key);
    ael_cached_key_release(key);
    return NULL;
}

/*
 * A load of a key that was not there asked a replica, and lands after the key was found revoked at the
 * primary.
 */
static void test_flight__of_a_replica_takes_no_revocation_back(void) {
    struct setting set;
    struct caller caller = {.set = &set};
    struct script quick = {.gate = GATE_INIT, .created_s = NOW_S};
    struct ael_key_source quick_source = {load, &quick};
    struct ael_cached_key *key = NULL;
    begin(&set);
    gate_shut(&set.script.gate);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&caller.thread, NULL, call_dated, &caller), 0);
    gate_wait_for(&set.script.gate, 1);
    CU_ASSERT_EQUAL(
        ael_key_cache_get_or_load_latest(
            set.cache, &quick_source, ael_bytes_from_text("id"), &set.call, &key, NULL),
        AEL_OK);
    ael_crypto_key_mark_revoked(key->key);
    ael_cached_key_release(key);
    gate_open(&set.script.gate);
    pthread_join(caller.thread, NULL);
    CU_ASSERT_EQUAL(caller.status, AEL_OK);
    set.script.created_s = NOW_S + 1;
    CU_ASSERT_EQUAL(latest(&set, AEL_OK), NOW_S + 1);
    end(&set);
}

/* A load of the latest that began before the check that found it revoked knows less than that. */
static void test_flight__of_before_a_check_takes_no_revocation_back(void) {
    struct setting set;
    struct caller early = {0};
    struct script quick = {.gate = GATE_INIT, .revoked = true};
    struct ael_key_source quick_source = {load, &quick};
    struct ael_cached_key *key = NULL;
    begin(&set);
    (void)latest(&set, AEL_OK);
    ael_clock_advance_for_test(INTERVAL_S);
    gate_shut(&set.script.gate);
    start(&early, &set);
    gate_wait_for(&set.script.gate, 1);
    ael_clock_advance_for_test(1);
    CU_ASSERT_EQUAL(
        ael_key_cache_get_or_load(
            set.cache, &quick_source, ael_bytes_from_text("id"), NOW_S, &set.call, &key, NULL),
        AEL_OK);
    CU_ASSERT_TRUE(ael_crypto_key_is_revoked(key->key));
    ael_cached_key_release(key);
    gate_open(&set.script.gate);
    pthread_join(early.thread, NULL);
    CU_ASSERT_EQUAL(early.status, AEL_OK);
    set.script.created_s = NOW_S + 1;
    CU_ASSERT_EQUAL(latest(&set, AEL_OK), NOW_S + 1);
    end(&set);
}

static void test_flight__ends_for_a_follower_at_its_own_deadline_or_token(void) {
    struct setting set;
    struct caller leader = {0};
    begin(&set);
    gate_shut(&set.script.gate);
    start(&leader, &set);
    gate_wait_for(&set.script.gate, 1);
    struct ael_cancel *cancel = NULL;
    CU_ASSERT_EQUAL(ael_cancel_new(&cancel), AEL_OK);
    struct caller cancelled = {.call = set.call};
    cancelled.call.cancel = cancel;
    start(&cancelled, &set);
    struct caller hasty = {.call = set.call};
    hasty.call.deadline_ns = 60 * k_s;
    start(&hasty, &set);
    ael_cancel_trigger(cancel);
    ael_clock_advance_for_test(20);
    pthread_join(cancelled.thread, NULL);
    pthread_join(hasty.thread, NULL);
    CU_ASSERT_EQUAL(cancelled.status, AEL_E_CANCELLED);
    CU_ASSERT_EQUAL(hasty.status, AEL_E_TIMEOUT);
    gate_open(&set.script.gate);
    pthread_join(leader.thread, NULL);
    CU_ASSERT_EQUAL(leader.status, AEL_OK);
    CU_ASSERT_EQUAL(set.script.loads, 1);
    ael_cancel_free(cancel);
    end(&set);
}

static void test_flight__hands_a_failure_to_those_who_wait(void) {
    struct setting set;
    struct caller callers[4] = {{0}};
    begin(&set);
    set.script.status = AEL_E_KMS;
    for (int i = 0; i < 4; i++) {
        start(&callers[i], &set);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(callers[i].thread, NULL);
        CU_ASSERT_EQUAL(callers[i].status, AEL_E_KMS);
        CU_ASSERT_EQUAL(callers[i].created_s, -1);
    }
    end(&set);
}

static int g_allocations_left;

static int fail_allocation(void *context) {
    (void)context;
    return g_allocations_left-- <= 0;
}

static void test_get__fails_or_goes_on_without_memory(void) {
    struct setting set;
    int worked = 0;
    for (int allowed = 0; worked < 3 && allowed < 40; allowed++) {
        begin(&set);
        g_allocations_left = allowed;
        /* The source's own allocations are not the cache's: they are done before. */
        struct ael_cached_key *key = NULL;
        ael_alloc_set_fault(fail_allocation, NULL);
        struct ael_cache_bound bound = {AEL_EVICTION_LRU, 10, false};
        struct ael_key_cache *cache = NULL;
        enum ael_status status = ael_key_cache_new(&set.rules, &bound, true, &set.counters, &cache);
        set.script.status = AEL_E_BACKEND;
        if (status == AEL_OK) {
            status = ael_key_cache_get_or_load(
                cache, &set.source, ael_bytes_from_text("x"), 5, &set.call, &key, NULL);
        }
        ael_alloc_set_fault(NULL, NULL);
        CU_ASSERT_TRUE(status == AEL_E_NO_MEMORY || status == AEL_E_BACKEND);
        worked += status == AEL_E_BACKEND ? 1 : 0;
        ael_key_cache_free(cache);
        end(&set);
    }
    CU_ASSERT_EQUAL(worked, 3);
}

static void *call_older(void *context) {
    struct caller *caller = context;
    struct ael_cached_key *key = NULL;
    caller->status = get_id(caller->set, "id", NOW_S - 5, &key);
    ael_cached_key_release(key);
    return NULL;
}

/* A cache keeps what one load needs: another one is under way with it. */
static void test_get__serves_a_good_key_without_memory_for_a_load(void) {
    struct setting set;
    struct caller caller = {.set = &set};
    begin(&set);
    (void)latest(&set, AEL_OK);
    ael_clock_advance_for_test(800);
    gate_shut(&set.script.gate);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&caller.thread, NULL, call_older, &caller), 0);
    gate_wait_for(&set.script.gate, 1);
    g_allocations_left = 0;
    ael_alloc_set_fault(fail_allocation, NULL);
    int64_t created_s = latest(&set, AEL_OK);
    ael_clock_advance_for_test(200);
    (void)latest(&set, AEL_E_NO_MEMORY);
    ael_alloc_set_fault(NULL, NULL);
    CU_ASSERT_EQUAL(created_s, NOW_S);
    CU_ASSERT_EQUAL(set.script.loads, 2);
    gate_open(&set.script.gate);
    pthread_join(caller.thread, NULL);
    CU_ASSERT_EQUAL(caller.status, AEL_OK);
    end(&set);
}

/* A load's flight, key and holder find memory, the table's first buckets do not: the key serves, and is not kept. */
static void test_get_latest__goes_on_without_memory_for_the_table(void) {
    struct setting set;
    begin(&set);
    g_allocations_left = 3;
    ael_alloc_set_fault(fail_allocation, NULL);
    int64_t created_s = latest(&set, AEL_OK);
    ael_alloc_set_fault(NULL, NULL);
    CU_ASSERT_EQUAL(created_s, NOW_S);
    CU_ASSERT_EQUAL(set.counters.cached, 0);
    CU_ASSERT_EQUAL(latest(&set, AEL_OK), NOW_S);
    CU_ASSERT_EQUAL(set.script.loads, 2);
    CU_ASSERT_EQUAL(set.counters.cached, 1);
    end(&set);
}

/* Asks for 64 keys that are absent, twice; the loads of the second time. */
static int loads_of_absent_keys(bool shared) {
    struct setting set;
    begin(&set);
    set.rules.shared_intermediate_keys = shared;
    struct ael_cache_bound bound = {AEL_EVICTION_LRU, 100, false};
    ael_key_cache_free(set.cache);
    CU_ASSERT_EQUAL_FATAL(ael_key_cache_new(&set.rules, &bound, true, &set.counters, &set.cache), AEL_OK);
    set.script.status = AEL_E_KEY_NOT_FOUND;
    for (int64_t i = 0; i < 64; i++) {
        dated(&set, NOW_S - 1000 - i, AEL_E_KEY_NOT_FOUND);
    }
    int before = set.script.loads;
    for (int64_t i = 0; i < 64; i++) {
        dated(&set, NOW_S - 1000 - i, AEL_E_KEY_NOT_FOUND);
    }
    int loads = set.script.loads - before;
    end(&set);
    return loads;
}

static void test_negative__has_few_places_in_a_sessions_own_cache(void) {
    CU_ASSERT_TRUE(loads_of_absent_keys(true) < 64 - AEL_NEGATIVE_CACHE_FEW_ENTRIES);
    CU_ASSERT_TRUE(loads_of_absent_keys(false) >= 64 - AEL_NEGATIVE_CACHE_FEW_ENTRIES);
}

static const struct test_case k_cases[] = {
    {"a key is loaded once", test_get__loads_once_and_then_hits},
    {"ids are kept apart", test_get__keeps_ids_apart},
    {"refresh begins at 80 % of the interval", test_get__refreshes_from_four_fifths_of_the_interval},
    {"a failed refresh within the interval is survived", test_get__survives_a_failed_refresh_within_the_interval},
    {"the pause begins when a refresh has failed", test_get__pauses_after_a_failed_refresh_from_its_end},
    {"past the interval a load must come first", test_get__must_load_past_the_interval},
    {"without a metastore a key serves until max_stale", test_get__serves_until_max_stale_without_a_metastore},
    {"an expired latest never serves", test_get__never_serves_a_bad_latest_without_a_metastore},
    {"interval 0 loads each time", test_get__loads_each_time_with_an_interval_of_none},
    {"another latest key is adopted", test_get_latest__adopts_another_key},
    {"an older latest key is adopted too", test_get_latest__adopts_an_older_key_too},
    {"a newer dated key is not the latest", test_get__makes_no_dated_key_the_latest},
    {"a broken key is loaded again", test_get__loads_a_broken_key_again},
    {"a child of a broken key is loaded again", test_get__loads_a_child_of_a_broken_parent_again},
    {"a revoked latest key is loaded anew", test_get_latest__loads_when_the_key_is_revoked_or_expired},
    {"revocation reaches those who hold the key", test_get__marks_a_key_revoked_for_those_who_hold_it},
    {"a key is as fresh as its parent", test_get__holds_a_child_as_fresh_as_its_parent},
    {"a key in use is evicted safely", test_get__evicts_a_key_in_use_safely},
    {"the default bound is in bytes", test_get__is_bounded_by_bytes},
    {"an evicted latest key is loaded again", test_get__finds_the_latest_of_an_id_again_after_its_eviction},
    {"a cache that is off keeps nothing", test_get__keeps_nothing_when_it_is_off},
    {"absence is remembered for a second", test_negative__remembers_for_a_second},
    {"absence of recent keys is not remembered",
     test_negative__never_for_recent_or_latest_keys_or_other_failures},
    {"1,024 absences at most", test_negative__is_bounded},
    {"one load for all who wait", test_flight__loads_once_for_all_who_wait},
    {"other keys do not wait", test_flight__does_not_hold_up_other_keys},
    {"a key under refresh serves others", test_flight__lets_others_use_a_key_that_is_being_refreshed},
    {"followers have deadlines and tokens of their own",
     test_flight__ends_for_a_follower_at_its_own_deadline_or_token},
    {"a replica takes no revocation back", test_flight__of_a_replica_takes_no_revocation_back},
    {"an older check takes no revocation back", test_flight__of_before_a_check_takes_no_revocation_back},
    {"followers share a failure", test_flight__hands_a_failure_to_those_who_wait},
    {"no memory", test_get__fails_or_goes_on_without_memory},
    {"no memory for the table", test_get_latest__goes_on_without_memory_for_the_table},
    {"few absences in a session's own cache", test_negative__has_few_places_in_a_sessions_own_cache},
    {"no memory, a good key", test_get__serves_a_good_key_without_memory_for_a_load},
};

TEST_SUITE_MAIN("key_cache", k_cases)
