/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fork.h"

#include "base/barrier.h"
#include "base/sync.h"
#include "base/thread_entry.h"

#include <pthread.h>

/* Held over a fork, so that forks of two threads come one after the other. Nobody else takes it. */
static pthread_mutex_t g_one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

/* Not held while others are being stopped: who waits for it counts as holding it. When all are stopped it is free, and
 * the list stands still. */
static struct ael_mutex g_lock = AEL_MUTEX_INIT;
static struct ael_fork_part *g_first; /* under the lock */
static bool g_registered;             /* under the lock */

static atomic_uint_least32_t g_count;

/* see base/fork.h */
uint32_t ael_fork_count(void) {
    return atomic_load_explicit(&g_count, memory_order_relaxed);
}

/* From the last to the first: recursion, because the list has one direction; parts are few. */
static void call_before(struct ael_fork_part *part) {
    if (part == NULL) {
        return;
    }
    call_before(part->next);
    part->begun = true;
    if (part->before != NULL) {
        part->before(part->self);
    }
}

static void before_fork(void) {
    (void)pthread_mutex_lock(&g_one_at_a_time);
    ael_mutex_lock(&g_lock);
    call_before(g_first);
    ael_mutex_unlock(&g_lock);
    ael_sync_stop_others();
    for (struct ael_fork_part *part = g_first; part != NULL; part = part->next) {
        if (part->begun && part->at_rest != NULL) {
            part->at_rest(part->self);
        }
    }
}

/* A part that was added after the others had begun is left out. */
static void end_parts(bool in_child) {
    for (struct ael_fork_part *part = g_first; part != NULL; part = part->next) {
        void (*end)(void *self) = in_child ? part->child : part->parent;
        if (part->begun && end != NULL) {
            end(part->self);
        }
        part->begun = false;
    }
}

static void after_fork_in_parent(void) {
    end_parts(false);
    ael_sync_let_others_go();
    (void)pthread_mutex_unlock(&g_one_at_a_time);
}

static void after_fork_in_child(void) {
    atomic_fetch_add(&g_count, 1);
    ael_threads_forked();
    end_parts(true);
    ael_sync_let_others_go();
    (void)pthread_mutex_unlock(&g_one_at_a_time);
}

/* Under the lock. */
static enum ael_status register_handlers(void) {
    if (!g_registered && pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) != 0) {
        return AEL_E_NO_MEMORY;
    }
    g_registered = true;
    return AEL_OK;
}

/* Under the lock. */
static void append(struct ael_fork_part *part) {
    struct ael_fork_part **at = &g_first;
    while (*at != NULL && *at != part) {
        at = &(*at)->next;
    }
    *at = part;
}

/* see base/fork.h */
enum ael_status ael_fork_add(struct ael_fork_part *part) {
    ael_barrier_prepare();
    ael_mutex_lock(&g_lock);
    enum ael_status status = register_handlers();
    if (status == AEL_OK) {
        append(part);
    }
    ael_mutex_unlock(&g_lock);
    return status;
}

/* see base/fork.h */
void ael_fork_remove(struct ael_fork_part *part) {
    ael_mutex_lock(&g_lock);
    struct ael_fork_part **at = &g_first;
    while (*at != NULL && *at != part) {
        at = &(*at)->next;
    }
    if (*at != NULL) {
        *at = part->next;
        part->next = NULL;
    }
    ael_mutex_unlock(&g_lock);
}
