/* SPDX-License-Identifier: Apache-2.0 */
#include "base/thread_start.h"

#include "base/system.h"

#include <signal.h>

/* see base/thread_start.h. Blocked around the creation, because the thread inherits the mask. */
bool ael_thread_start(
    pthread_t *thread, const char *name, size_t stack_bytes, void *(*run)(void *argument), void *argument) {
    sigset_t all;
    sigset_t before;
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0) {
        return false;
    }
    (void)pthread_attr_setstacksize(&attributes, stack_bytes);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(thread, &attributes, run, argument);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attributes);
    if (failed == 0) {
        ael_system_name_thread(*thread, name);
    }
    return failed == 0;
}
