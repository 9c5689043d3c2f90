/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/key_schedule.h"

#include "base/check.h"
#include "base/wipe.h"
#include "securememory/protected.h"

#include <limits.h>

/* So many calls make a schedule before it is offered: a key that is used once in a while never is. */
enum { MISSES_BEFORE_AN_OFFER = 16 };

_Static_assert((int)AEL_HOT_KEY_NOWHERE < (int)AEL_KEY_NEVER_OFFERED, "a place fits");
_Static_assert((UCHAR_MAX + 1) % MISSES_BEFORE_AN_OFFER == 0, "misses may wrap around");
_Static_assert((int)AEL_AEAD_SCHEDULE_BYTES <= (int)AEL_HOT_KEY_BYTES, "every schedule has room");

/* see crypto/key_schedule.h */
void ael_key_heat_init(struct ael_key_heat *heat, bool barred) {
    atomic_init(&heat->place, AEL_KEY_NEVER_OFFERED);
    atomic_init(&heat->misses, 0);
    atomic_init(&heat->barred, barred);
}

/* see crypto/key_schedule.h */
void ael_key_heat_expect_use(struct ael_key_heat *heat) {
    atomic_store_explicit(&heat->misses, MISSES_BEFORE_AN_OFFER - 1, memory_order_relaxed);
}

/* see crypto/key_schedule.h. An offer under way looks at the bar again when it has been taken. */
void ael_key_heat_end(struct ael_key_heat *heat, const struct ael_key_binding *binding) {
    atomic_store(&heat->barred, true);
    if (atomic_load(&heat->place) != AEL_KEY_NEVER_OFFERED) {
        ael_hot_keys_forget(binding->generation);
    }
}

static bool is_due(struct ael_key_heat *heat) {
    unsigned misses = atomic_load_explicit(&heat->misses, memory_order_relaxed) + 1u;
    atomic_store_explicit(&heat->misses, (unsigned char)misses, memory_order_relaxed);
    return misses % MISSES_BEFORE_AN_OFFER == 0 && !atomic_load(&heat->barred);
}

/* Either who bars the key sees that it was hot, or this thread sees the bar. The registers with round keys go first, for
 * what follows lies deeper in the stack than an operation else. */
static void
offer(const struct ael_key_schedule *schedule, const struct ael_key_binding *binding, struct ael_key_heat *heat) {
    unsigned char never = AEL_KEY_NEVER_OFFERED;
    uint32_t place = AEL_HOT_KEY_NOWHERE;
    struct ael_hot_keys *hot = &ael_protected()->hot;
    ael_wipe_vectors();
    (void)atomic_compare_exchange_strong(&heat->place, &never, AEL_HOT_KEY_NOWHERE);
    (void)ael_hot_keys_offer(
        hot, binding->generation, schedule->engine, schedule->bytes, schedule->engine->schedule_bytes, &place);
    atomic_store_explicit(&heat->place, (unsigned char)place, memory_order_relaxed);
    if (atomic_load(&heat->barred)) {
        ael_hot_keys_evict(hot, binding->generation);
    }
}

/* An engine may leave a part of its room as it was, with another key's schedule in it: that is not to be kept. */
static enum ael_status make(
    struct ael_key_schedule *schedule, const struct ael_sealed_key *sealed, const struct ael_key_binding *binding,
    bool to_be_kept, uint8_t *work) {
    uint8_t *bytes = work + AEL_KEY_SCHEDULE_AT;
    AEL_TRY(ael_sealed_key_open(sealed, binding, work));
    if (to_be_kept) {
        ael_wipe(bytes, AEL_AEAD_SCHEDULE_BYTES);
    }
    AEL_TRY(schedule->engine->expand(bytes, work));
    schedule->bytes = bytes;
    return AEL_OK;
}

/* see crypto/key_schedule.h */
enum ael_status ael_key_schedule_begin(
    struct ael_key_schedule *schedule, const struct ael_sealed_key *sealed, const struct ael_key_binding *binding,
    struct ael_key_heat *heat, uint8_t *work) {
    AEL_TRY(ael_aead_choose(AEL_KEY_BYTES, &schedule->engine));
    schedule->state = work + AEL_KEY_SCHEDULE_AT + AEL_AEAD_SCHEDULE_BYTES;
    uint32_t place = atomic_load_explicit(&heat->place, memory_order_relaxed);
    schedule->bytes = ael_hot_keys_begin(&ael_protected()->hot, place, binding->generation, schedule->engine);
    schedule->is_hot = schedule->bytes != NULL;
    if (schedule->is_hot) {
        return AEL_OK;
    }
    bool due = is_due(heat);
    AEL_TRY(make(schedule, sealed, binding, due, work));
    if (due) {
        offer(schedule, binding, heat);
    }
    return AEL_OK;
}

/* see crypto/key_schedule.h */
void ael_key_schedule_end(const struct ael_key_schedule *schedule) {
    if (schedule->is_hot) {
        ael_hot_keys_end(&ael_protected()->hot);
    }
}
