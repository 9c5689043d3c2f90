/* SPDX-License-Identifier: Apache-2.0 */
#include "securememory/random.h"

#include "base/system.h"
#include "base/thread_entry.h"
#include "base/wipe.h"
#include "securememory/fips.h"
#include "securememory/process.h"
#include "securememory/protected.h"
#include "securememory/signals.h"

#include <ael/memory.h>

#include <stdatomic.h>

/* Any shard gives good numbers; the CPU's own is the one that nobody else holds, the thread's own one that few do. */
static uint32_t present_shard(void) {
    int cpu = ael_system_cpu();
    return (uint32_t)(cpu < 0 ? ael_thread_number() : (uint64_t)cpu) % AEL_GENERATOR_SHARDS;
}

/* Relaxed: a call that comes after ael_reseed in the host's program sees it. */
static atomic_uint_least32_t g_reseeds = 1;

/* see securememory/random.h */
uint64_t ael_random_origin(void) {
    uint64_t process = ael_process_number();
    return process << 32 | atomic_load_explicit(&g_reseeds, memory_order_relaxed);
}

/* see ael/memory.h. In a child without handlers every draw is refused anyway. */
void ael_reseed(void) {
    atomic_fetch_add(&g_reseeds, 1);
}

/* see securememory/random.h */
enum ael_status ael_random_fill(uint8_t *out, size_t len) {
    ael_signals_hold();
    enum ael_status status = ael_random_fill_in_scratch(out, len);
    ael_wipe_stack();
    ael_signals_release();
    return status;
}

/* see securememory/random.h */
enum ael_status ael_random_fill_in_scratch(uint8_t *out, size_t len) {
    enum ael_status status = ael_protected_enter_within();
    if (status != AEL_OK) {
        ael_wipe(out, len);
        return status;
    }
    status =
        ael_fips_is_on()
            ? ael_fips_random_fill(ael_random_origin(), out, len)
            : ael_generator_fill(&ael_protected()->generator, present_shard(), ael_random_origin(), out, len);
    ael_protected_leave();
    return status;
}
