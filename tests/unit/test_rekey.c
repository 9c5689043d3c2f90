/* SPDX-License-Identifier: Apache-2.0 */
#include "securememory/rekey.h"

#include "base/clock.h"
#include "securememory/protected.h"
#include "securememory/seal_shards.h"
#include "securememory/secret_state.h"
#include "tests/support/failing_sys.h"
#include "tests/support/scratch_slots.h"
#include "tests/support/suite.h"

#include <ael/memory.h>
#include <ael/secret.h>

#include <errno.h>
#include <sched.h>
#include <string.h>

/* Root keys drawn anew. Most cases are at key_level strict, where no thread of ours runs and operations do it all. */

enum { PERIOD_S = 100, OTHERS = 40, LENS = 8 };

static const size_t k_lens[LENS] = {1, 32, 63, 64, 65, AEL_SCRATCH_BYTES, AEL_SCRATCH_BYTES + 1, 4000};
static const struct ael_key_binding k_binding = {7, 9, 10, AEL_KEY_KIND_SYSTEM, 0};
static const uint8_t k_key[AEL_KEY_BYTES] = "a key for tests, 32 bytes long..";

static struct ael_secret *g_secrets[LENS];
static struct ael_sealed_key g_keys[OTHERS];

static void set_up(enum ael_protection_level key_level, uint64_t seals) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    options.key_level = key_level;
    options.rekey_s = PERIOD_S;
    options.rekey_seals = seals;
    CU_ASSERT_EQUAL_FATAL(ael_shutdown(1000), AEL_OK);
    ael_clock_set_for_test(1800000000, INT64_C(1000000000000));
    CU_ASSERT_EQUAL_FATAL(ael_memory_configure(&options, NULL), AEL_OK);
}

static struct ael_secret *secret_of(uint8_t letter, size_t len) {
    uint8_t source[5000];
    struct ael_secret *secret = NULL;
    memset(source, letter, len);
    CU_ASSERT_EQUAL(ael_secret_new(source, len, &secret), AEL_OK);
    return secret;
}

static void make_all(void) {
    for (uint8_t i = 0; i < LENS; i++) {
        g_secrets[i] = secret_of((uint8_t)('a' + i), k_lens[i]);
    }
    for (size_t i = 0; i < OTHERS; i++) {
        CU_ASSERT_EQUAL(ael_sealed_key_make(k_key, &k_binding, &g_keys[i]), AEL_OK);
    }
}

static void drop_all(void) {
    for (size_t i = 0; i < LENS; i++) {
        ael_secret_release(g_secrets[i]);
    }
    for (size_t i = 0; i < OTHERS; i++) {
        ael_sealed_key_drop(&g_keys[i]);
    }
    ael_clock_reset_for_test();
}

static bool holds(struct ael_secret *secret, uint8_t letter) {
    struct ael_secret_access access;
    if (ael_secret_access_begin(secret, &access) != AEL_OK) {
        return false;
    }
    bool good = true;
    for (size_t i = 0; i < access.bytes.len; i++) {
        good = good && access.bytes.data[i] == letter;
    }
    return ael_secret_access_end(&access) == AEL_OK && good;
}

static bool opens(const struct ael_sealed_key *sealed) {
    uint8_t key[AEL_KEY_BYTES];
    return ael_sealed_key_open(sealed, &k_binding, key) == AEL_OK && memcmp(key, k_key, sizeof key) == 0;
}

static bool all_open(void) {
    bool good = true;
    for (uint8_t i = 0; i < LENS; i++) {
        good = holds(g_secrets[i], (uint8_t)('a' + i)) && good;
    }
    for (size_t i = 0; i < OTHERS; i++) {
        good = opens(&g_keys[i]) && good;
    }
    return good;
}

static struct ael_memory_stats stats_now(void) {
    struct ael_memory_stats stats = AEL_MEMORY_STATS_INIT;
    CU_ASSERT_EQUAL(ael_memory_stats(&stats), AEL_OK);
    return stats;
}

static struct ael_roots *roots(void) {
    return &ael_protected()->roots;
}

