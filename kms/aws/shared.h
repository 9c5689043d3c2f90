/*
 * kms/aws/shared.h - what all operations of one KMS over AWS have in common: credentials, retries, what
 * each request says.
 * Layer: kms. Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_AWS_SHARED_H
#define AEL_KMS_AWS_SHARED_H

#include "net/credentials/cache.h"
#include "net/credentials/chain.h"

#include <ael/kms_aws.h>

#include <stdatomic.h>

struct ael_kms_aws_shared {
    struct ael_http *http; /* of the credentials' sources */
    struct ael_credentials_chain *chain;
    struct ael_credentials_cache *credentials;
    char *context; /* what requests say besides: ",\"EncryptionContext\":{...}", a secret's version, or "" */
    const char *component; /* in errors */
    bool any_key;
    uint32_t try_timeout_ms;
    uint32_t max_tries;
    atomic_int
        budget; /* of retries, in tenths: what is spent on them comes back with successes. Relaxed: a count */
};

enum { AEL_KMS_AWS_BUDGET = 100, AEL_KMS_AWS_RETRY_COSTS = 10 };

/** Sets up what the options say of tries; credentials and context are still to come. Zeroed before. */
void ael_kms_aws_shared_init(
    struct ael_kms_aws_shared *shared, const char *component, const struct ael_kms_aws_options *options);

/** Sets up where credentials come from. @param region of STS. @return AEL_OK; AEL_E_NO_MEMORY; or as
 * ael_http_new. */
AEL_MUST_CHECK enum ael_status ael_kms_aws_shared_set_credentials(
    struct ael_kms_aws_shared *shared,
    const struct ael_kms_aws_options *options,
    const char *region,
    struct ael_error *err);

/** Ends it; also one that is set up in part, or zeroed. */
void ael_kms_aws_shared_clear(struct ael_kms_aws_shared *shared);

#endif /* AEL_KMS_AWS_SHARED_H */
