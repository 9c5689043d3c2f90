/* SPDX-License-Identifier: Apache-2.0 */
#include "base/barrier.h"

#include "base/system.h"

#include <pthread.h>

/* Fences until the kernel has agreed. The heavy side always asks the kernel once it has, so it does not
 * matter when a light side learns of it. */
/* Read all the time, so on no line with what changes. */
_Alignas(64) atomic_bool ael_barrier_light_is_fence = true;
_Alignas(64) atomic_uint ael_barrier_word;

static pthread_once_t g_once = PTHREAD_ONCE_INIT;
static atomic_bool g_registered;

static void register_process(void) {
    if (ael_system_barrier_register()) {
        atomic_store(&g_registered, true);
        atomic_store(&ael_barrier_light_is_fence, false);
    }
}

/* see base/barrier.h */
void ael_barrier_prepare(void) {
    (void)pthread_once(&g_once, register_process);
}

/* see base/barrier.h */
bool ael_barrier_heavy(void) {
#ifdef AEL_BARRIER_BY_WORD
    atomic_fetch_add(&ael_barrier_word, 1);
    return true;
#else
    bool passed = !atomic_load(&g_registered) || ael_system_barrier();
    atomic_thread_fence(memory_order_seq_cst);
    return passed;
#endif
}

/* see base/barrier.h */
void ael_barrier_heavy_surely(void) {
    const struct timespec pause = {.tv_sec = 0, .tv_nsec = 1000000};
    atomic_uint nobody = 0;
    while (!ael_barrier_heavy()) {
        atomic_store(&ael_barrier_light_is_fence, true);
        ael_system_sleep_while(&nobody, 0, &pause);
        atomic_store(&g_registered, false); /* from here on a fence alone passes, also for others */
    }
}

/* see base/barrier.h */
void ael_barrier_use_fences_for_test(bool fences) {
    atomic_store(&ael_barrier_light_is_fence, fences || !atomic_load(&g_registered));
}
