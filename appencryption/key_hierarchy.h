/*
 * appencryption/key_hierarchy.h - keys under keys: an intermediate key sealed under its system key, a system key taken
 * out of the secret that the KMS gave.
 *
 * Each call takes exactly one scratch slot and calls no edge and no lock of another operation while it holds it.
 * Layer: appencryption. Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_APPENCRYPTION_KEY_HIERARCHY_H
#define AEL_APPENCRYPTION_KEY_HIERARCHY_H

#include "crypto/crypto_key.h"

#include <ael/call.h>
#include <ael/record.h>

/* The id and date of a key. */
struct ael_key_name {
    struct ael_bytes id;
    int64_t created_s;
    bool revoked;
};

/**
 * Ends a scratch and tells how the operation in it went.
 *
 * @return status when that is a failure, else the scratch's.
 */
AEL_MUST_CHECK enum ael_status ael_hierarchy_end(struct ael_scratch *scratch, enum ael_status status);

/**
 * Makes a system key of a secret of 32 bytes, which the caller still releases.
 *
 * @return AEL_OK; AEL_E_NO_MEMORY; or as ael_scratch_begin, ael_secret_open_into. Ownership: the caller releases key.
 */
AEL_MUST_CHECK enum ael_status ael_hierarchy_system_key(
    const struct ael_key_name *name, struct ael_secret *secret, const struct ael_call *call,
    struct ael_crypto_key **key);

/**
 * Makes a random intermediate key and seals it under a system key.
 *
 * @param sealed  receives AEL_SEALED_KEY_BYTES bytes.
 * @return AEL_OK; AEL_E_NO_MEMORY; AEL_E_RANDOM; AEL_E_CRYPTO; or as ael_scratch_begin. sealed is zeroed on failure.
 */
AEL_MUST_CHECK enum ael_status ael_hierarchy_new_intermediate_key(
    const struct ael_key_name *name, struct ael_crypto_key *system_key, const struct ael_call *call,
    uint8_t sealed[static AEL_SEALED_KEY_BYTES], struct ael_crypto_key **key);

/**
 * Opens an intermediate key by its system key.
 *
 * @return AEL_OK; AEL_E_AUTHENTICATION (also when sealed is not 60 bytes long); AEL_E_NO_MEMORY; AEL_E_CRYPTO; or as
 *         ael_scratch_begin.
 */
AEL_MUST_CHECK enum ael_status ael_hierarchy_open_intermediate_key(
    const struct ael_key_name *name, const struct ael_crypto_key *system_key, struct ael_bytes sealed,
    const struct ael_call *call, struct ael_crypto_key **key);

#endif /* AEL_APPENCRYPTION_KEY_HIERARCHY_H */
