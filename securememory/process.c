/* SPDX-License-Identifier: Apache-2.0 */
#include "securememory/process.h"

#include "securememory/sys_seam.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

static uint32_t g_number = 1; /* inherited by children; changed in the fork handler only */
static atomic_uint_least32_t g_before_watch = 1;

/* Read by each access, so on no line with what changes. */
_Alignas(64) _Atomic(atomic_uint_least32_t *) ael_process_word = &g_before_watch;

/* Where nobody wipes the word: then the process's id tells. */
static bool g_by_id;
static _Atomic pid_t g_id; /* written before the word */

static uint32_t word_of(uint32_t number) {
    return g_by_id ? number | AEL_PROCESS_BY_ID : number;
}

/* see securememory/process.h */
enum ael_status ael_process_watch(void) {
    if (atomic_load_explicit(&ael_process_word, memory_order_acquire) != &g_before_watch) {
        return AEL_OK;
    }
    size_t page = ael_sys_page_bytes();
    void *memory = ael_sys()->mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        return AEL_E_NO_MEMORY;
    }
    g_by_id = ael_sys()->wipe_on_fork(memory, page) != 0;
    atomic_store(&g_id, getpid());
    atomic_uint_least32_t *word = memory;
    atomic_store(word, word_of(g_number));
    atomic_store_explicit(&ael_process_word, word, memory_order_release);
    return AEL_OK;
}

/* see securememory/process.h */
uint32_t ael_process_number_by_id(uint32_t word) {
    return getpid() == atomic_load_explicit(&g_id, memory_order_relaxed) ? word & ~(uint32_t)AEL_PROCESS_BY_ID
                                                                         : 0;
}

/* see securememory/process.h */
void ael_process_forked(void) {
    g_number++;
    atomic_store(&g_id, getpid());
    atomic_store(atomic_load(&ael_process_word), word_of(g_number));
}