static uint32_t root_of(size_t key) {
    return g_keys[key].seal.root;
}

static bool all_under(uint32_t root) {
    bool good = true;
    for (size_t i = 0; i < LENS; i++) {
        good = g_secrets[i]->seal.root == root && good;
    }
    for (size_t i = 0; i < OTHERS; i++) {
        good = root_of(i) == root && good;
    }
    return good;
}

/* An operation on seals that makes none. */
static void operate(void) {
    CU_ASSERT_TRUE(opens(&g_keys[0]));
}

static void pass(int64_t seconds) {
    ael_clock_advance_for_test(seconds);
    operate();
}

static void operate_until_swept(void) {
    for (int i = 0; i < 1000 && atomic_load(&ael_protected()->rekey.clean_below) != ael_roots_current(roots()); i++) {
        operate();
    }
}

/* How many bytes of the place in the keys' page are not zero. */
static size_t traces_at(uint32_t place) {
    const uint8_t *bytes = roots()->region.pages.bytes + (size_t)place * sizeof(struct ael_seal_key);
    size_t traces = 0;
    CU_ASSERT_EQUAL(ael_roots_begin(roots()), AEL_OK);
    for (size_t i = 0; i < sizeof(struct ael_seal_key); i++) {
        traces += bytes[i] != 0;
    }
    CU_ASSERT_EQUAL(ael_roots_end(roots()), AEL_OK);
    return traces;
}

/* A root's first round key, from which the whole key follows; zeros where its place was wiped. */
struct traces {
    uint8_t bytes[16];
};

static struct traces round_key_at(uint32_t place) {
    const struct ael_seal_key *key = (const struct ael_seal_key *)(void *)roots()->region.pages.bytes + place;
    struct traces traces;
    CU_ASSERT_EQUAL(ael_roots_begin(roots()), AEL_OK);
    memcpy(traces.bytes, roots()->engine == AEL_SEAL_AES256GCM ? key->state : key->raw, sizeof traces.bytes);
    CU_ASSERT_EQUAL(ael_roots_end(roots()), AEL_OK);
    return traces;
}

/* Wherever in the page. */
static bool is_in_the_page(const struct traces *traces) {
    const struct ael_pages *pages = &roots()->region.pages;
    bool found = false;
    CU_ASSERT_EQUAL(ael_roots_begin(roots()), AEL_OK);
    for (size_t at = 0; at + sizeof traces->bytes <= pages->len; at++) {
        found = found || memcmp(pages->bytes + at, traces->bytes, sizeof traces->bytes) == 0;
    }
    CU_ASSERT_EQUAL(ael_roots_end(roots()), AEL_OK);
    return found;
}

/* -- the course of a root -- */

static void test_rekey__draws_another_root_after_a_period(void) {
    set_up(AEL_PROTECTION_STRICT, 0);
    make_all();
    uint32_t first = root_of(0);
    pass(PERIOD_S - 1);
    CU_ASSERT_EQUAL(stats_now().rekeys, 0);
    pass(1);
    CU_ASSERT_EQUAL(stats_now().rekeys, 1);
    CU_ASSERT_EQUAL(stats_now().roots, 2);
    CU_ASSERT_EQUAL(ael_roots_current(roots()), first + 1);
    CU_ASSERT_TRUE(all_under(first));
    CU_ASSERT_TRUE(all_open());
    ael_sealed_key_drop(&g_keys[1]);
    CU_ASSERT_EQUAL(ael_sealed_key_make(k_key, &k_binding, &g_keys[1]), AEL_OK);
    CU_ASSERT_EQUAL(root_of(1), first + 1);
    CU_ASSERT_TRUE(all_open());
    drop_all();
}

