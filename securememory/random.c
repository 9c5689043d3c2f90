/* SPDX-License-Identifier: Apache-2.0 */
#include "securememory/random.h"

#include "base/wipe.h"
#include "securememory/protected.h"

#include <sched.h>

/* Any shard gives good numbers; the CPU's own is the one that nobody else holds. */
static uint32_t present_shard(void) {
    int cpu = sched_getcpu();
    return cpu < 0 ? 0 : (uint32_t)cpu % AEL_GENERATOR_SHARDS;
}

/* see securememory/random.h */
enum ael_status ael_random_fill(uint8_t *out, size_t len) {
    enum ael_status status = ael_protected_enter_within();
    if (status != AEL_OK) {
        ael_wipe(out, len);
        return status;
    }
    status = ael_generator_fill(&ael_protected()->generator, present_shard(), out, len);
    ael_protected_leave();
    return status;
}
