/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fork.h"

#include "base/barrier.h"
#include "base/sync.h"
#include "base/system.h"
#include "base/thread_entry.h"

#include <pthread.h>

/* Held over a fork, so that forks of two threads come one after the other. Nobody else takes it. */
static pthread_mutex_t g_one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

/* Not held while others are being stopped: who waits for it counts as holding it. When all are stopped it is
 * free, and the list stands still. */
static struct ael_mutex g_lock = AEL_MUTEX_INIT;
static struct ael_fork_part *g_first; /* under the lock */
static bool g_registered;             /* under the lock */

static atomic_uint_least32_t g_count;
static atomic_uint_least64_t g_thread; /* that forked; written by the child's only thread */
static _Atomic(bool (*)(void)) g_is_known;
static bool g_known; /* around a fork */

/* see base/fork.h */
uint32_t ael_fork_count(void) {
    return atomic_load_explicit(&g_count, memory_order_relaxed);
}

/* see base/fork.h */
uint64_t ael_fork_thread(void) {
    return atomic_load_explicit(&g_thread, memory_order_relaxed);
}

/* see base/fork.h */
void ael_fork_set_known(bool (*is_known)(void)) {
    atomic_store(&g_is_known, is_known);
}

static bool is_known(void) {
    bool (*tells)(void) = atomic_load(&g_is_known);
    return tells == NULL || tells();
}

/* From the last to the first: recursion, because the list has one direction; parts are few. */
static void call_before(struct ael_fork_part *part) {
    if (part == NULL) {
        return;
    }
    call_before(part->next);
    bool begun = part->begun; /* in an earlier round, before which another was added */
    part->begun = true;
    if (!begun && part->before != NULL) {
        part->before(part->self);
    }
}

/* All stand still. A part that was added meanwhile and would have to be told before is missed. */
static bool all_have_begun(void) {
    bool all = true;
    for (struct ael_fork_part *part = g_first; part != NULL; part = part->next) {
        part->begun = part->begun || part->before == NULL;
        all = all && part->begun;
    }
    return all;
}

static void begin_parts(void) {
    ael_mutex_lock(&g_lock);
    call_before(g_first);
    ael_mutex_unlock(&g_lock);
    ael_sync_stop_others();
}

static void before_fork(void) {
    g_known = is_known();
    if (!g_known) {
        return;
    }
    (void)pthread_mutex_lock(&g_one_at_a_time);
    begin_parts();
    while (!all_have_begun()) {
        ael_sync_let_others_go();
        begin_parts();
    }
    for (struct ael_fork_part *part = g_first; part != NULL; part = part->next) {
        if (part->at_rest != NULL) {
            part->at_rest(part->self);
        }
    }
}

static void end_parts(bool in_child) {
    for (struct ael_fork_part *part = g_first; part != NULL; part = part->next) {
        void (*end)(void *self) = in_child ? part->child : part->parent;
        if (end != NULL) {
            end(part->self);
        }
        part->begun = false;
    }
}

static void after_fork_in_parent(void) {
    if (!g_known) {
        return;
    }
    end_parts(false);
    ael_sync_let_others_go();
    (void)pthread_mutex_unlock(&g_one_at_a_time);
}

static void after_fork_in_child(void) {
    if (!g_known) {
        return;
    }
    ael_system_forked();
    atomic_fetch_add(&g_count, 1);
    atomic_store(&g_thread, ael_thread_number());
    ael_threads_forked();
    end_parts(true);
    ael_sync_let_others_go();
    (void)pthread_mutex_unlock(&g_one_at_a_time);
}

/* Under the lock, or before there is anybody. */
static enum ael_status register_handlers(void) {
    if (!g_registered && pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) != 0) {
        return AEL_E_NO_MEMORY;
    }
    g_registered = true;
    return AEL_OK;
}

/*
 * When the library is loaded: handlers are called before the fork from the last registered to the first, and
 * the host's, which may wait for threads that call us, must come before ours stop them. What fails here is
 * tried again later.
 */
__attribute__((constructor)) static void register_early(void) {
    ael_barrier_prepare();
    enum ael_status status = register_handlers();
    (void)status;
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

/* Under the lock; gives it up until the fork that has begun with this part is over. */
static void wait_for_its_end(void) {
    ael_mutex_unlock(&g_lock);
    (void)pthread_mutex_lock(&g_one_at_a_time);
    (void)pthread_mutex_unlock(&g_one_at_a_time);
    ael_mutex_lock(&g_lock);
}

/* see base/fork.h */
void ael_fork_remove(struct ael_fork_part *part) {
    ael_mutex_lock(&g_lock);
    while (part->begun) {
        wait_for_its_end();
    }
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