static void test_rekey__seals_everything_anew_and_wipes_the_old_root(void) {
    set_up(AEL_PROTECTION_STRICT, 0);
    make_all();
    uint32_t first = root_of(0);
    uint32_t place = roots()->current;
    pass(PERIOD_S);
    pass(PERIOD_S / 2);
    operate_until_swept();
    CU_ASSERT_TRUE(all_under(first + 1));
    CU_ASSERT_EQUAL(stats_now().reseals, LENS + OTHERS);
    CU_ASSERT_TRUE(all_open());
    struct traces traces = round_key_at(place);
    CU_ASSERT_TRUE(is_in_the_page(&traces)); /* the look would see it */
    pass(PERIOD_S / 2 - 1);
    CU_ASSERT_EQUAL(stats_now().roots_wiped, 0);
    pass(1);
    CU_ASSERT_EQUAL(stats_now().roots_wiped, 1);
    CU_ASSERT_FALSE(is_in_the_page(&traces));
    CU_ASSERT_NOT_EQUAL(ael_roots_names(roots()).numbers[place], first);
    CU_ASSERT_TRUE(all_open());
    drop_all();
}

/* Nothing of the sweep's is left where it worked. */
static void test_rekey__leaves_no_plain_bytes_in_scratch(void) {
    set_up(AEL_PROTECTION_STRICT, 0);
    make_all();
    pass(PERIOD_S);
    pass(PERIOD_S / 2);
    operate_until_swept();
    struct ael_scratch_pool *pool = &ael_protected()->scratch;
    size_t traces = 0;
    CU_ASSERT_EQUAL(ael_region_begin(&pool->region, AEL_PAGES_READ), AEL_OK);
    for (uint32_t slot = 0; slot < pool->slots; slot++) {
        for (size_t i = 0; i < AEL_SCRATCH_BYTES; i++) {
            traces += ael_scratch_pool_bytes(pool, slot)[i] != 0;
        }
    }
    CU_ASSERT_EQUAL(ael_region_end(&pool->region), AEL_OK);
    CU_ASSERT_EQUAL(traces, 0);
    CU_ASSERT_EQUAL(stats_now().scratch_slots_in_use, 0);
    CU_ASSERT_EQUAL(stats_now().secret_slots_in_use, 0);
    drop_all();
}

static void test_rekey__goes_on_for_many_periods(void) {
    set_up(AEL_PROTECTION_STRICT, 0);
    make_all();
    for (int i = 0; i < 50; i++) {
        pass(PERIOD_S / 2);
        operate_until_swept();
        CU_ASSERT_TRUE(stats_now().roots <= 2);
    }
    CU_ASSERT_TRUE(stats_now().rekeys >= 24);
    CU_ASSERT_TRUE(stats_now().roots_wiped >= 23);
    CU_ASSERT_TRUE(all_open());
    drop_all();
}

static void test_rekey__draws_another_root_after_so_many_seals(void) {
    set_up(AEL_PROTECTION_STRICT, 100);
    make_all(); /* 48 seals */
    struct ael_sealed_key sealed;
    for (int i = 0; i < 52; i++) {
        CU_ASSERT_EQUAL(ael_sealed_key_make(k_key, &k_binding, &sealed), AEL_OK);
        ael_sealed_key_drop(&sealed);
    }
    CU_ASSERT_EQUAL(stats_now().rekeys, 0);
    operate();
    CU_ASSERT_EQUAL(stats_now().rekeys, 1);
    CU_ASSERT_TRUE(all_open());
    drop_all();
}

/* Without waiting for the period: places are few. */
static void test_rekey__by_seals_alone_never_runs_out_of_places(void) {
    set_up(AEL_PROTECTION_STRICT, 20);
    make_all();
    struct ael_sealed_key sealed;
    for (int i = 0; i < 1200; i++) {
        CU_ASSERT_EQUAL(ael_sealed_key_make(k_key, &k_binding, &sealed), AEL_OK);
        CU_ASSERT_TRUE(opens(&sealed));
        ael_sealed_key_drop(&sealed);
        CU_ASSERT_TRUE(ael_roots_free_places(roots()) >= 1);
    }
    CU_ASSERT_TRUE(stats_now().rekeys > 15);
    CU_ASSERT_TRUE(stats_now().roots_wiped > 10);
    CU_ASSERT_TRUE(all_open());
    drop_all();
}

