/*
 * crypto/key_schedule.h - a sealed key's expanded schedule for one call: a hot one (securememory/hot_keys.h), or one that
 * is made in the caller's scratch. A key whose schedule had to be made several times is offered to become hot.
 * Layer: crypto. Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_CRYPTO_KEY_SCHEDULE_H
#define AEL_CRYPTO_KEY_SCHEDULE_H

#include "crypto/aead_engine.h"
#include "securememory/sealed_key.h"

#include <stdatomic.h>

enum {
    AEL_KEY_SCHEDULE_AT = 32, /* in the caller's work; before it lies the open key */
    AEL_KEY_WORK_BYTES = AEL_KEY_SCHEDULE_AT + AEL_AEAD_WORK_BYTES,
    AEL_KEY_NEVER_OFFERED = UINT8_MAX, /* no place (securememory/hot_keys.h), nor was there one */
};

/* What a key remembers. Relaxed all of it: hot_keys.h tells whether a schedule is where it was. */
struct ael_key_heat {
    atomic_uchar place;  /* AEL_KEY_NEVER_OFFERED at first */
    atomic_uchar misses; /* wraps around, and some may be lost */
    atomic_bool barred;  /* is not to become hot any more */
};

struct ael_key_schedule {
    const struct ael_aead_engine *engine;
    const uint8_t *bytes;
    uint8_t *state; /* AEL_AEAD_STATE_BYTES, for the engine's call */
    bool is_hot;
};

/** @param barred  from the start: the key is revoked already. */
void ael_key_heat_init(struct ael_key_heat *heat, bool barred);

/** The next time that the schedule has to be made it is offered to be kept. */
void ael_key_heat_expect_use(struct ael_key_heat *heat);

/** Takes the key's schedule out of the hot ones, and lets it in no more. */
void ael_key_heat_end(struct ael_key_heat *heat, const struct ael_key_binding *binding);

/**
 * Finds or makes the schedule, for messages as long as a key.
 *
 * @param work  AEL_KEY_WORK_BYTES of a scratch slot that the caller holds, aligned to 16, left dirty.
 * @return as ael_sealed_key_open; AEL_E_CRYPTO; AEL_E_NO_MEMORY. After AEL_OK ael_key_schedule_end is due.
 */
AEL_MUST_CHECK enum ael_status ael_key_schedule_begin(
    struct ael_key_schedule *schedule,
    const struct ael_sealed_key *sealed,
    const struct ael_key_binding *binding,
    struct ael_key_heat *heat,
    uint8_t *work);
void ael_key_schedule_end(const struct ael_key_schedule *schedule);

#endif /* AEL_CRYPTO_KEY_SCHEDULE_H */
