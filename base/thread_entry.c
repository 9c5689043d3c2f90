/* SPDX-License-Identifier: Apache-2.0 */
#include "base/thread_entry.h"

#include "base/alloc.h"

#include <pthread.h>

enum { NUMBERS_IN_A_BLOCK = 1024 };

AEL_TLS struct ael_thread_entry *ael_thread_entry_here;

/* Grows at its head only. Release on growing, acquire on walking: an entry is seen whole. */
static _Atomic(struct ael_thread_entry *) g_first;

static atomic_uint_least64_t g_last_thread;
static atomic_uint_least32_t g_entries;

static pthread_once_t g_once = PTHREAD_ONCE_INIT;
static pthread_key_t g_key;
static bool g_has_key;

static bool has_pins(const struct ael_thread_entry *entry) {
    bool found = false;
    for (int place = 0; place < AEL_THREAD_PINS; place++) {
        found = found || atomic_load_explicit(&entry->pins[place], memory_order_relaxed) != NULL;
    }
    return found;
}

/* At the end of a thread. What it pins may be let go by a destructor of the host's: it is asked again in the
 * next round of destructors, and behind the last one the entry stays its, for the pins stay, too. */
static void leave_entry(void *value) {
    struct ael_thread_entry *entry = value;
    if (has_pins(entry)) {
        (void)pthread_setspecific(g_key, entry);
        return;
    }
    ael_thread_entry_here = NULL;
    atomic_store_explicit(&entry->taken, false, memory_order_release);
}

static void make_key(void) {
    g_has_key = pthread_key_create(&g_key, leave_entry) == 0;
}

static struct ael_thread_entry *take_left_entry(void) {
    struct ael_thread_entry *at = atomic_load_explicit(&g_first, memory_order_acquire);
    for (; at != NULL; at = at->next) {
        bool taken = atomic_load_explicit(&at->taken, memory_order_relaxed);
        if (!taken && atomic_compare_exchange_strong_explicit(
                          &at->taken, &taken, true, memory_order_acquire, memory_order_relaxed)) {
            return at;
        }
    }
    return NULL;
}

static struct ael_thread_entry *add_entry(void) {
    struct ael_thread_entry *made = ael_alloc(sizeof *made);
    if (made == NULL) {
        return NULL;
    }
    atomic_init(&made->taken, true);
    made->place = atomic_fetch_add_explicit(&g_entries, 1, memory_order_relaxed);
    made->next = atomic_load_explicit(&g_first, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(
        &g_first, &made->next, made, memory_order_release, memory_order_relaxed)) {
    }
    return made;
}

/* see base/thread_entry.h */
struct ael_thread_entry *ael_thread_entry_register(void) {
    (void)pthread_once(&g_once, make_key);
    if (!g_has_key) {
        return NULL;
    }
    struct ael_thread_entry *entry = take_left_entry();
    if (entry == NULL) {
        entry = add_entry();
    }
    if (entry != NULL && pthread_setspecific(g_key, entry) != 0) {
        atomic_store_explicit(&entry->taken, false, memory_order_release);
        entry = NULL;
    }
    if (entry != NULL) {
        entry->thread = atomic_fetch_add_explicit(&g_last_thread, 1, memory_order_relaxed) + 1;
    }
    ael_thread_entry_here = entry;
    return entry;
}

static bool pins(const struct ael_thread_entry *entry, const void *thing) {
    bool found = false;
    for (int place = 0; place < AEL_THREAD_PINS; place++) {
        found = found || atomic_load_explicit(&entry->pins[place], memory_order_acquire) == thing;
    }
    return found;
}

/* see base/thread_entry.h */
bool ael_threads_pin(const void *thing) {
    const struct ael_thread_entry *at = atomic_load_explicit(&g_first, memory_order_acquire);
    while (at != NULL && !pins(at, thing)) {
        at = at->next;
    }
    return at != NULL;
}

