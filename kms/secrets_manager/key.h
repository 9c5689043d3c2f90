/*
 * kms/secrets_manager/key.h - the master key out of what Secrets Manager answers, from protected memory to
 * protected memory.
 * Layer: kms. Threads: any.
 * Source: Asherah's Rust SDK: SecretString is hexadecimal digits, white space anywhere and one leading 0x are
 * passed over; SecretBinary is the bytes.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_SECRETS_MANAGER_KEY_H
#define AEL_KMS_SECRETS_MANAGER_KEY_H

#include <ael/call.h>
#include <ael/secret.h>

/**
 * Decodes a master key.
 *
 * @param text       as it came, at most AEL_HTTP_TEXT_TAKEN_BYTES. @param is_binary  it is base64, else
 *                   digits.
 * @param key        receives a secret of 32 bytes, which the caller releases; NULL on failure.
 * @return AEL_OK; AEL_E_FORMAT (no key of 32 bytes); or as ael_scratch_begin, ael_secret_open_into and
 *         ael_secret_new.
 */
AEL_MUST_CHECK enum ael_status ael_kms_secrets_key_decode(
    struct ael_secret *text, bool is_binary, const struct ael_call *call, struct ael_secret **key);

#endif /* AEL_KMS_SECRETS_MANAGER_KEY_H */
