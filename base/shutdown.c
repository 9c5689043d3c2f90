/* SPDX-License-Identifier: Apache-2.0 */
#include "base/shutdown.h"

#include <stdatomic.h>
#include <stddef.h>

static _Atomic(ael_shutdown_fn) g_first;

/* see base/shutdown.h */
void ael_shutdown_set_first(ael_shutdown_fn end) {
    atomic_store(&g_first, end);
}

/* see base/shutdown.h */
enum ael_status ael_shutdown_first(int64_t deadline_ns) {
    ael_shutdown_fn end = atomic_load(&g_first);
    return end == NULL ? AEL_OK : end(deadline_ns);
}
