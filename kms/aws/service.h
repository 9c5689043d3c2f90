/*
 * kms/aws/service.h - what differs between the services of AWS that kms/aws/op.h asks: AWS KMS, and
 * Secrets Manager.
 * Layer: kms. Threads: any; all of it is constant.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_AWS_SERVICE_H
#define AEL_KMS_AWS_SERVICE_H

#include "kms/remote/breaker.h"

#include <ael/status.h>

enum ael_kms_aws_remedy {
    AEL_KMS_AWS_REMEDY_NONE = 0,
    AEL_KMS_AWS_REMEDY_RETRY,       /* it may pass */
    AEL_KMS_AWS_REMEDY_CREDENTIALS, /* other credentials may help: expired, unknown */
};

/* What one of a service's words for a refusal means. */
struct ael_kms_aws_meaning {
    const char *code; /* the end of the service's word for it */
    enum ael_status status;
    enum ael_kms_aws_remedy remedy;
    const char *sentence;
};

struct ael_kms_aws_service {
    const char *component;         /* in errors: "kms/aws" */
    const char *name;              /* in host names and signatures: "kms" */
    const char *endpoint_variable; /* AWS_ENDPOINT_URL_KMS */
    const char *retried;           /* name of the counter */
    struct ael_breaker_names breaker;
    const struct ael_kms_aws_meaning *meanings; /* looked at before those that all services have */
    size_t meaning_count;
};

/** AWS KMS itself. */
extern const struct ael_kms_aws_service ael_kms_aws_service;

#endif /* AEL_KMS_AWS_SERVICE_H */
