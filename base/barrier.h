/*
 * base/barrier.h - a barrier that costs its frequent side nothing: the store before it and the load behind it
 * keep their order for whoever runs the other side.
 *
 *     many, often:  store A; ael_barrier_light(); load B
 *     one, rarely:  store B; ael_barrier_heavy(); load A
 *
 * At least one of the two sees the other's store. The light side is no instruction where the kernel has
 * membarrier(2), which makes every running thread of the process pass a full fence; elsewhere both sides are
 * fences. ThreadSanitizer knows neither, so in its build both sides change one word, which has the same
 * effect.
 * Layer: base.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_BASE_BARRIER_H
#define AEL_BASE_BARRIER_H

#include <stdatomic.h>
#include <stdbool.h>

#if defined(__SANITIZE_THREAD__)
#define AEL_BARRIER_BY_WORD 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define AEL_BARRIER_BY_WORD 1
#endif
#endif

/* Whether the light side is a fence. Falls once, before which both sides are fences; hidden in the
 * library. */
extern atomic_bool ael_barrier_light_is_fence;
extern atomic_uint ael_barrier_word;

/** Asks the kernel for its barrier, once for the process and its children. Threads: any. */
void ael_barrier_prepare(void);

/** For tests: fences on both sides, as without the kernel's barrier; while nothing else runs. */
void ael_barrier_use_fences_for_test(bool fences);

static inline void ael_barrier_light(void) {
#ifdef AEL_BARRIER_BY_WORD
    atomic_fetch_add(&ael_barrier_word, 1);
#else
    if (__builtin_expect(atomic_load_explicit(&ael_barrier_light_is_fence, memory_order_relaxed), 0)) {
        atomic_thread_fence(memory_order_seq_cst);
    } else {
        atomic_signal_fence(memory_order_seq_cst);
    }
#endif
}

/**
 * The rare side; a system call. @return false when the kernel refused what it had agreed to (a filter that
 * the host installed later): then there was no barrier, and nothing may be concluded. Threads: any.
 */
bool ael_barrier_heavy(void);

/**
 * As ael_barrier_heavy, for who cannot do without: where the kernel refuses, both sides are fences from now
 * on, and it waits until what threads stored before they learnt of that has left their processors (a
 * millisecond, where the processor needs less than a microsecond). Not a point of cancellation. Threads: any.
 */
void ael_barrier_heavy_surely(void);

#endif /* AEL_BASE_BARRIER_H */
