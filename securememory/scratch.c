/* SPDX-License-Identifier: Apache-2.0 */
#include "securememory/scratch.h"

#include "base/check.h"
#include "base/wipe.h"
#include "securememory/process.h"
#include "securememory/protected.h"
#include "securememory/signals.h"

/* A slot's number and, above it, the process in which it was taken. */
enum { SLOT_BITS = 8, SLOT_MASK = (1 << SLOT_BITS) - 1 };

static uint32_t process_mark(void) {
    return ael_process_number() << SLOT_BITS;
}

/* see securememory/scratch.h */
enum ael_status ael_scratch_begin(struct ael_scratch *scratch, const struct ael_call *call) {
    uint32_t slot = 0;

    *scratch = (struct ael_scratch){NULL, 0};
    AEL_TRY(ael_protected_enter());
    struct ael_scratch_pool *pool = &ael_protected()->scratch;
    enum ael_status status = ael_scratch_pool_take(pool, call, &slot);
    if (status != AEL_OK) {
        ael_protected_leave();
        return status;
    }
    ael_signals_hold();
    scratch->bytes = ael_scratch_pool_bytes(pool, slot);
    scratch->slot = process_mark() | slot;
    return AEL_OK;
}

/* see securememory/scratch.h */
enum ael_status ael_scratch_end(struct ael_scratch *scratch) {
    struct ael_scratch held = *scratch;

    *scratch = (struct ael_scratch){NULL, 0};
    if (held.bytes == NULL) {
        return AEL_OK;
    }
    enum ael_status status = AEL_E_FORKED;
    if ((held.slot & ~(uint32_t)SLOT_MASK) == process_mark()) {
        ael_wipe_stack();
        status = ael_scratch_pool_give(&ael_protected()->scratch, held.slot & SLOT_MASK);
        ael_protected_leave();
    }
    ael_signals_release();
    return status;
}
