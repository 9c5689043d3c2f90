/*
 * kms/key_wrap.h - a key of 32 bytes encrypted under another: Asherah's AES-256-GCM blob, 60 bytes.
 *
 * Both keys are in a scratch slot for the length of the call, and nowhere else in the clear.
 * Layer: kms. Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_KEY_WRAP_H
#define AEL_KMS_KEY_WRAP_H

#include "base/component_api.h"
#include "crypto/aead.h"

#include <ael/call.h>
#include <ael/secret.h>

enum { AEL_WRAPPED_KEY_BYTES = 32 + AEL_AEAD_OVERHEAD_BYTES };

/**
 * Encrypts a key.
 *
 * @param under   the key to encrypt with, 32 bytes. @param key 32 bytes.
 * @return AEL_OK; AEL_E_ARGUMENT (a length); or as ael_scratch_begin, ael_random_fill and ael_aead_seal.
 *         wrapped is zero or unspecified after a failure.
 */
AEL_COMPONENT_API AEL_MUST_CHECK enum ael_status ael_key_wrap(
    struct ael_secret *under,
    const struct ael_call *call,
    struct ael_secret *key,
    uint8_t wrapped[static AEL_WRAPPED_KEY_BYTES]);

/**
 * Decrypts a key.
 *
 * @param wrapped  AEL_WRAPPED_KEY_BYTES; another length is AEL_E_AUTHENTICATION.
 * @param key      receives the secret, which the caller releases; NULL on failure.
 * @return AEL_OK; AEL_E_ARGUMENT (the length of under); AEL_E_AUTHENTICATION; or as ael_scratch_begin,
 *         ael_aead_open and ael_secret_new.
 */
AEL_COMPONENT_API AEL_MUST_CHECK enum ael_status ael_key_unwrap(
    struct ael_secret *under, const struct ael_call *call, struct ael_bytes wrapped, struct ael_secret **key);

#endif /* AEL_KMS_KEY_WRAP_H */
