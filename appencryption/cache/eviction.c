/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/cache/eviction.h"

enum {
    LIST_BITS = 4,
    LAST_COUNT = AEL_EVICTION_LISTS - 1, /* of lfu */
};

/* Of slru and tinylfu; lru has the first alone. */
enum { PROBATION = 0, PROTECTED = 1, WINDOW = 2 };

static uint32_t list_of(const struct ael_eviction_node *node) {
    return node->mark & ((1u << LIST_BITS) - 1);
}

static uint32_t hash_of(const struct ael_eviction_node *node) {
    return node->mark >> LIST_BITS;
}

/* Puts a node that is in no list into one, as its newest. */
static void push(struct ael_evictor *evictor, struct ael_eviction_node *node, uint32_t number) {
    struct ael_eviction_list *list = &evictor->lists[number];
    node->mark = hash_of(node) << LIST_BITS | number;
    node->newer = NULL;
    node->older = list->newest;
    if (list->newest != NULL) {
        list->newest->newer = node;
    } else {
        list->oldest = node;
    }
    list->newest = node;
    list->cost += node->cost;
    evictor->filled |= 1u << number;
    evictor->moves++;
}

static void pull(struct ael_evictor *evictor, struct ael_eviction_node *node) {
    struct ael_eviction_list *list = &evictor->lists[list_of(node)];
    *(node->older != NULL ? &node->older->newer : &list->oldest) = node->newer;
    *(node->newer != NULL ? &node->newer->older : &list->newest) = node->older;
    list->cost -= node->cost;
    if (list->oldest == NULL) {
        evictor->filled &= ~(1u << list_of(node));
    }
}

static void move(struct ael_evictor *evictor, struct ael_eviction_node *node, uint32_t number) {
    pull(evictor, node);
    push(evictor, node, number);
}

/* see appencryption/cache/eviction.h */
void ael_evictor_init(struct ael_evictor *evictor, const struct ael_cache_bound *bound) {
    *evictor = (struct ael_evictor){.eviction = bound->eviction, .capacity = bound->capacity};
}

/* see appencryption/cache/eviction.h */
void ael_evictor_clear(struct ael_evictor *evictor) {
    ael_frequency_sketch_clear(&evictor->sketch);
}

/* An hundredth of the capacity, one unit at least. */
static bool window_overflows(const struct ael_evictor *evictor) {
    size_t limit = evictor->capacity / 100;
    return evictor->lists[WINDOW].cost > (limit > 0 ? limit : 1);
}

/* Into the window, and out of it what does not fit, as long as nothing has to go for that. */
static void add_to_window(struct ael_evictor *evictor, struct ael_eviction_node *node) {
    ael_frequency_sketch_fit(&evictor->sketch, evictor->count);
    ael_frequency_sketch_note(&evictor->sketch, hash_of(node));
    push(evictor, node, WINDOW);
    while (evictor->cost <= evictor->capacity && window_overflows(evictor)) {
        move(evictor, evictor->lists[WINDOW].oldest, PROBATION);
    }
}

/* see appencryption/cache/eviction.h */
void ael_evictor_add(
    struct ael_evictor *evictor, struct ael_eviction_node *node, size_t cost, uint64_t hash) {
    node->cost = cost < AEL_EVICTION_COST_MAX ? (uint16_t)cost : AEL_EVICTION_COST_MAX;
    node->mark = (uint32_t)(hash >> 32) << LIST_BITS;
    evictor->cost += node->cost;
    evictor->count++;
    if (evictor->eviction == AEL_EVICTION_TINYLFU) {
        add_to_window(evictor, node);
    } else {
        push(evictor, node, PROBATION);
    }
}

/* Protects an entry, and sends the longest unused protected ones back on probation, as its newest. */
static void protect(struct ael_evictor *evictor, struct ael_eviction_node *node) {
    size_t limit = evictor->capacity / 5 * 4 + evictor->capacity % 5 * 4 / 5;
    move(evictor, node, PROTECTED);
    while (evictor->lists[PROTECTED].cost > limit) {
        move(evictor, evictor->lists[PROTECTED].oldest, PROBATION);
    }
}

/* see appencryption/cache/eviction.h */
void ael_evictor_touch(struct ael_evictor *evictor, struct ael_eviction_node *node) {
    uint32_t number = list_of(node);
    switch (evictor->eviction) {
    case AEL_EVICTION_LRU:
        move(evictor, node, number);
        break;
    case AEL_EVICTION_LFU:
        move(evictor, node, number < LAST_COUNT ? number + 1 : number);
        break;
    case AEL_EVICTION_SLRU:
        protect(evictor, node);
        break;
    case AEL_EVICTION_TINYLFU:
        ael_frequency_sketch_note(&evictor->sketch, hash_of(node));
        if (number == WINDOW) {
            move(evictor, node, WINDOW);
        } else {
            protect(evictor, node);
        }
        break;
    case AEL_EVICTION_SIMPLE:
    case AEL_EVICTION_DEFAULT:
        break;
    }
}

/* see appencryption/cache/eviction.h */
void ael_evictor_remove(struct ael_evictor *evictor, struct ael_eviction_node *node) {
    pull(evictor, node);
    evictor->cost -= node->cost;
    evictor->count--;
}

/* see appencryption/cache/eviction.h */
void ael_evictor_replace(
    struct ael_evictor *evictor, struct ael_eviction_node *old, struct ael_eviction_node *node) {
    struct ael_eviction_list *list = &evictor->lists[list_of(old)];
    node->older = old->older;
    node->newer = old->newer;
    node->mark = old->mark;
    node->cost = old->cost;
    *(node->older != NULL ? &node->older->newer : &list->oldest) = node;
    *(node->newer != NULL ? &node->newer->older : &list->newest) = node;
}

/* see appencryption/cache/eviction.h */
bool ael_evictor_take_uses(struct ael_evictor *evictor, struct ael_eviction_node *node) {
    unsigned noted = atomic_exchange_explicit(&node->uses, 0, memory_order_relaxed);
    for (unsigned i = 0; i < noted; i++) {
        ael_evictor_touch(evictor, node);
    }
    return noted > 0;
}

/* The oldest on probation, else of the protected, else of the window. */
static struct ael_eviction_node *oldest_of_main(const struct ael_evictor *evictor) {
    const struct ael_eviction_list *lists = evictor->lists;
    return lists[PROBATION].oldest != NULL ? lists[PROBATION].oldest : lists[PROTECTED].oldest;
}

/* Holds what leaves the window against what would go for it. */
static struct ael_eviction_node *choose(struct ael_evictor *evictor) {
    struct ael_eviction_node *candidate = evictor->lists[WINDOW].oldest;
    struct ael_eviction_node *victim = oldest_of_main(evictor);
    if (victim == NULL) {
        return candidate;
    }
    if (candidate == NULL || !window_overflows(evictor)) {
        return victim;
    }
    if (ael_frequency_sketch_estimate(&evictor->sketch, hash_of(candidate)) <=
        ael_frequency_sketch_estimate(&evictor->sketch, hash_of(victim))) {
        return candidate;
    }
    move(evictor, candidate, PROBATION);
    return victim;
}

/* see appencryption/cache/eviction.h */
struct ael_eviction_node *ael_evictor_victim(struct ael_evictor *evictor) {
    if (evictor->eviction == AEL_EVICTION_SIMPLE || evictor->cost <= evictor->capacity) {
        return NULL;
    }
    if (evictor->eviction == AEL_EVICTION_TINYLFU) {
        return choose(evictor);
    }
    return evictor->lists[__builtin_ctz(evictor->filled)].oldest;
}