/* see base/thread_entry.h */
bool ael_threads_await(const void *thing, bool *marked) {
    bool pinned = false;
    for (struct ael_thread_entry *at = atomic_load_explicit(&g_first, memory_order_acquire); at != NULL;
         at = at->next) {
        if (pins(at, thing)) {
            pinned = true;
            *marked = !atomic_exchange_explicit(&at->awaited, true, memory_order_relaxed) || *marked;
        }
    }
    return pinned;
}

/* see base/thread_entry.h */
bool ael_threads_are_inside(uint32_t domain) {
    const struct ael_thread_entry *at = atomic_load_explicit(&g_first, memory_order_acquire);
    for (; at != NULL; at = at->next) {
        if (atomic_load_explicit(&at->inside[domain], memory_order_acquire) != 0) {
            return true;
        }
    }
    return false;
}

/* see base/thread_entry.h. Stored only where it was set, so that idle threads' lines stay with them. */
bool ael_threads_take_used(uint32_t domain) {
    bool used = false;
    for (struct ael_thread_entry *at = atomic_load_explicit(&g_first, memory_order_acquire); at != NULL;
         at = at->next) {
        if (atomic_load_explicit(&at->used[domain], memory_order_relaxed)) {
            atomic_store_explicit(&at->used[domain], false, memory_order_relaxed);
            used = true;
        }
    }
    return used;
}

/* see base/thread_entry.h */
bool ael_threads_hold_locks(void) {
    const struct ael_thread_entry *at = atomic_load_explicit(&g_first, memory_order_acquire);
    for (; at != NULL; at = at->next) {
        if (at != ael_thread_entry_here && atomic_load_explicit(&at->locks, memory_order_acquire) != 0) {
            return true;
        }
    }
    return false;
}

/* see base/thread_entry.h */
bool ael_threads_use_root(uint32_t root) {
    const struct ael_thread_entry *at = atomic_load_explicit(&g_first, memory_order_acquire);
    for (; at != NULL; at = at->next) {
        if (atomic_load_explicit(&at->root, memory_order_acquire) == root) {
            return true;
        }
    }
    return false;
}

/* see base/thread_entry.h */
bool ael_threads_read_hot_key(uint32_t key) {
    const struct ael_thread_entry *at = atomic_load_explicit(&g_first, memory_order_acquire);
    for (; at != NULL; at = at->next) {
        if (atomic_load_explicit(&at->hot_key, memory_order_acquire) == key) {
            return true;
        }
    }
    return false;
}

/* see base/thread_entry.h. Relaxed: only that no number is given twice matters. A thread that takes an entry
 * over goes on in its block. */
uint64_t ael_unique_number(void) {
    static atomic_uint_least64_t g_numbers = 1;
    struct ael_thread_entry *mine = ael_thread_entry_mine();
    if (mine == NULL) {
        return atomic_fetch_add_explicit(&g_numbers, 1, memory_order_relaxed);
    }
    if (mine->next_number == mine->end_number) {
        mine->next_number = atomic_fetch_add_explicit(&g_numbers, NUMBERS_IN_A_BLOCK, memory_order_relaxed);
        mine->end_number = mine->next_number + NUMBERS_IN_A_BLOCK;
    }
    return mine->next_number++;
}

static void clear_entry(struct ael_thread_entry *entry) {
    for (int domain = 0; domain < AEL_THREAD_DOMAINS; domain++) {
        atomic_store(&entry->inside[domain], 0);
        atomic_store(&entry->used[domain], false);
    }
    for (int place = 0; place < AEL_THREAD_PINS; place++) {
        atomic_store(&entry->pins[place], NULL);
    }
    atomic_store(&entry->awaited, false);
    atomic_store(&entry->root, 0);
    atomic_store(&entry->hot_key, 0);
    if (entry != ael_thread_entry_here) {
        entry->next_number = entry->end_number = 0; /* its thread may have been about to change both */
        atomic_store(&entry->locks, 0);
        atomic_store(&entry->taken, false);
    }
}

/* see base/thread_entry.h */
void ael_threads_forked(void) {
    for (struct ael_thread_entry *at = atomic_load(&g_first); at != NULL; at = at->next) {
        clear_entry(at);
    }
}
