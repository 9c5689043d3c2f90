/* SPDX-License-Identifier: Apache-2.0 */
/* The table that is read without a lock, by one thread: against a plain model; and what is retired from it. */
#include "appencryption/cache/pinned_table.h"
#include "appencryption/cache/retire.h"
#include "base/alloc.h"
#include "base/thread_entry.h"
#include "tests/support/suite.h"

#include <stdlib.h>

enum { THINGS = 3000 };

struct thing {
    int number;
    struct ael_pinned_link link;
    struct ael_retiree retired;
    int released;
};

static struct thing g_things[THINGS];

static void release(void *thing) {
    ((struct thing *)thing)->released++;
}

static bool has_number(const void *thing, const void *wanted) {
    return ((const struct thing *)thing)->number == *(const int *)wanted;
}

/* Few bits, so that chains have several things and several things one hash. */
static uint64_t hash_of(int number) {
    return (uint64_t)(number / 2) * UINT64_C(0x9e3779b97f4a7c15) >> 40;
}

static void begin(struct ael_pinned_table *table) {
    ael_pinned_table_init(table, offsetof(struct thing, link));
    for (int i = 0; i < THINGS; i++) {
        g_things[i] = (struct thing){.number = i};
    }
}

static void add(struct ael_pinned_table *table, int i) {
    CU_ASSERT_TRUE(ael_pinned_table_add(table, &g_things[i].link, hash_of(g_things[i].number)));
}

static struct thing *find(const struct ael_pinned_table *table, int number) {
    return ael_pinned_table_find(table, hash_of(number), has_number, &number);
}

static struct thing *borrow(const struct ael_pinned_table *table, int number, uint32_t *place) {
    return ael_pinned_table_borrow(table, hash_of(number), has_number, &number, place);
}

static int pins(void) {
    int count = 0;
    for (uint32_t place = 0; place < AEL_THREAD_PINS; place++) {
        count += ael_thread_has_place(ael_thread_entry_mine(), place) ? 0 : 1;
    }
    return count;
}

/* Both ways to find it agree with what is expected. */
static void expect(const struct ael_pinned_table *table, int number, const struct thing *expected) {
    uint32_t place = 0;
    CU_ASSERT_PTR_EQUAL(find(table, number), expected);
    CU_ASSERT_PTR_EQUAL(borrow(table, number, &place), expected);
    CU_ASSERT_EQUAL(pins(), expected != NULL ? 1 : 0);
    if (expected != NULL) {
        CU_ASSERT_TRUE(ael_threads_pin(expected));
        ael_thread_unpin(ael_thread_entry_mine(), place);
    }
}

static void test_find__agrees_with_a_model_on_a_random_trace(void) {
    static bool in[THINGS];
    struct ael_pinned_table table;
    size_t count = 0;
    uint32_t seed = 7;
    begin(&table);
    expect(&table, 1, NULL);
    for (int i = 0; i < 40000; i++) {
        seed = seed * 1664525u + 1013904223u;
        int which = (int)(seed >> 8) % THINGS;
        if (in[which]) {
            ael_pinned_table_remove(&table, &g_things[which].link);
        } else {
            add(&table, which);
        }
        in[which] = !in[which];
        count = in[which] ? count + 1 : count - 1;
        expect(&table, which, in[which] ? &g_things[which] : NULL);
        CU_ASSERT_EQUAL(table.count, count);
    }
    for (int i = 0; i < THINGS; i++) {
        expect(&table, i, in[i] ? &g_things[i] : NULL);
    }
    ael_pinned_table_clear(&table);
    expect(&table, 1, NULL);
}

static void test_replace__keeps_the_chain(void) {
    struct ael_pinned_table table;
    begin(&table);
    for (int i = 0; i < 100; i++) {
        add(&table, i);
    }
    g_things[2000].number = 40;
    ael_pinned_table_replace(&table, &g_things[40].link, &g_things[2000].link);
    CU_ASSERT_EQUAL(table.count, 100);
    for (int i = 0; i < 100; i++) {
        expect(&table, i, i == 40 ? &g_things[2000] : &g_things[i]);
    }
    ael_pinned_table_clear(&table);
}

/* A bucket is split for each thing that is added: at no time are there many more things than buckets. */
static void test_add__grows_by_one(void) {
    struct ael_pinned_table table;
    begin(&table);
    for (int i = 0; i < THINGS; i++) {
        uint32_t before = table.buckets;
        add(&table, i);
        CU_ASSERT_TRUE(table.count <= table.buckets);
        CU_ASSERT_TRUE(i == 0 || table.buckets - before <= 1);
    }
    ael_pinned_table_clear(&table);
}

static int refuse(void *context) {
    (void)context;
    return 1;
}

