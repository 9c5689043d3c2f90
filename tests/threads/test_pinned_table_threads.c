/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads look into a table without its lock while others add, remove, replace and split under it: what a reader has
 * pinned is neither another thing than it looked for nor let go. A thing that is let go is marked at once, and used for
 * another number soon after; with AddressSanitizer, ThreadSanitizer and valgrind the same shows as what it is.
 */
#include "appencryption/cache/pinned_table.h"
#include "appencryption/cache/retire.h"
#include "base/alloc.h"
#include "base/barrier.h"
#include "base/thread_entry.h"
#include "tests/support/soak.h"
#include "tests/support/suite.h"

#include <pthread.h>

enum { READERS = 4, WRITERS = 2, NUMBERS = 64, LOOKS = 40 };

struct thing {
    struct ael_pinned_link link;
    struct ael_retiree retired;
    atomic_int number; /* -1 once it was let go */
};

struct world {
    struct ael_mutex lock;
    struct ael_pinned_table table;
    struct thing *things[NUMBERS]; /* what is in the table */
    atomic_bool over;
    atomic_llong found, wrong;
};

static atomic_llong g_released;

static void release(void *thing_) {
    struct thing *thing = thing_;
    atomic_store_explicit(&thing->number, -1, memory_order_relaxed);
    atomic_fetch_add(&g_released, 1);
    ael_free(thing);
}

static struct ael_retirees g_retirees = AEL_RETIREES_INIT(struct thing, retired, release);

static bool has_number(const void *thing, const void *wanted) {
    int number = atomic_load_explicit(&((const struct thing *)thing)->number, memory_order_relaxed);
    return number == *(const int *)wanted;
}

/* Eight numbers have a hash, so that readers go along chains as long as that. */
static uint64_t hash_of(int number) {
    return (uint64_t)number / 8 * 3;
}

static uint32_t next_random(uint32_t *state) {
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static void look(struct world *world, int number) {
    uint32_t place = 0;
    struct thing *thing = ael_pinned_table_borrow(&world->table, hash_of(number), has_number, &number, &place);
    if (thing == NULL) {
        return;
    }
    for (int i = 0; i < LOOKS; i++) {
        if (!has_number(thing, &number)) {
            atomic_fetch_add(&world->wrong, 1);
        }
    }
    atomic_fetch_add_explicit(&world->found, 1, memory_order_relaxed);
    ael_thread_unpin(ael_thread_entry_here, place);
}

static void *read_all_along(void *world_) {
    struct world *world = world_;
    uint32_t seed = (uint32_t)(uintptr_t)&world_ >> 4;
    while (!atomic_load_explicit(&world->over, memory_order_relaxed)) {
        look(world, (int)(next_random(&seed) % NUMBERS));
    }
    return NULL;
}

static struct thing *make(int number) {
    struct thing *thing = ael_alloc(sizeof *thing);
    if (thing != NULL) {
        atomic_init(&thing->number, number);
    }
    return thing;
}

/* Puts a thing in, takes it out, or another in its place. @return what left. Under the lock. */
static struct thing *change(struct world *world, int number, bool replace) {
    struct thing *old = world->things[number];
    struct thing *made = old == NULL || replace ? make(number) : NULL;
    world->things[number] = made;
    if (old == NULL) {
        (void)ael_pinned_table_add(&world->table, &made->link, hash_of(number));
    } else if (made == NULL) {
        ael_pinned_table_remove(&world->table, &old->link);
    } else {
        ael_pinned_table_replace(&world->table, &old->link, &made->link);
    }
    return old;
}

static void *change_so_often(void *world_) {
    struct world *world = world_;
    uint32_t seed = (uint32_t)(uintptr_t)&world_ >> 4;
    for (int i = 0; i < soak_count(20000, 5000000); i++) {
        int number = (int)(next_random(&seed) % NUMBERS);
        ael_mutex_lock(&world->lock);
        struct thing *old = change(world, number, next_random(&seed) % 3 == 0);
        ael_mutex_unlock(&world->lock);
        if (old != NULL) {
            ael_retire(&g_retirees, &old->retired);
            ael_retirees_sweep(&g_retirees); /* at once, and with an interrupt for who reads just now */
        }
    }
    return NULL;
}

/* Buckets go away with a table, so each of several has all its splits under readers. */
static void run_one_table(struct world *world) {
    pthread_t threads[READERS + WRITERS];
    ael_pinned_table_init(&world->table, offsetof(struct thing, link));
    atomic_store(&world->over, false);
    for (int i = 0; i < READERS + WRITERS; i++) {
        CU_ASSERT_EQUAL_FATAL(
            pthread_create(&threads[i], NULL, i < READERS ? read_all_along : change_so_often, world), 0);
    }
    for (int i = READERS; i < READERS + WRITERS; i++) {
        pthread_join(threads[i], NULL);
    }
    atomic_store(&world->over, true);
    for (int i = 0; i < READERS; i++) {
        pthread_join(threads[i], NULL);
    }
    for (int number = 0; number < NUMBERS; number++) {
        ael_free(world->things[number]);
        world->things[number] = NULL;
    }
    ael_pinned_table_clear(&world->table);
}

static void run(void) {
    static struct world world = {.lock = AEL_MUTEX_INIT};
    long long released = atomic_load(&g_released);
    atomic_store(&world.found, 0);
    for (int table = 0; table < 3; table++) {
        run_one_table(&world);
    }
    ael_retirees_sweep(&g_retirees);
    CU_ASSERT_EQUAL(atomic_load(&world.wrong), 0);
    CU_ASSERT_TRUE(atomic_load(&world.found) > 0);
    CU_ASSERT_TRUE(atomic_load(&g_released) > released);
    CU_ASSERT_PTR_NULL(g_retirees.first);
}

static void test_borrow__against_changes(void) {
    ael_barrier_prepare();
    run();
}

static void test_borrow__against_changes_with_fences(void) {
    ael_barrier_use_fences_for_test(true);
    run();
    ael_barrier_use_fences_for_test(false);
}

static const struct test_case k_cases[] = {
    {"looking up against changes", test_borrow__against_changes},
    {"the same with fences", test_borrow__against_changes_with_fences},
};

TEST_SUITE_MAIN("pinned_table_threads", k_cases)
