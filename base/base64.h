/*
 * base/base64.h - standard alphabet, padded (RFC 4648 section 4), canonical only. For ciphertext: not
 * constant-time.
 * Layer: base.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_BASE_BASE64_H
#define AEL_BASE_BASE64_H

#include "base/component_api.h"

#include <ael/bytes.h>

/** Returns the length of the encoding of len bytes; SIZE_MAX on overflow. */
AEL_COMPONENT_API size_t ael_base64_encoded_len(size_t len);

/**
 * Writes ael_base64_encoded_len(len) characters, without a NUL. The bytes may lie where the text comes to lie
 * when they end where it ends, or behind: what is written then never reaches what is still to be read.
 */
void ael_base64_encode(const uint8_t *bytes, size_t len, char *text);

/**
 * Tells how long the decoding is, from length and padding alone.
 * @return AEL_OK; AEL_E_FORMAT (not a multiple of 4).
 */
AEL_COMPONENT_API AEL_MUST_CHECK enum ael_status ael_base64_decoded_len(struct ael_bytes text, size_t *len);

/**
 * Decodes; out has ael_base64_decoded_len bytes and may be the text itself.
 * @return AEL_OK; AEL_E_FORMAT (a character outside the alphabet, padding elsewhere, unused bits that are not
 *         0). out is unspecified after a failure.
 */
AEL_COMPONENT_API AEL_MUST_CHECK enum ael_status ael_base64_decode(struct ael_bytes text, uint8_t *out);

#endif /* AEL_BASE_BASE64_H */
