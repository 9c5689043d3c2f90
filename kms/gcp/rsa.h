/*
 * kms/gcp/rsa.h - the private key of a service account: RSA in PKCS#8 (RFC 5208, RFC 8017 A.1.2), read
 * without OpenSSL's decoders, which leave what they decode on its heap, unwiped.
 * Layer: kms. Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_GCP_RSA_H
#define AEL_KMS_GCP_RSA_H

#include <openssl/types.h>
#include <stddef.h>
#include <stdint.h>

/**
 * Reads a key.
 *
 * @param der  len bytes, changed in place and not wiped: the caller does that.
 * @return a key that the caller frees, which wipes it; NULL: no such key, one of more than two primes, or no
 *         memory.
 */
EVP_PKEY *ael_kms_gcp_rsa_read(uint8_t *der, size_t len);

#endif /* AEL_KMS_GCP_RSA_H */
