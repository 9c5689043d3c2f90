/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/eviction.h"

static void list_init(struct ael_eviction_list *list) {
    list->ends.older = &list->ends;
    list->ends.newer = &list->ends;
    list->cost = 0;
}

static void list_push_newest(struct ael_eviction_list *list, struct ael_eviction_node *node) {
    node->newer = &list->ends;
    node->older = list->ends.older;
    node->older->newer = node;
    list->ends.older = node;
    list->cost += node->cost;
}

static void list_remove(struct ael_eviction_list *list, struct ael_eviction_node *node) {
    node->older->newer = node->newer;
    node->newer->older = node->older;
    list->cost -= node->cost;
}

static struct ael_eviction_node *list_oldest(struct ael_eviction_list *list) {
    return list->ends.newer == &list->ends ? NULL : list->ends.newer;
}

static struct ael_eviction_list *list_of(struct ael_evictor *evictor, const struct ael_eviction_node *node) {
    return node->is_protected ? &evictor->protected_entries : &evictor->probation;
}

/* see appencryption/eviction.h */
void ael_evictor_init(struct ael_evictor *evictor, const struct ael_cache_bound *bound) {
    evictor->eviction = bound->eviction;
    evictor->capacity = bound->capacity;
    list_init(&evictor->probation);
    list_init(&evictor->protected_entries);
}

/* see appencryption/eviction.h */
void ael_evictor_add(struct ael_evictor *evictor, struct ael_eviction_node *node, size_t cost) {
    node->cost = cost;
    node->is_protected = false;
    list_push_newest(&evictor->probation, node);
}

/* Sends the longest unused protected entries back on probation, as its newest. */
static void demote_overflow(struct ael_evictor *evictor) {
    size_t limit = evictor->capacity / 5 * 4 + evictor->capacity % 5 * 4 / 5;
    while (evictor->protected_entries.cost > limit) {
        struct ael_eviction_node *node = list_oldest(&evictor->protected_entries);
        list_remove(&evictor->protected_entries, node);
        node->is_protected = false;
        list_push_newest(&evictor->probation, node);
    }
}

/* see appencryption/eviction.h */
void ael_evictor_touch(struct ael_evictor *evictor, struct ael_eviction_node *node) {
    if (evictor->eviction == AEL_EVICTION_SIMPLE) {
        return;
    }
    list_remove(list_of(evictor, node), node);
    node->is_protected = evictor->eviction == AEL_EVICTION_SLRU;
    list_push_newest(list_of(evictor, node), node);
    demote_overflow(evictor);
}

/* see appencryption/eviction.h */
void ael_evictor_remove(struct ael_evictor *evictor, struct ael_eviction_node *node) {
    list_remove(list_of(evictor, node), node);
}

/* see appencryption/eviction.h */
struct ael_eviction_node *ael_evictor_victim(struct ael_evictor *evictor) {
    size_t cost = evictor->probation.cost + evictor->protected_entries.cost;
    if (evictor->eviction == AEL_EVICTION_SIMPLE || cost <= evictor->capacity) {
        return NULL;
    }
    struct ael_eviction_node *oldest = list_oldest(&evictor->probation);
    return oldest != NULL ? oldest : list_oldest(&evictor->protected_entries);
}
