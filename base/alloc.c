/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"

#include "base/check.h"
#include "base/wipe.h"

#include <ael/sys/alloc.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

enum { SMALL_BYTES = 1024 };

/* Set by tests, while the warden may allocate: what was set before stays as it is for many turns. */
enum { TURNS = 64 };
struct fault {
    int (*fail)(void *context);
    void *context;
};
static struct fault g_faults[TURNS];
static unsigned g_turn;
static _Atomic(const struct fault *) g_fault;

static bool fails(void) {
    const struct fault *fault = atomic_load_explicit(&g_fault, memory_order_acquire);
    return fault != NULL && fault->fail(fault->context) != 0;
}

/*
 * malloc, then zeroes: glibc's calloc passes over what its threads keep of small pieces that were freed, so
 * that those pile up and have to be merged. With memset the compiler would make calloc of the two.
 */
static void *alloc_small(size_t size) {
    void *memory = malloc(size);
    if (memory != NULL) {
        ael_wipe(memory, size);
    }
    return memory;
}

/* see base/alloc.h */
void *ael_alloc(size_t size) {
    if (size == 0 || fails()) {
        return NULL;
    }
    return size <= SMALL_BYTES ? alloc_small(size) : calloc(1, size);
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
    struct fault *next = &g_faults[g_turn++ % TURNS];
    *next = (struct fault){fail, context};
    atomic_store_explicit(&g_fault, fail == NULL ? NULL : next, memory_order_release);
}

/* see ael/sys/alloc.h */
void *ael_sys_alloc(size_t size) {
    return ael_alloc(size);
}

/* see ael/sys/alloc.h */
void ael_sys_free(void *memory) {
    ael_free(memory);
}
