/*
 * kms/aws/state.h - the KMS over AWS KMS, as its parts see it: kms_aws.c makes it, encrypt.c and
 * decrypt.c do its work.
 * Layer: kms. Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_AWS_STATE_H
#define AEL_KMS_AWS_STATE_H

#include "kms/aws/op.h"
#include "kms/remote/decrypt_flights.h"

struct ael_kms_aws {
    struct ael_kms_aws_shared shared;
    struct ael_decrypt_flights flights;
    bool hedging;
    int64_t hedge_delay_ns;
    atomic_int_least64_t
        probed_ns; /* when a region that was put second was last given a chance. Relaxed: a hint */
    size_t count;
    struct ael_kms_aws_endpoint endpoints[AEL_KMS_AWS_MAX_REGIONS]; /* the preferred one first */
};

/** The call with a deadline in any case, at most share_percent of what is left. */
struct ael_call ael_kms_aws_limit(const struct ael_call *call, unsigned share_percent);

/** Goes on with all until each is over. */
void ael_kms_aws_run(struct ael_kms_aws_op *ops, size_t count);

/* Members of the table: as ael/sys/kms_backend.h says. */
enum ael_status ael_kms_aws_encrypt_key(
    void *self,
    const struct ael_call *call,
    struct ael_secret *key,
    struct ael_buf *out,
    struct ael_error *err);
enum ael_status ael_kms_aws_decrypt_key(
    void *self,
    const struct ael_call *call,
    struct ael_bytes encrypted,
    struct ael_secret **key,
    struct ael_error *err);

#endif /* AEL_KMS_AWS_STATE_H */
