/*
 * kms/aws/endpoint.h - a service in one region: where it is, which key or secret, its connections, and
 * how it has been doing.
 * Layer: kms. Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_AWS_ENDPOINT_H
#define AEL_KMS_AWS_ENDPOINT_H

#include "kms/aws/service.h"
#include "net/aws_request.h"

#include <ael/kms_aws.h>

enum { AEL_KMS_AWS_LATENCIES = 64, AEL_KMS_AWS_ARN_MAX = 2048 };

struct ael_kms_aws_endpoint {
    const struct ael_kms_aws_service *service;
    char region[64];
    char *key; /* or the secret's name or ARN */
    char url[AEL_AWS_URL_BYTES];
    struct ael_http *http;
    struct ael_sigv4_clock clock;
    struct ael_breaker breaker;
    struct ael_mutex lock; /* guards the latencies of the last successful decrypts */
    int64_t latencies_ns[AEL_KMS_AWS_LATENCIES];
    uint64_t successes;
    atomic_uint
        lost_hedges; /* in a row: another region was asked later and answered first. Relaxed: a hint */
};

/**
 * Sets one up.
 *
 * @return AEL_OK; AEL_E_ARGUMENT (err names what is wrong with region, key or endpoint); AEL_E_NO_MEMORY;
 *         AEL_E_SYSTEM.
 */
AEL_MUST_CHECK enum ael_status ael_kms_aws_endpoint_init(
    struct ael_kms_aws_endpoint *endpoint,
    const struct ael_kms_aws_service *service,
    const struct ael_kms_aws_region *region,
    const struct ael_kms_aws_options *options,
    struct ael_error *err);

/** Ends it; one that was not set up (zeroed) is accepted. */
void ael_kms_aws_endpoint_clear(struct ael_kms_aws_endpoint *endpoint);

/** Notes how long a successful decrypt took. */
void ael_kms_aws_endpoint_note(struct ael_kms_aws_endpoint *endpoint, int64_t took_ns);

/** Returns the 95th percentile of the last successes; 0 when there are too few to tell. */
int64_t ael_kms_aws_endpoint_p95_ns(struct ael_kms_aws_endpoint *endpoint);

#endif /* AEL_KMS_AWS_ENDPOINT_H */
