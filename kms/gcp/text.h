/*
 * kms/gcp/text.h - the texts of Cloud KMS: names of keys, what is kept of an encrypted key, requests and
 * answers.
 *
 *     POST /v1/<key>:encrypt   {"plaintext":"<base64>","plaintextCrc32c":"<number>"}
 *         {"name":"<key>/cryptoKeyVersions/1","ciphertext":"<base64>","ciphertextCrc32c":"<number>",
 *          "verifiedPlaintextCrc32c":true}
 *     POST /v1/<key>:decrypt   {"ciphertext":"<base64>","ciphertextCrc32c":"<number>"}
 *         {"plaintext":"<base64>","plaintextCrc32c":"<number>"}
 *
 * Layer: kms.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_GCP_TEXT_H
#define AEL_KMS_GCP_TEXT_H

#include <ael/bytes.h>

enum {
    AEL_KMS_GCP_KEY_MAX = 512,
    AEL_KMS_GCP_CIPHERTEXT_MAX = 2048 /* bytes; Google's add some tens to a key's 32 */
};

/** Tells whether it is projects/P/locations/L/keyRings/R/cryptoKeys/K, and nothing behind that. */
bool ael_kms_gcp_is_key(const char *text);

/** Finds the base64 in what is kept; false when it is none of ours. */
bool ael_kms_gcp_envelope_read(struct ael_bytes envelope, struct ael_bytes *base64);
AEL_MUST_CHECK enum ael_status ael_kms_gcp_envelope_write(struct ael_bytes base64, struct ael_buf *out);

/** The CRC-32C of what base64 means; false when it is none, or longer than AEL_KMS_GCP_CIPHERTEXT_MAX. */
bool ael_kms_gcp_checksum(struct ael_bytes base64, uint32_t *crc);

/* What an answer holds; views into it. */
struct ael_kms_gcp_answer {
    struct ael_bytes name;
    struct ael_bytes ciphertext;
    struct ael_bytes ciphertext_crc;
    struct ael_bytes plaintext_crc;
    bool verified;      /* the key's checksum */
    bool verified_data; /* the additional data's */
};

/** Reads an answer; false when it is no JSON of this kind. */
bool ael_kms_gcp_answer_read(struct ael_bytes body, struct ael_kms_gcp_answer *answer);

/** Tells whether a version of this key is named. */
bool ael_kms_gcp_is_version_of(struct ael_bytes name, const char *key);

/** Tells whether text is this number, as int64 are written in JSON. */
bool ael_kms_gcp_is_number(struct ael_bytes text, uint32_t number);

#endif /* AEL_KMS_GCP_TEXT_H */
