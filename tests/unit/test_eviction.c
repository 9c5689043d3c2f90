/* SPDX-License-Identifier: Apache-2.0 */
/* Which entry goes: by small stories, and on random traces against plain models that look at every entry. */
#include "appencryption/cache/eviction.h"
#include "tests/support/soak.h"
#include "tests/support/suite.h"

#include <string.h>

enum { NODES = 400 };
static struct ael_eviction_node g_nodes[NODES];

static uint64_t hash_of(size_t i) {
    return (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

static void add(struct ael_evictor *evictor, size_t i, size_t cost) {
    ael_evictor_add(evictor, &g_nodes[i], cost, hash_of(i));
}

static void begin(struct ael_evictor *evictor, enum ael_eviction eviction, size_t capacity, size_t count) {
    struct ael_cache_bound bound = {.eviction = eviction, .capacity = capacity};
    ael_evictor_init(evictor, &bound);
    for (size_t i = 0; i < count; i++) {
        add(evictor, i, 1);
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

static void touch(struct ael_evictor *evictor, size_t i) {
    ael_evictor_touch(evictor, &g_nodes[i]);
}

static void test_simple__never_evicts(void) {
    struct ael_evictor evictor;
    begin(&evictor, AEL_EVICTION_SIMPLE, 1, NODES);
    touch(&evictor, 0);
    CU_ASSERT_PTR_NULL(ael_evictor_victim(&evictor));
}

static void test_lru__evicts_the_least_recently_used(void) {
    struct ael_evictor evictor;
    begin(&evictor, AEL_EVICTION_LRU, 3, 3);
    CU_ASSERT_PTR_NULL(ael_evictor_victim(&evictor));
    touch(&evictor, 0);
    add(&evictor, 3, 1);
    expect_victim(&evictor, 1);
    CU_ASSERT_PTR_NULL(ael_evictor_victim(&evictor));
    add(&evictor, 4, 1);
    expect_victim(&evictor, 2);
    add(&evictor, 5, 1);
    expect_victim(&evictor, 0);
}

static void test_lfu__evicts_the_least_often_used(void) {
    struct ael_evictor evictor;
    begin(&evictor, AEL_EVICTION_LFU, 3, 3);
    touch(&evictor, 0);
    touch(&evictor, 0);
    touch(&evictor, 1);
    add(&evictor, 3, 1);
    expect_victim(&evictor, 2);
    add(&evictor, 4, 1);
    expect_victim(&evictor, 3);
    touch(&evictor, 4);
    add(&evictor, 5, 1);
    expect_victim(&evictor, 5); /* the newest, used once alone */
    ael_evictor_remove(&evictor, &g_nodes[0]);
    add(&evictor, 6, 2);
    touch(&evictor, 6);
    expect_victim(&evictor, 1);
}

static void test_slru__keeps_what_was_used_twice(void) {
    struct ael_evictor evictor;
    begin(&evictor, AEL_EVICTION_SLRU, 5, 5);
    touch(&evictor, 0);
    touch(&evictor, 1);
    for (size_t i = 5; i < 10; i++) {
        add(&evictor, i, 1);
        expect_victim(&evictor, i - 3);
    }
    CU_ASSERT_EQUAL(evictor.lists[1].cost, 2);
}

static void test_slru__sends_the_overflow_back_on_probation(void) {
    struct ael_evictor evictor;
    begin(&evictor, AEL_EVICTION_SLRU, 5, 5);
    for (size_t i = 0; i < 5; i++) {
        touch(&evictor, i);
    }
    CU_ASSERT_EQUAL(evictor.lists[1].cost, 4);
    CU_ASSERT_PTR_EQUAL(evictor.lists[0].oldest, &g_nodes[0]);
    add(&evictor, 5, 1);
    expect_victim(&evictor, 0);
    ael_evictor_remove(&evictor, &g_nodes[5]);
    ael_evictor_remove(&evictor, &g_nodes[2]);
    add(&evictor, 6, 3);
    expect_victim(&evictor, 6);
}

static void test_slru__evicts_protected_ones_when_there_are_no_others(void) {
    struct ael_evictor evictor;
    begin(&evictor, AEL_EVICTION_SLRU, 10, 2);
    ael_evictor_remove(&evictor, &g_nodes[1]);
    touch(&evictor, 0);
    evictor.capacity = 0;
    expect_victim(&evictor, 0);
    CU_ASSERT_PTR_NULL(ael_evictor_victim(&evictor));
}

/* Adds it and evicts what is over the bound; true when it stayed. */
static bool stays(struct ael_evictor *evictor, size_t i) {
    bool stayed = true;
    add(evictor, i, 1);
    for (struct ael_eviction_node *victim = NULL; (victim = ael_evictor_victim(evictor)) != NULL;) {
        ael_evictor_remove(evictor, victim);
        stayed = stayed && victim != &g_nodes[i];
    }
    return stayed;
}

static void test_tinylfu__lets_in_only_what_is_asked_for_more_often(void) {
    struct ael_evictor evictor;
    begin(&evictor, AEL_EVICTION_TINYLFU, 10, 10);
    for (size_t i = 0; i < 10; i++) {
        touch(&evictor, i);
        touch(&evictor, i);
    }
    for (size_t i = 10; i < 40; i++) { /* each comes once, waits in the window for the next one, and goes */
        CU_ASSERT_TRUE(stays(&evictor, i));
        CU_ASSERT_EQUAL(evictor.lists[2].cost, 1);
        CU_ASSERT_PTR_EQUAL(evictor.lists[2].newest, &g_nodes[i]);
    }
    ael_evictor_remove(&evictor, evictor.lists[2].oldest);
    for (int times = 0; times < 6; times++) { /* one that comes again and again gets in */
        add(&evictor, 50, 1);
        if (stays(&evictor, (size_t)(60 + times)) && evictor.lists[0].newest == &g_nodes[50]) {
            break;
        }
        ael_evictor_remove(&evictor, &g_nodes[60 + times]);
    }
    CU_ASSERT_PTR_EQUAL(evictor.lists[0].newest, &g_nodes[50]);
    CU_ASSERT_EQUAL(evictor.count, 10);
    ael_evictor_clear(&evictor);
}

static void test_capacity_of_one_and_none__holds(void) {
    const enum ael_eviction all[] = {
        AEL_EVICTION_LRU, AEL_EVICTION_LFU, AEL_EVICTION_SLRU, AEL_EVICTION_TINYLFU};
    for (size_t e = 0; e < sizeof all / sizeof all[0]; e++) {
        for (size_t capacity = 0; capacity <= 1; capacity++) {
            struct ael_evictor evictor;
            begin(&evictor, all[e], capacity, 0);
            for (size_t i = 0; i < 20; i++) {
                add(&evictor, i, 1);
                touch(&evictor, i);
                for (struct ael_eviction_node *victim = NULL;
                     (victim = ael_evictor_victim(&evictor)) != NULL;) {
                    ael_evictor_remove(&evictor, victim);
                }
                CU_ASSERT_EQUAL(evictor.count, capacity);
                CU_ASSERT_EQUAL(evictor.cost, capacity);
            }
            ael_evictor_clear(&evictor);
        }
    }
}

static void test_cost__counts_bytes(void) {
    struct ael_evictor evictor;
    begin(&evictor, AEL_EVICTION_LRU, 100, 0);
    add(&evictor, 0, 60);
    CU_ASSERT_PTR_NULL(ael_evictor_victim(&evictor));
    add(&evictor, 1, 40);
    CU_ASSERT_PTR_NULL(ael_evictor_victim(&evictor));
    add(&evictor, 2, 1);
    expect_victim(&evictor, 0);
    CU_ASSERT_PTR_NULL(ael_evictor_victim(&evictor));
    add(&evictor, 3, 200);
    expect_victim(&evictor, 1);
    expect_victim(&evictor, 2);
    expect_victim(&evictor, 3);
}

static void test_replace__takes_the_place_of_the_old_one(void) {
    const enum ael_eviction all[] = {AEL_EVICTION_LRU, AEL_EVICTION_LFU, AEL_EVICTION_SLRU};
    for (size_t e = 0; e < sizeof all / sizeof all[0]; e++) {
        for (size_t which = 0; which < 3; which++) {
            struct ael_evictor evictor;
            begin(&evictor, all[e], 3, 3);
            ael_evictor_replace(&evictor, &g_nodes[which], &g_nodes[9]);
            evictor.capacity = 0;
            for (size_t i = 0; i < 3; i++) {
                expect_victim(&evictor, i == which ? 9 : i);
            }
            CU_ASSERT_EQUAL(evictor.count, 0);
        }
    }
}

/* ---- against a model that knows no lists: numbers in an array, and a look at all of them ---- */

enum { ABSENT = -1, ON_PROBATION = 0, IS_PROTECTED = 1 };

struct model {
    enum ael_eviction eviction;
    size_t capacity;
    long long now;
    struct {
        int where; /* lfu: the count of uses */
        long long moved;
        size_t cost;
    } at[NODES];
};

static void model_move(struct model *model, size_t i, int where) {
    model->at[i].where = where;
    model->at[i].moved = model->now++;
}

static size_t model_cost(const struct model *model, int where) {
    size_t sum = 0;
    for (size_t i = 0; i < NODES; i++) {
        bool counts = where == ABSENT ? model->at[i].where != ABSENT : model->at[i].where == where;
        sum += counts ? model->at[i].cost : 0;
    }
    return sum;
}

/* The one that has been there the longest; NODES when there is none. */
static size_t model_oldest(const struct model *model, int where) {
    size_t oldest = NODES;
    for (size_t i = 0; i < NODES; i++) {
        if (model->at[i].where == where &&
            (oldest == NODES || model->at[i].moved < model->at[oldest].moved)) {
            oldest = i;
        }
    }
    return oldest;
}

static void model_protect(struct model *model, size_t i) {
    model_move(model, i, IS_PROTECTED);
    while (model_cost(model, IS_PROTECTED) > model->capacity * 4 / 5) {
        model_move(model, model_oldest(model, IS_PROTECTED), ON_PROBATION);
    }
}

static void model_touch(struct model *model, size_t i) {
    int where = model->at[i].where;
    if (model->eviction == AEL_EVICTION_SLRU) {
        model_protect(model, i);
    } else if (model->eviction == AEL_EVICTION_LFU) {
        model_move(model, i, where < AEL_EVICTION_LISTS - 1 ? where + 1 : where);
    } else {
        model_move(model, i, where);
    }
}

static size_t model_victim(const struct model *model) {
    if (model_cost(model, ABSENT) <= model->capacity) {
        return NODES;
    }
    size_t victim = NODES;
    for (int where = 0; where < AEL_EVICTION_LISTS && victim == NODES; where++) {
        victim = model_oldest(model, where);
    }
    return victim;
}

static uint32_t next_random(uint32_t *state) {
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Small numbers come more often. */
static size_t draw(uint32_t *state) {
    size_t a = next_random(state) % NODES;
    size_t b = next_random(state) % NODES;
    return a * b / NODES;
}

struct run {
    struct ael_evictor evictor;
    struct model model;
    int differences;
    uint64_t steps_max; /* of one operation */
    uint64_t operations;
};

static void run_evict(struct run *run) {
    for (;;) {
        struct ael_eviction_node *victim = ael_evictor_victim(&run->evictor);
        size_t expected = model_victim(&run->model);
        run->differences += victim != (expected == NODES ? NULL : &g_nodes[expected]);
        if (victim == NULL || expected == NODES) {
            return;
        }
        ael_evictor_remove(&run->evictor, victim);
        run->model.at[expected].where = ABSENT;
    }
}

static void run_use(struct run *run, size_t i, size_t cost) {
    if (run->model.at[i].where != ABSENT) {
        touch(&run->evictor, i);
        model_touch(&run->model, i);
    } else {
        add(&run->evictor, i, cost);
        run->model.at[i].cost = cost;
        model_move(&run->model, i, 0);
    }
}

static void compare(enum ael_eviction eviction, size_t capacity, size_t costs, uint32_t seed) {
    static struct run run;
    memset(&run, 0, sizeof run);
    begin(&run.evictor, eviction, capacity, 0);
    run.model = (struct model){.eviction = eviction, .capacity = capacity};
    for (size_t i = 0; i < NODES; i++) {
        run.model.at[i].where = ABSENT;
    }
    for (int i = 0; i < soak_count(2000, 100000) && run.differences == 0; i++) {
        run_use(&run, draw(&seed), 1 + next_random(&seed) % costs);
        run_evict(&run);
        CU_ASSERT_TRUE(run.evictor.cost <= capacity);
    }
    CU_ASSERT_EQUAL(run.differences, 0);
    CU_ASSERT_EQUAL(run.evictor.cost, model_cost(&run.model, ABSENT));
}

static void test_traces__evict_as_the_plain_models_do(void) {
    const enum ael_eviction all[] = {AEL_EVICTION_LRU, AEL_EVICTION_LFU, AEL_EVICTION_SLRU};
    const size_t capacities[] = {0, 1, 2, 7, 100, 399};
    for (size_t e = 0; e < sizeof all / sizeof all[0]; e++) {
        for (size_t c = 0; c < sizeof capacities / sizeof capacities[0]; c++) {
            compare(all[e], capacities[c], 1, (uint32_t)(e * 10 + c));
            compare(all[e], capacities[c], 9, (uint32_t)(e * 10 + c + 1000));
        }
    }
}

/* ---- tinylfu: whom it keeps; and what everything costs ---- */

/* Evicts what is over the bound, and notes who is not there any more. */
static void evict(struct ael_evictor *evictor, bool there[NODES]) {
    for (struct ael_eviction_node *victim = NULL; (victim = ael_evictor_victim(evictor)) != NULL;) {
        ael_evictor_remove(evictor, victim);
        there[victim - g_nodes] = false;
    }
}

/* One use in four is of a hot set of 50, the others never come again: how many of the hot uses found what they need. */
static int hot_hits(enum ael_eviction eviction) {
    enum { HOT = 50, LIVE = 100, ROUNDS = 8000 };
    struct ael_evictor evictor;
    bool there[NODES] = {false};
    uint32_t seed = 5;
    int hits = 0;
    begin(&evictor, eviction, LIVE, 0);
    for (size_t i = 0; i < ROUNDS; i++) {
        bool is_hot = i % 4 == 0;
        size_t which = is_hot ? next_random(&seed) % HOT : HOT + i % (NODES - HOT);
        hits += is_hot && there[which];
        if (there[which] && is_hot) {
            touch(&evictor, which);
            continue;
        }
        if (there[which]) {
            ael_evictor_remove(&evictor, &g_nodes[which]);
        }
        ael_evictor_add(&evictor, &g_nodes[which], 1, hash_of(is_hot ? which : NODES + i));
        there[which] = true;
        evict(&evictor, there);
        CU_ASSERT_TRUE(evictor.count <= LIVE);
    }
    ael_evictor_clear(&evictor);
    return hits * 100 / (ROUNDS / 4);
}

static void test_flood__leaves_the_hot_set(void) {
    int lru = hot_hits(AEL_EVICTION_LRU);
    CU_ASSERT_TRUE(hot_hits(AEL_EVICTION_SLRU) > 80);
    CU_ASSERT_TRUE(hot_hits(AEL_EVICTION_LFU) > 80);
    CU_ASSERT_TRUE(hot_hits(AEL_EVICTION_TINYLFU) > 80);
    CU_ASSERT_TRUE(lru < 50);
}

/* List changes an operation, with so many entries. */
static double moves_an_operation(enum ael_eviction eviction, size_t live) {
    struct ael_evictor evictor;
    bool there[NODES] = {false};
    uint32_t seed = 9;
    enum { OPERATIONS = 5000 };
    begin(&evictor, eviction, live, 0);
    for (int i = 0; i < OPERATIONS; i++) {
        size_t which = draw(&seed);
        if (there[which]) {
            touch(&evictor, which);
        } else {
            add(&evictor, which, 1);
        }
        there[which] = true;
        evict(&evictor, there);
    }
    ael_evictor_clear(&evictor);
    return (double)evictor.moves / OPERATIONS;
}

static void test_steps__do_not_grow_with_the_cache(void) {
    const enum ael_eviction all[] = {
        AEL_EVICTION_LRU, AEL_EVICTION_LFU, AEL_EVICTION_SLRU, AEL_EVICTION_TINYLFU};
    for (size_t e = 0; e < sizeof all / sizeof all[0]; e++) {
        CU_ASSERT_TRUE(moves_an_operation(all[e], 4) <= 2);
        CU_ASSERT_TRUE(moves_an_operation(all[e], 350) <= 2);
    }
}

static const struct test_case k_cases[] = {
    {"simple never evicts", test_simple__never_evicts},
    {"lru evicts the least recently used", test_lru__evicts_the_least_recently_used},
    {"lfu evicts the least often used", test_lfu__evicts_the_least_often_used},
    {"slru keeps what was used twice", test_slru__keeps_what_was_used_twice},
    {"slru demotes the overflow", test_slru__sends_the_overflow_back_on_probation},
    {"slru evicts protected ones last", test_slru__evicts_protected_ones_when_there_are_no_others},
    {"tinylfu chooses whom it lets in", test_tinylfu__lets_in_only_what_is_asked_for_more_often},
    {"capacities of one and none", test_capacity_of_one_and_none__holds},
    {"costs are counted", test_cost__counts_bytes},
    {"a replaced entry keeps its place", test_replace__takes_the_place_of_the_old_one},
    {"random traces, against plain models", test_traces__evict_as_the_plain_models_do},
    {"a flood leaves the hot set", test_flood__leaves_the_hot_set},
    {"steps do not grow with the cache", test_steps__do_not_grow_with_the_cache},
};

TEST_SUITE_MAIN("eviction", k_cases)
