/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/envelope_run.h"

#include "appencryption/key_hierarchy.h"
#include "base/check.h"
#include "base/wipe.h"
#include "crypto/aead.h"
#include "securememory/random.h"

/* Where the keys lie in the slot. The nonce follows the data key, because both come from one draw. */
enum {
    DATA_KEY_AT = 0,
    NONCE_AT = DATA_KEY_AT + AEL_KEY_BYTES,
    INTERMEDIATE_AT = 64,
    WORK_AT = 96,
};

_Static_assert(WORK_AT + AEL_AEAD_WORK_BYTES <= AEL_SCRATCH_BYTES, "it all fits into one slot");

/* see appencryption/envelope_run.h */
enum ael_status ael_envelope_run_begin(
    struct ael_envelope_run *run, struct ael_crypto_key *intermediate, const struct ael_call *call) {
    run->intermediate = intermediate;
    AEL_TRY(ael_scratch_begin(&run->scratch, call));
    enum ael_status status = ael_crypto_key_open(intermediate, run->scratch.bytes + INTERMEDIATE_AT);
    return status == AEL_OK ? AEL_OK : ael_hierarchy_end(&run->scratch, status);
}

/* see appencryption/envelope_run.h */
enum ael_status ael_envelope_run_end(struct ael_envelope_run *run) {
    return ael_scratch_end(&run->scratch);
}

static enum ael_status seal(struct ael_envelope_run *run, struct ael_bytes plain, uint8_t *data, uint8_t *key) {
    uint8_t *slot = run->scratch.bytes;
    struct ael_bytes data_key = {slot + DATA_KEY_AT, AEL_KEY_BYTES};
    AEL_TRY(ael_random_fill_in_scratch(slot + DATA_KEY_AT, AEL_KEY_BYTES + AEL_AEAD_NONCE_BYTES));
    AEL_TRY(ael_aead_seal(slot + WORK_AT, slot + DATA_KEY_AT, slot + NONCE_AT, plain, data));
    return ael_crypto_key_wrap(run->intermediate, slot + WORK_AT, slot + INTERMEDIATE_AT, data_key, key);
}

/* see appencryption/envelope_run.h */
enum ael_status ael_envelope_run_seal(
    struct ael_envelope_run *run, struct ael_bytes plain, uint8_t *data, uint8_t key[static AEL_SEALED_KEY_BYTES]) {
    enum ael_status status = seal(run, plain, data, key);
    if (status != AEL_OK) {
        ael_wipe(data, plain.len + AEL_SEALED_OVERHEAD_BYTES);
        ael_wipe(key, AEL_SEALED_KEY_BYTES);
    }
    return status;
}

static enum ael_status
open_in(struct ael_envelope_run *run, struct ael_bytes key, struct ael_bytes data, uint8_t *plain) {
    uint8_t *slot = run->scratch.bytes;
    AEL_TRY(ael_aead_open(slot + WORK_AT, slot + INTERMEDIATE_AT, key, slot + DATA_KEY_AT));
    return ael_aead_open(slot + WORK_AT, slot + DATA_KEY_AT, data, plain);
}

/* see appencryption/envelope_run.h */
enum ael_status ael_envelope_run_open(
    struct ael_envelope_run *run, struct ael_bytes key, struct ael_bytes data, uint8_t *plain) {
    if (data.len < AEL_SEALED_OVERHEAD_BYTES) {
        return AEL_E_AUTHENTICATION;
    }
    enum ael_status status =
        key.len == AEL_SEALED_KEY_BYTES ? open_in(run, key, data, plain) : AEL_E_AUTHENTICATION;
    if (status != AEL_OK) {
        ael_wipe(plain, data.len - AEL_SEALED_OVERHEAD_BYTES);
    }
    return status;
}
