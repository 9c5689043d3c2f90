/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/retire.h"

#include "base/barrier.h"
#include "base/thread_entry.h"

/* What one sweep lets go, outside the lock. */
struct unpinned {
    size_t count;
    void *things[AEL_RETIRE_BATCH];
    uint32_t references[AEL_RETIRE_BATCH];
};

static void *thing_of(const struct ael_retirees *retirees, struct ael_retiree *retiree) {
    return (char *)retiree - retirees->offset;
}

/* Under the lock: takes what nobody pins out of the list, as much as there is room for. True when that was all. */
static bool take_unpinned(struct ael_retirees *retirees, struct unpinned *unpinned) {
    struct ael_retiree **link = &retirees->first;
    while (*link != NULL && unpinned->count < AEL_RETIRE_BATCH) {
        struct ael_retiree *retiree = *link;
        void *thing = thing_of(retirees, retiree);
        if (ael_threads_pin(thing)) {
            link = &retiree->next;
            continue;
        }
        *link = retiree->next;
        unpinned->things[unpinned->count] = thing;
        unpinned->references[unpinned->count++] = retiree->references;
        retiree->references = 0;
        retirees->count--;
    }
    return *link == NULL;
}

static void release_all(const struct ael_retirees *retirees, const struct unpinned *unpinned) {
    for (size_t i = 0; i < unpinned->count; i++) {
        for (uint32_t reference = 0; reference < unpinned->references[i]; reference++) {
            retirees->release(unpinned->things[i]);
        }
    }
}

/* see appencryption/retire.h. What is retired behind the barrier was taken away behind it, too: each round has its own. */
void ael_retirees_sweep(struct ael_retirees *retirees) {
    for (bool all = false; !all;) {
        struct unpinned unpinned = {.count = 0};
        ael_mutex_lock(&retirees->lock);
        all = retirees->first == NULL;
        if (!all) {
            ael_barrier_heavy_surely();
            all = take_unpinned(retirees, &unpinned);
        }
        retirees->sweep_at = retirees->count + AEL_RETIRE_BATCH;
        ael_mutex_unlock(&retirees->lock);
        release_all(retirees, &unpinned);
    }
}

/* see appencryption/retire.h */
void ael_retire(struct ael_retirees *retirees, struct ael_retiree *retiree) {
    ael_mutex_lock(&retirees->lock);
    if (retiree->references++ == 0) {
        retiree->next = retirees->first;
        retirees->first = retiree;
        retirees->count++;
    }
    bool due = retirees->count >= retirees->sweep_at;
    ael_mutex_unlock(&retirees->lock);
    if (due) {
        ael_retirees_sweep(retirees);
    }
}