/* While a child may still be copying the keys, nothing is wiped, and nobody looks again and again. */
static void test_rekey_due__is_not_now_while_places_are_lent(void) {
    set_up(AEL_PROTECTION_STRICT, 20);
    struct ael_rekey *rekey = &ael_protected()->rekey;
    struct ael_sealed_key sealed;
    make_all();
    ael_rekey_lent(rekey);
    for (int i = 0; i < 400; i++) {
        CU_ASSERT_EQUAL(ael_sealed_key_make(k_key, &k_binding, &sealed), AEL_OK);
        ael_sealed_key_drop(&sealed);
    }
    CU_ASSERT_EQUAL(ael_roots_free_places(roots()), 1);
    CU_ASSERT_EQUAL(ael_rekey_due_ns(rekey), ael_clock_boot_ns() + INT64_C(10) * 1000000000);
    CU_ASSERT_EQUAL(stats_now().roots_wiped, 0);
    pass(10);
    CU_ASSERT_EQUAL(stats_now().roots_wiped, 5);
    CU_ASSERT_TRUE(all_open());
    drop_all();
}

static void test_rekey_due__is_never_where_nothing_is_sealed(void) {
    set_up(AEL_PROTECTION_STRICT, 0);
    const struct ael_rekey *rekey = &ael_protected()->rekey;
    CU_ASSERT_EQUAL(ael_rekey_due_ns(rekey), INT64_MAX);
    struct ael_secret *secret = secret_of('x', 8);
    CU_ASSERT_EQUAL(ael_rekey_due_ns(rekey), ael_clock_boot_ns() + INT64_C(1000000000) * PERIOD_S);
    ael_secret_release(secret);
    ael_clock_reset_for_test();
}

/* -- the sweep against what is going on -- */

static struct ael_reseal_parts parts(void) {
    struct ael_protected *memory = ael_protected();
    return (struct ael_reseal_parts){&memory->roots, &memory->scratch, &memory->slots};
}

/* The next one that it would look at is dropped, and others are made, after each step. */
static void test_reseal_step__goes_on_past_what_is_dropped_and_made(void) {
    struct ael_reseal sweep = {0};
    struct ael_reseal_parts with = {0};
    struct ael_sealed_key more[OTHERS];
    size_t made = 0;
    set_up(AEL_PROTECTION_STRICT, 0);
    with = parts();
    make_all();
    CU_ASSERT_EQUAL(ael_roots_renew(roots()), AEL_OK);
    ael_reseal_begin(&sweep, ael_roots_current(roots()));
    while (sweep.running) {
        CU_ASSERT_EQUAL(ael_reseal_step(&sweep, &with, 1), AEL_OK);
        for (size_t i = 1; i < OTHERS && sweep.running; i++) {
            if (ael_seal_shard(g_keys[i].seal.shard)->next_swept == &g_keys[i].seal && made < OTHERS) {
                ael_sealed_key_drop(&g_keys[i]);
                CU_ASSERT_EQUAL(ael_sealed_key_make(k_key, &k_binding, &more[made++]), AEL_OK);
            }
        }
    }
    CU_ASSERT_TRUE(made > OTHERS / 3);
    for (size_t i = 0; i < OTHERS; i++) {
        CU_ASSERT_TRUE(!g_keys[i].seal.listed || (opens(&g_keys[i]) && root_of(i) == sweep.target));
    }
    for (size_t i = 0; i < made; i++) {
        CU_ASSERT_TRUE(opens(&more[i]));
        ael_sealed_key_drop(&more[i]);
    }
    drop_all();
}

