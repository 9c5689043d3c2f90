/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/cache/retire.h"

#include "base/barrier.h"
#include "base/thread_entry.h"

/* What one sweep lets go, outside the lock. */
struct unpinned {
    size_t count;
    void *things[AEL_RETIRE_BATCH];
};

static void *thing_of(const struct ael_retirees *retirees, struct ael_retiree *retiree) {
    return (char *)retiree - retirees->offset;
}

static struct ael_retiree *next_of(const struct ael_retiree *retiree) {
    return retiree->next == retiree ? NULL : retiree->next;
}

/* Takes one out of the list. @return what comes next. */
static struct ael_retiree *
unlink_retiree(struct ael_retirees *retirees, struct ael_retiree *before, struct ael_retiree *retiree) {
    struct ael_retiree *next = next_of(retiree);
    if (before == NULL) {
        retirees->first = next;
    } else {
        before->next = next == NULL ? before : next;
    }
    retiree->next = NULL;
    retirees->count--;
    return next;
}

/* Under the lock: takes what nobody pins out of the list, as much as there is room for. True when that was all. */
static bool take_unpinned(struct ael_retirees *retirees, struct unpinned *unpinned) {
    struct ael_retiree *before = NULL;
    struct ael_retiree *retiree = retirees->first;
    while (retiree != NULL && unpinned->count < AEL_RETIRE_BATCH) {
        void *thing = thing_of(retirees, retiree);
        if (ael_threads_pin(thing)) {
            before = retiree;
            retiree = next_of(retiree);
            continue;
        }
        unpinned->things[unpinned->count++] = thing;
        retiree = unlink_retiree(retirees, before, retiree);
    }
    return retiree == NULL;
}

static void release_all(const struct ael_retirees *retirees, const struct unpinned *unpinned) {
    for (size_t i = 0; i < unpinned->count; i++) {
        retirees->release(unpinned->things[i]);
    }
}

/* see appencryption/cache/retire.h. What is retired behind the barrier was taken away behind it, too: each round has its own. */
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

/* see appencryption/cache/retire.h */
void ael_retire(struct ael_retirees *retirees, struct ael_retiree *retiree) {
    ael_mutex_lock(&retirees->lock);
    bool waits_already = retiree->next != NULL;
    if (!waits_already) {
        retiree->next = retirees->first != NULL ? retirees->first : retiree;
        retirees->first = retiree;
        retirees->count++;
    }
    bool due = retirees->count >= retirees->sweep_at;
    ael_mutex_unlock(&retirees->lock);
    if (waits_already) {
        retirees->release(thing_of(retirees, retiree));
    }
    if (due) {
        ael_retirees_sweep(retirees);
    }
}
