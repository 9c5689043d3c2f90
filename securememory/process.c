/* SPDX-License-Identifier: Apache-2.0 */
#include "securememory/process.h"

#include "securememory/sys_seam.h"

#include <stddef.h>
#include <sys/mman.h>

static uint32_t g_number = 1; /* inherited by children; changed in the fork handler only */
static atomic_uint_least32_t g_before_watch = 1;

/* Read by each access, so on no line with what changes. */
_Alignas(64) _Atomic(atomic_uint_least32_t *) ael_process_word = &g_before_watch;

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
    /* Kernels before 4.14 refuse this: then only the fork handlers tell. */
    (void)ael_sys()->madvise(memory, page, MADV_WIPEONFORK);
    atomic_uint_least32_t *word = memory;
    atomic_store(word, g_number);
    atomic_store_explicit(&ael_process_word, word, memory_order_release);
    return AEL_OK;
}

/* see securememory/process.h */
void ael_process_forked(void) {
    g_number++;
    atomic_store(atomic_load(&ael_process_word), g_number);
}
