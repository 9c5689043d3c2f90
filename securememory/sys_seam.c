/* SPDX-License-Identifier: Apache-2.0 */
#include "securememory/sys_seam.h"

#include "base/wipe.h"

#include <errno.h>
#include <stdatomic.h>

/* Relaxed: only tests change it, while nothing else runs. */
static _Atomic(const struct ael_sys *) g_table = NULL;

/* see securememory/sys_seam.h */
const struct ael_sys *ael_sys(void) {
    const struct ael_sys *table = atomic_load_explicit(&g_table, memory_order_relaxed);
    return table == NULL ? ael_sys_native() : table;
}

/* see securememory/sys_seam.h */
void ael_sys_set_for_test(const struct ael_sys *table) {
    atomic_store(&g_table, table);
}

/* see securememory/sys_seam.h */
size_t ael_sys_page_bytes(void) {
    return ael_sys()->page_bytes();
}

/* see securememory/sys_seam.h */
enum ael_status ael_sys_seed(uint8_t *out, size_t len) {
    for (size_t have = 0; have < len;) {
        ssize_t got = ael_sys()->getrandom(out + have, len - have, 0);
        if (got > 0) {
            have += (size_t)got;
        } else if (got == 0 || errno != EINTR) {
            ael_wipe(out, len);
            return AEL_E_RANDOM;
        }
    }
    return AEL_OK;
}
