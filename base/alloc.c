/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"

#include "base/check.h"
#include "base/wipe.h"

#include <ael/sys/alloc.h>

#include <stdlib.h>

/* Written by tests while nothing else runs, hence no atomics. */
static int (*g_fail)(void *context);
static void *g_fail_context;

/* see base/alloc.h */
void *ael_alloc(size_t size) {
    if (size == 0 || (g_fail != NULL && g_fail(g_fail_context) != 0)) {
        return NULL;
    }
    return calloc(1, size);
}

/* see base/alloc.h */
void *ael_alloc_array(size_t count, size_t size) {
    size_t total = 0;
    return ael_mul_size(count, size, &total) ? ael_alloc(total) : NULL;
}

/* see base/alloc.h */
void ael_free(void *memory) {
    free(memory);
}

/* see base/alloc.h */
void ael_free_wiped(void *memory, size_t size) {
    if (memory != NULL) {
        ael_wipe(memory, size);
        free(memory);
    }
}

/* see base/alloc.h */
void ael_alloc_set_fault(int (*fail)(void *context), void *context) {
    g_fail = fail;
    g_fail_context = context;
}

/* see ael/sys/alloc.h */
void *ael_sys_alloc(size_t size) {
    return ael_alloc(size);
}

/* see ael/sys/alloc.h */
void ael_sys_free(void *memory) {
    ael_free(memory);
}
