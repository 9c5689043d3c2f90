/*
 * base/thread_start.h - threads of the library's own: named, with all signals blocked, which are the host's.
 * Layer: base.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_BASE_THREAD_START_H
#define AEL_BASE_THREAD_START_H

#include "base/component_api.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

/** Starts a thread. @param name  up to 15 bytes. @return false when there is none to be had. Threads: any. */
AEL_COMPONENT_API bool ael_thread_start(
    pthread_t *thread, const char *name, size_t stack_bytes, void *(*run)(void *argument), void *argument);

#endif /* AEL_BASE_THREAD_START_H */