static void test_rekey__passes_over_a_seal_that_does_not_open(void) {
    set_up(AEL_PROTECTION_STRICT, 0);
    make_all();
    g_keys[5].sealed[3] ^= 1;
    g_secrets[7]->sealed[100] ^= 1;
    uint32_t first = root_of(0);
    pass(PERIOD_S);
    pass(PERIOD_S / 2);
    operate_until_swept();
    pass(PERIOD_S / 2);
    CU_ASSERT_EQUAL(stats_now().roots_wiped, 1);
    CU_ASSERT_EQUAL(stats_now().reseals, LENS + OTHERS - 2);
    uint8_t key[AEL_KEY_BYTES];
    struct ael_secret_access access;
    CU_ASSERT_EQUAL(ael_sealed_key_open(&g_keys[5], &k_binding, key), AEL_E_CORRUPTED);
    CU_ASSERT_EQUAL(ael_secret_access_begin(g_secrets[7], &access), AEL_E_CORRUPTED);
    CU_ASSERT_EQUAL(root_of(5), first);
    CU_ASSERT_EQUAL(root_of(4), first + 1);
    CU_ASSERT_TRUE(holds(g_secrets[6], 'g'));
    drop_all();
}

/* A seal of the old root, kept and put back, is nothing once its root is gone. */
static void test_rekey__ends_old_copies_of_a_seal(void) {
    set_up(AEL_PROTECTION_STRICT, 0);
    make_all();
    uint8_t old[sizeof g_keys[0].sealed];
    uint64_t nonce = g_keys[3].seal.nonce;
    uint32_t root = root_of(3);
    uint8_t key[AEL_KEY_BYTES];
    memcpy(old, g_keys[3].sealed, sizeof old);
    pass(PERIOD_S);
    pass(PERIOD_S / 2);
    operate_until_swept();
    CU_ASSERT_NOT_EQUAL(memcmp(old, g_keys[3].sealed, sizeof old), 0);
    memcpy(g_keys[3].sealed, old, sizeof old);
    CU_ASSERT_EQUAL(ael_sealed_key_open(&g_keys[3], &k_binding, key), AEL_E_CORRUPTED);
    g_keys[3].seal.nonce = nonce;
    g_keys[3].seal.root = root;
    CU_ASSERT_EQUAL(ael_sealed_key_open(&g_keys[3], &k_binding, key), AEL_OK); /* until the root is wiped */
    pass(PERIOD_S / 2);
    CU_ASSERT_EQUAL(ael_sealed_key_open(&g_keys[3], &k_binding, key), AEL_E_CORRUPTED);
    drop_all();
}

static void test_rekey__waits_for_a_root_that_a_thread_uses(void) {
    set_up(AEL_PROTECTION_STRICT, 0);
    make_all();
    uint32_t place = roots()->current;
    uint32_t wiped = 0;
    CU_ASSERT_EQUAL(ael_roots_renew(roots()), AEL_OK);
    struct ael_reseal sweep = {0};
    struct ael_reseal_parts with = parts();
    ael_reseal_begin(&sweep, ael_roots_current(roots()));
    CU_ASSERT_EQUAL(ael_reseal_step(&sweep, &with, SIZE_MAX), AEL_OK);
    CU_ASSERT_FALSE(sweep.running);
    atomic_store(&ael_thread_entry_here->root, sweep.target - 1);
    CU_ASSERT_EQUAL(ael_roots_wipe_below(roots(), sweep.target, &wiped), AEL_E_BUSY);
    CU_ASSERT_EQUAL(wiped, 0);
    CU_ASSERT_EQUAL(ael_roots_free_places(roots()), AEL_ROOTS_MAX - 2);
    atomic_store(&ael_thread_entry_here->root, 0);
    CU_ASSERT_TRUE(traces_at(place) != 0);
    CU_ASSERT_EQUAL(ael_roots_wipe_below(roots(), sweep.target, &wiped), AEL_OK);
    CU_ASSERT_EQUAL(wiped, 1);
    CU_ASSERT_EQUAL(traces_at(place), 0);
    CU_ASSERT_TRUE(all_open());
    drop_all();
}

/* -- failures -- */

static void test_rekey__keeps_the_root_while_the_kernel_gives_no_random_bytes(void) {
    set_up(AEL_PROTECTION_STRICT, 0);
    make_all();
    uint32_t first = ael_roots_current(roots());
    failing_sys_install(FAIL_GETRANDOM, 1, ENOSYS, true);
    pass(PERIOD_S);
    CU_ASSERT_EQUAL(ael_roots_current(roots()), first);
    CU_ASSERT_TRUE(failing_sys_remove());
    operate();
    CU_ASSERT_EQUAL(ael_roots_current(roots()), first); /* not at once again */
    pass(1);
    CU_ASSERT_EQUAL(ael_roots_current(roots()), first + 1);
    CU_ASSERT_TRUE(all_open());
    drop_all();
}

