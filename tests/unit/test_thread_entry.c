/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers that are given once, also where a thread that is not in the child was just drawing some. */
#include "base/fork.h"
#include "base/thread_entry.h"
#include "tests/support/child.h"
#include "tests/support/suite.h"

#include <pthread.h>

enum { DRAWS = 3000 };

struct drawer {
    struct ael_thread_entry *entry;
    uint64_t first;
};

static void *draw_one(void *drawer_) {
    struct drawer *drawer = drawer_;
    drawer->first = ael_unique_number();
    drawer->entry = ael_thread_entry_mine();
    return NULL;
}

static struct drawer drawer_of_one(void) {
    struct drawer drawer = {NULL, 0};
    pthread_t thread;
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, draw_one, &drawer), 0);
    CU_ASSERT_EQUAL_FATAL(pthread_join(thread, NULL), 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(drawer.entry);
    return drawer;
}

static struct ael_thread_entry *g_torn;

static void draw(struct ael_thread_entry *as, uint64_t numbers[static DRAWS]) {
    struct ael_thread_entry *mine = ael_thread_entry_here;
    ael_thread_entry_here = as;
    for (int i = 0; i < DRAWS; i++) {
        numbers[i] = ael_unique_number();
    }
    ael_thread_entry_here = mine;
}

/* Each draws rising numbers. */
static int draw_from_two_entries(void) {
    if (ael_fork_count() != 1) {
        return 2;
    }
    static uint64_t one[DRAWS];
    static uint64_t other[DRAWS];
    draw(g_torn, one);
    draw(ael_thread_entry_mine(), other);
    for (int i = 0, j = 0; i < DRAWS && j < DRAWS;) {
        if (one[i] == other[j]) {
            return 1;
        }
        *(one[i] < other[j] ? &i : &j) += 1;
    }
    return 0;
}

/* A fork between the two stores with which a thread takes its next block: where it begins is there, its end is not. */
static void test_numbers__are_given_once_after_a_fork_between_two_stores(void) {
    struct ael_thread_entry *mine = ael_thread_entry_mine();
    CU_ASSERT_PTR_NOT_NULL_FATAL(mine);
    (void)ael_unique_number();
    g_torn = drawer_of_one().entry; /* left, and taken over by the next thread */
    g_torn->next_number = g_torn->end_number;
    struct drawer drawer = drawer_of_one();
    CU_ASSERT_PTR_EQUAL_FATAL(drawer.entry, g_torn);
    uint64_t block_end = g_torn->end_number;
    g_torn->next_number = drawer.first;
    g_torn->end_number = drawer.first - 1; /* of a block before */
    CU_ASSERT_EQUAL(child_run(draw_from_two_entries), 0);
    g_torn->next_number = g_torn->end_number = block_end;
}

static const struct test_case k_cases[] = {
    {"numbers over a fork", test_numbers__are_given_once_after_a_fork_between_two_stores},
};

TEST_SUITE_MAIN("thread_entry", k_cases)
