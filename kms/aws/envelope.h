/*
 * kms/aws/envelope.h - the envelope that all SDKs of Asherah write for AWS KMS:
 *
 *     {"encryptedKey":"<b64>","kmsKeks":[{"region":"us-west-2","arn":"<arn>","encryptedKek":"<b64>"},...]}
 *
 * encryptedKey is the system key under the data key, encryptedKek the data key under a region's master key.
 * Layer: kms. Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_AWS_ENVELOPE_H
#define AEL_KMS_AWS_ENVELOPE_H

#include <ael/bytes.h>
#include <ael/sys/error.h>

enum { AEL_KMS_AWS_KEKS_MAX = 64 };

struct ael_kms_aws_kek {
    struct ael_bytes region;
    struct ael_bytes arn;
    struct ael_bytes encrypted;
};

struct ael_kms_aws_envelope {
    struct ael_bytes encrypted_key;
    size_t kek_count;
    struct ael_kms_aws_kek keks[AEL_KMS_AWS_KEKS_MAX];
    struct ael_buf storage; /* what a parsed one's views point into */
};

/**
 * Reads an envelope. Unknown members are passed over; of a region that comes twice the first counts for
 * ael_kms_aws_envelope_find.
 *
 * @param out  overwritten; clear it after success.
 * @return AEL_OK; AEL_E_KMS (not such an envelope: err says what and where); AEL_E_NO_MEMORY.
 */
AEL_MUST_CHECK enum ael_status
ael_kms_aws_envelope_parse(struct ael_bytes json, struct ael_kms_aws_envelope *out, struct ael_error *err);

/** Returns the entry of a region, or NULL. Borrows. */
const struct ael_kms_aws_kek *
ael_kms_aws_envelope_find(const struct ael_kms_aws_envelope *envelope, const char *region);

/** Appends the JSON. @return as ael_buf_reserve; out is unchanged on failure. */
AEL_MUST_CHECK enum ael_status
ael_kms_aws_envelope_write(const struct ael_kms_aws_envelope *envelope, struct ael_buf *out);

void ael_kms_aws_envelope_clear(struct ael_kms_aws_envelope *envelope);

#endif /* AEL_KMS_AWS_ENVELOPE_H */