/* Each change of protection fails in turn; nothing gets lost, and in the end all is swept. */
static void test_rekey__survives_each_failure_of_the_sweep(void) {
    set_up(AEL_PROTECTION_STRICT, 0);
    make_all();
    for (unsigned nth = 1; nth < 40; nth++) {
        uint8_t key[AEL_KEY_BYTES];
        ael_clock_advance_for_test(PERIOD_S / 2);
        failing_sys_install(FAIL_MPROTECT, nth, ENOMEM, false);
        for (int i = 0; i < 4; i++) {
            enum ael_status status = ael_sealed_key_open(&g_keys[0], &k_binding, key);
            CU_ASSERT_TRUE(status == AEL_OK || status == AEL_E_SYSTEM);
        }
        (void)failing_sys_remove();
    }
    operate_until_swept();
    pass(PERIOD_S / 2);
    operate_until_swept();
    CU_ASSERT_TRUE(all_open());
    CU_ASSERT_TRUE(stats_now().rekeys > 5);
    drop_all();
}

static void test_rekey__sweeps_when_slots_are_free_again(void) {
    struct ael_scratch all[AEL_SCRATCH_SLOTS_MOST];
    set_up(AEL_PROTECTION_STRICT, 0);
    make_all();
    uint32_t first = root_of(0);
    uint32_t slots = scratch_slots();
    for (uint32_t i = 0; i < slots; i++) {
        CU_ASSERT_EQUAL(ael_scratch_begin(&all[i], NULL), AEL_OK);
    }
    pass(PERIOD_S);
    pass(PERIOD_S);
    CU_ASSERT_TRUE(all_under(first));
    for (uint32_t i = 0; i < slots; i++) {
        CU_ASSERT_EQUAL(ael_scratch_end(&all[i]), AEL_OK);
    }
    pass(1);
    operate_until_swept();
    CU_ASSERT_TRUE(all_under(ael_roots_current(roots())));
    CU_ASSERT_TRUE(all_open());
    drop_all();
}

static void test_configure__refuses_periods_out_of_range(void) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    CU_ASSERT_EQUAL_FATAL(ael_shutdown(1000), AEL_OK);
    options.rekey_s = AEL_REKEY_S_MAX + 1;
    CU_ASSERT_EQUAL(ael_memory_configure(&options, NULL), AEL_E_ARGUMENT);
    options.rekey_s = AEL_REKEY_S_MAX;
    options.slot_idle_ms = AEL_SLOT_IDLE_MS_MAX + 1;
    CU_ASSERT_EQUAL(ael_memory_configure(&options, NULL), AEL_E_ARGUMENT);
    options.slot_idle_ms = AEL_SLOT_IDLE_MS_MAX;
    CU_ASSERT_EQUAL(ael_memory_configure(&options, NULL), AEL_OK);
}

/* -- by the warden -- */

/* Until the warden has done it, or some seconds are over. */
static bool comes_true(bool (*is_so)(void)) {
    int64_t end_ns = ael_warden_now_ns() + INT64_C(20) * 1000000000;
    while (!is_so() && ael_warden_now_ns() < end_ns) {
        (void)sched_yield();
    }
    return is_so();
}

static bool has_drawn(void) {
    return stats_now().rekeys == 1;
}

static bool has_swept(void) {
    return stats_now().reseals == LENS + OTHERS;
}

static bool has_wiped(void) {
    return stats_now().roots_wiped == 1;
}

static bool sleeps_till_the_period_is_over(void) {
    int64_t until = atomic_load(&ael_protected()->warden.sleeps_until);
    return until == ael_clock_boot_ns() + INT64_C(1000000000) * PERIOD_S;
}

static bool sleeps_without_an_end(void) {
    return atomic_load(&ael_protected()->warden.sleeps_until) == INT64_MAX;
}

