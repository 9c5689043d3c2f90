/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/eviction.h"
#include "tests/support/suite.h"


enum { NODES = 16 };
static struct ael_eviction_node g_nodes[NODES];

static void begin(struct ael_evictor *evictor, enum ael_eviction eviction, size_t capacity, size_t count) {
    struct ael_cache_bound bound = {.eviction = eviction, .capacity = capacity};
    ael_evictor_init(evictor, &bound);
    for (size_t i = 0; i < count; i++) {
        ael_evictor_add(evictor, &g_nodes[i], 1);
    }
}

/* Evicts the victim, which must be node i. */
static void expect_victim(struct ael_evictor *evictor, size_t i) {
    struct ael_eviction_node *victim = ael_evictor_victim(evictor);
    CU_ASSERT_PTR_EQUAL(victim, &g_nodes[i]);
    if (victim != NULL) {
        ael_evictor_remove(evictor, victim);
    }
}

static void test_simple__never_evicts(void) {
    struct ael_evictor evictor;
    begin(&evictor, AEL_EVICTION_SIMPLE, 1, NODES);
    ael_evictor_touch(&evictor, &g_nodes[0]);
    CU_ASSERT_PTR_NULL(ael_evictor_victim(&evictor));
}

static void test_lru__evicts_the_least_recently_used(void) {
    struct ael_evictor evictor;
    begin(&evictor, AEL_EVICTION_LRU, 3, 3);
    CU_ASSERT_PTR_NULL(ael_evictor_victim(&evictor));
    ael_evictor_touch(&evictor, &g_nodes[0]);
    ael_evictor_add(&evictor, &g_nodes[3], 1);
    expect_victim(&evictor, 1);
    CU_ASSERT_PTR_NULL(ael_evictor_victim(&evictor));
    ael_evictor_add(&evictor, &g_nodes[4], 1);
    expect_victim(&evictor, 2);
    ael_evictor_add(&evictor, &g_nodes[5], 1);
    expect_victim(&evictor, 0);
}

static void test_slru__keeps_what_was_used_twice(void) {
    struct ael_evictor evictor;
    begin(&evictor, AEL_EVICTION_SLRU, 5, 5);
    ael_evictor_touch(&evictor, &g_nodes[0]);
    ael_evictor_touch(&evictor, &g_nodes[1]);
    for (size_t i = 5; i < 10; i++) {
        ael_evictor_add(&evictor, &g_nodes[i], 1);
        expect_victim(&evictor, i - 3);
    }
    CU_ASSERT_TRUE(g_nodes[0].is_protected);
    CU_ASSERT_TRUE(g_nodes[1].is_protected);
}

static void test_slru__sends_the_overflow_back_on_probation(void) {
    struct ael_evictor evictor;
    begin(&evictor, AEL_EVICTION_SLRU, 5, 5);
    for (size_t i = 0; i < 5; i++) {
        ael_evictor_touch(&evictor, &g_nodes[i]);
    }
    CU_ASSERT_FALSE(g_nodes[0].is_protected);
    CU_ASSERT_TRUE(g_nodes[1].is_protected);
    ael_evictor_add(&evictor, &g_nodes[5], 1);
    expect_victim(&evictor, 0);
    ael_evictor_remove(&evictor, &g_nodes[5]);
    ael_evictor_remove(&evictor, &g_nodes[2]);
    ael_evictor_add(&evictor, &g_nodes[6], 3);
    expect_victim(&evictor, 6);
}

static void test_slru__evicts_protected_ones_when_there_are_no_others(void) {
    struct ael_evictor evictor;
    begin(&evictor, AEL_EVICTION_SLRU, 10, 2);
    g_nodes[0].cost = 1;
    ael_evictor_remove(&evictor, &g_nodes[1]);
    ael_evictor_touch(&evictor, &g_nodes[0]);
    evictor.capacity = 0;
    expect_victim(&evictor, 0);
    CU_ASSERT_PTR_NULL(ael_evictor_victim(&evictor));
}

static void test_cost__counts_bytes(void) {
    struct ael_evictor evictor;
    begin(&evictor, AEL_EVICTION_LRU, 100, 0);
    ael_evictor_add(&evictor, &g_nodes[0], 60);
    CU_ASSERT_PTR_NULL(ael_evictor_victim(&evictor));
    ael_evictor_add(&evictor, &g_nodes[1], 40);
    CU_ASSERT_PTR_NULL(ael_evictor_victim(&evictor));
    ael_evictor_add(&evictor, &g_nodes[2], 1);
    expect_victim(&evictor, 0);
    CU_ASSERT_PTR_NULL(ael_evictor_victim(&evictor));
    ael_evictor_add(&evictor, &g_nodes[3], 200);
    expect_victim(&evictor, 1);
    expect_victim(&evictor, 2);
    expect_victim(&evictor, 3);
}

static const struct test_case k_cases[] = {
    {"simple never evicts", test_simple__never_evicts},
    {"lru evicts the least recently used", test_lru__evicts_the_least_recently_used},
    {"slru keeps what was used twice", test_slru__keeps_what_was_used_twice},
    {"slru demotes the overflow", test_slru__sends_the_overflow_back_on_probation},
    {"slru evicts protected ones last", test_slru__evicts_protected_ones_when_there_are_no_others},
    {"costs are counted", test_cost__counts_bytes},
};

TEST_SUITE_MAIN("eviction", k_cases)
