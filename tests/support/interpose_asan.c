/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/interpose_asan.h"

#include "base/tls.h"
#include "tests/support/under.h"

#include <pthread.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__) || UNDER_HAS_FEATURE(address_sanitizer)

extern void *__interceptor_malloc(size_t size);
extern void *__interceptor_calloc(size_t count, size_t size);
extern void *__interceptor_realloc(void *memory, size_t size);
extern void *__interceptor_aligned_alloc(size_t alignment, size_t size);
extern int __interceptor_posix_memalign(void **memory, size_t alignment, size_t size);
extern void __interceptor_free(void *memory);

static pthread_rwlock_t g_calls = PTHREAD_RWLOCK_INITIALIZER;
static AEL_TLS unsigned t_depth; /* of the calls of this thread, a fork among them */

static void begin(void) {
    if (t_depth++ == 0) {
        (void)pthread_rwlock_rdlock(&g_calls);
    }
}

static void end(void) {
    if (--t_depth == 0) {
        (void)pthread_rwlock_unlock(&g_calls);
    }
}

static void before_fork(void) {
    (void)pthread_rwlock_wrlock(&g_calls);
    t_depth++;
}

static void after_fork_in_parent(void) {
    t_depth--;
    (void)pthread_rwlock_unlock(&g_calls);
}

/* The lock knows its writer by a thread that is another one here. */
static void after_fork_in_child(void) {
    t_depth--;
    (void)pthread_rwlock_init(&g_calls, NULL);
}

/* Of all handlers the first, so that it is the last to be called before a fork: others may allocate, and wait for
 * threads that do. */
static void register_first(void) {
    pthread_rwlockattr_t attributes;
    (void)pthread_rwlockattr_init(&attributes);
    (void)pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    (void)pthread_rwlock_init(&g_calls, &attributes);
    (void)pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

__attribute__((section(".preinit_array"), used)) static void (*const k_register_first)(void) = register_first;

void *malloc(size_t size) {
    begin();
    void *memory = __interceptor_malloc(size);
    end();
    return memory;
}

void *calloc(size_t count, size_t size) {
    begin();
    void *memory = __interceptor_calloc(count, size);
    end();
    return memory;
}

void *realloc(void *memory, size_t size) {
    begin();
    void *moved = __interceptor_realloc(memory, size);
    end();
    return moved;
}

void *aligned_alloc(size_t alignment, size_t size) {
    begin();
    void *memory = __interceptor_aligned_alloc(alignment, size);
    end();
    return memory;
}

int posix_memalign(void **memory, size_t alignment, size_t size) {
    begin();
    int error = __interceptor_posix_memalign(memory, alignment, size);
    end();
    return error;
}

void free(void *memory) {
    begin();
    __interceptor_free(memory);
    end();
}

#endif