/* One sleep of the whole time, or of none, and no look in between. */
static void test_warden__sleeps_until_the_next_due(void) {
    set_up(AEL_PROTECTION_LEASED, 0);
    CU_ASSERT_TRUE(comes_true(sleeps_without_an_end));
    struct ael_secret *secret = secret_of('x', 8);
    CU_ASSERT_TRUE(comes_true(sleeps_till_the_period_is_over));
    ael_secret_release(secret);
    ael_clock_reset_for_test();
}

/* Its sleep is of real time, so a set clock that jumps is noticed with the next operation. */
static void test_warden__draws_sweeps_and_wipes(void) {
    set_up(AEL_PROTECTION_LEASED, 0);
    make_all();
    uint32_t first = root_of(0);
    pass(PERIOD_S);
    CU_ASSERT_TRUE(comes_true(has_drawn));
    CU_ASSERT_TRUE(all_open());
    pass(PERIOD_S / 2);
    CU_ASSERT_TRUE(comes_true(has_swept));
    CU_ASSERT_TRUE(all_under(first + 1));
    pass(PERIOD_S / 2);
    CU_ASSERT_TRUE(comes_true(has_wiped));
    CU_ASSERT_TRUE(all_open());
    drop_all();
}

static bool is_sweeping(void) {
    return atomic_load(&ael_protected()->rekey.sweeping);
}

static bool keys_page_is_open(void) {
    return ael_lease_is_open(&roots()->region.lease);
}

static bool keys_page_is_shut(void) {
    return !keys_page_is_open();
}

static bool has_wiped_any(void) {
    return stats_now().roots_wiped != 0;
}

/* Whoever holds all slots open holds up the sweep of what is too long for scratch: neither the warden nor the keys'
 * page is kept busy with it. On the real clock. */
static void test_warden__rests_while_the_sweep_is_held_up(void) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    struct ael_secret_access access;
    CU_ASSERT_EQUAL_FATAL(ael_shutdown(1000), AEL_OK);
    options.secret_slots = 1;
    options.rekey_s = 1;
    CU_ASSERT_EQUAL_FATAL(ael_memory_configure(&options, NULL), AEL_OK);
    struct ael_secret *a = secret_of('a', 32);
    struct ael_secret *b = secret_of('b', AEL_SCRATCH_BYTES + 1);
    CU_ASSERT_EQUAL(ael_secret_access_begin(a, &access), AEL_OK);
    CU_ASSERT_TRUE(comes_true(is_sweeping));
    CU_ASSERT_TRUE(comes_true(keys_page_is_open));
    CU_ASSERT_TRUE(comes_true(keys_page_is_shut)); /* between two tries */
    CU_ASSERT_TRUE(is_sweeping());
    CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_OK);
    CU_ASSERT_TRUE(comes_true(has_wiped_any));
    CU_ASSERT_TRUE(holds(b, 'b'));
    ael_secret_release(a);
    ael_secret_release(b);
}

/* -- idle slots -- */

static bool no_slot_is_filled(void) {
    return stats_now().secret_slots_filled == 0;
}

static size_t traces_in_slots(void) {
    const struct ael_secret_slots *slots = &ael_protected()->slots;
    size_t traces = 0;
    for (size_t i = 0; i < slots->count; i++) {
        const struct ael_pages *pages = &slots->slots[i].pages;
        CU_ASSERT_EQUAL(ael_pages_set_access(pages, AEL_PAGES_READ), AEL_OK);
        for (size_t at = 0; at < pages->len; at++) {
            traces += pages->bytes[at] != 0;
        }
        CU_ASSERT_EQUAL(ael_pages_set_access(pages, AEL_PAGES_CLOSED), AEL_OK);
    }
    return traces;
}

