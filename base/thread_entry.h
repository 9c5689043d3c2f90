/*
 * base/thread_entry.h - what each thread is doing inside the library, noted without locks and shared writes.
 *
 * A thread has an entry that only it writes. Whoever must know that no thread is inside something looks at
 * all entries behind a heavy barrier (base/barrier.h):
 *
 *     thread:  inside++ ; light barrier ; may I?
 *     looker:  nobody may ; heavy barrier ; is anybody inside?
 *
 * Inside what of a few fixed things is counted by domain. Any other thing is pinned: its address stands in
 * one of the entry's places. Whoever must wait for a pin to go marks the entries that have it, and is told:
 *
 *     thread:  pin gone ; light barrier ; am I awaited? then tell
 *     looker:  entries that pin it are awaited ; heavy barrier ; does one still pin it? then wait
 *
 * Entries are never freed while the process lives: a thread that ends leaves its entry to the next that
 * begins, unless it pins something.
 * Layer: base.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_BASE_THREAD_ENTRY_H
#define AEL_BASE_THREAD_ENTRY_H

#include "base/tls.h"

#include <ael/status.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { AEL_THREAD_DOMAINS = 5, AEL_THREAD_PINS = 4 };

/* Padded, so that no thread waits for another's stores. */
struct ael_thread_entry {
    uint8_t before[128];
    atomic_uint_least32_t locks;                      /* mutexes held (base/sync.h) */
    atomic_uint_least32_t inside[AEL_THREAD_DOMAINS]; /* accesses that are open now (securememory/lease.h) */
    /* since somebody looked last; its clearing may be lost, or a setting */
    atomic_bool used[AEL_THREAD_DOMAINS];
    /* what it keeps from being taken away; NULL = a free place */
    _Atomic(const void *) pins[AEL_THREAD_PINS];
    atomic_bool awaited; /* somebody waits for one of the pins to go; set by who waits */
    /* the root key that the thread opens a seal with; 0 = none (securememory/roots.h) */
    atomic_uint_least32_t root;
    atomic_uint_least32_t hot_key; /* the hot key that it reads; 0 = none (securememory/hot_keys.h) */
    atomic_bool taken;                           /* by a live thread */
    uint64_t next_number;                 /* what ael_unique_number gives next, up to end_number */
    uint64_t end_number;
    uint64_t thread;                      /* which one: a number that no other thread ever has */
    uint32_t place;                       /* of the entry: 0, 1, ...; no two that live have one; constant */
    struct ael_thread_entry *next;
    uint8_t behind[128];
};

extern AEL_TLS struct ael_thread_entry *ael_thread_entry_here;

/** Gives the calling thread an entry. @return the entry; NULL without memory. */
struct ael_thread_entry *ael_thread_entry_register(void);

/** Returns the calling thread's entry; NULL without memory. */
static inline struct ael_thread_entry *ael_thread_entry_mine(void) {
    struct ael_thread_entry *mine = ael_thread_entry_here;
    return __builtin_expect(mine != NULL, 1) ? mine : ael_thread_entry_register();
}

/** Returns the calling thread's number, which no other thread ever has; 0 without memory for an entry. */
static inline uint64_t ael_thread_number(void) {
    const struct ael_thread_entry *mine = ael_thread_entry_mine();
    return mine == NULL ? 0 : mine->thread;
}

/** Only the thread itself writes its entry, so a load and a store do. */
static inline void ael_thread_enter(struct ael_thread_entry *mine, uint32_t domain) {
    uint32_t inside = atomic_load_explicit(&mine->inside[domain], memory_order_relaxed);
    atomic_store_explicit(&mine->inside[domain], inside + 1, memory_order_relaxed);
    atomic_store_explicit(&mine->used[domain], true, memory_order_relaxed);
}

/**
 * Release: what the thread did inside comes before it left. In a child nobody is inside any more, also the
 * thread that forked inside and leaves now.
 */
static inline void ael_thread_leave(struct ael_thread_entry *mine, uint32_t domain) {
    uint32_t inside = atomic_load_explicit(&mine->inside[domain], memory_order_relaxed);
    if (inside != 0) {
        atomic_store_explicit(&mine->inside[domain], inside - 1, memory_order_release);
    }
}

static inline bool ael_thread_has_place(const struct ael_thread_entry *mine, uint32_t place) {
    return atomic_load_explicit(&mine->pins[place], memory_order_relaxed) == NULL;
}

/** Pins a thing at a place that is free, or in the place of another thing that is let go so; then come the
 * light barrier, and a look whether the thing may still be had. Release: what the thread did with the other
 * thing comes before. */
static inline void ael_thread_pin(struct ael_thread_entry *mine, uint32_t place, const void *thing) {
    atomic_store_explicit(&mine->pins[place], thing, memory_order_release);
}

/** Lets go; then come the light barrier, and a look whether the thread is awaited. Release: what the thread
 * did with the thing comes before. */
static inline void ael_thread_unpin(struct ael_thread_entry *mine, uint32_t place) {
    atomic_store_explicit(&mine->pins[place], NULL, memory_order_release);
}

/** Notes which hot key the thread reads, 0 for none: then, or before the next look, come the barriers as
 * above. Release: what the thread read comes before. */
static inline void ael_thread_note_hot_key(struct ael_thread_entry *mine, uint32_t key) {
    atomic_store_explicit(&mine->hot_key, key, memory_order_release);
}

/** Returns what it noted. In a child nobody reads any more, also the thread that forked. */
static inline uint32_t ael_thread_hot_key(const struct ael_thread_entry *mine) {
    return atomic_load_explicit(&mine->hot_key, memory_order_relaxed);
}

/** Tells whether a thread pins a thing; acquire, as below. Threads: any. */
bool ael_threads_pin(const void *thing);

/** As ael_threads_pin, and marks who does as awaited. @param marked  set when one was not marked before: then
 * another heavy barrier and another look are due. Threads: one at a time. */
bool ael_threads_await(const void *thing, bool *marked);

/** Tells whether a thread is inside. Acquire: what it did before it left has happened. Threads: any. */
bool ael_threads_are_inside(uint32_t domain);

/** Tells whether a thread entered since the last call. Threads: one at a time. */
bool ael_threads_take_used(uint32_t domain);

/** Tells whether a thread other than the caller's holds a mutex; acquire, as above. Threads: any. */
bool ael_threads_hold_locks(void);

/** Tells whether a thread has noted the root key in its entry; acquire, as above. Threads: any. */
bool ael_threads_use_root(uint32_t root);

/** Tells whether a thread has noted the hot key in its entry; acquire, as above. Threads: any. */
bool ael_threads_read_hot_key(uint32_t key);

/** Returns a number that this process never gave before; threads draw from blocks of their own. Threads:
 * any. */
uint64_t ael_unique_number(void);

/** In the fork handler of a child: the entries of the parent's other threads are free, and nobody is
 * inside. */
void ael_threads_forked(void);

#endif /* AEL_BASE_THREAD_ENTRY_H */