static void test_add__goes_on_in_longer_chains_without_memory(void) {
    struct ael_pinned_table table;
    begin(&table);
    ael_alloc_set_fault(refuse, NULL);
    CU_ASSERT_FALSE(ael_pinned_table_add(&table, &g_things[0].link, 1));
    ael_alloc_set_fault(NULL, NULL);
    CU_ASSERT_EQUAL(table.count, 0);
    add(&table, 0);
    ael_alloc_set_fault(refuse, NULL);
    for (int i = 1; i < 200; i++) {
        add(&table, i);
    }
    ael_alloc_set_fault(NULL, NULL);
    CU_ASSERT_EQUAL(table.buckets, 16);
    for (int i = 0; i < 200; i++) {
        expect(&table, i, &g_things[i]);
    }
    add(&table, 200);
    CU_ASSERT_EQUAL(table.buckets, 17);
    expect(&table, 3, &g_things[3]);
    ael_pinned_table_clear(&table);
}

static void test_borrow__needs_two_places(void) {
    struct ael_pinned_table table;
    struct ael_thread_entry *mine = ael_thread_entry_mine();
    uint32_t place = 0;
    int other = 0;
    begin(&table);
    add(&table, 5);
    for (uint32_t i = 0; i < AEL_THREAD_PINS - 1; i++) {
        ael_thread_pin(mine, i, &other);
    }
    CU_ASSERT_PTR_NULL(borrow(&table, 5, &place));
    CU_ASSERT_EQUAL(pins(), AEL_THREAD_PINS - 1);
    ael_thread_unpin(mine, 0);
    CU_ASSERT_PTR_EQUAL(borrow(&table, 5, &place), &g_things[5]);
    CU_ASSERT_EQUAL(pins(), AEL_THREAD_PINS - 1);
    ael_thread_unpin(mine, place);
    for (uint32_t i = 0; i < AEL_THREAD_PINS; i++) {
        ael_thread_unpin(mine, i);
    }
    ael_pinned_table_clear(&table);
}

/* ---- retiring ---- */

static void test_retire__waits_for_pins(void) {
    static struct ael_retirees retirees = AEL_RETIREES_INIT(struct thing, retired, release);
    struct ael_pinned_table table;
    uint32_t place = 0;
    begin(&table);
    add(&table, 1);
    CU_ASSERT_PTR_EQUAL(borrow(&table, 1, &place), &g_things[1]);
    ael_pinned_table_remove(&table, &g_things[1].link);
    CU_ASSERT_PTR_NULL(find(&table, 1));
    ael_retire(&retirees, &g_things[1].retired);
    ael_retire(&retirees, &g_things[1].retired); /* two references */
    ael_retire(&retirees, &g_things[2].retired);
    ael_retirees_sweep(&retirees);
    CU_ASSERT_EQUAL(g_things[1].released, 1); /* the second one; the first one holds it */
    CU_ASSERT_EQUAL(g_things[2].released, 1);
    ael_thread_unpin(ael_thread_entry_mine(), place);
    ael_retirees_sweep(&retirees);
    CU_ASSERT_EQUAL(g_things[1].released, 2);
    CU_ASSERT_EQUAL(retirees.count, 0);
    ael_retirees_sweep(&retirees);
    CU_ASSERT_EQUAL(g_things[1].released, 2);
    ael_pinned_table_clear(&table);
}

/* What waits is a batch, and what is pinned. */
static void test_retire__sweeps_by_itself(void) {
    static struct ael_retirees retirees = AEL_RETIREES_INIT(struct thing, retired, release);
    struct ael_pinned_table table;
    size_t most = 0;
    begin(&table);
    ael_thread_pin(ael_thread_entry_mine(), 0, &g_things[0]);
    for (int i = 0; i < THINGS; i++) {
        ael_retire(&retirees, &g_things[i].retired);
        most = retirees.count > most ? retirees.count : most;
    }
    CU_ASSERT_TRUE(most <= AEL_RETIRE_BATCH + 1);
    CU_ASSERT_EQUAL(g_things[0].released, 0);
    ael_thread_unpin(ael_thread_entry_mine(), 0);
    ael_retirees_sweep(&retirees);
    for (int i = 0; i < THINGS; i++) {
        CU_ASSERT_EQUAL(g_things[i].released, 1);
    }
    CU_ASSERT_PTR_NULL(retirees.first);
}

static const struct test_case k_cases[] = {
    {"a random trace, against a model", test_find__agrees_with_a_model_on_a_random_trace},
    {"replacing keeps the chain", test_replace__keeps_the_chain},
    {"a bucket for each thing", test_add__grows_by_one},
    {"no memory", test_add__goes_on_in_longer_chains_without_memory},
    {"two places for pins", test_borrow__needs_two_places},
    {"the retired wait for pins", test_retire__waits_for_pins},
    {"the retired go in batches", test_retire__sweeps_by_itself},
};

TEST_SUITE_MAIN("pinned_table", k_cases)