/* On the real clock: nobody calls anything meanwhile but for statistics. */
static void test_warden__wipes_slots_that_are_idle(void) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    CU_ASSERT_EQUAL_FATAL(ael_shutdown(1000), AEL_OK);
    options.slot_idle_ms = 30;
    CU_ASSERT_EQUAL_FATAL(ael_memory_configure(&options, NULL), AEL_OK);
    struct ael_secret *a = secret_of('a', 32);
    struct ael_secret *b = secret_of('b', 4000);
    CU_ASSERT_TRUE(holds(a, 'a'));
    CU_ASSERT_TRUE(holds(b, 'b'));
    CU_ASSERT_EQUAL(stats_now().secret_slots_filled, 2);
    CU_ASSERT_TRUE(traces_in_slots() >= 4032);
    CU_ASSERT_TRUE(comes_true(no_slot_is_filled));
    CU_ASSERT_EQUAL(stats_now().secret_slots_idle_wiped, 2);
    CU_ASSERT_EQUAL(traces_in_slots(), 0);
    CU_ASSERT_TRUE(holds(a, 'a'));
    CU_ASSERT_TRUE(comes_true(no_slot_is_filled));
    ael_secret_release(a);
    ael_secret_release(b);
}

/* A secret that is opened again in its slot opens nothing of the library's own: the warden has to be told. */
static void test_warden__learns_of_a_slot_that_becomes_idle_while_it_sleeps(void) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    struct ael_secret_access access;
    CU_ASSERT_EQUAL_FATAL(ael_shutdown(1000), AEL_OK);
    options.slot_idle_ms = 30;
    options.rekey_s = AEL_REKEY_S_MAX;
    CU_ASSERT_EQUAL_FATAL(ael_memory_configure(&options, NULL), AEL_OK);
    struct ael_secret *a = secret_of('a', 32);
    CU_ASSERT_EQUAL(ael_secret_access_begin(a, &access), AEL_OK);
    int64_t soon = ael_clock_boot_ns() + INT64_C(3600) * 1000000000;
    int64_t end_ns = ael_warden_now_ns() + INT64_C(20) * 1000000000;
    while (atomic_load(&ael_protected()->warden.sleeps_until) < soon && ael_warden_now_ns() < end_ns) {
        (void)sched_yield();
    }
    CU_ASSERT_TRUE(atomic_load(&ael_protected()->warden.sleeps_until) > soon); /* for a year, with the slot in use */
    CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_OK);
    CU_ASSERT_TRUE(comes_true(no_slot_is_filled));
    ael_secret_release(a);
}

static const struct test_case k_cases[] = {
    {"after a period", test_rekey__draws_another_root_after_a_period},
    {"sweep and wipe", test_rekey__seals_everything_anew_and_wipes_the_old_root},
    {"no traces", test_rekey__leaves_no_plain_bytes_in_scratch},
    {"many periods", test_rekey__goes_on_for_many_periods},
    {"after so many seals", test_rekey__draws_another_root_after_so_many_seals},
    {"few places", test_rekey__by_seals_alone_never_runs_out_of_places},
    {"lent places", test_rekey_due__is_not_now_while_places_are_lent},
    {"nothing sealed", test_rekey_due__is_never_where_nothing_is_sealed},
    {"dropped and made", test_reseal_step__goes_on_past_what_is_dropped_and_made},
    {"broken seals", test_rekey__passes_over_a_seal_that_does_not_open},
    {"old copies", test_rekey__ends_old_copies_of_a_seal},
    {"a root in use", test_rekey__waits_for_a_root_that_a_thread_uses},
    {"no random bytes", test_rekey__keeps_the_root_while_the_kernel_gives_no_random_bytes},
    {"failing sweep", test_rekey__survives_each_failure_of_the_sweep},
    {"no slots", test_rekey__sweeps_when_slots_are_free_again},
    {"options", test_configure__refuses_periods_out_of_range},
    {"the warden's sleep", test_warden__sleeps_until_the_next_due},
    {"by the warden", test_warden__draws_sweeps_and_wipes},
    {"held up", test_warden__rests_while_the_sweep_is_held_up},
    {"idle slots", test_warden__wipes_slots_that_are_idle},
    {"slots that become idle", test_warden__learns_of_a_slot_that_becomes_idle_while_it_sleeps},
};

TEST_SUITE_MAIN("rekey", k_cases)
