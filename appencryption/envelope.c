/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/envelope.h"

#include "appencryption/key_hierarchy.h"
#include "base/check.h"
#include "base/wipe.h"
#include "crypto/aead.h"
#include "crypto/key_schedule.h"
#include "securememory/random.h"

/* Where the keys lie in the slot. The nonce follows the data key, because both come from one draw. */
enum {
    DATA_KEY_AT = 0,
    NONCE_AT = DATA_KEY_AT + AEL_KEY_BYTES,
    INTERMEDIATE_AT = 64, /* with its schedule; the payload's is where that one was, or will be */
    WORK_AT = INTERMEDIATE_AT + AEL_KEY_SCHEDULE_AT,
};

_Static_assert((int)INTERMEDIATE_AT + (int)AEL_KEY_WORK_BYTES <= (int)AEL_SCRATCH_BYTES, "it all fits into one slot");

static enum ael_status seal_in(
    uint8_t *slot, struct ael_crypto_key *intermediate, struct ael_bytes plain, uint8_t *data, uint8_t *key) {
    AEL_TRY(ael_random_fill_in_scratch(slot + DATA_KEY_AT, AEL_KEY_BYTES + AEL_AEAD_NONCE_BYTES));
    AEL_TRY(ael_aead_seal(slot + WORK_AT, slot + DATA_KEY_AT, slot + NONCE_AT, plain, data));
    return ael_crypto_key_seal(intermediate, slot + INTERMEDIATE_AT, slot + DATA_KEY_AT, key);
}

/* see appencryption/envelope.h */
enum ael_status ael_envelope_seal(
    struct ael_crypto_key *intermediate, struct ael_bytes plain, const struct ael_call *call, uint8_t *data,
    uint8_t key[static AEL_SEALED_KEY_BYTES]) {
    struct ael_scratch scratch;
    enum ael_status status = ael_scratch_begin(&scratch, call);
    if (status == AEL_OK) {
        status = ael_hierarchy_end(&scratch, seal_in(scratch.bytes, intermediate, plain, data, key));
    }
    if (status != AEL_OK) {
        ael_wipe(data, plain.len + AEL_SEALED_OVERHEAD_BYTES);
        ael_wipe(key, AEL_SEALED_KEY_BYTES);
    }
    return status;
}

static enum ael_status open_in(
    uint8_t *slot, struct ael_crypto_key *intermediate, struct ael_bytes key, struct ael_bytes data,
    uint8_t *plain) {
    AEL_TRY(ael_crypto_key_unseal(intermediate, slot + INTERMEDIATE_AT, key, slot + DATA_KEY_AT));
    return ael_aead_open(slot + WORK_AT, slot + DATA_KEY_AT, data, plain);
}

/* see appencryption/envelope.h */
enum ael_status ael_envelope_open(
    struct ael_crypto_key *intermediate, struct ael_bytes key, struct ael_bytes data,
    const struct ael_call *call, uint8_t *plain) {
    struct ael_scratch scratch;
    if (data.len < AEL_SEALED_OVERHEAD_BYTES) {
        return AEL_E_AUTHENTICATION;
    }
    enum ael_status status = key.len == AEL_SEALED_KEY_BYTES ? AEL_OK : AEL_E_AUTHENTICATION;
    if (status == AEL_OK) {
        status = ael_scratch_begin(&scratch, call);
    }
    if (status == AEL_OK) {
        status = ael_hierarchy_end(&scratch, open_in(scratch.bytes, intermediate, key, data, plain));
    }
    if (status != AEL_OK) {
        ael_wipe(plain, data.len - AEL_SEALED_OVERHEAD_BYTES);
    }
    return status;
}

/* see appencryption/envelope.h */
enum ael_status ael_envelope_run_begin(
    struct ael_envelope_run *run, struct ael_crypto_key *intermediate, const struct ael_call *call) {
    run->intermediate = intermediate;
    return ael_scratch_begin(&run->scratch, call);
}

/* see appencryption/envelope.h */
enum ael_status ael_envelope_run_end(struct ael_envelope_run *run) {
    return ael_scratch_end(&run->scratch);
}

/* see appencryption/envelope.h */
enum ael_status ael_envelope_run_seal(
    struct ael_envelope_run *run, struct ael_bytes plain, uint8_t *data, uint8_t key[static AEL_SEALED_KEY_BYTES]) {
    enum ael_status status = seal_in(run->scratch.bytes, run->intermediate, plain, data, key);
    if (status != AEL_OK) {
        ael_wipe(data, plain.len + AEL_SEALED_OVERHEAD_BYTES);
        ael_wipe(key, AEL_SEALED_KEY_BYTES);
    }
    return status;
}

/* see appencryption/envelope.h */
enum ael_status ael_envelope_run_open(
    struct ael_envelope_run *run, struct ael_bytes key, struct ael_bytes data, uint8_t *plain) {
    enum ael_status status = AEL_E_AUTHENTICATION;
    if (data.len < AEL_SEALED_OVERHEAD_BYTES) {
        return status;
    }
    if (key.len == AEL_SEALED_KEY_BYTES) {
        status = open_in(run->scratch.bytes, run->intermediate, key, data, plain);
    }
    if (status != AEL_OK) {
        ael_wipe(plain, data.len - AEL_SEALED_OVERHEAD_BYTES);
    }
    return status;
}
