/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/interpose_malloc.h"
#include "tests/support/under.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define OTHER_ALLOCATOR 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OTHER_ALLOCATOR 1
#endif

static atomic_bool g_armed;
static atomic_bool g_all_later;
static atomic_bool g_fired;
static atomic_size_t g_left; /* allocations until the failing one, that one included */
static atomic_size_t g_live;

/* see tests/support/interpose_malloc.h */
void interpose_malloc_arm(size_t n, bool all_later) {
    g_left = n;
    g_all_later = all_later;
    g_fired = false;
    g_armed = true;
}

/* see tests/support/interpose_malloc.h */
bool interpose_malloc_disarm(void) {
    g_armed = false;
    return g_fired;
}

/* see tests/support/interpose_malloc.h */
size_t interpose_malloc_live(void) {
    return g_live;
}

#ifdef OTHER_ALLOCATOR

/* see tests/support/interpose_malloc.h */
bool interpose_malloc_works(void) {
    return false;
}

#else

/* Seen by the dependencies, though the tests are compiled with hidden visibility. */
#pragma GCC visibility push(default)
void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void *realloc(void *memory, size_t size);
void free(void *memory);
#pragma GCC visibility pop

/* glibc's own, under the names that it keeps for allocators in front of it. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void __libc_free(void *memory);

static bool refuse(void) {
    if (!g_armed) {
        return false;
    }
    size_t left = g_left;
    if (left > 1) {
        g_left = left - 1;
        return false;
    }
    if (g_fired && !g_all_later) {
        return false;
    }
    g_fired = true;
    errno = ENOMEM;
    return true;
}

static void *counted(void *memory) {
    g_live += memory != NULL;
    return memory;
}

void *malloc(size_t size) {
    return refuse() ? NULL : counted(__libc_malloc(size));
}

void *calloc(size_t count, size_t size) {
    return refuse() ? NULL : counted(__libc_calloc(count, size));
}

void *realloc(void *memory, size_t size) {
    if (size != 0 && refuse()) {
        return NULL;
    }
    bool was = memory != NULL;
    void *moved = __libc_realloc(memory, size);
    if (moved != NULL && !was) {
        g_live++;
    } else if (moved == NULL && was && size == 0) {
        g_live--;
    }
    return moved;
}

void free(void *memory) {
    g_live -= memory != NULL;
    __libc_free(memory);
}

/* see tests/support/interpose_malloc.h */
bool interpose_malloc_works(void) {
    return !under_valgrind();
}

#endif
