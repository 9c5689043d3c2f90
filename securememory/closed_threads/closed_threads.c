/*
 * closed_threads.c - the library libael-threads: threads that are started inside an access are born without its rights.
 *
 * A thread inherits the rights of its creator on memory at the level `pkey`. Whoever links this library, or preloads it,
 * has pthread_create and thrd_create of the whole process go through here, where the creator gives its rights up for
 * the length of the call. A change of the whole process, and so not in libael.
 * Layer: securememory; needs the shared libael and the C library only.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ael/memory.h>

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <threads.h>

#define EXPORTED __attribute__((visibility("default")))

typedef int (*pthread_create_fn)(
    pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *argument), void *argument);
typedef int (*thrd_create_fn)(thrd_t *thread, thrd_start_t start, void *argument);

/* The functions that these stand before. Relaxed: each thread would find the same. */
static _Atomic(void *) g_pthread_create;
static _Atomic(void *) g_thrd_create;

static void *next_of(_Atomic(void *) *known, const char *name) {
    void *function = atomic_load_explicit(known, memory_order_relaxed);
    if (function == NULL) {
        function = dlsym(RTLD_NEXT, name);
        atomic_store_explicit(known, function, memory_order_relaxed);
    }
    return function;
}

EXPORTED int pthread_create(
    pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *argument), void *argument) {
    union {
        void *found;
        pthread_create_fn call;
    } next = {next_of(&g_pthread_create, "pthread_create")};
    if (next.found == NULL) {
        return EAGAIN;
    }
    ael_rights_suspend();
    int failed = next.call(thread, attributes, start, argument);
    ael_rights_resume();
    return failed;
}

EXPORTED int thrd_create(thrd_t *thread, thrd_start_t start, void *argument) {
    union {
        void *found;
        thrd_create_fn call;
    } next = {next_of(&g_thrd_create, "thrd_create")};
    if (next.found == NULL) {
        return thrd_error;
    }
    ael_rights_suspend();
    int failed = next.call(thread, start, argument);
    ael_rights_resume();
    return failed;
}
