/* SPDX-License-Identifier: Apache-2.0 */
#include "base/corruption.h"

#include "base/hooks.h"
#include "base/sync.h"

enum { KINDS = AEL_CORRUPTION_ROOT_KEYS + 1 };

AEL_TLS bool ael_corruption_waits;

/* How often each kind was found by this thread and not told yet. */
static AEL_TLS uint16_t t_found[KINDS];

/* see base/corruption.h. The hook may do what it likes, so the count falls first. */
void ael_corruption_tell(void) {
    ael_corruption_waits = false;
    for (unsigned what = 0; what < KINDS; what++) {
        while (t_found[what] != 0) {
            t_found[what]--;
            ael_hooks_tell_corruption((enum ael_corruption)what);
        }
    }
}

/* see base/corruption.h */
void ael_corruption_found(enum ael_corruption what) {
    t_found[what]++;
    ael_corruption_waits = true;
    if (!ael_sync_holds_any()) {
        ael_corruption_tell();
    }
}
