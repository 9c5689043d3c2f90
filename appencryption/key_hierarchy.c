/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/key_hierarchy.h"

#include "base/check.h"
#include "base/wipe.h"
#include "crypto/aead.h"
#include "securememory/random.h"

/* Where the two keys of an operation lie in its slot. */
enum {
    CHILD_AT = 0,
    PARENT_AT = 64,
    WORK_AT = 96,
};

/* see appencryption/key_hierarchy.h */
enum ael_status ael_hierarchy_end(struct ael_scratch *scratch, enum ael_status status) {
    enum ael_status ended = ael_scratch_end(scratch);
    return status != AEL_OK ? status : ended;
}

/* Ends a scratch in which a key was made; the key goes when anything failed. */
static enum ael_status
end_with_key(struct ael_scratch *scratch, enum ael_status status, struct ael_crypto_key **key) {
    status = ael_hierarchy_end(scratch, status);
    if (status != AEL_OK) {
        ael_crypto_key_release(*key);
        *key = NULL;
    }
    return status;
}

/* see appencryption/key_hierarchy.h */
enum ael_status ael_hierarchy_system_key(
    const struct ael_key_name *name, struct ael_secret *secret, const struct ael_call *call,
    struct ael_crypto_key **key) {
    struct ael_scratch scratch;
    *key = NULL;
    AEL_TRY(ael_scratch_begin(&scratch, call));
    enum ael_status status = ael_secret_open_into(secret, scratch.bytes, AEL_KEY_BYTES);
    if (status == AEL_OK) {
        status = ael_crypto_key_new(
            AEL_KEY_KIND_SYSTEM, name->id, name->created_s, name->revoked, scratch.bytes, key);
    }
    return end_with_key(&scratch, status, key);
}

static enum ael_status make_intermediate(
    const struct ael_key_name *name, struct ael_crypto_key *system_key, uint8_t *bytes, uint8_t *sealed,
    struct ael_crypto_key **key) {
    struct ael_bytes child = {bytes + CHILD_AT, AEL_KEY_BYTES};
    AEL_TRY(ael_random_fill_in_scratch(bytes + CHILD_AT, AEL_KEY_BYTES));
    AEL_TRY(ael_crypto_key_open(system_key, bytes + PARENT_AT));
    AEL_TRY(ael_crypto_key_wrap(system_key, bytes + WORK_AT, bytes + PARENT_AT, child, sealed));
    return ael_crypto_key_new(
        AEL_KEY_KIND_INTERMEDIATE, name->id, name->created_s, name->revoked, bytes + CHILD_AT, key);
}

/* see appencryption/key_hierarchy.h */
enum ael_status ael_hierarchy_new_intermediate_key(
    const struct ael_key_name *name, struct ael_crypto_key *system_key, const struct ael_call *call,
    uint8_t sealed[static AEL_SEALED_KEY_BYTES], struct ael_crypto_key **key) {
    struct ael_scratch scratch;
    *key = NULL;
    ael_wipe(sealed, AEL_SEALED_KEY_BYTES);
    AEL_TRY(ael_scratch_begin(&scratch, call));
    enum ael_status status = make_intermediate(name, system_key, scratch.bytes, sealed, key);
    status = end_with_key(&scratch, status, key);
    if (status != AEL_OK) {
        ael_wipe(sealed, AEL_SEALED_KEY_BYTES);
    }
    return status;
}

static enum ael_status open_intermediate(
    const struct ael_key_name *name, const struct ael_crypto_key *system_key, struct ael_bytes sealed,
    uint8_t *bytes, struct ael_crypto_key **key) {
    AEL_TRY(ael_crypto_key_open(system_key, bytes + PARENT_AT));
    AEL_TRY(ael_aead_open(bytes + WORK_AT, bytes + PARENT_AT, sealed, bytes + CHILD_AT));
    return ael_crypto_key_new(
        AEL_KEY_KIND_INTERMEDIATE, name->id, name->created_s, name->revoked, bytes + CHILD_AT, key);
}

/* see appencryption/key_hierarchy.h */
enum ael_status ael_hierarchy_open_intermediate_key(
    const struct ael_key_name *name, const struct ael_crypto_key *system_key, struct ael_bytes sealed,
    const struct ael_call *call, struct ael_crypto_key **key) {
    struct ael_scratch scratch;
    *key = NULL;
    if (sealed.len != AEL_SEALED_KEY_BYTES) {
        return AEL_E_AUTHENTICATION;
    }
    AEL_TRY(ael_scratch_begin(&scratch, call));
    enum ael_status status = open_intermediate(name, system_key, sealed, scratch.bytes, key);
    return end_with_key(&scratch, status, key);
}
