/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/key_wrap.h"

#include "base/check.h"
#include "securememory/random.h"
#include "securememory/scratch.h"
#include "securememory/sealed_key.h"

/* The key to encrypt with lies at the start of a slot, the other one behind it, and then the engine's
 * work. */
enum { WORK_AT = 96 };

/* Takes a slot and opens the first key at its start. */
static enum ael_status
begin_under(struct ael_secret *under, const struct ael_call *call, struct ael_scratch *scratch) {
    if (ael_secret_len(under) != AEL_KEY_BYTES) {
        return AEL_E_ARGUMENT;
    }
    AEL_TRY(ael_scratch_begin(scratch, call));
    enum ael_status status = ael_secret_open_into(under, scratch->bytes, AEL_KEY_BYTES);
    if (status != AEL_OK) {
        (void)ael_scratch_end(scratch);
    }
    return status;
}

/* see kms/key_wrap.h */
enum ael_status ael_key_wrap(
    struct ael_secret *under,
    const struct ael_call *call,
    struct ael_secret *key,
    uint8_t wrapped[static AEL_WRAPPED_KEY_BYTES]) {
    uint8_t nonce[AEL_AEAD_NONCE_BYTES];
    struct ael_scratch scratch;
    if (ael_secret_len(key) != AEL_KEY_BYTES) {
        return AEL_E_ARGUMENT;
    }
    AEL_TRY(ael_random_fill(nonce, sizeof nonce));
    AEL_TRY(begin_under(under, call, &scratch));
    uint8_t *plain = scratch.bytes + AEL_KEY_BYTES;
    enum ael_status status = ael_secret_open_into(key, plain, AEL_KEY_BYTES);
    if (status == AEL_OK) {
        status = ael_aead_seal(
            scratch.bytes + WORK_AT, scratch.bytes, nonce, (struct ael_bytes){plain, AEL_KEY_BYTES}, wrapped);
    }
    enum ael_status ended = ael_scratch_end(&scratch);
    return status == AEL_OK ? ended : status;
}

/* see kms/key_wrap.h */
enum ael_status ael_key_unwrap(
    struct ael_secret *under,
    const struct ael_call *call,
    struct ael_bytes wrapped,
    struct ael_secret **key) {
    struct ael_scratch scratch;
    *key = NULL;
    if (wrapped.len != AEL_WRAPPED_KEY_BYTES) {
        return AEL_E_AUTHENTICATION;
    }
    AEL_TRY(begin_under(under, call, &scratch));
    uint8_t *plain = scratch.bytes + AEL_KEY_BYTES;
    enum ael_status status = ael_aead_open(scratch.bytes + WORK_AT, scratch.bytes, wrapped, plain);
    if (status == AEL_OK) {
        status = ael_secret_new(plain, AEL_KEY_BYTES, key);
    }
    enum ael_status ended = ael_scratch_end(&scratch);
    if (status == AEL_OK && ended != AEL_OK) {
        ael_secret_release(*key);
        *key = NULL;
        return ended;
    }
    return status;
}
