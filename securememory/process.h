/*
 * securememory/process.h - which process this is, counted over forks.
 *
 * Objects remember the number of the process that made them. The number lies in a page that the kernel wipes
 * in a child, so that a child made without the fork handlers (_Fork, raw clone) reads 0, which is no process:
 * everything is refused there. Where the system cannot wipe pages, the process's id is compared each time: a system
 * call.
 * Layer: securememory.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_SECUREMEMORY_PROCESS_H
#define AEL_SECUREMEMORY_PROCESS_H

#include <ael/status.h>

#include <stdatomic.h>
#include <stdint.h>

/**
 * Starts counting; later calls do nothing. Call it under the lock of protected memory.
 *
 * @return AEL_OK; AEL_E_NO_MEMORY.
 */
AEL_MUST_CHECK enum ael_status ael_process_watch(void);

/* Points to the word that tells the number. Release when it moves, acquire in ael_process_number: a reader of the pointer
 * also sees the number that was stored behind it. Hidden in the library. */
extern _Atomic(atomic_uint_least32_t *) ael_process_word;

/* In the word beside the number, where the system cannot wipe it. */
#define AEL_PROCESS_BY_ID (UINT32_C(1) << 31)

/** For such a word: the number in it, or 0 in another process than the one that wrote it. */
uint32_t ael_process_number_by_id(uint32_t word);

/** Returns the number of this process, 1 at first; 0 in a child that was made without fork handlers. Threads:
 * any. */
static inline uint32_t ael_process_number(void) {
    atomic_uint_least32_t *word = atomic_load_explicit(&ael_process_word, memory_order_acquire);
    uint32_t number = atomic_load_explicit(word, memory_order_relaxed);
    return __builtin_expect((number & AEL_PROCESS_BY_ID) != 0, 0) ? ael_process_number_by_id(number) : number;
}

/** Tells whether the process was made without fork handlers: nothing works here, and no mutex may be asked for, for it
 * may be held by a thread that is not here. Threads: any. */
static inline bool ael_process_is_lost(void) {
    return ael_process_number() == 0;
}

/** In the fork handler of a child: gives the process its own number. */
void ael_process_forked(void);

#endif /* AEL_SECUREMEMORY_PROCESS_H */
